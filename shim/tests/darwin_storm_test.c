// SPDX-License-Identifier: MIT
/* darwin_storm_test.c - vmnet goes on calling while a script does something else: that must not cost the machine. */
#include "darwin_fixture.h"

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MOST_OF_A_CORE 0.5 /* the sanitizer's price, not ours */
#else
#define MOST_OF_A_CORE 0.05
#endif

static void a_storm_against_a_paused_script_is_cheap(void) {
  struct client *client = begin_test();
  double_set("events", "storm");
  int32_t nic = start_host(client), other = start_host(client);
  uint8_t frame[64];
  make_frame(frame, sizeof frame, everybody, everybody, 1);
  vn_interest(nic, VN_READY_PACKETS);
  client_ready(client, nic, 20);
  CHECK(vn_drain(nic, client->arena, ARENA, client->descriptors, 64) == 0);
  for (int i = 0; i < 10; i++) CHECK(client_send(client, other, frame, sizeof frame) == 1);
  CHECK(client_ready(client, nic, 1000) & VN_READY_PACKETS);
  usleep(100000); /* to the 64th */
  uint64_t begun = vn_monotonic_ns();
  double cpu = cpu_ms();
  long events = double_count("events");
  usleep(1500000);
  double share = (cpu_ms() - cpu) / elapsed_ms(begun);
  events = double_count("events") - events;
  printf("  storm: %ld events in 1.5 s, %.2f %% of a core\n", events, share * 100);
  CHECK(events > 100); /* it was one */
  CHECK(share < MOST_OF_A_CORE);
  CHECK((vn_drain(nic, client->arena, ARENA, client->descriptors, 64) & 0xffff) == 10); /* and nothing is lost */
  CHECK(end_test(client));
}

static void after_a_storm_the_next_frame_is_announced_at_once(void) {
  struct client *client = begin_test();
  double_set("events", "storm");
  int32_t nic = start_host(client), other = start_host(client);
  uint8_t frame[64];
  make_frame(frame, sizeof frame, everybody, everybody, 1);
  for (int round = 0; round < 5; round++) {
    CHECK(client_send(client, other, frame, sizeof frame) == 1);
    usleep(100000);
    while (vn_drain(nic, client->arena, ARENA, client->descriptors, 64) != 0) continue;
    client_ready(client, nic, 5);
    uint64_t begun = vn_monotonic_ns();
    CHECK(client_send(client, other, frame, sizeof frame) == 1);
    CHECK(client_ready(client, nic, 1000) & VN_READY_PACKETS);
    CHECK(elapsed_ms(begun) < 200);
    CHECK((vn_drain(nic, client->arena, ARENA, client->descriptors, 64) & 0xffff) == 1);
  }
  CHECK(end_test(client));
}

int main(void) {
  script_reset();
  RUN(a_storm_against_a_paused_script_is_cheap);
  RUN(after_a_storm_the_next_frame_is_announced_at_once);
  return finish();
}
