// SPDX-License-Identifier: MIT
/*
 * facts.c - arrays that grow by doubling and are searched from the start: a network has tens of leases, not
 * thousands.
 */
#include "facts.h"

#include <stdlib.h>
#include <string.h>

#include "share.h"
#include "vmnet_shim.h"

struct vn_facts {
  struct vn_lease *leases;
  struct vn_forward *forwards;
  struct vn_reservation *reservations;
  uint32_t lease_count, lease_capacity, forward_count, forward_capacity, reservation_count, reservation_capacity;
  struct vn_holder *holders;
};

struct vn_facts *vn_facts_new(void) { return calloc(1, sizeof(struct vn_facts)); }

void vn_facts_free(struct vn_facts *facts) {
  if (facts == NULL) return;
  free(facts->leases);
  free(facts->forwards);
  free(facts->reservations);
  free(facts);
}

/* Room for one more element, or false when memory or the limit ran out. */
static bool grow(void **array, uint32_t count, uint32_t *capacity, size_t size, uint32_t most) {
  if (count < *capacity) return true;
  uint32_t larger = *capacity ? *capacity * 2 : 16;
  void *moved = count < most ? realloc(*array, larger * size) : NULL;
  if (moved == NULL) return false;
  *array = moved;
  *capacity = larger;
  return true;
}

static void keep_lease(struct vn_facts *facts, const struct vn_lease *lease) {
  uint32_t i = 0;
  while (i < facts->lease_count && memcmp(facts->leases[i].mac, lease->mac, 6) != 0) i++;
  if (lease->change == 2) {
    if (i < facts->lease_count) facts->leases[i] = facts->leases[--facts->lease_count];
  } else if (i < facts->lease_count) {
    facts->leases[i] = *lease;
  } else if (grow((void **)&facts->leases, i, &facts->lease_capacity, sizeof *lease, VN_LEASES_MOST)) {
    facts->leases[facts->lease_count++] = *lease;
  }
}

static void tell(struct vn_holder *holder, const struct vn_lease *lease) {
  if (holder->count == VN_EVENTS)
    holder->lost++;
  else
    holder->events[(holder->first + holder->count++) % VN_EVENTS] = *lease;
  vn_signal(&holder->object, VN_READY_EVENT);
}

void vn_facts_lease(struct vn_network *network, const uint8_t *message, uint32_t length) {
  struct vn_lease lease = {.change = (uint8_t)vn_list_number(message, length, "change", 1)};
  struct vn_entry mac;
  if (!vn_list_find(message, length, VN_BYTES, "mac", &mac) || mac.length != 6 || lease.change < 1 || lease.change > 2)
    return;
  memcpy(lease.mac, mac.value, 6);
  if (!vn_list_text(message, length, "address", lease.address, sizeof lease.address)) return;
  vn_list_text(message, length, "hostname", lease.hostname, sizeof lease.hostname);
  lease.expires = vn_list_number(message, length, "expires", 0);
  vn_lock(&network->lock);
  keep_lease(network->facts, &lease);
  vn_count(&network->lease_changes, 1);
  for (struct vn_holder *holder = network->facts->holders; holder != NULL; holder = holder->next) tell(holder, &lease);
  vn_unlock(&network->lock);
  vn_members_tell(network, message, length);
}

uint32_t vn_facts_addresses(struct vn_network *network, const uint8_t mac[6], uint32_t *out, uint32_t most) {
  const struct vn_facts *facts = network->facts;
  uint32_t count = 0;
  vn_lock(&network->lock);
  for (uint32_t i = 0; i < facts->lease_count && count < most; i++)
    if (memcmp(facts->leases[i].mac, mac, 6) == 0) count += vn_ipv4_parse(facts->leases[i].address, &out[count]);
  for (uint32_t i = 0; i < facts->reservation_count && count < most; i++)
    if (memcmp(facts->reservations[i].mac, mac, 6) == 0) out[count++] = facts->reservations[i].address;
  vn_unlock(&network->lock);
  return count;
}

/* Reservations. */

static uint32_t find_reservation(const struct vn_facts *facts, const uint8_t mac[6]) {
  uint32_t i = 0;
  while (i < facts->reservation_count && memcmp(facts->reservations[i].mac, mac, 6) != 0) i++;
  return i;
}

static bool append_reservation(struct vn_facts *facts, const struct vn_reservation *reservation) {
  if (!grow((void **)&facts->reservations, facts->reservation_count, &facts->reservation_capacity, sizeof *reservation,
            VN_RESERVATIONS_MOST))
    return false;
  facts->reservations[facts->reservation_count++] = *reservation;
  return true;
}

void vn_facts_reservations_first(struct vn_network *network) {
  struct vn_reader reader;
  struct vn_entry entry;
  vn_list_read(&reader, network->options.reservations.data, network->options.reservations.length);
  vn_lock(&network->lock);
  while (vn_list_next(&reader, &entry)) {
    struct vn_reservation reservation;
    struct vn_refusal why;
    if (vn_reservation_read(&reservation, &network->options, entry.value, entry.length, &why) == VN_OK)
      append_reservation(network->facts, &reservation);
  }
  vn_unlock(&network->lock);
}

bool vn_facts_reserve(struct vn_network *network, const struct vn_reservation *reservation, uint32_t *before) {
  struct vn_facts *facts = network->facts;
  vn_lock(&network->lock);
  uint32_t i = find_reservation(facts, reservation->mac);
  bool known = i < facts->reservation_count, kept = known || append_reservation(facts, reservation);
  *before = known ? facts->reservations[i].address : 0;
  if (known) facts->reservations[i] = *reservation;
  vn_count(&network->lease_changes, 1);
  vn_unlock(&network->lock);
  return kept;
}

void vn_facts_unreserve(struct vn_network *network, const uint8_t mac[6]) {
  struct vn_facts *facts = network->facts;
  vn_lock(&network->lock);
  uint32_t i = find_reservation(facts, mac);
  if (i < facts->reservation_count) facts->reservations[i] = facts->reservations[--facts->reservation_count];
  vn_count(&network->lease_changes, 1);
  vn_unlock(&network->lock);
}

void vn_facts_gateway(struct vn_network *network, const char *state) {
  vn_lock(&network->lock);
  for (struct vn_holder *holder = network->facts->holders; holder != NULL; holder = holder->next) {
    holder->gateway = state;
    vn_signal(&holder->object, VN_READY_EVENT);
  }
  vn_unlock(&network->lock);
}

static uint32_t find_forward(const struct vn_facts *facts, const struct vn_forward *forward) {
  uint32_t i = 0;
  for (; i < facts->forward_count; i++) {
    const struct vn_forward *each = &facts->forwards[i];
    if (each->protocol == forward->protocol && each->external_port == forward->external_port &&
        each->family == forward->family)
      break;
  }
  return i;
}

void vn_facts_forward_add(struct vn_network *network, const struct vn_forward *forward) {
  struct vn_facts *facts = network->facts;
  vn_lock(&network->lock);
  uint32_t i = find_forward(facts, forward);
  if (i < facts->forward_count)
    facts->forwards[i] = *forward;
  else if (grow((void **)&facts->forwards, i, &facts->forward_capacity, sizeof *forward, VN_FORWARDS_MOST))
    facts->forwards[facts->forward_count++] = *forward;
  vn_unlock(&network->lock);
}

void vn_facts_forward_remove(struct vn_network *network, const struct vn_forward *forward) {
  struct vn_facts *facts = network->facts;
  vn_lock(&network->lock);
  uint32_t i = find_forward(facts, forward);
  if (i < facts->forward_count) facts->forwards[i] = facts->forwards[--facts->forward_count];
  vn_unlock(&network->lock);
}

bool vn_facts_forward_of(struct vn_network *network, uint64_t owner, struct vn_forward *out) {
  struct vn_facts *facts = network->facts;
  bool found = false;
  vn_lock(&network->lock);
  for (uint32_t i = 0; i < facts->forward_count && !found; i++) {
    found = facts->forwards[i].owner == owner;
    if (found) *out = facts->forwards[i];
  }
  vn_unlock(&network->lock);
  return found;
}

void vn_facts_ended(struct vn_network *network) {
  vn_lock(&network->lock);
  for (struct vn_holder *holder = network->facts->holders; holder != NULL; holder = holder->next)
    vn_signal(&holder->object, VN_READY_STATE);
  vn_unlock(&network->lock);
}

static void write_lease(struct vn_writer *out, const struct vn_lease *lease, bool change) {
  uint32_t mark = vn_write_begin(out, "lease");
  if (change) vn_write_number(out, "change", lease->change);
  vn_write_bytes(out, "mac", lease->mac, 6);
  vn_write_text(out, "address", lease->address);
  if (lease->hostname[0]) vn_write_text(out, "hostname", lease->hostname);
  vn_write_number(out, "expires", lease->expires);
  vn_write_end(out, mark);
}

void vn_facts_write_leases(struct vn_network *network, struct vn_writer *out) {
  vn_lock(&network->lock);
  for (uint32_t i = 0; i < network->facts->lease_count; i++) write_lease(out, &network->facts->leases[i], false);
  vn_unlock(&network->lock);
}

void vn_facts_write_reservations(struct vn_network *network, struct vn_writer *out) {
  vn_lock(&network->lock);
  for (uint32_t i = 0; i < network->facts->reservation_count; i++) {
    uint32_t mark = vn_write_begin(out, "reservation");
    vn_reservation_write(out, &network->facts->reservations[i]);
    vn_write_end(out, mark);
  }
  vn_unlock(&network->lock);
}

void vn_facts_write_forwards(struct vn_network *network, struct vn_writer *out) {
  vn_lock(&network->lock);
  for (uint32_t i = 0; i < network->facts->forward_count; i++) {
    uint32_t mark = vn_write_begin(out, "forward");
    vn_forward_write(out, &network->facts->forwards[i]);
    vn_write_end(out, mark);
  }
  vn_unlock(&network->lock);
}

void vn_facts_write_events(struct vn_holder *holder, struct vn_writer *out) {
  vn_lock(&holder->network->lock);
  for (; holder->count > 0; holder->count--, holder->first = (holder->first + 1) % VN_EVENTS)
    write_lease(out, &holder->events[holder->first], true);
  if (holder->lost) vn_write_number(out, "lost", holder->lost);
  if (holder->gateway) vn_write_text(out, "gateway", holder->gateway);
  holder->lost = 0;
  holder->gateway = NULL;
  vn_unlock(&holder->network->lock);
}

void vn_facts_hold(struct vn_holder *holder) {
  vn_lock(&holder->network->lock);
  holder->next = holder->network->facts->holders;
  holder->network->facts->holders = holder;
  holder->linked = true;
  vn_unlock(&holder->network->lock);
  if (vn_atomic_load(&holder->network->status) != VN_OK) vn_signal(&holder->object, VN_READY_STATE);
}

void vn_facts_unhold(struct vn_holder *holder) {
  vn_lock(&holder->network->lock);
  struct vn_holder **at = &holder->network->facts->holders;
  while (holder->linked && *at != holder) at = &(*at)->next;
  if (holder->linked) *at = holder->next;
  holder->linked = false;
  vn_unlock(&holder->network->lock);
}
