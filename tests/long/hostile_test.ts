// A guest that misbehaves in every way at hand, beside one that only wants to ping: the second must not notice. The
// seed is printed; VMNET_SEED replays it.

import { describe, it } from "node:test";
import { connect } from "node:net";
import { once } from "node:events";
import process from "node:process";
import { assert, assertEquals, assertGreater, assertRejects } from "@std/assert";
import { Interface, Network, probe, VmnetError } from "vmnet";
import { PlayedGuest } from "../../scripts/played_guest.ts";

const scale = process.env.VMNET_LONG === "1" ? 1 : 1 / 20;
const seed = Number(process.env.VMNET_SEED ?? Date.now() % 1_000_000_007);

/** A small generator of numbers, so that a seed tells the whole story (xorshift32). */
class Random {
  #state: number;
  constructor(from: number) {
    this.#state = from | 1;
  }
  below(limit: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % limit;
  }
  fill(bytes: Uint8Array): Uint8Array {
    for (let i = 0; i < bytes.length; i++) bytes[i] = this.below(256);
    return bytes;
  }
}

const random = new Random(seed);

/** Someone who is plugged in and reads all the time. */
async function plugIn(
  network: Network,
  mac: string,
): Promise<{ nic: Interface; guest: PlayedGuest; done: Promise<void> }> {
  const nic = await Interface.start({ network });
  const guest = new PlayedGuest(mac, (frame) => void nic.tryWrite(frame));
  const done = (async () => {
    for await (const packet of nic) guest.receive(packet);
  })();
  done.catch(() => {}); // a test that fails ends the network under it
  return { nic, guest, done };
}

/** Real frames to be bent: what a guest says when it gets an address and pings. */
async function recorded(network: Network): Promise<Uint8Array[]> {
  const frames: Uint8Array[] = [];
  await using nic = await Interface.start({ network });
  const guest = new PlayedGuest("52:54:00:00:00:99", (frame) => {
    frames.push(frame.slice());
    nic.tryWrite(frame);
  });
  const reading = (async () => {
    for await (const packet of nic) guest.receive(packet);
  })();
  const { address } = await guest.dhcp();
  await guest.ping(network.ipv4Gateway);
  // A connection to a port where nobody listens: a SYN and what comes of it
  await guest.fetch(network.ipv4Gateway, network.ipv4Gateway, 1, "/", 200).catch(() => {});
  assert(address !== "");
  await nic.stop();
  await reading;
  return frames;
}

const mischief: Record<string, (frames: Uint8Array[]) => Uint8Array> = {
  "random bytes": () => random.fill(new Uint8Array(14 + random.below(1501))),
  "random payload of a known type": () => {
    const frame = random.fill(new Uint8Array(14 + random.below(1501)));
    frame.set([[8, 0], [8, 6], [0x86, 0xdd], [0x81, 0]][random.below(4)]!, 12);
    if (random.below(2) === 0) frame.fill(255, 0, 6);
    return frame;
  },
  "truncated frames": (frames) => {
    const frame = frames[random.below(frames.length)]!;
    return frame.slice(0, 14 + random.below(frame.length - 13));
  },
  // Not of ARP: there a flipped byte is a claim to a neighbour's address, and a plain switch believes claims
  "flipped bytes": (frames) => {
    const others = frames.filter((frame) => frame[13] !== 6);
    const frame = others[random.below(others.length)]!.slice();
    for (let i = 1 + random.below(4); i > 0; i--) frame[12 + random.below(frame.length - 12)] = random.below(256);
    return frame;
  },
  "a flood of broadcast": () => new Uint8Array(60).fill(255, 0, 6).fill(2, 6, 7),
  "10,000 source addresses": () => {
    const frame = new Uint8Array(60).fill(255, 0, 6);
    frame.set([2, 0x77, random.below(40), random.below(250), 0, 0], 6);
    return frame;
  },
  "DHCP exhaustion": (frames) => {
    const frame = frames[0]!.slice(); // a DISCOVER
    const mac = [2, 0x66, random.below(256), random.below(256), random.below(256), random.below(256)];
    frame.set(mac, 6);
    frame.set(mac, 14 + 28 + 28);
    frame.set([0, 0], 40); // no UDP checksum
    return frame;
  },
};

describe(`a hostile guest (seed ${seed})`, () => {
  const count = Math.round(40_000 * scale);
  for (const mode of ["host", "shared"] as const) {
    it(`is counted and dropped in mode ${mode}, and its neighbour goes on`, async (test) => {
      if (!(await probe())[mode].works) return test.skip(`mode ${mode} does not work here`);
      await using network = await Network.create({ mode });
      const frames = await recorded(network);
      const neighbour = await plugIn(network, "52:54:00:00:00:01");
      const { address } = await neighbour.guest.dhcp();
      await using bad = await Interface.start({ network });
      for (const [name, make] of Object.entries(mischief)) {
        let worst = 0;
        for (let sent = 0; sent < count;) {
          for (let i = 0; i < 200; i++, sent++) bad.tryWrite(make(frames));
          // Reading nothing is mischief, too; here it reads now and then so that its queue is not always full
          if (random.below(4) === 0) { for await (const _ of bad.batches({ signal: AbortSignal.timeout(1) })) break; }
          // Both guests live in one script: a neighbour that is not let to read loses frames by its own fault
          await new Promise((resolve) => setTimeout(resolve, 0));
          if (sent % 2000 !== 0) continue;
          const begin = performance.now();
          assert(await neighbour.guest.ping(network.ipv4Gateway), `no answer to a ping during "${name}"`);
          worst = Math.max(worst, performance.now() - begin);
        }
        test.diagnostic(`${name}: slowest ping ${Math.round(worst)} ms`);
      }
      // It still knows who has which address
      assertEquals((await neighbour.guest.dhcp()).address, address);
      // Nothing of all this may end the gateway: an abort of libslirp is survived, but it is one
      assertEquals(network.stats()["gatewayStarts"], 1);
      await neighbour.nic.stop();
      await neighbour.done;
    });
  }

  it("cannot harm a network by its socket", async () => {
    await using network = await Network.create({ mode: "host", dhcp: false });
    await using share = await network.share();
    const path = share.token.match(/\/[^:]*/)![0];
    for (let i = 0; i < Math.round(400 * scale); i++) {
      const socket = connect(path);
      socket.on("error", () => {});
      await once(socket, "connect");
      const header = new Uint8Array(4);
      new DataView(header.buffer).setUint32(0, [0, 0xffffffff, 65536, random.below(200)][random.below(4)]!);
      socket.write(header);
      socket.write(random.fill(new Uint8Array(random.below(300))));
      if (random.below(2) === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      socket.destroy();
    }
    await using member = await Network.join(share.token);
    await using a = await Interface.start({ network: member });
    await using b = await Interface.start({ network });
    const frame = new Uint8Array(60).fill(255, 0, 6);
    frame[6] = 2;
    await a.write(frame);
    for await (const packet of b) {
      assertEquals(packet, frame);
      break;
    }
    const forged = `${share.token.slice(0, -4)}${share.token.endsWith("0000") ? "1111" : "0000"}`;
    const error = await assertRejects(() => Network.join(forged), VmnetError);
    assertEquals(error.code, "badToken");
    assertGreater(network.mtu, 0);
  });
});
