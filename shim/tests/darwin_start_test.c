// SPDX-License-Identifier: MIT
/* darwin_start_test.c - every way in which a start ends, and what is left of it: nothing. */
#include "darwin_fixture.h"

static void a_start_hands_over_every_parameter_even_unknown_ones(void) {
  struct client *client = begin_test();
  int32_t nic = start_host(client);
  CHECK(nic > 0);
  CHECK(client_number(client, "vmnet_mtu") == 1500);
  CHECK(client_number(client, "vmnet_max_packet_size") == 1514);
  CHECK(client_number(client, "vmnet_read_max_packets") == 256);
  CHECK(client_number(client, "vmnet_operation_mode") == VMNET_HOST_MODE);
  CHECK(strlen(client_text(client, "vmnet_mac_address")) == 17);
  CHECK(strlen(client_text(client, "vmnet_double_unknown")) > 0);
  struct vn_entry id;
  CHECK(vn_list_find(client->result, client->length, VN_BYTES, "vmnet_interface_id", &id) && id.length == 16);
  CHECK(vn_list_valid(client->result, client->length));
  CHECK(client_stop(client, nic) == VN_OK);
  CHECK(end_test(client));
}

static void every_option_reaches_vmnet_in_its_type(void) {
  struct client *client = begin_test();
  struct vn_writer options = host_mode();
  uint8_t id[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
  vn_write_bytes(&options, "vmnet_interface_id", id, 16);
  vn_write_number(&options, "vmnet_mtu", 1400);
  vn_write_number(&options, "vmnet_allocate_mac_address", 0);
  vn_write_text(&options, "vmnet_start_address", "192.168.77.1");
  vn_write_text(&options, "vmnet_end_address", "192.168.77.100");
  vn_write_text(&options, "vmnet_subnet_mask", "255.255.255.0");
  vn_write_number(&options, "vmnet_enable_isolation", 1);
  vn_write_number(&options, "vmnet_enable_checksum_offload", 1);
  int32_t nic = client_start(client, client->context, &options);
  CHECK(nic > 0);
  struct vn_entry entry;
  bool found = vn_list_find(client->result, client->length, VN_BYTES, "vmnet_interface_id", &entry);
  CHECK(found && !memcmp(entry.value, id, 16));
  CHECK(client_number(client, "vmnet_mtu") == 1400 && client_number(client, "vmnet_max_packet_size") == 1414);
  CHECK(!vn_list_find(client->result, client->length, VN_TEXT, "vmnet_mac_address", &entry));
  CHECK(!strcmp(client_text(client, "vmnet_start_address"), "192.168.77.1"));
  CHECK(!strcmp(client_text(client, "vmnet_end_address"), "192.168.77.100"));
  CHECK(client_stop(client, nic) == VN_OK);
  CHECK(end_test(client));
}

/* A macOS may change it: what is in a dictionary is vmnet's word, what is in a list is ours. */
static void keys_go_by_the_text_of_vmnets_variable(void) {
  const char *before = vmnet_mtu_key;
  struct client *client = begin_test();
  struct vn_writer options = host_mode();
  struct vn_job job = {.op = VN_OP_INTERFACE_START};
  xpc_object_t description = NULL;
  vmnet_mtu_key = "mtu.of.another.vmnet";
  CHECK(start_host(client) > 0);
  CHECK(client_number(client, "vmnet_mtu") == 1500 && client_number(client, vmnet_mtu_key) == UINT64_MAX);
  vn_write_number(&options, "vmnet_mtu", 1400);
  CHECK(vn_mac_description(&job, options.data, options.length, false, &description) == VN_OK);
  CHECK(xpc_dictionary_get_uint64(description, vmnet_mtu_key) == 1400);
  CHECK(xpc_dictionary_get_value(description, before) == NULL);
  xpc_release(description);
  vn_writer_free(&options);
  CHECK(end_test(client));
  vmnet_mtu_key = before;
}

static void a_wrong_option_is_refused_by_name(void) {
  struct client *client = begin_test();
  static const struct {
    const char *key;
    enum vn_type type;
  } wrong[] = {{"vmnet_no_such_key", VN_NUMBER}, {"vmnet_mac_address", VN_TEXT}, {"vmnet_mtu", VN_TEXT},
               {"vmnet_enable_tso", VN_TEXT}, {"vmnet_start_address", VN_NUMBER}, {"vmnet_interface_id", VN_TEXT},
               {"vmnet_interface_id", VN_BYTES}, {"vmnet_enable_isolation", VN_NUMBER}};
  long starts = double_count("starts");
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    struct vn_writer options = host_mode();
    if (wrong[i].type == VN_NUMBER) vn_write_number(&options, wrong[i].key, 2);
    if (wrong[i].type == VN_TEXT) vn_write_text(&options, wrong[i].key, "text");
    if (wrong[i].type == VN_BYTES) vn_write_bytes(&options, wrong[i].key, "short", 5);
    CHECK(client_call(client, client->context, VN_OP_INTERFACE_START, &options) == VN_BAD_OPTION);
    CHECK(!strcmp(client_text(client, "field"), wrong[i].key));
  }
  CHECK(client_call(client, client->context, VN_OP_INTERFACE_START, NULL) == VN_BAD_OPTION);
  CHECK(!strcmp(client_text(client, "field"), "vmnet_operation_mode"));
  struct vn_writer both = host_mode();
  vn_write_number(&both, "vmnet_enable_checksum_offload", 1);
  vn_write_number(&both, "vmnet_enable_virtio_header", 1);
  CHECK(client_call(client, client->context, VN_OP_INTERFACE_START, &both) == VN_BAD_OPTION);
  CHECK(double_count("starts") == starts);
  CHECK(end_test(client));
}

static void an_option_that_is_too_new_says_which_macos_it_needs(void) {
  struct client *client = begin_test();
  double_set("macos", "15.3");
  struct vn_writer options = host_mode();
  vn_write_number(&options, "vmnet_enable_virtio_header", 1);
  CHECK(client_call(client, client->context, VN_OP_INTERFACE_START, &options) == VN_UNSUPPORTED);
  CHECK(!strcmp(client_text(client, "field"), "vmnet_enable_virtio_header"));
  CHECK(strstr(client_text(client, "needs"), "macOS 15.4"));
  double_set("macos", "14.0"); /* reports no limits */
  int32_t nic = start_host(client);
  CHECK(nic > 0 && client_number(client, "vmnet_read_max_packets") == UINT64_MAX);
  CHECK(client_stop(client, nic) == VN_OK);
  CHECK(end_test(client));
}

static void a_handler_that_fails_ends_the_start_without_a_stop(void) {
  struct client *client = begin_test();
  double_set("start", "fail:1009");
  struct vn_writer options = host_mode();
  CHECK(client_call(client, client->context, VN_OP_INTERFACE_START, &options) == VMNET_SHARING_SERVICE_BUSY);
  CHECK(strlen(client_text(client, "message")) > 0);
  CHECK(all_gone());
  double_set("start", "ok");
  CHECK(start_host(client) > 0);
  CHECK(end_test(client));
}

static void null_is_a_failure_at_once(void) {
  struct client *client = begin_test();
  double_set("start", "null");
  uint64_t begun = vn_monotonic_ns();
  struct vn_writer options = host_mode();
  CHECK(call_within(client, client->context, VN_OP_INTERFACE_START, &options, 3000, 0) == VMNET_FAILURE);
  CHECK(elapsed_ms(begun) < 1500);
  CHECK(end_test(client));
}

static void a_late_handler_is_waited_for(void) {
  struct client *client = begin_test();
  double_set("start", "late:150");
  uint64_t begun = vn_monotonic_ns();
  int32_t nic = start_host(client);
  CHECK(nic > 0 && elapsed_ms(begun) >= 140);
  CHECK(end_test(client)); /* the context's end stops it */
}

static void a_success_after_the_deadline_is_stopped(void) {
  struct client *client = begin_test();
  double_set("start", "late:120");
  struct vn_writer options = host_mode();
  CHECK(call_within(client, client->context, VN_OP_INTERFACE_START, &options, 20, 0) == VN_TIMEOUT);
  CHECK(double_count("interfaces") == 1);
  CHECK(all_gone());
  CHECK(end_test(client));
}

static void a_success_after_the_cancel_is_stopped(void) {
  struct client *client = begin_test();
  double_set("start", "late:120");
  struct vn_writer options = host_mode();
  CHECK(call_within(client, client->context, VN_OP_INTERFACE_START, &options, 0, 20) == VN_CANCELLED);
  CHECK(all_gone());
  CHECK(end_test(client));
}

static void a_failure_after_the_deadline_leaves_nothing(void) {
  struct client *client = begin_test();
  double_set("start", "late:120");
  struct vn_writer options = host_mode();
  vn_write_text(&options, "vmnet_start_address", "8.8.8.1"); /* what the double refuses, in the handler */
  vn_write_text(&options, "vmnet_end_address", "8.8.8.9");
  vn_write_text(&options, "vmnet_subnet_mask", "255.255.255.0");
  CHECK(call_within(client, client->context, VN_OP_INTERFACE_START, &options, 20, 0) == VN_TIMEOUT);
  CHECK(end_test(client));
}

static void a_context_may_close_during_a_start(void) {
  struct client *client = begin_test();
  double_set("start", "late:60");
  struct vn_writer options = host_mode();
  CHECK(vn_call(client->context, VN_OP_INTERFACE_START, options.data, options.length, 0) > 0);
  vn_writer_free(&options);
  usleep(20000);
  CHECK(end_test(client));
}

static void a_start_that_hangs_is_given_up_and_undone_when_it_goes_on(void) {
  struct client *client = begin_test();
  double_set("start", "hang");
  struct vn_writer options = host_mode();
  uint64_t begun = vn_monotonic_ns();
  CHECK(call_within(client, client->context, VN_OP_INTERFACE_START, &options, 50, 0) == VN_TIMEOUT);
  CHECK(elapsed_ms(begun) < 1000);
  CHECK(vn_mac_nics_alive() == 1);
  begun = vn_monotonic_ns();
  CHECK(vn_shutdown(100) >= 1); /* says that something is left, in time */
  CHECK(elapsed_ms(begun) < 1000);
  double_set("start", "ok");
  int32_t nic = start_host(client); /* the hanging one is in nobody's way */
  CHECK(nic > 0);
  CHECK(client_stop(client, nic) == VN_OK);
  double_go_on();
  CHECK(end_test(client));
}

static void a_shutdown_during_a_start_waits_for_the_undoing(void) {
  struct client *client = begin_test();
  double_set("start", "late:80");
  struct vn_writer options = host_mode();
  CHECK(vn_call(client->context, VN_OP_INTERFACE_START, options.data, options.length, 0) > 0);
  vn_writer_free(&options);
  usleep(10000);
  CHECK(vn_shutdown(5000) == 0);
  CHECK(double_count("interfaces") == 0);
  CHECK(end_test(client));
}

static void many_starts_at_once_end_each_for_itself(void) {
  struct client *client = begin_test();
  int32_t operations[40], nics = 0;
  double_set("start", "late:5");
  for (int i = 0; i < 40; i++) {
    struct vn_writer options = host_mode();
    operations[i] = vn_call(client->context, VN_OP_INTERFACE_START, options.data, options.length, i % 4 == 0 ? 1 : 10000);
    vn_writer_free(&options);
  }
  for (int i = 0; i < 40; i++) {
    int32_t length;
    while ((length = vn_result(operations[i], client->result, sizeof client->result)) == -VN_PENDING)
      client_ready(client, 0, 5);
    client->length = (uint32_t)length;
    uint64_t status = client_number(client, "status");
    CHECK(status == VN_OK || (i % 4 == 0 && status == VN_TIMEOUT));
    nics += status == VN_OK;
  }
  CHECK(nics >= 30);
  CHECK(end_test(client));
}

int main(void) {
  struct client *client = begin_test(); /* keeps core's threads, which come and go with contexts, out of the counts */
  int descriptors = count_entries("/proc/self/fd"), threads = count_entries("/proc/self/task");
  RUN(a_start_hands_over_every_parameter_even_unknown_ones);
  RUN(every_option_reaches_vmnet_in_its_type);
  RUN(keys_go_by_the_text_of_vmnets_variable);
  RUN(a_wrong_option_is_refused_by_name);
  RUN(an_option_that_is_too_new_says_which_macos_it_needs);
  RUN(a_handler_that_fails_ends_the_start_without_a_stop);
  RUN(null_is_a_failure_at_once);
  RUN(a_late_handler_is_waited_for);
  RUN(a_success_after_the_deadline_is_stopped);
  RUN(a_success_after_the_cancel_is_stopped);
  RUN(a_failure_after_the_deadline_leaves_nothing);
  RUN(a_context_may_close_during_a_start);
  RUN(a_start_that_hangs_is_given_up_and_undone_when_it_goes_on);
  RUN(a_shutdown_during_a_start_waits_for_the_undoing);
  RUN(many_starts_at_once_end_each_for_itself);
  CHECK(settles("/proc/self/fd", descriptors));
  CHECK(settles("/proc/self/task", threads));
  client_close(client);
  return finish() || checks_failed;
}
