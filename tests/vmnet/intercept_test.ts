// SPDX-License-Identifier: MIT

import { test } from "node:test";
import { assert, assertEquals, assertGreater, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { Network, Switch, type VerdictHandler, VmnetError } from "vmnet";
import { delay, numbered, numberOf } from "./frames.ts";
import { numberedFrom, Peer, until, Wire, withoutFilters } from "./peers.ts";
import { Program, runtimes, Scripts } from "./programs.ts";

const noFilters = { skip: await withoutFilters(() => Switch.create()) };

test("verdicts pass, drop and replace, in order", async () => {
  await using wire = await Wire.start({ mtu: 1500 });
  const { sw } = wire;
  const senders = new Set<number>();
  await using guard = await sw.intercept({}, (frame, { from }) => {
    senders.add(from);
    switch (numberOf(frame)) {
      case 2:
        return "drop";
      case 3: // shorter than the frame: into its place
        return numbered(33, 40);
      case 4: // longer: into the spare room
        return numbered(44, 1514);
      case 5: // in place, and handed back
        frame[17] = 55;
        return frame;
      case 6: // in place, and passed
        frame[17] = 66;
        return "pass";
      case 7: // a part of what was borrowed
        return frame.subarray(0, 50);
      default:
        return "pass";
    }
  });
  wire.a.send(...[1, 2, 3, 4, 5, 6, 7, 8].map((number) => numbered(number)));
  await wire.b.take(7);
  const seen = wire.b.frames.map((frame) => [numberOf(frame), frame.length]);
  assertEquals(seen, [[1, 60], [33, 40], [44, 1514], [55, 60], [66, 60], [7, 50], [8, 60]]);
  assertEquals([...senders], [wire.ports.a]);
  assertEquals(guard.stats(), { matched: 8, overflowed: 0, passed: 3, replaced: 4, dropped: 1, failed: 0 });
});

test("what the filter does not match never sees the script", noFilters, async () => {
  await using wire = await Wire.start({ mtu: 1500 });
  const { sw } = wire;
  let asked = 0;
  await using guard = await sw.intercept({ filter: "greater 500" }, () => {
    asked++;
    return "drop";
  });
  wire.a.send(numbered(1, 600), numbered(2), numbered(3, 600), numbered(4));
  assertEquals(await wire.b.take(2), [2, 4]);
  await until(() => guard.stats().dropped === 2, "two verdicts");
  assertEquals([asked, guard.stats().matched], [2, 2]);
});

test("verdicts may be promises: the frame stays good, and the order stays", async () => {
  await using wire = await Wire.start({ mtu: 1500 });
  const { sw } = wire;
  await using guard = await sw.intercept({}, async (frame) => {
    const number = numberOf(frame)!;
    await delay(number % 2);
    return numberOf(frame) === number ? "pass" : "drop";
  });
  const numbers = Array.from({ length: 200 }, (_, i) => i);
  for (const number of numbers) wire.a.sendNumber(number);
  assertEquals(await wire.b.take(200), numbers);
  assertEquals(guard.stats().passed, 200);
});

test("replacements that fill the spare room several times over all arrive", async () => {
  await using wire = await Wire.start({ mtu: 9000 });
  const { sw } = wire;
  await using guard = await sw.intercept({}, (frame) => numbered(numberOf(frame)!, 9014));
  const numbers = Array.from({ length: 300 }, (_, i) => i);
  const received = wire.b.take(300);
  for (const number of numbers) {
    wire.a.sendNumber(number);
    if (number % 40 === 39) await until(() => guard.stats().replaced > number, "verdicts");
  }
  assertEquals(await received, numbers);
});

test("a verdict that throws, or is none, counts as drop and is told once", async () => {
  await using wire = await Wire.start({ mtu: 1500 });
  const { sw } = wire;
  const answers: unknown[] = [
    undefined,
    "accept",
    new Uint8Array(13),
    new Uint8Array(1515),
    new ArrayBuffer(60),
    Promise.resolve(7),
    "later",
  ];
  const first = new Error("first");
  await using guard = await sw.intercept(
    {},
    ((frame: Uint8Array) => {
      const number = numberOf(frame)!;
      if (number === 0) throw first;
      if (answers[number - 1] === "later") return Promise.reject(new Error("later"));
      return number <= answers.length ? answers[number - 1] : "pass";
    }) as VerdictHandler,
  );
  const told: unknown[] = [];
  guard.done.catch((error) => told.push(error));
  wire.a.send(...Array.from({ length: answers.length + 2 }, (_, i) => numbered(i)));
  assertEquals(await wire.b.take(1), [answers.length + 1]);
  const failed = answers.length + 1;
  assertEquals(guard.stats(), { matched: failed + 1, overflowed: 0, passed: 1, replaced: 0, dropped: failed, failed });
  assertEquals(told, [first]);
});

for (
  const [verdict, kind, says] of [
    [5, TypeError, '"pass", "drop" or a Uint8Array, got 5'],
    [new Uint8Array(13), RangeError, "14 to 1514 bytes, the verdict 13"],
    [new Uint8Array(1515), RangeError, "the verdict 1515"],
  ] as const
) {
  test(`a verdict of ${says.slice(-15)} is named`, async () => {
    await using wire = await Wire.start({ mtu: 1500 });
    await using guard = await wire.sw.intercept({}, (() => verdict) as unknown as VerdictHandler);
    wire.a.sendNumber(1);
    const error = await assertRejects(() => guard.done, kind);
    assertStringIncludes((error as Error).message, says);
  });
}

test("a handler that gives the frames away loses those of that batch, and no others", async () => {
  await using wire = await Wire.start({ mtu: 1500 });
  const { sw } = wire;
  await using guard = await sw.intercept({}, (frame) => {
    if (numberOf(frame) === 1) structuredClone(frame.buffer, { transfer: [frame.buffer as ArrayBuffer] });
    return "pass";
  });
  const error = assertRejects(() => guard.done, TypeError, "was transferred");
  wire.a.sendNumber(1);
  await error;
  wire.a.sendNumber(2);
  assertEquals(await wire.b.take(1), [2]);
});

test("a slow script loses frames, or lets them pass, as it says", async () => {
  for (const onOverflow of ["drop", "pass"] as const) {
    await using sw = await Switch.create();
    await using door = await sw.listen({ kind: "stream", port: 0 });
    await using a = await Peer.connect(door.port);
    await using b = await Peer.connect(door.port);
    await until(() => door.stats().clients === 2, "both");
    const { promise, resolve } = Promise.withResolvers<"drop">();
    await using guard = await sw.intercept({ ringBytes: 65536, onOverflow }, () => promise);
    for (let i = 1; i <= 1000; i++) a.send(numberedFrom(i, 1, 1514));
    await until(() => guard.stats().matched === 1000, "all frames");
    const { overflowed } = guard.stats();
    assertGreater(overflowed, 100);
    if (onOverflow === "pass") await until(() => b.numbers.length === overflowed, "what passes");
    else assertEquals(b.numbers, []);
    resolve("drop");
  }
});

test("stop() ends it in the middle of a verdict, and frames take their usual way again", async () => {
  await using wire = await Wire.start({ mtu: 1500 });
  const { sw } = wire;
  const guard = await sw.intercept({}, () => new Promise<"pass">(() => {}));
  wire.a.sendNumber(1);
  await until(() => guard.stats().matched === 1, "a frame");
  await guard.stop();
  await guard.stop();
  assertThrows(() => guard.stats(), VmnetError, "stopped");
  wire.a.sendNumber(2);
  assertEquals(await wire.b.take(1), [2]);
  const second = await sw.intercept({}, () => "pass");
  await sw.stop();
  await second.done;
});

test("a handler may read counters, attach, and stop everything", async () => {
  await using wire = await Wire.start();
  const { sw } = wire;
  const stopped = Promise.withResolvers<void>();
  const guard = await sw.intercept({}, async (frame) => {
    assertEquals(sw.stats().ports.length, 2);
    await using tap = await sw.tap();
    assertEquals(tap.stats().matched, 0);
    if (numberOf(frame) === 2) guard.stop().then(() => sw.stop()).then(stopped.resolve, stopped.reject);
    return "pass" as const; // TypeScript takes the only verdict of an async function for a string
  });
  wire.a.sendNumber(1);
  assertEquals(await wire.b.take(1), [1]);
  wire.a.sendNumber(2);
  await stopped.promise;
  await guard.done;
});

test("the end of the network rejects done", async () => {
  const network = await Network.create({ mode: "host", dhcp: false });
  await using sw = await Switch.create({ uplink: network });
  await using guard = await sw.intercept({}, () => "pass");
  const ended = assertRejects(() => guard.done, VmnetError);
  await network.stop();
  assertEquals((await ended).code, "networkGone");
});

test("two intercepts: the first that matches decides", async () => {
  await using wire = await Wire.start({ mtu: 1500 });
  const { sw } = wire;
  await using first = await sw.intercept({ port: wire.ports.a }, () => "drop");
  await using second = await sw.intercept({}, () => "pass");
  wire.a.sendNumber(1);
  await until(() => first.stats().dropped === 1, "a verdict");
  wire.b.sendNumber(2);
  assertEquals(await wire.a.take(1), [2]);
  assertEquals([first.stats().matched, second.stats().passed], [1, 1]);
});

test("wrong options are refused before anything is opened", async () => {
  await using sw = await Switch.create();
  const pass = () => "pass" as const;
  await assertRejects(() => sw.intercept({ on: 1 } as object, pass), TypeError, 'unknown option "on"');
  await assertRejects(() => sw.intercept({ onOverflow: "wait" as "drop" }, pass), RangeError, '"drop" or "pass"');
  await assertRejects(() => sw.intercept({ ringBytes: 5 }, pass), RangeError, '"ringBytes"');
  await assertRejects(() => sw.intercept({}, "pass" as unknown as VerdictHandler), TypeError, '"handler"');
});

test("an error of a verdict that nobody looks at ends the program, as any other does", async () => {
  using scripts = new Scripts();
  const file = scripts.write(
    "script.ts",
    `
import { Interface, Switch } from "vmnet";
const [left, right] = [await Switch.create(), await Switch.create()];
const { fd } = await left.attach({ kind: "stream", pair: true });
await right.attach({ kind: "stream", fd });
const nic = await Interface.start({ mode: "host" });
await left.attach({ kind: "interface", interface: nic });
await right.intercept({}, () => { throw new Error("of the verdict"); });
const other = await Interface.start({ mode: "host" });
await other.write(new Uint8Array(60).fill(0xff, 0, 6));
`,
  );
  for (const runtime of runtimes) {
    const { code, errors } = await new Program(runtime, file).end();
    assert(code !== 0);
    assertStringIncludes(errors, "of the verdict");
  }
});
