// SPDX-License-Identifier: MIT
/*
 * lease.c - the table of lease.h: searches, and the steps from one state to another.
 *
 * A client's entry, a free one and one that is over are searched for from one end to the other; under a flood of
 * clients touched cuts the first search short, full_until saves the second, next_end the third. The two times may come
 * too early, which costs a search in vain, but not too late: who frees an entry clears full_until, who binds one lowers
 * both: a renewal may be shorter than what it renews.
 */
#include "lease.h"

#include <stdlib.h>
#include <string.h>

bool lease_open(struct lease_table *table, const struct config *config) {
  uint32_t range = config->dhcp_end - config->dhcp_start + 1;
  range = range > RANGE_LIMIT ? RANGE_LIMIT : range;
  *table = (struct lease_table){.reserved = config->reservation_count, .count = config->reservation_count + range,
                                .touched = config->reservation_count, .next_end = NEVER};
  table->leases = calloc(table->count, sizeof *table->leases);
  if (!table->leases) {
    return false;
  }
  for (uint32_t i = 0; i < range; i++) {
    struct lease *lease = &table->leases[table->reserved + i];
    lease->address = config->dhcp_start + i;
    lease->state = config_assignable(config, lease->address) ? LEASE_UNUSED : LEASE_BLOCKED;
  }
  for (uint32_t i = 0; i < table->reserved; i++) {
    const struct reservation *reservation = &config->reservations[i];
    uint32_t place = reservation->address - config->dhcp_start;
    if (place < range) {
      table->leases[table->reserved + place].state = LEASE_BLOCKED;
    }
    table->leases[i].address = reservation->address;
    table->leases[i].reserved = true;
    memcpy(table->leases[i].mac, reservation->mac, 6);
  }
  return true;
}

void lease_close(struct lease_table *table) {
  free(table->leases);
  table->leases = NULL;
}

static bool is_client(const struct lease *lease, const uint8_t *mac) {
  return (lease->reserved || lease->state >= LEASE_OFFERED) && memcmp(lease->mac, mac, 6) == 0;
}

bool lease_free(const struct lease *lease, int64_t now) {
  return lease->state == LEASE_UNUSED || lease->state == LEASE_ENDED ||
         (lease->state != LEASE_BLOCKED && lease->ends <= now);
}

static struct lease *reservation_of(struct lease_table *table, const uint8_t *mac, int64_t now) {
  for (uint32_t i = 0; i < table->reserved; i++) {
    struct lease *lease = &table->leases[i];
    if (is_client(lease, mac)) {
      return lease->state == LEASE_RESTING && lease->ends > now ? NULL : lease;
    }
  }
  return NULL;
}

struct lease *lease_dynamic(struct lease_table *table, const uint8_t *mac) {
  for (uint32_t i = table->reserved; i < table->touched; i++) {
    if (is_client(&table->leases[i], mac)) {
      return &table->leases[i];
    }
  }
  return NULL;
}

struct lease *lease_of(struct lease_table *table, const uint8_t *mac, int64_t now) {
  struct lease *lease = reservation_of(table, mac, now);
  return lease ? lease : lease_dynamic(table, mac);
}

struct lease *lease_at(struct lease_table *table, uint32_t address) {
  for (uint32_t i = 0; i < table->reserved; i++) {
    if (table->leases[i].address == address) {
      return &table->leases[i];
    }
  }
  uint32_t place = table->count > table->reserved ? address - table->leases[table->reserved].address : UINT32_MAX;
  return place < table->count - table->reserved ? &table->leases[table->reserved + place] : NULL;
}

bool lease_allowed(struct lease_table *table, const struct lease *lease, const uint8_t *mac, int64_t now) {
  struct lease *reserved = reservation_of(table, mac, now);
  if (reserved || lease->reserved) {
    return lease == reserved;
  }
  return lease_free(lease, now) || (is_client(lease, mac) && lease->state != LEASE_RESTING);
}

struct lease *lease_choose(struct lease_table *table, const uint8_t *mac, uint32_t wanted, int64_t now) {
  struct lease *lease = lease_of(table, mac, now);
  if (lease && lease_allowed(table, lease, mac, now)) {
    return lease;
  }
  lease = lease_at(table, wanted);
  if (lease && lease_allowed(table, lease, mac, now)) {
    return lease;
  }
  if (now < table->full_until) {
    return NULL;
  }
  struct lease *best = NULL;
  int64_t soonest = NEVER;
  for (uint32_t i = table->reserved; i < table->count; i++) {
    lease = &table->leases[i];
    if (lease_free(lease, now) && (!best || lease->ends < best->ends)) {
      best = lease;
    } else if (lease->state >= LEASE_OFFERED && lease->ends < soonest) {
      soonest = lease->ends;
    }
    if (best && best->ends == 0) {
      break;
    }
  }
  table->full_until = best ? 0 : soonest;
  return best;
}

/* Gives an entry to a client, who forgets what it had. */
static struct lease *give(struct lease_table *table, struct lease *lease, const uint8_t *mac) {
  struct lease *other = lease_dynamic(table, mac);
  uint32_t place = (uint32_t)(lease - table->leases);
  if (place >= table->touched) {
    table->touched = place + 1;
  }
  if (!is_client(lease, mac)) {
    lease->hostname[0] = 0;
    memcpy(lease->mac, mac, 6);
  }
  return other == lease ? NULL : other;
}

void lease_offer(struct lease_table *table, struct lease *lease, const uint8_t *mac, int64_t now) {
  if (lease->state == LEASE_BOUND && lease->ends > now) {
    return; /* its own client asks again, and keeps it whatever it does then */
  }
  struct lease *other = give(table, lease, mac);
  if (other && other->state != LEASE_BOUND) {
    memset(other->mac, 0, 6);
  }
  lease->state = LEASE_OFFERED;
  lease->ends = now + OFFER_MS;
}

void lease_end(struct lease_table *table, struct lease *lease, int64_t now) {
  lease->state = LEASE_ENDED;
  lease->ends = lease->ends < now ? lease->ends : now;
  table->full_until = 0;
}

bool lease_bind(struct lease_table *table, struct lease *lease, const uint8_t *mac, int64_t now, int64_t ends,
                struct lease *lost) {
  struct lease *other = give(table, lease, mac);
  bool loses = other && other->state == LEASE_BOUND;
  if (other) {
    *lost = *other;
    lease_end(table, other, now);
    memset(other->mac, 0, 6);
  }
  lease->state = LEASE_BOUND;
  lease->ends = ends;
  table->next_end = ends < table->next_end ? ends : table->next_end;
  table->full_until = ends < table->full_until ? ends : table->full_until;
  return loses;
}

void lease_rest(struct lease_table *table, struct lease *lease, int64_t now) {
  lease->state = LEASE_RESTING;
  lease->ends = now + REST_MS;
  table->full_until = 0;
  if (!lease->reserved) {
    memset(lease->mac, 0, 6);
  }
}

struct lease *lease_expire(struct lease_table *table, int64_t now) {
  if (now < table->next_end) {
    return NULL;
  }
  table->next_end = NEVER;
  for (uint32_t i = 0; i < table->touched; i++) {
    struct lease *lease = &table->leases[i];
    if (lease->state != LEASE_BOUND) {
      continue;
    }
    if (lease->ends <= now) {
      table->next_end = now; /* look again for more */
      lease->state = LEASE_ENDED;
      return lease;
    }
    table->next_end = lease->ends < table->next_end ? lease->ends : table->next_end;
  }
  return NULL;
}
