// SPDX-License-Identifier: MIT
/*
 * backend.c - the embedded backend: what each operation does.
 *
 * run() is on a control thread and may wait: for a network's start, for a command to be carried out by a network's
 * thread, for the end of a network. Waits end at the job's deadline, or after LATEST_NS where there is none.
 */
#include <ifaddrs.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/backend.h"
#include "facts.h"
#include "gateway_link.h"
#include "join.h"
#include "nic.h"
#include "request.h"
#include "share.h"
#include "vmnet_shim.h"

#define LATEST_NS 10000000000ull /* a gateway says why it cannot start within 5 s */

static uint64_t until(const struct vn_job *job) {
  return job->deadline_ns ? job->deadline_ns : vn_monotonic_ns() + LATEST_NS;
}

/* Network handles. */

static void holder_close(struct vn_object *object) {
  struct vn_holder *holder = (struct vn_holder *)object;
  vn_facts_unhold(holder);
  vn_network_stop(holder->network, VN_GONE);
  vn_release(object);
}

static void holder_destroy(struct vn_object *object) {
  struct vn_holder *holder = (struct vn_holder *)object;
  vn_network_release(holder->network);
  free(holder);
}

static const struct vn_class holder_class = {.kind = VN_NETWORK, .close = holder_close, .destroy = holder_destroy};

/* Takes over the reference to the network; after a failure the network was told to end. */
static uint32_t make_holder(struct vn_job *job, struct vn_network *network) {
  struct vn_holder *holder = calloc(1, sizeof *holder);
  if (holder == NULL) {
    vn_network_stop(network, VN_STOPPED);
    vn_network_release(network);
    return vn_fail(job, VN_NO_MEMORY, NULL, "memory ran out");
  }
  vn_object_init(&holder->object, &holder_class, job->doorbell);
  holder->network = network;
  vn_facts_hold(holder);
  vn_network_parameters(&network->options, &job->result);
  job->made = &holder->object;
  return VN_OK;
}

/* Waits for a network's first start. What went wrong is the job's failure. */
static uint32_t wait_started(struct vn_job *job, struct vn_network *network) {
  uint64_t latest = until(job);
  bool started = false;
  while (!started && !vn_job_abandoned(job) && vn_monotonic_ns() < latest) {
    uint64_t slice = vn_monotonic_ns() + 50000000;
    started = vn_network_wait_started(network, slice < latest ? slice : latest);
  }
  if (!started) return vn_fail(job, VN_TIMEOUT, NULL, "the network did not start in time");
  vn_lock(&network->lock);
  struct vn_refusal why = network->refusal;
  vn_unlock(&network->lock);
  return why.status == VN_OK ? VN_OK : vn_fail_refused(job, &why);
}

static uint32_t network_create(struct vn_job *job) {
  struct vn_network_options options;
  struct vn_network *network;
  struct vn_refusal why;
  uint32_t status = vn_network_options_read(&options, job->options, job->options_length, &why);
  if (status == VN_OK) status = vn_registry_create(&options, &network, &why);
  vn_network_options_free(&options); /* empty when the network has them */
  if (status != VN_OK) return vn_fail_refused(job, &why);
  status = wait_started(job, network);
  if (status == VN_OK) return make_holder(job, network);
  vn_network_stop(network, VN_STOPPED);
  vn_network_wait_ended(network, until(job));
  vn_network_release(network);
  return status;
}

static uint32_t network_join(struct vn_job *job) {
  struct vn_network *network;
  uint32_t status = vn_join(job, &network);
  return status == VN_OK ? make_holder(job, network) : status;
}

/* An interface on a network that is held by the caller. */
static uint32_t start_on(struct vn_job *job, struct vn_network *network, const struct vn_interface_options *options) {
  struct vn_refusal why;
  struct vn_nic *nic;
  int link_fd = -1;
  uint32_t status;
  if (options->mode != 0 && options->mode != network->options.mode)
    return vn_fail(job, VN_BAD_OPTION, "vmnet_operation_mode", "the network has another mode");
  if (!network->owner_process) {
    status = vn_join_interface(network, job, options, &link_fd);
    if (status != VN_OK) return status;
  }
  status = vn_nic_start(network, options, job->doorbell, link_fd, &nic, &why);
  if (status != VN_OK) return vn_fail_refused(job, &why);
  if (network->owner_process) vn_nic_parameters(&network->options, options, &job->result);
  job->made = &nic->ring.port.object;
  return VN_OK;
}

static uint32_t interface_start(struct vn_job *job) {
  struct vn_interface_options options;
  struct vn_network_options wanted = {.mode = 0};
  struct vn_refusal why;
  struct vn_network *network;
  bool given = job->target->class->kind == VN_NETWORK;
  uint32_t status = vn_interface_options_read(&options, given ? NULL : &wanted, job->options, job->options_length, &why);
  if (status != VN_OK) return vn_fail_refused(job, &why);
  if (given) return start_on(job, ((struct vn_holder *)job->target)->network, &options);
  status = vn_registry_join(&wanted, &network, &why);
  if (status != VN_OK) return vn_fail_refused(job, &why);
  status = wait_started(job, network);
  if (status == VN_OK) status = start_on(job, network, &options);
  if (status != VN_OK && vn_registry_leave(network)) {
    vn_network_stop(network, VN_STOPPED);
    vn_network_wait_ended(network, vn_monotonic_ns() + LATEST_NS);
  }
  vn_network_release(network);
  return status;
}

static uint32_t stop(struct vn_job *job) {
  if (job->target->class->kind == VN_INTERFACE) {
    vn_nic_stop((struct vn_nic *)job->target, until(job));
  } else if (job->target->class->kind == VN_NETWORK) {
    struct vn_network *network = ((struct vn_holder *)job->target)->network;
    vn_network_stop(network, VN_GONE);
    vn_network_wait_ended(network, until(job));
  } else {
    vn_share_stop(job->target);
  }
  return VN_OK;
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
  if (status == VN_OK) status = vn_registry_adopt(&options, vn_gateway_first, &network);
  if (status != VN_OK) return status;
  bool started = vn_network_wait_started(network, until(job));
  vn_lock(&network->lock);
  why = network->refusal;
  if (network->libslirp[0]) vn_write_text(&job->result, "libslirp", network->libslirp);
  vn_unlock(&network->lock);
  bool found = started && (why.status == VN_OK || (why.status == VN_MISSING && vn_counted(&network->gateway_starts) > 0));
  vn_write_number(&job->result, "gateway", found);
  vn_network_stop(network, VN_STOPPED);
  vn_network_wait_ended(network, until(job));
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

static uint32_t forward(struct vn_job *job) {
  if (job->target->class->kind == VN_NETWORK) return vn_request_run(((struct vn_holder *)job->target)->network, job, NULL);
  struct vn_nic *nic = (struct vn_nic *)job->target;
  return vn_request_run(nic->network, job, nic);
}

static uint32_t embedded_run(struct vn_job *job) {
  switch (job->op) {
    case VN_OP_PROBE: return probe(job);
    case VN_OP_SHARED_INTERFACES: return shared_interfaces(job);
    case VN_OP_NETWORK_CREATE: return network_create(job);
    case VN_OP_NETWORK_JOIN: return network_join(job);
    case VN_OP_NETWORK_SHARE: return vn_share_start(((struct vn_holder *)job->target)->network, job);
    case VN_OP_INTERFACE_START: return interface_start(job);
    case VN_OP_STOP: return stop(job);
    case VN_OP_FORWARD_ADD:
    case VN_OP_FORWARD_REMOVE:
    case VN_OP_FORWARD_LIST: return forward(job);
    default: return VN_BAD_CALL;
  }
}

static void network_stats(struct vn_network *network, struct vn_writer *out) {
  vn_write_number(out, "ports", vn_counted(&network->port_count));
  vn_write_number(out, "frames", vn_counted(&network->frames));
  vn_write_number(out, "bytes", vn_counted(&network->bytes));
  vn_write_number(out, "turns", vn_counted(&network->turns));
  vn_write_number(out, "flooded", vn_counted(&network->table.flooded));
  vn_write_number(out, "droppedFull", vn_counted(&network->drops[VN_DROP_FULL]));
  vn_write_number(out, "droppedTooLong", vn_counted(&network->drops[VN_DROP_LONG]));
  vn_write_number(out, "droppedTooShort", vn_counted(&network->table.dropped_short));
  vn_write_number(out, "droppedIsolated", vn_counted(&network->table.dropped_isolated));
  vn_write_number(out, "droppedOffload", vn_counted(&network->drops[VN_DROP_OFFLOAD]));
  vn_write_number(out, "badStreams", vn_counted(&network->drops[VN_DROP_BAD]));
  vn_write_number(out, "gatewayStarts", vn_counted(&network->gateway_starts));
}

static uint32_t embedded_get(struct vn_object *object, uint32_t what, struct vn_writer *out) {
  enum vn_kind kind = object->class->kind;
  if (kind == VN_SHARE) {
    vn_write_number(out, "status", vn_share_state(object));
    return what == VN_GET_STATE ? VN_OK : VN_BAD_CALL;
  }
  struct vn_network *network =
      kind == VN_NETWORK ? ((struct vn_holder *)object)->network : ((struct vn_nic *)object)->network;
  uint32_t status = vn_atomic_load(&network->status);
  switch (what) {
    case VN_GET_LEASES: vn_facts_write_leases(network, out); return VN_OK;
    case VN_GET_EVENTS:
      if (kind == VN_NETWORK) vn_facts_write_events((struct vn_holder *)object, out);
      return kind == VN_NETWORK ? VN_OK : VN_BAD_CALL;
    case VN_GET_STATE:
      vn_write_number(out, "status", status);
      if (status != VN_OK) vn_write_text(out, "message", "The network ended");
      return VN_OK;
    case VN_GET_STATS:
      if (kind == VN_NETWORK)
        network_stats(network, out);
      else
        vn_nic_stats((struct vn_nic *)object, out);
      return VN_OK;
    default: return VN_BAD_CALL;
  }
}

const struct vn_backend *vn_backend(void) {
  static const struct vn_backend backend = {
      .name = "embedded",
      .run = embedded_run,
      .get = embedded_get,
      .shutdown = vn_registry_shutdown,
      .alive = vn_registry_alive,
  };
  return &backend;
}
