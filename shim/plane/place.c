// SPDX-License-Identifier: MIT
/* place.c - an exchange of fields under the network's lock, so that who reads the ports finds each place once. */
#include "place.h"

#include <string.h>

#define EXCHANGE(type, a, b) \
  do {                       \
    type before = (a);       \
    (a) = (b);               \
    (b) = before;            \
  } while (0)

/* To becomes the sum of both, from nothing. */
static void move_count(vn_atomic_u64 *to, vn_atomic_u64 *from) {
  vn_count(to, vn_counted(from));
  atomic_store_explicit(from, 0, memory_order_relaxed);
}

static void exchange_table(struct vn_switch *table, struct vn_switch_port *kept, struct vn_switch_port *newcomer) {
  EXCHANGE(uint32_t, kept->id, newcomer->id);
  EXCHANGE(uint32_t, kept->addresses, newcomer->addresses);
  EXCHANGE(bool, kept->isolated, newcomer->isolated);
  EXCHANGE(bool, kept->uplink, newcomer->uplink);
  table->ports[kept->id] = kept;
  table->ports[newcomer->id] = newcomer;
  move_count(&newcomer->dropped_short, &kept->dropped_short);
  move_count(&newcomer->dropped_isolated, &kept->dropped_isolated);
  move_count(&newcomer->flooded, &kept->flooded);
}

void vn_place_exchange(struct vn_net_port *kept, struct vn_net_port *newcomer) {
  struct vn_network *network = kept->network;
  char label[sizeof kept->label];
  vn_lock(&network->lock);
  exchange_table(&network->table, &kept->table, &newcomer->table);
  if (!VN_BROKEN(90)) EXCHANGE(uint16_t, kept->number, newcomer->number);
  EXCHANGE(struct vn_guard *, kept->guard, newcomer->guard);
  memcpy(label, kept->label, sizeof label);
  memcpy(kept->label, newcomer->label, sizeof label);
  memcpy(newcomer->label, label, sizeof label);
  struct vn_net_port_stats *from = &kept->stats, *to = &newcomer->stats;
  move_count(&to->frames_in, &from->frames_in);
  move_count(&to->bytes_in, &from->bytes_in);
  move_count(&to->frames_out, &from->frames_out);
  move_count(&to->bytes_out, &from->bytes_out);
  move_count(&to->reads, &from->reads);
  move_count(&to->writes, &from->writes);
  move_count(&to->wakes, &from->wakes);
  for (int cause = 0; cause < VN_DROPS; cause++) move_count(&newcomer->drops[cause], &kept->drops[cause]);
  vn_unlock(&network->lock);
}

bool vn_place_mac(const struct vn_net_port *port, uint8_t mac[6]) {
  const struct vn_switch *table = &port->network->table;
  const struct vn_switch_entry *last = NULL;
  for (uint32_t set = 0; set < VN_SWITCH_SETS; set++) {
    for (uint32_t i = 0; i < VN_SWITCH_WAYS; i++) {
      const struct vn_switch_entry *entry = &table->sets[set][i];
      if (entry->address == 0 || entry->port != port->table.id) continue;
      if (last == NULL || table->now - entry->seen < table->now - last->seen) last = entry;
    }
  }
  if (last == NULL) return false;
  memcpy(mac, &last->address, 6); /* little-endian, as switch.h says */
  return true;
}
