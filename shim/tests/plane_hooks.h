// SPDX-License-Identifier: MIT
/* plane_hooks.h - for tests of taps, intercepts and rules: a network with two interfaces and its switch. */
#ifndef VN_TESTS_PLANE_HOOKS_H
#define VN_TESTS_PLANE_HOOKS_H

#include "client.h"

struct scene {
  struct client *c;
  int32_t network, a, b, board;
  int32_t last[64]; /* hooks that were opened, to be closed if nobody has */
  uint32_t opened;
};

static const uint8_t mac_a[6] = {2, 0, 0, 0, 0, 0xa}, mac_b[6] = {2, 0, 0, 0, 0, 0xb};

static inline struct scene scene_open(struct client *c) {
  struct scene s = {.c = c};
  s.network = client_network(c, 1000, false, NULL);
  s.a = client_start(c, s.network, NULL);
  s.b = client_start(c, s.network, NULL);
  s.board = client_call(c, s.network, VN_OP_SWITCH_CREATE, NULL) == VN_OK ? client_handle(c) : -1;
  CHECK(s.network > 0 && s.a > 0 && s.b > 0 && s.board > 0);
  /* Both addresses are known before anybody looks. */
  uint8_t frame[64];
  make_frame(frame, 64, everybody, mac_a, 0);
  CHECK(client_push(c, s.a, frame, 64) && client_expect(c, s.b, frame, 64, 1000));
  make_frame(frame, 64, everybody, mac_b, 0);
  CHECK(client_push(c, s.b, frame, 64) && client_expect(c, s.a, frame, 64, 1000));
  return s;
}

static inline void scene_close(struct scene *s) {
  for (int i = 0; i < 64; i++) vn_close(s->last[i]);
  client_stop(s->c, s->board);
  client_stop(s->c, s->a);
  client_stop(s->c, s->b);
  CHECK(client_stop(s->c, s->network) == VN_OK);
}

/* Opens a tap, an intercept or a rule; more may be NULL. Its handle, or minus the status. */
static inline int32_t hook_open(struct scene *s, uint32_t op, const char *filter, const char *key, uint64_t value) {
  struct vn_writer options = {.data = NULL};
  if (filter) vn_write_text(&options, "filter", filter);
  if (key) vn_write_number(&options, key, value);
  uint32_t status = client_call(s->c, s->board, op, &options);
  int32_t handle = status ? -(int32_t)status : client_handle(s->c);
  if (handle > 0) s->last[s->opened++ % 64] = handle;
  return handle;
}

static inline uint64_t stat_of(struct scene *s, int32_t handle, const char *key) {
  client_get(s->c, handle, VN_GET_STATS);
  return client_number(s->c, key);
}

static inline bool stat_becomes(struct scene *s, int32_t handle, const char *key, uint64_t value) {
  for (int i = 0; i < 400 && stat_of(s, handle, key) != value; i++) usleep(5000);
  return stat_of(s, handle, key) == value;
}

/* At most so much: what was counted at the beginning may itself have been on its way out. */
static inline bool stat_falls(struct scene *s, int32_t handle, const char *key, uint64_t value) {
  for (int i = 0; i < 1000 && stat_of(s, handle, key) > value; i++) usleep(5000);
  return stat_of(s, handle, key) <= value;
}

static inline bool state_becomes(struct scene *s, int32_t handle, uint32_t status) {
  for (int i = 0; i < 400; i++) {
    client_get(s->c, handle, VN_GET_STATE);
    if (client_number(s->c, "status") == status) return true;
    usleep(5000);
  }
  return false;
}

/* The UDP frame from a to b that a filter can tell by its port. */
static inline void udp_frame(uint8_t *frame, uint32_t length, uint16_t port, uint32_t number) {
  memset(frame, 0, length);
  memcpy(frame, mac_b, 6);
  memcpy(frame + 6, mac_a, 6);
  frame[12] = 8, frame[14] = 0x45, frame[16] = (uint8_t)((length - 14) >> 8), frame[17] = (uint8_t)(length - 14);
  frame[22] = 64, frame[23] = 17;
  memcpy(frame + 26, (uint8_t[]){10, 0, 0, 1, 10, 0, 0, 2}, 8);
  frame[36] = (uint8_t)(port >> 8), frame[37] = (uint8_t)port;
  memcpy(frame + 42, &number, 4);
}

static inline uint32_t udp_number(const uint8_t *frame) {
  uint32_t number;
  memcpy(&number, frame + 42, 4);
  return number;
}

static inline uint32_t client_word(const struct client *client, int32_t i, int word) {
  return client->descriptors[i * VN_DESCRIPTOR_WORDS + word];
}

#endif
