// SPDX-License-Identifier: MIT
/*
 * macho_message.c - sending and receiving: flags have other numbers on Darwin, and struct msghdr and what is private of
 * it, struct msghdr_x, other layouts.
 *
 * A unix datagram whose receiver is full is refused with ENOBUFS there. recvmsg_x() and sendmsg_x() are as strict as
 * their comment in xnu's published sys/socket_private.h says: MSG_DONTWAIT and no other flag, zeros where they give an
 * answer, no addresses to send to, and no batch that is longer than the send buffer. They are found by dlsym() alone.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "macho_libc.h"
#include "macho_socket.h"

enum { D_MSG_DONTWAIT = 0x80 };

/* Darwin's flag first. */
static const struct {
  int darwin_flag, flag;
} message_flags[] = {
    {0x1, MSG_OOB},   {0x2, MSG_PEEK},     {0x8, MSG_EOR},       {0x10, MSG_TRUNC},
    {0x20, MSG_CTRUNC}, {0x40, MSG_WAITALL}, {D_MSG_DONTWAIT, MSG_DONTWAIT}, {0x80000, MSG_NOSIGNAL},
};
#define MESSAGE_FLAGS (sizeof message_flags / sizeof *message_flags)

static int flags_back(int darwin_flags) {
  int out = 0, known = 0;
  for (size_t i = 0; i < MESSAGE_FLAGS; i++) {
    known |= message_flags[i].darwin_flag;
    if (darwin_flags & message_flags[i].darwin_flag) out |= message_flags[i].flag;
  }
  if (darwin_flags & ~known) darwin_die("message flags %x are not modelled", (unsigned)darwin_flags);
  return out;
}

static int flags_of(int flags) {
  int out = 0;
  for (size_t i = 0; i < MESSAGE_FLAGS; i++)
    if (flags & message_flags[i].flag) out |= message_flags[i].darwin_flag;
  return out;
}

static int option_of(int fd, int option) {
  int value = 0;
  socklen_t length = sizeof value;
  return getsockopt(fd, SOL_SOCKET, option, &value, &length) == 0 ? value : 0;
}

static ssize_t sent(int fd, ssize_t answer) {
  if (answer < 0 && errno == EAGAIN && option_of(fd, SO_TYPE) == SOCK_DGRAM) errno = ENOBUFS;
  return answer;
}

static ssize_t darwin_send(int fd, const void *bytes, size_t length, int flags) {
  return sent(fd, send(fd, bytes, length, flags_back(flags) | darwin_silence(fd)));
}

static ssize_t darwin_recv(int fd, void *out, size_t length, int flags) {
  return recv(fd, out, length, flags_back(flags));
}

struct darwin_msghdr {
  struct darwin_sockaddr *name;
  uint32_t name_length;
  struct iovec *parts;
  int count;
  void *control;
  uint32_t control_length;
  int flags;
};
_Static_assert(sizeof(struct darwin_msghdr) == 48 && offsetof(struct darwin_msghdr, control) == 32, "Darwin's msghdr");

struct darwin_msghdr_x {
  struct darwin_msghdr message;
  size_t length;
};
_Static_assert(sizeof(struct darwin_msghdr_x) == 56, "Darwin's msghdr_x");

static ssize_t darwin_sendmsg(int fd, const struct darwin_msghdr *message, int flags) {
  struct sockaddr_storage to;
  struct msghdr real = {.msg_iov = message->parts, .msg_iovlen = (size_t)message->count};
  if (message->control != NULL) darwin_die("sendmsg() of more than bytes is not modelled");
  if (message->count < 0) return errno = EMSGSIZE, -1;
  if (message->name != NULL) {
    if (darwin_address_back(message->name, message->name_length, &to)) return -1;
    real.msg_name = &to;
    real.msg_namelen = message->name_length;
  }
  return sent(fd, sendmsg(fd, &real, flags_back(flags) | darwin_silence(fd)));
}

/* A datagram's sender always has an address; its length is what there was room for, also where there would be more. */
static ssize_t darwin_recvmsg(int fd, struct darwin_msghdr *message, int flags) {
  struct sockaddr_storage from = {0};
  struct msghdr real = {.msg_iov = message->parts, .msg_iovlen = (size_t)message->count};
  if (message->control != NULL) darwin_die("recvmsg() of more than bytes is not modelled");
  if (message->count < 0) return errno = EMSGSIZE, -1;
  if (message->name != NULL) real.msg_name = &from, real.msg_namelen = sizeof from;
  ssize_t length = recvmsg(fd, &real, flags_back(flags));
  if (length < 0 && errno == EAGAIN && darwin_is_shut(fd)) length = 0; /* the end, of datagrams too */
  if (length < 0) return length;
  uint32_t room = message->name_length;
  if (real.msg_namelen == 0 && option_of(fd, SO_DOMAIN) == AF_UNIX && option_of(fd, SO_TYPE) == SOCK_DGRAM) {
    from.ss_family = AF_UNIX;
    real.msg_namelen = sizeof from.ss_family;
  }
  if (message->name != NULL) darwin_give_address(&from, real.msg_namelen, message->name, &message->name_length);
  if (message->name != NULL && message->name_length > room) message->name_length = room;
  message->flags = flags_of(real.msg_flags);
  return length;
}

static bool is_plain(const struct darwin_msghdr_x *many, unsigned count, int flags, bool named) {
  bool plain = (flags & ~D_MSG_DONTWAIT) == 0 && count > 0;
  for (unsigned i = 0; plain && i < count; i++) {
    const struct darwin_msghdr *message = &many[i].message;
    plain = many[i].length == 0 && message->flags == 0 && message->control == NULL && message->control_length == 0 &&
            (named || (message->name == NULL && message->name_length == 0));
  }
  return plain;
}

/* Returns behind a message that was cut. */
static ssize_t darwin_recvmsg_x(int fd, struct darwin_msghdr_x *many, unsigned count, int flags) {
  if (!is_plain(many, count, flags, true)) return errno = EINVAL, -1;
  for (unsigned i = 0; i < count; i++) {
    ssize_t length = darwin_recvmsg(fd, &many[i].message, i > 0 ? D_MSG_DONTWAIT : flags);
    if (length < 0) return i > 0 ? (ssize_t)i : -1;
    many[i].length = (size_t)length;
    if (many[i].message.flags != 0) return (ssize_t)i + 1;
  }
  return count;
}

static ssize_t darwin_sendmsg_x(int fd, const struct darwin_msghdr_x *many, unsigned count, int flags) {
  size_t whole = 0;
  if (!is_plain(many, count, flags, false)) return errno = EINVAL, -1;
  for (unsigned i = 0; i < count; i++)
    for (int part = 0; part < many[i].message.count; part++) whole += many[i].message.parts[part].iov_len;
  if (whole > (size_t)option_of(fd, SO_SNDBUF) / 2) return errno = EMSGSIZE, -1; /* Linux tells twice what was set */
  for (unsigned i = 0; i < count; i++)
    if (darwin_sendmsg(fd, &many[i].message, flags) < 0) return i > 0 ? (ssize_t)i : -1;
  return count;
}

const struct macho_name macho_message_names[] = {
    DARWIN_NAME("_send", darwin_send),
    DARWIN_NAME("_recv", darwin_recv),
    DARWIN_NAME("_sendmsg", darwin_sendmsg),
    DARWIN_NAME("_recvmsg", darwin_recvmsg),
    {NULL, NULL},
};

const struct macho_name macho_private_names[] = {
    DARWIN_NAME("_sendmsg_x", darwin_sendmsg_x),
    DARWIN_NAME("_recvmsg_x", darwin_recvmsg_x),
    {NULL, NULL},
};
