// SPDX-License-Identifier: MIT
/* datagram_port.c - a peer's port: what goes out, what waits, and how long; datagram.h has the theory. */
#include <errno.h>
#include <stdlib.h>

#include "datagram.h"
#include "offload.h"
#include "vmnet_shim.h"

#define FIRST_PAUSE_NS 50000ull   /* a reader that is awake has read a few frames by then */
#define LAST_PAUSE_NS 1000000ull
#define GIVE_UP_NS 1000000000ull
#define PROBE_NS 10000000ull

/* Linux wakes who waits to write to a connected socket, and only there can it be believed. */
#ifdef __linux__
#define WATCHED(port) ((port)->address_length == 0)
#else
#define WATCHED(port) ((void)(port), false)
#endif

static struct vn_datagram_port *of(struct vn_net_port *port) { return (struct vn_datagram_port *)port; }

static uint32_t pieces_of(const struct vn_datagram_part *part, struct iovec out[2]) {
  uint32_t count = 0;
  if (part->header != NULL) out[count++] = (struct iovec){(void *)(uintptr_t)part->header, VN_VIRTIO_HEADER};
  out[count++] = (struct iovec){(void *)(uintptr_t)part->frame, part->length};
  return count;
}

/* Of frames that output() had taken. */
static void lose_parts(struct vn_datagram_port *port, uint32_t first) {
  for (uint32_t i = first; i < port->part_count; i++) vn_network_lost(&port->port, port->parts[i].length);
  port->part_count = 0;
}

static bool queue(struct vn_datagram_port *port, const struct vn_datagram_part *part) {
  struct iovec pieces[2];
  uint32_t count = pieces_of(part, pieces);
  bool fits = vn_backlog_put(&port->backlog, pieces, count);
  vn_atomic_store(&port->waits, port->backlog.used);
  return fits;
}

static void set_timer(struct vn_datagram *owner, uint64_t at_ns) {
  if (owner->retry.at_ns != 0 && owner->retry.at_ns <= at_ns) return;
  vn_network_timer(owner->endpoint.network, &owner->retry, at_ns);
}

static void start_waiting(struct vn_datagram_port *port) {
  if (port->waiting) return;
  port->waiting = true;
  port->next_waiting = port->owner->waiting;
  port->owner->waiting = port;
}

static void stop_waiting(struct vn_datagram_port *port) {
  if (!port->waiting) return;
  port->waiting = false;
  struct vn_datagram_port **at = &port->owner->waiting;
  while (*at != port) at = &(*at)->next_waiting;
  *at = port->next_waiting;
  if (port->socket != NULL) vn_poller_change(&port->port.network->poller, &port->socket->watch, VN_POLL_READ);
}

void vn_datagram_port_reset(struct vn_datagram_port *port) {
  uint32_t cursor = 0, header = port->port.virtio ? VN_VIRTIO_HEADER : 0;
  struct iovec message;
  stop_waiting(port);
  lose_parts(port, 0);
  while (vn_backlog_next(&port->backlog, &cursor, &message))
    vn_network_lost(&port->port, (uint32_t)message.iov_len - header);
  vn_backlog_clear(&port->backlog);
  vn_atomic_store(&port->waits, 0);
  port->lost = port->stalled = false;
}

/* The peer is full. */
static void wait_for(struct vn_datagram_port *port) {
  uint64_t now = port->port.network->now_ns;
  if (!port->waiting) {
    start_waiting(port);
    port->taken_ns = now;
    port->pause_ns = FIRST_PAUSE_NS;
  } else {
    port->pause_ns = port->pause_ns * 2 < LAST_PAUSE_NS ? port->pause_ns * 2 : LAST_PAUSE_NS;
  }
  port->retry_ns = now + port->pause_ns;
  if (WATCHED(port))
    vn_poller_change(&port->port.network->poller, &port->socket->watch, VN_POLL_READ | VN_POLL_WRITE);
  else set_timer(port->owner, port->retry_ns);
}

static void give_up(struct vn_datagram_port *port) {
  vn_datagram_port_reset(port);
  port->stalled = true;
  port->retry_ns = port->port.network->now_ns + PROBE_NS;
}

/* Deals with a failure to send. True: the first frame is to be left out and the next one tried. */
static bool failed(struct vn_datagram_port *port, int error) {
  switch (error) {
    case EMSGSIZE:
      return true;
    case EAGAIN:
#if EAGAIN != EWOULDBLOCK
    case EWOULDBLOCK:
#endif
    case ENOBUFS:
    case ENOMEM:
      wait_for(port);
      return false;
    default:
      break;
  }
  if (port->heard_on != NULL && port->heard_on != port->socket) { /* it has come back, to another socket of ours */
    vn_datagram_use(port, port->heard_on);
    if (port->socket == port->owner->current) vn_datagram_renew(port->owner);
    return false;
  }
  port->lost = true;
  start_waiting(port);
  set_timer(port->owner, port->port.network->now_ns);
  return false;
}

static uint32_t length_of(const struct vn_message *message) {
  return (uint32_t)(message->parts[0].iov_len + (message->count > 1 ? message->parts[1].iov_len : 0));
}

/* Sends messages; answers how many are dealt with. Less than count: the peer is full or lost. */
static uint32_t send_some(struct vn_datagram_port *port, struct vn_message *messages, uint32_t count) {
  uint32_t done = 0;
  while (done < count && port->socket != NULL && !port->lost) {
    struct vn_datagram_socket *by = port->socket;
    bool connected = by->joined == port || port->address_length == 0;
    int sent = vn_batch_send(by->watch.fd, connected ? NULL : &port->address, connected ? 0 : port->address_length,
                             messages + done, count - done);
    if (sent > 0) {
      done += (uint32_t)sent;
      vn_tally(&port->port.stats.writes, 1);
      port->taken_ns = port->port.network->now_ns;
      port->pause_ns = FIRST_PAUSE_NS / 2; /* wait_for() doubles it */
      port->stalled = false;
    } else if (sent < 0 && failed(port, -sent)) {
      vn_network_lost(&port->port, length_of(&messages[done++]) - (port->port.virtio ? VN_VIRTIO_HEADER : 0));
    } else if (by == port->socket) {
      break;
    }
  }
  return done;
}

static void send_parts(struct vn_datagram_port *port) {
  struct vn_message messages[VN_BATCH];
  uint32_t count = port->part_count;
  for (uint32_t i = 0; i < count; i++) messages[i].count = pieces_of(&port->parts[i], messages[i].parts);
  uint32_t done = send_some(port, messages, count);
  if (port->stalled || port->lost) {
    lose_parts(port, done);
    if (!port->lost) give_up(port); /* the probe did not get through */
    return;
  }
  for (; done < count; done++)
    if (!queue(port, &port->parts[done])) vn_network_lost(&port->port, port->parts[done].length);
  port->part_count = 0;
}

void vn_datagram_port_write(struct vn_datagram_port *port) {
  while (port->backlog.frames > 0 && !port->lost) {
    struct vn_message messages[VN_BATCH];
    uint32_t count = 0, cursor = 0;
    while (count < VN_BATCH && vn_backlog_next(&port->backlog, &cursor, &messages[count].parts[0]))
      messages[count++].count = 1;
    uint32_t done = send_some(port, messages, count);
    vn_backlog_take(&port->backlog, done);
    vn_atomic_store(&port->waits, port->backlog.used);
    if (done < count) return;
  }
  if (!port->lost) stop_waiting(port);
}

static void port_output(struct vn_net_port *net_port, const struct vn_packet *packet) {
  struct vn_datagram_port *port = of(net_port);
  uint64_t now = net_port->network->now_ns;
  if (port->waiting && !port->lost && now - port->taken_ns >= GIVE_UP_NS) give_up(port);
  if (port->socket == NULL || port->lost || (port->stalled && (now < port->retry_ns || port->part_count > 0))) {
    vn_network_drop(net_port, VN_DROP_FULL);
    return;
  }
  struct vn_datagram_part part = {.header = packet->header, .frame = packet->frame, .length = packet->length};
  if (net_port->virtio && part.header == NULL) part.header = vn_offload_none;
  if (!net_port->virtio) part.header = NULL;
  if (packet->lasting && !port->waiting && port->backlog.frames == 0) {
    port->parts[port->part_count++] = part;
    if (port->part_count == VN_BATCH) send_parts(port);
    return;
  }
  if (port->stalled) { /* a probe that does not last */
    struct vn_message message;
    message.count = pieces_of(&part, message.parts);
    if (send_some(port, &message, 1) == 0) {
      vn_network_drop(net_port, VN_DROP_FULL);
      if (!port->lost) give_up(port);
    }
    return;
  }
  if (!queue(port, &part)) vn_network_drop(net_port, VN_DROP_FULL);
}

static void port_flush(struct vn_net_port *net_port) {
  struct vn_datagram_port *port = of(net_port);
  if (port->part_count > 0) send_parts(port);
  if (!port->waiting && port->backlog.frames > 0) vn_datagram_port_write(port);
}

static uint32_t port_queued(struct vn_net_port *port) { return vn_counted(&of(port)->waits); }

/* The only one of its endpoint: that is over too. Others are forgotten. */
static void port_removed(struct vn_net_port *net_port, uint32_t status) {
  struct vn_datagram_port *port = of(net_port);
  struct vn_datagram *owner = port->owner;
  vn_datagram_port_reset(port);
  if (port->socket != NULL) {
    if (!owner->ending && port != owner->only) vn_plane_event(net_port, VN_DISCONNECTED, NULL, vn_datagram_name(port));
    vn_datagram_use(port, NULL);
    vn_count(&owner->endpoint.clients, (uint32_t)-1);
  }
  if (port == owner->only) {
    owner->only = NULL;
    if (!owner->ending) vn_endpoint_fail(&owner->endpoint, status);
  }
  if (port == owner->last) owner->last = NULL;
  for (uint32_t i = 0; i < VN_DATAGRAM_BUCKETS; i++)
    for (struct vn_datagram_port **at = &owner->known[i]; *at != NULL;) {
      if (*at != port) {
        at = &(*at)->next_known;
        continue;
      }
      *at = port->next_known;
      owner->known_count--;
    }
  free(port);
}

static const struct vn_net_port_class port_class = {
    .output = port_output, .flush = port_flush, .removed = port_removed, .queued = port_queued};

struct vn_datagram_port *vn_datagram_port_new(struct vn_datagram *owner) {
  struct vn_datagram_port *port = calloc(1, sizeof *port);
  if (port == NULL) return NULL;
  port->owner = owner;
  port->backlog.size = owner->endpoint.options.queue_bytes;
  port->port.network = owner->endpoint.network;
  if (!vn_endpoint_port_init(&owner->endpoint, &port->port)) {
    free(port);
    return NULL;
  }
  port->port.class = &port_class;
  return port;
}

void vn_datagram_retry(struct vn_network *network, struct vn_timer *timer) {
  struct vn_datagram *owner = (struct vn_datagram *)((char *)timer - offsetof(struct vn_datagram, retry));
  uint64_t next = 0;
  for (struct vn_datagram_port *port = owner->waiting, *after; port != NULL; port = after) {
    after = port->next_waiting;
    if (port->lost) {
      vn_datagram_lost(port);
      continue;
    }
    if (WATCHED(port)) continue;
    if (port->retry_ns <= network->now_ns) {
      vn_datagram_port_write(port);
      if (port->waiting && !port->lost && network->now_ns - port->taken_ns >= GIVE_UP_NS) give_up(port);
    }
    if (!port->waiting) continue;
    uint64_t at = port->lost ? network->now_ns : port->retry_ns;
    if (next == 0 || at < next) next = at;
  }
  if (next != 0) set_timer(owner, next > network->now_ns ? next : network->now_ns + 1);
}
