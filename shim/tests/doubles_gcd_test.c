// SPDX-License-Identifier: MIT
/* doubles_gcd_test.c - the double's queues: order, one at a time, threads that change, waiting, and what kills. */
#include <dispatch/dispatch.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "double.h"
#include "doubles_death.h"

static void nothing(void *context) { (void)context; }

static void pause_ms(long ms) { nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL); }

/* Something is true within five seconds. */
#define SOON(condition)                                          \
  do {                                                           \
    for (int i = 0; i < 5000 && !(condition); i++) pause_ms(1);  \
    CHECK(condition);                                            \
  } while (0)

static dispatch_queue_t dead_queue(void) {
  dispatch_queue_t queue = dispatch_queue_create("dead", DISPATCH_QUEUE_SERIAL);
  dispatch_release(queue);
  return queue;
}

static void sync_again(void *queue) { dispatch_sync_f(queue, NULL, nothing); }
static void sync_other(void *context) {
  dispatch_queue_t *queues = context;
  dispatch_sync_f(queues[1], queues[0], sync_again);
}

static void broken_contracts_kill(void) {
  DIES("released for good", dispatch_release(dead_queue()););
  DIES("released for good", dispatch_retain(dead_queue()););
  DIES("released for good", dispatch_async_f(dead_queue(), NULL, nothing););
  DIES("released for good", dispatch_sync_f(dead_queue(), NULL, nothing););
  DIES("is NULL", dispatch_async_f(NULL, NULL, nothing););
  DIES("is NULL", dispatch_release(NULL););
  DIES("is NULL", dispatch_async_f(dispatch_queue_create("", NULL), NULL, NULL););
  DIES("no queue", static char text[256] = "something else"; dispatch_release(text););
  DIES("serial", dispatch_queue_create("", (dispatch_queue_attr_t)&dead_queue););
  DIES("own queue", dispatch_queue_t queue = dispatch_queue_create("own", NULL);
       dispatch_sync_f(queue, queue, sync_again););
  DIES("own queue", dispatch_queue_t queue = dispatch_queue_create("own", NULL);
       dispatch_async_f(queue, queue, sync_again); pause(););
  DIES("own queue", dispatch_queue_t queues[2] = {dispatch_queue_create("a", NULL), dispatch_queue_create("b", NULL)};
       dispatch_sync_f(queues[0], queues, sync_other););
  /* Released while it has work: it lives on, but nobody may use it. */
  DIES("no reference", dispatch_queue_t queue = dispatch_queue_create("busy", NULL);
       dispatch_async_f(queue, NULL, (dispatch_function_t)double_hang); dispatch_release(queue);
       dispatch_async_f(queue, NULL, nothing););
}

struct place {
  dispatch_queue_t queue;
  atomic_int inside;
  unsigned next, wrong, threads;
  pthread_t last;
};

struct step {
  struct place *place;
  unsigned number;
};

static void step(void *context) {
  struct step *it = context;
  struct place *place = it->place;
  if (atomic_fetch_add(&place->inside, 1) || double_current_queue() != place->queue) place->wrong++;
  if (it->number != place->next++) place->wrong++;
  if (!pthread_equal(place->last, pthread_self())) place->threads++; /* no lock: the queue is one */
  place->last = pthread_self();
  atomic_fetch_sub(&place->inside, 1);
  free(it);
}

enum { QUEUES = 8, STEPS = 100000 };

static void every_queue_keeps_its_order_on_changing_threads(void) {
  static struct place places[QUEUES];
  for (int i = 0; i < QUEUES; i++) places[i].queue = dispatch_queue_create("order", DISPATCH_QUEUE_SERIAL);
  CHECK(double_count("queues") == QUEUES && !double_current_queue());
  for (unsigned n = 0; n < STEPS; n++) {
    struct step *it = malloc(sizeof *it);
    *it = (struct step){&places[n % QUEUES], n / QUEUES};
    dispatch_async_f(it->place->queue, it, step);
    if (n % 1000 == 999) { /* a waiting piece of work keeps its place in the order, too */
      struct place *place = &places[QUEUES - 1];
      dispatch_sync_f(place->queue, NULL, nothing);
      CHECK(place->next == n / QUEUES + 1);
    }
  }
  unsigned threads = 0;
  for (int i = 0; i < QUEUES; i++) {
    dispatch_sync_f(places[i].queue, NULL, nothing);
    CHECK(places[i].next == STEPS / QUEUES && !places[i].wrong);
    threads += places[i].threads;
    dispatch_release(places[i].queue);
  }
  CHECK(threads > 2 * QUEUES); /* each had one thread and then others */
  SOON(!double_count("queues"));
}

static atomic_int done;
static void count(void *context) {
  (void)context;
  atomic_fetch_add(&done, 1);
}

static void a_queue_lives_until_its_work_is_done(void) {
  dispatch_queue_t queue = dispatch_queue_create(NULL, DISPATCH_QUEUE_SERIAL);
  atomic_store(&done, 0);
  dispatch_async_f(queue, NULL, (dispatch_function_t)double_hang);
  for (int i = 0; i < 100; i++) dispatch_async_f(queue, NULL, count);
  dispatch_retain(queue);
  dispatch_release(queue);
  dispatch_release(queue);
  SOON(double_count("hanging") == 1);
  CHECK(double_count("queues") == 1 && !atomic_load(&done));
  double_go_on();
  SOON(!double_count("queues"));
  CHECK(atomic_load(&done) == 100 && !double_count("hanging"));
}

static void one_that_hangs_holds_up_nobody_else(void) {
  dispatch_queue_t stuck[20], other = dispatch_queue_create("other", NULL);
  for (int i = 0; i < 20; i++) {
    stuck[i] = dispatch_queue_create("stuck", NULL);
    dispatch_async_f(stuck[i], NULL, (dispatch_function_t)double_hang);
  }
  SOON(double_count("hanging") == 20);
  atomic_store(&done, 0);
  dispatch_async_f(other, NULL, count);
  SOON(atomic_load(&done) == 1);
  double_go_on();
  for (int i = 0; i < 20; i++) dispatch_sync_f(stuck[i], NULL, nothing), dispatch_release(stuck[i]);
  dispatch_release(other);
  SOON(!double_count("queues"));
}

static void release_own(void *queue) { dispatch_release(queue); }

struct nest {
  dispatch_queue_t outer, inner;
  pthread_t caller;
  bool good;
};
static void in_inner(void *context) {
  struct nest *nest = context;
  nest->good = double_current_queue() == nest->inner && pthread_equal(nest->caller, pthread_self());
}
static void in_outer(void *context) {
  struct nest *nest = context;
  dispatch_sync_f(nest->inner, nest, in_inner);
  nest->good = nest->good && double_current_queue() == nest->outer;
}

static void waiting_work_runs_on_the_caller(void) {
  dispatch_queue_t outer = dispatch_queue_create("outer", NULL), inner = dispatch_queue_create("inner", NULL);
  struct nest nest = {outer, inner, pthread_self(), false};
  dispatch_sync_f(nest.outer, &nest, in_outer);
  CHECK(nest.good && !double_current_queue());
  dispatch_sync_f(nest.outer, nest.inner, release_own);
  dispatch_async_f(nest.outer, nest.outer, release_own); /* the last reference goes in its own block */
  SOON(!double_count("queues"));
}

static struct shared {
  dispatch_queue_t queue;
  long total;
} shared;
static void add(void *context) {
  (void)context;
  shared.total++;
}
static void *adds(void *context) {
  for (int i = 0; i < 5000; i++) (i % 3 ? dispatch_async_f : dispatch_sync_f)(shared.queue, NULL, add);
  return context;
}

static void threads_that_wait_and_threads_that_do_not_share_a_queue(void) {
  shared.queue = dispatch_queue_create("shared", NULL);
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, adds, NULL);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  dispatch_sync_f(shared.queue, NULL, nothing);
  CHECK(shared.total == 20000);
  dispatch_release(shared.queue);
  SOON(!double_count("queues"));
}

static void idle_threads_end(void) { SOON(!double_count("workers")); }

int main(void) {
  RUN(broken_contracts_kill);
  RUN(every_queue_keeps_its_order_on_changing_threads);
  RUN(a_queue_lives_until_its_work_is_done);
  RUN(one_that_hangs_holds_up_nobody_else);
  RUN(waiting_work_runs_on_the_caller);
  RUN(threads_that_wait_and_threads_that_do_not_share_a_queue);
  RUN(idle_threads_end);
  return finish();
}
