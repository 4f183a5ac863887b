// SPDX-License-Identifier: MIT
/*
 * gateway_link.c - states of a gateway: none (pid 0), starting (until its ready message), ready, and ending (sockets
 * closed,
 * pid not reaped). down() leads from the middle two to the last, reaped() from there to none and, by a timer, to a
 * start.
 */
#include "gateway_link.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "channel.h"
#include "facts.h"
#include "gateway/protocol.h"
#include "program.h"
#include "request.h"
#include "stream_port.h"
#include "vmnet_shim.h"

#define MS 1000000ull
#define READY_NS (5000 * MS)    /* libslirp and glib load in about 20 ms */
#define KILL_NS (500 * MS)      /* from the end of its sockets to SIGKILL */
#define RECOVERED_NS (1000 * MS)
#define REAP_NS (1 * MS)

struct vn_gateway {
  struct vn_network *network;
  struct vn_channel control;
  struct vn_stream_port *frames;
  pid_t pid; /* 0: none */
  bool ready, worked; /* ready once, ever */
  uint32_t delay_ms;
  uint64_t kill_at, ready_at;
  struct vn_timer retry, patience, reap;
};

#define OF(timer, member) ((struct vn_gateway *)((char *)(timer)-offsetof(struct vn_gateway, member)))

bool vn_gateway_path(char *out, size_t capacity) { return vn_program_path("vmnet-gateway", out, capacity); }

static bool configure(struct vn_gateway *gateway) {
  struct vn_network *network = gateway->network;
  const struct vn_network_options *options = &network->options;
  struct vn_writer message = {.data = NULL};
  vn_write_text(&message, "message", "configure");
  vn_network_parameters(options, &message);
  vn_write_number(&message, "dhcp", options->dhcp);
  vn_write_number(&message, "dnsProxy", options->dns_proxy);
  vn_write_number(&message, "nat44", options->nat44);
  vn_write_number(&message, "nat66", options->nat66);
  vn_write_number(&message, "routerAdvertisement", options->router_advertisement);
  vn_facts_write_reservations(network, &message);
  vn_facts_write_leases(network, &message);
  vn_facts_write_forwards(network, &message);
  return vn_channel_send(&gateway->control, &message);
}

static void down(struct vn_gateway *gateway);

/* The first start failed: that is the network's start. */
static void give_up(struct vn_gateway *gateway, const struct vn_refusal *why) {
  vn_network_started(gateway->network, why);
  vn_network_end(gateway->network, why->status);
}

static void frames_removed(struct vn_stream_port *stream, uint32_t status) {
  (void)status;
  struct vn_gateway *gateway = stream->context;
  gateway->frames = NULL;
  if (!gateway->network->ending) down(gateway);
}

static void control_broken(struct vn_channel *channel) {
  struct vn_gateway *gateway = OF(channel, control);
  if (gateway->network->ending)
    vn_channel_close(channel);
  else
    down(gateway);
}

static void got_ready(struct vn_gateway *gateway, const uint8_t *message, uint32_t length) {
  struct vn_network *network = gateway->network;
  uint32_t status = (uint32_t)vn_list_number(message, length, "status", VN_OK);
  struct vn_refusal why;
  struct vn_entry failed;
  vn_refuse(&why, status, NULL, "the gateway could not start");
  if (status == VN_MISSING) why.message = "NAT needs libslirp";
  if (!gateway->worked && vn_list_text(message, length, "needs", network->needs, sizeof network->needs))
    why.needs = network->needs;
  if (status == VN_OK && !gateway->worked && vn_list_find(message, length, VN_LIST, "failed", &failed))
    status = vn_refuse(&why, VN_IN_USE, "forward", "a forward's external port cannot be opened");
  if (status == VN_BAD_OPTION) vn_list_text(message, length, "field", why.field, sizeof why.field);
  if (status != VN_OK && !gateway->worked) {
    give_up(gateway, &why);
    return;
  }
  if (status != VN_OK) return; /* it ends now, and is started again */
  vn_lock(&network->lock);
  vn_list_text(message, length, "libslirp", network->libslirp, sizeof network->libslirp);
  vn_unlock(&network->lock);
  vn_network_timer(network, &gateway->patience, 0);
  gateway->ready = gateway->worked = true;
  gateway->ready_at = network->now_ns;
  vn_facts_gateway(network, "running");
  vn_network_started(network, &why);
}

static bool control_message(struct vn_channel *channel, const uint8_t *message, uint32_t length) {
  struct vn_gateway *gateway = OF(channel, control);
  struct vn_network *network = gateway->network;
  char name[16];
  if (!vn_list_text(message, length, "message", name, sizeof name)) return true;
  if (strcmp(name, "ready") == 0 && !gateway->ready) got_ready(gateway, message, length);
  if (strcmp(name, "reply") == 0) vn_request_reply(network, message, length);
  if (strcmp(name, "lease") == 0) vn_facts_lease(network, message, length);
  return channel->open;
}

static struct vn_stream_port *add_frames(struct vn_gateway *gateway, int fd) {
  struct vn_network *network = gateway->network;
  struct vn_stream_port *frames = vn_stream_port_new(network, fd, 0);
  if (frames == NULL) return NULL;
  frames->port.kind = "gateway";
  frames->port.max_frame = network->options.mtu + VN_ETHERNET_HEADER;
  frames->port.table.uplink = true;
  frames->removed = frames_removed;
  frames->context = gateway;
  return vn_stream_port_add(frames) ? frames : NULL;
}

static int start(struct vn_gateway *gateway) {
  struct vn_network *network = gateway->network;
  int frames[2], control[2];
  if (vn_socketpair(frames) != VN_OK) return EMFILE;
  if (vn_socketpair(control) != VN_OK) {
    close(frames[0]);
    close(frames[1]);
    return EMFILE;
  }
  char path[PATH_MAX];
  int theirs[] = {[VN_GATEWAY_FRAMES_FD - VN_PROGRAM_FD] = frames[1], [VN_GATEWAY_CONTROL_FD - VN_PROGRAM_FD] = control[1]};
  if (!vn_gateway_path(path, sizeof path)) path[0] = 0; /* nothing is there, and that is said */
  int error = vn_program_start(path, theirs, 2, &gateway->pid);
  if (error != 0) {
    close(frames[0]);
    close(control[0]);
    return error;
  }
  gateway->ready = false;
  gateway->control.message = control_message;
  gateway->control.broken = control_broken;
  gateway->frames = add_frames(gateway, frames[0]);
  uint32_t status = vn_channel_open(&gateway->control, network, control[0], VN_MESSAGE_LIMIT);
  vn_count(&network->gateway_starts, 1);
  vn_network_timer(network, &gateway->patience, vn_monotonic_ns() + READY_NS);
  if (gateway->frames != NULL && status == VN_OK && configure(gateway)) return 0;
  return ENOMEM; /* the process ends when its sockets are closed, by down() */
}

static void try_start(struct vn_gateway *gateway) {
  int error = start(gateway);
  if (error == 0) return;
  if (gateway->worked) {
    down(gateway);
    return;
  }
  struct vn_refusal why;
  vn_refuse(&why, VN_SYSTEM, NULL, "the gateway program could not be started");
  if (error == ENOMEM || error == EMFILE || error == EAGAIN) why.status = VN_NO_MEMORY;
  if (error == ENOENT || error == EACCES || error == ENOEXEC)
    why.status = VN_MISSING, why.needs = "vmnet-gateway beside the library";
  give_up(gateway, &why);
}

static void retry_due(struct vn_network *network, struct vn_timer *timer) {
  if (!network->ending) try_start(OF(timer, retry));
}

static void patience_due(struct vn_network *network, struct vn_timer *timer) {
  if (!network->ending) down(OF(timer, patience));
}

/* Nothing of the old process is left: ports that it listened on are free again. */
static void reaped(struct vn_gateway *gateway) {
  struct vn_network *network = gateway->network;
  gateway->pid = 0;
  if (network->ending) return;
  uint32_t delay = gateway->delay_ms;
  gateway->delay_ms = delay == 0 ? 50 : delay < 500 ? delay * 2 : 1000;
  vn_network_timer(network, &gateway->retry, vn_monotonic_ns() + delay * MS);
}

static void reap_due(struct vn_network *network, struct vn_timer *timer) {
  struct vn_gateway *gateway = OF(timer, reap);
  if (vn_program_reap(gateway->pid)) {
    reaped(gateway);
    return;
  }
  uint64_t now = vn_monotonic_ns();
  if (now >= gateway->kill_at) {
    kill(gateway->pid, SIGKILL);
    gateway->kill_at = now + KILL_NS;
  }
  vn_network_timer(network, timer, now + REAP_NS);
}

static void hang_up(struct vn_gateway *gateway) {
  struct vn_network *network = gateway->network;
  struct vn_stream_port *frames = gateway->frames;
  gateway->frames = NULL;
  if (frames != NULL) {
    frames->removed = NULL;
    vn_network_remove(&frames->port, VN_GONE);
  }
  vn_channel_close(&gateway->control);
  vn_network_timer(network, &gateway->patience, 0);
  vn_network_timer(network, &gateway->retry, 0);
  if (gateway->pid == 0) {
    reaped(gateway);
  } else {
    gateway->kill_at = vn_monotonic_ns() + KILL_NS;
    reap_due(network, &gateway->reap);
  }
}

static void down(struct vn_gateway *gateway) {
  struct vn_network *network = gateway->network;
  if (!gateway->worked) {
    struct vn_refusal why;
    vn_refuse(&why, VN_SYSTEM, NULL, "the gateway ended before it was ready");
    give_up(gateway, &why);
    return;
  }
  if (gateway->ready && vn_monotonic_ns() - gateway->ready_at > RECOVERED_NS) gateway->delay_ms = 0;
  if (gateway->ready) vn_facts_gateway(network, "restarting");
  gateway->ready = false;
  vn_requests_again(network);
  hang_up(gateway);
}

static bool gateway_send(struct vn_network *network, struct vn_writer *message) {
  struct vn_gateway *gateway = network->gateway;
  if (gateway->ready && !network->ending) return vn_channel_send(&gateway->control, message);
  vn_writer_free(message);
  return false;
}

static void gateway_stop(struct vn_network *network) {
  network->gateway->ready = false;
  hang_up(network->gateway);
}

static bool gateway_gone(struct vn_network *network) {
  struct vn_gateway *gateway = network->gateway;
  if (gateway == NULL) return true;
  if (gateway->pid != 0) return false;
  vn_network_timer(network, &gateway->reap, 0);
  network->gateway = NULL;
  free(gateway);
  return true;
}

static const struct vn_upstream gateway_upstream = {gateway_send, gateway_stop, gateway_gone};

void vn_gateway_first(struct vn_network *network, struct vn_command *command) {
  (void)command;
  struct vn_refusal fine;
  vn_refuse(&fine, VN_OK, NULL, "");
  struct vn_reader reader;
  struct vn_entry entry;
  vn_list_read(&reader, network->options.forwards.data, network->options.forwards.length);
  while (vn_list_next(&reader, &entry)) {
    struct vn_forward forward;
    struct vn_refusal why;
    if (vn_forward_read(&forward, entry.value, entry.length, &why) == VN_OK) vn_facts_forward_add(network, &forward);
  }
  vn_facts_reservations_first(network);
  if (!network->options.gateway_needed) {
    vn_network_started(network, &fine);
    return;
  }
  struct vn_gateway *gateway = calloc(1, sizeof *gateway);
  if (gateway == NULL) {
    vn_refuse(&fine, VN_NO_MEMORY, NULL, "memory ran out");
    vn_network_started(network, &fine);
    vn_network_end(network, VN_NO_MEMORY);
    return;
  }
  gateway->network = network;
  gateway->retry.due = retry_due;
  gateway->patience.due = patience_due;
  gateway->reap.due = reap_due;
  network->gateway = gateway;
  network->upstream = &gateway_upstream;
  try_start(gateway);
}
