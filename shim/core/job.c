// SPDX-License-Identifier: MIT
/* job.c - what a backend says about the job it was given. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "operation.h"
#include "vmnet_shim.h"

bool vn_job_abandoned(const struct vn_job *job) { return vn_atomic_load(job->state) > VN_DONE; }

uint32_t vn_fail(struct vn_job *job, uint32_t status, const char *field, const char *message) {
  if (field) vn_write_text(&job->result, "field", field);
  vn_write_text(&job->result, "message", message);
  return status;
}

uint32_t vn_fail_needs(struct vn_job *job, uint32_t status, const char *needs, const char *message) {
  vn_write_text(&job->result, "needs", needs);
  return vn_fail(job, status, NULL, message);
}

uint32_t vn_fail_errno(struct vn_job *job, const char *message, int error) {
  char reason[128] = "", text[512];
  if (strerror_r(error, reason, sizeof reason)) reason[0] = 0;
  snprintf(text, sizeof text, "%s: %s", message, reason);
  vn_write_number(&job->result, "errno", (uint64_t)error);
  bool exhausted = error == ENOMEM || error == EMFILE || error == ENFILE || error == EAGAIN || error == ENOBUFS;
  return vn_fail(job, exhausted ? VN_NO_MEMORY : error == EADDRINUSE ? VN_IN_USE : VN_SYSTEM, NULL, text);
}
