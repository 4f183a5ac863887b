// SPDX-License-Identifier: MIT

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createReadStream } from "node:fs";
import { mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { test } from "node:test";
import { assert, assertEquals, assertLess, assertRejects, assertThrows } from "@std/assert";
import { PacketBatch } from "../../mod.ts";
import {
  type CaptureItem,
  pcapngChunks,
  pcapngStream,
  type PcapngStreamOptions,
  readCapture,
} from "../../packet/mod.ts";
import { contentsOf, frames } from "./pcapng_files.ts";

const list = frames(200);
const data = list[0]!;

const turn = () => new Promise<void>((resolve) => setTimeout(resolve, 1));

async function allOf(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const all = [];
  for await (const chunk of chunks) all.push(chunk);
  return all;
}

/** Yields the frames, in every form that they may have; borrowed ones are overwritten at the next turn. */
async function* everyForm(): AsyncGenerator<CaptureItem> {
  const batch = new PacketBatch({ slots: 16 });
  for (let i = 0; i < list.length;) {
    if (i % 3 === 0) yield list[i++]!;
    else if (i % 3 === 1) yield { bytes: list[i]!, comments: `number ${i++}` };
    else {
      batch.clear();
      while (i < list.length && batch.push(list[i]!)) i++;
      yield batch;
      batch.bytes.fill(0xdb);
    }
    if (i % 5 === 0) await turn();
  }
}

test("pcapngChunks() and pcapngStream() write packets in every form", async () => {
  const options: PcapngStreamOptions = {
    application: "it",
    interfaces: [{ name: "lab" }, { name: "other" }],
    statistics: () => [undefined, { received: 5 }],
  };
  for (const chunks of [pcapngChunks(everyForm(), options), pcapngStream(everyForm(), options)]) {
    const pieces = await allOf(chunks);
    for (const piece of pieces.slice(1)) contentsOf([pieces[0]!, piece]); // whole blocks each
    const { packets, error } = contentsOf(pieces);
    assertEquals(error, undefined);
    assertEquals(packets.map((packet) => packet.bytes), list);
    assertEquals(packets[1]!.comments, ["number 1"]);
    assertEquals(packets[0]!.interface.name, "lab");
    assertEquals(packets[0]!.interface.section.application, "it");
  }
  const { packets } = contentsOf(await allOf(pcapngChunks([{ bytes: data, interface: 1 }], options)));
  assertEquals(packets[0]!.interface.statistics?.received, 5);
});

test("pcapngChunks() gives the header at once when no packet comes", async () => {
  let returned = false;
  const silent: AsyncIterable<Uint8Array> = {
    [Symbol.asyncIterator]: () => ({
      next: () => new Promise(() => {}),
      return: () => {
        returned = true;
        return new Promise(() => {}); // as a generator does that waits for its packet
      },
    }),
  };
  const chunks = pcapngChunks(silent, { interfaces: [{ name: "lab" }] });
  const { value } = await chunks.next();
  assertEquals(contentsOf([value as Uint8Array]), { packets: [], error: undefined });
  const next = chunks.next();
  await chunks.return!();
  assertEquals(await next, { done: true, value: undefined });
  assertEquals(returned, true);

  returned = false;
  const reader = pcapngStream(silent).getReader();
  assertEquals((await reader.read()).done, false);
  const pending = reader.read();
  await reader.cancel();
  assertEquals((await pending).done, true);
  assertEquals(returned, true);
});

test("pcapngChunks() gives packets of a slow source at once, and gathers them for a slow reader", async () => {
  let send = (_: Uint8Array) => {};
  async function* live() {
    for (;;) yield await new Promise<Uint8Array>((resolve) => send = resolve);
  }
  const chunks = pcapngChunks(live(), { interfaces: [{}] });
  await chunks.next();
  for (let i = 0; i < 3; i++) {
    const next = chunks.next();
    await turn();
    send(list[i]!);
    const { value } = await next;
    assertEquals((value as Uint8Array).length, 32 + (list[i]!.length + 3 & ~3));
  }
  for (let i = 0; i < 10; i++) {
    await turn();
    send(list[i]!);
  }
  await turn();
  const { value } = await chunks.next();
  const length = list.slice(0, 10).reduce((sum, frame) => sum + 32 + (frame.length + 3 & ~3), 0);
  assertEquals((value as Uint8Array).length, length);
  send(data); // so that the generator is not left waiting
  await chunks.return!();
});

test("pcapngChunks() makes the source wait when its reader does", async () => {
  let [asked, isClosed] = [0, false];
  function* endless() {
    try {
      for (;; asked++) yield list[60]!;
    } finally {
      isClosed = true;
    }
  }
  const chunks = pcapngChunks(endless());
  let read = 0;
  for (let i = 0; i < 5; i++) {
    read += ((await chunks.next()).value as Uint8Array).length;
    for (let k = 0; k < 20; k++) await turn();
    assertLess(asked * list[60]!.length, read + (1 << 20) + 5000);
  }
  await chunks.return!();
  assert(isClosed);
  const stop = asked;
  await turn();
  assertEquals(asked, stop);
  assertEquals(await chunks.next(), { done: true, value: undefined });

  isClosed = false;
  for await (const _ of pcapngChunks(endless())) break;
  assert(isClosed);
  isClosed = false;
  for await (const _ of pcapngStream(endless())) break;
  assert(isClosed);
});

test("pcapngChunks() gives what came before an error, and then the error", async () => {
  async function* failing(last?: CaptureItem) {
    yield list[0]!;
    await turn();
    yield list[1]!;
    if (last) yield last;
    throw new Error("the cable is out");
  }
  const cases: [CaptureItem | undefined, string][] = [
    [undefined, "the cable is out"],
    [{ bytes: data, interface: 3 }, "no interface 3"],
  ];
  for (const [last, message] of cases) {
    for (const chunks of [pcapngChunks(failing(last)), pcapngStream(failing(last))]) {
      const pieces: Uint8Array[] = [];
      const error = await assertRejects(async () => {
        for await (const chunk of chunks) pieces.push(chunk);
      }, Error);
      assert(error.message.includes(message));
      assertEquals(contentsOf(pieces).packets.map((packet) => packet.bytes), list.slice(0, 2));
    }
  }
  assertThrows(() => pcapngChunks([], { interfaces: [{ linkType: -1 }] }), RangeError, "linkType");
});

test("pcapngStream() copies a capture as it is read, through HTTP", async () => {
  const source = await allOf(pcapngChunks(everyForm(), { interfaces: [{ name: "lab" }] }));
  const server = createServer((_, response) => {
    const copy = pcapngStream(readCapture(source));
    void pipeline(Readable.from(copy), response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    const { body } = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    const packets = [];
    for await (const packet of readCapture(body!)) packets.push(packet);
    assertEquals(packets.map((packet) => Uint8Array.from(packet.bytes)), list);
    assertEquals(packets[1]!.comments, ["number 1"]);
    assertEquals(packets[0]!.interface.name, "lab");
    assertEquals(packets[0]!.interface.index, 0);
  } finally {
    server.close();
  }
  const response = new Response(pcapngStream(list));
  assertEquals(contentsOf([new Uint8Array(await response.arrayBuffer())]).packets.length, list.length);
});

test("pcapngChunks() writes a file, and readCapture() reads it", async () => {
  const directory = await mkdtemp(join(tmpdir(), "vmnet-pcapng-"));
  try {
    const path = join(directory, "a.pcapng");
    const file = await open(path, "w");
    await writeFile(file, pcapngChunks(everyForm()));
    await file.close();
    let count = 0;
    for await (const packet of readCapture(createReadStream(path, { highWaterMark: 1000 }))) {
      assertEquals(Uint8Array.from(packet.bytes), list[count++]);
    }
    assertEquals(count, list.length);
  } finally {
    await rm(directory, { recursive: true });
  }
});

test(
  "pcapngChunks() writes into a pipe, live",
  { skip: spawnSync("tshark", ["--version"]).error !== undefined && "tshark is not installed" },
  async () => {
    // Through cat, since Bun gives a program a socket for its standard input, which tshark refuses
    const reader = spawn("sh", ["-c", "cat | tshark -l -r - -T fields -e frame.len"], {
      stdio: ["pipe", "pipe", "ignore"],
    });
    let text = "";
    reader.stdout.setEncoding("utf8").on("data", (more: string) => text += more);
    const closed = once(reader, "close");
    await pipeline(Readable.from(pcapngChunks(everyForm())), reader.stdin);
    await closed;
    const lines = text.trimEnd().split("\n");
    assertEquals(lines.map(Number), list.map(({ length }) => length));
  },
);
