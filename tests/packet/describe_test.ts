// SPDX-License-Identifier: MIT

import process from "node:process";
import { test } from "node:test";
import { assertEquals, assertMatch } from "@std/assert";
import { describe } from "../../packet/describe.ts";

const bytes = (...hex: string[]) =>
  Uint8Array.from(hex.join("").replace(/\s/g, "").match(/../g)!, (b) => parseInt(b, 16));

const ethernet = "ffffffffffff 525400000001";
const ipv4 = (protocol: string, payload: string, from = "c0a83202", to = "c0a83201") => {
  const total = (20 + payload.replace(/\s/g, "").length / 2).toString(16).padStart(4, "0");
  return `${ethernet} 0800 4500${total} 00004000 40${protocol}0000 ${from} ${to} ${payload}`;
};
const ipv6 = (next: string, payload: string) => {
  const length = (payload.replace(/\s/g, "").length / 2).toString(16).padStart(4, "0");
  return `${ethernet} 86dd 60000000 ${length} ${next}ff fe800000000000005054 00fffe000001 ` +
    `ff020000000000000000000000000001 ${payload}`;
};
const udp = (from: string, to: string, payload: string) =>
  `${from}${to}${(8 + payload.replace(/\s/g, "").length / 2).toString(16).padStart(4, "0")}0000 ${payload}`;

const cases: [what: string, frame: string, line: string][] = [
  [
    "an ARP request",
    `${ethernet} 0806 0001080006040001 525400000001 c0a83202 000000000000 c0a83201`,
    "ARP who has 192.168.50.1? tell 192.168.50.2",
  ],
  [
    "an ARP reply",
    `${ethernet} 0806 0001080006040002 525400000001 c0a83202 ffffffffffff c0a83201`,
    "ARP 192.168.50.2 is at 52:54:00:00:00:01",
  ],
  [
    "a TCP segment",
    ipv4("06", "9c400050 00000001 00000002 5018ffff00000000 6869"),
    "IPv4 TCP 192.168.50.2:40000 > 192.168.50.1:80 [PSH,ACK] seq 1 ack 2 win 65535, 2 bytes",
  ],
  [
    "a TCP SYN",
    ipv4("06", "9c400050 00000001 00000000 50020400 00000000"),
    "IPv4 TCP 192.168.50.2:40000 > 192.168.50.1:80 [SYN] seq 1 win 1024, 0 bytes",
  ],
  [
    "a UDP datagram",
    ipv4("11", udp("1000", "2000", "010203")),
    "IPv4 UDP 192.168.50.2:4096 > 192.168.50.1:8192, 3 bytes",
  ],
  [
    "a ping",
    ipv4("01", "0800 0000 0007 0001 616263"),
    "IPv4 192.168.50.2 > 192.168.50.1 ICMP echo request id 7 seq 1, 3 bytes",
  ],
  ["an unreachable port", ipv4("01", "0303 0000 00000000"), "IPv4 192.168.50.2 > 192.168.50.1 ICMP unreachable: port"],
  ["another protocol", ipv4("2f", "00"), "IPv4 192.168.50.2 > 192.168.50.1 protocol 47, 1 bytes"],
  [
    "a DNS question",
    ipv4("11", udp("9c40", "0035", "0001 0100 0001 0000 0000 0000 07 6578616d706c65 03 6f7267 00 0001 0001")),
    "IPv4 UDP 192.168.50.2:40000 > 192.168.50.1:53 DNS question A example.org",
  ],
  [
    "a DNS answer with a pointer",
    ipv4(
      "11",
      udp("0035", "9c40", "0001 8180 0001 0001 0000 0000 03 6f7267 00 0001 0001 c00c 0001 0001 0000003c 0004 01020304"),
    ),
    "IPv4 UDP 192.168.50.2:53 > 192.168.50.1:40000 DNS answer A org: 1.2.3.4",
  ],
  [
    "a DNS refusal",
    ipv4("11", udp("0035", "9c40", "0001 8183 0001 0000 0000 0000 03 6f7267 00 001c 0001")),
    "IPv4 UDP 192.168.50.2:53 > 192.168.50.1:40000 DNS answer AAAA org: no such name",
  ],
  [
    "a neighbour solicitation",
    ipv6("3a", "87000000 00000000 fd000000000000000000000000000002"),
    "IPv6 fe80::5054:ff:fe00:1 > ff02::1 ICMPv6 neighbour solicitation, who has fd00::2?",
  ],
  [
    "a router advertisement",
    ipv6("3a", "86000000 40000708 00000000 00000000"),
    "IPv6 fe80::5054:ff:fe00:1 > ff02::1 ICMPv6 router advertisement, lifetime 1800 s",
  ],
  [
    "a multicast report behind a hop-by-hop header",
    ipv6("00", "3a00050200000100 8f000000 00000000"),
    "IPv6 fe80::5054:ff:fe00:1 > ff02::1 ICMPv6 multicast listener",
  ],
  [
    "TCP over IPv6",
    ipv6("06", "9c400050 00000001 00000000 50020400 00000000"),
    "IPv6 TCP [fe80::5054:ff:fe00:1]:40000 > [ff02::1]:80 [SYN] seq 1 win 1024, 0 bytes",
  ],
  [
    "a tagged frame",
    `ffffffffffff 525400000001 8100 0007 88b5 00`,
    "VLAN 7 52:54:00:00:00:01 > ff:ff:ff:ff:ff:ff type 0x88b5, 5 bytes",
  ],
  ["a frame of 802.3", `${ethernet} 0026 4242`, "52:54:00:00:00:01 > ff:ff:ff:ff:ff:ff 802.3, 2 bytes"],
];

for (const [what, frame, line] of cases) {
  test(`describe() describes ${what}`, () => assertEquals(describe(bytes(frame)), line));
}

const dhcp = (() => {
  const message = new Uint8Array(240 + 20);
  message.set([1, 1, 6, 0]);
  message.set([0x52, 0x54, 0, 0, 0, 1], 28);
  message.set([0x63, 0x82, 0x53, 0x63, 53, 1, 3, 50, 4, 192, 168, 50, 2, 12, 2, 118, 109, 255], 236);
  return [...message].map((byte) => byte.toString(16).padStart(2, "0")).join("");
})();

test("describe() describes a DHCP message", () => {
  assertEquals(
    describe(bytes(ipv4("11", udp("0044", "0043", dhcp)))),
    "IPv4 UDP 192.168.50.2:68 > 192.168.50.1:67 DHCP request 52:54:00:00:00:01 asks for 192.168.50.2, as vm",
  );
});

test("describe() answers a printable line wherever a frame is cut", () => {
  for (const [, hex] of [...cases, ["", ipv4("11", udp("0044", "0043", dhcp))] as const]) {
    const frame = bytes(hex!);
    for (let length = 0; length <= frame.length; length++) {
      assertMatch(describe(frame.subarray(0, length)), /^[\x20-\x7e]+$/);
    }
  }
});

test("describe() answers a printable line whatever the bytes are", () => {
  const seed = Number(process.env["VMNET_TEST_SEED"] ?? Date.now()) >>> 0;
  let state = seed || 1;
  const random = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
  const seeds = [...cases.map(([, hex]) => bytes(hex)), bytes(ipv4("11", udp("0044", "0043", dhcp)))];
  for (let i = 0; i < 20000; i++) {
    const frame = seeds[random() % seeds.length]!.slice();
    for (let k = random() % 8; k >= 0; k--) frame[random() % frame.length] = random();
    assertMatch(describe(frame), /^[\x20-\x7e]+$/, `seed ${seed}`);
  }
});
