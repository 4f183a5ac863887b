// SPDX-License-Identifier: MIT
/*
 * Peers and neighbours that mean no good, at the seams of a shared network: members that close half of their stream or
 * flood the owner with questions, others that take a dead owner's path, and directories that only look like ours.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* struct ucred */
#endif
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "client.h"
#include "free_port.h"

static struct client *c;
static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};

static int32_t share(int32_t network, char token[256]) {
  uint32_t status = client_call(c, network, VN_OP_NETWORK_SHARE, NULL);
  strcpy(token, status ? "" : client_text(c, "token"));
  return status ? -(int32_t)status : client_handle(c);
}

static int32_t join(const char *token) {
  struct vn_writer options = {.data = NULL};
  vn_write_text(&options, "token", token);
  uint32_t status = client_call(c, c->context, VN_OP_NETWORK_JOIN, &options);
  return status ? -(int32_t)status : client_handle(c);
}

static bool send_list(int fd, struct vn_writer *list) {
  uint8_t length[4] = {(uint8_t)(list->length >> 24), (uint8_t)(list->length >> 16), (uint8_t)(list->length >> 8),
                       (uint8_t)list->length};
  bool sent = send(fd, length, 4, MSG_NOSIGNAL) == 4 &&
              send(fd, list->data, list->length, MSG_NOSIGNAL) == (ssize_t)list->length;
  vn_writer_free(list);
  return sent;
}

static bool read_all(int fd, void *bytes, uint32_t length) {
  ssize_t count; /* a child that stops or goes on interrupts */
  do count = recv(fd, bytes, length, MSG_WAITALL);
  while (count < 0 && errno == EINTR);
  return count == (ssize_t)length;
}

/* Reads one message; its length, or 0 at the end. */
static uint32_t read_list(int fd, uint8_t *list, uint32_t capacity) {
  uint8_t header[4];
  if (!read_all(fd, header, 4)) return 0;
  uint32_t length = (uint32_t)header[0] << 24 | (uint32_t)header[1] << 16 | (uint32_t)header[2] << 8 | header[3];
  return length <= capacity && read_all(fd, list, length) ? length : 0;
}

/* A connection of that role, past its hello. */
static int raw_member(const char *token, const char *role) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  static uint8_t answer[65536];
  const char *path = token + strlen("vmnet1:"), *hex = strrchr(token, ':') + 1;
  memcpy(address.sun_path, path, (size_t)(hex - 1 - path));
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
  struct timeval patience = {.tv_sec = 3};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  uint8_t secret[32];
  for (int i = 0; i < 32; i++) {
    char pair[3] = {hex[2 * i], hex[2 * i + 1], 0};
    secret[i] = (uint8_t)strtoul(pair, NULL, 16);
  }
  struct vn_writer hello = {.data = NULL};
  vn_write_text(&hello, "role", role);
  vn_write_bytes(&hello, "secret", secret, 32);
  vn_write_end(&hello, vn_write_begin(&hello, "options"));
  CHECK(send_list(fd, &hello));
  uint32_t length = read_list(fd, answer, sizeof answer);
  CHECK(length > 0 && vn_list_number(answer, length, "status", 1) == 0);
  return fd;
}

static uint64_t cpu_ns(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000ull +
         (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000ull;
}

static uint64_t stat_of(int32_t handle, const char *key) {
  client_get(c, handle, VN_GET_STATS);
  return client_number(c, key);
}

static void test_a_member_that_closes_its_reading_half_costs_no_cpu(void) {
  char token[256];
  int32_t network = client_network(c, 1000, false, NULL), shared = share(network, token);
  int32_t port = client_start(c, network, NULL);
  int fd = raw_member(token, "interface");
  for (int i = 0; i < 200 && stat_of(network, "ports") != 2; i++) usleep(5000);
  CHECK(shared > 0 && port > 0 && stat_of(network, "ports") == 2);
  shutdown(fd, SHUT_RD);
  uint8_t frame[60];
  make_frame(frame, sizeof frame, everybody, mac, 1);
  CHECK(client_push(c, port, frame, sizeof frame));
  usleep(50000);
  uint64_t before = cpu_ns();
  usleep(500000);
  CHECK(cpu_ns() - before < 100000000); /* it was all of the time */
  CHECK(stat_of(network, "ports") == 1); /* who cannot hear has left */
  close(fd), vn_close(port), vn_close(shared);
  CHECK(client_stop(c, network) == 0);
}

static void test_a_member_that_asks_too_much_harms_only_itself(void) {
  char token[256];
  static uint8_t answer[65536];
  int32_t network = client_network(c, 1001, false, NULL), shared = share(network, token);
  pid_t pids[16] = {0}, after[16] = {0};
  uint32_t busy = 0, id = 0;
  CHECK(shared > 0 && gateways(pids) == 1);
  int fd = raw_member(token, "control");
  kill(pids[0], SIGSTOP); /* the gateway answers nothing */
  struct vn_writer many = {.data = NULL};
  for (; many.length < 100000; id++) { /* as many as fit in the sockets at once */
    struct vn_writer one = {.data = NULL};
    vn_write_text(&one, "message", "forwardRemove");
    vn_write_number(&one, "id", id);
    uint32_t mark = vn_write_begin(&one, "forward");
    vn_write_number(&one, "protocol", 6);
    vn_write_number(&one, "externalPort", 1 + id % 60000);
    vn_write_end(&one, mark);
    many.length += one.length;
    if (!send_list(fd, &one)) break;
  }
  for (uint32_t i = 0; i + 64 < id; i++) {
    uint32_t length = read_list(fd, answer, sizeof answer);
    if (length == 0) break;
    busy += vn_list_number(answer, length, "status", 0) == VN_BUSY;
  }
  CHECK(busy == id - 64);
  kill(pids[0], SIGCONT);
  for (uint32_t i = 0; i < 64; i++) {
    uint32_t length = read_list(fd, answer, sizeof answer);
    CHECK(length > 0 && vn_list_number(answer, length, "status", 0) == VN_NOT_FOUND);
  }
  CHECK(gateways(after) == 1 && after[0] == pids[0]);
  close(fd), vn_close(shared);
  CHECK(client_stop(c, network) == 0);
}

static void test_another_user_at_a_dead_owners_path_gets_no_secret(void) {
  static const char secret[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
  char path[64], token[256];
  int told[2];
  if (getuid() != 0) return; /* only root can be somebody else */
  snprintf(path, sizeof path, "/tmp/vmnet-test-%d", (int)getpid());
  snprintf(token, sizeof token, "vmnet1:%s:%s", path, secret);
  CHECK(pipe(told) == 0);
  pid_t pid = fork();
  if (pid == 0) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path);
    char bytes[256];
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (setuid(65534) != 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 1) != 0) _exit(9);
    if (write(told[1], "", 1) != 1) _exit(8);
    int caller = accept(fd, NULL, NULL);
    _exit(read(caller, bytes, sizeof bytes) > 0 ? 1 : 0);
  }
  char ready;
  int status = -1;
  CHECK(read(told[0], &ready, 1) == 1 && join(token) == -VN_BAD_TOKEN);
  CHECK(waitpid(pid, &status, 0) == pid && status == 0);
  unlink(path), close(told[0]), close(told[1]);
}

static bool make_file(const char *directory, const char *name) {
  char path[128];
  snprintf(path, sizeof path, "%s/%s", directory, name);
  int fd = open(path, O_CREAT | O_WRONLY, 0600);
  return fd >= 0 && close(fd) == 0;
}

static void test_only_what_is_ours_is_swept_away(void) {
  static const char *const names[] = {"backup", "abcdef", "uvwxyz", "a"}; /* two as mkdtemp() makes them */
  char base[] = "/tmp/vn-sweep-XXXXXX", directories[4][64], token[256];
  struct stat status;
  CHECK(mkdtemp(base) != NULL && setenv("XDG_RUNTIME_DIR", base, 1) == 0); /* others, who share in /tmp, sweep there */
  for (int i = 0; i < 4; i++) {
    char path[128];
    struct timespec old[2] = {{1000000, 0}, {1000000, 0}};
    snprintf(directories[i], sizeof *directories, "%s/vmnet-%u-%s", base, (unsigned)getuid(), names[i]);
    CHECK(mkdir(directories[i], i == 2 ? 0755 : 0700) == 0);
    CHECK(make_file(directories[i], i & 1 ? "socket" : "new"));
    utimensat(AT_FDCWD, directories[i], old, 0);
    snprintf(path, sizeof path, "%s/%s", directories[i], i & 1 ? "socket" : "new");
    int32_t network = client_network(c, 1000, false, NULL), shared = share(network, token);
    CHECK(shared > 0 && stat(path, &status) == 0);
    vn_close(shared);
    CHECK(client_stop(c, network) == 0);
    unlink(path), rmdir(directories[i]);
  }
  unsetenv("XDG_RUNTIME_DIR");
  CHECK(rmdir(base) == 0);
}

static uint64_t forwards_of(int32_t network) {
  struct vn_reader reader;
  struct vn_entry entry;
  uint64_t count = 0;
  CHECK(client_call(c, network, VN_OP_FORWARD_LIST, NULL) == 0);
  vn_list_read(&reader, c->result, c->length);
  while (vn_list_next(&reader, &entry)) count += vn_entry_is(&entry, VN_LIST, "forward");
  return count;
}

static uint16_t external; /* one for all: it has to be free again each time */

static int32_t ask_forward(int32_t target, const char *gateway, uint32_t deadline_ms) {
  char address[64];
  strcpy(address, gateway);
  strcpy(strrchr(address, '.'), ".9");
  struct vn_writer options = {.data = NULL};
  vn_write_number(&options, "protocol", 6);
  vn_write_number(&options, "externalPort", external);
  vn_write_text(&options, "internalAddress", address);
  vn_write_number(&options, "internalPort", 80);
  int32_t operation = vn_call(target, VN_OP_FORWARD_ADD, options.data, options.length, deadline_ms);
  vn_writer_free(&options);
  return operation;
}

static uint32_t result_of(int32_t operation) {
  int32_t length = -VN_PENDING;
  for (int i = 0; i < 4000 && length == -VN_PENDING; i++) {
    length = vn_result(operation, c->result, sizeof c->result);
    if (length == -VN_PENDING) usleep(1000);
  }
  c->length = length < 0 ? 0 : (uint32_t)length;
  return length < 0 ? (uint32_t)-length : (uint32_t)client_number(c, "status");
}

static bool loses_its_forwards(int32_t network) {
  for (int i = 0; i < 200; i++) {
    if (forwards_of(network) == 0) return true;
    usleep(5000);
  }
  return false;
}

static void test_forwards_of_a_joined_interface_end_with_it(void) {
  char token[256], gateway[64];
  int32_t network = client_network(c, 1001, false, NULL);
  strcpy(gateway, client_text(c, "ipv4Gateway"));
  int32_t shared = share(network, token), joined = join(token), port = client_start(c, joined, NULL);
  CHECK(port > 0 && result_of(ask_forward(port, gateway, 3000)) == 0 && forwards_of(network) == 1);
  CHECK(client_stop(c, port) == 0 && loses_its_forwards(network));
  CHECK(result_of(ask_forward(joined, gateway, 3000)) == 0 && forwards_of(network) == 1);
  CHECK(client_stop(c, joined) == 0 && loses_its_forwards(network));
  vn_close(shared);
  CHECK(client_stop(c, network) == 0);
}

/* A forward that is asked for while its interface stops: it must not outlive it. */
static void test_a_forward_does_not_outlive_its_interface(void) {
  int32_t network = client_network(c, 1001, false, NULL);
  pid_t pids[16] = {0};
  CHECK(network > 0 && gateways(pids) == 1);
  for (int round = 0; round < 6; round++) {
    int32_t port = client_start(c, network, NULL);
    char gateway[64];
    strcpy(gateway, client_text(c, "vmnet_start_address"));
    if (round & 1) kill(pids[0], SIGSTOP); /* so that the question is under way when the interface goes */
    int32_t add = ask_forward(port, gateway, round & 2 ? 100 : 0);
    if (round & 1) usleep(50000);
    CHECK(client_stop(c, port) == 0);
    if (round & 1) usleep(100000), kill(pids[0], SIGCONT);
    CHECK(result_of(add) != VN_PENDING && loses_its_forwards(network));
  }
  CHECK(client_stop(c, network) == 0);
}

int main(void) {
  external = free_port(SOCK_STREAM);
  c = client_open();
  RUN(test_a_member_that_closes_its_reading_half_costs_no_cpu);
  RUN(test_a_member_that_asks_too_much_harms_only_itself);
  RUN(test_another_user_at_a_dead_owners_path_gets_no_secret);
  RUN(test_only_what_is_ours_is_swept_away);
  RUN(test_forwards_of_a_joined_interface_end_with_it);
  RUN(test_a_forward_does_not_outlive_its_interface);
  client_close(c);
  CHECK(vn_shutdown(2000) == 0);
  return finish();
}
