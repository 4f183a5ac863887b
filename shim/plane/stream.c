// SPDX-License-Identifier: MIT
/*
 * stream.c - the endpoint "stream": frames with their length before them, over a unix socket or TCP of the loopback,
 * as QEMU and its like speak. The port is embedded/stream_port.c's, its coming and going connections.c's.
 */
#include "connections.h"
#include "embedded/stream_port.h"

static struct vn_connection *of(struct vn_stream_port *stream) { return stream->context; }

static void stream_first(struct vn_stream_port *stream, const struct vn_packet *packet) {
  vn_connection_first(of(stream), packet);
}

static bool stream_ended(struct vn_stream_port *stream, const char *why) {
  (void)why;
  return vn_connection_lost(of(stream));
}

static void stream_removed(struct vn_stream_port *stream, uint32_t status) { vn_connection_removed(of(stream), status); }

static struct vn_net_port *stream_make(struct vn_connection *connection, int fd) {
  const struct vn_endpoint *endpoint = &connection->of->endpoint;
  struct vn_stream_port *stream = vn_stream_port_new(endpoint->network, fd, endpoint->options.queue_bytes);
  if (stream == NULL) return NULL;
  stream->context = connection;
  stream->first = stream_first;
  stream->ended = stream_ended;
  stream->removed = stream_removed;
  return &stream->port;
}

static bool stream_add(struct vn_net_port *port) { return vn_stream_port_add((struct vn_stream_port *)port); }
static void stream_discard(struct vn_net_port *port) { vn_stream_port_free((struct vn_stream_port *)port); }
static bool stream_give(struct vn_net_port *port, int fd) {
  return vn_stream_port_give((struct vn_stream_port *)port, fd);
}

static const struct vn_connection_class stream_connection = {
    .type = SOCK_STREAM, .make = stream_make, .add = stream_add, .discard = stream_discard, .give = stream_give};

static struct vn_connections *list_of(struct vn_endpoint *endpoint) { return (struct vn_connections *)endpoint; }

static uint32_t stream_open(struct vn_job *job, struct vn_endpoint *endpoint) {
  return vn_connections_open(job, list_of(endpoint), &stream_connection);
}
static uint32_t stream_begin(struct vn_endpoint *endpoint) { return vn_connections_begin(list_of(endpoint)); }
static void stream_end(struct vn_endpoint *endpoint, uint32_t status) { vn_connections_end(list_of(endpoint), status); }
static void stream_free(struct vn_endpoint *endpoint) { vn_connections_free(list_of(endpoint)); }

const struct vn_endpoint_class vn_stream_endpoint = {.kind = "stream",
                                                     .size = sizeof(struct vn_connections),
                                                     .open = stream_open,
                                                     .begin = stream_begin,
                                                     .end = stream_end,
                                                     .free = stream_free};
