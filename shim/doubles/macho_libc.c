// SPDX-License-Identifier: MIT
/* macho_libc.c - memory, text, and the process itself; what is bound to Linux's own function as it stands. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "macho_libc.h"

/* Text and memory. */

static int darwin_snprintf(char *out, size_t capacity, const char *format, DARWIN_VARIADIC_3) {
  DARWIN_VARIADIC_UNUSED_3;
  va_list arguments;
  DARWIN_VA_START(arguments, format);
  int length = vsnprintf(out, capacity, format, arguments);
  va_end(arguments);
  return length;
}

static int darwin_strerror_r(int error, char *out, size_t capacity) {
  const char *text = strerrordesc_np(darwin_errno_back(error));
  int length = snprintf(out, capacity, "%s", text ? text : "Unknown error");
  return length < 0 || (size_t)length >= capacity ? darwin_errno(ERANGE) : 0;
}

static void darwin_bzero(void *memory, size_t length) { memset(memory, 0, length); }

static void darwin_memset_pattern16(void *memory, const void *pattern, size_t length) {
  for (size_t at = 0; at < length; at += 16) memcpy((char *)memory + at, pattern, length - at < 16 ? length - at : 16);
}

/* bcmp() and others are macros or builtins in places: bind what is really there. */
static int darwin_memcmp(const void *a, const void *b, size_t length) { return memcmp(a, b, length); }
static char *darwin_strchr(const char *text, int byte) { return (char *)(uintptr_t)strchr(text, byte); }
static char *darwin_strrchr(const char *text, int byte) { return (char *)(uintptr_t)strrchr(text, byte); }
static char *darwin_strstr(const char *text, const char *part) { return (char *)(uintptr_t)strstr(text, part); }
static void *darwin_memchr(const void *memory, int byte, size_t length) {
  return (void *)(uintptr_t)memchr(memory, byte, length);
}

/* The process. */

static uintptr_t stack_guard = (uintptr_t)0x5bd1e995a7c3f100u; /* a zero byte stops texts, as everywhere */
static void stack_fail(void) { darwin_die("a stack frame was overrun"); }
static void stub_binder(void) { darwin_die("a lazy pointer was left unbound"); }
static char ***darwin_environ(void) { return &environ; }
static int darwin_atexit(void (*function)(void)) { return atexit(function); }

/*
 * Libraries. An image never goes: the shim opens itself to stay in memory. libpcap is this system's, if there is one
 * for
 * this processor. NULL is the whole process, which has what the tables have and, unless $MACHO_PUBLIC is set, what
 * Darwin's C library has without declaring it.
 */
static const char whole_process[] = "all of them";

static void *darwin_dlopen(const char *path, int mode) {
  enum { LAZY = 1, NOW = 2, LOCAL = 4, GLOBAL = 8, NODELETE = 0x80 };
  if (mode & ~(LAZY | NOW | LOCAL | GLOBAL | NODELETE)) darwin_die("dlopen() mode %x is not modelled", (unsigned)mode);
  if (path == NULL) return (void *)(uintptr_t)whole_process;
  if (strcmp(path, "/usr/lib/libpcap.A.dylib") == 0) {
    void *library = dlopen("libpcap.so.1", RTLD_NOW);
    return library != NULL ? library : dlopen("libpcap.so.0.8", RTLD_NOW);
  }
  return (void *)(uintptr_t)macho_host_named(path);
}

static void *darwin_dlsym(void *library, const char *name) {
  if (macho_host_is(library)) darwin_die("dlsym() of an image is not modelled");
  if (library != whole_process) return dlsym(library, name);
  const struct macho_name *each = macho_private_names;
  while (each->name != NULL && strcmp(each->name + 1, name) != 0) each++;
  if (each->name != NULL) return getenv("MACHO_PUBLIC") != NULL ? NULL : each->address;
  char symbol[256];
  return snprintf(symbol, sizeof symbol, "_%s", name) < (int)sizeof symbol ? macho_find_here(symbol, NULL, true) : NULL;
}

static int darwin_dladdr(const void *address, Dl_info *info) {
  const struct macho *image = macho_host_image(address);
  if (image == NULL) return dladdr(address, info);
  *info = (Dl_info){.dli_fname = macho_path(image), .dli_fbase = macho_base(image)};
  return 1;
}

const struct macho_name macho_plain_names[] = {
    DARWIN_NAME("_malloc", malloc),
    DARWIN_NAME("_calloc", calloc),
    DARWIN_NAME("_realloc", realloc),
    DARWIN_NAME("_aligned_alloc", aligned_alloc),
    DARWIN_NAME("_free", free),
    DARWIN_NAME("_memchr", darwin_memchr),
    DARWIN_NAME("_memcmp", darwin_memcmp),
    DARWIN_NAME("_bcmp", darwin_memcmp),
    DARWIN_NAME("_memcpy", memcpy),
    DARWIN_NAME("_memmove", memmove),
    DARWIN_NAME("_memset", memset),
    DARWIN_NAME("_memset_pattern16", darwin_memset_pattern16),
    DARWIN_NAME("_bzero", darwin_bzero),
    DARWIN_NAME("___bzero", darwin_bzero),
    DARWIN_NAME("_strchr", darwin_strchr),
    DARWIN_NAME("_strrchr", darwin_strrchr),
    DARWIN_NAME("_strstr", darwin_strstr),
    DARWIN_NAME("_strcmp", strcmp),
    DARWIN_NAME("_strncmp", strncmp),
    DARWIN_NAME("_strcpy", strcpy),
    DARWIN_NAME("_strncpy", strncpy),
    DARWIN_NAME("_strlen", strlen),
    DARWIN_NAME("_strspn", strspn),
    DARWIN_NAME("_strtoul", strtoul),
    DARWIN_NAME("_strerror_r", darwin_strerror_r),
    DARWIN_NAME("_snprintf", darwin_snprintf),
    {NULL, NULL},
};

const struct macho_name macho_process_names[] = {
    DARWIN_NAME("___stack_chk_guard", &stack_guard),
    DARWIN_NAME("___stack_chk_fail", stack_fail),
    DARWIN_NAME("dyld_stub_binder", stub_binder),
    DARWIN_NAME("__NSGetEnviron", darwin_environ),
    DARWIN_NAME("_atexit", darwin_atexit),
    DARWIN_NAME("__exit", _exit),
    DARWIN_NAME("_getenv", getenv),
    DARWIN_NAME("_getpid", getpid),
    DARWIN_NAME("_getuid", getuid),
    DARWIN_NAME("_getentropy", getentropy),
    DARWIN_NAME("_dlopen", darwin_dlopen),
    DARWIN_NAME("_dlsym", darwin_dlsym),
    DARWIN_NAME("_dladdr", darwin_dladdr),
    {NULL, NULL},
};
