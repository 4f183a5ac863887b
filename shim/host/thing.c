// SPDX-License-Identifier: MIT
/*
 * thing.c - what vmnet-host makes: a network with its share, or an interface on a switch network for one.
 *
 * A lent interface is the uplink of a network that has one more port, the other process's, and no table: frames pass as
 * vmnet gave them. It ends when that port leaves, or when it is told to. Backend functions are called directly:
 * vn_backend() itself would look whether it needs a vmnet-host.
 */
#include <stdlib.h>

#include "darwin/network.h"
#include "embedded/network.h"
#include "embedded/share.h"
#include "host.h"
#include "vmnet_shim.h"

struct vn_waker {
  struct vn_mac_waker waker;
  struct vn_waker *next;
};

/* Shares target, or network, with a job of its own whose result goes to the job's. */
static uint32_t share(struct vn_job *job, struct vn_object *target, struct vn_network *network,
                      struct vn_object **made) {
  struct vn_job sub = {.op = VN_OP_NETWORK_SHARE, .target = target, .state = job->state};
  struct vn_reader reader;
  struct vn_entry entry;
  uint32_t status = network != NULL ? vn_share_start(network, &sub)
                                    : vn_mac_network_share(&sub, (struct vn_mac_network *)target);
  if (status == VN_OK && sub.result.failed) status = VN_NO_MEMORY;
  vn_list_read(&reader, sub.result.data, sub.result.length);
  while (vn_list_next(&reader, &entry)) vn_write_entry(&job->result, &entry);
  vn_writer_free(&sub.result);
  *made = sub.made;
  return status;
}

uint32_t vn_thing_network(struct vn_job *job, struct vn_thing *thing) {
  uint32_t status = vn_mac_network_create(job);
  thing->object = job->made;
  job->made = NULL;
  return status == VN_OK ? share(job, thing->object, NULL, &thing->share) : status;
}

uint32_t vn_thing_share(struct vn_job *job, struct vn_thing *thing) {
  if (job->target->class->kind != VN_NETWORK) return VN_BAD_CALL;
  return share(job, job->target, NULL, &thing->share);
}

static void run_first(struct vn_network *network, struct vn_command *command) {
  (void)command;
  struct vn_refusal fine;
  vn_refuse(&fine, VN_OK, NULL, "");
  vn_network_started(network, &fine);
}

/* Only who the interface is lent to sees this network, and looks at no more of it than mode and MTU. */
static uint32_t make_network(struct vn_job *job, struct vn_thing *thing, const struct vn_mac_nic *nic) {
  uint64_t mtu = vn_list_number(job->result.data, job->result.length, "vmnet_mtu", VN_MTU_DEFAULT);
  struct vn_network_options options = {.mode = nic->mode, .mtu = VN_MTU_DEFAULT};
  if (options.mode < VN_MODE_HOST || options.mode > VN_MODE_BRIDGED) options.mode = VN_MODE_SHARED;
  if (mtu >= VN_MTU_LEAST && mtu <= VN_MTU_MOST) options.mtu = (uint32_t)mtu;
  uint32_t status = vn_registry_adopt(&options, run_first, true, &thing->lent);
  return status == VN_OK ? VN_OK : vn_fail(job, status, NULL, "no memory, thread or descriptor for an interface");
}

/* An interface that nobody waits for any more may still start, and its waker be asked before it is stopped again;
 * nothing tells when that is over. So the waker stays, for as long as the process. */
static void keep(struct vn_thing *thing) {
  static _Atomic(struct vn_waker *) kept;
  thing->waker->next = atomic_load(&kept);
  while (!atomic_compare_exchange_strong(&kept, &thing->waker->next, thing->waker)) {
  }
  thing->waker = NULL;
}

uint32_t vn_thing_interface(struct vn_job *job, struct vn_thing *thing) {
  struct vn_mac_start start = {.options = job->options, .length = job->options_length, .wake = vn_mac_uplink_wake};
  struct vn_mac_nic *nic;
  thing->waker = calloc(1, sizeof *thing->waker);
  if (thing->waker == NULL) return vn_fail(job, VN_NO_MEMORY, NULL, "memory ran out");
  start.sink = &thing->waker->waker;
  uint32_t status = vn_mac_nic_start(job, &start, &nic);
  if (status != VN_OK) {
    keep(thing);
    return status;
  }
  thing->object = &nic->port.object;
  status = make_network(job, thing, nic);
  if (status == VN_OK) {
    status = vn_mac_uplink_attach(thing->lent, nic, true);
    if (status != VN_OK) vn_fail(job, status, NULL, "the interface could not be passed on");
  }
  return status == VN_OK ? share(job, NULL, thing->lent, &thing->share) : status;
}

#define FOR_EVER 0 /* to wait until: whoever asked has a deadline, and an answer before the end would be untrue */

/* Ends by the stop operation's own function. */
static void end_object(struct vn_object *object) {
  if (object == NULL) return;
  if (object->class->kind == VN_NETWORK)
    vn_mac_network_stop((struct vn_mac_network *)object, FOR_EVER);
  else if (object->class->kind == VN_INTERFACE)
    vn_mac_nic_stop((struct vn_mac_nic *)object, FOR_EVER);
  else
    vn_share_stop(object);
}

void vn_thing_end(struct vn_thing *thing) {
  end_object(thing->share);
  if (thing->lent != NULL) {
    vn_network_stop(thing->lent, VN_GONE);
    vn_network_wait_ended(thing->lent, FOR_EVER);
  }
  end_object(thing->object);
}

/* The last one to use it is gone. */
void vn_thing_release(struct vn_thing *thing) {
  if (vn_atomic_add(&thing->references, -1) != 1) return;
  bool quiet = thing->lent == NULL || thing->object == NULL || vn_mac_nic_has_ended((struct vn_mac_nic *)thing->object);
  if (thing->share != NULL) thing->share->class->close(thing->share);
  if (thing->object != NULL) thing->object->class->close(thing->object);
  if (thing->lent != NULL) vn_network_release(thing->lent);
  if (thing->waker != NULL && quiet) { /* else vmnet's stop hangs, and its event block may still want it */
    vn_mac_waker_free(&thing->waker->waker);
    free(thing->waker);
  }
  free(thing);
}
