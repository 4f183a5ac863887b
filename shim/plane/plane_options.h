// SPDX-License-Identifier: MIT
/*
 * plane_options.h - what a script may ask of a switch, an endpoint and a port, checked.
 *
 * Every unknown key, wrong type, value out of range and key that does not go with the kind of endpoint ends in
 * VN_BAD_OPTION with the name of the field and a sentence. What only the system can tell (is that a socket, does that
 * file exist) is the classes' business.
 */
#ifndef VN_PLANE_OPTIONS_H
#define VN_PLANE_OPTIONS_H

#include "endpoint.h"

struct vn_board_options {
  bool straight;
  uint32_t age_seconds, mtu; /* 0: not given */
};

struct vn_port_options {
  uint32_t port;
  bool disconnect, isolated;
  bool has_isolated, has_rate, has_burst, has_broadcasts, has_spoof, has_mac;
  struct vn_guard_options guard;
};

/* VN_OK or the job's failure. */
uint32_t vn_board_options_read(struct vn_job *job, struct vn_board_options *out);
uint32_t vn_endpoint_options_read(struct vn_job *job, struct vn_endpoint_options *out); /* fd: -1 or the script's own */
uint32_t vn_port_options_read(struct vn_job *job, struct vn_port_options *out);

#endif
