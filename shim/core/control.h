// SPDX-License-Identifier: MIT
/* control.h - the control threads: they run operations, which may block. */
#ifndef VN_CORE_CONTROL_H
#define VN_CORE_CONTROL_H

#include "os.h"

struct vn_operation;

#define VN_CONTROL_THREADS 8
#define VN_CONTROL_QUEUE 1024

int vn_control_init(void);
/* Takes over one reference, unless it answers a vn_status. */
int vn_control_submit(struct vn_operation *operation);
/* Ends operations whose deadline is not after now, or all of them, and drops abandoned ones that still wait. Answers
 * the
 * next deadline, 0 if there is none. */
uint64_t vn_control_sweep(uint64_t now, bool all);
uint32_t vn_control_running(void); /* operations in the hands of a backend */
uint32_t vn_control_threads(void);

#endif
