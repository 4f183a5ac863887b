// SPDX-License-Identifier: MIT
/*
 * object.h - what a handle stands for, and how native threads tell JavaScript about it.
 *
 * Theory of operation. An object is counted: one reference is the handle's, others belong to native threads that use
 * it. Handles are made, looked up and dropped only on the thread that owns their context, so a look-up takes no lock:
 * the slot's owner is compared with the calling thread, and only then is anything dereferenced.
 *
 * Signals. vn_signal() may be called from any thread: it sets bits in the object, marks the object's slot in its
 * context's doorbell, and sends one byte unless one is on its way. Bits that are set before the object has a slot are
 * announced when it gets one, so nothing that happens between the end of an operation and the fetch of its result is
 * lost.
 */
#ifndef VN_CORE_OBJECT_H
#define VN_CORE_OBJECT_H

#include "os.h"

enum vn_kind {
  VN_CONTEXT = 1,
  VN_OPERATION,
  VN_INTERFACE,
  VN_NETWORK,
  VN_SHARE,
  VN_SERIALIZATION,
  VN_SWITCH,
  VN_ENDPOINT,
  VN_TAP, /* a port like an interface: a tap or an intercept */
  VN_RULE,
};

struct vn_doorbell;
struct vn_object;

struct vn_class {
  enum vn_kind kind;
  /* The handle is gone (closed, stopped, or its thread ended), or the object was made for nobody any more. Must not
   * block:
   * it begins the end, unless VN_OP_STOP already brought it, and drops the reference. May run on any thread. */
  void (*close)(struct vn_object *object);
  /* The last reference is gone. May run on any thread. */
  void (*destroy)(struct vn_object *object);
};

struct vn_object {
  const struct vn_class *class;
  vn_atomic_u32 references;
  vn_atomic_u32 ready; /* VN_READY_* bits that vn_poll() has not collected */
  vn_atomic_u32 slot;  /* 1 + index in the doorbell; 0: none */
  struct vn_doorbell *doorbell; /* counted, released after destroy(); may be NULL */
  struct vn_writer *unread;     /* core's: what vn_get() took from the backend and the caller had no room for */
};

void vn_object_init(struct vn_object *object, const struct vn_class *class, struct vn_doorbell *doorbell);
void vn_retain(struct vn_object *object);
void vn_release(struct vn_object *object);
void vn_signal(struct vn_object *object, uint32_t bits);
uint32_t vn_objects_alive(void); /* in the whole process */

/* Handles: only on the owner's thread. */
struct vn_context;
int32_t vn_handle_new(struct vn_context *context, struct vn_object *object); /* takes over one reference, unless -status */
int32_t vn_handle_find(int32_t handle, struct vn_object **object);          /* VN_OK or -status; no reference taken */
int32_t vn_handle_drop(int32_t handle, struct vn_object **object);          /* unlinks it; the caller has its reference */

#endif
