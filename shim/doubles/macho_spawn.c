// SPDX-License-Identifier: MIT
/*
 * macho_spawn.c - processes: spawn, wait, kill.
 *
 * Darwin's attributes and actions are pointers; behind them lie Linux's, and a list of the descriptors that the
 * actions make, for POSIX_SPAWN_CLOEXEC_DEFAULT: there everything else is closed in the child. A program that is
 * itself a Mach-O file is run by macho_run, which lies beside this code; $MACHO_RUN, words with blanks between them,
 * says otherwise.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "macho_libc.h"

enum { MOST_ACTIONS = 32, MOST_WORDS = 8 };

struct actions {
  posix_spawn_file_actions_t real;
  int made[MOST_ACTIONS], count;
};

struct attributes {
  posix_spawnattr_t real;
  bool close_others;
};

static int actions_init(struct actions **out) {
  struct actions *actions = calloc(1, sizeof *actions);
  if (actions == NULL) return darwin_errno(ENOMEM);
  posix_spawn_file_actions_init(&actions->real);
  *out = actions;
  return 0;
}

static int actions_destroy(struct actions **actions) {
  posix_spawn_file_actions_destroy(&(*actions)->real);
  free(*actions);
  *actions = NULL;
  return 0;
}

static int made(struct actions *actions, int fd, int error) {
  if (!error && actions->count == MOST_ACTIONS) darwin_die("too many spawn actions");
  if (!error) actions->made[actions->count++] = fd;
  return darwin_errno(error);
}

static int actions_adddup2(struct actions **actions, int from, int to) {
  return made(*actions, to, posix_spawn_file_actions_adddup2(&(*actions)->real, from, to));
}

static int actions_addopen(struct actions **actions, int fd, const char *path, int flags, uint32_t mode) {
  int real_flags = (int)darwin_open_flags_back((uint32_t)flags);
  return made(*actions, fd, posix_spawn_file_actions_addopen(&(*actions)->real, fd, path, real_flags, mode & 07777));
}

static int attributes_init(struct attributes **out) {
  struct attributes *attributes = calloc(1, sizeof *attributes);
  if (attributes == NULL) return darwin_errno(ENOMEM);
  posix_spawnattr_init(&attributes->real);
  *out = attributes;
  return 0;
}

static int attributes_destroy(struct attributes **attributes) {
  posix_spawnattr_destroy(&(*attributes)->real);
  free(*attributes);
  *attributes = NULL;
  return 0;
}

static int attributes_setflags(struct attributes **attributes, short flags) {
  enum { GROUP = 2, DEFAULTS = 4, MASK = 8, SESSION = 0x400, CLOEXEC_DEFAULT = 0x4000 };
  if (flags & ~(GROUP | DEFAULTS | MASK | SESSION | CLOEXEC_DEFAULT)) darwin_die("spawn flags %x", (unsigned)flags);
  (*attributes)->close_others = flags & CLOEXEC_DEFAULT;
  int real = (flags & GROUP ? POSIX_SPAWN_SETPGROUP : 0) | (flags & DEFAULTS ? POSIX_SPAWN_SETSIGDEF : 0) |
             (flags & MASK ? POSIX_SPAWN_SETSIGMASK : 0) | (flags & SESSION ? POSIX_SPAWN_SETSID : 0);
  return darwin_errno(posix_spawnattr_setflags(&(*attributes)->real, (short)real));
}

static int attributes_setpgroup(struct attributes **attributes, pid_t group) {
  return darwin_errno(posix_spawnattr_setpgroup(&(*attributes)->real, group));
}

static int attributes_setsigdefault(struct attributes **attributes, const uint32_t *set) {
  sigset_t real;
  darwin_sigset_back(*set, &real);
  return darwin_errno(posix_spawnattr_setsigdefault(&(*attributes)->real, &real));
}

static int attributes_setsigmask(struct attributes **attributes, const uint32_t *set) {
  sigset_t real;
  darwin_sigset_back(*set, &real);
  return darwin_errno(posix_spawnattr_setsigmask(&(*attributes)->real, &real));
}

/* Closes in the child what no action made. Closing one that is gone meanwhile is no error there. */
static void close_others(struct actions *actions) {
  DIR *directory = opendir("/proc/self/fd");
  for (const struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
    int fd = entry->d_name[0] == '.' ? -1 : atoi(entry->d_name);
    bool kept = fd < 0;
    for (int i = 0; i < actions->count; i++) kept = kept || actions->made[i] == fd;
    if (!kept) posix_spawn_file_actions_addclose(&actions->real, fd);
  }
  if (directory != NULL) closedir(directory);
}

/* Spawns words[0..count) with the given program and its further arguments behind them. */
static int spawn_with(pid_t *process, char **words, int count, const char *path, const struct actions *actions,
                      const struct attributes *attributes, char *const arguments[], char *const environment[]) {
  int given = 0;
  while (arguments[given] != NULL) given++;
  char **all = calloc((size_t)(count + given + 2), sizeof *all);
  if (all == NULL) return ENOMEM;
  memcpy(all, words, (size_t)count * sizeof *all);
  all[count] = (char *)(uintptr_t)path;
  for (int i = 1; i < given; i++) all[count + i] = arguments[i];
  const posix_spawnattr_t *attribute = attributes ? &attributes->real : NULL;
  int error = posix_spawn(process, words[0], actions ? &actions->real : NULL, attribute, all, environment);
  free(all);
  return error;
}

static int darwin_spawn(pid_t *process, const char *path, struct actions *const *actions,
                        struct attributes *const *attributes, char *const arguments[], char *const environment[]) {
  const struct attributes *attribute = attributes ? *attributes : NULL;
  struct actions *action = actions ? *actions : NULL;
  if (attribute != NULL && attribute->close_others) {
    if (action == NULL) darwin_die("POSIX_SPAWN_CLOEXEC_DEFAULT without actions");
    close_others(action);
  }
  if (access(path, X_OK)) return darwin_errno(errno); /* an emulator's posix_spawn() does not tell */
  if (!macho_is_file(path))
    return darwin_errno(posix_spawn(process, path, action ? &action->real : NULL, attribute ? &attribute->real : NULL,
                                    arguments, environment));
  char text[4096], *words[MOST_WORDS], *rest = text;
  const char *told = getenv("MACHO_RUN");
  if (told != NULL)
    snprintf(text, sizeof text, "%s", told);
  else
    macho_beside("macho_run", text, sizeof text);
  int count = 0;
  if (told == NULL) words[count++] = text;
  for (char *word; told != NULL && count < MOST_WORDS && (word = strsep(&rest, " ")) != NULL;)
    if (word[0]) words[count++] = word;
  if (count == 0 || access(words[0], X_OK)) return darwin_errno(ENOENT);
  return darwin_errno(spawn_with(process, words, count, path, action, attribute, arguments, environment));
}

/* A signal's number stands in the lowest 7 bits of a status, 0x7f there means stopped. */
static pid_t darwin_waitpid(pid_t process, int *status, int options) {
  int state = 0;
  if (options & ~1) darwin_die("waitpid() options %d are not modelled", options);
  pid_t answer = waitpid(process, &state, options & 1 ? WNOHANG : 0);
  if (answer > 0 && WIFSIGNALED(state)) state = (state & ~0x7f) | darwin_signal(WTERMSIG(state));
  if (status != NULL && answer > 0) *status = state;
  return answer;
}

static int darwin_kill(pid_t process, int number) {
  int real = darwin_signal_back(number);
  return real < 0 ? (errno = EINVAL, -1) : kill(process, real);
}

const struct macho_name macho_spawn_names[] = {
    DARWIN_NAME("_posix_spawn", darwin_spawn),
    DARWIN_NAME("_posix_spawn_file_actions_init", actions_init),
    DARWIN_NAME("_posix_spawn_file_actions_destroy", actions_destroy),
    DARWIN_NAME("_posix_spawn_file_actions_adddup2", actions_adddup2),
    DARWIN_NAME("_posix_spawn_file_actions_addopen", actions_addopen),
    DARWIN_NAME("_posix_spawnattr_init", attributes_init),
    DARWIN_NAME("_posix_spawnattr_destroy", attributes_destroy),
    DARWIN_NAME("_posix_spawnattr_setflags", attributes_setflags),
    DARWIN_NAME("_posix_spawnattr_setpgroup", attributes_setpgroup),
    DARWIN_NAME("_posix_spawnattr_setsigdefault", attributes_setsigdefault),
    DARWIN_NAME("_posix_spawnattr_setsigmask", attributes_setsigmask),
    DARWIN_NAME("_waitpid", darwin_waitpid),
    DARWIN_NAME("_kill", darwin_kill),
    {NULL, NULL},
};
