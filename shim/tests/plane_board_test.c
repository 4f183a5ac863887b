// SPDX-License-Identifier: MIT
/* Switches as scripts hold them: made, ended in every way, asked, and what is told of them. */
#include <pthread.h>
#include <sys/socket.h>

#include "client.h"
#include "core/handle.h"
#include "embedded/holder.h"
#include "plane/board.h"
#include "plane/endpoint.h"

static struct client *c;

static int32_t make(int32_t on, struct vn_writer *options) {
  uint32_t status = client_call(c, on, VN_OP_SWITCH_CREATE, options);
  return status ? -(int32_t)status : client_handle(c);
}

static int32_t make_with(int32_t on, const char *key, uint64_t value) {
  struct vn_writer options = {.data = NULL};
  vn_write_number(&options, key, value);
  return make(on, &options);
}

static int32_t quiet_network(void) { return client_network(c, 1000, false, NULL); }

static uint64_t number_of(int32_t handle, uint32_t what, const char *key) {
  return client_get(c, handle, what) ? client_number(c, key) : UINT64_MAX;
}

static uint64_t process_number(const char *key) { return number_of(c->context, VN_GET_STATS, key); }

static bool becomes(int32_t handle, uint32_t status) {
  for (int i = 0; i < 400; i++) {
    if (number_of(handle, VN_GET_STATE, "status") == status) return true;
    usleep(5000);
  }
  return false;
}

static struct vn_board *board_of(int32_t handle) {
  struct vn_object *object;
  return vn_handle_find(handle, &object) ? NULL : (struct vn_board *)object;
}

static void test_a_new_switch_takes_frames_of_64_kib(void) {
  int32_t board = make(c->context, NULL);
  CHECK(board > 0 && client_number(c, "maxFrame") == VN_FRAME_MOST);
  CHECK(number_of(board, VN_GET_STATE, "status") == VN_OK);
  CHECK(number_of(board, VN_GET_STATS, "frames") == 0 && client_number(c, "addressesMost") == 1024);
  CHECK(client_number(c, "droppedVerdict") == 0 && client_number(c, "droppedIsolated") == 0 && client_number(c, "wakes") < 100);
  CHECK(client_get(c, board, VN_GET_EVENTS) && c->length == 0);
  CHECK(vn_get(board, VN_GET_LEASES, c->result, sizeof c->result) == -VN_BAD_CALL);
  CHECK(client_stop(c, board) == VN_OK);
  CHECK(vn_get(board, VN_GET_STATE, c->result, sizeof c->result) == -VN_STALE);
  board = make_with(c->context, "mtu", 9000);
  CHECK(board > 0 && client_number(c, "maxFrame") == 9014);
  CHECK(client_stop(c, board) == VN_OK);
}

static void test_options_are_checked(void) {
  static const struct {
    const char *key;
    uint64_t value;
    int on; /* 0 context, 1 network, 2 interface */
  } bad[] = {{"mtu", 67, 0}, {"mtu", 65536, 0}, {"mtu", 1500, 1}, {"mtu", 1500, 2}, {"ageSeconds", 0, 0}, {"ageSeconds", 86401, 0},
             {"ageSeconds", 10, 1}, {"straight", 1, 0}, {"straight", 1, 1}, {"straight", 2, 2}, {"kind", 1, 0}, {"nonsense", 1, 0}};
  int32_t on[3] = {c->context, quiet_network(), 0};
  on[2] = client_start(c, on[1], NULL);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    CHECK(make_with(on[bad[i].on], bad[i].key, bad[i].value) == -VN_BAD_OPTION);
    CHECK(strcmp(client_text(c, "field"), bad[i].key) == 0 && client_text(c, "message")[0]);
    uint32_t words[6];
    CHECK(vn_drain(on[2], c->arena, ARENA, words, 1) == 0); /* a refusal gives the interface back */
  }
  struct vn_writer options = {.data = NULL};
  vn_write_text(&options, "mtu", "1500");
  CHECK(make(c->context, &options) == -VN_BAD_OPTION && strcmp(client_text(c, "message"), "it takes a number") == 0);
  int32_t board = make_with(c->context, "ageSeconds", 86400);
  CHECK(board > 0 && board_of(board)->network->table.age_ns == 86400000000000ull);
  CHECK(client_stop(c, board) == VN_OK && client_stop(c, on[1]) == VN_OK);
  vn_close(on[2]);
}

static void test_several_boards_share_a_network_and_end_alone(void) {
  int32_t network = quiet_network(), port = client_start(c, network, NULL);
  int32_t a = make(network, NULL), b = make(network, NULL);
  CHECK(a > 0 && b > 0 && a != b && client_number(c, "maxFrame") == 1514);
  uint8_t frame[60], from[6] = {2, 0, 0, 0, 0, 1};
  make_frame(frame, sizeof frame, everybody, from, 1);
  CHECK(client_push(c, port, frame, sizeof frame));
  for (int i = 0; i < 400 && number_of(a, VN_GET_STATS, "frames") == 0; i++) usleep(1000);
  CHECK(number_of(a, VN_GET_STATS, "frames") == 1 && client_number(c, "addresses") == 1);
  CHECK(number_of(b, VN_GET_STATS, "frames") == 1);
  struct vn_entry entry;
  CHECK(vn_list_find(c->result, c->length, VN_LIST, "port", &entry));
  CHECK(vn_list_number(entry.value, entry.length, "framesIn", 0) == 1 && vn_list_number(entry.value, entry.length, "bytesIn", 0) == 60);
  CHECK(vn_list_number(entry.value, entry.length, "number", 0) > 0 && vn_list_number(entry.value, entry.length, "endpoint", 9) == 0);
  CHECK(client_stop(c, a) == VN_OK);
  CHECK(number_of(b, VN_GET_STATE, "status") == VN_OK && number_of(network, VN_GET_STATE, "status") == VN_OK);
  CHECK(client_push(c, port, frame, sizeof frame));
  CHECK(vn_close(b) == VN_OK);
  CHECK(client_stop(c, network) == VN_OK);
  vn_close(port);
}

static void test_the_owner_ends_the_network_and_the_board_says_so(void) {
  int32_t network = quiet_network(), board = make(network, NULL);
  c->watched = board, c->seen = 0;
  CHECK(board > 0 && client_stop(c, network) == VN_OK);
  for (int i = 0; i < 100 && !(c->seen & VN_READY_STATE); i++) client_ready(c, board, 10);
  CHECK(becomes(board, VN_GONE) && client_text(c, "message")[0]);
  CHECK(client_get(c, board, VN_GET_STATS) && client_get(c, board, VN_GET_EVENTS));
  struct vn_writer none = {.data = NULL};
  vn_write_text(&none, "kind", "stream");
  vn_write_number(&none, "pair", 1);
  uint32_t status = client_call(c, board, VN_OP_ENDPOINT_OPEN, &none);
  CHECK(status == VN_GONE || status == VN_UNSUPPORTED);
  CHECK(client_stop(c, board) == VN_OK);
  CHECK(make(network, NULL) == -VN_STALE);
}

static void test_stopping_twice_at_the_same_time_is_fine(void) {
  for (int own = 0; own < 2; own++) {
    int32_t network = own ? 0 : quiet_network(), board = make(own ? c->context : network, NULL);
    int32_t first = vn_call(board, VN_OP_STOP, NULL, 0, 5000), second = vn_call(board, VN_OP_STOP, NULL, 0, 5000);
    CHECK(first > 0 && second > 0);
    int32_t operations[] = {first, second};
    for (int i = 0; i < 2; i++) {
      int32_t length;
      while ((length = vn_result(operations[i], c->result, sizeof c->result)) == -VN_PENDING) client_ready(c, first, 5);
      CHECK(length > 0 && vn_list_number(c->result, (uint32_t)length, "status", 99) == VN_OK);
    }
    CHECK(vn_close(board) == -VN_STALE);
    if (!own) CHECK(client_stop(c, network) == VN_OK);
  }
}

static uint32_t set_port(int32_t board, uint32_t number, const char *key, uint64_t value) {
  struct vn_writer options = {.data = NULL};
  vn_write_number(&options, "port", number);
  if (key) vn_write_number(&options, key, value);
  return client_call(c, board, VN_OP_PORT_SET, &options);
}

static void test_ports_are_set_by_number(void) {
  int32_t network = quiet_network(), board = make(network, NULL), a = client_start(c, network, NULL), b = client_start(c, network, NULL);
  struct vn_network *it = board_of(board)->network;
  vn_lock(&it->lock);
  uint32_t number = it->ports->next->number; /* the first that came */
  vn_unlock(&it->lock);
  uint8_t frame[60], from[6] = {2, 0, 0, 0, 0, 1};
  make_frame(frame, sizeof frame, everybody, from, 7);
  CHECK(client_push(c, a, frame, 60) && client_expect(c, b, frame, 60, 1000));
  CHECK(set_port(board, number, "isolated", 1) == VN_OK);
  CHECK(client_push(c, a, frame, 60) && !client_expect(c, b, frame, 60, 50));
  CHECK(set_port(board, number, NULL, 0) == VN_OK && set_port(board, number, "isolated", 0) == VN_OK);
  CHECK(client_push(c, a, frame, 60) && client_expect(c, b, frame, 60, 1000));
  CHECK(set_port(board, number, "disconnect", 1) == VN_BAD_OPTION); /* an interface is its script's */
  CHECK(set_port(board, number ^ 0x5500, "isolated", 1) == VN_NOT_FOUND && strcmp(client_text(c, "field"), "port") == 0);
  CHECK(set_port(board, 0, "isolated", 1) == VN_BAD_OPTION && set_port(board, 65536, "isolated", 1) == VN_BAD_OPTION);
  CHECK(set_port(board, number, "label", 1) == VN_BAD_OPTION && strcmp(client_text(c, "field"), "label") == 0);
  CHECK(client_call(c, board, VN_OP_PORT_SET, NULL) == VN_BAD_OPTION && strcmp(client_text(c, "field"), "port") == 0);
  CHECK(set_port(board, number, "bytesPerSecond", 1000) == VN_OK && set_port(board, number, "bytesPerSecond", 0) == VN_OK);
  CHECK(client_stop(c, network) == VN_OK);
  CHECK(set_port(board, number, "isolated", 1) == VN_GONE);
  vn_close(a), vn_close(b), vn_close(board);
}

/* A network of another process: joined here by its token, which makes no difference. */
static void test_a_joined_network_has_switches_too(void) {
  uint64_t objects = process_number("objects");
  char token[256];
  int32_t network = quiet_network(), there = client_start(c, network, NULL), elsewhere = quiet_network();
  CHECK(client_call(c, network, VN_OP_NETWORK_SHARE, NULL) == VN_OK);
  int32_t share = client_handle(c);
  strcpy(token, client_text(c, "token"));
  for (int i = 0; i < 4; i++) {
    struct vn_writer options = {.data = NULL}, object = {.data = NULL};
    vn_write_text(&options, "token", token);
    CHECK(client_call(c, c->context, VN_OP_NETWORK_JOIN, &options) == VN_OK);
    int32_t joined = client_handle(c), board = make(joined, NULL);
    CHECK(board > 0 && client_number(c, "maxFrame") == 1514 && client_number(c, "vmnet_mtu") == UINT64_MAX);
    int32_t guest = client_start(c, elsewhere, NULL), far = client_start(c, elsewhere, NULL);
    vn_write_text(&object, "kind", "interface");
    vn_write_number(&object, "object", (uint64_t)guest);
    CHECK(client_call(c, board, VN_OP_ENDPOINT_OPEN, &object) == VN_OK);
    int32_t endpoint = client_handle(c);
    uint8_t frame[600], from[6] = {2, 0, 0, 0, 0, 1};
    make_frame(frame, sizeof frame, everybody, from, (uint32_t)i);
    CHECK(client_push(c, there, frame, sizeof frame) && client_expect(c, far, frame, sizeof frame, 2000));
    from[5] = 2;
    make_frame(frame, sizeof frame, everybody, from, (uint32_t)i);
    CHECK(client_push(c, far, frame, sizeof frame) && client_expect(c, there, frame, sizeof frame, 2000));
    if (i == 0) CHECK(client_stop(c, board) == VN_OK && client_stop(c, joined) == VN_OK);
    if (i == 1) CHECK(client_stop(c, joined) == VN_OK && becomes(board, VN_GONE) && vn_close(board) == VN_OK);
    if (i == 2) CHECK(vn_close(board) == VN_OK && vn_close(joined) == VN_OK);
    if (i == 3) CHECK(client_stop(c, network) == VN_OK && becomes(board, VN_GONE) && client_stop(c, board) == VN_OK && vn_close(joined) == VN_OK);
    vn_close(guest), vn_close(far), vn_close(endpoint);
  }
  CHECK(client_stop(c, elsewhere) == VN_OK);
  vn_close(there), vn_close(share);
  for (int i = 0; i < 400 && process_number("objects") > objects; i++) usleep(5000);
  CHECK(process_number("objects") <= objects);
}

static void test_an_interface_becomes_an_uplink_and_comes_back(void) {
  for (int straight = 0; straight < 2; straight++) {
    int32_t network = quiet_network(), port = client_start(c, network, NULL), other = client_start(c, network, NULL);
    int32_t elsewhere = quiet_network(), guest = client_start(c, elsewhere, NULL), far = client_start(c, elsewhere, NULL);
    int32_t board = make_with(port, "straight", (uint64_t)straight);
    uint32_t words[6];
    CHECK(board > 0 && client_number(c, "maxFrame") == 1514 && vn_drain(port, c->arena, ARENA, words, 1) == -VN_IN_USE);
    CHECK(make(port, NULL) == -VN_IN_USE);
    for (int i = 0; i < 2; i++) {
      struct vn_writer object = {.data = NULL};
      vn_write_text(&object, "kind", "interface");
      vn_write_number(&object, "object", (uint64_t)(i ? far : guest));
      uint32_t status = client_call(c, board, VN_OP_ENDPOINT_OPEN, &object);
      CHECK(status == (i && straight ? VN_IN_USE : VN_OK)); /* a bridge has two ends */
      if (i && !straight) CHECK(client_stop(c, client_handle(c)) == VN_OK);
    }
    uint8_t frame[600], from[6] = {2, 0, 0, 0, 0, 1};
    make_frame(frame, sizeof frame, everybody, from, 1);
    CHECK(client_push(c, other, frame, sizeof frame) && client_expect(c, far, frame, sizeof frame, 2000));
    CHECK(client_stop(c, board) == VN_OK);
    CHECK(vn_drain(port, c->arena, ARENA, words, 1) >= 0);
    board = make_with(port, "straight", (uint64_t)straight);
    CHECK(board > 0 && client_stop(c, port) == VN_OK && becomes(board, VN_STOPPED)); /* with its interface it is over */
    vn_close(board), vn_close(other), vn_close(guest), vn_close(far);
    CHECK(client_stop(c, network) == VN_OK && client_stop(c, elsewhere) == VN_OK);
  }
}

/* Events. */

struct tell {
  struct vn_command command;
  uint32_t count;
};

static void run_tell(struct vn_network *network, struct vn_command *command) {
  for (uint32_t i = 0; i < ((struct tell *)command)->count; i++) {
    uint8_t mac[6] = {2, 0, 0, 0, (uint8_t)(i >> 8), (uint8_t)i};
    vn_plane_event(network->ports, i ? VN_DISCONNECTED : VN_CONNECTED, mac, i ? NULL : "a detail");
  }
  vn_command_done(network, command);
}

static uint32_t count_events(struct vn_entry *first) {
  struct vn_reader reader;
  struct vn_entry entry;
  uint32_t count = 0;
  vn_list_read(&reader, c->result, c->length);
  while (vn_list_next(&reader, &entry))
    if (vn_entry_is(&entry, VN_LIST, "event") && count++ == 0) *first = entry;
  return count;
}

static void test_every_board_is_told_each_event_once(void) {
  int32_t network = quiet_network(), port = client_start(c, network, NULL), boards[2] = {make(network, NULL), make(network, NULL)};
  struct tell tell = {.command.run = run_tell, .count = 2};
  struct vn_network *it = board_of(boards[0])->network;
  struct vn_entry first, mac;
  char text[64];
  client_ready(c, boards[0], 0);
  CHECK(vn_network_call(it, &tell.command));
  CHECK(client_ready(c, boards[0], 1000) & VN_READY_EVENT);
  CHECK(vn_network_call(it, &tell.command));
  CHECK(!(client_ready(c, boards[0], 20) & VN_READY_EVENT)); /* once, until it is read */
  for (int i = 0; i < 2; i++) {
    CHECK(client_get(c, boards[i], VN_GET_EVENTS) && count_events(&first) == 4);
    CHECK(vn_list_text(first.value, first.length, "type", text, sizeof text) && strcmp(text, "connected") == 0);
    CHECK(vn_list_text(first.value, first.length, "detail", text, sizeof text) && strcmp(text, "a detail") == 0);
    CHECK(vn_list_find(first.value, first.length, VN_BYTES, "mac", &mac) && mac.length == 6 && mac.value[0] == 2);
    CHECK(vn_list_number(first.value, first.length, "port", 0) > 0);
    uint64_t time = vn_list_number(first.value, first.length, "time", 0), now = vn_realtime_ns();
    CHECK(time <= now && now - time < 10000000000ull);
    CHECK(client_get(c, boards[i], VN_GET_EVENTS) && c->length == 0);
  }
  CHECK(vn_network_call(it, &tell.command));
  CHECK(client_ready(c, boards[0], 1000) & VN_READY_EVENT);
  client_get(c, boards[0], VN_GET_EVENTS);
  tell.count = VN_BOARD_EVENTS + 44;
  CHECK(vn_network_call(it, &tell.command));
  CHECK(client_get(c, boards[0], VN_GET_EVENTS) && client_number(c, "lost") == 44 && count_events(&first) == VN_BOARD_EVENTS);
  CHECK(vn_list_find(first.value, first.length, VN_BYTES, "mac", &mac) && mac.value[5] == 44); /* the oldest went */
  CHECK(client_get(c, boards[0], VN_GET_EVENTS) && c->length == 0);
  CHECK(client_stop(c, network) == VN_OK);
  vn_close(port), vn_close(boards[0]), vn_close(boards[1]);
}

/* The end in every way. */

static void *worker(void *argument) {
  int32_t context = vn_open(), network = *(int32_t *)argument;
  (void)network;
  int32_t operation = vn_call(context, VN_OP_SWITCH_CREATE, NULL, 0, 5000);
  uint8_t out[1024];
  while (vn_result(operation, out, sizeof out) == -VN_PENDING) usleep(1000);
  vn_call(context, VN_OP_SWITCH_CREATE, NULL, 0, 5000); /* never fetched */
  return NULL;                                            /* with everything left behind */
}

static void test_a_thread_that_ends_takes_its_switches_along(void) {
  uint64_t objects = process_number("objects");
  int tasks = count_entries("/proc/self/task"), fds = count_entries("/proc/self/fd");
  pthread_t thread;
  for (int i = 0; i < 5; i++) {
    pthread_create(&thread, NULL, worker, &c->context);
    pthread_join(thread, NULL);
  }
  for (int i = 0; i < 400 && process_number("objects") > objects; i++) usleep(5000);
  CHECK(process_number("objects") <= objects);
  CHECK(settles("/proc/self/task", tasks) && settles("/proc/self/fd", fds));
}

static void test_abandoned_creations_leave_nothing(void) {
  uint64_t objects = process_number("objects");
  int tasks = count_entries("/proc/self/task"), fds = count_entries("/proc/self/fd");
  for (int i = 0; i < 200; i++) {
    int32_t operation;
    while ((operation = vn_call(c->context, VN_OP_SWITCH_CREATE, NULL, 0, 0)) == -VN_BUSY) usleep(100); /* all are at it */
    CHECK(operation > 0);
    if (i % 3 == 0) usleep(100);
    if (i & 1) vn_cancel(operation);
    vn_close(operation);
  }
  for (int i = 0; i < 400 && process_number("objects") > objects; i++) usleep(5000);
  CHECK(process_number("objects") <= objects);
  CHECK(settles("/proc/self/task", tasks) && settles("/proc/self/fd", fds));
}

static void test_cycles_leave_nothing(void) {
  int most = getenv("VN_LONG") && *getenv("VN_LONG") ? 10000 : 1000;
  int32_t network = quiet_network();
  uint64_t objects = process_number("objects"), handles = process_number("handles");
  int tasks = count_entries("/proc/self/task"), fds = count_entries("/proc/self/fd");
  for (int i = 0; i < most; i++) {
    int32_t board = make(i & 1 ? network : c->context, NULL);
    if (board <= 0) CHECK(false);
    if (i & 2) CHECK(client_stop(c, board) == VN_OK);
    else vn_close(board);
  }
  for (int i = 0; i < 400 && process_number("objects") > objects; i++) usleep(5000);
  CHECK(process_number("objects") <= objects && process_number("handles") <= handles);
  CHECK(settles("/proc/self/task", tasks + 8) && settles("/proc/self/fd", fds)); /* control threads linger */
  CHECK(client_stop(c, network) == VN_OK);
}

static void test_shutdown_ends_switches(void) {
  int32_t network = quiet_network(), a = make(network, NULL), b = make(c->context, NULL);
  CHECK(a > 0 && b > 0);
  CHECK(vn_shutdown(2000) == 0);
  CHECK(becomes(a, VN_STOPPED) && becomes(b, VN_STOPPED));
  CHECK(client_stop(c, a) == VN_OK && client_stop(c, b) == VN_OK && client_stop(c, network) == VN_OK);
}

int main(void) {
  c = client_open();
  RUN(test_a_new_switch_takes_frames_of_64_kib);
  RUN(test_options_are_checked);
  RUN(test_several_boards_share_a_network_and_end_alone);
  RUN(test_the_owner_ends_the_network_and_the_board_says_so);
  RUN(test_stopping_twice_at_the_same_time_is_fine);
  RUN(test_ports_are_set_by_number);
  RUN(test_a_joined_network_has_switches_too);
  RUN(test_an_interface_becomes_an_uplink_and_comes_back);
  RUN(test_every_board_is_told_each_event_once);
  RUN(test_a_thread_that_ends_takes_its_switches_along);
  RUN(test_abandoned_creations_leave_nothing);
  RUN(test_cycles_leave_nothing);
  RUN(test_shutdown_ends_switches);
  client_close(c);
  CHECK(vn_shutdown(2000) == 0);
  return finish();
}
