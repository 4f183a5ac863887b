// SPDX-License-Identifier: MIT
/*
 * facts.h - what a network knows beside its ports: leases, reservations, forwards, and who wants to hear of them.
 *
 * The network's thread writes, any thread reads; all of it under the network's lock, which is never held across a
 * system
 * call. A lease event goes to a queue of 256 in every network handle; when that runs over, the count of what was lost
 * is
 * told instead, and the reader looks at the whole table.
 */
#ifndef VN_EMBEDDED_FACTS_H
#define VN_EMBEDDED_FACTS_H

#include "network.h"

enum { VN_EVENTS = 256, VN_LEASES_MOST = 8192, VN_FORWARDS_MOST = 8192 };

struct vn_lease {
  uint8_t mac[6];
  uint8_t change; /* 1 added or renewed, 2 ended; in the table 1 */
  char address[VN_ADDRESS_TEXT];
  char hostname[64];
  uint64_t expires;
};

/* A VN_NETWORK object: one context's hold on a network. */
struct vn_holder {
  struct vn_object object; /* first */
  struct vn_network *network;
  struct vn_holder *next;
  bool linked;
  uint32_t first, count, lost;
  const char *gateway; /* a change of the gateway's state that was not told yet, or NULL */
  struct vn_lease events[VN_EVENTS];
};

struct vn_facts *vn_facts_new(void);
void vn_facts_free(struct vn_facts *facts);

/* The network's thread. */
void vn_facts_lease(struct vn_network *network, const uint8_t *message, uint32_t length); /* from "lease" */
void vn_facts_gateway(struct vn_network *network, const char *state); /* a literal: "running" or "restarting" */
void vn_facts_forward_add(struct vn_network *network, const struct vn_forward *forward);
void vn_facts_forward_remove(struct vn_network *network, const struct vn_forward *forward);
void vn_facts_reservations_first(struct vn_network *network); /* those of its options, as they are */
/* Adds, or replaces what that MAC address has. *before is the address that it had, 0: none. False: no room. */
bool vn_facts_reserve(struct vn_network *network, const struct vn_reservation *reservation, uint32_t *before);
void vn_facts_unreserve(struct vn_network *network, const uint8_t mac[6]);
bool vn_facts_forward_of(struct vn_network *network, uint64_t owner, struct vn_forward *out); /* any one of an owner */
/* The IPv4 addresses that are leased or reserved to that MAC address, most at the most. They are others when
 * network->lease_changes is another number. */
uint32_t vn_facts_addresses(struct vn_network *network, const uint8_t mac[6], uint32_t *out, uint32_t most);
void vn_facts_ended(struct vn_network *network); /* signals VN_READY_STATE to every holder */

/* Any thread. */
void vn_facts_write_leases(struct vn_network *network, struct vn_writer *out);
void vn_facts_write_reservations(struct vn_network *network, struct vn_writer *out);
void vn_facts_write_forwards(struct vn_network *network, struct vn_writer *out);
void vn_facts_write_events(struct vn_holder *holder, struct vn_writer *out);
void vn_facts_hold(struct vn_holder *holder);
void vn_facts_unhold(struct vn_holder *holder);

#endif
