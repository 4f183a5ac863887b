// SPDX-License-Identifier: MIT

/**
 * Connects to a port that is led to a guest, and says what answers.
 *
 * Theory of operation: the port is open whether there is a guest or not, so a connection alone says nothing. Services that
 * speak first, such as SSH, are given a moment; then something is said, a request of HTTP if nothing else is asked for, to
 * which most servers have an answer, if only that they do not understand. Whatever comes back came from the guest.
 *
 * @module
 */

import { createSocket } from "node:dgram";
import { createConnection } from "node:net";
import { printable } from "./_terminal.ts";

/** What was found. */
export interface Checked {
  /** `refused`: the port is not open. `closed`: the connection ended without a word. `silent`: nothing came. */
  readonly state: "answers" | "refused" | "closed" | "silent";
  /** The first line of the answer, or what is known otherwise. */
  readonly says: string;
  /** Until the answer came. */
  readonly milliseconds: number;
}

/** How long somebody has to speak first. */
const FIRST_MS = 300;

/** How long an answer may take. */
const ANSWER_MS = 3000;

/** How much of a line is shown. */
const LINE_MOST = 72;

const HTTP = "GET / HTTP/1.0\r\n\r\n";

/** Reads `\r`, `\n`, `\t` and `\\`. */
const unescape = (text: string): string =>
  text.replace(
    /\\([rnt\\])/g,
    (_, letter: "r" | "n" | "t" | "\\") => ({ r: "\r", n: "\n", t: "\t", "\\": "\\" })[letter],
  );

function firstLine(bytes: Uint8Array): string {
  const [line = ""] = new TextDecoder("latin1").decode(bytes.subarray(0, 512)).split(/\r?\n/);
  const shown = printable(line).slice(0, LINE_MOST);
  return shown === "" || /\?{2}|^\?/.test(shown) ? `${bytes.length} bytes` : shown;
}

/** What an error of a socket means. */
function failure(error: NodeJS.ErrnoException, port: number): Omit<Checked, "milliseconds"> {
  if (error.code === "ECONNREFUSED") {
    return { state: "refused", says: `nothing listens at port ${port} of this machine` };
  }
  if (error.code === "ECONNRESET" || error.code === "EPIPE") {
    return { state: "closed", says: "the guest refuses, or is not there" };
  }
  return { state: "refused", says: error.message };
}

const SILENT = { state: "silent", says: `nothing came in ${ANSWER_MS / 1000} s` } as const;

/**
 * Tries a port of this machine.
 *
 * @param protocol How.
 * @param port Which one.
 * @param isIpv6 Whether the rule leads to an IPv6 address.
 * @param text What to say; by default a request of HTTP, over UDP an empty line.
 * @param signal Ends it as if nothing came.
 */
export async function check(
  protocol: "tcp" | "udp",
  port: number,
  isIpv6: boolean,
  text?: string,
  signal?: AbortSignal,
): Promise<Checked> {
  const start = performance.now();
  const host = isIpv6 ? "::1" : "127.0.0.1";
  const found =
    await (protocol === "tcp"
      ? checkTcp(host, port, unescape(text ?? HTTP), signal)
      : checkUdp(host, port, unescape(text ?? "\n"), signal));
  return { ...found, milliseconds: Math.round(performance.now() - start) };
}

type Found = Omit<Checked, "milliseconds">;

async function checkTcp(host: string, port: number, text: string, signal?: AbortSignal): Promise<Found> {
  const { promise, resolve } = Promise.withResolvers<Found>();
  const socket = createConnection({ host, port });
  const speak = setTimeout(() => socket.write(text), FIRST_MS);
  const late = setTimeout(() => resolve(SILENT), FIRST_MS + ANSWER_MS);
  signal?.addEventListener("abort", () => resolve(SILENT), { once: true });
  socket.on("data", (chunk: Uint8Array) => resolve({ state: "answers", says: firstLine(chunk) }));
  socket.on("error", (error) => resolve(failure(error, port)));
  socket.on("end", () => resolve({ state: "closed", says: "the guest refuses, or is not there" }));
  try {
    return await promise;
  } finally {
    clearTimeout(speak);
    clearTimeout(late);
    socket.destroy();
  }
}

async function checkUdp(host: string, port: number, text: string, signal?: AbortSignal): Promise<Found> {
  const { promise, resolve } = Promise.withResolvers<Found>();
  const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
  const late = setTimeout(() => resolve(SILENT), ANSWER_MS);
  signal?.addEventListener("abort", () => resolve(SILENT), { once: true });
  socket.on("message", (bytes: Uint8Array) => resolve({ state: "answers", says: firstLine(bytes) }));
  socket.on("error", (error) => resolve(failure(error, port)));
  // Connected, because only then is it told that nobody listens
  socket.connect(port, host, () => socket.send(text));
  try {
    return await promise;
  } finally {
    clearTimeout(late);
    socket.close();
  }
}
