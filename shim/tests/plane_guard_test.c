// SPDX-License-Identifier: MIT
/* Limits of a port, what is told of an offence, and what a guard costs. */
#include "guard_fixture.h"

static void test_bytes_are_limited(void) {
  begin(true);
  guard(p, (struct vn_guard_options){.bytes_per_second = 1000000, .burst_bytes = 10000});
  ethernet(ours, 0x88b5, false), length = 1000;
  uint32_t passed = 0;
  for (int i = 0; i < 100; i++) passed += passes(p);
  CHECK(passed == 10 && vn_counted(&p->drops[VN_DROP_RATE]) == 90);
  for (int i = 0; i < 10000; i++) { /* ten seconds of a millisecond each, in each as much again as the rate */
    network->now_ns += SECOND / 1000;
    passed += passes(p) + passes(p);
  }
  CHECK(passed >= 10000 && passed <= 10020);
  network->now_ns += 1000 * SECOND;
  passed = 0;
  for (int i = 0; i < 100; i++) passed += passes(p);
  CHECK(passed == 10); /* no more than the burst is saved up */
  vn_guard_set(p->guard, &(struct vn_guard_options){.broadcasts_per_second = 1});
  CHECK(passes(p) && passes(p) && passes(p)); /* the limit is gone */
  guard(p, (struct vn_guard_options){.bytes_per_second = 100, .burst_bytes = 1});
  CHECK(passes(p) && refused(p, VN_DROP_RATE)); /* a frame that is longer than the bucket, every ten seconds */
  network->now_ns += 9 * SECOND;
  CHECK(!passes(p));
  network->now_ns += 2 * SECOND;
  CHECK(passes(p));
  guard(p, (struct vn_guard_options){.bytes_per_second = UINT64_MAX, .burst_bytes = UINT64_MAX});
  for (int i = 0; i < 1000; i++) CHECK(passes(p));
  guard(p, (struct vn_guard_options){.bytes_per_second = 1});
  passed = 0;
  for (int i = 0; i < 100; i++) passed += passes(p);
  CHECK(passed == 66); /* 64 KiB */
  end();
}

static void test_groups_are_limited_and_nobody_else(void) {
  begin(true);
  guard(p, (struct vn_guard_options){.broadcasts_per_second = 50});
  ethernet(ours, 0x88b5, false), length = 60;
  for (int i = 0; i < 1000; i++) CHECK(passes(p));
  memset(frame, 255, 6);
  uint32_t passed = 0;
  for (int i = 0; i < 100; i++) passed += passes(p);
  CHECK(passed == 50 && vn_counted(&p->drops[VN_DROP_BROADCAST]) == 50);
  network->now_ns += SECOND / 10;
  memcpy(frame, group, 6);
  for (int i = 0; i < 10; i++) passed += passes(p);
  CHECK(passed == 55);
  memcpy(frame, theirs, 6);
  CHECK(passes(p));
  struct vn_guard_options nothing = {.burst_bytes = 5};
  CHECK(!vn_guard_wanted(&nothing) && vn_guard_wanted(&anti_spoof));
  end();
}

static void test_offences_are_told_as_text(void) {
  char text[64];
  struct vn_offence why = {.what = "IPv4", .version = 4, .address = {192, 168, 64, 9}};
  vn_offence_text(&why, text);
  CHECK(strcmp(text, "IPv4 192.168.64.9") == 0);
  why = (struct vn_offence){.what = "MAC", .address = {2, 0, 0, 0, 0, 1}};
  vn_offence_text(&why, text);
  CHECK(strcmp(text, "MAC 02:00:00:00:00:01") == 0);
  why = (struct vn_offence){.what = "neighbour advertisement", .version = 6};
  memset(why.address, 0xee, 16);
  vn_offence_text(&why, text);
  CHECK(strcmp(text, "neighbour advertisement eeee:eeee:eeee:eeee:eeee:eeee:eeee:eeee") == 0 || strlen(text) == 63);
  why = (struct vn_offence){.what = "DHCP answer", .version = 1};
  vn_offence_text(&why, text);
  CHECK(strcmp(text, "DHCP answer") == 0);
}

/* Printed, not judged: the machine may be busy. */
static void test_what_a_frame_costs(void) {
  begin(true);
  lease(ours, "192.168.64.9", 1);
  guard(p, (struct vn_guard_options){.anti_spoof = true, .bytes_per_second = 1ull << 40, .broadcasts_per_second = 1});
  ip4(ours, 0xc0a84009, VN_TCP, 1480);
  struct vn_packet packet = {.frame = frame, .length = length};
  uint64_t best = UINT64_MAX;
  uint32_t passed = 0;
  for (int round = 0; round < 20; round++) {
    uint64_t begun = vn_monotonic_ns();
    for (int i = 0; i < 20000; i++) {
      if (i % 64 == 0) network->now_ns += 1000;
      passed += vn_guard_allows(p, &packet);
    }
    uint64_t taken = vn_monotonic_ns() - begun;
    if (taken < best) best = taken;
  }
  CHECK(passed == 400000);
  printf("  rate, broadcasts and anti-spoofing: %.1f ns for a frame\n", (double)best / 20000);
  end();
}

int main(void) {
  RUN(test_bytes_are_limited);
  RUN(test_groups_are_limited_and_nobody_else);
  RUN(test_offences_are_told_as_text);
  RUN(test_what_a_frame_costs);
  return finish();
}
