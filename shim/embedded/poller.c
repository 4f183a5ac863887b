// SPDX-License-Identifier: MIT
/*
 * poller.c - see poller.h. The bell is an eventfd that is watched by edge, so a ring is one write and no read; where
 * there is none it is a socketpair.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* ppoll() */
#endif
#include "poller.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "vmnet_shim.h"

#if defined(__linux__) && !defined(VN_POLLER_POLL)
#define VN_EPOLL 1
#include <sys/epoll.h>
#include <sys/eventfd.h>
typedef struct epoll_event slot_t;
#else
#define VN_EPOLL 0
typedef struct pollfd slot_t;
#endif

#define MS 1000000ull
#define LONGEST_NS (60000 * MS)

int vn_poller_init(struct vn_poller *poller) {
  *poller = (struct vn_poller){.epoll = -1, .bell = {-1, -1}};
#if VN_EPOLL
  poller->epoll = epoll_create1(EPOLL_CLOEXEC);
  poller->bell[0] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};
  bool made = poller->epoll >= 0 && poller->bell[0] >= 0;
  if (made && epoll_ctl(poller->epoll, EPOLL_CTL_ADD, poller->bell[0], &event) == 0) return VN_OK;
  vn_poller_destroy(poller);
  return VN_NO_MEMORY;
#else
  return vn_socketpair(poller->bell);
#endif
}

void vn_poller_destroy(struct vn_poller *poller) {
  if (poller->epoll >= 0) close(poller->epoll);
  for (int i = 0; i < 2; i++)
    if (poller->bell[i] >= 0) close(poller->bell[i]);
  free(poller->watches);
  free(poller->due);
  free(poller->slots);
  *poller = (struct vn_poller){.epoll = -1, .bell = {-1, -1}};
}

void vn_poller_ring(struct vn_poller *poller) {
#if VN_EPOLL
  eventfd_write(poller->bell[0], 1);
#else
  vn_socket_ring(poller->bell[1]);
#endif
}

static bool grow(struct vn_poller *poller) {
  if (poller->count < poller->capacity) return true;
  uint32_t capacity = poller->capacity ? poller->capacity * 2 : 16;
  struct vn_watch **watches = realloc(poller->watches, capacity * sizeof *watches);
  if (watches != NULL) poller->watches = watches;
  struct vn_watch **due = realloc(poller->due, capacity * sizeof *due);
  if (due != NULL) poller->due = due;
  slot_t *slots = realloc(poller->slots, (capacity + 1) * sizeof *slots);
  if (slots != NULL) poller->slots = slots;
  if (watches == NULL || due == NULL || slots == NULL) return false;
  poller->capacity = capacity;
  return true;
}

static bool apply(struct vn_poller *poller, struct vn_watch *watch, bool add) {
#if VN_EPOLL
  struct epoll_event event = {.data.ptr = watch};
  event.events = (watch->events & VN_POLL_READ ? EPOLLIN : 0u) | (watch->events & VN_POLL_WRITE ? EPOLLOUT : 0u);
  return epoll_ctl(poller->epoll, add ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, watch->fd, &event) == 0;
#else
  (void)poller, (void)watch, (void)add; /* the array is made anew for each wait */
  return true;
#endif
}

int vn_poller_add(struct vn_poller *poller, struct vn_watch *watch) {
  if (!grow(poller) || !apply(poller, watch, true)) return VN_NO_MEMORY;
  watch->index = poller->count;
  poller->watches[poller->count++] = watch;
  return VN_OK;
}

void vn_poller_change(struct vn_poller *poller, struct vn_watch *watch, uint32_t events) {
  if (watch->events == events) return;
  watch->events = events;
  apply(poller, watch, false);
}

void vn_poller_remove(struct vn_poller *poller, struct vn_watch *watch) {
#if VN_EPOLL
  epoll_ctl(poller->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
#endif
  struct vn_watch *last = poller->watches[--poller->count];
  poller->watches[watch->index] = last;
  last->index = watch->index;
  for (uint32_t i = 0; i < poller->due_count; i++)
    if (poller->due[i] == watch) poller->due[i] = NULL;
}

/* Rounded up: a wait that is too short would be repeated over and over. */
static int in_ms(uint64_t wait_ns) {
  if (wait_ns == VN_POLL_FOREVER) return -1;
  return wait_ns > LONGEST_NS ? (int)(LONGEST_NS / MS) : (int)((wait_ns + MS - 1) / MS);
}

void vn_poller_wait(struct vn_poller *poller, uint64_t wait_ns) {
  slot_t one;
  slot_t *slots = poller->slots != NULL ? poller->slots : &one;
  uint32_t events[64], due = 0;
#if VN_EPOLL
  int max = poller->capacity == 0 ? 1 : (int)(poller->capacity < 64 ? poller->capacity : 64);
  if (wait_ns > 0 && wait_ns < MS) { /* epoll_wait() knows milliseconds alone, epoll_pwait2() is too new */
    struct pollfd set = {.fd = poller->epoll, .events = POLLIN};
    struct timespec wait = {.tv_nsec = (long)wait_ns};
    ppoll(&set, 1, &wait, NULL);
    wait_ns = 0;
  }
  int count = epoll_wait(poller->epoll, slots, max, in_ms(wait_ns));
  for (int i = 0; i < count; i++) {
    struct vn_watch *watch = slots[i].data.ptr;
    if (watch == NULL) continue; /* the bell */
    uint32_t found = slots[i].events;
    events[due] = (found & EPOLLOUT ? VN_POLL_WRITE : 0u) | (found & ~(uint32_t)EPOLLOUT ? VN_POLL_READ : 0u);
    poller->due[due++] = watch;
  }
#else
  slots[0] = (slot_t){.fd = poller->bell[0], .events = POLLIN};
  for (uint32_t i = 0; i < poller->count; i++) {
    const struct vn_watch *watch = poller->watches[i];
    slots[i + 1] = (slot_t){.fd = watch->events ? watch->fd : -1};
    slots[i + 1].events =
        (short)((watch->events & VN_POLL_READ ? POLLIN : 0) | (watch->events & VN_POLL_WRITE ? POLLOUT : 0));
  }
  if (poll(slots, poller->count + 1, in_ms(wait_ns)) <= 0) return;
  char bytes[64];
  if (slots[0].revents)
    while (read(poller->bell[0], bytes, sizeof bytes) == (ssize_t)sizeof bytes) continue;
  poller->turn++; /* so that 64 busy sockets do not starve the rest */
  for (uint32_t i = 0; i < poller->count && due < 64; i++) {
    uint32_t at = (i + poller->turn) % poller->count;
    short found = slots[at + 1].revents;
    if (!found) continue;
    events[due] = (found & POLLOUT ? VN_POLL_WRITE : 0u) | (found & ~POLLOUT ? VN_POLL_READ : 0u);
    poller->due[due++] = poller->watches[at];
  }
#endif
  poller->due_count = due;
  for (uint32_t i = 0; i < due; i++)
    if (poller->due[i] != NULL) poller->due[i]->ready(poller->due[i], events[i]);
  poller->due_count = 0;
}
