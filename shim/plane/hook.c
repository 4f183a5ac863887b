// SPDX-License-Identifier: MIT
/*
 * hook.c - the life of what looks at a network's frames: on the network by a command, off it by another one, or with
 * its board or its network.
 *
 * Theory of operation. A hook is on the network between run_begin() and leave(), both on the network's thread, and the
 * network has a reference to its object for that time. vn_hook_end() may come from any thread and at any time after
 * vn_hook_begin(); leave() happens once, whoever asks for it first. Frames that other ports refer to may lie in an
 * intercept's ring, so leave() flushes before it lets go.
 */
#include <stdio.h>

#include "board.h"
#include "tap.h"
#include "vmnet_shim.h"

struct begin {
  struct vn_command command;
  struct vn_hook *hook;
  uint32_t status;
};

static struct vn_hook **list_for(struct vn_plane *plane, const struct vn_hook *hook) {
  if (hook->object->class->kind == VN_RULE) return &plane->rules;
  return ((const struct vn_tap *)(const void *)hook->object)->intercepts ? &plane->intercepts : &plane->taps;
}

/* The network's thread. */

static uint32_t enter(struct vn_network *network, struct vn_hook *hook) {
  if (network->ending) return VN_GONE;
  if (!hook->board->linked) return VN_STOPPED;
  if (hook->port != 0 && vn_network_port(network, (uint16_t)hook->port) == NULL) return VN_NOT_FOUND;
  struct vn_plane *plane = vn_plane_of(network);
  if (plane == NULL) return VN_NO_MEMORY;
  struct vn_hook **at = list_for(plane, hook);
  while (*at != NULL) at = &(*at)->next;
  *at = hook;
  vn_retain(hook->object);
  vn_plane_look(network);
  return VN_OK;
}

static void run_begin(struct vn_network *network, struct vn_command *command) {
  struct begin *begin = (struct begin *)command;
  begin->status = enter(network, begin->hook);
  vn_command_done(network, command);
}

static void leave(struct vn_hook *hook, uint32_t status) {
  struct vn_network *network = hook->network;
  struct vn_hook **at = list_for(network->plane, hook);
  vn_network_flush(network);
  if (hook->ended) return; /* the flush has ended the network, and that this one */
  while (*at != hook) at = &(*at)->next;
  *at = hook->next;
  vn_plane_look(network);
  uint32_t works = VN_OK;
  vn_atomic_cas(&hook->status, &works, status);
  if (hook->object->class->kind == VN_TAP) vn_port_fail((struct vn_port *)hook->object, status);
  else vn_signal(hook->object, VN_READY_STATE);
  vn_lock(&network->lock);
  hook->ended = true;
  vn_lock_signal(&network->lock);
  vn_unlock(&network->lock);
  vn_release(hook->object);
}

static void run_end(struct vn_network *network, struct vn_command *command) {
  (void)network;
  struct vn_hook *hook = (struct vn_hook *)((char *)command - offsetof(struct vn_hook, command));
  struct vn_object *object = hook->object;
  if (!hook->ended) leave(hook, VN_STOPPED); /* only this thread sets it */
  vn_release(object);
}

static void leave_all(struct vn_hook **list, const struct vn_board *board, uint32_t status) {
  struct vn_hook *hook;
  do { /* from the start each time: a flush may end others */
    hook = *list;
    while (hook != NULL && board != NULL && hook->board != board) hook = hook->next;
    if (hook != NULL) leave(hook, status);
  } while (hook != NULL);
}

void vn_taps_end(struct vn_network *network, const struct vn_board *board, uint32_t status) {
  if (network->plane == NULL) return;
  leave_all(&network->plane->intercepts, board, status);
  leave_all(&network->plane->taps, board, status);
  leave_all(&network->plane->rules, board, status);
}

/* Any thread. */

void vn_hook_end(struct vn_hook *hook) {
  if (hook->object->class->kind == VN_TAP) vn_port_fail((struct vn_port *)hook->object, VN_STOPPED);
  if (vn_atomic_exchange(&hook->ending, 1)) return;
  hook->command.run = run_end;
  vn_retain(hook->object);
  if (!vn_network_post(hook->network, &hook->command)) vn_release(hook->object);
}

void vn_hook_stop(struct vn_hook *hook) {
  struct vn_network *network = hook->network;
  vn_hook_end(hook);
  vn_lock(&network->lock);
  while (!hook->ended && !network->ended) vn_lock_wait(&network->lock, 0);
  vn_unlock(&network->lock);
}

void vn_hook_free(struct vn_hook *hook) {
  vn_filter_free(hook->filter);
  if (hook->board != NULL) vn_release(&hook->board->object);
  if (hook->network != NULL) vn_network_release(hook->network);
}

/* Control threads. */

static uint32_t blame(struct vn_job *job, const struct vn_entry *entry, const char *message) {
  char field[256]; /* a key's length is one byte */
  snprintf(field, sizeof field, "%.*s", (int)entry->key_length, entry->key);
  return vn_fail(job, VN_BAD_OPTION, field, message);
}

uint32_t vn_hook_number(struct vn_job *job, const struct vn_entry *entry, uint32_t least, uint32_t most,
                        uint32_t *out) {
  char message[64];
  uint64_t value = entry->type == VN_NUMBER ? vn_entry_number(entry) : UINT64_MAX;
  if (value >= least && value <= most) {
    *out = (uint32_t)value;
    return VN_OK;
  }
  snprintf(message, sizeof message, "it takes a number from %u to %u", least, most);
  return blame(job, entry, message);
}

uint32_t vn_hook_unknown(struct vn_job *job, const struct vn_entry *entry) {
  return blame(job, entry, "there is no such option, or not of that type");
}

uint32_t vn_hook_read(struct vn_job *job, const struct vn_entry *entry, struct vn_hook *hook,
                      char filter[VN_FILTER_TEXT]) {
  if (vn_entry_is(entry, VN_TEXT, "filter"))
    return vn_entry_text(entry, filter, VN_FILTER_TEXT)
               ? VN_OK : vn_fail(job, VN_BAD_OPTION, "filter", "it takes a text of at most 4095 bytes");
  if (vn_entry_is(entry, VN_NUMBER, "port")) return vn_hook_number(job, entry, 0, UINT16_MAX, &hook->port);
  return VN_NOT_FOUND;
}

static uint32_t put_on(struct vn_job *job, struct vn_hook *hook) {
  struct begin begin = {.command.run = run_begin, .hook = hook, .status = VN_GONE};
  vn_network_call(hook->network, &begin.command);
  switch (begin.status) {
    case VN_OK: job->made = hook->object; return VN_OK;
    case VN_NOT_FOUND: return vn_fail(job, VN_NOT_FOUND, "port", "the switch has no port of that number");
    case VN_NO_MEMORY: return vn_fail(job, VN_NO_MEMORY, NULL, "memory ran out");
    case VN_STOPPED: return vn_fail(job, VN_STOPPED, NULL, "the switch was stopped");
    default: return vn_fail(job, VN_GONE, NULL, "the network has ended");
  }
}

uint32_t vn_hook_begin(struct vn_job *job, struct vn_hook *hook, struct vn_board *board, const char *filter) {
  vn_retain(&board->object);
  hook->board = board;
  vn_network_retain(board->network);
  hook->network = board->network;
  uint32_t status = vn_filter_compile(job, filter, &hook->filter);
  if (status == VN_OK) status = put_on(job, hook);
  if (status != VN_OK) vn_release(hook->object);
  return status;
}
