// SPDX-License-Identifier: MIT

/**
 * Field by field: what our views read of a frame beside what Wireshark's dissectors read of it. Frames are made up,
 * were captured of Linux, and come from a network while the test runs. VMNET_SEED replays what was made up; the long run
 * makes up more.
 *
 * @module
 */

import { test } from "node:test";
import { createServer } from "node:http";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import process from "node:process";
import fc from "fast-check";
import { assertEquals, assertGreater } from "@std/assert";
import { Interface, Network, probe } from "vmnet";
import { Ipv6Address, Packet, verifyChecksums } from "vmnet/packet";
import { PlayedGuest } from "../../scripts/played_guest.ts";
import { frameOf, type Stack, stacks } from "./arbitraries.ts";
import { fieldNames, fieldsOf, type FieldValue } from "./fields.ts";
import { assertGiven } from "./given.ts";
import { dissect, type Dissection, lacksTshark } from "./tshark.ts";

const isLong = process.env.VMNET_LONG === "1";
const seed = Number(process.env.VMNET_SEED ?? Date.now() % 1_000_000_007);

/** Values as tshark writes them, with numbers in decimal. */
function text(value: FieldValue): string {
  if (value instanceof Uint8Array) return Array.from(value, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return typeof value === "boolean" ? String(Number(value)) : String(value);
}

/** tshark writes some numbers in hexadecimal, bytes without 0x, and the end of some IPv6 addresses as IPv4. */
function asOurs(value: string): string {
  if (/^0x[0-9a-f]+$/.test(value)) return String(Number(value));
  return /:.*\./.test(value) ? String(Ipv6Address.tryParse(value) ?? value) : value;
}

const hexadecimal = (frame: Uint8Array): string =>
  Array.from(frame, (byte) => byte.toString(16).padStart(2, "0")).join("");

/**
 * Compares all fields of a frame. Of a message about another packet, which it quotes, tshark has the fields of both in
 * one list: there ours have to be the first.
 */
function assertSame(frame: Uint8Array, theirs: Dissection, what: string): void {
  const packet = new Packet(frame);
  const quotes = packet.icmp !== undefined || packet.icmpv6 !== undefined;
  const [ours, wanted]: Record<string, readonly string[]>[] = [{}, {}];
  for (const [name, values] of Object.entries(fieldsOf(packet))) {
    const all = (theirs[name] ?? []).map(asOurs);
    const isFirst = quotes || name.startsWith("dhcp.hw."); // which a client's identifier may say again
    const compared = isFirst ? all.slice(0, values.length) : all;
    const read = values.map(text);
    if (read.length === compared.length && read.every((value, i) => value === compared[i])) continue;
    [ours![name], wanted![name]] = [read, compared];
  }
  // Only fields that differ are left
  assertEquals(ours, wanted, `${what}: ${hexadecimal(frame)}`);
}

/** Fields that say what tshark thinks of checksums, by the layer that they are of. */
const checksumFields = {
  ipv4: "ip.checksum.status",
  udp: "udp.checksum.status",
  tcp: "tcp.checksum.status",
  icmp: "icmp.checksum.status",
  icmpv6: "icmpv6.checksum.status",
} as const;
const [BAD, GOOD] = ["0", "1"] as const;

const asked = [...fieldNames, ...Object.values(checksumFields)];

/** Compares what `verifyChecksums()` says with what tshark does, to which a partial checksum is wrong. */
function assertSameChecksums(frame: Uint8Array, theirs: Dissection): void {
  for (const { layer, status } of verifyChecksums(frame)) {
    const their = theirs[checksumFields[layer]]?.[0];
    if (their !== GOOD && their !== BAD || status === "unverifiable") continue;
    assertEquals(status === "right", their === GOOD, `${layer}, ${status}: ${hexadecimal(frame)}`);
  }
}

/** Compares all of some frames. */
function compareAll(frames: readonly Uint8Array[], what: string): void {
  for (const [i, theirs] of dissect(frames, asked).entries()) {
    assertSame(frames[i]!, theirs, what);
    assertSameChecksums(frames[i]!, theirs);
  }
}

const options = { skip: lacksTshark };
const count = isLong ? 3000 : 60;

const made = Object.values(stacks).map((arbitrary): Stack[] => fc.sample(arbitrary, { seed, numRuns: count }));
const madeFrames = made.map((list) => list.map(frameOf));
/** All of them by one process, which takes longer to start than to dissect. */
let dissected: Dissection[] | undefined;

for (const [kind, what] of Object.keys(stacks).entries()) {
  test(`${count} packets of ${what} that are made up are the same to tshark (seed ${seed})`, options, () => {
    dissected ??= dissect(madeFrames.flat(), asked);
    const frames = madeFrames[kind]!;
    for (const [i, theirs] of dissected.slice(kind * count, (kind + 1) * count).entries()) {
      assertSame(frames[i]!, theirs, what);
      assertGiven(made[kind]![i]!, frames[i]!);
      assertSameChecksums(frames[i]!, theirs);
      // We never write a wrong one
      for (const field of Object.values(checksumFields)) {
        assertEquals(theirs[field]?.includes(BAD) ?? false, false, field);
      }
    }
  });
}

test("captured frames are the same to tshark", options, () => {
  const lines = readFileSync(new URL("captured.txt", import.meta.url), "utf8").split("\n");
  const frames = lines.filter((line) => /^[0-9a-f]/.test(line)).map((line) => {
    return Uint8Array.from(line.match(/../g)!, (byte) => parseInt(byte, 16));
  });
  assertGreater(frames.length, 70);
  compareAll(frames, "captured");
});

test("frames of a network are the same to tshark", options, async (context) => {
  if (!(await probe()).shared.works) return context.skip("mode shared does not work here");
  const frames: Uint8Array[] = [];
  const server = createServer((_, response) => response.setHeader("Connection", "close").end("hello\n".repeat(1000)));
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  {
    await using network = await Network.create({ mode: "shared" });
    await using nic = await Interface.start({ network });
    const guest = new PlayedGuest("52:54:00:00:00:05", (frame) => {
      frames.push(frame.slice());
      nic.tryWrite(frame);
    });
    const reading = (async () => {
      for await (const packet of nic) {
        frames.push(packet.slice());
        guest.receive(packet);
      }
    })();
    const gateway = network.ipv4Gateway;
    await guest.dhcp();
    assertEquals(await guest.ping(gateway), true);
    assertGreater((await guest.fetch(gateway, gateway, port, "/")).length, 6000);
    await guest.fetch(gateway, gateway, 1, "/", 500).catch(() => {}); // nobody listens there
    await nic.stop();
    await reading;
  }
  server.close();
  assertGreater(frames.length, 20);
  compareAll(frames, "of the network");
});
