// SPDX-License-Identifier: MIT
/*
 * gateway.h - the gateway as a whole: one thread, one struct, one loop.
 *
 * Theory of operation. loop.c waits for the two channels of protocol.h, for libslirp's sockets and for the next
 * deadline. Control messages go to control.c; each frame goes through input.c to the part that answers it:
 *
 *   dhcp.c      the DHCPv4 server, with lease.c and reserve.c; frames to port 67 reach nobody else
 *   arp_ping.c  in host mode: ARP and ping for the gateway's address
 *   filter.c    in shared mode: which frames libslirp may see, and what is corrected on the way in and out
 *   acks.c      of the acknowledgements that a turn has for a connection, the last one
 *   slirp.c     libslirp: NAT, DNS, ICMP, router advertisements, and the sockets of port forwards (forward.c)
 *
 * Whatever a guest sends is counted under one of the names below; nothing it sends ends the program.
 */
#ifndef VN_GATEWAY_GATEWAY_H
#define VN_GATEWAY_GATEWAY_H

#include <poll.h>

#include "acks.h"
#include "channel.h"
#include "config.h"
#include "frame.h"
#include "lease.h"
#include "list.h"

/* Counters, as stats names them. */
#define COUNTERS(X)                                                                                                  \
  X(framesIn) X(bytesIn) X(framesOut) X(bytesOut) X(droppedRunt) X(droppedOversize) X(droppedMalformed)              \
  X(droppedFragments) X(refused) X(ignored) X(dhcpDiscover) X(dhcpOffer) X(dhcpRequest) X(dhcpAck) X(dhcpNak)        \
  X(dhcpDecline) X(dhcpRelease) X(dhcpInform) X(dhcpMalformed) X(dhcpExhausted)
enum counter {
#define X(name) count_##name,
  COUNTERS(X)
#undef X
  COUNTER_COUNT
};

struct forward {
  uint8_t protocol; /* 6 or 17 */
  uint8_t family;   /* 4 or 6 */
  uint16_t external_port, internal_port;
  uint8_t address[16]; /* internal; of IPv4 the first four */
  enum { FORWARD_WORKS, FORWARD_WAITS, FORWARD_FAILED } state;
  int error;
};

struct poll_set {
  struct pollfd *fds;
  uint32_t count, capacity;
};

/* A packet of which some fragments are here. */
struct partial {
  uint8_t *data; /* the frame as far as it is known; NULL: none */
  uint32_t length;
  int64_t since;
};
#define PARTIALS 16 /* 64 KiB each */

struct nat; /* slirp.c */

struct gateway {
  struct channel frames, control;
  struct config config;
  struct lease_table leases;
  struct nat *nat; /* NULL in host mode */
  struct forward *forwards;
  uint32_t forward_count, forward_capacity;
  int64_t forward_retry, forward_give_up; /* when waiting forwards are tried again, and for how long; 0: none waits */
  int64_t now; /* monotonic milliseconds, once per turn */
  uint8_t mac[6];
  bool configured, ready; /* ready: the message was sent */
  char sentence[96];      /* the text of a problem, where a literal does not say enough */
  int exit_code;          /* what the program ends with; -1 while it runs */
  struct partial partials[PARTIALS];
  struct acks acks;
  uint64_t counters[COUNTER_COUNT];
};

#define COUNT(gateway, name) ((gateway)->counters[count_##name]++)

bool gateway_open(struct gateway *gateway, int frames, int control);
void gateway_close(struct gateway *gateway);
int gateway_run(struct gateway *gateway); /* loop.c: until an end of file; answers the exit code */

/* A configuration that was accepted takes effect: tables, addresses, libslirp. */
bool gateway_start(struct gateway *gateway, struct problem *problem);
void gateway_input(struct gateway *gateway, struct frame frame);  /* input.c: a frame from the network */
/* And one to it: queued, or dropped and NULL. The copy that is answered may still be changed. */
uint8_t *gateway_output(struct gateway *gateway, const uint8_t *data, uint32_t length);

/* control.c */
void control_message(struct gateway *gateway, const uint8_t *message, uint32_t length);
void control_ready(struct gateway *gateway, const struct problem *problem);
void control_lease(struct gateway *gateway, const struct lease *lease, unsigned change); /* 1 bound, 2 ended */

/* dhcp.c */
void dhcp_input(struct gateway *gateway, struct frame frame, const struct ip *ip);
void dhcp_replay(struct gateway *gateway, const uint8_t *lease, uint32_t length);
void dhcp_expire(struct gateway *gateway);

/* reserve.c */
void reservation_add(struct gateway *gateway, const uint8_t *list, uint32_t length, struct problem *problem);
void reservation_remove(struct gateway *gateway, const uint8_t *list, uint32_t length, struct problem *problem);

/* arp_ping.c */
void arp_input(struct gateway *gateway, struct frame frame);
void ping_input(struct gateway *gateway, struct frame frame, const struct ip *ip);
/* Tells the sender that its packet goes nowhere: prohibited, or nobody listens at that port. */
enum refusal { REFUSE_PROHIBITED, REFUSE_PORT };
void refuse(struct gateway *gateway, struct frame frame, const struct ip *ip, enum refusal why);

/* filter.c */
void filter_input(struct gateway *gateway, struct frame frame, const struct ip *ip); /* ip: NULL for ARP */
void filter_output(struct gateway *gateway, const uint8_t *data, uint32_t length);

/* acks.c: gateway_output() for what libslirp sends; the answer may be the place of an older acknowledgement. */
uint8_t *acks_output(struct gateway *gateway, const uint8_t *data, uint32_t length);

/* reassemble.c. Answers true when the packet is whole; then whole->data is the caller's to free. */
bool reassemble(struct gateway *gateway, struct frame frame, const struct ip *ip, struct frame *whole);
void reassemble_drop(struct partial *partial);

/* slirp.c */
bool nat_open(struct gateway *gateway, struct problem *problem);
void nat_close(struct gateway *gateway);
const char *nat_version(void);
void nat_input(struct gateway *gateway, struct frame frame);
void nat_prepare(struct gateway *gateway, struct poll_set *set, int64_t *deadline);
void nat_finish(struct gateway *gateway, struct poll_set *set, bool failed);
void nat_settle(struct gateway *gateway); /* after frames: sends what waited for an ARP answer that was among them */
uint32_t nat_sockets(const struct gateway *gateway);
int nat_forward(struct gateway *gateway, const struct forward *forward, bool add); /* 0 or errno */

/* forward.c */
bool forward_read(const struct config *config, const uint8_t *list, uint32_t length, struct forward *forward,
                  struct problem *problem);
void forward_write(struct vn_writer *writer, const struct forward *forward);
void forward_add(struct gateway *gateway, const struct forward *forward, bool replay, struct problem *problem);
void forward_remove(struct gateway *gateway, const uint8_t *list, uint32_t length, struct problem *problem);
void forward_retry(struct gateway *gateway);

#endif
