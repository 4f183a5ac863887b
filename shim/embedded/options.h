// SPDX-License-Identifier: MIT
/*
 * options.h - what a caller may ask of a network and of an interface, checked.
 *
 * TypeScript checks first and says it better; nothing here relies on that. Every unknown key, wrong type and value out
 * of
 * range ends in VN_BAD_OPTION and the name of the field.
 */
#ifndef VN_EMBEDDED_OPTIONS_H
#define VN_EMBEDDED_OPTIONS_H

#include "address.h"
#include "core/backend.h"

enum { VN_MODE_HOST = 1000, VN_MODE_SHARED = 1001, VN_MODE_BRIDGED = 1002 };
enum { VN_MTU_LEAST = 68, VN_MTU_MOST = 65535, VN_MTU_DEFAULT = 1500, VN_LEASE_SECONDS = 86400 };

struct vn_forward {
  uint64_t owner; /* serial of the interface or joined process that asked for it; 0: the network's own */
  uint32_t protocol, external_port, internal_port, family;
  char address[VN_ADDRESS_TEXT];
};

struct vn_reservation {
  uint8_t mac[6];
  uint32_t address; /* 0: a removal */
};
enum { VN_RESERVATIONS_MOST = 16384 }; /* what a configure message has room for, with all the rest */

struct vn_network_options {
  uint32_t mode;
  uint32_t base, bits; /* the IPv4 subnet; bits 0: the first default subnet that is free */
  uint32_t gateway, dhcp_start, dhcp_end;
  uint8_t prefix[8];
  uint32_t mtu, lease_seconds;
  bool has_prefix, dhcp, dns_proxy, nat44, nat66, router_advertisement;
  bool gateway_needed; /* a gateway process belongs to it */
  bool identified;     /* made for vmnet_network_identifier */
  uint8_t identifier[16];
  struct vn_writer reservations; /* "reservation" entries, checked: those of the network's creation; facts.h has those of now */
  struct vn_writer forwards;     /* "forward" entries, checked */
};

struct vn_interface_options {
  uint32_t mode; /* 0: not given */
  uint32_t mtu;  /* 0: the network's */
  uint8_t id[16];
  uint8_t mac[6];
  bool allocate_mac, isolated, tso, checksum, virtio;
  /* Of an interface whose other end is vmnet itself: that does what virtio and checksum ask for, frames pass as they
   * are;
   * and its limits. */
  bool opaque;
  uint32_t max_frame, max_count; /* 0: by tso and mtu; 256 */
};

/* What went wrong, for vn_fail() or for a message to another process. */
struct vn_refusal {
  uint32_t status;
  char field[64];
  const char *message, *needs;
};
uint32_t vn_refuse(struct vn_refusal *refusal, uint32_t status, const char *field, const char *message);
uint32_t vn_fail_refused(struct vn_job *job, const struct vn_refusal *refusal);

void vn_network_options_init(struct vn_network_options *out); /* all defaults, without mode and subnet */
/* Options of VN_OP_NETWORK_CREATE. The caller frees with vn_network_options_free(), also after a failure. */
uint32_t vn_network_options_read(struct vn_network_options *out, const uint8_t *list, uint32_t length,
                                 struct vn_refusal *why);
/* Options of VN_OP_INTERFACE_START; network is what a context's interface asks for, NULL for one on a given network. */
uint32_t vn_interface_options_read(struct vn_interface_options *out, struct vn_network_options *network,
                                   const uint8_t *list, uint32_t length, struct vn_refusal *why);
/* Gateway and DHCP range of a subnet, where they were not given. False when what was given is not inside. */
uint32_t vn_network_options_place(struct vn_network_options *options, struct vn_refusal *why);
void vn_network_options_free(struct vn_network_options *options);
/* What is known of a network: the result of creating and joining it, and what its gateway is told. */
void vn_network_parameters(const struct vn_network_options *options, struct vn_writer *out);
void vn_write_ipv4(struct vn_writer *out, const char *key, uint32_t address);

uint32_t vn_forward_read(struct vn_forward *out, const uint8_t *list, uint32_t length, struct vn_refusal *why);
void vn_forward_write(struct vn_writer *writer, const struct vn_forward *forward);

/* Checked against the subnet, if that is known. Without "address" it is a removal. */
uint32_t vn_reservation_read(struct vn_reservation *out, const struct vn_network_options *options, const uint8_t *list,
                             uint32_t length, struct vn_refusal *why);
void vn_reservation_write(struct vn_writer *writer, const struct vn_reservation *reservation);

#endif
