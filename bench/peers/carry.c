// SPDX-License-Identifier: MIT
/*
 * carry.c - bytes from here to there with nothing else to do: the ceilings of bench:peers, and the wire between a
 * network namespace and whatever speaks QEMU's stream framing.
 *
 *   carry stream PATH HOPS           listens; couples the first client with the second, the third with the fourth,
 *                                    ...; HOPS threads carry the bytes of each couple one after the other
 *   carry taps NAME PID NAME PID N   TAP devices in the network namespaces of two processes, frame by frame; N is 1 for
 *                                    frames of up to 64 KiB with a virtio header, which the kernels segment
 *   carry tap NAME PID PATH          a TAP device and a client of the socket PATH, in bursts of up to 64 frames
 *
 * Prints a line when it is ready. Ends by SIGTERM.
 */
#include "link.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>

static void ready(void) {
  puts("ready");
  fflush(stdout);
}

static void nonblocking(int fd) {
  int size = 256 << 10; /* as much as our switch asks for */
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  fcntl(fd, F_SETFL, O_NONBLOCK);
}

/* Streams. */

static bool pass_on(int from, int to, uint8_t *bytes) {
  ssize_t count = recv(from, bytes, READ, 0);
  if (count < 0) return errno == EAGAIN;
  if (count == 0) return false;
  for (ssize_t at = 0; at < count;) {
    ssize_t done = send(to, bytes + at, (size_t)(count - at), MSG_NOSIGNAL);
    if (done > 0) at += done;
    else if (errno != EAGAIN) return false;
    else poll(&(struct pollfd){.fd = to, .events = POLLOUT}, 1, 100);
  }
  return true;
}

static void *carry_body(void *of) {
  int *ends = of;
  uint8_t *bytes = malloc(READ);
  struct pollfd slots[2] = {{.fd = ends[0], .events = POLLIN}, {.fd = ends[1], .events = POLLIN}};
  for (bool goes_on = true; goes_on && poll(slots, 2, -1) > 0;) {
    if (slots[0].revents) goes_on = pass_on(ends[0], ends[1], bytes);
    if (goes_on && slots[1].revents) goes_on = pass_on(ends[1], ends[0], bytes);
  }
  close(ends[0]);
  close(ends[1]);
  free(bytes);
  free(ends);
  return NULL;
}

static void carry_streams(const char *path, int hops) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 64) < 0) fail("listen");
  ready();
  for (;;) {
    int left = accept4(listener, NULL, NULL, SOCK_CLOEXEC), right = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (left < 0 || right < 0) fail("accept");
    nonblocking(left);
    nonblocking(right);
    for (int hop = 1; hop <= hops; hop++) {
      int next[2], *ends = malloc(2 * sizeof *ends);
      pthread_t thread;
      if (hop < hops) {
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, next) < 0) fail("make a socketpair");
        nonblocking(next[0]);
        nonblocking(next[1]);
      }
      ends[0] = left, ends[1] = hop == hops ? right : next[0];
      left = next[1];
      pthread_create(&thread, NULL, carry_body, ends);
      pthread_detach(thread);
    }
  }
}

/* TAP devices. */

static int tap_open(const char *name, const char *pid, bool has_header) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%s/ns/net", pid);
  int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), there = open(path, O_RDONLY | O_CLOEXEC);
  if (home < 0 || there < 0 || setns(there, CLONE_NEWNET) < 0) fail("enter the namespace");
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | (has_header ? IFF_VNET_HDR : 0)};
  snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
  if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0) fail("make the TAP device");
  if (has_header && ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) < 0) fail("ask for offloads");
  if (setns(home, CLONE_NEWNET) < 0) fail("come back");
  close(home);
  close(there);
  return fd;
}

static void carry_taps(int a, int b) {
  static uint8_t bytes[FRAME_MOST + 64];
  struct pollfd slots[2] = {{.fd = a, .events = POLLIN}, {.fd = b, .events = POLLIN}};
  ready();
  while (poll(slots, 2, -1) > 0)
    for (int i = 0; i < 2; i++)
      for (int n = 0; slots[i].revents && n < BURST; n++) {
        ssize_t count = read(slots[i].fd, bytes, sizeof bytes);
        if (count <= 0 || write(slots[!i].fd, bytes, (size_t)count) < 0) break;
      }
}

/* What the socket does not take waits, and the TAP device is not read meanwhile. */
static void carry_tap(int tap, int fd) {
  static uint8_t out[BURST * 2048], in[READ + FRAME_MOST];
  uint32_t out_from = 0, out_to = 0, held = 0;
  nonblocking(fd);
  ready();
  for (;;) {
    bool waits = out_from < out_to;
    struct pollfd slots[2] = {{.fd = waits ? -1 : tap, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    if (waits) slots[1].events |= POLLOUT;
    if (poll(slots, 2, -1) < 0) fail("poll");
    if (slots[0].revents) {
      out_from = out_to = 0;
      for (int n = 0; n < BURST; n++) {
        ssize_t count = read(tap, out + out_to + 4, 2044);
        if (count <= 0) break;
        out[out_to] = out[out_to + 1] = 0, out[out_to + 2] = (uint8_t)(count >> 8), out[out_to + 3] = (uint8_t)count;
        out_to += 4 + (uint32_t)count;
      }
    }
    if (out_from < out_to) {
      ssize_t count = send(fd, out + out_from, out_to - out_from, MSG_NOSIGNAL);
      if (count < 0 && errno != EAGAIN) fail("send");
      if (count > 0) out_from += (uint32_t)count;
    }
    if (!(slots[1].revents & (POLLIN | POLLHUP | POLLERR))) continue;
    ssize_t count = recv(fd, in + held, READ, 0);
    if (count == 0) exit(0);
    if (count < 0) continue;
    uint32_t at = 0, end = held + (uint32_t)count;
    while (end - at >= 4) {
      uint32_t length = (uint32_t)in[at + 1] << 16 | (uint32_t)in[at + 2] << 8 | in[at + 3];
      if (length > FRAME_MOST) exit(1);
      if (end - at - 4 < length) break;
      if (write(tap, in + at + 4, length) < 0 && errno != EAGAIN && errno != EIO) fail("write");
      at += 4 + length;
    }
    held = end - at;
    memmove(in, in + at, held);
  }
}

int main(int argc, char **argv) {
  if (argc == 4 && !strcmp(argv[1], "stream")) carry_streams(argv[2], atoi(argv[3]));
  else if (argc == 7 && !strcmp(argv[1], "taps")) {
    bool has_header = atoi(argv[6]) != 0;
    carry_taps(tap_open(argv[2], argv[3], has_header), tap_open(argv[4], argv[5], has_header));
  } else if (argc == 5 && !strcmp(argv[1], "tap")) carry_tap(tap_open(argv[2], argv[3], false), unix_connect(argv[4]));
  else return fprintf(stderr, "carry stream PATH HOPS | taps NAME PID NAME PID 0|1 | tap NAME PID PATH\n"), 2;
  return 0;
}
