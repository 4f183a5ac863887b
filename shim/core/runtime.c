// SPDX-License-Identifier: MIT
/*
 * runtime.c - the beginning and the end of core/ in a process.
 *
 * Theory of operation. Everything is set up by the first vn_abi_version(), under an atomic state, because there are
 * neither constructors nor static initialisers of locks; all other calls refuse to work before. Nothing is ever torn
 * down: the library stays mapped, as native threads may be anywhere in it when the process exits.
 *
 * vn_shutdown() cancels every operation, lets the backend end its objects, and waits. While it waits new contexts and
 * operations answer VN_STOPPED; afterwards they work again, since it may have been a test or a script that goes on.
 * Only the shutdown by exit() is for good.
 */
#include "runtime.h"

#include "backend.h"
#include "context.h"
#include "control.h"
#include "handle.h"
#include "keeper.h"
#include "vmnet_shim.h"

#define EXIT_MS 1000 /* a gateway needs about 20 ms to go */

enum { UNTOUCHED, STARTING, READY };

static vn_atomic_u32 state, closing;

bool vn_runtime_ready(void) { return atomic_load(&state) == READY; }
bool vn_runtime_closing(void) { return atomic_load(&closing); }

int vn_runtime_init(void) {
  for (uint32_t seen = UNTOUCHED; !atomic_compare_exchange_strong(&state, &seen, STARTING); seen = UNTOUCHED) {
    if (seen == READY) return VN_OK;
    vn_sleep_ns(100000); /* another thread is at it */
  }
  int status = vn_handles_init();
  if (!status) status = vn_control_init();
  if (!status) status = vn_keeper_init();
  if (!status) status = vn_contexts_init();
  if (!status && vn_backend()->init) status = vn_backend()->init();
  if (!status) vn_runtime_pin();
  atomic_store(&state, status ? UNTOUCHED : READY);
  return status;
}

uint32_t vn_runtime_shutdown(uint32_t ms) {
  const struct vn_backend *backend = vn_backend();
  uint64_t until = vn_monotonic_ns() + ms * 1000000ull;
  uint32_t left;
  atomic_fetch_add(&closing, 1);
  for (;;) { /* again and again, for a call that began just before may still make something */
    vn_control_sweep(0, true);
    backend->shutdown();
    left = backend->alive() + vn_control_running();
    if (!left || vn_monotonic_ns() >= until) break;
    vn_sleep_ns(1000000);
  }
  atomic_fetch_sub(&closing, 1);
  return left;
}

void vn_runtime_exit(void) {
  atomic_fetch_add(&closing, 1); /* for good */
  vn_runtime_shutdown(EXIT_MS);
}
