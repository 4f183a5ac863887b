// SPDX-License-Identifier: MIT
/*
 * main.c - vmnet-host: this library's macOS backend in a process that may use vmnet. darwin/host_link.h says what for,
 * and what is said on descriptor 3.
 *
 * It is signed ad hoc with com.apple.security.virtualization. It takes no arguments, prints nothing, and is of no use
 * to anybody who starts it by hand: without a socket as its descriptor 3 it ends at once.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "darwin/host_link.h"
#include "host.h"
#include "vmnet_shim.h"

#define LAST_MS 1500 /* vmnet's stop was measured at 90 ms; who started this kills it after 2 s */

int main(void) {
  int type;
  socklen_t length = sizeof type;
  if (getsockopt(VN_HOST_FD, SOL_SOCKET, SO_TYPE, &type, &length) != 0 || type != SOCK_STREAM) return 2;
  if (vn_socket_prepare(VN_HOST_FD) != VN_OK || vn_abi_version() != VN_ABI_VERSION) return 2;
  if (vn_host_serve(VN_HOST_FD) != VN_OK) return 2;
  if (vn_shutdown(LAST_MS) != 0) _exit(0); /* what hangs in vmnet would hold up exit() */
  return 0;
}
