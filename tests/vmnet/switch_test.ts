// SPDX-License-Identifier: MIT

import { test } from "node:test";
import { assert, assertEquals, assertGreater, assertRejects } from "@std/assert";
import { bridge, Network, Switch, type SwitchEvent, type SwitchOptions, VmnetError } from "vmnet";
import { Context } from "../../vmnet/context.ts";
import { Get } from "../../vmnet/symbols.ts";
import { isVmnet } from "../backend.ts";
import { decodeEvents, EventFollower } from "../../vmnet/switch_events.ts";
import { encodeList, List } from "../../vmnet/list.ts";
import { delay, numbered, numbersOf, Pair } from "./frames.ts";
import { eventOf, Peer, until } from "./peers.ts";
import { Program, runtimes, Scripts } from "./programs.ts";

test("a network's switch has its interfaces and machines as ports", async () => {
  await using pair = await Pair.start();
  await using sw = await Switch.create({ uplink: pair.network });
  await using door = await sw.listen({ kind: "stream", port: 0 });
  await using peer = await Peer.connect(door.port);
  peer.sendNumber(1, 1);
  assertEquals(await numbersOf(pair.a, 1), [1]);
  await pair.b.write(numbered(2));
  await peer.received(2);
  const { macAddress } = sw.stats().ports.find(({ kind }) => kind === "stream")!;
  assertEquals(macAddress, "02:00:00:00:00:01"); // of the first frame
  // vmnet has a switch of its own, behind the uplink
  const own = await isVmnet() ? ["uplink"] : ["interface", "interface"];
  assertEquals(sw.stats().ports.map(({ kind }) => kind).sort(), [...own, "stream"].sort());
  await using second = await Switch.create({ uplink: pair.network });
  assertEquals(second.stats().ports.length, own.length + 1);
  await sw.stop();
  await peer.closed;
  assertEquals(second.stats().ports.length, own.length);
});

test("a new switch has an interface as its uplink, and gives it back", async () => {
  await using pair = await Pair.start();
  const sw = await Switch.create({ uplink: pair.a, ageSeconds: 60 });
  assertEquals(sw.maxPacketSize, pair.a.maxPacketSize);
  await using door = await sw.listen({ kind: "stream", port: 0 });
  await using peer = await Peer.connect(door.port);
  peer.sendNumber(1, 1);
  assertEquals(await numbersOf(pair.b, 1), [1]);
  await pair.b.write(numbered(2));
  await peer.received(2);
  assertEquals((await assertRejects(() => pair.a.write(numbered(3)), VmnetError)).code, "inUse");
  await sw.stop();
  await pair.b.write(numbered(4));
  assertEquals(await numbersOf(pair.a, 1), [4]);
});

test("isolated ports reach the uplink and not one another", async () => {
  await using pair = await Pair.start();
  await using sw = await Switch.create({ uplink: pair.a });
  await using door = await sw.listen({ kind: "stream", port: 0, isolated: true });
  await using a = await Peer.connect(door.port);
  await using b = await Peer.connect(door.port);
  await until(() => door.stats().clients === 2, "both");
  a.sendNumber(1, 1);
  assertEquals(await numbersOf(pair.b, 1), [1]);
  await pair.b.write(numbered(2));
  await Promise.all([a.received(2), b.received(2)]);
  assertEquals([a.numbers, b.numbers], [[2], [2]]);
  for (const { endpoint, number } of sw.stats().ports) {
    if (endpoint === door.id) await sw.setPort(number, { isolated: false });
  }
  a.sendNumber(3, 1);
  await b.received(3);
});

test("setPort() limits a port while frames move, and says so", async () => {
  await using sw = await Switch.create();
  await using door = await sw.listen({ kind: "stream", port: 0 });
  await using a = await Peer.connect(door.port);
  a.sendNumber(1, 1);
  await until(() => sw.stats().frames === 1, "a frame");
  const number = sw.stats().ports[0]!.number;
  await using b = await Peer.connect(door.port);
  await until(() => door.stats().clients === 2, "both");
  await sw.setPort(number, { broadcastsPerSecond: 5 });
  for (let i = 0; i < 50; i++) a.sendNumber(100 + i, 1);
  await until(() => sw.stats().ports[0]!.dropped.broadcast > 0 && sw.stats().ports[0]!.framesIn >= 40, "a drop");
  const limited = await eventOf(sw, "limited");
  assertEquals([limited.port, limited.kind], [number, "stream"]);
  assertGreater(limited.timeMs, Date.now() - 60_000);
  await sw.setPort(number, { broadcastsPerSecond: 0, antiSpoof: true, macAddress: "02:00:00:00:00:01" });
  a.sendNumber(200, 1);
  await b.received(200);
  a.sendNumber(201, 7);
  await until(() => sw.stats().dropped.spoofed === 1, "a spoofed frame");
  assertEquals((await eventOf(sw, "spoofed")).port, number);
  await sw.setPort(number, { antiSpoof: false });
  a.sendNumber(202, 7);
  await b.received(202);
  assert(!b.numbers.includes(201));
});

test("disconnect() cuts a client off", async () => {
  await using sw = await Switch.create();
  await using door = await sw.listen({ kind: "stream", port: 0 });
  await using a = await Peer.connect(door.port);
  const { port } = await eventOf(sw, "connected");
  await sw.disconnect(port);
  await a.closed;
  assertEquals((await eventOf(sw, "disconnected")).port, port);
  const gone = await assertRejects(() => sw.disconnect(60_000), VmnetError);
  assertEquals(gone.code, "notFound");
  await assertRejects(() => sw.setPort(60_000, { isolated: true }), VmnetError, "Cannot set port: ");
});

test("a client that comes back has the port that it had", async () => {
  await using sw = await Switch.create();
  await using door = await sw.listen({ kind: "stream", port: 0 });
  const first = await Peer.connect(door.port);
  first.sendNumber(1, 1);
  await until(() => sw.stats().frames === 1, "a frame");
  const { port } = await eventOf(sw, "connected");
  await first[Symbol.asyncDispose]();
  await eventOf(sw, "disconnected");
  await using other = await Peer.connect(door.port);
  other.sendNumber(2, 2);
  await until(() => sw.stats().frames === 2, "the other");
  await using again = await Peer.connect(door.port);
  again.sendNumber(3, 1);
  await other.received(3);
  assert(sw.stats().ports.some(({ number }) => number === port));
  assertEquals((await eventOf(sw, "reconnected")).port, port);
});

test("events() tells what was before the first loop, several loops at a time, and ends quietly", async () => {
  const sw = await Switch.create();
  const door = await sw.listen({ kind: "stream", port: 0, label: "vm" });
  await using a = await Peer.connect(door.port);
  await until(() => door.stats().clients === 1, "a client");
  const collected: SwitchEvent[][] = [[], []];
  const loops = collected.map(async (list) => {
    for await (const event of sw.events()) list.push(event);
  });
  await until(() => collected[0]!.length === 1, "the past");
  a.socket.destroy();
  await until(() => collected.every((list) => list.at(-1)?.type === "disconnected"), "the end");
  assertEquals(collected.map((list) => list.map(({ type }) => type)), [["connected", "disconnected"], [
    "disconnected",
  ]]);
  assertEquals(collected[0]!.map((event) => event.type !== "lost" && event.label), ["vm", "vm"]);
  const signal = AbortSignal.abort();
  assertEquals((await sw.events({ signal }).next()).done, true);
  await sw.stop();
  await Promise.all(loops);
  await assertRejects(() => sw.events().next(), VmnetError, "Cannot read events: it was stopped");
});

test("events that nobody reads are counted, in the shim and in a slow loop", async () => {
  const list = new List(encodeList([
    ["event", [["type", "connected"], ["port", 5], ["mac", Uint8Array.of(2, 0, 0, 0, 0, 1)], ["time", 1_500_000n]]],
    ["event", [["type", "of a later version"]]],
    ["lost", 3],
  ]));
  const [lost, event, ...rest] = decodeEvents(list);
  assertEquals([lost?.type === "lost" && lost.count, rest], [3, []]);
  assertEquals(event, {
    type: "connected",
    port: 5,
    kind: "",
    label: "",
    macAddress: "02:00:00:00:00:01",
    detail: "",
    timeMs: 1.5,
  });
  const nothing = () => {};
  const source = { check: nothing, isStopping: () => false, follow: nothing, unfollow: nothing, hold: nothing };
  const follower = new EventFollower({ ...source, release: nothing }, undefined);
  follower.tell([lost!, ...Array.from({ length: 300 }, () => event!)]);
  const first = (await follower.next()).value;
  // 301 events, of which 256 are kept; the first one that goes stands for three
  assertEquals(first?.type === "lost" && first.count, 47);
  for (let i = 0; i < 256; i++) assertEquals((await follower.next()).value, event);
});

test("the end of the network is told by everything but stop()", async () => {
  const network = await Network.create({ mode: "host", dhcp: false });
  const sw = await Switch.create({ uplink: network });
  const door = await sw.listen({ kind: "stream", port: 0 });
  const loop = assertRejects(() => sw.events().next(), VmnetError);
  await delay(5);
  await network.stop();
  assertEquals((await loop).code, "networkGone");
  for (
    const call of [
      () => sw.listen({ kind: "stream", port: 0 }),
      () => sw.drop("ip"),
      () => sw.setPort(256, { isolated: true }),
      () => sw.events().next(),
    ]
  ) assertEquals((await assertRejects(call, VmnetError)).code, "networkGone");
  await door.stop();
  await sw.stop();
  await sw.stop();
});

test("wrong options are refused before anything is made", async () => {
  const create = (options: unknown) => Switch.create(options as SwitchOptions);
  await assertRejects(() => create(null), TypeError, "Cannot create switch: options must be an object");
  await assertRejects(() => create({ uplinks: 1 }), TypeError, 'unknown option "uplinks"');
  await assertRejects(() => create({ uplink: "en0" }), TypeError, '"uplink" must be a Network or an Interface');
  await assertRejects(() => create({ ageSeconds: 0 }), RangeError, "from 1 to 86400");
  await assertRejects(() => create({ mtu: 67 }), RangeError, "from 68 to 65535");
  await using pair = await Pair.start();
  await assertRejects(() => create({ uplink: pair.network, mtu: 1500 }), TypeError, '"mtu" cannot be used');
  await assertRejects(() => create({ uplink: pair.network, ageSeconds: 5 }), TypeError, '"ageSeconds" cannot be used');
  await assertRejects(() => create({ uplink: pair.a, mtu: 1500 }), TypeError, '"mtu" cannot be used with an Interface');
  const waiting = pair.a.readable({ signal: AbortSignal.timeout(5) }).catch(() => {});
  await assertRejects(() => create({ uplink: pair.a }), TypeError, "the interface has a reader");
  await waiting;
  await using sw = await Switch.create();
  await assertRejects(() => sw.setPort(0, {}), RangeError, '"port" must be an integer from 1 to 65535');
  await assertRejects(() => sw.setPort("1" as unknown as number, {}), TypeError, '"port"');
  await assertRejects(() => sw.setPort(1, { speed: 5 } as object), TypeError, 'unknown option "speed"');
  await assertRejects(() => sw.disconnect(undefined as unknown as number), TypeError, '"port" is missing');
  // @ts-expect-error a network has an MTU
  const _: SwitchOptions = { uplink: pair.network, mtu: 5 };
});

test("stopping while endpoints are opened leaves nothing", async () => {
  for (let i = 0; i < 20; i++) {
    const sw = await Switch.create();
    const opening = [
      sw.listen({ kind: "stream", port: 0 }),
      sw.tap(),
      sw.intercept({}, () => "pass"),
      sw.attach({ kind: "stream", pair: true }),
    ].map((promise) => promise.catch((error) => error));
    if (i % 2 === 1) await delay(0);
    await sw.stop();
    for (const result of await Promise.all(opening)) {
      if (result instanceof Error) assertEquals((result as VmnetError).code, "stopped");
      else await result.stop();
    }
  }
});

test("nothing is left of what was stopped", async () => {
  const context = await Context.open();
  const count = () => {
    const stats = context.get(context.handle, Get.stats, "count");
    return [stats.number("handles")!, stats.number("objects")!];
  };
  const once = async () => {
    await using pair = await Pair.start();
    await using joined = await bridge(pair.a, { kind: "stream", pair: true });
    const sw = await Switch.create({ uplink: pair.b });
    const door = await sw.listen({ kind: "stream", port: 0, antiSpoof: true });
    await using peer = await Peer.connect(door.port);
    await sw.tap({ snapLength: 14 });
    const guard = await sw.intercept({}, () => "pass");
    peer.sendNumber(1, 1);
    await until(() => guard.stats().matched > 0 || sw.stats().dropped.spoofed > 0, "a frame");
    await assertRejects(() => sw.connect({ kind: "stream", path: "/nowhere", reconnect: false }), VmnetError);
    await sw.stop();
    await joined.stop();
  };
  await once();
  const before = count(); // perhaps with one that is about to go
  for (let i = 0; i < 10; i++) await once();
  await until(() => count().every((number, i) => number <= before[i]!), `at most ${before}`);
});

test("a switch keeps the program alive until it is stopped, or not if the script says so", async () => {
  using scripts = new Scripts();
  const file = scripts.write(
    "script.ts",
    `
import process from "node:process";
import { Switch } from "vmnet";
const sw = await Switch.create();
await sw.intercept({}, () => "pass");
await sw.attach({ kind: "stream", pair: true });
const how = process.argv[2];
console.log("made");
if (how === "unref") sw.unref();
if (how === "ref") sw.unref().ref();
if (how === "stop") setTimeout(() => sw.stop(), 50);
if (how === "exit") setTimeout(() => process.exit(0), 50);
`,
  );
  for (const runtime of runtimes) {
    for (const how of ["unref", "stop", "exit"]) {
      const { code, errors } = await new Program(runtime, file, [how]).end();
      assertEquals([how, code, errors], [how, 0, ""]);
    }
    const program = new Program(runtime, file, ["ref"]);
    await program.line(/made/);
    await delay(300);
    assertEquals(program.child.exitCode, null);
    program.child.kill("SIGKILL");
    await program.ending;
  }
});
