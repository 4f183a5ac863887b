// SPDX-License-Identifier: MIT
/*
 * model_test.c - core/ and darwin/nic_source.c under many schedules: the script (model_script.h), the operations it
 * begins,
 * and the native side of its ports (model_things.h, model_vmnet.h).
 *
 * Checked: every frame arrives once and in order, both ways; every wait ends (model_quiet()); no more bytes in the
 * doorbell than one per poll and one; an operation ends once, with a status that fits; what a late success made is
 * closed, and nothing is closed twice; in the end no object, handle, operation, context or descriptor is left.
 *
 * VN_LONG=1: 100,000 schedules instead of 20,000. VN_SEED=n: that one alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "control.h"
#include "handle.h"
#include "model.h"
#include "model_script.h"
#include "model_vmnet.h"
#include "operation.h"
#include "runtime.h"
#include "vmnet_shim.h"

void vn_runtime_pin(void) {}

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
    if (thing->vmnet) vmnet_settle(thing);
    if (script.things[i].port && thing->delivered != thing->published) model_fail("frames wait and the reader sleeps");
    if (script.things[i].to_send && !thing->lent) model_fail("there is room and the script sleeps");
    if (thing->arrived != thing->sent) model_fail("sent frames were lost");
    if (thing->told && !script.things[i].heard) model_fail("an event was not announced");
  }
  script.finishing = true;
  model_wake(model_socket_event(script.bell));
}

static void *first(void *unused) {
  MODEL_CHECK(vn_abi_version() == VN_ABI_VERSION);
  memset(&script, 0, sizeof script);
  memset(&counts, 0, sizeof counts);
  vn_thread_start(script_body, NULL);
  if (!model_random(8)) vn_thread_start(shutter, NULL);
  return unused;
}

static void schedule(uint64_t seed) {
  model_run(seed, first);
  MODEL_CHECK(!counts.alive && counts.made == counts.closed);
  MODEL_CHECK(!vn_objects_alive() && !vn_operations_alive() && !vn_contexts_open() && !vn_handles_used());
  MODEL_CHECK(!vn_control_threads() && model_sockets_open() == (script.bell ? 1 : 0)); /* the script's end of the bell */
}

int main(void) {
  const char *seed = getenv("VN_SEED"), *longer = getenv("VN_LONG");
  if (seed) return schedule(strtoull(seed, NULL, 10)), printf("seed %s: ok\n", seed), 0;
  uint64_t schedules = longer && *longer ? 100000 : 20000;
  for (uint64_t i = 1; i <= schedules; i++) schedule(i);
  printf("%llu schedules passed: %llu frames in, %llu out, %llu ports closed with frames under way; operations: %llu done, %llu failed,"
         " %llu late, %llu cancelled; %llu successes undone\n", (unsigned long long)schedules, (unsigned long long)totals.in,
         (unsigned long long)totals.out, (unsigned long long)totals.early, (unsigned long long)totals.ok,
         (unsigned long long)totals.failed, (unsigned long long)totals.timeout, (unsigned long long)totals.cancelled,
         (unsigned long long)totals.undone);
  return 0;
}
