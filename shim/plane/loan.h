// SPDX-License-Identifier: MIT
/*
 * loan.h - an interface of the script's as a port of a switch: the switch's thread is its one consumer meanwhile.
 *
 * Theory of operation. core/ takes the interface from the script (port->lent) before the operation is queued. The
 * backend's lend() makes a port for it, over its pair of rings (nic_loan.c) or over vmnet itself (darwin/uplink.c): the
 * switch's thread then does what the script did, drains and sends. It hears of frames, of room and of the interface's
 * end by the port's sink. When the switch's port is removed the sink is taken off, and at once the interface is the
 * script's again, with whatever it holds by then; whoever waited for it is told to look. When the interface ends the
 * port is removed, by a timer, because that may not be done in the middle of a turn.
 *
 * An uplink is put on the network by lend(). An endpoint's port is only made by it: the endpoint's begin() puts it
 * there.
 */
#ifndef VN_PLANE_LOAN_H
#define VN_PLANE_LOAN_H

#include "core/backend.h"
#include "embedded/network.h"

struct vn_endpoint;

struct vn_loan {
  struct vn_network *network;
  bool uplink; /* of the switch: isolated ports may talk to it, and the network ends when the interface does */
  struct vn_endpoint *endpoint; /* whose port it is to be, or NULL */
  void (*over)(struct vn_endpoint *endpoint, uint32_t status); /* network's thread: the endpoint's port is gone */
  struct vn_net_port **port; /* out, or NULL: a struct vn_lent */
};

/* What lend() makes. Takes job->lent over. */
struct vn_lent {
  struct vn_net_port port; /* first */
  struct vn_loan loan;
  struct vn_port *interface; /* counted */
  struct vn_timer gone;      /* set when the interface has ended */
  struct vn_sink sink;
  void (*free)(struct vn_lent *lent);
};

/* lent.c. Whoever made lent: sets its port's class, virtio and max_frame, sink.wake and free, and then calls this as
 * the
 * last thing. VN_OK or the job's failure. */
uint32_t vn_lent_place(struct vn_job *job, const struct vn_loan *loan, struct vn_lent *lent,
                       struct vn_object *interface);
/* The network's thread. begin: onto the network; after a failure, and any thread, discard: it never was there. */
uint32_t vn_lent_begin(struct vn_lent *lent);
void vn_lent_discard(struct vn_lent *lent);
bool vn_lent_works(struct vn_lent *lent); /* false: the interface has ended, and so does the loan */
void vn_lent_removed(struct vn_net_port *port, uint32_t status); /* a port's class->removed */

uint32_t vn_nic_lend(struct vn_job *job, struct vn_object *interface, const struct vn_loan *loan); /* nic_loan.c */

#endif
