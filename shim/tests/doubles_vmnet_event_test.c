// SPDX-License-Identifier: MIT
/* Events of the double of vmnet: each way that the script knows, and what comes after the callback was taken off. */
#include "doubles_vmnet.h"

static struct nic *a, *b;

static void begin(const char *events) {
  double_set("events", events);
  a = nic_start(VMNET_HOST_MODE), b = nic_start(VMNET_HOST_MODE);
  nic_listen(b);
}

static void end(void) {
  nic_stop(a), nic_stop(b);
  double_set("events", "each");
  CHECK(nothing_lives());
}

static unsigned seen(void) { return atomic_load(&b->event_count); }

static void each_batch_is_told(void) {
  begin("each");
  for (int i = 0; i < 5; i++) nic_write(a, 3, 60, 1, NULL);
  CHECK(SOON(seen() == 5) && atomic_load(&b->estimate) == 15);
  end();
}

static void edge_tells_the_first_one_only(void) {
  begin("edge");
  for (int i = 0; i < 5; i++) nic_write(a, 3, 60, 1, NULL);
  CHECK(SOON(seen() == 1));
  CHECK(nic_read(b, 10) == 10);
  nic_write(a, 1, 60, 1, NULL); /* some are left, so nobody is told */
  nap(20);
  CHECK(seen() == 1 && nic_read(b, 10) == 6);
  nic_write(a, 1, 60, 1, NULL);
  CHECK(SOON(seen() == 2));
  end();
}

static void delayed_ones_come_late(void) {
  begin("delay:400");
  nic_write(a, 1, 60, 1, NULL);
  nap(20);
  CHECK(seen() == 0);
  CHECK(SOON(seen() == 1));
  end();
}

static void many_become_one(void) {
  begin("coalesce");
  for (int i = 0; i < 50; i++) nic_write(a, 1, 60, 1, NULL);
  CHECK(SOON(seen() >= 1));
  nap(30);
  CHECK(seen() < 25);
  end();
}

static void one_becomes_many(void) {
  begin("repeat:4");
  nic_write(a, 2, 60, 1, NULL);
  CHECK(SOON(seen() == 4));
  end();
}

static void a_missed_one_is_made_good(void) {
  begin("miss:100");
  for (int i = 0; i < 10; i++) {
    unsigned before = seen();
    nic_write(a, 1, 60, 1, NULL);
    CHECK(SOON(seen() > before));
  }
  end();
}

static void a_storm_lasts_while_frames_wait(void) {
  begin("storm");
  nic_write(a, 1, 60, 1, NULL);
  CHECK(SOON(seen() > 1000));
  CHECK(nic_read(b, 8) == 1);
  dispatch_sync_f(b->events, NULL, nothing);
  nap(5);
  unsigned after = seen();
  nap(30);
  CHECK(seen() == after);
  nic_write(a, 1, 60, 1, NULL);
  CHECK(SOON(seen() > after + 100));
  nic_deafen(b); /* its frame is still there */
  nap(5);
  after = seen();
  nap(30);
  CHECK(seen() == after);
  end();
}

static void none_is_none(void) {
  begin("none");
  nic_write(a, 1, 60, 1, NULL);
  nap(50);
  CHECK(seen() == 0 && nic_read(b, 8) == 1);
  end();
}

static void who_listens_late_is_told_of_what_waits(void) {
  begin("edge");
  nic_deafen(b);
  nic_write(a, 1, 60, 1, NULL);
  nap(20);
  CHECK(seen() == 0);
  nic_listen(b);
  CHECK(SOON(seen() == 1));
  end();
}

static void hold(void *context) {
  while (!atomic_load((atomic_bool *)context)) nap(1);
}

static void one_that_is_on_the_queue_comes_after_all(void) {
  atomic_bool go;
  atomic_init(&go, false);
  begin("each");
  dispatch_async_f(b->events, &go, hold);
  nic_write(a, 1, 60, 1, NULL);
  vmnet_interface_set_event_callback(b->ref, 0, NULL, NULL);
  CHECK(seen() == 0);
  atomic_store(&go, true);
  CHECK(SOON(seen() == 1));
  end();
}

static void none_comes_after_the_stop(void) {
  atomic_bool go;
  atomic_init(&go, false);
  begin("repeat:3");
  dispatch_async_f(b->events, &go, hold);
  nic_write(a, 1, 60, 1, NULL);
  CHECK(nic_begin_stop(b) == VMNET_SUCCESS && SOON(atomic_load(&b->stopped) == VMNET_SUCCESS));
  atomic_store(&go, true);
  dispatch_sync_f(b->events, NULL, nothing);
  CHECK(seen() == 0);
  dispatch_sync_f(b->queue, NULL, nothing);
  nic_free(b);
  b = nic_start(VMNET_HOST_MODE);
  end();
}


static void *flood(void *argument) {
  struct nic *nic = argument;
  for (uint32_t i = 0; i < 4000; i++) nic_write(nic, 8, 60, i * 8, NULL);
  return NULL;
}

/* A writer, a reader and events, each on its own thread, while interfaces come and go beside them. */
static void everything_at_once(void) {
  static const char *const ways[] = {"each", "edge", "coalesce", "miss:50", "storm", "repeat:2"};
  for (size_t way = 0; way < sizeof ways / sizeof *ways; way++) {
    double_set("queue", "40000");
    begin(ways[way]);
    pthread_t writer;
    pthread_create(&writer, NULL, flood, a);
    uint32_t next = 0, idle = 0;
    while (next < 32000 && idle < 5000) {
      int n = nic_read(b, 64);
      for (int i = 0; i < n; i++) CHECK(nic_frame(b, i) == next + (uint32_t)i);
      next += (uint32_t)(n > 0 ? n : 0);
      if (n <= 0) idle++, nap(1);
      if (next % 8192 == 0) start_status(description(VMNET_HOST_MODE), NULL);
    }
    CHECK(next == 32000);
    pthread_join(writer, NULL);
    end();
  }
  double_set("queue", "1024");
}

static void a_thousand_starts_and_stops(void) {
  for (int i = 0; i < 1000; i++) CHECK(start_status(description(VMNET_HOST_MODE), NULL) == VMNET_SUCCESS);
  CHECK(nothing_lives());
}

int main(void) {
  double_set("wire", "hub");
  RUN(each_batch_is_told);
  RUN(edge_tells_the_first_one_only);
  RUN(delayed_ones_come_late);
  RUN(many_become_one);
  RUN(one_becomes_many);
  RUN(a_missed_one_is_made_good);
  RUN(a_storm_lasts_while_frames_wait);
  RUN(none_is_none);
  RUN(who_listens_late_is_told_of_what_waits);
  RUN(one_that_is_on_the_queue_comes_after_all);
  RUN(none_comes_after_the_stop);
  RUN(everything_at_once);
  RUN(a_thousand_starts_and_stops);
  return finish();
}
