// SPDX-License-Identifier: MIT
/*
 * model_things.c - the model's backend and the native side of its ports: a producer, a switch, a teller of events; and
 * another switch, which has the port instead of the script for a while.
 *
 * How much they move at once and how long they sleep is chance; that they publish before vn_port_arrived(), and free
 * before vn_port_drained(), is what every source has to do.
 */
#include "model_things.h"

#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "model.h"
#include "model_vmnet.h"
#include "vmnet_shim.h"

#ifndef VN_MODEL_VMNET
enum { WITH_VMNET = 0 };
void vmnet_init(struct thing *thing, const struct vn_class *class, struct vn_doorbell *doorbell) {
  (void)thing, (void)class, (void)doorbell;
}
void *vmnet_producer(void *thing) { return thing; }
void *vmnet_events(void *thing) { return thing; }
void vmnet_stop(struct thing *thing) { (void)thing; }
void vmnet_free(struct thing *thing) { (void)thing; }
void vmnet_settle(struct thing *thing) { (void)thing; }
#else
enum { WITH_VMNET = 1 };
#endif

struct thing_counts counts;
struct thing_totals totals;

static void thing_close(struct vn_object *object) {
  struct thing *thing = (struct thing *)object;
  MODEL_CHECK(!thing->closed);
  thing->closed = thing->ended = true;
  vn_port_fail(&thing->ends.port, VN_STOPPED);
  counts.closed++;
  model_wake(&thing->poked);
  if (thing->vmnet) vmnet_stop(thing);
  vn_release(object);
}

static void thing_destroy(struct vn_object *object) {
  struct thing *thing = (struct thing *)object;
  MODEL_CHECK(thing->closed);
  totals.in += thing->delivered;
  totals.out += thing->arrived;
  totals.undone += !thing->had_handle;
  totals.early += thing->delivered < thing->published || thing->arrived < thing->sent;
  if (thing->vmnet) {
    vmnet_free(thing);
  } else {
    vn_ring_destroy(&thing->ends.rx);
    vn_ring_destroy(&thing->ends.tx);
  }
  free(thing);
  counts.alive--;
}

static const struct vn_class port_class = {VN_INTERFACE, thing_close, thing_destroy};
static const struct vn_class network_class = {VN_NETWORK, thing_close, thing_destroy};

uint32_t length_of(uint32_t number) { return 14 + number * 7 % 50; }

/* A step in between is where a torn frame would be seen. */
static void write_frame(uint8_t *room, uint32_t number) {
  VN_STEP();
  memset(room, (int)number + 1, length_of(number));
}

bool frame_is(const uint8_t *bytes, uint32_t length, uint32_t number) {
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

/* A thread that is in here keeps the sink where it is. */
static void hear(struct vn_sink *sink) {
  struct thing *thing = (struct thing *)((char *)sink - offsetof(struct thing, sink));
  MODEL_CHECK(thing->lent);
  VN_STEP();
  MODEL_CHECK(thing->lent);
  thing->woken = true;
  model_wake(&thing->woken);
}

static void *borrower(void *argument) {
  struct thing *thing = argument;
  struct vn_port *port = &thing->ends.port;
  uint8_t arena[256];
  uint32_t d[4 * VN_DESCRIPTOR_WORDS], turns = 1 + model_random(6);
  thing->lent = true;
  vn_port_sink(port, &thing->sink);
  while (turns-- && !vn_atomic_load(&port->status)) {
    bool more;
    thing->woken = false;
    int32_t count = port->source->receive(port, arena, sizeof arena, d, 1 + model_random(4), &more);
    for (int32_t k = 0; k < count; k++) {
      MODEL_CHECK(frame_is(arena + d[k * 6], d[k * 6 + 1], thing->delivered));
      thing->delivered++;
    }
    if (count != 0) continue;
    vn_atomic_store(&port->armed, 1);
    if (!port->source->empty(port) || vn_atomic_load(&port->status) || thing->woken) continue;
    model_wait(&thing->woken, model_random(3) ? vn_monotonic_ns() + model_random(1000000) : 0);
  }
  vn_port_sink(port, NULL);
  thing->lent = false;
  vn_port_return(port);
  vn_release(&port->object);
  return NULL;
}

static void lend(struct vn_job *job) {
  struct thing *thing = (struct thing *)job->lent;
  thing->sink.wake = hear;
  job->lent = NULL;
  vn_retain(&thing->ends.port.object);
  vn_thread_start(borrower, thing);
}

static struct vn_object *make(struct vn_job *job, const struct vn_class *class) {
  struct thing *thing = calloc(1, sizeof *thing);
  thing->vmnet = WITH_VMNET && class == &port_class && model_random(2);
  if (thing->vmnet) {
    vmnet_init(thing, class, job->doorbell);
  } else {
    vn_port_init(&thing->ends.port, class, job->doorbell, &vn_ring_source);
    vn_ring_init(&thing->ends.rx, 256);
    vn_ring_init(&thing->ends.tx, 256);
    thing->ends.wake = poke;
  }
  counts.alive++;
  counts.made++;
  void *(*sides[])(void *) = {teller, thing->vmnet ? vmnet_producer : producer, thing->vmnet ? vmnet_events : switch_side};
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
  if (job->op == VN_OP_SWITCH_CREATE) lend(job);
  if (job->op == VN_OP_STOP) {
    struct thing *thing = (struct thing *)job->target;
    thing->ended = true;
    model_wake(&thing->poked);
    if (thing->vmnet) vmnet_stop(thing);
  }
  return VN_OK;
}

static uint32_t get(struct vn_object *object, uint32_t what, struct vn_writer *out) {
  return (void)object, (void)what, (void)out, VN_UNSUPPORTED;
}
static void nothing(void) {}
static uint32_t count_alive(void) { return counts.alive; }
static const struct vn_backend backend = {
    .name = "model", .run = run, .get = get, .shutdown = nothing, .alive = count_alive};
const struct vn_backend *vn_backend(void) { return &backend; }
