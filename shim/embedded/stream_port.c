// SPDX-License-Identifier: MIT
/*
 * stream_port.c - frames are parsed in the read buffer and forwarded from there; a partial one moves to its start. The out
 * ring is written by at most two pieces per call, and starts over at its beginning whenever it is empty.
 */
#include "stream_port.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "channel.h"
#include "gateway/protocol.h"
#include "vmnet_shim.h"

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

/* Above the limit by a virtio header, so that a peer that counts it is not cut off. */
#define LENGTH_MOST (VN_FRAME_LIMIT + 12)

static struct vn_stream_port *of(struct vn_net_port *port) { return (struct vn_stream_port *)port; }

static void put(struct vn_stream_port *stream, const void *bytes, uint32_t length) {
  uint32_t at = (stream->out_start + stream->out_length) & (VN_STREAM_OUT - 1);
  uint32_t first = VN_STREAM_OUT - at < length ? VN_STREAM_OUT - at : length;
  memcpy(stream->out + at, bytes, first);
  memcpy(stream->out, (const uint8_t *)bytes + first, length - first);
  stream->out_length += length;
}

static void stream_output(struct vn_net_port *port, const uint8_t *frame, uint32_t length) {
  struct vn_stream_port *stream = of(port);
  if (stream->out_length + 4 + length > VN_STREAM_OUT) {
    vn_network_drop(port, VN_DROP_FULL);
    return;
  }
  uint8_t header[4];
  vn_put_length(header, length);
  put(stream, header, 4);
  put(stream, frame, length);
}

static bool stream_room(struct vn_net_port *port) {
  return of(port)->out_length + 4 + LENGTH_MOST <= VN_STREAM_OUT;
}

/* Sends what the socket takes. After an error the stream is shut down, so that reading it finds its end: a peer may close
 * its reading half alone, and its socket then counts as writable for ever. */
static void send_out(struct vn_stream_port *stream) {
  while (stream->out_length > 0) {
    uint32_t first = VN_STREAM_OUT - stream->out_start;
    if (first > stream->out_length) first = stream->out_length;
    struct iovec parts[2] = {{stream->out + stream->out_start, first}, {stream->out, stream->out_length - first}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = parts[1].iov_len ? 2 : 1};
    ssize_t count = sendmsg(stream->watch.fd, &message, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS) {
      shutdown(stream->watch.fd, SHUT_RDWR);
      stream->out_length = 0;
    }
    if (count < 0) break;
    stream->out_start = (stream->out_start + (uint32_t)count) & (VN_STREAM_OUT - 1);
    stream->out_length -= (uint32_t)count;
  }
  if (stream->out_length == 0) stream->out_start = 0; /* the same bytes of the cache again */
  stream->blocked = stream->out_length > 0;
  vn_poller_change(&stream->port.network->poller, &stream->watch, VN_POLL_READ | (stream->blocked ? VN_POLL_WRITE : 0u));
}

static void stream_flush(struct vn_net_port *port) {
  if (!of(port)->blocked) send_out(of(port));
}

static void stream_removed(struct vn_net_port *port, uint32_t status) {
  (void)status;
  struct vn_stream_port *stream = of(port);
  vn_poller_remove(&port->network->poller, &stream->watch);
  vn_socket_shut(stream->watch.fd); /* also for copies that a fork of the script's may hold */
  close(stream->watch.fd);
  if (stream->ended != NULL) stream->ended(stream, stream->context);
  free(stream->in);
  free(stream->out);
  free(stream);
}

static const struct vn_net_port_class stream_class = {
    .room = stream_room, .output = stream_output, .flush = stream_flush, .removed = stream_removed};

/* Forwards the whole frames in the buffer. False when what is there cannot be a frame. */
static bool parse(struct vn_stream_port *stream) {
  uint32_t at = 0, length;
  bool good = true;
  while (stream->in_length - at >= 4) {
    length = vn_get_length(stream->in + at);
    good = length != 0 && length <= LENGTH_MOST;
    if (!good || stream->in_length - at - 4 < length) break;
    vn_network_forward(&stream->port, stream->in + at + 4, length);
    at += 4 + length;
  }
  stream->in_length -= at;
  if (at > 0) memmove(stream->in, stream->in + at, stream->in_length);
  if (!good) vn_network_drop(&stream->port, VN_DROP_BAD);
  return good;
}

static void stream_ready(struct vn_watch *watch, uint32_t events) {
  struct vn_stream_port *stream = (struct vn_stream_port *)((char *)watch - offsetof(struct vn_stream_port, watch));
  if (events & VN_POLL_WRITE) send_out(stream);
  if (!(events & VN_POLL_READ)) return;
  ssize_t count = recv(watch->fd, stream->in + stream->in_length, VN_STREAM_IN - stream->in_length, 0);
  if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
  if (count > 0) stream->in_length += (uint32_t)count;
  if (count <= 0 || !parse(stream)) vn_network_remove(&stream->port, VN_GONE);
}

struct vn_stream_port *vn_stream_port_new(struct vn_network *network, int fd, uint32_t max_frame, bool isolated,
                                          bool uplink) {
  struct vn_stream_port *stream = calloc(1, sizeof *stream);
  if (stream == NULL) {
    close(fd);
    return NULL;
  }
  stream->in = malloc(VN_STREAM_IN);
  stream->out = malloc(VN_STREAM_OUT);
  stream->watch = (struct vn_watch){.fd = fd, .events = VN_POLL_READ, .ready = stream_ready};
  stream->port.class = &stream_class;
  stream->port.max_frame = max_frame;
  stream->port.table.isolated = isolated;
  stream->port.table.uplink = uplink;
  int size = VN_STREAM_OUT; /* macOS starts with 8 KiB, five frames */
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  bool made = stream->in != NULL && stream->out != NULL && vn_poller_add(&network->poller, &stream->watch) == VN_OK;
  if (made && vn_network_add(network, &stream->port)) return stream;
  if (made) vn_poller_remove(&network->poller, &stream->watch);
  close(fd);
  free(stream->in);
  free(stream->out);
  free(stream);
  return NULL;
}
