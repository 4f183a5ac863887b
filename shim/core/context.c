// SPDX-License-Identifier: MIT
/*
 * context.c - contexts: opened by a thread, closed by it or by its end.
 *
 * Theory of operation. A thread's contexts hang in a list in its thread slot. When the thread ends (a terminated
 * Worker)
 * the slot's destructor closes them, on that very thread: the handles are the thread's own, so there is nothing to
 * lock,
 * and as closing never blocks, the thread is not held up. Closing drops every handle and lets each class begin the end
 * of its object. Operations that run keep the context's memory until they return.
 */
#include "context.h"

#include <stdlib.h>

#include "doorbell.h"
#include "keeper.h"
#include "vmnet_shim.h"

static vn_atomic_u32 contexts;

uint32_t vn_contexts_open(void) { return vn_counted(&contexts); }

static void context_close(struct vn_object *object) {
  struct vn_context *context = (struct vn_context *)object;
  struct vn_doorbell *bell = object->doorbell;
  for (int32_t handle; (handle = vn_doorbell_any(bell));) {
    struct vn_object *each;
    vn_handle_drop(handle, &each);
    each->class->close(each);
  }
  vn_doorbell_shut(bell);

  struct vn_context *head = vn_thread_slot(), **link = &head;
  while (*link && *link != context) link = &(*link)->next;
  if (*link) *link = context->next;
  vn_thread_slot_set(head);
  vn_count(&contexts, -1);
  vn_keeper_leave();
  vn_release(object);
}

static void context_destroy(struct vn_object *object) { free(object); }

static const struct vn_class context_class = {VN_CONTEXT, context_close, context_destroy};

static void thread_ended(void *head) {
  vn_thread_slot_set(head); /* POSIX cleared it; context_close() works on it */
  for (struct vn_context *context; (context = vn_thread_slot());) {
    struct vn_object *object;
    vn_handle_drop(context->handle, &object);
    context_close(object);
  }
}

int vn_contexts_init(void) { return vn_thread_slot_init(thread_ended); }

int32_t vn_context_open(void) {
  struct vn_context *context = calloc(1, sizeof *context);
  if (!context) return -VN_NO_MEMORY;
  int status;
  struct vn_doorbell *bell = vn_doorbell_new(context, &status);
  if (!bell) return free(context), -status;
  vn_object_init(&context->object, &context_class, bell);
  vn_doorbell_release(bell); /* the object has its own reference */

  context->next = vn_thread_slot();
  status = vn_thread_slot_set(context);
  if (!status && (status = vn_keeper_enter())) vn_thread_slot_set(context->next);
  if (status) return vn_release(&context->object), -status;
  vn_count(&contexts, 1);
  context->handle = vn_handle_new(context, &context->object);
  if (context->handle > 0) return context->handle;
  int32_t answer = context->handle;
  context_close(&context->object);
  return answer;
}

int32_t vn_context_doorbell(struct vn_context *context) {
  int fd = context->object.doorbell->read_end;
  context->object.doorbell->read_end = -1;
  return fd < 0 ? -VN_BAD_CALL : fd;
}
