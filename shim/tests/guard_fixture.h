// SPDX-License-Identifier: MIT
/* guard_fixture.h - a network without a thread and two ports on it, frames, and a guard's word on them: the test says
 * what
 * time it is. */
#ifndef VN_TESTS_GUARD_FIXTURE_H
#define VN_TESTS_GUARD_FIXTURE_H

#include <stdio.h>
#include <string.h>

#include "core/list.h"
#include "embedded/facts.h"
#include "plane/binding.h"
#include "plane/guard.h"
#include "plane/headers.h"
#include "test.h"

#define SECOND 1000000000ull

static struct vn_network *network;
static struct vn_net_port ports[2], *p = &ports[0], *q = &ports[1];
static uint8_t frame[2048];
static uint32_t length;
static const uint8_t ours[6] = {0x52, 0x54, 0, 0, 0, 1}, theirs[6] = {0x52, 0x54, 0, 0, 0, 2}, group[6] = {1, 0, 0x5e, 0, 0, 1};

static inline void begin(bool dhcp) {
  network = aligned_alloc(_Alignof(struct vn_network), sizeof *network);
  memset(network, 0, sizeof *network);
  vn_lock_init(&network->lock);
  network->facts = vn_facts_new();
  network->now_ns = 5 * SECOND;
  network->options.dhcp = dhcp;
  network->options.bits = dhcp ? 24 : 0;
  network->options.base = 0xc0a84000, network->options.gateway = 0xc0a84001;
  network->options.has_prefix = network->options.gateway_needed = true;
  memcpy(network->options.prefix, (uint8_t[]){0xfd, 0, 0, 0, 0, 0, 0, 1}, 8);
  memset(ports, 0, sizeof ports);
  p->network = q->network = network;
  network->ports = p;
  p->next = q;
}

static inline void guard(struct vn_net_port *port, struct vn_guard_options options) {
  vn_guard_free(port->guard);
  port->guard = vn_guard_new(&options);
}

static inline void end(void) {
  vn_guard_free(p->guard), vn_guard_free(q->guard);
  vn_facts_free(network->facts);
  vn_lock_destroy(&network->lock);
  free(network);
}

static inline void lease(const uint8_t mac[6], const char *address, uint32_t change) {
  struct vn_writer message = {.data = NULL};
  vn_write_number(&message, "change", change);
  vn_write_bytes(&message, "mac", mac, 6);
  vn_write_text(&message, "address", address);
  vn_facts_lease(network, message.data, message.length);
  vn_writer_free(&message);
}

static inline bool passes_with(struct vn_net_port *port, const uint8_t *header) {
  uint8_t *exact = malloc(length); /* so that a sanitizer sees a look beyond it */
  memcpy(exact, frame, length);
  struct vn_packet packet = {.frame = exact, .length = length, .header = header};
  bool allowed = vn_guard_allows(port, &packet);
  free(exact);
  return allowed;
}

static inline bool passes(struct vn_net_port *port) { return passes_with(port, NULL); }
static inline bool refused(struct vn_net_port *port, enum vn_drop cause) {
  uint64_t before = vn_counted(&port->drops[cause]), all = vn_counted(&network->drops[cause]);
  return !passes(port) && vn_counted(&port->drops[cause]) == before + 1 && vn_counted(&network->drops[cause]) == all + 1;
}
static inline bool spoofed(struct vn_net_port *port) { return refused(port, VN_DROP_SPOOFED); }

/* Frames. */

static inline uint8_t *ethernet(const uint8_t from[6], uint32_t type, bool tag) {
  memset(frame, 0, sizeof frame);
  memcpy(frame, theirs, 6);
  memcpy(frame + 6, from, 6);
  if (tag) vn_put16(frame + 12, 0x8100);
  vn_put16(frame + (tag ? 16 : 12), type);
  length = tag ? 18 : 14;
  return frame + length;
}

static inline uint8_t *ip4(const uint8_t from[6], uint32_t source, uint8_t protocol, uint32_t payload) {
  uint8_t *ip = ethernet(from, VN_TYPE_IPV4, false);
  ip[0] = 0x45, ip[8] = 64, ip[9] = protocol;
  vn_put16(ip + 2, 20 + payload);
  vn_put32(ip + 12, source), vn_put32(ip + 16, 0xc0a84001);
  length += 20 + payload;
  return ip + 20;
}

static inline uint8_t *udp4(const uint8_t from[6], uint32_t source, uint32_t source_port, uint32_t port) {
  uint8_t *udp = ip4(from, source, VN_UDP, 8 + 300);
  vn_put16(udp, source_port), vn_put16(udp + 2, port), vn_put16(udp + 4, 308);
  memcpy(udp + 8 + 28, from, 6); /* chaddr, should it be DHCP */
  return udp;
}

static inline void arp(uint32_t operation, const uint8_t from[6], const uint8_t sender[6], uint32_t address) {
  uint8_t *at = ethernet(from, VN_TYPE_ARP, false);
  memcpy(at, (uint8_t[]){0, 1, 8, 0, 6, 4}, 6);
  vn_put16(at + 6, operation);
  memcpy(at + 8, sender, 6);
  vn_put32(at + 14, address);
  length += 28;
}

static const uint8_t link6[16] = {0xfe, 0x80, [15] = 9}, inside6[16] = {0xfd, 0, 0, 0, 0, 0, 0, 1, [15] = 9},
                     outside6[16] = {0x20, 1, [15] = 9}, none6[16];

static inline uint8_t *ip6(const uint8_t source[16], uint8_t protocol, uint32_t payload) {
  uint8_t *ip = ethernet(ours, VN_TYPE_IPV6, false);
  ip[0] = 0x60, ip[6] = protocol, ip[7] = 255;
  vn_put16(ip + 4, payload);
  memcpy(ip + 8, source, 16);
  ip[24] = 0xff, ip[25] = 2;
  length += 40 + payload;
  return ip + 40;
}

static inline uint8_t *discovery(const uint8_t source[16], uint8_t type, const uint8_t target[16], const uint8_t link[6]) {
  uint8_t *at = ip6(source, VN_ICMP6, 32);
  at[0] = type;
  memcpy(at + 8, target, 16);
  at[24] = type == 136 ? 2 : 1, at[25] = 1;
  memcpy(at + 26, link, 6);
  return at;
}

static const struct vn_guard_options anti_spoof = {.anti_spoof = true};

#endif
