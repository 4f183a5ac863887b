// SPDX-License-Identifier: MIT
/*
 * model_script.c - the script of model_script.h, and what it checks by itself: frames in order, statuses that fit, no
 * more bytes in the doorbell than one per poll and one.
 */
#include "model_script.h"

#include <string.h>

#include "control.h"
#include "handle.h"
#include "model.h"
#include "operation.h"
#include "vmnet_shim.h"

struct script script;

static void forget(int32_t handle) { /* of a thing */
  for (int i = 0; i < THINGS; i++) {
    if (script.things[i].handle == handle) script.things[i].handle = 0;
  }
}

/* over() - An operation's handle is gone, and with a stop its target's. */
static void over(int i) {
  script.operations[i].handle = 0;
  if (script.operations[i].op == VN_OP_STOP) forget(script.operations[i].target);
}

static void begin(uint32_t op, int32_t target) {
  for (int i = 0; i < OPERATIONS; i++) {
    if (script.operations[i].handle) continue;
    uint32_t deadline = model_random(3) ? 0 : 1 + model_random(4);
    int32_t handle = vn_call(target, op, NULL, 0, deadline);
    /* vn_shutdown() is at it, or a switch has it */
    MODEL_CHECK(handle > 0 || handle == -VN_STOPPED || (op == VN_OP_SWITCH_CREATE && handle == -VN_IN_USE));
    if (handle < 0) return;
    script.operations[i].handle = handle;
    script.operations[i].op = op;
    script.operations[i].target = target;
    script.operations[i].deadline = deadline;
    script.begun++;
    return;
  }
}

static void started(int32_t handle, bool port) {
  struct vn_object *object;
  int i = 0;
  while (script.things[i].handle) MODEL_CHECK(++i < THINGS);
  MODEL_CHECK(vn_handle_find(handle, &object) == VN_OK);
  memset(&script.things[i], 0, sizeof script.things[i]);
  script.things[i].handle = handle;
  script.things[i].thing = (struct thing *)object;
  script.things[i].thing->had_handle = true;
  script.things[i].port = port;
  script.things[i].writable = true;
  script.things[i].to_send = port ? model_random(16) : 0;
  if (port) vn_interest(handle, VN_READY_PACKETS);
}

static bool makes(uint32_t op) { return op != VN_OP_STOP && op != VN_OP_PROBE && op != VN_OP_SWITCH_CREATE; }

static void fetch(int i, bool announced) {
  uint8_t list[256];
  int32_t length = vn_result(script.operations[i].handle, list, sizeof list);
  if (length == -VN_PENDING) {
    MODEL_CHECK(!announced);
    return;
  }
  MODEL_CHECK(length > 0 && vn_list_valid(list, (uint32_t)length));
  uint32_t status = (uint32_t)vn_list_number(list, (uint32_t)length, "status", 999);
  int32_t handle = (int32_t)vn_list_number(list, (uint32_t)length, "handle", 0);
  uint32_t op = script.operations[i].op;
  MODEL_CHECK(status == VN_OK || status == VN_SYSTEM || status == VN_TIMEOUT || status == VN_CANCELLED);
  MODEL_CHECK(status != VN_TIMEOUT || script.operations[i].deadline);
  MODEL_CHECK((handle > 0) == (status == VN_OK && makes(op)));
  MODEL_CHECK(vn_result(script.operations[i].handle, list, sizeof list) == -VN_STALE);
  *(status == VN_OK          ? &totals.ok
    : status == VN_TIMEOUT   ? &totals.timeout
    : status == VN_CANCELLED ? &totals.cancelled
                             : &totals.failed) += 1;
  over(i);
  if (handle > 0) started(handle, op == VN_OP_INTERFACE_START);
}

static void ready(int32_t handle, uint32_t bits) {
  for (int i = 0; i < OPERATIONS; i++) {
    if (handle != script.operations[i].handle) continue;
    MODEL_CHECK(bits == VN_READY_DONE);
    fetch(i, true);
    return;
  }
  for (int i = 0; i < THINGS; i++) {
    if (handle != script.things[i].handle) continue;
    if (bits & VN_READY_EVENT) script.things[i].heard = true;
    if (bits & VN_READY_PACKETS) script.things[i].pending = true;
    if (bits & VN_READY_WRITABLE) script.things[i].writable = true;
    return;
  }
}

static bool stopping(int i, int32_t status) {
  if (status != -VN_STOPPED) return false;
  script.things[i].to_send = 0;
  script.things[i].pending = false;
  return true;
}

/* While a switch has it there is nothing to do: its return will be told. */
static bool lent(int i, int32_t status) {
  if (status != -VN_IN_USE) return false;
  script.things[i].pending = script.things[i].writable = false;
  return true;
}

static void drain(int i) {
  uint8_t arena[256];
  uint32_t d[4 * VN_DESCRIPTOR_WORDS];
  for (int round = 0; round < 4 && script.things[i].pending; round++) {
    int32_t count = vn_drain(script.things[i].handle, arena, sizeof arena, d, 1 + model_random(4));
    if (stopping(i, count) || lent(i, count)) return;
    MODEL_CHECK(count >= 0 && count != VN_MORE); /* more, but nothing to take: it would come back for ever */
    for (int32_t k = 0; k < (count & 0xffff); k++) {
      MODEL_CHECK(frame_is(arena + d[k * 6], d[k * 6 + 1], script.things[i].thing->delivered));
      script.things[i].thing->delivered++;
    }
    if (!(count & VN_MORE)) script.things[i].pending = false;
  }
}

static void send_some(int i) {
  static uint8_t arena[4 * 64]; /* lent for the call, but the model has one script */
  uint32_t d[4 * VN_DESCRIPTOR_WORDS] = {0}, count = 1 + model_random(4);
  struct thing *thing = script.things[i].thing;
  if (count > script.things[i].to_send) count = script.things[i].to_send;
  for (uint32_t k = 0; k < count; k++) {
    d[k * 6] = k * 64;
    d[k * 6 + 1] = length_of(thing->sent + k);
    memset(arena + k * 64, (int)(thing->sent + k) + 1, 64);
  }
  int32_t taken = vn_send(script.things[i].handle, arena, sizeof arena, d, 0, count);
  if (stopping(i, taken) || lent(i, taken)) return;
  if (thing->vmnet && taken == -VMNET_BUFFER_EXHAUSTED) {
    script.things[i].writable = false;
    script.things[i].retry = vn_monotonic_ns() + 1000000;
    return;
  }
  MODEL_CHECK(taken >= 0 && (uint32_t)taken <= count);
  thing->sent += (uint32_t)taken;
  script.things[i].to_send -= (uint32_t)taken;
  if ((uint32_t)taken < count) script.things[i].writable = false;
}

/* Buffers of vmnet's that were full a millisecond ago are tried again, if due. The time of the next one, or 0. */
static uint64_t retries(bool due) {
  uint64_t next = 0;
  for (int i = 0; i < THINGS; i++) {
    uint64_t retry = script.things[i].retry;
    if (!script.things[i].handle || !retry) continue;
    if (due && retry <= vn_monotonic_ns()) script.things[i].retry = 0, script.things[i].writable = true;
    else if (!next || retry < next) next = retry;
  }
  return next;
}

static void whims(void) {
  int i = (int)model_random(OPERATIONS), t = (int)model_random(THINGS);
  switch (model_random(24)) {
    case 0:
    case 1: if (script.begun < 5) begin(VN_OP_INTERFACE_START, script.context); break;
    case 2: if (script.begun < 5) begin(VN_OP_NETWORK_CREATE, script.context); break;
    case 3: if (script.begun < 5) begin(VN_OP_PROBE, script.context); break;
    case 4: if (script.operations[i].handle) MODEL_CHECK(vn_cancel(script.operations[i].handle) == VN_OK); break;
    case 5: if (script.operations[i].handle) fetch(i, false); break;
    case 6:
      if (script.operations[i].handle && !model_random(3)) {
        MODEL_CHECK(vn_close(script.operations[i].handle) == VN_OK);
        over(i);
      }
      break;
    case 7:
      if (script.things[t].handle && !model_random(4)) {
        MODEL_CHECK(vn_close(script.things[t].handle) == VN_OK);
        forget(script.things[t].handle);
      }
      break;
    case 8: if (script.things[t].handle && !model_random(4)) begin(VN_OP_STOP, script.things[t].handle); break;
    case 9:
      if (script.things[t].handle && script.things[t].port && !vn_interest(script.things[t].handle, 0)) {
        script.things[t].pending = false; /* a reader that left while there was more: the next one has to hear of it */
        vn_model_step();
        vn_interest(script.things[t].handle, VN_READY_PACKETS);
      }
      break;
    case 10: if (!model_random(6)) script.finishing = true; break;
    case 11:
      if (script.things[t].handle && script.things[t].port) begin(VN_OP_SWITCH_CREATE, script.things[t].handle);
      break;
    default: break;
  }
}

void *script_body(void *unused) {
  script.context = vn_open();
  if (script.context == -VN_STOPPED) return unused; /* somebody called vn_shutdown() */
  MODEL_CHECK(script.context > 0);
  script.bell = vn_doorbell(script.context);
  begin(VN_OP_INTERFACE_START, script.context);
  if (model_random(2)) begin(VN_OP_INTERFACE_START, script.context);
  while (!script.finishing) {
    bool busy = false, end;
    retries(true);
    for (int i = 0; i < THINGS; i++) {
      if (script.things[i].handle && script.things[i].pending) drain(i);
      if (script.things[i].handle && script.things[i].to_send && script.things[i].writable) send_some(i);
      if (!script.things[i].handle) continue;
      busy |= script.things[i].pending || (script.things[i].to_send && script.things[i].writable);
    }
    whims();
    if (script.finishing) break;
    /* Sleep, unless setImmediate() would have us back. */
    while (!model_socket_take(script.bell, &end) && !busy && !script.finishing) {
      script.idle = true;
      busy = !model_wait(model_socket_event(script.bell), retries(false));
      script.idle = false;
    }
    MODEL_CHECK(!end);
    uint32_t pairs[6], max = 1 + model_random(3);
    int32_t count;
    do {
      script.polls++;
      count = vn_poll(script.context, pairs, max);
      MODEL_CHECK(count >= 0 && (uint32_t)count <= max);
      for (int32_t i = 0; i < count; i++) ready((int32_t)pairs[2 * i], pairs[2 * i + 1]);
    } while ((uint32_t)count == max && model_random(4)); /* not asked again: it must ring again */
    MODEL_CHECK(model_socket_sent(script.bell) <= script.polls + 1);
  }
  if (model_random(3)) MODEL_CHECK(vn_close(script.context) == VN_OK); /* else the thread's end does it */
  return unused;
}
