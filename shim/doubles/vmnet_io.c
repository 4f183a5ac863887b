// SPDX-License-Identifier: MIT
/*
 * vmnet_io.c - vmnet_read() and vmnet_write().
 *
 * Theory of operation. Descriptors are looked at before anything moves. One that the caller did not reset after the
 * last call kills the process: on a Mac it would lose or cut frames only now and then. One that was reset to too little
 * is refused as the framework refuses it. Both calls leave something in every field of every descriptor that they may
 * write to, used or not, so that a caller who forgets one is found out even when every frame is as long as its buffer.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "vmnet_double.h"

#define LEFTOVER 0x5eadu
#define BATCH 64

/* Whether the interface may carry frames, as an answer of the framework. From a good answer to leave() the call is
 * inside, where a stop must not find it. */
static vmnet_return_t enter(struct vmnet_interface *nic, const struct vmpktdesc *packets, const int *count,
                             const char *caller) {
  vd_check(nic, caller);
  if (packets == NULL || count == NULL) double_die("%s: NULL", caller);
  if (*count < 0) double_die("%s: %d packets", caller, *count);
  atomic_fetch_add(&nic->inside, 1);
  uint32_t state = atomic_load(&nic->state);
  if (state != VD_UP) atomic_fetch_sub(&nic->inside, 1);
  return state == VD_UP ? VMNET_SUCCESS : state == VD_STARTING ? VMNET_SETUP_INCOMPLETE : VMNET_INVALID_ARGUMENT;
}

static void leave(struct vmnet_interface *nic) { atomic_fetch_sub(&nic->inside, 1); }

/* What the framework does to them is its own affair: nothing of them is good for a second call. */
static void soil(struct vmpktdesc *packets, int count) {
  for (int i = 0; i < count; i++) {
    packets[i].vm_flags = LEFTOVER;
    packets[i].vm_pkt_iovcnt = 0;
    if (packets[i].vm_pkt_iov != NULL) packets[i].vm_pkt_iov->iov_len = 0; /* it is not the frame's length */
  }
}

static vmnet_return_t check_read(const struct vmnet_interface *nic, const struct vmpktdesc *packets, int count) {
  if ((uint32_t)count > nic->read_most) return VMNET_TOO_MANY_PACKETS;
  for (int i = 0; i < count; i++) {
    const struct vmpktdesc *each = &packets[i];
    if (each->vm_flags != 0) double_die("vmnet_read: vm_flags of descriptor %d was not reset", i);
    if (each->vm_pkt_iovcnt != 1) double_die("vmnet_read: descriptor %d has %u buffers", i, each->vm_pkt_iovcnt);
    if (each->vm_pkt_iov == NULL || each->vm_pkt_iov->iov_base == NULL) double_die("vmnet_read: buffer %d is NULL", i);
    if (each->vm_pkt_iov->iov_len != each->vm_pkt_size)
      double_die("vmnet_read: descriptor %d was not reset: size %zu, buffer %zu", i, each->vm_pkt_size,
                 each->vm_pkt_iov->iov_len);
    if (each->vm_pkt_size < nic->most) return VMNET_MEM_FAILURE;
  }
  return VMNET_SUCCESS;
}

vmnet_return_t vmnet_read(interface_ref nic, struct vmpktdesc *packets, int *count) {
  vmnet_return_t status = enter(nic, packets, count, "vmnet_read");
  if (status == VMNET_SUCCESS) {
    if (atomic_flag_test_and_set(&nic->reading)) double_die("vmnet_read: another thread is reading this interface");
    double_add("reads", 1);
    status = check_read(nic, packets, *count);
    int taken = 0;
    if (status == VMNET_SUCCESS) {
      pthread_mutex_lock(&nic->rx);
      for (; taken < *count && nic->queue.count > 0; taken++)
        packets[taken].vm_pkt_size = vd_take(&nic->queue, packets[taken].vm_pkt_iov->iov_base);
      if (nic->queue.count == 0) nic->queue.dry = true;
      pthread_mutex_unlock(&nic->rx);
      soil(packets, *count);
    }
    *count = taken;
    atomic_flag_clear(&nic->reading);
    leave(nic);
    return status;
  }
  *count = 0;
  return status;
}

static vmnet_return_t check_write(const struct vmnet_interface *nic, const struct vmpktdesc *packets, int count) {
  if ((uint32_t)count > nic->write_most) return VMNET_TOO_MANY_PACKETS;
  for (int i = 0; i < count; i++) {
    const struct vmpktdesc *each = &packets[i];
    if (each->vm_flags != 0) double_die("vmnet_write: vm_flags of descriptor %d was not reset", i);
    if (each->vm_pkt_iovcnt != 1 || each->vm_pkt_iov == NULL) return VMNET_INVALID_ARGUMENT;
    if (each->vm_pkt_iov->iov_len != each->vm_pkt_size) return VMNET_INVALID_ARGUMENT;
    if (each->vm_pkt_iov->iov_base == NULL) double_die("vmnet_write: buffer %d is NULL", i);
    if (each->vm_pkt_size < nic->least) return VMNET_INVALID_ARGUMENT; /* and nothing of the batch goes */
    if (each->vm_pkt_size > nic->most) return VMNET_PACKET_TOO_BIG;
  }
  return VMNET_SUCCESS;
}

/* To the daemon; its socket takes what it has room for. */
static int send_remote(struct vmnet_interface *nic, const struct vmpktdesc *packets, int count) {
  struct mmsghdr messages[BATCH];
  int sent = 0;
  while (sent < count) {
    int batch = count - sent < BATCH ? count - sent : BATCH;
    memset(messages, 0, sizeof *messages * (size_t)batch);
    for (int i = 0; i < batch; i++) {
      messages[i].msg_hdr.msg_iov = packets[sent + i].vm_pkt_iov;
      messages[i].msg_hdr.msg_iovlen = 1;
    }
    int done = sendmmsg(nic->fd, messages, (unsigned)batch, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (done < 0 && errno == EINTR) continue;
    /* The daemon died: its network is silent, which a writer does not notice. */
    if (done < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS ? sent : count;
    sent += done;
  }
  return sent;
}

/* As many as the wire has room for, and no more than most; the rest is the caller's. */
static vmnet_return_t pass(struct vmnet_interface *nic, const struct vmpktdesc *packets, int most, int *count) {
  vmnet_return_t status = VMNET_SUCCESS;
  pthread_mutex_lock(&nic->tx);
  if (nic->closed) { /* a stop came in between */
    *count = 0;
    status = VMNET_INVALID_ARGUMENT;
  } else if (nic->fd >= 0) {
    *count = send_remote(nic, packets, most);
  } else {
    vd_hub_send(nic, packets, most);
    *count = most;
  }
  pthread_mutex_unlock(&nic->tx);
  return status;
}

vmnet_return_t vmnet_write(interface_ref nic, struct vmpktdesc *packets, int *count) {
  static _Atomic uint32_t writes;
  vmnet_return_t status = enter(nic, packets, count, "vmnet_write");
  if (status != VMNET_SUCCESS) {
    *count = 0;
    return status;
  }
  int wanted = *count, most = wanted;
  status = check_write(nic, packets, wanted);
  if (status == VMNET_SUCCESS) {
    double_add("writes", 1);
    long exhaust = double_number("exhaust");
    bool exhausted = exhaust > 0 && (atomic_fetch_add(&writes, 1) + 1) % (uint32_t)exhaust == 0;
    if (exhausted) most = wanted / 2;
    status = pass(nic, packets, most, count);
    if (status == VMNET_SUCCESS && (exhausted || *count < wanted)) status = VMNET_BUFFER_EXHAUSTED;
  } else {
    *count = 0;
  }
  if (status != VMNET_TOO_MANY_PACKETS) soil(packets, wanted);
  leave(nic);
  return status;
}
