// SPDX-License-Identifier: MIT
/* paths.c - files of macOS. In a file of its own: the doubles have files of their own in its place. */
#include "system.h"

const char *vn_mac_leases_path(void) { return "/var/db/dhcpd_leases"; }
