// SPDX-License-Identifier: MIT
/* darwin_serialization_test.c - further objects of a network: from vmnet's serialization and from a pointer. */
#include "core/object.h"
#include "darwin/network.h"
#include "darwin_control.h"

static struct client *c;

static int32_t make_network(void) {
  struct vn_writer options = {0};
  vn_write_text(&options, "ipv4Subnet", "192.168.55.0/24");
  vn_write_number(&options, "mtu", 1400);
  write_forward(&options, 6, 8080, "192.168.55.9", 80);
  return client_network(c, 1000, false, &options);
}

static uint32_t from_pointer(uint64_t address) {
  struct vn_writer options = {0};
  vn_write_number(&options, "address", address);
  return client_call(c, c->context, VN_OP_NETWORK_FROM_POINTER, &options);
}

static void a_serialization_makes_another_object_of_the_network(void) {
  int32_t network = make_network();
  CHECK(network > 0 && client_call(c, network, VN_OP_NETWORK_COPY_SERIALIZATION, NULL) == VN_OK);
  int32_t serialization = client_handle(c);
  CHECK(serialization > 0 && state_of(c, serialization) == VN_OK);
  CHECK(vn_get(serialization, VN_GET_STATS, NULL, 0) == -VN_BAD_CALL);
  for (int i = 0; i < 2; i++) { /* it can be used again */
    CHECK(client_call(c, serialization, VN_OP_NETWORK_FROM_SERIALIZATION, NULL) == VN_OK);
    int32_t second = client_handle(c);
    CHECK(!strcmp(client_text(c, "ipv4Subnet"), "192.168.55.0/24") && !strcmp(client_text(c, "ipv4Gateway"), "192.168.55.1"));
    CHECK(client_number(c, "mode") == 1000 && client_number(c, "mtu") == 1400 && double_count("interfaces") == 2);
    CHECK(double_count("networks") == 1 && client_call(c, second, VN_OP_FORWARD_LIST, NULL) == VN_OK);
    CHECK(how_many(c->result, c->length, "forward") == 1);
    CHECK(client_stop(c, second) == VN_OK && state_of(c, network) == VN_OK);
  }
  CHECK(client_call(c, serialization, VN_OP_NETWORK_FROM_SERIALIZATION, NULL) == VN_OK);
  int32_t second = client_handle(c), nic = client_start(c, second, NULL);
  CHECK(nic > 0 && client_stop(c, network) == VN_OK && state_of(c, nic) == VN_OK); /* it goes on with the second */
  CHECK(client_stop(c, second) == VN_OK && state_of(c, nic) == VN_GONE);
  CHECK(client_call(c, serialization, VN_OP_NETWORK_FROM_SERIALIZATION, NULL) == VMNET_FAILURE);
  CHECK(client_stop(c, serialization) == VN_OK && client_stop(c, serialization) == VN_STALE);
  CHECK(vn_close(nic) == VN_OK && nothing_left(c));
}

static void interfaces_of_two_objects_meet(void) {
  uint8_t frame[100];
  static const uint8_t from[6] = {2, 0, 0, 0, 0, 1};
  int32_t network = make_network();
  CHECK(client_call(c, network, VN_OP_NETWORK_COPY_SERIALIZATION, NULL) == VN_OK);
  int32_t serialization = client_handle(c);
  CHECK(client_call(c, serialization, VN_OP_NETWORK_FROM_SERIALIZATION, NULL) == VN_OK);
  int32_t second = client_handle(c), a = client_start(c, network, NULL), b = client_start(c, second, NULL);
  make_frame(frame, sizeof frame, everybody, from, 7);
  CHECK(client_push(c, a, frame, sizeof frame) && client_expect(c, b, frame, sizeof frame, 3000));
  CHECK(vn_close(serialization) == VN_OK && client_stop(c, a) == VN_OK && client_stop(c, b) == VN_OK);
  CHECK(client_stop(c, network) == VN_OK && client_stop(c, second) == VN_OK && nothing_left(c));
}

static void a_pointer_is_retained(void) {
  struct vn_object *object;
  int32_t network = make_network();
  CHECK(vn_handle_find(network, &object) == VN_OK);
  uint64_t address = (uintptr_t)((struct vn_mac_network *)object)->ref;
  CHECK(from_pointer(address) == VN_OK);
  int32_t second = client_handle(c);
  CHECK(!strcmp(client_text(c, "ipv4Subnet"), "192.168.55.0/24") && client_number(c, "mtu") == 1400 && client_number(c, "mode") == 1000);
  CHECK(client_stop(c, network) == VN_OK && double_count("networks") == 1);
  int32_t nic = client_start(c, second, NULL);
  CHECK(nic > 0 && client_stop(c, nic) == VN_OK && client_stop(c, second) == VN_OK && nothing_left(c));
}

static void what_is_no_pointer_is_refused(void) {
  static const uint64_t bad[] = {0, 1, 0x7fff00000004};
  for (int i = 0; i < 3; i++) CHECK(from_pointer(bad[i]) == VN_BAD_OPTION && !strcmp(client_text(c, "field"), "address"));
  CHECK(client_call(c, c->context, VN_OP_NETWORK_FROM_POINTER, NULL) == VN_BAD_OPTION && nothing_left(c));
}

static void what_comes_late_is_undone(void) {
  int32_t network = make_network();
  double_set("call", "late:100");
  CHECK(end_of(c, begin(network, VN_OP_NETWORK_COPY_SERIALIZATION, NULL, 20)) == VN_TIMEOUT);
  CHECK(client_call(c, network, VN_OP_NETWORK_COPY_SERIALIZATION, NULL) == VN_OK);
  int32_t serialization = client_handle(c);
  CHECK(end_of(c, begin(serialization, VN_OP_NETWORK_FROM_SERIALIZATION, NULL, 20)) == VN_TIMEOUT);
  double_set("call", "fail:1001");
  CHECK(client_call(c, network, VN_OP_NETWORK_COPY_SERIALIZATION, NULL) == VMNET_FAILURE);
  CHECK(client_call(c, serialization, VN_OP_NETWORK_FROM_SERIALIZATION, NULL) == VMNET_FAILURE);
  double_set("call", "ok");
  CHECK(client_stop(c, network) == VN_OK && vn_close(serialization) == VN_OK && nothing_left(c));
}

static void a_network_that_ended_has_none(void) {
  int32_t network = make_network();
  CHECK(vn_shutdown(5000) == 0);
  CHECK(client_call(c, network, VN_OP_NETWORK_COPY_SERIALIZATION, NULL) == VN_GONE);
  CHECK(vn_close(network) == VN_OK && nothing_left(c));
}

/* vmnet's reference is what the call works with, so it is the call's until it comes back. */
static void a_call_that_hangs_keeps_its_network(void) {
  int32_t network = client_network(c, 1000, true, NULL);
  double_set("call", "hang");
  CHECK(end_of(c, begin(network, VN_OP_NETWORK_COPY_SERIALIZATION, NULL, 50)) == VN_TIMEOUT);
  double_set("call", "ok");
  CHECK(end_of(c, begin(network, VN_OP_STOP, NULL, 200)) == VN_TIMEOUT);
  CHECK(double_count("networks") == 1 && double_count("interfaces") == 1);
  double_go_on();
  CHECK(nothing_left(c));
}

int main(void) {
  double_set("wire", "hub");
  c = client_open();
  RUN(a_serialization_makes_another_object_of_the_network);
  RUN(interfaces_of_two_objects_meet);
  RUN(a_pointer_is_retained);
  RUN(what_is_no_pointer_is_refused);
  RUN(what_comes_late_is_undone);
  RUN(a_network_that_ended_has_none);
  RUN(a_call_that_hangs_keeps_its_network);
  client_close(c);
  return finish();
}
