// SPDX-License-Identifier: MIT
/*
 * channel.c - a message channel is two buffers: in, where messages are checked and handed out in place, and out, which
 * is
 * written at once and holds what the socket did not take.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* struct ucred */
#endif
#include "channel.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmnet_shim.h"

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

void vn_put_length(uint8_t bytes[4], uint32_t length) {
  for (int i = 0; i < 4; i++) bytes[i] = (uint8_t)(length >> (24 - 8 * i));
}

uint32_t vn_get_length(const uint8_t bytes[4]) {
  return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static bool grow(uint8_t **bytes, uint32_t *capacity, uint32_t need) {
  if (need <= *capacity) return true;
  uint32_t larger = *capacity ? *capacity : 4096;
  while (larger < need) larger *= 2;
  uint8_t *moved = realloc(*bytes, larger);
  if (moved == NULL) return false;
  *bytes = moved;
  *capacity = larger;
  return true;
}

int vn_unix_socket(void) {
#ifdef SOCK_CLOEXEC
  return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); /* no moment for another thread's fork */
#else
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (fd < 0 || vn_socket_prepare(fd) == VN_OK) return fd;
  close(fd);
  return -1;
#endif
}

bool vn_same_user(int fd) {
#ifdef SO_PEERCRED
  struct ucred peer;
  socklen_t length = sizeof peer;
  return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 && peer.uid == getuid();
#else
  uid_t user;
  gid_t group;
  return getpeereid(fd, &user, &group) == 0 && user == getuid();
#endif
}

/* Writes what waits; the rest goes when the socket is writable. */
static void flush(struct vn_channel *channel) {
  uint32_t sent = 0;
  while (sent < channel->out_length) {
    ssize_t count = send(channel->watch.fd, channel->out + sent, channel->out_length - sent, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno != EAGAIN && errno != EWOULDBLOCK) channel->failed = true;
    if (count < 0) break;
    sent += (uint32_t)count;
  }
  channel->out_length -= sent;
  if (sent > 0) memmove(channel->out, channel->out + sent, channel->out_length);
  vn_poller_change(&channel->network->poller, &channel->watch,
                   VN_POLL_READ | (channel->out_length || channel->failed ? VN_POLL_WRITE : 0u));
}

bool vn_channel_send(struct vn_channel *channel, struct vn_writer *list) {
  uint32_t need = channel->out_length + 4 + list->length;
  bool sent = channel->open && !channel->failed && !list->failed && need <= VN_CHANNEL_UNREAD + list->length &&
              grow(&channel->out, &channel->out_capacity, need);
  if (sent) {
    vn_put_length(channel->out + channel->out_length, list->length);
    memcpy(channel->out + channel->out_length + 4, list->data, list->length);
    channel->out_length = need;
    flush(channel);
  } else if (channel->open) {
    channel->failed = true;
    vn_poller_change(&channel->network->poller, &channel->watch, VN_POLL_READ | VN_POLL_WRITE);
  }
  vn_writer_free(list);
  return sent;
}

/* Reads once; answers false at the end, on an error, or when the message is not acceptable. */
static bool fill(struct vn_channel *channel) {
  uint32_t need = 4096;
  if (channel->in_length >= 4) {
    uint32_t length = vn_get_length(channel->in);
    if (length == 0 || length > channel->limit) return false;
    if (4 + length > need) need = 4 + length;
  }
  if (!grow(&channel->in, &channel->in_capacity, need)) return false;
  uint32_t room = channel->in_capacity - channel->in_length;
  ssize_t count = recv(channel->watch.fd, channel->in + channel->in_length, room, 0);
  if (count < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
  channel->in_length += (uint32_t)count;
  return count > 0;
}

static void channel_ready(struct vn_watch *watch, uint32_t events) {
  struct vn_channel *channel = (struct vn_channel *)watch;
  if (events & VN_POLL_WRITE) flush(channel);
  bool good = !channel->failed && (!(events & VN_POLL_READ) || fill(channel));
  uint32_t at = 0;
  while (good && channel->in_length - at >= 4) {
    uint32_t length = vn_get_length(channel->in + at);
    if (length == 0 || length > channel->limit) good = false;
    if (!good || channel->in_length - at - 4 < length) break;
    good = vn_list_valid(channel->in + at + 4, length);
    if (good && !channel->message(channel, channel->in + at + 4, length)) return;
    at += 4 + length;
  }
  if (!good || channel->failed) {
    channel->broken(channel);
    return;
  }
  channel->in_length -= at;
  if (at > 0) memmove(channel->in, channel->in + at, channel->in_length);
}

uint32_t vn_channel_open(struct vn_channel *channel, struct vn_network *network, int fd, uint32_t limit) {
  channel->network = network;
  channel->limit = limit;
  channel->watch = (struct vn_watch){.fd = fd, .events = VN_POLL_READ, .ready = channel_ready};
  channel->in = channel->out = NULL;
  channel->in_length = channel->in_capacity = channel->out_length = channel->out_capacity = 0;
  channel->failed = false;
  channel->open = vn_poller_add(&network->poller, &channel->watch) == VN_OK;
  if (!channel->open) close(fd);
  return channel->open ? VN_OK : VN_NO_MEMORY;
}

int vn_channel_release(struct vn_channel *channel) {
  if (!channel->open) return -1;
  vn_poller_remove(&channel->network->poller, &channel->watch);
  free(channel->in);
  free(channel->out);
  channel->in = channel->out = NULL;
  channel->open = false;
  return channel->watch.fd;
}

void vn_channel_close(struct vn_channel *channel) {
  int fd = vn_channel_release(channel);
  if (fd >= 0) vn_socket_shut(fd), close(fd); /* a fork of the script's may hold a copy: the peer still reads the end */
}

/* Waits until the descriptor is ready for events; false when the time came first. */
static bool wait_ready(int fd, short events, uint64_t until_ns) {
  uint64_t now = vn_monotonic_ns();
  if (until_ns <= now) return false;
  struct pollfd slot = {.fd = fd, .events = events};
  int ms = (int)((until_ns - now + 999999) / 1000000);
  return poll(&slot, 1, ms) > 0 || errno == EINTR;
}

static uint32_t transfer(int fd, uint8_t *bytes, uint32_t length, bool out, uint64_t until_ns) {
  for (uint32_t done = 0; done < length;) {
    ssize_t count = out ? send(fd, bytes + done, length - done, MSG_NOSIGNAL) : recv(fd, bytes + done, length - done, 0);
    if (count == 0) return VN_GONE;
    if (count > 0) {
      done += (uint32_t)count;
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return VN_GONE;
    if (!wait_ready(fd, out ? POLLOUT : POLLIN, until_ns)) return VN_TIMEOUT;
  }
  return VN_OK;
}

uint32_t vn_message_send(int fd, struct vn_writer *list, uint64_t until_ns) {
  uint8_t header[4];
  vn_put_length(header, list->length);
  uint32_t status = list->failed ? VN_NO_MEMORY : transfer(fd, header, 4, true, until_ns);
  if (status == VN_OK) status = transfer(fd, list->data, list->length, true, until_ns);
  vn_writer_free(list);
  return status;
}

uint32_t vn_message_receive(int fd, uint32_t limit, uint64_t until_ns, uint8_t **list, uint32_t *length) {
  uint8_t header[4];
  uint32_t status = transfer(fd, header, 4, false, until_ns);
  if (status != VN_OK) return status;
  *length = vn_get_length(header);
  if (*length == 0 || *length > limit) return VN_BAD_TOKEN;
  *list = malloc(*length);
  if (*list == NULL) return VN_NO_MEMORY;
  status = transfer(fd, *list, *length, false, until_ns);
  if (status == VN_OK && !vn_list_valid(*list, *length)) status = VN_BAD_TOKEN;
  if (status != VN_OK) free(*list);
  return status;
}
