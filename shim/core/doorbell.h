// SPDX-License-Identifier: MIT
/*
 * doorbell.h - how native threads wake one JavaScript thread: a socket pair, and a note of what is ready.
 *
 * Theory of operation. A ringer sets bits in its object, then the object's bit in dirty, then dirty's bit in summary,
 * and only then exchanges rung; whoever finds rung clear sends one byte. vn_doorbell_poll() goes the other way: it
 * clears
 * rung first, then collects summary, dirty and the bits. A ringer that comes too late for the collection therefore
 * finds
 * rung clear and sends a byte, and one that finds rung set will be collected. So no wake-up is lost, and at most one
 * byte is sent per poll.
 *
 * The doorbell is counted, because native threads outlive the context: closing only shuts the pair down, so that the
 * runtime reads the end; the descriptor goes with the last reference and can not be somebody else's before.
 */
#ifndef VN_CORE_DOORBELL_H
#define VN_CORE_DOORBELL_H

#include "object.h"

#define VN_DOORBELL_SLOTS 4096u /* handles per context: 64 words of 64 bits, and one word to find them */

struct vn_context;

struct vn_doorbell {
  vn_atomic_u32 references;
  int read_end, write_end; /* read_end: -1 once the runtime has it */
  vn_atomic_u32 rung;
  vn_atomic_u64 summary, dirty[64];
  vn_atomic_u64 wakes; /* bytes sent */

  /* Only the owner's thread looks at these. */
  struct vn_context *context;
  uint32_t used; /* slots */
  uint64_t taken[64];
  struct {
    struct vn_object *object;
    int32_t handle;
  } slots[VN_DOORBELL_SLOTS];
};

struct vn_doorbell *vn_doorbell_new(struct vn_context *context, int *status);
void vn_doorbell_retain(struct vn_doorbell *bell);
void vn_doorbell_release(struct vn_doorbell *bell);
void vn_doorbell_mark(struct vn_doorbell *bell, uint32_t slot); /* any thread */

/* The owner's thread. */
bool vn_doorbell_attach(struct vn_doorbell *bell, struct vn_object *object, int32_t handle); /* false: all slots taken */
void vn_doorbell_detach(struct vn_doorbell *bell, struct vn_object *object);
int32_t vn_doorbell_any(struct vn_doorbell *bell); /* a handle that is still attached, or 0 */
uint32_t vn_doorbell_poll(struct vn_doorbell *bell, uint32_t *ready, uint32_t max);
void vn_doorbell_shut(struct vn_doorbell *bell);

#endif
