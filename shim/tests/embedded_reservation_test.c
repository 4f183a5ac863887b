// SPDX-License-Identifier: MIT
/*
 * embedded_reservation_test.c - DHCP reservations of a running network: guests that move to them, other processes that
 * ask
 * for them, gateways that die meanwhile, and who gives up waiting.
 */
#include <signal.h>

#include "dhcp_guest.h"

static const uint8_t ann[6] = {0x52, 0x54, 0, 0, 0, 1}, bob[6] = {0x52, 0x54, 0, 0, 0, 2};

static struct vn_writer reservation(const uint8_t mac[6], const char *address) {
  struct vn_writer options = {.data = NULL};
  vn_write_bytes(&options, "mac", mac, 6);
  if (address) vn_write_text(&options, "address", address);
  return options;
}

static uint32_t reserve(int32_t network, const uint8_t mac[6], const char *address) {
  struct vn_writer options = reservation(mac, address);
  return client_call(c, network, address ? VN_OP_RESERVATION_ADD : VN_OP_RESERVATION_REMOVE, &options);
}

/* What is reserved, as "1 50 2 51 ": the last numbers of MAC addresses and addresses. */
static const char *listed(int32_t network) {
  static char text[256];
  struct vn_reader reader;
  struct vn_entry entry, mac;
  char address[64] = "";
  text[0] = 0;
  if (client_call(c, network, VN_OP_RESERVATION_LIST, NULL) != VN_OK) return "failed";
  vn_list_read(&reader, c->result, c->length);
  while (vn_list_next(&reader, &entry)) {
    if (!vn_entry_is(&entry, VN_LIST, "reservation") || !vn_list_find(entry.value, entry.length, VN_BYTES, "mac", &mac) ||
        !vn_list_text(entry.value, entry.length, "address", address, sizeof address))
      continue;
    size_t used = strlen(text);
    snprintf(text + used, sizeof text - used, "%u %s ", mac.value[5], strrchr(address, '.') + 1);
  }
  return text;
}

static bool lists(int32_t network, const char *expected) {
  const char *text = listed(network);
  for (int i = 0; i < 200 && strcmp(text, expected) != 0; i++) usleep(5000), text = listed(network);
  if (strcmp(text, expected) != 0) printf("  listed: %s\n", text);
  return strcmp(text, expected) == 0;
}

static int32_t make_network(bool dhcp) {
  struct vn_writer options = {.data = NULL};
  vn_write_text(&options, "ipv4Subnet", "192.168.93.0/24");
  if (dhcp) {
    uint32_t mark = vn_write_begin(&options, "reservation");
    vn_write_bytes(&options, "mac", bob, 6);
    vn_write_text(&options, "address", "192.168.93.50");
    vn_write_end(&options, mark);
  }
  return client_network(c, 1000, dhcp, &options);
}

static bool named(const char *field) { return strcmp(client_text(c, "field"), field) == 0; }

static void test_a_guest_moves_to_its_reservation(void) {
  int32_t network = make_network(true), port = client_start(c, network, NULL);
  uint8_t address[4] = {0};
  CHECK(network > 0 && port > 0 && lists(network, "2 50 "));
  CHECK(lease(port, ann, address) && address[3] == 2);
  CHECK(reserve(network, ann, "192.168.93.51") == VN_OK && lists(network, "2 50 1 51 "));
  CHECK(dhcp_ask(port, ann, 3, address, 3000) == 6); /* renewing what it has is refused */
  memset(address, 0, 4);
  CHECK(lease(port, ann, address) && address[3] == 51);
  CHECK(reserve(network, bob, "192.168.93.51") == VN_IN_USE && named("address"));
  CHECK(strstr(client_text(c, "message"), "52:54:00:00:00:01") != NULL);
  CHECK(reserve(network, ann, "192.168.93.52") == VN_OK && lists(network, "2 50 1 52 "));
  CHECK(reserve(network, bob, "192.168.93.51") == VN_IN_USE); /* the guest still uses it */
  CHECK(strstr(client_text(c, "message"), "leased to 52:54:00:00:00:01") != NULL);
  CHECK(reserve(network, ann, NULL) == VN_OK && lists(network, "2 50 "));
  CHECK(dhcp_ask(port, ann, 3, address, 3000) == 5 && address[3] == 51); /* and keeps it */
  CHECK(reserve(network, ann, NULL) == VN_NOT_FOUND && client_text(c, "message")[0]);
  CHECK(client_stop(c, network) == VN_OK);
  vn_close(port);
}

static void test_what_makes_no_sense_is_refused(void) {
  static const uint8_t group[6] = {3, 0, 0, 0, 0, 1}, none[6];
  static const char *const wrong[] = {"192.168.94.9", "192.168.93.0", "192.168.93.1", "192.168.93.255", "0.0.0.0", "nowhere"};
  int32_t network = make_network(true), port = client_start(c, network, NULL), quiet;
  for (uint32_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    CHECK(reserve(network, ann, wrong[i]) == VN_BAD_OPTION && named("address"));
  CHECK(reserve(network, group, "192.168.93.9") == VN_BAD_OPTION && named("mac"));
  CHECK(reserve(network, none, "192.168.93.9") == VN_BAD_OPTION && named("mac"));
  CHECK(client_call(c, network, VN_OP_RESERVATION_ADD, NULL) == VN_BAD_OPTION && named("mac"));
  struct vn_writer half = reservation(ann, NULL), unknown = reservation(ann, "192.168.93.9");
  CHECK(client_call(c, network, VN_OP_RESERVATION_ADD, &half) == VN_BAD_OPTION && named("address"));
  vn_write_number(&unknown, "forever", 1);
  CHECK(client_call(c, network, VN_OP_RESERVATION_ADD, &unknown) == VN_BAD_OPTION && named("forever"));
  CHECK(client_call(c, port, VN_OP_RESERVATION_LIST, NULL) == VN_BAD_CALL && lists(network, "2 50 "));
  CHECK(client_stop(c, network) == VN_OK && reserve(network, ann, "192.168.93.9") == VN_STALE);
  vn_close(port);
  CHECK((quiet = make_network(false)) > 0 && reserve(quiet, ann, "192.168.93.9") == VN_UNSUPPORTED);
  CHECK(strstr(client_text(c, "message"), "DHCP") && reserve(quiet, ann, NULL) == VN_UNSUPPORTED && lists(quiet, ""));
  CHECK(client_stop(c, quiet) == VN_OK);
}

static int32_t join(int32_t network, int32_t *share) {
  struct vn_writer token = {.data = NULL};
  CHECK(client_call(c, network, VN_OP_NETWORK_SHARE, NULL) == VN_OK);
  *share = client_handle(c);
  vn_write_text(&token, "token", client_text(c, "token"));
  CHECK(client_call(c, c->context, VN_OP_NETWORK_JOIN, &token) == VN_OK);
  return client_handle(c);
}

static void test_who_joined_reserves_at_the_owner(void) {
  int32_t network = make_network(true), share, joined = join(network, &share), port = client_start(c, joined, NULL);
  uint8_t address[4] = {0};
  CHECK(reserve(joined, ann, "192.168.93.60") == VN_OK && lists(joined, "2 50 1 60 ") && lists(network, "2 50 1 60 "));
  CHECK(lease(port, ann, address) && address[3] == 60);
  CHECK(reserve(joined, bob, "192.168.93.60") == VN_IN_USE && named("address"));
  CHECK(strstr(client_text(c, "message"), "52:54:00:00:00:01") != NULL);
  CHECK(reserve(joined, ann, "192.168.94.9") == VN_BAD_OPTION && named("address"));
  CHECK(reserve(joined, bob, NULL) == VN_OK && reserve(joined, bob, NULL) == VN_NOT_FOUND);
  CHECK(client_stop(c, joined) == VN_OK && lists(network, "1 60 ")); /* it is the network's */
  CHECK(client_stop(c, network) == VN_OK);
  vn_close(port), vn_close(share);
  network = make_network(false), joined = join(network, &share);
  CHECK(reserve(joined, ann, "192.168.93.60") == VN_UNSUPPORTED && strstr(client_text(c, "message"), "DHCP"));
  CHECK(client_stop(c, joined) == VN_OK && client_stop(c, network) == VN_OK);
  vn_close(share);
}

static void test_a_killed_gateway_comes_back_with_them(void) {
  int32_t network = make_network(true), port = client_start(c, network, NULL);
  uint8_t address[4] = {0};
  pid_t pids[64];
  CHECK(reserve(network, ann, "192.168.93.70") == VN_OK && reserve(network, bob, "192.168.93.71") == VN_OK);
  CHECK(gateways(pids) == 1);
  kill(pids[0], SIGKILL);
  CHECK(reserve(network, ann, "192.168.93.72") == VN_OK); /* waits for the next one */
  CHECK(lease(port, ann, address) && address[3] == 72);
  memset(address, 0, 4);
  CHECK(lease(port, bob, address) && address[3] == 71 && lists(network, "2 71 1 72 "));
  CHECK(reserve(network, ann, "192.168.93.73") == VN_OK); /* the guest still uses .72 when the gateway is gone */
  usleep(50000);                                          /* its lease is known here */
  CHECK(gateways(pids) == 1);
  kill(pids[0], SIGKILL);
  CHECK(reserve(network, bob, "192.168.93.72") == VN_IN_USE && lists(network, "2 71 1 73 "));
  CHECK(client_stop(c, network) == VN_OK);
  vn_close(port);
}

/* Begins without waiting. */
static int32_t begin(int32_t target, const uint8_t mac[6], const char *address, uint32_t deadline_ms) {
  struct vn_writer options = reservation(mac, address);
  int32_t operation = vn_call(target, VN_OP_RESERVATION_ADD, options.data, options.length, deadline_ms);
  vn_writer_free(&options);
  return operation;
}

static uint32_t ended(int32_t operation) {
  uint8_t result[512];
  int32_t length;
  while ((length = vn_result(operation, result, sizeof result)) == -VN_PENDING) client_ready(c, operation, 50);
  return length < 0 ? (uint32_t)-length : (uint32_t)vn_list_number(result, (uint32_t)length, "status", 9999);
}

/* Who gave up waiting gets what was there before, unless somebody asked anew. */
static void test_what_nobody_waits_for_is_taken_back(void) {
  int32_t network = make_network(true), share, joined = join(network, &share);
  pid_t pids[64];
  CHECK(reserve(network, ann, "192.168.93.80") == VN_OK && gateways(pids) == 1);
  for (int round = 0; round < 2; round++) {
    int32_t target = round ? joined : network;
    kill(pids[0], SIGSTOP);
    int32_t first = begin(target, ann, "192.168.93.81", 100), second = begin(target, bob, "192.168.93.82", 100);
    CHECK(ended(first) == VN_TIMEOUT && ended(second) == VN_TIMEOUT);
    usleep(100000); /* the control threads give up by a command */
    kill(pids[0], SIGCONT);
    usleep(200000);
    CHECK(lists(network, "2 50 1 80 "));
    kill(pids[0], SIGSTOP);
    first = begin(target, ann, "192.168.93.83", 100);
    CHECK(ended(first) == VN_TIMEOUT);
    second = begin(target, ann, "192.168.93.84", 5000);
    usleep(100000);
    kill(pids[0], SIGCONT);
    CHECK(ended(second) == VN_OK);
    usleep(200000);
    CHECK(lists(network, "2 50 1 84 ") && reserve(target, ann, "192.168.93.80") == VN_OK);
  }
  CHECK(client_stop(c, joined) == VN_OK && client_stop(c, network) == VN_OK);
  vn_close(share);
}

/* Lists are read while the network's thread changes them. */
static void test_many_ask_at_a_time(void) {
  enum { EACH = 60 };
  int32_t network = make_network(true), operations[3 * EACH];
  for (uint32_t i = 0; i < EACH; i++) {
    uint8_t mac[6] = {2, 0, 0, 0, 1, (uint8_t)i};
    char address[32];
    snprintf(address, sizeof address, "192.168.93.%u", 100 + i);
    operations[3 * i] = begin(network, mac, address, 0);
    operations[3 * i + 1] = vn_call(network, VN_OP_RESERVATION_LIST, NULL, 0, 0);
    struct vn_writer options = reservation(mac, NULL);
    operations[3 * i + 2] = vn_call(network, VN_OP_RESERVATION_REMOVE, options.data, options.length, 0);
    vn_writer_free(&options);
  }
  for (uint32_t i = 0; i < 3 * EACH; i++) {
    int32_t length;
    while ((length = vn_result(operations[i], c->result, sizeof c->result)) == -VN_PENDING) client_ready(c, operations[i], 50);
    uint64_t status = length < 0 ? 9999 : vn_list_number(c->result, (uint32_t)length, "status", 9999);
    CHECK(status == VN_OK || (i % 3 == 2 && status == VN_NOT_FOUND)); /* they run in any order */
  }
  CHECK(client_stop(c, network) == VN_OK);
}

int main(void) {
  c = client_open();
  RUN(test_a_guest_moves_to_its_reservation);
  RUN(test_what_makes_no_sense_is_refused);
  RUN(test_who_joined_reserves_at_the_owner);
  RUN(test_a_killed_gateway_comes_back_with_them);
  RUN(test_what_nobody_waits_for_is_taken_back);
  RUN(test_many_ask_at_a_time);
  client_close(c);
  CHECK(vn_shutdown(2000) == 0);
  return finish();
}
