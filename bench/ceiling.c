// SPDX-License-Identifier: MIT
/*
 * ceiling.c - what C alone can do, measured in the same process and over the same objects as the script.
 *
 * Theory of operation. The benchmark loads build/libvmnet_bench.so: the whole shim and the functions below. They find
 * the ring of an interface by its handle and play one side of it: fill it, drain it with the plainest loop there is, or
 * ring its doorbell from a thread of their own. The script does the same work through the public way, and each ratio is
 * taken between two neighbours in one round. Times are nanoseconds of CLOCK_MONOTONIC, written to out[0].
 *
 * Nothing here is in the library that is shipped.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "object.h"
#include "os.h"
#include "port.h"
#include "ring.h"
#include "vmnet_shim.h"

static struct vn_ring_port *ring_port(int32_t handle) {
  struct vn_object *object;
  return vn_handle_find(handle, &object) == VN_OK && object->class->kind == VN_INTERFACE ? (struct vn_ring_port *)object
                                                                                         : NULL;
}

/* Puts up to count frames of size bytes in the ring of an idle interface; answers how many fitted. Only their first word
 * is written, so that filling takes little of the time that the reader believes to have spent. */
VN_EXPORT int32_t vb_fill(int32_t handle, uint32_t count, uint32_t size) {
  struct vn_ring_port *port = ring_port(handle);
  uint32_t filled = 0;
  if (port == NULL) return -1;
  for (uint8_t *frame; filled < count && (frame = vn_ring_reserve(&port->rx, size, 0)) != NULL; filled++) {
    memcpy(frame, &filled, 4);
  }
  vn_ring_publish(&port->rx);
  return (int32_t)filled;
}

/* The loop in C: takes every frame out of the ring in batches of max, as vn_drain() does, and looks at its descriptor. */
VN_EXPORT int32_t vb_drain(int32_t handle, uint8_t *arena, uint32_t length, uint32_t *descriptors, uint32_t max,
                           uint64_t *out) {
  struct vn_ring_port *port = ring_port(handle);
  struct vn_frame frame;
  uint32_t total = 0, sum = 0;
  uint64_t begin = vn_monotonic_ns();
  if (port == NULL) return -1;
  for (;;) {
    uint32_t n = 0, at = 0;
    while (n < max && at + 2048 <= length && vn_ring_take(&port->rx, &frame)) {
      memcpy(arena + at, frame.bytes, frame.length);
      descriptors[2 * n] = at;
      descriptors[2 * n + 1] = frame.length;
      at += (frame.length + 15) & ~15u;
      n++;
    }
    if (n == 0) break;
    vn_ring_free(&port->rx);
    for (uint32_t i = 0; i < n; i++) sum += descriptors[2 * i + 1] + arena[descriptors[2 * i]];
    total += n;
  }
  out[0] = vn_monotonic_ns() - begin;
  out[1] = sum;
  return (int32_t)total;
}

/* Ping-pong: one thread of ours makes a frame visible and waits until the consumer says that it has seen it. */
static struct {
  struct vn_ring_port *port;
  uint32_t rounds;
  int floor[2]; /* the floor's socketpair */
  sem_t seen; /* a semaphore: a thread that spins would take the processor from whom it waits for */
  vn_atomic_u32 done;
  uint64_t cpu_ns; /* what the ringing thread itself used */
} game;

static uint64_t thread_cpu_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Spins for a while, so that the answer is seen at once, and then sleeps: on a busy machine a thread that only spins
 * takes the processor from whom it waits for. */
static void wait_seen(void) {
  for (int i = 0; i < 2000; i++) {
    if (sem_trywait(&game.seen) == 0) return;
  }
  while (sem_wait(&game.seen) != 0 && errno == EINTR) continue;
}

static void *ring_script(void *unused) {
  (void)unused;
  uint64_t cpu = thread_cpu_ns();
  for (uint32_t i = 0; i < game.rounds; i++) {
    uint8_t *frame = vn_ring_reserve(&game.port->rx, 64, 0);
    if (frame == NULL) break;
    memset(frame, 0, 64);
    vn_ring_publish(&game.port->rx);
    vn_port_arrived(&game.port->port);
    wait_seen();
  }
  game.cpu_ns = thread_cpu_ns() - cpu;
  atomic_store(&game.done, 1);
  return NULL;
}

static void *ring_floor(void *unused) {
  (void)unused;
  for (uint32_t i = 0; i < game.rounds; i++) {
    vn_socket_ring(game.floor[1]);
    wait_seen();
  }
  atomic_store(&game.done, 1);
  return NULL;
}

/* Starts the ringing thread against the script; it ends after so many rounds. */
VN_EXPORT int32_t vb_pingpong(int32_t handle, uint32_t rounds) {
  game.port = ring_port(handle);
  if (game.port == NULL) return -1;
  game.rounds = rounds;
  sem_init(&game.seen, 0, 0);
  atomic_store(&game.done, 0);
  return vn_thread_start(ring_script, NULL);
}

VN_EXPORT int32_t vb_seen(uint32_t frames) {
  while (frames-- > 0) sem_post(&game.seen);
  return 0;
}

/* 1 when the ringing thread is through; its own CPU time in out[0]. */
VN_EXPORT int32_t vb_done(uint64_t *out) {
  out[0] = game.cpu_ns;
  return (int32_t)atomic_load(&game.done);
}

/* The floor: the same game by socketpair, epoll_wait and read in C. The time of all rounds in out[0]. */
VN_EXPORT int32_t vb_floor(uint32_t rounds, uint64_t *out) {
  uint64_t begin;
  int set = epoll_create1(EPOLL_CLOEXEC);
  if (set < 0 || vn_socketpair(game.floor) != VN_OK) return -1;
  epoll_ctl(set, EPOLL_CTL_ADD, game.floor[0], &(struct epoll_event){.events = EPOLLIN});
  game.rounds = rounds;
  sem_init(&game.seen, 0, 0);
  atomic_store(&game.done, 0);
  begin = vn_monotonic_ns();
  if (vn_thread_start(ring_floor, NULL) != VN_OK) return -1;
  for (uint32_t i = 0; i < rounds; i++) {
    struct epoll_event event;
    uint8_t byte;
    while (epoll_wait(set, &event, 1, 1000) < 0 && errno == EINTR) continue;
    if (read(game.floor[0], &byte, 1) != 1) break;
    sem_post(&game.seen);
  }
  out[0] = vn_monotonic_ns() - begin;
  while (atomic_load(&game.done) == 0) sched_yield(); /* it waits for the last answer */
  close(set);
  close(game.floor[0]);
  close(game.floor[1]);
  return 0;
}

/* CPU time of the whole process in out[0], its resident bytes in out[1]. */
VN_EXPORT int32_t vb_usage(uint64_t *out) {
  struct rusage use;
  getrusage(RUSAGE_SELF, &use);
  out[0] = ((uint64_t)use.ru_utime.tv_sec + (uint64_t)use.ru_stime.tv_sec) * 1000000000u +
           ((uint64_t)use.ru_utime.tv_usec + (uint64_t)use.ru_stime.tv_usec) * 1000u;
  out[1] = (uint64_t)use.ru_maxrss * 1024;
  return 0;
}
