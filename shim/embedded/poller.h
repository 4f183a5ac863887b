// SPDX-License-Identifier: MIT
/*
 * poller.h - waits for sockets on one thread: epoll on Linux, poll(2) elsewhere (or with -DVN_POLLER_POLL).
 *
 * Everything but vn_poller_ring() belongs to the poller's thread. A watch may be removed, and freed, from any callback.
 */
#ifndef VN_EMBEDDED_POLLER_H
#define VN_EMBEDDED_POLLER_H

#include "core/os.h"

enum { VN_POLL_READ = 1, VN_POLL_WRITE = 2 };

struct vn_watch {
  int fd;
  uint32_t events; /* VN_POLL_* wanted; errors and ends are told as VN_POLL_READ */
  uint32_t index;  /* the poller's */
  void (*ready)(struct vn_watch *watch, uint32_t events);
};

struct vn_poller {
  int epoll;
  int bell[2];
  struct vn_watch **watches, **due;
  uint32_t count, capacity, due_count, turn;
  void *slots; /* struct pollfd or struct epoll_event */
};

int vn_poller_init(struct vn_poller *poller); /* 0 or a vn_status */
void vn_poller_destroy(struct vn_poller *poller);
int vn_poller_add(struct vn_poller *poller, struct vn_watch *watch);
void vn_poller_change(struct vn_poller *poller, struct vn_watch *watch, uint32_t events);
void vn_poller_remove(struct vn_poller *poller, struct vn_watch *watch);
/* Calls ready() of every watch that is. Waits so long for the first: less than a millisecond exactly on Linux, else
 * rounded up to milliseconds. */
#define VN_POLL_FOREVER UINT64_MAX
void vn_poller_wait(struct vn_poller *poller, uint64_t wait_ns);
void vn_poller_ring(struct vn_poller *poller); /* ends a wait, from any thread */

#endif
