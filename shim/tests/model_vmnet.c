// SPDX-License-Identifier: MIT
/* model_vmnet.c - see model_vmnet.h. */
#include "model_vmnet.h"

#include <stdlib.h>
#include <string.h>

#include "model.h"
#include "vmnet_shim.h"

#ifdef VN_MODEL_VMNET

enum { LONGEST = 64, STORM = 80 };

struct vmnet_interface {
  struct thing *thing;
  uint32_t head, tail; /* of its queue: numbers of frames */
  uint32_t bad;        /* frames that were refused */
  uint32_t posted;     /* events that wait for the queue */
  bool edge, drops, coalesces, repeats, storms, delays;
  bool quiet; /* a read said "none" since the last event */
  bool stopped;
};

static bool is_bad(uint32_t number) { return number % 7 == 4; }

void vmnet_init(struct thing *thing, const struct vn_class *class, struct vn_doorbell *doorbell) {
  struct vn_mac_nic *nic = &thing->nic;
  struct vmnet_interface *ref = calloc(1, sizeof *ref);
  vn_port_init(&nic->port, class, doorbell, &vn_mac_source);
  *ref = (struct vmnet_interface){.thing = thing, .quiet = true};
  ref->edge = model_random(2);
  ref->drops = !ref->edge && !model_random(3);
  ref->coalesces = model_random(2);
  ref->repeats = !model_random(4);
  ref->storms = !model_random(6);
  ref->delays = model_random(2);
  nic->ref = ref;
  nic->pending = 1; /* as nic.c begins */
  nic->wake = vn_mac_nic_wake_port;
  nic->port.max_packet = LONGEST;
  nic->stride = LONGEST;
  nic->read_most = 1 + model_random(4);
  nic->write_most = 1 + model_random(4);
  nic->spare = malloc(LONGEST);
}

/* publish() - A frame is in the queue; last: no other comes. */
static void publish(struct vmnet_interface *ref, bool last) {
  ref->tail++;
  ref->thing->published++;
  if (ref->edge && !ref->quiet) return;
  if (ref->drops && !last && model_random(2)) return;
  ref->quiet = false;
  ref->posted = ref->coalesces ? 1 : ref->posted + 1;
  model_wake(&ref->posted);
}

void *vmnet_producer(void *argument) {
  struct thing *thing = argument;
  struct vmnet_interface *ref = thing->nic.ref;
  uint32_t frames = model_random(16);
  bool ends = !model_random(8);
  for (uint32_t number = 0; number < frames && !thing->ended;) {
    for (uint32_t burst = 1 + model_random(6); burst && number < frames; burst--, number++)
      publish(ref, number + 1 == frames);
    vn_model_step();
    if (!model_random(3)) vn_sleep_ns(model_random(2000000));
    if (ends && !model_random(4)) break;
  }
  if (ends) { /* its network, in the midst of whatever the script does */
    vn_port_fail(&thing->nic.port, VN_STOPPED);
    thing->ended = true;
    vmnet_stop(thing);
  }
  vn_release(&thing->nic.port.object);
  return NULL;
}

void *vmnet_events(void *argument) {
  struct thing *thing = argument;
  struct vmnet_interface *ref = thing->nic.ref;
  while (!thing->ended) {
    if (!ref->posted) {
      model_wait(&ref->posted, 0);
      continue;
    }
    ref->posted--;
    if (ref->delays && model_random(2)) vn_sleep_ns(model_random(3000000));
    uint32_t times = ref->repeats ? 1 + model_random(3) : 1;
    if (ref->storms) times += STORM;
    for (; times && !thing->ended; times--) {
      vn_mac_nic_event(&thing->nic, ref->tail - ref->head);
      if (ref->storms && ref->head == ref->tail) break; /* somebody has read */
    }
  }
  vn_release(&thing->nic.port.object);
  return NULL;
}

void vn_mac_nic_left(struct vn_mac_nic *nic) {
  MODEL_CHECK(!nic->ref->stopped);
  nic->ref->stopped = true;
}

void vmnet_stop(struct thing *thing) {
  if (vn_mac_nic_shut(&thing->nic)) vn_mac_nic_leave(&thing->nic);
  model_wake(&thing->nic.ref->posted);
}

void vmnet_free(struct thing *thing) {
  MODEL_CHECK(thing->nic.ref->stopped);
  free(thing->nic.spare);
  free(thing->nic.ref);
}

void vmnet_settle(struct thing *thing) {
  struct vmnet_interface *ref = thing->nic.ref;
  while (thing->arrived < thing->sent && is_bad(thing->arrived)) thing->arrived++, ref->bad++;
  if (vn_counted(&thing->nic.port.stats.dropped_out) != ref->bad) model_fail("good frames were dropped");
}

static void check(interface_ref ref, const struct vmpktdesc *packet, bool filled) {
  MODEL_CHECK(!ref->stopped);
  MODEL_CHECK(packet->vm_pkt_iovcnt == 1 && packet->vm_flags == 0);
  MODEL_CHECK(packet->vm_pkt_size == packet->vm_pkt_iov->iov_len);
  MODEL_CHECK(filled || packet->vm_pkt_size == LONGEST);
}

/* What the real one does to them is its own affair, so nothing of them is good for a second call. */
static void soil(struct vmpktdesc *packets, int count) {
  for (int i = 0; i < count; i++) packets[i].vm_flags = 0xdead;
}

vmnet_return_t vmnet_read(interface_ref ref, struct vmpktdesc *packets, int *count) {
  vn_model_step();
  int most = (int)(ref->tail - ref->head), taken = *count < most ? *count : most;
  MODEL_CHECK(*count >= 1 && (uint32_t)*count <= ref->thing->nic.read_most);
  for (int i = 0; i < *count; i++) check(ref, &packets[i], false);
  if (taken > 1 && !model_random(4)) taken = 1 + (int)model_random((uint32_t)taken); /* a short read, with frames left */
  uint32_t number = ref->head;
  ref->head += (uint32_t)taken;
  if (!taken) ref->quiet = true;
  *count = taken;
  for (int i = 0; i < taken; i++, number++) {
    VN_STEP();
    memset(packets[i].vm_pkt_iov->iov_base, (int)number + 1, length_of(number));
    packets[i].vm_pkt_size = length_of(number);
  }
  soil(packets, taken);
  for (uint32_t late = model_random(4); late; late--) vn_model_step(); /* what it says is no longer true when it says so */
  MODEL_CHECK(!ref->stopped);
  return VMNET_SUCCESS;
}

vmnet_return_t vmnet_write(interface_ref ref, struct vmpktdesc *packets, int *count) {
  struct thing *thing = ref->thing;
  vn_model_step();
  MODEL_CHECK(*count >= 1 && (uint32_t)*count <= thing->nic.write_most);
  bool bad = false;
  uint32_t number = thing->arrived;
  for (int i = 0; i < *count; i++) {
    check(ref, &packets[i], true);
    bad |= is_bad(((const uint8_t *)packets[i].vm_pkt_iov->iov_base)[0] - 1u);
  }
  /* Full buffers may have taken some, and then say how many; whether they say so when they took none is not known. */
  int given = *count, taken = given;
  vmnet_return_t status = !model_random(5) ? VMNET_BUFFER_EXHAUSTED : bad ? VMNET_INVALID_ARGUMENT : VMNET_SUCCESS;
  if (status == VMNET_BUFFER_EXHAUSTED) taken = bad ? 0 : (int)model_random((uint32_t)given);
  if (status == VMNET_INVALID_ARGUMENT) taken = 0;
  if (status == VMNET_SUCCESS && given > 1 && !model_random(8)) taken--; /* not documented, but it is an answer */
  for (int i = 0; i < taken; i++, number++) {
    for (; is_bad(number); number++) ref->bad++;
    MODEL_CHECK(frame_is(packets[i].vm_pkt_iov->iov_base, (uint32_t)packets[i].vm_pkt_size, number));
  }
  thing->arrived = number;
  if (status == VMNET_SUCCESS || taken || model_random(2)) *count = taken;
  for (int i = 0; i < given; i++) packets[i].vm_pkt_size = 0;
  soil(packets, given);
  MODEL_CHECK(!ref->stopped);
  return status;
}

#endif
