// SPDX-License-Identifier: MIT
/*
 * nic_source.c - vmnet as a port's source: its events, its reads and writes, and the gate that they pass.
 *
 * Theory of operation. Reading: pending is cleared first, then vmnet_read() is called until it says "none" or there is
 * no
 * room. An event that comes too late for the last call finds pending clear and leaves it set, and port.c looks at it
 * once
 * more after it armed the port. Only a call that said "none" makes vmnet tell of the next frame, so a short read is
 * followed by another; when the room ran out instead, pending is left set: whoever looks next has to read. Packets go
 * straight into the arena, each to a slot of its own, and every descriptor is made anew before every call, because
 * vmnet
 * writes to them.
 *
 * Writing: vmnet takes a batch, a part of it, or nothing. When its buffers are full (1007) the rest is the caller's:
 * nothing ever says that there is room again. Any other refusal may be one frame's fault, so the frames of that batch
 * are
 * sent one by one, and the bad ones are dropped and counted.
 *
 * The gate: a call of vmnet adds one to inside and takes it away afterwards. The stop sets the topmost bit once, after
 * which nobody gets in, and is told by the last one that comes out; it counts itself, so somebody always comes out.
 *
 * No lock, no memory: all of this is atomic operations and vmnet's own calls, which is what lets the model run it.
 */
#include <string.h>

#include "nic.h"
#include "vmnet_shim.h"

#define PATIENCE 64u       /* events that nobody looked at, before they are slowed down */
#define PAUSE_NS 1000000u  /* for that long each */
#define FEW 4u             /* slots of a call that will say "none" most likely: setting them up is most of its price */

/* The gate. */

bool vn_mac_nic_enter(struct vn_mac_nic *nic) {
  uint32_t inside = vn_atomic_load(&nic->inside);
  do {
    if ((inside & VN_GATE_CLOSED) && !VN_BROKEN(21)) return false;
  } while (!vn_atomic_cas(&nic->inside, &inside, inside + 1));
  return true;
}

void vn_mac_nic_leave(struct vn_mac_nic *nic) {
  if (vn_atomic_add(&nic->inside, -1) == (VN_GATE_CLOSED | 1)) vn_mac_nic_left(nic);
}

bool vn_mac_nic_shut(struct vn_mac_nic *nic) {
  uint32_t inside = vn_atomic_load(&nic->inside);
  do {
    if (inside & VN_GATE_CLOSED) return false;
  } while (!vn_atomic_cas(&nic->inside, &inside, (inside | VN_GATE_CLOSED) + 1));
  return true;
}

/* Events. */

/**
 * vn_mac_nic_event() - Frames wait. Runs in vmnet's event block: no lock, no memory.
 * @estimate: how many, as vmnet believes
 */
void vn_mac_nic_event(struct vn_mac_nic *nic, uint64_t estimate) {
  if (vn_atomic_load(&nic->inside) & VN_GATE_CLOSED) return;
  vn_count(&nic->event_count, 1);
  vn_atomic_store(&nic->event_frames, estimate ? estimate : 1);
  if (VN_BROKEN(18)) nic->wake(nic); /* too early: who looks now sees nothing */
  bool seen = !vn_atomic_exchange(&nic->pending, 1);
  if (!VN_BROKEN(18)) nic->wake(nic);
  /* vmnet goes on calling while nobody reads. What a pause keeps from being said is in pending already. */
  uint32_t ignored = seen ? 0 : vn_atomic_load(&nic->disarmed) + 1;
  vn_atomic_store(&nic->disarmed, ignored);
  if (ignored >= PATIENCE && !VN_BROKEN(41)) vn_sleep_ns(PAUSE_NS);
}

void vn_mac_nic_wake_port(struct vn_mac_nic *nic) { vn_port_arrived(&nic->port); }

/* Reading. */

struct batch {
  struct vmpktdesc packets[VN_MAC_BATCH];
  struct iovec places[VN_MAC_BATCH];
};

/* Every field, each time: vmnet has written to them. */
static void set(struct batch *batch, uint32_t i, uint8_t *at, uint32_t length) {
  batch->places[i] = (struct iovec){.iov_base = at, .iov_len = length};
  batch->packets[i] = (struct vmpktdesc){.vm_pkt_size = length, .vm_pkt_iov = &batch->places[i], .vm_pkt_iovcnt = 1};
}

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

/* How many slots an arena has; the last one needs no more than a packet. */
static uint32_t room_of(const struct vn_mac_nic *nic, uint32_t arena_length) {
  if (arena_length < nic->port.max_packet) return 0;
  return (arena_length - nic->port.max_packet) / nic->stride + 1;
}

/* One vmnet_read() into slots of that stride. Their number, or a vmnet_return_t with its sign turned. */
static int32_t read_some(struct vn_mac_nic *nic, struct batch *batch, uint8_t *to, uint32_t slots) {
  int count = (int)slots;
  for (uint32_t i = 0; i < slots && !VN_BROKEN(15); i++)
    set(batch, i, to + (size_t)i * nic->stride, nic->port.max_packet);
  vmnet_return_t status = vmnet_read(nic->ref, batch->packets, &count);
  if (status != VMNET_SUCCESS) return -(int32_t)status;
  return count < 0 ? 0 : (int32_t)least((uint32_t)count, slots);
}

static void describe(uint32_t *descriptor, uint32_t offset, uint32_t length, uint32_t whole, uint32_t meta, uint64_t now) {
  descriptor[0] = offset;
  descriptor[1] = length;
  descriptor[2] = whole;
  descriptor[3] = meta;
  descriptor[4] = (uint32_t)now;
  descriptor[5] = (uint32_t)(now >> 32);
}

/* An arena that is shorter than a packet may be: one packet by way of the spare room, cut if it has to be. */
static int32_t read_cut(struct vn_mac_nic *nic, struct batch *batch, uint8_t *arena, uint32_t arena_length,
                        uint32_t *descriptor) {
  int32_t count = read_some(nic, batch, nic->spare, 1);
  if (count <= 0) return count;
  uint32_t whole = least((uint32_t)batch->packets[0].vm_pkt_size, nic->port.max_packet);
  uint32_t length = least(whole, arena_length);
  uint32_t meta = (nic->virtio ? VN_META_VIRTIO : 0) | (length < whole ? VN_META_TRUNCATED : 0);
  memcpy(arena, nic->spare, length);
  describe(descriptor, 0, length, whole, meta, vn_realtime_ns());
  vn_count(&nic->port.stats.frames_in, 1);
  vn_count(&nic->port.stats.bytes_in, length);
  return 1;
}

/* Until vmnet says "none" or the room is used up, which *full says. */
static int32_t read_all(struct vn_mac_nic *nic, struct batch *batch, uint8_t *arena, uint32_t arena_length,
                        uint32_t *descriptors, uint32_t max, bool *full) {
  uint32_t room = least(room_of(nic, arena_length), max), done = 0;
  uint32_t meta = nic->virtio ? VN_META_VIRTIO : 0;
  uint64_t now = 0, bytes = 0;
  bool few = false;
  int32_t count = 1;
  if (VN_BROKEN(15))
    for (uint32_t i = 0; i < VN_MAC_BATCH; i++) set(batch, i, arena + (size_t)i * nic->stride, nic->port.max_packet);
  while (done < room && count > 0) {
    uint32_t slots = least(least(room - done, nic->read_most), few ? FEW : VN_MAC_BATCH), offset = done * nic->stride;
    if (VN_BROKEN(20)) offset = 0;
    count = read_some(nic, batch, arena + offset, slots);
    if (count > 0 && !now) now = vn_realtime_ns();
    for (int32_t i = 0; i < count; i++, done++, offset += nic->stride, descriptors += VN_DESCRIPTOR_WORDS) {
      uint32_t length = least((uint32_t)batch->packets[i].vm_pkt_size, nic->port.max_packet);
      describe(descriptors, offset, length, length, meta, now);
      bytes += length;
    }
    few = count < (int32_t)slots;
    if (VN_BROKEN(16) && few) break;
  }
  if (count < 0 && !done) return count;
  *full = count < 0 || done == room; /* after an error too: the next call will answer it */
  if (done) vn_count(&nic->port.stats.frames_in, done);
  if (done) vn_count(&nic->port.stats.bytes_in, bytes);
  return (int32_t)done;
}

int32_t vn_mac_nic_read(struct vn_mac_nic *nic, uint8_t *arena, uint32_t arena_length, uint32_t *descriptors, uint32_t max,
                        bool *more) {
  struct batch batch;
  int32_t count;
  if (!vn_mac_nic_enter(nic)) return -VN_STOPPED;
  if (!VN_BROKEN(14)) vn_atomic_store(&nic->pending, 0);
  *more = true;
  if (!room_of(nic, arena_length)) {
    count = read_cut(nic, &batch, arena, arena_length, descriptors);
    if (!count) *more = false;
  } else {
    count = read_all(nic, &batch, arena, arena_length, descriptors, max, more);
  }
  if (VN_BROKEN(14)) vn_atomic_store(&nic->pending, 0);
  if (*more && !VN_BROKEN(17)) vn_atomic_store(&nic->pending, 1);
  vn_mac_nic_leave(nic);
  return count;
}

/* Writing. */

/* One vmnet_write(). How many of the frames it took, and in *status why not all. A refusal may say that some were
 * taken;
 * when it says all of them, it has left the count alone. */
static uint32_t write_some(struct vn_mac_nic *nic, struct batch *batch, uint32_t first, uint32_t frames,
                           vmnet_return_t *status) {
  int count = (int)frames;
  *status = vmnet_write(nic->ref, batch->packets + first, &count);
  uint32_t taken = count < 0 ? 0 : least((uint32_t)count, frames);
  if (*status != VMNET_SUCCESS && (taken == frames || VN_BROKEN(24))) taken = 0;
  if (*status == VMNET_SUCCESS && !taken) *status = VMNET_BUFFER_EXHAUSTED;
  return taken;
}

static void sent(struct vn_mac_nic *nic, const uint32_t *descriptors, uint32_t frames) {
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < frames; i++) bytes += descriptors[i * VN_DESCRIPTOR_WORDS + 1];
  vn_count(&nic->port.stats.frames_out, frames);
  vn_count(&nic->port.stats.bytes_out, bytes);
}

static void fill(struct batch *batch, const uint8_t *arena, const uint32_t *descriptors, uint32_t frames) {
  for (uint32_t i = 0; i < frames; i++, descriptors += VN_DESCRIPTOR_WORDS)
    set(batch, i, (uint8_t *)(uintptr_t)arena + descriptors[0], descriptors[1]);
}

/* The frames of a refused batch, each alone. How many are done with; fewer than all when vmnet's buffers are full. */
static uint32_t write_alone(struct vn_mac_nic *nic, struct batch *batch, const uint32_t *descriptors, uint32_t frames) {
  for (uint32_t i = 0; i < frames; i++, descriptors += VN_DESCRIPTOR_WORDS) {
    vmnet_return_t status = VMNET_FAILURE;
    uint32_t taken = VN_BROKEN(22) ? 0 : write_some(nic, batch, i, 1, &status);
    if (!taken && status == VMNET_BUFFER_EXHAUSTED) return i;
    if (taken) sent(nic, descriptors, 1);
    else vn_count(&nic->port.stats.dropped_out, 1);
  }
  return frames;
}

int32_t vn_mac_nic_write(struct vn_mac_nic *nic, const uint8_t *arena, const uint32_t *descriptors, uint32_t count) {
  struct batch batch;
  uint32_t done = 0;
  bool full = false;
  if (!vn_mac_nic_enter(nic)) return -VN_STOPPED;
  while (done < count && !full) {
    const uint32_t *first = descriptors + (size_t)done * VN_DESCRIPTOR_WORDS;
    uint32_t frames = least(least(count - done, nic->write_most), VN_MAC_BATCH);
    vmnet_return_t status;
    fill(&batch, arena, first, frames);
    uint32_t taken = write_some(nic, &batch, 0, frames, &status);
    if (taken) sent(nic, first, taken);
    if (status == VMNET_BUFFER_EXHAUSTED) {
      full = true;
      if (VN_BROKEN(19)) taken = frames;
    } else if (status != VMNET_SUCCESS) {
      first += (size_t)taken * VN_DESCRIPTOR_WORDS;
      fill(&batch, arena, first, frames - taken); /* vmnet has written to them */
      uint32_t alone = write_alone(nic, &batch, first, frames - taken);
      full = alone < frames - taken;
      taken += alone;
    }
    done += taken;
  }
  vn_mac_nic_leave(nic);
  return full && !done ? -VMNET_BUFFER_EXHAUSTED : (int32_t)done;
}

/* As a port's source. */

static int32_t receive(struct vn_port *port, uint8_t *arena, uint32_t arena_length, uint32_t *descriptors, uint32_t max,
                       bool *more) {
  return vn_mac_nic_read((struct vn_mac_nic *)port, arena, arena_length, descriptors, max, more);
}

static bool empty(struct vn_port *port) {
  return VN_BROKEN(13) || !vn_atomic_load(&((struct vn_mac_nic *)port)->pending);
}

static int32_t transmit(struct vn_port *port, const uint8_t *arena, const uint32_t *descriptors, uint32_t count) {
  return vn_mac_nic_write((struct vn_mac_nic *)port, arena, descriptors, count);
}

/* Nothing tells of room, so the port never waits for it: it tries once more, is told 1007, and passes that on. */
static bool full(struct vn_port *port, uint32_t length) { return (void)port, (void)length, VN_BROKEN(23); }

static uint32_t estimate(struct vn_port *port) {
  struct vn_mac_nic *nic = (struct vn_mac_nic *)port;
  uint64_t frames = vn_atomic_load(&nic->event_frames);
  return !vn_atomic_load(&nic->pending) ? 0 : frames > UINT32_MAX ? UINT32_MAX : (uint32_t)frames;
}

const struct vn_source vn_mac_source = {receive, empty, transmit, full, estimate};
