// SPDX-License-Identifier: MIT
/*
 * os.c - time, locks, threads and socket pairs on Linux and macOS.
 *
 * Theory of operation. What the two systems share is POSIX; they differ in three places only. Timed waits: Linux lets a
 * condition variable use the monotonic clock, macOS waits for a relative time instead. Descriptor flags: Linux sets
 * them
 * as the socket is made, macOS afterwards. SIGPIPE: Linux is told with each send, macOS once per socket. Failures come
 * back as a vn_status; nothing here prints or ends the process.
 */
#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "vmnet_shim.h"

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* macOS: SO_NOSIGPIPE on the socket does it */
#endif

#define NS_PER_S 1000000000ull

static uint64_t clock_ns(clockid_t id) {
  struct timespec now;
  clock_gettime(id, &now);
  return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t vn_monotonic_ns(void) { return clock_ns(CLOCK_MONOTONIC); }
uint64_t vn_realtime_ns(void) { return clock_ns(CLOCK_REALTIME); }

static struct timespec timespec_of(uint64_t ns) {
  return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
}

void vn_sleep_ns(uint64_t ns) {
  struct timespec left = timespec_of(ns);
  while (nanosleep(&left, &left) && errno == EINTR) {
  }
}

int vn_lock_init(struct vn_lock *lock) {
  if (pthread_mutex_init(&lock->mutex, NULL)) return VN_NO_MEMORY;
#ifdef __APPLE__
  bool made = !pthread_cond_init(&lock->changed, NULL);
#else
  pthread_condattr_t attributes;
  bool made = !pthread_condattr_init(&attributes);
  if (made) {
    made = !pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) && !pthread_cond_init(&lock->changed, &attributes);
    pthread_condattr_destroy(&attributes);
  }
#endif
  if (!made) pthread_mutex_destroy(&lock->mutex);
  return made ? VN_OK : VN_NO_MEMORY;
}

void vn_lock_destroy(struct vn_lock *lock) {
  pthread_cond_destroy(&lock->changed);
  pthread_mutex_destroy(&lock->mutex);
}

void vn_lock(struct vn_lock *lock) { pthread_mutex_lock(&lock->mutex); }
void vn_unlock(struct vn_lock *lock) { pthread_mutex_unlock(&lock->mutex); }
void vn_lock_signal(struct vn_lock *lock) { pthread_cond_broadcast(&lock->changed); }

bool vn_lock_wait(struct vn_lock *lock, uint64_t until_ns) {
  if (!until_ns) return pthread_cond_wait(&lock->changed, &lock->mutex), true;
#ifdef __APPLE__
  uint64_t now = vn_monotonic_ns();
  struct timespec time = timespec_of(until_ns > now ? until_ns - now : 0);
  return pthread_cond_timedwait_relative_np(&lock->changed, &lock->mutex, &time) != ETIMEDOUT;
#else
  struct timespec time = timespec_of(until_ns);
  return pthread_cond_timedwait(&lock->changed, &lock->mutex, &time) != ETIMEDOUT;
#endif
}

int vn_thread_start(void *(*body)(void *), void *argument) {
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes)) return VN_NO_MEMORY;
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before); /* inherited by the new thread */
  pthread_t thread;
  int error = pthread_create(&thread, &attributes, body, argument);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
  return error ? VN_NO_MEMORY : VN_OK;
}

uintptr_t vn_thread_self(void) { return (uintptr_t)pthread_self(); }

static pthread_key_t thread_slot;

int vn_thread_slot_init(void (*ended)(void *)) { return pthread_key_create(&thread_slot, ended) ? VN_NO_MEMORY : VN_OK; }
void *vn_thread_slot(void) { return pthread_getspecific(thread_slot); }
int vn_thread_slot_set(void *value) { return pthread_setspecific(thread_slot, value) ? VN_NO_MEMORY : VN_OK; }

int vn_socket_prepare(int fd) {
  int status = fcntl(fd, F_GETFL);
  if (status < 0 || fcntl(fd, F_SETFL, status | O_NONBLOCK) || fcntl(fd, F_SETFD, FD_CLOEXEC)) return VN_SYSTEM;
#ifdef SO_NOSIGPIPE
  int on = 1;
  if (setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on)) return VN_SYSTEM;
#endif
  return VN_OK;
}

int vn_socketpair(int pair[2]) {
#if defined(SOCK_CLOEXEC) && defined(SOCK_NONBLOCK)
  return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) ? VN_NO_MEMORY : VN_OK;
#else
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) return VN_NO_MEMORY;
  int status = vn_socket_prepare(pair[0]);
  if (!status) status = vn_socket_prepare(pair[1]);
  if (status) close(pair[0]), close(pair[1]);
  return status;
#endif
}

void vn_socket_ring(int fd) {
  while (send(fd, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno == EINTR) {
  }
}

void vn_socket_shut(int fd) { shutdown(fd, SHUT_RDWR); }
void vn_socket_close(int fd) { close(fd); }

bool vn_file_id(int fd, struct vn_file_id *out) {
  struct stat status;
  if (fstat(fd, &status)) return false;
  *out = (struct vn_file_id){(uint64_t)status.st_dev, (uint64_t)status.st_ino};
  return true;
}
