// SPDX-License-Identifier: MIT
/*
 * macho_plane_test.c - the data plane of the very dylib that Macs get, in the loader: a switch over an interface of
 * vmnet,
 * stream, TCP and datagram endpoints on it, taps and intercepts by libpcap, a capture file. What the endpoints do with
 * clients of every kind is in tests/plane_*_test.c, of which macho.mk runs those that know nothing but the ABI here
 * too.
 */
#define _GNU_SOURCE
#include <sys/wait.h>

#include "plane_peers.h"

static uint8_t frame[1514];

/* A UDP frame from a to b or, from being mac_b, back. */
static const uint8_t *udp(const uint8_t from[6], uint16_t port, uint32_t number) {
  memset(frame, 0, 100);
  memcpy(frame, from == mac_a ? mac_b : mac_a, 6);
  memcpy(frame + 6, from, 6);
  frame[12] = 8, frame[14] = 0x45, frame[17] = 86, frame[22] = 64, frame[23] = 17;
  memcpy(frame + 26, (uint8_t[]){10, 0, 0, 1, 10, 0, 0, 2}, 8);
  frame[36] = (uint8_t)(port >> 8), frame[37] = (uint8_t)port;
  memcpy(frame + 42, &number, 4);
  return frame;
}

static uint32_t udp_number(const uint8_t *bytes) {
  uint32_t number;
  memcpy(&number, bytes + 42, 4);
  return number;
}

static bool receives(int fd, uint32_t number) {
  uint8_t got[1514];
  int count = stream_receive(fd, got, sizeof got);
  if (count == 100 && udp_number(got) == number) return true;
  fprintf(stderr, "frame %u of %d bytes instead of %u\n", count == 100 ? udp_number(got) : 0, count, number);
  return false;
}

static int32_t hook(int32_t board, uint32_t op, const char *filter) {
  struct vn_writer options = {.data = NULL};
  if (filter) vn_write_text(&options, "filter", filter);
  uint32_t status = client_call(c, board, op, &options);
  return status ? -(int32_t)status : client_handle(c);
}

/* Two guests on a pair each, who know each other. */
static int guests[2];
static int32_t switch_with_guests(void) {
  int32_t board = make_switch();
  for (int i = 0; i < 2; i++) {
    struct vn_writer options = endpoint_options("stream", NULL);
    vn_write_number(&options, "pair", 1);
    CHECK(open_with(board, &options) > 0);
    guests[i] = peer_ready((int)client_number(c, "fd"));
  }
  memcpy(frame, everybody, 6);
  CHECK(has_ports(board, 2) && stream_send(guests[0], udp(mac_a, 1, 0), 100) && receives(guests[1], 0));
  CHECK(stream_send(guests[1], udp(mac_b, 1, 1), 100) && receives(guests[0], 1));
  return board;
}

static void end(int32_t board) {
  CHECK(client_stop(c, board) == VN_OK && hung_up(guests[0]) && hung_up(guests[1]));
  close(guests[0]), close(guests[1]);
  event_count = 0;
}

/* The filter is this system's libpcap, called by the dylib under the name that a Mac has it by. */
static void a_tap_copies_what_its_filter_names(void) {
  int32_t board = switch_with_guests(), all = hook(board, VN_OP_TAP_OPEN, NULL);
  int32_t tap = hook(board, VN_OP_TAP_OPEN, "udp port 53");
  bool filters = tap > 0;
  if (!filters) CHECK(tap == -VN_MISSING && strcmp(client_text(c, "needs"), "libpcap") == 0);
  if (filters) CHECK(hook(board, VN_OP_TAP_OPEN, "udp prt 53") == -VN_BAD_OPTION);
  if (filters) CHECK(strstr(client_text(c, "message"), "syntax error") != NULL);
  for (uint32_t i = 0; i < 20; i++) {
    CHECK(stream_send(guests[0], udp(mac_a, i % 2 ? 53 : 54, i), 100) && receives(guests[1], i));
  }
  int32_t count = 0, seen = 0;
  while (seen < 20 && (count = client_drain(c, all, BATCH, 500)) > 0)
    for (int32_t i = 0; i < count; i++, seen++) CHECK(udp_number(client_frame(c, i)) == (uint32_t)seen);
  CHECK(seen == 20 && client_drain(c, all, BATCH, 0) == 0);
  for (seen = 0; filters && seen < 10 && (count = client_drain(c, tap, BATCH, 500)) > 0;)
    for (int32_t i = 0; i < count; i++, seen++) CHECK(udp_number(client_frame(c, i)) == (uint32_t)(2 * seen + 1));
  CHECK(!filters || (seen == 10 && number_of(tap, VN_GET_STATS, "matched") == 10));
  if (!filters) printf("       without filters: there is no libpcap for this processor\n");
  end(board);
}

static void an_intercept_decides(void) {
  int32_t board = switch_with_guests(), intercept = hook(board, VN_OP_INTERCEPT_OPEN, NULL);
  CHECK(intercept > 0);
  for (uint32_t i = 0; i < 20; i++) {
    CHECK(stream_send(guests[0], udp(mac_a, 53, i), 100));
    CHECK(client_drain(c, intercept, 1, 1000) == 1);
    if (i % 2 == 0) CHECK(vn_send(intercept, c->arena, ARENA, c->descriptors, 0, 1) == 1 && receives(guests[1], i));
  }
  CHECK(quiet(guests[1], 20) && number_of(intercept, VN_GET_STATS, "matched") == 20);
  CHECK(client_stop(c, intercept) == VN_OK);
  CHECK(stream_send(guests[0], udp(mac_a, 53, 99), 100) && receives(guests[1], 99));
  end(board);
}

static void a_port_is_limited_and_bound_to_its_address(void) {
  int32_t board = switch_with_guests();
  struct vn_writer options = {.data = NULL};
  vn_write_number(&options, "port", port_of(board, 0).number);
  vn_write_number(&options, "antiSpoof", 1);
  vn_write_bytes(&options, "mac", mac_c, 6);
  CHECK(client_call(c, board, VN_OP_PORT_SET, &options) == VN_OK);
  /* One of the two is the newest port, and is heard no more. */
  CHECK(stream_send(guests[0], udp(mac_a, 53, 7), 100) && stream_send(guests[1], udp(mac_b, 53, 8), 100));
  CHECK(reaches(board, VN_GET_STATS, "droppedSpoofed", 1));
  end(board);
}

/* One endpoint of each kind on one switch, and a frame from each to all others. */
static void endpoints_of_every_kind_talk(void) {
  static const uint8_t mac[6] = {2, 0, 0, 0, 0, 0x77};
  int32_t board = make_switch();
  CHECK(listen_at(board, "stream", path_of("s"), 0) > 0 && listen_at(board, "datagram", path_of("d"), 0) > 0);
  struct vn_writer options = endpoint_options("stream", NULL);
  vn_write_number(&options, "port", 0);
  vn_write_number(&options, "listen", 1);
  CHECK(open_with(board, &options) > 0);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)client_number(c, "port"))};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  struct sockaddr_un own = {.sun_family = AF_UNIX}, there = {.sun_family = AF_UNIX};
  snprintf(own.sun_path, sizeof own.sun_path, "%s", path_of("me"));
  snprintf(there.sun_path, sizeof there.sun_path, "%s", path_of("d"));
  int local = peer_connect(path_of("s"), SOCK_STREAM), tcp = peer_ready(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  int message = peer_ready(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  CHECK(connect(tcp, (struct sockaddr *)&to, sizeof to) == 0 && bind(message, (struct sockaddr *)&own, sizeof own) == 0);
  CHECK(connect(message, (struct sockaddr *)&there, sizeof there) == 0 && send_bytes(message, "VFKT", 4));
  CHECK(has_ports(board, 3));
  make_frame(frame, 1514, everybody, mac, 5);
  uint8_t got[2000];
  CHECK(stream_send(local, frame, 1514) && stream_expects(tcp, 5, 1514));
  CHECK(recv(message, got, sizeof got, 0) == 1514 && memcmp(got, frame, 1514) == 0);
  make_frame(frame, 60, everybody, mac_a, 6);
  CHECK(stream_send(tcp, frame, 60) && stream_expects(local, 6, 60) && recv(message, got, sizeof got, 0) == 60);
  make_frame(frame, 60, everybody, mac_b, 7);
  CHECK(send_bytes(message, frame, 60) && stream_expects(local, 7, 60) && stream_expects(tcp, 7, 60));
  struct event_seen event;
  bool of_tcp = false, of_message = false;
  for (int i = 0; i < 3; i++) {
    CHECK(next_event(board, "connected", &event));
    of_tcp = of_tcp || strncmp(event.detail, "127.0.0.1:", 10) == 0;
    of_message = of_message || strcmp(event.detail, own.sun_path) == 0;
  }
  CHECK(of_tcp && of_message);
  CHECK(client_stop(c, board) == VN_OK && hung_up(local) && hung_up(tcp));
  close(local), close(tcp), close(message), unlink(own.sun_path);
  event_count = 0;
}

/* Connected datagrams go by the private calls, 64 of a batch, and by the public ones where those are missing. */
static void many_datagrams_pass_in_order(void) {
  int32_t boards[2] = {make_switch(), make_switch()};
  struct vn_writer options = endpoint_options("datagram", NULL);
  vn_write_number(&options, "pair", 1);
  CHECK(open_with(boards[0], &options) > 0);
  uint64_t fd = client_number(c, "fd");
  options = endpoint_options("datagram", NULL);
  vn_write_number(&options, "fd", fd);
  CHECK(open_with(boards[1], &options) > 0);
  for (int i = 0; i < 2; i++) {
    options = endpoint_options("stream", NULL);
    vn_write_number(&options, "pair", 1);
    CHECK(open_with(boards[i], &options) > 0);
    guests[i] = peer_ready((int)client_number(c, "fd"));
  }
  CHECK(has_ports(boards[0], 2) && has_ports(boards[1], 2));
  for (uint32_t sent = 0; sent < 2000;) {
    for (uint32_t i = 0; i < 50; i++, sent++) {
      make_frame(frame, 60 + sent % 1400, everybody, mac_a, sent);
      CHECK(stream_send(guests[0], frame, 60 + sent % 1400));
    }
    for (uint32_t i = sent - 50; i < sent; i++) CHECK(stream_expects(guests[1], i, 60 + i % 1400));
  }
  CHECK(number_of(boards[0], VN_GET_STATS, "droppedFull") == 0 && client_stop(c, boards[0]) == VN_OK);
  CHECK(client_stop(c, boards[1]) == VN_OK);
  close(guests[0]), close(guests[1]);
}

static void a_capture_file_is_replayed(void) {
  static const uint8_t mac[6] = {2, 0, 0, 0, 0, 0x55};
  int32_t board = switch_with_guests();
  char path[100];
  snprintf(path, sizeof path, "%s", path_of("capture"));
  FILE *file = fopen(path, "w");
  uint32_t header[6] = {0xa1b2c3d4, 2 | 4 << 16, 0, 0, 65535, 1}, record[4] = {1, 0, 64, 64};
  fwrite(header, sizeof header, 1, file);
  for (uint32_t i = 0; i < 3; i++) {
    make_frame(frame, 64, everybody, mac, i);
    fwrite(record, sizeof record, 1, file), fwrite(frame, 64, 1, file);
  }
  fclose(file);
  struct vn_writer options = endpoint_options("replay", path);
  vn_write_number(&options, "speed", 0);
  CHECK(open_with(board, &options) > 0);
  for (uint32_t i = 0; i < 3; i++) CHECK(stream_expects(guests[0], i, 64) && stream_expects(guests[1], i, 64));
  options = endpoint_options("replay", directory);
  CHECK(open_with(board, &options) == -VN_BAD_OPTION);
  unlink(path);
  end(board);
}

/* vmnet's own wire joins two interfaces; a switch has one of them, and a guest reaches the other through it. */
static void an_interface_is_the_uplink_of_a_switch(void) {
  struct vn_writer mode[2] = {{.data = NULL}, {.data = NULL}}, options;
  for (int i = 0; i < 2; i++) vn_write_number(&mode[i], "vmnet_operation_mode", 1000);
  int32_t near = client_start(c, c->context, &mode[0]), far = client_start(c, c->context, &mode[1]);
  CHECK(near > 0 && far > 0 && client_call(c, near, VN_OP_SWITCH_CREATE, NULL) == VN_OK);
  int32_t board = client_handle(c);
  options = endpoint_options("stream", NULL);
  vn_write_number(&options, "pair", 1);
  CHECK(open_with(board, &options) > 0);
  int guest = peer_ready((int)client_number(c, "fd"));
  CHECK(has_ports(board, 2) && client_send(c, near, frame, 60) == -VN_IN_USE);
  for (uint32_t i = 0; i < 500; i++) {
    make_frame(frame, 60, everybody, mac_a, i);
    CHECK(stream_send(guest, frame, 60) && client_expect(c, far, frame, 60, 2000));
    make_frame(frame, 1000, mac_a, mac_b, i);
    CHECK(client_push(c, far, frame, 1000) && stream_expects(guest, i, 1000));
  }
  CHECK(client_stop(c, board) == VN_OK && hung_up(guest));
  close(guest);
  make_frame(frame, 60, everybody, mac_b, 1);
  CHECK(client_push(c, far, frame, 60) && client_expect(c, near, frame, 60, 2000)); /* the script's again */
  CHECK(client_stop(c, near) == VN_OK && client_stop(c, far) == VN_OK);
  event_count = 0;
}

static void what_only_linux_has_says_so(void) {
  int32_t board = make_switch();
  struct vn_writer options = endpoint_options("seqpacket", NULL);
  vn_write_number(&options, "pair", 1);
  CHECK(open_with(board, &options) == -VN_UNSUPPORTED && strcmp(client_text(c, "needs"), "Linux") == 0);
  options = endpoint_options("tap", NULL);
  CHECK(open_with(board, &options) == -VN_UNSUPPORTED && strcmp(client_text(c, "needs"), "Linux") == 0);
  CHECK(client_stop(c, board) == VN_OK);
}

/* public: a macOS without recvmsg_x() and sendmsg_x(). */
static int run(bool public) {
  setenv("VMNET_DOUBLE", "wire=hub,macos=26.1", 1);
  if (public) setenv("MACHO_PUBLIC", "1", 1);
  peers_begin();
  if (public) {
    RUN(endpoints_of_every_kind_talk);
    RUN(many_datagrams_pass_in_order);
    return peers_finish();
  }
  RUN(a_tap_copies_what_its_filter_names);
  RUN(an_intercept_decides);
  RUN(a_port_is_limited_and_bound_to_its_address);
  RUN(endpoints_of_every_kind_talk);
  RUN(many_datagrams_pass_in_order);
  RUN(a_capture_file_is_replayed);
  RUN(an_interface_is_the_uplink_of_a_switch);
  RUN(what_only_linux_has_says_so);
  return peers_finish();
}

/* The first in a process of its own, for what was found once is kept. */
int main(void) {
  int status;
  pid_t child = fork();
  if (child == 0) exit(run(true));
  bool passed = child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  return run(false) != 0 || !passed;
}
