// SPDX-License-Identifier: MIT

/**
 * What can be captured: the networks of a daemon that runs, a network of one's own, and files.
 *
 * Theory of operation: every source is a flow of pcapng, or of what else files have, so that what is done with packets
 * knows nothing of where they come from. Copies are made, filtered and cut in native code. Those of a network of one's
 * own wait in a ring, those of a daemon in a ring of the daemon; when the ring is full further ones are dropped and counted, and
 * the network does not wait.
 *
 * @module
 */

import { createReadStream } from "node:fs";
import process from "node:process";
import type { Interface, Network, Switch } from "vmnet";
import { integer, type Print, text, UsageError, type Values } from "./_cli.ts";
import { namedControls, noDaemon, onlyDaemon } from "./_daemons.ts";
import { ReaderGone, type Sink } from "./_capture_sink.ts";

/** How long the end may take before it is no longer waited for. */
const END_MS = 3000;

/** A flow of packets. */
export interface Source {
  /** A capture file, as it comes. A chunk is good until the next one is asked for. */
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Whether it ends only when somebody wants that, with counts. */
  readonly isLive: boolean;
  /** Leaves nothing behind. */
  close(): Promise<void>;
}

/** Hands bytes from a capture to whoever reads them; they are given back when the next ones are asked for. */
class Passage implements Sink, AsyncIterable<Uint8Array> {
  #given = Promise.withResolvers<Uint8Array | undefined>();
  #taken = Promise.withResolvers<void>();
  #isLeft = false;

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#isLeft) throw new ReaderGone();
    this.#taken = Promise.withResolvers();
    this.#given.resolve(bytes);
    await this.#taken.promise;
  }

  close(): Promise<void> {
    this.#given.resolve(undefined);
    return Promise.resolve();
  }

  /** Whoever waits for a reader need not. */
  hurry(): void {
    this.#isLeft = true;
    this.#taken.resolve();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      for (let bytes: Uint8Array | undefined; (bytes = await this.#given.promise) !== undefined;) {
        this.#given = Promise.withResolvers();
        yield bytes;
        this.#taken.resolve();
      }
    } finally {
      this.hurry();
    }
  }
}

/** Does something at the end, which may have come already. */
function onAbort(signal: AbortSignal, act: () => void): void {
  if (signal.aborted) act();
  else signal.addEventListener("abort", act, { once: true });
}

/** What is captured of each frame, and of which. */
function lookOf(values: Values): { filter?: string; snap?: number } {
  const [filter, snap] = [filterOf(values), integer(values, "snap", 14, 65562)];
  return { ...(filter && { filter }), ...(snap && { snap }) };
}

/** The filter: an option, or all words that are none. */
export function filterOf(values: Values): string | undefined {
  const words = (values["operands"] as string[]).join(" ");
  const filter = text(values, "filter");
  if (words !== "" && filter !== undefined) {
    throw new UsageError(`There is a filter in --filter, and another: "${words}"`);
  }
  return filter ?? (words || undefined);
}

/** The networks of a daemon. */
async function daemonSource(
  control: string,
  values: Values,
  ending: AbortSignal,
  print: Print,
): Promise<Source> {
  const { askForBytes } = await import("./_vmnetd_control.ts");
  const network = text(values, "network");
  const request = { do: "capture.stream", ...(network && { network }), ...lookOf(values) };
  const { answer, bytes, end, close } = await askForBytes(control, request);
  onAbort(ending, () => {
    end();
    setTimeout(close, END_MS).unref(); // it may hang
  });
  print("capturing", { networks: (answer["networks"] as string[]).join(" "), of: control });
  return { isLive: true, bytes, close: () => Promise.resolve(close()) };
}

/** The daemon that is found when the command line does not say what to capture. */
async function foundDaemon(values: Values): Promise<string> {
  const control = await onlyDaemon(values, "vmnetd");
  if (control !== undefined) return control;
  throw new UsageError(
    `There is nothing to capture: ${noDaemon(values)}. Name its socket with --socket PATH or --vmnetd ` +
      "PATH, or capture a new network with --mode, an interface of macOS with --interface, a file with --read",
  );
}

/** Something that has an end. */
type Stoppable = Pick<Switch, "stop">;

/** The way to a network that is there, or that is made. On macOS before 26 it is an interface. */
async function uplinkOf(values: Values): Promise<{ name: string; uplink: Network | Interface }> {
  const { Interface, Network, UnsupportedError } = await import("vmnet");
  const [token, externalInterface] = [text(values, "join"), text(values, "interface")];
  const mode = text(values, "mode") ?? (externalInterface ? "bridged" : "shared");
  if ((mode === "bridged") !== (externalInterface !== undefined)) {
    throw new UsageError("--mode bridged and --interface need one another");
  }
  if (token !== undefined) return { name: "joined", uplink: await Network.join(token) };
  if (externalInterface !== undefined) {
    return { name: externalInterface, uplink: await Interface.start({ mode: "bridged", externalInterface }) };
  }
  const options = { mode: mode as "shared" };
  try {
    return { name: mode, uplink: await Network.create(options) };
  } catch (error) {
    if (!(error instanceof UnsupportedError)) throw error;
    return { name: mode, uplink: await Interface.start(options) };
  }
}

/** A network that is made for the capture. */
async function ownSource(values: Values, ending: AbortSignal, print: Print): Promise<Source> {
  const { Network, Switch } = await import("vmnet");
  const { Capture } = await import("./_vmnetd_capture.ts");
  const owned: Stoppable[] = [];
  const own = <T extends Stoppable>(one: T): T => (owned.push(one), one);
  const close = async () => {
    for (const one of owned.splice(0).reverse()) await one.stop();
  };
  try {
    const { name, uplink } = await uplinkOf(values);
    own(uplink);
    const network = uplink instanceof Network ? uplink : undefined;
    const sw = own(
      await (network ? Switch.create({ uplink: network }) : Switch.create({ uplink: uplink as Interface })),
    );
    const path = text(values, "listen");
    if (path !== undefined) own(await sw.listen({ kind: "stream", path }));
    const share = values["join"] === undefined && network ? own(await network.share()) : undefined;
    const passage = new Passage();
    const capture = await Capture.start({ file: "", ...lookOf(values) }, [{ name, sw }], passage);
    onAbort(ending, () => capture.end());
    const about = { subnet: network?.ipv4Subnet ?? "", socket: path ?? "", token: share?.token ?? "" };
    print("capturing", { network: name, ...about });
    const stop = async () => {
      await capture.stop();
      await close();
    };
    return { isLive: true, bytes: failing(passage, capture.done), close: stop };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Bytes, then the error that ended them, if one did. */
async function* failing(
  bytes: AsyncIterable<Uint8Array>,
  done: Promise<Error | undefined>,
): AsyncGenerator<Uint8Array> {
  yield* bytes;
  const error = await done;
  if (error !== undefined) throw error;
}

/** A file, which may be standard input. */
function fileSource(path: string, ending: AbortSignal): Source {
  const stream = path === "-" ? process.stdin : createReadStream(path);
  async function* bytes(): AsyncGenerator<Uint8Array> {
    try {
      yield* stream as AsyncIterable<Uint8Array>;
    } catch (error) {
      if (!ending.aborted) throw new Error(`Cannot read "${path}": ${(error as Error).message}`);
    }
  }
  const close = () => {
    stream.destroy();
    return Promise.resolve();
  };
  onAbort(ending, close);
  return { isLive: false, bytes: bytes(), close };
}

/** Names of options that choose a source. */
const kinds = ["read", "mode", "interface", "join", "listen", "vmnetd", "socket"] as const;

/**
 * Opens what the command line says.
 *
 * @param values The command line.
 * @param ending Asks for the end: what has been copied still comes, and the counts.
 * @param print Is told what is captured.
 */
export async function openSource(values: Values, ending: AbortSignal, print: Print): Promise<Source> {
  const given = kinds.filter((kind) => values[kind] !== undefined && [values[kind]].flat().length > 0);
  const isFile = given.includes("read");
  const isOwn = given.some((kind) => ["mode", "interface", "join", "listen"].includes(kind));
  const isDaemon = given.some((kind) => ["vmnetd", "socket"].includes(kind));
  if ([isFile, isOwn, isDaemon].filter(Boolean).length > 1 || (values["join"] && given.length > 1)) {
    throw new UsageError(`${given.map((kind) => `--${kind}`).join(", ")} do not go together`);
  }
  const filter = filterOf(values);
  if (values["network"] !== undefined && (isFile || isOwn)) throw new UsageError("--network is about --vmnetd");
  if (isFile) {
    if (filter ?? values["snap"]) throw new UsageError("--filter and --snap are not for files that are read");
    return fileSource(text(values, "read")!, ending);
  }
  if (isOwn) return await ownSource(values, ending, print);
  const named = namedControls(values);
  if (named.length > 1 && isDaemon) throw new UsageError("There is one --vmnetd at a time");
  return await daemonSource(named[0] ?? await foundDaemon(values), values, ending, print);
}
