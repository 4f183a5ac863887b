// SPDX-License-Identifier: MIT
/*
 * abi.c - the exported functions: they check their arguments and call the function that does it.
 *
 * Theory of operation. Anything may come in: NULL and short buffers, any number, any handle, at any time. What is
 * checked here is what the callee could not survive; every answer goes through one int32_t.
 */
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "control.h"
#include "doorbell.h"
#include "handle.h"
#include "operation.h"
#include "port.h"
#include "runtime.h"
#include "vmnet_shim.h"

/* find() - The object of a handle, of that kind (0: of any). */
static int32_t find(int32_t handle, uint32_t kind, struct vn_object **object) {
  if (!vn_runtime_ready()) return -VN_BAD_CALL;
  int32_t status = vn_handle_find(handle, object);
  return status ? status : kind && (*object)->class->kind != kind ? -VN_BAD_CALL : VN_OK;
}

/* find_port() - What can be drained: an interface that no switch has, a tap, an intercept. */
static int32_t find_port(int32_t handle, struct vn_object **object) {
  int32_t status = find(handle, 0, object);
  if (status) return status;
  enum vn_kind kind = (*object)->class->kind;
  if (kind != VN_INTERFACE && kind != VN_TAP) return -VN_BAD_CALL;
  return vn_atomic_load(&((struct vn_port *)*object)->lent) ? -VN_IN_USE : VN_OK;
}

/* words() - True for a buffer of uint32_t as JavaScript hands it over. */
static bool words(const uint32_t *buffer) { return buffer && !((uintptr_t)buffer % sizeof *buffer); }

int32_t vn_abi_version(void) {
  int status = vn_runtime_init();
  return status ? -status : VN_ABI_VERSION;
}

int32_t vn_open(void) {
  if (!vn_runtime_ready()) return -VN_BAD_CALL;
  return vn_runtime_closing() ? -VN_STOPPED : vn_context_open();
}

int32_t vn_doorbell(int32_t handle) {
  struct vn_object *object;
  int32_t status = find(handle, VN_CONTEXT, &object);
  return status ? status : vn_context_doorbell((struct vn_context *)object);
}

int32_t vn_poll(int32_t handle, uint32_t *ready, uint32_t max) {
  struct vn_object *object;
  int32_t status = find(handle, VN_CONTEXT, &object);
  if (status) return status;
  return words(ready) && max ? (int32_t)vn_doorbell_poll(object->doorbell, ready, max) : -VN_BAD_CALL;
}

int32_t vn_close(int32_t handle) {
  struct vn_object *object;
  int32_t status = find(handle, 0, &object);
  if (status) return status;
  vn_handle_drop(handle, &object);
  object->class->close(object);
  return VN_OK;
}

int32_t vn_shutdown(uint32_t ms) { return vn_runtime_ready() ? (int32_t)vn_runtime_shutdown(ms) : -VN_BAD_CALL; }

int32_t vn_call(int32_t target, uint32_t op, const uint8_t *options, uint32_t length, uint32_t deadline_ms) {
  if (!vn_runtime_ready() || (length && !options)) return -VN_BAD_CALL;
  return vn_runtime_closing() ? -VN_STOPPED : vn_operation_begin(target, op, options, length, deadline_ms);
}

int32_t vn_result(int32_t operation, uint8_t *out, uint32_t capacity) {
  struct vn_object *object;
  int32_t status = find(operation, VN_OPERATION, &object);
  if (status) return status;
  return vn_operation_fetch((struct vn_operation *)object, out, out ? capacity : 0);
}

int32_t vn_cancel(int32_t operation) {
  struct vn_object *object;
  int32_t status = find(operation, VN_OPERATION, &object);
  if (!status && vn_operation_end((struct vn_operation *)object, VN_CANCELLED_EARLY)) vn_control_sweep(0, false);
  return status;
}

int32_t vn_drain(int32_t port, uint8_t *arena, uint32_t arena_length, uint32_t *descriptors, uint32_t max) {
  struct vn_object *object;
  int32_t status = find_port(port, &object);
  if (status) return status;
  if (!arena || !arena_length || !words(descriptors) || !max) return -VN_BAD_CALL;
  return vn_port_drain((struct vn_port *)object, arena, arena_length, descriptors, max);
}

int32_t vn_send(int32_t port, const uint8_t *arena, uint32_t arena_length, const uint32_t *descriptors, uint32_t first,
                uint32_t count) {
  struct vn_object *object;
  int32_t status = find_port(port, &object);
  if (status) return status;
  if (!arena || !words(descriptors)) return -VN_BAD_CALL;
  return vn_port_send((struct vn_port *)object, arena, arena_length, descriptors, first, count);
}

int32_t vn_interest(int32_t port, uint32_t bits) {
  struct vn_object *object;
  int32_t status = find_port(port, &object);
  if (!status) vn_port_interest((struct vn_port *)object, bits);
  return status;
}

static uint32_t context_get(struct vn_object *context, uint32_t what, struct vn_writer *out) {
  if (what == VN_GET_STATE) {
    vn_write_number(out, "status", VN_OK);
  } else if (what == VN_GET_STATS) {
    vn_write_number(out, "wakes", vn_counted(&context->doorbell->wakes));
    vn_write_number(out, "handles", vn_handles_used()); /* these and the following of the whole process */
    vn_write_number(out, "contexts", vn_contexts_open());
    vn_write_number(out, "objects", vn_objects_alive());
    vn_write_number(out, "operations", vn_operations_alive());
    vn_write_number(out, "controlThreads", vn_control_threads());
  } else {
    return VN_BAD_CALL;
  }
  return VN_OK;
}

static uint32_t get(struct vn_object *object, uint32_t what, struct vn_writer *out) {
  bool of_port = what == VN_GET_STATE || what == VN_GET_STATS || what == VN_GET_ESTIMATE;
  if (what < VN_GET_STATE || what > VN_GET_ESTIMATE || object->class->kind == VN_OPERATION) return VN_BAD_CALL;
  if (object->class->kind == VN_CONTEXT) return context_get(object, what, out);
  if ((object->class->kind == VN_INTERFACE || object->class->kind == VN_TAP) && of_port) {
    vn_port_get((struct vn_port *)object, what, out);
    if (what == VN_GET_STATS) vn_backend()->get(object, what, out); /* whatever it counts besides */
    return VN_OK;
  }
  return vn_backend()->get(object, what, out);
}

int32_t vn_get(int32_t handle, uint32_t what, uint8_t *out, uint32_t capacity) {
  struct vn_object *object;
  int32_t status = find(handle, 0, &object);
  if (status) return status;
  struct vn_writer list = {0};
  bool kept = what == VN_GET_EVENTS && object->unread;
  if (kept) list = *object->unread;
  else status = -(int32_t)get(object, what, &list);
  if (!status && list.failed) status = -VN_NO_MEMORY;
  uint32_t length = list.length;
  bool fits = out && length <= capacity;
  if (!status && fits && length) memcpy(out, list.data, length);
  if (!status && !fits && what == VN_GET_EVENTS) {
    /* Events are told once: what the caller had no room for waits for its next call. */
    if (!kept && (object->unread = malloc(sizeof list))) *object->unread = list, kept = true;
    if (kept) return (int32_t)length;
    status = -VN_NO_MEMORY;
  }
  if (kept) free(object->unread), object->unread = NULL;
  vn_writer_free(&list);
  return status ? status : (int32_t)length;
}
