// SPDX-License-Identifier: MIT
/*
 * member.c - a connection is a newcomer with a deadline until its hello; then it stays a message channel (control), or
 * gives its socket to a stream port (interface) and is gone.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* accept4() */
#endif
#include "member.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "facts.h"
#include "gateway/protocol.h"
#include "nic.h"
#include "request.h"
#include "stream_port.h"
#include "vmnet_shim.h"

#define HELLO_NS 2000000000ull
#define PAUSE_NS 100000000ull

struct vn_member {
  struct vn_channel channel; /* first */
  struct vn_member *next;
  struct vn_timer late;
  uint64_t serial; /* 0: a newcomer */
  uint8_t secret[VN_SECRET];
};

static struct vn_member *of(struct vn_channel *channel) { return (struct vn_member *)channel; }

static void unlink_member(struct vn_member *member) {
  struct vn_network *network = member->channel.network;
  struct vn_member **at = &network->members;
  while (*at != member) at = &(*at)->next;
  *at = member->next;
  vn_network_timer(network, &member->late, 0);
  if (member->serial != 0) vn_requests_withdraw(network, member->serial);
}

static void end_member(struct vn_member *member) {
  unlink_member(member);
  vn_channel_close(&member->channel);
  free(member);
}

static void member_broken(struct vn_channel *channel) { end_member(of(channel)); }

static void member_late(struct vn_network *network, struct vn_timer *timer) {
  (void)network;
  end_member((struct vn_member *)((char *)timer - offsetof(struct vn_member, late)));
}

void vn_members_end_all(struct vn_network *network) {
  while (network->members != NULL) end_member(network->members);
}

/* What a control connection says after its hello. */
static bool control_message(struct vn_channel *channel, const uint8_t *message, uint32_t length) {
  vn_request_relay(channel->network, message, length, of(channel)->serial);
  return true;
}

void vn_members_tell(struct vn_network *network, const uint8_t *message, uint32_t length) {
  struct vn_reader reader;
  struct vn_entry entry;
  for (struct vn_member *member = network->members; member != NULL; member = member->next) {
    if (member->serial == 0) continue;
    struct vn_writer copy = {.data = NULL};
    vn_list_read(&reader, message, length);
    while (vn_list_next(&reader, &entry)) vn_write_entry(&copy, &entry);
    vn_channel_send(&member->channel, &copy);
  }
}

bool vn_member_reply(struct vn_network *network, uint64_t serial, struct vn_writer *message) {
  for (struct vn_member *member = network->members; member != NULL; member = member->next)
    if (member->serial == serial) return vn_channel_send(&member->channel, message);
  vn_writer_free(message);
  return false;
}

/* The hello. */

static void answer_refusal(const struct vn_refusal *why, struct vn_writer *answer) {
  vn_write_number(answer, "status", why->status);
  vn_write_text(answer, "text", why->message);
  if (why->field[0]) vn_write_text(answer, "field", why->field);
  if (why->needs) vn_write_text(answer, "needs", why->needs);
}

static uint32_t check_interface(struct vn_network *network, const uint8_t *message, uint32_t length,
                                struct vn_interface_options *options, struct vn_refusal *why) {
  struct vn_entry list;
  if (!vn_list_find(message, length, VN_LIST, "options", &list))
    return vn_refuse(why, VN_BAD_CALL, NULL, "it lacks options");
  uint32_t status = vn_interface_options_read(options, NULL, list.value, list.length, why);
  if (status != VN_OK) return status;
  if (network->lone != NULL)
    return network->lone->peer == NULL ? VN_OK : vn_refuse(why, VN_IN_USE, NULL, "this network is for one interface");
  if (vn_counted(&network->port_count) >= VN_SWITCH_PORTS)
    return vn_refuse(why, VN_NO_MEMORY, NULL, "the network has no more ports");
  if (options->mode != 0 && options->mode != network->options.mode)
    return vn_refuse(why, VN_BAD_OPTION, "vmnet_operation_mode", "the network has another mode");
  if (options->allocate_mac && vn_network_mac_taken(network, options->mac))
    return vn_refuse(why, VN_IN_USE, "vmnet_interface_id", "an interface with this MAC address is on the network");
  return VN_OK;
}

/* Turns the newcomer into a port of the switch. Its answer goes out before the first frame. */
static void become_port(struct vn_member *member, const uint8_t *message, uint32_t length) {
  struct vn_network *network = member->channel.network;
  struct vn_interface_options options;
  struct vn_refusal why;
  struct vn_writer answer = {.data = NULL};
  if (check_interface(network, message, length, &options, &why) != VN_OK) {
    answer_refusal(&why, &answer);
    vn_channel_send(&member->channel, &answer);
    end_member(member);
    return;
  }
  vn_write_number(&answer, "status", VN_OK);
  vn_nic_parameters(&network->options, &options, &answer);
  bool sent = vn_channel_send(&member->channel, &answer) && member->channel.out_length == 0;
  unlink_member(member);
  int fd = vn_channel_release(&member->channel);
  free(member);
  if (!sent) {
    close(fd);
    return;
  }
  uint32_t most = vn_nic_max_frame(&network->options, &options);
  struct vn_stream_port *port = vn_stream_port_new(network, fd, 0);
  if (port == NULL) return;
  port->port.kind = "member";
  port->port.max_frame = network->lone != NULL ? network->lone->max_frame : most;
  port->port.table.isolated = options.isolated;
  if (options.allocate_mac) memcpy(port->port.mac, options.mac, 6);
  if (!vn_stream_port_add(port) || network->lone == NULL) return;
  port->port.peer = network->lone;
  network->lone->peer = &port->port;
}

static void become_control(struct vn_member *member) {
  static vn_atomic_u64 serials; /* of any network's thread */
  struct vn_network *network = member->channel.network;
  struct vn_writer answer = {.data = NULL};
  vn_network_timer(network, &member->late, 0);
  member->serial = 1ull << 63 | (vn_atomic_add(&serials, 1) + 1); /* apart from interfaces' */
  member->channel.message = control_message;
  member->channel.limit = VN_MESSAGE_LIMIT;
  vn_write_number(&answer, "status", VN_OK);
  vn_network_parameters(&network->options, &answer);
  vn_facts_write_leases(network, &answer);
  vn_channel_send(&member->channel, &answer);
}

static bool hello(struct vn_channel *channel, const uint8_t *message, uint32_t length) {
  struct vn_member *member = of(channel);
  struct vn_entry secret;
  char role[16] = "";
  vn_list_text(message, length, "role", role, sizeof role);
  bool known = vn_list_find(message, length, VN_BYTES, "secret", &secret) && secret.length == VN_SECRET &&
               vn_equal_secret(secret.value, member->secret, VN_SECRET);
  if (known && strcmp(role, "interface") == 0) {
    become_port(member, message, length);
    return false;
  }
  if (known && strcmp(role, "control") == 0) {
    become_control(member);
    return true;
  }
  struct vn_refusal why;
  struct vn_writer answer = {.data = NULL};
  vn_refuse(&why, VN_BAD_TOKEN, NULL, known ? "the share does not know this role" : "the token is not the share's");
  answer_refusal(&why, &answer);
  vn_channel_send(channel, &answer);
  end_member(member);
  return false;
}

static uint32_t newcomers(const struct vn_network *network) {
  uint32_t count = 0;
  for (const struct vn_member *member = network->members; member != NULL; member = member->next)
    count += member->serial == 0;
  return count;
}

static void pause_over(struct vn_network *network, struct vn_timer *timer) {
  struct vn_listener *listener = (struct vn_listener *)((char *)timer - offsetof(struct vn_listener, pause));
  vn_poller_change(&network->poller, &listener->watch, VN_POLL_READ);
}

static void listener_ready(struct vn_watch *watch, uint32_t events) {
  (void)events;
  struct vn_listener *listener = (struct vn_listener *)watch;
  struct vn_network *network = listener->network;
#ifdef SOCK_CLOEXEC
  int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
#else
  int fd = accept(watch->fd, NULL, NULL);
#endif
  if (fd < 0) {
    if (errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS) return;
    vn_poller_change(&network->poller, watch, 0); /* else it stays ready, and the thread busy */
    vn_network_timer(network, &listener->pause, vn_monotonic_ns() + PAUSE_NS);
    return;
  }
  struct vn_member *member = NULL;
  bool welcome = vn_socket_prepare(fd) == VN_OK && vn_same_user(fd) && newcomers(network) < VN_NEWCOMERS_MOST;
  if (welcome) member = calloc(1, sizeof *member);
  if (member == NULL) {
    close(fd);
    return;
  }
  memcpy(member->secret, listener->secret, VN_SECRET);
  member->channel.message = hello;
  member->channel.broken = member_broken;
  member->late.due = member_late;
  if (vn_channel_open(&member->channel, network, fd, VN_HELLO_LIMIT) != VN_OK) {
    free(member);
    return;
  }
  member->next = network->members;
  network->members = member;
  vn_network_timer(network, &member->late, vn_monotonic_ns() + HELLO_NS);
}

bool vn_listener_add(struct vn_network *network, struct vn_listener *listener) {
  listener->network = network;
  listener->watch.events = VN_POLL_READ;
  listener->watch.ready = listener_ready;
  listener->pause.due = pause_over;
  listener->added = vn_poller_add(&network->poller, &listener->watch) == VN_OK;
  if (!listener->added) return false;
  listener->next = network->listeners;
  network->listeners = listener;
  return true;
}

void vn_listener_remove(struct vn_network *network, struct vn_listener *listener) {
  struct vn_listener **at = &network->listeners;
  while (*at != listener) at = &(*at)->next;
  *at = listener->next;
  vn_network_timer(network, &listener->pause, 0);
  vn_poller_remove(&network->poller, &listener->watch);
  close(listener->watch.fd);
  listener->watch.fd = -1;
  listener->added = false;
}
