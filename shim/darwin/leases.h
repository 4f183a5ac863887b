// SPDX-License-Identifier: MIT
/*
 * leases.h - the leases of macOS's DHCP server, which vmnet does not tell: they are in a file.
 *
 * Theory of operation. bootpd writes /var/db/dhcpd_leases anew with every change, newest lease first, all networks in
 * one
 * file, and never takes an expired lease out. While a network is open, the thread of networks.c reads the file every
 * half
 * second; only when its bytes have changed, or a lease ran out, are a network's leases made anew, compared with the
 * last,
 * and the differences put into its queue of 256 events. What the file says is written by guests in part (names, client
 * identifiers): it is read with every length checked, 1 MiB and 4096 leases of it at the most.
 */
#ifndef VN_DARWIN_LEASES_H
#define VN_DARWIN_LEASES_H

#include "core/list.h"

enum { VN_LEASE_EVENTS = 256, VN_LEASE_ID = 40, VN_LEASES_MOST_READ = 4096, VN_LEASE_BYTES = 1 << 20 };

struct vn_mac_lease {
  uint8_t mac[6]; /* zero: the client identified itself by something that has none in it */
  uint8_t id_length, id[VN_LEASE_ID]; /* type and bytes of hw_address or identifier, cut off */
  uint8_t change;                     /* of an event: 1 added or renewed, 2 ended */
  char name[64];                      /* of printable ASCII */
  uint32_t address;
  uint64_t expires; /* seconds since 1970 */
};

/* lease_file.c */
struct vn_lease_file {
  uint64_t hash; /* of the bytes that the leases were read from */
  uint32_t count;
  struct vn_mac_lease *leases; /* as in the file: newest first */
};
uint32_t vn_leases_parse(const uint8_t *text, uint32_t length, struct vn_mac_lease *out, uint32_t most);
bool vn_lease_file_read(struct vn_lease_file *file, const char *path); /* true: something has changed */
void vn_lease_file_free(struct vn_lease_file *file);

/* leases.c */
struct vn_mac_network;
struct vn_mac_leases *vn_mac_leases_new(void);
void vn_mac_leases_free(struct vn_mac_leases *leases);
/* Looks at what is now in the file. first: takes it as it is, without events. */
void vn_mac_leases_look(struct vn_mac_network *network, const struct vn_lease_file *file, bool first);
void vn_mac_leases_write(struct vn_mac_network *network, struct vn_writer *out);
void vn_mac_leases_write_events(struct vn_mac_network *network, struct vn_writer *out);

/* Of an interface on vmnet's own network nothing is followed: the file is read when somebody asks. Users
 * may read it without root (as programs for VMs do; not verified on hardware), so for vmnet-host's interfaces too. */
struct vn_job;
struct vn_mac_subnet {
  uint32_t address, mask; /* the host's address; zero: not known */
};
void vn_mac_subnet_told(const struct vn_job *job, struct vn_mac_subnet *subnet); /* by the parameters of a start */
void vn_mac_subnet_leases(const struct vn_mac_subnet *subnet, struct vn_writer *out);

#endif
