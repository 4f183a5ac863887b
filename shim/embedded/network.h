// SPDX-License-Identifier: MIT
/*
 * network.h - an embedded network: one thread, its switch, and the ports on it.
 *
 * Theory of operation. Everything below the line "the thread's own" belongs to the network's thread, so switch, ports,
 * sockets and gateway need no lock. Other threads hand over commands: a command is memory of its sender, queued under
 * the lock, and run by the thread between two turns. A turn takes up to 64 frames from each ring port and one read from
 * each socket that has something, forwards them, and then flushes every port that got frames, once: one publish, one
 * wake, one write for each.
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

struct vn_network;
struct vn_net_port;

enum vn_drop { VN_DROP_FULL, VN_DROP_LONG, VN_DROP_OFFLOAD, VN_DROP_BAD, VN_DROPS };

struct vn_net_port_class {
  bool (*input)(struct vn_net_port *port); /* NULL for sockets; forwards one turn's frames, says whether more wait */
  bool (*idle)(struct vn_net_port *port);  /* NULL for sockets; the look before sleeping */
  bool (*room)(struct vn_net_port *port);  /* for one more frame of any length; only asked of a peer */
  void (*output)(struct vn_net_port *port, const uint8_t *frame, uint32_t length); /* takes a copy or counts a drop */
  void (*flush)(struct vn_net_port *port);
  void (*removed)(struct vn_net_port *port, uint32_t status); /* frees the port or drops the reference to it */
};

struct vn_net_port {
  struct vn_switch_port table; /* first */
  const struct vn_net_port_class *class;
  struct vn_network *network;
  struct vn_net_port *next, *next_touched;
  struct vn_net_port *peer; /* in a joined network: where all its frames go */
  bool touched;             /* has frames to flush */
  uint32_t max_frame;       /* longer frames do not pass to or from it */
  uint8_t mac[6];           /* of an interface; zero: none */
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

  /* Statistics. */
  vn_atomic_u64 frames, bytes, turns, drops[VN_DROPS], gateway_starts, port_count;

  /* The thread's own. */
  vn_atomic_u32 posted;
  struct vn_poller poller;
  struct vn_switch table;
  struct vn_net_port *ports, *touched;
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
void vn_network_attach(struct vn_network *network, struct vn_attachment *attachment); /* blocks */

/* The thread only. */
void vn_network_started(struct vn_network *network, const struct vn_refusal *how);
void vn_network_end(struct vn_network *network, uint32_t status);
bool vn_network_add(struct vn_network *network, struct vn_net_port *port);
void vn_network_remove(struct vn_net_port *port, uint32_t status);
void vn_network_forward(struct vn_net_port *from, const uint8_t *frame, uint32_t length);
void vn_network_drop(struct vn_net_port *port, enum vn_drop cause);
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
