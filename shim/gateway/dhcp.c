// SPDX-License-Identifier: MIT
/*
 * dhcp.c - the DHCPv4 server (RFC 2131).
 *
 * Theory of operation. The gateway is the only authority of its network, so it also confirms an address that it knows
 * nothing about when that is free, and refuses every other one at once instead of being silent. A client is its
 * hardware address; a client identifier is sent back (RFC 6842) and otherwise ignored, so that a guest keeps its
 * reservation whatever its DHCP client thinks of. Relays are not served: every client is on this network.
 */
#include <stdio.h>
#include <string.h>

#include "gateway.h"
#include "os.h"

enum { SERVER_PORT = 67, CLIENT_PORT = 68, BOOTP_SIZE = 236, COOKIE = 0x63825363, REPLY_LIMIT = 548 };
enum { DISCOVER = 1, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM };
enum option {
  PAD = 0, MASK = 1, ROUTER = 3, DNS = 6, HOSTNAME = 12, MTU = 26, BROADCAST = 28, REQUESTED = 50, LEASE_TIME = 51,
  MESSAGE = 53, SERVER = 54, PARAMETERS = 55, RENEW = 58, REBIND = 59, CLIENT = 61, END = 255,
};

struct request {
  const uint8_t *bootp; /* BOOTP_SIZE bytes */
  const uint8_t *mac;
  uint8_t type;
  bool broadcast, wants_mtu;
  uint32_t client_address, requested, server; /* 0: absent */
  const uint8_t *client_id;
  uint8_t client_id_length;
  char hostname[64];
};

/* Only what can stand in a host name is kept: the name goes to scripts and terminals. */
static void read_hostname(struct request *request, const uint8_t *value, uint32_t length) {
  uint32_t used = 0;
  for (uint32_t i = 0; i < length && used < sizeof request->hostname - 1; i++) {
    uint8_t c = value[i], lower = c | 32;
    if ((lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_') {
      request->hostname[used++] = (char)c;
    }
  }
  request->hostname[used] = 0;
}

static void read_option(struct request *request, uint8_t code, const uint8_t *value, uint8_t length) {
  switch (code) {
    case MESSAGE: request->type = length == 1 ? value[0] : 0; break;
    case REQUESTED: request->requested = length == 4 ? get32(value) : 0; break;
    case SERVER: request->server = length == 4 ? get32(value) : 0; break;
    case PARAMETERS: request->wants_mtu = memchr(value, MTU, length) != NULL; break;
    case HOSTNAME: read_hostname(request, value, length); break;
    case CLIENT: request->client_id = value, request->client_id_length = length; break;
    default: break;
  }
}

static bool read_request(struct frame frame, const struct ip *ip, struct request *request) {
  struct frame packet = {frame.data + ip->payload + 8, get16(frame.data + ip->payload + 4) - 8u};
  const uint8_t *bootp = frame_at(packet, 0, BOOTP_SIZE + 4), *option;
  static const uint8_t nobody[6];
  /* A request from Ethernet, not through a relay. */
  if (!bootp || bootp[0] != 1 || bootp[1] != 1 || bootp[2] != 6 || get32(bootp + 24) != 0 ||
      get32(bootp + BOOTP_SIZE) != COOKIE || (bootp[28] & 1) || memcmp(bootp + 28, nobody, 6) == 0) {
    return false;
  }
  *request = (struct request){.bootp = bootp, .mac = bootp + 28, .broadcast = bootp[10] >> 7,
                              .client_address = get32(bootp + 12)};
  for (uint32_t at = BOOTP_SIZE + 4; (option = frame_at(packet, at, 1)) && *option != END;) {
    if (*option == PAD) {
      at++;
      continue;
    }
    if (!(option = frame_at(packet, at, 2)) || !frame_at(packet, at + 2, option[1])) {
      return false;
    }
    read_option(request, option[0], option + 2, option[1]);
    at += 2u + option[1];
  }
  return request->type >= DISCOVER && request->type <= INFORM;
}

static uint8_t *put_option(uint8_t *at, enum option code, uint8_t length, const void *value) {
  at[0] = (uint8_t)code;
  at[1] = length;
  memcpy(at + 2, value, length);
  return at + 2 + length;
}

static uint8_t *put_number(uint8_t *at, enum option code, uint32_t value) {
  uint8_t bytes[4];
  put32(bytes, value);
  return put_option(at, code, 4, bytes);
}

static uint8_t *put_options(const struct gateway *gateway, const struct request *request, uint8_t type, uint8_t *at) {
  const struct config *config = &gateway->config;
  at = put_option(at, MESSAGE, 1, &type);
  at = put_number(at, SERVER, config->gateway);
  if (request->client_id_length > 0 && request->client_id_length <= 128) {
    at = put_option(at, CLIENT, request->client_id_length, request->client_id);
  }
  if (type == NAK) {
    return at;
  }
  if (request->type != INFORM) {
    uint32_t seconds = config->lease_seconds;
    at = put_number(at, LEASE_TIME, seconds);
    at = put_number(at, RENEW, seconds == UINT32_MAX ? seconds : seconds / 2);
    at = put_number(at, REBIND, seconds == UINT32_MAX ? seconds : (uint32_t)(seconds * 7ull / 8));
  }
  at = put_number(at, MASK, config->mask);
  at = put_number(at, BROADCAST, config->network | ~config->mask);
  if (config->nat44) {
    at = put_number(at, ROUTER, config->gateway);
  }
  if (config->dns) {
    at = put_number(at, DNS, config->gateway);
  }
  if (config->mtu != 1500 || request->wants_mtu) {
    uint8_t mtu[2];
    put16(mtu, config->mtu);
    at = put_option(at, MTU, 2, mtu);
  }
  return at;
}

/* Sends an answer: with the address that is leased, 0 for none. */
static void reply(struct gateway *gateway, const struct request *request, uint8_t type, uint32_t address) {
  static const uint8_t everybody[6] = {255, 255, 255, 255, 255, 255};
  uint8_t data[ETHERNET_HEADER + 20 + 8 + REPLY_LIMIT] = {0};
  uint8_t *bootp = data + ETHERNET_HEADER + 20 + 8;
  bootp[0] = 2;
  bootp[1] = 1;
  bootp[2] = 6;
  memcpy(bootp + 4, request->bootp + 4, 4); /* transaction */
  memcpy(bootp + 10, request->bootp + 10, 2); /* flags */
  if (type != NAK) {
    memcpy(bootp + 12, request->bootp + 12, 4);
    put32(bootp + 16, address);
    put32(bootp + 20, gateway->config.gateway);
  }
  memcpy(bootp + 28, request->mac, 6);
  put32(bootp + BOOTP_SIZE, COOKIE);
  uint8_t *end = put_options(gateway, request, type, bootp + BOOTP_SIZE + 4);
  *end++ = END;
  uint32_t length = (uint32_t)(end - bootp);
  length = length < 300 ? 300 : length; /* what BOOTP clients expect at least */

  bool known = request->client_address != 0;
  bool broadcast = type == NAK || (!known && (request->broadcast || address == 0));
  uint32_t target = broadcast ? UINT32_MAX : known ? request->client_address : address;
  uint8_t *ip = write_ethernet(data, broadcast ? everybody : request->mac, gateway->mac, TYPE_IPV4);
  uint8_t *udp = write_ipv4(ip, PROTOCOL_UDP, gateway->config.gateway, target, 8 + length);
  put16(udp, SERVER_PORT);
  put16(udp + 2, CLIENT_PORT);
  put16(udp + 4, 8 + length);
  struct frame frame = {data, ETHERNET_HEADER + 28 + length};
  struct ip header = {.version = 4, .header = ETHERNET_HEADER, .payload = ETHERNET_HEADER + 20, .length = 8 + length,
                      .protocol = PROTOCOL_UDP};
  uint16_t checksum = ip_checksum(frame, &header);
  put16(udp + 6, checksum ? checksum : 0xffff);
  gateway_output(gateway, data, frame.length);
}

static void refuse_request(struct gateway *gateway, const struct request *request) {
  COUNT(gateway, dhcpNak);
  reply(gateway, request, NAK, 0);
}

static void on_discover(struct gateway *gateway, const struct request *request) {
  struct lease *lease = lease_choose(&gateway->leases, request->mac, request->requested, gateway->now);
  if (!lease) {
    COUNT(gateway, dhcpExhausted);
    return;
  }
  lease_offer(&gateway->leases, lease, request->mac, gateway->now);
  COUNT(gateway, dhcpOffer);
  reply(gateway, request, OFFER, lease->address);
}

static void bind_lease(struct gateway *gateway, struct lease *lease, const uint8_t *mac, int64_t ends) {
  struct lease lost;
  if (lease_bind(&gateway->leases, lease, mac, gateway->now, ends, &lost)) {
    control_lease(gateway, &lost, 2);
  }
}

static void on_request(struct gateway *gateway, const struct request *request) {
  struct lease_table *table = &gateway->leases;
  struct lease *own = lease_of(table, request->mac, gateway->now);
  if (request->server != 0 && request->server != gateway->config.gateway) {
    if (own && own->state == LEASE_OFFERED) {
      lease_end(table, own, gateway->now); /* it chose another server */
    }
    return;
  }
  uint32_t address = request->requested ? request->requested : request->client_address;
  struct lease *lease = lease_at(table, address);
  bool held = own && (own->state == LEASE_BOUND || own->state == LEASE_OFFERED) && own->ends > gateway->now;
  if (!lease || (held && own != lease) || !lease_allowed(table, lease, request->mac, gateway->now)) {
    refuse_request(gateway, request);
    return;
  }
  uint32_t seconds = gateway->config.lease_seconds;
  bind_lease(gateway, lease, request->mac,
             seconds == UINT32_MAX ? NEVER : gateway->now + seconds * INT64_C(1000));
  if (request->hostname[0]) {
    memcpy(lease->hostname, request->hostname, sizeof lease->hostname);
  }
  COUNT(gateway, dhcpAck);
  control_lease(gateway, lease, 1);
  reply(gateway, request, ACK, lease->address);
}

/* The client gives its address back, or says that somebody else uses it. */
static void on_return(struct gateway *gateway, const struct request *request) {
  bool declined = request->type == DECLINE;
  /* Not lease_of(): it may be what the client had before a reservation came. */
  struct lease *lease = lease_at(&gateway->leases, declined ? request->requested : request->client_address);
  if (!lease || memcmp(lease->mac, request->mac, 6) != 0 ||
      (request->server != 0 && request->server != gateway->config.gateway) ||
      !(lease->state == LEASE_BOUND || (declined && lease->state == LEASE_OFFERED))) {
    return;
  }
  if (lease->state == LEASE_BOUND) {
    control_lease(gateway, lease, 2);
  }
  declined ? lease_rest(&gateway->leases, lease, gateway->now) : lease_end(&gateway->leases, lease, gateway->now);
}

void dhcp_input(struct gateway *gateway, struct frame frame, const struct ip *ip) {
  struct request request;
  if (ip->protocol != PROTOCOL_UDP || ip->target_port != SERVER_PORT || !read_request(frame, ip, &request)) {
    COUNT(gateway, dhcpMalformed);
    return;
  }
  dhcp_expire(gateway);
  switch (request.type) {
    case DISCOVER: COUNT(gateway, dhcpDiscover), on_discover(gateway, &request); break;
    case REQUEST: COUNT(gateway, dhcpRequest), on_request(gateway, &request); break;
    case DECLINE: COUNT(gateway, dhcpDecline), on_return(gateway, &request); break;
    case RELEASE: COUNT(gateway, dhcpRelease), on_return(gateway, &request); break;
    case INFORM:
      COUNT(gateway, dhcpInform);
      if (config_inside(&gateway->config, request.client_address)) {
        reply(gateway, &request, ACK, 0);
      }
      break;
    default: COUNT(gateway, dhcpMalformed); break;
  }
}

void dhcp_expire(struct gateway *gateway) {
  struct lease *lease;
  while ((lease = lease_expire(&gateway->leases, gateway->now))) {
    control_lease(gateway, lease, 2);
  }
}

void dhcp_replay(struct gateway *gateway, const uint8_t *list, uint32_t length) {
  char text[16];
  uint32_t address;
  struct vn_entry mac;
  if (!vn_list_find(list, length, VN_BYTES, "mac", &mac) || mac.length != 6 ||
      !vn_list_text(list, length, "address", text, sizeof text) || !parse_ipv4(text, &address)) {
    return;
  }
  uint64_t expires = vn_list_number(list, length, "expires", 0), today = vn_realtime_ns() / 1000000000;
  uint64_t left = expires > today ? expires - today : 0;
  left = left > UINT32_MAX ? UINT32_MAX : left;
  struct lease refused = {.address = address}, *lease = lease_at(&gateway->leases, address);
  /* One that a client has to give up for its reservation is still what it uses. */
  bool still = lease && !lease->reserved && lease_free(lease, gateway->now);
  if (!still && (!lease || !lease_allowed(&gateway->leases, lease, mac.value, gateway->now))) {
    memcpy(refused.mac, mac.value, 6);
    control_lease(gateway, &refused, 2);
    return;
  }
  int64_t ends = expires == 0 ? NEVER : gateway->now + (int64_t)left * 1000;
  bind_lease(gateway, lease, mac.value, ends);
  vn_list_text(list, length, "hostname", lease->hostname, sizeof lease->hostname);
}
