// SPDX-License-Identifier: MIT
/*
 * macho_shim_test.c - the very dylib that Macs get, driven through its 13 functions over the doubles: as macOS 26, as
 * macOS 15, and without root, when vmnet-host works for it. Frames go through the double's hub, so nothing else runs.
 */
#define _GNU_SOURCE
#include <sys/wait.h>

#include "client.h"
#include "doubles/double.h"

enum { FRAMES = 2000 };
static struct client *client;

static int32_t start(int32_t target, uint32_t mode) {
  struct vn_writer options = {.data = NULL};
  if (mode) vn_write_number(&options, "vmnet_operation_mode", mode);
  int32_t nic = client_start(client, target, &options);
  if (nic < 0) fprintf(stderr, "start: %d %s\n", nic, client_text(client, "message"));
  return nic;
}

static uint32_t frame_number(int32_t i) {
  uint32_t number;
  memcpy(&number, client_frame(client, i) + 14, 4);
  return number;
}

/* FRAMES frames from one to the other, every one and in order; the sender is told when it may go on. */
static void pass_frames(int32_t from, int32_t to) {
  static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
  uint8_t frame[200];
  uint32_t sent = 0, seen = 0, wrong = 0;
  for (int idle = 0; seen < FRAMES && idle < 500; idle++) {
    for (int i = 0; i < 64 && sent < FRAMES; i++) {
      make_frame(frame, 60 + sent % 100, everybody, mac, sent);
      int32_t took = client_send(client, from, frame, 60 + sent % 100);
      CHECK(took >= 0);
      if (took != 1) break;
      sent++;
    }
    int32_t count = client_drain(client, to, BATCH, 10);
    CHECK(count >= 0);
    for (int32_t i = 0; i < count; i++) {
      if (client_length(client, i) != 60 + seen % 100 || frame_number(i) != seen) wrong++;
      seen++;
    }
    if (count > 0) idle = 0;
  }
  CHECK(sent == FRAMES && seen == FRAMES && wrong == 0);
}

static void the_dylib_answers(void) {
  CHECK(vn_abi_version() == VN_ABI_VERSION);
  client = client_open();
  CHECK(client->context > 0 && client->bell >= 0);
  int32_t second = vn_open();
  CHECK(second > 0 && vn_close(second) == 0);
  CHECK(vn_close(-5) == -VN_STALE && vn_result(0x7fffffff, NULL, 0) < 0);
  CHECK(vn_doorbell(client->context) < 0); /* once */
}

static void it_knows_its_mac(void) {
  CHECK(client_call(client, client->context, VN_OP_PROBE, NULL) == VN_OK);
  CHECK(strcmp(client_text(client, "backend"), "vmnet") == 0);
  CHECK(strcmp(client_text(client, "macos"), double_get("macos")) == 0);
  CHECK(client_number(client, "root") == 1 && client_number(client, "host") == 0);
  CHECK(client_number(client, "networks") == double_macos(26, 0));
  size_t length = strlen(client_text(client, "libraryPath"));
  CHECK(length > 6 && strcmp(client_text(client, "libraryPath") + length - 6, ".dylib") == 0);
  CHECK(client_call(client, client->context, VN_OP_SHARED_INTERFACES, NULL) == VN_OK);
}

static void frames_pass_in_order(void) {
  int32_t one = start(client->context, 1001), two = start(client->context, 1001);
  CHECK(one > 0 && two > 0);
  CHECK(client_number(client, "vmnet_mtu") == 1500 && strlen(client_text(client, "vmnet_mac_address")) == 17);
  CHECK(vn_interest(two, VN_READY_PACKETS) == 0);
  pass_frames(one, two);
  pass_frames(two, one);
  CHECK(client_get(client, one, VN_GET_STATS) && client_get(client, one, VN_GET_STATE));
  CHECK(client_stop(client, one) == VN_OK);
  CHECK(client_send(client, one, everybody, 6) == -VN_STALE || client_send(client, one, everybody, 6) == -VN_STOPPED);
  CHECK(vn_close(two) == 0);
}

/* A frame makes the doorbell's descriptor readable, and vn_poll() names the interface. */
static void the_doorbell_rings(void) {
  static const uint8_t mac[6] = {2, 0, 0, 0, 0, 2};
  uint8_t frame[64];
  int32_t one = start(client->context, 1000), two = start(client->context, 1000);
  CHECK(client_drain(client, two, BATCH, 20) == 0); /* armed now; whatever is ready from here on needs another drain */
  make_frame(frame, sizeof frame, everybody, mac, 7);
  CHECK(client_push(client, one, frame, sizeof frame));
  uint32_t bits = 0;
  for (int i = 0; i < 100 && !bits; i++) bits = client_ready(client, two, 20);
  CHECK(bits & VN_READY_PACKETS);
  CHECK(client_drain(client, two, BATCH, 1000) == 1 && frame_number(0) == 7);
  CHECK(client_stop(client, one) == VN_OK && client_stop(client, two) == VN_OK);
}

/* The double wants Darwin's number for IPv6 of the dylib, and no other. */
static void forward_of_ipv6(int32_t nic) {
  struct vn_writer rule = {.data = NULL}, gone = {.data = NULL};
  struct vn_entry entry;
  vn_write_number(&rule, "protocol", 17);
  vn_write_number(&rule, "externalPort", 5353);
  vn_write_number(&rule, "internalPort", 53);
  vn_write_text(&rule, "internalAddress", "fd00::9");
  CHECK(client_call(client, nic, VN_OP_FORWARD_ADD, &rule) == VN_OK);
  CHECK(client_call(client, nic, VN_OP_FORWARD_LIST, NULL) == VN_OK);
  bool listed = vn_list_find(client->result, client->length, VN_LIST, "forward", &entry);
  CHECK(listed && vn_list_number(entry.value, entry.length, "externalPort", 0) == 5353);
  vn_write_number(&gone, "protocol", 17);
  vn_write_number(&gone, "externalPort", 5353);
  vn_write_number(&gone, "family", 6);
  CHECK(client_call(client, nic, VN_OP_FORWARD_REMOVE, &gone) == VN_OK);
}

static void forwards_are_added_and_listed(void) {
  int32_t nic = start(client->context, 1001);
  forward_of_ipv6(nic);
  struct vn_writer rule = {.data = NULL}, gone = {.data = NULL};
  vn_write_number(&rule, "protocol", 6);
  vn_write_number(&rule, "externalPort", 8080);
  vn_write_number(&rule, "internalPort", 80);
  vn_write_text(&rule, "internalAddress", "192.168.64.9");
  CHECK(client_call(client, nic, VN_OP_FORWARD_ADD, &rule) == VN_OK);
  CHECK(client_call(client, nic, VN_OP_FORWARD_LIST, NULL) == VN_OK);
  struct vn_entry entry;
  bool listed = vn_list_find(client->result, client->length, VN_LIST, "forward", &entry);
  CHECK(listed && vn_list_number(entry.value, entry.length, "externalPort", 0) == 8080);
  CHECK(listed && vn_list_number(entry.value, entry.length, "internalPort", 0) == 80);
  vn_write_number(&gone, "protocol", 6);
  vn_write_number(&gone, "externalPort", 8080);
  vn_write_number(&gone, "family", 4);
  CHECK(client_call(client, nic, VN_OP_FORWARD_REMOVE, &gone) == VN_OK);
  CHECK(client_call(client, nic, VN_OP_FORWARD_LIST, NULL) == VN_OK);
  CHECK(!vn_list_find(client->result, client->length, VN_LIST, "forward", &entry));
  CHECK(client_stop(client, nic) == VN_OK);
}

static void networks_of_macos_26_work(void) {
  struct vn_writer options = {.data = NULL};
  vn_write_text(&options, "ipv4Subnet", "192.168.77.0/24");
  int32_t network = client_network(client, 1001, true, &options);
  if (network < 0) fprintf(stderr, "network: %d %s\n", network, client_text(client, "message"));
  CHECK(network > 0 && strcmp(client_text(client, "ipv4Subnet"), "192.168.77.0/24") == 0);
  CHECK(strcmp(client_text(client, "ipv4Gateway"), "192.168.77.1") == 0);
  int32_t one = start(network, 0), two = start(network, 0);
  CHECK(one > 0 && two > 0);
  pass_frames(one, two);
  CHECK(client_call(client, network, VN_OP_NETWORK_COPY_SERIALIZATION, NULL) == VN_OK);
  int32_t serialization = client_handle(client);
  CHECK(client_call(client, serialization, VN_OP_NETWORK_FROM_SERIALIZATION, NULL) == VN_OK);
  int32_t again = client_handle(client);
  CHECK(strcmp(client_text(client, "ipv4Subnet"), "192.168.77.0/24") == 0);
  vn_close(serialization);
  CHECK(client_stop(client, again) == VN_OK);
  CHECK(client_stop(client, one) == VN_OK && client_stop(client, two) == VN_OK);
  CHECK(client_stop(client, network) == VN_OK);
}

/* Another process could join: its way in is tried from here, over the dylib's own sockets. */
static void a_network_is_shared_and_joined(void) {
  int32_t network = client_network(client, 1000, true, NULL);
  CHECK(network > 0 && client_call(client, network, VN_OP_NETWORK_SHARE, NULL) == VN_OK);
  int32_t share = client_handle(client);
  struct vn_writer options = {.data = NULL};
  vn_write_text(&options, "token", client_text(client, "token"));
  CHECK(client_call(client, client->context, VN_OP_NETWORK_JOIN, &options) == VN_OK);
  int32_t joined = client_handle(client);
  int32_t near = start(network, 0), far = start(joined, 0);
  CHECK(near > 0 && far > 0);
  pass_frames(near, far);
  pass_frames(far, near);
  CHECK(client_stop(client, far) == VN_OK && client_stop(client, joined) == VN_OK);
  CHECK(client_stop(client, near) == VN_OK && client_stop(client, share) == VN_OK);
  CHECK(client_stop(client, network) == VN_OK);
}

static void without_26_networks_are_refused(void) {
  CHECK(client_network(client, 1001, true, NULL) == -VN_UNSUPPORTED);
  CHECK(strstr(client_text(client, "needs"), "26") != NULL);
}

static void everything_is_gone_at_the_end(void) {
  static const char *const kinds[] = {"interfaces", "networks", "configurations", "blocks", "queues", "xpc", "cf"};
  int32_t nic = start(client->context, 1001); /* left to vn_shutdown() */
  CHECK(nic > 0 && vn_shutdown(5000) == 0);
  client_close(client);
  for (int i = 0; i < 7; i++) {
    for (int wait = 0; wait < 2000 && double_count(kinds[i]) != 0; wait++) usleep(1000);
    if (double_count(kinds[i]) != 0) fprintf(stderr, "%s: %ld\n", kinds[i], double_count(kinds[i]));
    CHECK(double_count(kinds[i]) == 0);
  }
}

/* vmnet-host is the other Mach-O file that Macs get: an executable, spawned by the dylib. */
static void without_root_vmnet_host_does_it(void) {
  double_set("entitled", "0"); /* this process; a child asks its environment, as its signature would say */
  CHECK(client_call(client, client->context, VN_OP_PROBE, NULL) == VN_OK);
  CHECK(client_number(client, "root") == 0 && client_number(client, "entitled") == 0);
  CHECK(client_number(client, "host") == 1);
  int32_t one = start(client->context, 1001), two = start(client->context, 1001);
  CHECK(one > 0 && two > 0 && double_count("interfaces") == 0);
  if (one > 0 && two > 0) pass_frames(one, two), pass_frames(two, one);
  CHECK(client_stop(client, one) == VN_OK && client_stop(client, two) == VN_OK);
}

enum play { AS_26, AS_15, WITHOUT_ROOT };

static int run(enum play play) {
  static const char *const scripts[] = {"wire=hub,macos=26.1", "wire=hub,macos=15.6", "wire=hub,uid=501,entitled=1"};
  setenv("VMNET_DOUBLE", scripts[play], 1);
  RUN(the_dylib_answers);
  if (play == WITHOUT_ROOT) {
    RUN(without_root_vmnet_host_does_it);
    CHECK(vn_shutdown(5000) == 0);
    return finish();
  }
  RUN(it_knows_its_mac);
  RUN(frames_pass_in_order);
  RUN(the_doorbell_rings);
  RUN(forwards_are_added_and_listed);
  if (play == AS_15) RUN(without_26_networks_are_refused);
  if (play == AS_26) RUN(networks_of_macos_26_work);
  if (play == AS_26) RUN(a_network_is_shared_and_joined);
  RUN(everything_is_gone_at_the_end);
  return finish();
}

/* Each in a process of its own: what is absent is decided as the dylib is mapped, and the doubles begin anew. */
static bool passes(enum play play) {
  int status;
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) exit(run(play));
  bool passed = child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  if (!passed) fprintf(stderr, "play %d failed\n", play);
  return passed;
}

int main(void) {
  bool old = passes(AS_15), hosted = passes(WITHOUT_ROOT), latest = passes(AS_26);
  return !(old && hosted && latest);
}
