// SPDX-License-Identifier: MIT

/**
 * Virtual networks for VMs in Deno and Bun: Apple's vmnet.framework on macOS, an embedded network with the same
 * behaviour elsewhere, without privileges.
 *
 * Start an interface, get its packets in an async loop, write packets back:
 *
 * ```ts
 * import { Interface } from "vmnet";
 *
 * await using nic = await Interface.start({ mode: "host" });
 * const broadcast = new Uint8Array(60).fill(0xff, 0, 6);
 * await nic.write(broadcast);
 * for await (const batch of nic.batches({ signal: AbortSignal.timeout(10) })) {
 *   for (const packet of batch) console.log(`${packet.length} bytes`);
 * }
 * ```
 *
 * Addresses are strings, times are numbers with the unit in their name. A wrong call throws `TypeError` or
 * `RangeError`; when the network says no, {@linkcode VmnetError} says why and what would mend it.
 *
 * @module
 */

export { PacketBatch, type PacketBatchOptions } from "./vmnet/batch.ts";
export type { OperationOptions } from "./vmnet/context.ts";
export { UnsupportedError, VmnetError, type VmnetErrorOptions } from "./vmnet/errors.ts";
export type { PortForwardingKey, PortForwardingRule } from "./vmnet/forwarding.ts";
export { Interface, type InterfaceStats } from "./vmnet/interface.ts";
export { interrupted, type InterruptSignal } from "./vmnet/interrupted.ts";
export type { Lease, LeaseEvent } from "./vmnet/leases.ts";
export { Network } from "./vmnet/network.ts";
export type { DhcpReservation, NetworkOptions } from "./vmnet/network_options.ts";
export type {
  BridgedInterfaceOptions,
  CommonInterfaceOptions,
  HostInterfaceOptions,
  InterfaceOptions,
  InterfaceParameters,
  NetworkInterfaceOptions,
  OwnInterfaceOptions,
  SharedInterfaceOptions,
  SubnetInterfaceOptions,
} from "./vmnet/options.ts";
export type { ReadOptions } from "./vmnet/packet_loop.ts";
export { type Capability, type MacOsFacts, type Probe, probe, sharedInterfaces } from "./vmnet/probe.ts";
export type { NetworkSerialization } from "./vmnet/serialization.ts";
export type { Share } from "./vmnet/share.ts";
export { Status, type StatusName } from "./vmnet/status.ts";
export type { Packets } from "./vmnet/writer.ts";
