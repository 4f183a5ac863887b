// SPDX-License-Identifier: MIT
/*
 * connect.c - where connections come from: a listening socket, or trying again. See connections.h.
 *
 * The network's thread waits for neither: a path answers connect() at once, a port of the loopback later, by the
 * poller.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* accept4() */
#endif
#include <errno.h>
#include <unistd.h>

#include "connections.h"
#include "embedded/channel.h"
#include "vmnet_shim.h"

#define ACCEPTS 16u /* in a turn: a storm of clients leaves the others their turns */
#define PAUSE_NS 100000000ull
#define DELAY_LEAST_NS 100000000ull
#define DELAY_MOST_NS 5000000000ull

static struct vn_connections *of(struct vn_watch *watch) {
  return (struct vn_connections *)((char *)watch - offsetof(struct vn_connections, watch));
}

static struct vn_connections *of_pause(struct vn_timer *timer) {
  return (struct vn_connections *)((char *)timer - offsetof(struct vn_connections, pause));
}

static uint32_t watch(struct vn_connections *list, uint32_t events, void (*ready)(struct vn_watch *, uint32_t)) {
  list->watch.events = events;
  list->watch.ready = ready;
  list->watching = vn_poller_add(&list->endpoint.network->poller, &list->watch) == VN_OK;
  return list->watching ? VN_OK : VN_NO_MEMORY;
}

static int unwatch(struct vn_connections *list) {
  int fd = list->watch.fd;
  if (list->watching) vn_poller_remove(&list->endpoint.network->poller, &list->watch);
  list->watching = false;
  list->watch.fd = -1;
  return fd;
}

void vn_connections_unwatch(struct vn_connections *list) {
  int fd = unwatch(list);
  if (fd >= 0) close(fd);
}

/* Listening. */

static void pause_over(struct vn_network *network, struct vn_timer *timer) {
  vn_poller_change(&network->poller, &of_pause(timer)->watch, VN_POLL_READ);
}

static bool may_enter(const struct vn_connections *list, int fd) {
  bool opened = (list->endpoint.options.mode & 066) != 0;
  return list->reach.address.any.sa_family != AF_UNIX || opened || vn_same_user(fd);
}

static void accept_ready(struct vn_watch *watch, uint32_t events) {
  (void)events;
  struct vn_connections *list = of(watch);
  struct vn_network *network = list->endpoint.network;
  for (uint32_t i = 0; i < ACCEPTS; i++) {
#ifdef SOCK_CLOEXEC
    int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
#else
    int fd = accept(watch->fd, NULL, NULL);
#endif
    if (fd >= 0) {
      if (may_enter(list, fd)) {
        vn_connections_came(list, fd);
      } else {
        vn_count(&list->endpoint.refused, 1);
        close(fd);
      }
      continue;
    }
    if (errno == EINTR || errno == ECONNABORTED) continue;
    if (errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS) return;
    vn_poller_change(&network->poller, watch, 0); /* else it stays ready, and the thread busy */
    vn_network_timer(network, &list->pause, vn_monotonic_ns() + PAUSE_NS);
    return;
  }
}

uint32_t vn_connections_listen(struct vn_connections *list) {
  list->pause.due = pause_over;
  return watch(list, VN_POLL_READ, accept_ready);
}

/* Connecting again. */

static void answer_ready(struct vn_watch *watch, uint32_t events) {
  (void)events;
  struct vn_connections *list = of(watch);
  int fd = unwatch(list);
  vn_network_timer(list->endpoint.network, &list->pause, 0);
  if (vn_reach_answer(fd) == 0) {
    vn_connections_came(list, fd);
  } else {
    close(fd);
    vn_connections_retry(list);
  }
}

/* The time has come to try, or to give a try up that nobody answered. */
static void try_again(struct vn_network *network, struct vn_timer *timer) {
  struct vn_connections *list = of_pause(timer);
  vn_connections_unwatch(list);
  bool pending;
  int fd = vn_reach_connect(&list->reach, &pending);
  if (fd >= 0 && !pending) {
    vn_connections_came(list, fd);
    return;
  }
  if (fd >= 0) {
    list->watch.fd = fd;
    if (watch(list, VN_POLL_WRITE, answer_ready) == VN_OK) {
      vn_network_timer(network, timer, network->now_ns + DELAY_MOST_NS);
      return;
    }
    vn_connections_unwatch(list);
  }
  vn_connections_retry(list);
}

void vn_connections_retry(struct vn_connections *list) {
  list->delay_ns = list->delay_ns == 0 ? DELAY_LEAST_NS : list->delay_ns * 2;
  if (list->delay_ns > DELAY_MOST_NS) list->delay_ns = DELAY_MOST_NS;
  list->pause.due = try_again;
  vn_network_timer(list->endpoint.network, &list->pause, vn_monotonic_ns() + list->delay_ns);
}
