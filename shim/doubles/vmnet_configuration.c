// SPDX-License-Identifier: MIT
/*
 * vmnet_configuration.c - what a network object of macOS 26 shall be like, with the framework's defaults and its traps.
 *
 * Theory of operation. The setters only note. One that takes an address looks at its form and no further: as on a Mac a
 * subnet whose gateway is the address of the subnet itself is accepted here, and fails when an interface starts.
 */
#ifndef DOUBLE_OLD
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmnet_double.h"

static void destroy(void *object) {
  struct vmnet_network_configuration *configuration = object;
  while (configuration->rules != NULL) {
    struct vd_rule *rule = configuration->rules;
    configuration->rules = rule->next;
    free(rule);
  }
  vn_writer_free(&configuration->reservations);
  double_bury(configuration);
}

static struct vmnet_network_configuration *check(vmnet_network_configuration_ref configuration, const char *caller) {
  if (!double_macos(26, 0)) double_die("%s: macOS %s does not have it", caller, double_get("macos"));
  double_cf_check(&configuration->cf, "configurations", caller);
  return configuration;
}

vmnet_network_configuration_ref vmnet_network_configuration_create(vmnet_mode_t mode, vmnet_return_t *status) {
  static const char name[] = "vmnet_network_configuration_create";
  if (!double_macos(26, 0)) double_die("%s: macOS %s does not have it", name, double_get("macos"));
  bool good = mode == VMNET_HOST_MODE || mode == VMNET_SHARED_MODE;
  if (status != NULL) *status = good ? VMNET_SUCCESS : VMNET_INVALID_ARGUMENT;
  if (!good) return NULL;
  struct vmnet_network_configuration *configuration = calloc(1, sizeof *configuration);
  if (configuration == NULL) double_die("no memory");
  double_cf_init(&configuration->cf, "configurations", destroy);
  configuration->place.mode = mode;
  configuration->place.mtu = 1500;
  configuration->nat44 = configuration->nat66 = configuration->dhcp = true;
  configuration->dns_proxy = configuration->advertisement = true;
  return configuration;
}

vmnet_return_t vmnet_network_configuration_set_external_interface(vmnet_network_configuration_ref configuration,
                                                                  const char *name) {
  check(configuration, "vmnet_network_configuration_set_external_interface");
  if (configuration->place.mode != VMNET_SHARED_MODE || name == NULL || !vd_is_shared_interface(name))
    return VMNET_INVALID_ARGUMENT;
  snprintf(configuration->external, sizeof configuration->external, "%s", name);
  return VMNET_SUCCESS;
}

void vmnet_network_configuration_disable_nat44(vmnet_network_configuration_ref configuration) {
  check(configuration, "vmnet_network_configuration_disable_nat44")->nat44 = false;
}

void vmnet_network_configuration_disable_nat66(vmnet_network_configuration_ref configuration) {
  check(configuration, "vmnet_network_configuration_disable_nat66")->nat66 = false;
}

void vmnet_network_configuration_disable_dhcp(vmnet_network_configuration_ref configuration) {
  check(configuration, "vmnet_network_configuration_disable_dhcp")->dhcp = false;
}

void vmnet_network_configuration_disable_dns_proxy(vmnet_network_configuration_ref configuration) {
  check(configuration, "vmnet_network_configuration_disable_dns_proxy")->dns_proxy = false;
}

void vmnet_network_configuration_disable_router_advertisement(vmnet_network_configuration_ref configuration) {
  check(configuration, "vmnet_network_configuration_disable_router_advertisement")->advertisement = false;
}

vmnet_return_t vmnet_network_configuration_set_ipv4_subnet(vmnet_network_configuration_ref configuration,
                                                           const struct in_addr *gateway, const struct in_addr *mask) {
  check(configuration, "vmnet_network_configuration_set_ipv4_subnet");
  if (gateway == NULL || mask == NULL) return VMNET_INVALID_ARGUMENT;
  uint32_t address = ntohl(gateway->s_addr), bits = vd_mask_bits(ntohl(mask->s_addr));
  if (bits == 0 || !vd_is_private(address)) return VMNET_INVALID_ARGUMENT;
  uint32_t rest = address & ~ntohl(mask->s_addr);
  if (rest == ~ntohl(mask->s_addr)) return VMNET_INVALID_ARGUMENT;
  configuration->subnet_given = true;
  configuration->subnet_bad = rest == 0;
  configuration->place.bits = bits;
  configuration->place.gateway = address;
  configuration->place.end = (address | ~ntohl(mask->s_addr)) - 1;
  return VMNET_SUCCESS;
}

vmnet_return_t vmnet_network_configuration_set_ipv6_prefix(vmnet_network_configuration_ref configuration,
                                                           const struct in6_addr *prefix, uint8_t length) {
  check(configuration, "vmnet_network_configuration_set_ipv6_prefix");
  static const uint8_t none[8];
  if (prefix == NULL || length != 64 || prefix->s6_addr[0] != 0xfd) return VMNET_INVALID_ARGUMENT;
  if (memcmp(prefix->s6_addr + 8, none, 8) != 0) return VMNET_INVALID_ARGUMENT;
  memcpy(configuration->place.prefix, prefix, 16);
  return VMNET_SUCCESS;
}

vmnet_return_t vmnet_network_configuration_set_mtu(vmnet_network_configuration_ref configuration, uint32_t mtu) {
  check(configuration, "vmnet_network_configuration_set_mtu");
  if (mtu < 68 || mtu > 65535) return VMNET_INVALID_ARGUMENT;
  configuration->place.mtu = mtu;
  return VMNET_SUCCESS;
}

vmnet_return_t vmnet_network_configuration_add_dhcp_reservation(vmnet_network_configuration_ref configuration,
                                                                const struct ether_addr *client,
                                                                const struct in_addr *address) {
  check(configuration, "vmnet_network_configuration_add_dhcp_reservation");
  const struct vd_place *place = &configuration->place;
  if (client == NULL || address == NULL) return VMNET_INVALID_ARGUMENT;
  uint32_t mask = place->bits != 0 ? UINT32_MAX << (32 - place->bits) : 0, number = ntohl(address->s_addr);
  if (((number ^ place->gateway) & mask) != 0 || number == place->gateway) return VMNET_INVALID_ARGUMENT;
  char text[INET_ADDRSTRLEN];
  inet_ntop(AF_INET, address, text, sizeof text);
  uint32_t mark = vn_write_begin(&configuration->reservations, "reservation");
  vn_write_bytes(&configuration->reservations, "mac", client, 6);
  vn_write_text(&configuration->reservations, "address", text);
  vn_write_end(&configuration->reservations, mark);
  return VMNET_SUCCESS;
}

vmnet_return_t vmnet_network_configuration_add_port_forwarding_rule(vmnet_network_configuration_ref configuration,
                                                                    uint8_t protocol, sa_family_t address_family,
                                                                    uint16_t internal_port, uint16_t external_port,
                                                                    const void *internal_address) {
  check(configuration, "vmnet_network_configuration_add_port_forwarding_rule");
  struct vd_rule made;
  if (internal_address == NULL) return VMNET_INVALID_ARGUMENT;
  vmnet_return_t status = vd_rule_make(&made, protocol, address_family, external_port, internal_port, internal_address);
  for (const struct vd_rule *each = configuration->rules; each != NULL && status == VMNET_SUCCESS; each = each->next)
    if (each->protocol == made.protocol && each->family == made.family && each->external == made.external)
      status = VMNET_FAILURE;
  if (status != VMNET_SUCCESS) return status;
  struct vd_rule *rule = malloc(sizeof *rule);
  if (rule == NULL) double_die("no memory");
  *rule = made;
  rule->next = configuration->rules;
  configuration->rules = rule;
  return VMNET_SUCCESS;
}
#endif
