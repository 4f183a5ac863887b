// SPDX-License-Identifier: MIT
/*
 * reassemble.c - IPv4 fragments become whole packets before libslirp sees them.
 *
 * Theory of operation. libslirp keeps fragments for 30 s without any limit, and Debian's build of 4.7 crashes when the
 * last fragment of a packet comes first (the compiler takes two views of its list for different objects). Here a few
 * packets at a time are put together, and only in order, which is how guests send them and a switch keeps them: a
 * fragment that is not the next one is dropped, as is the packet that waited longest when all places are taken.
 */
#include <stdlib.h>
#include <string.h>

#include "gateway.h"

#define WHOLE (ETHERNET_HEADER + 65535)

static struct partial *find(struct gateway *gateway, const uint8_t *header) {
  for (uint32_t i = 0; i < PARTIALS; i++) {
    struct partial *partial = &gateway->partials[i];
    const uint8_t *first = partial->data ? partial->data + ETHERNET_HEADER : NULL;
    /* identification, protocol, and both addresses */
    if (first && memcmp(first + 4, header + 4, 2) == 0 && first[9] == header[9] &&
        memcmp(first + 12, header + 12, 8) == 0) {
      return partial;
    }
  }
  return NULL;
}

void reassemble_drop(struct partial *partial) {
  free(partial->data);
  partial->data = NULL;
}

static struct partial *oldest(struct gateway *gateway) {
  struct partial *best = &gateway->partials[0];
  for (uint32_t i = 0; i < PARTIALS; i++) {
    struct partial *partial = &gateway->partials[i];
    if (!partial->data) {
      return partial;
    }
    best = partial->since < best->since ? partial : best;
  }
  return best;
}

bool reassemble(struct gateway *gateway, struct frame frame, const struct ip *ip, struct frame *whole) {
  uint8_t *header = frame.data + ip->header;
  uint32_t place = get16(header + 6), offset = (place & 0x1fff) * 8;
  struct partial *partial = find(gateway, header);
  if (offset == 0) {
    partial = partial ? partial : oldest(gateway);
    reassemble_drop(partial);
    *partial = (struct partial){malloc(WHOLE), 0, gateway->now};
    if (partial->data) {
      memcpy(partial->data, frame.data, ip->payload);
      partial->length = ip->payload;
    }
  }
  uint32_t start = partial && partial->data ? ETHERNET_HEADER + (partial->data[ETHERNET_HEADER] & 15) * 4u : 0;
  if (start == 0 || partial->length - start != offset || ip->length > WHOLE - partial->length) {
    COUNT(gateway, droppedFragments);
    return false;
  }
  memcpy(partial->data + partial->length, frame.data + ip->payload, ip->length);
  partial->length += ip->length;
  if (place & 0x2000) {
    return false; /* more to come */
  }
  *whole = (struct frame){partial->data, partial->length};
  header = whole->data + ETHERNET_HEADER;
  partial->data = NULL;
  put16(header + 2, whole->length - ETHERNET_HEADER);
  put16(header + 6, 0);
  put16(header + 10, 0);
  put16(header + 10, sum_finish(sum_bytes(header, start - ETHERNET_HEADER, 0)));
  return true;
}
