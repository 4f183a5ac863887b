// SPDX-License-Identifier: MIT
/*
 * model_script.h - the script: an actor that behaves like the JavaScript loop, and what it has in hand.
 *
 * It sleeps until the doorbell has a byte, polls, drains each ready port up to four times and comes back by itself if
 * there was more, sends until a port takes less, and fetches what is done. All else is chance: how much is moved,
 * interest that goes off and on, deadlines, cancels, and the moment it closes.
 */
#ifndef VN_MODEL_SCRIPT_H
#define VN_MODEL_SCRIPT_H

#include "model_things.h"

enum { OPERATIONS = 6, THINGS = 6 };

extern struct script {
  int32_t context;
  int bell;
  uint32_t polls;
  bool finishing, idle; /* idle: asleep on the doorbell */
  struct {
    int32_t handle;
    int32_t target;
    uint32_t op;
    bool deadline;
  } operations[OPERATIONS];
  struct {
    int32_t handle;
    struct thing *thing;
    bool port, pending, writable, heard, off;
    uint32_t to_send;
    uint64_t retry; /* when a full buffer of vmnet's is tried again, which announces nothing; 0: not */
  } things[THINGS];
  uint32_t begun;
} script;

void *script_body(void *unused);

#endif
