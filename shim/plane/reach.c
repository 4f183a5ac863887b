// SPDX-License-Identifier: MIT
/* reach.c - addresses, and the ways to a connected or listening socket; reach.h says where they may lead. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* struct ucred */
#endif
#include "reach.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "embedded/address.h"
#include "vmnet_shim.h"

#define BACKLOG 64
#define PATIENCE_NS 5000000000ull /* without a deadline: who listens answers between two turns */
#define LOOK_MS 20                /* how often a wait looks whether anybody still wants it */

static bool parse_host(const char *host, uint16_t port, struct vn_reach *reach) {
  uint32_t address = INADDR_LOOPBACK;
  struct in6_addr address6;
  if (strcmp(host, "localhost") == 0 || (vn_ipv4_parse(host, &address) && address >> 24 == 127)) {
    reach->address.in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
    reach->address.in.sin_addr.s_addr = htonl(address);
    reach->length = sizeof reach->address.in;
    return true;
  }
  static const uint8_t loopback[16] = {[15] = 1};
  if (inet_pton(AF_INET6, host, &address6) != 1 || memcmp(&address6, loopback, 16) != 0) return false;
  reach->address.in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = address6};
  reach->length = sizeof reach->address.in6;
  return true;
}

uint32_t vn_reach_parse(struct vn_job *job, const struct vn_endpoint_options *options, int type,
                        struct vn_reach *reach) {
  *reach = (struct vn_reach){.type = type};
  if (options->path[0] != 0) {
    size_t length = strlen(options->path);
    if (length >= sizeof reach->address.local.sun_path)
      return vn_fail(job, VN_BAD_OPTION, "path", "it is too long for a socket");
    reach->address.local.sun_family = AF_UNIX;
    memcpy(reach->address.local.sun_path, options->path, length + 1);
    reach->length = sizeof reach->address.local;
    return VN_OK;
  }
  if (type != SOCK_STREAM) return vn_fail(job, VN_BAD_OPTION, "host", "only a stream can go over TCP");
  if (!options->has_port) return vn_fail(job, VN_BAD_OPTION, "port", "it takes a path, or a port");
  if (options->port > 65535 || (options->port == 0 && !options->listen))
    return vn_fail(job, VN_BAD_OPTION, "port", "the port has to be 1 to 65535, or 0 to listen on any");
  if (!parse_host(options->host[0] ? options->host : "localhost", (uint16_t)options->port, reach))
    return vn_fail(job, VN_BAD_OPTION, "host", "the host has to be of the loopback: 127.0.0.0/8, ::1 or localhost");
  return VN_OK;
}

static bool is_local(const struct vn_reach *reach) { return reach->address.any.sa_family == AF_UNIX; }

static int new_socket(const struct vn_reach *reach) {
#if defined(SOCK_CLOEXEC) && defined(SOCK_NONBLOCK)
  return socket(reach->address.any.sa_family, reach->type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
#else
  int fd = socket(reach->address.any.sa_family, reach->type, 0);
  if (fd < 0 || vn_socket_prepare(fd) == VN_OK) return fd;
  close(fd);
  errno = EMFILE;
  return -1;
#endif
}

/* The answer is a descriptor or minus an errno. */
static int listen_tcp(const struct vn_reach *reach, uint32_t *port) {
  struct vn_reach bound;
  socklen_t length = sizeof bound.address;
  int on = 1, fd = new_socket(reach);
  if (fd < 0) return -errno;
  /* The connections of the last listener are still remembered for a minute after they were closed. */
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, &reach->address.any, reach->length) != 0 || listen(fd, BACKLOG) != 0 ||
      getsockname(fd, &bound.address.any, &length) != 0) {
    int error = errno;
    close(fd);
    return -error;
  }
  *port = ntohs(bound.address.any.sa_family == AF_INET6 ? bound.address.in6.sin6_port : bound.address.in.sin_port);
  return fd;
}

int vn_reach_listen(struct vn_job *job, const struct vn_endpoint_options *options, const struct vn_reach *reach,
                    uint32_t *status) {
  *status = VN_OK;
  if (is_local(reach)) {
    int fd = vn_socket_listen(job, options->path, reach->type, options->mode);
    if (fd < 0) *status = (uint32_t)-fd;
    else vn_write_text(&job->result, "path", options->path);
    return fd < 0 ? -1 : fd;
  }
  uint32_t port = 0;
  int fd = listen_tcp(reach, &port);
  if (fd == -EADDRINUSE) *status = vn_fail(job, VN_IN_USE, "port", "another program has this port");
  else if (fd < 0) *status = vn_fail_errno(job, "Cannot listen on the port", -fd);
  else vn_write_number(&job->result, "port", port);
  return fd < 0 ? -1 : fd;
}

int vn_reach_connect(const struct vn_reach *reach, bool *pending) {
  int fd = new_socket(reach), result;
  *pending = false;
  if (fd < 0) return -errno;
  do result = connect(fd, &reach->address.any, reach->length);
  while (result != 0 && errno == EINTR);
  if (result == 0) return fd;
  *pending = errno == EINPROGRESS; /* a full backlog of a path is EAGAIN, and nothing is pending then */
  if (*pending) return fd;
  int error = errno;
  close(fd);
  return -error;
}

int vn_reach_answer(int fd) {
  int error = 0;
  socklen_t length = sizeof error;
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0 ? errno : error;
}

int vn_reach_wait(struct vn_job *job, const struct vn_reach *reach, uint32_t *status) {
  uint64_t until = job->deadline_ns ? job->deadline_ns : vn_monotonic_ns() + PATIENCE_NS;
  bool pending;
  int fd = vn_reach_connect(reach, &pending), error = 0;
  while (pending || fd == -EAGAIN) {
    if (vn_job_abandoned(job) || vn_monotonic_ns() >= until) {
      if (fd >= 0) close(fd);
      *status = vn_fail(job, VN_TIMEOUT, NULL, "who listens there does not answer");
      return -1;
    }
    struct pollfd slot = {.fd = fd, .events = POLLOUT};
    if (!pending) {
      vn_sleep_ns(LOOK_MS * 1000000ull);
      fd = vn_reach_connect(reach, &pending);
    } else if (poll(&slot, 1, LOOK_MS) > 0) {
      pending = false;
      error = vn_reach_answer(fd);
    }
  }
  if (fd >= 0 && error == 0) return fd;
  if (fd >= 0) close(fd);
  *status = vn_fail_errno(job, "Cannot connect to the socket", fd < 0 ? -fd : error);
  return -1;
}

uint32_t vn_reach_prepare(int fd) {
  int on = 1;
  struct vn_reach own;
  socklen_t length = sizeof own.address;
  uint32_t status = (uint32_t)vn_socket_prepare(fd);
  vn_socket_harden(fd);
  if (status != VN_OK || getsockname(fd, &own.address.any, &length) != 0) return status;
  if (length > 0 && is_local(&own)) return status;
  /* A port of the loopback that nobody listens at may be what the system chose as ours: then we found ourselves. */
  struct vn_reach peer;
  socklen_t other = sizeof peer.address;
  bool has_peer = getpeername(fd, &peer.address.any, &other) == 0;
  if (has_peer && other == length && memcmp(&own.address, &peer.address, length) == 0) return VN_BAD_OPTION;
  /* Frames are flushed once a turn: there is nothing left to wait for. */
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return status;
}

void vn_reach_describe(int fd, char out[VN_REACH_TEXT]) {
  struct vn_reach peer;
  socklen_t length = sizeof peer.address;
  char text[INET6_ADDRSTRLEN];
  out[0] = 0;
  if (getpeername(fd, &peer.address.any, &length) != 0 || length < sizeof(sa_family_t)) return;
  int family = peer.address.any.sa_family;
  if (family == AF_INET && inet_ntop(AF_INET, &peer.address.in.sin_addr, text, sizeof text) != NULL) {
    snprintf(out, VN_REACH_TEXT, "%s:%u", text, ntohs(peer.address.in.sin_port));
  } else if (family == AF_INET6 && inet_ntop(AF_INET6, &peer.address.in6.sin6_addr, text, sizeof text) != NULL) {
    snprintf(out, VN_REACH_TEXT, "[%s]:%u", text, ntohs(peer.address.in6.sin6_port));
  } else {
#ifdef SO_PEERCRED
    struct ucred process;
    length = sizeof process;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &process, &length) == 0 && process.pid > 0)
      snprintf(out, VN_REACH_TEXT, "pid %d", (int)process.pid);
#endif
  }
}
