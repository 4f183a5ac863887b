// SPDX-License-Identifier: MIT
/*
 * host_link.h - vmnet-host, the small signed program that has vmnet's permission where this process has not.
 *
 * Theory of operation. From macOS 26 on a signature with com.apple.security.virtualization replaces root, but it is the
 * executable that has to have it, and no JavaScript runtime does. vmnet-host does: it is this library's own code with a
 * main() around it. One is started per process at the first use, with one end of a socket pair as its descriptor 3, and
 * it ends when that does: when this process dies, or LINGER_NS after the last thing that it had for us ended.
 *
 * Control messages are those of embedded/channel.h: a request has "serial", "op" (VN_OP_*, or VN_HOST_CANCEL), "target"
 * (an object of vmnet-host; left out: none) and "options" (a list: the operation's own); a reply has "serial", "status"
 * and the operation's own result, with "object" for what was made. Requests are carried out at the same time and
 * answered in any order. Whoever gives a request up sends VN_HOST_CANCEL with its serial: what it makes late is undone
 * there.
 *
 * Frames do not go this way. vmnet-host puts what it made on a switch network, shares that, and answers the token,
 * which this process joins (embedded/join.h). So a network of vmnet-host is a joined network here, and its death is
 * seen as any owner's: networkGone. An interface of vmnet-host is a network of its own, which ends with it, and of
 * which nobody knows; its frames pass vmnet-host as they are.
 *
 *   VN_OP_NETWORK_CREATE        reply: "object", "token" and the network's parameters
 *   VN_OP_INTERFACE_START       reply: "object", "token" and vmnet's parameters
 *   VN_OP_NETWORK_SHARE         of a network; reply: "object" (the share) and "token"
 *   VN_OP_FORWARD_*             of a network or an interface
 *   VN_OP_RESERVATION_*         of a network
 *   VN_OP_SHARED_INTERFACES
 *   VN_OP_STOP                  of any object; reply when it has ended
 */
#ifndef VN_DARWIN_HOST_LINK_H
#define VN_DARWIN_HOST_LINK_H

#include "core/backend.h"

#define VN_HOST_FD 3
#define VN_HOST_CANCEL 1000 /* beside VN_OP_* */

struct vn_network;
struct vn_host_link; /* to one vmnet-host */
struct vn_hosted;    /* an object of vmnet-host */

/* hosted.c: networks, interfaces and shares of vmnet-host. */

/* The hosted object that a joined network stands for, or NULL: the network is some other process's. */
struct vn_hosted *vn_hosted_of(struct vn_network *network);
uint32_t vn_hosted_run(struct vn_job *job, struct vn_hosted *hosted);   /* VN_OP_FORWARD_* or VN_OP_RESERVATION_* there; blocks */
uint32_t vn_hosted_share(struct vn_job *job, struct vn_hosted *hosted); /* VN_OP_NETWORK_SHARE there; blocks */
void vn_hosted_leases(const struct vn_hosted *hosted, struct vn_writer *out); /* of an interface */
/* Waits until vmnet-host has ended it too. VN_OK, or the job's failure: late, or nobody waits any more. */
uint32_t vn_hosted_wait_ended(struct vn_job *job, struct vn_hosted *hosted);
bool vn_hosted_is_share(const struct vn_object *object);
uint32_t vn_hosted_share_stop(struct vn_job *job); /* VN_OP_STOP of one; blocks */
uint32_t vn_hosted_share_state(struct vn_object *share);
int vn_hosted_init(void);

/* host_link.c: the process and its messages. */

/* The link to vmnet-host, which is started if it does not run. VN_OK, with a reference and a use for the caller's next
 * vn_host_call(), or the job's failure. */
uint32_t vn_host_link_get(struct vn_job *job, struct vn_host_link **out);
bool vn_host_link_use(struct vn_host_link *link); /* the same for a link that is known; false: it is dead */
void vn_host_link_release(struct vn_host_link *link);

struct vn_host_reply {
  uint8_t *data; /* to be freed */
  uint32_t length;
};
/* Carries the job's operation out there, on target (0: none); blocks until the reply, the job's deadline, its
 * abandonment or the death of vmnet-host. Takes the use, keeps the reference. VN_OK, or the job's failure with its
 * details. */
uint32_t vn_host_call(struct vn_job *job, struct vn_host_link *link, uint64_t target, struct vn_host_reply *reply);
/* Copies what a reply says of the operation to the job's result. */
void vn_host_pass(struct vn_job *job, const struct vn_host_reply *reply);
/* Ends an object there, which is a use until it has ended; does not wait. over() runs when it has ended or the link
 * died, once, on some thread; it is not NULL. */
void vn_host_stop(struct vn_host_link *link, uint64_t target, void (*over)(void *context), void *context);

int vn_host_links_init(void);
void vn_host_links_shutdown(void); /* begins the end of vmnet-host, and with it of all that it has */
uint32_t vn_host_links_alive(void);

#endif
