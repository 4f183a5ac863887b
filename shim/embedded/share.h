// SPDX-License-Identifier: MIT
/*
 * share.h - a network for other processes of this user: the owner's side.
 *
 * Theory of operation. A share listens on a unix socket in a directory of mode 0700. Its token names the path and a
 * secret of 32 bytes. A connection is a newcomer until its hello came, which must happen within two seconds, be short,
 * know the secret, and come from this user; then it becomes
 *
 *   control     one per joined network: gets the network's parameters and leases, then every change of a lease; asks for
 *               forwards, which end with it, and reservations, which stay
 *   interface   one per interface: gets its parameters, and from then on is a stream port of the switch
 *
 * All messages are those of channel.h. hello: "secret" (32 bytes), "role" (text), "options" (list: an interface's).
 * The answer: "status", "text", "field", "needs", and the parameters. Stopping a share refuses newcomers; who is in
 * stays. The socket is made under another name and renamed when it listens: "socket" in a directory either answers, or
 * its owner is dead and the next share sweeps it away.
 */
#ifndef VN_EMBEDDED_SHARE_H
#define VN_EMBEDDED_SHARE_H

#include "core/backend.h"
#include "network.h"

enum { VN_SECRET = 32, VN_HELLO_LIMIT = 64 << 10, VN_NEWCOMERS_MOST = 64 };
#define VN_TOKEN_PREFIX "vmnet1:"

extern const struct vn_class vn_share_class;
uint32_t vn_share_start(struct vn_network *network, struct vn_job *job); /* VN_OP_NETWORK_SHARE; blocks */
void vn_share_stop(struct vn_object *share);                            /* VN_OP_STOP of a share; blocks */
uint32_t vn_share_state(struct vn_object *share);

/* The network's thread. */
void vn_share_end_all(struct vn_network *network);
void vn_members_tell(struct vn_network *network, const uint8_t *message, uint32_t length);
/* Sends to a joined process and frees the message; false when it is gone. */
bool vn_member_reply(struct vn_network *network, uint64_t member, struct vn_writer *message);

#endif
