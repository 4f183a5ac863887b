// SPDX-License-Identifier: MIT
/* The addresses that a guarded port may use, protocol by protocol. */
#include "guard_fixture.h"

static void test_the_first_MAC_address_is_the_ports(void) {
  begin(true);
  guard(p, anti_spoof);
  ethernet(group, 0x88b5, false), length = 60;
  CHECK(spoofed(p)); /* a group is nobody's address */
  ethernet(ours, 0x88b5, false), length = 60;
  CHECK(passes(p));
  ethernet(theirs, 0x88b5, false), length = 60;
  CHECK(spoofed(p));
  vn_guard_set(p->guard, &anti_spoof);
  CHECK(spoofed(p)); /* what was learned stays */
  vn_guard_forget(p->guard);
  CHECK(passes(p));
  struct vn_guard_options given = anti_spoof, got;
  memcpy(given.mac, ours, 6);
  vn_guard_set(p->guard, &given);
  CHECK(spoofed(p));
  vn_guard_forget(p->guard);
  CHECK(spoofed(p)); /* what was given stays too */
  vn_guard_get(p->guard, &got);
  CHECK(memcmp(&got, &given, sizeof got) == 0);
  vn_guard_set(p->guard, &anti_spoof);
  CHECK(passes(p)); /* any again */
  guard(q, anti_spoof);
  memcpy(q->mac, ours, 6); /* an interface's */
  CHECK(spoofed(q));
  length = 13;
  CHECK(passes(q)); /* no frame: the switch counts it */
  end();
}

static void test_leases_and_reservations_say_which_IPv4_address(void) {
  begin(true);
  guard(p, anti_spoof);
  ip4(ours, 0xc0a84009, VN_TCP, 20);
  CHECK(spoofed(p));
  lease(theirs, "192.168.64.9", 1);
  CHECK(spoofed(p));
  lease(ours, "192.168.64.9", 1);
  CHECK(passes(p));
  arp(2, ours, ours, 0xc0a84009);
  CHECK(passes(p));
  arp(1, ours, ours, 0xc0a8400a);
  CHECK(spoofed(p));
  ip4(ours, 0xc0a84001, VN_TCP, 20); /* the gateway's */
  CHECK(spoofed(p));
  ip4(ours, 0xa9fe0102, VN_TCP, 20); /* who has DHCP needs no address of 169.254/16 */
  CHECK(spoofed(p));
  lease(ours, "192.168.64.11", 1);
  ip4(ours, 0xc0a84009, VN_TCP, 20);
  CHECK(spoofed(p));
  ip4(ours, 0xc0a8400b, VN_TCP, 20);
  CHECK(passes(p));
  lease(ours, "192.168.64.11", 2);
  CHECK(spoofed(p));
  end();
  begin(true);
  struct vn_reservation reservation = {.mac = {0}, .address = 0xc0a84007};
  uint32_t before;
  memcpy(reservation.mac, ours, 6);
  CHECK(vn_facts_reserve(network, &reservation, &before) && before == 0);
  guard(p, anti_spoof);
  ip4(ours, 0xc0a84007, VN_TCP, 20);
  CHECK(passes(p));
  ip4(ours, 0xc0a84008, VN_TCP, 20);
  CHECK(spoofed(p));
  reservation.address = 0xc0a84008; /* it changes while the guest runs */
  CHECK(vn_facts_reserve(network, &reservation, &before) && before == 0xc0a84007 && passes(p));
  ip4(ours, 0xc0a84007, VN_TCP, 20);
  CHECK(spoofed(p));
  vn_facts_unreserve(network, ours);
  ip4(ours, 0xc0a84008, VN_TCP, 20);
  CHECK(spoofed(p));
  end();
}

static void test_without_an_address_DHCP_and_probes_pass(void) {
  begin(true);
  guard(p, anti_spoof);
  udp4(ours, 0, 68, 67);
  CHECK(passes(p));
  udp4(ours, 0, 68, 53);
  CHECK(spoofed(p));
  uint8_t *udp = udp4(ours, 0, 68, 67);
  udp[8 + 28] ^= 1; /* in another one's name */
  CHECK(spoofed(p));
  ip4(ours, 0, VN_IGMP, 8);
  CHECK(passes(p));
  ip4(ours, 0, VN_TCP, 20);
  CHECK(spoofed(p));
  arp(1, ours, ours, 0);
  CHECK(passes(p));
  arp(2, ours, ours, 0);
  CHECK(spoofed(p));
  arp(1, ours, theirs, 0);
  CHECK(spoofed(p));
  arp(1, ours, ours, 0), frame[14 + 4] = 8;
  CHECK(spoofed(p));
  arp(1, ours, ours, 0), length--;
  CHECK(spoofed(p));
  end();
}

static void test_servers_answers_are_refused(void) {
  begin(true);
  guard(p, anti_spoof);
  lease(ours, "192.168.64.9", 1);
  udp4(ours, 0xc0a84009, 67, 68);
  CHECK(spoofed(p));
  udp4(ours, 0xc0a84009, 4011, 68);
  CHECK(spoofed(p));
  udp4(ours, 0xc0a84009, 67, 69);
  CHECK(passes(p));
  uint8_t *udp = udp4(ours, 0xc0a84009, 67, 68);
  vn_put16(udp - 14, 0x2000); /* a first fragment */
  CHECK(spoofed(p));
  udp = ip6(link6, VN_UDP, 8);
  vn_put16(udp, 547), vn_put16(udp + 2, 546);
  CHECK(spoofed(p));
  vn_put16(udp + 2, 547);
  CHECK(passes(p));
  uint8_t *icmp = ip6(link6, VN_ICMP6, 16);
  icmp[0] = 134;
  CHECK(spoofed(p));
  icmp[0] = 137;
  CHECK(spoofed(p));
  icmp = ip6(link6, 0, 24); /* behind a hop-by-hop header */
  icmp[0] = VN_ICMP6, icmp[8] = 134;
  CHECK(spoofed(p));
  icmp[8] = 128;
  CHECK(passes(p));
  icmp = ip6(link6, 44, 24); /* in a fragment */
  icmp[0] = VN_ICMP6, icmp[8] = 134;
  CHECK(spoofed(p));
  icmp = ip6(link6, 44, 8 + 32);
  icmp[0] = VN_ICMP6, icmp[8] = 135, icmp[8 + 24] = icmp[8 + 25] = 1;
  memcpy(icmp + 8 + 26, ours, 6);
  CHECK(spoofed(p));
  end();
}

static void test_IPv6_senders_and_neighbours(void) {
  begin(true);
  guard(p, anti_spoof), guard(q, anti_spoof);
  ip6(link6, VN_TCP, 20);
  CHECK(passes(p));
  ip6(inside6, VN_TCP, 20);
  CHECK(passes(p));
  ip6(outside6, VN_TCP, 20);
  CHECK(spoofed(p));
  ip6(none6, VN_TCP, 20);
  CHECK(spoofed(p));
  discovery(none6, 135, inside6, ours);
  CHECK(passes(p));
  discovery(link6, 135, inside6, theirs);
  CHECK(spoofed(p));
  discovery(link6, 136, inside6, ours);
  CHECK(passes(p));
  discovery(link6, 136, inside6, theirs);
  CHECK(spoofed(p));
  discovery(link6, 136, outside6, ours);
  CHECK(spoofed(p));
  discovery(link6, 136, inside6, ours)[25] = 0; /* an option without an end */
  CHECK(spoofed(p));
  uint8_t router[16] = {0xfe, 0x80, [15] = 2};
  ip6(router, VN_TCP, 20);
  CHECK(spoofed(p));
  discovery(link6, 136, router, ours);
  CHECK(spoofed(p));
  ip6(inside6, VN_TCP, 20); /* the neighbour may not have the same */
  memcpy(frame + 6, theirs, 6);
  CHECK(spoofed(q));
  uint8_t own[16];
  memcpy(own, inside6, 16);
  uint32_t passed = 0;
  for (uint32_t i = 0; i < 100; i++) { /* no more than 16 new addresses in a second */
    network->now_ns += 1000;
    vn_put16(own + 14, 0x100 + i);
    ip6(own, VN_TCP, 20);
    memcpy(frame + 6, theirs, 6);
    passed += passes(q);
  }
  CHECK(passed == VN_BINDING_TRIES - 1);
  network->now_ns += SECOND;
  for (uint32_t i = 0; i < 40; i++) { /* but any number in time; old ones make room */
    network->now_ns += SECOND / 10;
    vn_put16(own + 14, 0x200 + i);
    ip6(own, VN_TCP, 20);
    memcpy(frame + 6, theirs, 6);
    CHECK(passes(q));
  }
  CHECK(vn_guard_binding(q->guard)->six_count == VN_BINDING_SIX);
  end();
}

static void test_without_DHCP_the_first_IPv4_address_is_the_ports(void) {
  begin(false);
  guard(p, anti_spoof), guard(q, anti_spoof);
  ip4(ours, 0x7f000001, VN_TCP, 20);
  CHECK(spoofed(p));
  ip4(ours, 0xe0000001, VN_TCP, 20);
  CHECK(spoofed(p));
  ip4(ours, 0xa9fe0102, VN_TCP, 20);
  CHECK(passes(p));
  arp(1, ours, ours, 0x0a000001);
  CHECK(passes(p));
  ip4(ours, 0x0a000002, VN_TCP, 20);
  CHECK(spoofed(p));
  ip4(ours, 0x0a000001, VN_TCP, 20);
  CHECK(passes(p));
  ip4(theirs, 0x0a000001, VN_TCP, 20);
  CHECK(spoofed(q));
  ip4(theirs, 0x0a000002, VN_TCP, 20);
  CHECK(passes(q));
  end();
  begin(false);
  guard(p, anti_spoof);
  network->options.bits = 24;
  ip4(ours, 0xc0a84001, VN_TCP, 20); /* the gateway's */
  CHECK(spoofed(p));
  end();
}

static void test_nothing_hides_behind_headers(void) {
  begin(true);
  guard(p, anti_spoof);
  lease(ours, "192.168.64.9", 1);
  uint8_t *ip = ethernet(ours, VN_TYPE_IPV4, true);
  ip[0] = 0x45, ip[9] = VN_TCP;
  vn_put32(ip + 12, 0xc0a84009);
  length += 40;
  CHECK(passes(p)); /* behind one tag, with a length of 0 */
  vn_put32(ip + 12, 0xc0a8400a);
  CHECK(spoofed(p));
  ethernet(ours, 0x8100, true), length += 40;
  CHECK(spoofed(p));
  ip4(ours, 0xc0a84009, VN_TCP, 20), frame[14] = 0x44;
  CHECK(spoofed(p));
  ip4(ours, 0xc0a84009, VN_TCP, 20), frame[14] = 0x65;
  CHECK(spoofed(p));
  ip4(ours, 0xc0a84009, VN_TCP, 20), length--;
  CHECK(spoofed(p));
  ip4(ours, 0xc0a84009, VN_UDP, 4);
  CHECK(spoofed(p));
  uint8_t *at = ip6(link6, 60, 12 * 8);
  for (int i = 0; i < 12; i++) at[8 * i] = 60; /* headers without end */
  CHECK(spoofed(p));
  at = ip6(link6, 60, 16), at[0] = 59, at[1] = 1;
  CHECK(passes(p));
  at[1] = 2;
  CHECK(spoofed(p));
  ip4(ours, 0xc0a84009, VN_TCP, 40);
  uint8_t header[12] = {1, 0, 0, 0, 0, 0, 34, 0, 16, 0};
  CHECK(passes_with(p, header));
  header[6] = 14, header[8] = 12; /* a "checksum" in place of the sender */
  CHECK(!passes_with(p, header));
  header[6] = 6, header[8] = 2;
  CHECK(!passes_with(p, header));
  udp4(ours, 0, 68, 67);
  header[6] = 34, header[8] = 6;
  CHECK(passes_with(p, header));
  header[6] = 42, header[8] = 28; /* nor in place of the MAC address in a DHCP request */
  CHECK(!passes_with(p, header));
  discovery(link6, 135, inside6, ours);
  header[6] = 54, header[8] = 2;
  CHECK(passes_with(p, header));
  header[8] = 26; /* nor in neighbour discovery */
  CHECK(!passes_with(p, header));
  end();
}

static void test_IP_does_not_hide_in_frames_with_a_length(void) {
  begin(true);
  guard(p, anti_spoof);
  lease(ours, "192.168.64.9", 1);
  static const uint8_t snap[8] = {0xaa, 0xaa, 3, 0, 0, 0, 8, 0};
  for (int tag = 0; tag < 2; tag++) {
    uint8_t *llc = ethernet(ours, 48, tag);
    length += 48;
    memcpy(llc, snap, 8);
    CHECK(spoofed(p)); /* IPv4 */
    llc[7] = 6, llc[0] = llc[1] = 0xab;
    CHECK(spoofed(p)); /* ARP */
    llc[5] = 0xf8, vn_put16(llc + 6, VN_TYPE_IPV6);
    CHECK(spoofed(p)); /* as IEEE 802.1H has it */
    vn_put16(llc + 6, 0x8100);
    CHECK(spoofed(p));
    vn_put16(llc + 6, 0x88b5);
    CHECK(passes(p));
    llc[5] = 0x0c, vn_put16(llc + 6, 0x2000);
    CHECK(passes(p)); /* CDP */
    length -= 41;
    CHECK(spoofed(p)); /* cut */
    length -= 5;
    CHECK(spoofed(p));
    length += 46;
    llc[0] = llc[1] = 6;
    CHECK(spoofed(p));
    llc[0] = llc[1] = 0x42;
    CHECK(passes(p)); /* spanning tree */
    uint8_t header[12] = {1, 0, 0, 0, 0, 0, 20, 0, 0, 0};
    CHECK(!passes_with(p, header)); /* no checksum belongs there, and it could become SNAP */
  }
  ethernet(ours, 0x5ff, false), length += 48; /* neither a length nor a type: hosts take it for a length */
  memcpy(frame + 14, snap, 8);
  CHECK(spoofed(p));
  end();
}

static void test_DHCP_requests_come_in_one_piece(void) {
  begin(true);
  guard(p, anti_spoof);
  lease(ours, "192.168.64.9", 1);
  uint8_t *udp = udp4(ours, 0xc0a84009, 68, 67);
  CHECK(passes(p));
  vn_put16(udp - 14, 0x2000); /* the next fragment could write over the MAC address */
  CHECK(spoofed(p));
  udp = udp4(ours, 0xc0a84009, 68, 69), vn_put16(udp - 14, 0x2000);
  CHECK(passes(p));
  end();
}

int main(void) {
  RUN(test_the_first_MAC_address_is_the_ports);
  RUN(test_leases_and_reservations_say_which_IPv4_address);
  RUN(test_without_an_address_DHCP_and_probes_pass);
  RUN(test_servers_answers_are_refused);
  RUN(test_IPv6_senders_and_neighbours);
  RUN(test_without_DHCP_the_first_IPv4_address_is_the_ports);
  RUN(test_nothing_hides_behind_headers);
  RUN(test_IP_does_not_hide_in_frames_with_a_length);
  RUN(test_DHCP_requests_come_in_one_piece);
  return finish();
}
