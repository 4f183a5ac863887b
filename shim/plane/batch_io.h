// SPDX-License-Identifier: MIT
/*
 * batch_io.h - many messages of a datagram or seqpacket socket per system call.
 *
 * Theory of operation. An inbox has one buffer for each message of a batch. What was read stays where it is until the
 * network's next flush, so that ports may refer to it: the inbox hands out its buffers in turn, and when those that are
 * left get few it flushes the network and starts over. It does so earlier with long messages, so that what moves stays
 * in the cache. Memory that no message was long enough for is never touched. Several sockets of one endpoint share an
 * inbox.
 *
 * recvmmsg() and sendmmsg() on Linux. macOS has recvmsg_x() and sendmsg_x(), which no header declares and which may go:
 * they are looked up at run time and used for connected sockets only, because they are said to take no addresses (this
 * is not verified on hardware); the first EINVAL or ENOSYS ends their use. Everything else is a loop of single calls.
 */
#ifndef VN_PLANE_BATCH_IO_H
#define VN_PLANE_BATCH_IO_H

#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "embedded/network.h"

#define VN_BATCH 64u

struct vn_arrival {
  uint8_t *bytes;
  uint32_t length; /* of the message if it was cut and the system says so */
  bool cut;
  const struct sockaddr_un *from; /* good until the next read; NULL: a sender without an address */
  uint32_t from_length;
};

struct vn_inbox {
  uint8_t *memory;
  struct sockaddr_un *names; /* NULL: nobody asks who sent it */
  uint32_t size, used, bytes; /* of a buffer; buffers in use, and what lies in them */
  bool heavy;                 /* the last messages were long */
  struct vn_arrival arrivals[VN_BATCH];
};

/* longest: bytes of a message with all its headers; longer ones are cut. */
bool vn_inbox_init(struct vn_inbox *inbox, uint32_t longest, bool named);
void vn_inbox_free(struct vn_inbox *inbox); /* after a flush */
/* Reads what is there, once. How many came, or -errno. *more: as many as were asked for. */
int vn_inbox_read(struct vn_inbox *inbox, struct vn_network *network, int fd, bool *more);

/* A message in up to two pieces. */
struct vn_message {
  struct iovec parts[2];
  uint32_t count;
};

/* Sends up to VN_BATCH messages to one address (NULL: the socket is connected). How many, or -errno of the first. */
int vn_batch_send(int fd, const struct sockaddr_un *to, uint32_t to_length, struct vn_message *messages,
                  uint32_t count);

#endif
