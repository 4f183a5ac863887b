// SPDX-License-Identifier: MIT
/* gateway_acks_test.c - which acknowledgement takes the place of one that waits, and which must not. */
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway_fixture.h"
#include "test.h"

/* What a segment from libslirp differs in; the rest is as in plain. */
struct segment {
  bool v6;
  uint32_t sequence, number;
  uint16_t window, guest_port;
  uint8_t flags, reserved, guest, mac;
  const char *options, *payload; /* options: four bytes each */
  uint32_t source;
  uint8_t source6; /* the address's last byte */
  uint16_t fragment;
};
static const struct segment plain = {.sequence = 500, .number = 1000, .window = 8000, .guest_port = 40000,
                                     .flags = 0x10, .guest = 10, .mac = 1, .source = 0x01010101, .source6 = 9};
static const uint8_t prefix6[8] = {0xfd, 1, 2, 3, 4, 5, 6, 7};

static uint32_t build(uint8_t *data, struct segment s) {
  const uint8_t guest_mac[6] = {2, 0, 0, 0, 0, s.mac}, mac[6] = {0x52, 0x55, 192, 168, 50, 1};
  uint32_t options = s.options ? (uint32_t)strlen(s.options) : 0, payload = s.payload ? (uint32_t)strlen(s.payload) : 0;
  uint8_t *at = write_ethernet(data, guest_mac, mac, s.v6 ? TYPE_IPV6 : TYPE_IPV4);
  struct ip ip = {.version = s.v6 ? 6 : 4, .header = ETHERNET_HEADER, .length = 20 + options + payload,
                  .protocol = PROTOCOL_TCP};
  if (s.v6) {
    memset(at, 0, 40);
    at[0] = 0x60, at[6] = PROTOCOL_TCP, at[7] = 64;
    put16(at + 4, ip.length);
    memcpy(at + 8, prefix6, 8);
    memcpy(at + 24, prefix6, 8);
    at[23] = s.source6, at[39] = s.guest;
    at += 40;
  } else {
    at = write_ipv4(at, PROTOCOL_TCP, s.source, 0xc0a83200 + s.guest, ip.length);
    put16(at - 14, s.fragment);
    put16(at - 10, 0);
    put16(at - 10, sum_finish(sum_bytes(at - 20, 20, 0)));
  }
  ip.payload = (uint32_t)(at - data);
  memset(at, 0, 20);
  put16(at, 80), put16(at + 2, s.guest_port);
  put32(at + 4, s.sequence), put32(at + 8, s.number);
  at[12] = (uint8_t)((20 + options) / 4 << 4 | s.reserved), at[13] = s.flags;
  put16(at + 14, s.window);
  if (options) memcpy(at + 20, s.options, options);
  if (payload) memcpy(at + 20 + options, s.payload, payload);
  struct frame frame = {data, ip.payload + ip.length};
  put16(at + 16, ip_checksum(frame, &ip));
  return frame.length;
}

static void output(struct segment s) {
  uint8_t data[200];
  uint32_t length = build(data, s);
  uint8_t *copy = malloc(length); /* so that sanitizers see every step over its end */
  memcpy(copy, data, length);
  filter_output(&g, copy, length);
  free(copy);
}

static void begin(void) {
  open_gateway(configuration(HOST));
  memcpy(g.config.prefix6, prefix6, 8);
  forget(&g.frames);
}

/* The next frame is exactly this one. */
static bool got(struct segment s) {
  uint8_t data[200];
  uint32_t length = build(data, s);
  struct frame frame = take(&g.frames);
  return frame.length == length && memcmp(frame.data, data, length) == 0;
}
static bool empty(void) { return channel_pending(&g.frames) == 0; }

static struct segment with_number(struct segment s, uint32_t number) {
  s.number = number;
  return s;
}

/* Whether b replaces a; that nothing is lost otherwise. */
static bool replaces(struct segment a, struct segment b) {
  begin();
  output(a), output(b);
  bool first = got(a), second = first && got(b);
  if (!first) {
    g.frames.out_at = 0;
    CHECK(got(b));
  }
  CHECK(empty() && (!first || second));
  CHECK(g.counters[count_framesOut] == (first ? 2 : 1));
  gateway_close(&g);
  return !first;
}

static void a_newer_one_replaces(void) {
  struct segment next = with_number(plain, 2448), six = plain;
  CHECK(replaces(plain, next));
  next.window = 5;
  CHECK(replaces(plain, next));
  six.v6 = next.v6 = true;
  CHECK(replaces(six, next));
  next.v6 = false;
  CHECK(!replaces(six, next));
}

static void the_last_of_many_is_left(void) {
  begin();
  for (uint32_t i = 0; i < 50; i++) output(with_number(plain, 1000 + i * 1448));
  CHECK(got(with_number(plain, 1000 + 49 * 1448)) && empty());
  gateway_close(&g);
}

static void numbers_wrap_around(void) {
  CHECK(replaces(with_number(plain, 0xfffffff0), with_number(plain, 0x10)));
  CHECK(replaces(with_number(plain, 0), with_number(plain, 0x7fffffff)));
  CHECK(!replaces(with_number(plain, 0x10), with_number(plain, 0xfffffff0)));
  CHECK(!replaces(with_number(plain, 0), with_number(plain, 0x80000000)));
  CHECK(!replaces(with_number(plain, 2000), with_number(plain, 1999)));
}

static void duplicates_and_window_updates_stay(void) {
  struct segment update = plain;
  update.window = 65000;
  CHECK(!replaces(plain, plain));
  CHECK(!replaces(plain, update));
  begin();
  for (int i = 0; i < 4; i++) output(plain);
  output(with_number(plain, 3000));
  output(with_number(plain, 4000));
  for (int i = 0; i < 4; i++) CHECK(got(plain));
  CHECK(got(with_number(plain, 4000)) && empty());
  gateway_close(&g);
}

static void other_flags_stay(void) {
  struct segment next = with_number(plain, 2000), odd;
  for (unsigned bit = 0; bit < 8; bit++) {
    odd = plain;
    odd.flags ^= (uint8_t)(1u << bit);
    CHECK(!replaces(odd, next));
    odd.number = 2000;
    CHECK(!replaces(plain, odd));
  }
  odd = with_number(plain, 2000);
  odd.reserved = 1;
  CHECK(!replaces(plain, odd));
}

static void payload_stays(void) {
  struct segment data = with_number(plain, 2000), after = with_number(plain, 3000);
  data.payload = "x";
  CHECK(!replaces(plain, data) && !replaces(data, after));
  begin(); /* and what comes behind it stays behind it */
  output(plain), output(data), output(after), output(with_number(plain, 4000));
  CHECK(got(plain) && got(data) && got(with_number(plain, 4000)) && empty());
  gateway_close(&g);
}

static void options_other_than_timestamps_stay(void) {
  static const char time[] = "\1\1\10\12ABCDEFGH", later[] = "\1\1\10\12ABCDEFGX", sack[] = "\1\1\5\12ABCDEFGH";
  static const char cut[] = "\1\1\10\12", wrong[] = "\1\1\10\13ABCDEFGH";
  struct segment a = plain, b = with_number(plain, 2000);
  a.options = time, b.options = later;
  CHECK(replaces(a, b));
  b.options = NULL;
  CHECK(!replaces(a, b)); /* of another length */
  const char *bad[] = {sack, cut, wrong};
  for (int i = 0; i < 3; i++) {
    a.options = b.options = bad[i];
    CHECK(!replaces(a, b));
  }
}

static void another_sequence_number_stays(void) {
  struct segment next = with_number(plain, 2000);
  next.sequence++;
  CHECK(!replaces(plain, next));
  next.sequence -= 2; /* libslirp's keepalive */
  CHECK(!replaces(plain, next));
}

static void another_connection_stays(void) {
  struct segment port = with_number(plain, 2000), guest = port, mac = port, source = port, six = port, source6;
  port.guest_port++, guest.guest++, mac.mac++, source.source++, six.v6 = true;
  CHECK(!replaces(plain, port) && !replaces(plain, guest) && !replaces(plain, mac) && !replaces(plain, source));
  source6 = six;
  source6.source6++;
  CHECK(!replaces(six, source6));
  begin(); /* but does not stand between two of the same one */
  output(plain), output(port), output(guest), output(with_number(plain, 5000)), output(with_number(port, 6000));
  CHECK(got(with_number(plain, 5000)) && got(with_number(port, 6000)) && got(guest) && empty());
  gateway_close(&g);
}

static void fragments_stay(void) {
  struct segment next = with_number(plain, 2000);
  next.fragment = 0x2000;
  CHECK(!replaces(plain, next));
}

static void many_connections_lose_nothing(void) {
  struct segment s = plain;
  begin();
  for (int round = 0; round < 2; round++, s.number += 1000) {
    for (s.guest_port = 1; s.guest_port <= ACKS + 1; s.guest_port++) output(s);
  }
  s.number = plain.number;
  for (int round = 0; round < 2; round++, s.number += 1000) {
    for (s.guest_port = 1; s.guest_port <= ACKS + 1; s.guest_port++) CHECK(got(s)); /* each forgot the next one */
  }
  CHECK(empty());
  gateway_close(&g);
}

/* libslirp's name server has another address than the guest sees; the gateway's own is another connection. */
static void renamed_ones_are_replaced(void) {
  begin();
  struct segment a = plain;
  a.source = 0xc0a83200;
  output(a), output(with_number(a, 2000));
  a.source = 0xc0a83201;
  CHECK(got(with_number(a, 2000)) && empty());
  a.v6 = true, a.source6 = 2, a.number = 1000;
  output(a), output(with_number(a, 2000));
  a.source6 = 1;
  CHECK(got(with_number(a, 2000)) && empty());
  gateway_close(&g);
}

static int peer;

static void begin_with_socket(void) {
  int pair[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  fcntl(pair[0], F_SETFL, O_NONBLOCK);
  fcntl(pair[1], F_SETFL, O_NONBLOCK);
  begin();
  g.frames.fd = pair[0];
  peer = pair[1];
}

static void end_with_socket(void) {
  close(g.frames.fd);
  close(peer);
  gateway_close(&g);
}

#define MESSAGE 58 /* a length and a plain frame; the number is at 46, the guest's port at 40 */

static void a_flush_forgets(void) {
  static const uint32_t numbers[] = {1000, 2000, 2000, 2000, 3000};
  uint8_t bytes[1000];
  begin_with_socket();
  output(plain);
  channel_flush(&g.frames);
  output(with_number(plain, 2000)), output(with_number(plain, 2000)); /* the second one: a duplicate */
  channel_flush(&g.frames);
  output(with_number(plain, 2000)), output(with_number(plain, 3000)); /* a duplicate of the last turn's */
  channel_flush(&g.frames);
  CHECK(read(peer, bytes, sizeof bytes) == 5 * MESSAGE);
  for (int i = 0; i < 5; i++) CHECK(get32(bytes + i * MESSAGE + 46) == numbers[i]);
  end_with_socket();
}

/* A frame of which the socket took a part must not change any more. */
static void a_full_socket_forgets(void) {
  static uint8_t bytes[1 << 20];
  int small = 4096;
  uint32_t count = 0, size = 0;
  begin_with_socket();
  setsockopt(g.frames.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  struct segment s = plain;
  for (s.guest_port = 0; channel_pending(&g.frames) == 0 && count < 10000; channel_flush(&g.frames), count++) {
    s.guest_port++;
    output(s);
  }
  uint32_t waiting = channel_pending(&g.frames);
  output(with_number(s, 9000));
  CHECK(waiting > 0 && channel_pending(&g.frames) == waiting + MESSAGE);
  for (ssize_t n = 1; n > 0 || channel_pending(&g.frames) > 0; channel_flush(&g.frames)) {
    n = read(peer, bytes + size, sizeof bytes - size);
    size += n > 0 ? (uint32_t)n : 0;
  }
  CHECK(size == (count + 1) * MESSAGE);
  for (uint32_t i = 0; i < count; i++) CHECK(get16(bytes + i * MESSAGE + 40) == i + 1);
  CHECK(get32(bytes + count * MESSAGE + 46) == 9000);
  end_with_socket();
}

static void a_buffer_that_moves_forgets(void) {
  struct segment b = plain, c = plain;
  b.guest_port++, c.guest_port += 2;
  begin();
  g.frames.out_capacity = 4 * MESSAGE;
  output(b), output(c);
  CHECK(got(b) && got(c));
  g.frames.turn++; /* as channel_flush() does, which alone takes frames out elsewhere */
  output(plain), output(with_number(b, 2000)), output(c); /* the last one moves the two before it to the front */
  CHECK(g.frames.out_at == 0);
  output(with_number(plain, 3000));
  CHECK(got(plain) && got(with_number(b, 2000)) && got(c) && got(with_number(plain, 3000)) && empty());
  gateway_close(&g);
}

int main(void) {
  RUN(a_newer_one_replaces);
  RUN(the_last_of_many_is_left);
  RUN(numbers_wrap_around);
  RUN(duplicates_and_window_updates_stay);
  RUN(other_flags_stay);
  RUN(payload_stays);
  RUN(options_other_than_timestamps_stay);
  RUN(another_sequence_number_stays);
  RUN(another_connection_stays);
  RUN(fragments_stay);
  RUN(many_connections_lose_nothing);
  RUN(renamed_ones_are_replaced);
  RUN(a_flush_forgets);
  RUN(a_full_socket_forgets);
  RUN(a_buffer_that_moves_forgets);
  return finish();
}
