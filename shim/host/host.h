// SPDX-License-Identifier: MIT
/*
 * host.h - the parts of vmnet-host.
 *
 * Theory of operation. The main thread reads requests; each gets a thread of its own, because vmnet may take its time
 * or hang, and answers when it is done. Objects have numbers here; an operation holds the object that it works on, so
 * ending one while another uses it is safe. A cancelled request goes on until the backend notices, and its late success
 * is undone. When the socket ends everything does.
 */
#ifndef VN_HOST_H
#define VN_HOST_H

#include "core/backend.h"

struct vn_network;
struct vn_waker; /* thing.c */

/* What is here for the other process: a network of vmnet with the share by which it was joined, an interface lent to
 * it, or one more share of a network. */
struct vn_thing {
  vn_atomic_u32 references;
  uint64_t number;
  struct vn_thing *next;
  struct vn_object *object; /* vmnet's network or interface; NULL: a share alone */
  struct vn_object *share;
  struct vn_network *lent;     /* the switch network of an interface */
  struct vn_waker *waker;
};

uint32_t vn_host_serve(int fd); /* serve.c; until the socket ends */

/* thing.c; all of these block. VN_OK, with "token" and more in the job's result, or the job's failure. */
uint32_t vn_thing_network(struct vn_job *job, struct vn_thing *thing);   /* VN_OP_NETWORK_CREATE */
uint32_t vn_thing_interface(struct vn_job *job, struct vn_thing *thing); /* VN_OP_INTERFACE_START */
uint32_t vn_thing_share(struct vn_job *job, struct vn_thing *thing);     /* VN_OP_NETWORK_SHARE */
void vn_thing_end(struct vn_thing *thing);
void vn_thing_release(struct vn_thing *thing);

#endif
