// SPDX-License-Identifier: MIT
/* network.c - commands, timers, and the loop of the thread that has them; network.h explains how they fit. */
#include "network.h"

#include <stdlib.h>
#include <string.h>

#include "facts.h"
#include "plane/tap.h"
#include "request.h"
#include "share.h"
#include "vmnet_shim.h"

/* Commands. */

void vn_network_wake(struct vn_network *network) {
  if (vn_atomic_load(&network->sleeping) && vn_atomic_exchange(&network->sleeping, 0))
    vn_poller_ring(&network->poller);
}

void vn_network_work(struct vn_net_port *port) {
  vn_atomic_u64 *word = &port->network->work[port->table.id / 64 % (VN_SWITCH_PORTS / 64)];
  uint64_t bit = 1ull << port->table.id % 64;
  if (!(vn_atomic_load(word) & bit)) vn_atomic_or(word, bit);
  vn_network_wake(port->network);
}

bool vn_network_post(struct vn_network *network, struct vn_command *command) {
  vn_lock(&network->lock);
  bool taken = !network->ended;
  if (taken) {
    command->next = NULL;
    command->done = false;
    *network->commands_end = command;
    network->commands_end = &command->next;
    vn_atomic_store(&network->posted, 1);
  }
  vn_unlock(&network->lock);
  if (taken) vn_network_wake(network);
  return taken;
}

bool vn_network_call(struct vn_network *network, struct vn_command *command) {
  if (!vn_network_post(network, command)) return false;
  vn_lock(&network->lock);
  while (!command->done) vn_lock_wait(&network->lock, 0);
  vn_unlock(&network->lock);
  return true;
}

/* Runs what is queued. A command may free itself, so a waiting sender is told by its done flag only where it has one.
 * */
static void run_commands(struct vn_network *network) {
  if (!vn_atomic_load(&network->posted)) return;
  vn_atomic_store(&network->posted, 0);
  for (;;) {
    vn_lock(&network->lock);
    struct vn_command *command = network->commands;
    if (command != NULL && (network->commands = command->next) == NULL) network->commands_end = &network->commands;
    vn_unlock(&network->lock);
    if (command == NULL) return;
    command->run(network, command);
  }
}

void vn_command_done(struct vn_network *network, struct vn_command *command) {
  vn_lock(&network->lock);
  command->done = true;
  vn_lock_signal(&network->lock);
  vn_unlock(&network->lock);
}

static bool wait_flag(struct vn_network *network, const bool *flag, uint64_t until_ns) {
  vn_lock(&network->lock);
  bool in_time = true;
  while (!*flag && in_time) in_time = vn_lock_wait(&network->lock, until_ns);
  bool set = *flag;
  vn_unlock(&network->lock);
  return set;
}

bool vn_network_wait_started(struct vn_network *network, uint64_t until_ns) {
  return wait_flag(network, &network->started, until_ns);
}

bool vn_network_wait_ended(struct vn_network *network, uint64_t until_ns) {
  return wait_flag(network, &network->ended, until_ns);
}

void vn_network_started(struct vn_network *network, const struct vn_refusal *how) {
  vn_lock(&network->lock);
  if (!network->started) {
    network->refusal = *how;
    network->started = true;
    vn_lock_signal(&network->lock);
  }
  vn_unlock(&network->lock);
}

/* Timers: few, so a list is enough. */

void vn_network_timer(struct vn_network *network, struct vn_timer *timer, uint64_t at_ns) {
  if (timer->at_ns != 0) {
    struct vn_timer **at = &network->timers;
    while (*at != timer) at = &(*at)->next;
    *at = timer->next;
  }
  timer->at_ns = at_ns;
  if (at_ns == 0) return;
  timer->next = network->timers;
  network->timers = timer;
}

static void run_timers(struct vn_network *network) {
  for (struct vn_timer *timer = network->timers; timer != NULL;) {
    if (timer->at_ns > network->now_ns) {
      timer = timer->next;
      continue;
    }
    vn_network_timer(network, timer, 0);
    timer->due(network, timer);
    timer = network->timers; /* it may have changed the list */
  }
}

/* How long the thread may sleep; VN_POLL_FOREVER when nothing is set. */
static uint64_t until_timer(const struct vn_network *network) {
  uint64_t left = VN_POLL_FOREVER;
  for (const struct vn_timer *timer = network->timers; timer != NULL; timer = timer->next) {
    uint64_t wait = timer->at_ns > network->now_ns ? timer->at_ns - network->now_ns : 0;
    if (wait < left) left = wait;
  }
  return left;
}

/* The thread. */

/* One port's ring. Answers whether more wait. */
static bool take_port(struct vn_network *network, uint32_t id) {
  struct vn_net_port *port = (struct vn_net_port *)network->table.ports[id];
  if (port == NULL || port->class->input == NULL) { /* it went, and its bit came after it */
    vn_atomic_and(&network->work[id / 64], ~(1ull << id % 64));
    return false;
  }
  if (port->class->idle == NULL) {
    vn_atomic_and(&network->work[id / 64], ~(1ull << id % 64)); /* first: what comes later sets it again */
    if (!port->class->input(port)) return false;
    vn_atomic_or(&network->work[id / 64], 1ull << id % 64);
    return true;
  }
  bool more = port->class->input(port);
  port->quiet = more ? 0 : port->quiet + 1;
  if (port->quiet < VN_QUIET_TURNS) return more;
  port->quiet = 0;
  vn_atomic_and(&network->work[id / 64], ~(1ull << id % 64));
  if (!port->class->idle(port)) vn_atomic_or(&network->work[id / 64], 1ull << id % 64);
  return false;
}

static bool take_turn(struct vn_network *network) {
  bool more = false;
  for (uint32_t i = 0; i < VN_SWITCH_PORTS / 64; i++)
    for (uint64_t bits = vn_atomic_load(&network->work[i]); bits != 0; bits &= bits - 1)
      more |= take_port(network, i * 64 + (uint32_t)__builtin_ctzll(bits));
  for (struct vn_net_port *port = network->polled; port != NULL; port = port->next_polled)
    more |= port->class->input(port);
  if (network->look != NULL) more |= vn_intercepts_input(network);
  return more;
}

/* The last look at the rings whose bit is set, after it was taken away. */
static bool all_quiet(struct vn_network *network) {
  bool quiet = true;
  for (uint32_t i = 0; i < VN_SWITCH_PORTS / 64; i++) {
    if (!vn_atomic_load(&network->work[i])) continue;
    for (uint64_t bits = vn_atomic_exchange(&network->work[i], 0); bits != 0; bits &= bits - 1) {
      struct vn_net_port *port = (struct vn_net_port *)network->table.ports[i * 64 + (uint32_t)__builtin_ctzll(bits)];
      if (port == NULL || port->class->input == NULL) continue;
      if (port->class->idle != NULL && port->class->idle(port)) continue;
      vn_atomic_or(&network->work[i], bits & -bits);
      quiet = false;
    }
  }
  return quiet;
}

static bool may_sleep(struct vn_network *network) {
  vn_atomic_store(&network->sleeping, 1);
  bool idle = !vn_atomic_load(&network->posted);
  if (idle) idle = all_quiet(network);
  for (struct vn_net_port *port = network->polled; port != NULL && idle; port = port->next_polled)
    idle = port->class->idle(port);
  if (idle && network->look != NULL) idle = vn_intercepts_idle(network);
  if (!idle) vn_atomic_store(&network->sleeping, 0);
  return idle;
}

void vn_network_end(struct vn_network *network, uint32_t status) {
  if (network->ending) return;
  network->ending = true;
  uint32_t none = VN_OK;
  vn_atomic_cas(&network->status, &none, status);
  vn_registry_forget(network);
  struct vn_refusal refusal;
  vn_refuse(&refusal, status, NULL, "the network was stopped");
  vn_network_started(network, &refusal);
  vn_share_end_all(network);
  vn_plane_end(network, status);
  while (network->ports != NULL) vn_network_remove(network->ports, status);
  vn_requests_fail(network);
  if (network->upstream != NULL) network->upstream->stop(network);
  vn_facts_ended(network);
  if (network->attachment != NULL) network->attachment->ended(network->attachment);
}

struct attach {
  struct vn_command command;
  struct vn_attachment *attachment;
};

static void run_attach(struct vn_network *network, struct vn_command *command) {
  network->attachment = ((struct attach *)command)->attachment;
  if (network->ending) network->attachment->ended(network->attachment);
  vn_command_done(network, command);
}

void vn_network_attach(struct vn_network *network, struct vn_attachment *attachment) {
  struct attach attach = {.command.run = run_attach, .attachment = attachment};
  if (vn_network_call(network, &attach.command)) return;
  network->attachment = attachment; /* the thread is gone */
  attachment->ended(attachment);
}

static bool all_gone(struct vn_network *network) {
  if (!network->ending || (network->upstream != NULL && !network->upstream->gone(network))) return false;
  vn_lock(&network->lock);
  bool gone = network->commands == NULL;
  if (gone) {
    network->ended = true;
    vn_lock_signal(&network->lock);
  }
  vn_unlock(&network->lock);
  return gone;
}

static void *network_body(void *argument) {
  struct vn_network *network = argument;
  for (;;) {
    network->now_ns = vn_monotonic_ns();
    vn_switch_time(&network->table, network->now_ns);
    run_commands(network);
    bool more = take_turn(network);
    run_timers(network);
    vn_network_flush(network); /* may set timers */
    if (all_gone(network)) break;
    bool idle = !more && may_sleep(network);
    /* A network of rings alone needs no look at its sockets while it is busy. */
    if (idle || network->poller.count > 0) vn_poller_wait(&network->poller, idle ? until_timer(network) : 0);
    if (!idle) continue;
    vn_atomic_store(&network->sleeping, 0);
    vn_tally(&network->wakes, 1);
  }
  vn_registry_ended();
  vn_network_release(network);
  return NULL;
}

uint32_t vn_network_new(struct vn_network_options *options, void (*first)(struct vn_network *, struct vn_command *),
                        struct vn_network **out) {
  struct vn_network *network = aligned_alloc(_Alignof(struct vn_network), sizeof *network);
  if (network == NULL) return VN_NO_MEMORY;
  memset(network, 0, sizeof *network);
  vn_atomic_store(&network->references, 2); /* the caller's and the thread's */
  network->commands_end = &network->commands;
  uint64_t seed;
  vn_random(&seed, sizeof seed);
  vn_switch_init(&network->table, seed);
  int status = vn_lock_init(&network->lock);
  if (status != VN_OK) {
    free(network);
    return (uint32_t)status;
  }
  status = vn_poller_init(&network->poller);
  if (status == VN_OK && (network->facts = vn_facts_new()) == NULL) status = VN_NO_MEMORY;
  if (status == VN_OK) {
    network->options = *options;
    network->first.run = first;
    vn_network_post(network, &network->first);
    status = vn_thread_start(network_body, network);
    if (status == VN_OK) {
      *out = network;
      *options = (struct vn_network_options){.mode = 0};
      return VN_OK;
    }
    network->options = (struct vn_network_options){.mode = 0}; /* stays the caller's */
  }
  vn_atomic_store(&network->references, 1);
  vn_network_release(network);
  return (uint32_t)status;
}

void vn_network_retain(struct vn_network *network) { vn_atomic_add(&network->references, 1); }

void vn_network_release(struct vn_network *network) {
  if (vn_atomic_add(&network->references, -1) != 1) return;
  vn_poller_destroy(&network->poller);
  vn_facts_free(network->facts);
  vn_network_options_free(&network->options);
  free(network->owner);
  vn_plane_free(network->plane);
  if (network->attachment != NULL) network->attachment->freed(network->attachment);
  vn_lock_destroy(&network->lock);
  free(network);
}

static void run_stop(struct vn_network *network, struct vn_command *command) {
  (void)command;
  vn_network_end(network, vn_atomic_load(&network->stop_status));
}

void vn_network_stop(struct vn_network *network, uint32_t status) {
  uint32_t none = VN_OK;
  if (!vn_atomic_cas(&network->stop_status, &none, status)) return; /* on its way */
  network->stop.run = run_stop;
  vn_network_post(network, &network->stop);
}
