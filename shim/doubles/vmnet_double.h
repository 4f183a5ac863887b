// SPDX-License-Identifier: MIT
/*
 * vmnet_double.h - inside the double of vmnet.framework: interfaces, networks, and the two wires between them.
 *
 * Theory of operation. An interface is one struct vmnet_interface from the call that starts it until the completion of
 * its stop, or the failure of its start, which turns it into a corpse (VD_DEAD) that stays around for a while: any use
 * of it dies with a message. Whatever takes time in the real framework has a thread of its own here, which follows
 * the script (late, hang), does the work, and hands the caller's block to the caller's queue.
 *
 * vmnet_describe.c reads an interface's dictionary as the framework does; vmnet_start.c is the life of interfaces;
 * vmnet_io.c reads and writes; vmnet_queue.c holds frames that arrived; vmnet_event.c tells of them as the script says;
 * vmnet_configuration.c and vmnet_network.c are macOS 26's; vmnet_forward.c the rules; vmnet_segment.c knows which
 * interfaces meet, and is the hub; vmnet_daemon.c and vmnet_receive.c are the way to the daemon.
 *
 * Locks, outermost first: the segments', a segment's, an interface's tx, an interface's events, its rx.
 */
#ifndef VN_VMNET_DOUBLE_H
#define VN_VMNET_DOUBLE_H

#include <pthread.h>
#include <stdatomic.h>
#include <vmnet/vmnet.h>

#include "core/list.h"
#include "double.h"
#include "vmnet_shim.h"

enum { VD_ETHERNET = 14, VD_VIRTIO = 12, VD_TSO_PACKET = 65550 };
enum vd_state { VD_STARTING = 0x51a27001, VD_UP, VD_STOPPING, VD_DEAD };

/* Where a network lies. Addresses in host order; bits 0: it has no IPv4 of its own. */
struct vd_place {
  uint32_t mode, bits, gateway, end, mtu;
  uint8_t prefix[16];
};

/* What a description asks for. */
struct vd_asked {
  uint32_t mode, mtu;
  bool allocate_mac, isolated, tso, checksum, virtio, has_id, identified, defaulted;
  uint8_t id[16], identifier[16];
  uint32_t start, end, mask, host, host_mask;
  uint8_t prefix[16]; /* 0: none asked for */
  char external[32];
  struct vn_writer remote; /* the same for the daemon */
  char given[1024];        /* the same for tests: every key that this macOS knows, with its value */
};

struct vd_rule {
  struct vd_rule *next;
  const void *owner; /* an interface, or a network that was made with it */
  uint8_t protocol, family; /* 4 or 6 */
  uint16_t external, internal;
  char address[46];
};

/* Frames that arrived, in a byte ring; under the interface's rx lock. */
struct vd_queue {
  uint8_t *bytes;
  size_t capacity, head, tail, used;
  uint32_t count, limit;
  bool dry; /* was read empty, and nothing came since */
};

struct vd_events; /* vmnet_event.c */
struct vd_segment; /* vmnet_segment.c */

struct vmnet_interface {
  _Atomic uint32_t state;
  struct vd_asked asked;
  struct vd_place place;
  struct vmnet_network *network; /* retained; NULL: of the classic kind */
  struct vd_segment *segment;    /* NULL: the daemon alone knows */
  struct vd_events *events;
  uint8_t id[16];
  char mac[18];
  uint32_t least, most, read_most, write_most; /* packet lengths with virtio header; packets per call */
  atomic_flag reading;
  _Atomic uint32_t inside; /* reads and writes that have not returned */
  pthread_mutex_t rx, tx;
  struct vd_queue queue; /* rx */
  bool closed;           /* rx and tx: nothing goes any more */
  _Atomic uint64_t dropped;
  struct vmnet_interface *next; /* in its segment, or in the receiver's list */
  int fd;          /* tx: its frames to and from the daemon, -1 */
  uint64_t remote; /* the daemon's name of it */
};

struct vmnet_network_configuration {
  struct double_cf cf; /* first */
  struct vd_place place;
  bool subnet_given, subnet_bad, nat44, nat66, dhcp, dns_proxy, advertisement;
  struct vn_writer reservations; /* entries for the daemon */
  struct vd_rule *rules;
  char external[32];
};

struct vmnet_network {
  struct double_cf cf; /* first */
  pthread_mutex_t lock;
  char external[32];
  uint32_t number; /* in a serialization */
  struct vd_place place;
  bool bad; /* its gateway was given as .0: starts fail */
  uint32_t members;
  struct vd_segment *segment;
  struct vn_writer options, extras; /* for the daemon: what stays, and rules and reservations */
  struct vmnet_network *next;      /* of all */
};

/* vmnet_describe.c: 1000 or why not. The caller frees asked->remote, always. */
vmnet_return_t vd_describe(xpc_object_t description, bool with_network, struct vd_asked *asked);
bool vd_allowed(void); /* root, or entitled on macOS 26 */
bool vd_is_private(uint32_t address);
uint32_t vd_mask_bits(uint32_t mask); /* 0: it is none of /8 to /30 */
bool vd_is_shared_interface(const char *name);
xpc_object_t vd_parameters(struct vmnet_interface *nic);
void vd_text_of_ipv4(uint32_t address, char out[16]);

/* vmnet_start.c */
void vd_check(struct vmnet_interface *nic, const char *caller); /* dies unless it is alive */
void vd_thread(void (*body)(void *), void *context);
void vd_slow(const char *key); /* late:<ms> waits, hang hangs */

/* vmnet_queue.c: under the rx lock. push answers false for a full queue */
void vd_queue_open(struct vmnet_interface *nic);
void vd_queue_close(struct vd_queue *queue);
bool vd_push(struct vd_queue *queue, const uint8_t *header, uint32_t header_length, const uint8_t *frame,
             uint32_t length);
uint32_t vd_take(struct vd_queue *queue, void *out); /* its length; the queue has one */

/* vmnet_event.c. Frames came: call it without the rx lock. */
struct vd_events *vd_events_new(struct vmnet_interface *nic);
void vd_events_arrived(struct vmnet_interface *nic, bool first);
void vd_events_end(struct vd_events *events); /* no callback runs or will run once this returns */
bool vd_events_is_queue(struct vd_events *events, dispatch_queue_t queue);

/* vmnet_segment.c */
vmnet_return_t vd_attach(struct vmnet_interface *nic);
void vd_detach(struct vmnet_interface *nic);
void vd_hub_send(struct vmnet_interface *nic, const struct vmpktdesc *packets, int count);
vmnet_return_t vd_segment_of_network(struct vmnet_network *network); /* makes it */
void vd_segment_leave(struct vd_segment *segment);
void vd_segment_lapse(struct vmnet_network *network); /* its rules are lost */

/* vmnet_network.c */
vmnet_return_t vd_network_enter(struct vmnet_network *network); /* an interface starts; retains it */
void vd_network_leave(struct vmnet_network *network);           /* one stopped; releases it */

/* vmnet_forward.c */
vmnet_return_t vd_rule_make(struct vd_rule *rule, uint8_t protocol, int family, uint16_t external, uint16_t internal,
                            const void *address); /* address NULL: for a removal */
void vd_rule_write(struct vn_writer *out, const struct vd_rule *rule);
bool vd_rule_claim(const struct vd_rule *rule, const void *owner); /* false: its port is taken */
void vd_rules_forget(const void *owner);

/* vmnet_daemon.c: an operation of vmnet_shim.h in the daemon. The status is vmnet's; the caller frees out. */
vmnet_return_t vd_daemon_call(uint64_t target, uint32_t op, const struct vn_writer *options, struct vn_writer *out,
                              int *fd);

/* vmnet_receive.c */
void vd_receive_begin(struct vmnet_interface *nic);
void vd_receive_end(struct vmnet_interface *nic); /* closes its descriptor */
void vd_receive_watch(int control, int pid);      /* the daemon's end is noticed */

#endif
