// SPDX-License-Identifier: MIT
/*
 * vmnet-gateway - the way out of an embedded network: DHCP, and in shared mode NAT, DNS and port forwards by libslirp.
 *
 * It takes no arguments: the shim starts it with the two sockets of protocol.h and ends it by closing them. It is a
 * program of its own because libslirp aborts on failed assertions; then only this process dies, and the shim starts
 * another. It prints nothing by itself; what libslirp prints goes where the shim points its standard error. Exit codes:
 * 0 an end of file, 1 it could not start (ready says why), 2 the other side does not speak the protocol, 3 memory or
 * descriptors ran out.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "gateway.h"
#include "protocol.h"

#define DESCRIPTORS 16384 /* a connection is one */

/* Everything above the two channels belongs to the script that happened to have it open. */
static void close_others(void) {
  DIR *directory = opendir("/dev/fd");
  struct dirent *entry;
  while (directory && (entry = readdir(directory))) {
    int fd = atoi(entry->d_name);
    if (fd > VN_GATEWAY_CONTROL_FD && fd != dirfd(directory)) {
      close(fd);
    }
  }
  if (directory) {
    closedir(directory);
  }
}

static void settle(void) {
  struct rlimit limit = {0, 0};
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  signal(SIGPIPE, SIG_IGN);
  setrlimit(RLIMIT_CORE, &limit);
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < DESCRIPTORS) {
    limit.rlim_cur = limit.rlim_max < DESCRIPTORS ? limit.rlim_max : DESCRIPTORS;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  unsetenv("G_DEBUG"); /* fatal-warnings would turn a guest's odd packet into an abort */
  unsetenv("SLIRP_DEBUG");
#ifdef __linux__
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
#endif
  close_others();
}

static bool prepare(int fd) {
  int type = 0, megabyte = 1 << 20;
  socklen_t size = sizeof type;
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM) {
    return false;
  }
  setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &megabyte, sizeof megabyte);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &megabyte, sizeof megabyte);
  return fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

int main(void) {
  static struct gateway gateway;
  settle();
  if (!prepare(VN_GATEWAY_FRAMES_FD) || !prepare(VN_GATEWAY_CONTROL_FD)) {
    return 2;
  }
  int code = 3;
  if (gateway_open(&gateway, VN_GATEWAY_FRAMES_FD, VN_GATEWAY_CONTROL_FD)) {
    code = gateway_run(&gateway);
  }
  gateway_close(&gateway);
  return code;
}
