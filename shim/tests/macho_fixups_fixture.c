// SPDX-License-Identifier: MIT
/*
 * macho_fixups_fixture.c - what macho_loader_test.c runs: cross-built for macOS into two small dylibs, one for each
 * kind of fixups. Each function answers 0, or the line where something is not as on a Mac.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <vmnet/vmnet.h>

/* Darwin's numbers that the shim itself has no use for, so that libc.h lacks them. */
enum {
  MAC_F_GETFD = 1, MAC_O_CREAT = 0x200, MAC_R_OK = 4, MAC_F_OK = 0, MAC_REGULAR = 0100000, MAC_TYPE = 0170000,
  MAC_EPIPE = 32, MAC_BLOCK = 1, MAC_SIGINT = 2, MAC_SIGUSR1 = 30, MAC_O_RDWR = 2,
};

/* Those of libc.h that nothing here can tell from others by running. */
_Static_assert(PTHREAD_CREATE_DETACHED == 2 && EPROTOTYPE == 41 && AF_INET6 == 30 && ENOSYS == 78, "Darwin's numbers");
_Static_assert(ECONNABORTED == 53, "Darwin's numbers");

#define EXPORT __attribute__((visibility("default")))
#define NEED(condition) \
  do {                  \
    if (!(condition)) return __LINE__; \
  } while (0)

/* Pointers of every kind: to own data and code, dense, far apart, constant, to imports with and without a distance. */
static int number = 42;
static int add(int a, int b) { return a + b; }
static int multiply(int a, int b) { return a * b; }
EXPORT int *volatile fixture_dense[5] = {&number, &number, &number, NULL, &number};
static struct {
  int *pointer;
  char room[5000];
} volatile apart[3] = {{&number, "a"}, {&number, "b"}, {&number, "c"}};
static int (*const volatile table[])(int, int) = {add, multiply};
static size_t (*const volatile imported)(const char *) = strlen;
static const char *const volatile *volatile key = &vmnet_mtu_key;
static const char *volatile texts[] = {"one", "two", "three"};

EXPORT int fixture_pointers(void) {
  for (int i = 0; i < 5; i++) NEED(i == 3 ? fixture_dense[i] == NULL : *fixture_dense[i] == 42);
  for (int i = 0; i < 3; i++) NEED(*apart[i].pointer == 42 && apart[i].room[0] == 'a' + i);
  NEED(table[0](6, 7) == 13 && table[1](6, 7) == 42);
  NEED(imported(texts[2]) == 5 && imported == strlen);
  NEED(strcmp(*key, "vmnet_mtu") == 0);
  number = 42;
  return 0;
}

/* 1: the symbols of macOS 26, 2: of 15.4 */
EXPORT int fixture_weak(void) {
  const void *volatile create = (const void *)&vmnet_network_create, *volatile header = &vmnet_enable_virtio_header_key;
  return (create != NULL) | (header != NULL) << 1;
}

/* Variable arguments: more than there are registers. */
EXPORT int fixture_format(char *out, size_t capacity) {
  const char *format = "%d %s %c %llu %02x %zu %ld %.3f %d %u";
  return snprintf(out, capacity, format, -1, "text", 'x', 1ull << 40, 10, (size_t)7, -9l, 2.5, 8, 9u);
}

EXPORT int fixture_files(const char *directory) {
  char path[200];
  struct stat status;
  snprintf(path, sizeof path, "%s/file", directory);
  NEED(open(path, O_RDONLY) == -1 && errno == ENOENT);
  int fd = open(path, MAC_O_RDWR | MAC_O_CREAT | O_CLOEXEC, 0640);
  NEED(fd >= 0 && fcntl(fd, MAC_F_GETFD) == FD_CLOEXEC && fcntl(fd, F_GETFL) == MAC_O_RDWR);
  NEED(fcntl(fd, F_SETFL, O_NONBLOCK) == 0 && (fcntl(fd, F_GETFL) & O_NONBLOCK));
  NEED(fcntl(fd, F_SETFD, 0) == 0 && fcntl(fd, MAC_F_GETFD) == 0);
  char text[4] = "", again[220];
  NEED(fchmod(fd, 0600) == 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && (status.st_mode & 0777) == 0600);
  int program = open("/proc/self/exe", O_RDONLY);
  NEED(pread(program, text, 3, 1) == 3 && strcmp(text, "ELF") == 0 && close(program) == 0);
  snprintf(again, sizeof again, "%s/again", directory);
  NEED(link(path, again) == 0 && link(path, again) == -1 && errno == EEXIST && unlink(again) == 0);
  NEED(chmod(path, 0640) == 0);
  NEED(close(fd) == 0 && close(fd) == -1 && errno == EBADF && EBADF == 9);
  NEED(stat(path, &status) == 0 && (status.st_mode & MAC_TYPE) == MAC_REGULAR);
  NEED((status.st_mode & 0777) == 0640 && status.st_size == 0);
  NEED(status.st_uid == getuid() && status.st_nlink == 1 && time(NULL) - status.st_mtimespec.tv_sec < 100);
  NEED(lstat(directory, &status) == 0 && S_ISDIR(status.st_mode));
  DIR *opened = opendir(directory);
  NEED(opened != NULL);
  int found = 0, others = 0;
  for (const struct dirent *entry; (entry = readdir(opened)) != NULL;) {
    if (strcmp(entry->d_name, "file") == 0) found += entry->d_ino != 0;
    others += entry->d_name[0] != '.';
  }
  closedir(opened);
  NEED(found == 1 && others == 1 && access(path, MAC_R_OK) == 0 && unlink(path) == 0 && access(path, MAC_F_OK) == -1);
  return 0;
}

EXPORT int fixture_sockets(const char *directory) {
  int pair[2], on = 1, size = 0;
  socklen_t length = sizeof size;
  char byte;
  NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  NEED(recv(pair[0], &byte, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN && EAGAIN == 35);
  NEED(setsockopt(pair[0], SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on) == 0);
  NEED(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &(int){65536}, sizeof size) == 0);
  (void)length;
  struct iovec parts[2] = {{"ab", 2}, {"c", 1}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
  char got[4] = "";
  NEED(sendmsg(pair[0], &message, 0) == 3 && recv(pair[1], got, 4, 0) == 3 && strcmp(got, "abc") == 0);
  struct pollfd slot = {.fd = pair[1], .events = POLLIN};
  NEED(poll(&slot, 1, 0) == 0 && send(pair[0], "x", 1, 0) == 1 && poll(&slot, 1, 0) == 1 && slot.revents == POLLIN);
  close(pair[1]);
  NEED(send(pair[0], "x", 1, 0) == -1 && errno == MAC_EPIPE); /* and no signal */
  close(pair[0]);

  struct sockaddr_un address = {.sun_family = AF_UNIX};
  address.sun_len = sizeof address;
  snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", directory);
  int listener = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
  NEED(connect(client, (struct sockaddr *)&address, sizeof address) == -1 && errno == ENOENT);
  NEED(bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 1) == 0);
  struct stat status;
  NEED(lstat(address.sun_path, &status) == 0 && S_ISSOCK(status.st_mode) && !S_ISDIR(status.st_mode));
  NEED(bind(listener, (struct sockaddr *)&address, sizeof address) == -1 && (errno == 22 || errno == EADDRINUSE));
  NEED(connect(client, (struct sockaddr *)&address, sizeof address) == 0);
  int server = accept(listener, NULL, NULL);
  uid_t user;
  gid_t group;
  NEED(server >= 0 && getpeereid(server, &user, &group) == 0 && user == getuid());
  NEED(shutdown(client, SHUT_RDWR) == 0 && recv(server, &byte, 1, 0) == 0);
  close(server), close(client), close(listener);
  client = socket(AF_UNIX, SOCK_STREAM, 0);
  NEED(connect(client, (struct sockaddr *)&address, sizeof address) == -1 && errno == ECONNREFUSED && errno == 61);
  close(client);
  unlink(address.sun_path);
  return 0;
}

/* A port of the loopback: the family, the port and the length of an address have their places. */
EXPORT int fixture_tcp(void) {
  struct sockaddr_in own = {.sin_len = sizeof own, .sin_family = AF_INET}, peer;
  struct sockaddr_in6 own6 = {.sin6_len = sizeof own6, .sin6_family = AF_INET6};
  socklen_t length = sizeof own;
  int on = 1, error = 7;
  own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
  NEED(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
  NEED(bind(listener, (struct sockaddr *)&own, sizeof own) == 0 && listen(listener, 4) == 0);
  NEED(getsockname(listener, (struct sockaddr *)&own, &length) == 0 && length == 16 && own.sin_len == 16);
  NEED(own.sin_family == AF_INET && own.sin_port != 0 && own.sin_addr.s_addr == htonl(0x7f000001));
  length = sizeof peer;
  NEED(getpeername(client, (struct sockaddr *)&peer, &length) == -1 && errno == 57); /* ENOTCONN */
  NEED(fcntl(client, F_SETFL, O_NONBLOCK) == 0);
  NEED(connect(client, (struct sockaddr *)&own, sizeof own) == 0 || (errno == EINPROGRESS && EINPROGRESS == 36));
  int server = accept(listener, (struct sockaddr *)&peer, &length);
  struct pollfd slot = {.fd = client, .events = POLLOUT};
  NEED(server >= 0 && peer.sin_len == 16 && peer.sin_family == AF_INET && poll(&slot, 1, 1000) == 1);
  length = sizeof error;
  NEED(getsockopt(client, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0);
  NEED(setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0);
  length = sizeof on;
  NEED(getsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, &length) == 0 && on != 0);
  length = sizeof peer;
  NEED(getpeername(client, (struct sockaddr *)&peer, &length) == 0 && peer.sin_port == own.sin_port);
  NEED(getsockopt(listener, SOL_SOCKET, SO_ACCEPTCONN, &on, &length) == -1 && errno == 42); /* ENOPROTOOPT */
  struct stat status;
  NEED(fstat(server, &status) == 0 && status.st_ino == 0 && fchmod(server, 0600) == -1 && errno == EINVAL);
  close(server), close(client), close(listener);
  length = sizeof own6;
  NEED(inet_pton(AF_INET6, "::1", &own6.sin6_addr) == 1 && (listener = socket(AF_INET6, SOCK_STREAM, 0)) >= 0);
  if (bind(listener, (struct sockaddr *)&own6, sizeof own6) == 0) { /* else a machine without IPv6 */
    NEED(getsockname(listener, (struct sockaddr *)&own6, &length) == 0 && length == 28 && own6.sin6_len == 28);
    NEED(own6.sin6_family == AF_INET6 && own6.sin6_port != 0);
  }
  close(listener);
  return 0;
}

/* Datagrams, with and without a name; what does not fit is cut; who is full says so with ENOBUFS. */
struct many {
  struct msghdr message;
  size_t length;
};

EXPORT int fixture_datagrams(const char *directory) {
  typedef ssize_t many_call(int, struct many *, unsigned, int);
  int one = socket(AF_UNIX, SOCK_DGRAM, 0), other = socket(AF_UNIX, SOCK_DGRAM, 0), pair[2];
  struct sockaddr_un own = {.sun_len = sizeof own, .sun_family = AF_UNIX}, from;
  snprintf(own.sun_path, sizeof own.sun_path, "%s/datagrams", directory);
  NEED(bind(one, (struct sockaddr *)&own, sizeof own) == 0);
  char bytes[10] = "";
  struct iovec part = {"hello", 5}, room = {bytes, 3};
  struct msghdr message = {.msg_name = &own, .msg_namelen = sizeof own, .msg_iov = &part, .msg_iovlen = 1};
  NEED(sendmsg(other, &message, 0) == 5);
  struct msghdr in = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &room, .msg_iovlen = 1};
  NEED(recvmsg(one, &in, MSG_DONTWAIT) == 3 && in.msg_flags == MSG_TRUNC && MSG_TRUNC == 0x10);
  NEED(in.msg_namelen == 16 && from.sun_family == AF_UNIX && from.sun_path[0] == 0); /* a sender without a name */
  NEED(sendmsg(one, &message, 0) == 5);
  in.msg_namelen = sizeof from, room.iov_len = sizeof bytes;
  NEED(recvmsg(one, &in, MSG_DONTWAIT) == 5 && in.msg_flags == 0 && strcmp(from.sun_path, own.sun_path) == 0);
  unlink(own.sun_path);
  NEED(connect(other, (struct sockaddr *)&own, sizeof own) == -1 && errno == ENOENT);
  close(one), close(other);

  NEED(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0);
  NEED(setsockopt(pair[0], SOL_SOCKET, SO_RCVBUF, &(int){1 << 20}, 4) == 0);
  int count = 0;
  while (count < 100000 && send(pair[0], "x", 1, MSG_DONTWAIT) == 1) count++;
  NEED(count > 0 && count < 100000 && errno == ENOBUFS && ENOBUFS == 55);
  while (recv(pair[1], bytes, 1, MSG_DONTWAIT) == 1) count--;
  NEED(count == 0);
  void *system = dlopen(NULL, RTLD_NOW);
  many_call *send_many = (many_call *)dlsym(system, "sendmsg_x"), *take_many = (many_call *)dlsym(system, "recvmsg_x");
  NEED(send_many != NULL && take_many != NULL && dlsym(system, "no_such_name") == NULL);
  struct many three[3] = {{.length = 0}};
  for (int i = 0; i < 3; i++) three[i].message.msg_iov = &part, three[i].message.msg_iovlen = 1;
  NEED(send_many(pair[0], three, 3, MSG_DONTWAIT) == 3);
  for (int i = 0; i < 3; i++) three[i].message.msg_iov = &room;
  NEED(take_many(pair[1], three, 3, MSG_DONTWAIT) == 3 && three[2].length == 5 && memcmp(bytes, "hello", 5) == 0);
  NEED(take_many(pair[1], three, 3, MSG_DONTWAIT) == -1 && errno == EINVAL); /* what has an answer is no question */
  close(pair[0]), close(pair[1]);
  return 0;
}

static pthread_key_t slot_key;
static int ended;
static void slot_ended(void *value) { *(int *)value += 1; }
static void *body(void *argument) {
  sigset_t mask;
  pthread_sigmask(MAC_BLOCK, NULL, &mask);
  pthread_setspecific(slot_key, argument);
  errno = 77; /* a thread's own */
  return NULL;
}

EXPORT int fixture_threads(void) {
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  pthread_attr_t attributes;
  pthread_t thread;
  sigset_t all, before, now;
  NEED(pthread_mutex_init(&mutex, NULL) == 0 && pthread_cond_init(&changed, NULL) == 0);
  pthread_mutex_lock(&mutex);
  struct timespec short_time = {0, 20000000}, from, to;
  clock_gettime(CLOCK_MONOTONIC, &from);
  NEED(pthread_cond_timedwait_relative_np(&changed, &mutex, &short_time) == ETIMEDOUT && ETIMEDOUT == 60);
  clock_gettime(CLOCK_MONOTONIC, &to);
  int64_t took = (to.tv_sec - from.tv_sec) * 1000000000 + to.tv_nsec - from.tv_nsec;
  NEED(took >= 20000000 && took < 10000000000);
  pthread_mutex_unlock(&mutex);
  NEED(pthread_cond_destroy(&changed) == 0 && pthread_mutex_destroy(&mutex) == 0);

  sigfillset(&all);
  NEED(pthread_sigmask(SIG_SETMASK, &all, &before) == 0 && pthread_sigmask(MAC_BLOCK, NULL, &now) == 0);
  NEED((now & 1u << (MAC_SIGINT - 1)) && (now & 1u << (MAC_SIGUSR1 - 1)) && !(before & 1u << (MAC_SIGUSR1 - 1)));
  errno = 5;
  NEED(pthread_key_create(&slot_key, slot_ended) == 0);
  NEED(pthread_attr_init(&attributes) == 0 && pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0);
  NEED(pthread_create(&thread, &attributes, body, &ended) == 0);
  pthread_attr_destroy(&attributes);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_sigmask(MAC_BLOCK, NULL, &now);
  NEED(now == before);
  for (int i = 0; i < 1000 && !*(volatile int *)&ended; i++) nanosleep(&(struct timespec){0, 1000000}, NULL);
  NEED(ended == 1 && errno == 5);
  ended = 0;
  return 0;
}

/* program: exits with 7 when its only argument is "seven" and descriptor 5 is open and 6 is not */
EXPORT int fixture_spawn(const char *program, char **environment) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t none = 0, all = ~0u;
  pid_t child;
  int status, pair[2];
  char *arguments[] = {"program", "seven", NULL};
  NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  NEED(posix_spawn_file_actions_init(&actions) == 0 && posix_spawnattr_init(&attributes) == 0);
  for (int i = 0; i < 3; i++) NEED(posix_spawn_file_actions_adddup2(&actions, i, i) == 0);
  NEED(posix_spawn_file_actions_adddup2(&actions, pair[1], 5) == 0);
  NEED(posix_spawnattr_setsigmask(&attributes, &none) == 0 && posix_spawnattr_setsigdefault(&attributes, &all) == 0);
  NEED(posix_spawnattr_setpgroup(&attributes, 0) == 0);
  short flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_CLOEXEC_DEFAULT;
  NEED(posix_spawnattr_setflags(&attributes, flags) == 0);
  NEED(posix_spawn(&child, "/does/not/exist", &actions, &attributes, arguments, environment) == ENOENT);
  NEED(posix_spawn(&child, program, &actions, &attributes, arguments, environment) == 0);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  NEED(waitpid(child, &status, 0) == child && (status & 0x7f) == 0 && (status >> 8 & 0xff) == 7);
  close(pair[0]), close(pair[1]);
  return 0;
}

EXPORT int fixture_process(void) {
  Dl_info info;
  char text[100];
  NEED(dladdr((void *)fixture_process, &info) != 0 && info.dli_fbase != NULL);
  NEED(strstr(info.dli_fname, ".dylib") != NULL);
  NEED(dlopen(info.dli_fname, RTLD_NOW | RTLD_NODELETE) != NULL && dlopen("/no/such.dylib", RTLD_NOW) == NULL);
  NEED(strerror_r(ECONNREFUSED, text, sizeof text) == 0 && strstr(text, "refused") != NULL);
  NEED(getenv("PATH") != NULL && getpid() > 1);
  return 0;
}
