// SPDX-License-Identifier: MIT

import { existsSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { assert, assertEquals, assertGreater, assertMatch, assertStringIncludes } from "@std/assert";
import { encodeStream, StreamDecoder } from "vmnet/framing";
import { PlayedGuest } from "../../scripts/played_guest.ts";
import { ffiFlags, isVmnet } from "../backend.ts";
import { delay, numbered, numberOf } from "../vmnet/frames.ts";
import { Program, root, runtimes, Scripts } from "../vmnet/programs.ts";

const file = join(root, "tools", "vmnetd.ts");
const FLAGS = [...ffiFlags, "--allow-read", "--allow-write", "--allow-net"];

/** A running daemon with a socket of its own. */
class Daemon implements AsyncDisposable {
  readonly path: string;
  readonly program: Program;
  readonly #scripts = new Scripts();

  constructor(runtime: "deno" | "bun", ...args: string[]) {
    this.path = join(this.#scripts.directory, "vm.sock");
    this.program = new Program(runtime, file, ["--json", "--socket", this.path, ...args], FLAGS);
  }

  /** Waits for a line with an event. */
  async event(name: string, pattern = ""): Promise<Record<string, unknown>> {
    const [line] = await this.program.line(new RegExp(`^\\{"event":"${name}".*${pattern}.*$`, "m"));
    return JSON.parse(line);
  }

  /** Stops it in order. */
  async stop(): Promise<void> {
    this.program.kill("SIGTERM");
    const { code, errors } = await this.program.end();
    assertEquals([code, errors], [0, ""]);
    assert(!existsSync(this.path));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.program.kill("SIGKILL");
    await this.program.ending;
    this.#scripts[Symbol.dispose]();
  }
}

/** A client that speaks the framing. */
class Client {
  readonly socket: Socket;
  readonly closed: Promise<void>;
  onFrame: (frame: Uint8Array) => void = () => {};

  constructor(path: string) {
    const decoder = new StreamDecoder();
    this.socket = createConnection(path);
    this.socket.on("data", (chunk: Uint8Array) => {
      for (const frame of decoder.decode(chunk)) this.onFrame(frame);
    });
    this.socket.on("error", () => {});
    this.closed = new Promise((resolve) => this.socket.on("close", () => resolve()));
  }

  send(...frames: Uint8Array[]): void {
    this.socket.write(encodeStream(frames));
  }

  /** Numbers of frames, up to a certain one. */
  numbersUntil(last: number): Promise<number[]> {
    const numbers: number[] = [];
    return new Promise((resolve) => {
      this.onFrame = (frame) => {
        const number = numberOf(frame);
        if (number !== undefined) numbers.push(number);
        if (number === last) resolve([...numbers]); // what comes later is none of the caller's business
      };
    });
  }

  /** A guest that is played over this client. */
  guest(mac: string): PlayedGuest {
    const guest = new PlayedGuest(mac, (frame) => this.send(frame));
    this.onFrame = (frame) => guest.receive(frame);
    return guest;
  }
}

for (const runtime of runtimes) {
  test(`vmnetd gives each client its own interface on one network, in ${runtime}`, async () => {
    const reserve = "52:54:00:00:00:02=192.168.97.99";
    await using daemon = new Daemon(runtime, "--subnet", "192.168.97.0/24", "--reserve", reserve, "--mtu", "1400");
    const { socket, subnet, mode, mtu } = await daemon.event("listening");
    assertEquals([socket, subnet, mode, mtu], [daemon.path, "192.168.97.0/24", "shared", 1400]);
    assertEquals(statSync(daemon.path).mode & 0o777, 0o600);
    assertEquals(readdirSync(dirname(daemon.path)), ["vm.sock"]);
    const [one, two] = [new Client(daemon.path), new Client(daemon.path)];
    const [a, b] = [one.guest("52:54:00:00:00:01"), two.guest("52:54:00:00:00:02")];
    assertEquals((await a.dhcp()).mtu, 1400);
    assertEquals((await b.dhcp()).address, "192.168.97.99");
    const lease = await daemon.event("lease", "00:02");
    assertEquals([lease["change"], lease["address"]], ["added", "192.168.97.99"]);
    assert(await a.ping("192.168.97.1"));
    assert(await a.ping("192.168.97.99"));
    one.socket.destroy();
    const { why, fromGuest, toGuest } = await daemon.event("disconnected");
    assertEquals(why, "closed");
    assertGreater(fromGuest as number, 4);
    assertGreater(toGuest as number, 4);
    await daemon.stop();
    await two.closed;
  });

  test(`vmnetd keeps one bad client from disturbing another, in ${runtime}`, async () => {
    await using daemon = new Daemon(runtime, "--mode", "host");
    await daemon.event("listening");
    const [good, other] = [new Client(daemon.path), new Client(daemon.path)];
    await daemon.event("connected", '"client":2');
    const bad = [[0, 0, 0, 0], [255, 255, 255, 255], [...encodeStream([numbered(99)]), 0, 0, 0, 0]];
    for (const bytes of bad) {
      const client = new Client(daemon.path);
      client.socket.write(Uint8Array.from(bytes));
      await client.closed;
    }
    await daemon.event("disconnected", "bad stream");
    const half = new Client(daemon.path);
    half.socket.write(Uint8Array.of(0, 0, 5, 220, 1, 2, 3));
    // Runts and giants are not a broken stream: they are dropped and counted
    other.send(new Uint8Array(5), new Uint8Array(1600), new Uint8Array(65562));
    const numbers = good.numbersUntil(3);
    other.send(numbered(1), numbered(2));
    half.socket.destroy();
    await delay(20);
    other.send(numbered(3));
    assertEquals((await numbers).filter((number) => number !== 99), [1, 2, 3]);
    other.socket.destroy();
    const { droppedFromGuest } = await daemon.event("disconnected", '"droppedFromGuest":3');
    assertEquals(droppedFromGuest, 3);
    await daemon.stop();
  });

  test(`vmnetd survives clients that vanish, in ${runtime}`, async () => {
    await using daemon = new Daemon(runtime, "--mode", "host");
    await daemon.event("listening");
    const beginnings = [[], [0, 0], [0, 0, 0, 60, 1], [...encodeStream([numbered(1), numbered(2)])]];
    const vanished = Array.from({ length: 100 }, (_, i) => {
      const client = new Client(daemon.path);
      client.socket.on("connect", () => client.socket.end(Uint8Array.from(beginnings[i % 4]!)).destroySoon());
      return client.closed;
    });
    await Promise.all(vanished);
    const [one, two] = [new Client(daemon.path), new Client(daemon.path)];
    const numbers = two.numbersUntil(7);
    const again = setInterval(() => one.send(numbered(7)), 20);
    assertEquals((await numbers).at(-1), 7);
    clearInterval(again);
    await daemon.stop();
    const { output } = await daemon.program.ending;
    for (const line of output.trimEnd().split("\n")) assertEquals(typeof JSON.parse(line).event, "string");
  });

  test(`vmnetd drops the frames of a client that does not read, and only those, in ${runtime}`, async () => {
    await using daemon = new Daemon(runtime, "--mode", "host");
    await daemon.event("listening");
    const [sender, lazy, reader] = [0, 1, 2].map(() => new Client(daemon.path));
    await daemon.event("connected", '"client":3');
    lazy!.socket.pause();
    let received = 0;
    reader!.onFrame = (frame) => void (numberOf(frame) !== undefined && received++);
    // Several times what socket buffers, the daemon and the ring hold together
    for (let i = 0; i < 400; i++) {
      sender!.send(...Array.from({ length: 64 }, (_, k) => numbered(64 * i + k, 1514)));
      if (i % 8 === 7) await delay(5);
    }
    const last = 400 * 64;
    const end = performance.now() + 10_000;
    const done = new Promise<void>((resolve) => {
      const count = reader!.onFrame;
      reader!.onFrame = (frame) => {
        count(frame);
        if (numberOf(frame) === last) resolve();
      };
    });
    const again = setInterval(() => sender!.send(numbered(last)), 50);
    await done;
    clearInterval(again);
    assert(performance.now() < end);
    assertGreater(received, last / 10);
    lazy!.socket.destroy();
    const { droppedToGuest } = await daemon.event("disconnected");
    // vmnet does not tell what its own queue could not hold
    if (!await isVmnet()) assertGreater(droppedToGuest as number, 1000);
    await daemon.stop();
  });

  test(`vmnetd explains a wrong command line, in ${runtime}`, async () => {
    const cases: [args: string[], status: number, says: string][] = [
      [[], 2, "--socket is missing"],
      [["--sokcet", "x"], 2, "--sokcet"],
      [["--socket", `/tmp/${"x".repeat(120)}`], 2, "107 bytes"],
      [["--socket", "/tmp/x.sock", "--mtu", "67"], 2, "--mtu takes an integer from 68 to 65535"],
      [["--socket", "/tmp/x.sock", "--mode", "nat"], 2, '"mode"'],
      [["--socket", "/tmp/x.sock", "--reserve", "x"], 2, "--reserve takes MAC=IP"],
      [["--socket", "/tmp/x.sock", "--forward", "tcp:1:2"], 2, "--forward takes PROTO:PORT:IP:PORT"],
      [["--socket", ""], 2, "107 bytes"],
      [["--socket", "/nowhere/x.sock"], 1, 'Cannot listen on "/nowhere/x.sock": ENOENT'],
      [["--socket", "/tmp", "--mode", "host"], 1, 'Cannot listen on "/tmp": it is not a socket'],
    ];
    for (const [args, status, says] of cases) {
      const { code, errors } = await new Program(runtime, file, args, FLAGS).end();
      assertEquals(code, status, errors);
      assertStringIncludes(errors, says);
      assertMatch(errors, /^vmnetd: /);
      assert(!errors.includes("    at "), errors);
    }
    const { code, output } = await new Program(runtime, file, ["--help"], FLAGS).end();
    assertEquals(code, 0);
    assertStringIncludes(output, "--reserve MAC=IP");
  });

  test(`vmnetd leaves a socket in use alone, and replaces one that was left behind, in ${runtime}`, async () => {
    await using daemon = new Daemon(runtime, "--mode", "host");
    await daemon.event("listening");
    const { code, errors } = await new Program(runtime, file, ["--socket", daemon.path, "--mode", "host"], FLAGS).end();
    assertEquals(code, 1);
    assertStringIncludes(errors, "it is in use");
    daemon.program.kill("SIGKILL");
    await daemon.program.end();
    assert(existsSync(daemon.path));
    const again = new Program(runtime, file, ["--socket", daemon.path, "--mode", "host"], FLAGS);
    await again.line(/listening/);
    again.kill("SIGINT");
    assertEquals((await again.end()).code, 0);
    writeFileSync(daemon.path, "precious");
    const refused = await new Program(runtime, file, ["--socket", daemon.path, "--mode", "host"], FLAGS).end();
    assertEquals(refused.code, 1);
    assert(existsSync(daemon.path));
  });
}
