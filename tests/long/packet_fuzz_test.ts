// Everything that reads packets, against frames that are wrong in every way at hand: nothing may be thrown but
// PacketError, and no frame may take long. The seed is printed; VMNET_SEED replays it. Ten million frames in `npm run test:long`, half
// of them in each runtime, and a twentieth of that in `npm test`.

import { describe as suite, it } from "node:test";
import { readFileSync } from "node:fs";
import process from "node:process";
import fc from "fast-check";
import { assert, assertLess, assertMatch } from "@std/assert";
import {
  Arp,
  CaptureReader,
  describe,
  Dhcp,
  Dhcpv6,
  Dns,
  Ethernet,
  fixChecksums,
  Icmp,
  Icmpv6,
  Ipv4,
  Ipv6,
  Packet,
  PacketError,
  PcapngWriter,
  Tcp,
  Udp,
  verifyChecksums,
} from "vmnet/packet";
import { frameOf, stack } from "../packet/arbitraries.ts";
import { attempt, readAll, readSome } from "../packet/exercise.ts";
import { hostileFrames } from "../packet/hostile_frames.ts";
import { Mutations } from "../packet/mutations.ts";
import { captureOf } from "../packet/tshark.ts";

const scale = (process.env.VMNET_LONG === "1" ? 1 : 1 / 20) / 2;
const seed = Number(process.env.VMNET_SEED ?? Date.now() % 1_000_000_007);

/** Slowest frames that are kept to be timed again. */
const KEPT = 32;
/** What a frame may take at its best, in milliseconds. */
const LIMIT = 0.1;

const decoders = { Ethernet, Arp, Ipv4, Ipv6, Icmp, Icmpv6, Udp, Tcp, Dhcp, Dhcpv6, Dns };
const layers = ["ethernet", "arp", "ipv4", "ipv6", "icmp", "icmpv6", "udp", "tcp", "dhcp", "dhcpv6", "dns"] as const;

/** Where each decoder is tried, besides where a packet has its layer: behind no, one and two headers in front. */
const offsets = [0, 14, 18, 34, 42, 54, 62];

/** How many frames had a layer that could be read. */
const reached: Record<string, number> = {};

/** One printable line, whatever the frame. */
function assertDescribed(line: string): void {
  assertMatch(line, /^[ -~]{1,400}$/);
}

/** Reads all of a frame, as a program would that wants to know everything. */
function readFrame(frame: Uint8Array): void {
  const packet = attempt("new Packet()", () => new Packet(frame));
  for (const layer of layers) {
    if (packet === undefined) break;
    const view = attempt(`Packet.${layer}`, () => packet[layer]);
    if (view === undefined) continue;
    reached[layer] = (reached[layer] ?? 0) + 1;
    readAll(view);
  }
  assertDescribed(describe(frame));
  attempt("verifyChecksums()", () => verifyChecksums(frame));
  attempt("fixChecksums()", () => fixChecksums(frame));
}

/** Reads a frame by decoders of which most are wrong for it. */
function readWrongly(frame: Uint8Array, mutations: Mutations): void {
  const offset = offsets[mutations.below(offsets.length)]!;
  for (const name in decoders) {
    const view = attempt(`new ${name}()`, () => new decoders[name as keyof typeof decoders](frame, offset));
    if (view !== undefined) readSome(view, (limit) => mutations.below(limit));
  }
}

function timed(frame: Uint8Array): number {
  const begin = performance.now();
  readFrame(frame);
  return performance.now() - begin;
}

/** The frames that took longest. */
class Slowest {
  readonly #frames: { frame: Uint8Array; ms: number }[] = [];
  #threshold = 0;

  add(frame: Uint8Array, ms: number): void {
    if (ms <= this.#threshold) return;
    this.#frames.push({ frame: frame.slice(), ms });
    this.#frames.sort((a, b) => b.ms - a.ms).splice(KEPT);
    if (this.#frames.length === KEPT) this.#threshold = this.#frames[KEPT - 1]!.ms;
  }

  /** The frame whose best of five is the longest, in milliseconds. */
  timedAgain(): { ms: number; frame: Uint8Array } {
    const again = this.#frames.map(({ frame }) => ({ frame, ms: Infinity }));
    // Round by round: what else the machine does for a moment is then spread over all of them
    for (let round = 0; round < 5; round++) {
      for (const slow of again) slow.ms = Math.min(slow.ms, timed(slow.frame.slice()));
    }
    return again.sort((a, b) => b.ms - a.ms)[0]!;
  }
}

const hexadecimal = (frame: Uint8Array): string =>
  Array.from(frame, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Frames that were captured, and such as fast-check makes up. */
function validFrames(): Uint8Array[] {
  const lines = readFileSync(new URL("../packet/captured.txt", import.meta.url), "utf8").split("\n");
  const captured = lines.filter((line) => /^[0-9a-f]/.test(line)).map((line) => {
    return Uint8Array.from(line.match(/../g)!, (byte) => parseInt(byte, 16));
  });
  return [...captured, ...Object.values(hostileFrames), ...fc.sample(stack, { seed, numRuns: 1000 }).map(frameOf)];
}

suite(`packets from strangers (seed ${seed})`, () => {
  const count = Math.round(10_000_000 * scale);
  it(`${count} frames through every decoder throw PacketError only, and none is slow`, (test) => {
    const mutations = new Mutations(seed, validFrames());
    const slowest = new Slowest();
    const { stackTraceLimit } = Error;
    const begin = performance.now();
    for (let i = 0; i < count; i++) {
      // What engines gather of the stack for each error takes most of the time. They do it again when it counts.
      Error.stackTraceLimit = 0;
      const frame = mutations.next();
      try {
        readWrongly(frame, mutations);
        slowest.add(frame, timed(frame));
      } catch (error) {
        Error.stackTraceLimit = stackTraceLimit;
        throw new Error(`frame ${i}: ${hexadecimal(frame)}`, { cause: error });
      }
    }
    Error.stackTraceLimit = stackTraceLimit;
    const seconds = (performance.now() - begin) / 1000;
    const { ms, frame } = slowest.timedAgain();
    test.diagnostic(`${(count / seconds).toFixed(0)} frames/s; the slowest at its best: ${(1000 * ms).toFixed(1)} us`);
    test.diagnostic(JSON.stringify(reached));
    assertLess(ms, LIMIT, `the slowest frame: ${hexadecimal(frame)}`);
    // Frames that nobody understands would prove nothing
    for (const layer of layers) assert((reached[layer] ?? 0) > count / 1000, `only ${reached[layer]} times ${layer}`);
  });

  for (const [what, frame] of Object.entries(hostileFrames)) {
    it(`${what} take little time`, (test) => {
      let best = Infinity;
      // Engines compile what is used often; a flood of such frames is
      for (let i = 0; i < 2000; i++) best = Math.min(best, timed(frame.slice()));
      test.diagnostic(`${(1000 * best).toFixed(1)} us`);
      assertLess(best, LIMIT);
    });
  }

  const captures = Math.round(1_000_000 * scale);
  it(`${captures} captures through CaptureReader throw PacketError only`, (test) => {
    const mutations = new Mutations(seed, validCaptures());
    let [packets, unreadable] = [0, 0];
    for (let i = 0; i < captures; i++) {
      Error.stackTraceLimit = 0;
      const capture = mutations.next();
      const cut = mutations.below(capture.length + 1);
      try {
        packets += readCapture(capture, cut);
      } catch (error) {
        unreadable++;
        if (!(error instanceof PacketError)) throw new Error(`capture ${i}: ${hexadecimal(capture)}`, { cause: error });
      }
    }
    Error.stackTraceLimit = 10;
    test.diagnostic(`${packets} packets were read, ${unreadable} captures gave none`);
    assert(packets > captures / 2);
    assert(unreadable > captures / 10);
  });
});

/** Short captures with all there is in them. */
function validCaptures(): Uint8Array[] {
  const frames = validFrames().filter(({ length }) => length < 200);
  return Array.from({ length: 100 }, (_, i) => {
    if (i % 4 === 0) return captureOf(frames.slice(4 * i, 4 * i + 4));
    const writer = new PcapngWriter({ application: "fuzz", comments: ["one", "two"] });
    const lab = writer.addInterface({
      name: "lab",
      snapLength: 100 + i,
      filter: "arp",
      macAddress: "02:00:00:00:00:01",
    });
    writer.write(frames[i]!, { interface: lab, direction: "inbound", comments: "a comment" });
    writer.write(frames[i + 1]!, { interface: lab, timestampNs: 1_700_000_000_000_000_007n, dropped: i });
    writer.writeStatistics(lab, { received: 2, interfaceDropped: i, startNs: 1n, endNs: 2n });
    return writer.take();
  });
}

/** Reads all of a capture that comes in two pieces. Answers the number of its packets. */
function readCapture(capture: Uint8Array, cut: number): number {
  const reader = new CaptureReader();
  let packets = 0;
  try {
    for (const piece of [capture.subarray(0, cut), capture.subarray(cut)]) {
      reader.push(piece.slice());
      for (const packet of reader) {
        packets++;
        readAll(packet);
      }
    }
    readAll(reader.section);
    readAll(reader.interfaces);
    reader.end();
  } catch (error) {
    if (packets === 0 || !(error instanceof PacketError)) throw error;
  }
  return packets;
}
