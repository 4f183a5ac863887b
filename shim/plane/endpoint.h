// SPDX-License-Identifier: MIT
/*
 * endpoint.h - where frames of a switch come from and go to outside of this process: the VN_ENDPOINT object.
 *
 * An endpoint is one port, or a listener with a port for each client. Its life:
 *
 *   open()   control thread   opens sockets, devices, files; may block; answers the job's failure
 *   begin()  network thread   adds watches and, if it is one, its port; VN_OK or a vn_status
 *   end()    network thread   takes watches, timers and ports off; once, after a begin() that went well
 *   free()   any thread       closes what open() opened and frees what hangs on it; after end(), or after a failed open() or begin()
 *
 * endpoint.c reads the options, calls these, and does the counting of references: one is the handle's, one the
 * network's
 * while it is begun. A class embeds struct vn_endpoint at the start of its own struct.
 */
#ifndef VN_PLANE_ENDPOINT_H
#define VN_PLANE_ENDPOINT_H

#include <sys/un.h>

#include "guard.h"
#include "plane.h"

#define VN_QUEUE_DEFAULT (1u << 20) /* bytes that wait for a client before its frames are dropped at the tail */
#define VN_QUEUE_LEAST (128u << 10) /* two frames of 64 KiB */
#define VN_QUEUE_MOST (64u << 20)
#define VN_CLIENTS_DEFAULT 64u
#define VN_FRAME_MOST 65562u /* 64 KiB of IP, Ethernet with a VLAN tag and a virtio header */

struct vn_endpoint;

struct vn_endpoint_options {
  char kind[16];
  char path[sizeof((struct sockaddr_un *)0)->sun_path]; /* of a socket; replay's is in file */
  char file[1024];
  char host[64], name[16], label[32];
  uint32_t port, clients, mode, queue_bytes, speed, repeat;
  bool listen, pair, reconnect, virtio, has_port, has_fd;
  int fd; /* a duplicate of the script's, or -1. A class that keeps it sets -1; what is left here is closed after free() */
  bool isolated;
  struct vn_guard_options guard;
};

struct vn_endpoint_class {
  const char *kind;
  size_t size;
  uint32_t (*open)(struct vn_job *job, struct vn_endpoint *endpoint);
  uint32_t (*begin)(struct vn_endpoint *endpoint);
  void (*end)(struct vn_endpoint *endpoint, uint32_t status);
  void (*free)(struct vn_endpoint *endpoint);
  void (*stats)(struct vn_endpoint *endpoint, struct vn_writer *out); /* any thread; may be NULL */
};

struct vn_endpoint {
  struct vn_object object; /* first */
  const struct vn_endpoint_class *class;
  struct vn_network *network; /* counted */
  struct vn_board *board;     /* counted: what it was opened through */
  struct vn_endpoint *next;   /* in the plane's list */
  struct vn_endpoint_options options;
  uint32_t serial;            /* of the process, never 0 */
  vn_atomic_u32 status;       /* VN_OK or why it ended: VN_READY_STATE */
  vn_atomic_u32 ending;
  vn_atomic_u32 clients, accepted, refused; /* now, ever, and turned away because there were too many */
  struct vn_command command;
  bool opened;                /* open() was called, so free() has to be */
  bool begun, ended;          /* begun: the network's thread's; ended: under the network's lock */
};

/* One per file: stream.c, datagram.c, seqpacket.c, tun.c, replay.c, lent.c ("interface"). */
extern const struct vn_endpoint_class vn_stream_endpoint, vn_datagram_endpoint, vn_seqpacket_endpoint, vn_tun_endpoint,
    vn_replay_endpoint, vn_lent_endpoint;

/* For classes; the network's thread. port_init: sets what every port of an endpoint has by its options (kind, label,
 * isolated, virtio, max_frame, guard, owner); false: no memory. The class sets class and adds it by vn_network_add().
 * */
bool vn_endpoint_port_init(struct vn_endpoint *endpoint, struct vn_net_port *port);
/* It ends by itself: for instance a device is gone. end() comes with the next turn, never inside of this call. Again:
 * harmless. */
void vn_endpoint_fail(struct vn_endpoint *endpoint, uint32_t status);

/* endpoint.c's own: the operations on endpoints, on control threads. */
uint32_t vn_endpoint_open(struct vn_job *job, struct vn_board *board); /* VN_OP_ENDPOINT_OPEN */
uint32_t vn_endpoint_make(struct vn_job *job, struct vn_board *board, const struct vn_endpoint_class *class,
                          const struct vn_endpoint_options *options);
void vn_endpoint_stop(struct vn_object *object, uint64_t until_ns);
uint32_t vn_endpoint_get(struct vn_object *object, uint32_t what, struct vn_writer *out);
/* The network's thread: those of a board, or (NULL) all. */
void vn_endpoints_end(struct vn_network *network, const struct vn_board *board, uint32_t status);

/* sockets.c: a socket's file as every endpoint makes it: bound under another name in the same directory, given its
 * mode,
 * then renamed, so that nobody meets it half-made; a dead one is replaced, one that answers is VN_IN_USE, anything else
 * than
 * a socket stays. type: SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET. The descriptor or the job's failure as -status. */
int vn_socket_new(int type); /* a unix socket: non-blocking, closed by exec(); or -1 */
int vn_socket_listen(struct vn_job *job, const char *path, int type, uint32_t mode);
void vn_socket_forget(const char *path, uint64_t inode); /* removes the file if it is still that one */
uint64_t vn_socket_inode(const char *path);
/* Of every socket that others write to, on the network's thread: takes no descriptors from a peer, whose last close()
 * may
 * wait (Linux 6.16 or later; else as long as a peer of this user wants), and does not wait when it is closed itself. */
void vn_socket_harden(int fd);
/* The kind of socket that fd is: an option for a stream must be a stream. VN_OK or the job's failure. */
uint32_t vn_socket_check(struct vn_job *job, int fd, int type);

#endif
