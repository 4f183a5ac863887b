// SPDX-License-Identifier: MIT
/*
 * calls.h - the calls of macOS that system.c and network.c need and that other systems lack, or have in another shape.
 *
 * Over the doubles on Linux they are declared here; getxattr() takes two arguments less there, so the doubles have it
 * under
 * another name, and geteuid() too, which answers what the script says.
 */
#ifndef VN_DARWIN_CALLS_H
#define VN_DARWIN_CALLS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <unistd.h>

#ifdef __APPLE__
#include <CoreFoundation/CoreFoundation.h>
#include <sys/sysctl.h>
#include <sys/xattr.h>
#else
typedef const void *CFTypeRef;
CFTypeRef CFRetain(CFTypeRef object);
void CFRelease(CFTypeRef object);
int sysctlbyname(const char *name, void *out, size_t *out_length, void *value, size_t length);
ssize_t double_getxattr(const char *path, const char *name, void *out, size_t capacity, uint32_t position, int options);
uid_t double_geteuid(void);
#define getxattr double_getxattr
#define geteuid double_geteuid
#endif

/* Of the kernel's code signing (xnu, bsd/sys/codesign.h), in no public header. A blob is a big-endian magic number and
 * length of eight bytes together, then the entitlements as an XML property list. */
int csops(pid_t process, unsigned int operation, void *out, size_t capacity);
#define CS_OPS_ENTITLEMENTS_BLOB 7
#define CS_BLOB_HEADER 8u

#endif
