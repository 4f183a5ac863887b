// SPDX-License-Identifier: MIT
/*
 * headers.c - a length of 0 in an IP header means "to the end of the frame": that is how jumbograms and some drivers'
 * packets to be segmented look. The IPv4 header's checksum is not looked at.
 */
#include "headers.h"

enum { ETHERNET = 14, TAG = 4, EXTENSIONS_MOST = 8 };
enum { HOP_BY_HOP = 0, ROUTING = 43, FRAGMENT = 44, AUTHENTICATION = 51, DESTINATION = 60, MOBILITY = 135, HIP = 139,
       SHIM6 = 140 };

static bool read_ipv4(struct vn_headers *out, const uint8_t *frame, uint32_t length) {
  const uint8_t *ip = frame + out->network;
  length -= out->network;
  if (length < 20 || ip[0] >> 4 != 4) return false;
  uint32_t header = (ip[0] & 15u) * 4, total = vn_get16(ip + 2), place = vn_get16(ip + 6);
  if (total == 0) total = length;
  if (header < 20 || total < header || total > length) return false;
  out->version = 4;
  out->protocol = ip[9];
  out->end = out->network + total;
  out->fragment = (place & 0x3fff) != 0;
  out->transport = place & 0x1fff ? 0 : out->network + header;
  return true;
}

static bool read_ipv6(struct vn_headers *out, const uint8_t *frame, uint32_t length) {
  const uint8_t *ip = frame + out->network;
  if (length - out->network < 40 || ip[0] >> 4 != 6) return false;
  uint32_t payload = vn_get16(ip + 4), at = out->network + 40;
  if (payload == 0) payload = length - at;
  if (payload > length - at) return false;
  out->version = 6;
  out->end = at + payload;
  uint8_t next = ip[6];
  for (int i = 0; i <= EXTENSIONS_MOST; i++) {
    uint32_t size = 8;
    const uint8_t *extension = frame + at;
    bool there = out->end - at >= 8;
    switch (next) {
    case FRAGMENT:
      out->fragment = true;
      break;
    case AUTHENTICATION:
      if (there) size = (extension[1] + 2u) * 4;
      break;
    case HOP_BY_HOP: case ROUTING: case DESTINATION: case MOBILITY: case HIP: case SHIM6:
      if (there) size = (extension[1] + 1u) * 8;
      break;
    default:
      out->protocol = next;
      out->transport = at;
      return true;
    }
    if (!there || size > out->end - at) return false;
    if (next == ROUTING && extension[3] != 0) out->routed = true;
    if (next == FRAGMENT && (vn_get16(extension + 2) & 0xfff8) != 0) {
      out->protocol = extension[0];
      return true;
    }
    next = extension[0];
    at += size;
  }
  return false;
}

bool vn_headers_read(struct vn_headers *out, const uint8_t *frame, uint32_t length) {
  if (length < ETHERNET) return false;
  *out = (struct vn_headers){.type = (uint16_t)vn_get16(frame + 12), .network = ETHERNET};
  if (out->type == VN_TYPE_VLAN) {
    if (length < ETHERNET + TAG) return false;
    out->type = (uint16_t)vn_get16(frame + 16);
    out->network = ETHERNET + TAG;
  }
  if (out->type == VN_TYPE_IPV4) return read_ipv4(out, frame, length);
  return out->type != VN_TYPE_IPV6 || read_ipv6(out, frame, length);
}

bool vn_headers_checksum(const struct vn_headers *headers, uint32_t start, uint32_t offset) {
  if (headers->version == 0)
    return headers->type >= VN_TYPE_LEAST && headers->type != VN_TYPE_ARP && start >= headers->network;
  if (headers->fragment || headers->transport == 0 || start < headers->transport) return false;
  bool own = start == headers->transport;
  switch (headers->protocol) {
  case VN_TCP: return !own || offset == 16;
  case VN_UDP: return own ? offset == 6 : start >= headers->transport + 8;
  case VN_ICMP6: return own && offset == 2;
  default: return true;
  }
}
