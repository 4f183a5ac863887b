// SPDX-License-Identifier: MIT
/*
 * stream_port.h - a stream socket as a port: a 4-byte big-endian length, then the frame, as QEMU and the gateway speak.
 * With
 * port.virtio the 12 bytes of a virtio header come between the two, and the length counts them.
 *
 * Theory of operation. A turn reads what is there, once, up to VN_STREAM_IN bytes, and forwards the frames where they
 * lie:
 * lasting and framed. The buffer is neither moved nor read into again before the turn's flush; the piece of a frame at
 * its
 * end moves to the start only when the next read begins. Another stream's port keeps references to such frames, and
 * frames
 * that follow each other in the buffer become one reference, so that a burst from one socket to another is one recv()
 * and
 * one sendmsg(), and nobody touches its bytes in between.
 *
 * What the socket does not take is copied into a ring of the port's, and so is a frame that does not last. While the
 * ring
 * holds something everything is appended to it. When it is full the frame is dropped and counted, whole, so that a peer
 * that stops reading costs nobody else anything. A length of zero or above the limit ends the stream, and only that
 * one.
 *
 * How it is made, all on the network's thread: vn_stream_port_new(), then the caller fills in what port is to be
 * (max_frame,
 * virtio, kind, table.isolated ..., or vn_endpoint_port_init()) and the callbacks, then vn_stream_port_add().
 */
#ifndef VN_EMBEDDED_STREAM_PORT_H
#define VN_EMBEDDED_STREAM_PORT_H

#include <sys/uio.h>

#include "network.h"

/* CPU per frame of 1514 bytes from socket to socket by the size of a read: 64 KiB 286 ns, 256 KiB 220, 512 KiB 207; and
 * a
 * turn with many busy ports takes as long as all their reads. */
#define VN_STREAM_IN (256u << 10)
#define VN_STREAM_REFERENCES 64u /* of one sendmsg(): frames for several ports mixed make one each */
#define VN_STREAM_QUEUE (1u << 20) /* bytes, the ring's size unless the caller says otherwise */

struct vn_stream_port {
  struct vn_net_port port; /* first */
  /* The stream has ended by itself (why is a literal for people) and its socket is closed. True: the port stays on the
   * network without one, and drops what it is given, until vn_stream_port_give(). False, or no callback: it is removed.
   * */
  bool (*ended)(struct vn_stream_port *stream, const char *why);
  /* Before the first frame that comes through a socket is forwarded; the port may be given another number, table entry,
   * guard, label and counters in it. May be NULL. */
  void (*first)(struct vn_stream_port *stream, const struct vn_packet *packet);
  /* It was taken off the network, for whatever reason, and is freed after this. May be NULL. */
  void (*removed)(struct vn_stream_port *stream, uint32_t status);
  void *context; /* the caller's */
  /* The rest is stream_port.c's. */
  struct vn_watch watch; /* fd -1: no socket at present */
  uint8_t *in, *out;
  uint32_t in_start, in_length; /* what was read and is not a whole frame yet */
  uint32_t out_size, out_start, out_length;
  bool met;     /* first() was called */
  bool blocked; /* the socket is full */
  bool broken;  /* writing failed; reading will find the end */
  uint32_t ref_count;
  vn_atomic_u32 queued; /* out_length for others */
  struct iovec refs[VN_STREAM_REFERENCES];
};

/* Takes fd over (-1: comes later by give), also when it fails: NULL, no memory. queue_bytes 0: VN_STREAM_QUEUE. */
struct vn_stream_port *vn_stream_port_new(struct vn_network *network, int fd, uint32_t queue_bytes);
bool vn_stream_port_add(struct vn_stream_port *stream); /* false: no place; it is freed, without a callback */
void vn_stream_port_free(struct vn_stream_port *stream); /* one that was never added; else vn_network_remove() */
/* Gives a port of the network, that has none, a socket, which is taken over also when that fails (no memory). What was
 * left of the last one's stream is forgotten. A port without a socket has no buffers. */
bool vn_stream_port_give(struct vn_stream_port *stream, int fd);

#endif
