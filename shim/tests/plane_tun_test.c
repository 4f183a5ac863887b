// SPDX-License-Identifier: MIT
/*
 * TAP devices as ports: the kernel's TCP from one network namespace to another, through a switch of ours.
 *
 * The test puts itself into a namespace of its own (as root, or else with a user namespace), and a child into a second
 * one. The child opens its device and hands it over by SCM_RIGHTS, so it is opened by "fd" here, and the other one by
 * "name". What the child's end of TCP reads tells whether frames, segments and checksums were right.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "client.h"

#define BYTES ((getenv("VN_LONG") && *getenv("VN_LONG") ? 512u : 24u) << 20)

static struct client *c;

static bool set_address(const char *name, const char *address) {
  struct ifreq request = {.ifr_flags = 0};
  struct sockaddr_in *at = (struct sockaddr_in *)&request.ifr_addr;
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  at->sin_family = AF_INET;
  inet_pton(AF_INET, address, &at->sin_addr);
  bool done = ioctl(fd, SIOCSIFADDR, &request) == 0;
  inet_pton(AF_INET, "255.255.255.0", &at->sin_addr);
  done = done && ioctl(fd, SIOCSIFNETMASK, &request) == 0 && ioctl(fd, SIOCGIFFLAGS, &request) == 0;
  request.ifr_flags |= IFF_UP;
  done = done && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
  close(fd);
  return done;
}

static bool is_up(const char *name) {
  struct ifreq request = {.ifr_flags = 0};
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  bool up = ioctl(fd, SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_UP);
  close(fd);
  return up;
}

static bool delete_link(const char *name) {
  struct ifreq device = {.ifr_flags = 0};
  struct {
    struct nlmsghdr header;
    struct ifinfomsg link;
  } request = {.header = {.nlmsg_len = sizeof request, .nlmsg_type = RTM_DELLINK, .nlmsg_flags = NLM_F_REQUEST}};
  int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
  strncpy(device.ifr_name, name, IFNAMSIZ - 1);
  int any = socket(AF_INET, SOCK_DGRAM, 0);
  bool done = ioctl(any, SIOCGIFINDEX, &device) == 0;
  request.link.ifi_index = device.ifr_ifindex;
  done = done && send(fd, &request, sizeof request, 0) == sizeof request;
  close(any), close(fd);
  return done;
}

static int new_tap(const char *name, short flags) {
  struct ifreq request = {.ifr_flags = flags};
  int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  if (fd >= 0 && ioctl(fd, TUNSETIFF, &request) == 0) return fd;
  if (fd >= 0) close(fd);
  return -1;
}

static void fill(uint8_t *bytes, size_t length, uint64_t at) {
  for (size_t i = 0; i < length; i++) bytes[i] = (uint8_t)((at + i) * 2654435761u >> 13);
}

/* Reads a connection to its end, looks at every byte, and answers how many were right in a row. */
static void serve_one(int listener) {
  static uint8_t bytes[1 << 16], wanted[1 << 16];
  int fd = accept(listener, NULL, NULL);
  uint64_t good = 0;
  for (ssize_t count; (count = read(fd, bytes, sizeof bytes)) > 0; good += (uint64_t)count) {
    fill(wanted, (size_t)count, good);
    if (memcmp(bytes, wanted, (size_t)count) != 0) break;
  }
  (void)!write(fd, &good, sizeof good);
  close(fd);
}

/* The child: its own namespace, its device, its server. */
static int run_other(int to) {
  struct sockaddr_in at = {.sin_family = AF_INET};
  socklen_t length = sizeof at;
  if (unshare(CLONE_NEWNET) != 0) return 1;
  int tap = new_tap("vnb", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR), listener = socket(AF_INET, SOCK_STREAM, 0);
  if (tap < 0 || !set_address("vnb", "10.9.0.2") || bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 4)) return 2;
  getsockname(listener, (struct sockaddr *)&at, &length);
  uint16_t port = at.sin_port;
  char room[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec part = {&port, sizeof port};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
  struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
  *rights = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
  memcpy(CMSG_DATA(rights), &tap, sizeof tap);
  if (sendmsg(to, &message, 0) != sizeof port) return 3;
  close(tap);
  for (;;) serve_one(listener);
}

struct other {
  pid_t pid;
  int tap;
  uint16_t port;
};

static struct other start_other(void) {
  int pair[2], tap = -1;
  uint16_t port = 0;
  socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
  struct other other = {.pid = fork()};
  if (other.pid == 0) _exit(run_other(pair[1]));
  close(pair[1]);
  char room[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec part = {&port, sizeof port};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
  if (recvmsg(pair[0], &message, MSG_CMSG_CLOEXEC) == sizeof port) memcpy(&tap, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof tap);
  close(pair[0]);
  other.tap = tap;
  other.port = port;
  return other;
}

static void end_other(struct other *other) {
  kill(other->pid, SIGKILL);
  waitpid(other->pid, NULL, 0);
}

/* How many bytes came right at the other end; the rate in Mbit/s beside it. */
static uint64_t transfer(uint16_t port, uint64_t length, double *rate) {
  static uint8_t bytes[1 << 16];
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = port};
  struct timeval patience = {.tv_sec = 10};
  inet_pton(AF_INET, "10.9.0.2", &to.sin_addr);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  uint64_t good = 0, begun = vn_monotonic_ns();
  if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0) {
    for (uint64_t at = 0; at < length;) {
      fill(bytes, sizeof bytes, at);
      ssize_t sent = write(fd, bytes, length - at < sizeof bytes ? length - at : sizeof bytes);
      if (sent <= 0) break;
      at += (uint64_t)sent;
    }
    shutdown(fd, SHUT_WR);
    if (read(fd, &good, sizeof good) != sizeof good) good = 0;
  }
  *rate = (double)good * 8e3 / (double)(vn_monotonic_ns() - begun);
  close(fd);
  return good;
}

static int32_t new_board(void) { return client_call(c, c->context, VN_OP_SWITCH_CREATE, NULL) ? -1 : client_handle(c); }

static int32_t open_endpoint(int32_t board, const char *kind, const char *name, int fd) {
  struct vn_writer options = {.data = NULL};
  vn_write_text(&options, "kind", kind);
  if (name) vn_write_text(&options, "name", name);
  if (fd >= 0) vn_write_number(&options, "fd", (uint64_t)fd);
  uint32_t status = client_call(c, board, VN_OP_ENDPOINT_OPEN, &options);
  return status ? -(int32_t)status : client_handle(c);
}

/* Sums of a number over all ports. */
static uint64_t sum_of(int32_t board, const char *key) {
  struct vn_reader reader;
  struct vn_entry entry;
  uint64_t sum = 0;
  client_get(c, board, VN_GET_STATS);
  vn_list_read(&reader, c->result, c->length);
  while (vn_list_next(&reader, &entry))
    if (vn_entry_is(&entry, VN_LIST, "port")) sum += vn_list_number(entry.value, entry.length, key, 0);
  return sum;
}

static void test_tcp_with_segmentation_passes_from_tap_to_tap(void) {
  struct other other = start_other();
  int32_t board = new_board(), first = open_endpoint(board, "tap", "vna", -1);
  double rate;
  CHECK(other.tap >= 0 && first > 0 && strcmp(client_text(c, "name"), "vna") == 0 && is_up("vna"));
  CHECK(open_endpoint(board, "tap", NULL, other.tap) > 0 && strcmp(client_text(c, "name"), "vnb") == 0);
  CHECK(set_address("vna", "10.9.0.1"));
  CHECK(transfer(other.port, BYTES, &rate) == BYTES);
  uint64_t frames = sum_of(board, "framesIn"), bytes = sum_of(board, "bytesIn");
  printf("       %.0f Mbit/s, %.0f bytes a frame\n", rate, (double)bytes / (double)(frames ? frames : 1));
  CHECK(bytes >= BYTES && bytes / frames > 3000); /* with the acknowledgements */
  CHECK(open_endpoint(board, "tap", "vna", -1) == -VN_IN_USE && strcmp(client_text(c, "field"), "name") == 0);
  CHECK(client_stop(c, first) == VN_OK && !is_up("vna")); /* it went with its endpoint */
  end_other(&other);
  CHECK(client_stop(c, board) == VN_OK);
}

/* Between the two switches frames are as a wire carries them: cut and with checksums, which the kernel then looks at.
 * */
static void test_checksums_and_segments_are_made_for_a_plain_link(void) {
  struct other other = start_other();
  int32_t a = new_board(), b = new_board();
  int pair[2];
  double rate;
  socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
  CHECK(open_endpoint(a, "tap", "vna", -1) > 0 && open_endpoint(b, "tap", NULL, other.tap) > 0);
  CHECK(open_endpoint(a, "datagram", NULL, pair[0]) > 0 && open_endpoint(b, "datagram", NULL, pair[1]) > 0);
  CHECK(set_address("vna", "10.9.0.1"));
  CHECK(transfer(other.port, BYTES, &rate) == BYTES);
  printf("       %.0f Mbit/s\n", rate);
  CHECK(client_stop(c, a) == VN_OK && client_stop(c, b) == VN_OK);
  end_other(&other);
}

static void test_a_device_that_is_deleted_ends_its_endpoint(void) {
  int32_t board = new_board(), endpoint = open_endpoint(board, "tap", "vnd", -1);
  CHECK(endpoint > 0 && is_up("vnd") && delete_link("vnd"));
  bool ended = false;
  for (int i = 0; i < 400 && !ended; i++, usleep(5000))
    ended = client_get(c, endpoint, VN_GET_STATE) && client_number(c, "status") == VN_GONE;
  CHECK(ended);
  CHECK(client_get(c, board, VN_GET_STATE) && client_number(c, "status") == VN_OK);
  struct rusage before, after;
  getrusage(RUSAGE_SELF, &before);
  usleep(200000);
  getrusage(RUSAGE_SELF, &after);
  CHECK((after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1000000 + after.ru_utime.tv_usec - before.ru_utime.tv_usec < 100000);
  vn_close(endpoint);
  CHECK(client_stop(c, board) == VN_OK);
}

static void test_what_is_no_tap_is_refused(void) {
  int32_t board = new_board();
  CHECK(open_endpoint(board, "tap", "lo", -1) == -VN_BAD_OPTION && strcmp(client_text(c, "field"), "name") == 0);
  int null = open("/dev/null", O_RDWR), plain = new_tap("vnplain", IFF_TAP | IFF_NO_PI), tun = new_tap("vntun", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR);
  int wrong[] = {null, plain, tun};
  for (int i = 0; i < 3; i++)
    CHECK(wrong[i] >= 0 && open_endpoint(board, "tap", NULL, wrong[i]) == -VN_BAD_OPTION && strcmp(client_text(c, "field"), "fd") == 0 && close(wrong[i]) == 0);
  int before = count_entries("/proc/self/fd");
  for (int i = 0; i < 10; i++) {
    int32_t endpoint = open_endpoint(board, "tap", "vnc", -1);
    CHECK(endpoint > 0);
    if (i % 2) CHECK(client_stop(c, endpoint) == VN_OK);
    else vn_close(endpoint), usleep(20000);
  }
  CHECK(settles("/proc/self/fd", before));
  CHECK(client_stop(c, board) == VN_OK);
}

/* Another process, because it gives its rights away. */
static int run_unprivileged(void) {
  if (setgid(65534) != 0 || setuid(65534) != 0) return 9;
  c = client_open();
  int32_t board = new_board();
  if (open_endpoint(board, "tap", "vnx", -1) != -VN_SYSTEM) return 1;
  if (strcmp(client_text(c, "needs"), "CAP_NET_ADMIN, or: ip tuntap add dev vnx mode tap user $USER") != 0) return 2;
  return client_number(c, "errno") == EPERM || client_number(c, "errno") == EACCES ? 0 : 3;
}

static pid_t unprivileged;

static void test_who_may_not_hears_what_is_needed(void) {
  int status = -1;
  waitpid(unprivileged, &status, 0);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void) {
  const char *why = NULL;
  if (access("/dev/net/tun", F_OK) != 0) why = "there is no /dev/net/tun";
  else if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) why = "no network namespace may be made";
  else {
    int probe = new_tap("vnprobe", IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
    if (probe < 0) why = "no TAP device may be made";
    else close(probe);
  }
  if (why != NULL) {
    printf("  skipped: %s\n", why);
    return finish();
  }
  signal(SIGPIPE, SIG_IGN);
  if (getuid() == 0 && (unprivileged = fork()) == 0) _exit(run_unprivileged());
  c = client_open();
  if (unprivileged != 0) RUN(test_who_may_not_hears_what_is_needed);
  RUN(test_tcp_with_segmentation_passes_from_tap_to_tap);
  RUN(test_checksums_and_segments_are_made_for_a_plain_link);
  RUN(test_a_device_that_is_deleted_ends_its_endpoint);
  RUN(test_what_is_no_tap_is_refused);
  return finish();
}
