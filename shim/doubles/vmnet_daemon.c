// SPDX-License-Identifier: MIT
/*
 * vmnet_daemon.c - the way to vmnet-double-daemon, which has the networks: one of its own for each process.
 *
 * Theory of operation. It is started with the first thing that needs it, with one socket, and ends when that socket
 * does. A message is one list: "target", "op" and "options" of an operation of vmnet_shim.h; its answer is the
 * operation's result, and the socket of an interface comes with it. One question at a time is on its way. When the
 * daemon dies every question answers "failure", as a Mac's framework does without its daemon.
 *
 * The daemon also writes what a Mac's bootpd writes, the file of DHCP leases, into a directory of its own, which
 * the script's "leases" is made to name.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmnet_double.h"

extern char **environ;

enum { CONTROL_FD = 3, MESSAGE_MOST = 1 << 17 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int control = -1;
static bool tried;
static char directory[PATH_MAX], leases[PATH_MAX + 16];
static pid_t made_by; /* a child of fork() does not clean up after its parent */

static void clean_up(void) {
  if (made_by != getpid()) return;
  unlink(leases);
  rmdir(directory);
}

/* A directory for the leases, unless the script names a file, which then is the test's. */
static void place_leases(void) {
  const char *temporary = getenv("TMPDIR");
  if (!double_is("leases", "/var/db/dhcpd_leases")) return;
  snprintf(directory, sizeof directory, "%s/vmnet-double-XXXXXX", temporary != NULL && *temporary ? temporary : "/tmp");
  if (mkdtemp(directory) == NULL) double_die("no directory like %s", directory);
  made_by = getpid();
  atexit(clean_up); /* the daemon does the same, for a process that is killed */
  snprintf(leases, sizeof leases, "%s/dhcpd_leases", directory);
  double_set("leases", leases);
}

static bool find(char *out) {
  const char *given = getenv("VMNET_DOUBLE_DAEMON");
  Dl_info info;
  char path[PATH_MAX];
  if (given != NULL && *given != 0) return snprintf(out, PATH_MAX, "%s", given) < PATH_MAX;
  if (dladdr((void *)(uintptr_t)vd_daemon_call, &info) == 0 || info.dli_fname == NULL) return false;
  if (realpath(info.dli_fname, path) == NULL && realpath("/proc/self/exe", path) == NULL) return false;
  *strrchr(path, '/') = 0;
  return snprintf(out, PATH_MAX, "%s/vmnet-double-daemon", path) < PATH_MAX;
}

static bool spawn(int fd, pid_t *pid) {
  char path[PATH_MAX];
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t none, all;
  if (!find(path)) return false;
  char *const arguments[] = {path, leases, NULL};
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
  posix_spawn_file_actions_adddup2(&actions, 0, 1);
  posix_spawn_file_actions_adddup2(&actions, fd, CONTROL_FD);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setpgroup(&attributes, 0); /* ^C is for the script, which then stops what it has */
  int error = posix_spawn(pid, path, &actions, &attributes, arguments, environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) fprintf(stderr, "vmnet double: %s: %s\n", path, strerror(error));
  return error == 0;
}

/* Locked. */
static void start(void) {
  int pair[2];
  pid_t pid;
  tried = true;
  if (made_by == 0) place_leases();
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return;
  /* Above the number that it gets in the daemon: duplicated onto itself it would be closed there. */
  int theirs = fcntl(pair[1], F_DUPFD_CLOEXEC, CONTROL_FD + 1);
  close(pair[1]);
  setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &(int){MESSAGE_MOST}, sizeof(int));
  bool spawned = theirs >= 0 && spawn(theirs, &pid);
  if (theirs >= 0) close(theirs);
  if (!spawned) {
    clean_up();
    close(pair[0]);
    return;
  }
  control = pair[0];
  vd_receive_watch(control, pid);
}

/* Without a daemon nobody writes a file, and a directory for it would have nobody to take it away after a kill. */
const char *double_leases_path(void) { return double_get("leases"); }

static bool ask(const struct vn_writer *question) {
  ssize_t sent;
  do sent = send(control, question->data, question->length, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent == (ssize_t)question->length;
}

/* Waits for the answer; the end of the daemon is one, too. */
static ssize_t hear(uint8_t *answer, int *fd) {
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
  } with;
  struct iovec iov = {answer, MESSAGE_MOST};
  struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &with, .msg_controllen = sizeof with};
  ssize_t length;
  do length = recvmsg(control, &message, MSG_CMSG_CLOEXEC);
  while (length < 0 && errno == EINTR);
  for (struct cmsghdr *each = CMSG_FIRSTHDR(&message); each != NULL && length > 0; each = CMSG_NXTHDR(&message, each))
    if (each->cmsg_level == SOL_SOCKET && each->cmsg_type == SCM_RIGHTS) memcpy(fd, CMSG_DATA(each), sizeof *fd);
  return length;
}

/* A status of the embedded network as the framework would put it. */
static vmnet_return_t translate(uint64_t status) {
  if (status == VN_OK) return VMNET_SUCCESS;
  if (status >= VMNET_SUCCESS && status <= VMNET_NOT_AUTHORIZED) return (vmnet_return_t)status;
  return status == VN_BAD_OPTION ? VMNET_INVALID_ARGUMENT : VMNET_FAILURE;
}

vmnet_return_t vd_daemon_call(uint64_t target, uint32_t op, const struct vn_writer *options, struct vn_writer *out,
                              int *fd) {
  struct vn_writer question = {.data = NULL};
  int received = -1;
  uint8_t *answer = malloc(MESSAGE_MOST);
  if (answer == NULL) double_die("no memory");
  vn_write_number(&question, "target", target);
  vn_write_number(&question, "op", op);
  if (options != NULL) vn_write_bytes(&question, "options", options->data, options->length);
  pthread_mutex_lock(&lock);
  if (!tried) start();
  bool asked = control >= 0 && !question.failed && ask(&question);
  ssize_t length = asked ? hear(answer, &received) : -1;
  pthread_mutex_unlock(&lock);
  vn_writer_free(&question);
  vmnet_return_t status = VMNET_FAILURE;
  if (length > 0) status = translate(vn_list_number(answer, (uint32_t)length, "status", VN_SYSTEM));
  if (status == VMNET_SUCCESS && op == VN_OP_INTERFACE_START && received < 0) status = VMNET_FAILURE;
  if (getenv("VMNET_DOUBLE_TRACE") != NULL && length > 0) {
    char text[256] = "", field[64] = "";
    vn_list_text(answer, (uint32_t)length, "message", text, sizeof text);
    vn_list_text(answer, (uint32_t)length, "field", field, sizeof field);
    fprintf(stderr, "vmnet double: op %u on %llu: %u %s %s\n", op, (unsigned long long)target, status, field, text);
  }
  if (status == VMNET_SUCCESS && fd != NULL) *fd = received;
  else if (received >= 0) close(received);
  if (out != NULL && length > 0) {
    struct vn_reader reader;
    struct vn_entry entry;
    vn_list_read(&reader, answer, (uint32_t)length);
    while (vn_list_next(&reader, &entry)) vn_write_entry(out, &entry);
  }
  free(answer);
  return status;
}
