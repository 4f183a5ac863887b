// SPDX-License-Identifier: MIT
/*
 * fact.h - how the headers in sdk/ say what macOS's own headers say, in a form that a Mac can check.
 *
 * Theory of operation. Each fact is written once and read in two ways. In the cross build, which has no other headers,
 * it is a declaration. On a Mac (VN_SDK_CHECK), where the system's header comes first, it is an assertion: functions,
 * variables and types are declared a second time, which the compiler refuses when they differ; constants, offsets and
 * sizes are compared. What the system's header is too old to have gets declared there, too.
 */
#ifndef VN_SDK_FACT_H
#define VN_SDK_FACT_H

#if defined(__APPLE__) && __has_include(<TargetConditionals.h>)
#define VN_SDK_CHECK /* there is an SDK */
#endif

#ifdef VN_SDK_CHECK
#define VN_CONSTANT(name, value) _Static_assert((long)(name) == (long)(value), #name);
/* An enumeration of the system's, for which this is only the size of. */
#define VN_ENUM_TYPE(type, name) _Static_assert(sizeof(name) == sizeof(type), #name);
#define VN_OUR_FIELD(s, type, field, array) type field array;
#define VN_AT(s, field) __builtin_offsetof(struct s, field)
#define VN_SIZE(s, field) sizeof(((struct s *)0)->field)
#define VN_SAME_FIELD(s, type, field, array)                                                \
  _Static_assert(VN_AT(vn_our_##s, field) == VN_AT(s, field), "place of " #s "." #field); \
  _Static_assert(VN_SIZE(vn_our_##s, field) == VN_SIZE(s, field), "size of " #s "." #field);
#define VN_STRUCT(s, fields)                                                          \
  struct vn_our_##s {                                                                 \
    fields(VN_OUR_FIELD, s)                                                           \
  };                                                                                  \
  _Static_assert(sizeof(struct vn_our_##s) == sizeof(struct s), "size of " #s);       \
  _Static_assert(_Alignof(struct vn_our_##s) == _Alignof(struct s), "alignment of " #s); \
  fields(VN_SAME_FIELD, s)
#else
#define VN_CONSTANT(name, value) enum { name = (value) };
#define VN_ENUM_TYPE(type, name) typedef type name;
#define VN_FIELD(s, type, field, array) type field array;
#define VN_STRUCT(s, fields)  \
  struct s {                  \
    fields(VN_FIELD, s)       \
  };
#endif

#endif
