// SPDX-License-Identifier: MIT
/*
 * channel.h - control messages on a stream socket: a 4-byte big-endian length, then a list (see gateway/protocol.h).
 *
 * A message that is malformed, empty or above the limit, the end of the stream, and a peer that lets more than
 * VN_CHANNEL_UNREAD bytes wait all break the channel; broken() is then told once, and may close it.
 */
#ifndef VN_EMBEDDED_CHANNEL_H
#define VN_EMBEDDED_CHANNEL_H

#include "network.h"

#define VN_CHANNEL_UNREAD (4u << 20)

struct vn_channel {
  struct vn_watch watch; /* first */
  struct vn_network *network;
  uint32_t limit;
  uint8_t *in, *out;
  uint32_t in_length, in_capacity, out_length, out_capacity;
  bool open, failed;
  /* message() answers false when it closed the channel. */
  bool (*message)(struct vn_channel *channel, const uint8_t *list, uint32_t length);
  void (*broken)(struct vn_channel *channel);
};

/* Takes the descriptor over, also when it fails. message and broken are set by the caller. */
uint32_t vn_channel_open(struct vn_channel *channel, struct vn_network *network, int fd, uint32_t limit);
void vn_channel_close(struct vn_channel *channel);
int vn_channel_release(struct vn_channel *channel); /* closes all but the descriptor */
/* Sends a list and frees it. False when the channel is or becomes broken; broken() is told by the poller, later. */
bool vn_channel_send(struct vn_channel *channel, struct vn_writer *list);

int vn_unix_socket(void); /* non-blocking and close-on-exec, or -1 */
bool vn_same_user(int fd); /* Does a process of this user listen, or did it connect, at the other end? */
/* For a thread that may block: one whole message each way by until_ns. VN_OK or a vn_status. */
uint32_t vn_message_send(int fd, struct vn_writer *list, uint64_t until_ns);
uint32_t vn_message_receive(int fd, uint32_t limit, uint64_t until_ns, uint8_t **list, uint32_t *length);

void vn_put_length(uint8_t bytes[4], uint32_t length);
uint32_t vn_get_length(const uint8_t bytes[4]);

#endif
