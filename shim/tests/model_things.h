// SPDX-License-Identifier: MIT
/*
 * model_things.h - what the model's backend makes: ports with actors on their native side, which are rings and a switch
 * or
 * vmnet (model_vmnet.h), and networks that signal once.
 */
#ifndef VN_MODEL_THINGS_H
#define VN_MODEL_THINGS_H

#include "port.h"
#ifdef VN_MODEL_VMNET
#include "nic.h"
#endif

/* What the backend makes: a port with its native side, or (as a network) only something that signals once. */
struct thing {
  union { /* both begin with their port */
    struct vn_ring_port ends;
#ifdef VN_MODEL_VMNET
    struct vn_mac_nic nic;
#endif
  };
  bool vmnet; /* nic it is */
  bool ended, closed, told; /* told: it signalled VN_READY_EVENT */
  bool poked, had_handle;
  uint32_t published, delivered; /* rx: by the producer, seen by the script */
  struct vn_sink sink;
  bool lent, woken; /* a switch has it, and was woken */
  uint32_t sent, arrived;        /* tx: taken by vn_send(), seen by the switch */
};

extern struct thing_counts {
  uint32_t alive, made, closed;
} counts; /* of one schedule */

extern struct thing_totals {
  uint64_t in, out, ok, failed, timeout, cancelled, undone, early; /* early: closed with frames under way */
} totals; /* of all */

/* A frame's bytes come from its number. */
uint32_t length_of(uint32_t number);
bool frame_is(const uint8_t *bytes, uint32_t length, uint32_t number);

#endif
