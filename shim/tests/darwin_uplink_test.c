// SPDX-License-Identifier: MIT
/* The way between a switch and vmnet: events that come late or not at all, buffers that are full, and the end of
 * either. */
#include <time.h>

#include "client.h"
#include "core/handle.h"
#include "darwin/network.h"
#include "darwin_control.h"
#include "double.h"
#include "embedded/network.h"

static struct client *c;
static const uint8_t a_mac[6] = {2, 0, 0, 0, 0, 1}, b_mac[6] = {2, 0, 0, 0, 0, 2};
static int32_t network, port, shared, joined, near; /* vmnet's network, a station of its own, and one by the switch */

static void open_all(void) {
  struct vn_writer options = {.data = NULL};
  network = client_network(c, 1001, true, NULL);
  port = client_start(c, network, NULL);
  CHECK(client_call(c, network, VN_OP_NETWORK_SHARE, NULL) == VN_OK);
  shared = client_handle(c);
  vn_write_text(&options, "token", client_text(c, "token"));
  CHECK(client_call(c, c->context, VN_OP_NETWORK_JOIN, &options) == VN_OK);
  joined = client_handle(c);
  near = client_start(c, joined, NULL);
  CHECK(network > 0 && port > 0 && shared > 0 && joined > 0 && near > 0);
  uint8_t frame[64]; /* so that the switch knows where everybody is */
  make_frame(frame, 64, everybody, a_mac, 0);
  CHECK(client_push(c, port, frame, 64) && client_expect(c, near, frame, 64, 5000));
  make_frame(frame, 64, everybody, b_mac, 0);
  CHECK(client_push(c, near, frame, 64) && client_expect(c, port, frame, 64, 5000));
}

static void close_all(void) {
  vn_close(near), vn_close(joined), vn_close(shared), vn_close(port);
  CHECK(client_stop(c, network) == VN_OK);
  CHECK(nothing_left(c));
}

static struct vn_network *switch_of(void) {
  struct vn_object *object;
  return vn_handle_find(network, &object) == VN_OK ? ((struct vn_mac_network *)object)->shared : NULL;
}

/* Sends that many numbered frames in bursts and counts what comes out in order at the other end, with patience for
 * each. */
static uint32_t carried(int32_t from, const uint8_t *source, int32_t to, const uint8_t *target, uint32_t frames, int ms) {
  uint8_t frame[600];
  uint32_t seen = 0;
  for (uint32_t i = 0; i < frames; i++) {
    make_frame(frame, 60 + i % 500, target, source, i);
    if (!client_push(c, from, frame, 60 + i % 500)) return 0;
    if (i % 50 != 49 && i + 1 < frames) continue;
    while (seen <= i) {
      int32_t count = client_drain(c, to, BATCH, ms);
      if (count <= 0) return seen;
      for (int32_t k = 0; k < count; k++) {
        uint32_t number;
        memcpy(&number, client_frame(c, k) + 14, 4);
        if (number != seen++) return 0;
      }
    }
  }
  return client_drain(c, to, BATCH, 20) == 0 ? seen : 0;
}

static void test_every_kind_of_event_brings_every_frame(void) {
  static const char *const kinds[] = {"each", "edge", "delay:5", "coalesce", "repeat:3", "miss:30", "storm"};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    double_set("events", kinds[i]);
    open_all();
    uint32_t down = carried(port, a_mac, near, b_mac, 1000, 3000), up = carried(near, b_mac, port, a_mac, 1000, 3000);
    if (down != 1000 || up != 1000) fprintf(stderr, "events=%s: %u down, %u up\n", kinds[i], down, up);
    CHECK(down == 1000 && up == 1000);
    close_all();
  }
  double_set("events", "each");
}

/* vmnet keeps silent: the watchdog looks, if late. */
static void test_silence_is_noticed(void) {
  open_all();
  CHECK(carried(port, a_mac, near, b_mac, 100, 3000) == 100);
  double_set("events", "none");
  CHECK(carried(port, a_mac, near, b_mac, 100, 6000) == 100);
  double_set("events", "each");
  close_all();
}

/* 1007 now and then is waited out; without end it costs frames, and nobody else's. */
static void test_full_buffers_are_waited_for_and_not_for_ever(void) {
  open_all();
  double_set("exhaust", "2");
  CHECK(carried(near, b_mac, port, a_mac, 1000, 3000) == 1000);
  uint8_t frame[100];
  for (uint32_t i = 0; i < 50; i++) { /* alone, so that a write that is refused takes none */
    make_frame(frame, 100, a_mac, b_mac, i);
    CHECK(client_push(c, near, frame, 100) && client_expect(c, port, frame, 100, 500));
  }
  double_set("exhaust", "1");
  int32_t third = client_start(c, joined, NULL);
  CHECK(third > 0);
  make_frame(frame, 100, a_mac, b_mac, 1);
  struct vn_network *network_switch = switch_of();
  for (uint32_t i = 1; i <= 50; i++) { /* one by one: of more the double takes half */
    CHECK(client_push(c, near, frame, 100));
    for (int k = 0; k < 400 && vn_counted(&network_switch->drops[VN_DROP_FULL]) < i; k++) usleep(1000);
  }
  CHECK(vn_counted(&network_switch->drops[VN_DROP_FULL]) == 50);
  make_frame(frame, 100, everybody, b_mac, 2);
  CHECK(client_push(c, near, frame, 100) && client_expect(c, third, frame, 100, 3000));
  double_set("exhaust", "0");
  CHECK(carried(near, b_mac, port, a_mac, 100, 3000) == 100);
  vn_close(third);
  close_all();
}

static uint64_t cpu_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return (uint64_t)time.tv_sec * 1000000000ull + (uint64_t)time.tv_nsec;
}

static void test_an_idle_uplink_sleeps(void) {
  open_all();
  usleep(300000);
  uint64_t turns = vn_counted(&switch_of()->turns), before = cpu_ns();
  usleep(500000);
  CHECK(cpu_ns() - before < 100000000u && vn_counted(&switch_of()->turns) == turns);
  close_all();
}

/* vmnet stops the interface under it, as after an error: the joined are told. */
static void test_a_dead_interface_ends_the_switch(void) {
  open_all();
  struct vn_object *object;
  CHECK(vn_handle_find(network, &object) == VN_OK);
  vn_mac_nic_begin_stop(((struct vn_mac_network *)object)->member);
  uint8_t frame[100];
  make_frame(frame, 100, everybody, b_mac, 1);
  bool gone = false;
  for (int i = 0; i < 400 && !gone; i++, usleep(5000)) {
    client_send(c, near, frame, 100);
    gone = state_of(c, joined) == VN_GONE;
  }
  CHECK(gone && client_drain(c, near, BATCH, 10) == -VN_GONE);
  close_all();
}

int main(void) {
  double_set("wire", "hub");
  c = client_open();
  RUN(test_every_kind_of_event_brings_every_frame);
  RUN(test_silence_is_noticed);
  RUN(test_full_buffers_are_waited_for_and_not_for_ever);
  RUN(test_an_idle_uplink_sleeps);
  RUN(test_a_dead_interface_ends_the_switch);
  client_close(c);
  return finish();
}
