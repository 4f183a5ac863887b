// SPDX-License-Identifier: MIT
/*
 * fuzz_offload.c - any virtio header before any frame: what is given has to be a frame that holds together and is not
 * longer
 * than it was, in no more pieces than the rules allow, and all pieces together have the payload that there was.
 */
#include <stdlib.h>
#include <string.h>

#include "plane/headers.h"
#include "plane/offload.h"

static const uint8_t *whole;
static uint32_t whole_length, given, payload, size;

static uint32_t little16(const uint8_t *at) { return at[0] | (uint32_t)at[1] << 8; }

static uint32_t slow_sum(const uint8_t *bytes, uint32_t length) {
  uint64_t total = 0;
  for (uint32_t i = 0; i < length; i++) total += i & 1 ? bytes[i] : (uint32_t)bytes[i] << 8;
  return (uint32_t)(total % 0xffff);
}

static uint32_t transport_header(const uint8_t *frame, const struct vn_headers *at) {
  return at->protocol == VN_UDP ? 8 : (frame[at->transport + 12] >> 4) * 4u;
}

static void take_plain(void *to, const struct vn_packet *packet) {
  (void)to;
  if (packet->length != whole_length || packet->header != NULL || packet->framed || given++ != 0) abort();
  uint32_t differ = 0;
  for (uint32_t i = 0; i < whole_length; i++) differ += packet->frame[i] != whole[i];
  if (differ > 2) abort();
}

static void take_segment(void *to, const struct vn_packet *packet) {
  struct vn_headers at;
  (void)to;
  given++;
  if (packet->length > whole_length || packet->header != NULL || packet->framed || packet->lasting) abort();
  if (!vn_headers_read(&at, packet->frame, packet->length) || at.version == 0 || at.transport == 0) abort();
  const uint8_t *ip = packet->frame + at.network;
  uint32_t header = transport_header(packet->frame, &at), length = at.end - at.transport;
  if (at.end != packet->length || header > length || length - header > size) abort();
  if (memcmp(packet->frame + at.transport + header, whole + at.transport + header + payload, length - header) != 0) abort();
  payload += length - header;
  if (at.version == 4 && slow_sum(ip, at.transport - at.network) != 0) abort();
  uint32_t sum = at.version == 4 ? slow_sum(ip + 12, 8) : slow_sum(ip + 8, 32);
  if ((sum + at.protocol + length + slow_sum(packet->frame + at.transport, length)) % 0xffff != 0) abort();
}

/* The first byte chooses whether a proper frame is laid under the bytes: a fuzzer finds lengths that fit only by luck.
 * */
static void improve(uint8_t *frame, uint32_t length, uint8_t choice) {
  if (!(choice & 1) || length < 120) return;
  bool six = choice & 2, udp = choice & 4;
  vn_put16(frame + 12, six ? 0x86dd : 0x0800);
  uint8_t *ip = frame + 14, *transport = ip + (six ? 40 : 20);
  if (six) ip[0] = 0x60, ip[6] = udp ? 17 : 6, vn_put16(ip + 4, choice & 8 ? 0 : length - 54);
  else ip[0] = 0x45, ip[9] = udp ? 17 : 6, vn_put16(ip + 2, choice & 8 ? 0 : length - 14), vn_put16(ip + 6, 0);
  if (!udp) transport[12] = (uint8_t)(0x50 | (transport[12] & 0xf0));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
  if (count < 13) return 0;
  uint32_t copies = bytes[0] >> 4 == 15 ? 40 : 1, length = (uint32_t)(count - 13) * copies;
  if (length > 70000) return 0;
  uint8_t *frame = malloc(length), *before = malloc(length), header[VN_VIRTIO_HEADER];
  memcpy(header, bytes + 1, sizeof header);
  for (uint32_t i = 0; i < copies; i++) memcpy(frame + i * (count - 13), bytes + 13, count - 13);
  improve(frame, length, bytes[0]);
  memcpy(before, frame, length);
  whole = frame, whole_length = length, given = payload = 0, size = little16(header + 4);
  bool cut = header[1] != 0;
  struct vn_packet packet = {.frame = frame, .length = length, .header = header};
  bool finished = vn_offload_finish(&packet, cut ? take_segment : take_plain, NULL);
  if ((given != 0) != finished || memcmp(frame, before, length) != 0) abort();
  struct vn_headers at;
  if (finished && cut) {
    if (!vn_headers_read(&at, frame, length) || payload != at.end - at.transport - transport_header(frame, &at)) abort();
    if (given > 128 && given > length / 32 + 1) abort();
  }
  free(frame), free(before);
  return 0;
}
