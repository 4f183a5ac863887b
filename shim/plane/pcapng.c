// SPDX-License-Identifier: MIT
/* pcapng.c - what begins at this place of a capture file? See pcapng.h. */
#include "pcapng.h"

#include <string.h>

enum {
  SECTION = 0x0a0d0d0a, /* block types; this one reads the same in both byte orders */
  INTERFACE = 1,
  OLD_PACKET = 2,
  SIMPLE_PACKET = 3,
  PACKET = 6,
  ORDER = 0x1a2b3c4d,
  OPTION_RESOLUTION = 9,
  OPTION_OFFSET = 14,
  OPTIONS_MOST = 64 << 10, /* of an interface; what lies behind is not looked at */
};
#define PCAP_MICROSECONDS 0xa1b2c3d4u
#define PCAP_NANOSECONDS 0xa1b23c4du
#define PCAP_LONGEST (256u << 10) /* the longest snap length that tools write; more is no length */
#define NS_PER_S 1000000000ull

static uint16_t get16(const struct vn_capture *capture, const uint8_t *at) {
  uint16_t value;
  memcpy(&value, at, 2);
  return capture->swapped ? __builtin_bswap16(value) : value;
}

static uint32_t get32(const struct vn_capture *capture, const uint8_t *at) {
  uint32_t value;
  memcpy(&value, at, 4);
  return capture->swapped ? __builtin_bswap32(value) : value;
}

static enum vn_capture_kind more(struct vn_capture_item *item, uint32_t need) {
  item->need = need;
  return VN_CAPTURE_MORE;
}

/* time_of() - Nanoseconds of a time in the interface's units; sums modulo 2^64, since only distances count. */
static uint64_t time_of(const struct vn_capture_interface *interface, uint64_t time) {
  uint32_t power = interface->resolution & 0x7f;
  uint64_t offset_ns = interface->offset_s * NS_PER_S;
  if (interface->resolution & 0x80) { /* units of 2^-power s */
    if (power >= 64) return offset_ns;
    uint64_t seconds = power ? time >> power : time, part = power ? time & (UINT64_MAX >> (64 - power)) : 0;
    if (power > 32) part >>= power - 32, power = 32; /* so that the product fits */
    return offset_ns + seconds * NS_PER_S + (part * NS_PER_S >> power);
  }
  for (; power < 9; power++) time *= 10;
  for (; power > 9 && time; power--) time /= 10;
  return offset_ns + time;
}

/* frame() - What all kinds of packets end with. room: most that the block can hold behind its header. */
static enum vn_capture_kind frame(struct vn_capture *capture, uint32_t interface, const uint8_t *bytes, size_t length,
                                  uint32_t header, uint32_t room, struct vn_capture_item *item) {
  item->time_ns = capture->time_ns;
  if (interface >= capture->count) return VN_CAPTURE_BAD;
  if (interface >= VN_CAPTURE_INTERFACES || capture->interfaces[interface].link != VN_CAPTURE_ETHERNET)
    return VN_CAPTURE_FOREIGN;
  if (item->length > room || item->length < VN_CAPTURE_LEAST || item->length > VN_CAPTURE_MOST) return VN_CAPTURE_BAD;
  if (length < header + item->length) return more(item, header + item->length);
  item->frame = bytes + header;
  return VN_CAPTURE_FRAME;
}

/* pcapng. */

static enum vn_capture_kind section(struct vn_capture *capture, const uint8_t *bytes, size_t length,
                                    struct vn_capture_item *item) {
  if (length < 16) return more(item, 16);
  capture->swapped = false;
  if (get32(capture, bytes + 8) != ORDER) {
    capture->swapped = true;
    if (get32(capture, bytes + 8) != ORDER) return VN_CAPTURE_BROKEN;
  }
  uint32_t total = get32(capture, bytes + 4);
  if (total < 28 || total % 4 != 0 || get16(capture, bytes + 12) != 1) return VN_CAPTURE_BROKEN;
  capture->format = VN_CAPTURE_PCAPNG;
  capture->count = 0;
  item->consume = total;
  return VN_CAPTURE_OTHER;
}

static enum vn_capture_kind interface(struct vn_capture *capture, const uint8_t *bytes, size_t length, uint32_t total,
                                      struct vn_capture_item *item) {
  if (total < 20) return VN_CAPTURE_BROKEN;
  uint32_t end = total - 4 < OPTIONS_MOST ? total - 4 : OPTIONS_MOST;
  if (length < end) return more(item, end);
  item->consume = total;
  if (capture->count >= VN_CAPTURE_INTERFACES) {
    if (capture->count < UINT32_MAX) capture->count++;
    return VN_CAPTURE_OTHER;
  }
  struct vn_capture_interface *it = &capture->interfaces[capture->count++];
  *it = (struct vn_capture_interface){get16(capture, bytes + 8), get32(capture, bytes + 12), 6, 0};
  for (uint32_t at = 16; at + 4 <= end;) {
    uint32_t code = get16(capture, bytes + at), size = get16(capture, bytes + at + 2);
    const uint8_t *value = bytes + at + 4;
    at += 4;
    if (code == 0 || size > end - at) break;
    if (code == OPTION_RESOLUTION && size == 1) it->resolution = *value;
    if (code == OPTION_OFFSET && size == 8) {
      uint32_t first = get32(capture, value), second = get32(capture, value + 4);
      uint16_t probe = 1;
      bool big = (*(const uint8_t *)&probe == 0) != capture->swapped;
      it->offset_s = big ? (uint64_t)first << 32 | second : (uint64_t)second << 32 | first;
    }
    at += (size + 3) & ~3u;
  }
  return VN_CAPTURE_OTHER;
}

/* The enhanced packet block, and the obsolete one, whose interface has 16 bits. */
static enum vn_capture_kind packet(struct vn_capture *capture, const uint8_t *bytes, size_t length, uint32_t type,
                                   uint32_t total, struct vn_capture_item *item) {
  if (total < 32) return VN_CAPTURE_BROKEN;
  if (length < 28) return more(item, 28);
  item->consume = total;
  uint32_t interface = type == PACKET ? get32(capture, bytes + 8) : get16(capture, bytes + 8);
  uint64_t time = (uint64_t)get32(capture, bytes + 12) << 32 | get32(capture, bytes + 16);
  if (interface < capture->count && interface < VN_CAPTURE_INTERFACES)
    capture->time_ns = time_of(&capture->interfaces[interface], time);
  item->length = get32(capture, bytes + 20);
  item->whole = get32(capture, bytes + 24);
  return frame(capture, interface, bytes, length, 28, total - 32, item);
}

static enum vn_capture_kind simple_packet(struct vn_capture *capture, const uint8_t *bytes, size_t length,
                                          uint32_t total, struct vn_capture_item *item) {
  if (total < 16) return VN_CAPTURE_BROKEN;
  item->consume = total;
  item->length = item->whole = get32(capture, bytes + 8);
  uint32_t room = total - 16, snap = capture->count ? capture->interfaces[0].snap : 0;
  if (snap != 0 && item->length > snap) item->length = snap; /* how much was kept is written nowhere */
  return frame(capture, 0, bytes, length, 12, room, item);
}

static enum vn_capture_kind block(struct vn_capture *capture, const uint8_t *bytes, size_t length,
                                  struct vn_capture_item *item) {
  if (length < 12) return more(item, 12);
  uint32_t type = get32(capture, bytes), total = get32(capture, bytes + 4);
  if (type == SECTION) return section(capture, bytes, length, item);
  if (total < 12 || total % 4 != 0) return VN_CAPTURE_BROKEN;
  switch (type) {
    case INTERFACE: return interface(capture, bytes, length, total, item);
    case OLD_PACKET:
    case PACKET: return packet(capture, bytes, length, type, total, item);
    case SIMPLE_PACKET: return simple_packet(capture, bytes, length, total, item);
    default: item->consume = total; return VN_CAPTURE_OTHER;
  }
}

/* pcap. */

static enum vn_capture_kind record(struct vn_capture *capture, const uint8_t *bytes, size_t length,
                                   struct vn_capture_item *item) {
  if (length < 16) return more(item, 16);
  uint64_t part = get32(capture, bytes + 4);
  capture->time_ns = get32(capture, bytes) * NS_PER_S + (capture->nanoseconds ? part : part * 1000);
  item->length = get32(capture, bytes + 8);
  item->whole = get32(capture, bytes + 12);
  if (item->length > PCAP_LONGEST) return VN_CAPTURE_BROKEN;
  item->consume = 16 + (uint64_t)item->length;
  return frame(capture, 0, bytes, length, 16, item->length, item);
}

static enum vn_capture_kind begin(struct vn_capture *capture, const uint8_t *bytes, size_t length,
                                  struct vn_capture_item *item) {
  if (length < 4) return more(item, 4);
  uint32_t magic = get32(capture, bytes), turned = __builtin_bswap32(magic);
  if (magic == SECTION) return section(capture, bytes, length, item);
  bool swapped = turned == PCAP_MICROSECONDS || turned == PCAP_NANOSECONDS;
  if (swapped) magic = turned;
  if (magic != PCAP_MICROSECONDS && magic != PCAP_NANOSECONDS) return VN_CAPTURE_BROKEN;
  if (length < 24) return more(item, 24);
  capture->format = VN_CAPTURE_PCAP;
  capture->swapped = swapped;
  capture->nanoseconds = magic == PCAP_NANOSECONDS;
  capture->count = 1;
  /* The upper half may tell of a checksum behind each frame, which nobody writes. */
  capture->interfaces[0] = (struct vn_capture_interface){.link = get32(capture, bytes + 20) & 0xffff};
  item->consume = 24;
  return VN_CAPTURE_OTHER;
}

enum vn_capture_kind vn_capture_next(struct vn_capture *capture, const uint8_t *bytes, size_t length,
                                     struct vn_capture_item *item) {
  *item = (struct vn_capture_item){.consume = 0};
  switch (capture->format) {
    case VN_CAPTURE_PCAP: return record(capture, bytes, length, item);
    case VN_CAPTURE_PCAPNG: return block(capture, bytes, length, item);
    default: return begin(capture, bytes, length, item);
  }
}
