// SPDX-License-Identifier: MIT
/*
 * filter.h - pcap filter expressions, compiled by libpcap, which is opened at run time when the first one is.
 *
 * Compiling may take long and runs on a control thread. Matching runs on a network's thread, on Ethernet frames
 * without their virtio header.
 */
#ifndef VN_PLANE_FILTER_H
#define VN_PLANE_FILTER_H

#include "core/backend.h"

#define VN_FILTER_TEXT 4096u /* longest expression, with its terminator */

struct vn_filter;

/* Control threads; may block as long as the system takes to look up a name. NULL for an empty expression, which matches
 * everything. VN_OK or the job's failure: VN_MISSING without libpcap, VN_BAD_OPTION "filter" in libpcap's words. */
uint32_t vn_filter_compile(struct vn_job *job, const char *expression, struct vn_filter **out);
void vn_filter_free(struct vn_filter *filter);
/* Any thread; NULL matches. Costs 10 to 20 ns for expressions of a few words. */
bool vn_filter_matches(const struct vn_filter *filter, const uint8_t *frame, uint32_t length);

#endif
