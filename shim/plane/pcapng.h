// SPDX-License-Identifier: MIT
/*
 * pcapng.h - reads capture files, pcapng and classic pcap, from memory: no I/O, no memory of its own.
 *
 * Theory of operation. The caller shows a piece of the file; vn_capture_next() says what begins there: a frame,
 * something else to pass over, or that it has to see more. What is passed over may be longer than what was shown, so
 * blocks of no interest need no room, and VN_CAPTURE_WINDOW bytes are enough for any file. Nothing in a file is
 * believed: lengths are compared with the block's before they are used, and with each step either "consume" is above 0
 * or the file is at its end.
 *
 * pcapng: sections of both byte orders, any number; interfaces with if_tsresol and if_tsoffset; enhanced, simple and
 * the obsolete packet blocks. pcap: both byte orders, microseconds and nanoseconds.
 */
#ifndef VN_PLANE_PCAPNG_H
#define VN_PLANE_PCAPNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  VN_CAPTURE_WINDOW = 128 << 10,  /* a caller that can show so much never has to stop at VN_CAPTURE_MORE */
  VN_CAPTURE_LEAST = 14,          /* an Ethernet header */
  VN_CAPTURE_MOST = 65562,        /* the longest frame that a switch takes */
  VN_CAPTURE_INTERFACES = 256,    /* of a section; frames of more are foreign */
  VN_CAPTURE_ETHERNET = 1,        /* LINKTYPE_ETHERNET */
};

enum vn_capture_kind {
  VN_CAPTURE_MORE,    /* show at least "need" bytes from here; if there are not so many, the file is cut */
  VN_CAPTURE_FRAME,   /* an Ethernet frame */
  VN_CAPTURE_OTHER,   /* a block that is no frame */
  VN_CAPTURE_FOREIGN, /* a frame of another link type */
  VN_CAPTURE_BAD,     /* a frame that contradicts its block, or is too short or too long */
  VN_CAPTURE_BROKEN,  /* not a capture file, or no more from here on; where the next block begins is unknown */
};

struct vn_capture_interface {
  uint32_t link, snap;
  uint8_t resolution; /* if_tsresol */
  uint64_t offset_s;  /* if_tsoffset, modulo 2^64 */
};

struct vn_capture {
  enum { VN_CAPTURE_UNKNOWN, VN_CAPTURE_PCAP, VN_CAPTURE_PCAPNG } format;
  bool swapped, nanoseconds;
  uint32_t count; /* interfaces of this section so far */
  uint64_t time_ns;
  struct vn_capture_interface interfaces[VN_CAPTURE_INTERFACES];
};

struct vn_capture_item {
  uint64_t consume; /* where the next one begins, from here */
  uint32_t need;
  const uint8_t *frame;
  uint32_t length, whole; /* what the file has, and what was on the wire */
  uint64_t time_ns;       /* modulo 2^64; of a simple packet, that of the packet before */
};

/* capture starts as zeros. */
enum vn_capture_kind vn_capture_next(struct vn_capture *capture, const uint8_t *bytes, size_t length,
                                     struct vn_capture_item *item);

#endif
