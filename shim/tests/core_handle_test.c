// SPDX-License-Identifier: MIT
/* core_handle_test.c - contexts, handles and the doorbell; and calls with anything but the right arguments. */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "context.h"
#include "core_fake.h"
#include "doorbell.h"
#include "handle.h"
#include "test.h"

/* The smallest object there is. */
static void thing_destroy(struct vn_object *object) { free(object); }
static const struct vn_class thing_class = {VN_SHARE, vn_release, thing_destroy};

static struct vn_object *thing(int32_t context) {
  struct vn_object *object = malloc(sizeof *object), *owner;
  CHECK(!vn_handle_find(context, &owner));
  vn_object_init(object, &thing_class, owner->doorbell);
  return object;
}

static int32_t thing_handle(int32_t context, struct vn_object **object) {
  struct vn_object *owner, *made = thing(context);
  vn_handle_find(context, &owner);
  int32_t handle = vn_handle_new((struct vn_context *)owner, made);
  if (handle < 0) vn_release(made);
  else if (object) *object = made;
  return handle;
}

static void nothing_works_before_the_first_call(void) {
  uint32_t words[2];
  uint8_t byte[1];
  CHECK(vn_open() == -VN_BAD_CALL && vn_doorbell(1) == -VN_BAD_CALL && vn_poll(1, words, 1) == -VN_BAD_CALL);
  CHECK(vn_close(1) == -VN_BAD_CALL && vn_shutdown(0) == -VN_BAD_CALL && vn_call(1, 1, NULL, 0, 0) == -VN_BAD_CALL);
  CHECK(vn_result(1, byte, 1) == -VN_BAD_CALL && vn_cancel(1) == -VN_BAD_CALL && vn_interest(1, 0) == -VN_BAD_CALL);
  CHECK(vn_drain(1, byte, 1, words, 1) == -VN_BAD_CALL && vn_send(1, byte, 1, words, 0, 1) == -VN_BAD_CALL);
  CHECK(vn_get(1, 1, byte, 1) == -VN_BAD_CALL);
}

static void *first_call(void *unused) {
  CHECK(vn_abi_version() == VN_ABI_VERSION);
  return unused;
}

static void the_first_call_may_come_from_many_threads(void) {
  pthread_t threads[8];
  for (int i = 0; i < 8; i++) pthread_create(&threads[i], NULL, first_call, NULL);
  for (int i = 0; i < 8; i++) pthread_join(threads[i], NULL);
}

static void the_doorbell_is_a_descriptor_as_promised_and_given_once(void) {
  int32_t context = vn_open(), fd = vn_doorbell(context);
  CHECK(context > 0 && fd > 2);
  CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK && fcntl(fd, F_GETFD) & FD_CLOEXEC);
  CHECK(vn_doorbell(context) == -VN_BAD_CALL);
  CHECK(!vn_close(context));
  char byte;
  CHECK(read(fd, &byte, 1) == 0); /* the end */
  CHECK(!close(fd));
  context = vn_open(); /* one whose doorbell nobody wanted */
  CHECK(!vn_close(context) && vn_close(context) == -VN_STALE);
}

static void closed_handles_are_stale_even_when_the_slot_is_taken_again(void) {
  int32_t context = vn_open(), old = thing_handle(context, NULL), handle;
  CHECK(!vn_close(old) && vn_close(old) == -VN_STALE);
  uint32_t same_slot = 0;
  for (int i = 0; i < 1000; i++) {
    handle = thing_handle(context, NULL);
    same_slot += (handle & 0xffff) == (old & 0xffff);
    CHECK(handle != old && vn_interest(old, 0) == -VN_STALE);
    vn_close(handle);
  }
  CHECK(same_slot > 0);
  vn_close(context);
}

static void generations_wrap_and_stay_positive(void) {
  int32_t context = vn_open(), least = INT32_MAX;
  for (int i = 0; i < 256 * 33000; i += 1) {
    int32_t handle = thing_handle(context, NULL);
    if (handle < least) least = handle;
    vn_close(handle);
    if (least <= 0x10000 || checks_failed) break;
  }
  CHECK(least > 0);
  vn_close(context);
}

static void *foreigner(void *argument) {
  int32_t *handles = argument;
  uint8_t bytes[64];
  uint32_t words[12];
  CHECK(vn_poll(handles[0], words, 2) == -VN_FOREIGN && vn_close(handles[0]) == -VN_FOREIGN);
  CHECK(vn_call(handles[0], VN_OP_PROBE, NULL, 0, 0) == -VN_FOREIGN && vn_doorbell(handles[0]) == -VN_FOREIGN);
  CHECK(vn_drain(handles[1], bytes, 64, words, 2) == -VN_FOREIGN && vn_get(handles[1], 1, bytes, 64) == -VN_FOREIGN);
  CHECK(vn_cancel(handles[1]) == -VN_FOREIGN && vn_result(handles[1], bytes, 64) == -VN_FOREIGN);
  return NULL;
}

static void handles_of_another_thread_are_foreign(void) {
  int32_t context = vn_open(), handles[2] = {context, fake_start(context)};
  pthread_t thread;
  pthread_create(&thread, NULL, foreigner, handles);
  pthread_join(thread, NULL);
  CHECK(vn_interest(handles[1], 0) == VN_OK);
  vn_close(context);
}

static void handles_run_out_with_a_status(void) {
  int32_t contexts[8], handle = 0;
  uint32_t before = vn_handles_used(), objects = vn_objects_alive(), count = 0;
  contexts[0] = vn_open();
  while ((handle = thing_handle(contexts[0], NULL)) > 0) count++;
  CHECK(handle == -VN_NO_MEMORY && count == VN_DOORBELL_SLOTS - 1);
  CHECK(vn_call(contexts[0], VN_OP_PROBE, NULL, 0, 0) == -VN_NO_MEMORY);
  for (int i = 1; i < 5; i++) {
    contexts[i] = vn_open();
    if (contexts[i] > 0) while (thing_handle(contexts[i], NULL) > 0) {}
  }
  CHECK(vn_handles_used() == 16384 && vn_open() == -VN_NO_MEMORY);
  for (int i = 0; i < 5; i++) CHECK(vn_close(contexts[i]) == (contexts[i] > 0 ? VN_OK : -VN_STALE));
  CHECK(vn_handles_used() == before && vn_objects_alive() == objects);
  contexts[0] = vn_open();
  CHECK(contexts[0] > 0 && !vn_close(contexts[0]));
}

static void a_result_without_a_free_handle_undoes_what_was_made(void) {
  int32_t context = vn_open(), made, status;
  int32_t operation = fake_call(context, VN_OP_INTERFACE_START, fake_options(NULL), 0);
  while (thing_handle(context, NULL) > 0) {}
  status = fake_finish(context, operation, &made);
  CHECK(status == VN_NO_MEMORY && made == 0 && fake_alive() == 0);
  vn_close(context);
}

static void signals_are_polled_once_and_ring_once(void) {
  int32_t context = vn_open(), fd = vn_doorbell(context);
  uint32_t ready[8] = {0};
  struct vn_object *a, *b;
  int32_t ha = thing_handle(context, &a), hb = thing_handle(context, &b);
  vn_signal(a, VN_READY_STATE);
  vn_signal(b, VN_READY_EVENT);
  vn_signal(a, VN_READY_DONE);
  char bytes[8];
  CHECK(read(fd, bytes, 8) == 1);
  CHECK(vn_poll(context, ready, 4) == 2);
  CHECK(ready[0] == (uint32_t)ha && ready[1] == (VN_READY_STATE | VN_READY_DONE));
  CHECK(ready[2] == (uint32_t)hb && ready[3] == VN_READY_EVENT);
  CHECK(vn_poll(context, ready, 4) == 0 && read(fd, bytes, 8) == -1);
  vn_signal(a, VN_READY_STATE); /* signalled, then closed: nothing to say */
  vn_close(ha);
  CHECK(fake_wait_bytes(fd, 0) && vn_poll(context, ready, 4) == 0);
  vn_close(context);
  close(fd);
}

static void signals_before_the_handle_are_told_with_it(void) {
  int32_t context = vn_open(), fd = vn_doorbell(context), handle;
  uint32_t ready[2];
  struct vn_object *object = thing(context), *owner;
  vn_signal(object, VN_READY_STATE);
  CHECK(!fake_wait_bytes(fd, 0));
  vn_handle_find(context, &owner);
  handle = vn_handle_new((struct vn_context *)owner, object);
  CHECK(fake_wait_bytes(fd, 0) && vn_poll(context, ready, 1) == 1 && ready[0] == (uint32_t)handle);
  vn_close(context);
  close(fd);
}

static void a_short_poll_leaves_the_rest_and_rings_again(void) {
  int32_t context = vn_open(), fd = vn_doorbell(context);
  enum { THINGS = 300 };
  struct vn_object *objects[THINGS];
  static uint32_t ready[2 * THINGS];
  uint32_t seen = 0, rings = 0;
  for (int i = 0; i < THINGS; i++) thing_handle(context, &objects[i]);
  for (int i = 0; i < THINGS; i++) vn_signal(objects[i], VN_READY_EVENT);
  while (fake_wait_bytes(fd, 0)) {
    int32_t n = vn_poll(context, ready, 7);
    CHECK(n >= 0 && n <= 7);
    seen += (uint32_t)n;
    rings++;
  }
  CHECK(seen == THINGS && rings >= THINGS / 7);
  vn_close(context);
  close(fd);
}

struct ringer {
  struct vn_object *object;
  uint32_t times;
  vn_atomic_u32 acknowledged, rung;
};

static void *ring(void *argument) {
  struct ringer *ringer = argument;
  for (uint32_t i = 0; i < ringer->times; i++) {
    atomic_fetch_add(&ringer->rung, 1);
    vn_signal(ringer->object, VN_READY_EVENT);
    while (i % 5 && atomic_load(&ringer->acknowledged) + 4 < i) sched_yield(); /* now and then let it sleep */
  }
  vn_release(ringer->object);
  return NULL;
}

/* Every signal is followed by a wake-up that sees it: a lost one would end this test by the timeout of the poll. */
static void threads_never_ring_in_vain(void) {
  enum { THREADS = 4, TIMES = 20000 };
  int32_t context = vn_open(), fd = vn_doorbell(context);
  struct ringer ringers[THREADS] = {0};
  int32_t handles[THREADS];
  pthread_t threads[THREADS];
  uint32_t ready[2 * THREADS], done = 0;
  for (int i = 0; i < THREADS; i++) {
    ringers[i].times = TIMES;
    handles[i] = thing_handle(context, &ringers[i].object);
    vn_retain(ringers[i].object);
    pthread_create(&threads[i], NULL, ring, &ringers[i]);
  }
  while (done < THREADS) {
    if (!fake_wait_bytes(fd, 5000)) break;
    int32_t count = vn_poll(context, ready, THREADS);
    for (int32_t n = 0; n < count; n++) {
      for (int i = 0; i < THREADS; i++) {
        if ((uint32_t)handles[i] != ready[2 * n]) continue;
        uint32_t rung = atomic_load(&ringers[i].rung);
        atomic_store(&ringers[i].acknowledged, rung);
      }
    }
    for (done = 0; done < THREADS && atomic_load(&ringers[done].acknowledged) == TIMES;) done++;
  }
  CHECK(done == THREADS);
  if (done < THREADS) exit(1); /* the threads wait for us */
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  vn_close(context);
  close(fd);
}

static void wrong_arguments_get_a_status(void) {
  int32_t context = vn_open(), port = fake_start(context), operation = vn_call(context, VN_OP_PROBE, NULL, 0, 0);
  uint8_t bytes[64] = {0};
  uint32_t w[12] = {0};
  CHECK(vn_poll(context, NULL, 1) == -VN_BAD_CALL && vn_poll(context, w, 0) == -VN_BAD_CALL);
  CHECK(vn_poll(context, (uint32_t *)(uintptr_t)(bytes + 1), 1) == -VN_BAD_CALL || (uintptr_t)bytes % 4 == 3);
  CHECK(vn_poll(port, w, 1) == -VN_BAD_CALL && vn_doorbell(port) == -VN_BAD_CALL);
  CHECK(vn_drain(port, NULL, 64, w, 1) == -VN_BAD_CALL && vn_drain(port, bytes, 0, w, 1) == -VN_BAD_CALL);
  CHECK(vn_drain(port, bytes, 64, NULL, 1) == -VN_BAD_CALL && vn_drain(port, bytes, 64, w, 0) == -VN_BAD_CALL);
  CHECK(vn_drain(context, bytes, 64, w, 1) == -VN_BAD_CALL && vn_drain(operation, bytes, 64, w, 1) == -VN_BAD_CALL);
  CHECK(vn_send(port, NULL, 64, w, 0, 1) == -VN_BAD_CALL && vn_send(port, bytes, 64, NULL, 0, 1) == -VN_BAD_CALL);
  CHECK(vn_send(context, bytes, 64, w, 0, 1) == -VN_BAD_CALL && vn_interest(context, 1) == -VN_BAD_CALL);
  CHECK(vn_result(context, bytes, 64) == -VN_BAD_CALL && vn_cancel(port) == -VN_BAD_CALL);
  CHECK(vn_get(port, 0, bytes, 64) == -VN_BAD_CALL && vn_get(port, 99, bytes, 64) == -VN_BAD_CALL);
  CHECK(vn_get(operation, VN_GET_STATE, bytes, 64) == -VN_BAD_CALL && vn_get(port, VN_GET_LEASES, bytes, 64) == -VN_UNSUPPORTED);
  CHECK(vn_get(port, VN_GET_STATS, NULL, 64) > 64 && vn_get(port, VN_GET_STATS, bytes, 1) > 64 && !bytes[0]);
  CHECK(vn_call(context, 0, NULL, 0, 0) == -VN_BAD_CALL && vn_call(context, 11, NULL, 0, 0) == -VN_BAD_CALL);
  CHECK(vn_call(context, VN_OP_PROBE, NULL, 8, 0) == -VN_BAD_CALL && vn_call(context, VN_OP_PROBE, bytes, 64, 0) == -VN_BAD_CALL);
  CHECK(vn_call(context, VN_OP_PROBE, bytes, UINT32_MAX, 0) == -VN_BAD_CALL);
  CHECK(vn_call(context, VN_OP_STOP, NULL, 0, 0) == -VN_BAD_CALL && vn_call(port, VN_OP_PROBE, NULL, 0, 0) == -VN_BAD_CALL);
  CHECK(vn_call(port, VN_OP_NETWORK_SHARE, NULL, 0, 0) == -VN_BAD_CALL && vn_call(operation, VN_OP_STOP, NULL, 0, 0) == -VN_BAD_CALL);
  CHECK(fake_finish(context, operation, NULL) == VN_OK);
  vn_close(context);
}

static void any_number_can_be_a_handle(void) {
  uint8_t bytes[64];
  uint32_t w[12];
  static const int32_t some[] = {0, -1, 1, INT32_MAX, INT32_MIN, 0xffff, 0x10000, 0x1ffff, 0x13fff, 0x14000};
  int32_t context = vn_open();
  srand(3);
  for (int i = 0; i < 100000; i++) {
    int32_t handle = i < 10 ? some[i] : (int32_t)((uint32_t)rand() << 8 ^ (uint32_t)rand());
    if (handle == context) continue;
    int32_t status = vn_drain(handle, bytes, 64, w, 1);
    CHECK(status == -VN_STALE && vn_close(handle) == status && vn_result(handle, bytes, 64) == status);
    CHECK(vn_call(handle, VN_OP_STOP, NULL, 0, 0) == status && vn_get(handle, 2, bytes, 64) == status);
    if (checks_failed) break;
  }
  vn_close(context);
}

int main(void) {
  RUN(nothing_works_before_the_first_call);
  RUN(the_first_call_may_come_from_many_threads);
  RUN(the_doorbell_is_a_descriptor_as_promised_and_given_once);
  RUN(closed_handles_are_stale_even_when_the_slot_is_taken_again);
  RUN(generations_wrap_and_stay_positive);
  RUN(handles_of_another_thread_are_foreign);
  RUN(handles_run_out_with_a_status);
  RUN(a_result_without_a_free_handle_undoes_what_was_made);
  RUN(signals_are_polled_once_and_ring_once);
  RUN(signals_before_the_handle_are_told_with_it);
  RUN(a_short_poll_leaves_the_rest_and_rings_again);
  RUN(threads_never_ring_in_vain);
  RUN(wrong_arguments_get_a_status);
  RUN(any_number_can_be_a_handle);
  return finish();
}
