// SPDX-License-Identifier: MIT

/**
 * What happens at a switch.
 *
 * @module
 */

import { formatMac } from "./address.ts";
import { Follower, type NewsSource } from "./follower.ts";
import type { List } from "./list.ts";

/** Something happened at a port. */
export interface PortEvent {
  /**
   * What happened: a client is there (`connected`), is there again, at the port that it had (`reconnected`), or has gone
   * (`disconnected`); frames of the port were dropped, as they exceeded its limits (`limited`) or were not sent from its own
   * addresses (`spoofed`); frames for it were dropped, as it does not read (`stalled`). The last three are told once a
   * second at the most.
   */
  readonly type: "connected" | "disconnected" | "reconnected" | "limited" | "spoofed" | "stalled";
  /** The port's number, as {@linkcode PortStats.number}. */
  readonly port: number;
  /** What is behind it, as {@linkcode PortStats.kind}. */
  readonly kind: string;
  /** Its label, as {@linkcode PortStats.label}. */
  readonly label: string;
  /** The MAC address that it is about, empty if none is known. */
  readonly macAddress: string;
  /** Why, or what else is known; may be empty. */
  readonly detail: string;
  /** When it happened, in milliseconds since 1970. */
  readonly timeMs: number;
}

/** Events were lost, because nobody read them in time: look at the statistics anew. */
export interface LostEvents {
  /** Tells it from the others. */
  readonly type: "lost";
  /** How many were lost. */
  readonly count: number;
  /** When that was noticed, in milliseconds since 1970. */
  readonly timeMs: number;
}

/** What {@linkcode Switch.events} tells; `type` says which one it is. */
export type SwitchEvent = PortEvent | LostEvents;

const types: readonly PortEvent["type"][] = [
  "connected",
  "disconnected",
  "reconnected",
  "limited",
  "spoofed",
  "stalled",
];

/** Events that wait for a loop; as many as the shim keeps while there is none. */
const EVENTS_KEPT = 256;

function lostEvents(count: number): LostEvents {
  return { type: "lost", count, timeMs: Date.now() };
}

/** Reads `VN_GET_EVENTS` of a switch. Types that are not known are left out, so a later shim may add some. */
export function decodeEvents(list: List): SwitchEvent[] {
  const lost = list.number("lost") ?? 0;
  const events = list.lists("event").flatMap((event): PortEvent[] => {
    const type = types.find((known) => known === event.text("type"));
    const mac = event.bytes("mac");
    return type === undefined ? [] : [{
      type,
      port: event.number("port") ?? 0,
      kind: event.text("kind") ?? "",
      label: event.text("label") ?? "",
      macAddress: mac === undefined ? "" : formatMac(mac),
      detail: event.text("detail") ?? "",
      timeMs: (event.number("time") ?? 0) / 1e6,
    }];
  });
  // The oldest are lost first
  return lost > 0 ? [lostEvents(lost), ...events] : events;
}

/** An iteration over events. A slow reader loses the oldest. */
export class EventFollower extends Follower<SwitchEvent> {
  readonly #events: SwitchEvent[] = [];
  #lost = 0;

  constructor(source: NewsSource<EventFollower>, signal: AbortSignal | undefined) {
    super(source, signal);
  }

  /** Takes news from the switch. */
  tell(events: readonly SwitchEvent[]): void {
    this.#events.push(...events);
    const excess = this.#events.splice(0, Math.max(0, this.#events.length - EVENTS_KEPT));
    for (const event of excess) this.#lost += event.type === "lost" ? event.count : 1;
    this.wake();
  }

  protected override take(): SwitchEvent | undefined {
    const lost = this.#lost;
    this.#lost = 0;
    return lost > 0 ? lostEvents(lost) : this.#events.shift();
  }
}
