// SPDX-License-Identifier: MIT
/* Network objects and port forwarding rules of the double of vmnet, over the hub. */
#include "doubles_vmnet.h"

static struct in_addr ipv4(const char *text) {
  struct in_addr out = {0};
  inet_pton(AF_INET, text, &out);
  return out;
}

static struct in6_addr ipv6(const char *text) {
  struct in6_addr out;
  inet_pton(AF_INET6, text, &out);
  return out;
}

static vmnet_network_configuration_ref configuration(const char *gateway) {
  vmnet_return_t status = 0;
  vmnet_network_configuration_ref out = vmnet_network_configuration_create(VMNET_SHARED_MODE, &status);
  CHECK(out != NULL && status == VMNET_SUCCESS);
  struct in_addr address = ipv4(gateway ? gateway : ""), mask = ipv4("255.255.255.0");
  if (gateway) CHECK(vmnet_network_configuration_set_ipv4_subnet(out, &address, &mask) == VMNET_SUCCESS);
  return out;
}

static vmnet_network_ref network(const char *gateway, vmnet_return_t *status) {
  vmnet_network_configuration_ref made = configuration(gateway);
  vmnet_network_ref out = vmnet_network_create(made, status);
  CFRelease(made);
  return out;
}

static bool lies_at(vmnet_network_ref it, const char *gateway) {
  struct in_addr subnet, mask;
  vmnet_network_get_ipv4_subnet(it, &subnet, &mask);
  return subnet.s_addr == ipv4(gateway).s_addr && mask.s_addr == ipv4("255.255.255.0").s_addr;
}

static void setters_look_at_their_values(void) {
  vmnet_return_t status = 0;
  CHECK(vmnet_network_configuration_create(VMNET_BRIDGED_MODE, &status) == NULL && status == VMNET_INVALID_ARGUMENT);
  vmnet_network_configuration_ref host = vmnet_network_configuration_create(VMNET_HOST_MODE, NULL);
  CHECK(vmnet_network_configuration_set_external_interface(host, "en0") == VMNET_INVALID_ARGUMENT);
  CFRelease(host);
  vmnet_network_configuration_ref it = configuration(NULL);
  struct in_addr address = ipv4("192.168.70.1"), mask = ipv4("255.255.255.0"), odd = ipv4("255.0.255.0");
  struct in_addr far = ipv4("8.8.8.1");
  struct in_addr client = ipv4("192.168.70.9"), other = ipv4("192.168.71.9");
  struct in6_addr prefix = ipv6("fd00:1::"), wide = ipv6("2001:db8::"), eight = ipv6("fd00::8");
  CHECK(vmnet_network_configuration_set_ipv4_subnet(it, &address, &odd) == VMNET_INVALID_ARGUMENT);
  CHECK(vmnet_network_configuration_set_ipv4_subnet(it, &far, &mask) == VMNET_INVALID_ARGUMENT);
  CHECK(vmnet_network_configuration_set_ipv4_subnet(it, &address, &mask) == VMNET_SUCCESS);
  CHECK(vmnet_network_configuration_set_external_interface(it, "en0") == VMNET_SUCCESS);
  CHECK(vmnet_network_configuration_set_external_interface(it, "en9") == VMNET_INVALID_ARGUMENT);
  CHECK(vmnet_network_configuration_set_ipv6_prefix(it, &prefix, 64) == VMNET_SUCCESS);
  CHECK(vmnet_network_configuration_set_ipv6_prefix(it, &prefix, 48) == VMNET_INVALID_ARGUMENT);
  CHECK(vmnet_network_configuration_set_ipv6_prefix(it, &wide, 64) == VMNET_INVALID_ARGUMENT);
  CHECK(vmnet_network_configuration_set_mtu(it, 20) == VMNET_INVALID_ARGUMENT);
  CHECK(vmnet_network_configuration_set_mtu(it, 1400) == VMNET_SUCCESS);
  struct ether_addr mac = {{2, 0, 0, 0, 0, 1}};
  CHECK(vmnet_network_configuration_add_dhcp_reservation(it, &mac, &client) == VMNET_SUCCESS);
  CHECK(vmnet_network_configuration_add_dhcp_reservation(it, &mac, &other) == VMNET_INVALID_ARGUMENT);
  CHECK(vmnet_network_configuration_add_port_forwarding_rule(it, 6, AF_INET, 80, 8080, &client) == VMNET_SUCCESS);
  CHECK(vmnet_network_configuration_add_port_forwarding_rule(it, 6, AF_INET, 81, 8080, &client) == VMNET_FAILURE);
  CHECK(vmnet_network_configuration_add_port_forwarding_rule(it, 6, AF_INET6, 80, 8080, &eight) == VMNET_SUCCESS);
  CHECK(vmnet_network_configuration_add_port_forwarding_rule(it, 6, 30, 80, 8082, &eight) == VMNET_INVALID_ARGUMENT);
  CHECK(vmnet_network_configuration_add_port_forwarding_rule(it, 7, AF_INET, 80, 8081, &client) == VMNET_INVALID_ARGUMENT);
  vmnet_network_configuration_disable_nat44(it);
  vmnet_network_configuration_disable_nat66(it);
  vmnet_network_configuration_disable_dhcp(it);
  vmnet_network_configuration_disable_dns_proxy(it);
  vmnet_network_configuration_disable_router_advertisement(it);
  vmnet_network_ref made = vmnet_network_create(it, &status);
  CHECK(made != NULL && status == VMNET_SUCCESS && lies_at(made, "192.168.70.1"));
  struct in6_addr got;
  uint8_t length;
  vmnet_network_get_ipv6_prefix(made, &got, &length);
  CHECK(length == 64 && memcmp(&got, &prefix, 16) == 0);
  CFRelease(it);
  struct nic *nic = nic_start_on(description(0), made);
  CHECK(nic_number(nic, vmnet_mtu_key) == 1400 && nic_number(nic, vmnet_max_packet_size_key) == 1414);
  CHECK(nic_text(nic, vmnet_start_address_key)[0] == 0); /* who wants to know asks the network */
  nic_stop(nic);
  CFRelease(made);
  CHECK(nothing_lives());
}

static void who_may(void) {
  vmnet_return_t status = 0;
  double_set("uid", "501");
  CHECK(network(NULL, &status) == NULL && status == VMNET_MEM_FAILURE);
  double_set("entitled", "1");
  vmnet_network_ref it = network(NULL, &status);
  CHECK(it != NULL && status == VMNET_SUCCESS);
  if (it) CFRelease(it);
  double_set("uid", "0"), double_set("entitled", "0");
}

static void the_subnets_own_address_is_a_trap(void) {
  vmnet_return_t status = 0;
  vmnet_network_ref it = network("192.168.70.0", &status);
  CHECK(it != NULL && status == VMNET_SUCCESS && start_status(description(0), it) == VMNET_FAILURE);
  CFRelease(it);
  CHECK(nothing_lives());
}

static void only_five_keys(void) {
  vmnet_network_ref it = network(NULL, NULL);
  xpc_object_t what = description(0);
  static const char *const flags[] = {"vmnet_allocate_mac_address", "vmnet_enable_tso", "vmnet_enable_isolation",
                                      "vmnet_enable_checksum_offload"};
  for (int i = 0; i < 4; i++) xpc_dictionary_set_bool(what, flags[i], true);
  xpc_dictionary_set_string(what, "vmnet_of_tomorrow", "x");
  CHECK(start_status(what, it) == VMNET_SUCCESS);
  what = description(0);
  xpc_dictionary_set_uint64(what, vmnet_mtu_key, 1400);
  CHECK(start_status(what, it) == VMNET_INVALID_ARGUMENT);
  CHECK(start_status(description(VMNET_SHARED_MODE), it) == VMNET_INVALID_ARGUMENT);
  CFRelease(it);
}

static void a_subnet_is_taken_until_the_stop_has_completed(void) {
  vmnet_return_t status = 0;
  vmnet_network_ref it = network("192.168.70.1", &status);
  CHECK(network("192.168.70.1", &status) == NULL && status == VMNET_FAILURE);
  struct nic *nic = nic_start_on(description(0), it);
  CFRelease(it); /* the interface keeps it */
  CHECK(double_count("networks") == 1 && network("192.168.70.1", &status) == NULL);
  double_set("stop", "late:400");
  nic_begin_stop(nic);
  CHECK(network("192.168.70.1", &status) == NULL);
  CHECK(SOON(atomic_load(&nic->stopped) == VMNET_SUCCESS));
  double_set("stop", "ok");
  dispatch_sync_f(nic->queue, NULL, nothing);
  nic_free(nic);
  it = network("192.168.70.1", &status);
  CHECK(it != NULL);
  if (it) CFRelease(it);
  CHECK(nothing_lives());
}

static void rules_are_lost_with_the_last_interface(void) {
  vmnet_network_configuration_ref made = configuration("192.168.70.1");
  struct in_addr client = ipv4("192.168.70.9");
  vmnet_network_configuration_add_port_forwarding_rule(made, 17, AF_INET, 53, 5353, &client);
  vmnet_network_ref it = vmnet_network_create(made, NULL);
  CFRelease(made);
  /* Whether the port is taken shows in who else can have it. */
  made = configuration("192.168.71.1");
  vmnet_network_configuration_add_port_forwarding_rule(made, 17, AF_INET, 53, 5353, &client);
  struct nic *a = nic_start_on(description(0), it), *b = nic_start_on(description(0), it);
  vmnet_return_t status = 0;
  nic_stop(a);
  CHECK(vmnet_network_create(made, &status) == NULL && status == VMNET_FAILURE);
  nic_stop(b);
  vmnet_network_ref other = vmnet_network_create(made, &status);
  CHECK(other != NULL && lies_at(it, "192.168.70.1") && start_status(description(0), it) == VMNET_SUCCESS);
  CFRelease(made), CFRelease(other), CFRelease(it);
  CHECK(nothing_lives());
}

static void a_serialization_is_good_in_this_process(void) {
  vmnet_return_t status = 0;
  vmnet_network_ref it = network("192.168.70.1", NULL);
  xpc_object_t text = vmnet_network_copy_serialization(it, &status);
  CHECK(text != NULL && status == VMNET_SUCCESS);
  vmnet_network_ref again = vmnet_network_create_with_serialization(text, &status);
  CHECK(again != NULL && status == VMNET_SUCCESS && lies_at(again, "192.168.70.1"));
  struct nic *a = nic_start_on(description(0), it), *b = nic_start_on(description(0), again);
  nic_write(a, 1, 60, 5, NULL);
  CHECK(nic_read(b, 4) == 1);
  nic_stop(a), nic_stop(b);
  CFRelease(again), CFRelease(it);
  CHECK(vmnet_network_create_with_serialization(text, &status) == NULL && status == VMNET_FAILURE);
  xpc_dictionary_set_uint64(text, "process", 1);
  CHECK(vmnet_network_create_with_serialization(text, &status) == NULL && status == VMNET_INVALID_ARGUMENT);
  xpc_release(text);
  CHECK(nothing_lives());
}

static void networks_and_modes_do_not_mix(void) {
  vmnet_network_ref it = network(NULL, NULL);
  struct nic *a = nic_start_on(description(0), it), *b = nic_start(VMNET_SHARED_MODE);
  nic_write(a, 1, 60, 1, NULL);
  CHECK(nic_read(b, 4) == 0);
  nic_stop(a), nic_stop(b);
  CFRelease(it);
}

/* Rules of an interface. */

static atomic_uint answered, listed;

static uint32_t add(struct nic *nic, uint8_t protocol, uint16_t external, const char *address, uint16_t internal) {
  uint8_t bytes[16];
  bool six = strchr(address, ':') != NULL;
  inet_pton(six ? AF_INET6 : AF_INET, address, bytes);
  atomic_store(&answered, 0);
  vmnet_return_t status = vmnet_interface_add_ip_port_forwarding_rule(
      nic->ref, protocol, external, six ? AF_INET6 : AF_INET, bytes, internal, ^(vmnet_return_t said) {
        atomic_store(&answered, said);
      });
  if (status != VMNET_SUCCESS) return status + 10000;
  SOON(atomic_load(&answered) != 0);
  return atomic_load(&answered);
}

static uint32_t drop(struct nic *nic, uint8_t protocol, uint16_t external, int family) {
  atomic_store(&answered, 0);
  vmnet_return_t status = vmnet_interface_remove_ip_port_forwarding_rule(
      nic->ref, protocol, external, (uint8_t)family, ^(vmnet_return_t said) { atomic_store(&answered, said); });
  if (status != VMNET_SUCCESS) return status + 10000;
  SOON(atomic_load(&answered) != 0);
  return atomic_load(&answered);
}

/* Their number; NULL counts as 1000. */
static uint32_t list(struct nic *nic, int family) {
  atomic_store(&listed, 9999);
  vmnet_interface_get_ip_port_forwarding_rules(nic->ref, (uint8_t)family, ^(xpc_object_t rules) {
    unsigned good = 0;
    for (size_t i = 0; rules != NULL && i < xpc_array_get_count(rules); i++) {
      uint8_t protocol, address[16];
      uint16_t external, internal;
      xpc_object_t rule = xpc_array_get_value(rules, i);
      good += vmnet_ip_port_forwarding_rule_get_details(rule, &protocol, &external, (uint8_t)family, address, &internal) ==
                  VMNET_SUCCESS &&
              external == 8080 && internal == 80 && protocol == 6;
    }
    atomic_store(&listed, rules != NULL ? good : 1000);
  });
  SOON(atomic_load(&listed) != 9999);
  return atomic_load(&listed);
}

static void rules_come_and_go(void) {
  struct nic *nic = nic_start(VMNET_SHARED_MODE), *other = nic_start(VMNET_SHARED_MODE);
  CHECK(list(nic, AF_INET) == 1000);
  CHECK(add(nic, 6, 8080, "192.168.64.9", 80) == VMNET_SUCCESS && add(nic, 6, 8080, "fd00::9", 80) == VMNET_SUCCESS);
  CHECK(add(nic, 6, 8080, "192.168.64.8", 80) == VMNET_FAILURE);
  CHECK(add(other, 6, 8080, "192.168.64.8", 80) == VMNET_FAILURE);
  CHECK(add(nic, 9, 1, "10.0.0.1", 1) == VMNET_INVALID_ARGUMENT + 10000);
  CHECK(list(nic, AF_INET) == 1 && list(nic, AF_INET6) == 1 && list(other, AF_INET) == 1000);
  CHECK(drop(other, 6, 8080, AF_INET) == VMNET_FAILURE && drop(nic, 6, 8080, AF_INET) == VMNET_SUCCESS);
  CHECK(drop(nic, 6, 8080, AF_INET) == VMNET_FAILURE && list(nic, AF_INET) == 1000);
  CHECK(add(other, 6, 8080, "192.168.64.8", 80) == VMNET_SUCCESS);
  nic_stop(other);
  CHECK(add(nic, 6, 8080, "192.168.64.8", 80) == VMNET_SUCCESS); /* the other's went with it */
  atomic_store(&listed, 0);
  vmnet_interface_get_port_forwarding_rules(nic->ref, ^(xpc_object_t rules) {
    uint8_t protocol = 0;
    uint16_t external = 0, internal = 0;
    struct in_addr address = {0};
    vmnet_port_forwarding_rule_get_details(xpc_array_get_value(rules, 0), &protocol, &external, &address, &internal);
    atomic_store(&listed, address.s_addr == ipv4("192.168.64.8").s_addr ? external : 1u);
  });
  CHECK(SOON(atomic_load(&listed) == 8080));
  nic_stop(nic);
  CHECK(nothing_lives());
}

static void no_rules_where_the_network_has_them(void) {
  vmnet_network_ref it = network(NULL, NULL);
  struct nic *nic = nic_start_on(description(0), it);
  CHECK(add(nic, 6, 8080, "192.168.64.9", 80) == VMNET_FAILURE + 10000);
  CHECK(drop(nic, 6, 8080, AF_INET) == VMNET_FAILURE + 10000);
  nap(20);
  CHECK(atomic_load(&answered) == 0);
  nic_stop(nic);
  CFRelease(it);
}

static void *go_on(void *nothing_here) {
  nap(60);
  double_go_on();
  return nothing_here;
}

static void calls_that_fail_or_hang(void) {
  vmnet_return_t status = 0;
  struct nic *nic = nic_start(VMNET_SHARED_MODE);
  double_set("call", "fail:1010");
  CHECK(network(NULL, &status) == NULL && status == VMNET_NOT_AUTHORIZED);
  CHECK(add(nic, 6, 8080, "192.168.64.9", 80) == VMNET_NOT_AUTHORIZED + 10000);
  double_set("call", "late:50");
  CHECK(add(nic, 6, 8080, "192.168.64.9", 80) == VMNET_SUCCESS);
  double_set("call", "hang");
  pthread_t thread;
  pthread_create(&thread, NULL, go_on, NULL);
  vmnet_network_ref it = network(NULL, &status);
  CHECK(it != NULL && status == VMNET_SUCCESS && double_count("hanging") == 0);
  pthread_join(thread, NULL);
  double_set("call", "ok");
  if (it) CFRelease(it);
  nic_stop(nic);
  CHECK(nothing_lives());
}

int main(void) {
  double_set("wire", "hub");
  RUN(setters_look_at_their_values);
  RUN(who_may);
  RUN(the_subnets_own_address_is_a_trap);
  RUN(only_five_keys);
  RUN(a_subnet_is_taken_until_the_stop_has_completed);
  RUN(rules_are_lost_with_the_last_interface);
  RUN(a_serialization_is_good_in_this_process);
  RUN(networks_and_modes_do_not_mix);
  RUN(rules_come_and_go);
  RUN(no_rules_where_the_network_has_them);
  RUN(calls_that_fail_or_hang);
  return finish();
}
