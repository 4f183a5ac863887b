// SPDX-License-Identifier: MIT
/* probe.c - what works on this Mac, asked without starting anything, and which interfaces vmnet can bridge with. */
#include <limits.h>

#include "calls.h"
#include "system.h"
#include "vmnet_shim.h"

uint32_t vn_mac_probe(struct vn_job *job) {
  struct vn_writer *out = &job->result;
  char text[PATH_MAX];
  vn_write_text(out, "backend", "vmnet");
  vn_write_number(out, "uid", geteuid());
  if (vn_mac_version_text(text, sizeof text)) vn_write_text(out, "macos", text);
  vn_write_number(out, "root", vn_mac_is_root());
  vn_write_number(out, "entitled", vn_mac_is_entitled());
  vn_write_number(out, "networks", vn_mac_has(vmnet_network_create));
  vn_write_number(out, "host", vn_mac_needs_host());
  if (vn_mac_library_path(text, sizeof text)) {
    vn_write_text(out, "libraryPath", text);
    vn_write_number(out, "quarantined", vn_mac_is_quarantined(text));
  }
  if (vn_mac_beside("vmnet-host", text, sizeof text) && access(text, X_OK) == 0) vn_write_text(out, "hostPath", text);
  return VN_OK;
}

uint32_t vn_mac_shared_interfaces(struct vn_job *job) {
  xpc_object_t names = vmnet_copy_shared_interface_list();
  if (names == NULL) return VN_OK;
  size_t count = xpc_get_type(names) == XPC_TYPE_ARRAY ? xpc_array_get_count(names) : 0;
  for (size_t i = 0; i < count; i++) {
    xpc_object_t name = xpc_array_get_value(names, i);
    const char *text = xpc_get_type(name) == XPC_TYPE_STRING ? xpc_string_get_string_ptr(name) : NULL;
    if (text != NULL) vn_write_text(&job->result, "interface", text);
  }
  xpc_release(names);
  return VN_OK;
}
