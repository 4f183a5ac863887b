// SPDX-License-Identifier: MIT
/* Peers of a datagram endpoint that stall, that misbehave, and that vanish: what the others notice, and what stays. */
#include <pthread.h>

#include "datagram_fixture.h"

/* A pair of peers that sends and reads as fast as it can. */
struct flow {
  int from, to;
  vn_atomic_u64 got;
  vn_atomic_u32 stop;
};

static void *send_flow(void *argument) {
  struct flow *flow = argument;
  uint8_t frame[1514];
  make_frame(frame, sizeof frame, mac_b, mac_a, 0);
  struct pollfd slot = {.fd = flow->from, .events = POLLOUT};
  while (!vn_atomic_load(&flow->stop))
    if (send(flow->from, frame, sizeof frame, 0) < 0) poll(&slot, 1, 1);
  return NULL;
}

static void *read_flow(void *argument) {
  struct flow *flow = argument;
  static uint8_t bytes[2000];
  struct pollfd slot = {.fd = flow->to, .events = POLLIN};
  while (!vn_atomic_load(&flow->stop)) {
    if (recv(flow->to, bytes, sizeof bytes, 0) >= 0) vn_count(&flow->got, 1);
    else poll(&slot, 1, 1);
  }
  return NULL;
}

static uint64_t frames_in(struct flow *flow, int ms) {
  uint64_t before = vn_counted(&flow->got);
  usleep((unsigned)ms * 1000);
  return vn_counted(&flow->got) - before;
}

static void flood(int from) {
  uint8_t frame[1514];
  make_frame(frame, sizeof frame, mac_s, mac_f, 0);
  for (int i = 0; i < 300; i++) send(from, frame, sizeof frame, 0);
}

static int compare(const void *a, const void *b) { return *(const double *)a < *(const double *)b ? -1 : 1; }

/* Rounds without and with traffic for a peer that does not read, one after the other. */
static void test_a_stalled_peer_costs_the_others_nothing(void) {
  int32_t board = new_board(), listener = open_listener(board, 0);
  int stalled = joined("s", listener, 1), source = joined("f", listener, 2);
  struct flow flow = {.from = joined("a", listener, 3), .to = joined("b", listener, 4)};
  uint8_t frame[60];
  make_frame(frame, 60, everybody, mac_s, 0);
  CHECK(say(stalled, frame, 60));
  make_frame(frame, 60, everybody, mac_b, 0);
  CHECK(say(flow.to, frame, 60));
  pthread_t threads[2];
  pthread_create(&threads[0], NULL, send_flow, &flow);
  pthread_create(&threads[1], NULL, read_flow, &flow);
  usleep(50000);
  double ratios[15], rate = 0;
  int rounds = LONG_RUN ? 15 : 7;
  for (int i = 0; i < rounds; i++) {
    uint64_t free_frames = 0, stalled_frames = 0;
    for (int k = 0; k < 5; k++) free_frames += frames_in(&flow, 20);
    for (int k = 0; k < 5; k++) flood(source), stalled_frames += frames_in(&flow, 20);
    ratios[i] = (double)stalled_frames / (double)(free_frames ? free_frames : 1);
    rate = (double)free_frames / 0.1;
  }
  vn_atomic_store(&flow.stop, 1);
  pthread_join(threads[0], NULL), pthread_join(threads[1], NULL);
  qsort(ratios, (size_t)rounds, sizeof *ratios, compare);
  printf("       %.0f frames/s beside; with one stalled %.2f of it (%.2f to %.2f)\n", rate, ratios[rounds / 2], ratios[0], ratios[rounds - 1]);
  CHECK(ratios[rounds / 2] > 0.6); /* the bar of 0.85 is the benchmark's, on a quiet machine */
  for (int i = 0; i < 2000 && number_of(board, "droppedFull") < 100; i++) flood(source), usleep(1000);
  CHECK(number_of(board, "droppedFull") >= 100);
  CHECK(event(board, "stalled", "") != 0);
  /* When it reads again it gets frames again, and of the old ones at most what its socket and the queue hold. */
  static uint8_t bytes[2000];
  while (recv(stalled, bytes, sizeof bytes, MSG_DONTWAIT) >= 0) continue;
  usleep(20000);
  make_frame(frame, 60, mac_s, mac_f, 77);
  bool heard = false;
  for (int i = 0; i < 50 && !heard; i++) say(source, frame, 60), heard = hears(stalled, frame, 60, 20);
  CHECK(heard);
  CHECK(client_stop(c, board) == VN_OK);
  close(stalled), close(source), close(flow.from), close(flow.to);
}

/* After a second its socket of ours is connected to a peer that is alone on it. All goes on, whatever the peer is like.
 * */
static void test_peers_go_on_when_they_are_joined(void) {
  int32_t board = new_board(), listener = open_listener(board, 0);
  int a = joined("a", listener, 1), b = new_peer("b", false);
  uint8_t frame[60];
  make_frame(frame, 60, everybody, mac_b, 0);
  CHECK(passes(b, a, frame, 60) && reaches(listener, "clients", 2));
  usleep(2300000);
  for (uint32_t i = 0; i < 100; i++) {
    make_frame(frame, 60, mac_b, mac_a, i);
    CHECK(passes(a, b, frame, 60));
    make_frame(frame, 60, mac_a, mac_b, i);
    CHECK(passes(b, a, frame, 60));
  }
  int more = 0;
  make_frame(frame, 60, mac_b, mac_a, 1);
  while (more < 200 && say(a, frame, 60)) more++;
  CHECK(more == 200); /* nobody reads b: what is full there holds nobody up here */
  close(b);
  b = new_peer("b", false);
  make_frame(frame, 60, mac_a, mac_b, 2);
  CHECK(passes(b, a, frame, 60));
  make_frame(frame, 60, mac_b, mac_a, 3);
  CHECK(passes(a, b, frame, 60));
  close(a);
  a = new_peer("a", true);
  make_frame(frame, 60, mac_b, mac_a, 4);
  CHECK(passes(a, b, frame, 60));
  make_frame(frame, 60, mac_a, mac_b, 5);
  CHECK(passes(b, a, frame, 60) && number_of(listener, "clients") == 2 && number_of(listener, "accepted") == 2);
  close(b);
  make_frame(frame, 60, everybody, mac_a, 6);
  CHECK(say(a, frame, 60) && event(board, "disconnected", "/b") != 0);
  CHECK(client_stop(c, board) == VN_OK);
  close(a);
}

static void test_a_peer_can_be_turned_out(void) {
  int32_t board = new_board(), listener = open_listener(board, 0);
  int a = new_peer("a", true), b = new_peer("b", true);
  uint8_t frame[60];
  CHECK(say(a, "VFKT", 4));
  uint64_t port = event(board, "connected", "/a");
  CHECK(say(b, "VFKT", 4) && reaches(listener, "clients", 2));
  for (int i = 0; i < 2; i++) {
    struct vn_writer options = {.data = NULL};
    vn_write_number(&options, "port", port);
    vn_write_number(&options, "disconnect", 1);
    CHECK(client_call(c, board, VN_OP_PORT_SET, &options) == (i ? VN_NOT_FOUND : VN_OK));
  }
  CHECK(event(board, "disconnected", "/a") == port && number_of(listener, "clients") == 1);
  make_frame(frame, 60, everybody, mac_a, 1);
  CHECK(passes(a, b, frame, 60) && number_of(listener, "clients") == 2); /* another port from now on */
  CHECK(client_stop(c, board) == VN_OK);
  close(a), close(b);
}

static long resident_kib(void) {
  long pages = 0, resident = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (file == NULL || fscanf(file, "%ld %ld", &pages, &resident) != 2) resident = 0;
  if (file) fclose(file);
  return resident * 4;
}

static void misbehave(int i) {
  char name[16];
  static uint8_t frame[70000];
  snprintf(name, sizeof name, "x%d", i % 200);
  int fd = new_peer(name, i % 3 != 0);
  if (fd < 0) return;
  uint8_t from[6] = {2, 1, 0, 0, (uint8_t)(i >> 8), (uint8_t)i};
  make_frame(frame, sizeof frame, i % 2 ? everybody : mac_a, from, (uint32_t)i);
  if (i % 4 == 0) say(fd, "VFKT", 4);
  for (int k = 0; k < 1 + i % 20; k++) say(fd, frame, (size_t)rand() % 5 ? (size_t)rand() % 1600 : (size_t)rand() % sizeof frame);
  if (i % 5 == 0) shutdown(fd, i % 2 ? SHUT_RD : SHUT_RDWR);
  if (i % 7 == 0) unlink(address_of(name).sun_path);
  close(fd);
}

/* They still talk, if not at once: what the others flood may fill the queue. Who speaks reads, too, because in the loader
 * Linux charges the one socket that there is on a Mac for what lies unread, and then nobody hears anything. */
static bool still_passes(int from, int to, uint8_t *frame, uint32_t length) {
  static uint8_t bytes[80000];
  for (int i = 0; i < 100; i++) {
    while (recv(from, bytes, sizeof bytes, MSG_DONTWAIT) >= 0) continue;
    if (say(from, frame, length) && hears(to, frame, length, 100)) return true;
  }
  return false;
}

static void test_bad_peers_leave_nothing(void) {
  int before_fds = count_entries("/proc/self/fd"), most = 0;
  int32_t board = new_board(), listener = open_listener(board, 8);
  int good = new_peer("good", true), other = new_peer("other", true), count = LONG_RUN ? 1000 : 50;
  CHECK(say(good, "VFKT", 4) && say(other, "VFKT", 4) && reaches(listener, "clients", 2));
  uint8_t frame[60], bytes[2000];
  long kib = 0;
  for (int i = 0; i < count; i++) {
    misbehave(i);
    while (recv(good, bytes, sizeof bytes, MSG_DONTWAIT) >= 0 || recv(other, bytes, sizeof bytes, MSG_DONTWAIT) >= 0) continue;
    int fds = count_entries("/proc/self/fd");
    if (fds > most) most = fds;
    if (i == count / 2) kib = resident_kib();
    make_frame(frame, 60, everybody, mac_a, (uint32_t)i);
    if (i % 10 == 0) CHECK(still_passes(good, other, frame, 60));
  }
  printf("       %d peers: at most %d descriptors more, %ld KiB more in the second half\n", count, most - before_fds, resident_kib() - kib);
  CHECK(most - before_fds <= 8 + 16 + 16); /* clients, spare sockets, and the network's own */
  CHECK(client_stop(c, board) == VN_OK);
  vn_close(listener);
  close(good), close(other);
  CHECK(settles("/proc/self/fd", before_fds));
}

static void test_ends_at_any_time_leave_nothing(void) {
  int before = count_entries("/proc/self/fd");
  for (int i = 0; i < 20; i++) {
    int32_t board = new_board(), listener = open_listener(board, 0);
    int a = new_peer("a", true), b = new_peer("b", i % 2);
    uint8_t frame[60];
    make_frame(frame, 60, everybody, mac_a, 1);
    for (int k = 0; k < i; k++) say(a, frame, 60), say(b, frame, 60);
    if (i % 3 == 0) CHECK(client_stop(c, listener) == VN_OK);
    else if (i % 3 == 1) vn_close(listener);
    CHECK(client_stop(c, board) == VN_OK);
    if (i % 3 == 2) vn_close(listener);
    close(a), close(b);
  }
  CHECK(settles("/proc/self/fd", before));
}

static void test_no_file_is_left(void) { remove_files(); }

int main(void) {
  if (!begin_tests()) return 1;
  /* Linux charges the one socket that there is on a Mac for what a peer does not read. */
  if (!IN_LOADER) RUN(test_a_stalled_peer_costs_the_others_nothing);
  RUN(test_peers_go_on_when_they_are_joined);
  RUN(test_a_peer_can_be_turned_out);
  RUN(test_bad_peers_leave_nothing);
  RUN(test_ends_at_any_time_leave_nothing);
  RUN(test_no_file_is_left);
  return finish();
}
