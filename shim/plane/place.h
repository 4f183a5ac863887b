// SPDX-License-Identifier: MIT
/*
 * place.h - a port's place on its network: what the rest of the network and scripts know it by.
 *
 * A place is the number, the label, the entries of the switch's table, the guard with what it has learned, and the
 * counters. It can outlive the connection that had it: the port of a client that comes back changes places with the
 * one that was kept.
 */
#ifndef VN_PLANE_PLACE_H
#define VN_PLANE_PLACE_H

#include "embedded/network.h"

/* The network's thread. Both are ports of the same switch. The newcomer gets what kept has counted, and keeps its own.
 * */
void vn_place_exchange(struct vn_net_port *kept, struct vn_net_port *newcomer);
/* The source address that the port used last, by the switch's table. False: none, or others have pushed it out. */
bool vn_place_mac(const struct vn_net_port *port, uint8_t mac[6]);

#endif
