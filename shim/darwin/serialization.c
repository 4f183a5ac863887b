// SPDX-License-Identifier: MIT
/*
 * serialization.c - the ways to a network that this process has already: vmnet's serialization, and a pointer of
 * somebody
 * else's. Each makes one more object of the same network, which has a member of its own and gives its own reference
 * back.
 *
 * A serialization is an opaque object of XPC, which only another process with the right to could use; it is kept, not
 * read.
 * vmnet does not tell a network's mode, rules or whether DHCP is on: a serialization remembers what its network knew.
 */
#include <stdlib.h>

#include "calls.h"
#include "embedded/options.h"
#include "network.h"
#include "system.h"
#include "vmnet_shim.h"

struct serialization {
  struct vn_object object; /* first */
  xpc_object_t copy;
  struct vn_mac_network *network; /* counted, for what is known of it; it may have ended */
};

static void serialization_close(struct vn_object *object) { vn_release(object); }

static void serialization_destroy(struct vn_object *object) {
  struct serialization *it = (struct serialization *)object;
  xpc_release(it->copy);
  vn_release(&it->network->object);
  free(it);
}

const struct vn_class vn_mac_serialization_class = {
    .kind = VN_SERIALIZATION, .close = serialization_close, .destroy = serialization_destroy};

uint32_t vn_mac_network_serialize(struct vn_job *job) {
  struct vn_mac_network *network = (struct vn_mac_network *)job->target;
  struct serialization *it = calloc(1, sizeof *it);
  if (it == NULL) return vn_fail(job, VN_NO_MEMORY, NULL, "memory ran out");
  vmnet_return_t answer = VMNET_FAILURE;
  bool entered = vn_mac_network_enter(network);
  if (entered) it->copy = vmnet_network_copy_serialization(network->ref, &answer);
  if (entered) vn_mac_network_leave(network);
  if (it->copy == NULL) {
    free(it);
    return entered ? vn_mac_fail(job, answer, "vmnet did not copy the network")
                   : vn_fail(job, VN_GONE, NULL, "The network ended");
  }
  it->network = network;
  vn_retain(&network->object);
  vn_object_init(&it->object, &vn_mac_serialization_class, job->doorbell);
  job->made = &it->object;
  return VN_OK;
}

static vmnet_network_ref from_serialization(const struct vn_mac_origin *origin, vmnet_return_t *answer) {
  return vmnet_network_create_with_serialization((xpc_object_t)(uintptr_t)origin->from, answer);
}

uint32_t vn_mac_network_deserialize(struct vn_job *job) {
  struct serialization *it = (struct serialization *)job->target;
  struct vn_network_options options;
  vn_network_options_init(&options);
  options.mode = it->network->mode;
  options.mtu = it->network->mtu;
  options.dhcp = it->network->dhcp;
  options.base = it->network->base;
  options.bits = it->network->bits;
  options.gateway = it->network->gateway;
  options.forwards = it->network->forwards; /* lent, both */
  options.reservations = it->network->reservations;
  const struct vn_mac_origin origin = {&options, false, from_serialization, it->copy};
  return vn_mac_network_make(job, &origin);
}

static vmnet_network_ref from_pointer(const struct vn_mac_origin *origin, vmnet_return_t *answer) {
  *answer = VMNET_SUCCESS;
  return (vmnet_network_ref)(uintptr_t)(VN_BROKEN(58) ? origin->from : CFRetain(origin->from));
}

/* Only what is no pointer at all can be told from a good one. */
uint32_t vn_mac_network_from_pointer(struct vn_job *job) {
  struct vn_network_options options;
  uint64_t address = vn_list_number(job->options, job->options_length, "address", 0);
  if (!vn_mac_has_networks()) return vn_mac_fail_version(job, NULL, "26");
  if (address == 0 || address % sizeof(void *) != 0 || address > UINTPTR_MAX)
    return vn_fail(job, VN_BAD_OPTION, "address", "it takes the address of a vmnet_network_ref");
  vn_network_options_init(&options);
  options.mode = VN_MODE_SHARED; /* unless its member interface tells otherwise */
  const struct vn_mac_origin origin = {&options, false, from_pointer, (const void *)(uintptr_t)address};
  return vn_mac_network_make(job, &origin);
}
