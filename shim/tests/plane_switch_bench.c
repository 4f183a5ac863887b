// SPDX-License-Identifier: MIT
/*
 * plane_switch_bench.c - guest to guest over unix stream sockets: a thread sends bursts of 64 frames into a socket,
 * something carries them to another socket, a thread reads that. What carries:
 *
 *   hop      nothing: both threads have the same socketpair
 *   relay    a thread that reads up to 256 KiB from one socket and writes them to the other, with epoll
 *   naive    a switch that reads and writes every frame by calls of its own
 *   switch   ours; idle: with 32 more ports that are quiet; stall: with a third client that is sent a tenth and does not read
 *
 * Rounds are interleaved; medians are printed, of frames per second that arrived, of the share of those sent that were
 * dropped, and of the carrying thread's CPU time per frame that arrived. Arguments: seconds of a round, rounds, a
 * length.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include "client.h"
#include "embedded/network.h"
#include "embedded/stream_port.h"

enum { BURST = 64, READ = 256 << 10, ROUNDS_MOST = 64, IDLE = 32 };
enum subject { HOP, RELAY, NAIVE, SWITCH, SWITCH_IDLE, SWITCH_STALL, SUBJECTS };
static const char *const names[] = {"hop", "relay", "naive", "switch", "idle", "stall"};

static struct run {
  int source, drain; /* the two threads' ends */
  int in, out;       /* the carrier's */
  uint32_t length;
  bool stall;
  vn_atomic_u32 stop;
  vn_atomic_u64 sent, arrived; /* bytes */
} run;

struct result {
  double rate, dropped, cpu_ns;
};

static double thread_cpu(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static const uint8_t left_mac[6] = {2, 0, 0, 0, 0, 1}, right_mac[6] = {2, 0, 0, 0, 0, 2}, mute_mac[6] = {2, 0, 0, 0, 0, 3};

static void framed(uint8_t *at, uint32_t length, const uint8_t to[6], const uint8_t from[6]) {
  at[0] = 0, at[1] = (uint8_t)(length >> 16), at[2] = (uint8_t)(length >> 8), at[3] = (uint8_t)length;
  make_frame(at + 4, length, to, from, 1);
}

static void *send_body(void *nothing) {
  uint32_t span = run.length + 4, burst = run.length > 16384 ? 4 : BURST;
  uint8_t *bytes = malloc((size_t)span * burst);
  for (uint32_t i = 0; i < burst; i++)
    framed(bytes + (size_t)i * span, run.length, run.stall && i % 10 == 9 ? mute_mac : right_mac, left_mac);
  while (!vn_atomic_load(&run.stop)) {
    for (size_t at = 0; at < (size_t)span * burst;) {
      ssize_t count = send(run.source, bytes + at, (size_t)span * burst - at, MSG_NOSIGNAL);
      if (count < 0) goto out;
      at += (size_t)count;
    }
    vn_atomic_add(&run.sent, burst);
  }
out:
  free(bytes);
  return nothing;
}

static void *drain_body(void *nothing) {
  uint8_t *bytes = malloc(READ);
  ssize_t count;
  while ((count = recv(run.drain, bytes, READ, 0)) > 0) vn_atomic_add(&run.arrived, (uint64_t)count);
  free(bytes);
  return nothing;
}

/* The relay and the naive switch, one way. */

static vn_atomic_u64 carrier_cpu;

static bool write_all(int fd, const uint8_t *bytes, size_t length) {
  while (length > 0) {
    ssize_t count = send(fd, bytes, length, MSG_NOSIGNAL);
    if (count > 0) bytes += count, length -= (size_t)count;
    struct pollfd slot = {.fd = fd, .events = POLLOUT};
    if (count < 0 && (errno != EAGAIN || vn_atomic_load(&run.stop) || poll(&slot, 1, 10) < 0)) return false;
  }
  return true;
}

static void *relay_body(void *nothing) {
  uint8_t *bytes = malloc(READ);
  int set = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN};
  epoll_ctl(set, EPOLL_CTL_ADD, run.in, &event);
  while (!vn_atomic_load(&run.stop)) {
    if (epoll_wait(set, &event, 1, 10) <= 0) continue;
    ssize_t count = recv(run.in, bytes, READ, 0);
    if (count <= 0 || !write_all(run.out, bytes, (size_t)count)) break;
    atomic_store(&carrier_cpu, (uint64_t)thread_cpu());
  }
  close(set);
  free(bytes);
  return nothing;
}

static bool read_all(int fd, uint8_t *bytes, size_t length) {
  while (length > 0) {
    ssize_t count = recv(fd, bytes, length, 0);
    if (count == 0 || (count < 0 && (errno != EAGAIN || vn_atomic_load(&run.stop)))) return false;
    if (count > 0) bytes += count, length -= (size_t)count;
    struct pollfd slot = {.fd = fd, .events = POLLIN};
    if (count < 0) poll(&slot, 1, 10);
  }
  return true;
}

static void *naive_body(void *nothing) {
  uint8_t *bytes = malloc(READ);
  while (!vn_atomic_load(&run.stop)) {
    if (!read_all(run.in, bytes, 4)) break;
    uint32_t length = (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
    if (!read_all(run.in, bytes + 4, length) || !write_all(run.out, bytes, length + 4)) break;
    atomic_store(&carrier_cpu, (uint64_t)thread_cpu());
  }
  free(bytes);
  return nothing;
}

/* Our switch. */

struct add {
  struct vn_command command;
  int fds[IDLE + 3];
  uint32_t count;
};

static void run_add(struct vn_network *network, struct vn_command *command) {
  struct add *add = (struct add *)command;
  for (uint32_t i = 0; i < add->count; i++) {
    struct vn_stream_port *stream = vn_stream_port_new(network, add->fds[i], 0);
    if (stream != NULL) vn_stream_port_add(stream);
  }
  vn_command_done(network, command);
}

static void run_cpu(struct vn_network *network, struct vn_command *command) {
  atomic_store(&carrier_cpu, (uint64_t)thread_cpu());
  vn_command_done(network, command);
}

static void run_first(struct vn_network *network, struct vn_command *command) {
  (void)command;
  struct vn_refusal fine = {.status = VN_OK};
  vn_network_started(network, &fine);
}

static struct vn_network *make_switch(void) {
  struct vn_network_options options = {.mode = 0};
  struct vn_network *network = NULL;
  vn_registry_adopt(&options, run_first, false, &network);
  return network;
}

static void pair(int fds[2]) { /* the first is a guest's and may block */
  socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
}

static struct result measure(enum subject subject, uint32_t length, double seconds) {
  int left[2], right[2], others[IDLE + 1][2];
  uint32_t idle = subject == SWITCH_IDLE ? IDLE : subject == SWITCH_STALL ? 1 : 0;
  struct vn_network *network = NULL;
  pthread_t sender, drainer, carrier;
  pair(left);
  pair(right);
  run = (struct run){.source = left[0], .drain = right[0], .in = left[1], .out = right[1], .length = length};
  run.stall = subject == SWITCH_STALL;
  if (subject == HOP) run.drain = left[1];
  else vn_socket_prepare(run.in), vn_socket_prepare(run.out);
  atomic_store(&carrier_cpu, 0);
  if (subject >= SWITCH) {
    struct add add = {.command.run = run_add, .fds = {left[1], right[1]}, .count = 2};
    network = make_switch();
    uint8_t hello[64];
    for (uint32_t i = 0; i < idle; i++) {
      pair(others[i]);
      vn_socket_prepare(others[i][1]);
      add.fds[add.count++] = others[i][1];
      framed(hello, 60, left_mac, mute_mac);
      send(others[i][0], hello, 64, MSG_NOSIGNAL);
    }
    vn_network_call(network, &add.command);
    framed(hello, 60, left_mac, right_mac);
    send(right[0], hello, 64, MSG_NOSIGNAL);
    while (vn_counted(&network->frames) < idle + 1) usleep(100);
  }
  pthread_create(&drainer, NULL, drain_body, NULL);
  if (subject == RELAY) pthread_create(&carrier, NULL, relay_body, NULL);
  if (subject == NAIVE) pthread_create(&carrier, NULL, naive_body, NULL);
  pthread_create(&sender, NULL, send_body, NULL);
  usleep(20000); /* until all run */
  struct vn_command command = {.run = run_cpu};
  if (network) vn_network_call(network, &command);
  uint64_t sent = atomic_load(&run.sent), arrived = atomic_load(&run.arrived), cpu = atomic_load(&carrier_cpu);
  uint64_t began = vn_monotonic_ns();
  usleep((unsigned)(seconds * 1e6));
  arrived = (atomic_load(&run.arrived) - arrived) / (length + 4);
  double took = (double)(vn_monotonic_ns() - began) / 1e9;
  if (network) vn_network_call(network, &command);
  cpu = atomic_load(&carrier_cpu) - cpu;
  sent = (atomic_load(&run.sent) - sent);
  vn_atomic_store(&run.stop, 1);
  uint64_t full = network ? vn_counted(&network->drops[VN_DROP_FULL]) : 0;
  shutdown(left[0], SHUT_RDWR);
  shutdown(right[0], SHUT_RDWR);
  pthread_join(sender, NULL);
  pthread_join(drainer, NULL);
  if (subject == RELAY || subject == NAIVE) pthread_join(carrier, NULL);
  if (network) {
    vn_network_stop(network, VN_STOPPED);
    vn_network_wait_ended(network, 0);
    vn_network_release(network);
    for (uint32_t i = 0; i < idle; i++) close(others[i][0]);
  } else {
    close(left[1]);
    close(right[1]);
  }
  close(left[0]);
  close(right[0]);
  return (struct result){(double)arrived / took, (double)full / (double)(sent ? sent : 1),
                         (double)cpu / (double)(arrived ? arrived : 1)};
}

static int rising(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *values, uint32_t count) {
  qsort(values, count, sizeof *values, rising);
  return values[count / 2];
}

int main(int argc, char **argv) {
  double seconds = argc > 1 ? atof(argv[1]) : 0.3;
  uint32_t rounds = argc > 2 ? (uint32_t)atoi(argv[2]) : 7, only = argc > 3 ? (uint32_t)atoi(argv[3]) : 0;
  const char *of = argc > 4 ? argv[4] : NULL; /* the first letters of subjects, else all */
  static const uint32_t lengths[] = {64, 1514, 65000};
  struct client *client = client_open();
  if (rounds > ROUNDS_MOST) rounds = ROUNDS_MOST;
  printf("%6s %-7s %12s %9s %9s %9s %8s\n", "bytes", "subject", "frames/s", "Gbit/s", "of relay", "dropped", "cpu ns");
  for (uint32_t l = 0; l < 3; l++) {
    static double rate[SUBJECTS][ROUNDS_MOST], ratio[SUBJECTS][ROUNDS_MOST], dropped[SUBJECTS][ROUNDS_MOST],
        cpu[SUBJECTS][ROUNDS_MOST];
    if (only && lengths[l] != only) continue;
    for (uint32_t r = 0; r < rounds; r++)
      for (enum subject s = HOP; s < SUBJECTS; s++) {
        if (of && !strchr(of, names[s][1])) continue; /* second letters differ */
        struct result result = measure(s, lengths[l], seconds);
        rate[s][r] = result.rate, dropped[s][r] = result.dropped, cpu[s][r] = result.cpu_ns;
        ratio[s][r] = s >= RELAY && rate[RELAY][r] > 0 ? result.rate / rate[RELAY][r] : 0;
      }
    for (enum subject s = HOP; s < SUBJECTS; s++) {
      if (of && !strchr(of, names[s][1])) continue;
      double frames = median(rate[s], rounds);
      printf("%6u %-7s %12.0f %9.2f %9.2f %8.1f%% %8.0f\n", lengths[l], names[s], frames, frames * lengths[l] * 8 / 1e9,
             median(ratio[s], rounds), median(dropped[s], rounds) * 100, median(cpu[s], rounds));
      fflush(stdout);
    }
  }
  client_close(client);
  return 0;
}
