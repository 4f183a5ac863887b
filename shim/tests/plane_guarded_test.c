// SPDX-License-Identifier: MIT
/* Guards and offloads as scripts meet them: limits set while frames move, what is told of it, and long frames for who
 * takes
 * only short ones. */
#include "client.h"
#include "plane/headers.h"

static struct client *c;
static const uint8_t a_mac[6] = {2, 0, 0, 0, 0, 1}, b_mac[6] = {2, 0, 0, 0, 0, 2};
static int32_t network, board, a, b;

static int32_t start(bool virtio) {
  struct vn_writer options = {.data = NULL};
  vn_write_number(&options, "vmnet_enable_virtio_header", virtio);
  vn_write_number(&options, "vmnet_enable_tso", virtio);
  return client_start(c, network, &options);
}

static void begin(bool virtio, bool dhcp) {
  network = client_network(c, 1000, dhcp, NULL);
  a = start(virtio), b = start(false);
  board = client_call(c, network, VN_OP_SWITCH_CREATE, NULL) == 0 ? client_handle(c) : -1;
  CHECK(network > 0 && board > 0 && a > 0 && b > 0);
}

static void end(void) {
  CHECK(client_stop(c, board) == 0 && client_stop(c, a) == 0 && client_stop(c, b) == 0 && client_stop(c, network) == 0);
}

/* A number of the port that has sent frames, which is a's. */
static uint64_t port_number(const char *key) {
  struct vn_reader reader;
  struct vn_entry entry;
  client_get(c, board, VN_GET_STATS);
  vn_list_read(&reader, c->result, c->length);
  char kind[16];
  while (vn_list_next(&reader, &entry))
    if (vn_entry_is(&entry, VN_LIST, "port") && vn_list_number(entry.value, entry.length, "framesIn", 0) > 0 &&
        vn_list_text(entry.value, entry.length, "kind", kind, sizeof kind) && strcmp(kind, "interface") == 0)
      return vn_list_number(entry.value, entry.length, key, UINT64_MAX);
  return UINT64_MAX;
}

static uint32_t set(uint64_t port, const char *key, uint64_t value) {
  struct vn_writer options = {.data = NULL};
  vn_write_number(&options, "port", port);
  vn_write_number(&options, key, value);
  if (strcmp(key, "antiSpoof") == 0 && value) vn_write_bytes(&options, "mac", a_mac, 6); /* else the interface's own */
  return client_call(c, board, VN_OP_PORT_SET, &options);
}

static uint32_t events(const char *type, char detail[64]) {
  struct vn_reader reader;
  struct vn_entry entry;
  uint32_t count = 0;
  char text[64];
  client_get(c, board, VN_GET_EVENTS);
  vn_list_read(&reader, c->result, c->length);
  while (vn_list_next(&reader, &entry)) {
    if (!vn_entry_is(&entry, VN_LIST, "event")) continue;
    if (!vn_list_text(entry.value, entry.length, "type", text, sizeof text) || strcmp(text, type) != 0) continue;
    vn_list_text(entry.value, entry.length, "detail", detail, 64);
    count++;
  }
  return count;
}

/* How many of a hundred frames get to b; there is patience for as many as are expected. */
static uint32_t get_through(const uint8_t to[6], const uint8_t from[6], uint32_t expected) {
  uint8_t frame[1000];
  uint32_t got = 0;
  for (uint32_t i = 0; i < 100; i++) {
    make_frame(frame, sizeof frame, to, from, i);
    CHECK(client_push(c, a, frame, sizeof frame));
  }
  for (int32_t count = 1; count > 0;) {
    count = client_drain(c, b, BATCH, got < expected ? 3000 : 50);
    if (count > 0) got += (uint32_t)count;
  }
  return got;
}

static void test_limits_change_while_frames_move(void) {
  begin(false, false);
  char detail[64] = "";
  CHECK(get_through(b_mac, a_mac, 100) == 100);
  uint64_t port = port_number("number");
  CHECK(set(port, "bytesPerSecond", 100) == 0);
  uint32_t got = get_through(b_mac, a_mac, 66);
  CHECK(got == 66 && port_number("droppedRate") == 34); /* a bucket of 64 KiB */
  uint32_t told = events("limited", detail);
  CHECK(told >= 1 && told <= 2 && strcmp(detail, "rate") == 0);
  CHECK(set(port, "bytesPerSecond", 0) == 0);
  CHECK(get_through(b_mac, a_mac, 100) == 100);
  CHECK(set(port, "broadcastsPerSecond", 5) == 0);
  got = get_through(everybody, a_mac, 5);
  CHECK(got >= 5 && got <= 10 && port_number("droppedBroadcast") == 100 - got);
  CHECK(get_through(b_mac, a_mac, 100) == 100);
  CHECK(set(port, "broadcastsPerSecond", 0) == 0 && set(port, "antiSpoof", 1) == 0);
  CHECK(get_through(everybody, a_mac, 100) == 100);
  CHECK(get_through(everybody, b_mac, 0) == 0);
  CHECK(port_number("droppedSpoofed") == 100);
  told = events("spoofed", detail);
  CHECK(told >= 1 && told <= 2 && strcmp(detail, "MAC 02:00:00:00:00:02") == 0);
  CHECK(set(port, "antiSpoof", 0) == 0 && get_through(everybody, b_mac, 100) == 100);
  end();
}

static void test_a_long_frame_comes_as_segments_to_who_takes_no_longer_ones(void) {
  begin(true, false);
  static uint8_t bytes[12 + 54 + 29200];
  uint8_t *frame = bytes + 12, *ip = frame + 14, *tcp = ip + 20;
  memcpy(bytes, (uint8_t[]){1, 1, 54, 0, 1460 & 255, 1460 >> 8, 34, 0, 16, 0, 0, 0}, 12);
  make_frame(frame, sizeof bytes - 12, everybody, a_mac, 0);
  memset(frame + 12, 0, 42);
  vn_put16(frame + 12, 0x0800);
  ip[0] = 0x45, ip[8] = 64, ip[9] = 6;
  vn_put16(ip + 2, 40 + 29200), vn_put32(ip + 12, 0x0a000001), vn_put32(ip + 16, 0x0a000002);
  vn_put16(tcp, 5), vn_put16(tcp + 2, 6), tcp[12] = 0x50, tcp[13] = 0x10;
  for (uint32_t i = 0; i < 29200; i++) tcp[20 + i] = (uint8_t)(i / 1460 + i);
  CHECK(client_push(c, a, bytes, sizeof bytes));
  uint32_t got = 0;
  for (int32_t count; (count = client_drain(c, b, BATCH, 100)) > 0;)
    for (int32_t i = 0; i < count; i++, got++) {
      const uint8_t *segment = client_frame(c, i);
      CHECK(client_length(c, i) == 1514 && vn_get32(segment + 38) == got * 1460);
      CHECK(memcmp(segment + 54, tcp + 20 + got * 1460, 1460) == 0);
    }
  CHECK(got == 20);
  bytes[1] = 3; /* fragments of UDP: nobody should ask for them */
  CHECK(client_push(c, a, bytes, sizeof bytes));
  CHECK(client_drain(c, b, 1, 50) == 0);
  struct vn_reader reader;
  struct vn_entry entry;
  uint64_t dropped = 0;
  client_get(c, board, VN_GET_STATS);
  vn_list_read(&reader, c->result, c->length);
  while (vn_list_next(&reader, &entry))
    if (vn_entry_is(&entry, VN_NUMBER, "droppedOffload")) dropped = vn_entry_number(&entry);
  CHECK(dropped == 1);
  end();
}

/* Asks for a lease and answers the message that comes back (2: an offer, 5: an acknowledgement), its address in
 * address. */
static uint8_t ask_dhcp(uint8_t type, uint8_t address[4]) {
  static const uint8_t cookie[4] = {0x63, 0x82, 0x53, 0x63};
  uint8_t frame[14 + 20 + 8 + 300] = {0}, *ip = frame + 14, *udp = ip + 20, *dhcp = udp + 8, *option = dhcp + 240;
  uint32_t sum = 0;
  memset(frame, 255, 6), memcpy(frame + 6, a_mac, 6), frame[12] = 8;
  ip[0] = 0x45, ip[8] = 64, ip[9] = 17, memset(ip + 16, 255, 4);
  vn_put16(ip + 2, sizeof frame - 14);
  for (int i = 0; i < 20; i += 2) sum += vn_get16(ip + i);
  vn_put16(ip + 10, ~((sum & 0xffff) + (sum >> 16)));
  vn_put16(udp, 68), vn_put16(udp + 2, 67), vn_put16(udp + 4, 308);
  dhcp[0] = dhcp[1] = 1, dhcp[2] = 6, memcpy(dhcp + 28, a_mac, 6), memcpy(dhcp + 236, cookie, 4);
  memcpy(option, (uint8_t[]){53, 1, type}, 3), option += 3;
  if (type == 3) memcpy(option, (uint8_t[]){50, 4}, 2), memcpy(option + 2, address, 4), option += 6;
  *option = 255;
  CHECK(client_push(c, a, frame, sizeof frame));
  for (uint64_t until = vn_monotonic_ns() + 5000000000; vn_monotonic_ns() < until;)
    for (int32_t i = 0, count = client_drain(c, a, BATCH, 50); i < count; i++) {
      const uint8_t *got = client_frame(c, i);
      if (client_length(c, i) < 42 + 243 || vn_get16(got + 12) != 0x0800 || got[23] != 17 || vn_get16(got + 36) != 68) continue;
      memcpy(address, got + 42 + 16, 4);
      return got[42 + 242];
    }
  return 0;
}

static bool arp_arrives(const uint8_t address[4], int ms) {
  uint8_t frame[60] = {0};
  memset(frame, 255, 6), memcpy(frame + 6, a_mac, 6);
  memcpy(frame + 12, (uint8_t[]){8, 6, 0, 1, 8, 0, 6, 4, 0, 1}, 10);
  memcpy(frame + 22, a_mac, 6), memcpy(frame + 28, address, 4), memcpy(frame + 38, address, 4);
  return client_push(c, a, frame, sizeof frame) && client_expect(c, b, frame, sizeof frame, ms);
}

static void test_a_guest_has_its_address_as_soon_as_DHCP_says_so(void) {
  begin(false, true);
  uint8_t address[4] = {192, 168, 128, 77}, other[4];
  char detail[64] = "";
  CHECK(arp_arrives(address, 2000));
  CHECK(set(port_number("number"), "antiSpoof", 1) == 0);
  CHECK(!arp_arrives(address, 50) && events("spoofed", detail) == 1 && strcmp(detail, "ARP 192.168.128.77") == 0);
  CHECK(ask_dhcp(1, address) == 2 && ask_dhcp(3, address) == 5);
  CHECK(arp_arrives(address, 2000)); /* the lease is known before the answer comes */
  memcpy(other, address, 4), other[3] ^= 64;
  CHECK(!arp_arrives(other, 50));
  end();
}

int main(void) {
  c = client_open();
  RUN(test_limits_change_while_frames_move);
  RUN(test_a_long_frame_comes_as_segments_to_who_takes_no_longer_ones);
  RUN(test_a_guest_has_its_address_as_soon_as_DHCP_says_so);
  client_close(c);
  CHECK(vn_shutdown(2000) == 0);
  return finish();
}
