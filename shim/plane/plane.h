// SPDX-License-Identifier: MIT
/*
 * plane.h - the data plane: what scripts have attached to a network, and how it is told about.
 *
 * Theory of operation. Frames move on the network's thread alone (embedded/network.h), from one endpoint's read buffer
 * to
 * another one's socket; no script is on that way. A script says what is attached: endpoints, taps, intercepts, drop
 * rules,
 * limits of ports. Each of them is an object with a handle, made by an operation: the part that may block (opening,
 * compiling a filter) on the control thread, the part that touches the network as a command on its thread.
 *
 * A board is a script's hold on a network for that purpose, the VN_SWITCH object. Several boards of one network see the
 * same ports. What was attached through a board ends with it; a network that was made for a board (a switch without a
 * network below it, a bridge) ends with it too.
 *
 * look() is what every frame passes before it is switched: drop rules, then taps, then intercepts. While there is none
 * of
 * them the network has no look(), and a frame costs one test.
 */
#ifndef VN_PLANE_H
#define VN_PLANE_H

#include "core/backend.h"
#include "embedded/network.h"

struct vn_board;
struct vn_endpoint;
struct vn_hook;

struct vn_plane {
  struct vn_network *network;
  struct vn_board *boards;
  struct vn_endpoint *endpoints;
  struct vn_hook *rules, *taps, *intercepts; /* tap.h */
};

/* The network's thread. */
struct vn_plane *vn_plane_of(struct vn_network *network); /* made when there is none; NULL: no memory */
void vn_plane_end(struct vn_network *network, uint32_t status); /* by vn_network_end(), before the ports are removed */
void vn_plane_free(struct vn_plane *plane);                     /* with the network; any thread */
void vn_plane_look(struct vn_network *network); /* look.c: sets or clears network->look after a change of what looks */

/* What boards of a network are told: events of VN_GET_EVENTS. Literals; mac and detail may be NULL. */
#define VN_CONNECTED "connected"
#define VN_DISCONNECTED "disconnected"
#define VN_RECONNECTED "reconnected"
#define VN_LIMITED "limited"   /* a rate or broadcast limit drops; at most once a second and port */
#define VN_SPOOFED "spoofed"   /* the same */
#define VN_STALLED "stalled"   /* its queue is full; the same */
void vn_plane_event(struct vn_net_port *port, const char *type, const uint8_t mac[6], const char *detail);

/* The operations on and for boards. holder.c's and the backends' run() and get() hand them over. */
bool vn_plane_has(const struct vn_object *object); /* VN_SWITCH, VN_ENDPOINT, VN_TAP, VN_RULE */
uint32_t vn_plane_run(struct vn_job *job); /* VN_OP_ENDPOINT_OPEN to VN_OP_RULE_ADD, and VN_OP_STOP of such an object */
uint32_t vn_plane_get(struct vn_object *object, uint32_t what, struct vn_writer *out);
/* VN_OP_SWITCH_CREATE on a network that is a vn_network (embedded, joined, or what shares one of vmnet's); and on a
 * context
 * or an interface. */
uint32_t vn_board_on(struct vn_job *job, struct vn_network *network);
uint32_t vn_board_new(struct vn_job *job);

#endif
