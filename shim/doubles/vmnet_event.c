// SPDX-License-Identifier: MIT
/*
 * vmnet_event.c - "packets available", as the script says: each time, on the edge, late, merged, repeated, missing,
 * as a storm, or never.
 *
 * Theory of operation. An event is a piece of work on the queue that the caller named; it holds a reference to the
 * interface's events and to the callback that was set when it was made. So one that is on the queue when the callback
 * is taken off still calls it, as the framework may; after the completion of the stop nothing does: the stop closes
 * the events, waits for callbacks that run, and what is on a queue then comes to nothing.
 *
 * Late events wait in a list of one thread of this file, which ends when it has had nothing to do for a while.
 */
#include <Block.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "vmnet_double.h"

#define SETTLE_MS 2   /* coalesce: what arrives within it is one event */
#define MISSED_MS 20  /* miss: at the latest then another one comes */
#define LINGER_MS 100 /* the thread of late events waits for work */

struct callback {
  int refs; /* under its events' lock */
  dispatch_queue_t queue;
  vmnet_interface_event_callback_t block;
};

struct vd_events {
  pthread_mutex_t lock;
  pthread_cond_t idle;
  int refs, running;
  bool ended, storming, pending; /* pending: a late event will come */
  struct vmnet_interface *nic;   /* valid until ended */
  struct callback *callback;     /* or NULL */
};

struct event {
  struct vd_events *events;
  struct callback *callback;
  bool merged, storm;
  struct event *next; /* late */
  uint64_t due_ms;
};

struct vd_events *vd_events_new(struct vmnet_interface *nic) {
  struct vd_events *events = calloc(1, sizeof *events);
  if (events == NULL) double_die("no memory");
  pthread_mutex_init(&events->lock, NULL);
  pthread_cond_init(&events->idle, NULL);
  events->refs = 1;
  events->nic = nic;
  return events;
}

static void release_callback(struct callback *callback) { /* locked */
  if (callback == NULL || --callback->refs > 0) return;
  Block_release(callback->block);
  dispatch_release(callback->queue);
  free(callback);
}

static void unlock_and_release(struct vd_events *events) {
  bool last = --events->refs == 0;
  pthread_mutex_unlock(&events->lock);
  if (!last) return;
  pthread_mutex_destroy(&events->lock);
  pthread_cond_destroy(&events->idle);
  free(events);
}

static uint32_t waiting(struct vmnet_interface *nic) {
  pthread_mutex_lock(&nic->rx);
  uint32_t count = nic->queue.count;
  pthread_mutex_unlock(&nic->rx);
  return count;
}

static void deliver(void *context);

/* Puts one event on the callback's queue. Locked. */
static void fire(struct vd_events *events, bool merged, bool storm) {
  struct event *event = events->callback != NULL ? calloc(1, sizeof *event) : NULL;
  if (event == NULL) return;
  *event = (struct event){.events = events, .callback = events->callback, .merged = merged, .storm = storm};
  events->refs++;
  events->callback->refs++;
  dispatch_async_f(event->callback->queue, event, deliver);
}

static void deliver(void *context) {
  struct event *event = context;
  struct vd_events *events = event->events;
  pthread_mutex_lock(&events->lock);
  if (event->merged) events->pending = false;
  if (!events->ended) {
    events->running++;
    pthread_mutex_unlock(&events->lock);
    xpc_object_t facts = xpc_dictionary_create(NULL, NULL, 0);
    xpc_dictionary_set_uint64(facts, vmnet_estimated_packets_available_key, waiting(events->nic));
    double_add("events", 1);
    event->callback->block(VMNET_INTERFACE_PACKETS_AVAILABLE, facts);
    xpc_release(facts);
    pthread_mutex_lock(&events->lock);
    if (event->storm && events->callback == event->callback) {
      events->storming = !events->ended && waiting(events->nic) > 0;
      if (events->storming) fire(events, false, true);
    }
    if (--events->running == 0) pthread_cond_broadcast(&events->idle);
  }
  release_callback(event->callback);
  unlock_and_release(events);
  free(event);
}

/* Late events: a list by time. */
static pthread_mutex_t late_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t late_changed;
static pthread_once_t late_made = PTHREAD_ONCE_INIT;
static struct event *late;
static bool late_thread;

static uint64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void make_late(void) {
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(&late_changed, &attributes);
  pthread_condattr_destroy(&attributes);
}

static void late_arrives(struct event *event) {
  struct vd_events *events = event->events;
  pthread_mutex_lock(&events->lock);
  if (!events->ended && events->callback == event->callback)
    fire(events, true, false);
  else
    events->pending = false;
  release_callback(event->callback);
  unlock_and_release(events);
  free(event);
}

static void run_late(void *context) {
  (void)context;
  pthread_mutex_lock(&late_lock);
  for (uint64_t idle_until = now_ms() + LINGER_MS;;) {
    uint64_t now = now_ms(), until = late != NULL ? late->due_ms : idle_until;
    if (late != NULL && late->due_ms <= now) {
      struct event *event = late;
      late = event->next;
      pthread_mutex_unlock(&late_lock);
      late_arrives(event);
      pthread_mutex_lock(&late_lock);
      idle_until = now_ms() + LINGER_MS;
      continue;
    }
    if (until <= now) break;
    struct timespec at = {.tv_sec = (time_t)(until / 1000), .tv_nsec = (long)(until % 1000) * 1000000};
    pthread_cond_timedwait(&late_changed, &late_lock, &at);
  }
  late_thread = false;
  pthread_mutex_unlock(&late_lock);
}

static void fire_late(struct vd_events *events, unsigned ms) { /* locked */
  struct event *event = events->callback != NULL ? calloc(1, sizeof *event) : NULL;
  if (event == NULL) return;
  *event = (struct event){.events = events, .callback = events->callback, .due_ms = now_ms() + ms};
  events->refs++;
  events->callback->refs++;
  pthread_once(&late_made, make_late);
  pthread_mutex_lock(&late_lock);
  struct event **at = &late;
  while (*at != NULL && (*at)->due_ms <= event->due_ms) at = &(*at)->next;
  event->next = *at;
  *at = event;
  bool start = !late_thread;
  late_thread = true;
  pthread_cond_signal(&late_changed);
  pthread_mutex_unlock(&late_lock);
  if (start) vd_thread(run_late, NULL);
}

/* Follows the script. Locked. */
static void happen(struct vd_events *events, bool first) {
  if (events->ended || events->callback == NULL) return;
  const char *how = double_get("events");
  switch (*how) {
    case 'n': return;
    case 'd': fire_late(events, (unsigned)double_number("events")); return;
    case 'c':
      if (!events->pending) events->pending = true, fire_late(events, SETTLE_MS);
      return;
    case 'r':
      for (long i = double_number("events"); i > 0; i--) fire(events, false, false);
      return;
    case 'm':
      if (!double_chance((unsigned)double_number("events")))
        fire(events, false, false);
      else if (!events->pending)
        events->pending = true, fire_late(events, 1 + double_random() % MISSED_MS);
      return;
    case 's':
      if (!events->storming) events->storming = true, fire(events, false, true);
      return;
    default:
      if (how[1] == 'a' || first) fire(events, false, false); /* each, or edge */
  }
}

void vd_events_arrived(struct vmnet_interface *nic, bool first) {
  struct vd_events *events = nic->events;
  pthread_mutex_lock(&events->lock);
  happen(events, first);
  pthread_mutex_unlock(&events->lock);
}

void vd_events_end(struct vd_events *events) {
  pthread_mutex_lock(&events->lock);
  events->ended = true;
  release_callback(events->callback);
  events->callback = NULL;
  while (events->running > 0) pthread_cond_wait(&events->idle, &events->lock);
  unlock_and_release(events);
}

bool vd_events_is_queue(struct vd_events *events, dispatch_queue_t queue) {
  pthread_mutex_lock(&events->lock);
  bool is = queue != NULL && events->callback != NULL && events->callback->queue == queue;
  pthread_mutex_unlock(&events->lock);
  return is;
}

vmnet_return_t vmnet_interface_set_event_callback(interface_ref nic, interface_event_t mask, dispatch_queue_t queue,
                                                  vmnet_interface_event_callback_t block) {
  vd_check(nic, "vmnet_interface_set_event_callback");
  if (!queue != !block) double_die("vmnet_interface_set_event_callback: queue and block are both given, or both NULL");
  uint32_t state = atomic_load(&nic->state);
  if (state != VD_UP) return state == VD_STARTING ? VMNET_SETUP_INCOMPLETE : VMNET_INVALID_ARGUMENT;
  if (block != NULL && mask != VMNET_INTERFACE_PACKETS_AVAILABLE) return VMNET_INVALID_ARGUMENT;
  struct callback *callback = block != NULL ? malloc(sizeof *callback) : NULL;
  if (callback != NULL) {
    dispatch_retain(queue);
    *callback = (struct callback){.refs = 1, .queue = queue, .block = Block_copy(block)};
  }
  struct vd_events *events = nic->events;
  pthread_mutex_lock(&events->lock);
  release_callback(events->callback);
  events->callback = callback;
  events->storming = events->pending = false;
  if (waiting(nic) > 0) happen(events, true);
  pthread_mutex_unlock(&events->lock);
  return VMNET_SUCCESS;
}
