// SPDX-License-Identifier: MIT
/*
 * watchdog.c - all interfaces of the process, and the thread that looks after them.
 *
 * Theory of operation. Whether vmnet tells of every frame is not known for sure, so a thread looks every 250 ms, as
 * long as
 * there are interfaces. One that is waited on and had no event since the last look gets a wake; whoever waits reads,
 * and
 * reading until "none" makes vmnet tell of the next frame again. After looks that found nothing the next ones come less
 * often: 250 ms, 500 ms, 1 s, 2 s, 4 s, and so on every 4 s, so an idle script is not woken for nothing.
 *
 * Frames that such a wake brought, and for which no event came by the second look after it either, are a catch: vmnet
 * had
 * kept silent. The statistics count them; with the doubles any catch is a lost wake-up of ours.
 */
#include "network.h"
#include "nic.h"
#include "vmnet_shim.h"

#define SELDOM 16u /* looks; a power of two */

static struct {
  struct vn_lock lock;
  struct vn_mac_nic *first;
  bool runs;
} all;
static vn_atomic_u32 every_ms = 250;

int vn_mac_nics_init(void) { return vn_lock_init(&all.lock); }

static void look(struct vn_mac_nic *nic) {
  struct vn_mac_watch *watch = &nic->watch;
  uint64_t events = vn_counted(&nic->event_count), frames = vn_counted(&nic->port.stats.frames_in);
  bool moved = frames != watch->frames, woke = watch->woke;
  watch->frames = frames;
  watch->woke = false;
  if (events != watch->events) {
    watch->events = events;
    watch->silent = 0;
    watch->suspect = false;
    return;
  }
  if (watch->suspect) vn_count(&watch->catches, 1);
  watch->suspect = woke && moved;
  if (moved) watch->silent = 0;
  watch->silent++;
  bool due = watch->silent % SELDOM == 0 || (watch->silent < SELDOM && (watch->silent & (watch->silent - 1)) == 0);
  bool waited_on = nic->wake != vn_mac_nic_wake_port || vn_atomic_load(&nic->port.armed);
  if (!due || !waited_on || vn_atomic_load(&nic->port.status)) return;
  watch->woke = true;
  nic->wake(nic);
}

static void *body(void *unused) {
  vn_lock(&all.lock);
  while (all.first) {
    uint32_t ms = vn_atomic_load(&every_ms);
    uint64_t next = vn_monotonic_ns() + (ms ? ms : 250) * 1000000ull;
    while (all.first && vn_lock_wait(&all.lock, next)) {
    }
    if (!ms) continue;
    for (struct vn_mac_nic *nic = all.first; nic; nic = nic->next)
      if (nic->watch.started) look(nic);
  }
  all.runs = false;
  vn_unlock(&all.lock);
  return unused;
}

void vn_mac_watchdog_every(uint32_t ms) { vn_atomic_store(&every_ms, ms); }

void vn_mac_nics_add(struct vn_mac_nic *nic) {
  vn_lock(&all.lock);
  nic->next = all.first;
  all.first = nic;
  if (!all.runs) all.runs = !vn_thread_start(body, NULL); /* without a thread there is no watchdog, and nothing else */
  vn_unlock(&all.lock);
}

void vn_mac_nics_watch(struct vn_mac_nic *nic) {
  vn_lock(&all.lock);
  nic->watch.started = true;
  vn_unlock(&all.lock);
}

void vn_mac_nics_remove(struct vn_mac_nic *nic) {
  vn_lock(&all.lock);
  struct vn_mac_nic **link = &all.first;
  while (*link && *link != nic) link = &(*link)->next;
  if (*link) *link = nic->next;
  if (!all.first) vn_lock_signal(&all.lock);
  vn_unlock(&all.lock);
}

uint32_t vn_mac_nics_alive(void) {
  uint32_t count = 0;
  vn_lock(&all.lock);
  for (struct vn_mac_nic *nic = all.first; nic; nic = nic->next) count++;
  vn_unlock(&all.lock);
  return count;
}

/* Those on a network are ended by the network, in its order. */
void vn_mac_nics_shutdown(void) {
  vn_lock(&all.lock);
  for (struct vn_mac_nic *nic = all.first; nic; nic = nic->next)
    if (!nic->network) vn_mac_nic_begin_stop(nic);
  vn_unlock(&all.lock);
}

static bool is_on(const struct vn_mac_nic *nic, const struct vn_mac_network *network) {
  return nic->network == network && nic != network->member;
}

void vn_mac_nics_end(struct vn_mac_network *network, uint32_t status) {
  vn_lock(&all.lock);
  for (struct vn_mac_nic *nic = all.first; nic; nic = nic->next) {
    if (!is_on(nic, network)) continue;
    vn_port_fail(&nic->port, status);
    vn_mac_nic_begin_stop(nic);
  }
  vn_unlock(&all.lock);
}

uint32_t vn_mac_nics_on(struct vn_mac_network *network) {
  uint32_t count = 0;
  vn_lock(&all.lock);
  for (struct vn_mac_nic *nic = all.first; nic; nic = nic->next) count += is_on(nic, network);
  vn_unlock(&all.lock);
  return count;
}
