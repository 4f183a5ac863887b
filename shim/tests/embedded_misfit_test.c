// SPDX-License-Identifier: MIT
/*
 * Gateways that are missing, silent, dying or babbling. The test puts a copy of itself into a directory of its own, alone
 * or beside a second copy that is called vmnet-gateway and plays the part.
 */
#include <limits.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "client.h"

static struct client *c;
static const uint8_t guest[6] = {0x52, 0x54, 0, 0, 0, 1};

static int run_elsewhere(const char *role, bool gateway) {
  char directory[] = "/tmp/vn-test-XXXXXX", self[PATH_MAX], copy[64], beside[64], command[PATH_MAX + 64];
  ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
  if (length < 0 || !mkdtemp(directory)) return -1;
  self[length] = 0;
  snprintf(copy, sizeof copy, "%s/test", directory);
  snprintf(beside, sizeof beside, "%s/vmnet-gateway", directory);
  snprintf(command, sizeof command, "cp '%s' %s", self, copy);
  if (system(command) != 0 || (gateway && link(copy, beside) != 0)) return -1;
  int status = -1;
  pid_t pid = fork();
  if (pid == 0) {
    setenv("VN_TEST_ROLE", role, 1);
    execl(copy, copy, role, (char *)NULL);
    _exit(99);
  }
  waitpid(pid, &status, 0);
  unlink(copy), unlink(beside), rmdir(directory);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_missing_gateway_is_named(void) { CHECK(run_elsewhere("missing", false) == 0); }

static int run_missing(void) {
  c = client_open();
  if (client_network(c, 1000, true, NULL) != -VN_MISSING || !strstr(client_text(c, "needs"), "vmnet-gateway")) return 1;
  if (client_call(c, c->context, VN_OP_PROBE, NULL) != 0 || client_number(c, "gateway") != 0) return 2;
  int32_t network = client_network(c, 1000, false, NULL);
  return network > 0 && client_start(c, network, NULL) > 0 ? 0 : 3;
}

/* A gateway of that behaviour: what the switch makes of anything it may hear. */
static int run_gateway(const char *role) {
  uint8_t header[4], bytes[4096];
  struct vn_writer ready = {.data = NULL};
  vn_write_text(&ready, "message", "ready");
  vn_write_number(&ready, "status", 0);
  if (strcmp(role, "silent") == 0) return (int)pause();
  if (strcmp(role, "dying") == 0) return 3;
  struct pollfd configure = {.fd = 4, .events = POLLIN};
  if (poll(&configure, 1, 5000) != 1 || recv(4, header, 4, 0) != 4) return 1;
  if (strcmp(role, "babbling") == 0) {
    memcpy(header, (uint8_t[]){0, 0, 0, (uint8_t)ready.length}, 4);
    if (write(4, header, 4) != 4 || write(4, ready.data, ready.length) < 0) return 1;
    srand((unsigned)getpid());
    usleep(20000); /* else the start fails, rightly */
    for (int i = 0; i < 200; i++) {
      for (size_t k = 0; k < sizeof bytes; k++) bytes[k] = (uint8_t)(rand() % 5 ? rand() : 0);
      bytes[0] = bytes[1] = 0;
      if (send(3 + (rand() % 50 == 0), bytes, 1 + (size_t)rand() % sizeof bytes, MSG_NOSIGNAL) < 0) return 1;
    }
  }
  return 0;
}

static void test_silent_or_dying_gateways_fail_the_start(void) {
  CHECK(run_elsewhere("dying", true) == 0);
  CHECK(run_elsewhere("silent", true) == 0);
}

static int run_failing(void) {
  c = client_open();
  uint64_t begun = vn_monotonic_ns();
  int32_t status = client_network(c, 1000, true, NULL);
  bool in_time = vn_monotonic_ns() - begun < 9000000000;
  return (status == -VN_SYSTEM || status == -VN_TIMEOUT) && in_time && gateways(NULL) == 0 ? 0 : 1;
}

static void test_babbling_gateway_harms_nobody(void) { CHECK(run_elsewhere("babbling", true) == 0); }

static int run_babbling(void) {
  c = client_open();
  int32_t network = client_network(c, 1000, true, NULL), a = client_start(c, network, NULL), b = client_start(c, network, NULL);
  if (network <= 0 || a <= 0 || b <= 0) return 1;
  uint8_t frame[60];
  for (uint32_t i = 0; i < 60; i++) {
    make_frame(frame, 60, everybody, guest, i);
    if (!client_push(c, a, frame, 60) || !client_expect(c, b, frame, 60, 2000)) return 2;
    usleep(10000);
  }
  return client_stop(c, network) == 0 && gateways(NULL) == 0 ? 0 : 3;
}

int main(int argc, char **argv) {
  const char *role = getenv("VN_TEST_ROLE");
  if (role && strstr(argv[0], "vmnet-gateway")) return run_gateway(role);
  if (role && argc > 1) return !strcmp(role, "missing") ? run_missing() : !strcmp(role, "babbling") ? run_babbling() : run_failing();
  RUN(test_missing_gateway_is_named);
  RUN(test_silent_or_dying_gateways_fail_the_start);
  RUN(test_babbling_gateway_harms_nobody);
  return finish();
}
