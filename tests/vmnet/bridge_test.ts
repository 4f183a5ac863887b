// SPDX-License-Identifier: MIT

import { test } from "node:test";
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { bridge, type Interface, VmnetError } from "vmnet";
import { delay, numbered, numbersOf, Pair } from "./frames.ts";
import { Folder, numberedFrom, Peer, until } from "./peers.ts";

test("a bridge joins an interface with a machine, and the script's calls are refused meanwhile", async () => {
  await using pair = await Pair.start();
  using folder = new Folder();
  const joined = await bridge(pair.a, { kind: "stream", path: folder.at("s"), listen: true });
  assertEquals([joined.endpoint.kind, joined.endpoint.path], ["stream", folder.at("s")]);
  await using peer = await Peer.connect(folder.at("s"));
  await pair.b.write(numbered(1));
  await peer.received(1);
  peer.sendNumber(2, 5);
  assertEquals(await numbersOf(pair.b, 1), [2]);
  for (const call of [() => pair.a.write(numbered(3)), () => numbersOf(pair.a, 1), () => pair.a.readable()]) {
    assertEquals((await assertRejects(call, VmnetError)).code, "inUse");
  }
  const { ports } = joined.stats();
  assertEquals(ports.length, 2);
  await joined.stop();
  await peer.closed;
  await pair.a.write(numbered(4));
  assertEquals(await numbersOf(pair.b, 1), [4]);
  await pair.b.write(numbered(5));
  assertEquals(await numbersOf(pair.a, 1), [5]);
});

test("an interface with a reader cannot be bridged, and can when its loop is over", async () => {
  await using pair = await Pair.start();
  const ending = new AbortController();
  const loop = pair.a.batches({ signal: ending.signal });
  const step = loop.next();
  await assertRejects(() => bridge(pair.a, { kind: "stream", pair: true }), TypeError, "the interface has a reader");
  ending.abort();
  assertEquals((await step).done, true);
  await using joined = await bridge(pair.a, { kind: "stream", pair: true });
  assertEquals(joined.endpoint.kind, "stream");
  assertEquals((await assertRejects(() => bridge(pair.a, { kind: "stream", pair: true }), VmnetError)).code, "inUse");
});

test("what is kept of a broken-off loop comes when the bridge is over", async () => {
  await using pair = await Pair.start();
  await pair.b.write([numbered(1), numbered(2)]);
  // What still waits in native code goes to the bridge
  await delay(30);
  assertEquals(await numbersOf(pair.a, 1), [1]);
  const joined = await bridge(pair.a, { kind: "stream", pair: true });
  assertEquals((await assertRejects(() => numbersOf(pair.a, 1), VmnetError)).code, "inUse");
  await joined.stop();
  assertEquals(await numbersOf(pair.a, 1), [2]);
});

test("a bridge that cannot be made leaves the interface as it was", async () => {
  await using pair = await Pair.start();
  const nowhere = { kind: "stream", path: "/nowhere/at/all", listen: true } as const;
  assertStringIncludes((await assertRejects(() => bridge(pair.a, nowhere), VmnetError)).message, "Cannot bridge: ");
  await assertRejects(() => bridge(pair.a, { ...nowhere, clients: 2 }), RangeError, '"clients"');
  await assertRejects(() => bridge({} as Interface, nowhere), TypeError, "an Interface");
  await pair.a.write(numbered(1));
  assertEquals(await numbersOf(pair.b, 1), [1]);
  await pair.a.stop();
  assertEquals((await assertRejects(() => bridge(pair.a, nowhere), VmnetError)).code, "stopped");
});

test("a bridge is tapped, decided on, and told about", async () => {
  await using pair = await Pair.start();
  await using joined = await bridge(pair.a, { kind: "stream", listen: true, port: 0, label: "vm" });
  await using peer = await Peer.connect(joined.endpoint.port);
  // Over vmnet the interface is connected, too
  for await (const event of joined.events()) if (event.type === "connected" && event.label === "vm") break;
  await using tap = await joined.tap();
  await using guard = await joined.intercept({}, (frame) => frame[17] === 1 ? "drop" : "pass");
  peer.send(numberedFrom(1, 5), numberedFrom(2, 5));
  assertEquals(await numbersOf(pair.b, 1), [2]);
  assertEquals((await tap[Symbol.asyncIterator]().next()).value?.[17], 1);
  assertEquals([guard.stats().passed, guard.stats().dropped], [1, 1]);
});

test("a listener of a bridge has one client, and another one when that has gone", async () => {
  await using pair = await Pair.start();
  await using joined = await bridge(pair.a, { kind: "stream", listen: true, port: 0 });
  await using first = await Peer.connect(joined.endpoint.port);
  await until(() => joined.endpoint.stats().clients === 1, "a client");
  await using second = await Peer.connect(joined.endpoint.port);
  await second.closed;
  first.socket.destroy();
  await until(() => joined.endpoint.stats().clients === 0, "none");
  await using third = await Peer.connect(joined.endpoint.port);
  await until(() => joined.endpoint.stats().clients === 1, "a client");
  await pair.b.write(numbered(7));
  await third.received(7);
});

test("the end of the interface is the end of the bridge", async () => {
  await using pair = await Pair.start();
  const joined = await bridge(pair.a, { kind: "stream", pair: true });
  const events = joined.events();
  const ended = assertRejects(async () => {
    for await (const _ of events);
  }, VmnetError);
  await pair.a.stop();
  await ended;
  await assertRejects(() => joined.tap(), VmnetError);
  await joined.stop();
});
