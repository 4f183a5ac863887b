// SPDX-License-Identifier: MIT
/* fuzz_leases.c - the file of leases with any content: what is read is within its bounds, and written as bootpd would
 * write it, it reads as the same. The sources are included: the other fuzz programs are linked to the gateway. */
#include "../darwin/lease_file.c"
#include "../embedded/address.c"

#define MOST 64u

static size_t write_id(char *out, size_t room, const struct vn_mac_lease *lease) {
  size_t at = 0;
  for (uint32_t i = 0; i < lease->id_length; i++)
    at += (size_t)snprintf(out + at, room - at, "%x%s", lease->id[i], i == 0 ? "," : i + 1 < lease->id_length ? ":" : "");
  return at;
}

static void check(const struct vn_mac_lease *lease) {
  if (lease->address == 0 || lease->expires == 0 || lease->id_length < 2 || lease->id_length > VN_LEASE_ID) abort();
  if (memchr(lease->name, 0, sizeof lease->name) == NULL) abort();
  for (const char *at = lease->name; *at; at++)
    if (*at <= ' ' || *at >= 0x7f) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct vn_mac_lease first[MOST], second[MOST];
  static char text[MOST * 512];
  uint8_t *copy = malloc(size); /* of its own, so that a byte behind it is noticed */
  if (size > 0) memcpy(copy, data, size);
  uint32_t count = vn_leases_parse(copy, (uint32_t)size, first, MOST);
  free(copy);
  size_t at = 0;
  for (uint32_t i = 0; i < count; i++) {
    char address[VN_ADDRESS_TEXT], id[4 * VN_LEASE_ID];
    check(&first[i]);
    write_id(id, sizeof id, &first[i]);
    vn_ipv4_text(first[i].address, address);
    at += (size_t)snprintf(text + at, sizeof text - at, "{\n\tname=%s\n\tip_address=%s\n\thw_address=%s\n\tlease=0x%llx\n}\n",
                           first[i].name, address, id, (unsigned long long)first[i].expires);
  }
  if (vn_leases_parse((const uint8_t *)text, (uint32_t)at, second, MOST) != count) abort();
  for (uint32_t i = 0; i < count; i++) {
    const struct vn_mac_lease *a = &first[i], *b = &second[i];
    if (a->address != b->address || a->expires != b->expires || a->id_length != b->id_length) abort();
    if (memcmp(a->id, b->id, a->id_length) != 0 || strcmp(a->name, b->name) != 0) abort();
  }
  return 0;
}
