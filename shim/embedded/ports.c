// SPDX-License-Identifier: MIT
/*
 * ports.c - a frame's way: from a port through its guard and the plane's look to the switch's decision, into the ports
 * that
 * get it, and out of them at the flush. And how ports come and go. All on the network's thread; see network.h.
 */
#include <string.h>

#include "network.h"
#include "plane/guard.h"
#include "plane/offload.h"
#include "plane/plane.h"
#include "plane/tap.h"

#define STALLED_NS 1000000000ull /* between two words to boards about the same full queue */
#define NEEDS_CHECKSUM 1         /* of a virtio header's flags */

static void count_drop(struct vn_net_port *port, enum vn_drop cause) {
  vn_tally(&port->drops[cause], 1);
  vn_tally(&port->network->drops[cause], 1);
}

static void tell_stall(struct vn_net_port *port) {
  struct vn_network *network = port->network;
  if (network->plane == NULL || port->absent || network->now_ns - port->stalled_ns < STALLED_NS) return;
  port->stalled_ns = network->now_ns;
  vn_plane_event(port, VN_STALLED, NULL, NULL);
}

void vn_network_drop(struct vn_net_port *port, enum vn_drop cause) {
  port->refused = true;
  count_drop(port, cause);
  if (cause == VN_DROP_FULL) tell_stall(port);
}

void vn_network_lost(struct vn_net_port *port, uint32_t length) {
  port->out_turn--;
  port->out_bytes_turn -= length;
  count_drop(port, VN_DROP_FULL);
  tell_stall(port);
}

static void deliver_plain(void *destination, const struct vn_packet *packet) {
  struct vn_net_port *to = destination;
  struct vn_network *network = to->network;
  if (packet->length > to->max_frame) {
    if (!vn_offload_cut(packet, to->max_frame, deliver_plain, to)) vn_network_drop(to, VN_DROP_LONG);
    return;
  }
  to->refused = false;
  to->class->output(to, packet);
  if (!to->refused) {
    to->out_turn++;
    to->out_bytes_turn += packet->length;
  }
  if (to->touched) return;
  to->touched = true;
  to->next_touched = network->touched;
  network->touched = to;
}

/* A port without virtio gets complete frames. */
static void deliver(struct vn_net_port *from, struct vn_net_port *to, const struct vn_packet *packet) {
  if (packet->header == NULL || to->virtio) {
    deliver_plain(to, packet);
  } else if (!(packet->header[0] & NEEDS_CHECKSUM) && packet->header[1] == 0) { /* nothing is asked for */
    struct vn_packet bare = {.frame = packet->frame, .length = packet->length, .lasting = packet->lasting};
    deliver_plain(to, &bare);
  } else if (!vn_offload_finish(packet, deliver_plain, to)) {
    vn_network_drop(from, VN_DROP_OFFLOAD);
  }
}

void vn_network_pass(struct vn_net_port *from, const struct vn_packet *packet) {
  struct vn_network *network = from->network;
  if (from->peer != NULL) {
    if (network->straight) vn_switch_meet(&from->table, packet->frame, packet->length);
    deliver(from, from->peer, packet);
    return;
  }
  if (network->straight) {
    count_drop(from, VN_DROP_FULL); /* nobody is there at present */
    return;
  }
  struct vn_switch_port *to = vn_switch_forward(&network->table, &from->table, packet->frame, packet->length);
  if (to == VN_SWITCH_DROP) return;
  if (to != VN_SWITCH_FLOOD) {
    deliver(from, (struct vn_net_port *)to, packet);
    return;
  }
  for (struct vn_net_port *port = network->ports; port != NULL; port = port->next)
    if (vn_switch_allows(&from->table, &port->table)) deliver(from, port, packet);
}

void vn_network_forward(struct vn_net_port *from, const struct vn_packet *packet) {
  struct vn_network *network = from->network;
  network->frames_turn++;
  network->bytes_turn += packet->length;
  vn_tally(&from->stats.frames_in, 1);
  vn_tally(&from->stats.bytes_in, packet->length);
  if (packet->length > from->max_frame) {
    vn_network_drop(from, VN_DROP_LONG);
    return;
  }
  if (from->guard != NULL && !VN_BROKEN(88) && !vn_guard_allows(from, packet)) return;
  if (network->look != NULL && !network->look(network, from, packet)) return;
  vn_network_pass(from, packet);
}

static void count_out(struct vn_net_port *port) {
  vn_tally(&port->stats.frames_out, port->out_turn);
  vn_tally(&port->stats.bytes_out, port->out_bytes_turn);
  port->out_turn = port->out_bytes_turn = 0;
}

void vn_network_flush(struct vn_network *network) {
  if (network->frames_turn != 0) { /* first: who has a frame finds it counted */
    vn_count(&network->frames, network->frames_turn);
    vn_count(&network->bytes, network->bytes_turn);
    vn_count(&network->turns, 1);
    network->frames_turn = network->bytes_turn = 0;
  }
  if (network->look != NULL) vn_taps_publish(network); /* and, by a tap, seen */
  while (network->touched != NULL) {
    struct vn_net_port *port = network->touched;
    network->touched = port->next_touched;
    port->touched = false;
    count_out(port); /* first, for the same reason */
    port->class->flush(port);
    if (port->out_turn != 0) count_out(port); /* what a full queue did not take after all */
  }
  if (network->look != NULL) vn_intercepts_free(network);
}

/* Coming and going. */

/* One place is the gateway's, also while it starts anew: else it could not come back. */
static bool is_kept_free(const struct vn_network *network) {
  bool uplink = !network->options.gateway_needed;
  for (const struct vn_net_port *port = network->ports; port != NULL; port = port->next) uplink |= port->table.uplink;
  return !uplink && vn_counted(&network->port_count) + 1 >= VN_SWITCH_PORTS;
}

bool vn_network_add(struct vn_network *network, struct vn_net_port *port) {
  if (!port->table.uplink && is_kept_free(network)) return false;
  struct vn_net_port *other = network->straight ? network->ports : NULL;
  if (other != NULL && other->next != NULL) return false; /* a bridge has two ports */
  if (!vn_switch_add(&network->table, &port->table)) return false;
  port->network = network;
  if (other != NULL) {
    other->peer = port;
    port->peer = other;
  }
  if (port->class->idle != NULL && !port->class->rings) {
    port->next_polled = network->polled;
    network->polled = port;
  }
  port->number = (uint16_t)(++network->port_serial << 8 | port->table.id);
  if (port->number == 0) port->number = (uint16_t)(++network->port_serial << 8); /* after 256 of them */
  vn_lock(&network->lock);
  port->next = network->ports;
  network->ports = port;
  vn_unlock(&network->lock);
  vn_count(&network->port_count, 1);
  return true;
}

void vn_network_remove(struct vn_net_port *port, uint32_t status) {
  struct vn_network *network = port->network;
  struct vn_net_port **at, *peer = port->peer;
  if (!VN_BROKEN(89)) vn_network_flush(network); /* others may refer to what this one has read */
  if (port->class->idle != NULL && !port->class->rings) {
    for (at = &network->polled; *at != port;) at = &(*at)->next_polled;
    *at = port->next_polled;
  }
  for (at = &network->ports; *at != port;) at = &(*at)->next;
  vn_lock(&network->lock);
  *at = port->next;
  vn_unlock(&network->lock);
  if (port->touched) {
    for (at = &network->touched; *at != port;) at = &(*at)->next_touched;
    *at = port->next_touched;
    port->touched = false;
  }
  vn_switch_remove(&network->table, &port->table);
  vn_count(&network->port_count, (uint64_t)-1);
  port->peer = NULL;
  if (peer != NULL) peer->peer = NULL;
  vn_guard_free(port->guard);
  port->guard = NULL;
  /* First: removed() may end the network, and with it all ports. A bridge's interface waits for the next client. */
  if (peer != NULL && !network->straight) vn_network_remove(peer, status);
  if (peer != NULL && network->straight && peer->held) {
    peer->held = false;
    vn_network_work(peer);
  }
  port->class->removed(port, status);
}

struct vn_net_port *vn_network_port(struct vn_network *network, uint16_t number) {
  struct vn_net_port *port = (struct vn_net_port *)network->table.ports[number & 0xff];
  return port != NULL && port->number == number ? port : NULL;
}

bool vn_network_mac_taken(const struct vn_network *network, const uint8_t mac[6]) {
  for (struct vn_net_port *port = network->ports; port != NULL; port = port->next)
    if (memcmp(port->mac, mac, 6) == 0) return true;
  return false;
}
