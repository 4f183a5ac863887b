// Two real guests: talking to each other, isolated from each other, and without a way out.

import { describe, it } from "node:test";
import process from "node:process";
import { assertEquals, assertNotEquals, assertStringIncludes } from "@std/assert";
import { Interface, type InterfaceOptions, Network, type NetworkOptions } from "vmnet";
import { delay } from "../vmnet/frames.ts";
import { attach } from "./attach.ts";
import { bootGuest, type Guest, whyNoGuest } from "./harness.ts";

const outside = process.env.VMNET_TEST_OUTSIDE ?? "";
const skip = whyNoGuest() || (outside ? false : "runs inside netns.sh");

/** Boots two guests on a network of their own, hands them to a function and ends everything. */
async function withGuests(
  network: NetworkOptions,
  nic: Omit<InterfaceOptions, "network" | "mode">,
  use: (a: Guest, b: Guest, network: Network) => Promise<void>,
): Promise<void> {
  await using shared = await Network.create(network);
  await using nicA = await Interface.start({ ...nic, network: shared });
  await using nicB = await Interface.start({ ...nic, network: shared });
  await using socketA = await attach(nicA);
  await using socketB = await attach(nicB);
  const [guestA, guestB] = await Promise.all([
    bootGuest({ netdev: { kind: "stream", path: socketA.path }, mac: "52:54:00:00:00:0a" }),
    bootGuest({ netdev: { kind: "stream", path: socketB.path }, mac: "52:54:00:00:00:0b" }),
  ]);
  await using a = guestA!;
  await using b = guestB!;
  await use(a, b, shared);
  assertEquals(await Promise.all([a.powerOff(), b.powerOff()]), [0, 0]);
}

describe("two guests on one network", { skip }, () => {
  it("each gets an address and fetches a page from the other", async () => {
    await withGuests({ mode: "shared" }, {}, async (a, b, network) => {
      assertNotEquals(a.lease!.ip, b.lease!.ip);
      // On a Mac they are read from a file, twice a second
      for (let i = 0; network.currentLeases().length < 2 && i < 20; i++) await delay(100);
      assertEquals(network.currentLeases().length, 2);
      await b.sh("echo from b >/www/index.html; httpd -p 80 -h /www");
      assertEquals(await a.sh(`timeout 10 wget -q -O - http://${b.lease!.ip}/`), "from b");
      assertStringIncludes(await b.sh(`ping -c 2 -W 2 ${a.lease!.ip}`), "2 packets received");
      assertStringIncludes(await a.sh(`timeout 10 wget -q -O - http://${outside}/`), "outside");
    });
  });

  it("enableIsolation keeps them apart, and lets both out", async () => {
    await withGuests({ mode: "shared" }, { enableIsolation: true }, async (a, b) => {
      await b.sh("httpd -p 80 -h /www");
      assertNotEquals((await a.run(`timeout 3 wget -q -O - http://${b.lease!.ip}/`)).status, 0);
      assertNotEquals((await b.run(`ping -c 1 -W 1 ${a.lease!.ip}`)).status, 0);
      for (const guest of [a, b]) {
        assertStringIncludes(await guest.sh(`timeout 10 wget -q -O - http://${outside}/`), "outside");
      }
    });
  });

  it("mode host has leases and neighbours, and no way out", async () => {
    await withGuests({ mode: "host" }, {}, async (a, b, network) => {
      assertEquals(a.lease!.router, []);
      assertStringIncludes(await a.sh(`ping -c 1 -W 2 ${network.ipv4Gateway}`), "1 packets received");
      assertStringIncludes(await a.sh(`ping -c 1 -W 2 ${b.lease!.ip}`), "1 packets received");
      await a.sh(`ip route replace default via ${network.ipv4Gateway}`);
      assertNotEquals((await a.run(`timeout 3 wget -q -O - http://${outside}/`)).status, 0);
      assertNotEquals((await a.run(`ping -c 1 -W 1 ${outside}`)).status, 0);
    });
  });
});
