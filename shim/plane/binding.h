// SPDX-License-Identifier: MIT
/*
 * binding.h - the addresses that a guarded port may use; guard.h says which.
 *
 * Theory of operation. The port's MAC address is settled by its first frame at the latest. Where DHCP gives out
 * addresses,
 * the leased and reserved ones of that MAC are kept here, read again whenever the network's count of lease changes is
 * another one. Everywhere else, and for IPv6, who uses an address first has it: a port of a network without DHCP gets
 * one
 * IPv4 address and one of 169.254/16 for as long as it is there, and every port up to 16 IPv6 addresses of which the
 * least
 * recently used one makes room. What one guarded port has, or the gateway, no other one gets. A look through the
 * others'
 * addresses takes time, so a port may try 16 new addresses a second.
 */
#ifndef VN_PLANE_BINDING_H
#define VN_PLANE_BINDING_H

#include "embedded/network.h"

enum { VN_BINDING_LEASED = 8, VN_BINDING_SIX = 16, VN_BINDING_TRIES = 16 };

struct vn_binding {
  bool settled; /* mac is known */
  bool read;    /* leased is */
  uint8_t mac[6];
  uint32_t leased[VN_BINDING_LEASED], leased_count, lease_changes;
  uint32_t own, own_local; /* without DHCP; 0: none yet. own_local is of 169.254/16 */
  uint32_t six_count, tries;
  uint64_t tries_ns; /* when they began */
  struct {
    uint8_t address[16];
    uint64_t used_ns;
  } six[VN_BINDING_SIX];
};

/* Why a frame may not go on: a literal, and the address that it is about. */
struct vn_offence {
  const char *what;
  uint32_t version; /* of the address: 4, 6, 0 for a MAC address, 1 for none */
  uint8_t address[16];
};

bool vn_binding_allows(struct vn_binding *binding, struct vn_net_port *from, const struct vn_packet *packet,
                       struct vn_offence *why);
void vn_offence_text(const struct vn_offence *offence, char out[64]);

/* guard.c: the one of another port, or NULL if that is not bound to addresses. */
const struct vn_binding *vn_guard_binding(const struct vn_guard *guard);

#endif
