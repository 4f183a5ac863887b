// SPDX-License-Identifier: MIT
/* xpc.h - our own declarations of the XPC objects that vmnet takes and gives. On a Mac they are checked against
 * the system's header. Facts: developer.apple.com/documentation/xpc. */
#ifndef VN_SDK_XPC_H
#define VN_SDK_XPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../fact.h"
#ifdef VN_SDK_CHECK
#include_next <xpc/xpc.h>
#endif

typedef void *xpc_object_t;
typedef const struct _xpc_type_s *xpc_type_t;
typedef bool (^xpc_dictionary_applier_t)(const char *key, xpc_object_t value);

extern const struct _xpc_type_s _xpc_type_bool, _xpc_type_int64, _xpc_type_uint64, _xpc_type_double, _xpc_type_string,
    _xpc_type_uuid, _xpc_type_data, _xpc_type_array, _xpc_type_dictionary;
#define XPC_TYPE_BOOL (&_xpc_type_bool)
#define XPC_TYPE_INT64 (&_xpc_type_int64)
#define XPC_TYPE_UINT64 (&_xpc_type_uint64)
#define XPC_TYPE_DOUBLE (&_xpc_type_double)
#define XPC_TYPE_STRING (&_xpc_type_string)
#define XPC_TYPE_UUID (&_xpc_type_uuid)
#define XPC_TYPE_DATA (&_xpc_type_data)
#define XPC_TYPE_ARRAY (&_xpc_type_array)
#define XPC_TYPE_DICTIONARY (&_xpc_type_dictionary)

xpc_object_t xpc_retain(xpc_object_t object);
void xpc_release(xpc_object_t object);
xpc_type_t xpc_get_type(xpc_object_t object);

xpc_object_t xpc_dictionary_create(const char *const *keys, const xpc_object_t *values, size_t count);
void xpc_dictionary_set_bool(xpc_object_t dictionary, const char *key, bool value);
void xpc_dictionary_set_uint64(xpc_object_t dictionary, const char *key, uint64_t value);
void xpc_dictionary_set_string(xpc_object_t dictionary, const char *key, const char *value);
void xpc_dictionary_set_uuid(xpc_object_t dictionary, const char *key, const unsigned char value[16]);
bool xpc_dictionary_apply(xpc_object_t dictionary, xpc_dictionary_applier_t applier);
xpc_object_t xpc_dictionary_get_value(xpc_object_t dictionary, const char *key);
uint64_t xpc_dictionary_get_uint64(xpc_object_t dictionary, const char *key);

bool xpc_bool_get_value(xpc_object_t object);
int64_t xpc_int64_get_value(xpc_object_t object);
uint64_t xpc_uint64_get_value(xpc_object_t object);
const char *xpc_string_get_string_ptr(xpc_object_t object);
const uint8_t *xpc_uuid_get_bytes(xpc_object_t object);
const void *xpc_data_get_bytes_ptr(xpc_object_t object);
size_t xpc_data_get_length(xpc_object_t object);
size_t xpc_array_get_count(xpc_object_t array);
xpc_object_t xpc_array_get_value(xpc_object_t array, size_t index);

#endif
