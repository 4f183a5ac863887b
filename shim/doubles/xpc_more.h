// SPDX-License-Identifier: MIT
/*
 * xpc_more.h - the functions of XPC that only the doubles and their tests need: whoever plays the framework makes
 * values, while darwin/ only reads them. Same names and meaning as Apple's; they are not in the sdk, so that darwin/
 * cannot grow an import by accident.
 */
#ifndef VN_DOUBLE_XPC_MORE_H
#define VN_DOUBLE_XPC_MORE_H

#include <xpc/xpc.h>

xpc_object_t xpc_bool_create(bool value);
xpc_object_t xpc_int64_create(int64_t value);
xpc_object_t xpc_uint64_create(uint64_t value);
xpc_object_t xpc_double_create(double value);
xpc_object_t xpc_string_create(const char *value);
xpc_object_t xpc_uuid_create(const unsigned char value[16]);
xpc_object_t xpc_data_create(const void *bytes, size_t length);
xpc_object_t xpc_array_create(const xpc_object_t *values, size_t count);
double xpc_double_get_value(xpc_object_t object);
size_t xpc_string_get_length(xpc_object_t object);

void xpc_array_append_value(xpc_object_t array, xpc_object_t value); /* retains it */

/* Retains it; NULL removes. */
void xpc_dictionary_set_value(xpc_object_t dictionary, const char *key, xpc_object_t value);
void xpc_dictionary_set_int64(xpc_object_t dictionary, const char *key, int64_t value);
void xpc_dictionary_set_double(xpc_object_t dictionary, const char *key, double value);
void xpc_dictionary_set_data(xpc_object_t dictionary, const char *key, const void *bytes, size_t length);
size_t xpc_dictionary_get_count(xpc_object_t dictionary);
/* A value of another type reads as 0, false or NULL. */
bool xpc_dictionary_get_bool(xpc_object_t dictionary, const char *key);
int64_t xpc_dictionary_get_int64(xpc_object_t dictionary, const char *key);
const char *xpc_dictionary_get_string(xpc_object_t dictionary, const char *key);
const uint8_t *xpc_dictionary_get_uuid(xpc_object_t dictionary, const char *key);

#endif
