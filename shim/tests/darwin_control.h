// SPDX-License-Identifier: MIT
/* darwin_control.h - for the tests of darwin/'s control half: what is left, and what the double of vmnet has got. */
#ifndef VN_TESTS_DARWIN_CONTROL_H
#define VN_TESTS_DARWIN_CONTROL_H

#include "client.h"
#include "double.h"

/* Nothing of vmnet's lives, and nothing of ours but the context. What ends, ends on threads of its own: it is waited
 * for. */
static inline bool nothing_left(struct client *client) {
  static const char *const counted[] = {"queues", "blocks", "xpc", "cf", "interfaces", "networks", "configurations"};
  const uint64_t end = vn_monotonic_ns() + 5000000000u;
  bool nothing;
  do {
    nothing = client_get(client, client->context, VN_GET_STATS) && client_number(client, "objects") == 1 &&
              client_number(client, "handles") == 1 && client_number(client, "operations") == 0;
    for (size_t i = 0; i < sizeof counted / sizeof *counted; i++) nothing = nothing && double_count(counted[i]) == 0;
    if (nothing) return true;
    client_ready(client, 0, 5);
  } while (vn_monotonic_ns() < end);
  client_get(client, client->context, VN_GET_STATS);
  fprintf(stderr, "left: objects %d handles %d operations %d", (int)client_number(client, "objects"),
          (int)client_number(client, "handles"), (int)client_number(client, "operations"));
  for (size_t i = 0; i < sizeof counted / sizeof *counted; i++)
    fprintf(stderr, " %s %ld", counted[i], double_count(counted[i]));
  fprintf(stderr, "\n");
  return false;
}

/* Begins an operation with a deadline; the options are freed. */
static inline int32_t begin(int32_t target, uint32_t op, struct vn_writer *options, uint32_t deadline_ms) {
  int32_t operation = vn_call(target, op, options ? options->data : NULL, options ? options->length : 0, deadline_ms);
  if (options) vn_writer_free(options);
  return operation;
}

/* Waits for its end, and answers its status. */
static inline uint32_t end_of(struct client *client, int32_t operation) {
  if (operation < 0) return (uint32_t)-operation;
  int32_t length;
  while ((length = vn_result(operation, client->result, sizeof client->result)) == -VN_PENDING)
    client_ready(client, operation, 50);
  client->length = length < 0 ? 0 : (uint32_t)length;
  return length < 0 ? (uint32_t)-length : (uint32_t)vn_list_number(client->result, client->length, "status", 9999);
}

static inline uint32_t state_of(struct client *client, int32_t handle) {
  return client_get(client, handle, VN_GET_STATE) ? (uint32_t)client_number(client, "status") : 9999;
}

/* The nth entry of that key, its type a list. */
static inline bool nth(const uint8_t *data, uint32_t length, const char *key, uint32_t n, struct vn_entry *out) {
  struct vn_reader reader;
  vn_list_read(&reader, data, length);
  while (vn_list_next(&reader, out))
    if (vn_entry_is(out, VN_LIST, key) && n-- == 0) return true;
  return false;
}

static inline uint32_t how_many(const uint8_t *data, uint32_t length, const char *key) {
  struct vn_entry entry;
  uint32_t count = 0;
  while (nth(data, length, key, count, &entry)) count++;
  return count;
}

/* "6 8080 192.168.5.2 80" */
static inline const char *rule_text(const struct vn_entry *rule) {
  static char text[100];
  char address[50] = "";
  vn_list_text(rule->value, rule->length, "internalAddress", address, sizeof address);
  snprintf(text, sizeof text, "%d %d %s %d", (int)vn_list_number(rule->value, rule->length, "protocol", 0),
           (int)vn_list_number(rule->value, rule->length, "externalPort", 0), address,
           (int)vn_list_number(rule->value, rule->length, "internalPort", 0));
  return text;
}

static inline void write_rule(struct vn_writer *out, uint32_t protocol, uint32_t external, const char *address,
                              uint32_t internal) {
  vn_write_number(out, "protocol", protocol);
  vn_write_number(out, "externalPort", external);
  if (address) vn_write_text(out, "internalAddress", address);
  if (address) vn_write_number(out, "internalPort", internal);
}

static inline void write_forward(struct vn_writer *out, uint32_t protocol, uint32_t external, const char *address,
                                 uint32_t internal) {
  uint32_t mark = vn_write_begin(out, "forward");
  write_rule(out, protocol, external, address, internal);
  vn_write_end(out, mark);
}

static inline void write_reservation(struct vn_writer *out, const uint8_t mac[6], const char *address) {
  uint32_t mark = vn_write_begin(out, "reservation");
  vn_write_bytes(out, "mac", mac, 6);
  vn_write_text(out, "address", address);
  vn_write_end(out, mark);
}

#endif
