// SPDX-License-Identifier: MIT
/*
 * protocol.h - what the switch (in the shim) and the gateway (a program of its own) say to each other.
 *
 * The gateway is started with two stream sockets. Descriptor 3 carries frames: a 4-byte big-endian length, then the
 * frame. Descriptor 4 carries control messages: a 4-byte big-endian length, then a list as vmnet_shim.h describes, of
 * VN_MESSAGE_LIMIT bytes at the most. The gateway ends when either reaches its end.
 *
 * To the gateway; "message" (text) names it:
 *   configure      the first one, once: "mode" (number 1000 host, 1001 shared), "ipv4Subnet" (text a.b.c.d/n),
 *                  "ipv4Gateway", "ipv6Prefix" (text p::/64), "mtu", "dhcp", "dnsProxy", "nat44", "nat66",
 *                  "routerAdvertisement" (numbers), "dhcpStart", "dhcpEnd" (text), "leaseSeconds" (number),
 *                  "reservation" (lists: "mac" 6 bytes, "address" text), and what a restart replays: "lease" (lists, as
 *                  below) and "forward" (lists: "protocol", "externalPort", "internalAddress", "internalPort").
 *                  Only mode and ipv4Subnet must be there. Left out: everything on, the first address as the gateway,
 *                  all others for DHCP, a day, MTU 1500, no IPv6. Below MTU 1280 there is no IPv6 either.
 *   forwardAdd     "id" (number), and the fields of a forward; the internal address is in the subnet or prefix
 *   forwardRemove  "id", "protocol", "externalPort", "family" (4 or 6)
 *   reservationAdd "id", "mac" (6 bytes), "address" (text): instead of what that MAC address has, if anything. VN_IN_USE
 *                  when the address is reserved or leased to another one; "text" says to which.
 *   reservationRemove "id", "mac"
 *   stats          "id"
 * From the gateway:
 *   ready          "status" (a vn_status; when not 0 also "text", "needs", "errno", "field"), "libslirp" (text,
 *                  its version, in shared mode), "failed" (lists: forwards that could not be replayed, with "errno").
 *                  A replayed forward whose port is in use is tried for two seconds, and ready waits as long; frames
 *                  do not. When status is not 0 the gateway ends.
 *   reply          "id", "status", and "text", "errno", "field", "needs" as above; to stats also numbers: the counters
 *                  of gateway.h, "droppedQueueFull", "leases", "forwards", "connections"
 *   lease          "change" (1 added or renewed, 2 ended), "mac" (6 bytes), "address" (text), "hostname" (text, may be
 *                  missing), "expires" (seconds since 1970; missing or 0: never). A replayed lease is told only when
 *                  it ends.
 * A message that is no list, has no name or comes at the wrong time is answered with VN_BAD_CALL, as ready or as reply
 * to id 0, and the gateway ends; one with an unknown name only gets its reply.
 *
 * In host mode the gateway answers ARP and ping for its address and serves DHCP, nothing else; libslirp is not needed.
 * In shared mode libslirp is opened as libslirp.so.0, or as the environment variable VMNET_LIBSLIRP says.
 */
#ifndef VN_GATEWAY_PROTOCOL_H
#define VN_GATEWAY_PROTOCOL_H

#define VN_GATEWAY_FRAMES_FD 3
#define VN_GATEWAY_CONTROL_FD 4
#define VN_MESSAGE_LIMIT (4u << 20) /* a configure message with all that lease.h, facts.h and vn_call() allow */
#define VN_FRAME_LIMIT 65550u /* what vmnet reports with TSO: 65,536 bytes and an Ethernet header */

#endif
