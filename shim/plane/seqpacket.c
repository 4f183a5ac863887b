// SPDX-License-Identifier: MIT
/*
 * seqpacket.c - the endpoint "seqpacket" (Linux): a connected unix socket that keeps records, one record a frame.
 *
 * Theory of operation. A turn reads up to 64 records into the endpoint's inbox and forwards them from there. What is
 * for a port is collected until the flush, as references where that is possible, and sent by one call; what the socket
 * does not take waits in a bounded backlog, and when that is full frames are dropped at the tail. References go before
 * the backlog has anything, so the order is kept.
 *
 * A record of no length and the end of the connection read the same: Linux says 0 to both. At the end it says so for
 * every record that is asked for, so a batch of nothing but zeros from a peer that has hung up is the end, and
 * everything else is a counted drop. A record that is too long for a frame is cut by the system, and dropped.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* POLLRDHUP */
#endif
#include "connections.h"

#ifdef __linux__

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backlog.h"
#include "batch_io.h"
#include "board.h"
#include "offload.h"
#include "vmnet_shim.h"

#define SOCKET_BUFFER (1 << 20) /* as far as the system allows */

struct seqpacket {
  struct vn_connections list; /* first */
  struct vn_inbox inbox;
};

struct record_port {
  struct vn_net_port port; /* first */
  struct vn_watch watch;   /* fd -1: no socket at present */
  struct vn_connection *connection;
  struct vn_message waiting[VN_BATCH]; /* until the flush */
  uint32_t count;
  struct vn_backlog backlog;
  vn_atomic_u32 queued;
  bool broken, spoke; /* the socket is shut down; a frame has come through it */
};

static struct record_port *of(struct vn_net_port *port) { return (struct record_port *)port; }
static uint32_t extra_of(const struct record_port *records) { return records->port.virtio ? VN_VIRTIO_HEADER : 0; }

/* Writing. */

static bool record_room(struct vn_net_port *port) {
  const struct vn_backlog *backlog = &of(port)->backlog;
  return backlog->used == 0 || backlog->size - backlog->used >= 2 * (VN_FRAME_MOST + 8); /* in one piece */
}

static void settle(struct record_port *records) {
  struct vn_net_port *port = &records->port, *peer = port->peer;
  vn_atomic_store(&records->queued, records->backlog.used);
  vn_poller_change(&port->network->poller, &records->watch,
                   VN_POLL_READ | (records->backlog.frames > 0 ? VN_POLL_WRITE : 0u));
  if (peer == NULL || !peer->held || !record_room(port)) return;
  peer->held = false;
  vn_network_work(peer);
}

static size_t bytes_of(const struct vn_message *message) {
  return message->parts[0].iov_len + (message->count > 1 ? message->parts[1].iov_len : 0);
}

/* How many of them are done with, one way or the other. Fewer: the socket is full. After an error it is shut down: then
 * reading finds the end. */
static uint32_t send_batch(struct record_port *records, struct vn_message *messages, uint32_t count) {
  uint32_t done = 0;
  while (done < count && !records->broken) {
    int sent = vn_batch_send(records->watch.fd, NULL, 0, messages + done, count - done);
    if (sent > 0) {
      vn_tally(&records->port.stats.writes, 1);
      done += (uint32_t)sent;
    } else if (sent == -EMSGSIZE || sent == -ENOBUFS || sent == -ENOMEM) { /* for which no event would come */
      vn_network_lost(&records->port, (uint32_t)bytes_of(&messages[done++]) - extra_of(records));
    } else if (sent == 0 || sent == -EAGAIN || sent == -EWOULDBLOCK) {
      return done;
    } else {
      vn_socket_shut(records->watch.fd);
      records->broken = true;
    }
  }
  return count;
}

static void send_backlog(struct record_port *records) {
  struct vn_message messages[VN_BATCH];
  uint32_t count, done;
  do {
    uint32_t cursor = 0;
    for (count = 0; count < VN_BATCH && vn_backlog_next(&records->backlog, &cursor, &messages[count].parts[0]); count++)
      messages[count].count = 1;
    done = send_batch(records, messages, count);
    vn_backlog_take(&records->backlog, done);
  } while (count > 0 && done == count);
  settle(records);
}

static void send_waiting(struct record_port *records) {
  uint32_t count = records->count, i = send_batch(records, records->waiting, count);
  records->count = 0;
  if (i == count) return;
  for (; i < count; i++) {
    const struct vn_message *message = &records->waiting[i];
    if (!vn_backlog_put(&records->backlog, message->parts, message->count))
      vn_network_lost(&records->port, (uint32_t)bytes_of(message) - extra_of(records));
  }
  settle(records);
}

static void record_output(struct vn_net_port *port, const struct vn_packet *packet) {
  struct record_port *records = of(port);
  struct vn_message message = {.count = 0};
  if (records->watch.fd < 0 || records->broken) {
    vn_network_drop(port, VN_DROP_FULL);
    return;
  }
  if (port->virtio) {
    const uint8_t *header = packet->header != NULL ? packet->header : vn_offload_none;
    message.parts[message.count++] = (struct iovec){(void *)(uintptr_t)header, VN_VIRTIO_HEADER};
  }
  message.parts[message.count++] = (struct iovec){(void *)(uintptr_t)packet->frame, packet->length};
  if (records->count == VN_BATCH || !packet->lasting) send_waiting(records);
  if (packet->lasting && records->backlog.frames == 0) records->waiting[records->count++] = message;
  else if (!vn_backlog_put(&records->backlog, message.parts, message.count)) vn_network_drop(port, VN_DROP_FULL);
}

static void record_flush(struct vn_net_port *port) {
  struct record_port *records = of(port);
  if (records->watch.fd < 0) return;
  bool blocked = records->watch.events & VN_POLL_WRITE;
  send_waiting(records);
  if (records->backlog.frames > 0 && !blocked) send_backlog(records);
  else vn_atomic_store(&records->queued, records->backlog.used);
}

static uint32_t record_queued(struct vn_net_port *port) { return vn_atomic_load(&of(port)->queued); }

/* Coming and going. */

static void hang_up(struct record_port *records) {
  if (records->watch.fd < 0) return;
  vn_poller_remove(&records->port.network->poller, &records->watch);
  vn_socket_shut(records->watch.fd); /* also for copies that a fork of the script's may hold */
  close(records->watch.fd);
  records->watch.fd = -1;
  records->port.absent = true;
  records->count = 0;
  vn_backlog_clear(&records->backlog);
  vn_atomic_store(&records->queued, 0);
}

static void free_port(struct record_port *records) {
  if (records->watch.fd >= 0) close(records->watch.fd);
  vn_guard_free(records->port.guard);
  vn_backlog_clear(&records->backlog);
  free(records);
}

static void record_removed(struct vn_net_port *port, uint32_t status) {
  hang_up(of(port));
  vn_connection_removed(of(port)->connection, status);
  free_port(of(port));
}

static const struct vn_net_port_class record_class = {.room = record_room,
                                                      .output = record_output,
                                                      .flush = record_flush,
                                                      .removed = record_removed,
                                                      .queued = record_queued};

static void end(struct record_port *records) {
  hang_up(records);
  if (!vn_connection_lost(records->connection)) vn_network_remove(&records->port, VN_GONE);
}

/* Reading. */

static void forward(struct record_port *records, const struct vn_arrival *arrival) {
  uint32_t extra = extra_of(records);
  if (arrival->cut) {
    vn_network_drop(&records->port, VN_DROP_LONG);
    return;
  }
  if (arrival->length <= extra) {
    vn_network_drop(&records->port, VN_DROP_BAD);
    return;
  }
  struct vn_packet packet = {.frame = arrival->bytes + extra, .length = arrival->length - extra, .lasting = true};
  if (extra > 0) { /* num_buffers is for the receiver, and always one */
    arrival->bytes[10] = 1, arrival->bytes[11] = 0;
    packet.header = arrival->bytes;
  }
  if (!records->spoke) vn_connection_first(records->connection, &packet);
  records->spoke = true;
  vn_network_forward(&records->port, &packet);
}

static void record_ready(struct vn_watch *watch, uint32_t events) {
  struct record_port *records = (struct record_port *)((char *)watch - offsetof(struct record_port, watch));
  struct vn_inbox *inbox = &((struct seqpacket *)records->connection->of)->inbox;
  bool more;
  if (events & VN_POLL_WRITE) send_backlog(records);
  if (!(events & VN_POLL_READ)) return;
  vn_tally(&records->port.stats.wakes, 1);
  int count = vn_inbox_read(inbox, records->port.network, watch->fd, &more), last = count;
  if (count == -EAGAIN || count == -EWOULDBLOCK || count == -ENOBUFS || count == -ENOMEM) return;
  while (last > 0 && inbox->arrivals[last - 1].length == 0) last--;
  if (last < count && count > 0) {
    struct pollfd slot = {.fd = watch->fd, .events = POLLRDHUP};
    if (poll(&slot, 1, 0) > 0) count = last; /* zeros that are the end's */
  }
  if (count <= 0) {
    end(records);
    return;
  }
  vn_tally(&records->port.stats.reads, 1);
  for (int i = 0; i < count; i++) forward(records, &inbox->arrivals[i]);
}

static bool record_watch(struct record_port *records, int fd) {
  int size = SOCKET_BUFFER;
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  records->watch = (struct vn_watch){.fd = fd, .events = VN_POLL_READ, .ready = record_ready};
  records->broken = records->spoke = records->port.absent = false;
  if (vn_poller_add(&records->port.network->poller, &records->watch) == VN_OK) return true;
  close(fd);
  records->watch.fd = -1;
  return false;
}

static struct vn_net_port *record_make(struct vn_connection *connection, int fd) {
  struct record_port *records = calloc(1, sizeof *records);
  if (records == NULL) {
    close(fd);
    return NULL;
  }
  uint32_t least = 2 * (VN_FRAME_MOST + VN_VIRTIO_HEADER + 8), wanted = connection->of->endpoint.options.queue_bytes;
  records->backlog.size = wanted > least ? wanted : least;
  records->connection = connection;
  records->watch.fd = fd;
  records->port.network = connection->of->endpoint.network;
  records->port.class = &record_class;
  return &records->port;
}

static bool record_add(struct vn_net_port *port) {
  struct record_port *records = of(port);
  bool watched = record_watch(records, records->watch.fd);
  if (watched && vn_network_add(port->network, port)) return true;
  if (watched) vn_poller_remove(&port->network->poller, &records->watch);
  free_port(records);
  return false;
}

static void record_discard(struct vn_net_port *port) { free_port(of(port)); }
static bool record_give(struct vn_net_port *port, int fd) { return record_watch(of(port), fd); }

static const struct vn_connection_class record_connection = {
    .type = SOCK_SEQPACKET, .make = record_make, .add = record_add, .discard = record_discard, .give = record_give};

/* The endpoint. */

static struct seqpacket *whole(struct vn_endpoint *endpoint) { return (struct seqpacket *)endpoint; }

static uint32_t seqpacket_open(struct vn_job *job, struct vn_endpoint *endpoint) {
  return vn_connections_open(job, &whole(endpoint)->list, &record_connection);
}

static uint32_t seqpacket_begin(struct vn_endpoint *endpoint) {
  uint32_t longest = vn_board_max_frame(endpoint->network);
  if (endpoint->options.virtio) longest = VN_FRAME_MOST + VN_VIRTIO_HEADER;
  if (!vn_inbox_init(&whole(endpoint)->inbox, longest, false)) return VN_NO_MEMORY;
  return vn_connections_begin(&whole(endpoint)->list);
}

static void seqpacket_end(struct vn_endpoint *endpoint, uint32_t status) {
  vn_network_flush(endpoint->network); /* what others may refer to lies in the inbox */
  vn_connections_end(&whole(endpoint)->list, status);
}

static void seqpacket_free(struct vn_endpoint *endpoint) {
  vn_inbox_free(&whole(endpoint)->inbox);
  vn_connections_free(&whole(endpoint)->list);
}

const struct vn_endpoint_class vn_seqpacket_endpoint = {.kind = "seqpacket",
                                                        .size = sizeof(struct seqpacket),
                                                        .open = seqpacket_open,
                                                        .begin = seqpacket_begin,
                                                        .end = seqpacket_end,
                                                        .free = seqpacket_free};

#else

#include "vmnet_shim.h"

static uint32_t seqpacket_open(struct vn_job *job, struct vn_endpoint *endpoint) {
  (void)endpoint;
  return vn_fail_needs(job, VN_UNSUPPORTED, "Linux", "this system's unix sockets keep no records");
}
static void seqpacket_free(struct vn_endpoint *endpoint) { (void)endpoint; }

const struct vn_endpoint_class vn_seqpacket_endpoint = {
    .kind = "seqpacket", .size = sizeof(struct vn_endpoint), .open = seqpacket_open, .free = seqpacket_free};

#endif
