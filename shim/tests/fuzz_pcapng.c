// SPDX-License-Identifier: MIT
/* fuzz_pcapng.c - any file, shown in pieces of any size: every step goes on, asks for a bounded piece, or ends. */
#include <stdlib.h>
#include <string.h>

#include "../plane/pcapng.c"

static void check(enum vn_capture_kind kind, const struct vn_capture_item *item, const uint8_t *shown, size_t length) {
  switch (kind) {
    case VN_CAPTURE_MORE:
      if (item->need <= length || item->need > VN_CAPTURE_WINDOW) abort();
      break;
    case VN_CAPTURE_FRAME:
      if (item->length < VN_CAPTURE_LEAST || item->length > VN_CAPTURE_MOST) abort();
      if (item->frame < shown || item->frame + item->length > shown + length) abort();
      if (item->consume < item->length) abort();
      break;
    case VN_CAPTURE_BROKEN: break;
    default:
      if (item->consume < 4) abort();
  }
}

/* The first byte is how much is shown at first. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 1) return 0;
  size_t piece = data[0] + 1u, at = 0;
  static struct vn_capture capture;
  memset(&capture, 0, sizeof capture);
  data++, size--;
  while (at < size) {
    size_t length = size - at < piece ? size - at : piece;
    uint8_t *shown = malloc(length); /* so that a read beyond it is seen */
    memcpy(shown, data + at, length);
    struct vn_capture_item item;
    enum vn_capture_kind kind = vn_capture_next(&capture, shown, length, &item);
    check(kind, &item, shown, length);
    free(shown);
    if (kind == VN_CAPTURE_BROKEN) return 0;
    if (kind == VN_CAPTURE_MORE) {
      if (item.need > size - at) return 0;
      piece = item.need;
    } else {
      if (item.consume > size - at) return 0;
      at += (size_t)item.consume;
    }
  }
  return 0;
}
