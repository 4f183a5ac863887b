// SPDX-License-Identifier: MIT
/*
 * core_fake.h - a backend that does as it is told, and the few calls that tests of core/ repeat.
 *
 * Numbers among the options script it: "delay" (ms before it answers; gives up when abandoned, unless "stubborn"),
 * "hang" (until fake_let_go()), "fail" (a vn_status, with a message), "room" (bytes that it leaves for core/ in the
 * result), "keep" (1: the interface that it was lent, until the test takes it by fake_lent()), "take" and "give"
 * (descriptors
 * that change hands). Whatever it makes is counted by fake_alive().
 */
#ifndef VN_CORE_FAKE_H
#define VN_CORE_FAKE_H

#include "backend.h"
#include "port.h"
#include "vmnet_shim.h"

struct fake_interface {
  struct vn_ring_port ends; /* first */
  vn_atomic_u32 ended;      /* 1: stopped or closed */
  vn_atomic_u32 pokes;      /* calls of wake() */
};

uint32_t fake_alive(void);   /* objects that were made and have not ended */
uint32_t fake_made(void);    /* objects that were ever made */
uint32_t fake_hanging(void); /* operations that hang at this moment */
void fake_let_go(void);
struct vn_port *fake_lent(void); /* what was kept last, once */
void fake_add_events(uint32_t count); /* for the next VN_GET_EVENTS of any network */
struct fake_interface *fake_interface_of(int32_t handle);

/* Options as text: fake_options("delay", 5, "stubborn", 1, NULL). Answers a static buffer. */
struct fake_list {
  uint8_t bytes[1024];
  uint32_t length;
};
struct fake_list fake_options(const char *key, ...);
int32_t fake_call(int32_t target, uint32_t op, struct fake_list options, uint32_t deadline_ms);
/* Waits for an operation's end, fetches its list; answers its "status", or what vn_result() answered if that is
 * negative.
 * *handle gets "handle" if it is not NULL. */
int32_t fake_finish(int32_t context, int32_t operation, int32_t *handle);
int32_t fake_start(int32_t context); /* an interface */
bool fake_wait_bytes(int fd, int ms); /* Waits for the doorbell and reads what is there. */
uint64_t fake_stat(int32_t handle, const char *key);
uint32_t fake_threads(void); /* of this process */
uint32_t fake_descriptors(void);

#endif
