// SPDX-License-Identifier: MIT
/*
 * request.c - requests wait in a list of the network's thread until the reply with their number comes. The waiter is
 * memory
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

struct question {
  uint32_t op;
  struct vn_forward forward;         /* of VN_OP_FORWARD_* */
  struct vn_reservation reservation; /* of VN_OP_RESERVATION_* */
};

struct vn_request {
  struct vn_request *next;
  uint64_t id;
  struct question question;
  bool withdrawn;                  /* its owner went meanwhile */
  bool unheard;                    /* takes something back: nobody ever waited */
  struct waiter *waiter;           /* NULL: nobody waits here */
  uint64_t member, member_request; /* 0: no joined process asked */
};

static const struct {
  uint32_t op;
  const char *name;
} messages[] = {{VN_OP_FORWARD_ADD, "forwardAdd"},         {VN_OP_FORWARD_REMOVE, "forwardRemove"},
                {VN_OP_FORWARD_LIST, "forwardList"},       {VN_OP_RESERVATION_ADD, "reservationAdd"},
                {VN_OP_RESERVATION_REMOVE, "reservationRemove"}, {VN_OP_RESERVATION_LIST, "reservationList"}};
enum { MESSAGES = sizeof messages / sizeof *messages };

static const char *name_of(uint32_t op) {
  uint32_t i = 0;
  while (messages[i].op != op) i++;
  return messages[i].name;
}

static bool of_forwards(uint32_t op) {
  return op == VN_OP_FORWARD_ADD || op == VN_OP_FORWARD_REMOVE || op == VN_OP_FORWARD_LIST;
}

static bool is_list(uint32_t op) { return op == VN_OP_FORWARD_LIST || op == VN_OP_RESERVATION_LIST; }

static void write_list(struct vn_network *network, uint32_t op, struct vn_writer *out) {
  if (op == VN_OP_FORWARD_LIST) vn_facts_write_forwards(network, out);
  else vn_facts_write_reservations(network, out);
}

/* Reads what is asked, as far as it can be checked here. */
static uint32_t read_question(struct question *out, const struct vn_network *network, uint32_t op, const uint8_t *list,
                              uint32_t length, struct vn_refusal *why) {
  static const char missing[] = "it is missing";
  *out = (struct question){.op = op};
  if (of_forwards(op)) {
    uint32_t status = vn_forward_read(&out->forward, list, length, why);
    if (op == VN_OP_FORWARD_REMOVE) out->forward.address[0] = 0;
    if (status != VN_OK || op == VN_OP_FORWARD_REMOVE) return status;
    if (!out->forward.address[0]) return vn_refuse(why, VN_BAD_OPTION, "internalAddress", missing);
    return out->forward.internal_port ? VN_OK : vn_refuse(why, VN_BAD_OPTION, "internalPort", missing);
  }
  uint32_t status = vn_reservation_read(&out->reservation, &network->options, list, length, why);
  if (op == VN_OP_RESERVATION_REMOVE) out->reservation.address = 0;
  if (status == VN_OK && op == VN_OP_RESERVATION_ADD && out->reservation.address == 0)
    return vn_refuse(why, VN_BAD_OPTION, "address", missing);
  if (status == VN_OK && network->owner_process && !network->options.dhcp)
    return vn_refuse(why, VN_UNSUPPORTED, NULL, "a network without DHCP keeps no addresses for anybody");
  return status;
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
             vn_entry_is(&entry, VN_NUMBER, "errno") || vn_entry_is(&entry, VN_LIST, "forward") ||
             vn_entry_is(&entry, VN_LIST, "reservation"))
      vn_write_entry(out, &entry);
  }
}

static bool ask(struct vn_network *network, struct vn_request *request) {
  const struct question *question = &request->question;
  struct vn_writer message = {.data = NULL};
  vn_write_text(&message, "message", name_of(question->op));
  vn_write_number(&message, "id", request->id);
  /* Another process checks it anew, so there it is a list of its own. */
  bool forward = of_forwards(question->op);
  uint32_t mark = network->owner_process ? 0 : vn_write_begin(&message, forward ? "forward" : "reservation");
  if (forward && question->op != VN_OP_FORWARD_LIST) vn_forward_write(&message, &question->forward);
  if (!forward && question->op != VN_OP_RESERVATION_LIST) vn_reservation_write(&message, &question->reservation);
  if (!network->owner_process) vn_write_end(&message, mark);
  return network->upstream->send(network, &message);
}

static void begin(struct vn_network *network, const struct question *question, struct waiter *waiter, uint64_t member,
                  uint64_t member_request);

/* Has somebody asked for something else for that client meanwhile? Then that is what is wanted. */
static bool superseded(const struct vn_network *network, const struct question *done) {
  for (const struct vn_request *request = network->requests; request != NULL; request = request->next) {
    const struct question *later = &request->question;
    if (!of_forwards(later->op) && memcmp(later->reservation.mac, done->reservation.mac, 6) == 0) return true;
  }
  return false;
}

/* Asks for the contrary of what came true. A restart must not replay that, so the books change at once. */
static void take_back(struct vn_network *network, const struct question *done, uint32_t before) {
  struct question back = *done;
  uint32_t ignored;
  if (of_forwards(done->op)) {
    back.op = VN_OP_FORWARD_REMOVE;
    back.forward.address[0] = 0;
    vn_facts_forward_remove(network, &done->forward);
  } else if (superseded(network, done)) {
    return;
  } else {
    back.op = before ? VN_OP_RESERVATION_ADD : VN_OP_RESERVATION_REMOVE;
    back.reservation.address = before;
    if (network->owner_process && before) vn_facts_reserve(network, &back.reservation, &ignored);
    if (network->owner_process && !before) vn_facts_unreserve(network, back.reservation.mac);
  }
  if (!network->ending) begin(network, &back, NULL, 0, 0);
}

/* The books of what came true. Reservations are those of the network's owner alone, who says what was there before. */
static uint32_t keep(struct vn_network *network, const struct question *done, const uint8_t *reply, uint32_t length,
                     uint32_t *before) {
  char text[VN_ADDRESS_TEXT];
  switch (done->op) {
  case VN_OP_FORWARD_ADD: /* in a joined network too: to be withdrawn */
    vn_facts_forward_add(network, &done->forward);
    break;
  case VN_OP_FORWARD_REMOVE: vn_facts_forward_remove(network, &done->forward); break;
  case VN_OP_RESERVATION_ADD:
    if (network->owner_process) return vn_facts_reserve(network, &done->reservation, before) ? VN_OK : VN_NO_MEMORY;
    if (vn_list_text(reply, length, "before", text, sizeof text)) vn_ipv4_parse(text, before);
    break;
  case VN_OP_RESERVATION_REMOVE:
    if (network->owner_process) vn_facts_unreserve(network, done->reservation.mac);
    break;
  default: break;
  }
  return VN_OK;
}

/* The end of a request: tells who asked, keeps the books, and frees it. */
static void complete(struct vn_network *network, struct vn_request *request, uint32_t status, bool again,
                     const uint8_t *reply, uint32_t length) {
  const struct question *question = &request->question;
  bool done = status == VN_OK && !again, heard = true;
  bool added = done && (question->op == VN_OP_FORWARD_ADD || question->op == VN_OP_RESERVATION_ADD);
  uint32_t before = 0;
  if (done) status = keep(network, question, reply, length, &before);
  bool kept = status == VN_OK;
  if (request->withdrawn && !again) status = VN_STOPPED;
  if (request->member != 0) {
    struct vn_writer message = {.data = NULL};
    vn_write_text(&message, "message", "reply");
    vn_write_number(&message, "id", request->member_request);
    vn_write_number(&message, "status", status);
    vn_write_number(&message, "again", again);
    if (before != 0) vn_write_ipv4(&message, "before", before);
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
  if (added && (!heard || !kept || request->withdrawn) && !request->unheard) take_back(network, question, before);
  free(request);
}

static void begin(struct vn_network *network, const struct question *question, struct waiter *waiter, uint64_t member,
                  uint64_t member_request) {
  struct vn_request *request = calloc(1, sizeof *request);
  if (request == NULL) {
    if (waiter != NULL) waiter->status = VN_NO_MEMORY, waiter->done = true;
    return;
  }
  request->id = ++network->next_id;
  request->question = *question;
  request->unheard = waiter == NULL && member == 0;
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
  struct question question = {.op = VN_OP_FORWARD_REMOVE};
  while (vn_facts_forward_of(network, owner, &question.forward)) {
    vn_facts_forward_remove(network, &question.forward);
    question.forward.address[0] = 0;
    if (!network->ending) begin(network, &question, NULL, 0, 0);
  }
  for (struct vn_request *request = network->requests; request != NULL; request = request->next)
    request->withdrawn |= request->question.op == VN_OP_FORWARD_ADD && request->question.forward.owner == owner;
}

static bool asks_too_much(const struct vn_network *network, uint64_t member) {
  uint32_t count = 0;
  for (const struct vn_request *request = network->requests; request != NULL; request = request->next)
    count += request->member == member;
  return count >= MEMBER_MOST;
}

void vn_request_relay(struct vn_network *network, const uint8_t *message, uint32_t length, uint64_t member) {
  uint64_t id = vn_list_number(message, length, "id", 0);
  char name[24] = "";
  struct vn_entry inner = {.value = NULL};
  struct question question;
  struct vn_refusal why;
  uint32_t status = VN_OK, op = 0;
  vn_list_text(message, length, "message", name, sizeof name);
  for (uint32_t i = 0; i < MESSAGES; i++)
    if (strcmp(name, messages[i].name) == 0) op = messages[i].op;
  if (op == 0) return;
  bool list = is_list(op);
  if (!list && vn_list_find(message, length, VN_LIST, of_forwards(op) ? "forward" : "reservation", &inner))
    status = read_question(&question, network, op, inner.value, inner.length, &why);
  else if (!list)
    status = vn_refuse(&why, VN_BAD_CALL, NULL, "the request is malformed");
  if (!list && status == VN_OK && asks_too_much(network, member))
    status = vn_refuse(&why, VN_BUSY, NULL, "too many requests wait for the gateway");
  if (!list && status == VN_OK) {
    question.forward.owner = member;
    begin(network, &question, NULL, member, id);
    return;
  }
  struct vn_writer reply = {.data = NULL};
  vn_write_text(&reply, "message", "reply");
  vn_write_number(&reply, "id", id);
  vn_write_number(&reply, "status", status);
  if (status != VN_OK) vn_write_text(&reply, "text", why.message);
  if (status != VN_OK && why.field[0]) vn_write_text(&reply, "field", why.field);
  if (list) write_list(network, op, &reply);
  vn_member_reply(network, member, &reply);
}

/* The control thread. */

struct begin_command {
  struct vn_command command;
  const struct vn_nic *nic; /* that asked; NULL: a network */
  const struct question *question;
  struct waiter *waiter;
};

static void run_begin(struct vn_network *network, struct vn_command *command) {
  struct begin_command *begun = (struct begin_command *)command;
  if (begun->nic != NULL && begun->nic->removed && begun->question->op == VN_OP_FORWARD_ADD)
    *begun->waiter = (struct waiter){.done = true, .status = VN_STOPPED}; /* nothing would ever withdraw it */
  else
    begin(network, begun->question, begun->waiter, 0, 0);
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
  struct question question = {.op = job->op};
  struct vn_refusal why;
  if (is_list(job->op) && network->owner_process) {
    write_list(network, job->op, &job->result);
    return VN_OK;
  }
  if (!is_list(job->op) &&
      read_question(&question, network, job->op, job->options, job->options_length, &why) != VN_OK)
    return vn_fail_refused(job, &why);
  question.forward.owner = nic != NULL ? nic->serial : 0;
  uint64_t until = job->deadline_ns ? job->deadline_ns : vn_monotonic_ns() + PATIENCE_NS;
  for (;;) {
    struct waiter waiter = {.result = &job->result};
    struct begin_command begun = {.command.run = run_begin, .nic = nic, .question = &question, .waiter = &waiter};
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
