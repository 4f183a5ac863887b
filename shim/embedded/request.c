// SPDX-License-Identifier: MIT
/*
 * request.c - requests wait in a list of the network's thread until the reply with their number comes. The waiter is memory
 * of the control thread: it is taken out of the request, by a command, before that thread gives up.
 */
#include "request.h"

#include <stdlib.h>
#include <string.h>

#include "facts.h"
#include "nic.h"
#include "share.h"
#include "vmnet_shim.h"

#define PATIENCE_NS 10000000000ull /* for an operation without a deadline */
#define AGAIN_NS 20000000ull
#define MEMBER_MOST 64 /* questions of a joined process at a time: it must not fill the gateway's queue */

struct waiter {
  bool done, again;
  uint32_t status;
  struct vn_writer *result;
};

struct vn_request {
  struct vn_request *next;
  uint64_t id;
  uint32_t op;
  struct vn_forward forward;
  bool withdrawn;                  /* its owner went meanwhile */
  struct waiter *waiter;           /* NULL: nobody waits here */
  uint64_t member, member_request; /* 0: no joined process asked */
};

static const char *name_of(uint32_t op) {
  return op == VN_OP_FORWARD_ADD ? "forwardAdd" : op == VN_OP_FORWARD_REMOVE ? "forwardRemove" : "forwardList";
}

void vn_reply_details(struct vn_writer *out, const char *text_key, const uint8_t *message, uint32_t length) {
  struct vn_reader reader;
  struct vn_entry entry;
  char text[256];
  vn_list_read(&reader, message, length);
  while (vn_list_next(&reader, &entry)) {
    if (vn_entry_is(&entry, VN_TEXT, "text") && vn_entry_text(&entry, text, sizeof text))
      vn_write_text(out, text_key, text);
    else if (vn_entry_is(&entry, VN_TEXT, "field") || vn_entry_is(&entry, VN_TEXT, "needs") ||
             vn_entry_is(&entry, VN_NUMBER, "errno") || vn_entry_is(&entry, VN_LIST, "forward"))
      vn_write_entry(out, &entry);
  }
}

static bool ask(struct vn_network *network, struct vn_request *request) {
  struct vn_writer message = {.data = NULL};
  vn_write_text(&message, "message", name_of(request->op));
  vn_write_number(&message, "id", request->id);
  /* Another process checks it anew, so there it is a list of its own. */
  uint32_t mark = network->owner_process ? 0 : vn_write_begin(&message, "forward");
  if (request->op != VN_OP_FORWARD_LIST) vn_forward_write(&message, &request->forward);
  if (!network->owner_process) vn_write_end(&message, mark);
  return network->upstream->send(network, &message);
}

static void begin(struct vn_network *network, uint32_t op, const struct vn_forward *forward, struct waiter *waiter,
                  uint64_t member, uint64_t member_request);

/* The end of a request: tells who asked, keeps the books, and frees it. */
static void complete(struct vn_network *network, struct vn_request *request, uint32_t status, bool again,
                     const uint8_t *reply, uint32_t length) {
  bool added = status == VN_OK && request->op == VN_OP_FORWARD_ADD && !again, heard = true;
  if (request->withdrawn && !again) status = VN_STOPPED;
  if (added) vn_facts_forward_add(network, &request->forward); /* in a joined network too: to be withdrawn */
  if (!again && status == VN_OK && request->op == VN_OP_FORWARD_REMOVE)
    vn_facts_forward_remove(network, &request->forward);
  if (request->member != 0) {
    struct vn_writer message = {.data = NULL};
    vn_write_text(&message, "message", "reply");
    vn_write_number(&message, "id", request->member_request);
    vn_write_number(&message, "status", status);
    vn_write_number(&message, "again", again);
    vn_reply_details(&message, "text", reply, length);
    heard = vn_member_reply(network, request->member, &message);
  } else {
    vn_lock(&network->lock);
    struct waiter *waiter = request->waiter;
    heard = waiter != NULL;
    if (heard) {
      waiter->done = true;
      waiter->status = status;
      waiter->again = again;
      if (!again) vn_reply_details(waiter->result, "message", reply, length);
      vn_lock_signal(&network->lock);
    }
    vn_unlock(&network->lock);
  }
  if (added && (!heard || request->withdrawn)) {
    vn_facts_forward_remove(network, &request->forward); /* a restart must not replay it */
    if (!network->ending) begin(network, VN_OP_FORWARD_REMOVE, &request->forward, NULL, 0, 0);
  }
  free(request);
}

static void begin(struct vn_network *network, uint32_t op, const struct vn_forward *forward, struct waiter *waiter,
                  uint64_t member, uint64_t member_request) {
  struct vn_request *request = calloc(1, sizeof *request);
  if (request == NULL) {
    if (waiter != NULL) waiter->status = VN_NO_MEMORY, waiter->done = true;
    return;
  }
  request->id = ++network->next_id;
  request->op = op;
  request->forward = *forward;
  request->waiter = waiter;
  request->member = member;
  request->member_request = member_request;
  if (network->ending) {
    complete(network, request, VN_GONE, false, NULL, 0);
  } else if (network->upstream == NULL) {
    complete(network, request, VN_UNSUPPORTED, false, NULL, 0);
  } else if (!ask(network, request)) {
    complete(network, request, VN_OK, true, NULL, 0);
  } else {
    request->next = network->requests;
    network->requests = request;
  }
}

void vn_request_reply(struct vn_network *network, const uint8_t *message, uint32_t length) {
  uint64_t id = vn_list_number(message, length, "id", 0);
  struct vn_request **at = &network->requests;
  while (*at != NULL && (*at)->id != id) at = &(*at)->next;
  struct vn_request *request = *at;
  if (request == NULL) return;
  *at = request->next;
  complete(network, request, (uint32_t)vn_list_number(message, length, "status", VN_SYSTEM),
           vn_list_number(message, length, "again", 0) != 0, message, length);
}

static void complete_all(struct vn_network *network, uint32_t status, bool again) {
  while (network->requests != NULL) {
    struct vn_request *request = network->requests;
    network->requests = request->next;
    complete(network, request, status, again, NULL, 0);
  }
}

void vn_requests_again(struct vn_network *network) { complete_all(network, VN_OK, true); }
void vn_requests_fail(struct vn_network *network) { complete_all(network, VN_GONE, false); }

void vn_requests_withdraw(struct vn_network *network, uint64_t owner) {
  struct vn_forward forward;
  while (vn_facts_forward_of(network, owner, &forward)) {
    vn_facts_forward_remove(network, &forward);
    forward.address[0] = 0;
    if (!network->ending) begin(network, VN_OP_FORWARD_REMOVE, &forward, NULL, 0, 0);
  }
  for (struct vn_request *request = network->requests; request != NULL; request = request->next)
    request->withdrawn |= request->op == VN_OP_FORWARD_ADD && request->forward.owner == owner;
}

static bool asks_too_much(const struct vn_network *network, uint64_t member) {
  uint32_t count = 0;
  for (const struct vn_request *request = network->requests; request != NULL; request = request->next)
    count += request->member == member;
  return count >= MEMBER_MOST;
}

void vn_request_relay(struct vn_network *network, const char *name, const uint8_t *message, uint32_t length,
                      uint64_t member) {
  uint64_t id = vn_list_number(message, length, "id", 0);
  bool list = strcmp(name, "forwardList") == 0;
  struct vn_entry inner = {.value = NULL};
  struct vn_forward forward = {.protocol = 0};
  struct vn_refusal why;
  uint32_t status = VN_OK;
  if (!list && vn_list_find(message, length, VN_LIST, "forward", &inner))
    status = vn_forward_read(&forward, inner.value, inner.length, &why);
  else if (!list)
    status = vn_refuse(&why, VN_BAD_CALL, NULL, "the request is malformed");
  if (!list && status == VN_OK && asks_too_much(network, member))
    status = vn_refuse(&why, VN_BUSY, NULL, "too many requests wait for the gateway");
  if (!list && status == VN_OK) {
    forward.owner = member;
    if (strcmp(name, "forwardRemove") == 0) forward.address[0] = 0;
    begin(network, forward.address[0] ? VN_OP_FORWARD_ADD : VN_OP_FORWARD_REMOVE, &forward, NULL, member, id);
    return;
  }
  struct vn_writer reply = {.data = NULL};
  vn_write_text(&reply, "message", "reply");
  vn_write_number(&reply, "id", id);
  vn_write_number(&reply, "status", status);
  if (status != VN_OK) vn_write_text(&reply, "text", why.message);
  if (list) vn_facts_write_forwards(network, &reply);
  vn_member_reply(network, member, &reply);
}

/* The control thread. */

struct begin_command {
  struct vn_command command;
  const struct vn_nic *nic; /* that asked; NULL: a network */
  uint32_t op;
  const struct vn_forward *forward;
  struct waiter *waiter;
};

static void run_begin(struct vn_network *network, struct vn_command *command) {
  struct begin_command *begun = (struct begin_command *)command;
  if (begun->nic != NULL && begun->nic->removed && begun->op == VN_OP_FORWARD_ADD)
    *begun->waiter = (struct waiter){.done = true, .status = VN_STOPPED}; /* nothing would ever withdraw it */
  else
    begin(network, begun->op, begun->forward, begun->waiter, 0, 0);
  vn_command_done(network, command);
}

static void run_abandon(struct vn_network *network, struct vn_command *command) {
  struct waiter *waiter = ((struct begin_command *)command)->waiter;
  for (struct vn_request *request = network->requests; request != NULL; request = request->next)
    if (request->waiter == waiter) request->waiter = NULL;
  vn_command_done(network, command);
}

static bool wait_for(struct vn_network *network, struct vn_job *job, struct waiter *waiter, uint64_t until_ns) {
  vn_lock(&network->lock);
  while (!waiter->done && !vn_job_abandoned(job) && vn_monotonic_ns() < until_ns)
    vn_lock_wait(&network->lock, vn_monotonic_ns() + AGAIN_NS);
  bool done = waiter->done;
  vn_unlock(&network->lock);
  return done;
}

uint32_t vn_request_run(struct vn_network *network, struct vn_job *job, const struct vn_nic *nic) {
  struct vn_forward forward = {.protocol = 0};
  struct vn_refusal why;
  if (job->op == VN_OP_FORWARD_LIST && network->owner_process) {
    vn_facts_write_forwards(network, &job->result);
    return VN_OK;
  }
  if (job->op != VN_OP_FORWARD_LIST) {
    uint32_t status = vn_forward_read(&forward, job->options, job->options_length, &why);
    if (status != VN_OK) return vn_fail_refused(job, &why);
  }
  if (job->op == VN_OP_FORWARD_ADD && (!forward.address[0] || !forward.internal_port))
    return vn_fail(job, VN_BAD_OPTION, forward.address[0] ? "internalPort" : "internalAddress", "it is missing");
  if (job->op == VN_OP_FORWARD_REMOVE) forward.address[0] = 0;
  forward.owner = nic != NULL ? nic->serial : 0;
  uint64_t until = job->deadline_ns ? job->deadline_ns : vn_monotonic_ns() + PATIENCE_NS;
  for (;;) {
    struct waiter waiter = {.result = &job->result};
    struct begin_command begun = {.command.run = run_begin, .nic = nic, .op = job->op};
    begun.forward = &forward;
    begun.waiter = &waiter;
    struct begin_command abandon = {.command.run = run_abandon, .waiter = &waiter};
    if (!vn_network_call(network, &begun.command)) return vn_fail(job, VN_GONE, NULL, "the network has ended");
    /* Once abandoned, or when the network has ended, nobody touches the waiter any more. */
    if (!wait_for(network, job, &waiter, until)) vn_network_call(network, &abandon.command);
    if (!waiter.done) return vn_fail(job, VN_TIMEOUT, NULL, "the gateway did not answer");
    if (!waiter.again && waiter.status == VN_UNSUPPORTED && job->result.length == 0)
      return vn_fail_needs(job, VN_UNSUPPORTED, "shared mode", "a network without a gateway has no forwards");
    if (!waiter.again) return waiter.status;
    vn_sleep_ns(AGAIN_NS);
    if (vn_job_abandoned(job) || vn_monotonic_ns() >= until)
      return vn_fail(job, VN_TIMEOUT, NULL, "the gateway is not running");
  }
}
