// SPDX-License-Identifier: MIT
/*
 * fuzz_call.c - any options to any operation of macOS's backend, over the doubles, which abort on a broken contract:
 * every operation ends, what it made can be looked at and stopped, and its answer is a list.
 *
 * An input is a row of entries, each of a byte for its key, one for its type and value, and whatever value that takes;
 * its first two bytes choose the operation and what it is asked of. Descriptors and TAP devices are left to other
 * tests: a
 * number of this table could be one of the fuzzer's own, and a device would be the machine's.
 */
#include <string.h>

#include "client.h"
#include "double.h"

static const char *const keys[] = {
    "vmnet_operation_mode", "vmnet_shared_interface_name", "vmnet_mac_address", "vmnet_allocate_mac_address",
    "vmnet_mtu", "vmnet_interface_id", "vmnet_start_address", "vmnet_end_address", "vmnet_subnet_mask",
    "vmnet_nat66_prefix", "vmnet_nat66_prefix_length", "vmnet_network_identifier", "vmnet_host_ip_address",
    "vmnet_host_subnet_mask", "vmnet_host_ipv6_address", "vmnet_enable_tso", "vmnet_enable_isolation",
    "vmnet_enable_checksum_offload", "vmnet_enable_virtio_header", "mode", "ipv4Subnet", "ipv6Prefix", "mtu", "dhcp",
    "dnsProxy", "nat44", "nat66", "routerAdvertisement", "externalInterface", "reservation", "forward", "mac",
    "address", "protocol", "externalPort", "internalPort", "internalAddress", "family", "no such key",
    "straight", "ageSeconds", "kind", "path", "host", "port", "listen", "pair", "object", "name", "speed", "repeat", "clients",
    "reconnect", "queueBytes", "virtioHeader", "label", "disconnect", "isolated", "bytesPerSecond", "burstBytes",
    "broadcastsPerSecond", "antiSpoof", "filter", "snapLength", "ringBytes", "passOnOverflow"};
static const char *const texts[] = {
    "192.168.77.1", "192.168.77.254", "255.255.255.0", "192.168.77.0/24", "fd00:1:2:3::", "fd00:1:2:3::/64",
    "fd00:1:2:3::5", "en0", "0.0.0.0", "", "255.255.255.255/0", "8.8.8.8",
    "stream", "datagram", "seqpacket", "interface", "replay", "127.0.0.1", "::1", "ip or arp", "ether[", "/dev/null"};
static const char *const paths[] = {"/dev/null", "/proc/socket", "/nonexistent/socket", ""}; /* where no file can be made */
static const uint64_t numbers[] = {0, 1, 2, 4, 6, 17, 68, 80, 1000, 1001, 1002, 1500, 65535, 65536, UINT32_MAX,
                                   UINT64_MAX, 131072};
#define COUNT(array) (sizeof(array) / sizeof *(array))

struct input {
  const uint8_t *at, *end;
};

static uint32_t take(struct input *in) { return in->at < in->end ? *in->at++ : 0; }

static int32_t targets[7]; /* the context, a network, an interface, a serialization, a switch, an endpoint, a tap */

static void write_entries(struct vn_writer *out, struct input *in, int level) {
  for (int most = 12; in->at < in->end && most > 0; most--) {
    const char *key = keys[take(in) % COUNT(keys)];
    uint32_t how = take(in), length = how >> 3;
    if ((size_t)(in->end - in->at) < length) length = (uint32_t)(in->end - in->at);
    if (how % 8 == 7) return;
    if (how % 8 == 6 && level < 3) {
      uint32_t mark = vn_write_begin(out, key);
      write_entries(out, in, level + 1);
      vn_write_end(out, mark);
    } else if (how % 8 >= 4) {
      vn_write_bytes(out, key, in->at, length);
      in->at += length;
    } else if (how % 8 >= 2 && strcmp(key, "path") == 0) {
      vn_write_text(out, key, paths[length % COUNT(paths)]);
    } else if (how % 8 >= 2) {
      vn_write_text(out, key, texts[length % COUNT(texts)]);
    } else if (strcmp(key, "object") == 0) {
      vn_write_number(out, key, (uint64_t)targets[length % COUNT(targets)]);
    } else {
      vn_write_number(out, key, numbers[length % COUNT(numbers)]);
    }
  }
}

/* Its status; the operation has to end, and with a list. */
static uint32_t ask(struct client *client, int32_t target, uint32_t op, struct vn_writer *options) {
  int32_t operation = vn_call(target, op, options->data, options->length, 5000), length;
  if (operation < 0) return (uint32_t)-operation;
  while ((length = vn_result(operation, client->result, sizeof client->result)) == -VN_PENDING) client_wait(client, 1);
  uint32_t ready[32];
  vn_poll(client->context, ready, 16);
  if (length < 0 || !vn_list_valid(client->result, (uint32_t)length)) abort();
  client->length = (uint32_t)length;
  uint32_t status = (uint32_t)client_number(client, "status");
  if (status == VN_TIMEOUT) abort();
  return status;
}

static int32_t open_pair(struct client *client) {
  struct vn_writer options = {0};
  vn_write_text(&options, "kind", "stream");
  vn_write_number(&options, "pair", 1);
  if (client_call(client, targets[4], VN_OP_ENDPOINT_OPEN, &options) != VN_OK) return 0;
  close((int)client_number(client, "fd"));
  return client_handle(client);
}

static void look_at(struct client *client, int32_t handle) {
  static const uint32_t what[] = {VN_GET_STATE, VN_GET_STATS, VN_GET_ESTIMATE, VN_GET_LEASES, VN_GET_EVENTS};
  uint32_t descriptor[VN_DESCRIPTOR_WORDS] = {0, 60};
  for (size_t i = 0; i < COUNT(what); i++) vn_get(handle, what[i], client->result, sizeof client->result);
  vn_interest(handle, VN_READY_PACKETS);
  vn_send(handle, client->arena, ARENA, descriptor, 0, 1);
  vn_drain(handle, client->arena, ARENA, client->descriptors, BATCH);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const uint32_t ops[] = {VN_OP_INTERFACE_START, VN_OP_NETWORK_CREATE, VN_OP_FORWARD_ADD, VN_OP_FORWARD_REMOVE,
                                 VN_OP_FORWARD_LIST, VN_OP_NETWORK_COPY_SERIALIZATION, VN_OP_NETWORK_FROM_SERIALIZATION,
                                 VN_OP_SHARED_INTERFACES, VN_OP_PROBE, VN_OP_STOP, VN_OP_SWITCH_CREATE, VN_OP_ENDPOINT_OPEN,
                                 VN_OP_PORT_SET, VN_OP_TAP_OPEN, VN_OP_INTERCEPT_OPEN, VN_OP_RULE_ADD,
                                 VN_OP_RESERVATION_ADD, VN_OP_RESERVATION_REMOVE, VN_OP_RESERVATION_LIST};
  static struct client *client;
  struct vn_writer options = {0}, mode = {0}, none = {0};
  if (!client) {
    double_set("wire", "hub");
    double_set("leases", "/nonexistent");
    client = client_open();
    targets[0] = client->context;
  }
  vn_write_number(&mode, "vmnet_operation_mode", 1001);
  if (targets[1] <= 0) targets[1] = client_network(client, 1000, true, NULL);
  if (targets[2] <= 0) targets[2] = client_start(client, client->context, &mode);
  else vn_writer_free(&mode);
  if (targets[3] <= 0 && client_call(client, targets[1], VN_OP_NETWORK_COPY_SERIALIZATION, NULL) == VN_OK)
    targets[3] = client_handle(client);
  if (targets[4] <= 0 && client_call(client, client->context, VN_OP_SWITCH_CREATE, NULL) == VN_OK)
    targets[4] = client_handle(client), targets[5] = targets[6] = 0;
  if (targets[5] <= 0) targets[5] = open_pair(client);
  if (targets[6] <= 0 && client_call(client, targets[4], VN_OP_TAP_OPEN, NULL) == VN_OK) targets[6] = client_handle(client);
  for (size_t i = 0; i < COUNT(targets); i++) if (targets[i] <= 0) abort();

  struct input in = {data, data + size};
  uint32_t op = ops[take(&in) % COUNT(ops)], target = take(&in) % COUNT(targets);
  write_entries(&options, &in, 0);
  uint32_t status = options.failed ? VN_NO_MEMORY : ask(client, targets[target], op, &options);
  vn_writer_free(&options);
  int32_t made = status == VN_OK ? client_handle(client) : 0;
  if (op == VN_OP_ENDPOINT_OPEN && status == VN_OK && client_number(client, "fd") != UINT64_MAX)
    close((int)client_number(client, "fd"));
  if (op == VN_OP_STOP && status == VN_OK) targets[target] = 0;
  if (op == VN_OP_STOP && status == VN_OK && target == 4) vn_close(targets[5]), vn_close(targets[6]), targets[5] = targets[6] = 0;
  if (made > 0) {
    look_at(client, made);
    if (ask(client, made, VN_OP_STOP, &none) != VN_OK) abort();
  }
  return 0;
}
