// SPDX-License-Identifier: MIT
/*
 * doorbell.c - the doorbell: mark, ring, poll.
 *
 * Theory of operation: see doorbell.h. A slot's object and handle are touched by the owner's thread alone; other
 * threads
 * only ever set bits. A late mark may hit a slot that has changed hands: then the poll finds nothing to say about the
 * new owner and says nothing.
 */
#include "doorbell.h"

#include <stdlib.h>

#include "vmnet_shim.h"

struct vn_doorbell *vn_doorbell_new(struct vn_context *context, int *status) {
  struct vn_doorbell *bell = calloc(1, sizeof *bell);
  int pair[2];
  *status = bell ? vn_socketpair(pair) : VN_NO_MEMORY;
  if (*status) return free(bell), NULL;
  bell->references = 1;
  bell->read_end = pair[0];
  bell->write_end = pair[1];
  bell->context = context;
  return bell;
}

void vn_doorbell_retain(struct vn_doorbell *bell) { vn_atomic_add(&bell->references, 1); }

void vn_doorbell_release(struct vn_doorbell *bell) {
  if (vn_atomic_add(&bell->references, -1) != 1) return;
  if (!VN_BROKEN(43)) vn_socket_close(bell->write_end);
  if (bell->read_end >= 0) vn_socket_close(bell->read_end);
  free(bell);
}

static void ring(struct vn_doorbell *bell) {
  if (vn_atomic_exchange(&bell->rung, 1) && !VN_BROKEN(11)) return;
  vn_count(&bell->wakes, 1);
  vn_socket_ring(bell->write_end);
}

void vn_doorbell_mark(struct vn_doorbell *bell, uint32_t slot) {
  if (VN_BROKEN(2)) vn_atomic_or(&bell->summary, 1ull << slot / 64); /* a poll in between takes it away */
  vn_atomic_or(&bell->dirty[slot / 64], 1ull << slot % 64);
  if (!VN_BROKEN(2)) vn_atomic_or(&bell->summary, 1ull << slot / 64);
  ring(bell);
}

bool vn_doorbell_attach(struct vn_doorbell *bell, struct vn_object *object, int32_t handle) {
  if (bell->used == VN_DOORBELL_SLOTS) return false;
  uint32_t word = 0;
  while (!~bell->taken[word]) word++;
  uint32_t slot = word * 64 + (uint32_t)__builtin_ctzll(~bell->taken[word]);
  bell->used++;
  bell->taken[word] |= 1ull << slot % 64;
  bell->slots[slot].object = object;
  bell->slots[slot].handle = handle;
  vn_atomic_store(&object->slot, slot + 1);
  /* vn_signal() sets bits before it looks for a slot, so what it could not announce is seen here. */
  if (!VN_BROKEN(3) && vn_atomic_load(&object->ready)) vn_doorbell_mark(bell, slot);
  return true;
}

void vn_doorbell_detach(struct vn_doorbell *bell, struct vn_object *object) {
  uint32_t slot = vn_atomic_load(&object->slot) - 1;
  vn_atomic_store(&object->slot, 0);
  bell->used--;
  bell->taken[slot / 64] &= ~(1ull << slot % 64);
  bell->slots[slot].object = NULL;
  bell->slots[slot].handle = 0;
}

int32_t vn_doorbell_any(struct vn_doorbell *bell) {
  for (uint32_t word = 0; word < 64; word++) {
    if (bell->taken[word]) return bell->slots[word * 64 + (uint32_t)__builtin_ctzll(bell->taken[word])].handle;
  }
  return 0;
}

/**
 * vn_doorbell_poll() - Collects what is ready.
 * @ready: pairs of handle and bits
 * @max:   room for so many pairs; what is left over stays marked and rings again
 *
 * Return: the number of pairs
 */
uint32_t vn_doorbell_poll(struct vn_doorbell *bell, uint32_t *ready, uint32_t max) {
  uint32_t count = 0;
  if (!VN_BROKEN(4)) vn_atomic_store(&bell->rung, 0); /* first, see doorbell.h */
  uint64_t summary = vn_atomic_exchange(&bell->summary, 0);
  while (summary && count < max) {
    uint32_t word = (uint32_t)__builtin_ctzll(summary);
    uint64_t dirty = vn_atomic_exchange(&bell->dirty[word], 0);
    for (; dirty && count < max; dirty &= dirty - 1) {
      uint32_t slot = word * 64 + (uint32_t)__builtin_ctzll(dirty);
      struct vn_object *object = bell->slots[slot].object;
      uint32_t bits = object ? vn_atomic_exchange(&object->ready, 0) : 0;
      if (!bits) continue;
      ready[2 * count] = (uint32_t)bell->slots[slot].handle;
      ready[2 * count++ + 1] = bits;
    }
    if (dirty) vn_atomic_or(&bell->dirty[word], dirty);
    else summary &= summary - 1;
  }
  if (summary && !VN_BROKEN(5)) { /* no room for the rest */
    vn_atomic_or(&bell->summary, summary);
    ring(bell);
  }
  if (VN_BROKEN(4)) vn_atomic_store(&bell->rung, 0);
  return count;
}

void vn_doorbell_shut(struct vn_doorbell *bell) {
  vn_socket_shut(bell->write_end);
  if (bell->read_end >= 0) vn_socket_close(bell->read_end);
  bell->read_end = -1;
  bell->context = NULL;
}
