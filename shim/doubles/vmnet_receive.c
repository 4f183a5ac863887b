// SPDX-License-Identifier: MIT
/*
 * vmnet_receive.c - one thread takes the frames of all interfaces from the daemon's sockets to their queues.
 *
 * Theory of operation. The thread sleeps in epoll_wait(). What it finds it looks up in its list under a lock, so an
 * interface that left the list meanwhile is not touched. A queue that is full drops, as the framework's does. The
 * thread also sees the end of the daemon's control socket, and collects the daemon.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmnet_double.h"

enum { BATCH = 64, FRAME_MOST = 65664, ROUNDS = 4 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct vmnet_interface *interfaces;
static int sleeper = -1;
static pid_t daemon_pid;

static void receive(struct vmnet_interface *nic, uint8_t *arena) {
  struct mmsghdr messages[BATCH];
  struct iovec buffers[BATCH];
  for (int round = 0; round < ROUNDS; round++) {
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < BATCH; i++) {
      buffers[i] = (struct iovec){arena + (size_t)i * FRAME_MOST, FRAME_MOST};
      messages[i].msg_hdr.msg_iov = &buffers[i];
      messages[i].msg_hdr.msg_iovlen = 1;
    }
    int count = recvmmsg(nic->fd, messages, BATCH, MSG_DONTWAIT, NULL);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0 || messages[0].msg_len == 0) { /* an empty message is the end: the daemon died */
      if (count > 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) epoll_ctl(sleeper, EPOLL_CTL_DEL, nic->fd, NULL);
      return;
    }
    int pushed = 0;
    pthread_mutex_lock(&nic->rx);
    for (int i = 0; i < count; i++) {
      if (messages[i].msg_len == 0) break;
      pushed += messages[i].msg_len <= nic->most &&
                vd_push(&nic->queue, NULL, 0, arena + (size_t)i * FRAME_MOST, messages[i].msg_len);
    }
    bool first = nic->queue.dry;
    if (pushed > 0) nic->queue.dry = false;
    pthread_mutex_unlock(&nic->rx);
    if (pushed < count) double_add("dropped", count - pushed);
    if (pushed > 0) vd_events_arrived(nic, first);
    if (count < BATCH) return;
  }
}

static void run(void *context) {
  struct epoll_event found[16];
  uint8_t *arena = malloc((size_t)BATCH * FRAME_MOST);
  (void)context;
  if (arena == NULL) double_die("no memory");
  for (bool alive = true; alive;) {
    int count = epoll_wait(sleeper, found, 16, -1);
    pthread_mutex_lock(&lock);
    for (int i = 0; i < count; i++) {
      struct vmnet_interface *nic = interfaces;
      while (nic != NULL && nic != found[i].data.ptr) nic = nic->next;
      if (nic != NULL) receive(nic, arena);
      if (found[i].data.ptr == NULL) alive = false;
    }
    pthread_mutex_unlock(&lock);
  }
  waitpid(daemon_pid, NULL, 0);
  free(arena);
}

void vd_receive_watch(int control, int pid) {
  pthread_mutex_lock(&lock);
  sleeper = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLRDHUP | EPOLLET, .data.ptr = NULL};
  if (sleeper < 0 || epoll_ctl(sleeper, EPOLL_CTL_ADD, control, &event) != 0) double_die("no epoll");
  daemon_pid = pid;
  pthread_mutex_unlock(&lock);
  vd_thread(run, NULL);
}

void vd_receive_begin(struct vmnet_interface *nic) {
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = nic};
  pthread_mutex_lock(&lock);
  nic->next = interfaces;
  interfaces = nic;
  if (epoll_ctl(sleeper, EPOLL_CTL_ADD, nic->fd, &event) != 0) double_die("no epoll for an interface");
  pthread_mutex_unlock(&lock);
}

void vd_receive_end(struct vmnet_interface *nic) {
  pthread_mutex_lock(&lock);
  struct vmnet_interface **at = &interfaces;
  while (*at != nic) at = &(*at)->next;
  *at = nic->next;
  close(nic->fd); /* nobody else has it, so epoll forgets it */
  nic->fd = -1;
  pthread_mutex_unlock(&lock);
}
