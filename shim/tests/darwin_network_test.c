// SPDX-License-Identifier: MIT
/* darwin_network_test.c - networks of macOS 26 over the public ABI: what reaches vmnet, what comes back, and how they
 * end. */
#include "core/object.h"
#include "darwin/network.h"
#include "darwin/system.h"
#include "darwin_control.h"
#include "vmnet_double.h"

static struct client *c;

/* What the double knows of a network: the options for its daemon. Values that were not set are not in it. */
static struct vmnet_network *double_of(int32_t handle) {
  struct vn_object *object;
  if (vn_handle_find(handle, &object) != VN_OK) return NULL;
  return (struct vmnet_network *)((struct vn_mac_network *)object)->ref;
}

static void every_option_reaches_vmnet(void) {
  static const uint8_t macs[2][6] = {{0x52, 0x54, 0, 0, 0, 1}, {0x52, 0x54, 0, 0, 0, 2}};
  static const char *const flags[] = {"dhcp", "dnsProxy", "nat44", "nat66", "routerAdvertisement"};
  for (uint32_t off = 0; off < 6; off++) { /* each flag off once, and none */
    struct vn_writer options = {0};
    vn_write_number(&options, "mode", 1001);
    vn_write_text(&options, "ipv4Subnet", "192.168.77.99/25");
    vn_write_text(&options, "ipv6Prefix", "fd12:3456:789a:bcde::/64");
    vn_write_number(&options, "mtu", 1400);
    vn_write_text(&options, "externalInterface", "en0");
    for (uint32_t i = 0; i < 5; i++) vn_write_number(&options, flags[i], i != off);
    write_reservation(&options, macs[0], "192.168.77.10");
    write_reservation(&options, macs[1], "192.168.77.11");
    write_forward(&options, 6, 8080, "192.168.77.10", 80);
    write_forward(&options, 17, 5353, "fd12:3456:789a:bcde::5", 53);
    CHECK(client_call(c, c->context, VN_OP_NETWORK_CREATE, &options) == VN_OK);
    int32_t network = client_handle(c);
    CHECK(!strcmp(client_text(c, "ipv4Subnet"), "192.168.77.0/25"));
    CHECK(!strcmp(client_text(c, "ipv4Gateway"), "192.168.77.1"));
    CHECK(!strcmp(client_text(c, "ipv6Prefix"), "fd12:3456:789a:bcde::/64"));
    CHECK(!strcmp(client_text(c, "dhcpStart"), "192.168.77.2") && !strcmp(client_text(c, "dhcpEnd"), "192.168.77.126"));
    CHECK(client_number(c, "mtu") == 1400 && client_number(c, "leaseSeconds") == 86400 && client_number(c, "mode") == 1001);
    CHECK(client_number(c, "vmnet_mtu") == UINT64_MAX); /* the member's parameters are not the network's */
    struct vmnet_network *it = double_of(network);
    CHECK(it != NULL);
    if (it == NULL) return;
    const struct vn_writer *at = &it->options, *extras = &it->extras;
    CHECK(!strcmp(it->external, "en0"));
    CHECK(it->place.mode == 1001 && it->place.gateway == 0xc0a84d01 && it->place.bits == 25 && it->place.mtu == 1400);
    for (uint32_t i = 0; i < 5; i++) CHECK(vn_list_number(at->data, at->length, flags[i], 1) == (i != off));
    struct vn_entry entry, mac;
    CHECK(how_many(extras->data, extras->length, "reservation") == 2);
    CHECK(how_many(extras->data, extras->length, "forward") == 2);
    for (uint32_t i = 0; i < 2 && nth(extras->data, extras->length, "reservation", i, &entry); i++) {
      char address[50] = "";
      CHECK(vn_list_find(entry.value, entry.length, VN_BYTES, "mac", &mac) && !memcmp(mac.value, macs[i], 6));
      CHECK(vn_list_text(entry.value, entry.length, "address", address, sizeof address));
      CHECK(!strcmp(address, i ? "192.168.77.11" : "192.168.77.10"));
    }
    uint32_t first = 0; /* the double keeps them in no order */
    if (nth(extras->data, extras->length, "forward", 0, &entry)) first = vn_list_number(entry.value, entry.length, "protocol", 0) != 6;
    CHECK(nth(extras->data, extras->length, "forward", first, &entry));
    CHECK(!strcmp(rule_text(&entry), "6 8080 192.168.77.10 80"));
    CHECK(nth(extras->data, extras->length, "forward", !first, &entry));
    CHECK(!strcmp(rule_text(&entry), "17 5353 fd12:3456:789a:bcde::5 53"));
    CHECK(client_call(c, network, VN_OP_FORWARD_LIST, NULL) == VN_OK);
    CHECK(how_many(c->result, c->length, "forward") == 2 && nth(c->result, c->length, "forward", 0, &entry));
    CHECK(!strcmp(rule_text(&entry), "6 8080 192.168.77.10 80"));
    CHECK(client_call(c, network, VN_OP_RESERVATION_LIST, NULL) == VN_OK);
    CHECK(how_many(c->result, c->length, "reservation") == 2 && nth(c->result, c->length, "reservation", 1, &entry));
    CHECK(vn_list_find(entry.value, entry.length, VN_BYTES, "mac", &mac) && !memcmp(mac.value, macs[1], 6));
    struct vn_writer later = {0};
    vn_write_bytes(&later, "mac", macs[1], 6);
    vn_write_text(&later, "address", "192.168.77.12");
    CHECK(client_call(c, network, off & 1 ? VN_OP_RESERVATION_ADD : VN_OP_RESERVATION_REMOVE, &later) == VN_UNSUPPORTED);
    CHECK(strstr(client_text(c, "message"), "reservations") && strstr(client_text(c, "message"), "created"));
    CHECK(client_stop(c, network) == VN_OK);
  }
  CHECK(nothing_left(c));
}

static void what_is_not_given_is_left_to_vmnet(void) {
  int32_t one = client_network(c, 1000, true, NULL);
  char subnet[64];
  strcpy(subnet, client_text(c, "ipv4Subnet"));
  CHECK(one > 0 && !strncmp(subnet, "192.168.", 8) && strstr(subnet, ".0/24") && client_number(c, "mtu") == 1500);
  CHECK(!strncmp(client_text(c, "ipv6Prefix"), "fd", 2) && client_number(c, "mode") == 1000);
  int32_t two = client_network(c, 1001, true, NULL);
  CHECK(two > 0 && strcmp(client_text(c, "ipv4Subnet"), subnet));
  CHECK(client_stop(c, one) == VN_OK && client_stop(c, two) == VN_OK && nothing_left(c));
}

static uint32_t create_with(const char *key, const char *text, uint64_t number, uint32_t mode) {
  struct vn_writer options = {0};
  vn_write_number(&options, "mode", mode);
  if (text) vn_write_text(&options, key, text);
  else vn_write_number(&options, key, number);
  uint32_t status = client_call(c, c->context, VN_OP_NETWORK_CREATE, &options);
  if (status == VN_OK) client_stop(c, client_handle(c));
  return status;
}

static void what_vmnet_lacks_is_refused_by_name(void) {
  CHECK(create_with("dhcpStart", "192.168.1.5", 0, 1001) == VN_UNSUPPORTED && !strcmp(client_text(c, "field"), "dhcpStart"));
  CHECK(create_with("dhcpEnd", "192.168.1.5", 0, 1001) == VN_UNSUPPORTED && !strcmp(client_text(c, "field"), "dhcpEnd"));
  CHECK(create_with("leaseSeconds", NULL, 600, 1001) == VN_UNSUPPORTED && !strcmp(client_text(c, "field"), "leaseSeconds"));
  CHECK(client_text(c, "message")[0] != 0);
  CHECK(create_with("externalInterface", "en0", 0, 1000) == VN_BAD_OPTION);
  CHECK(!strcmp(client_text(c, "field"), "externalInterface"));
  CHECK(create_with("externalInterface", "", 0, 1001) == VN_BAD_OPTION);
  CHECK(create_with("externalInterface", NULL, 1, 1001) == VN_BAD_OPTION);
  CHECK(create_with("externalInterface", "a name that is too long", 0, 1001) == VN_BAD_OPTION);
  CHECK(create_with("colour", "red", 0, 1001) == VN_BAD_OPTION && !strcmp(client_text(c, "field"), "colour"));
  CHECK(create_with("ipv4Subnet", "8.8.8.0/24", 0, 1001) == VN_BAD_OPTION);
  CHECK(create_with("mtu", NULL, 5, 1001) == VN_BAD_OPTION && create_with("mode", NULL, 1002, 1001) == VN_BAD_OPTION);
  CHECK(nothing_left(c));
}

static uint32_t create_subnet(const char *subnet, int32_t *handle) {
  struct vn_writer options = {0};
  vn_write_number(&options, "mode", 1000);
  vn_write_text(&options, "ipv4Subnet", subnet);
  uint32_t status = client_call(c, c->context, VN_OP_NETWORK_CREATE, &options);
  if (status == VN_OK) *handle = client_handle(c);
  return status;
}

static void a_subnet_is_taken_once_and_free_after_the_stop(void) {
  int32_t one = 0, two = 0;
  CHECK(create_subnet("192.168.91.0/24", &one) == VN_OK);
  static const char *const overlapping[] = {"192.168.91.0/24", "192.168.91.128/25", "192.168.0.0/16"};
  for (int i = 0; i < 3; i++) {
    CHECK(create_subnet(overlapping[i], &two) == VN_IN_USE);
    CHECK(!strcmp(client_text(c, "field"), "ipv4Subnet"));
  }
  CHECK(create_subnet("192.168.92.0/24", &two) == VN_OK && client_stop(c, two) == VN_OK);
  for (int i = 0; i < 5; i++) {
    CHECK(client_stop(c, one) == VN_OK);
    CHECK(create_subnet("192.168.91.0/24", &one) == VN_OK);
  }
  CHECK(client_stop(c, one) == VN_OK && nothing_left(c));
}

static void the_member_keeps_the_rules_while_guests_come_and_go(void) {
  struct vn_writer options = {0};
  write_forward(&options, 6, 8080, "192.168.64.9", 80);
  int32_t network = client_network(c, 1001, true, &options);
  CHECK(network > 0 && double_count("interfaces") == 1);
  for (int i = 0; i < 3; i++) {
    int32_t nic = client_start(c, network, NULL);
    CHECK(nic > 0 && client_number(c, "vmnet_mtu") == 1500 && double_count("interfaces") == 2);
    CHECK(client_get(c, network, VN_GET_STATS) && client_number(c, "interfaces") == 1);
    CHECK(client_stop(c, nic) == VN_OK && double_count("interfaces") == 1);
  }
  struct vmnet_network *it = double_of(network);
  CHECK(it && how_many(it->extras.data, it->extras.length, "forward") == 1 && it->members == 1);
  CHECK(client_stop(c, network) == VN_OK && nothing_left(c));
}

static void two_interfaces_of_a_network_meet(void) {
  uint8_t frame[100];
  static const uint8_t from[6] = {2, 0, 0, 0, 0, 1};
  int32_t network = client_network(c, 1000, false, NULL);
  int32_t a = client_start(c, network, NULL), b = client_start(c, network, NULL);
  make_frame(frame, sizeof frame, everybody, from, 7);
  CHECK(client_push(c, a, frame, sizeof frame) && client_expect(c, b, frame, sizeof frame, 3000));
  CHECK(client_stop(c, a) == VN_OK && client_stop(c, b) == VN_OK && client_stop(c, network) == VN_OK && nothing_left(c));
}

static void an_interface_on_a_network_may_repeat_its_mode_and_no_other(void) {
  int32_t network = client_network(c, 1001, true, NULL), nic;
  const uint64_t modes[] = {1001, 1000, 1001 | 1ull << 32};
  for (int i = 0; i < 4; i++) {
    struct vn_writer options = {0};
    if (i < 3) vn_write_number(&options, "vmnet_operation_mode", modes[i]);
    else vn_write_text(&options, "vmnet_operation_mode", "shared");
    nic = client_start(c, network, &options);
    CHECK(i == 0 ? nic > 0 && client_stop(c, nic) == VN_OK : nic == -VN_BAD_OPTION);
  }
  CHECK(client_stop(c, network) == VN_OK && nothing_left(c));
}

static void interfaces_hear_that_their_network_went(void) {
  for (int how = 0; how < 2; how++) {
    int32_t network = client_network(c, 1000, true, NULL);
    int32_t nic = client_start(c, network, NULL);
    CHECK(nic > 0);
    if (how == 0) CHECK(client_stop(c, network) == VN_OK);
    else CHECK(vn_close(network) == VN_OK);
    for (int i = 0; i < 400 && state_of(c, nic) == VN_OK; i++) client_ready(c, nic, 5);
    CHECK(state_of(c, nic) == VN_GONE);
    uint8_t frame[60] = {0};
    CHECK(client_send(c, nic, frame, sizeof frame) == -VN_GONE);
    CHECK(client_stop(c, nic) == VN_OK && nothing_left(c));
  }
}

static void a_network_stops_twice_at_once(void) {
  int32_t network = client_network(c, 1000, true, NULL);
  int32_t one = begin(network, VN_OP_STOP, NULL, 5000), two = begin(network, VN_OP_STOP, NULL, 5000);
  CHECK(end_of(c, one) == VN_OK && end_of(c, two) == VN_OK && nothing_left(c));
  CHECK(client_stop(c, network) == VN_STALE);
}

static void a_member_that_does_not_start_is_a_failure_without_leftovers(void) {
  static const char *const scripts[] = {"fail:1001", "fail:1002", "fail:1009", "null"};
  for (int i = 0; i < 4; i++) {
    double_set("start", scripts[i]);
    uint32_t status = create_with("mtu", NULL, 1400, 1001);
    CHECK(status == (i < 3 ? (uint32_t)atoi(scripts[i] + 5) : VMNET_FAILURE));
    CHECK(client_text(c, "message")[0] != 0 && nothing_left(c));
  }
  double_set("start", "ok");
  double_set("call", "fail:1001");
  CHECK(create_with("mtu", NULL, 1400, 1001) == VMNET_FAILURE && strstr(client_text(c, "message"), "subnet"));
  double_set("call", "fail:1009");
  CHECK(create_with("mtu", NULL, 1400, 1001) == VMNET_SHARING_SERVICE_BUSY);
  CHECK(strstr(client_text(c, "message"), "Internet Sharing"));
  double_set("call", "ok");
  CHECK(nothing_left(c));
}

static void late_successes_are_undone(void) {
  static const char *const keys[] = {"start", "call"};
  for (int i = 0; i < 2; i++) {
    double_set(keys[i], "late:150");
    struct vn_writer options = {0}, again = {0};
    vn_write_number(&options, "mode", 1000);
    vn_write_number(&again, "mode", 1000);
    CHECK(end_of(c, begin(c->context, VN_OP_NETWORK_CREATE, &options, 30)) == VN_TIMEOUT);
    int32_t operation = begin(c->context, VN_OP_NETWORK_CREATE, &again, 0);
    usleep(20000);
    CHECK(vn_cancel(operation) == VN_OK && end_of(c, operation) == VN_CANCELLED);
    CHECK(nothing_left(c));
    int32_t network = client_network(c, 1000, true, NULL); /* who waits gets it */
    CHECK(network > 0 && client_stop(c, network) == VN_OK && nothing_left(c));
    double_set(keys[i], "ok");
  }
}

static void eight_calls_that_hang_leave_the_ninth_busy(void) {
  int32_t operations[9];
  double_set("call", "hang");
  for (int i = 0; i < 9; i++) {
    struct vn_writer options = {0};
    vn_write_number(&options, "mode", 1000);
    operations[i] = begin(c->context, VN_OP_NETWORK_CREATE, &options, i < 8 ? 200 : 2000);
  }
  for (int i = 0; i < 8; i++) CHECK(end_of(c, operations[i]) == VN_TIMEOUT);
  uint32_t ninth = end_of(c, operations[8]);
  CHECK(ninth == VN_BUSY || ninth == VN_TIMEOUT);
  CHECK(double_count("hanging") == 8);
  struct vn_writer options = {0};
  vn_write_number(&options, "mode", 1000);
  CHECK(end_of(c, begin(c->context, VN_OP_NETWORK_CREATE, &options, 2000)) == VN_BUSY);
  double_set("call", "ok");
  double_go_on();
  CHECK(nothing_left(c));
  int32_t network = client_network(c, 1000, true, NULL);
  CHECK(network > 0 && client_stop(c, network) == VN_OK && nothing_left(c));
}

static void a_stop_that_hangs_holds_up_one_network_alone(void) {
  int32_t one = client_network(c, 1000, true, NULL), nic = client_start(c, one, NULL), two = 0;
  CHECK(create_subnet("192.168.99.0/24", &two) == VN_OK);
  double_set("stop", "hang");
  CHECK(end_of(c, begin(one, VN_OP_STOP, NULL, 100)) == VN_TIMEOUT && state_of(c, nic) == VN_GONE);
  double_set("stop", "ok");
  CHECK(client_stop(c, two) == VN_OK && create_subnet("192.168.99.0/24", &two) == VN_OK);
  CHECK(vn_close(two) == VN_OK && vn_close(nic) == VN_OK && vn_shutdown(50) > 0);
  double_go_on();
  CHECK(nothing_left(c) && vn_shutdown(1000) == 0);
}

static void shutdown_ends_networks_and_whatever_is_on_them(void) {
  int32_t network = client_network(c, 1001, true, NULL), nic = client_start(c, network, NULL);
  int32_t other = client_network(c, 1000, true, NULL);
  CHECK(nic > 0 && other > 0 && vn_shutdown(5000) == 0);
  CHECK(state_of(c, network) == VN_STOPPED && state_of(c, nic) != VN_OK && double_count("interfaces") == 0);
  CHECK(client_start(c, network, NULL) == -VN_GONE);
  CHECK(vn_close(network) == VN_OK && vn_close(nic) == VN_OK && vn_close(other) == VN_OK && nothing_left(c));
}

static void rules_of_a_network_cannot_be_changed(void) {
  int32_t network = client_network(c, 1001, true, NULL), nic = client_start(c, network, NULL);
  const int32_t targets[] = {network, nic};
  for (int i = 0; i < 2; i++) {
    struct vn_writer rule = {0}, key = {0};
    write_rule(&rule, 6, 8080, "192.168.64.2", 80);
    CHECK(client_call(c, targets[i], VN_OP_FORWARD_ADD, &rule) == VN_UNSUPPORTED);
    CHECK(strstr(client_text(c, "message"), "created"));
    write_rule(&key, 6, 8080, NULL, 0);
    CHECK(client_call(c, targets[i], VN_OP_FORWARD_REMOVE, &key) == VN_UNSUPPORTED);
    CHECK(client_call(c, targets[i], VN_OP_FORWARD_LIST, NULL) == VN_OK && how_many(c->result, c->length, "forward") == 0);
  }
  CHECK(client_stop(c, nic) == VN_OK && client_stop(c, network) == VN_OK && nothing_left(c));
}

static void networks_come_and_go(void) {
  const int rounds = getenv("VN_LONG") && *getenv("VN_LONG") ? 2000 : 60;
  int threads = 0;
  for (int i = 0; i < rounds; i++) {
    int32_t network = client_network(c, 1000 + (i & 1), true, NULL);
    int32_t nic = i % 3 ? client_start(c, network, NULL) : 0;
    CHECK(network > 0 && nic >= 0);
    if (i % 2 && nic > 0) vn_close(nic);
    if (i % 5 == 0) vn_close(network);
    else CHECK(client_stop(c, network) == VN_OK);
    if (!(i % 2) && nic > 0) vn_close(nic);
    if (i == 10) threads = nothing_left(c) ? count_entries("/proc/self/task") : 0;
  }
  CHECK(nothing_left(c) && settles("/proc/self/task", threads));
}

int main(void) {
  double_set("wire", "hub");
  double_set("leases", "/nonexistent");
  c = client_open();
  RUN(every_option_reaches_vmnet);
  RUN(what_is_not_given_is_left_to_vmnet);
  RUN(what_vmnet_lacks_is_refused_by_name);
  RUN(a_subnet_is_taken_once_and_free_after_the_stop);
  RUN(the_member_keeps_the_rules_while_guests_come_and_go);
  RUN(two_interfaces_of_a_network_meet);
  RUN(an_interface_on_a_network_may_repeat_its_mode_and_no_other);
  RUN(interfaces_hear_that_their_network_went);
  RUN(a_network_stops_twice_at_once);
  RUN(a_member_that_does_not_start_is_a_failure_without_leftovers);
  RUN(late_successes_are_undone);
  RUN(eight_calls_that_hang_leave_the_ninth_busy);
  RUN(a_stop_that_hangs_holds_up_one_network_alone);
  RUN(shutdown_ends_networks_and_whatever_is_on_them);
  RUN(rules_of_a_network_cannot_be_changed);
  RUN(networks_come_and_go);
  client_close(c);
  return finish();
}
