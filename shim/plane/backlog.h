// SPDX-License-Identifier: MIT
/*
 * backlog.h - frames that wait for a socket that is full: a queue of whole messages, bounded in bytes.
 *
 * Theory of operation. A ring of records, each a length and its bytes in one piece; one that does not fit before the
 * ring's end begins at its start, and the rest is skipped. The memory comes with the first message and goes by clear(),
 * so that a port that never waits has none.
 */
#ifndef VN_PLANE_BACKLOG_H
#define VN_PLANE_BACKLOG_H

#include <sys/uio.h>

#include "core/os.h"

struct vn_backlog {
  uint8_t *memory;
  uint32_t size; /* set by the owner before the first message */
  uint32_t start, end, used, frames;
};

/* Copies up to two pieces as one message. False: no room (or no memory). */
bool vn_backlog_put(struct vn_backlog *backlog, const struct iovec *parts, uint32_t count);
/* The message at a cursor, which begins as 0, and moves the cursor to the next. False at the end. */
bool vn_backlog_next(const struct vn_backlog *backlog, uint32_t *cursor, struct iovec *message);
void vn_backlog_take(struct vn_backlog *backlog, uint32_t frames); /* the first ones are gone */
void vn_backlog_clear(struct vn_backlog *backlog);

#endif
