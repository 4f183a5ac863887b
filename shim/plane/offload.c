// SPDX-License-Identifier: MIT
/*
 * offload.c - the frame itself may be lent to others at the same time, so everything is written in a copy, which lies
 * on
 * the stack: 64 KiB are a small part of any thread's, need no owner, and are warm.
 *
 * A segment is the frame's headers with the fields changed that differ, and its share of the payload. A frame that asks
 * for more than 128 segments has to ask for 32 bytes or more in each: the smallest that TCP of a real guest comes to
 * (48
 * without options, RFC 9293 knows no least) is 36, and Linux never cuts UDP into more than 128. So no frame of 64 KiB
 * becomes more than 2,048.
 */
#include "offload.h"

#include <string.h>

#include "headers.h"

#define LONGEST 65562u /* 64 KiB of IP and Ethernet with a tag, and what a virtio header would take */

enum { NEEDS_CSUM = 1 };
enum { GSO_TCPV4 = 1, GSO_TCPV6 = 4, GSO_UDP_L4 = 5, GSO_ECN = 0x80 };
enum { SEGMENTS_ANYWAY = 128, SIZE_LEAST = 32 };
enum { TCP_FIN = 1, TCP_PSH = 8, TCP_CWR = 0x80 };

const uint8_t vn_offload_none[VN_VIRTIO_HEADER] = {[10] = 1};

typedef void give_function(void *to, const struct vn_packet *packet);

static uint32_t little16(const uint8_t *at) { return at[0] | (uint32_t)at[1] << 8; }

/* One checksum, which begins with what the driver left in its place. */
static bool complete(const struct vn_packet *packet, const struct vn_headers *headers, uint8_t *frame,
                     give_function *give, void *to) {
  uint32_t start = little16(packet->header + 6), offset = little16(packet->header + 8), length = packet->length;
  if (start + offset + 2 > length || !vn_headers_checksum(headers, start, offset)) return false;
  memcpy(frame, packet->frame, length);
  uint32_t value = vn_checksum(vn_sum(frame + start, length - start));
  vn_put16(frame + start + offset, value ? value : 0xffff);
  give(to, &(struct vn_packet){.frame = frame, .length = length});
  return true;
}

/* The sum of addresses and protocol; the length is added for each segment. */
static uint32_t pseudo_header(const uint8_t *ip, const struct vn_headers *headers) {
  return headers->protocol + (headers->version == 4 ? vn_sum(ip + 12, 8) : vn_sum(ip + 8, 32));
}

static void set_length(uint8_t *ip, const struct vn_headers *headers, uint32_t length, uint32_t identification) {
  if (headers->version == 6) {
    vn_put16(ip + 4, length - 40);
    return;
  }
  vn_put16(ip + 2, length);
  vn_put16(ip + 4, identification);
  vn_put16(ip + 10, 0);
  vn_put16(ip + 10, vn_checksum(vn_sum(ip, headers->transport - headers->network)));
}

static void cut(const struct vn_packet *packet, const struct vn_headers *headers, uint32_t data, uint32_t size,
                uint8_t *frame, give_function *give, void *to) {
  uint8_t *ip = frame + headers->network, *transport = frame + headers->transport;
  bool tcp = headers->protocol == VN_TCP;
  memcpy(frame, packet->frame, data);
  uint32_t pseudo = pseudo_header(ip, headers), sequence = vn_get32(transport + 4);
  uint32_t identification = vn_get16(ip + 4); /* of IPv4 */
  uint8_t flags = tcp ? transport[13] : 0, *checksum = transport + (tcp ? 16 : 6);
  for (uint32_t at = data, part, i = 0; i == 0 || at < headers->end; at += part, i++) {
    part = headers->end - at < size ? headers->end - at : size;
    uint32_t length = data - headers->transport + part;
    memcpy(frame + data, packet->frame + at, part);
    set_length(ip, headers, data - headers->network + part, identification + i);
    if (tcp) {
      vn_put32(transport + 4, sequence + (at - data));
      transport[13] = flags;
      if (i > 0) transport[13] &= (uint8_t)~TCP_CWR;
      if (at + part < headers->end) transport[13] &= (uint8_t)~(TCP_FIN | TCP_PSH);
    } else {
      vn_put16(transport + 4, length);
    }
    vn_put16(checksum, 0);
    uint32_t value = vn_checksum((uint64_t)pseudo + length + vn_sum(transport, length));
    vn_put16(checksum, value || tcp || VN_BROKEN(96) ? value : 0xffff);
    give(to, &(struct vn_packet){.frame = frame, .length = data + part});
  }
}

static uint32_t version_of(uint32_t type) { return type == GSO_TCPV4 ? 4 : type == GSO_TCPV6 ? 6 : 0; }

/* Finds the payload and how much of it goes into a segment; what the header says must agree with the frame. */
static bool segment(const struct vn_packet *packet, const struct vn_headers *headers, uint8_t *frame,
                    give_function *give, void *to) {
  uint32_t size = little16(packet->header + 4), type = packet->header[1] & ~(uint32_t)GSO_ECN;
  bool tcp = type != GSO_UDP_L4;
  if (headers->version == 0 || (tcp && version_of(type) != headers->version)) return false;
  if (headers->fragment || headers->routed) return false;
  if (headers->protocol != (tcp ? VN_TCP : VN_UDP) || !vn_headers_have(headers, tcp ? 20 : 8)) return false;
  uint32_t header = tcp ? (packet->frame[headers->transport + 12] >> 4) * 4u : 8;
  if ((tcp && header < 20) || !vn_headers_have(headers, header)) return false;
  uint32_t data = headers->transport + header, payload = headers->end - data;
  if (size == 0 || (size < SIZE_LEAST && payload > size * SEGMENTS_ANYWAY)) return false;
  uint32_t longest = data - headers->network + (payload < size ? payload : size); /* the IP packet of a segment */
  if (longest > 65535) return false;
  cut(packet, headers, data, size, frame, give, to);
  return true;
}

/* Apart, so that a frame that needs nothing does not pay for the stack. */
static __attribute__((noinline)) bool finish(const struct vn_packet *packet, give_function *give, void *to) {
  uint8_t frame[LONGEST];
  struct vn_headers headers;
  if (packet->length > LONGEST || !vn_headers_read(&headers, packet->frame, packet->length)) return false;
  return packet->header[1] != 0 ? segment(packet, &headers, frame, give, to) : complete(packet, &headers, frame, give, to);
}

/* Apart as finish(). */
static __attribute__((noinline)) bool cut_to(const struct vn_packet *packet, uint32_t longest, give_function *give, void *to) {
  uint8_t frame[LONGEST], header[VN_VIRTIO_HEADER] = {0};
  struct vn_headers headers;
  if (packet->length > LONGEST || !vn_headers_read(&headers, packet->frame, packet->length)) return false;
  if (headers.version == 0 || headers.protocol != VN_TCP || !vn_headers_have(&headers, 20)) return false;
  uint32_t data = headers.transport + (packet->frame[headers.transport + 12] >> 4) * 4u;
  if (longest < data + SIZE_LEAST) return false;
  header[1] = headers.version == 4 ? GSO_TCPV4 : GSO_TCPV6;
  header[4] = (uint8_t)(longest - data), header[5] = (uint8_t)((longest - data) >> 8);
  struct vn_packet whole = {.frame = packet->frame, .length = packet->length, .header = header};
  return segment(&whole, &headers, frame, give, to);
}

bool vn_offload_cut(const struct vn_packet *packet, uint32_t longest, give_function *give, void *to) {
  return packet->header == NULL && cut_to(packet, longest, give, to);
}

bool vn_offload_finish(const struct vn_packet *packet, give_function *give, void *to) {
  const uint8_t *header = packet->header;
  if (header != NULL && ((header[0] & NEEDS_CSUM) || header[1] != 0)) return finish(packet, give, to);
  struct vn_packet plain = *packet;
  plain.header = NULL;
  plain.framed = packet->framed && header == NULL;
  give(to, &plain);
  return true;
}
