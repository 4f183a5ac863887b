// SPDX-License-Identifier: MIT
/* core_fake.c - the scriptable backend of core_fake.h. */
#include "core_fake.h"

#include <dirent.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static vn_atomic_u32 alive, made, hanging, let_go, events;

uint32_t fake_alive(void) { return atomic_load(&alive); }
uint32_t fake_made(void) { return atomic_load(&made); }
uint32_t fake_hanging(void) { return atomic_load(&hanging); }
void fake_let_go(void) { atomic_fetch_add(&let_go, 1); }
void fake_add_events(uint32_t count) { atomic_fetch_add(&events, count); }

static void end(struct vn_object *object) {
  if (!atomic_exchange(&((struct fake_interface *)object)->ended, 1)) atomic_fetch_sub(&alive, 1);
}

static void close_object(struct vn_object *object) {
  end(object);
  vn_release(object);
}

static void destroy(struct vn_object *object) {
  struct fake_interface *fake = (struct fake_interface *)object;
  vn_ring_destroy(&fake->ends.rx);
  vn_ring_destroy(&fake->ends.tx);
  free(fake);
}

static const struct vn_class interface_class = {VN_INTERFACE, close_object, destroy};
static const struct vn_class network_class = {VN_NETWORK, close_object, destroy};
static const struct vn_class share_class = {VN_SHARE, close_object, destroy};
static const struct vn_class switch_class = {VN_SWITCH, close_object, destroy};
static const struct vn_class tap_class = {VN_TAP, close_object, destroy};
static const struct vn_class endpoint_class = {VN_ENDPOINT, close_object, destroy};

static void wake(struct vn_ring_port *ends) { atomic_fetch_add(&((struct fake_interface *)ends)->pokes, 1); }

static struct vn_object *make(struct vn_job *job, const struct vn_class *class) {
  struct fake_interface *fake = calloc(1, sizeof *fake);
  uint32_t size = (uint32_t)vn_list_number(job->options, job->options_length, "ring", 65536);
  vn_port_init(&fake->ends.port, class, job->doorbell, &vn_ring_source);
  fake->ends.wake = wake;
  if (class == &interface_class || class == &tap_class) vn_ring_init(&fake->ends.rx, size), vn_ring_init(&fake->ends.tx, size);
  atomic_fetch_add(&alive, 1);
  atomic_fetch_add(&made, 1);
  return &fake->ends.port.object;
}

/* Leaves room for so many bytes in a list. */
static void fill(struct vn_writer *list, uint32_t room) {
  uint32_t length = (64u << 20) - list->length - 12 - room; /* list.c's limit, without this entry's header and key */
  void *zeros = calloc(1, length);
  vn_write_bytes(list, "fill", zeros, length);
  free(zeros);
}

static struct vn_port *_Atomic lent;
struct vn_port *fake_lent(void) { return atomic_exchange(&lent, NULL); }

/* What a backend does with an interface that it was lent, and with descriptors. */
static void keep(struct vn_job *job) {
  int take = (int)vn_list_number(job->options, job->options_length, "take", 0);
  int give = (int)vn_list_number(job->options, job->options_length, "give", 0);
  if (job->lent) vn_write_number(&job->result, "lent", 1);
  if (job->other) vn_write_number(&job->result, "other", job->other->class->kind);
  if (take && vn_file_id(take, &job->taken_file)) job->taken = take;
  if (give) job->given = give;
  if (!vn_list_number(job->options, job->options_length, "keep", 0)) return;
  atomic_store(&lent, job->lent);
  job->lent = NULL;
}

static uint32_t run(struct vn_job *job) {
  uint64_t delay = vn_list_number(job->options, job->options_length, "delay", 0);
  bool stubborn = vn_list_number(job->options, job->options_length, "stubborn", 0);
  for (; delay && (stubborn || !vn_job_abandoned(job)); delay--) vn_sleep_ns(1000000);
  keep(job);
  if (delay) return vn_fail(job, VN_CANCELLED, NULL, "gave up");
  if (vn_list_number(job->options, job->options_length, "hang", 0)) {
    uint32_t now = atomic_load(&let_go);
    atomic_fetch_add(&hanging, 1);
    while (now == atomic_load(&let_go)) vn_sleep_ns(1000000);
    atomic_fetch_sub(&hanging, 1);
  }
  uint32_t failure = (uint32_t)vn_list_number(job->options, job->options_length, "fail", 0);
  if (failure) return vn_fail(job, failure, "mtu", "It was told to fail");
  uint32_t room = (uint32_t)vn_list_number(job->options, job->options_length, "room", 0);
  if (room) fill(&job->result, room);
  switch (job->op) {
    case VN_OP_NETWORK_JOIN: return vn_fail_errno(job, "Cannot join", 98);
    case VN_OP_NETWORK_SHARE: job->made = make(job, &share_class); break;
    case VN_OP_NETWORK_CREATE: job->made = make(job, &network_class); break;
    case VN_OP_INTERFACE_START: job->made = make(job, &interface_class); break;
    case VN_OP_SWITCH_CREATE: job->made = make(job, &switch_class); break;
    case VN_OP_TAP_OPEN: job->made = make(job, &tap_class); break;
    case VN_OP_ENDPOINT_OPEN: job->made = make(job, &endpoint_class); break;
    case VN_OP_STOP: end(job->target); break;
    default: vn_write_text(&job->result, "backend", "fake");
  }
  return VN_OK;
}

static uint32_t get(struct vn_object *object, uint32_t what, struct vn_writer *out) {
  if (object->class->kind != VN_NETWORK || what != VN_GET_EVENTS) return VN_UNSUPPORTED;
  for (uint32_t n = atomic_exchange(&events, 0); n; n--) vn_write_number(out, "change", n);
  return VN_OK;
}

static void nothing(void) {}

static const struct vn_backend fake = {.name = "fake", .run = run, .get = get, .shutdown = nothing, .alive = fake_alive};
const struct vn_backend *vn_backend(void) { return &fake; }

struct fake_interface *fake_interface_of(int32_t handle) {
  struct vn_object *object;
  return vn_handle_find(handle, &object) ? NULL : (struct fake_interface *)object;
}

struct fake_list fake_options(const char *key, ...) {
  struct vn_writer writer = {0};
  struct fake_list list;
  va_list more;
  va_start(more, key);
  for (; key; key = va_arg(more, const char *)) vn_write_number(&writer, key, (uint64_t)va_arg(more, int));
  va_end(more);
  list.length = writer.length;
  if (writer.length) memcpy(list.bytes, writer.data, writer.length);
  vn_writer_free(&writer);
  return list;
}

int32_t fake_call(int32_t target, uint32_t op, struct fake_list options, uint32_t deadline_ms) {
  return vn_call(target, op, options.bytes, options.length, deadline_ms);
}

int32_t fake_finish(int32_t context, int32_t operation, int32_t *handle) {
  uint8_t out[4096];
  uint32_t ready[2];
  int32_t length;
  while ((length = vn_result(operation, out, sizeof out)) == -VN_PENDING) vn_sleep_ns(200000);
  vn_poll(context, ready, 1);
  if (length < 0) return length;
  if (handle) *handle = (int32_t)vn_list_number(out, (uint32_t)length, "handle", 0);
  return (int32_t)vn_list_number(out, (uint32_t)length, "status", UINT32_MAX);
}

int32_t fake_start(int32_t context) {
  int32_t handle = 0;
  return fake_finish(context, fake_call(context, VN_OP_INTERFACE_START, fake_options(NULL), 0), &handle) ? 0 : handle;
}

bool fake_wait_bytes(int fd, int ms) {
  struct pollfd wait = {.fd = fd, .events = POLLIN};
  char bytes[64];
  return poll(&wait, 1, ms) == 1 && read(fd, bytes, sizeof bytes) > 0;
}

uint64_t fake_stat(int32_t handle, const char *key) {
  uint8_t out[4096];
  int32_t length = vn_get(handle, VN_GET_STATS, out, sizeof out);
  return length < 0 ? UINT64_MAX : vn_list_number(out, (uint32_t)length, key, UINT64_MAX);
}

static uint32_t entries(const char *path) {
  DIR *directory = opendir(path);
  uint32_t count = 0;
  while (directory && readdir(directory)) count++;
  if (directory) closedir(directory);
  return count;
}

uint32_t fake_threads(void) { return entries("/proc/self/task") - 2; }
uint32_t fake_descriptors(void) { return entries("/proc/self/fd") - 3; }
