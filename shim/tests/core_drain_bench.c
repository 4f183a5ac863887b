// SPDX-License-Identifier: MIT
/* core_drain_bench.c - what vn_drain() costs over a plain loop of memcpy() out of the same ring. `make bench-drain`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core_fake.h"

#define BATCH 64u
#define LENGTH 1514u
#define ROUNDS 21
#define BATCHES 1001

static uint8_t arena[BATCH * 2048];
static uint32_t descriptors[BATCH * VN_DESCRIPTOR_WORDS];

static void fill(struct vn_ring *ring) {
  for (uint32_t i = 0; i < BATCH; i++) memset(vn_ring_reserve(ring, LENGTH, 0), (int)i, LENGTH);
  vn_ring_publish(ring);
}

/* The loop to beat: the same frames, the same arena, nothing else. */
static void plain(struct vn_ring *ring) {
  struct vn_frame frame;
  uint8_t *at = arena;
  while (vn_ring_take(ring, &frame)) {
    memcpy(at, frame.bytes, frame.length);
    at += 1520;
  }
  vn_ring_free(ring);
}

static int compare(const void *a, const void *b) { return *(const double *)a < *(const double *)b ? -1 : 1; }

static double median(double *values, int count) {
  qsort(values, (size_t)count, sizeof *values, compare);
  return values[count / 2];
}

int main(void) {
  static double loop[BATCHES], drain[BATCHES];
  double loops[ROUNDS], drains[ROUNDS], ratios[ROUNDS];
  vn_abi_version();
  int32_t context = vn_open(), port = 0;
  fake_finish(context, fake_call(context, VN_OP_INTERFACE_START, fake_options("ring", 1 << 20, NULL), 0), &port);
  struct vn_ring *ring = &fake_interface_of(port)->ends.rx;
  for (int round = 0; round < ROUNDS; round++) {
    for (int i = 0; i < 2 * BATCHES; i++) {
      fill(ring);
      uint64_t start = vn_monotonic_ns();
      if (i & 1) vn_drain(port, arena, sizeof arena, descriptors, BATCH);
      else plain(ring);
      (i & 1 ? drain : loop)[i / 2] = (double)(vn_monotonic_ns() - start) / BATCH;
    }
    loops[round] = median(loop, BATCHES);
    drains[round] = median(drain, BATCHES);
    ratios[round] = drains[round] / loops[round];
  }
  double ratio = median(ratios, ROUNDS);
  printf("%u frames of %u bytes: vn_drain %.1f ns/frame, memcpy loop %.1f ns/frame, ratio %.3f (min %.3f, max %.3f)\n", BATCH,
         LENGTH, median(drains, ROUNDS), median(loops, ROUNDS), ratio, ratios[0], ratios[ROUNDS - 1]);
  return 0;
}
