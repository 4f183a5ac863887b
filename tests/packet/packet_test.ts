// SPDX-License-Identifier: MIT

import { test } from "node:test";
import { inspect } from "node:util";
import { assertEquals, assertStrictEquals, assertStringIncludes, assertThrows } from "@std/assert";
import {
  arp,
  describe,
  dhcp,
  dhcpv6,
  Dns,
  dns,
  encoded,
  ethernet,
  icmp,
  icmpv6,
  ipv4,
  ipv6,
  type Layer,
  Packet,
  PacketError,
  tcp,
  udp,
  vlan,
} from "vmnet/packet";

const below = ethernet({ destination: "52:54:00:00:00:01", source: "52:54:00:00:00:02" });
const four = ipv4({ source: "10.0.0.1", destination: "10.0.0.2" });
const six = ipv6({ source: "fd00::1", destination: "fd00::2" });
const ports = { sourcePort: 1024, destinationPort: 7 };
const text = new TextEncoder().encode("hello");

const names = ["arp", "ipv4", "ipv6", "icmp", "icmpv6", "tcp", "udp", "dhcp", "dhcpv6", "dns"] as const;

/** Names of the layers that a packet has, by the views' own words. */
const layersOf = (packet: Packet) => names.flatMap((name) => packet[name]?.layer ?? []);

const question = dns({ questions: [{ name: "example.org", type: "A" }] });

const cases: [string, (Layer | Uint8Array)[], string[]][] = [
  ["ARP", [arp({ senderMac: "52:54:00:00:00:02", senderIp: "10.0.0.1", targetIp: "10.0.0.2" })], ["arp"]],
  ["ICMP", [four, icmp({ type: 8 }), text], ["ipv4", "icmp"]],
  ["ICMPv6", [six, icmpv6({ type: 128 }), text], ["ipv6", "icmpv6"]],
  ["TCP over IPv4", [four, tcp(ports), text], ["ipv4", "tcp"]],
  ["TCP over IPv6", [six, tcp(ports), text], ["ipv6", "tcp"]],
  ["UDP over IPv4", [four, udp(ports), text], ["ipv4", "udp"]],
  ["UDP behind a tag", [vlan({ id: 3 }), six, udp(ports), text], ["ipv6", "udp"]],
  ["DHCPv4", [four, udp({ sourcePort: 68, destinationPort: 67 }), dhcp({ messageType: 1 })], ["ipv4", "udp", "dhcp"]],
  ["DHCPv6", [six, udp({ sourcePort: 546, destinationPort: 547 }), dhcpv6({ messageType: 1 })], [
    "ipv6",
    "udp",
    "dhcpv6",
  ]],
  ["DNS", [four, udp({ sourcePort: 1024, destinationPort: 53 }), question], ["ipv4", "udp", "dns"]],
  ["mDNS", [six, udp({ sourcePort: 5353, destinationPort: 5353 }), question], ["ipv6", "udp", "dns"]],
];

for (const [what, layers, expected] of cases) {
  const frame = encoded(below, ...layers);

  test(`Packet has the layers of ${what}`, () => {
    const packet = new Packet(frame);
    assertEquals(layersOf(packet), expected);
    assertStrictEquals(packet.ip, packet.ipv4 ?? packet.ipv6);
    assertEquals(packet.ethernet.layer, "ethernet");
  });

  test(`Packet throws nothing but a PacketError when ${what} is cut`, () => {
    for (let length = 0; length < frame.length; length++) {
      const packet = new Packet(frame.slice(0, length));
      for (const name of [...names, "ethernet", "ip", "payload"] as const) {
        try {
          packet[name];
        } catch (error) {
          if (!(error instanceof PacketError)) throw error;
        }
      }
    }
  });
}

test("Packet makes each view once, and copies nothing", () => {
  const frame = encoded(below, four, udp({ sourcePort: 1024, destinationPort: 53 }), question);
  const packet = new Packet(frame);
  for (const name of ["ethernet", "ipv4", "ip", "udp", "dns"] as const) {
    assertStrictEquals(packet[name], packet[name]);
    assertStrictEquals(packet[name]!.frame, frame);
  }
});

test("Packet.payload is what TCP, UDP or ICMP carries", () => {
  for (const inner of [tcp(ports), udp(ports), icmp({ type: 8 })]) {
    assertEquals(new Packet(encoded(below, four, inner, text)).payload, text);
  }
  const unknown = ipv4({ source: "10.0.0.1", destination: "10.0.0.2", protocol: 253 });
  assertEquals(new Packet(encoded(below, unknown, text)).payload, text);
  const experimental = ethernet({ destination: "52:54:00:00:00:01", source: "52:54:00:00:00:02", type: 0x88b5 });
  assertEquals(new Packet(encoded(experimental, text)).payload, text);
});

test("Packet leaves Ethernet's padding out of what IP carries", () => {
  assertEquals(new Packet(Uint8Array.of(...encoded(below, four, udp(ports), text), 0, 0, 0)).payload, text);
});

test("Packet has nothing above IP in a fragment that is not the first", () => {
  const fragment = (fragmentOffset: number) => {
    const ip = ipv4({ source: "10.0.0.1", destination: "10.0.0.2", protocol: 17, moreFragments: true, fragmentOffset });
    return layersOf(new Packet(encoded(below, ip, udp(ports), text)));
  };
  assertEquals([fragment(0), fragment(8)], [["ipv4", "udp"], ["ipv4"]]);
  const fragment6 = (fragmentOffset: number) => {
    const header = { name: "fragment", fragmentOffset, moreFragments: true, identification: 1 } as const;
    const ip = ipv6({ source: "fd00::1", destination: "fd00::2", protocol: 17, extensions: [header] });
    return layersOf(new Packet(encoded(below, ip, udp(ports), text)));
  };
  assertEquals([fragment6(0), fragment6(8)], [["ipv6", "udp"], ["ipv6"]]);
});

test("Packet takes each version's ICMP from that version only", () => {
  const swapped = [
    ipv4({ source: "10.0.0.1", destination: "10.0.0.2", protocol: 58 }),
    ipv6({ source: "fd00::1", destination: "fd00::2", protocol: 1 }),
  ];
  for (const ip of swapped) assertEquals(layersOf(new Packet(encoded(below, ip, new Uint8Array(8)))).length, 1);
});

test("Packet throws a PacketError when a layer around the one in question is broken", () => {
  const frame = encoded(below, four, udp({ sourcePort: 1024, destinationPort: 53 }), question);
  frame[14] = 0x65;
  const packet = new Packet(frame);
  for (const name of ["ipv4", "udp", "dns", "payload"] as const) {
    assertThrows(() => packet[name], PacketError, "Cannot read ipv4");
  }
  assertEquals(packet.arp, undefined);
});

test("Packet throws one and the same PacketError for every layer when the frame is too short for Ethernet", () => {
  const packet = new Packet(new Uint8Array(13));
  const error = assertThrows(() => packet.ethernet, PacketError, "Cannot read ethernet");
  for (const name of ["arp", "ip", "icmp", "tcp", "dns", "payload"] as const) {
    assertStrictEquals(assertThrows(() => packet[name], PacketError), error);
  }
});

test("Packet is the line of describe() in templates and on consoles", () => {
  const packet = new Packet(encoded(below, four, udp(ports), text));
  assertEquals([`${packet}`, inspect(packet)], [describe(packet.frame), describe(packet.frame)]);
});

test("consoles show views by their fields, with what is wrong where one cannot be read", () => {
  const frame = encoded(
    ethernet({ destination: "ff:ff:ff:ff:ff:ff", source: "52:54:00:00:00:01" }),
    arp({ senderMac: "52:54:00:00:00:01", senderIp: "10.0.0.2", targetIp: "10.0.0.1" }),
  );
  const shown = inspect({ within: new Packet(frame).arp });
  for (const part of ["Arp {", "operation: 1", "senderMac: 52:54:00:00:00:01", "targetIp: 10.0.0.1"]) {
    assertStringIncludes(shown, part);
  }
  assertStringIncludes(inspect(new Dns(Uint8Array.of(0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0))), "(Cannot read dns: ");
});
