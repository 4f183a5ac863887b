// SPDX-License-Identifier: MIT

/**
 * Shows what moves on a virtual network, and writes it down for Wireshark.
 *
 *     deno run -A tools/capture.ts --socket /tmp/vm.sock
 *     deno run -A tools/capture.ts --socket /tmp/vm.sock -w - tcp port 80 | wireshark -k -i -
 *
 * Theory of operation: a source (_capture_sources.ts) gives pcapng as it comes; its packets go to a printer, to files, or
 * both (_capture_outputs.ts). Whoever ends it, a person, a count or a time, asks the source for its end: what it has
 * copied still comes, and the counts, so that every file is complete. Wireshark uses it as one of its own
 * (_capture_extcap.ts). docs/capture.md shows it at work.
 *
 * @module
 */

import process from "node:process";
import { integer, main, type Option, type Print, printer, readOptions, text, UsageError, type Values } from "./_cli.ts";
import type { CapturedPacket } from "vmnet/packet";
import type { Output } from "./_capture_outputs.ts";

const NAME = "vmnet-capture";

const ABOUT = `Shows the packets of a virtual network, or writes them into files for Wireshark.
The networks of a vmnetd that runs are captured, unless an option says something else.
FILTER is in the language of tcpdump: "${NAME} tcp port 80".`;

const toOutput = (line: string): void => void process.stdout.write(`${line}\n`);

const RING = "Several files";
const WIRESHARK = "Wireshark";

const options: Record<string, Option> = {
  vmnetd: { value: "PATH", help: "control socket of the vmnetd to capture from; the one that is found", repeat: true },
  socket: { value: "PATH", help: "its first socket, if the control socket is beside that" },
  network: { value: "NAME", help: "which of its networks; all of them by default" },
  mode: { value: "MODE", help: "shared or host: a new network; bridged: an interface, which needs macOS" },
  interface: { value: "NAME", help: "interface for mode bridged", short: "i" },
  listen: { value: "PATH", help: "unix socket of the new network, for VMs with QEMU's stream framing" },
  join: { value: "TOKEN", help: "a network that another process shares" },
  read: { value: "FILE", help: "a file of Wireshark or tcpdump; - is standard input", short: "r" },
  write: { value: "FILE", help: "write pcapng instead of printing; - is standard output", short: "w" },
  print: { help: "print, even if it is written", short: "P" },
  hex: { help: "print the bytes, too", short: "x" },
  filter: { value: "FILTER", help: "only what matches", short: "f" },
  snap: { value: "BYTES", help: "no more of each frame, 14 to 65562", short: "s" },
  count: { value: "N", help: "end after so many packets", short: "c" },
  seconds: { value: "N", help: "end after so many seconds" },
  comment: { value: "TEXT", help: "remark that the file has" },
  json: { help: "print one JSON object a line" },
  "ring-size": { value: "MB", help: "a new file when one has so many megabytes", section: RING },
  "ring-seconds": { value: "N", help: "a new file when one covers so many seconds", section: RING },
  "ring-files": { value: "N", help: "keep so many, and remove the oldest", section: RING },
  "install-extcap": { help: "show vmnetd's networks in Wireshark's list of interfaces", section: WIRESHARK },
};

/** What Wireshark says, besides options that a person has; see extcap(4). */
const extcapOptions: Record<string, Option> = {
  capture: { help: "capture into --fifo" },
  fifo: { value: "FILE", help: "where to" },
  "extcap-interfaces": { help: "which interfaces there are" },
  "extcap-version": { value: "X", help: "version of Wireshark" },
  "extcap-interface": { value: "NAME", help: "the interface that is meant" },
  "extcap-dlts": { help: "its link types" },
  "extcap-config": { help: "its options" },
  "extcap-capture-filter": { value: "FILTER", help: "the filter, which is checked without --capture" },
};

/** How files follow one another, if there is more than one. */
function ringOf(values: Values): { bytes?: number; seconds?: number; files?: number } | undefined {
  const megabytes = integer(values, "ring-size", 1, 1_000_000);
  const seconds = integer(values, "ring-seconds", 1, 10_000_000);
  const files = integer(values, "ring-files", 1, 100_000);
  if (megabytes === undefined && seconds === undefined) {
    if (files !== undefined) throw new UsageError("--ring-files needs --ring-size or --ring-seconds");
    return undefined;
  }
  const path = text(values, "write");
  if (path === undefined || path === "-") throw new UsageError("--ring-size and --ring-seconds need --write FILE");
  return {
    ...(megabytes && { bytes: megabytes * 1_000_000 }),
    ...(seconds && { seconds }),
    ...(files && { files }),
  };
}

/** Whether nobody reads any more what is written. */
const isUnread = (error: unknown): boolean => (error as { code?: unknown }).code === "EPIPE";

async function capture(values: Values, print: Print): Promise<void> {
  const [count = Infinity, seconds] = [integer(values, "count", 1, 1e15), integer(values, "seconds", 1, 2_000_000)];
  const [path, ring, comment] = [text(values, "write"), ringOf(values), text(values, "comment")];
  const isPrinted = path === undefined || values["print"] === true;
  if (path === "-" && isPrinted) throw new UsageError("--print needs standard output, and so does --write -");
  if (path === "-" && process.stdout.isTTY) throw new UsageError("--write - is for a pipe, not for a terminal");
  if (path === undefined && comment !== undefined) throw new UsageError("--comment is about --write, which is missing");
  const { openSource } = await import("./_capture_sources.ts");
  const { droppedOf, FileWriter, Printer } = await import("./_capture_outputs.ts");
  const { interruption } = await import("./_terminal.ts");
  const { CaptureReader } = await import("vmnet/packet");

  const enough = new AbortController();
  const ending = AbortSignal.any([interruption(), enough.signal]);
  const source = await openSource(values, ending, print);
  const timer = seconds && setTimeout(() => enough.abort(), seconds * 1000);
  const reader = new CaptureReader();
  const outputs: Output[] = isPrinted
    ? [new Printer({ json: values["json"] === true, hex: values["hex"] === true })]
    : [];
  let isFileOpen = path === undefined;
  const sum = { packets: 0, bytes: 0 };
  const write = async (chunk: Uint8Array) => {
    reader.push(chunk);
    const packets: CapturedPacket[] = [];
    let damage: unknown;
    try {
      for (const packet of reader) {
        if (sum.packets === count) continue; // the rest, up to the counts
        sum.packets++;
        sum.bytes += packet.originalLength;
        packets.push(packet);
      }
    } catch (error) {
      damage = error;
    }
    if (!isFileOpen && reader.section !== undefined) {
      isFileOpen = true;
      outputs.push(await FileWriter.open({ path: path!, comment, ring }, () => reader.interfaces, print));
    }
    for (const output of outputs) await output.write(packets);
    if (damage !== undefined) throw damage;
    if (sum.packets === count) enough.abort();
  };
  try {
    for await (const chunk of source.bytes) await write(chunk);
    if (!ending.aborted) reader.end();
    if (source.isLive && !ending.aborted && reader.interfaces.every(({ statistics }) => statistics === undefined)) {
      throw new Error("The network has ended");
    }
    for (const output of outputs) await output.close();
  } catch (error) {
    for (const output of outputs) await output.close().catch(() => {}); // what there is remains readable
    if (!isUnread(error)) throw new Error((error as Error).message, { cause: error }); // of no kind that main() knows
  } finally {
    clearTimeout(timer);
    await source.close();
    const dropped = reader.interfaces.map(droppedOf).filter((count) => count !== undefined);
    print("end", { ...sum, ...(dropped.length > 0 && { dropped: dropped.reduce((all, one) => all + one) }) });
  }
}

await main(NAME, async () => {
  const args = process.argv.slice(2);
  const isWireshark = args.some((arg) => arg === "--capture" || arg.startsWith("--extcap-"));
  const known = isWireshark ? { ...options, ...extcapOptions } : options;
  let values = readOptions(NAME, ABOUT, known, { args, operands: "[FILTER]" });
  if (isWireshark || values["install-extcap"]) {
    const { answerExtcap, installLauncher, translateExtcap } = await import("./_capture_extcap.ts");
    const lines = values["install-extcap"] ? installLauncher(values, import.meta.url) : await answerExtcap(values);
    if (lines !== undefined) return lines.forEach((line) => console.log(line));
    values = translateExtcap(values);
  }
  // Wireshark takes what is said on standard error for a complaint
  const write = isWireshark ? () => {} : values["json"] === true && values["write"] !== "-" ? toOutput : console.error;
  await capture(values, printer(values["json"] === true, write));
});
