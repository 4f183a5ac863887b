// SPDX-License-Identifier: MIT
/*
 * system.c - what darwin/ asks the operating system and its libraries, answered as a Mac would.
 *
 * Theory of operation. Linux lacks sysctlbyname() and csops(), so they are defined here under their own names, inside
 * the library and seen by nobody else. geteuid() exists here, and what others ask it must stay true; getxattr()
 * exists with fewer arguments: darwin/calls.h gives darwin/ names of our own for both. The file of DHCP leases is
 * bootpd's on a Mac and any file here, so darwin/paths.c is not part of a build over the doubles. CoreFoundation is
 * only needed to count references: double_cf.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "darwin/calls.h"
#include "darwin/system.h"
#include "double.h"


int sysctlbyname(const char *name, void *old, size_t *old_length, void *new, size_t new_length) {
  if (new || new_length) return errno = EPERM, -1;
  if (strcmp(name, "kern.osproductversion")) return errno = ENOENT, -1;
  const char *version = double_get("macos");
  size_t length = strlen(version) + 1;
  if (!old_length) return errno = EFAULT, -1;
  if (old && *old_length < length) return errno = ENOMEM, -1;
  if (old) memcpy(old, version, length);
  *old_length = length;
  return 0;
}

/*
 * The entitlements of a process's main executable, as XNU gives them: a blob with its magic and its length in
 * big-endian before an XML property list. For a buffer that is too small the kernel fills in the header alone and
 * answers ERANGE; for a program without entitlements the header is zero. Without `entitled` these are some that Deno
 * and Bun really have.
 */
int csops(pid_t process, unsigned int operation, void *answer, size_t capacity) {
  (void)process;
  if (operation != CS_OPS_ENTITLEMENTS_BLOB) return errno = EINVAL, -1;
  if (capacity < CS_BLOB_HEADER) return errno = ERANGE, -1;
  char text[1024];
  int length = snprintf(text, sizeof text,
                        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                        "<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" "
                        "\"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n"
                        "<plist version=\"1.0\">\n<dict>\n"
                        "\t<key>com.apple.security.cs.allow-jit</key>\n\t<true/>\n"
                        "\t<key>com.apple.security.cs.disable-library-validation</key>\n\t<true/>\n"
                        "\t<key>com.apple.security.virtualization</key>\n\t<%s/>\n</dict>\n</plist>\n",
                        double_number("entitled") ? "true" : "false");
  uint32_t total = (uint32_t)length + CS_BLOB_HEADER;
  uint32_t header[2] = {__builtin_bswap32(0xfade7171), __builtin_bswap32(total)};
  if (capacity < total) {
    header[0] = 0;
    memcpy(answer, header, CS_BLOB_HEADER);
    return errno = ERANGE, -1;
  }
  memcpy(answer, header, CS_BLOB_HEADER);
  memcpy((char *)answer + CS_BLOB_HEADER, text, (size_t)length);
  return 0;
}

uid_t double_geteuid(void) { return (uid_t)double_number("uid"); }

const char *vn_mac_leases_path(void) { return double_get("leases"); }

/* Only the mark of a file that came from the network. */
ssize_t double_getxattr(const char *path, const char *name, void *out, size_t capacity, uint32_t position,
                        int options) {
  static const char mark[] = "0081;00000000;Safari;";
  if (access(path, F_OK)) return -1;
  if (position || options) return errno = EINVAL, -1;
  if (strcmp(name, "com.apple.quarantine") || !double_number("quarantined")) return errno = ENODATA, -1;
  if (!out) return sizeof mark - 1;
  if (capacity < sizeof mark - 1) return errno = ERANGE, -1;
  memcpy(out, mark, sizeof mark - 1);
  return sizeof mark - 1;
}

/* CoreFoundation. */
#define CF_ALIVE 0xcf00a11eu
#define CF_DEAD 0xcf00deadu

void double_cf_init(struct double_cf *cf, const char *kind, void (*destroy)(void *object)) {
  cf->refs = 1;
  cf->kind = kind;
  cf->destroy = destroy;
  __atomic_store_n(&cf->magic, CF_ALIVE, __ATOMIC_RELEASE);
  double_add("cf", 1);
  double_add(kind, 1);
}

static struct double_cf *cf_alive(const void *object, const char *caller) {
  struct double_cf *cf = (struct double_cf *)object;
  if (!cf) double_die("%s: the object is NULL", caller);
  uint32_t magic = __atomic_load_n(&cf->magic, __ATOMIC_ACQUIRE);
  if (magic == CF_DEAD) double_die("%s: the object was released for good", caller);
  if (magic != CF_ALIVE) double_die("%s: this is no object of CoreFoundation", caller);
  return cf;
}

void double_cf_check(const struct double_cf *cf, const char *kind, const char *caller) {
  cf_alive(cf, caller);
  if (strcmp(cf->kind, kind)) double_die("%s: wants one of the %s, got one of the %s", caller, kind, cf->kind);
}

CFTypeRef CFRetain(CFTypeRef object) {
  struct double_cf *cf = cf_alive(object, "CFRetain");
  if (__atomic_fetch_add(&cf->refs, 1, __ATOMIC_ACQ_REL) <= 0) double_die("CFRetain: the object is about to end");
  return object;
}

void CFRelease(CFTypeRef object) {
  struct double_cf *cf = cf_alive(object, "CFRelease");
  int before = __atomic_fetch_sub(&cf->refs, 1, __ATOMIC_ACQ_REL);
  if (before <= 0) double_die("CFRelease: once too often");
  if (before != 1) return;
  double_add("cf", -1);
  double_add(cf->kind, -1);
  __atomic_store_n(&cf->magic, CF_DEAD, __ATOMIC_RELEASE);
  cf->destroy(cf);
}
