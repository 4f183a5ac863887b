// SPDX-License-Identifier: MIT
/*
 * tap.h - copies for scripts (taps), frames for scripts to decide on (intercepts), and drop rules: the objects VN_TAP
 * and VN_RULE. Each has a filter or takes everything, and may be for the frames of one port.
 *
 * A tap's ring gets a copy of what matches, cut to its snap length; when it is full the copy is dropped and counted.
 * An intercept's ring gets the whole frame, which goes no further; what its script sends goes on from the port that
 * the descriptor names, past all hooks. When its ring is full the frame is dropped, or passed if the script says so.
 * Taps and rules see frames as they come, without their virtio header, so that a checksum may be unfinished and a
 * segment long; intercepts get frames that are finished (plane/offload.h).
 *
 * What a tap, an intercept and a rule have in common is a hook, which the network's thread looks at. hook.c is its
 * life, tap.c and rule.c the two objects, look.c what every frame passes, filter.c libpcap.
 */
#ifndef VN_PLANE_TAP_H
#define VN_PLANE_TAP_H

#include "core/port.h"
#include "filter.h"
#include "plane.h"

#define VN_SNAP_LEAST 14u
#define VN_SNAP_MOST 65562u
#define VN_TAP_RING_LEAST (64u << 10)
#define VN_TAP_RING_MOST (64u << 20)
#define VN_TAP_RING_DEFAULT (1u << 20)

struct vn_hook {
  struct vn_object *object;   /* what it is part of */
  struct vn_hook *next;       /* in one of the plane's lists, in the order in which they were opened */
  struct vn_network *network; /* counted, and so is the board; they go with the object */
  struct vn_board *board;
  struct vn_filter *filter;   /* NULL: everything */
  uint32_t port;              /* the number of the port whose frames it is for; 0: all */
  vn_atomic_u64 matched;      /* counted by the network's thread alone */
  vn_atomic_u64 dropped;      /* of those: for a full ring; of a rule: all */
  vn_atomic_u32 ending, status;
  bool ended;                 /* under the network's lock */
  struct vn_command command;
};

struct vn_tap {
  struct vn_ring_port ring; /* first: it is a port, read by vn_drain() */
  struct vn_hook hook;
  uint32_t snap;
  bool intercepts, pass_on_overflow;
  bool touched;             /* its ring has frames to publish at the flush */
  bool taken;               /* frames of the script's were taken, and are freed after the flush */
};

static inline struct vn_tap *vn_tap_of(struct vn_hook *hook) {
  return (struct vn_tap *)((char *)hook - offsetof(struct vn_tap, hook));
}

/* Control threads; both block. */
uint32_t vn_tap_open(struct vn_job *job, struct vn_board *board); /* VN_OP_TAP_OPEN and VN_OP_INTERCEPT_OPEN */
uint32_t vn_rule_add(struct vn_job *job, struct vn_board *board); /* VN_OP_RULE_ADD */
void vn_tap_stop(struct vn_object *tap);   /* VN_OP_STOP */
void vn_rule_stop(struct vn_object *rule);
/* VN_GET_STATS of a tap, beside what port.c says: "matched", "dropped", "ringBytes". */
uint32_t vn_tap_get(struct vn_object *tap, uint32_t what, struct vn_writer *out);
/* VN_GET_STATE, and VN_GET_STATS: "matched", "dropped". */
uint32_t vn_rule_get(struct vn_object *rule, uint32_t what, struct vn_writer *out);

/* The network's thread: at the end of a board, or (NULL) of the network. */
void vn_taps_end(struct vn_network *network, const struct vn_board *board, uint32_t status);
/* By vn_network_flush(): what was copied in this turn is seen before the frames themselves arrive, and what an
 * intercept's
 * script sent lies in its ring until they have gone. */
void vn_taps_publish(struct vn_network *network);
void vn_intercepts_free(struct vn_network *network);
/* What an intercept's script sent: its turn's input; says whether more waits. And the look before sleep. */
bool vn_intercepts_input(struct vn_network *network);
bool vn_intercepts_idle(struct vn_network *network);

/* hook.c: what tap.c and rule.c are made of. read: the options that both have, VN_NOT_FOUND for another key. */
uint32_t vn_hook_read(struct vn_job *job, const struct vn_entry *entry, struct vn_hook *hook,
                      char filter[VN_FILTER_TEXT]);
uint32_t vn_hook_number(struct vn_job *job, const struct vn_entry *entry, uint32_t least, uint32_t most, uint32_t *out);
uint32_t vn_hook_unknown(struct vn_job *job, const struct vn_entry *entry); /* the failure for such a key */
/* Puts it on the network and gives the job its object, or releases it; takes over one reference. */
uint32_t vn_hook_begin(struct vn_job *job, struct vn_hook *hook, struct vn_board *board, const char *filter);
void vn_hook_end(struct vn_hook *hook); /* any thread, any number of times; does not block */
void vn_hook_stop(struct vn_hook *hook);
void vn_hook_free(struct vn_hook *hook); /* by the object's destroy() */

#endif
