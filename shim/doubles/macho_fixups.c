// SPDX-License-Identifier: MIT
/*
 * macho_fixups.c - the pointers of a mapped file: those into itself move with it, imports get their address.
 *
 * Theory of operation. Older files carry programs for two small machines (dyld-info: rebase and bind; lazy pointers
 * are bound at once here), newer ones keep the pointers in chains that run through the data itself. Either way a
 * pointer is written only where a segment is writable and has room for it, and only as often as the file has room for
 * pointers. All imports that nothing here answers to are collected, and named together.
 */
#include <stdio.h>
#include <stdlib.h>

#include "macho_image.h"

/* Where a pointer is to be written, or NULL. */
static uint8_t *place(struct macho *image, uint64_t segment, uint64_t offset) {
  if (segment >= image->segment_count) return macho_fail(image, "a fixup in segment %d", (int)segment), NULL;
  const struct macho_segment *in = &image->segments[segment];
  if (!(in->protection & 2)) return macho_fail(image, "%s: a fixup where it cannot be written", in->name), NULL;
  if (!macho_within(in->size, offset, 8)) return macho_fail(image, "%s: a fixup outside of it", in->name), NULL;
  if (image->fixups_left == 0) return macho_fail(image, "more fixups than pointers"), NULL;
  image->fixups_left--;
  return image->base + (in->address - image->low) + offset;
}

static bool rebase_at(struct macho *image, uint64_t segment, uint64_t offset) {
  uint8_t *at = place(image, segment, offset);
  if (at == NULL) return false;
  uint64_t value = macho_u64(at);
  if (value < image->low || value > image->high)
    return macho_fail(image, "a pointer to %llx", (unsigned long long)value);
  value = (uint64_t)(uintptr_t)image->base + (value - image->low);
  memcpy(at, &value, sizeof value);
  return true;
}

/* Each name once; " " before and after each, so that a part of one is not taken for it. */
static void note_missing(struct macho *image, const char *name) {
  char part[256];
  size_t used = strlen(image->missing);
  if (snprintf(part, sizeof part, " %s ", name) >= (int)sizeof part || strstr(image->missing, part) != NULL) return;
  snprintf(image->missing + used, sizeof image->missing - used, "%s", part + (used > 0));
}

/* The address of an import. A missing one is noted, and fails at the end unless it is weak. */
static uint64_t find_import(struct macho *image, const char *name, int64_t ordinal, bool weak) {
  if (ordinal < 1 || ordinal > image->library_count || name[0] == 0) {
    macho_fail(image, "import \"%s\": library %d of %u", name, (int)ordinal, image->library_count);
    return 0;
  }
  void *found = image->find(name, image->libraries[ordinal - 1], weak);
  if (found == NULL && !weak) {
    image->incomplete = true;
    note_missing(image, name);
  }
  return (uint64_t)(uintptr_t)found;
}

/* The rebase machine: where (segment, offset), then how often and with which gaps. */
static bool run_rebase(struct macho *image) {
  const uint8_t *start = image->file + image->rebase.offset;
  struct macho_cursor cursor = {start, start + image->rebase.size, false};
  uint64_t segment = 0, offset = 0;
  while (cursor.at < cursor.end) {
    uint8_t code = macho_byte(&cursor), low = code & 15;
    uint64_t times = 0, gap = 0;
    switch (code >> 4) {
      case 0x0: return true;
      case 0x1:
        if (low != 1) return macho_fail(image, "rebase type %u", low); /* 1: a pointer */
        break;
      case 0x2: segment = low, offset = macho_uleb(&cursor); break;
      case 0x3: offset += macho_uleb(&cursor); break;
      case 0x4: offset += (uint64_t)low * 8; break;
      case 0x5: times = low; break;
      case 0x6: times = macho_uleb(&cursor); break;
      case 0x7: times = 1, gap = macho_uleb(&cursor); break;
      case 0x8: times = macho_uleb(&cursor), gap = macho_uleb(&cursor); break;
      default: return macho_fail(image, "rebase opcode %x", code);
    }
    if (cursor.bad) return macho_fail(image, "rebase opcodes end too early");
    for (; times > 0; times--, offset += 8 + gap)
      if (!rebase_at(image, segment, offset)) return false;
  }
  return true;
}

/* The bind machine. Each lazy pointer's program ends with a zero, so in that stream a zero does not end it all. */
static bool run_bind(struct macho *image, struct macho_span span, bool lazy) {
  struct macho_cursor cursor = {image->file + span.offset, image->file + span.offset + span.size, false};
  uint64_t segment = 0, offset = 0, target = 0;
  int64_t ordinal = 0, addend = 0;
  const char *name = NULL;
  bool weak = false, found = false;
  while (cursor.at < cursor.end) {
    uint8_t code = macho_byte(&cursor), low = code & 15;
    uint64_t times = 0, gap = 0;
    switch (code >> 4) {
      case 0x0:
        if (!lazy) return true;
        break;
      case 0x1: ordinal = low, found = false; break;
      case 0x2: ordinal = (int64_t)macho_uleb(&cursor), found = false; break;
      case 0x3: return macho_fail(image, "a flat or own name space is not modelled");
      case 0x4: weak = low & 1, name = macho_text(&cursor), found = false; break;
      case 0x5:
        if (low != 1) return macho_fail(image, "bind type %u", low);
        break;
      case 0x6: addend = macho_sleb(&cursor); break;
      case 0x7: segment = low, offset = macho_uleb(&cursor); break;
      case 0x8: offset += macho_uleb(&cursor); break;
      case 0x9: times = 1; break;
      case 0xa: times = 1, gap = macho_uleb(&cursor); break;
      case 0xb: times = 1, gap = (uint64_t)low * 8; break;
      case 0xc: times = macho_uleb(&cursor), gap = macho_uleb(&cursor); break;
      default: return macho_fail(image, "bind opcode %x", code);
    }
    if (cursor.bad) return macho_fail(image, "bind opcodes end too early");
    if (times > 0 && name == NULL) return macho_fail(image, "a bind without a name");
    if (times > 0 && !found) target = find_import(image, name, ordinal, weak), found = true;
    for (; times > 0; times--, offset += 8 + gap) {
      uint8_t *at = place(image, segment, offset);
      if (at == NULL) return false;
      uint64_t value = target ? target + (uint64_t)addend : 0;
      memcpy(at, &value, sizeof value);
    }
  }
  return true;
}

struct chains {
  const uint8_t *data;
  uint64_t size;
  uint64_t *targets;
  uint32_t count;
  uint16_t format; /* 2: pointers as linked, 6: offsets */
};

/* One chain, from its first pointer on; each says how many 4-byte steps on the next one is. */
static bool follow(struct macho *image, const struct chains *chains, uint32_t segment, uint64_t offset) {
  for (;;) {
    uint8_t *at = place(image, segment, offset);
    if (at == NULL) return false;
    uint64_t raw = macho_u64(at), next = raw >> 51 & 0xfff, value;
    if (raw >> 63) {
      uint32_t ordinal = raw & 0xffffff;
      if (ordinal >= chains->count) return macho_fail(image, "a chain binds import %u of %u", ordinal, chains->count);
      value = chains->targets[ordinal] ? chains->targets[ordinal] + (raw >> 24 & 0xff) : 0;
    } else {
      uint64_t target = raw & 0xfffffffffull;
      uint64_t inside = chains->format == 6 ? target : target - image->low;
      if (inside > image->high - image->low)
        return macho_fail(image, "a chained pointer to %llx", (unsigned long long)target);
      value = ((uint64_t)(uintptr_t)image->base + inside) | (raw >> 36 & 0xff) << 56;
    }
    memcpy(at, &value, sizeof value);
    if (next == 0) return true;
    offset += next * 4;
  }
}

static bool follow_segment(struct macho *image, struct chains *chains, uint32_t segment, uint64_t at) {
  if (!macho_within(chains->size, at, 22)) return macho_fail(image, "chain starts outside of the link data");
  const uint8_t *starts = chains->data + at;
  uint16_t page = macho_u16(starts + 4), count = macho_u16(starts + 20);
  chains->format = macho_u16(starts + 6);
  if (chains->format != 2 && chains->format != 6) return macho_fail(image, "chained pointer format %u", chains->format);
  if (!macho_within(chains->size, at + 22, 2ull * count)) return macho_fail(image, "too many pages with chains");
  for (uint32_t i = 0; i < count; i++) {
    uint16_t start = macho_u16(starts + 22 + 2 * i);
    if (start == 0xffff) continue; /* none on this page */
    if (start >= page) return macho_fail(image, "a chain starts outside of its page");
    if (!follow(image, chains, segment, (uint64_t)i * page + start)) return false;
  }
  return true;
}

/* Imports of format 1: 8 bits library, 1 bit weak, 23 bits where the name is. */
static bool find_imports(struct macho *image, struct chains *chains) {
  uint32_t imports = macho_u32(chains->data + 8), names = macho_u32(chains->data + 12);
  if (!macho_within(chains->size, imports, 4ull * chains->count))
    return macho_fail(image, "imports outside of the link data");
  for (uint32_t i = 0; i < chains->count; i++) {
    uint32_t row = macho_u32(chains->data + imports + 4 * i);
    uint64_t name = (uint64_t)names + (row >> 9);
    if (name >= chains->size) return macho_fail(image, "an import's name outside of the link data");
    struct macho_cursor cursor = {chains->data + name, chains->data + chains->size, false};
    const char *text = macho_text(&cursor);
    if (cursor.bad) return macho_fail(image, "an import's name does not end");
    chains->targets[i] = find_import(image, text, (int8_t)(row & 0xff), row >> 8 & 1);
  }
  return true;
}

static bool run_chains(struct macho *image) {
  struct chains chains = {.data = image->file + image->chained.offset, .size = image->chained.size};
  if (chains.size == 0) return true;
  if (chains.size < 28) return macho_fail(image, "chained fixups of %llu bytes", (unsigned long long)chains.size);
  uint32_t starts = macho_u32(chains.data + 4), format = macho_u32(chains.data + 20);
  uint32_t names = macho_u32(chains.data + 24);
  chains.count = macho_u32(chains.data + 16);
  if (format != 1 || names != 0) return macho_fail(image, "chained imports of format %u, names of %u", format, names);
  if (!macho_within(chains.size, starts, 4) || chains.count > chains.size / 4)
    return macho_fail(image, "chain starts outside of the link data");
  uint32_t segments = macho_u32(chains.data + starts);
  if (segments > image->segment_count || !macho_within(chains.size, starts, 4 + 4ull * segments))
    return macho_fail(image, "chains in %u segments", segments);
  chains.targets = calloc(chains.count + 1, sizeof *chains.targets);
  bool good = chains.targets != NULL || macho_fail(image, "memory ran out");
  good = good && find_imports(image, &chains);
  for (uint32_t i = 0; good && i < segments; i++) {
    uint32_t offset = macho_u32(chains.data + starts + 4 + 4 * i);
    if (offset != 0) good = follow_segment(image, &chains, i, (uint64_t)starts + offset);
  }
  free(chains.targets);
  return good;
}

bool macho_fixups(struct macho *image) {
  if (image->weak_bind.size != 0) return macho_fail(image, "weak definitions are not modelled");
  bool good = run_rebase(image) && run_bind(image, image->bind, false) && run_bind(image, image->lazy_bind, true) &&
              run_chains(image);
  if (good && image->incomplete) return macho_fail(image, "not modelled:%s", image->missing);
  return good && image->error->text[0] == 0;
}
