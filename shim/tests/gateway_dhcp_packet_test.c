// SPDX-License-Identifier: MIT
/* gateway_dhcp_packet_test.c - the DHCP server's packets: their options and targets, and what it makes of bad ones. */
#include "gateway_dhcp_client.h"

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

int main(void) {
  RUN(options_fit_the_network);
  RUN(answers_go_where_the_client_listens);
  RUN(client_ids_are_sent_back_and_ignored);
  RUN(host_names_are_cleaned);
  RUN(malformed_requests_are_counted);
  return finish();
}
