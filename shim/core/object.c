// SPDX-License-Identifier: MIT
/*
 * object.c - counted objects and their signals.
 *
 * Theory of operation: see object.h. An object keeps its doorbell alive, not its context: a signal that comes after the
 * context is gone marks a bit that nobody polls and writes to a socket that was shut down.
 */
#include "object.h"

#include <stdlib.h>

#include "doorbell.h"
#include "list.h"

static vn_atomic_u32 alive;

uint32_t vn_objects_alive(void) { return vn_counted(&alive); }

void vn_object_init(struct vn_object *object, const struct vn_class *class, struct vn_doorbell *doorbell) {
  *object = (struct vn_object){.class = class, .references = 1, .doorbell = doorbell};
  if (doorbell) vn_doorbell_retain(doorbell);
  vn_count(&alive, 1);
}

void vn_retain(struct vn_object *object) { vn_atomic_add(&object->references, 1); }

void vn_release(struct vn_object *object) {
  if (vn_atomic_add(&object->references, -1) != 1) return;
  struct vn_doorbell *doorbell = object->doorbell;
  if (object->unread) vn_writer_free(object->unread), free(object->unread);
  object->class->destroy(object);
  if (doorbell) vn_doorbell_release(doorbell);
  vn_count(&alive, -1);
}

void vn_signal(struct vn_object *object, uint32_t bits) {
  if (!VN_BROKEN(6)) vn_atomic_or(&object->ready, bits);
  uint32_t slot = vn_atomic_load(&object->slot);
  if (slot) vn_doorbell_mark(object->doorbell, slot - 1);
  if (VN_BROKEN(6)) vn_atomic_or(&object->ready, bits); /* after the mark: a poll in between finds nothing */
}
