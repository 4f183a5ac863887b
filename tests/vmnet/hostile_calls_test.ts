// SPDX-License-Identifier: MIT

import { test } from "node:test";
import { assert, assertEquals, assertGreater, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { Interface, interrupted, Network, PacketBatch, VmnetError } from "vmnet";
import { encodeStream, StreamDecoder } from "vmnet/framing";
import { show } from "../../vmnet/fields.ts";
import { delay, numbered, numberOf, Pair } from "./frames.ts";

/** Values that no option takes. */
function oddities(): unknown[] {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  const trap = new Proxy({}, {
    get(): never {
      throw new Error("trap");
    },
  });
  const bare = Object.create(null) as unknown;
  const named = { constructor: { name: Symbol("class") } };
  return [NaN, -0, 1e21, 5n, "a\0b", null, Symbol("x"), () => 1, [1], bare, proxy, trap, named, new Date(0)];
}

/** What a call with a wrong value throws. */
async function errorOf(call: () => unknown): Promise<Error> {
  try {
    await call();
  } catch (error) {
    return error as Error;
  }
  throw new Error("nothing was thrown");
}

function detach({ buffer }: Uint8Array | Uint32Array): void {
  structuredClone(buffer, { transfer: [buffer as ArrayBuffer] });
}

test("show() has words for every value", () => {
  for (const value of oddities()) assertEquals(typeof show(value), "string");
  assertEquals(show({ constructor: { name: Symbol("x") } }), "an object of class Object");
});

test("a wrong value of any kind is named, with what was attempted", async () => {
  await using nic = await Interface.start({ mode: "host" });
  for (const value of oddities()) {
    // deno-lint-ignore no-explicit-any
    const any = value as any;
    const calls: [call: () => unknown, says: string][] = [
      [() => Interface.start({ mode: any }), 'Cannot start interface: "mode" must be "host", "shared" or "bridged"'],
      [() => Interface.start({ mode: "host", mtu: any }), 'Cannot start interface: "mtu" must be'],
      [() => Interface.start({ network: any }), 'Cannot start interface: "network" must be a Network'],
      [() => Interface.start({ mode: "host" }, { timeoutMs: any }), 'Cannot start interface: "timeoutMs" must be'],
      [() => Interface.start({ mode: "host" }, { signal: any }), 'Cannot start interface: "signal" must be'],
      [() => Network.create({ ipv4Subnet: any }), 'Cannot create network: "ipv4Subnet" must be a private subnet'],
      [() => Network.create({ portForwardingRules: any }), 'Cannot create network: "portForwardingRules'],
      [() => nic.batches({ signal: any }), 'Cannot read packets: "signal" must be an AbortSignal'],
      [() => nic.readable({ signal: any }), 'Cannot read packets: "signal" must be an AbortSignal'],
      [() => interrupted({ signal: any }), '"signal" must be an AbortSignal'],
      [() => nic.write([any]), "Cannot write packets: packet 0 must be a Uint8Array"],
      [() => new PacketBatch({ slots: any }), 'Cannot make batch: "slots" must be'],
      [() => new StreamDecoder({ maxFrameSize: any }), 'Cannot make decoder: "maxFrameSize" must be'],
      [() => encodeStream([any]), "Cannot encode stream: a frame must be a Uint8Array"],
    ];
    for (const [call, says] of calls) {
      const error = await errorOf(call);
      assert(error instanceof TypeError || error instanceof RangeError, `${says}: ${error}`);
      // A revoked proxy answers instanceof with an error of the engine's own
      if (!/revoked/.test(error.message)) assertStringIncludes(error.message, says);
    }
  }
});

test("names that are not known are refused everywhere", async () => {
  await using nic = await Interface.start({ mode: "host" });
  const calls = [
    () => Interface.start({ mode: "host" }, { timeout: 5 } as object),
    () => nic.batches({ abort: 1 } as object),
    () => nic.readable({ abort: 1 } as object),
    () => interrupted({ abort: 1 } as object),
    () => new PacketBatch({ slot: 1 } as object),
    () => new StreamDecoder({ max: 1 } as object),
  ];
  for (const call of calls) assertStringIncludes((await errorOf(call)).message, "unknown option");
});

test("options are read once: what changes afterwards changes nothing", async () => {
  const options = { mode: "host", enableVirtioHeader: false } as { mode: "host"; enableVirtioHeader: boolean };
  const starting = Interface.start(options);
  options.enableVirtioHeader = true;
  await using nic = await starting;
  assertEquals([nic.maxPacketSize, nic.options.enableVirtioHeader], [1514, false]);
  let asked = 0;
  const fickle = {
    get mode(): "host" {
      return asked++ === 0 ? "host" : undefined as never;
    },
  };
  await using other = await Interface.start(fickle);
  assertEquals([asked, other.options], [1, { mode: "host" }]);
});

test("a forged Network and a forged batch are refused", async () => {
  const network = { ipv4Subnet: "192.168.1.0/24" } as Network;
  await assertRejects(() => Interface.start({ network }), TypeError, '"network" must be a Network');
  const state = {
    arena: new Uint8Array(16),
    descriptors: new Uint32Array(1),
    slots: 256,
    maxPacketSize: 1514,
    count: 0,
  };
  assertThrows(() => new PacketBatch(state as object), TypeError, 'unknown option "arena"');
});

test("a batch whose buffers were transferred is refused, and nothing is lost", async () => {
  await using pair = await Pair.start();
  const { a, b } = pair;
  await a.write([numbered(1), numbered(2)]);
  await b.readable();
  for (const part of ["bytes", "descriptors"] as const) {
    const batch = new PacketBatch();
    batch.push(numbered(9));
    detach(batch[part]);
    assertThrows(() => b.read(batch), TypeError, "the buffer of the batch was transferred");
    assertThrows(() => a.tryWrite(batch), TypeError, "the buffer of the batch was transferred");
    await assertRejects(() => a.write(batch), TypeError, "the buffer of the batch was transferred");
  }
  let count = 0;
  for (; count < 2; count += b.read(new PacketBatch())) await b.readable(); // the second may come later
  assertEquals(count, 2);
  const looping = async () => {
    for await (const batch of b.batches()) {
      detach(batch.bytes);
      await a.write(numbered(3));
    }
  };
  await a.write(numbered(2));
  await assertRejects(looping, TypeError, "the buffer of the batch was transferred");
  assertEquals(await b.readable(), 1);
});

test("read() refuses a copy, which has no room and would cut packets", async () => {
  await using pair = await Pair.start();
  await pair.a.write(numbered(1, 1514));
  await pair.b.readable();
  const small = new PacketBatch();
  small.push(numbered(2));
  for (const batch of [small.copy(), new PacketBatch().copy()]) {
    assertThrows(() => pair.b.read(batch), RangeError, "must have room for 1514 bytes");
  }
  const batch = new PacketBatch();
  assertEquals([pair.b.read(batch), batch.byteLength(0)], [1, 1514]);
  assertEquals(await pair.a.write(new PacketBatch().copy()), undefined);
});

test("a descriptor that leads out of its batch is refused", async () => {
  await using pair = await Pair.start();
  for (const [word, value] of [[0, 0xffffffff], [0, 1 << 20], [1, 0xffffffff], [1, 0]] as const) {
    const batch = new PacketBatch({ slots: 2 });
    batch.push(numbered(1));
    batch.descriptors[word] = value;
    const error = await errorOf(() => pair.a.write(batch));
    assert(error instanceof RangeError || error instanceof VmnetError, String(error));
    assertStringIncludes(error.message, "packet 0");
  }
});

test("copy() takes integers from 0 on", () => {
  const batch = new PacketBatch();
  for (let i = 0; i < 3; i++) batch.push(numbered(i));
  for (const value of [-1, 1.5, NaN, Infinity]) {
    assertThrows(() => batch.copy(value), RangeError, '"start" must be an integer from 0 on');
    assertThrows(() => batch.copy(0, value), RangeError, '"end" must be an integer from 0 on');
  }
  assertThrows(() => batch.copy("1" as never), TypeError, '"start"');
  assertEquals([batch.copy(5).length, batch.copy(2, 1).length, batch.copy(1, 9).length], [0, 0, 2]);
});

test("write() sends the packets that it has checked, whatever the list answers later", async () => {
  await using pair = await Pair.start();
  let asked = 0;
  const list = new Proxy([numbered(1), numbered(2)], {
    get(target, key) {
      return key === "0" && asked++ > 0 ? 12345 : Reflect.get(target, key);
    },
  });
  await pair.a.write(list);
  const numbers: (number | undefined)[] = [];
  for await (const packet of pair.b) if (numbers.push(numberOf(packet)) === 2) break;
  assertEquals(numbers, [1, 2]);
  await assertRejects(
    () => pair.a.write("packet" as never),
    TypeError,
    '"packets" must be a Uint8Array, a PacketBatch',
  );
});

test("10000 operations at a time all end, and each keeps its own limits", async () => {
  await using nic = await Interface.start({ mode: "host" });
  const rules = await Promise.all(Array.from({ length: 10_000 }, () => nic.portForwardingRules()));
  assertEquals(rules.flat(), []);
  const controller = new AbortController();
  const reason = new Error("enough");
  const ends = Array.from({ length: 1500 }, (_, i) => {
    if (i < 500) return nic.portForwardingRules();
    return nic.portForwardingRules(i < 1000 ? { signal: controller.signal } : { timeoutMs: 1 });
  });
  controller.abort(reason);
  const settled = await Promise.allSettled(ends);
  assert(settled.slice(0, 500).every(({ status }) => status === "fulfilled"));
  assert(settled.slice(500, 1000).every((end) => end.status === "rejected" && end.reason === reason));
  const late = settled.slice(1000).filter((end) => end.status === "rejected").map(({ reason }) => reason.code);
  assertEquals(late.filter((code) => code !== "timeout"), []);
  assertEquals(await nic.portForwardingRules(), []);
});

test("two scripts that write from within their loops do not lock one another up", async () => {
  await using pair = await Pair.start();
  const echo = async (nic: Interface) => {
    let count = 0;
    for await (const packet of nic) {
      // Twice as many as came, so that both are full all the time
      await nic.write([packet, packet]);
      if (++count === 5000) return count;
    }
  };
  const echoing = [echo(pair.a), echo(pair.b)];
  await pair.a.write(numbered(1, 1514));
  await Promise.race(echoing);
  // The other one, whichever that is, gets no more answers now, and needs some to come to its end
  let ended = false;
  const both = Promise.all(echoing).finally(() => ended = true);
  while (!ended) await Promise.all([pair.a.write(numbered(2)), pair.b.write(numbered(2))]).then(() => delay(0));
  await both;
  assertGreater(pair.a.stats().framesOut, 5000);
  assertGreater(pair.b.stats().framesOut, 5000);
});
