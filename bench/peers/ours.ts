/**
 * Ours, as `bench:peers` starts it beside the peers: a process of one runtime that serves guests until its input ends.
 *
 *     ours.ts switch PATH            the C path: a switch without anything else
 *     ours.ts filter PATH EXPRESSION the same with a tap whose filter matches nothing
 *     ours.ts capture PATH           the same with a tap of everything, which the script reads
 *     ours.ts intercept PATH         every frame waits for the script's verdict
 *     ours.ts loops PATH PATH        every frame goes through a loop of the script: two networks, and an interface of
 *     each
 *     ours.ts sockets PATH           nothing in C but the switch: the script reads the sockets and writes them
 *     ours.ts nat PATH               the C path with a gateway, for one more machine at a TAP device too
 *
 * Prints one line of JSON when it is ready.
 *
 * @module
 */

import { createServer, type Socket } from "node:net";
import process from "node:process";
import { Interface, Network, Switch } from "../../mod.ts";
import { encodeStream, StreamDecoder } from "../../vmnet/framing.ts";

const [mode = "", path = "", other = ""] = process.argv.slice(2);
/** Bytes that may wait in a socket of the script's before its interface is left alone. */
const MAX_WAITING = 1 << 20;
/** Frames that the script has looked at. */
let seen = 0;

async function serve(uplink: Network | undefined, at: string): Promise<Switch> {
  const sw = uplink === undefined ? await Switch.create() : await Switch.create({ uplink });
  await sw.listen({ kind: "stream", path: at, clients: 64 });
  return sw;
}

const quiet = () => Network.create({ mode: "host", dhcp: false, mtu: 65535 });

/** From one interface to the other, each frame once through the script's hands, which look at its type. */
async function pass(from: Interface, to: Interface): Promise<void> {
  for await (const batch of from.batches()) {
    for (let i = 0; i < batch.length; i++) seen += batch.bytes[batch.offset(i) + 12]! >> 3;
    const taken = to.tryWrite(batch);
    // What does not fit is dropped, as a switch does it
    if (taken < 0) throw new Error("Cannot pass frames on");
  }
}

async function loops(): Promise<void> {
  const nics: Interface[] = [];
  for (const at of [path, other]) {
    const network = await quiet();
    nics.push(await Interface.start({ network }));
    await serve(network, at);
  }
  pass(nics[0]!, nics[1]!);
  pass(nics[1]!, nics[0]!);
}

async function toSocket(nic: Interface, socket: Socket): Promise<void> {
  for await (const batch of nic.batches()) {
    seen += batch.length;
    if (socket.destroyed) break;
    if (socket.write(encodeStream(batch)) || socket.writableLength < MAX_WAITING) continue;
    await new Promise<void>((resolve) => socket.once("drain", resolve).once("close", () => resolve()));
  }
  await nic.stop();
}

async function sockets(): Promise<void> {
  const network = await quiet();
  const server = createServer({ pauseOnConnect: true }, async (socket) => {
    socket.on("error", () => {});
    const nic = await Interface.start({ network });
    const decoder = new StreamDecoder();
    const most = nic.maxWritePacketCount;
    socket.on("close", () => nic.stop());
    socket.on("data", (chunk: Uint8Array) => {
      const frames = decoder.decode(chunk);
      seen += frames.length;
      let sent = 0;
      for (let taken = -1; sent < frames.length && taken !== 0; sent += taken) {
        taken = nic.tryWrite(frames.length <= most ? frames : frames.slice(sent, sent + most));
      }
      if (sent === frames.length) return;
      socket.pause();
      nic.write(frames.slice(sent)).then(() => socket.resume(), () => socket.destroy());
    });
    socket.resume();
    toSocket(nic, socket).catch(() => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
}

async function start(): Promise<Record<string, unknown>> {
  if (mode === "loops") await loops();
  else if (mode === "sockets") await sockets();
  else if (mode === "nat") {
    const network = await Network.create({ mode: "shared" });
    const sw = await serve(network, path);
    let tap: string | undefined;
    try {
      const endpoint = await sw.attach({ kind: "tap" });
      tap = endpoint.name;
    } catch {
      // Without permission there are the machines at the socket
    }
    return { subnet: network.ipv4Subnet, gateway: network.ipv4Gateway, tap };
  } else {
    const sw = await serve(undefined, path);
    if (mode === "filter") await sw.tap({ filter: other });
    if (mode === "intercept") {
      await sw.intercept({}, (frame) => {
        seen += frame[12]! >> 3;
        return "pass";
      });
    }
    if (mode === "capture") {
      const tap = await sw.tap();
      (async () => {
        for await (const batch of tap.batches()) seen += batch.length;
      })();
    }
  }
  return {};
}

console.log(JSON.stringify({ ready: true, ...await start() }));
process.stdin.on("end", () => process.exit(0)).on("close", () => process.exit(0)).resume();
