// SPDX-License-Identifier: MIT
/*
 * uplink.h - a vmnet interface as a port of a switch network (embedded/network.h): how other processes reach vmnet, and
 * what a script's own switch or bridge does with its interface.
 *
 * Theory of operation. The network's thread is the interface's one consumer: when it was woken it reads batches into a
 * buffer of its own and forwards frame by frame; what the switch gives it is collected in a second buffer and written
 * once per turn. vmnet's "buffer exhausted" has no event, so a write is tried again for half a millisecond at the most
 * and what is left then is dropped and counted: one full interface must not hold up the other ports for longer.
 *
 * Waking. The interface's event block may take no lock. An interface that is started for a network may be older than
 * that: it has wake = vn_mac_uplink_wake and sink = a waker, which is zero until the network is there. The waker holds
 * its network until vn_mac_waker_free(), which is to be called when the interface has ended: then no event can come any
 * more. An interface that a script has started wakes its port, as ever, and while it is lent the port has the switch's
 * sink (plane/loan.h): event block and watchdog notice nothing.
 */
#ifndef VN_DARWIN_UPLINK_H
#define VN_DARWIN_UPLINK_H

#include "nic.h"

struct vn_loan;
struct vn_network;

struct vn_mac_waker {
  _Atomic(struct vn_network *) network; /* counted */
  vn_atomic_u32 look;                   /* an event came, or the watchdog wants a look */
};

void vn_mac_uplink_wake(struct vn_mac_nic *nic);          /* struct vn_mac_start's wake */
void vn_mac_waker_free(struct vn_mac_waker *waker);       /* the interface has ended */

/* Puts the interface on the network; blocks. Its waker gets the network. alone: one other port at the most, which gets
 * and gives all frames as they are, virtio header included. VN_OK or a vn_status. */
uint32_t vn_mac_uplink_attach(struct vn_network *network, struct vn_mac_nic *nic, bool alone);

/* vn_backend.lend of an interface of vmnet. */
uint32_t vn_mac_nic_lend(struct vn_job *job, struct vn_object *interface, const struct vn_loan *loan);

#endif
