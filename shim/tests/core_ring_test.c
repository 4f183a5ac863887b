// SPDX-License-Identifier: MIT
/* core_ring_test.c - the byte ring: wrapping, filling to the brim, long frames, two real threads. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "ring.h"
#include "test.h"

static bool put(struct vn_ring *ring, uint32_t length, uint32_t number) {
  uint8_t *room = vn_ring_reserve(ring, length, number);
  if (room) memset(room, (int)number, length);
  return room;
}

static bool take_is(struct vn_ring *ring, uint32_t length, uint32_t number) {
  struct vn_frame frame;
  if (!vn_ring_take(ring, &frame) || frame.length != length || frame.meta != number) return false;
  for (uint32_t i = 0; i < length; i++) {
    if (frame.bytes[i] != (uint8_t)number) return false;
  }
  return !((uintptr_t)frame.bytes % 16);
}

static void frames_are_seen_when_they_are_published(void) {
  struct vn_ring ring;
  struct vn_frame frame;
  CHECK(!vn_ring_init(&ring, 4096));
  CHECK(vn_ring_empty(&ring) && !vn_ring_peek(&ring, &frame) && !vn_ring_used(&ring));
  CHECK(put(&ring, 60, 1) && put(&ring, 61, 2));
  CHECK(vn_ring_empty(&ring) && !vn_ring_take(&ring, &frame));
  vn_ring_publish(&ring);
  CHECK(!vn_ring_empty(&ring) && vn_ring_used(&ring) == 80 + 80);
  CHECK(vn_ring_peek(&ring, &frame) && frame.meta == 1 && vn_ring_peek(&ring, &frame) && frame.meta == 1);
  CHECK(take_is(&ring, 60, 1) && take_is(&ring, 61, 2) && !vn_ring_take(&ring, &frame));
  CHECK(vn_ring_used(&ring) == 160);
  vn_ring_free(&ring);
  CHECK(vn_ring_used(&ring) == 0);
  vn_ring_destroy(&ring);
}

static void a_cut_frame_keeps_its_length(void) {
  struct vn_ring ring;
  struct vn_frame frame;
  CHECK(!vn_ring_init(&ring, 4096));
  for (uint32_t i = 0; i < 100; i++) { /* over the ring's end many times */
    memset(vn_ring_reserve_part(&ring, 60 + i, 1514 + i, i), (int)i, 60 + i);
    CHECK(put(&ring, 100, i));
    vn_ring_publish(&ring);
    CHECK(vn_ring_peek(&ring, &frame) && frame.whole == 1514 + i && take_is(&ring, 60 + i, i));
    CHECK(vn_ring_peek(&ring, &frame) && frame.whole == 100 && take_is(&ring, 100, i));
    vn_ring_free(&ring);
  }
  vn_ring_destroy(&ring);
}

static void a_full_ring_refuses_and_then_takes_again(void) {
  struct vn_ring ring;
  CHECK(!vn_ring_init(&ring, 4096));
  for (uint32_t round = 0; round < 50; round++) {
    uint32_t count = 0;
    while (put(&ring, 100, count)) count++;
    CHECK(count == 32); /* 4096 / 128, without a filler: to the brim */
    CHECK(!vn_ring_fits(&ring, 0));
    vn_ring_publish(&ring);
    CHECK(vn_ring_used(&ring) == 4096);
    CHECK(take_is(&ring, 100, 0));
    CHECK(!vn_ring_fits(&ring, 100)); /* taken, but not freed */
    vn_ring_free(&ring);
    CHECK(vn_ring_fits(&ring, 100) && vn_ring_fits(&ring, 112) && !vn_ring_fits(&ring, 113));
    for (uint32_t i = 1; i < count; i++) CHECK(take_is(&ring, 100, i));
    vn_ring_free(&ring);
  }
  vn_ring_destroy(&ring);
}

static void frames_of_all_lengths_wrap_anywhere(void) {
  struct vn_ring ring;
  uint32_t sent = 0, got = 0, lengths[4096];
  CHECK(!vn_ring_init(&ring, 8192));
  srand(2);
  while (got < 200000) {
    for (int i = rand() % 40; i; i--) {
      uint32_t length = (uint32_t)rand() % 1600;
      if (!put(&ring, length, sent)) break;
      lengths[sent++ % 4096] = length;
    }
    vn_ring_publish(&ring);
    for (int i = rand() % 40; i && got < sent; i--, got++) CHECK(take_is(&ring, lengths[got % 4096], got));
    vn_ring_free(&ring);
    if (checks_failed) break;
  }
  vn_ring_destroy(&ring);
}

static void the_longest_frames_fit_at_every_position(void) {
  struct vn_ring ring;
  CHECK(!vn_ring_init(&ring, 1 << 20));
  for (uint32_t i = 0; i < 300; i++) {
    CHECK(put(&ring, 65550, i));
    vn_ring_publish(&ring);
    CHECK(put(&ring, i * 7, i));
    vn_ring_publish(&ring);
    CHECK(take_is(&ring, 65550, i) && take_is(&ring, i * 7, i));
    vn_ring_free(&ring);
  }
  vn_ring_destroy(&ring);
  CHECK(!vn_ring_init(&ring, 4096)); /* half of the ring, header included, is the limit, wherever it stands */
  for (uint32_t i = 0; i < 600; i++) {
    CHECK(put(&ring, 2032, i) && !put(&ring, 2033, i) && !vn_ring_fits(&ring, 2033));
    vn_ring_publish(&ring);
    CHECK(take_is(&ring, 2032, i));
    vn_ring_free(&ring);
    CHECK(put(&ring, 16, i));
    vn_ring_publish(&ring);
    CHECK(take_is(&ring, 16, i));
    vn_ring_free(&ring);
  }
  CHECK(!put(&ring, UINT32_MAX, 0) && !vn_ring_fits(&ring, UINT32_MAX));
  vn_ring_destroy(&ring);
}

#define FRAMES 300000u

static void *produce(void *argument) {
  struct vn_ring *ring = argument;
  for (uint32_t number = 0; number < FRAMES;) {
    uint32_t burst = number % 7 + 1;
    for (; burst && number < FRAMES && put(ring, number % 1500, number); burst--) number++;
    vn_ring_publish(ring);
    if (burst) sched_yield();
  }
  return NULL;
}

static void two_threads_keep_the_sequence(void) {
  struct vn_ring ring;
  struct vn_frame frame;
  pthread_t thread;
  uint32_t number = 0, wrong = 0;
  CHECK(!vn_ring_init(&ring, 16384));
  pthread_create(&thread, NULL, produce, &ring);
  while (number < FRAMES) {
    uint32_t batch = 0;
    for (; batch < 64 && vn_ring_take(&ring, &frame); batch++, number++) {
      wrong += frame.meta != number || frame.length != number % 1500;
      if (frame.length) wrong += frame.bytes[0] != (uint8_t)number || frame.bytes[frame.length - 1] != (uint8_t)number;
    }
    vn_ring_free(&ring);
    if (vn_ring_used(&ring) > 16384) wrong++;
    if (!batch) sched_yield();
  }
  pthread_join(thread, NULL);
  CHECK(!wrong && vn_ring_empty(&ring));
  vn_ring_destroy(&ring);
}

int main(void) {
  RUN(frames_are_seen_when_they_are_published);
  RUN(a_cut_frame_keeps_its_length);
  RUN(a_full_ring_refuses_and_then_takes_again);
  RUN(frames_of_all_lengths_wrap_anywhere);
  RUN(the_longest_frames_fit_at_every_position);
  RUN(two_threads_keep_the_sequence);
  return finish();
}
