// SPDX-License-Identifier: MIT
/*
 * configuration.c - the options of VN_OP_NETWORK_CREATE as a configuration of vmnet.
 *
 * The options are those of the embedded network and are checked by the same code. Only what was given is set, so that
 * vmnet's own defaults hold: everything on, a free /24 of 192.168.0.0/16, a random prefix, MTU 1500.
 */
#include <arpa/inet.h>
#include <string.h>

#include "calls.h"
#include "embedded/options.h"
#include "embedded/rules.h"
#include "network.h"
#include "system.h"
#include "vmnet_shim.h"

bool vn_mac_has_networks(void) {
  return vn_mac_has(vmnet_network_configuration_create) &&
         vn_mac_has(vmnet_network_configuration_set_external_interface) &&
         vn_mac_has(vmnet_network_configuration_disable_nat44) &&
         vn_mac_has(vmnet_network_configuration_disable_nat66) &&
         vn_mac_has(vmnet_network_configuration_disable_dhcp) &&
         vn_mac_has(vmnet_network_configuration_disable_dns_proxy) &&
         vn_mac_has(vmnet_network_configuration_disable_router_advertisement) &&
         vn_mac_has(vmnet_network_configuration_set_ipv4_subnet) &&
         vn_mac_has(vmnet_network_configuration_set_ipv6_prefix) &&
         vn_mac_has(vmnet_network_configuration_set_mtu) &&
         vn_mac_has(vmnet_network_configuration_add_dhcp_reservation) &&
         vn_mac_has(vmnet_network_configuration_add_port_forwarding_rule) &&
         vn_mac_has(vmnet_network_create) &&
         vn_mac_has(vmnet_network_create_with_serialization) &&
         vn_mac_has(vmnet_network_copy_serialization) &&
         vn_mac_has(vmnet_network_get_ipv4_subnet) &&
         vn_mac_has(vmnet_network_get_ipv6_prefix) &&
         vn_mac_has(vmnet_interface_start_with_network);
}

static bool given(const struct vn_job *job, enum vn_type type, const char *key) {
  struct vn_entry entry;
  return vn_list_find(job->options, job->options_length, type, key, &entry);
}

/* What an embedded network takes and vmnet does not: its own values would be used without a word. */
static uint32_t refuse_missing(struct vn_job *job) {
  static const char why[] = "vmnet chooses it: the range is the whole subnet, a lease lasts a day";
  if (given(job, VN_TEXT, "dhcpStart")) return vn_fail(job, VN_UNSUPPORTED, "dhcpStart", why);
  if (given(job, VN_TEXT, "dhcpEnd")) return vn_fail(job, VN_UNSUPPORTED, "dhcpEnd", why);
  return given(job, VN_NUMBER, "leaseSeconds") ? vn_fail(job, VN_UNSUPPORTED, "leaseSeconds", why) : VN_OK;
}

uint32_t vn_mac_network_options(struct vn_job *job, struct vn_network_options *out) {
  struct vn_writer rest = {.data = NULL};
  struct vn_reader reader;
  struct vn_entry entry;
  struct vn_refusal why;
  vn_network_options_init(out);
  uint32_t status = refuse_missing(job);
  if (status != VN_OK) return status;
  vn_list_read(&reader, job->options, job->options_length);
  bool named = true;
  while (vn_list_next(&reader, &entry))
    if (!vn_key_is(&entry, "externalInterface")) vn_write_entry(&rest, &entry);
    else named = named && entry.type == VN_TEXT;
  status = rest.failed ? vn_refuse(&why, VN_NO_MEMORY, NULL, "memory ran out")
           : !named    ? vn_refuse(&why, VN_BAD_OPTION, "externalInterface", "it takes the name of an interface")
                       : vn_network_options_read(out, rest.data, rest.length, &why);
  vn_writer_free(&rest);
  return status == VN_OK ? VN_OK : vn_fail_refused(job, &why);
}

/* A setter's answer as a status. Names the option beside what vmnet says. */
static uint32_t took(struct vn_job *job, vmnet_return_t status, const char *field) {
  if (status == VMNET_SUCCESS) return VN_OK;
  vn_write_text(&job->result, "field", field);
  return vn_mac_fail(job, status, "vmnet does not take it");
}

static uint32_t set_external(struct vn_job *job, vmnet_network_configuration_ref to, uint32_t mode) {
  struct vn_entry entry;
  char name[16]; /* IFNAMSIZ */
  if (!vn_list_find(job->options, job->options_length, VN_TEXT, "externalInterface", &entry)) return VN_OK;
  if (mode == VN_MODE_SHARED && vn_entry_text(&entry, name, sizeof name) && name[0])
    return took(job, vmnet_network_configuration_set_external_interface(to, name), "externalInterface");
  return vn_fail(job, VN_BAD_OPTION, "externalInterface", "it takes the name of an interface, and mode shared");
}

static uint32_t set_addresses(struct vn_job *job, vmnet_network_configuration_ref to,
                              const struct vn_network_options *from) {
  /* With the subnet's own address instead of the gateway's the call succeeds, and the start fails later. */
  struct in_addr gateway = {.s_addr = htonl(VN_BROKEN(57) ? from->base : from->gateway)};
  struct in_addr mask = {.s_addr = htonl(vn_mask(from->bits))};
  uint32_t status = VN_OK;
  if (from->bits != 0)
    status = took(job, vmnet_network_configuration_set_ipv4_subnet(to, &gateway, &mask), "ipv4Subnet");
  if (status != VN_OK || !given(job, VN_TEXT, "ipv6Prefix")) return status;
  struct in6_addr prefix;
  memset(&prefix, 0, sizeof prefix);
  memcpy(&prefix, from->prefix, sizeof from->prefix);
  return took(job, vmnet_network_configuration_set_ipv6_prefix(to, &prefix, 64), "ipv6Prefix");
}

static uint32_t add_reservation(struct vn_job *job, vmnet_network_configuration_ref to, const struct vn_entry *list) {
  struct vn_entry bytes;
  struct ether_addr client;
  struct in_addr address;
  char text[VN_ADDRESS_TEXT];
  /* Both were checked by vn_network_options_read(). */
  if (!vn_list_find(list->value, list->length, VN_BYTES, "mac", &bytes)) return VN_OK;
  if (!vn_list_text(list->value, list->length, "address", text, sizeof text)) return VN_OK;
  memcpy(&client, bytes.value, sizeof client);
  inet_pton(AF_INET, text, &address);
  return took(job, vmnet_network_configuration_add_dhcp_reservation(to, &client, &address), "reservation");
}

static uint32_t add_forward(struct vn_job *job, vmnet_network_configuration_ref to, const struct vn_entry *list) {
  struct vn_forward rule;
  struct vn_refusal why;
  uint8_t address[16];
  if (vn_forward_read(&rule, list->value, list->length, &why) != VN_OK) return VN_OK; /* was checked as well */
  sa_family_t family = rule.family == 6 ? AF_INET6 : AF_INET;
  inet_pton(family, rule.address, address);
  /* The internal port comes first here; an interface's rules have the external one first. */
  vmnet_return_t status = vmnet_network_configuration_add_port_forwarding_rule(
      to, (uint8_t)rule.protocol, family, (uint16_t)rule.internal_port, (uint16_t)rule.external_port, address);
  return took(job, status, "forward");
}

static uint32_t add_lists(struct vn_job *job, vmnet_network_configuration_ref to,
                          const struct vn_network_options *from) {
  struct vn_reader reader;
  struct vn_entry entry;
  uint32_t status = VN_OK;
  vn_list_read(&reader, from->reservations.data, from->reservations.length);
  while (status == VN_OK && vn_list_next(&reader, &entry)) status = add_reservation(job, to, &entry);
  vn_list_read(&reader, from->forwards.data, from->forwards.length);
  while (status == VN_OK && vn_list_next(&reader, &entry)) status = add_forward(job, to, &entry);
  return status;
}

uint32_t vn_mac_configuration(struct vn_job *job, const struct vn_network_options *options,
                              vmnet_network_configuration_ref *out) {
  vmnet_return_t answer = VMNET_FAILURE;
  vmnet_network_configuration_ref it = vmnet_network_configuration_create(options->mode, &answer);
  if (it == NULL) return vn_mac_fail(job, answer, "vmnet did not make a network configuration");
  if (!options->nat44) vmnet_network_configuration_disable_nat44(it);
  if (!options->nat66) vmnet_network_configuration_disable_nat66(it);
  if (!options->dhcp) vmnet_network_configuration_disable_dhcp(it);
  if (!options->dns_proxy) vmnet_network_configuration_disable_dns_proxy(it);
  if (!options->router_advertisement) vmnet_network_configuration_disable_router_advertisement(it);
  uint32_t status = set_external(job, it, options->mode);
  if (status == VN_OK) status = set_addresses(job, it, options);
  if (status == VN_OK && given(job, VN_NUMBER, "mtu"))
    status = took(job, vmnet_network_configuration_set_mtu(it, options->mtu), "mtu");
  if (status == VN_OK) status = add_lists(job, it, options);
  if (status == VN_OK)
    *out = it;
  else
    CFRelease(it);
  return status;
}
