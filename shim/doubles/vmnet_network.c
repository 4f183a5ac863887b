// SPDX-License-Identifier: MIT
/*
 * vmnet_network.c - network objects of macOS 26.
 *
 * Theory of operation. A network lies somewhere from its creation on, and keeps its subnet until its last reference is
 * gone; each interface on it holds one until right before the completion of its stop. When its last interface stops,
 * the network stops with it: it comes back with the next interface, but without its rules and reservations, and nobody
 * is told. A serialization is a dictionary with a number that means something in this process only.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmnet_double.h"
#include "xpc_more.h"

vmnet_return_t vd_network_enter(struct vmnet_network *network) {
  pthread_mutex_lock(&network->lock);
  bool good = network->segment != NULL;
  if (good) network->members++;
  pthread_mutex_unlock(&network->lock);
  if (good) CFRetain(network);
  return good ? VMNET_SUCCESS : VMNET_FAILURE;
}

void vd_network_leave(struct vmnet_network *network) {
  pthread_mutex_lock(&network->lock);
  if (--network->members == 0 && network->extras.length > 0) {
    vn_writer_free(&network->extras);
    network->extras = (struct vn_writer){.data = NULL};
    vd_rules_forget(network);
    vd_segment_lapse(network);
  }
  pthread_mutex_unlock(&network->lock);
  CFRelease(network);
}

#ifndef DOUBLE_OLD
static pthread_mutex_t networks_lock = PTHREAD_MUTEX_INITIALIZER;
static struct vmnet_network *networks;

static struct vmnet_network *check(struct vmnet_network *network, const char *caller) {
  double_cf_check(&network->cf, "networks", caller);
  return network;
}

static void destroy(void *object) {
  struct vmnet_network *network = object;
  pthread_mutex_lock(&networks_lock);
  struct vmnet_network **at = &networks;
  while (*at != network) at = &(*at)->next;
  *at = network->next;
  pthread_mutex_unlock(&networks_lock);
  if (network->segment != NULL) vd_segment_leave(network->segment);
  vd_rules_forget(network);
  vn_writer_free(&network->options);
  vn_writer_free(&network->extras);
  double_bury(network);
}

static void describe(struct vmnet_network *network, const struct vmnet_network_configuration *configuration) {
  struct vn_writer *out = &network->options;
  char text[64];
  network->place = configuration->place;
  network->bad = configuration->subnet_bad;
  memcpy(network->external, configuration->external, sizeof network->external);
  vn_write_number(out, "mode", configuration->place.mode);
  vn_write_number(out, "mtu", configuration->place.mtu);
  vn_write_number(out, "nat44", configuration->nat44);
  vn_write_number(out, "nat66", configuration->nat66);
  vn_write_number(out, "dhcp", configuration->dhcp);
  vn_write_number(out, "dnsProxy", configuration->dns_proxy);
  vn_write_number(out, "routerAdvertisement", configuration->advertisement);
  if (configuration->subnet_given) {
    vd_text_of_ipv4(network->place.gateway & UINT32_MAX << (32 - network->place.bits), text);
    sprintf(text + strlen(text), "/%u", network->place.bits);
    vn_write_text(out, "ipv4Subnet", text);
  }
  if (configuration->place.prefix[0] != 0) {
    inet_ntop(AF_INET6, configuration->place.prefix, text, sizeof text);
    vn_write_text(out, "ipv6Prefix", strcat(text, "/64"));
  }
  struct vn_reader reader;
  struct vn_entry entry;
  vn_list_read(&reader, configuration->reservations.data, configuration->reservations.length);
  while (vn_list_next(&reader, &entry)) vn_write_entry(&network->extras, &entry);
  for (const struct vd_rule *rule = configuration->rules; rule != NULL; rule = rule->next) {
    uint32_t mark = vn_write_begin(&network->extras, "forward");
    vd_rule_write(&network->extras, rule);
    vn_write_end(&network->extras, mark);
  }
}

static vmnet_return_t bring_up(struct vmnet_network *network, const struct vmnet_network_configuration *configuration) {
  if (network->bad) return VMNET_SUCCESS; /* for now */
  /* The daemon's networks have their gateway at .1, so another place for it is a thing of the hub. */
  uint32_t rest = network->place.bits != 0 ? network->place.gateway & ~(UINT32_MAX << (32 - network->place.bits)) : 1;
  if (rest != 1 && !double_is("wire", "hub")) return VMNET_FAILURE;
  for (const struct vd_rule *rule = configuration->rules; rule != NULL; rule = rule->next)
    if (!vd_rule_claim(rule, network)) return VMNET_FAILURE;
  return vd_segment_of_network(network);
}

vmnet_network_ref vmnet_network_create(vmnet_network_configuration_ref configuration, vmnet_return_t *status) {
  static uint32_t numbers;
  vmnet_return_t ignored;
  if (status == NULL) status = &ignored;
  if (!double_macos(26, 0)) double_die("vmnet_network_create: macOS %s does not have it", double_get("macos"));
  double_cf_check(&configuration->cf, "configurations", "vmnet_network_create");
  vd_slow("call");
  *status = double_verb("call", "fail") ? (vmnet_return_t)double_number("call") : VMNET_SUCCESS;
  if (*status == VMNET_SUCCESS && !vd_allowed()) *status = VMNET_MEM_FAILURE; /* so it says, on a Mac */
  if (*status != VMNET_SUCCESS) return NULL;
  struct vmnet_network *network = calloc(1, sizeof *network);
  if (network == NULL) double_die("no memory");
  pthread_mutex_init(&network->lock, NULL);
  describe(network, configuration);
  *status = bring_up(network, configuration);
  if (*status != VMNET_SUCCESS) {
    vd_rules_forget(network);
    vn_writer_free(&network->options);
    vn_writer_free(&network->extras);
    free(network);
    return NULL;
  }
  double_cf_init(&network->cf, "networks", destroy);
  pthread_mutex_lock(&networks_lock);
  network->number = ++numbers;
  network->next = networks;
  networks = network;
  pthread_mutex_unlock(&networks_lock);
  return network;
}

xpc_object_t vmnet_network_copy_serialization(vmnet_network_ref network, vmnet_return_t *status) {
  check(network, "vmnet_network_copy_serialization");
  vd_slow("call");
  bool fails = double_verb("call", "fail");
  if (status != NULL) *status = fails ? (vmnet_return_t)double_number("call") : VMNET_SUCCESS;
  if (fails) return NULL;
  xpc_object_t out = xpc_dictionary_create(NULL, NULL, 0);
  xpc_dictionary_set_uint64(out, "network", network->number);
  xpc_dictionary_set_uint64(out, "process", (uint64_t)getpid());
  return out;
}

/* One more reference to a network that has at least one. */
static struct vmnet_network *find(uint64_t number) {
  pthread_mutex_lock(&networks_lock);
  struct vmnet_network *network = networks;
  while (network != NULL && network->number != number) network = network->next;
  int refs = network != NULL ? __atomic_load_n(&network->cf.refs, __ATOMIC_ACQUIRE) : 0;
  while (refs > 0 &&
         !__atomic_compare_exchange_n(&network->cf.refs, &refs, refs + 1, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
    continue;
  pthread_mutex_unlock(&networks_lock);
  return refs > 0 ? network : NULL;
}

vmnet_network_ref vmnet_network_create_with_serialization(xpc_object_t serialization, vmnet_return_t *status) {
  vmnet_return_t ignored;
  if (status == NULL) status = &ignored;
  vd_slow("call");
  *status = double_verb("call", "fail") ? (vmnet_return_t)double_number("call") : VMNET_INVALID_ARGUMENT;
  if (double_verb("call", "fail")) return NULL;
  if (serialization == NULL || xpc_get_type(serialization) != XPC_TYPE_DICTIONARY) return NULL;
  if (xpc_dictionary_get_uint64(serialization, "process") != (uint64_t)getpid()) return NULL;
  struct vmnet_network *network = find(xpc_dictionary_get_uint64(serialization, "network"));
  *status = network != NULL ? VMNET_SUCCESS : VMNET_FAILURE;
  return network;
}

void vmnet_network_get_ipv4_subnet(vmnet_network_ref network, struct in_addr *subnet, struct in_addr *mask) {
  const struct vd_place *place = &check(network, "vmnet_network_get_ipv4_subnet")->place;
  subnet->s_addr = htonl(place->gateway); /* the framework does not mask it */
  mask->s_addr = htonl(place->bits == 0 ? 0 : UINT32_MAX << (32 - place->bits));
}

void vmnet_network_get_ipv6_prefix(vmnet_network_ref network, struct in6_addr *prefix, uint8_t *length) {
  memcpy(prefix, check(network, "vmnet_network_get_ipv6_prefix")->place.prefix, 16);
  *length = 64;
}

uint64_t double_network(void) {
  vmnet_network_configuration_ref configuration = vmnet_network_configuration_create(VMNET_HOST_MODE, NULL);
  vmnet_network_ref network = vmnet_network_create(configuration, NULL);
  CFRelease(configuration);
  return (uintptr_t)network;
}

void double_release_network(uint64_t network) { CFRelease((vmnet_network_ref)(uintptr_t)network); }
#endif
