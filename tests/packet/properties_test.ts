// SPDX-License-Identifier: MIT

/**
 * What holds for all packets: what was written is read, what was read writes the same bytes, and bytes that are no
 * packet throw PacketError and nothing else. A failure prints its seed, which VMNET_SEED replays.
 *
 * @module
 */

import { test } from "node:test";
import process from "node:process";
import fc, { type Arbitrary } from "fast-check";
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import {
  Arp,
  describe,
  Dhcp,
  Dhcpv6,
  Dns,
  encode,
  encodedLength,
  Ethernet,
  fixChecksums,
  Icmp,
  Icmpv6,
  Ipv4,
  Ipv4Address,
  Ipv6,
  Ipv6Address,
  MacAddress,
  Packet,
  PacketError,
  Tcp,
  Udp,
  verifyChecksums,
  type View,
} from "vmnet/packet";
import { frameOf, layersOf, type Stack, stack, stacks } from "./arbitraries.ts";
import { ipv4Address, ipv6Bytes, mac } from "./basics.ts";
import { attempt, readAll } from "./exercise.ts";
import { assertGiven } from "./given.ts";

const isLong = process.env.VMNET_LONG === "1";
const seed = Number(process.env.VMNET_SEED ?? Date.now() % 1_000_000_007);

function check<T>(arbitrary: Arbitrary<T>, property: (value: T) => void, numRuns = 200): void {
  fc.assert(fc.property(arbitrary, property), { seed, numRuns: isLong ? 50 * numRuns : numRuns });
}

const decoders = { Ethernet, Arp, Ipv4, Ipv6, Icmp, Icmpv6, Udp, Tcp, Dhcp, Dhcpv6, Dns };

for (const [what, arbitrary] of Object.entries(stacks)) {
  test(`${what} is read as it was written`, () => {
    check(arbitrary, (stack) => assertGiven(stack, frameOf(stack)), 60);
  });

  test(`${what} that was read writes the same bytes`, () => {
    check(arbitrary, (stack) => assertEquals(frameOf(reread(stack)), frameOf(stack)), 60);
  });
}

/** The same layers with what their views read in place of what they were given. */
function reread(stack: Stack): Stack {
  const packet = new Packet(frameOf(stack));
  return stack.map((part) => {
    if (part instanceof Uint8Array) return part;
    const view = packet[part.layer as keyof Packet] as unknown as Record<string, unknown>;
    const names = Object.keys(part.options).filter((name) => name in view);
    const read = Object.fromEntries(names.map((name) => [name, view[name]]));
    return { layer: part.layer, options: { ...part.options, ...read } };
  });
}

test("addresses are the text and the bytes that they were made of", () => {
  // More of them than texts are kept
  check(mac, (text) => assertEquals(MacAddress.parse(text).toString(), text), 2000);
  check(ipv4Address, (text) => assertEquals(Ipv4Address.parse(text).toString(), text), 2000);
  check(ipv6Bytes, (bytes) => {
    const address = new Ipv6Address(bytes);
    assertEquals(address.bytes, bytes);
    assert(Ipv6Address.parse(`${address}`).equals(address), `${address}`);
  });
});

test("encode() writes into a larger buffer what encoded() gives, and nothing else", () => {
  check(fc.tuple(stack, fc.nat(40), fc.nat(40)), ([stack, before, after]) => {
    const frame = frameOf(stack);
    const layers = layersOf(stack);
    const into = new Uint8Array(before + frame.length + after).fill(0xa5);
    assertEquals(encodedLength(layers), frame.length);
    assertEquals(encode(into, layers, before), frame.length);
    assertEquals(into.subarray(before, before + frame.length), frame);
    assert(into.every((byte, i) => i >= before && i < before + frame.length || byte === 0xa5));
    assertThrows(() => encode(into.subarray(0, frame.length - 1), layers), RangeError);
  });
});

test("verifyChecksums() finds what is written right, and fixChecksums() mends what was bent", () => {
  check(fc.tuple(stack, fc.nat(), fc.integer({ min: 1, max: 255 })), ([stack, place, change]) => {
    const frame = frameOf(stack);
    const checksums = verifyChecksums(frame);
    for (const { layer, status } of checksums) assert(status !== "wrong" && status !== "partial", layer);
    const mended = frame.slice();
    assertEquals(fixChecksums(mended), 0);
    assertEquals(mended, frame);
    if (checksums.length === 0) return;
    // A checksum that is bent itself
    const { offset, status } = checksums[place % checksums.length]!;
    if (status !== "right") return;
    mended[offset + (place & 1)]! ^= change;
    fixChecksums(mended);
    for (const { layer, status } of verifyChecksums(mended)) assert(status !== "wrong" && status !== "partial", layer);
  });
});

test("views have no setters", () => {
  for (const [name, decoder] of Object.entries({ ...decoders, Packet })) {
    for (let at: object = decoder.prototype; at !== Object.prototype; at = Object.getPrototypeOf(at)) {
      for (const [property, { set }] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
        assertEquals(set, undefined, `${name}.${property}`);
      }
    }
  }
});

test("reading changes nothing", () => {
  check(stack, (stack) => {
    const frame = frameOf(stack);
    const before = frame.slice();
    readPacket(frame);
    assertEquals(frame, before);
  });
});

/** Reads all that a packet has. */
function readPacket(frame: Uint8Array): void {
  const packet = new Packet(frame);
  for (const layer of Object.keys(decoders)) {
    const view = attempt(layer, () => packet[layer.toLowerCase() as keyof Packet]);
    if (view !== undefined) readAll(view);
  }
}

for (const [name, decoder] of Object.entries(decoders)) {
  test(`${name} of any bytes throws PacketError only`, () => {
    check(fc.tuple(fc.uint8Array({ maxLength: 400, size: "max" }), fc.nat(60)), ([bytes, start]) => {
      const view = attempt<View>(`new ${name}()`, () => new decoder(bytes, start));
      if (view === undefined) return;
      readAll(view);
      assert(view.start === start && view.start <= view.end && view.end <= bytes.length);
    });
  });
}

test("any part of a packet throws PacketError only, and is described", () => {
  check(fc.tuple(stack, fc.nat()), ([stack, cut]) => {
    const frame = frameOf(stack);
    const part = frame.subarray(0, cut % (frame.length + 1));
    readPacket(part);
    assertMatch(describe(part), /^[ -~]{1,400}$/);
    attempt("verifyChecksums()", () => verifyChecksums(part));
  });
});

test("PacketError names the layer and a place in it", () => {
  for (const [name, decoder] of Object.entries(decoders)) {
    const error = assertThrows(() => new decoder(new Uint8Array(0)), PacketError);
    assertEquals([error.layer, error.offset, error.name], [name.toLowerCase(), 0, "PacketError"]);
    assert(error instanceof RangeError);
  }
});
