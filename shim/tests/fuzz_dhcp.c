// SPDX-License-Identifier: MIT
/* fuzz_dhcp.c - DHCP messages in a row, each with a length in front, from clients that are sometimes the same, and
 * reservations that come and go between them. */
#include <stdio.h>
#include <stdlib.h>

#include "gateway_fixture.h"

#define NET 0xc0a83200u

static void deliver(const uint8_t *options, uint32_t length, uint8_t client, uint8_t flags) {
  uint8_t data[42 + 240 + 256] = {0}, *bootp = data + 42;
  const uint8_t mac[6] = {2, 0, 0, 0, 0, client};
  write_ipv4(write_ethernet(data, (const uint8_t[]){255, 255, 255, 255, 255, 255}, mac, TYPE_IPV4), PROTOCOL_UDP, 0,
             UINT32_MAX, 8 + 240 + length);
  put16(data + 34, 68), put16(data + 36, 67), put16(data + 38, 8 + 240 + length);
  memcpy(bootp, (const uint8_t[]){1, 1, 6}, 3);
  memcpy(bootp + 28, mac, 6);
  put32(bootp + 236, 0x63825363);
  bootp[10] = flags & 0x80;
  put32(bootp + 12, flags & 1 ? NET + 10 + (flags >> 1 & 7) : 0);
  memcpy(bootp + 240, options, length);
  put_in(data, 42 + 240 + length);
}

/* No address has two clients, no client two addresses, one that is reserved has no second entry that could be given
 * out, and
 * what is sent is a whole packet. */
static void check(void) {
  const struct lease *leases = g.leases.leases;
  for (uint32_t i = 0; i < g.leases.reserved; i++) {
    if (!leases[i].reserved || lease_at(&g.leases, leases[i].address) != &leases[i]) abort();
    for (uint32_t k = i + 1; k < g.leases.count; k++) {
      if (leases[k].address == leases[i].address && leases[k].state != LEASE_BLOCKED) abort();
    }
  }
  for (uint32_t i = g.leases.touched; i < g.leases.count; i++) {
    if (leases[i].state != LEASE_UNUSED && leases[i].state != LEASE_BLOCKED) abort();
  }
  for (uint32_t i = 0; i < g.leases.count; i++) {
    for (uint32_t k = 0; k < i; k++) {
      bool both = leases[i].state == LEASE_BOUND && leases[k].state == LEASE_BOUND;
      if (both && (leases[i].address == leases[k].address || memcmp(leases[i].mac, leases[k].mac, 6) == 0)) abort();
    }
  }
  struct frame frame;
  struct ip ip;
  while ((frame = take(&g.frames)).data) {
    if (!frame_ip(frame, &ip) || ip_checksum(frame, &ip) != 0) abort();
  }
  forget(&g.frames);
  forget(&g.control);
}

static void reserve(uint8_t client, uint8_t flags) {
  struct vn_writer writer = {0};
  const uint8_t mac[6] = {2, 0, 0, 0, 0, client};
  char address[20];
  snprintf(address, sizeof address, "192.168.50.%d", (flags & 1 ? 96 : 8) + (flags >> 1 & 7));
  vn_write_text(&writer, "message", flags & 0x10 ? "reservationRemove" : "reservationAdd");
  vn_write_bytes(&writer, "mac", mac, 6);
  vn_write_text(&writer, "address", address);
  control_message(&g, writer.data, writer.length);
  vn_writer_free(&writer);
}

static void set_up(void) {
  struct vn_writer writer = configuration(HOST);
  add_reservation(&writer, (const uint8_t[]){2, 0, 0, 0, 0, 1}, "192.168.50.12");
  add_reservation(&writer, (const uint8_t[]){2, 0, 0, 0, 0, 2}, "192.168.50.99");
  open_gateway(writer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (!g.configured) set_up();
  lease_close(&g.leases);
  lease_open(&g.leases, &g.config);
  while (size >= 4) {
    uint32_t length = data[0] < size - 4 ? data[0] : (uint32_t)size - 4;
    g.now += data[3] * 1000;
    if ((data[2] & 0x60) == 0x60) reserve(data[1] & 7, data[2]);
    deliver(data + 4, length, data[1] & 7, data[2]);
    check();
    data += 4 + length, size -= 4 + length;
  }
  return 0;
}
