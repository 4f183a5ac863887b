// SPDX-License-Identifier: MIT
/* The stream endpoint: every way to the other side, what is refused, and peers that misbehave. */
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "plane_peers.h"

static uint8_t frame[70000];

static bool send_numbered(int fd, const uint8_t to[6], const uint8_t from[6], uint32_t number, uint32_t length) {
  make_frame(frame, length, to, from, number);
  return stream_send(fd, frame, length);
}

static void test_two_clients_of_a_listener_talk(void) {
  int32_t board = make_switch(), endpoint = listen_at(board, "stream", path_of("s"), 0);
  struct event_seen event;
  struct stat status;
  CHECK(endpoint > 0 && strcmp(client_text(c, "path"), path_of("s")) == 0);
  CHECK(stat(path_of("s"), &status) == 0 && (status.st_mode & 0777) == 0600);
  int a = peer_connect(path_of("s"), SOCK_STREAM), b = peer_connect(path_of("s"), SOCK_STREAM);
  char pid[32];
  snprintf(pid, sizeof pid, "pid %d", (int)getpid());
  if (IN_LOADER) pid[0] = 0; /* nobody tells there */
  for (int i = 0; i < 2; i++)
    CHECK(next_event(board, "connected", &event) && strcmp(event.detail, pid) == 0 && strcmp(event.kind, "stream") == 0);
  CHECK(reaches(endpoint, VN_GET_STATS, "clients", 2));
  CHECK(send_numbered(a, everybody, mac_a, 1, 60) && stream_expects(b, 1, 60));
  CHECK(send_numbered(b, mac_a, mac_b, 2, 1514) && stream_expects(a, 2, 1514));
  uint8_t pieces[4 + 100] = {0, 0, 0, 100};
  make_frame(pieces + 4, 100, mac_b, mac_a, 3);
  for (size_t i = 0; i < sizeof pieces; i++) CHECK(send_bytes(a, pieces + i, 1));
  CHECK(stream_expects(b, 3, 100));
  for (uint32_t i = 0; i < 500; i++) CHECK(send_numbered(a, mac_b, mac_a, i, 300));
  for (uint32_t i = 0; i < 500; i++) CHECK(stream_expects(b, i, 300));
  CHECK(send_numbered(a, mac_b, mac_a, 4, 1515)); /* above the switch's */
  CHECK(send_numbered(a, mac_b, mac_a, 5, 60) && stream_expects(b, 5, 60));
  CHECK(number_of(board, VN_GET_STATS, "droppedTooLong") == 1);
  close(a);
  CHECK(next_event(board, "disconnected", &event) && event.has_mac && memcmp(event.mac, mac_a, 6) == 0);
  CHECK(client_stop(c, endpoint) == VN_OK && hung_up(b) && access(path_of("s"), F_OK) != 0);
  CHECK(has_ports(board, 0) && no_event(board));
  close(b);
  CHECK(client_stop(c, board) == VN_OK);
}

static void test_too_many_clients_are_turned_away(void) {
  int32_t board = make_switch(), endpoint = listen_at(board, "stream", path_of("s"), 2);
  int fds[5];
  for (int i = 0; i < 5; i++) fds[i] = peer_connect(path_of("s"), SOCK_STREAM);
  CHECK(reaches(endpoint, VN_GET_STATS, "refused", 3) && number_of(endpoint, VN_GET_STATS, "clients") == 2);
  for (int i = 2; i < 5; i++) CHECK(hung_up(fds[i]));
  close(fds[0]);
  CHECK(reaches(endpoint, VN_GET_STATS, "clients", 1));
  int again = peer_connect(path_of("s"), SOCK_STREAM);
  CHECK(reaches(endpoint, VN_GET_STATS, "clients", 2) && number_of(endpoint, VN_GET_STATS, "accepted") == 3);
  for (int i = 1; i < 5; i++) close(fds[i]);
  close(again);
  CHECK(client_stop(c, board) == VN_OK);
  event_count = 0;
}

static struct vn_writer tcp(const char *host, uint32_t port, bool listens) {
  struct vn_writer options = endpoint_options("stream", NULL);
  if (host) vn_write_text(&options, "host", host);
  vn_write_number(&options, "port", port);
  if (listens) vn_write_number(&options, "listen", 1);
  return options;
}

static void test_tcp_stays_on_the_loopback(void) {
  static const char *const hosts[] = {"localhost", "127.0.0.1", "127.1.2.3", "::1", NULL};
  static const char *const bad[] = {"0.0.0.0", "10.0.0.1", "example.org", "::", "fe80::1", "128.0.0.1",
                                    "127.0.0.1 ", "::ffff:127.0.0.1"};
  int32_t board = make_switch();
  struct event_seen event;
  for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
    struct vn_writer options = tcp(hosts[i], 0, true);
    int32_t listener = open_with(board, &options);
    if (listener == -VN_SYSTEM && hosts[i] && strcmp(hosts[i], "::1") == 0) continue; /* a machine without IPv6 */
    uint32_t port = (uint32_t)client_number(c, "port");
    CHECK(listener > 0 && port > 0 && port < 65536);
    options = tcp(hosts[i], port, true);
    CHECK(open_with(board, &options) == -VN_IN_USE);
    options = tcp(hosts[i], port, false);
    int32_t connector = open_with(board, &options); /* one switch twice on one wire: nothing is sent here */
    CHECK(connector > 0 && next_event(board, "connected", &event) && strchr(event.detail, ':') != NULL);
    CHECK(next_event(board, "connected", &event) && has_ports(board, 2));
    CHECK(client_stop(c, connector) == VN_OK && client_stop(c, listener) == VN_OK);
    fetch_events(board), event_count = 0;
  }
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct vn_writer options = tcp(bad[i], 0, true);
    CHECK(open_with(board, &options) == -VN_BAD_OPTION && strcmp(client_text(c, "field"), "host") == 0);
  }
  struct vn_writer options = tcp("localhost", 1, false);
  CHECK(open_with(board, &options) == -VN_SYSTEM && client_number(c, "errno") == (IN_LOADER ? 61 : ECONNREFUSED));
  CHECK(client_stop(c, board) == VN_OK);
}

static void test_frames_go_through_tcp_and_a_pair(void) {
  int32_t board = make_switch();
  struct vn_writer options = tcp(NULL, 0, true);
  CHECK(open_with(board, &options) > 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)client_number(c, "port"))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int a = peer_ready(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  CHECK(connect(a, (struct sockaddr *)&address, sizeof address) == 0);
  options = endpoint_options("stream", NULL);
  vn_write_number(&options, "pair", 1);
  int32_t pair = open_with(board, &options);
  int b = peer_ready((int)client_number(c, "fd"));
  CHECK(pair > 0 && b >= 0 && (fcntl(b, F_GETFD) & FD_CLOEXEC) && !(fcntl(b, F_GETFL) & O_NONBLOCK) && has_ports(board, 2));
  CHECK(send_numbered(a, everybody, mac_a, 1, 60) && stream_expects(b, 1, 60));
  CHECK(send_numbered(b, mac_a, mac_b, 2, 1000) && stream_expects(a, 2, 1000));
  close(b);
  CHECK(reaches(pair, VN_GET_STATE, "status", VN_GONE) && has_ports(board, 1));
  close(a);
  CHECK(client_stop(c, board) == VN_OK);
  event_count = 0;
}

static int32_t open_fd(int32_t board, int fd) {
  struct vn_writer options = endpoint_options("stream", NULL);
  vn_write_number(&options, "fd", (uint64_t)fd);
  return open_with(board, &options);
}

static void test_a_descriptor_is_checked(void) {
  int32_t board = make_switch();
  int before = count_entries("/proc/self/fd"), pair[2];
  char file[100];
  snprintf(file, sizeof file, "%s", path_of("file"));
  int plain = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600), lonely = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int datagrams = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), listener = peer_listen(path_of("l"), SOCK_STREAM);
  int bad[] = {plain, lonely, datagrams, listener, 9999, c->bell + 500};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    CHECK(open_fd(board, bad[i]) == -VN_BAD_OPTION && strcmp(client_text(c, "field"), "fd") == 0);
  for (size_t i = 0; i < 4; i++) CHECK(fcntl(bad[i], F_GETFD) >= 0 && close(bad[i]) == 0); /* still the script's */
  unlink(file), unlink(path_of("l"));
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
  int32_t endpoint = open_fd(board, pair[0]);
  int a = peer_ready(pair[1]);
  CHECK(endpoint > 0 && has_ports(board, 1) && fcntl(pair[0], F_GETFD) < 0);
  CHECK(send_numbered(a, everybody, mac_a, 1, 60) && reaches(board, VN_GET_STATS, "frames", 1));
  CHECK(client_stop(c, endpoint) == VN_OK && hung_up(a));
  close(a);
  CHECK(settles("/proc/self/fd", before));
  CHECK(client_stop(c, board) == VN_OK);
  event_count = 0;
}

static void test_wrong_options_name_their_field(void) {
  int32_t board = make_switch();
  struct vn_writer options = endpoint_options("stream", path_of("nobody"));
  CHECK(open_with(board, &options) == -VN_SYSTEM && client_number(c, "errno") == ENOENT);
  options = endpoint_options("stream", NULL);
  CHECK(open_with(board, &options) == -VN_BAD_OPTION);
  options = tcp("localhost", 0, false);
  CHECK(open_with(board, &options) == -VN_BAD_OPTION && strcmp(client_text(c, "field"), "port") == 0);
  int full = peer_listen(path_of("full"), SOCK_STREAM), waiting[9];
  for (int i = 0; i < 9; i++) waiting[i] = peer_connect(path_of("full"), SOCK_STREAM);
  options = endpoint_options("stream", path_of("full"));
  int32_t operation = vn_call(board, VN_OP_ENDPOINT_OPEN, options.data, options.length, 200); /* its backlog is full */
  vn_writer_free(&options);
  int32_t length;
  while ((length = vn_result(operation, c->result, sizeof c->result)) == -VN_PENDING) client_wait(c, 20);
  CHECK(vn_list_number(c->result, (uint32_t)length, "status", 0) == (IN_LOADER ? VN_SYSTEM : VN_TIMEOUT)); /* refused on a Mac */
  for (int i = 0; i < 9; i++) close(waiting[i]);
  close(full), unlink(path_of("full"));
  CHECK(client_stop(c, board) == VN_OK);
}

/* What a client can do wrong; each leaves the switch and the other clients as they were. */
static void misbehave(int fd, int how) {
  static const uint8_t endless[4] = {0xff, 0xff, 0xff, 0xff}, zero[4], above[4] = {0, 1, 0x10, 0}, half[40] = {0, 0, 0, 100};
  struct linger at_once = {.l_onoff = 1};
  if (how == 0) send_bytes(fd, endless, 4);
  if (how == 1) send_bytes(fd, zero, 4);
  if (how == 2) send_bytes(fd, above, 4);
  if (how == 3) send_bytes(fd, half, sizeof half);
  if (how == 4) shutdown(fd, SHUT_WR);
  if (how == 5) shutdown(fd, SHUT_RD), send_numbered(fd, everybody, mac_c, 1, 60);
  if (how == 6) setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  if (how == 7) send_bytes(fd, half, 3);
  if (how == 8)
    for (uint32_t i = 0; i < 20; i++) {
      uint8_t mac[6] = {2, (uint8_t)rand(), (uint8_t)rand(), (uint8_t)rand(), (uint8_t)rand(), (uint8_t)rand()};
      send_numbered(fd, everybody, mac, i, 14 + (uint32_t)rand() % 1500);
    }
  if (how == 9) send_bytes(fd, endless + 3, 1);
}

static void test_clients_that_misbehave_leave_nothing(void) {
  int clients = getenv("VN_LONG") && *getenv("VN_LONG") ? 1000 : 50;
  int32_t board = make_switch(), endpoint = listen_at(board, "stream", path_of("s"), 0);
  int a = peer_connect(path_of("s"), SOCK_STREAM), b = peer_connect(path_of("s"), SOCK_STREAM), held[10] = {0};
  CHECK(reaches(endpoint, VN_GET_STATS, "clients", 2));
  CHECK(send_numbered(a, everybody, mac_a, 0, 60) && stream_expects(b, 0, 60));
  CHECK(send_numbered(b, everybody, mac_b, 0, 60) && stream_expects(a, 0, 60));
  int before = count_entries("/proc/self/fd");
  for (int i = 0; i < clients; i++) {
    int fd = peer_connect(path_of("s"), SOCK_STREAM);
    CHECK(fd >= 0);
    misbehave(fd, i % 10);
    if (i % 7 == 3) usleep(500);
    int *place = &held[rand() % 10]; /* some stay a while */
    if (*place) close(*place);
    *place = fd;
    CHECK(send_numbered(a, mac_b, mac_a, (uint32_t)i + 1000, 200));
    uint32_t number = 0;
    while (number != (uint32_t)i + 1000) { /* broadcasts of the others come too */
      if (stream_receive(b, frame, sizeof frame) < 0) break;
      if (memcmp(frame + 6, mac_a, 6) == 0) memcpy(&number, frame + 14, 4);
    }
    CHECK(number == (uint32_t)i + 1000);
    if (i % 16 == 15) while (!quiet(a, 0)) if (stream_receive(a, frame, sizeof frame) < 0) break;
  }
  for (int i = 0; i < 10; i++) if (held[i]) close(held[i]);
  CHECK(reaches(endpoint, VN_GET_STATS, "clients", 2) && settles("/proc/self/fd", before));
  struct port_seen ports[256];
  CHECK(ports_of(board, ports, 256) <= 2 + 64);
  CHECK(number_of(endpoint, VN_GET_STATS, "accepted") + number_of(endpoint, VN_GET_STATS, "refused") == (uint64_t)clients + 2);
  CHECK(client_stop(c, endpoint) == VN_OK && has_ports(board, 0));
  close(a), close(b);
  CHECK(client_stop(c, board) == VN_OK);
  event_count = 0;
}

static void test_a_stalled_client_costs_nobody_anything(void) {
  int32_t board = make_switch();
  CHECK(listen_at(board, "stream", path_of("s"), 0) > 0);
  int a = peer_connect(path_of("s"), SOCK_STREAM), b = peer_connect(path_of("s"), SOCK_STREAM);
  int stalled = peer_connect(path_of("s"), SOCK_STREAM);
  CHECK(send_numbered(b, everybody, mac_b, 1, 60) && stream_expects(a, 1, 60));
  CHECK(send_numbered(stalled, everybody, mac_c, 1, 60) && stream_expects(a, 1, 60) && stream_expects(b, 1, 60));
  CHECK(send_numbered(a, mac_b, mac_a, 1, 60) && stream_expects(b, 1, 60));
  for (uint32_t i = 0; i < 4000; i++) {
    CHECK(send_numbered(a, mac_c, mac_a, i, 1514));
    if (i % 100 == 0) CHECK(send_numbered(a, mac_b, mac_a, i, 100) && stream_expects(b, i, 100));
  }
  CHECK(number_of(board, VN_GET_STATS, "droppedFull") > 500);
  close(stalled), close(a), close(b);
  CHECK(client_stop(c, board) == VN_OK);
  event_count = 0;
}

static void test_an_opened_endpoint_that_nobody_fetches_goes(void) {
  int32_t board = make_switch();
  int before = count_entries("/proc/self/fd");
  for (int i = 0; i < 20; i++) {
    struct vn_writer options = endpoint_options("stream", i & 1 ? path_of("s") : NULL);
    vn_write_number(&options, i & 1 ? "listen" : "pair", 1);
    int32_t operation = vn_call(board, VN_OP_ENDPOINT_OPEN, options.data, options.length, 0);
    vn_writer_free(&options);
    if (i & 2) usleep(5000);
    vn_cancel(operation);
    vn_close(operation);
    CHECK(has_ports(board, 0));
    for (int k = 0; k < 400 && access(path_of("s"), F_OK) == 0; k++) usleep(5000);
  }
  CHECK(settles("/proc/self/fd", before) && access(path_of("s"), F_OK) != 0);
  CHECK(client_stop(c, board) == VN_OK);
  event_count = 0;
}

static void test_accepting_pauses_while_descriptors_are_short(void) {
  int32_t board = make_switch(), endpoint = listen_at(board, "stream", path_of("s"), 0);
  int a = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), highest = dup(a);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strcpy(address.sun_path, path_of("s"));
  struct rlimit limit, small;
  close(highest);
  CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  small = (struct rlimit){(rlim_t)highest, limit.rlim_max};
  CHECK(setrlimit(RLIMIT_NOFILE, &small) == 0 && connect(a, (struct sockaddr *)&address, sizeof address) == 0);
  clock_t busy = clock();
  usleep(250000);
  busy = clock() - busy; /* of all threads: the network's has not tried again and again */
  CHECK(number_of(endpoint, VN_GET_STATS, "clients") == 0 && busy < CLOCKS_PER_SEC / 10);
  CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0 && reaches(endpoint, VN_GET_STATS, "clients", 1));
  close(a);
  CHECK(client_stop(c, board) == VN_OK);
  event_count = 0;
}

/* Another user's process connects: 0 it was let in, 1 it was hung up on, 2 it could not. */
static int stranger(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strcpy(address.sun_path, path);
  pid_t child = fork();
  if (child == 0) {
    char byte;
    struct timeval limit = {.tv_usec = 300000};
    if (setgid(65534) != 0 || setuid(65534) != 0) _exit(3);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) _exit(2);
    _exit(recv(fd, &byte, 1, 0) < 0 && errno == EAGAIN ? 0 : 1);
  }
  int status = 0;
  return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : 4;
}

static void test_other_users_need_an_open_mode(void) {
  if (getuid() != 0) return; /* needs another user */
  int32_t board = make_switch(), endpoint = listen_at(board, "stream", path_of("s"), 0);
  CHECK(chmod(directory, 0755) == 0 && stranger(path_of("s")) == 2);
  CHECK(chmod(path_of("s"), 0666) == 0 && stranger(path_of("s")) == 1 && reaches(endpoint, VN_GET_STATS, "refused", 1));
  struct vn_writer options = endpoint_options("stream", path_of("o"));
  vn_write_number(&options, "listen", 1);
  vn_write_number(&options, "mode", 0666);
  CHECK(open_with(board, &options) > 0 && stranger(path_of("o")) == 0);
  CHECK(chmod(directory, 0700) == 0 && client_stop(c, board) == VN_OK);
  event_count = 0;
}

int main(void) {
  peers_begin();
  RUN(test_two_clients_of_a_listener_talk);
  RUN(test_too_many_clients_are_turned_away);
  RUN(test_tcp_stays_on_the_loopback);
  RUN(test_frames_go_through_tcp_and_a_pair);
  RUN(test_a_descriptor_is_checked);
  RUN(test_wrong_options_name_their_field);
  RUN(test_clients_that_misbehave_leave_nothing);
  RUN(test_a_stalled_client_costs_nobody_anything);
  RUN(test_an_opened_endpoint_that_nobody_fetches_goes);
  RUN(test_accepting_pauses_while_descriptors_are_short);
  RUN(test_other_users_need_an_open_mode);
  return peers_finish();
}
