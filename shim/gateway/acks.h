// SPDX-License-Identifier: MIT
/* acks.h - the last TCP segment of a few connections, for acks.c. */
#ifndef VN_GATEWAY_ACKS_H
#define VN_GATEWAY_ACKS_H

#include <stdbool.h>
#include <stdint.h>

#define ACKS 8       /* connections; a turn seldom has frames for more, and one that is forgotten loses nothing else */
#define ACKS_KEY 50u /* an Ethernet header, two IPv6 addresses, two ports */

struct ack {
  uint8_t key[ACKS_KEY]; /* all zero: a place that was never used */
  uint32_t sequence, number;
  uint32_t at, length; /* where the frame waits in channel.out, and how long it is */
  uint64_t turn;       /* channel.turn then: in another one the frame is no longer there */
  bool open;           /* it may be replaced */
};

struct acks {
  struct ack last[ACKS];
  uint32_t next; /* the place that the next new connection gets */
};

#endif
