// SPDX-License-Identifier: MIT
/*
 * model.h - a machine of coroutines on which core/ runs unchanged: threads, locks, sockets and time, all from one seed.
 *
 * Theory of operation. core/ is compiled with -DVN_MODEL, so each of its atomic operations first calls vn_model_step(),
 * where the scheduler may go on with any other actor; locks, condition variables, sleeping and the doorbell's socket
 * are
 * actors' waits instead of system calls. One thread does it all, so a schedule is a function of its seed and can be
 * replayed. Time is a number: it jumps to the next deadline when everybody waits, and creeps ahead at random moments,
 * so
 * that deadlines pass in the midst of things.
 *
 * When nobody can go on and no deadline is left, model_quiet() is asked: either it finds everything done and starts the
 * next phase, or something sleeps that should not, which is what a lost wake-up looks like.
 */
#ifndef VN_MODEL_H
#define VN_MODEL_H

#include "os.h"

void model_run(uint64_t seed, void *(*first)(void *)); /* until the last actor ends */
void model_quiet(void);                                /* the test's; calls model_fail() or wakes somebody */
_Noreturn void model_fail(const char *why);
#define MODEL_CHECK(condition) ((condition) ? (void)0 : model_fail(#condition))

uint32_t model_random(uint32_t below);
bool model_wait(const void *event, uint64_t until_ns); /* no step between the look and the sleep; false: the time came */
void model_wake(const void *event);
/* The reader of a socket: takes what is there; *end says that the other side shut it. */
uint32_t model_socket_take(int fd, bool *end);
const void *model_socket_event(int fd);
uint32_t model_socket_sent(int fd); /* bytes ever */
uint32_t model_sockets_open(void);

#endif
