// SPDX-License-Identifier: MIT
/*
 * join.c - hello and answer are exchanged on the control thread, which may wait; then the socket goes to the network's
 * thread. The owner's parameters are checked like anything from outside.
 */
#include "join.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "channel.h"
#include "facts.h"
#include "gateway/protocol.h"
#include "request.h"
#include "share.h"
#include "vmnet_shim.h"

#define PATIENCE_NS 5000000000ull /* the owner answers between two turns of its thread */

struct vn_owner {
  struct vn_channel channel; /* first; the network's thread's */
  uint8_t secret[VN_SECRET]; /* constant, as is the address */
  struct sockaddr_un address;
};

static int digit(char c) {
  return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_token(const char *token, struct vn_owner *owner) {
  size_t prefix = strlen(VN_TOKEN_PREFIX);
  const char *colon = strrchr(token, ':');
  if (strncmp(token, VN_TOKEN_PREFIX, prefix) != 0 || colon == NULL || colon < token + prefix) return false;
  size_t length = (size_t)(colon - token) - prefix;
  if (strlen(colon + 1) != 2 * VN_SECRET || token[prefix] != '/' || length >= sizeof owner->address.sun_path) return false;
  for (int i = 0; i < VN_SECRET; i++) {
    int high = digit(colon[1 + 2 * i]), low = digit(colon[2 + 2 * i]);
    if (high < 0 || low < 0) return false;
    owner->secret[i] = (uint8_t)(high << 4 | low);
  }
  owner->address.sun_family = AF_UNIX;
  memcpy(owner->address.sun_path, token + prefix, length);
  return true;
}

/* Connects, says hello (which is freed) and waits for the answer, which the caller frees. VN_OK, or the job's failure.
 * */
static uint32_t call_owner(struct vn_job *job, const struct vn_owner *owner, struct vn_writer *hello, int *out,
                           uint8_t **answer, uint32_t *length) {
  uint64_t until = job->deadline_ns ? job->deadline_ns : vn_monotonic_ns() + PATIENCE_NS;
  int fd = vn_unix_socket(), error = fd < 0 ? errno : 0;
  vn_write_bytes(hello, "secret", owner->secret, VN_SECRET);
  /* EAGAIN: the owner has too many callers at the moment. */
  while (error == 0 && connect(fd, (const struct sockaddr *)&owner->address, sizeof owner->address) != 0) {
    if (errno == EAGAIN && vn_monotonic_ns() < until && !vn_job_abandoned(job))
      vn_sleep_ns(1000000);
    else
      error = errno;
  }
  /* In /tmp anybody may have taken the path of a share that is gone. */
  if (error == 0 && !vn_same_user(fd)) error = EACCES;
  uint32_t status = error == 0 ? vn_message_send(fd, hello, until) : VN_SYSTEM;
  vn_writer_free(hello);
  if (status == VN_OK) status = vn_message_receive(fd, VN_MESSAGE_LIMIT, until, answer, length);
  if (status == VN_OK) {
    *out = fd;
    return VN_OK;
  }
  if (fd >= 0) close(fd);
  if (error == ENOENT || error == ECONNREFUSED || error == ENOTDIR || error == EPROTOTYPE || error == EACCES)
    return vn_fail(job, VN_BAD_TOKEN, "token", "nobody shares a network there");
  if (error != 0) return vn_fail_errno(job, "Cannot reach the network's owner", error);
  bool late = status == VN_TIMEOUT;
  return vn_fail(job, status, NULL, late ? "the network's owner does not answer" : "the network's owner hung up");
}

/* The owner said no: its words are the job's. */
static uint32_t pass_refusal(struct vn_job *job, const uint8_t *answer, uint32_t length, uint32_t status) {
  vn_reply_details(&job->result, "message", answer, length);
  return status;
}

/* The network's thread. */

static bool owner_message(struct vn_channel *channel, const uint8_t *message, uint32_t length) {
  char name[16];
  if (!vn_list_text(message, length, "message", name, sizeof name)) return true;
  if (strcmp(name, "lease") == 0) vn_facts_lease(channel->network, message, length);
  if (strcmp(name, "reply") == 0) vn_request_reply(channel->network, message, length);
  return channel->open;
}

static void owner_broken(struct vn_channel *channel) { vn_network_end(channel->network, VN_GONE); }

static bool owner_send(struct vn_network *network, struct vn_writer *message) {
  return vn_channel_send(&network->owner->channel, message);
}

static void owner_stop(struct vn_network *network) { vn_channel_close(&network->owner->channel); }

static bool owner_gone(struct vn_network *network) { return !network->owner->channel.open; }

static const struct vn_upstream owner_upstream = {owner_send, owner_stop, owner_gone};

struct attach {
  struct vn_command command;
  struct vn_owner *owner;
  const uint8_t *answer;
  uint32_t length;
  int fd;
  bool attached;
};

static void run_attach(struct vn_network *network, struct vn_command *command) {
  struct attach *attach = (struct attach *)command;
  struct vn_reader reader;
  struct vn_entry entry;
  attach->owner->channel.message = owner_message;
  attach->owner->channel.broken = owner_broken;
  int fd = attach->fd;
  attach->fd = -1;
  if (network->ending) {
    close(fd);
  } else if (vn_channel_open(&attach->owner->channel, network, fd, VN_MESSAGE_LIMIT) == VN_OK) {
    network->owner = attach->owner;
    network->upstream = &owner_upstream;
    vn_list_read(&reader, attach->answer, attach->length);
    while (vn_list_next(&reader, &entry))
      if (vn_entry_is(&entry, VN_LIST, "lease")) vn_facts_lease(network, entry.value, entry.length);
    attach->attached = true;
  }
  vn_command_done(network, command);
}

static void run_first(struct vn_network *network, struct vn_command *command) {
  (void)command;
  struct vn_refusal fine;
  vn_refuse(&fine, VN_OK, NULL, "");
  vn_network_started(network, &fine);
}

/* The control thread. */

static bool read_parameters(struct vn_network_options *options, const uint8_t *list, uint32_t length) {
  char text[VN_ADDRESS_TEXT];
  *options = (struct vn_network_options){.mode = (uint32_t)vn_list_number(list, length, "mode", 0)};
  options->mtu = (uint32_t)vn_list_number(list, length, "mtu", 0);
  options->lease_seconds = (uint32_t)vn_list_number(list, length, "leaseSeconds", 0);
  bool good = options->mode >= VN_MODE_HOST && options->mode <= VN_MODE_BRIDGED && options->mtu >= VN_MTU_LEAST &&
              options->mtu <= VN_MTU_MOST;
  if (good && !vn_list_text(list, length, "ipv4Subnet", text, sizeof text)) return true;
  good &= vn_subnet_parse(text, &options->base, &options->bits);
  good &= vn_list_text(list, length, "ipv4Gateway", text, sizeof text) && vn_ipv4_parse(text, &options->gateway);
  good &= vn_list_text(list, length, "dhcpStart", text, sizeof text) && vn_ipv4_parse(text, &options->dhcp_start);
  good &= vn_list_text(list, length, "dhcpEnd", text, sizeof text) && vn_ipv4_parse(text, &options->dhcp_end);
  options->has_prefix = vn_list_text(list, length, "ipv6Prefix", text, sizeof text);
  if (options->has_prefix) good &= vn_prefix_parse(text, options->prefix);
  return good;
}

/* Makes the network around a connection. Takes over owner and fd. */
static uint32_t adopt(struct vn_job *job, struct vn_owner *owner, int fd, const uint8_t *answer, uint32_t length,
                      struct vn_network **out) {
  struct vn_network_options options;
  struct vn_network *network = NULL;
  struct attach attach = {.command.run = run_attach, .owner = owner, .answer = answer, .length = length, .fd = fd};
  uint32_t status = read_parameters(&options, answer, length) ? VN_OK : VN_BAD_TOKEN;
  if (status == VN_OK) status = vn_registry_adopt(&options, run_first, false, &network);
  if (status == VN_OK && vn_network_call(network, &attach.command) && attach.attached) {
    *out = network;
    return VN_OK;
  }
  if (attach.fd >= 0) close(attach.fd);
  free(owner);
  if (network != NULL) {
    vn_network_stop(network, VN_STOPPED);
    vn_network_release(network);
  }
  return vn_fail(job, status ? status : VN_GONE, NULL, "the network could not be joined");
}

uint32_t vn_join(struct vn_job *job, struct vn_network **out) {
  char token[VN_TOKEN_ROOM] = "";
  struct vn_entry entry;
  struct vn_reader reader;
  vn_list_read(&reader, job->options, job->options_length);
  while (vn_list_next(&reader, &entry))
    if (!vn_entry_is(&entry, VN_TEXT, "token")) return vn_fail(job, VN_BAD_OPTION, "token", "joining takes a token alone");
  vn_list_text(job->options, job->options_length, "token", token, sizeof token);
  return vn_join_token(job, token, out);
}

uint32_t vn_join_token(struct vn_job *job, const char *token, struct vn_network **out) {
  struct vn_owner *owner = calloc(1, sizeof *owner);
  if (owner == NULL) return vn_fail(job, VN_NO_MEMORY, NULL, "memory ran out");
  if (!parse_token(token, owner)) {
    free(owner);
    return vn_fail(job, VN_BAD_TOKEN, "token", "this is not a token of a share");
  }
  struct vn_writer hello = {.data = NULL};
  uint8_t *answer;
  uint32_t length;
  int fd;
  vn_write_text(&hello, "role", "control");
  uint32_t status = call_owner(job, owner, &hello, &fd, &answer, &length);
  if (status != VN_OK) {
    free(owner);
    return status;
  }
  status = (uint32_t)vn_list_number(answer, length, "status", VN_BAD_TOKEN);
  if (status == VN_OK) {
    status = adopt(job, owner, fd, answer, length, out);
  } else {
    pass_refusal(job, answer, length, status);
    close(fd);
    free(owner);
  }
  free(answer);
  return status;
}

uint32_t vn_join_interface(struct vn_network *network, struct vn_job *job, const struct vn_interface_options *options,
                           int *fd) {
  struct vn_writer hello = {.data = NULL};
  uint8_t *answer;
  uint32_t length, mark;
  if (vn_atomic_load(&network->status) != VN_OK) return vn_fail(job, VN_GONE, NULL, "the network has ended");
  vn_write_text(&hello, "role", "interface");
  mark = vn_write_begin(&hello, "options"); /* virtio header and checksums are this side's business */
  vn_write_bytes(&hello, "vmnet_interface_id", options->id, 16);
  vn_write_number(&hello, "vmnet_allocate_mac_address", options->allocate_mac);
  vn_write_number(&hello, "vmnet_enable_isolation", options->isolated);
  vn_write_number(&hello, "vmnet_enable_tso", options->tso);
  if (options->mtu) vn_write_number(&hello, "vmnet_mtu", options->mtu);
  vn_write_end(&hello, mark);
  uint32_t status = call_owner(job, network->owner, &hello, fd, &answer, &length);
  if (status == VN_BAD_TOKEN) {
    job->result.length = 0;
    return vn_fail(job, VN_GONE, NULL, "the network's owner stopped sharing it");
  }
  if (status != VN_OK) return status;
  status = (uint32_t)vn_list_number(answer, length, "status", VN_GONE);
  struct vn_reader reader;
  struct vn_entry entry;
  vn_list_read(&reader, answer, length);
  while (status == VN_OK && vn_list_next(&reader, &entry))
    if (entry.key_length > 6 && memcmp(entry.key, "vmnet_", 6) == 0) vn_write_entry(&job->result, &entry);
  if (status != VN_OK) {
    pass_refusal(job, answer, length, status);
    close(*fd);
  }
  free(answer);
  return status;
}
