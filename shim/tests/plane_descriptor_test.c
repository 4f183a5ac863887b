// SPDX-License-Identifier: MIT
/* Descriptors that change hands, by the whole way: a control thread, a deadline, a reply that is fetched or not. */
#include <arpa/inet.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "client.h"

static struct client *c;

static int32_t make(int32_t on) {
  uint32_t status = client_call(c, on, VN_OP_SWITCH_CREATE, NULL);
  return status ? -(int32_t)status : client_handle(c);
}

static uint64_t process_number(const char *key) {
  client_get(c, c->context, VN_GET_STATS);
  return client_number(c, key);
}

static bool objects_settle(uint64_t before) {
  for (int i = 0; i < 400 && process_number("objects") > before; i++) usleep(5000);
  return process_number("objects") <= before;
}

static int32_t begin(int32_t board, const char *kind, const char *key, uint64_t value, uint32_t deadline_ms) {
  struct vn_writer options = {.data = NULL};
  vn_write_text(&options, "kind", kind);
  vn_write_number(&options, key, value);
  int32_t operation = vn_call(board, VN_OP_ENDPOINT_OPEN, options.data, options.length, deadline_ms);
  vn_writer_free(&options);
  return operation;
}

static int32_t begin_stream(int32_t board, const char *key, uint64_t value, uint32_t deadline_ms) {
  return begin(board, "stream", key, value, deadline_ms);
}

static uint32_t finish_stream(int32_t operation) {
  int32_t length;
  while ((length = vn_result(operation, c->result, sizeof c->result)) == -VN_PENDING) client_ready(c, operation, 5);
  c->length = length < 0 ? 0 : (uint32_t)length;
  return (uint32_t)client_number(c, "status");
}

static void test_a_descriptor_is_taken_by_success_alone(void) {
  int fds = count_entries("/proc/self/fd"), pair[2];
  int32_t board = make(c->context);
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
  CHECK(finish_stream(begin_stream(board, "fd", 99999, 0)) == VN_BAD_OPTION);
  int32_t operation = begin_stream(board, "fd", (uint64_t)pair[0], 0);
  for (int i = 0; i < 2000 && vn_result(operation, NULL, 0) == -VN_PENDING; i++) usleep(1000);
  vn_close(operation); /* a success that nobody fetched */
  CHECK(fcntl(pair[0], F_GETFD) >= 0);
  if (IN_LOADER) { /* the endpoint that went has shut the connection, which a Mac tells from a new one */
    CHECK(finish_stream(begin_stream(board, "fd", (uint64_t)pair[0], 0)) == VN_BAD_OPTION);
    close(pair[0]), close(pair[1]);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
  }
  CHECK(finish_stream(begin_stream(board, "fd", (uint64_t)pair[0], 0)) == VN_OK && fcntl(pair[0], F_GETFD) < 0);
  CHECK(client_stop(c, client_handle(c)) == VN_OK);
  char byte;
  CHECK(read(pair[1], &byte, 1) == 0); /* nobody else has the other end */
  close(pair[1]);
  CHECK(client_stop(c, board) == VN_OK && settles("/proc/self/fd", fds));
}

static void test_pairs_that_nobody_fetches_are_closed(void) {
  int32_t board = make(c->context);
  uint64_t objects = process_number("objects");
  int fds = count_entries("/proc/self/fd");
  for (int i = 0; i < 300; i++) {
    int32_t operation;
    while ((operation = begin_stream(board, "pair", 1, i % 5 == 4 ? 1 : 0)) == -VN_BUSY) usleep(100);
    if (i % 3 == 1) vn_cancel(operation);
    if (i % 2) {
      vn_close(operation);
      continue;
    }
    uint32_t status = finish_stream(operation);
    CHECK(status == VN_OK || status == VN_CANCELLED || status == VN_TIMEOUT);
    if (status != VN_OK) continue;
    close((int)client_number(c, "fd"));
    vn_close(client_handle(c));
  }
  CHECK(objects_settle(objects) && settles("/proc/self/fd", fds));
  CHECK(client_stop(c, board) == VN_OK);
}

/* Who names one descriptor in two calls has closed it by the first, and its number may be something else's since. */
static void test_a_number_that_is_somebody_elses_now_is_not_closed(void) {
  int fds = count_entries("/proc/self/fd"), pair[2];
  int32_t board = make(c->context);
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
  int32_t one = begin_stream(board, "fd", (uint64_t)pair[0], 0), two = begin_stream(board, "fd", (uint64_t)pair[0], 0);
  for (int i = 0; i < 2000 && vn_result(two, NULL, 0) == -VN_PENDING; i++) usleep(1000);
  CHECK(finish_stream(one) == VN_OK && fcntl(pair[0], F_GETFD) < 0);
  vn_close(client_handle(c));
  int innocent = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (innocent != pair[0]) CHECK(dup2(innocent, pair[0]) == pair[0] && close(innocent) == 0);
  CHECK(finish_stream(two) == VN_OK && fcntl(pair[0], F_GETFD) >= 0);
  vn_close(client_handle(c));
  close(pair[0]), close(pair[1]);
  CHECK(client_stop(c, board) == VN_OK && settles("/proc/self/fd", fds));
}

static void test_only_sockets_of_the_kind_are_taken(void) {
  int fds = count_entries("/proc/self/fd"), pair[2];
  int32_t board = make(c->context);
  struct sockaddr_in nobody = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(9)};
  int wrong[] = {socket(AF_NETLINK, SOCK_DGRAM, NETLINK_ROUTE), socket(AF_INET, SOCK_DGRAM, 0), open("/tmp", O_RDONLY),
                 open("/dev/null", O_RDWR), socket(AF_UNIX, SOCK_DGRAM, 0), socket(AF_UNIX, SOCK_STREAM, 0),
                 socket(AF_INET, SOCK_STREAM, 0)};
  CHECK(connect(wrong[1], (struct sockaddr *)&nobody, sizeof nobody) == 0);
  static const char *const kinds[] = {"stream", "datagram", "seqpacket", "tap"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    for (int k = 0; k < (IN_LOADER ? 2 : 4); k++)
      CHECK(finish_stream(begin(board, kinds[k], "fd", (uint64_t)wrong[i], 0)) == VN_BAD_OPTION);
    CHECK(fcntl(wrong[i], F_GETFD) >= 0 && close(wrong[i]) == 0);
  }
  static const uint64_t numbers[] = {9999, 1ull << 31, 1ull << 32, UINT64_MAX};
  for (int i = 0; i < 4; i++) CHECK(finish_stream(begin_stream(board, "fd", numbers[i], 0)) == VN_BAD_OPTION);
  /* A TCP socket that is connected to itself, as a port that nobody listens at may come to be. */
  struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof own;
  int mirror = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(bind(mirror, (struct sockaddr *)&own, length) == 0);
  CHECK(getsockname(mirror, (struct sockaddr *)&own, &length) == 0);
  CHECK(connect(mirror, (struct sockaddr *)&own, length) == 0);
  CHECK(finish_stream(begin_stream(board, "fd", (uint64_t)mirror, 0)) == VN_BAD_OPTION && close(mirror) == 0);
  /* A doorbell is a socket: whoever gives it away hears no more, and that is all. */
  struct client *other = client_open();
  CHECK(finish_stream(begin_stream(board, "fd", (uint64_t)other->bell, 0)) == VN_OK && fcntl(other->bell, F_GETFD) < 0);
  vn_close(client_handle(c));
  int32_t operation = vn_call(other->context, VN_OP_SWITCH_CREATE, NULL, 0, 0), status;
  while ((status = vn_result(operation, other->result, sizeof other->result)) == -VN_PENDING) usleep(1000);
  CHECK(status > 0 && vn_close(other->context) == VN_OK);
  free(other);
  CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
  CHECK(finish_stream(begin(board, "seqpacket", "fd", (uint64_t)pair[0], 0)) == (IN_LOADER ? VN_UNSUPPORTED : VN_OK));
  if (IN_LOADER) close(pair[0]);
  else vn_close(client_handle(c));
  close(pair[1]);
  CHECK(client_stop(c, board) == VN_OK && settles("/proc/self/fd", fds));
}

static uint64_t cpu_ms(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
         (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
}

/* By somebody with a copy: the socket says that it is readable, for ever, and gives nothing. */
static void test_a_datagram_socket_that_was_shut_down_is_over(void) {
  for (int how = SHUT_RD; how <= SHUT_RDWR; how++) {
    int32_t board = make(c->context);
    int pair[2];
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) == 0);
    int copy = dup(pair[0]);
    CHECK(finish_stream(begin(board, "datagram", "fd", (uint64_t)pair[0], 0)) == VN_OK);
    int32_t endpoint = client_handle(c);
    shutdown(copy, how);
    uint64_t before = cpu_ms();
    usleep(300000);
    CHECK(cpu_ms() - before < 150);
    client_get(c, endpoint, VN_GET_STATE);
    CHECK(how == SHUT_WR || client_number(c, "status") == VN_GONE);
    close(copy), close(pair[1]);
    CHECK(client_stop(c, board) == VN_OK);
  }
}

/* A TCP connection with unsent bytes and SO_LINGER: its close() waits, if somebody lets it. */
static int lingering(int *other) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(bind(listener, (struct sockaddr *)&address, length) == 0 && listen(listener, 1) == 0);
  CHECK(getsockname(listener, (struct sockaddr *)&address, &length) == 0);
  CHECK(connect(fd, (struct sockaddr *)&address, length) == 0);
  *other = accept(listener, NULL, NULL);
  close(listener);
  struct linger wait = {.l_onoff = 1, .l_linger = 4};
  CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &wait, sizeof wait) == 0);
  static const char bytes[1 << 16];
  while (send(fd, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL) > 0) continue;
  return fd;
}

static void test_nobodys_close_is_waited_for(void) {
  int32_t board = make(c->context);
  int other, fd = lingering(&other), pair[2];
  CHECK(finish_stream(begin_stream(board, "fd", (uint64_t)fd, 0)) == VN_OK);
  uint64_t before = vn_monotonic_ns();
  CHECK(client_stop(c, client_handle(c)) == VN_OK && vn_monotonic_ns() - before < 2000000000);
  close(other);
  /* The same, handed to us in a message. */
  static const char *const kinds[] = {"stream", "datagram", "seqpacket"};
  static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
  for (int i = 0; i < 3 && !IN_LOADER; i++) { /* only Linux can be told not to take them */
    CHECK(socketpair(AF_UNIX, types[i] | SOCK_CLOEXEC, 0, pair) == 0);
    int none = 0;
    bool known = setsockopt(pair[1], SOL_SOCKET, 83 /* SO_PASSRIGHTS */, &none, sizeof none) == 0;
    CHECK(finish_stream(begin(board, kinds[i], "fd", (uint64_t)pair[0], 0)) == VN_OK);
    char control[CMSG_SPACE(sizeof(int))] = {0}, bytes[18] = {[3] = 14};
    struct iovec part = {bytes, sizeof bytes};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control};
    message.msg_controllen = sizeof control;
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    *rights = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
    memcpy(CMSG_DATA(rights), &pair[1], sizeof(int));
    CHECK(!known || sendmsg(pair[1], &message, MSG_NOSIGNAL) < 0);
    close(pair[1]);
  }
  CHECK(client_stop(c, board) == VN_OK);
}

int main(void) {
  c = client_open();
  RUN(test_a_descriptor_is_taken_by_success_alone);
  RUN(test_pairs_that_nobody_fetches_are_closed);
  RUN(test_a_number_that_is_somebody_elses_now_is_not_closed);
  RUN(test_only_sockets_of_the_kind_are_taken);
  RUN(test_a_datagram_socket_that_was_shut_down_is_over);
  RUN(test_nobodys_close_is_waited_for);
  client_close(c);
  CHECK(vn_shutdown(2000) == 0);
  return finish();
}
