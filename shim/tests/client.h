// SPDX-License-Identifier: MIT
/*
 * client.h - the public ABI as JavaScript would use it, for tests: call and wait, frames in and out.
 *
 * One context per thread that includes it, opened by client_open(). Options are written with the list writer.
 */
#ifndef VN_TESTS_CLIENT_H
#define VN_TESTS_CLIENT_H

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/list.h"
#include "core/os.h"
#include "test.h"
#include "vmnet_shim.h"

#define ARENA (1u << 20)
#define BATCH 256u
/* The library of Macs in its loader is tested: numbers of errors are the other system's, and sockets behave like its.
 * */
#ifdef DOUBLE_MACHO
#define IN_LOADER 1
#else
#define IN_LOADER 0
#endif

struct client {
  int32_t context;
  int bell;
  uint8_t result[1 << 18];
  uint32_t length;
  int32_t watched; /* a handle whose bits are kept in seen, whoever polls */
  uint32_t seen;
  uint8_t arena[ARENA];
  uint32_t descriptors[BATCH * VN_DESCRIPTOR_WORDS];
};

static inline struct client *client_open(void) {
  struct client *client = calloc(1, sizeof *client);
  vn_abi_version();
  client->context = vn_open();
  client->bell = vn_doorbell(client->context);
  return client;
}

static inline void client_close(struct client *client) {
  vn_close(client->context);
  close(client->bell);
  free(client);
}

/* Waits for the doorbell and empties it. */
static inline void client_wait(struct client *client, int ms) {
  struct pollfd slot = {.fd = client->bell, .events = POLLIN};
  char bytes[64];
  if (poll(&slot, 1, ms) > 0) while (read(client->bell, bytes, sizeof bytes) == (ssize_t)sizeof bytes) continue;
}

/* What is ready of one handle, since the last look; bits of other handles are thrown away. */
static inline uint32_t client_ready(struct client *client, int32_t handle, int ms) {
  uint32_t ready[128], bits = 0;
  client_wait(client, ms);
  int32_t count = vn_poll(client->context, ready, 64);
  for (int32_t i = 0; i < count; i++) {
    if (ready[2 * i] == (uint32_t)handle) bits |= ready[2 * i + 1];
    if (ready[2 * i] == (uint32_t)client->watched) client->seen |= ready[2 * i + 1];
  }
  return bits;
}

/* Begins an operation, waits for its end, frees the options, and answers its status. */
static inline uint32_t client_call(struct client *client, int32_t target, uint32_t op, struct vn_writer *options) {
  int32_t operation = vn_call(target, op, options ? options->data : NULL, options ? options->length : 0, 20000);
  if (options) vn_writer_free(options);
  if (operation < 0) return (uint32_t)-operation;
  int32_t length;
  while ((length = vn_result(operation, client->result, sizeof client->result)) == -VN_PENDING) {
    uint32_t ready[128];
    client_wait(client, 100);
    vn_poll(client->context, ready, 64);
  }
  if (length < 0) return (uint32_t)-length;
  client->length = (uint32_t)length;
  return (uint32_t)vn_list_number(client->result, client->length, "status", 9999);
}

static inline uint64_t client_number(struct client *client, const char *key) {
  return vn_list_number(client->result, client->length, key, UINT64_MAX);
}

/* A text of the last result, "" when it is missing; valid until the next call. */
static inline const char *client_text(struct client *client, const char *key) {
  static char text[4][512];
  static int at;
  char *out = text[at++ & 3];
  if (!vn_list_text(client->result, client->length, key, out, 512)) out[0] = 0;
  return out;
}

static inline int32_t client_handle(struct client *client) { return (int32_t)client_number(client, "handle"); }

static inline bool client_get(struct client *client, int32_t handle, uint32_t what) {
  int32_t length = vn_get(handle, what, client->result, sizeof client->result);
  client->length = length < 0 ? 0 : (uint32_t)length;
  return length >= 0;
}

/* Makes a network; extra may be NULL and is freed. Its handle, or minus the status. */
static inline int32_t client_network(struct client *client, uint32_t mode, bool dhcp, struct vn_writer *extra) {
  struct vn_writer options = {.data = NULL};
  if (extra) options = *extra;
  vn_write_number(&options, "mode", mode);
  vn_write_number(&options, "dhcp", dhcp);
  uint32_t status = client_call(client, client->context, VN_OP_NETWORK_CREATE, &options);
  return status ? -(int32_t)status : client_handle(client);
}

/* Starts an interface on a network (or a context); extra may be NULL and is freed. Its handle, or minus the status. */
static inline int32_t client_start(struct client *client, int32_t target, struct vn_writer *extra) {
  uint32_t status = client_call(client, target, VN_OP_INTERFACE_START, extra);
  return status ? -(int32_t)status : client_handle(client);
}

static inline uint32_t client_stop(struct client *client, int32_t handle) {
  return client_call(client, handle, VN_OP_STOP, NULL);
}

static inline int32_t client_send(struct client *client, int32_t port, const void *frame, uint32_t length) {
  uint32_t descriptor[VN_DESCRIPTOR_WORDS] = {0, length};
  (void)client;
  return vn_send(port, frame, length, descriptor, 0, 1);
}

/* Sends one frame, with patience for a full queue. */
static inline bool client_push(struct client *client, int32_t port, const void *frame, uint32_t length) {
  for (int i = 0; i < 2000; i++) {
    int32_t sent = client_send(client, port, frame, length);
    if (sent != 0) return sent == 1;
    client_ready(client, port, 5);
  }
  return false;
}

/* Drains up to max frames, waiting ms for the first. Their number; they lie in client->arena. */
static inline int32_t client_drain(struct client *client, int32_t port, uint32_t max, int ms) {
  for (uint64_t end = vn_monotonic_ns() + (uint64_t)ms * 1000000;;) {
    int32_t count = vn_drain(port, client->arena, ARENA, client->descriptors, max < BATCH ? max : BATCH);
    if (count < 0) return count;
    if ((count & 0xffff) != 0 || vn_monotonic_ns() >= end) return count & 0xffff;
    if (!(count & VN_MORE)) client_ready(client, port, 5);
  }
}

static inline const uint8_t *client_frame(const struct client *client, int32_t i) {
  return client->arena + client->descriptors[i * VN_DESCRIPTOR_WORDS];
}

static inline uint32_t client_length(const struct client *client, int32_t i) {
  return client->descriptors[i * VN_DESCRIPTOR_WORDS + 1];
}

/* Waits for one frame that begins like this one after the addresses; others are passed over. */
static inline bool client_expect(struct client *client, int32_t port, const void *frame, uint32_t length, int ms) {
  for (uint64_t end = vn_monotonic_ns() + (uint64_t)ms * 1000000; vn_monotonic_ns() < end;) {
    int32_t count = client_drain(client, port, BATCH, 5);
    for (int32_t i = 0; i < count; i++)
      if (client_length(client, i) == length && memcmp(client_frame(client, i), frame, length) == 0) return true;
    if (count < 0) return false;
  }
  return false;
}

/* An Ethernet frame of that length with a number in it. */
static inline void make_frame(uint8_t *frame, uint32_t length, const uint8_t to[6], const uint8_t from[6], uint32_t number) {
  memset(frame, (int)number, length);
  memcpy(frame, to, 6);
  memcpy(frame + 6, from, 6);
  frame[12] = 0x88;
  frame[13] = 0xb5; /* for local experiments */
  memcpy(frame + 14, &number, 4);
}

static const uint8_t everybody[6] = {255, 255, 255, 255, 255, 255};

/* Numbers of entries in /proc/self/fd and /proc/self/task: what a leak shows in. */
static inline int count_entries(const char *path) {
  DIR *directory = opendir(path);
  if (!directory) return 0;
  int count = 0;
  while (readdir(directory)) count++;
  closedir(directory);
  return count;
}

/* Waits until the count is back at or below what it was. */
static inline bool settles(const char *path, int before) {
  for (int i = 0; i < 400; i++) {
    if (count_entries(path) <= before) return true;
    usleep(5000);
  }
  return false;
}

/* Process ids of this process's children of that name. */
static inline int gateways(pid_t *pids) {
  int count = 0;
  DIR *directory = opendir("/proc");
  for (struct dirent *entry; (entry = readdir(directory));) {
    char path[300], text[512] = "", name[64] = "";
    int pid = 0, parent = 0;
    snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
    int fd = open(path, O_RDONLY);
    if (fd < 0) continue;
    if (read(fd, text, sizeof text - 1) > 0 && sscanf(text, "%d (%63[^)]) %*c %d", &pid, name, &parent) == 3 &&
        parent == getpid() && strncmp(name, "vmnet-gateway", 13) == 0) {
      if (pids) pids[count] = pid;
      count++;
    }
    close(fd);
  }
  closedir(directory);
  return count;
}

#endif
