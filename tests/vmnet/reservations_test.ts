// SPDX-License-Identifier: MIT

import { test } from "node:test";
import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { type DhcpReservation, Interface, Network, UnsupportedError, VmnetError } from "vmnet";
import { PlayedGuest } from "../../scripts/played_guest.ts";
import { embeddedOnly, vmnetOnly } from "../backend.ts";

const skip = await embeddedOnly("vmnet takes reservations only when a network is created");
const ipv4Subnet = "192.168.95.0/24";
const ann = "52:54:00:00:00:01", bob = "52:54:00:00:00:02";

/** What the guest of that MAC address gets from DHCP, which it asks anew. */
async function addressOf(network: Network, mac: string): Promise<string> {
  const nic = await Interface.start({ network });
  const guest = new PlayedGuest(mac, (frame) => void nic.write(frame));
  const loop = (async () => {
    for await (const packet of nic) guest.receive(packet);
  })();
  const { address } = await guest.dhcp();
  await nic.stop();
  await loop;
  return address;
}

function sorted(reservations: DhcpReservation[]): DhcpReservation[] {
  return reservations.sort((a, b) => a.mac < b.mac ? -1 : 1);
}

async function codeOf(call: () => Promise<unknown>): Promise<string> {
  return (await assertRejects(call, VmnetError)).code;
}

test("reservations come, move their guests, are listed and go while the network runs", { skip }, async () => {
  const given = { mac: bob, address: "192.168.95.50" };
  await using network = await Network.create({ mode: "host", ipv4Subnet, dhcpReservations: [given] });
  assertEquals(await network.dhcpReservations(), [given]);
  assertEquals(await addressOf(network, ann), "192.168.95.2");

  await network.addDhcpReservation({ mac: "52:54:0:0:0:1", address: "192.168.95.60" });
  assertEquals(sorted(await network.dhcpReservations()), [{ mac: ann, address: "192.168.95.60" }, given]);
  assertEquals(await addressOf(network, ann), "192.168.95.60");
  assertEquals(network.currentLeases().map((lease) => lease.address), ["192.168.95.60"]);

  await network.addDhcpReservation({ mac: ann, address: "192.168.95.61" });
  assertEquals(await addressOf(network, ann), "192.168.95.61");
  await network.removeDhcpReservation(bob);
  assertEquals(await network.dhcpReservations(), [{ mac: ann, address: "192.168.95.61" }]);
  assertEquals(await codeOf(() => network.removeDhcpReservation(bob)), "notFound");
});

test("an address that is another guest's is not reserved, and the error says whose it is", { skip }, async () => {
  await using network = await Network.create({ mode: "host", ipv4Subnet });
  const address = await addressOf(network, ann);
  const leased = await assertRejects(() => network.addDhcpReservation({ mac: bob, address }), VmnetError);
  assertEquals(leased.code, "inUse");
  assertMatch(leased.message, /^Cannot add DHCP reservation: "address": it is leased to 52:54:00:00:00:01/);

  await network.addDhcpReservation({ mac: ann, address });
  const reserved = await assertRejects(() => network.addDhcpReservation({ mac: bob, address }), VmnetError);
  assertMatch(reserved.message, /reserved for 52:54:00:00:00:01/);
  assertEquals(await addressOf(network, ann), address);
});

test("who joined a network reserves on it too, and the network keeps that", { skip }, async () => {
  await using network = await Network.create({ mode: "host", ipv4Subnet });
  await using share = await network.share();
  const reservation = { mac: ann, address: "192.168.95.70" };
  {
    await using joined = await Network.join(share.token);
    await joined.addDhcpReservation(reservation);
    assertEquals(await joined.dhcpReservations(), [reservation]);
    assertEquals(await addressOf(joined, ann), "192.168.95.70");
    assertEquals(await codeOf(() => joined.addDhcpReservation({ ...reservation, mac: bob })), "inUse");
  }
  assertEquals(await network.dhcpReservations(), [reservation]);
});

test("a reservation is checked before anything is done", async () => {
  await using network = await Network.create({ mode: "host", ipv4Subnet });
  const any = (value: unknown) => value as never;
  const wrong: [unknown, ErrorConstructor, string][] = [
    [undefined, TypeError, "add DHCP reservation"],
    [{}, TypeError, '"mac"'],
    [{ mac: ann }, TypeError, '"address"'],
    [{ mac: 5, address: "192.168.95.9" }, TypeError, '"mac"'],
    [{ mac: ann, address: "192.168.95.9", hostname: "web" }, TypeError, '"hostname"'],
    [{ mac: "53:54:00:00:00:01", address: "192.168.95.9" }, RangeError, '"mac"'],
    [{ mac: "52:54", address: "192.168.95.9" }, RangeError, '"mac"'],
    ...["192.168.96.9", "192.168.95.0", "192.168.95.1", "192.168.95.255", "fd00::1"].map((address) =>
      [{ mac: ann, address }, RangeError, '"address"'] as [unknown, ErrorConstructor, string]
    ),
  ];
  for (const [reservation, type, text] of wrong) {
    await assertRejects(() => network.addDhcpReservation(any(reservation)), type, text);
  }
  await assertRejects(() => network.removeDhcpReservation(any(undefined)), TypeError, '"mac"');
  await assertRejects(() => network.removeDhcpReservation("nobody"), RangeError, '"mac"');
  assertEquals(await network.dhcpReservations(), []);
});

test("a network without DHCP keeps no addresses", { skip }, async () => {
  await using network = await Network.create({ mode: "host", ipv4Subnet, dhcp: false });
  const reservation = { mac: ann, address: "192.168.95.70" };
  await assertRejects(() => network.addDhcpReservation(reservation), UnsupportedError, "DHCP");
  assertEquals(await codeOf(() => network.removeDhcpReservation(ann)), "unsupported");
  assertEquals(await network.dhcpReservations(), []);
});

test("vmnet takes reservations when a network is created, and says so later", {
  skip: await vmnetOnly("the embedded backend takes them at any time"),
}, async () => {
  const given = { mac: bob, address: "192.168.95.50" };
  await using network = await Network.create({ mode: "shared", ipv4Subnet, dhcpReservations: [given] });
  const calls = [
    () => network.addDhcpReservation({ mac: ann, address: "192.168.95.60" }),
    () => network.removeDhcpReservation(bob),
  ];
  for (const call of calls) await assertRejects(call, UnsupportedError, "when it is created");
  assertEquals(await network.dhcpReservations(), [given]);
  await using share = await network.share();
  await using joined = await Network.join(share.token);
  await assertRejects(() => joined.removeDhcpReservation(bob), UnsupportedError, "only then");
  assertEquals(await joined.dhcpReservations(), [given]);
});

test("every call about reservations after stop() fails with code stopped", async () => {
  const network = await Network.create({ mode: "host" });
  await network.stop();
  const calls = [
    () => network.addDhcpReservation({ mac: ann, address: "192.168.95.60" }),
    () => network.removeDhcpReservation(ann),
    () => network.dhcpReservations(),
  ];
  for (const call of calls) assertEquals(await codeOf(call), "stopped");
});
