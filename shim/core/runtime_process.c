// SPDX-License-Identifier: MIT
/*
 * runtime_process.c - the library's place in its process.
 *
 * Theory of operation. Both runtimes unload libraries while native threads still run in them (Deno at exit, after an
 * uncaught throw, and when a Worker is terminated: a crash each time), so the library opens itself once more with
 * RTLD_NODELETE. exit() is the last moment to end gateways and interfaces in an orderly way. A forked child that exits
 * has copies of our data, but none of our threads, and must leave the parent's objects alone.
 */
#define _GNU_SOURCE /* dladdr() */
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime.h"

static pid_t process;

static void at_exit(void) {
  if (getpid() == process) vn_runtime_exit();
}

void vn_runtime_pin(void) {
  Dl_info self;
  process = getpid();
  /* In a statically linked test this opens the program itself, which does no harm, or fails, which does none either. */
  if (dladdr((void *)(uintptr_t)vn_runtime_pin, &self)) dlopen(self.dli_fname, RTLD_NOW | RTLD_NODELETE);
  atexit(at_exit);
}
