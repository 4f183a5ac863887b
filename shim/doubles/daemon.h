// SPDX-License-Identifier: MIT
/*
 * daemon.h - inside vmnet-double-daemon, the process that has the networks behind the double of vmnet.
 *
 * Theory of operation. One thread, one context of the shim, one poll(): the control socket, the context's doorbell, and
 * a socket for each interface. A message on the control socket is an operation of vmnet_shim.h, passed on as it is;
 * while it is on its way frames go on moving. Frames go between vn_drain() and an interface's socket, one message each;
 * what one side does not take waits, and until it is gone nothing more is taken from the other.
 *
 * daemon.c is the control socket and the loop, daemon_port.c the frames, daemon_leases.c the file of DHCP leases.
 */
#ifndef VN_DOUBLE_DAEMON_H
#define VN_DOUBLE_DAEMON_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/list.h"
#include "vmnet_shim.h"

enum { DAEMON_BATCH = 64 };

/* Frames that wait to be passed on: descriptors first to first + count - 1. */
struct daemon_batch {
  uint8_t *arena;
  uint32_t descriptors[DAEMON_BATCH * VN_DESCRIPTOR_WORDS], first, count;
};

struct daemon_port {
  struct daemon_port *next;
  int32_t handle;
  int fd;
  uint32_t stride, header; /* room for the longest frame; bytes before Ethernet's */
  uint32_t base, mask;     /* its network, for the leases */
  struct daemon_batch in, out; /* from the network; to it */
  bool blocked;                /* vn_send() took less: WRITABLE will come */
  bool more, ended;            /* the network may have frames; the double closed its end */
  uint64_t look_at[2];         /* milliseconds: when to look for leases, because DHCP went by; 0: not */
};

extern struct daemon_port *daemon_ports;

/* Makes the port of a started interface and answers the double's end of its socket, or -1. */
int daemon_port_open(int32_t handle, const uint8_t *result, uint32_t length, bool virtio);
struct daemon_port *daemon_port_find(int32_t handle);
void daemon_port_finish(struct daemon_port *port); /* takes what was written before, and closes */
void daemon_port_want(const struct daemon_port *port, struct pollfd *slot);
void daemon_port_move(struct daemon_port *port, uint32_t ready, short events);

void daemon_leases_begin(const char *path);
void daemon_leases_look(struct daemon_port *port); /* reads the leases of its network, writes the file if they changed */
void daemon_leases_end(void);

uint64_t daemon_now_ms(void);

#endif
