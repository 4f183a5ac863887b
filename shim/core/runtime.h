// SPDX-License-Identifier: MIT
/* runtime.h - what core/ has once per process. */
#ifndef VN_CORE_RUNTIME_H
#define VN_CORE_RUNTIME_H

#include "os.h"

int vn_runtime_init(void);   /* 0 or a vn_status; only the first call does something */
bool vn_runtime_ready(void); /* vn_runtime_init() succeeded */
bool vn_runtime_closing(void);
uint32_t vn_runtime_shutdown(uint32_t ms);
/* runtime_process.c: keeps the library mapped and has exit() call vn_runtime_exit(). */
void vn_runtime_pin(void);
void vn_runtime_exit(void);

#endif
