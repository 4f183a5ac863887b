// SPDX-License-Identifier: MIT
/*
 * filter.c - between the network and libslirp.
 *
 * Theory of operation. libslirp gets a frame only when its headers hold together (frame_ip() saw to that) and when it
 * goes where a guest may go. Without this, libslirp 4.7 sends packets for other hosts of the subnet, for multicast and
 * broadcast groups to the real network, and packets for 127.0.0.1, ::1 and 0.0.0.0 to the host itself.
 *
 * DNS lives at the gateway's address, as on a Mac. libslirp could be given the same address for both, but then refuses
 * every other port there (sotranslate_out4() in socket.c), so the host's services would be out of reach. So libslirp's
 * name server is the network address, which no guest can have, and packets to and from it are renamed on the way.
 * In IPv6 it is the other way round: the name server is ::1, which router advertisements tell, and the host is ::2,
 * renamed to ::1. One of the two has to end in ::2, or libslirp does not answer neighbour solicitations for the
 * fe80::2 that it advertises as the router.
 *
 * TCP's urgent flag is cleared: libslirp before 4.9.2 reads far behind its buffer when the urgent pointer lies
 * (CVE-2026-9539).
 */
#include <stdlib.h>
#include <string.h>

#include "gateway.h"

#define DNS_PORT 53
#define TFTP_PORT 69
#define DHCP6_PORT 547
#define ROUTER_ADVERTISEMENT 134

static bool is_transport(const struct ip *ip) { return ip->protocol == PROTOCOL_TCP || ip->protocol == PROTOCOL_UDP; }

/* Changes 16 bits of an IP address and the checksums that cover them. */
static void rename_word(struct frame frame, const struct ip *ip, uint8_t *word, uint16_t after) {
  uint16_t before = get16(word);
  put16(word, after);
  if (ip->version == 4) {
    checksum_change(frame.data + ip->header + 10, before, after);
  }
  uint32_t place = ip->protocol == PROTOCOL_TCP ? 16 : 6;
  bool first = ip->version == 6 || (get16(frame.data + ip->header + 6) & 0x1fff) == 0;
  uint8_t *checksum = is_transport(ip) && first && ip->length >= place + 2 ? frame.data + ip->payload + place : NULL;
  if (checksum && (ip->protocol == PROTOCOL_TCP || get16(checksum) != 0)) {
    checksum_change(checksum, before, after);
  }
}

static void rename_ipv4(struct frame frame, const struct ip *ip, uint32_t offset, uint32_t address) {
  uint8_t *at = frame.data + ip->header + offset;
  rename_word(frame, ip, at, (uint16_t)(address >> 16));
  rename_word(frame, ip, at + 2, (uint16_t)address);
}

static void clear_urgent(struct frame frame, const struct ip *ip) {
  uint8_t *tcp = frame.data + ip->payload;
  if (ip->protocol != PROTOCOL_TCP || !(tcp[13] & 0x20)) {
    return;
  }
  uint16_t flags = get16(tcp + 12);
  put16(tcp + 12, flags & ~0x20u);
  checksum_change(tcp + 16, flags, get16(tcp + 12));
  checksum_change(tcp + 16, get16(tcp + 18), 0);
  put16(tcp + 18, 0);
}

static void filter_ipv4(struct gateway *gateway, struct frame frame, const struct ip *ip) {
  const struct config *config = &gateway->config;
  uint32_t first = ip->target >> 24;
  bool ours = ip->target == config->gateway;
  if (!config_assignable(config, ip->source) || first == 0 || first == 127 || first >= 224 ||
      (config_inside(config, ip->target) && !ours)) {
    COUNT(gateway, ignored);
    return;
  }
  struct frame whole;
  struct ip again;
  if (ip->fragment) {
    if (reassemble(gateway, frame, ip, &whole)) {
      if (frame_ip(whole, &again)) {
        filter_ipv4(gateway, whole, &again);
      } else {
        COUNT(gateway, droppedMalformed);
      }
      free(whole.data);
    }
    return;
  }
  if (!ours && !config->nat44) {
    refuse(gateway, frame, ip, REFUSE_PROHIBITED);
    return;
  }
  if (ours && (ip->target_port == TFTP_PORT || (ip->target_port == DNS_PORT && !config->dns))) {
    refuse(gateway, frame, ip, REFUSE_PORT);
    return;
  }
  if (ours && ip->target_port == DNS_PORT) {
    rename_ipv4(frame, ip, 16, config->network);
  }
  clear_urgent(frame, ip);
  nat_input(gateway, frame);
}

enum place { NOWHERE, GROUP, LINK, ROUTER, OUTSIDE }; /* where an IPv6 address is */

static enum place place_of(const struct config *config, const uint8_t *address) {
  static const uint8_t router[8] = {0, 0, 0, 0, 0, 0, 0, 1}, zero[10];
  if (address[0] == 0xff) {
    return GROUP;
  }
  if (address[0] == 0xfe && (address[1] & 0xc0) == 0x80) {
    return LINK;
  }
  if (memcmp(address, config->prefix6, 8) == 0) {
    return memcmp(address + 8, router, 8) == 0 ? ROUTER : NOWHERE;
  }
  return memcmp(address, zero, sizeof zero) == 0 ? NOWHERE : OUTSIDE; /* ::, ::1, ::ffff:127.0.0.1 are the host */
}

/* Neighbour discovery and ping, as far as the gateway answers them. */
static bool is_local_icmp6(const struct config *config, struct frame frame, const struct ip *ip, enum place target) {
  uint8_t type = ip->length >= 8 ? frame.data[ip->payload] : 0;
  return type == 133 || type == 135 || type == 136 ||
         (type == 128 && (target == LINK || memcmp(ip->target6, config->prefix6, 8) == 0));
}

static void filter_ipv6(struct gateway *gateway, struct frame frame, const struct ip *ip) {
  const struct config *config = &gateway->config;
  enum place target = place_of(config, ip->target6);
  bool inside = memcmp(ip->source6, config->prefix6, 8) == 0;
  if (!config->ipv6) {
    COUNT(gateway, ignored);
  } else if (ip->protocol == PROTOCOL_ICMP6 && is_local_icmp6(config, frame, ip, target)) {
    nat_input(gateway, frame);
  } else if (ip->protocol == PROTOCOL_UDP && ip->target_port == DHCP6_PORT && target == GROUP && config->dns) {
    nat_input(gateway, frame); /* stateless DHCPv6, which tells the name server */
  } else if (inside && target == OUTSIDE && (!config->nat66 || ip->protocol == PROTOCOL_ICMP6)) {
    refuse(gateway, frame, ip, REFUSE_PROHIBITED); /* libslirp does not ping in IPv6 */
  } else if (!inside || !is_transport(ip) || (target != OUTSIDE && target != ROUTER)) {
    COUNT(gateway, ignored);
  } else if (target == ROUTER && (ip->target_port == TFTP_PORT || ip->target_port == DHCP6_PORT ||
                                  (ip->target_port == DNS_PORT && !config->dns))) {
    refuse(gateway, frame, ip, REFUSE_PORT);
  } else {
    if (target == ROUTER && ip->target_port != DNS_PORT) {
      rename_word(frame, ip, frame.data + ip->header + 24 + 14, 2);
    }
    clear_urgent(frame, ip);
    nat_input(gateway, frame);
  }
}

void filter_input(struct gateway *gateway, struct frame frame, const struct ip *ip) {
  if (ip) {
    ip->version == 4 ? filter_ipv4(gateway, frame, ip) : filter_ipv6(gateway, frame, ip);
    return;
  }
  const uint8_t *arp = frame_at(frame, ETHERNET_HEADER, 28);
  if (arp && config_assignable(&gateway->config, get32(arp + 14))) {
    nat_input(gateway, frame);
  } else if (arp && get32(arp + 14) == 0) {
    arp_input(gateway, frame); /* a guest that probes whether the address is free */
  } else {
    COUNT(gateway, droppedMalformed);
  }
}

static bool is_host(const uint8_t *address) { /* the ::2 behind which libslirp hides the host */
  static const uint8_t host[8] = {0, 0, 0, 0, 0, 0, 0, 2};
  return memcmp(address + 8, host, 8) == 0;
}

/* libslirp's advertisement lacks the MTU, tells a name server that is switched off, and routes with NAT66 off. */
static void send_advertisement(struct gateway *gateway, struct frame frame, struct ip ip) {
  const struct config *config = &gateway->config;
  uint8_t answer[256];
  if (!config->advertise || ip.length < 16 || ip.payload + ip.length > sizeof answer - 8) {
    return;
  }
  frame.length = ip.payload + ip.length; /* what is behind it is padding */
  memcpy(answer, frame.data, ip.payload + 16);
  uint8_t *icmp = answer + ip.payload, *end = icmp + 16;
  const uint8_t *option;
  for (uint32_t at = ip.payload + 16; (option = frame_at(frame, at, 8)); at += option[1] * 8u) {
    if (option[1] == 0 || !frame_at(frame, at, option[1] * 8u)) {
      return;
    }
    if (option[0] != 25 || config->dns) {
      memcpy(end, option, option[1] * 8u);
      end += option[1] * 8u;
    }
  }
  if (config->mtu != 1500) {
    put32(end, 0x05010000);
    put32(end + 4, config->mtu);
    end += 8;
  }
  if (!config->nat66) {
    put16(icmp + 6, 0); /* not a router to anywhere */
  }
  ip.length = (uint32_t)(end - icmp);
  put16(answer + ip.header + 4, ip.length);
  put16(icmp + 2, 0);
  struct frame whole = {answer, (uint32_t)(end - answer)};
  put16(icmp + 2, ip_checksum(whole, &ip));
  gateway_output(gateway, answer, whole.length);
}

void filter_output(struct gateway *gateway, const uint8_t *data, uint32_t length) {
  const struct config *config = &gateway->config;
  uint16_t type = length < ETHERNET_HEADER + 20 ? 0 : get16(data + 12);
  uint8_t *sent = NULL;
  struct ip ip;
  if (type == TYPE_IPV6 && data[20] == PROTOCOL_ICMP6) {
    uint8_t copy[256];
    struct frame frame = {copy, length};
    if (length <= sizeof copy && memcpy(copy, data, length) && frame_ip(frame, &ip) && ip.length > 0 &&
        copy[ip.payload] == ROUTER_ADVERTISEMENT) {
      send_advertisement(gateway, frame, ip);
      return;
    }
  }
  sent = acks_output(gateway, data, length);
  if (!sent || (type != TYPE_IPV4 && type != TYPE_IPV6) ||
      (type == TYPE_IPV4 && get32(sent + 26) != config->network)) {
    return; /* nearly everything in IPv4 */
  }
  struct frame frame = {sent, length};
  if (frame_ip(frame, &ip)) {
    if (ip.version == 4) {
      rename_ipv4(frame, &ip, 12, config->gateway);
    } else if (is_transport(&ip) && memcmp(ip.source6, config->prefix6, 8) == 0 && is_host(ip.source6)) {
      rename_word(frame, &ip, sent + ip.header + 8 + 14, 1);
    }
  }
}
