// SPDX-License-Identifier: MIT
/* The seqpacket endpoint: records as frames, those that cannot be one, and a reader that stops. */
#include "plane_peers.h"

static uint8_t frame[70000];

static bool send_numbered(int fd, const uint8_t to[6], const uint8_t from[6], uint32_t number, uint32_t length) {
  make_frame(frame, length, to, from, number);
  return send_bytes(fd, frame, length);
}

static bool expects(int fd, uint32_t number, uint32_t length) {
  uint32_t found = 0;
  ssize_t count = recv(fd, frame, sizeof frame, 0);
  if (count >= 18) memcpy(&found, frame + 14, 4);
  if (count == (ssize_t)length && found == number) return true;
  fprintf(stderr, "frame %u of %zd bytes instead of %u of %u\n", found, count, number, length);
  return false;
}

/* A switch with two clients at fds, who know each other. */
static int32_t two_clients(int fds[2], bool virtio) {
  int32_t board = make_switch();
  struct vn_writer options = endpoint_options("seqpacket", path_of("s"));
  vn_write_number(&options, "listen", 1);
  vn_write_number(&options, "virtioHeader", virtio);
  CHECK(open_with(board, &options) > 0);
  for (int i = 0; i < 2; i++) CHECK((fds[i] = peer_connect(path_of("s"), SOCK_SEQPACKET)) >= 0);
  CHECK(has_ports(board, 2));
  return board;
}

static void finish_two(int32_t board, int fds[2]) {
  close(fds[0]), close(fds[1]);
  CHECK(client_stop(c, board) == VN_OK);
  event_count = 0;
}

static void test_records_are_frames(void) {
  int fds[2];
  int32_t board = two_clients(fds, false);
  CHECK(send_numbered(fds[0], everybody, mac_a, 1, 18) && expects(fds[1], 1, 18));
  CHECK(send_numbered(fds[1], mac_a, mac_b, 2, 1514) && expects(fds[0], 2, 1514));
  for (uint32_t i = 0; i < 2000; i += 50) { /* more than a batch holds, as the peer reads */
    for (uint32_t k = i; k < i + 50; k++) CHECK(send_numbered(fds[0], mac_b, mac_a, k, 64 + k % 1400));
    for (uint32_t k = i; k < i + 50; k++) CHECK(expects(fds[1], k, 64 + k % 1400));
  }
  CHECK(number_of(board, VN_GET_STATS, "frames") == 2002 && client_number(c, "droppedFull") == 0);
  finish_two(board, fds);
}

static void test_records_that_are_no_frames_are_counted(void) {
  int fds[2];
  int32_t board = two_clients(fds, false);
  CHECK(send_numbered(fds[0], everybody, mac_a, 1, 60) && expects(fds[1], 1, 60));
  for (int i = 0; i < 5; i++) CHECK(send_bytes(fds[0], "", 0));
  CHECK(reaches(board, VN_GET_STATS, "droppedBad", 5));
  CHECK(send_numbered(fds[0], everybody, mac_a, 2, 70000) && reaches(board, VN_GET_STATS, "droppedTooLong", 1));
  CHECK(send_numbered(fds[0], everybody, mac_a, 3, 1515) && reaches(board, VN_GET_STATS, "droppedTooLong", 2));
  CHECK(send_bytes(fds[0], frame, 13) && reaches(board, VN_GET_STATS, "droppedTooShort", 1));
  CHECK(send_numbered(fds[0], everybody, mac_a, 4, 60) && expects(fds[1], 4, 60));
  send_bytes(fds[0], "", 0), send_numbered(fds[0], everybody, mac_a, 5, 60), send_bytes(fds[0], "", 0);
  shutdown(fds[0], SHUT_WR);
  CHECK(expects(fds[1], 5, 60) && hung_up(fds[0]));
  CHECK(number_of(board, VN_GET_STATS, "droppedBad") >= 6 && has_ports(board, 2));
  finish_two(board, fds);
}

static void test_a_reader_that_stops_loses_the_newest(void) {
  int fds[2];
  int32_t board = two_clients(fds, false);
  CHECK(send_numbered(fds[1], everybody, mac_b, 1, 60) && expects(fds[0], 1, 60));
  uint32_t sent = 6000, number = 0, last = 0, received = 0;
  for (uint32_t i = 0; i < sent; i++) CHECK(send_numbered(fds[0], mac_b, mac_a, i, 1000));
  CHECK(reaches(board, VN_GET_STATS, "frames", sent + 1));
  uint64_t lost = number_of(board, VN_GET_STATS, "droppedFull");
  CHECK(lost > 0 && lost < sent);
  bool in_order = true;
  while (!quiet(fds[1], 300)) {
    CHECK(recv(fds[1], frame, sizeof frame, 0) == 1000);
    memcpy(&number, frame + 14, 4);
    in_order = in_order && (received == 0 || number > last);
    last = number;
    received++;
  }
  CHECK(in_order && received + lost == sent && number_of(board, VN_GET_STATS, "droppedFull") == lost);
  CHECK(send_numbered(fds[0], mac_b, mac_a, 7, 1000) && expects(fds[1], 7, 1000));
  finish_two(board, fds);
}

static void test_a_virtio_header_comes_and_goes(void) {
  int fds[2];
  int32_t board = two_clients(fds, true);
  uint8_t bytes[12 + 60] = {0};
  for (uint32_t i = 0; i < 3; i++) {
    make_frame(bytes + 12, 60, i ? mac_b : everybody, mac_a, i);
    CHECK(send_bytes(fds[0], bytes, sizeof bytes));
    CHECK(recv(fds[1], frame, sizeof frame, 0) == (ssize_t)sizeof bytes && memcmp(frame + 12, bytes + 12, 60) == 0);
    if (i == 0) CHECK(send_bytes(fds[1], (memcpy(bytes + 18, mac_b, 6), memcpy(bytes + 12, mac_a, 6), bytes), sizeof bytes));
    if (i == 0) CHECK(recv(fds[0], frame, sizeof frame, 0) == (ssize_t)sizeof bytes);
  }
  CHECK(send_bytes(fds[0], bytes, 12) && send_bytes(fds[0], bytes, 5) && reaches(board, VN_GET_STATS, "droppedBad", 2));
  finish_two(board, fds);
}

static void test_pairs_and_descriptors(void) {
  int32_t board = make_switch();
  struct vn_writer options = endpoint_options("seqpacket", NULL);
  vn_write_number(&options, "pair", 1);
  int32_t pair = open_with(board, &options);
  int a = peer_ready((int)client_number(c, "fd")), ends[2], streams[2];
  CHECK(pair > 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, streams) == 0);
  options = endpoint_options("seqpacket", NULL);
  vn_write_number(&options, "fd", (uint64_t)streams[0]);
  CHECK(open_with(board, &options) == -VN_BAD_OPTION && strcmp(client_text(c, "field"), "fd") == 0);
  options = endpoint_options("seqpacket", NULL);
  vn_write_number(&options, "fd", (uint64_t)ends[0]);
  int32_t handed = open_with(board, &options);
  CHECK(handed > 0 && has_ports(board, 2));
  CHECK(send_numbered(a, everybody, mac_a, 1, 60) && expects(ends[1], 1, 60));
  CHECK(send_numbered(ends[1], mac_a, mac_b, 2, 60) && expects(a, 2, 60));
  close(ends[1]), close(streams[0]), close(streams[1]);
  CHECK(reaches(handed, VN_GET_STATE, "status", VN_GONE) && has_ports(board, 1));
  close(a);
  CHECK(reaches(pair, VN_GET_STATE, "status", VN_GONE) && has_ports(board, 0));
  CHECK(client_stop(c, board) == VN_OK);
  event_count = 0;
}

static void test_clients_that_misbehave_leave_nothing(void) {
  int clients = getenv("VN_LONG") && *getenv("VN_LONG") ? 1000 : 50;
  int fds[2], held[10] = {0};
  int32_t board = two_clients(fds, false);
  CHECK(send_numbered(fds[0], everybody, mac_a, 1, 60) && expects(fds[1], 1, 60));
  CHECK(send_numbered(fds[1], everybody, mac_b, 1, 60) && expects(fds[0], 1, 60));
  int before = count_entries("/proc/self/fd");
  for (int i = 0; i < clients; i++) {
    int fd = peer_connect(path_of("s"), SOCK_SEQPACKET);
    CHECK(fd >= 0);
    uint8_t mac[6] = {2, (uint8_t)rand(), (uint8_t)rand(), (uint8_t)rand(), (uint8_t)rand(), (uint8_t)rand()};
    if (i % 5 == 0) send_bytes(fd, "", 0);
    if (i % 5 == 1) send_numbered(fd, mac_c, mac, 1, 70000);
    if (i % 5 == 2) shutdown(fd, SHUT_WR);
    if (i % 5 == 3) send_numbered(fd, mac_c, mac, 1, 60), shutdown(fd, SHUT_RD);
    if (i % 5 == 4) send_bytes(fd, mac, 6);
    int *place = &held[rand() % 10];
    if (*place) close(*place);
    *place = fd;
    CHECK(send_numbered(fds[0], mac_b, mac_a, (uint32_t)i, 60));
    uint32_t number = UINT32_MAX;
    while (number != (uint32_t)i && recv(fds[1], frame, sizeof frame, 0) > 0) /* floods of the others come too */
      if (memcmp(frame + 6, mac_a, 6) == 0) memcpy(&number, frame + 14, 4);
    CHECK(number == (uint32_t)i);
  }
  for (int i = 0; i < 10; i++) if (held[i]) close(held[i]);
  CHECK(settles("/proc/self/fd", before));
  struct port_seen ports[256];
  CHECK(ports_of(board, ports, 256) <= 2 + 64);
  finish_two(board, fds);
}

int main(void) {
  peers_begin();
  RUN(test_records_are_frames);
  RUN(test_records_that_are_no_frames_are_counted);
  RUN(test_a_reader_that_stops_loses_the_newest);
  RUN(test_a_virtio_header_comes_and_goes);
  RUN(test_pairs_and_descriptors);
  RUN(test_clients_that_misbehave_leave_nothing);
  return peers_finish();
}
