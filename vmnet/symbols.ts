// SPDX-License-Identifier: MIT

/**
 * The one symbol table of the shim. `shim/vmnet_shim.h` is its other half; a test compares the two.
 *
 * Only 32-bit integers and buffers cross the boundary: measured, everything else is slower, differs between the
 * runtimes, or crashes. Integers are checked before they get here, because Bun converts silently.
 *
 * @module
 */

/** Parameters and result of every function of the shim, each with its C declaration. */
export const symbols = {
  vn_abi_version: { args: [], returns: "i32" },
  vn_open: { args: [], returns: "i32" },
  vn_doorbell: {
    args: [
      "i32", // int32_t context
    ],
    returns: "i32",
  },
  vn_poll: {
    args: [
      "i32", // int32_t context
      "buffer", // uint32_t *ready
      "u32", // uint32_t max
    ],
    returns: "i32",
  },
  vn_close: {
    args: [
      "i32", // int32_t handle
    ],
    returns: "i32",
  },
  vn_shutdown: {
    args: [
      "u32", // uint32_t ms
    ],
    returns: "i32",
  },
  vn_call: {
    args: [
      "i32", // int32_t target
      "u32", // uint32_t op
      "buffer", // const uint8_t *options
      "u32", // uint32_t length
      "u32", // uint32_t deadline_ms
    ],
    returns: "i32",
  },
  vn_result: {
    args: [
      "i32", // int32_t operation
      "buffer", // uint8_t *out
      "u32", // uint32_t capacity
    ],
    returns: "i32",
  },
  vn_cancel: {
    args: [
      "i32", // int32_t operation
    ],
    returns: "i32",
  },
  vn_drain: {
    args: [
      "i32", // int32_t port
      "buffer", // uint8_t *arena
      "u32", // uint32_t arena_length
      "buffer", // uint32_t *descriptors
      "u32", // uint32_t max
    ],
    returns: "i32",
  },
  vn_send: {
    args: [
      "i32", // int32_t port
      "buffer", // const uint8_t *arena
      "u32", // uint32_t arena_length
      "buffer", // const uint32_t *descriptors
      "u32", // uint32_t first
      "u32", // uint32_t count
    ],
    returns: "i32",
  },
  vn_interest: {
    args: [
      "i32", // int32_t port
      "u32", // uint32_t bits
    ],
    returns: "i32",
  },
  vn_get: {
    args: [
      "i32", // int32_t handle
      "u32", // uint32_t what
      "buffer", // uint8_t *out
      "u32", // uint32_t capacity
    ],
    returns: "i32",
  },
} as const;

/** Version of the ABI that this library speaks, `VN_ABI_VERSION` of the header. */
export const ABI_VERSION = 1;

/** Operations of `vn_call()`, `enum vn_op` of the header. */
export const Op = {
  probe: 1,
  sharedInterfaces: 2,
  networkCreate: 3,
  networkJoin: 4,
  networkShare: 5,
  interfaceStart: 6,
  stop: 7,
  forwardAdd: 8,
  forwardRemove: 9,
  forwardList: 10,
  networkCopySerialization: 11,
  networkFromSerialization: 12,
  networkFromPointer: 13,
  switchCreate: 14,
  endpointOpen: 15,
  portSet: 16,
  tapOpen: 17,
  interceptOpen: 18,
  ruleAdd: 19,
  reservationAdd: 20,
  reservationRemove: 21,
  reservationList: 22,
} as const;

/** What `vn_poll()` says about a handle, `enum vn_ready` of the header. */
export const Ready = {
  packets: 1,
  writable: 2,
  done: 4,
  state: 8,
  event: 16,
} as const;

/** What `vn_get()` can be asked for, `enum vn_get_what` of the header. */
export const Get = {
  state: 1,
  stats: 2,
  leases: 3,
  events: 4,
  estimate: 5,
} as const;

/** A descriptor's meta word, `enum vn_meta` of the header: bits, and the place of the first bit of the port's number. */
export const Meta = {
  truncated: 1,
  virtio: 2,
  port: 16,
} as const;

/** Added to the answer of `vn_drain()` when more frames may wait, `VN_MORE` of the header. */
export const MORE = 0x10000;

/** Words of 32 bits in a frame's descriptor, `VN_DESCRIPTOR_WORDS` of the header. */
export const DESCRIPTOR_WORDS = 6;
