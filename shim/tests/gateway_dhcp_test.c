// SPDX-License-Identifier: MIT
/* gateway_dhcp_test.c - the DHCP server as its clients see it: packets in, packets and lease messages out. */
#include <time.h>

#include "gateway_fixture.h"
#include "test.h"

#define NET 0xc0a83200u
#define US 1u /* the gateway is .1 */
enum { DISCOVER = 1, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM };

static const uint8_t ann[6] = {2, 0, 0, 0, 0, 1}, bob[6] = {2, 0, 0, 0, 0, 2}, eve[6] = {2, 0, 0, 0, 0, 3},
                     max[6] = {2, 0, 0, 0, 0, 9}; /* has a reservation for .77 */

struct packet {
  uint8_t bytes[700];
  uint32_t length;
};

static void option(struct packet *packet, uint8_t code, const void *value, uint8_t length) {
  uint8_t *at = packet->bytes + packet->length;
  at[0] = code;
  at[1] = length;
  memcpy(at + 2, value, length);
  packet->length += 2u + length;
}

static void option_address(struct packet *packet, uint8_t code, uint32_t number) {
  uint8_t bytes[4];
  put32(bytes, number > 255 ? number : NET + number);
  if (number) option(packet, code, bytes, 4);
}

static struct packet request(const uint8_t *mac, uint8_t type) {
  struct packet packet = {.length = 42 + 240};
  uint8_t *bootp = packet.bytes + 42;
  memset(packet.bytes, 255, 6);
  memcpy(packet.bytes + 6, mac, 6);
  bootp[0] = bootp[1] = 1;
  bootp[2] = 6;
  put32(bootp + 4, 0x12345678);
  memcpy(bootp + 28, mac, 6);
  put32(bootp + 236, 0x63825363);
  option(&packet, 53, &type, 1);
  return packet;
}

/* Closes the packet with the right lengths and puts it in. */
static void deliver(struct packet *packet) {
  uint8_t *udp = packet->bytes + 34;
  packet->bytes[packet->length++] = 255;
  put16(packet->bytes + 12, TYPE_IPV4);
  write_ipv4(packet->bytes + 14, PROTOCOL_UDP, get32(packet->bytes + 42 + 12), UINT32_MAX, packet->length - 34);
  put16(udp, 68), put16(udp + 2, 67);
  put16(udp + 4, packet->length - 34);
  put16(udp + 6, 0);
  put_in(packet->bytes, packet->length);
}

/* The value of an option of an answer, or NULL. */
static const uint8_t *value(struct frame frame, uint8_t code, uint8_t *length) {
  for (uint32_t at = 42 + 240; at < frame.length && frame.data[at] != 255; at += 2u + frame.data[at + 1]) {
    if (frame.data[at] == code) {
      *length = frame.data[at + 1];
      return frame.data + at + 2;
    }
  }
  return NULL;
}

static uint32_t number(struct frame frame, uint8_t code) {
  uint8_t length;
  const uint8_t *at = value(frame, code, &length);
  return !at ? 0 : length == 4 ? get32(at) : length == 2 ? get16(at) : at[0];
}

/* Everything every answer must have. */
static bool well_formed(struct frame frame) {
  struct ip ip;
  const uint8_t *bootp = frame.data + 42;
  return frame_ip(frame, &ip) && ip.source == NET + US && ip.source_port == 67 && ip.target_port == 68 &&
         ip_checksum(frame, &ip) == 0 && frame.length >= 42 + 300 && bootp[0] == 2 &&
         get32(bootp + 4) == 0x12345678 && number(frame, 54) == NET + US;
}

static struct frame answer(void) {
  struct frame frame = take(&g.frames);
  if (frame.data) CHECK(well_formed(frame));
  return frame;
}

static uint32_t yiaddr(struct frame frame) {
  uint32_t address = get32(frame.data + 42 + 16);
  return address ? address - NET : 0;
}

static void begin(unsigned mode) {
  struct vn_writer writer = configuration(mode);
  add_reservation(&writer, max, "192.168.50.77");
  open_gateway(writer);
  CHECK(g.configured);
  forget(&g.control);
}

/* One step of a conversation: who says what after so many seconds, and what comes back. */
struct step {
  const uint8_t *mac;
  uint8_t type;
  uint32_t requested, server, ciaddr; /* the last number of an address, or 0 */
  uint32_t after;
  uint8_t answer;  /* 0: silence */
  uint32_t yiaddr; /* as above */
  const char *events; /* "+10" bound, "-10" ended */
};

static void check_events(const char *expected) {
  struct frame message;
  char text[100] = "", address[20];
  while ((message = take(&g.control)).data) {
    bool bound_now = vn_list_number(message.data, message.length, "change", 0) == 1;
    vn_list_text(message.data, message.length, "address", address, sizeof address);
    snprintf(text + strlen(text), sizeof text - strlen(text), "%c%s", bound_now ? '+' : '-', strrchr(address, '.') + 1);
  }
  if (strcmp(text, expected ? expected : "") != 0) printf("  events: %s\n", text);
  CHECK(strcmp(text, expected ? expected : "") == 0);
}

static void play(const char *name, const struct step *steps, size_t count) {
  int before = checks_failed;
  begin(HOST);
  for (size_t i = 0; i < count; i++) {
    const struct step *step = &steps[i];
    struct packet packet = request(step->mac, step->type);
    forget(&g.frames);
    g.now += step->after * 1000;
    option_address(&packet, 50, step->requested);
    option_address(&packet, 54, step->server);
    if (step->ciaddr) put32(packet.bytes + 42 + 12, step->ciaddr > 255 ? step->ciaddr : NET + step->ciaddr);
    deliver(&packet);
    struct frame frame = answer();
    uint8_t type = frame.data ? (uint8_t)number(frame, 53) : 0;
    bool right = type == step->answer && (!type || yiaddr(frame) == step->yiaddr) && !take(&g.frames).data;
    if (!right) printf("  %s, step %zu: answer %u of .%u\n", name, i + 1, type, type ? yiaddr(frame) : 0);
    CHECK(right);
    check_events(step->events);
  }
  if (checks_failed > before) printf("  in: %s\n", name);
  gateway_close(&g);
}

#define PLAY(name, ...)                                 \
  do {                                                  \
    static const struct step steps[] = {__VA_ARGS__};   \
    play(name, steps, sizeof steps / sizeof *steps);    \
  } while (0)

static void a_client_gets_and_keeps_an_address(void) {
  PLAY("selecting", {ann, DISCOVER, .answer = OFFER, .yiaddr = 10},
       {ann, REQUEST, 10, US, .answer = ACK, .yiaddr = 10, .events = "+10"},
       {bob, DISCOVER, .answer = OFFER, .yiaddr = 11},
       {bob, REQUEST, 11, US, .answer = ACK, .yiaddr = 11, .events = "+11"});
  PLAY("renewing", {ann, DISCOVER, .answer = OFFER, .yiaddr = 10},
       {ann, REQUEST, 10, US, .answer = ACK, .yiaddr = 10, .events = "+10"},
       {ann, REQUEST, .ciaddr = 10, .after = 40000, .answer = ACK, .yiaddr = 10, .events = "+10"},
       {ann, REQUEST, .ciaddr = 10, .after = 80000, .answer = ACK, .yiaddr = 10, .events = "+10"},
       {ann, REQUEST, .ciaddr = 10, .after = 90000, .answer = ACK, .yiaddr = 10, .events = "-10+10"});
  PLAY("rebooting", {ann, DISCOVER, 12, .answer = OFFER, .yiaddr = 12},
       {ann, REQUEST, 12, US, .answer = ACK, .yiaddr = 12, .events = "+12"},
       {ann, REQUEST, 12, .after = 10, .answer = ACK, .yiaddr = 12, .events = "+12"},
       {ann, DISCOVER, .after = 90000, .answer = OFFER, .yiaddr = 12, .events = "-12"});
}

static void wrong_wishes_are_refused(void) {
  PLAY("another address than offered", {ann, DISCOVER, .answer = OFFER, .yiaddr = 10},
       {ann, REQUEST, 11, US, .answer = NAK},
       {ann, REQUEST, 10, US, .answer = ACK, .yiaddr = 10, .events = "+10"});
  PLAY("another network", {ann, REQUEST, 0x0a000005, .answer = NAK},
       {ann, REQUEST, .ciaddr = 0x0a000005, .answer = NAK});
  PLAY("outside the range", {ann, REQUEST, 200, .answer = NAK}, {ann, REQUEST, 1, .answer = NAK},
       {ann, REQUEST, 255, .answer = NAK}, {ann, DISCOVER, 200, .answer = OFFER, .yiaddr = 10});
  PLAY("somebody else's", {ann, REQUEST, 10, .answer = ACK, .yiaddr = 10, .events = "+10"},
       {bob, REQUEST, 10, .answer = NAK},
       {bob, REQUEST, 10, US, .answer = NAK}, {bob, REQUEST, .ciaddr = 10, .answer = NAK},
       {bob, DISCOVER, 10, .answer = OFFER, .yiaddr = 11}, {ann, REQUEST, 11, .answer = NAK});
  PLAY("nothing at all", {ann, REQUEST, .answer = NAK}, {ann, REQUEST, 0, US, .answer = NAK});
}

static void another_server_frees_the_offer(void) {
  PLAY("chose another", {ann, DISCOVER, .answer = OFFER, .yiaddr = 10}, {ann, REQUEST, 33, .server = 9},
       {bob, DISCOVER, 10, .answer = OFFER, .yiaddr = 10});
  PLAY("but keeps a lease", {ann, REQUEST, 10, .answer = ACK, .yiaddr = 10, .events = "+10"},
       {ann, REQUEST, 33, .server = 9}, {bob, DISCOVER, 10, .answer = OFFER, .yiaddr = 11});
}

static void reservations_are_honoured(void) {
  PLAY("reserved", {max, DISCOVER, 11, .answer = OFFER, .yiaddr = 77},
       {max, REQUEST, 77, US, .answer = ACK, .yiaddr = 77, .events = "+77"}, {max, REQUEST, 10, .answer = NAK},
       {ann, REQUEST, 77, .answer = NAK}, {ann, DISCOVER, 77, .answer = OFFER, .yiaddr = 10});
}

static void release_and_decline(void) {
  PLAY("release", {ann, REQUEST, 10, .answer = ACK, .yiaddr = 10, .events = "+10"},
       {bob, RELEASE, .server = US, .ciaddr = 10},
       {ann, RELEASE, .server = 9, .ciaddr = 10}, {ann, RELEASE, .server = US, .ciaddr = 11},
       {ann, RELEASE, .server = US, .ciaddr = 10, .events = "-10"}, {ann, RELEASE, .server = US, .ciaddr = 10},
       {bob, DISCOVER, .answer = OFFER, .yiaddr = 11}, {ann, DISCOVER, .answer = OFFER, .yiaddr = 10});
  PLAY("decline", {ann, DISCOVER, .answer = OFFER, .yiaddr = 10}, {bob, DECLINE, 10, .server = US},
       {ann, REQUEST, 10, US, .answer = ACK, .yiaddr = 10, .events = "+10"}, {ann, DECLINE, 10, US, .events = "-10"},
       {ann, DISCOVER, 10, .answer = OFFER, .yiaddr = 11}, {bob, DISCOVER, 10, .answer = OFFER, .yiaddr = 12},
       {bob, DECLINE, 12, .server = US}, {bob, DISCOVER, .answer = OFFER, .yiaddr = 13},
       {eve, DISCOVER, 10, .after = 601, .answer = OFFER, .yiaddr = 10});
}

static void the_range_can_be_exhausted(void) {
  begin(HOST);
  for (uint32_t i = 0; i < 10000; i++) {
    uint8_t mac[6] = {6, 0, 0, 0, (uint8_t)(i >> 8), (uint8_t)i};
    struct packet packet = request(mac, DISCOVER);
    deliver(&packet);
    struct frame frame = answer();
    CHECK((frame.data != NULL) == (i < 4));
    forget(&g.frames);
  }
  CHECK(g.counters[count_dhcpExhausted] == 9996 && g.counters[count_dhcpOffer] == 4);
  struct packet packet = request(max, DISCOVER);
  deliver(&packet);
  CHECK(yiaddr(answer()) == 77); /* a reservation is not affected */
  gateway_close(&g);
}

static void expiry_is_told_without_traffic(void) {
  begin(HOST);
  struct packet packet = request(ann, REQUEST);
  option_address(&packet, 50, 10);
  deliver(&packet);
  check_events("+10");
  g.now += 86400 * 1000;
  dhcp_expire(&g);
  check_events("-10");
  gateway_close(&g);
}

static struct frame ask(struct packet *packet) {
  forget(&g.frames);
  deliver(packet);
  return answer();
}

static void options_fit_the_network(void) {
  begin(HOST);
  struct packet packet = request(ann, DISCOVER);
  struct frame frame = ask(&packet);
  CHECK(number(frame, 1) == 0xffffff00 && number(frame, 28) == NET + 255 && number(frame, 51) == 86400);
  CHECK(number(frame, 58) == 43200 && number(frame, 59) == 75600);
  CHECK(!number(frame, 3) && !number(frame, 6) && !number(frame, 26)); /* host mode leads nowhere */
  packet = request(ann, DISCOVER);
  option(&packet, 55, "\x01\x1a", 2);
  CHECK(number(ask(&packet), 26) == 1500);
  g.config.nat44 = g.config.dns = true;
  g.config.mtu = 1400;
  packet = request(ann, DISCOVER);
  frame = ask(&packet);
  CHECK(number(frame, 3) == NET + US && number(frame, 6) == NET + US && number(frame, 26) == 1400);
  g.config.lease_seconds = UINT32_MAX;
  packet = request(ann, REQUEST);
  option_address(&packet, 50, 10);
  frame = ask(&packet);
  CHECK(number(frame, 51) == UINT32_MAX && number(frame, 59) == UINT32_MAX);
  struct vn_entry entry;
  struct frame message = take(&g.control);
  CHECK(!vn_list_find(message.data, message.length, VN_NUMBER, "expires", &entry));
  gateway_close(&g);
}

static void answers_go_where_the_client_listens(void) {
  begin(HOST);
  static const struct {
    bool flag;
    uint32_t ciaddr, target;
    bool group;
  } cases[] = {{false, 0, NET + 10, false}, {true, 0, UINT32_MAX, true}, {true, NET + 10, NET + 10, false}};
  for (size_t i = 0; i < 3; i++) {
    struct packet packet = request(ann, REQUEST);
    packet.bytes[42 + 10] = cases[i].flag ? 0x80 : 0;
    put32(packet.bytes + 42 + 12, cases[i].ciaddr);
    if (!cases[i].ciaddr) option_address(&packet, 50, 10);
    struct frame frame = ask(&packet);
    CHECK(get32(frame.data + 30) == cases[i].target && (frame.data[0] == 255) == cases[i].group);
    CHECK(cases[i].group || memcmp(frame.data, ann, 6) == 0);
  }
  struct packet packet = request(bob, REQUEST);
  option_address(&packet, 50, 10);
  struct frame frame = ask(&packet);
  CHECK(number(frame, 53) == NAK && get32(frame.data + 30) == UINT32_MAX && frame.data[0] == 255);
  packet = request(bob, INFORM);
  put32(packet.bytes + 42 + 12, NET + 99);
  frame = ask(&packet);
  CHECK(number(frame, 53) == ACK && yiaddr(frame) == 0 && get32(frame.data + 30) == NET + 99);
  CHECK(!number(frame, 51) && number(frame, 1) == 0xffffff00);
  packet = request(bob, INFORM);
  put32(packet.bytes + 42 + 12, 0x0a000001);
  CHECK(!ask(&packet).data);
  gateway_close(&g);
}

static void client_ids_are_sent_back_and_ignored(void) {
  begin(HOST);
  uint8_t id[255], length;
  memset(id, 0xff, sizeof id);
  struct packet packet = request(max, DISCOVER);
  option(&packet, 61, id, 19); /* a DUID says nothing of the MAC */
  struct frame frame = ask(&packet);
  const uint8_t *back = value(frame, 61, &length);
  CHECK(yiaddr(frame) == 77 && back && length == 19 && memcmp(back, id, 19) == 0);
  packet = request(max, DISCOVER);
  option(&packet, 61, id, 255);
  CHECK(!value(ask(&packet), 61, &length));
  gateway_close(&g);
}

static void host_names_are_cleaned(void) {
  begin(HOST);
  char text[64];
  uint8_t name[100];
  memset(name, 'x', sizeof name);
  memcpy(name, "a\0b\n-c\xff\x1b[31m", 12);
  struct packet packet = request(ann, REQUEST);
  option_address(&packet, 50, 10);
  option(&packet, 12, name, sizeof name);
  ask(&packet);
  struct frame message = take(&g.control);
  CHECK(vn_list_text(message.data, message.length, "hostname", text, sizeof text));
  CHECK(strncmp(text, "ab-c31mxxx", 10) == 0 && strlen(text) == 63);
  gateway_close(&g);
}

static void leases_survive_a_restart(void) {
  uint64_t today = (uint64_t)time(NULL);
  struct vn_writer writer = configuration(HOST);
  add_reservation(&writer, max, "192.168.50.77");
  add_lease(&writer, ann, "192.168.50.12", today + 1000);
  add_lease(&writer, bob, "192.168.50.77", today + 1000);  /* reserved since */
  add_lease(&writer, max, "192.168.50.77", 0);             /* for ever */
  add_lease(&writer, eve, "192.168.50.13", today - 1000);  /* over meanwhile */
  open_gateway(writer);
  struct frame message = take(&g.control);
  struct vn_entry entry;
  CHECK(vn_list_number(message.data, message.length, "change", 0) == 2);
  CHECK(vn_list_find(message.data, message.length, VN_BYTES, "mac", &entry) && memcmp(entry.value, bob, 6) == 0);
  dhcp_expire(&g);
  forget(&g.control);
  struct packet packet = request(ann, DISCOVER);
  CHECK(yiaddr(ask(&packet)) == 12);
  packet = request(eve, DISCOVER);
  CHECK(yiaddr(ask(&packet)) == 13);
  packet = request(max, REQUEST);
  put32(packet.bytes + 42 + 12, NET + 77);
  CHECK(number(ask(&packet), 53) == ACK);
  packet = request(bob, REQUEST);
  option_address(&packet, 50, 12);
  CHECK(number(ask(&packet), 53) == NAK);
  gateway_close(&g);
}

static void malformed_requests_are_counted(void) {
  static const struct {
    uint32_t offset;
    uint8_t value;
  } changes[] = {{0, 2}, {1, 6}, {2, 5}, {24, 1}, {28, 1}, {236, 0}, {240, 52}, {242, 0}, {242, 9}, {241, 2},
       {241, 200}};
  begin(HOST);
  uint64_t sum = 0;
  for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
    struct packet packet = request(ann, DISCOVER);
    packet.bytes[42 + changes[i].offset] = changes[i].value;
    CHECK(!ask(&packet).data);
    CHECK(g.counters[count_dhcpMalformed] == ++sum);
  }
  struct packet packet = request((const uint8_t[6]){0}, DISCOVER);
  CHECK(!ask(&packet).data && g.counters[count_dhcpMalformed] == ++sum);
  packet = request(ann, OFFER);
  CHECK(!ask(&packet).data && g.counters[count_dhcpMalformed] == ++sum);
  for (uint32_t cut = 1; cut < 244; cut++) { /* shorter and shorter, with lengths that agree */
    packet = request(ann, DISCOVER);
    packet.length -= cut;
    CHECK(!ask(&packet).data);
  }
  gateway_close(&g);
}

static void without_dhcp_nobody_answers(void) {
  struct vn_writer writer = configuration(HOST);
  vn_write_number(&writer, "dhcp", 0);
  open_gateway(writer);
  struct packet packet = request(ann, DISCOVER);
  CHECK(!ask(&packet).data && g.counters[count_ignored] == 1);
  gateway_close(&g);
}

int main(void) {
  RUN(a_client_gets_and_keeps_an_address);
  RUN(wrong_wishes_are_refused);
  RUN(another_server_frees_the_offer);
  RUN(reservations_are_honoured);
  RUN(release_and_decline);
  RUN(the_range_can_be_exhausted);
  RUN(expiry_is_told_without_traffic);
  RUN(options_fit_the_network);
  RUN(answers_go_where_the_client_listens);
  RUN(client_ids_are_sent_back_and_ignored);
  RUN(host_names_are_cleaned);
  RUN(leases_survive_a_restart);
  RUN(malformed_requests_are_counted);
  RUN(without_dhcp_nobody_answers);
  return finish();
}
