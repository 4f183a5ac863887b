// Real guests on the data plane: one behind a bridge, one on a switch with bound addresses, a rule and an intercept.

import { describe, it } from "node:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { assert, assertEquals, assertGreater, assertNotEquals, assertStringIncludes } from "@std/assert";
import { bridge, Interface, Network, type PortEvent, Switch } from "vmnet";
import { bootGuest, whyNoGuest } from "./harness.ts";

const mac = "52:54:00:00:00:0a";
const outside = process.env.VMNET_TEST_OUTSIDE ?? "";
const outsideName = process.env.VMNET_TEST_OUTSIDE_NAME ?? "";
const outsidePage = process.env.VMNET_TEST_OUTSIDE_PAGE ?? "";

/** A folder for a socket, removed at the end. */
class Folder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "vmnet-test-"));

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true });
  }
}

/** Writes a byte of an ICMP message and corrects its checksum: RFC 1624. The IPv4 header has no options. */
function rewrite(frame: Uint8Array, at: number, value: number): void {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const word = at - at % 2;
  const before = view.getUint16(word);
  view.setUint8(at, value);
  let sum = (~view.getUint16(36) & 0xffff) + (~before & 0xffff) + view.getUint16(word);
  sum = (sum & 0xffff) + (sum >> 16);
  view.setUint16(36, ~((sum & 0xffff) + (sum >> 16)) & 0xffff);
}

describe("guests on the data plane", { skip: whyNoGuest() || (outside ? false : "runs inside netns.sh") }, () => {
  it("one behind a bridge has a lease, names and a way out, and its frames are tapped", async () => {
    using folder = new Folder();
    const path = join(folder.path, "guest.sock");
    await using nic = await Interface.start({ mode: "shared" });
    await using joined = await bridge(nic, { kind: "stream", listen: true, path });
    await using tap = await joined.tap({ filter: "udp port 67", snapLength: 60 });
    await using guest = await bootGuest({ netdev: { kind: "stream", path }, mac });
    assert(guest.lease!.ip !== "");
    assertEquals(await guest.sh(`timeout 10 wget -q -O - http://${outside}/`), outsidePage);
    assertStringIncludes(await guest.sh(`nslookup ${outsideName} ${guest.lease!.dns[0]}`), outside);
    assertGreater(tap.stats().matched, 1);
    const seen: string[] = [];
    for await (const packet of tap) {
      seen.push([...packet.subarray(6, 12)].map((byte) => byte.toString(16).padStart(2, "0")).join(":"));
      if (seen.includes(mac)) break;
    }
    const { ports, dropped } = joined.stats();
    assertEquals(ports.map(({ kind }) => kind).sort(), ["stream", "uplink"]);
    assertEquals([dropped.bad, dropped.full, dropped.offload], [0, 0, 0]);
    assertEquals(await guest.powerOff(), 0);
  });

  it("one on a switch cannot spoof, has no names, and its pings are what the script makes of them", async () => {
    using folder = new Folder();
    const path = join(folder.path, "guest.sock");
    await using network = await Network.create({ mode: "shared", ipv4Subnet: "192.168.61.0/24" });
    await using sw = await Switch.create({ uplink: network });
    const spoofed: PortEvent[] = [];
    const following = (async () => {
      for await (const event of sw.events()) if (event.type === "spoofed") spoofed.push(event);
    })();
    await using _door = await sw.listen({ kind: "stream", path, antiSpoof: true, label: "guest" });
    await using rule = await sw.drop("port 53");
    // A byte of each echo request's payload is another one; the gateway's answer shows it
    await using guard = await sw.intercept({ filter: "icmp[icmptype] == icmp-echo" }, (frame) => {
      rewrite(frame, 42 + 20, 0x5a);
      return frame;
    });
    await using answers = await sw.tap({ filter: "icmp[icmptype] == icmp-echoreply" });
    await using guest = await bootGuest({ netdev: { kind: "stream", path }, mac });
    const { ip, router, dns } = guest.lease!;
    assertStringIncludes(await guest.sh(`ping -c 3 -i 0.2 -W 2 ${router[0]}`), "3 packets received");
    assertEquals(guard.stats().replaced, 3);
    let count = 0;
    for await (const packet of answers) {
      assertEquals(packet[62], 0x5a);
      if (++count === 3) break;
    }
    assertNotEquals((await guest.run(`timeout 2 nslookup ${outsideName} ${dns[0]}`)).status, 0);
    assertGreater(rule.stats().matched, 0);
    assertEquals(await guest.sh(`timeout 10 wget -q -O - http://${outside}/`), outsidePage);

    // Another machine's address, by IPv4 and by ARP; then another machine's card
    await guest.sh("ip addr add 192.168.61.200/24 dev eth0");
    assertNotEquals((await guest.run(`ping -c 1 -W 1 -I 192.168.61.200 ${router[0]}`)).status, 0);
    const refused = () => sw.stats().ports.find(({ label }) => label === "guest")!.dropped.spoofed;
    const before = refused();
    await guest.run("arping -c 2 -w 2 -U -I eth0 192.168.61.200"); // it awaits no answer
    assertGreater(refused(), before);
    await guest.sh("ip addr del 192.168.61.200/24 dev eth0");
    assertStringIncludes(await guest.sh(`ping -c 1 -W 2 ${router[0]}`), "1 packets received");
    await guest.sh("ip link set eth0 down; ip link set eth0 address 52:54:00:00:00:0b; ip link set eth0 up");
    await guest.sh(`ip route replace default via ${router[0]} 2>/dev/null || true`);
    assertNotEquals((await guest.run(`ping -c 1 -W 1 ${router[0]}`)).status, 0);
    assertGreater(refused(), before + 2);
    assertEquals(network.currentLeases().map(({ address }) => address), [ip]);
    assertEquals(await guest.powerOff(), 0);
    await sw.stop();
    await following;
    assertGreater(spoofed.length, 0);
    assert(spoofed.every(({ label }) => label === "guest"));
  });
});
