// SPDX-License-Identifier: MIT

import { test } from "node:test";
import { assert, assertEquals, assertGreater, assertThrows } from "@std/assert";
import { Dns, dns, encoded, PacketError } from "vmnet/packet";
import { dnsHeader as header, hex, number } from "./message_bytes.ts";

test("Dns reads the shared names of RFC 1035, section 4.1.4", () => {
  // As there, but 20 bytes farther, in data of no meaning: F.ISI.ARPA at 40, FOO.F.ISI.ARPA at 60, ARPA at 84, the
  // root at 112
  const names = new Uint8Array(113);
  names.set(hex("01 46 03 495349 04 41525041 00"), 40);
  names.set(hex("03 464f4f c028"), 60);
  names.set(hex("c02e"), 84);
  const before = hex(header("0000", 0, 2, 0, 0), "00 000a 0001 00000000", number(113 - 23, 2));
  const cases = [[40, "F.ISI.ARPA"], [60, "FOO.F.ISI.ARPA"], [84, "ARPA"], [112, "."]] as const;
  for (const [at, name] of cases) {
    const pointer = number(0xc000 + at, 2);
    const message = [...before, ...names.subarray(23), ...hex(pointer, "0005 0001 00000000 0002", pointer)];
    const [, record] = new Dns(Uint8Array.from(message)).answers;
    assertEquals([record?.name, record?.data as string], [name, name]);
  }
});

test("Dns throws PacketError when a name does not end", () => {
  const cases: [what: string, name: string][] = [
    ["points to itself", "c00c"],
    ["points to its own first label", "01 61 c00c"],
    ["points ahead", "c00e 01 61 00"],
    ["points beyond the message", "ffff"],
    ["has a label of an unknown kind", "40 61 00"],
    ["is cut within a label", "3f 61"],
    ["is cut within a pointer", "c0"],
    ["has 256 bytes", `${`3f ${"61".repeat(63)}`.repeat(3)} 3e ${"61".repeat(62)} 00`],
  ];
  for (const [what, name] of cases) {
    assertThrows(
      () => new Dns(hex(header("0000", 1, 0, 0, 0), name, "0001 0001")).questions,
      PacketError,
      "Cannot read dns",
      what,
    );
  }
  // Two names that point at each other: only the second could, and then the first is before it
  const two = hex(header("0000", 2, 0, 0, 0), "01 61 c012 0001 0001 01 62 c00c 0001 0001");
  assertThrows(() => new Dns(two).questions, PacketError, "points to 18");
});

test("Dns bounds what pointers can make of few bytes", () => {
  // A name of 255 bytes is the longest; one label before a pointer to it is too many
  const longest = `${`3f ${"61".repeat(63)}`.repeat(3)} 3d ${"61".repeat(61)} 00`;
  const asked = hex(header("0000", 1, 0, 0, 0), longest, "0001 0001");
  assertEquals(new Dns(asked).questions[0]!.name.length, 253);
  assertThrows(
    () => new Dns(hex(header("0000", 2, 0, 0, 0), longest, "0001 0001 01 62 c00c 0001 0001")).questions,
    PacketError,
    "more than 255 bytes",
  );
  // Pointers to pointers, each to the one before
  const chain = Array.from({ length: 200 }, (_, i) => number(0xc000 + 23 + 2 * (i - 1), 2)).slice(1).join("");
  const data = `0000 ${chain}`;
  const at = (hops: number) => number(0xc000 + 23 + 2 * hops, 2);
  const message = (hops: number) =>
    hex(
      header("0000", 0, 2, 0, 0),
      "00 000a 0001 00000000",
      number(hex(data).length, 2),
      data,
      at(hops),
      "0001 0001 00000000 0004 00000000",
    );
  assertEquals(new Dns(message(100)).answers[1]!.name, ".");
  assertThrows(() => new Dns(message(199)).answers, PacketError, "points too often");
});

test("Dns reads a message in the time of its bytes when all its names share long ones", () => {
  // 127 labels, and as many records as fit, each with a name that begins at another label
  const labels = "01 61".repeat(127);
  const records = Array.from(
    { length: 5000 },
    (_, i) => `${number(0xc00c + 2 * (i % 127), 2)} 000a 0001 00000000 0000`,
  );
  const message = hex(header("0000", 1, 5000, 0, 0), labels, "00 0001 0001", ...records);
  const [first, second] = new Dns(message).answers;
  assertEquals([first?.name.length, second?.name.length], [253, 251]);
  const start = performance.now();
  for (let i = 0; i < 10; i++) assertEquals(new Dns(message).answers.length, 5000);
  // 50,000 names of 64 labels on average, which take far longer one by one
  const milliseconds = performance.now() - start;
  assert(milliseconds < 1000, `it took ${milliseconds} ms`);
});

test("dns() escapes and reads what a label may have", () => {
  const cases: [name: string, labels: string, read?: string][] = [
    ["a\\.b.c", "03 612e62 01 63 00"],
    ["\\000\\255\\\\", "03 00ff5c 00"],
    ["\\a.", "01 61 00", "a"],
    ["", "00", "."],
    ["é.local", "02 c3a9 05 6c6f63616c 00", "\\195\\169.local"],
  ];
  for (const [name, labels, read = name] of cases) {
    const bytes = encoded(dns({ questions: [{ name }] }));
    assertEquals(bytes.subarray(12), hex(labels, "0001 0001"), name);
    assertEquals(new Dns(bytes).questions[0]!.name, read);
  }
});

test("dns() shares names only where they end alike, with their case", () => {
  const questions = ["a.example.org", "A.example.org", "example.org", "org", "xexample.org"].map((name) => ({ name }));
  const bytes = encoded(dns({ questions }));
  assertEquals(
    bytes.subarray(12),
    hex(
      "01 61 07 6578616d706c65 03 6f7267 00 0001 0001",
      "01 41 c00e 0001 0001 c00e 0001 0001 c016 0001 0001",
      "08 786578616d706c65 c016 0001 0001",
    ),
  );
  assertEquals(new Dns(bytes).questions.map(({ name }) => ({ name })), questions);
  assertEquals(encoded(dns({ questions, compress: false })).length, 12 + 15 + 15 + 13 + 5 + 14 + 5 * 4);
});

test("dns() points no farther than 14 bits", () => {
  const answers = Array.from({ length: 300 }, (_, i) => ({
    name: `${i}.${"x".repeat(60)}${i}.example`,
    type: "TXT" as const,
    data: ["y".repeat(40)],
  }));
  const twice = [...answers, ...answers];
  const bytes = encoded(dns({ answers: twice }));
  assertGreater(bytes.length, 0x4000);
  assertEquals(new Dns(bytes).answers.map(({ name }) => name), twice.map(({ name }) => name));
});

test("Dns throws PacketError when pointers into labels make them overlap", () => {
  // 192 bytes of 63 are labels from any of them on, up to the zeros behind them
  const labels = `00 03e8 0001 00000000 0100 ${"3f".repeat(192)} ${"00".repeat(64)}`;
  const message = (count: number) => {
    const pointing = Array.from({ length: count }, (_, i) => `${number(0xc000 + 23 + i, 2)} 03e8 0001 00000000 0000`);
    return hex(header("0000", 0, 1 + count, 0, 0), labels, ...pointing);
  };
  assertEquals(new Dns(message(1)).answers[1]!.name, [63, 63, 63].map((length) => "?".repeat(length)).join("."));
  assertThrows(() => new Dns(message(64)).answers, PacketError, "labels of names overlap");
});
