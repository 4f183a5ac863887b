// SPDX-License-Identifier: MIT
/*
 * networks.c - all networks of the process, their end, and the thread that sees to both their leases and their end.
 *
 * Theory of operation. A network is listed from before vmnet is asked for it until vmnet has nothing of it any more,
 * and
 * the thread runs as long as there is one. Its end begins on any thread, which only tells everybody: interfaces on it
 * fail
 * with VN_GONE and begin their stop, joined processes hear it. The rest happens step by step on the thread, which never
 * waits for vmnet: when no call uses the network and no interface is on it, the member's stop begins; when that is over
 * too,
 * vmnet's reference is given back, and only then is the subnet free. A step that vmnet never finishes holds up this
 * network
 * alone, which stays listed and counts as alive.
 */
#include "calls.h"
#include "embedded/address.h"
#include "leases.h"
#include "network.h"
#include "system.h"
#include "vmnet_shim.h"

#define LEASES_NS 500000000ull /* bootpd writes within a second of a request, so twice a second is soon enough */
/* Between two looks at a network that ends: a stop took 90 ms where it was measured, and may never be over. */
#define STEP_NS 3000000ull
#define STEP_MOST_NS 100000000ull

#define NOT_AT_ALL 1u          /* a time long ago, to wait until */

static struct {
  struct vn_lock lock;
  struct vn_mac_network *first;
  uint32_t count;
  bool runs, nudged; /* nudged: a network has begun to end */
} all;

int vn_mac_networks_init(void) { return vn_lock_init(&all.lock); }

uint32_t vn_mac_networks_alive(void) {
  vn_lock(&all.lock);
  uint32_t count = all.count;
  vn_unlock(&all.lock);
  return count;
}

static void nudge(void) {
  vn_lock(&all.lock);
  all.nudged = true;
  vn_lock_signal(&all.lock);
  vn_unlock(&all.lock);
}

bool vn_mac_network_enter(struct vn_mac_network *network) {
  vn_lock(&network->lock);
  bool works = !network->ending;
  network->users += works;
  vn_unlock(&network->lock);
  return works;
}

void vn_mac_network_leave(struct vn_mac_network *network) {
  vn_lock(&network->lock);
  network->users--;
  bool ending = network->ending;
  vn_unlock(&network->lock);
  if (ending) nudge();
}

void vn_mac_network_end(struct vn_mac_network *network, uint32_t status) {
  vn_lock(&network->lock);
  bool first = !network->ending, made = network->made;
  network->ending = true;
  vn_unlock(&network->lock);
  if (first) {
    vn_atomic_store(&network->status, status);
    vn_signal(&network->object, VN_READY_STATE);
  }
  if (first && made) {
    if (!VN_BROKEN(52)) vn_mac_nics_end(network, VN_GONE);
    vn_mac_network_unshare(network, NOT_AT_ALL);
  }
  nudge();
}

/* One look at a network that ends. True when nothing of it is left in vmnet. */
static bool step(struct vn_mac_network *network) {
  vn_lock(&network->lock);
  bool ready = network->ending && network->made && (network->users == 0 || VN_BROKEN(62));
  bool ending = network->ending && network->made;
  vn_unlock(&network->lock);
  if (ending && !VN_BROKEN(52)) vn_mac_nics_end(network, VN_GONE); /* those that came while it began, too */
  if (!ready || vn_mac_nics_on(network) != 0) return false;
  if (network->member != NULL) {
    vn_mac_nic_begin_stop(network->member);
    if (!vn_mac_nic_has_ended(network->member)) return false;
    vn_mac_waker_free(&network->waker);
    vn_release(&network->member->port.object);
  }
  if (network->ref != NULL && !VN_BROKEN(51)) CFRelease(network->ref);
  network->ref = NULL;
  return true;
}

/* Under all.lock. */
static void unlist(struct vn_mac_network *network) {
  struct vn_mac_network **at = &all.first;
  while (*at != network) at = &(*at)->next;
  *at = network->next;
  all.count--;
}

static bool is_ending(struct vn_mac_network *network) {
  vn_lock(&network->lock);
  bool ending = network->ending;
  vn_unlock(&network->lock);
  return ending;
}

static bool works(struct vn_mac_network *network) {
  vn_lock(&network->lock);
  bool good = network->made && !network->ending;
  vn_unlock(&network->lock);
  return good;
}

/* Looks at each network once. The list's lock is held and let go meanwhile: only this thread takes networks off. */
static bool look(const struct vn_lease_file *leases) {
  bool any_ends = false;
  struct vn_mac_network *next;
  for (struct vn_mac_network *network = all.first; network != NULL; network = next) {
    vn_unlock(&all.lock);
    bool ends = is_ending(network), over = ends && step(network);
    if (leases != NULL && works(network)) vn_mac_leases_look(network, leases, false);
    vn_lock(&all.lock);
    next = network->next;
    any_ends |= ends && !over;
    if (!over) continue;
    unlist(network);
    vn_lock(&network->lock);
    network->ended = true;
    vn_lock_signal(&network->lock);
    vn_unlock(&network->lock);
    vn_unlock(&all.lock);
    vn_release(&network->object); /* the list's */
    vn_lock(&all.lock);
    /* A network that was listed meanwhile is at the head; next is where it was, as nobody else takes networks off. */
  }
  return any_ends;
}

static void *body(void *unused) {
  struct vn_lease_file leases = {.hash = 0};
  uint64_t leases_at = 0, pause = STEP_NS;
  vn_lock(&all.lock);
  while (all.first != NULL) {
    uint64_t now = vn_monotonic_ns();
    bool due = now >= leases_at;
    if (due) {
      leases_at = now + LEASES_NS;
      vn_unlock(&all.lock);
      vn_lease_file_read(&leases, vn_mac_leases_path());
      vn_lock(&all.lock);
    }
    pause = all.nudged ? STEP_NS : pause < STEP_MOST_NS ? pause * 2 : STEP_MOST_NS;
    all.nudged = false;
    uint64_t until = look(due ? &leases : NULL) ? vn_monotonic_ns() + pause : leases_at;
    while (all.first != NULL && !all.nudged && vn_lock_wait(&all.lock, until)) {
    }
  }
  all.runs = false;
  vn_unlock(&all.lock);
  vn_lease_file_free(&leases);
  return unused;
}

static bool overlaps(const struct vn_mac_network *a, const struct vn_mac_network *b) {
  if (a->bits == 0 || b->bits == 0) return false;
  uint32_t mask = vn_mask(a->bits < b->bits ? a->bits : b->bits);
  return (a->base & mask) == (b->base & mask);
}

/* The subnet is constant once a network is made; before, it is what was asked for. alone: nobody else may have it. */
uint32_t vn_mac_network_list(struct vn_mac_network *network, bool alone) {
  uint32_t status = VN_OK;
  vn_lock(&all.lock);
  for (struct vn_mac_network *each = all.first; each != NULL && alone; each = each->next)
    if (overlaps(each, network)) status = VN_IN_USE;
  if (status == VN_OK && !all.runs) status = (uint32_t)vn_thread_start(body, NULL);
  if (status == VN_OK) {
    all.runs = true;
    vn_retain(&network->object);
    network->next = all.first;
    all.first = network;
    all.count++;
  }
  vn_unlock(&all.lock);
  return status;
}

void vn_mac_network_place(struct vn_mac_network *network, uint32_t base, uint32_t bits) {
  vn_lock(&all.lock);
  network->base = base;
  network->bits = bits;
  vn_unlock(&all.lock);
}

void vn_mac_networks_shutdown(void) {
  struct vn_mac_network *network;
  do { /* one at a time: it is told without the list's lock */
    vn_lock(&all.lock);
    network = all.first;
    while (network != NULL && is_ending(network)) network = network->next;
    if (network != NULL) vn_retain(&network->object);
    vn_unlock(&all.lock);
    if (network == NULL) continue;
    vn_mac_network_end(network, VN_STOPPED);
    vn_release(&network->object);
  } while (network != NULL);
}
