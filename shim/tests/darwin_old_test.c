// SPDX-License-Identifier: MIT
/* darwin_old_test.c - a macOS without the functions of 26: this program alone is linked to a double that lacks them. */
#include "darwin/network.h"
#include "darwin_control.h"

static struct client *c;

static void networks_need_macos_26(void) {
  struct vn_writer pointer = {0};
  CHECK(!vn_mac_has_networks() && client_network(c, 1001, true, NULL) == -VN_UNSUPPORTED);
  CHECK(!strcmp(client_text(c, "needs"), "macOS 26") && strstr(client_text(c, "message"), "needs macOS 26"));
  vn_write_number(&pointer, "address", 4096);
  CHECK(client_call(c, c->context, VN_OP_NETWORK_FROM_POINTER, &pointer) == VN_UNSUPPORTED);
  CHECK(!strcmp(client_text(c, "needs"), "macOS 26"));
  CHECK(client_call(c, c->context, VN_OP_PROBE, NULL) == VN_OK && client_number(c, "networks") == 0);
  CHECK(client_number(c, "host") == 0 && !strcmp(client_text(c, "macos"), "15.0") && nothing_left(c));
}

static int32_t start_shared(void) {
  struct vn_writer options = {0};
  vn_write_number(&options, "vmnet_operation_mode", 1001);
  return client_start(c, c->context, &options);
}

static void classic_interfaces_and_their_rules_work(void) {
  struct vn_writer rule = {0}, key = {0};
  int32_t nic = start_shared();
  write_rule(&rule, 6, 8080, "192.168.64.2", 80);
  CHECK(client_call(c, nic, VN_OP_FORWARD_ADD, &rule) == VN_OK && client_call(c, nic, VN_OP_FORWARD_LIST, NULL) == VN_OK);
  CHECK(how_many(c->result, c->length, "forward") == 1);
  write_rule(&key, 6, 8080, NULL, 0);
  CHECK(client_call(c, nic, VN_OP_FORWARD_REMOVE, &key) == VN_OK && client_stop(c, nic) == VN_OK && nothing_left(c));
}

static void before_macos_12_rules_are_for_ipv4_alone(void) {
  struct vn_writer rules[5] = {{0}};
  struct vn_entry entry;
  double_set("macos", "11.6");
  int32_t nic = start_shared();
  write_rule(&rules[0], 6, 8080, "192.168.64.2", 80);
  CHECK(nic > 0 && client_call(c, nic, VN_OP_FORWARD_ADD, &rules[0]) == VN_OK);
  CHECK(client_call(c, nic, VN_OP_FORWARD_LIST, NULL) == VN_OK && how_many(c->result, c->length, "forward") == 1);
  CHECK(nth(c->result, c->length, "forward", 0, &entry) && !strcmp(rule_text(&entry), "6 8080 192.168.64.2 80"));
  write_rule(&rules[1], 6, 8080, "192.168.64.3", 80);
  CHECK(client_call(c, nic, VN_OP_FORWARD_ADD, &rules[1]) == VN_IN_USE);
  write_rule(&rules[2], 6, 8080, "fd00::2", 80);
  CHECK(client_call(c, nic, VN_OP_FORWARD_ADD, &rules[2]) == VN_UNSUPPORTED && !strcmp(client_text(c, "needs"), "macOS 12"));
  write_rule(&rules[3], 6, 8080, NULL, 0);
  CHECK(client_call(c, nic, VN_OP_FORWARD_REMOVE, &rules[3]) == VN_OK);
  write_rule(&rules[4], 6, 8080, NULL, 0);
  CHECK(client_call(c, nic, VN_OP_FORWARD_REMOVE, &rules[4]) == VN_NOT_FOUND);
  CHECK(client_stop(c, nic) == VN_OK && nothing_left(c));
  double_set("macos", "15.0");
}

static void only_root_may(void) {
  double_set("uid", "501");
  double_set("entitled", "1"); /* of no use yet */
  CHECK(start_shared() == -VMNET_FAILURE && !strcmp(client_text(c, "needs"), "root"));
  CHECK(client_call(c, c->context, VN_OP_PROBE, NULL) == VN_OK && client_number(c, "host") == 0);
  CHECK(client_number(c, "root") == 0 && nothing_left(c));
}

int main(void) {
  double_set("wire", "hub");
  double_set("macos", "15.0");
  c = client_open();
  RUN(networks_need_macos_26);
  RUN(classic_interfaces_and_their_rules_work);
  RUN(before_macos_12_rules_are_for_ipv4_alone);
  RUN(only_root_may);
  client_close(c);
  return finish();
}
