// SPDX-License-Identifier: MIT
/*
 * Gateways of a host program with manners of its own: it ignores SIGCHLD, waits for every child itself, or forks. And
 * one
 * that kills them again and again, at any moment of their start.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "client.h"
#include "free_port.h"

static struct client *c;
static vn_atomic_u32 over, stolen;

static void kill_all(int signal) {
  pid_t pids[64];
  int count = gateways(pids);
  for (int i = 0; i < count; i++) kill(pids[i], signal);
}

/* Kills at moments that move on through the start, then waits for one that stays. */
static bool survives(int32_t network, int rounds) {
  for (int i = 0; i < rounds; i++) {
    usleep((useconds_t)(i * 1000));
    kill_all(SIGKILL);
  }
  struct vn_writer options = {.data = NULL};
  vn_write_number(&options, "protocol", 6);
  vn_write_number(&options, "externalPort", free_port(SOCK_STREAM));
  vn_write_text(&options, "internalAddress", "192.168.91.9");
  vn_write_number(&options, "internalPort", 80);
  bool answers = client_call(c, network, VN_OP_FORWARD_ADD, &options) == 0; /* it waits for the gateway */
  client_get(c, network, VN_GET_STATE);
  return answers && client_number(c, "status") == 0;
}

static int32_t make_network(void) {
  struct vn_writer options = {.data = NULL};
  vn_write_text(&options, "ipv4Subnet", "192.168.91.0/24");
  return client_network(c, 1001, true, &options);
}

static void test_killed_at_every_moment_it_comes_back(void) {
  int32_t network = make_network();
  CHECK(network > 0 && survives(network, 25));
  CHECK(client_stop(c, network) == 0 && gateways(NULL) == 0);
}

/* While it is away nobody takes its place on the switch. */
static void test_a_full_network_gets_its_gateway_back(void) {
  enum { PORTS = 255 };
  int32_t network = make_network(), ports[PORTS];
  for (int i = 0; i < PORTS; i++) CHECK((ports[i] = client_start(c, network, NULL)) > 0);
  for (int round = 0; round < 10; round++) {
    kill_all(SIGKILL);
    for (int i = 0; i < 20; i++) CHECK(client_start(c, network, NULL) == -VN_NO_MEMORY);
  }
  CHECK(survives(network, 1) && client_stop(c, network) == 0);
  for (int i = 0; i < PORTS; i++) vn_close(ports[i]);
}

static void test_the_program_ignores_its_children(void) {
  signal(SIGCHLD, SIG_IGN);
  int32_t network = make_network();
  CHECK(network > 0 && survives(network, 3));
  CHECK(client_stop(c, network) == 0 && gateways(NULL) == 0);
  signal(SIGCHLD, SIG_DFL);
}

static void *steal(void *unused) {
  while (!atomic_load(&over)) {
    if (waitpid(-1, NULL, WNOHANG) > 0) atomic_fetch_add(&stolen, 1);
    else usleep(20);
  }
  return unused;
}

static void test_the_program_waits_for_every_child(void) {
  pthread_t thief;
  int32_t network = make_network();
  CHECK(network > 0);
  if (pthread_create(&thief, NULL, steal, NULL) != 0) return;
  CHECK(survives(network, 12));
  CHECK(client_stop(c, network) == 0 && gateways(NULL) == 0);
  atomic_store(&over, 1);
  pthread_join(thief, NULL);
  CHECK(atomic_load(&stolen) > 0);
}

static void test_a_fork_that_holds_all_descriptors_delays_nothing(void) {
  int32_t network = make_network();
  CHECK(network > 0);
  pid_t pid = fork();
  if (pid == 0) {
    pause();
    _exit(0);
  }
  uint64_t begun = vn_monotonic_ns();
  CHECK(client_stop(c, network) == 0 && gateways(NULL) == 0);
  CHECK(vn_monotonic_ns() - begun < 450000000); /* else it was killed, after 500 ms */
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
}

int main(void) {
  c = client_open();
  RUN(test_killed_at_every_moment_it_comes_back);
  RUN(test_a_full_network_gets_its_gateway_back);
  RUN(test_the_program_ignores_its_children);
  RUN(test_the_program_waits_for_every_child);
  RUN(test_a_fork_that_holds_all_descriptors_delays_nothing);
  client_close(c);
  CHECK(vn_shutdown(2000) == 0);
  return finish();
}
