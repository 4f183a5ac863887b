// SPDX-License-Identifier: MIT
/*
 * errors.c - what vmnet's answers really mean.
 *
 * vmnet says "failure" and "out of memory" for most of what can be wrong, so privileges are looked at first. The causes
 * are
 * those that users of vmnet have reported; none of them was seen on hardware by this project.
 */
#include <stdio.h>

#include "system.h"
#include "vmnet_shim.h"

static const char root_or_entitlement[] = "root, or com.apple.security.virtualization in the program's signature";

/* A sentence for what is probably wrong; needs is set when a privilege is. */
static const char *cause(vmnet_return_t status, const char **needs) {
  bool since_26 = vn_mac_version() >= 2600, allowed = vn_mac_is_root() || (since_26 && vn_mac_is_entitled());
  bool denied = status == VMNET_FAILURE || status == VMNET_MEM_FAILURE || status == VMNET_INVALID_ACCESS ||
                status == VMNET_NOT_AUTHORIZED;
  if (denied && !allowed) {
    *needs = since_26 ? root_or_entitlement : "root";
    return !since_26 ? "before macOS 26 only root may use vmnet"
                     : "this program may not use vmnet: it is not root, and com.apple.security.virtualization is not in its "
                       "signature";
  }
  switch (status) {
    case VMNET_FAILURE:
      return "vmnet failed: the subnet may be taken by another program, or Internet Sharing may hang until a restart";
    case VMNET_MEM_FAILURE: return "vmnet says that memory ran out: a sandbox may keep the program from vmnet";
    case VMNET_INVALID_ARGUMENT: return "vmnet does not take these options together";
    case VMNET_SETUP_INCOMPLETE: return "vmnet says that the interface is not ready";
    case VMNET_INVALID_ACCESS: return "vmnet denies access";
    case VMNET_SHARING_SERVICE_BUSY: return "Internet Sharing is on: turn it off in System Settings, General, Sharing";
    case VMNET_NOT_AUTHORIZED: return "vmnet says that this program is not authorized";
    default: return "vmnet refused";
  }
}

uint32_t vn_mac_fail(struct vn_job *job, vmnet_return_t status, const char *what) {
  const char *needs = NULL, *why = cause(status, &needs);
  char text[320];
  snprintf(text, sizeof text, "%s: %s (%u)", what, why, status);
  if (needs != NULL) vn_write_text(&job->result, "needs", needs);
  /* NULL without a status happens; success it is not. */
  return vn_fail(job, status == VN_OK || status == VMNET_SUCCESS ? (uint32_t)VMNET_FAILURE : status, NULL, text);
}

uint32_t vn_mac_fail_version(struct vn_job *job, const char *field, const char *version) {
  char text[64];
  snprintf(text, sizeof text, "it needs macOS %s", version);
  vn_write_text(&job->result, "needs", text + sizeof "it needs" );
  return vn_fail(job, VN_UNSUPPORTED, field, text);
}
