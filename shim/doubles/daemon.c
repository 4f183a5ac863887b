// SPDX-License-Identifier: MIT
/*
 * daemon.c - vmnet-double-daemon: the control socket, and the loop. See daemon.h.
 *
 * It is started by the double of vmnet with the path of the file of leases as its argument and the control socket as
 * descriptor 3, and ends when that socket does. The status of an answer is the operation's.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "daemon.h"

enum { CONTROL = 3, MESSAGE_MOST = 1 << 17, PORTS_MOST = 256, DEADLINE_MS = 20000 };

static int32_t context;
static int bell;

uint64_t daemon_now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* How long until a look at the leases is due; -1: none is. Looks that are due are done. */
static int next_look(void) {
  uint64_t now = daemon_now_ms(), next = UINT64_MAX;
  for (struct daemon_port *port = daemon_ports; port != NULL; port = port->next) {
    for (int i = 0; i < 2; i++) {
      if (port->look_at[i] != 0 && port->look_at[i] <= now) {
        port->look_at[i] = 0;
        daemon_leases_look(port);
      }
      if (port->look_at[i] != 0 && port->look_at[i] < next) next = port->look_at[i];
    }
  }
  return next == UINT64_MAX ? -1 : (int)(next - now);
}

/* One turn: waits, and moves frames. True: there is something on the control socket, if that was asked for. */
static bool turn(bool listen, int most_ms) {
  static struct pollfd slots[PORTS_MOST + 2];
  static struct daemon_port *of[PORTS_MOST + 2];
  nfds_t count = 2;
  int wait = next_look();
  slots[0] = (struct pollfd){.fd = listen ? CONTROL : -1, .events = POLLIN};
  slots[1] = (struct pollfd){.fd = bell, .events = POLLIN};
  for (struct daemon_port *port = daemon_ports; port != NULL && count < PORTS_MOST + 2; port = port->next) {
    of[count] = port;
    daemon_port_want(port, &slots[count++]);
    if (port->more && port->in.count == 0 && !port->ended) wait = 0;
  }
  if (most_ms >= 0 && (wait < 0 || wait > most_ms)) wait = most_ms;
  if (poll(slots, count, wait) < 0) return false;
  uint32_t ready[2 * 64];
  int32_t found = 0;
  if (slots[1].revents != 0) {
    char bytes[64];
    while (recv(bell, bytes, sizeof bytes, MSG_DONTWAIT) == (ssize_t)sizeof bytes) continue;
    do {
      found = vn_poll(context, ready, 64);
      for (int32_t i = 0; i < found; i++) {
        struct daemon_port *port = daemon_port_find((int32_t)ready[2 * i]);
        if (port != NULL) daemon_port_move(port, ready[2 * i + 1], 0);
      }
    } while (found == 64);
  }
  for (nfds_t i = 2; i < count; i++)
    if (slots[i].revents != 0 || of[i]->more) daemon_port_move(of[i], 0, slots[i].revents);
  return slots[0].revents != 0;
}

static void answer(const uint8_t *list, uint32_t length, int fd) {
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
  } with = {.space = {0}};
  struct iovec iov = {(void *)(uintptr_t)list, length};
  struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
  if (fd >= 0) {
    message.msg_control = &with;
    message.msg_controllen = sizeof with;
    with.header.cmsg_level = SOL_SOCKET;
    with.header.cmsg_type = SCM_RIGHTS;
    with.header.cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(&with.header), &fd, sizeof fd);
  }
  while (sendmsg(CONTROL, &message, MSG_NOSIGNAL) < 0 && errno == EINTR) continue;
}

static void answer_status(uint32_t status) {
  struct vn_writer out = {.data = NULL};
  vn_write_number(&out, "status", status);
  answer(out.data, out.length, -1);
  vn_writer_free(&out);
}

static void ask(const uint8_t *question, uint32_t length) {
  static uint8_t result[MESSAGE_MOST];
  struct vn_entry options = {.value = NULL};
  int32_t target = (int32_t)vn_list_number(question, length, "target", 0), got;
  uint32_t op = (uint32_t)vn_list_number(question, length, "op", 0);
  vn_list_find(question, length, VN_BYTES, "options", &options);
  struct daemon_port *port = daemon_port_find(target);
  if (op == VN_OP_STOP && port != NULL) {
    if (port->look_at[0] != 0 || port->look_at[1] != 0) daemon_leases_look(port);
    daemon_port_finish(port);
  }
  int32_t operation = vn_call(target != 0 ? target : context, op, options.value, options.length, DEADLINE_MS);
  if (operation < 0) {
    answer_status((uint32_t)-operation);
    return;
  }
  while ((got = vn_result(operation, result, sizeof result)) == -VN_PENDING) turn(false, 100);
  if (got < 0 || got > (int32_t)sizeof result) {
    answer_status(got < 0 ? (uint32_t)-got : VN_NO_MEMORY);
    return;
  }
  int fd = -1;
  if (op == VN_OP_INTERFACE_START && vn_list_number(result, (uint32_t)got, "status", 1) == VN_OK) {
    int32_t handle = (int32_t)vn_list_number(result, (uint32_t)got, "handle", 0);
    bool virtio = vn_list_number(options.value, options.length, "vmnet_enable_virtio_header", 0) != 0;
    fd = daemon_port_open(handle, result, (uint32_t)got, virtio);
    if (fd < 0) vn_close(handle);
  }
  answer(result, (uint32_t)got, fd);
  if (fd >= 0) close(fd);
}

int main(int argc, char **argv) {
  static uint8_t question[MESSAGE_MOST];
  signal(SIGPIPE, SIG_IGN);
  daemon_leases_begin(argc > 1 ? argv[1] : "");
  vn_abi_version();
  context = vn_open();
  bell = context > 0 ? vn_doorbell(context) : -1;
  if (bell < 0) return 1;
  for (;;) {
    if (!turn(true, -1)) continue;
    ssize_t length = recv(CONTROL, question, sizeof question, MSG_DONTWAIT);
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (length <= 0) break;
    ask(question, (uint32_t)length);
  }
  daemon_leases_end(); /* first: what follows may take a while */
  while (daemon_ports != NULL) daemon_port_finish(daemon_ports);
  vn_shutdown(3000);
  vn_close(context);
  close(bell);
  return 0;
}
