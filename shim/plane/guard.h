// SPDX-License-Identifier: MIT
/*
 * guard.h - what a port may send: bound addresses, and limits.
 *
 * Theory of operation. Two token buckets, one in bytes and one in broadcast and multicast frames, filled by the turn's
 * time.
 * A frame goes as long as its bucket is not empty, and may leave a debt there, so that the longest frame passes the
 * smallest bucket and the rate still holds.
 *
 * antiSpoof binds the port to addresses: its MAC address is the given one, else its interface's, else the first that it
 * uses; IPv4 and ARP senders have to be an address that DHCP leased (or reserved) to that MAC on this network, or
 * 0.0.0.0
 * in DHCP requests and ARP probes, and where there is no DHCP the first address that it uses; IPv6 senders have to be
 * link-local, unspecified, or of the network's prefix, and the link-layer address in neighbour discovery has to be the
 * port's. DHCP answers and router advertisements are not for guests to send. binding.h has the rest of it.
 */
#ifndef VN_PLANE_GUARD_H
#define VN_PLANE_GUARD_H

#include "embedded/network.h"

struct vn_guard_options {
  uint64_t bytes_per_second, burst_bytes; /* 0: no limit; burst 0: a tenth of a second, at least 64 KiB */
  uint32_t broadcasts_per_second;         /* 0: no limit; burst: as much as a second */
  bool anti_spoof;
  uint8_t mac[6]; /* zero: the interface's or the first that is used, if anti_spoof */
};

bool vn_guard_wanted(const struct vn_guard_options *options); /* is there anything to guard? */
struct vn_guard *vn_guard_new(const struct vn_guard_options *options); /* NULL: no memory */
/* The network's thread, from here on, once the port is added. set: keeps what it has learned, unless it is to learn
 * anew:
 * another mac, or none any more, or without anti_spoof. */
void vn_guard_set(struct vn_guard *guard, const struct vn_guard_options *options);
void vn_guard_get(const struct vn_guard *guard, struct vn_guard_options *out);
void vn_guard_forget(struct vn_guard *guard); /* what it has learned: somebody else is behind the port now; NULL is fine */
void vn_guard_free(struct vn_guard *guard); /* NULL is fine */
/* False: the frame is not to go on; it was counted at the port, and boards were told if it was the first in a second.
 * */
bool vn_guard_allows(struct vn_net_port *from, const struct vn_packet *packet);

#endif
