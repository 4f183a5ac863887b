// SPDX-License-Identifier: MIT
/*
 * macho_run.c - runs a Mach-O executable over the doubles: macho_run <file> [argument...]. Its main() gets the file as
 * argument 0, as on a Mac, and ends the process as usual.
 */
#define _GNU_SOURCE /* environ */
#include <stdlib.h>
#include <unistd.h>

#include "macho_libc.h"

int main(int count, char **arguments) {
  struct macho_error error;
  char *none[] = {NULL}; /* dyld's own facts, as the fourth argument */
  if (count < 2) darwin_die("usage: macho_run <file> [argument...]");
  struct macho *image = macho_host_open(arguments[1], &error);
  if (image == NULL) darwin_die("%s: %s", arguments[1], error.text);
  int (*entry)(int, char **, char **, char **) = (int (*)(int, char **, char **, char **))(uintptr_t)macho_entry(image);
  if (entry == NULL) darwin_die("%s: it is not an executable", arguments[1]);
  exit(entry(count - 1, arguments + 1, environ, none));
}
