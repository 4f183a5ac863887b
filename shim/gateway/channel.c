// SPDX-License-Identifier: MIT
/*
 * channel.c - the buffers of channel.h and the only reads and writes of the two sockets.
 *
 * Both buffers are contiguous, so that a message can be handed out in place: what is left over is moved to the front,
 * the in buffer before every read, the out buffer only when the room behind it does not suffice. A length above the
 * limit is refused before anything is allocated for it; up to the limit the in buffer grows to hold the whole message.
 * A write that ends in the middle of a message is no harm: out_at says where the next one goes on.
 */
#include "channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frame.h"

bool channel_open(struct channel *channel, int fd, uint32_t limit, uint32_t in_capacity, uint32_t out_capacity,
                  bool bounded) {
  *channel = (struct channel){.fd = fd, .limit = limit, .bounded = bounded, .in_capacity = in_capacity,
                              .out_capacity = out_capacity};
  channel->in = malloc(in_capacity);
  channel->out = malloc(out_capacity);
  return channel->in && channel->out;
}

void channel_close(struct channel *channel) {
  free(channel->in);
  free(channel->out);
  channel->in = channel->out = NULL;
}

/* The length of the message that begins at in_at, or 0 when its four bytes are not here yet. */
static uint64_t next_size(const struct channel *channel) {
  uint32_t here = channel->in_end - channel->in_at;
  return here < 4 ? 0 : 4 + (uint64_t)get32(channel->in + channel->in_at);
}

void channel_fill(struct channel *channel) {
  if (channel->broken) {
    return;
  }
  uint32_t rest = channel->in_end - channel->in_at;
  memmove(channel->in, channel->in + channel->in_at, rest);
  channel->in_at = 0;
  channel->in_end = rest;
  uint64_t size = next_size(channel);
  if (size > channel->in_capacity && size - 4 <= channel->limit) {
    uint8_t *in = realloc(channel->in, size);
    if (!in) {
      channel->broken = true;
      return;
    }
    channel->in = in;
    channel->in_capacity = (uint32_t)size;
  }
  ssize_t got = read(channel->fd, channel->in + rest, channel->in_capacity - rest);
  if (got > 0) {
    channel->in_end += (uint32_t)got;
  } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
    channel->broken = true;
  }
}

uint8_t *channel_next(struct channel *channel, uint32_t *length) {
  uint64_t size = next_size(channel);
  if (size == 0) {
    return NULL;
  }
  if (size - 4 > channel->limit) {
    channel->broken = channel->violated = true;
    return NULL;
  }
  if (size > channel->in_end - channel->in_at) {
    return NULL;
  }
  uint8_t *message = channel->in + channel->in_at + 4;
  *length = (uint32_t)size - 4;
  channel->in_at += (uint32_t)size;
  return message;
}

/* Makes the out buffer so large that size bytes fit at its end. */
static bool make_room(struct channel *channel, uint32_t size) {
  uint32_t pending = channel_pending(channel);
  if (size <= channel->out_capacity - channel->out_end) {
    return true;
  }
  if (channel->out_at > 0) {
    memmove(channel->out, channel->out + channel->out_at, pending);
    channel->out_at = 0;
    channel->out_end = pending;
    channel->turn++;
  }
  if (size <= channel->out_capacity - pending) {
    return true;
  }
  if (channel->bounded || pending + (uint64_t)size > CHANNEL_GROWTH) {
    return false;
  }
  uint32_t capacity = (pending + size) * 2;
  uint8_t *out = realloc(channel->out, capacity);
  if (!out) {
    return false;
  }
  channel->out = out;
  channel->out_capacity = capacity;
  return true;
}

uint8_t *channel_reserve(struct channel *channel, uint32_t length) {
  bool room = length <= channel->limit && make_room(channel, 4 + length);
  if (!room && channel->bounded) {
    channel_flush(channel);
    room = length <= channel->limit && make_room(channel, 4 + length);
  }
  if (!room) {
    channel->dropped++;
    channel->broken |= !channel->bounded;
    return NULL;
  }
  uint8_t *at = channel->out + channel->out_end;
  put32(at, length);
  channel->out_end += 4 + length;
  return at + 4;
}

void channel_trim(struct channel *channel, uint32_t length, uint32_t less) {
  put32(channel->out + channel->out_end - length - 4, length - less);
  channel->out_end -= less;
}

void channel_flush(struct channel *channel) {
  channel->turn++;
  while (channel->fd >= 0 && channel_pending(channel) > 0) {
    ssize_t sent = write(channel->fd, channel->out + channel->out_at, channel_pending(channel));
    if (sent < 0) {
      channel->broken |= errno != EAGAIN && errno != EINTR;
      return;
    }
    channel->out_at += (uint32_t)sent;
  }
  if (channel_pending(channel) == 0) {
    channel->out_at = channel->out_end = 0;
  }
}
