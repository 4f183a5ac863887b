// SPDX-License-Identifier: MIT
/* macho_socket.h - what macho_socket.c and macho_message.c have in common. */
#ifndef VN_MACHO_SOCKET_H
#define VN_MACHO_SOCKET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct darwin_sockaddr {
  uint8_t length, family;
  char data[]; /* the same as Linux's from here on, of each family */
};

/* 0 or -1 with errno. A local address must end within its 104 bytes. */
int darwin_address_back(const struct darwin_sockaddr *from, uint32_t length, struct sockaddr_storage *out);
/* At most *room bytes of it; *room is the whole length then. */
void darwin_give_address(const struct sockaddr_storage *from, socklen_t had, struct darwin_sockaddr *out, uint32_t *room);
bool darwin_is_shut(int fd); /* for reading */
int darwin_silence(int fd); /* MSG_NOSIGNAL, or 0 for a descriptor without SO_NOSIGPIPE */

#endif
