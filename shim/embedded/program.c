// SPDX-License-Identifier: MIT
/* program.c - see program.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* dladdr() */
#endif
#include "program.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __APPLE__
#include <crt_externs.h>
#define environ (*_NSGetEnviron())
/* Sockets get their close-on-exec flag a moment after they are made there: nothing is inherited but what is named. */
#define ONLY_NAMED POSIX_SPAWN_CLOEXEC_DEFAULT
#else
extern char **environ;
#define ONLY_NAMED 0
#endif

bool vn_program_path(const char *name, char *out, size_t capacity) {
  Dl_info info;
  char path[PATH_MAX];
  if (dladdr((void *)(uintptr_t)vn_program_path, &info) == 0 || info.dli_fname == NULL) return false;
  if (realpath(info.dli_fname, path) == NULL) return false;
  char *slash = strrchr(path, '/');
  size_t length = (size_t)(slash - path) + 1, rest = strlen(name) + 1;
  if (length + rest > capacity) return false;
  memcpy(out, path, length);
  memcpy(out + length, name, rest);
  return true;
}

static int spawn(const char *path, const int *sockets, int count, pid_t *pid) {
  char *const arguments[] = {(char *)(uintptr_t)path, NULL};
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  for (int fd = 0; fd < VN_PROGRAM_FD; fd++) posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
  for (int i = 0; i < count; i++) posix_spawn_file_actions_adddup2(&actions, sockets[i], VN_PROGRAM_FD + i);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP | ONLY_NAMED);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setpgroup(&attributes, 0);
  int error = posix_spawn(pid, path, &actions, &attributes, arguments, environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return error;
}

/* A descriptor above those of the program, so that no dup2() can meet one that is still to be moved. */
static int above(int fd) {
  int moved = fcntl(fd, F_DUPFD_CLOEXEC, VN_PROGRAM_FD + VN_PROGRAM_SOCKETS);
  close(fd);
  return moved;
}

int vn_program_start(const char *path, int *sockets, int count, pid_t *pid) {
  int error = 0;
  for (int i = 0; i < count; i++) {
    sockets[i] = above(sockets[i]);
    if (sockets[i] < 0) error = EMFILE;
  }
  if (error == 0) error = spawn(path, sockets, count, pid);
  if (error != 0) *pid = 0;
  for (int i = 0; i < count; i++)
    if (sockets[i] >= 0) close(sockets[i]);
  return error;
}

bool vn_program_reap(pid_t pid) {
  int state;
  pid_t answer = waitpid(pid, &state, WNOHANG);
  return answer == pid || (answer < 0 && errno == ECHILD);
}
