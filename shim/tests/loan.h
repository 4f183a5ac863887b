// SPDX-License-Identifier: MIT
/* loan.h - for the tests of loans: interfaces lent and given back by C, without the objects of a switch. */
#ifndef VN_TESTS_LOAN_H
#define VN_TESTS_LOAN_H

#include "client.h"
#include "core/handle.h"
#include "embedded/holder.h"
#include "plane/loan.h"

static inline struct vn_object *object_of(int32_t handle) {
  struct vn_object *object = NULL;
  return vn_handle_find(handle, &object) == VN_OK ? object : NULL;
}

static inline struct vn_port *port_of(int32_t handle) { return (struct vn_port *)object_of(handle); }

/* A switch of its own: of endpoints and uplinks alone. */
static void loan_first(struct vn_network *network, struct vn_command *command) {
  struct vn_refusal fine;
  (void)command;
  vn_refuse(&fine, VN_OK, NULL, "");
  vn_network_started(network, &fine);
}

static void loan_first_straight(struct vn_network *network, struct vn_command *command) {
  network->straight = true;
  loan_first(network, command);
}

static inline struct vn_network *switch_new(bool straight) {
  struct vn_network_options options = {.mode = VN_MODE_HOST, .mtu = 1500};
  struct vn_network *network = NULL;
  vn_registry_adopt(&options, straight ? loan_first_straight : loan_first, true, &network);
  return network;
}

static inline void switch_end(struct vn_network *network) {
  vn_network_stop(network, VN_STOPPED);
  CHECK(vn_network_wait_ended(network, vn_monotonic_ns() + 5000000000ull));
  vn_network_release(network);
}

/* As core/ and a switch do it: taken from the script, then lent. NULL: *status says why. */
static vn_atomic_u32 loans_over;
static void loan_over(struct vn_endpoint *endpoint, uint32_t status) {
  (void)status;
  *(struct vn_net_port **)(void *)endpoint = NULL;
  vn_atomic_add(&loans_over, 1);
}

static inline uint32_t loan_status(int32_t handle, struct vn_loan *loan) {
  vn_atomic_u32 state = 1; /* running */
  struct vn_job job = {.op = VN_OP_SWITCH_CREATE, .target = object_of(handle), .state = &state};
  if (!vn_port_lend((struct vn_port *)job.target)) return VN_IN_USE;
  job.lent = (struct vn_port *)job.target;
  uint32_t status = vn_backend()->lend(&job, job.target, loan);
  CHECK((status == VN_OK) == (job.lent == NULL) || status == VN_GONE || status == VN_STOPPED || status == VN_NO_MEMORY);
  if (job.lent) vn_port_return(job.lent);
  vn_writer_free(&job.result);
  return status;
}

static inline struct vn_net_port *lend(int32_t handle, struct vn_network *network, bool uplink) {
  struct vn_net_port *port = NULL;
  struct vn_loan loan = {.network = network, .uplink = uplink, .port = &port};
  return loan_status(handle, &loan) == VN_OK ? port : NULL;
}

/* Commands. */

struct loan_command {
  struct vn_command command;
  struct vn_net_port *port;
  vn_atomic_u32 *let;
  uint32_t status;
};

static void loan_run_remove(struct vn_network *network, struct vn_command *command) {
  struct loan_command *self = (struct loan_command *)command;
  vn_network_remove(self->port, VN_STOPPED);
  vn_command_done(network, command);
}

static inline bool give_back(struct vn_network *network, struct vn_net_port *port) {
  struct loan_command remove = {.command.run = loan_run_remove, .port = port};
  return vn_network_call(network, &remove.command);
}

static void loan_run_begin(struct vn_network *network, struct vn_command *command) {
  struct loan_command *self = (struct loan_command *)command;
  self->status = vn_lent_begin((struct vn_lent *)self->port);
  vn_command_done(network, command);
}

/* As an endpoint: made first, then begun. *port becomes NULL when the loan is over by itself. */
static inline uint32_t lend_endpoint(int32_t handle, struct vn_network *network, struct vn_net_port **port) {
  struct vn_loan loan = {
      .network = network, .endpoint = (struct vn_endpoint *)(void *)port, .over = loan_over, .port = port};
  uint32_t status = loan_status(handle, &loan);
  if (status != VN_OK) return status;
  struct loan_command begin = {.command.run = loan_run_begin, .port = *port};
  if (!vn_network_call(network, &begin.command)) begin.status = VN_GONE;
  if (begin.status != VN_OK) vn_lent_discard((struct vn_lent *)*port);
  return begin.status;
}

/* The network's thread does nothing until it is let go. */
static void loan_run_hold(struct vn_network *network, struct vn_command *command) {
  struct loan_command *self = (struct loan_command *)command;
  while (!vn_atomic_load(self->let)) usleep(100);
  vn_command_done(network, command);
}

struct loan_hold {
  struct loan_command command;
  vn_atomic_u32 let;
};

static inline void hold_begin(struct loan_hold *hold, struct vn_network *network) {
  *hold = (struct loan_hold){.command.command.run = loan_run_hold};
  hold->command.let = &hold->let;
  CHECK(vn_network_post(network, &hold->command.command));
}

static inline void hold_end(struct loan_hold *hold, struct vn_network *network) {
  vn_atomic_store(&hold->let, 1);
  vn_lock(&network->lock);
  while (!hold->command.command.done) vn_lock_wait(&network->lock, 0);
  vn_unlock(&network->lock);
}

/* Sends numbered frames from one port in bursts, and counts what comes to the other one in order. */
static inline uint32_t carried(struct client *c, int32_t from, int32_t to, uint32_t frames, uint32_t header, int ms) {
  static const uint8_t source[6] = {2, 0, 0, 0, 9, 1};
  uint8_t frame[1600] = {0};
  uint32_t seen = 0;
  for (uint32_t i = 0; i < frames; i++) {
    uint32_t length = 60 + i % 1400;
    make_frame(frame + header, length, everybody, source, i);
    if (!client_push(c, from, frame, length + header)) return seen;
    if (i % 100 != 99 && i + 1 < frames) continue;
    while (seen <= i) {
      int32_t count = client_drain(c, to, BATCH, ms);
      if (count <= 0) return seen;
      for (int32_t k = 0; k < count; k++) {
        uint32_t number;
        memcpy(&number, client_frame(c, k) + header + 14, 4);
        if (number != seen || client_length(c, k) != 60 + seen % 1400 + header) return seen;
        seen++;
      }
    }
  }
  return seen;
}

/* By the ABI. Handles, or minus the status. */
static inline int32_t abi_switch(struct client *c, int32_t target, bool straight) {
  struct vn_writer options = {.data = NULL};
  vn_write_number(&options, "straight", straight);
  uint32_t status = client_call(c, target, VN_OP_SWITCH_CREATE, &options);
  return status ? -(int32_t)status : client_handle(c);
}

static inline int32_t abi_interface(struct client *c, int32_t board, int32_t interface) {
  struct vn_writer options = {.data = NULL};
  vn_write_text(&options, "kind", "interface");
  if (interface) vn_write_number(&options, "object", (uint64_t)interface);
  uint32_t status = client_call(c, board, VN_OP_ENDPOINT_OPEN, &options);
  return status ? -(int32_t)status : client_handle(c);
}

static inline uint32_t abi_state(struct client *c, int32_t handle) {
  return client_get(c, handle, VN_GET_STATE) ? (uint32_t)client_number(c, "status") : 9999;
}

static inline bool abi_becomes(struct client *c, int32_t handle, uint32_t wanted) {
  for (int i = 0; i < 2000 && abi_state(c, handle) != wanted; i++) usleep(1000);
  return abi_state(c, handle) == wanted;
}

/* Operations let go of their objects a little after their end was told. */
static inline bool objects_become(struct client *c, uint64_t wanted) {
  for (int i = 0; i < 1000; i++, usleep(1000))
    if (client_get(c, c->context, VN_GET_STATS) && client_number(c, "objects") == wanted) return true;
  return false;
}

static inline bool becomes(vn_atomic_u32 *value, uint32_t wanted) {
  for (int i = 0; i < 2000 && vn_atomic_load(value) != wanted; i++) usleep(1000);
  return vn_atomic_load(value) == wanted;
}

#endif
