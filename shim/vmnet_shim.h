// SPDX-License-Identifier: MIT
/*
 * vmnet_shim.h - the whole ABI between a JavaScript runtime and the shim.
 *
 * Arguments are int32_t, uint32_t and buffers that are lent for one call; the result is always int32_t: zero or more is
 * an answer, less than zero is a vn_status with its sign turned. No call blocks, except vn_shutdown(), which says for
 * how long. No call prints, exits or aborts, whatever it is given.
 *
 * Handles are small positive integers of a slot and a generation. A handle belongs to the thread that got it: another
 * thread's handle answers VN_FOREIGN, a closed one VN_STALE.
 *
 * Lists carry options and results: entries that follow one another without padding, little-endian,
 *
 *   offset 0  u8   type: 1 number (8 bytes, u64), 2 text (UTF-8, no NUL), 3 bytes, 4 list (nested)
 *          1  u8   length of the key, 1 to 255
 *          2  u16  zero
 *          4  u32  length of the value
 *          8       key, then value
 *
 * A key may occur several times. vmnet's own parameters travel under the literal value of their key, so a parameter
 * that Apple adds needs no new ABI; the keys that are ours are in camelCase and listed at each operation.
 *
 * A frame descriptor is six u32 in the machine's byte order:
 *
 *   0 offset in the arena   1 captured length   2 original length   3 VN_META_* bits   4 time, low   5 time, high
 *
 * The time is CLOCK_REALTIME in nanoseconds, stamped once per drain. vn_send() reads words 0 and 1, and of an
 * intercept word 3.
 */
#ifndef VMNET_SHIM_H
#define VMNET_SHIM_H

#include <stdint.h>

#define VN_ABI_VERSION 1
#define VN_EXPORT __attribute__((visibility("default")))

/* What a call or an operation ends with. 1000 to 1010 are vmnet_return_t, the rest is the shim's own. */
enum vn_status {
  VN_OK = 0,
  VN_STALE = 1,        /* The handle was closed or never existed. */
  VN_FOREIGN = 2,      /* The handle belongs to another thread. */
  VN_PENDING = 3,      /* The operation has not ended yet. */
  VN_BUSY = 4,         /* All control threads wait for a call that does not return. */
  VN_TIMEOUT = 5,      /* The operation's deadline passed. */
  VN_CANCELLED = 6,    /* The operation was cancelled. */
  VN_BAD_CALL = 7,     /* A NULL buffer, a malformed list, an unknown operation or a handle of the wrong kind. */
  VN_BAD_OPTION = 8,   /* A value that is not allowed; "field" names the key. */
  VN_UNSUPPORTED = 9,  /* This backend or this version of macOS cannot do it; "needs" says what could. */
  VN_GONE = 10,        /* The network ended: its creator stopped it or died. */
  VN_STOPPED = 11,     /* The object is being stopped or was stopped. */
  VN_NO_MEMORY = 12,   /* Memory, descriptors, threads or handles ran out. */
  VN_SYSTEM = 13,      /* A system call failed; "errno" has its number. */
  VN_MISSING = 14,     /* A program or library is not installed; "needs" names it. */
  VN_IN_USE = 15,      /* An address, port, path or subnet is taken. */
  VN_NOT_FOUND = 16,   /* No such rule, interface or share. */
  VN_BAD_TOKEN = 17,   /* The token is malformed, stale, or not from this user. */
  VMNET_SUCCESS = 1000,
  VMNET_FAILURE = 1001,
  VMNET_MEM_FAILURE = 1002,
  VMNET_INVALID_ARGUMENT = 1003,
  VMNET_SETUP_INCOMPLETE = 1004,
  VMNET_INVALID_ACCESS = 1005,
  VMNET_PACKET_TOO_BIG = 1006,
  VMNET_BUFFER_EXHAUSTED = 1007,
  VMNET_TOO_MANY_PACKETS = 1008,
  VMNET_SHARING_SERVICE_BUSY = 1009,
  VMNET_NOT_AUTHORIZED = 1010,
};

/*
 * Operations for vn_call(). Each result list has "status" (number), and when that is not 0 what is known of "message"
 * (text), "field" (text), "errno" (number), "needs" (text: package, permission or version).
 *
 * VN_OP_PROBE on a context: what works here. Result: "backend" (text: embedded or vmnet), "uid". Of embedded:
 *   "gatewayPath" (text), "gateway" (number 0/1: can be started), "libslirp" (text: its version, absent when it cannot be
 *   loaded). Of vmnet: "macos" (text: "26.1"), "root", "entitled", "networks" (numbers 0/1: network objects exist),
 *   "quarantined" (number 0/1: the library), "libraryPath", "hostPath" (texts), "host" (number 0/1: vmnet-host is needed).
 * VN_OP_SHARED_INTERFACES on a context. Result: "interface" (text), one each.
 * VN_OP_NETWORK_CREATE on a context. Options: "mode" (number 1000 host, 1001 shared), "ipv4Subnet" (text a.b.c.d/n),
 *   "ipv6Prefix" (text), "mtu" (number), "dhcp", "dnsProxy", "nat44", "nat66", "routerAdvertisement" (numbers 0/1),
 *   "dhcpStart", "dhcpEnd" (text), "leaseSeconds" (number), "externalInterface" (text), "reservation" (list, any number:
 *   "mac" 6 bytes, "address" text), "forward" (list, any number: as in VN_OP_FORWARD_ADD).
 *   Result: "handle", "ipv4Subnet", "ipv4Gateway", "ipv6Prefix", "mtu", "dhcpStart", "dhcpEnd", "leaseSeconds", "mode".
 * VN_OP_NETWORK_JOIN on a context. Options: "token" (text). Result: as VN_OP_NETWORK_CREATE.
 * VN_OP_NETWORK_SHARE on a network. Result: "handle" (of the share; stopping it refuses newcomers), "token" (text).
 * VN_OP_INTERFACE_START on a context (vmnet's own network of that mode and subnet) or on a network. Options: vmnet's
 *   keys. Result: "handle" and vmnet's parameters under their keys ("vmnet_mac_address", "vmnet_mtu", ...).
 * VN_OP_STOP on an interface, a network or a share. The handle is gone when the operation has ended, however it ended.
 *   VN_TIMEOUT: vmnet has not answered, so something of it may still be there; it goes when vmnet answers.
 * VN_OP_FORWARD_ADD on an interface or a network: "protocol" (number 6 or 17), "externalPort", "internalPort"
 * (numbers),
 *   "internalAddress" (text, IPv4 or IPv6). VN_OP_FORWARD_REMOVE: "protocol", "externalPort", "family" (number 4 or 6).
 *   VN_OP_FORWARD_LIST: result "forward" (list), one each.
 * VN_OP_RESERVATION_ADD on a network: "mac" (6 bytes), "address" (text). It replaces what that MAC address has.
 * VN_IN_USE:
 *   the address is leased or reserved to another one. VN_OP_RESERVATION_REMOVE: "mac". VN_OP_RESERVATION_LIST: result
 *   "reservation" (list: "mac", "address"), one each.
 * VN_OP_NETWORK_COPY_SERIALIZATION on a network (macOS 26). Result: "handle" (of the serialization, good in this
 * process).
 * VN_OP_NETWORK_FROM_SERIALIZATION on a serialization. Result: as VN_OP_NETWORK_CREATE.
 * VN_OP_NETWORK_FROM_POINTER on a context: "address" (number: a vmnet_network_ref, which is retained). Result: as
 *   VN_OP_NETWORK_CREATE.
 *
 * The data plane (shim/plane/):
 * VN_OP_SWITCH_CREATE on a network: its own switch; on a context: a new one without an uplink; on an interface: a new
 * one
 *   with that interface as its uplink. Options: "straight" (number 0/1, on an interface only: a bridge, which hands on
 *   everything between the interface and one endpoint and learns nothing), "ageSeconds" (number, of a new switch), "mtu"
 *   (number, of a new switch without an uplink). Until the switch ends, vn_drain(), vn_send() and vn_interest() of its
 *   uplink answer VN_IN_USE. Result: "handle", "maxFrame" (number).
 * VN_OP_ENDPOINT_OPEN on a switch. Options: "kind" (text stream, datagram, seqpacket, interface, tap or replay); by
 * kind
 *   "path" (text), "host" (text), "port" (number), "listen" (number 0/1), "fd" (number, taken over by success), "pair"
 *   (number 0/1), "object" (number: the handle of an interface), "name" (text, of a TAP device), "speed" (number, per mille;
 *   0: at once), "repeat" (number; 0: for ever), "clients" (number, most of a listener), "mode" (number, of a socket's
 *   file), "reconnect" (number 0/1), "queueBytes" (number, for each port), "virtioHeader" (number 0/1), "label" (text); and
 *   those of VN_OP_PORT_SET. Result: "handle", "serial" (number, of the endpoint in statistics), and by kind "fd" (number:
 *   the pair's other end), "port", "path", "name".
 * VN_OP_PORT_SET on a switch: "port" (number), "disconnect" (number 0/1), "isolated" (number 0/1), "bytesPerSecond",
 *   "burstBytes", "broadcastsPerSecond" (numbers; 0: no limit), "antiSpoof" (number 0/1), "mac" (6 bytes; zeros: any).
 * VN_OP_TAP_OPEN on a switch: "filter" (text), "snapLength", "ringBytes", "port" (numbers; 0: every port). Result:
 * "handle",
 *   to be read by vn_drain().
 * VN_OP_INTERCEPT_OPEN on a switch: "filter" (text), "ringBytes", "port" (numbers), "passOnOverflow" (number 0/1).
 * Result:
 *   "handle". vn_drain() takes the frames out of their way; what vn_send() gives goes on from the port that word 3 of its
 *   descriptor names.
 * VN_OP_RULE_ADD on a switch: "filter" (text), "port" (number; 0: every port). What matches is dropped. Result:
 * "handle".
 * VN_OP_STOP on each of them.
 */
enum vn_op {
  VN_OP_PROBE = 1,
  VN_OP_SHARED_INTERFACES = 2,
  VN_OP_NETWORK_CREATE = 3,
  VN_OP_NETWORK_JOIN = 4,
  VN_OP_NETWORK_SHARE = 5,
  VN_OP_INTERFACE_START = 6,
  VN_OP_STOP = 7,
  VN_OP_FORWARD_ADD = 8,
  VN_OP_FORWARD_REMOVE = 9,
  VN_OP_FORWARD_LIST = 10,
  VN_OP_NETWORK_COPY_SERIALIZATION = 11,
  VN_OP_NETWORK_FROM_SERIALIZATION = 12,
  VN_OP_NETWORK_FROM_POINTER = 13,
  VN_OP_SWITCH_CREATE = 14,
  VN_OP_ENDPOINT_OPEN = 15,
  VN_OP_PORT_SET = 16,
  VN_OP_TAP_OPEN = 17,
  VN_OP_INTERCEPT_OPEN = 18,
  VN_OP_RULE_ADD = 19,
  VN_OP_RESERVATION_ADD = 20,
  VN_OP_RESERVATION_REMOVE = 21,
  VN_OP_RESERVATION_LIST = 22,
};

/* What a ready entry of vn_poll() says about its handle. Packet bits come only when asked for, the others always. */
enum vn_ready {
  VN_READY_PACKETS = 1,  /* An interface has frames; said once per vn_drain() that answered without VN_MORE. */
  VN_READY_WRITABLE = 2, /* vn_send() took less than it was given, and now there is room. */
  VN_READY_DONE = 4,     /* An operation ended: fetch it with vn_result(). */
  VN_READY_STATE = 8,    /* The object changed its state: read VN_GET_STATE. */
  VN_READY_EVENT = 16,   /* A network has events: read VN_GET_EVENTS. */
};

/* What vn_get() can be asked for. */
enum vn_get_what {
  VN_GET_STATE = 1,  /* "status": 0 while it works, else the vn_status that ended it; "message". */
  VN_GET_STATS = 2,  /* Numbers: see docs of Interface.stats(); of a network: of its switch and gateway; of a context:
                        "wakes" (doorbell bytes), and of the whole process "handles", "contexts", "objects", "operations",
                        "controlThreads": what a test of leaks looks at; of a switch: shim/plane/board.h; of a tap, an
                        intercept or a rule: "matched", "dropped" and a ring's. */
  VN_GET_LEASES = 3, /* "lease" (list: "mac" 6 bytes, "address" text, "hostname" text, "expires" seconds since 1970). */
  VN_GET_EVENTS = 4, /* As VN_GET_LEASES with "change" (number: 1 added or renewed, 2 ended), each told once; also
                        "lost" (number) when the queue of 256 ran over: read the leases anew. Also "gateway" (text).
                        Of a switch: "event" (list), see shim/plane/board.h; also "lost". */
  VN_GET_ESTIMATE = 5, /* "packets": how many frames wait, at least. */
};

enum vn_meta {
  VN_META_TRUNCATED = 1, /* The captured length is less than the original length. */
  VN_META_VIRTIO = 2,    /* The frame starts with a 12-byte virtio_net_hdr_v1. */
  VN_META_PORT = 16,     /* Bits from here on: of a tap or an intercept, the number of the port that the frame came from. */
};

#define VN_MORE 0x10000          /* vn_drain(): more may wait and no signal is armed; drain again. */
#define VN_DESCRIPTOR_WORDS 6
#define VN_NO_DEADLINE 0

/* Answers VN_ABI_VERSION. Must be the first call of a process: it also pins the library for the process's life. */
VN_EXPORT int32_t vn_abi_version(void);

/* Opens this thread's link to the shim and answers its handle. It ends by vn_close() or with the thread. */
VN_EXPORT int32_t vn_open(void);

/* Answers the read end of the context's doorbell, a non-blocking stream socket. The caller owns and closes it. Once. */
VN_EXPORT int32_t vn_doorbell(int32_t context);

/* Writes up to max pairs {handle, VN_READY_* bits} to ready and answers their number. To be called when the doorbell
 * has bytes; when it answers max, once more. */
VN_EXPORT int32_t vn_poll(int32_t context, uint32_t *ready, uint32_t max);

/* Closes a handle at once; what it stands for is stopped in the background. */
VN_EXPORT int32_t vn_close(int32_t handle);

/* Stops everything in this process and waits for it, ms at the most. Answers how many objects and calls were still
 * alive.
 * Meanwhile vn_open() and vn_call() answer -VN_STOPPED in every thread; afterwards they work again. Handles stay. */
VN_EXPORT int32_t vn_shutdown(uint32_t ms);

/* Begins an operation and answers its handle; VN_READY_DONE announces its end. A deadline of 0 means none. */
VN_EXPORT int32_t vn_call(int32_t target, uint32_t op, const uint8_t *options, uint32_t length, uint32_t deadline_ms);

/* Copies an ended operation's result list to out and answers its length. If that is more than capacity, nothing was
 * copied and the operation stays; else the operation's handle is gone. -VN_PENDING when it has not ended. */
VN_EXPORT int32_t vn_result(int32_t operation, uint8_t *out, uint32_t capacity);

/* Ends an operation with VN_CANCELLED. If it still succeeds later, that is undone. */
VN_EXPORT int32_t vn_cancel(int32_t operation);

/* Fills the arena with up to max frames of an interface and their descriptors. Answers their number, with VN_MORE added
 * when more may wait, never to 0; without VN_MORE the next frame sets VN_READY_PACKETS. */
VN_EXPORT int32_t vn_drain(int32_t port, uint8_t *arena, uint32_t arena_length, uint32_t *descriptors, uint32_t max);

/* Sends the frames first to first + count - 1 of the descriptors. Answers how many were taken; if fewer than count,
 * VN_READY_WRITABLE follows. A frame that is too short or too long, or lies outside the arena, ends the batch before
 * it; when it is the first one the answer is its status. */
VN_EXPORT int32_t vn_send(int32_t port, const uint8_t *arena, uint32_t arena_length, const uint32_t *descriptors,
                          uint32_t first, uint32_t count);

/* Chooses the signals of a port: VN_READY_PACKETS set arms it (and signals at once if frames wait), clear disarms it.
 * */
VN_EXPORT int32_t vn_interest(int32_t port, uint32_t bits);

/* Copies a list that describes the object to out and answers its length; nothing is copied if that exceeds capacity. */
VN_EXPORT int32_t vn_get(int32_t handle, uint32_t what, uint8_t *out, uint32_t capacity);

#endif
