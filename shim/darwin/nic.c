// SPDX-License-Identifier: MIT
/*
 * nic.c - the life of an interface: start, stop, and what vmnet's blocks hold of it meanwhile.
 *
 * Theory of operation: see nic.h. References: one is the caller's of the start, later the handle's. Another is vmnet's:
 * it
 * is taken before vmnet is asked to start, and dropped when it failed or answered NULL (then no handler comes), or else
 * at
 * the end of the stop. So a start that hangs for ever keeps the record for ever, and whatever comes late finds it.
 *
 * Who sees the start through is decided under the lock of the wait: the thread that waits, or the handler when nobody
 * waits
 * any more; then a success is stopped at once, on the queues as any other.
 *
 * An event may have been on its way when the callback was taken off, and reach its queue at any time until the
 * completion. So vmnet's reference is dropped on that queue, behind whatever is there by then.
 */
#include "nic.h"

#include <stdlib.h>

#include "network.h"
#include "system.h"
#include "vmnet_shim.h"

#define PACKETS_DEFAULT 200u  /* per call, documented for a macOS that does not report it (before 15) */
#define PACKET_DEFAULT 1514u
#define PACKET_LIMIT 0x20000u /* nothing that vmnet reports is longer than 65550 */
#define VIRTIO_HEADER 12u     /* not part of the size that vmnet reports */

/* The end. */

static void release(void *nic) { vn_release(nic); }

/* vmnet has let go: the last that happens to its reference. */
static void ended(struct vn_mac_nic *nic) {
  vn_mac_nics_remove(nic);
  vn_lock(&nic->lock);
  nic->ended = true;
  vn_lock_signal(&nic->lock);
  vn_unlock(&nic->lock);
  if (VN_BROKEN(44)) release(nic);
  else dispatch_async_f(nic->events, nic, release);
}

static void nothing(void *unused) { (void)unused; }

/* On control, when no call is inside any more. */
static void stop_vmnet(void *context) {
  struct vn_mac_nic *nic = context;
  if (!VN_BROKEN(45)) dispatch_sync_f(nic->events, NULL, nothing); /* event blocks that were under way are through */
  vmnet_return_t status = vmnet_stop_interface(nic->ref, nic->control, ^(vmnet_return_t answer) {
    (void)answer; /* whatever it was, there is nothing more to be done */
    ended(nic);
  });
  if (status != VMNET_SUCCESS || VN_BROKEN(31)) ended(nic); /* no handler comes */
}

void vn_mac_nic_left(struct vn_mac_nic *nic) { dispatch_async_f(nic->control, nic, stop_vmnet); }

/* On control: this one is inside, so stop_vmnet() cannot overtake it. */
static void stop_events(void *context) {
  struct vn_mac_nic *nic = context;
  vmnet_interface_set_event_callback(nic->ref, VMNET_INTERFACE_PACKETS_AVAILABLE, NULL, NULL);
  if (VN_BROKEN(35)) vn_mac_nic_left(nic);
  else vn_mac_nic_leave(nic);
}

void vn_mac_nic_begin_stop(struct vn_mac_nic *nic) {
  vn_port_fail(&nic->port, VN_STOPPED);
  vn_lock(&nic->lock);
  bool started = nic->started;
  nic->unwanted = true;
  vn_unlock(&nic->lock);
  /* Before it started, whoever starts it sees unwanted. */
  if (started && (vn_mac_nic_shut(nic) || VN_BROKEN(37))) dispatch_async_f(nic->control, nic, stop_events);
}

bool vn_mac_nic_stop(struct vn_mac_nic *nic, uint64_t until_ns) {
  vn_mac_nic_begin_stop(nic);
  vn_lock(&nic->lock);
  bool in_time = true;
  while (!nic->ended && in_time) in_time = vn_lock_wait(&nic->lock, until_ns);
  bool over = nic->ended;
  vn_unlock(&nic->lock);
  return over;
}

bool vn_mac_nic_has_ended(struct vn_mac_nic *nic) {
  vn_lock(&nic->lock);
  bool over = nic->ended;
  vn_unlock(&nic->lock);
  return over;
}

static void nic_close(struct vn_object *object) {
  vn_mac_nic_begin_stop((struct vn_mac_nic *)object);
  if (!VN_BROKEN(40)) vn_release(object);
}

static void nic_destroy(struct vn_object *object) {
  struct vn_mac_nic *nic = (struct vn_mac_nic *)object;
  if (nic->events) dispatch_release(nic->events);
  if (nic->control && !VN_BROKEN(32)) dispatch_release(nic->control);
  if (nic->network) vn_release(&nic->network->object);
  vn_writer_free(&nic->parameters);
  vn_lock_destroy(&nic->lock);
  free(nic->spare);
  free(nic);
}

static const struct vn_class nic_class = {.kind = VN_INTERFACE, .close = nic_close, .destroy = nic_destroy};

/* The start. */

static struct vn_mac_nic *make(const struct vn_mac_start *start) {
  struct vn_mac_nic *nic = calloc(1, sizeof *nic);
  if (nic == NULL || vn_lock_init(&nic->lock) != VN_OK) return free(nic), NULL;
  vn_port_init(&nic->port, &nic_class, start->doorbell, &vn_mac_source);
  nic->wake = start->wake;
  nic->sink = start->sink;
  nic->network = start->network;
  if (nic->network) vn_retain(&nic->network->object);
  nic->mode = (uint32_t)vn_list_number(start->options, start->length, "vmnet_operation_mode", 0);
  if (vn_list_number(start->options, start->length, "vmnet_enable_virtio_header", 0)) nic->virtio = VIRTIO_HEADER;
  nic->pending = !VN_BROKEN(47); /* frames that came before the event block was set are found by the first look */
  nic->events = dispatch_queue_create("vmnet.events", DISPATCH_QUEUE_SERIAL);
  nic->control = dispatch_queue_create("vmnet.control", DISPATCH_QUEUE_SERIAL);
  if (nic->events && nic->control) return nic;
  vn_release(&nic->port.object);
  return NULL;
}

static void is_started(struct vn_mac_nic *nic) {
  vn_mac_nics_watch(nic);
  vn_lock(&nic->lock);
  nic->started = true;
  bool unwanted = nic->unwanted;
  vn_unlock(&nic->lock);
  if (unwanted) vn_mac_nic_begin_stop(nic);
}

/* The start handler, on events. */
static void answered(struct vn_mac_nic *nic, struct vn_mac_wait *wait, vmnet_return_t status, xpc_object_t parameters) {
  if (status == VMNET_SUCCESS) vn_mac_parameters(parameters, &nic->parameters);
  if (vn_mac_wait_done(wait, status)) return;
  if (status != VMNET_SUCCESS) {
    ended(nic);
  } else if (!VN_BROKEN(34)) { /* nobody waits: the success is undone */
    is_started(nic);
    vn_mac_nic_begin_stop(nic);
  }
}

static uint32_t bounded(uint64_t value, uint32_t least, uint32_t most, uint32_t otherwise) {
  return value == 0 ? otherwise : value < least ? least : value > most ? most : (uint32_t)value;
}

/* What vmnet reported, for the data path. */
static uint32_t configure(struct vn_mac_nic *nic) {
  const struct vn_writer *list = &nic->parameters;
  uint64_t longest = vn_list_number(list->data, list->length, "vmnet_max_packet_size", 0);
  uint64_t reads = vn_list_number(list->data, list->length, "vmnet_read_max_packets", 0);
  uint64_t writes = vn_list_number(list->data, list->length, "vmnet_write_max_packets", 0);
  nic->read_most = bounded(reads, 1, 0xffff, PACKETS_DEFAULT);
  nic->write_most = bounded(writes, 1, 0xffff, PACKETS_DEFAULT);
  nic->port.max_packet = bounded(longest, 60, PACKET_LIMIT, PACKET_DEFAULT) + nic->virtio;
  nic->port.min_packet = 14 + nic->virtio;
  nic->port.max_count = nic->read_most > nic->write_most ? nic->read_most : nic->write_most;
  if (nic->port.max_count < 256) nic->port.max_count = 256; /* a call of ours may be several of vmnet's */
  nic->stride = (nic->port.max_packet + 7) & ~7u;
  nic->spare = malloc(nic->stride);
  return nic->spare ? VN_OK : VN_NO_MEMORY;
}

/* vmnet said yes and somebody waits: events on, and the parameters to the reply. Failing, the interface is stopped. */
static uint32_t complete(struct vn_job *job, struct vn_mac_nic *nic) {
  uint32_t status = configure(nic);
  if (status != VN_OK) {
    vn_fail(job, status, NULL, "memory ran out");
  } else {
    vmnet_return_t answer =
        vmnet_interface_set_event_callback(nic->ref, VMNET_INTERFACE_PACKETS_AVAILABLE, nic->events,
                                           ^(interface_event_t mask, xpc_object_t event) {
                                             if (!(mask & VMNET_INTERFACE_PACKETS_AVAILABLE)) return;
                                             const char *key = vmnet_estimated_packets_available_key;
                                             vn_mac_nic_event(nic, event ? xpc_dictionary_get_uint64(event, key) : 0);
                                           });
    if (answer != VMNET_SUCCESS) status = vn_mac_fail(job, answer, "cannot have vmnet's events");
  }
  if (status == VN_OK) {
    struct vn_reader reader;
    struct vn_entry entry;
    vn_list_read(&reader, nic->parameters.data, nic->parameters.length);
    while (vn_list_next(&reader, &entry)) vn_write_entry(&job->result, &entry);
    if (nic->parameters.failed) status = vn_fail(job, VN_NO_MEMORY, NULL, "memory ran out");
  }
  vn_writer_free(&nic->parameters);
  is_started(nic);
  if (status != VN_OK) vn_mac_nic_begin_stop(nic);
  return status;
}

/* Asks vmnet and waits for its handler. The caller's reference is still the caller's. */
static uint32_t ask(struct vn_job *job, struct vn_mac_nic *nic, xpc_object_t description) {
  struct vn_mac_wait *wait = vn_mac_wait_new();
  if (wait == NULL) return vn_fail(job, VN_NO_MEMORY, NULL, "memory ran out");
  vmnet_start_interface_completion_handler_t handler = ^(vmnet_return_t status, xpc_object_t parameters) {
    answered(nic, wait, status, parameters);
  };
  vn_retain(&nic->port.object); /* vmnet's */
  vn_mac_nics_add(nic);
  if (nic->network)
    nic->ref = vmnet_interface_start_with_network(nic->network->ref, description, nic->events, handler);
  else
    nic->ref = vmnet_start_interface(description, nic->events, handler);
  if (nic->ref == NULL && !VN_BROKEN(38)) {
    vn_mac_wait_release(wait); /* the handler's: it never comes */
    vn_mac_wait_release(wait);
    ended(nic);
    return vn_mac_fail(job, VMNET_FAILURE, "vmnet refused to start the interface");
  }
  uint32_t status = VMNET_FAILURE;
  bool came = vn_mac_wait(wait, job, &status);
  if (!VN_BROKEN(36)) vn_mac_wait_release(wait);
  if (!came) return vn_fail(job, vn_job_abandoned(job) ? VN_CANCELLED : VN_TIMEOUT, NULL, "vmnet did not start it in time");
  if (status == VMNET_SUCCESS) return complete(job, nic);
  if (VN_BROKEN(39)) nic->started = true, vn_mac_nic_begin_stop(nic);
  else ended(nic); /* the reference alone: what did not start is not stopped */
  return vn_mac_fail(job, status, "vmnet did not start the interface");
}

uint32_t vn_mac_nic_start(struct vn_job *job, const struct vn_mac_start *start, struct vn_mac_nic **out) {
  struct vn_mac_nic *nic = make(start);
  xpc_object_t description = NULL;
  if (nic == NULL) return vn_fail(job, VN_NO_MEMORY, NULL, "memory ran out");
  uint32_t status = VN_OK;
  uint64_t mode = vn_list_number(start->options, start->length, "vmnet_operation_mode", 0);
  if (start->network && mode && mode != start->network->mode)
    status = vn_fail(job, VN_BAD_OPTION, "vmnet_operation_mode", "the network has another mode");
  if (status == VN_OK)
    status = vn_mac_description(job, start->options, start->length, start->network != NULL, &description);
  if (status == VN_OK) {
    status = ask(job, nic, description);
    if (!VN_BROKEN(33)) xpc_release(description);
  }
  if (status != VN_OK) vn_release(&nic->port.object);
  else *out = nic;
  return status;
}

void vn_mac_nic_stats(struct vn_mac_nic *nic, struct vn_writer *out) {
  vn_write_number(out, "events", vn_counted(&nic->event_count));
  vn_write_number(out, "watchdogCatches", vn_counted(&nic->watch.catches));
}
