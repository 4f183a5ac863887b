// SPDX-License-Identifier: MIT
/* Endpoints, whatever their class: life and end from any state. */
#include <pthread.h>
#include <sys/socket.h>

#include "client.h"
#include "core/doorbell.h"
#include "core/handle.h"
#include "embedded/holder.h"
#include "plane/board.h"
#include "plane/endpoint.h"

static struct client *c;

static int32_t make(int32_t on) {
  uint32_t status = client_call(c, on, VN_OP_SWITCH_CREATE, NULL);
  return status ? -(int32_t)status : client_handle(c);
}

static struct vn_object *object_of(int32_t handle) {
  struct vn_object *object;
  return vn_handle_find(handle, &object) ? NULL : object;
}

static uint64_t process_number(const char *key) {
  client_get(c, c->context, VN_GET_STATS);
  return client_number(c, key);
}

static bool objects_settle(uint64_t before) {
  for (int i = 0; i < 400 && process_number("objects") > before; i++) usleep(5000);
  return process_number("objects") <= before;
}

/* A class that counts, and fails where it is told to. */

static vn_atomic_u32 opened, begun, ended, freed, removed;
static vn_atomic_u32 end_status;
static uint32_t open_answers, begin_answers, fail_in_begin;
static bool keep_fd;

struct fake {
  struct vn_endpoint endpoint; /* first */
  struct vn_net_port port;
  bool added;
  int fd;
};

static void fake_output(struct vn_net_port *port, const struct vn_packet *packet) { (void)port, (void)packet; }
static void fake_flush(struct vn_net_port *port) { (void)port; }
static uint32_t fake_queued(struct vn_net_port *port) { return (void)port, 77; }

static void fake_removed(struct vn_net_port *port, uint32_t status) {
  struct fake *fake = (struct fake *)((char *)port - offsetof(struct fake, port));
  fake->added = false;
  atomic_fetch_add(&removed, 1);
  vn_endpoint_fail(&fake->endpoint, status);
}

static const struct vn_net_port_class fake_port = {
    .output = fake_output, .flush = fake_flush, .removed = fake_removed, .queued = fake_queued};

static uint32_t fake_open(struct vn_job *job, struct vn_endpoint *endpoint) {
  struct fake *fake = (struct fake *)endpoint;
  atomic_fetch_add(&opened, 1);
  fake->fd = -1;
  if (keep_fd) fake->fd = endpoint->options.fd, endpoint->options.fd = -1;
  return open_answers ? vn_fail(job, open_answers, "path", "it was told to fail") : VN_OK;
}

static uint32_t fake_begin(struct vn_endpoint *endpoint) {
  struct fake *fake = (struct fake *)endpoint;
  atomic_fetch_add(&begun, 1);
  if (begin_answers) return begin_answers;
  fake->port.class = &fake_port;
  if (!vn_endpoint_port_init(endpoint, &fake->port) || !vn_network_add(endpoint->network, &fake->port)) {
    vn_guard_free(fake->port.guard);
    return VN_NO_MEMORY;
  }
  fake->added = true;
  vn_plane_event(&fake->port, VN_CONNECTED, NULL, NULL);
  if (fail_in_begin) vn_endpoint_fail(endpoint, fail_in_begin);
  return VN_OK;
}

static void fake_end(struct vn_endpoint *endpoint, uint32_t status) {
  struct fake *fake = (struct fake *)endpoint;
  atomic_fetch_add(&ended, 1);
  end_status = status;
  if (fake->added) vn_plane_event(&fake->port, VN_DISCONNECTED, NULL, NULL);
  if (fake->added) vn_network_remove(&fake->port, status);
}

static void fake_free(struct vn_endpoint *endpoint) {
  struct fake *fake = (struct fake *)endpoint;
  atomic_fetch_add(&freed, 1);
  if (fake->fd >= 0) close(fake->fd);
}

static void fake_stats(struct vn_endpoint *endpoint, struct vn_writer *out) {
  (void)endpoint;
  vn_write_number(out, "answer", 42);
}

static const struct vn_endpoint_class fake_class = {.kind = "fake", .size = sizeof(struct fake), .open = fake_open, .begin = fake_begin,
                                                    .end = fake_end, .free = fake_free, .stats = fake_stats};

static void reset(void) {
  opened = begun = ended = freed = removed = 0;
  end_status = 0;
  open_answers = begin_answers = fail_in_begin = 0;
  keep_fd = false;
}

static struct vn_job new_job(int32_t board) {
  static vn_atomic_u32 running = 1;
  struct vn_object *target = object_of(board);
  return (struct vn_job){.op = VN_OP_ENDPOINT_OPEN, .target = target, .doorbell = target->doorbell, .state = &running, .taken = -1, .given = -1};
}

/* What a control thread does for VN_OP_ENDPOINT_OPEN, with that class. Its status, and the handle. */
static uint32_t open_with(int32_t board, const struct vn_endpoint_options *options, int32_t *handle) {
  struct vn_job job = new_job(board);
  uint32_t status = vn_endpoint_make(&job, (struct vn_board *)job.target, &fake_class, options);
  vn_writer_free(&job.result);
  *handle = 0;
  if (status == VN_OK) {
    CHECK(job.taken == (options->has_fd ? options->fd : -1));
    *handle = vn_handle_new(job.doorbell->context, job.made);
  } else {
    CHECK(job.taken == -1 && job.made == NULL);
  }
  return status;
}

static const struct vn_endpoint_options plain = {.fd = -1, .label = "guest one"};

static uint32_t state_of(int32_t handle) {
  client_get(c, handle, VN_GET_STATE);
  return (uint32_t)client_number(c, "status");
}

static bool becomes(int32_t handle, uint32_t status) {
  for (int i = 0; i < 400; i++) {
    if (state_of(handle) == status) return true;
    usleep(5000);
  }
  return false;
}

static bool counts(vn_atomic_u32 *what, uint32_t wanted) {
  for (int i = 0; i < 400 && atomic_load(what) != wanted; i++) usleep(5000);
  return atomic_load(what) == wanted;
}

static uint32_t port_numbers(int32_t board, uint32_t *numbers, uint32_t most, const char *key) {
  struct vn_reader reader;
  struct vn_entry entry;
  uint32_t count = 0;
  client_get(c, board, VN_GET_STATS);
  vn_list_read(&reader, c->result, c->length);
  while (vn_list_next(&reader, &entry))
    if (vn_entry_is(&entry, VN_LIST, "port") && count < most)
      numbers[count++] = (uint32_t)vn_list_number(entry.value, entry.length, key, 0);
  return count;
}

static void test_an_endpoint_lives_and_is_stopped(void) {
  reset();
  uint64_t objects = process_number("objects");
  int32_t board = make(c->context), endpoint;
  uint32_t serials[4];
  CHECK(open_with(board, &plain, &endpoint) == VN_OK && endpoint > 0);
  CHECK(opened == 1 && begun == 1 && ended == 0);
  CHECK(state_of(endpoint) == VN_OK);
  CHECK(client_get(c, endpoint, VN_GET_STATS) && client_number(c, "answer") == 42 && client_number(c, "clients") == 0);
  uint32_t serial = (uint32_t)client_number(c, "serial");
  CHECK(serial > 0 && strcmp(client_text(c, "kind"), "fake") == 0);
  CHECK(port_numbers(board, serials, 4, "endpoint") == 1 && serials[0] == serial);
  CHECK(port_numbers(board, serials, 4, "queued") == 1 && serials[0] == 77);
  struct vn_entry port;
  char text[32];
  CHECK(vn_list_find(c->result, c->length, VN_LIST, "port", &port) && vn_list_text(port.value, port.length, "label", text, 32) &&
        strcmp(text, "guest one") == 0);
  CHECK(vn_get(endpoint, VN_GET_EVENTS, c->result, sizeof c->result) == -VN_BAD_CALL);
  CHECK(client_call(c, endpoint, VN_OP_PORT_SET, NULL) == VN_BAD_CALL && client_call(c, endpoint, VN_OP_ENDPOINT_OPEN, NULL) == VN_BAD_CALL);
  CHECK(client_stop(c, endpoint) == VN_OK);
  CHECK(ended == 1 && removed == 1 && counts(&freed, 1) && end_status == VN_STOPPED);
  CHECK(vn_close(endpoint) == -VN_STALE);
  CHECK(client_get(c, board, VN_GET_EVENTS) && c->length > 0);
  CHECK(client_stop(c, board) == VN_OK && objects_settle(objects));
}

static void test_failures_leave_nothing(void) {
  uint64_t objects = process_number("objects");
  int fds = count_entries("/proc/self/fd");
  int32_t board = make(c->context), endpoint;
  struct vn_endpoint_options with_fd = plain;
  int own = dup(0);
  with_fd.has_fd = true, with_fd.fd = own;
  for (int kept = 0; kept < 2; kept++) {
    reset();
    keep_fd = kept;
    open_answers = VN_IN_USE;
    CHECK(open_with(board, &with_fd, &endpoint) == VN_IN_USE && opened == 1 && begun == 0 && ended == 0 && freed == 1);
    reset();
    keep_fd = kept;
    begin_answers = VN_NO_MEMORY;
    CHECK(open_with(board, &with_fd, &endpoint) == VN_NO_MEMORY && begun == 1 && ended == 0 && freed == 1);
    reset();
    keep_fd = kept;
    CHECK(open_with(board, &with_fd, &endpoint) == VN_OK);
    CHECK(fcntl(own, F_GETFD) >= 0); /* the script's own is closed when it fetches the success */
    CHECK(client_stop(c, endpoint) == VN_OK && ended == 1 && counts(&freed, 1));
  }
  reset();
  with_fd.fd = 100000;
  CHECK(open_with(board, &with_fd, &endpoint) == VN_BAD_OPTION && opened == 0 && freed == 0);
  reset();
  CHECK(fcntl(own, F_GETFD) >= 0 && close(own) == 0);
  struct vn_board *held = (struct vn_board *)object_of(board);
  vn_retain(&held->object);
  CHECK(client_stop(c, board) == VN_OK);
  struct vn_job job = {.op = VN_OP_ENDPOINT_OPEN, .target = &held->object, .doorbell = held->object.doorbell, .taken = -1, .given = -1};
  CHECK(vn_endpoint_make(&job, held, &fake_class, &plain) == VN_GONE && begun == 0 && freed == 1);
  vn_writer_free(&job.result);
  vn_release(&held->object);
  CHECK(objects_settle(objects) && settles("/proc/self/fd", fds));
}

static void test_what_a_board_opened_ends_with_it(void) {
  int32_t network = client_network(c, 1000, false, NULL), a = make(network), b = make(network), of_a[3], of_b;
  reset();
  for (int i = 0; i < 3; i++) CHECK(open_with(a, &plain, &of_a[i]) == VN_OK);
  CHECK(open_with(b, &plain, &of_b) == VN_OK);
  CHECK(client_stop(c, a) == VN_OK && ended == 3);
  for (int i = 0; i < 3; i++) CHECK(state_of(of_a[i]) == VN_STOPPED && client_text(c, "message")[0]);
  CHECK(state_of(of_b) == VN_OK);
  CHECK(client_stop(c, of_a[0]) == VN_OK && vn_close(of_a[1]) == VN_OK);
  CHECK(client_stop(c, network) == VN_OK && ended == 4);
  CHECK(becomes(of_b, VN_GONE) && end_status == VN_GONE);
  CHECK(vn_close(of_a[2]) == VN_OK && vn_close(of_b) == VN_OK && vn_close(b) == VN_OK && vn_close(a) == -VN_STALE);
  CHECK(counts(&freed, 4));
}

static void test_an_endpoint_that_fails_says_why(void) {
  int32_t board = make(c->context), endpoint;
  uint32_t number;
  reset();
  fail_in_begin = VN_SYSTEM;
  CHECK(open_with(board, &plain, &endpoint) == VN_OK);
  CHECK(becomes(endpoint, VN_SYSTEM) && counts(&ended, 1) && end_status == VN_SYSTEM);
  CHECK(client_ready(c, endpoint, 100) & VN_READY_STATE);
  CHECK(client_stop(c, endpoint) == VN_OK && counts(&freed, 1));
  reset();
  CHECK(open_with(board, &plain, &endpoint) == VN_OK);
  CHECK(port_numbers(board, &number, 1, "number") == 1);
  struct vn_writer options = {.data = NULL};
  vn_write_number(&options, "port", number);
  vn_write_number(&options, "disconnect", 1);
  CHECK(client_call(c, board, VN_OP_PORT_SET, &options) == VN_OK);
  CHECK(becomes(endpoint, VN_STOPPED) && removed == 1 && ended == 1);
  CHECK(vn_close(endpoint) == VN_OK && counts(&freed, 1));
  CHECK(client_stop(c, board) == VN_OK);
}

static void test_guards_come_and_go_with_settings(void) {
  int32_t board = make(c->context), endpoint;
  uint32_t number;
  struct vn_endpoint_options guarded = plain;
  guarded.guard.bytes_per_second = 1000000;
  guarded.isolated = true;
  reset();
  CHECK(open_with(board, &guarded, &endpoint) == VN_OK);
  CHECK(port_numbers(board, &number, 1, "isolated") == 1 && number == 1);
  CHECK(port_numbers(board, &number, 1, "number") == 1);
  for (int i = 0; i < 40; i++) {
    struct vn_writer options = {.data = NULL};
    vn_write_number(&options, "port", number);
    if (i & 1) vn_write_number(&options, "bytesPerSecond", i % 4 == 1 ? 0 : 5000000);
    if (i & 2) vn_write_number(&options, "antiSpoof", i & 4);
    if (i & 8) vn_write_bytes(&options, "mac", "\2\0\0\0\0\1", 6);
    uint32_t status = client_call(c, board, VN_OP_PORT_SET, &options);
    CHECK(status == ((i & 2) && (i & 4) ? VN_BAD_OPTION : VN_OK)); /* a flag is 0 or 1 */
  }
  CHECK(client_stop(c, board) == VN_OK && ended == 1);
  vn_close(endpoint);
}

static void test_the_last_port_is_refused_kindly(void) {
  int32_t board = make(c->context), endpoints[VN_SWITCH_PORTS + 1];
  uint32_t most = 0;
  reset();
  while (most <= VN_SWITCH_PORTS && open_with(board, &plain, &endpoints[most]) == VN_OK) most++;
  CHECK(most == VN_SWITCH_PORTS);
  static uint32_t numbers[300];
  CHECK(port_numbers(board, numbers, 300, "number") == VN_SWITCH_PORTS);
  CHECK(client_stop(c, board) == VN_OK && ended == most);
  for (uint32_t i = 0; i < most; i++) vn_close(endpoints[i]);
  CHECK(counts(&freed, most + 1));
}

static void test_open_and_stop_cycles_leave_nothing(void) {
  int most = getenv("VN_LONG") && *getenv("VN_LONG") ? 20000 : 1000;
  int32_t network = client_network(c, 1000, false, NULL), board = make(network), endpoint;
  uint64_t objects = process_number("objects"), handles = process_number("handles");
  int tasks = count_entries("/proc/self/task"), fds = count_entries("/proc/self/fd");
  reset();
  for (int i = 0; i < most; i++) {
    int pair[2];
    struct vn_endpoint_options options = plain;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    options.has_fd = true, options.fd = pair[0];
    keep_fd = i & 1;
    CHECK(open_with(board, &options, &endpoint) == VN_OK);
    close(pair[0]), close(pair[1]);
    if (i & 2) CHECK(client_stop(c, endpoint) == VN_OK);
    else vn_close(endpoint);
    if (i % 100 == 99) client_get(c, board, VN_GET_EVENTS);
  }
  CHECK(counts(&freed, (uint32_t)most) && ended == (uint32_t)most);
  CHECK(objects_settle(objects) && process_number("handles") <= handles);
  CHECK(settles("/proc/self/fd", fds) && settles("/proc/self/task", tasks + 8)); /* control threads linger */
  CHECK(client_stop(c, network) == VN_OK);
  vn_close(board);
}

/* Everything at once, from two threads, with a board that ends below them. */
static int32_t stormy_network;
static vn_atomic_u32 storm_ends;

static void *storm(void *argument) {
  int32_t network = *(int32_t *)argument;
  struct vn_object *object;
  (void)network;
  int32_t context = vn_open();
  vn_handle_find(context, &object);
  uint8_t out[4096];
  while (!atomic_load(&storm_ends)) {
    int32_t operation = vn_call(context, VN_OP_SWITCH_CREATE, NULL, 0, 0), length;
    while ((length = vn_result(operation, out, sizeof out)) == -VN_PENDING) sched_yield();
    int32_t board = (int32_t)vn_list_number(out, (uint32_t)length, "handle", 0);
    if (board <= 0) break;
    struct vn_job job = new_job(board);
    for (int i = 0; i < 4; i++) {
      if (vn_endpoint_make(&job, (struct vn_board *)job.target, &fake_class, &plain) == VN_OK) job.made->class->close(job.made);
      vn_writer_free(&job.result);
      job = new_job(board);
      vn_get(board, VN_GET_STATS, out, sizeof out);
      if (i == 2) vn_call(board, VN_OP_STOP, NULL, 0, 0);
    }
    vn_writer_free(&job.result);
    vn_close(board);
    uint32_t ready[64];
    vn_poll(context, ready, 32);
  }
  vn_close(context);
  return NULL;
}

static void test_a_storm_of_both_leaves_nothing(void) {
  uint64_t objects = process_number("objects");
  pthread_t threads[2];
  reset();
  atomic_store(&storm_ends, 0);
  for (int i = 0; i < 2; i++) pthread_create(&threads[i], NULL, storm, &stormy_network);
  usleep(getenv("VN_LONG") && *getenv("VN_LONG") ? 5000000 : 300000);
  atomic_store(&storm_ends, 1);
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
  CHECK(objects_settle(objects) && opened > 0 && counts(&freed, opened));
}

int main(void) {
  c = client_open();
  RUN(test_an_endpoint_lives_and_is_stopped);
  RUN(test_failures_leave_nothing);
  RUN(test_what_a_board_opened_ends_with_it);
  RUN(test_an_endpoint_that_fails_says_why);
  RUN(test_guards_come_and_go_with_settings);
  RUN(test_the_last_port_is_refused_kindly);
  RUN(test_open_and_stop_cycles_leave_nothing);
  RUN(test_a_storm_of_both_leaves_nothing);
  client_close(c);
  CHECK(vn_shutdown(2000) == 0);
  return finish();
}
