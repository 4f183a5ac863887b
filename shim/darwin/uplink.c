// SPDX-License-Identifier: MIT
/*
 * uplink.c - see uplink.h. Everything but the waker belongs to the network's thread.
 *
 * The port holds the interface by one reference while it is on the network. When either ends so does the other: an
 * interface that fails ends the network, by a timer because a port may not be removed in the middle of a turn; a port
 * that is taken off begins the interface's stop. A loan is what plane/lent.c makes of that: the interface goes back.
 *
 * Frames that were read lie in the buffer until the next read, which is in a later turn, when the flush is over.
 */
#include "uplink.h"

#include <stdlib.h>
#include <string.h>

#include "embedded/network.h"
#include "gateway/protocol.h"
#include "network.h"
#include "plane/loan.h"
#include "plane/offload.h"
#include "vmnet_shim.h"

#define IN_FRAMES VN_TURN_FRAMES
#define IN_BYTES (1u << 20)  /* 64 frames, or the 16 of 64 KiB that TSO brings */
#define OUT_BYTES (256u << 10)
#define OUT_FRAMES 128u
#define TRIES 10u            /* of a write that vmnet has no buffers for ... */
#define PAUSE_NS 50000u      /* ... and the time between two */

struct uplink {
  struct vn_lent lent;    /* first; of an interface that is not a script's only port and gone are used */
  struct vn_mac_nic *nic; /* counted */
  vn_atomic_u32 *look, own_look; /* the waker's, or a loan's own */
  uint8_t *in, *out;
  uint32_t in_bytes, in_frames, in_next, in_count; /* the last two: of those read, what is to be forwarded */
  uint32_t out_used, out_count;
  bool alone, failed, scripts; /* scripts: a loan */
  uint32_t in_at[IN_FRAMES * VN_DESCRIPTOR_WORDS];
  uint32_t out_at[OUT_FRAMES * VN_DESCRIPTOR_WORDS];
};

static struct uplink *of(struct vn_net_port *port) { return (struct uplink *)port; }

void vn_mac_uplink_wake(struct vn_mac_nic *nic) {
  struct vn_mac_waker *waker = nic->sink;
  struct vn_network *network = atomic_load(&waker->network);
  if (!VN_BROKEN(71)) vn_atomic_store(&waker->look, 1); /* first: who goes to sleep meanwhile sees it */
  if (network != NULL) vn_network_wake(network);
}

void vn_mac_waker_free(struct vn_mac_waker *waker) {
  struct vn_network *network = atomic_exchange(&waker->network, NULL);
  if (network != NULL) vn_network_release(network);
}

static void loan_wake(struct vn_sink *sink) {
  struct uplink *uplink = (struct uplink *)((char *)sink - offsetof(struct uplink, lent.sink));
  vn_atomic_store(&uplink->own_look, 1);
  vn_network_wake(uplink->lent.port.network);
}

static void over_due(struct vn_network *network, struct vn_timer *timer) {
  (void)timer;
  vn_network_end(network, VN_GONE);
}

static void fail(struct uplink *uplink) {
  struct vn_network *network = uplink->lent.port.network;
  if (!uplink->failed) vn_network_timer(network, &uplink->lent.gone, network->now_ns);
  uplink->failed = true;
}

/* From vmnet. */

/* Who is alone with another port waits for its room, and leaves frames to vmnet meanwhile; a switch drops. */
static bool held_up(struct uplink *uplink) {
  struct vn_net_port *peer = uplink->lent.port.peer;
  if (uplink->failed) return true;
  return uplink->alone && (peer == NULL || !peer->class->room(peer));
}

static bool something_waits(struct uplink *uplink) {
  return uplink->in_next < uplink->in_count || vn_atomic_load(uplink->look) || vn_atomic_load(&uplink->nic->pending);
}

static void read_in(struct uplink *uplink) {
  bool more; /* vn_mac_nic_read() leaves pending set then */
  vn_atomic_store(uplink->look, 0);
  int32_t count = vn_mac_nic_read(uplink->nic, uplink->in, uplink->in_bytes, uplink->in_at, uplink->in_frames, &more);
  uplink->in_next = 0;
  uplink->in_count = count < 0 ? 0 : (uint32_t)count;
  if (count > 0) vn_tally(&uplink->lent.port.stats.reads, 1);
  if (count >= 0) return;
  if (count == -VN_STOPPED) {
    fail(uplink);
    return;
  }
  vn_network_drop(&uplink->lent.port, VN_DROP_BAD);
  vn_atomic_store(&uplink->nic->pending, 0); /* not again at once: the next event or the watchdog tries */
}

static void forward(struct vn_net_port *port, const uint8_t *frame, uint32_t length) {
  struct vn_packet packet = {.frame = frame, .length = length, .lasting = true};
  if (port->virtio) {
    if (length < VN_VIRTIO_HEADER + VN_ETHERNET_HEADER) {
      vn_network_drop(port, VN_DROP_BAD);
      return;
    }
    packet.header = frame;
    packet.frame += VN_VIRTIO_HEADER;
    packet.length -= VN_VIRTIO_HEADER;
  }
  vn_network_forward(port, &packet);
}

static bool uplink_input(struct vn_net_port *port) {
  struct uplink *uplink = of(port);
  if (uplink->scripts && !uplink->failed && !vn_lent_works(&uplink->lent)) uplink->failed = true;
  if (held_up(uplink) || !something_waits(uplink)) return false;
  if (uplink->in_next == uplink->in_count) read_in(uplink);
  while (uplink->in_next < uplink->in_count && !held_up(uplink)) {
    const uint32_t *at = uplink->in_at + (size_t)uplink->in_next++ * VN_DESCRIPTOR_WORDS;
    forward(port, uplink->in + at[0], at[1]);
  }
  return !held_up(uplink) && something_waits(uplink);
}

/* Who has no room wakes the thread when it has. An interface that ends is noticed meanwhile. */
static bool uplink_idle(struct vn_net_port *port) {
  struct uplink *uplink = of(port);
  if (uplink->scripts) vn_atomic_store(&uplink->nic->port.armed, 1); /* before the look */
  if (uplink->scripts && !uplink->failed && vn_atomic_load(&uplink->nic->port.status) != VN_OK) return false;
  return held_up(uplink) || !something_waits(uplink);
}

/* To vmnet. */

static void drop(struct uplink *uplink, uint32_t first, uint32_t end) {
  uint32_t extra = uplink->lent.port.virtio ? VN_VIRTIO_HEADER : 0;
  for (uint32_t i = first; i < end; i++)
    vn_network_lost(&uplink->lent.port, uplink->out_at[i * VN_DESCRIPTOR_WORDS + 1] - extra);
}

static void write_out(struct uplink *uplink) {
  uint32_t done = 0, tries = 0, count = uplink->out_count;
  while (done < count && !uplink->failed) {
    const uint32_t *at = uplink->out_at + (size_t)done * VN_DESCRIPTOR_WORDS;
    int32_t taken = vn_mac_nic_write(uplink->nic, uplink->out, at, count - done);
    if (taken > 0) {
      done += (uint32_t)taken;
    } else if (taken == 0 || taken == -VMNET_BUFFER_EXHAUSTED) {
      if (++tries == TRIES || VN_BROKEN(72)) break;
      vn_sleep_ns(PAUSE_NS);
    } else if (taken == -VN_STOPPED || taken == -VN_GONE) {
      fail(uplink);
    } else { /* it is the first frame that vmnet does not like */
      drop(uplink, done, done + 1);
      done++;
    }
  }
  drop(uplink, done, count);
  vn_tally(&uplink->lent.port.stats.writes, 1);
  uplink->out_count = uplink->out_used = 0;
}

static void uplink_output(struct vn_net_port *port, const struct vn_packet *packet) {
  struct uplink *uplink = of(port);
  uint32_t extra = port->virtio ? VN_VIRTIO_HEADER : 0, length = packet->length + extra;
  if (length < uplink->nic->port.min_packet) { /* vmnet would refuse the whole batch */
    vn_network_drop(port, VN_DROP_BAD);
    return;
  }
  if (uplink->out_count == OUT_FRAMES || uplink->out_used + length > OUT_BYTES) write_out(uplink);
  uint32_t *at = uplink->out_at + (size_t)uplink->out_count++ * VN_DESCRIPTOR_WORDS;
  at[0] = uplink->out_used;
  at[1] = length;
  if (extra) memcpy(uplink->out + at[0], packet->header != NULL ? packet->header : vn_offload_none, extra);
  memcpy(uplink->out + at[0] + extra, packet->frame, packet->length);
  uplink->out_used += (length + 7) & ~7u;
}

static void uplink_flush(struct vn_net_port *port) {
  if (of(port)->out_count > 0) write_out(of(port));
}

/* There is always room: what vmnet does not take is dropped, as a real wire does. */
static bool uplink_room(struct vn_net_port *port) {
  (void)port;
  return true;
}

static void discard(struct vn_lent *lent) {
  struct uplink *uplink = (struct uplink *)lent;
  vn_count(&uplink->nic->port.stats.dropped_in, uplink->in_count - uplink->in_next); /* read, and held up since */
  free(uplink->in);
  free(uplink->out);
  free(uplink);
}

static void uplink_removed(struct vn_net_port *port, uint32_t status) {
  struct uplink *uplink = of(port);
  struct vn_network *network = port->network;
  if (uplink->scripts) {
    vn_lent_removed(port, status);
    return;
  }
  vn_network_timer(network, &uplink->lent.gone, 0);
  if (network->lone == port) network->lone = NULL;
  if (!network->ending) vn_network_stop(network, VN_GONE); /* its only interface left */
  struct vn_mac_nic *nic = uplink->nic;
  vn_mac_nic_begin_stop(nic);
  discard(&uplink->lent);
  if (!VN_BROKEN(73)) vn_release(&nic->port.object);
}

static const struct vn_net_port_class uplink_class = {.input = uplink_input,
                                                      .idle = uplink_idle,
                                                      .room = uplink_room,
                                                      .output = uplink_output,
                                                      .flush = uplink_flush,
                                                      .removed = uplink_removed};

struct attach {
  struct vn_command command;
  struct uplink *uplink;
  bool attached;
};

static void run_attach(struct vn_network *network, struct vn_command *command) {
  struct attach *attach = (struct attach *)command;
  struct uplink *uplink = attach->uplink;
  attach->attached = !network->ending && vn_network_add(network, &uplink->lent.port);
  if (attach->attached && uplink->alone) network->lone = &uplink->lent.port;
  vn_command_done(network, command);
}

static struct uplink *make(struct vn_mac_nic *nic, bool alone) {
  struct uplink *uplink = calloc(1, sizeof *uplink);
  if (uplink == NULL) return NULL;
  uplink->in_frames = nic->stride > 0 && IN_BYTES / nic->stride < IN_FRAMES ? IN_BYTES / nic->stride : IN_FRAMES;
  if (uplink->in_frames == 0) uplink->in_frames = 1;
  uplink->in_bytes = uplink->in_frames * nic->stride;
  uplink->in = malloc(uplink->in_bytes);
  uplink->out = malloc(OUT_BYTES);
  struct vn_net_port *port = &uplink->lent.port;
  port->class = &uplink_class;
  port->kind = "uplink";
  port->virtio = nic->virtio != 0 && !alone;
  uint32_t most = VN_FRAME_LIMIT + nic->virtio; /* a longer one would end the stream that it went to */
  port->max_frame = nic->port.max_packet < most ? nic->port.max_packet : most;
  if (port->virtio) port->max_frame -= VN_VIRTIO_HEADER;
  port->table.uplink = true;
  uplink->alone = alone;
  uplink->lent.gone.due = over_due;
  uplink->lent.free = discard;
  uplink->nic = nic;
  if (uplink->in != NULL && uplink->out != NULL) return uplink;
  discard(&uplink->lent);
  return NULL;
}

uint32_t vn_mac_uplink_attach(struct vn_network *network, struct vn_mac_nic *nic, bool alone) {
  struct vn_mac_waker *waker = nic->sink;
  struct vn_network *none = NULL;
  struct attach attach = {.command.run = run_attach, .uplink = make(nic, alone)};
  if (attach.uplink == NULL) return VN_NO_MEMORY;
  attach.uplink->look = &waker->look;
  vn_network_retain(network);
  if (!atomic_compare_exchange_strong(&waker->network, &none, network)) { /* an attempt before failed: it was ending */
    vn_network_release(network);
    discard(&attach.uplink->lent);
    return VN_GONE;
  }
  vn_retain(&nic->port.object);
  vn_atomic_store(&waker->look, 1); /* at frames that came before */
  if (vn_network_call(network, &attach.command) && attach.attached) return VN_OK;
  /* The waker keeps the network: an event block may be about to wake it, until the interface has ended. */
  vn_release(&nic->port.object);
  discard(&attach.uplink->lent);
  return VN_GONE;
}

/* Its own switch's wire: frames would go round in circles. */
static bool is_on(const struct vn_mac_nic *nic, const struct vn_network *network) {
  if (nic->network == NULL) return false;
  vn_lock(&nic->network->lock);
  bool same = nic->network->shared == network;
  vn_unlock(&nic->network->lock);
  return same;
}

uint32_t vn_mac_nic_lend(struct vn_job *job, struct vn_object *interface, const struct vn_loan *loan) {
  struct vn_mac_nic *nic = (struct vn_mac_nic *)interface;
  if (is_on(nic, loan->network))
    return vn_fail(job, VN_BAD_OPTION, "object", "the interface is on that switch already");
  struct uplink *uplink = make(nic, false);
  if (uplink == NULL) return vn_fail(job, VN_NO_MEMORY, NULL, "memory ran out");
  uplink->scripts = true;
  uplink->look = &uplink->own_look;
  uplink->lent.sink.wake = loan_wake;
  return vn_lent_place(job, loan, &uplink->lent, interface);
}
