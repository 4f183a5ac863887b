// SPDX-License-Identifier: MIT
/* offload_fixture.h - long frames of every shape, what is made of them, and a checksum that knows no tricks. */
#ifndef VN_TESTS_OFFLOAD_FIXTURE_H
#define VN_TESTS_OFFLOAD_FIXTURE_H

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "plane/headers.h"
#include "plane/offload.h"
#include "test.h"

enum { TCP4 = 1, UFO = 3, TCP6 = 4, USO = 5, ECN = 0x80 };

static uint8_t frame[65600], given[4 << 20];
static uint32_t length, offsets[4096], lengths[4096], count, used, data; /* data: where the payload begins */
static bool references;

static inline void give(void *to, const struct vn_packet *packet) {
  (void)to;
  CHECK(packet->header == NULL && !packet->framed && !packet->lasting);
  references |= packet->frame >= frame && packet->frame < frame + sizeof frame;
  if (count == 4096 || used + packet->length > sizeof given) abort();
  memcpy(given + used, packet->frame, packet->length);
  offsets[count] = used, lengths[count++] = packet->length;
  used += packet->length;
}

/* From memory of just that size, so that a sanitizer sees a look beyond it. */
static inline bool finish_frame(const uint8_t header[12]) {
  uint8_t *exact = malloc(length);
  memcpy(exact, frame, length);
  struct vn_packet packet = {.frame = exact, .length = length, .header = header, .lasting = false};
  count = used = 0;
  bool finished = vn_offload_finish(&packet, give, NULL);
  CHECK(memcmp(exact, frame, length) == 0 && (finished || count == 0));
  free(exact);
  return finished;
}

/* Frames: options and extension headers on request, a payload that can be told apart. */

struct shape {
  bool six, udp, tag;
  uint32_t ip_options, tcp_options, extensions, payload;
};

static inline void build(struct shape shape) {
  memset(frame, 0, 200);
  memcpy(frame, (uint8_t[]){2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}, 12);
  uint32_t at = 12;
  if (shape.tag) vn_put16(frame + 12, 0x8100), vn_put16(frame + 14, 7), at = 16;
  vn_put16(frame + at, shape.six ? 0x86dd : 0x0800);
  uint8_t *ip = frame + at + 2, *next = ip + (shape.six ? 40 : 20 + shape.ip_options);
  uint8_t protocol = shape.udp ? 17 : 6;
  uint32_t header = shape.udp ? 8 : 20 + shape.tcp_options, extended = shape.six ? shape.extensions : 0;
  if (shape.six) {
    ip[0] = 0x60, ip[6] = extended ? 60 : protocol, ip[7] = 64;
    vn_put16(ip + 4, extended * 8 + header + shape.payload);
    ip[8] = 0xfd, ip[23] = 1, ip[24] = 0xfd, ip[39] = 2;
    for (uint32_t i = 0; i < extended; i++, next += 8) next[0] = i + 1 < extended ? 60 : protocol, next[2] = 1, next[3] = 4;
  } else {
    ip[0] = (uint8_t)(0x45 + shape.ip_options / 4), ip[8] = 64, ip[9] = protocol;
    vn_put16(ip + 2, 20 + shape.ip_options + header + shape.payload);
    vn_put16(ip + 4, 0xfffe), ip[6] = 0x40; /* the identification runs over */
    vn_put32(ip + 12, 0x0a000001), vn_put32(ip + 16, 0x0a000002);
    memset(ip + 20, 1, shape.ip_options);
  }
  vn_put16(next, 40000), vn_put16(next + 2, shape.udp ? 9999 : 80);
  if (shape.udp) {
    vn_put16(next + 4, 8 + shape.payload);
  } else {
    vn_put32(next + 4, 0xffffff00); /* so does the sequence */
    vn_put32(next + 8, 5);
    next[12] = (uint8_t)(header / 4 << 4), next[13] = 0x80 | 0x10 | 8 | 1; /* CWR, ACK, PSH, FIN */
    vn_put16(next + 14, 500);
    memset(next + 20, 1, shape.tcp_options);
  }
  data = (uint32_t)(next - frame) + header;
  length = data + shape.payload;
  for (uint32_t i = 0; i < shape.payload; i++) frame[data + i] = (uint8_t)(i * 2654435761u >> 13);
}

static inline void gso(uint8_t header[12], uint8_t type, uint32_t size) {
  memset(header, 0, 12);
  header[0] = 1, header[1] = type, header[4] = (uint8_t)size, header[5] = (uint8_t)(size >> 8);
}

static inline uint32_t slow_sum(const uint8_t *bytes, uint32_t size) {
  uint32_t total = 0;
  for (uint32_t i = 0; i < size; i++) {
    total += i & 1 ? bytes[i] : (uint32_t)bytes[i] << 8;
    if (total > 0xffff) total -= 0xffff;
  }
  return total;
}

#endif
