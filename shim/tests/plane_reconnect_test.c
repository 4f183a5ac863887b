// SPDX-License-Identifier: MIT
/* Connections that end and come again, on both sides: which port they get, and what it still knows. */
#include "core/handle.h"
#include "plane/connections.h"
#include "plane_peers.h"

static uint8_t frame[2000];
static int type = SOCK_STREAM; /* both kinds of sockets pass the same tests */
static const char *kind = "stream";

static bool send_numbered(int fd, const uint8_t to[6], const uint8_t from[6], uint32_t number) {
  make_frame(frame, 100, to, from, number);
  return type == SOCK_STREAM ? stream_send(fd, frame, 100) : send_bytes(fd, frame, 100);
}

static bool expects(int fd, uint32_t number) {
  uint32_t found = 0;
  if (type == SOCK_STREAM) return stream_expects(fd, number, 100);
  ssize_t count = recv(fd, frame, sizeof frame, 0);
  if (count == 100) memcpy(&found, frame + 14, 4);
  if (count == 100 && found == number) return true;
  fprintf(stderr, "frame %u of %zd bytes instead of %u\n", found, count, number);
  return false;
}

static int client(const char *path) { return peer_connect(path, type); }

static int32_t connect_to(int32_t board, const char *path, int reconnect) {
  struct vn_writer options = endpoint_options(kind, path);
  if (reconnect >= 0) vn_write_number(&options, "reconnect", (uint64_t)reconnect);
  vn_write_text(&options, "label", "uplink");
  return open_with(board, &options);
}

static int peer_accept(int listener) {
  struct pollfd slot = {.fd = listener, .events = POLLIN};
  return poll(&slot, 1, 8000) > 0 ? peer_ready(accept(listener, NULL, NULL)) : -1;
}

static void test_a_client_gets_its_port_back(void) {
  int32_t board = make_switch(), endpoint = listen_at(board, kind, path_of("s"), 0);
  struct event_seen event;
  int a = client(path_of("s"));
  CHECK(next_event(board, "connected", &event));
  int b = client(path_of("s"));
  CHECK(next_event(board, "connected", NULL));
  uint32_t number = event.port;
  CHECK(send_numbered(a, everybody, mac_a, 1) && expects(b, 1) && send_numbered(b, mac_a, mac_b, 2) && expects(a, 2));
  struct port_seen before = port_of(board, number);
  CHECK(before.frames_in == 1 && before.frames_out == 1 && before.addresses == 1);
  close(a);
  CHECK(next_event(board, "disconnected", &event) && event.port == number && event.has_mac && !memcmp(event.mac, mac_a, 6));
  CHECK(has_ports(board, 2) && number_of(endpoint, VN_GET_STATS, "clients") == 1);
  CHECK(send_numbered(b, mac_a, mac_b, 3) && reaches(board, VN_GET_STATS, "droppedFull", 1)); /* nobody is there */
  struct port_seen away = port_of(board, number);
  CHECK(away.frames_out == 1 && away.full == 1 && away.addresses == 1 && away.frames_in == 1);

  /* It comes again: not known yet, but it hears what everybody hears. */
  a = client(path_of("s"));
  CHECK(has_ports(board, 3) && no_event(board));
  CHECK(send_numbered(b, everybody, mac_b, 4) && expects(a, 4));
  CHECK(send_numbered(a, mac_b, mac_a, 5) && expects(b, 5));
  CHECK(next_event(board, "reconnected", &event) && event.port == number && !memcmp(event.mac, mac_a, 6) && has_ports(board, 2));
  CHECK(send_numbered(b, mac_a, mac_b, 6) && expects(a, 6));
  struct port_seen back = port_of(board, number);
  CHECK(back.frames_in == 2 && back.frames_out == 3 && back.addresses == 1 && back.bytes_in == 200 && back.bytes_out == 300);
  CHECK(number_of(board, VN_GET_STATS, "frames") == 6 && number_of(endpoint, VN_GET_STATS, "clients") == 2);

  /* A stranger does not get it. */
  close(a);
  CHECK(next_event(board, "disconnected", &event) && event.port == number);
  int stranger = client(path_of("s"));
  CHECK(has_ports(board, 3) && send_numbered(stranger, everybody, mac_c, 7) && expects(b, 7));
  CHECK(next_event(board, "connected", &event) && event.port != number && !memcmp(event.mac, mac_c, 6));
  CHECK(has_ports(board, 3));
  close(stranger), close(b);
  CHECK(next_event(board, "disconnected", NULL) && next_event(board, "disconnected", NULL));
  CHECK(client_stop(c, board) == VN_OK);
  event_count = 0;
}

static void test_the_only_client_gets_the_port_whoever_it_is(void) {
  int32_t board = make_switch(), endpoint = listen_at(board, kind, path_of("s"), 1);
  struct event_seen event;
  uint32_t number = 0;
  for (int i = 0; i < 5; i++) {
    int a = client(path_of("s"));
    CHECK(next_event(board, i == 0 ? "connected" : "reconnected", &event) && (i == 0 || event.port == number));
    number = event.port;
    if (i & 1) CHECK(send_numbered(a, everybody, i == 1 ? mac_a : mac_b, 1));
    if (i & 1) CHECK(reaches(board, VN_GET_STATS, "frames", (uint64_t)(i + 1) / 2));
    close(a);
    CHECK(next_event(board, "disconnected", &event) && event.port == number && has_ports(board, 1));
  }
  CHECK(port_of(board, number).frames_in == 2 && number_of(endpoint, VN_GET_STATS, "accepted") == 5);
  CHECK(client_stop(c, endpoint) == VN_OK && has_ports(board, 0) && no_event(board));
  CHECK(client_stop(c, board) == VN_OK);
}

static void test_a_guard_keeps_what_it_has_learned(void) {
  int32_t board = make_switch();
  struct vn_writer options = endpoint_options(kind, path_of("s"));
  vn_write_number(&options, "listen", 1);
  vn_write_number(&options, "antiSpoof", 1);
  CHECK(open_with(board, &options) > 0);
  int a = client(path_of("s")), b = client(path_of("s"));
  CHECK(has_ports(board, 2) && send_numbered(a, everybody, mac_a, 1) && expects(b, 1));
  close(a);
  CHECK(next_event(board, "connected", NULL) && next_event(board, "connected", NULL) && next_event(board, "disconnected", NULL));
  a = client(path_of("s"));
  CHECK(has_ports(board, 3) && send_numbered(a, everybody, mac_a, 2) && expects(b, 2) && has_ports(board, 2));
  CHECK(send_numbered(a, everybody, mac_c, 3) && reaches(board, VN_GET_STATS, "droppedSpoofed", 1));
  close(a), close(b);
  CHECK(client_stop(c, board) == VN_OK);
  event_count = 0;

  /* But the only client's next one may be another guest. */
  board = make_switch();
  options = endpoint_options(kind, path_of("s"));
  vn_write_number(&options, "listen", 1);
  vn_write_number(&options, "clients", 1);
  vn_write_number(&options, "antiSpoof", 1);
  CHECK(open_with(board, &options) > 0);
  for (uint32_t i = 1; i <= 3; i++) {
    const uint8_t *mac = i == 1 ? mac_a : mac_b;
    a = client(path_of("s"));
    CHECK(send_numbered(a, everybody, mac, i) && reaches(board, VN_GET_STATS, "flooded", i));
    CHECK(send_numbered(a, everybody, mac_c, i) && reaches(board, VN_GET_STATS, "droppedSpoofed", i));
    close(a);
  }
  CHECK(client_stop(c, board) == VN_OK);
  event_count = 0;
}

static void test_who_connects_tries_again(void) {
  int32_t board = make_switch();
  struct event_seen event;
  int listener = peer_listen(path_of("p"), type);
  int32_t endpoint = connect_to(board, path_of("p"), -1);
  CHECK(endpoint > 0 && next_event(board, "connected", &event));
  uint32_t number = event.port;
  int a = peer_accept(listener), other = -1;
  int32_t second = listen_at(board, kind, path_of("s"), 0);
  CHECK(a >= 0 && second > 0 && (other = client(path_of("s"))) >= 0 && next_event(board, "connected", NULL));
  CHECK(send_numbered(a, everybody, mac_a, 1) && expects(other, 1));
  uint64_t begin = vn_monotonic_ns();
  close(a);
  CHECK(next_event(board, "disconnected", &event) && event.port == number && !memcmp(event.mac, mac_a, 6));
  CHECK(send_numbered(other, mac_a, mac_b, 2) && reaches(board, VN_GET_STATS, "droppedFull", 1));
  a = peer_accept(listener);
  uint64_t took = vn_monotonic_ns() - begin;
  CHECK(a >= 0 && took > 80000000 && took < 3000000000);
  CHECK(next_event(board, "reconnected", &event) && event.port == number && has_ports(board, 2));
  CHECK(strcmp(port_of(board, number).label, "uplink") == 0 && port_of(board, number).frames_in == 1);
  CHECK(send_numbered(other, mac_a, mac_b, 3) && expects(a, 3));

  /* Gone for longer: each attempt finds nobody. */
  close(listener), unlink(path_of("p")), close(a);
  CHECK(next_event(board, "disconnected", NULL));
  usleep(350000);
  CHECK(number_of(endpoint, VN_GET_STATE, "status") == VN_OK && has_ports(board, 2));
  listener = peer_listen(path_of("p"), type);
  a = peer_accept(listener);
  CHECK(a >= 0 && next_event(board, "reconnected", &event) && event.port == number);
  CHECK(send_numbered(a, everybody, mac_a, 4) && expects(other, 4));

  /* The script cuts it off: it comes as another port. */
  struct vn_writer options = {.data = NULL};
  vn_write_number(&options, "port", number);
  vn_write_number(&options, "disconnect", 1);
  CHECK(client_call(c, board, VN_OP_PORT_SET, &options) == VN_OK && hung_up(a));
  close(a);
  CHECK((a = peer_accept(listener)) >= 0 && next_event(board, "disconnected", NULL));
  CHECK(next_event(board, "connected", &event) && event.port != number && has_ports(board, 2));
  CHECK(client_stop(c, endpoint) == VN_OK && hung_up(a) && has_ports(board, 1) && no_event(board));
  close(a), close(listener), close(other), unlink(path_of("p"));
  CHECK(client_stop(c, board) == VN_OK);
  event_count = 0;
}

static void test_without_reconnect_the_endpoint_ends(void) {
  int32_t board = make_switch();
  int listener = peer_listen(path_of("p"), type);
  int32_t endpoint = connect_to(board, path_of("p"), 0);
  int a = peer_accept(listener);
  CHECK(endpoint > 0 && a >= 0 && has_ports(board, 1));
  close(a);
  CHECK(reaches(endpoint, VN_GET_STATE, "status", VN_GONE) && has_ports(board, 0));
  CHECK(next_event(board, "connected", NULL) && next_event(board, "disconnected", NULL) && no_event(board));
  CHECK(client_stop(c, endpoint) == VN_OK);
  close(listener), unlink(path_of("p"));
  CHECK(client_stop(c, board) == VN_OK);
}

static void test_a_switch_that_ends_ends_waiting_and_absent_ones(void) {
  int before = count_entries("/proc/self/fd");
  for (int i = 0; i < 3; i++) {
    int32_t board = make_switch();
    int listener = peer_listen(path_of("p"), type);
    int32_t connector = connect_to(board, path_of("p"), 1), endpoint = listen_at(board, kind, path_of("s"), 0);
    CHECK(connector > 0 && endpoint > 0);
    int a = peer_accept(listener), b = client(path_of("s"));
    CHECK(has_ports(board, 2) && send_numbered(b, everybody, mac_b, 1) && expects(a, 1));
    close(a), close(b), close(listener), unlink(path_of("p"));
    if (i > 0) CHECK(has_ports(board, 2) && reaches(board, VN_GET_STATS, "frames", 1));
    if (i == 1) usleep(150000); /* in the middle of trying */
    CHECK(client_stop(c, board) == VN_OK);
    vn_close(connector), vn_close(endpoint); /* they have held the network's memory and descriptors */
    event_count = 0;
  }
  CHECK(settles("/proc/self/fd", before));
}

static void test_absent_clients_are_bounded(void) {
  int32_t board = make_switch(), endpoint = listen_at(board, kind, path_of("s"), 0);
  uint8_t mac[6] = {2, 0, 0, 0, 1, 0};
  struct port_seen ports[256];
  for (uint32_t i = 0; i < 80; i++) {
    int fd = client(path_of("s"));
    mac[5] = (uint8_t)i;
    CHECK(send_numbered(fd, everybody, mac, i) && reaches(board, VN_GET_STATS, "frames", i + 1));
    close(fd);
    CHECK(reaches(endpoint, VN_GET_STATS, "clients", 0));
  }
  CHECK(ports_of(board, ports, 256) == 64);
  event_count = 0, fetch_events(board), event_count = 0;
  mac[5] = 10; /* the oldest are forgotten */
  int fd = client(path_of("s"));
  CHECK(send_numbered(fd, everybody, mac, 1) && next_event(board, "connected", NULL) && has_ports(board, 65));
  mac[5] = 70;
  int other = client(path_of("s"));
  CHECK(send_numbered(other, everybody, mac, 1) && next_event(board, "reconnected", NULL) && has_ports(board, 65));
  close(fd), close(other);
  CHECK(client_stop(c, board) == VN_OK);
  event_count = 0;
}

/* The new connection is there before the old one is missed. */
static void test_a_client_that_comes_early_gets_its_port_too(void) {
  int32_t board = make_switch(), endpoint = listen_at(board, kind, path_of("s"), 0);
  struct event_seen event;
  int a = client(path_of("s")), again;
  CHECK(endpoint > 0 && next_event(board, "connected", &event));
  uint32_t number = event.port;
  CHECK(send_numbered(a, everybody, mac_a, 1) && reaches(board, VN_GET_STATS, "frames", 1));
  CHECK((again = client(path_of("s"))) >= 0 && next_event(board, "connected", &event) && event.port != number);
  uint32_t other = event.port;
  close(a);
  CHECK(next_event(board, "disconnected", &event) && event.port == number);
  CHECK(send_numbered(again, everybody, mac_a, 2));
  CHECK(next_event(board, "disconnected", &event) && event.port == other);
  CHECK(next_event(board, "reconnected", &event) && event.port == number && has_ports(board, 1));
  CHECK(port_of(board, number).frames_in == 2);
  close(again);
  CHECK(client_stop(c, board) == VN_OK);
  event_count = 0;
}

static void set_port(int32_t board, uint32_t number, const char *key, uint64_t value) {
  struct vn_writer options = {.data = NULL};
  vn_write_number(&options, "port", number);
  vn_write_number(&options, key, value);
  CHECK(client_call(c, board, VN_OP_PORT_SET, &options) == VN_OK);
}

static void test_what_the_script_has_set_stays(void) {
  int32_t board = make_switch();
  struct event_seen event;
  CHECK(listen_at(board, kind, path_of("s"), 0) > 0);
  int a = client(path_of("s")), b = -1;
  CHECK(next_event(board, "connected", &event) && (b = client(path_of("s"))) >= 0 && next_event(board, "connected", NULL));
  uint32_t number = event.port;
  CHECK(send_numbered(a, everybody, mac_a, 1) && expects(b, 1));
  set_port(board, number, "isolated", 1);
  CHECK(send_numbered(a, everybody, mac_a, 2) && reaches(board, VN_GET_STATS, "frames", 2));
  close(a);
  CHECK(next_event(board, "disconnected", NULL) && (a = client(path_of("s"))) >= 0);
  CHECK(send_numbered(a, everybody, mac_a, 3) && next_event(board, "reconnected", NULL) && quiet(b, 20));
  /* Cut off by the script it is gone for good, here or absent. */
  set_port(board, number, "disconnect", 1);
  CHECK(hung_up(a) && next_event(board, "disconnected", &event) && event.port == number && has_ports(board, 1));
  close(a);
  CHECK((a = client(path_of("s"))) >= 0 && next_event(board, "connected", &event) && event.port != number);
  CHECK(send_numbered(a, everybody, mac_a, 4) && expects(b, 4));
  close(a);
  CHECK(next_event(board, "disconnected", NULL) && has_ports(board, 2));
  set_port(board, event.port, "disconnect", 1);
  CHECK(has_ports(board, 1) && no_event(board));
  close(b);
  CHECK(client_stop(c, board) == VN_OK);
  event_count = 0;
}

struct passing {
  struct vn_command command;
  struct vn_connections *list;
};

/* The network's thread: five minutes go by for who is absent. */
static void time_passes(struct vn_network *network, struct vn_command *command) {
  struct vn_connections *list = ((struct passing *)command)->list;
  for (struct vn_connection *at = list->first; at != NULL; at = at->next)
    if (at->left_ns != 0) at->left_ns -= VN_ABSENT_NS;
  vn_network_timer(network, &list->absence, 1);
  vn_command_done(network, command);
}

static void test_an_absent_client_is_forgotten_after_five_minutes(void) {
  int32_t board = make_switch(), endpoint = listen_at(board, kind, path_of("s"), 0);
  int a = client(path_of("s")), b = client(path_of("s"));
  CHECK(send_numbered(a, everybody, mac_a, 1) && expects(b, 1));
  close(a);
  CHECK(reaches(endpoint, VN_GET_STATS, "clients", 1) && has_ports(board, 2));
  struct passing passing = {.command.run = time_passes};
  CHECK(vn_handle_find(endpoint, (struct vn_object **)&passing.list) == VN_OK);
  CHECK(vn_network_call(passing.list->endpoint.network, &passing.command) && has_ports(board, 1));
  close(b);
  CHECK(client_stop(c, board) == VN_OK);
  event_count = 0;
}

static void test_tcp_is_tried_again_too(void) {
  int32_t board = make_switch();
  struct event_seen event;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  int listener = peer_ready(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  CHECK(bind(listener, (struct sockaddr *)&address, length) == 0 && listen(listener, 4) == 0);
  CHECK(getsockname(listener, (struct sockaddr *)&address, &length) == 0);
  struct vn_writer options = endpoint_options("stream", NULL);
  vn_write_text(&options, "host", "127.0.0.1");
  vn_write_number(&options, "port", ntohs(address.sin_port));
  CHECK(open_with(board, &options) > 0 && next_event(board, "connected", &event));
  uint32_t number = event.port;
  for (int i = 0; i < 2; i++) {
    struct linger at_once = {.l_onoff = 1};
    int a = peer_accept(listener);
    CHECK(a >= 0 && (i == 0 || (next_event(board, "reconnected", &event) && event.port == number)));
    CHECK(send_numbered(a, everybody, mac_a, 1) && reaches(board, VN_GET_STATS, "frames", (uint64_t)i + 1));
    setsockopt(a, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once); /* a reset */
    close(a);
    CHECK(next_event(board, "disconnected", &event) && event.port == number);
  }
  close(listener); /* refused from now on */
  usleep(500000);
  CHECK(has_ports(board, 1) && client_stop(c, board) == VN_OK);
  event_count = 0;
}

/* A listener of a bridge has one port, whatever "clients" says. */
static void test_a_bridge_waits_for_the_next_client(void) {
  int32_t network = client_network(c, 1000, false, NULL);
  int32_t nic = client_start(c, network, NULL), other = client_start(c, network, NULL);
  struct vn_writer options = {.data = NULL};
  vn_write_number(&options, "straight", 1);
  uint32_t status = client_call(c, nic, VN_OP_SWITCH_CREATE, &options);
  int32_t board = client_handle(c), endpoint = listen_at(board, kind, path_of("s"), 0);
  struct event_seen event;
  CHECK(status == VN_OK && endpoint > 0);
  uint8_t bytes[100];
  uint32_t number = 0;
  for (uint32_t i = 1; i <= 3; i++) {
    int a = client(path_of("s"));
    CHECK(next_event(board, i == 1 ? "connected" : "reconnected", &event) && (i == 1 || event.port == number));
    number = event.port;
    make_frame(bytes, 100, everybody, mac_a, i);
    CHECK(send_numbered(a, everybody, mac_a, i) && client_expect(c, other, bytes, 100, 3000));
    make_frame(bytes, 100, mac_a, mac_b, i);
    CHECK(client_send(c, other, bytes, 100) == 1 && expects(a, i));
    int late = client(path_of("s"));
    CHECK(reaches(endpoint, VN_GET_STATS, "refused", i) && hung_up(late));
    close(late), close(a);
    CHECK(next_event(board, "disconnected", NULL) && has_ports(board, 2));
  }
  CHECK(client_stop(c, board) == VN_OK && client_stop(c, network) == VN_OK);
  vn_close(nic), vn_close(other), vn_close(endpoint);
  event_count = 0;
}

int main(void) {
  peers_begin();
  for (int i = 0; i < 2; i++) {
    printf("  %s\n", kind);
    RUN(test_a_client_gets_its_port_back);
    RUN(test_the_only_client_gets_the_port_whoever_it_is);
    RUN(test_a_guard_keeps_what_it_has_learned);
    RUN(test_who_connects_tries_again);
    RUN(test_without_reconnect_the_endpoint_ends);
    RUN(test_a_switch_that_ends_ends_waiting_and_absent_ones);
    RUN(test_absent_clients_are_bounded);
    RUN(test_a_client_that_comes_early_gets_its_port_too);
    RUN(test_what_the_script_has_set_stays);
    RUN(test_an_absent_client_is_forgotten_after_five_minutes);
    RUN(test_a_bridge_waits_for_the_next_client);
    if (type == SOCK_STREAM) RUN(test_tcp_is_tried_again_too);
    type = SOCK_SEQPACKET, kind = "seqpacket";
  }
  return peers_finish();
}
