// SPDX-License-Identifier: MIT
/*
 * ring.h - a byte ring of frames between one producer and one consumer.
 *
 * Theory of operation. Records of a 16-byte header and the frame, padded to 16, never wrap: where the rest of the ring
 * is too short a filler record sends the reader back to the start. head and tail are byte positions that only grow.
 * The producer writes any number of records and publishes them with one store of head, the consumer frees any number
 * with one store of tail; both keep a private copy of the other's position and look at the shared one only when the
 * copy says "full" or "empty", so a batch costs one cache line each way.
 */
#ifndef VN_CORE_RING_H
#define VN_CORE_RING_H

#include "os.h"

/* Two cache lines lie between what the producer and what the consumer writes (padding, not alignment: a ring may be
 * part
 * of an object from plain malloc). */
struct vn_ring {
  uint8_t *bytes;
  uint32_t size; /* a power of two, at least twice the longest record */
  uint8_t apart0[116];
  vn_atomic_u64 head;        /* published by the producer */
  uint64_t write, seen_tail; /* the producer's own */
  uint8_t apart1[104];
  vn_atomic_u64 tail;       /* published by the consumer */
  uint64_t read, seen_head; /* the consumer's own */
  uint8_t apart2[104];
};

struct vn_frame {
  const uint8_t *bytes;
  uint32_t length;
  uint32_t meta;  /* VN_META_* */
  uint32_t whole; /* its length before it was cut */
};

struct vn_record {
  uint32_t length, meta; /* of the frame that follows */
  uint32_t span;         /* bytes to the next record */
  uint32_t whole;        /* the frame's length before it was cut, or VN_RING_FILLER */
};
#define VN_RING_FILLER UINT32_MAX /* not a frame: the rest of the ring is skipped */

int vn_ring_init(struct vn_ring *ring, uint32_t size); /* 0 or a vn_status */
void vn_ring_destroy(struct vn_ring *ring);

/* Producer. Room for one frame, in which the caller writes length bytes, or NULL when the ring is full (a frame of half
 * the ring or more never fits). Nothing is seen by the consumer before vn_ring_publish(). */
uint8_t *vn_ring_reserve(struct vn_ring *ring, uint32_t length, uint32_t meta);
/* The same for the beginning of a longer frame. */
uint8_t *vn_ring_reserve_part(struct vn_ring *ring, uint32_t length, uint32_t whole, uint32_t meta);
void vn_ring_publish(struct vn_ring *ring);
bool vn_ring_fits(struct vn_ring *ring, uint32_t length); /* looks at the shared tail; for the re-check after arming */

/* Consumer. vn_ring_take() answers the next frame, valid until vn_ring_free(), which frees all that were taken;
 * vn_ring_peek() looks without taking. Inline, because a frame costs as little as its copy. */
static inline bool vn_ring_peek(struct vn_ring *ring, struct vn_frame *frame) {
  if (ring->read == ring->seen_head && (ring->seen_head = vn_atomic_load(&ring->head)) == ring->read) return false;
  const struct vn_record *record = (const void *)(ring->bytes + (ring->read & (ring->size - 1)));
  if (record->whole == VN_RING_FILLER) { /* Never the last: it is published together with the frame that did not fit. */
    ring->read += record->span;
    record = (const void *)ring->bytes;
  }
  frame->bytes = (const uint8_t *)(record + 1);
  frame->length = record->length;
  frame->meta = record->meta;
  frame->whole = record->whole;
  return true;
}

/* Takes the frame that was peeked at last. */
static inline void vn_ring_pass(struct vn_ring *ring, const struct vn_frame *frame) {
  ring->read += ((const struct vn_record *)(const void *)frame->bytes - 1)->span;
}

static inline bool vn_ring_take(struct vn_ring *ring, struct vn_frame *frame) {
  if (!vn_ring_peek(ring, frame)) return false;
  vn_ring_pass(ring, frame);
  return true;
}

void vn_ring_free(struct vn_ring *ring);
bool vn_ring_empty(struct vn_ring *ring);    /* looks at the shared head; for the re-check after arming */
uint32_t vn_ring_used(struct vn_ring *ring); /* bytes, from any thread: an estimate */

#endif
