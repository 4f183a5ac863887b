// SPDX-License-Identifier: MIT
/* loop.c - the one loop: poll, frames, control, timers, and one write per channel at the end of each turn. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gateway.h"
#include "os.h"
#include "protocol.h"
#include "vmnet_shim.h"

#define FRAMES_IN (256u << 10) /* one read takes up to 170 full frames */
#define FRAMES_OUT (1u << 20)
#define CONTROL_START (16u << 10)

static int64_t milliseconds(void) { return (int64_t)(vn_monotonic_ns() / 1000000); }

bool gateway_open(struct gateway *gateway, int frames, int control) {
  memset(gateway, 0, sizeof *gateway);
  gateway->exit_code = -1;
  gateway->now = milliseconds();
  bool opened = channel_open(&gateway->frames, frames, VN_FRAME_LIMIT, FRAMES_IN, FRAMES_OUT, true);
  return channel_open(&gateway->control, control, VN_MESSAGE_LIMIT, CONTROL_START, CONTROL_START, false) && opened;
}

void gateway_close(struct gateway *gateway) {
  nat_close(gateway);
  channel_close(&gateway->frames);
  channel_close(&gateway->control);
  lease_close(&gateway->leases);
  config_free(&gateway->config);
  free(gateway->forwards);
  for (uint32_t i = 0; i < PARTIALS; i++) {
    reassemble_drop(&gateway->partials[i]);
  }
}

bool gateway_start(struct gateway *gateway, struct problem *problem) {
  if (!lease_open(&gateway->leases, &gateway->config)) {
    *problem = (struct problem){.status = VN_NO_MEMORY, .text = "Cannot start the gateway: out of memory"};
    return false;
  }
  gateway->mac[0] = 0x52; /* libslirp's choice: 52:55 and the IPv4 address */
  gateway->mac[1] = 0x55;
  put32(gateway->mac + 2, gateway->config.gateway);
  gateway->configured = !gateway->config.shared || nat_open(gateway, problem);
  return gateway->configured;
}

/* Waits for whatever comes first. Answers what poll() did. */
static int wait_for_any(struct gateway *gateway, struct poll_set *set) {
  int64_t deadline = gateway->configured ? gateway->leases.next_end : NEVER;
  set->fds[0] = (struct pollfd){gateway->frames.fd, gateway->configured ? POLLIN : 0, 0}; /* frames wait until then */
  set->fds[1] = (struct pollfd){gateway->control.fd, POLLIN, 0};
  set->fds[0].events |= channel_pending(&gateway->frames) ? POLLOUT : 0;
  set->fds[1].events |= channel_pending(&gateway->control) ? POLLOUT : 0;
  set->count = 2;
  if (gateway->forward_retry && gateway->forward_retry < deadline) {
    deadline = gateway->forward_retry;
  }
  if (gateway->nat) {
    nat_prepare(gateway, set, &deadline);
  }
  int64_t wait = deadline == NEVER ? -1 : deadline > gateway->now ? deadline - gateway->now : 0;
  return poll(set->fds, set->count, wait > 60000 ? 60000 : (int)wait);
}

static void read_frames(struct gateway *gateway) {
  struct frame frame;
  channel_fill(&gateway->frames);
  while ((frame.data = channel_next(&gateway->frames, &frame.length))) {
    gateway_input(gateway, frame);
  }
  if (gateway->nat) {
    nat_settle(gateway);
  }
}

static void read_control(struct gateway *gateway) {
  uint8_t *message;
  uint32_t length;
  channel_fill(&gateway->control);
  while (gateway->exit_code < 0 && (message = channel_next(&gateway->control, &length))) {
    control_message(gateway, message, length);
  }
  if (gateway->control.violated) {
    control_message(gateway, NULL, 0);
  }
}

static void run_timers(struct gateway *gateway) {
  if (gateway->configured) {
    dhcp_expire(gateway);
    forward_retry(gateway);
    if (!gateway->ready && gateway->forward_retry == 0) {
      control_ready(gateway, &(struct problem){0});
    }
  }
}

int gateway_run(struct gateway *gateway) {
  struct poll_set set = {.capacity = 64, .fds = calloc(64, sizeof *set.fds)};
  while (set.fds && gateway->exit_code < 0) {
    int changes = wait_for_any(gateway, &set);
    bool failed = changes < 0;
    if (failed && errno != EINTR) {
      gateway->exit_code = 3;
    }
    gateway->now = milliseconds();
    if (gateway->nat) {
      nat_finish(gateway, &set, failed); /* before the frames: it also sets the time by which libslirp ages sockets */
    }
    if (!failed && (set.fds[0].revents & (POLLIN | POLLHUP | POLLERR))) {
      read_frames(gateway);
    }
    if (!failed && (set.fds[1].revents & (POLLIN | POLLHUP | POLLERR))) {
      read_control(gateway);
    }
    run_timers(gateway);
    channel_flush(&gateway->control); /* first: who gets a DHCP answer is to find its lease known (shim/plane/binding.h) */
    channel_flush(&gateway->frames);
    if (gateway->exit_code < 0 && (gateway->frames.broken || gateway->control.broken)) {
      gateway->exit_code = gateway->frames.violated ? 2 : 0;
    }
  }
  free(set.fds);
  return gateway->exit_code < 0 ? 3 : gateway->exit_code;
}
