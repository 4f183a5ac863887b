// SPDX-License-Identifier: MIT

import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import { Arp, arp, ArpOperation, encoded, PacketError } from "vmnet/packet";

const bytes = (hex: string) => Uint8Array.from(hex.replaceAll(" ", "").match(/../g) ?? [], (b) => parseInt(b, 16));

test("Arp reads a reply and leaves padding behind", () => {
  const packet = bytes("0001080006040002 525400000001 c0a83202 525400000002 c0a83201" + "00".repeat(18));
  const view = new Arp(packet);
  assertEquals([view.operation, view.length, view.payload.length], [ArpOperation.reply, 28, 0]);
  assertEquals([`${view.senderMac}`, `${view.senderIp}`], ["52:54:00:00:00:01", "192.168.50.2"]);
  assertEquals([`${view.targetMac}`, `${view.targetIp}`], ["52:54:00:00:00:02", "192.168.50.1"]);
});

test("Arp throws a PacketError for what is too short or of other addresses", () => {
  const packet = bytes("0001080006040001 525400000001 c0a83202 000000000000 c0a83201");
  for (let length = 0; length < packet.length; length++) {
    assertThrows(() => new Arp(packet.subarray(0, length)), PacketError, "Cannot read arp: it needs 28 bytes");
  }
  for (const at of [0, 1, 2, 3, 4, 5]) {
    const other = packet.slice();
    other[at]! ^= 0x20;
    assertThrows(() => new Arp(other), PacketError, "Cannot read arp: it is not of IPv4 over Ethernet");
  }
});

test("arp() writes what Arp reads", () => {
  const packet = bytes("0001080006040001 525400000001 c0a83202 000000000000 c0a83201");
  const asked = { senderMac: "52:54:00:00:00:01", senderIp: "192.168.50.2", targetIp: "192.168.50.1" };
  assertEquals(encoded(arp(asked)), packet);
  const { operation, senderMac, senderIp, targetMac, targetIp } = new Arp(packet);
  assertEquals(encoded(arp({ operation, senderMac, senderIp, targetMac, targetIp })), packet);
});

test("Arp knows probes and announcements", () => {
  const facts = (senderIp: string, targetIp: string, operation: number = ArpOperation.request) => {
    const view = new Arp(encoded(arp({ operation, senderMac: "52:54:00:00:00:01", senderIp, targetIp })));
    return [view.isProbe, view.isAnnouncement];
  };
  assertEquals(facts("10.0.0.1", "10.0.0.2"), [false, false]);
  assertEquals(facts("0.0.0.0", "10.0.0.2"), [true, false]);
  assertEquals(facts("10.0.0.2", "10.0.0.2"), [false, true]);
  assertEquals(facts("10.0.0.2", "10.0.0.2", ArpOperation.reply), [false, false]);
});

test("arp() names the option that is wrong", () => {
  const right = { senderMac: "52:54:00:00:00:01", senderIp: "10.0.0.1", targetIp: "10.0.0.2" };
  assertThrows(() => arp({ ...right, senderMac: "x" }), TypeError, "senderMac takes six octets");
  assertThrows(() => arp({ ...right, targetMac: new Uint8Array(4) }), TypeError, "targetMac takes six octets");
  assertThrows(() => arp({ ...right, senderIp: "10.0.0" }), TypeError, "senderIp takes four numbers");
  assertThrows(() => arp({ ...right, targetIp: "::1" }), TypeError, "targetIp takes four numbers");
  assertThrows(() => arp({ ...right, operation: 65536 }), RangeError, "Cannot encode arp: operation takes");
});
