// SPDX-License-Identifier: MIT
/*
 * control.c - the control threads and their queue.
 *
 * Theory of operation. Threads are started on demand, one whenever more operations wait than threads idle, eight at the
 * most; an idle one stays for LINGER_NS and goes. A backend's call may never return (vmnet's daemon can do that), and
 * then its thread is lost until it does. While eight operations hang that nobody waits for any more, new ones answer
 * VN_BUSY at once instead of waiting for ever; all recover when a call returns. A call hangs when it has run for HANG_NS: a
 * script that cancels eight starts within a moment must still be able to stop its interface.
 *
 * The queue and the eight places of running operations are also where deadlines are looked for: an operation is always
 * in one of them until it has ended, and each holds it by a reference, so there is no list of deadlines to maintain.
 */
#include "control.h"

#include "operation.h"
#include "vmnet_shim.h"

#define LINGER_NS 200000000ull
#define HANG_NS 1000000000ull /* with other work on the machine, cancelled starts over the doubles took up to 0.1 s */

static struct {
  struct vn_lock lock;
  struct vn_operation *first, **last;
  struct vn_operation *running[VN_CONTROL_THREADS];
  uint32_t queued, threads, idle, busy;
} control;

int vn_control_init(void) {
  control.last = &control.first;
  return vn_lock_init(&control.lock);
}

static struct vn_operation *unlink_at(struct vn_operation **link) {
  struct vn_operation *operation = *link;
  *link = operation->next;
  if (!*link) control.last = link;
  control.queued--;
  return operation;
}

/* wait_for_work() - With the lock held. False when the thread should end. */
static bool wait_for_work(void) {
  uint64_t until = vn_monotonic_ns() + LINGER_NS;
  control.idle++;
  while (!control.first && vn_lock_wait(&control.lock, until)) {
  }
  control.idle--;
  return control.first;
}

static void *body(void *unused) {
  vn_lock(&control.lock);
  while (wait_for_work()) {
    struct vn_operation *operation = unlink_at(&control.first);
    int place = 0;
    while (control.running[place]) place++;
    operation->began_ns = vn_monotonic_ns();
    control.running[place] = operation;
    control.busy++;
    vn_unlock(&control.lock);
    vn_operation_run(operation);
    vn_lock(&control.lock);
    control.running[place] = NULL; /* first: the sweep must not meet an operation that is being freed */
    vn_unlock(&control.lock);
    vn_release(&operation->object);
    vn_lock(&control.lock);
    control.busy--;
  }
  control.threads--;
  vn_unlock(&control.lock);
  return unused;
}

static bool all_hang(void) {
  uint64_t now = vn_monotonic_ns();
  for (int i = 0; i < VN_CONTROL_THREADS; i++) {
    struct vn_operation *operation = control.running[i];
    if (!operation || !vn_operation_abandoned(operation) || now - operation->began_ns < HANG_NS) return false;
  }
  return true;
}

int vn_control_submit(struct vn_operation *operation) {
  vn_lock(&control.lock);
  int status = control.queued == VN_CONTROL_QUEUE || all_hang() ? VN_BUSY : VN_OK;
  if (!status && control.queued >= control.idle && control.threads < VN_CONTROL_THREADS) {
    if (!vn_thread_start(body, NULL)) control.threads++;
    else if (!control.threads) status = VN_NO_MEMORY;
  }
  if (!status) {
    operation->next = NULL;
    *control.last = operation;
    control.last = &operation->next;
    control.queued++;
    vn_lock_signal(&control.lock);
  }
  vn_unlock(&control.lock);
  return status;
}

/* expire() - Ends an operation that is due. Lowers next to its deadline otherwise. */
static void expire(struct vn_operation *operation, uint64_t now, bool all, uint64_t *next) {
  uint64_t deadline = operation->job.deadline_ns;
  if (all) vn_operation_end(operation, VN_CANCELLED_EARLY);
  else if (deadline && deadline <= now) vn_operation_end(operation, VN_TIMED_OUT);
  else if (deadline && (!*next || deadline < *next)) *next = deadline;
}

uint64_t vn_control_sweep(uint64_t now, bool all) {
  struct vn_operation *gone = NULL, *operation;
  uint64_t next = 0;
  vn_lock(&control.lock);
  for (int i = 0; i < VN_CONTROL_THREADS; i++) {
    if (control.running[i]) expire(control.running[i], now, all, &next);
  }
  for (struct vn_operation **link = &control.first; (operation = *link);) {
    expire(operation, now, all, &next);
    if (vn_operation_abandoned(operation)) {
      unlink_at(link);
      operation->next = gone;
      gone = operation;
    } else {
      link = &operation->next;
    }
  }
  vn_unlock(&control.lock);
  while ((operation = gone)) { /* outside: the last reference may take other objects along */
    gone = operation->next;
    vn_release(&operation->object);
  }
  return next;
}

uint32_t vn_control_running(void) {
  vn_lock(&control.lock);
  uint32_t busy = control.busy + control.queued;
  vn_unlock(&control.lock);
  return busy;
}

uint32_t vn_control_threads(void) {
  vn_lock(&control.lock);
  uint32_t threads = control.threads;
  vn_unlock(&control.lock);
  return threads;
}
