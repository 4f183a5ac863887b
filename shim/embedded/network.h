// SPDX-License-Identifier: MIT
/*
 * network.h - an embedded network: one thread, its switch, and the ports on it.
 *
 * Theory of operation. Everything below the line "the thread's own" belongs to the network's thread, so switch, ports,
 * sockets and gateway need no lock. Other threads hand over commands: a command is memory of its sender, queued under
 * the lock, and run by the thread between two turns. A turn takes up to 64 frames from each ring port and one read from
 * each socket that has something, forwards them, and then flushes every port that got frames, once: one publish, one
 * wake, one write for each. So no port gets more than its turn, however much it brings.
 *
 * Who fills a ring says so by vn_network_work(), one bit for each port: a port that brings nothing is not looked at, so
 * it
 * costs nothing, like a socket that is quiet. The bit of a busy interface stays set, so that both sides only read it;
 * it is
 * cleared when the port had less than a turn's frames for VN_QUIET_TURNS, or the thread goes to sleep, and the ring is
 * looked
 * at once more after that.
 *
 * Frames lie where they were read until the flush (vn_packet.lasting). Who is about to free or overwrite such memory
 * has to
 * have the network flushed first; vn_network_remove() does that.
 *
 * Sleeping. Before it waits, the thread sets sleeping and looks once more at every ring and at the command queue. Who
 * brings work makes it visible first, then looks at sleeping and rings only if it can take the flag down. So either the
 * thread sees the work or the bell rings, and a batch costs one wake at the most.
 *
 * A network ends by its end command: every port is taken off with a status, the upstream is stopped, and when that is
 * gone the thread sets ended and drops its reference. Nothing is queued after that.
 */
#ifndef VN_EMBEDDED_NETWORK_H
#define VN_EMBEDDED_NETWORK_H

#include "core/port.h"
#include "core/switch.h"
#include "options.h"
#include "poller.h"

#define VN_TURN_FRAMES 64u
#define VN_QUIET_TURNS 16u

struct vn_network;
struct vn_net_port;
struct vn_guard; /* plane/guard.h */
struct vn_plane; /* plane/plane.h */

/* Why a frame did not get on. FULL and LONG are counted at the port it was for, the others where it came from. */
enum vn_drop {
  VN_DROP_FULL,      /* the port's queue; or nobody is behind it, or (a bridge's) behind the other one */
  VN_DROP_LONG,      /* longer than the port takes */
  VN_DROP_OFFLOAD,   /* its virtio header cannot be obeyed */
  VN_DROP_BAD,       /* not a frame: a broken stream, an empty or cut datagram */
  VN_DROP_SPOOFED,   /* plane/guard.h, these three */
  VN_DROP_RATE,
  VN_DROP_BROADCAST,
  VN_DROP_FILTERED,  /* by a rule of the script's */
  VN_DROP_VERDICT,   /* an intercept's ring was full, or its script said so */
  VN_DROPS
};

/* A frame on its way, good for one call unless it is lasting. */
struct vn_packet {
  const uint8_t *frame; /* the Ethernet header */
  uint32_t length;
  const uint8_t *header; /* its virtio_net_hdr_v1, 12 bytes; NULL: the frame is complete */
  bool lasting;          /* the bytes stay as they are until the turn's flush is over */
  bool framed;           /* lasting, and the four bytes before them (before the header, if any) are their length, big-endian,
                          * so that a stream can be given them as they lie there */
};

struct vn_net_port_class {
  bool (*input)(struct vn_net_port *port); /* NULL for sockets; forwards one turn's frames, says whether more wait */
  /* The look before sleeping. NULL: input() is called once after each vn_network_work(), and while it says that more
   * wait.
   * With rings: it is called while the bit is set. With idle() alone: every turn. */
  bool (*idle)(struct vn_net_port *port);
  bool rings;
  bool (*room)(struct vn_net_port *port);  /* for one more frame of any length; only asked of a peer */
  /* Takes a copy, or a reference until flush() if it is lasting, or counts a drop. header comes only to ports with
   * virtio. */
  void (*output)(struct vn_net_port *port, const struct vn_packet *packet);
  void (*flush)(struct vn_net_port *port);
  void (*removed)(struct vn_net_port *port, uint32_t status); /* frees the port or drops the reference to it */
  uint32_t (*queued)(struct vn_net_port *port); /* bytes that wait for who is behind it; any thread; may be NULL */
};

/* Counted by the network's thread alone (vn_tally), read by any. */
struct vn_net_port_stats {
  vn_atomic_u64 frames_in, bytes_in;   /* into the network */
  vn_atomic_u64 frames_out, bytes_out; /* to who is behind the port */
  vn_atomic_u64 reads, writes;         /* calls that moved frames: frames_in / reads is the size of a batch */
  vn_atomic_u64 wakes;                 /* how often its socket or ring was found to have something */
};

struct vn_net_port {
  struct vn_switch_port table; /* first */
  const struct vn_net_port_class *class;
  struct vn_network *network;
  struct vn_net_port *next, *next_touched, *next_polled;
  struct vn_net_port *peer; /* in a joined network: where all its frames go */
  bool touched;             /* has frames to flush */
  uint8_t quiet;            /* turns in which its ring had little */
  bool refused;             /* network.c's: output() dropped the frame in hand */
  bool absent;              /* nobody is behind it at present: it drops everything, but is not stalled */
  bool held;                /* waits for its peer's room, which then calls vn_network_work() for it */
  uint32_t max_frame;       /* longer frames do not pass to or from it */
  uint8_t mac[6];           /* of an interface; zero: none */
  bool virtio;              /* what comes and goes carries a virtio header */
  uint16_t number;          /* how scripts name it, never 0; 256 * n + table.id, so that a later port has another one */
  const char *kind;         /* a literal, for statistics: "interface", "gateway", "member", "stream" ... */
  struct vn_guard *guard;   /* what it may send; NULL: everything. Freed with the port by vn_network_remove() */
  void *owner;              /* the endpoint it belongs to, or NULL */
  char label[32];
  uint64_t out_turn, out_bytes_turn; /* become stats.frames_out and bytes_out at the flush */
  uint64_t stalled_ns;               /* when boards were told last that its queue is full */
  struct vn_net_port_stats stats;
  vn_atomic_u64 drops[VN_DROPS];
};

struct vn_command {
  struct vn_command *next;
  void (*run)(struct vn_network *network, struct vn_command *command);
  bool done;
};

struct vn_timer {
  struct vn_timer *next;
  uint64_t at_ns; /* monotonic; 0: not set */
  void (*due)(struct vn_network *network, struct vn_timer *timer);
};

/* Where leases and forwards come from: the gateway process, or the process that owns a joined network. */
struct vn_upstream {
  bool (*send)(struct vn_network *network, struct vn_writer *message);
  void (*stop)(struct vn_network *network);
  bool (*gone)(struct vn_network *network);
};

/* What else belongs to a network, if anything: told once that the network ends, and once that it is gone. */
struct vn_attachment {
  void (*ended)(struct vn_attachment *attachment); /* the network's thread, or who attached it too late */
  void (*freed)(struct vn_attachment *attachment); /* any thread */
};

struct vn_network {
  vn_atomic_u32 references;
  vn_atomic_u32 sleeping;
  vn_atomic_u32 status; /* VN_OK or why it ended */
  vn_atomic_u32 stop_status;
  struct vn_command first, stop;
  struct vn_network_options options; /* constant once the thread runs */
  bool anonymous;                    /* made by an interface's start; ends with its last interface */

  /* The registry's, under its lock. */
  struct vn_network *next_known;
  bool known, defaulted;
  bool owner_process; /* the subnet is this process's, not one that was joined */
  uint32_t users;

  struct vn_lock lock;
  /* Under the lock. */
  struct vn_command *commands, **commands_end;
  bool started, ended;
  struct vn_refusal refusal; /* how the start ended */
  struct vn_facts *facts;
  char libslirp[32];
  char needs[64]; /* what refusal.needs points to, if a gateway said it; constant once started */

  vn_atomic_u32 lease_changes; /* how often facts.h learned of a lease */

  /* Statistics. */
  vn_atomic_u64 frames, bytes, turns, wakes, drops[VN_DROPS], gateway_starts, port_count; /* wakes: from sleep */

  /* The thread's own. */
  vn_atomic_u32 posted;
  struct vn_poller poller;
  _Alignas(64) vn_atomic_u64 work[VN_SWITCH_PORTS / 64]; /* bit by table.id; a cache line that many read and few write */
  struct vn_switch table;
  struct vn_net_port *ports, *touched; /* ports is changed under the lock, so that others may read it under the lock */
  struct vn_net_port *polled;
  struct vn_timer *timers;
  struct vn_request *requests;
  uint64_t now_ns, next_id, frames_turn, bytes_turn;
  bool ending;
  const struct vn_upstream *upstream; /* NULL: none */
  struct vn_gateway *gateway;
  struct vn_owner *owner; /* of a joined network; freed with it */
  struct vn_listener *listeners;
  struct vn_member *members;
  struct vn_net_port *lone; /* the port whose peer the first interface becomes; there is no second one. NULL: a switch */
  uint8_t port_serial;
  bool straight; /* a bridge: its two ports are each other's peer, and there is no third one */
  struct vn_plane *plane; /* what scripts have attached; NULL: nothing yet */
  /* The plane's look at every frame before it is switched, or NULL. False: it goes no further, and was counted. */
  bool (*look)(struct vn_network *network, struct vn_net_port *from, const struct vn_packet *packet);
  struct vn_attachment *attachment; /* written once, before anybody else knows the network */
};

/* Starts the thread. options is taken over when VN_OK. first runs in it before anything else. */
uint32_t vn_network_new(struct vn_network_options *options, void (*first)(struct vn_network *, struct vn_command *),
                        struct vn_network **out);
void vn_network_retain(struct vn_network *network);
void vn_network_release(struct vn_network *network);

/* Any thread. False when the network has ended: the command was not taken. */
bool vn_network_post(struct vn_network *network, struct vn_command *command);
bool vn_network_call(struct vn_network *network, struct vn_command *command); /* and waits until it ran */
void vn_command_done(struct vn_network *network, struct vn_command *command); /* the thread, for vn_network_call() */
/* Begins the end from any thread without waiting or memory. */
void vn_network_stop(struct vn_network *network, uint32_t status);
bool vn_network_wait_started(struct vn_network *network, uint64_t until_ns);
bool vn_network_wait_ended(struct vn_network *network, uint64_t until_ns);
void vn_network_wake(struct vn_network *network);
void vn_network_work(struct vn_net_port *port); /* its ring has something; the network's thread is woken. Network: counted */
void vn_network_attach(struct vn_network *network, struct vn_attachment *attachment); /* blocks */

/* The thread only. */
void vn_network_started(struct vn_network *network, const struct vn_refusal *how);
void vn_network_end(struct vn_network *network, uint32_t status);
bool vn_network_add(struct vn_network *network, struct vn_net_port *port);
void vn_network_remove(struct vn_net_port *port, uint32_t status);
/* forward: length, guard, look, then pass; pass: the switch's decision, or the peer, and output. */
void vn_network_forward(struct vn_net_port *from, const struct vn_packet *packet);
void vn_network_pass(struct vn_net_port *from, const struct vn_packet *packet);
/* The end of a turn; and before what lasting frames lie in is freed or written again. */
void vn_network_flush(struct vn_network *network);
struct vn_net_port *vn_network_port(struct vn_network *network, uint16_t number); /* or NULL */
void vn_network_drop(struct vn_net_port *port, enum vn_drop cause); /* in output(): of the frame in hand */
void vn_network_lost(struct vn_net_port *port, uint32_t length); /* VN_DROP_FULL of one that output() had taken */
void vn_network_timer(struct vn_network *network, struct vn_timer *timer, uint64_t at_ns); /* 0: not any more */
bool vn_network_mac_taken(const struct vn_network *network, const uint8_t mac[6]);

/* registry.c: the networks of this process. first is what a network that is made there does first; NULL: none are. */
int vn_registry_init(void (*first)(struct vn_network *, struct vn_command *)); /* once; VN_OK or a vn_status */
uint32_t vn_registry_join(struct vn_network_options *options, struct vn_network **out, struct vn_refusal *why);
uint32_t vn_registry_create(struct vn_network_options *options, struct vn_network **out, struct vn_refusal *why);
/* One that was joined, or (owned) one whose subnet somebody else gave: overlaps are not its business. */
uint32_t vn_registry_adopt(struct vn_network_options *options,
                           void (*first)(struct vn_network *, struct vn_command *), bool owned, struct vn_network **out);
void vn_registry_lend(struct vn_network *network);   /* to the one interface that comes: it ends with that */
bool vn_registry_leave(struct vn_network *network);  /* an interface ended; answers whether it was the last */
void vn_registry_forget(struct vn_network *network); /* it is ending */
void vn_registry_ended(void);
void vn_registry_shutdown(void);
uint32_t vn_registry_alive(void);

#endif
