// SPDX-License-Identifier: MIT
/*
 * frame.h - Ethernet frames that nobody vouches for.
 *
 * Theory of operation. Every look into a frame goes through frame_at(), which answers NULL when the bytes are not all
 * there, or through frame_ip(), which checks the IP header against the frame once and leaves offsets that hold. Nothing
 * else in the gateway compares an offset with a frame's length. IPv4 addresses are numbers in the machine's byte order.
 */
#ifndef VN_GATEWAY_FRAME_H
#define VN_GATEWAY_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  ETHERNET_HEADER = 14,
  TYPE_IPV4 = 0x0800,
  TYPE_ARP = 0x0806,
  TYPE_IPV6 = 0x86dd,
  PROTOCOL_ICMP = 1,
  PROTOCOL_TCP = 6,
  PROTOCOL_UDP = 17,
  PROTOCOL_ICMP6 = 58,
};

struct frame {
  uint8_t *data;
  uint32_t length;
};

/* A checked IP packet: its payload of that length is inside the frame. */
struct ip {
  unsigned version; /* 4 or 6 */
  uint32_t header;  /* offset of the IP header in the frame */
  uint32_t payload; /* offset of what follows the header */
  uint32_t length;  /* of the payload */
  uint8_t protocol; /* of IPv6: the next header, whatever it is */
  bool fragment;
  uint32_t source, target;           /* IPv4 */
  const uint8_t *source6, *target6;  /* IPv6, 16 bytes each */
  uint16_t source_port, target_port; /* TCP and UDP in one piece, else 0 */
};

static inline uint8_t *frame_at(struct frame frame, uint32_t offset, uint32_t size) {
  return offset <= frame.length && size <= frame.length - offset ? frame.data + offset : NULL;
}

static inline uint16_t get16(const uint8_t *at) { return (uint16_t)(at[0] << 8 | at[1]); }
static inline uint32_t get32(const uint8_t *at) { return (uint32_t)get16(at) << 16 | get16(at + 2); }
static inline void put16(uint8_t *at, uint32_t value) { at[0] = (uint8_t)(value >> 8), at[1] = (uint8_t)value; }
static inline void put32(uint8_t *at, uint32_t value) { put16(at, value >> 16), put16(at + 2, value); }

/* Answers false for whatever contradicts itself: lengths, version, an IPv4 header checksum, ports that are cut off, a
 * UDP or TCP header that does not fit, a fragment that cannot be part of any packet. */
bool frame_ip(struct frame frame, struct ip *ip);

/* The Internet checksum over bytes, continuing from the sum of what came before (0 at first). */
uint32_t sum_bytes(const uint8_t *bytes, uint32_t length, uint32_t sum);
uint16_t sum_finish(uint32_t sum);
/* The checksum of a transport packet with its pseudo header. */
uint16_t ip_checksum(struct frame frame, const struct ip *ip);
/* Corrects a checksum at the address for a 16-bit word that changes (RFC 1624). */
void checksum_change(uint8_t *checksum, uint16_t before, uint16_t after);

/* Writes an Ethernet header or an IPv4 header without options, checksum included. Both answer what follows. */
uint8_t *write_ethernet(uint8_t *at, const uint8_t *target, const uint8_t *source, uint16_t type);
uint8_t *write_ipv4(uint8_t *at, uint8_t protocol, uint32_t source, uint32_t target, uint32_t payload_length);

#endif
