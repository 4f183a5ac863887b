// SPDX-License-Identifier: MIT
/*
 * program.h - a program of ours beside the library: found, started with sockets as its descriptors 3 and up, and
 * reaped.
 *
 * It gets no signal mask, a process group of its own (an interrupt at the terminal is the script's), and /dev/null as
 * its standard input and outputs: what it prints has no place in a script's output. It ends when its sockets do; who
 * does not go in time is killed. Only its pid is waited for, never any child.
 */
#ifndef VN_EMBEDDED_PROGRAM_H
#define VN_EMBEDDED_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define VN_PROGRAM_FD 3
enum { VN_PROGRAM_SOCKETS = 4 };

bool vn_program_path(const char *name, char *out, size_t capacity); /* beside this library; false: nobody knows */
/* sockets[] become the descriptors 3, 4 ... and are closed here, also when it fails. 0 or an errno. */
int vn_program_start(const char *path, int *sockets, int count, pid_t *pid);
bool vn_program_reap(pid_t pid); /* does not block; true: nothing of it is left */

#endif
