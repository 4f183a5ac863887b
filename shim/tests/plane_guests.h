// SPDX-License-Identifier: MIT
/*
 * plane_guests.h - guests on stream ports of a network: a test's thread has one end of each socketpair, and makes and
 * ends
 * the ports by commands.
 */
#ifndef VN_TESTS_PLANE_GUESTS_H
#define VN_TESTS_PLANE_GUESTS_H

#include <sys/socket.h>

#include "client.h"
#include "embedded/network.h"
#include "embedded/stream_port.h"
#include "plane/offload.h"

enum { PORTS_MOST = 260, LIMIT = 65550 };

/* What the network's thread does for a test. */

struct task {
  struct vn_command command;
  void (*body)(struct vn_network *network, struct task *task);
  int fd;
  uint32_t queue;
  bool virtio, done;
  struct vn_stream_port *port;
};

static inline void run_task(struct vn_network *network, struct vn_command *command) {
  struct task *task = (struct task *)command;
  task->body(network, task);
  vn_command_done(network, command);
}

static inline void perform(struct vn_network *network, struct task *task) {
  task->command.run = run_task;
  CHECK(vn_network_call(network, &task->command));
}

static vn_atomic_u32 ends, removals, firsts, stay;

static inline bool when_ended(struct vn_stream_port *stream, const char *why) {
  CHECK(why != NULL && stream->watch.fd < 0);
  vn_atomic_add(&ends, 1);
  return stay;
}

static inline void when_removed(struct vn_stream_port *stream, uint32_t status) {
  CHECK(stream->port.network != NULL && status != VN_OK);
  vn_atomic_add(&removals, 1);
}

static inline void when_first(struct vn_stream_port *stream, const struct vn_packet *packet) {
  CHECK(packet->length >= 14 && packet->frame != NULL && stream->port.network != NULL);
  vn_atomic_add(&firsts, 1);
}

static inline void add_port(struct vn_network *network, struct task *task) {
  task->port = vn_stream_port_new(network, task->fd, task->queue);
  if (task->port == NULL) return;
  task->port->port.virtio = task->virtio;
  task->port->ended = when_ended;
  task->port->removed = when_removed;
  task->port->first = when_first;
  if (!vn_stream_port_add(task->port)) task->port = NULL;
}

static inline void remove_port(struct vn_network *network, struct task *task) {
  (void)network;
  vn_network_remove(&task->port->port, VN_STOPPED);
}

static inline void give_socket(struct vn_network *network, struct task *task) {
  (void)network;
  task->done = vn_stream_port_give(task->port, task->fd);
}

static inline void make_straight(struct vn_network *network, struct task *task) {
  (void)task;
  network->straight = true;
}

static inline void run_first(struct vn_network *network, struct vn_command *command) {
  (void)command;
  struct vn_refusal fine = {.status = VN_OK};
  vn_network_started(network, &fine);
}

static inline struct vn_network *open_network(void) {
  struct vn_network_options options = {.mode = 0};
  struct vn_network *network = NULL;
  CHECK(vn_registry_adopt(&options, run_first, false, &network) == VN_OK);
  stay = 0;
  ends = removals = firsts = 0;
  return network;
}

static inline void close_network(struct vn_network *network) {
  vn_network_stop(network, VN_STOPPED);
  CHECK(vn_network_wait_ended(network, vn_monotonic_ns() + 5000000000ull));
  vn_network_release(network);
}

/* Guests. */

struct guest {
  int fd;      /* this thread's end; blocks when it sends */
  int port_fd; /* the port's */
  struct vn_stream_port *port;
  uint8_t mac[6];
  uint8_t *in;
  uint32_t length, at;
};

static inline struct guest guest_new(struct vn_network *network, uint8_t number, uint32_t queue, bool virtio) {
  int fds[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
  CHECK(vn_socket_prepare(fds[1]) == VN_OK);
  struct task task = {.body = add_port, .fd = fds[1], .queue = queue, .virtio = virtio};
  perform(network, &task);
  struct guest guest = {.fd = fds[0], .port_fd = fds[1], .port = task.port, .mac = {2, 0, 0, 0, 0, number}};
  guest.in = malloc(1 << 20);
  return guest;
}

static inline void guest_free(struct guest *guest) {
  if (guest->fd >= 0) close(guest->fd);
  free(guest->in);
}

/* A frame with its length before it; bytes follow from the number. Answers all of its length. */
static inline uint32_t write_frame(uint8_t *at, const uint8_t to[6], const uint8_t from[6], uint32_t length, uint32_t number,
                            const uint8_t *header) {
  uint32_t extra = header ? VN_VIRTIO_HEADER : 0, all = length + extra;
  at[0] = (uint8_t)(all >> 24), at[1] = (uint8_t)(all >> 16), at[2] = (uint8_t)(all >> 8), at[3] = (uint8_t)all;
  if (header) memcpy(at + 4, header, extra);
  uint8_t *frame = at + 4 + extra;
  memcpy(frame, to, 6);
  memcpy(frame + 6, from, 6);
  for (uint32_t i = 12; i < length; i++) frame[i] = (uint8_t)(number * 31 + i);
  if (length >= 18) memcpy(frame + 14, &number, 4);
  return all + 4;
}

static inline bool frame_good(const uint8_t *frame, uint32_t length, uint32_t *number) {
  if (length < 18) return false;
  memcpy(number, frame + 14, 4);
  for (uint32_t i = 18; i < length; i++)
    if (frame[i] != (uint8_t)(*number * 31 + i)) return false;
  return true;
}

static inline bool send_all(struct guest *guest, const uint8_t *bytes, size_t length) {
  while (length > 0) {
    ssize_t count = send(guest->fd, bytes, length, MSG_NOSIGNAL);
    if (count <= 0) return false;
    bytes += count;
    length -= (size_t)count;
  }
  return true;
}

static inline bool send_frame(struct guest *guest, const uint8_t to[6], uint32_t length, uint32_t number,
                              const uint8_t *header) {
  static uint8_t bytes[LIMIT + 64];
  return send_all(guest, bytes, write_frame(bytes, to, guest->mac, length, number, header));
}

/* The next message, header and all, valid until the next call; NULL when none came in time. */
static inline const uint8_t *receive(struct guest *guest, uint32_t *length, int ms, size_t piece) {
  for (;;) {
    const uint8_t *at = guest->in + guest->at;
    uint32_t have = guest->length - guest->at;
    if (have >= 4) {
      *length = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
      CHECK(*length >= 14 && *length <= LIMIT + 12);
      if (*length > LIMIT + 12) return NULL;
      if (have - 4 >= *length) {
        guest->at += 4 + *length;
        return at + 4;
      }
    }
    memmove(guest->in, at, have);
    guest->at = 0;
    guest->length = have;
    struct pollfd slot = {.fd = guest->fd, .events = POLLIN};
    if (poll(&slot, 1, ms) <= 0) return NULL;
    size_t most = (1u << 20) - have;
    ssize_t count = recv(guest->fd, guest->in + have, piece && piece < most ? piece : most, 0);
    if (count <= 0) return NULL;
    guest->length += (uint32_t)count;
  }
}

static inline uint64_t drops(const struct guest *guest, enum vn_drop cause) {
  return vn_counted(&guest->port->port.drops[cause]);
}

/* Waits until a counter has a value: the thread is on its way. */
static inline bool reaches(vn_atomic_u64 *counter, uint64_t value) {
  for (int i = 0; i < 4000; i++) {
    if (vn_counted(counter) >= value) return vn_counted(counter) == value;
    usleep(500);
  }
  return false;
}

static inline void learn(struct vn_network *network, struct guest *guest) {
  uint64_t before = vn_counted(&network->frames);
  uint8_t hello[100];
  static const uint8_t nobody[6] = {2, 9, 9, 9, 9, 9};
  send_all(guest, hello, write_frame(hello, nobody, guest->mac, 60, 0, guest->port->port.virtio ? vn_offload_none : NULL));
  CHECK(reaches(&network->frames, before + 1));
}

#endif
