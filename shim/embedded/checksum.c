// SPDX-License-Identifier: MIT
/*
 * checksum.c - sums big-endian words into 64 bits and folds at the end, so that no frame is long enough to overflow. Only
 * what the lengths in the frame allow is touched.
 */
#include "checksum.h"

#include <string.h>

enum { NEEDS_CSUM = 1, PROTOCOL_TCP = 6, PROTOCOL_UDP = 17 };

static uint32_t get16(const uint8_t *bytes) { return (uint32_t)bytes[0] << 8 | bytes[1]; }

static void put16(uint8_t *bytes, uint32_t value) {
  bytes[0] = (uint8_t)(value >> 8);
  bytes[1] = (uint8_t)value;
}

static uint64_t sum(const uint8_t *bytes, uint32_t length, uint64_t total) {
  for (; length >= 2; bytes += 2, length -= 2) total += get16(bytes);
  if (length) total += (uint32_t)bytes[0] << 8;
  return total;
}

static uint32_t fold(uint64_t total) {
  while (total >> 16) total = (total & 0xffff) + (total >> 16);
  return (uint32_t)total ^ 0xffff;
}

bool vn_checksum_virtio(const uint8_t header[VN_VIRTIO_HEADER], uint8_t *frame, uint32_t length) {
  if (header[1] != 0) return false; /* gso_type */
  if (!(header[0] & NEEDS_CSUM)) return true;
  uint32_t start = header[6] | (uint32_t)header[7] << 8, offset = header[8] | (uint32_t)header[9] << 8;
  if (start >= length || start + offset + 2 > length) return false;
  uint32_t value = fold(sum(frame + start, length - start, 0));
  put16(frame + start + offset, value ? value : 0xffff);
  return true;
}

static bool fill_transport(uint8_t *segment, uint32_t length, uint32_t protocol, uint64_t pseudo) {
  uint32_t at = protocol == PROTOCOL_TCP ? 16 : 6;
  if (protocol != PROTOCOL_TCP && protocol != PROTOCOL_UDP) return true;
  if (length < at + 2) return false;
  put16(segment + at, 0);
  uint32_t value = fold(sum(segment, length, pseudo + protocol + length));
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
    put16(packet + 10, fold(sum(packet, header, 0)));
    if (get16(packet + 6) & 0x3fff) return true; /* a fragment */
    return fill_transport(packet + header, total - header, packet[9], sum(packet + 12, 8, 0));
  }
  if (type == 0x86dd) {
    if (length < 40) return false;
    uint32_t payload = get16(packet + 4);
    if (payload > length - 40) return false;
    return fill_transport(packet + 40, payload, packet[6], sum(packet + 8, 32, 0));
  }
  return true;
}
