// SPDX-License-Identifier: MIT
/* vmnet's own interfaces, started by a script, as ports of switches and bridges, and back: under every kind of event,
 * with buffers that are full, and with every kind of end. */
#include "darwin_fixture.h"
#include "darwin/network.h"
#include "loan.h"

static struct client *c;
static int32_t near, far, near2, far2; /* two on vmnet's host network; two on a network object, which is apart */
static int32_t apart;

static void open_all(void) {
  c = begin_test();
  near = start_host(c);
  near2 = start_host(c);
  apart = client_network(c, 1001, true, NULL);
  far = client_start(c, apart, NULL);
  far2 = client_start(c, apart, NULL);
  CHECK(near > 0 && near2 > 0 && apart > 0 && far > 0 && far2 > 0);
}

static void close_all(void) {
  int32_t all[] = {near, near2, far, far2, apart};
  for (size_t i = 0; i < 5; i++)
    if (all[i]) CHECK(client_stop(c, all[i]) == VN_OK);
  CHECK(end_test(c));
  for (int i = 0; i < 1000 && vn_registry_alive() != 0; i++) usleep(1000);
  CHECK(vn_registry_alive() == 0);
}

static void a_bridge_carries_every_frame_under_every_kind_of_event(void) {
  static const char *const kinds[] = {"each", "edge", "delay:5", "coalesce", "repeat:3", "miss:30", "storm"};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    open_all();
    double_set("events", kinds[i]);
    struct vn_network *bridge = switch_new(true);
    struct vn_net_port *other = NULL;
    CHECK(lend(near, bridge, true) != NULL && lend_endpoint(far, bridge, &other) == VN_OK);
    uint32_t there = carried(c, near2, far2, 1000, 0, 4000), back = carried(c, far2, near2, 1000, 0, 4000);
    if (there != 1000 || back != 1000) fprintf(stderr, "events=%s: %u there, %u back\n", kinds[i], there, back);
    CHECK(there == 1000 && back == 1000);
    uint8_t frame[60];
    CHECK(client_send(c, near, frame, 60) == -VN_IN_USE && client_drain(c, near, 1, 0) == -VN_IN_USE);
    switch_end(bridge);
    CHECK(carried(c, near2, near, 300, 0, 4000) == 300 && carried(c, far, far2, 300, 0, 4000) == 300);
    double_set("events", "each");
    close_all();
  }
}

/* vmnet keeps silent: the watchdog looks for a switch as it does for a script. */
static void silence_is_noticed(void) {
  open_all();
  struct vn_network *own = switch_new(false);
  struct vn_net_port *other = NULL;
  CHECK(lend(near, own, true) != NULL && lend_endpoint(far, own, &other) == VN_OK);
  CHECK(carried(c, near2, far2, 100, 0, 4000) == 100);
  double_set("events", "none");
  /* The reader is this test: it looks by itself; only the loan depends on being told. */
  CHECK(carried(c, near2, far2, 100, 0, 7000) == 100);
  double_set("events", "each");
  switch_end(own);
  close_all();
}

static void a_loan_that_is_idle_sleeps(void) {
  open_all();
  struct vn_network *own = switch_new(false);
  CHECK(lend(near, own, true) != NULL);
  usleep(300000);
  double before = cpu_ms();
  usleep(500000);
  CHECK(cpu_ms() - before < 100);
  switch_end(own);
  close_all();
}

static void full_buffers_cost_frames_that_are_counted(void) {
  open_all();
  struct vn_network *own = switch_new(false);
  struct vn_net_port *up = lend(near, own, true), *other = NULL;
  CHECK(up != NULL && lend_endpoint(far, own, &other) == VN_OK);
  double_set("exhaust", "3");
  uint8_t frame[100];
  for (uint32_t i = 0; i < 200; i++) {
    make_frame(frame, 100, everybody, (const uint8_t[6]){2, 0, 0, 0, 0, 7}, i);
    for (int k = 0; k < 100 && client_send(c, far2, frame, 100) != 1; k++) continue; /* the test's own writes, too */
    CHECK(client_expect(c, near2, frame, 100, 1000));
  }
  double_set("exhaust", "0");
  CHECK(vn_counted(&up->drops[VN_DROP_FULL]) == 0 && vn_counted(&up->stats.frames_out) == 200);
  struct loan_hold hold;
  hold_begin(&hold, own);
  for (int i = 0; i < 20; i++) CHECK(client_send(c, far2, frame, 100) == 1);
  double_set("exhaust", "1");
  hold_end(&hold, own);
  for (int i = 0; i < 2000 && vn_counted(&up->drops[VN_DROP_FULL]) == 0; i++) usleep(1000);
  usleep(20000); /* what was lost is taken off what went out when the turn is over */
  CHECK(vn_counted(&up->drops[VN_DROP_FULL]) > 0);
  CHECK(vn_counted(&up->drops[VN_DROP_FULL]) + vn_counted(&up->stats.frames_out) == 220);
  double_set("exhaust", "0");
  switch_end(own);
  close_all();
}

/* What comes while it is lent and was not taken is read by the script afterwards. */
static void what_is_left_is_read_by_the_script(void) {
  open_all();
  struct vn_network *own = switch_new(false);
  vn_interest(near, VN_READY_PACKETS);
  client_ready(c, near, 10);
  struct vn_net_port *port = NULL;
  CHECK(lend_endpoint(near, own, &port) == VN_OK);
  struct loan_hold hold;
  uint8_t frame[100];
  hold_begin(&hold, own);
  for (uint32_t i = 0; i < 50; i++) {
    make_frame(frame, 100, everybody, (const uint8_t[6]){2, 0, 0, 0, 0, 7}, i);
    CHECK(client_push(c, near2, frame, 100));
  }
  usleep(20000);
  client_ready(c, near, 0);
  struct loan_command remove = {.command.run = loan_run_remove, .port = port};
  CHECK(vn_network_post(own, &remove.command));
  hold_end(&hold, own);
  CHECK(client_ready(c, near, 2000) & VN_READY_PACKETS);
  int32_t got = 0;
  for (int32_t count; got < 50 && (count = client_drain(c, near, BATCH, 500)) > 0;) got += count;
  CHECK(got == 50);
  switch_end(own);
  close_all();
}

/* With headers on one side and none on the other one. */
static void virtio_headers_are_split_and_joined(void) {
  open_all();
  struct vn_writer options = host_mode();
  vn_write_number(&options, "vmnet_enable_virtio_header", 1);
  int32_t with = client_start(c, c->context, &options);
  struct vn_network *bridge = switch_new(true);
  struct vn_net_port *up = lend(with, bridge, true), *other = NULL;
  CHECK(with > 0 && up != NULL && up->virtio && lend_endpoint(far, bridge, &other) == VN_OK && !other->virtio);
  CHECK(carried(c, near2, far2, 500, 0, 4000) == 500 && carried(c, far2, near2, 500, 0, 4000) == 500);
  CHECK(vn_counted(&up->stats.frames_in) == 500);
  switch_end(bridge);
  CHECK(client_stop(c, with) == VN_OK);
  close_all();
}

static void a_loan_to_its_own_switch_is_refused(void) {
  open_all();
  CHECK(client_call(c, apart, VN_OP_NETWORK_SHARE, NULL) == VN_OK);
  int32_t share = client_handle(c);
  struct vn_loan loan = {.network = ((struct vn_mac_network *)object_of(apart))->shared};
  CHECK(loan.network != NULL && loan_status(far, &loan) == VN_BAD_OPTION);
  CHECK(client_drain(c, far, 1, 0) == 0);
  CHECK(lend(near, loan.network, false) != NULL); /* another network's may */
  CHECK(carried(c, near2, far2, 200, 0, 4000) == 200);
  vn_close(share);
  close_all();
}

static void every_end_is_an_end(void) {
  open_all();
  struct vn_network *own = switch_new(false);
  struct vn_net_port *a = NULL, *b = NULL;
  uint32_t before = vn_atomic_load(&loans_over);
  CHECK(lend_endpoint(near, own, &a) == VN_OK && lend_endpoint(far, own, &b) == VN_OK);
  CHECK(carried(c, near2, far2, 100, 0, 4000) == 100);
  CHECK(client_stop(c, near) == VN_OK); /* by the script, while lent */
  near = 0;
  CHECK(becomes(&loans_over, before + 1) && a == NULL);
  CHECK(client_stop(c, apart) == VN_OK); /* by its network's end */
  apart = 0;
  CHECK(becomes(&loans_over, before + 2) && b == NULL && vn_atomic_load(&own->status) == VN_OK);
  CHECK(client_drain(c, far, 1, 0) == -VN_GONE);
  CHECK(lend(near2, own, true) != NULL && vn_close(near2) == VN_OK); /* the uplink's interface, and so the switch */
  near2 = 0;
  CHECK(vn_network_wait_ended(own, vn_monotonic_ns() + 5000000000ull));
  vn_network_release(own);
  close_all();
}

/* vmnet never answers the stop: the switch is told all the same, at once, and nothing else is held up. */
static void a_stop_that_hangs_ends_the_loan(void) {
  open_all();
  struct vn_network *own = switch_new(false);
  struct vn_net_port *a = NULL, *b = NULL;
  uint32_t before = vn_atomic_load(&loans_over);
  CHECK(lend_endpoint(near, own, &a) == VN_OK && lend_endpoint(near2, own, &b) == VN_OK);
  double_set("stop", "hang");
  uint64_t begun = vn_monotonic_ns();
  CHECK(call_within(c, near, VN_OP_STOP, NULL, 300, 0) == VN_TIMEOUT);
  near = 0;
  CHECK(becomes(&loans_over, before + 1) && elapsed_ms(begun) < 2000);
  int32_t third = start_host(c);
  CHECK(vn_counted(&own->port_count) == 1);
  double_set("stop", "ok");
  double_go_on();
  switch_end(own);
  CHECK(carried(c, third, near2, 200, 0, 4000) == 200);
  CHECK(client_stop(c, third) == VN_OK);
  close_all();
}

static void loans_under_traffic_and_storms_leave_nothing(void) {
  open_all();
  double_set("events", "storm");
  struct vn_network *own = switch_new(false);
  uint8_t frame[200];
  int cycles = is_long() ? 5000 : 300;
  make_frame(frame, 200, everybody, (const uint8_t[6]){2, 0, 0, 0, 0, 7}, 1);
  for (int i = 0; i < cycles; i++) {
    struct vn_net_port *a = NULL, *b = NULL;
    CHECK(lend_endpoint(near, own, &a) == VN_OK && lend_endpoint(far, own, &b) == VN_OK);
    for (int k = 0; k < 4; k++) client_send(c, near2, frame, 200), client_send(c, far2, frame, 200);
    CHECK(give_back(own, a) && give_back(own, b));
    CHECK(client_drain(c, near, BATCH, 0) >= 0 && client_drain(c, far, BATCH, 0) >= 0);
    client_drain(c, near2, BATCH, 0), client_drain(c, far2, BATCH, 0);
  }
  double_set("events", "each");
  while (client_drain(c, near, BATCH, 50) > 0) continue;
  CHECK(carried(c, near2, near, 200, 0, 4000) == 200);
  switch_end(own);
  close_all();
}

/* The same as a script does it; and the switch of a network of vmnet, which is the one that is shared. */
static void switches_and_bridges_by_the_abi(void) {
  open_all();
  int32_t bridge = abi_switch(c, near, true), end = abi_interface(c, bridge, far);
  CHECK(bridge > 0 && end > 0 && client_drain(c, near, 1, 0) == -VN_IN_USE);
  CHECK(carried(c, near2, far2, 300, 0, 4000) == 300 && carried(c, far2, near2, 300, 0, 4000) == 300);
  CHECK(client_stop(c, end) == VN_OK && client_drain(c, far, 1, 0) >= 0);
  CHECK(client_stop(c, bridge) == VN_OK && client_drain(c, near, 1, 0) >= 0);

  int32_t board = abi_switch(c, apart, false);
  usleep(50000); /* what the network's own interface has seen so far comes now */
  CHECK(board > 0 && abi_state(c, board) == VN_OK && client_get(c, board, VN_GET_STATS));
  CHECK(abi_interface(c, board, far) == -VN_BAD_OPTION); /* vmnet has it on that wire already */
  end = abi_interface(c, board, near);
  CHECK(end > 0 && carried(c, near2, far2, 300, 0, 4000) == 300 && carried(c, far2, near2, 300, 0, 4000) == 300);

  struct vn_writer options = {.data = NULL}; /* what this process has of a shared network: pairs of rings */
  CHECK(client_call(c, apart, VN_OP_NETWORK_SHARE, NULL) == VN_OK);
  int32_t share = client_handle(c);
  vn_write_text(&options, "token", client_text(c, "token"));
  CHECK(client_call(c, c->context, VN_OP_NETWORK_JOIN, &options) == VN_OK);
  int32_t joined = client_handle(c), there = client_start(c, joined, NULL);
  CHECK(client_stop(c, end) == VN_OK && (bridge = abi_switch(c, joined, false)) > 0);
  CHECK((end = abi_interface(c, bridge, near)) > 0);
  CHECK(carried(c, near2, far2, 300, 0, 4000) == 300 && carried(c, far2, near2, 300, 0, 4000) == 300);
  CHECK(client_stop(c, bridge) == VN_OK && client_drain(c, near, 1, 0) >= 0);
  vn_close(end);
  while (client_drain(c, there, BATCH, 20) > 0 || client_drain(c, near, BATCH, 20) > 0) continue;
  bridge = abi_switch(c, there, true), end = abi_interface(c, bridge, near);
  CHECK(there > 0 && bridge > 0 && end > 0);
  CHECK(carried(c, near2, far2, 300, 0, 4000) == 300 && carried(c, far2, near2, 300, 0, 4000) == 300);
  CHECK(client_stop(c, there) == VN_OK && abi_becomes(c, bridge, VN_STOPPED));
  CHECK(client_stop(c, bridge) == VN_OK && client_drain(c, near, 1, 0) >= 0);
  CHECK(client_stop(c, joined) == VN_OK);
  vn_close(share), vn_close(end);
  CHECK(client_stop(c, apart) == VN_OK && abi_becomes(c, board, VN_GONE));
  apart = 0;
  CHECK(client_stop(c, board) == VN_OK);
  close_all();
}

/* Stops, ends and returns at the same time, while events come. */
static void ends_at_the_same_time(void) {
  int rounds = is_long() ? 300 : 25;
  uint8_t frame[200];
  make_frame(frame, 200, everybody, (const uint8_t[6]){2, 0, 0, 0, 0, 7}, 1);
  for (int i = 0; i < rounds; i++) {
    open_all();
    double_set("events", i % 3 ? "each" : "storm");
    struct vn_network *bridge = switch_new(i & 1);
    struct vn_net_port *other = NULL;
    CHECK(lend(near, bridge, true) != NULL && lend_endpoint(far, bridge, &other) == VN_OK);
    for (int k = 0; k < 50; k++) client_send(c, near2, frame, 200), client_send(c, far2, frame, 200);
    int32_t first = vn_call(i & 2 ? near : far, VN_OP_STOP, NULL, 0, 5000), second = 0;
    if (i & 2) near = 0;
    else far = 0;
    if (i & 4) second = vn_call(apart, VN_OP_STOP, NULL, 0, 5000), apart = 0;
    if (i & 8) vn_network_stop(bridge, VN_GONE);
    for (int k = 0; k < 50; k++) client_send(c, near2, frame, 200), client_send(c, far2, frame, 200);
    switch_end(bridge);
    if (near) CHECK(!vn_atomic_load(&port_of(near)->lent));
    if (far) CHECK(!vn_atomic_load(&port_of(far)->lent));
    while (first && vn_result(first, c->result, sizeof c->result) == -VN_PENDING) client_ready(c, 0, 5);
    while (second && vn_result(second, c->result, sizeof c->result) == -VN_PENDING) client_ready(c, 0, 5);
    double_set("events", "each");
    close_all();
  }
}

int main(void) {
  script_reset();
  RUN(a_bridge_carries_every_frame_under_every_kind_of_event);
  RUN(silence_is_noticed);
  RUN(a_loan_that_is_idle_sleeps);
  RUN(full_buffers_cost_frames_that_are_counted);
  RUN(what_is_left_is_read_by_the_script);
  RUN(virtio_headers_are_split_and_joined);
  RUN(a_loan_to_its_own_switch_is_refused);
  RUN(every_end_is_an_end);
  RUN(a_stop_that_hangs_ends_the_loan);
  RUN(loans_under_traffic_and_storms_leave_nothing);
  RUN(switches_and_bridges_by_the_abi);
  RUN(ends_at_the_same_time);
  return finish();
}
