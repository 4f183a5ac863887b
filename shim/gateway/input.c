// SPDX-License-Identifier: MIT
/* input.c - where a frame from the network goes. */
#include <string.h>

#include "gateway.h"
#include "protocol.h"

/* Is it for the gateway, or for everybody? libslirp does not look: it would route what a switch floods. */
static bool is_for_us(const struct gateway *gateway, struct frame frame) {
  static const uint8_t ipv6[] = {0x52, 0x56}; /* libslirp's, followed by the end of the IPv6 address */
  return (frame.data[0] & 1) || memcmp(frame.data, gateway->mac, 6) == 0 ||
         (gateway->nat && memcmp(frame.data, ipv6, 2) == 0);
}

static bool is_dhcp(const struct config *config, const struct ip *ip) {
  return ip->version == 4 && ip->protocol == PROTOCOL_UDP && ip->target_port == 67 &&
         (ip->target == UINT32_MAX || ip->target == config->gateway ||
          ip->target == (config->network | ~config->mask));
}

void gateway_input(struct gateway *gateway, struct frame frame) {
  if (!gateway->configured) {
    return;
  }
  COUNT(gateway, framesIn);
  gateway->counters[count_bytesIn] += frame.length;
  if (frame.length < ETHERNET_HEADER) {
    COUNT(gateway, droppedRunt);
    return;
  }
  if (frame.length > ETHERNET_HEADER + gateway->config.mtu) {
    COUNT(gateway, droppedOversize);
    return;
  }
  uint16_t type = get16(frame.data + 12);
  if (!is_for_us(gateway, frame) || (type != TYPE_ARP && type != TYPE_IPV4 && type != TYPE_IPV6)) {
    COUNT(gateway, ignored);
    return;
  }
  if (type == TYPE_ARP) {
    gateway->nat ? filter_input(gateway, frame, NULL) : arp_input(gateway, frame);
    return;
  }
  struct ip ip;
  if (!frame_ip(frame, &ip)) {
    COUNT(gateway, droppedMalformed);
  } else if (is_dhcp(&gateway->config, &ip)) {
    if (gateway->config.dhcp) {
      dhcp_input(gateway, frame, &ip);
    } else {
      COUNT(gateway, ignored);
    }
  } else if (gateway->nat) {
    filter_input(gateway, frame, &ip);
  } else {
    ping_input(gateway, frame, &ip);
  }
}

uint8_t *gateway_output(struct gateway *gateway, const uint8_t *data, uint32_t length) {
  uint8_t *room = channel_reserve(&gateway->frames, length);
  if (room) {
    memcpy(room, data, length);
    COUNT(gateway, framesOut);
    gateway->counters[count_bytesOut] += length;
  }
  return room;
}
