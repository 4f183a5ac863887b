// SPDX-License-Identifier: MIT

/**
 * What cannot be checked: a wrong address here ends the process. Apart from the rest, so that nobody gets here by
 * completion in an editor.
 *
 * @module
 */

import { show } from "./fields.ts";
import { makeNetwork, type Network } from "./network.ts";
import { Op } from "./symbols.ts";

/**
 * Makes a {@linkcode Network} of a `vmnet_network_ref` that other native code of this process holds, for instance
 * Virtualization.framework called by `vmnet/ffi`. vmnet's object is retained, so its owner may release it afterwards.
 *
 * Whether there is such an object at the address cannot be checked: if there is none, the process crashes. What looks
 * like no pointer at all is refused.
 *
 * vmnet does not tell what the network was made with: its rules are not listed, and `mode` is `"shared"` unless the
 * interfaces on it report another.
 *
 * Needs macOS 26; not verified on hardware.
 *
 * @param address The pointer.
 * @returns The network. Stopping it lets go of vmnet's object.
 * @throws {TypeError} If the address is not a bigint.
 * @throws {RangeError} If it is 0, has more than 64 bits, or is not aligned to 8 bytes.
 * @throws {UnsupportedError} If this system has no network objects of vmnet.
 *
 * @example Usage
 * ```ts
 * import { unsafeNetworkFromPointer } from "vmnet/unsafe";
 * import { assertRejects } from "@std/assert";
 *
 * await assertRejects(() => unsafeNetworkFromPointer(0n), RangeError);
 * ```
 */
export async function unsafeNetworkFromPointer(address: bigint): Promise<Network> {
  const action = "take network from pointer";
  if (typeof address !== "bigint") {
    throw new TypeError(`Cannot ${action}: "address" must be a bigint, got ${show(address)}`);
  }
  if (address <= 0n || address >= 1n << 64n || address % 8n !== 0n) {
    const takes = "a multiple of 8, more than 0 and less than 2^64";
    throw new RangeError(`Cannot ${action}: "address" must be ${takes}, got ${show(address)}`);
  }
  return await makeNetwork(undefined, Op.networkFromPointer, action, [["address", address]]);
}
