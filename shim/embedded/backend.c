// SPDX-License-Identifier: MIT
/*
 * backend.c - the embedded backend: what each operation does.
 *
 * run() is on a control thread and may wait: for a network's start, for a command to be carried out by a network's
 * thread, for the end of a network. What is asked of an object that exists is the business of holder.c.
 */
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>
#include <unistd.h>

#include "gateway_link.h"
#include "holder.h"
#include "plane/loan.h"
#include "plane/plane.h"
#include "vmnet_shim.h"

static uint32_t network_create(struct vn_job *job) {
  struct vn_network_options options;
  struct vn_network *network;
  struct vn_refusal why;
  uint32_t status = vn_network_options_read(&options, job->options, job->options_length, &why);
  if (status == VN_OK) status = vn_registry_create(&options, &network, &why);
  vn_network_options_free(&options); /* empty when the network has them */
  if (status != VN_OK) return vn_fail_refused(job, &why);
  status = vn_holder_wait_started(job, network);
  if (status == VN_OK) return vn_holder_make(job, network);
  vn_network_stop(network, VN_STOPPED);
  vn_network_wait_ended(network, vn_job_until(job));
  vn_network_release(network);
  return status;
}

/* An interface on the network of that mode and subnet. */
static uint32_t interface_start(struct vn_job *job) {
  struct vn_interface_options options;
  struct vn_network_options wanted = {.mode = 0};
  struct vn_refusal why;
  struct vn_network *network;
  uint32_t status = vn_interface_options_read(&options, &wanted, job->options, job->options_length, &why);
  if (status != VN_OK) return vn_fail_refused(job, &why);
  status = vn_registry_join(&wanted, &network, &why);
  if (status != VN_OK) return vn_fail_refused(job, &why);
  status = vn_holder_wait_started(job, network);
  if (status == VN_OK) status = vn_holder_start_on(job, network, &options);
  if (status != VN_OK && vn_registry_leave(network)) {
    vn_network_stop(network, VN_STOPPED);
    vn_network_wait_ended(network, vn_monotonic_ns() + VN_LATEST_NS);
  }
  vn_network_release(network);
  return status;
}

/* What works here: a shared network is started beside all others, asked, and ended. */
static uint32_t probe(struct vn_job *job) {
  char path[4096];
  vn_write_text(&job->result, "backend", "embedded");
  vn_write_number(&job->result, "uid", getuid());
  if (vn_gateway_path(path, sizeof path)) vn_write_text(&job->result, "gatewayPath", path);
  struct vn_network_options options = {.mode = VN_MODE_SHARED, .mtu = VN_MTU_DEFAULT, .lease_seconds = VN_LEASE_SECONDS};
  options.gateway_needed = options.dhcp = options.nat44 = true;
  options.base = 0xc0a8fe00; /* it has no guest, so it may overlap */
  options.bits = 24;
  struct vn_refusal why;
  struct vn_network *network;
  uint32_t status = vn_network_options_place(&options, &why);
  if (status == VN_OK) status = vn_registry_adopt(&options, vn_gateway_first, false, &network);
  if (status != VN_OK) return status;
  bool started = vn_network_wait_started(network, vn_job_until(job));
  vn_lock(&network->lock);
  why = network->refusal;
  if (network->libslirp[0]) vn_write_text(&job->result, "libslirp", network->libslirp);
  vn_unlock(&network->lock);
  bool found = started && (why.status == VN_OK || (why.status == VN_MISSING && vn_counted(&network->gateway_starts) > 0));
  vn_write_number(&job->result, "gateway", found);
  vn_network_stop(network, VN_STOPPED);
  vn_network_wait_ended(network, vn_job_until(job));
  vn_network_release(network);
  return VN_OK;
}

/* The interfaces a kernel backend could bridge with: up, able to broadcast, not loopback, each once. */
static uint32_t shared_interfaces(struct vn_job *job) {
  struct ifaddrs *all;
  if (getifaddrs(&all) != 0) return VN_OK;
  for (const struct ifaddrs *each = all; each != NULL; each = each->ifa_next) {
    bool first = true;
    for (const struct ifaddrs *before = all; before != each && first; before = before->ifa_next)
      first = strcmp(before->ifa_name, each->ifa_name) != 0;
    uint32_t flags = each->ifa_flags;
    if (first && (flags & IFF_UP) && (flags & IFF_BROADCAST) && !(flags & IFF_LOOPBACK))
      vn_write_text(&job->result, "interface", each->ifa_name);
  }
  freeifaddrs(all);
  return VN_OK;
}

static uint32_t embedded_run(struct vn_job *job) {
  switch (job->op) {
    case VN_OP_PROBE: return probe(job);
    case VN_OP_SHARED_INTERFACES: return shared_interfaces(job);
    case VN_OP_NETWORK_CREATE: return network_create(job);
    case VN_OP_NETWORK_JOIN: return vn_holder_join(job);
    case VN_OP_INTERFACE_START: return job->target->class->kind == VN_NETWORK ? vn_holder_run(job) : interface_start(job);
    case VN_OP_SWITCH_CREATE:
      return job->target->class->kind == VN_NETWORK ? vn_board_on(job, vn_holder_network(job->target)) : vn_board_new(job);
    case VN_OP_ENDPOINT_OPEN:
    case VN_OP_PORT_SET:
    case VN_OP_TAP_OPEN:
    case VN_OP_INTERCEPT_OPEN:
    case VN_OP_RULE_ADD: return vn_plane_run(job);
    case VN_OP_STOP: return vn_plane_has(job->target) ? vn_plane_run(job) : vn_holder_run(job);
    case VN_OP_NETWORK_SHARE:
    case VN_OP_FORWARD_ADD:
    case VN_OP_FORWARD_REMOVE:
    case VN_OP_FORWARD_LIST:
    case VN_OP_RESERVATION_ADD:
    case VN_OP_RESERVATION_REMOVE:
    case VN_OP_RESERVATION_LIST: return vn_holder_run(job);
    case VN_OP_NETWORK_COPY_SERIALIZATION:
    case VN_OP_NETWORK_FROM_SERIALIZATION:
    case VN_OP_NETWORK_FROM_POINTER:
      return vn_fail_needs(job, VN_UNSUPPORTED, "macOS 26", "the embedded network has no network objects of vmnet");
    default: return VN_BAD_CALL;
  }
}

static uint32_t embedded_get(struct vn_object *object, uint32_t what, struct vn_writer *out) {
  return vn_plane_has(object) ? vn_plane_get(object, what, out) : vn_holder_get(object, what, out);
}

static int embedded_init(void) { return vn_registry_init(vn_gateway_first); }

const struct vn_backend *vn_backend(void) {
  static const struct vn_backend backend = {
      .name = "embedded",
      .run = embedded_run,
      .get = embedded_get,
      .shutdown = vn_registry_shutdown,
      .alive = vn_registry_alive,
      .lend = vn_nic_lend,
      .init = embedded_init,
  };
  return &backend;
}
