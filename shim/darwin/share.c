// SPDX-License-Identifier: MIT
/*
 * share.c - a vmnet network for other processes of this user, and for endpoints of this one.
 *
 * Theory of operation. The first share of a network, or the first switch that a script wants for it, makes a switch
 * network (embedded/) whose uplink is the network's member interface; every share listens for it. Whoever joins is a
 * port of that switch and so a station on vmnet's network; so is a script's endpoint. MAC addresses, limits and
 * isolation among the joined are the switch's business, addresses and leases are vmnet's, which are passed on. macOS
 * takes forwards and reservations only when a network is created, so asking for one later is answered at once.
 *
 * The switch belongs to the network and ends before the member does.
 */
#include <stdlib.h>
#include <string.h>

#include "embedded/facts.h"
#include "embedded/holder.h"
#include "embedded/request.h"
#include "embedded/share.h"
#include "network.h"
#include "plane/plane.h"
#include "vmnet_shim.h"

/* Answers to joined processes. They wait for the next turn: a request is not in the list before send() is done. */

struct answers {
  struct vn_attachment attachment; /* first: they live as long as the network */
  struct vn_network *network;
  struct vn_timer timer;
  struct vn_writer ids; /* "id" entries, or "reservation", by what was asked */
};

static struct answers *answers_of(struct vn_network *network) { return (struct answers *)network->attachment; }

static void answer_all(struct vn_network *network, struct vn_timer *timer) {
  struct answers *answers = (struct answers *)((char *)timer - offsetof(struct answers, timer));
  struct vn_writer ids = answers->ids;
  struct vn_reader reader;
  struct vn_entry entry;
  answers->ids = (struct vn_writer){.data = NULL};
  vn_list_read(&reader, ids.data, ids.length);
  while (vn_list_next(&reader, &entry)) {
    struct vn_writer reply = {.data = NULL};
    bool forward = vn_entry_is(&entry, VN_NUMBER, "id");
    vn_write_number(&reply, "id", vn_entry_number(&entry));
    vn_write_number(&reply, "status", VN_UNSUPPORTED);
    vn_write_text(&reply, "text",
                  forward ? "macOS takes the forwards of a network when it is created, and only then"
                          : "macOS takes the reservations of a network when it is created, and only then");
    vn_request_reply(network, reply.data, reply.length);
    vn_writer_free(&reply);
  }
  vn_writer_free(&ids);
}

static bool share_send(struct vn_network *network, struct vn_writer *message) {
  struct answers *answers = answers_of(network);
  char name[24] = "";
  vn_list_text(message->data, message->length, "message", name, sizeof name);
  vn_write_number(&answers->ids, strncmp(name, "reservation", 11) == 0 ? "reservation" : "id",
                  vn_list_number(message->data, message->length, "id", 0));
  vn_network_timer(network, &answers->timer, network->now_ns);
  vn_writer_free(message);
  return !answers->ids.failed;
}

static void share_stop(struct vn_network *network) { vn_network_timer(network, &answers_of(network)->timer, 0); }

static bool share_gone(struct vn_network *network) { return (void)network, true; }

static const struct vn_upstream share_upstream = {share_send, share_stop, share_gone};

static void answers_ended(struct vn_attachment *attachment) { (void)attachment; }

static void answers_freed(struct vn_attachment *attachment) {
  struct answers *answers = (struct answers *)attachment;
  vn_writer_free(&answers->ids);
  free(answers);
}

/* The switch. */

static void run_first(struct vn_network *network, struct vn_command *command) {
  (void)command;
  struct vn_refusal fine;
  struct vn_reader reader;
  struct vn_entry entry;
  vn_list_read(&reader, network->options.forwards.data, network->options.forwards.length);
  while (vn_list_next(&reader, &entry)) {
    struct vn_forward forward;
    struct vn_refusal why;
    if (entry.type == VN_LIST && vn_forward_read(&forward, entry.value, entry.length, &why) == VN_OK)
      vn_facts_forward_add(network, &forward);
  }
  vn_facts_reservations_first(network);
  network->upstream = &share_upstream;
  vn_refuse(&fine, VN_OK, NULL, "");
  vn_network_started(network, &fine);
}

/* What joined processes are told of the network. */
static void describe(const struct vn_mac_network *network, struct vn_network_options *options) {
  *options = (struct vn_network_options){.mode = network->mode, .mtu = network->mtu, .dhcp = network->dhcp};
  options->lease_seconds = VN_LEASE_SECONDS;
  options->base = network->base;
  options->bits = network->bits;
  options->gateway = network->gateway;
  options->dhcp_start = network->gateway + 1;
  options->dhcp_end = (network->base | ~vn_mask(network->bits)) - 1;
  memcpy(options->prefix, network->prefix, sizeof options->prefix);
  options->has_prefix = network->prefix_length == 64 && network->prefix[0] == 0xfd; /* all that joining takes */
  struct vn_reader reader;
  struct vn_entry entry;
  vn_list_read(&reader, network->forwards.data, network->forwards.length);
  while (vn_list_next(&reader, &entry)) vn_write_entry(&options->forwards, &entry);
  vn_list_read(&reader, network->reservations.data, network->reservations.length);
  while (vn_list_next(&reader, &entry)) vn_write_entry(&options->reservations, &entry);
}

/* The network's leases so far go along, by what VN_GET_LEASES tells. */
static void tell_known(struct vn_mac_network *network) {
  struct vn_writer known = {.data = NULL};
  struct vn_reader reader;
  struct vn_entry entry;
  if (vn_mac_network_get(network, VN_GET_LEASES, &known) == VN_OK) {
    vn_list_read(&reader, known.data, known.length);
    while (vn_list_next(&reader, &entry)) {
      struct vn_writer lease = {.data = (uint8_t *)(uintptr_t)entry.value, .length = entry.length};
      if (vn_entry_is(&entry, VN_LIST, "lease")) vn_mac_network_tell_lease(network, &lease);
    }
  }
  vn_writer_free(&known);
}

/* Makes the switch network, or the job's failure. */
static uint32_t make(struct vn_job *job, const struct vn_mac_network *network, struct vn_mac_nic *member,
                     struct vn_network **out) {
  struct vn_network_options options;
  struct vn_network *shared;
  struct answers *answers = calloc(1, sizeof *answers);
  if (answers == NULL) return vn_fail(job, VN_NO_MEMORY, NULL, "memory ran out");
  describe(network, &options);
  uint32_t status = options.forwards.failed || options.reservations.failed ? VN_NO_MEMORY : vn_registry_adopt(&options, run_first, true, &shared);
  vn_network_options_free(&options); /* empty when the network has them */
  if (status != VN_OK) {
    free(answers);
    return vn_fail(job, status, NULL, "no memory, thread or descriptor for sharing");
  }
  answers->network = shared;
  answers->timer.due = answer_all;
  answers->attachment = (struct vn_attachment){.ended = answers_ended, .freed = answers_freed};
  vn_network_attach(shared, &answers->attachment);
  status = vn_mac_uplink_attach(shared, member, false);
  if (status == VN_OK) {
    *out = shared;
    return VN_OK;
  }
  vn_network_stop(shared, VN_GONE);
  vn_network_release(shared);
  return vn_fail(job, status, NULL, "the network has ended");
}

static struct vn_lock making; /* one switch at a time: it is waited for only by who shares for the first time */

int vn_mac_shares_init(void) { return vn_lock_init(&making); }

/* The switch with a reference for the caller, or the job's failure. */
static uint32_t switch_of(struct vn_job *job, struct vn_mac_network *network, struct vn_network **out, bool *first) {
  vn_lock(&network->lock);
  struct vn_network *shared = network->shared;
  struct vn_mac_nic *member = network->member;
  if (vn_atomic_load(&network->status) != VN_OK) member = NULL;
  if (member != NULL) vn_retain(&member->port.object);
  vn_unlock(&network->lock);
  if (member == NULL) return vn_fail(job, VN_GONE, NULL, "the network has ended");
  uint32_t status = VN_OK;
  *first = shared == NULL;
  if (shared == NULL) status = make(job, network, member, &shared);
  if (status == VN_OK) {
    vn_lock(&network->lock);
    network->shared = *out = shared;
    vn_network_retain(shared);
    vn_unlock(&network->lock);
  }
  vn_release(&member->port.object);
  return status;
}

/* run() with the network's switch, which is made if there is none. */
static uint32_t on_switch(struct vn_job *job, struct vn_mac_network *network,
                          uint32_t (*run)(struct vn_job *job, struct vn_network *shared)) {
  struct vn_network *shared;
  bool first;
  vn_lock(&making);
  uint32_t status = switch_of(job, network, &shared, &first);
  vn_unlock(&making);
  if (status != VN_OK) return status;
  if (first) tell_known(network);
  /* It may have begun to end meanwhile, and looked for the switch too early. */
  if (vn_atomic_load(&network->status) != VN_OK) vn_mac_network_unshare(network, 0);
  status = run(job, shared);
  vn_network_release(shared);
  return status;
}

static uint32_t start_share(struct vn_job *job, struct vn_network *shared) { return vn_share_start(shared, job); }

uint32_t vn_mac_network_share(struct vn_job *job, struct vn_mac_network *network) {
  return on_switch(job, network, start_share);
}

uint32_t vn_mac_network_switch(struct vn_job *job, struct vn_mac_network *network) {
  return on_switch(job, network, vn_board_on);
}

void vn_mac_network_unshare(struct vn_mac_network *network, uint64_t until_ns) {
  vn_lock(&network->lock);
  struct vn_network *shared = network->shared;
  network->shared = NULL;
  vn_unlock(&network->lock);
  if (shared == NULL) return;
  vn_network_stop(shared, VN_GONE);
  vn_network_wait_ended(shared, until_ns);
  vn_network_release(shared);
}

struct telling {
  struct vn_command command;
  struct vn_writer lease; /* as a message, for those who joined */
};

static void end_telling(struct telling *telling) {
  vn_writer_free(&telling->lease);
  free(telling);
}

static void run_tell(struct vn_network *network, struct vn_command *command) {
  struct telling *telling = (struct telling *)command;
  if (!network->ending) vn_facts_lease(network, telling->lease.data, telling->lease.length);
  end_telling(telling);
}

static void tell(struct vn_network *shared, const struct vn_writer *lease) {
  struct telling *telling = calloc(1, sizeof *telling);
  struct vn_reader reader;
  struct vn_entry entry;
  if (telling == NULL) return;
  telling->command.run = run_tell;
  vn_write_text(&telling->lease, "message", "lease");
  vn_list_read(&reader, lease->data, lease->length);
  while (vn_list_next(&reader, &entry)) vn_write_entry(&telling->lease, &entry);
  if (!vn_list_find(lease->data, lease->length, VN_NUMBER, "change", &entry)) /* out of a table */
    vn_write_number(&telling->lease, "change", 1);
  if (telling->lease.failed || !vn_network_post(shared, &telling->command)) end_telling(telling);
}

/* Not waited for: whoever watches leases has more to do. What memory does not allow is missed, as by a full queue. */
void vn_mac_network_tell_lease(struct vn_mac_network *network, const struct vn_writer *lease) {
  vn_lock(&network->lock);
  struct vn_network *shared = network->shared;
  if (shared != NULL) vn_network_retain(shared);
  vn_unlock(&network->lock);
  if (shared == NULL) return;
  tell(shared, lease);
  vn_network_release(shared);
}
