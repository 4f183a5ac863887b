// SPDX-License-Identifier: MIT
/*
 * operation.h - whatever takes time: begun by vn_call(), run by a control thread, fetched by vn_result().
 *
 *   queued --> running --> done            the control thread
 *      \---------\-------> timeout         the keeper
 *       \---------\------> cancelled       the owner's thread, vn_shutdown()
 *
 * Every arrow is one compare-and-swap, so exactly one of them ends the operation, and whoever wins signals
 * VN_READY_DONE.
 * timeout and cancelled only say that nobody wants the reply any more: the backend may still be at it. When it comes
 * back and finds the operation ended, it undoes what it made.
 */
#ifndef VN_CORE_OPERATION_H
#define VN_CORE_OPERATION_H

#include "backend.h"

enum vn_operation_state { VN_QUEUED, VN_RUNNING, VN_DONE, VN_TIMED_OUT, VN_CANCELLED_EARLY };

struct vn_operation {
  struct vn_object object; /* one reference is the handle's, one the control threads' */
  vn_atomic_u32 state;
  int32_t handle, target;
  struct vn_job job;
  struct vn_operation *next; /* in the queue */
  uint64_t began_ns;         /* when a control thread took it */
};

int32_t vn_operation_begin(int32_t target, uint32_t op, const uint8_t *options, uint32_t length, uint32_t deadline_ms);
int32_t vn_operation_fetch(struct vn_operation *operation, uint8_t *out, uint32_t capacity);
void vn_operation_run(struct vn_operation *operation); /* a control thread */
/* Any thread. False if it had ended before. The caller holds a reference. */
bool vn_operation_end(struct vn_operation *operation, enum vn_operation_state how);
bool vn_operation_abandoned(struct vn_operation *operation);
uint32_t vn_operations_alive(void);

#endif
