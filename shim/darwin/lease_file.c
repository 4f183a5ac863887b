// SPDX-License-Identifier: MIT
/*
 * lease_file.c - reads the text of dhcpd_leases: one lease between braces, one field a line.
 *
 *   {
 *     name=alpine
 *     ip_address=192.168.64.2
 *     hw_address=1,52:54:0:a:b:c
 *     identifier=1,52:54:0:a:b:c
 *     lease=0x65a1b2c3
 *   }
 *
 * Bytes of an address have no leading zeros. The number before the comma is the type: 1 is Ethernet; ff is a client
 * identifier of RFC 4361 (four bytes of the client's choice, then a DUID), in which there may be a MAC address.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/os.h"
#include "embedded/address.h"
#include "leases.h"

static int digit(uint8_t c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* A hexadecimal number of up to most digits; *at moves behind it. False when there is none, or more digits follow. */
static bool hex(const uint8_t **at, const uint8_t *end, int most, uint64_t *out) {
  int digits = 0;
  for (*out = 0; *at < end && digit(**at) >= 0; ++*at)
    if (digits++ < most) *out = *out << 4 | (uint64_t)digit(**at);
  return digits > 0 && digits <= most;
}

static bool is_key(const uint8_t **at, const uint8_t *end, const char *key) {
  size_t length = strlen(key);
  if ((size_t)(end - *at) < length || memcmp(*at, key, length) != 0) return false;
  *at += length;
  return true;
}

/* The MAC address in an identifier: all of it, or a DUID made from one (type 1 with a time, type 3 without). */
static bool find_mac(const uint8_t *id, uint32_t length, uint8_t mac[6]) {
  static const uint8_t with_time[] = {0, 1, 0, 1}, plain[] = {0, 3, 0, 1};
  const uint8_t *at = NULL;
  if (length == 7 && id[0] == 1) at = id + 1;
  if (length == 19 && id[0] == 0xff && memcmp(id + 5, with_time, 4) == 0) at = id + 13;
  if (length == 15 && id[0] == 0xff && memcmp(id + 5, plain, 4) == 0) at = id + 9;
  if (at != NULL) memcpy(mac, at, 6);
  return at != NULL;
}

/* "1,52:54:0:a:b:c" and the like; the first that tells a MAC address is kept, else the first. */
static void read_identity(const uint8_t *at, const uint8_t *end, struct vn_mac_lease *lease) {
  uint8_t id[VN_LEASE_ID], mac[6];
  uint32_t length = 0, bytes = 0;
  uint64_t value;
  for (; hex(&at, end, 2, &value); at++) {
    if (length < sizeof id) id[length++] = (uint8_t)value;
    bytes++;
    if (at == end || *at != (bytes == 1 ? ',' : ':')) break;
  }
  static const uint8_t none[6];
  bool found = bytes == length && find_mac(id, length, mac);
  if (length < 2 || (lease->id_length != 0 && (!found || memcmp(lease->mac, none, 6) != 0))) return;
  memcpy(lease->id, id, length);
  lease->id_length = (uint8_t)length;
  if (found) memcpy(lease->mac, mac, 6);
}

static void read_field(const uint8_t *at, const uint8_t *end, struct vn_mac_lease *lease) {
  char text[VN_ADDRESS_TEXT];
  uint64_t value;
  size_t length;
  if (is_key(&at, end, "hw_address=") || is_key(&at, end, "identifier=")) {
    read_identity(at, end, lease);
  } else if (is_key(&at, end, "ip_address=")) {
    length = (size_t)(end - at) < sizeof text ? (size_t)(end - at) : 0;
    memcpy(text, at, length);
    text[length] = 0;
    if (!vn_ipv4_parse(text, &lease->address)) lease->address = 0;
  } else if (is_key(&at, end, "lease=0x")) {
    lease->expires = hex(&at, end, 16, &value) ? value : 0;
  } else if (is_key(&at, end, "name=")) {
    length = (size_t)(end - at) < sizeof lease->name ? (size_t)(end - at) : sizeof lease->name - 1;
    for (size_t i = 0; i < length; i++) lease->name[i] = at[i] > ' ' && at[i] < 0x7f ? (char)at[i] : '?';
    lease->name[length] = 0;
  }
}

uint32_t vn_leases_parse(const uint8_t *text, uint32_t length, struct vn_mac_lease *out, uint32_t most) {
  const uint8_t *at = text, *end = text + length;
  struct vn_mac_lease lease = {.address = 0};
  uint32_t count = 0;
  bool open = false;
  while (at < end && count < most) {
    const uint8_t *line_end = memchr(at, '\n', (size_t)(end - at)), *next;
    next = line_end != NULL ? line_end + 1 : end;
    if (line_end == NULL) line_end = end;
    while (at < line_end && (*at == ' ' || *at == '\t')) at++;
    while (line_end > at && (line_end[-1] == ' ' || line_end[-1] == '\t' || line_end[-1] == '\r')) line_end--;
    bool one = line_end - at == 1;
    if (one && *at == '{') {
      lease = (struct vn_mac_lease){.address = 0};
      open = true;
    } else if (one && *at == '}') {
      if (open && lease.address != 0 && lease.id_length != 0 && lease.expires != 0) out[count++] = lease;
      open = false;
    } else if (open) {
      read_field(at, line_end, &lease);
    }
    at = next;
  }
  return count;
}

/* Reads what is there, VN_LEASE_BYTES at the most: the newest leases come first. A file that does not exist has none.
 * False when it cannot be read, out of descriptors for instance. Never waits, whatever lies at the path. */
static bool read_all(const char *path, uint8_t *out, uint32_t *length) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  *length = 0;
  if (fd < 0) return errno == ENOENT || VN_BROKEN(61);
  ssize_t count = 1;
  while (count > 0 && *length < VN_LEASE_BYTES) {
    do count = read(fd, out + *length, VN_LEASE_BYTES - *length);
    while (count < 0 && errno == EINTR);
    if (count > 0) *length += (uint32_t)count;
  }
  if (!VN_BROKEN(59)) close(fd);
  return count >= 0;
}

bool vn_lease_file_read(struct vn_lease_file *file, const char *path) {
  uint8_t *bytes = malloc(VN_LEASE_BYTES);
  if (bytes == NULL) return false; /* perhaps the next time */
  uint32_t length;
  if (!read_all(path, bytes, &length)) { /* what was known stays */
    free(bytes);
    return false;
  }
  uint32_t most = length / 16 < VN_LEASES_MOST_READ ? length / 16 : VN_LEASES_MOST_READ;
  uint64_t hash = 0xcbf29ce484222325ull ^ length; /* FNV-1a; 0 is that of no file yet */
  for (uint32_t i = 0; i < length; i++) hash = (hash ^ bytes[i]) * 0x100000001b3ull;
  if (hash == 0) hash = 1;
  bool changed = hash != file->hash;
  struct vn_mac_lease *leases = changed ? calloc(most + 1, sizeof *leases) : NULL; /* a lease has more than 16 bytes */
  if (leases != NULL) {
    free(file->leases);
    file->leases = leases;
    file->count = vn_leases_parse(bytes, length, leases, most);
    file->hash = hash;
  }
  free(bytes);
  return leases != NULL;
}

void vn_lease_file_free(struct vn_lease_file *file) {
  free(file->leases);
  *file = (struct vn_lease_file){.hash = 0};
}
