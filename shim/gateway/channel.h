// SPDX-License-Identifier: MIT
/*
 * channel.h - a stream socket that carries messages: a 4-byte big-endian length, then that many bytes.
 *
 * Theory of operation. channel_fill() reads once, as much as the buffer takes; channel_next() hands out the whole
 * messages in place, so a frame is never copied on its way in. channel_reserve() gives room for one message at the end
 * of the out buffer and channel_flush() writes all of them with as few calls as the socket allows: one turn of the
 * loop is one write. The out buffer of a bounded channel drops and counts what does not fit; the other kind grows, and
 * breaks when the peer leaves CHANNEL_GROWTH bytes unread. A channel without a descriptor (-1) only collects.
 */
#ifndef VN_GATEWAY_CHANNEL_H
#define VN_GATEWAY_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#define CHANNEL_GROWTH (64u << 20)

struct channel {
  int fd;
  uint32_t limit; /* the longest message */
  bool bounded;
  bool broken;   /* the end or an error: nothing more will come */
  bool violated; /* broken, because the peer does not speak the protocol */
  uint8_t *in;
  uint32_t in_at, in_end, in_capacity;
  uint8_t *out;
  uint32_t out_at, out_end, out_capacity;
  uint64_t turn; /* changes when messages that wait in out are written or moved */
  uint64_t dropped;
};

bool channel_open(struct channel *channel, int fd, uint32_t limit, uint32_t in_capacity, uint32_t out_capacity,
                  bool bounded);
void channel_close(struct channel *channel); /* frees the buffers; the descriptor stays */
void channel_fill(struct channel *channel);
/* The next whole message and its length, valid until the next channel_fill(); NULL when more has to come. */
uint8_t *channel_next(struct channel *channel, uint32_t *length);
/* Room for a message of that length, or NULL. What is reserved is sent. */
uint8_t *channel_reserve(struct channel *channel, uint32_t length);
/* Takes some bytes off the end of the message of that length that was reserved last. */
void channel_trim(struct channel *channel, uint32_t length, uint32_t less);
void channel_flush(struct channel *channel);

static inline uint32_t channel_pending(const struct channel *channel) { return channel->out_end - channel->out_at; }

#endif
