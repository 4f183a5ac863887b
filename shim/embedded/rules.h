// SPDX-License-Identifier: MIT
/* rules.h - options by table: which key takes what, and where its value goes. */
#ifndef VN_EMBEDDED_RULES_H
#define VN_EMBEDDED_RULES_H

#include "options.h"

enum vn_rule_kind {
  VN_RULE_NUMBER,  /* uint32_t, from least to most */
  VN_RULE_FLAG,    /* bool */
  VN_RULE_BYTES,   /* most bytes */
  VN_RULE_IPV4,    /* uint32_t */
  VN_RULE_PRIVATE, /* the same, of RFC 1918 */
  VN_RULE_MASK,    /* the same, ones and then zeros */
  VN_RULE_PREFIX,  /* eight bytes of an IPv6 prefix */
};

struct vn_rule {
  const char *key;
  enum vn_rule_kind kind;
  size_t offset;
  uint32_t least, most;
};

/* Stores the value where its rule says. VN_NOT_FOUND when no rule has that key. */
uint32_t vn_rules_apply(const struct vn_rule *rules, size_t count, void *out, const struct vn_entry *entry,
                        struct vn_refusal *why);
uint32_t vn_rule_broken(const struct vn_entry *entry, const char *message, struct vn_refusal *why);
bool vn_key_is(const struct vn_entry *entry, const char *key);
bool vn_text_of(const struct vn_entry *entry, char out[VN_ADDRESS_TEXT]);

#endif
