// SPDX-License-Identifier: MIT

/**
 * What a switch counts.
 *
 * @module
 */

import { formatMac } from "./address.ts";
import type { List } from "./list.ts";

/**
 * Frames that went no further, by cause, since the network or the port exists.
 */
export interface DroppedFrames {
  /** The queue of the port they were for was full. */
  readonly full: number;
  /** They were longer than the port they were for takes. */
  readonly tooLong: number;
  /** They were shorter than an Ethernet header. */
  readonly tooShort: number;
  /** Their virtio header asked for what the frame does not allow. */
  readonly offload: number;
  /** They were malformed otherwise. */
  readonly bad: number;
  /** Their sender was not who it may be: {@linkcode PortOptions.antiSpoof}. */
  readonly spoofed: number;
  /** They exceeded {@linkcode PortOptions.bytesPerSecond}. */
  readonly rate: number;
  /** They exceeded {@linkcode PortOptions.broadcastsPerSecond}. */
  readonly broadcast: number;
  /** A {@linkcode DropRule} matched. */
  readonly filtered: number;
  /** An {@linkcode Intercept} had no room for them, or did not send them on. */
  readonly verdict: number;
  /** They were for a port that {@linkcode PortOptions.isolated} keeps apart. */
  readonly isolated: number;
}

/** Counters of one port of a switch, from its beginning on. "In" is towards the switch. */
export interface PortStats {
  /** Number of the port, from 1 to 65535, for {@linkcode Switch.setPort} and for filters of one port. */
  readonly number: number;
  /** What is behind it: the `kind` of its endpoint, or what the network itself has there. */
  readonly kind: string;
  /** The label of its endpoint, or what tells it from others of its kind. */
  readonly label: string;
  /** The MAC address that it is bound to, or that it used first; empty while none is known. */
  readonly macAddress: string;
  /** {@linkcode Endpoint.id} of its endpoint; 0 if it has none. */
  readonly endpoint: number;
  /** Whether it is {@linkcode PortOptions.isolated}. */
  readonly isolated: boolean;
  /** Frames from it. */
  readonly framesIn: number;
  /** Bytes from it. */
  readonly bytesIn: number;
  /** Frames to it. */
  readonly framesOut: number;
  /** Bytes to it. */
  readonly bytesOut: number;
  /** Reads that answered frames; `framesIn` divided by this is the mean size of a batch. */
  readonly reads: number;
  /** Writes that took frames; `framesOut` divided by this is the mean size of a batch. */
  readonly writes: number;
  /** How often it woke the switch. */
  readonly wakeUps: number;
  /** Bytes that wait for it now. */
  readonly queuedBytes: number;
  /** MAC addresses that the switch knows behind it now. */
  readonly addresses: number;
  /** Frames from it that went to every port, because the switch did not know where their address is. */
  readonly flooded: number;
  /** Frames from it, or for it, that went no further. */
  readonly dropped: DroppedFrames;
}

/** Counters of a switch: plain data, good for `JSON.stringify()` and for {@linkcode prometheus}. */
export interface SwitchStats {
  /** Frames that the switch has seen. */
  readonly frames: number;
  /** Bytes of those. */
  readonly bytes: number;
  /** Rounds that its thread has made; `frames` divided by this is how many it moves at a time. */
  readonly turns: number;
  /** How often its thread slept and was woken. */
  readonly wakeUps: number;
  /** Frames that went to every port, because the switch did not know where their address is. */
  readonly flooded: number;
  /** MAC addresses that it knows now. */
  readonly addresses: number;
  /** MAC addresses that it can know. */
  readonly addressesMost: number;
  /** Frames that went no further. */
  readonly dropped: DroppedFrames;
  /** Its ports, in the order of their numbers. */
  readonly ports: readonly PortStats[];
}

/** Reads how many frames were dropped, as `droppedTooLong` and so on. */
function decodeDropped(list: List): DroppedFrames {
  const number = (key: string) => list.number(key) ?? 0;
  return {
    full: number("droppedFull"),
    tooLong: number("droppedTooLong"),
    tooShort: number("droppedTooShort"),
    offload: number("droppedOffload"),
    bad: number("droppedBad"),
    spoofed: number("droppedSpoofed"),
    rate: number("droppedRate"),
    broadcast: number("droppedBroadcast"),
    filtered: number("droppedFiltered"),
    verdict: number("droppedVerdict"),
    isolated: number("droppedIsolated"),
  };
}

function decodePort(list: List): PortStats {
  const number = (key: string) => list.number(key) ?? 0;
  const mac = list.bytes("mac");
  return {
    number: number("number"),
    kind: list.text("kind") ?? "",
    label: list.text("label") ?? "",
    macAddress: mac === undefined ? "" : formatMac(mac),
    endpoint: number("endpoint"),
    isolated: number("isolated") === 1,
    framesIn: number("framesIn"),
    bytesIn: number("bytesIn"),
    framesOut: number("framesOut"),
    bytesOut: number("bytesOut"),
    reads: number("reads"),
    writes: number("writes"),
    wakeUps: number("wakes"),
    queuedBytes: number("queued"),
    addresses: number("addresses"),
    flooded: number("flooded"),
    dropped: decodeDropped(list),
  };
}

/** Reads `VN_GET_STATS` of a switch. */
export function decodeSwitchStats(list: List): SwitchStats {
  const number = (key: string) => list.number(key) ?? 0;
  return {
    frames: number("frames"),
    bytes: number("bytes"),
    turns: number("turns"),
    wakeUps: number("wakes"),
    flooded: number("flooded"),
    addresses: number("addresses"),
    addressesMost: number("addressesMost"),
    dropped: decodeDropped(list),
    ports: list.lists("port").map(decodePort).sort((a, b) => a.number - b.number),
  };
}
