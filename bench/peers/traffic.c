// SPDX-License-Identifier: MIT
/*
 * traffic.c - guests that send and guests that receive, for bench:peers: one measurement, then one line of JSON.
 *
 *   traffic rate KIND PATH [NAME=NUMBER...]   as many frames as go through, in bursts
 *   traffic echo KIND PATH [NAME=NUMBER...]   a frame of 64 bytes there and back, again and again
 *
 * KIND is stream or vde; for rate also pair (no switch: both threads hold one socketpair) and ring (one thread copies
 * into a ring of memory, the other out of it). PATH may be two paths with a comma: odd ports connect to the first,
 * even ones to the second. Names: length, ms, ports (halves send to halves), idle (more that say who they are and then
 * nothing), third (1: a client that gets every tenth frame, 2: the same and it reads nothing), load (frames a second
 * between two more ports while echo measures), pid (whose CPU time is measured; may be repeated).
 *
 * CPU time is that of the processes `pid`, all threads; `thread` that of the thread which used most.
 */
#include "link.h"

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>

enum { PORTS_MOST = 64, PIDS_MOST = 8, THREADS_MOST = 256, RING = 1024, ECHOES_MOST = 1 << 18, THIRD = 250 };

static struct {
  uint32_t length, ms, ports, idle, third, load;
  uint32_t pids[PIDS_MOST], pid_count;
  bool is_vde;
  const char *paths[2];
} want = {.length = 1514, .ms = 500, .ports = 2};

static struct link links[PORTS_MOST], idles[PORTS_MOST], third;
static atomic_bool stop;
static _Atomic uint64_t sent, arrived; /* frames; bytes with 4 for each frame's length */

/* CPU time. */

struct thread_time {
  uint32_t tid;
  uint64_t ns;
};

static uint32_t threads_of(uint32_t pid, struct thread_time *times, uint32_t room) {
  char path[64], text[64];
  uint32_t count = 0;
  snprintf(path, sizeof path, "/proc/%u/task", pid);
  DIR *tasks = opendir(path);
  for (struct dirent *entry; tasks && count < room && (entry = readdir(tasks)) != NULL;) {
    snprintf(path, sizeof path, "/proc/%u/task/%.10s/schedstat", pid, entry->d_name);
    FILE *file = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
    if (!file) continue;
    if (fgets(text, sizeof text, file)) {
      times[count++] = (struct thread_time){(uint32_t)strtoul(entry->d_name, NULL, 10), strtoull(text, NULL, 10)};
    }
    fclose(file);
  }
  if (tasks) closedir(tasks);
  return count;
}

struct cpu {
  struct thread_time times[THREADS_MOST];
  uint32_t count;
};

static void cpu_read(struct cpu *cpu) {
  cpu->count = 0;
  for (uint32_t i = 0; i < want.pid_count; i++)
    cpu->count += threads_of(want.pids[i], cpu->times + cpu->count, THREADS_MOST - cpu->count);
}

static void cpu_since(const struct cpu *before, uint64_t *all, uint64_t *most) {
  static struct cpu after;
  cpu_read(&after);
  *all = *most = 0;
  for (uint32_t i = 0; i < after.count; i++) {
    uint64_t ns = after.times[i].ns;
    for (uint32_t j = 0; j < before->count; j++)
      if (before->times[j].tid == after.times[i].tid) ns -= before->times[j].ns;
    *all += ns;
    if (ns > *most) *most = ns;
  }
}

/* Ports. */

static void open_port(struct link *link, uint32_t number) {
  link_open(link, want.is_vde, want.paths[want.paths[1] && number % 2 == 0]);
  link_say(link, 60, 255, (uint8_t)number); /* to nobody: so the switch learns who is where */
}

static void open_ports(uint32_t count) {
  for (uint32_t i = 0; i < count; i++) open_port(&links[i], i + 1);
  for (uint32_t i = 0; i < want.idle; i++) open_port(&idles[i], 100 + i);
  if (want.third) open_port(&third, THIRD);
}

static void end_link(struct link *link) {
  if (link->in) shutdown(link->fd, SHUT_RDWR);
  if (link->control > 0) close(link->control);
}

/* The rate. */

static void *send_body(void *nothing) {
  static struct burst bursts[PORTS_MOST];
  uint32_t half = want.ports / 2;
  for (uint32_t i = 0; i < half; i++)
    burst_make(&bursts[i], want.length, (uint8_t)(2 * i + 2), (uint8_t)(2 * i + 1), want.third ? THIRD : 0);
  while (!atomic_load(&stop))
    for (uint32_t i = 0; i < half; i++) {
      if (!burst_send(&links[2 * i], &bursts[i], bursts[i].count)) return nothing;
      atomic_fetch_add(&sent, bursts[i].count);
    }
  return nothing;
}

static void *drain_body(void *of) { /* one link: nothing to wait for but that */
  struct link *link = of;
  size_t bytes;
  while ((bytes = link_drain(link, 0)) > 0 && !atomic_load(&stop))
    if (link != &third) atomic_fetch_add(&arrived, bytes);
  return NULL;
}

static void *drain_all_body(void *nothing) {
  struct pollfd slots[PORTS_MOST];
  uint32_t half = want.ports / 2;
  for (uint32_t i = 0; i < half; i++) slots[i] = (struct pollfd){.fd = links[2 * i + 1].fd, .events = POLLIN};
  while (!atomic_load(&stop) && poll(slots, half, 100) >= 0)
    for (uint32_t i = 0; i < half; i++)
      if (slots[i].revents) atomic_fetch_add(&arrived, link_drain(&links[2 * i + 1], MSG_DONTWAIT));
  return nothing;
}

static struct slot {
  uint32_t length;
  uint8_t bytes[FRAME_MOST];
} *ring;
static _Alignas(64) _Atomic uint64_t ring_head;
static _Alignas(64) _Atomic uint64_t ring_tail;

static void *ring_send_body(void *nothing) {
  uint8_t *frame = malloc(want.length);
  uint32_t slots = want.length > 16384 ? 16 : RING, burst = slots / 8;
  make_frame(frame, want.length, 2, 1);
  for (uint64_t head = 0; !atomic_load(&stop);) {
    if (head - atomic_load(&ring_tail) > slots - burst) sched_yield();
    else {
      for (uint32_t i = 0; i < burst; i++, head++) {
        struct slot *slot = &ring[head % slots];
        slot->length = want.length;
        memcpy(slot->bytes, frame, want.length);
      }
      atomic_store(&ring_head, head);
    }
  }
  free(frame);
  return nothing;
}

static void *ring_drain_body(void *nothing) {
  uint8_t *frame = malloc(FRAME_MOST);
  uint32_t slots = want.length > 16384 ? 16 : RING;
  for (uint64_t tail = 0; !atomic_load(&stop);) {
    uint64_t head = atomic_load(&ring_head), bytes = 0;
    if (head == tail) sched_yield();
    for (; tail < head; tail++) {
      memcpy(frame, ring[tail % slots].bytes, ring[tail % slots].length);
      bytes += ring[tail % slots].length + 4;
    }
    atomic_store(&ring_tail, tail);
    atomic_fetch_add(&arrived, bytes);
  }
  free(frame);
  return nothing;
}

static void pause_ms(uint32_t ms) {
  usleep(ms * 1000);
}

static void rate(const char *kind) {
  static struct cpu before;
  pthread_t sender, drainer, reader;
  uint64_t all, most;
  bool is_ring = !strcmp(kind, "ring"), is_pair = !strcmp(kind, "pair");
  if (is_ring) ring = calloc(RING, sizeof *ring);
  else if (is_pair) {
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) fail("make a socketpair");
    for (int i = 0; i < 2; i++) links[i] = (struct link){.fd = fds[i], .control = -1, .in = malloc(READ + FRAME_MOST)};
  } else open_ports(want.ports);
  pause_ms(30); /* until everybody is known */
  pthread_create(&drainer, NULL, is_ring ? ring_drain_body : want.ports == 2 ? drain_body : drain_all_body, &links[1]);
  if (want.third == 1) pthread_create(&reader, NULL, drain_body, &third);
  pthread_create(&sender, NULL, is_ring ? ring_send_body : send_body, NULL);
  pause_ms(want.third ? 60 : 30); /* until it flows, and until a client that does not read is full */
  cpu_read(&before);
  uint64_t began = now_ns(), bytes = atomic_load(&arrived), frames = atomic_load(&sent);
  pause_ms(want.ms);
  bytes = atomic_load(&arrived) - bytes;
  frames = atomic_load(&sent) - frames;
  double seconds = (double)(now_ns() - began) / 1e9;
  cpu_since(&before, &all, &most);
  double count = (double)bytes / (want.length + 4);
  printf("{\"rate\":%.1f,\"offered\":%.1f,\"cpu\":%.2f,\"thread\":%.2f,\"busy\":%.3f}\n", count / seconds,
         (double)frames / seconds, (double)all / (count > 0 ? count : 1), (double)most / (count > 0 ? count : 1),
         (double)all / 1e9 / seconds);
  fflush(stdout);
  atomic_store(&stop, true);
  for (uint32_t i = 0; i < PORTS_MOST; i++) end_link(&links[i]), end_link(&idles[i]);
  end_link(&third);
  _exit(0); /* the threads' sockets end with it */
}

/* The round trip. */

static void *load_body(void *nothing) {
  struct burst burst;
  uint32_t each = want.load / 1000; /* a millisecond's */
  burst_make(&burst, 1514, 4, 3, want.third ? THIRD : 0);
  for (uint64_t next = now_ns(); !atomic_load(&stop); next += 1000000) {
    uint64_t now = now_ns();
    if (now < next) usleep((useconds_t)((next - now) / 1000));
    else if (now > next + 20000000) next = now; /* what it could not keep up with is not sent later */
    for (uint32_t left = each; left > 0;) {
      uint32_t count = left < burst.count ? left : burst.count;
      if (!burst_send(&links[2], &burst, count)) return nothing;
      left -= count;
    }
  }
  return nothing;
}

static void *answer_body(void *nothing) {
  uint32_t length;
  struct burst burst;
  burst_make(&burst, 64, 1, 2, 0);
  for (uint8_t *frame; (frame = link_frame(&links[1], &length)) != NULL;) {
    if (length != 64 || frame[5] != 2) continue;
    memcpy(burst.bytes + 4 + 50, frame + 50, 8);
    burst_send(&links[1], &burst, 1);
  }
  return nothing;
}

static int rising(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

static void echo(void) {
  static uint32_t times[ECHOES_MOST];
  pthread_t answerer, loader, drainer, reader;
  struct timeval patience = {.tv_usec = 200000};
  struct burst burst;
  uint32_t count = 0, lost = 0, length;
  open_ports(want.load ? 4 : 2);
  setsockopt(links[0].fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  pause_ms(30);
  pthread_create(&answerer, NULL, answer_body, NULL);
  if (want.load) pthread_create(&drainer, NULL, drain_body, &links[3]);
  if (want.third == 1) pthread_create(&reader, NULL, drain_body, &third);
  if (want.load) pthread_create(&loader, NULL, load_body, NULL);
  pause_ms(want.third ? 60 : 30);
  burst_make(&burst, 64, 2, 1, 0);
  uint64_t end = now_ns() + (uint64_t)want.ms * 1000000, bytes = atomic_load(&arrived);
  for (uint64_t number = 1; now_ns() < end && count < ECHOES_MOST; number++) {
    uint64_t began = now_ns();
    uint8_t *frame;
    memcpy(burst.bytes + 4 + 50, &number, 8);
    if (!burst_send(&links[0], &burst, 1)) fail("send");
    do frame = link_frame(&links[0], &length);
    while (frame && (length != 64 || memcmp(frame + 50, &number, 8) != 0));
    if (frame) times[count++] = (uint32_t)(now_ns() - began);
    else lost++;
  }
  qsort(times, count, sizeof *times, rising);
  if (count == 0) fail("echo anything");
  printf("{\"p50\":%.2f,\"p99\":%.2f,\"count\":%u,\"lost\":%u,\"carried\":%.0f}\n", times[count / 2] / 1e3,
         times[count * 99ull / 100] / 1e3, count, lost,
         (double)(atomic_load(&arrived) - bytes) / 1518 / (want.ms / 1e3));
  fflush(stdout);
  _exit(0);
}

int main(int argc, char **argv) {
  if (argc < 4) return fprintf(stderr, "traffic rate|echo stream|vde|pair|ring PATH [NAME=NUMBER...]\n"), 2;
  want.is_vde = !strcmp(argv[2], "vde");
  want.paths[0] = strtok(argv[3], ",");
  want.paths[1] = strtok(NULL, ",");
  for (int i = 4; i < argc; i++) {
    char name[16];
    uint32_t value;
    if (sscanf(argv[i], "%15[a-z]=%u", name, &value) != 2) return fprintf(stderr, "What is %s?\n", argv[i]), 2;
    if (!strcmp(name, "length")) want.length = value;
    else if (!strcmp(name, "ms")) want.ms = value;
    else if (!strcmp(name, "ports")) want.ports = value;
    else if (!strcmp(name, "idle")) want.idle = value;
    else if (!strcmp(name, "third")) want.third = value;
    else if (!strcmp(name, "load")) want.load = value;
    else if (!strcmp(name, "pid") && want.pid_count < PIDS_MOST) want.pids[want.pid_count++] = value;
    else return fprintf(stderr, "What is %s?\n", name), 2;
  }
  if (want.ports > PORTS_MOST || want.idle > PORTS_MOST || want.length < 60 || want.length > 65500) return 2;
  alarm(want.ms / 1000 + 20); /* whatever a switch does, this ends */
  if (!strcmp(argv[1], "echo")) echo();
  else rate(argv[2]);
  return 0;
}
