// SPDX-License-Identifier: MIT
/*
 * darwin_stop_test.c - stopping from every state: in any order, any number of times, under traffic, with a framework
 * that is
 * late, fails or hangs; and that thousands of cycles leave nothing. VN_LONG=1: 10,000 of them instead of 500.
 */
#include <sys/wait.h>

#include "darwin_fixture.h"

static void a_stop_gives_everything_back(void) {
  struct client *client = begin_test();
  int32_t nic = start_host(client);
  CHECK(double_count("interfaces") == 1 && double_count("queues") == 2);
  CHECK(client_stop(client, nic) == VN_OK);
  CHECK(vn_drain(nic, client->arena, ARENA, client->descriptors, 1) == -VN_STALE);
  CHECK(all_gone());
  CHECK(end_test(client));
}

static void a_late_stop_is_waited_for(void) {
  struct client *client = begin_test();
  int32_t nic = start_host(client);
  double_set("stop", "late:100");
  uint64_t begun = vn_monotonic_ns();
  CHECK(client_stop(client, nic) == VN_OK);
  CHECK(elapsed_ms(begun) >= 90);
  CHECK(double_count("interfaces") == 0);
  CHECK(end_test(client));
}

static void two_stops_at_the_same_time_are_one(void) {
  struct client *client = begin_test();
  int32_t nic = start_host(client), first, second;
  double_set("stop", "late:30");
  first = vn_call(nic, VN_OP_STOP, NULL, 0, 5000);
  second = vn_call(nic, VN_OP_STOP, NULL, 0, 5000);
  CHECK(first > 0 && second > 0);
  for (int i = 0; i < 2; i++) {
    int32_t length;
    while ((length = vn_result(i ? second : first, client->result, sizeof client->result)) == -VN_PENDING)
      client_ready(client, 0, 5);
    client->length = (uint32_t)length;
    CHECK(client_number(client, "status") == VN_OK);
  }
  CHECK(end_test(client));
}

static void a_closed_handle_stops_in_the_background(void) {
  struct client *client = begin_test();
  int32_t nic = start_host(client);
  CHECK(vn_close(nic) == VN_OK);
  CHECK(all_gone());
  CHECK(end_test(client));
}

static void *open_and_leave(void *unused) {
  struct client *client = client_open();
  CHECK(start_host(client) > 0);
  close(client->bell); /* the thread's end does the rest */
  free(client);
  return unused;
}

static void a_threads_end_stops_its_interfaces(void) {
  script_reset();
  pthread_t thread;
  pthread_create(&thread, NULL, open_and_leave, NULL);
  pthread_join(thread, NULL);
  CHECK(all_gone());
}

static void a_stop_that_fails_ends_the_object_all_the_same(void) {
  struct client *client = begin_test();
  int32_t nic = start_host(client);
  double_set("stop", "fail:1001");
  CHECK(client_stop(client, nic) == VN_OK);
  for (int i = 0; i < 1000 && double_count("queues") > 0; i++) usleep(1000); /* the last block is still at its end */
  CHECK(vn_mac_nics_alive() == 0 && double_count("queues") == 0);
  CHECK(double_count("interfaces") == 1); /* the framework's own leak */
  client_close(client);
  double_add("interfaces", -1);
}

/* Whoever sees the deadline first, the keeper or the control thread: something is left, and that is what is said. */
static void a_hanging_stop_holds_nobody_up(void) {
  struct client *client = begin_test();
  int32_t nic = start_host(client), other = start_host(client);
  double_set("stop", "hang");
  uint64_t begun = vn_monotonic_ns();
  CHECK(call_within(client, nic, VN_OP_STOP, NULL, 60, 0) == VN_TIMEOUT);
  CHECK(elapsed_ms(begun) < 2000);
  CHECK(vn_mac_nics_alive() == 2);
  uint8_t frame[60];
  make_frame(frame, sizeof frame, everybody, everybody, 1);
  CHECK(client_push(client, other, frame, sizeof frame)); /* another interface goes on */
  begun = vn_monotonic_ns();
  CHECK(vn_shutdown(100) == 2 || vn_mac_nics_alive() == 2); /* the other one hangs now as well */
  CHECK(elapsed_ms(begun) < 2000);
  double_go_on();
  CHECK(end_test(client));
}

static void hanging_stops_that_nobody_waits_for_leave_the_threads_free(void) {
  struct client *client = begin_test();
  int32_t nics[10], next = start_host(client);
  for (int i = 0; i < 10; i++) nics[i] = start_host(client);
  double_set("stop", "hang");
  for (int i = 0; i < 10; i++) CHECK(call_within(client, nics[i], VN_OP_STOP, NULL, 60000, 20) == VN_CANCELLED);
  usleep(100000);
  CHECK(client_call(client, client->context, VN_OP_PROBE, NULL) == VN_OK);
  double_set("stop", "ok");
  uint64_t begun = vn_monotonic_ns();
  CHECK(client_stop(client, next) == VN_OK && elapsed_ms(begun) < 2000);
  double_go_on();
  CHECK(end_test(client));
}

static void straggle(void *nic) {
  usleep(60000);
  vn_mac_nic_event(nic, 1);
}

/* vmnet had the callback in its hands when it was taken off, and puts the event on the queue during the stop. */
static void an_event_may_arrive_until_the_stop_is_complete(void) {
  struct client *client = begin_test();
  int32_t handle = start_host(client);
  struct vn_mac_nic *nic = nic_of(handle);
  dispatch_queue_t events = nic->events;
  dispatch_retain(events);
  double_set("stop", "late:40");
  int32_t operation = vn_call(handle, VN_OP_STOP, NULL, 0, 5000);
  usleep(20000); /* the callback is off, and the queue has run dry */
  dispatch_async_f(events, nic, straggle);
  while (vn_result(operation, client->result, sizeof client->result) == -VN_PENDING) client_ready(client, 0, 5);
  dispatch_release(events);
  CHECK(end_test(client));
}

struct slow_event {
  struct vn_mac_nic *nic;
  vn_atomic_u32 answer;
};

/* What is asked for is done already: it only tells whether the interface is still up. */
static void take_time(void *context) {
  struct slow_event *event = context;
  usleep(60000);
  atomic_store(&event->answer, vmnet_interface_set_event_callback(event->nic->ref, 0, NULL, NULL));
}

static void the_stop_waits_for_event_blocks_that_run(void) {
  struct client *client = begin_test();
  int32_t nic = start_host(client);
  struct slow_event event = {.nic = nic_of(nic)};
  dispatch_async_f(event.nic->events, &event, take_time);
  usleep(5000);
  CHECK(client_stop(client, nic) == VN_OK);
  CHECK(atomic_load(&event.answer) == VMNET_SUCCESS);
  CHECK(end_test(client));
}

static void stop_and_exit(void) {
  struct client *client = begin_test();
  int32_t nic = start_host(client), other = start_host(client);
  double_set("stop", "hang");
  if (nic <= 0 || other <= 0 || vn_call(nic, VN_OP_STOP, NULL, 0, 60000) <= 0) _exit(1);
  usleep(20000);
  exit(0);
}

/* First of all, as the child has one thread only. */
static void a_process_ends_within_its_second_although_a_stop_hangs(void) {
  uint64_t begun = vn_monotonic_ns();
  pid_t child = fork();
  if (child == 0) stop_and_exit();
  int status = -1;
  CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
  CHECK(elapsed_ms(begun) < 2500); /* a second, and what sanitizers do in the end */
}

struct pair {
  int32_t from, to;
};

/* Two interfaces, and frames that are under way between them. */
static struct pair busy_pair(struct client *client) {
  struct pair pair = {start_host(client), start_host(client)};
  CHECK(pair.from > 0 && pair.to > 0);
  vn_interest(pair.to, VN_READY_PACKETS);
  uint8_t frame[1514];
  make_frame(frame, sizeof frame, everybody, everybody, 1);
  for (int i = 0; i < 50; i++) client_send(client, pair.from, frame, sizeof frame);
  return pair;
}

static void *shut_down(void *unused) {
  usleep(3000 + (useconds_t)(vn_monotonic_ns() % 7000));
  CHECK(vn_shutdown(5000) == 0);
  return unused;
}

/* The owner's thread reads and writes while another thread ends everything. */
static void a_shutdown_under_traffic_lets_calls_come_out(void) {
  for (int round = 0; round < (is_long() ? 200 : 20); round++) {
    struct client *client = begin_test();
    if (round % 2) double_set("read_max", "1"), double_set("write_max", "1"); /* many calls of vmnet in one of ours */
    struct pair pair = busy_pair(client);
    uint8_t frame[1514];
    pthread_t thread;
    make_frame(frame, sizeof frame, everybody, everybody, 1);
    pthread_create(&thread, NULL, shut_down, NULL);
    int32_t sent = 0, read = 0;
    while (sent >= 0 || read >= 0) {
      sent = client_send(client, pair.from, frame, sizeof frame);
      read = vn_drain(pair.to, client->arena, ARENA, client->descriptors, BATCH);
    }
    CHECK(sent == -VN_STOPPED && read == -VN_STOPPED);
    pthread_join(thread, NULL);
    CHECK(double_count("interfaces") == 0 && vn_mac_nics_alive() == 0); /* the handles are still there */
    CHECK(end_test(client));
  }
}

static void *shut_down_at_once(void *go) {
  while (!atomic_load((vn_atomic_u32 *)go)) continue;
  CHECK(vn_shutdown(5000) == 0);
  return NULL;
}

/* One drain of hundreds of calls of vmnet, each of 64 KiB, takes longer than the whole stop would without the gate. */
static void a_stop_waits_for_a_drain_that_is_under_way(void) {
  const uint32_t length = 65550, count = 200, room = count * 65552;
  uint8_t *arena = malloc(room), *frame = malloc(length);
  uint32_t *list = calloc(count, VN_DESCRIPTOR_WORDS * sizeof *list);
  make_frame(frame, length, everybody, everybody, 1);
  for (uint32_t i = 0; i < count; i++) list[i * VN_DESCRIPTOR_WORDS + 1] = length;
  for (int round = 0; round < 5; round++) {
    struct client *client = begin_test();
    double_set("read_max", "1");
    double_set("events", "none");
    int32_t ports[2];
    for (int i = 0; i < 2; i++) {
      struct vn_writer options = host_mode();
      vn_write_number(&options, "vmnet_enable_tso", 1);
      ports[i] = client_start(client, client->context, &options);
    }
    CHECK(vn_send(ports[0], frame, length, list, 0, count) == (int32_t)count);
    vn_atomic_u32 go = 0;
    pthread_t thread;
    pthread_create(&thread, NULL, shut_down_at_once, &go);
    usleep(2000);
    atomic_store(&go, 1);
    int32_t read = vn_drain(ports[1], arena, room, client->descriptors, count);
    CHECK(read == -VN_STOPPED || (read & 0xffff) == (int32_t)count);
    pthread_join(thread, NULL);
    CHECK(end_test(client));
  }
  free(list);
  free(frame);
  free(arena);
}

static void a_stop_under_traffic_ends_the_traffic(void) {
  for (int round = 0; round < 20; round++) {
    struct client *client = begin_test();
    if (round % 2) double_set("events", "storm");
    struct pair pair = busy_pair(client);
    int32_t operation = vn_call(round % 4 < 2 ? pair.to : pair.from, VN_OP_STOP, NULL, 0, 5000);
    CHECK(operation > 0);
    while (vn_result(operation, client->result, sizeof client->result) == -VN_PENDING) {
      int32_t read = vn_drain(pair.to, client->arena, ARENA, client->descriptors, 7);
      CHECK(read >= 0 || read == -VN_STOPPED);
    }
    CHECK(end_test(client));
  }
}

struct worker {
  pthread_t thread;
  int cycles;
};

static void *cycle(void *argument) {
  struct worker *worker = argument;
  struct client *client = client_open();
  uint8_t frame[60];
  make_frame(frame, sizeof frame, everybody, everybody, 1);
  for (int i = 0; i < worker->cycles; i++) {
    int32_t nic = start_host(client);
    CHECK(nic > 0);
    if (nic <= 0) break;
    vn_interest(nic, VN_READY_PACKETS);
    if (i % 3 == 0) client_send(client, nic, frame, sizeof frame);
    if (i % 5 == 0) vn_drain(nic, client->arena, ARENA, client->descriptors, BATCH);
    if (i % 2) CHECK(client_stop(client, nic) == VN_OK);
    else vn_close(nic);
  }
  client_close(client);
  return NULL;
}

static void thousands_of_cycles_leave_nothing(void) {
  struct worker workers[2] = {{.cycles = (is_long() ? 10000 : 500) / 2}, {.cycles = (is_long() ? 10000 : 500) / 2}};
  script_reset();
  int descriptors = count_entries("/proc/self/fd"), threads = count_entries("/proc/self/task");
  for (int i = 0; i < 2; i++) pthread_create(&workers[i].thread, NULL, cycle, &workers[i]);
  for (int i = 0; i < 2; i++) pthread_join(workers[i].thread, NULL);
  CHECK(all_gone());
  CHECK(settles("/proc/self/fd", descriptors));
  CHECK(settles("/proc/self/task", threads));
}

/* Deadlines, cancels, closes and the framework's moods, all by chance. */
static void no_order_of_events_leaves_anything(void) {
  static const char *const starts[] = {"ok", "ok", "late:3", "late:15", "null", "fail:1001"};
  static const char *const stops[] = {"ok", "late:3", "late:10"};
  struct client *client = begin_test();
  int descriptors = count_entries("/proc/self/fd");
  for (int i = 0; i < (is_long() ? 3000 : 200); i++) {
    double_set("start", starts[double_random() % 6]);
    double_set("stop", stops[double_random() % 3]);
    struct vn_writer options = host_mode();
    uint32_t status = call_within(client, client->context, VN_OP_INTERFACE_START, &options, double_random() % 4 ? 5000 : 5,
                                  double_random() % 4 ? 0 : 1 + double_random() % 6);
    int32_t nic = status == VN_OK ? client_handle(client) : 0;
    CHECK(status == VN_OK || status == VN_TIMEOUT || status == VN_CANCELLED || status == VMNET_FAILURE);
    if (nic && double_random() % 2) vn_close(nic);
    else if (nic && double_random() % 3) call_within(client, nic, VN_OP_STOP, NULL, double_random() % 2 ? 2 : 5000, 0);
    if (double_random() % 20 == 0) CHECK(vn_shutdown(5000) == 0);
  }
  CHECK(end_test(client));
  CHECK(settles("/proc/self/fd", descriptors - 1));
}

int main(void) {
  RUN(a_process_ends_within_its_second_although_a_stop_hangs);
  struct client *client = begin_test();
  RUN(a_stop_gives_everything_back);
  RUN(a_late_stop_is_waited_for);
  RUN(two_stops_at_the_same_time_are_one);
  RUN(a_closed_handle_stops_in_the_background);
  RUN(a_threads_end_stops_its_interfaces);
  RUN(a_stop_that_fails_ends_the_object_all_the_same);
  RUN(a_hanging_stop_holds_nobody_up);
  RUN(hanging_stops_that_nobody_waits_for_leave_the_threads_free);
  RUN(an_event_may_arrive_until_the_stop_is_complete);
  RUN(the_stop_waits_for_event_blocks_that_run);
  RUN(a_shutdown_under_traffic_lets_calls_come_out);
  RUN(a_stop_waits_for_a_drain_that_is_under_way);
  RUN(a_stop_under_traffic_ends_the_traffic);
  RUN(thousands_of_cycles_leave_nothing);
  RUN(no_order_of_events_leaves_anything);
  client_close(client);
  return finish();
}
