// SPDX-License-Identifier: MIT
/* options.c - tables say which plain values go where; the code below them has what depends on another value. */
#include "options.h"

#include <string.h>

#include "rules.h"
#include "vmnet_shim.h"

#define COUNT(rules) (sizeof(rules) / sizeof *(rules))

static const char unknown[] = "there is no such option", malformed[] = "the options are malformed";
static const char missing[] = "it is missing";

uint32_t vn_refuse(struct vn_refusal *refusal, uint32_t status, const char *field, const char *message) {
  *refusal = (struct vn_refusal){.status = status, .message = message};
  if (field != NULL) strncpy(refusal->field, field, sizeof refusal->field - 1);
  return status;
}

uint32_t vn_fail_refused(struct vn_job *job, const struct vn_refusal *why) {
  if (why->field[0]) vn_write_text(&job->result, "field", why->field);
  if (why->needs) vn_write_text(&job->result, "needs", why->needs);
  return vn_fail(job, why->status, NULL, why->message);
}

/* Forwards. */

uint32_t vn_forward_read(struct vn_forward *out, const uint8_t *list, uint32_t length, struct vn_refusal *why) {
  static const struct vn_rule rules[] = {
      {"protocol", VN_RULE_NUMBER, offsetof(struct vn_forward, protocol), 6, 17},
      {"externalPort", VN_RULE_NUMBER, offsetof(struct vn_forward, external_port), 1, 65535},
      {"internalPort", VN_RULE_NUMBER, offsetof(struct vn_forward, internal_port), 1, 65535},
      {"family", VN_RULE_NUMBER, offsetof(struct vn_forward, family), 4, 6},
  };
  struct vn_reader reader;
  struct vn_entry entry;
  *out = (struct vn_forward){.protocol = 0};
  vn_list_read(&reader, list, length);
  while (vn_list_next(&reader, &entry)) {
    uint32_t status = vn_rules_apply(rules, COUNT(rules), out, &entry, why);
    if (status == VN_NOT_FOUND && !vn_key_is(&entry, "internalAddress")) return vn_rule_broken(&entry, unknown, why);
    if (status == VN_NOT_FOUND && (!vn_text_of(&entry, out->address) || !vn_address_family(out->address)))
      return vn_rule_broken(&entry, "it takes an IPv4 or IPv6 address", why);
    if (status == VN_BAD_OPTION) return status;
  }
  if (reader.malformed) return vn_refuse(why, VN_BAD_CALL, NULL, malformed);
  if (out->protocol == 0) return vn_refuse(why, VN_BAD_OPTION, "protocol", missing);
  if (out->protocol != 6 && out->protocol != 17) return vn_refuse(why, VN_BAD_OPTION, "protocol", "it is 6 or 17");
  if (out->external_port == 0) return vn_refuse(why, VN_BAD_OPTION, "externalPort", missing);
  if (out->address[0]) out->family = vn_address_family(out->address);
  if (out->family == 5) return vn_refuse(why, VN_BAD_OPTION, "family", "it is 4 or 6");
  if (out->family == 0) out->family = 4;
  return VN_OK;
}

void vn_forward_write(struct vn_writer *writer, const struct vn_forward *forward) {
  vn_write_number(writer, "protocol", forward->protocol);
  vn_write_number(writer, "externalPort", forward->external_port);
  if (forward->address[0] == 0) { /* a removal */
    vn_write_number(writer, "family", forward->family);
    return;
  }
  vn_write_text(writer, "internalAddress", forward->address);
  vn_write_number(writer, "internalPort", forward->internal_port);
}

/* Reservations. */

uint32_t vn_reservation_read(struct vn_reservation *out, const struct vn_network_options *options, const uint8_t *list,
                             uint32_t length, struct vn_refusal *why) {
  static const struct vn_rule rules[] = {{"mac", VN_RULE_BYTES, offsetof(struct vn_reservation, mac), 0, 6},
                                         {"address", VN_RULE_IPV4, offsetof(struct vn_reservation, address), 0, 0}};
  static const uint8_t no_mac[6];
  uint32_t mask = vn_mask(options->bits);
  struct vn_reader reader;
  struct vn_entry entry;
  *out = (struct vn_reservation){.address = 0};
  vn_list_read(&reader, list, length);
  while (vn_list_next(&reader, &entry)) {
    uint32_t status = vn_rules_apply(rules, COUNT(rules), out, &entry, why);
    if (status == VN_NOT_FOUND) return vn_rule_broken(&entry, unknown, why);
    if (status != VN_OK) return status;
    if (vn_key_is(&entry, "address") && out->address == 0)
      return vn_refuse(why, VN_BAD_OPTION, "address", "it must be an address that a guest may have");
  }
  if (reader.malformed) return vn_refuse(why, VN_BAD_CALL, NULL, malformed);
  if (memcmp(out->mac, no_mac, 6) == 0) return vn_refuse(why, VN_BAD_OPTION, "mac", missing);
  if (out->mac[0] & 1) return vn_refuse(why, VN_BAD_OPTION, "mac", "it must be the address of one machine, not of a group");
  if (out->address == 0 || options->bits == 0) return VN_OK;
  if ((out->address & mask) != options->base)
    return vn_refuse(why, VN_BAD_OPTION, "address", "it must be an address of the subnet");
  if (out->address == options->gateway || out->address == options->base || out->address == (options->base | ~mask))
    return vn_refuse(why, VN_BAD_OPTION, "address", "it must be an address that a guest may have");
  return VN_OK;
}

void vn_reservation_write(struct vn_writer *writer, const struct vn_reservation *reservation) {
  vn_write_bytes(writer, "mac", reservation->mac, 6);
  if (reservation->address != 0) vn_write_ipv4(writer, "address", reservation->address);
}

/* Networks. */

void vn_network_options_init(struct vn_network_options *out) {
  *out = (struct vn_network_options){.mtu = VN_MTU_DEFAULT, .lease_seconds = VN_LEASE_SECONDS, .dhcp = true};
  out->dns_proxy = out->nat44 = out->nat66 = out->router_advertisement = true;
}

void vn_network_options_free(struct vn_network_options *options) {
  vn_writer_free(&options->reservations);
  vn_writer_free(&options->forwards);
}

uint32_t vn_network_options_place(struct vn_network_options *options, struct vn_refusal *why) {
  uint32_t mask = vn_mask(options->bits), last = options->base | ~mask;
  if (!vn_ipv4_private(options->base) || !vn_ipv4_private(last))
    return vn_refuse(why, VN_BAD_OPTION, "ipv4Subnet", "it must lie in 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16");
  if (options->gateway == 0) options->gateway = options->base + 1;
  if (options->dhcp_start == 0) options->dhcp_start = options->gateway + 1 < last ? options->gateway + 1 : options->base + 1;
  if (options->dhcp_end == 0) options->dhcp_end = last - 1;
  if (options->gateway <= options->base || options->gateway >= last)
    return vn_refuse(why, VN_BAD_OPTION, "ipv4Subnet", "the gateway must be an address of the subnet");
  if (options->dhcp_start <= options->base || options->dhcp_start >= last)
    return vn_refuse(why, VN_BAD_OPTION, "dhcpStart", "it must be an address of the subnet");
  if (options->dhcp_end <= options->base || options->dhcp_end >= last)
    return vn_refuse(why, VN_BAD_OPTION, "dhcpEnd", "it must be an address of the subnet");
  if (options->dhcp_start > options->dhcp_end)
    return vn_refuse(why, VN_BAD_OPTION, "dhcpStart", "it must not lie behind dhcpEnd");
  if (!options->has_prefix) {
    vn_random(options->prefix, sizeof options->prefix);
    options->prefix[0] = 0xfd;
    options->has_prefix = true;
  }
  return VN_OK;
}

/* What is not a plain value: texts with a shape, lists, and what only a Mac can do. */
static uint32_t special_entry(struct vn_network_options *out, const struct vn_entry *entry, struct vn_refusal *why) {
  char text[VN_ADDRESS_TEXT];
  if (vn_key_is(entry, "ipv4Subnet")) {
    bool good = vn_text_of(entry, text) && vn_subnet_parse(text, &out->base, &out->bits);
    return good ? VN_OK : vn_rule_broken(entry, "it takes a.b.c.d/n with n from 8 to 30", why);
  }
  if (vn_key_is(entry, "reservation") || vn_key_is(entry, "forward")) return VN_OK; /* when the subnet is known */
  vn_rule_broken(entry, unknown, why);
  if (!vn_key_is(entry, "externalInterface")) return VN_BAD_OPTION;
  why->message = "an embedded network leaves by the routes of this machine";
  why->needs = "macOS 26";
  return why->status = VN_UNSUPPORTED;
}

static uint32_t read_lists(struct vn_network_options *out, const uint8_t *list, uint32_t length, struct vn_refusal *why) {
  struct vn_reader reader;
  struct vn_entry entry;
  struct vn_forward forward;
  struct vn_reservation reservation;
  uint32_t status = VN_OK, reserved = 0;
  vn_list_read(&reader, list, length);
  while (status == VN_OK && vn_list_next(&reader, &entry)) {
    if (vn_key_is(&entry, "reservation")) {
      if (out->bits == 0) return vn_rule_broken(&entry, "it needs ipv4Subnet", why);
      if (++reserved > VN_RESERVATIONS_MOST) return vn_rule_broken(&entry, "there are too many", why);
      status = entry.type == VN_LIST ? vn_reservation_read(&reservation, out, entry.value, entry.length, why) : VN_BAD_OPTION;
      if (status != VN_OK || reservation.address == 0)
        return vn_rule_broken(&entry, "it takes a MAC address and an address of the subnet", why);
      vn_write_entry(&out->reservations, &entry);
    } else if (vn_key_is(&entry, "forward")) {
      status = entry.type == VN_LIST ? vn_forward_read(&forward, entry.value, entry.length, why) : VN_BAD_OPTION;
      if (entry.type != VN_LIST || (status == VN_OK && (!forward.internal_port || !forward.address[0])))
        return vn_rule_broken(&entry, "it takes protocol, externalPort, internalAddress and internalPort", why);
      vn_write_entry(&out->forwards, &entry);
    }
  }
  if (out->reservations.failed || out->forwards.failed) return vn_refuse(why, VN_NO_MEMORY, NULL, "memory ran out");
  return status;
}

uint32_t vn_network_options_read(struct vn_network_options *out, const uint8_t *list, uint32_t length,
                                 struct vn_refusal *why) {
  static const struct vn_rule rules[] = {
      {"mode", VN_RULE_NUMBER, offsetof(struct vn_network_options, mode), VN_MODE_HOST, VN_MODE_SHARED},
      {"mtu", VN_RULE_NUMBER, offsetof(struct vn_network_options, mtu), VN_MTU_LEAST, VN_MTU_MOST},
      {"leaseSeconds", VN_RULE_NUMBER, offsetof(struct vn_network_options, lease_seconds), 1, UINT32_MAX},
      {"dhcpStart", VN_RULE_IPV4, offsetof(struct vn_network_options, dhcp_start), 0, 0},
      {"dhcpEnd", VN_RULE_IPV4, offsetof(struct vn_network_options, dhcp_end), 0, 0},
      {"ipv6Prefix", VN_RULE_PREFIX, offsetof(struct vn_network_options, prefix), 0, 0},
      {"dhcp", VN_RULE_FLAG, offsetof(struct vn_network_options, dhcp), 0, 0},
      {"dnsProxy", VN_RULE_FLAG, offsetof(struct vn_network_options, dns_proxy), 0, 0},
      {"nat44", VN_RULE_FLAG, offsetof(struct vn_network_options, nat44), 0, 0},
      {"nat66", VN_RULE_FLAG, offsetof(struct vn_network_options, nat66), 0, 0},
      {"routerAdvertisement", VN_RULE_FLAG, offsetof(struct vn_network_options, router_advertisement), 0, 0},
  };
  struct vn_reader reader;
  struct vn_entry entry;
  uint32_t status = VN_OK;
  vn_network_options_init(out);
  vn_list_read(&reader, list, length);
  while (vn_list_next(&reader, &entry)) {
    status = vn_rules_apply(rules, COUNT(rules), out, &entry, why);
    if (status == VN_NOT_FOUND) status = special_entry(out, &entry, why);
    if (status != VN_OK) return status;
  }
  if (reader.malformed) return vn_refuse(why, VN_BAD_CALL, NULL, malformed);
  if (out->mode == 0) return vn_refuse(why, VN_BAD_OPTION, "mode", missing);
  out->has_prefix = out->prefix[0] != 0;
  if (out->bits == 0 && (out->dhcp_start || out->dhcp_end))
    return vn_refuse(why, VN_BAD_OPTION, out->dhcp_start ? "dhcpStart" : "dhcpEnd", "it needs ipv4Subnet");
  if (out->bits != 0) status = vn_network_options_place(out, why);
  out->gateway_needed = out->dhcp || out->mode == VN_MODE_SHARED;
  return status == VN_OK ? read_lists(out, list, length, why) : status;
}

void vn_write_ipv4(struct vn_writer *out, const char *key, uint32_t address) {
  char text[VN_ADDRESS_TEXT];
  vn_ipv4_text(address, text);
  vn_write_text(out, key, text);
}

void vn_network_parameters(const struct vn_network_options *options, struct vn_writer *out) {
  char text[VN_ADDRESS_TEXT];
  vn_write_number(out, "mode", options->mode);
  vn_write_number(out, "mtu", options->mtu);
  vn_write_number(out, "leaseSeconds", options->lease_seconds);
  if (options->bits == 0) return; /* nobody here knows more */
  vn_subnet_text(options->base, options->bits, text);
  vn_write_text(out, "ipv4Subnet", text);
  vn_write_ipv4(out, "ipv4Gateway", options->gateway);
  vn_write_ipv4(out, "dhcpStart", options->dhcp_start);
  vn_write_ipv4(out, "dhcpEnd", options->dhcp_end);
  if (!options->has_prefix) return;
  vn_prefix_text(options->prefix, text);
  strcat(text, "/64");
  vn_write_text(out, "ipv6Prefix", text);
}
