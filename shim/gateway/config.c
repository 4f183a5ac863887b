// SPDX-License-Identifier: MIT
/*
 * config.c - reads the configure message field by field, each one against those before it.
 *
 * The order in read_fields() matters: addresses are checked against the subnet, reservations also against the gateway's
 * address, and the first field that is wrong is the one that is named. What is missing gets its default here, except
 * mode and subnet, which have to be given. Host mode switches off DNS, NAT and router advertisements, whatever the
 * message says.
 */
#include "config.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "list.h"
#include "vmnet_shim.h"

#define MODE_HOST 1000
#define MODE_SHARED 1001
#define IPV6_MINIMUM_MTU 1280 /* RFC 8200; below it there is no IPv6, and libslirp writes past its buffers */

bool parse_ipv4(const char *text, uint32_t *address) {
  struct in_addr parsed;
  if (inet_pton(AF_INET, text, &parsed) != 1) {
    return false;
  }
  *address = ntohl(parsed.s_addr);
  return true;
}

struct source {
  const uint8_t *data;
  uint32_t length;
};

static bool flag(struct source from, const char *key) { return vn_list_number(from.data, from.length, key, 1) != 0; }

static bool text(struct source from, const char *key, char *out, size_t capacity) {
  return vn_list_text(from.data, from.length, key, out, capacity);
}

/* An address under a key that may be missing. */
static bool address(struct source from, const char *key, uint32_t *out) {
  char buffer[INET_ADDRSTRLEN];
  struct vn_entry entry;
  return !vn_list_find(from.data, from.length, VN_TEXT, key, &entry) ||
         (vn_entry_text(&entry, buffer, sizeof buffer) && parse_ipv4(buffer, out));
}

static bool read_subnet(struct source from, struct config *config) {
  char buffer[INET_ADDRSTRLEN + 3], end;
  unsigned bits;
  if (!text(from, "ipv4Subnet", buffer, sizeof buffer)) {
    return false;
  }
  char *slash = strchr(buffer, '/');
  if (!slash || sscanf(slash + 1, "%2u%c", &bits, &end) != 1 || bits < 8 || bits > 30) {
    return false;
  }
  *slash = 0;
  config->mask = UINT32_MAX << (32 - bits);
  if (!parse_ipv4(buffer, &config->network)) {
    return false;
  }
  config->network &= config->mask;
  return true;
}

static bool read_prefix(struct source from, struct config *config) {
  char buffer[INET6_ADDRSTRLEN + 4];
  struct vn_entry entry;
  if (!vn_list_find(from.data, from.length, VN_TEXT, "ipv6Prefix", &entry)) {
    return true;
  }
  char *slash = vn_entry_text(&entry, buffer, sizeof buffer) ? strchr(buffer, '/') : NULL;
  if (!slash || strcmp(slash, "/64") != 0) {
    return false;
  }
  *slash = 0;
  if (inet_pton(AF_INET6, buffer, config->prefix6) != 1 || config->prefix6[0] == 0xff) {
    return false;
  }
  memset(config->prefix6 + 8, 0, 8);
  config->ipv6 = config->mtu >= IPV6_MINIMUM_MTU;
  return true;
}

const char *reservation_read(const struct config *config, const uint8_t *list, uint32_t length,
                             struct reservation *reservation) {
  struct vn_entry mac;
  *reservation = (struct reservation){.address = 0};
  if (!vn_list_find(list, length, VN_BYTES, "mac", &mac) || mac.length != 6 || (mac.value[0] & 1)) {
    return "mac";
  }
  memcpy(reservation->mac, mac.value, 6);
  bool good = address((struct source){list, length}, "address", &reservation->address) &&
              config_assignable(config, reservation->address);
  return good ? NULL : "address";
}

static bool read_reservation(const struct vn_entry *list, struct config *config) {
  struct reservation *reservation = &config->reservations[config->reservation_count];
  if (reservation_read(config, list->value, list->length, reservation)) {
    return false;
  }
  for (uint32_t i = 0; i < config->reservation_count; i++) {
    if (config->reservations[i].address == reservation->address ||
        memcmp(config->reservations[i].mac, reservation->mac, 6) == 0) {
      return false;
    }
  }
  config->reservation_count++;
  return true;
}

static bool read_reservations(struct source from, struct config *config) {
  struct vn_reader reader;
  struct vn_entry entry;
  uint32_t count = 0;
  vn_list_read(&reader, from.data, from.length);
  while (vn_list_next(&reader, &entry)) {
    count += vn_entry_is(&entry, VN_LIST, "reservation");
  }
  config->reservations = calloc(count + 1, sizeof *config->reservations);
  vn_list_read(&reader, from.data, from.length);
  while (config->reservations && vn_list_next(&reader, &entry)) {
    if (vn_entry_is(&entry, VN_LIST, "reservation") && !read_reservation(&entry, config)) {
      return false;
    }
  }
  return config->reservations != NULL;
}

/* Answers the field that is wrong, or NULL. */
static const char *read_fields(struct source from, struct config *config) {
  uint64_t mode = vn_list_number(from.data, from.length, "mode", 0);
  uint64_t mtu = vn_list_number(from.data, from.length, "mtu", 1500);
  uint64_t seconds = vn_list_number(from.data, from.length, "leaseSeconds", 86400);
  if (mode != MODE_HOST && mode != MODE_SHARED) {
    return "mode";
  }
  if (mtu < 68 || mtu > 65535) {
    return "mtu";
  }
  if (seconds < 1 || seconds > UINT32_MAX) {
    return "leaseSeconds";
  }
  config->shared = mode == MODE_SHARED;
  config->mtu = (uint32_t)mtu;
  config->lease_seconds = (uint32_t)seconds;
  config->dhcp = flag(from, "dhcp");
  config->dns = config->shared && flag(from, "dnsProxy");
  config->nat44 = config->shared && flag(from, "nat44");
  config->nat66 = config->shared && flag(from, "nat66");
  config->advertise = config->shared && flag(from, "routerAdvertisement");
  if (!read_subnet(from, config)) {
    return "ipv4Subnet";
  }
  uint32_t last = config->network | ~config->mask;
  config->gateway = config->network + 1;
  if (!address(from, "ipv4Gateway", &config->gateway) || !config_inside(config, config->gateway) ||
      config->gateway == config->network || config->gateway == last) {
    return "ipv4Gateway";
  }
  config->dhcp_start = config->network + 1;
  config->dhcp_end = last - 1;
  if (!address(from, "dhcpStart", &config->dhcp_start) || !config_inside(config, config->dhcp_start)) {
    return "dhcpStart";
  }
  if (!address(from, "dhcpEnd", &config->dhcp_end) || !config_inside(config, config->dhcp_end) ||
      config->dhcp_end < config->dhcp_start) {
    return "dhcpEnd";
  }
  return !read_prefix(from, config)         ? "ipv6Prefix"
         : !read_reservations(from, config) ? "reservation"
                                            : NULL;
}

bool config_read(struct config *config, const uint8_t *message, uint32_t length, struct problem *problem) {
  memset(config, 0, sizeof *config);
  const char *field = read_fields((struct source){message, length}, config);
  if (field) {
    *problem = (struct problem){.status = VN_BAD_OPTION, .field = field, .text = "Cannot configure the gateway"};
  }
  return !field;
}

void config_free(struct config *config) {
  free(config->reservations);
  config->reservations = NULL;
}
