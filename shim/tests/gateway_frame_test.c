// SPDX-License-Identifier: MIT
/* gateway_frame_test.c - the checks that stand between a guest and everything else. */
#include "gateway/frame.h"

#include <stdlib.h>
#include <string.h>

#include "test.h"

static const uint8_t a[6] = {2, 0, 0, 0, 0, 1}, b[6] = {2, 0, 0, 0, 0, 2};
static uint8_t data[200];

/* An IPv4 frame with a payload of zeros, and the sum over its header corrected after fix() changed it. */
static struct frame ipv4(uint8_t protocol, uint32_t length, void (*fix)(uint8_t *header)) {
  memset(data, 0, sizeof data);
  uint8_t *header = write_ethernet(data, a, b, TYPE_IPV4);
  write_ipv4(header, protocol, 0xc0a83202, 0xc0a83201, length);
  if (protocol == PROTOCOL_TCP) header[20 + 12] = 0x50;
  if (protocol == PROTOCOL_UDP) put16(header + 20 + 4, length);
  if (fix) {
    fix(header);
    put16(header + 10, 0);
    put16(header + 10, sum_finish(sum_bytes(header, (header[0] & 15) * 4u, 0)));
  }
  return (struct frame){data, ETHERNET_HEADER + 20 + length};
}

static bool accepted(struct frame frame) {
  struct ip ip;
  uint8_t *copy = malloc(frame.length ? frame.length : 1);
  memcpy(copy, frame.data, frame.length);
  bool good = frame_ip((struct frame){copy, frame.length}, &ip);
  CHECK(!good || (ip.payload + ip.length <= frame.length && ip.header < ip.payload));
  free(copy);
  return good;
}

static void frame_at_answers_null_outside(void) {
  struct frame frame = {data, 10};
  CHECK(frame_at(frame, 0, 10) == data && frame_at(frame, 10, 0) == data + 10);
  CHECK(!frame_at(frame, 0, 11) && !frame_at(frame, 11, 0) && !frame_at(frame, 4, 7));
  CHECK(!frame_at(frame, 1, UINT32_MAX) && !frame_at(frame, UINT32_MAX, 1));
}

static void whole_packets_are_read(void) {
  struct ip ip;
  struct frame frame = ipv4(PROTOCOL_UDP, 20, NULL);
  put16(data + 34, 68), put16(data + 36, 67);
  CHECK(frame_ip(frame, &ip) && ip.version == 4 && ip.payload == 34 && ip.length == 20 && !ip.fragment);
  CHECK(ip.source == 0xc0a83202 && ip.target == 0xc0a83201 && ip.source_port == 68 && ip.target_port == 67);
  frame = ipv4(PROTOCOL_TCP, 20, NULL);
  frame.length += 6; /* Ethernet's padding is not payload */
  CHECK(frame_ip(frame, &ip) && ip.length == 20);
}

static void longer_header(uint8_t *h) { h[0] = 0x46; }
static void short_header(uint8_t *h) { h[0] = 0x44; }
static void long_header(uint8_t *h) { h[0] = 0x4f; }
static void version_5(uint8_t *h) { h[0] = 0x55; }
static void longer_than_frame(uint8_t *h) { put16(h + 2, 41); }
static void shorter_than_header(uint8_t *h) { put16(h + 2, 19); }
static void udp_too_long(uint8_t *h) { put16(h + 24, 21); }
static void udp_too_short(uint8_t *h) { put16(h + 24, 7); }
static void tcp_offset_4(uint8_t *h) { h[32] = 0x40; }
static void tcp_offset_6(uint8_t *h) { h[32] = 0x60; }
static void more_of_20(uint8_t *h) { put16(h + 6, 0x2000); }
static void more_of_8(uint8_t *h) { put16(h + 6, 0x2001); }
static void last(uint8_t *h) { put16(h + 6, 1); }
static void beyond_64k(uint8_t *h) { put16(h + 6, 0x1fff); }

static void contradictions_are_refused(void) {
  static const struct {
    const char *name;
    uint8_t protocol;
    uint32_t length;
    void (*fix)(uint8_t *);
    bool good;
  } cases[] = {
      {"udp", PROTOCOL_UDP, 20, NULL, true},
      {"udp of 8", PROTOCOL_UDP, 8, NULL, true},
      {"udp of 7", PROTOCOL_UDP, 7, NULL, false},
      {"udp longer than ip", PROTOCOL_UDP, 20, udp_too_long, false},
      {"udp length 7", PROTOCOL_UDP, 20, udp_too_short, false},
      {"tcp", PROTOCOL_TCP, 20, NULL, true},
      {"tcp of 19", PROTOCOL_TCP, 19, NULL, false},
      {"tcp offset below 5", PROTOCOL_TCP, 20, tcp_offset_4, false},
      {"tcp offset beyond the end", PROTOCOL_TCP, 20, tcp_offset_6, false},
      {"options", 99, 20, longer_header, true},
      {"header of 16", 99, 20, short_header, false},
      {"header of 60 in 40", 99, 20, long_header, false},
      {"version 5", 99, 20, version_5, false},
      {"total beyond the frame", 99, 20, longer_than_frame, false},
      {"total below the header", 99, 20, shorter_than_header, false},
      {"empty", 99, 0, NULL, true},
      {"fragment of 20 with more", 99, 20, more_of_20, false},
      {"fragment of 24 with more", 99, 24, more_of_8, true},
      {"last fragment", 99, 20, last, true},
      {"empty fragment", 99, 0, last, false},
      {"fragment beyond 65535", 99, 20, beyond_64k, false},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    bool good = accepted(ipv4(cases[i].protocol, cases[i].length, cases[i].fix));
    if (good != cases[i].good) printf("  case: %s\n", cases[i].name);
    CHECK(good == cases[i].good);
  }
  struct frame frame = ipv4(99, 20, NULL);
  data[ETHERNET_HEADER + 10] ^= 1;
  CHECK(!accepted(frame)); /* the checksum */
}

static void every_cut_is_refused(void) {
  struct frame frame = ipv4(PROTOCOL_TCP, 20, NULL);
  for (uint32_t length = 0; length < frame.length; length++) {
    CHECK(!accepted((struct frame){data, length}));
  }
}

static void ipv6_lengths_are_checked(void) {
  struct ip ip;
  memset(data, 0, sizeof data);
  uint8_t *header = write_ethernet(data, a, b, TYPE_IPV6);
  header[0] = 0x60;
  put16(header + 4, 8);
  header[6] = PROTOCOL_UDP;
  put16(header + 44, 8);
  struct frame frame = {data, ETHERNET_HEADER + 48};
  CHECK(frame_ip(frame, &ip) && ip.version == 6 && ip.payload == 54 && ip.length == 8);
  for (uint32_t length = 0; length < frame.length; length++) {
    CHECK(!accepted((struct frame){data, length}));
  }
  put16(header + 44, 9);
  CHECK(!accepted(frame));
  header[0] = 0x50;
  CHECK(!accepted(frame));
}

static void changed_checksum_equals_a_new_one(void) {
  srand(1);
  for (int round = 0; round < 2000; round++) {
    struct frame frame = ipv4(PROTOCOL_UDP, 30, NULL);
    struct ip ip;
    for (int i = 0; i < 22; i++) data[42 + i] = (uint8_t)rand();
    CHECK(frame_ip(frame, &ip));
    uint8_t *sum = data + ip.payload + 6, *word = data + ip.header + 12 + 2 * (rand() % 4);
    put16(sum, 0);
    put16(sum, ip_checksum(frame, &ip));
    uint16_t before = get16(word), after = (uint16_t)rand();
    put16(word, after);
    checksum_change(sum, before, after);
    CHECK(ip_checksum(frame, &ip) == 0 || ip_checksum(frame, &ip) == 0xffff); /* right: the sum over all is nothing */
  }
}

static void checksum_of_odd_lengths(void) {
  CHECK(sum_finish(sum_bytes((const uint8_t *)"\x00\x01\xf2\x03\xf4\xf5\xf6\xf7", 8, 0)) == (uint16_t)~0xddf2);
  CHECK(sum_bytes((const uint8_t *)"\x12\x34\x56", 3, 0) == 0x1234 + 0x5600);
}

int main(void) {
  RUN(frame_at_answers_null_outside);
  RUN(whole_packets_are_read);
  RUN(contradictions_are_refused);
  RUN(every_cut_is_refused);
  RUN(ipv6_lengths_are_checked);
  RUN(changed_checksum_equals_a_new_one);
  RUN(checksum_of_odd_lengths);
  return finish();
}
