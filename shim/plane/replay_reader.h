// SPDX-License-Identifier: MIT
/*
 * replay_reader.h - reads a capture file ahead of who sends its frames.
 *
 * Theory of operation. Reading a file may block for as long as a disk or a file server likes, which the network's
 * thread must not: so each replay has a thread of its own that reads, parses, and fills a ring; the network's thread
 * empties it. The reader wakes the network when there is something new, the network wakes the reader when it waits for
 * room and half of the ring is free. Nobody waits for the thread: it has a reference, and ends at its next step when
 * vn_reader_end() was called.
 *
 * A record of the ring is VN_READER_HEADER bytes and the frame: 8 bytes with the distance in ns from the frame before,
 * 4 of nothing, and the frame's length, big-endian, as streams want it. One without a frame stands for a bad frame.
 */
#ifndef VN_PLANE_REPLAY_READER_H
#define VN_PLANE_REPLAY_READER_H

#include "core/ring.h"
#include "embedded/network.h"
#include "pcapng.h"

enum { VN_READER_HEADER = 16 };

struct vn_reader_thread {
  vn_atomic_u32 references;
  struct vn_network *network; /* counted: who is woken */
  struct vn_ring ring;
  struct vn_lock lock;        /* for the wait for room */
  vn_atomic_u32 waiting, ending;
  vn_atomic_u32 finished;     /* nothing more comes; why is in detail */
  const char *detail;
  vn_atomic_u64 rounds, foreign, cut; /* whole passes; frames of other link types; frames that were recorded in part */
  uint32_t speed, repeat;     /* per mille, 0: without distances; passes, 0: for ever */
  /* The thread's own. */
  int fd;
  uint64_t offset;            /* in the file, behind what is in the window */
  uint32_t at, filled;        /* in the window */
  uint64_t frames, last_ns;   /* of this pass */
  struct vn_capture capture;
  uint8_t window[VN_CAPTURE_WINDOW];
};

/* fd is taken over, also by a failure, which is NULL: no memory. */
struct vn_reader_thread *vn_reader_new(struct vn_network *network, int fd, uint32_t speed, uint32_t repeat);
/* Blocks. NULL when the file begins as one that can be replayed, else what is wrong. */
const char *vn_reader_check(struct vn_reader_thread *reader);
int vn_reader_start(struct vn_reader_thread *reader); /* 0 or a vn_status */
void vn_reader_freed(struct vn_reader_thread *reader); /* the network's thread has freed some of the ring */
void vn_reader_end(struct vn_reader_thread *reader);   /* any thread; drops the caller's reference */

#endif
