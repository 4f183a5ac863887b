// SPDX-License-Identifier: MIT
/*
 * guard.c - buckets are floating point, so that a slow rate loses nothing to rounding and a fast one does not overflow;
 * they
 * are filled once per turn. What is spoofed costs its sender no tokens.
 */
#include "guard.h"

#include <stdlib.h>
#include <string.h>

#include "binding.h"
#include "plane.h"

#define SECOND 1000000000ull

struct bucket {
  double rate, most, tokens; /* per second; 0: no limit */
};

struct vn_guard {
  struct vn_guard_options options;
  struct bucket bytes, groups;
  uint64_t filled_ns;
  uint64_t limited_ns, spoofed_ns; /* when boards were told last */
  struct vn_binding binding;
};

bool vn_guard_wanted(const struct vn_guard_options *options) {
  return options->bytes_per_second != 0 || options->broadcasts_per_second != 0 || options->anti_spoof;
}

/* A new limit begins with a full bucket, a changed one with what is left. */
static void set_bucket(struct bucket *bucket, double rate, double most) {
  if (bucket->rate == 0 || bucket->tokens > most) bucket->tokens = most;
  bucket->rate = rate;
  bucket->most = most;
}

static void fill(struct bucket *bucket, double seconds) {
  bucket->tokens += seconds * bucket->rate;
  if (bucket->tokens > bucket->most) bucket->tokens = bucket->most;
}

static bool take(struct bucket *bucket, double tokens) {
  if (bucket->tokens <= 0) return false;
  bucket->tokens -= tokens;
  return true;
}

void vn_guard_set(struct vn_guard *guard, const struct vn_guard_options *options) {
  static const uint8_t any[6];
  double rate = (double)options->bytes_per_second, burst = (double)options->burst_bytes;
  if (burst == 0) burst = rate / 10 > 65536 ? rate / 10 : 65536;
  set_bucket(&guard->bytes, rate, burst);
  set_bucket(&guard->groups, options->broadcasts_per_second, options->broadcasts_per_second);
  bool given = memcmp(options->mac, any, 6) != 0;
  if (!options->anti_spoof || memcmp(options->mac, given ? guard->binding.mac : guard->options.mac, 6) != 0)
    memset(&guard->binding, 0, sizeof guard->binding);
  if (given) {
    memcpy(guard->binding.mac, options->mac, 6);
    guard->binding.settled = true;
  }
  guard->options = *options;
}

struct vn_guard *vn_guard_new(const struct vn_guard_options *options) {
  struct vn_guard *guard = calloc(1, sizeof *guard);
  if (guard != NULL) vn_guard_set(guard, options);
  return guard;
}

void vn_guard_get(const struct vn_guard *guard, struct vn_guard_options *out) { *out = guard->options; }

void vn_guard_forget(struct vn_guard *guard) {
  if (guard == NULL) return;
  struct vn_guard_options options = guard->options;
  memset(&guard->binding, 0, sizeof guard->binding);
  vn_guard_set(guard, &options);
}

void vn_guard_free(struct vn_guard *guard) { free(guard); }

const struct vn_binding *vn_guard_binding(const struct vn_guard *guard) {
  return guard != NULL && guard->options.anti_spoof ? &guard->binding : NULL;
}

static bool is_due(uint64_t *told_ns, uint64_t now) {
  if (*told_ns != 0 && now - *told_ns < SECOND) return false;
  *told_ns = now;
  return true;
}

static const uint8_t *sender(const struct vn_packet *packet) {
  return packet->length < VN_ETHERNET_HEADER ? NULL : packet->frame + 6;
}

static bool drop(struct vn_net_port *from, const struct vn_packet *packet, enum vn_drop cause, const char *detail) {
  vn_network_drop(from, cause);
  if (is_due(&from->guard->limited_ns, from->network->now_ns))
    vn_plane_event(from, VN_LIMITED, sender(packet), detail);
  return false;
}

static bool drop_spoofed(struct vn_net_port *from, const struct vn_packet *packet, const struct vn_offence *why) {
  vn_network_drop(from, VN_DROP_SPOOFED);
  if (!is_due(&from->guard->spoofed_ns, from->network->now_ns)) return false;
  char detail[64];
  vn_offence_text(why, detail);
  vn_plane_event(from, VN_SPOOFED, sender(packet), detail);
  return false;
}

bool vn_guard_allows(struct vn_net_port *from, const struct vn_packet *packet) {
  struct vn_guard *guard = from->guard;
  uint64_t now = from->network->now_ns;
  bool whole = packet->length >= VN_ETHERNET_HEADER; /* what is shorter comes from nobody and goes nowhere */
  if (guard->options.anti_spoof && whole) {
    struct vn_offence why;
    if (!vn_binding_allows(&guard->binding, from, packet, &why)) return drop_spoofed(from, packet, &why);
  }
  if (now != guard->filled_ns) {
    double seconds = (double)(now - guard->filled_ns) * 1e-9;
    fill(&guard->bytes, seconds);
    fill(&guard->groups, seconds);
    guard->filled_ns = now;
  }
  if (guard->groups.rate != 0 && whole && (packet->frame[0] & 1) && !take(&guard->groups, 1))
    return drop(from, packet, VN_DROP_BROADCAST, "broadcasts");
  if (guard->bytes.rate != 0 && !take(&guard->bytes, packet->length)) return drop(from, packet, VN_DROP_RATE, "rate");
  return true;
}
