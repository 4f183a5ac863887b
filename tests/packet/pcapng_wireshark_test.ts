// SPDX-License-Identifier: MIT

// What is written passes Wireshark's own programs, and what they write is read.

import { Buffer } from "node:buffer";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { PcapngWriter } from "../../packet/mod.ts";
import { contentsOf, frames, joined, Maker } from "./pcapng_files.ts";

const directory = mkdtempSync(join(tmpdir(), "vmnet-pcapng-"));
after(() => rmSync(directory, { recursive: true }));
const at = (name: string): string => join(directory, name);

const programs = ["tshark", "capinfos", "editcap", "mergecap", "text2pcap"];
const missing = programs.filter((name) => spawnSync(name, ["--version"]).error !== undefined);
const options = { skip: missing.length > 0 && `${missing.join(", ")} of Wireshark not installed` };

function run(program: string, args: readonly string[], input?: Uint8Array | string): string {
  const { status, stdout, stderr } = spawnSync(program, args, { input: input ?? "", maxBuffer: 64 << 20 });
  assertEquals(status, 0, `${program} ${args.join(" ")}: ${stderr}`);
  return stdout.toString();
}

/** Rows of fields that tshark finds in a file that comes through a pipe. */
function fieldsOf(file: Uint8Array, ...fields: string[]): string[][] {
  const args = ["-r", "-", "-T", "fields", ...fields.flatMap((name) => ["-e", name])];
  return run("tshark", args, file).replace(/\n$/, "").split("\n").map((line) => line.split("\t"));
}

const FIRST_NS = 1_700_000_000_123_456_789n;
const list = frames(100);
const timeOf = (i: number): bigint => FIRST_NS + BigInt(i) * 1_000_000_001n;
const seconds = (ns: bigint): string => `${ns / 1_000_000_000n}.${String(ns % 1_000_000_000n).padStart(9, "0")}`;

/** A file of ours with all that can be said. */
function ours(): Uint8Array<ArrayBuffer> {
  const writer = new PcapngWriter({
    application: "vmnet test",
    operatingSystem: "an OS",
    hardware: "a machine",
    comments: ["über alles", "second remark"],
  });
  writer.addInterface({
    name: "lab",
    description: "the lab's network",
    snapLength: 2000,
    filter: "ether proto 0x88b5",
    macAddress: "52:54:00:00:00:01",
    speed: 10_000_000_000,
    operatingSystem: "its OS",
    hardware: "its hardware",
    comments: "an interface",
  });
  writer.addInterface({ name: "other" });
  list.forEach((frame, i) =>
    writer.write(frame, {
      interface: i % 2,
      timestampNs: timeOf(i),
      originalLength: frame.length + i,
      ...(i === 7 && { comments: ["look here", "and here"], direction: "inbound", dropped: 3 }),
      ...(i === 8 && { direction: "outbound" }),
    })
  );
  const counts = { received: 60, accepted: 50, interfaceDropped: 10, systemDropped: 4, delivered: 46 };
  writer.writeStatistics(0, { ...counts, timestampNs: timeOf(99), startNs: timeOf(0), endNs: timeOf(98) });
  return writer.take();
}

test("capinfos finds all that PcapngWriter says", options, () => {
  writeFileSync(at("ours.pcapng"), ours());
  const text = run("capinfos", ["-M", at("ours.pcapng")]);
  for (
    const expected of [
      /File type: .*pcapng/,
      /File encapsulation: +ether/i,
      /File timestamp precision: +nanoseconds \(9\)/,
      /Number of packets: +100\n/,
      /First packet time: .*:20[.,]123456789/,
      /Capture duration: +99\.000000099 seconds/,
      /Strict time order: +True/,
      /Capture hardware: +a machine/,
      /Capture oper-sys: +an OS/,
      /Capture application: +vmnet test/,
      /Capture comment: +über alles/,
      /Capture comment: +second remark/,
      /Number of interfaces in file: 2/,
      /Name = lab/,
      /Description = the lab's network/,
      /Speed = 10000000000/,
      /Capture length = 2000/,
      /Filter string = ether proto 0x88b5/i,
      /Operating system = its OS/,
      /Hardware = its hardware/,
      /Comment = an interface/,
      /Number of stat entries = 1/,
      /Number of packets = 50/,
    ]
  ) assertMatch(text, expected);
});

test("tshark finds every packet of PcapngWriter with its time, lengths, interface and remarks", options, () => {
  const rows = fieldsOf(
    ours(),
    ...["frame.time_epoch", "frame.cap_len", "frame.len", "frame.interface_name", "data.data"],
    ...["frame.comment", "frame.packet_flags_direction"],
  );
  assertEquals(
    rows.map((row) => row.slice(0, 5)),
    list.map((frame, i) => [
      seconds(timeOf(i)),
      `${frame.length}`,
      `${frame.length + i}`,
      i % 2 ? "other" : "lab",
      Buffer.from(frame.subarray(14)).toString("hex"),
    ]),
  );
  assertEquals(rows.map(([, , , , , comment]) => comment).filter(Boolean), ["look here,and here"]);
  assertEquals(rows[7]![5], "look here,and here");
  assertEquals(rows.map((row) => Number(row[6])).slice(6, 10), [0, 1, 2, 0]);
});

test("editcap converts what PcapngWriter wrote to other formats and back", options, () => {
  writeFileSync(at("ours.pcapng"), ours());
  const formats: [format: string, unitNs: bigint][] = [["pcap", 1000n], ["nsecpcap", 1n], ["pcapng", 1n]];
  for (const [format, unit] of formats) {
    run("editcap", ["-F", format, at("ours.pcapng"), at(format)]);
    const { packets, error } = contentsOf([readFileSync(at(format))]);
    assertEquals(error, undefined);
    assertEquals(packets.map((packet) => Uint8Array.from(packet.bytes)), list);
    assertEquals(packets.map((packet) => packet.originalLength), list.map(({ length }, i) => length + i));
    assertEquals(packets.map((packet) => packet.timestampNs), list.map((_, i) => timeOf(i) / unit * unit));
    const [{ interface: from }] = packets as [typeof packets[0]];
    assertEquals([from.section.format, from.linkType], [format === "pcapng" ? "pcapng" : "pcap", 1]);
    if (format !== "pcapng") continue;
    // editcap leaves MAC addresses of interfaces out, and their counters
    assertEquals([from.name, from.filter, from.speed], ["lab", "ether proto 0x88b5", 10_000_000_000]);
    assertEquals([from.section.comments, from.section.hardware], [["über alles", "second remark"], "a machine"]);
    assertEquals([packets[7]!.comments, packets[7]!.direction], [["look here", "and here"], "inbound"]);
  }
  // Through a format that is not read here
  run("editcap", ["-F", "snoop", at("pcap"), at("snoop")]);
  assertStringIncludes(contentsOf([readFileSync(at("snoop"))]).error!.message, "0x736e6f6f begins neither");
  run("editcap", ["-F", "pcapng", at("snoop"), at("back.pcapng")]);
  assertEquals(contentsOf([readFileSync(at("back.pcapng"))]).packets.map((packet) => packet.bytes.length), [
    ...list.map(({ length }) => length),
  ]);
});

test("editcap splits, cuts and comments what PcapngWriter wrote", options, () => {
  writeFileSync(at("ours.pcapng"), ours());
  run("editcap", ["-c", "30", at("ours.pcapng"), at("split.pcapng")]);
  const parts = readdirSync(directory).filter((name) => name.startsWith("split")).sort();
  const counts = parts.map((name) => contentsOf([readFileSync(at(name))]).packets.length);
  assertEquals(counts, [30, 30, 30, 10]);
  run("editcap", ["-s", "20", "-a", "3:from editcap", at("ours.pcapng"), at("cut.pcapng")]);
  const { packets, error } = contentsOf([readFileSync(at("cut.pcapng"))]);
  assertEquals(error, undefined);
  assertEquals(packets.map((packet) => packet.bytes.length), list.map(({ length }) => Math.min(length, 20)));
  assertEquals(packets[2]!.comments, ["from editcap"]);
});

test("mergecap merges files of PcapngWriter, and one of a single byte order more", options, () => {
  const big = new Maker(false);
  writeFileSync(at("ours.pcapng"), ours());
  writeFileSync(at("big.pcapng"), joined(big.section(), big.interface(), big.packet(0, 5n, list[3]!)));
  run("mergecap", ["-w", at("merged.pcapng"), at("ours.pcapng"), at("big.pcapng")]);
  const { packets, error } = contentsOf([readFileSync(at("merged.pcapng"))]);
  assertEquals([packets.length, error], [101, undefined]);
  assertEquals([packets[0]!.timestampNs, Uint8Array.from(packets[0]!.bytes)], [5000n, list[3]]);
  // mergecap -a puts packets of one file behind those of the other; files put together by cat have two sections
  const both = joined(ours(), readFileSync(at("big.pcapng")));
  assertEquals(fieldsOf(both, "frame.len").length, contentsOf([both]).packets.length);
});

test("CaptureReader reads what text2pcap makes", options, () => {
  const hex = [...list[5]!].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  for (const format of ["pcapng", "pcap"]) {
    run("text2pcap", ["-q", "-F", format, "-", at(`text.${format}`)], `0000 ${hex}\n`);
    const { packets, error } = contentsOf([readFileSync(at(`text.${format}`))]);
    assertEquals([packets.length, error], [1, undefined]);
    assertEquals(Uint8Array.from(packets[0]!.bytes), list[5]);
  }
});

test(
  "CaptureReader agrees with tshark when files have either byte order, any unit, and all kinds of packets",
  options,
  () => {
    for (const little of [true, false]) {
      const make = new Maker(little);
      const time = 1_700_000_000n;
      const units = [[9, 10n ** 9n], [6, 10n ** 6n], [3, 1000n], [0, 1n], [0x80 | 20, 1n << 20n], [0x80, 1n]] as const;
      const file = joined(
        make.section(),
        ...units.map(([unit], i) => make.interface(1, 0, make.options([2, `i${i}`], [9, Uint8Array.of(unit)]))),
        make.interface(1, 0, make.options([2, "late"], [14, make.u64(time)])),
        ...units.map(([, second], i) => make.packet(i, time * second + (second > 1n ? second / 2n : 0n), list[i]!)),
        make.oldPacket(0, 0, time * 10n ** 9n + 9n, list[9]!),
        make.packet(units.length, 250_000n, list[10]!),
        make.block(0x80000bad, new Uint8Array(16)),
        make.packet(0, time * 10n ** 9n, list[11]!, 9000, make.options([1, "remark"])),
      );
      const { packets, error } = contentsOf([file]);
      assertEquals(error, undefined);
      const found = packets.map((packet) => [
        seconds(packet.timestampNs!),
        `${packet.bytes.length}`,
        `${packet.originalLength}`,
        packet.interface.name,
        packet.comments.join(","),
      ]);
      const names = ["frame.time_epoch", "frame.cap_len", "frame.len", "frame.interface_name", "frame.comment"];
      assertEquals(found, fieldsOf(file, ...names));
      const [magic, part] = little ? [0xa1b2c3d4, 999_999] : [0xa1b23c4d, 999_999_999];
      const pcap = joined(
        make.pcap(magic),
        make.record(1_700_000_000, part, list[20]!),
        make.record(1, 2, list[21]!, 99),
      );
      const rows = contentsOf([pcap]).packets.map(({ timestampNs, originalLength }) => {
        return [seconds(timestampNs!), `${originalLength}`];
      });
      assertEquals(rows, fieldsOf(pcap, "frame.time_epoch", "frame.len"));
    }
  },
);

test("CaptureReader finds as many packets as tshark when a file is cut", options, () => {
  const file = ours();
  for (const length of [file.length - 1, file.length >> 1]) {
    const cut = file.subarray(0, length);
    const { packets, error } = contentsOf([cut]);
    assertStringIncludes(error!.message, "the file ends after");
    const { stdout, stderr } = spawnSync("tshark", ["-r", "-", "-T", "fields", "-e", "frame.number"], { input: cut });
    assertStringIncludes(stderr.toString(), "cut short");
    assertEquals(packets.length, stdout.toString().split("\n").filter(Boolean).length);
  }
});
