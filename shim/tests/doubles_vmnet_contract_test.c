// SPDX-License-Identifier: MIT
/* Whoever breaks vmnet's contract dies of it. Each case is a process of its own, forked before this one has threads. */
#include "doubles_death.h"
#include "doubles/vmnet_double.h"
#include "doubles_vmnet.h"

static struct nic *up(void) {
  double_set("wire", "hub");
  return nic_start(VMNET_HOST_MODE);
}

static void start_needs_queue_and_handler(void) {
  DIES("queue or handler", vmnet_start_interface(description(VMNET_HOST_MODE), NULL, ^(vmnet_return_t s, xpc_object_t p) {
         (void)s, (void)p;
       }););
  DIES("queue or handler", vmnet_start_interface(description(VMNET_HOST_MODE), dispatch_queue_create("q", NULL), NULL););
}

static void what_is_no_interface_is_noticed(void) {
  DIES("the interface is NULL", struct nic nic = {.ref = NULL}; nic_read(&nic, 1););
  DIES("no interface", long words[64] = {1}; struct nic nic = {.ref = (interface_ref)words}; nic_read(&nic, 1););
}

static void use_after_stop(void) {
  DIES("vmnet_read: the interface was stopped", struct nic *nic = up(); interface_ref ref = nic->ref; nic_stop(nic);
       struct nic after = {.ref = ref}; nic_read(&after, 1););
  DIES("vmnet_write: the interface was stopped", struct nic *nic = up(); interface_ref ref = nic->ref; nic_stop(nic);
       struct nic after = {.ref = ref}; nic_write(&after, 1, 60, 1, NULL););
  DIES("vmnet_stop_interface: the interface was stopped", struct nic *nic = up(); interface_ref ref = nic->ref;
       nic_stop(nic); struct nic after = {.ref = ref, .queue = dispatch_queue_create("q", NULL)}; nic_begin_stop(&after););
  DIES("set_event_callback: the interface was stopped", struct nic *nic = up(); interface_ref ref = nic->ref;
       nic_stop(nic); vmnet_interface_set_event_callback(ref, 0, NULL, NULL););
  DIES("rules: the interface was stopped", struct nic *nic = up(); interface_ref ref = nic->ref; nic_stop(nic);
       vmnet_interface_get_ip_port_forwarding_rules(ref, AF_INET, ^(xpc_object_t rules) { (void)rules; }););
}

static void use_after_a_failed_start(void) {
  DIES("its start failed", double_set("start", "fail:1001"); struct nic *nic = up(); nic_read(nic, 1););
}

static void half_a_callback(void) {
  DIES("queue and block", struct nic *nic = up(); vmnet_interface_set_event_callback(
                              nic->ref, VMNET_INTERFACE_PACKETS_AVAILABLE, nic->events, NULL););
  DIES("queue and block", struct nic *nic = up(); vmnet_interface_set_event_callback(
                              nic->ref, VMNET_INTERFACE_PACKETS_AVAILABLE, NULL, ^(interface_event_t m, xpc_object_t e) {
                                (void)m, (void)e;
                              }););
}

static void descriptors_that_were_not_reset(void) {
  DIES("vm_flags of descriptor 1", struct nic *nic = up(); nic_reset(nic, 2, 2048); nic->packets[1].vm_flags = 1; int n = 2;
       vmnet_read(nic->ref, nic->packets, &n););
  DIES("descriptor 0 has 2 buffers", struct nic *nic = up(); nic_reset(nic, 1, 2048); nic->packets[0].vm_pkt_iovcnt = 2;
       int n = 1; vmnet_read(nic->ref, nic->packets, &n););
  DIES("descriptor 0 was not reset", struct nic *nic = up(); nic_reset(nic, 1, 2048); nic->packets[0].vm_pkt_size = 60;
       int n = 1; vmnet_read(nic->ref, nic->packets, &n););
  /* What a read leaves behind is seen by the next one. */
  DIES("was not reset", struct nic *nic = up(); struct nic *other = up(); nic_write(other, 1, 1514, 1, NULL);
       nic_read(nic, 1); nic->packets[0].vm_pkt_size = 2048; int n = 1; vmnet_read(nic->ref, nic->packets, &n););
}

/* One field of one descriptor, that was used or not, is enough. */
static void each_field_is_reset_after_a_read(void) {
  DIES("vm_flags of descriptor 1", struct nic *nic = up(); nic_read(nic, 2); nic_reset(nic, 1, 2048); int n = 2;
       vmnet_read(nic->ref, nic->packets, &n););
  DIES("descriptor 1 has 0 buffers", struct nic *nic = up(); nic_read(nic, 2); nic_reset(nic, 1, 2048);
       nic->packets[1].vm_flags = 0; int n = 2; vmnet_read(nic->ref, nic->packets, &n););
  DIES("descriptor 1 was not reset: size 2048, buffer 0", struct nic *nic = up(); nic_read(nic, 2);
       nic_reset(nic, 1, 2048); nic->packets[1].vm_flags = 0; nic->packets[1].vm_pkt_iovcnt = 1; int n = 2;
       vmnet_read(nic->ref, nic->packets, &n););
}

/* What a write left behind, whether it was refused, took some, or all. */
static void each_descriptor_is_reset_after_a_write(void) {
  DIES("vm_flags of descriptor 0", struct nic *nic = up(); nic_reset(nic, 1, 60); int n = 1;
       vmnet_write(nic->ref, nic->packets, &n); n = 1; vmnet_write(nic->ref, nic->packets, &n););
  DIES("vm_flags of descriptor 0", struct nic *nic = up(); nic_reset(nic, 1, 4); int n = 1;
       vmnet_write(nic->ref, nic->packets, &n); n = 1; vmnet_write(nic->ref, nic->packets, &n););
  DIES("vm_flags of descriptor 0", struct nic *nic = up(); double_set("exhaust", "1"); nic_reset(nic, 2, 60); int n = 2;
       vmnet_write(nic->ref, nic->packets, &n); if (n != 1) return; vmnet_write(nic->ref, nic->packets + 1, &n););
}

static void write_wants_clean_flags(void) {
  DIES("vm_flags", struct nic *nic = up(); nic_reset(nic, 1, 60); nic->packets[0].vm_flags = 2; int n = 1;
       vmnet_write(nic->ref, nic->packets, &n););
}

static void *read_for_ever(void *argument) {
  struct nic *nic = argument;
  struct iovec iovec[SLOTS];
  struct vmpktdesc packets[SLOTS];
  uint8_t *bytes = malloc(SLOTS * 2048);
  for (;;) {
    int count = SLOTS;
    for (int i = 0; i < SLOTS; i++) {
      iovec[i] = (struct iovec){bytes + i * 2048, 2048};
      packets[i] = (struct vmpktdesc){.vm_pkt_size = 2048, .vm_pkt_iov = &iovec[i], .vm_pkt_iovcnt = 1};
    }
    vmnet_read(nic->ref, packets, &count);
  }
}

static void two_readers_at_a_time(void) {
  DIES("another thread is reading", struct nic *nic = up(); pthread_t thread[2];
       for (int i = 0; i < 2; i++) pthread_create(&thread[i], NULL, read_for_ever, nic); nap(20000););
}

static void *write_once(void *argument) {
  struct nic *nic = argument;
  nic_write(nic, 1, 60, 1, NULL);
  return NULL;
}

static void stop_while_a_write_is_inside(void) {
  DIES("vmnet_stop_interface: a read or a write has not returned", struct nic *nic = up();
       pthread_mutex_lock(&nic->ref->tx); /* which the write has to wait for */
       pthread_t thread; pthread_create(&thread, NULL, write_once, nic); SOON(atomic_load(&nic->ref->inside) == 1);
       nic_begin_stop(nic););
}

static void stop_on_the_queue_of_events(void) {
  DIES("called on the queue of the event callback", struct nic *nic = up(); struct nic *other = up();
       vmnet_interface_set_event_callback(nic->ref, VMNET_INTERFACE_PACKETS_AVAILABLE, nic->events,
                                          ^(interface_event_t m, xpc_object_t e) {
                                            (void)m, (void)e;
                                            nic_begin_stop(nic);
                                          });
       nic_write(other, 1, 60, 1, NULL); nap(5000););
}

static void handlers_are_needed(void) {
  DIES("handler is NULL", struct nic *nic = up();
       vmnet_interface_remove_ip_port_forwarding_rule(nic->ref, 6, 80, AF_INET, NULL););
  DIES("queue or handler", struct nic *nic = up(); vmnet_stop_interface(nic->ref, nic->queue, NULL););
}

static void what_an_old_macos_lacks(void) {
  DIES("macOS 11.0 does not have it", struct nic *nic = up(); double_set("macos", "11.0");
       vmnet_interface_get_ip_port_forwarding_rules(nic->ref, AF_INET, ^(xpc_object_t rules) { (void)rules; }););
  DIES("macOS 15.6 does not have it", double_set("macos", "15.6");
       vmnet_network_configuration_create(VMNET_HOST_MODE, NULL););
}

static void wrong_objects_of_macos_26(void) {
  DIES("wants one of the networks", double_set("wire", "hub");
       vmnet_network_configuration_ref c = vmnet_network_configuration_create(VMNET_HOST_MODE, NULL);
       struct in_addr a; struct in_addr m; vmnet_network_get_ipv4_subnet((vmnet_network_ref)c, &a, &m););
  DIES("released for good", vmnet_network_configuration_ref c = vmnet_network_configuration_create(VMNET_HOST_MODE, NULL);
       CFRelease(c); vmnet_network_configuration_disable_dhcp(c););
}

int main(void) {
  RUN(start_needs_queue_and_handler);
  RUN(what_is_no_interface_is_noticed);
  RUN(use_after_stop);
  RUN(use_after_a_failed_start);
  RUN(half_a_callback);
  RUN(descriptors_that_were_not_reset);
  RUN(each_field_is_reset_after_a_read);
  RUN(each_descriptor_is_reset_after_a_write);
  RUN(write_wants_clean_flags);
  RUN(two_readers_at_a_time);
  RUN(stop_while_a_write_is_inside);
  RUN(stop_on_the_queue_of_events);
  RUN(handlers_are_needed);
  RUN(what_an_old_macos_lacks);
  RUN(wrong_objects_of_macos_26);
  return finish();
}
