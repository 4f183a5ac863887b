// SPDX-License-Identifier: MIT
/* gateway_dhcp_test.c - who gets which address: clients' conversations with the DHCP server, and lease messages. */
#include <time.h>

#include "gateway_dhcp_client.h"

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

/* Asks for a reservation, or for the end of one when there is no address. The status of the reply. */
static uint32_t reserve(const uint8_t *mac, const char *address, const char *sentence) {
  struct vn_writer writer = {0};
  char text[100] = "";
  uint32_t status = 9999;
  vn_write_text(&writer, "message", address ? "reservationAdd" : "reservationRemove");
  vn_write_number(&writer, "id", 7);
  vn_write_bytes(&writer, "mac", mac, 6);
  if (address) vn_write_text(&writer, "address", address);
  forget(&g.control);
  control_message(&g, writer.data, writer.length);
  vn_writer_free(&writer);
  for (struct frame message; (message = take(&g.control)).data;) {
    uint64_t change = vn_list_number(message.data, message.length, "change", 0);
    if (change) snprintf(text, sizeof text, "%s", change == 2 ? "ended" : "added");
    else if (vn_list_number(message.data, message.length, "id", 0) == 7)
      status = (uint32_t)vn_list_number(message.data, message.length, "status", 9999);
    if (!change && status) vn_list_text(message.data, message.length, "text", text, sizeof text);
  }
  if (sentence && strcmp(text, sentence) != 0) printf("  said: %s\n", text);
  CHECK(!sentence || strcmp(text, sentence) == 0);
  return status;
}

/* What comes back for a request; 0: silence. */
static uint32_t says(const uint8_t *mac, uint8_t type, uint32_t requested, uint32_t ciaddr) {
  struct packet packet = request(mac, type);
  option_address(&packet, 50, requested);
  if (ciaddr) put32(packet.bytes + 42 + 12, NET + ciaddr);
  struct frame frame = ask(&packet);
  return frame.data ? number(frame, 53) << 8 | yiaddr(frame) : 0;
}

static void a_reservation_moves_its_client(void) {
  begin(HOST);
  CHECK(says(ann, REQUEST, 10, 0) == (ACK << 8 | 10));
  CHECK(reserve(ann, "192.168.50.60", "") == 0 && reserve(ann, "192.168.50.60", "") == 0);
  check_events(NULL);
  CHECK(says(bob, REQUEST, 10, 0) == NAK << 8); /* ann still uses it */
  CHECK(says(ann, REQUEST, 0, 10) == NAK << 8); /* renewing */
  CHECK(says(ann, DISCOVER, 10, 0) == (OFFER << 8 | 60) && says(ann, REQUEST, 60, 0) == (ACK << 8 | 60));
  check_events("-10+60");
  CHECK(says(bob, REQUEST, 10, 0) == (ACK << 8 | 10) && says(eve, REQUEST, 60, 0) == NAK << 8);
  CHECK(reserve(ann, "192.168.50.11", "ended") == 0); /* .60 is outside of the range */
  CHECK(says(ann, REQUEST, 0, 60) == NAK << 8 && says(ann, REQUEST, 11, 0) == (ACK << 8 | 11));
  CHECK(reserve(ann, NULL, "") == 0 && reserve(ann, NULL, "nothing is reserved for that MAC address") == VN_NOT_FOUND);
  CHECK(says(ann, REQUEST, 0, 11) == (ACK << 8 | 11)); /* a lease as any other */
  CHECK(says(eve, REQUEST, 11, 0) == NAK << 8 && says(eve, REQUEST, 60, 0) == NAK << 8);
  CHECK(says(ann, RELEASE, 0, 11) == 0 && says(eve, REQUEST, 11, 0) == (ACK << 8 | 11));
  gateway_close(&g);
}

static void a_reservation_takes_nothing_from_anybody(void) {
  begin(HOST);
  CHECK(says(ann, REQUEST, 10, 0) == (ACK << 8 | 10) && says(bob, DISCOVER, 11, 0) == (OFFER << 8 | 11));
  CHECK(reserve(bob, "192.168.50.10", "it is leased to 02:00:00:00:00:01") == VN_IN_USE);
  CHECK(reserve(bob, "192.168.50.77", "it is reserved for 02:00:00:00:00:09") == VN_IN_USE);
  CHECK(reserve(ann, "192.168.50.10", "") == 0 && says(ann, REQUEST, 0, 10) == (ACK << 8 | 10)); /* what it has anyway */
  CHECK(reserve(eve, "192.168.50.11", "") == 0); /* was only offered */
  CHECK(says(bob, REQUEST, 11, US) == NAK << 8 && says(bob, DISCOVER, 11, 0) == (OFFER << 8 | 12));
  CHECK(says(eve, DISCOVER, 0, 0) == (OFFER << 8 | 11));
  CHECK(says(max, REQUEST, 77, 0) == (ACK << 8 | 77) && reserve(max, NULL, "ended") == 0);
  CHECK(reserve(bob, "192.168.50.77", "") == 0 && says(bob, DISCOVER, 0, 0) == (OFFER << 8 | 77));
  CHECK(says(ann, RELEASE, 0, 10) == 0 && reserve(ann, "192.168.50.78", "") == 0 && reserve(max, "192.168.50.10", "") == 0);
  gateway_close(&g);
}

static void what_a_client_left_for_its_reservation_can_be_given_back(void) {
  begin(HOST);
  CHECK(says(ann, REQUEST, 10, 0) == (ACK << 8 | 10) && reserve(ann, "192.168.50.13", "") == 0);
  CHECK(says(ann, RELEASE, 0, 10) == 0);
  check_events("-10");
  CHECK(says(bob, REQUEST, 10, 0) == (ACK << 8 | 10));
  CHECK(says(ann, DISCOVER, 0, 0) == (OFFER << 8 | 13) && says(ann, DECLINE, 13, 0) == 0); /* somebody uses it */
  CHECK(says(ann, DISCOVER, 0, 0) == (OFFER << 8 | 11) && reserve(ann, NULL, "") == 0);
  CHECK(says(eve, REQUEST, 13, 0) == NAK << 8 && reserve(eve, "192.168.50.13", "") == 0); /* it rests all the same */
  CHECK(says(eve, DISCOVER, 0, 0) == (OFFER << 8 | 12));
  g.now += 601 * 1000;
  CHECK(says(eve, DISCOVER, 0, 0) == (OFFER << 8 | 13));
  gateway_close(&g);
}

static void reservations_make_sense_or_are_refused(void) {
  static const uint8_t group[6] = {3, 0, 0, 0, 0, 1};
  static const char *const wrong[] = {"192.168.51.10", "192.168.50.0", "192.168.50.1", "192.168.50.255", "0.0.0.0", "x"};
  begin(HOST);
  for (uint32_t i = 0; i < sizeof wrong / sizeof *wrong; i++) CHECK(reserve(ann, wrong[i], NULL) == VN_BAD_OPTION);
  CHECK(reserve(group, "192.168.50.10", NULL) == VN_BAD_OPTION && g.leases.reserved == 1);
  gateway_close(&g);
  struct vn_writer writer = configuration(HOST);
  vn_write_number(&writer, "dhcp", 0);
  open_gateway(writer);
  CHECK(reserve(ann, "192.168.50.10", NULL) == VN_UNSUPPORTED && reserve(ann, NULL, NULL) == VN_UNSUPPORTED);
  gateway_close(&g);
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
  RUN(a_reservation_moves_its_client);
  RUN(a_reservation_takes_nothing_from_anybody);
  RUN(what_a_client_left_for_its_reservation_can_be_given_back);
  RUN(reservations_make_sense_or_are_refused);
  RUN(release_and_decline);
  RUN(the_range_can_be_exhausted);
  RUN(expiry_is_told_without_traffic);
  RUN(leases_survive_a_restart);
  RUN(without_dhcp_nobody_answers);
  return finish();
}
