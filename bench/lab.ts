/**
 * What the benchmarks share: the loops of `ceiling.c`, and two interfaces on a network without a gateway.
 *
 * @module
 */

import process from "node:process";
import { fileURLToPath } from "node:url";
import { dlopen, type Library } from "../ffi/mod.ts";
import { Interface, portOf } from "../vmnet/interface.ts";
import { Network } from "../vmnet/network.ts";

/** The shim with the loops in C beside it; `make -C shim bench` makes it. */
const path = fileURLToPath(new URL("../shim/build/libvmnet_bench.so", import.meta.url));
// The library opens the shim at its first use, which is still to come: both have to be one copy of the code.
process.env.VMNET_SHIM_PATH = path;

const functions = {
  vb_fill: { args: ["i32", "u32", "u32"], returns: "i32" },
  vb_drain: { args: ["i32", "buffer", "u32", "buffer", "u32", "buffer"], returns: "i32" },
  vb_pingpong: { args: ["i32", "u32"], returns: "i32" },
  vb_seen: { args: ["u32"], returns: "i32" },
  vb_done: { args: ["buffer"], returns: "i32" },
  vb_floor: { args: ["u32", "buffer"], returns: "i32" },
  vb_usage: { args: ["buffer"], returns: "i32" },
} as const;

/** The functions of `ceiling.c`. */
export const lab: Library<typeof functions>["symbols"] = dlopen(path, functions).symbols;

/** Where `ceiling.c` writes its figures. Not smaller than 4 KiB, below which Bun may move it. */
export const out: BigUint64Array<ArrayBuffer> = new BigUint64Array(new ArrayBuffer(4096));

/** CPU time of the process in nanoseconds, and its largest resident size in bytes. */
export function usage(): { cpuNs: number; maxResident: number } {
  lab.vb_usage(out);
  return { cpuNs: Number(out[0]), maxResident: Number(out[1]) };
}

/** Two interfaces on a network of their own, without DHCP and so without a gateway. */
export async function pair(): Promise<{ network: Network; a: Interface; b: Interface }> {
  const network = await Network.create({ mode: "host", dhcp: false });
  return { network, a: await Interface.start({ network }), b: await Interface.start({ network }) };
}

/** The shim's handle of an interface, and its functions. */
export { portOf };
