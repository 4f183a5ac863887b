// SPDX-License-Identifier: MIT
/* fuzz_frame.c - any frame through the whole input path of host mode, and through the reassembly of shared mode. */
#include <stdlib.h>

#include "gateway_fixture.h"

static void set_up(void) {
  if (!g.configured) open_gateway(configuration(HOST));
}

static void put_together(uint8_t *data, uint32_t length) {
  struct frame frame = {data, length}, whole;
  struct ip ip;
  if (!frame_ip(frame, &ip) || ip.version != 4 || !ip.fragment || !reassemble(&g, frame, &ip, &whole)) return;
  if (whole.length > 14 + 65535) abort();
  if (frame_ip(whole, &ip) && ip.fragment) abort();
  free(whole.data);
}

/* The first byte chooses a correct IPv4 header checksum, the addresses of the gateway, and the entrance. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 1 || size > 4000) return 0;
  uint8_t choice = data[0], *copy = malloc(size);
  uint32_t length = (uint32_t)size - 1;
  memcpy(copy, data + 1, length);
  set_up();
  if ((choice & 1) && length >= 14) memcpy(copy, g.mac, 6);
  if ((choice & 2) && length >= 34) put32(copy + 30, g.config.gateway), put32(copy + 26, g.config.gateway + 4);
  uint32_t header = length >= 34 ? (copy[14] & 15) * 4u : 0;
  if ((choice & 4) && header >= 20 && header + 14 <= length) {
    put16(copy + 24, 0);
    put16(copy + 24, sum_finish(sum_bytes(copy + 14, header, 0)));
  }
  choice & 8 ? put_together(copy, length) : put_in(copy, length);
  forget(&g.frames);
  forget(&g.control);
  free(copy);
  return 0;
}
