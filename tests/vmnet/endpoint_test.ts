// SPDX-License-Identifier: MIT

import { Buffer } from "node:buffer";
import { existsSync, statSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { assert, assertEquals, assertGreater, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { type EndpointOptions, Interface, Switch, UnsupportedError, VmnetError } from "vmnet";
import { encodeEndpoint } from "../../vmnet/endpoint_options.ts";
import { encodePortOptions, portOptionNames } from "../../vmnet/port_options.ts";
import { Fields } from "../../vmnet/fields.ts";
import { linuxOnly } from "../backend.ts";
import { eventOf, Folder, Listener, numberedFrom, Peer, until } from "./peers.ts";

const noRecords = await linuxOnly("unix sockets that keep records");

const encode = (options: unknown) => encodeEndpoint("attach endpoint", options).entries;

/** Every wrong option is refused with an error that names the field, its value and what it takes. */
function assertRefused(options: unknown, kind: typeof TypeError | typeof RangeError, ...says: string[]): void {
  const error = assertThrows(() => encode(options), kind);
  assertEquals(error.constructor, kind);
  for (const text of ["Cannot attach endpoint: ", ...says]) assertStringIncludes(error.message, text);
}

test("encodeEndpoint() writes what is given and nothing else", () => {
  assertEquals(encode({ kind: "stream", path: "/tmp/a", listen: true, mode: 0o660, clients: 3, label: "vms" }), [
    ["kind", "stream"],
    ["listen", true],
    ["path", "/tmp/a"],
    ["mode", 0o660],
    ["clients", 3],
    ["label", "vms"],
  ]);
  assertEquals(encode({ kind: "stream", host: "localhost", port: 1, reconnect: false }), [
    ["kind", "stream"],
    ["listen", false],
    ["host", "127.0.0.1"],
    ["port", 1],
    ["reconnect", false],
  ]);
  assertEquals(encode({ kind: "datagram", pair: true, queueBytes: 131072, virtioHeader: true }), [
    ["kind", "datagram"],
    ["pair", true],
    ["queueBytes", 131072],
    ["virtioHeader", true],
  ]);
  assertEquals(encode({ kind: "seqpacket", fd: 7 }), [["kind", "seqpacket"], ["fd", 7]]);
  assertEquals(encode({ kind: "tap" }), [["kind", "tap"]]);
  assertEquals(encode({ kind: "replay", path: "/x", speed: 0.5, repeat: Infinity }), [
    ["kind", "replay"],
    ["path", "/x"],
    ["speed", 500],
    ["repeat", 0],
  ]);
  assertEquals(encode({ kind: "replay", path: "/x", speed: Infinity, repeat: 2 }).slice(2), [["speed", 0], [
    "repeat",
    2,
  ]]);
  const limits = { isolated: true, bytesPerSecond: 5, burstBytes: 0, broadcastsPerSecond: 7, antiSpoof: true };
  assertEquals(encode({ kind: "tap", ...limits, macAddress: "2:0:0:0:0:1" }).slice(1), [
    ...Object.entries(limits),
    ["mac", Uint8Array.of(2, 0, 0, 0, 0, 1)],
  ]);
  const any = new Fields("set port", { macAddress: "any" }, portOptionNames);
  assertEquals(encodePortOptions(any), [["mac", new Uint8Array(6)]]);
});

test("encodeEndpoint() refuses what is wrong, and says what it takes", () => {
  assertRefused(undefined, TypeError, "options must be an object, got undefined");
  assertRefused([], TypeError, "an array");
  assertRefused({}, TypeError, '"kind" is missing');
  assertRefused({ kind: "tcp" }, RangeError, '"kind" must be "stream", "datagram"', 'or "replay", got "tcp"');
  assertRefused({ kind: 5 }, TypeError, "got 5");
  assertRefused({ kind: "stream" }, TypeError, '"path" is missing');
  assertRefused({ kind: "stream", Path: "/a" }, TypeError, 'unknown option "Path"');
  assertRefused({ kind: "datagram", port: 5 }, TypeError, 'unknown option "port"');
  assertRefused({ kind: "stream", path: "" }, RangeError, '"path"');
  assertRefused({ kind: "stream", path: "a\0b" }, RangeError, "without NUL");
  assertRefused({ kind: "stream", path: "é".repeat(60) }, RangeError, "a path of at most 107 bytes");
  assertRefused({ kind: "stream", path: "/a", port: 5 }, TypeError, '"path" cannot be used with "port"');
  assertRefused({ kind: "stream", path: "/a", host: "::1" }, TypeError, '"host" cannot be used without "port"');
  assertRefused({ kind: "stream", path: "/a", mode: 0o600 }, TypeError, '"mode" cannot be used without "listen"');
  assertRefused({ kind: "stream", path: "/a", clients: 1 }, TypeError, '"clients" cannot be used without "listen"');
  assertRefused({ kind: "stream", path: "/a", listen: true, reconnect: true }, TypeError, '"reconnect" cannot be');
  assertRefused({ kind: "stream", path: "/a", listen: true, mode: 0o1000 }, RangeError, "from 0 to 511");
  assertRefused({ kind: "stream", path: "/a", listen: true, clients: 0 }, RangeError, "from 1 to 255");
  assertRefused({ kind: "stream", path: "/a", listen: 1 }, TypeError, '"listen" must be a boolean');
  assertRefused({ kind: "stream", port: 0 }, RangeError, "from 1 to 65535, got 0");
  assertRefused({ kind: "stream", port: "80" }, TypeError, 'got "80"');
  assertRefused({ kind: "stream", port: 1, host: "10.0.0.1" }, RangeError, "a loopback address");
  assertRefused({ kind: "stream", port: 1, host: "example.org" }, RangeError, "a loopback address");
  assertRefused({ kind: "stream", fd: -1 }, RangeError, '"fd"');
  assertRefused({ kind: "stream", fd: 1.5 }, RangeError, '"fd"');
  assertRefused({ kind: "stream", fd: 3, path: "/a" }, TypeError, '"path" cannot be used with "fd"');
  assertRefused({ kind: "stream", pair: false }, TypeError, '"pair" must be true');
  assertRefused({ kind: "stream", pair: true, fd: 3 }, TypeError, '"fd" cannot be used with "pair"');
  assertRefused({ kind: "stream", pair: true, queueBytes: 1 }, RangeError, "from 131072 to 67108864");
  assertRefused({ kind: "stream", pair: true, virtioHeader: 1 }, TypeError, "a boolean");
  assertRefused({ kind: "stream", pair: true, label: "x".repeat(32) }, RangeError, "1 to 31");
  assertRefused({ kind: "stream", pair: true, label: "a\n" }, RangeError, "printable");
  assertRefused({ kind: "interface" }, TypeError, '"interface" is missing');
  assertRefused({ kind: "interface", interface: {} }, TypeError, '"interface" must be an Interface');
  assertRefused({ kind: "tap", name: "a b" }, RangeError, "without spaces");
  assertRefused({ kind: "tap", name: "x".repeat(16) }, RangeError, "1 to 15");
  assertRefused({ kind: "replay" }, TypeError, '"path" is missing');
  assertRefused({ kind: "replay", path: "/a", speed: 0 }, RangeError, '"speed" must be a number from 0.001 to 1000');
  assertRefused({ kind: "replay", path: "/a", speed: NaN }, RangeError, "NaN");
  assertRefused({ kind: "replay", path: "/a", repeat: 0 }, RangeError, '"repeat"');
  for (const name of ["bytesPerSecond", "burstBytes"]) {
    assertRefused({ kind: "tap", [name]: -1 }, RangeError, `"${name}" must be an integer from 0 to 1000000000000`);
  }
  assertRefused({ kind: "tap", broadcastsPerSecond: 0.5 }, RangeError, '"broadcastsPerSecond"');
  assertRefused({ kind: "tap", macAddress: "01:00:00:00:00:00" }, RangeError, "of one machine");
  assertRefused({ kind: "tap", macAddress: "00:00:00:00:00:00" }, RangeError, '"any"');
  assertRefused({ kind: "tap", antiSpoof: "yes" }, TypeError, "a boolean");
  const listen = (options: unknown) => encodeEndpoint("listen", options, true);
  assertStringIncludes(assertThrows(() => listen({ kind: "tap" }), RangeError).message, '"kind" must be "stream"');
  assertStringIncludes(assertThrows(() => listen({ kind: "stream", fd: 1 }), TypeError).message, '"fd"');
});

test("wrong combinations do not compile", () => {
  const takes = (_: EndpointOptions) => {};
  takes({ kind: "stream", path: "/a", listen: true, mode: 0o600 });
  takes({ kind: "datagram", pair: true });
  // @ts-expect-error a descriptor is connected already
  takes({ kind: "stream", fd: 3, listen: true });
  // @ts-expect-error either a path or a port
  takes({ kind: "stream", path: "/a", port: 3 });
  // @ts-expect-error a datagram socket has no TCP port
  takes({ kind: "datagram", port: 3 });
  // @ts-expect-error only a listener has clients
  takes({ kind: "stream", path: "/a", clients: 3 });
  // @ts-expect-error an interface is missing
  takes({ kind: "interface" });
});

test("machines on a TCP listener meet, and each has a port", async () => {
  await using sw = await Switch.create();
  await using door = await sw.listen({ kind: "stream", port: 0, label: "vms", clients: 2 });
  assertEquals([door.kind, door.path, door.name, door.fd], ["stream", "", "", -1]);
  await using a = await Peer.connect(door.port);
  await using b = await Peer.connect(door.port);
  await until(() => door.stats().clients === 2, "two clients");
  a.sendNumber(1, 1);
  await b.received(1);
  b.sendNumber(2, 2);
  await a.received(2);
  const { ports } = sw.stats();
  assertEquals(ports.map(({ kind, label, endpoint }) => [kind, label, endpoint]), [
    ["stream", "vms", door.id],
    ["stream", "vms", door.id],
  ]);
  await using c = await Peer.connect(door.port);
  await c.closed;
  await until(() => door.stats().refused === 1, "one turned away");
  assertEquals([door.stats().clients, door.stats().accepted], [2, 2]);
});

test("a listener's file has its mode, replaces a dead one, and goes with it", async () => {
  using folder = new Folder();
  const path = folder.at("s");
  await using sw = await Switch.create();
  const door = await sw.listen({ kind: "stream", path, mode: 0o640 });
  assertEquals([door.path, statSync(path).mode & 0o777], [path, 0o640]);
  const error = await assertRejects(() => sw.listen({ kind: "stream", path }), VmnetError);
  assertEquals(error.code, "inUse");
  await using peer = await Peer.connect(path);
  await until(() => door.stats().clients === 1, "a client");
  await door.stop();
  await peer.closed;
  await door.done;
  assertEquals(existsSync(path), false);
  assertThrows(() => door.stats(), VmnetError, "stopped");
  await door.stop();
  writeFileSync(path, "mine");
  await assertRejects(() => sw.listen({ kind: "stream", path }), VmnetError, '"path"');
  assertEquals(statSync(path).size, 4);
});

test("a switch connects, and connects again when it was cut off", async () => {
  await using server = await Listener.start();
  await using sw = await Switch.create();
  await using link = await sw.connect({ kind: "stream", port: server.port });
  const first = await server.accept();
  first.sendNumber(1);
  await until(() => sw.stats().frames === 1, "a frame");
  const [port] = sw.stats().ports;
  first.socket.destroy();
  const second = await server.accept();
  second.sendNumber(2);
  await until(() => sw.stats().frames === 2, "a second frame");
  assertEquals(sw.stats().ports.map(({ number }) => number), [port!.number]);
  assertEquals((await eventOf(sw, "reconnected")).port, port!.number);
  await link.stop();
  await second.closed;
});

test("connecting to nobody is an error; without reconnect the end of the other side is the end", async () => {
  using folder = new Folder();
  await using sw = await Switch.create();
  const error = await assertRejects(
    () => sw.connect({ kind: "stream", path: folder.at("nobody"), reconnect: false }),
    VmnetError,
  );
  assertStringIncludes(error.message, "Cannot connect: ");
  await using server = await Listener.start(folder.at("s"));
  const link = await sw.connect({ kind: "stream", path: folder.at("s"), reconnect: false });
  (await server.accept()).socket.destroy();
  await link.done.catch(() => {});
  assertEquals(sw.stats().ports.length, 0);
  await link.stop();
});

for (const kind of ["stream", "datagram", "seqpacket"] as const) {
  test(`a pair of ${kind} sockets joins two switches`, { skip: kind === "seqpacket" && noRecords }, async () => {
    await using left = await Switch.create();
    await using right = await Switch.create();
    await using a = await left.attach({ kind, pair: true });
    assertGreater(a.fd, 2);
    await using b = await right.attach({ kind, fd: a.fd });
    await using doorLeft = await left.listen({ kind: "stream", port: 0 });
    await using doorRight = await right.listen({ kind: "stream", port: 0 });
    await using machine = await Peer.connect(doorLeft.port);
    await using other = await Peer.connect(doorRight.port);
    await until(() => doorLeft.stats().clients + doorRight.stats().clients === 2, "both");
    machine.send(numberedFrom(1, 1), numberedFrom(2, 1, 1514));
    await other.received(2);
    other.sendNumber(3, 2);
    await machine.received(3);
    assertEquals(other.numbers, [1, 2]);
    assertEquals(b.kind, kind);
  });

  if (kind === "stream") continue;
  test(`a ${kind} listener serves a switch that connects`, { skip: kind === "seqpacket" && noRecords }, async () => {
    using folder = new Folder();
    const path = folder.at("s");
    await using left = await Switch.create();
    await using right = await Switch.create();
    await using door = await left.listen({ kind, path });
    await using link = await right.connect({ kind, path });
    await using doorLeft = await left.listen({ kind: "stream", port: 0 });
    await using doorRight = await right.listen({ kind: "stream", port: 0 });
    await using machine = await Peer.connect(doorLeft.port);
    await using other = await Peer.connect(doorRight.port);
    await until(() => doorLeft.stats().clients + doorRight.stats().clients === 2, "both");
    other.sendNumber(3, 2);
    await machine.received(3);
    machine.sendNumber(4, 1);
    await other.received(4);
    assertEquals([door.stats().clients, link.kind], [1, kind]);
  });
}

test("a descriptor of the wrong kind, or none, is refused and stays the script's", async () => {
  await using sw = await Switch.create();
  const closed = await assertRejects(() => sw.attach({ kind: "stream", fd: 9999 }), VmnetError, '"fd"');
  assertEquals(closed.code, "badOption");
  await assertRejects(() => sw.attach({ kind: "stream", fd: 0 }), VmnetError);
  await using pair = await sw.attach({ kind: "datagram", pair: true });
  await assertRejects(() => sw.attach({ kind: "stream", fd: pair.fd }), VmnetError);
  await using other = await Switch.create();
  await using joined = await other.attach({ kind: "datagram", fd: pair.fd });
  assertEquals(joined.kind, "datagram");
});

test("an interface is a port until its endpoint is stopped", async () => {
  await using nic = await Interface.start({ mode: "host" });
  await using sw = await Switch.create();
  await using door = await sw.listen({ kind: "stream", port: 0 });
  await using peer = await Peer.connect(door.port);
  const endpoint = await sw.attach({ kind: "interface", interface: nic, label: "nic" });
  for (
    const call of [() => nic.write(numberedFrom(1, 1)), () => nic[Symbol.asyncIterator]().next(), () => nic.readable()]
  ) {
    const error = await assertRejects(call, VmnetError, "the interface is a port of a switch or a bridge");
    assertEquals(error.code, "inUse");
  }
  const twice = await assertRejects(() => sw.attach({ kind: "interface", interface: nic }), VmnetError);
  assertEquals(twice.code, "inUse");
  assertStringIncludes(twice.message, "Cannot attach endpoint: the interface is a port of a switch or a bridge");
  await using outside = await Interface.start({ mode: "host" });
  await outside.write(numberedFrom(5, 9));
  await peer.received(5);
  assertEquals(sw.stats().ports.find(({ endpoint: id }) => id === endpoint.id)?.label, "nic");
  await endpoint.stop();
  await nic.write(numberedFrom(6, 1));
  for await (const packet of outside) if (packet[17] === 6) break;
});

test("a broken stream is cut off and counted", async () => {
  await using sw = await Switch.create();
  await using door = await sw.listen({ kind: "stream", port: 0 });
  await using peer = await Peer.connect(door.port);
  peer.socket.write(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0, 0));
  await peer.closed;
  const { detail } = await eventOf(sw, "disconnected");
  assertGreater(detail.length, 0);
  await until(() => door.stats().clients === 0, "the client to go");
});

test("a TAP device is there, or it is said why not", async () => {
  await using sw = await Switch.create();
  try {
    await using device = await sw.attach({ kind: "tap" });
    assertGreater(device.name.length, 0);
  } catch (error) {
    assert(error instanceof VmnetError);
    assertStringIncludes(error.message, "Cannot attach endpoint: ");
    assert(!noRecords || error instanceof UnsupportedError);
  }
});

test("what only Linux has is refused elsewhere, with the reason", { skip: !noRecords && "not on Linux" }, async () => {
  await using sw = await Switch.create();
  for (const options of [{ kind: "seqpacket", pair: true }, { kind: "tap" }] as const) {
    const error = await assertRejects(() => sw.attach(options), UnsupportedError);
    assertEquals(error.needs, "Linux");
  }
});

/** A capture file of these frames, a millisecond apart. */
function pcapng(frames: Uint8Array[]): Uint8Array {
  const block = (type: number, words: number[], bytes: Uint8Array = new Uint8Array(0)) => {
    const length = 12 + 4 * words.length + Math.ceil(bytes.length / 4) * 4;
    const out = new Uint8Array(length);
    const view = new DataView(out.buffer);
    [type, length, ...words].forEach((word, i) => view.setUint32(4 * i, word, true));
    out.set(bytes, 8 + 4 * words.length);
    view.setUint32(length - 4, length, true);
    return out;
  };
  return Buffer.concat([
    block(0x0a0d0d0a, [0x1a2b3c4d, 1, 0xffffffff, 0xffffffff]),
    block(1, [1, 0]), // Ethernet, no limit
    ...frames.map((frame, i) => block(6, [0, 0, 1000 * i, frame.length, frame.length], frame)),
  ]);
}

test("a capture is replayed, as often as asked for, and then is over", async () => {
  using folder = new Folder();
  const path = folder.at("frames.pcapng");
  writeFileSync(path, pcapng([numberedFrom(1, 7), numberedFrom(2, 7, 1000), numberedFrom(3, 7)]));
  await using sw = await Switch.create();
  await using door = await sw.listen({ kind: "stream", port: 0 });
  await using peer = await Peer.connect(door.port);
  await until(() => door.stats().clients === 1, "a client");
  const replay = await sw.attach({ kind: "replay", path, repeat: 2, speed: Infinity });
  await replay.done;
  await until(() => peer.frames.length === 6, "six frames");
  assertEquals([peer.numbers, peer.frames[1]!.length], [[1, 2, 3, 1, 2, 3], 1000]);
  const endless = await sw.attach({ kind: "replay", path, repeat: Infinity, speed: 10 });
  await until(() => peer.frames.length > 15, "more frames");
  await endless.stop();
});

test("a file that is no capture is refused", async () => {
  using folder = new Folder();
  await using sw = await Switch.create();
  await assertRejects(() => sw.attach({ kind: "replay", path: folder.at("nothing") }), VmnetError);
  writeFileSync(folder.at("text"), "no capture at all");
  await assertRejects(() => sw.attach({ kind: "replay", path: folder.at("text") }), VmnetError);
});
