// SPDX-License-Identifier: MIT
/* config.h - the network as the configure message describes it, checked. */
#ifndef VN_GATEWAY_CONFIG_H
#define VN_GATEWAY_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

struct reservation {
  uint8_t mac[6];
  uint32_t address;
};

struct config {
  bool shared; /* else host mode */
  uint32_t network, mask, gateway; /* IPv4, in the machine's byte order */
  bool ipv6;
  uint8_t prefix6[16]; /* of 64 bits; the gateway is ::1 in it */
  uint32_t mtu;
  bool dhcp, dns, nat44, nat66, advertise;
  uint32_t dhcp_start, dhcp_end, lease_seconds;
  struct reservation *reservations;
  uint32_t reservation_count;
};

/* Why something was refused: what a reply or ready message says. Texts are literals, or the gateway's
 * own sentence. */
struct problem {
  uint32_t status; /* a vn_status; 0: none */
  const char *text, *field, *needs;
  int error; /* errno, or 0 */
};

/* "mac" and "address" of a reservation. Answers the field that is wrong, or NULL. */
const char *reservation_read(const struct config *config, const uint8_t *list, uint32_t length,
                             struct reservation *reservation);
/* Reads a configure message. False with *problem filled in when something is missing or makes no sense. */
bool config_read(struct config *config, const uint8_t *message, uint32_t length, struct problem *problem);
void config_free(struct config *config);

bool parse_ipv4(const char *text, uint32_t *address);

static inline bool config_inside(const struct config *config, uint32_t address) {
  return (address & config->mask) == config->network;
}

/* Is it an address that a guest may have? */
static inline bool config_assignable(const struct config *config, uint32_t address) {
  uint32_t host = address & ~config->mask;
  return config_inside(config, address) && address != config->gateway && host != 0 && host != ~config->mask;
}

#endif
