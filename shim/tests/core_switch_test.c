// SPDX-License-Identifier: MIT
/* The switch: what it learns, where it sends, and that one port cannot push the others out. */
#include "core/switch.h"

#include <stdlib.h>
#include <string.h>

#include "test.h"

#define SECOND 1000000000ull

static struct vn_switch table;
static struct vn_switch_port port[4];

static void begin(void) {
  vn_switch_init(&table, 12345);
  memset(port, 0, sizeof port);
  for (int i = 0; i < 4; i++) CHECK(vn_switch_add(&table, &port[i]));
  vn_switch_time(&table, SECOND);
}

static struct vn_switch_port *forward(int from, uint32_t to, uint32_t source) {
  uint8_t frame[60] = {2, 0, (uint8_t)(to >> 24), (uint8_t)(to >> 16), (uint8_t)(to >> 8), (uint8_t)to,
                       2, 0, (uint8_t)(source >> 24), (uint8_t)(source >> 16), (uint8_t)(source >> 8), (uint8_t)source};
  if (to == 0xffffffff) frame[0] = 3;
  if (source == 0xffffffff) frame[6] = 3;
  return vn_switch_forward(&table, &port[from], frame, sizeof frame);
}

static void test_known_goes_to_one_port_unknown_to_all(void) {
  begin();
  CHECK(forward(0, 7, 1) == VN_SWITCH_FLOOD);
  CHECK(forward(1, 1, 7) == &port[0]);
  CHECK(forward(0, 7, 1) == &port[1]);
  CHECK(forward(0, 0xffffffff, 1) == VN_SWITCH_FLOOD);
  CHECK(forward(0, 1, 1) == VN_SWITCH_DROP); /* to its own port */
  CHECK(vn_switch_forward(&table, &port[0], (const uint8_t *)"0123456789abc", 13) == VN_SWITCH_DROP && port[0].dropped_short == 1);
}

static void test_group_and_zero_sources_are_not_learned(void) {
  begin();
  forward(0, 9, 0xffffffff);
  CHECK(port[0].addresses == 0);
  uint8_t frame[14] = {2};
  vn_switch_forward(&table, &port[0], frame, sizeof frame);
  CHECK(port[0].addresses == 0);
}

static void test_addresses_move_and_age(void) {
  begin();
  forward(0, 9, 1);
  forward(1, 9, 1);
  CHECK(port[0].addresses == 0 && port[1].addresses == 1 && forward(2, 1, 3) == &port[1]);
  vn_switch_time(&table, 299 * SECOND);
  CHECK(forward(2, 1, 3) == &port[1]);
  vn_switch_time(&table, 303 * SECOND);
  CHECK(forward(2, 1, 3) == VN_SWITCH_FLOOD && forward(1, 3, 1) == &port[2]);
}

static void test_removed_ports_are_forgotten(void) {
  begin();
  forward(0, 9, 1);
  forward(1, 9, 2);
  vn_switch_remove(&table, &port[0]);
  CHECK(port[0].addresses == 0 && forward(1, 1, 2) == VN_SWITCH_FLOOD && forward(2, 2, 3) == &port[1]);
  struct vn_switch_port other = {.id = 99};
  CHECK(vn_switch_add(&table, &other) && other.id == 0);
}

static void test_isolated_ports_know_the_uplink_only(void) {
  begin();
  port[0].isolated = port[1].isolated = true;
  port[3].uplink = true;
  forward(0, 9, 1), forward(1, 9, 2), forward(2, 9, 3), forward(3, 9, 4);
  CHECK(forward(0, 2, 1) == VN_SWITCH_DROP && forward(0, 3, 1) == VN_SWITCH_DROP && forward(0, 4, 1) == &port[3]);
  CHECK(forward(2, 1, 3) == VN_SWITCH_DROP && forward(3, 1, 4) == &port[0] && forward(2, 4, 3) == &port[3]);
  CHECK(port[0].dropped_isolated == 2 && table.dropped_isolated == 3);
  CHECK(!vn_switch_allows(&port[0], &port[1]) && vn_switch_allows(&port[0], &port[3]) && !vn_switch_allows(&port[2], &port[0]) &&
        vn_switch_allows(&port[2], &port[3]) && !vn_switch_allows(&port[2], &port[2]));
}

static void test_a_flood_of_sources_leaves_the_others_alone(void) {
  begin();
  for (uint32_t i = 0; i < 20; i++) forward(1, 9, 1000 + i);
  for (uint32_t i = 0; i < 10000; i++) forward(0, 9, 50000 + i);
  CHECK(port[0].addresses <= VN_SWITCH_PORT_ADDRESSES);
  uint32_t known = 0;
  for (uint32_t i = 0; i < 20; i++) known += forward(2, 1000 + i, 3) == &port[1];
  CHECK(known == 20);
  for (uint32_t i = 0; i < 20; i++) forward(3, 9, 2000 + i); /* newcomers find room too */
  for (uint32_t i = 0; i < 10000; i++) forward(0, 9, 90000 + i);
  known = 0;
  for (uint32_t i = 0; i < 20; i++) known += forward(2, 2000 + i, 3) == &port[3];
  CHECK(known == 20);
}

static void test_counts_agree_with_the_table_after_anything(void) {
  begin();
  srand(5);
  uint64_t now = SECOND;
  for (int i = 0; i < 200000; i++) {
    int from = rand() % 4;
    if (rand() % 5000 == 0) {
      vn_switch_remove(&table, &port[from]);
      CHECK(vn_switch_add(&table, &port[from]));
    }
    if (rand() % 100 == 0) vn_switch_time(&table, now += (uint64_t)(rand() % 20) * SECOND);
    forward(from, (uint32_t)rand() % 3000, (uint32_t)(rand() % (from ? 300 : 5000)));
  }
  uint32_t counted[4] = {0}, sum = 0;
  for (uint32_t s = 0; s < VN_SWITCH_SETS; s++)
    for (uint32_t w = 0; w < VN_SWITCH_WAYS; w++)
      if (table.sets[s][w].address)
        for (int i = 0; i < 4; i++) counted[i] += table.sets[s][w].port == port[i].id;
  for (int i = 0; i < 4; i++) {
    CHECK(counted[i] == port[i].addresses && counted[i] <= VN_SWITCH_PORT_ADDRESSES);
    sum += counted[i];
  }
  CHECK(sum > 100);
}

static void test_ports_run_out(void) {
  static struct vn_switch_port many[VN_SWITCH_PORTS + 1];
  vn_switch_init(&table, 1);
  for (uint32_t i = 0; i < VN_SWITCH_PORTS; i++) CHECK(vn_switch_add(&table, &many[i]));
  CHECK(!vn_switch_add(&table, &many[VN_SWITCH_PORTS]));
}

int main(void) {
  RUN(test_known_goes_to_one_port_unknown_to_all);
  RUN(test_group_and_zero_sources_are_not_learned);
  RUN(test_addresses_move_and_age);
  RUN(test_removed_ports_are_forgotten);
  RUN(test_isolated_ports_know_the_uplink_only);
  RUN(test_a_flood_of_sources_leaves_the_others_alone);
  RUN(test_counts_agree_with_the_table_after_anything);
  RUN(test_ports_run_out);
  return finish();
}
