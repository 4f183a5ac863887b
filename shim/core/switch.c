// SPDX-License-Identifier: MIT
/*
 * switch.c - one look at the source's set and one at the destination's: two cache lines per frame. A counter says how
 * many
 * entries each port has, so that fairness needs no search.
 */
#include "switch.h"

#include <string.h>

#define COUNT(table, port, what) (vn_tally(&(port)->what, 1), vn_tally(&(table)->what, 1))

struct vn_switch_port vn_switch_everywhere;

static uint64_t address_at(const uint8_t *bytes) {
  uint32_t low;
  uint16_t high;
  memcpy(&low, bytes, 4);
  memcpy(&high, bytes + 4, 2);
  return low | (uint64_t)high << 32;
}

static struct vn_switch_entry *set_of(struct vn_switch *table, uint64_t address) {
  uint64_t mixed = (address ^ table->seed) * 0x9e3779b97f4a7c15ull;
  mixed ^= mixed >> 32;
  return table->sets[(mixed * 0xd6e8feb86659fd93ull) >> 56];
}

static bool live(const struct vn_switch *table, const struct vn_switch_entry *entry) {
  return entry->address != 0 && table->now - entry->seen < (uint32_t)(table->age_ns >> 20);
}

static void drop_entry(struct vn_switch *table, struct vn_switch_entry *entry) {
  if (entry->address != 0) vn_tally(&table->ports[entry->port]->addresses, -1);
  entry->address = 0;
}

/* A place for a new address of that port, or NULL when the others' entries deserve to stay. */
static struct vn_switch_entry *make_room(struct vn_switch *table, struct vn_switch_entry *set,
                                         const struct vn_switch_port *port) {
  uint32_t own = vn_counted(&port->addresses);
  bool full = own >= VN_SWITCH_PORT_ADDRESSES;
  struct vn_switch_entry *best = NULL;
  uint32_t best_holds = 0;
  for (uint32_t i = 0; i < VN_SWITCH_WAYS; i++) {
    struct vn_switch_entry *entry = &set[i];
    if (!live(table, entry)) {
      if (!full || (entry->address != 0 && entry->port == port->id)) return entry;
      continue;
    }
    if (full && entry->port != port->id) continue;
    uint32_t holds = vn_counted(&table->ports[entry->port]->addresses);
    if (entry->port != port->id && holds <= own) continue;
    if (best == NULL || holds > best_holds ||
        (holds == best_holds && table->now - entry->seen > table->now - best->seen)) {
      best = entry;
      best_holds = holds;
    }
  }
  return best;
}

static void meet(struct vn_switch_port *port, uint64_t address) {
  if (vn_counted(&port->first) == 0) atomic_store_explicit(&port->first, address, memory_order_relaxed);
}

void vn_switch_meet(struct vn_switch_port *port, const uint8_t *frame, uint32_t length) {
  if (length >= VN_ETHERNET_HEADER && !(frame[6] & 1)) meet(port, address_at(frame + 6));
}

static void learn(struct vn_switch *table, struct vn_switch_port *port, uint64_t address) {
  struct vn_switch_entry *set = set_of(table, address);
  struct vn_switch_entry *entry = NULL;
  for (uint32_t i = 0; i < VN_SWITCH_WAYS; i++)
    if (set[i].address == address) entry = &set[i];
  if (entry != NULL && entry->port == port->id) {
    if (entry->seen != table->now) entry->seen = table->now;
    return;
  }
  if (entry != NULL)
    drop_entry(table, entry); /* it moved here */
  entry = make_room(table, set, port);
  if (entry == NULL) return;
  drop_entry(table, entry);
  *entry = (struct vn_switch_entry){address, table->now, port->id};
  vn_tally(&port->addresses, 1);
  meet(port, address);
}

void vn_switch_init(struct vn_switch *table, uint64_t seed) {
  memset(table, 0, sizeof *table);
  table->seed = seed;
  table->age_ns = VN_SWITCH_AGE_NS;
}

bool vn_switch_add(struct vn_switch *table, struct vn_switch_port *port) {
  for (uint32_t id = 0; id < VN_SWITCH_PORTS; id++) {
    if (table->ports[id] != NULL) continue;
    table->ports[id] = port;
    port->id = id;
    vn_atomic_store(&port->addresses, 0);
    vn_atomic_store(&port->first, 0);
    return true;
  }
  return false;
}

void vn_switch_remove(struct vn_switch *table, struct vn_switch_port *port) {
  for (uint32_t set = 0; set < VN_SWITCH_SETS && vn_counted(&port->addresses) > 0; set++)
    for (uint32_t i = 0; i < VN_SWITCH_WAYS; i++)
      if (table->sets[set][i].address != 0 && table->sets[set][i].port == port->id)
        drop_entry(table, &table->sets[set][i]);
  table->ports[port->id] = NULL;
}

void vn_switch_time(struct vn_switch *table, uint64_t monotonic_ns) { table->now = (uint32_t)(monotonic_ns >> 20); }

struct vn_switch_port *vn_switch_forward(struct vn_switch *table, struct vn_switch_port *from, const uint8_t *frame,
                                         uint32_t length) {
  if (length < VN_ETHERNET_HEADER) {
    COUNT(table, from, dropped_short);
    return VN_SWITCH_DROP;
  }
  uint64_t source = address_at(frame + 6);
  if (!(frame[6] & 1) && source != 0) learn(table, from, source);
  if (!(frame[0] & 1)) {
    uint64_t destination = address_at(frame);
    struct vn_switch_entry *set = set_of(table, destination);
    for (uint32_t i = 0; i < VN_SWITCH_WAYS; i++) {
      if (set[i].address != destination || !live(table, &set[i])) continue;
      struct vn_switch_port *to = table->ports[set[i].port];
      if (vn_switch_allows(from, to)) return to;
      if (from != to) COUNT(table, from, dropped_isolated);
      return VN_SWITCH_DROP;
    }
  }
  COUNT(table, from, flooded);
  return VN_SWITCH_FLOOD;
}
