// SPDX-License-Identifier: MIT
/*
 * macho_host.c - this process as a Mach-O file sees it: which name is bound to what.
 *
 * Theory of operation. A name is found in one of the tables: Darwin's libc (macho_libc.h), or the doubles, whose
 * table is made by the build from what their objects define. It must come from the library that has it on a Mac, or
 * the dylib would not load there. A symbol that is newer than the macOS that the script plays is absent, so one build
 * serves all versions; if it is not a weak import, loading fails, as it would.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "double.h"
#include "macho_libc.h"

extern const struct macho_name macho_double_names[]; /* generated: see macho.mk */
extern uid_t double_geteuid(void);
extern ssize_t double_getxattr(const char *path, const char *name, void *out, size_t capacity, uint32_t position,
                               int options);

static const struct macho_name own_names[] = {
    DARWIN_NAME("_geteuid", double_geteuid),
    DARWIN_NAME("_getxattr", double_getxattr),
    {NULL, NULL},
};

static const struct macho_name *const tables[] = {
    own_names,          macho_double_names, macho_plain_names,  macho_process_names,
    macho_thread_names, macho_file_names,   macho_socket_names, macho_message_names,
    macho_spawn_names,
};

/* What came after macOS 12, the oldest that the shim is made for. A prefix ends with a star. */
static const struct {
  const char *name;
  unsigned major, minor;
} since[] = {
    {"_vmnet_network_c*", 26, 0},
    {"_vmnet_network_get_*", 26, 0},
    {"_vmnet_interface_start_with_network", 26, 0},
    {"_vmnet_enable_virtio_header_key", 15, 4},
    {"_vmnet_read_max_packets_key", 15, 0},
    {"_vmnet_write_max_packets_key", 15, 0},
};

static bool matches(const char *pattern, const char *name) {
  size_t length = strlen(pattern);
  return pattern[length - 1] == '*' ? strncmp(pattern, name, length - 1) == 0 : strcmp(pattern, name) == 0;
}

static bool is_too_new(const char *name) {
  const char *old = getenv("MACHO_OLD");
  for (size_t i = 0; i < sizeof since / sizeof *since; i++) {
    if (!matches(since[i].name, name)) continue;
    if (old != NULL && strcmp(old, "1") == 0 && since[i].major >= 26) return true;
    return !double_macos(since[i].major, since[i].minor);
  }
  return false;
}

static const char *library_of(const char *name) {
  if (strncmp(name, "_vmnet_", 7) == 0) return "/System/Library/Frameworks/vmnet.framework/Versions/A/vmnet";
  if (strncmp(name, "_CF", 3) == 0)
    return "/System/Library/Frameworks/CoreFoundation.framework/Versions/A/CoreFoundation";
  return "/usr/lib/libSystem.B.dylib";
}

void *macho_find_here(const char *name, const char *library, bool weak) {
  (void)weak;
  if (library != NULL && strcmp(library, library_of(name)) != 0) return NULL;
  if (is_too_new(name)) return NULL;
  for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
    for (const struct macho_name *each = tables[i]; each->name != NULL; each++)
      if (strcmp(each->name, name) == 0) return each->address;
  return NULL;
}

/* The images of this process; they are never closed. */

static struct opened {
  struct macho *image;
  struct opened *next;
} *opened;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

struct macho *macho_host_open(const char *path, struct macho_error *error) {
  char whole[PATH_MAX];
  struct macho *image = macho_open(realpath(path, whole) ? whole : path, macho_find_here, error);
  struct opened *node = image ? malloc(sizeof *node) : NULL;
  if (node == NULL) return NULL;
  pthread_mutex_lock(&lock);
  *node = (struct opened){image, opened};
  __atomic_store_n(&opened, node, __ATOMIC_RELEASE);
  pthread_mutex_unlock(&lock);
  return image;
}

const struct macho *macho_host_image(const void *address) {
  const struct opened *each = __atomic_load_n(&opened, __ATOMIC_ACQUIRE);
  while (each != NULL && !macho_contains(each->image, address)) each = each->next;
  return each ? each->image : NULL;
}

const struct macho *macho_host_named(const char *path) {
  const struct opened *each = __atomic_load_n(&opened, __ATOMIC_ACQUIRE);
  while (each != NULL && strcmp(macho_path(each->image), path) != 0) each = each->next;
  return each ? each->image : NULL;
}

bool macho_host_is(const void *image) {
  const struct opened *each = __atomic_load_n(&opened, __ATOMIC_ACQUIRE);
  while (each != NULL && each->image != image) each = each->next;
  return each != NULL;
}

const char *macho_beside(const char *name, char *out, size_t capacity) {
  Dl_info self;
  char whole[PATH_MAX];
  if (capacity > 0) out[0] = 0;
  if (dladdr((void *)(uintptr_t)macho_beside, &self) == 0 || realpath(self.dli_fname, whole) == NULL) return out;
  *strrchr(whole, '/') = 0;
  if (snprintf(out, capacity, "%s/%s", whole, name) >= (int)capacity) out[0] = 0;
  return out;
}
