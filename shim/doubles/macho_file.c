// SPDX-License-Identifier: MIT
/* macho_file.c - files, directories and descriptors. Layouts: struct stat with 64-bit file numbers, struct dirent. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "double.h"
#include "macho_libc.h"

/* Flags of open() and of F_GETFL; Darwin's number first. */
static const struct {
  uint32_t darwin_flag;
  int linux_flag;
} flags[] = {
    {0x4, O_NONBLOCK},  {0x8, O_APPEND},      {0x80, O_SYNC},          {0x100, O_NOFOLLOW},
    {0x200, O_CREAT},   {0x400, O_TRUNC},     {0x800, O_EXCL},         {0x100000, O_DIRECTORY},
    {0x1000000, O_CLOEXEC},
};
#define FLAGS (sizeof flags / sizeof *flags)

uint32_t darwin_open_flags_back(uint32_t darwin_flags) {
  uint32_t out = darwin_flags & 3, known = 3;
  for (size_t i = 0; i < FLAGS; i++) {
    known |= flags[i].darwin_flag;
    if (darwin_flags & flags[i].darwin_flag) out |= (uint32_t)flags[i].linux_flag;
  }
  if (darwin_flags & ~known) darwin_die("open flags %x are not modelled", darwin_flags & ~known);
  return out;
}

/* The file of bootpd is written by the double of vmnet, somewhere else. */
static const char *path_of(const char *path) {
  return path != NULL && strcmp(path, "/var/db/dhcpd_leases") == 0 ? double_leases_path() : path;
}

static int darwin_open(const char *path, int darwin_flags, DARWIN_VARIADIC_2) {
  DARWIN_VARIADIC_UNUSED_2;
  int mode = 0;
  if (darwin_flags & 0x200) {
    va_list arguments;
    DARWIN_VA_START(arguments, darwin_flags);
    mode = va_arg(arguments, int);
    va_end(arguments);
  }
  return open(path_of(path), (int)darwin_open_flags_back((uint32_t)darwin_flags), mode & 07777);
}

static int get_flags(int fd) {
  int have = fcntl(fd, F_GETFL), out = have & 3;
  if (have < 0) return have;
  if (have & O_NONBLOCK) out |= 0x4;
  if (have & O_APPEND) out |= 0x8;
  return out;
}

/* The argument comes as a variable one: on arm64 it is lost when the caller's declaration forgets that. */
static int darwin_fcntl(int fd, int command, DARWIN_VARIADIC_2) {
  DARWIN_VARIADIC_UNUSED_2;
  va_list arguments;
  DARWIN_VA_START(arguments, command);
  int argument = command == 1 || command == 3 ? 0 : va_arg(arguments, int);
  va_end(arguments);
  switch (command) {
    case 0: return fcntl(fd, F_DUPFD, argument);
    case 1: return fcntl(fd, F_GETFD);
    case 2: return fcntl(fd, F_SETFD, argument & FD_CLOEXEC);
    case 3: return get_flags(fd);
    case 4: {
      int have = fcntl(fd, F_GETFL);
      if (have < 0) return have;
      have &= ~(O_NONBLOCK | O_APPEND);
      return fcntl(fd, F_SETFL, have | (argument & 0x4 ? O_NONBLOCK : 0) | (argument & 0x8 ? O_APPEND : 0));
    }
    case 67: return fcntl(fd, F_DUPFD_CLOEXEC, argument);
    default: darwin_die("fcntl() command %d is not modelled", command);
  }
}

struct darwin_stat {
  int32_t device;
  uint16_t mode, links;
  uint64_t inode;
  uint32_t uid, gid;
  int32_t special;
  struct timespec accessed, modified, changed, born;
  int64_t size, blocks;
  int32_t block_size;
  uint32_t flags, generation;
  int32_t spare;
  int64_t more[2];
};
_Static_assert(sizeof(struct darwin_stat) == 144 && offsetof(struct darwin_stat, size) == 96, "Darwin's struct stat");

static int give_stat(int answer, const struct stat *have, struct darwin_stat *out) {
  if (answer != 0) return answer;
  *out = (struct darwin_stat){
      .device = (int32_t)have->st_dev, .mode = (uint16_t)have->st_mode, .links = (uint16_t)have->st_nlink,
      .inode = have->st_ino, .uid = have->st_uid, .gid = have->st_gid, .special = (int32_t)have->st_rdev,
      .accessed = have->st_atim, .modified = have->st_mtim, .changed = have->st_ctim, .born = have->st_ctim,
      .size = have->st_size, .blocks = have->st_blocks, .block_size = (int32_t)have->st_blksize,
  };
  return 0;
}

static int darwin_stat(const char *path, struct darwin_stat *out) {
  struct stat have;
  return give_stat(stat(path_of(path), &have), &have, out);
}

static int darwin_lstat(const char *path, struct darwin_stat *out) {
  struct stat have;
  return give_stat(lstat(path_of(path), &have), &have, out);
}

/* Of the sockets only unix ones have a number there. */
static int darwin_fstat(int fd, struct darwin_stat *out) {
  struct stat have;
  struct sockaddr own = {.sa_family = AF_UNSPEC};
  socklen_t length = sizeof own;
  int answer = fstat(fd, &have);
  if (answer == 0 && S_ISSOCK(have.st_mode)) {
    bool local = getsockname(fd, &own, &length) == 0 && own.sa_family == AF_UNIX;
    have.st_dev = local ? (dev_t)-1 : 0;
    have.st_ino = local ? have.st_ino : 0;
  }
  return give_stat(answer, &have, out);
}

static int darwin_chmod(const char *path, uint16_t mode) { return chmod(path, mode & 07777); }

/* A socket has no mode there, only its file has. */
static int darwin_fchmod(int fd, uint16_t mode) {
  struct stat have;
  if (fstat(fd, &have) == 0 && S_ISSOCK(have.st_mode)) return errno = EINVAL, -1;
  return fchmod(fd, mode & 07777);
}

struct darwin_dirent {
  uint64_t inode, seek;
  uint16_t record, length;
  uint8_t type;
  char name[1024];
};
_Static_assert(offsetof(struct darwin_dirent, name) == 21, "Darwin's struct dirent");

struct directory {
  DIR *real;
  struct darwin_dirent entry;
};

static struct directory *darwin_opendir(const char *path) {
  DIR *real = opendir(path);
  struct directory *directory = real ? malloc(sizeof *directory) : NULL;
  if (directory != NULL) directory->real = real;
  if (directory == NULL && real != NULL) closedir(real);
  return directory;
}

static struct darwin_dirent *darwin_readdir(struct directory *directory) {
  struct dirent *have = readdir(directory->real);
  if (have == NULL) return NULL;
  size_t length = strlen(have->d_name);
  directory->entry = (struct darwin_dirent){
      .inode = have->d_ino, .length = (uint16_t)length, .type = have->d_type, /* the same numbers */
      .record = (uint16_t)((offsetof(struct darwin_dirent, name) + length + 4) & ~3u)};
  memcpy(directory->entry.name, have->d_name, length + 1);
  return &directory->entry;
}

static int darwin_closedir(struct directory *directory) {
  int answer = closedir(directory->real);
  free(directory);
  return answer;
}

static int darwin_access(const char *path, int mode) { return access(path_of(path), mode); }

const struct macho_name macho_file_names[] = {
    DARWIN_NAME("_open", darwin_open),
    DARWIN_NAME("_fcntl", darwin_fcntl),
    DARWIN_NAME(DARWIN_INODE64("_stat"), darwin_stat),
    DARWIN_NAME(DARWIN_INODE64("_lstat"), darwin_lstat),
    DARWIN_NAME(DARWIN_INODE64("_fstat"), darwin_fstat),
    DARWIN_NAME("_chmod", darwin_chmod),
    DARWIN_NAME("_fchmod", darwin_fchmod),
    DARWIN_NAME(DARWIN_INODE64("_opendir"), darwin_opendir),
    DARWIN_NAME(DARWIN_INODE64("_readdir"), darwin_readdir),
    DARWIN_NAME("_closedir", darwin_closedir),
    DARWIN_NAME("_access", darwin_access),
    DARWIN_NAME("_link", link),
    DARWIN_NAME("_unlink", unlink),
    DARWIN_NAME("_rmdir", rmdir),
    DARWIN_NAME("_rename", rename),
    DARWIN_NAME("_mkdtemp", mkdtemp),
    DARWIN_NAME("_realpath$DARWIN_EXTSN", realpath),
    DARWIN_NAME("_read", read),
    DARWIN_NAME("_pread", pread),
    {NULL, NULL},
};
