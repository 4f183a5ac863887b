// SPDX-License-Identifier: MIT
/* The double of vmnet over the hub: starts, parameters, reading and writing, and what each key of the script does. */
#include "doubles/vmnet_double.h"
#include "doubles_vmnet.h"

static void set(const char *key, const char *value) { double_set(key, value); }

static xpc_object_t with_text(xpc_object_t out, const char *key, const char *value) {
  xpc_dictionary_set_string(out, key, value);
  return out;
}

static xpc_object_t with_number(xpc_object_t out, const char *key, uint64_t value) {
  xpc_dictionary_set_uint64(out, key, value);
  return out;
}

static xpc_object_t with_flag(xpc_object_t out, const char *key) {
  xpc_dictionary_set_bool(out, key, true);
  return out;
}

static xpc_object_t with_id(xpc_object_t out, const char *key, uint8_t id) {
  xpc_dictionary_set_uuid(out, key, (unsigned char[16]){id});
  return out;
}

static xpc_object_t placed(uint64_t mode, const char *start, const char *end, const char *mask) {
  xpc_object_t out = description(mode);
  if (start) with_text(out, vmnet_start_address_key, start);
  if (end) with_text(out, vmnet_end_address_key, end);
  if (mask) with_text(out, vmnet_subnet_mask_key, mask);
  return out;
}

static uint32_t started(xpc_object_t what) { return start_status(what, NULL); }

static void a_start_tells_its_parameters(void) {
  struct nic *nic = nic_start(VMNET_SHARED_MODE);
  CHECK(atomic_load(&nic->status) == VMNET_SUCCESS);
  CHECK(strlen(nic->mac) == 17);
  CHECK(nic_number(nic, vmnet_mtu_key) == 1500 && nic_number(nic, vmnet_max_packet_size_key) == 1514);
  CHECK(nic_number(nic, vmnet_read_max_packets_key) == 256 && nic_number(nic, vmnet_write_max_packets_key) == 256);
  CHECK(!strcmp(nic_text(nic, vmnet_start_address_key), "192.168.64.1"));
  CHECK(!strcmp(nic_text(nic, vmnet_end_address_key), "192.168.64.254"));
  CHECK(!strcmp(nic_text(nic, vmnet_subnet_mask_key), "255.255.255.0"));
  CHECK(!strncmp(nic_text(nic, vmnet_nat66_prefix_key), "fd", 2));
  CHECK(nic_text(nic, "vmnet_double_unknown")[0] != 0);
  CHECK(xpc_dictionary_get_uuid(nic->parameters, vmnet_interface_id_key) != NULL);
  CHECK(nic_stop(nic) == VMNET_SUCCESS);
  set("macos", "14.0");
  nic = nic_start(VMNET_HOST_MODE);
  CHECK(nic_number(nic, vmnet_read_max_packets_key) == 0 && nic_text(nic, vmnet_nat66_prefix_key)[0] == 0);
  nic_stop(nic);
  set("macos", "26.0");
}

static void an_identifier_brings_the_same_address_back(void) {
  char mac[20];
  struct nic *nic = nic_start_on(with_id(description(VMNET_HOST_MODE), vmnet_interface_id_key, 9), NULL);
  strcpy(mac, nic->mac);
  nic_stop(nic);
  nic = nic_start_on(with_id(description(VMNET_SHARED_MODE), vmnet_interface_id_key, 9), NULL);
  CHECK(!strcmp(nic->mac, mac));
  nic_stop(nic);
  xpc_object_t what = description(VMNET_SHARED_MODE);
  xpc_dictionary_set_bool(what, vmnet_allocate_mac_address_key, false);
  nic = nic_start_on(what, NULL);
  CHECK(nic->mac[0] == 0);
  nic_stop(nic);
}

static void sizes_follow_mtu_tso_and_header(void) {
  struct nic *nic = nic_start_on(with_number(description(VMNET_HOST_MODE), vmnet_mtu_key, 9000), NULL);
  CHECK(nic_number(nic, vmnet_max_packet_size_key) == 9014);
  nic_stop(nic);
  nic = nic_start_on(with_flag(description(VMNET_HOST_MODE), vmnet_enable_tso_key), NULL);
  CHECK(nic_number(nic, vmnet_max_packet_size_key) == 65550 && nic_number(nic, vmnet_mtu_key) == 1500);
  nic_stop(nic);
  nic = nic_start_on(with_flag(description(VMNET_HOST_MODE), vmnet_enable_virtio_header_key), NULL);
  CHECK(nic_number(nic, vmnet_max_packet_size_key) == 1514); /* without the header */
  nic_reset(nic, 1, 1514);
  int n = 1;
  CHECK(vmnet_read(nic->ref, nic->packets, &n) == VMNET_MEM_FAILURE);
  nic_reset(nic, 1, 1526);
  CHECK(vmnet_read(nic->ref, nic->packets, &(int){1}) == VMNET_SUCCESS);
  CHECK(nic_write(nic, 1, 25, 1, NULL) == VMNET_INVALID_ARGUMENT && nic_write(nic, 1, 1526, 1, NULL) == VMNET_SUCCESS);
  nic_stop(nic);
}

static void descriptions_are_checked(void) {
  const uint64_t host = VMNET_HOST_MODE, shared = VMNET_SHARED_MODE, bridged = VMNET_BRIDGED_MODE;
  CHECK(started(description(0)) == VMNET_INVALID_ARGUMENT);
  CHECK(started(description(1003)) == VMNET_INVALID_ARGUMENT);
  CHECK(started(with_text(description(0), vmnet_operation_mode_key, "1000")) == VMNET_INVALID_ARGUMENT);
  CHECK(started(placed(host, "192.168.90.1", NULL, "255.255.255.0")) == VMNET_INVALID_ARGUMENT);
  CHECK(started(placed(host, "192.168.90.1", "192.168.90.9", NULL)) == VMNET_INVALID_ARGUMENT);
  CHECK(started(placed(host, "192.168.90.1", "192.168.90.9", "255.0.255.0")) == VMNET_INVALID_ARGUMENT);
  CHECK(started(placed(host, "192.168.90.1", "192.168.91.9", "255.255.255.0")) == VMNET_INVALID_ARGUMENT);
  CHECK(started(placed(host, "8.8.8.1", "8.8.8.9", "255.255.255.0")) == VMNET_FAILURE);
  CHECK(started(placed(host, "192.168.90.0", "192.168.90.9", "255.255.255.0")) == VMNET_FAILURE);
  CHECK(started(placed(host, "192.168.90.1", "192.168.90.9", "255.255.255.0")) == VMNET_SUCCESS);
  CHECK(started(description(bridged)) == VMNET_INVALID_ARGUMENT);
  CHECK(started(with_text(description(bridged), vmnet_shared_interface_name_key, "en9")) == VMNET_INVALID_ARGUMENT);
  CHECK(started(with_text(description(bridged), vmnet_shared_interface_name_key, "en0")) == VMNET_SUCCESS);
  xpc_object_t what = with_text(description(bridged), vmnet_shared_interface_name_key, "en0");
  CHECK(started(with_number(what, vmnet_mtu_key, 1500)) == VMNET_INVALID_ARGUMENT);
  CHECK(started(with_number(description(host), vmnet_mtu_key, 20)) == VMNET_INVALID_ARGUMENT);
  CHECK(started(with_text(description(shared), vmnet_nat66_prefix_key, "fd00:1::")) == VMNET_SUCCESS);
  CHECK(started(with_text(description(shared), vmnet_nat66_prefix_key, "2001:db8::")) == VMNET_INVALID_ARGUMENT);
  CHECK(started(with_text(description(host), vmnet_nat66_prefix_key, "fd00:1::")) == VMNET_INVALID_ARGUMENT);
  CHECK(started(with_id(description(host), vmnet_network_identifier_key, 1)) == VMNET_SUCCESS);
  CHECK(started(with_id(description(shared), vmnet_network_identifier_key, 1)) == VMNET_INVALID_ARGUMENT);
  CHECK(started(with_text(description(host), vmnet_host_ip_address_key, "10.0.0.1")) == VMNET_INVALID_ARGUMENT);
  CHECK(started(with_text(description(host), "vmnet_of_tomorrow", "x")) == VMNET_SUCCESS);
  what = with_flag(description(host), vmnet_enable_virtio_header_key);
  CHECK(started(with_flag(what, vmnet_enable_checksum_offload_key)) == VMNET_INVALID_ARGUMENT);
  set("macos", "15.3"); /* that does not know the header yet */
  what = with_flag(description(host), vmnet_enable_virtio_header_key);
  CHECK(started(with_flag(what, vmnet_enable_checksum_offload_key)) == VMNET_SUCCESS);
  set("macos", "26.0");
}

static void who_may(void) {
  set("uid", "501");
  CHECK(started(description(VMNET_HOST_MODE)) == VMNET_FAILURE);
  set("entitled", "1");
  CHECK(started(description(VMNET_HOST_MODE)) == VMNET_SUCCESS);
  set("macos", "15.0");
  CHECK(started(description(VMNET_HOST_MODE)) == VMNET_FAILURE);
  set("macos", "26.0"), set("uid", "0"), set("entitled", "0");
}

static void a_handle_is_not_ready_before_its_handler(void) {
  set("start", "late:400");
  struct nic *nic = nic_begin(description(VMNET_HOST_MODE), NULL);
  CHECK(nic->ref != NULL && nic_read(nic, 1) == -VMNET_SETUP_INCOMPLETE);
  CHECK(nic_write(nic, 1, 60, 1, NULL) == VMNET_SETUP_INCOMPLETE && nic_begin_stop(nic) == VMNET_SETUP_INCOMPLETE);
  CHECK(vmnet_interface_set_event_callback(nic->ref, 1, NULL, NULL) == VMNET_SETUP_INCOMPLETE);
  CHECK(SOON(atomic_load(&nic->status) == VMNET_SUCCESS) && nic_read(nic, 1) == 0);
  set("start", "ok");
  nic_stop(nic);
}

static void starts_that_fail_or_hang(void) {
  set("start", "fail:1009");
  struct nic *nic = nic_start(VMNET_HOST_MODE);
  CHECK(nic->ref != NULL && atomic_load(&nic->status) == VMNET_SHARING_SERVICE_BUSY && nic->parameters == NULL);
  dispatch_sync_f(nic->queue, NULL, nothing);
  nic_free(nic);
  set("start", "null");
  nic = nic_start(VMNET_HOST_MODE);
  nap(20);
  CHECK(nic->ref == NULL && atomic_load(&nic->calls) == 0);
  nic_free(nic);
  set("start", "hang");
  nic = nic_begin(description(VMNET_HOST_MODE), NULL);
  nap(50);
  CHECK(atomic_load(&nic->calls) == 0 && double_count("interfaces") == 1);
  double_go_on();
  CHECK(SOON(atomic_load(&nic->status) == VMNET_SUCCESS));
  set("start", "ok");
  nic_stop(nic);
  CHECK(nothing_lives());
}

static void stops_that_fail_or_hang(void) {
  struct nic *nic = nic_start(VMNET_HOST_MODE);
  set("stop", "fail:1001");
  CHECK(nic_begin_stop(nic) == VMNET_FAILURE && nic_read(nic, 1) == 0);
  set("stop", "hang");
  CHECK(nic_begin_stop(nic) == VMNET_SUCCESS);
  nap(50);
  CHECK(atomic_load(&nic->stopped) == 0 && nic_read(nic, 1) == -VMNET_INVALID_ARGUMENT);
  CHECK(nic_write(nic, 1, 60, 1, NULL) == VMNET_INVALID_ARGUMENT && nic_begin_stop(nic) == VMNET_INVALID_ARGUMENT);
  double_go_on();
  CHECK(SOON(atomic_load(&nic->stopped) == VMNET_SUCCESS));
  dispatch_sync_f(nic->queue, NULL, nothing);
  nic_free(nic);
  set("stop", "ok");
  CHECK(nothing_lives());
}

static void frames_cross_the_hub_in_order(void) {
  struct nic *a = nic_start(VMNET_HOST_MODE), *b = nic_start(VMNET_HOST_MODE), *c = nic_start(VMNET_SHARED_MODE);
  uint32_t next = 0;
  int taken;
  for (int round = 0; round < 100; round++) {
    CHECK(nic_write(a, 60, 60 + (uint32_t)round * 14, (uint32_t)round * 60, &taken) == VMNET_SUCCESS && taken == 60);
    for (int n; (n = nic_read(b, 64)) > 0;)
      for (int i = 0; i < n; i++) {
        CHECK(nic_frame(b, i) == next++);
        CHECK(b->packets[i].vm_pkt_size == 60 + (uint32_t)round * 14 && b->packets[i].vm_flags != 0);
      }
  }
  CHECK(next == 6000 && nic_read(a, 64) == 0 && nic_read(c, 64) == 0);
  nic_stop(a), nic_stop(b), nic_stop(c);
}

static void isolated_ones_are_alone(void) {
  struct nic *a = nic_start(VMNET_HOST_MODE), *b = nic_start(VMNET_HOST_MODE);
  struct nic *c = nic_start_on(with_flag(description(VMNET_HOST_MODE), vmnet_enable_isolation_key), NULL);
  nic_write(a, 1, 60, 1, NULL);
  nic_write(c, 1, 60, 2, NULL);
  CHECK(nic_read(b, 8) == 1 && nic_frame(b, 0) == 1 && nic_read(c, 8) == 0 && nic_read(a, 8) == 0);
  nic_stop(a), nic_stop(b), nic_stop(c);
}

static void a_virtio_header_comes_and_goes(void) {
  struct nic *a = nic_start(VMNET_HOST_MODE);
  struct nic *b = nic_start_on(with_flag(description(VMNET_HOST_MODE), vmnet_enable_virtio_header_key), NULL);
  nic_write(a, 1, 60, 7, NULL);
  CHECK(nic_read(b, 1) == 1 && b->packets[0].vm_pkt_size == 72 && b->bytes[0][0] == 0 && b->bytes[0][12] == 255);
  nic_write(b, 1, 72, 8, NULL);
  CHECK(nic_read(a, 1) == 1 && a->packets[0].vm_pkt_size == 60);
  nic_stop(a), nic_stop(b);
}

static void a_full_queue_drops(void) {
  set("queue", "10");
  struct nic *a = nic_start(VMNET_HOST_MODE), *b = nic_start(VMNET_HOST_MODE);
  long before = double_count("dropped");
  CHECK(nic_write(a, 25, 1514, 0, NULL) == VMNET_SUCCESS);
  CHECK(nic_read(b, 64) == 10 && nic_frame(b, 9) == 9 && double_count("dropped") - before == 15);
  set("queue", "1024");
  nic_stop(a), nic_stop(b);
}

static void reads_and_writes_have_limits(void) {
  set("read_max", "8"), set("write_max", "4");
  struct nic *nic = nic_start(VMNET_HOST_MODE);
  int taken;
  CHECK(nic_number(nic, vmnet_read_max_packets_key) == 8 && nic_number(nic, vmnet_write_max_packets_key) == 4);
  CHECK(nic_read(nic, 9) == -VMNET_TOO_MANY_PACKETS && nic_read(nic, 8) == 0);
  CHECK(nic_write(nic, 5, 60, 1, &taken) == VMNET_TOO_MANY_PACKETS && taken == 0);
  CHECK(nic_write(nic, 1, 1515, 1, NULL) == VMNET_PACKET_TOO_BIG && nic_write(nic, 1, 1514, 1, NULL) == VMNET_SUCCESS);
  CHECK(nic_write(nic, 1, 13, 1, NULL) == VMNET_INVALID_ARGUMENT && nic_write(nic, 1, 14, 1, NULL) == VMNET_SUCCESS);
  nic_reset(nic, 1, 1513);
  int n = 1;
  CHECK(vmnet_read(nic->ref, nic->packets, &n) == VMNET_MEM_FAILURE);
  nic_reset(nic, 1, 100);
  nic->iovecs[0].iov_len = 101, n = 1;
  CHECK(vmnet_write(nic->ref, nic->packets, &n) == VMNET_INVALID_ARGUMENT);
  nic_reset(nic, 2, 100);
  nic->packets[1].vm_pkt_iovcnt = 2, n = 2;
  CHECK(vmnet_write(nic->ref, nic->packets, &n) == VMNET_INVALID_ARGUMENT);
  set("read_max", "256"), set("write_max", "256");
  nic_stop(nic);
  set("macos", "14.5"); /* it does not say how many; 200 are documented */
  nic = nic_start(VMNET_HOST_MODE);
  set("macos", "26.0");
  CHECK(nic->ref->read_most == 200 && nic->ref->write_most == 200);
  nic_stop(nic);
}

static void a_runt_spoils_its_batch(void) {
  struct nic *a = nic_start(VMNET_HOST_MODE), *b = nic_start(VMNET_HOST_MODE);
  nic_reset(a, 3, 60);
  a->packets[1].vm_pkt_size = a->iovecs[1].iov_len = 4;
  int n = 3;
  CHECK(vmnet_write(a->ref, a->packets, &n) == VMNET_INVALID_ARGUMENT && n == 0 && nic_read(b, 8) == 0);
  nic_stop(a), nic_stop(b);
}

static void every_nth_write_finds_buffers_full(void) {
  struct nic *a = nic_start(VMNET_HOST_MODE), *b = nic_start(VMNET_HOST_MODE);
  int taken, full = 0, all = 0;
  set("exhaust", "3");
  for (int i = 0; i < 9; i++) {
    bool good = nic_write(a, 10, 60, 1, &taken) == VMNET_SUCCESS;
    full += !good;
    all += taken;
    CHECK(taken == (good ? 10 : 5));
  }
  set("exhaust", "0");
  CHECK(full == 3 && all == 75 && nic_read(b, 64) == 64);
  nic_stop(a), nic_stop(b);
}

static void the_list_of_shared_interfaces(void) {
  xpc_object_t list = vmnet_copy_shared_interface_list();
  CHECK(xpc_array_get_count(list) == 2 && !strcmp(xpc_string_get_string_ptr(xpc_array_get_value(list, 1)), "en1"));
  xpc_release(list);
  set("call", "fail:1001");
  CHECK(vmnet_copy_shared_interface_list() == NULL);
  set("call", "ok"), set("shared", "");
  CHECK(vmnet_copy_shared_interface_list() == NULL);
  set("shared", "en0:en1");
}

int main(void) {
  set("wire", "hub");
  RUN(a_start_tells_its_parameters);
  RUN(an_identifier_brings_the_same_address_back);
  RUN(sizes_follow_mtu_tso_and_header);
  RUN(descriptions_are_checked);
  RUN(who_may);
  RUN(a_handle_is_not_ready_before_its_handler);
  RUN(starts_that_fail_or_hang);
  RUN(stops_that_fail_or_hang);
  RUN(frames_cross_the_hub_in_order);
  RUN(isolated_ones_are_alone);
  RUN(a_virtio_header_comes_and_goes);
  RUN(a_full_queue_drops);
  RUN(reads_and_writes_have_limits);
  RUN(a_runt_spoils_its_batch);
  RUN(every_nth_write_finds_buffers_full);
  RUN(the_list_of_shared_interfaces);
  CHECK(nothing_lives());
  return finish();
}
