// SPDX-License-Identifier: MIT
/*
 * Networks with a gateway process: leases, forwards, its death and return. The test plays the guest, and the gateway is
 * the program beside this one.
 */
#include <signal.h>
#include <stdio.h>

#include "dhcp_guest.h"
#include "free_port.h"

static const uint8_t guest[6] = {0x52, 0x54, 0, 0, 0, 1};

static bool lease_is_known(int32_t network, const uint8_t mac[6], const uint8_t address[4]) {
  char text[32], has[64];
  snprintf(text, sizeof text, "%u.%u.%u.%u", address[0], address[1], address[2], address[3]);
  client_get(c, network, VN_GET_LEASES);
  struct vn_reader reader;
  struct vn_entry entry, field;
  vn_list_read(&reader, c->result, c->length);
  while (vn_list_next(&reader, &entry))
    if (vn_list_find(entry.value, entry.length, VN_BYTES, "mac", &field) && memcmp(field.value, mac, 6) == 0 &&
        vn_list_text(entry.value, entry.length, "address", has, sizeof has) && strcmp(has, text) == 0)
      return true;
  return false;
}

static void test_host_network_gives_leases_and_tells_of_them(void) {
  int32_t network = client_network(c, 1000, true, NULL), port = client_start(c, network, NULL);
  CHECK(network > 0 && port > 0 && gateways(NULL) == 1);
  CHECK(strcmp(client_text(c, "vmnet_start_address"), "192.168.128.1") == 0);
  CHECK(strcmp(client_text(c, "vmnet_end_address"), "192.168.128.254") == 0);
  CHECK(strcmp(client_text(c, "vmnet_subnet_mask"), "255.255.255.0") == 0);
  client_get(c, network, VN_GET_EVENTS); /* the gateway's start */
  c->watched = network, c->seen = 0;
  uint8_t address[4] = {0};
  CHECK(lease(port, guest, address) && address[0] == 192 && address[2] == 128 && address[3] >= 2);
  for (int i = 0; i < 100 && !lease_is_known(network, guest, address); i++) client_ready(c, network, 10);
  if (!(c->seen & VN_READY_EVENT)) client_ready(c, network, 1000);
  CHECK(lease_is_known(network, guest, address) && (c->seen & VN_READY_EVENT));
  client_get(c, network, VN_GET_EVENTS);
  struct vn_entry entry;
  char hostname[64];
  CHECK(vn_list_find(c->result, c->length, VN_LIST, "lease", &entry) && vn_list_number(entry.value, entry.length, "change", 0) == 1);
  CHECK(vn_list_text(entry.value, entry.length, "hostname", hostname, sizeof hostname) && strcmp(hostname, "guest") == 0);
  client_get(c, network, VN_GET_EVENTS);
  CHECK(!vn_list_find(c->result, c->length, VN_LIST, "lease", &entry)); /* told once */
  for (int i = 0; i < 1000; i++) { /* the queue runs over and says so */
    uint8_t mac[6] = {2, 9, 0, 0, (uint8_t)(i >> 4), (uint8_t)i}, other[4] = {0};
    if (i < 200) CHECK(lease(port, mac, other));
    else dhcp_ask(port, guest, 3, address, 1000);
  }
  client_get(c, network, VN_GET_EVENTS);
  CHECK((int64_t)client_number(c, "lost") > 0);
  CHECK(client_stop(c, port) == 0 && client_stop(c, network) == 0 && gateways(NULL) == 0);
}

static void test_reservations_are_kept(void) {
  struct vn_writer options = {.data = NULL};
  vn_write_text(&options, "ipv4Subnet", "192.168.77.0/24");
  vn_write_text(&options, "dhcpStart", "192.168.77.100");
  vn_write_text(&options, "dhcpEnd", "192.168.77.110");
  uint32_t mark = vn_write_begin(&options, "reservation");
  vn_write_bytes(&options, "mac", guest, 6);
  vn_write_text(&options, "address", "192.168.77.50");
  vn_write_end(&options, mark);
  int32_t network = client_network(c, 1000, true, &options), port = client_start(c, network, NULL);
  uint8_t address[4] = {0}, other[4] = {0}, mac[6] = {2, 1};
  CHECK(lease(port, guest, address) && address[3] == 50);
  CHECK(lease(port, mac, other) && other[3] >= 100 && other[3] <= 110);
  CHECK(client_stop(c, network) == 0);
  vn_close(port);
}

static struct vn_writer forward_options(uint32_t external, bool add) {
  struct vn_writer options = {.data = NULL};
  vn_write_number(&options, "protocol", 6);
  vn_write_number(&options, "externalPort", external);
  if (add) {
    vn_write_number(&options, "internalPort", 80);
    vn_write_text(&options, "internalAddress", "192.168.66.2");
  } else {
    vn_write_number(&options, "family", 4);
  }
  return options;
}

static uint32_t forward(int32_t target, uint32_t op, uint32_t external) {
  struct vn_writer options = forward_options(external, op == VN_OP_FORWARD_ADD);
  return client_call(c, target, op, &options);
}

static uint32_t forwards(int32_t target) {
  struct vn_reader reader;
  struct vn_entry entry;
  uint32_t count = 0;
  CHECK(client_call(c, target, VN_OP_FORWARD_LIST, NULL) == 0);
  vn_list_read(&reader, c->result, c->length);
  while (vn_list_next(&reader, &entry)) count += vn_entry_is(&entry, VN_LIST, "forward");
  return count;
}

static bool connects(uint32_t port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  bool open = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
  close(fd);
  return open;
}

static int32_t shared_network(void) {
  struct vn_writer options = {.data = NULL};
  vn_write_text(&options, "ipv4Subnet", "192.168.66.0/24");
  return client_network(c, 1001, true, &options);
}

static void test_forwards_come_and_go(void) {
  uint32_t one = free_port(SOCK_STREAM), two = free_port(SOCK_STREAM);
  int32_t network = shared_network(), port = client_start(c, network, NULL);
  CHECK(network > 0 && port > 0);
  CHECK(forward(network, VN_OP_FORWARD_ADD, one) == 0 && connects(one) && forwards(network) == 1);
  CHECK(forward(network, VN_OP_FORWARD_ADD, one) == VN_IN_USE && forwards(port) == 1);
  CHECK(forward(network, VN_OP_FORWARD_REMOVE, two) == VN_NOT_FOUND);
  CHECK(forward(port, VN_OP_FORWARD_ADD, two) == 0 && forwards(network) == 2 && connects(two));
  CHECK(client_stop(c, port) == 0); /* takes its own forward along */
  for (int i = 0; i < 100 && connects(two); i++) usleep(10000);
  CHECK(!connects(two) && connects(one) && forwards(network) == 1);
  CHECK(forward(network, VN_OP_FORWARD_REMOVE, one) == 0 && !connects(one) && forwards(network) == 0);
  struct vn_writer bad = forward_options(70000, true);
  CHECK(client_call(c, network, VN_OP_FORWARD_ADD, &bad) == VN_BAD_OPTION && !strcmp(client_text(c, "field"), "externalPort"));
  CHECK(client_stop(c, network) == 0);
  int32_t quiet = client_network(c, 1000, false, NULL);
  CHECK(forward(quiet, VN_OP_FORWARD_ADD, one) == VN_UNSUPPORTED && client_stop(c, quiet) == 0);
}

static void test_joined_networks_forward_and_lease_too(void) {
  uint32_t one = free_port(SOCK_STREAM);
  int32_t network = shared_network();
  CHECK(client_call(c, network, VN_OP_NETWORK_SHARE, NULL) == 0);
  int32_t shared = client_handle(c);
  struct vn_writer token = {.data = NULL};
  vn_write_text(&token, "token", client_text(c, "token"));
  CHECK(client_call(c, c->context, VN_OP_NETWORK_JOIN, &token) == 0);
  CHECK(strcmp(client_text(c, "ipv4Subnet"), "192.168.66.0/24") == 0);
  int32_t joined = client_handle(c), port = client_start(c, joined, NULL);
  uint8_t address[4] = {0};
  CHECK(port > 0 && lease(port, guest, address));
  for (int i = 0; i < 100 && !lease_is_known(joined, guest, address); i++) client_ready(c, joined, 10);
  CHECK(lease_is_known(joined, guest, address) && lease_is_known(network, guest, address));
  CHECK(forward(joined, VN_OP_FORWARD_ADD, one) == 0 && forwards(joined) == 1 && forwards(network) == 1);
  CHECK(forward(port, VN_OP_FORWARD_ADD, one) == VN_IN_USE && connects(one));
  CHECK(forward(joined, VN_OP_FORWARD_REMOVE, one) == 0 && forwards(network) == 0);
  CHECK(forward(joined, VN_OP_FORWARD_ADD, one) == 0 && client_stop(c, joined) == 0);
  for (int i = 0; i < 100 && forwards(network); i++) usleep(10000);
  CHECK(forwards(network) == 0 && client_stop(c, network) == 0);
  vn_close(port), vn_close(shared);
}

static void test_killed_gateway_is_back_within_a_second(void) {
  uint32_t one = free_port(SOCK_STREAM);
  int32_t network = shared_network(), port = client_start(c, network, NULL), other = client_start(c, network, NULL);
  uint8_t address[4] = {0}, again[4], frame[1000];
  pid_t pids[64];
  CHECK(lease(port, guest, address) && forward(network, VN_OP_FORWARD_ADD, one) == 0);
  for (int i = 0; i < 100 && !lease_is_known(network, guest, address); i++) usleep(10000);
  for (int round = 0; round < 3; round++) {
    CHECK(gateways(pids) == 1);
    for (uint32_t i = 0; i < 200; i++) {
      make_frame(frame, sizeof frame, everybody, guest, i);
      client_send(c, port, frame, sizeof frame);
      if (i == 100) kill(pids[0], SIGKILL);
    }
    CHECK(client_expect(c, other, frame, sizeof frame, 1000)); /* the others do not notice */
    memcpy(again, address, 4);
    uint64_t begun = vn_monotonic_ns();
    uint8_t answer = 0;
    while (answer == 0 && vn_monotonic_ns() - begun < 2000000000) answer = dhcp_ask(port, guest, 3, again, 20);
    CHECK(answer == 5 && memcmp(again, address, 4) == 0 && vn_monotonic_ns() - begun < 1000000000);
    CHECK(lease_is_known(network, guest, address) && connects(one) && forwards(network) == 1);
    CHECK(gateways(pids) == 1 && forward(network, VN_OP_FORWARD_REMOVE, one) == 0);
    kill(pids[0], SIGKILL); /* a forward that is asked for meanwhile waits */
    CHECK(forward(network, VN_OP_FORWARD_ADD, one) == 0 && connects(one));
    usleep(1100000); /* a second of work: the next start is at once again */
  }
  client_get(c, network, VN_GET_EVENTS);
  CHECK(strcmp(client_text(c, "gateway"), "running") == 0);
  client_get(c, network, VN_GET_STATS);
  CHECK(client_number(c, "gatewayStarts") == 7);
  CHECK(client_stop(c, network) == 0 && gateways(NULL) == 0);
  vn_close(port), vn_close(other);
}

static void test_overlapping_subnets_and_taken_forwards_fail(void) {
  struct vn_writer options[4] = {{.data = NULL}};
  int32_t network = shared_network();
  vn_write_text(&options[0], "ipv4Subnet", "192.168.66.128/25");
  CHECK(client_network(c, 1000, false, &options[0]) == -VN_IN_USE && !strcmp(client_text(c, "field"), "ipv4Subnet"));
  vn_write_text(&options[1], "ipv4Subnet", "192.168.0.0/16");
  CHECK(client_network(c, 1000, false, &options[1]) == -VN_IN_USE);
  vn_write_number(&options[2], "vmnet_operation_mode", 1001);
  vn_write_text(&options[2], "vmnet_start_address", "192.168.66.1");
  vn_write_text(&options[2], "vmnet_end_address", "192.168.66.99");
  vn_write_text(&options[2], "vmnet_subnet_mask", "255.255.255.0");
  CHECK(client_start(c, c->context, &options[2]) == -VN_IN_USE);
  int taken = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
  socklen_t length = sizeof address;
  CHECK(bind(taken, (struct sockaddr *)&address, sizeof address) == 0 && listen(taken, 1) == 0);
  getsockname(taken, (struct sockaddr *)&address, &length);
  CHECK(forward(network, VN_OP_FORWARD_ADD, ntohs(address.sin_port)) == VN_IN_USE);
  CHECK(client_stop(c, network) == 0);
  struct vn_writer forwarded = forward_options(ntohs(address.sin_port), true);
  uint32_t mark = vn_write_begin(&options[3], "forward");
  struct vn_reader reader;
  struct vn_entry entry;
  vn_list_read(&reader, forwarded.data, forwarded.length);
  while (vn_list_next(&reader, &entry)) vn_write_entry(&options[3], &entry);
  vn_write_end(&options[3], mark);
  vn_writer_free(&forwarded);
  vn_write_text(&options[3], "ipv4Subnet", "192.168.66.0/24");
  CHECK(client_network(c, 1001, true, &options[3]) == -VN_IN_USE && gateways(NULL) == 0);
  close(taken);
}

static void test_default_networks_are_shared_and_end_with_their_last_interface(void) {
  struct vn_writer mode[3] = {{.data = NULL}};
  for (int i = 0; i < 3; i++) vn_write_number(&mode[i], "vmnet_operation_mode", 1000);
  vn_write_text(&mode[2], "vmnet_start_address", "192.168.128.1");
  vn_write_text(&mode[2], "vmnet_end_address", "192.168.128.254");
  vn_write_text(&mode[2], "vmnet_subnet_mask", "255.255.255.0");
  int32_t a = client_start(c, c->context, &mode[0]), b = client_start(c, c->context, &mode[1]), x = client_start(c, c->context, &mode[2]);
  CHECK(a > 0 && b > 0 && x > 0 && gateways(NULL) == 1);
  uint8_t frame[60];
  make_frame(frame, 60, everybody, guest, 8);
  CHECK(client_push(c, a, frame, 60) && client_expect(c, b, frame, 60, 1000) && client_expect(c, x, frame, 60, 1000));
  CHECK(client_stop(c, a) == 0 && client_stop(c, x) == 0 && gateways(NULL) == 1);
  CHECK(client_stop(c, b) == 0 && gateways(NULL) == 0);
}

static void test_probe_says_what_works(void) {
  CHECK(client_call(c, c->context, VN_OP_PROBE, NULL) == 0);
  CHECK(strcmp(client_text(c, "backend"), "embedded") == 0 && client_number(c, "gateway") == 1);
  CHECK(client_text(c, "libslirp")[0] == '4' && strstr(client_text(c, "gatewayPath"), "/vmnet-gateway"));
  CHECK(gateways(NULL) == 0 && client_call(c, c->context, VN_OP_SHARED_INTERFACES, NULL) == 0);
}

static void test_cycles_leave_no_process(void) {
  int fds = count_entries("/proc/self/fd"), tasks = count_entries("/proc/self/task");
  const char *longer = getenv("VN_LONG");
  int rounds = longer && longer[0] ? 200 : 20;
  for (int i = 0; i < rounds; i++) {
    struct vn_writer mode = {.data = NULL};
    vn_write_number(&mode, "vmnet_operation_mode", 1001);
    int32_t port = client_start(c, c->context, &mode);
    CHECK(port > 0);
    if (i & 1) CHECK(client_stop(c, port) == 0);
    else vn_close(port);
  }
  for (int i = 0; i < 400 && gateways(NULL); i++) usleep(5000);
  CHECK(gateways(NULL) == 0 && settles("/proc/self/fd", fds) && settles("/proc/self/task", tasks));
}

int main(void) {
  c = client_open();
  RUN(test_host_network_gives_leases_and_tells_of_them);
  RUN(test_reservations_are_kept);
  RUN(test_forwards_come_and_go);
  RUN(test_joined_networks_forward_and_lease_too);
  RUN(test_killed_gateway_is_back_within_a_second);
  RUN(test_overlapping_subnets_and_taken_forwards_fail);
  RUN(test_default_networks_are_shared_and_end_with_their_last_interface);
  RUN(test_probe_says_what_works);
  RUN(test_cycles_leave_no_process);
  client_close(c);
  CHECK(vn_shutdown(2000) == 0);
  return finish();
}
