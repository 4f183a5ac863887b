// SPDX-License-Identifier: MIT
/*
 * Gateways that are missing, silent, dying, babbling, lying or in need. The test puts a copy of itself into a directory
 * of its own, alone or beside a second copy that is called vmnet-gateway and plays the part.
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

static bool say(struct vn_writer *message) {
  uint8_t header[4] = {0, 0, (uint8_t)(message->length >> 8), (uint8_t)message->length};
  bool said = send(4, header, 4, MSG_NOSIGNAL) == 4 &&
              send(4, message->data, message->length, MSG_NOSIGNAL) == (ssize_t)message->length;
  vn_writer_free(message);
  return said;
}

/* Well-formed messages without truth: leases of everybody, answers to what nobody asked, ready again and again. */
static int lie(struct vn_writer *ready) {
  static const char *const names[] = {"lease", "reply", "ready", "nonsense"};
  static const char *const texts[] = {"", "10.0.0.1", "192.168.128.7", "%s%n", "fd00::1", "\x1b[2J", "::::::",
                                      "a name that is longer than any room for it, surely so"};
  char end;
  fcntl(3, F_SETFL, 0), fcntl(4, F_SETFL, 0); /* wait when they are full */
  for (uint32_t i = 0; i < 20000; i++) {
    struct vn_writer message = {.data = NULL};
    uint64_t odd = (uint64_t)rand() << (rand() % 40);
    if (i == 0) message = *ready;
    if (i > 0) vn_write_text(&message, "message", names[i % 64 ? 0 : rand() % 4]);
    if (i > 0) vn_write_number(&message, rand() % 2 ? "status" : "id", odd);
    vn_write_number(&message, "change", rand() % 8 ? 1 : odd);
    vn_write_bytes(&message, "mac", &i, rand() % 50 ? 4 : 1);
    uint8_t mac[6] = {2, 0, 0, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
    if (i > 0) vn_write_bytes(&message, "mac", mac, 6);
    vn_write_text(&message, "address", texts[rand() % 8]);
    vn_write_text(&message, "hostname", texts[rand() % 8]);
    vn_write_number(&message, "expires", odd);
    if (!say(&message)) return 1;
  }
  return (int)read(3, &end, 1); /* until it is hung up on */
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
  if (strcmp(role, "needy") == 0) {
    vn_write_number(&ready, "status", VN_MISSING); /* the last one counts */
    vn_write_text(&ready, "needs", "libfoo7");
    return say(&ready) ? 1 : 2;
  }
  if (strcmp(role, "lying") == 0) return lie(&ready);
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

static void test_a_lying_gateway_fills_nothing(void) { CHECK(run_elsewhere("lying", true) == 0); }

static int run_lying(void) {
  c = client_open();
  int32_t network = client_network(c, 1000, true, NULL);
  static uint8_t list[16 << 20];
  struct vn_reader reader;
  struct vn_entry entry;
  uint32_t count = 0;
  for (uint64_t end = vn_monotonic_ns() + 20000000000ull; count < 8192 && vn_monotonic_ns() < end;) {
    int32_t length = vn_get(network, VN_GET_LEASES, list, sizeof list);
    if (length < 0) return 1;
    vn_list_read(&reader, list, (uint32_t)length);
    for (count = 0; vn_list_next(&reader, &entry);) count++;
    usleep(20000);
  }
  usleep(50000);
  return count == 8192 && client_stop(c, network) == 0 ? 0 : 2; /* facts.h's limit */
}

static void test_a_gateway_says_itself_what_it_needs(void) { CHECK(run_elsewhere("needy", true) == 0); }

static int run_needy(void) {
  c = client_open();
  return client_network(c, 1000, true, NULL) == -VN_MISSING && !strcmp(client_text(c, "needs"), "libfoo7") ? 0 : 1;
}

int main(int argc, char **argv) {
  const char *role = getenv("VN_TEST_ROLE");
  if (role && strstr(argv[0], "vmnet-gateway")) return run_gateway(role);
  if (role && argc > 1)
    return !strcmp(role, "missing")    ? run_missing()
           : !strcmp(role, "babbling") ? run_babbling()
           : !strcmp(role, "lying")    ? run_lying()
           : !strcmp(role, "needy")    ? run_needy()
                                       : run_failing();
  RUN(test_missing_gateway_is_named);
  RUN(test_silent_or_dying_gateways_fail_the_start);
  RUN(test_babbling_gateway_harms_nobody);
  RUN(test_a_lying_gateway_fills_nothing);
  RUN(test_a_gateway_says_itself_what_it_needs);
  return finish();
}
