// SPDX-License-Identifier: MIT
/*
 * frame.c - checks IP headers against their frame, and sums and writes headers.
 *
 * What frame_ip() leaves alone: the checksums of transport packets, IPv6 extension headers (the protocol is then the
 * first one's, and there are no ports), and the bytes of a frame behind its IP packet, which are padding. A fragment's
 * ports are 0 even when it is the first one and carries them.
 */
#include "frame.h"

#include <string.h>

uint32_t sum_bytes(const uint8_t *bytes, uint32_t length, uint32_t sum) {
  for (; length > 1; bytes += 2, length -= 2) {
    sum += get16(bytes);
  }
  return length ? sum + ((uint32_t)bytes[0] << 8) : sum;
}

/* 65,550 bytes of 0xffff add up to less than 2^31, so a sum is folded only here. */
uint16_t sum_finish(uint32_t sum) {
  sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)~((sum & 0xffff) + (sum >> 16));
}

void checksum_change(uint8_t *checksum, uint16_t before, uint16_t after) {
  put16(checksum, sum_finish((uint16_t)~get16(checksum) + (uint32_t)(uint16_t)~before + after));
}

uint16_t ip_checksum(struct frame frame, const struct ip *ip) {
  const uint8_t *header = frame.data + ip->header;
  uint32_t sum = ip->length + ip->protocol;
  sum = ip->version == 4 ? sum_bytes(header + 12, 8, sum) : sum_bytes(header + 8, 32, sum);
  return sum_finish(sum_bytes(frame.data + ip->payload, ip->length, sum));
}

static bool read_ports(struct frame frame, struct ip *ip) {
  uint8_t *at = frame.data + ip->payload;
  if (ip->fragment || (ip->protocol != PROTOCOL_TCP && ip->protocol != PROTOCOL_UDP)) {
    return true;
  }
  if (ip->length < (ip->protocol == PROTOCOL_TCP ? 20 : 8)) {
    return false;
  }
  ip->source_port = get16(at);
  ip->target_port = get16(at + 2);
  if (ip->protocol == PROTOCOL_TCP) {
    uint32_t header = (at[12] >> 4) * 4u;
    return header >= 20 && header <= ip->length;
  }
  return get16(at + 4) >= 8 && get16(at + 4) <= ip->length;
}

static bool read_ipv4(struct frame frame, struct ip *ip) {
  const uint8_t *at = frame_at(frame, ETHERNET_HEADER, 20);
  if (!at || at[0] >> 4 != 4) {
    return false;
  }
  uint32_t header = (at[0] & 15) * 4u, total = get16(at + 2), place = get16(at + 6);
  if (header < 20 || total < header || !frame_at(frame, ETHERNET_HEADER, total) ||
      sum_finish(sum_bytes(at, header, 0)) != 0) {
    return false;
  }
  *ip = (struct ip){.version = 4, .header = ETHERNET_HEADER, .payload = ETHERNET_HEADER + header,
                    .length = total - header, .protocol = at[9], .fragment = (place & 0x3fff) != 0,
                    .source = get32(at + 12), .target = get32(at + 16)};
  bool more = place & 0x2000;
  if (ip->fragment && (ip->length == 0 || (more && ip->length % 8) || (place & 0x1fff) * 8 + total > 65535)) {
    return false;
  }
  return read_ports(frame, ip);
}

static bool read_ipv6(struct frame frame, struct ip *ip) {
  const uint8_t *at = frame_at(frame, ETHERNET_HEADER, 40);
  if (!at || at[0] >> 4 != 6 || !frame_at(frame, ETHERNET_HEADER + 40, get16(at + 4))) {
    return false;
  }
  *ip = (struct ip){.version = 6, .header = ETHERNET_HEADER, .payload = ETHERNET_HEADER + 40,
                    .length = get16(at + 4), .protocol = at[6], .source6 = at + 8, .target6 = at + 24};
  return read_ports(frame, ip);
}

bool frame_ip(struct frame frame, struct ip *ip) {
  const uint8_t *type = frame_at(frame, 12, 2);
  if (!type) {
    return false;
  }
  return get16(type) == TYPE_IPV4 ? read_ipv4(frame, ip) : get16(type) == TYPE_IPV6 && read_ipv6(frame, ip);
}

uint8_t *write_ethernet(uint8_t *at, const uint8_t *target, const uint8_t *source, uint16_t type) {
  memcpy(at, target, 6);
  memcpy(at + 6, source, 6);
  put16(at + 12, type);
  return at + ETHERNET_HEADER;
}

uint8_t *write_ipv4(uint8_t *at, uint8_t protocol, uint32_t source, uint32_t target, uint32_t payload_length) {
  memset(at, 0, 20);
  at[0] = 0x45;
  put16(at + 2, 20 + payload_length);
  at[6] = 0x40; /* do not fragment */
  at[8] = 64;
  at[9] = protocol;
  put32(at + 12, source);
  put32(at + 16, target);
  put16(at + 10, sum_finish(sum_bytes(at, 20, 0)));
  return at + 20;
}
