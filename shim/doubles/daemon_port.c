// SPDX-License-Identifier: MIT
/*
 * daemon_port.c - frames between an interface of the embedded network and the double's socket, in batches both ways.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>

#include "daemon.h"

#define SOCKET_BYTES (4 << 20) /* the system cuts it to what it allows */
#define ROUNDS 8               /* batches of one port in a turn, so that none keeps the others waiting */

struct daemon_port *daemon_ports;

static uint32_t address_of(const uint8_t *list, uint32_t length, const char *key) {
  char text[64];
  struct in_addr in;
  return vn_list_text(list, length, key, text, sizeof text) && inet_pton(AF_INET, text, &in) == 1 ? ntohl(in.s_addr) : 0;
}

int daemon_port_open(int32_t handle, const uint8_t *result, uint32_t length, bool virtio) {
  int pair[2];
  struct daemon_port *port = calloc(1, sizeof *port);
  if (port == NULL) return -1;
  port->header = virtio ? 12 : 0;
  uint32_t most = (uint32_t)vn_list_number(result, length, "vmnet_max_packet_size", 1514) + port->header;
  port->stride = (most + 63) & ~63u;
  port->in.arena = malloc((size_t)port->stride * DAEMON_BATCH);
  port->out.arena = malloc((size_t)port->stride * DAEMON_BATCH);
  if (!port->in.arena || !port->out.arena ||
      socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
    free(port->in.arena);
    free(port->out.arena);
    free(port);
    return -1;
  }
  for (int i = 0; i < 2; i++) setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &(int){SOCKET_BYTES}, sizeof(int));
  port->handle = handle;
  port->fd = pair[0];
  port->mask = address_of(result, length, "vmnet_subnet_mask");
  port->base = address_of(result, length, "vmnet_start_address") & port->mask;
  port->more = true;
  port->next = daemon_ports;
  daemon_ports = port;
  vn_interest(handle, VN_READY_PACKETS);
  return pair[1];
}

struct daemon_port *daemon_port_find(int32_t handle) {
  struct daemon_port *port = daemon_ports;
  while (port != NULL && port->handle != handle) port = port->next;
  return port;
}

/* DHCP goes by: soon the network may have another lease. */
static void watch(struct daemon_port *port, const uint8_t *frame, uint32_t length) {
  const uint8_t *ethernet = frame + port->header;
  if (length < port->header + 38 || ethernet[12] != 8 || ethernet[13] != 0 || ethernet[23] != 17) return;
  const uint8_t *udp = ethernet + 14 + 4u * (ethernet[14] & 15);
  if (udp + 4 > frame + length) return;
  uint32_t source = (uint32_t)udp[0] << 8 | udp[1], target = (uint32_t)udp[2] << 8 | udp[3];
  if ((source != 67 && source != 68) || (target != 67 && target != 68)) return;
  port->look_at[0] = daemon_now_ms() + 10;
  port->look_at[1] = daemon_now_ms() + 300;
}

/* Into the double's socket. False: it is full. */
static bool pass_in(struct daemon_port *port) {
  struct daemon_batch *in = &port->in;
  struct mmsghdr messages[DAEMON_BATCH];
  struct iovec buffers[DAEMON_BATCH];
  while (in->count > 0) {
    memset(messages, 0, sizeof *messages * in->count);
    for (uint32_t i = 0; i < in->count; i++) {
      const uint32_t *descriptor = in->descriptors + (in->first + i) * VN_DESCRIPTOR_WORDS;
      buffers[i] = (struct iovec){in->arena + descriptor[0], descriptor[1]};
      messages[i].msg_hdr.msg_iov = &buffers[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
    int sent = sendmmsg(port->fd, messages, in->count, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS)) return false;
    if (sent < 0) { /* the double closed it */
      port->ended = true;
      in->count = 0;
      return false;
    }
    in->first += (uint32_t)sent;
    in->count -= (uint32_t)sent;
  }
  return true;
}

static void from_network(struct daemon_port *port) {
  struct daemon_batch *in = &port->in;
  for (int round = 0; round < ROUNDS && !port->ended; round++) {
    if (!pass_in(port) || !port->more) return;
    int32_t count = vn_drain(port->handle, in->arena, port->stride * DAEMON_BATCH, in->descriptors, DAEMON_BATCH);
    port->more = count > 0 && (count & VN_MORE);
    in->first = 0;
    in->count = count > 0 ? (uint32_t)count & (VN_MORE - 1) : 0;
    for (uint32_t i = 0; i < in->count; i++)
      watch(port, in->arena + in->descriptors[i * VN_DESCRIPTOR_WORDS], in->descriptors[i * VN_DESCRIPTOR_WORDS + 1]);
  }
}

/* To the network. False: it takes no more now. */
static bool pass_out(struct daemon_port *port) {
  struct daemon_batch *out = &port->out;
  while (out->count > 0) {
    int32_t taken =
        vn_send(port->handle, out->arena, port->stride * DAEMON_BATCH, out->descriptors, out->first, out->count);
    if (taken == 0) port->blocked = true;
    if (taken == 0) return false;
    if (taken < 0) taken = 1; /* a frame that it does not want, or an end, which drops them all */
    out->first += (uint32_t)taken;
    out->count -= (uint32_t)taken;
  }
  return true;
}

static bool take_out(struct daemon_port *port) {
  struct daemon_batch *out = &port->out;
  struct mmsghdr messages[DAEMON_BATCH];
  struct iovec buffers[DAEMON_BATCH];
  memset(messages, 0, sizeof messages);
  for (uint32_t i = 0; i < DAEMON_BATCH; i++) {
    buffers[i] = (struct iovec){out->arena + (size_t)i * port->stride, port->stride};
    messages[i].msg_hdr.msg_iov = &buffers[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  int count = recvmmsg(port->fd, messages, DAEMON_BATCH, MSG_DONTWAIT, NULL);
  if (count < 0) port->ended |= errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR;
  out->first = out->count = 0;
  for (int i = 0; i < count; i++) {
    uint32_t *descriptor = out->descriptors + out->count * VN_DESCRIPTOR_WORDS;
    if (messages[i].msg_len == 0) port->ended = true;
    if (messages[i].msg_len == 0) break;
    descriptor[0] = (uint32_t)i * port->stride;
    descriptor[1] = messages[i].msg_len;
    watch(port, out->arena + descriptor[0], descriptor[1]);
    out->count++;
  }
  return out->count > 0;
}

static void to_network(struct daemon_port *port) {
  for (int round = 0; round < ROUNDS; round++)
    if (!pass_out(port) || port->ended || !take_out(port)) return;
  pass_out(port);
}

void daemon_port_want(const struct daemon_port *port, struct pollfd *slot) {
  *slot = (struct pollfd){.fd = port->ended ? -1 : port->fd};
  if (!port->blocked) slot->events |= POLLIN;
  if (port->in.count > 0) slot->events |= POLLOUT;
}

void daemon_port_move(struct daemon_port *port, uint32_t ready, short events) {
  if (ready & VN_READY_PACKETS) port->more = true;
  if (ready & VN_READY_WRITABLE) port->blocked = false;
  if ((events & (POLLIN | POLLHUP | POLLERR)) || (ready & VN_READY_WRITABLE)) to_network(port);
  if ((events & POLLOUT) || (port->more && port->in.count == 0)) from_network(port);
}

void daemon_port_finish(struct daemon_port *port) {
  to_network(port);
  struct daemon_port **at = &daemon_ports;
  while (*at != port) at = &(*at)->next;
  *at = port->next;
  close(port->fd);
  free(port->in.arena);
  free(port->out.arena);
  free(port);
}
