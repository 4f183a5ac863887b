// SPDX-License-Identifier: MIT
/* holder.c - see holder.h. run() is on a control thread and may wait; get() may not. */
#include "holder.h"

#include <stdlib.h>

#include "facts.h"
#include "join.h"
#include "nic.h"
#include "request.h"
#include "share.h"
#include "vmnet_shim.h"

uint64_t vn_job_until(const struct vn_job *job) {
  return job->deadline_ns ? job->deadline_ns : vn_monotonic_ns() + VN_LATEST_NS;
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

uint32_t vn_holder_make(struct vn_job *job, struct vn_network *network) {
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

uint32_t vn_holder_wait_started(struct vn_job *job, struct vn_network *network) {
  uint64_t latest = vn_job_until(job);
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

uint32_t vn_holder_join(struct vn_job *job) {
  struct vn_network *network;
  uint32_t status = vn_join(job, &network);
  return status == VN_OK ? vn_holder_make(job, network) : status;
}

uint32_t vn_holder_start_on(struct vn_job *job, struct vn_network *network,
                            const struct vn_interface_options *options) {
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

static uint32_t stop(struct vn_job *job) {
  if (job->target->class->kind == VN_INTERFACE) {
    vn_nic_stop((struct vn_nic *)job->target, vn_job_until(job));
  } else if (job->target->class->kind == VN_NETWORK) {
    struct vn_network *network = ((struct vn_holder *)job->target)->network;
    vn_network_stop(network, VN_GONE);
    vn_network_wait_ended(network, vn_job_until(job));
  } else {
    vn_share_stop(job->target);
  }
  return VN_OK;
}

/* Of forwards and reservations. */
static uint32_t request(struct vn_job *job) {
  bool whole = job->target->class->kind == VN_NETWORK;
  return vn_request_run(vn_holder_network(job->target), job, whole ? NULL : (struct vn_nic *)job->target);
}

bool vn_holder_has(const struct vn_object *object) {
  return object->class == &holder_class || object->class == &vn_nic_class || object->class == &vn_share_class;
}

struct vn_network *vn_holder_network(struct vn_object *object) {
  return object->class->kind == VN_NETWORK ? ((struct vn_holder *)object)->network : ((struct vn_nic *)object)->network;
}

static uint32_t interface_start(struct vn_job *job) {
  struct vn_interface_options options;
  struct vn_refusal why;
  uint32_t status = vn_interface_options_read(&options, NULL, job->options, job->options_length, &why);
  if (status != VN_OK) return vn_fail_refused(job, &why);
  return vn_holder_start_on(job, vn_holder_network(job->target), &options);
}

uint32_t vn_holder_run(struct vn_job *job) {
  switch (job->op) {
    case VN_OP_NETWORK_SHARE: return vn_share_start(vn_holder_network(job->target), job);
    case VN_OP_INTERFACE_START: return interface_start(job);
    case VN_OP_STOP: return stop(job);
    case VN_OP_FORWARD_ADD:
    case VN_OP_FORWARD_REMOVE:
    case VN_OP_FORWARD_LIST:
    case VN_OP_RESERVATION_ADD:
    case VN_OP_RESERVATION_REMOVE:
    case VN_OP_RESERVATION_LIST: return request(job);
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

uint32_t vn_holder_get(struct vn_object *object, uint32_t what, struct vn_writer *out) {
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

