// SPDX-License-Identifier: MIT
/* doubles_vmnet.h - interfaces of the double of vmnet for its tests: start and stop with patience, frames in and out.
 * */
#ifndef VN_TEST_DOUBLES_VMNET_H
#define VN_TEST_DOUBLES_VMNET_H

#include <Block.h>
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <vmnet/vmnet.h>

#include "double.h"
#include "test.h"
#include "vmnet_shim.h"
#include "xpc_more.h"

enum { SLOTS = 64, SLOT = 65664 };

struct nic {
  interface_ref ref;
  dispatch_queue_t queue, events;
  atomic_uint status, stopped, calls, event_count, estimate; /* 0: nothing came */
  atomic_bool inside; /* the start call has not returned */
  bool inline_handler;
  xpc_object_t parameters;
  char mac[20];
  uint8_t bytes[SLOTS][2048];
  struct iovec iovecs[SLOTS];
  struct vmpktdesc packets[SLOTS];
};

static inline void nap(unsigned ms) { usleep(ms * 1000); }

/* Waits until it is true, 10 s at the most. */
#define SOON(condition)                                             \
  ({                                                                \
    for (int turns_ = 0; turns_ < 10000 && !(condition); turns_++) nap(1); \
    (condition);                                                    \
  })

static inline xpc_object_t description(uint64_t mode) {
  xpc_object_t out = xpc_dictionary_create(NULL, NULL, 0);
  if (mode != 0) xpc_dictionary_set_uint64(out, vmnet_operation_mode_key, mode);
  return out;
}

/* Begins a start; eats the description. NULL network: the classic way. */
static inline struct nic *nic_begin(xpc_object_t what, vmnet_network_ref network) {
  struct nic *nic = calloc(1, sizeof *nic);
  nic->queue = dispatch_queue_create("control", NULL);
  nic->events = dispatch_queue_create("events", NULL);
  atomic_store(&nic->inside, true);
  vmnet_start_interface_completion_handler_t handler = ^(vmnet_return_t status, xpc_object_t parameters) {
    if (double_current_queue() != nic->queue) abort();
    if (parameters != NULL) nic->parameters = xpc_retain(parameters);
    atomic_fetch_add(&nic->calls, 1);
    atomic_store(&nic->status, status);
  };
#ifndef DOUBLE_OLD
  if (network != NULL) {
    nic->ref = vmnet_interface_start_with_network(network, what, nic->queue, handler);
  } else
#endif
  {
    (void)network;
    nic->ref = vmnet_start_interface(what, nic->queue, handler);
  }
  atomic_store(&nic->inside, false);
  xpc_release(what);
  return nic;
}

static inline struct nic *nic_start_on(xpc_object_t what, vmnet_network_ref network) {
  struct nic *nic = nic_begin(what, network);
  if (nic->ref == NULL || !SOON(atomic_load(&nic->status) != 0)) return nic;
  const char *mac = nic->parameters ? xpc_dictionary_get_string(nic->parameters, vmnet_mac_address_key) : NULL;
  if (mac != NULL) snprintf(nic->mac, sizeof nic->mac, "%s", mac);
  return nic;
}

static inline struct nic *nic_start(uint64_t mode) { return nic_start_on(description(mode), NULL); }

static inline uint64_t nic_number(const struct nic *nic, const char *key) {
  return nic->parameters ? xpc_dictionary_get_uint64(nic->parameters, key) : 0;
}

static inline const char *nic_text(const struct nic *nic, const char *key) {
  const char *text = nic->parameters ? xpc_dictionary_get_string(nic->parameters, key) : NULL;
  return text ? text : "";
}

/* What is left of one that was stopped, or never came up. */
static inline void nic_free(struct nic *nic) {
  if (nic->parameters) xpc_release(nic->parameters);
  dispatch_release(nic->queue);
  dispatch_release(nic->events);
  free(nic);
}

static inline vmnet_return_t nic_begin_stop(struct nic *nic) {
  return vmnet_stop_interface(nic->ref, nic->queue, ^(vmnet_return_t status) {
    atomic_store(&nic->stopped, status);
  });
}

static inline void nothing(void *context) { (void)context; }

static inline uint32_t nic_stop(struct nic *nic) {
  vmnet_return_t status = nic_begin_stop(nic);
  if (status != VMNET_SUCCESS) return status;
  SOON(atomic_load(&nic->stopped) != 0);
  status = atomic_load(&nic->stopped);
  dispatch_sync_f(nic->queue, NULL, nothing); /* the block is released after it ran */
  nic_free(nic);
  return status;
}

/* The status of a start, which is stopped again. */
static inline uint32_t start_status(xpc_object_t what, vmnet_network_ref network) {
  struct nic *nic = nic_start_on(what, network);
  uint32_t status = nic->ref ? atomic_load(&nic->status) : 0;
  dispatch_sync_f(nic->queue, NULL, nothing);
  if (status == VMNET_SUCCESS)
    nic_stop(nic);
  else
    nic_free(nic);
  return status;
}

static inline void nic_listen(struct nic *nic) {
  vmnet_interface_set_event_callback(nic->ref, VMNET_INTERFACE_PACKETS_AVAILABLE, nic->events,
                                     ^(interface_event_t mask, xpc_object_t event) {
                                       if (mask != VMNET_INTERFACE_PACKETS_AVAILABLE) abort();
                                       uint64_t count =
                                           xpc_dictionary_get_uint64(event, vmnet_estimated_packets_available_key);
                                       atomic_store(&nic->estimate, (unsigned)count);
                                       atomic_fetch_add(&nic->event_count, 1);
                                     });
}

static inline void nic_deafen(struct nic *nic) {
  vmnet_interface_set_event_callback(nic->ref, 0, NULL, NULL);
  dispatch_sync_f(nic->events, NULL, nothing);
}

/* Descriptors as a read wants them. */
static inline void nic_reset(struct nic *nic, int count, uint32_t size) {
  for (int i = 0; i < count; i++) {
    nic->iovecs[i] = (struct iovec){nic->bytes[i], size};
    nic->packets[i] = (struct vmpktdesc){.vm_pkt_size = size, .vm_pkt_iov = &nic->iovecs[i], .vm_pkt_iovcnt = 1};
  }
}

/* Reads up to max frames; their number, or minus the status. */
static inline int nic_read(struct nic *nic, int max) {
  nic_reset(nic, max, sizeof nic->bytes[0]);
  vmnet_return_t status = vmnet_read(nic->ref, nic->packets, &max);
  return status == VMNET_SUCCESS ? max : -(int)status;
}

static inline void frame_make(uint8_t *frame, uint32_t length, uint32_t number) {
  memset(frame, (int)number, length);
  memset(frame, 255, 6);
  memcpy(frame + 6, "\x02\0\0\0\0\x07", 6);
  memcpy(frame + 12, "\x88\xb5", 2);
  if (length >= 18) memcpy(frame + 14, &number, 4);
}

/* Writes count frames with numbers from that one on. The status; *taken is what vmnet says it took. */
static inline uint32_t nic_write(struct nic *nic, int count, uint32_t length, uint32_t number, int *taken) {
  static _Thread_local uint8_t frames[SLOTS][SLOT];
  struct iovec iovecs[SLOTS];
  struct vmpktdesc packets[SLOTS];
  int left = count;
  for (int i = 0; i < count; i++) {
    frame_make(frames[i], length, number + (uint32_t)i);
    iovecs[i] = (struct iovec){frames[i], length};
    packets[i] = (struct vmpktdesc){.vm_pkt_size = length, .vm_pkt_iov = &iovecs[i], .vm_pkt_iovcnt = 1};
  }
  vmnet_return_t status = vmnet_write(nic->ref, packets, &left);
  if (taken) *taken = left;
  return status;
}

/* The number in a frame that was read. */
static inline uint32_t nic_frame(const struct nic *nic, int i) {
  uint32_t number;
  memcpy(&number, nic->bytes[i] + 14, 4);
  return number;
}

/* Everything that the doubles count is gone. */
static inline bool nothing_lives(void) {
  static const char *const names[] = {"interfaces", "networks", "configurations", "cf", "blocks", "xpc", "queues"};
  bool all = true;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    bool gone = SOON(double_count(names[i]) == 0);
    if (!gone) fprintf(stderr, "%ld %s live\n", double_count(names[i]), names[i]);
    all &= gone;
  }
  return all;
}

#endif
