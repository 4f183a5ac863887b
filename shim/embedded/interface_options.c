// SPDX-License-Identifier: MIT
/*
 * interface_options.c - vmnet's keys, in two tables: those of an interface, and those that say which network it wants,
 * which only a context's interface may.
 */
#include <string.h>

#include "options.h"
#include "rules.h"
#include "vmnet_shim.h"

#define COUNT(rules) (sizeof(rules) / sizeof *(rules))

/* vmnet's keys that describe the network an interface wants. */
struct wanted {
  uint32_t start, end, mask, host, host_mask, prefix_length;
  uint8_t prefix[8], identifier[16];
};

static uint32_t refuse_mac_only(const struct vn_entry *entry, const char *message, const char *needs,
                                struct vn_refusal *why) {
  vn_rule_broken(entry, message, why);
  why->needs = needs;
  return why->status = VN_UNSUPPORTED;
}

/* The network from the wanted keys: by identifier, by addresses, or the default one of the mode. */
static uint32_t place(struct vn_network_options *network, const struct wanted *wanted, struct vn_refusal *why) {
  network->has_prefix = wanted->prefix[0] != 0;
  memcpy(network->prefix, wanted->prefix, 8);
  if (network->has_prefix && network->mode != VN_MODE_SHARED)
    return vn_refuse(why, VN_BAD_OPTION, "vmnet_nat66_prefix", "it takes shared mode");
  if (network->identified && network->mode != VN_MODE_HOST)
    return vn_refuse(why, VN_BAD_OPTION, "vmnet_network_identifier", "it takes host mode");
  if ((wanted->host || wanted->host_mask) && !network->identified)
    return vn_refuse(why, VN_BAD_OPTION, "vmnet_host_ip_address", "it takes vmnet_network_identifier");
  if (!wanted->host != !wanted->host_mask)
    return vn_refuse(why, VN_BAD_OPTION, "vmnet_host_subnet_mask", "address and mask belong together");
  int given = !!wanted->start + !!wanted->end + !!wanted->mask;
  if (given != 0 && network->identified)
    return vn_refuse(why, VN_BAD_OPTION, "vmnet_start_address", "a network with an identifier has no DHCP");
  if (given != 0 && given != 3)
    return vn_refuse(why, VN_BAD_OPTION, "vmnet_start_address", "start address, end address and mask belong together");
  if (given != 0 && (wanted->end <= wanted->start || (wanted->end ^ wanted->start) & wanted->mask))
    return vn_refuse(why, VN_BAD_OPTION, "vmnet_end_address", "it must follow the start address in the same subnet");
  network->dhcp = !network->identified;
  network->gateway_needed = !network->identified || wanted->host != 0;
  network->gateway = given ? wanted->start : wanted->host;
  network->dhcp_end = wanted->end;
  if (network->gateway == 0) return VN_OK;
  uint32_t mask = given ? wanted->mask : wanted->host_mask;
  vn_mask_bits(mask, &network->bits);
  network->base = network->gateway & mask;
  return vn_network_options_place(network, why);
}

static uint32_t read_entry(struct vn_interface_options *out, struct wanted *wanted, bool choose,
                           const struct vn_entry *entry, struct vn_refusal *why) {
  static const struct vn_rule own[] = {
      {"vmnet_operation_mode", VN_RULE_NUMBER, offsetof(struct vn_interface_options, mode), VN_MODE_HOST, VN_MODE_BRIDGED},
      {"vmnet_mtu", VN_RULE_NUMBER, offsetof(struct vn_interface_options, mtu), VN_MTU_LEAST, VN_MTU_MOST},
      {"vmnet_interface_id", VN_RULE_BYTES, offsetof(struct vn_interface_options, id), 0, 16},
      {"vmnet_allocate_mac_address", VN_RULE_FLAG, offsetof(struct vn_interface_options, allocate_mac), 0, 0},
      {"vmnet_enable_isolation", VN_RULE_FLAG, offsetof(struct vn_interface_options, isolated), 0, 0},
      {"vmnet_enable_tso", VN_RULE_FLAG, offsetof(struct vn_interface_options, tso), 0, 0},
      {"vmnet_enable_checksum_offload", VN_RULE_FLAG, offsetof(struct vn_interface_options, checksum), 0, 0},
      {"vmnet_enable_virtio_header", VN_RULE_FLAG, offsetof(struct vn_interface_options, virtio), 0, 0},
  };
  static const struct vn_rule others[] = {
      {"vmnet_start_address", VN_RULE_PRIVATE, offsetof(struct wanted, start), 0, 0},
      {"vmnet_end_address", VN_RULE_PRIVATE, offsetof(struct wanted, end), 0, 0},
      {"vmnet_subnet_mask", VN_RULE_MASK, offsetof(struct wanted, mask), 0, 0},
      {"vmnet_nat66_prefix", VN_RULE_PREFIX, offsetof(struct wanted, prefix), 0, 0},
      {"vmnet_nat66_prefix_length", VN_RULE_NUMBER, offsetof(struct wanted, prefix_length), 64, 64},
      {"vmnet_network_identifier", VN_RULE_BYTES, offsetof(struct wanted, identifier), 0, 16},
      {"vmnet_host_ip_address", VN_RULE_PRIVATE, offsetof(struct wanted, host), 0, 0},
      {"vmnet_host_subnet_mask", VN_RULE_MASK, offsetof(struct wanted, host_mask), 0, 0},
  };
  uint32_t status = vn_rules_apply(own, COUNT(own), out, entry, why);
  if (status != VN_NOT_FOUND) {
    if (status == VN_OK && out->mode == VN_MODE_BRIDGED)
      return refuse_mac_only(entry, "bridged mode joins a physical network, which needs the kernel",
                             "macOS with vmnet.framework, and root or com.apple.security.virtualization", why);
    return status;
  }
  if (vn_key_is(entry, "vmnet_shared_interface_name")) return VN_OK; /* only bridged mode looks at it */
  status = vn_rules_apply(others, COUNT(others), wanted, entry, why);
  if (status != VN_NOT_FOUND && !choose) return vn_rule_broken(entry, "an interface on a network cannot choose it", why);
  if (status != VN_NOT_FOUND) return status;
  if (vn_key_is(entry, "vmnet_host_ipv6_address"))
    return refuse_mac_only(entry, "the embedded host mode has no IPv6 address of its own", "macOS 11", why);
  return vn_rule_broken(entry, "there is no such option", why);
}

uint32_t vn_interface_options_read(struct vn_interface_options *out, struct vn_network_options *network,
                                   const uint8_t *list, uint32_t length, struct vn_refusal *why) {
  static const uint8_t no_id[16];
  struct wanted wanted = {.start = 0};
  struct vn_reader reader;
  struct vn_entry entry;
  bool identified = false;
  *out = (struct vn_interface_options){.allocate_mac = true};
  if (network != NULL) vn_network_options_init(network);
  vn_list_read(&reader, list, length);
  while (vn_list_next(&reader, &entry)) {
    uint32_t status = read_entry(out, &wanted, network != NULL, &entry, why);
    if (status != VN_OK) return status;
    identified |= vn_key_is(&entry, "vmnet_network_identifier");
  }
  if (reader.malformed) return vn_refuse(why, VN_BAD_CALL, NULL, "the options are malformed");
  if (out->checksum && out->virtio)
    return vn_refuse(why, VN_BAD_OPTION, "vmnet_enable_virtio_header", "it excludes vmnet_enable_checksum_offload");
  if (memcmp(out->id, no_id, sizeof no_id) == 0) vn_random(out->id, sizeof out->id);
  vn_mac_from_id(out->id, out->mac);
  if (network == NULL) return VN_OK;
  if (out->mode == 0) return vn_refuse(why, VN_BAD_OPTION, "vmnet_operation_mode", "it is missing");
  network->mode = out->mode;
  if (out->mtu) network->mtu = out->mtu;
  network->identified = identified;
  memcpy(network->identifier, wanted.identifier, 16);
  return place(network, &wanted, why);
}
