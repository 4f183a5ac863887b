// SPDX-License-Identifier: MIT
/*
 * Descriptors run out at every possible place: a life with all kinds of objects is lived under a limit that grows by
 * one,
 * until it goes through. Whatever failed said so, nothing hangs, and with descriptors there again everything works.
 */
#include <signal.h>
#include <sys/resource.h>

#include "client.h"
#include "free_port.h"

static struct client *c;
static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
static uint16_t external; /* found while there are descriptors */

static bool is_honest(int64_t status) {
  return status == VN_NO_MEMORY || status == VN_SYSTEM || status == VN_MISSING || status == VN_GONE ||
         status == VN_BAD_TOKEN || status == VN_STALE || status == VN_TIMEOUT || status == VN_BAD_CALL;
}

static int32_t start(int32_t target, uint32_t op, struct vn_writer *options, bool *good) {
  int32_t operation = vn_call(target, op, options ? options->data : NULL, options ? options->length : 0, 1000), length;
  if (options) vn_writer_free(options);
  while ((length = vn_result(operation, c->result, sizeof c->result)) == -VN_PENDING) client_ready(c, operation, 10);
  c->length = length < 0 ? 0 : (uint32_t)length;
  uint32_t status = length < 0 ? (uint32_t)-length : (uint32_t)client_number(c, "status");
  if (operation < 0) status = (uint32_t)-operation;
  if (length < 0 && operation > 0) vn_close(operation);
  CHECK(status == VN_OK || is_honest(status));
  *good &= status == VN_OK;
  return status ? 0 : client_handle(c);
}

/* What starts anew may fail to. To find the process takes descriptors. */
static void kill_gateway(void) {
  struct rlimit few, all;
  pid_t pids[16];
  getrlimit(RLIMIT_NOFILE, &few);
  all = few;
  all.rlim_cur = all.rlim_max;
  setrlimit(RLIMIT_NOFILE, &all);
  int count = gateways(pids);
  setrlimit(RLIMIT_NOFILE, &few);
  if (count > 0) kill(pids[0], SIGKILL);
}

static void stop(int32_t handle) {
  if (handle && client_stop(c, handle) != 0) vn_close(handle);
}

/* Everything once. Answers whether all of it worked. */
static bool live(void) {
  bool good = true;
  struct vn_writer shared = {.data = NULL}, forward = {.data = NULL}, options = {.data = NULL};
  vn_write_number(&options, "mode", 1001);
  vn_write_text(&options, "ipv4Subnet", "192.168.99.0/24");
  int32_t network = start(c->context, VN_OP_NETWORK_CREATE, &options, &good);
  int32_t a = start(network, VN_OP_INTERFACE_START, NULL, &good);
  int32_t share = start(network, VN_OP_NETWORK_SHARE, NULL, &good);
  vn_write_text(&shared, "token", share ? client_text(c, "token") : "vmnet1:/none:00");
  int32_t joined = start(c->context, VN_OP_NETWORK_JOIN, &shared, &good);
  int32_t b = start(joined, VN_OP_INTERFACE_START, NULL, &good);
  vn_write_number(&forward, "protocol", 6);
  vn_write_number(&forward, "externalPort", external);
  vn_write_text(&forward, "internalAddress", "192.168.99.7");
  vn_write_number(&forward, "internalPort", 80);
  start(network, VN_OP_FORWARD_ADD, &forward, &good);
  uint8_t frame[60];
  make_frame(frame, sizeof frame, everybody, mac, 1);
  for (int i = 0; i < 50; i++) client_send(c, a, frame, sizeof frame);
  if (good) kill_gateway();
  client_ready(c, b, 20);
  client_get(c, network, VN_GET_EVENTS);
  client_get(c, network, VN_GET_LEASES);
  stop(a);
  if (joined) vn_close(joined);
  stop(network);
  vn_close(b), vn_close(share);
  return good;
}

static void test_descriptors_may_run_out_anywhere(void) {
  struct rlimit all, few;
  CHECK(live()); /* what stays open for good is open then */
  int fds = count_entries("/proc/self/fd"), worked = 0;
  CHECK(getrlimit(RLIMIT_NOFILE, &all) == 0);
  for (int more = 0; more < 60 && worked < 3; more++) {
    few = all;
    few.rlim_cur = (rlim_t)(fds - 3 + more); /* ".", ".." and the directory itself were counted */
    CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
    worked += live();
    setrlimit(RLIMIT_NOFILE, &all);
    CHECK(settles("/proc/self/fd", fds));
  }
  CHECK(worked == 3 && live() && gateways(NULL) == 0);
  uint64_t objects = 0;
  for (int i = 0; i < 400 && objects != 1; i++) { /* what was closed ends in the background */
    usleep(5000);
    client_get(c, c->context, VN_GET_STATS);
    objects = client_number(c, "objects");
  }
  CHECK(objects == 1); /* the context */
}

int main(void) {
  external = free_port(SOCK_STREAM);
  c = client_open();
  RUN(test_descriptors_may_run_out_anywhere);
  client_close(c);
  CHECK(vn_shutdown(2000) == 0);
  return finish();
}
