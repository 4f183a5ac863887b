// SPDX-License-Identifier: MIT
/*
 * sdk_check.c - compares what sdk/ declares with the SDK of a Mac, when it is compiled on one. Elsewhere it is empty.
 *
 * The headers of vmnet, dispatch, XPC, Blocks and CoreFoundation compare themselves wherever they are included. Here
 * come the C library, which only the cross build takes from sdk/, and vmnet's status codes, which vmnet_shim.h
 * declares.
 */
#undef _FORTIFY_SOURCE
#define _FORTIFY_SOURCE 0 /* memcpy() and others would be macros */

#include <Block.h>
#include <CoreFoundation/CoreFoundation.h>
#include <dispatch/dispatch.h>
#include <vmnet/vmnet.h>
#include <xpc/xpc.h>

#include "sdk/fact.h"
#include "vmnet_shim.h"

#ifdef VN_SDK_CHECK
#include <arpa/inet.h>
#include <crt_externs.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysctl.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "sdk/libc/libc.h"

VN_CONSTANT(VN_THEIR_SUCCESS, VMNET_SUCCESS)
VN_CONSTANT(VN_THEIR_FAILURE, VMNET_FAILURE)
VN_CONSTANT(VN_THEIR_MEM_FAILURE, VMNET_MEM_FAILURE)
VN_CONSTANT(VN_THEIR_INVALID_ARGUMENT, VMNET_INVALID_ARGUMENT)
VN_CONSTANT(VN_THEIR_SETUP_INCOMPLETE, VMNET_SETUP_INCOMPLETE)
VN_CONSTANT(VN_THEIR_INVALID_ACCESS, VMNET_INVALID_ACCESS)
VN_CONSTANT(VN_THEIR_PACKET_TOO_BIG, VMNET_PACKET_TOO_BIG)
VN_CONSTANT(VN_THEIR_BUFFER_EXHAUSTED, VMNET_BUFFER_EXHAUSTED)
VN_CONSTANT(VN_THEIR_TOO_MANY_PACKETS, VMNET_TOO_MANY_PACKETS)
VN_CONSTANT(VN_THEIR_SHARING_SERVICE_BUSY, VMNET_SHARING_SERVICE_BUSY)
#if __MAC_OS_X_VERSION_MAX_ALLOWED >= 260000 /* newer than the others; older SDKs that have it are not known */
VN_CONSTANT(VN_THEIR_NOT_AUTHORIZED, VMNET_NOT_AUTHORIZED)
#endif
#endif
