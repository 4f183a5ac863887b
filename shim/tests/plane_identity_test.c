// SPDX-License-Identifier: MIT
/* Clients of one listener that say each other's addresses: whose port is whose. */
#include "plane_peers.h"

static uint8_t frame[100];

static bool say(int fd, const uint8_t from[6], uint32_t number) {
  make_frame(frame, 60, everybody, from, number);
  return stream_send(fd, frame, 60);
}

static int come(int32_t board, uint32_t ports) {
  int fd = peer_connect(path_of("s"), SOCK_STREAM);
  CHECK(fd >= 0 && has_ports(board, ports));
  return fd;
}

/* Counted in the switch: the frame has passed. */
static bool passes(int32_t board, int fd, const uint8_t from[6], uint64_t frames) {
  return say(fd, from, (uint32_t)frames) && reaches(board, VN_GET_STATS, "frames", frames);
}

static void test_nobody_comes_back_by_the_address_of_who_is_here(void) {
  int32_t board = make_switch();
  struct event_seen event;
  CHECK(listen_at(board, "stream", path_of("s"), 0) > 0);
  int victim = come(board, 1);
  CHECK(next_event(board, "connected", &event));
  uint32_t number = event.port;
  CHECK(passes(board, victim, mac_a, 1));
  /* One that said it first in its life, one that said it last; both leave with the switch believing them. */
  int thief = come(board, 2);
  CHECK(passes(board, thief, mac_a, 2) && next_event(board, "connected", &event));
  close(thief);
  CHECK(next_event(board, "disconnected", &event) && !event.has_mac && has_ports(board, 1));
  thief = come(board, 2);
  CHECK(next_event(board, "connected", &event));
  uint32_t thiefs = event.port;
  CHECK(passes(board, thief, mac_b, 3) && passes(board, thief, mac_a, 4));
  close(thief);
  CHECK(next_event(board, "disconnected", &event) && event.port == thiefs && !memcmp(event.mac, mac_b, 6));

  /* The victim goes while the switch has its address elsewhere, and still gets its own port back. */
  close(victim);
  CHECK(next_event(board, "disconnected", &event) && event.port == number && !memcmp(event.mac, mac_a, 6));
  CHECK(has_ports(board, 2));
  victim = come(board, 3);
  CHECK(passes(board, victim, mac_a, 5) && next_event(board, "reconnected", &event) && event.port == number);
  CHECK(has_ports(board, 2) && port_of(board, number).frames_in == 2);

  /* Present, it keeps its port whoever says its address, also as a first word; and its next frame brings it its own. */
  thief = come(board, 3);
  CHECK(passes(board, thief, mac_a, 6) && next_event(board, "connected", &event) && event.port != number);
  CHECK(passes(board, victim, mac_a, 7) && stream_expects(thief, 7, 60));
  make_frame(frame, 60, mac_a, mac_c, 8);
  CHECK(stream_send(thief, frame, 60) && stream_expects(victim, 6, 60) && stream_expects(victim, 8, 60));
  close(thief), close(victim);
  CHECK(client_stop(c, board) == VN_OK);
  event_count = 0;
}

/* A first frame that says nothing of its sender takes nobody's place, and leaves the connection as it is. */
static void test_who_says_nothing_is_a_stranger(void) {
  static const uint8_t group[6] = {1, 0, 0, 0, 0, 0xa};
  int32_t board = make_switch();
  struct event_seen event;
  CHECK(listen_at(board, "stream", path_of("s"), 0) > 0);
  int a = come(board, 1);
  CHECK(next_event(board, "connected", &event) && passes(board, a, mac_a, 1));
  close(a);
  CHECK(next_event(board, "disconnected", &event));
  uint32_t number = event.port;
  for (uint32_t i = 0; i < 2; i++) {
    a = come(board, 2);
    if (i == 0) CHECK(passes(board, a, group, 2));
    else CHECK(send_bytes(a, "\0\0\0\7abcdefg", 11) && reaches(board, VN_GET_STATS, "frames", 3));
    CHECK(next_event(board, "connected", &event) && event.port != number && !event.has_mac);
    close(a);
    CHECK(next_event(board, "disconnected", &event) && event.port != number && has_ports(board, 1));
  }
  CHECK(client_stop(c, board) == VN_OK);
  event_count = 0;
}

int main(void) {
  peers_begin();
  RUN(test_nobody_comes_back_by_the_address_of_who_is_here);
  RUN(test_who_says_nothing_is_a_stranger);
  return peers_finish();
}
