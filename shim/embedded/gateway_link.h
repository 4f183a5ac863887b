// SPDX-License-Identifier: MIT
/*
 * gateway_link.h - the gateway process of a network: started, watched, started anew, ended.
 *
 * Theory of operation. The gateway has two sockets: frames (a port of the switch, the uplink) and control messages.
 * When
 * either ends, the process is reaped (killed if it does not go within 500 ms) and started again: at once, then after
 * 50,
 * 100, 200 ms, up to a second; a second of work counts as recovered. Leases, reservations and forwards are kept here
 * and
 * told to the new one. The first start is different: if that fails, the network's start fails with the gateway's
 * reason.
 */
#ifndef VN_EMBEDDED_GATEWAY_LINK_H
#define VN_EMBEDDED_GATEWAY_LINK_H

#include "network.h"

/* The first command of every network of this process: starts the gateway if the network needs one. */
void vn_gateway_first(struct vn_network *network, struct vn_command *command);

/* The program's path, beside this library. False when that cannot be found out. */
bool vn_gateway_path(char *out, size_t capacity);

#endif
