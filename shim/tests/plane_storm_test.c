// SPDX-License-Identifier: MIT
/* Clients in masses, listeners that come and go under them, endpoints, boards and networks that end side by side. */
#include <pthread.h>
#include <sys/resource.h>

#include "plane_peers.h"

static vn_atomic_u32 over, got_in;
static const char *stormed;
static int storm_type;

/* Connects as fast as it can, and leaves with or without a word. */
static void *storm(void *argument) {
  uint8_t bytes[4 + 60] = {[3] = 60, [10] = 2, [15] = (uint8_t)(uintptr_t)argument};
  memset(bytes + 4, 255, 6);
  for (uint32_t i = 0; !vn_atomic_load(&over); i++) {
    int fd = peer_connect(stormed, storm_type | SOCK_NONBLOCK);
    if (fd < 0) continue;
    vn_atomic_add(&got_in, 1);
    bytes[14] = (uint8_t)i;
    size_t skip = storm_type == SOCK_STREAM ? 0 : 4, length = i % 3 == 0 ? 64 - skip : i % 3 == 1 ? 7 : 0;
    if (length > 0) send(fd, bytes + skip, length, MSG_NOSIGNAL);
    close(fd);
  }
  return NULL;
}

static void begin_storm(pthread_t threads[2], const char *path, int type) {
  stormed = path, storm_type = type;
  vn_atomic_store(&over, 0);
  for (uintptr_t i = 0; i < 2; i++) pthread_create(&threads[i], NULL, storm, (void *)i);
}

static void end_storm(pthread_t threads[2]) {
  vn_atomic_store(&over, 1);
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
}

static void test_a_path_is_opened_again_and_again_while_clients_come(void) {
  static const char *const kinds[] = {"stream", "seqpacket"};
  static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET};
  int fds = count_entries("/proc/self/fd");
  uint32_t rounds = getenv("VN_LONG") && getenv("VN_LONG")[0] ? 1000 : 150;
  char path[100];
  strcpy(path, path_of("again"));
  for (int k = 0; k < 2; k++) {
    pthread_t threads[2];
    int32_t board = make_switch();
    begin_storm(threads, path, types[k]);
    for (uint32_t i = 0; i < rounds; i++) {
      int32_t endpoint = listen_at(board, kinds[k], path, i % 4 == 0 ? 1 : 8);
      CHECK(endpoint > 0);
      uint32_t before = vn_atomic_load(&got_in);
      for (int w = 0; w < 200 && vn_atomic_load(&got_in) == before; w++) usleep(50);
      if (i % 5 == 4) vn_close(endpoint), usleep(2000); /* it ends by itself, later */
      else CHECK(client_stop(c, endpoint) == VN_OK);
      for (int w = 0; w < 1000 && access(path, F_OK) == 0; w++) usleep(1000);
      CHECK(access(path, F_OK) != 0);
    }
    end_storm(threads);
    CHECK(has_ports(board, 0) && client_stop(c, board) == VN_OK);
    event_count = 0;
  }
  CHECK(vn_atomic_load(&got_in) > rounds && settles("/proc/self/fd", fds));
}

/* A thousand connects a second, and a flood of datagrams: others are served meanwhile, and everything stays bounded. */
static void test_a_storm_leaves_others_their_turns(void) {
  pthread_t threads[2];
  char path[100];
  strcpy(path, path_of("stormed"));
  int32_t board = make_switch(), quiet_ones = listen_at(board, "stream", path_of("calm"), 2);
  int32_t endpoint = listen_at(board, "stream", path, 0);
  int a = peer_connect(path_of("calm"), SOCK_STREAM), b = peer_connect(path_of("calm"), SOCK_STREAM);
  CHECK(quiet_ones > 0 && endpoint > 0 && a >= 0 && b >= 0);
  uint8_t bytes[60], found[2000];
  make_frame(bytes, 60, everybody, mac_b, 1);
  CHECK(has_ports(board, 2) && stream_send(b, bytes, 60) && stream_receive(a, found, sizeof found) == 60);
  begin_storm(threads, path, SOCK_STREAM);
  uint64_t longest = 0;
  for (uint32_t i = 0; i < 200; i++) {
    uint64_t begin = vn_monotonic_ns();
    make_frame(bytes, 60, mac_b, mac_a, 100000 + i);
    CHECK(stream_send(a, bytes, 60));
    uint32_t number = 0;
    while (number != 100000 + i && stream_receive(b, found, sizeof found) >= 18) memcpy(&number, found + 14, 4);
    if (vn_monotonic_ns() - begin > longest) longest = vn_monotonic_ns() - begin;
    struct port_seen ports[256];
    if (i % 20 == 0) CHECK(ports_of(board, ports, 256) <= 2 + 64 + 64);
    if (i % 20 == 0) CHECK(number_of(endpoint, VN_GET_STATS, "clients") <= 64); /* and never below nothing */
  }
  CHECK(longest < 2000000000);
  end_storm(threads);
  CHECK(reaches(endpoint, VN_GET_STATS, "clients", 0) && number_of(quiet_ones, VN_GET_STATS, "clients") == 2);
  close(a), close(b);
  CHECK(client_stop(c, board) == VN_OK);
  vn_close(quiet_ones), vn_close(endpoint);
  event_count = 0;
}

/* Each datagram from an address that nobody has heard of, as fast as it goes; half of them are gone at once, which on a busy
 * machine is before anybody has looked. */
static void *flood(void *argument) {
  struct sockaddr_un to = {.sun_family = AF_UNIX}, from = {.sun_family = AF_UNIX};
  uint8_t bytes[60];
  strcpy(to.sun_path, stormed);
  make_frame(bytes, sizeof bytes, mac_c, mac_a, 0);
  int stays = -1;
  while (!vn_atomic_load(&over)) {
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&from, sizeof(sa_family_t)) != 0) abort();
    for (size_t i = 0; i < 40; i++)
      sendto(fd, bytes, i % 4 ? sizeof bytes : i / 4, 0, (struct sockaddr *)&to, sizeof to);
    if (vn_atomic_add(&got_in, 1) % 2) {
      close(fd);
    } else {
      if (stays >= 0) close(stays);
      stays = fd;
    }
  }
  if (stays >= 0) close(stays);
  return argument;
}

static void test_a_flood_of_strangers_stays_bounded(void) {
  int fds = count_entries("/proc/self/fd");
  char path[100];
  strcpy(path, path_of("flooded"));
  int32_t board = make_switch(), calm = listen_at(board, "stream", path_of("calm"), 2);
  int32_t endpoint = listen_at(board, "datagram", path, 8);
  int a = peer_connect(path_of("calm"), SOCK_STREAM), b = peer_connect(path_of("calm"), SOCK_STREAM);
  CHECK(calm > 0 && endpoint > 0 && a >= 0 && b >= 0 && has_ports(board, 2));
  uint8_t bytes[60], found[2000];
  make_frame(bytes, 60, everybody, mac_b, 1); /* known from now on; and everybody's absence is noticed */
  pthread_t thread;
  stormed = path;
  vn_atomic_store(&over, 0), vn_atomic_store(&got_in, 0);
  pthread_create(&thread, NULL, flood, NULL);
  uint32_t accepted = 0;
  for (uint32_t i = 0; i < 300 || (i < 30000 && (vn_atomic_load(&got_in) < 100 || accepted <= 8)); i++) {
    make_frame(bytes, 60, everybody, mac_b, 100000 + i);
    CHECK(stream_send(b, bytes, 60));
    uint32_t number = 0;
    while (number != 100000 + i && stream_receive(a, found, sizeof found) >= 18) memcpy(&number, found + 14, 4);
    struct port_seen ports[256];
    if (i % 30 == 0) CHECK(ports_of(board, ports, 256) <= 2 + 8 && number_of(endpoint, VN_GET_STATS, "clients") <= 8);
    if (i % 30 == 0) CHECK(count_entries("/proc/self/fd") < fds + 8 + 16 + 24);
    if (i % 30 == 0) accepted = number_of(endpoint, VN_GET_STATS, "accepted");
  }
  vn_atomic_store(&over, 1);
  pthread_join(thread, NULL);
  CHECK(vn_atomic_load(&got_in) >= 100 && accepted > 8);
  close(a), close(b);
  CHECK(client_stop(c, board) == VN_OK);
  vn_close(calm), vn_close(endpoint);
  CHECK(settles("/proc/self/fd", fds));
  event_count = 0;
}

/* A peer that sends its bytes one by one, and every length that is just right or just wrong. */
static void test_frames_come_whole_whatever_the_pieces(void) {
  static const struct {
    uint32_t length;
    bool passes, ends;
  } cases[] = {{60, true, false}, {1514, true, false}, {1515, false, false}, {14, true, false},      {13, false, false},
               {1, false, false}, {0, false, true},    {65562, false, false}, {65563, false, true}};
  int32_t board = make_switch();
  CHECK(listen_at(board, "stream", path_of("pieces"), 0) > 0);
  int hears = peer_connect(path_of("pieces"), SOCK_STREAM);
  CHECK(has_ports(board, 1));
  static uint8_t bytes[4 + 70000], found[70000];
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int a = peer_connect(path_of("pieces"), SOCK_STREAM);
    uint32_t length = cases[i].length, step = length > 2000 ? 997 : 1;
    for (int again = 0; again < 2; again++) {
      make_frame(bytes + 4, length < 18 ? 18 : length, everybody, mac_a, (uint32_t)i);
      for (int k = 0; k < 4; k++) bytes[k] = (uint8_t)(length >> (24 - 8 * k));
      for (uint32_t at = 0; at < 4 + length && !(cases[i].ends && at >= 4); at += step)
        CHECK(send_bytes(a, bytes + at, at + step > 4 + length ? 4 + length - at : step));
      if (cases[i].ends) break;
      if (cases[i].passes)
        CHECK(stream_receive(hears, found, sizeof found) == (int)length && memcmp(found, bytes + 4, length) == 0);
    }
    if (cases[i].ends) {
      CHECK(hung_up(a));
    } else if (!cases[i].passes) { /* dropped, and the stream goes on */
      make_frame(bytes, 60, everybody, mac_a, 77);
      CHECK(stream_send(a, bytes, 60) && stream_expects(hears, 77, 60));
    }
    close(a);
  }
  CHECK(quiet(hears, 10));
  close(hears);
  CHECK(client_stop(c, board) == VN_OK);
  event_count = 0;
}

/* No descriptors are left: accepting pauses, without a busy thread, and goes on when there are some. */
static void test_without_descriptors_accepting_waits(void) {
  int32_t board = make_switch(), endpoint = listen_at(board, "stream", path_of("full"), 0);
  int first = peer_connect(path_of("full"), SOCK_STREAM), a, count = 0, hoard[64];
  CHECK(endpoint > 0 && has_ports(board, 1));
  struct rlimit before, few;
  getrlimit(RLIMIT_NOFILE, &before);
  few = before;
  few.rlim_cur = (rlim_t)count_entries("/proc/self/fd") + 8;
  CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
  a = socket(AF_UNIX, SOCK_STREAM, 0);
  while (count < 64 && (hoard[count] = dup(0)) >= 0) count++;
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strcpy(address.sun_path, path_of("full"));
  CHECK(connect(a, (struct sockaddr *)&address, sizeof address) == 0);
  struct rusage begin, end;
  getrusage(RUSAGE_SELF, &begin);
  usleep(300000);
  getrusage(RUSAGE_SELF, &end);
  int64_t seconds = end.ru_stime.tv_sec - begin.ru_stime.tv_sec;
  CHECK(seconds * 1000000 + end.ru_stime.tv_usec - begin.ru_stime.tv_usec < 100000);
  CHECK(number_of(endpoint, VN_GET_STATS, "clients") == 1);
  while (count > 0) close(hoard[--count]);
  setrlimit(RLIMIT_NOFILE, &before);
  CHECK(has_ports(board, 2));
  close(a), close(first);
  CHECK(client_stop(c, board) == VN_OK);
  vn_close(endpoint);
  event_count = 0;
}

/* From several contexts, in any order, given up in the middle. */
static void *meddle(void *argument) {
  struct client *own = client_open();
  uint32_t seed = (uint32_t)(uintptr_t)argument * 7919u + 1;
  uint32_t rounds = getenv("VN_LONG") && getenv("VN_LONG")[0] ? 400 : 60;
  static const char *const kinds[] = {"stream", "seqpacket", "datagram"};
  for (uint32_t i = 0; i < rounds; i++) {
    struct vn_writer none = {.data = NULL};
    vn_write_number(&none, "mtu", 1500);
    CHECK(client_call(own, own->context, VN_OP_SWITCH_CREATE, &none) == VN_OK);
    int32_t board = client_handle(own), handles[12], count = 0;
    for (uint32_t k = 0; k < 12; k++) {
      seed = seed * 1664525u + 1013904223u;
      uint32_t dice = seed >> 16;
      char path[100];
      snprintf(path, sizeof path, "%s/m%u", directory, dice % 3);
      struct vn_writer options = endpoint_options(kinds[dice / 3 % 3], dice % 4 == 3 ? NULL : path);
      if (dice % 4 == 3) vn_write_number(&options, "pair", 1);
      else if (dice % 4 != 2) vn_write_number(&options, "listen", 1);
      int32_t operation = vn_call(board, VN_OP_ENDPOINT_OPEN, options.data, options.length, dice % 7 == 0 ? 1 : 1000);
      vn_writer_free(&options);
      if (operation < 0) continue;
      if (dice % 5 == 0) vn_cancel(operation);
      if (dice % 11 == 0) {
        vn_close(operation);
        continue;
      }
      int32_t length;
      while ((length = vn_result(operation, own->result, sizeof own->result)) == -VN_PENDING) client_ready(own, 0, 1);
      own->length = length < 0 ? 0 : (uint32_t)length;
      if (client_number(own, "status") != VN_OK) continue;
      if (dice % 4 == 3) close((int)client_number(own, "fd"));
      handles[count++] = client_handle(own);
      if (dice % 6 == 0) vn_close(handles[--count]);
    }
    if (i % 3 == 0) vn_close(board); /* with its endpoints beside it */
    for (int32_t k = 0; k < count; k++) {
      int32_t stop = k % 2 ? vn_call(handles[k], VN_OP_STOP, NULL, 0, 1000) : 0;
      if (i % 3 == 1 && k == 1) vn_call(board, VN_OP_STOP, NULL, 0, 1000); /* nobody fetches it */
      vn_close(handles[k]);
      if (stop > 0) vn_close(stop);
    }
    if (i % 3 != 0) vn_close(board);
  }
  client_close(own);
  return NULL;
}

static void test_contexts_meddle_at_the_same_time(void) {
  int fds = count_entries("/proc/self/fd");
  pthread_t threads[3];
  for (uintptr_t i = 0; i < 3; i++) pthread_create(&threads[i], NULL, meddle, (void *)i);
  for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
  CHECK(settles("/proc/self/fd", fds));
  for (int i = 0; i < 400 && count_entries(directory) > 2; i++) usleep(5000);
  CHECK(count_entries(directory) == 2); /* no file is left, of whatever name */
}

int main(void) {
  peers_begin();
  RUN(test_a_path_is_opened_again_and_again_while_clients_come);
  RUN(test_a_storm_leaves_others_their_turns);
  RUN(test_a_flood_of_strangers_stays_bounded);
  RUN(test_frames_come_whole_whatever_the_pieces);
  RUN(test_without_descriptors_accepting_waits);
  RUN(test_contexts_meddle_at_the_same_time);
  return peers_finish();
}
