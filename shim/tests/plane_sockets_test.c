// SPDX-License-Identifier: MIT
/* The files of unix sockets: how they come and go, whom they make room for, and descriptors that are handed over. */
#include <errno.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "client.h"
#include "plane/endpoint.h"

static char directory[64];

static struct vn_job file_job(void) { return (struct vn_job){.op = VN_OP_ENDPOINT_OPEN}; }

static const char *in_directory(const char *name) {
  static char path[16][128];
  static int at;
  char *out = path[at++ & 15];
  snprintf(out, 128, "%s/%s", directory, name);
  return out;
}

static int listen_at(const char *path, int type, uint32_t mode) {
  struct vn_job job = file_job();
  int fd = vn_socket_listen(&job, path, type, mode);
  char message[512];
  if (fd < 0) CHECK(vn_list_text(job.result.data, job.result.length, "message", message, sizeof message) && message[0]);
  vn_writer_free(&job.result);
  return fd;
}

static int connect_to(const char *path, int type) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strcpy(address.sun_path, path);
  int fd = socket(AF_UNIX, type, 0);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
  int error = errno;
  close(fd);
  errno = error;
  return -1;
}

static uint32_t mode_of(const char *path) {
  struct stat status;
  return lstat(path, &status) == 0 ? status.st_mode & 07777 : 99999;
}

static void test_a_sockets_file_comes_and_goes(void) {
  static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
  int fds = count_entries("/proc/self/fd");
  const char *path = in_directory("a.sock");
  mode_t before = umask(0);
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    int fd = listen_at(path, types[i], 0600);
    CHECK(fd >= 0 && mode_of(path) == 0600 && fcntl(fd, F_GETFD) == FD_CLOEXEC && (fcntl(fd, F_GETFL) & O_NONBLOCK));
    CHECK(count_entries(directory) == 3); /* it alone: nothing else was left */
    int peer = connect_to(path, types[i]);
    CHECK(peer >= 0);
    for (size_t k = 0; k < sizeof types / sizeof *types; k++) CHECK(listen_at(path, types[k], 0600) == -VN_IN_USE);
    uint64_t inode = vn_socket_inode(path);
    CHECK(inode != 0);
    vn_socket_forget(path, inode + 1);
    CHECK(vn_socket_inode(path) == inode);
    close(fd);
    close(peer);
    fd = listen_at(path, types[i], 0660); /* in a dead one's place */
    CHECK(fd >= 0 && mode_of(path) == 0660);
    vn_socket_forget(path, vn_socket_inode(path));
    CHECK(vn_socket_inode(path) == 0 && count_entries(directory) == 2);
    close(fd);
  }
  umask(before);
  CHECK(count_entries("/proc/self/fd") == fds);
}

static void test_what_is_no_socket_stays(void) {
  const char *file = in_directory("file"), *folder = in_directory("folder"), *missing = in_directory("no/such");
  char long_path[200];
  close(open(file, O_CREAT | O_WRONLY, 0600));
  mkdir(folder, 0700);
  CHECK(listen_at(file, SOCK_STREAM, 0600) == -VN_IN_USE && access(file, F_OK) == 0);
  CHECK(listen_at(folder, SOCK_STREAM, 0600) == -VN_IN_USE && access(folder, F_OK) == 0);
  CHECK(symlink("nowhere", in_directory("link")) == 0 && listen_at(in_directory("link"), SOCK_STREAM, 0600) == -VN_IN_USE);
  CHECK(listen_at(missing, SOCK_STREAM, 0600) == -VN_SYSTEM);
  snprintf(long_path, sizeof long_path, "%s/%0100d", directory, 5);
  CHECK(listen_at(long_path, SOCK_STREAM, 0600) == -VN_BAD_OPTION && listen_at("", SOCK_STREAM, 0600) == -VN_BAD_OPTION);
  vn_socket_forget(file, vn_socket_inode(file));
  CHECK(vn_socket_inode(file) == 0 && access(file, F_OK) == 0);
  unlink(file), rmdir(folder), unlink(in_directory("link"));
  CHECK(count_entries(directory) == 2);
}

static const char *raced;

static void *race(void *argument) {
  *(int *)argument = listen_at(raced, SOCK_STREAM, 0600);
  return NULL;
}

static void test_of_two_at_the_same_time_one_gets_the_path(void) {
  raced = in_directory("raced");
  for (int i = 0; i < 50; i++) {
    pthread_t thread;
    int fds[2] = {-1, -1};
    pthread_create(&thread, NULL, race, &fds[1]);
    race(&fds[0]);
    pthread_join(thread, NULL);
    CHECK((fds[0] >= 0) != (fds[1] >= 0) && (fds[0] >= 0 || fds[0] == -VN_IN_USE) && (fds[1] >= 0 || fds[1] == -VN_IN_USE));
    for (int k = 0; k < 2; k++) if (fds[k] >= 0) close(fds[k]);
    unlink(raced);
  }
  CHECK(count_entries(directory) == 2);
}

static void *race_for_a_dead_one(void *argument) {
  for (int i = 0; i < 300; i++) {
    int fd = listen_at(raced, SOCK_STREAM, 0600);
    if (fd < 0) {
      CHECK(fd == -VN_IN_USE);
      continue;
    }
    int found, peer; /* whoever has the path can be reached by it; others look in too, and may fill the backlog */
    while ((peer = connect_to(raced, SOCK_STREAM | SOCK_NONBLOCK)) < 0 && errno == EAGAIN) close(accept(fd, NULL, NULL));
    bool ours = false;
    while (peer >= 0 && !ours && (found = accept(fd, NULL, NULL)) >= 0) {
      char byte;
      struct pollfd slot = {.fd = found, .events = POLLIN};
      ours = send(peer, "x", 1, MSG_NOSIGNAL) == 1 && poll(&slot, 1, 2000) > 0 && recv(found, &byte, 1, 0) == 1;
      close(found);
    }
    CHECK(ours);
    close(peer);
    close(fd); /* dead again, and its file stays */
  }
  return argument;
}

static void test_a_dead_one_is_never_mistaken_for_its_successor(void) {
  raced = in_directory("dead");
  pthread_t threads[3];
  for (int i = 0; i < 3; i++) pthread_create(&threads[i], NULL, race_for_a_dead_one, NULL);
  for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
  unlink(raced);
  CHECK(count_entries(directory) == 2);
}

static uint32_t check_fd(int fd, int type) {
  struct vn_job job = file_job();
  uint32_t status = vn_socket_check(&job, fd, type);
  vn_writer_free(&job.result);
  return status;
}

static void test_descriptors_are_what_they_are_said_to_be(void) {
  int pair[2], pipes[2];
  CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0 && pipe(pipes) == 0);
  CHECK(check_fd(pair[0], SOCK_DGRAM) == VN_OK && check_fd(pair[0], SOCK_STREAM) == VN_BAD_OPTION);
  CHECK(check_fd(pipes[0], SOCK_STREAM) == VN_BAD_OPTION && check_fd(-1, SOCK_STREAM) == VN_BAD_OPTION);
  int listens = listen_at(in_directory("l"), SOCK_STREAM, 0600);
  CHECK(check_fd(listens, SOCK_STREAM) == VN_BAD_OPTION);
  unlink(in_directory("l"));
  close(listens), close(pair[0]), close(pair[1]), close(pipes[0]), close(pipes[1]);
}

int main(void) {
  snprintf(directory, sizeof directory, "/tmp/vn-sockets-XXXXXX");
  if (mkdtemp(directory) == NULL) return 1;
  RUN(test_a_sockets_file_comes_and_goes);
  RUN(test_what_is_no_socket_stays);
  RUN(test_of_two_at_the_same_time_one_gets_the_path);
  RUN(test_a_dead_one_is_never_mistaken_for_its_successor);
  RUN(test_descriptors_are_what_they_are_said_to_be);
  CHECK(rmdir(directory) == 0);
  return finish();
}
