// SPDX-License-Identifier: MIT
/*
 * model_test.c - core/ under many schedules: a script, the operations it begins, and the native side of its ports.
 *
 * The script behaves like the JavaScript loop: it sleeps until the doorbell has a byte, polls, drains each ready port up
 * to four times and comes back by itself if there was more, sends until a port takes less, and fetches what is done. All
 * else is chance: how much is moved, interest that goes off and on, deadlines, cancels, and the moment it closes.
 *
 * Checked: every frame arrives once and in order, both ways; every wait ends (model_quiet()); no more bytes in the
 * doorbell than one per poll and one; an operation ends once, with a status that fits; what a late success made is
 * closed, and nothing is closed twice; in the end no object, handle, operation, context or descriptor is left.
 *
 * VN_LONG=1: 100,000 schedules instead of 5,000. VN_SEED=n: that one alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "control.h"
#include "handle.h"
#include "model.h"
#include "operation.h"
#include "port.h"
#include "runtime.h"
#include "vmnet_shim.h"

void vn_runtime_pin(void) {}

/* What the backend makes: a port with its native side, or (as a network) only something that signals once. */
struct thing {
  struct vn_ring_port ends;
  bool ended, closed, told; /* told: it signalled VN_READY_EVENT */
  bool poked, had_handle;
  uint32_t published, delivered; /* rx: by the producer, seen by the script */
  uint32_t sent, arrived;        /* tx: taken by vn_send(), seen by the switch */
};

static uint32_t alive, made, closed;
static struct {
  uint64_t in, out, ok, failed, timeout, cancelled, undone, early; /* early: closed with frames under way */
} totals;

static void thing_close(struct vn_object *object) {
  struct thing *thing = (struct thing *)object;
  MODEL_CHECK(!thing->closed);
  thing->closed = thing->ended = true;
  closed++;
  model_wake(&thing->poked);
  vn_release(object);
}

static void thing_destroy(struct vn_object *object) {
  struct thing *thing = (struct thing *)object;
  MODEL_CHECK(thing->closed);
  totals.in += thing->delivered;
  totals.out += thing->arrived;
  totals.undone += !thing->had_handle;
  totals.early += thing->delivered < thing->published || thing->arrived < thing->sent;
  vn_ring_destroy(&thing->ends.rx);
  vn_ring_destroy(&thing->ends.tx);
  free(thing);
  alive--;
}

static const struct vn_class port_class = {VN_INTERFACE, thing_close, thing_destroy};
static const struct vn_class network_class = {VN_NETWORK, thing_close, thing_destroy};

/* A frame's bytes come from its number; a step in between is where a torn one would be seen. */
static uint32_t length_of(uint32_t number) { return 14 + number * 7 % 50; }

static void write_frame(uint8_t *room, uint32_t number) {
  VN_STEP();
  memset(room, (int)number + 1, length_of(number));
}

static bool frame_is(const uint8_t *bytes, uint32_t length, uint32_t number) {
  for (uint32_t i = 0; i < length_of(number); i++) {
    if (bytes[i] != (uint8_t)(number + 1)) return false;
  }
  return length == length_of(number);
}

static void *producer(void *argument) {
  struct thing *thing = argument;
  uint32_t frames = model_random(12), tries = 20;
  for (uint32_t number = 0; number < frames && !thing->ended && tries; tries--) {
    uint8_t *room;
    for (uint32_t burst = 1 + model_random(3); burst && number < frames; burst--, number++) {
      if (!(room = vn_ring_reserve(&thing->ends.rx, length_of(number), 0))) break;
      write_frame(room, number);
      thing->published++;
    }
    vn_ring_publish(&thing->ends.rx);
    vn_port_arrived(&thing->ends.port);
    if (!model_random(3)) vn_sleep_ns(model_random(2000000));
  }
  vn_release(&thing->ends.port.object);
  return NULL;
}

static void *switch_side(void *argument) {
  struct thing *thing = argument;
  struct vn_frame frame;
  while (!thing->ended) {
    thing->poked = false;
    uint32_t limit = 1 + model_random(4);
    for (; limit && vn_ring_take(&thing->ends.tx, &frame); limit--, thing->arrived++) {
      MODEL_CHECK(frame_is(frame.bytes, frame.length, thing->arrived));
    }
    if (!limit) thing->poked = true; /* there may be more */
    vn_ring_free(&thing->ends.tx);
    vn_port_drained(&thing->ends.port);
    if (!thing->poked && !thing->ended) model_wait(&thing->poked, 0);
  }
  vn_release(&thing->ends.port.object);
  return NULL;
}

static void poke(struct vn_ring_port *ends) {
  struct thing *thing = (struct thing *)ends;
  thing->poked = true;
  model_wake(&thing->poked);
}

static void *teller(void *argument) {
  struct thing *thing = argument;
  if (model_random(2)) vn_sleep_ns(model_random(1000000));
  thing->told = true;
  vn_signal(&thing->ends.port.object, VN_READY_EVENT);
  vn_release(&thing->ends.port.object);
  return NULL;
}

static struct vn_object *make(struct vn_job *job, const struct vn_class *class) {
  struct thing *thing = calloc(1, sizeof *thing);
  vn_port_init(&thing->ends.port, class, job->doorbell, &vn_ring_source);
  vn_ring_init(&thing->ends.rx, 256);
  vn_ring_init(&thing->ends.tx, 256);
  thing->ends.wake = poke;
  alive++;
  made++;
  void *(*sides[])(void *) = {teller, producer, switch_side};
  for (int i = 0; i < (class == &port_class ? 3 : 1); i++) {
    vn_retain(&thing->ends.port.object);
    vn_thread_start(sides[i], thing);
  }
  return &thing->ends.port.object;
}

static uint32_t run(struct vn_job *job) {
  for (uint32_t n = model_random(4); n; n--) {
    vn_sleep_ns(model_random(2000000));
    if (model_random(2) && vn_job_abandoned(job)) return vn_fail(job, VN_CANCELLED, NULL, "gave up");
  }
  if (!model_random(10)) return vn_fail(job, VN_SYSTEM, NULL, "bad luck");
  if (job->op == VN_OP_INTERFACE_START) job->made = make(job, &port_class);
  if (job->op == VN_OP_NETWORK_CREATE) job->made = make(job, &network_class);
  if (job->op == VN_OP_STOP) {
    ((struct thing *)job->target)->ended = true;
    model_wake(&((struct thing *)job->target)->poked);
  }
  return VN_OK;
}

static uint32_t get(struct vn_object *object, uint32_t what, struct vn_writer *out) {
  return (void)object, (void)what, (void)out, VN_UNSUPPORTED;
}
static void nothing(void) {}
static uint32_t count_alive(void) { return alive; }
static const struct vn_backend backend = {"model", run, get, nothing, count_alive};
const struct vn_backend *vn_backend(void) { return &backend; }

/* The script. */

enum { OPERATIONS = 6, THINGS = 6 };

static struct {
  int32_t context;
  int bell;
  uint32_t polls;
  bool finishing, idle; /* idle: asleep on the doorbell */
  struct {
    int32_t handle;
    int32_t target;
    uint32_t op;
    bool deadline;
  } operations[OPERATIONS];
  struct {
    int32_t handle;
    struct thing *thing;
    bool port, pending, writable, heard, off;
    uint32_t to_send;
  } things[THINGS];
  uint32_t begun;
} script;

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
    MODEL_CHECK(handle > 0 || handle == -VN_STOPPED); /* vn_shutdown() is at it */
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
  MODEL_CHECK((handle > 0) == (status == VN_OK && op != VN_OP_STOP && op != VN_OP_PROBE));
  MODEL_CHECK(vn_result(script.operations[i].handle, list, sizeof list) == -VN_STALE);
  *(status == VN_OK ? &totals.ok : status == VN_TIMEOUT ? &totals.timeout : status == VN_CANCELLED ? &totals.cancelled : &totals.failed) += 1;
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

static void drain(int i) {
  uint8_t arena[256];
  uint32_t d[4 * VN_DESCRIPTOR_WORDS];
  for (int round = 0; round < 4 && script.things[i].pending; round++) {
    int32_t count = vn_drain(script.things[i].handle, arena, sizeof arena, d, 1 + model_random(4));
    if (stopping(i, count)) return;
    MODEL_CHECK(count >= 0);
    for (int32_t k = 0; k < (count & 0xffff); k++) {
      MODEL_CHECK(frame_is(arena + d[k * 6], d[k * 6 + 1], script.things[i].thing->delivered));
      script.things[i].thing->delivered++;
    }
    if (!(count & VN_MORE)) script.things[i].pending = false;
  }
}

static void send(int i) {
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
  if (stopping(i, taken)) return;
  MODEL_CHECK(taken >= 0 && (uint32_t)taken <= count);
  thing->sent += (uint32_t)taken;
  script.things[i].to_send -= (uint32_t)taken;
  if ((uint32_t)taken < count) script.things[i].writable = false;
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
        vn_model_step();
        vn_interest(script.things[t].handle, VN_READY_PACKETS);
      }
      break;
    case 10: if (!model_random(6)) script.finishing = true; break;
    default: break;
  }
}

static void *script_body(void *unused) {
  script.context = vn_open();
  if (script.context == -VN_STOPPED) return unused; /* somebody called vn_shutdown() */
  MODEL_CHECK(script.context > 0);
  script.bell = vn_doorbell(script.context);
  begin(VN_OP_INTERFACE_START, script.context);
  if (model_random(2)) begin(VN_OP_INTERFACE_START, script.context);
  while (!script.finishing) {
    bool busy = false, end;
    for (int i = 0; i < THINGS; i++) {
      if (script.things[i].handle && script.things[i].pending) drain(i);
      if (script.things[i].handle && script.things[i].to_send && script.things[i].writable) send(i);
      if (!script.things[i].handle) continue;
      busy |= script.things[i].pending || (script.things[i].to_send && script.things[i].writable);
    }
    whims();
    if (script.finishing) break;
    /* Sleep, unless setImmediate() would have us back. */
    while (!model_socket_take(script.bell, &end) && !busy && !script.finishing) {
      script.idle = true;
      model_wait(model_socket_event(script.bell), 0);
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

static void *shutter(void *unused) {
  vn_sleep_ns(model_random(3000000));
  vn_shutdown(model_random(3));
  return unused;
}

/* Nobody can go on. Either all is done, and the script is told to finish, or a wake-up was lost. */
void model_quiet(void) {
  if (script.finishing || !script.idle) model_fail("everything sleeps for ever");
  for (int i = 0; i < OPERATIONS; i++) {
    if (script.operations[i].handle) model_fail("an operation's end was not announced");
  }
  for (int i = 0; i < THINGS; i++) {
    struct thing *thing = script.things[i].thing;
    if (!script.things[i].handle || thing->ended) continue;
    if (script.things[i].port && thing->delivered != thing->published) model_fail("frames wait and the script sleeps");
    if (script.things[i].to_send) model_fail("there is room and the script sleeps");
    if (thing->arrived != thing->sent) model_fail("sent frames were lost");
    if (thing->told && !script.things[i].heard) model_fail("an event was not announced");
  }
  script.finishing = true;
  model_wake(model_socket_event(script.bell));
}

static void *first(void *unused) {
  MODEL_CHECK(vn_abi_version() == VN_ABI_VERSION);
  memset(&script, 0, sizeof script);
  alive = made = closed = 0;
  vn_thread_start(script_body, NULL);
  if (!model_random(8)) vn_thread_start(shutter, NULL);
  return unused;
}

static void schedule(uint64_t seed) {
  model_run(seed, first);
  MODEL_CHECK(!alive && made == closed);
  MODEL_CHECK(!vn_objects_alive() && !vn_operations_alive() && !vn_contexts_open() && !vn_handles_used());
  MODEL_CHECK(!vn_control_threads() && model_sockets_open() == (script.bell ? 1 : 0)); /* the script's end of the bell */
}

int main(void) {
  const char *seed = getenv("VN_SEED"), *longer = getenv("VN_LONG");
  if (seed) return schedule(strtoull(seed, NULL, 10)), printf("seed %s: ok\n", seed), 0;
  uint64_t schedules = longer && *longer ? 100000 : 5000;
  for (uint64_t i = 1; i <= schedules; i++) schedule(i);
  printf("%llu schedules passed: %llu frames in, %llu out, %llu ports closed with frames under way; operations: %llu done, %llu failed,"
         " %llu late, %llu cancelled; %llu successes undone\n", (unsigned long long)schedules, (unsigned long long)totals.in,
         (unsigned long long)totals.out, (unsigned long long)totals.early, (unsigned long long)totals.ok,
         (unsigned long long)totals.failed, (unsigned long long)totals.timeout, (unsigned long long)totals.cancelled,
         (unsigned long long)totals.undone);
  return 0;
}
