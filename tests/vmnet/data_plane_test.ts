// SPDX-License-Identifier: MIT

import { test } from "node:test";
import { readdirSync } from "node:fs";
import process from "node:process";
import { assert, assertEquals, assertInstanceOf, assertLess, assertRejects } from "@std/assert";
import { bridge, Endpoint, Interface, Network, Switch, type Tap, type VerdictHandler, VmnetError } from "vmnet";
import { dlopen } from "vmnet/ffi";
import { Context } from "../../vmnet/context.ts";
import { Get } from "../../vmnet/symbols.ts";
import { delay, numbered, numberOf } from "./frames.ts";
import { numberedFrom, until, Wire } from "./peers.ts";

const folder = process.platform === "linux" ? "/proc/self/fd" : "/dev/fd";

/** Handles and objects of the shim, and descriptors of this process. */
function counts(): number[] {
  const context = Context.current!;
  const stats = context.get(context.handle, Get.stats, "count");
  return [stats.number("handles")!, stats.number("objects")!, readdirSync(folder).length];
}

async function settledAt(most: readonly number[], what: string): Promise<void> {
  await until(() => counts().every((count, i) => count <= most[i]!), `${what}: at most ${most}, there are ${counts()}`);
}

/** The runtimes have no call in common that closes any descriptor. */
const libc = dlopen(process.platform === "linux" ? "libc.so.6" : "libSystem.B.dylib", {
  close: { args: ["i32"], returns: "i32" },
});

test("what a stop or an abort overtakes leaves neither handles nor descriptors", async () => {
  const once = async (i: number) => {
    const sw = await Switch.create();
    const controller = new AbortController();
    const limits = { signal: controller.signal };
    const opening = [
      sw.attach({ kind: "stream", pair: true }, limits),
      sw.attach({ kind: "datagram", pair: true }, limits),
      sw.tap({}, limits),
      sw.intercept({}, () => "pass", limits),
      sw.listen({ kind: "stream", port: 0 }, limits),
    ];
    const settled = Promise.allSettled(opening);
    if (i % 4 > 1) await delay(i % 3);
    // Longer than it takes, without a turn of the event loop: all has succeeded, and nobody was told
    if (i % 4 > 0) { for (const end = performance.now() + 5; performance.now() < end;); }
    const reason = new Error("enough");
    if (i % 2 === 0) controller.abort(reason);
    const stopped = i % 3 === 0 ? sw.stop() : undefined;
    for (const result of await settled) {
      if (result.status === "fulfilled") {
        if (result.value instanceof Endpoint && result.value.fd >= 0) libc.symbols.close(result.value.fd);
      } else if (result.reason !== reason) {
        assertInstanceOf(result.reason, VmnetError);
        assertEquals(result.reason.code, "stopped");
      }
    }
    await stopped;
    await sw.stop();
  };
  for (let i = 0; i < 4; i++) await once(i);
  const before = counts();
  for (let i = 0; i < 60; i++) await once(i);
  await settledAt(before, "after 60 rounds");
});

test("a bridge that an abort overtakes gives the interface back, whenever that is", async () => {
  await using network = await Network.create({ mode: "host", dhcp: false });
  await using nic = await Interface.start({ network });
  const once = async (i: number) => {
    const controller = new AbortController();
    const joining = bridge(nic, { kind: "stream", pair: true }, { signal: controller.signal });
    joining.catch(() => {});
    if (i % 2 === 1) await delay(i % 5);
    else for (let turn = 0; turn < i; turn++) await null;
    controller.abort(new Error("enough"));
    try {
      const joined = await joining;
      libc.symbols.close(joined.endpoint.fd);
      await joined.stop();
    } catch (error) {
      assertEquals((error as Error).message, "enough");
    }
    // Undone in the background when the abort came in the middle of it
    for (let tries = 0;; tries++) {
      try {
        nic.tryWrite(numbered(i));
        return;
      } catch (error) {
        if ((error as VmnetError).code !== "inUse" || tries > 1000) throw error;
        await delay(1);
      }
    }
  };
  await once(4);
  const before = counts();
  for (let i = 0; i < 24; i++) await once(i);
  await settledAt(before, "after 24 bridges");
});

test("a thousand taps, opened and closed while frames move, leave nothing", async () => {
  await using wire = await Wire.start({ mtu: 1500 });
  let number = 0;
  const traffic = setInterval(() => {
    for (let i = 0; i < 20; i++) wire.a.sendNumber(number++);
  }, 1);
  const once = async (count: number) => {
    const taps = await Promise.all(Array.from({ length: count }, (_, i) => wire.sw.tap({ snapLength: 14 + i })));
    await Promise.all(taps.map(async (tap, i) => {
      if (i % 3 === 0) return await tap.stop();
      const stopped = i % 3 === 1 ? delay(1).then(() => tap.stop()) : undefined;
      for await (const batch of tap.batches()) {
        if (batch.length > 0 && i % 3 === 2) break;
      }
      await stopped;
      await tap.stop();
    }));
  };
  await once(50);
  const before = counts();
  for (let i = 0; i < 20; i++) await once(50);
  clearInterval(traffic);
  await settledAt(before, "after 1000 taps");
  assertEquals(wire.sw.stats().dropped.bad, 0);
});

test("a tap that is broken off and read again in every way loses nothing and tells nothing twice", async () => {
  await using wire = await Wire.start({ mtu: 1500 });
  await using tap: Tap = await wire.sw.tap();
  const total = 3000, seen: number[] = [];
  for (let i = 0; i < total; i++) wire.a.sendNumber(i);
  for (let way = 0; seen.length < total; way++) {
    let left = 1 + way * 7 % 40;
    if (way % 3 === 0) {
      for await (const packet of tap) {
        seen.push(numberOf(packet)!);
        if (--left === 0 || seen.length === total) break;
      }
    } else if (way % 3 === 1) {
      for await (const batch of tap.batches()) {
        for (const packet of batch) seen.push(numberOf(packet)!);
        break;
      }
    } else {
      const signal = AbortSignal.abort();
      for await (const _ of tap.batches({ signal })) throw new Error("a batch for a loop that was over");
      await assertRejects(() => tap.readable({ signal }));
      const packets = tap[Symbol.asyncIterator]();
      const asked = [packets.next(), packets.next(), packets.return!()];
      for (const { value } of await Promise.all(asked)) if (value !== undefined) seen.push(numberOf(value)!);
    }
  }
  assertEquals(seen, Array.from({ length: total }, (_, i) => i));
});

test("who transfers the buffer of a packet is told that others went with it", async () => {
  await using wire = await Wire.start({ mtu: 1500 });
  await using tap = await wire.sw.tap();
  wire.a.send(...Array.from({ length: 5 }, (_, i) => numbered(i)));
  await until(() => tap.stats().matched === 5, "five frames");
  const read = async () => {
    for await (const { buffer } of tap) structuredClone(buffer, { transfer: [buffer as ArrayBuffer] });
  };
  await assertRejects(read, TypeError, "the buffer of a packet was transferred, and with it 4 more");
  wire.a.sendNumber(9);
  for await (const packet of tap) {
    assertEquals(numberOf(packet), 9);
    break;
  }
});

test("an intercept goes on after a handler that transfers the buffer and answers with another one", async () => {
  await using wire = await Wire.start({ mtu: 1500 });
  await using guard = await wire.sw.intercept({}, (frame) => {
    const number = numberOf(frame)!;
    if (number < 2) structuredClone(frame.buffer, { transfer: [frame.buffer as ArrayBuffer] });
    return numbered(number, number === 1 ? 1000 : 60);
  });
  const told = assertRejects(() => guard.done, TypeError, "was transferred");
  for (const number of [0, 1]) {
    wire.a.sendNumber(number);
    await until(() => guard.stats().failed === 2 * (number + 1), "the loss of a frame and its batch");
  }
  await told;
  wire.a.sendNumber(2);
  assertEquals(await wire.b.take(1), [2]);
});

test("verdicts that lie about their length harm nobody else", async () => {
  class Liar extends Uint8Array {
    asked = 0;
    override get length(): number {
      return this.asked++ === 0 ? 60 : 1 << 30;
    }
  }
  await using wire = await Wire.start({ mtu: 1500 });
  let from = 0;
  await using guard = await wire.sw.intercept({}, (frame, info) => {
    from = info.from;
    return numberOf(frame) === 0 ? new Liar(60) : numberOf(frame) === 1 ? new Liar(1 << 20) : "pass";
  });
  guard.done.catch(() => {});
  wire.a.send(numbered(0), numbered(1), numbered(2));
  assertEquals(await wire.b.take(1), [2]);
  assertEquals([from, guard.stats().failed], [wire.ports.a, 1]);
});

test("what is no frame, or the longest there is, does not end an intercept", async () => {
  await using wire = await Wire.start();
  const lengths: number[] = [];
  await using guard = await wire.sw.intercept({}, (frame) => lengths.push(frame.length) % 2 === 0 ? frame : "pass");
  for (const length of [1, 5, 13, 14, 17, 65535, 65562, 60]) {
    const frame = new Uint8Array(length);
    frame.set(numbered(length).subarray(0, Math.min(length, 18)));
    wire.a.send(frame);
  }
  await wire.b.received(60);
  assertEquals(lengths, [14, 17, 65535, 65562, 60]);
  assertEquals(wire.b.frames.map(({ length }) => length), lengths);
  assertEquals([guard.stats().failed, wire.sw.stats().dropped.tooShort], [0, 3]);
});

test("done settles although a verdict never comes", async () => {
  const never: VerdictHandler = () => new Promise(() => {});
  await using wire = await Wire.start({ mtu: 1500 });
  const guard = await wire.sw.intercept({}, never);
  wire.a.sendNumber(1);
  await until(() => guard.stats().matched === 1, "a frame");
  await guard.stop();
  await guard.done;

  const network = await Network.create({ mode: "host", dhcp: false });
  await using nic = await Interface.start({ network });
  await using sw = await Switch.create({ uplink: network });
  const second = await sw.intercept({}, never);
  await nic.write(numbered(1));
  await until(() => second.stats().matched === 1, "a frame");
  const ended = assertRejects(() => second.done, VmnetError);
  await network.stop();
  assertEquals((await ended).code, "networkGone");
});

test("a handler may throw, stop, write and attach as it likes: the next intercept works", async () => {
  await using network = await Network.create({ mode: "host", dhcp: false });
  await using a = await Interface.start({ network });
  await using b = await Interface.start({ network });
  await using sw = await Switch.create({ uplink: network });
  let depth = 0;
  const guard = await sw.intercept({}, (frame) => {
    if (depth++ < 500) void a.write(numberedFrom(depth, 1)).catch(() => {}); // a frame for each frame
    return numberOf(frame)! % 2 === 0 ? "pass" : "drop";
  });
  await a.write(numbered(0));
  await until(() => depth > 500, "frames that make frames");
  let second: Promise<void> | undefined;
  const stopper = await sw.intercept({ port: 9999 }, () => "pass").catch((error) => error);
  assertInstanceOf(stopper, VmnetError);
  assertEquals(stopper.code, "notFound");
  await guard.stop();
  const last = await sw.intercept({}, async () => {
    second ??= sw.stop();
    await second;
    throw new Error("too late");
  });
  await a.write(numbered(7));
  await last.done;
  await second;
  await b.write(numbered(8)); // the network goes on
});

test("many are made at a time, and all are gone", async () => {
  const before = counts();
  const switches = await Promise.all(Array.from({ length: 60 }, () => Switch.create()));
  const rules = await Promise.all(switches.map((sw) => sw.tap({ snapLength: 100 })));
  assertEquals(new Set(rules.map(({ maxPacketSize }) => maxPacketSize)), new Set([100]));
  await Promise.all(switches.flatMap((sw, i) => [sw.stop(), rules[i]!.stop()]));
  await settledAt(before, "60 switches");
});

test("getters are read once, and what they throw is what the script gets", async () => {
  await using sw = await Switch.create();
  let reads = 0;
  await using door = await sw.listen({
    kind: "stream",
    get port() {
      return reads++ === 0 ? 0 : -1;
    },
  });
  assertLess(0, door.port);
  assertEquals(reads, 1);
  const thrown = new Error("from a getter");
  const options = {
    get snapLength(): number {
      throw thrown;
    },
  };
  assertEquals(await sw.tap(options).catch((error) => error), thrown);
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  await assertRejects(() => sw.tap(proxy), TypeError);
  for (const wrong of [null, 5, "x", [], () => 0, Symbol("s"), 5n, NaN]) {
    await assertRejects(() => sw.tap(wrong as object), TypeError);
    if (wrong !== "x") await assertRejects(() => sw.tap({ filter: wrong as string }), TypeError);
    if (wrong !== "x") await assertRejects(() => sw.drop(wrong as string), TypeError);
    await assertRejects(() => sw.attach(wrong as never), TypeError);
    await assertRejects(() => sw.attach({ kind: wrong } as never), wrong === "x" ? RangeError : TypeError);
    await assertRejects(() => sw.intercept(wrong as object, () => "pass"), TypeError);
    await assertRejects(() => sw.tap({}, wrong as object), TypeError);
    await assertRejects(() => sw.setPort(wrong as number, {}), Error);
    assert(await sw.setPort(1, { antiSpoof: wrong } as object).catch((error) => error instanceof TypeError));
  }
});
