// SPDX-License-Identifier: MIT
/* darwin_source_test.c - reading and writing: where frames lie, limits, full buffers, bad frames, headers. */
#include "darwin_fixture.h"

#define WORDS VN_DESCRIPTOR_WORDS

struct pair {
  struct client *client;
  int32_t from, to;
};

static struct pair pair_with(const char *key, uint64_t value) {
  struct pair pair = {.client = client_open()};
  for (int i = 0; i < 2; i++) {
    struct vn_writer options = host_mode();
    if (key) vn_write_number(&options, key, value);
    *(i ? &pair.to : &pair.from) = client_start(pair.client, pair.client->context, &options);
  }
  CHECK(pair.from > 0 && pair.to > 0);
  return pair;
}

static uint8_t frames[256 * 2048];
static uint32_t list[256 * WORDS];

/* Numbered frames from first on, of lengths from 60 up. */
static void make_frames(uint32_t first, uint32_t count) {
  memset(list, 0, sizeof list);
  for (uint32_t i = 0; i < count; i++) {
    list[i * WORDS] = i * 2048;
    list[i * WORDS + 1] = 60 + (first + i) * 37 % 1455;
    make_frame(frames + i * 2048, list[i * WORDS + 1], everybody, everybody, first + i);
  }
}

/* How many of the expected frames came, in order and whole. */
static uint32_t expect(struct pair *pair, uint32_t first, uint32_t count, uint32_t arena_length, uint32_t max) {
  uint32_t seen = 0;
  for (int tries = 0; seen < count && tries < 2000; tries++) {
    int32_t n = vn_drain(pair->to, pair->client->arena, arena_length, pair->client->descriptors, max);
    if (n < 0) return seen;
    for (int32_t i = 0; i < (n & 0xffff); i++, seen++) {
      const uint32_t *d = pair->client->descriptors + i * WORDS;
      uint32_t length = 60 + (first + seen) * 37 % 1455, number;
      memcpy(&number, pair->client->arena + d[0] + 14, 4);
      if (d[0] + d[1] > arena_length || d[1] != length || d[2] != length || d[3] || number != first + seen) return seen;
    }
    if (!(n & VN_MORE) && seen < count) usleep(1000);
  }
  return seen;
}

static void frames_lie_in_slots_of_one_stride(void) {
  script_reset();
  struct pair pair = pair_with(NULL, 0);
  make_frames(0, 100);
  CHECK(vn_send(pair.from, frames, sizeof frames, list, 0, 100) == 100);
  int32_t n = vn_drain(pair.to, pair.client->arena, ARENA, pair.client->descriptors, 256);
  CHECK((n & 0xffff) == 100);
  for (uint32_t i = 0; i < 100; i++) CHECK(pair.client->descriptors[i * WORDS] == i * 1520);
  uint64_t time = pair.client->descriptors[4] | (uint64_t)pair.client->descriptors[5] << 32;
  CHECK(vn_realtime_ns() - time < 5000000000ull);
  CHECK(pair.client->descriptors[99 * WORDS + 4] == (uint32_t)time); /* one time for all */
  CHECK(stat_of(pair.client, pair.from, "framesOut") == 100 && stat_of(pair.client, pair.to, "framesIn") == 100);
  CHECK(stat_of(pair.client, pair.from, "bytesOut") == stat_of(pair.client, pair.to, "bytesIn"));
  CHECK(end_test(pair.client));
}

static void any_room_and_any_maximum_keep_the_order(void) {
  script_reset();
  struct pair pair = pair_with(NULL, 0);
  uint32_t number = 0;
  static const uint32_t rooms[] = {1514, 1519, 3033, 3034, 8192, ARENA}, most[] = {1, 2, 63, 64, 65, 256};
  for (int i = 0; i < 36; i++, number += 150) {
    make_frames(number, 150);
    CHECK(vn_send(pair.from, frames, sizeof frames, list, 0, 150) == 150);
    CHECK(expect(&pair, number, 150, rooms[i % 6], most[i / 6]) == 150);
  }
  CHECK(end_test(pair.client));
}

static void reported_limits_are_kept(void) {
  script_reset();
  double_set("read_max", "3"); /* the double refuses a call with more */
  double_set("write_max", "5");
  struct pair pair = pair_with(NULL, 0);
  make_frames(0, 200);
  CHECK(vn_send(pair.from, frames, sizeof frames, list, 0, 200) == 200);
  CHECK(expect(&pair, 0, 200, ARENA, 256) == 200);
  CHECK(end_test(pair.client));
}

static void an_arena_that_is_too_short_gets_cut_frames(void) {
  script_reset();
  struct pair pair = pair_with(NULL, 0);
  make_frames(0, 3);
  uint32_t length = list[2 * WORDS + 1];
  CHECK(vn_send(pair.from, frames, sizeof frames, list, 0, 3) == 3);
  for (uint32_t i = 0; i < 3; i++) {
    const uint32_t *d = pair.client->descriptors;
    int32_t n = vn_drain(pair.to, pair.client->arena, 100, pair.client->descriptors, 64);
    CHECK((n & 0xffff) == 1);
    CHECK(d[0] == 0 && d[1] == (list[i * WORDS + 1] < 100 ? list[i * WORDS + 1] : 100) && d[2] == list[i * WORDS + 1]);
    CHECK(d[3] == (d[1] < d[2] ? VN_META_TRUNCATED : 0));
  }
  CHECK(length > 100 && vn_drain(pair.to, pair.client->arena, 100, pair.client->descriptors, 64) == 0);
  CHECK(end_test(pair.client));
}

static void a_reader_that_leaves_early_hears_of_the_rest(void) {
  script_reset();
  struct pair pair = pair_with(NULL, 0);
  make_frames(0, 10);
  CHECK(vn_send(pair.from, frames, sizeof frames, list, 0, 10) == 10);
  CHECK(vn_drain(pair.to, pair.client->arena, ARENA, pair.client->descriptors, 4) == (4 | VN_MORE));
  bool estimated = false; /* by the event, whenever that comes */
  for (int i = 0; i < 100 && !estimated; i++) {
    client_ready(pair.client, pair.to, 20);
    estimated = client_get(pair.client, pair.to, VN_GET_ESTIMATE) && client_number(pair.client, "packets") >= 1;
  }
  CHECK(estimated);
  CHECK(vn_interest(pair.to, VN_READY_PACKETS) == VN_OK);
  CHECK(client_ready(pair.client, pair.to, 1000) & VN_READY_PACKETS);
  CHECK(expect(&pair, 4, 6, ARENA, 64) == 6);
  CHECK(end_test(pair.client));
}

/* Nothing announces room, so a short answer is followed by the doorbell and then by 1007. */
static void full_buffers_are_answered_and_retried(void) {
  script_reset();
  struct pair pair = pair_with(NULL, 0);
  double_set("exhaust", "1");
  make_frames(0, 1);
  CHECK(vn_send(pair.from, frames, sizeof frames, list, 0, 1) == -VMNET_BUFFER_EXHAUSTED);
  double_set("exhaust", "2");
  uint32_t sent = 0, exhausted = 0, announced = 0;
  for (uint32_t seen = 0; sent < 5000; seen = sent) {
    make_frames(sent, 50);
    int32_t n = vn_send(pair.from, frames, sizeof frames, list, 0, 50);
    CHECK(n == -VMNET_BUFFER_EXHAUSTED || (n >= 0 && n <= 50));
    if (n >= 0 && n < 50) announced += (client_ready(pair.client, pair.from, 1000) & VN_READY_WRITABLE) != 0;
    if (n >= 0 && n < 50) exhausted++;
    if (n < 0) exhausted++, announced++;
    if (n > 0) sent += (uint32_t)n;
    CHECK(expect(&pair, seen, sent - seen, ARENA, 256) == sent - seen);
  }
  CHECK(announced == exhausted);
  CHECK(stat_of(pair.client, pair.from, "framesOut") == sent && stat_of(pair.client, pair.from, "droppedOut") == 0);
  CHECK(end_test(pair.client));
}

/* port.c lets no runt through, a switch might: vmnet refuses the whole batch, the good frames go all the same. */
static void one_bad_frame_does_not_take_others_along(void) {
  script_reset();
  struct pair pair = pair_with(NULL, 0);
  make_frames(0, 9);
  list[4 * WORDS + 1] = 4;
  list[7 * WORDS + 1] = 5000;
  CHECK(vn_mac_nic_write(nic_of(pair.from), frames, list, 9) == 9);
  CHECK(expect(&pair, 0, 4, ARENA, 4) == 4 && expect(&pair, 5, 2, ARENA, 2) == 2 && expect(&pair, 8, 1, ARENA, 9) == 1);
  CHECK(stat_of(pair.client, pair.from, "droppedOut") == 2 && stat_of(pair.client, pair.from, "framesOut") == 7);
  CHECK(end_test(pair.client));
}

static void wrong_lengths_do_not_reach_vmnet(void) {
  script_reset();
  struct pair pair = pair_with(NULL, 0);
  make_frames(0, 1);
  list[1] = 13;
  CHECK(vn_send(pair.from, frames, sizeof frames, list, 0, 1) == -VMNET_INVALID_ARGUMENT);
  list[1] = 1515;
  CHECK(vn_send(pair.from, frames, sizeof frames, list, 0, 1) == -VMNET_PACKET_TOO_BIG);
  list[1] = 14;
  CHECK(vn_send(pair.from, frames, sizeof frames, list, 0, 1) == 1);
  CHECK(end_test(pair.client));
}

static void the_virtio_header_comes_on_top_of_the_reported_size(void) {
  script_reset();
  struct pair pair = pair_with("vmnet_enable_virtio_header", 1);
  CHECK(client_number(pair.client, "vmnet_max_packet_size") == 1514);
  memset(frames, 0, 1526);
  make_frame(frames + 12, 1514, everybody, everybody, 5);
  memset(list, 0, sizeof list);
  list[1] = 1527;
  CHECK(vn_send(pair.from, frames, sizeof frames, list, 0, 1) == -VMNET_PACKET_TOO_BIG);
  list[1] = 25;
  CHECK(vn_send(pair.from, frames, sizeof frames, list, 0, 1) == -VMNET_INVALID_ARGUMENT);
  list[1] = 1526;
  CHECK(vn_send(pair.from, frames, sizeof frames, list, 0, 1) == 1);
  CHECK(client_drain(pair.client, pair.to, 64, 2000) == 1);
  CHECK(pair.client->descriptors[1] == 1526 && pair.client->descriptors[3] == VN_META_VIRTIO);
  CHECK(!memcmp(client_frame(pair.client, 0) + 12, frames + 12, 1514));
  CHECK(end_test(pair.client));
}

static void long_frames_of_tso_fit(void) {
  script_reset();
  struct pair pair = pair_with("vmnet_enable_tso", 1);
  CHECK(client_number(pair.client, "vmnet_max_packet_size") == 65550);
  make_frame(frames, 65550, everybody, everybody, 7);
  memset(list, 0, sizeof list);
  list[1] = 65550;
  for (int i = 0; i < 20; i++) CHECK(vn_send(pair.from, frames, sizeof frames, list, 0, 1) == 1);
  for (int seen = 0, n; seen < 20; seen += n) { /* 15 slots in a mebibyte */
    n = client_drain(pair.client, pair.to, 64, 2000);
    CHECK(n > 0 && n <= 15);
    for (int i = 0; i < n; i++) {
      CHECK(client_length(pair.client, i) == 65550);
      CHECK(!memcmp(client_frame(pair.client, i), frames, 65550));
    }
    if (n <= 0) break;
  }
  CHECK(end_test(pair.client));
}

static void isolated_interfaces_do_not_hear_one_another(void) {
  script_reset();
  struct pair pair = pair_with("vmnet_enable_isolation", 1);
  make_frames(0, 1);
  CHECK(vn_send(pair.from, frames, sizeof frames, list, 0, 1) == 1);
  CHECK(client_drain(pair.client, pair.to, 64, 30) == 0);
  CHECK(end_test(pair.client));
}

static void what_a_full_queue_drops_is_the_end_of_it(void) {
  script_reset();
  double_set("queue", "16");
  struct pair pair = pair_with(NULL, 0);
  make_frames(0, 100);
  CHECK(vn_send(pair.from, frames, sizeof frames, list, 0, 100) == 100);
  CHECK(expect(&pair, 0, 16, ARENA, 256) == 16);
  CHECK(client_drain(pair.client, pair.to, 64, 20) == 0);
  make_frames(100, 10);
  CHECK(vn_send(pair.from, frames, sizeof frames, list, 0, 10) == 10);
  CHECK(expect(&pair, 100, 10, ARENA, 256) == 10);
  CHECK(end_test(pair.client));
}

int main(void) {
  script_reset();
  RUN(frames_lie_in_slots_of_one_stride);
  RUN(any_room_and_any_maximum_keep_the_order);
  RUN(reported_limits_are_kept);
  RUN(an_arena_that_is_too_short_gets_cut_frames);
  RUN(a_reader_that_leaves_early_hears_of_the_rest);
  RUN(full_buffers_are_answered_and_retried);
  RUN(one_bad_frame_does_not_take_others_along);
  RUN(wrong_lengths_do_not_reach_vmnet);
  RUN(the_virtio_header_comes_on_top_of_the_reported_size);
  RUN(long_frames_of_tso_fit);
  RUN(isolated_interfaces_do_not_hear_one_another);
  RUN(what_a_full_queue_drops_is_the_end_of_it);
  return finish();
}
