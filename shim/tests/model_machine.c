// SPDX-License-Identifier: MIT
/* model_machine.c - the scheduler of model.h, and os.h as its actors see it. */
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "vmnet_shim.h"

enum { ACTORS = 48, STACK = 64 << 10, SOCKETS = 64, STEPS = 400000 };

static struct actor {
  ucontext_t context;
  char *stack;
  void *(*body)(void *);
  void *argument, *slot;
  const void *waits;
  uint64_t until;
  bool used, late;
} actors[ACTORS], *running;

static struct {
  ucontext_t outside;
  uint64_t seed, random, now;
  uint32_t calm; /* a step goes on with the same actor calm times of calm + 1 */
  uint32_t steps;
  void (*ended)(void *);
} machine;

static struct {
  uint32_t bytes, sent;
  bool used, open[2], shut;
} sockets[SOCKETS];

void model_fail(const char *why) {
  printf("seed %llu, step %u: %s\n", (unsigned long long)machine.seed, machine.steps, why);
  fflush(stdout);
  _Exit(1);
}

uint32_t model_random(uint32_t below) { /* splitmix64 */
  uint64_t z = machine.random += 0x9e3779b97f4a7c15ull;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ z >> 27) * 0x94d049bb133111ebull;
  return (uint32_t)(((z ^ z >> 31) >> 32) * below >> 32);
}

/* pick() - Some actor that can go on, NULL when the last one has ended. */
static struct actor *pick(void) {
  for (;;) {
    struct actor *ready[ACTORS];
    uint32_t count = 0, used = 0;
    uint64_t next = UINT64_MAX;
    for (struct actor *a = actors; a < actors + ACTORS; a++) {
      if (!a->used) continue;
      used++;
      if (a->waits && a->until && a->until <= machine.now) a->waits = NULL, a->late = true;
      if (!a->waits) ready[count++] = a;
      else if (a->until && a->until < next) next = a->until;
    }
    if (count) return ready[model_random(count)];
    if (!used) return NULL;
    if (next != UINT64_MAX) machine.now = next;
    else model_quiet();
  }
}

static void go_on(void) {
  struct actor *from = running, *to = pick();
  if (from == to) return;
  running = to;
  swapcontext(&from->context, to ? &to->context : &machine.outside);
}

void vn_model_step(void) {
  if (++machine.steps > STEPS) model_fail("no end in sight");
  if (!model_random(64)) machine.now += model_random(1000000);
  if (!model_random(machine.calm + 1)) go_on();
}

static void trampoline(void) {
  struct actor *self = running;
  self->body(self->argument);
  void *slot = self->slot;
  self->slot = NULL;
  if (slot) machine.ended(slot);
  self->used = false;
  go_on();
}

int vn_thread_start(void *(*body)(void *), void *argument) {
  struct actor *a = actors;
  while (a < actors + ACTORS && a->used) a++;
  if (a == actors + ACTORS) model_fail("too many actors");
  if (!a->stack) a->stack = malloc(STACK);
  getcontext(&a->context);
  a->context.uc_stack.ss_sp = a->stack;
  a->context.uc_stack.ss_size = STACK;
  a->body = body;
  a->argument = argument;
  a->waits = a->slot = NULL;
  a->used = true;
  makecontext(&a->context, trampoline, 0);
  return VN_OK;
}

void model_run(uint64_t seed, void *(*first)(void *)) {
  static const uint32_t calms[] = {0, 1, 3, 7, 20};
  machine.seed = machine.random = seed;
  machine.calm = calms[model_random(5)];
  machine.steps = 0;
  machine.now = 0;
  memset(sockets, 0, sizeof sockets);
  vn_thread_start(first, NULL);
  running = actors;
  swapcontext(&machine.outside, &running->context);
}

bool model_wait(const void *event, uint64_t until_ns) {
  running->waits = event;
  running->until = until_ns;
  running->late = false;
  go_on();
  return !running->late;
}

void model_wake(const void *event) {
  for (struct actor *a = actors; a < actors + ACTORS; a++) {
    if (a->used && a->waits == event) a->waits = NULL;
  }
}

/* os.h from here on. */

uint64_t vn_monotonic_ns(void) { return machine.now + 1; }
uint64_t vn_realtime_ns(void) { return machine.now; }
void vn_sleep_ns(uint64_t ns) { model_wait(&machine, machine.now + ns + 1); }
uintptr_t vn_thread_self(void) { return (uintptr_t)(running - actors) + 1; }
int vn_thread_slot_init(void (*ended)(void *)) { return machine.ended = ended, VN_OK; }
void *vn_thread_slot(void) { return running->slot; }
int vn_thread_slot_set(void *value) { return running->slot = value, VN_OK; }

int vn_lock_init(struct vn_lock *lock) { return *lock = (struct vn_lock){0}, VN_OK; }
void vn_lock_destroy(struct vn_lock *lock) { (void)lock; }

void vn_lock(struct vn_lock *lock) {
  vn_model_step();
  while (lock->held) model_wait(&lock->held, 0);
  lock->held = 1;
}

void vn_unlock(struct vn_lock *lock) {
  lock->held = 0;
  model_wake(&lock->held);
}

void vn_lock_signal(struct vn_lock *lock) { model_wake(&lock->signals); }

bool vn_lock_wait(struct vn_lock *lock, uint64_t until_ns) {
  vn_unlock(lock);
  bool signalled = model_wait(&lock->signals, until_ns);
  vn_lock(lock);
  return signalled;
}

int vn_socketpair(int pair[2]) {
  int i = 0;
  while (sockets[i].used) MODEL_CHECK(++i < SOCKETS);
  sockets[i].used = sockets[i].open[0] = sockets[i].open[1] = true;
  pair[0] = 1000 + 2 * i;
  pair[1] = 1001 + 2 * i;
  return VN_OK;
}

void vn_socket_ring(int fd) {
  vn_model_step();
  MODEL_CHECK(sockets[(fd - 1000) / 2].open[1]);
  sockets[(fd - 1000) / 2].bytes++;
  sockets[(fd - 1000) / 2].sent++;
  model_wake(model_socket_event(fd));
}

void vn_socket_shut(int fd) {
  sockets[(fd - 1000) / 2].shut = true;
  model_wake(model_socket_event(fd));
}

/* No descriptor changes hands in the model. */
bool vn_file_id(int fd, struct vn_file_id *out) {
  *out = (struct vn_file_id){0, (uint64_t)fd};
  return true;
}

void vn_socket_close(int fd) {
  bool *open = &sockets[(fd - 1000) / 2].open[fd % 2];
  MODEL_CHECK(*open);
  *open = false;
}

uint32_t model_socket_take(int fd, bool *end) {
  uint32_t bytes = sockets[(fd - 1000) / 2].bytes;
  sockets[(fd - 1000) / 2].bytes = 0;
  *end = sockets[(fd - 1000) / 2].shut;
  return bytes;
}

const void *model_socket_event(int fd) { return &sockets[(fd - 1000) / 2]; }
uint32_t model_socket_sent(int fd) { return sockets[(fd - 1000) / 2].sent; }

uint32_t model_sockets_open(void) {
  uint32_t count = 0;
  for (int i = 0; i < SOCKETS; i++) count += sockets[i].open[0] + sockets[i].open[1];
  return count;
}
