// SPDX-License-Identifier: MIT

/**
 * What `npm start` shows: a guest on an embedded network, every frame of it through this script's loops and on the
 * screen as one line, and in the end what worked. The guest is a VM in QEMU, or with `--no-vm` played by this script.
 *
 *     deno run -A scripts/demo.ts [--no-vm] [--json]
 *
 * With `--json` the last line is the summary as JSON. Nothing leaves the machine: "the outside" is a server that this
 * script runs on loopback, which the guest reaches at the gateway's address.
 *
 * @module
 */

import { mkdtempSync, rmSync } from "node:fs";
import { createServer as createHttpServer, get, type Server } from "node:http";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { Interface, Network, VmnetError } from "vmnet";
import { encodeStream, StreamDecoder } from "vmnet/framing";
import { runtimeName } from "../ffi/runtime.ts";
import { describe } from "../packet/describe.ts";
import { bootGuest, type Guest } from "../tests/guest/harness.ts";
import { PlayedGuest } from "./played_guest.ts";

const MAC = "52:54:00:00:00:01";

const { values: options } = parseArgs({ options: { json: { type: "boolean" }, "no-vm": { type: "boolean" } } });

/** What the demo ends with; `null` is what could not be tried. */
interface Summary {
  runtime: string;
  lease: string | null;
  gatewayPing: boolean | null;
  httpOut: boolean | null;
  httpIn: boolean | null;
  framesIn: number;
  framesOut: number;
}

/** What the demo asks of a guest, be it a VM or played. */
interface DemoGuest {
  /** The address that DHCP gave it. */
  readonly address: string;
  /** Pings an address. */
  ping(address: string): Promise<boolean>;
  /** Fetches a page of a server behind the gateway. */
  fetch(address: string, port: number): Promise<string>;
  /** Serves a page at port 80; answers its text. */
  serve(): Promise<string>;
  /** Ends it. */
  stop(): Promise<void>;
}

const start = performance.now();

/** Prints a line with the time since the start. */
function say(sign: string, text: string): void {
  console.log(`${((performance.now() - start) / 1000).toFixed(3).padStart(8)} ${sign} ${text}`);
}

/** A VM in QEMU, connected by a unix socket in QEMU's stream framing. */
async function bootVm(nic: Interface): Promise<DemoGuest> {
  const directory = mkdtempSync(join(tmpdir(), "vmnet-demo-"));
  const path = join(directory, "guest.sock");
  let socket: Socket | undefined;
  const server = createServer((connection) => {
    const decoder = new StreamDecoder();
    socket = connection.on("error", () => {});
    connection.on("data", async (chunk: Uint8Array) => {
      const frames = decoder.decode(chunk);
      for (const frame of frames) say(">", describe(frame));
      connection.pause();
      await nic.write(frames);
      connection.resume();
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const ending = new AbortController();
  const loop = (async () => {
    for await (const batch of nic.batches({ signal: ending.signal })) {
      for (const packet of batch) say("<", describe(packet));
      socket?.write(encodeStream(batch));
    }
  })();
  let vm: Guest;
  const stop = async () => {
    await vm?.powerOff();
    ending.abort();
    await loop;
    socket?.destroy();
    server.close();
    rmSync(directory, { recursive: true });
  };
  try {
    vm = await bootGuest({ netdev: { kind: "stream", path }, mac: MAC });
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    address: vm.lease?.ip ?? "",
    ping: async (address) => (await vm.run(`ping -c 1 -W 5 ${address}`)).status === 0,
    fetch: async (address, port) => (await vm.run(`timeout 10 wget -q -O - http://${address}:${port}/`)).output,
    serve: async () => {
      await vm.sh("httpd -p 80 -h /www");
      return await vm.sh("cat /www/index.html");
    },
    stop,
  };
}

/** A guest that this script plays. */
async function play(nic: Interface, network: Network): Promise<DemoGuest> {
  const guest = new PlayedGuest(MAC, (frame) => {
    say(">", describe(frame));
    nic.write(frame).catch(() => {}); // the summary tells
  });
  const ending = new AbortController();
  const loop = (async () => {
    for await (const batch of nic.batches({ signal: ending.signal })) {
      for (const packet of batch) {
        say("<", describe(packet));
        guest.receive(packet);
      }
    }
  })();
  const { address } = await guest.dhcp("played");
  return {
    address,
    ping: (to) => guest.ping(to),
    fetch: (to, port) => guest.fetch(network.ipv4Gateway, to, port, "/"),
    serve: () => {
      const page = "hello from a guest that is only played";
      guest.serve(80, page);
      return Promise.resolve(page);
    },
    stop: async () => {
      ending.abort();
      await loop;
    },
  };
}

/** "The outside": a server on loopback. */
function serveOutside(page: string): Promise<Server> {
  const server = createHttpServer((_, response) => response.setHeader("Connection", "close").end(page));
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

/** A TCP port that nobody listens on. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Fetches a page through a forwarded port of this machine. */
function fetchInside(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get({ host: "127.0.0.1", port, agent: false, timeout: 10_000 }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk) => text += chunk).on("end", () => resolve(text));
    });
    request.on("error", reject).on("timeout", () => request.destroy(new Error("no answer")));
  });
}

/** Runs one part; what goes wrong in it is told and does not stop the rest. */
async function attempt(what: string, part: () => Promise<boolean>): Promise<boolean> {
  try {
    return await part();
  } catch (error) {
    say("!", `${what}: ${error instanceof Error ? error.message.split("\n")[0] : error}`);
    return false;
  }
}

/** Everything that a guest can do here. */
async function show(guest: DemoGuest, network: Network, summary: Summary): Promise<void> {
  const outsidePage = "hello from outside";
  const outside = await serveOutside(outsidePage);
  const gateway = network.ipv4Gateway;
  summary.lease = guest.address || null;
  say("*", `the guest pings its gateway at ${gateway}`);
  summary.gatewayPing = await attempt("ping", () => guest.ping(gateway));
  const { port } = outside.address() as AddressInfo;
  say("*", `the guest fetches a page from this script at http://${gateway}:${port}/`);
  const fetchOut = async () => (await guest.fetch(gateway, port)).includes(outsidePage);
  summary.httpOut = await attempt("fetch from the guest", fetchOut);
  summary.httpIn = await attempt("fetch from the host", async () => {
    const page = await guest.serve();
    const externalPort = await freePort();
    await network.addPortForwardingRule({
      protocol: "tcp",
      externalPort,
      internalAddress: guest.address,
      internalPort: 80,
    });
    say("*", `this script fetches a page from the guest at http://127.0.0.1:${externalPort}/`);
    return (await fetchInside(externalPort)).trim() === page.trim();
  });
  await new Promise((resolve) => outside.close(resolve));
}

async function run(): Promise<Summary> {
  await using network = await Network.create({ mode: "shared" });
  await using nic = await Interface.start({ network });
  say("*", `network ${network.ipv4Subnet}, gateway ${network.ipv4Gateway}, in ${runtimeName}`);
  say("*", options["no-vm"] ? "no VM: this script plays the guest" : "booting a VM in QEMU; > is from it, < is to it");
  const summary: Summary = {
    runtime: runtimeName,
    lease: null,
    gatewayPing: null,
    httpOut: null,
    httpIn: null,
    framesIn: 0,
    framesOut: 0,
  };
  const guest = options["no-vm"] ? await play(nic, network) : await bootVm(nic);
  try {
    await show(guest, network, summary);
  } finally {
    await guest.stop();
  }
  const { framesIn, framesOut, bytesIn, bytesOut } = nic.stats();
  report({ ...summary, framesIn, framesOut }, bytesIn, bytesOut);
  return { ...summary, framesIn, framesOut };
}

function report(summary: Summary, bytesIn: number, bytesOut: number): void {
  const word = (result: boolean | null) => result === null ? "not tried" : result ? "ok" : "FAILED";
  console.log(`
lease           ${summary.lease ?? "none"}
gateway ping    ${word(summary.gatewayPing)}
HTTP out        ${word(summary.httpOut)}
HTTP in         ${word(summary.httpIn)}
to the guest    ${summary.framesIn} frames, ${bytesIn} bytes
from the guest  ${summary.framesOut} frames, ${bytesOut} bytes
`);
}

try {
  const summary = await run();
  if (options.json) console.log(JSON.stringify(summary));
  process.exitCode = summary.lease && summary.gatewayPing && summary.httpOut && summary.httpIn ? 0 : 1;
} catch (error) {
  const isOurs = error instanceof VmnetError;
  console.error(isOurs && error.remedy ? `${error.message}\n${error.remedy}` : error);
  process.exitCode = 1;
}
