// SPDX-License-Identifier: MIT

import { request } from "node:http";
import { createServer } from "node:net";
import { test } from "node:test";
import {
  assert,
  assertArrayIncludes,
  assertEquals,
  assertGreater,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { Interface, type LeaseEvent, Network, probe, sharedInterfaces, Status, VmnetError } from "vmnet";
import { PlayedGuest } from "../../scripts/played_guest.ts";
import { isVmnet } from "../backend.ts";
import { delay, numbered, numberOf, numbersOf } from "./frames.ts";

/** A played guest on an interface of its own, without a network on vmnet's own of mode shared. */
async function plugIn(
  network: Network | undefined,
  mac: string,
): Promise<{ guest: PlayedGuest; nic: Interface } & AsyncDisposable> {
  const nic = await Interface.start(network === undefined ? { mode: "shared" } : { network });
  const guest = new PlayedGuest(mac, (frame) => void nic.write(frame));
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

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

/** Fetches a page, with a connection of its own. */
function get(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request({ host: "127.0.0.1", port, agent: false, timeout: 3000 }, (response) => {
      let text = "";
      response.on("data", (chunk) => text += chunk).on("end", () => resolve(text)).on("error", reject);
    });
    call.on("error", reject).on("timeout", () => call.destroy(new Error("timeout"))).end();
  });
}

const subnet = "192.168.91.0/24";

test("Network.create() gives a free subnet when none is asked for", async () => {
  await using network = await Network.create({ mode: "host" });
  assertEquals(network.mode, "host");
  assertMatch(network.ipv4Subnet, /^192\.168\.\d+\.0\/24$/);
  assertEquals(network.ipv4Gateway, network.ipv4Subnet.replace("0/24", "1"));
  assertMatch(network.ipv6Prefix, /^fd[0-9a-f:]+::\/64$/);
  assertEquals([network.mtu, network.leaseSeconds], [1500, 86400]);
  await using other = await Network.create({ mode: "host" });
  assertNotEquals(other.ipv4Subnet, network.ipv4Subnet);
});

/** What vmnet decides by itself. */
const range = await isVmnet() ? {} : { dhcpStart: "192.168.91.10", dhcpEnd: "192.168.91.120", leaseSeconds: 600 };

test("Network.create() takes every option", async () => {
  await using network = await Network.create({
    mode: "shared",
    ipv4Subnet: "192.168.91.7/24",
    ipv6Prefix: "FD00:1:2:3::/64",
    mtu: 1400,
    ...range,
    dhcpReservations: [{ mac: "52:54:00:00:00:09", address: "192.168.91.99" }],
    dnsProxy: false,
    nat44: true,
    nat66: false,
    routerAdvertisement: false,
  });
  const { mode, ipv4Subnet, ipv4Gateway, ipv6Prefix, mtu, dhcpStart, dhcpEnd, leaseSeconds } = network;
  assertEquals([mode, ipv4Subnet, ipv4Gateway, ipv6Prefix], ["shared", subnet, "192.168.91.1", "fd00:1:2:3::/64"]);
  const expected = { dhcpStart: "192.168.91.2", dhcpEnd: "192.168.91.254", leaseSeconds: 86400, ...range };
  assertEquals({ mtu, dhcpStart, dhcpEnd, leaseSeconds }, { mtu: 1400, ...expected });
  await using nic = await Interface.start({ network });
  assertEquals([nic.mtu, nic.maxPacketSize], [1400, 1414]);
});

test("Network.create() rejects when a subnet overlaps another", async () => {
  await using _network = await Network.create({ mode: "host", ipv4Subnet: subnet });
  for (const ipv4Subnet of [subnet, "192.168.91.128/25", "192.168.0.0/16"]) {
    const error = await assertRejects(() => Network.create({ mode: "host", ipv4Subnet }), VmnetError);
    assertEquals([error.code, error.operation], ["inUse", "create network"]);
  }
  await using _apart = await Network.create({ mode: "host", ipv4Subnet: "192.168.92.0/24" });
});

test("a subnet is free again when its network was stopped", async () => {
  for (let i = 0; i < 3; i++) {
    await using network = await Network.create({ mode: "host", ipv4Subnet: subnet });
    assertEquals(network.ipv4Subnet, subnet);
  }
});

test("interfaces of one mode and subnet meet on one network, others do not", async () => {
  const range = { startAddress: "192.168.93.1", endAddress: "192.168.93.254", subnetMask: "255.255.255.0" };
  await using a = await Interface.start({ mode: "host", ...range });
  await using b = await Interface.start({ mode: "host", ...range });
  await using c = await Interface.start({ mode: "host", networkIdentifier: "2f0c0c8e-5d4e-4c3b-8f43-6d1f3c1a7b10" });
  await a.write(numbered(1));
  assertEquals(await numbersOf(b, 1), [1]);
  for await (const batch of c.batches({ signal: AbortSignal.timeout(50) })) {
    for (const packet of batch) assertNotEquals(packet[13], 0xb5);
  }
});

test("interfaces of one network identifier meet, and others of their mode do not hear them", async () => {
  const networkIdentifier = "2f0c0c8e-5d4e-4c3b-8f43-6d1f3c1a7b11";
  await using a = await Interface.start({ mode: "host", networkIdentifier });
  await using b = await Interface.start({ mode: "host", networkIdentifier });
  await using c = await Interface.start({ mode: "host" });
  await using d = await Interface.start({ mode: "host", networkIdentifier: networkIdentifier.replace(/1$/, "2") });
  await a.write(numbered(1));
  assertEquals(await numbersOf(b, 1), [1]);
  for (const stranger of [c, d]) {
    for await (const batch of stranger.batches({ signal: AbortSignal.timeout(50) })) {
      for (const packet of batch) assertEquals(numberOf(packet), undefined);
    }
  }
});

test("DHCP gives addresses, reservations and the MTU, and leases() tells", async () => {
  await using network = await Network.create({
    mode: "host",
    ipv4Subnet: subnet,
    mtu: 1300,
    ...range,
    dhcpReservations: [{ mac: "52:54:00:00:00:09", address: "192.168.91.99" }],
  });
  await using a = await plugIn(network, "52:54:00:00:00:01");
  await using b = await plugIn(network, "52:54:00:00:00:09");
  const lease = await a.guest.dhcp("alpha");
  const { dhcpStart = "192.168.91.2", leaseSeconds = 86400 } = range;
  assertEquals([lease.address, lease.mtu, lease.leaseSeconds], [dhcpStart, 1300, leaseSeconds]);
  const events: LeaseEvent[] = [];
  const following = (async () => {
    for await (const event of network.leases()) if (events.push(event) === 2) break;
    // On a Mac they are read from a file, newest first
    events.sort((one, two) => one.macAddress.localeCompare(two.macAddress));
  })();
  assertEquals((await b.guest.dhcp("beta")).address, "192.168.91.99");
  await following;
  assertEquals(events.map(({ change, macAddress, address, hostname }) => [change, macAddress, address, hostname]), [
    ["added", "52:54:00:00:00:01", dhcpStart, "alpha"],
    ["added", "52:54:00:00:00:09", "192.168.91.99", "beta"],
  ]);
  const left = events[0]!.expiresSeconds - Date.now() / 1000;
  assert(left > leaseSeconds - 50 && left < leaseSeconds + 10, `${left} s`);
  const current = network.currentLeases().map(({ address }) => address);
  assertEquals(current.sort(), [dhcpStart, "192.168.91.99"]);
  assert(await a.guest.ping("192.168.91.1"));
  assert(await a.guest.ping("192.168.91.99"));
});

test("leases() ends quietly by break, abort and stop", async () => {
  const network = await Network.create({ mode: "host" });
  for await (const _ of network.leases({ signal: AbortSignal.timeout(10) })) throw new Error("nobody asked");
  const both = [network.leases(), network.leases()];
  const waiting = both.map((leases) => leases.next());
  assertEquals(await both[0]!.return!(), { value: undefined, done: true });
  await delay(5);
  await network.stop();
  for (const result of await Promise.all(waiting)) assertEquals(result.done, true);
  await assertRejects(() => network.leases().next(), VmnetError, "stopped");
});

test("a reservation outside of the subnet is refused", async () => {
  const dhcpReservations = [{ mac: "52:54:00:00:00:01", address: "192.168.90.5" }];
  await assertRejects(() => Network.create({ ipv4Subnet: subnet, dhcpReservations }), RangeError, "[0].address");
});

test("port forwarding rules are added and removed while the network runs", async () => {
  // vmnet takes a network's rules only when it is created, and those of an interface of its own at any time
  await using made = await isVmnet() ? undefined : await Network.create({ mode: "shared" });
  await using plug = await plugIn(made, "52:54:00:00:00:01");
  const network = made ?? plug.nic;
  const { address } = await plug.guest.dhcp();
  plug.guest.serve(80, "from inside");
  const rule = { protocol: "tcp", externalPort: await freePort(), internalAddress: address, internalPort: 80 } as const;
  await network.addPortForwardingRule(rule);
  assertEquals(await network.portForwardingRules(), [rule]);
  assertEquals(await get(rule.externalPort), "from inside");
  const taken = await assertRejects(() => network.addPortForwardingRule(rule), VmnetError);
  assertEquals(taken.code, "inUse");
  await network.removePortForwardingRule(rule);
  assertEquals(await network.portForwardingRules(), []);
  await assertRejects(() => get(rule.externalPort));
  const missing = await assertRejects(() => network.removePortForwardingRule(rule), VmnetError);
  assertEquals([missing.code, missing.status], ["notFound", Status.notFound]);
});

test("port forwarding rules can be given when a network is created, and on an interface", async () => {
  const [one, two] = [await freePort(), await freePort()];
  const rules = [
    { protocol: "tcp", externalPort: one, internalAddress: "192.168.91.7", internalPort: 80 },
    { protocol: "udp", externalPort: one, internalAddress: "192.168.91.7", internalPort: 53 },
  ] as const;
  await using network = await Network.create({ ipv4Subnet: subnet, portForwardingRules: rules });
  assertArrayIncludes(await network.portForwardingRules(), rules);
  await using nic = await Interface.start({ mode: "shared" });
  const rule = {
    protocol: "tcp",
    externalPort: two,
    internalAddress: nic.parameters.endAddress!,
    internalPort: 80,
  } as const;
  await nic.addPortForwardingRule(rule);
  assertEquals(await nic.portForwardingRules(), [rule]);
  await nic.removePortForwardingRule({ protocol: "tcp", externalPort: two });
  assertEquals(await nic.portForwardingRules(), []);
});

test("a forwarding rule is checked before anything is done", async () => {
  await using network = await Network.create({ mode: "host" });
  const rule = { protocol: "tcp", externalPort: 80, internalAddress: "192.168.91.7", internalPort: 80 } as const;
  for (const externalPort of [0, 65536, 1.5]) {
    await assertRejects(() => network.addPortForwardingRule({ ...rule, externalPort }), RangeError, '"externalPort"');
  }
  await assertRejects(() => network.addPortForwardingRule({} as never), TypeError, "missing");
  const key = { protocol: "tcp", externalPort: 80, family: "ipx" };
  await assertRejects(() => network.removePortForwardingRule(key as never), RangeError, '"family"');
});

test("every call after stop() fails with code stopped", async () => {
  const network = await Network.create({ mode: "host" });
  const first = network.stop();
  assertEquals(network.stop(), first);
  await first;
  const rule = { protocol: "tcp", externalPort: 80, internalAddress: "192.168.91.7", internalPort: 80 } as const;
  const calls: (() => unknown)[] = [
    () => network.share(),
    () => network.currentLeases(),
    () => network.leases().next(),
    () => network.stats(),
    () => network.addPortForwardingRule(rule),
    () => network.removePortForwardingRule(rule),
    () => network.portForwardingRules(),
    () => Interface.start({ network }),
  ];
  for (const call of calls) {
    assertEquals((await assertRejects(async () => await call(), VmnetError)).code, "stopped");
  }
});

test("Network.join() attaches to a shared network", async () => {
  await using network = await Network.create({ mode: "host", ipv4Subnet: subnet });
  await using share = await network.share();
  await using joined = await Network.join(share.token);
  assertEquals([joined.ipv4Subnet, joined.ipv4Gateway], [network.ipv4Subnet, network.ipv4Gateway]);
  await using a = await Interface.start({ network });
  await using b = await Interface.start({ network: joined });
  await a.write(numbered(1));
  assertEquals(await numbersOf(b, 1), [1]);
  await b.write(numbered(2));
  assertEquals(await numbersOf(a, 1), [2]);
});

test("Network.join() rejects when the token is malformed, forged or stale", async () => {
  await using network = await Network.create({ mode: "host" });
  const share = await network.share();
  const { token } = share;
  const forged = token.slice(0, -4) + (token.endsWith("aaaa") ? "bbbb" : "aaaa");
  for (const wrong of ["", "x", "x".repeat(5000), "a\0b", `${token}0`, forged, token.slice(1)]) {
    const error = await assertRejects(() => Network.join(wrong), VmnetError);
    assertEquals(error.code, "badToken", wrong);
  }
  await assertRejects(() => Network.join(5 as never), TypeError, '"token"');
  await share.stop();
  await share.stop();
  const stale = await assertRejects(() => Network.join(token), VmnetError);
  assertEquals(stale.code, "badToken");
});

test("members of a network learn when it ends", async () => {
  const network = await Network.create({ mode: "host" });
  await using share = await network.share();
  await using joined = await Network.join(share.token);
  await using nic = await Interface.start({ network: joined });
  const loop = assertRejects(() => numbersOf(nic, 1), VmnetError);
  await delay(10);
  await network.stop();
  assertEquals((await loop).code, "networkGone");
  await delay(10);
  assertEquals(assertThrows(() => joined.currentLeases(), VmnetError).code, "networkGone");
});

test("stats() counts what the network does", async () => {
  await using network = await Network.create({ mode: "host", dhcp: false });
  await using a = await Interface.start({ network });
  await using b = await Interface.start({ network });
  await a.write(numbered(1));
  await numbersOf(b, 1);
  // vmnet's own switch tells nothing
  assertGreater(network.stats()[await isVmnet() ? "interfaces" : "frames"] ?? 0, 0);
});

test("probe() tells what works here", async () => {
  const found = await probe();
  assert(found.shim.works);
  assert(found.host.works);
  assertMatch(found.platform, /^(linux|darwin)-(x64|arm64)$/);
  for (const { works, reason, remedy } of [found.shared, found.bridged, found.dhcp, found.networks]) {
    if (!works) assert(reason && remedy);
  }
  assertEquals(found.macos === undefined, found.backend !== "vmnet");
  assert((await sharedInterfaces()).every((name) => typeof name === "string"));
});
