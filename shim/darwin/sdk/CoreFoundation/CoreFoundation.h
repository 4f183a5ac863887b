// SPDX-License-Identifier: MIT
/* CoreFoundation.h - our own declarations of what counts the networks of vmnet. On a Mac they are checked against the
 * system's header. Facts: developer.apple.com/documentation/corefoundation. */
#ifndef VN_SDK_COREFOUNDATION_H
#define VN_SDK_COREFOUNDATION_H

#include "../fact.h"
#ifdef VN_SDK_CHECK
#include_next <CoreFoundation/CoreFoundation.h>
#endif

typedef const void *CFTypeRef;

CFTypeRef CFRetain(CFTypeRef object);
void CFRelease(CFTypeRef object);

#endif
