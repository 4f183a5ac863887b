// SPDX-License-Identifier: MIT
/*
 * vmnet_forward.c - port forwarding rules of interfaces, and the list of all rules of this process.
 *
 * Theory of operation. An external port of a protocol and family has one rule at the most, whoever it belongs to; the
 * rules of an interface go with it, those of a network object when it stops. With wire=daemon the daemon really
 * forwards. Completions run on a thread of the framework's, and nothing of the interface is touched there: it may be
 * gone.
 */
#include <Block.h>
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "vmnet_double.h"
#include "xpc_more.h"

/* What a caller has to say for AF_INET6: a Mach-O file Darwin's number, sources compiled for this machine its own. */
#ifdef DOUBLE_MACHO
enum { CALLERS_INET6 = 30 };
#else
enum { CALLERS_INET6 = AF_INET6 };
#endif

static pthread_mutex_t rules_lock = PTHREAD_MUTEX_INITIALIZER;
static struct vd_rule *rules;

static uint8_t family_of(int family) {
  return family == AF_INET ? 4 : family == CALLERS_INET6 ? 6 : 0;
}

vmnet_return_t vd_rule_make(struct vd_rule *rule, uint8_t protocol, int family, uint16_t external, uint16_t internal,
                            const void *address) {
  *rule = (struct vd_rule){.protocol = protocol, .family = family_of(family), .external = external, .internal = internal};
  if ((protocol != IPPROTO_TCP && protocol != IPPROTO_UDP) || rule->family == 0 || external == 0)
    return VMNET_INVALID_ARGUMENT;
  if (address == NULL) return VMNET_SUCCESS;
  if (internal == 0) return VMNET_INVALID_ARGUMENT;
  inet_ntop(rule->family == 4 ? AF_INET : AF_INET6, address, rule->address, sizeof rule->address);
  return VMNET_SUCCESS;
}

void vd_rule_write(struct vn_writer *out, const struct vd_rule *rule) {
  vn_write_number(out, "protocol", rule->protocol);
  vn_write_number(out, "externalPort", rule->external);
  if (rule->address[0] == 0) {
    vn_write_number(out, "family", rule->family);
  } else {
    vn_write_text(out, "internalAddress", rule->address);
    vn_write_number(out, "internalPort", rule->internal);
  }
}

static struct vd_rule **find(const struct vd_rule *rule) { /* locked */
  struct vd_rule **at = &rules;
  while (*at != NULL && ((*at)->protocol != rule->protocol || (*at)->family != rule->family ||
                         (*at)->external != rule->external))
    at = &(*at)->next;
  return at;
}

bool vd_rule_claim(const struct vd_rule *rule, const void *owner) {
  pthread_mutex_lock(&rules_lock);
  bool free_port = *find(rule) == NULL;
  if (free_port) {
    struct vd_rule *kept = malloc(sizeof *kept);
    if (kept == NULL) double_die("no memory");
    *kept = *rule;
    kept->owner = owner;
    kept->next = rules;
    rules = kept;
  }
  pthread_mutex_unlock(&rules_lock);
  return free_port;
}

/* False: that owner has no such rule. */
static bool has(const struct vd_rule *rule, const void *owner, bool forget) {
  pthread_mutex_lock(&rules_lock);
  struct vd_rule **at = find(rule), *found = *at;
  bool there = found != NULL && found->owner == owner;
  if (there && forget) {
    *at = found->next;
    free(found);
  }
  pthread_mutex_unlock(&rules_lock);
  return there;
}

void vd_rules_forget(const void *owner) {
  pthread_mutex_lock(&rules_lock);
  for (struct vd_rule **at = &rules; *at != NULL;) {
    struct vd_rule *each = *at;
    if (each->owner == owner) {
      *at = each->next;
      free(each);
    } else {
      at = &each->next;
    }
  }
  pthread_mutex_unlock(&rules_lock);
}

struct errand {
  uint32_t op;
  struct vd_rule rule;
  const void *owner; /* compared, never followed */
  uint64_t remote;
  bool daemon;
  vmnet_return_t status;
  xpc_object_t list;
  vmnet_interface_completion_handler_t done;
  vmnet_interface_get_ip_port_forwarding_rules_handler_t listed;
};

static void run(void *context) {
  struct errand *errand = context;
  if (double_verb("call", "late")) double_sleep((unsigned)double_number("call"));
  if (errand->op != VN_OP_FORWARD_LIST && errand->daemon && errand->status == VMNET_SUCCESS) {
    struct vn_writer options = {.data = NULL};
    vd_rule_write(&options, &errand->rule);
    errand->status = vd_daemon_call(errand->remote, errand->op, &options, NULL, NULL);
    vn_writer_free(&options);
    bool added = errand->op == VN_OP_FORWARD_ADD;
    if (added && errand->status != VMNET_SUCCESS) has(&errand->rule, errand->owner, true);
  }
  if (errand->op == VN_OP_FORWARD_LIST) {
    errand->listed(errand->list);
    if (errand->list != NULL) xpc_release(errand->list);
    Block_release(errand->listed);
  } else {
    errand->done(errand->status);
    Block_release(errand->done);
  }
  free(errand);
}

/* What every call of this file begins with. */
static vmnet_return_t usable(struct vmnet_interface *nic, bool handler, const char *caller) {
  vd_check(nic, caller);
  if (!handler) double_die("%s: the handler is NULL", caller);
  if (double_verb("call", "hang")) double_hang();
  uint32_t state = atomic_load(&nic->state);
  if (state != VD_UP) return state == VD_STARTING ? VMNET_SETUP_INCOMPLETE : VMNET_INVALID_ARGUMENT;
  if (nic->network != NULL) return VMNET_FAILURE; /* such rules are given with the configuration, or not at all */
  return double_verb("call", "fail") ? (vmnet_return_t)double_number("call") : VMNET_SUCCESS;
}

static struct errand *new_errand(struct vmnet_interface *nic, uint32_t op) {
  struct errand *errand = calloc(1, sizeof *errand);
  if (errand == NULL) double_die("no memory");
  *errand = (struct errand){.op = op, .owner = nic, .remote = nic->remote, .status = VMNET_SUCCESS};
  errand->daemon = nic->fd >= 0;
  return errand;
}

static vmnet_return_t change(struct vmnet_interface *nic, uint32_t op, const struct vd_rule *rule,
                             vmnet_interface_completion_handler_t handler) {
  struct errand *errand = new_errand(nic, op);
  errand->rule = *rule;
  errand->done = Block_copy(handler);
  bool good = op == VN_OP_FORWARD_ADD ? vd_rule_claim(rule, nic) : has(rule, nic, true);
  if (!good) errand->status = VMNET_FAILURE;
  vd_thread(run, errand);
  return VMNET_SUCCESS;
}

static vmnet_return_t list(struct vmnet_interface *nic, uint8_t family,
                           vmnet_interface_get_ip_port_forwarding_rules_handler_t handler) {
  struct errand *errand = new_errand(nic, VN_OP_FORWARD_LIST);
  errand->listed = Block_copy(handler);
  pthread_mutex_lock(&rules_lock);
  for (const struct vd_rule *rule = rules; rule != NULL; rule = rule->next) {
    if (rule->owner != nic || rule->family != family) continue;
    if (errand->list == NULL) errand->list = xpc_array_create(NULL, 0); /* no rules, no array */
    xpc_object_t entry = xpc_dictionary_create(NULL, NULL, 0);
    xpc_dictionary_set_uint64(entry, "protocol", rule->protocol);
    xpc_dictionary_set_uint64(entry, "family", rule->family);
    xpc_dictionary_set_uint64(entry, "external", rule->external);
    xpc_dictionary_set_uint64(entry, "internal", rule->internal);
    xpc_dictionary_set_string(entry, "address", rule->address);
    xpc_array_append_value(errand->list, entry);
    xpc_release(entry);
  }
  pthread_mutex_unlock(&rules_lock);
  vd_thread(run, errand);
  return VMNET_SUCCESS;
}

static vmnet_return_t details(xpc_object_t rule, uint8_t family, uint8_t *protocol, uint16_t *external, void *address,
                              uint16_t *internal, const char *caller) {
  if (rule == NULL || xpc_get_type(rule) != XPC_TYPE_DICTIONARY) double_die("%s: this is no rule", caller);
  const char *text = xpc_dictionary_get_string(rule, "address");
  if (text == NULL || family == 0 || xpc_dictionary_get_uint64(rule, "family") != family) return VMNET_INVALID_ARGUMENT;
  *protocol = (uint8_t)xpc_dictionary_get_uint64(rule, "protocol");
  *external = (uint16_t)xpc_dictionary_get_uint64(rule, "external");
  *internal = (uint16_t)xpc_dictionary_get_uint64(rule, "internal");
  inet_pton(family == 4 ? AF_INET : AF_INET6, text, address);
  return VMNET_SUCCESS;
}

static void since_12(const char *caller) {
  if (!double_macos(12, 0)) double_die("%s: macOS %s does not have it", caller, double_get("macos"));
}

vmnet_return_t vmnet_interface_add_ip_port_forwarding_rule(interface_ref nic, uint8_t protocol, uint16_t external_port,
                                                           uint8_t address_family, const void *internal_address,
                                                           uint16_t internal_port,
                                                           vmnet_interface_completion_handler_t handler) {
  struct vd_rule rule;
  since_12("vmnet_interface_add_ip_port_forwarding_rule");
  vmnet_return_t status = usable(nic, handler != NULL, "vmnet_interface_add_ip_port_forwarding_rule");
  if (status == VMNET_SUCCESS && internal_address == NULL) status = VMNET_INVALID_ARGUMENT;
  if (status != VMNET_SUCCESS) return status;
  status = vd_rule_make(&rule, protocol, address_family, external_port, internal_port, internal_address);
  return status == VMNET_SUCCESS ? change(nic, VN_OP_FORWARD_ADD, &rule, handler) : status;
}

vmnet_return_t vmnet_interface_remove_ip_port_forwarding_rule(interface_ref nic, uint8_t protocol,
                                                              uint16_t external_port, uint8_t address_family,
                                                              vmnet_interface_completion_handler_t handler) {
  struct vd_rule rule;
  since_12("vmnet_interface_remove_ip_port_forwarding_rule");
  vmnet_return_t status = usable(nic, handler != NULL, "vmnet_interface_remove_ip_port_forwarding_rule");
  if (status == VMNET_SUCCESS) status = vd_rule_make(&rule, protocol, address_family, external_port, 0, NULL);
  return status == VMNET_SUCCESS ? change(nic, VN_OP_FORWARD_REMOVE, &rule, handler) : status;
}

vmnet_return_t vmnet_interface_get_ip_port_forwarding_rules(
    interface_ref nic, uint8_t address_family, vmnet_interface_get_ip_port_forwarding_rules_handler_t handler) {
  since_12("vmnet_interface_get_ip_port_forwarding_rules");
  vmnet_return_t status = usable(nic, handler != NULL, "vmnet_interface_get_ip_port_forwarding_rules");
  if (status == VMNET_SUCCESS && family_of(address_family) == 0) status = VMNET_INVALID_ARGUMENT;
  return status == VMNET_SUCCESS ? list(nic, family_of(address_family), handler) : status;
}

vmnet_return_t vmnet_ip_port_forwarding_rule_get_details(xpc_object_t rule, uint8_t *protocol, uint16_t *external_port,
                                                         uint8_t address_family, void *internal_address,
                                                         uint16_t *internal_port) {
  return details(rule, family_of(address_family), protocol, external_port, internal_address, internal_port,
                 "vmnet_ip_port_forwarding_rule_get_details");
}

/* The same for IPv4 alone, older. */

vmnet_return_t vmnet_interface_add_port_forwarding_rule(interface_ref nic, uint8_t protocol, uint16_t external_port,
                                                        struct in_addr internal_address, uint16_t internal_port,
                                                        vmnet_interface_completion_handler_t handler) {
  struct vd_rule rule;
  vmnet_return_t status = usable(nic, handler != NULL, "vmnet_interface_add_port_forwarding_rule");
  if (status == VMNET_SUCCESS)
    status = vd_rule_make(&rule, protocol, AF_INET, external_port, internal_port, &internal_address);
  return status == VMNET_SUCCESS ? change(nic, VN_OP_FORWARD_ADD, &rule, handler) : status;
}

vmnet_return_t vmnet_interface_remove_port_forwarding_rule(interface_ref nic, uint8_t protocol, uint16_t external_port,
                                                           vmnet_interface_completion_handler_t handler) {
  struct vd_rule rule;
  vmnet_return_t status = usable(nic, handler != NULL, "vmnet_interface_remove_port_forwarding_rule");
  if (status == VMNET_SUCCESS) status = vd_rule_make(&rule, protocol, AF_INET, external_port, 0, NULL);
  return status == VMNET_SUCCESS ? change(nic, VN_OP_FORWARD_REMOVE, &rule, handler) : status;
}

vmnet_return_t vmnet_interface_get_port_forwarding_rules(interface_ref nic,
                                                         vmnet_interface_get_port_forwarding_rules_handler_t handler) {
  vmnet_return_t status = usable(nic, handler != NULL, "vmnet_interface_get_port_forwarding_rules");
  return status == VMNET_SUCCESS ? list(nic, 4, handler) : status;
}

vmnet_return_t vmnet_port_forwarding_rule_get_details(xpc_object_t rule, uint8_t *protocol, uint16_t *external_port,
                                                      struct in_addr *internal_address, uint16_t *internal_port) {
  return details(rule, 4, protocol, external_port, internal_address, internal_port,
                 "vmnet_port_forwarding_rule_get_details");
}
