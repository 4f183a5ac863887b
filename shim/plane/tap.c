// SPDX-License-Identifier: MIT
/*
 * tap.c - taps and intercepts: ports that a script drains, made from options and torn down again.
 *
 * Theory of operation. A tap has one ring, an intercept two: what its script sends comes back by the second one and
 * wakes the network. A ring is at least so large that the longest frame fits at any position, so a small "ringBytes"
 * counts only with a small snap length; the result's "ringBytes" says what it became.
 */
#include "tap.h"

#include <stdlib.h>
#include <string.h>

#include "vmnet_shim.h"

struct options {
  char filter[VN_FILTER_TEXT];
  uint32_t snap, ring_bytes, pass_on_overflow;
};

/* Called on the script's thread: frames wait in tx. */
static void tap_wake(struct vn_ring_port *port) { vn_network_wake(((struct vn_tap *)port)->hook.network); }

static void tap_close(struct vn_object *object) {
  vn_hook_end(&((struct vn_tap *)object)->hook);
  vn_release(object);
}

static void tap_destroy(struct vn_object *object) {
  struct vn_tap *tap = (struct vn_tap *)object;
  vn_ring_destroy(&tap->ring.rx);
  vn_ring_destroy(&tap->ring.tx);
  vn_hook_free(&tap->hook);
  free(tap);
}

static const struct vn_class tap_class = {.kind = VN_TAP, .close = tap_close, .destroy = tap_destroy};

static uint32_t read_option(struct vn_job *job, const struct vn_entry *entry, struct vn_tap *tap, struct options *out) {
  uint32_t status = vn_hook_read(job, entry, &tap->hook, out->filter);
  if (status != VN_NOT_FOUND) return status;
  if (vn_entry_is(entry, VN_NUMBER, "ringBytes"))
    return vn_hook_number(job, entry, VN_TAP_RING_LEAST, VN_TAP_RING_MOST, &out->ring_bytes);
  if (!tap->intercepts && vn_entry_is(entry, VN_NUMBER, "snapLength"))
    return vn_hook_number(job, entry, VN_SNAP_LEAST, VN_SNAP_MOST, &out->snap);
  if (tap->intercepts && vn_entry_is(entry, VN_NUMBER, "passOnOverflow"))
    return vn_hook_number(job, entry, 0, 1, &out->pass_on_overflow);
  return vn_hook_unknown(job, entry);
}

/* A power of two in which the longest record fits twice, which is what a ring asks for. */
static uint32_t ring_size(const struct options *options) {
  uint32_t size = VN_TAP_RING_LEAST, record = (uint32_t)sizeof(struct vn_record) + options->snap;
  while (size < options->ring_bytes || size / 2 < record) size *= 2;
  return size;
}

static uint32_t prepare(struct vn_job *job, struct vn_tap *tap, struct options *options) {
  struct vn_reader reader;
  struct vn_entry entry;
  uint32_t status = VN_OK;
  vn_list_read(&reader, job->options, job->options_length);
  while (status == VN_OK && vn_list_next(&reader, &entry)) status = read_option(job, &entry, tap, options);
  if (status != VN_OK) return status;
  uint32_t size = ring_size(options);
  tap->snap = options->snap;
  tap->pass_on_overflow = options->pass_on_overflow;
  tap->ring.port.max_packet = options->snap;
  if (vn_ring_init(&tap->ring.rx, size) == VN_OK && (!tap->intercepts || vn_ring_init(&tap->ring.tx, size) == VN_OK))
    return VN_OK;
  return vn_fail(job, VN_NO_MEMORY, NULL, "memory ran out");
}

uint32_t vn_tap_open(struct vn_job *job, struct vn_board *board) {
  struct options options = {.snap = VN_SNAP_MOST, .ring_bytes = VN_TAP_RING_DEFAULT};
  struct vn_tap *tap = calloc(1, sizeof *tap);
  if (tap == NULL) return vn_fail(job, VN_NO_MEMORY, NULL, "memory ran out");
  vn_port_init(&tap->ring.port, &tap_class, job->doorbell, &vn_ring_source);
  tap->hook.object = &tap->ring.port.object;
  tap->intercepts = tap->ring.marked = job->op == VN_OP_INTERCEPT_OPEN;
  tap->ring.wake = tap_wake;
  uint32_t status = prepare(job, tap, &options);
  if (status != VN_OK) {
    vn_release(tap->hook.object);
    return status;
  }
  uint32_t size = tap->ring.rx.size;
  status = vn_hook_begin(job, &tap->hook, board, options.filter);
  if (status == VN_OK) vn_write_number(&job->result, "ringBytes", size);
  return status;
}

void vn_tap_stop(struct vn_object *tap) { vn_hook_stop(&((struct vn_tap *)tap)->hook); }

uint32_t vn_tap_get(struct vn_object *object, uint32_t what, struct vn_writer *out) {
  const struct vn_tap *tap = (const struct vn_tap *)object;
  if (what != VN_GET_STATS) return VN_BAD_CALL; /* port.c answers the others */
  vn_write_number(out, "matched", vn_counted(&tap->hook.matched));
  vn_write_number(out, "dropped", vn_counted(&tap->hook.dropped));
  vn_write_number(out, "ringBytes", tap->ring.rx.size);
  return VN_OK;
}
