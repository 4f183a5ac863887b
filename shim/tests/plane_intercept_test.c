// SPDX-License-Identifier: MIT
/* Intercepts through the public ABI: a script takes frames out of their way, and sends them on, others, or none. */
#include "plane_hooks.h"

static struct client *c;

/* Sends what was drained on from its port, but those that verdict() refuses. Their number. */
static uint32_t decide(int32_t intercept, int ms, bool (*verdict)(uint8_t *frame, uint32_t length)) {
  uint32_t passed = 0;
  for (int32_t count; (count = client_drain(c, intercept, BATCH, ms)) > 0;) {
    uint32_t words[BATCH * VN_DESCRIPTOR_WORDS], n = 0;
    for (int32_t i = 0; i < count; i++) {
      if (verdict && !verdict(c->arena + client_word(c, i, 0), client_length(c, i))) continue;
      memcpy(words + n++ * VN_DESCRIPTOR_WORDS, c->descriptors + i * VN_DESCRIPTOR_WORDS, 4 * VN_DESCRIPTOR_WORDS);
    }
    for (uint32_t done = 0; done < n;) {
      int32_t sent = vn_send(intercept, c->arena, ARENA, words, done, n - done);
      CHECK(sent >= 0);
      if (sent < 0) return passed;
      done += (uint32_t)sent;
      if (!sent) client_ready(c, intercept, 5);
    }
    passed += n;
  }
  return passed;
}

static bool even(uint8_t *frame, uint32_t length) {
  (void)length;
  return udp_number(frame) % 2 == 0;
}

static bool rewrite(uint8_t *frame, uint32_t length) {
  if (length > 60) memset(frame + 46, 0x5a, 10);
  return true;
}

static void test_a_script_decides(void) {
  struct scene s = scene_open(c);
  int32_t intercept = hook_open(&s, VN_OP_INTERCEPT_OPEN, "udp port 53", NULL, 0);
  CHECK(intercept > 0);
  uint8_t frame[100];
  for (uint32_t i = 0; i < 20; i++) {
    udp_frame(frame, 100, i < 10 ? 53 : 54, i);
    CHECK(client_push(c, s.a, frame, 100));
  }
  CHECK(decide(intercept, 100, even) == 5);
  bool seen[20] = {false};
  for (int32_t n; (n = client_drain(c, s.b, BATCH, 100)) > 0;)
    for (int32_t i = 0; i < n; i++) seen[udp_number(client_frame(c, i)) % 20] = true;
  for (uint32_t i = 0; i < 20; i++) CHECK(seen[i] == (i >= 10 || i % 2 == 0));
  CHECK(stat_of(&s, intercept, "matched") == 10 && stat_of(&s, intercept, "framesOut") == 5);
  CHECK(client_stop(c, intercept) == VN_OK);
  udp_frame(frame, 100, 53, 1);
  CHECK(client_push(c, s.a, frame, 100) && client_expect(c, s.b, frame, 100, 1000)); /* nobody decides any more */
  scene_close(&s);
}

static void test_a_script_rewrites(void) {
  struct scene s = scene_open(c);
  int32_t intercept = hook_open(&s, VN_OP_INTERCEPT_OPEN, NULL, NULL, 0);
  uint8_t frame[1514];
  for (uint32_t i = 0; i < 300; i++) {
    udp_frame(frame, 1514, 7, i);
    CHECK(client_push(c, s.a, frame, 1514));
    decide(intercept, 0, rewrite);
  }
  decide(intercept, 50, rewrite);
  uint32_t got = 0;
  for (int32_t n; (n = client_drain(c, s.b, BATCH, 100)) > 0;)
    for (int32_t i = 0; i < n; i++, got++) {
      CHECK(udp_number(client_frame(c, i)) == got && client_length(c, i) == 1514); /* in their order */
      CHECK(client_frame(c, i)[46] == 0x5a && client_frame(c, i)[55] == 0x5a && client_frame(c, i)[56] == 0);
    }
  CHECK(got == 300);
  scene_close(&s);
}

static void test_a_port_that_is_gone(void) {
  struct scene s = scene_open(c);
  int32_t intercept = hook_open(&s, VN_OP_INTERCEPT_OPEN, "udp", NULL, 0);
  uint8_t frame[100];
  udp_frame(frame, 100, 1, 5);
  CHECK(client_push(c, s.a, frame, 100) && client_drain(c, intercept, 1, 1000) == 1);
  uint64_t before = stat_of(&s, s.board, "droppedVerdict");
  uint32_t words[3 * VN_DESCRIPTOR_WORDS] = {0}, number = client_word(c, 0, 3);
  for (int i = 0; i < 3; i++) words[i * VN_DESCRIPTOR_WORDS + 1] = 100;
  words[3] = 0xffff0000; /* nobody, nobody in another way, and the one it came from */
  words[VN_DESCRIPTOR_WORDS + 3] = 0;
  words[2 * VN_DESCRIPTOR_WORDS + 3] = number;
  memcpy(c->arena, frame, 100);
  CHECK(vn_send(intercept, c->arena, ARENA, words, 0, 3) == 3);
  CHECK(client_expect(c, s.b, frame, 100, 1000));
  CHECK(stat_becomes(&s, s.board, "droppedVerdict", before + 2));
  client_stop(c, s.a);
  memcpy(c->arena, frame, 100);
  words[3] = number;
  CHECK(vn_send(intercept, c->arena, ARENA, words, 0, 1) == 1);
  CHECK(stat_becomes(&s, s.board, "droppedVerdict", before + 3));
  scene_close(&s);
}

static void test_nonsense_is_refused(void) {
  struct scene s = scene_open(c);
  int32_t intercept = hook_open(&s, VN_OP_INTERCEPT_OPEN, NULL, NULL, 0);
  uint32_t words[VN_DESCRIPTOR_WORDS] = {0, 13};
  CHECK(vn_send(intercept, c->arena, ARENA, words, 0, 1) == -VMNET_INVALID_ARGUMENT);
  words[1] = 65563;
  CHECK(vn_send(intercept, c->arena, ARENA, words, 0, 1) == -VMNET_PACKET_TOO_BIG);
  words[0] = ARENA - 10, words[1] = 100;
  CHECK(vn_send(intercept, c->arena, ARENA, words, 0, 1) == -VN_BAD_CALL);
  words[0] = 0, words[1] = 65562; /* longer than any port of this network takes: counted there */
  uint8_t frame[64];
  udp_frame(frame, 64, 1, 1);
  CHECK(client_push(c, s.a, frame, 64) && client_drain(c, intercept, 1, 1000) == 1);
  words[3] = client_word(c, 0, 3);
  memcpy(c->arena, frame, 64);
  CHECK(vn_send(intercept, c->arena, ARENA, words, 0, 1) == 1);
  CHECK(stat_becomes(&s, s.board, "droppedTooLong", 1));
  scene_close(&s);
}

static void overflow(bool pass) {
  struct scene s = scene_open(c);
  int32_t intercept = hook_open(&s, VN_OP_INTERCEPT_OPEN, NULL, "passOnOverflow", pass);
  CHECK(client_number(c, "ringBytes") == 1 << 20);
  uint8_t frame[1514];
  uint32_t got = 0;
  for (uint32_t i = 0; i < 1000; i++) {
    udp_frame(frame, 1514, 1, i);
    CHECK(client_push(c, s.a, frame, 1514));
    for (int32_t n; (n = client_drain(c, s.b, BATCH, 0)) > 0;) got += (uint32_t)n;
  }
  CHECK(stat_becomes(&s, intercept, "matched", 1000));
  for (int32_t n; (n = client_drain(c, s.b, BATCH, 50)) > 0;) got += (uint32_t)n;
  uint64_t full = stat_of(&s, intercept, "dropped");
  CHECK(full > 300 && full < 330); /* 682 of 1536 bytes fit in 1 MiB */
  CHECK(got == (pass ? full : 0) && stat_of(&s, s.board, "droppedVerdict") == (pass ? 0 : full));
  CHECK(decide(intercept, 50, NULL) == 1000 - full);
  for (int32_t n; (n = client_drain(c, s.b, BATCH, 50)) > 0;) got += (uint32_t)n;
  CHECK(got == (pass ? 1000 : 1000 - full));
  scene_close(&s);
}

static void test_a_full_ring_drops(void) { overflow(false); }
static void test_a_full_ring_passes_if_told_so(void) { overflow(true); }

static void test_the_first_intercept_has_it(void) {
  struct scene s = scene_open(c);
  int32_t first = hook_open(&s, VN_OP_INTERCEPT_OPEN, "udp port 53", NULL, 0);
  int32_t second = hook_open(&s, VN_OP_INTERCEPT_OPEN, "udp", NULL, 0);
  int32_t tap = hook_open(&s, VN_OP_TAP_OPEN, "udp", NULL, 0);
  uint8_t frame[100];
  for (uint32_t i = 0; i < 4; i++) {
    udp_frame(frame, 100, i % 2 ? 53 : 54, i);
    CHECK(client_push(c, s.a, frame, 100));
  }
  CHECK(decide(first, 100, NULL) == 2 && decide(second, 100, NULL) == 2); /* what goes on meets no other one */
  CHECK(client_drain(c, tap, BATCH, 100) == 4 && client_drain(c, s.b, BATCH, 100) == 4);
  scene_close(&s);
}

/* A script that has answers in flight when all ends, in every order. */
static void test_the_end_with_frames_in_flight(void) {
  for (int round = 0; round < 60; round++) {
    struct scene s = scene_open(c);
    int32_t intercept = hook_open(&s, VN_OP_INTERCEPT_OPEN, NULL, NULL, 0);
    uint8_t frame[1000];
    for (uint32_t i = 0; i < 100; i++) {
      udp_frame(frame, 1000, 1, i);
      client_push(c, s.a, frame, 1000);
    }
    int32_t count = client_drain(c, intercept, BATCH, 100);
    if (count > 0) vn_send(intercept, c->arena, ARENA, c->descriptors, 0, (uint32_t)count);
    if (round % 4 == 0) vn_close(intercept);
    if (round % 4 == 1) client_stop(c, intercept);
    if (round % 4 == 2) client_stop(c, s.board);
    if (round % 4 == 3) client_stop(c, s.network);
    for (int i = 0; i < 64; i++) vn_close(s.last[i]);
    vn_close(s.board), vn_close(s.a), vn_close(s.b), vn_close(s.network);
  }
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
  int descriptors = count_entries("/proc/self/fd");
  uint64_t objects = stat_of(&s, c->context, "objects");
  RUN(test_a_script_decides);
  RUN(test_a_script_rewrites);
  RUN(test_a_port_that_is_gone);
  RUN(test_nonsense_is_refused);
  RUN(test_a_full_ring_drops);
  RUN(test_a_full_ring_passes_if_told_so);
  RUN(test_the_first_intercept_has_it);
  RUN(test_the_end_with_frames_in_flight);
  bool clean = settles("/proc/self/fd", descriptors) && stat_falls(&s, c->context, "objects", objects);
  CHECK(clean);
  client_close(c);
  return finish() || !clean;
}
