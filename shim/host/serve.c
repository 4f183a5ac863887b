// SPDX-License-Identifier: MIT
/* serve.c - requests, their threads and their replies; see host.h. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "core/operation.h"
#include "darwin/host_link.h"
#include "darwin/network.h"
#include "darwin/system.h"
#include "embedded/channel.h"
#include "gateway/protocol.h"
#include "host.h"
#include "vmnet_shim.h"

#define RECEIVE_NS 5000000000ull /* the rest of a message whose first byte has come */
#define SEND_NS 5000000000ull
#define REQUESTS_MOST 64u /* that hang or wait: the other side has eight threads that ask */

struct request {
  struct request *next;
  uint64_t serial;
  vn_atomic_u32 state; /* enum vn_operation_state, for vn_job_abandoned() */
  struct vn_job job;
  struct vn_thing *target; /* counted */
  uint8_t *message;        /* what job.options lies in */
};

static struct {
  int fd;
  struct vn_lock sending;
  struct vn_lock lock; /* of the rest */
  struct request *requests;
  struct vn_thing *things;
  uint64_t numbers;
  uint32_t running;
} host;

static void reply(const struct request *request, uint32_t status, struct vn_writer *result, uint64_t object) {
  struct vn_writer message = {.data = NULL};
  struct vn_reader reader;
  struct vn_entry entry;
  if (result->failed) status = VN_NO_MEMORY;
  vn_write_number(&message, "serial", request->serial);
  vn_write_number(&message, "status", status);
  if (object != 0) vn_write_number(&message, "object", object);
  vn_list_read(&reader, result->data, result->length);
  while (vn_list_next(&reader, &entry)) vn_write_entry(&message, &entry);
  vn_lock(&host.sending);
  /* Half a message would be read as the start of the next one; the reader of requests sees the end as well. */
  if (vn_message_send(host.fd, &message, vn_monotonic_ns() + SEND_NS) != VN_OK) vn_socket_shut(host.fd);
  vn_unlock(&host.sending);
}

/* Things. */

static struct vn_thing *find(uint64_t number, bool unlink) {
  vn_lock(&host.lock);
  struct vn_thing **at = &host.things;
  while (*at != NULL && (*at)->number != number) at = &(*at)->next;
  struct vn_thing *thing = *at;
  if (thing != NULL && unlink)
    *at = thing->next; /* the list's reference is the caller's now */
  else if (thing != NULL)
    vn_atomic_add(&thing->references, 1);
  vn_unlock(&host.lock);
  return thing;
}

static void end_thing(struct vn_thing *thing) {
  vn_thing_end(thing);
  vn_thing_release(thing);
}

/* Makes a thing and puts it into the list. Answers its number, 0 when there is none. */
static uint64_t make(struct vn_job *job, uint32_t (*how)(struct vn_job *, struct vn_thing *), uint32_t *status) {
  struct vn_thing *thing = calloc(1, sizeof *thing);
  *status = VN_NO_MEMORY;
  if (thing == NULL) return 0;
  thing->references = 1;
  *status = how(job, thing);
  if (*status == VN_OK && vn_job_abandoned(job)) *status = VN_CANCELLED;
  if (*status != VN_OK) {
    end_thing(thing);
    return 0;
  }
  vn_lock(&host.lock);
  thing->number = ++host.numbers;
  thing->next = host.things;
  host.things = thing;
  uint64_t number = thing->number; /* it may be ended as soon as it is known, but is not before this is answered */
  vn_unlock(&host.lock);
  return number;
}

/* Requests. */

static uint32_t carry_out(struct request *request, uint64_t *object) {
  struct vn_job *job = &request->job;
  struct vn_object *target = request->target != NULL ? request->target->object : NULL;
  uint32_t status = VN_BAD_CALL;
  job->target = target;
  switch (job->op) {
    case VN_OP_SHARED_INTERFACES: return vn_mac_shared_interfaces(job);
    case VN_OP_NETWORK_CREATE: *object = make(job, vn_thing_network, &status); return status;
    case VN_OP_INTERFACE_START: *object = make(job, vn_thing_interface, &status); return status;
    case VN_OP_NETWORK_SHARE:
      if (target != NULL) *object = make(job, vn_thing_share, &status);
      return target != NULL ? status : VN_GONE;
    case VN_OP_FORWARD_ADD:
    case VN_OP_FORWARD_REMOVE:
    case VN_OP_FORWARD_LIST:
    case VN_OP_RESERVATION_ADD:
    case VN_OP_RESERVATION_REMOVE:
    case VN_OP_RESERVATION_LIST: return target != NULL ? vn_backend()->run(job) : VN_GONE;
    default: return VN_BAD_CALL;
  }
}

static void end_request(struct request *request) {
  vn_lock(&host.lock);
  struct request **at = &host.requests;
  while (*at != request) at = &(*at)->next;
  *at = request->next;
  host.running--;
  vn_unlock(&host.lock);
  if (request->target != NULL) vn_thing_release(request->target);
  vn_writer_free(&request->job.result);
  free(request->message);
  free(request);
}

static void *request_body(void *argument) {
  struct request *request = argument;
  uint64_t object = 0;
  uint32_t status = VN_OK;
  if (request->job.op == VN_OP_STOP) {
    if (request->target != NULL) end_thing(request->target);
    request->target = NULL;
  } else {
    status = carry_out(request, &object);
  }
  reply(request, status, &request->job.result, object);
  end_request(request);
  return NULL;
}

static void cancel(uint64_t serial) {
  vn_lock(&host.lock);
  for (struct request *request = host.requests; request != NULL; request = request->next)
    if (request->serial == serial) vn_atomic_store(&request->state, VN_CANCELLED_EARLY);
  vn_unlock(&host.lock);
}

/* Takes the message over. */
static void begin(uint8_t *message, uint32_t length) {
  uint64_t serial = vn_list_number(message, length, "serial", 0), number = vn_list_number(message, length, "target", 0);
  uint32_t op = (uint32_t)vn_list_number(message, length, "op", 0);
  struct request *request = op == VN_HOST_CANCEL ? NULL : calloc(1, sizeof *request);
  struct vn_entry options;
  if (op == VN_HOST_CANCEL) cancel(serial);
  if (request == NULL) {
    free(message);
    return; /* out of memory: whoever asks has a time limit */
  }
  request->serial = serial;
  request->message = message;
  request->state = VN_RUNNING;
  request->job = (struct vn_job){.op = op, .state = &request->state};
  if (vn_list_find(message, length, VN_LIST, "options", &options)) {
    request->job.options = options.value;
    request->job.options_length = options.length;
  }
  /* Here and not in the thread, so that requests find what was there when they came. */
  if (number != 0) request->target = find(number, op == VN_OP_STOP);
  vn_lock(&host.lock);
  request->next = host.requests;
  host.requests = request;
  bool room = host.running++ < REQUESTS_MOST || op == VN_OP_STOP; /* which makes room */
  vn_unlock(&host.lock);
  if (room && vn_thread_start(request_body, request) == VN_OK) return;
  reply(request, room ? VN_NO_MEMORY : VN_BUSY, &request->job.result, 0);
  end_request(request);
}

uint32_t vn_host_serve(int fd) {
  host.fd = fd;
  if (vn_lock_init(&host.sending) != VN_OK || vn_lock_init(&host.lock) != VN_OK) return VN_NO_MEMORY;
  for (;;) {
    struct pollfd slot = {.fd = fd, .events = POLLIN};
    uint8_t *message;
    uint32_t length;
    if (poll(&slot, 1, -1) < 0 && errno == EINTR) continue;
    uint64_t until = vn_monotonic_ns() + RECEIVE_NS;
    if (vn_message_receive(fd, VN_MESSAGE_LIMIT, until, &message, &length) != VN_OK) return VN_OK;
    begin(message, length);
  }
}
