// SPDX-License-Identifier: MIT
/*
 * nic.h - an interface: a port of JavaScript (a pair of rings) that is also a port of a network.
 *
 * The handle holds one reference, the network's thread another while the port is on the network; the interface holds
 * its
 * network. Ending it is one command, posted at most once, by close or by the stop operation.
 */
#ifndef VN_EMBEDDED_NIC_H
#define VN_EMBEDDED_NIC_H

#include "core/backend.h"
#include "network.h"

/* 690 frames of 1514 bytes each way: more than ten turns, and half of a second-level cache. */
#define VN_NIC_RING (1u << 20)

struct vn_nic {
  struct vn_ring_port ring; /* first: it is the object */
  struct vn_net_port port;
  struct vn_network *network;
  struct vn_interface_options options;
  struct vn_command command; /* its end */
  vn_atomic_u32 ending;
  uint64_t serial;
  bool removed; /* under the network's lock */
};

extern const struct vn_class vn_nic_class;

/* Makes an interface and puts it on the network. On a joined network link_fd is its own connection (taken over), else
 * -1. A network of the registry is left by the interface's end; after a failure the caller leaves it. */
uint32_t vn_nic_start(struct vn_network *network, const struct vn_interface_options *options, struct vn_doorbell *doorbell,
                      int link_fd, struct vn_nic **out, struct vn_refusal *why);
void vn_nic_stop(struct vn_nic *nic, uint64_t until_ns); /* waits; also for the network when it was its last */
/* vmnet's parameters of an interface. */
void vn_nic_parameters(const struct vn_network_options *network, const struct vn_interface_options *options,
                       struct vn_writer *out);
uint32_t vn_nic_max_frame(const struct vn_network_options *network, const struct vn_interface_options *options);
void vn_nic_stats(struct vn_nic *nic, struct vn_writer *out); /* drops by cause, beside what port.c counts */

#endif
