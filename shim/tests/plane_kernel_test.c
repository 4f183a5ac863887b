// SPDX-License-Identifier: MIT
/*
 * The kernel's segments beside ours, byte for byte: a TAP device takes a long frame with a virtio header, a bridge
 * hands it to
 * a second one that takes no long ones, all in a network namespace of the test's own. Without the right to make one
 * there
 * is nothing to compare.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "core/os.h"
#include "offload_fixture.h"

enum { HEADER = 10 }; /* TAP's own default */

static int in = -1, out = -1;

static bool is_up(int fd, const char *name) {
  struct ifreq request;
  memset(&request, 0, sizeof request);
  snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
  request.ifr_flags = IFF_UP;
  return ioctl(fd, SIOCSIFFLAGS, &request) == 0;
}

static int open_tap(int control, const char *name) {
  struct ifreq request;
  memset(&request, 0, sizeof request);
  snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0 || ioctl(fd, TUNSETIFF, &request) != 0) return -1;
  request.ifr_ifindex = (int)if_nametoindex(name);
  snprintf(request.ifr_name, sizeof request.ifr_name, "bridge");
  return ioctl(control, SIOCBRADDIF, &request) == 0 && is_up(control, name) ? fd : -1;
}

static bool open_bridge(void) {
  if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) return false;
  int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  bool made = control >= 0 && ioctl(control, SIOCBRADDBR, "bridge") == 0 && is_up(control, "bridge");
  if (made) in = open_tap(control, "in"), out = open_tap(control, "out");
  if (control >= 0) close(control);
  return in >= 0 && out >= 0;
}

/* The next frame of ours; the kernel says things of its own too. */
static ssize_t read_ours(uint8_t *bytes, size_t size) {
  for (uint64_t until = vn_monotonic_ns() + 2000000000; vn_monotonic_ns() < until;) {
    struct pollfd wait = {.fd = out, .events = POLLIN};
    poll(&wait, 1, 100);
    ssize_t got = read(out, bytes, size);
    if (got > HEADER + 14 && memcmp(bytes + HEADER, frame, 12) == 0) return got - HEADER;
  }
  return -1;
}

/* What a driver leaves in the checksum's place. */
static void begin_checksum(struct shape shape, uint8_t header[12]) {
  uint32_t network = shape.tag ? 18 : 14, start = data - (shape.udp ? 8 : 20 + shape.tcp_options), offset = shape.udp ? 6 : 16;
  uint32_t sum = slow_sum(frame + network + (shape.six ? 8 : 12), shape.six ? 32 : 8) + length - start + (shape.udp ? 17 : 6);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  vn_put16(frame + start + offset, sum);
  if (!shape.six) vn_put16(frame + network + 10, slow_sum(frame + network, 20 + shape.ip_options) ^ 0xffff);
  header[2] = (uint8_t)data, header[6] = (uint8_t)start, header[8] = (uint8_t)offset;
}

static void compare(struct shape shape, uint32_t size) {
  static uint8_t bytes[HEADER + 70000];
  uint8_t header[12];
  build(shape);
  gso(header, shape.udp ? USO : shape.six ? TCP6 : TCP4, size);
  begin_checksum(shape, header);
  CHECK(finish_frame(header));
  memcpy(bytes, header, HEADER), memcpy(bytes + HEADER, frame, length);
  if (write(in, bytes, HEADER + length) != (ssize_t)(HEADER + length)) {
    printf("  the kernel does not take %s\n", shape.udp ? "UDP" : "TCP"); /* before Linux 6.2 */
    CHECK(shape.udp);
    return;
  }
  for (uint32_t i = 0; i < count; i++) {
    ssize_t got = read_ours(bytes, sizeof bytes);
    CHECK(got == (ssize_t)lengths[i]);
    if (got != (ssize_t)lengths[i]) return;
    bool same = memcmp(bytes + HEADER, given + offsets[i], lengths[i]) == 0;
    CHECK(same);
    for (uint32_t at = 0; !same && at < lengths[i]; at++)
      if (bytes[HEADER + at] != given[offsets[i] + at])
        fprintf(stderr, "segment %u of %u, byte %u: %02x, ours %02x\n", i, count, at, bytes[HEADER + at], given[offsets[i] + at]);
    if (!same) return;
  }
}

static void test_the_kernel_cuts_as_we_do(void) {
  struct shape shapes[] = {
      {.payload = 30000}, {.payload = 2900}, {.payload = 5000, .ip_options = 8, .tcp_options = 12}, {.six = true, .payload = 60000},
      {.six = true, .payload = 4001, .extensions = 2, .tcp_options = 12}, {.payload = 20000, .tag = true},
      {.udp = true, .payload = 30000}, {.udp = true, .six = true, .payload = 4001}};
  for (uint32_t i = 0; i < sizeof shapes / sizeof *shapes; i++) compare(shapes[i], i == 7 ? 1000 : 1300);
}

int main(void) {
  if (!open_bridge()) printf("  no right to make a bridge: not compared\n");
  else RUN(test_the_kernel_cuts_as_we_do);
  return finish();
}
