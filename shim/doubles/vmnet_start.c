// SPDX-License-Identifier: MIT
/*
 * vmnet_start.c - the life of an interface: start, on a classic network or on a network object, and stop.
 *
 * Theory of operation. A start is looked at and decided on a thread of its own, so that nothing the framework does is
 * done on the caller's thread or in its call; the outcome is handed to the caller's queue. The interface comes up, or
 * becomes a corpse, on that queue, right before the handler is called. A stop goes the same way: its thread takes the
 * interface off the network, waits for event callbacks that run, lets the network go, and the queue sees the corpse.
 */
#include <Block.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "vmnet_double.h"

struct errand {
  struct vmnet_interface *nic;
  dispatch_queue_t queue;
  vmnet_start_interface_completion_handler_t started;
  vmnet_interface_completion_handler_t stopped;
  vmnet_return_t status;
  xpc_object_t parameters;
};

void vd_check(struct vmnet_interface *nic, const char *caller) {
  if (nic == NULL) double_die("%s: the interface is NULL", caller);
  switch (atomic_load(&nic->state)) {
    case VD_STARTING:
    case VD_UP:
    case VD_STOPPING: return;
    case VD_DEAD: double_die("%s: the interface was stopped, or its start failed", caller);
    default: double_die("%s: this is no interface", caller);
  }
}

struct body {
  void (*run)(void *);
  void *context;
};

static void *run_body(void *argument) {
  struct body body = *(struct body *)argument;
  free(argument);
  body.run(body.context);
  return NULL;
}

void vd_thread(void (*run)(void *), void *context) {
  struct body *body = malloc(sizeof *body);
  pthread_attr_t attributes;
  pthread_t thread;
  sigset_t all, before;
  if (body == NULL) double_die("no memory");
  *body = (struct body){run, context};
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  sigfillset(&all); /* signals are the runtime's */
  pthread_sigmask(SIG_SETMASK, &all, &before);
  if (pthread_create(&thread, &attributes, run_body, body) != 0) double_die("no thread");
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
}

void vd_slow(const char *key) {
  if (double_verb(key, "late")) double_sleep((unsigned)double_number(key));
  if (double_verb(key, "hang")) double_hang();
}

/* The corpse keeps its locks: whoever holds it by mistake shall read the state and die of that. */
static void bury(struct vmnet_interface *nic) {
  atomic_store(&nic->state, VD_DEAD);
  double_add("interfaces", -1);
  double_bury(nic);
}

static void deliver_start(void *context) {
  struct errand *errand = context;
  if (errand->status == VMNET_SUCCESS)
    atomic_store(&errand->nic->state, VD_UP);
  else
    bury(errand->nic);
  errand->started(errand->status, errand->parameters);
  if (errand->parameters != NULL) xpc_release(errand->parameters);
  Block_release(errand->started);
  dispatch_release(errand->queue);
  free(errand);
}

/* What is left of an interface apart from the handle. */
static void strip(struct vmnet_interface *nic) {
  vd_events_end(nic->events);
  pthread_mutex_lock(&nic->tx);
  pthread_mutex_lock(&nic->rx);
  nic->closed = true;
  vd_queue_close(&nic->queue);
  pthread_mutex_unlock(&nic->rx);
  pthread_mutex_unlock(&nic->tx);
  vn_writer_free(&nic->asked.remote);
}

static vmnet_return_t bring_up(struct vmnet_interface *nic) {
  vmnet_return_t status = nic->network != NULL ? vd_network_enter(nic->network) : VMNET_SUCCESS;
  if (status != VMNET_SUCCESS) {
    nic->network = NULL;
    return status;
  }
  uint32_t extra = nic->asked.virtio ? VD_VIRTIO : 0;
  nic->least = VD_ETHERNET + extra;
  status = vd_attach(nic);
  if (status != VMNET_SUCCESS && nic->network != NULL) vd_network_leave(nic->network);
  if (status != VMNET_SUCCESS) nic->network = NULL;
  return status;
}

static void run_start(void *context) {
  struct errand *errand = context;
  struct vmnet_interface *nic = errand->nic;
  vd_slow("start");
  if (!vd_allowed()) errand->status = VMNET_FAILURE;
  if (double_verb("start", "fail")) errand->status = (vmnet_return_t)double_number("start");
  struct vmnet_network *network = nic->network;
  if (errand->status != VMNET_SUCCESS) nic->network = NULL;
  if (errand->status == VMNET_SUCCESS) errand->status = bring_up(nic);
  if (network != NULL) CFRelease(network); /* the call's own reference */
  if (errand->status == VMNET_SUCCESS)
    errand->parameters = vd_parameters(nic);
  else
    strip(nic);
  dispatch_async_f(errand->queue, errand, deliver_start);
}

/* Of one call. A macOS that does not report it allows what is documented. */
static uint32_t most_packets(const char *key) {
  long most = double_number(key);
  return (uint32_t)(most > 200 && !double_macos(15, 0) ? 200 : most);
}

static interface_ref start(struct vmnet_network *network, xpc_object_t description, dispatch_queue_t queue,
                           vmnet_start_interface_completion_handler_t handler, const char *caller) {
  if (queue == NULL || handler == NULL) double_die("%s: queue or handler is NULL", caller);
  double_add("starts", 1);
  if (double_verb("start", "null")) return NULL;
  struct vmnet_interface *nic = calloc(1, sizeof *nic);
  struct errand *errand = calloc(1, sizeof *errand);
  if (nic == NULL || errand == NULL) double_die("no memory");
  double_add("interfaces", 1);
  atomic_store(&nic->state, VD_STARTING);
  pthread_mutex_init(&nic->rx, NULL);
  pthread_mutex_init(&nic->tx, NULL);
  atomic_flag_clear(&nic->reading);
  nic->fd = -1;
  nic->events = vd_events_new(nic);
  nic->read_most = most_packets("read_max");
  nic->write_most = most_packets("write_max");
  if (network != NULL) nic->network = (struct vmnet_network *)(uintptr_t)CFRetain(network);
  errand->nic = nic;
  errand->status = vd_describe(description, network != NULL, &nic->asked);
  errand->queue = queue;
  dispatch_retain(queue);
  errand->started = Block_copy(handler);
  vd_thread(run_start, errand);
  return nic;
}

interface_ref vmnet_start_interface(xpc_object_t description, dispatch_queue_t queue,
                                    vmnet_start_interface_completion_handler_t handler) {
  return start(NULL, description, queue, handler, "vmnet_start_interface");
}

#ifndef DOUBLE_OLD
interface_ref vmnet_interface_start_with_network(vmnet_network_ref network, xpc_object_t description,
                                                 dispatch_queue_t queue,
                                                 vmnet_start_interface_completion_handler_t handler) {
  static const char name[] = "vmnet_interface_start_with_network";
  double_cf_check(&network->cf, "networks", name);
  return start(network, description, queue, handler, name);
}
#endif

static void deliver_stop(void *context) {
  struct errand *errand = context;
  bury(errand->nic);
  errand->stopped(VMNET_SUCCESS);
  Block_release(errand->stopped);
  dispatch_release(errand->queue);
  free(errand);
}

static void run_stop(void *context) {
  struct errand *errand = context;
  struct vmnet_interface *nic = errand->nic;
  vd_slow("stop");
  pthread_mutex_lock(&nic->tx); /* a write that is inside comes out, and the next one is refused */
  nic->closed = true;
  pthread_mutex_unlock(&nic->tx);
  vd_detach(nic);
  vd_rules_forget(nic);
  strip(nic);
  if (nic->network != NULL) vd_network_leave(nic->network);
  dispatch_async_f(errand->queue, errand, deliver_stop);
}

vmnet_return_t vmnet_stop_interface(interface_ref nic, dispatch_queue_t queue,
                                    vmnet_interface_completion_handler_t handler) {
  static const char name[] = "vmnet_stop_interface";
  vd_check(nic, name);
  if (queue == NULL || handler == NULL) double_die("%s: queue or handler is NULL", name);
  uint32_t state = VD_UP;
  if (atomic_load(&nic->state) == VD_UP && vd_events_is_queue(nic->events, double_current_queue()))
    double_die("%s: called on the queue of the event callback", name);
  if (double_verb("stop", "fail")) return (vmnet_return_t)double_number("stop");
  if (!atomic_compare_exchange_strong(&nic->state, &state, VD_STOPPING))
    return state == VD_STARTING ? VMNET_SETUP_INCOMPLETE : VMNET_INVALID_ARGUMENT;
  /* Nothing says what becomes of such a call, so nobody may count on it. A later one is refused. */
  if (atomic_load(&nic->inside) > 0) double_die("%s: a read or a write has not returned", name);
  struct errand *errand = calloc(1, sizeof *errand);
  if (errand == NULL) double_die("no memory");
  *errand = (struct errand){.nic = nic, .queue = queue, .stopped = Block_copy(handler)};
  dispatch_retain(queue);
  vd_thread(run_stop, errand);
  return VMNET_SUCCESS;
}
