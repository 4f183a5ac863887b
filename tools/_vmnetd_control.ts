// SPDX-License-Identifier: MIT

/**
 * The control socket of vmnetd, both ends: one request a line, one answer a line, each a JSON object.
 *
 * Theory of operation: a request is `{"do": NAME, ...}`; its answer is `{"ok": true, ...}`, or `{"ok": false, "error":
 * TEXT}` with `field` when one is wrong and `code` when the library said no. Requests of one client are answered one
 * after the other, and it is not read while an answer waits for it: what it can make the daemon keep is one line, one
 * answer and what is in the kernel. A client that follows events and does not read loses some, and is told how many.
 * After the answer to a request for a stream the connection carries that stream's bytes and no more answers; whatever
 * its client says then asks for the end.
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

/** Bytes of an answer at the most: a daemon's with every lease that a network can have is a tenth of that. */
const ANSWER_MOST = 64 << 20;

/** There is no daemon, or it has ended. There may be one later. */
export class AwayError extends Error {
  readonly isAway = true;
}

/** Why a daemon could not be asked, for people. */
function cannotAsk(path: string, error: NodeJS.ErrnoException): Error {
  const { code, message } = error;
  const why = {
    ENOENT: "there is no such socket (ENOENT). Is a vmnetd running that serves it?",
    ECONNREFUSED: "nobody listens at it (ECONNREFUSED). Is a vmnetd running that serves it?",
    EACCES: "permission denied (EACCES). It is for the user of the vmnetd alone",
    ENOTSOCK: "it is not a socket (ENOTSOCK)",
  }[code ?? ""] ?? message;
  const isAway = ["ENOENT", "ECONNREFUSED", "ECONNRESET", "EPIPE"].includes(code ?? "");
  return new (isAway ? AwayError : Error)(`Cannot ask "${path}": ${why}`);
}

/** Reads a line of a daemon. */
function parseAnswer(line: string): Record<string, unknown> {
  let answer: unknown;
  try {
    answer = JSON.parse(line);
  } catch {
    // likewise
  }
  if (typeof answer === "object" && answer !== null) return answer as Record<string, unknown>;
  throw new Error("what answers there is no vmnetd");
}

/** What an answer says besides `ok`. */
export type Answer = Readonly<Record<string, unknown>>;

/** Takes lines of events; see {@linkcode ControlServer.tell}. */
export const EVENTS: unique symbol = Symbol("events");

/** An answer after which the connection belongs to whoever gave it. */
export class StreamAnswer {
  /** `run` takes the connection once the answer is on its way, and answers what asks for the end. */
  constructor(readonly answer: Answer, readonly run: (socket: Socket) => () => void) {}
}

/** Answers a request. `EVENTS` makes its client a follower of events. */
export type Handler = (
  request: Readonly<Record<string, unknown>>,
) => Promise<Answer | typeof EVENTS | StreamAnswer>;

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
  #endStream: (() => void) | undefined;
  #lost = 0;

  constructor(readonly socket: Socket, private readonly handle: Handler) {
    socket.on("error", () => {}); // "close" follows
    socket.on("data", (chunk: Uint8Array) => this.#take(chunk));
  }

  #take(chunk: Uint8Array): void {
    if (this.#endStream !== undefined) return this.#endStream();
    if (this.isFollowing || this.#isOver) return; // it has nothing to say any more
    this.#rest = this.#rest.length === 0 ? chunk.slice() : Buffer.concat([this.#rest, chunk]);
    if (!this.#isBusy) void this.#answerAll();
  }

  async #answerAll(): Promise<void> {
    this.#isBusy = true;
    this.socket.pause();
    for (let end: number; (end = this.#rest.indexOf(0x0a)) >= 0 && !this.#isTaken && !this.socket.destroyed;) {
      if (end > LINE_MOST) break;
      const line = this.#rest.subarray(0, end);
      this.#rest = this.#rest.subarray(end + 1);
      if (line.some((byte) => byte > 0x20)) await this.#answer(new TextDecoder().decode(line));
    }
    this.#isBusy = false;
    if (this.#isTaken) {
      if (this.#rest.length > 0) this.#endStream?.();
      this.#rest = new Uint8Array(0);
    }
    if (this.#rest.length > LINE_MOST) {
      this.#rest = new Uint8Array(0);
      this.#isOver = true;
      return sendAway(this.socket, `A line has at most ${LINE_MOST} bytes`);
    }
    this.socket.resume();
  }

  /** Whether the connection has another use than requests. */
  get #isTaken(): boolean {
    return this.isFollowing || this.#endStream !== undefined;
  }

  async #answer(line: string): Promise<void> {
    let answer: Answer;
    try {
      const result = await this.handle(parseRequest(line));
      if (result instanceof StreamAnswer) {
        this.socket.write(`${JSON.stringify({ ok: true, ...result.answer })}\n`);
        this.#endStream = result.run(this.socket);
        return;
      }
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
 * @param signal Ends it quietly.
 * @returns Its answer, then whatever lines it sends more, as objects, until it closes.
 */
export async function* ask(
  path: string,
  request: Answer,
  signal?: AbortSignal,
): AsyncGenerator<Record<string, unknown>> {
  if (signal?.aborted) return;
  const socket = createConnection(path, () => socket.write(`${JSON.stringify(request)}\n`));
  const leave = () => void socket.destroy();
  signal?.addEventListener("abort", leave);
  const timer = setTimeout(() => socket.destroy(new Error(`no answer within ${ANSWER_MS} ms`)), ANSWER_MS);
  const decoder = new TextDecoder();
  try {
    let rest = "";
    for await (const chunk of socket) {
      const lines = (rest + decoder.decode(chunk as Uint8Array, { stream: true })).split("\n");
      rest = lines.pop()!;
      if (rest.length > ANSWER_MOST) throw new Error("what answers there is no vmnetd: its line has no end");
      if (lines.length > 0) clearTimeout(timer);
      for (const line of lines) yield parseAnswer(line);
    }
  } catch (error) {
    if (!signal?.aborted) throw cannotAsk(path, error as Error);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", leave);
    socket.destroy();
  }
}

/** A connection whose answer is followed by bytes. */
export interface ByteStream {
  /** What came before them. */
  readonly answer: Answer;
  /** The bytes, until the daemon closes. */
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Asks the daemon to send what is left, and to close. */
  end(): void;
  /** Closes at once. */
  close(): void;
}

/**
 * Asks a daemon for bytes. While they are not read, the daemon waits.
 *
 * @param path Its control socket.
 * @param request What is asked.
 * @returns The answer and the bytes behind it.
 * @throws {Error} If there is no such daemon, or it says no.
 */
export async function askForBytes(path: string, request: Answer): Promise<ByteStream> {
  const socket = createConnection(path, () => socket.write(`${JSON.stringify(request)}\n`));
  const timer = setTimeout(() => socket.destroy(new Error(`no answer within ${ANSWER_MS} ms`)), ANSWER_MS);
  const chunks = socket[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
  let [head, end]: [Uint8Array, number] = [new Uint8Array(0), -1];
  try {
    while ((end = head.indexOf(0x0a)) < 0) {
      const { value, done } = await chunks.next();
      if (done || head.length > LINE_MOST) throw new Error("it closed without an answer");
      head = Buffer.concat([head, value]);
    }
  } catch (error) {
    socket.destroy();
    throw cannotAsk(path, error as Error);
  } finally {
    clearTimeout(timer);
  }
  const answer = parseAnswer(new TextDecoder().decode(head.subarray(0, end)));
  if (answer["ok"] !== true) {
    socket.destroy();
    throw new Error(String(answer["error"]));
  }
  async function* bytes(): AsyncGenerator<Uint8Array> {
    if (end + 1 < head.length) yield head.subarray(end + 1);
    for (let next = await chunks.next(); !next.done; next = await chunks.next()) yield next.value;
  }
  return { answer, bytes: bytes(), end: () => void socket.write("\n"), close: () => void socket.destroy() };
}
