// SPDX-License-Identifier: MIT
/*
 * system.h - what this Mac is and allows, and how an answer of vmnet becomes one of ours.
 *
 * Whatever is newer than macOS 12 is a weak import: vn_mac_has() is false where it is absent. Keys go by symbol, else
 * by
 * their literal value, which is the symbol's name without "_key".
 */
#ifndef VN_DARWIN_SYSTEM_H
#define VN_DARWIN_SYSTEM_H

#include <vmnet/vmnet.h>

#include "core/backend.h"

#define vn_mac_has(function) (&(function) != NULL)

uint32_t vn_mac_version(void);  /* 100 x major + minor, 2600 for macOS 26.0; 0: not known */
bool vn_mac_version_text(char *out, size_t capacity); /* "26.1" */
bool vn_mac_is_root(void);
bool vn_mac_is_entitled(void);  /* the running executable has com.apple.security.virtualization */
bool vn_mac_needs_host(void);   /* macOS 26, no root, no entitlement: vmnet-host has to do it */
bool vn_mac_is_quarantined(const char *path);
bool vn_mac_library_path(char *out, uint32_t capacity);
bool vn_mac_beside(const char *name, char *out, uint32_t capacity); /* path of a file next to this library */
const char *vn_mac_leases_path(void); /* /var/db/dhcpd_leases */

/* The key to use for a literal such as "vmnet_mtu": the framework's own text when it has the symbol. */
const char *vn_mac_key(const char *literal, uint32_t length);
/* Options to a dictionary, which the caller releases; VN_OK or the job's failure. with_network: only the five keys that
 * vmnet_interface_start_with_network() takes. */
uint32_t vn_mac_description(struct vn_job *job, const uint8_t *options, uint32_t length, bool with_network,
                            xpc_object_t *out);
/* All entries of a dictionary to a list, those of unknown keys too. */
void vn_mac_parameters(xpc_object_t dictionary, struct vn_writer *out);

/* An answer of vmnet as the job's failure, with what it really means here: 1001 without root, 1002 without entitlement.
 * */
uint32_t vn_mac_fail(struct vn_job *job, vmnet_return_t status, const char *what);
uint32_t vn_mac_fail_version(struct vn_job *job, const char *field, const char *version); /* "needs macOS 26" */

/*
 * A call whose completion comes later, in a block: waits for it until the job's deadline or abandonment, forever safe.
 * wait = vn_mac_wait_new(); pass it to the block; vn_mac_wait_done(wait, status) there; vn_mac_wait() here answers
 * whether
 * it came. Two references: the block's (dropped by done) and the caller's (vn_mac_wait_release).
 */
struct vn_mac_wait;
struct vn_mac_wait *vn_mac_wait_new(void);
bool vn_mac_wait_done(struct vn_mac_wait *wait, uint32_t status); /* false: nobody waits any more, undo it */
bool vn_mac_wait(struct vn_mac_wait *wait, struct vn_job *job, uint32_t *status); /* false: late or abandoned */
void vn_mac_wait_release(struct vn_mac_wait *wait);
uint32_t vn_mac_waits_alive(void); /* in the whole process */

uint32_t vn_mac_probe(struct vn_job *job);             /* VN_OP_PROBE */
uint32_t vn_mac_shared_interfaces(struct vn_job *job); /* VN_OP_SHARED_INTERFACES */

/* forward.c: VN_OP_FORWARD_* of an interface. */
struct vn_mac_nic;
uint32_t vn_mac_forward(struct vn_job *job, struct vn_mac_nic *nic);

#endif
