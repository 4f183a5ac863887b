// SPDX-License-Identifier: MIT
/*
 * datagram.h - datagram sockets as ports: one datagram is one frame, with port.virtio after 12 bytes of virtio header.
 *
 * Theory of operation. An endpoint that listens has a port for each peer, told apart by the address that the peer
 * bound. A peer that was connect()ed to us takes answers from that very socket alone. On Linux what a peer has not read
 * is charged to the socket that sent it, so one stalled peer could use up the whole send buffer of a socket that all
 * share (for connected peers the limit of max_dgram_qlen does not even apply). So there each peer gets a socket of its
 * own: when a new address is heard on the socket that has the path, that socket becomes the peer's, and a new one takes
 * the path by rename(). Where that is impossible they share, which costs nothing but the protection. macOS charges the
 * reader. A second later, when nobody else can be about to speak to it, the peer's socket is connected to the peer: a
 * pair that is connected both ways is not held to the 10 datagrams of max_dgram_qlen either way, and needs no look-up
 * of a path for each frame.
 *
 * What does not go out at once waits in the port's backlog. A full peer is tried again after 50 microseconds, then less
 * and less often down to every millisecond; an unconnected socket's poll() says nothing about it, and on macOS none
 * does. While the backlog is full newer frames are dropped (at the tail, VN_DROP_FULL). When a peer has taken nothing
 * for a second it counts as stalled: what waits is dropped, no timer runs for it any more, and of what comes one frame
 * every 10 ms is tried.
 *
 * A peer is gone when sending says so: ECONNREFUSED, ENOENT and their like. Its port stays for VN_DATAGRAM_KEPT_NS,
 * without a socket, dropping what it is given, and is the peer's again when its address is heard again. It is also the
 * first to go when there are too many; then comes the one that was silent longest, if that is more than a minute.
 *
 * A peer's address is a name that the peer has chosen, and is looked up anew until its socket is connected: what goes
 * to it
 * goes to whatever socket is found there, if this user may write to it. And who may write to the path can be as many
 * peers
 * as there is room for, which keeps newcomers out for up to a minute. So the path is for those who are trusted as far.
 * Sending happens in the middle of other ports' work, so it only marks what is lost; the retry timer takes it off.
 */
#ifndef VN_PLANE_DATAGRAM_H
#define VN_PLANE_DATAGRAM_H

#include "backlog.h"
#include "batch_io.h"
#include "embedded/checksum.h"
#include "endpoint.h"

#define VN_DATAGRAM_KEPT_NS 300000000000ull
#define VN_DATAGRAM_BUCKETS 64u

struct vn_datagram;

struct vn_datagram_socket {
  struct vn_watch watch;
  struct vn_datagram *owner;
  struct vn_datagram_socket *next;
  uint32_t peers;   /* that are sent to by it */
  uint64_t idle_ns; /* since when it has none */
  uint64_t left_ns; /* since when the path leads to another one */
  struct vn_datagram_port *joined; /* who it is connected to, or NULL */
  bool spent;                      /* it was connected to somebody who is gone: no newcomer can reach it */
};

struct vn_datagram_part {
  const uint8_t *header, *frame;
  uint32_t length;
};

struct vn_datagram_port {
  struct vn_net_port port; /* first */
  struct vn_datagram *owner;
  struct vn_datagram_port *next_known, *next_waiting;
  struct sockaddr_un address;
  uint32_t address_length; /* 0: its socket is connected */
  struct vn_datagram_socket *socket, *heard_on; /* NULL: absent */
  uint64_t heard_ns, absent_ns;
  /* Sending. */
  struct vn_datagram_part parts[VN_BATCH]; /* of this turn; while there are some the backlog began after them */
  uint32_t part_count;
  struct vn_backlog backlog;
  vn_atomic_u32 waits; /* bytes in it */
  bool waiting;        /* in the owner's list: the socket is full, or the peer is lost */
  bool lost, stalled;
  uint64_t taken_ns, retry_ns, pause_ns; /* it took something, is tried next, and the time between */
};

struct vn_datagram {
  struct vn_endpoint endpoint; /* first */
  int fd;                      /* from open() until begin() */
  uint64_t inode;              /* of the file at the path; 0: not ours */
  char own[sizeof((struct sockaddr_un *)0)->sun_path]; /* the file of a socket that connects */
  struct vn_inbox inbox;
  struct vn_datagram_socket *sockets, *current; /* current: where the path, or the fd, leads */
  uint32_t socket_count;
  struct vn_datagram_port *known[VN_DATAGRAM_BUCKETS], *last, *waiting, *only;
  uint32_t known_count;
  struct vn_timer retry, sweep;
  uint64_t pause_ns; /* between two tries to connect */
  bool ending;
  vn_atomic_u64 bad; /* datagrams of nobody: no address, or not a frame from an unknown one */
};

/* datagram_port.c. new: calloc()ed and initialised, not on the network yet; NULL: no memory. */
struct vn_datagram_port *vn_datagram_port_new(struct vn_datagram *owner);
void vn_datagram_port_write(struct vn_datagram_port *port); /* tries what waits */
void vn_datagram_port_reset(struct vn_datagram_port *port); /* drops what waits and forgets the state of sending */
void vn_datagram_retry(struct vn_network *network, struct vn_timer *timer);

/* datagram_socket.c */
int vn_datagram_tune(int fd);
struct vn_datagram_socket *vn_datagram_socket_add(struct vn_datagram *owner, int fd); /* takes fd over in any case */
void vn_datagram_socket_remove(struct vn_datagram_socket *socket);
void vn_datagram_use(struct vn_datagram_port *port, struct vn_datagram_socket *socket); /* NULL: none any more */
void vn_datagram_renew(struct vn_datagram *owner); /* gives the path to a new socket, if that works */
bool vn_datagram_join(struct vn_datagram_socket *socket); /* false: not possible, or not yet */
int vn_datagram_connect(struct vn_datagram *owner); /* a new descriptor or -errno */
void vn_datagram_ready(struct vn_watch *watch, uint32_t events); /* datagram.c: the watch of every socket */
const char *vn_datagram_name(const struct vn_datagram_port *port); /* datagram.c: of a peer, for people */
void vn_datagram_lost(struct vn_datagram_port *port); /* datagram.c: from the retry timer */

#endif
