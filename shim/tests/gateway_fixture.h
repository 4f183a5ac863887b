// SPDX-License-Identifier: MIT
/* gateway_fixture.h - a gateway without sockets: frames and messages go in by call and are read out of its channels. */
#ifndef VN_GATEWAY_FIXTURE_H
#define VN_GATEWAY_FIXTURE_H

#include <stdlib.h>
#include <string.h>

#include "gateway/gateway.h"
#include "vmnet_shim.h"

#define HOST 1000
#define SHARED 1001

static struct gateway g;

/* A configure message with mode and subnet 192.168.50.0/24, to be added to. */
static inline struct vn_writer configuration(unsigned mode) {
  struct vn_writer writer = {0};
  vn_write_text(&writer, "message", "configure");
  vn_write_number(&writer, "mode", mode);
  vn_write_text(&writer, "ipv4Subnet", "192.168.50.0/24");
  vn_write_text(&writer, "dhcpStart", "192.168.50.10");
  vn_write_text(&writer, "dhcpEnd", "192.168.50.13");
  return writer;
}

static inline void add_reservation(struct vn_writer *writer, const void *mac, const char *address) {
  uint32_t mark = vn_write_begin(writer, "reservation");
  vn_write_bytes(writer, "mac", mac, 6);
  vn_write_text(writer, "address", address);
  vn_write_end(writer, mark);
}

static inline void add_lease(struct vn_writer *writer, const void *mac, const char *address, uint64_t expires) {
  uint32_t mark = vn_write_begin(writer, "lease");
  vn_write_bytes(writer, "mac", mac, 6);
  vn_write_text(writer, "address", address);
  vn_write_number(writer, "expires", expires);
  vn_write_end(writer, mark);
}

static inline void open_gateway(struct vn_writer writer) {
  gateway_open(&g, -1, -1);
  g.now = 1000;
  control_message(&g, writer.data, writer.length);
  vn_writer_free(&writer);
}

/* The next thing in an out buffer that nobody writes to a socket. */
static inline struct frame take(struct channel *channel) {
  struct frame frame = {NULL, 0};
  if (channel_pending(channel) > 0) {
    frame.length = get32(channel->out + channel->out_at);
    frame.data = channel->out + channel->out_at + 4;
    channel->out_at += 4 + frame.length;
  }
  return frame;
}

static inline void forget(struct channel *channel) { channel->out_at = channel->out_end = 0, channel->turn++; }

/* Puts a frame in, in memory of its own so that sanitizers see every step over its end. */
static inline void put_in(const uint8_t *data, uint32_t length) {
  uint8_t *copy = malloc(length ? length : 1);
  memcpy(copy, data, length);
  gateway_input(&g, (struct frame){copy, length});
  free(copy);
}

#endif
