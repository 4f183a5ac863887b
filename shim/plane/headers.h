// SPDX-License-Identifier: MIT
/*
 * headers.h - where the headers of a frame are: Ethernet with at most one 802.1Q tag, IPv4 with options, IPv6 with
 * extension headers. Shared by those who judge frames (guard.h) and those who cut them (offload.h).
 *
 * A frame is somebody else's bytes. vn_headers_read() compares every length with the frame once, and what it leaves are
 * offsets that hold: network <= transport <= end <= the frame's length. It reads at most eight extension headers, which
 * is
 * twice what RFC 8200 has a use for.
 */
#ifndef VN_PLANE_HEADERS_H
#define VN_PLANE_HEADERS_H

#include <stdbool.h>
#include <stdint.h>

enum {
  VN_TYPE_LEAST = 0x0600, /* what is less is a length: IEEE 802.3 */
  VN_TYPE_IPV4 = 0x0800,
  VN_TYPE_ARP = 0x0806,
  VN_TYPE_VLAN = 0x8100,
  VN_TYPE_IPV6 = 0x86dd,
  VN_IGMP = 2, /* protocols of IP */
  VN_TCP = 6,
  VN_UDP = 17,
  VN_ICMP6 = 58,
};

struct vn_headers {
  uint16_t type;      /* the EtherType, behind the tag if there is one */
  uint8_t version;    /* 4, 6, or 0: not IP, and only type and network are set */
  uint8_t protocol;   /* of the transport header */
  bool fragment;      /* one of several, or marked as if it were */
  bool routed;        /* by a routing header to somewhere else than the address in the IPv6 header */
  uint32_t network;   /* offset of what follows the EtherType */
  uint32_t transport; /* offset of the transport header; 0: this fragment has none */
  uint32_t end;       /* offset of the packet's end; what follows is padding */
};

static inline uint32_t vn_get16(const uint8_t *at) { return (uint32_t)at[0] << 8 | at[1]; }
static inline uint32_t vn_get32(const uint8_t *at) { return vn_get16(at) << 16 | vn_get16(at + 2); }
static inline void vn_put16(uint8_t *at, uint32_t value) { at[0] = (uint8_t)(value >> 8), at[1] = (uint8_t)value; }
static inline void vn_put32(uint8_t *at, uint32_t value) { vn_put16(at, value >> 16), vn_put16(at + 2, value); }

/* False when the frame contradicts itself: lengths, versions, a chain of headers that is cut off or does not end. */
bool vn_headers_read(struct vn_headers *out, const uint8_t *frame, uint32_t length);

/* Has the packet that many bytes from its transport header on? */
static inline bool vn_headers_have(const struct vn_headers *headers, uint32_t size) {
  return headers->transport != 0 && size <= headers->end - headers->transport;
}

/* May a network card write a checksum there? Only where one belongs: who was let through with one source address must
 * not
 * get another one by a "checksum". What lies behind a transport header is free: tunnels have checksums there. */
bool vn_headers_checksum(const struct vn_headers *headers, uint32_t start, uint32_t offset);

#endif
