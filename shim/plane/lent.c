// SPDX-License-Identifier: MIT
/*
 * lent.c - what all loans have in common, and the endpoint "interface", whose port an interface is.
 *
 * From vn_lent_place() on the loan holds the interface by one reference and has it instead of the script: both end
 * together, in give_back(), which runs once, whether the port ever was on the network or not. A loan that was begun
 * belongs to the network's thread and ends by its port's removed().
 */
#include "loan.h"

#include <stdlib.h>

#include "endpoint.h"
#include "vmnet_shim.h"

static void give_back(struct vn_lent *lent) {
  struct vn_port *interface = lent->interface;
  vn_guard_free(lent->port.guard); /* of one that was never on the network */
  lent->free(lent);
  if (!VN_BROKEN(83)) vn_port_return(interface);
  vn_release(&interface->object);
}

void vn_lent_discard(struct vn_lent *lent) { give_back(lent); }

static void gone_due(struct vn_network *network, struct vn_timer *timer) {
  (void)network;
  struct vn_lent *lent = (struct vn_lent *)((char *)timer - offsetof(struct vn_lent, gone));
  vn_network_remove(&lent->port, vn_atomic_load(&lent->interface->status));
}

bool vn_lent_works(struct vn_lent *lent) {
  if (vn_atomic_load(&lent->interface->status) == VN_OK) return true;
  struct vn_network *network = lent->port.network;
  if (lent->gone.at_ns == 0) vn_network_timer(network, &lent->gone, network->now_ns);
  return false;
}

void vn_lent_removed(struct vn_net_port *port, uint32_t status) {
  struct vn_lent *lent = (struct vn_lent *)port;
  struct vn_loan loan = lent->loan;
  if (loan.over != NULL || loan.uplink) vn_plane_event(port, VN_DISCONNECTED, NULL, NULL);
  vn_network_timer(loan.network, &lent->gone, 0);
  vn_port_sink(lent->interface, NULL);
  give_back(lent);
  if (loan.over != NULL) loan.over(loan.endpoint, status);
  if (loan.uplink) vn_network_end(loan.network, status); /* clients are told rather than left on their own */
}

uint32_t vn_lent_begin(struct vn_lent *lent) {
  struct vn_network *network = lent->loan.network;
  if (network->ending) return VN_GONE;
  uint32_t status = vn_atomic_load(&lent->interface->status);
  if (status != VN_OK) return status;
  if (!vn_network_add(network, &lent->port)) return network->straight ? VN_IN_USE : VN_NO_MEMORY;
  vn_port_sink(lent->interface, &lent->sink);
  if (!VN_BROKEN(82)) vn_network_work(&lent->port); /* at what came before, its end too */
  if (!lent->loan.uplink) vn_plane_event(&lent->port, VN_CONNECTED, NULL, NULL); /* that was there before its switch */
  return VN_OK;
}

struct placing {
  struct vn_command command;
  struct vn_lent *lent;
  uint32_t status;
};

static void run_place(struct vn_network *network, struct vn_command *command) {
  struct placing *placing = (struct placing *)command;
  placing->status = vn_lent_begin(placing->lent);
  vn_command_done(network, command);
}

uint32_t vn_lent_place(struct vn_job *job, const struct vn_loan *loan, struct vn_lent *lent,
                       struct vn_object *interface) {
  struct placing placing = {.command.run = run_place, .lent = lent, .status = VN_GONE};
  lent->loan = *loan;
  lent->interface = (struct vn_port *)interface;
  lent->gone.due = gone_due;
  lent->port.kind = loan->uplink ? "uplink" : "interface";
  lent->port.table.uplink = loan->uplink;
  vn_retain(interface);
  job->lent = NULL;
  if (loan->port != NULL) *loan->port = &lent->port;
  if (loan->endpoint != NULL) return VN_OK;
  vn_network_call(loan->network, &placing.command);
  if (placing.status == VN_OK) return VN_OK;
  if (loan->port != NULL) *loan->port = NULL;
  vn_lent_discard(lent);
  return vn_fail(job, placing.status, NULL,
                 placing.status == VN_NO_MEMORY ? "the switch has no more ports"
                 : placing.status == VN_IN_USE  ? "the bridge has both its ends"
                                                : "the interface or the switch has ended");
}

/* The endpoint. */

struct lent_endpoint {
  struct vn_endpoint endpoint; /* first */
  struct vn_net_port *port;    /* a struct vn_lent; NULL: it is not there any more */
};

static void over(struct vn_endpoint *endpoint, uint32_t status) {
  struct lent_endpoint *self = (struct lent_endpoint *)endpoint;
  self->port = NULL;
  vn_endpoint_fail(endpoint, status);
}

static uint32_t lent_open(struct vn_job *job, struct vn_endpoint *endpoint) {
  struct lent_endpoint *self = (struct lent_endpoint *)endpoint;
  struct vn_loan loan = {.network = endpoint->network, .endpoint = endpoint, .over = over, .port = &self->port};
  if (job->other == NULL) return vn_fail(job, VN_BAD_OPTION, "object", "the endpoint needs an interface");
  return vn_backend()->lend(job, job->other, &loan);
}

static uint32_t lent_begin(struct vn_endpoint *endpoint) {
  struct lent_endpoint *self = (struct lent_endpoint *)endpoint;
  struct vn_net_port *port = self->port;
  bool virtio = port->virtio; /* what the interface is, whatever the options say */
  uint32_t max_frame = port->max_frame;
  if (!vn_endpoint_port_init(endpoint, port)) return VN_NO_MEMORY;
  port->virtio = virtio;
  port->max_frame = max_frame;
  return vn_lent_begin((struct vn_lent *)port);
}

static void lent_end(struct vn_endpoint *endpoint, uint32_t status) {
  struct lent_endpoint *self = (struct lent_endpoint *)endpoint;
  struct vn_net_port *port = self->port;
  self->port = NULL;
  if (port == NULL) return;
  ((struct vn_lent *)port)->loan.over = NULL; /* known */
  vn_network_remove(port, status);
}

static void lent_free(struct vn_endpoint *endpoint) {
  struct lent_endpoint *self = (struct lent_endpoint *)endpoint;
  if (self->port != NULL) vn_lent_discard((struct vn_lent *)self->port); /* it was never begun */
}

const struct vn_endpoint_class vn_lent_endpoint = {.kind = "interface",
                                                   .size = sizeof(struct lent_endpoint),
                                                   .open = lent_open,
                                                   .begin = lent_begin,
                                                   .end = lent_end,
                                                   .free = lent_free};
