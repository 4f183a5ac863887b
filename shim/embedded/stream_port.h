// SPDX-License-Identifier: MIT
/*
 * stream_port.h - a stream socket as a port: a 4-byte big-endian length, then the frame, as QEMU and the gateway speak.
 *
 * Reading takes what is there, up to 256 KiB at once, and forwards the frames out of the read buffer. Writing collects
 * the turn's frames in a ring of 1 MiB and sends them with one call; what does not fit is dropped and counted, so a peer
 * that stops reading costs nobody else anything. A length of zero or above the limit ends the stream, and only that one.
 */
#ifndef VN_EMBEDDED_STREAM_PORT_H
#define VN_EMBEDDED_STREAM_PORT_H

#include "network.h"

/* 256 KiB are 170 frames of 1514 bytes for one recv(); larger reads only leave the cache. */
#define VN_STREAM_IN (256u << 10)
#define VN_STREAM_OUT (1u << 20)

struct vn_stream_port {
  struct vn_net_port port; /* first */
  struct vn_watch watch;
  uint8_t *in, *out;
  uint32_t in_length, out_start, out_length;
  bool blocked; /* the socket is full */
  void (*ended)(struct vn_stream_port *stream, void *context); /* it was taken off the network; may be NULL */
  void *context;
};

/* Takes the descriptor over, also when it fails, and adds the port to the network. */
struct vn_stream_port *vn_stream_port_new(struct vn_network *network, int fd, uint32_t max_frame, bool isolated,
                                          bool uplink);

#endif
