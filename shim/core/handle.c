// SPDX-License-Identifier: MIT
/*
 * handle.c - the process-wide table that turns handles into objects.
 *
 * Theory of operation. A handle is generation << 16 | slot, both from the table; the generation starts at 1, so a
 * handle
 * is positive, and grows when the slot is freed, so an old handle stays wrong until 32,767 others had the slot. Free
 * slots queue up (first in, first out) to make that long.
 *
 * Slots come in chunks that are made on demand and never freed, and all fields that a look-up reads are atomic, so any
 * number can be looked up at any time without a lock. Only the owner's thread links and unlinks a slot's object, and it
 * alone gets to dereference it: when a thread finds itself in owner, nobody else can be changing the slot. The lock
 * protects the queue of free slots alone.
 *
 * These loads and stores are not steps of the model: there is nothing between threads to explore.
 */
#include "handle.h"

#include <stdlib.h>

#include "context.h"
#include "doorbell.h"
#include "vmnet_shim.h"

#define CHUNK 256u
#define CHUNKS 64u /* 16,384 handles */
#define NONE UINT32_MAX

struct slot {
  _Atomic uintptr_t owner;
  vn_atomic_u32 generation;
  struct vn_object *_Atomic object;
  uint32_t next; /* in the queue of free slots */
};

static struct {
  struct vn_lock lock;
  struct slot *_Atomic chunks[CHUNKS];
  uint32_t made; /* chunks */
  uint32_t first, last;
  vn_atomic_u32 used;
} table;

int vn_handles_init(void) {
  table.first = table.last = NONE;
  return vn_lock_init(&table.lock);
}

uint32_t vn_handles_used(void) { return vn_counted(&table.used); }

static struct slot *slot_at(uint32_t index) {
  struct slot *chunk = index < CHUNK * CHUNKS ? atomic_load(&table.chunks[index / CHUNK]) : NULL;
  return chunk ? &chunk[index % CHUNK] : NULL;
}

static void push_free(uint32_t index) {
  slot_at(index)->next = NONE;
  if (table.first == NONE) table.first = index;
  else slot_at(table.last)->next = index;
  table.last = index;
}

static uint32_t pop_free(void) {
  if (table.first == NONE && table.made < CHUNKS) {
    struct slot *chunk = calloc(CHUNK, sizeof *chunk);
    if (!chunk) return NONE;
    for (uint32_t i = 0; i < CHUNK; i++) atomic_init(&chunk[i].generation, 1);
    atomic_store(&table.chunks[table.made], chunk);
    for (uint32_t i = 0; i < CHUNK; i++) push_free(table.made * CHUNK + i);
    table.made++;
  }
  uint32_t index = table.first;
  if (index != NONE) table.first = slot_at(index)->next;
  return index;
}

static void free_slot(uint32_t index) {
  struct slot *slot = slot_at(index);
  uint32_t generation = atomic_load(&slot->generation);
  atomic_store(&slot->generation, generation == 0x7fff ? 1 : generation + 1);
  atomic_store(&slot->owner, 0);
  atomic_store(&slot->object, NULL);
  vn_lock(&table.lock);
  push_free(index);
  vn_unlock(&table.lock);
  vn_count(&table.used, -1);
}

int32_t vn_handle_new(struct vn_context *context, struct vn_object *object) {
  vn_lock(&table.lock);
  uint32_t index = pop_free();
  vn_unlock(&table.lock);
  if (index == NONE) return -VN_NO_MEMORY;
  vn_count(&table.used, 1);
  struct slot *slot = slot_at(index);
  int32_t handle = (int32_t)(atomic_load(&slot->generation) << 16 | index);
  atomic_store(&slot->object, object);
  atomic_store(&slot->owner, vn_thread_self());
  if (vn_doorbell_attach(context->object.doorbell, object, handle)) return handle;
  free_slot(index);
  return -VN_NO_MEMORY;
}

int32_t vn_handle_find(int32_t handle, struct vn_object **object) {
  struct slot *slot = handle > 0 ? slot_at((uint32_t)handle & 0xffff) : NULL;
  if (!slot || atomic_load(&slot->generation) != (uint32_t)handle >> 16) return -VN_STALE;
  uintptr_t owner = atomic_load(&slot->owner);
  if (!owner) return -VN_STALE;
  if (owner != vn_thread_self()) return -VN_FOREIGN;
  *object = atomic_load(&slot->object);
  return VN_OK;
}

int32_t vn_handle_drop(int32_t handle, struct vn_object **object) {
  int32_t status = vn_handle_find(handle, object);
  if (status) return status;
  vn_doorbell_detach((*object)->doorbell, *object);
  free_slot((uint32_t)handle & 0xffff);
  return VN_OK;
}
