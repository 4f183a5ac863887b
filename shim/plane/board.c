// SPDX-License-Identifier: MIT
/*
 * board.c - making and ending boards, their state and events, and the settings of ports.
 *
 * One reference is the handle's, one the network's while the board is in its list. A board of a network that exists
 * ends by a command; one with a network of its own ends by that network's end. Either way what was attached through it
 * goes first.
 *
 * A network that another process made has its switch there. A board of it is a new switch here, whose uplink is an
 * interface on that network; nobody else has that interface, and it ends with the board.
 */
#include "board.h"

#include <stdlib.h>
#include <string.h>

#include "core/port.h"
#include "embedded/holder.h"
#include "endpoint.h"
#include "loan.h"
#include "plane_options.h"
#include "tap.h"
#include "vmnet_shim.h"

#define SECOND_NS 1000000000ull

uint32_t vn_board_max_frame(const struct vn_network *network) { return network->options.mtu + VN_ETHERNET_HEADER; }

/* The network's thread. */

static void close_hidden(struct vn_board *board) {
  if (board->hidden != NULL) board->hidden->class->close(board->hidden);
  board->hidden = NULL;
}

static void end(struct vn_board *board, uint32_t status) {
  struct vn_network *network = board->network;
  uint32_t none = VN_OK;
  vn_endpoints_end(network, board, status);
  vn_taps_end(network, board, status);
  struct vn_board **at = &network->plane->boards;
  while (*at != board) at = &(*at)->next;
  *at = board->next;
  board->linked = false;
  close_hidden(board);
  vn_atomic_cas(&board->status, &none, status);
  vn_lock(&network->lock);
  board->ended = true;
  vn_lock_signal(&network->lock);
  vn_unlock(&network->lock);
  vn_signal(&board->object, VN_READY_STATE);
  vn_release(&board->object);
}

static void run_end(struct vn_network *network, struct vn_command *command) {
  (void)network;
  struct vn_board *board = (struct vn_board *)((char *)command - offsetof(struct vn_board, command));
  if (board->linked) end(board, VN_STOPPED);
  vn_release(&board->object);
}

void vn_boards_end(struct vn_network *network, uint32_t status) {
  while (network->plane->boards != NULL) end(network->plane->boards, status);
}

void vn_board_tell(struct vn_board *board, const struct vn_board_event *event) {
  vn_lock(&board->network->lock);
  if (board->count == VN_BOARD_EVENTS) {
    board->first = (board->first + 1) % VN_BOARD_EVENTS;
    board->count--;
    board->lost++;
  }
  board->events[(board->first + board->count++) % VN_BOARD_EVENTS] = *event;
  bool first = !board->told;
  board->told = true;
  vn_unlock(&board->network->lock);
  if (first) vn_signal(&board->object, VN_READY_EVENT);
}

struct begin {
  struct vn_command command;
  struct vn_board *board;
  const struct vn_board_options *options;
  uint32_t status;
};

static void run_begin(struct vn_network *network, struct vn_command *command) {
  struct begin *begin = (struct begin *)command;
  struct vn_plane *plane = vn_plane_of(network);
  begin->status = network->ending ? VN_GONE : plane == NULL ? VN_NO_MEMORY : VN_OK;
  if (begin->status == VN_OK) {
    network->straight |= begin->options->straight;
    if (begin->options->age_seconds) network->table.age_ns = begin->options->age_seconds * SECOND_NS;
    begin->board->next = plane->boards;
    plane->boards = begin->board;
    begin->board->linked = true;
    vn_retain(&begin->board->object);
  }
  vn_command_done(network, command);
}

/* The object. */

static void begin_end(struct vn_board *board) {
  if (vn_atomic_exchange(&board->ending, 1)) return;
  if (board->own) {
    vn_network_stop(board->network, VN_STOPPED);
    return;
  }
  board->command.run = run_end;
  vn_retain(&board->object);
  if (!vn_network_post(board->network, &board->command)) vn_release(&board->object);
}

static void board_close(struct vn_object *object) {
  begin_end((struct vn_board *)object);
  vn_release(object);
}

static void board_destroy(struct vn_object *object) {
  struct vn_board *board = (struct vn_board *)object;
  close_hidden(board); /* of one that was never begun */
  vn_network_release(board->network);
  free(board);
}

static const struct vn_class board_class = {.kind = VN_SWITCH, .close = board_close, .destroy = board_destroy};

static void stop(struct vn_board *board, uint64_t until_ns) {
  struct vn_network *network = board->network;
  bool in_time = true;
  begin_end(board);
  vn_lock(&network->lock);
  while (!(board->ended && !board->own) && !network->ended && in_time) in_time = vn_lock_wait(&network->lock, until_ns);
  vn_unlock(&network->lock);
}

static void write_events(struct vn_board *board, struct vn_writer *out) {
  vn_lock(&board->network->lock);
  for (; board->count > 0; board->count--, board->first = (board->first + 1) % VN_BOARD_EVENTS) {
    const struct vn_board_event *event = &board->events[board->first];
    uint32_t mark = vn_write_begin(out, "event");
    vn_write_text(out, "type", event->type);
    vn_write_number(out, "port", event->port);
    if (event->kind != NULL) vn_write_text(out, "kind", event->kind);
    if (event->label[0]) vn_write_text(out, "label", event->label);
    if (event->has_mac) vn_write_bytes(out, "mac", event->mac, 6);
    if (event->detail[0]) vn_write_text(out, "detail", event->detail);
    vn_write_number(out, "time", event->time_ns);
    vn_write_end(out, mark);
  }
  if (board->lost) vn_write_number(out, "lost", board->lost);
  board->lost = 0;
  board->told = false;
  vn_unlock(&board->network->lock);
}

static void write_state(struct vn_board *board, struct vn_writer *out) {
  uint32_t status = vn_atomic_load(&board->status);
  vn_write_number(out, "status", status);
  if (status == VN_OK) return;
  vn_write_text(out, "message", status == VN_STOPPED ? "The switch was stopped" : "The network ended");
}

uint32_t vn_board_get(struct vn_object *object, uint32_t what, struct vn_writer *out) {
  struct vn_board *board = (struct vn_board *)object;
  switch (what) {
    case VN_GET_STATE: write_state(board, out); return VN_OK;
    case VN_GET_STATS: vn_board_stats(board->network, out); return VN_OK;
    case VN_GET_EVENTS: write_events(board, out); return VN_OK;
    default: return VN_BAD_CALL;
  }
}

/* VN_OP_SWITCH_CREATE. */

/* A board on a network that it holds from now on, or the job's failure. Takes over the hidden interface, if any. */
static uint32_t make(struct vn_job *job, struct vn_network *network, const struct vn_board_options *options, bool own,
                     struct vn_object *hidden, struct vn_board **out) {
  struct vn_board *board = calloc(1, sizeof *board);
  if (board == NULL) {
    if (hidden != NULL) hidden->class->close(hidden);
    return vn_fail(job, VN_NO_MEMORY, NULL, "memory ran out");
  }
  vn_object_init(&board->object, &board_class, job->doorbell);
  vn_network_retain(network);
  board->network = network;
  board->own = own;
  board->hidden = hidden;
  struct begin begin = {.command.run = run_begin, .board = board, .options = options, .status = VN_GONE};
  vn_network_call(network, &begin.command);
  if (begin.status == VN_OK) {
    *out = board;
    return VN_OK;
  }
  vn_release(&board->object);
  return vn_fail(job, begin.status, NULL, begin.status == VN_GONE ? "the network has ended" : "memory ran out");
}

static uint32_t answer(struct vn_job *job, struct vn_board *board) {
  vn_write_number(&job->result, "maxFrame", vn_board_max_frame(board->network));
  job->made = &board->object;
  return VN_OK;
}

/* A network without anything: no addresses, no gateway, nobody to wait for. */
static void run_first(struct vn_network *network, struct vn_command *command) {
  (void)command;
  struct vn_refusal fine;
  vn_refuse(&fine, VN_OK, NULL, "");
  vn_network_started(network, &fine);
}

static uint32_t new_network(struct vn_job *job, const struct vn_board_options *wanted, const struct vn_object *uplink,
                            struct vn_network **out) {
  struct vn_network_options options = {.mode = VN_MODE_HOST, .mtu = VN_FRAME_MOST - VN_ETHERNET_HEADER};
  const struct vn_port *port = (const struct vn_port *)uplink;
  if (wanted->mtu) options.mtu = wanted->mtu;
  if (port != NULL) options.mtu = port->max_packet - port->min_packet; /* both with the virtio header, if any */
  uint32_t status = vn_registry_adopt(&options, run_first, true, out);
  return status == VN_OK ? VN_OK : vn_fail(job, status, NULL, "no memory, thread or descriptor for a switch");
}

/* The interface becomes the switch's uplink. */
static uint32_t lend(struct vn_job *job, struct vn_network *network, struct vn_object *uplink) {
  struct vn_loan loan = {.network = network, .uplink = true};
  if (vn_backend()->lend != NULL) return vn_backend()->lend(job, uplink, &loan);
  return vn_fail(job, VN_UNSUPPORTED, NULL, "this library cannot lend interfaces to a switch");
}

/* A board with a switch of its own, and an uplink if there is one. */
static uint32_t make_own(struct vn_job *job, const struct vn_board_options *options, struct vn_object *uplink,
                         struct vn_object *hidden) {
  struct vn_network *network;
  struct vn_board *board = NULL;
  uint32_t status = new_network(job, options, uplink, &network);
  if (status != VN_OK) {
    if (hidden != NULL) hidden->class->close(hidden);
    return status;
  }
  status = make(job, network, options, true, hidden, &board);
  if (status == VN_OK && uplink != NULL) status = lend(job, network, uplink);
  if (status == VN_OK) {
    vn_network_release(network);
    return answer(job, board);
  }
  vn_network_stop(network, VN_STOPPED);
  vn_network_wait_ended(network, vn_job_until(job));
  if (board != NULL) vn_release(&board->object);
  vn_network_release(network);
  return status;
}

uint32_t vn_board_new(struct vn_job *job) {
  struct vn_board_options options;
  uint32_t status = vn_board_options_read(job, &options);
  if (status != VN_OK) return status;
  return make_own(job, &options, job->target->class->kind == VN_INTERFACE ? job->target : NULL, NULL);
}

/* An interface on a network of another process, for a board alone. What a script is told of interfaces is left out. */
static uint32_t start_hidden(struct vn_job *job, struct vn_network *network, struct vn_object **out) {
  struct vn_interface_options options;
  struct vn_refusal why;
  struct vn_writer result = job->result;
  uint32_t status = vn_interface_options_read(&options, NULL, NULL, 0, &why);
  if (status != VN_OK) return vn_fail_refused(job, &why);
  job->result = (struct vn_writer){.data = NULL};
  status = vn_holder_start_on(job, network, &options);
  if (status != VN_OK) {
    vn_writer_free(&result);
    return status;
  }
  vn_writer_free(&job->result);
  job->result = result;
  *out = job->made;
  job->made = NULL;
  vn_port_lend((struct vn_port *)*out); /* nobody else knows it */
  return VN_OK;
}

uint32_t vn_board_on(struct vn_job *job, struct vn_network *network) {
  struct vn_board_options options;
  struct vn_board *board;
  struct vn_object *hidden;
  uint32_t status = vn_board_options_read(job, &options);
  if (status != VN_OK) return status;
  if (!network->owner_process) {
    status = start_hidden(job, network, &hidden);
    return status == VN_OK ? make_own(job, &options, hidden, hidden) : status;
  }
  status = make(job, network, &options, false, NULL, &board);
  return status == VN_OK ? answer(job, board) : status;
}

/* VN_OP_PORT_SET. */

struct set {
  struct vn_command command;
  const struct vn_port_options *options;
  struct vn_guard *spare; /* made before, where memory may be waited for; what is left here is freed */
  uint32_t status;
};

static void set_guard(struct vn_net_port *port, struct set *set) {
  const struct vn_port_options *wanted = set->options;
  struct vn_guard_options now = {.anti_spoof = false};
  if (port->guard != NULL) vn_guard_get(port->guard, &now);
  if (wanted->has_rate) now.bytes_per_second = wanted->guard.bytes_per_second;
  if (wanted->has_burst) now.burst_bytes = wanted->guard.burst_bytes;
  if (wanted->has_broadcasts) now.broadcasts_per_second = wanted->guard.broadcasts_per_second;
  if (wanted->has_spoof) now.anti_spoof = wanted->guard.anti_spoof;
  if (wanted->has_mac) memcpy(now.mac, wanted->guard.mac, 6);
  if (vn_guard_wanted(&now) && port->guard == NULL) {
    port->guard = set->spare;
    set->spare = NULL;
  }
  if (port->guard == NULL) return;
  vn_guard_set(port->guard, &now);
  if (vn_guard_wanted(&now)) return;
  vn_guard_free(set->spare);
  set->spare = port->guard;
  port->guard = NULL;
}

static void run_set(struct vn_network *network, struct vn_command *command) {
  struct set *set = (struct set *)command;
  const struct vn_port_options *wanted = set->options;
  struct vn_net_port *port = vn_network_port(network, (uint16_t)wanted->port);
  set->status = port == NULL ? VN_NOT_FOUND : wanted->disconnect && port->owner == NULL ? VN_BAD_OPTION : VN_OK;
  if (set->status == VN_OK && wanted->disconnect) {
    vn_network_remove(port, VN_STOPPED);
  } else if (set->status == VN_OK) {
    vn_lock(&network->lock); /* who reads statistics reads it */
    if (wanted->has_isolated) port->table.isolated = wanted->isolated;
    vn_unlock(&network->lock);
    set_guard(port, set);
  }
  vn_command_done(network, command);
}

static uint32_t port_set(struct vn_job *job, struct vn_board *board) {
  struct vn_port_options options;
  uint32_t status = vn_port_options_read(job, &options);
  if (status != VN_OK) return status;
  struct set set = {.command.run = run_set, .options = &options, .status = VN_GONE};
  if (options.has_rate || options.has_burst || options.has_broadcasts || options.has_spoof || options.has_mac) {
    set.spare = vn_guard_new(&options.guard);
    if (set.spare == NULL) return vn_fail(job, VN_NO_MEMORY, NULL, "memory ran out");
  }
  vn_network_call(board->network, &set.command);
  vn_guard_free(set.spare);
  switch (set.status) {
    case VN_OK: return VN_OK;
    case VN_NOT_FOUND: return vn_fail(job, VN_NOT_FOUND, "port", "the switch has no such port any more");
    case VN_BAD_OPTION:
      return vn_fail(job, VN_BAD_OPTION, "disconnect", "only a port of an endpoint can be disconnected");
    default: return vn_fail(job, VN_GONE, NULL, "the network has ended");
  }
}

uint32_t vn_board_run(struct vn_job *job) {
  struct vn_board *board = (struct vn_board *)job->target;
  if (job->op == VN_OP_PORT_SET) return port_set(job, board);
  stop(board, vn_job_until(job));
  return VN_OK;
}
