// SPDX-License-Identifier: MIT
/*
 * dictionary.c - vmnet's keys: options to its dictionaries, and its dictionaries to lists.
 *
 * Theory of operation. One table has every key: the text it is known by here, the framework's variable for it, what
 * kind of
 * value it has, whether it goes in, and since which macOS. Lists use the text of the table, which is the variable's
 * name
 * without "_key"; dictionaries use what the variable says, and only where it is absent the table's. So an option is
 * refused when it is not in the table or newer than this macOS, while whatever vmnet answers is passed on, known or
 * not.
 */
#include <stdio.h>
#include <string.h>

#include "system.h"
#include "vmnet_shim.h"

enum kind { FLAG, NUMBER, TEXT, UUID };

enum {
  GIVEN = 1,      /* may be an option */
  ON_NETWORK = 2, /* of an interface on a network object, too */
};

static const struct key {
  const char *name;
  const char *const *symbol; /* NULL where this macOS does not have it */
  uint8_t kind, use;
  uint16_t since; /* as vn_mac_version() */
} keys[] = {
    {"vmnet_operation_mode", &vmnet_operation_mode_key, NUMBER, GIVEN, 1010},
    {"vmnet_shared_interface_name", &vmnet_shared_interface_name_key, TEXT, GIVEN, 1015},
    {"vmnet_mac_address", &vmnet_mac_address_key, TEXT, 0, 1010},
    {"vmnet_allocate_mac_address", &vmnet_allocate_mac_address_key, FLAG, GIVEN | ON_NETWORK, 1015},
    {"vmnet_mtu", &vmnet_mtu_key, NUMBER, GIVEN, 1010},
    {"vmnet_max_packet_size", &vmnet_max_packet_size_key, NUMBER, 0, 1010},
    {"vmnet_interface_id", &vmnet_interface_id_key, UUID, GIVEN, 1010},
    {"vmnet_start_address", &vmnet_start_address_key, TEXT, GIVEN, 1015},
    {"vmnet_end_address", &vmnet_end_address_key, TEXT, GIVEN, 1015},
    {"vmnet_subnet_mask", &vmnet_subnet_mask_key, TEXT, GIVEN, 1015},
    {"vmnet_nat66_prefix", &vmnet_nat66_prefix_key, TEXT, GIVEN, 1015},
    {"vmnet_nat66_prefix_length", &vmnet_nat66_prefix_length_key, NUMBER, GIVEN, 1015},
    {"vmnet_estimated_packets_available", &vmnet_estimated_packets_available_key, NUMBER, 0, 1010},
    {"vmnet_network_identifier", &vmnet_network_identifier_key, UUID, GIVEN, 1100},
    {"vmnet_host_ip_address", &vmnet_host_ip_address_key, TEXT, GIVEN, 1100},
    {"vmnet_host_subnet_mask", &vmnet_host_subnet_mask_key, TEXT, GIVEN, 1100},
    {"vmnet_host_ipv6_address", &vmnet_host_ipv6_address_key, TEXT, GIVEN, 1100},
    {"vmnet_enable_tso", &vmnet_enable_tso_key, FLAG, GIVEN | ON_NETWORK, 1100},
    {"vmnet_enable_isolation", &vmnet_enable_isolation_key, FLAG, GIVEN | ON_NETWORK, 1100},
    {"vmnet_enable_checksum_offload", &vmnet_enable_checksum_offload_key, FLAG, GIVEN | ON_NETWORK, 1200},
    {"vmnet_enable_virtio_header", &vmnet_enable_virtio_header_key, FLAG, GIVEN | ON_NETWORK, 1504},
    {"vmnet_read_max_packets", &vmnet_read_max_packets_key, NUMBER, 0, 1500},
    {"vmnet_write_max_packets", &vmnet_write_max_packets_key, NUMBER, 0, 1500},
};

#define KEYS (sizeof keys / sizeof *keys)

static const struct key *find(const char *name, size_t length) {
  for (size_t i = 0; i < KEYS; i++)
    if (strlen(keys[i].name) == length && memcmp(keys[i].name, name, length) == 0) return &keys[i];
  return NULL;
}

static const char *said(const struct key *key) {
  return key->symbol && *key->symbol && !VN_BROKEN(46) ? *key->symbol : key->name;
}

const char *vn_mac_key(const char *literal, uint32_t length) {
  const struct key *key = find(literal, length);
  return key ? said(key) : NULL;
}

/* Options. */

static uint32_t refuse(struct vn_job *job, const struct vn_entry *entry, const char *message) {
  char field[256];
  snprintf(field, sizeof field, "%.*s", (int)entry->key_length, entry->key);
  return vn_fail(job, VN_BAD_OPTION, field, message);
}

static uint32_t refuse_version(struct vn_job *job, const struct key *key) {
  char version[32];
  uint32_t major = key->since / 100u, minor = key->since % 100u;
  snprintf(version, sizeof version, minor ? "%u.%u" : "%u", major, minor);
  return vn_mac_fail_version(job, key->name, version);
}

static uint32_t put(struct vn_job *job, xpc_object_t dictionary, const struct key *key, const struct vn_entry *entry) {
  char text[256];
  switch (key->kind) {
    case FLAG:
      if (entry->type != VN_NUMBER || vn_entry_number(entry) > 1) return refuse(job, entry, "it must be 0 or 1");
      xpc_dictionary_set_bool(dictionary, said(key), vn_entry_number(entry) == 1);
      return VN_OK;
    case NUMBER:
      if (entry->type != VN_NUMBER) return refuse(job, entry, "it must be a number");
      xpc_dictionary_set_uint64(dictionary, said(key), vn_entry_number(entry));
      return VN_OK;
    case TEXT:
      if (entry->type != VN_TEXT || !vn_entry_text(entry, text, sizeof text))
        return refuse(job, entry, "it must be a text of at most 255 bytes");
      xpc_dictionary_set_string(dictionary, said(key), text);
      return VN_OK;
    default:
      if (entry->type != VN_BYTES || entry->length != 16) return refuse(job, entry, "it must be 16 bytes");
      xpc_dictionary_set_uuid(dictionary, said(key), entry->value);
      return VN_OK;
  }
}

static uint32_t add(struct vn_job *job, xpc_object_t dictionary, const struct vn_entry *entry, bool with_network) {
  const struct key *key = find(entry->key, entry->key_length);
  uint32_t version = vn_mac_version();
  if (!key || !(key->use & GIVEN)) return refuse(job, entry, "there is no such option");
  if (with_network && !(key->use & ON_NETWORK)) {
    if (key->symbol == &vmnet_operation_mode_key && entry->type == VN_NUMBER) return VN_OK; /* nic.c compared them */
    return refuse(job, entry, "an interface on a network cannot choose it");
  }
  /* A Mac whose version cannot be told takes what it has a symbol for. */
  if (version ? version < key->since : !key->symbol) return refuse_version(job, key);
  return put(job, dictionary, key, entry);
}

/* What vmnet would refuse with a bare number, or silently ignore. */
static uint32_t check(struct vn_job *job, const uint8_t *options, uint32_t length, bool with_network) {
  uint64_t mode = vn_list_number(options, length, "vmnet_operation_mode", 0);
  bool checksum = vn_list_number(options, length, "vmnet_enable_checksum_offload", 0);
  bool virtio = vn_list_number(options, length, "vmnet_enable_virtio_header", 0);
  if (!with_network && (mode < VMNET_HOST_MODE || mode > VMNET_BRIDGED_MODE))
    return vn_fail(job, VN_BAD_OPTION, "vmnet_operation_mode", mode ? "there is no such mode" : "it is missing");
  if (checksum && virtio)
    return vn_fail(job, VN_BAD_OPTION, "vmnet_enable_virtio_header", "it excludes vmnet_enable_checksum_offload");
  return VN_OK;
}

uint32_t vn_mac_description(struct vn_job *job, const uint8_t *options, uint32_t length, bool with_network,
                            xpc_object_t *out) {
  xpc_object_t dictionary = xpc_dictionary_create(NULL, NULL, 0);
  struct vn_reader reader;
  struct vn_entry entry;
  if (!dictionary) return vn_fail(job, VN_NO_MEMORY, NULL, "memory ran out");
  uint32_t status = VN_OK;
  vn_list_read(&reader, options, length);
  while (status == VN_OK && vn_list_next(&reader, &entry)) status = add(job, dictionary, &entry, with_network);
  if (status == VN_OK) status = check(job, options, length, with_network);
  if (status == VN_OK) *out = dictionary;
  else xpc_release(dictionary);
  return status;
}

/* Parameters. */

#define DEPTH 3 /* of dictionaries in dictionaries: vmnet's own are flat */

static void take_all(xpc_object_t dictionary, struct vn_writer *out, int depth);

static void take(const char *name, xpc_object_t value, struct vn_writer *out, int depth) {
  xpc_type_t type = xpc_get_type(value);
  if (type == XPC_TYPE_BOOL) {
    vn_write_number(out, name, xpc_bool_get_value(value));
  } else if (type == XPC_TYPE_UINT64) {
    vn_write_number(out, name, xpc_uint64_get_value(value));
  } else if (type == XPC_TYPE_INT64) {
    vn_write_number(out, name, (uint64_t)xpc_int64_get_value(value));
  } else if (type == XPC_TYPE_STRING) {
    const char *text = xpc_string_get_string_ptr(value);
    vn_write_text(out, name, text ? text : "");
  } else if (type == XPC_TYPE_UUID) {
    vn_write_bytes(out, name, xpc_uuid_get_bytes(value), 16);
  } else if (type == XPC_TYPE_DATA) {
    size_t length = xpc_data_get_length(value);
    vn_write_bytes(out, name, xpc_data_get_bytes_ptr(value), length > 65536 ? 65536 : (uint32_t)length);
  } else if (depth && (type == XPC_TYPE_DICTIONARY || type == XPC_TYPE_ARRAY)) {
    uint32_t mark = vn_write_begin(out, name);
    if (type == XPC_TYPE_DICTIONARY) take_all(value, out, depth - 1);
    size_t count = type == XPC_TYPE_ARRAY ? xpc_array_get_count(value) : 0;
    for (size_t i = 0; i < count && i < 256; i++) take("item", xpc_array_get_value(value, i), out, depth - 1);
    vn_write_end(out, mark);
  } else {
    vn_write_bytes(out, name, NULL, 0); /* no form of ours for it, but it is there */
  }
}

static void take_all(xpc_object_t dictionary, struct vn_writer *out, int depth) {
  xpc_dictionary_apply(dictionary, ^bool(const char *said_key, xpc_object_t value) {
    const char *name = said_key;
    for (size_t i = 0; i < KEYS; i++)
      if (strcmp(said(&keys[i]), said_key) == 0) name = keys[i].name;
    size_t length = strlen(name);
    if (length > 0 && length < 256) take(name, value, out, depth);
    return true;
  });
}

void vn_mac_parameters(xpc_object_t dictionary, struct vn_writer *out) {
  if (dictionary && xpc_get_type(dictionary) == XPC_TYPE_DICTIONARY) take_all(dictionary, out, DEPTH);
}
