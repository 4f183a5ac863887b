// SPDX-License-Identifier: MIT
/* dispatch.h - our own declarations of the few functions of Grand Central Dispatch that darwin/ uses. On a Mac they
 * are checked against the system's header. Facts: developer.apple.com/documentation/dispatch. */
#ifndef VN_SDK_DISPATCH_H
#define VN_SDK_DISPATCH_H

#include <stdint.h>

#include "../fact.h"
#ifdef VN_SDK_CHECK
#include_next <dispatch/dispatch.h>
#endif

typedef struct dispatch_queue_s *dispatch_queue_t;
typedef struct dispatch_queue_attr_s *dispatch_queue_attr_t;
typedef void (^dispatch_block_t)(void);
typedef void (*dispatch_function_t)(void *context);

#ifndef DISPATCH_QUEUE_SERIAL
#define DISPATCH_QUEUE_SERIAL ((dispatch_queue_attr_t)0)
#endif

dispatch_queue_t dispatch_queue_create(const char *label, dispatch_queue_attr_t attributes);
void dispatch_async_f(dispatch_queue_t queue, void *context, dispatch_function_t work);
void dispatch_sync_f(dispatch_queue_t queue, void *context, dispatch_function_t work);
#ifndef VN_SDK_CHECK /* there the parameter is a transparent union of all such pointers */
void dispatch_retain(void *object);
void dispatch_release(void *object);
#endif

#endif
