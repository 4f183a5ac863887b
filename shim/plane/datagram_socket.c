// SPDX-License-Identifier: MIT
/* datagram_socket.c - the sockets of a datagram endpoint: datagram.h says why there are several. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "datagram.h"
#include "embedded/address.h"
#include "vmnet_shim.h"

/* Linux charges the sender for what its peer has not read, with the kernel's overhead: 1 MiB (doubled by the kernel,
 * bounded by net.core.wmem_max) is 900 frames of 1514 bytes or 31 of 64 KiB. On macOS it is the longest datagram, and
 * the reader's buffer is what holds frames. */
#ifdef __linux__
#define SEND_BUFFER (1 << 20)
#else
#define SEND_BUFFER (128 << 10)
#endif
#define RECEIVE_BUFFER (4 << 20)
#define JOIN_NS 1000000000ull /* who connects also announces itself, long before this is over */
#define SPARE_SOCKETS 16u /* more than peers: those that a newcomer may just have connected to */

int vn_datagram_tune(int fd) {
  vn_socket_harden(fd);
  int send_size = SEND_BUFFER, receive_size = RECEIVE_BUFFER; /* what is refused stays as it was */
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_size, sizeof send_size);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_size, sizeof receive_size);
  return fd;
}

static int new_socket(void) {
  int fd = vn_socket_new(SOCK_DGRAM);
  return fd < 0 ? -errno : vn_datagram_tune(fd);
}

struct vn_datagram_socket *vn_datagram_socket_add(struct vn_datagram *owner, int fd) {
  struct vn_datagram_socket *made = calloc(1, sizeof *made);
  if (made != NULL) {
    made->watch = (struct vn_watch){.fd = fd, .events = VN_POLL_READ, .ready = vn_datagram_ready};
    made->owner = owner;
    made->idle_ns = owner->endpoint.network->now_ns;
    if (vn_poller_add(&owner->endpoint.network->poller, &made->watch) == VN_OK) {
      made->next = owner->sockets;
      owner->sockets = made;
      owner->socket_count++;
      return made;
    }
  }
  close(fd);
  free(made);
  return NULL;
}

void vn_datagram_socket_remove(struct vn_datagram_socket *gone) {
  struct vn_datagram *owner = gone->owner;
  struct vn_datagram_socket **at = &owner->sockets;
  while (*at != gone) at = &(*at)->next;
  *at = gone->next;
  owner->socket_count--;
  for (uint32_t i = 0; i < VN_DATAGRAM_BUCKETS; i++)
    for (struct vn_datagram_port *port = owner->known[i]; port != NULL; port = port->next_known)
      if (port->heard_on == gone) port->heard_on = NULL;
  if (owner->current == gone) owner->current = NULL;
  vn_poller_remove(&owner->endpoint.network->poller, &gone->watch);
  close(gone->watch.fd);
  free(gone);
}

void vn_datagram_use(struct vn_datagram_port *port, struct vn_datagram_socket *by) {
  struct vn_datagram_socket *before = port->socket;
  if (before == by) return;
  if (before != NULL && --before->peers == 0) before->idle_ns = port->port.network->now_ns;
  if (before != NULL && before->joined == port) before->joined = NULL, before->spent = true;
  port->socket = by;
  if (by != NULL) by->peers++;
}

/* Only where a socket pays for what its peers do not read, and only as long as the file is ours. */
void vn_datagram_renew(struct vn_datagram *owner) {
#ifdef __linux__
  const struct vn_endpoint_options *options = &owner->endpoint.options;
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  const char *last = strrchr(options->path, '/');
  int directory = last == NULL ? 0 : (int)(last - options->path) + 1;
  uint8_t random[4];
  if (owner->inode == 0 || owner->socket_count >= options->clients + SPARE_SOCKETS) return;
  if ((size_t)directory + 12 > sizeof address.sun_path || vn_socket_inode(options->path) != owner->inode) return;
  vn_random(random, sizeof random);
  snprintf(address.sun_path, sizeof address.sun_path, "%.*s.vn%02x%02x%02x%02x", directory, options->path, random[0],
           random[1], random[2], random[3]);
  int fd = new_socket();
  if (fd < 0) return;
  fchmod(fd, options->mode); /* the file begins with it */
  if (bind(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
    close(fd);
    return;
  }
  struct vn_datagram_socket *made = vn_datagram_socket_add(owner, fd);
  uint64_t inode = vn_socket_inode(address.sun_path);
  bool placed = made != NULL && chmod(address.sun_path, options->mode) == 0 &&
                rename(address.sun_path, options->path) == 0;
  if (placed) {
    if (owner->current != NULL) owner->current->left_ns = owner->endpoint.network->now_ns;
    owner->current = made;
    owner->inode = inode;
    return;
  }
  unlink(address.sun_path);
  if (made != NULL) vn_datagram_socket_remove(made);
#else
  (void)owner;
#endif
}

bool vn_datagram_join(struct vn_datagram_socket *socket) {
  struct vn_datagram *owner = socket->owner;
  struct vn_datagram_port *only = NULL;
  if (socket == owner->current || socket->peers != 1 || socket->joined != NULL || socket->spent) return false;
  if (owner->endpoint.network->now_ns - socket->left_ns < JOIN_NS) return false;
  for (uint32_t i = 0; i < VN_DATAGRAM_BUCKETS; i++)
    for (struct vn_datagram_port *port = owner->known[i]; port != NULL; port = port->next_known) {
      if (port->socket == socket) only = port;
      else if (port->heard_on == socket) return false;
    }
  if (only == NULL) return false;
  const struct sockaddr *to = (const struct sockaddr *)&only->address;
  if (connect(socket->watch.fd, to, only->address_length) != 0) return false;
  socket->joined = only;
  return true;
}

/* Under a name of our own, or nobody could answer: a file beside the other's, else (Linux) an abstract one. */
static int bind_own(struct vn_datagram *owner, int fd) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int length = snprintf(address.sun_path, sizeof address.sun_path, "%s-%u-%u", owner->endpoint.options.path,
                        (unsigned)getpid(), owner->endpoint.serial);
  if (length > 0 && (size_t)length < sizeof address.sun_path) {
    if (owner->own[0] != 0) unlink(owner->own);
    owner->own[0] = 0;
    if (bind(fd, (const struct sockaddr *)&address, sizeof address) == 0) {
      memcpy(owner->own, address.sun_path, sizeof owner->own);
      return 0;
    }
  }
#ifdef __linux__
  if (bind(fd, (const struct sockaddr *)&address, offsetof(struct sockaddr_un, sun_path)) == 0) return 0;
#endif
  return length > 0 && (size_t)length < sizeof address.sun_path ? errno : ENAMETOOLONG;
}

int vn_datagram_connect(struct vn_datagram *owner) {
  const char *path = owner->endpoint.options.path;
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  memcpy(address.sun_path, path, strlen(path)); /* endpoint.c has checked that it fits */
  int fd = new_socket();
  if (fd < 0) return fd;
  int error = bind_own(owner, fd);
  if (error == 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) error = errno;
  if (error == 0) {
    send(fd, "VFKT", 4, MSG_DONTWAIT); /* so that the other side knows our address before the first frame */
    return fd;
  }
  close(fd);
  return -error;
}
