// SPDX-License-Identifier: MIT
/*
 * gateway_forward_test.c - the program between guest and host: forwards and connections over real sockets.
 *
 * Everything runs in a network namespace of its own where that is allowed, with a name server of its own; else ports on
 * loopback are used that are free, and the test of the name server is left out.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "free_port.h"
#include "gateway_program.h"

static const uint8_t us[6] = {0x52, 0x55, 192, 168, 50, 1};

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

static uint64_t remove_forward(unsigned protocol, uint16_t port, unsigned family) {
  struct vn_writer writer = message("forwardRemove");
  vn_write_number(&writer, "protocol", protocol);
  vn_write_number(&writer, "externalPort", port);
  vn_write_number(&writer, "family", family);
  say(writer);
  return hear("reply") ? number("status") : 9999;
}

static bool connects(uint16_t port) {
  struct sockaddr_in name = loopback(port);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  bool done = connect(fd, (struct sockaddr *)&name, sizeof name) == 0;
  close(fd);
  return done;
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
  if (!program_named()) return 1;
  bool isolated = isolate();
  if (!shared_works()) return finish();
  RUN(forwards_come_and_go);
  RUN(a_killed_gateway_is_replaced);
  RUN(a_guest_reaches_services_of_the_host);
  if (isolated) {
    RUN(names_are_resolved_at_the_gateway);
  } else {
    printf("  skipped: the name server, because there is no network namespace to hide in\n");
  }
  return finish();
}
