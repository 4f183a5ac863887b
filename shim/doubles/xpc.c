// SPDX-License-Identifier: MIT
/*
 * xpc.c - XPC's value objects: numbers, texts, bytes, arrays and dictionaries, counted.
 *
 * Theory of operation. One struct serves every type. A container retains what is put into it. Reading a value as
 * another type answers 0, false or NULL, as Apple's does; treating something that is no container as one, a NULL key,
 * an index beyond the end, and every use after the last release die, which Apple's do as well ("API misuse") or
 * should.
 *
 * A dictionary keeps its entries in the order of their arrival, unlike Apple's, so that failures repeat themselves;
 * the applier sees them from a place that moves with every call, so that nobody comes to rely on an order. Changing a
 * dictionary while it is applied dies. Nothing here locks: like Apple's, a dictionary may be read by several threads
 * and changed by one, and ThreadSanitizer tells the rest.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "double.h"
#include "xpc_more.h"

#define XPC_ALIVE 0x58504321u
#define XPC_DEAD 0x5850de4du

struct _xpc_type_s {
  const char *name;
};
const struct _xpc_type_s _xpc_type_bool = {"bool"}, _xpc_type_int64 = {"int64"}, _xpc_type_uint64 = {"uint64"},
                         _xpc_type_double = {"double"}, _xpc_type_string = {"string"}, _xpc_type_uuid = {"uuid"},
                         _xpc_type_data = {"data"}, _xpc_type_array = {"array"}, _xpc_type_dictionary = {"dictionary"};

struct object {
  atomic_uint magic;
  atomic_int refs;
  xpc_type_t type;
  uint64_t number; /* bool, int64, uint64 */
  double real;
  void *bytes; /* string with its NUL, uuid, data */
  size_t length;
  /* array, dictionary */
  struct entry {
    char *key;
    struct object *value;
  } *entries;
  size_t count;
  atomic_int applying;
};

static struct object *alive(xpc_object_t object, const char *caller) {
  struct object *it = object;
  if (!it) double_die("%s: the object is NULL", caller);
  unsigned magic = atomic_load(&it->magic);
  if (magic == XPC_DEAD) double_die("%s: the object was released for good", caller);
  if (magic != XPC_ALIVE) double_die("%s: this is no XPC object", caller);
  return it;
}

static struct object *container(xpc_object_t object, xpc_type_t type, const char *caller) {
  struct object *it = alive(object, caller);
  if (it->type != type) double_die("%s: a %s is no %s", caller, it->type->name, type->name);
  return it;
}

static struct object *make(xpc_type_t type) {
  struct object *it = calloc(1, sizeof *it);
  if (!it) double_die("no memory");
  atomic_init(&it->magic, XPC_ALIVE);
  atomic_init(&it->refs, 1);
  it->type = type;
  double_add("xpc", 1);
  return it;
}

static struct object *make_bytes(xpc_type_t type, const void *bytes, size_t length, size_t more) {
  if (!bytes && length) double_die("a %s is made from NULL", type->name);
  struct object *it = make(type);
  it->bytes = calloc(1, length + more + 1);
  if (!it->bytes) double_die("no memory");
  if (length) memcpy(it->bytes, bytes, length);
  it->length = length;
  return it;
}

static struct object *make_number(xpc_type_t type, uint64_t number) {
  struct object *it = make(type);
  it->number = number;
  return it;
}

xpc_object_t xpc_bool_create(bool value) { return make_number(XPC_TYPE_BOOL, value); }
xpc_object_t xpc_int64_create(int64_t value) { return make_number(XPC_TYPE_INT64, (uint64_t)value); }
xpc_object_t xpc_uint64_create(uint64_t value) { return make_number(XPC_TYPE_UINT64, value); }

xpc_object_t xpc_double_create(double value) {
  struct object *it = make(XPC_TYPE_DOUBLE);
  it->real = value;
  return it;
}

xpc_object_t xpc_string_create(const char *value) {
  if (!value) double_die("xpc_string_create: the text is NULL");
  return make_bytes(XPC_TYPE_STRING, value, strlen(value), 1);
}

xpc_object_t xpc_uuid_create(const unsigned char value[16]) { return make_bytes(XPC_TYPE_UUID, value, 16, 0); }
xpc_object_t xpc_data_create(const void *bytes, size_t length) { return make_bytes(XPC_TYPE_DATA, bytes, length, 0); }

xpc_object_t xpc_retain(xpc_object_t object) {
  struct object *it = alive(object, "xpc_retain");
  if (atomic_fetch_add(&it->refs, 1) <= 0) double_die("xpc_retain: the object is about to end");
  return object;
}

void xpc_release(xpc_object_t object) {
  struct object *it = alive(object, "xpc_release");
  int before = atomic_fetch_sub(&it->refs, 1);
  if (before <= 0) double_die("xpc_release: once too often");
  if (before != 1) return;
  if (atomic_load(&it->applying)) double_die("xpc_release: the last one, while the dictionary is applied");
  for (size_t i = 0; i < it->count; i++) {
    free(it->entries[i].key);
    xpc_release(it->entries[i].value);
  }
  free(it->entries);
  free(it->bytes);
  it->entries = NULL;
  it->bytes = NULL;
  atomic_store(&it->magic, XPC_DEAD);
  double_bury(it);
  double_add("xpc", -1);
}

xpc_type_t xpc_get_type(xpc_object_t object) { return alive(object, "xpc_get_type")->type; }

/* Values. */
static struct object *of_type(xpc_object_t object, xpc_type_t type, const char *caller) {
  if (!object) return NULL; /* Apple's getters take NULL for "not there" */
  struct object *it = alive(object, caller);
  return it->type == type ? it : NULL;
}

static uint64_t number_of(xpc_object_t object, xpc_type_t type, const char *caller) {
  struct object *it = of_type(object, type, caller);
  return it ? it->number : 0;
}

static void *bytes_of(xpc_object_t object, xpc_type_t type, const char *caller) {
  struct object *it = of_type(object, type, caller);
  return it ? it->bytes : NULL;
}

static size_t length_of(xpc_object_t object, xpc_type_t type, const char *caller) {
  struct object *it = of_type(object, type, caller);
  return it ? it->length : 0;
}

bool xpc_bool_get_value(xpc_object_t object) { return number_of(object, XPC_TYPE_BOOL, __func__); }
int64_t xpc_int64_get_value(xpc_object_t object) { return (int64_t)number_of(object, XPC_TYPE_INT64, __func__); }
uint64_t xpc_uint64_get_value(xpc_object_t object) { return number_of(object, XPC_TYPE_UINT64, __func__); }
const char *xpc_string_get_string_ptr(xpc_object_t object) { return bytes_of(object, XPC_TYPE_STRING, __func__); }
size_t xpc_string_get_length(xpc_object_t object) { return length_of(object, XPC_TYPE_STRING, __func__); }
const uint8_t *xpc_uuid_get_bytes(xpc_object_t object) { return bytes_of(object, XPC_TYPE_UUID, __func__); }
const void *xpc_data_get_bytes_ptr(xpc_object_t object) { return bytes_of(object, XPC_TYPE_DATA, __func__); }
size_t xpc_data_get_length(xpc_object_t object) { return length_of(object, XPC_TYPE_DATA, __func__); }

double xpc_double_get_value(xpc_object_t object) {
  struct object *it = of_type(object, XPC_TYPE_DOUBLE, __func__);
  return it ? it->real : 0;
}

/* Containers. */
static void append(struct object *it, char *key, struct object *value) { /* takes both over */
  if (!(it->count & (it->count - 1))) { /* room doubles at 0, 1, 2, 4, 8 ... */
    it->entries = realloc(it->entries, (it->count ? 2 * it->count : 1) * sizeof *it->entries);
    if (!it->entries) double_die("no memory");
  }
  it->entries[it->count++] = (struct entry){key, value};
}

xpc_object_t xpc_array_create(const xpc_object_t *values, size_t count) {
  struct object *it = make(XPC_TYPE_ARRAY);
  for (size_t i = 0; i < count; i++) append(it, NULL, xpc_retain(values[i]));
  return it;
}

void xpc_array_append_value(xpc_object_t array, xpc_object_t value) {
  append(container(array, XPC_TYPE_ARRAY, __func__), NULL, xpc_retain(value));
}

size_t xpc_array_get_count(xpc_object_t array) {
  struct object *it = of_type(array, XPC_TYPE_ARRAY, __func__);
  return it ? it->count : 0;
}

xpc_object_t xpc_array_get_value(xpc_object_t array, size_t index) {
  struct object *it = container(array, XPC_TYPE_ARRAY, __func__);
  if (index >= it->count) double_die("%s: entry %zu of %zu", __func__, index, it->count);
  return it->entries[index].value;
}

static struct entry *find(xpc_object_t dictionary, const char *key, const char *caller) {
  struct object *it = container(dictionary, XPC_TYPE_DICTIONARY, caller);
  if (!key) double_die("%s: the key is NULL", caller);
  for (size_t i = 0; i < it->count; i++) {
    if (!strcmp(it->entries[i].key, key)) return &it->entries[i];
  }
  return NULL;
}

/* Takes the value's reference over; NULL removes. */
static void put(xpc_object_t dictionary, const char *key, struct object *value, const char *caller) {
  struct entry *entry = find(dictionary, key, caller);
  struct object *it = dictionary;
  if (atomic_load(&it->applying)) double_die("%s: \"%s\" is set while the dictionary is applied", caller, key);
  if (!value) {
    if (!entry) return;
    free(entry->key);
    xpc_release(entry->value);
    for (it->count--; entry < it->entries + it->count; entry++) *entry = entry[1];
  } else if (entry) {
    xpc_release(entry->value);
    entry->value = value;
  } else {
    char *copy = strdup(key);
    if (!copy) double_die("no memory");
    append(it, copy, value);
  }
}

xpc_object_t xpc_dictionary_create(const char *const *keys, const xpc_object_t *values, size_t count) {
  struct object *it = make(XPC_TYPE_DICTIONARY);
  for (size_t i = 0; i < count; i++) put(it, keys[i], xpc_retain(values[i]), __func__);
  return it;
}

void xpc_dictionary_set_value(xpc_object_t dictionary, const char *key, xpc_object_t value) {
  put(dictionary, key, value ? xpc_retain(value) : NULL, __func__);
}

void xpc_dictionary_set_bool(xpc_object_t dictionary, const char *key, bool value) {
  put(dictionary, key, xpc_bool_create(value), __func__);
}

void xpc_dictionary_set_int64(xpc_object_t dictionary, const char *key, int64_t value) {
  put(dictionary, key, xpc_int64_create(value), __func__);
}

void xpc_dictionary_set_uint64(xpc_object_t dictionary, const char *key, uint64_t value) {
  put(dictionary, key, xpc_uint64_create(value), __func__);
}

void xpc_dictionary_set_double(xpc_object_t dictionary, const char *key, double value) {
  put(dictionary, key, xpc_double_create(value), __func__);
}

void xpc_dictionary_set_string(xpc_object_t dictionary, const char *key, const char *value) {
  put(dictionary, key, xpc_string_create(value), __func__);
}

void xpc_dictionary_set_uuid(xpc_object_t dictionary, const char *key, const unsigned char value[16]) {
  put(dictionary, key, xpc_uuid_create(value), __func__);
}

void xpc_dictionary_set_data(xpc_object_t dictionary, const char *key, const void *bytes, size_t length) {
  put(dictionary, key, xpc_data_create(bytes, length), __func__);
}

static xpc_object_t value_of(xpc_object_t dictionary, const char *key, const char *caller) {
  struct entry *entry = find(dictionary, key, caller);
  return entry ? entry->value : NULL;
}

xpc_object_t xpc_dictionary_get_value(xpc_object_t dictionary, const char *key) {
  return value_of(dictionary, key, __func__);
}

bool xpc_dictionary_get_bool(xpc_object_t dictionary, const char *key) {
  return xpc_bool_get_value(value_of(dictionary, key, __func__));
}

int64_t xpc_dictionary_get_int64(xpc_object_t dictionary, const char *key) {
  return xpc_int64_get_value(value_of(dictionary, key, __func__));
}

uint64_t xpc_dictionary_get_uint64(xpc_object_t dictionary, const char *key) {
  return xpc_uint64_get_value(value_of(dictionary, key, __func__));
}

const char *xpc_dictionary_get_string(xpc_object_t dictionary, const char *key) {
  return xpc_string_get_string_ptr(value_of(dictionary, key, __func__));
}

const uint8_t *xpc_dictionary_get_uuid(xpc_object_t dictionary, const char *key) {
  return xpc_uuid_get_bytes(value_of(dictionary, key, __func__));
}

size_t xpc_dictionary_get_count(xpc_object_t dictionary) {
  return container(dictionary, XPC_TYPE_DICTIONARY, __func__)->count;
}

bool xpc_dictionary_apply(xpc_object_t dictionary, xpc_dictionary_applier_t applier) {
  static atomic_uint place;
  struct object *it = container(dictionary, XPC_TYPE_DICTIONARY, __func__);
  if (!applier) double_die("%s: the block is NULL", __func__);
  size_t first = atomic_fetch_add(&place, 1);
  bool all = true;
  atomic_fetch_add(&it->applying, 1);
  for (size_t i = 0; i < it->count && all; i++) {
    const struct entry *entry = &it->entries[(first + i) % it->count];
    all = applier(entry->key, entry->value);
  }
  atomic_fetch_sub(&it->applying, 1);
  return all;
}
