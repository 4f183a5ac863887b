// SPDX-License-Identifier: MIT
/* rule.c - drop rules: a filter, and what matches goes no further. */
#include <stdlib.h>

#include "tap.h"
#include "vmnet_shim.h"

struct rule {
  struct vn_object object; /* first */
  struct vn_hook hook;
};

static void rule_close(struct vn_object *object) {
  vn_hook_end(&((struct rule *)object)->hook);
  vn_release(object);
}

static void rule_destroy(struct vn_object *object) {
  vn_hook_free(&((struct rule *)object)->hook);
  free(object);
}

static const struct vn_class rule_class = {.kind = VN_RULE, .close = rule_close, .destroy = rule_destroy};

static uint32_t read_options(struct vn_job *job, struct vn_hook *hook, char filter[VN_FILTER_TEXT]) {
  struct vn_reader reader;
  struct vn_entry entry;
  uint32_t status = VN_OK;
  vn_list_read(&reader, job->options, job->options_length);
  while (status == VN_OK && vn_list_next(&reader, &entry))
    if ((status = vn_hook_read(job, &entry, hook, filter)) == VN_NOT_FOUND) status = vn_hook_unknown(job, &entry);
  return status;
}

uint32_t vn_rule_add(struct vn_job *job, struct vn_board *board) {
  char filter[VN_FILTER_TEXT] = "";
  struct rule *rule = calloc(1, sizeof *rule);
  if (rule == NULL) return vn_fail(job, VN_NO_MEMORY, NULL, "memory ran out");
  vn_object_init(&rule->object, &rule_class, job->doorbell);
  rule->hook.object = &rule->object;
  uint32_t status = read_options(job, &rule->hook, filter);
  if (status == VN_OK) return vn_hook_begin(job, &rule->hook, board, filter);
  vn_release(&rule->object);
  return status;
}

void vn_rule_stop(struct vn_object *rule) { vn_hook_stop(&((struct rule *)rule)->hook); }

uint32_t vn_rule_get(struct vn_object *object, uint32_t what, struct vn_writer *out) {
  const struct vn_hook *hook = &((struct rule *)object)->hook;
  if (what == VN_GET_STATE) {
    uint32_t status = vn_counted(&hook->status);
    vn_write_number(out, "status", status);
    if (status != VN_OK) vn_write_text(out, "message", status == VN_GONE ? "The network ended" : "The rule ended");
    return VN_OK;
  }
  if (what != VN_GET_STATS) return VN_BAD_CALL;
  vn_write_number(out, "matched", vn_counted(&hook->matched));
  vn_write_number(out, "dropped", vn_counted(&hook->dropped));
  return VN_OK;
}
