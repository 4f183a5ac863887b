// SPDX-License-Identifier: MIT
/* The death of vmnet-host, its hanging, what comes too late, and the death of the process that it works for. */
#include "darwin_host.h"

/* Its death, at any time, is an error and not a hang; the next start gets a new one. */
static void test_the_hosts_death_is_gone(void) {
  fresh("");
  int32_t a = start(1001), b = start(1001), network = client_network(c, 1001, true, NULL);
  CHECK(a > 0 && b > 0 && network > 0);
  client_ready(c, a, 0);
  vn_interest(a, VN_READY_PACKETS);
  uint8_t frame[1000];
  make_frame(frame, 1000, everybody, b_mac, 1);
  kill_host(SIGKILL);
  int32_t sent = 0;
  for (int i = 0; i < 400 && sent >= 0; i++, usleep(5000)) sent = client_send(c, b, frame, 1000);
  CHECK(sent == -VN_GONE);
  CHECK(becomes(a, VN_GONE) && becomes(network, VN_GONE));
  CHECK(client_drain(c, a, BATCH, 100) == -VN_GONE);
  struct vn_writer rule = {.data = NULL};
  write_rule(&rule, 6, 8080, "192.168.64.9", 80);
  CHECK(client_call(c, a, VN_OP_FORWARD_ADD, &rule) == VN_GONE);
  CHECK(client_call(c, network, VN_OP_NETWORK_SHARE, NULL) == VN_GONE);
  int32_t next = start(1001);
  CHECK(next > 0 && hosts(NULL) == 1);
  CHECK(client_stop(c, a) == VN_OK && client_stop(c, network) == VN_OK && client_stop(c, next) == VN_OK);
  vn_close(b);
  CHECK(nothing_left(c));
}

static void test_a_death_while_it_starts_is_gone_at_once(void) {
  fresh("start=hang");
  struct vn_writer options = mode(1001);
  int32_t operation = begin(c->context, VN_OP_INTERFACE_START, &options, 5000);
  while (the_host() == 0) usleep(1000);
  usleep(100000);
  kill_host(SIGKILL);
  uint64_t before = vn_monotonic_ns();
  CHECK(end_of(c, operation) == VN_GONE && vn_monotonic_ns() - before < 2000000000ull);
  script("");
  int32_t a = start(1001);
  CHECK(a > 0 && client_stop(c, a) == VN_OK);
  CHECK(nothing_left(c));
}

static void test_a_host_that_hangs_costs_a_deadline(void) {
  fresh("start=hang");
  struct vn_writer options = mode(1001);
  uint64_t before = vn_monotonic_ns();
  CHECK(end_of(c, begin(c->context, VN_OP_INTERFACE_START, &options, 200)) == VN_TIMEOUT);
  CHECK(vn_monotonic_ns() - before < 2000000000ull);
  CHECK(client_call(c, c->context, VN_OP_SHARED_INTERFACES, NULL) == VN_OK); /* it still answers */
  CHECK(vn_shutdown(5000) == 0 && hosts(NULL) == 0);
  script("");
  int32_t a = start(1001);
  kill_host(SIGSTOP);
  struct vn_writer rule = {.data = NULL};
  write_rule(&rule, 6, 8080, "192.168.64.9", 80);
  CHECK(end_of(c, begin(a, VN_OP_FORWARD_ADD, &rule, 200)) == VN_TIMEOUT);
  vn_close(a);
  CHECK(vn_shutdown(5000) == 0 && hosts(NULL) == 0); /* killed, as it does not go */
  CHECK(nothing_left(c));
}

/* Calls that hang inside vmnet-host cost their deadline and nobody else's time; it ends all the same. */
static void test_what_hangs_in_vmnet_holds_up_nobody(void) {
  fresh("call=hang");
  int32_t a = start(1001);
  struct vn_writer rule = {.data = NULL}, options = {.data = NULL};
  write_rule(&rule, 6, 8080, "192.168.64.9", 80);
  vn_write_number(&options, "mode", 1001);
  int32_t forward = begin(a, VN_OP_FORWARD_ADD, &rule, 300);
  int32_t network = begin(c->context, VN_OP_NETWORK_CREATE, &options, 300);
  int32_t list = begin(c->context, VN_OP_SHARED_INTERFACES, NULL, 300);
  int32_t b = start(1001);
  uint8_t frame[100];
  make_frame(frame, 100, everybody, a_mac, 1);
  CHECK(a > 0 && b > 0 && client_push(c, a, frame, 100) && client_expect(c, b, frame, 100, 2000));
  CHECK(end_of(c, forward) == VN_TIMEOUT && end_of(c, network) == VN_TIMEOUT && end_of(c, list) == VN_TIMEOUT);
  CHECK(client_stop(c, b) == VN_OK);
  vn_close(a);
  CHECK(vn_shutdown(5000) == 0 && hosts(NULL) == 0);
  CHECK(nothing_left(c));
}

static void test_a_stop_that_hangs_in_vmnet_holds_up_nobody(void) {
  fresh("stop=hang");
  int32_t a = start(1001), network = client_network(c, 1001, true, NULL);
  CHECK(a > 0 && network > 0);
  uint64_t before = vn_monotonic_ns();
  CHECK(end_of(c, begin(a, VN_OP_STOP, NULL, 200)) == VN_TIMEOUT);
  CHECK(end_of(c, begin(network, VN_OP_STOP, NULL, 200)) == VN_TIMEOUT);
  CHECK(vn_monotonic_ns() - before < 2000000000ull);
  const char *is_long = getenv("VN_LONG");
  if (is_long != NULL && *is_long) { /* vmnet-host does not say after a while that it is over */
    CHECK((a = start(1001)) > 0);
    CHECK(end_of(c, begin(a, VN_OP_STOP, NULL, 12000)) == VN_TIMEOUT);
  }
  int32_t b, many[10];
  for (int i = 0; i < 10; i++) many[i] = start(1001);
  for (int i = 0; i < 10; i++) { /* more than there are control threads */
    int32_t operation = begin(many[i], VN_OP_STOP, NULL, 60000);
    usleep(20000);
    vn_cancel(operation);
    CHECK(end_of(c, operation) == VN_CANCELLED);
  }
  CHECK((b = start(1001)) > 0);
  vn_close(b);
  CHECK(vn_shutdown(5000) == 0 && hosts(NULL) == 0);
  CHECK(nothing_left(c));
}

/* More calls than vmnet-host takes hang in it: the next is told so, and a stop still gets through. */
static void test_a_full_host_still_stops(void) {
  fresh("call=hang,stop=late:300");
  int32_t a = start(1001);
  uint32_t status = VN_TIMEOUT;
  for (int i = 0; i < 80 && status == VN_TIMEOUT; i++) {
    int32_t calls[7];
    for (int k = 0; k < 7; k++) calls[k] = begin(c->context, VN_OP_SHARED_INTERFACES, NULL, 20);
    for (int k = 0; k < 7; k++)
      if (end_of(c, calls[k]) == VN_BUSY) status = VN_BUSY;
  }
  CHECK(a > 0 && status == VN_BUSY);
  uint64_t before = vn_monotonic_ns();
  CHECK(client_stop(c, a) == VN_OK && vn_monotonic_ns() - before > 250000000u); /* it waited for vmnet */
  CHECK(vn_shutdown(5000) == 0 && hosts(NULL) == 0);
  CHECK(nothing_left(c));
}

/* Killed or stopped at any moment of a start: the start succeeds, or fails in time. */
static void test_no_moment_is_a_bad_one(void) {
  fresh("");
  bool all = getenv("VN_LONG") && *getenv("VN_LONG");
  for (int i = 0; i < 60; i += all ? 1 : 3) {
    struct vn_writer options = mode(1001);
    int32_t operation = begin(c->context, VN_OP_INTERFACE_START, &options, 5000);
    uint64_t before = vn_monotonic_ns(), kill_at = before + (uint64_t)i * 200000;
    while (the_host() == 0 && vn_monotonic_ns() - before < 1000000000ull) continue;
    while (vn_monotonic_ns() < kill_at) continue;
    pid_t host = the_host();
    if (host > 0) kill(host, SIGKILL); /* 0 would be everybody here */
    uint32_t status = end_of(c, operation);
    CHECK(status == VN_OK || status == VN_GONE);
    CHECK(vn_monotonic_ns() - before < 2000000000ull);
    if (status == VN_OK) {
      int32_t port = client_handle(c);
      CHECK(becomes(port, VN_GONE));
      vn_close(port);
    }
    CHECK(hosts_gone());
  }
  for (int i = 0; i < (all ? 10 : 2); i++) {
    struct vn_writer options = mode(1001);
    int32_t operation = begin(c->context, VN_OP_INTERFACE_START, &options, 300);
    while (the_host() == 0) continue;
    usleep((useconds_t)i * 1500);
    kill_host(SIGSTOP);
    uint32_t status = end_of(c, operation);
    CHECK(status == VN_OK || status == VN_TIMEOUT);
    if (status == VN_OK) vn_close(client_handle(c));
    CHECK(vn_shutdown(5000) == 0 && hosts(NULL) == 0);
  }
  CHECK(nothing_left(c));
}

/* The library is told to end everything at some moment of a start: the start fails or is ended too, and so is the host.
 * */
static void test_a_shutdown_may_come_at_any_moment(void) {
  fresh("start=late:60");
  for (int i = 0; i < 12; i++) {
    struct vn_writer options = i % 2 ? (struct vn_writer){.data = NULL} : mode(1001);
    if (i % 2) vn_write_number(&options, "mode", 1001);
    int32_t operation = begin(c->context, i % 2 ? VN_OP_NETWORK_CREATE : VN_OP_INTERFACE_START, &options, 10000);
    usleep((useconds_t)i * 9000);
    vn_shutdown(5000);
    uint32_t status = end_of(c, operation);
    if (status == VN_OK) vn_close(client_handle(c)); /* it had not begun yet */
    CHECK(hosts_gone());
  }
  CHECK(nothing_left(c));
}

/* vmnet starts it, but nobody waits any more: it is stopped again, so that vmnet-host has nothing to do and goes. */
static void test_a_late_start_is_undone(void) {
  fresh("start=late:400");
  for (int i = 0; i < 3; i++) {
    struct vn_writer options = mode(1001);
    CHECK(end_of(c, begin(c->context, VN_OP_INTERFACE_START, &options, 100)) == VN_TIMEOUT);
  }
  struct vn_writer options = mode(1001);
  int32_t operation = begin(c->context, VN_OP_INTERFACE_START, &options, 0);
  usleep(50000);
  vn_cancel(operation);
  CHECK(end_of(c, operation) == VN_CANCELLED);
  CHECK(hosts_gone());
  CHECK(nothing_left(c));
}

/* Role "user": has an interface of a vmnet-host, or is about to have one, and waits to be killed. */
static int run_user(bool starts) {
  struct vn_writer options = mode(1001);
  if (starts) begin(c->context, VN_OP_INTERFACE_START, &options, 0);
  else if (start(1001) <= 0) return 2;
  while (the_host() == 0) usleep(1000);
  printf("%d\n", (int)the_host());
  fflush(stdout);
  for (;;) pause();
}

static bool ends_with_its_user(const char *role) {
  int from[2], host = 0;
  char self[4096] = "";
  CHECK(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
  char line[32] = "";
  CHECK(pipe(from) == 0);
  pid_t pid = fork();
  if (pid == 0) {
    dup2(from[1], 1);
    close(from[0]), close(from[1]);
    execl(self, self, role, (char *)NULL); /* the first argument is where the library thinks that it is */
    _exit(99);
  }
  close(from[1]);
  CHECK(read(from[0], line, sizeof line - 1) > 0 && (host = atoi(line)) > 0 && kill(host, 0) == 0);
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
  close(from[0]);
  char path[64], state[256] = "";
  bool gone = false;
  snprintf(path, sizeof path, "/proc/%d/stat", host);
  for (int i = 0; i < 600 && !gone; i++, usleep(5000)) { /* a zombie counts: nobody may be there to reap it */
    int fd = open(path, O_RDONLY);
    gone = fd < 0 || read(fd, state, sizeof state - 1) <= 0 || strstr(state, ") Z") != NULL;
    if (fd >= 0) close(fd);
  }
  return gone;
}

static void test_the_death_of_its_user_ends_the_host(void) {
  script("");
  CHECK(ends_with_its_user("user"));
  script("start=late:300");
  CHECK(ends_with_its_user("starter"));
  script("start=hang");
  CHECK(ends_with_its_user("starter"));
  script("stop=hang");
  CHECK(ends_with_its_user("user"));
}

int main(int count, char **arguments) {
  if (count == 1) keep_findings();
  char given[200];
  snprintf(given, sizeof given, "%s", count == 2 ? getenv("VMNET_DOUBLE_HOST") : "");
  begin_tests();
  if (count == 2) {
    setenv("VMNET_DOUBLE_HOST", given, 1); /* and not what begin_tests() wrote */
    return run_user(strcmp(arguments[1], "starter") == 0);
  }
  RUN(test_the_hosts_death_is_gone);
  RUN(test_a_death_while_it_starts_is_gone_at_once);
  RUN(test_a_host_that_hangs_costs_a_deadline);
  RUN(test_what_hangs_in_vmnet_holds_up_nobody);
  RUN(test_a_stop_that_hangs_in_vmnet_holds_up_nobody);
  RUN(test_a_full_host_still_stops);
  RUN(test_no_moment_is_a_bad_one);
  RUN(test_a_shutdown_may_come_at_any_moment);
  RUN(test_a_late_start_is_undone);
  RUN(test_the_death_of_its_user_ends_the_host);
  RUN(test_no_sanitizer_found_anything_in_a_host);
  client_close(c);
  return finish();
}
