// SPDX-License-Identifier: MIT
/*
 * macho_thread.c - pthreads, clocks and signal masks.
 *
 * Linux's objects fit into the room that Darwin's have (mutex 64, condition 48, attributes 64 bytes), so they live
 * there; a key has 8 bytes and needs 4. Darwin's static initialisers are not what Linux takes for one: they are told
 * apart by their signature, and refused, because the shim must make everything at run time.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "macho_libc.h"

enum { MUTEX_ROOM = 64, CONDITION_ROOM = 48, ATTRIBUTES_ROOM = 64 };
_Static_assert(sizeof(pthread_mutex_t) <= MUTEX_ROOM && sizeof(pthread_cond_t) <= CONDITION_ROOM, "room for objects");
_Static_assert(sizeof(pthread_attr_t) <= ATTRIBUTES_ROOM, "room for attributes");

static int *darwin_error(void) {
  static _Thread_local int shown;
  if (errno != 0) shown = darwin_errno(errno), errno = 0;
  return &shown;
}

/* Clocks. */

static int clock_of(int darwin_clock, clockid_t *clock) {
  switch (darwin_clock) {
    case 0: *clock = CLOCK_REALTIME; return 0;
    case 6: *clock = CLOCK_MONOTONIC; return 0;
    case 4: *clock = CLOCK_MONOTONIC_RAW; return 0;
    default: errno = EINVAL; return -1;
  }
}

static int darwin_clock_gettime(int darwin_clock, struct timespec *time) {
  clockid_t clock;
  return clock_of(darwin_clock, &clock) ? -1 : clock_gettime(clock, time);
}

/* Mutexes and conditions. */

static void check_signature(const void *object) {
  int64_t signature;
  memcpy(&signature, object, sizeof signature);
  if (signature == 0x32AAABA7 || signature == 0x3CB0B1BB) darwin_die("a static pthread initialiser is used");
}

static int darwin_mutex_init(pthread_mutex_t *mutex, const void *attributes) {
  if (attributes != NULL) darwin_die("mutex attributes are not modelled");
  memset(mutex, 0, MUTEX_ROOM);
  return darwin_errno(pthread_mutex_init(mutex, NULL));
}

static int darwin_mutex_destroy(pthread_mutex_t *mutex) {
  int error = pthread_mutex_destroy(mutex);
  memset(mutex, 0xdb, MUTEX_ROOM); /* whoever locks it again does not get far */
  return darwin_errno(error);
}

static int darwin_mutex_lock(pthread_mutex_t *mutex) {
  check_signature(mutex);
  return darwin_errno(pthread_mutex_lock(mutex));
}

static int darwin_mutex_unlock(pthread_mutex_t *mutex) { return darwin_errno(pthread_mutex_unlock(mutex)); }

static int darwin_cond_init(pthread_cond_t *condition, const void *attributes) {
  if (attributes != NULL) darwin_die("condition attributes are not modelled");
  memset(condition, 0, CONDITION_ROOM);
  return darwin_errno(pthread_cond_init(condition, NULL));
}

static int darwin_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex) {
  check_signature(condition);
  return darwin_errno(pthread_cond_wait(condition, mutex));
}

static int darwin_cond_wait_relative(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *time) {
  check_signature(condition);
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += time->tv_sec;
  until.tv_nsec += time->tv_nsec;
  if (until.tv_nsec >= 1000000000) until.tv_nsec -= 1000000000, until.tv_sec++;
  return darwin_errno(pthread_cond_clockwait(condition, mutex, CLOCK_MONOTONIC, &until));
}

/* Threads. */

static int darwin_attr_init(pthread_attr_t *attributes) {
  memset(attributes, 0, ATTRIBUTES_ROOM);
  return darwin_errno(pthread_attr_init(attributes));
}

static int darwin_attr_setdetachstate(pthread_attr_t *attributes, int state) {
  if (state != 1 && state != 2) return darwin_errno(EINVAL);
  int real = state == 2 ? PTHREAD_CREATE_DETACHED : PTHREAD_CREATE_JOINABLE;
  return darwin_errno(pthread_attr_setdetachstate(attributes, real));
}

static int darwin_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *), void *argument) {
  return darwin_errno(pthread_create(thread, attributes, body, argument));
}

static int darwin_key_create(unsigned long *key, void (*ended)(void *)) {
  pthread_key_t made;
  int error = pthread_key_create(&made, ended);
  if (!error) *key = made;
  return darwin_errno(error);
}

static void *darwin_getspecific(unsigned long key) { return pthread_getspecific((pthread_key_t)key); }

static int darwin_setspecific(unsigned long key, const void *value) {
  return darwin_errno(pthread_setspecific((pthread_key_t)key, value));
}

/* A mask that is put back is put back whole, although the image saw only 32 bits of it. */
static int darwin_sigmask(int how, const uint32_t *set, uint32_t *before) {
  static const int hows[] = {-1, SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK};
  static _Thread_local struct {
    bool known;
    uint32_t seen;
    sigset_t whole;
  } last;
  sigset_t wanted, had;
  if (set != NULL && (how < 1 || how > 3)) return darwin_errno(EINVAL);
  if (set != NULL) darwin_sigset_back(*set, &wanted);
  if (set != NULL && how == 3 && last.known && last.seen == *set) wanted = last.whole;
  int error = pthread_sigmask(set != NULL ? hows[how] : SIG_BLOCK, set != NULL ? &wanted : NULL, &had);
  if (error) return darwin_errno(error);
  if (before != NULL) {
    *before = last.seen = darwin_sigset(&had);
    last.whole = had;
    last.known = true;
  }
  return 0;
}

const struct macho_name macho_thread_names[] = {
    DARWIN_NAME("___error", darwin_error),
    DARWIN_NAME("_clock_gettime", darwin_clock_gettime),
    DARWIN_NAME("_nanosleep", nanosleep),
    DARWIN_NAME("_time", time),
    DARWIN_NAME("_pthread_mutex_init", darwin_mutex_init),
    DARWIN_NAME("_pthread_mutex_destroy", darwin_mutex_destroy),
    DARWIN_NAME("_pthread_mutex_lock", darwin_mutex_lock),
    DARWIN_NAME("_pthread_mutex_unlock", darwin_mutex_unlock),
    DARWIN_NAME("_pthread_cond_init", darwin_cond_init),
    DARWIN_NAME("_pthread_cond_destroy", pthread_cond_destroy),
    DARWIN_NAME("_pthread_cond_broadcast", pthread_cond_broadcast),
    DARWIN_NAME("_pthread_cond_wait", darwin_cond_wait),
    DARWIN_NAME("_pthread_cond_timedwait_relative_np", darwin_cond_wait_relative),
    DARWIN_NAME("_pthread_attr_init", darwin_attr_init),
    DARWIN_NAME("_pthread_attr_destroy", pthread_attr_destroy),
    DARWIN_NAME("_pthread_attr_setdetachstate", darwin_attr_setdetachstate),
    DARWIN_NAME("_pthread_create", darwin_create),
    DARWIN_NAME("_pthread_self", pthread_self),
    DARWIN_NAME("_pthread_key_create", darwin_key_create),
    DARWIN_NAME("_pthread_getspecific", darwin_getspecific),
    DARWIN_NAME("_pthread_setspecific", darwin_setspecific),
    DARWIN_NAME("_pthread_sigmask", darwin_sigmask),
    {NULL, NULL},
};
