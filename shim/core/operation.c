// SPDX-License-Identifier: MIT
/*
 * operation.c - the life of an operation: begin, run, end, fetch.
 *
 * Theory of operation: see operation.h. The reply belongs to the control thread until the operation is done and to the
 * owner's thread afterwards; the compare-and-swap hands it over. The control thread completes the list: "status", and
 * for a new object "handle", whose number the owner's thread fills in when it fetches the list, because handles are
 * made
 * on the thread that they belong to. Until then the new object belongs to the operation and ends with it.
 *
 * VN_OP_STOP takes its target's handle along: it goes when the result is fetched or the operation's handle is closed.
 */
#include "operation.h"

#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "control.h"
#include "doorbell.h"
#include "keeper.h"
#include "port.h"
#include "vmnet_shim.h"

#define OPTIONS_LIMIT (1u << 20) /* a thousand reservations are 64 KiB */

static vn_atomic_u32 alive;

uint32_t vn_operations_alive(void) { return vn_counted(&alive); }

bool vn_operation_abandoned(struct vn_operation *operation) { return vn_atomic_load(&operation->state) > VN_DONE; }

bool vn_operation_end(struct vn_operation *operation, enum vn_operation_state how) {
  uint32_t state = vn_atomic_load(&operation->state);
  do {
    if (state >= VN_DONE && !VN_BROKEN(7)) return false;
  } while (!vn_atomic_cas(&operation->state, &state, how));
  vn_signal(&operation->object, VN_READY_DONE);
  return true;
}

/* undo() - Nobody will have what the operation made. */
static void undo(struct vn_operation *operation) {
  struct vn_object *made = operation->job.made;
  operation->job.made = NULL;
  if (made && !VN_BROKEN(8)) made->class->close(made);
  if (operation->job.given >= 0) vn_socket_close(operation->job.given);
  operation->job.given = -1;
}

/* hand_over() - The script has what the operation made. */
static void hand_over(struct vn_job *job) {
  struct vn_file_id now;
  /* Named in two calls, or closed meanwhile, the number may be somebody else's by now. */
  bool same = job->taken >= 0 && vn_file_id(job->taken, &now) && now.device == job->taken_file.device &&
              now.inode == job->taken_file.inode;
  if (same) vn_socket_close(job->taken);
  job->taken = job->given = -1;
  job->made = NULL;
}

/* complete() - Appends what core/ has to say. "handle" comes last: fetch() finds its value in the last 8 bytes. */
static void complete(struct vn_operation *operation, uint32_t status) {
  struct vn_job *job = &operation->job;
  if (job->result.failed) status = VN_NO_MEMORY;
  if (status) undo(operation);
  vn_write_number(&job->result, "status", status);
  if (job->made) vn_write_number(&job->result, "handle", 0);
}

/* reply_with() - Replaces the reply by a status and a sentence. */
static void reply_with(struct vn_operation *operation, uint32_t status, const char *message) {
  vn_writer_free(&operation->job.result);
  vn_write_text(&operation->job.result, "message", message);
  vn_write_number(&operation->job.result, "status", status);
}

void vn_operation_run(struct vn_operation *operation) {
  uint32_t queued = VN_QUEUED;
  if (!vn_atomic_cas(&operation->state, &queued, VN_RUNNING)) return; /* abandoned while it waited */
  complete(operation, vn_backend()->run(&operation->job));
  if (operation->job.lent) vn_port_return(operation->job.lent);
  operation->job.lent = NULL;
  if (!vn_operation_end(operation, VN_DONE)) undo(operation);
}

/* drop_target() - The end of VN_OP_STOP. The handle may be gone already: stopped twice, or closed. */
static void drop_target(struct vn_operation *operation) {
  struct vn_object *target;
  if (operation->job.op != VN_OP_STOP || vn_handle_drop(operation->target, &target)) return;
  target->class->close(target);
}

/* operation_close() - The handle is gone without a fetch: cancelled and forgotten. */
static void operation_close(struct vn_object *object) {
  struct vn_operation *operation = (struct vn_operation *)object;
  if (vn_operation_end(operation, VN_CANCELLED_EARLY)) vn_control_sweep(0, false);
  else if (vn_atomic_load(&operation->state) == VN_DONE) undo(operation);
  drop_target(operation);
  vn_release(object);
}

static void operation_destroy(struct vn_object *object) {
  struct vn_operation *operation = (struct vn_operation *)object;
  vn_writer_free(&operation->job.result);
  free((void *)operation->job.options);
  if (operation->job.lent) vn_port_return(operation->job.lent);
  if (operation->job.target) vn_release(operation->job.target);
  if (operation->job.other) vn_release(operation->job.other);
  free(operation);
  vn_count(&alive, -1);
}

static const struct vn_class operation_class = {VN_OPERATION, operation_close, operation_destroy};

static bool legal(uint32_t op, enum vn_kind kind) {
  switch (op) {
    case VN_OP_PROBE:
    case VN_OP_SHARED_INTERFACES:
    case VN_OP_NETWORK_CREATE:
    case VN_OP_NETWORK_JOIN:
    case VN_OP_NETWORK_FROM_POINTER: return kind == VN_CONTEXT;
    case VN_OP_NETWORK_FROM_SERIALIZATION: return kind == VN_SERIALIZATION;
    case VN_OP_NETWORK_SHARE:
    case VN_OP_RESERVATION_ADD:
    case VN_OP_RESERVATION_REMOVE:
    case VN_OP_RESERVATION_LIST:
    case VN_OP_NETWORK_COPY_SERIALIZATION: return kind == VN_NETWORK;
    case VN_OP_INTERFACE_START: return kind == VN_CONTEXT || kind == VN_NETWORK;
    case VN_OP_STOP: return kind >= VN_INTERFACE;
    case VN_OP_FORWARD_ADD:
    case VN_OP_FORWARD_REMOVE:
    case VN_OP_FORWARD_LIST: return kind == VN_INTERFACE || kind == VN_NETWORK;
    case VN_OP_SWITCH_CREATE: return kind == VN_CONTEXT || kind == VN_INTERFACE || kind == VN_NETWORK;
    case VN_OP_ENDPOINT_OPEN:
    case VN_OP_PORT_SET:
    case VN_OP_TAP_OPEN:
    case VN_OP_INTERCEPT_OPEN:
    case VN_OP_RULE_ADD: return kind == VN_SWITCH;
    default: return false;
  }
}

/* second() - The object that the options name beside the target. Handles are looked up on the thread that has them. */
static int32_t second(struct vn_job *job) {
  uint64_t handle = vn_list_number(job->options, job->options_length, "object", 0);
  struct vn_object *object;
  if (!handle) return VN_OK;
  int32_t status = handle > INT32_MAX ? -VN_STALE : vn_handle_find((int32_t)handle, &object);
  if (status) return status;
  if (object->class->kind != VN_INTERFACE) return -VN_BAD_CALL;
  vn_retain(object);
  job->other = object;
  return VN_OK;
}

/* borrow() - An interface that a switch is to have is the script's no more from now on, so that it never has two
 * readers. */
static int32_t borrow(struct vn_job *job) {
  struct vn_object *object = job->op == VN_OP_SWITCH_CREATE ? job->target : job->other;
  if (!object || object->class->kind != VN_INTERFACE) return VN_OK;
  if (!vn_port_lend((struct vn_port *)object)) return -VN_IN_USE;
  job->lent = (struct vn_port *)object;
  return VN_OK;
}

/**
 * vn_operation_begin() - Checks and queues an operation.
 *
 * Return: its handle, or a vn_status with its sign turned; then nothing was begun
 */
int32_t vn_operation_begin(int32_t target, uint32_t op, const uint8_t *options, uint32_t length, uint32_t deadline_ms) {
  struct vn_object *object;
  int32_t status = vn_handle_find(target, &object);
  if (status) return status;
  if (!legal(op, object->class->kind) || length > OPTIONS_LIMIT) return -VN_BAD_CALL;

  struct vn_operation *operation = calloc(1, sizeof *operation);
  if (!operation) return -VN_NO_MEMORY;
  vn_object_init(&operation->object, &operation_class, object->doorbell);
  vn_count(&alive, 1);
  uint8_t *copy = malloc(length + 1);
  operation->target = target;
  operation->job = (struct vn_job){.op = op, .doorbell = object->doorbell, .options = copy, .options_length = length};
  operation->job.state = &operation->state;
  operation->job.taken = operation->job.given = -1;
  if (deadline_ms) operation->job.deadline_ns = vn_monotonic_ns() + deadline_ms * 1000000ull;
  if (copy && length) memcpy(copy, options, length);
  /* The copy is what is checked: the original is JavaScript's memory and may change meanwhile. */
  status = !copy ? -VN_NO_MEMORY : !vn_list_valid(copy, length) ? -VN_BAD_CALL : VN_OK;
  if (!status) {
    vn_retain(object);
    operation->job.target = object;
    status = second(&operation->job);
  }
  if (!status) status = borrow(&operation->job);
  if (!status) {
    operation->handle = vn_handle_new(object->doorbell->context, &operation->object);
    if (operation->handle < 0) status = operation->handle;
  }
  if (status) return vn_release(&operation->object), status;

  int32_t handle = operation->handle; /* once it is queued, it could end and */
  vn_retain(&operation->object);      /* the control threads' */
  if ((status = -vn_control_submit(operation))) {
    vn_release(&operation->object);
    vn_handle_drop(handle, &object);
    vn_release(object);
    return status;
  }
  if (op == VN_OP_STOP && object->class->kind == VN_INTERFACE) vn_port_fail((struct vn_port *)object, VN_STOPPED);
  if (deadline_ms) vn_keeper_kick();
  return handle;
}

/**
 * vn_operation_fetch() - Copies the result list out and ends the handle.
 *
 * Return: the list's length, or a vn_status with its sign turned; the operation stays when that exceeds @capacity
 */
int32_t vn_operation_fetch(struct vn_operation *operation, uint8_t *out, uint32_t capacity) {
  struct vn_job *job = &operation->job;
  uint32_t state = vn_atomic_load(&operation->state);
  if (state < VN_DONE) return -VN_PENDING;
  struct vn_writer abandoned = {0}, *result = &abandoned; /* the job's own is still the control thread's then */
  if (state == VN_DONE) {
    result = &job->result;
    if (result->failed) {
      undo(operation); /* its "handle" has no place in the new reply */
      reply_with(operation, VN_NO_MEMORY, "Cannot write the result: out of memory");
    }
  } else {
    bool late = state == VN_TIMED_OUT;
    vn_write_text(result, "message", late ? "The deadline passed" : "The operation was cancelled");
    vn_write_number(result, "status", late ? VN_TIMEOUT : VN_CANCELLED);
  }

  if (state == VN_DONE && job->made && result->length <= capacity && !result->failed) {
    int32_t handle = vn_handle_new(operation->object.doorbell->context, job->made);
    if (handle > 0) {
      for (int i = 0; i < 4; i++) result->data[result->length - 8 + (uint32_t)i] = (uint8_t)(handle >> 8 * i);
      hand_over(job);
    } else {
      undo(operation);
      reply_with(operation, VN_NO_MEMORY, "Cannot make a handle: too many are open");
    }
  }
  int32_t length = result->failed ? -VN_NO_MEMORY : (int32_t)result->length;
  bool fits = length >= 0 && (uint32_t)length <= capacity;
  if (fits) memcpy(out, result->data, (uint32_t)length);
  vn_writer_free(&abandoned);
  if (fits) {
    struct vn_object *object;
    vn_handle_drop(operation->handle, &object);
    drop_target(operation);
    vn_release(object);
  }
  return length;
}
