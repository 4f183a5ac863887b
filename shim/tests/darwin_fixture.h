// SPDX-License-Identifier: MIT
/*
 * darwin_fixture.h - the public ABI over the doubles, with the hub as wire: scripts, operations with deadlines, and
 * what
 * has to be zero in the end.
 */
#ifndef VN_TESTS_DARWIN_FIXTURE_H
#define VN_TESTS_DARWIN_FIXTURE_H

#include <time.h>

#include "client.h"
#include "core/handle.h"
#include "darwin/nic.h"
#include "darwin/system.h"
#include "double.h"

static inline bool is_long(void) {
  const char *value = getenv("VN_LONG");
  return value && *value;
}

/* The script that every test begins with. */
static inline void script_reset(void) {
  static const char *const script[][2] = {
      {"wire", "hub"},   {"macos", "26.0"},   {"start", "ok"},        {"stop", "ok"},    {"call", "ok"}, {"events", "each"},
      {"exhaust", "0"}, {"read_max", "256"}, {"write_max", "256"}, {"queue", "1024"}, {"seed", "1"},  {"uid", "0"},
      {"entitled", "0"}};
  for (size_t i = 0; i < sizeof script / sizeof *script; i++) double_set(script[i][0], script[i][1]);
}

/* The framework's own objects and ours, that a test has to give back. Waits for threads that are on their way. */
static inline long live(void) {
  return double_count("interfaces") + double_count("queues") + double_count("blocks") + double_count("xpc") +
         vn_mac_nics_alive() + vn_mac_waits_alive();
}

static inline bool all_gone(void) {
  static int patience = 1000; /* what was left once is left for good */
  for (int i = 0; i < patience; i++) {
    if (live() == 0) return true;
    usleep(5000);
  }
  patience = 10;
  fprintf(stderr, "left: %ld interfaces, %ld queues, %ld blocks, %ld xpc objects, %u of ours, %u waits\n",
          double_count("interfaces"), double_count("queues"), double_count("blocks"), double_count("xpc"),
          vn_mac_nics_alive(), vn_mac_waits_alive());
  return false;
}

static inline struct client *begin_test(void) {
  script_reset();
  return client_open();
}

static inline bool end_test(struct client *client) {
  client_close(client);
  return all_gone();
}

/* Options of a host-mode interface, which the caller may add to. */
static inline struct vn_writer host_mode(void) {
  struct vn_writer options = {.data = NULL};
  vn_write_number(&options, "vmnet_operation_mode", VMNET_HOST_MODE);
  return options;
}

static inline int32_t start_host(struct client *client) {
  struct vn_writer options = host_mode();
  return client_start(client, client->context, &options);
}

/* As client_call(), with a deadline of that many milliseconds and cancelled after that many; 0: neither. */
static inline uint32_t call_within(struct client *client, int32_t target, uint32_t op, struct vn_writer *options,
                                   uint32_t deadline_ms, uint32_t cancel_ms) {
  int32_t operation = vn_call(target, op, options ? options->data : NULL, options ? options->length : 0, deadline_ms);
  if (options) vn_writer_free(options);
  if (operation < 0) return (uint32_t)-operation;
  uint64_t begun = vn_monotonic_ns();
  for (;;) {
    int32_t length = vn_result(operation, client->result, sizeof client->result);
    if (length >= 0) {
      client->length = (uint32_t)length;
      return (uint32_t)vn_list_number(client->result, client->length, "status", 9999);
    }
    if (length != -VN_PENDING) return (uint32_t)-length;
    uint32_t ready[128];
    client_wait(client, 2);
    vn_poll(client->context, ready, 64);
    if (cancel_ms && vn_monotonic_ns() - begun > cancel_ms * 1000000ull) vn_cancel(operation), cancel_ms = 0;
  }
}

static inline struct vn_mac_nic *nic_of(int32_t handle) {
  struct vn_object *object;
  return vn_handle_find(handle, &object) == VN_OK ? (struct vn_mac_nic *)object : NULL;
}

static inline uint64_t stat_of(struct client *client, int32_t handle, const char *key) {
  return client_get(client, handle, VN_GET_STATS) ? client_number(client, key) : UINT64_MAX;
}

static inline double elapsed_ms(uint64_t since) { return (double)(vn_monotonic_ns() - since) / 1e6; }

static inline double cpu_ms(void) { /* of the whole process */
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

#endif
