// SPDX-License-Identifier: MIT

/**
 * Where captures go: a file, standard output, or a client of vmnetd's control socket.
 *
 * @module
 */

import { type FileHandle, open } from "node:fs/promises";
import type { Socket } from "node:net";
import process from "node:process";

/** How long a client has to read what is left, when the daemon ends. */
const MOMENT_MS = 200;

/** Where the bytes of a capture go. */
export interface Sink {
  /** Takes bytes; resolves when they may be overwritten. */
  write(bytes: Uint8Array): Promise<void>;
  /** Ends it in order. */
  close(): Promise<void>;
  /** Nobody has much time any more. */
  hurry?(): void;
}

/** Nobody reads any more, which is a way to end a capture. */
export class ReaderGone extends Error {}

/** Standard output. */
export function standardOutput(): Sink {
  if (process.stdout.listenerCount("error") === 0) process.stdout.on("error", () => {}); // the callback says it, too
  const write = (bytes: Uint8Array) =>
    new Promise<void>((resolve, reject) => {
      process.stdout.write(bytes, (error) => error ? reject(error) : resolve());
    });
  return { write, close: () => Promise.resolve() };
}

/** Opens a file; `-` is standard output. */
export async function openSink(file: string): Promise<Sink> {
  if (file === "-") return standardOutput();
  const handle: FileHandle = await open(file, "w", 0o600);
  const write = async (bytes: Uint8Array) => {
    for (let at = 0; at < bytes.length;) at += (await handle.write(bytes, at, bytes.length - at)).bytesWritten;
  };
  return { write, close: () => handle.close() };
}

/** A client that reads a capture from its connection. */
export class SocketSink implements Sink {
  readonly #socket = Promise.withResolvers<Socket>();

  /** Says which connection it is; what was written before waits for this. */
  attach(socket: Socket): void {
    this.#socket.resolve(socket);
  }

  async write(bytes: Uint8Array): Promise<void> {
    const socket = await this.#socket.promise;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const gone = () => reject(new ReaderGone("The client has closed its connection"));
    if (socket.destroyed) gone();
    socket.once("close", gone);
    socket.write(bytes, () => socket.destroyed ? gone() : resolve());
    try {
      await promise;
    } finally {
      socket.off("close", gone);
    }
  }

  async close(): Promise<void> {
    (await this.#socket.promise).end();
  }

  hurry(): void {
    void this.#socket.promise.then((socket) => {
      const moment = setTimeout(() => socket.destroy(), MOMENT_MS);
      socket.once("close", () => clearTimeout(moment));
    });
  }
}
