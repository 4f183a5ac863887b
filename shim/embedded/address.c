// SPDX-License-Identifier: MIT
/*
 * address.c - addresses in and out of text by inet_pton() and inet_ntop(), so that every spelling they know is
 * known.
 */
#include "address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __APPLE__
#include <sys/random.h>
#endif

#include "core/os.h"

bool vn_ipv4_parse(const char *text, uint32_t *address) {
  struct in_addr in;
  if (inet_pton(AF_INET, text, &in) != 1) return false;
  *address = ntohl(in.s_addr);
  return true;
}

void vn_ipv4_text(uint32_t address, char out[VN_ADDRESS_TEXT]) {
  struct in_addr in = {.s_addr = htonl(address)};
  inet_ntop(AF_INET, &in, out, VN_ADDRESS_TEXT);
}

/* Splits "address/number" and answers whether the number is 1 to 128, written plainly. */
static bool split(const char *text, char address[VN_ADDRESS_TEXT], uint32_t *bits) {
  const char *slash = strchr(text, '/');
  if (slash == NULL || (size_t)(slash - text) >= VN_ADDRESS_TEXT) return false;
  memcpy(address, text, (size_t)(slash - text));
  address[slash - text] = 0;
  size_t digits = strspn(slash + 1, "0123456789");
  if (digits == 0 || digits > 3 || slash[1 + digits] != 0 || slash[1] == '0') return false;
  *bits = (uint32_t)strtoul(slash + 1, NULL, 10);
  return *bits <= 128;
}

bool vn_subnet_parse(const char *text, uint32_t *base, uint32_t *bits) {
  char address[VN_ADDRESS_TEXT];
  if (!split(text, address, bits) || *bits < 8 || *bits > 30 || !vn_ipv4_parse(address, base)) return false;
  *base &= vn_mask(*bits);
  return true;
}

void vn_subnet_text(uint32_t base, uint32_t bits, char out[VN_ADDRESS_TEXT]) {
  vn_ipv4_text(base, out);
  size_t at = strlen(out);
  snprintf(out + at, VN_ADDRESS_TEXT - at, "/%u", bits);
}

bool vn_mask_bits(uint32_t mask, uint32_t *bits) {
  for (*bits = 8; *bits <= 30; ++*bits)
    if (mask == vn_mask(*bits)) return true;
  return false;
}

bool vn_ipv4_private(uint32_t address) {
  return address >> 24 == 10 || address >> 20 == 0xac1 || address >> 16 == 0xc0a8;
}

bool vn_prefix_parse(const char *text, uint8_t prefix[8]) {
  char address[VN_ADDRESS_TEXT];
  uint32_t bits = 64;
  struct in6_addr in;
  if (strchr(text, '/') != NULL) {
    if (!split(text, address, &bits) || bits != 64) return false;
    text = address;
  }
  static const uint8_t zero[8];
  if (inet_pton(AF_INET6, text, &in) != 1 || in.s6_addr[0] != 0xfd || memcmp(in.s6_addr + 8, zero, 8) != 0) return false;
  memcpy(prefix, in.s6_addr, 8);
  return true;
}

void vn_prefix_text(const uint8_t prefix[8], char out[VN_ADDRESS_TEXT]) {
  struct in6_addr in;
  memset(&in, 0, sizeof in);
  memcpy(in.s6_addr, prefix, 8);
  inet_ntop(AF_INET6, &in, out, VN_ADDRESS_TEXT);
}

uint32_t vn_address_family(const char *text) {
  uint8_t in[16];
  if (inet_pton(AF_INET, text, in) == 1) return 4;
  return inet_pton(AF_INET6, text, in) == 1 ? 6 : 0;
}

void vn_mac_text(const uint8_t mac[6], char out[VN_ADDRESS_TEXT]) {
  snprintf(out, VN_ADDRESS_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

void vn_mac_from_id(const uint8_t id[16], uint8_t mac[6]) {
  uint64_t hash = 0xcbf29ce484222325ull;
  for (int i = 0; i < 16; i++) hash = (hash ^ id[i]) * 0x100000001b3ull;
  hash = (hash ^ hash >> 31) * 0x9e3779b97f4a7c15ull;
  for (int i = 0; i < 6; i++) mac[i] = (uint8_t)(hash >> (16 + 8 * i));
  mac[0] = (uint8_t)((mac[0] & 0xfc) | 0x02);
}

void vn_random(void *out, size_t length) {
  if (getentropy(out, length) == 0) return; /* does not fail for 256 bytes or fewer on a working system */
  uint64_t state = vn_realtime_ns() ^ (uintptr_t)out;
  for (size_t i = 0; i < length; i++) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    ((uint8_t *)out)[i] = (uint8_t)(state >> 56);
  }
}

bool vn_equal_secret(const uint8_t *a, const uint8_t *b, size_t length) {
  volatile uint8_t difference = 0;
  for (size_t i = 0; i < length; i++) difference |= a[i] ^ b[i];
  return difference == 0;
}
