// SPDX-License-Identifier: MIT
/*
 * gcd.c - serial queues of Grand Central Dispatch, as far as darwin/ and the double of vmnet use them.
 *
 * Theory of operation. A queue is a list of work. While it has some it is "active" and owned by exactly one thread:
 * that is what makes it serial. Worker threads of one pool take active queues in turn and run at most sixteen pieces
 * each before they pass the queue on, so one queue hops between threads as the real ones do, and code that relies on
 * a queue's thread breaks here too. As with the real one's private queues there are as many workers as queues that
 * have work: one that hangs holds up nobody else. An idle worker ends after a fifth of a second.
 *
 * dispatch_sync_f() runs the work on the caller's thread: at once when the queue has nothing to do, else the caller
 * lines up and a worker that reaches its place hands the queue over. A queue lives until its last reference is gone
 * and its work is done.
 *
 * What would crash or lock up on a Mac, or only there at times, dies here always: release and use after the last
 * release, waiting on a queue from its own block, however deep.
 */
#define _GNU_SOURCE
#include <dispatch/dispatch.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "double.h"

#define QUEUE_ALIVE 0x51554555u /* "QUEU" */
#define QUEUE_DEAD 0xdeadd15bu
#define TURN 16                 /* pieces of work that a queue may run before it goes to the end of the line */
#define IDLE_MS 200
#define WORKERS_MAX 512         /* Darwin's own limit for such threads */

struct work {
  struct work *next;
  void *context;
  dispatch_function_t function;
  pthread_cond_t *turn; /* of a waiting dispatch_sync_f(), on whose stack this lies */
  bool granted;
};

struct dispatch_queue_s {
  atomic_uint magic;
  pthread_mutex_t lock; /* of everything below */
  int refs;
  bool active; /* owned by a worker, or by a thread in dispatch_sync_f(), or in the line for one */
  struct work *first, **last;
  struct dispatch_queue_s *next_ready; /* under the pool's lock */
  char label[64];
};

static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t pool_changed;
static pthread_once_t pool_made = PTHREAD_ONCE_INIT;
static struct dispatch_queue_s *ready_first, **ready_last = &ready_first;
static unsigned ready, idle, starting, workers;

/* The queues whose work this thread is in, innermost first. */
struct frame {
  struct dispatch_queue_s *queue;
  struct frame *outer;
};
static _Thread_local struct frame *frames;

struct dispatch_queue_s *double_current_queue(void) { return frames ? frames->queue : NULL; }

static void run(struct dispatch_queue_s *queue, dispatch_function_t function, void *context) {
  struct frame frame = {queue, frames};
  frames = &frame;
  function(context);
  frames = frame.outer;
}

static void lock_alive(struct dispatch_queue_s *queue, const char *caller) {
  if (!queue) double_die("%s: the queue is NULL", caller);
  unsigned magic = atomic_load(&queue->magic);
  if (magic == QUEUE_DEAD) double_die("%s: the queue was released for good", caller);
  if (magic != QUEUE_ALIVE) double_die("%s: this is no queue", caller);
  pthread_mutex_lock(&queue->lock);
  if (queue->refs <= 0) double_die("%s: the queue \"%s\" has no reference any more", caller, queue->label);
}

/* Ends a queue that nobody has a reference to and that has nothing to do; unlocks it. */
static void unlock_or_end(struct dispatch_queue_s *queue) {
  bool ended = !queue->refs && !queue->active;
  pthread_mutex_unlock(&queue->lock);
  if (!ended) return;
  atomic_store(&queue->magic, QUEUE_DEAD);
  pthread_mutex_destroy(&queue->lock);
  double_bury(queue);
  double_add("queues", -1);
}

static void line_up(struct dispatch_queue_s *queue);

static void take_turn(struct dispatch_queue_s *queue) {
  for (int i = 0; i < TURN; i++) {
    pthread_mutex_lock(&queue->lock);
    struct work *work = queue->first;
    if (!work) {
      queue->active = false;
      unlock_or_end(queue);
      return;
    }
    if (!(queue->first = work->next)) queue->last = &queue->first;
    if (work->turn) { /* from here on the queue is that thread's */
      work->granted = true;
      pthread_cond_signal(work->turn);
      pthread_mutex_unlock(&queue->lock);
      return;
    }
    pthread_mutex_unlock(&queue->lock);
    run(queue, work->function, work->context);
    free(work);
  }
  line_up(queue);
}

static void *worker(void *unused) {
  pthread_mutex_lock(&pool_lock);
  starting--;
  for (;;) {
    if (!ready) {
      struct timespec until;
      clock_gettime(CLOCK_MONOTONIC, &until);
      until.tv_nsec += IDLE_MS * 1000000l;
      if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
      idle++;
      int error = 0;
      while (!ready && error != ETIMEDOUT) error = pthread_cond_timedwait(&pool_changed, &pool_lock, &until);
      idle--;
      if (!ready) break;
    }
    struct dispatch_queue_s *queue = ready_first;
    if (!(ready_first = queue->next_ready)) ready_last = &ready_first;
    ready--;
    pthread_mutex_unlock(&pool_lock);
    take_turn(queue);
    pthread_mutex_lock(&pool_lock);
  }
  workers--;
  pthread_mutex_unlock(&pool_lock);
  double_add("workers", -1);
  return unused;
}

static void make_pool(void) {
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(&pool_changed, &attributes);
  pthread_condattr_destroy(&attributes);
}

static void start_worker(void) { /* locked */
  if (workers == WORKERS_MAX) double_die("%d workers are busy and more is to be done", WORKERS_MAX);
  workers++;
  starting++;
  double_add("workers", 1);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the program's own threads */
  pthread_t thread;
  int error = pthread_create(&thread, &attributes, worker, NULL);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
  if (error) double_die("no thread: %s", strerror(error));
}

static void line_up(struct dispatch_queue_s *queue) {
  pthread_once(&pool_made, make_pool);
  pthread_mutex_lock(&pool_lock);
  queue->next_ready = NULL;
  *ready_last = queue;
  ready_last = &queue->next_ready;
  ready++;
  if (ready > idle + starting) start_worker();
  pthread_cond_signal(&pool_changed);
  pthread_mutex_unlock(&pool_lock);
}

static void append(struct dispatch_queue_s *queue, struct work *work) { /* locked */
  work->next = NULL;
  *queue->last = work;
  queue->last = &work->next;
}

dispatch_queue_t dispatch_queue_create(const char *label, dispatch_queue_attr_t attributes) {
  if (attributes != DISPATCH_QUEUE_SERIAL) double_die("dispatch_queue_create: only serial queues are doubled");
  struct dispatch_queue_s *queue = calloc(1, sizeof *queue);
  if (!queue) double_die("no memory");
  queue->refs = 1;
  queue->last = &queue->first;
  strncpy(queue->label, label ? label : "", sizeof queue->label - 1);
  pthread_mutex_init(&queue->lock, NULL);
  atomic_store(&queue->magic, QUEUE_ALIVE);
  double_add("queues", 1);
  return queue;
}

void dispatch_retain(void *object) {
  struct dispatch_queue_s *queue = object;
  lock_alive(queue, "dispatch_retain");
  queue->refs++;
  pthread_mutex_unlock(&queue->lock);
}

void dispatch_release(void *object) {
  struct dispatch_queue_s *queue = object;
  lock_alive(queue, "dispatch_release");
  queue->refs--;
  unlock_or_end(queue);
}

void dispatch_async_f(dispatch_queue_t queue, void *context, dispatch_function_t function) {
  if (!function) double_die("dispatch_async_f: the function is NULL");
  struct work *work = malloc(sizeof *work);
  if (!work) double_die("no memory");
  *work = (struct work){.context = context, .function = function};
  lock_alive(queue, "dispatch_async_f");
  append(queue, work);
  bool was_active = queue->active;
  queue->active = true;
  pthread_mutex_unlock(&queue->lock);
  if (!was_active) line_up(queue);
}

void dispatch_sync_f(dispatch_queue_t queue, void *context, dispatch_function_t function) {
  if (!function) double_die("dispatch_sync_f: the function is NULL");
  for (struct frame *frame = frames; frame; frame = frame->outer) {
    if (frame->queue == queue) double_die("dispatch_sync_f: on its own queue, which never gets there");
  }
  lock_alive(queue, "dispatch_sync_f");
  if (queue->active) {
    pthread_cond_t turn;
    pthread_cond_init(&turn, NULL);
    struct work work = {.turn = &turn};
    append(queue, &work);
    while (!work.granted) pthread_cond_wait(&turn, &queue->lock);
    pthread_cond_destroy(&turn);
  }
  queue->active = true;
  pthread_mutex_unlock(&queue->lock);
  run(queue, function, context);
  pthread_mutex_lock(&queue->lock);
  bool more = queue->first;
  queue->active = more;
  if (more) {
    pthread_mutex_unlock(&queue->lock);
    line_up(queue);
  } else {
    unlock_or_end(queue);
  }
}
