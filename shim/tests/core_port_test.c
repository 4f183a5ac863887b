// SPDX-License-Identifier: MIT
/* core_port_test.c - drain, send, interest and statistics of a port between two rings. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core_fake.h"
#include "test.h"

#define WORDS VN_DESCRIPTOR_WORDS

static int32_t context, fd, port;
static struct fake_interface *fake;
static uint8_t arena[256 * 2048];
static uint32_t d[260 * WORDS];

static void open_port(int ring) {
  context = vn_open();
  fd = vn_doorbell(context);
  CHECK(!fake_finish(context, fake_call(context, VN_OP_INTERFACE_START, fake_options("ring", ring, NULL), 0), &port));
  fake_wait_bytes(fd, 0);
  fake = fake_interface_of(port);
}

static void close_port(void) {
  CHECK(!vn_close(context));
  close(fd);
}

static bool arrive(uint32_t length, int fill) {
  uint8_t *room = vn_ring_reserve(&fake->ends.rx, length, fill == 9 ? VN_META_VIRTIO : 0);
  if (!room) return false;
  memset(room, fill, length);
  vn_ring_publish(&fake->ends.rx);
  vn_port_arrived(&fake->ends.port);
  return true;
}

static uint32_t polled(void) { /* bits of the port */
  uint32_t ready[4] = {0};
  fake_wait_bytes(fd, 0);
  return vn_poll(context, ready, 2) ? ready[1] : 0;
}

static void send_descriptor(uint32_t i, uint32_t offset, uint32_t length) {
  d[i * WORDS] = offset;
  d[i * WORDS + 1] = length;
}

static void drain_fills_arena_and_descriptors(void) {
  open_port(65536);
  arrive(60, 7);
  arrive(1514, 9);
  CHECK(vn_drain(port, arena, sizeof arena, d, 64) == 2);
  CHECK(d[0] == 0 && d[1] == 60 && d[2] == 60 && d[3] == 0);
  CHECK(d[6] == 64 && d[7] == 1514 && d[8] == 1514 && d[9] == VN_META_VIRTIO);
  CHECK(arena[0] == 7 && arena[59] == 7 && arena[64] == 9 && arena[64 + 1513] == 9);
  uint64_t stamp = d[4] | (uint64_t)d[5] << 32, now = vn_realtime_ns();
  CHECK(stamp <= now && now - stamp < 10000000000ull && d[10] == d[4] && d[11] == d[5]);
  CHECK(vn_drain(port, arena, sizeof arena, d, 64) == 0);
  close_port();
}

static void more_is_said_when_max_or_the_arena_ends_the_drain(void) {
  open_port(65536);
  for (int i = 0; i < 5; i++) arrive(100, i);
  CHECK(vn_drain(port, arena, sizeof arena, d, 2) == (2 | VN_MORE));
  CHECK(vn_drain(port, arena, 112 + 99, d, 64) == (1 | VN_MORE)); /* the second would end outside */
  CHECK(vn_drain(port, arena, 112 + 100, d, 64) == 2 && d[6] == 112);
  close_port();
}

static void a_frame_longer_than_the_arena_is_cut(void) {
  open_port(65536);
  arrive(1514, 1);
  arrive(60, 2);
  memset(arena, 0, 32);
  CHECK(vn_drain(port, arena, 17, d, 64) == (1 | VN_MORE));
  CHECK(d[1] == 17 && d[2] == 1514 && d[3] == VN_META_TRUNCATED && arena[16] == 1 && arena[17] == 0);
  CHECK(vn_drain(port, arena, 64, d, 64) == 1 && d[1] == 60);
  close_port();
}

static void max_is_held_to_the_ports_limit(void) {
  open_port(65536);
  for (int i = 0; i < 300; i++) CHECK(arrive(60, i));
  CHECK(vn_drain(port, arena, sizeof arena, d, UINT32_MAX) == (256 | VN_MORE));
  CHECK(vn_drain(port, arena, sizeof arena, d, 260) == 44);
  close_port();
}

static void packets_are_signalled_once_per_empty_drain(void) {
  open_port(65536);
  arrive(60, 1);
  CHECK(polled() == 0); /* nobody asked */
  CHECK(vn_interest(port, VN_READY_PACKETS) == VN_OK);
  CHECK(polled() == VN_READY_PACKETS); /* at once: a frame waits */
  arrive(60, 1);
  CHECK(polled() == 0); /* said */
  CHECK(vn_drain(port, arena, sizeof arena, d, 1) == (1 | VN_MORE));
  arrive(60, 1);
  CHECK(polled() == 0); /* not armed after VN_MORE */
  CHECK(vn_drain(port, arena, sizeof arena, d, 64) == 2);
  arrive(60, 1);
  arrive(60, 1);
  CHECK(polled() == VN_READY_PACKETS);
  CHECK(vn_drain(port, arena, sizeof arena, d, 64) == 2);
  CHECK(vn_interest(port, 0) == VN_OK);
  arrive(60, 1);
  CHECK(polled() == 0);
  CHECK(fake_stat(port, "wakes") == 2 && fake_stat(port, "framesIn") == 5 && fake_stat(port, "bytesIn") == 300);
  close_port();
}

/* A source whose frames come between the first look and the re-check; with early, so does their signal. */
static uint32_t looks;
static bool early;

static int32_t late_receive(struct vn_port *to, uint8_t *room, uint32_t length, uint32_t *into, uint32_t max,
                            bool *more) {
  return looks++ ? vn_ring_source.receive(to, room, length, into, max, more) : 0;
}

static bool late_empty(struct vn_port *of) {
  if (early) vn_port_arrived(of);
  return vn_ring_source.empty(of);
}

static void more_never_comes_with_no_frames(void) {
  static const struct vn_source late = {.receive = late_receive, .empty = late_empty};
  open_port(65536);
  fake->ends.port.source = &late;
  arrive(60, 1);
  looks = 0;
  CHECK(vn_drain(port, arena, sizeof arena, d, 64) == 1 && looks == 2 && d[1] == 60);
  CHECK(polled() == 0 && fake_stat(port, "wakes") == 0 && fake_stat(port, "drains") == 1);
  arrive(60, 2); /* armed by the drain: signalled */
  arrive(60, 3);
  CHECK(polled() == VN_READY_PACKETS);
  looks = 0;
  CHECK(vn_drain(port, arena, sizeof arena, d, 1) == (1 | VN_MORE) && looks == 2);
  looks = 0;
  early = true; /* nothing taken, but the signal is on the way: that is an empty drain */
  CHECK(vn_drain(port, arena, sizeof arena, d, 64) == 0 && looks == 1 && polled() == VN_READY_PACKETS);
  CHECK(vn_drain(port, arena, sizeof arena, d, 64) == 1);
  early = false;
  close_port();
}

static void send_takes_frames_in_order(void) {
  open_port(65536);
  struct vn_frame frame;
  memset(arena, 5, 4096);
  for (uint32_t i = 0; i < 100; i++) send_descriptor(i, i * 16, 14 + i);
  CHECK(vn_send(port, arena, 4096, d, 10, 90) == 90);
  CHECK(atomic_load(&fake->pokes) == 2); /* chunks of 64 */
  for (uint32_t i = 10; i < 100; i++) CHECK(vn_ring_take(&fake->ends.tx, &frame) && frame.length == 14 + i && frame.bytes[0] == 5);
  CHECK(!vn_ring_take(&fake->ends.tx, &frame));
  CHECK(vn_send(port, arena, 4096, d, 0, 0) == 0);
  CHECK(fake_stat(port, "framesOut") == 90);
  close_port();
}

static void a_full_ring_takes_less_and_says_when_there_is_room(void) {
  open_port(4096);
  struct vn_frame frame;
  for (uint32_t i = 0; i < 64; i++) send_descriptor(i, 0, 100);
  CHECK(vn_send(port, arena, 4096, d, 0, 64) == 32);
  CHECK(polled() == 0);
  CHECK(vn_send(port, arena, 4096, d, 32, 32) == 0);
  CHECK(vn_ring_take(&fake->ends.tx, &frame));
  vn_ring_free(&fake->ends.tx);
  vn_port_drained(&fake->ends.port);
  vn_port_drained(&fake->ends.port);
  CHECK(polled() == VN_READY_WRITABLE && polled() == 0);
  CHECK(vn_send(port, arena, 4096, d, 32, 32) == 1);
  close_port();
}

static void a_wrong_frame_ends_the_batch_before_it(void) {
  open_port(65536);
  static const struct {
    uint32_t offset, length;
    int32_t status;
  } wrong[] = {{0, 13, VMNET_INVALID_ARGUMENT}, {0, 0, VMNET_INVALID_ARGUMENT}, {0, 1515, VMNET_PACKET_TOO_BIG},
               {0, UINT32_MAX, VMNET_PACKET_TOO_BIG}, {4096 - 59, 60, VN_BAD_CALL}, {4097, 60, VN_BAD_CALL},
               {UINT32_MAX, 60, VN_BAD_CALL}, {UINT32_MAX - 10, 60, VN_BAD_CALL}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    send_descriptor(0, 0, 60);
    send_descriptor(1, 4096 - 60, 60);
    send_descriptor(2, wrong[i].offset, wrong[i].length);
    send_descriptor(3, 0, 60);
    CHECK(vn_send(port, arena, 4096, d, 0, 4) == 2);
    CHECK(polled() == VN_READY_WRITABLE); /* who waits for it must not wait for ever */
    CHECK(vn_send(port, arena, 4096, d, 2, 2) == -wrong[i].status);
    CHECK(vn_send(port, arena, 4096, d, 3, 1) == 1);
  }
  CHECK(vn_send(port, arena, 4096, d, 0, 257) == -VMNET_TOO_MANY_PACKETS);
  CHECK(vn_send(port, arena, 4096, d, 0, UINT32_MAX) == -VMNET_TOO_MANY_PACKETS);
  close_port();
}

/* What a switch has instead of the script. */
struct counting {
  struct vn_sink sink;
  vn_atomic_u32 wakes;
};

static void count_wake(struct vn_sink *sink) { atomic_fetch_add(&((struct counting *)sink)->wakes, 1); }

static void a_lent_port_tells_its_sink_and_comes_back(void) {
  open_port(65536);
  struct counting counting = {.sink.wake = count_wake};
  struct vn_port *lent = &fake->ends.port;
  send_descriptor(0, 0, 60);
  CHECK(vn_interest(port, VN_READY_PACKETS) == VN_OK);
  CHECK(vn_port_lend(lent) && !vn_port_lend(lent));
  vn_port_sink(lent, &counting.sink);
  CHECK(vn_drain(port, arena, 64, d, 1) == -VN_IN_USE && vn_send(port, arena, 64, d, 0, 1) == -VN_IN_USE);
  CHECK(vn_interest(port, 0) == -VN_IN_USE);
  arrive(60, 1);
  arrive(60, 2);
  CHECK(polled() == 0 && atomic_load(&counting.wakes) == 1); /* armed, so once */
  CHECK(vn_port_drain(lent, arena, sizeof arena, d, 64) == 2);
  CHECK(vn_port_send(lent, arena, 64, d, 0, 1) == 1);
  arrive(60, 3);
  CHECK(polled() == 0 && atomic_load(&counting.wakes) == 2);
  vn_port_sink(lent, NULL);
  vn_port_return(lent);
  /* Whatever it waited for before the loan: it looks for itself. */
  CHECK(polled() == (VN_READY_PACKETS | VN_READY_WRITABLE) && vn_drain(port, arena, sizeof arena, d, 64) == 1);
  CHECK(vn_send(port, arena, 64, d, 0, 1) == 1);
  arrive(60, 4);
  CHECK(polled() == VN_READY_PACKETS && atomic_load(&counting.wakes) == 2);
  close_port();
}

/* A sink that is taken off is not in use any more, whoever was about to tell it. */
static vn_atomic_u32 arrivals_end;

static void *arrivals(void *argument) {
  while (!atomic_load(&arrivals_end)) {
    atomic_store(&((struct vn_port *)argument)->armed, 1);
    vn_port_arrived(argument);
  }
  return NULL;
}

static void a_sink_that_is_off_is_told_nothing(void) {
  open_port(65536);
  pthread_t thread;
  atomic_store(&arrivals_end, 0);
  pthread_create(&thread, NULL, arrivals, &fake->ends.port);
  for (int i = 0; i < 500; i++) {
    struct counting *counting = calloc(1, sizeof *counting);
    counting->sink.wake = count_wake;
    vn_port_sink(&fake->ends.port, &counting->sink);
    for (int k = 0; k < 1000 && !atomic_load(&counting->wakes); k++) sched_yield();
    vn_port_sink(&fake->ends.port, NULL);
    free(counting); /* AddressSanitizer looks */
  }
  atomic_store(&arrivals_end, 1);
  pthread_join(thread, NULL);
  close_port();
}

static void a_failed_port_can_be_lent_and_says_so(void) {
  open_port(65536);
  struct vn_port *lent = &fake->ends.port;
  CHECK(vn_port_lend(lent));
  vn_port_fail(lent, VN_GONE);
  CHECK(polled() == VN_READY_STATE); /* the script hears of the end, whoever has the frames */
  CHECK(vn_drain(port, arena, 64, d, 1) < 0 && vn_port_drain(lent, arena, 64, d, 1) == -VN_GONE);
  vn_port_return(lent);
  CHECK(vn_drain(port, arena, 64, d, 1) == -VN_GONE);
  close_port();
}

static void a_failed_port_says_why(void) {
  open_port(65536);
  uint8_t out[256];
  arrive(60, 1);
  int32_t length = vn_get(port, VN_GET_ESTIMATE, out, sizeof out);
  CHECK(length > 0 && vn_list_number(out, (uint32_t)length, "packets", 0) == 1);
  vn_port_fail(&fake->ends.port, VN_GONE);
  vn_port_fail(&fake->ends.port, VN_STOPPED); /* the first one stays */
  CHECK(polled() == VN_READY_STATE);
  length = vn_get(port, VN_GET_STATE, out, sizeof out);
  CHECK(length > 0 && vn_list_number(out, (uint32_t)length, "status", 0) == VN_GONE);
  CHECK(vn_drain(port, arena, 64, d, 1) == -VN_GONE && vn_send(port, arena, 64, d, 0, 1) == -VN_GONE);
  close_port();
}

/* A thread on the other side: echoes tx to rx when there is room, and sleeps by polling. */
static vn_atomic_u32 echo_ends;

static void *echo(void *argument) {
  struct fake_interface *other = argument;
  struct vn_frame frame;
  while (!atomic_load(&echo_ends)) {
    bool moved = false;
    while (vn_ring_peek(&other->ends.tx, &frame)) {
      uint8_t *room = vn_ring_reserve(&other->ends.rx, frame.length, 0);
      if (!room) break;
      memcpy(room, frame.bytes, frame.length);
      vn_ring_take(&other->ends.tx, &frame);
      moved = true;
    }
    vn_ring_publish(&other->ends.rx);
    vn_ring_free(&other->ends.tx);
    if (moved) vn_port_arrived(&other->ends.port), vn_port_drained(&other->ends.port);
    else sched_yield();
  }
  vn_release(&other->ends.port.object);
  return NULL;
}

/* The script's loop: sends with back-pressure, sleeps on the doorbell, drains. A lost wake-up ends by the timeout. */
static void an_echo_loop_loses_and_reorders_nothing(void) {
  enum { FRAMES = 200000 };
  static uint8_t in[64 * 2048];
  static uint32_t in_d[64 * WORDS];
  open_port(32768);
  pthread_t thread;
  vn_retain(&fake->ends.port.object);
  pthread_create(&thread, NULL, echo, fake);
  uint32_t sent = 0, got = 0, wrong = 0;
  bool writable = true, stuck = false;
  vn_interest(port, VN_READY_PACKETS);
  while (got < FRAMES && !wrong && !stuck) {
    if (writable && sent < FRAMES) {
      uint32_t n = FRAMES - sent < 32 ? FRAMES - sent : 32;
      for (uint32_t i = 0; i < n; i++) {
        uint32_t length = 14 + (sent + i) % 1400;
        memset(arena + i * 1536, (int)(sent + i), length);
        memcpy(arena + i * 1536, &(uint32_t){sent + i}, 4);
        send_descriptor(i, i * 1536, length);
      }
      int32_t taken = vn_send(port, arena, sizeof arena, d, 0, n);
      if (taken < 0) wrong++;
      else sent += (uint32_t)taken, writable = taken == (int32_t)n;
      if (writable && sent < FRAMES && sent % 3) continue;
    }
    uint32_t ready[4];
    if (!(stuck = !fake_wait_bytes(fd, 5000))) {
      int32_t count = vn_poll(context, ready, 2);
      for (int32_t i = 0; i < count; i++) {
        if (ready[2 * i + 1] & VN_READY_WRITABLE) writable = true;
        if (!(ready[2 * i + 1] & VN_READY_PACKETS)) continue;
        int32_t n;
        do {
          n = vn_drain(port, in, sizeof in, in_d, 64);
          for (int32_t k = 0; k < (n & 0xffff); k++, got++) {
            uint32_t number;
            memcpy(&number, in + in_d[k * WORDS], 4);
            wrong += number != got || in_d[k * WORDS + 1] != 14 + got % 1400;
          }
        } while (n > 0 && n & VN_MORE);
      }
    }
  }
  CHECK(got == FRAMES && !wrong && !stuck);
  atomic_store(&echo_ends, 1);
  pthread_join(thread, NULL);
  close_port();
}

int main(void) {
  vn_abi_version();
  RUN(drain_fills_arena_and_descriptors);
  RUN(more_is_said_when_max_or_the_arena_ends_the_drain);
  RUN(a_frame_longer_than_the_arena_is_cut);
  RUN(max_is_held_to_the_ports_limit);
  RUN(packets_are_signalled_once_per_empty_drain);
  RUN(more_never_comes_with_no_frames);
  RUN(send_takes_frames_in_order);
  RUN(a_full_ring_takes_less_and_says_when_there_is_room);
  RUN(a_wrong_frame_ends_the_batch_before_it);
  RUN(a_lent_port_tells_its_sink_and_comes_back);
  RUN(a_sink_that_is_off_is_told_nothing);
  RUN(a_failed_port_can_be_lent_and_says_so);
  RUN(a_failed_port_says_why);
  RUN(an_echo_loop_loses_and_reorders_nothing);
  return finish();
}
