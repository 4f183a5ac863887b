// SPDX-License-Identifier: MIT
/*
 * model_vmnet.h - vmnet as an actor: what darwin/nic_source.c reads from, writes to, and is told events by.
 *
 * Each interface has its own manners, by chance: an event for each frame, or only for the first one after a read that
 * said
 * "none"; events that come late, that stand for several, that come several times, that are dropped when a later one
 * stands
 * for them, and storms that go on until somebody has read. Writes are refused for want of buffers (1007) and, as a
 * whole,
 * for one bad frame. Whoever leaves a descriptor as the last call left it, or calls after the stop, fails.
 *
 * It needs the Blocks of clang, for vmnet's declarations; without them the model runs with rings alone.
 */
#ifndef VN_MODEL_VMNET_H
#define VN_MODEL_VMNET_H

#include "model_things.h"

void vmnet_init(struct thing *thing, const struct vn_class *class, struct vn_doorbell *doorbell);
void *vmnet_producer(void *thing);
void *vmnet_events(void *thing);    /* the serial queue that the event block runs on */
void vmnet_stop(struct thing *thing); /* any number of times */
void vmnet_free(struct thing *thing);
void vmnet_settle(struct thing *thing); /* bad frames at the end were sent to nowhere */

#endif
