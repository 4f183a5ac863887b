// SPDX-License-Identifier: MIT
/*
 * macho_socket.c - sockets: addresses begin with their length there, and numbers of options differ. macho_message.c
 * sends and receives.
 *
 * SO_NOSIGPIPE stays with the socket; Linux has a flag for each call instead, so descriptors that were told so are
 * remembered: who forgets to ask gets the signal here as well.
 *
 * What Darwin does otherwise than Linux, as its published sources have it: a unix socket without a name has an address
 * of 16 bytes, all zeros but the first two; connect() to a path whose listener is busy is refused; SO_NOSIGPIPE is
 * refused on a unix socket that the other side has closed; SO_ACCEPTCONN has a number and no answer.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "macho_libc.h"
#include "macho_socket.h"

enum { D_AF_INET6 = 30, D_SOL_SOCKET = 0xffff, D_SUN_PATH = 104, D_NO_NAME = 16, MARKS = 1 << 16 };

/* Families. */

static int family_back(int family) {
  if (family == D_AF_INET6) return AF_INET6;
  return family == AF_UNIX || family == AF_INET || family == AF_UNSPEC ? family : -1;
}

int darwin_address_back(const struct darwin_sockaddr *from, uint32_t length, struct sockaddr_storage *out) {
  if (length < 2 || length > sizeof *out) return errno = EINVAL, -1;
  int family = family_back(from->family);
  if (family < 0) return errno = EAFNOSUPPORT, -1;
  if (family == AF_UNIX && length > 2 + D_SUN_PATH) return errno = EINVAL, -1;
  memset(out, 0, sizeof *out);
  out->ss_family = (sa_family_t)family;
  memcpy((char *)out + 2, from->data, length - 2);
  return 0;
}

void darwin_give_address(const struct sockaddr_storage *from, socklen_t had, struct darwin_sockaddr *out,
                         uint32_t *room) {
  if (out == NULL || room == NULL) return;
  uint32_t length = had > 255 ? 255 : had;
  if (from->ss_family == AF_UNIX && length <= 2) length = D_NO_NAME;
  if (*room >= 1) out->length = (uint8_t)length;
  if (*room >= 2) out->family = (uint8_t)(from->ss_family == AF_INET6 ? D_AF_INET6 : from->ss_family);
  if (*room > 2 && length > 2) memcpy(out->data, (const char *)from + 2, (length < *room ? length : *room) - 2);
  *room = length;
}

/* SO_NOSIGPIPE. */

static _Atomic uint8_t quiet[MARKS];

static void mark(int fd, bool on) {
  if (fd >= 0 && fd < MARKS) atomic_store_explicit(&quiet[fd], on, memory_order_relaxed);
}

int darwin_silence(int fd) {
  return fd >= 0 && fd < MARKS && atomic_load_explicit(&quiet[fd], memory_order_relaxed) ? MSG_NOSIGNAL : 0;
}

static int darwin_socket(int family, int type, int protocol) {
  if (type != SOCK_STREAM && type != SOCK_DGRAM) return errno = EPROTOTYPE, -1; /* neither has further bits there */
  int fd = socket(family_back(family), type, protocol);
  mark(fd, false);
  return fd;
}

static int darwin_socketpair(int family, int type, int protocol, int pair[2]) {
  if (type != SOCK_STREAM && type != SOCK_DGRAM) return errno = EPROTOTYPE, -1;
  int answer = socketpair(family_back(family), type, protocol, pair);
  if (answer == 0) mark(pair[0], false), mark(pair[1], false);
  return answer;
}

static int darwin_bind(int fd, const struct darwin_sockaddr *address, uint32_t length) {
  struct sockaddr_storage real;
  return darwin_address_back(address, length, &real) ? -1 : bind(fd, (struct sockaddr *)&real, length);
}

static int darwin_connect(int fd, const struct darwin_sockaddr *address, uint32_t length) {
  struct sockaddr_storage real;
  if (darwin_address_back(address, length, &real)) return -1;
  int answer = connect(fd, (struct sockaddr *)&real, length);
  if (answer != 0 && errno == EAGAIN && real.ss_family == AF_UNIX) errno = ECONNREFUSED;
  return answer;
}

/* What is accepted there has the listener's O_NONBLOCK. */
static int darwin_accept(int fd, struct darwin_sockaddr *address, uint32_t *length) {
  struct sockaddr_storage real = {0};
  socklen_t had = sizeof real;
  int made = accept(fd, (struct sockaddr *)&real, &had);
  if (made < 0) return made;
  mark(made, darwin_silence(fd) != 0);
  if (fcntl(fd, F_GETFL) & O_NONBLOCK) fcntl(made, F_SETFL, fcntl(made, F_GETFL) | O_NONBLOCK);
  darwin_give_address(&real, had, address, length);
  return made;
}

static int give_name(int (*ask)(int, struct sockaddr *, socklen_t *), int fd, struct darwin_sockaddr *address,
                     uint32_t *length) {
  struct sockaddr_storage real = {0};
  socklen_t had = sizeof real;
  if (ask(fd, (struct sockaddr *)&real, &had) != 0) return -1;
  darwin_give_address(&real, had, address, length);
  return 0;
}

static int darwin_getsockname(int fd, struct darwin_sockaddr *address, uint32_t *length) {
  return give_name(getsockname, fd, address, length);
}

static int darwin_getpeername(int fd, struct darwin_sockaddr *address, uint32_t *length) {
  return give_name(getpeername, fd, address, length);
}

/* A socket that does not block does not linger. */
static int darwin_close(int fd) {
  static const struct linger at_once;
  if (fcntl(fd, F_GETFL) & O_NONBLOCK) setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  mark(fd, false);
  return close(fd);
}

/* Options; Darwin's number first. */

static const struct {
  int darwin_option, option;
} options[] = {
    {0x0004, SO_REUSEADDR}, {0x0008, SO_KEEPALIVE}, {0x0020, SO_BROADCAST}, {0x1001, SO_SNDBUF},
    {0x1002, SO_RCVBUF},    {0x1007, SO_ERROR},     {0x1008, SO_TYPE},
};
enum { D_SO_ACCEPTCONN = 0x0002, D_SO_NOSIGPIPE = 0x1022, D_IPPROTO_TCP = 6, D_TCP_NODELAY = 1 };

static int option_back(int *level, int option) {
  if (*level == D_IPPROTO_TCP && option == D_TCP_NODELAY) {
    *level = IPPROTO_TCP;
    return TCP_NODELAY;
  }
  if (*level != D_SOL_SOCKET) darwin_die("socket options of level %d are not modelled", *level);
  *level = SOL_SOCKET;
  for (size_t i = 0; i < sizeof options / sizeof *options; i++)
    if (options[i].darwin_option == option) return options[i].option;
  darwin_die("socket option %x is not modelled", (unsigned)option);
}

/* Connected once, and both ways shut. */
static bool is_over(int fd) {
  struct sockaddr_storage peer;
  socklen_t length = sizeof peer;
  struct pollfd slot = {.fd = fd};
  return getpeername(fd, (struct sockaddr *)&peer, &length) == 0 && peer.ss_family == AF_UNIX &&
         poll(&slot, 1, 0) == 1 && (slot.revents & POLLHUP) != 0;
}

static int darwin_setsockopt(int fd, int level, int option, const void *value, uint32_t length) {
  if (level == D_SOL_SOCKET && option == D_SO_NOSIGPIPE) {
    int on, type;
    socklen_t room = sizeof type;
    if (length < sizeof on) return errno = EINVAL, -1;
    memcpy(&on, value, sizeof on);
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &room)) return -1;
    if (is_over(fd)) return errno = EINVAL, -1;
    mark(fd, on != 0);
    return 0;
  }
  int number = option_back(&level, option);
  return setsockopt(fd, level, number, value, length);
}

static int darwin_getsockopt(int fd, int level, int option, void *value, uint32_t *length) {
  if (level == D_SOL_SOCKET && option == D_SO_ACCEPTCONN) return errno = ENOPROTOOPT, -1;
  int number = option_back(&level, option);
  int answer = getsockopt(fd, level, number, value, length);
  if (answer == 0 && level == SOL_SOCKET && number == SO_ERROR && *length >= sizeof(int)) {
    int error;
    memcpy(&error, value, sizeof error);
    error = darwin_errno(error);
    memcpy(value, &error, sizeof error);
  }
  return answer;
}

bool darwin_is_shut(int fd) {
  struct pollfd slot = {.fd = fd, .events = POLLRDHUP};
  return poll(&slot, 1, 0) == 1 && (slot.revents & POLLRDHUP) != 0;
}

/* The number of slots has 32 bits there. The end of a socket that may still be written to is POLLHUP too. */
static int darwin_poll(struct pollfd *slots, unsigned count, int ms) {
  int ready = poll(slots, count, ms);
  for (unsigned i = 0; ready > 0 && i < count; i++)
    if ((slots[i].revents & POLLIN) && darwin_is_shut(slots[i].fd)) slots[i].revents |= POLLHUP;
  return ready;
}

static int darwin_getpeereid(int fd, uid_t *user, gid_t *group) {
  struct ucred peer;
  socklen_t length = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length)) return -1;
  if (peer.pid == 0) return errno = ENOTCONN, -1;
  *user = peer.uid;
  *group = peer.gid;
  return 0;
}

static int darwin_inet_pton(int family, const char *text, void *out) {
  return inet_pton(family_back(family), text, out);
}

static const char *darwin_inet_ntop(int family, const void *address, char *out, uint32_t capacity) {
  return inet_ntop(family_back(family), address, out, capacity);
}

const struct macho_name macho_socket_names[] = {
    DARWIN_NAME("_socket", darwin_socket),
    DARWIN_NAME("_socketpair", darwin_socketpair),
    DARWIN_NAME("_bind", darwin_bind),
    DARWIN_NAME("_listen", listen),
    DARWIN_NAME("_accept", darwin_accept),
    DARWIN_NAME("_connect", darwin_connect),
    DARWIN_NAME("_shutdown", shutdown),
    DARWIN_NAME("_close", darwin_close),
    DARWIN_NAME("_setsockopt", darwin_setsockopt),
    DARWIN_NAME("_getsockopt", darwin_getsockopt),
    DARWIN_NAME("_getsockname", darwin_getsockname),
    DARWIN_NAME("_getpeername", darwin_getpeername),
    DARWIN_NAME("_poll", darwin_poll),
    DARWIN_NAME("_getpeereid", darwin_getpeereid),
    DARWIN_NAME("_inet_pton", darwin_inet_pton),
    DARWIN_NAME("_inet_ntop", darwin_inet_ntop),
    {NULL, NULL},
};
