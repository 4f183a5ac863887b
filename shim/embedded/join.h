// SPDX-License-Identifier: MIT
/*
 * join.h - a network of another process: the member's side.
 *
 * Theory of operation. A joined network is a network whose thread switches nothing: every interface has a connection of
 * its own to the owner, and each is the other's peer. One more connection carries leases and requests; when it ends,
 * the
 * network and its interfaces are gone. MAC conflicts, limits and isolation are the owner's business.
 */
#ifndef VN_EMBEDDED_JOIN_H
#define VN_EMBEDDED_JOIN_H

#include "core/backend.h"
#include "network.h"

enum { VN_TOKEN_ROOM = 256 };

/* VN_OP_NETWORK_JOIN; blocks. */
uint32_t vn_join(struct vn_job *job, struct vn_network **out);
uint32_t vn_join_token(struct vn_job *job, const char *token, struct vn_network **out);
/* An interface's own connection; blocks. Answers the descriptor, and writes the owner's parameters to the result. */
uint32_t vn_join_interface(struct vn_network *network, struct vn_job *job, const struct vn_interface_options *options,
                           int *fd);

#endif
