// SPDX-License-Identifier: MIT
/*
 * network.h - a network object of macOS 26: configuration, network, and the member that keeps it alive.
 *
 * Theory of operation. vmnet ends a network when its last interface stops, for instance while its only guest reboots,
 * and
 * silently loses its forwards and reservations with it. So each network starts one interface of its own, the member,
 * with
 * it and stops it last. The member also tells at once what the configuration calls do not: that a subnet cannot be had.
 * When
 * the network is shared with other processes the member is the switch's way to the network.
 */
#ifndef VN_DARWIN_NETWORK_H
#define VN_DARWIN_NETWORK_H

#include <vmnet/vmnet.h>

#include "core/backend.h"
#include "nic.h"
#include "uplink.h"

struct vn_network; /* embedded/: what other processes join */

struct vn_mac_leases; /* leases.h */

struct vn_mac_network {
  struct vn_object object; /* first; VN_NETWORK */
  vmnet_network_ref ref;   /* to be used between vn_mac_network_enter() and vn_mac_network_leave() */
  struct vn_mac_nic *member; /* counted until the network has ended, then no more than a number */
  struct vn_mac_waker waker; /* the member's sink */
  struct vn_network *shared; /* the switch that joined processes and endpoints are on, or NULL; under the lock; share.c's */
  struct vn_lock lock;
  bool made, ending, ended; /* under the lock; made: its creation is over, however it went */
  uint32_t users;     /* calls that use ref, under the lock */
  vn_atomic_u32 status; /* VN_OK or why it ended */
  uint32_t mode, mtu, bits; /* constant from here on */
  uint32_t gateway, base;   /* IPv4 in host order */
  uint8_t prefix[16], prefix_length;
  bool dhcp;
  struct vn_writer forwards, reservations; /* "forward" and "reservation" entries as given at its creation */
  struct vn_mac_leases *leases; /* what it holds is under the lock */
  struct vn_mac_network *next; /* in the list of all */
};

extern const struct vn_class vn_mac_network_class, vn_mac_serialization_class;
/* Makes a network of what make() gets from vmnet: its reference, or NULL and why not. */
struct vn_mac_origin {
  const struct vn_network_options *options; /* mode, mtu, dhcp, subnet, forwards, reservations; copied */
  bool alone;                               /* the subnet must not overlap another network's */
  vmnet_network_ref (*make)(const struct vn_mac_origin *origin, vmnet_return_t *answer);
  const void *from; /* make()'s */
};
uint32_t vn_mac_network_make(struct vn_job *job, const struct vn_mac_origin *origin);
uint32_t vn_mac_network_create(struct vn_job *job);        /* VN_OP_NETWORK_CREATE; blocks, as all of these */
uint32_t vn_mac_network_serialize(struct vn_job *job);     /* VN_OP_NETWORK_COPY_SERIALIZATION */
uint32_t vn_mac_network_deserialize(struct vn_job *job);   /* VN_OP_NETWORK_FROM_SERIALIZATION */
uint32_t vn_mac_network_from_pointer(struct vn_job *job);  /* VN_OP_NETWORK_FROM_POINTER */
bool vn_mac_network_stop(struct vn_mac_network *network, uint64_t until_ns); /* false: vmnet has not answered yet */
/* VN_OP_FORWARD_*: those given at its creation are told, others refused. */
uint32_t vn_mac_network_forward(struct vn_job *job, struct vn_mac_network *network);
uint32_t vn_mac_network_reserve(struct vn_job *job, struct vn_mac_network *network); /* VN_OP_RESERVATION_*, likewise */
/* Keeps ref and member valid while a call uses them; false: the network has ended. */
bool vn_mac_network_enter(struct vn_mac_network *network);
void vn_mac_network_leave(struct vn_mac_network *network);
uint32_t vn_mac_network_get(struct vn_mac_network *network, uint32_t what, struct vn_writer *out);

/* share.c: a switch whose way out is an interface, for other processes and for a script's own endpoints. */
uint32_t vn_mac_network_share(struct vn_job *job, struct vn_mac_network *network);  /* VN_OP_NETWORK_SHARE */
uint32_t vn_mac_network_switch(struct vn_job *job, struct vn_mac_network *network); /* VN_OP_SWITCH_CREATE */
/* The network ends: joined processes are told, and the member is theirs no more. Blocks, until_ns at the most; before
 * the
 * member stops. When the network is destroyed, vn_mac_waker_free(&network->waker) is to follow. */
void vn_mac_network_unshare(struct vn_mac_network *network, uint64_t until_ns);
/* A lease of the network changed: "change", "mac", "address", "hostname", "expires" as in VN_GET_EVENTS. Any thread. */
void vn_mac_network_tell_lease(struct vn_mac_network *network, const struct vn_writer *lease);

/* leases.c: VN_GET_LEASES of an interface. */
void vn_mac_interface_leases(struct vn_mac_nic *nic, struct vn_writer *out);

/* joined.c: what this process has of networks that others created: embedded/'s objects. */
bool vn_mac_is_joined(struct vn_object *object);
uint32_t vn_mac_joined_run(struct vn_job *job); /* VN_OP_NETWORK_JOIN, and whatever is asked of such an object */
uint32_t vn_mac_joined_get(struct vn_object *object, uint32_t what, struct vn_writer *out);
/* Networks that were joined or are shared, and vmnet-host: the backend's init, shutdown and alive call these. */
int vn_mac_joined_init(void);
int vn_mac_shares_init(void); /* share.c; by vn_mac_joined_init() */
void vn_mac_joined_shutdown(void);
uint32_t vn_mac_joined_alive(void);
/* host_link.c: VN_OP_NETWORK_CREATE, VN_OP_INTERFACE_START and VN_OP_SHARED_INTERFACES on a context by vmnet-host,
 * where
 * vn_mac_needs_host(). */
uint32_t vn_mac_host_run(struct vn_job *job);

/* configuration.c: vmnet's configuration from checked options; the caller releases it. */
struct vn_network_options;
bool vn_mac_has_networks(void); /* macOS 26: all functions of networks are there */
uint32_t vn_mac_network_options(struct vn_job *job, struct vn_network_options *out);
uint32_t vn_mac_configuration(struct vn_job *job, const struct vn_network_options *options,
                              vmnet_network_configuration_ref *out);

/* networks.c: the list of all networks, and their end. */
uint32_t vn_mac_network_list(struct vn_mac_network *network, bool alone); /* VN_IN_USE: overlaps one that is listed */
void vn_mac_network_place(struct vn_mac_network *network, uint32_t base, uint32_t bits); /* where vmnet has put it */
void vn_mac_network_end(struct vn_mac_network *network, uint32_t status); /* begins it; any thread; does not block */
void vn_mac_networks_shutdown(void);
uint32_t vn_mac_networks_alive(void);
int vn_mac_networks_init(void);

#endif
