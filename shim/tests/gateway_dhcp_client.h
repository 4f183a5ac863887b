// SPDX-License-Identifier: MIT
/* gateway_dhcp_client.h - DHCP clients by hand: packets with the options of one's choice, and what the answers say. */
#ifndef VN_GATEWAY_DHCP_CLIENT_H
#define VN_GATEWAY_DHCP_CLIENT_H

#include "gateway_fixture.h"
#include "test.h"

#define NET 0xc0a83200u
#define US 1u /* the gateway is .1 */
enum { DISCOVER = 1, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM };

static const uint8_t ann[6] = {2, 0, 0, 0, 0, 1}, bob[6] = {2, 0, 0, 0, 0, 2}, eve[6] = {2, 0, 0, 0, 0, 3},
                     max[6] = {2, 0, 0, 0, 0, 9}; /* has a reservation for .77 */

struct packet {
  uint8_t bytes[700];
  uint32_t length;
};

static inline void option(struct packet *packet, uint8_t code, const void *value, uint8_t length) {
  uint8_t *at = packet->bytes + packet->length;
  at[0] = code;
  at[1] = length;
  memcpy(at + 2, value, length);
  packet->length += 2u + length;
}

static inline void option_address(struct packet *packet, uint8_t code, uint32_t number) {
  uint8_t bytes[4];
  put32(bytes, number > 255 ? number : NET + number);
  if (number) option(packet, code, bytes, 4);
}

static inline struct packet request(const uint8_t *mac, uint8_t type) {
  struct packet packet = {.length = 42 + 240};
  uint8_t *bootp = packet.bytes + 42;
  memset(packet.bytes, 255, 6);
  memcpy(packet.bytes + 6, mac, 6);
  bootp[0] = bootp[1] = 1;
  bootp[2] = 6;
  put32(bootp + 4, 0x12345678);
  memcpy(bootp + 28, mac, 6);
  put32(bootp + 236, 0x63825363);
  option(&packet, 53, &type, 1);
  return packet;
}

/* Closes the packet with the right lengths and puts it in. */
static inline void deliver(struct packet *packet) {
  uint8_t *udp = packet->bytes + 34;
  packet->bytes[packet->length++] = 255;
  put16(packet->bytes + 12, TYPE_IPV4);
  write_ipv4(packet->bytes + 14, PROTOCOL_UDP, get32(packet->bytes + 42 + 12), UINT32_MAX, packet->length - 34);
  put16(udp, 68), put16(udp + 2, 67);
  put16(udp + 4, packet->length - 34);
  put16(udp + 6, 0);
  put_in(packet->bytes, packet->length);
}

/* The value of an option of an answer, or NULL. */
static const uint8_t *value(struct frame frame, uint8_t code, uint8_t *length) {
  for (uint32_t at = 42 + 240; at < frame.length && frame.data[at] != 255; at += 2u + frame.data[at + 1]) {
    if (frame.data[at] == code) {
      *length = frame.data[at + 1];
      return frame.data + at + 2;
    }
  }
  return NULL;
}

static inline uint32_t number(struct frame frame, uint8_t code) {
  uint8_t length;
  const uint8_t *at = value(frame, code, &length);
  return !at ? 0 : length == 4 ? get32(at) : length == 2 ? get16(at) : at[0];
}

/* Everything every answer must have. */
static inline bool well_formed(struct frame frame) {
  struct ip ip;
  const uint8_t *bootp = frame.data + 42;
  return frame_ip(frame, &ip) && ip.source == NET + US && ip.source_port == 67 && ip.target_port == 68 &&
         ip_checksum(frame, &ip) == 0 && frame.length >= 42 + 300 && bootp[0] == 2 &&
         get32(bootp + 4) == 0x12345678 && number(frame, 54) == NET + US;
}

static inline struct frame answer(void) {
  struct frame frame = take(&g.frames);
  if (frame.data) CHECK(well_formed(frame));
  return frame;
}

static inline uint32_t yiaddr(struct frame frame) {
  uint32_t address = get32(frame.data + 42 + 16);
  return address ? address - NET : 0;
}

static inline void begin(unsigned mode) {
  struct vn_writer writer = configuration(mode);
  add_reservation(&writer, max, "192.168.50.77");
  open_gateway(writer);
  CHECK(g.configured);
  forget(&g.control);
}

static inline struct frame ask(struct packet *packet) {
  forget(&g.frames);
  deliver(packet);
  return answer();
}

#endif
