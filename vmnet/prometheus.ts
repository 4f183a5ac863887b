// SPDX-License-Identifier: MIT

/**
 * Counters of switches as Prometheus reads them.
 *
 * @module
 */

import { Fields, show } from "./fields.ts";
import type { DroppedFrames, PortStats, SwitchStats } from "./switch_stats.ts";

/** Labels that are written beside each value, for instance `{ network: "lab" }`. */
export type PrometheusLabels = Readonly<Record<string, string>>;

const ACTION = "write metrics";

/** Labels that are this library's own. */
const reserved = new Set(["port", "kind", "label", "direction", "cause"]);

/** `DroppedFrames` in the words of Prometheus: `tooLong` is `too_long`. */
const causes: readonly (readonly [keyof DroppedFrames, string])[] = [
  ["full", "full"],
  ["tooLong", "too_long"],
  ["tooShort", "too_short"],
  ["offload", "offload"],
  ["bad", "bad"],
  ["spoofed", "spoofed"],
  ["rate", "rate"],
  ["broadcast", "broadcast"],
  ["filtered", "filtered"],
  ["verdict", "verdict"],
  ["isolated", "isolated"],
];

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [labels: Labels, value: number];

/** A metric: what it is called, what it says, and its values. */
interface Metric<T> {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge";
  readonly samples: (stats: T) => readonly Sample[];
}

function plain<T>(name: string, type: "counter" | "gauge", help: string, value: (stats: T) => number): Metric<T> {
  return { name, help, type, samples: (stats) => [[{}, value(stats)]] };
}

function dropped<T extends { dropped: DroppedFrames }>(name: string, help: string): Metric<T> {
  const samples = (stats: T) => causes.map(([key, cause]): Sample => [{ cause }, stats.dropped[key]]);
  return { name, help, type: "counter", samples };
}

function bothWays(name: string, help: string, into: keyof PortStats, out: keyof PortStats): Metric<PortStats> {
  const samples = (port: PortStats): Sample[] => [
    [{ direction: "in" }, port[into] as number],
    [{ direction: "out" }, port[out] as number],
  ];
  return { name, help, type: "counter", samples };
}

const ofSwitch: readonly Metric<SwitchStats>[] = [
  plain("vmnet_switch_frames_total", "counter", "Frames that the switch has seen.", ({ frames }) => frames),
  plain("vmnet_switch_bytes_total", "counter", "Bytes of those frames.", ({ bytes }) => bytes),
  plain("vmnet_switch_turns_total", "counter", "Rounds of the switch's thread.", ({ turns }) => turns),
  plain("vmnet_switch_wake_ups_total", "counter", "How often its thread was woken.", ({ wakeUps }) => wakeUps),
  plain("vmnet_switch_flooded_frames_total", "counter", "Frames to an unknown address.", ({ flooded }) => flooded),
  dropped("vmnet_switch_dropped_frames_total", "Frames that went no further, by cause."),
  plain("vmnet_switch_addresses", "gauge", "MAC addresses that the switch knows.", ({ addresses }) => addresses),
  plain("vmnet_switch_addresses_most", "gauge", "MAC addresses that it can know.", (stats) => stats.addressesMost),
  plain("vmnet_switch_ports", "gauge", "Ports of the switch.", ({ ports }) => ports.length),
];

const ofPort: readonly Metric<PortStats>[] = [
  bothWays("vmnet_port_frames_total", "Frames of the port; in is towards the switch.", "framesIn", "framesOut"),
  bothWays("vmnet_port_bytes_total", "Bytes of those frames.", "bytesIn", "bytesOut"),
  bothWays("vmnet_port_batches_total", "Reads and writes that moved frames.", "reads", "writes"),
  dropped("vmnet_port_dropped_frames_total", "Frames from or for the port that went no further, by cause."),
  plain("vmnet_port_wake_ups_total", "counter", "How often the port woke the switch.", ({ wakeUps }) => wakeUps),
  plain("vmnet_port_flooded_frames_total", "counter", "Frames to an unknown address.", ({ flooded }) => flooded),
  plain("vmnet_port_queued_bytes", "gauge", "Bytes that wait for the port.", ({ queuedBytes }) => queuedBytes),
  plain("vmnet_port_addresses", "gauge", "MAC addresses known behind the port.", ({ addresses }) => addresses),
];

/**
 * Writes the counters of one switch in the text exposition format 0.0.4 of Prometheus.
 *
 * Names begin with `vmnet_switch_` and `vmnet_port_`, counters end in `_total`. Values of ports have the labels `port`,
 * `kind` and, if it is not empty, `label`; counters of both directions `direction` (`in` is towards the switch), dropped
 * frames `cause`.
 *
 * @param stats What {@linkcode Switch.stats} answers.
 * @param labels Labels beside each value, none by default.
 * @returns The text, to be served as `text/plain; version=0.0.4`.
 * @throws {TypeError} If `stats` or a label is something else.
 * @throws {RangeError} If the name of a label is not allowed: it is made of letters, digits and underscores, does not
 * begin with a digit or two underscores, and is none of those above.
 *
 * @example Usage
 * ```ts
 * import { prometheus, Switch } from "vmnet";
 * import { assertStringIncludes } from "@std/assert";
 *
 * await using sw = await Switch.create();
 * const text = prometheus(sw.stats(), { network: "lab" });
 * assertStringIncludes(text, 'vmnet_switch_frames_total{network="lab"} 0');
 * ```
 */
export function prometheus(stats: SwitchStats, labels?: PrometheusLabels): string;
/**
 * Writes the counters of several switches in one text: a name may be explained in it only once, so texts cannot be
 * joined.
 *
 * @param stats What {@linkcode Switch.stats} of each answers, with the labels that tell it from the others.
 * @returns The text.
 * @throws {TypeError} If an item is something else.
 * @throws {RangeError} If the name of a label is not allowed.
 *
 * @example Usage
 * ```ts
 * import { prometheus, Switch } from "vmnet";
 * import { assertStringIncludes } from "@std/assert";
 *
 * await using a = await Switch.create();
 * await using b = await Switch.create();
 * const text = prometheus([[a.stats(), { network: "a" }], [b.stats(), { network: "b" }]]);
 * assertStringIncludes(text, 'vmnet_switch_ports{network="b"} 0');
 * ```
 */
export function prometheus(stats: readonly (readonly [stats: SwitchStats, labels: PrometheusLabels])[]): string;
export function prometheus(
  stats: SwitchStats | readonly (readonly [stats: SwitchStats, labels: PrometheusLabels])[],
  labels?: PrometheusLabels,
): string {
  const pairs = isList(stats) ? [...stats] : [[stats, labels] as const];
  const all = pairs.map((pair, i) => {
    const [one, own] = Array.isArray(pair) ? pair : [pair];
    const path = isList(stats) ? `stats[${i}]` : "stats";
    if (!isStats(one)) {
      throw new TypeError(`Cannot ${ACTION}: "${path}" must be what stats() of a switch answers, got ${show(one)}`);
    }
    return { stats: one, labels: readLabels(own) };
  });
  const blocks = [
    ...ofSwitch.map((metric) => block(metric, all)),
    ...ofPort.map((metric) => block(metric, all.flatMap(({ stats, labels }) => portsOf(stats, labels)))),
  ];
  return blocks.join("");
}

function isList(value: unknown): value is readonly (readonly [SwitchStats, PrometheusLabels])[] {
  return Array.isArray(value);
}

function isStats(value: unknown): value is SwitchStats {
  const { ports, dropped } = (value ?? {}) as Partial<SwitchStats>;
  return Array.isArray(ports) && typeof dropped === "object" && dropped !== null;
}

function portsOf({ ports }: SwitchStats, labels: Labels) {
  return ports.map((port) => {
    const named = port.label === "" ? {} : { label: port.label };
    return { stats: port, labels: { ...labels, port: `${port.number}`, kind: port.kind, ...named } };
  });
}

/** A metric with its explanation, or nothing when it has no value. */
function block<T>(metric: Metric<T>, all: readonly { stats: T; labels: Labels }[]): string {
  const lines = all.flatMap(({ stats, labels }) =>
    metric.samples(stats).map(([own, value]) => {
      const name = metric.name + braced({ ...labels, ...own });
      if (typeof value !== "number") {
        throw new TypeError(`Cannot ${ACTION}: ${name} must be a number, got ${show(value)}`);
      }
      return `${name} ${value}\n`;
    })
  );
  if (lines.length === 0) return "";
  return `# HELP ${metric.name} ${metric.help}\n# TYPE ${metric.name} ${metric.type}\n${lines.join("")}`;
}

function braced(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escaped(value: string): string {
  return value.replace(/[\\"\n]/g, (character) => character === "\n" ? "\\n" : `\\${character}`);
}

function readLabels(labels: unknown): Labels {
  if (labels === undefined) return {};
  const names = typeof labels === "object" && labels !== null ? Object.keys(labels) : [];
  const { given } = new Fields(ACTION, labels, names, "labels.");
  for (const [name, value] of Object.entries(given)) {
    if (!/^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/.test(name) || reserved.has(name)) {
      const takes = `letters, digits and underscores, and be none of ${[...reserved].join(", ")}`;
      throw new RangeError(`Cannot ${ACTION}: the name of a label must be made of ${takes}, got ${show(name)}`);
    }
    if (typeof value !== "string") {
      throw new TypeError(`Cannot ${ACTION}: "labels.${name}" must be a string, got ${show(value)}`);
    }
  }
  return given as Labels;
}
