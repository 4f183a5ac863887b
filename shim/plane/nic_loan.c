// SPDX-License-Identifier: MIT
/*
 * nic_loan.c - an interface that is a pair of rings as a port of a switch: frames go from one network's thread to the
 * other's without a script between them.
 *
 * Theory of operation. The switch's thread consumes ring.rx, which the interface's own network fills, and produces into
 * ring.tx. Frames are forwarded where they lie and freed with one store when the turn's flush is over, which the next
 * input() knows: after frames it asks to be called again. When it finds none it arms, looks once more, and then waits
 * for the sink. A record's fourth word, which only the consumer looks at, takes the length that a stream writes before
 * a frame.
 *
 * What does not fit into tx is dropped and counted, on a bridge too: nobody waits for a reader that is slow, and
 * whoever
 * looks at the frames sees them all.
 */
#include <stdlib.h>
#include <string.h>

#include "embedded/channel.h"
#include "embedded/nic.h"
#include "loan.h"
#include "offload.h"
#include "vmnet_shim.h"

struct nic_loan {
  struct vn_lent lent; /* first */
  struct vn_nic *nic;
  bool taken;          /* frames of the last turn are still to be freed */
  uint32_t out_frames; /* since the last flush */
  uint64_t out_bytes;
};

static struct nic_loan *of(struct vn_net_port *port) { return (struct nic_loan *)port; }

/* From the interface. */

static void free_taken(struct nic_loan *loan) {
  if (loan->taken) vn_ring_free(&loan->nic->ring.rx);
  loan->taken = false;
}

static void forward(struct vn_net_port *port, const struct vn_frame *frame) {
  struct vn_packet packet = {.frame = frame->bytes, .length = frame->length, .lasting = true, .framed = true};
  vn_put_length((uint8_t *)(uintptr_t)frame->bytes - 4, frame->length);
  if (port->virtio) {
    packet.header = packet.frame;
    packet.frame += VN_VIRTIO_HEADER;
    packet.length -= VN_VIRTIO_HEADER; /* of a frame from the network itself: nothing shorter is in there */
  }
  vn_network_forward(port, &packet);
}

static bool loan_input(struct vn_net_port *port) {
  struct nic_loan *loan = of(port);
  struct vn_port *script = &loan->nic->ring.port;
  struct vn_frame frame;
  uint32_t count = 0;
  uint64_t bytes = 0;
  free_taken(loan);
  if (!vn_lent_works(&loan->lent)) return false;
  while (count < VN_TURN_FRAMES && vn_ring_take(&loan->nic->ring.rx, &frame)) {
    count++;
    bytes += frame.length;
    loan->taken = true;
    forward(port, &frame);
  }
  if (count > 0) {
    vn_tally(&port->stats.reads, 1);
    vn_count(&script->stats.frames_in, count);
    vn_count(&script->stats.bytes_in, bytes);
    return true;
  }
  if (!VN_BROKEN(80)) vn_atomic_store(&script->armed, 1);
  return !vn_ring_empty(&loan->nic->ring.rx);
}

/* To the interface. */

static void loan_output(struct vn_net_port *port, const struct vn_packet *packet) {
  struct nic_loan *loan = of(port);
  uint32_t extra = port->virtio ? VN_VIRTIO_HEADER : 0, length = packet->length + extra;
  uint8_t *room = NULL;
  if (packet->length < VN_ETHERNET_HEADER) {
    vn_network_drop(port, VN_DROP_BAD);
    return;
  }
  room = vn_ring_reserve(&loan->nic->ring.tx, length, 0);
  if (room == NULL) {
    vn_network_drop(port, VN_DROP_FULL);
    vn_count(&loan->nic->ring.port.stats.dropped_out, 1);
    return;
  }
  if (extra) memcpy(room, packet->header != NULL ? packet->header : vn_offload_none, extra);
  memcpy(room + extra, packet->frame, packet->length);
  loan->out_frames++;
  loan->out_bytes += length;
}

static void loan_flush(struct vn_net_port *port) {
  struct nic_loan *loan = of(port);
  struct vn_ring_port *ring = &loan->nic->ring;
  if (loan->out_frames == 0) return;
  vn_ring_publish(&ring->tx);
  vn_tally(&port->stats.writes, 1);
  vn_count(&ring->port.stats.frames_out, loan->out_frames);
  vn_count(&ring->port.stats.bytes_out, loan->out_bytes);
  loan->out_frames = 0;
  loan->out_bytes = 0;
  if (!VN_BROKEN(81)) ring->wake(ring);
}

static bool loan_room(struct vn_net_port *port) {
  struct vn_ring_port *ring = &of(port)->nic->ring;
  return vn_ring_fits(&ring->tx, ring->port.max_packet);
}

static uint32_t loan_queued(struct vn_net_port *port) { return vn_ring_used(&of(port)->nic->ring.tx); }

static const struct vn_net_port_class loan_class = {.input = loan_input,
                                                    .room = loan_room,
                                                    .output = loan_output,
                                                    .flush = loan_flush,
                                                    .removed = vn_lent_removed,
                                                    .queued = loan_queued};

/* The interface's own thread, or whoever stops it. */
static void loan_wake(struct vn_sink *sink) {
  vn_network_work(&((struct vn_lent *)((char *)sink - offsetof(struct vn_lent, sink)))->port);
}

static void loan_free(struct vn_lent *lent) {
  free_taken((struct nic_loan *)lent);
  free(lent);
}

uint32_t vn_nic_lend(struct vn_job *job, struct vn_object *interface, const struct vn_loan *loan) {
  struct vn_nic *nic = (struct vn_nic *)interface;
  struct vn_port *script = &nic->ring.port;
  if (nic->network == loan->network)
    return vn_fail(job, VN_BAD_OPTION, "object", "the interface is on that switch already");
  struct nic_loan *made = calloc(1, sizeof *made);
  if (made == NULL) return vn_fail(job, VN_NO_MEMORY, NULL, "memory ran out");
  made->nic = nic;
  made->lent.port.class = &loan_class;
  made->lent.port.virtio = nic->options.virtio;
  made->lent.port.max_frame = script->max_packet - (nic->options.virtio ? VN_VIRTIO_HEADER : 0);
  made->lent.sink.wake = loan_wake;
  made->lent.free = loan_free;
  return vn_lent_place(job, loan, &made->lent, interface);
}
