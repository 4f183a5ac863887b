// SPDX-License-Identifier: MIT
/* dhcp_guest.h - the DHCP client of a guest, played by a test on an interface of the client c. */
#ifndef VN_TESTS_DHCP_GUEST_H
#define VN_TESTS_DHCP_GUEST_H

#include "client.h"

static struct client *c;

static inline void put16(uint8_t *at, uint32_t value) { at[0] = (uint8_t)(value >> 8), at[1] = (uint8_t)value; }

/* A DHCP message in a frame; requested in network order or NULL. Its length. */
static inline uint32_t dhcp_frame(uint8_t frame[400], const uint8_t mac[6], uint8_t type, const uint8_t *requested) {
  memset(frame, 0, 400);
  memset(frame, 255, 6);
  memcpy(frame + 6, mac, 6);
  frame[12] = 8;
  uint8_t *ip = frame + 14, *udp = ip + 20, *dhcp = udp + 8, *option = dhcp + 240;
  memcpy(dhcp, "\1\1\6\0mine", 8);
  memcpy(dhcp + 28, mac, 6);
  memcpy(dhcp + 236, "\x63\x82\x53\x63", 4);
  memcpy(option, "\x35\1", 2), option[2] = type, option += 3;
  memcpy(option, "\x0c\5guest", 7), option += 7;
  if (requested) memcpy(option, "\x32\4", 2), memcpy(option + 2, requested, 4), option += 6;
  *option++ = 255;
  uint32_t length = (uint32_t)(option - udp);
  put16(udp, 68), put16(udp + 2, 67), put16(udp + 4, length);
  memcpy(ip, "\x45\0\0\0\0\0\0\0\x40\x11\0\0\0\0\0\0\xff\xff\xff\xff", 20);
  put16(ip + 2, 20 + length);
  uint32_t sum = 0;
  for (int i = 0; i < 20; i += 2) sum += (uint32_t)ip[i] << 8 | ip[i + 1];
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  put16(ip + 10, sum ^ 0xffff);
  return 34 + length;
}

/* Sends a DHCP message and answers the type of the reply (0: none within ms) and the address in it. */
static inline uint8_t dhcp_ask(int32_t port, const uint8_t mac[6], uint8_t type, uint8_t address[4], int ms) {
  uint8_t frame[400];
  static const uint8_t none[4];
  uint32_t length = dhcp_frame(frame, mac, type, memcmp(address, none, 4) ? address : NULL);
  client_push(c, port, frame, length);
  for (uint64_t end = vn_monotonic_ns() + (uint64_t)ms * 1000000; vn_monotonic_ns() < end;) {
    int32_t count = client_drain(c, port, BATCH, 10);
    for (int32_t i = 0; i < count; i++) {
      const uint8_t *got = client_frame(c, i);
      if (client_length(c, i) < 285 || got[12] != 8 || got[23] != 17 || got[37] != 68 || memcmp(got + 70, mac, 6)) continue;
      memcpy(address, got + 58, 4);
      for (const uint8_t *option = got + 282; option < got + client_length(c, i) && *option != 255; option += 2 + option[1])
        if (*option == 53) return option[2];
    }
  }
  return 0;
}

static inline bool lease(int32_t port, const uint8_t mac[6], uint8_t address[4]) {
  return dhcp_ask(port, mac, 1, address, 3000) == 2 && dhcp_ask(port, mac, 3, address, 3000) == 5;
}

#endif
