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
 * Or let frames move in native code, between interfaces, VMs and other processes, and keep control of them:
 *
 * ```ts
 * import { Network, Switch } from "vmnet";
 *
 * await using network = await Network.create({ mode: "host" });
 * await using sw = await Switch.create({ uplink: network });
 * await using door = await sw.listen({ kind: "stream", port: 0 });
 * await using tap = await sw.tap({ snapLength: 96 });
 * console.log(`QEMU: -netdev stream,id=n0,addr.type=inet,addr.host=127.0.0.1,addr.port=${door.port}`);
 * for await (const batch of tap.batches({ signal: AbortSignal.timeout(10) })) {
 *   console.log(`${batch.length} frames, the first from port ${batch.portOf(0)}`);
 * }
 * console.log(sw.stats().frames);
 * ```
 *
 * Addresses are strings, times are numbers with the unit in their name. A wrong call throws `TypeError` or
 * `RangeError`; when the network says no, {@linkcode VmnetError} says why and what would mend it.
 *
 * @module
 */

export { Bridge, bridge } from "./vmnet/bridge.ts";
export { PacketBatch, type PacketBatchOptions } from "./vmnet/batch.ts";
export type { OperationOptions } from "./vmnet/context.ts";
export { DataPlane } from "./vmnet/data_plane.ts";
export { Endpoint, type EndpointStats } from "./vmnet/endpoint.ts";
export type {
  Absent,
  CommonEndpointOptions,
  ConnectToPath,
  ConnectToPort,
  DatagramEndpointOptions,
  EndpointKind,
  EndpointOptions,
  GivenDescriptor,
  InterfaceEndpointOptions,
  ListenAtPath,
  ListenAtPort,
  MadePair,
  QueueOptions,
  ReplayEndpointOptions,
  SeqpacketEndpointOptions,
  StreamEndpointOptions,
  TapDeviceEndpointOptions,
} from "./vmnet/endpoint_options.ts";
export { UnsupportedError, VmnetError, type VmnetErrorOptions } from "./vmnet/errors.ts";
export type { PortForwardingKey, PortForwardingRule } from "./vmnet/forwarding.ts";
export { Interface, type InterfaceStats } from "./vmnet/interface.ts";
export {
  Intercept,
  type InterceptedFrame,
  type InterceptOptions,
  type InterceptStats,
  type Verdict,
  type VerdictHandler,
} from "./vmnet/intercept.ts";
export { interrupted, type InterruptSignal } from "./vmnet/interrupted.ts";
export type { Lease, LeaseEvent } from "./vmnet/leases.ts";
export { Network } from "./vmnet/network.ts";
export type { NetworkOptions } from "./vmnet/network_options.ts";
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
export type { PortOptions } from "./vmnet/port_options.ts";
export { prometheus, type PrometheusLabels } from "./vmnet/prometheus.ts";
export { type Capability, type MacOsFacts, type Probe, probe, sharedInterfaces } from "./vmnet/probe.ts";
export type { DhcpReservation } from "./vmnet/reservations.ts";
export type { NetworkSerialization } from "./vmnet/serialization.ts";
export type { Share } from "./vmnet/share.ts";
export { Status, type StatusName } from "./vmnet/status.ts";
export {
  type ConnectOptions,
  type InterfaceSwitchOptions,
  type ListenOptions,
  type LoneSwitchOptions,
  type NetworkSwitchOptions,
  Switch,
  type SwitchOptions,
  type WithoutListen,
} from "./vmnet/switch.ts";
export type { LostEvents, PortEvent, SwitchEvent } from "./vmnet/switch_events.ts";
export type { DroppedFrames, PortStats, SwitchStats } from "./vmnet/switch_stats.ts";
export { DropRule, type DropRuleStats, Tap, type TapOptions, type TapStats } from "./vmnet/tap.ts";
export type { Packets } from "./vmnet/writer.ts";
