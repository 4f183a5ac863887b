// SPDX-License-Identifier: MIT
/*
 * switch.h - where a frame goes: a table of MAC addresses, and the decision for one frame. No I/O, no memory, no lock.
 *
 * Theory of operation. The table has 256 sets of four entries; a set is one cache line, chosen by a keyed hash, so that
 * a
 * peer cannot aim at a set. A frame's source address is learned for the port it came from, unless it is a group
 * address;
 * an entry that was not used for 300 seconds, or for what a script says, counts as free. A frame for a known address
 * goes
 * to one port, everything else to all. Nothing goes back to its own port. An isolated port talks to the uplink only,
 * and
 * hears the uplink only.
 *
 * One port cannot push the others out: in a full set a newcomer replaces the oldest entry of the port that holds the
 * most
 * addresses, never one of a port that holds fewer than the newcomer's own, and no port holds more than 256.
 */
#ifndef VN_CORE_SWITCH_H
#define VN_CORE_SWITCH_H

#include "os.h"

#define VN_SWITCH_PORTS 256u
#define VN_SWITCH_SETS 256u
#define VN_SWITCH_WAYS 4u
#define VN_SWITCH_PORT_ADDRESSES 256u
#define VN_SWITCH_AGE_NS 300000000000ull
#define VN_ETHERNET_HEADER 14u

struct vn_switch_port {
  uint32_t id;             /* chosen by vn_switch_add() */
  bool isolated;           /* hears and reaches the uplink only */
  bool uplink;             /* the gateway */
  vn_atomic_u32 addresses; /* how many entries of the table are this port's */
  vn_atomic_u64 first; /* the address that it used first, as in the table; 0: none yet */
  vn_atomic_u64 dropped_short, dropped_isolated, flooded; /* frames that came from it */
};

struct vn_switch_entry {
  uint64_t address; /* the six bytes, little-endian; 0: free */
  uint32_t seen;    /* about milliseconds */
  uint32_t port;
};

struct vn_switch {
  _Alignas(64) struct vn_switch_entry sets[VN_SWITCH_SETS][VN_SWITCH_WAYS];
  struct vn_switch_port *ports[VN_SWITCH_PORTS]; /* by id; NULL: free */
  uint64_t seed;
  uint64_t age_ns; /* an entry that was not used for so long counts as free: VN_SWITCH_AGE_NS, up to 50 days */
  uint32_t now;
  vn_atomic_u64 dropped_short, dropped_isolated, flooded; /* of all ports that ever were */
};

/* What vn_switch_forward() can answer beside a port. */
#define VN_SWITCH_DROP ((struct vn_switch_port *)0)
extern struct vn_switch_port vn_switch_everywhere; /* a mark, not a port */
#define VN_SWITCH_FLOOD (&vn_switch_everywhere)

void vn_switch_init(struct vn_switch *table, uint64_t seed);
bool vn_switch_add(struct vn_switch *table, struct vn_switch_port *port); /* false when all ids are taken */
void vn_switch_remove(struct vn_switch *table, struct vn_switch_port *port);
void vn_switch_meet(struct vn_switch_port *port, const uint8_t *frame, uint32_t length); /* for first, where nothing is switched */
void vn_switch_time(struct vn_switch *table, uint64_t monotonic_ns); /* once per turn */

/* Learns the source and decides: one port, VN_SWITCH_FLOOD (to every port that vn_switch_allows()) or VN_SWITCH_DROP.
 * */
struct vn_switch_port *vn_switch_forward(struct vn_switch *table, struct vn_switch_port *from, const uint8_t *frame,
                                         uint32_t length);

static inline bool vn_switch_allows(const struct vn_switch_port *from, const struct vn_switch_port *to) {
  return from != to && (!from->isolated || to->uplink) && (!to->isolated || from->uplink);
}

#endif
