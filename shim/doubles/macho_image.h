// SPDX-License-Identifier: MIT
/* macho_image.h - a mapped file, for the loader's own two files. */
#ifndef VN_MACHO_IMAGE_H
#define VN_MACHO_IMAGE_H

#include <string.h>

#include "macho.h"

enum { MACHO_SEGMENTS = 16, MACHO_LIBRARIES = 16 };

struct macho_segment {
  char name[17];
  uint64_t address, size, offset, file_size; /* address: as linked */
  uint32_t protection;
  bool read_only; /* once it is fixed up */
};

struct macho_span {
  uint32_t offset, size; /* in the slice */
};

struct macho {
  uint8_t *file; /* the slice, a copy */
  size_t size;
  char *path;
  uint32_t type;
  struct macho_segment segments[MACHO_SEGMENTS];
  uint32_t segment_count;
  const char *libraries[MACHO_LIBRARIES];
  uint32_t library_count;
  uint64_t low, high; /* of all segments but the zero page, as linked */
  uint8_t *base;      /* where low is */
  struct macho_span rebase, bind, weak_bind, lazy_bind, chained, exports;
  bool has_main;
  uint64_t main_offset;
  uint64_t fixups_left; /* no file needs more pointers than it has room for: bounds the time that a hostile one takes */
  macho_find *find;
  struct macho_error *error;
  bool incomplete;
  char missing[1600]; /* imports that nothing answers to */
};

/* Always false, so that a check can be one line. */
bool macho_fail(struct macho *image, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool macho_fixups(struct macho *image);

static inline bool macho_within(uint64_t size, uint64_t offset, uint64_t length) {
  return offset <= size && length <= size - offset;
}

/* Numbers in the file are little-endian, as both CPUs are, and may lie anywhere. */
static inline uint32_t macho_u32(const uint8_t *at) {
  uint32_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

static inline uint64_t macho_u64(const uint8_t *at) {
  uint64_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

static inline uint16_t macho_u16(const uint8_t *at) {
  uint16_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

/* A reader of opcodes and tries; after the end it reads zeros and is bad. */
struct macho_cursor {
  const uint8_t *at, *end;
  bool bad;
};

static inline uint8_t macho_byte(struct macho_cursor *cursor) {
  if (cursor->at < cursor->end) return *cursor->at++;
  cursor->bad = true;
  return 0;
}

static inline uint64_t macho_uleb(struct macho_cursor *cursor) {
  uint64_t value = 0;
  for (unsigned shift = 0;; shift += 7) {
    uint8_t byte = macho_byte(cursor);
    if (shift < 64) value |= (uint64_t)(byte & 0x7f) << shift;
    if (shift >= 70) cursor->bad = true;
    if (cursor->bad || !(byte & 0x80)) return value;
  }
}

static inline int64_t macho_sleb(struct macho_cursor *cursor) {
  uint64_t value = 0;
  for (unsigned shift = 0;;) {
    uint8_t byte = macho_byte(cursor);
    if (shift < 64) value |= (uint64_t)(byte & 0x7f) << shift;
    shift += 7;
    if (shift > 70) cursor->bad = true;
    if (cursor->bad) return 0;
    if (byte & 0x80) continue;
    if ((byte & 0x40) && shift < 64) value |= ~(uint64_t)0 << shift;
    return (int64_t)value;
  }
}

/* A text that ends before the cursor does; "" and bad otherwise. */
static inline const char *macho_text(struct macho_cursor *cursor) {
  const uint8_t *start = cursor->at;
  const uint8_t *zero = start < cursor->end ? memchr(start, 0, (size_t)(cursor->end - start)) : NULL;
  if (zero == NULL) cursor->bad = true;
  if (zero == NULL) return "";
  cursor->at = zero + 1;
  return (const char *)start;
}

#endif
