// SPDX-License-Identifier: MIT
/* doubles_death.h - DIES("text", statements;) holds when they end their process with double_die() and that text. To be
 * used before the process has threads: the child of a fork() has one. */
#ifndef VN_TEST_DOUBLES_DEATH_H
#define VN_TEST_DOUBLES_DEATH_H

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

static inline bool dies_saying(const char *text, void (^act)(void)) {
  int words[2];
  if (pipe(words)) return false;
  fflush(stdout);
  pid_t child = fork();
  if (!child) {
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    dup2(words[1], STDERR_FILENO);
    close(words[0]), close(words[1]);
    act();
    _exit(0);
  }
  close(words[1]);
  char said[4096];
  size_t length = 0;
  for (ssize_t n; length < sizeof said - 1 && (n = read(words[0], said + length, sizeof said - 1 - length)) > 0;) {
    length += (size_t)n;
  }
  said[length] = 0;
  close(words[0]);
  int status = 0;
  bool died = waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
  if (died && strstr(said, "vmnet double: ") && strstr(said, text)) return true;
  fprintf(stderr, "not \"%s\", but status %x and \"%s\"\n", text, (unsigned)status, said);
  return false;
}

#define DIES(text, ...) CHECK(dies_saying(text, ^{ __VA_ARGS__ }))

#endif
