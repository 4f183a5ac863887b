// SPDX-License-Identifier: MIT
/*
 * free_port.h - a port that nobody has, for tests: suites of several builds run side by side.
 */
#ifndef VN_TESTS_FREE_PORT_H
#define VN_TESTS_FREE_PORT_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

/* The system chooses it among those that it gives to clients, and does not give it to another one soon. */
static inline uint16_t free_port(int type) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
  socklen_t length = sizeof address;
  int fd = socket(AF_INET, type, 0);
  bool bound = bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
  bool known = bound && getsockname(fd, (struct sockaddr *)&address, &length) == 0;
  close(fd);
  return known ? ntohs(address.sin_port) : 0;
}

#endif
