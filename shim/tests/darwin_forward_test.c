// SPDX-License-Identifier: MIT
/* darwin_forward_test.c - port forwarding rules of classic interfaces: both families, what is taken or absent, and
 * calls
 * that come late or never. */
#include "darwin_control.h"

static struct client *c;

static int32_t start(uint32_t mode) {
  struct vn_writer options = {0};
  vn_write_number(&options, "vmnet_operation_mode", mode);
  return client_start(c, c->context, &options);
}

static uint32_t add(int32_t nic, uint32_t protocol, uint32_t external, const char *address, uint32_t internal) {
  struct vn_writer rule = {0};
  write_rule(&rule, protocol, external, address, internal);
  return client_call(c, nic, VN_OP_FORWARD_ADD, &rule);
}

static uint32_t take(int32_t nic, uint32_t protocol, uint32_t external, uint32_t family) {
  struct vn_writer key = {0};
  write_rule(&key, protocol, external, NULL, 0);
  vn_write_number(&key, "family", family);
  return client_call(c, nic, VN_OP_FORWARD_REMOVE, &key);
}

/* Whether the list has that rule. */
static bool lists(int32_t nic, const char *text) {
  struct vn_entry entry;
  if (client_call(c, nic, VN_OP_FORWARD_LIST, NULL) != VN_OK) return false;
  for (uint32_t i = 0; nth(c->result, c->length, "forward", i, &entry); i++)
    if (!strcmp(rule_text(&entry), text)) return true;
  return false;
}

static int count(int32_t nic) {
  return client_call(c, nic, VN_OP_FORWARD_LIST, NULL) == VN_OK ? (int)how_many(c->result, c->length, "forward") : -1;
}

static void rules_of_both_families_come_and_go(void) {
  int32_t nic = start(1001);
  CHECK(nic > 0 && count(nic) == 0);
  CHECK(add(nic, 6, 8080, "192.168.64.2", 80) == VN_OK && add(nic, 17, 8080, "192.168.64.2", 53) == VN_OK);
  CHECK(add(nic, 6, 8080, "fd00:1::2", 443) == VN_OK && count(nic) == 3);
  CHECK(lists(nic, "6 8080 192.168.64.2 80") && lists(nic, "17 8080 192.168.64.2 53") && lists(nic, "6 8080 fd00:1::2 443"));
  CHECK(take(nic, 6, 8080, 6) == VN_OK && count(nic) == 2 && !lists(nic, "6 8080 fd00:1::2 443"));
  CHECK(take(nic, 6, 8080, 4) == VN_OK && count(nic) == 1 && lists(nic, "17 8080 192.168.64.2 53"));
  CHECK(client_stop(c, nic) == VN_OK && nothing_left(c));
}

static void a_taken_port_is_in_use_and_an_absent_rule_not_found(void) {
  int32_t nic = start(1001), other = start(1001);
  CHECK(add(nic, 6, 8080, "192.168.64.2", 80) == VN_OK);
  CHECK(add(nic, 6, 8080, "192.168.64.3", 81) == VN_IN_USE && !strcmp(client_text(c, "field"), "externalPort"));
  CHECK(add(other, 6, 8080, "192.168.64.3", 81) == VMNET_FAILURE); /* vmnet shows an interface its own rules alone */
  CHECK(take(nic, 17, 8080, 4) == VN_NOT_FOUND && take(nic, 6, 8081, 4) == VN_NOT_FOUND);
  CHECK(take(nic, 6, 8080, 6) == VN_NOT_FOUND);
  CHECK(add(nic, 6, 8079, "192.168.64.2", 80) == VN_OK && add(nic, 6, 8081, "192.168.64.2", 80) == VN_OK);
  for (uint32_t port = 8079; port <= 8081; port++) CHECK(add(nic, 6, port, "192.168.64.2", 80) == VN_IN_USE);
  CHECK(client_stop(c, nic) == VN_OK && add(other, 6, 8080, "192.168.64.3", 81) == VN_OK);
  CHECK(client_stop(c, other) == VN_OK && nothing_left(c));
}

static void rules_are_checked_before_vmnet_sees_them(void) {
  int32_t nic = start(1001);
  CHECK(add(nic, 1, 8080, "192.168.64.2", 80) == VN_BAD_OPTION && add(nic, 6, 0, "192.168.64.2", 80) == VN_BAD_OPTION);
  CHECK(add(nic, 6, 65536, "192.168.64.2", 80) == VN_BAD_OPTION && add(nic, 6, 80, "no address", 80) == VN_BAD_OPTION);
  CHECK(add(nic, 6, 80, NULL, 0) == VN_BAD_OPTION && !strcmp(client_text(c, "field"), "internalAddress"));
  CHECK(take(nic, 6, 80, 5) == VN_BAD_OPTION && count(nic) == 0);
  CHECK(client_stop(c, nic) == VN_OK && nothing_left(c));
}

static void a_rule_that_comes_late_is_taken_back(void) {
  int32_t nic = start(1001);
  for (int round = 0; round < 2; round++) {
    double_set("call", "late:100");
    struct vn_writer rule = {0};
    write_rule(&rule, 6, 9000, "192.168.64.2", 80);
    /* The list that is asked for first takes 100 ms as well. */
    int32_t operation = begin(nic, VN_OP_FORWARD_ADD, &rule, round ? 0 : 150);
    if (round) usleep(150000), vn_cancel(operation);
    CHECK(end_of(c, operation) == (round ? VN_CANCELLED : VN_TIMEOUT));
    double_set("call", "ok");
    for (int i = 0; i < 400 && count(nic) != 1; i++) usleep(2000);
    for (int i = 0; i < 400 && count(nic) != 0; i++) usleep(2000);
    CHECK(count(nic) == 0 && add(nic, 6, 9000, "192.168.64.2", 80) == VN_OK && take(nic, 6, 9000, 4) == VN_OK);
  }
  CHECK(client_stop(c, nic) == VN_OK && nothing_left(c));
}

static void a_failing_vmnet_says_so(void) {
  int32_t nic = start(1001);
  double_set("call", "fail:1005");
  CHECK(add(nic, 6, 9000, "192.168.64.2", 80) == VMNET_INVALID_ACCESS && client_text(c, "message")[0]);
  CHECK(client_call(c, nic, VN_OP_FORWARD_LIST, NULL) == VMNET_INVALID_ACCESS);
  double_set("call", "ok");
  CHECK(client_stop(c, nic) == VN_OK && nothing_left(c));
}

static void a_stop_does_not_wait_for_handlers(void) {
  for (int round = 0; round < 20; round++) {
    int32_t nic = start(1001);
    double_set("call", "late:30");
    struct vn_writer rule = {0};
    write_rule(&rule, 6, 9000, "192.168.64.2", 80);
    int32_t adding = begin(nic, VN_OP_FORWARD_ADD, &rule, 5000), listing = begin(nic, VN_OP_FORWARD_LIST, NULL, 5000);
    usleep((useconds_t)(round * 3000));
    int32_t stopping = begin(nic, VN_OP_STOP, NULL, 5000);
    CHECK(end_of(c, stopping) == VN_OK);
    uint32_t added = end_of(c, adding), listed = end_of(c, listing);
    CHECK(added == VN_OK || added == VN_STOPPED || added == VMNET_INVALID_ARGUMENT || added == VMNET_FAILURE);
    CHECK(listed == VN_OK || listed == VN_STOPPED || listed == VMNET_INVALID_ARGUMENT);
    double_set("call", "ok");
    CHECK(nothing_left(c));
  }
}

static void a_call_that_hangs_ends_with_its_deadline(void) {
  int32_t nic = start(1001);
  double_set("call", "hang");
  CHECK(end_of(c, begin(nic, VN_OP_FORWARD_LIST, NULL, 100)) == VN_TIMEOUT);
  /* The stop does not overtake a call that is inside vmnet. */
  CHECK(vn_close(nic) == VN_OK && double_count("interfaces") == 1);
  double_set("call", "ok");
  double_go_on();
  CHECK(nothing_left(c));
}

int main(void) {
  double_set("wire", "hub");
  c = client_open();
  RUN(rules_of_both_families_come_and_go);
  RUN(a_taken_port_is_in_use_and_an_absent_rule_not_found);
  RUN(rules_are_checked_before_vmnet_sees_them);
  RUN(a_rule_that_comes_late_is_taken_back);
  RUN(a_failing_vmnet_says_so);
  RUN(a_stop_does_not_wait_for_handlers);
  RUN(a_call_that_hangs_ends_with_its_deadline);
  client_close(c);
  return finish();
}
