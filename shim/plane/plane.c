// SPDX-License-Identifier: MIT
/* plane.c - the lists of what is attached to a network, and which file does what of the operations on them. */
#include "plane.h"

#include <stdlib.h>
#include <string.h>

#include "board.h"
#include "embedded/holder.h"
#include "endpoint.h"
#include "tap.h"
#include "vmnet_shim.h"

struct vn_plane *vn_plane_of(struct vn_network *network) {
  if (network->plane == NULL && (network->plane = calloc(1, sizeof *network->plane)) != NULL)
    network->plane->network = network;
  return network->plane;
}

/* Endpoints first: boards are told that they go. */
void vn_plane_end(struct vn_network *network, uint32_t status) {
  if (network->plane == NULL) return;
  vn_endpoints_end(network, NULL, status);
  vn_taps_end(network, NULL, status);
  vn_boards_end(network, status);
}

void vn_plane_free(struct vn_plane *plane) { free(plane); } /* all lists are empty: who is in them holds the network */

void vn_plane_event(struct vn_net_port *port, const char *type, const uint8_t mac[6], const char *detail) {
  struct vn_plane *plane = port->network->plane;
  if (plane == NULL || plane->boards == NULL) return;
  struct vn_board_event event = {.type = type, .kind = port->kind, .port = port->number, .has_mac = mac != NULL};
  event.time_ns = vn_realtime_ns();
  if (mac != NULL) memcpy(event.mac, mac, 6);
  memcpy(event.label, port->label, sizeof event.label);
  event.label[sizeof event.label - 1] = 0;
  if (detail != NULL) strncpy(event.detail, detail, sizeof event.detail - 1);
  for (struct vn_board *board = plane->boards; board != NULL; board = board->next) vn_board_tell(board, &event);
}

bool vn_plane_has(const struct vn_object *object) { return object->class->kind >= VN_SWITCH; }

uint32_t vn_plane_run(struct vn_job *job) {
  struct vn_object *target = job->target;
  struct vn_board *board = (struct vn_board *)target;
  enum vn_kind kind = target->class->kind;
  if (job->op == VN_OP_STOP) {
    if (kind == VN_SWITCH) return vn_board_run(job);
    if (kind == VN_ENDPOINT) vn_endpoint_stop(target, vn_job_until(job));
    if (kind == VN_TAP) vn_tap_stop(target);
    if (kind == VN_RULE) vn_rule_stop(target);
    return VN_OK;
  }
  if (kind != VN_SWITCH) return VN_BAD_CALL;
  switch (job->op) {
    case VN_OP_ENDPOINT_OPEN: return vn_endpoint_open(job, board);
    case VN_OP_PORT_SET: return vn_board_run(job);
    case VN_OP_TAP_OPEN:
    case VN_OP_INTERCEPT_OPEN: return vn_tap_open(job, board);
    case VN_OP_RULE_ADD: return vn_rule_add(job, board);
    default: return VN_BAD_CALL;
  }
}

uint32_t vn_plane_get(struct vn_object *object, uint32_t what, struct vn_writer *out) {
  switch (object->class->kind) {
    case VN_SWITCH: return vn_board_get(object, what, out);
    case VN_ENDPOINT: return vn_endpoint_get(object, what, out);
    case VN_TAP: return vn_tap_get(object, what, out);
    case VN_RULE: return vn_rule_get(object, what, out);
    default: return VN_BAD_CALL;
  }
}
