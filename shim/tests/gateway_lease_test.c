// SPDX-License-Identifier: MIT
/* gateway_lease_test.c - who gets which address, and who does not. */
#include "gateway/lease.h"

#include <string.h>

#include "test.h"

#define NET 0xc0a83200u
static const uint8_t ann[6] = {2, 0, 0, 0, 0, 1}, bob[6] = {2, 0, 0, 0, 0, 2}, eve[6] = {2, 0, 0, 0, 0, 3};
static struct reservation reserved[1];
static struct lease_table table;
static struct lease lost;

static void begin(uint32_t first, uint32_t last) {
  struct config config = {.network = NET, .mask = 0xffffff00, .gateway = NET + 1, .dhcp_start = NET + first,
                          .dhcp_end = NET + last, .reservations = reserved, .reservation_count = 1};
  reserved[0] = (struct reservation){.mac = {2, 0, 0, 0, 0, 9}, .address = NET + 12};
  CHECK(lease_open(&table, &config));
}

static uint32_t chosen(const uint8_t *mac, uint32_t wanted, int64_t now) {
  struct lease *lease = lease_choose(&table, mac, wanted ? NET + wanted : 0, now);
  return lease ? lease->address - NET : 0;
}

static uint32_t offered(const uint8_t *mac, int64_t now) {
  struct lease *lease = lease_choose(&table, mac, 0, now);
  if (lease) lease_offer(&table, lease, mac, now);
  return lease ? lease->address - NET : 0;
}

static struct lease *bound(const uint8_t *mac, uint32_t number, int64_t now, int64_t ends) {
  struct lease *lease = lease_at(&table, NET + number);
  CHECK(lease && lease_allowed(&table, lease, mac, now));
  lease_bind(&table, lease, mac, now, ends, &lost);
  return lease;
}

static void a_reservation_is_for_one_client_only(void) {
  begin(10, 13);
  CHECK(chosen(reserved[0].mac, 0, 1) == 12 && chosen(reserved[0].mac, 11, 1) == 12);
  CHECK(chosen(ann, 12, 1) == 10);
  CHECK(!lease_allowed(&table, lease_at(&table, NET + 12), ann, 1));
  CHECK(!lease_allowed(&table, lease_at(&table, NET + 10), reserved[0].mac, 1));
  CHECK(offered(ann, 1) == 10 && offered(bob, 1) == 11 && offered(eve, 1) == 13);
  CHECK(offered((const uint8_t[6]){2, 0, 0, 0, 0, 4}, 1) == 0); /* .12 is free, but not for everybody */
  lease_close(&table);
}

static void the_gateway_is_never_given_out(void) {
  begin(0, 3); /* the network address, the gateway, and two more */
  CHECK(offered(ann, 1) == 2 && offered(bob, 1) == 3 && offered(eve, 1) == 0);
  CHECK(!lease_allowed(&table, lease_at(&table, NET + 1), ann, 1));
  lease_close(&table);
}

static void a_known_client_gets_its_address_back(void) {
  begin(10, 13);
  struct lease *lease = bound(ann, 11, 1, 1000);
  CHECK(lease_of(&table, ann, 5) == lease && chosen(ann, 10, 5) == 11);
  CHECK(!lease_allowed(&table, lease, bob, 999));
  CHECK(lease_expire(&table, 999) == NULL && lease_expire(&table, 1000) == lease && !lease_expire(&table, 1000));
  CHECK(chosen(ann, 0, 5000) == 11 && chosen(bob, 0, 5000) == 10);
  lease_close(&table);
}

static void what_ended_first_is_reused_first(void) {
  begin(10, 13);
  bound(ann, 10, 1, 300), bound(bob, 11, 1, 100), bound(eve, 13, 1, 200);
  while (lease_expire(&table, 400)) continue;
  CHECK(offered((const uint8_t[6]){2, 0, 0, 0, 0, 4}, 400) == 11);
  CHECK(offered((const uint8_t[6]){2, 0, 0, 0, 0, 5}, 400) == 13);
  CHECK(chosen(ann, 0, 400) == 10 && chosen(bob, 0, 400) == 10);
  lease_close(&table);
}

static void an_offer_lasts_ten_seconds(void) {
  begin(10, 10);
  CHECK(offered(ann, 1) == 10 && offered(bob, 2) == 0 && offered(bob, OFFER_MS) == 0);
  CHECK(offered(bob, OFFER_MS + 1) == 10);
  lease_close(&table);
}

static void a_flood_evicts_nobody(void) {
  begin(2, 200);
  struct lease *lease = bound(ann, 50, 1, 1000000);
  for (uint32_t i = 0; i < 10000; i++) {
    uint8_t mac[6] = {6, 0, 0, 0, (uint8_t)(i >> 8), (uint8_t)i};
    uint32_t number = offered(mac, 10 + i);
    CHECK(number != 50 && number != 12 && number != 1);
  }
  CHECK(lease->state == LEASE_BOUND && memcmp(lease->mac, ann, 6) == 0 && chosen(ann, 0, 20000) == 50);
  CHECK(chosen(reserved[0].mac, 0, 20000) == 12);
  lease_close(&table);
}

static void a_renewal_may_be_shorter(void) {
  begin(10, 10);
  struct lease *lease = bound(ann, 10, 1, 1000000);
  CHECK(offered(bob, 2) == 0); /* full, and remembered as full for long */
  bound(ann, 10, 3, 100);
  CHECK(offered(bob, 99) == 0 && offered(bob, 100) == 10 && lease->state == LEASE_OFFERED);
  lease_close(&table);
}

static void a_declined_address_rests(void) {
  begin(10, 11);
  struct lease *lease = bound(ann, 10, 1, 100000);
  lease_rest(&table, lease, 50);
  CHECK(chosen(ann, 10, 51) == 11 && chosen(bob, 10, 50 + REST_MS - 1) == 11);
  CHECK(!lease_allowed(&table, lease, ann, 51) && lease_allowed(&table, lease, ann, 50 + REST_MS));
  struct lease *own = lease_choose(&table, reserved[0].mac, 0, 51); /* a reservation that is in use elsewhere */
  bound(reserved[0].mac, 12, 51, 100000);
  lease_rest(&table, own, 60);
  CHECK(chosen(reserved[0].mac, 0, 61) == 11 && chosen(reserved[0].mac, 0, 60 + REST_MS) == 12);
  lease_close(&table);
}

static void a_client_holds_one_address(void) {
  begin(10, 13);
  struct lease *old = bound(ann, 10, 1, 1000);
  CHECK(lease_bind(&table, lease_at(&table, NET + 11), ann, 5, 2000, &lost) && lost.address == NET + 10);
  CHECK(memcmp(lost.mac, ann, 6) == 0 && old->state == LEASE_ENDED && lease_allowed(&table, old, bob, 5));
  CHECK(lease_of(&table, ann, 5)->address == NET + 11);
  lease_close(&table);
}

static void endless_leases_do_not_end(void) {
  begin(10, 13);
  bound(ann, 10, 1, NEVER);
  CHECK(table.next_end == NEVER && !lease_expire(&table, INT64_MAX - 1));
  lease_close(&table);
}

static void long_ranges_are_cut(void) {
  struct config config = {.network = 10u << 24, .mask = 0xff000000, .gateway = (10u << 24) + 1,
                          .dhcp_start = (10u << 24) + 2, .dhcp_end = (10u << 24) + 0xfffffe};
  CHECK(lease_open(&table, &config) && table.count == RANGE_LIMIT);
  CHECK(lease_at(&table, config.dhcp_start) && !lease_at(&table, config.dhcp_end));
  lease_close(&table);
}

int main(void) {
  RUN(a_reservation_is_for_one_client_only);
  RUN(the_gateway_is_never_given_out);
  RUN(a_known_client_gets_its_address_back);
  RUN(what_ended_first_is_reused_first);
  RUN(an_offer_lasts_ten_seconds);
  RUN(a_flood_evicts_nobody);
  RUN(a_renewal_may_be_shorter);
  RUN(a_declined_address_rests);
  RUN(a_client_holds_one_address);
  RUN(endless_leases_do_not_end);
  RUN(long_ranges_are_cut);
  return finish();
}
