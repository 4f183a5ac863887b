// SPDX-License-Identifier: MIT
/* Taps and drop rules through the public ABI. With VN_LONG also what they cost. */
#define _GNU_SOURCE 1 /* RUSAGE_THREAD */
#include <sys/resource.h>

#include "plane_hooks.h"

static struct client *c;

static uint32_t drain_all(int32_t port, int ms) {
  uint32_t count = 0;
  for (int32_t n; (n = client_drain(c, port, BATCH, ms)) > 0;) count += (uint32_t)n;
  return count;
}

static void test_a_tap_gets_what_matches(void) {
  struct scene s = scene_open(c);
  int32_t some = hook_open(&s, VN_OP_TAP_OPEN, "udp port 53", NULL, 0);
  int32_t all = hook_open(&s, VN_OP_TAP_OPEN, NULL, NULL, 0);
  CHECK(some > 0 && all > 0);
  uint8_t frame[200];
  for (uint32_t i = 0; i < 20; i++) {
    udp_frame(frame, 200, i % 4 ? 1000 : 53, i);
    CHECK(client_push(c, s.a, frame, 200) && client_expect(c, s.b, frame, 200, 1000)); /* which is where they went */
  }
  int32_t count = client_drain(c, some, BATCH, 1000);
  CHECK(count == 5);
  for (int32_t i = 0; i < count; i++) {
    udp_frame(frame, 200, 53, (uint32_t)i * 4);
    CHECK(client_length(c, i) == 200 && memcmp(client_frame(c, i), frame, 200) == 0);
    CHECK(client_word(c, i, 2) == 200 && client_word(c, i, 3) >> VN_META_PORT != 0 && !(client_word(c, i, 3) & 0xffff));
    uint64_t time = (uint64_t)client_word(c, i, 5) << 32 | client_word(c, i, 4);
    CHECK(vn_realtime_ns() - time < 60000000000ull);
  }
  CHECK(drain_all(all, 200) == 20);
  CHECK(stat_of(&s, some, "matched") == 5 && stat_of(&s, some, "framesIn") == 5 && stat_of(&s, some, "dropped") == 0);
  CHECK(client_stop(c, some) == VN_OK && client_stop(c, all) == VN_OK);
  CHECK(client_drain(c, some, BATCH, 0) < 0);
  udp_frame(frame, 200, 53, 99);
  CHECK(client_push(c, s.a, frame, 200) && client_expect(c, s.b, frame, 200, 1000));
  scene_close(&s);
}

static void test_a_script_that_waits_is_woken(void) {
  struct scene s = scene_open(c);
  int32_t tap = hook_open(&s, VN_OP_TAP_OPEN, NULL, NULL, 0);
  uint8_t frame[64];
  CHECK(client_drain(c, tap, BATCH, 20) == 0); /* armed now */
  udp_frame(frame, 64, 53, 7);
  CHECK(client_push(c, s.a, frame, 64));
  uint32_t bits = 0;
  for (int i = 0; i < 100 && !bits; i++) bits = client_ready(c, tap, 20);
  CHECK((bits & VN_READY_PACKETS) && client_drain(c, tap, BATCH, 0) == 1);
  scene_close(&s);
}

static void test_a_tap_cuts_at_its_snap_length(void) {
  struct scene s = scene_open(c);
  int32_t tap = hook_open(&s, VN_OP_TAP_OPEN, NULL, "snapLength", 60);
  uint8_t frame[1514];
  static const uint32_t lengths[] = {50, 60, 61, 1514};
  for (int i = 0; i < 4; i++) {
    udp_frame(frame, lengths[i], 7, (uint32_t)i);
    CHECK(client_push(c, s.a, frame, lengths[i]) && client_expect(c, s.b, frame, lengths[i], 1000));
  }
  CHECK(client_drain(c, tap, BATCH, 1000) == 4);
  for (int i = 0; i < 4; i++) {
    CHECK(client_length(c, i) == (lengths[i] < 60 ? lengths[i] : 60) && client_word(c, i, 2) == lengths[i]);
    CHECK(!(client_word(c, i, 3) & VN_META_TRUNCATED) == (lengths[i] <= 60));
    CHECK(udp_number(client_frame(c, i)) == (uint32_t)i);
  }
  scene_close(&s);
}

/* The number of the port that a frame of a came from. */
static uint32_t port_of_a(struct scene *s) {
  uint8_t frame[64];
  int32_t tap = hook_open(s, VN_OP_TAP_OPEN, NULL, NULL, 0);
  udp_frame(frame, 64, 9, 0);
  CHECK(client_push(c, s->a, frame, 64) && client_drain(c, tap, 1, 1000) == 1);
  uint32_t number = client_word(c, 0, 3) >> VN_META_PORT;
  CHECK(client_stop(c, tap) == VN_OK && client_expect(c, s->b, frame, 64, 1000));
  return number;
}

static void test_a_tap_of_one_port(void) {
  struct scene s = scene_open(c);
  uint32_t number = port_of_a(&s);
  int32_t tap = hook_open(&s, VN_OP_TAP_OPEN, NULL, "port", number);
  uint8_t frame[64];
  for (uint32_t i = 0; i < 5; i++) {
    make_frame(frame, 64, mac_a, mac_b, i);
    CHECK(client_push(c, s.b, frame, 64) && client_expect(c, s.a, frame, 64, 1000));
    udp_frame(frame, 64, 9, i);
    CHECK(client_push(c, s.a, frame, 64) && client_expect(c, s.b, frame, 64, 1000));
  }
  CHECK(drain_all(tap, 100) == 5);
  CHECK(hook_open(&s, VN_OP_TAP_OPEN, NULL, "port", number ^ 0x5000) == -VN_NOT_FOUND);
  CHECK(strcmp(client_text(c, "field"), "port") == 0);
  client_stop(c, s.a); /* its port's number does not come again for a while: the tap just gets nothing */
  int32_t another = client_start(c, s.network, NULL);
  CHECK(client_push(c, another, frame, 64) && drain_all(tap, 50) == 0);
  client_stop(c, another);
  scene_close(&s);
}

static void test_rules_drop(void) {
  struct scene s = scene_open(c);
  int32_t tap = hook_open(&s, VN_OP_TAP_OPEN, "udp", NULL, 0);
  int32_t rule = hook_open(&s, VN_OP_RULE_ADD, "udp dst port 53", NULL, 0);
  CHECK(tap > 0 && rule > 0);
  uint8_t frame[100];
  for (uint32_t i = 0; i < 10; i++) {
    udp_frame(frame, 100, i % 2 ? 54 : 53, i);
    CHECK(client_push(c, s.a, frame, 100));
  }
  uint32_t got = 0;
  for (int32_t n; (n = client_drain(c, s.b, BATCH, 100)) > 0;)
    for (int32_t i = 0; i < n; i++, got++) CHECK(udp_number(client_frame(c, i)) % 2 == 1);
  CHECK(got == 5 && drain_all(tap, 50) == 5); /* no tap sees what a rule drops */
  CHECK(stat_of(&s, rule, "matched") == 5 && stat_of(&s, rule, "dropped") == 5);
  CHECK(stat_of(&s, s.board, "droppedFiltered") == 5);
  client_get(c, rule, VN_GET_STATE);
  CHECK(client_number(c, "status") == VN_OK);
  CHECK(client_stop(c, rule) == VN_OK);
  udp_frame(frame, 100, 53, 77);
  CHECK(client_push(c, s.a, frame, 100) && client_expect(c, s.b, frame, 100, 1000));
  scene_close(&s);
}

static void test_options_are_checked(void) {
  struct scene s = scene_open(c);
  static const struct {
    uint32_t op;
    const char *key;
    uint64_t value;
  } wrong[] = {
      {VN_OP_TAP_OPEN, "snapLength", 13},           {VN_OP_TAP_OPEN, "snapLength", 65563},
      {VN_OP_TAP_OPEN, "ringBytes", 65535},         {VN_OP_TAP_OPEN, "ringBytes", (64u << 20) + 1},
      {VN_OP_TAP_OPEN, "port", 65536},              {VN_OP_TAP_OPEN, "passOnOverflow", 1},
      {VN_OP_TAP_OPEN, "colour", 1},                {VN_OP_TAP_OPEN, "ringBytes", UINT64_MAX},
      {VN_OP_INTERCEPT_OPEN, "snapLength", 100},    {VN_OP_INTERCEPT_OPEN, "passOnOverflow", 2},
      {VN_OP_RULE_ADD, "ringBytes", 1 << 20},       {VN_OP_TAP_OPEN, "filter", 7},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    CHECK(hook_open(&s, wrong[i].op, NULL, wrong[i].key, wrong[i].value) == -VN_BAD_OPTION);
    CHECK(strcmp(client_text(c, "field"), wrong[i].key) == 0);
  }
  CHECK(hook_open(&s, VN_OP_TAP_OPEN, "tcp prt 80", NULL, 0) == -VN_BAD_OPTION);
  CHECK(strcmp(client_text(c, "field"), "filter") == 0 && strstr(client_text(c, "message"), "syntax error"));
  char text[4097];
  memset(text, 32, 4096);
  text[4096] = 0;
  CHECK(hook_open(&s, VN_OP_RULE_ADD, text, NULL, 0) == -VN_BAD_OPTION);
  int32_t tap = hook_open(&s, VN_OP_TAP_OPEN, NULL, "ringBytes", 65536);
  CHECK(tap > 0 && client_number(c, "ringBytes") == 262144); /* the longest frame fits twice */
  uint8_t frame[64] = {0};
  CHECK(client_send(c, tap, frame, 64) == -VN_BAD_CALL);
  scene_close(&s);
}

static void test_a_full_ring_drops_only_copies(void) {
  struct scene s = scene_open(c);
  struct vn_writer options = {.data = NULL};
  vn_write_number(&options, "ringBytes", 65536);
  vn_write_number(&options, "snapLength", 1514);
  CHECK(client_call(c, s.board, VN_OP_TAP_OPEN, &options) == VN_OK && client_number(c, "ringBytes") == 65536);
  int32_t tap = s.last[0] = client_handle(c);
  uint8_t frame[1514];
  for (uint32_t i = 0; i < 200; i++) {
    udp_frame(frame, 1514, 5, i);
    CHECK(client_push(c, s.a, frame, 1514) && client_expect(c, s.b, frame, 1514, 1000));
  }
  uint64_t dropped = stat_of(&s, tap, "dropped");
  CHECK(stat_of(&s, tap, "matched") == 200 && dropped >= 150 && dropped < 170); /* 42 records of 1536 bytes fit */
  CHECK(stat_of(&s, tap, "droppedIn") == dropped);
  CHECK(drain_all(tap, 50) == 200 - dropped);
  udp_frame(frame, 1514, 5, 1000);
  CHECK(client_push(c, s.a, frame, 1514) && client_expect(c, s.b, frame, 1514, 1000));
  CHECK(client_drain(c, tap, 1, 1000) == 1 && udp_number(client_frame(c, 0)) == 1000); /* and it goes on */
  scene_close(&s);
}

static void test_taps_end_with_their_board_or_network(void) {
  struct scene s = scene_open(c);
  int32_t tap = hook_open(&s, VN_OP_TAP_OPEN, NULL, NULL, 0), rule = hook_open(&s, VN_OP_RULE_ADD, "icmp", NULL, 0);
  CHECK(client_call(c, s.network, VN_OP_SWITCH_CREATE, NULL) == VN_OK);
  int32_t second = client_handle(c), first = s.board;
  s.board = second;
  int32_t other = hook_open(&s, VN_OP_TAP_OPEN, NULL, NULL, 0);
  CHECK(client_stop(c, first) == VN_OK);
  CHECK(client_drain(c, tap, BATCH, 0) == -VN_STOPPED && state_becomes(&s, rule, VN_STOPPED));
  CHECK(client_drain(c, other, BATCH, 0) == 0);
  CHECK(client_stop(c, tap) == VN_OK && client_stop(c, rule) == VN_OK); /* as often as one likes */
  client_stop(c, s.network);
  CHECK(client_drain(c, other, BATCH, 0) == -VN_GONE && state_becomes(&s, other, VN_GONE));
  vn_close(other);
  client_stop(c, second);
  client_stop(c, s.a);
  client_stop(c, s.b);
  for (int i = 0; i < 64; i++) vn_close(s.last[i]);
}

struct traffic {
  vn_atomic_u32 over;
  vn_atomic_u64 sent, got;
};

static void *keep_sending(void *argument) {
  struct traffic *traffic = argument;
  struct client *own = client_open();
  struct scene s = scene_open(own);
  uint8_t frame[300];
  for (uint32_t i = 0; !vn_atomic_load(&traffic->over); i++) {
    udp_frame(frame, 300, (uint16_t)(1000 + i % 8), i);
    if (client_push(own, s.a, frame, 300)) vn_count(&traffic->sent, 1);
    if (i % 32 == 0)
      for (int32_t n; (n = client_drain(own, s.b, BATCH, 0)) > 0;) vn_count(&traffic->got, (uint64_t)n);
  }
  scene_close(&s);
  client_close(own);
  return NULL;
}

/* Eight taps with filters of their own come and go, and are closed without a word, while frames flow. */
static void test_taps_come_and_go_while_frames_flow(void) {
  struct scene s = scene_open(c);
  int32_t taps[8] = {0};
  uint64_t seen = 0, end = vn_monotonic_ns() + 600000000ull * (getenv("VN_LONG") && *getenv("VN_LONG") ? 10 : 1);
  uint8_t frame[300];
  uint32_t number = 0, opened = 0;
  while (vn_monotonic_ns() < end) {
    for (int i = 0; i < 8; i++) {
      char filter[64];
      snprintf(filter, sizeof filter, "udp dst port %d", 1000 + i);
      uint32_t chance = (opened * 2654435761u) >> 30;
      if (taps[i] > 0 && chance == 0) client_stop(c, taps[i]);
      else if (taps[i] > 0) vn_close(taps[i]);
      taps[i] = hook_open(&s, i % 4 == 3 ? VN_OP_RULE_ADD : VN_OP_TAP_OPEN, filter, NULL, 0);
      CHECK(taps[i] > 0);
      opened++;
      for (int k = 0; k < 64; k++, number++) {
        udp_frame(frame, 300, (uint16_t)(1000 + number % 8), number);
        client_send(c, s.a, frame, 300);
      }
      for (int k = 0; k < 8; k++) {
        if (k % 4 == 3 || taps[k] <= 0) continue;
        int32_t count = client_drain(c, taps[k], BATCH, 0);
        CHECK(count >= 0);
        for (int32_t n = 0; n < count; n++, seen++) CHECK(client_frame(c, n)[37] == ((1000 + k) & 255));
      }
      drain_all(s.b, 0);
    }
  }
  CHECK(seen > 0);
  printf("  %u taps and rules opened, %llu copies\n", opened, (unsigned long long)seen);
  scene_close(&s);
}

/* The same from several threads, each with networks of its own. */
static void test_threads_with_networks_of_their_own(void) {
  struct traffic traffic = {.over = 0};
  pthread_t thread;
  pthread_create(&thread, NULL, keep_sending, &traffic);
  test_taps_come_and_go_while_frames_flow();
  vn_atomic_store(&traffic.over, 1);
  pthread_join(thread, NULL);
  CHECK(vn_counted(&traffic.got) > 0);
}

/* CPU of all threads but this one, which is the network's, in ns. */
static uint64_t network_cpu(void) {
  struct rusage all, own;
  getrusage(RUSAGE_SELF, &all);
  getrusage(RUSAGE_THREAD, &own);
#define US(time) ((uint64_t)(time).tv_sec * 1000000 + (uint64_t)(time).tv_usec)
  return (US(all.ru_utime) + US(all.ru_stime) - US(own.ru_utime) - US(own.ru_stime)) * 1000;
}

struct figure {
  double cpu, took; /* ns per frame: of the network's thread, and until it was read */
};

static struct figure measure(struct scene *s, int32_t tap) {
  static uint8_t frames[64][1514];
  uint32_t descriptors[64 * VN_DESCRIPTOR_WORDS] = {0};
  for (uint32_t i = 0; i < 64; i++) {
    udp_frame(frames[i], 1514, 1000, i);
    frames[i][23] = 6; /* TCP: the filter has to look at ports */
    descriptors[i * VN_DESCRIPTOR_WORDS] = i * 1514;
    descriptors[i * VN_DESCRIPTOR_WORDS + 1] = 1514;
  }
  uint64_t got = 0, cpu = network_cpu(), start = vn_monotonic_ns(), now = start;
  for (; now < start + 300000000; now = vn_monotonic_ns()) {
    vn_send(s->a, frames[0], sizeof frames, descriptors, 0, 64);
    int32_t n = vn_drain(s->b, c->arena, ARENA, c->descriptors, BATCH);
    if (n > 0) got += (uint64_t)(n & 0xffff);
    vn_drain(tap > 0 ? tap : s->a, c->arena, ARENA, c->descriptors, BATCH); /* as many calls in each case */
  }
  return (struct figure){(double)(network_cpu() - cpu) / (double)got, (double)(now - start) / (double)got};
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Ratios to the round before without a tap, in the same second; their median. */
static void figures(void) {
  static const struct {
    const char *what, *filter;
    bool read;
  } cases[] = {{"a filter that matches nothing", "tcp port 80", true},
               {"\"arp or icmp\", which matches nothing", "arp or icmp", true},
               {"a tap of everything, read", NULL, true},
               {"a tap of everything, not read", NULL, false}};
  enum { ROUNDS = 15 };
  struct scene s = scene_open(c);
  for (int i = 0; i < 4; i++) {
    double cpu[ROUNDS], took[ROUNDS], frame = 0;
    for (int round = 0; round < ROUNDS; round++) {
      struct figure without = measure(&s, 0);
      int32_t tap = hook_open(&s, VN_OP_TAP_OPEN, cases[i].filter, NULL, 0);
      struct figure with = measure(&s, cases[i].read ? tap : 0);
      client_stop(c, tap);
      cpu[round] = with.cpu / without.cpu, took[round] = with.took / without.took, frame += without.cpu / ROUNDS;
    }
    qsort(cpu, ROUNDS, sizeof *cpu, by_value), qsort(took, ROUNDS, sizeof *took, by_value);
    printf("  %-40s %.2fx CPU per frame (%.0f ns without), %.2fx time\n", cases[i].what, cpu[ROUNDS / 2], frame,
           took[ROUNDS / 2]);
  }
  scene_close(&s);
}

static int descriptors, threads;
static uint64_t objects;

static void test_nothing_is_left(void) {
  struct scene s = {.c = c};
  CHECK(settles("/proc/self/fd", descriptors));
  CHECK(settles("/proc/self/task", threads + 8)); /* control threads stay */
  CHECK(stat_falls(&s, c->context, "objects", objects));
}

int main(void) {
  c = client_open();
  struct scene s = scene_open(c);
  bool without = hook_open(&s, VN_OP_TAP_OPEN, "tcp", NULL, 0) == -VN_MISSING;
  scene_close(&s);
  if (without) {
    printf("  skipped: libpcap is not installed\n");
    return finish();
  }
  descriptors = count_entries("/proc/self/fd"), threads = count_entries("/proc/self/task");
  client_get(c, c->context, VN_GET_STATS);
  objects = client_number(c, "objects");
  RUN(test_a_tap_gets_what_matches);
  RUN(test_a_script_that_waits_is_woken);
  RUN(test_a_tap_cuts_at_its_snap_length);
  RUN(test_a_tap_of_one_port);
  RUN(test_rules_drop);
  RUN(test_options_are_checked);
  RUN(test_a_full_ring_drops_only_copies);
  RUN(test_taps_end_with_their_board_or_network);
  RUN(test_threads_with_networks_of_their_own);
  RUN(test_nothing_is_left);
  if (getenv("VN_LONG") && *getenv("VN_LONG")) figures();
  client_close(c);
  return finish();
}
