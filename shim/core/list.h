// SPDX-License-Identifier: MIT
/*
 * list.h - flat key/value lists: options, results, and the messages to the gateway. The encoding is in vmnet_shim.h.
 *
 * A reader never copies and never trusts: vn_list_next() checks every length against the end before it looks at a byte,
 * so a list from anywhere can be read. A writer grows on demand and remembers a failure, so that a sequence of writes
 * is
 * checked once, at its end.
 */
#ifndef VN_CORE_LIST_H
#define VN_CORE_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum vn_type { VN_NUMBER = 1, VN_TEXT = 2, VN_BYTES = 3, VN_LIST = 4 };

struct vn_entry {
  enum vn_type type;
  const char *key; /* not terminated */
  uint32_t key_length;
  const uint8_t *value;
  uint32_t length;
};

struct vn_reader {
  const uint8_t *at, *end;
  bool malformed;
};

struct vn_writer {
  uint8_t *data;
  uint32_t length, capacity;
  bool failed; /* memory ran out or a key or value was too long */
};

void vn_list_read(struct vn_reader *reader, const uint8_t *data, uint32_t length);
bool vn_list_next(struct vn_reader *reader, struct vn_entry *entry); /* false at the end or when malformed */
bool vn_list_valid(const uint8_t *data, uint32_t length);            /* nested lists included, 4 levels at the most */
bool vn_entry_is(const struct vn_entry *entry, enum vn_type type, const char *key);
uint64_t vn_entry_number(const struct vn_entry *entry);
/* Copies a text with its terminator. False if it does not fit or contains a NUL. */
bool vn_entry_text(const struct vn_entry *entry, char *out, size_t capacity);

/* The last entry of that key and type, if there is one. */
bool vn_list_find(const uint8_t *data, uint32_t length, enum vn_type type, const char *key, struct vn_entry *entry);
uint64_t vn_list_number(const uint8_t *data, uint32_t length, const char *key, uint64_t otherwise);
bool vn_list_text(const uint8_t *data, uint32_t length, const char *key, char *out, size_t capacity);

void vn_write_number(struct vn_writer *writer, const char *key, uint64_t value);
void vn_write_text(struct vn_writer *writer, const char *key, const char *value);
void vn_write_bytes(struct vn_writer *writer, const char *key, const void *value, uint32_t length);
void vn_write_entry(struct vn_writer *writer, const struct vn_entry *entry);
uint32_t vn_write_begin(struct vn_writer *writer, const char *key); /* a nested list; answers the mark for its end */
void vn_write_end(struct vn_writer *writer, uint32_t mark);
void vn_writer_free(struct vn_writer *writer);

#endif
