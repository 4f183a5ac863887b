// SPDX-License-Identifier: MIT
/*
 * gateway_program.h - the program itself, $VN_GATEWAY, as a child between two socket pairs: start it, talk to it, and
 * see it end. What it said last, frame or message, is in got.
 */
#ifndef VN_GATEWAY_PROGRAM_H
#define VN_GATEWAY_PROGRAM_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gateway_fixture.h"
#include "os.h"
#include "test.h"

#define NET 0xc0a83200u
static const uint8_t ann[6] = {2, 0, 0, 0, 0, 1}, all[6] = {255, 255, 255, 255, 255, 255};

static struct {
  pid_t pid;
  int frames, control;
} gw;

static struct {
  uint8_t bytes[70000];
  uint32_t length;
} got;

static inline double now(void) { return (double)vn_monotonic_ns() / 1e9; }

static inline bool read_all(int fd, void *at, size_t length) {
  for (size_t done = 0; done < length;) {
    struct pollfd wait = {fd, POLLIN, 0};
    ssize_t n = poll(&wait, 1, 5000) == 1 ? read(fd, (uint8_t *)at + done, length - done) : -1;
    if (n <= 0) return false;
    done += (size_t)n;
  }
  return true;
}

static inline bool receive(int fd) {
  uint8_t head[4];
  if (!read_all(fd, head, 4) || (got.length = get32(head)) > sizeof got.bytes) return false;
  return read_all(fd, got.bytes, got.length);
}

static inline bool transmit(int fd, const void *data, uint32_t length) {
  uint8_t head[4];
  put32(head, length);
  return write(fd, head, 4) == 4 && write(fd, data, length) == (ssize_t)length;
}

static inline void start(void) {
  int frames[2], control[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, frames) == 0);
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control) == 0);
  gw.frames = frames[0], gw.control = control[0];
  gw.pid = fork();
  if (gw.pid == 0) {
    int a = fcntl(frames[1], F_DUPFD, 20), b = fcntl(control[1], F_DUPFD, 20);
    dup2(a, 3), dup2(b, 4);
    execl(getenv("VN_GATEWAY"), "vmnet-gateway", (char *)NULL);
    _exit(127);
  }
  close(frames[1]), close(control[1]);
}

static inline void say(struct vn_writer writer) {
  CHECK(!writer.failed && transmit(gw.control, writer.data, writer.length));
  vn_writer_free(&writer);
}

static inline uint64_t number(const char *key) { return vn_list_number(got.bytes, got.length, key, 9999); }
static inline bool says(const char *key, const char *expected) {
  char text[100];
  return vn_list_text(got.bytes, got.length, key, text, sizeof text) && strcmp(text, expected) == 0;
}

/* The next message of that name. */
static inline bool hear(const char *name) {
  while (receive(gw.control)) {
    if (says("message", name)) return true;
  }
  return false;
}

static inline void begin(struct vn_writer writer) {
  start();
  say(writer);
  CHECK(hear("ready") && number("status") == 0);
}

/* Waits for the end and answers the exit code, -1 for a signal, -2 when it took too long. */
static inline int ended(double seconds) {
  double limit = now() + seconds;
  int state;
  while (waitpid(gw.pid, &state, WNOHANG) == 0) {
    if (now() > limit) {
      kill(gw.pid, SIGKILL);
      waitpid(gw.pid, &state, 0);
      return -2;
    }
    usleep(500);
  }
  return WIFEXITED(state) ? WEXITSTATUS(state) : -1;
}

static inline void leave(void) {
  close(gw.frames), close(gw.control);
  CHECK(ended(5) == 0);
}

static inline uint32_t arp(uint8_t *data, uint16_t operation, uint32_t sender, uint32_t target) {
  memset(data, 0, 60);
  uint8_t *at = write_ethernet(data, all, ann, TYPE_ARP);
  memcpy(at, (const uint8_t[]){0, 1, 8, 0, 6, 4}, 6);
  put16(at + 6, operation);
  memcpy(at + 8, ann, 6);
  put32(at + 14, sender), put32(at + 24, target);
  return 60;
}

static inline struct vn_writer message(const char *name) {
  struct vn_writer writer = {0};
  vn_write_text(&writer, "message", name);
  vn_write_number(&writer, "id", 5);
  return writer;
}

static inline void put_forward(struct vn_writer *writer, unsigned protocol, uint16_t port, const char *address) {
  vn_write_number(writer, "protocol", protocol);
  vn_write_number(writer, "externalPort", port);
  vn_write_text(writer, "internalAddress", address);
  vn_write_number(writer, "internalPort", 91);
}

static inline uint64_t add_forward(unsigned protocol, uint16_t port, const char *address) {
  struct vn_writer writer = message("forwardAdd");
  put_forward(&writer, protocol, port, address);
  say(writer);
  return hear("reply") && number("id") == 5 ? number("status") : 9999;
}

static inline uint64_t stats(const char *key) {
  say(message("stats"));
  CHECK(hear("reply") && number("status") == 0);
  return number(key);
}

/* Shared mode needs libslirp. Answers whether the tests of it can run, and says so when they cannot. */
static inline bool shared_works(void) {
  start();
  say(configuration(SHARED));
  bool works = hear("ready") && number("status") == 0;
  close(gw.frames), close(gw.control);
  ended(5);
  if (!works) printf("  skipped: shared mode, because libslirp.so.0 is not installed\n");
  return works;
}

/* Once, before all else. */
static inline bool program_named(void) {
  signal(SIGPIPE, SIG_IGN);
  if (!getenv("VN_GATEWAY")) printf("VN_GATEWAY must name the program\n");
  return getenv("VN_GATEWAY") != NULL;
}

#endif
