// SPDX-License-Identifier: MIT
/*
 * list.c - reading and writing flat key/value lists.
 *
 * Theory of operation. The encoding is the one of vmnet_shim.h, little-endian on every machine, at any alignment, so
 * numbers are put together byte by byte. Every length is compared with what is left before anything behind it is looked
 * at, always as "length > left", never as a sum that could wrap. An entry that is handed out is complete: a number has
 * its 8 bytes, a text has no NUL.
 */
#include "list.h"

#include <stdlib.h>
#include <string.h>

#define HEADER 8u
#define LEVELS 4
#define WRITER_LIMIT (64u << 20) /* far above any list of ours; keeps all sums of lengths in 32 bits */

static uint64_t get(const uint8_t *at, int bytes) {
  uint64_t value = 0;
  while (bytes--) value = value << 8 | at[bytes];
  return value;
}

static void put(uint8_t *at, int bytes, uint64_t value) {
  for (; bytes--; value >>= 8) *at++ = (uint8_t)value;
}

void vn_list_read(struct vn_reader *reader, const uint8_t *data, uint32_t length) {
  *reader = (struct vn_reader){.at = data, .end = data ? data + length : data};
}

bool vn_list_next(struct vn_reader *reader, struct vn_entry *entry) {
  size_t left = (size_t)(reader->end - reader->at);
  if (!left || reader->malformed) return false;
  const uint8_t *at = reader->at;
  reader->malformed = true; /* until all of it was checked */
  if (left < HEADER) return false;
  uint32_t type = at[0], key_length = at[1], length = (uint32_t)get(at + 4, 4);
  left -= HEADER;
  if (type < VN_NUMBER || type > VN_LIST || !key_length || at[2] || at[3]) return false;
  if (key_length > left || length > left - key_length) return false;
  const uint8_t *value = at + HEADER + key_length;
  if (type == VN_NUMBER && length != 8) return false;
  if (type == VN_TEXT && length && memchr(value, 0, length)) return false;
  *entry = (struct vn_entry){(enum vn_type)type, (const char *)at + HEADER, key_length, value, length};
  reader->at = value + length;
  reader->malformed = false;
  return true;
}

static bool valid(const uint8_t *data, uint32_t length, int levels) {
  struct vn_reader reader;
  struct vn_entry entry;
  vn_list_read(&reader, data, length);
  while (vn_list_next(&reader, &entry)) {
    if (entry.type == VN_LIST && (levels == 1 || !valid(entry.value, entry.length, levels - 1))) return false;
  }
  return !reader.malformed;
}

bool vn_list_valid(const uint8_t *data, uint32_t length) { return (data || !length) && valid(data, length, LEVELS); }

bool vn_entry_is(const struct vn_entry *entry, enum vn_type type, const char *key) {
  return entry->type == type && strlen(key) == entry->key_length && !memcmp(key, entry->key, entry->key_length);
}

uint64_t vn_entry_number(const struct vn_entry *entry) { return entry->type == VN_NUMBER ? get(entry->value, 8) : 0; }

bool vn_entry_text(const struct vn_entry *entry, char *out, size_t capacity) {
  if (entry->type != VN_TEXT || entry->length >= capacity) return false;
  memcpy(out, entry->value, entry->length);
  out[entry->length] = 0;
  return true;
}

bool vn_list_find(const uint8_t *data, uint32_t length, enum vn_type type, const char *key, struct vn_entry *entry) {
  struct vn_reader reader;
  struct vn_entry each;
  bool found = false;
  vn_list_read(&reader, data, length);
  while (vn_list_next(&reader, &each)) {
    if (vn_entry_is(&each, type, key)) *entry = each, found = true;
  }
  return found;
}

uint64_t vn_list_number(const uint8_t *data, uint32_t length, const char *key, uint64_t otherwise) {
  struct vn_entry entry;
  return vn_list_find(data, length, VN_NUMBER, key, &entry) ? vn_entry_number(&entry) : otherwise;
}

bool vn_list_text(const uint8_t *data, uint32_t length, const char *key, char *out, size_t capacity) {
  struct vn_entry entry;
  return vn_list_find(data, length, VN_TEXT, key, &entry) && vn_entry_text(&entry, out, capacity);
}

/* append() - Adds an entry's header and key and leaves room for its value. Answers where the value goes, or NULL. */
static uint8_t *append(struct vn_writer *writer, enum vn_type type, const char *key, size_t key_length, uint32_t length) {
  if (writer->failed) return NULL;
  writer->failed = true; /* until there is room */
  if (!key_length || key_length > 255 || length > WRITER_LIMIT) return NULL;
  uint32_t need = writer->length + HEADER + (uint32_t)key_length + length;
  if (need > WRITER_LIMIT) return NULL;
  if (need > writer->capacity) {
    uint32_t capacity = writer->capacity ? writer->capacity : 256;
    while (capacity < need) capacity *= 2;
    uint8_t *data = realloc(writer->data, capacity);
    if (!data) return NULL;
    writer->data = data;
    writer->capacity = capacity;
  }
  uint8_t *at = writer->data + writer->length;
  put(at, 1, type);
  put(at + 1, 1, key_length);
  put(at + 2, 2, 0);
  put(at + 4, 4, length);
  memcpy(at + HEADER, key, key_length);
  writer->length = need;
  writer->failed = false;
  return at + HEADER + key_length;
}

static void write_value(struct vn_writer *writer, enum vn_type type, const char *key, const void *value, size_t length) {
  if (length > WRITER_LIMIT) writer->failed = true;
  uint8_t *at = append(writer, type, key, strlen(key), (uint32_t)length);
  if (at && length) memcpy(at, value, length);
}

void vn_write_number(struct vn_writer *writer, const char *key, uint64_t value) {
  uint8_t bytes[8];
  put(bytes, 8, value);
  write_value(writer, VN_NUMBER, key, bytes, 8);
}

void vn_write_text(struct vn_writer *writer, const char *key, const char *value) {
  write_value(writer, VN_TEXT, key, value, strlen(value));
}

void vn_write_bytes(struct vn_writer *writer, const char *key, const void *value, uint32_t length) {
  write_value(writer, VN_BYTES, key, value, length);
}

void vn_write_entry(struct vn_writer *writer, const struct vn_entry *entry) {
  uint8_t *at = append(writer, entry->type, entry->key, entry->key_length, entry->length);
  if (at && entry->length) memcpy(at, entry->value, entry->length);
}

uint32_t vn_write_begin(struct vn_writer *writer, const char *key) {
  uint32_t mark = writer->length;
  append(writer, VN_LIST, key, strlen(key), 0);
  return mark;
}

void vn_write_end(struct vn_writer *writer, uint32_t mark) {
  if (writer->failed) return;
  uint8_t *at = writer->data + mark;
  put(at + 4, 4, writer->length - mark - HEADER - at[1]);
}

void vn_writer_free(struct vn_writer *writer) {
  free(writer->data);
  *writer = (struct vn_writer){0};
}
