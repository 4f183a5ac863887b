// SPDX-License-Identifier: MIT
/*
 * forward.c - port forwarding rules of a classic interface.
 *
 * Theory of operation. vmnet's handlers run on a queue of its own and may come late or never, so whatever they touch is
 * counted memory: one reference is the handler's, one the waiting thread's. A call that answers anything but success
 * calls
 * no handler. vmnet does not say why it refuses a rule, so the list is asked for first: whether a port is taken, or
 * there
 * is nothing to remove, is known from there.
 *
 * The functions for both families are of macOS 12; before, there are those for IPv4 alone. On an interface of a network
 * object vmnet refuses all of this and calls no handler: rules are the network's, given when it was created.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "embedded/options.h"
#include "network.h"
#include "system.h"
#include "vmnet_shim.h"

#define SUCCEEDED(status) ((status) == VMNET_SUCCESS)

static bool has_both_families(void) {
  uint32_t version = vn_mac_version();
  return (version == 0 || version >= 1200) && vn_mac_has(vmnet_interface_add_ip_port_forwarding_rule) &&
         vn_mac_has(vmnet_interface_remove_ip_port_forwarding_rule) &&
         vn_mac_has(vmnet_interface_get_ip_port_forwarding_rules) && vn_mac_has(vmnet_ip_port_forwarding_rule_get_details);
}

static uint8_t family_of(const struct vn_forward *rule) { return rule->family == 6 ? AF_INET6 : AF_INET; }

/* A call's wait, and what its handler needs. */
struct pending {
  vn_atomic_u32 references;
  struct vn_mac_wait *wait;
  struct vn_mac_nic *nic; /* counted */
  struct vn_forward rule; /* to be taken back */
  uint32_t family;        /* of a listing: 4 or 6 */
  struct vn_writer rules; /* of a listing: "forward" entries */
};

static void release(struct pending *it) {
  if (vn_atomic_add(&it->references, -1) != 1) return;
  vn_release(&it->nic->port.object);
  vn_writer_free(&it->rules);
  free(it);
}

static struct pending *pending_new(struct vn_mac_nic *nic) {
  struct pending *it = calloc(1, sizeof *it);
  struct vn_mac_wait *wait = it ? vn_mac_wait_new() : NULL;
  if (wait == NULL) return free(it), NULL;
  it->references = 2;
  it->wait = wait;
  it->nic = nic;
  vn_retain(&nic->port.object);
  return it;
}

/* The handler's end. False: nobody waited any more. */
static bool handled(struct pending *it, vmnet_return_t answer) {
  bool wanted = vn_mac_wait_done(it->wait, answer);
  release(it);
  return wanted;
}

/* Waits for the handler of a call that answered so, and gives up the caller's references. The handler's answer, or the
 * job's failure in *status. */
static vmnet_return_t wait_for(struct vn_job *job, struct pending *it, vmnet_return_t called, uint32_t *status) {
  struct vn_mac_wait *wait = it->wait;
  uint32_t answer = called;
  *status = VN_OK;
  if (!SUCCEEDED(called)) {
    vn_mac_wait_release(wait); /* the handler's, which does not come */
    if (!VN_BROKEN(56)) release(it);
  } else if (!vn_mac_wait(wait, job, &answer)) {
    *status = vn_fail(job, vn_job_abandoned(job) ? VN_CANCELLED : VN_TIMEOUT, NULL, "vmnet did not answer in time");
  }
  vn_mac_wait_release(wait);
  return answer;
}

/* Listing. */

static void read_rule(struct pending *it, xpc_object_t object) {
  struct vn_forward rule = {.family = it->family};
  uint8_t protocol = 0, address[16] = {0};
  uint16_t external = 0, internal = 0;
  struct in_addr ipv4 = {.s_addr = 0};
  vmnet_return_t status;
  if (has_both_families()) {
    status = vmnet_ip_port_forwarding_rule_get_details(object, &protocol, &external, family_of(&rule), address, &internal);
  } else {
    status = vmnet_port_forwarding_rule_get_details(object, &protocol, &external, &ipv4, &internal);
    memcpy(address, &ipv4, sizeof ipv4);
  }
  if (!SUCCEEDED(status) || inet_ntop(family_of(&rule), address, rule.address, sizeof rule.address) == NULL) return;
  rule.protocol = protocol;
  rule.external_port = external;
  rule.internal_port = internal;
  uint32_t mark = vn_write_begin(&it->rules, "forward");
  vn_forward_write(&it->rules, &rule);
  vn_write_end(&it->rules, mark);
}

/* In vmnet's handler; NULL stands for no rules. */
static void read_rules(struct pending *it, xpc_object_t rules) {
  size_t count = rules != NULL && xpc_get_type(rules) == XPC_TYPE_ARRAY ? xpc_array_get_count(rules) : 0;
  for (size_t i = 0; i < count; i++) read_rule(it, xpc_array_get_value(rules, i));
  handled(it, VMNET_SUCCESS);
}

/* Appends the rules of a family to out. VN_OK or the job's failure. */
static uint32_t list_family(struct vn_job *job, struct vn_mac_nic *nic, uint32_t family, struct vn_writer *out) {
  if (family == 6 && !has_both_families()) return VN_OK;
  if (!vn_mac_nic_enter(nic)) return vn_fail(job, VN_STOPPED, NULL, "The interface is being stopped");
  struct pending *it = pending_new(nic);
  vmnet_return_t called = VMNET_MEM_FAILURE;
  uint32_t status = VN_NO_MEMORY;
  if (it != NULL) {
    it->family = family;
    called = has_both_families()
                 ? vmnet_interface_get_ip_port_forwarding_rules(nic->ref, family == 6 ? AF_INET6 : AF_INET,
                                                                ^(xpc_object_t rules) { read_rules(it, rules); })
                 : vmnet_interface_get_port_forwarding_rules(nic->ref, ^(xpc_object_t rules) { read_rules(it, rules); });
  }
  vn_mac_nic_leave(nic);
  if (it == NULL) return vn_fail(job, status, NULL, "memory ran out");
  vmnet_return_t answer = wait_for(job, it, called, &status);
  if (status == VN_OK && !SUCCEEDED(answer)) status = vn_mac_fail(job, answer, "vmnet did not list the rules");
  if (status == VN_OK) { /* else the handler may still be at it */
    struct vn_reader reader;
    struct vn_entry entry;
    vn_list_read(&reader, it->rules.data, it->rules.length);
    while (vn_list_next(&reader, &entry)) vn_write_entry(out, &entry);
    out->failed |= it->rules.failed;
  }
  release(it);
  return status;
}

/* Whether there is a rule for that port already. VN_OK or the job's failure. */
static uint32_t look_up(struct vn_job *job, struct vn_mac_nic *nic, const struct vn_forward *rule, bool *found) {
  struct vn_writer rules = {.data = NULL};
  struct vn_reader reader;
  struct vn_entry entry;
  uint32_t status = list_family(job, nic, rule->family, &rules);
  *found = false;
  vn_list_read(&reader, rules.data, rules.length);
  while (vn_list_next(&reader, &entry))
    *found = (*found && !VN_BROKEN(63)) ||
             (vn_list_number(entry.value, entry.length, "protocol", 0) == rule->protocol &&
              vn_list_number(entry.value, entry.length, "externalPort", 0) == rule->external_port);
  vn_writer_free(&rules);
  return status;
}

/* Adding and removing. */

static vmnet_return_t call_remove(const struct pending *it, vmnet_interface_completion_handler_t handler) {
  const struct vn_forward *rule = &it->rule;
  uint8_t protocol = (uint8_t)rule->protocol;
  uint16_t port = (uint16_t)rule->external_port;
  return has_both_families()
             ? vmnet_interface_remove_ip_port_forwarding_rule(it->nic->ref, protocol, port, family_of(rule), handler)
             : vmnet_interface_remove_port_forwarding_rule(it->nic->ref, protocol, port, handler);
}

/* On control: a rule that came into being when nobody waited for it any more. */
static void take_back(void *context) {
  struct pending *it = context;
  if (!VN_BROKEN(55) && vn_mac_nic_enter(it->nic)) { /* else it ends with the interface */
    call_remove(it, ^(vmnet_return_t answer) { (void)answer; });
    vn_mac_nic_leave(it->nic);
  }
  release(it);
}

/* In vmnet's handler. */
static void added(struct pending *it, vmnet_return_t answer) {
  struct vn_mac_nic *nic = it->nic;
  if (SUCCEEDED(answer)) vn_atomic_add(&it->references, 1); /* take_back()'s, or nobody's */
  bool wanted = handled(it, answer);
  if (!SUCCEEDED(answer)) return;
  if (wanted)
    release(it);
  else
    dispatch_async_f(nic->control, it, take_back);
}

static vmnet_return_t call_add(struct pending *it) {
  const struct vn_forward *rule = &it->rule;
  uint8_t protocol = (uint8_t)rule->protocol;
  uint16_t external = (uint16_t)rule->external_port, internal = (uint16_t)rule->internal_port;
  vmnet_interface_completion_handler_t handler = ^(vmnet_return_t answer) { added(it, answer); };
  uint8_t address[16];
  struct in_addr ipv4;
  inet_pton(family_of(rule), rule->address, address);
  memcpy(&ipv4, address, sizeof ipv4);
  return has_both_families() ? vmnet_interface_add_ip_port_forwarding_rule(it->nic->ref, protocol, external,
                                                                           family_of(rule), address, internal, handler)
                             : vmnet_interface_add_port_forwarding_rule(it->nic->ref, protocol, external, ipv4, internal,
                                                                        handler);
}

static uint32_t change(struct vn_job *job, struct vn_mac_nic *nic, const struct vn_forward *rule) {
  bool adding = job->op == VN_OP_FORWARD_ADD, found;
  uint32_t status = look_up(job, nic, rule, &found);
  if (status != VN_OK) return status;
  if (adding && found) return vn_fail(job, VN_IN_USE, "externalPort", "there is a rule for this port");
  if (!adding && !found) return vn_fail(job, VN_NOT_FOUND, NULL, "there is no such rule");
  if (!vn_mac_nic_enter(nic)) return vn_fail(job, VN_STOPPED, NULL, "The interface is being stopped");
  struct pending *it = pending_new(nic);
  vmnet_return_t called = VMNET_MEM_FAILURE;
  if (it != NULL) {
    it->rule = *rule;
    called = adding ? call_add(it) : call_remove(it, ^(vmnet_return_t answer) { handled(it, answer); });
  }
  vn_mac_nic_leave(nic);
  if (it == NULL) return vn_fail(job, VN_NO_MEMORY, NULL, "memory ran out");
  vmnet_return_t answer = wait_for(job, it, called, &status);
  release(it);
  if (status != VN_OK || SUCCEEDED(answer)) return status;
  if (adding && answer == VMNET_FAILURE)
    return vn_fail(job, answer, "externalPort", "vmnet did not add the rule: something else may have this port (1001)");
  return vn_mac_fail(job, answer, adding ? "vmnet did not add the rule" : "vmnet did not remove the rule");
}

uint32_t vn_mac_forward(struct vn_job *job, struct vn_mac_nic *nic) {
  struct vn_forward rule;
  struct vn_refusal why;
  if (nic->network != NULL) return vn_mac_network_forward(job, nic->network);
  if (job->op == VN_OP_FORWARD_LIST) {
    uint32_t status = list_family(job, nic, 4, &job->result);
    return status == VN_OK ? list_family(job, nic, 6, &job->result) : status;
  }
  if (job->op != VN_OP_FORWARD_ADD && job->op != VN_OP_FORWARD_REMOVE) return VN_BAD_CALL;
  if (vn_forward_read(&rule, job->options, job->options_length, &why) != VN_OK) return vn_fail_refused(job, &why);
  if (job->op == VN_OP_FORWARD_ADD && (rule.internal_port == 0 || !rule.address[0]))
    return vn_fail(job, VN_BAD_OPTION, rule.address[0] ? "internalPort" : "internalAddress", "it is missing");
  if (rule.family == 6 && !has_both_families()) return vn_mac_fail_version(job, "internalAddress", "12");
  return change(job, nic, &rule);
}
