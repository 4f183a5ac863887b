// SPDX-License-Identifier: MIT
/* batch_io.c - see batch_io.h. */
#ifdef __linux__
#define _GNU_SOURCE /* recvmmsg, sendmmsg */
#endif
#include "batch_io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#ifdef __APPLE__
#include <dlfcn.h>
#endif

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif
#if defined(__linux__) && !defined(VN_BATCH_LOOP)
#define VN_MMSG 1
#else
#define VN_MMSG 0
#endif

/* Messages above 16 KiB are segments for an offload: 16 of them are as much work as 64 small ones, and 1 MiB is what
 * stays in the second level of a cache. */
#define LONG_MESSAGE (16u << 10)
#define LONG_BATCH 16u
#define BYTES_MOST (1u << 20)

bool vn_inbox_init(struct vn_inbox *inbox, uint32_t longest, bool named) {
  *inbox = (struct vn_inbox){.size = (longest + 63) & ~63u};
  inbox->memory = malloc((size_t)inbox->size * VN_BATCH);
  if (named) inbox->names = calloc(VN_BATCH, sizeof *inbox->names);
  if (inbox->memory != NULL && (!named || inbox->names != NULL)) return true;
  vn_inbox_free(inbox);
  return false;
}

void vn_inbox_free(struct vn_inbox *inbox) {
  free(inbox->memory);
  free(inbox->names);
  *inbox = (struct vn_inbox){.memory = NULL};
}

static void arrived(struct vn_inbox *inbox, uint32_t i, const struct msghdr *message, uint32_t length) {
  const struct sockaddr_un *from = message->msg_name;
  uint32_t from_length = message->msg_namelen; /* Linux tells one byte more for a path that fills it all */
  if (from_length > sizeof *from) from_length = sizeof *from;
  bool named = from != NULL && from_length > offsetof(struct sockaddr_un, sun_path);
#ifndef __linux__ /* there an empty name is an abstract address */
  named = named && from->sun_path[0] != 0;
#endif
  inbox->arrivals[i] = (struct vn_arrival){.bytes = message->msg_iov->iov_base,
                                           .length = length,
                                           .cut = (message->msg_flags & MSG_TRUNC) || length > inbox->size,
                                           .from = named ? from : NULL,
                                           .from_length = named ? from_length : 0};
}

static struct msghdr empty_message(struct vn_inbox *inbox, uint32_t i, struct iovec *part) {
  uint32_t slot = inbox->used + i;
  *part = (struct iovec){inbox->memory + (size_t)slot * inbox->size, inbox->size};
  struct msghdr message = {.msg_iov = part, .msg_iovlen = 1};
  if (inbox->names != NULL) message.msg_name = &inbox->names[slot], message.msg_namelen = sizeof inbox->names[slot];
  return message;
}

#ifdef __APPLE__
struct msghdr_x { /* of the system, as it is since 10.10 */
  struct msghdr message;
  size_t length;
};
typedef ssize_t many_x_t(int fd, struct msghdr_x *messages, unsigned count, int flags);

/* The function, or NULL. Without a lock: whoever comes first finds the same. */
static many_x_t *many_x(bool receive, bool give_up) {
  static _Atomic(many_x_t *) found[2];
  static vn_atomic_u32 looked[2];
  if (give_up) vn_atomic_store(&looked[receive], 1), atomic_store(&found[receive], NULL);
  if (!vn_atomic_load(&looked[receive])) {
    void *system = dlopen(NULL, RTLD_NOW);
    if (system != NULL) atomic_store(&found[receive], (many_x_t *)dlsym(system, receive ? "recvmsg_x" : "sendmsg_x"));
    vn_atomic_store(&looked[receive], 1);
  }
  return atomic_load(&found[receive]);
}
#endif

#if !VN_MMSG
static int read_one_by_one(struct vn_inbox *inbox, int fd, uint32_t wanted) {
  uint32_t count = 0;
  for (; count < wanted; count++) {
    struct iovec part;
    struct msghdr message = empty_message(inbox, count, &part);
    ssize_t length = recvmsg(fd, &message, MSG_DONTWAIT);
    if (length < 0) return count > 0 ? (int)count : -errno;
    arrived(inbox, count, &message, (uint32_t)length);
  }
  return (int)count;
}
#endif

static int read_many(struct vn_inbox *inbox, int fd, uint32_t wanted) {
#if VN_MMSG
  struct mmsghdr messages[VN_BATCH];
  struct iovec parts[VN_BATCH];
  for (uint32_t i = 0; i < wanted; i++) messages[i] = (struct mmsghdr){.msg_hdr = empty_message(inbox, i, &parts[i])};
  int count = recvmmsg(fd, messages, wanted, MSG_DONTWAIT, NULL);
  if (count < 0) return -errno;
  for (int i = 0; i < count; i++) arrived(inbox, (uint32_t)i, &messages[i].msg_hdr, messages[i].msg_len);
  return count;
#elif defined(__APPLE__)
  many_x_t *receive = inbox->names == NULL ? many_x(true, false) : NULL;
  if (receive == NULL) return read_one_by_one(inbox, fd, wanted);
  struct msghdr_x messages[VN_BATCH];
  struct iovec parts[VN_BATCH];
  for (uint32_t i = 0; i < wanted; i++) messages[i] = (struct msghdr_x){.message = empty_message(inbox, i, &parts[i])};
  ssize_t count = receive(fd, messages, wanted, MSG_DONTWAIT);
  if (count < 0 && errno == EAGAIN) return -EAGAIN;
  if (count < 0) { /* the public call says what is wrong */
    if (errno == EINVAL || errno == ENOSYS) many_x(true, true);
    return read_one_by_one(inbox, fd, wanted);
  }
  for (ssize_t i = 0; i < count; i++) arrived(inbox, (uint32_t)i, &messages[i].message, (uint32_t)messages[i].length);
  return (int)count;
#else
  return read_one_by_one(inbox, fd, wanted);
#endif
}

int vn_inbox_read(struct vn_inbox *inbox, struct vn_network *network, int fd, bool *more) {
  if (VN_BATCH - inbox->used < LONG_BATCH || inbox->bytes > BYTES_MOST) {
    vn_network_flush(network); /* nobody refers to the buffers any more */
    inbox->used = inbox->bytes = 0;
  }
  uint32_t wanted = inbox->heavy ? LONG_BATCH : VN_BATCH - inbox->used;
  int count;
  do count = read_many(inbox, fd, wanted);
  while (count == -EINTR);
  *more = count == (int)wanted;
  if (count <= 0) return count;
  uint32_t before = inbox->bytes;
  for (int i = 0; i < count; i++) inbox->bytes += inbox->arrivals[i].length;
  inbox->used += (uint32_t)count;
  inbox->heavy = (inbox->bytes - before) / (uint32_t)count > LONG_MESSAGE;
  return count;
}

int vn_batch_send(int fd, const struct sockaddr_un *to, uint32_t to_length, struct vn_message *messages,
                  uint32_t count) {
  if (count > VN_BATCH) count = VN_BATCH;
#if VN_MMSG
  struct mmsghdr many[VN_BATCH];
  for (uint32_t i = 0; i < count; i++)
    many[i] = (struct mmsghdr){.msg_hdr = {.msg_name = (void *)(uintptr_t)to,
                                           .msg_namelen = to_length,
                                           .msg_iov = messages[i].parts,
                                           .msg_iovlen = messages[i].count}};
  int sent;
  do sent = sendmmsg(fd, many, count, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent < 0 ? -errno : sent;
#else
#ifdef __APPLE__
  many_x_t *send_many = to == NULL && count > 1 ? many_x(false, false) : NULL;
  if (send_many != NULL) {
    struct msghdr_x many[VN_BATCH];
    for (uint32_t i = 0; i < count; i++)
      many[i] = (struct msghdr_x){.message = {.msg_iov = messages[i].parts, .msg_iovlen = (int)messages[i].count}};
    ssize_t went;
    do went = send_many(fd, many, count, MSG_DONTWAIT);
    while (went < 0 && errno == EINTR);
    if (went >= 0) return (int)went;
    if (errno == ENOBUFS || errno == EAGAIN) return -errno;
    /* Else one by one, to learn of which it is true: EMSGSIZE is also said of a batch longer than the send buffer. */
    if (errno == EINVAL || errno == ENOSYS) many_x(false, true);
  }
#endif
  uint32_t sent = 0;
  while (sent < count) {
    struct msghdr message = {.msg_name = (void *)(uintptr_t)to,
                             .msg_namelen = to_length,
                             .msg_iov = messages[sent].parts,
                             .msg_iovlen = messages[sent].count};
    if (sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) sent++;
    else if (errno != EINTR) return sent > 0 ? (int)sent : -errno;
  }
  return (int)sent;
#endif
}
