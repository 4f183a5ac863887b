// SPDX-License-Identifier: MIT
/*
 * darwin_drain_bench.c - what vn_drain() costs over a plain loop of vmnet_read() on the same interface of the double:
 * the
 * same batch, the same arena, descriptors made anew for each call, calls until one says "none". `make bench-darwin-
 * drain`;
 * VN_BAR=1.15 makes a ratio above that, for frames of 1514 bytes, a failure.
 */
#include "darwin_fixture.h"

#define FRAMES 64u
#define STRIDE 1520u
#define ROUNDS 21
#define BATCHES 401

static uint8_t frames[FRAMES * STRIDE];
static uint32_t sending[FRAMES * VN_DESCRIPTOR_WORDS];

static void fill(int32_t from) {
  if (vn_send(from, frames, sizeof frames, sending, 0, FRAMES) != (int32_t)FRAMES) abort();
}

static uint64_t bytes;

/* The loop to beat: it looks at the lengths, and that is all. */
static void plain(interface_ref ref, uint8_t *arena) {
  struct vmpktdesc packets[FRAMES];
  struct iovec places[FRAMES];
  int count;
  do {
    for (uint32_t i = 0; i < FRAMES; i++) {
      places[i] = (struct iovec){.iov_base = arena + i * STRIDE, .iov_len = 1514};
      packets[i] = (struct vmpktdesc){.vm_pkt_size = 1514, .vm_pkt_iov = &places[i], .vm_pkt_iovcnt = 1};
    }
    count = FRAMES;
    if (vmnet_read(ref, packets, &count) != VMNET_SUCCESS) abort();
    for (int i = 0; i < count; i++) bytes += packets[i].vm_pkt_size;
    arena += (uint32_t)count * STRIDE;
  } while (count > 0);
}

static int compare(const void *a, const void *b) { return *(const double *)a < *(const double *)b ? -1 : 1; }

static double median(double *values, int count) {
  qsort(values, (size_t)count, sizeof *values, compare);
  return values[count / 2];
}

static double measure(struct client *client, int32_t from, int32_t to, uint32_t length) {
  static double loop[BATCHES], drain[BATCHES];
  double loops[ROUNDS], drains[ROUNDS], ratios[ROUNDS];
  interface_ref ref = nic_of(to)->ref;
  for (uint32_t i = 0; i < FRAMES; i++) {
    sending[i * VN_DESCRIPTOR_WORDS] = i * STRIDE;
    sending[i * VN_DESCRIPTOR_WORDS + 1] = length;
  }
  for (int round = 0; round < ROUNDS; round++) {
    for (int i = 0; i < 2 * BATCHES; i++) {
      fill(from);
      uint64_t start = vn_monotonic_ns();
      if (i & 1) {
        if (vn_drain(to, client->arena, ARENA, client->descriptors, BATCH) != (int32_t)FRAMES) abort();
      } else {
        plain(ref, client->arena);
      }
      (i & 1 ? drain : loop)[i / 2] = (double)(vn_monotonic_ns() - start) / FRAMES;
    }
    loops[round] = median(loop, BATCHES);
    drains[round] = median(drain, BATCHES);
    ratios[round] = drains[round] / loops[round];
  }
  double ratio = median(ratios, ROUNDS);
  printf("%u frames of %u bytes: vn_drain %.1f ns/frame, vmnet_read loop %.1f ns/frame, ratio %.3f (min %.3f, max %.3f)\n",
         FRAMES, length, median(drains, ROUNDS), median(loops, ROUNDS), ratio, ratios[0], ratios[ROUNDS - 1]);
  return ratio;
}

int main(void) {
  struct client *client = begin_test();
  double_set("events", "none");
  int32_t from = start_host(client), to = start_host(client);
  vn_drain(to, client->arena, ARENA, client->descriptors, BATCH);
  double ratio = measure(client, from, to, 1514);
  measure(client, from, to, 60); /* what is there per frame besides its copy */
  const char *bar = getenv("VN_BAR");
  return bar && *bar && ratio > strtod(bar, NULL);
}
