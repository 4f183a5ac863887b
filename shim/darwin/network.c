// SPDX-License-Identifier: MIT
/*
 * network.c - a network object: made from options, from a serialization or from somebody's pointer.
 *
 * All three ways end the same: what vmnet says of the network is read back, the member starts, and the reply is
 * written. A
 * failure on the way, or nobody who wants it any more, ends the network as its stop would.
 */
#include "network.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "embedded/options.h"
#include "leases.h"
#include "system.h"
#include "vmnet_shim.h"

#define UNDO_NS 2000000000ull /* how long a failed creation waits for its own end, so that the subnet is free again */

static void network_close(struct vn_object *object) {
  vn_mac_network_end((struct vn_mac_network *)object, VN_GONE);
  vn_release(object);
}

static void network_destroy(struct vn_object *object) {
  struct vn_mac_network *network = (struct vn_mac_network *)object;
  if (network->ref != NULL) CFRelease(network->ref); /* it was never listed */
  vn_mac_leases_free(network->leases);
  vn_writer_free(&network->forwards);
  vn_writer_free(&network->reservations);
  vn_lock_destroy(&network->lock);
  free(network);
}

const struct vn_class vn_mac_network_class = {.kind = VN_NETWORK, .close = network_close, .destroy = network_destroy};

static struct vn_mac_network *network_new(void) {
  struct vn_mac_network *network = calloc(1, sizeof *network);
  struct vn_mac_leases *leases = vn_mac_leases_new();
  if (network != NULL && leases != NULL && vn_lock_init(&network->lock) == VN_OK) {
    network->leases = leases;
    return network;
  }
  free(network);
  vn_mac_leases_free(leases);
  return NULL;
}

/* vmnet tells the gateway's address as the subnet, so the subnet is what the mask leaves of it. */
static void read_back(struct vn_mac_network *network) {
  struct in_addr subnet = {.s_addr = 0}, mask = {.s_addr = 0};
  struct in6_addr prefix;
  uint32_t bits = 0;
  memset(&prefix, 0, sizeof prefix);
  vmnet_network_get_ipv4_subnet(network->ref, &subnet, &mask);
  vmnet_network_get_ipv6_prefix(network->ref, &prefix, &network->prefix_length);
  memcpy(network->prefix, &prefix, sizeof network->prefix);
  uint32_t address = ntohl(subnet.s_addr);
  if (!vn_mask_bits(ntohl(mask.s_addr), &bits)) return; /* what was asked for stays */
  vn_mac_network_place(network, VN_BROKEN(54) ? address : address & vn_mask(bits), bits);
  network->gateway = address == network->base ? network->base + 1 : address;
}

/* Starts the member. Its parameters are not the network's, but for MTU and mode. It asks for no offload; users of vmnet
 * report
 * that one interface without TSO turns it off for all that share its bridge, so guests with TSO may be slower for it:
 * not
 * verified on hardware. */
static uint32_t start_member(struct vn_job *job, struct vn_mac_network *network) {
  struct vn_mac_start start = {.network = network, .wake = vn_mac_uplink_wake, .sink = &network->waker};
  struct vn_mac_nic *member = NULL;
  uint32_t mark = job->result.length, status = vn_mac_nic_start(job, &start, &member);
  if (status != VN_OK) return status;
  uint64_t mtu = vn_list_number(job->result.data + mark, job->result.length - mark, "vmnet_mtu", network->mtu);
  network->mtu = mtu > 0 && mtu <= VN_MTU_MOST ? (uint32_t)mtu : network->mtu;
  /* Of a network that came as a pointer nothing else tells it; whether this does was not verified on hardware. */
  uint64_t mode = vn_list_number(job->result.data + mark, job->result.length - mark, "vmnet_operation_mode", 0);
  if (mode == VMNET_HOST_MODE || mode == VMNET_SHARED_MODE) network->mode = (uint32_t)mode;
  job->result.length = mark;
  vn_lock(&network->lock);
  network->member = member;
  vn_unlock(&network->lock);
  return VN_OK;
}

/* vmnet does not tell its DHCP range. Classic interfaces report one that goes from the address after the gateway's to
 * the
 * last of the subnet; that network objects have the same one was not verified on hardware. */
static void write_reply(const struct vn_mac_network *network, struct vn_writer *out) {
  struct vn_network_options told;
  vn_network_options_init(&told);
  told.mode = network->mode;
  told.mtu = network->mtu;
  told.base = network->base;
  told.bits = network->bits;
  told.gateway = network->gateway;
  told.dhcp_end = (network->base | ~vn_mask(network->bits)) - 1;
  told.dhcp_start = network->gateway < told.dhcp_end ? network->gateway + 1 : network->base + 1;
  vn_network_parameters(&told, out);
  char address[INET6_ADDRSTRLEN], text[INET6_ADDRSTRLEN + sizeof "/255"];
  if (network->prefix_length == 0 || inet_ntop(AF_INET6, network->prefix, address, sizeof address) == NULL) return;
  snprintf(text, sizeof text, "%s/%u", address, network->prefix_length);
  vn_write_text(out, "ipv6Prefix", text);
}

static void copy_entries(struct vn_writer *to, const struct vn_writer *from) {
  struct vn_reader reader;
  struct vn_entry entry;
  vn_list_read(&reader, from->data, from->length);
  while (vn_list_next(&reader, &entry)) vn_write_entry(to, &entry);
}

/* Its creation is over. From now on its end goes its way. */
static void finish(struct vn_mac_network *network) {
  vn_lock(&network->lock);
  network->made = true;
  vn_unlock(&network->lock);
}

static bool wait_ended(struct vn_mac_network *network, uint64_t until_ns) {
  vn_lock(&network->lock);
  bool in_time = true;
  while (!network->ended && in_time) in_time = vn_lock_wait(&network->lock, until_ns);
  bool ended = network->ended;
  vn_unlock(&network->lock);
  return ended;
}

/* From a listed network to one that works. Takes over the caller's reference. */
static uint32_t bring_up(struct vn_job *job, struct vn_mac_network *network, const struct vn_mac_origin *origin) {
  vmnet_return_t answer = VMNET_FAILURE;
  network->ref = origin->make(origin, &answer);
  uint32_t status = network->ref == NULL ? vn_mac_fail(job, answer, "vmnet did not make the network") : VN_OK;
  if (status == VN_OK && vn_job_abandoned(job)) status = VN_CANCELLED;
  if (status == VN_OK) {
    read_back(network);
    if (!VN_BROKEN(53)) status = start_member(job, network);
  }
  if (status == VN_OK) {
    struct vn_lease_file leases = {.hash = 0};
    vn_lease_file_read(&leases, vn_mac_leases_path());
    vn_mac_leases_look(network, &leases, true);
    vn_lease_file_free(&leases);
    write_reply(network, &job->result);
    finish(network);
    job->made = &network->object;
    return VN_OK;
  }
  finish(network);
  vn_mac_network_end(network, VN_STOPPED);
  if (!vn_job_abandoned(job)) wait_ended(network, vn_monotonic_ns() + UNDO_NS);
  vn_release(&network->object);
  return status;
}

uint32_t vn_mac_network_make(struct vn_job *job, const struct vn_mac_origin *origin) {
  const struct vn_network_options *options = origin->options;
  struct vn_mac_network *network = network_new();
  if (network == NULL) return vn_fail(job, VN_NO_MEMORY, NULL, "memory ran out");
  vn_object_init(&network->object, &vn_mac_network_class, job->doorbell);
  network->mode = options->mode;
  network->mtu = options->mtu;
  network->dhcp = options->dhcp;
  network->base = options->base;
  network->bits = options->bits;
  network->gateway = options->gateway;
  copy_entries(&network->forwards, &options->forwards);
  copy_entries(&network->reservations, &options->reservations);
  uint32_t status = network->forwards.failed || network->reservations.failed ? VN_NO_MEMORY : vn_mac_network_list(network, origin->alone);
  if (status == VN_OK) return bring_up(job, network, origin);
  vn_release(&network->object);
  if (status == VN_IN_USE) return vn_fail(job, status, "ipv4Subnet", "it overlaps the subnet of another network");
  return vn_fail(job, status, NULL, "memory or threads ran out");
}

static vmnet_network_ref from_configuration(const struct vn_mac_origin *origin, vmnet_return_t *answer) {
  return vmnet_network_create((vmnet_network_configuration_ref)(uintptr_t)origin->from, answer);
}

uint32_t vn_mac_network_create(struct vn_job *job) {
  struct vn_network_options options;
  vmnet_network_configuration_ref configuration = NULL;
  if (!vn_mac_has_networks()) return vn_mac_fail_version(job, NULL, "26");
  uint32_t status = vn_mac_network_options(job, &options);
  if (status == VN_OK) status = vn_mac_configuration(job, &options, &configuration);
  if (status == VN_OK) {
    const struct vn_mac_origin origin = {&options, true, from_configuration, configuration};
    status = vn_mac_network_make(job, &origin);
    CFRelease(configuration);
  }
  vn_network_options_free(&options);
  return status;
}

bool vn_mac_network_stop(struct vn_mac_network *network, uint64_t until_ns) {
  vn_mac_network_end(network, VN_GONE);
  return wait_ended(network, until_ns);
}

/* vmnet takes rules for a network only before it is made; asked later it says "failure" and calls no handler. */
uint32_t vn_mac_network_forward(struct vn_job *job, struct vn_mac_network *network) {
  if (job->op != VN_OP_FORWARD_LIST)
    return vn_fail(job, VN_UNSUPPORTED, NULL, "vmnet takes a network's forwarding rules only when it is created");
  copy_entries(&job->result, &network->forwards);
  return VN_OK;
}

uint32_t vn_mac_network_reserve(struct vn_job *job, struct vn_mac_network *network) {
  if (job->op != VN_OP_RESERVATION_LIST)
    return vn_fail(job, VN_UNSUPPORTED, NULL, "macOS takes the reservations of a network when it is created, and only then");
  copy_entries(&job->result, &network->reservations);
  return VN_OK;
}

uint32_t vn_mac_network_get(struct vn_mac_network *network, uint32_t what, struct vn_writer *out) {
  uint32_t status = vn_atomic_load(&network->status);
  switch (what) {
    case VN_GET_LEASES: vn_mac_leases_write(network, out); return VN_OK;
    case VN_GET_EVENTS: vn_mac_leases_write_events(network, out); return VN_OK;
    case VN_GET_STATE:
      vn_write_number(out, "status", status);
      if (status != VN_OK) vn_write_text(out, "message", "The network ended");
      return VN_OK;
    case VN_GET_STATS: vn_write_number(out, "interfaces", vn_mac_nics_on(network)); return VN_OK;
    default: return VN_BAD_CALL;
  }
}
