// SPDX-License-Identifier: MIT
/*
 * gateway_process_test.c - the program itself: $VN_GATEWAY between two socket pairs, forwards over real sockets.
 *
 * Everything runs in a network namespace of its own where that is allowed, with a name server of its own; else ports on
 * loopback are used that are free, and the test of the name server is left out.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gateway_fixture.h"
#include "os.h"
#include "test.h"

#define NET 0xc0a83200u
static const uint8_t ann[6] = {2, 0, 0, 0, 0, 1}, all[6] = {255, 255, 255, 255, 255, 255},
                     us[6] = {0x52, 0x55, 192, 168, 50, 1};
static bool isolated;

static struct {
  pid_t pid;
  int frames, control;
} gw;

static struct {
  uint8_t bytes[70000];
  uint32_t length;
} got;

static double now(void) { return (double)vn_monotonic_ns() / 1e9; }

static bool read_all(int fd, void *at, size_t length) {
  for (size_t done = 0; done < length;) {
    struct pollfd wait = {fd, POLLIN, 0};
    ssize_t n = poll(&wait, 1, 5000) == 1 ? read(fd, (uint8_t *)at + done, length - done) : -1;
    if (n <= 0) return false;
    done += (size_t)n;
  }
  return true;
}

static bool receive(int fd) {
  uint8_t head[4];
  if (!read_all(fd, head, 4) || (got.length = get32(head)) > sizeof got.bytes) return false;
  return read_all(fd, got.bytes, got.length);
}

static bool transmit(int fd, const void *data, uint32_t length) {
  uint8_t head[4];
  put32(head, length);
  return write(fd, head, 4) == 4 && write(fd, data, length) == (ssize_t)length;
}

static void start(void) {
  int frames[2], control[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, frames) == 0);
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control) == 0);
  gw.frames = frames[0], gw.control = control[0];
  gw.pid = fork();
  if (gw.pid == 0) {
    int a = fcntl(frames[1], F_DUPFD, 20), b = fcntl(control[1], F_DUPFD, 20);
    dup2(a, 3), dup2(b, 4);
    execl(getenv("VN_GATEWAY"), "vmnet-gateway", (char *)NULL);
    _exit(127);
  }
  close(frames[1]), close(control[1]);
}

static void say(struct vn_writer writer) {
  CHECK(!writer.failed && transmit(gw.control, writer.data, writer.length));
  vn_writer_free(&writer);
}

static uint64_t number(const char *key) { return vn_list_number(got.bytes, got.length, key, 9999); }
static bool says(const char *key, const char *expected) {
  char text[100];
  return vn_list_text(got.bytes, got.length, key, text, sizeof text) && strcmp(text, expected) == 0;
}

/* The next message of that name. */
static bool hear(const char *name) {
  while (receive(gw.control)) {
    if (says("message", name)) return true;
  }
  return false;
}

static void begin(struct vn_writer writer) {
  start();
  say(writer);
  CHECK(hear("ready") && number("status") == 0);
}

/* Waits for the end and answers the exit code, -1 for a signal, -2 when it took too long. */
static int ended(double seconds) {
  double limit = now() + seconds;
  int state;
  while (waitpid(gw.pid, &state, WNOHANG) == 0) {
    if (now() > limit) {
      kill(gw.pid, SIGKILL);
      waitpid(gw.pid, &state, 0);
      return -2;
    }
    usleep(500);
  }
  return WIFEXITED(state) ? WEXITSTATUS(state) : -1;
}

static void leave(void) {
  close(gw.frames), close(gw.control);
  CHECK(ended(5) == 0);
}

static uint32_t arp(uint8_t *data, uint16_t operation, uint32_t sender, uint32_t target) {
  memset(data, 0, 60);
  uint8_t *at = write_ethernet(data, all, ann, TYPE_ARP);
  memcpy(at, (const uint8_t[]){0, 1, 8, 0, 6, 4}, 6);
  put16(at + 6, operation);
  memcpy(at + 8, ann, 6);
  put32(at + 14, sender), put32(at + 24, target);
  return 60;
}

static uint32_t udp(uint8_t *data, uint32_t target, uint16_t from, uint16_t to, const char *text) {
  uint32_t length = 8 + (uint32_t)strlen(text);
  uint8_t *at = write_ipv4(write_ethernet(data, us, ann, TYPE_IPV4), PROTOCOL_UDP, NET + 10, target, length);
  put16(at, from), put16(at + 2, to), put16(at + 4, length);
  put16(at + 6, 0);
  memcpy(at + 8, text, length - 8);
  struct frame frame = {data, 34 + length};
  struct ip ip;
  CHECK(frame_ip(frame, &ip));
  put16(at + 6, ip_checksum(frame, &ip));
  return frame.length;
}

/* The next frame that carries UDP to the guest .10; ARP requests for it are answered on the way. */
static bool hear_udp(struct ip *ip) {
  uint8_t reply[60];
  while (receive(gw.frames)) {
    struct frame frame = {got.bytes, got.length};
    if (get16(got.bytes + 12) == TYPE_ARP && get16(got.bytes + 20) == 1 && get32(got.bytes + 38) == NET + 10) {
      arp(reply, 2, NET + 10, NET + 1);
      memcpy(reply, us, 6);
      transmit(gw.frames, reply, 60);
    }
    if (frame_ip(frame, ip) && ip->protocol == PROTOCOL_UDP && ip->target == NET + 10) {
      uint16_t sum = ip_checksum(frame, ip);
      CHECK(sum == 0 || sum == 0xffff);
      return true;
    }
  }
  return false;
}

static bool carries(const struct ip *ip, const char *text) {
  return ip->length == 8 + strlen(text) && memcmp(got.bytes + ip->payload + 8, text, strlen(text)) == 0;
}

static struct sockaddr_in loopback(uint16_t port) {
  struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(port)};
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return name;
}

/* A socket on 127.0.0.1; a port of 0 is chosen by the system. */
static int socket_at(int type, uint16_t *port) {
  struct sockaddr_in name = loopback(*port);
  socklen_t size = sizeof name;
  struct timeval patience = {5, 0};
  int fd = socket(AF_INET, type, 0);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  CHECK(bind(fd, (struct sockaddr *)&name, sizeof name) == 0 && getsockname(fd, (struct sockaddr *)&name, &size) == 0);
  if (type == SOCK_STREAM) listen(fd, 1);
  *port = ntohs(name.sin_port);
  return fd;
}

static uint16_t free_port(int type) {
  uint16_t port = 0;
  close(socket_at(type, &port));
  return port;
}

static struct vn_writer message(const char *name) {
  struct vn_writer writer = {0};
  vn_write_text(&writer, "message", name);
  vn_write_number(&writer, "id", 5);
  return writer;
}

static void put_forward(struct vn_writer *writer, unsigned protocol, uint16_t port, const char *address) {
  vn_write_number(writer, "protocol", protocol);
  vn_write_number(writer, "externalPort", port);
  vn_write_text(writer, "internalAddress", address);
  vn_write_number(writer, "internalPort", 91);
}

static uint64_t add_forward(unsigned protocol, uint16_t port, const char *address) {
  struct vn_writer writer = message("forwardAdd");
  put_forward(&writer, protocol, port, address);
  say(writer);
  return hear("reply") && number("id") == 5 ? number("status") : 9999;
}

static uint64_t remove_forward(unsigned protocol, uint16_t port, unsigned family) {
  struct vn_writer writer = message("forwardRemove");
  vn_write_number(&writer, "protocol", protocol);
  vn_write_number(&writer, "externalPort", port);
  vn_write_number(&writer, "family", family);
  say(writer);
  return hear("reply") ? number("status") : 9999;
}

static uint64_t stats(const char *key) {
  say(message("stats"));
  CHECK(hear("reply") && number("status") == 0);
  return number(key);
}

static bool connects(uint16_t port) {
  struct sockaddr_in name = loopback(port);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  bool done = connect(fd, (struct sockaddr *)&name, sizeof name) == 0;
  close(fd);
  return done;
}

static void it_serves_a_host_network(void) {
  uint8_t data[400];
  setenv("VMNET_LIBSLIRP", "/nonexistent", 1); /* it is not needed */
  start();
  say(configuration(HOST));
  CHECK(hear("ready") && number("status") == 0 && !says("libslirp", ""));
  for (int i = 0; i < 3; i++) transmit(gw.frames, data, arp(data, 1, NET + 5, NET + 1));
  for (int i = 0; i < 3; i++) CHECK(receive(gw.frames) && got.length == 60 && get32(got.bytes + 28) == NET + 1);
  memset(data, 0, sizeof data); /* DHCP: a client that knows what it wants */
  uint8_t *bootp = write_ipv4(write_ethernet(data, all, ann, TYPE_IPV4), PROTOCOL_UDP, 0, UINT32_MAX, 8 + 250) + 8;
  put16(data + 34, 68), put16(data + 36, 67), put16(data + 38, 8 + 250);
  memcpy(bootp, (const uint8_t[]){1, 1, 6}, 3);
  memcpy(bootp + 28, ann, 6);
  put32(bootp + 236, 0x63825363);
  memcpy(bootp + 240, (const uint8_t[]){53, 1, 3, 50, 4, 192, 168, 50, 12, 255}, 10);
  transmit(gw.frames, data, 42 + 250);
  CHECK(receive(gw.frames) && get32(got.bytes + 42 + 16) == NET + 12 && got.bytes[42 + 242] == 5);
  CHECK(hear("lease") && number("change") == 1 && says("address", "192.168.50.12") && number("expires") > 1700000000);
  CHECK(stats("framesIn") == 4 && number("framesOut") == 4 && number("leases") == 1 && number("dhcpAck") == 1);
  CHECK(add_forward(6, 8080, "192.168.50.12") == VN_UNSUPPORTED);
  unsetenv("VMNET_LIBSLIRP");
  leave();
}

static void a_burst_is_answered_completely(void) {
  static uint8_t burst[64 * 4000];
  uint32_t length = 0;
  begin(configuration(HOST));
  for (int i = 0; i < 4000; i++, length += 64) put32(burst + length, arp(burst + length + 4, 1, NET + 5, NET + 1));
  pid_t writer = fork();
  if (writer == 0) {
    _exit(write(gw.frames, burst, length) == (ssize_t)length ? 0 : 1);
  }
  for (int i = 0; i < 4000; i++) CHECK(receive(gw.frames) && got.length == 60);
  waitpid(writer, NULL, 0);
  leave();
}

static void the_end_of_either_channel_ends_it(void) {
  for (int i = 0; i < 4; i++) {
    begin(configuration(i % 2 ? SHARED : HOST));
    double before = now();
    close(i < 2 ? gw.frames : gw.control);
    CHECK(ended(5) == 0);
    double took = now() - before;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    if (took > 0.1) printf("  it took %.0f ms\n", took * 1000);
    CHECK(took < 1.0); /* usually 1 ms; the machine may be busy */
#endif
    close(i < 2 ? gw.control : gw.frames);
    CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
  }
}

static void nonsense_is_answered_once(void) {
  static const char *const nonsense[] = {"", "x", "\x02\x07\0\0\xff\xff\xff\xffmessage", "\x02\x01\0\0\x01\0\0\0aa"};
  static const uint32_t sizes[] = {0, 1, 15, 10};
  for (int i = 0; i < 4; i++) {
    start();
    transmit(gw.control, nonsense[i], sizes[i]);
    CHECK(hear("ready") && number("status") == VN_BAD_CALL && ended(5) == 2);
    close(gw.frames), close(gw.control);
    begin(configuration(HOST));
    transmit(gw.control, nonsense[i], sizes[i]);
    CHECK(hear("reply") && number("status") == VN_BAD_CALL && number("id") == 0 && ended(5) == 2);
    close(gw.frames), close(gw.control);
  }
  begin(configuration(HOST));
  CHECK(write(gw.control, "\xff\xff\xff\xff", 4) == 4 && hear("reply") && ended(5) == 2);
  close(gw.frames), close(gw.control);
  begin(configuration(HOST));
  say(configuration(HOST));
  CHECK(hear("reply") && number("status") == VN_BAD_CALL && ended(5) == 2);
  close(gw.frames), close(gw.control);
  start();
  say(message("stats"));
  CHECK(hear("ready") && number("status") == VN_BAD_CALL && ended(5) == 2);
  close(gw.frames), close(gw.control);
  begin(configuration(HOST));
  say(message("dance"));
  CHECK(hear("reply") && number("id") == 5 && number("status") == VN_BAD_CALL && stats("framesIn") == 0);
  CHECK(write(gw.frames, "\xff\xff\xff\xff", 4) == 4 && ended(5) == 2); /* a length that no frame has */
  close(gw.frames), close(gw.control);
}

static void wrong_options_are_named(void) {
  static const struct {
    const char *key, *text, *field;
    uint64_t number;
  } cases[] = {
      {"mode", NULL, "mode", 7},
      {"mtu", NULL, "mtu", 67},
      {"mtu", NULL, "mtu", 65536},
      {"leaseSeconds", NULL, "leaseSeconds", 0},
      {"ipv4Subnet", "192.168.50.0", "ipv4Subnet", 0},
      {"ipv4Subnet", "192.168.50.0/31", "ipv4Subnet", 0},
      {"ipv4Subnet", "nonsense/24", "ipv4Subnet", 0},
      {"ipv4Gateway", "192.168.51.1", "ipv4Gateway", 0},
      {"ipv4Gateway", "192.168.50.255", "ipv4Gateway", 0},
      {"dhcpStart", "10.0.0.1", "dhcpStart", 0},
      {"dhcpEnd", "192.168.50.9", "dhcpEnd", 0},
      {"ipv6Prefix", "fd00::/63", "ipv6Prefix", 0},
      {"ipv6Prefix", "fd00::x/64", "ipv6Prefix", 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct vn_writer writer = configuration(HOST);
    cases[i].text ? vn_write_text(&writer, cases[i].key, cases[i].text)
                  : vn_write_number(&writer, cases[i].key, cases[i].number);
    start();
    say(writer);
    bool right = hear("ready") && number("status") == VN_BAD_OPTION && says("field", cases[i].field) && ended(5) == 1;
    if (!right) printf("  case %zu\n", i);
    CHECK(right);
    close(gw.frames), close(gw.control);
  }
  static const char *const addresses[] = {"192.168.50.1", "192.168.51.5", "192.168.50.0", "nonsense"};
  for (size_t i = 0; i < 5; i++) {
    struct vn_writer writer = configuration(HOST);
    add_reservation(&writer, ann, i < 4 ? addresses[i] : "192.168.50.70");
    if (i == 4) add_reservation(&writer, ann, "192.168.50.71");
    start();
    say(writer);
    CHECK(hear("ready") && number("status") == VN_BAD_OPTION && says("field", "reservation") && ended(5) == 1);
    close(gw.frames), close(gw.control);
  }
}

static void without_libslirp_it_says_what_is_missing(void) {
  setenv("VMNET_LIBSLIRP", "/nonexistent", 1);
  start();
  say(configuration(SHARED));
  CHECK(hear("ready") && number("status") == VN_MISSING && ended(5) == 1);
  CHECK(says("needs", "libslirp0") || says("needs", "libslirp-dev")); /* the latter when it was built without headers */
  close(gw.frames), close(gw.control);
  unsetenv("VMNET_LIBSLIRP");
}

static void forwards_come_and_go(void) {
  uint16_t port = free_port(SOCK_DGRAM), tcp = free_port(SOCK_STREAM), client = 0, taken = 0;
  uint8_t data[200];
  struct ip ip;
  begin(configuration(SHARED));
  CHECK(add_forward(17, port, "192.168.50.10") == 0 && add_forward(17, port, "192.168.50.11") == VN_IN_USE);
  CHECK(number("errno") == EADDRINUSE && says("field", "externalPort"));
  int fd = socket_at(SOCK_DGRAM, &client);
  struct sockaddr_in to = loopback(port);
  CHECK(sendto(fd, "knock", 5, 0, (struct sockaddr *)&to, sizeof to) == 5);
  CHECK(hear_udp(&ip) && carries(&ip, "knock") && ip.source == NET + 1 && ip.target_port == 91);
  transmit(gw.frames, data, udp(data, NET + 1, 91, ip.source_port, "who"));
  CHECK(recv(fd, data, sizeof data, 0) == 3 && memcmp(data, "who", 3) == 0);
  close(fd);
  CHECK(add_forward(6, tcp, "192.168.50.10") == 0 && connects(tcp) && stats("forwards") == 2);
  CHECK(remove_forward(6, tcp, 4) == 0 && !connects(tcp) && remove_forward(6, tcp, 4) == VN_NOT_FOUND);
  CHECK(remove_forward(17, port, 6) == VN_NOT_FOUND && remove_forward(17, port, 4) == 0 && stats("forwards") == 0);
  CHECK(add_forward(17, port, "192.168.50.10") == 0); /* the port is free again */
  fd = socket_at(SOCK_STREAM, &taken);
  CHECK(add_forward(6, taken, "192.168.50.10") == VN_IN_USE && number("errno") == EADDRINUSE);
  close(fd);
  static const char *const wrong[] = {"192.168.50.1", "192.168.50.0", "10.0.0.1", "0.0.0.0", "::", "fd00::5", "x"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    CHECK(add_forward(6, tcp, wrong[i]) == VN_BAD_OPTION && says("field", "internalAddress"));
  }
  CHECK(add_forward(1, tcp, "192.168.50.10") == VN_BAD_OPTION && says("field", "protocol"));
  CHECK(add_forward(6, 0, "192.168.50.10") == VN_BAD_OPTION && says("field", "externalPort"));
  leave();
}

static void a_killed_gateway_is_replaced(void) {
  uint16_t port = free_port(SOCK_STREAM), taken = 0, late = 0;
  uint8_t data[60];
  begin(configuration(SHARED));
  CHECK(add_forward(6, port, "192.168.50.10") == 0 && connects(port));
  kill(gw.pid, SIGKILL);
  CHECK(ended(5) == -1);
  close(gw.frames), close(gw.control);
  int for_ever = socket_at(SOCK_STREAM, &taken), for_a_while = socket_at(SOCK_STREAM, &late);
  struct vn_writer writer = configuration(SHARED);
  uint16_t ports[] = {port, taken, late};
  for (int i = 0; i < 3; i++) {
    uint32_t mark = vn_write_begin(&writer, "forward");
    put_forward(&writer, 6, ports[i], "192.168.50.10");
    vn_write_end(&writer, mark);
  }
  double before = now();
  start();
  say(writer);
  transmit(gw.frames, data, arp(data, 1, NET + 10, NET + 1));
  CHECK(receive(gw.frames)); /* frames do not wait for ports */
  usleep(200000);
  close(for_a_while);
  CHECK(hear("ready") && number("status") == 0 && now() - before > 1.9 && now() - before < 4);
  struct vn_entry entry;
  CHECK(vn_list_find(got.bytes, got.length, VN_LIST, "failed", &entry));
  CHECK(vn_list_number(entry.value, entry.length, "externalPort", 0) == taken);
  CHECK(vn_list_number(entry.value, entry.length, "errno", 0) == EADDRINUSE);
  CHECK(connects(port) && connects(late) && stats("forwards") == 2);
  close(for_ever);
  leave();
}

static void a_guest_reaches_services_of_the_host(void) {
  uint16_t port = 0;
  uint8_t data[200];
  struct ip ip;
  struct sockaddr_in from;
  socklen_t size = sizeof from;
  int fd = socket_at(SOCK_DGRAM, &port);
  begin(configuration(SHARED));
  transmit(gw.frames, data, arp(data, 1, NET + 10, NET + 1));
  transmit(gw.frames, data, udp(data, NET + 1, 4000, port, "question"));
  CHECK(recvfrom(fd, data, sizeof data, 0, (struct sockaddr *)&from, &size) == 8 && memcmp(data, "question", 8) == 0);
  CHECK(sendto(fd, "answer", 6, 0, (struct sockaddr *)&from, size) == 6);
  CHECK(hear_udp(&ip) && ip.source == NET + 1 && ip.source_port == port && ip.target_port == 4000);
  CHECK(carries(&ip, "answer"));
  CHECK(stats("connections") == 1);
  close(fd);
  leave();
}

static void names_are_resolved_at_the_gateway(void) {
  uint16_t port = 53;
  uint8_t data[200];
  struct ip ip;
  struct sockaddr_in from;
  socklen_t size = sizeof from;
  int fd = socket_at(SOCK_DGRAM, &port);
  begin(configuration(SHARED));
  transmit(gw.frames, data, arp(data, 1, NET + 10, NET + 1));
  transmit(gw.frames, data, udp(data, NET + 1, 4000, 53, "a query, for all that libslirp knows"));
  CHECK(recvfrom(fd, data, sizeof data, 0, (struct sockaddr *)&from, &size) == 36);
  CHECK(sendto(fd, "an address", 10, 0, (struct sockaddr *)&from, size) == 10);
  CHECK(hear_udp(&ip) && ip.source == NET + 1 && ip.source_port == 53 && carries(&ip, "an address"));
  close(fd);
  leave();
}

/* A network of our own: loopback, and a name server at 127.0.0.1. */
static bool isolate(void) {
  int parts = CLONE_NEWNET | CLONE_NEWNS;
  if (unshare(parts) != 0 && unshare(parts | CLONE_NEWUSER) != 0) return false;
  struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  bool up = ioctl(fd, SIOCSIFFLAGS, &request) == 0;
  close(fd);
  char path[] = "/tmp/vmnet-resolv-XXXXXX";
  fd = mkstemp(path);
  bool named = fd >= 0 && write(fd, "nameserver 127.0.0.1\n", 21) == 21 && fchmod(fd, 0644) == 0 &&
               mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
               mount(path, "/etc/resolv.conf", NULL, MS_BIND, NULL) == 0;
  if (fd >= 0) close(fd), unlink(path);
  return up && named;
}

int main(void) {
  signal(SIGPIPE, SIG_IGN);
  if (!getenv("VN_GATEWAY")) {
    printf("VN_GATEWAY must name the program\n");
    return 1;
  }
  isolated = isolate();
  start();
  say(configuration(SHARED));
  bool shared = hear("ready") && number("status") == 0;
  close(gw.frames), close(gw.control);
  ended(5);
  RUN(it_serves_a_host_network);
  RUN(a_burst_is_answered_completely);
  RUN(nonsense_is_answered_once);
  RUN(wrong_options_are_named);
  RUN(without_libslirp_it_says_what_is_missing);
  if (shared) {
    RUN(the_end_of_either_channel_ends_it);
    RUN(forwards_come_and_go);
    RUN(a_killed_gateway_is_replaced);
    RUN(a_guest_reaches_services_of_the_host);
  } else {
    printf("  skipped: shared mode, because libslirp.so.0 is not installed\n");
  }
  if (shared && isolated) {
    RUN(names_are_resolved_at_the_gateway);
  } else if (shared) {
    printf("  skipped: the name server, because there is no network namespace to hide in\n");
  }
  return finish();
}
