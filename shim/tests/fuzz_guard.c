// SPDX-License-Identifier: MIT
/*
 * fuzz_guard.c - any frames through a port that is bound to its addresses, beside another one: whatever is let through
 * has
 * one of its own in the places where a receiver looks first. The network around it is a picture of one.
 */
#include <stdlib.h>
#include <string.h>

#include "embedded/facts.h"
#include "plane/binding.h"
#include "plane/guard.h"
#include "plane/headers.h"
#include "plane/plane.h"

enum { LEASED = 0xc0a84009 };

static struct vn_network *network;
static uint64_t dropped, events;

void vn_network_drop(struct vn_net_port *port, enum vn_drop cause) { (void)port, (void)cause, dropped++; }
void vn_plane_event(struct vn_net_port *port, const char *type, const uint8_t mac[6], const char *detail) {
  (void)port, (void)type, (void)mac;
  if (detail == NULL || memchr(detail, 0, 64) == NULL) abort();
  events++;
}
uint32_t vn_facts_addresses(struct vn_network *of, const uint8_t mac[6], uint32_t *out, uint32_t most) {
  (void)of, (void)mac;
  out[0] = LEASED;
  return most ? 1 : 0;
}

static void check(const struct vn_net_port *port, const uint8_t *frame, uint32_t length) {
  static uint32_t own;
  const struct vn_binding *binding = vn_guard_binding(port->guard);
  if (length < 14) return;
  if (memcmp(frame + 6, binding->mac, 6) != 0 || (frame[6] & 1)) abort();
  uint32_t type = vn_get16(frame + 12), at = 14;
  if (type == 0x8100) type = vn_get16(frame + 16), at = 18; /* the guard has seen that it is there */
  if (type == 0x8100) abort();
  const uint8_t *ip = frame + at;
  if (type == 0x0806 && memcmp(ip + 8, binding->mac, 6) != 0) abort();
  uint32_t source = type == 0x0806 ? vn_get32(ip + 14) : type == 0x0800 ? vn_get32(ip + 12) : 0;
  if (source != 0 && network->options.dhcp && source != LEASED) abort();
  if (source != 0 && !network->options.dhcp) {
    own = source >> 16 == 0xa9fe ? binding->own_local : binding->own;
    if (source != own && source != LEASED) abort();
  }
  if (type == 0x86dd && ip[6] == 58 && (ip[40] == 134 || ip[40] == 137)) abort();
  if (type == 0x86dd && ip[8] == 0xff) abort();
}

static void put_in(struct vn_net_port *port, const uint8_t *bytes, uint32_t length, const uint8_t *header) {
  uint8_t *frame = malloc(length);
  memcpy(frame, bytes, length);
  struct vn_packet packet = {.frame = frame, .length = length, .header = header};
  uint64_t before = dropped;
  bool allowed = vn_guard_allows(port, &packet);
  if (allowed != (dropped == before)) abort();
  if (allowed) check(port, frame, length);
  free(frame);
}

/* A byte of options, a virtio header, then frames: two bytes of length and port, and a time that passes. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
  if (count < 13) return 0;
  const uint8_t *header = bytes + 1, *end = bytes + count;
  struct vn_guard_options options = {.anti_spoof = true};
  struct vn_net_port ports[2];
  memset(ports, 0, sizeof ports);
  if (network == NULL) network = aligned_alloc(_Alignof(struct vn_network), sizeof *network);
  memset(network, 0, sizeof *network);
  network->options.dhcp = bytes[0] & 1;
  network->options.bits = 24;
  network->options.has_prefix = network->options.gateway_needed = bytes[0] & 2;
  network->options.prefix[0] = 0xfd;
  if (bytes[0] & 4) options.bytes_per_second = 1000, options.burst_bytes = 1;
  if (bytes[0] & 8) options.broadcasts_per_second = 3;
  network->ports = &ports[0], ports[0].next = &ports[1];
  for (int i = 0; i < 2; i++) ports[i].network = network, ports[i].guard = vn_guard_new(&options);
  uint64_t told = events;
  for (bytes += 13; end - bytes >= 2;) {
    uint32_t length = vn_get16(bytes) & 0xfff, choice = bytes[0] >> 4;
    bytes += 2;
    if (length > end - bytes) length = (uint32_t)(end - bytes);
    network->now_ns += 1000000;
    put_in(&ports[choice & 1], bytes, length, choice & 2 ? header : NULL);
    bytes += length;
  }
  if (events - told > 4 * (1 + network->now_ns / 1000000000)) abort();
  for (int i = 0; i < 2; i++) vn_guard_free(ports[i].guard);
  return 0;
}
