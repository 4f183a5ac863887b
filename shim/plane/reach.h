// SPDX-License-Identifier: MIT
/*
 * reach.h - where a socket endpoint is to be reached: a path in the file system, or a TCP port of this machine's
 * loopback.
 *
 * TCP knows no users, so whoever runs on this machine may connect to a port of it; further it never goes. "localhost"
 * is 127.0.0.1, without asking anybody.
 */
#ifndef VN_PLANE_REACH_H
#define VN_PLANE_REACH_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "endpoint.h"

#define VN_REACH_TEXT 64u

struct vn_reach {
  union {
    struct sockaddr any;
    struct sockaddr_un local;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
  } address;
  socklen_t length;
  int type; /* SOCK_STREAM, SOCK_SEQPACKET */
};

/* By "path" or by "host" and "port". VN_OK or the job's failure. */
uint32_t vn_reach_parse(struct vn_job *job, const struct vn_endpoint_options *options, int type, struct vn_reach *reach);
/* Listens, and writes "path" or "port" to the result. A descriptor, or -1 with the job's failure in status. */
int vn_reach_listen(struct vn_job *job, const struct vn_endpoint_options *options, const struct vn_reach *reach,
                    uint32_t *status);
/* Connects without waiting: a descriptor, or minus an errno. pending: the descriptor becomes writable when that is
 * decided;
 * vn_reach_answer() then says how. */
int vn_reach_connect(const struct vn_reach *reach, bool *pending);
int vn_reach_answer(int fd); /* 0 or an errno */
/* For a thread that may wait, until the job's deadline. A descriptor, or -1 with the job's failure in status. */
int vn_reach_wait(struct vn_job *job, const struct vn_reach *reach, uint32_t *status);

/* What every connection needs before it becomes a port. VN_OK or a vn_status. */
uint32_t vn_reach_prepare(int fd);
/* Who is at the other end, for people: "pid 123" (Linux), "127.0.0.1:4711", or "". */
void vn_reach_describe(int fd, char out[VN_REACH_TEXT]);

#endif
