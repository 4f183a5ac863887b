// SPDX-License-Identifier: MIT
/*
 * sockets.c - the files of unix sockets: how they come, how they go, and what was handed over in their place.
 *
 * A socket is bound under a name of its own in the directory of its path, gets its mode there, listens, and is then
 * linked to its path, which fails where somebody else was quicker. So who finds the path finds a socket that works and
 * has its mode; and a socket that nobody answers on is taken away, but only as long as it is still that one.
 *
 * Who else may write to the directory, and is not held back by its sticky bit, may also put links where the files
 * were: such a directory is no place for sockets. Names are looked up on the network's thread too, where a peer comes,
 * goes or is tried again; so neither is a file system that may not answer.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/file.h>
#endif
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "embedded/address.h"
#include "endpoint.h"
#include "vmnet_shim.h"

#define BACKLOG 64
#define LOCK_TRIES 100 /* a second at most, of what takes others less than a millisecond */
#define LOCK_PAUSE_NS 10000000ull
#if defined(__linux__) && !defined(SO_PASSRIGHTS)
#define SO_PASSRIGHTS 83 /* newer than most headers; what an older system says to it does not matter */
#endif
#define NAME_BYTES 9 /* ".vn" and six digits: as good as never twice at the same time */

static uint32_t fail_path(struct vn_job *job, const char *message, int error) {
  vn_write_text(&job->result, "field", "path");
  return vn_fail_errno(job, message, error);
}

static bool address_of(const char *path, struct sockaddr_un *address) {
  size_t length = strlen(path);
  *address = (struct sockaddr_un){.sun_family = AF_UNIX};
  if (length == 0 || length >= sizeof address->sun_path) return false;
  memcpy(address->sun_path, path, length);
  return true;
}

/* Another name in the same directory. False when it is too long for a socket. */
static bool beside(const char *path, struct sockaddr_un *address) {
  uint8_t random[3];
  const char *last = strrchr(path, '/');
  int directory = last == NULL ? 0 : (int)(last - path) + 1;
  *address = (struct sockaddr_un){.sun_family = AF_UNIX};
  if ((size_t)directory + NAME_BYTES >= sizeof address->sun_path) return false;
  vn_random(random, sizeof random);
  snprintf(address->sun_path, sizeof address->sun_path, "%.*s.vn%02x%02x%02x", directory, path, random[0], random[1],
           random[2]);
  return true;
}

int vn_socket_new(int type) {
#if defined(SOCK_CLOEXEC) && defined(SOCK_NONBLOCK) /* a program that is started meanwhile has no copy of it */
  int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
#else
  int fd = socket(AF_UNIX, type, 0);
#endif
  if (fd < 0 || vn_socket_prepare(fd) == VN_OK) return fd;
  int error = errno;
  close(fd);
  errno = error;
  return -1;
}

void vn_socket_harden(int fd) {
#ifdef __linux__
  const struct linger never = {.l_onoff = 0};
  const int none = 0;
  setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &none, sizeof none);
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &never, sizeof never); /* close() heeds it whatever O_NONBLOCK says */
#else
  (void)fd;
#endif
}

uint64_t vn_socket_inode(const char *path) {
  struct stat status;
  return lstat(path, &status) == 0 && S_ISSOCK(status.st_mode) ? (uint64_t)status.st_ino : 0;
}

void vn_socket_forget(const char *path, uint64_t inode) {
  if (inode != 0 && (VN_BROKEN(95) || vn_socket_inode(path) == inode)) unlink(path);
}

static bool refuses(const struct sockaddr_un *address, int type) {
  int fd = vn_socket_new(type);
  if (fd < 0) return false;
  bool refused = connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 && errno == ECONNREFUSED;
  close(fd);
  return refused;
}

/* Does nobody hold this socket any more? A socket of another type answers too, by refusing the type. macOS also refuses
 * whoever comes while a living listener's queue is full, which does not last. */
static bool is_dead(const struct sockaddr_un *address, int type) {
#ifdef __APPLE__
  for (int i = 0; i < 3; i++) {
    if (!refuses(address, type)) return false;
    vn_sleep_ns(50000000);
  }
#endif
  return refuses(address, type);
}

/* Between two looks at a path somebody else may have put a new socket in a dead one's place, and Linux gives the new
 * one the old one's inode number at once. So those of us who make sockets in a directory, in whatever process, do it
 * one
 * after the other. Who cannot have the lock goes on without it. */
static int lock_directory(const char *path) {
#ifdef __linux__
  struct sockaddr_un name = {.sun_path = "."};
  const char *last = strrchr(path, '/');
  if (last != NULL) snprintf(name.sun_path, sizeof name.sun_path, "%.*s", (int)(last - path) + 1, path);
  int fd = open(name.sun_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  for (int i = 0; fd >= 0 && i < LOCK_TRIES && flock(fd, LOCK_EX | LOCK_NB) != 0; i++) vn_sleep_ns(LOCK_PAUSE_NS);
  return fd;
#else
  (void)path; /* APFS never gives a number twice */
  return -1;
#endif
}

/* Makes the path free, or says what is there. */
static uint32_t clear(struct vn_job *job, const struct sockaddr_un *address, int type) {
  struct stat status;
  if (lstat(address->sun_path, &status) != 0)
    return errno == ENOENT ? VN_OK : fail_path(job, "Cannot look at the socket's path", errno);
  if (!S_ISSOCK(status.st_mode)) return vn_fail(job, VN_IN_USE, "path", "there is something else than a socket");
  if (!is_dead(address, type)) return vn_fail(job, VN_IN_USE, "path", "somebody else has this socket");
  vn_socket_forget(address->sun_path, (uint64_t)status.st_ino);
  return VN_OK;
}

/* From its own name to its path. 0 or an errno. */
static int place(const char *from, const char *to) {
  if (link(from, to) == 0) return unlink(from) == 0 ? 0 : errno;
  if (errno == EEXIST) return EEXIST;
  return rename(from, to) == 0 ? 0 : errno; /* a file system without links */
}

/* 0 or the job's failure. */
static uint32_t put_in_place(struct vn_job *job, int fd, const struct sockaddr_un *first, const char *path, int type,
                             uint32_t mode) {
  vn_socket_harden(fd);
  fchmod(fd, mode); /* where that is heard of, the file begins with its mode; elsewhere chmod() has to do */
  if (bind(fd, (const struct sockaddr *)first, sizeof *first) != 0)
    return fail_path(job, "Cannot make the socket's file", errno);
  int error = chmod(first->sun_path, mode) != 0 || (type != SOCK_DGRAM && listen(fd, BACKLOG) != 0) ? errno : 0;
  if (error == 0) error = place(first->sun_path, path);
  if (error == 0) return VN_OK;
  unlink(first->sun_path);
  if (error == EEXIST) return vn_fail(job, VN_IN_USE, "path", "somebody else was quicker");
  return fail_path(job, "Cannot put the socket in its place", error);
}

int vn_socket_listen(struct vn_job *job, const char *path, int type, uint32_t mode) {
  struct sockaddr_un final, first;
  if (!address_of(path, &final) || !beside(path, &first))
    return -(int)vn_fail(job, VN_BAD_OPTION, "path", "it is too long for a socket");
  int lock = lock_directory(path), fd = -1;
  uint32_t status = clear(job, &final, type);
  if (status == VN_OK && (fd = vn_socket_new(type)) < 0) status = vn_fail_errno(job, "Cannot make a socket", errno);
  if (status == VN_OK) status = put_in_place(job, fd, &first, final.sun_path, type, mode);
  if (lock >= 0) close(lock);
  if (status == VN_OK) return fd;
  if (fd >= 0) close(fd);
  return -(int)status;
}

uint32_t vn_socket_check(struct vn_job *job, int fd, int type) {
  int found = 0, listens = 0;
  socklen_t length = sizeof found, other = sizeof listens;
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &found, &length) != 0)
    return vn_fail(job, VN_BAD_OPTION, "fd", errno == EBADF ? "it is not open" : "it is not a socket");
  if (found != type)
    return vn_fail(job, VN_BAD_OPTION, "fd", "it is a socket of another type");
  if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &other) == 0 && listens)
    return vn_fail(job, VN_BAD_OPTION, "fd", "it is a listening socket");
  return VN_OK;
}
