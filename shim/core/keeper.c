// SPDX-License-Identifier: MIT
/*
 * keeper.c - the keeper thread.
 *
 * Theory of operation. Deadlines must pass even while every control thread hangs in a call that never returns, so they
 * have a thread of their own. It lives while there is a context, sleeps until the next deadline, and is kicked when one
 * is added, because that one may be nearer. Without contexts there are no deadlines: closing one cancelled its
 * operations.
 */
#include "keeper.h"

#include "control.h"
#include "vmnet_shim.h"

static struct {
  struct vn_lock lock;
  uint32_t contexts;
  bool runs, kicked;
} keeper;

int vn_keeper_init(void) { return vn_lock_init(&keeper.lock); }

static void *body(void *unused) {
  vn_lock(&keeper.lock);
  while (keeper.contexts) {
    keeper.kicked = false;
    vn_unlock(&keeper.lock);
    uint64_t next = vn_control_sweep(vn_monotonic_ns(), false);
    vn_lock(&keeper.lock);
    while (!keeper.kicked && keeper.contexts && vn_lock_wait(&keeper.lock, next)) {
    }
  }
  keeper.runs = false;
  vn_unlock(&keeper.lock);
  return unused;
}

int vn_keeper_enter(void) {
  vn_lock(&keeper.lock);
  int status = keeper.runs ? VN_OK : vn_thread_start(body, NULL);
  if (!status) keeper.runs = true, keeper.contexts++;
  vn_unlock(&keeper.lock);
  return status;
}

void vn_keeper_leave(void) {
  vn_lock(&keeper.lock);
  if (!--keeper.contexts) vn_lock_signal(&keeper.lock);
  vn_unlock(&keeper.lock);
}

void vn_keeper_kick(void) {
  vn_lock(&keeper.lock);
  keeper.kicked = true;
  vn_lock_signal(&keeper.lock);
  vn_unlock(&keeper.lock);
}

bool vn_keeper_runs(void) {
  vn_lock(&keeper.lock);
  bool runs = keeper.runs;
  vn_unlock(&keeper.lock);
  return runs;
}
