// SPDX-License-Identifier: MIT
/* fuzz_list.c - lists from anywhere: every entry lies inside, what was read can be written, and control messages of any
 * content leave the gateway able to say so. */
#include <stdlib.h>

#include "gateway_fixture.h"

static void walk(const uint8_t *data, uint32_t length, struct vn_writer *copy, int level) {
  struct vn_reader reader;
  struct vn_entry entry;
  char text[16];
  vn_list_read(&reader, data, length);
  while (vn_list_next(&reader, &entry)) {
    if ((const uint8_t *)entry.key < data || entry.value + entry.length > data + length) abort();
    vn_entry_text(&entry, text, sizeof text);
    vn_entry_number(&entry);
    if (level == 0) vn_write_entry(copy, &entry);
    if (entry.type == VN_LIST && level < 8) walk(entry.value, entry.length, copy, level + 1);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct vn_writer copy = {0};
  if (vn_list_valid(data, (uint32_t)size)) {
    walk(data, (uint32_t)size, &copy, 0);
    if (!copy.failed && (copy.length != size || (size > 0 && memcmp(copy.data, data, size) != 0))) abort();
  } else {
    walk(data, (uint32_t)size, &copy, 0);
  }
  vn_writer_free(&copy);
  /* The same as a control message: the first one, and one to a gateway that works. */
  gateway_open(&g, -1, -1);
  control_message(&g, data, (uint32_t)size);
  gateway_close(&g);
  open_gateway(configuration(HOST));
  control_message(&g, data, (uint32_t)size);
  if (!g.ready || channel_pending(&g.control) == 0) abort();
  gateway_close(&g);
  return 0;
}
