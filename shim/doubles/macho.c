// SPDX-License-Identifier: MIT
/*
 * macho.c - reads a Mach-O file and maps it.
 *
 * Theory of operation. The slice for this CPU is copied, its load commands are read once, and every range they name
 * is checked against the slice before anything is used. Segments keep their distances in one anonymous mapping, are
 * filled, fixed up (macho_fixups.c), and get the protections they ask for. Exports are looked up in the trie, in the
 * copy.
 */
#define _GNU_SOURCE
#include "macho.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "macho_image.h"

#define MAGIC 0xfeedfacfu /* 64 bits, little-endian */
#define FAT_MAGIC 0xcafebabeu
#define PAGE 4096u
#define MOST (256u << 20) /* of a file or an image: ours have less than a megabyte */

#ifdef __aarch64__
#define CPU 0x0100000cu
#else
#define CPU 0x01000007u
#endif

enum { TYPE_EXECUTE = 2, TYPE_DYLIB = 6 };
enum { READ = 1, WRITE = 2, EXECUTE = 4 };
enum { SEGMENT_READ_ONLY = 0x10 };

/* Load commands. Those with the highest bit must be understood by whoever loads the file. */
enum {
  LC_REQUIRED_BIT = (int)0x80000000,
  LC_DYLIB = 0xc,
  LC_WEAK_DYLIB = (int)0x80000018,
  LC_SEGMENT = 0x19,
  LC_REEXPORT = (int)0x8000001f,
  LC_RUN_PATH = (int)0x8000001c,
  LC_INFO = 0x22,
  LC_INFO_ONLY = (int)0x80000022,
  LC_MAIN = (int)0x80000028,
  LC_EXPORTS = (int)0x80000033,
  LC_CHAINED = (int)0x80000034,
  LC_ROUTINES = 0x1a,
};

bool macho_fail(struct macho *image, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  if (!image->error->text[0]) vsnprintf(image->error->text, sizeof image->error->text, format, arguments);
  va_end(arguments);
  return false;
}

static uint32_t big(const uint8_t *at) { return __builtin_bswap32(macho_u32(at)); }

/* Finds the slice for this CPU: a fat header is big-endian and has a row of five numbers for each slice. */
static bool choose_slice(struct macho *image, const uint8_t *file, size_t size) {
  uint64_t offset = 0, length = size;
  if (size < 32 || size > MOST) return macho_fail(image, "not a Mach-O file: %zu bytes", size);
  if (big(file) == FAT_MAGIC) {
    uint32_t count = big(file + 4), i = 0;
    bool room = count <= 16 && macho_within(size, 8, 20ull * count);
    if (!room) return macho_fail(image, "a fat header with %u slices", count);
    while (i < count && big(file + 8 + 20 * i) != CPU) i++;
    if (i == count) return macho_fail(image, "no slice for this CPU");
    offset = big(file + 8 + 20 * i + 8);
    length = big(file + 8 + 20 * i + 12);
  }
  if (!macho_within(size, offset, length) || length < 32) return macho_fail(image, "a slice lies outside of the file");
  image->file = malloc(length);
  if (image->file == NULL) return macho_fail(image, "memory ran out");
  memcpy(image->file, file + offset, length);
  image->size = length;
  if (macho_u32(image->file) != MAGIC) return macho_fail(image, "not a 64-bit Mach-O file");
  if (macho_u32(image->file + 4) != CPU) return macho_fail(image, "a Mach-O file for another CPU");
  image->type = macho_u32(image->file + 12);
  if (image->type != TYPE_DYLIB && image->type != TYPE_EXECUTE)
    return macho_fail(image, "neither a dylib nor an executable: file type %u", image->type);
  return true;
}

/* What is run before main() or per thread is not modelled, and the shim must not have it. */
static bool check_section(struct macho *image, const uint8_t *section) {
  uint32_t type = macho_u32(section + 64) & 0xff;
  bool runs = type == 0x9 || type == 0xa || type == 0x16, local = type >= 0x11 && type <= 0x15;
  if (runs) return macho_fail(image, "section %.16s: initializers are not modelled", (const char *)section);
  if (local) return macho_fail(image, "section %.16s: thread-locals are not modelled", (const char *)section);
  return true;
}

static bool read_segment(struct macho *image, const uint8_t *command, uint32_t size) {
  if (size < 72 || image->segment_count == MACHO_SEGMENTS) return macho_fail(image, "a bad segment command");
  struct macho_segment *segment = &image->segments[image->segment_count];
  memcpy(segment->name, command + 8, 16);
  segment->address = macho_u64(command + 24);
  segment->size = macho_u64(command + 32);
  segment->offset = macho_u64(command + 40);
  segment->file_size = macho_u64(command + 48);
  segment->protection = macho_u32(command + 60);
  segment->read_only = macho_u32(command + 68) & SEGMENT_READ_ONLY;
  uint32_t sections = macho_u32(command + 64);
  bool zero_page = image->type == TYPE_EXECUTE && image->segment_count == 0 && segment->protection == 0;
  image->segment_count++;
  if ((size - 72) / 80 < sections) return macho_fail(image, "%s: sections outside of its command", segment->name);
  for (uint32_t i = 0; i < sections; i++)
    if (!check_section(image, command + 72 + 80 * i)) return false;
  if (zero_page) return segment->file_size == 0 || macho_fail(image, "a zero page with content");
  if (!macho_within(image->size, segment->offset, segment->file_size) || segment->file_size > segment->size)
    return macho_fail(image, "%s: its bytes lie outside of the file", segment->name);
  bool first = image->high == 0;
  if (first && (segment->offset != 0 || segment->file_size < 32))
    return macho_fail(image, "%s: the first segment does not begin with the header", segment->name);
  if (first) image->low = image->high = segment->address;
  if (segment->address % PAGE || segment->address < image->high)
    return macho_fail(image, "%s: segments are not in order", segment->name);
  if (segment->address - image->low > MOST || segment->size > MOST)
    return macho_fail(image, "%s: the image is too large", segment->name);
  if ((segment->protection & ~7u) || (segment->protection & (WRITE | EXECUTE)) == (WRITE | EXECUTE))
    return macho_fail(image, "%s: protection %x", segment->name, segment->protection);
  image->high = segment->address + segment->size;
  if (first && image->high == 0) return macho_fail(image, "%s: an empty first segment", segment->name);
  return true;
}

static bool read_span(struct macho *image, const uint8_t *at, struct macho_span *span) {
  *span = (struct macho_span){macho_u32(at), macho_u32(at + 4)};
  return macho_within(image->size, span->offset, span->size) || macho_fail(image, "link data outside of the file");
}

static bool read_library(struct macho *image, const uint8_t *command, uint32_t size) {
  uint32_t name = size >= 24 ? macho_u32(command + 8) : 0;
  if (name < 24 || name >= size || memchr(command + name, 0, size - name) == NULL)
    return macho_fail(image, "a bad library command");
  if (image->library_count == MACHO_LIBRARIES) return macho_fail(image, "too many libraries");
  image->libraries[image->library_count++] = (const char *)command + name;
  return true;
}

static bool read_command(struct macho *image, const uint8_t *command, uint32_t size) {
  int number = (int)macho_u32(command);
  switch (number) {
    case LC_SEGMENT: return read_segment(image, command, size);
    case LC_DYLIB:
    case LC_WEAK_DYLIB:
    case LC_REEXPORT: return read_library(image, command, size);
    case LC_INFO:
    case LC_INFO_ONLY:
      if (size < 48) return macho_fail(image, "a bad dyld-info command");
      return read_span(image, command + 8, &image->rebase) && read_span(image, command + 16, &image->bind) &&
             read_span(image, command + 24, &image->weak_bind) && read_span(image, command + 32, &image->lazy_bind) &&
             read_span(image, command + 40, &image->exports);
    case LC_EXPORTS:
    case LC_CHAINED:
      if (size < 16) return macho_fail(image, "a bad link data command");
      return read_span(image, command + 8, number == LC_EXPORTS ? &image->exports : &image->chained);
    case LC_MAIN:
      if (size < 24) return macho_fail(image, "a bad main command");
      image->has_main = true;
      image->main_offset = macho_u64(command + 8);
      return true;
    case LC_ROUTINES: return macho_fail(image, "initializers are not modelled");
    case LC_RUN_PATH: return true; /* whatever it would find stands in this process already */
    default:
      if (number & LC_REQUIRED_BIT) return macho_fail(image, "load command %x is not modelled", (unsigned)number);
      return true; /* uuid, version, symbols for debuggers, signature */
  }
}

static bool read_commands(struct macho *image) {
  uint32_t count = macho_u32(image->file + 16), size = macho_u32(image->file + 20), at = 32;
  if (!macho_within(image->size, 32, size)) return macho_fail(image, "load commands outside of the file");
  for (uint32_t i = 0; i < count; i++) {
    uint32_t left = 32 + size - at, length = left < 8 ? 0 : macho_u32(image->file + at + 4);
    if (length < 8 || length > left || length % 8) return macho_fail(image, "load command %u has a bad length", i);
    if (!read_command(image, image->file + at, length)) return false;
    at += length;
  }
  if (image->high == 0) return macho_fail(image, "no segments");
  return image->type == TYPE_DYLIB || image->has_main || macho_fail(image, "an executable without LC_MAIN");
}

static bool is_mapped(const struct macho_segment *segment) {
  return segment->protection != 0 || segment->file_size != 0;
}

static uint64_t round_up(uint64_t size) { return (size + PAGE - 1) & ~(uint64_t)(PAGE - 1); }

static bool map_segments(struct macho *image) {
  int protection = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
  uint8_t *base = mmap(NULL, round_up(image->high - image->low), protection, flags, -1, 0);
  if (base == MAP_FAILED) return macho_fail(image, "cannot map it: %s", strerror(errno));
  image->base = base;
  image->fixups_left = (image->high - image->low) / 4;
  for (uint32_t i = 0; i < image->segment_count; i++) {
    const struct macho_segment *segment = &image->segments[i];
    if (!is_mapped(segment)) continue;
    memcpy(base + (segment->address - image->low), image->file + segment->offset, segment->file_size);
  }
  return true;
}

static bool protect_segments(struct macho *image) {
  for (uint32_t i = 0; i < image->segment_count; i++) {
    const struct macho_segment *segment = &image->segments[i];
    if (!is_mapped(segment) || segment->size == 0) continue;
    uint32_t asked = segment->read_only ? READ : segment->protection;
    int protection =
        (asked & READ ? PROT_READ : 0) | (asked & WRITE ? PROT_WRITE : 0) | (asked & EXECUTE ? PROT_EXEC : 0);
    if (mprotect(image->base + (segment->address - image->low), round_up(segment->size), protection))
      return macho_fail(image, "%s: cannot protect it: %s", segment->name, strerror(errno));
  }
  __builtin___clear_cache((char *)image->base, (char *)image->base + (image->high - image->low));
  return true;
}

struct macho *macho_load(const uint8_t *file, size_t size, const char *path, macho_find *find,
                         struct macho_error *error) {
  error->text[0] = 0;
  struct macho *image = calloc(1, sizeof *image);
  char *copy = strdup(path);
  if (image == NULL || copy == NULL) {
    free(image), free(copy);
    snprintf(error->text, sizeof error->text, "memory ran out");
    return NULL;
  }
  image->path = copy;
  image->find = find;
  image->error = error;
  bool good = choose_slice(image, file, size) && read_commands(image) && map_segments(image) && macho_fixups(image) &&
              protect_segments(image);
  image->error = NULL;
  if (good) return image;
  macho_close(image);
  return NULL;
}

struct macho *macho_open(const char *path, macho_find *find, struct macho_error *error) {
  error->text[0] = 0;
  struct stat status;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  bool good = fd >= 0 && fstat(fd, &status) == 0 && status.st_size > 0 && status.st_size <= MOST;
  uint8_t *bytes = good ? malloc((size_t)status.st_size) : NULL;
  struct macho *image = NULL;
  if (bytes != NULL && read(fd, bytes, (size_t)status.st_size) == status.st_size)
    image = macho_load(bytes, (size_t)status.st_size, path, find, error);
  else
    snprintf(error->text, sizeof error->text, "cannot read it: %s", strerror(good ? EIO : errno));
  free(bytes);
  if (fd >= 0) close(fd);
  return image;
}

void macho_close(struct macho *image) {
  if (image->base != NULL) munmap(image->base, round_up(image->high - image->low));
  free(image->file);
  free(image->path);
  free(image);
}

/* A node of the trie: the length of its own entry, the entry, then its edges, each with the offset of a node. */
void *macho_symbol(const struct macho *image, const char *name) {
  const uint8_t *trie = image->file + image->exports.offset;
  struct macho_cursor cursor = {trie, trie + image->exports.size, image->exports.size == 0};
  char wanted[256];
  if (snprintf(wanted, sizeof wanted, "_%s", name) >= (int)sizeof wanted) return NULL;
  for (const char *rest = wanted; !cursor.bad;) {
    uint64_t own = macho_uleb(&cursor);
    if (*rest == 0) {
      uint64_t flags = own ? macho_uleb(&cursor) : 1, address = macho_uleb(&cursor);
      bool plain = (flags & ~4ull) == 0; /* neither thread-local, absolute, re-exported nor resolved; weak is fine */
      return plain && !cursor.bad && address < image->high - image->low ? image->base + address : NULL;
    }
    if (!macho_within((uint64_t)(cursor.end - cursor.at), own, 1)) return NULL;
    cursor.at += own;
    uint64_t next = 0;
    for (int edges = macho_byte(&cursor); edges > 0 && !cursor.bad; edges--) {
      const char *edge = macho_text(&cursor);
      uint64_t node = macho_uleb(&cursor);
      size_t length = strlen(edge);
      if (next != 0 || length == 0 || strncmp(edge, rest, length) != 0) continue;
      rest += length; /* so the walk ends, wherever the offsets lead */
      next = node;
    }
    if (next == 0 || next >= image->exports.size) return NULL;
    cursor.at = trie + next;
  }
  return NULL;
}

void *macho_entry(const struct macho *image) {
  return image->has_main && image->main_offset < image->high - image->low ? image->base + image->main_offset : NULL;
}

bool macho_contains(const struct macho *image, const void *address) {
  return (const uint8_t *)address >= image->base && (const uint8_t *)address < image->base + (image->high - image->low);
}

const char *macho_path(const struct macho *image) { return image->path; }
void *macho_base(const struct macho *image) { return image->base; }

bool macho_is_file(const char *path) {
  uint8_t start[4] = {0};
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  bool got = fd >= 0 && read(fd, start, sizeof start) == sizeof start;
  if (fd >= 0) close(fd);
  return got && (macho_u32(start) == MAGIC || big(start) == FAT_MAGIC);
}
