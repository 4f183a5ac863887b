// SPDX-License-Identifier: MIT
/*
 * Threads that make, share, join, stop, close and cancel at random on the same few networks, while gateways are killed
 * at
 * any moment. Every single answer may be a refusal; what counts is that nobody hangs, that nothing is left at the end,
 * and
 * what the sanitizers say. VN_SEED=n repeats a run as far as threads allow.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* pthread_tryjoin_np() */
#endif
#include <pthread.h>
#include <signal.h>

#include "client.h"

#define THREADS 4
#define THINGS 12

static char tokens[THREADS][256]; /* of the last share of each thread, for all to join */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static vn_atomic_u32 over;

struct actor {
  uint32_t number, random, done;
  struct client *client;
  int32_t things[THINGS], operations[THINGS];
};

static uint32_t roll(struct actor *actor, uint32_t sides) {
  actor->random ^= actor->random << 13;
  actor->random ^= actor->random >> 17;
  actor->random ^= actor->random << 5;
  return actor->random % sides;
}

static int32_t *any(struct actor *actor, int32_t *from) { return &from[roll(actor, THINGS)]; }

static void keep(struct actor *actor, int32_t handle) {
  int32_t *place = any(actor, actor->things);
  if (*place > 0) vn_close(*place);
  *place = handle;
}

static void write_forward(struct actor *actor, struct vn_writer *options, bool remove) {
  vn_write_number(options, "protocol", roll(actor, 2) ? 6 : 17);
  vn_write_number(options, "externalPort", 21000 + roll(actor, 20));
  if (remove) return;
  vn_write_text(options, "internalAddress", roll(actor, 2) ? "192.168.64.2" : "192.168.128.2");
  vn_write_number(options, "internalPort", 80);
}

static void write_reservation(struct actor *actor, struct vn_writer *options, bool remove) {
  const uint8_t mac[6] = {2, 0, 0, 0, 0, (uint8_t)roll(actor, 8)};
  char address[32];
  snprintf(address, sizeof address, "192.168.%u.%u", roll(actor, 2) ? 64 : 128, roll(actor, 8));
  vn_write_bytes(options, "mac", mac, 6);
  if (!remove) vn_write_text(options, "address", address);
}

static void begin(struct actor *actor) {
  static const uint32_t ops[] = {VN_OP_NETWORK_CREATE, VN_OP_INTERFACE_START, VN_OP_INTERFACE_START, VN_OP_NETWORK_SHARE,
                                 VN_OP_NETWORK_JOIN,   VN_OP_STOP,            VN_OP_STOP,            VN_OP_FORWARD_ADD,
                                 VN_OP_FORWARD_REMOVE, VN_OP_FORWARD_LIST,    VN_OP_PROBE,           VN_OP_RESERVATION_ADD,
                                 VN_OP_RESERVATION_ADD, VN_OP_RESERVATION_REMOVE, VN_OP_RESERVATION_LIST};
  int32_t *place = any(actor, actor->operations);
  if (*place > 0) return;
  uint32_t op = ops[roll(actor, sizeof ops / sizeof *ops)];
  int32_t target = *any(actor, actor->things);
  struct vn_writer options = {.data = NULL};
  if (op == VN_OP_PROBE && roll(actor, 8)) op = VN_OP_SHARED_INTERFACES;
  if (op == VN_OP_NETWORK_CREATE) {
    vn_write_number(&options, "mode", 1000 + roll(actor, 2));
    vn_write_number(&options, "dhcp", roll(actor, 4) == 0);
  }
  if (op == VN_OP_INTERFACE_START && roll(actor, 4) == 0) {
    target = actor->client->context;
    vn_write_number(&options, "vmnet_operation_mode", 1000 + roll(actor, 2));
  }
  if (op == VN_OP_NETWORK_JOIN) {
    pthread_mutex_lock(&lock);
    vn_write_text(&options, "token", tokens[roll(actor, THREADS)]);
    pthread_mutex_unlock(&lock);
  }
  if (op == VN_OP_FORWARD_ADD || op == VN_OP_FORWARD_REMOVE) write_forward(actor, &options, op == VN_OP_FORWARD_REMOVE);
  if (op == VN_OP_RESERVATION_ADD || op == VN_OP_RESERVATION_REMOVE)
    write_reservation(actor, &options, op == VN_OP_RESERVATION_REMOVE);
  if (op < VN_OP_NETWORK_SHARE) target = actor->client->context;
  *place = vn_call(target, op, options.data, options.length, roll(actor, 3) ? 5000 : 1 + roll(actor, 30));
  vn_writer_free(&options);
}

static void fetch(struct actor *actor) {
  int32_t *place = any(actor, actor->operations), length;
  struct client *c = actor->client;
  if (*place <= 0 || (length = vn_result(*place, c->result, sizeof c->result)) == -VN_PENDING) return;
  *place = 0;
  actor->done++;
  c->length = length < 0 ? 0 : (uint32_t)length;
  int64_t handle = (int64_t)client_number(c, "handle");
  if (handle > 0) keep(actor, (int32_t)handle);
  char token[256];
  if (!vn_list_text(c->result, c->length, "token", token, sizeof token)) return;
  pthread_mutex_lock(&lock);
  strcpy(tokens[actor->number], token);
  pthread_mutex_unlock(&lock);
}

static void send_and_drain(struct actor *actor) {
  static uint8_t frames[3000];
  uint32_t descriptors[16 * VN_DESCRIPTOR_WORDS] = {0}, count = 1 + roll(actor, 16);
  for (uint32_t i = 0; i < count; i++) descriptors[i * VN_DESCRIPTOR_WORDS + 1] = roll(actor, 1600);
  int32_t port = *any(actor, actor->things);
  vn_interest(port, roll(actor, 2));
  vn_send(port, frames, sizeof frames, descriptors, 0, count);
  vn_drain(port, actor->client->arena, 1 + roll(actor, ARENA), actor->client->descriptors, 1 + roll(actor, BATCH));
}

static void act(struct actor *actor) {
  struct client *c = actor->client;
  int32_t *thing = any(actor, actor->things), *operation = any(actor, actor->operations);
  switch (roll(actor, 12)) {
    case 0: case 1: case 2: begin(actor); break;
    case 3: case 4: case 5: fetch(actor); break;
    case 6: case 7: send_and_drain(actor); break;
    case 8: client_get(c, *thing, 1 + roll(actor, 5)); break;
    case 9: client_ready(c, *thing, (int)roll(actor, 3)); break;
    case 10: if (roll(actor, 4) == 0) vn_close(*thing), *thing = 0; break;
    default:
      if (roll(actor, 4)) break;
      roll(actor, 2) ? vn_cancel(*operation) : vn_close(*operation);
      if (vn_cancel(*operation) < 0) *operation = 0;
  }
}

static void *live(void *argument) {
  struct actor *actor = argument;
  while (!atomic_load(&over)) {
    actor->client = client_open();
    memset(actor->things, 0, sizeof actor->things);
    memset(actor->operations, 0, sizeof actor->operations);
    for (uint32_t left = 200 + roll(actor, 2000); left && !atomic_load(&over); left--) act(actor);
    if (roll(actor, 2)) break; /* the thread's end closes the context */
    client_close(actor->client);
    actor->client = NULL;
  }
  return NULL;
}

/* After the thread's end: what is left of a context that it did not close. */
static void bury(struct actor *actor) {
  if (actor->client) close(actor->client->bell);
  free(actor->client);
  actor->client = NULL;
}

static void test_anything_at_any_time_leaves_nothing(void) {
  int fds = count_entries("/proc/self/fd"), tasks = count_entries("/proc/self/task");
  static struct actor actors[THREADS];
  uint32_t seed = getenv("VN_SEED") ? (uint32_t)atoi(getenv("VN_SEED")) : (uint32_t)vn_realtime_ns() | 1, done = 0;
  bool more = getenv("VN_LONG") && *getenv("VN_LONG");
  pthread_t threads[THREADS];
  bool runs[THREADS] = {false};
  for (uint32_t i = 0; i < THREADS; i++)
    actors[i] = (struct actor){.number = i, .random = seed * 2654435761u * (i + 1) | 1};
  uint64_t end = vn_monotonic_ns() + (more ? 60 : 3) * 1000000000ull;
  while (vn_monotonic_ns() < end) {
    for (uint32_t i = 0; i < THREADS; i++) {
      if (runs[i] && pthread_tryjoin_np(threads[i], NULL) == 0) {
        runs[i] = false;
        bury(&actors[i]);
      }
      if (!runs[i]) runs[i] = pthread_create(&threads[i], NULL, live, &actors[i]) == 0;
    }
    pid_t pids[512];
    int count = gateways(pids);
    if (count > 0) kill(pids[(uint32_t)vn_monotonic_ns() % (uint32_t)count], SIGKILL);
    usleep(20000);
  }
  atomic_store(&over, 1);
  for (uint32_t i = 0; i < THREADS; i++) {
    pthread_join(threads[i], NULL);
    bury(&actors[i]);
    done += actors[i].done;
  }
  CHECK(done > 100);
  CHECK(vn_shutdown(10000) == 0);
  CHECK(gateways(NULL) == 0);
  CHECK(settles("/proc/self/task", tasks));
  CHECK(settles("/proc/self/fd", fds));
  printf("  %u operations, seed %u\n", done, seed);
}

int main(void) {
  client_close(client_open()); /* what the first thread of a process brings along is no leak */
  RUN(test_anything_at_any_time_leaves_nothing);
  return finish();
}
