// SPDX-License-Identifier: MIT
/* backlog.c - see backlog.h. A cursor counts the bytes from the start, skipped ones too. */
#include "backlog.h"

#include <stdlib.h>
#include <string.h>

#define SKIP UINT32_MAX /* as a length: the rest of the ring is empty */

static uint32_t record(uint32_t length) { return (4 + length + 3) & ~3u; }

bool vn_backlog_put(struct vn_backlog *backlog, const struct iovec *parts, uint32_t count) {
  size_t length = 0;
  for (uint32_t i = 0; i < count; i++) length += parts[i].iov_len;
  if (length > backlog->size / 2) return false;
  if (backlog->memory == NULL && (backlog->memory = malloc(backlog->size & ~3u)) == NULL) return false;
  uint32_t size = backlog->size & ~3u, need = record((uint32_t)length);
  if (backlog->used == 0) backlog->start = backlog->end = 0;
  bool wrapped = backlog->used > 0 && backlog->end <= backlog->start;
  uint32_t rest = (wrapped ? backlog->start : size) - backlog->end;
  if (need > rest && !VN_BROKEN(85)) {
    if (wrapped || need > backlog->start) return false;
    if (rest > 0) memcpy(backlog->memory + backlog->end, &(uint32_t){SKIP}, 4);
    backlog->used += rest;
    backlog->end = 0;
  }
  uint8_t *at = backlog->memory + backlog->end;
  memcpy(at, &(uint32_t){(uint32_t)length}, 4);
  at += 4;
  for (uint32_t i = 0; i < count; i++) {
    memcpy(at, parts[i].iov_base, parts[i].iov_len);
    at += parts[i].iov_len;
  }
  backlog->end = backlog->end + need == size ? 0 : backlog->end + need;
  backlog->used += need;
  backlog->frames++;
  return true;
}

bool vn_backlog_next(const struct vn_backlog *backlog, uint32_t *cursor, struct iovec *message) {
  uint32_t size = backlog->size & ~3u, length;
  if (*cursor >= backlog->used) return false;
  uint32_t at = (backlog->start + *cursor) % size;
  memcpy(&length, backlog->memory + at, 4);
  if (length == SKIP) {
    *cursor += size - at;
    at = 0;
    memcpy(&length, backlog->memory, 4);
  }
  *message = (struct iovec){backlog->memory + at + 4, length};
  *cursor += record(length);
  return true;
}

void vn_backlog_take(struct vn_backlog *backlog, uint32_t frames) {
  uint32_t cursor = 0;
  struct iovec message;
  for (uint32_t i = 0; i < frames && vn_backlog_next(backlog, &cursor, &message); i++) backlog->frames--;
  if (cursor == 0) return;
  backlog->start = (backlog->start + cursor) % (backlog->size & ~3u);
  backlog->used -= cursor;
}

void vn_backlog_clear(struct vn_backlog *backlog) {
  free(backlog->memory);
  *backlog = (struct vn_backlog){.size = backlog->size};
}
