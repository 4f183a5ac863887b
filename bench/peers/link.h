// SPDX-License-Identifier: MIT
/*
 * link.h - a guest's end of a switch, by either of two protocols, and frames to send through it.
 *
 *   stream   a unix stream socket with QEMU's framing: 64 frames in one send(), whatever comes in one recv()
 *   vde      vde_switch's own: a control connection on which datagram sockets are agreed, then a frame in each
 *            datagram, 64 in one sendmmsg() and up to 64 in one recvmmsg()
 *
 * Frames are IPv4 with UDP, so that filters have something to look at. All calls block, unless said otherwise.
 */
#ifndef BENCH_LINK_H
#define BENCH_LINK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { BURST = 64, READ = 256 << 10, FRAME_MOST = 65536 };

struct link {
  int fd, control; /* control: vde's, which ends the port when it is closed */
  bool is_vde;
  uint8_t *in; /* what was read and not yet taken, stream only */
  uint32_t from, to;
};

static inline void fail(const char *what) {
  fprintf(stderr, "Cannot %s: %s\n", what, strerror(errno));
  exit(1);
}

static inline uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline int unix_connect(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) fail("connect");
  return fd;
}

/* Version 3 of vde2's request, and what answers it: the address of the switch's own datagram socket. */
struct vde_request {
  uint32_t magic, version, type;
  struct sockaddr_un sock;
  char description[8];
} __attribute__((packed));

static inline void vde_open(struct link *link, const char *directory) {
  static int count;
  struct vde_request request = {.magic = 0xfeedface, .version = 3, .sock.sun_family = AF_UNIX, .description = "bench"};
  struct sockaddr_un mine = {.sun_family = AF_UNIX}, theirs;
  char control[108];
  snprintf(control, sizeof control, "%s/ctl", directory);
  snprintf(mine.sun_path, sizeof mine.sun_path, "%s/.bench-%d-%d", directory, (int)getpid(), count++);
  link->control = unix_connect(control);
  link->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (link->fd < 0 || bind(link->fd, (struct sockaddr *)&mine, sizeof mine) < 0) fail("bind");
  request.sock = mine;
  if (send(link->control, &request, sizeof request, MSG_NOSIGNAL) != sizeof request) fail("ask for a port");
  if (recv(link->control, &theirs, sizeof theirs, 0) < (ssize_t)sizeof theirs.sun_family) fail("get a port");
  if (connect(link->fd, (struct sockaddr *)&theirs, sizeof theirs) < 0) fail("connect to the port");
  unlink(mine.sun_path); /* the switch has it by now: its answer came */
}

static inline void link_open(struct link *link, bool is_vde, const char *path) {
  *link = (struct link){.is_vde = is_vde, .control = -1, .in = malloc(READ + FRAME_MOST)};
  if (is_vde) vde_open(link, path);
  else link->fd = unix_connect(path);
}

static inline void make_frame(uint8_t *at, uint32_t length, uint8_t to, uint8_t from) {
  uint32_t inner = length - 14, sum = 0;
  uint8_t head[42] = {2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from, 8, 0, 0x45, 0, (uint8_t)(inner >> 8), (uint8_t)inner,
                      0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, from, 10, 0, 0, to, 0x13, 0x88, 0x13, 0x88,
                      (uint8_t)((inner - 20) >> 8), (uint8_t)(inner - 20)};
  for (int i = 14; i < 34; i += 2) sum += (uint32_t)head[i] << 8 | head[i + 1];
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  head[24] = (uint8_t)(~sum >> 8), head[25] = (uint8_t)~sum;
  memset(at, 0x5a, length);
  memcpy(at, head, sizeof head);
}

/* Frames made once and sent over and over. */
struct burst {
  uint8_t *bytes;
  uint32_t count, length, stride;
  struct mmsghdr messages[BURST];
  struct iovec pieces[BURST];
};

/* Every tenth goes to `other` if that is not 0. */
static inline void burst_make(struct burst *burst, uint32_t length, uint8_t to, uint8_t from, uint8_t other) {
  *burst = (struct burst){.count = length > 16384 ? 4 : BURST, .length = length, .stride = length + 4};
  burst->bytes = malloc((size_t)burst->stride * burst->count);
  for (uint32_t i = 0; i < burst->count; i++) {
    uint8_t *at = burst->bytes + (size_t)i * burst->stride;
    at[0] = 0, at[1] = (uint8_t)(length >> 16), at[2] = (uint8_t)(length >> 8), at[3] = (uint8_t)length;
    make_frame(at + 4, length, other && i % 10 == 9 ? other : to, from);
    burst->pieces[i] = (struct iovec){at + 4, length};
    burst->messages[i].msg_hdr = (struct msghdr){.msg_iov = &burst->pieces[i], .msg_iovlen = 1};
  }
}

/* Sends the first `count` frames; false when the link has ended. */
static inline bool burst_send(struct link *link, struct burst *burst, uint32_t count) {
  size_t at = 0, size = (size_t)burst->stride * count;
  if (link->is_vde) {
    for (uint32_t sent = 0; sent < count;) {
      int done = sendmmsg(link->fd, burst->messages + sent, count - sent, 0);
      if (done <= 0) return false;
      sent += (uint32_t)done;
    }
    return true;
  }
  while (at < size) {
    ssize_t done = send(link->fd, burst->bytes + at, size - at, MSG_NOSIGNAL);
    if (done <= 0) return false;
    at += (size_t)done;
  }
  return true;
}

/* Reads once and answers how many bytes came, each frame with 4 for its length; 0 at the end. `flags` for recv(). */
static inline size_t link_drain(struct link *link, int flags) {
  static _Thread_local struct mmsghdr messages[BURST];
  static _Thread_local struct iovec pieces[BURST];
  if (!link->is_vde) {
    ssize_t count = recv(link->fd, link->in, READ, flags);
    return count > 0 ? (size_t)count : 0;
  }
  for (uint32_t i = 0; i < BURST; i++) {
    pieces[i] = (struct iovec){link->in + i * 2048, 2048};
    messages[i].msg_hdr = (struct msghdr){.msg_iov = &pieces[i], .msg_iovlen = 1};
  }
  size_t bytes = 0;
  int count = recvmmsg(link->fd, messages, BURST, flags | MSG_WAITFORONE, NULL);
  for (int i = 0; i < count; i++) bytes += messages[i].msg_len + 4;
  return bytes;
}

/* The next frame, or NULL at the end or after SO_RCVTIMEO. */
static inline uint8_t *link_frame(struct link *link, uint32_t *length) {
  if (link->is_vde) {
    ssize_t count = recv(link->fd, link->in, FRAME_MOST, 0);
    *length = count > 0 ? (uint32_t)count : 0;
    return count > 0 ? link->in : NULL;
  }
  for (;;) {
    uint8_t *at = link->in + link->from;
    uint32_t held = link->to - link->from;
    *length = held < 4 ? 0 : (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
    if (held >= 4 && held - 4 >= *length) {
      link->from += *length + 4;
      return at + 4;
    }
    memmove(link->in, at, held);
    link->from = 0, link->to = held;
    ssize_t count = recv(link->fd, link->in + held, READ, 0);
    if (count <= 0) return NULL;
    link->to += (uint32_t)count;
  }
}

static inline void link_say(struct link *link, uint32_t length, uint8_t to, uint8_t from) {
  struct burst burst;
  burst_make(&burst, length, to, from, 0);
  burst_send(link, &burst, 1);
  free(burst.bytes);
}

#endif
