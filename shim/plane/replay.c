// SPDX-License-Identifier: MIT
/*
 * replay.c - the endpoint "replay": the frames of a capture file, sent as they were recorded.
 *
 * Theory of operation. A thread reads the file ahead into a ring (replay_reader.h); the network's thread takes from it
 * what is due, at most a turn's frames at a time. A frame is due so long after the one before as the file says, times
 * 1000 by "speed"; the network's timers count in milliseconds, so frames that are closer together go in one turn.
 * "speed" 0 sends a turn's worth each turn. With "repeat" the file begins again without a pause. What the network
 * sends to the port goes nowhere. A frame that was recorded in part is sent as far as it goes; what is no Ethernet
 * frame is passed over.
 *
 * At the end of the file, or where it is cut or damaged (one frame counted as bad), the endpoint ends by itself: event
 * "disconnected" with that detail, and the state VN_GONE, as of any device that went away.
 *
 * Frames are taken from the ring without a copy: what one turn took is freed at the next, when its flush is over.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "endpoint.h"
#include "replay_reader.h"
#include "vmnet_shim.h"

struct replay {
  struct vn_endpoint endpoint; /* first */
  struct vn_net_port port;
  struct vn_reader_thread *reader;
  struct vn_timer timer;
  uint64_t due_ns;  /* of the frame at the ring's head, if known */
  const char *detail;
  bool on;          /* the port is on the network */
  bool known, taken; /* the head's time is known; some were taken in the last turn */
  bool waits, over; /* for due_ns; for nothing any more */
};

static struct replay *of(struct vn_net_port *port) {
  return (struct replay *)((char *)port - offsetof(struct replay, port));
}

/* The network's thread. */

static void due(struct vn_network *network, struct vn_timer *timer) {
  (void)network, (void)timer; /* the turn after the wait takes what is due */
}

static bool is_due(struct replay *replay, const struct vn_frame *frame) {
  struct vn_network *network = replay->port.network;
  if (!replay->known) {
    uint64_t wait_ns;
    memcpy(&wait_ns, frame->bytes, 8);
    replay->due_ns += wait_ns;
    replay->known = true;
  }
  if (replay->due_ns <= network->now_ns) return true;
  vn_network_timer(network, &replay->timer, replay->due_ns);
  return false;
}

static void send_one(struct replay *replay, const struct vn_frame *frame) {
  struct vn_packet packet = {.frame = frame->bytes + VN_READER_HEADER, .lasting = true, .framed = true};
  replay->known = false;
  replay->taken = true;
  if (frame->length < VN_READER_HEADER) {
    vn_network_drop(&replay->port, VN_DROP_BAD);
    return;
  }
  packet.length = frame->length - VN_READER_HEADER;
  vn_network_forward(&replay->port, &packet);
}

static bool replay_input(struct vn_net_port *port) {
  struct replay *replay = of(port);
  struct vn_ring *ring = &replay->reader->ring;
  struct vn_frame frame;
  if (replay->over) return false;
  if (replay->taken) {
    vn_ring_free(ring);
    vn_reader_freed(replay->reader);
    replay->taken = false;
  }
  bool finished = vn_atomic_load(&replay->reader->finished); /* before the look at the ring */
  uint32_t count = 0;
  replay->waits = false;
  for (; count < VN_TURN_FRAMES && vn_ring_peek(ring, &frame) && !replay->waits; count++) {
    if (!is_due(replay, &frame)) {
      replay->waits = true;
      break;
    }
    vn_ring_pass(ring, &frame);
    send_one(replay, &frame);
  }
  if (count == 0 && !replay->waits && finished) {
    replay->over = true;
    replay->detail = replay->reader->detail;
    vn_endpoint_fail(&replay->endpoint, VN_GONE);
  }
  if (count != 0) vn_tally(&port->stats.reads, 1);
  return count != 0; /* once more, at least to free them */
}

static bool replay_idle(struct vn_net_port *port) {
  struct replay *replay = of(port);
  if (replay->over || replay->waits) return true;
  return vn_ring_empty(&replay->reader->ring) && !vn_atomic_load(&replay->reader->finished);
}

static bool replay_room(struct vn_net_port *port) { return (void)port, true; }
static void replay_output(struct vn_net_port *port, const struct vn_packet *packet) { (void)port, (void)packet; }
static void replay_flush(struct vn_net_port *port) { (void)port; }

static void replay_removed(struct vn_net_port *port, uint32_t status) {
  struct replay *replay = of(port);
  replay->on = false;
  vn_network_timer(replay->endpoint.network, &replay->timer, 0);
  vn_plane_event(port, VN_DISCONNECTED, NULL, replay->detail);
  vn_endpoint_fail(&replay->endpoint, status);
}

static const struct vn_net_port_class port_class = {.input = replay_input,
                                                    .idle = replay_idle,
                                                    .room = replay_room,
                                                    .output = replay_output,
                                                    .flush = replay_flush,
                                                    .removed = replay_removed};

static uint32_t replay_begin(struct vn_endpoint *endpoint) {
  struct replay *replay = (struct replay *)endpoint;
  replay->port.class = &port_class;
  replay->timer.due = due;
  replay->due_ns = vn_monotonic_ns();
  if (!vn_endpoint_port_init(endpoint, &replay->port)) return VN_NO_MEMORY;
  if (!vn_network_add(endpoint->network, &replay->port)) {
    vn_guard_free(replay->port.guard);
    replay->port.guard = NULL;
    return VN_NO_MEMORY;
  }
  replay->on = true;
  vn_plane_event(&replay->port, VN_CONNECTED, NULL, NULL);
  return VN_OK;
}

static void replay_end(struct vn_endpoint *endpoint, uint32_t status) {
  struct replay *replay = (struct replay *)endpoint;
  replay->over = true;
  if (replay->on) vn_network_remove(&replay->port, status);
}

/* Other threads. */

static uint32_t replay_open(struct vn_job *job, struct vn_endpoint *endpoint) {
  struct replay *replay = (struct replay *)endpoint;
  const struct vn_endpoint_options *options = &endpoint->options;
  struct stat status;
  if (options->virtio) return vn_fail(job, VN_BAD_OPTION, "virtioHeader", "the frames of a capture file have none");
  int fd = open(options->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* else a FIFO would hold us */
  if (fd < 0) return vn_fail_errno(job, "Cannot open the capture file", errno);
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    close(fd);
    return vn_fail(job, VN_BAD_OPTION, "path", "it is not a regular file");
  }
  replay->reader = vn_reader_new(endpoint->network, fd, options->speed, options->repeat);
  if (replay->reader == NULL) return vn_fail(job, VN_NO_MEMORY, NULL, "memory ran out");
  const char *wrong = vn_reader_check(replay->reader);
  if (wrong != NULL) return vn_fail(job, VN_BAD_OPTION, "path", wrong);
  if (vn_reader_start(replay->reader) == VN_OK) return VN_OK;
  return vn_fail(job, VN_NO_MEMORY, NULL, "no thread can be started");
}

static void replay_free(struct vn_endpoint *endpoint) {
  struct replay *replay = (struct replay *)endpoint;
  if (replay->reader != NULL) vn_reader_end(replay->reader);
}

static void replay_stats(struct vn_endpoint *endpoint, struct vn_writer *out) {
  const struct vn_reader_thread *reader = ((struct replay *)endpoint)->reader;
  vn_write_number(out, "rounds", vn_counted(&reader->rounds));
  vn_write_number(out, "skipped", vn_counted(&reader->foreign));
  vn_write_number(out, "cut", vn_counted(&reader->cut));
}

const struct vn_endpoint_class vn_replay_endpoint = {.kind = "replay",
                                                     .size = sizeof(struct replay),
                                                     .open = replay_open,
                                                     .begin = replay_begin,
                                                     .end = replay_end,
                                                     .free = replay_free,
                                                     .stats = replay_stats};
