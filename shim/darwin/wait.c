// SPDX-License-Identifier: MIT
/*
 * wait.c - waiting for a block of vmnet's, which may come late or never.
 *
 * Whoever is second, the block or the end of the waiting, sees under the lock that the other came first: so an answer
 * is
 * either waited for or told that nobody waits, never both and never neither.
 */
#include <stdlib.h>

#include "system.h"
#include "vmnet_shim.h"

#define LOOK_NS 10000000ull /* an operation that was cancelled is noticed so late; a start takes 20 ms at least */

struct vn_mac_wait {
  vn_atomic_u32 references;
  struct vn_lock lock;
  bool done, given_up;
  uint32_t status;
};

static vn_atomic_u32 alive;

uint32_t vn_mac_waits_alive(void) { return vn_counted(&alive); }

struct vn_mac_wait *vn_mac_wait_new(void) {
  struct vn_mac_wait *wait = calloc(1, sizeof *wait);
  if (wait == NULL || vn_lock_init(&wait->lock) != VN_OK) return free(wait), NULL;
  wait->references = 2;
  vn_count(&alive, 1);
  return wait;
}

void vn_mac_wait_release(struct vn_mac_wait *wait) {
  if (vn_atomic_add(&wait->references, -1) != 1) return;
  vn_lock_destroy(&wait->lock);
  free(wait);
  vn_count(&alive, -1);
}

bool vn_mac_wait_done(struct vn_mac_wait *wait, uint32_t status) {
  vn_lock(&wait->lock);
  wait->done = true;
  wait->status = status;
  bool wanted = !wait->given_up;
  vn_lock_signal(&wait->lock);
  vn_unlock(&wait->lock);
  vn_mac_wait_release(wait);
  return wanted;
}

bool vn_mac_wait(struct vn_mac_wait *wait, struct vn_job *job, uint32_t *status) {
  vn_lock(&wait->lock);
  while (!wait->done && !wait->given_up) {
    uint64_t now = vn_monotonic_ns(), next = now + LOOK_NS;
    if (job->deadline_ns != 0 && job->deadline_ns < next) next = job->deadline_ns;
    if (vn_job_abandoned(job) || next <= now)
      wait->given_up = true;
    else
      vn_lock_wait(&wait->lock, next);
  }
  bool done = wait->done;
  if (done) *status = wait->status;
  vn_unlock(&wait->lock);
  return done;
}
