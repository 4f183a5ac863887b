// SPDX-License-Identifier: MIT
/*
 * darwin_events_test.c - real threads, real doorbells: whatever moods vmnet's events have, every frame arrives once and
 * in
 * order, and it is never the watchdog that brings it. VN_LONG=1: 1,000 runs instead of 60.
 */
#define _GNU_SOURCE
#include <dlfcn.h>

#include "darwin_fixture.h"

#define FRAMES 300u

/* Memory and locks that a thread takes while it watches itself. Sanitizers have interposers of their own. */
#if !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)
#define WATCHES 1
static _Thread_local bool watched;
static _Thread_local uint32_t taken;
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *malloc(size_t size) { return taken += watched, __libc_malloc(size); }
void *calloc(size_t count, size_t size) { return taken += watched, __libc_calloc(count, size); }
int pthread_mutex_lock(pthread_mutex_t *mutex) {
  static int (*_Atomic real)(pthread_mutex_t *);
  taken += watched;
  if (!real) real = (int (*)(pthread_mutex_t *))dlsym(RTLD_NEXT, "pthread_mutex_lock");
  return real(mutex);
}
#else
#define WATCHES 0
static bool watched;
static uint32_t taken;
#endif

static const uint8_t nobody[6] = {2, 0, 0, 0, 0, 9};

struct sender {
  pthread_t thread;
  uint32_t seed, frames;
  vn_atomic_u32 ready, go;
};

/* Frames in bursts, from a context of its own. */
static void *send_frames(void *argument) {
  struct sender *sender = argument;
  struct client *client = client_open();
  int32_t nic = start_host(client);
  CHECK(nic > 0);
  atomic_store(&sender->ready, 1);
  while (!atomic_load(&sender->go)) usleep(200);
  uint8_t frame[256];
  uint32_t random = sender->seed * 2654435761u + 1;
  for (uint32_t number = 0; number < sender->frames;) {
    random = random * 1664525u + 1013904223u;
    for (uint32_t burst = 1 + (random >> 28); burst && number < sender->frames; burst--, number++) {
      make_frame(frame, 64 + number % 190, everybody, nobody, number);
      CHECK(client_push(client, nic, frame, 64 + number % 190));
    }
    if (random >> 8 & 1) usleep(random >> 16 & 255);
  }
  CHECK(client_stop(client, nic) == VN_OK);
  client_close(client);
  return NULL;
}

/* Reads as a script does: sleeps on the doorbell, drains what is ready, comes back for more. Answers the frames in
 * order. */
static uint32_t read_frames(struct client *client, int32_t nic, uint32_t frames, uint32_t max) {
  uint32_t next = 0;
  bool ready = false;
  uint64_t last = vn_monotonic_ns();
  vn_interest(nic, VN_READY_PACKETS);
  while (next < frames && elapsed_ms(last) < 10000) {
    if (!ready) ready = client_ready(client, nic, 1000) & VN_READY_PACKETS;
    if (!ready) continue;
    int32_t count = vn_drain(nic, client->arena, ARENA, client->descriptors, max);
    if (count < 0) break;
    for (int32_t i = 0; i < (count & 0xffff); i++, next++) {
      uint32_t number;
      memcpy(&number, client_frame(client, i) + 14, 4);
      if (number != next || client_length(client, i) != 64 + number % 190) return next;
      last = vn_monotonic_ns();
    }
    ready = count & VN_MORE;
  }
  return next;
}

static uint32_t catches; /* of all runs */

static bool run(const char *events, uint32_t seed, uint32_t max) {
  char text[32];
  struct client *client = begin_test();
  snprintf(text, sizeof text, "%u", seed);
  double_set("seed", text);
  double_set("events", events);
  struct sender sender = {.seed = seed, .frames = FRAMES};
  int32_t nic = start_host(client);
  CHECK(nic > 0);
  pthread_create(&sender.thread, NULL, send_frames, &sender);
  while (!atomic_load(&sender.ready)) usleep(200);
  atomic_store(&sender.go, 1);
  uint32_t seen = read_frames(client, nic, FRAMES, max);
  pthread_join(sender.thread, NULL);
  catches += (uint32_t)stat_of(client, nic, "watchdogCatches");
  if (seen != FRAMES) fprintf(stderr, "events=%s seed=%u: %u of %u frames\n", events, seed, seen, FRAMES);
  bool gone = end_test(client);
  return gone && seen == FRAMES;
}

static void every_frame_comes_once_and_in_order(void) {
  static const char *const events[] = {"each", "edge", "delay:1", "coalesce", "repeat:3", "miss:50", "storm", "edge"};
  static const uint32_t most[] = {64, 7, 256, 1};
  vn_mac_watchdog_every(0);
  for (uint32_t i = 0; i < (is_long() ? 1000 : 60); i++) {
    bool good = run(events[i % 8], 1 + i, most[i / 8 % 4]);
    CHECK(good);
    if (!good) break;
  }
}

static void the_watchdog_has_nothing_to_do(void) {
  /* In place of 250, so that it has its chances; a thread of a busy machine may well be 20 ms late */
  vn_mac_watchdog_every(100);
  catches = 0;
  for (uint32_t i = 0; i < (is_long() ? 100 : 8); i++) CHECK(run(i % 2 ? "edge" : "each", 5000 + i, 64));
  CHECK(catches == 0);
  vn_mac_watchdog_every(250);
}

/* A framework that says nothing at all: now it has. */
static void the_watchdog_brings_what_nobody_told_of(void) {
  struct client *client = begin_test();
  double_set("events", "none");
  vn_mac_watchdog_every(20);
  int32_t nic = start_host(client), other = start_host(client);
  uint8_t frame[64];
  do { /* what came before the start; a wake that is not followed by a drain would be the last one */
    CHECK(vn_drain(nic, client->arena, ARENA, client->descriptors, 64) == 0);
  } while (client_ready(client, nic, 10) & VN_READY_PACKETS);
  for (uint32_t i = 0; i < 3; i++) {
    make_frame(frame, sizeof frame, everybody, nobody, i);
    CHECK(client_send(client, other, frame, sizeof frame) == 1);
    bool ready = false;
    for (int tries = 0; tries < 20 && !ready; tries++) ready = client_ready(client, nic, 100) & VN_READY_PACKETS;
    CHECK(ready && (vn_drain(nic, client->arena, ARENA, client->descriptors, 64) & 0xffff) == 1);
  }
  usleep(200000);
  CHECK(stat_of(client, nic, "watchdogCatches") >= 1);
  CHECK(stat_of(client, nic, "events") == 0);
  vn_mac_watchdog_every(250);
  CHECK(end_test(client));
}

/* They were there before the event block was set, and vmnet says nothing of them. */
static void frames_of_before_the_event_block_are_found(void) {
  struct client *client = begin_test();
  vn_mac_watchdog_every(0);
  double_set("events", "none");
  int32_t other = start_host(client), nic = start_host(client);
  uint8_t frame[64];
  make_frame(frame, sizeof frame, everybody, nobody, 1);
  CHECK(client_send(client, other, frame, sizeof frame) == 1);
  vn_interest(nic, VN_READY_PACKETS);
  CHECK(client_ready(client, nic, 1000) & VN_READY_PACKETS);
  CHECK((vn_drain(nic, client->arena, ARENA, client->descriptors, 64) & 0xffff) == 1);
  vn_mac_watchdog_every(250);
  CHECK(end_test(client));
}

static void an_idle_interface_is_left_alone(void) {
  struct client *client = begin_test();
  vn_mac_watchdog_every(5);
  int32_t nic = start_host(client);
  uint32_t wakes = 0;
  vn_interest(nic, VN_READY_PACKETS);
  for (uint64_t begun = vn_monotonic_ns(); elapsed_ms(begun) < 800;) {
    if (!(client_ready(client, nic, 20) & VN_READY_PACKETS)) continue;
    wakes++;
    CHECK(vn_drain(nic, client->arena, ARENA, client->descriptors, 64) == 0);
  }
  CHECK(wakes >= 3 && wakes <= 20); /* of 160 looks */
  CHECK(stat_of(client, nic, "watchdogCatches") == 0);
  vn_mac_watchdog_every(250);
  CHECK(end_test(client));
}

static void an_event_takes_no_memory_and_no_lock(void) {
  struct client *client = begin_test();
  int32_t handle = start_host(client);
  struct vn_mac_nic *nic = nic_of(handle);
  watched = true;
  void *volatile memory = malloc(1);
  watched = false;
  free(memory);
  CHECK(taken == WATCHES); /* it does watch */
  uint32_t heard = 0;
  for (int i = 0; i < 50; i++) {
    taken = 0;
    vn_interest(handle, VN_READY_PACKETS);
    watched = true;
    vn_mac_nic_event(nic, 3); /* armed: signals and rings */
    vn_mac_nic_event(nic, 4); /* not armed any more */
    watched = false;
    CHECK(taken == 0);
    heard += (client_ready(client, handle, 100) & VN_READY_PACKETS) != 0;
    CHECK(vn_drain(handle, client->arena, ARENA, client->descriptors, 64) == 0);
  }
  CHECK(heard == 50);
  CHECK(end_test(client));
}

int main(void) {
  script_reset();
  RUN(an_event_takes_no_memory_and_no_lock);
  RUN(every_frame_comes_once_and_in_order);
  RUN(the_watchdog_has_nothing_to_do);
  RUN(the_watchdog_brings_what_nobody_told_of);
  RUN(frames_of_before_the_event_block_are_found);
  RUN(an_idle_interface_is_left_alone);
  return finish();
}
