// SPDX-License-Identifier: MIT
/*
 * look.c - what every frame passes before it is switched, when there is a rule, a tap or an intercept.
 *
 * Theory of operation. Rules come first, in the order in which they were added: what one drops, no tap sees. Then each
 * tap that the frame matches gets its copy. Then the first intercept that it matches takes it. Copies are made
 * visible, and their scripts woken, once per turn, after all ports were flushed: a tap costs the others its copies and
 * nothing else, and a script that sleeps costs no more than the look at a full ring.
 *
 * A frame that an intercept takes is finished first, so that its script sees what a network card would have sent. What
 * the script sends lies in the intercept's second ring, where ports may refer to it until the flush; so the ring is
 * freed after that. What is shorter than an Ethernet header is no frame, no script could send it on, and the switch
 * counts
 * it: intercepts do not get it.
 */
#include <string.h>

#include "offload.h"
#include "tap.h"
#include "vmnet_shim.h"

static bool concerns(struct vn_hook *hook, const struct vn_net_port *from, const struct vn_packet *packet) {
  if (hook->port != 0 && hook->port != from->number) return false;
  if (!vn_filter_matches(hook->filter, packet->frame, packet->length)) return false;
  vn_tally(&hook->matched, 1);
  return true;
}

static bool put(struct vn_tap *tap, const struct vn_net_port *from, const struct vn_packet *packet) {
  uint32_t length = packet->length < tap->snap ? packet->length : tap->snap;
  uint32_t meta = (uint32_t)from->number << VN_META_PORT | (length < packet->length ? VN_META_TRUNCATED : 0);
  uint8_t *room = vn_ring_reserve_part(&tap->ring.rx, length, packet->length, meta);
  if (room == NULL) {
    vn_tally(&tap->hook.dropped, 1);
    vn_count(&tap->ring.port.stats.dropped_in, 1);
    return false;
  }
  memcpy(room, packet->frame, length);
  tap->touched = true;
  return true;
}

struct taking {
  struct vn_tap *tap;
  struct vn_net_port *from;
};

static void take(void *to, const struct vn_packet *packet) {
  const struct taking *taking = to;
  if (put(taking->tap, taking->from, packet)) return;
  if (taking->tap->pass_on_overflow || VN_BROKEN(92)) vn_network_pass(taking->from, packet);
  else vn_network_drop(taking->from, VN_DROP_VERDICT);
}

static bool look(struct vn_network *network, struct vn_net_port *from, const struct vn_packet *packet) {
  for (struct vn_hook *rule = network->plane->rules; rule != NULL; rule = rule->next)
    if (concerns(rule, from, packet)) {
      vn_tally(&rule->dropped, 1);
      vn_network_drop(from, VN_DROP_FILTERED);
      return false;
    }
  for (struct vn_hook *tap = network->plane->taps; tap != NULL; tap = tap->next)
    if (concerns(tap, from, packet)) put(vn_tap_of(tap), from, packet);
  if (packet->length < VN_ETHERNET_HEADER) return true;
  for (struct vn_hook *intercept = network->plane->intercepts; intercept != NULL; intercept = intercept->next)
    if (concerns(intercept, from, packet)) {
      struct taking taking = {vn_tap_of(intercept), from};
      if (packet->header == NULL) take(&taking, packet);
      else if (!vn_offload_finish(packet, take, &taking)) vn_network_drop(from, VN_DROP_OFFLOAD);
      return false;
    }
  return true;
}

void vn_plane_look(struct vn_network *network) {
  const struct vn_plane *plane = network->plane;
  bool wanted = plane != NULL && (plane->rules != NULL || plane->taps != NULL || plane->intercepts != NULL);
  network->look = wanted ? look : NULL;
}

static void publish(struct vn_tap *tap) {
  if (!tap->touched) return;
  tap->touched = false;
  vn_ring_publish(&tap->ring.rx);
  if (!VN_BROKEN(91)) vn_port_arrived(&tap->ring.port);
}

void vn_taps_publish(struct vn_network *network) {
  for (struct vn_hook *tap = network->plane->taps; tap != NULL; tap = tap->next) publish(vn_tap_of(tap));
  for (struct vn_hook *tap = network->plane->intercepts; tap != NULL; tap = tap->next) publish(vn_tap_of(tap));
}

void vn_intercepts_free(struct vn_network *network) {
  for (struct vn_hook *hook = network->plane->intercepts; hook != NULL; hook = hook->next) {
    struct vn_tap *tap = vn_tap_of(hook);
    if (!tap->taken) continue;
    tap->taken = false;
    vn_ring_free(&tap->ring.tx);
    vn_port_drained(&tap->ring.port);
  }
}

/* What a script lets go on, or has made itself. */
static void go_on(struct vn_network *network, const struct vn_frame *frame) {
  struct vn_packet packet = {.frame = frame->bytes, .length = frame->length, .lasting = true};
  struct vn_net_port *from = vn_network_port(network, (uint16_t)(frame->meta >> VN_META_PORT) ^ VN_BROKEN(86));
  if (from != NULL) vn_network_pass(from, &packet);
  else vn_count(&network->drops[VN_DROP_VERDICT], 1); /* the port is gone, or there never was one */
}

static bool input(struct vn_network *network, struct vn_tap *tap) {
  struct vn_frame frame;
  uint32_t count = 0;
  for (; count < VN_TURN_FRAMES && vn_ring_take(&tap->ring.tx, &frame); count++) go_on(network, &frame);
  if (count != 0) tap->taken = true;
  return count == VN_TURN_FRAMES;
}

bool vn_intercepts_input(struct vn_network *network) {
  bool more = false;
  for (struct vn_hook *tap = network->plane->intercepts; tap != NULL; tap = tap->next)
    more |= input(network, vn_tap_of(tap));
  return more;
}

bool vn_intercepts_idle(struct vn_network *network) {
  for (struct vn_hook *tap = network->plane->intercepts; tap != NULL; tap = tap->next)
    if (!vn_ring_empty(&vn_tap_of(tap)->ring.tx)) return false;
  return true;
}
