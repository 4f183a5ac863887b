// SPDX-License-Identifier: MIT
/* vmnet.h - our own declarations of vmnet.framework, from macOS 10.10 to 26. On a Mac they are checked against the
 * system's header, and declare what that is too old for. Facts: names, types and values of Apple's documentation
 * (developer.apple.com/documentation/vmnet).
 *
 * What is newer than macOS 12, the oldest that this library loads on, is imported weakly: its address is NULL where it
 * is absent. A key is a variable that holds a text. */
#ifndef VN_SDK_VMNET_H
#define VN_SDK_VMNET_H

#include <dispatch/dispatch.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <xpc/xpc.h>

#include "../fact.h"
#ifdef VN_SDK_CHECK
/* vmnet_shim.h has the same names. */
#define VMNET_SUCCESS VN_THEIR_SUCCESS
#define VMNET_FAILURE VN_THEIR_FAILURE
#define VMNET_MEM_FAILURE VN_THEIR_MEM_FAILURE
#define VMNET_INVALID_ARGUMENT VN_THEIR_INVALID_ARGUMENT
#define VMNET_SETUP_INCOMPLETE VN_THEIR_SETUP_INCOMPLETE
#define VMNET_INVALID_ACCESS VN_THEIR_INVALID_ACCESS
#define VMNET_PACKET_TOO_BIG VN_THEIR_PACKET_TOO_BIG
#define VMNET_BUFFER_EXHAUSTED VN_THEIR_BUFFER_EXHAUSTED
#define VMNET_TOO_MANY_PACKETS VN_THEIR_TOO_MANY_PACKETS
#define VMNET_SHARING_SERVICE_BUSY VN_THEIR_SHARING_SERVICE_BUSY
#define VMNET_NOT_AUTHORIZED VN_THEIR_NOT_AUTHORIZED
#include_next <vmnet/vmnet.h>
#undef VMNET_SUCCESS
#undef VMNET_FAILURE
#undef VMNET_MEM_FAILURE
#undef VMNET_INVALID_ARGUMENT
#undef VMNET_SETUP_INCOMPLETE
#undef VMNET_INVALID_ACCESS
#undef VMNET_PACKET_TOO_BIG
#undef VMNET_BUFFER_EXHAUSTED
#undef VMNET_TOO_MANY_PACKETS
#undef VMNET_SHARING_SERVICE_BUSY
#undef VMNET_NOT_AUTHORIZED
#endif

#ifdef __APPLE__
#define VN_WEAK __attribute__((weak_import))
#else
#define VN_WEAK __attribute__((weak)) /* over the doubles */
#endif

VN_ENUM_TYPE(uint32_t, vmnet_return_t)
VN_ENUM_TYPE(uint32_t, operating_modes_t)
VN_ENUM_TYPE(uint32_t, interface_event_t)
#if defined(VN_SDK_CHECK) && __MAC_OS_X_VERSION_MAX_ALLOWED >= 260000
VN_ENUM_TYPE(uint32_t, vmnet_mode_t)
#else
typedef uint32_t vmnet_mode_t;
typedef struct vmnet_network_configuration *vmnet_network_configuration_ref;
typedef struct vmnet_network *vmnet_network_ref;
#endif

VN_CONSTANT(VMNET_HOST_MODE, 1000)
VN_CONSTANT(VMNET_SHARED_MODE, 1001)
VN_CONSTANT(VMNET_BRIDGED_MODE, 1002)
VN_CONSTANT(VMNET_INTERFACE_PACKETS_AVAILABLE, 1 << 0)
/* vmnet_return_t: the values are those of enum vn_status, 1000 to 1010, which vmnet_shim.h declares. */

typedef struct vmnet_interface *interface_ref;

#define VN_VMPKTDESC(F, s)                                                                      \
  F(s, size_t, vm_pkt_size, ) F(s, struct iovec *, vm_pkt_iov, ) F(s, uint32_t, vm_pkt_iovcnt, ) \
  F(s, uint32_t, vm_flags, )
VN_STRUCT(vmpktdesc, VN_VMPKTDESC)

typedef void (^vmnet_start_interface_completion_handler_t)(vmnet_return_t status, xpc_object_t param);
typedef void (^vmnet_interface_event_callback_t)(interface_event_t mask, xpc_object_t event);
typedef void (^vmnet_interface_completion_handler_t)(vmnet_return_t status);
typedef void (^vmnet_interface_get_port_forwarding_rules_handler_t)(xpc_object_t rules);
typedef void (^vmnet_interface_get_ip_port_forwarding_rules_handler_t)(xpc_object_t rules);

/* macOS 10.10 */
interface_ref vmnet_start_interface(xpc_object_t description, dispatch_queue_t queue,
                                    vmnet_start_interface_completion_handler_t handler);
vmnet_return_t vmnet_interface_set_event_callback(interface_ref interface, interface_event_t mask,
                                                  dispatch_queue_t queue, vmnet_interface_event_callback_t callback);
vmnet_return_t vmnet_read(interface_ref interface, struct vmpktdesc *packets, int *count);
vmnet_return_t vmnet_write(interface_ref interface, struct vmpktdesc *packets, int *count);
vmnet_return_t vmnet_stop_interface(interface_ref interface, dispatch_queue_t queue,
                                    vmnet_interface_completion_handler_t handler);

/* macOS 10.15; the rules for IPv4 alone are deprecated since 12 */
xpc_object_t vmnet_copy_shared_interface_list(void);
vmnet_return_t vmnet_interface_add_port_forwarding_rule(interface_ref interface, uint8_t protocol,
                                                        uint16_t external_port, struct in_addr internal_address,
                                                        uint16_t internal_port,
                                                        vmnet_interface_completion_handler_t handler);
vmnet_return_t vmnet_interface_remove_port_forwarding_rule(interface_ref interface, uint8_t protocol,
                                                           uint16_t external_port,
                                                           vmnet_interface_completion_handler_t handler);
vmnet_return_t vmnet_interface_get_port_forwarding_rules(interface_ref interface,
                                                         vmnet_interface_get_port_forwarding_rules_handler_t handler);
vmnet_return_t vmnet_port_forwarding_rule_get_details(xpc_object_t rule, uint8_t *protocol, uint16_t *external_port,
                                                      struct in_addr *internal_address, uint16_t *internal_port);

/* macOS 12: documented for 11, absent from the SDK of 11.3, so weak */
VN_WEAK vmnet_return_t vmnet_interface_add_ip_port_forwarding_rule(interface_ref interface, uint8_t protocol,
                                                                   uint16_t external_port, uint8_t address_family,
                                                                   const void *internal_address, uint16_t internal_port,
                                                                   vmnet_interface_completion_handler_t handler);
VN_WEAK vmnet_return_t vmnet_interface_remove_ip_port_forwarding_rule(interface_ref interface, uint8_t protocol,
                                                                      uint16_t external_port, uint8_t address_family,
                                                                      vmnet_interface_completion_handler_t handler);
VN_WEAK vmnet_return_t vmnet_interface_get_ip_port_forwarding_rules(
    interface_ref interface, uint8_t address_family, vmnet_interface_get_ip_port_forwarding_rules_handler_t handler);
VN_WEAK vmnet_return_t vmnet_ip_port_forwarding_rule_get_details(xpc_object_t rule, uint8_t *protocol,
                                                                 uint16_t *external_port, uint8_t address_family,
                                                                 void *internal_address, uint16_t *internal_port);

/* macOS 26. Configurations and networks are counted by CoreFoundation: CFRelease(). */
VN_WEAK vmnet_network_configuration_ref vmnet_network_configuration_create(vmnet_mode_t mode, vmnet_return_t *status);
VN_WEAK vmnet_return_t vmnet_network_configuration_set_external_interface(vmnet_network_configuration_ref configuration,
                                                                          const char *name);
VN_WEAK void vmnet_network_configuration_disable_nat44(vmnet_network_configuration_ref configuration);
VN_WEAK void vmnet_network_configuration_disable_nat66(vmnet_network_configuration_ref configuration);
VN_WEAK void vmnet_network_configuration_disable_dhcp(vmnet_network_configuration_ref configuration);
VN_WEAK void vmnet_network_configuration_disable_dns_proxy(vmnet_network_configuration_ref configuration);
VN_WEAK void vmnet_network_configuration_disable_router_advertisement(vmnet_network_configuration_ref configuration);
VN_WEAK vmnet_return_t vmnet_network_configuration_set_ipv4_subnet(vmnet_network_configuration_ref configuration,
                                                                   const struct in_addr *gateway,
                                                                   const struct in_addr *mask);
VN_WEAK vmnet_return_t vmnet_network_configuration_set_ipv6_prefix(vmnet_network_configuration_ref configuration,
                                                                   const struct in6_addr *prefix, uint8_t length);
VN_WEAK vmnet_return_t vmnet_network_configuration_set_mtu(vmnet_network_configuration_ref configuration, uint32_t mtu);
VN_WEAK vmnet_return_t vmnet_network_configuration_add_dhcp_reservation(vmnet_network_configuration_ref configuration,
                                                                        const struct ether_addr *client,
                                                                        const struct in_addr *address);
/* The ports come in the other order than in vmnet_interface_add_ip_port_forwarding_rule(). */
VN_WEAK vmnet_return_t vmnet_network_configuration_add_port_forwarding_rule(
    vmnet_network_configuration_ref configuration, uint8_t protocol, sa_family_t address_family, uint16_t internal_port,
    uint16_t external_port, const void *internal_address);
VN_WEAK vmnet_network_ref vmnet_network_create(vmnet_network_configuration_ref configuration, vmnet_return_t *status);
VN_WEAK vmnet_network_ref vmnet_network_create_with_serialization(xpc_object_t serialization, vmnet_return_t *status);
VN_WEAK xpc_object_t vmnet_network_copy_serialization(vmnet_network_ref network, vmnet_return_t *status);
VN_WEAK void vmnet_network_get_ipv4_subnet(vmnet_network_ref network, struct in_addr *subnet, struct in_addr *mask);
VN_WEAK void vmnet_network_get_ipv6_prefix(vmnet_network_ref network, struct in6_addr *prefix, uint8_t *length);
VN_WEAK interface_ref vmnet_interface_start_with_network(vmnet_network_ref network, xpc_object_t description,
                                                         dispatch_queue_t queue,
                                                         vmnet_start_interface_completion_handler_t handler);

/* Keys. macOS 10.10: */
extern const char *vmnet_operation_mode_key;
extern const char *vmnet_mac_address_key;
extern const char *vmnet_mtu_key;
extern const char *vmnet_max_packet_size_key;
extern const char *vmnet_interface_id_key;
extern const char *vmnet_estimated_packets_available_key;
/* macOS 10.15: */
extern const char *vmnet_shared_interface_name_key;
extern const char *vmnet_allocate_mac_address_key;
extern const char *vmnet_start_address_key;
extern const char *vmnet_end_address_key;
extern const char *vmnet_subnet_mask_key;
extern const char *vmnet_nat66_prefix_key;
extern const char *vmnet_nat66_prefix_length_key;
/* macOS 11: */
extern const char *vmnet_network_identifier_key;
extern const char *vmnet_host_ip_address_key;
extern const char *vmnet_host_subnet_mask_key;
extern const char *vmnet_host_ipv6_address_key;
extern const char *vmnet_enable_tso_key;
extern const char *vmnet_enable_isolation_key;
/* macOS 12: */
extern const char *vmnet_enable_checksum_offload_key VN_WEAK;
/* macOS 15: */
extern const char *vmnet_read_max_packets_key VN_WEAK;
extern const char *vmnet_write_max_packets_key VN_WEAK;
/* macOS 15.4: */
extern const char *vmnet_enable_virtio_header_key VN_WEAK;

#endif
