// SPDX-License-Identifier: MIT
/* doubles_xpc_test.c - the double's XPC objects: types, counts, containers, and what kills. */
#include "double.h"
#include "doubles_death.h"
#include "xpc_more.h"

static const unsigned char uuid[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

static xpc_object_t dead(void) {
  xpc_object_t object = xpc_dictionary_create(NULL, NULL, 0);
  xpc_dictionary_set_uint64(object, "key", 1);
  xpc_release(object);
  return object;
}

static void broken_contracts_kill(void) {
  DIES("released for good", xpc_release(dead()););
  DIES("released for good", xpc_retain(dead()););
  DIES("released for good", xpc_dictionary_get_value(dead(), "key"););
  DIES("released for good", xpc_uint64_get_value(dead()););
  DIES("released for good", xpc_get_type(dead()););
  DIES("is NULL", xpc_release(NULL););
  DIES("is NULL", xpc_dictionary_set_bool(NULL, "key", true););
  DIES("key is NULL", xpc_dictionary_set_uint64(xpc_dictionary_create(NULL, NULL, 0), NULL, 1););
  DIES("key is NULL", xpc_dictionary_get_value(xpc_dictionary_create(NULL, NULL, 0), NULL););
  DIES("text is NULL", xpc_dictionary_set_string(xpc_dictionary_create(NULL, NULL, 0), "key", NULL););
  DIES("made from NULL", xpc_dictionary_set_uuid(xpc_dictionary_create(NULL, NULL, 0), "key", NULL););
  DIES("a uint64 is no dictionary", xpc_dictionary_get_value(xpc_uint64_create(1), "key"););
  DIES("a dictionary is no array", xpc_array_get_value(xpc_dictionary_create(NULL, NULL, 0), 0););
  DIES("entry 1 of 1", xpc_object_t value = xpc_bool_create(true);
       xpc_array_get_value(xpc_array_create(&value, 1), 1););
  DIES("no XPC object", static char text[256] = "something else"; xpc_release(text););
  DIES("block is NULL", xpc_dictionary_apply(xpc_dictionary_create(NULL, NULL, 0), NULL););
  DIES("while the dictionary is applied", xpc_object_t dictionary = xpc_dictionary_create(NULL, NULL, 0);
       xpc_dictionary_set_bool(dictionary, "key", true);
       xpc_dictionary_apply(dictionary, ^(const char *key, xpc_object_t value) {
         (void)value;
         xpc_dictionary_set_bool(dictionary, key, false);
         return (bool)true;
       }););
  /* What is borrowed from a container ends with it. */
  DIES("released for good", xpc_object_t dictionary = xpc_dictionary_create(NULL, NULL, 0);
       xpc_dictionary_set_bool(dictionary, "key", true);
       xpc_object_t value = xpc_dictionary_get_value(dictionary, "key");
       xpc_release(dictionary); xpc_bool_get_value(value););
}

static void values_come_back_as_they_went_in(void) {
  xpc_object_t d = xpc_dictionary_create(NULL, NULL, 0);
  xpc_dictionary_set_bool(d, "bool", true);
  xpc_dictionary_set_int64(d, "int64", -5);
  xpc_dictionary_set_uint64(d, "uint64", UINT64_MAX);
  xpc_dictionary_set_double(d, "double", 0.5);
  xpc_dictionary_set_string(d, "string", "text");
  xpc_dictionary_set_uuid(d, "uuid", uuid);
  xpc_dictionary_set_data(d, "data", "ab\0c", 4);
  CHECK(xpc_get_type(d) == XPC_TYPE_DICTIONARY && xpc_dictionary_get_count(d) == 7);
  CHECK(xpc_bool_get_value(xpc_dictionary_get_value(d, "bool")) && xpc_dictionary_get_bool(d, "bool"));
  CHECK(xpc_int64_get_value(xpc_dictionary_get_value(d, "int64")) == -5 && xpc_dictionary_get_int64(d, "int64") == -5);
  CHECK(xpc_dictionary_get_uint64(d, "uint64") == UINT64_MAX);
  CHECK(xpc_double_get_value(xpc_dictionary_get_value(d, "double")) == 0.5);
  CHECK(!strcmp(xpc_dictionary_get_string(d, "string"), "text"));
  CHECK(xpc_string_get_length(xpc_dictionary_get_value(d, "string")) == 4);
  CHECK(!memcmp(xpc_dictionary_get_uuid(d, "uuid"), uuid, 16));
  CHECK(xpc_data_get_length(xpc_dictionary_get_value(d, "data")) == 4);
  CHECK(!memcmp(xpc_data_get_bytes_ptr(xpc_dictionary_get_value(d, "data")), "ab\0c", 4));
  static const struct {
    const char *key;
    xpc_type_t type;
  } types[] = {{"bool", XPC_TYPE_BOOL},     {"int64", XPC_TYPE_INT64},   {"uint64", XPC_TYPE_UINT64},
               {"double", XPC_TYPE_DOUBLE}, {"string", XPC_TYPE_STRING}, {"uuid", XPC_TYPE_UUID},
               {"data", XPC_TYPE_DATA}};
  for (size_t i = 0; i < 7; i++) CHECK(xpc_get_type(xpc_dictionary_get_value(d, types[i].key)) == types[i].type);
  CHECK(double_count("xpc") == 8);
  xpc_release(d);
  CHECK(!double_count("xpc"));
}

static void another_type_reads_as_nothing(void) {
  xpc_object_t d = xpc_dictionary_create(NULL, NULL, 0);
  xpc_dictionary_set_string(d, "string", "5");
  xpc_dictionary_set_int64(d, "int64", 5);
  CHECK(!xpc_dictionary_get_uint64(d, "int64") && !xpc_dictionary_get_uint64(d, "string"));
  CHECK(!xpc_dictionary_get_uint64(d, "absent") && !xpc_dictionary_get_value(d, "absent"));
  CHECK(!xpc_dictionary_get_string(d, "int64") && !xpc_dictionary_get_uuid(d, "string"));
  xpc_object_t text = xpc_dictionary_get_value(d, "string");
  CHECK(!xpc_bool_get_value(text) && !xpc_int64_get_value(text) && !xpc_data_get_bytes_ptr(text));
  CHECK(!xpc_data_get_length(text));
  CHECK(!xpc_array_get_count(text) && !xpc_uuid_get_bytes(text) && xpc_double_get_value(text) == 0);
  CHECK(!xpc_uint64_get_value(NULL) && !xpc_string_get_string_ptr(NULL) && !xpc_array_get_count(NULL));
  xpc_release(d);
}

static void containers_keep_what_is_in_them(void) {
  xpc_object_t text = xpc_string_create("value"), array = xpc_array_create(&text, 1);
  xpc_array_append_value(array, text);
  const char *keys[] = {"list", "text"};
  xpc_object_t values[] = {array, text}, d = xpc_dictionary_create(keys, values, 2);
  xpc_release(text);
  xpc_release(array);
  CHECK(double_count("xpc") == 3 && xpc_array_get_count(xpc_dictionary_get_value(d, "list")) == 2);
  CHECK(xpc_array_get_value(xpc_dictionary_get_value(d, "list"), 1) == text);
  xpc_dictionary_set_value(d, "list", NULL);
  CHECK(double_count("xpc") == 2 && xpc_dictionary_get_count(d) == 1 && !xpc_dictionary_get_value(d, "list"));
  xpc_dictionary_set_uint64(d, "text", 1); /* in the place of the other */
  CHECK(double_count("xpc") == 2 && xpc_dictionary_get_count(d) == 1 && xpc_dictionary_get_uint64(d, "text") == 1);
  xpc_object_t kept = xpc_retain(xpc_dictionary_get_value(d, "text"));
  xpc_release(d);
  CHECK(xpc_uint64_get_value(kept) == 1);
  xpc_release(kept);
  CHECK(!double_count("xpc"));
}

static void an_applier_sees_every_entry_once_in_no_order(void) {
  xpc_object_t d = xpc_dictionary_create(NULL, NULL, 0);
  char key[8];
  for (unsigned i = 0; i < 40; i++) snprintf(key, sizeof key, "k%u", i), xpc_dictionary_set_uint64(d, key, 1ull << i);
  __block uint64_t seen = 0;
  __block int calls = 0, firsts = 0;
  for (int round = 0; round < 3; round++) {
    seen = 0;
    __block bool first = true;
    CHECK(xpc_dictionary_apply(d, ^(const char *name, xpc_object_t value) {
      if (first && strcmp(name, "k0")) firsts++;
      first = false;
      seen ^= xpc_uint64_get_value(value);
      return (bool)(name[0] == 'k');
    }));
    CHECK(seen == (1ull << 40) - 1);
  }
  CHECK(firsts >= 2);
  CHECK(!xpc_dictionary_apply(d, ^(const char *name, xpc_object_t value) {
    (void)name, (void)value;
    return (bool)(++calls < 3);
  }));
  CHECK(calls == 3);
  xpc_release(d);
  CHECK(!double_count("xpc") && !double_count("blocks"));
}

int main(void) {
  RUN(broken_contracts_kill);
  RUN(values_come_back_as_they_went_in);
  RUN(another_type_reads_as_nothing);
  RUN(containers_keep_what_is_in_them);
  RUN(an_applier_sees_every_entry_once_in_no_order);
  return finish();
}
