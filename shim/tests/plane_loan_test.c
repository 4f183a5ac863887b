// SPDX-License-Identifier: MIT
/* Interfaces that are pairs of rings on other networks' switches: frames, bridges, what comes back, every kind of end.
 * */
#include "loan_pair.h"

#include <pthread.h>

#include "plane/endpoint.h"

static uint64_t stat_of(int32_t handle, const char *key) {
  client_get(c, handle, VN_GET_STATS);
  return client_number(c, key);
}

static void test_frames_pass_both_ways_in_order(void) {
  struct pair p = open_pair();
  struct vn_net_port *port = lend(p.a, p.m, false);
  CHECK(port != NULL);
  CHECK(carried(c, p.a2, p.b, 5000, 0, 3000) == 5000);
  while (client_drain(c, p.b2, BATCH, 1) > 0) continue;
  CHECK(carried(c, p.b, p.a2, 5000, 0, 3000) == 5000);
  CHECK(port != NULL && vn_counted(&port->stats.frames_in) == 5000 && vn_counted(&port->stats.frames_out) == 5000);
  CHECK(stat_of(p.a, "framesIn") == 5000 && stat_of(p.a, "framesOut") == 5000);
  CHECK(vn_counted(&port->drops[VN_DROP_FULL]) == 0 && stat_of(p.a, "droppedIn") == 0);
  close_pair(&p);
}

static void test_the_script_has_it_no_more(void) {
  struct pair p = open_pair();
  struct vn_net_port *port = lend(p.a, p.m, false);
  uint8_t frame[60];
  make_frame(frame, 60, everybody, everybody, 1);
  CHECK(port != NULL && lend(p.a, p.m, false) == NULL);
  CHECK(client_send(c, p.a, frame, 60) == -VN_IN_USE && client_drain(c, p.a, 1, 0) == -VN_IN_USE);
  CHECK(vn_interest(p.a, VN_READY_PACKETS) == -VN_IN_USE);
  CHECK(vn_call(p.a, VN_OP_SWITCH_CREATE, NULL, 0, 0) == -VN_IN_USE);
  CHECK(give_back(p.m, port));
  CHECK(client_drain(c, p.a, 1, 0) == 0 && client_push(c, p.a, frame, 60));
  CHECK(client_expect(c, p.a2, frame, 60, 2000));
  struct vn_loan own = {.network = p.n};
  CHECK(loan_status(p.a, &own) == VN_BAD_OPTION); /* it is on that switch already */
  CHECK(client_drain(c, p.a, 1, 0) == 0);
  close_pair(&p);
}

static void test_what_does_not_fit_is_counted(void) {
  struct pair p = open_pair();
  struct vn_net_port *port = lend(p.a, p.m, false);
  struct loan_hold hold;
  uint8_t frame[1514];
  make_frame(frame, sizeof frame, everybody, (const uint8_t[6]){2, 0, 0, 0, 0, 7}, 1);
  hold_begin(&hold, p.n); /* nobody takes from the interface's ring */
  for (int i = 0; i < 1500; i++) CHECK(client_push(c, p.b, frame, sizeof frame));
  CHECK(client_expect(c, p.b2, frame, sizeof frame, 2000));
  for (int i = 0; i < 2000 && vn_counted(&port->stats.frames_out) + vn_counted(&port->drops[VN_DROP_FULL]) < 1500; i++)
    usleep(1000);
  uint64_t through = vn_counted(&port->stats.frames_out), lost = vn_counted(&port->drops[VN_DROP_FULL]);
  CHECK(through > 600 && lost > 600 && through + lost == 1500);
  CHECK(stat_of(p.a, "droppedOut") == lost);
  hold_end(&hold, p.n);
  uint64_t got = 0;
  for (int32_t count; (count = client_drain(c, p.a2, BATCH, 300)) > 0;) got += (uint64_t)count;
  CHECK(got + stat_of(p.a2, "droppedIn") == through);
  hold_begin(&hold, p.m); /* the other way: nobody takes what the network has for the interface */
  for (int i = 0; i < 1500; i++) CHECK(client_push(c, p.a2, frame, sizeof frame));
  for (int i = 0; i < 2000 && stat_of(p.a, "droppedIn") < 700; i++) usleep(1000);
  usleep(20000);
  lost = stat_of(p.a, "droppedIn");
  hold_end(&hold, p.m);
  for (int i = 0; i < 2000 && vn_counted(&port->stats.frames_in) + lost < 1500; i++) usleep(1000);
  CHECK(lost > 600 && vn_counted(&port->stats.frames_in) + lost == 1500);
  close_pair(&p);
}

/* What came while it was lent and was not taken yet is the script's; it is told, however it waits. */
static void test_what_is_left_is_read_by_the_script(void) {
  struct pair p = open_pair();
  uint8_t frame[100];
  vn_interest(p.a, VN_READY_PACKETS);
  struct vn_net_port *port = lend(p.a, p.m, false);
  struct loan_hold hold;
  hold_begin(&hold, p.m);
  for (uint32_t i = 0; i < 50; i++) {
    make_frame(frame, 100, everybody, (const uint8_t[6]){2, 0, 0, 0, 0, 7}, i);
    CHECK(client_push(c, p.a2, frame, 100));
  }
  usleep(20000);
  client_ready(c, p.a, 0);
  struct loan_command remove = {.command.run = loan_run_remove, .port = port}; /* before the turn that would take them */
  CHECK(vn_network_post(p.m, &remove.command));
  hold_end(&hold, p.m);
  CHECK(client_ready(c, p.a, 2000) & VN_READY_PACKETS);
  CHECK(client_drain(c, p.a, BATCH, 1000) == 50);
  for (uint32_t i = 0; i < 50; i++) {
    uint32_t number;
    memcpy(&number, client_frame(c, (int32_t)i) + 14, 4);
    CHECK(number == i);
  }
  CHECK(carried(c, p.a2, p.a, 2000, 0, 2000) == 2000 && carried(c, p.a, p.a2, 2000, 0, 2000) == 2000);
  close_pair(&p);
}

/* Both ends of a bridge are interfaces; what the slower one has no room for is lost there, and counted. */
static void test_a_bridge_of_two_interfaces(void) {
  struct pair p = open_pair();
  struct vn_network *bridge = switch_new(true);
  struct vn_net_port *up = lend(p.a, bridge, true), *other = NULL, *third = NULL;
  CHECK(up != NULL && lend_endpoint(p.b, bridge, &other) == VN_OK);
  CHECK(lend_endpoint(p.a2, bridge, &third) == VN_IN_USE); /* it has both its ends */
  CHECK(carried(c, p.a2, p.b2, 3000, 0, 3000) == 3000 && carried(c, p.b2, p.a2, 3000, 0, 3000) == 3000);
  struct loan_hold hold;
  uint8_t frame[1514];
  make_frame(frame, sizeof frame, everybody, (const uint8_t[6]){2, 0, 0, 0, 0, 7}, 1);
  hold_begin(&hold, p.m); /* its ring is full at 690 */
  for (int i = 0; i < 1200; i++) {
    CHECK(client_push(c, p.a2, frame, sizeof frame));
    if (i % 200 == 0) usleep(2000);
  }
  for (int i = 0; i < 2000 && vn_counted(&up->stats.frames_in) + stat_of(p.a, "droppedIn") < 4200; i++) usleep(1000);
  usleep(20000);
  uint64_t lost = vn_counted(&other->drops[VN_DROP_FULL]) + stat_of(p.a, "droppedIn");
  CHECK(lost > 400 && lost < 600);
  hold_end(&hold, p.m);
  uint64_t got = 0;
  for (int32_t count; (count = client_drain(c, p.b2, BATCH, 300)) > 0;) got += (uint64_t)count;
  CHECK(got + stat_of(p.b2, "droppedIn") + lost == 1200 && got > 600);
  CHECK(carried(c, p.a2, p.b2, 1000, 0, 3000) == 1000);
  uint32_t before = vn_atomic_load(&loans_over);
  client_stop(c, p.b), p.b = 0; /* the client goes, the bridge waits for another one */
  CHECK(becomes(&loans_over, before + 1) && vn_atomic_load(&bridge->status) == VN_OK);
  client_stop(c, p.a), p.a = 0; /* its interface ends, and so does the bridge */
  CHECK(vn_network_wait_ended(bridge, vn_monotonic_ns() + 3000000000ull));
  CHECK(vn_atomic_load(&bridge->status) == VN_STOPPED);
  vn_network_release(bridge);
  close_pair(&p);
}

/* An interface with headers on a switch among ports without: frames have a header on one side alone. */
static void test_virtio_headers_are_split_and_joined(void) {
  struct pair p = open_pair();
  int32_t v = start_virtio(p.first);
  struct vn_net_port *port = lend(v, p.m, false);
  CHECK(v > 0 && port != NULL && port->virtio && port->max_frame == 1514);
  CHECK(carried(c, p.a, p.b, 500, 0, 2000) == 500);
  while (client_drain(c, p.b2, BATCH, 1) > 0 || client_drain(c, p.a2, BATCH, 1) > 0) continue;
  CHECK(carried(c, p.b, p.a, 500, 0, 2000) == 500);
  int32_t w = start_virtio(p.second);
  while (client_drain(c, w, BATCH, 1) > 0) continue;
  CHECK(w > 0 && carried(c, w, p.a2, 1, 12, 2000) == 0); /* it comes without its header, so with another length */
  CHECK(client_length(c, 0) == 60);
  CHECK(give_back(p.m, port));
  while (client_drain(c, v, BATCH, 20) > 0) continue;
  uint8_t frame[60];
  make_frame(frame, 60, everybody, everybody, 5);
  CHECK(client_push(c, p.a2, frame, 60) && client_drain(c, v, 1, 2000) == 1 && client_length(c, 0) == 72);
  client_stop(c, v), client_stop(c, w);
  close_pair(&p);
}

static void test_a_thousand_loans_leave_nothing(void) {
  struct pair p = open_pair();
  uint8_t frame[200];
  const uint64_t objects = 1 + 6; /* the context, two networks, four interfaces */
  uint64_t ports = vn_counted(&p.m->port_count);
  int threads = count_entries("/proc/self/task"), files = count_entries("/proc/self/fd");
  for (uint32_t i = 0; i < 1000; i++) {
    struct vn_net_port *port = lend(p.a, p.m, i % 2);
    CHECK(port != NULL);
    if (port == NULL) break;
    port->table.uplink = false;
    ((struct vn_lent *)port)->loan.uplink = false; /* or the network would end with it */
    make_frame(frame, 200, everybody, (const uint8_t[6]){2, 0, 0, 0, 0, (uint8_t)i}, i);
    client_push(c, p.a2, frame, 200);
    client_push(c, p.b, frame, 200);
    if (i % 100 == 0) CHECK(client_expect(c, p.b2, frame, 200, 2000));
    CHECK(give_back(p.m, port) && !vn_atomic_load(&port_of(p.a)->lent));
    client_drain(c, p.a, BATCH, 0), client_drain(c, p.a2, BATCH, 0), client_drain(c, p.b, BATCH, 0);
    if (i % 50 == 0) client_drain(c, p.b2, BATCH, 0);
  }
  CHECK(objects_become(c, objects) && vn_counted(&p.m->port_count) == ports);
  CHECK(atomic_load(&port_of(p.a)->object.references) == 2); /* the handle's and its network's */
  CHECK(count_entries("/proc/self/fd") <= files && count_entries("/proc/self/task") <= threads);
  while (client_drain(c, p.a, BATCH, 50) > 0) continue; /* what is still on its way */
  CHECK(carried(c, p.a2, p.a, 200, 0, 2000) == 200);
  close_pair(&p);
}

static void test_every_end_is_an_end(void) {
  struct pair p = open_pair();
  struct vn_net_port *port = NULL;
  uint64_t ports = vn_counted(&p.m->port_count);
  uint32_t before = vn_atomic_load(&loans_over);
  CHECK(lend_endpoint(p.a, p.m, &port) == VN_OK && vn_counted(&p.m->port_count) == ports + 1);
  CHECK(client_stop(c, p.a) == VN_OK); /* by the script */
  p.a = 0;
  CHECK(becomes(&loans_over, before + 1) && port == NULL && vn_counted(&p.m->port_count) == ports);

  CHECK(lend_endpoint(p.a2, p.m, &port) == VN_OK); /* by its network's end */
  CHECK(client_stop(c, p.first) == VN_OK);
  p.first = 0;
  CHECK(becomes(&loans_over, before + 2) && vn_counted(&p.m->port_count) == ports);
  CHECK(client_drain(c, p.a2, 1, 0) == -VN_GONE);
  struct vn_loan again = {.network = p.m};
  CHECK(loan_status(p.a2, &again) == VN_GONE);

  int32_t other = client_network(c, 1000, false, NULL);
  int32_t d = client_start(c, other, NULL), e = client_start(c, other, NULL);
  CHECK(lend(d, p.m, false) != NULL && lend_endpoint(e, p.m, &port) == VN_OK); /* by the end of the switch */
  CHECK(client_stop(c, p.second) == VN_OK);
  p.second = 0;
  CHECK(becomes(&loans_over, before + 3));
  CHECK(carried(c, d, e, 500, 0, 2000) == 500);
  struct vn_network *gone = switch_new(false);
  vn_network_stop(gone, VN_GONE);
  vn_network_wait_ended(gone, 0);
  CHECK(lend(d, gone, true) == NULL && lend_endpoint(e, gone, &port) == VN_GONE);
  vn_network_release(gone);
  CHECK(carried(c, e, d, 500, 0, 2000) == 500);

  struct vn_network *own = switch_new(false); /* a switch ends with its uplink's interface; closed without a stop */
  CHECK(lend(d, own, true) != NULL && vn_close(d) == VN_OK);
  CHECK(vn_network_wait_ended(own, vn_monotonic_ns() + 3000000000ull));
  vn_network_release(own);
  CHECK(client_stop(c, e) == VN_OK && client_stop(c, other) == VN_OK);
  close_pair(&p);
}

/* Ends at the same time, in every order, while frames are on their way. */
struct ender {
  pthread_t thread;
  struct vn_network *network;
  uint32_t delay_us;
};

static void *end_it(void *argument) {
  struct ender *ender = argument;
  usleep(ender->delay_us);
  vn_network_stop(ender->network, VN_GONE);
  return NULL;
}

static void test_ends_at_the_same_time(void) {
  int rounds = getenv("VN_LONG") && *getenv("VN_LONG") ? 2000 : 120;
  for (int i = 0; i < rounds; i++) {
    struct pair p = open_pair();
    struct vn_net_port *port = NULL, *up;
    struct vn_network *bridge = switch_new(i & 1);
    uint8_t frame[500];
    make_frame(frame, sizeof frame, everybody, (const uint8_t[6]){2, 0, 0, 0, 0, 7}, 1);
    up = lend(p.a, bridge, true);
    CHECK(up != NULL && lend_endpoint(p.b, bridge, &port) == VN_OK);
    for (int k = 0; k < 100; k++) client_push(c, p.a2, frame, sizeof frame), client_push(c, p.b2, frame, sizeof frame);
    struct ender enders[3] = {{.network = bridge, .delay_us = (uint32_t)(i * 37 % 300)},
                              {.network = p.n, .delay_us = (uint32_t)(i * 53 % 300)},
                              {.network = p.m, .delay_us = (uint32_t)(i * 71 % 300)}};
    for (int k = 0; k < 3; k++)
      if ((i >> k) & 1 || i % 8 == 0) pthread_create(&enders[k].thread, NULL, end_it, &enders[k]);
      else enders[k].network = NULL;
    usleep((uint32_t)(i * 29 % 300));
    if (i & 2) vn_close(p.a), p.a = 0;
    if (i & 4) vn_close(p.b), p.b = 0;
    for (int k = 0; k < 30; k++) client_push(c, p.a2, frame, sizeof frame);
    for (int k = 0; k < 3; k++)
      if (enders[k].network) pthread_join(enders[k].thread, NULL);
    switch_end(bridge);
    if (p.a) CHECK(!vn_atomic_load(&port_of(p.a)->lent));
    if (p.b) CHECK(!vn_atomic_load(&port_of(p.b)->lent));
    if (p.a) CHECK(client_drain(c, p.a, BATCH, 0) != -VN_IN_USE);
    close_pair(&p);
  }
}

/* The same as a script does it. */
static void test_switches_and_bridges_of_interfaces(void) {
  struct pair p = open_pair();
  int32_t bridge = abi_switch(c, p.a, true), end;
  CHECK(bridge > 0 && abi_switch(c, p.a, false) == -VN_IN_USE);
  CHECK(abi_interface(c, bridge, 0) == -VN_BAD_OPTION && abi_interface(c, bridge, p.a) == -VN_IN_USE);
  end = abi_interface(c, bridge, p.b);
  CHECK(end > 0 && abi_interface(c, bridge, p.b2) == -VN_IN_USE && client_drain(c, p.b2, 1, 0) == 0);
  CHECK(carried(c, p.a2, p.b2, 1000, 0, 3000) == 1000 && carried(c, p.b2, p.a2, 1000, 0, 3000) == 1000);
  CHECK(client_stop(c, end) == VN_OK && client_drain(c, p.b, 1, 0) >= 0); /* at once */
  end = abi_interface(c, bridge, p.b);
  CHECK(end > 0 && carried(c, p.b2, p.a2, 300, 0, 3000) == 300);
  client_stop(c, p.b), p.b = 0;
  CHECK(abi_becomes(c, end, VN_STOPPED) && abi_state(c, bridge) == VN_OK);
  CHECK(client_get(c, bridge, VN_GET_EVENTS)); /* a stop of the script's is unsaid; nor is the uplink told of */
  const char *const said[] = {"connected", "connected", "disconnected"};
  uint32_t events = 0;
  struct vn_reader reader;
  struct vn_entry entry;
  char type[32];
  vn_list_read(&reader, c->result, c->length);
  while (vn_list_next(&reader, &entry)) {
    CHECK(events < 3 && vn_list_text(entry.value, entry.length, "type", type, sizeof type) && !strcmp(type, said[events]));
    events++;
  }
  CHECK(events == 3);
  CHECK(client_stop(c, bridge) == VN_OK && client_drain(c, p.a, 1, 0) >= 0);
  CHECK(carried(c, p.a2, p.a, 300, 0, 3000) == 300);
  vn_close(end);

  int32_t own = abi_switch(c, p.a, false), on = abi_switch(c, p.second, false);
  CHECK(own > 0 && on > 0);
  end = abi_interface(c, own, p.b2);
  CHECK(end > 0 && carried(c, p.a2, p.b2, 1, 0, 20) == 0); /* b2 is the switch's now; nobody else is on its network */
  CHECK(abi_interface(c, on, p.b2) == -VN_IN_USE);
  CHECK(client_stop(c, end) == VN_OK && abi_interface(c, on, p.b2) == -VN_BAD_OPTION);
  CHECK(client_drain(c, p.b2, 1, 0) >= 0);
  client_stop(c, p.first), p.first = 0;
  CHECK(abi_becomes(c, own, VN_GONE) && abi_state(c, on) == VN_OK);
  CHECK(client_stop(c, own) == VN_OK && client_stop(c, on) == VN_OK);
  close_pair(&p);
}

static void test_nothing_is_left(void) {
  CHECK(objects_become(c, 1));
  for (int i = 0; i < 1000 && vn_registry_alive() != 0; i++) usleep(1000);
  CHECK(vn_registry_alive() == 0);
}

int main(void) {
  c = client_open();
  RUN(test_frames_pass_both_ways_in_order);
  RUN(test_the_script_has_it_no_more);
  RUN(test_what_does_not_fit_is_counted);
  RUN(test_what_is_left_is_read_by_the_script);
  RUN(test_a_bridge_of_two_interfaces);
  RUN(test_virtio_headers_are_split_and_joined);
  RUN(test_a_thousand_loans_leave_nothing);
  RUN(test_every_end_is_an_end);
  RUN(test_ends_at_the_same_time);
  RUN(test_switches_and_bridges_of_interfaces);
  RUN(test_nothing_is_left);
  client_close(c);
  return finish();
}
