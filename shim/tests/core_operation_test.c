// SPDX-License-Identifier: MIT
/* core_operation_test.c - operations: results, deadlines, cancel, late success, hung calls. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "control.h"
#include "core_fake.h"
#include "operation.h"
#include "test.h"

static int32_t context, fd;
static uint8_t out[4096];

static void begin(void) {
  context = vn_open();
  fd = vn_doorbell(context);
}

static void finish_context(void) {
  CHECK(!vn_close(context));
  close(fd);
}

static bool soon(uint32_t (*what)(void), uint32_t expected) { /* on a busy machine thousands of operations take their time */
  for (int i = 0; i < 20000 && what() != expected; i++) vn_sleep_ns(1000000);
  return what() == expected;
}

static uint64_t ms_since(uint64_t start) { return (vn_monotonic_ns() - start) / 1000000; }

static bool done_is_announced(int32_t operation, int ms) {
  uint32_t ready[2] = {0};
  return fake_wait_bytes(fd, ms) && vn_poll(context, ready, 1) == 1 && ready[0] == (uint32_t)operation &&
         ready[1] == VN_READY_DONE;
}

static void a_result_is_announced_and_fetched_once(void) {
  begin();
  int32_t operation = fake_call(context, VN_OP_PROBE, fake_options("delay", 20, NULL), 0), length;
  CHECK(operation > 0 && vn_result(operation, out, sizeof out) == -VN_PENDING);
  CHECK(done_is_announced(operation, 2000));
  length = vn_result(operation, out, 3); /* no room: it stays */
  CHECK(length > 3 && vn_result(operation, NULL, 4096) == length);
  CHECK(vn_result(operation, out, (uint32_t)length) == length);
  char text[16];
  CHECK(vn_list_valid(out, (uint32_t)length) && vn_list_text(out, (uint32_t)length, "backend", text, 16) && !strcmp(text, "fake"));
  CHECK(vn_list_number(out, (uint32_t)length, "status", 99) == VN_OK);
  CHECK(vn_result(operation, out, sizeof out) == -VN_STALE && vn_cancel(operation) == -VN_STALE);
  finish_context();
}

static void a_made_object_gets_a_handle_on_fetch(void) {
  begin();
  int32_t network = 0, share = 0, nic = 0;
  CHECK(!fake_finish(context, fake_call(context, VN_OP_NETWORK_CREATE, fake_options(NULL), 0), &network) && network > 0);
  CHECK(!fake_finish(context, fake_call(network, VN_OP_INTERFACE_START, fake_options(NULL), 0), &nic) && nic > 0);
  CHECK(!fake_finish(context, fake_call(network, VN_OP_NETWORK_SHARE, fake_options(NULL), 0), &share) && share > 0);
  CHECK(fake_alive() == 3);
  CHECK(!fake_finish(context, fake_call(share, VN_OP_STOP, fake_options(NULL), 0), NULL));
  CHECK(vn_close(share) == -VN_STALE && !vn_close(nic) && fake_alive() == 1);
  finish_context();
  CHECK(fake_alive() == 0 && soon(vn_objects_alive, 0));
}

static void a_failure_carries_what_is_known(void) {
  begin();
  int32_t operation = fake_call(context, VN_OP_NETWORK_CREATE, fake_options("fail", VN_BAD_OPTION, NULL), 0);
  CHECK(done_is_announced(operation, 2000));
  int32_t length = vn_result(operation, out, sizeof out);
  char text[64];
  CHECK(vn_list_number(out, (uint32_t)length, "status", 0) == VN_BAD_OPTION);
  CHECK(vn_list_text(out, (uint32_t)length, "field", text, 64) && !strcmp(text, "mtu"));
  operation = fake_call(context, VN_OP_NETWORK_JOIN, fake_options(NULL), 0);
  CHECK(done_is_announced(operation, 2000));
  length = vn_result(operation, out, sizeof out);
  CHECK(vn_list_number(out, (uint32_t)length, "status", 0) == VN_IN_USE && vn_list_number(out, (uint32_t)length, "errno", 0) == 98);
  CHECK(vn_list_text(out, (uint32_t)length, "message", text, 64) && !strcmp(text, "Cannot join: Address already in use"));
  finish_context();
}

static void a_deadline_ends_an_operation_and_undoes_its_late_success(void) {
  begin();
  uint64_t start = vn_monotonic_ns();
  uint32_t made = fake_made();
  int32_t operation = fake_call(context, VN_OP_INTERFACE_START, fake_options("delay", 1000, "stubborn", 1, NULL), 30);
  CHECK(done_is_announced(operation, 2000));
  uint64_t took = ms_since(start);
  CHECK(took >= 30 && took < 900);
  CHECK(fake_finish(context, operation, NULL) == VN_TIMEOUT);
  CHECK(soon(vn_control_running, 0) && fake_made() == made + 1 && fake_alive() == 0); /* it came, and was undone */
  CHECK(soon(vn_operations_alive, 0));
  finish_context();
}

static void nearer_deadlines_come_first(void) {
  begin();
  int32_t late = fake_call(context, VN_OP_PROBE, fake_options("delay", 5000, NULL), 120);
  int32_t early = fake_call(context, VN_OP_PROBE, fake_options("delay", 5000, NULL), 20);
  CHECK(done_is_announced(early, 2000) && done_is_announced(late, 2000));
  CHECK(fake_finish(context, early, NULL) == VN_TIMEOUT && fake_finish(context, late, NULL) == VN_TIMEOUT);
  finish_context();
}

static void cancel_ends_an_operation_at_once(void) {
  begin();
  int32_t operation = fake_call(context, VN_OP_INTERFACE_START, fake_options("delay", 100, "stubborn", 1, NULL), 0);
  CHECK(vn_cancel(operation) == VN_OK && vn_cancel(operation) == VN_OK);
  CHECK(done_is_announced(operation, 0));
  CHECK(fake_finish(context, operation, NULL) == VN_CANCELLED);
  CHECK(soon(vn_control_running, 0) && fake_alive() == 0);
  operation = fake_call(context, VN_OP_PROBE, fake_options(NULL), 0); /* too late to cancel: the result stays */
  CHECK(done_is_announced(operation, 2000) && vn_cancel(operation) == VN_OK && fake_finish(context, operation, NULL) == VN_OK);
  finish_context();
}

static void closing_an_operation_forgets_it(void) {
  begin();
  int32_t running = fake_call(context, VN_OP_INTERFACE_START, fake_options("delay", 50, "stubborn", 1, NULL), 0);
  int32_t done = fake_call(context, VN_OP_INTERFACE_START, fake_options(NULL), 0);
  CHECK(done_is_announced(done, 2000));
  CHECK(fake_alive() == 1 && !vn_close(done) && !vn_close(running));
  CHECK(vn_result(done, out, sizeof out) == -VN_STALE);
  CHECK(soon(vn_control_running, 0) && fake_alive() == 0 && soon(vn_operations_alive, 0));
  finish_context();
}

static void stop_keeps_the_handle_until_it_ended(void) {
  begin();
  int32_t nic = fake_start(context);
  uint32_t words[6];
  int32_t stop = fake_call(nic, VN_OP_STOP, fake_options("delay", 30, NULL), 0);
  int32_t again = fake_call(nic, VN_OP_STOP, fake_options(NULL), 0);
  CHECK(stop > 0 && again > 0);
  CHECK(vn_drain(nic, out, 64, words, 1) == -VN_STOPPED && vn_send(nic, out, 64, words, 0, 1) == -VN_STOPPED);
  CHECK(fake_finish(context, stop, NULL) == VN_OK);
  CHECK(vn_drain(nic, out, 64, words, 1) == -VN_STALE && fake_call(nic, VN_OP_STOP, fake_options(NULL), 0) == -VN_STALE);
  CHECK(fake_finish(context, again, NULL) == VN_OK);
  nic = fake_start(context); /* a stop that does not end in time still takes the handle along */
  stop = fake_call(nic, VN_OP_STOP, fake_options("delay", 100, "stubborn", 1, NULL), 10);
  CHECK(fake_finish(context, stop, NULL) == VN_TIMEOUT && vn_close(nic) == -VN_STALE && fake_alive() == 0);
  nic = fake_start(context); /* and so does one that nobody waits for */
  stop = fake_call(nic, VN_OP_STOP, fake_options(NULL), 0);
  CHECK(!vn_close(stop) && vn_close(nic) == -VN_STALE && fake_alive() == 0);
  finish_context();
}

/* make() - What the operation makes, by its handle; 0 when it failed. */
static int32_t make(int32_t target, uint32_t op, struct fake_list options) {
  int32_t handle = 0;
  return fake_finish(context, fake_call(target, op, options, 0), &handle) ? 0 : handle;
}

/* ended() - Waits for its end, and leaves its result. */
static bool ended(int32_t operation) {
  int32_t length = -VN_PENDING;
  for (int i = 0; i < 5000 && (length = vn_result(operation, NULL, 0)) == -VN_PENDING; i++) vn_sleep_ns(1000000);
  return length > 0;
}

static void operations_of_switches_are_for_switches(void) {
  begin();
  static const uint32_t ops[] = {VN_OP_ENDPOINT_OPEN, VN_OP_PORT_SET, VN_OP_TAP_OPEN, VN_OP_INTERCEPT_OPEN, VN_OP_RULE_ADD};
  int32_t sw = make(context, VN_OP_SWITCH_CREATE, fake_options(NULL)), nic = fake_start(context);
  int32_t tap = make(sw, VN_OP_TAP_OPEN, fake_options(NULL)), endpoint = make(sw, VN_OP_ENDPOINT_OPEN, fake_options(NULL));
  CHECK(sw > 0 && nic > 0 && tap > 0 && endpoint > 0);
  for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
    CHECK(fake_call(context, ops[i], fake_options(NULL), 0) == -VN_BAD_CALL && fake_call(nic, ops[i], fake_options(NULL), 0) == -VN_BAD_CALL);
    CHECK(fake_call(tap, ops[i], fake_options(NULL), 0) == -VN_BAD_CALL && fake_call(endpoint, ops[i], fake_options(NULL), 0) == -VN_BAD_CALL);
    CHECK(fake_finish(context, fake_call(sw, ops[i], fake_options(NULL), 0), NULL) == VN_OK);
  }
  CHECK(fake_call(sw, VN_OP_SWITCH_CREATE, fake_options(NULL), 0) == -VN_BAD_CALL);
  CHECK(fake_finish(context, fake_call(tap, VN_OP_STOP, fake_options(NULL), 0), NULL) == VN_OK && vn_close(tap) == -VN_STALE);
  CHECK(fake_finish(context, fake_call(endpoint, VN_OP_STOP, fake_options(NULL), 0), NULL) == VN_OK);
  CHECK(fake_finish(context, fake_call(sw, VN_OP_STOP, fake_options(NULL), 0), NULL) == VN_OK);
  finish_context();
  CHECK(soon(vn_objects_alive, 0));
}

static void another_object_is_named_by_its_handle(void) {
  begin();
  int32_t sw = make(context, VN_OP_SWITCH_CREATE, fake_options(NULL)), nic = fake_start(context), gone = fake_start(context);
  struct vn_writer huge = {0};
  CHECK(!vn_close(gone));
  CHECK(fake_call(sw, VN_OP_ENDPOINT_OPEN, fake_options("object", gone, NULL), 0) == -VN_STALE);
  CHECK(fake_call(sw, VN_OP_ENDPOINT_OPEN, fake_options("object", sw, NULL), 0) == -VN_BAD_CALL);
  CHECK(fake_call(sw, VN_OP_ENDPOINT_OPEN, fake_options("object", context, NULL), 0) == -VN_BAD_CALL);
  vn_write_number(&huge, "object", UINT64_MAX);
  CHECK(vn_call(sw, VN_OP_ENDPOINT_OPEN, huge.data, huge.length, 0) == -VN_STALE);
  vn_writer_free(&huge);
  int32_t operation = fake_call(sw, VN_OP_ENDPOINT_OPEN, fake_options("object", nic, "delay", 20, "stubborn", 1, NULL), 0);
  CHECK(operation > 0 && !vn_close(nic)); /* it is held */
  CHECK(ended(operation));
  int32_t length = vn_result(operation, out, sizeof out);
  CHECK(vn_list_number(out, (uint32_t)length, "other", 0) == VN_INTERFACE && vn_list_number(out, (uint32_t)length, "status", 9) == VN_OK);
  finish_context();
  CHECK(soon(vn_objects_alive, 0));
}

static int32_t drained(int32_t nic) {
  static uint8_t arena[64];
  static uint32_t words[6];
  int32_t answer = vn_drain(nic, arena, sizeof arena, words, 1);
  if (answer == -VN_IN_USE) CHECK(vn_send(nic, arena, sizeof arena, words, 0, 0) == -VN_IN_USE && vn_interest(nic, 1) == -VN_IN_USE);
  return answer;
}

static void an_interface_is_lent_from_the_call_on(void) {
  begin();
  int32_t sw = make(context, VN_OP_SWITCH_CREATE, fake_options(NULL)), nic = fake_start(context);
  for (int on = 0; on < 2; on++) { /* as the target, and named */
    int32_t target = on ? sw : nic, object = on ? nic : 0;
    uint32_t op = on ? VN_OP_ENDPOINT_OPEN : VN_OP_SWITCH_CREATE;
    int32_t operation = fake_call(target, op, fake_options("object", object, "fail", VN_BAD_OPTION, "delay", 10, NULL), 0);
    CHECK(operation > 0 && drained(nic) == -VN_IN_USE);
    CHECK(fake_call(target, op, fake_options("object", object, NULL), 0) == -VN_IN_USE);
    CHECK(fake_finish(context, operation, NULL) == VN_BAD_OPTION && drained(nic) == 0); /* a failure gives it back */
    operation = fake_call(target, op, fake_options("object", object, "hang", 1, NULL), 0);
    CHECK(soon(fake_hanging, 1) && !vn_cancel(operation) && drained(nic) == -VN_IN_USE);
    fake_let_go();
    CHECK(soon(vn_control_running, 0) && drained(nic) == 0); /* as does the late end of what nobody waits for */
    CHECK(fake_finish(context, operation, NULL) == VN_CANCELLED);
    operation = fake_call(target, op, fake_options("object", object, "keep", 1, NULL), 0);
    CHECK(ended(operation) && fake_finish(context, operation, NULL) == VN_OK && drained(nic) == -VN_IN_USE);
    struct vn_port *port = fake_lent();
    CHECK(port != NULL);
    if (port) vn_port_return(port);
    CHECK(drained(nic) == 0);
  }
  finish_context();
  CHECK(soon(vn_objects_alive, 0));
}

static void a_tap_is_drained_like_an_interface(void) {
  static uint8_t arena[64];
  static uint32_t words[6] = {0, 60, 0, 5 * VN_META_PORT};
  struct vn_frame frame;
  begin();
  int32_t sw = make(context, VN_OP_SWITCH_CREATE, fake_options(NULL)), tap = make(sw, VN_OP_TAP_OPEN, fake_options(NULL));
  struct fake_interface *fake = fake_interface_of(tap);
  CHECK(vn_interest(tap, VN_READY_PACKETS) == VN_OK && vn_interest(sw, VN_READY_PACKETS) == -VN_BAD_CALL);
  CHECK(vn_drain(sw, arena, 64, words, 1) == -VN_BAD_CALL && vn_send(sw, arena, 64, words, 0, 1) == -VN_BAD_CALL);
  /* Of an intercept the script's own word goes along: which port a frame came from. */
  fake->ends.marked = true;
  CHECK(vn_send(tap, arena, 64, words, 0, 1) == 1);
  CHECK(vn_ring_take(&fake->ends.tx, &frame) && frame.length == 60 && frame.meta == 5 * VN_META_PORT);
  memset(vn_ring_reserve(&fake->ends.rx, 60, 0), 7, 60);
  vn_ring_publish(&fake->ends.rx);
  vn_port_arrived(&fake->ends.port);
  CHECK((vn_drain(tap, arena, 64, words, 1) & 0xffff) == 1 && arena[0] == 7 && fake_stat(tap, "framesIn") == 1);
  finish_context();
}

static bool is_open(int descriptor) { return fcntl(descriptor, F_GETFD) >= 0; }

static void descriptors_change_hands_with_the_reply(void) {
  begin();
  int32_t sw = make(context, VN_OP_SWITCH_CREATE, fake_options(NULL)), handle = 0;
  int take = dup(0), give = dup(0);
  CHECK(fake_finish(context, fake_call(sw, VN_OP_ENDPOINT_OPEN, fake_options("take", take, "give", give, NULL), 0), &handle) == VN_OK);
  CHECK(handle > 0 && !is_open(take) && is_open(give));
  take = dup(0);
  CHECK(fake_finish(context, fake_call(sw, VN_OP_ENDPOINT_OPEN, fake_options("take", take, "give", give, "fail", 7, NULL), 0), NULL) == 7);
  CHECK(is_open(take) && !is_open(give));
  give = dup(0); /* done, but never fetched */
  int32_t operation = fake_call(sw, VN_OP_ENDPOINT_OPEN, fake_options("take", take, "give", give, NULL), 0);
  CHECK(ended(operation) && is_open(take) && is_open(give) && !vn_close(operation));
  CHECK(is_open(take) && !is_open(give));
  give = dup(0); /* cancelled, and done too late */
  struct fake_list list = fake_options("take", take, "give", give, "delay", 50, "stubborn", 1, NULL);
  operation = fake_call(sw, VN_OP_ENDPOINT_OPEN, list, 0);
  vn_cancel(operation);
  CHECK(fake_finish(context, operation, NULL) == VN_CANCELLED && soon(vn_control_running, 0) && soon(vn_operations_alive, 0));
  CHECK(is_open(take) && !close(take));
  if (is_open(give)) close(give); /* it was cancelled before it began */
  finish_context();
  CHECK(fake_alive() == 0 && soon(vn_objects_alive, 0));
}

static void events_that_did_not_fit_are_told_again(void) {
  begin();
  int32_t network, length;
  CHECK(!fake_finish(context, fake_call(context, VN_OP_NETWORK_CREATE, fake_options(NULL), 0), &network));
  fake_add_events(3);
  length = vn_get(network, VN_GET_EVENTS, out, 10);
  CHECK(length > 10 && vn_get(network, VN_GET_EVENTS, NULL, 0) == length);
  CHECK(vn_get(network, VN_GET_EVENTS, out, sizeof out) == length && vn_list_number(out, (uint32_t)length, "change", 0) == 1);
  CHECK(vn_get(network, VN_GET_EVENTS, out, sizeof out) == 0);
  fake_add_events(3);
  CHECK(vn_get(network, VN_GET_EVENTS, out, 10) > 10);
  finish_context(); /* with events left */
}

static void eight_hung_calls_answer_busy_and_recover(void) {
  begin();
  int32_t hung[VN_CONTROL_THREADS], waiting, ready;
  struct fake_list hang = fake_options("hang", 1, NULL);
  for (int i = 0; i < VN_CONTROL_THREADS; i++) hung[i] = fake_call(context, VN_OP_INTERFACE_START, hang, 1200);
  CHECK(soon(fake_hanging, VN_CONTROL_THREADS));
  waiting = fake_call(context, VN_OP_PROBE, fake_options(NULL), 0); /* they may still return */
  CHECK(waiting > 0);
  for (int i = 0; i < VN_CONTROL_THREADS; i++) CHECK(fake_finish(context, hung[i], NULL) == VN_TIMEOUT);
  CHECK(fake_call(context, VN_OP_PROBE, fake_options(NULL), 0) == -VN_BUSY);
  CHECK(vn_result(waiting, out, sizeof out) == -VN_PENDING);
  CHECK(vn_control_threads() == VN_CONTROL_THREADS);
  fake_let_go();
  CHECK(fake_finish(context, waiting, NULL) == VN_OK);
  CHECK(soon(fake_alive, 0));
  ready = fake_call(context, VN_OP_PROBE, fake_options(NULL), 0);
  CHECK(fake_finish(context, ready, NULL) == VN_OK);
  finish_context();
}

/* What was cancelled a moment ago will return. */
static void eight_cancelled_calls_are_waited_for(void) {
  begin();
  int32_t operations[VN_CONTROL_THREADS];
  struct fake_list slow = fake_options("delay", 300, "stubborn", 1, NULL);
  for (int i = 0; i < VN_CONTROL_THREADS; i++) operations[i] = fake_call(context, VN_OP_INTERFACE_START, slow, 0);
  vn_sleep_ns(50000000); /* all run */
  for (int i = 0; i < VN_CONTROL_THREADS; i++) CHECK(!vn_cancel(operations[i]));
  CHECK(fake_finish(context, fake_call(context, VN_OP_PROBE, fake_options(NULL), 0), NULL) == VN_OK);
  for (int i = 0; i < VN_CONTROL_THREADS; i++) CHECK(fake_finish(context, operations[i], NULL) == VN_CANCELLED);
  CHECK(soon(fake_alive, 0));
  finish_context();
}

static void the_queue_has_an_end(void) {
  begin();
  int32_t last = 0;
  uint32_t taken = 0;
  while (taken < 2000 && (last = fake_call(context, VN_OP_PROBE, fake_options("hang", 1, NULL), 0)) > 0) taken++;
  CHECK(last == -VN_BUSY && taken >= VN_CONTROL_QUEUE && taken <= VN_CONTROL_QUEUE + VN_CONTROL_THREADS);
  CHECK(soon(fake_hanging, VN_CONTROL_THREADS));
  finish_context(); /* cancels them all */
  CHECK(soon(vn_operations_alive, VN_CONTROL_THREADS));
  fake_let_go();
  CHECK(soon(vn_operations_alive, 0) && soon(vn_objects_alive, 0));
}

static void idle_threads_leave(void) {
  CHECK(soon(vn_control_threads, 0));
}

int main(void) {
  vn_abi_version();
  RUN(a_result_is_announced_and_fetched_once);
  RUN(a_made_object_gets_a_handle_on_fetch);
  RUN(a_failure_carries_what_is_known);
  RUN(a_deadline_ends_an_operation_and_undoes_its_late_success);
  RUN(nearer_deadlines_come_first);
  RUN(cancel_ends_an_operation_at_once);
  RUN(closing_an_operation_forgets_it);
  RUN(stop_keeps_the_handle_until_it_ended);
  RUN(operations_of_switches_are_for_switches);
  RUN(another_object_is_named_by_its_handle);
  RUN(an_interface_is_lent_from_the_call_on);
  RUN(a_tap_is_drained_like_an_interface);
  RUN(descriptors_change_hands_with_the_reply);
  RUN(events_that_did_not_fit_are_told_again);
  RUN(eight_hung_calls_answer_busy_and_recover);
  RUN(eight_cancelled_calls_are_waited_for);
  RUN(the_queue_has_an_end);
  RUN(idle_threads_leave);
  return finish();
}
