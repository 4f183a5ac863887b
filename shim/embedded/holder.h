// SPDX-License-Identifier: MIT
/*
 * holder.h - network handles, and what every operation does to the objects of a switch network: its handles, interfaces
 * and shares. Both backends have such objects: the embedded one all of its own, macOS those of networks that other
 * processes share.
 *
 * Waits end at the job's deadline, or after VN_LATEST_NS where there is none.
 */
#ifndef VN_EMBEDDED_HOLDER_H
#define VN_EMBEDDED_HOLDER_H

#include "core/backend.h"
#include "network.h"

#define VN_LATEST_NS 10000000000ull /* a gateway says why it cannot start within 5 s */

uint64_t vn_job_until(const struct vn_job *job);

/* The job's new network handle. Takes over the reference to the network, which after a failure was told to end. */
uint32_t vn_holder_make(struct vn_job *job, struct vn_network *network);
uint32_t vn_holder_join(struct vn_job *job); /* VN_OP_NETWORK_JOIN */
/* Waits for a network's first start. What went wrong is the job's failure. */
uint32_t vn_holder_wait_started(struct vn_job *job, struct vn_network *network);
/* An interface on a network that is held by the caller. */
uint32_t vn_holder_start_on(struct vn_job *job, struct vn_network *network, const struct vn_interface_options *options);

bool vn_holder_has(const struct vn_object *object); /* Is it an object of a switch network? */
struct vn_network *vn_holder_network(struct vn_object *object); /* of a network handle or an interface */
/* What is asked of such an object: VN_OP_INTERFACE_START on a network, VN_OP_NETWORK_SHARE, VN_OP_FORWARD_*,
 * VN_OP_RESERVATION_*, VN_OP_STOP. */
uint32_t vn_holder_run(struct vn_job *job);
uint32_t vn_holder_get(struct vn_object *object, uint32_t what, struct vn_writer *out);

#endif
