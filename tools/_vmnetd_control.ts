// SPDX-License-Identifier: MIT

/**
 * The control socket of vmnetd, both ends: one request a line, one answer a line, each a JSON object.
 *
 * Theory of operation: a request is `{"do": NAME, ...}`; its answer is `{"ok": true, ...}`, or `{"ok": false, "error":
 * TEXT}` with `field` when one is wrong and `code` when the library said no. Requests of one client are answered one
 * after the other, and it is not read while an answer waits for it: what it can make the daemon keep is one line, one
 * answer and what is in the kernel. A client that follows events and does not read loses some, and is told how many.
 *
 * @module
 */

import { chmodSync, lstatSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { Buffer } from "node:buffer";
import { dirname, join } from "node:path";
import { PATH_LIMIT } from "./_vmnetd_config.ts";

/** Bytes of a line at the most. */
export const LINE_MOST: number = 64 << 10;

/** Clients at a time. */
export const CLIENTS_MOST = 64;

/** Bytes that wait for a client that follows events. */
const EVENTS_WAITING_MOST = 256 << 10;

/** How long somebody has to read the last words. */
const MOMENT_MS = 200;

/** How long a client of this socket waits for an answer: longer than any operation of the library. */
const ANSWER_MS = 35_000;

/** A request that is wrong. */
export class RequestError extends Error {
  constructor(message: string, readonly field?: string) {
    super(message);
  }
}

/** What an answer says besides `ok`. */
export type Answer = Readonly<Record<string, unknown>>;

/** Takes lines of events; see {@linkcode ControlServer.tell}. */
export const EVENTS: unique symbol = Symbol("events");

/** Answers a request. `EVENTS` makes its client a follower of events. */
export type Handler = (request: Readonly<Record<string, unknown>>) => Promise<Answer | typeof EVENTS>;

/** What went wrong, as an answer. */
export function refusal(error: unknown): Answer {
  const { message, field, code } = error as { message: string; field?: string; code?: unknown };
  // The library's own messages name the field in quotation marks
  const named = field ??
    (error instanceof TypeError || error instanceof RangeError ? /"([\w.[\]-]+)"/.exec(message)?.[1] : undefined);
  return { ok: false, error: message, ...(named && { field: named }), ...(typeof code === "string" && { code }) };
}

/** Ends a client with a reason, which it has a moment to read. */
function sendAway(socket: Socket, why: string): void {
  const moment = setTimeout(() => socket.destroy(), MOMENT_MS);
  socket.on("error", () => {});
  socket.on("close", () => clearTimeout(moment));
  socket.end(`${JSON.stringify(refusal(new RequestError(why)))}\n`);
  socket.resume();
}

/** One client of the socket. */
class ControlClient {
  isFollowing = false;
  #rest: Uint8Array = new Uint8Array(0);
  #isBusy = false;
  #isOver = false;
  #lost = 0;

  constructor(readonly socket: Socket, private readonly handle: Handler) {
    socket.on("error", () => {}); // "close" follows
    socket.on("data", (chunk: Uint8Array) => this.#take(chunk));
  }

  #take(chunk: Uint8Array): void {
    if (this.isFollowing || this.#isOver) return; // it has nothing to say any more
    this.#rest = this.#rest.length === 0 ? chunk.slice() : Buffer.concat([this.#rest, chunk]);
    if (!this.#isBusy) void this.#answerAll();
  }

  async #answerAll(): Promise<void> {
    this.#isBusy = true;
    this.socket.pause();
    for (let end: number; (end = this.#rest.indexOf(0x0a)) >= 0 && !this.isFollowing && !this.socket.destroyed;) {
      if (end > LINE_MOST) break;
      const line = this.#rest.subarray(0, end);
      this.#rest = this.#rest.subarray(end + 1);
      if (line.some((byte) => byte > 0x20)) await this.#answer(new TextDecoder().decode(line));
    }
    this.#isBusy = false;
    if (this.isFollowing) this.#rest = new Uint8Array(0);
    if (this.#rest.length > LINE_MOST) {
      this.#rest = new Uint8Array(0);
      this.#isOver = true;
      return sendAway(this.socket, `A line has at most ${LINE_MOST} bytes`);
    }
    this.socket.resume();
  }

  async #answer(line: string): Promise<void> {
    let answer: Answer;
    try {
      const result = await this.handle(parseRequest(line));
      this.isFollowing = result === EVENTS;
      answer = { ok: true, ...(result === EVENTS ? {} : result) };
    } catch (error) {
      answer = refusal(error);
    }
    if (this.socket.destroyed || this.socket.write(`${JSON.stringify(answer)}\n`)) return;
    await new Promise<void>((resolve) => {
      this.socket.once("drain", resolve);
      this.socket.once("close", resolve);
    });
  }

  tell(line: string): void {
    if (this.socket.writableLength > EVENTS_WAITING_MOST) return void this.#lost++;
    if (this.#lost > 0) this.socket.write(`${JSON.stringify({ event: "lost", count: this.#lost })}\n`);
    this.#lost = 0;
    this.socket.write(line);
  }
}

function parseRequest(line: string): Readonly<Record<string, unknown>> {
  let request: unknown;
  try {
    request = JSON.parse(line);
  } catch {
    throw new RequestError("A request is one JSON object a line");
  }
  if (typeof request !== "object" || request === null || Array.isArray(request)) {
    throw new RequestError("A request is one JSON object a line");
  }
  return request as Record<string, unknown>;
}

/** The daemon's end. */
export class ControlServer {
  readonly path: string;
  readonly #server: Server;
  readonly #clients = new Set<ControlClient>();

  private constructor(path: string, handle: Handler) {
    this.path = path;
    this.#server = createServer((socket) => {
      if (this.#clients.size >= CLIENTS_MOST) {
        socket.on("error", () => {});
        return sendAway(socket, "Too many clients");
      }
      const client = new ControlClient(socket, handle);
      this.#clients.add(client);
      socket.on("close", () => this.#clients.delete(client));
    });
  }

  /** Listens at a path. The socket of a daemon that was killed is replaced; one that answers is left alone. */
  static async listen(path: string, handle: Handler): Promise<ControlServer> {
    await removeStale(path);
    const server = new ControlServer(path, handle);
    await listen(server.#server, path);
    server.#server.on("error", () => {}); // for instance when descriptors run out: who is served is served on
    return server;
  }

  /** Tells followers of an event. */
  tell(event: Answer): void {
    const followers = [...this.#clients].filter(({ isFollowing }) => isFollowing);
    if (followers.length === 0) return;
    const line = `${JSON.stringify(event)}\n`;
    for (const follower of followers) follower.tell(line);
  }

  /** Removes the socket, and cuts everybody off, once they have read what there is, or a moment has passed. */
  async stop(): Promise<void> {
    this.#server.close();
    rmSync(this.path, { force: true });
    const sockets = [...this.#clients].map(({ socket }) => socket);
    const closed = sockets.map((socket) => new Promise((resolve) => socket.once("close", resolve)));
    for (const socket of sockets) socket.end();
    const moment = setTimeout(() => sockets.forEach((socket) => socket.destroy()), MOMENT_MS);
    await Promise.all(closed.map((promise, i) => sockets[i]!.destroyed ? undefined : promise));
    clearTimeout(moment);
  }
}

function cannotListen(path: string, why: string): Error {
  return new Error(`Cannot listen on "${path}": ${why}`);
}

async function removeStale(path: string): Promise<void> {
  const answer = await new Promise<string>((resolve) => {
    const socket = createConnection(path, () => resolve("it is in use"));
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.on("connect", () => socket.destroy());
  });
  if (answer === "ENOENT") return;
  if (answer !== "ECONNREFUSED") throw cannotListen(path, answer);
  if (!lstatSync(path).isSocket()) throw cannotListen(path, "it is not a socket");
  rmSync(path);
}

/**
 * Listens on a socket that only this user can connect to. It is bound in a directory of this user alone, and moved to
 * its place when its own permissions are set: in between, it would be as open as the umask lets it be.
 */
async function listen(server: Server, path: string): Promise<void> {
  let directory: string | undefined;
  try {
    directory = mkdtempSync(`${dirname(path)}/.`);
    const bound = join(directory, "s");
    if (new TextEncoder().encode(bound).length > PATH_LIMIT) throw new Error("the path of its directory is too long");
    await new Promise<void>((resolve, reject) => server.once("error", reject).listen(bound, resolve));
    server.removeAllListeners("error");
    chmodSync(bound, 0o600);
    renameSync(bound, path);
  } catch (error) {
    throw cannotListen(path, (error as Error).message.split(", ")[0]!); // without the name that it has meanwhile
  } finally {
    if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
  }
}

/**
 * Asks a daemon.
 *
 * @param path Its control socket.
 * @param request What is asked.
 * @returns Its answer, then whatever lines it sends more, as objects, until it closes.
 */
export async function* ask(path: string, request: Answer): AsyncGenerator<Record<string, unknown>> {
  const socket = createConnection(path, () => socket.write(`${JSON.stringify(request)}\n`));
  const timer = setTimeout(() => socket.destroy(new Error(`no answer within ${ANSWER_MS} ms`)), ANSWER_MS);
  const decoder = new TextDecoder();
  try {
    let rest = "";
    for await (const chunk of socket) {
      clearTimeout(timer);
      const lines = (rest + decoder.decode(chunk as Uint8Array, { stream: true })).split("\n");
      rest = lines.pop()!;
      for (const line of lines) yield JSON.parse(line);
    }
  } catch (error) {
    throw new Error(`Cannot ask "${path}": ${(error as Error).message}`);
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}
