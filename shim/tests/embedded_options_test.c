// SPDX-License-Identifier: MIT
/* What networks and interfaces refuse, and by which name. The checks of C alone, as nothing of TypeScript runs here. */
#include <stdarg.h>

#include "client.h"
#include "embedded/checksum.h"
#include "embedded/options.h"

static struct client *c;

struct row {
  const char *key;
  enum vn_type type;
  uint64_t number;
  const char *text; /* also bytes, of length number */
};

static void write_row(struct vn_writer *out, const struct row *row) {
  if (row->type == VN_NUMBER) vn_write_number(out, row->key, row->number);
  if (row->type == VN_TEXT) vn_write_text(out, row->key, row->text);
  if (row->type == VN_BYTES) vn_write_bytes(out, row->key, row->text, (uint32_t)row->number);
  if (row->type == VN_LIST) vn_write_end(out, vn_write_begin(out, row->key));
}

/* Both must name the field of the row with that option added to good ones. */
static bool refused(int32_t target, uint32_t op, const struct row *base, const struct row *row) {
  struct vn_writer options = {.data = NULL};
  for (; base->key; base++)
    if (strcmp(base->key, row->key) != 0) write_row(&options, base);
  write_row(&options, row);
  uint32_t status = client_call(c, target, op, &options);
  bool right = (status == VN_BAD_OPTION || status == VN_UNSUPPORTED) && client_text(c, "message")[0] &&
               strcmp(client_text(c, "field"), row->key) == 0;
  if (!right) fprintf(stderr, "%s %s: status %u, field %s\n", row->key, row->text ? row->text : "", status, client_text(c, "field"));
  if (status == 0) client_stop(c, client_handle(c));
  return right;
}

static const struct row good_network[] = {{"mode", VN_NUMBER, 1000, NULL}, {"dhcp", VN_NUMBER, 0, NULL},
                                          {"ipv4Subnet", VN_TEXT, 0, "192.168.5.0/24"}, {NULL, 0, 0, NULL}};

static void test_network_options_are_checked(void) {
  static const struct row bad[] = {
      {"mode", VN_NUMBER, 999, NULL}, {"mode", VN_NUMBER, 1002, NULL}, {"mode", VN_TEXT, 0, "host"}, {"mode", VN_NUMBER, 1ull << 32, NULL},
      {"mtu", VN_NUMBER, 67, NULL}, {"mtu", VN_NUMBER, 65536, NULL}, {"mtu", VN_NUMBER, 0x1000005dcull, NULL}, {"dhcp", VN_NUMBER, 2, NULL},
      {"leaseSeconds", VN_NUMBER, 0, NULL}, {"leaseSeconds", VN_NUMBER, 1ull << 32, NULL}, {"nat44", VN_TEXT, 0, "yes"},
      {"ipv4Subnet", VN_TEXT, 0, "192.168.5.0"}, {"ipv4Subnet", VN_TEXT, 0, "192.168.5.0/31"}, {"ipv4Subnet", VN_TEXT, 0, "192.168.5.0/7"},
      {"ipv4Subnet", VN_TEXT, 0, "8.8.8.0/24"}, {"ipv4Subnet", VN_TEXT, 0, "192.0.0.0/8"}, {"ipv4Subnet", VN_TEXT, 0, "192.168.5.0/024"},
      {"ipv4Subnet", VN_TEXT, 0, "300.1.1.1/24"}, {"ipv4Subnet", VN_TEXT, 0, "192.168.5.0/24 "}, {"ipv6Prefix", VN_TEXT, 0, "2001:db8::/64"},
      {"ipv6Prefix", VN_TEXT, 0, "fd00::1/64"}, {"ipv6Prefix", VN_TEXT, 0, "fd00::/48"}, {"ipv6Prefix", VN_TEXT, 0, "fe80::/64"},
      {"dhcpStart", VN_TEXT, 0, "192.168.6.2"}, {"dhcpEnd", VN_TEXT, 0, "192.168.5.255"}, {"dhcpStart", VN_TEXT, 0, "192.168.5.0"},
      {"externalInterface", VN_TEXT, 0, "eth0"}, {"nonsense", VN_NUMBER, 1, NULL}, {"reservation", VN_LIST, 0, NULL},
      {"reservation", VN_NUMBER, 1, NULL}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK(refused(c->context, VN_OP_NETWORK_CREATE, good_network, &bad[i]));
  struct vn_writer options = {.data = NULL};
  for (const struct row *row = good_network; row->key; row++) write_row(&options, row);
  vn_write_text(&options, "dhcpStart", "192.168.5.90");
  vn_write_text(&options, "dhcpEnd", "192.168.5.80");
  CHECK(client_call(c, c->context, VN_OP_NETWORK_CREATE, &options) == VN_BAD_OPTION && !strcmp(client_text(c, "field"), "dhcpStart"));
  CHECK(client_call(c, c->context, VN_OP_NETWORK_CREATE, NULL) == VN_BAD_OPTION && !strcmp(client_text(c, "field"), "mode"));
  static const char *const addresses[] = {"192.168.5.0", "192.168.5.1", "192.168.5.255", "192.168.6.3", "x"};
  for (size_t i = 0; i < 5; i++) {
    struct vn_writer reserved = {.data = NULL};
    for (const struct row *row = good_network; row->key; row++) write_row(&reserved, row);
    uint32_t mark = vn_write_begin(&reserved, "reservation");
    vn_write_bytes(&reserved, "mac", "\2\0\0\0\0\1", 6);
    vn_write_text(&reserved, "address", addresses[i]);
    vn_write_end(&reserved, mark);
    CHECK(client_call(c, c->context, VN_OP_NETWORK_CREATE, &reserved) == VN_BAD_OPTION);
  }
}

static void test_network_says_what_it_chose(void) {
  struct vn_writer options = {.data = NULL}, chosen = {.data = NULL};
  vn_write_text(&options, "ipv4Subnet", "10.20.30.77/20");
  vn_write_text(&options, "ipv6Prefix", "fd12:3456:789a:bcde::/64");
  vn_write_number(&options, "mtu", 9000);
  int32_t network = client_network(c, 1000, false, &options);
  CHECK(network > 0 && strcmp(client_text(c, "ipv4Subnet"), "10.20.16.0/20") == 0 && strcmp(client_text(c, "ipv4Gateway"), "10.20.16.1") == 0);
  CHECK(strcmp(client_text(c, "dhcpStart"), "10.20.16.2") == 0 && strcmp(client_text(c, "dhcpEnd"), "10.20.31.254") == 0);
  CHECK(strcmp(client_text(c, "ipv6Prefix"), "fd12:3456:789a:bcde::/64") == 0 && client_number(c, "mtu") == 9000);
  CHECK(client_start(c, network, NULL) > 0 && client_number(c, "vmnet_mtu") == 9000 && client_number(c, "vmnet_max_packet_size") == 9014);
  CHECK(client_number(c, "vmnet_operation_mode") == 1000 && client_number(c, "vmnet_read_max_packets") == 256);
  struct vn_entry id;
  CHECK(vn_list_find(c->result, c->length, VN_BYTES, "vmnet_interface_id", &id) && id.length == 16);
  int32_t first = client_network(c, 1000, false, &chosen), second = client_network(c, 1000, false, NULL);
  CHECK(strcmp(client_text(c, "ipv4Subnet"), "192.168.129.0/24") == 0 && strncmp(client_text(c, "ipv6Prefix"), "fd", 2) == 0);
  CHECK(client_stop(c, network) == 0 && client_stop(c, first) == 0 && client_stop(c, second) == 0);
}

static const struct row good_interface[] = {{"vmnet_operation_mode", VN_NUMBER, 1000, NULL},
                                            {"vmnet_network_identifier", VN_BYTES, 16, "0123456789abcdef"}, {NULL, 0, 0, NULL}};

static void test_interface_options_are_checked(void) {
  static const struct row bad[] = {
      {"vmnet_operation_mode", VN_NUMBER, 1002, NULL}, {"vmnet_operation_mode", VN_NUMBER, 7, NULL}, {"vmnet_mtu", VN_NUMBER, 67, NULL},
      {"vmnet_mtu", VN_NUMBER, 65536, NULL}, {"vmnet_mtu", VN_TEXT, 0, "1500"}, {"vmnet_interface_id", VN_BYTES, 15, "0123456789abcdef"},
      {"vmnet_interface_id", VN_TEXT, 0, "0123456789abcdef"}, {"vmnet_enable_tso", VN_NUMBER, 3, NULL}, {"vmnet_subnet_mask", VN_TEXT, 0, "255.0.255.0"},
      {"vmnet_start_address", VN_TEXT, 0, "8.8.8.8"}, {"vmnet_start_address", VN_TEXT, 0, "192.168.9.1"}, {"vmnet_nat66_prefix", VN_TEXT, 0, "fd00::"},
      {"vmnet_nat66_prefix_length", VN_NUMBER, 48, NULL}, {"vmnet_host_ipv6_address", VN_TEXT, 0, "fd00::1"}, {"vmnet_unknown", VN_NUMBER, 1, NULL}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK(refused(c->context, VN_OP_INTERFACE_START, good_interface, &bad[i]));
  CHECK(client_start(c, c->context, NULL) == -VN_BAD_OPTION && strcmp(client_text(c, "field"), "vmnet_operation_mode") == 0);
  struct vn_writer both = {.data = NULL}, some = {.data = NULL}, reversed = {.data = NULL}, host = {.data = NULL};
  for (const struct row *row = good_interface; row->key; row++) write_row(&both, row);
  vn_write_number(&both, "vmnet_enable_virtio_header", 1);
  vn_write_number(&both, "vmnet_enable_checksum_offload", 1);
  CHECK(client_start(c, c->context, &both) == -VN_BAD_OPTION);
  vn_write_number(&some, "vmnet_operation_mode", 1000);
  vn_write_text(&some, "vmnet_start_address", "192.168.9.1");
  vn_write_text(&some, "vmnet_end_address", "192.168.9.9");
  CHECK(client_start(c, c->context, &some) == -VN_BAD_OPTION);
  vn_write_number(&reversed, "vmnet_operation_mode", 1000);
  vn_write_text(&reversed, "vmnet_start_address", "192.168.9.9");
  vn_write_text(&reversed, "vmnet_end_address", "192.168.9.1");
  vn_write_text(&reversed, "vmnet_subnet_mask", "255.255.255.0");
  CHECK(client_start(c, c->context, &reversed) == -VN_BAD_OPTION && strcmp(client_text(c, "field"), "vmnet_end_address") == 0);
  vn_write_number(&host, "vmnet_operation_mode", 1000);
  vn_write_text(&host, "vmnet_host_ip_address", "192.168.9.1");
  vn_write_text(&host, "vmnet_host_subnet_mask", "255.255.255.0");
  CHECK(client_start(c, c->context, &host) == -VN_BAD_OPTION);
  int32_t network = client_network(c, 1000, false, NULL);
  static const struct row nothing[] = {{NULL, 0, 0, NULL}};
  static const struct row wrong[] = {{"vmnet_operation_mode", VN_NUMBER, 1001, NULL}, {"vmnet_start_address", VN_TEXT, 0, "192.168.9.1"},
                                     {"vmnet_network_identifier", VN_BYTES, 16, "0123456789abcdef"}};
  for (size_t i = 0; i < 3; i++) CHECK(refused(network, VN_OP_INTERFACE_START, nothing, &wrong[i]));
  CHECK(client_stop(c, network) == 0);
}

static void test_random_options_are_survived(void) {
  srand(9);
  uint8_t bytes[300];
  struct vn_network_options network;
  struct vn_interface_options options;
  struct vn_forward forward;
  struct vn_refusal why;
  for (int i = 0; i < 100000; i++) {
    struct vn_writer list = {.data = NULL};
    for (const struct row *row = i & 1 ? good_network : good_interface; row->key; row++) write_row(&list, row);
    uint32_t length = list.length;
    memcpy(bytes, list.data, length);
    vn_writer_free(&list);
    for (int k = 0; k < 3; k++) bytes[(uint32_t)rand() % length] = (uint8_t)rand();
    if (vn_network_options_read(&network, bytes, length, &why) == VN_OK) CHECK(network.bits >= 8);
    vn_network_options_free(&network);
    vn_interface_options_read(&options, &network, bytes, length, &why);
    vn_network_options_free(&network);
    vn_forward_read(&forward, bytes, length, &why);
    for (uint32_t k = 0; k < 80; k++) bytes[k] = (uint8_t)rand();
    bytes[12] = 8, bytes[13] = 0, bytes[14] = 0x45;
    if (i & 2) bytes[12] = 0x86, bytes[13] = 0xdd;
    if (i & 4) bytes[16] = bytes[18] = 0, bytes[20] = bytes[21] = 0;
    vn_checksum_fill(bytes, (uint32_t)rand() % 80);
    vn_checksum_virtio(bytes, bytes + 12, (uint32_t)rand() % 68);
  }
}

int main(void) {
  c = client_open();
  RUN(test_network_options_are_checked);
  RUN(test_network_says_what_it_chose);
  RUN(test_interface_options_are_checked);
  RUN(test_random_options_are_survived);
  client_close(c);
  CHECK(vn_shutdown(2000) == 0);
  return finish();
}
