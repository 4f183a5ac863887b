// SPDX-License-Identifier: MIT
/*
 * rules.c - one look at the table per option: the key is found, the type and range are checked, the value is
 * stored.
 */
#include "rules.h"

#include <string.h>

#include "vmnet_shim.h"

bool vn_key_is(const struct vn_entry *entry, const char *key) {
  return entry->key_length == strlen(key) && memcmp(entry->key, key, entry->key_length) == 0;
}

bool vn_text_of(const struct vn_entry *entry, char out[VN_ADDRESS_TEXT]) {
  return entry->type == VN_TEXT && vn_entry_text(entry, out, VN_ADDRESS_TEXT);
}

uint32_t vn_rule_broken(const struct vn_entry *entry, const char *message, struct vn_refusal *why) {
  vn_refuse(why, VN_BAD_OPTION, NULL, message);
  size_t length = entry->key_length < sizeof why->field - 1 ? entry->key_length : sizeof why->field - 1;
  memcpy(why->field, entry->key, length);
  return VN_BAD_OPTION;
}

static bool store(const struct vn_rule *rule, void *at, const struct vn_entry *entry) {
  char text[VN_ADDRESS_TEXT];
  uint64_t number = vn_entry_number(entry);
  uint32_t address, bits;
  switch (rule->kind) {
    case VN_RULE_NUMBER:
      if (entry->type != VN_NUMBER || number < rule->least || number > rule->most) return false;
      *(uint32_t *)at = (uint32_t)number;
      return true;
    case VN_RULE_FLAG:
      if (entry->type != VN_NUMBER || number > 1) return false;
      *(bool *)at = number != 0;
      return true;
    case VN_RULE_BYTES:
      if (entry->type != VN_BYTES || entry->length != rule->most) return false;
      memcpy(at, entry->value, entry->length);
      return true;
    case VN_RULE_PREFIX: return vn_text_of(entry, text) && vn_prefix_parse(text, at);
    default:
      if (!vn_text_of(entry, text) || !vn_ipv4_parse(text, &address)) return false;
      *(uint32_t *)at = address;
      if (rule->kind == VN_RULE_MASK) return vn_mask_bits(address, &bits);
      return rule->kind == VN_RULE_IPV4 || vn_ipv4_private(address);
  }
}

uint32_t vn_rules_apply(const struct vn_rule *rules, size_t count, void *out, const struct vn_entry *entry,
                        struct vn_refusal *why) {
  for (size_t i = 0; i < count; i++)
    if (vn_key_is(entry, rules[i].key)) {
      bool good = store(&rules[i], (char *)out + rules[i].offset, entry);
      return good ? VN_OK : vn_rule_broken(entry, "this value is not allowed", why);
    }
  return VN_NOT_FOUND;
}
