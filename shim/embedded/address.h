// SPDX-License-Identifier: MIT
/* address.h - IPv4 subnets, IPv6 prefixes and MAC addresses as text and numbers. IPv4 numbers are in host order. */
#ifndef VN_EMBEDDED_ADDRESS_H
#define VN_EMBEDDED_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VN_ADDRESS_TEXT 48u /* the longest text that is made here, and its NUL */

bool vn_ipv4_parse(const char *text, uint32_t *address);
void vn_ipv4_text(uint32_t address, char out[VN_ADDRESS_TEXT]);
/* "a.b.c.d/n" with n from 8 to 30; the host part is cut off. */
bool vn_subnet_parse(const char *text, uint32_t *base, uint32_t *bits);
void vn_subnet_text(uint32_t base, uint32_t bits, char out[VN_ADDRESS_TEXT]);
static inline uint32_t vn_mask(uint32_t bits) { return bits == 0 ? 0 : ~0u << (32 - bits); }
bool vn_mask_bits(uint32_t mask, uint32_t *bits); /* false when it is not ones, then zeros */
bool vn_ipv4_private(uint32_t address);           /* RFC 1918 */

/* "fdxx:...::" or "fdxx:...::/64": the first eight bytes. Only fd00::/8. */
bool vn_prefix_parse(const char *text, uint8_t prefix[8]);
void vn_prefix_text(const uint8_t prefix[8], char out[VN_ADDRESS_TEXT]); /* without the length */
/* Answers 4, 6 or 0. */
uint32_t vn_address_family(const char *text);

void vn_mac_text(const uint8_t mac[6], char out[VN_ADDRESS_TEXT]);
void vn_mac_from_id(const uint8_t id[16], uint8_t mac[6]); /* locally administered; the same for the same id */

void vn_random(void *out, size_t length);
bool vn_equal_secret(const uint8_t *a, const uint8_t *b, size_t length); /* takes the same time for any content */

#endif
