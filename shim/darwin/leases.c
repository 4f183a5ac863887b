// SPDX-License-Identifier: MIT
/* leases.c - which leases are a network's, and what has changed since the last look. */
#include "leases.h"

#include <stdlib.h>
#include <string.h>

#include "embedded/address.h"
#include "network.h"
#include "system.h"
#include "vmnet_shim.h"

struct vn_mac_leases {
  struct vn_mac_lease *table; /* the leases of now */
  uint32_t count;
  uint64_t hash;    /* of the file that they are from */
  uint64_t expires; /* when the first of them runs out */
  uint32_t first, waiting, lost;
  struct vn_mac_lease events[VN_LEASE_EVENTS];
};

struct vn_mac_leases *vn_mac_leases_new(void) { return calloc(1, sizeof(struct vn_mac_leases)); }

void vn_mac_leases_free(struct vn_mac_leases *leases) {
  if (leases != NULL) free(leases->table);
  free(leases);
}

static bool same_client(const struct vn_mac_lease *a, const struct vn_mac_lease *b) {
  return a->id_length == b->id_length && memcmp(a->id, b->id, a->id_length) == 0;
}

static const struct vn_mac_lease *find(const struct vn_mac_lease *in, uint32_t count, const struct vn_mac_lease *client) {
  for (uint32_t i = 0; i < count; i++)
    if (same_client(&in[i], client)) return &in[i];
  return NULL;
}

/* Picks a subnet's leases that have not run out. Of one client or address the first counts, which is the newest. */
static uint32_t pick(const struct vn_lease_file *file, uint32_t base, uint32_t mask, uint64_t now,
                     struct vn_mac_lease *out) {
  uint32_t count = 0;
  if (mask == 0) return 0; /* vmnet told no subnet; it is not that all are its */
  for (uint32_t i = 0; i < file->count; i++) {
    const struct vn_mac_lease *lease = &file->leases[i];
    if ((lease->address & mask) != base || lease->expires <= now) continue;
    bool newest = find(out, count, lease) == NULL;
    for (uint32_t j = 0; j < count && newest; j++) newest = out[j].address != lease->address;
    if (newest) out[count++] = *lease;
  }
  return count;
}

/* Adds to the queue, under the lock. */
static void push(struct vn_mac_network *network, const struct vn_mac_lease *event) {
  struct vn_mac_leases *all = network->leases;
  if (all->waiting == VN_LEASE_EVENTS)
    all->lost++;
  else
    all->events[(all->first + all->waiting++) % VN_LEASE_EVENTS] = *event;
}

static bool differ(const struct vn_mac_lease *a, const struct vn_mac_lease *b) {
  return a->address != b->address || a->expires != b->expires || strcmp(a->name, b->name) != 0;
}

static void write_fields(struct vn_writer *out, const struct vn_mac_lease *lease) {
  char address[VN_ADDRESS_TEXT];
  vn_ipv4_text(lease->address, address);
  if (lease->change != 0) vn_write_number(out, "change", lease->change);
  vn_write_bytes(out, "mac", lease->mac, 6);
  vn_write_text(out, "address", address);
  if (lease->name[0]) vn_write_text(out, "hostname", lease->name);
  vn_write_number(out, "expires", lease->expires);
}

static void write_lease(struct vn_writer *out, const struct vn_mac_lease *lease) {
  uint32_t mark = vn_write_begin(out, "lease");
  write_fields(out, lease);
  vn_write_end(out, mark);
}

/* What leads from one table to the other, to out, which has room for both. */
static uint32_t compare(const struct vn_mac_lease *from, uint32_t from_count, const struct vn_mac_lease *to,
                        uint32_t to_count, struct vn_mac_lease *out) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < from_count; i++) {
    if (find(to, to_count, &from[i]) != NULL) continue;
    out[count] = from[i];
    out[count++].change = 2;
  }
  for (uint32_t i = 0; i < to_count; i++) {
    const struct vn_mac_lease *before = find(from, from_count, &to[i]);
    if (before != NULL && !differ(before, &to[i])) continue;
    out[count] = to[i];
    out[count++].change = 1;
  }
  return count;
}

static void replace(struct vn_mac_leases *all, struct vn_mac_lease *table, uint32_t count, uint64_t hash) {
  free(all->table);
  all->table = table;
  all->count = count;
  all->hash = hash;
  all->expires = UINT64_MAX;
  for (uint32_t i = 0; i < count; i++)
    if (table[i].expires < all->expires) all->expires = table[i].expires;
}

/* Joined processes hear of it as well. */
static void pass_on(struct vn_mac_network *network, const struct vn_mac_lease *event) {
  struct vn_writer message = {.data = NULL};
  write_fields(&message, event);
  if (!message.failed) vn_mac_network_tell_lease(network, &message);
  vn_writer_free(&message);
}

void vn_mac_leases_look(struct vn_mac_network *network, const struct vn_lease_file *file, bool first) {
  struct vn_mac_leases *all = network->leases;
  uint64_t now = vn_realtime_ns() / 1000000000;
  /* The table is changed here alone: by the creator before the network is made, then by one thread. The lock is for
   * those
   * who read it. */
  if (file->hash == 0 || (file->hash == all->hash && (now < all->expires || VN_BROKEN(60)))) return;
  struct vn_mac_lease *table = malloc((file->count + 1) * sizeof *table);
  struct vn_mac_lease *events = malloc((all->count + file->count + 1) * sizeof *events);
  if (table == NULL || events == NULL) { /* the next look does it */
    free(table);
    free(events);
    return;
  }
  uint32_t count = pick(file, network->base, vn_mask(network->bits), now, table);
  uint32_t changes = first ? 0 : compare(all->table, all->count, table, count, events);
  vn_lock(&network->lock);
  for (uint32_t i = 0; i < changes; i++) push(network, &events[i]);
  if (changes) vn_signal(&network->object, VN_READY_EVENT); /* once: who comes for the first finds them all */
  replace(all, table, count, file->hash);
  vn_unlock(&network->lock);
  for (uint32_t i = 0; i < changes; i++) pass_on(network, &events[i]);
  free(events);
}

void vn_mac_leases_write(struct vn_mac_network *network, struct vn_writer *out) {
  vn_lock(&network->lock);
  for (uint32_t i = 0; i < network->leases->count; i++) write_lease(out, &network->leases->table[i]);
  vn_unlock(&network->lock);
}

void vn_mac_leases_write_events(struct vn_mac_network *network, struct vn_writer *out) {
  struct vn_mac_leases *all = network->leases;
  vn_lock(&network->lock);
  for (; all->waiting > 0; all->waiting--, all->first = (all->first + 1) % VN_LEASE_EVENTS)
    write_lease(out, &all->events[all->first]);
  if (all->lost) vn_write_number(out, "lost", all->lost);
  all->lost = 0;
  vn_unlock(&network->lock);
}

void vn_mac_interface_leases(struct vn_mac_nic *nic, struct vn_writer *out) {
  if (nic->network != NULL)
    vn_mac_leases_write(nic->network, out);
  else
    vn_mac_subnet_leases(&nic->subnet, out);
}

static uint32_t address_of(const struct vn_job *job, const char *key) {
  char text[VN_ADDRESS_TEXT];
  uint32_t address;
  bool known = vn_list_text(job->result.data, job->result.length, key, text, sizeof text) && vn_ipv4_parse(text, &address);
  return known ? address : 0;
}

void vn_mac_subnet_told(const struct vn_job *job, struct vn_mac_subnet *subnet) {
  subnet->address = address_of(job, "vmnet_start_address");
  subnet->mask = address_of(job, "vmnet_subnet_mask");
}

void vn_mac_subnet_leases(const struct vn_mac_subnet *subnet, struct vn_writer *out) {
  struct vn_lease_file file = {.hash = 0};
  struct vn_mac_lease *table = NULL;
  if (subnet->mask != 0 && vn_lease_file_read(&file, vn_mac_leases_path()))
    table = malloc((file.count + 1) * sizeof *table);
  uint64_t now = vn_realtime_ns() / 1000000000;
  uint32_t count = table ? pick(&file, subnet->address & subnet->mask, subnet->mask, now, table) : 0;
  for (uint32_t i = 0; i < count; i++) write_lease(out, &table[i]);
  free(table);
  vn_lease_file_free(&file);
}
