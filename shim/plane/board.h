// SPDX-License-Identifier: MIT
/*
 * board.h - a script's hold on a network's switch: the VN_SWITCH object, its statistics and its events.
 *
 * VN_GET_STATE: "status" as an interface's. VN_GET_STATS:
 *   "frames", "bytes", "turns", "wakes", "flooded", "addresses" (in the table), "addressesMost", and by cause
 *   "droppedFull", "droppedTooLong", "droppedTooShort", "droppedOffload", "droppedBad", "droppedSpoofed", "droppedRate",
 *   "droppedBroadcast", "droppedFiltered", "droppedVerdict", "droppedIsolated"; then a list "port" for each port:
 *   "number", "kind", "label" (texts), "endpoint" (number: the endpoint's serial, 0: none), "isolated", "framesIn",
 *   "bytesIn", "framesOut", "bytesOut", "reads", "writes", "wakes", "queued", "addresses", "flooded" and the same causes;
 *   and its "mac" if it has one.
 * VN_GET_EVENTS: lists "event", each told once: "type", "port" (number), "kind", "label", "mac" (6 bytes), "detail"
 * (text),
 *   "time" (ns since 1970); "lost" (number) when the queue of 256 ran over: so many older ones are missing.
 *
 * Everything in them can be read at any time from any thread: counters are atomic, the list of ports is read under the
 * network's lock, which the network's thread takes only to change it.
 */
#ifndef VN_PLANE_BOARD_H
#define VN_PLANE_BOARD_H

#include "plane.h"

enum { VN_BOARD_EVENTS = 256 };

struct vn_board_event {
  const char *type, *kind;
  uint16_t port;
  bool has_mac;
  uint8_t mac[6];
  char label[32], detail[64];
  uint64_t time_ns;
};

struct vn_board {
  struct vn_object object;    /* first */
  struct vn_network *network; /* counted */
  struct vn_board *next;
  bool own;                   /* the network was made for it and ends with it */
  struct vn_object *hidden;   /* of a joined network's: the interface there, which no script has */
  bool linked, ended;         /* linked: the network's thread's; ended: under the network's lock */
  vn_atomic_u32 status;       /* VN_OK or why it ended */
  vn_atomic_u32 ending;
  struct vn_command command;
  /* Under the network's lock. Of too many events the oldest are lost. */
  uint32_t first, count, lost;
  bool told; /* VN_READY_EVENT was signalled, and nobody has read since */
  struct vn_board_event events[VN_BOARD_EVENTS];
};

uint32_t vn_board_max_frame(const struct vn_network *network); /* what passes without a virtio header */
uint32_t vn_board_run(struct vn_job *job); /* VN_OP_STOP and VN_OP_PORT_SET of a board; blocks */
uint32_t vn_board_get(struct vn_object *object, uint32_t what, struct vn_writer *out);
/* The network's thread. */
void vn_boards_end(struct vn_network *network, uint32_t status);
void vn_board_tell(struct vn_board *board, const struct vn_board_event *event);

/* Any thread: a counted reference is needed. */
void vn_board_stats(struct vn_network *network, struct vn_writer *out);

#endif
