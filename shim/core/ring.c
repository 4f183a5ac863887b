// SPDX-License-Identifier: MIT
/*
 * ring.c - a byte ring of frames between one producer and one consumer: the producer's side and the positions.
 *
 * Theory of operation: see ring.h. A filler is written only when the frame behind it fits too, and both become visible
 * with the same store of head; so a consumer that meets a filler always finds a frame after it. Filler and record
 * together need at most the longest record twice, which is why a frame of half the ring is refused outright: otherwise
 * it would depend on the position whether it can ever be sent.
 */
#include "ring.h"

#include <stdlib.h>

#include "vmnet_shim.h"

#define RECORD ((uint32_t)sizeof(struct vn_record)) /* 16; records start at multiples of it */

int vn_ring_init(struct vn_ring *ring, uint32_t size) {
  *ring = (struct vn_ring){.size = size, .bytes = aligned_alloc(128, size)};
  return ring->bytes ? VN_OK : VN_NO_MEMORY;
}

void vn_ring_destroy(struct vn_ring *ring) {
  free(ring->bytes);
  ring->bytes = NULL;
}

/* room() - Bytes that a frame needs at the present position, filler included; 0 when the ring is too small for it. */
static uint32_t room(const struct vn_ring *ring, uint32_t length, uint32_t *filler) {
  if (length > ring->size / 2 - RECORD) return 0;
  uint32_t span = RECORD + ((length + RECORD - 1) & ~(RECORD - 1));
  uint32_t rest = ring->size - (uint32_t)(ring->write & (ring->size - 1));
  *filler = rest < span ? rest : 0;
  return *filler + span;
}

static bool has_room(const struct vn_ring *ring, uint32_t need) {
  return need && ring->size - (ring->write - ring->seen_tail) >= need;
}

bool vn_ring_fits(struct vn_ring *ring, uint32_t length) {
  uint32_t filler;
  ring->seen_tail = vn_atomic_load(&ring->tail);
  return has_room(ring, room(ring, length, &filler));
}

uint8_t *vn_ring_reserve(struct vn_ring *ring, uint32_t length, uint32_t meta) {
  return vn_ring_reserve_part(ring, length, length, meta);
}

uint8_t *vn_ring_reserve_part(struct vn_ring *ring, uint32_t length, uint32_t whole, uint32_t meta) {
  uint32_t filler, need = room(ring, length, &filler);
  if (!has_room(ring, need)) {
    ring->seen_tail = vn_atomic_load(&ring->tail);
    if (!has_room(ring, need)) return NULL;
  }
  struct vn_record *record = (void *)(ring->bytes + (ring->write & (ring->size - 1)));
  if (filler) {
    *record = (struct vn_record){.span = filler, .whole = VN_RING_FILLER};
    record = (void *)ring->bytes;
  }
  *record = (struct vn_record){.length = length, .meta = meta, .span = need - filler, .whole = whole};
  ring->write += need;
  if (VN_BROKEN(1)) vn_ring_publish(ring), VN_STEP(); /* before the frame's bytes are there */
  return (uint8_t *)(record + 1);
}

void vn_ring_publish(struct vn_ring *ring) { vn_atomic_store(&ring->head, ring->write); }

void vn_ring_free(struct vn_ring *ring) { vn_atomic_store(&ring->tail, ring->read); }

bool vn_ring_empty(struct vn_ring *ring) {
  ring->seen_head = vn_atomic_load(&ring->head);
  return ring->seen_head == ring->read;
}

uint32_t vn_ring_used(struct vn_ring *ring) {
  uint64_t tail = vn_atomic_load(&ring->tail); /* first: so it is never ahead of head */
  uint64_t used = vn_atomic_load(&ring->head) - tail;
  return used < ring->size ? (uint32_t)used : ring->size;
}
