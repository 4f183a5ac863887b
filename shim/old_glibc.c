// SPDX-License-Identifier: MIT
/*
 * old_glibc.c - what programs for glibc 2.28 call otherwise: stat() and its kin were functions of the headers until 2.33,
 * which called others with the number of the structure's layout. Only what natives.mk builds for the package has this.
 */
#include <sys/stat.h>

#ifdef __x86_64__
#define LAYOUT 1
#else
#define LAYOUT 0 /* of all systems that came to Linux later */
#endif

int __xstat(int layout, const char *path, struct stat *out);
int __fxstat(int layout, int fd, struct stat *out);
int __lxstat(int layout, const char *path, struct stat *out);

int stat(const char *path, struct stat *out) { return __xstat(LAYOUT, path, out); }
int fstat(int fd, struct stat *out) { return __fxstat(LAYOUT, fd, out); }
int lstat(const char *path, struct stat *out) { return __lxstat(LAYOUT, path, out); }
