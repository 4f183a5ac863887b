// SPDX-License-Identifier: MIT
/*
 * request.h - forwards and DHCP reservations added and removed at run time: asked of the upstream, answered later.
 *
 * A control thread waits for the answer, but only until its deadline; an add that succeeds after nobody waits any more
 * is undone. While the gateway restarts the answer is "again", and the control thread asks anew. A forward ends with
 * who
 * asked for it; a reservation is the network's own, whoever asked.
 */
#ifndef VN_EMBEDDED_REQUEST_H
#define VN_EMBEDDED_REQUEST_H

#include "core/backend.h"
#include "network.h"

struct vn_nic;

/* Carries out VN_OP_FORWARD_* and VN_OP_RESERVATION_*; blocks. nic: the interface it was asked of, or NULL. */
uint32_t vn_request_run(struct vn_network *network, struct vn_job *job, const struct vn_nic *nic);

/* The network's thread. */
/* From a process that joined; answered through vn_member_reply(). What is no request is passed over. */
void vn_request_relay(struct vn_network *network, const uint8_t *message, uint32_t length, uint64_t member);
void vn_request_reply(struct vn_network *network, const uint8_t *message, uint32_t length); /* from upstream */
void vn_requests_again(struct vn_network *network);                      /* the gateway is gone for the moment */
void vn_requests_fail(struct vn_network *network);                       /* the network ended */
void vn_requests_withdraw(struct vn_network *network, uint64_t owner);   /* removes an owner's forwards */

/* Copies "text", "field", "needs", "errno" and lists of a reply into a result list or another reply. */
void vn_reply_details(struct vn_writer *out, const char *text_key, const uint8_t *message, uint32_t length);

#endif
