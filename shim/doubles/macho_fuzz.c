// SPDX-License-Identifier: MIT
/*
 * macho_fuzz.c - a Mach-O file of any content is mapped or refused, and looked at, without anything of it being run.
 *
 * The first byte chooses whether the rest is taken as it is, or the magic numbers of the header are put right first,
 * so that mutations reach what lies behind them.
 */
#include <stdlib.h>
#include <string.h>

#include "macho.h"

static void *find(const char *name, const char *library, bool weak) {
  static char target[16];
  size_t length = strlen(name) + strlen(library); /* both are texts with an end */
  return weak || length % 7 == 0 ? NULL : target;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct macho_error error;
  if (size < 1) return 0;
  uint8_t *file = malloc(size); /* exactly as long as the input, so that a byte too far is noticed */
  if (file == NULL) return 0;
  size--;
  memcpy(file, data + 1, size);
  if ((data[0] & 1) && size >= 16) memcpy(file, "\xcf\xfa\xed\xfe\x07\x00\x00\x01\x03\x00\x00\x00\x06\x00\x00\x00", 16);
  struct macho *image = macho_load(file, size, "fuzz", find, &error);
  free(file);
  if (image == NULL) {
    if (!error.text[0]) abort(); /* a refusal says why */
    return 0;
  }
  const char *names[] = {"vn_open", "", "a", "_vn_abi_version"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    void *symbol = macho_symbol(image, names[i]);
    if (symbol != NULL && !macho_contains(image, symbol)) abort();
  }
  macho_entry(image);
  macho_close(image);
  return 0;
}
