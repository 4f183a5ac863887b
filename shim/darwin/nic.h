// SPDX-License-Identifier: MIT
/*
 * nic.h - a vmnet interface: started and stopped here, read and written by whoever it belongs to.
 *
 * Theory of operation. An interface has two serial queues of its own. On events run vmnet's event block and, before it,
 * the
 * start handler; on control runs the stop sequence, which may hang without holding up anybody else. The blocks hold one
 * reference to the interface, which goes when the framework is done with it: after the stop's completion, and behind
 * the
 * last event.
 *
 * Events. The block sets pending, then tells the sink: a context's doorbell through the port's arming, or the thread of
 * a
 * switch. It takes no lock and allocates nothing. Who reads clears pending first and then reads until vmnet says
 * "none", so
 * an event that comes too late for the reading is found set. After 64 events in a row that nobody looked at, the block
 * sleeps a millisecond: vmnet goes on calling while a script is busy.
 *
 * Stopping, from any state, any number of times: the port fails, so no new call gets in; on control the callback is
 * taken
 * off, calls of vmnet_read() and vmnet_write() that are inside come out, the events queue runs dry, and only then
 * vmnet_stop_interface() is called; its completion ends the object. Calls are let in through a gate: a count with one
 * bit
 * for "closed".
 */
#ifndef VN_DARWIN_NIC_H
#define VN_DARWIN_NIC_H

#include <vmnet/vmnet.h>

#include "core/backend.h"
#include "core/port.h"
#include "leases.h"

struct vn_mac_network; /* network.h */

#define VN_GATE_CLOSED 0x80000000u
#define VN_MAC_BATCH 64u /* packets of one call: 2.5 KiB of stack, and more than that gains nothing */

struct vn_mac_nic {
  struct vn_port port; /* first */
  interface_ref ref;
  dispatch_queue_t events, control;
  struct vn_mac_network *network; /* counted; NULL: vmnet's own network of that mode */
  vn_atomic_u32 pending;          /* an event came since somebody looked */
  vn_atomic_u32 inside;           /* calls inside vmnet_read() or vmnet_write(); VN_GATE_CLOSED when no more may enter */
  vn_atomic_u32 disarmed;         /* events in a row that nobody waited for */
  vn_atomic_u64 event_count, event_frames; /* and the last estimate */
  uint32_t read_most, write_most; /* packets per call, as reported; 64 at most are asked for at once */
  uint32_t stride;                /* of a slot in an arena: the longest packet, virtio header included, in steps of 8 */
  uint32_t mode;                  /* VMNET_HOST_MODE ...; 0: the network's */
  uint32_t virtio;                /* 12 or 0 */
  /* Who hears of packets; runs on the events queue; no lock, no memory. vn_mac_nic_wake_port() for a script's. */
  void (*wake)(struct vn_mac_nic *nic);
  void *sink; /* wake's */
  struct vn_lock lock;
  bool started, unwanted, ended; /* under the lock; unwanted: to be stopped as soon as it has started */
  uint8_t *spare;               /* room for one packet, for an arena that has none */
  struct vn_writer parameters;  /* as the start handler left them for the thread that waits */
  struct vn_mac_nic *next;      /* in the list of all, for shutdown and the watchdog */
  struct vn_mac_watch {         /* watchdog.c's */
    uint64_t events, frames;    /* at its last look */
    uint32_t silent;            /* looks in a row without an event */
    bool started, woke, suspect;
    vn_atomic_u64 catches;
  } watch;
  struct vn_mac_subnet subnet; /* backend.c's, for leases */
};

/* How an interface is to be started. */
struct vn_mac_start {
  const uint8_t *options; /* a list under vmnet's keys */
  uint32_t length;
  struct vn_mac_network *network; /* or NULL */
  struct vn_doorbell *doorbell;   /* NULL: no script reads it */
  void (*wake)(struct vn_mac_nic *nic);
  void *sink;
};

/* Starts one; blocks until vmnet answers, the job's deadline, or nobody wants it any more: then a late success is
 * stopped.
 * Parameters, unknown ones too, go to the job's result. VN_OK or the job's failure. */
uint32_t vn_mac_nic_start(struct vn_job *job, const struct vn_mac_start *start, struct vn_mac_nic **out);
void vn_mac_nic_begin_stop(struct vn_mac_nic *nic);                  /* any thread; does not block */
bool vn_mac_nic_stop(struct vn_mac_nic *nic, uint64_t until_ns);     /* blocks; false: vmnet has not answered yet */
void vn_mac_nic_wake_port(struct vn_mac_nic *nic);                   /* the wake of a script's interface */
void vn_mac_nic_stats(struct vn_mac_nic *nic, struct vn_writer *out); /* "events", "watchdogCatches" beside the port's */

/* Reads up to max frames, each to its own stride of the arena, and says in *more whether to come again. Descriptors as
 * vn_drain(). Count or -status. transmit: as vn_source. Both for the one consumer, on any thread. */
int32_t vn_mac_nic_read(struct vn_mac_nic *nic, uint8_t *arena, uint32_t arena_length, uint32_t *descriptors, uint32_t max,
                        bool *more);
int32_t vn_mac_nic_write(struct vn_mac_nic *nic, const uint8_t *arena, const uint32_t *descriptors, uint32_t count);

/* A call of vmnet on this interface beside read and write, such as a forward's: let in while the interface works,
 * counted in
 * inside, so that the stop does not overtake it. Not to be held while waiting for a handler. */
bool vn_mac_nic_enter(struct vn_mac_nic *nic);
void vn_mac_nic_leave(struct vn_mac_nic *nic);

/* Of those on a network, except the member: each one's port fails with that status and its stop begins; how many have
 * not
 * ended. An interface counts from before vmnet is asked to start it until vmnet has let go of it. */
void vn_mac_nics_end(struct vn_mac_network *network, uint32_t status);
uint32_t vn_mac_nics_on(struct vn_mac_network *network);
bool vn_mac_nic_has_ended(struct vn_mac_nic *nic); /* vmnet has let go of it, or it never started */

/* Between the files of an interface. nic_source.c: vmnet's event; the gate's end: true for the first, who then is
 * inside.
 * nic.c: the last one has left a closed gate. */
void vn_mac_nic_event(struct vn_mac_nic *nic, uint64_t estimate);
bool vn_mac_nic_shut(struct vn_mac_nic *nic);
void vn_mac_nic_left(struct vn_mac_nic *nic);
extern const struct vn_source vn_mac_source;

/* watchdog.c. Every how many milliseconds it looks; 0: never. 250 unless a test says something else. */
void vn_mac_watchdog_every(uint32_t ms);
void vn_mac_nics_add(struct vn_mac_nic *nic);   /* it counts as alive */
void vn_mac_nics_watch(struct vn_mac_nic *nic); /* it has started */
void vn_mac_nics_remove(struct vn_mac_nic *nic);

/* All interfaces of the process. */
void vn_mac_nics_shutdown(void); /* begins the end of each that is not on a network object */
uint32_t vn_mac_nics_alive(void);
int vn_mac_nics_init(void); /* VN_OK or a vn_status; once, before the first */

#endif
