// SPDX-License-Identifier: MIT
/* What vmnet-host does for a process that may not use vmnet: interfaces, networks, forwards, and that nothing is left.
 * */
#include <pthread.h>

#include "darwin_host.h"

static void test_an_interface_of_the_host_is_vmnets(void) {
  char one[64], two[64];
  int32_t a = start(1001);
  CHECK(a > 0 && hosts(NULL) == 1);
  CHECK(client_number(c, "vmnet_mtu") == 1500 && client_number(c, "vmnet_max_packet_size") == 1514);
  CHECK(strncmp(client_text(c, "vmnet_start_address"), "192.168.", 8) == 0);
  CHECK(client_text(c, "token")[0] == 0);
  snprintf(one, sizeof one, "%s", client_text(c, "vmnet_mac_address"));
  int32_t b = start(1001);
  CHECK(b > 0 && hosts(NULL) == 1);
  snprintf(two, sizeof two, "%s", client_text(c, "vmnet_mac_address"));
  CHECK(one[0] && two[0] && strcmp(one, two) != 0);
  uint8_t frame[1514];
  for (uint32_t i = 0; i < 300; i++) {
    uint32_t length = 14 + i * 5;
    if (length < 18) length = 18;
    make_frame(frame, length, everybody, a_mac, i);
    CHECK(client_push(c, a, frame, length) && client_expect(c, b, frame, length, 2000));
    make_frame(frame, length, a_mac, b_mac, i);
    CHECK(client_push(c, b, frame, length) && client_expect(c, a, frame, length, 2000));
  }
  CHECK(client_send(c, a, frame, 13) == -VMNET_INVALID_ARGUMENT && client_send(c, a, frame, 1514) == 1);
  CHECK(client_stop(c, a) == VN_OK);
  int32_t again = start(1001);
  CHECK(again > 0 && hosts(NULL) == 1);
  CHECK(client_stop(c, b) == VN_OK && client_stop(c, again) == VN_OK);
  CHECK(hosts_gone()); /* nothing needs it any more */
  CHECK(nothing_left(c));
}

/* Frames go through vmnet-host as they are, whatever they begin with and however long they are. */
static void test_offloads_pass_the_host(void) {
  fresh("");
  struct vn_writer options = mode(1001);
  vn_write_number(&options, "vmnet_enable_virtio_header", 1);
  int32_t a = client_start(c, c->context, &options), b = start(1001);
  uint8_t frame[1526] = {[10] = 1};
  make_frame(frame + 12, 400, everybody, a_mac, 1);
  CHECK(a > 0 && b > 0);
  CHECK(client_push(c, a, frame, 412) && client_expect(c, b, frame + 12, 400, 2000));
  make_frame(frame + 12, 1514, everybody, b_mac, 2);
  CHECK(client_push(c, b, frame + 12, 1514) && client_expect(c, a, frame, 1526, 2000));
  CHECK(client_send(c, a, frame, 25) == -VMNET_INVALID_ARGUMENT);
  vn_close(a), vn_close(b);
  options = mode(1001);
  vn_write_number(&options, "vmnet_enable_tso", 1);
  a = client_start(c, c->context, &options);
  options = mode(1001);
  vn_write_number(&options, "vmnet_enable_tso", 1);
  b = client_start(c, c->context, &options);
  CHECK(a > 0 && b > 0 && client_number(c, "vmnet_max_packet_size") == 65550);
  static uint8_t giant[65550];
  for (uint32_t i = 0; i < 64; i++) {
    make_frame(giant, sizeof giant - i, everybody, a_mac, i);
    CHECK(client_push(c, a, giant, sizeof giant - i) && client_expect(c, b, giant, sizeof giant - i, 2000));
  }
  vn_close(a), vn_close(b);
  options = mode(1002);
  vn_write_text(&options, "vmnet_shared_interface_name", "en0");
  a = client_start(c, c->context, &options);
  options = mode(1002);
  vn_write_text(&options, "vmnet_shared_interface_name", "en0");
  b = client_start(c, c->context, &options);
  make_frame(frame, 100, everybody, a_mac, 7);
  CHECK(a > 0 && b > 0 && client_push(c, a, frame, 100) && client_expect(c, b, frame, 100, 2000));
  vn_close(a), vn_close(b);
  CHECK(nothing_left(c));
}

/* As many as an interface takes, while nobody reads; then all of them once and in order. */
static void test_no_frame_is_lost_or_doubled(void) {
  fresh("events=edge");
  int32_t a = start(1001), b = start(1001);
  uint8_t frame[200];
  uint32_t seen = 0;
  for (uint32_t i = 0; i < 20000; i++) {
    make_frame(frame, 200, b_mac, a_mac, i);
    CHECK(client_push(c, a, frame, 200));
    if (i % 100 != 99) continue;
    while (seen <= i) {
      int32_t count = client_drain(c, b, BATCH, 3000);
      if (count <= 0) break;
      for (int32_t k = 0; k < count; k++, seen++) {
        uint32_t number;
        memcpy(&number, client_frame(c, k) + 14, 4);
        if (number != seen) i = 30000;
      }
    }
    if (seen != i + 1) break;
  }
  CHECK(seen == 20000);
  vn_close(a), vn_close(b);
  CHECK(nothing_left(c));
}

static void test_forwards_of_an_interface_are_the_hosts(void) {
  fresh("shared=en0:en5");
  int32_t a = start(1001);
  struct vn_writer rule = {.data = NULL};
  struct vn_entry entry;
  write_rule(&rule, 6, 8080, "192.168.64.9", 80);
  CHECK(client_call(c, a, VN_OP_FORWARD_ADD, &rule) == VN_OK);
  CHECK(client_call(c, a, VN_OP_FORWARD_LIST, NULL) == VN_OK && how_many(c->result, c->length, "forward") == 1);
  CHECK(nth(c->result, c->length, "forward", 0, &entry) && strcmp(rule_text(&entry), "6 8080 192.168.64.9 80") == 0);
  rule = (struct vn_writer){.data = NULL};
  write_rule(&rule, 6, 8080, NULL, 0);
  vn_write_number(&rule, "family", 4);
  CHECK(client_call(c, a, VN_OP_FORWARD_REMOVE, &rule) == VN_OK);
  CHECK(client_call(c, a, VN_OP_FORWARD_LIST, NULL) == VN_OK && how_many(c->result, c->length, "forward") == 0);
  CHECK(client_call(c, c->context, VN_OP_SHARED_INTERFACES, NULL) == VN_OK);
  CHECK(strcmp(client_text(c, "interface"), "en5") == 0);
  struct vn_writer bad = mode(1001);
  vn_write_text(&bad, "vmnet_start_address", "192.168.9.1");
  CHECK(client_start(c, c->context, &bad) < 0 && client_text(c, "message")[0] != 0);
  bad = mode(1001);
  vn_write_text(&bad, "vmnet_nonsense", "?");
  CHECK(client_start(c, c->context, &bad) == -VN_BAD_OPTION && strcmp(client_text(c, "field"), "vmnet_nonsense") == 0);
  CHECK(client_stop(c, a) == VN_OK);
  CHECK(nothing_left(c));
}

static void test_an_interface_of_the_host_knows_the_leases_of_its_subnet(void) {
  fresh("");
  char path[64] = "/tmp/vmnet-host-leases-XXXXXX", name[32] = "";
  int fd = mkstemp(path);
  FILE *file = fdopen(fd, "w");
  for (int i = 77; i <= 78; i++)
    fprintf(file, "{\n\tname=guest%d\n\tip_address=192.168.%d.2\n\thw_address=1,2:0:0:0:0:%x\n\tlease=0x%llx\n}\n", i, i,
            (unsigned)i, (unsigned long long)(vn_realtime_ns() / 1000000000) + 3600);
  fclose(file);
  double_set("leases", path);
  struct vn_writer options = mode(1001);
  vn_write_text(&options, "vmnet_start_address", "192.168.77.1");
  vn_write_text(&options, "vmnet_end_address", "192.168.77.254");
  vn_write_text(&options, "vmnet_subnet_mask", "255.255.255.0");
  int32_t a = client_start(c, c->context, &options);
  struct vn_entry entry;
  CHECK(a > 0 && client_get(c, a, VN_GET_LEASES) && how_many(c->result, c->length, "lease") == 1);
  if (nth(c->result, c->length, "lease", 0, &entry)) vn_list_text(entry.value, entry.length, "hostname", name, sizeof name);
  CHECK(strcmp(name, "guest77") == 0);
  vn_close(a);
  double_set("leases", "");
  unlink(path);
  CHECK(nothing_left(c));
}

/* Whether no signal is in that line of /proc/<pid>/status. */
static bool no_signal(pid_t pid, const char *key) {
  char path[64], line[200];
  bool none = false;
  snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
  FILE *file = fopen(path, "r");
  while (file && fgets(line, sizeof line, file))
    if (strncmp(line, key, strlen(key)) == 0)
      none = (strtoull(line + strlen(key), NULL, 16) & 0x7fffffff) == 0; /* above are libc's own */
  if (file) fclose(file);
  return none;
}

/* Whether a process has what is behind a descriptor of this one. */
static bool has(pid_t pid, int fd) {
  char path[64], wanted[300] = "", found[300] = "";
  bool it_has = false;
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  CHECK(readlink(path, wanted, sizeof wanted - 1) > 0);
  for (int i = 0; i < 256 && !it_has; i++) {
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, i);
    ssize_t length = readlink(path, found, sizeof found - 1);
    it_has = length > 0 && (found[length] = 0, strcmp(found, wanted) == 0);
  }
  return it_has;
}

/* Of what this process has vmnet-host gets its socket, and neither blocked nor ignored signals. */
static void test_a_host_inherits_nothing(void) {
  fresh("");
  sigset_t all, before;
  int fds[2];
  CHECK(pipe(fds) == 0); /* without close-on-exec, as a script's may be */
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  signal(SIGPIPE, SIG_IGN);
  int32_t a = start(1001);
  signal(SIGPIPE, SIG_DFL);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pid_t host = the_host();
  CHECK(a > 0 && host > 0 && getpgid(host) == host);
  CHECK(!has(host, c->bell));
  /* Only a Mac can leave out what others have opened; the loader does as a Mac does. */
  if (strcmp(program(), "vmnet-host") != 0) CHECK(!has(host, fds[0]) && !has(host, fds[1]));
  CHECK(no_signal(host, "SigIgn:") && no_signal(host, "SigBlk:"));
  vn_close(a);
  close(fds[0]), close(fds[1]);
  CHECK(nothing_left(c));
}

/* A worker: a thread with a context of its own. */
static void *run_worker(void *argument) {
  struct client *mine = client_open();
  uint32_t *good = argument;
  uint8_t frame[200];
  for (uint32_t i = 0; i < 40; i++) {
    struct vn_writer options = mode(1001);
    int32_t a = client_start(mine, mine->context, &options), network = client_network(mine, 1000, true, NULL);
    int32_t b = network > 0 ? client_start(mine, network, NULL) : -1;
    make_frame(frame, 200, everybody, a_mac, i);
    bool fine = a > 0 && b > 0 && client_push(mine, a, frame, 200) && client_push(mine, b, frame, 200);
    fine = client_stop(mine, a) == VN_OK && fine;
    if (i % 2) vn_close(b), vn_close(network);
    else fine = client_stop(mine, network) == VN_OK && client_stop(mine, b) == VN_OK && fine;
    *good += fine;
  }
  client_close(mine);
  return NULL;
}

static void test_workers_share_a_host(void) {
  fresh("");
  pthread_t workers[3];
  uint32_t good[3] = {0};
  for (int i = 0; i < 3; i++) CHECK(pthread_create(&workers[i], NULL, run_worker, &good[i]) == 0);
  for (int i = 0; i < 3; i++) pthread_join(workers[i], NULL);
  CHECK(good[0] == 40 && good[1] == 40 && good[2] == 40);
  CHECK(hosts_gone());
  CHECK(nothing_left(c));
}

static void test_a_network_of_the_host_is_a_network(void) {
  fresh("");
  char token[256], subnet[64];
  struct vn_writer options = {.data = NULL};
  vn_write_text(&options, "ipv4Subnet", "192.168.90.0/24");
  int32_t network = client_network(c, 1001, true, &options);
  snprintf(subnet, sizeof subnet, "%s", client_text(c, "ipv4Subnet"));
  CHECK(network > 0 && strcmp(subnet, "192.168.90.0/24") == 0 && client_number(c, "mtu") == 1500);
  int32_t a = client_start(c, network, NULL), b = client_start(c, network, NULL);
  uint8_t frame[100];
  make_frame(frame, 100, everybody, a_mac, 7);
  CHECK(a > 0 && b > 0 && client_push(c, a, frame, 100) && client_expect(c, b, frame, 100, 2000));
  struct vn_writer rule = {.data = NULL};
  write_rule(&rule, 6, 8080, "192.168.90.9", 80);
  CHECK(client_call(c, network, VN_OP_FORWARD_ADD, &rule) == VN_UNSUPPORTED);
  CHECK(client_call(c, network, VN_OP_NETWORK_COPY_SERIALIZATION, NULL) == VN_UNSUPPORTED);
  CHECK(client_call(c, network, VN_OP_NETWORK_SHARE, NULL) == VN_OK);
  snprintf(token, sizeof token, "%s", client_text(c, "token"));
  int32_t share = client_handle(c);
  options = (struct vn_writer){.data = NULL};
  vn_write_text(&options, "token", token);
  CHECK(share > 0 && client_call(c, c->context, VN_OP_NETWORK_JOIN, &options) == VN_OK);
  int32_t joined = client_handle(c), far = client_start(c, joined, NULL);
  make_frame(frame, 100, everybody, b_mac, 8);
  CHECK(far > 0 && client_push(c, a, frame, 100) && client_expect(c, far, frame, 100, 2000));
  CHECK(state_of(c, share) == VN_OK);
  CHECK(client_stop(c, b) == VN_OK && state_of(c, network) == VN_OK); /* its network goes on */
  CHECK(client_stop(c, network) == VN_OK);
  CHECK(becomes(joined, VN_GONE) && becomes(a, VN_GONE) && becomes(share, VN_GONE));
  CHECK(client_stop(c, share) == VN_OK);
  vn_close(a), vn_close(far), vn_close(joined);
  CHECK(nothing_left(c));
}

static void test_a_missing_host_is_said(void) {
  fresh("");
  char path[4096], aside[4200];
  ssize_t length = readlink("/proc/self/exe", path, sizeof path - 20);
  path[length < 0 ? 0 : length] = 0;
  strcpy(strrchr(path, '/') + 1, "vmnet-host");
  snprintf(aside, sizeof aside, "%s.aside", path);
  CHECK(rename(path, aside) == 0);
  CHECK(start(1001) == -VN_MISSING && strncmp(client_text(c, "needs"), "vmnet-host", 10) == 0);
  CHECK(client_network(c, 1001, true, NULL) == -VN_MISSING);
  CHECK(rename(aside, path) == 0);
  int32_t a = start(1001);
  CHECK(a > 0 && client_stop(c, a) == VN_OK);
}

static void test_cycles_leave_nothing(void) {
  fresh("");
  int fds = 0, threads = 0, cycles = getenv("VN_LONG") && *getenv("VN_LONG") ? 2000 : 200;
  for (int i = 0; i < cycles; i++) {
    if (i == 10) {
      CHECK(vn_shutdown(5000) == 0 && nothing_left(c));
      fds = count_entries("/proc/self/fd"), threads = count_entries("/proc/self/task");
    }
    int32_t a = start(1000 + (uint32_t)i % 2);
    CHECK(a > 0);
    if (i % 3 == 0) vn_close(a);
    else CHECK(client_stop(c, a) == VN_OK);
    if (i % 50 != 49) continue;
    kill_host(SIGKILL);
    CHECK(hosts_gone()); /* a start that is already on its way to it would fail */
  }
  CHECK(hosts_gone());
  CHECK(nothing_left(c));
  CHECK(settles("/proc/self/fd", fds) && settles("/proc/self/task", threads));
}

int main(void) {
  keep_findings();
  begin_tests();
  RUN(test_an_interface_of_the_host_is_vmnets);
  RUN(test_offloads_pass_the_host);
  RUN(test_no_frame_is_lost_or_doubled);
  RUN(test_forwards_of_an_interface_are_the_hosts);
  RUN(test_an_interface_of_the_host_knows_the_leases_of_its_subnet);
  RUN(test_a_host_inherits_nothing);
  RUN(test_workers_share_a_host);
  RUN(test_a_network_of_the_host_is_a_network);
  RUN(test_a_missing_host_is_said);
  RUN(test_cycles_leave_nothing);
  RUN(test_no_sanitizer_found_anything_in_a_host);
  client_close(c);
  return finish();
}
