// SPDX-License-Identifier: MIT
/*
 * os.h - the few services of the operating system that core/ uses, and the atomic operations of its protocols.
 *
 * Everything here is initialised at run time: no constructors, no thread-local storage, no static initialisers of
 * pthread objects, so that the same objects run inside a Mach-O file that a foreign loader maps.
 *
 * The lock-free protocols (doorbell, ring, arming, operation states) use only sequentially consistent operations
 * through the vn_atomic_* names. Under VN_MODEL each of them first yields to the model's scheduler, so the very same
 * protocol code is explored schedule by schedule.
 */
#ifndef VN_CORE_OS_H
#define VN_CORE_OS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef VN_MODEL
void vn_model_step(void); /* The model's scheduler: may run every other actor before it returns. */
#define VN_STEP() vn_model_step()
#else
#define VN_STEP() ((void)0)
#endif

/* True in a build that has the nth deliberate error: tests/model.mk proves that the model notices each of them. */
#ifdef VN_MUTANT
#define VN_BROKEN(n) (VN_MUTANT == (n))
#else
#define VN_BROKEN(n) 0
#endif

typedef _Atomic uint32_t vn_atomic_u32;
typedef _Atomic uint64_t vn_atomic_u64;

#define vn_atomic_load(p) (VN_STEP(), atomic_load(p))
#define vn_atomic_store(p, v) (VN_STEP(), atomic_store(p, v))
#define vn_atomic_exchange(p, v) (VN_STEP(), atomic_exchange(p, v))
#define vn_atomic_or(p, v) (VN_STEP(), atomic_fetch_or(p, v))
#define vn_atomic_and(p, v) (VN_STEP(), atomic_fetch_and(p, v))
#define vn_atomic_add(p, v) (VN_STEP(), atomic_fetch_add(p, v))
#define vn_atomic_cas(p, expected, v) (VN_STEP(), atomic_compare_exchange_strong(p, expected, v))

/* Statistics: counted by one thread, read by any. */
#define vn_count(p, n) ((void)atomic_fetch_add_explicit(p, n, memory_order_relaxed))
/* The same for one counting thread: without a locked instruction, which costs 5 ns. */
#define vn_tally(p, n) atomic_store_explicit(p, atomic_load_explicit(p, memory_order_relaxed) + (n), memory_order_relaxed)
#define vn_counted(p) atomic_load_explicit(p, memory_order_relaxed)

uint64_t vn_monotonic_ns(void);
uint64_t vn_realtime_ns(void);
void vn_sleep_ns(uint64_t ns);

struct vn_lock {
#ifdef VN_MODEL
  uint32_t held, signals;
#else
  pthread_mutex_t mutex;
  pthread_cond_t changed;
#endif
};
int vn_lock_init(struct vn_lock *lock); /* 0 or a vn_status */
void vn_lock_destroy(struct vn_lock *lock);
void vn_lock(struct vn_lock *lock);
void vn_unlock(struct vn_lock *lock);
void vn_lock_signal(struct vn_lock *lock); /* Wakes every waiter. */
/* Waits for a signal until the monotonic time until_ns (0: for ever). Answers false when the time came first. */
bool vn_lock_wait(struct vn_lock *lock, uint64_t until_ns);

/* Starts a detached thread with all signals blocked, so that the runtime's threads get them. 0 or a vn_status. */
int vn_thread_start(void *(*body)(void *), void *argument);
uintptr_t vn_thread_self(void); /* never 0 */
/* One pointer per thread, made at run time; ended() gets it when a thread ends and it is not NULL. 0 or a vn_status. */
int vn_thread_slot_init(void (*ended)(void *));
void *vn_thread_slot(void);
int vn_thread_slot_set(void *value);

/* A pair of non-blocking, close-on-exec stream sockets that never raise SIGPIPE. 0 or a vn_status. */
int vn_socketpair(int pair[2]);
int vn_socket_prepare(int fd); /* Makes any socket so. */
/* Sends one byte; a full socket counts as sent, because then a byte is on its way. */
void vn_socket_ring(int fd);
void vn_socket_shut(int fd); /* Both directions: the peer reads the end. The descriptor stays ours. */
void vn_socket_close(int fd);
/* Which file is open there: equal for duplicates, and for nothing else as long as one of them is open (but devices:
 * they
 * are equal by name). False: none. */
struct vn_file_id {
  uint64_t device, inode;
};
bool vn_file_id(int fd, struct vn_file_id *out);

#endif
