// SPDX-License-Identifier: MIT
/* context.h - one link between a JavaScript thread and the shim: a doorbell and the handles that ring it. */
#ifndef VN_CORE_CONTEXT_H
#define VN_CORE_CONTEXT_H

#include "object.h"

struct vn_context {
  struct vn_object object; /* its doorbell is the context's */
  int32_t handle;
  struct vn_context *next; /* of the same thread */
};

int vn_contexts_init(void);
int32_t vn_context_open(void);                           /* its handle or -status */
int32_t vn_context_doorbell(struct vn_context *context); /* the read end, once */
uint32_t vn_contexts_open(void);

#endif
