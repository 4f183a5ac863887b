// SPDX-License-Identifier: MIT
/* datagram.c - the endpoint "datagram": how peers come, go and come back; see datagram.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* POLLRDHUP */
#endif
#include "datagram.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmnet_shim.h"

#define NS_PER_S 1000000000ull
#define SILENT_NS (60 * NS_PER_S) /* who was silent for so long makes room for a newcomer */
#define SOCKET_GRACE_NS (5 * NS_PER_S) /* somebody may have connected to it and not spoken yet */
#define FIRST_CONNECT_NS (NS_PER_S / 20)
#define LAST_CONNECT_NS (2 * NS_PER_S)

static struct vn_datagram *of(struct vn_endpoint *endpoint) { return (struct vn_datagram *)endpoint; }
static uint64_t now_of(const struct vn_datagram *owner) { return owner->endpoint.network->now_ns; }

static void sweep_in(struct vn_datagram *owner, uint64_t ns) {
  if (owner->sweep.at_ns == 0) vn_network_timer(owner->endpoint.network, &owner->sweep, now_of(owner) + ns);
}

/* Peers. */

static struct vn_datagram_port **bucket_of(struct vn_datagram *owner, const struct vn_arrival *arrival) {
  uint32_t hash = 2166136261u; /* FNV-1a: peers are few, and who may bind an address here may also stop us */
  const uint8_t *bytes = (const uint8_t *)arrival->from;
  for (uint32_t i = offsetof(struct sockaddr_un, sun_path); i < arrival->from_length; i++)
    hash = (hash ^ bytes[i]) * 16777619u;
  return &owner->known[(hash ^ hash >> 16) % VN_DATAGRAM_BUCKETS];
}

static bool is_from(const struct vn_datagram_port *port, const struct vn_arrival *arrival) {
  uint32_t skip = offsetof(struct sockaddr_un, sun_path);
  return port->address_length == arrival->from_length &&
         memcmp(port->address.sun_path, arrival->from->sun_path, arrival->from_length - skip) == 0;
}

static struct vn_datagram_port *find(struct vn_datagram *owner, const struct vn_arrival *arrival) {
  if (owner->last != NULL && is_from(owner->last, arrival)) return owner->last;
  struct vn_datagram_port *port = *bucket_of(owner, arrival);
  while (port != NULL && !is_from(port, arrival)) port = port->next_known;
  if (port != NULL) owner->last = port;
  return port;
}

/* A place for one more: of who is absent longest, else of who is silent longest. */
static bool make_room(struct vn_datagram *owner) {
  struct vn_datagram_port *absent = NULL, *silent = NULL;
  for (uint32_t i = 0; i < VN_DATAGRAM_BUCKETS; i++)
    for (struct vn_datagram_port *port = owner->known[i]; port != NULL; port = port->next_known) {
      struct vn_datagram_port **best = port->socket == NULL ? &absent : &silent;
      if (*best == NULL || port->heard_ns < (*best)->heard_ns) *best = port;
    }
  if (absent == NULL && (silent == NULL || now_of(owner) - silent->heard_ns < SILENT_NS)) return false;
  vn_network_remove(absent != NULL ? &absent->port : &silent->port, VN_GONE);
  return true;
}

const char *vn_datagram_name(const struct vn_datagram_port *port) {
  return port->address.sun_path[0] != 0 ? port->address.sun_path : port->address.sun_path + 1; /* an abstract one */
}

static struct vn_datagram_port *new_peer(struct vn_datagram *owner, const struct vn_arrival *arrival) {
  struct vn_datagram_port *port = NULL;
  if (owner->known_count < owner->endpoint.options.clients || make_room(owner)) port = vn_datagram_port_new(owner);
  if (port == NULL) return NULL;
  memcpy(&port->address, arrival->from, arrival->from_length);
  port->address_length = arrival->from_length;
  if (!vn_network_add(owner->endpoint.network, &port->port) &&
      !(make_room(owner) && vn_network_add(owner->endpoint.network, &port->port))) {
    vn_guard_free(port->port.guard);
    free(port);
    return NULL;
  }
  struct vn_datagram_port **bucket = bucket_of(owner, arrival);
  port->next_known = *bucket;
  *bucket = port;
  owner->known_count++;
  vn_count(&owner->endpoint.accepted, 1);
  return port;
}

/* The peer, new or come back, is to be answered by the socket that it was heard on. */
static void present(struct vn_datagram_port *port, struct vn_datagram_socket *by, const char *event) {
  struct vn_datagram *owner = port->owner;
  if (port->socket == NULL) vn_count(&owner->endpoint.clients, 1);
  vn_datagram_port_reset(port);
  vn_datagram_use(port, by);
  port->port.absent = false;
  if (by == owner->current) vn_datagram_renew(owner);
  sweep_in(owner, NS_PER_S);
  vn_plane_event(&port->port, event, NULL, vn_datagram_name(port));
}

void vn_datagram_lost(struct vn_datagram_port *port) {
  struct vn_datagram *owner = port->owner;
  struct vn_datagram_socket *socket = port->socket;
  vn_datagram_port_reset(port);
  if (socket == NULL) return;
  vn_datagram_use(port, NULL);
  vn_count(&owner->endpoint.clients, (uint32_t)-1);
  port->absent_ns = now_of(owner);
  port->port.absent = true;
  const char *name = port == owner->only ? owner->endpoint.options.path : vn_datagram_name(port);
  vn_plane_event(&port->port, VN_DISCONNECTED, NULL, name);
  sweep_in(owner, NS_PER_S);
  if (port != owner->only) return;
  vn_datagram_socket_remove(socket);
  if (!owner->endpoint.options.reconnect || owner->endpoint.options.path[0] == 0) {
    vn_endpoint_fail(&owner->endpoint, VN_GONE);
    return;
  }
  owner->pause_ns = FIRST_CONNECT_NS;
  vn_network_timer(owner->endpoint.network, &owner->sweep, now_of(owner) + owner->pause_ns);
}

/* What arrives. */

static void count_bad(struct vn_datagram *owner) {
  vn_count(&owner->bad, 1);
  vn_count(&owner->endpoint.network->drops[VN_DROP_BAD], 1);
}

static void forward(struct vn_datagram_port *port, const struct vn_arrival *arrival) {
  uint32_t skip = port->port.virtio ? VN_VIRTIO_HEADER : 0;
  if (arrival->cut) {
    vn_network_drop(&port->port, VN_DROP_LONG);
  } else if (arrival->length < VN_ETHERNET_HEADER + skip && !VN_BROKEN(93)) {
    vn_network_drop(&port->port, VN_DROP_BAD);
  } else {
    struct vn_packet packet = {.frame = arrival->bytes + skip, .length = arrival->length - skip, .lasting = true};
    if (skip > 0 && (arrival->bytes[0] | arrival->bytes[1]) != 0) { /* it asks */
      arrival->bytes[10] = 1, arrival->bytes[11] = 0; /* num_buffers is for the receiver, and always one */
      packet.header = arrival->bytes;
    }
    vn_network_forward(&port->port, &packet);
  }
}

static bool is_announcement(const struct vn_arrival *arrival) {
  return arrival->length == 4 && memcmp(arrival->bytes, "VFKT", 4) == 0;
}

/* The peer's port, or NULL: nothing is to be forwarded. */
static struct vn_datagram_port *peer_of(struct vn_datagram_socket *by, const struct vn_arrival *arrival) {
  struct vn_datagram *owner = by->owner;
  bool announced = is_announcement(arrival);
  if (arrival->from == NULL) {
    count_bad(owner);
    return NULL;
  }
  struct vn_datagram_port *port = find(owner, arrival);
  if (port == NULL) {
    uint32_t least = VN_ETHERNET_HEADER + (owner->endpoint.options.virtio ? VN_VIRTIO_HEADER : 0);
    if (!announced && (arrival->cut || arrival->length < least)) {
      count_bad(owner);
      return NULL;
    }
    port = new_peer(owner, arrival);
    if (port == NULL) {
      vn_count(&owner->endpoint.refused, 1);
      return NULL;
    }
    present(port, by, VN_CONNECTED);
  } else if (port->socket == NULL || (announced && by != port->socket)) {
    present(port, by, VN_RECONNECTED); /* also one whose end nobody noticed */
  }
  port->heard_on = by;
  port->heard_ns = now_of(owner);
  return announced ? NULL : port;
}

#ifndef POLLRDHUP
#define POLLRDHUP POLLIN /* macOS says POLLHUP of it, to who asks for anything */
#define SHUT POLLHUP
#else
#define SHUT (POLLRDHUP | POLLHUP)
#endif

/* Who holds a copy of the descriptor has shut it down: it says that it is readable for ever, and reads nothing (Linux)
 * or
 * datagrams of no length (macOS). */
static bool is_shut(int fd) {
  struct pollfd slot = {.fd = fd, .events = POLLRDHUP};
  return poll(&slot, 1, 0) > 0 && (slot.revents & SHUT);
}

void vn_datagram_ready(struct vn_watch *watch, uint32_t events) {
  struct vn_datagram_socket *by = (void *)((char *)watch - offsetof(struct vn_datagram_socket, watch));
  struct vn_datagram *owner = by->owner;
  struct vn_datagram_port *only = owner->only, *before = NULL;
  if ((events & VN_POLL_WRITE) && only != NULL) vn_datagram_port_write(only);
  if (!(events & VN_POLL_READ)) return;
  bool more;
  int count = vn_inbox_read(&owner->inbox, owner->endpoint.network, watch->fd, &more);
  bool nothing = count == -EAGAIN || count == -EWOULDBLOCK || (count > 0 && owner->inbox.arrivals[count - 1].length == 0);
  bool failed = count < 0 && count != -ENOBUFS && count != -ENOMEM && !nothing;
  if (only != NULL && (failed || (nothing && is_shut(watch->fd)))) {
    vn_datagram_lost(only);
    return;
  }
  for (int i = 0; i < count; i++) {
    const struct vn_arrival *arrival = &owner->inbox.arrivals[i];
    struct vn_datagram_port *port = only != NULL ? only : peer_of(by, arrival);
    if (port == NULL || (port == only && is_announcement(arrival))) continue;
    if (port != before) {
      vn_tally(&port->port.stats.reads, 1);
      vn_tally(&port->port.stats.wakes, 1);
    }
    before = port;
    forward(port, arrival);
  }
}

/* What time brings. */

static void reconnect(struct vn_datagram *owner) {
  struct vn_datagram_port *port = owner->only;
  int fd = vn_datagram_connect(owner);
  struct vn_datagram_socket *made = fd < 0 ? NULL : vn_datagram_socket_add(owner, fd);
  if (made != NULL) {
    vn_count(&owner->endpoint.clients, 1);
    vn_datagram_port_reset(port);
    vn_datagram_use(port, made);
    port->port.absent = false;
    vn_plane_event(&port->port, VN_RECONNECTED, NULL, owner->endpoint.options.path);
    return;
  }
  owner->pause_ns = owner->pause_ns * 2 < LAST_CONNECT_NS ? owner->pause_ns * 2 : LAST_CONNECT_NS;
  sweep_in(owner, owner->pause_ns);
}

static void sweep(struct vn_network *network, struct vn_timer *timer) {
  struct vn_datagram *owner = (struct vn_datagram *)((char *)timer - offsetof(struct vn_datagram, sweep));
  bool again = false;
  if (owner->only != NULL) {
    if (owner->only->socket == NULL && owner->endpoint.options.reconnect) reconnect(owner);
    return;
  }
  for (uint32_t i = 0; i < VN_DATAGRAM_BUCKETS; i++)
    for (struct vn_datagram_port *port = owner->known[i], *next; port != NULL; port = next) {
      next = port->next_known;
      if (port->socket != NULL) continue;
      if (network->now_ns - port->absent_ns < VN_DATAGRAM_KEPT_NS) again = true;
      else vn_network_remove(&port->port, VN_GONE);
    }
  for (struct vn_datagram_socket *socket = owner->sockets, *next; socket != NULL; socket = next) {
    next = socket->next;
    if (socket == owner->current) continue;
    if (socket->peers > 0) again |= !vn_datagram_join(socket) && socket->joined == NULL && !socket->spent;
    else if (!socket->spent && network->now_ns - socket->idle_ns < SOCKET_GRACE_NS) again = true;
    else vn_datagram_socket_remove(socket);
  }
  if (again) sweep_in(owner, NS_PER_S);
}

/* The endpoint. */

static uint32_t make_pair(struct vn_job *job, struct vn_datagram *owner) {
  int pair[2];
#ifdef SOCK_CLOEXEC
  bool made = socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) == 0;
#else
  bool made = socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0;
#endif
  if (!made) return vn_fail_errno(job, "Cannot make a pair of sockets", errno);
  owner->fd = vn_datagram_tune(pair[0]);
  job->given = vn_datagram_tune(pair[1]);
  if (vn_socket_prepare(pair[0]) != VN_OK || fcntl(pair[1], F_SETFD, FD_CLOEXEC) != 0)
    return vn_fail_errno(job, "Cannot prepare a pair of sockets", errno);
  vn_write_number(&job->result, "fd", (uint64_t)pair[1]);
  return VN_OK;
}

static uint32_t take_fd(struct vn_job *job, struct vn_datagram *owner) {
  struct vn_endpoint_options *options = &owner->endpoint.options;
  struct sockaddr_un peer;
  socklen_t length = sizeof peer;
  uint32_t status = vn_socket_check(job, options->fd, SOCK_DGRAM);
  if (status != VN_OK) return status;
  if (getsockname(options->fd, (struct sockaddr *)&peer, &length) != 0 || peer.sun_family != AF_UNIX)
    return vn_fail(job, VN_BAD_OPTION, "fd", "it is not a unix socket"); /* the kernel has others that look connected */
  length = sizeof peer;
  if (getpeername(options->fd, (struct sockaddr *)&peer, &length) != 0)
    return vn_fail(job, VN_BAD_OPTION, "fd", "it is not connected");
  if (vn_socket_prepare(options->fd) != VN_OK) return vn_fail_errno(job, "Cannot prepare the socket", errno);
  owner->fd = vn_datagram_tune(options->fd);
  options->fd = -1;
  return VN_OK;
}

static uint32_t datagram_open(struct vn_job *job, struct vn_endpoint *endpoint) {
  struct vn_datagram *owner = of(endpoint);
  struct vn_endpoint_options *options = &endpoint->options;
  owner->fd = -1;
  owner->retry.due = vn_datagram_retry;
  owner->sweep.due = sweep;
  if (options->pair) return make_pair(job, owner);
  if (options->has_fd) return take_fd(job, owner);
  if (options->path[0] == 0) return vn_fail(job, VN_BAD_OPTION, "path", "it needs a path, an fd or a pair");
  if (options->listen) {
    int fd = vn_socket_listen(job, options->path, SOCK_DGRAM, options->mode);
    if (fd < 0) return (uint32_t)-fd;
    owner->fd = vn_datagram_tune(fd);
    owner->inode = vn_socket_inode(options->path);
  } else {
    int fd = vn_datagram_connect(owner);
    if (fd < 0 && !(options->reconnect && (fd == -ENOENT || fd == -ECONNREFUSED))) {
      vn_write_text(&job->result, "field", "path");
      return vn_fail_errno(job, "Cannot connect to the socket", -fd);
    }
    owner->fd = fd < 0 ? -1 : fd;
  }
  vn_write_text(&job->result, "path", options->path);
  return VN_OK;
}

static uint32_t datagram_begin(struct vn_endpoint *endpoint) {
  struct vn_datagram *owner = of(endpoint);
  bool listens = endpoint->options.listen && !endpoint->options.pair;
  struct vn_datagram_port *port = vn_datagram_port_new(owner); /* if it listens only to know what every port will be */
  if (port == NULL) return VN_NO_MEMORY;
  uint32_t longest = port->port.max_frame + (port->port.virtio ? VN_VIRTIO_HEADER : 0);
  uint32_t status = vn_inbox_init(&owner->inbox, longest, listens) ? VN_OK : VN_NO_MEMORY;
  if (status == VN_OK && !listens && !vn_network_add(endpoint->network, &port->port)) status = VN_NO_MEMORY;
  if (status != VN_OK || listens) {
    vn_guard_free(port->port.guard);
    free(port);
    port = NULL;
  }
  owner->only = port;
  if (status == VN_OK && owner->fd >= 0) {
    owner->current = vn_datagram_socket_add(owner, owner->fd);
    owner->fd = -1;
    if (owner->current == NULL) status = VN_NO_MEMORY;
  }
  if (status == VN_OK && port != NULL && owner->current != NULL) {
    vn_count(&endpoint->clients, 1);
    vn_count(&endpoint->accepted, 1);
    vn_datagram_use(port, owner->current);
    vn_plane_event(&port->port, VN_CONNECTED, NULL, endpoint->options.path);
  } else if (status == VN_OK && port != NULL) {
    port->port.absent = true;
    owner->pause_ns = FIRST_CONNECT_NS;
    sweep_in(owner, owner->pause_ns);
  }
  if (status != VN_OK && port != NULL) {
    owner->ending = true;
    vn_network_remove(&port->port, status);
  }
  return status;
}

static void forget_files(struct vn_datagram *owner) {
  if (owner->inode != 0) vn_socket_forget(owner->endpoint.options.path, owner->inode);
  if (owner->own[0] != 0) unlink(owner->own);
  owner->inode = 0;
  owner->own[0] = 0;
}

static void datagram_end(struct vn_endpoint *endpoint, uint32_t status) {
  struct vn_datagram *owner = of(endpoint);
  owner->ending = true;
  if (owner->only != NULL) vn_network_remove(&owner->only->port, status);
  for (uint32_t i = 0; i < VN_DATAGRAM_BUCKETS; i++)
    while (owner->known[i] != NULL) vn_network_remove(&owner->known[i]->port, status);
  vn_network_flush(endpoint->network); /* others may refer to what lies in the inbox */
  forget_files(owner); /* at once: who was told that it ended may make it anew; and while the inode is held */
  while (owner->sockets != NULL) vn_datagram_socket_remove(owner->sockets);
  vn_network_timer(endpoint->network, &owner->retry, 0);
  vn_network_timer(endpoint->network, &owner->sweep, 0);
}

static void datagram_free(struct vn_endpoint *endpoint) {
  struct vn_datagram *owner = of(endpoint);
  forget_files(owner);
  if (owner->fd >= 0) close(owner->fd);
  vn_inbox_free(&owner->inbox);
}

static void datagram_stats(struct vn_endpoint *endpoint, struct vn_writer *out) {
  vn_write_number(out, "droppedBad", vn_counted(&of(endpoint)->bad)); /* of nobody; a port's own are with the port */
}

const struct vn_endpoint_class vn_datagram_endpoint = {.kind = "datagram",
                                                       .size = sizeof(struct vn_datagram),
                                                       .open = datagram_open,
                                                       .begin = datagram_begin,
                                                       .end = datagram_end,
                                                       .free = datagram_free,
                                                       .stats = datagram_stats};
