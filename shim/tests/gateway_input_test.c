// SPDX-License-Identifier: MIT
/* gateway_input_test.c - frames against a gateway in host mode, and against what guards libslirp in shared mode. */
#include <arpa/inet.h>
#include <stdio.h>

#include "gateway_fixture.h"
#include "test.h"

#define NET 0xc0a83200u
static const uint8_t ann[6] = {2, 0, 0, 0, 0, 1}, all[6] = {255, 255, 255, 255, 255, 255},
                     us[6] = {0x52, 0x55, 192, 168, 50, 1}, us6[6] = {0x52, 0x56, 0, 0, 0, 2};
static uint8_t data[2000];

static void begin(unsigned mode, const char *off, uint32_t mtu) {
  struct vn_writer writer = configuration(mode);
  vn_write_text(&writer, "ipv6Prefix", "fd00:1:2:3::/64");
  vn_write_number(&writer, "mtu", mtu);
  if (off) vn_write_number(&writer, off, 0);
  open_gateway(writer);
  CHECK(g.configured && memcmp(g.mac, us, 6) == 0);
}

static uint32_t arp(uint16_t operation, uint32_t sender, uint32_t target) {
  memset(data, 0, sizeof data);
  uint8_t *at = write_ethernet(data, all, ann, TYPE_ARP);
  memcpy(at, (const uint8_t[]){0, 1, 8, 0, 6, 4}, 6);
  put16(at + 6, operation);
  memcpy(at + 8, ann, 6);
  put32(at + 14, sender);
  put32(at + 24, target);
  return 60;
}

/* An IPv4 packet to us with a payload of zeros, except ports or an echo request. */
static uint32_t ipv4(uint8_t protocol, uint32_t source, uint32_t target, uint16_t port, uint32_t length) {
  memset(data, 0, sizeof data);
  uint8_t *payload = write_ipv4(write_ethernet(data, us, ann, TYPE_IPV4), protocol, source, target, length);
  if (protocol == PROTOCOL_ICMP) {
    payload[0] = 8;
    put16(payload + 2, sum_finish(sum_bytes(payload, length, 0)));
  } else {
    put16(payload, 40000), put16(payload + 2, port);
    if (protocol == PROTOCOL_UDP) put16(payload + 4, length);
    if (protocol == PROTOCOL_TCP) payload[12] = 0x50, payload[13] = 2;
  }
  return 34 + length;
}

static uint32_t ipv6(uint8_t protocol, const char *source, const char *target, uint8_t type, uint16_t port) {
  uint32_t length = protocol == PROTOCOL_TCP ? 20 : 8;
  memset(data, 0, sizeof data);
  uint8_t *at = write_ethernet(data, us6, ann, TYPE_IPV6);
  at[0] = 0x60, at[6] = protocol, at[7] = 255;
  put16(at + 4, length);
  inet_pton(AF_INET6, source, at + 8);
  inet_pton(AF_INET6, target, at + 24);
  struct frame frame = {data, 54 + length};
  struct ip ip;
  if (protocol == PROTOCOL_ICMP6) {
    at[40] = type;
  } else {
    put16(at + 40, 40000), put16(at + 42, port);
    if (protocol == PROTOCOL_UDP) put16(at + 44, length);
    if (protocol == PROTOCOL_TCP) at[52] = 0x50, at[53] = 2;
  }
  CHECK(frame_ip(frame, &ip));
  put16(at + 40 + (protocol == PROTOCOL_ICMP6 ? 2 : protocol == PROTOCOL_UDP ? 6 : 16), ip_checksum(frame, &ip));
  return frame.length;
}

static struct frame ask(uint32_t length) {
  forget(&g.frames);
  put_in(data, length);
  return take(&g.frames);
}

static void arp_is_answered_for_the_gateway_only(void) {
  begin(HOST, NULL, 1500);
  struct frame frame = ask(arp(1, NET + 5, NET + 1));
  const uint8_t *at = frame.data + 14;
  CHECK(frame.length == 60 && memcmp(frame.data, ann, 6) == 0 && memcmp(frame.data + 6, us, 6) == 0);
  CHECK(get16(at + 6) == 2 && memcmp(at + 8, us, 6) == 0 && get32(at + 14) == NET + 1);
  CHECK(memcmp(at + 18, ann, 6) == 0 && get32(at + 24) == NET + 5);
  CHECK(ask(arp(1, 0, NET + 1)).data != NULL); /* a probe: the address is taken */
  CHECK(!ask(arp(1, NET + 5, NET + 2)).data && g.counters[count_ignored] == 1);
  CHECK(!ask(arp(2, NET + 5, NET + 1)).data);
  arp(1, NET + 5, NET + 1);
  CHECK(!ask(41).data && g.counters[count_droppedMalformed] == 2);
  gateway_close(&g);
}

static void ping_is_answered(void) {
  begin(HOST, NULL, 1500);
  struct frame frame = ask(ipv4(PROTOCOL_ICMP, NET + 5, NET + 1, 0, 100));
  struct ip ip;
  CHECK(frame.length == 134 && frame_ip(frame, &ip) && ip.source == NET + 1 && ip.target == NET + 5);
  CHECK(frame.data[34] == 0 && sum_finish(sum_bytes(frame.data + 34, 100, 0)) == 0);
  CHECK(frame.data[22] == 64);
  CHECK(memcmp(frame.data, ann, 6) == 0 && memcmp(frame.data + 6, us, 6) == 0);
  ipv4(PROTOCOL_ICMP, NET + 5, NET + 1, 0, 8);
  CHECK(ask(60).length == 42); /* without the padding */
  CHECK(!ask(ipv4(PROTOCOL_ICMP, NET + 5, NET + 2, 0, 8)).data);
  CHECK(!ask(ipv4(PROTOCOL_ICMP, 0x0a000001, NET + 1, 0, 8)).data);
  CHECK(!ask(ipv4(PROTOCOL_ICMP, NET + 255, NET + 1, 0, 8)).data);
  CHECK(!ask(ipv4(PROTOCOL_UDP, NET + 5, NET + 1, 53, 8)).data);
  ipv4(PROTOCOL_ICMP, NET + 5, NET + 1, 0, 8);
  data[40] ^= 1;
  CHECK(!ask(42).data && g.counters[count_droppedMalformed] == 1);
  gateway_close(&g);
}

static void lengths_are_bounded(void) {
  begin(HOST, NULL, 1400);
  CHECK(ask(ipv4(PROTOCOL_ICMP, NET + 5, NET + 1, 0, 1380)).length == 1414);
  CHECK(!ask(ipv4(PROTOCOL_ICMP, NET + 5, NET + 1, 0, 1381)).data && g.counters[count_droppedOversize] == 1);
  for (uint32_t length = 0; length < 14; length++) CHECK(!ask(length).data);
  CHECK(g.counters[count_droppedRunt] == 14);
  ipv4(PROTOCOL_ICMP, NET + 5, NET + 1, 0, 100);
  for (uint32_t length = 14; length < 134; length++) CHECK(!ask(length).data);
  data[0] ^= 2;
  CHECK(!ask(134).data && g.counters[count_ignored] == 1); /* flooded, but for somebody else */
  gateway_close(&g);
}

static void noise_does_no_harm(void) {
  begin(HOST, NULL, 1500);
  srand(7);
  for (int i = 0; i < 20000; i++) {
    uint32_t length = (uint32_t)rand() % 400;
    for (uint32_t k = 0; k < length; k++) data[k] = (uint8_t)rand();
    memcpy(data, i % 2 ? us : all, 6);
    put16(data + 12, i % 3 == 0 ? TYPE_ARP : i % 3 == 1 ? TYPE_IPV4 : TYPE_IPV6);
    data[14] = i % 3 == 1 ? 0x45 : 0x60;
    if (i % 3 == 1 && length > 34) {
      put16(data + 24, 0);
      put16(data + 24, sum_finish(sum_bytes(data + 14, 20, 0)));
    }
    ask(length);
  }
  CHECK(g.counters[count_framesIn] == 20000 && g.counters[count_framesOut] == 0);
  gateway_close(&g);
}

/* From here on with libslirp, where there is one. */

static uint32_t sockets(void) {
  struct poll_set set = {.capacity = 16, .fds = calloc(16, sizeof *set.fds)};
  int64_t deadline = NEVER;
  nat_prepare(&g, &set, &deadline);
  free(set.fds);
  return nat_sockets(&g);
}

static void host_and_neighbours_are_out_of_reach(void) {
  static const char *const targets4[] = {"127.0.0.1", "127.1.2.3", "0.0.0.0", "0.1.2.3", "224.0.0.251", "239.1.1.1",
                                         "255.255.255.255", "192.168.50.255", "192.168.50.0", "192.168.50.77"};
  static const char *const targets6[] = {"::1", "::", "::ffff:127.0.0.1", "::7f00:1", "ff02::fb", "fe80::1",
                                         "fd00:1:2:3::2", "fd00:1:2:3::77"};
  static const uint8_t protocols[] = {PROTOCOL_TCP, PROTOCOL_UDP};
  begin(SHARED, NULL, 1500);
  for (size_t p = 0; p < 2; p++) {
    for (size_t i = 0; i < sizeof targets4 / sizeof *targets4; i++) {
      uint32_t target = 0;
      parse_ipv4(targets4[i], &target);
      bool silent = !ask(ipv4(protocols[p], NET + 5, target, 9, 20)).data && sockets() == 0;
      if (!silent) printf("  %s\n", targets4[i]);
      CHECK(silent);
    }
    for (size_t i = 0; i < sizeof targets6 / sizeof *targets6; i++) {
      bool silent = !ask(ipv6(protocols[p], "fd00:1:2:3::5", targets6[i], 0, 9)).data && sockets() == 0;
      if (!silent) printf("  %s\n", targets6[i]);
      CHECK(silent);
    }
    CHECK(!ask(ipv4(protocols[p], 0x0a000001, 0xc6336407, 9, 20)).data && sockets() == 0); /* a source that lies */
    CHECK(!ask(ipv6(protocols[p], "2001:db8::1", "2001:db8::7", 0, 9)).data && sockets() == 0);
  }
  CHECK(!ask(ipv4(PROTOCOL_UDP, NET + 5, 0xc6336407, 9, 7)).data && g.counters[count_droppedMalformed] == 1);
  gateway_close(&g);
}

static void check_refusal(uint32_t length, uint8_t type, uint8_t code) {
  struct frame frame = ask(length);
  struct ip ip;
  CHECK(frame.data && frame_ip(frame, &ip) && frame.data[ip.payload] == type && frame.data[ip.payload + 1] == code);
  CHECK(memcmp(frame.data + ip.payload + 8, data + 14, ip.version == 4 ? 28 : 48) == 0); /* what was refused */
  CHECK(ip.version == 4 ? sum_finish(sum_bytes(frame.data + 34, ip.length, 0)) == 0 : ip_checksum(frame, &ip) == 0);
  CHECK(memcmp(frame.data, ann, 6) == 0 && sockets() == 0);
}

static void switched_off_nat_refuses(void) {
  begin(SHARED, "nat44", 1500);
  check_refusal(ipv4(PROTOCOL_TCP, NET + 5, 0xc6336407, 80, 20), 3, 13);
  check_refusal(ipv4(PROTOCOL_ICMP, NET + 5, 0xc6336407, 0, 40), 3, 13);
  ipv4(PROTOCOL_ICMP, NET + 5, 0xc6336407, 0, 40);
  data[34] = 3, data[36] ^= 5; /* no error about an error */
  CHECK(!ask(74).data && g.counters[count_refused] == 3);
  struct frame frame = ask(ipv4(PROTOCOL_ICMP, NET + 5, NET + 1, 0, 40)); /* the gateway itself is in reach */
  CHECK(frame.data && get16(frame.data + 12) == TYPE_ARP);                  /* libslirp asks for our MAC first */
  gateway_close(&g);
  begin(SHARED, "nat66", 1500);
  check_refusal(ipv6(PROTOCOL_TCP, "fd00:1:2:3::5", "2001:db8::7", 0, 80), 1, 1);
  gateway_close(&g);
  begin(SHARED, "dnsProxy", 1500);
  check_refusal(ipv4(PROTOCOL_UDP, NET + 5, NET + 1, 53, 20), 3, 3);
  check_refusal(ipv4(PROTOCOL_UDP, NET + 5, NET + 1, 69, 20), 3, 3);
  check_refusal(ipv6(PROTOCOL_UDP, "fd00:1:2:3::5", "fd00:1:2:3::1", 0, 53), 1, 4);
  gateway_close(&g);
  begin(SHARED, NULL, 1500);
  check_refusal(ipv6(PROTOCOL_ICMP6, "fd00:1:2:3::5", "2001:db8::7", 128, 0), 1, 1);
  gateway_close(&g);
}

static void the_gateway_answers_in_shared_mode(void) {
  begin(SHARED, NULL, 1500);
  struct frame frame = ask(arp(1, NET + 5, NET + 1));
  CHECK(frame.data && memcmp(frame.data + 6, us, 6) == 0);
  frame = ask(ipv4(PROTOCOL_ICMP, NET + 5, NET + 1, 0, 40));
  CHECK(frame.data && frame.data[34] == 0);
  ask(ipv6(PROTOCOL_ICMP6, "fe80::5", "fd00:1:2:3::1", 135, 0)); /* too short a solicitation: no answer, no crash */
  CHECK(ask(arp(1, 0, NET + 1)).data != NULL);
  gateway_close(&g);
}

/* Asks for an advertisement and answers its options' total length; 0: none came. */
static uint32_t advertisement(struct ip *ip, struct frame *frame) {
  uint32_t length = ipv6(PROTOCOL_ICMP6, "fe80::5", "ff02::2", 133, 0);
  memcpy(data, (const uint8_t[]){0x33, 0x33, 0, 0, 0, 2}, 6);
  *frame = ask(length);
  if (!frame->data) return 0;
  CHECK(frame_ip(*frame, ip) && frame->data[ip->payload] == 134 && ip_checksum(*frame, ip) == 0);
  return ip->length - 16;
}

static const uint8_t *find(struct frame frame, const struct ip *ip, uint8_t type) {
  for (uint32_t at = ip->payload + 16; at < frame.length; at += frame.data[at + 1] * 8u) {
    if (frame.data[at] == type) return frame.data + at;
  }
  return NULL;
}

static void advertisements_tell_the_truth(void) {
  struct frame frame;
  struct ip ip;
  begin(SHARED, NULL, 1500);
  CHECK(advertisement(&ip, &frame) >= 40 && !find(frame, &ip, 5) && get16(frame.data + ip.payload + 6) > 0);
  CHECK(find(frame, &ip, 3) && memcmp(find(frame, &ip, 3) + 16, g.config.prefix6, 16) == 0);
  gateway_close(&g);
  begin(SHARED, "nat66", 1400);
  CHECK(advertisement(&ip, &frame) >= 48 && get32(find(frame, &ip, 5) + 4) == 1400);
  CHECK(get16(frame.data + ip.payload + 6) == 0); /* no way out: not a default router */
  gateway_close(&g);
  begin(SHARED, "dnsProxy", 9000);
  CHECK(advertisement(&ip, &frame) == 48 && get32(find(frame, &ip, 5) + 4) == 9000 && !find(frame, &ip, 25));
  gateway_close(&g);
  begin(SHARED, "routerAdvertisement", 1500);
  CHECK(advertisement(&ip, &frame) == 0);
  gateway_close(&g);
  begin(SHARED, NULL, 1279); /* too small for IPv6 */
  CHECK(advertisement(&ip, &frame) == 0 && g.counters[count_ignored] == 1);
  gateway_close(&g);
}

/* Cuts the echo request of 1000 bytes in data into fragments and puts in those whose numbers are listed. */
static struct frame fragments(const char *order, uint16_t id) {
  static uint8_t whole[2000];
  struct frame frame = {0};
  ipv4(PROTOCOL_ICMP, NET + 5, NET + 1, 0, 1000);
  memcpy(whole, data, sizeof whole);
  for (; *order; order++) {
    uint32_t place = (uint32_t)(*order - '0') * 400, length = place + 400 < 1000 ? 400 : 1000 - place;
    write_ipv4(data + 14, PROTOCOL_ICMP, NET + 5, NET + 1, length);
    memcpy(data + 34, whole + 34 + place, length);
    put16(data + 18, id);
    put16(data + 20, place / 8 | (place + length < 1000 ? 0x2000 : 0));
    put16(data + 24, 0);
    put16(data + 24, sum_finish(sum_bytes(data + 14, 20, 0)));
    frame = ask(34 + length);
  }
  return frame;
}

static void fragments_are_put_together(void) {
  begin(SHARED, NULL, 1500);
  CHECK(ask(arp(1, NET + 5, NET + 1)).data);
  struct frame frame = fragments("012", 1);
  CHECK(frame.length == 1034 && frame.data[34] == 0 && sum_finish(sum_bytes(frame.data + 34, 1000, 0)) == 0);
  CHECK(!fragments("2", 2).data); /* kills libslirp 4.7 as Debian built it */
  CHECK(!fragments("210", 3).data && !fragments("02", 4).data);
  CHECK(fragments("0112", 5).data != NULL); /* the second copy is dropped */
  CHECK(fragments("0012", 6).data != NULL && fragments("012", 1).data != NULL);
  for (uint16_t id = 100; id < 3000; id++) CHECK(!fragments("01", id).data); /* never completed */
  CHECK(fragments("012", 7).data != NULL && g.counters[count_droppedFragments] > 0);
  gateway_close(&g);
}

static void noise_does_no_harm_to_libslirp(void) {
  begin(SHARED, "nat44", 1500);
  CHECK(ask(arp(1, NET + 5, NET + 1)).data);
  srand(11);
  for (int i = 0; i < 20000; i++) {
    /* IPv4 to the gateway's discard port at the most, so that nothing real is reached */
    uint32_t length = i % 2 ? ipv6(PROTOCOL_ICMP6, "fe80::5", "fd00:1:2:3::1", (uint8_t)rand(), 0)
                            : ipv4(PROTOCOL_ICMP, NET + 5, NET + 1, 0, 8 + (uint32_t)rand() % 1000);
    for (int k = rand() % 4; k > 0; k--) data[14 + (uint32_t)rand() % (length - 14)] = (uint8_t)rand();
    put16(data + 24, i % 2 ? get16(data + 24) : 0);
    if (i % 2 == 0) put16(data + 24, sum_finish(sum_bytes(data + 14, 20, 0)));
    if (i % 2 == 0 && data[23] != PROTOCOL_ICMP) continue;
    ask(length);
  }
  CHECK(ask(ipv4(PROTOCOL_ICMP, NET + 5, NET + 1, 0, 40)).data);
  gateway_close(&g);
}

static bool have_libslirp(void) {
  open_gateway(configuration(SHARED));
  bool have = g.nat != NULL;
  gateway_close(&g);
  return have;
}

int main(void) {
  RUN(arp_is_answered_for_the_gateway_only);
  RUN(ping_is_answered);
  RUN(lengths_are_bounded);
  RUN(noise_does_no_harm);
  if (have_libslirp()) {
    RUN(host_and_neighbours_are_out_of_reach);
    RUN(switched_off_nat_refuses);
    RUN(the_gateway_answers_in_shared_mode);
    RUN(advertisements_tell_the_truth);
    RUN(fragments_are_put_together);
    RUN(noise_does_no_harm_to_libslirp);
  } else {
    printf("  skipped: shared mode, because libslirp.so.0 is not installed\n");
  }
  return finish();
}
