// SPDX-License-Identifier: MIT

// Frames over vmnet's events, limits and headers.
// See doubles.ts. Not verified on hardware.

import { test } from "node:test";
import { assertEquals, assertLess } from "@std/assert";
import { doublesOnly } from "../backend.ts";
import { run } from "./doubles.ts";

const skip = await doublesOnly();

const exchange = (count: number) => `
await using pair = await Pair.start();
const sent = (async () => {
  for (let i = 0; i < ${count}; i++) {
    await pair.a.write(numbered(i, 60 + i % 1400));
    if (i % 32 === 31) await delay(1);
  }
})();
const numbers = await numbersOf(pair.b, ${count});
await sent;
say(numbers.every((number, i) => number === i));
say(pair.b.stats());
`;

test("frames come once and in order, whatever vmnet makes of its events", { skip }, async () => {
  const events = ["each", "edge", "delay:3", "coalesce", "repeat:4", "miss:30", "storm"];
  for (const event of events) {
    const { said: [inOrder, stats] } = await run(`events=${event}`, exchange(500));
    assertEquals([inOrder, stats.framesIn, stats.droppedIn], [true, 500, 0], event);
  }
});

test("frames come although no event ever does", { skip }, async () => {
  const { said: [inOrder, stats] } = await run("events=none", exchange(100));
  assertEquals([inOrder, stats.framesIn], [true, 100]);
});

test("a write that finds vmnet's buffers full is tried again, and dropped and counted at last", { skip }, async () => {
  const some = await run("exhaust=5", exchange(300));
  assertEquals(some.said[0], true);
  const { said: [stats] } = await run(
    "exhaust=1",
    `await using nic = await host(); await nic.write(numbered(1)); say(nic.stats());`,
  );
  assertEquals([stats.framesOut, stats.droppedOut], [0, 1]);
});

test("a storm of events against a script that does not read costs little", { skip }, async () => {
  const { said: [share] } = await run(
    "events=storm",
    `
await using pair = await Pair.start();
await pair.a.write(Array.from({ length: 200 }, (_, i) => numbered(i)));
await delay(200);
const before = process.cpuUsage();
await delay(1000);
const { user, system } = process.cpuUsage(before);
say((user + system) / 1e6);
`,
  );
  // 5 % are the shim's; the doubles' own thread and the runtime are in it as well
  assertLess(share, 0.25);
});

test("a parameter that this library does not know comes through", { skip }, async () => {
  const { said: [parameters] } = await run("", `await using nic = await host(); say(nic.parameters);`);
  assertEquals(parameters.doubleUnknown, "a parameter that nobody knows");
});

test("limits come from vmnet, and are 256 before macOS 15", { skip }, async () => {
  const source = `await using nic = await host(); say([nic.maxReadPacketCount, nic.maxWritePacketCount]);`;
  assertEquals((await run("read_max=32,write_max=16", source)).said[0], [32, 16]);
  assertEquals((await run("macos=14.0,uid=0", source)).said[0], [256, 256]);
});

test("with the virtio header every frame has twelve bytes more, both ways", { skip }, async () => {
  const { said } = await run(
    "",
    `
await using pair = await Pair.start({ enableVirtioHeader: true });
say([pair.a.maxPacketSize, pair.b.maxPacketSize]);
const frame = new Uint8Array(12 + 60);
frame.set(numbered(7), 12);
await pair.a.write(frame);
for await (const packet of pair.b) {
  if (numberOf(packet.subarray(12)) !== 7) continue;
  say(packet.length);
  break;
}
// Who has no header gets frames without one, and theirs get one
await using plain = await Interface.start({ network: pair.network });
frame.set(numbered(8), 12);
await pair.a.write(frame);
for await (const packet of plain) {
  if (numberOf(packet) !== 8) continue;
  say(packet.length);
  break;
}
await plain.write(numbered(9));
for await (const packet of pair.b) {
  if (numberOf(packet.subarray(12)) !== 9) continue;
  say(packet.length);
  break;
}
`,
  );
  assertEquals(said, [[1526, 1526], 72, 60, 72]);
});

test("readable() answers vmnet's estimate", { skip }, async () => {
  const { said } = await run(
    "",
    `
await using pair = await Pair.start();
await pair.a.write(Array.from({ length: 5 }, (_, i) => numbered(i)));
let count = 0;
for (let i = 0; i < 100 && count < 5; i++) {
  await delay(10);
  count = await pair.b.readable();
}
say(count);
`,
  );
  assertEquals(said, [5]);
});

test("with TSO frames have up to 65550 bytes", { skip }, async () => {
  const { said } = await run(
    "",
    `
await using pair = await Pair.start({ enableTso: true });
say(pair.a.maxPacketSize);
await pair.a.write([numbered(1, 65550), numbered(2, 60), numbered(3, 40000)]);
const lengths = [];
for await (const packet of pair.b) {
  if (numberOf(packet) !== undefined && lengths.push(packet.length) === 3) break;
}
say(lengths);
`,
  );
  assertEquals(said, [65550, [65550, 60, 40000]]);
});
