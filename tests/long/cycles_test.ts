// Starting and stopping, thousands of times: nothing may be left. A twentieth of the cycles in `npm test`, all of them
// in `npm run test:long`.

import { describe, it } from "node:test";
import { readdirSync, readFileSync } from "node:fs";
import process from "node:process";
import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { Interface, Network, probe } from "vmnet";

const scale = process.env.VMNET_LONG === "1" ? 1 : 1 / 20;

/** What a process holds. */
interface Holdings {
  descriptors: number;
  threads: number;
  children: number;
}

/**
 * JavaScriptCore's and Bun's own threads, which come when garbage does, and stay. Ours have the name of the thread that
 * started them, "bun". The system keeps 15 letters of a name, of JavaScriptCore's the last ones.
 */
const ofBun = /^(HeapHelper|ollector Thread|JITWorker|JSC|Bun Pool|mi-scavenger)/;

function isOurs(task: string): boolean {
  try {
    return !ofBun.test(readFileSync(`/proc/self/task/${task}/comm`, "utf8"));
  } catch {
    return false; // it ended between the look and this one
  }
}

function holdings(): Holdings {
  const tasks = readdirSync("/proc/self/task");
  const children = tasks.flatMap((task) => {
    try {
      return readFileSync(`/proc/self/task/${task}/children`, "utf8").split(" ").filter(Boolean);
    } catch {
      return []; // the thread ended between the look and this one
    }
  });
  return {
    descriptors: readdirSync("/proc/self/fd").length,
    threads: tasks.filter(isOurs).length,
    children: children.length,
  };
}

/** Resident bytes that no file backs: what a leak makes grow. */
function anonymousMemory(): number {
  return Number(readFileSync("/proc/self/status", "utf8").match(/RssAnon:\s+(\d+) kB/)![1]) * 1024;
}

/** Waits until the process holds no more than before; the runtime's own threads come and go. */
async function assertReturned(before: Holdings): Promise<void> {
  const deadline = performance.now() + 10_000;
  const isBack = (now: Holdings) =>
    now.descriptors <= before.descriptors && now.threads <= before.threads && now.children <= before.children;
  while (!isBack(holdings()) && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 50));
  const after = holdings();
  assert(isBack(after), `before ${JSON.stringify(before)}, after ${JSON.stringify(after)}`);
}

const frame = new Uint8Array(60).fill(0xff, 0, 6);
frame.set([2, 0, 0, 0, 0, 1, 0x88, 0xb5], 6);

/** One cycle on a network: two interfaces, a frame from one to the other. */
async function exchange(network: Network): Promise<void> {
  await using a = await Interface.start({ network });
  await using b = await Interface.start({ network });
  await a.write(frame);
  for await (const packet of b) {
    if (packet[12] === 0x88) break;
  }
}

describe("start and stop", { skip: process.platform !== "linux" && "counts by /proc" }, () => {
  const cycles = Math.round(10_000 * scale);
  it(`${cycles} times on a host-mode network leaves nothing`, async () => {
    await using network = await Network.create({ mode: "host", dhcp: false });
    for (let i = 0; i < 100; i++) await exchange(network);
    const before = holdings();
    const memory = anonymousMemory();
    for (let i = 0; i < cycles; i++) await exchange(network);
    await assertReturned(before);
    // Engines keep garbage as they see fit: what counts is that thousands of cycles do not add up. A ring is 1 MiB.
    assertLessOrEqual(anonymousMemory() - memory, 64 << 20);
  });

  const withNetwork = Math.round(2000 * scale);
  it(`${withNetwork} networks of their own leave nothing`, async () => {
    const cycle = async () => {
      await using network = await Network.create({ mode: "host", dhcp: false });
      await exchange(network);
    };
    for (let i = 0; i < 50; i++) await cycle();
    const before = holdings();
    const memory = anonymousMemory();
    for (let i = 0; i < withNetwork; i++) await cycle();
    await assertReturned(before);
    assertLessOrEqual(anonymousMemory() - memory, 64 << 20);
  });

  const withGateway = Math.round(200 * scale);
  it(`${withGateway} times with a gateway leaves nothing`, async () => {
    const mode = (await probe()).shared.works ? "shared" : "host";
    const cycle = async () => {
      await using nic = await Interface.start({ mode });
      await nic.write(frame);
    };
    for (let i = 0; i < 3; i++) await cycle();
    const before = holdings();
    for (let i = 0; i < withGateway; i++) await cycle();
    await assertReturned(before);
    assertEquals(holdings().children, before.children);
  });

  it("shares and members that come and go leave nothing", async () => {
    await using network = await Network.create({ mode: "host", dhcp: false });
    const cycle = async () => {
      await using share = await network.share();
      await using joined = await Network.join(share.token);
      await exchange(joined);
    };
    for (let i = 0; i < 20; i++) await cycle();
    const before = holdings();
    for (let i = 0; i < Math.round(1000 * scale); i++) await cycle();
    await assertReturned(before);
  });
});
