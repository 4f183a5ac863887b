// SPDX-License-Identifier: MIT
/*
 * vmnet_queue.c - the frames that wait for vmnet_read(): records of a length and its bytes, one after the other in a
 * ring.
 *
 * Theory of operation. A record never wraps: what is left before the end of the ring is marked as waste and counts as
 * used until the reader comes by. A ring that runs empty begins at its start again, so a reader that keeps up stays
 * within the same few cache lines. Memory is only touched as far as frames went.
 */
#include <stdlib.h>
#include <string.h>

#include "vmnet_double.h"

#define WASTE UINT32_MAX
#define RING_MOST (16u << 20) /* of 64 KiB frames fewer than queue= says fit */

static size_t record(uint32_t length) { return ((size_t)length + 4 + 7) & ~(size_t)7; }

void vd_queue_open(struct vmnet_interface *nic) {
  struct vd_queue *queue = &nic->queue;
  long limit = double_number("queue");
  queue->limit = limit > 0 ? (uint32_t)limit : 1;
  queue->capacity = record(nic->most) * (queue->limit + 1u);
  if (queue->capacity > RING_MOST) queue->capacity = RING_MOST;
  queue->bytes = malloc(queue->capacity);
  if (queue->bytes == NULL) double_die("no memory");
  queue->dry = true;
}

void vd_queue_close(struct vd_queue *queue) {
  free(queue->bytes);
  *queue = (struct vd_queue){.bytes = NULL};
}

bool vd_push(struct vd_queue *queue, const uint8_t *header, uint32_t header_length, const uint8_t *frame,
             uint32_t length) {
  uint32_t total = header_length + length;
  size_t need = record(total), room = queue->capacity - queue->tail;
  if (queue->count >= queue->limit) return false;
  if (room < need) {
    if (queue->used + room + need > queue->capacity) return false;
    if (room > 0) memcpy(queue->bytes + queue->tail, &(uint32_t){WASTE}, 4);
    queue->used += room;
    queue->tail = 0;
  } else if (queue->used + need > queue->capacity) {
    return false;
  }
  uint8_t *at = queue->bytes + queue->tail;
  memcpy(at, &total, 4);
  if (header_length) memcpy(at + 4, header, header_length);
  memcpy(at + 4 + header_length, frame, length);
  queue->tail += need;
  queue->used += need;
  queue->count++;
  return true;
}

uint32_t vd_take(struct vd_queue *queue, void *out) {
  uint32_t length = WASTE;
  if (queue->head < queue->capacity) memcpy(&length, queue->bytes + queue->head, 4);
  if (length == WASTE) {
    queue->used -= queue->capacity - queue->head;
    queue->head = 0;
    memcpy(&length, queue->bytes, 4);
  }
  memcpy(out, queue->bytes + queue->head + 4, length);
  queue->head += record(length);
  queue->used -= record(length);
  if (--queue->count == 0) queue->head = queue->tail = queue->used = 0;
  return length;
}
