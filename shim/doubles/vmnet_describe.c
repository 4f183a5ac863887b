// SPDX-License-Identifier: MIT
/*
 * vmnet_describe.c - an interface's dictionaries: the description that comes in, checked as the framework does it, and
 * the parameters that go out.
 *
 * Theory of operation. A table names every key with its type, since when macOS knows it, and where its value goes. A
 * key that this macOS does not know is ignored, as any unknown key is; a known key with a value of another type is
 * refused. Then come the rules between keys. What the daemon is to be told is written on the way, under the same keys.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmnet_double.h"
#include "xpc_more.h"

enum kind { NUMBER, FLAG, TEXT, UUID, IPV4, MASK, PREFIX, IPV6 };
enum { WITH_NETWORK = 1, NOT_TOLD = 2 }; /* a network's interface may have it; the daemon is not told */

static const struct key {
  const char *name;
  enum kind kind;
  uint8_t major, minor, flags;
  size_t offset;
} keys[] = {
#define AT(field) offsetof(struct vd_asked, field)
    {"vmnet_operation_mode", NUMBER, 10, 10, 0, AT(mode)},
    {"vmnet_mtu", NUMBER, 10, 10, 0, AT(mtu)},
    {"vmnet_interface_id", UUID, 10, 10, 0, AT(id)},
    {"vmnet_shared_interface_name", TEXT, 10, 15, NOT_TOLD, AT(external)},
    {"vmnet_allocate_mac_address", FLAG, 10, 15, WITH_NETWORK, AT(allocate_mac)},
    {"vmnet_start_address", IPV4, 10, 15, 0, AT(start)},
    {"vmnet_end_address", IPV4, 10, 15, 0, AT(end)},
    {"vmnet_subnet_mask", MASK, 10, 15, 0, AT(mask)},
    {"vmnet_nat66_prefix", PREFIX, 10, 15, 0, AT(prefix)},
    {"vmnet_nat66_prefix_length", NUMBER, 10, 15, NOT_TOLD, SIZE_MAX},
    {"vmnet_network_identifier", UUID, 11, 0, 0, AT(identifier)},
    {"vmnet_host_ip_address", IPV4, 11, 0, 0, AT(host)},
    {"vmnet_host_subnet_mask", MASK, 11, 0, 0, AT(host_mask)},
    {"vmnet_host_ipv6_address", IPV6, 11, 0, NOT_TOLD, SIZE_MAX},
    {"vmnet_enable_tso", FLAG, 11, 0, WITH_NETWORK, AT(tso)},
    {"vmnet_enable_isolation", FLAG, 11, 0, WITH_NETWORK, AT(isolated)},
    {"vmnet_enable_checksum_offload", FLAG, 12, 0, WITH_NETWORK, AT(checksum)},
    {"vmnet_enable_virtio_header", FLAG, 15, 4, WITH_NETWORK, AT(virtio)},
};

bool vd_allowed(void) {
  return double_number("uid") == 0 || (double_macos(26, 0) && double_number("entitled") != 0);
}

bool vd_is_private(uint32_t address) {
  return address >> 24 == 10 || address >> 20 == 0xac1 || address >> 16 == 0xc0a8;
}

uint32_t vd_mask_bits(uint32_t mask) {
  for (uint32_t bits = 8; bits <= 30; bits++)
    if (mask == UINT32_MAX << (32 - bits)) return bits;
  return 0;
}

void vd_text_of_ipv4(uint32_t address, char out[16]) {
  struct in_addr in = {htonl(address)};
  inet_ntop(AF_INET, &in, out, 16);
}

bool vd_is_shared_interface(const char *name) {
  size_t length = strlen(name);
  for (const char *at = double_get("shared"); *at; at += strcspn(at, ":"), at += *at == ':')
    if (length > 0 && strcspn(at, ":") == length && memcmp(at, name, length) == 0) return true;
  return false;
}

/* One value of the right type into its place. */
static bool store(const struct key *key, xpc_object_t value, struct vd_asked *asked) {
  char *at = (char *)asked + (key->offset == SIZE_MAX ? 0 : key->offset);
  xpc_type_t type = xpc_get_type(value);
  struct in6_addr six;
  struct in_addr four;
  uint64_t number;
  if (key->kind == NUMBER) {
    if (type != XPC_TYPE_UINT64 || (number = xpc_uint64_get_value(value)) > UINT32_MAX) return false;
    if (key->offset == SIZE_MAX) return number == 64; /* the length of a prefix */
    *(uint32_t *)at = (uint32_t)number;
    vn_write_number(&asked->remote, key->name, number);
    return true;
  }
  if (key->kind == FLAG) {
    if (type != XPC_TYPE_BOOL) return false;
    *(bool *)at = xpc_bool_get_value(value);
    vn_write_number(&asked->remote, key->name, *(bool *)at);
    return true;
  }
  if (key->kind == UUID) {
    if (type != XPC_TYPE_UUID) return false;
    memcpy(at, xpc_uuid_get_bytes(value), 16);
    vn_write_bytes(&asked->remote, key->name, at, 16);
    asked->has_id |= at == (char *)asked->id;
    asked->identified |= at == (char *)asked->identifier;
    return true;
  }
  if (type != XPC_TYPE_STRING) return false;
  const char *text = xpc_string_get_string_ptr(value);
  if (!(key->flags & NOT_TOLD)) vn_write_text(&asked->remote, key->name, text);
  switch (key->kind) {
    case TEXT: return snprintf(at, sizeof asked->external, "%s", text) < (int)sizeof asked->external;
    case IPV6: return inet_pton(AF_INET6, text, &six) == 1;
    case PREFIX:
      if (inet_pton(AF_INET6, text, &six) != 1 || six.s6_addr[0] != 0xfd) return false;
      memcpy(at, &six, 16);
      return true;
    default:
      if (inet_pton(AF_INET, text, &four) != 1) return false;
      *(uint32_t *)at = ntohl(four.s_addr);
      return key->kind != MASK || vd_mask_bits(ntohl(four.s_addr)) != 0;
  }
}

/* For tests: " mtu=1400" and so on. */
static void note(const struct key *key, xpc_object_t value, struct vd_asked *asked) {
  char text[256];
  xpc_type_t type = xpc_get_type(value);
  if (type == XPC_TYPE_STRING) {
    snprintf(text, sizeof text, "%s", xpc_string_get_string_ptr(value));
  } else if (type == XPC_TYPE_UUID) {
    for (int i = 0; i < 16; i++) snprintf(text + 2 * i, 3, "%02x", xpc_uuid_get_bytes(value)[i]);
  } else {
    uint64_t number = type == XPC_TYPE_BOOL ? xpc_bool_get_value(value) : xpc_uint64_get_value(value);
    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
  }
  size_t length = strlen(asked->given);
  snprintf(asked->given + length, sizeof asked->given - length, " %s=%s", key->name + strlen("vmnet_"), text);
}

/* What one key allows of another. */
static vmnet_return_t check(const struct vd_asked *asked, bool host_ipv6) {
  bool bridged = asked->mode == VMNET_BRIDGED_MODE;
  int given = !!asked->start + !!asked->end + !!asked->mask;
  if (asked->mode < VMNET_HOST_MODE || asked->mode > VMNET_BRIDGED_MODE) return VMNET_INVALID_ARGUMENT;
  if (asked->virtio && asked->checksum) return VMNET_INVALID_ARGUMENT;
  if (bridged && !vd_is_shared_interface(asked->external)) return VMNET_INVALID_ARGUMENT;
  if (bridged && (asked->mtu != 0 || asked->isolated || given != 0)) return VMNET_INVALID_ARGUMENT;
  if (asked->mtu != 0 && (asked->mtu < 68 || asked->mtu > 65535)) return VMNET_INVALID_ARGUMENT;
  if (asked->prefix[0] != 0 && asked->mode != VMNET_SHARED_MODE) return VMNET_INVALID_ARGUMENT;
  if (asked->identified && (asked->mode != VMNET_HOST_MODE || given != 0)) return VMNET_INVALID_ARGUMENT;
  if ((asked->host || asked->host_mask || host_ipv6) && !asked->identified) return VMNET_INVALID_ARGUMENT;
  if (!asked->host != !asked->host_mask) return VMNET_INVALID_ARGUMENT;
  if (asked->host && !vd_is_private(asked->host)) return VMNET_FAILURE;
  if (given == 0) return VMNET_SUCCESS;
  if (given != 3 || asked->end <= asked->start || ((asked->start ^ asked->end) & asked->mask) != 0)
    return VMNET_INVALID_ARGUMENT;
  /* The framework says no more than "failure" to an address of the wide world, or to the subnet's own. */
  return vd_is_private(asked->start) && (asked->start & ~asked->mask) != 0 ? VMNET_SUCCESS : VMNET_FAILURE;
}

vmnet_return_t vd_describe(xpc_object_t description, bool with_network, struct vd_asked *asked) {
  bool good = true, host_ipv6 = false;
  *asked = (struct vd_asked){.allocate_mac = true, .mtu = 0};
  if (description == NULL || xpc_get_type(description) != XPC_TYPE_DICTIONARY) return VMNET_INVALID_ARGUMENT;
  for (size_t i = 0; i < sizeof keys / sizeof *keys && good; i++) {
    const struct key *key = &keys[i];
    xpc_object_t value = double_macos(key->major, key->minor) ? xpc_dictionary_get_value(description, key->name) : NULL;
    if (value == NULL || (with_network && strcmp(key->name, "vmnet_interface_id") == 0)) continue; /* ignored there */
    good = store(key, value, asked) && (!with_network || (key->flags & WITH_NETWORK));
    if (good) note(key, value, asked);
    host_ipv6 |= key->kind == IPV6;
  }
  if (!good) return VMNET_INVALID_ARGUMENT;
  /* Seen on 26.2 and on 27.0: the address comes all the same. */
  if (with_network && (double_macos(27, 0) || (double_macos(26, 2) && !double_macos(26, 6)))) asked->allocate_mac = true;
  if (with_network) return asked->virtio && asked->checksum ? VMNET_INVALID_ARGUMENT : VMNET_SUCCESS;
  asked->defaulted = asked->start == 0 && !asked->identified;
  return check(asked, host_ipv6);
}

static void set_ipv4(xpc_object_t dictionary, const char *key, uint32_t address) {
  char text[16];
  vd_text_of_ipv4(address, text);
  xpc_dictionary_set_string(dictionary, key, text);
}

xpc_object_t vd_parameters(struct vmnet_interface *nic) {
  const struct vd_place *place = &nic->place;
  xpc_object_t out = xpc_dictionary_create(NULL, NULL, 0);
  char text[INET6_ADDRSTRLEN];
  if (nic->asked.allocate_mac) xpc_dictionary_set_string(out, vmnet_mac_address_key, nic->mac);
  xpc_dictionary_set_uint64(out, vmnet_mtu_key, place->mtu);
  xpc_dictionary_set_uint64(out, vmnet_max_packet_size_key, nic->most - (nic->asked.virtio ? VD_VIRTIO : 0));
  xpc_dictionary_set_uuid(out, vmnet_interface_id_key, nic->id);
  xpc_dictionary_set_uint64(out, vmnet_operation_mode_key, place->mode);
  /* With a network object there are no addresses: who wants them asks the network. */
  if (place->bits != 0 && nic->network == NULL && place->mode != VMNET_BRIDGED_MODE) {
    set_ipv4(out, vmnet_start_address_key, place->gateway);
    set_ipv4(out, vmnet_end_address_key, place->end);
    set_ipv4(out, vmnet_subnet_mask_key, UINT32_MAX << (32 - place->bits));
  }
  if (place->mode == VMNET_SHARED_MODE && nic->network == NULL) {
    inet_ntop(AF_INET6, place->prefix, text, sizeof text);
    xpc_dictionary_set_string(out, vmnet_nat66_prefix_key, text);
  }
  if (double_macos(15, 0)) {
    xpc_dictionary_set_uint64(out, vmnet_read_max_packets_key, nic->read_most);
    xpc_dictionary_set_uint64(out, vmnet_write_max_packets_key, nic->write_most);
  }
  xpc_dictionary_set_string(out, "vmnet_double_unknown", "a parameter that nobody knows");
  xpc_dictionary_set_string(out, "vmnet_double_given", nic->asked.given);
  return out;
}

xpc_object_t vmnet_copy_shared_interface_list(void) {
  vd_slow("call");
  const char *names = double_get("shared");
  if (double_verb("call", "fail") || *names == 0) return NULL;
  xpc_object_t list = xpc_array_create(NULL, 0);
  for (const char *at = names; *at; at += strcspn(at, ":"), at += *at == ':') {
    char name[32];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(at, ":"), at);
    xpc_object_t text = xpc_string_create(name);
    xpc_array_append_value(list, text);
    xpc_release(text);
  }
  return list;
}
