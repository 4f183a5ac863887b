// SPDX-License-Identifier: MIT
/*
 * system.c - what this Mac is: its version, and what the running program may do.
 *
 * An entitlement counts for the program that runs, never for a library that it loads. The kernel tells it by csops(),
 * as
 * the XML text of the signature.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* dladdr() */
#endif
#include "system.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"

#define ENTITLEMENTS_MOST (64u << 10) /* those of a runtime take about 1 KiB */

bool vn_mac_version_text(char *out, size_t capacity) {
  size_t length = capacity - 1;
  if (sysctlbyname("kern.osproductversion", out, &length, NULL, 0) != 0) length = 0;
  out[length < capacity ? length : capacity - 1] = 0;
  /* To programs that were linked for an older system macOS 26 may call itself 16, a version that there never was. */
  if (strncmp(out, "16", 2) == 0 && (out[2] == '.' || out[2] == 0)) out[0] = '2';
  return out[0] != 0;
}

uint32_t vn_mac_version(void) {
  char text[32], *rest;
  if (!vn_mac_version_text(text, sizeof text)) return 0;
  unsigned long major = strtoul(text, &rest, 10);
  unsigned long minor = *rest == '.' ? strtoul(rest + 1, NULL, 10) : 0;
  return (uint32_t)(major * 100 + (minor < 100 ? minor : 99));
}

bool vn_mac_is_root(void) { return geteuid() == 0; }

/* Whether the list, a text, has <key>name</key> <true/>. */
static bool has_true(const char *list, const char *name) {
  for (const char *at = list; (at = strstr(at, "<key>")) != NULL;) {
    at += strlen("<key>");
    if (strncmp(at, name, strlen(name)) != 0 || strncmp(at + strlen(name), "</key>", strlen("</key>")) != 0) continue;
    at += strlen(name) + strlen("</key>");
    at += strspn(at, " \t\r\n");
    return strncmp(at, "<true/>", strlen("<true/>")) == 0;
  }
  return false;
}

bool vn_mac_is_entitled(void) {
  char *blob = calloc(1, ENTITLEMENTS_MOST + 1); /* and a terminator */
  if (blob == NULL) return false;
  bool known = csops(getpid(), CS_OPS_ENTITLEMENTS_BLOB, blob, ENTITLEMENTS_MOST) == 0;
  bool entitled = known && has_true(blob + CS_BLOB_HEADER, "com.apple.security.virtualization");
  free(blob);
  return entitled;
}

bool vn_mac_needs_host(void) {
  bool since_26 = vn_mac_version() >= 2600 || vn_mac_has(vmnet_network_create);
  return since_26 && !vn_mac_is_root() && !vn_mac_is_entitled();
}

bool vn_mac_is_quarantined(const char *path) { return getxattr(path, "com.apple.quarantine", NULL, 0, 0, 0) >= 0; }

bool vn_mac_library_path(char *out, uint32_t capacity) {
  Dl_info info;
  char path[PATH_MAX];
  if (dladdr((void *)(uintptr_t)vn_mac_library_path, &info) == 0 || info.dli_fname == NULL) return false;
  if (realpath(info.dli_fname, path) == NULL || strlen(path) >= capacity) return false;
  strcpy(out, path);
  return true;
}

bool vn_mac_beside(const char *name, char *out, uint32_t capacity) {
  if (!vn_mac_library_path(out, capacity)) return false;
  char *end = strrchr(out, '/') + 1; /* realpath() begins with one */
  if ((size_t)(end - out) + strlen(name) >= capacity) return false;
  strcpy(end, name);
  return true;
}
