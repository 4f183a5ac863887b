// SPDX-License-Identifier: MIT
/*
 * joined.c - objects that are embedded/'s: networks of other processes, interfaces on them, and all shares. What
 * vmnet-host has for this process is among them, and goes there for what embedded/ cannot do from here.
 */
#include "embedded/holder.h"
#include "embedded/network.h"
#include "host_link.h"
#include "network.h"
#include "plane/plane.h"
#include "vmnet_shim.h"

bool vn_mac_is_joined(struct vn_object *object) { return vn_holder_has(object) || vn_hosted_is_share(object); }

/* The end of an interface or network that vmnet-host has: there too, so that its addresses and ports are free again. */
static uint32_t stop(struct vn_job *job, struct vn_network *network, struct vn_hosted *hosted) {
  bool whole = job->target->class->kind == VN_NETWORK || network->anonymous;
  uint32_t status = vn_holder_run(job);
  return whole && status == VN_OK ? vn_hosted_wait_ended(job, hosted) : status;
}

static uint32_t of_hosted(struct vn_job *job, struct vn_network *network, struct vn_hosted *hosted) {
  switch (job->op) {
    case VN_OP_NETWORK_SHARE: return vn_hosted_share(job, hosted);
    case VN_OP_FORWARD_ADD:
    case VN_OP_FORWARD_REMOVE:
    case VN_OP_FORWARD_LIST:
    case VN_OP_RESERVATION_ADD:
    case VN_OP_RESERVATION_REMOVE:
    case VN_OP_RESERVATION_LIST: return vn_hosted_run(job, hosted);
    case VN_OP_STOP: return stop(job, network, hosted);
    default: return vn_holder_run(job);
  }
}

uint32_t vn_mac_joined_run(struct vn_job *job) {
  struct vn_object *target = job->target;
  if (job->op == VN_OP_NETWORK_JOIN) return vn_holder_join(job);
  if (job->op == VN_OP_NETWORK_COPY_SERIALIZATION)
    return vn_fail_needs(job, VN_UNSUPPORTED, "root, or com.apple.security.virtualization of this executable",
                         "vmnet's network object is in another process");
  if (vn_hosted_is_share(target)) return vn_hosted_share_stop(job);
  if (target->class->kind == VN_SHARE) return vn_holder_run(job);
  struct vn_network *network = vn_holder_network(target);
  if (job->op == VN_OP_SWITCH_CREATE)
    return target->class->kind == VN_NETWORK ? vn_board_on(job, network) : vn_board_new(job);
  struct vn_hosted *hosted = vn_hosted_of(network);
  return hosted != NULL ? of_hosted(job, network, hosted) : vn_holder_run(job);
}

/* As of any network of vmnet: here each interface has a port, and its connection another. */
static void count_interfaces(struct vn_object *object, struct vn_writer *out) {
  vn_write_number(out, "interfaces", vn_counted(&vn_holder_network(object)->port_count) / 2);
}

/* An interface that vmnet-host lent is alone on its network, which hears of no leases. */
static bool write_leases(struct vn_object *object, struct vn_writer *out) {
  struct vn_network *network = vn_holder_network(object);
  struct vn_hosted *hosted = network->anonymous ? vn_hosted_of(network) : NULL;
  if (hosted != NULL) vn_hosted_leases(hosted, out);
  return hosted != NULL;
}

uint32_t vn_mac_joined_get(struct vn_object *object, uint32_t what, struct vn_writer *out) {
  if (object->class->kind == VN_NETWORK && what == VN_GET_STATS) count_interfaces(object, out);
  if (object->class->kind == VN_INTERFACE && what == VN_GET_LEASES && write_leases(object, out)) return VN_OK;
  if (!vn_hosted_is_share(object)) return vn_holder_get(object, what, out);
  vn_write_number(out, "status", vn_hosted_share_state(object));
  return what == VN_GET_STATE ? VN_OK : VN_BAD_CALL;
}

int vn_mac_joined_init(void) {
  int status = vn_registry_init(NULL);
  if (status == VN_OK) status = vn_mac_shares_init();
  if (status == VN_OK) status = vn_hosted_init();
  return status != VN_OK ? status : vn_host_links_init();
}

void vn_mac_joined_shutdown(void) {
  vn_registry_shutdown();
  vn_host_links_shutdown();
}

uint32_t vn_mac_joined_alive(void) { return vn_registry_alive() + vn_host_links_alive(); }
