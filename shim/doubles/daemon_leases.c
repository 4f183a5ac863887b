// SPDX-License-Identifier: MIT
/*
 * daemon_leases.c - the file that bootpd keeps on a Mac: the DHCP leases of all networks, the newest first.
 *
 * Theory of operation. When DHCP went by, the leases of that network are read and compared with what is in the file:
 * what is new or renewed moves to the front, what is gone is taken out. The file is written beside and then renamed
 * over the old one, so that no reader sees half of it. A network that ended leaves its leases behind, as on a Mac.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon.h"

enum { LEASES_MOST = 1024 };

static struct lease {
  uint32_t address;
  uint8_t mac[6];
  uint64_t expires;
  char name[256];
  bool seen;
} leases[LEASES_MOST];
static uint32_t lease_count;
static char path[4096], beside[4104], directory[4096];

void daemon_leases_begin(const char *name) {
  snprintf(path, sizeof path, "%s", name);
  snprintf(beside, sizeof beside, "%s.new", name);
  snprintf(directory, sizeof directory, "%s", name);
  char *slash = strrchr(directory, '/');
  if (slash != NULL) *slash = 0;
}

void daemon_leases_end(void) {
  if (path[0] == 0) return;
  unlink(path);
  rmdir(directory); /* made for this file alone */
}

static void write_file(void) {
  FILE *file = path[0] != 0 ? fopen(beside, "w") : NULL;
  if (file == NULL) return;
  for (uint32_t i = 0; i < lease_count; i++) {
    const struct lease *each = &leases[i];
    char address[INET_ADDRSTRLEN], mac[24];
    struct in_addr in = {htonl(each->address)};
    inet_ntop(AF_INET, &in, address, sizeof address);
    /* No leading zeros, and the type of hardware before it: 1 is Ethernet. */
    snprintf(mac, sizeof mac, "1,%x:%x:%x:%x:%x:%x", each->mac[0], each->mac[1], each->mac[2], each->mac[3], each->mac[4],
             each->mac[5]);
    fprintf(file, "{\n");
    if (each->name[0] != 0) fprintf(file, "\tname=%s\n", each->name);
    fprintf(file, "\tip_address=%s\n\thw_address=%s\n\tidentifier=%s\n\tlease=0x%llx\n}\n", address, mac, mac,
            (unsigned long long)each->expires);
  }
  if (fclose(file) != 0 || rename(beside, path) != 0) unlink(beside);
}

/* One lease of a network. True: the file has to change. */
static bool keep(const struct vn_entry *list) {
  struct lease lease = {.seen = true};
  struct vn_entry mac;
  struct in_addr in;
  char text[64];
  if (!vn_list_find(list->value, list->length, VN_BYTES, "mac", &mac) || mac.length != 6) return false;
  if (!vn_list_text(list->value, list->length, "address", text, sizeof text)) return false;
  if (inet_pton(AF_INET, text, &in) != 1) return false;
  lease.address = ntohl(in.s_addr);
  memcpy(lease.mac, mac.value, 6);
  lease.expires = vn_list_number(list->value, list->length, "expires", 0);
  vn_list_text(list->value, list->length, "hostname", lease.name, sizeof lease.name);
  lease.name[strcspn(lease.name, "\r\n")] = 0;
  uint32_t i = 0;
  while (i < lease_count && leases[i].address != lease.address) i++;
  if (i < lease_count && memcmp(leases[i].mac, lease.mac, 6) == 0 && leases[i].expires == lease.expires) {
    leases[i].seen = true;
    return false;
  }
  if (i == lease_count && lease_count < LEASES_MOST) lease_count++;
  if (i == lease_count) i--; /* the oldest one makes room */
  memmove(leases + 1, leases, i * sizeof *leases);
  leases[0] = lease;
  return true;
}

void daemon_leases_look(struct daemon_port *port) {
  static uint8_t list[1 << 18];
  struct vn_reader reader;
  struct vn_entry entry;
  bool changed = false;
  int32_t length = vn_get(port->handle, VN_GET_LEASES, list, sizeof list);
  if (length < 0) return;
  for (uint32_t i = 0; i < lease_count; i++) leases[i].seen = false;
  vn_list_read(&reader, list, (uint32_t)length);
  while (vn_list_next(&reader, &entry))
    if (vn_entry_is(&entry, VN_LIST, "lease")) changed |= keep(&entry);
  for (uint32_t i = 0; i < lease_count;) {
    bool ours = port->mask != 0 && (leases[i].address & port->mask) == port->base;
    if (leases[i].seen || !ours) {
      i++;
      continue;
    }
    memmove(leases + i, leases + i + 1, (--lease_count - i) * sizeof *leases);
    changed = true;
  }
  if (changed) write_file();
}
