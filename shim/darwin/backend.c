// SPDX-License-Identifier: MIT
/*
 * backend.c - the backend of macOS: which file does what.
 *
 * An object is one of four sorts: vmnet's own (nic.c, network.c), what this process has of other processes' networks
 * (joined.c: embedded/'s objects), what vmnet-host has for it, which is of the second sort too once it exists, or the
 * data plane's (plane/), whose switch of a network of vmnet is the one that sharing has (share.c).
 */
#include "embedded/holder.h"
#include "embedded/share.h"
#include "network.h"
#include "plane/loan.h"
#include "plane/plane.h"
#include "system.h"
#include "uplink.h"
#include "vmnet_shim.h"

#define LATEST_NS 10000000000ull /* a stop took about 90 ms where it was measured; after this it goes on unwatched */
#define LOOK_NS 10000000ull      /* so late is it noticed that nobody waits any more */

/* Stops an interface or a network and waits for vmnet. What is stopped has ended for the script, whatever comes of it;
 * the answer is that vmnet has nothing of it any more, or has not said so in time: then it goes when vmnet says so. */
static uint32_t stop(struct vn_job *job, bool (*stop_until)(struct vn_object *object, uint64_t until_ns)) {
  uint64_t end = job->deadline_ns ? job->deadline_ns : vn_monotonic_ns() + LATEST_NS, next;
  do {
    next = vn_monotonic_ns() + LOOK_NS;
    if (stop_until(job->target, next < end ? next : end)) return VN_OK;
  } while (next < end && !vn_job_abandoned(job));
  return vn_fail(job, VN_TIMEOUT, NULL, "vmnet has not let go of it in time");
}

static bool stop_network(struct vn_object *object, uint64_t until_ns) {
  return vn_mac_network_stop((struct vn_mac_network *)object, until_ns);
}

static bool stop_interface(struct vn_object *object, uint64_t until_ns) {
  return vn_mac_nic_stop((struct vn_mac_nic *)object, until_ns);
}

static uint32_t interface_start(struct vn_job *job) {
  struct vn_mac_start start = {.options = job->options, .length = job->options_length};
  struct vn_mac_nic *nic = NULL;
  if (job->target->class->kind == VN_NETWORK) start.network = (struct vn_mac_network *)job->target;
  start.doorbell = job->doorbell;
  start.wake = vn_mac_nic_wake_port;
  if (start.network && !vn_mac_network_enter(start.network)) return vn_fail(job, VN_GONE, NULL, "The network ended");
  uint32_t status = vn_mac_nic_start(job, &start, &nic);
  if (start.network) vn_mac_network_leave(start.network);
  if (status != VN_OK) return status;
  vn_mac_subnet_told(job, &nic->subnet);
  job->made = &nic->port.object;
  return VN_OK;
}

static uint32_t of_context(struct vn_job *job) {
  switch (job->op) {
    case VN_OP_PROBE: return vn_mac_probe(job);
    case VN_OP_SHARED_INTERFACES: return vn_mac_needs_host() ? vn_mac_host_run(job) : vn_mac_shared_interfaces(job);
    case VN_OP_NETWORK_CREATE: return vn_mac_needs_host() ? vn_mac_host_run(job) : vn_mac_network_create(job);
    case VN_OP_NETWORK_JOIN: return vn_mac_joined_run(job);
    case VN_OP_INTERFACE_START: return vn_mac_needs_host() ? vn_mac_host_run(job) : interface_start(job);
    case VN_OP_NETWORK_FROM_POINTER: return vn_mac_network_from_pointer(job);
    case VN_OP_SWITCH_CREATE: return vn_board_new(job);
    default: return VN_BAD_CALL;
  }
}

static uint32_t with_network(struct vn_job *job, struct vn_mac_network *network,
                             uint32_t (*run)(struct vn_job *job, struct vn_mac_network *network)) {
  if (!vn_mac_network_enter(network)) return vn_fail(job, VN_GONE, NULL, "The network ended");
  uint32_t status = run(job, network);
  vn_mac_network_leave(network);
  return status;
}

static uint32_t of_network(struct vn_job *job, struct vn_mac_network *network) {
  switch (job->op) {
    case VN_OP_NETWORK_SHARE: return with_network(job, network, vn_mac_network_share);
    case VN_OP_SWITCH_CREATE: return with_network(job, network, vn_mac_network_switch);
    case VN_OP_NETWORK_COPY_SERIALIZATION: return vn_mac_network_serialize(job);
    case VN_OP_INTERFACE_START: return interface_start(job);
    case VN_OP_STOP: return stop(job, stop_network);
    case VN_OP_FORWARD_LIST:
    case VN_OP_FORWARD_ADD:
    case VN_OP_FORWARD_REMOVE: return vn_mac_network_forward(job, network);
    case VN_OP_RESERVATION_LIST:
    case VN_OP_RESERVATION_ADD:
    case VN_OP_RESERVATION_REMOVE: return vn_mac_network_reserve(job, network);
    default: return VN_BAD_CALL;
  }
}

static uint32_t of_interface(struct vn_job *job, struct vn_mac_nic *nic) {
  if (job->op == VN_OP_SWITCH_CREATE) return vn_board_new(job);
  return job->op == VN_OP_STOP ? stop(job, stop_interface) : vn_mac_forward(job, nic);
}

static uint32_t mac_run(struct vn_job *job) {
  struct vn_object *target = job->target;
  if (target->class->kind == VN_CONTEXT) return of_context(job);
  if (vn_mac_is_joined(target)) return vn_mac_joined_run(job);
  if (vn_plane_has(target)) return vn_plane_run(job);
  switch (target->class->kind) {
    case VN_NETWORK: return of_network(job, (struct vn_mac_network *)target);
    case VN_INTERFACE: return of_interface(job, (struct vn_mac_nic *)target);
    case VN_SHARE: vn_share_stop(target); return VN_OK;
    case VN_SERIALIZATION: return job->op == VN_OP_STOP ? VN_OK : vn_mac_network_deserialize(job);
    default: return VN_BAD_CALL;
  }
}

static uint32_t interface_get(struct vn_mac_nic *nic, uint32_t what, struct vn_writer *out) {
  if (what == VN_GET_STATS) vn_mac_nic_stats(nic, out);
  if (what == VN_GET_LEASES) vn_mac_interface_leases(nic, out);
  return what == VN_GET_STATS || what == VN_GET_LEASES ? VN_OK : VN_BAD_CALL;
}

static uint32_t mac_get(struct vn_object *object, uint32_t what, struct vn_writer *out) {
  if (vn_mac_is_joined(object)) return vn_mac_joined_get(object, what, out);
  if (vn_plane_has(object)) return vn_plane_get(object, what, out);
  if (object->class->kind == VN_NETWORK) return vn_mac_network_get((struct vn_mac_network *)object, what, out);
  if (object->class->kind == VN_INTERFACE) return interface_get((struct vn_mac_nic *)object, what, out);
  if (what != VN_GET_STATE) return VN_BAD_CALL;
  vn_write_number(out, "status", object->class->kind == VN_SHARE ? vn_share_state(object) : VN_OK);
  return VN_OK;
}

/* Interfaces on networks of other processes, and of vmnet-host, are pairs of rings. */
static uint32_t mac_lend(struct vn_job *job, struct vn_object *interface, const struct vn_loan *loan) {
  return vn_holder_has(interface) ? vn_nic_lend(job, interface, loan) : vn_mac_nic_lend(job, interface, loan);
}

/* Networks end their interfaces themselves, in their order; the others are told here. */
static void mac_shutdown(void) {
  vn_mac_joined_shutdown();
  vn_mac_networks_shutdown();
  vn_mac_nics_shutdown();
}

static uint32_t mac_alive(void) { return vn_mac_joined_alive() + vn_mac_networks_alive() + vn_mac_nics_alive(); }

static int mac_init(void) {
  int status = vn_mac_nics_init();
  if (status == VN_OK) status = vn_mac_networks_init();
  return status == VN_OK ? vn_mac_joined_init() : status;
}

const struct vn_backend *vn_backend(void) {
  static const struct vn_backend backend = {
      .name = "vmnet",
      .run = mac_run,
      .get = mac_get,
      .shutdown = mac_shutdown,
      .alive = mac_alive,
      .lend = mac_lend,
      .init = mac_init,
  };
  return &backend;
}
