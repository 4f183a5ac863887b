// SPDX-License-Identifier: MIT
/*
 * lease.h - who has which IPv4 address.
 *
 * Theory of operation. The table has one entry per reservation, then one per address of the dynamic range. A client is
 * its MAC address and has at most one entry, besides that of its reservation. An entry is
 *
 *   unused    never given out: ends is 0
 *   blocked   in the range, but the gateway's or reserved: never given out
 *   offered   to a client that has not taken it yet; free again when ends passes, after ten seconds
 *   bound     leased until ends; only ends, a release or a decline takes it away, so a flood of clients cannot
 *   ended     free, but its last client gets it back as long as nobody else needed it
 *   resting   declined, because somebody uses it without asking; not given out before ends
 *
 * A new client gets the free entry with the smallest ends: an unused one, else the one that ended first. Times are
 * monotonic milliseconds; NEVER means an infinite lease.
 *
 * Reservations come and go while guests run (reserve.c). A client whose lease is not the reserved address finds that
 * out by
 * its next renewal, which is refused, so that it asks anew; until then nobody else gets what it uses. What a client has
 * of a
 * reservation that goes is a lease like any other from then on, if its address is in the range; else it ends at once.
 */
#ifndef VN_GATEWAY_LEASE_H
#define VN_GATEWAY_LEASE_H

#include "config.h"

#define NEVER INT64_MAX
#define OFFER_MS 10000
#define REST_MS 600000
#define RANGE_LIMIT 8192u /* of a longer range the first addresses are used; a restart replays all leases at once */

enum lease_state { LEASE_UNUSED, LEASE_BLOCKED, LEASE_OFFERED, LEASE_BOUND, LEASE_ENDED, LEASE_RESTING };

struct lease {
  uint32_t address;
  uint8_t mac[6];
  uint8_t state;
  bool reserved; /* mac is the reservation's and stays */
  int64_t ends;
  char hostname[64];
};

struct lease_table {
  struct lease *leases;
  uint32_t reserved, count; /* the first ones are reservations */
  uint32_t touched;         /* entries from here on are unused or blocked */
  int64_t full_until;       /* the range has nothing free before */
  int64_t next_end;         /* no bound lease ends before */
};

bool lease_open(struct lease_table *table, const struct config *config);
void lease_close(struct lease_table *table);

struct lease *lease_of(struct lease_table *table, const uint8_t *mac, int64_t now); /* what the client has or had */
struct lease *lease_at(struct lease_table *table, uint32_t address);
struct lease *lease_dynamic(struct lease_table *table, const uint8_t *mac); /* the same without its reservation */
bool lease_free(const struct lease *lease, int64_t now);
/* May the client have that entry now? */
bool lease_allowed(struct lease_table *table, const struct lease *lease, const uint8_t *mac, int64_t now);
/* What to offer: the reservation, what the client had, the address it wants (0: none), a free one. NULL: none left. */
struct lease *lease_choose(struct lease_table *table, const uint8_t *mac, uint32_t wanted, int64_t now);

void lease_offer(struct lease_table *table, struct lease *lease, const uint8_t *mac, int64_t now);
/* Answers true when the client loses another address by it, which *lost then describes. */
bool lease_bind(struct lease_table *table, struct lease *lease, const uint8_t *mac, int64_t now, int64_t ends,
                struct lease *lost);
void lease_end(struct lease_table *table, struct lease *lease, int64_t now);
void lease_rest(struct lease_table *table, struct lease *lease, int64_t now);
/* The next bound lease that is over, already ended, or NULL; to be called again until it is. */
struct lease *lease_expire(struct lease_table *table, int64_t now);

/* reserve.c. What a client loses by it is described by *lost, whose state is LEASE_BOUND then. */
enum reserving { RESERVED, RESERVE_NO_MEMORY, RESERVE_TAKEN };
/* Instead of what that client has reserved. RESERVE_TAKEN: *lost is whose address that is, by lease or reservation. */
enum reserving lease_reserve(struct lease_table *table, const uint8_t *mac, uint32_t address, int64_t now,
                             struct lease *lost);
bool lease_unreserve(struct lease_table *table, const uint8_t *mac, int64_t now, struct lease *lost); /* false: none */

#endif
