// SPDX-License-Identifier: MIT
/* handle.h - the handle table as the rest of core/ sees it; what backends use of it is in object.h. */
#ifndef VN_CORE_HANDLE_H
#define VN_CORE_HANDLE_H

#include "object.h"

int vn_handles_init(void);
uint32_t vn_handles_used(void);

#endif
