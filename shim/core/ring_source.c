// SPDX-License-Identifier: MIT
/*
 * ring_source.c - a port between two rings: the script's end.
 *
 * Theory of operation. The script's thread is the consumer of rx and the producer of tx; a switch thread is the other
 * side of both. receive() copies straight from the ring into the arena, each frame at a multiple of 16, and frees the
 * whole batch with one store. A frame that is longer than the whole arena is cut, so that a reader with a small arena
 * gets ahead. transmit() publishes what fits with one store and then wakes the other side, once per batch.
 */
#include <string.h>

#include "port.h"
#include "vmnet_shim.h"

#define ALIGNED(n) (((n) + 15) & ~(size_t)15)

static int32_t receive(struct vn_port *port, uint8_t *arena, uint32_t arena_length, uint32_t *descriptors, uint32_t max,
                       bool *more) {
  struct vn_ring *rx = &((struct vn_ring_port *)port)->rx;
  struct vn_frame frame;
  uint64_t now = 0, bytes = 0;
  size_t used = 0; /* may go up to 15 beyond the arena's end */
  uint32_t count = 0;
  for (; count < max && vn_ring_peek(rx, &frame); count++, descriptors += VN_DESCRIPTOR_WORDS) {
    uint32_t length = frame.length;
    if (used + length > arena_length) {
      if (count) break;
      length = arena_length;
      frame.meta |= VN_META_TRUNCATED;
    }
    __builtin_prefetch(frame.bytes + ALIGNED(frame.length)); /* the next record's header: 1 to 3 % of a frame */
    memcpy(arena + used, frame.bytes, length);
    if (!count) now = vn_realtime_ns();
    descriptors[0] = (uint32_t)used;
    descriptors[1] = length;
    descriptors[2] = frame.whole;
    descriptors[3] = frame.meta;
    descriptors[4] = (uint32_t)now;
    descriptors[5] = (uint32_t)(now >> 32);
    used = ALIGNED(used + length);
    bytes += length;
    vn_ring_pass(rx, &frame);
  }
  if (!count) return 0;
  /* Either max or the arena was reached, or the peek just saw an empty ring. */
  *more = count == max || rx->read != rx->seen_head;
  vn_ring_free(rx);
  vn_count(&port->stats.frames_in, count);
  vn_count(&port->stats.bytes_in, bytes);
  return (int32_t)count;
}

static bool empty(struct vn_port *port) { return vn_ring_empty(&((struct vn_ring_port *)port)->rx); }

static int32_t transmit(struct vn_port *port, const uint8_t *arena, const uint32_t *descriptors, uint32_t count) {
  struct vn_ring_port *ends = (struct vn_ring_port *)port;
  uint64_t bytes = 0;
  uint32_t taken = 0;
  if (!ends->tx.bytes) return -VN_BAD_CALL; /* a tap: nobody is there to take it */
  for (; taken < count; taken++, descriptors += VN_DESCRIPTOR_WORDS) {
    uint8_t *room = vn_ring_reserve(&ends->tx, descriptors[1], ends->marked ? descriptors[3] : 0);
    if (!room) break;
    memcpy(room, arena + descriptors[0], descriptors[1]);
    bytes += descriptors[1];
  }
  if (!taken) return 0;
  vn_ring_publish(&ends->tx);
  vn_count(&port->stats.frames_out, taken);
  vn_count(&port->stats.bytes_out, bytes);
  if (ends->wake) ends->wake(ends);
  return (int32_t)taken;
}

static bool full(struct vn_port *port, uint32_t length) {
  return !vn_ring_fits(&((struct vn_ring_port *)port)->tx, length);
}

/* estimate() - At least so many, as if all of them were as long as a frame can be. */
static uint32_t estimate(struct vn_port *port) {
  uint32_t longest = (uint32_t)(sizeof(struct vn_record) + ALIGNED(port->max_packet));
  return (vn_ring_used(&((struct vn_ring_port *)port)->rx) + longest - 1) / longest;
}

const struct vn_source vn_ring_source = {receive, empty, transmit, full, estimate};
