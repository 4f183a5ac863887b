// SPDX-License-Identifier: MIT
/*
 * registry.c - the networks of this process, so that equal mode and subnet mean one network and no two overlap.
 *
 * An anonymous network counts the interfaces that use it or are about to; the last one to leave takes it off the list
 * in the same breath, so nobody can join a network that is ending.
 */
#include <string.h>

#include "network.h"
#include "vmnet_shim.h"

static struct vn_lock registry;
static void (*first_command)(struct vn_network *, struct vn_command *); /* of a network that is made here */
static struct vn_network *networks;
static vn_atomic_u32 alive; /* threads, so also networks that are off the list but not gone */

int vn_registry_init(void (*first)(struct vn_network *, struct vn_command *)) {
  first_command = first;
  return vn_lock_init(&registry);
}

static bool overlaps(uint32_t base, uint32_t bits) {
  for (const struct vn_network *each = networks; each != NULL; each = each->next_known) {
    uint32_t shorter = each->options.bits < bits ? each->options.bits : bits;
    bool theirs = each->options.bits == 0 || !each->owner_process;
    if (!theirs && ((each->options.base ^ base) & vn_mask(shorter)) == 0) return true;
  }
  return false;
}

/* 192.168.64.0/24 and up for shared networks, 192.168.128.0/24 and up for host networks. */
static uint32_t choose_subnet(struct vn_network_options *options, struct vn_refusal *why) {
  uint32_t first = options->mode == VN_MODE_SHARED ? 64 : 128;
  for (uint32_t i = first; i < first + 64; i++) {
    uint32_t base = 0xc0a80000u | i << 8;
    if (overlaps(base, 24)) continue;
    options->base = base;
    options->bits = 24;
    return vn_network_options_place(options, why);
  }
  return vn_refuse(why, VN_IN_USE, "ipv4Subnet", "all default subnets are in use");
}

static bool same(const struct vn_network *network, const struct vn_network_options *options) {
  const struct vn_network_options *has = &network->options;
  if (!network->anonymous || has->mode != options->mode || has->identified != options->identified) return false;
  if (options->identified) return memcmp(has->identifier, options->identifier, 16) == 0;
  if (options->bits == 0) return network->defaulted;
  return has->base == options->base && has->bits == options->bits;
}

/* Under the lock: makes the network and puts it on the list. */
static uint32_t create(struct vn_network_options *options, bool anonymous, struct vn_network **out,
                       struct vn_refusal *why) {
  bool defaulted = options->bits == 0, subnet = !options->identified || options->bits != 0;
  uint32_t status = VN_OK;
  if (subnet && defaulted)
    status = choose_subnet(options, why);
  else if (subnet && overlaps(options->base, options->bits))
    status = vn_refuse(why, VN_IN_USE, "ipv4Subnet", "the subnet overlaps a network of this process");
  if (status != VN_OK) return status;
  vn_atomic_add(&alive, 1);
  status = vn_network_new(options, first_command, out);
  if (status != VN_OK) {
    vn_atomic_add(&alive, -1);
    return vn_refuse(why, status, NULL, "no memory, thread or descriptor for a network");
  }
  struct vn_network *network = *out;
  network->anonymous = anonymous;
  network->defaulted = anonymous && defaulted;
  network->owner_process = network->known = true;
  network->users = anonymous ? 1 : 0;
  network->next_known = networks;
  networks = network;
  return VN_OK;
}

uint32_t vn_registry_join(struct vn_network_options *options, struct vn_network **out, struct vn_refusal *why) {
  vn_lock(&registry);
  uint32_t status = VN_OK;
  struct vn_network *network = networks;
  while (network != NULL && !same(network, options)) network = network->next_known;
  if (network != NULL) {
    network->users++;
    vn_network_retain(network);
    *out = network;
  } else {
    status = create(options, true, out, why);
  }
  vn_unlock(&registry);
  return status;
}

uint32_t vn_registry_create(struct vn_network_options *options, struct vn_network **out, struct vn_refusal *why) {
  vn_lock(&registry);
  uint32_t status = create(options, false, out, why);
  vn_unlock(&registry);
  return status;
}

uint32_t vn_registry_adopt(struct vn_network_options *options,
                           void (*first)(struct vn_network *, struct vn_command *), bool owned,
                           struct vn_network **out) {
  vn_lock(&registry);
  vn_atomic_add(&alive, 1);
  uint32_t status = vn_network_new(options, first, out);
  if (status == VN_OK) {
    (*out)->known = true;
    (*out)->owner_process = owned;
    (*out)->next_known = networks;
    networks = *out;
  } else {
    vn_atomic_add(&alive, -1);
  }
  vn_unlock(&registry);
  return status;
}

static void forget(struct vn_network *network) {
  struct vn_network **at = &networks;
  while (network->known && *at != network) at = &(*at)->next_known;
  if (network->known) *at = network->next_known;
  network->known = false;
}

void vn_registry_lend(struct vn_network *network) {
  vn_lock(&registry);
  network->anonymous = true;
  network->users = 1;
  vn_unlock(&registry);
}

bool vn_registry_leave(struct vn_network *network) {
  vn_lock(&registry);
  bool last = network->anonymous && --network->users == 0;
  if (last) forget(network);
  vn_unlock(&registry);
  return last;
}

void vn_registry_forget(struct vn_network *network) {
  vn_lock(&registry);
  forget(network);
  vn_unlock(&registry);
}

void vn_registry_ended(void) { vn_atomic_add(&alive, -1); }
uint32_t vn_registry_alive(void) { return vn_atomic_load(&alive); }

void vn_registry_shutdown(void) {
  vn_lock(&registry);
  for (struct vn_network *network = networks; network != NULL; network = network->next_known)
    vn_network_stop(network, VN_STOPPED);
  vn_unlock(&registry);
}
