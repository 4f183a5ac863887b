// SPDX-License-Identifier: MIT
/*
 * reserve.c - reservations that come and go while the gateway works: what happens to the leases.
 *
 * An address of the range has two entries in the table of lease.h, its reservation's and its own, which is blocked as
 * long as
 * the reservation is there. What a client has moves between the two. An address that somebody else holds is not taken
 * from
 * them: two guests would use it until the first one's lease is renewed. One that was only offered is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway.h"
#include "vmnet_shim.h"

/* The entry of an address in the range, or NULL. */
static struct lease *of_range(struct lease_table *table, uint32_t address) {
  uint32_t range = table->count - table->reserved;
  struct lease *first = table->leases + table->reserved;
  return range > 0 && address - first->address < range ? first + (address - first->address) : NULL;
}

static struct lease *reserved_for(struct lease_table *table, const uint8_t *mac) {
  for (uint32_t i = 0; i < table->reserved; i++) {
    if (memcmp(table->leases[i].mac, mac, 6) == 0) {
      return &table->leases[i];
    }
  }
  return NULL;
}

/* What a client has of its reservation becomes the range's, which has at most one entry for it; or it is lost. */
static void hand_back(struct lease_table *table, const struct lease *own, int64_t now, struct lease *lost) {
  struct lease *place = of_range(table, own->address);
  bool client = own->state == LEASE_OFFERED || own->state == LEASE_BOUND || own->state == LEASE_ENDED;
  bool doubled = client && lease_dynamic(table, own->mac) != NULL;
  if (own->state == LEASE_BOUND && (!place || doubled)) {
    *lost = *own;
  }
  if (!place) {
    return;
  }
  *place = *own;
  place->reserved = false;
  if (doubled) {
    place->state = LEASE_ENDED;
    place->ends = own->ends < now ? own->ends : now;
  }
  if (doubled || !client) {
    memset(place->mac, 0, 6);
    place->hostname[0] = 0;
  }
  uint32_t index = (uint32_t)(place - table->leases);
  table->touched = index < table->touched ? table->touched : index + 1;
  table->full_until = 0;
}

/* The other way round: the entry of an address that is in the range becomes a reservation's. */
static void take_over(struct lease_table *table, struct lease *own, int64_t now) {
  struct lease *place = of_range(table, own->address);
  if (!place) {
    return;
  }
  bool its = place->state >= LEASE_OFFERED && memcmp(place->mac, own->mac, 6) == 0;
  if (its || (place->state == LEASE_RESTING && place->ends > now)) {
    own->state = place->state;
    own->ends = place->ends;
  }
  if (its) {
    memcpy(own->hostname, place->hostname, sizeof own->hostname);
  }
  *place = (struct lease){.address = place->address, .state = LEASE_BLOCKED};
}

/* Room for one more reservation behind the others. */
static struct lease *grow(struct lease_table *table) {
  struct lease *leases = realloc(table->leases, (table->count + 1) * sizeof *leases);
  if (!leases) {
    return NULL;
  }
  struct lease *fresh = leases + table->reserved;
  memmove(fresh + 1, fresh, (table->count - table->reserved) * sizeof *leases);
  table->leases = leases;
  table->reserved++, table->count++, table->touched++;
  return fresh;
}

enum reserving lease_reserve(struct lease_table *table, const uint8_t *mac, uint32_t address, int64_t now,
                             struct lease *lost) {
  *lost = (struct lease){.address = 0};
  struct lease *own = reserved_for(table, mac), *holder = lease_at(table, address);
  if (own && own->address == address) {
    return RESERVED;
  }
  bool held = holder && holder->state == LEASE_BOUND && holder->ends > now && memcmp(holder->mac, mac, 6) != 0;
  if (holder && (holder->reserved || held)) {
    *lost = *holder;
    return RESERVE_TAKEN;
  }
  if (own) {
    hand_back(table, own, now, lost);
  } else if (!(own = grow(table))) {
    return RESERVE_NO_MEMORY;
  }
  *own = (struct lease){.address = address, .reserved = true};
  memcpy(own->mac, mac, 6);
  take_over(table, own, now);
  return RESERVED;
}

bool lease_unreserve(struct lease_table *table, const uint8_t *mac, int64_t now, struct lease *lost) {
  *lost = (struct lease){.address = 0};
  struct lease *own = reserved_for(table, mac);
  if (!own) {
    return false;
  }
  hand_back(table, own, now, lost);
  memmove(own, own + 1, (table->count - (uint32_t)(own - table->leases) - 1) * sizeof *own);
  table->reserved--, table->count--, table->touched--;
  return true;
}

/* The messages. */

static void tell(struct gateway *gateway, const struct lease *lost) {
  if (lost->state == LEASE_BOUND) {
    control_lease(gateway, lost, 2);
  }
}

static bool has_dhcp(const struct gateway *gateway, struct problem *problem) {
  if (!gateway->config.dhcp) {
    *problem = (struct problem){.status = VN_UNSUPPORTED, .text = "a network without DHCP keeps no addresses for anybody"};
  }
  return gateway->config.dhcp;
}

void reservation_add(struct gateway *gateway, const uint8_t *list, uint32_t length, struct problem *problem) {
  struct reservation wanted;
  struct lease other;
  const char *field = reservation_read(&gateway->config, list, length, &wanted);
  if (!has_dhcp(gateway, problem)) {
    return;
  }
  if (field) {
    *problem = (struct problem){.status = VN_BAD_OPTION, .field = field, .text = "it is not for a guest of this network"};
    return;
  }
  dhcp_expire(gateway);
  enum reserving how = lease_reserve(&gateway->leases, wanted.mac, wanted.address, gateway->now, &other);
  if (how == RESERVED) {
    tell(gateway, &other);
  } else if (how == RESERVE_NO_MEMORY) {
    *problem = (struct problem){.status = VN_NO_MEMORY, .text = "the gateway is out of memory"};
  } else {
    const uint8_t *mac = other.mac;
    snprintf(gateway->sentence, sizeof gateway->sentence, "it is %s %02x:%02x:%02x:%02x:%02x:%02x",
             other.reserved ? "reserved for" : "leased to", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
    *problem = (struct problem){.status = VN_IN_USE, .field = "address", .text = gateway->sentence};
  }
}

void reservation_remove(struct gateway *gateway, const uint8_t *list, uint32_t length, struct problem *problem) {
  struct vn_entry mac;
  struct lease lost;
  if (!has_dhcp(gateway, problem)) {
    return;
  }
  if (!vn_list_find(list, length, VN_BYTES, "mac", &mac) || mac.length != 6) {
    *problem = (struct problem){.status = VN_BAD_OPTION, .field = "mac", .text = "it takes a MAC address"};
  } else if (!lease_unreserve(&gateway->leases, mac.value, gateway->now, &lost)) {
    *problem = (struct problem){.status = VN_NOT_FOUND, .text = "nothing is reserved for that MAC address"};
  } else {
    tell(gateway, &lost);
  }
}
