// SPDX-License-Identifier: MIT
/* keeper.h - the one thread that keeps the time: it ends operations whose deadline passed. */
#ifndef VN_CORE_KEEPER_H
#define VN_CORE_KEEPER_H

#include "os.h"

int vn_keeper_init(void);
int vn_keeper_enter(void); /* a context more: starts the thread when there is none; 0 or a vn_status */
void vn_keeper_leave(void);
void vn_keeper_kick(void); /* a deadline was added */
bool vn_keeper_runs(void);

#endif
