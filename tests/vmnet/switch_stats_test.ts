// SPDX-License-Identifier: MIT

import { test } from "node:test";
import { assert, assertEquals, assertGreater, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { prometheus, type PrometheusLabels, Switch, type SwitchStats, VmnetError } from "vmnet";
import { encodeList, List } from "../../vmnet/list.ts";
import { decodeSwitchStats } from "../../vmnet/switch_stats.ts";
import { numberedFrom, Peer, until } from "./peers.ts";

/** What Prometheus reads of a text: values by name and labels. Throws at whatever the format does not allow. */
function parse(text: string): Map<string, number> {
  const samples = new Map<string, number>();
  const types = new Map<string, string>();
  assert(text.endsWith("\n"));
  let current = "";
  for (const line of text.slice(0, -1).split("\n")) {
    const comment = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/.exec(line);
    if (comment !== null) {
      const [, what, name, rest] = comment;
      if (what === "TYPE") {
        assert(!types.has(name!), `${name} is explained twice`);
        types.set(name!, rest!);
        assertMatch(rest!, /^(counter|gauge)$/);
      }
      current = name!;
      continue;
    }
    const label = String.raw`[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"`;
    const sample = new RegExp(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(\\{${label}(?:,${label})*\\})? ([0-9.e+]+)$`).exec(line);
    assert(sample !== null, `no sample: ${line}`);
    assertEquals(sample[1], current);
    assertEquals(sample[1]!.endsWith("_total"), types.get(current) === "counter");
    const key = sample[1]! + (sample[2] ?? "");
    assert(!samples.has(key), `${key} is there twice`);
    samples.set(key, Number(sample[3]));
  }
  return samples;
}

function statsOf(label: string): SwitchStats {
  const port = encodeList([
    ["number", 257],
    ["kind", "stream"],
    ["label", label],
    ["mac", Uint8Array.of(2, 0, 0, 0, 0, 9)],
    ["endpoint", 3],
    ["isolated", 1],
    ["framesIn", 10],
    ["framesOut", 2 ** 40],
    ["wakes", 4],
    ["queued", 5],
    ["droppedTooLong", 6],
  ]);
  // encodeList() takes lists as entries; a list that is bytes already has no other way in
  const list = new List(encodeList([["frames", 100], ["droppedFull", 7], ["addressesMost", 1024]]));
  return decodeSwitchStats({
    ...list,
    number: (key: string) => list.number(key),
    lists: () => [new List(port)],
  } as unknown as List);
}

test("decodeSwitchStats() names everything, with 0 for what is not there", () => {
  const { frames, bytes, addressesMost, dropped, ports } = statsOf("a");
  assertEquals([frames, bytes, addressesMost, dropped.full, dropped.verdict], [100, 0, 1024, 7, 0]);
  const [port] = ports;
  assertEquals(port!.macAddress, "02:00:00:00:00:09");
  assertEquals([port!.number, port!.kind, port!.label, port!.endpoint], [257, "stream", "a", 3]);
  assertEquals([port!.isolated, port!.framesIn, port!.framesOut, port!.bytesIn], [true, 10, 2 ** 40, 0]);
  assertEquals([port!.wakeUps, port!.queuedBytes, port!.dropped.tooLong], [4, 5, 6]);
  const empty = decodeSwitchStats(new List(new Uint8Array(0)));
  assertEquals([empty.frames, empty.ports, empty.dropped.isolated], [0, [], 0]);
});

test("prometheus() writes what Prometheus reads, whatever the labels hold", () => {
  const samples = parse(prometheus(statsOf('a"b\\c'), { network: "two\nlines" }));
  const get = (name: string, labels: string) => samples.get(`${name}{network="two\\nlines"${labels}}`);
  assertEquals(get("vmnet_switch_frames_total", ""), 100);
  assertEquals(get("vmnet_switch_dropped_frames_total", ',cause="full"'), 7);
  const port = String.raw`,port="257",kind="stream",label="a\"b\\c"`;
  assertEquals(get("vmnet_port_frames_total", `${port},direction="in"`), 10);
  assertEquals(get("vmnet_port_frames_total", `${port},direction="out"`), 2 ** 40);
  assertEquals(get("vmnet_port_dropped_frames_total", `${port},cause="too_long"`), 6);
  assertEquals(get("vmnet_port_queued_bytes", port), 5);
  assertEquals(get("vmnet_switch_ports", ""), 1);
});

test("prometheus() writes several switches in one text, and one without ports", () => {
  const none = decodeSwitchStats(new List(new Uint8Array(0)));
  const samples = parse(prometheus([[statsOf(""), { network: "a" }], [none, { network: "b" }]]));
  assertEquals(samples.get('vmnet_switch_frames_total{network="a"}'), 100);
  assertEquals(samples.get('vmnet_switch_frames_total{network="b"}'), 0);
  assertEquals(samples.get('vmnet_port_frames_total{network="a",port="257",kind="stream",direction="in"}'), 10);
  assertEquals([...samples.keys()].filter((key) => /^vmnet_port.*"b"/.test(key)), []);
  assertEquals(parse(prometheus(none)).get("vmnet_switch_frames_total"), 0);
});

test("prometheus() refuses what is no statistics and no label", () => {
  const stats = statsOf("");
  assertThrows(() => prometheus(undefined as unknown as SwitchStats), TypeError, '"stats" must be what stats()');
  assertThrows(() => prometheus([[{} as SwitchStats, {}]]), TypeError, '"stats[0]"');
  for (const none of [null, 5, [], [null, {}]]) {
    assertThrows(() => prometheus([none] as unknown as [SwitchStats, PrometheusLabels][]), TypeError, '"stats[0]"');
  }
  // Else "undefined" would be a value in the text
  const cut = { ...stats, frames: undefined } as unknown as SwitchStats;
  assertThrows(() => prometheus(cut), TypeError, "vmnet_switch_frames_total must be a number, got undefined");
  assertThrows(() => prometheus(stats, 5 as unknown as PrometheusLabels), TypeError, '"labels" must be an object');
  assertThrows(
    () => prometheus(stats, { a: 5 } as unknown as PrometheusLabels),
    TypeError,
    '"labels.a" must be a string',
  );
  for (const name of ["port", "cause", "__name__", "1st", "a-b", "é", ""]) {
    assertThrows(() => prometheus(stats, { [name]: "x" }), RangeError, "the name of a label");
  }
});

test("stats() counts what moves, by port, while it moves", async () => {
  await using sw = await Switch.create();
  await using door = await sw.listen({ kind: "stream", port: 0, label: "vm" });
  await using a = await Peer.connect(door.port);
  a.sendNumber(1, 1);
  await until(() => sw.stats().frames === 1, "a frame");
  await using b = await Peer.connect(door.port);
  b.sendNumber(2, 2);
  await a.received(2);
  for (let i = 0; i < 10; i++) a.send(numberedFrom(10 + i, 1, 1000));
  await b.received(19);
  const stats = sw.stats();
  const [first, second] = stats.ports;
  assertEquals([first!.framesIn, first!.bytesIn, first!.framesOut], [11, 10_060, 1]);
  assertEquals([second!.framesIn, second!.framesOut, second!.bytesOut], [1, 10, 10_000]);
  assertEquals([stats.frames, stats.bytes, stats.addresses], [12, 10_120, 2]);
  assertGreater(first!.reads, 0);
  assertGreater(second!.writes, 0);
  assertGreater(stats.turns, 0);
  assertEquals(JSON.parse(JSON.stringify(stats)), stats);
  const text = prometheus(stats, { network: "lab" });
  const own = `network="lab",port="${first!.number}",kind="stream",label="vm"`;
  assertEquals(parse(text).get(`vmnet_port_frames_total{${own},direction="in"}`), 11);
  await sw.stop();
  assertStringIncludes(assertThrows(() => sw.stats(), VmnetError).message, "Cannot read statistics: it was stopped");
});

test("frames that a port cannot take are counted by cause", async () => {
  await using sw = await Switch.create({ mtu: 1500 });
  assertEquals(sw.maxPacketSize, 1514);
  await using door = await sw.listen({ kind: "stream", port: 0 });
  await using a = await Peer.connect(door.port);
  a.send(numberedFrom(1, 1, 1600));
  a.send(new Uint8Array(10));
  a.send(numberedFrom(2, 1));
  await until(() => {
    const { tooLong, tooShort, bad } = sw.stats().dropped;
    return tooLong + tooShort + bad > 0;
  }, "a drop");
});
