// SPDX-License-Identifier: MIT
/* replay_reader.c - the thread that reads a capture file ahead; see replay_reader.h. */
#include "replay_reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmnet_shim.h"

#define RING (1u << 20)     /* read ahead: 16 of the longest frames, or a few hundred usual ones */
#define PUBLISH_EVERY 32u   /* frames; half a turn's, so that the network has the next ones when it comes back */
#define LONGEST_PAUSE_NS (1ull << 53) /* 104 days, so that a thousandfold of it still fits 64 bits */

/* How a step of reading ended, beside what vn_capture_next() says. */
enum { AT_END = 100, CUT, UNREADABLE };

static void release(struct vn_reader_thread *reader) {
  if (vn_atomic_add(&reader->references, -1) != 1) return;
  close(reader->fd);
  vn_ring_destroy(&reader->ring);
  vn_lock_destroy(&reader->lock);
  vn_network_release(reader->network);
  free(reader);
}

/* The file. */

/* Shows at least need bytes, or all that are left. False: they cannot be read. */
static bool fill(struct vn_reader_thread *reader, uint32_t need) {
  uint32_t left = reader->filled - reader->at;
  if (left >= need) return true;
  memmove(reader->window, reader->window + reader->at, left);
  reader->at = 0, reader->filled = left;
  while (reader->filled < need) {
    ssize_t got = pread(reader->fd, reader->window + reader->filled, sizeof reader->window - reader->filled,
                        (off_t)reader->offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return false;
    if (got == 0) break;
    reader->filled += (uint32_t)got;
    reader->offset += (uint64_t)got;
  }
  return true;
}

static void go_on(struct vn_reader_thread *reader, uint64_t bytes) {
  uint32_t left = reader->filled - reader->at;
  if (bytes <= left) {
    reader->at += (uint32_t)bytes;
    return;
  }
  reader->offset += bytes - left;
  reader->at = reader->filled = 0;
}

static void rewind_file(struct vn_reader_thread *reader) {
  reader->offset = reader->at = reader->filled = 0;
  reader->frames = 0;
  memset(&reader->capture, 0, sizeof reader->capture);
}

/* An item, which stays in the window until the next step. */
static int step(struct vn_reader_thread *reader, struct vn_capture_item *item) {
  for (uint32_t need = 1;;) {
    if (!fill(reader, need)) return UNREADABLE;
    uint32_t shown = reader->filled - reader->at;
    if (shown < need) {
      struct stat status;
      bool beyond = fstat(reader->fd, &status) != 0 || reader->offset > (uint64_t)status.st_size;
      return shown == 0 && need == 1 && !beyond && reader->capture.format != VN_CAPTURE_UNKNOWN ? AT_END : CUT;
    }
    enum vn_capture_kind kind = vn_capture_next(&reader->capture, reader->window + reader->at, shown, item);
    if (kind != VN_CAPTURE_MORE) return (int)kind;
    need = item->need;
  }
}

const char *vn_reader_check(struct vn_reader_thread *reader) {
  const char *wrong = NULL;
  struct vn_capture_item item;
  while (wrong == NULL && reader->capture.count == 0) {
    switch (step(reader, &item)) {
      case CUT: wrong = "the file is cut before its first interface"; break;
      case AT_END: wrong = "the file has no interface and no frame"; break;
      case UNREADABLE: wrong = "the file cannot be read"; break;
      case VN_CAPTURE_BROKEN: wrong = "it is no capture file, neither pcapng nor pcap"; break;
      case VN_CAPTURE_OTHER: go_on(reader, item.consume); break;
      default: wrong = "a frame comes before the first interface"; break;
    }
  }
  if (wrong == NULL && reader->capture.interfaces[0].link != VN_CAPTURE_ETHERNET)
    wrong = "its frames are not Ethernet (link type 1)";
  rewind_file(reader);
  return wrong;
}

/* The ring. */

static void tell(struct vn_reader_thread *reader) {
  vn_ring_publish(&reader->ring);
  vn_network_wake(reader->network);
}

/* NULL: it is over. */
static uint8_t *reserve(struct vn_reader_thread *reader, uint32_t length) {
  for (;;) {
    uint8_t *room = vn_ring_reserve(&reader->ring, length, 0);
    if (room != NULL) return room;
    tell(reader);
    vn_atomic_store(&reader->waiting, 1);
    if (vn_ring_fits(&reader->ring, length)) {
      vn_atomic_store(&reader->waiting, 0);
      continue;
    }
    vn_lock(&reader->lock);
    while (vn_atomic_load(&reader->waiting) && !vn_atomic_load(&reader->ending)) vn_lock_wait(&reader->lock, 0);
    vn_unlock(&reader->lock);
    if (vn_atomic_load(&reader->ending)) return NULL;
  }
}

static void wake(struct vn_reader_thread *reader) {
  vn_lock(&reader->lock); /* held by the reader only to go to sleep */
  vn_lock_signal(&reader->lock);
  vn_unlock(&reader->lock);
}

void vn_reader_freed(struct vn_reader_thread *reader) {
  if (!vn_atomic_load(&reader->waiting) || vn_ring_used(&reader->ring) > RING / 2) return;
  if (vn_atomic_exchange(&reader->waiting, 0)) wake(reader);
}

/* How long after the frame before this one is to be sent. Time that goes backwards counts as none. */
static uint64_t distance(struct vn_reader_thread *reader, uint64_t time_ns) {
  int64_t passed = (int64_t)(time_ns - reader->last_ns);
  bool first = reader->frames++ == 0;
  reader->last_ns = time_ns;
  if (first || reader->speed == 0 || passed <= 0) return 0;
  return ((uint64_t)passed < LONGEST_PAUSE_NS ? (uint64_t)passed : LONGEST_PAUSE_NS) * 1000 / reader->speed;
}

static bool put_frame(struct vn_reader_thread *reader, const struct vn_capture_item *item) {
  uint8_t *room = reserve(reader, VN_READER_HEADER + item->length);
  if (room == NULL) return false;
  uint64_t wait_ns = distance(reader, item->time_ns);
  uint32_t framed = __builtin_bswap32(item->length);
  memcpy(room, &wait_ns, 8);
  memset(room + 8, 0, 4);
  memcpy(room + 12, &framed, 4);
  memcpy(room + VN_READER_HEADER, item->frame, item->length);
  if (item->length < item->whole) vn_count(&reader->cut, 1);
  if (reader->frames % PUBLISH_EVERY == 0) tell(reader);
  return true;
}

static bool put_bad(struct vn_reader_thread *reader) {
  uint8_t *room = reserve(reader, 8);
  if (room != NULL) memset(room, 0, 8);
  return room != NULL;
}

/* One pass. NULL at the end of a whole file, else why there is no more. */
static const char *read_once(struct vn_reader_thread *reader) {
  struct vn_capture_item item;
  bool going = true;
  rewind_file(reader);
  while (going && !vn_atomic_load(&reader->ending)) {
    switch (step(reader, &item)) {
      case VN_CAPTURE_FRAME: going = put_frame(reader, &item); break;
      case VN_CAPTURE_FOREIGN: vn_count(&reader->foreign, 1); break;
      case VN_CAPTURE_BAD: going = put_bad(reader); break;
      case VN_CAPTURE_OTHER: break;
      case AT_END: return NULL;
      case CUT: return put_bad(reader) ? "the file is cut" : "stopped";
      case UNREADABLE: return "the file cannot be read";
      default: return put_bad(reader) ? "the file is damaged" : "stopped";
    }
    go_on(reader, item.consume);
  }
  return "stopped";
}

static void *body(void *argument) {
  struct vn_reader_thread *reader = argument;
  const char *detail = NULL;
  for (uint32_t round = 0; detail == NULL; round++) {
    if (round > 0 && round == reader->repeat) detail = "end of file";
    else if ((detail = read_once(reader)) == NULL) {
      vn_count(&reader->rounds, 1);
      if (reader->frames == 0) detail = "end of file"; /* for ever would be without end */
    }
  }
  reader->detail = detail;
  vn_ring_publish(&reader->ring);
  vn_atomic_store(&reader->finished, 1);
  vn_network_wake(reader->network);
  release(reader);
  return NULL;
}

/* The object. */

struct vn_reader_thread *vn_reader_new(struct vn_network *network, int fd, uint32_t speed, uint32_t repeat) {
  struct vn_reader_thread *reader = calloc(1, sizeof *reader);
  if (reader != NULL && vn_lock_init(&reader->lock) == VN_OK) {
    if (vn_ring_init(&reader->ring, RING) == VN_OK) {
      vn_atomic_store(&reader->references, 1);
      vn_network_retain(network);
      reader->network = network;
      reader->fd = fd;
      reader->speed = speed;
      reader->repeat = repeat;
      return reader;
    }
    vn_lock_destroy(&reader->lock);
  }
  free(reader);
  close(fd);
  return NULL;
}

int vn_reader_start(struct vn_reader_thread *reader) {
  vn_atomic_add(&reader->references, 1);
  int status = vn_thread_start(body, reader);
  if (status != VN_OK) vn_atomic_add(&reader->references, -1);
  return status;
}

void vn_reader_end(struct vn_reader_thread *reader) {
  vn_atomic_store(&reader->ending, 1);
  wake(reader);
  release(reader);
}
