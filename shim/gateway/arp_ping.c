// SPDX-License-Identifier: MIT
/* arp_ping.c - what the gateway answers by itself: ARP and ping for its address, and refusals. */
#include <string.h>

#include "gateway.h"

void arp_input(struct gateway *gateway, struct frame frame) {
  static const uint8_t ethernet_ipv4_request[] = {0, 1, 8, 0, 6, 4, 0, 1};
  const uint8_t *arp = frame_at(frame, ETHERNET_HEADER, 28);
  if (!arp || memcmp(arp, ethernet_ipv4_request, 8) != 0 || (arp[8] & 1)) {
    COUNT(gateway, droppedMalformed);
    return;
  }
  if (get32(arp + 24) != gateway->config.gateway) {
    COUNT(gateway, ignored);
    return;
  }
  uint8_t answer[60] = {0};
  uint8_t *at = write_ethernet(answer, arp + 8, gateway->mac, TYPE_ARP);
  memcpy(at, ethernet_ipv4_request, 7);
  at[7] = 2;
  memcpy(at + 8, gateway->mac, 6);
  put32(at + 14, gateway->config.gateway);
  memcpy(at + 18, arp + 8, 10); /* to whoever asked: MAC and IPv4 address */
  gateway_output(gateway, answer, sizeof answer);
}

/* The request becomes the answer where it is: only a few fields change places. */
void ping_input(struct gateway *gateway, struct frame frame, const struct ip *ip) {
  uint8_t *header = frame.data + ip->header, *icmp = frame.data + ip->payload;
  if (ip->version != 4 || ip->protocol != PROTOCOL_ICMP || ip->target != gateway->config.gateway || ip->fragment ||
      !config_assignable(&gateway->config, ip->source)) {
    COUNT(gateway, ignored);
    return;
  }
  if (ip->length < 8 || sum_finish(sum_bytes(icmp, ip->length, 0)) != 0) {
    COUNT(gateway, droppedMalformed);
    return;
  }
  if (icmp[0] != 8) {
    COUNT(gateway, ignored);
    return;
  }
  memcpy(frame.data, frame.data + 6, 6);
  memcpy(frame.data + 6, gateway->mac, 6);
  put32(header + 12, ip->target);
  put32(header + 16, ip->source);
  uint16_t life = get16(header + 8);
  header[8] = 64;
  checksum_change(header + 10, life, get16(header + 8));
  icmp[0] = 0;
  put16(icmp + 2, 0);
  put16(icmp + 2, sum_finish(sum_bytes(icmp, ip->length, 0)));
  gateway_output(gateway, frame.data, ip->payload + ip->length);
}

static bool may_refuse(const struct gateway *gateway, struct frame frame, const struct ip *ip) {
  if ((frame.data[0] & 1) || (frame.data[6] & 1) || ip->fragment) {
    return false;
  }
  uint8_t type = ip->length > 0 ? frame.data[ip->payload] : 0;
  if (ip->version == 4) { /* never an error about an error */
    return config_assignable(&gateway->config, ip->source) && (ip->protocol != PROTOCOL_ICMP || type == 8);
  }
  return memcmp(ip->source6, gateway->config.prefix6, 8) == 0 && (ip->protocol != PROTOCOL_ICMP6 || type >= 128);
}

void refuse(struct gateway *gateway, struct frame frame, const struct ip *ip, enum refusal why) {
  COUNT(gateway, refused);
  if (!may_refuse(gateway, frame, ip)) {
    return;
  }
  uint8_t answer[ETHERNET_HEADER + 40 + 8 + 60 + 8] = {0}; /* the refused header, and the ports behind it */
  uint32_t quoted = ip->payload - ip->header + (ip->length < 8 ? ip->length : 8);
  bool ipv4 = ip->version == 4;
  uint8_t *at = write_ethernet(answer, frame.data + 6, frame.data, ipv4 ? TYPE_IPV4 : TYPE_IPV6);
  struct ip header = {.version = ip->version, .header = ETHERNET_HEADER, .length = 8 + quoted};
  if (ipv4) {
    at = write_ipv4(at, PROTOCOL_ICMP, gateway->config.gateway, ip->source, header.length);
    at[0] = 3;
    at[1] = why == REFUSE_PORT ? 3 : 13;
  } else {
    at[0] = 0x60;
    put16(at + 4, header.length);
    at[6] = header.protocol = PROTOCOL_ICMP6;
    at[7] = 64;
    memcpy(at + 8, gateway->config.prefix6, 16);
    at[23] = 1;
    memcpy(at + 24, ip->source6, 16);
    at += 40;
    at[0] = 1;
    at[1] = why == REFUSE_PORT ? 4 : 1;
  }
  memcpy(at + 8, frame.data + ip->header, quoted);
  header.payload = (uint32_t)(at - answer);
  struct frame whole = {answer, header.payload + header.length};
  put16(at + 2, ipv4 ? sum_finish(sum_bytes(at, header.length, 0)) : ip_checksum(whole, &header));
  gateway_output(gateway, answer, whole.length);
}
