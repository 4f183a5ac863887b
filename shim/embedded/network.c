// SPDX-License-Identifier: MIT
/* network.c - commands, ports, timers, and the loop of the thread that has them; network.h explains how they fit. */
#include "network.h"

#include <stdlib.h>
#include <string.h>

#include "facts.h"
#include "request.h"
#include "share.h"
#include "vmnet_shim.h"

/* Commands. */

void vn_network_wake(struct vn_network *network) {
  if (vn_atomic_load(&network->sleeping) && vn_atomic_exchange(&network->sleeping, 0))
    vn_poller_ring(&network->poller);
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

/* Runs what is queued. A command may free itself, so a waiting sender is told by its done flag only where it has one. */
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

/* Ports. */

void vn_network_drop(struct vn_net_port *port, enum vn_drop cause) {
  vn_count(&port->drops[cause], 1);
  vn_count(&port->network->drops[cause], 1);
}

static void deliver(struct vn_network *network, struct vn_net_port *to, const uint8_t *frame, uint32_t length) {
  if (length > to->max_frame) {
    vn_network_drop(to, VN_DROP_LONG);
    return;
  }
  to->class->output(to, frame, length);
  if (to->touched) return;
  to->touched = true;
  to->next_touched = network->touched;
  network->touched = to;
}

void vn_network_forward(struct vn_net_port *from, const uint8_t *frame, uint32_t length) {
  struct vn_network *network = from->network;
  network->frames_turn++;
  network->bytes_turn += length;
  if (length > from->max_frame) {
    vn_network_drop(from, VN_DROP_LONG);
    return;
  }
  if (from->peer != NULL) {
    deliver(network, from->peer, frame, length);
    return;
  }
  struct vn_switch_port *to = vn_switch_forward(&network->table, &from->table, frame, length);
  if (to == VN_SWITCH_DROP) return;
  if (to != VN_SWITCH_FLOOD) {
    deliver(network, (struct vn_net_port *)to, frame, length);
    return;
  }
  for (struct vn_net_port *port = network->ports; port != NULL; port = port->next)
    if (vn_switch_allows(&from->table, &port->table)) deliver(network, port, frame, length);
}

/* One place is the gateway's, also while it starts anew: else it could not come back. */
static bool is_kept_free(const struct vn_network *network) {
  bool uplink = !network->options.gateway_needed;
  for (const struct vn_net_port *port = network->ports; port != NULL; port = port->next) uplink |= port->table.uplink;
  return !uplink && vn_counted(&network->port_count) + 1 >= VN_SWITCH_PORTS;
}

bool vn_network_add(struct vn_network *network, struct vn_net_port *port) {
  if (!port->table.uplink && is_kept_free(network)) return false;
  if (!vn_switch_add(&network->table, &port->table)) return false;
  port->network = network;
  port->next = network->ports;
  network->ports = port;
  vn_count(&network->port_count, 1);
  return true;
}

void vn_network_remove(struct vn_net_port *port, uint32_t status) {
  struct vn_network *network = port->network;
  struct vn_net_port **at = &network->ports, *peer = port->peer;
  while (*at != port) at = &(*at)->next;
  *at = port->next;
  if (port->touched) {
    for (at = &network->touched; *at != port;) at = &(*at)->next_touched;
    *at = port->next_touched;
    port->touched = false;
  }
  vn_switch_remove(&network->table, &port->table);
  vn_count(&network->port_count, (uint64_t)-1);
  port->peer = NULL;
  if (peer != NULL) peer->peer = NULL;
  if (peer != NULL) vn_network_remove(peer, status); /* first: removed() may end the network, and with it all ports */
  port->class->removed(port, status);
}

bool vn_network_mac_taken(const struct vn_network *network, const uint8_t mac[6]) {
  for (struct vn_net_port *port = network->ports; port != NULL; port = port->next)
    if (memcmp(port->mac, mac, 6) == 0) return true;
  return false;
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

/* Runs what is due and answers how long the thread may sleep, in ms; -1 for ever. */
static int run_timers(struct vn_network *network) {
  uint64_t now = network->now_ns, first = 0;
  for (struct vn_timer *timer = network->timers; timer != NULL;) {
    if (timer->at_ns > now) {
      if (first == 0 || timer->at_ns < first) first = timer->at_ns;
      timer = timer->next;
      continue;
    }
    vn_network_timer(network, timer, 0);
    timer->due(network, timer);
    timer = network->timers; /* it may have changed the list */
    first = 0;
  }
  if (first == 0) return -1;
  uint64_t left = (first - now + 999999) / 1000000;
  return left > 60000 ? 60000 : (int)left;
}

/* The thread. */

static bool take_turn(struct vn_network *network) {
  bool more = false;
  for (struct vn_net_port *port = network->ports; port != NULL; port = port->next)
    if (port->class->input != NULL) more |= port->class->input(port);
  return more;
}

static void flush(struct vn_network *network) {
  if (network->frames_turn != 0) { /* first: who has a frame finds it counted */
    vn_count(&network->frames, network->frames_turn);
    vn_count(&network->bytes, network->bytes_turn);
    vn_count(&network->turns, 1);
    network->frames_turn = network->bytes_turn = 0;
  }
  while (network->touched != NULL) {
    struct vn_net_port *port = network->touched;
    network->touched = port->next_touched;
    port->touched = false;
    port->class->flush(port);
  }
}

static bool may_sleep(struct vn_network *network) {
  vn_atomic_store(&network->sleeping, 1);
  bool idle = !vn_atomic_load(&network->posted);
  for (struct vn_net_port *port = network->ports; port != NULL && idle; port = port->next)
    if (port->class->idle != NULL) idle = port->class->idle(port);
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
    int sleep_ms = run_timers(network);
    flush(network);
    if (all_gone(network)) break;
    bool idle = !more && may_sleep(network);
    /* A network of rings alone needs no look at its sockets while it is busy. */
    if (idle || network->poller.count > 0) vn_poller_wait(&network->poller, idle ? sleep_ms : 0);
    if (idle) vn_atomic_store(&network->sleeping, 0);
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
