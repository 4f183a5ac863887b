// SPDX-License-Identifier: MIT
/* Networks of vmnet shared with other processes: the switch with an uplink. The test starts itself again as a member.
 * */
#include <signal.h>
#include <sys/wait.h>

#include "client.h"
#include "darwin_control.h"
#include "double.h"

static struct client *c;
static const uint8_t a_mac[6] = {2, 0, 0, 0, 0, 1}, b_mac[6] = {2, 0, 0, 0, 0, 2}, c_mac[6] = {2, 0, 0, 0, 0, 3};

static int32_t join(const char *token) {
  struct vn_writer options = {.data = NULL};
  vn_write_text(&options, "token", token);
  uint32_t status = client_call(c, c->context, VN_OP_NETWORK_JOIN, &options);
  return status ? -(int32_t)status : client_handle(c);
}

static int32_t share(int32_t network, char token[256]) {
  uint32_t status = client_call(c, network, VN_OP_NETWORK_SHARE, NULL);
  snprintf(token, 256, "%s", status ? "" : client_text(c, "token"));
  return status ? -(int32_t)status : client_handle(c);
}

static bool becomes(int32_t handle, uint32_t status) {
  for (int i = 0; i < 400; i++) {
    if (state_of(c, handle) == status) return true;
    usleep(5000);
  }
  return false;
}

static pid_t start_member(const char *token, int *out) {
  int from[2];
  if (pipe(from)) return -1;
  pid_t pid = fork();
  if (pid == 0) {
    dup2(from[1], 1);
    close(from[0]), close(from[1]);
    execl("/proc/self/exe", "self", "member", token, (char *)NULL);
    _exit(99);
  }
  close(from[1]);
  *out = from[0];
  return pid;
}

/* Role "member": joins, sends every frame back with the addresses exchanged, ends when the network is gone. */
static int run_member(const char *token) {
  c = client_open();
  int32_t network = join(token), port = network > 0 ? client_start(c, network, NULL) : -1;
  if (port <= 0) return 2;
  printf("joined\n");
  fflush(stdout);
  for (int32_t count; (count = client_drain(c, port, BATCH, 100)) != -VN_GONE;) {
    if (count < 0) return 3;
    for (int32_t i = 0; i < count; i++) {
      uint8_t frame[1514];
      uint32_t length = client_length(c, i);
      memcpy(frame, client_frame(c, i), length);
      memcpy(frame, client_frame(c, i) + 6, 6);
      memcpy(frame + 6, b_mac, 6);
      if (frame[0] == a_mac[0]) client_push(c, port, frame, length);
    }
  }
  return becomes(network, VN_GONE) ? 0 : 4;
}

static bool read_line(int fd, char *line, size_t capacity) {
  size_t at = 0;
  while (at + 1 < capacity && read(fd, line + at, 1) == 1 && line[at] != '\n') at++;
  line[at] = 0;
  return at > 0;
}

static int32_t network_of(const char *subnet, bool with_forward) {
  struct vn_writer options = {.data = NULL};
  if (subnet) vn_write_text(&options, "ipv4Subnet", subnet);
  if (with_forward) {
    uint32_t mark = vn_write_begin(&options, "forward");
    vn_write_number(&options, "protocol", 6);
    vn_write_number(&options, "externalPort", 8080);
    vn_write_number(&options, "internalPort", 80);
    vn_write_text(&options, "internalAddress", "192.168.77.9");
    vn_write_end(&options, mark);
  }
  return client_network(c, 1001, true, &options);
}

static void test_a_member_in_another_process_is_on_the_network(void) {
  char token[256], line[64] = "";
  int32_t network = network_of("192.168.77.0/24", false), port = client_start(c, network, NULL);
  int32_t shared = share(network, token);
  CHECK(network > 0 && port > 0 && shared > 0);
  int out, status = -1;
  pid_t pid = start_member(token, &out);
  CHECK(read_line(out, line, sizeof line) && strcmp(line, "joined") == 0);
  uint8_t frame[1514], back[1514];
  for (uint32_t i = 0; i < 200; i++) {
    make_frame(frame, 60 + i * 7, i == 0 ? everybody : b_mac, a_mac, i);
    make_frame(back, 60 + i * 7, a_mac, b_mac, i);
    CHECK(client_push(c, port, frame, 60 + i * 7));
    CHECK(client_expect(c, port, back, 60 + i * 7, 2000));
  }
  CHECK(client_stop(c, network) == VN_OK);
  CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
  close(out);
  CHECK(state_of(c, shared) == VN_GONE || !client_get(c, shared, VN_GET_STATE));
  client_stop(c, shared);
  vn_close(port);
  CHECK(nothing_left(c));
}

static void test_who_joins_learns_what_the_network_is(void) {
  char token[256];
  int32_t network = network_of("192.168.77.0/24", true), shared = share(network, token), joined = join(token);
  CHECK(joined > 0);
  CHECK(strcmp(client_text(c, "ipv4Subnet"), "192.168.77.0/24") == 0);
  CHECK(strcmp(client_text(c, "ipv4Gateway"), "192.168.77.1") == 0);
  CHECK(client_number(c, "mode") == 1001 && client_number(c, "mtu") == 1500);
  CHECK(client_call(c, joined, VN_OP_FORWARD_LIST, NULL) == VN_OK);
  struct vn_entry entry;
  CHECK(nth(c->result, c->length, "forward", 0, &entry));
  CHECK(vn_list_number(entry.value, entry.length, "externalPort", 0) == 8080);
  struct vn_writer options = {.data = NULL};
  vn_write_number(&options, "protocol", 6);
  vn_write_number(&options, "externalPort", 8081);
  vn_write_number(&options, "internalPort", 81);
  vn_write_text(&options, "internalAddress", "192.168.77.9");
  CHECK(client_call(c, joined, VN_OP_FORWARD_ADD, &options) == VN_UNSUPPORTED);
  CHECK(strstr(client_text(c, "message"), "created") != NULL);
  CHECK(client_call(c, joined, VN_OP_NETWORK_SHARE, NULL) == VN_UNSUPPORTED);
  CHECK(client_call(c, joined, VN_OP_NETWORK_COPY_SERIALIZATION, NULL) == VN_UNSUPPORTED);
  /* A share that was stopped takes nobody else; who is in stays. */
  CHECK(client_stop(c, shared) == VN_OK && join(token) == -VN_BAD_TOKEN);
  CHECK(state_of(c, joined) == VN_OK);
  shared = share(network, token);
  CHECK(shared > 0);
  int32_t again = join(token);
  CHECK(again > 0);
  CHECK(client_stop(c, network) == VN_OK);
  CHECK(becomes(joined, VN_GONE) && becomes(again, VN_GONE));
  client_stop(c, joined), client_stop(c, again), client_stop(c, shared);
  CHECK(nothing_left(c));
}

/* Joined interfaces, one of them in this process, and one of vmnet's own: three stations. */
static void test_stations_reach_each_other_through_the_uplink_once(void) {
  char token[256];
  int32_t network = network_of(NULL, false), port = client_start(c, network, NULL), shared = share(network, token);
  int32_t joined = join(token), near = client_start(c, joined, NULL), far = client_start(c, joined, NULL);
  CHECK(port > 0 && shared > 0 && near > 0 && far > 0);
  uint8_t frame[1514];
  make_frame(frame, 400, everybody, a_mac, 1);
  CHECK(client_push(c, port, frame, 400));
  CHECK(client_expect(c, near, frame, 400, 2000) && client_expect(c, far, frame, 400, 2000));
  make_frame(frame, 401, everybody, b_mac, 2);
  CHECK(client_push(c, near, frame, 401));
  CHECK(client_expect(c, port, frame, 401, 2000) && client_expect(c, far, frame, 401, 2000));
  make_frame(frame, 402, everybody, c_mac, 3);
  CHECK(client_push(c, far, frame, 402));
  CHECK(client_expect(c, port, frame, 402, 2000) && client_expect(c, near, frame, 402, 2000));
  CHECK(client_drain(c, near, BATCH, 50) == 0 && client_drain(c, far, BATCH, 0) == 0); /* nothing twice */
  CHECK(client_drain(c, port, BATCH, 0) == 0);
  vn_close(near), vn_close(far), vn_close(joined), vn_close(shared), vn_close(port), vn_close(network);
  CHECK(nothing_left(c));
}

/* A member that takes nothing loses its own frames, and costs nobody else one. */
static void test_a_member_that_does_not_read_costs_nobody(void) {
  char token[256], line[64] = "";
  int32_t network = network_of(NULL, false), port = client_start(c, network, NULL), shared = share(network, token);
  int32_t joined = join(token), near = client_start(c, joined, NULL);
  CHECK(port > 0 && near > 0);
  int out, status = -1;
  pid_t pid = start_member(token, &out);
  CHECK(read_line(out, line, sizeof line) && pid > 0 && kill(pid, SIGSTOP) == 0);
  uint8_t frame[1514];
  uint32_t seen = 0;
  for (uint32_t i = 0; i < 5000; i++) { /* more than its socket and its queue take */
    make_frame(frame, 1514, everybody, c_mac, i);
    CHECK(client_push(c, port, frame, 1514));
    if (i % 50 == 49) while (seen <= i) {
      int32_t count = client_drain(c, near, BATCH, 3000);
      for (int32_t k = 0; k < count; k++, seen++) CHECK(memcmp(client_frame(c, k) + 14, &seen, 4) == 0);
      if (count <= 0) break;
    }
  }
  CHECK(seen == 5000);
  CHECK(client_stop(c, network) == VN_OK);
  kill(pid, SIGCONT);
  CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
  close(out);
  vn_close(near), vn_close(joined), vn_close(shared), vn_close(port);
  CHECK(nothing_left(c));
}

static int32_t start_as(int32_t network, uint8_t id, bool isolated, uint32_t mtu) {
  struct vn_writer options = {.data = NULL};
  const uint8_t bytes[16] = {id};
  vn_write_bytes(&options, "vmnet_interface_id", bytes, 16);
  vn_write_number(&options, "vmnet_enable_isolation", isolated);
  if (mtu) vn_write_number(&options, "vmnet_mtu", mtu);
  return client_start(c, network, &options);
}

/* The switch has the say over those who joined; vmnet's own stations are beyond its reach (docs/limitations.md). */
static void test_isolation_macs_and_mtu_of_the_joined(void) {
  char token[256];
  int32_t network = network_of(NULL, false), port = client_start(c, network, NULL), shared = share(network, token);
  int32_t joined = join(token), near = start_as(joined, 1, true, 0), far = start_as(joined, 2, true, 0);
  CHECK(port > 0 && near > 0 && far > 0 && start_as(joined, 2, false, 0) == -VN_IN_USE);
  int32_t small = start_as(joined, 3, false, 1400);
  CHECK(small > 0 && client_number(c, "vmnet_mtu") == 1400 && client_number(c, "vmnet_max_packet_size") == 1414);
  uint8_t frame[1514];
  make_frame(frame, 1000, everybody, b_mac, 1);
  CHECK(client_push(c, near, frame, 1000) && client_expect(c, port, frame, 1000, 2000));
  CHECK(client_drain(c, far, BATCH, 50) == 0 && client_drain(c, small, BATCH, 0) == 0);
  make_frame(frame, 1514, everybody, a_mac, 2);
  CHECK(client_push(c, port, frame, 1514) && client_expect(c, near, frame, 1514, 2000));
  CHECK(client_expect(c, far, frame, 1514, 2000) && client_drain(c, small, BATCH, 50) == 0);
  CHECK(client_send(c, small, frame, 1415) < 0);
  vn_close(small), vn_close(near), vn_close(far), vn_close(joined), vn_close(shared), vn_close(port), vn_close(network);
  CHECK(nothing_left(c));
}

static void write_leases(const char *path, int count) {
  char beside[100];
  snprintf(beside, sizeof beside, "%s.new", path);
  FILE *file = fopen(beside, "w");
  for (int i = count; i >= 1; i--)
    fprintf(file, "{\n\tname=guest%d\n\tip_address=192.168.77.%d\n\thw_address=1,2:0:0:0:0:%x\n\tlease=0x%llx\n}\n", i,
            i + 1, (unsigned)i, (unsigned long long)time(NULL) + 3600);
  fclose(file);
  rename(beside, path);
}

/* Those that there are when somebody joins, and those that come. */
static void test_leases_are_passed_on(void) {
  char token[256], path[64] = "/tmp/vmnet-share-leases-XXXXXX";
  int fd = mkstemp(path);
  CHECK(fd >= 0);
  close(fd);
  write_leases(path, 1);
  double_set("leases", path);
  int32_t network = network_of("192.168.77.0/24", false), shared = share(network, token), joined = join(token);
  CHECK(joined > 0 && client_get(c, joined, VN_GET_LEASES) && how_many(c->result, c->length, "lease") == 1);
  write_leases(path, 2);
  uint32_t ready = 0;
  for (int i = 0; i < 100 && !(ready & VN_READY_EVENT); i++) ready = client_ready(c, joined, 50);
  struct vn_entry entry;
  char address[32] = "";
  CHECK((ready & VN_READY_EVENT) && client_get(c, joined, VN_GET_EVENTS));
  CHECK(nth(c->result, c->length, "lease", 0, &entry));
  vn_list_text(entry.value, entry.length, "address", address, sizeof address);
  CHECK(strcmp(address, "192.168.77.3") == 0 && vn_list_number(entry.value, entry.length, "change", 0) == 1);
  CHECK(client_get(c, joined, VN_GET_LEASES) && how_many(c->result, c->length, "lease") == 2);
  client_stop(c, network), vn_close(shared), vn_close(joined);
  double_set("leases", "");
  unlink(path);
  CHECK(nothing_left(c));
}

static void test_share_cycles_leave_nothing(void) {
  char token[256];
  int fds = 0, threads = 0, cycles = getenv("VN_LONG") && *getenv("VN_LONG") ? 500 : 40;
  for (int i = 0; i < cycles; i++) {
    if (i == 5) {
      CHECK(nothing_left(c));
      fds = count_entries("/proc/self/fd"), threads = count_entries("/proc/self/task");
    }
    int32_t network = network_of(NULL, false), shared = share(network, token), joined = join(token);
    int32_t port = client_start(c, joined, NULL);
    CHECK(port > 0);
    switch (i % 4) {
      case 0: client_stop(c, port), client_stop(c, joined), client_stop(c, shared), client_stop(c, network); break;
      case 1: client_stop(c, network), vn_close(port), vn_close(joined), vn_close(shared); break;
      case 2: vn_close(shared), vn_close(network), vn_close(joined), vn_close(port); break;
      default:
        CHECK(vn_shutdown(5000) == 0);
        vn_close(shared), vn_close(network), vn_close(joined), vn_close(port);
    }
  }
  CHECK(nothing_left(c));
  CHECK(settles("/proc/self/fd", fds) && settles("/proc/self/task", threads));
}

int main(int count, char **arguments) {
  double_set("wire", "hub");
  if (count == 3 && strcmp(arguments[1], "member") == 0) return run_member(arguments[2]);
  c = client_open();
  RUN(test_a_member_in_another_process_is_on_the_network);
  RUN(test_who_joins_learns_what_the_network_is);
  RUN(test_stations_reach_each_other_through_the_uplink_once);
  RUN(test_a_member_that_does_not_read_costs_nobody);
  RUN(test_isolation_macs_and_mtu_of_the_joined);
  RUN(test_leases_are_passed_on);
  RUN(test_share_cycles_leave_nothing);
  client_close(c);
  return finish();
}
