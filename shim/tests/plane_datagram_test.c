// SPDX-License-Identifier: MIT
/* Datagram sockets as ports: by path, by descriptor, by a pair; peers that come, speak, leave and come back. */
#include "datagram_fixture.h"

static void test_peers_of_one_path_are_told_apart(void) {
  int32_t board = new_board(), listener = open_listener(board, 0);
  CHECK(listener > 0);
  int a = new_peer("a", true), b = new_peer("b", false), d = new_peer("d", true);
  static uint8_t frame[65562];
  CHECK(a >= 0 && b >= 0 && d >= 0);
  CHECK(say(a, "VFKT", 4) && say(d, "VFKT", 4));
  CHECK(event(board, "connected", "/a") != 0 || event(board, "connected", "/d") != 0);
  CHECK(reaches(listener, "clients", 2));
  make_frame(frame, 60, everybody, mac_b, 1);
  CHECK(say(b, frame, 60) && hears(a, frame, 60, 2000) && hears(d, frame, 60, 2000) && !hears(b, frame, 60, 20));
  CHECK(number_of(listener, "clients") == 3 && number_of(listener, "accepted") == 3);
  make_frame(frame, 1514, mac_b, mac_a, 2);
  CHECK(passes(a, b, frame, 1514) && !hears(d, frame, 1514, 20)); /* known: not flooded */
  make_frame(frame, sizeof frame, mac_a, mac_b, 3);
  CHECK(passes(b, a, frame, sizeof frame));
  for (uint32_t i = 0; i < 500; i++) {
    make_frame(frame, 14 + i, mac_a, mac_b, i), make_frame(frame, 18, mac_a, mac_b, i);
    CHECK(say(b, frame, 18 + i) && hears(a, frame, 18 + i, 2000));
  }
  CHECK(client_stop(c, listener) == VN_OK && access(address_of("switch").sun_path, F_OK) != 0);
  CHECK(client_stop(c, board) == VN_OK);
  close(a), close(b), close(d);
}

/* Then nothing ends it, and Linux tells a length that is one more than there is room for. */
static void test_a_name_may_fill_its_address(void) {
  int32_t board = new_board(), listener = open_listener(board, 0);
  struct sockaddr_un own = {.sun_family = AF_UNIX};
  char path[sizeof own.sun_path + 1] = "";
  size_t most = IN_LOADER ? 104 : sizeof own.sun_path, at = strlen(directory);
  memset(path, 'x', most);
  memcpy(path, directory, at);
  path[at] = '/';
  memcpy(own.sun_path, path, most);
  int a = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), b = new_peer("b", true);
  CHECK(bind(a, (struct sockaddr *)&own, sizeof own) == 0);
  uint8_t frame[60];
  make_frame(frame, 60, mac_b, mac_a, 1);
  CHECK(say(b, "VFKT", 4) && reaches(listener, "clients", 1) && passes(a, b, frame, 60));
  make_frame(frame, 60, mac_a, mac_b, 2);
  CHECK(passes(b, a, frame, 60) && number_of(listener, "clients") == 2);
  CHECK(client_stop(c, board) == VN_OK);
  close(a), close(b);
  CHECK(unlink(path) == 0);
}

static void test_what_is_no_frame_is_counted(void) {
  int32_t board = new_board(), listener = open_listener(board, 0);
  int a = new_peer("a", true), b = new_peer("b", true), nobody = new_peer(NULL, true), runt = new_peer("runt", true);
  static uint8_t frame[70000];
  make_frame(frame, sizeof frame, everybody, mac_a, 1);
  CHECK(say(a, "VFKT", 4) && say(b, "VFKT", 4) && reaches(listener, "clients", 2));
  CHECK(say(a, frame, 0) && say(a, frame, 13) && say(a, "VFKt", 4) && reaches(board, "droppedBad", 3));
  CHECK(say(a, frame, 70000) && say(a, frame, 65563) && reaches(board, "droppedTooLong", 2));
  CHECK(say(nobody, frame, 60) && say(runt, frame, 0) && say(runt, frame, 13) && reaches(board, "droppedBad", 6));
  CHECK(number_of(listener, "droppedBad") == 3 && number_of(listener, "clients") == 2);
  CHECK(say(nobody, "VFKT", 4) && reaches(board, "droppedBad", 7));
  CHECK(passes(a, b, frame, 1514));
  CHECK(client_stop(c, board) == VN_OK);
  close(a), close(b), close(nobody), close(runt);
}

static void test_a_peer_comes_back_to_its_port(void) {
  int32_t board = new_board(), listener = open_listener(board, 0);
  uint8_t frame[60];
  int a = new_peer("a", true), b = new_peer("b", true);
  CHECK(say(a, "VFKT", 4));
  uint64_t port = event(board, "connected", "/a");
  CHECK(say(b, "VFKT", 4) && event(board, "connected", "/b") != 0);
  make_frame(frame, 60, mac_b, mac_a, 1);
  CHECK(passes(a, b, frame, 60));
  for (int round = 0; round < 3; round++) {
    close(a);
    if (round == 1) unlink(address_of("a").sun_path);
    make_frame(frame, 60, everybody, mac_b, 10);
    CHECK(say(b, frame, 60) && event(board, "disconnected", "/a") == port);
    CHECK(number_of(listener, "clients") == 1);
    CHECK(say(b, frame, 60) && reaches(board, "droppedFull", 1));
    a = new_peer("a", round != 2); /* the last one unconnected */
    make_frame(frame, 60, mac_b, mac_a, 2);
    CHECK(passes(a, b, frame, 60));
    CHECK(event(board, "reconnected", "/a") == port);
    make_frame(frame, 60, mac_a, mac_b, 3);
    CHECK(passes(b, a, frame, 60));
    CHECK(port_number(board, 1, "framesIn") == (uint64_t)round + 2 && number_of(listener, "accepted") == 2);
  }
  /* Gone and back before anybody noticed: its new socket is connected to another one of ours. */
  close(a);
  a = new_peer("a", true);
  make_frame(frame, 60, mac_b, mac_a, 4);
  CHECK(passes(a, b, frame, 60));
  make_frame(frame, 60, mac_a, mac_b, 5);
  CHECK(passes(b, a, frame, 60) && number_of(listener, "clients") == 2);
  CHECK(client_stop(c, board) == VN_OK);
  close(a), close(b);
}

static void test_newcomers_above_the_limit_are_refused(void) {
  int32_t board = new_board(), listener = open_listener(board, 2);
  uint8_t frame[60];
  int a = new_peer("a", true), b = new_peer("b", true), d = new_peer("d", true);
  CHECK(say(a, "VFKT", 4) && say(b, "VFKT", 4) && reaches(listener, "clients", 2));
  CHECK(say(d, "VFKT", 4) && reaches(listener, "refused", 1) && number_of(listener, "clients") == 2);
  make_frame(frame, 60, everybody, mac_a, 1);
  close(b);
  CHECK(say(a, frame, 60) && event(board, "disconnected", "/b") != 0);
  make_frame(frame, 60, everybody, mac_s, 2);
  CHECK(passes(d, a, frame, 60)); /* who is absent makes room */
  CHECK(client_stop(c, board) == VN_OK);
  close(a), close(d);
}

static void test_descriptors_and_pairs(void) {
  int32_t board = new_board();
  struct vn_writer options = options_for(NULL, false);
  vn_write_number(&options, "pair", 1);
  int32_t first = open_with(board, &options);
  int a = (int)client_number(c, "fd"), pair[2];
  CHECK(first > 0 && a > 2);
  socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
  options = options_for(NULL, false);
  vn_write_number(&options, "fd", (uint64_t)pair[0]);
  int32_t second = open_with(board, &options);
  CHECK(second > 0 && fcntl(pair[0], F_GETFD) < 0); /* taken over */
  uint8_t frame[1514];
  make_frame(frame, sizeof frame, mac_b, mac_a, 1);
  CHECK(send(a, frame, sizeof frame, 0) == sizeof frame && hears(pair[1], frame, sizeof frame, 2000));
  make_frame(frame, sizeof frame, mac_a, mac_b, 2);
  CHECK(send(pair[1], frame, sizeof frame, 0) == sizeof frame && hears(a, frame, sizeof frame, 2000));
  close(a);
  send(pair[1], frame, sizeof frame, 0);
  c->result[0] = 0;
  bool ended = false;
  for (int i = 0; i < 400 && !ended; i++, usleep(5000)) ended = client_get(c, first, VN_GET_STATE) && client_number(c, "status") == VN_GONE;
  CHECK(ended); /* the child is gone */
  CHECK(client_get(c, second, VN_GET_STATE) && client_number(c, "status") == VN_OK);
  int stream[2], lonely = socket(AF_UNIX, SOCK_DGRAM, 0), file = open("/dev/null", O_RDWR);
  socketpair(AF_UNIX, SOCK_STREAM, 0, stream);
  int wrong[] = {stream[0], lonely, file, 9999};
  for (int i = 0; i < 4; i++) {
    options = options_for(NULL, false);
    vn_write_number(&options, "fd", (uint64_t)wrong[i]);
    CHECK(open_with(board, &options) == -VN_BAD_OPTION && strcmp(client_text(c, "field"), "fd") == 0);
    CHECK(i == 3 || fcntl(wrong[i], F_GETFD) >= 0); /* stays the script's */
  }
  CHECK(client_stop(c, board) == VN_OK);
  vn_close(first), vn_close(second);
  close(pair[1]), close(stream[0]), close(stream[1]), close(lonely), close(file);
}

static void test_a_listener_elsewhere_is_connected_to(void) {
  int32_t board = new_board();
  struct vn_writer options = options_for("other", false);
  vn_write_number(&options, "reconnect", 0);
  CHECK(open_with(board, &options) < 0 && strcmp(client_text(c, "field"), "path") == 0); /* nobody is there */
  struct sockaddr_un at = address_of("other"), peer;
  uint8_t frame[60], got[100];
  socklen_t length = sizeof peer;
  int other = socket(AF_UNIX, SOCK_DGRAM, 0);
  CHECK(bind(other, (struct sockaddr *)&at, sizeof at) == 0);
  options = options_for("other", false);
  vn_write_number(&options, "reconnect", 1);
  int32_t endpoint = open_with(board, &options);
  CHECK(endpoint > 0);
  CHECK(recvfrom(other, got, sizeof got, 0, (struct sockaddr *)&peer, &length) == 4 && memcmp(got, "VFKT", 4) == 0);
  options = options_for(NULL, false);
  vn_write_number(&options, "pair", 1);
  int32_t second = open_with(board, &options);
  int a = (int)client_number(c, "fd");
  make_frame(frame, 60, mac_b, mac_a, 1);
  CHECK(send(a, frame, 60, 0) == 60 && hears(other, frame, 60, 2000));
  make_frame(frame, 60, mac_a, mac_b, 2);
  CHECK(sendto(other, frame, 60, 0, (struct sockaddr *)&peer, length) == 60 && hears(a, frame, 60, 2000));
  close(other);
  unlink(at.sun_path);
  make_frame(frame, 60, everybody, mac_a, 3);
  CHECK(send(a, frame, 60, 0) == 60);
  uint64_t port = event(board, "disconnected", "/other");
  CHECK(port != 0);
  other = socket(AF_UNIX, SOCK_DGRAM, 0);
  CHECK(bind(other, (struct sockaddr *)&at, sizeof at) == 0);
  CHECK(event(board, "reconnected", "/other") == port);
  make_frame(frame, 60, mac_b, mac_a, 4);
  CHECK(send(a, frame, 60, 0) == 60 && hears(other, frame, 60, 2000));
  CHECK(client_stop(c, endpoint) == VN_OK && client_stop(c, second) == VN_OK && client_stop(c, board) == VN_OK);
  unlink(at.sun_path);
  close(other), close(a);
}

static void test_virtio_headers_are_taken_off_and_put_on(void) {
  int32_t board = new_board();
  struct vn_writer options = options_for("switch", true);
  vn_write_number(&options, "virtioHeader", 1);
  CHECK(open_with(board, &options) > 0);
  options = options_for(NULL, false);
  vn_write_number(&options, "pair", 1);
  int32_t plain = open_with(board, &options);
  int a = new_peer("a", true), b = (int)client_number(c, "fd");
  uint8_t bytes[12 + 60] = {0}, *frame = bytes + 12;
  make_frame(frame, 60, mac_b, mac_a, 1);
  CHECK(say(a, bytes, 72) && hears(b, frame, 60, 2000));
  make_frame(frame, 60, mac_a, mac_b, 2);
  bytes[10] = 1; /* one buffer */
  CHECK(send(b, frame, 60, 0) == 60 && hears(a, bytes, 72, 2000));
  CHECK(say(a, bytes, 25) && reaches(board, "droppedBad", 1));
  bytes[1] = 77; /* no such segmentation */
  make_frame(frame, 60, mac_b, mac_a, 3);
  CHECK(say(a, bytes, 72) && !hears(b, frame, 60, 30));
  CHECK(client_stop(c, board) == VN_OK);
  vn_close(plain);
  close(a), close(b);
}

static void test_no_file_is_left(void) { remove_files(); }

int main(void) {
  if (!begin_tests()) return 1;
  RUN(test_peers_of_one_path_are_told_apart);
  RUN(test_a_name_may_fill_its_address);
  RUN(test_what_is_no_frame_is_counted);
  RUN(test_a_peer_comes_back_to_its_port);
  RUN(test_newcomers_above_the_limit_are_refused);
  RUN(test_descriptors_and_pairs);
  RUN(test_a_listener_elsewhere_is_connected_to);
  RUN(test_virtio_headers_are_taken_off_and_put_on);
  RUN(test_no_file_is_left);
  return finish();
}
