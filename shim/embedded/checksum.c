// SPDX-License-Identifier: MIT
/*
 * checksum.c - the sum is taken in the machine's own byte order, 64 bytes at a time, and turned at the end, which a
 * one's
 * complement sum allows (RFC 1071). Of each 64-bit lane the two halves are added apart, so that no carry is lost before
 * 2^32 rounds; no frame is that long. Only what the lengths in the frame allow is touched.
 */
#include "checksum.h"

#include <string.h>

enum { NEEDS_CSUM = 1, PROTOCOL_TCP = 6, PROTOCOL_UDP = 17 };

static uint32_t get16(const uint8_t *bytes) { return (uint32_t)bytes[0] << 8 | bytes[1]; }

static void put16(uint8_t *bytes, uint32_t value) {
  bytes[0] = (uint8_t)(value >> 8);
  bytes[1] = (uint8_t)value;
}

/* Two 64-bit lanes: SSE2 and NEON have them always, and no compiler has to find them by itself. */
typedef uint64_t lanes __attribute__((vector_size(16)));

static lanes load(const uint8_t *bytes) {
  lanes value;
  memcpy(&value, bytes, sizeof value);
  return value;
}

static lanes halves(lanes value) { return (value & 0xffffffff) + (value >> 32); }

static uint32_t fold(uint64_t total) {
  total = (total & 0xffffffff) + (total >> 32);
  total = (total & 0xffff) + (total >> 16 & 0xffff) + (total >> 32);
  total = (total & 0xffff) + (total >> 16);
  return (uint32_t)((total & 0xffff) + (total >> 16));
}

uint32_t vn_sum(const uint8_t *bytes, uint32_t length) {
  uint64_t total = 0, word;
  if (length >= 64) {
    lanes a = {0, 0}, b = {0, 0};
    for (; length >= 64; bytes += 64, length -= 64) {
      a += halves(load(bytes)) + halves(load(bytes + 16));
      b += halves(load(bytes + 32)) + halves(load(bytes + 48));
    }
    a += b; /* below 2^48 each, for lengths are below 2^32 */
    total = a[0] + a[1];
  }
  for (; length >= 8; bytes += 8, length -= 8) {
    memcpy(&word, bytes, 8);
    total += (word & 0xffffffff) + (word >> 32);
  }
  if (length & 4) {
    uint32_t four;
    memcpy(&four, bytes, 4);
    total += four;
    bytes += 4;
  }
  if (length & 3) { /* the last up to three bytes, as if zeros followed */
    uint32_t last = 0;
    memcpy(&last, bytes, 1);
    if (length & 2) memcpy(&last, bytes, 2);
    if ((length & 3) == 3) memcpy((uint8_t *)&last + 2, bytes + 2, 1);
    total += last;
  }
  uint32_t folded = fold(total);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  folded = (folded & 0xff) << 8 | folded >> 8;
#endif
  return folded;
}

uint32_t vn_checksum(uint64_t total) { return fold(total) ^ 0xffff; }

bool vn_checksum_virtio(const uint8_t header[VN_VIRTIO_HEADER], uint8_t *frame, uint32_t length) {
  if (header[1] != 0) return false; /* gso_type */
  if (!(header[0] & NEEDS_CSUM)) return true;
  uint32_t start = header[6] | (uint32_t)header[7] << 8, offset = header[8] | (uint32_t)header[9] << 8;
  if (start >= length || start + offset + 2 > length) return false;
  uint32_t value = vn_checksum(vn_sum(frame + start, length - start));
  put16(frame + start + offset, value ? value : 0xffff);
  return true;
}

static bool fill_transport(uint8_t *segment, uint32_t length, uint32_t protocol, uint64_t pseudo) {
  uint32_t at = protocol == PROTOCOL_TCP ? 16 : 6;
  if (protocol != PROTOCOL_TCP && protocol != PROTOCOL_UDP) return true;
  if (length < at + 2) return false;
  put16(segment + at, 0);
  uint32_t value = vn_checksum(pseudo + protocol + length + vn_sum(segment, length));
  put16(segment + at, value || protocol == PROTOCOL_TCP ? value : 0xffff);
  return true;
}

bool vn_checksum_fill(uint8_t *frame, uint32_t length) {
  if (length < 14) return false;
  uint32_t type = get16(frame + 12);
  uint8_t *packet = frame + 14;
  length -= 14;
  if (type == 0x0800) {
    if (length < 20) return false;
    uint32_t header = (packet[0] & 15u) * 4, total = get16(packet + 2);
    if (header < 20 || total < header || total > length) return false;
    put16(packet + 10, 0);
    put16(packet + 10, vn_checksum(vn_sum(packet, header)));
    if (get16(packet + 6) & 0x3fff) return true; /* a fragment */
    return fill_transport(packet + header, total - header, packet[9], vn_sum(packet + 12, 8));
  }
  if (type == 0x86dd) {
    if (length < 40) return false;
    uint32_t payload = get16(packet + 4);
    if (payload > length - 40) return false;
    return fill_transport(packet + 40, payload, packet[6], vn_sum(packet + 8, 32));
  }
  return true;
}
