// SPDX-License-Identifier: MIT

import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertGreater, assertLess, assertRejects } from "@std/assert";
import { Interface, Network, PacketBatch } from "vmnet";
import { PlayedGuest } from "../../scripts/played_guest.ts";
import { embeddedOnly, isVmnet } from "../backend.ts";
import { delay, numbered, numbersOf, Pair } from "./frames.ts";
import { descriptors, gatewaysOf, threads } from "./programs.ts";

const isLinux = process.platform === "linux";
const LONG = process.env["VMNET_LONG"] === "1";

/** A guest on an interface of its own. */
async function plugIn(
  network: Network,
  mac: string,
): Promise<{ guest: PlayedGuest; nic: Interface } & AsyncDisposable> {
  const nic = await Interface.start({ network });
  const guest = new PlayedGuest(mac, (frame) => void nic.write(frame).catch(() => {}));
  const loop = (async () => {
    for await (const packet of nic) guest.receive(packet);
  })();
  return {
    guest,
    nic,
    async [Symbol.asyncDispose]() {
      await nic.stop();
      await loop;
    },
  };
}

/** Whether an address answers within five seconds. One ping may get lost in a flood. */
async function answers(guest: PlayedGuest, address: string): Promise<boolean> {
  for (let i = 0; i < 10; i++) if (await guest.ping(address, 500).catch(() => false)) return true;
  return false;
}

/** Numbers that look random, the same for the same seed. */
function random(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

test("a guest that sends garbage disturbs nobody else", async () => {
  const seed = Number(process.env["VMNET_TEST_SEED"] ?? Date.now()) >>> 0;
  console.log(`seed ${seed}`);
  const next = random(seed);
  await using network = await Network.create({ mode: "shared" });
  await using good = await plugIn(network, "52:54:00:00:00:01");
  await using bad = await plugIn(network, "52:54:00:00:00:66");
  const { address } = await good.guest.dhcp();
  assert(await good.guest.ping(network.ipv4Gateway));
  const headers = [
    [0x08, 0x00, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6],
    [0x08, 0x00, 0x45, 0, 255, 255, 0, 0, 0, 0, 64, 17],
    [0x08, 0x00, 0x4f, 0, 0, 20, 0, 0, 0x20, 0, 64, 1],
    [0x86, 0xdd, 0x60, 0, 0, 0, 255, 255, 58, 255],
    [0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1],
    [0x81, 0x00, 0, 1, 0x08, 0x00],
  ];
  for (let round = 0; round < (LONG ? 2000 : 100); round++) {
    const frames = Array.from({ length: 64 }, () => {
      const frame = new Uint8Array(14 + next() % 1500);
      for (let i = 0; i < Math.min(frame.length, 100); i++) frame[i] = next();
      if (next() % 4 > 0) frame.set(headers[next() % headers.length]!.slice(0, frame.length - 12), 12);
      if (next() % 2 > 0) frame.fill(0xff, 0, 6);
      return frame;
    });
    await bad.nic.write(frames);
  }
  assert(await answers(good.guest, network.ipv4Gateway), `seed ${seed}`);
  assertEquals(good.guest.address, address);
});

test("10000 source addresses and a flood of broadcast leave the network working", async () => {
  await using network = await Network.create({ mode: "host" });
  await using a = await plugIn(network, "52:54:00:00:00:01");
  await using b = await plugIn(network, "52:54:00:00:00:02");
  await using bad = await Interface.start({ network });
  await a.guest.dhcp();
  const { address } = await b.guest.dhcp();
  const batch = new PacketBatch({ slots: 250 });
  for (let i = 0; i < 10_000; i += 250) {
    batch.clear();
    for (let k = 0; k < 250; k++) {
      const frame = numbered(i + k);
      frame.set([2, 0x66, 0, 0, (i + k) >> 8, (i + k) & 255], 6);
      batch.push(frame);
    }
    await bad.write(batch);
    await delay(0);
  }
  assert(await answers(a.guest, address));
});

test("DHCP gives no address when none is left, and goes on", async () => {
  // vmnet hands out what the subnet has
  const [range, last] = await isVmnet()
    ? [{ ipv4Subnet: "192.168.89.8/29" }, [10, 11, 12, 13, 14]]
    : [{ ipv4Subnet: "192.168.89.0/24", dhcpStart: "192.168.89.10", dhcpEnd: "192.168.89.11" }, [10, 11]];
  await using network = await Network.create({ mode: "host", ...range });
  await using plug = await plugIn(network, "52:54:00:00:00:01");
  const asking = (i: number) => {
    const guest = new PlayedGuest(`52:54:00:00:00:0${i}`, (frame) => void plug.nic.write(frame));
    const receive = plug.guest.receive.bind(plug.guest);
    plug.guest.receive = (frame) => (receive(frame), guest.receive(frame));
    return guest;
  };
  const addresses: string[] = [];
  for (let i = 2; addresses.length < last.length; i++) addresses.push((await asking(i).dhcp()).address);
  assertEquals(addresses.sort(), last.map((octet) => `192.168.89.${octet}`));
  await assertRejects(() => asking(9).dhcp("late", 300), Error, "no answer");
  assertEquals((await asking(2).dhcp()).address.startsWith("192.168.89.1"), true);
  if (await isVmnet()) await delay(1200); // the file of the leases is read twice a second
  assertEquals(network.currentLeases().length, last.length);
});

test("a killed gateway is back within a second, with leases and rules", {
  skip: !isLinux || await embeddedOnly("vmnet has no gateway program"),
}, async () => {
  await using network = await Network.create({ mode: "shared" });
  await using plug = await plugIn(network, "52:54:00:00:00:01");
  const { address } = await plug.guest.dhcp();
  const rule = { protocol: "tcp", externalPort: 0, internalAddress: address, internalPort: 80 } as const;
  const externalPort = 20_000 + process.pid % 20_000;
  await network.addPortForwardingRule({ ...rule, externalPort });
  const gateways = gatewaysOf(process.pid);
  assertEquals(gateways.length, 1);
  process.kill(gateways[0]!, "SIGKILL");
  const start = performance.now();
  while (!await plug.guest.ping(network.ipv4Gateway, 100).catch(() => false));
  assertLess(performance.now() - start, 1000);
  assertEquals((await plug.guest.dhcp()).address, address);
  assertEquals(network.currentLeases().map((lease) => lease.address), [address]);
  assertEquals(await network.portForwardingRules(), [{ ...rule, externalPort }]);
  await network.removePortForwardingRule({ protocol: "tcp", externalPort });
  assertGreater(network.stats()["gatewayStarts"]!, 1);
});

test("starting and stopping leaves no descriptor, thread or gateway", { skip: !isLinux }, async () => {
  const cycle = async (mode: "host" | "shared", dhcp: boolean) => {
    await using network = await Network.create({ mode, dhcp });
    await using a = await Interface.start({ network });
    await using b = await Interface.start({ network });
    await a.write(numbered(1));
    for await (const batch of b.batches()) if (batch.length > 0) break;
  };
  await cycle("host", false);
  await cycle("shared", true);
  await delay(100);
  const before = [descriptors().length, threads(), gatewaysOf(process.pid).length];
  for (let i = 0; i < (LONG ? 10_000 : 500); i++) await cycle("host", false);
  for (let i = 0; i < (LONG ? 200 : 10); i++) await cycle("shared", true);
  await delay(200);
  const after = [descriptors().length, threads(), gatewaysOf(process.pid).length];
  // Idle threads of the runtime's own pool come and go
  assertEquals([after[0], after[2]], [before[0], before[2]]);
  assertLess(after[1]! - before[1]!, 3);
});

test("many interfaces on one network see one another's frames", async () => {
  await using network = await Network.create({ mode: "host", dhcp: false });
  const nics = await Promise.all(Array.from({ length: 32 }, () => Interface.start({ network })));
  const seen = nics.slice(1).map((nic) => numbersOf(nic, 3));
  await nics[0]!.write([numbered(1), numbered(2), numbered(3)]);
  for (const numbers of await Promise.all(seen)) assertEquals(numbers, [1, 2, 3]);
  await Promise.all(nics.map((nic) => nic.stop()));
});

test("starts that are cancelled leave nothing behind", { skip: !isLinux }, async () => {
  await using _pair = await Pair.start();
  await delay(50);
  const before = [descriptors().length, gatewaysOf(process.pid).length];
  for (let i = 0; i < 20; i++) {
    const controller = new AbortController();
    const starting = Network.create({ mode: "host" }, { signal: controller.signal });
    setTimeout(() => controller.abort(), i % 10);
    const network = await starting.catch(() => undefined);
    await network?.stop();
  }
  const until = performance.now() + 3000;
  const now = () => [descriptors().length, gatewaysOf(process.pid).length];
  while (now().join() !== before.join() && performance.now() < until) await delay(20);
  assertEquals(now(), before);
});
