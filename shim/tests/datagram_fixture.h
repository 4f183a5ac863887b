// SPDX-License-Identifier: MIT
/* datagram_fixture.h - a switch with a datagram endpoint, and peers of it, in a temporary directory, through the ABI
 * alone. */
#ifndef VN_TESTS_DATAGRAM_FIXTURE_H
#define VN_TESTS_DATAGRAM_FIXTURE_H

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "client.h"

#define LONG_RUN (getenv("VN_LONG") && *getenv("VN_LONG"))

static struct client *c;
static char directory[64];
static const uint8_t mac_a[6] = {2, 0, 0, 0, 0, 1}, mac_b[6] = {2, 0, 0, 0, 0, 2}, mac_s[6] = {2, 0, 0, 0, 0, 9};
static const uint8_t mac_f[6] = {2, 0, 0, 0, 0, 7};

static inline struct sockaddr_un address_of(const char *name) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", directory, name);
  return address;
}

static inline int32_t new_board(void) { return client_call(c, c->context, VN_OP_SWITCH_CREATE, NULL) ? -1 : client_handle(c); }

static inline struct vn_writer options_for(const char *path, bool listens) {
  struct vn_writer options = {.data = NULL};
  vn_write_text(&options, "kind", "datagram");
  if (path) vn_write_text(&options, "path", address_of(path).sun_path);
  if (listens) vn_write_number(&options, "listen", 1);
  return options;
}

static inline int32_t open_with(int32_t board, struct vn_writer *options) {
  uint32_t status = client_call(c, board, VN_OP_ENDPOINT_OPEN, options);
  return status ? -(int32_t)status : client_handle(c);
}

static inline int32_t open_listener(int32_t board, uint32_t clients) {
  struct vn_writer options = options_for("switch", true);
  if (clients) vn_write_number(&options, "clients", clients);
  return open_with(board, &options);
}

/* A peer that binds its own address and, as vfkit does, connects; NULL: without an address. */
static inline int new_peer(const char *name, bool connects) {
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), size = 1 << 20;
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  if (name) {
    struct sockaddr_un own = address_of(name);
    unlink(own.sun_path);
    if (bind(fd, (struct sockaddr *)&own, sizeof own)) return -1;
  }
  struct sockaddr_un to = address_of("switch");
  if (connects && connect(fd, (struct sockaddr *)&to, sizeof to)) return -1;
  return fd;
}

static inline bool say(int fd, const void *bytes, size_t length) {
  struct sockaddr_un to = address_of("switch"), peer;
  for (int i = 0; i < 2000; i++) {
    socklen_t has = sizeof peer;
    bool connected = getpeername(fd, (struct sockaddr *)&peer, &has) == 0;
    ssize_t sent = connected ? send(fd, bytes, length, 0) : sendto(fd, bytes, length, 0, (struct sockaddr *)&to, sizeof to);
    if (sent == (ssize_t)length) return true;
    if (errno != EAGAIN) return false;
    usleep(500);
  }
  return false;
}

static inline bool hears(int fd, const void *bytes, size_t length, int ms) {
  static uint8_t got[80000];
  for (uint64_t end = vn_monotonic_ns() + (uint64_t)ms * 1000000; vn_monotonic_ns() < end;) {
    struct pollfd slot = {.fd = fd, .events = POLLIN};
    poll(&slot, 1, 5);
    ssize_t count;
    while ((count = recv(fd, got, sizeof got, MSG_DONTWAIT)) >= 0)
      if ((size_t)count == length && memcmp(got, bytes, length) == 0) return true;
  }
  return false;
}

static inline bool passes(int from, int to, uint8_t *frame, uint32_t length) { return say(from, frame, length) && hears(to, frame, length, 2000); }

static inline uint64_t number_of(int32_t handle, const char *key) {
  return client_get(c, handle, VN_GET_STATS) ? client_number(c, key) : UINT64_MAX;
}

/* Of the nth port of the list, newest first. */
static inline uint64_t port_number(int32_t board, uint32_t nth, const char *key) {
  struct vn_reader reader;
  struct vn_entry entry;
  if (!client_get(c, board, VN_GET_STATS)) return UINT64_MAX;
  vn_list_read(&reader, c->result, c->length);
  while (vn_list_next(&reader, &entry))
    if (vn_entry_is(&entry, VN_LIST, "port") && nth-- == 0) return vn_list_number(entry.value, entry.length, key, UINT64_MAX);
  return UINT64_MAX;
}

static inline bool reaches(int32_t handle, const char *key, uint64_t least) {
  for (int i = 0; i < 600; i++) {
    if (number_of(handle, key) >= least) return true;
    usleep(5000);
  }
  return false;
}

/* Waits for an event of that type whose detail ends so; others are thrown away. Its port. */
static inline uint64_t event(int32_t board, const char *type, const char *detail_end) {
  for (int i = 0; i < 600; i++) {
    struct vn_reader reader;
    struct vn_entry entry;
    client_get(c, board, VN_GET_EVENTS);
    vn_list_read(&reader, c->result, c->length);
    while (vn_list_next(&reader, &entry)) {
      char found[64] = "", detail[128] = "";
      if (!vn_entry_is(&entry, VN_LIST, "event")) continue;
      vn_list_text(entry.value, entry.length, "type", found, sizeof found);
      vn_list_text(entry.value, entry.length, "detail", detail, sizeof detail);
      size_t length = strlen(detail), end = strlen(detail_end);
      if (strcmp(found, type) == 0 && length >= end && strcmp(detail + length - end, detail_end) == 0)
        return vn_list_number(entry.value, entry.length, "port", 0);
    }
    usleep(5000);
  }
  return 0;
}

/* One after the other: peers that connect before the one before them was heard share a socket of ours, and its fate. */
static inline int joined(const char *name, int32_t listener, uint64_t clients) {
  int fd = new_peer(name, true);
  CHECK(say(fd, "VFKT", 4) && reaches(listener, "clients", clients));
  return fd;
}

static inline bool begin_tests(void) {
  snprintf(directory, sizeof directory, "/tmp/vn-test-XXXXXX");
  if (!mkdtemp(directory)) return false;
  signal(SIGPIPE, SIG_IGN);
  c = client_open();
  return true;
}

static inline void remove_files(void) {
  DIR *at = opendir(directory);
  char path[400];
  int left = 0;
  for (struct dirent *entry; at && (entry = readdir(at));) {
    snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
    if (strncmp(entry->d_name, ".vn", 3) == 0 || strcmp(entry->d_name, "switch") == 0) left++;
    if (entry->d_name[0] != '.' || entry->d_name[1] == 'v') unlink(path);
  }
  if (at) closedir(at);
  rmdir(directory);
  CHECK(left == 0); /* of ours */
}

#endif
