// SPDX-License-Identifier: MIT
/*
 * connections.h - ports that are connections: what the stream and the seqpacket endpoint have in common.
 *
 * Theory of operation. An endpoint listens, or it has one connection: made by connecting, handed over ("fd"), or one
 * half of a pair. Each connection is a port. When it ends by itself, its port may stay on the network without a
 * socket: its number, its label, its counters, what the switch and its guard have learned are kept, and frames for it
 * are counted drops.
 *
 *   Who connects and wants to reconnect tries again after 100 ms, then after twice as long each time, up to 5 s, and
 *   gives the new socket to the port that stayed.
 *   Of a listener with one client (clients = 1, or a bridge) the next client gets the port that stayed.
 *   Of a listener with more, a new client is a port of its own at once, and so hears broadcasts. When the source
 *   address of its first frame is the one that an absent client's port used last, the two change places (place.h), and
 *   the port that is left over goes. While clients are absent a new one is announced with its first frame: only then
 *   it is known who it is.
 *
 * An address proves nothing. What holds: a client's address is never another's to come back by while that client is
 * here, whatever others send from it. What does not: whoever may connect, and is quicker than a client that went, can
 * say
 * that client's address first and gets its port, with its number, label, limits and guard; and who leaves a port that a
 * script has limited comes back as a stranger under another address. So limits that are to hold for everybody belong to
 * the endpoint, and guests that must not be taken for each other to endpoints of their own, with "mac" and antiSpoof.
 *
 * An absent client's port goes after 300 seconds, and the oldest when there would be more than 64 of a listener.
 *
 * A socket's file is for this user's processes, unless its mode opens it to others: then whoever can connect may. The
 * end of a pair that the script gets is closed by exec(), as runtimes give a child a duplicate, and blocking, as
 * children expect.
 */
#ifndef VN_PLANE_CONNECTIONS_H
#define VN_PLANE_CONNECTIONS_H

#include "endpoint.h"
#include "reach.h"

#define VN_ABSENT_MOST 64u
#define VN_ABSENT_NS 300000000000ull

struct vn_connections;

struct vn_connection {
  struct vn_connections *of;
  struct vn_connection *next;
  struct vn_net_port *port;
  uint64_t since_ns, left_ns; /* since when it is connected; since when it is not, 0: it is */
  bool told;                  /* "connected" was said of it */
  bool has_mac;               /* by which it is known when it comes again: of its first frame, then of its last */
  uint8_t mac[6];
  char detail[VN_REACH_TEXT];
};

/* What a kind of socket brings along. */
struct vn_connection_class {
  int type; /* SOCK_STREAM, SOCK_SEQPACKET */
  /* A port for a descriptor, which is taken over also when that fails; not on the network yet. NULL: no memory. */
  struct vn_net_port *(*make)(struct vn_connection *connection, int fd);
  bool (*add)(struct vn_net_port *port);     /* onto the network; false: it is freed, without vn_connection_removed() */
  void (*discard)(struct vn_net_port *port); /* instead of add */
  /* To a port that stayed; takes the descriptor over also when that fails. */
  bool (*give)(struct vn_net_port *port, int fd);
};

struct vn_connections {
  struct vn_endpoint endpoint; /* first */
  const struct vn_connection_class *class;
  struct vn_reach reach;
  struct vn_watch watch; /* of a listener, or of who connects while that is pending; fd -1: none */
  struct vn_timer pause, absence; /* pause: until accepting or connecting goes on */
  struct vn_connection *first;    /* newest first */
  uint64_t inode, delay_ns;
  uint32_t absent;
  int fd; /* the first connection, or the listener, until begin() */
  bool connects, watching, ending;
};

/* The class's functions of endpoint.h are these, with its own around them. */
uint32_t vn_connections_open(struct vn_job *job, struct vn_connections *list, const struct vn_connection_class *class);
uint32_t vn_connections_begin(struct vn_connections *list);
void vn_connections_end(struct vn_connections *list, uint32_t status);
void vn_connections_free(struct vn_connections *list);

/* What the ports tell; the network's thread. */
/* Before the first frame that comes through a socket is forwarded. */
void vn_connection_first(struct vn_connection *connection, const struct vn_packet *packet);
bool vn_connection_lost(struct vn_connection *connection); /* its socket has ended; true: the port stays without one */
void vn_connection_removed(struct vn_connection *connection, uint32_t status); /* off the network; it is freed here */

/* connect.c: the socket of an endpoint that connects or listens. */
uint32_t vn_connections_listen(struct vn_connections *list); /* begins to accept */
void vn_connections_retry(struct vn_connections *list);      /* connects again, later */
void vn_connections_came(struct vn_connections *list, int fd); /* a new connection, for connections.c */
void vn_connections_unwatch(struct vn_connections *list);    /* and closes what was watched */

#endif
