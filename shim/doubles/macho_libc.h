// SPDX-License-Identifier: MIT
/*
 * macho_libc.h - Darwin's libc as functions of this process.
 *
 * Theory of operation. Only what the shim's files import is there, each name in the table of the file that has it.
 * Calls that are the same on both systems are bound to Linux's function itself; the others translate numbers, flags
 * and layouts.
 *
 * Errors. A call fails with Linux's errno as usual; ___error, behind which Darwin hides errno, turns it into Darwin's
 * number when somebody looks, and clears it, so that what the image writes there stays. Functions that answer an
 * error number turn it themselves.
 *
 * Variable arguments. On arm64 Apple passes them on the stack, in slots of 8 bytes, while Linux uses registers first. A
 * function that is declared with eight integer parameters before its "..." finds them there: DARWIN_VARIADIC fills up.
 */
#ifndef VN_MACHO_LIBC_H
#define VN_MACHO_LIBC_H

#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/types.h>

#include "macho.h"

struct macho_name {
  const char *name;
  void *address;
};
/* Each ends with a NULL name. */
extern const struct macho_name macho_plain_names[], macho_thread_names[], macho_file_names[], macho_socket_names[],
    macho_message_names[], macho_spawn_names[], macho_process_names[];
extern const struct macho_name macho_private_names[]; /* for dlsym() alone: no header and no stub has them */

#define DARWIN_NAME(name, function) {name, (void *)(uintptr_t)(function)}
/* "_stat" is another function on x86_64, with numbers of files in 32 bits; on arm64 there is only this one. */
#ifdef __x86_64__
#define DARWIN_INODE64(name) name "$INODE64"
#else
#define DARWIN_INODE64(name) name
#endif

/* DARWIN_VARIADIC_n: what follows n integer parameters. va_start() names `darwin_last`. */
#ifdef __aarch64__
#define DARWIN_VARIADIC_2 long a2, long a3, long a4, long a5, long a6, long darwin_last, ...
#define DARWIN_VARIADIC_3 long a3, long a4, long a5, long a6, long darwin_last, ...
#define DARWIN_VARIADIC_UNUSED_2 (void)a2, (void)a3, (void)a4, (void)a5, (void)a6
#define DARWIN_VARIADIC_UNUSED_3 (void)a3, (void)a4, (void)a5, (void)a6
#define DARWIN_VA_START(list, last) (va_start(list, darwin_last), (list).__vr_offs = 0) /* floating point too */
#else
#define DARWIN_VARIADIC_2 ...
#define DARWIN_VARIADIC_3 ...
#define DARWIN_VARIADIC_UNUSED_2 (void)0
#define DARWIN_VARIADIC_UNUSED_3 (void)0
#define DARWIN_VA_START(list, last) va_start(list, last)
#endif

int darwin_errno(int error);      /* Linux's number as Darwin's */
int darwin_errno_back(int error); /* and back; EIO if there is none */
int darwin_signal(int number);    /* 0: Darwin has none */
int darwin_signal_back(int number);
void darwin_sigset_back(uint32_t set, sigset_t *out);
uint32_t darwin_sigset(const sigset_t *set);
uint32_t darwin_open_flags_back(uint32_t flags);
_Noreturn void darwin_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
