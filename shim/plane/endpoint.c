// SPDX-License-Identifier: MIT
/*
 * endpoint.c - the life of every endpoint, whatever its class does; see endpoint.h.
 *
 * One reference is the handle's, one the network's from begin() to end(). The end is one command, posted at most once,
 * by close(), by the stop operation, or by the class itself; the end of its board or network comes without one. So
 * end()
 * runs once, on the network's thread, and never inside of a callback of the class.
 */
#include "endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "board.h"
#include "plane_options.h"
#include "vmnet_shim.h"

static vn_atomic_u32 serials;

/* The network's thread. */

static void end(struct vn_endpoint *endpoint, uint32_t status) {
  struct vn_network *network = endpoint->network;
  struct vn_endpoint **at = &network->plane->endpoints;
  uint32_t none = VN_OK;
  while (*at != endpoint) at = &(*at)->next;
  *at = endpoint->next; /* first: its end may bring another one's */
  endpoint->begun = false;
  vn_atomic_cas(&endpoint->status, &none, status);
  endpoint->class->end(endpoint, vn_atomic_load(&endpoint->status));
  vn_lock(&network->lock);
  endpoint->ended = true;
  vn_lock_signal(&network->lock);
  vn_unlock(&network->lock);
  vn_signal(&endpoint->object, VN_READY_STATE);
  vn_release(&endpoint->object);
}

static void run_end(struct vn_network *network, struct vn_command *command) {
  (void)network;
  struct vn_endpoint *endpoint = (struct vn_endpoint *)((char *)command - offsetof(struct vn_endpoint, command));
  if (endpoint->begun) end(endpoint, VN_STOPPED);
  vn_release(&endpoint->object);
}

void vn_endpoints_end(struct vn_network *network, const struct vn_board *board, uint32_t status) {
  struct vn_endpoint *endpoint;
  do { /* from the start each time, because one may take others along */
    endpoint = network->plane->endpoints;
    while (endpoint != NULL && board != NULL && endpoint->board != board) endpoint = endpoint->next;
    if (endpoint != NULL) end(endpoint, status);
  } while (endpoint != NULL);
}

struct begin {
  struct vn_command command;
  struct vn_endpoint *endpoint;
  uint32_t status;
};

static void run_begin(struct vn_network *network, struct vn_command *command) {
  struct begin *begin = (struct begin *)command;
  struct vn_endpoint *endpoint = begin->endpoint;
  begin->status = network->ending                                          ? VN_GONE
                  : !endpoint->board->linked                               ? VN_STOPPED
                  : network->straight && network->plane->endpoints != NULL ? VN_IN_USE
                                                                           : endpoint->class->begin(endpoint);
  if (begin->status == VN_OK) {
    endpoint->begun = true;
    endpoint->next = network->plane->endpoints;
    network->plane->endpoints = endpoint;
    vn_retain(&endpoint->object);
  }
  vn_command_done(network, command);
}

bool vn_endpoint_port_init(struct vn_endpoint *endpoint, struct vn_net_port *port) {
  const struct vn_endpoint_options *options = &endpoint->options;
  uint32_t most = vn_board_max_frame(endpoint->network);
  port->kind = endpoint->class->kind;
  memcpy(port->label, options->label, sizeof port->label);
  port->table.isolated = options->isolated;
  port->virtio = options->virtio;
  /* With a virtio header a frame is what becomes many of the network's. */
  port->max_frame = options->virtio && most < VN_FRAME_MOST ? VN_FRAME_MOST : most;
  port->owner = endpoint;
  if (!vn_guard_wanted(&options->guard)) return true;
  port->guard = vn_guard_new(&options->guard);
  return port->guard != NULL;
}

/* The object. */

static void begin_end(struct vn_endpoint *endpoint) {
  if (vn_atomic_exchange(&endpoint->ending, 1)) return;
  endpoint->command.run = run_end;
  vn_retain(&endpoint->object);
  if (!vn_network_post(endpoint->network, &endpoint->command)) vn_release(&endpoint->object);
}

void vn_endpoint_fail(struct vn_endpoint *endpoint, uint32_t status) {
  uint32_t none = VN_OK;
  vn_atomic_cas(&endpoint->status, &none, status);
  begin_end(endpoint);
}

static void endpoint_close(struct vn_object *object) {
  begin_end((struct vn_endpoint *)object);
  vn_release(object);
}

static void endpoint_destroy(struct vn_object *object) {
  struct vn_endpoint *endpoint = (struct vn_endpoint *)object;
  if (endpoint->opened) endpoint->class->free(endpoint);
  if (endpoint->options.fd >= 0) close(endpoint->options.fd);
  vn_release(&endpoint->board->object);
  vn_network_release(endpoint->network);
  free(endpoint);
}

static const struct vn_class endpoint_class = {
    .kind = VN_ENDPOINT, .close = endpoint_close, .destroy = endpoint_destroy};

void vn_endpoint_stop(struct vn_object *object, uint64_t until_ns) {
  struct vn_endpoint *endpoint = (struct vn_endpoint *)object;
  struct vn_network *network = endpoint->network;
  begin_end(endpoint);
  vn_lock(&network->lock);
  bool in_time = true;
  while (!endpoint->ended && !network->ended && in_time) in_time = vn_lock_wait(&network->lock, until_ns);
  vn_unlock(&network->lock);
}

uint32_t vn_endpoint_get(struct vn_object *object, uint32_t what, struct vn_writer *out) {
  struct vn_endpoint *endpoint = (struct vn_endpoint *)object;
  if (what == VN_GET_STATE) {
    vn_lock(&endpoint->network->lock);
    bool ended = endpoint->ended;
    vn_unlock(&endpoint->network->lock);
    uint32_t status = ended ? vn_atomic_load(&endpoint->status) : VN_OK;
    vn_write_number(out, "status", status);
    if (ended) vn_write_text(out, "message", status == VN_STOPPED ? "The endpoint was stopped" : "The endpoint ended");
    return VN_OK;
  }
  if (what != VN_GET_STATS) return VN_BAD_CALL;
  vn_write_text(out, "kind", endpoint->class->kind);
  vn_write_number(out, "serial", endpoint->serial);
  vn_write_number(out, "clients", vn_counted(&endpoint->clients));
  vn_write_number(out, "accepted", vn_counted(&endpoint->accepted));
  vn_write_number(out, "refused", vn_counted(&endpoint->refused));
  if (endpoint->class->stats != NULL) endpoint->class->stats(endpoint, out);
  return VN_OK;
}

/* The operation. */

static uint32_t fail_begin(struct vn_job *job, uint32_t status) {
  switch (status) {
    case VN_GONE: return vn_fail(job, status, NULL, "the network has ended");
    case VN_STOPPED: return vn_fail(job, status, NULL, "the switch was stopped");
    case VN_IN_USE: return vn_fail(job, status, NULL, "the bridge has its endpoint already");
    case VN_NO_MEMORY: return vn_fail(job, status, NULL, "no memory, or no port of the switch is left");
    default: return vn_fail(job, status, NULL, "the endpoint cannot be attached to the switch");
  }
}

/* Its own descriptor of what the script opened, so that a failure leaves the script's alone. */
static uint32_t duplicate(struct vn_job *job, struct vn_endpoint_options *options, int fd) {
  options->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (options->fd >= 0 && vn_file_id(options->fd, &job->taken_file)) return VN_OK;
  if (errno == EBADF) return vn_fail(job, VN_BAD_OPTION, "fd", "it is not open");
  return vn_fail_errno(job, "Cannot duplicate the descriptor", errno);
}

uint32_t vn_endpoint_make(struct vn_job *job, struct vn_board *board, const struct vn_endpoint_class *class,
                          const struct vn_endpoint_options *options) {
  struct vn_endpoint *endpoint = calloc(1, class->size);
  if (endpoint == NULL) return vn_fail(job, VN_NO_MEMORY, NULL, "memory ran out");
  vn_object_init(&endpoint->object, &endpoint_class, job->doorbell);
  vn_retain(&board->object);
  vn_network_retain(board->network);
  endpoint->class = class;
  endpoint->board = board;
  endpoint->network = board->network;
  endpoint->options = *options;
  endpoint->options.fd = -1;
  do endpoint->serial = vn_atomic_add(&serials, 1) + 1;
  while (endpoint->serial == 0); /* after four thousand millions */
  uint32_t status = VN_OK;
  if (options->has_fd) status = duplicate(job, &endpoint->options, options->fd);
  endpoint->opened = status == VN_OK;
  if (status == VN_OK) status = class->open(job, endpoint);
  struct begin begin = {.command.run = run_begin, .endpoint = endpoint, .status = VN_GONE};
  if (status == VN_OK) {
    vn_network_call(endpoint->network, &begin.command);
    if (begin.status != VN_OK) status = fail_begin(job, begin.status);
  }
  if (status != VN_OK) {
    vn_release(&endpoint->object);
    return status;
  }
  vn_write_number(&job->result, "serial", endpoint->serial);
  if (options->has_fd) job->taken = options->fd;
  job->made = &endpoint->object;
  return VN_OK;
}

uint32_t vn_endpoint_open(struct vn_job *job, struct vn_board *board) {
  static const struct vn_endpoint_class *const classes[] = {
      &vn_stream_endpoint, &vn_datagram_endpoint, &vn_seqpacket_endpoint,
      &vn_lent_endpoint,   &vn_tun_endpoint,      &vn_replay_endpoint,
  };
  struct vn_endpoint_options options;
  uint32_t status = vn_endpoint_options_read(job, &options);
  for (size_t i = 0; status == VN_OK && i < sizeof classes / sizeof *classes; i++) {
    if (strcmp(classes[i]->kind, options.kind) != 0) continue;
    if (classes[i]->open == NULL) break;
    return vn_endpoint_make(job, board, classes[i], &options);
  }
  return status != VN_OK ? status : vn_fail(job, VN_UNSUPPORTED, "kind", "this library has no such endpoint");
}
