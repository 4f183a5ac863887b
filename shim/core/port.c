// SPDX-License-Identifier: MIT
/*
 * port.c - drain and send: arming, back-pressure, and the checks of what JavaScript hands over.
 *
 * Theory of operation. Receiving: the consumer sets armed, then looks once more; the source makes a frame visible, then
 * exchanges armed. Whichever is second sees the other, so a frame is either found by the look or signalled. Whoever
 * clears armed by exchange owns the wake-up, so it is said once. Sending is the same with the sides swapped: after a
 * short send tx_armed is set, then the room is looked at once more.
 *
 * Descriptors of vn_send() lie in memory that JavaScript may change while we look at it. Each word is loaded once, into
 * a copy that is checked and then used; the frame's bytes may still change, but they are only bytes.
 *
 * Loans: a switch that has the port tells who is to hear of it instead of the script, the sink. Any thread may be about
 * to wake it when it is taken off, so those threads are counted in waking, and the switch waits for them.
 */
#include "port.h"

#include "list.h"
#include "vmnet_shim.h"

#define CHUNK 64u /* descriptors per look: 1.5 KiB of stack */
#define WAKING_NS 10000u

void vn_port_init(struct vn_port *port, const struct vn_class *class, struct vn_doorbell *doorbell,
                  const struct vn_source *source) {
  *port = (struct vn_port){.source = source, .max_packet = 1514, .min_packet = 14, .max_count = 256};
  vn_object_init(&port->object, class, doorbell);
}

/* wake_sink() - Tells the sink, if there is one. It stays good while waking is not zero. */
static bool wake_sink(struct vn_port *port) {
  if (!atomic_load(&port->sink)) return false;
  vn_atomic_add(&port->waking, 1);
  struct vn_sink *sink = atomic_load(&port->sink);
  if (sink) sink->wake(sink);
  vn_atomic_add(&port->waking, -1);
  return sink;
}

static void signal_port(struct vn_port *port, uint32_t bits) {
  if (!wake_sink(port)) vn_signal(&port->object, bits);
}

static void signal_packets(struct vn_port *port) {
  vn_count(&port->stats.wakes, 1);
  signal_port(port, VN_READY_PACKETS);
}

bool vn_port_lend(struct vn_port *port) { return !vn_atomic_exchange(&port->lent, 1); }

/* A wake is a few instructions of some other thread's, so this waits no longer than for a lock. */
void vn_port_sink(struct vn_port *port, struct vn_sink *sink) {
  atomic_store(&port->sink, sink);
  while (!sink && !VN_BROKEN(25) && vn_atomic_load(&port->waking)) vn_sleep_ns(WAKING_NS);
}

/* Whatever the script waited for may have come while it was not told: it looks for itself, and arms anew. */
void vn_port_return(struct vn_port *port) {
  vn_atomic_store(&port->lent, 0);
  if (!VN_BROKEN(26)) vn_signal(&port->object, VN_READY_PACKETS | VN_READY_WRITABLE);
}

int32_t vn_port_drain(struct vn_port *port, uint8_t *arena, uint32_t arena_length, uint32_t *descriptors, uint32_t max) {
  uint32_t status = vn_atomic_load(&port->status);
  if (status) return -(int32_t)status;
  bool more;
  int32_t count;
  if (max > port->max_count) max = port->max_count;
  do { /* again only when the re-check found what the look before it did not: "no frames, but more" is no answer */
    more = false;
    vn_atomic_store(&port->armed, 0);
    count = port->source->receive(port, arena, arena_length, descriptors, max, &more);
    if (count < 0) return count;
    if (more) break;
    vn_atomic_store(&port->armed, 1);
    /* If the source cleared armed since, its signal is on the way and the frame waits for that. */
    if (!VN_BROKEN(9) && !port->source->empty(port)) more = vn_atomic_exchange(&port->armed, 0);
  } while (!VN_BROKEN(12) && !count && more);
  if (count) vn_count(&port->stats.drains, 1);
  return more ? count | VN_MORE : count;
}

void vn_port_interest(struct vn_port *port, uint32_t bits) {
  vn_atomic_store(&port->armed, bits & VN_READY_PACKETS);
  if ((bits & VN_READY_PACKETS) && !port->source->empty(port)) vn_port_arrived(port);
}

void vn_port_arrived(struct vn_port *port) {
  if (vn_atomic_load(&port->armed) && vn_atomic_exchange(&port->armed, 0)) signal_packets(port);
}

void vn_port_drained(struct vn_port *port) {
  if (vn_atomic_load(&port->tx_armed) && vn_atomic_exchange(&port->tx_armed, 0)) {
    signal_port(port, VN_READY_WRITABLE);
  }
}

/* check() - Copies up to CHUNK descriptors that can be sent. Answers their number; *status says why there are not more.
 * */
static uint32_t check(const struct vn_port *port, uint32_t arena_length, const uint32_t *descriptors, uint32_t count,
                      uint32_t *checked, uint32_t *status) {
  uint32_t n = 0;
  for (; n < count && n < CHUNK; n++, descriptors += VN_DESCRIPTOR_WORDS, checked += VN_DESCRIPTOR_WORDS) {
    uint32_t offset = __atomic_load_n(&descriptors[0], __ATOMIC_RELAXED);
    uint32_t length = __atomic_load_n(&descriptors[1], __ATOMIC_RELAXED);
    *status = length < port->min_packet   ? VMNET_INVALID_ARGUMENT
              : length > port->max_packet ? VMNET_PACKET_TOO_BIG
              : offset > arena_length || length > arena_length - offset ? VN_BAD_CALL : VN_OK;
    if (*status) break;
    checked[0] = offset;
    checked[1] = length;
    checked[3] = __atomic_load_n(&descriptors[3], __ATOMIC_RELAXED);
  }
  return n;
}

int32_t vn_port_send(struct vn_port *port, const uint8_t *arena, uint32_t arena_length, const uint32_t *descriptors,
                     uint32_t first, uint32_t count) {
  uint32_t status = vn_atomic_load(&port->status);
  if (status) return -(int32_t)status;
  if (count > port->max_count) return -VMNET_TOO_MANY_PACKETS;
  descriptors += (size_t)first * VN_DESCRIPTOR_WORDS;
  uint32_t done = 0, checked[CHUNK * VN_DESCRIPTOR_WORDS];
  while (done < count && !status) {
    const uint32_t *from = descriptors + (size_t)done * VN_DESCRIPTOR_WORDS, *at = checked;
    uint32_t ready = check(port, arena_length, from, count - done, checked, &status);
    while (ready) {
      int32_t taken = port->source->transmit(port, arena, at, ready);
      if (taken < 0) {
        if (!done) return taken;
        status = (uint32_t)-taken; /* the next call answers it, see below */
        break;
      }
      done += (uint32_t)taken;
      ready -= (uint32_t)taken;
      at += (size_t)taken * VN_DESCRIPTOR_WORDS;
      if (!ready) break;
      vn_atomic_store(&port->tx_armed, 1);
      if (VN_BROKEN(10) || port->source->full(port, at[1])) return (int32_t)done;
      if (!vn_atomic_exchange(&port->tx_armed, 0)) return (int32_t)done; /* the signal is on the way */
    }
  }
  if (!status) return (int32_t)done;
  if (!done) return -(int32_t)status;
  vn_signal(&port->object, VN_READY_WRITABLE); /* nothing to wait for: the next call answers the status */
  return (int32_t)done;
}

void vn_port_fail(struct vn_port *port, uint32_t status) {
  uint32_t works = VN_OK;
  if (!vn_atomic_cas(&port->status, &works, status)) return;
  vn_signal(&port->object, VN_READY_STATE);
  if (!VN_BROKEN(27)) wake_sink(port);
}

void vn_port_get(struct vn_port *port, uint32_t what, struct vn_writer *out) {
  uint32_t status = vn_atomic_load(&port->status);
  const struct vn_port_stats *stats = &port->stats;
  if (what == VN_GET_STATE) {
    vn_write_number(out, "status", status);
    if (status) vn_write_text(out, "message", status == VN_GONE      ? "The network ended"
                                              : status == VN_STOPPED ? "The interface was stopped"
                                                                     : "The interface failed");
  } else if (what == VN_GET_ESTIMATE) {
    vn_write_number(out, "packets", status ? 0 : port->source->estimate(port));
  } else {
    vn_write_number(out, "framesIn", vn_counted(&stats->frames_in));
    vn_write_number(out, "bytesIn", vn_counted(&stats->bytes_in));
    vn_write_number(out, "framesOut", vn_counted(&stats->frames_out));
    vn_write_number(out, "bytesOut", vn_counted(&stats->bytes_out));
    vn_write_number(out, "droppedIn", vn_counted(&stats->dropped_in));
    vn_write_number(out, "droppedOut", vn_counted(&stats->dropped_out));
    vn_write_number(out, "wakes", vn_counted(&stats->wakes));
    vn_write_number(out, "drains", vn_counted(&stats->drains));
  }
}
