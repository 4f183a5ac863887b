// SPDX-License-Identifier: MIT
/*
 * backend.h - what a backend is: it carries out operations, on control threads where it may block.
 *
 * Theory of operation. vn_call() copies the options and queues the operation; a control thread hands it to the backend.
 * The backend fills in the reply: entries of the result list, a status, and for operations that make something the new
 * object with one reference. When nobody wants the result any more (deadline, cancel, closed context), core/ closes
 * that object at once through its class, so a late success leaves nothing behind. A long wait should end when
 * vn_job_abandoned() says so, or at the job's deadline.
 */
#ifndef VN_CORE_BACKEND_H
#define VN_CORE_BACKEND_H

#include "list.h"
#include "object.h"

struct vn_loan;
struct vn_port;

struct vn_job {
  uint32_t op;              /* VN_OP_* */
  struct vn_object *target; /* a context, network, interface or share; held for the job's life */
  struct vn_object *other;  /* the interface whose handle is under "object" in the options, held too; NULL: none */
  struct vn_port *lent;     /* the interface that core/ took from the script for this job. lend() sets it to NULL when it
                             * has it; what is left here when the job ends goes back */
  struct vn_doorbell *doorbell; /* where objects that the job makes signal */
  const uint8_t *options;
  uint32_t options_length;
  uint64_t deadline_ns;     /* monotonic; 0: none */
  vn_atomic_u32 *state;     /* core's */
  /* Descriptors that change hands with the reply; -1: none. */
  int taken; /* the script's own, which is closed when it fetches the success, if it is still that file */
  struct vn_file_id taken_file;
  int given; /* of the backend's making, the script's when it fetches the success; closed if it never does */

  /* The reply. */
  struct vn_writer result;
  struct vn_object *made; /* for operations that make something: one reference */
};

struct vn_backend {
  const char *name;
  /* Runs on a control thread. Answers VN_OK or a vn_status; details are written to job->result ("status" and "handle"
   * are added by core/). VN_OP_STOP never fails for good: whatever it answers, the object has ended. It may come twice,
   * also at the same time, and must then answer VN_OK twice; class->close() follows it. */
  uint32_t (*run)(struct vn_job *job);
  /* vn_get() for objects of this backend; must not block. VN_OK or a vn_status. VN_GET_STATE and
   * VN_GET_ESTIMATE of an interface are answered by port.c and never come here; to its VN_GET_STATS port.c has added
   * its
   * own numbers before. */
  uint32_t (*get)(struct vn_object *object, uint32_t what, struct vn_writer *out);
  /* Begins the end of everything (vn_shutdown(), process exit); alive() answers how many objects are left. May be
   * called
   * again, and objects may be made again afterwards. */
  void (*shutdown)(void);
  uint32_t (*alive)(void);
  /* Puts an interface of the script on a switch's network (plane/loan.h), which is its one consumer until it comes
   * back;
   * blocks. VN_OK or the job's failure. */
  uint32_t (*lend)(struct vn_job *job, struct vn_object *interface, const struct vn_loan *loan);
  int (*init)(void); /* or NULL: what it needs once per process, before anything else; VN_OK or a vn_status */
};

extern const struct vn_backend *vn_backend(void); /* the one that this build uses */
bool vn_job_abandoned(const struct vn_job *job);

/* "message" and friends in one line. */
uint32_t vn_fail(struct vn_job *job, uint32_t status, const char *field, const char *message);
uint32_t vn_fail_errno(struct vn_job *job, const char *message, int error);
uint32_t vn_fail_needs(struct vn_job *job, uint32_t status, const char *needs, const char *message);

#endif
