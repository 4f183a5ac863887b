// SPDX-License-Identifier: MIT
/* Networks shared with other processes. The test starts itself again as a member or an owner. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "client.h"

static struct client *c;
static const uint8_t a_mac[6] = {2, 0, 0, 0, 0, 1}, b_mac[6] = {2, 0, 0, 0, 0, 2};

static struct vn_writer token_option(const char *token) {
  struct vn_writer options = {.data = NULL};
  vn_write_text(&options, "token", token);
  return options;
}

static int32_t join(const char *token) {
  struct vn_writer options = token_option(token);
  uint32_t status = client_call(c, c->context, VN_OP_NETWORK_JOIN, &options);
  return status ? -(int32_t)status : client_handle(c);
}

static int32_t share(int32_t network, char token[256]) {
  uint32_t status = client_call(c, network, VN_OP_NETWORK_SHARE, NULL);
  strcpy(token, status ? "" : client_text(c, "token"));
  return status ? -(int32_t)status : client_handle(c);
}

static int32_t quiet_network(void) { return client_network(c, 1000, false, NULL); }

static uint64_t stat_of(int32_t handle, const char *key) {
  client_get(c, handle, VN_GET_STATS);
  return client_number(c, key);
}

static uint32_t state_of(int32_t handle) {
  client_get(c, handle, VN_GET_STATE);
  return (uint32_t)client_number(c, "status");
}

static bool becomes(int32_t handle, uint32_t status) {
  for (int i = 0; i < 400; i++) {
    if (state_of(handle) == status) return true;
    usleep(5000);
  }
  return false;
}

/* Starts this program again in a role; its standard input and output are pipes. */
static pid_t start_self(const char *role, const char *argument, int *in, int *out) {
  int to[2], from[2];
  if (pipe(to) || pipe(from)) return -1;
  pid_t pid = fork();
  if (pid == 0) {
    dup2(to[0], 0);
    dup2(from[1], 1);
    close(to[0]), close(to[1]), close(from[0]), close(from[1]);
    execl("/proc/self/exe", "self", role, argument, (char *)NULL);
    _exit(99);
  }
  close(to[0]), close(from[1]);
  *in = to[1], *out = from[0];
  return pid;
}

/* Role "member": joins, echoes every frame with the addresses exchanged, ends when the network is gone. */
static int run_member(const char *token) {
  c = client_open();
  int32_t network = join(token), port = network > 0 ? client_start(c, network, NULL) : -1;
  if (port <= 0) return 2;
  printf("joined %s\n", client_text(c, "vmnet_mac_address"));
  fflush(stdout);
  for (;;) {
    int32_t count = client_drain(c, port, BATCH, 100);
    if (count == -VN_GONE) break;
    if (count < 0) return 3;
    for (int32_t i = 0; i < count; i++) {
      uint8_t frame[1514];
      uint32_t length = client_length(c, i);
      memcpy(frame, client_frame(c, i), length);
      memcpy(frame, client_frame(c, i) + 6, 6);
      memcpy(frame + 6, b_mac, 6);
      int32_t sent = client_send(c, port, frame, length);
      if (sent == -VN_GONE) break;
    }
  }
  return becomes(network, VN_GONE) ? 0 : 4;
}

/* Role "owner": shares a network with one interface and waits to be killed. */
static int run_owner(void) {
  c = client_open();
  char token[256];
  int32_t network = quiet_network(), port = client_start(c, network, NULL);
  if (share(network, token) <= 0 || port <= 0) return 2;
  printf("%s\n", token);
  fflush(stdout);
  for (;;) client_drain(c, port, BATCH, 1000);
}

static bool read_line(int fd, char *line, size_t capacity) {
  size_t at = 0;
  while (at + 1 < capacity && read(fd, line + at, 1) == 1 && line[at] != '\n') at++;
  line[at] = 0;
  return at > 0;
}

static void test_member_in_another_process_echoes(void) {
  char token[256], line[256];
  int32_t network = quiet_network(), port = client_start(c, network, NULL), shared = share(network, token);
  CHECK(shared > 0 && strncmp(token, "vmnet1:/", 8) == 0);
  int in, out, status = -1;
  pid_t pid = start_self("member", token, &in, &out);
  CHECK(read_line(out, line, sizeof line) && strncmp(line, "joined ", 7) == 0);
  uint8_t frame[1514];
  uint32_t sent = 0, got = 0;
  const uint32_t total = 5000;
  for (uint64_t end = vn_monotonic_ns() + 20000000000ull; got < total && vn_monotonic_ns() < end;) {
    while (sent < total && sent < got + 100) {
      make_frame(frame, 100 + sent % 1414, sent ? b_mac : everybody, a_mac, sent);
      if (client_send(c, port, frame, 100 + sent % 1414) != 1) break;
      sent++;
    }
    int32_t count = client_drain(c, port, BATCH, 100);
    for (int32_t i = 0; i < count; i++, got++) {
      uint32_t number;
      memcpy(&number, client_frame(c, i) + 14, 4);
      CHECK(number == got && client_length(c, i) == 100 + got % 1414);
    }
  }
  CHECK(got == total && stat_of(network, "ports") == 2);
  CHECK(client_stop(c, shared) == 0 && join(token) == -VN_BAD_TOKEN); /* newcomers are refused, who is in stays */
  CHECK(stat_of(network, "ports") == 2);
  CHECK(client_stop(c, network) == 0);
  CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
  close(in), close(out), vn_close(port);
}

static void test_killed_owner_ends_the_members(void) {
  char token[256], directory[256];
  int in, out;
  pid_t pid = start_self("owner", "", &in, &out);
  CHECK(read_line(out, token, sizeof token));
  int32_t network = join(token), port = client_start(c, network, NULL);
  CHECK(network > 0 && port > 0 && client_number(c, "vmnet_mtu") == 1500);
  uint8_t frame[60];
  make_frame(frame, 60, everybody, a_mac, 1);
  CHECK(client_push(c, port, frame, 60));
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
  CHECK(becomes(port, VN_GONE) && becomes(network, VN_GONE));
  CHECK(client_send(c, port, frame, 60) == -VN_GONE && client_start(c, network, NULL) == -VN_GONE);
  CHECK(join(token) == -VN_BAD_TOKEN);
  CHECK(vn_close(port) == 0 && client_stop(c, network) == 0);
  strcpy(directory, token + strlen("vmnet1:"));
  *strrchr(directory, '/') = 0;
  struct stat status;
  CHECK(stat(directory, &status) == 0 && (status.st_mode & 0777) == 0700);
  int32_t mine = quiet_network(), shared = share(mine, token); /* sweeps */
  CHECK(shared > 0 && stat(directory, &status) != 0);
  strcpy(directory, token + strlen("vmnet1:"));
  *strrchr(directory, '/') = 0;
  CHECK(client_stop(c, mine) == 0 && stat(directory, &status) != 0 && state_of(shared) == VN_GONE);
  vn_close(shared), close(in), close(out);
}

static void test_forged_tokens_are_refused(void) {
  char token[256], forged[256];
  int32_t network = quiet_network(), shared = share(network, token);
  static const char *const bad[] = {"", "x", "vmnet1:", "vmnet1:/tmp/x", "vmnet1::", "vmnet2:/tmp/x:00", "vmnet1:relative:0011",
                                    "vmnet1:/tmp/nothing/socket:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK(join(bad[i]) == -VN_BAD_TOKEN);
  strcpy(forged, token);
  char *last = forged + strlen(forged) - 1;
  *last = *last == '0' ? '1' : '0';
  CHECK(join(forged) == -VN_BAD_TOKEN);
  *last = 'g';
  CHECK(join(forged) == -VN_BAD_TOKEN);
  int32_t good = join(token);
  CHECK(good > 0 && client_stop(c, good) == 0);
  CHECK(shared > 0 && client_stop(c, network) == 0);
  vn_close(shared);
}

static int raw_connect(const char *token) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  const char *path = token + strlen("vmnet1:");
  memcpy(address.sun_path, path, (size_t)(strrchr(token, ':') - path));
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
  close(fd);
  return -1;
}

static bool hung_up(int fd, int ms) {
  struct pollfd slot = {.fd = fd, .events = POLLIN};
  char bytes[512];
  while (poll(&slot, 1, ms) > 0)
    if (read(fd, bytes, sizeof bytes) <= 0) return true;
  return false;
}

/* A correct hello by hand, as an interface; answers the socket after its answer was read. */
static int raw_interface(const char *token) {
  int fd = raw_connect(token);
  uint8_t secret[32], header[4], answer[4096];
  const char *hex = strrchr(token, ':') + 1;
  for (int i = 0; i < 32; i++) {
    char pair[3] = {hex[2 * i], hex[2 * i + 1], 0};
    secret[i] = (uint8_t)strtoul(pair, NULL, 16);
  }
  struct vn_writer hello = {.data = NULL};
  vn_write_text(&hello, "role", "interface");
  vn_write_bytes(&hello, "secret", secret, 32);
  vn_write_end(&hello, vn_write_begin(&hello, "options"));
  uint8_t length[4] = {0, 0, (uint8_t)(hello.length >> 8), (uint8_t)hello.length};
  CHECK(write(fd, length, 4) == 4 && write(fd, hello.data, hello.length) == (ssize_t)hello.length);
  vn_writer_free(&hello);
  CHECK(recv(fd, header, 4, MSG_WAITALL) == 4);
  uint32_t size = (uint32_t)header[2] << 8 | header[3];
  CHECK(size < sizeof answer && recv(fd, answer, size, MSG_WAITALL) == (ssize_t)size);
  CHECK(vn_list_number(answer, size, "status", 1) == 0);
  return fd;
}

static void test_newcomers_that_dawdle_or_babble_are_dropped(void) {
  char token[256];
  int32_t network = quiet_network(), shared = share(network, token), p = client_start(c, network, NULL);
  int many[80], refused = 0;
  for (int i = 0; i < 80; i++) many[i] = raw_connect(token);
  for (int i = 0; i < 80; i++) refused += many[i] < 0 || hung_up(many[i], 50);
  CHECK(refused >= 16); /* 64 may wait */
  for (int i = 0; i < 80; i++)
    if (many[i] >= 0) close(many[i]);
  usleep(50000);
  int slow = raw_connect(token);
  CHECK(write(slow, "\0\0", 2) == 2 && !hung_up(slow, 500) && hung_up(slow, 3000));
  close(slow);
  srand(3);
  for (int i = 0; i < 300; i++) {
    int fd = raw_connect(token);
    uint8_t bytes[256];
    for (size_t k = 0; k < sizeof bytes; k++) bytes[k] = (uint8_t)rand();
    if (i % 3 == 1) memset(bytes, 0, 2), bytes[2] = 0;
    if (i % 3 == 2) memset(bytes, 0, 4);
    if (send(fd, bytes, (size_t)(rand() % 256), MSG_NOSIGNAL) < 0) CHECK(errno == EPIPE || errno == ECONNRESET);
    close(fd);
  }
  int32_t good = join(token);
  CHECK(good > 0 && client_stop(c, good) == 0 && p > 0 && shared > 0);
  CHECK(client_stop(c, network) == 0);
  vn_close(p), vn_close(shared);
}

static void test_stream_peers_that_send_garbage_lose_their_port_only(void) {
  char token[256];
  int32_t network = quiet_network(), shared = share(network, token), p = client_start(c, network, NULL);
  uint8_t frame[4 + 60] = {0, 0, 0, 60};
  make_frame(frame + 4, 60, everybody, a_mac, 9);
  int good = raw_interface(token);
  CHECK(send(good, frame, 10, MSG_NOSIGNAL) == 10);
  usleep(20000);
  CHECK(send(good, frame + 10, sizeof frame - 10, MSG_NOSIGNAL) == (ssize_t)sizeof frame - 10);
  CHECK(client_expect(c, p, frame + 4, 60, 1000)); /* in two parts */
  static const uint8_t bad[][4] = {{0, 0, 0, 0}, {255, 255, 255, 255}, {0, 1, 0, 64}};
  for (size_t i = 0; i < 3; i++) {
    int fd = raw_interface(token);
    CHECK(send(fd, bad[i], 4, MSG_NOSIGNAL) == 4 && hung_up(fd, 1000));
    close(fd);
  }
  CHECK(stat_of(network, "badStreams") == 3);
  static const uint8_t runt[] = {0, 0, 0, 1, 7, 0, 0, 0, 13, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13};
  CHECK(send(good, runt, sizeof runt, MSG_NOSIGNAL) == (ssize_t)sizeof runt);
  CHECK(send(good, frame, sizeof frame, MSG_NOSIGNAL) == (ssize_t)sizeof frame && client_expect(c, p, frame + 4, 60, 1000));
  CHECK(stat_of(network, "droppedTooShort") == 2);
  srand(11);
  for (int i = 0; i < 200; i++) {
    int fd = raw_interface(token);
    static uint8_t bytes[5000];
    for (size_t k = 0; k < sizeof bytes; k++) bytes[k] = (uint8_t)(rand() % 7 ? rand() : 0);
    if (i & 1) bytes[0] = bytes[1] = 0;
    ssize_t sent = send(fd, bytes, (size_t)(rand() % 5000), MSG_NOSIGNAL);
    (void)sent;
    close(fd);
  }
  CHECK(send(good, frame, sizeof frame, MSG_NOSIGNAL) == (ssize_t)sizeof frame && client_expect(c, p, frame + 4, 60, 2000));
  CHECK(client_stop(c, network) == 0 && hung_up(good, 1000));
  close(good), vn_close(p), vn_close(shared);
}

static void test_stalled_peer_costs_nobody_else_anything(void) {
  char token[256];
  int32_t network = quiet_network(), shared = share(network, token);
  int32_t a = client_start(c, network, NULL), b = client_start(c, network, NULL);
  int stalled = raw_interface(token); /* never reads */
  uint8_t frame[1514];
  uint32_t got = 0;
  for (uint32_t i = 0; i < 6000; i++) {
    make_frame(frame, sizeof frame, everybody, a_mac, i);
    CHECK(client_push(c, a, frame, sizeof frame));
    if (i % 100 == 99) {
      for (int k = 0; k < 100 && got < i + 1; k++) {
        int32_t count = client_drain(c, b, BATCH, 100);
        if (count > 0) got += (uint32_t)count;
      }
    }
  }
  CHECK(got == 6000 && stat_of(b, "droppedIn") == 0 && stat_of(network, "droppedFull") > 2000);
  CHECK(client_stop(c, network) == 0);
  close(stalled), vn_close(a), vn_close(b), vn_close(shared);
}

static void test_the_owner_decides_on_addresses_and_isolation(void) {
  char token[256];
  int32_t network = quiet_network(), shared = share(network, token), joined = join(token);
  uint8_t id[16] = {5};
  struct vn_writer same[2] = {{.data = NULL}}, isolated = {.data = NULL}, unknown = {.data = NULL}, virtio = {.data = NULL};
  for (int i = 0; i < 2; i++) vn_write_bytes(&same[i], "vmnet_interface_id", id, 16);
  vn_write_number(&isolated, "vmnet_enable_isolation", 1);
  vn_write_number(&unknown, "vmnet_enable_nonsense", 1);
  vn_write_number(&virtio, "vmnet_enable_virtio_header", 1);
  int32_t a = client_start(c, network, &same[0]);
  CHECK(a > 0 && client_start(c, joined, &same[1]) == -VN_IN_USE);
  CHECK(client_start(c, joined, &unknown) == -VN_BAD_OPTION && strcmp(client_text(c, "field"), "vmnet_enable_nonsense") == 0);
  int32_t b = client_start(c, joined, &isolated), v = client_start(c, joined, &virtio);
  CHECK(b > 0 && v > 0);
  uint8_t frame[60], out[72] = {0};
  make_frame(frame, 60, everybody, a_mac, 3);
  CHECK(client_push(c, a, frame, 60) && client_drain(c, b, 1, 100) == 0);
  CHECK(client_drain(c, v, 1, 1000) == 1 && client_length(c, 0) == 72);
  memcpy(out + 12, frame, 60);
  CHECK(client_push(c, v, out, 72) && client_expect(c, a, frame, 60, 1000));
  CHECK(client_call(c, joined, VN_OP_NETWORK_SHARE, NULL) == VN_UNSUPPORTED);
  CHECK(client_stop(c, b) == 0);
  for (int i = 0; i < 200 && stat_of(network, "ports") != 2; i++) usleep(5000);
  CHECK(stat_of(network, "ports") == 2);
  CHECK(client_stop(c, joined) == 0 && client_stop(c, network) == 0);
  CHECK(state_of(v) == VN_GONE && state_of(a) == VN_GONE);
  vn_close(a), vn_close(v), vn_close(shared);
}

static void test_share_cycles_leave_nothing(void) {
  int fds = count_entries("/proc/self/fd"), tasks = count_entries("/proc/self/task");
  for (int i = 0; i < 50; i++) {
    char token[256];
    int32_t network = quiet_network(), shared = share(network, token), joined = join(token);
    int32_t p = client_start(c, joined, NULL);
    CHECK(network > 0 && shared > 0 && joined > 0 && p > 0);
    if (i & 1) vn_close(network);
    if (i & 2) vn_close(joined);
    if (i & 4) vn_close(p);
    if (!(i & 4)) client_stop(c, p);
    if (!(i & 2)) CHECK(client_stop(c, joined) == 0);
    if (!(i & 1)) CHECK(client_stop(c, network) == 0);
    vn_close(shared);
  }
  CHECK(settles("/proc/self/fd", fds) && settles("/proc/self/task", tasks));
}

int main(int argc, char **argv) {
  if (argc == 3 && strcmp(argv[1], "member") == 0) return run_member(argv[2]);
  if (argc == 3 && strcmp(argv[1], "owner") == 0) return run_owner();
  char shares[] = "/tmp/vn-share-XXXXXX"; /* of its own: whoever shares in /tmp sweeps there what dead owners left */
  if (mkdtemp(shares) == NULL || setenv("XDG_RUNTIME_DIR", shares, 1) != 0) return 1;
  c = client_open();
  RUN(test_member_in_another_process_echoes);
  RUN(test_killed_owner_ends_the_members);
  RUN(test_forged_tokens_are_refused);
  RUN(test_newcomers_that_dawdle_or_babble_are_dropped);
  RUN(test_stream_peers_that_send_garbage_lose_their_port_only);
  RUN(test_stalled_peer_costs_nobody_else_anything);
  RUN(test_the_owner_decides_on_addresses_and_isolation);
  RUN(test_share_cycles_leave_nothing);
  client_close(c);
  CHECK(vn_shutdown(2000) == 0);
  CHECK(rmdir(shares) == 0); /* nothing stayed in it */
  return finish();
}
