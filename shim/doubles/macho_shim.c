// SPDX-License-Identifier: MIT
/*
 * macho_shim.c - the ABI's 13 functions, forwarded to the dylib: what Deno and Bun load on Linux to run the file that
 * Macs get. The dylib is $VMNET_MACHO, or libvmnet_shim.dylib next to this library.
 *
 * Each function jumps through a pointer, which first leads to a stub that maps the dylib and sets all pointers: so a
 * call costs one indirect jump more. A dylib that cannot be mapped ends the process, for then the test means nothing.
 */
#include <pthread.h>
#include <stdlib.h>

#include "macho_libc.h"
#include "vmnet_shim.h"

/* name, parameters, arguments */
#define ABI(F)                                                                                                        \
  F(abi_version, (void), ())                                                                                          \
  F(open, (void), ())                                                                                                 \
  F(doorbell, (int32_t context), (context))                                                                           \
  F(poll, (int32_t context, uint32_t *ready, uint32_t max), (context, ready, max))                                    \
  F(close, (int32_t handle), (handle))                                                                                \
  F(shutdown, (uint32_t ms), (ms))                                                                                    \
  F(call, (int32_t target, uint32_t op, const uint8_t *options, uint32_t length, uint32_t deadline_ms),               \
    (target, op, options, length, deadline_ms))                                                                       \
  F(result, (int32_t operation, uint8_t *out, uint32_t capacity), (operation, out, capacity))                         \
  F(cancel, (int32_t operation), (operation))                                                                         \
  F(drain, (int32_t port, uint8_t *arena, uint32_t arena_length, uint32_t *descriptors, uint32_t max),                \
    (port, arena, arena_length, descriptors, max))                                                                    \
  F(send,                                                                                                             \
    (int32_t port, const uint8_t *arena, uint32_t arena_length, const uint32_t *descriptors, uint32_t first,          \
     uint32_t count),                                                                                                 \
    (port, arena, arena_length, descriptors, first, count))                                                           \
  F(interest, (int32_t port, uint32_t bits), (port, bits))                                                            \
  F(get, (int32_t handle, uint32_t what, uint8_t *out, uint32_t capacity), (handle, what, out, capacity))

#define DECLARE(name, parameters, arguments) static int32_t first_##name parameters;
ABI(DECLARE)

static struct {
#define POINTER(name, parameters, arguments) int32_t(*name) parameters;
  ABI(POINTER)
} dylib = {
#define STUB(name, parameters, arguments) .name = first_##name,
    ABI(STUB)};

static void load(void) {
  char beside[4096];
  struct macho_error error;
  const char *path = getenv("VMNET_MACHO");
  if (path == NULL || !path[0]) path = macho_beside("libvmnet_shim.dylib", beside, sizeof beside);
  struct macho *image = macho_host_open(path, &error);
  if (image == NULL) darwin_die("%s: %s", path, error.text);
#define LOOK_UP(name, parameters, arguments)                                    \
  void *name = macho_symbol(image, "vn_" #name);                                \
  if (name == NULL) darwin_die("%s: it does not export vn_" #name, path);       \
  __atomic_store_n((void **)&dylib.name, name, __ATOMIC_RELEASE);
  ABI(LOOK_UP)
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
#define FIRST(name, parameters, arguments) \
  static int32_t first_##name parameters { \
    pthread_once(&once, load);             \
    return dylib.name arguments;           \
  }
ABI(FIRST)

#define FORWARD(name, parameters, arguments) \
  VN_EXPORT int32_t vn_##name parameters { return __atomic_load_n(&dylib.name, __ATOMIC_RELAXED) arguments; }
ABI(FORWARD)
