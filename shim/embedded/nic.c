// SPDX-License-Identifier: MIT
/*
 * nic.c - the network's side of an interface's rings: input and output on the network's thread, wake on the script's,
 * start
 * and stop on control threads.
 */
#include "nic.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checksum.h"
#include "gateway/protocol.h"
#include "plane/offload.h"
#include "request.h"
#include "stream_port.h"
#include "vmnet_shim.h"

static struct vn_nic *of(struct vn_net_port *port) {
  return (struct vn_nic *)((char *)port - offsetof(struct vn_nic, port));
}

/* To the network: one turn's frames. */

/* Takes the virtio header off, or does what checksum offload promises, and forwards. */
static void prepare(struct vn_nic *nic, const struct vn_frame *frame) {
  uint8_t *bytes = (uint8_t *)(uintptr_t)frame->bytes; /* the ring is ours until it is freed */
  struct vn_net_port *port = &nic->port;
  struct vn_packet packet = {.frame = bytes, .length = frame->length};
  uint64_t before = vn_counted(&port->drops[VN_DROP_OFFLOAD]);
  if (port->virtio) {
    bytes[10] = 1, bytes[11] = 0; /* num_buffers is for the receiver, and always one */
    packet.header = bytes;
    packet.frame += VN_VIRTIO_HEADER;
    packet.length -= VN_VIRTIO_HEADER; /* vn_send() lets nothing shorter through */
    vn_network_forward(port, &packet);
  } else if (vn_checksum_fill(bytes, packet.length)) {
    vn_network_forward(port, &packet);
  } else {
    vn_network_drop(port, VN_DROP_OFFLOAD);
  }
  if (vn_counted(&port->drops[VN_DROP_OFFLOAD]) != before) vn_count(&nic->ring.port.stats.dropped_out, 1);
}

static void forward(struct vn_net_port *port, const struct vn_frame *frame) {
  struct vn_packet packet = {.frame = frame->bytes, .length = frame->length};
  vn_network_forward(port, &packet);
}

/* Alone with another port an interface waits for that one's room, and its script notices. Not on a bridge: what looks
 * at
 * its frames would wait too, for a client that reads nothing. */
static bool held(struct vn_net_port *port) {
  struct vn_net_port *peer = port->peer;
  if (peer == NULL || port->network->straight) return false;
  port->held = !peer->class->room(peer);
  return port->held;
}

static bool nic_input(struct vn_net_port *port) {
  struct vn_nic *nic = of(port);
  struct vn_ring *tx = &nic->ring.tx;
  struct vn_frame frame;
  bool plain = nic->options.opaque || (!nic->options.virtio && !nic->options.checksum);
  uint32_t count = 0;
  while (count < VN_TURN_FRAMES && !held(port) && vn_ring_take(tx, &frame)) {
    count++;
    if (plain) forward(port, &frame);
    else prepare(nic, &frame);
  }
  if (count == 0) return false;
  vn_ring_free(tx);
  vn_port_drained(&nic->ring.port);
  vn_tally(&port->stats.reads, 1);
  vn_tally(&port->stats.wakes, 1);
  return count == VN_TURN_FRAMES;
}

static bool nic_idle(struct vn_net_port *port) {
  return held(port) || vn_ring_empty(&of(port)->ring.tx); /* held: its peer's socket wakes the thread */
}

/* To the script. */

static void nic_output(struct vn_net_port *port, const struct vn_packet *packet) {
  struct vn_nic *nic = of(port);
  uint32_t extra = port->virtio ? VN_VIRTIO_HEADER : 0;
  uint8_t *room = vn_ring_reserve(&nic->ring.rx, packet->length + extra, nic->options.virtio ? VN_META_VIRTIO : 0);
  if (room == NULL) {
    vn_network_drop(port, VN_DROP_FULL);
    vn_count(&nic->ring.port.stats.dropped_in, 1);
    return;
  }
  if (extra) memcpy(room, packet->header != NULL ? packet->header : vn_offload_none, VN_VIRTIO_HEADER);
  memcpy(room + extra, packet->frame, packet->length);
}

static void nic_flush(struct vn_net_port *port) {
  struct vn_nic *nic = of(port);
  vn_ring_publish(&nic->ring.rx);
  vn_port_arrived(&nic->ring.port);
  vn_tally(&port->stats.writes, 1);
}

static uint32_t nic_queued(struct vn_net_port *port) { return vn_ring_used(&of(port)->ring.rx); }

static void nic_removed(struct vn_net_port *port, uint32_t status) {
  struct vn_nic *nic = of(port);
  struct vn_network *network = nic->network;
  vn_port_fail(&nic->ring.port, status);
  vn_requests_withdraw(network, nic->serial);
  if (vn_registry_leave(network)) vn_network_end(network, VN_STOPPED);
  vn_lock(&network->lock);
  nic->removed = true;
  vn_lock_signal(&network->lock);
  vn_unlock(&network->lock);
  vn_release(&nic->ring.port.object);
}

static const struct vn_net_port_class nic_port_class = {.rings = true,
                                                        .input = nic_input,
                                                        .idle = nic_idle,
                                                        .output = nic_output,
                                                        .flush = nic_flush,
                                                        .removed = nic_removed,
                                                        .queued = nic_queued};

/* Called on the script's thread: frames wait in tx. */
static void nic_wake(struct vn_ring_port *port) { vn_network_work(&((struct vn_nic *)port)->port); }

/* The end. */

static void run_end(struct vn_network *network, struct vn_command *command) {
  (void)network;
  struct vn_nic *nic = (struct vn_nic *)((char *)command - offsetof(struct vn_nic, command));
  if (!nic->removed) vn_network_remove(&nic->port, VN_STOPPED); /* only this thread sets it */
  vn_release(&nic->ring.port.object);
}

static void begin_end(struct vn_nic *nic) {
  vn_port_fail(&nic->ring.port, VN_STOPPED);
  if (vn_atomic_exchange(&nic->ending, 1)) return;
  nic->command.run = run_end;
  vn_retain(&nic->ring.port.object);
  if (!vn_network_post(nic->network, &nic->command)) vn_release(&nic->ring.port.object);
}

static void nic_close(struct vn_object *object) {
  begin_end((struct vn_nic *)object);
  vn_release(object);
}

static void nic_destroy(struct vn_object *object) {
  struct vn_nic *nic = (struct vn_nic *)object;
  vn_ring_destroy(&nic->ring.rx);
  vn_ring_destroy(&nic->ring.tx);
  vn_network_release(nic->network);
  free(nic);
}

const struct vn_class vn_nic_class = {.kind = VN_INTERFACE, .close = nic_close, .destroy = nic_destroy};

void vn_nic_stop(struct vn_nic *nic, uint64_t until_ns) {
  struct vn_network *network = nic->network;
  begin_end(nic);
  vn_lock(&network->lock);
  bool in_time = true;
  while (!nic->removed && in_time) in_time = vn_lock_wait(&network->lock, until_ns);
  vn_unlock(&network->lock);
  if (in_time && network->anonymous && vn_atomic_load(&network->status) != VN_OK) vn_network_wait_ended(network, until_ns);
}

/* The start. */

struct add {
  struct vn_command command;
  struct vn_nic *nic;
  int link_fd;
  uint32_t status;
  struct vn_refusal *why;
};

static uint32_t attach(struct vn_network *network, struct add *add) {
  static vn_atomic_u64 serials;
  static const uint8_t no_mac[6];
  struct vn_nic *nic = add->nic;
  if (network->ending) return vn_refuse(add->why, VN_GONE, NULL, "the network has ended");
  if (memcmp(nic->port.mac, no_mac, 6) != 0 && vn_network_mac_taken(network, nic->port.mac))
    return vn_refuse(add->why, VN_IN_USE, "vmnet_interface_id", "an interface with this MAC address is on the network");
  struct vn_stream_port *link = NULL;
  if (add->link_fd >= 0) {
    uint32_t most = nic->port.max_frame > VN_FRAME_LIMIT ? nic->port.max_frame : VN_FRAME_LIMIT;
    link = vn_stream_port_new(network, add->link_fd, 0);
    add->link_fd = -1;
    if (link != NULL) {
      link->port.kind = "owner";
      link->port.max_frame = most;
    }
    if (link == NULL || !vn_stream_port_add(link)) return vn_refuse(add->why, VN_NO_MEMORY, NULL, "memory ran out");
  }
  if (!vn_network_add(network, &nic->port)) {
    if (link != NULL) vn_network_remove(&link->port, VN_NO_MEMORY);
    return vn_refuse(add->why, VN_NO_MEMORY, NULL, "the network has no more ports");
  }
  if (link != NULL) {
    link->port.peer = &nic->port;
    nic->port.peer = &link->port;
  }
  nic->serial = vn_atomic_add(&serials, 1) + 1;
  vn_retain(&nic->ring.port.object);
  return VN_OK;
}

static void run_add(struct vn_network *network, struct vn_command *command) {
  struct add *add = (struct add *)command;
  add->status = attach(network, add);
  vn_command_done(network, command);
}

uint32_t vn_nic_max_frame(const struct vn_network_options *network, const struct vn_interface_options *options) {
  if (options->max_frame) return options->max_frame;
  return options->tso ? VN_FRAME_LIMIT : (options->mtu ? options->mtu : network->mtu) + VN_ETHERNET_HEADER;
}

uint32_t vn_nic_start(struct vn_network *network, const struct vn_interface_options *options, struct vn_doorbell *doorbell,
                      int link_fd, struct vn_nic **out, struct vn_refusal *why) {
  struct vn_nic *nic = aligned_alloc(_Alignof(struct vn_nic), sizeof *nic);
  struct add add = {.command.run = run_add, .nic = nic, .link_fd = link_fd, .status = VN_NO_MEMORY, .why = why};
  vn_refuse(why, VN_NO_MEMORY, NULL, "memory ran out");
  if (nic != NULL) {
    memset(nic, 0, sizeof *nic);
    vn_port_init(&nic->ring.port, &vn_nic_class, doorbell, &vn_ring_source);
    vn_network_retain(network);
    nic->network = network;
    nic->options = *options;
    nic->ring.wake = nic_wake;
    uint32_t extra = options->virtio ? VN_VIRTIO_HEADER : 0;
    nic->port.class = &nic_port_class;
    nic->port.kind = "interface";
    nic->port.virtio = options->virtio && !options->opaque;
    nic->port.max_frame = vn_nic_max_frame(&network->options, options);
    if (options->opaque) nic->port.max_frame += extra, extra = 0; /* the header is part of the frame all the way */
    nic->port.table.isolated = options->isolated;
    if (options->allocate_mac) memcpy(nic->port.mac, options->mac, 6);
    nic->ring.port.max_packet = nic->port.max_frame + extra;
    nic->ring.port.min_packet = VN_ETHERNET_HEADER + (options->virtio ? VN_VIRTIO_HEADER : 0);
    nic->ring.port.max_count = options->max_count ? options->max_count : 256;
    if (vn_ring_init(&nic->ring.rx, VN_NIC_RING) == VN_OK && vn_ring_init(&nic->ring.tx, VN_NIC_RING) == VN_OK &&
        !vn_network_call(network, &add.command))
      add.status = vn_refuse(why, VN_GONE, NULL, "the network has ended");
    if (add.status != VN_OK) vn_release(&nic->ring.port.object);
  }
  if (add.link_fd >= 0) close(add.link_fd);
  *out = nic;
  return add.status;
}

void vn_nic_parameters(const struct vn_network_options *network, const struct vn_interface_options *options,
                       struct vn_writer *out) {
  char text[VN_ADDRESS_TEXT];
  vn_write_number(out, "vmnet_operation_mode", network->mode);
  vn_write_bytes(out, "vmnet_interface_id", options->id, 16);
  if (options->allocate_mac) {
    vn_mac_text(options->mac, text);
    vn_write_text(out, "vmnet_mac_address", text);
  }
  vn_write_number(out, "vmnet_mtu", options->mtu ? options->mtu : network->mtu);
  vn_write_number(out, "vmnet_max_packet_size", vn_nic_max_frame(network, options));
  vn_write_number(out, "vmnet_read_max_packets", 256);
  vn_write_number(out, "vmnet_write_max_packets", 256);
  if (network->bits != 0) {
    vn_write_ipv4(out, "vmnet_start_address", network->gateway);
    vn_write_ipv4(out, "vmnet_end_address", network->dhcp_end);
    vn_write_ipv4(out, "vmnet_subnet_mask", vn_mask(network->bits));
  }
  if (network->mode == VN_MODE_SHARED) {
    vn_prefix_text(network->prefix, text);
    vn_write_text(out, "vmnet_nat66_prefix", text);
  }
}

void vn_nic_stats(struct vn_nic *nic, struct vn_writer *out) {
  vn_write_number(out, "flooded", vn_counted(&nic->port.table.flooded));
  vn_write_number(out, "droppedFull", vn_counted(&nic->port.drops[VN_DROP_FULL]));
  vn_write_number(out, "droppedTooLong", vn_counted(&nic->port.drops[VN_DROP_LONG]));
  vn_write_number(out, "droppedOffload", vn_counted(&nic->port.drops[VN_DROP_OFFLOAD]));
  vn_write_number(out, "droppedTooShort", vn_counted(&nic->port.table.dropped_short));
  vn_write_number(out, "droppedIsolated", vn_counted(&nic->port.table.dropped_isolated));
}
