// SPDX-License-Identifier: MIT
/*
 * stream_port.c - frames are parsed in the read buffer and forwarded from there. See stream_port.h for the references.
 *
 * References and the ring are never both in use: a frame becomes a reference only while the ring is empty, and before
 * something is put into the ring the references are sent, whose rest goes into the ring first. So the order is kept.
 * The
 * ring starts over at its beginning whenever it is empty: the same bytes of the cache again.
 *
 * Inside a turn a reference stands for whole frames, each with its length before it; that is how the rest of a partial
 * write is taken apart again when not all of it fits into the ring.
 */
#include "stream_port.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/protocol.h"
#include "plane/guard.h"
#include "plane/offload.h"
#include "vmnet_shim.h"

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

#define PREFIX 4u
/* Above the limit by a virtio header, so that a peer that counts it is not cut off; and on the wire by one more where
 * there is
 * one. */
#define LENGTH_MOST (VN_FRAME_LIMIT + VN_VIRTIO_HEADER)
#define WIRE_MOST (LENGTH_MOST + VN_VIRTIO_HEADER)
#define FLAGS (MSG_NOSIGNAL | MSG_DONTWAIT) /* who else holds the descriptor may make it block */

static struct vn_stream_port *of(struct vn_net_port *port) { return (struct vn_stream_port *)port; }

static uint32_t length_at(const uint8_t *bytes) {
  uint32_t length;
  memcpy(&length, bytes, sizeof length);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  length = __builtin_bswap32(length);
#endif
  return length;
}

/* The ring. */

static uint32_t room(const struct vn_stream_port *stream) { return stream->out_size - stream->out_length; }

static void put(struct vn_stream_port *stream, const void *bytes, uint32_t length) {
  uint32_t at = stream->out_start + stream->out_length;
  if (at >= stream->out_size) at -= stream->out_size;
  uint32_t first = stream->out_size - at < length ? stream->out_size - at : length;
  memcpy(stream->out + at, bytes, first);
  memcpy(stream->out, (const uint8_t *)bytes + first, length - first);
  stream->out_length += length;
}

/* What one call takes: -1 when the socket is full. After an error the stream is shut down, so that reading it finds its
 * end: a peer may close its reading half alone, and its socket then counts as writable for ever. */
static ssize_t send_parts(struct vn_stream_port *stream, struct iovec *parts, uint32_t count) {
  struct msghdr message = {.msg_iov = parts};
  message.msg_iovlen = count; /* int or size_t */
  ssize_t sent;
  while ((sent = sendmsg(stream->watch.fd, &message, FLAGS)) < 0 && errno == EINTR) continue;
  if (sent > 0) vn_tally(&stream->port.stats.writes, 1);
  if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS) {
    shutdown(stream->watch.fd, SHUT_RDWR);
    stream->broken = true;
  }
  return sent;
}

static void release_peer(struct vn_net_port *port) {
  struct vn_net_port *peer = port->peer;
  if (peer == NULL || !peer->held || !port->class->room(port)) return;
  peer->held = false;
  vn_network_work(peer);
}

/* After every change of the ring that lasts: who reads it, and who waits for its room. */
static void settle(struct vn_stream_port *stream) {
  if (stream->out_length == 0) stream->out_start = 0;
  stream->blocked = stream->out_length > 0;
  vn_atomic_store(&stream->queued, stream->out_length);
  vn_poller_change(&stream->port.network->poller, &stream->watch,
                   VN_POLL_READ | (stream->blocked ? VN_POLL_WRITE : 0u));
  release_peer(&stream->port);
}

static void send_ring(struct vn_stream_port *stream) {
  while (stream->out_length > 0) {
    uint32_t first = stream->out_size - stream->out_start;
    if (first > stream->out_length) first = stream->out_length;
    struct iovec parts[2] = {{stream->out + stream->out_start, first}, {stream->out, stream->out_length - first}};
    ssize_t count = send_parts(stream, parts, parts[1].iov_len ? 2 : 1);
    if (stream->broken) stream->out_length = 0;
    if (count < 0) break;
    bool full = (uint32_t)count < stream->out_length;
    stream->out_start = (stream->out_start + (uint32_t)count) % stream->out_size;
    stream->out_length -= (uint32_t)count;
    if (full) break; /* it says when it is not any more */
  }
  settle(stream);
}

/* References. */

/* Puts the frames of a reference into the ring, the first of them without its first sent bytes. What does not fit is
 * lost. */
static void keep(struct vn_stream_port *stream, const uint8_t *bytes, size_t length, size_t sent) {
  if (length - sent <= room(stream)) {
    put(stream, bytes + sent, (uint32_t)(length - sent));
    return;
  }
  uint32_t extra = stream->port.virtio ? VN_VIRTIO_HEADER : 0;
  for (size_t at = 0, next; at < length; at = next) {
    next = at + PREFIX + length_at(bytes + at);
    if (next <= sent) continue;
    size_t from = sent > at ? sent : at; /* a frame that was begun has to go on, and finds the ring empty */
    if (next - from <= room(stream)) put(stream, bytes + from, (uint32_t)(next - from));
    else vn_network_lost(&stream->port, (uint32_t)(next - at) - PREFIX - extra);
  }
}

static void send_references(struct vn_stream_port *stream) {
  uint32_t count = stream->ref_count, i = 0;
  if (count == 0) return;
  stream->ref_count = 0;
  ssize_t result = send_parts(stream, stream->refs, count);
  size_t sent = result < 0 ? 0 : (size_t)result;
  while (i < count && sent >= stream->refs[i].iov_len) sent -= stream->refs[i++].iov_len;
  if (i == count || stream->broken) return;
  for (; i < count; i++, sent = 0) keep(stream, stream->refs[i].iov_base, stream->refs[i].iov_len, sent);
  settle(stream);
}

/* Frames that follow each other in memory are one reference. */
static void refer(struct vn_stream_port *stream, const uint8_t *bytes, uint32_t length) {
  struct iovec *last = stream->ref_count > 0 ? &stream->refs[stream->ref_count - 1] : NULL;
  if (last != NULL && (uint8_t *)last->iov_base + last->iov_len == bytes) {
    last->iov_len += length;
    return;
  }
  if (stream->ref_count == VN_STREAM_REFERENCES) send_references(stream);
  if (stream->out_length > 0) {
    keep(stream, bytes, length, 0);
    return;
  }
  stream->refs[stream->ref_count++] = (struct iovec){(void *)(uintptr_t)bytes, length};
}

/* The port. */

static void stream_output(struct vn_net_port *port, const struct vn_packet *packet) {
  struct vn_stream_port *stream = of(port);
  uint32_t extra = port->virtio ? VN_VIRTIO_HEADER : 0, length = packet->length + extra;
  if (stream->watch.fd < 0 || stream->broken) {
    vn_network_drop(port, VN_DROP_FULL);
    return;
  }
  if (packet->framed && (packet->header != NULL) == port->virtio && stream->out_length == 0) {
    refer(stream, (packet->header != NULL ? packet->header : packet->frame) - PREFIX, PREFIX + length);
    return;
  }
  send_references(stream);
  if (PREFIX + length > room(stream)) {
    vn_network_drop(port, VN_DROP_FULL);
    return;
  }
  uint8_t prefix[PREFIX] = {(uint8_t)(length >> 24), (uint8_t)(length >> 16), (uint8_t)(length >> 8), (uint8_t)length};
  put(stream, prefix, PREFIX);
  if (extra) put(stream, packet->header != NULL ? packet->header : vn_offload_none, extra);
  put(stream, packet->frame, packet->length);
}

static bool stream_room(struct vn_net_port *port) { return PREFIX + WIRE_MOST <= room(of(port)); }

static void stream_flush(struct vn_net_port *port) {
  struct vn_stream_port *stream = of(port);
  if (stream->watch.fd < 0 || stream->broken) return;
  send_references(stream);
  if (!stream->blocked && stream->out_length > 0) send_ring(stream);
  else vn_atomic_store(&stream->queued, stream->out_length);
}

/* Nothing refers to the read buffer any more: the network has been flushed. */
static void hang_up(struct vn_stream_port *stream) {
  if (stream->watch.fd < 0) return;
  vn_poller_remove(&stream->port.network->poller, &stream->watch);
  vn_socket_shut(stream->watch.fd); /* also for copies that a fork of the script's may hold */
  close(stream->watch.fd);
  stream->watch.fd = -1;
  stream->port.absent = true;
  stream->in_start = stream->in_length = stream->out_start = stream->out_length = stream->ref_count = 0;
  stream->blocked = stream->broken = stream->met = false;
  vn_atomic_store(&stream->queued, 0);
  free(stream->in);
  free(stream->out);
  stream->in = stream->out = NULL;
  release_peer(&stream->port); /* a port without a socket takes everything, and drops it */
}

void vn_stream_port_free(struct vn_stream_port *stream) {
  if (stream->watch.fd >= 0) close(stream->watch.fd);
  vn_guard_free(stream->port.guard);
  free(stream->in);
  free(stream->out);
  free(stream);
}

static void stream_removed(struct vn_net_port *port, uint32_t status) {
  struct vn_stream_port *stream = of(port);
  hang_up(stream);
  if (stream->removed != NULL) stream->removed(stream, status);
  vn_stream_port_free(stream);
}

static uint32_t stream_queued(struct vn_net_port *port) { return vn_atomic_load(&of(port)->queued); }

static const struct vn_net_port_class stream_class = {.room = stream_room,
                                                      .output = stream_output,
                                                      .flush = stream_flush,
                                                      .removed = stream_removed,
                                                      .queued = stream_queued};

/* Reading. */

/* Forwards the whole frames in the buffer. NULL, or why what is there cannot be a frame. */
static const char *parse(struct vn_stream_port *stream) {
  uint32_t extra = stream->port.virtio ? VN_VIRTIO_HEADER : 0, least = extra > 0 ? extra : 1;
  uint8_t *at = stream->in + stream->in_start, *end = at + stream->in_length;
  const char *wrong = NULL;
  while (end - at >= PREFIX) {
    uint32_t length = length_at(at);
    if (length - 1 >= (stream->port.virtio ? WIRE_MOST : LENGTH_MOST)) {
      wrong = length == 0 ? "a frame of no length" : "a frame above the limit";
      break;
    }
    if ((size_t)(end - at) - PREFIX < length) break;
    uint8_t *frame = at + PREFIX;
    at = frame + length;
    __builtin_prefetch(at + PREFIX); /* 3 to 8 % of a frame */
    if (length < least) {
      vn_network_drop(&stream->port, VN_DROP_BAD);
      continue;
    }
    struct vn_packet packet = {.frame = frame + extra, .length = length - extra, .lasting = true, .framed = true};
    if (extra > 0) { /* num_buffers is for the receiver, and always one */
      frame[10] = 1, frame[11] = 0;
      packet.header = frame;
    }
    if (!stream->met && stream->first != NULL) stream->first(stream, &packet);
    stream->met = true;
    vn_network_forward(&stream->port, &packet);
  }
  stream->in_start = (uint32_t)(at - stream->in);
  stream->in_length = (uint32_t)(end - at);
  return wrong;
}

static void end(struct vn_stream_port *stream, const char *why) {
  vn_network_flush(stream->port.network);
  hang_up(stream);
  if (stream->ended == NULL || !stream->ended(stream, why)) vn_network_remove(&stream->port, VN_GONE);
}

static void stream_ready(struct vn_watch *watch, uint32_t events) {
  struct vn_stream_port *stream = (struct vn_stream_port *)((char *)watch - offsetof(struct vn_stream_port, watch));
  if (events & VN_POLL_WRITE) send_ring(stream);
  if (!(events & VN_POLL_READ)) return;
  vn_tally(&stream->port.stats.wakes, 1);
  if (stream->in_start > 0) memmove(stream->in, stream->in + stream->in_start, stream->in_length);
  stream->in_start = 0;
  ssize_t count = recv(watch->fd, stream->in + stream->in_length, VN_STREAM_IN - stream->in_length, FLAGS);
  if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
  if (count <= 0) {
    end(stream, count == 0 ? "the peer closed it" : "the connection broke");
    return;
  }
  vn_tally(&stream->port.stats.reads, 1);
  stream->in_length += (uint32_t)count;
  const char *wrong = parse(stream);
  if (wrong == NULL) return;
  vn_network_drop(&stream->port, VN_DROP_BAD);
  end(stream, wrong);
}

/* Coming. */

bool vn_stream_port_give(struct vn_stream_port *stream, int fd) {
  stream->in = malloc(VN_STREAM_IN); /* the system gives both their memory when it is touched */
  stream->out = malloc(stream->out_size);
  stream->watch = (struct vn_watch){.fd = fd, .events = VN_POLL_READ, .ready = stream_ready};
  int size = VN_STREAM_QUEUE; /* macOS starts with 8 KiB, five frames; from 256 KiB on it makes no difference */
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  stream->port.absent = stream->in == NULL || stream->out == NULL ||
                        vn_poller_add(&stream->port.network->poller, &stream->watch) != VN_OK;
  if (!stream->port.absent) return true;
  close(fd);
  free(stream->in);
  free(stream->out);
  stream->in = stream->out = NULL;
  stream->watch.fd = -1;
  return false;
}

struct vn_stream_port *vn_stream_port_new(struct vn_network *network, int fd, uint32_t queue_bytes) {
  struct vn_stream_port *stream = calloc(1, sizeof *stream);
  if (stream == NULL) {
    if (fd >= 0) close(fd);
    return NULL;
  }
  stream->out_size = queue_bytes != 0 ? queue_bytes : VN_STREAM_QUEUE;
  if (stream->out_size < PREFIX + WIRE_MOST) stream->out_size = PREFIX + WIRE_MOST;
  stream->watch.fd = fd;
  stream->port.absent = fd < 0;
  stream->port.class = &stream_class;
  stream->port.network = network;
  stream->port.max_frame = VN_FRAME_LIMIT;
  stream->port.kind = "stream";
  return stream;
}

bool vn_stream_port_add(struct vn_stream_port *stream) {
  if (stream->watch.fd >= 0 && !vn_stream_port_give(stream, stream->watch.fd)) {
    vn_stream_port_free(stream);
    return false;
  }
  if (vn_network_add(stream->port.network, &stream->port)) return true;
  if (stream->watch.fd >= 0) vn_poller_remove(&stream->port.network->poller, &stream->watch);
  vn_stream_port_free(stream);
  return false;
}
