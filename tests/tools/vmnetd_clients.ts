// SPDX-License-Identifier: MIT

/**
 * Daemons and clients for the tests of vmnetd.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import { join } from "node:path";
import { assert, assertEquals } from "@std/assert";
import { encodeStream, StreamDecoder } from "vmnet/framing";
import { PlayedGuest } from "../../scripts/played_guest.ts";
import { ffiFlags } from "../backend.ts";
import { numberOf } from "../vmnet/frames.ts";
import { Program, root, Scripts } from "../vmnet/programs.ts";

/** The program. */
export const file: string = join(root, "tools", "vmnetd.ts");

/** What Deno permits it. */
export const FLAGS: readonly string[] = [...ffiFlags, "--allow-read", "--allow-write", "--allow-net"];

/** A running daemon with a socket of its own. */
export class Daemon implements AsyncDisposable {
  readonly path: string;
  readonly program: Program;
  readonly #runtime: "deno" | "bun";
  readonly #scripts = new Scripts();

  constructor(runtime: "deno" | "bun", ...args: string[]) {
    this.#runtime = runtime;
    this.path = this.at("vm.sock");
    this.program = new Program(
      runtime,
      file,
      ["--json", "--socket", this.path, ...args.map((arg) => this.#place(arg))],
      FLAGS,
    );
  }

  /** A path in its directory. */
  at(name: string): string {
    return join(this.#scripts.directory, name);
  }

  /** `@name` is a path in its directory. */
  #place(text: string): string {
    return text.startsWith("@") ? this.at(text.slice(1)) : text;
  }

  /** The control socket. */
  get control(): string {
    return `${this.path}.control`;
  }

  /** Waits for a line with an event. */
  async event(name: string, pattern = ""): Promise<Record<string, unknown>> {
    const [line] = await this.program.line(new RegExp(`^\\{"event":"${name}".*${pattern}.*$`, "m"));
    return JSON.parse(line);
  }

  /** Runs a command, and answers what it prints. */
  async command(...words: string[]): Promise<string> {
    const program = new Program(this.#runtime, file, [...words, "--control", this.control], FLAGS);
    const { code, output, errors } = await program.end();
    assertEquals([code, errors], [0, ""], words.join(" "));
    return output.trimEnd();
  }

  /** Sends lines to the control socket, as they are, and answers so many lines. */
  async ask(lines: (string | object)[], count: number = lines.length): Promise<Record<string, unknown>[]> {
    const socket = createConnection(this.control);
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    let text = "";
    const timer = setTimeout(
      () => reject(new Error(`${count} lines were wanted within 20 s, there are: ${text}`)),
      20_000,
    );
    socket.setEncoding("utf8");
    socket.on("data", (chunk) => {
      text += chunk;
      if (text.split("\n").length > count) resolve(text);
    });
    socket.on("error", () => {});
    socket.on(
      "close",
      () => text.split("\n").length > count ? resolve(text) : reject(new Error(`closed after: ${text}`)),
    );
    for (const line of lines) socket.write(typeof line === "string" ? line : `${JSON.stringify(line)}\n`);
    try {
      return (await promise).trimEnd().split("\n").map((line) => JSON.parse(line));
    } finally {
      clearTimeout(timer);
      socket.destroy();
    }
  }

  /** Stops it in order. */
  async stop(): Promise<void> {
    this.program.kill("SIGTERM");
    const { code, errors } = await this.program.end();
    assertEquals([code, errors], [0, ""]);
    assert(!existsSync(this.path) && !existsSync(this.control));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.program.kill("SIGKILL");
    await this.program.ending;
    this.#scripts[Symbol.dispose]();
  }
}

/** A client that speaks the framing. */
export class Client {
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
