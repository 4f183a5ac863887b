// SPDX-License-Identifier: MIT
/*
 * port.h - where frames come and go: an interface as JavaScript sees it.
 *
 * Theory of operation. A port has a source, which moves frames (a pair of rings here, vmnet itself on macOS), and a
 * wake sink, the object that vn_signal() tells. Exactly one consumer drains it. armed says that the consumer wants to
 * be woken: vn_port_drain() disarms, takes frames, and before it answers "empty" it arms and looks once more, so no
 * frame can fall between the look and the arming; when it has none in hand and that look finds one, it begins again, so
 * VN_MORE never comes with 0 frames. The source calls vn_port_arrived() after it made frames visible; only the first
 * such call after an arming signals. Sending is the mirror image with tx_armed and vn_port_drained().
 */
#ifndef VN_CORE_PORT_H
#define VN_CORE_PORT_H

#include "object.h"
#include "ring.h"

struct vn_port;

struct vn_source {
  /* Takes up to max frames into the arena; *more says that it stopped for lack of room or max. Count or -status. */
  int32_t (*receive)(struct vn_port *port, uint8_t *arena, uint32_t arena_length, uint32_t *descriptors, uint32_t max,
                     bool *more);
  bool (*empty)(struct vn_port *port); /* the re-check; may be conservative and say false */
  /* Hands over checked frames. Answers how many were taken. */
  int32_t (*transmit)(struct vn_port *port, const uint8_t *arena, const uint32_t *descriptors, uint32_t count);
  bool (*full)(struct vn_port *port, uint32_t length); /* the re-check for a frame of that length */
  uint32_t (*estimate)(struct vn_port *port);
};

struct vn_port_stats {
  vn_atomic_u64 frames_in, bytes_in;   /* to the script */
  vn_atomic_u64 frames_out, bytes_out; /* from the script */
  vn_atomic_u64 dropped_in;            /* the receive queue was full */
  vn_atomic_u64 dropped_out;           /* taken from the script, but nobody could take them */
  vn_atomic_u64 wakes;                 /* packet signals */
  vn_atomic_u64 drains;                /* vn_drain() calls that returned frames */
};

/* Who hears of a port while a switch has it, instead of the script: of frames, of room, and of its end. wake() may come
 * from any thread, also when there is nothing, takes no lock and does not wait. */
struct vn_sink {
  void (*wake)(struct vn_sink *sink);
};

struct vn_port {
  struct vn_object object; /* first: a port is an object */
  const struct vn_source *source;
  uint32_t max_packet; /* bytes, virtio header included */
  uint32_t min_packet; /* 14, or 26 with the virtio header */
  uint32_t max_count;  /* frames per call */
  vn_atomic_u32 status; /* VN_OK, or why it no longer works */
  vn_atomic_u32 armed, tx_armed;
  vn_atomic_u32 lent; /* a switch has it: the script can neither drain nor send */
  _Atomic(struct vn_sink *) sink; /* the switch's, while it has it */
  vn_atomic_u32 waking;           /* threads that are about to tell the sink */
  struct vn_port_stats stats;
};

void vn_port_init(struct vn_port *port, const struct vn_class *class, struct vn_doorbell *doorbell,
                  const struct vn_source *source);
int32_t vn_port_drain(struct vn_port *port, uint8_t *arena, uint32_t arena_length, uint32_t *descriptors, uint32_t max);
int32_t vn_port_send(struct vn_port *port, const uint8_t *arena, uint32_t arena_length, const uint32_t *descriptors,
                     uint32_t first, uint32_t count);
void vn_port_interest(struct vn_port *port, uint32_t bits);
void vn_port_arrived(struct vn_port *port); /* the source: frames were made visible */
void vn_port_drained(struct vn_port *port); /* the source: room was made */
bool vn_port_lend(struct vn_port *port);    /* only on the script's thread; false: a switch has it already */
/* Who has it: sets the sink, or takes it off with NULL; then nobody is in its wake() any more when this comes back. */
void vn_port_sink(struct vn_port *port, struct vn_sink *sink);
void vn_port_return(struct vn_port *port); /* any thread; the sink is off, and nobody uses the source any more */
void vn_port_fail(struct vn_port *port, uint32_t status); /* the first status stays; signals VN_READY_STATE */
struct vn_writer;
void vn_port_get(struct vn_port *port, uint32_t what, struct vn_writer *out); /* STATE, STATS and ESTIMATE */

/* A port whose source is a pair of rings. wake tells the other side that frames wait in tx. */
struct vn_ring_port {
  struct vn_port port; /* first */
  struct vn_ring rx;   /* to the script */
  struct vn_ring tx;   /* from the script */
  bool marked;         /* what the script sends has a meta word of its own: an intercept */
  void (*wake)(struct vn_ring_port *port);
};
extern const struct vn_source vn_ring_source;

#endif
