// SPDX-License-Identifier: MIT
/*
 * What a restarted gateway is told: thousands of leases with long names, more than a hostile guest can be kept from
 * taking.
 * The message must not grow over its limit, or the gateway never comes back.
 */
#include <signal.h>

#include "client.h"

#define GUESTS 8000

static struct client *c;

static void put16(uint8_t *at, uint32_t value) { at[0] = (uint8_t)(value >> 8), at[1] = (uint8_t)value; }

/* A DHCP request of guest i for the address 10.77.1.0 + i, under a name as long as names get. Its length. */
static uint32_t request_frame(uint8_t frame[512], uint32_t i) {
  uint8_t *ip = frame + 14, *udp = ip + 20, *dhcp = udp + 8, *option = dhcp + 240;
  uint8_t mac[6] = {2, 0, 0, 7, (uint8_t)(i >> 8), (uint8_t)i};
  memset(frame, 0, 512);
  memset(frame, 255, 6);
  memcpy(frame + 6, mac, 6);
  frame[12] = 8;
  memcpy(dhcp, "\1\1\6\0mine", 8);
  memcpy(dhcp + 28, mac, 6);
  memcpy(dhcp + 236, "\x63\x82\x53\x63\x35\1\3\x32\4\x0a\x4d", 11);
  option += 7;
  put16(option, 0x100 + i);
  option += 2;
  memcpy(option, "\x0c\x3f", 2);
  memset(option + 2, 'n', 63);
  option += 65;
  *option++ = 255;
  uint32_t length = (uint32_t)(option - udp), sum = 0;
  put16(udp, 68), put16(udp + 2, 67), put16(udp + 4, length);
  memcpy(ip, "\x45\0\0\0\0\0\0\0\x40\x11\0\0\0\0\0\0\xff\xff\xff\xff", 20);
  put16(ip + 2, 20 + length);
  for (int k = 0; k < 20; k += 2) sum += (uint32_t)ip[k] << 8 | ip[k + 1];
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  put16(ip + 10, sum ^ 0xffff);
  return 34 + length;
}

static uint32_t leases_of(int32_t network) {
  static uint8_t list[4 << 20];
  struct vn_reader reader;
  struct vn_entry entry;
  uint32_t count = 0;
  int32_t length = vn_get(network, VN_GET_LEASES, list, sizeof list);
  vn_list_read(&reader, list, length < 0 ? 0 : (uint32_t)length);
  while (vn_list_next(&reader, &entry)) count++;
  return count;
}

/* Asks for guest i's address until the answer is an ACK; false after ten seconds. */
static bool is_confirmed(int32_t port, uint32_t i) {
  uint8_t frame[512];
  uint32_t length = request_frame(frame, i);
  for (uint64_t end = vn_monotonic_ns() + 10000000000ull; vn_monotonic_ns() < end;) {
    client_push(c, port, frame, length);
    int32_t count = client_drain(c, port, BATCH, 100);
    for (int32_t k = 0; k < count; k++) {
      const uint8_t *got = client_frame(c, k);
      if (client_length(c, k) > 285 && memcmp(got, frame + 6, 6) == 0 && got[282] == 53) return got[284] == 5;
    }
  }
  return false;
}

static void test_a_gateway_with_thousands_of_leases_comes_back(void) {
  struct vn_writer options = {.data = NULL};
  vn_write_text(&options, "ipv4Subnet", "10.77.0.0/16");
  vn_write_text(&options, "dhcpStart", "10.77.1.0");
  int32_t network = client_network(c, 1000, true, &options), port = client_start(c, network, NULL);
  CHECK(network > 0 && port > 0);
  uint8_t frame[512];
  for (uint32_t i = 0; i < GUESTS; i++) {
    uint32_t length = request_frame(frame, i);
    if (i % 64 == 63 || i == GUESTS - 1)
      CHECK(is_confirmed(port, i)); /* and so are those before it */
    else
      CHECK(client_push(c, port, frame, length));
  }
  for (int i = 0; i < 2000 && leases_of(network) < GUESTS; i++) usleep(5000);
  CHECK(leases_of(network) == GUESTS);
  pid_t before[16] = {0}, after[16] = {0};
  CHECK(gateways(before) == 1);
  kill(before[0], SIGKILL);
  while (client_drain(c, port, BATCH, 100) > 0) continue;
  CHECK(is_confirmed(port, 5));
  uint8_t other[512]; /* what one guest has, another does not get */
  uint32_t length = request_frame(other, 5);
  put16(other + 10, 0xfffe), put16(other + 42 + 32, 0xfffe);
  CHECK(client_push(c, port, other, length));
  bool refused = false;
  for (int i = 0; i < 50 && !refused; i++) {
    int32_t count = client_drain(c, port, BATCH, 20);
    for (int32_t k = 0; k < count; k++) refused |= client_length(c, k) > 285 && client_frame(c, k)[284] == 6;
  }
  CHECK(refused && leases_of(network) == GUESTS);
  CHECK(gateways(after) == 1 && after[0] != before[0]);
  client_get(c, network, VN_GET_STATS);
  CHECK(client_number(c, "gatewayStarts") == 2); /* at once, and for good */
  CHECK(client_stop(c, port) == 0 && client_stop(c, network) == 0);
}

int main(void) {
  c = client_open();
  RUN(test_a_gateway_with_thousands_of_leases_comes_back);
  client_close(c);
  CHECK(vn_shutdown(2000) == 0);
  return finish();
}
