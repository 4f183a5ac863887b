// SPDX-License-Identifier: MIT
/*
 * A vmnet-host that answers nonsense, half of something, too much or nothing: an error in time, and nothing is left.
 * The
 * test itself is it: it puts a link of that name to itself into its folder, and as long as that is there takes its
 * part.
 */
#include <limits.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "darwin_host.h"

#define DEADLINE_MS 250u
#define PATIENCE_NS 2000000000ull

/* Its part. */

static void answer(const void *bytes, size_t length) {
  if (send(3, bytes, length, MSG_NOSIGNAL) != (ssize_t)length) _exit(0);
}

static void answer_length(uint32_t length) {
  const uint8_t bytes[4] = {(uint8_t)(length >> 24), (uint8_t)(length >> 16), (uint8_t)(length >> 8), (uint8_t)length};
  answer(bytes, 4);
}

static void answer_list(struct vn_writer *list) {
  answer_length(list->length);
  answer(list->data, list->length);
  vn_writer_free(list);
}

/* A whole request, and its serial. */
static uint64_t request(void) {
  static uint8_t bytes[1 << 16];
  uint8_t head[4];
  if (recv(3, head, 4, MSG_WAITALL) != 4) _exit(0);
  uint32_t length = (uint32_t)head[2] << 8 | head[3];
  if (recv(3, bytes, length, MSG_WAITALL) != (ssize_t)length) _exit(0);
  return vn_list_number(bytes, length, "serial", 0);
}

static void success(uint64_t serial, uint64_t object, const char *token) {
  struct vn_writer list = {.data = NULL};
  vn_write_number(&list, "serial", serial);
  vn_write_number(&list, "status", VN_OK);
  if (object) vn_write_number(&list, "object", object);
  if (token) vn_write_text(&list, "token", token);
  answer_list(&list);
}

/* A socket to join at, where nobody or somebody strange answers. Its folder is the test's. */
static void owner(uint64_t serial, bool speaks) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  char token[300];
  const char *folder = getenv("VN_FOLDER");
  snprintf(address.sun_path, sizeof address.sun_path, "%.80s/socket", folder ? folder : "");
  unlink(address.sun_path);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 8)) _exit(1);
  snprintf(token, sizeof token, "vmnet1:%s:%064d", address.sun_path, 0);
  success(serial, 1, token);
  int peer = accept(fd, NULL, NULL);
  struct vn_writer list = {.data = NULL};
  vn_write_number(&list, "status", VN_OK);
  vn_write_number(&list, "mode", 77);
  const uint8_t head[4] = {[3] = (uint8_t)list.length};
  if (speaks && (send(peer, head, 4, MSG_NOSIGNAL) != 4 || send(peer, list.data, list.length, MSG_NOSIGNAL) < 0)) _exit(1);
  vn_writer_free(&list);
}

static int play(const char *part) {
  int flags = fcntl(3, F_GETFL);
  fcntl(3, F_SETFL, flags & ~O_NONBLOCK);
  if (!strcmp(part, "deaf")) for (;;) pause();
  uint64_t serial = request();
  if (!strcmp(part, "exit")) return 0;
  if (!strcmp(part, "abort")) abort();
  if (!strcmp(part, "4 GiB")) answer_length(0xffffffffu);
  if (!strcmp(part, "nothing long")) answer_length(0);
  if (!strcmp(part, "half")) answer_length(1000), answer("half of it", 10);
  if (!strcmp(part, "half and hung up")) answer_length(1000), answer("half of it", 10), shutdown(3, SHUT_WR);
  if (!strcmp(part, "no list")) answer_length(10), answer("0123456789", 10);
  if (!strcmp(part, "hung up")) shutdown(3, SHUT_WR);
  if (!strcmp(part, "no object")) success(serial, 0, NULL);
  if (!strcmp(part, "no token")) success(serial, 1, NULL);
  if (!strcmp(part, "a strange token")) success(serial, 1, "nobody:knows:this");
  if (!strcmp(part, "a token of nobody")) success(serial, 1, "vmnet1:/nonexistent/socket:"
      "0000000000000000000000000000000000000000000000000000000000000000");
  if (!strcmp(part, "a silent owner")) owner(serial, false);
  if (!strcmp(part, "a strange owner")) owner(serial, true);
  if (!strcmp(part, "a flood")) for (uint64_t i = 1000;; i++) success(i, i, "token");
  if (!strcmp(part, "noise"))
    for (uint32_t i = 1;; i++) {
      uint8_t bytes[512];
      for (size_t k = 0; k < sizeof bytes; k++) bytes[k] = (uint8_t)(i * 2654435761u >> (k % 24));
      answer(bytes, sizeof bytes);
    }
  for (;;) request(); /* until its user ends */
}

/* The test's. */

static char program_path[PATH_MAX], aside[PATH_MAX + 10], folder[64] = "/tmp/vmnet-nonsense-XXXXXX";

static void put_back(void) {
  char path[100];
  unlink(program_path);
  CHECK(rename(aside, program_path) == 0);
  snprintf(path, sizeof path, "%s/socket", folder);
  unlink(path);
  rmdir(folder);
}

static void take_its_place(void) {
  char self[PATH_MAX - 20] = "";
  CHECK(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
  strcpy(program_path, self);
  strcpy(strrchr(program_path, '/') + 1, "vmnet-host");
  snprintf(aside, sizeof aside, "%s.aside", program_path);
  if (rename(program_path, aside)) exit(1);
  atexit(put_back);
  CHECK(symlink(self, program_path) == 0 && mkdtemp(folder) != NULL);
  setenv("VN_FOLDER", folder, 1);
}

/* What must not succeed fails in time. */
static bool fails_in_time(int32_t operation) {
  uint64_t before = vn_monotonic_ns();
  uint32_t status = end_of(c, operation);
  bool good = (status == VN_GONE || status == VN_TIMEOUT) && vn_monotonic_ns() - before < PATIENCE_NS;
  if (!good) fprintf(stderr, "status %u after %u ms\n", status, (unsigned)((vn_monotonic_ns() - before) / 1000000));
  if (status == VN_GONE) good = good && client_text(c, "message")[0] != 0 && client_text(c, "field")[0] == 0;
  return good;
}

static void test_nonsense_is_an_error_in_time(void) {
  static const char *const parts[] = {"deaf", "exit", "abort", "4 GiB", "nothing long", "half", "half and hung up",
                                      "no list", "hung up", "no object", "no token", "a strange token",
                                      "a token of nobody", "a silent owner", "a strange owner", "a flood", "noise"};
  int fds = count_entries("/proc/self/fd"), threads = count_entries("/proc/self/task");
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    int before = checks_failed;
    setenv("VN_PART", parts[i], 1);
    struct vn_writer options = mode(1001);
    CHECK(fails_in_time(begin(c->context, VN_OP_INTERFACE_START, &options, DEADLINE_MS)));
    options = (struct vn_writer){.data = NULL};
    vn_write_number(&options, "mode", 1001);
    CHECK(fails_in_time(begin(c->context, VN_OP_NETWORK_CREATE, &options, DEADLINE_MS)));
    CHECK(vn_shutdown(8000) == 0 && hosts(NULL) == 0);
    CHECK(nothing_left(c));
    if (checks_failed != before) fprintf(stderr, "that was: %s\n", parts[i]);
  }
  CHECK(settles("/proc/self/fd", fds) && settles("/proc/self/task", threads + 1));
}

int main(int count, char **arguments) {
  const char *name = strrchr(arguments[0], '/');
  if (count == 1 && name != NULL && strcmp(name, "/vmnet-host") == 0) return play(getenv("VN_PART"));
  setenv("VN_HOST_NAME", "vmnet-host", 1); /* no Mach-O file either way */
  take_its_place();
  begin_tests();
  RUN(test_nonsense_is_an_error_in_time);
  client_close(c);
  return finish();
}
