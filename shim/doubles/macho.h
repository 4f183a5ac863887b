// SPDX-License-Identifier: MIT
/*
 * macho.h - runs a Mach-O dylib or executable inside a Linux process.
 *
 * Theory of operation. A Mach-O file is code for this very CPU in another wrapping: the loader maps the slice for
 * this CPU as dyld would, binds its imports by name to functions of this process (the doubles, and a translation of
 * Darwin's libc), and calls it. So the file that is shipped can be executed where there is no Mac: what compiling for
 * Linux cannot show (constants, layouts and calling conventions of the other system, weak imports, the linker's
 * output) is run.
 *
 *   macho.c         headers, load commands, segments, protections, exports
 *   macho_fixups.c  pointers in the mapped file: dyld-info opcodes and chained fixups
 *   macho_libc.c    Darwin's libc by name; macho_errno.c, _file.c, _socket.c, _message.c, _thread.c, _spawn.c
 *                   translate
 *   macho_host.c    what a name is bound to, and which library it has to come from
 *   macho_shim.c    a library with the ABI's 13 functions that forwards to the dylib;  macho_run.c runs an executable
 *
 * Whatever the file says is checked against its bounds: a malformed one is an error text, never a crash. What is not
 * modelled (initializers, thread-locals, flat name spaces, ...) is refused as well, with its name.
 *
 * Facts: Apple's published headers mach-o/loader.h, mach-o/fixup-chains.h, mach-o/nlist.h.
 */
#ifndef VN_MACHO_H
#define VN_MACHO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct macho;
struct macho_error {
  char text[2048];
};

/* What an import is bound to: name as in the file ("_close"), library as its load command says. NULL: there is none. */
typedef void *macho_find(const char *name, const char *library, bool weak);

/* Maps the slice for this CPU out of the bytes of a file, thin or universal. NULL: error says why. */
struct macho *macho_load(const uint8_t *file, size_t size, const char *path, macho_find *find,
                         struct macho_error *error);
struct macho *macho_open(const char *path, macho_find *find, struct macho_error *error);
void macho_close(struct macho *image); /* while nothing of it runs any more */

void *macho_symbol(const struct macho *image, const char *name); /* by the export trie, as dlsym() would: "vn_open" */
void *macho_entry(const struct macho *image);                    /* main() of an executable, NULL of a dylib */
bool macho_contains(const struct macho *image, const void *address);
const char *macho_path(const struct macho *image);
void *macho_base(const struct macho *image);
bool macho_is_file(const char *path); /* it begins like one */

/* macho_host.c: this process as seen from a Mach-O file. */
macho_find macho_find_here;
struct macho *macho_host_open(const char *path, struct macho_error *error); /* and dladdr() knows it; stays for ever */
const struct macho *macho_host_image(const void *address); /* which opened image has it, or NULL */
const struct macho *macho_host_named(const char *path);
bool macho_host_is(const void *image); /* one of those that were opened */
const char *macho_beside(const char *name, char *out, size_t capacity);     /* next to the file this code is in; "" */

#endif
