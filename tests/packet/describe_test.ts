// SPDX-License-Identifier: MIT

import process from "node:process";
import { test } from "node:test";
import { assertEquals, assertLess, assertMatch } from "@std/assert";
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
    "VLAN 7 52:54:00:00:00:01 > ff:ff:ff:ff:ff:ff type 0x88b5, 1 bytes",
  ],
  ["a frame of 802.3", `${ethernet} 0026 4242`, "52:54:00:00:00:01 > ff:ff:ff:ff:ff:ff 802.3, 2 bytes"],
  [
    "an ARP probe",
    `${ethernet} 0806 0001080006040001 525400000001 00000000 000000000000 c0a83201`,
    "ARP who has 192.168.50.1? (probe)",
  ],
  [
    "an ARP announcement",
    `${ethernet} 0806 0001080006040001 525400000001 c0a83202 000000000000 c0a83202`,
    "ARP 192.168.50.2 is at 52:54:00:00:00:01 (announcement)",
  ],
  ["ARP of other addresses", `${ethernet} 0806 0006080006040001 ${"00".repeat(20)}`, "ARP of another kind"],
  [
    "a TCP segment with all flags",
    ipv4("06", "9c400050 00000001 00000002 51ff0001 00000000"),
    "IPv4 TCP 192.168.50.2:40000 > 192.168.50.1:80 [FIN,SYN,RST,PSH,ACK,URG,ECE,CWR,AE] seq 1 ack 2 win 1, 0 bytes",
  ],
  [
    "a TCP segment with the largest numbers",
    ipv4("06", "ffffffff ffffffff ffffffff 5010ffff 00000000", "ffffffff", "ffffffff"),
    "IPv4 TCP 255.255.255.255:65535 > 255.255.255.255:65535 [ACK] seq 4294967295 ack 4294967295 win 65535, 0 bytes",
  ],
  [
    "a TCP segment with a wrong header",
    ipv4("06", "9c400050 00000001 00000002 f0100001 00000000"),
    "IPv4 TCP 192.168.50.2:40000 > 192.168.50.1:80 [ACK] with a header of 60 bytes",
  ],
  [
    "a TCP segment that a card is to cut up",
    `${ethernet} 0800 45000000 00004000 40060000 c0a83202 c0a83201 9c400050 00000001 00000002 50100001 00000000 616263`,
    "IPv4 TCP 192.168.50.2:40000 > 192.168.50.1:80 [ACK] seq 1 ack 2 win 1, 3 bytes",
  ],
  [
    "a datagram in a padded frame",
    `${ipv4("11", udp("1000", "2000", "01"))} ${"00".repeat(17)}`,
    "IPv4 UDP 192.168.50.2:4096 > 192.168.50.1:8192, 1 bytes",
  ],
  [
    "a fragment",
    `${ethernet} 0800 4500001c 000020b9 40110000 c0a83202 c0a83201 0000000000000000`,
    "IPv4 192.168.50.2 > 192.168.50.1 fragment at 1480",
  ],
  [
    "a fragment of IPv6",
    ipv6("2c", "110005c800000007 0000"),
    "IPv6 fe80::5054:ff:fe00:1 > ff02::1 fragment at 1480",
  ],
  [
    "a packet behind three extension headers",
    ipv6("3c", "2b00000000000000 3300000000000000 1103000000000000 0000000000000000 00000000 1000200000080000"),
    "IPv6 UDP [fe80::5054:ff:fe00:1]:4096 > [ff02::1]:8192, 0 bytes",
  ],
  [
    "IPv4 that is not",
    ipv4("06", "").replace("4500", "6500"),
    "IPv4 with version 6 and a header of 20 bytes",
  ],
  ["IPv6 that is not", ipv6("06", "").replace("6000", "4000"), "IPv6 with version 4"],
  [
    "a DHCPv6 message",
    ipv6("11", udp("0222", "0223", "0b000001")),
    "IPv6 UDP [fe80::5054:ff:fe00:1]:546 > [ff02::1]:547 DHCPv6 information-request, 4 bytes",
  ],
  [
    "an mDNS answer without a question",
    ipv4(
      "11",
      udp("14e9", "14e9", "0000 8400 0000 0001 0000 0000 02 766d 00 0010 8001 00000078 0001 00"),
      "c0a83202",
      "e00000fb",
    ),
    "IPv4 UDP 192.168.50.2:5353 > 224.0.0.251:5353 mDNS answer: TXT",
  ],
  [
    "more answers than a line has room for",
    ipv4("11", udp("0035", "9c40", `0001 8180 0000 0006 0000 0000 ${"00 0001 0001 0000003c 0004 01020304".repeat(6)}`)),
    "IPv4 UDP 192.168.50.2:53 > 192.168.50.1:40000 DNS answer: 1.2.3.4, 1.2.3.4, 1.2.3.4, 1.2.3.4, 2 more",
  ],
  [
    "a name that is not printable",
    ipv4("11", udp("9c40", "0035", "0001 0100 0001 0000 0000 0000 04 0a1b207f 00 0001 0001")),
    "IPv4 UDP 192.168.50.2:40000 > 192.168.50.1:53 DNS question A ....",
  ],
  [
    "a name that points at itself",
    ipv4("11", udp("9c40", "0035", "0001 0100 0001 0000 0000 0000 c00c 0001 0001")),
    "IPv4 UDP 192.168.50.2:40000 > 192.168.50.1:53 DNS question A of a broken name",
  ],
  [
    "a cut DNS message",
    ipv4("11", udp("9c40", "0035", "0001 0100 0001 0000 0000 0000 09 61")),
    "IPv4 UDP 192.168.50.2:40000 > 192.168.50.1:53 DNS question (cut short)",
  ],
  [
    "two tags",
    `ffffffffffff 525400000001 88a8 2064 8100 0007 0806 0001`,
    "VLAN 100 VLAN 7 ARP (cut short)",
  ],
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

/** What a line may be. */
const line = /^[\x20-\x7e]{1,200}$/;

/** Numbers that look random, the same for the same seed. */
function randomNumbers(seed: number): () => number {
  let state = seed || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

test("describe() answers a printable line wherever a frame is cut", () => {
  for (const [, hex] of [...cases, ["", ipv4("11", udp("0044", "0043", dhcp))] as const]) {
    const frame = bytes(hex!);
    for (let length = 0; length <= frame.length; length++) assertMatch(describe(frame.subarray(0, length)), line);
  }
});

test("describe() answers a printable line whatever the bytes are", () => {
  const seed = Number(process.env["VMNET_TEST_SEED"] ?? Date.now()) >>> 0;
  const random = randomNumbers(seed);
  const seeds = [...cases.map(([, hex]) => bytes(hex)), bytes(ipv4("11", udp("0044", "0043", dhcp)))];
  for (let i = 0; i < 20000; i++) {
    const frame = seeds[random() % seeds.length]!.slice();
    for (let k = random() % 8; k >= 0; k--) frame[random() % frame.length] = random();
    assertMatch(describe(frame), line, `seed ${seed}`);
  }
});

test("describe() tells conversations apart when there are more than it keeps texts of", () => {
  const random = randomNumbers(7);
  const hex = (value: number, digits: number) => value.toString(16).padStart(digits, "0");
  const dotted = (value: number) => [value >>> 24, value >>> 16 & 255, value >>> 8 & 255, value & 255].join(".");
  const grouped = (value: number) => `fd00::${hex(value, 1)}`;
  const conversations: [frame: Uint8Array, line: string][] = [];
  // Only one of the numbers that a conversation is known by is another one each time, so that none may be overlooked
  for (const varies of ["from", "to", "source", "target", "protocol"]) {
    for (let i = 0; i < 1500; i++) {
      const next = (name: string, otherwise: number, bits: number) =>
        varies === name ? random() >>> 32 - bits : otherwise;
      const [from, to] = [next("from", 0x0a000001, 32), next("to", 0x0a000002, 32)];
      const [source, target] = [next("source", 1000, 10) + 2000, next("target", 1000, 10) + 4000];
      const isTcp = next("protocol", 0, 1) === 1;
      const [protocol, name] = isTcp ? ["06", "TCP"] : ["11", "UDP"];
      const rest = isTcp ? " [SYN] seq 1 win 1024, 0 bytes" : ", 0 bytes";
      const ports = hex(source, 4) + hex(target, 4);
      const data = isTcp ? `${ports} 00000001 00000000 50020400 00000000` : `${ports} 00080000`;
      conversations.push([
        bytes(ipv4(protocol, data, hex(from, 8), hex(to, 8))),
        `IPv4 ${name} ${dotted(from)}:${source} > ${dotted(to)}:${target}${rest}`,
      ]);
      const [from6, to6] = [from & 0xffff | 1, to & 0xffff | 1];
      const frame6 = bytes(ipv6(protocol, data));
      frame6.set(bytes(`fd00${"00".repeat(12)}${hex(from6, 4)} fd00${"00".repeat(12)}${hex(to6, 4)}`), 22);
      conversations.push([
        frame6,
        `IPv6 ${name} [${grouped(from6)}]:${source} > [${grouped(to6)}]:${target}${rest}`,
      ]);
    }
  }
  for (let round = 0; round < 2; round++) {
    for (const [frame, expected] of conversations) assertEquals(describe(frame), expected);
  }
});

test("describe() takes less than 100 microseconds for the worst of frames", () => {
  const name = `${"3f" + "61".repeat(63)}`;
  const pointers = Array.from(
    { length: 700 },
    (_, i) => `c0${(12 + 2 * (i + 1)).toString(16).padStart(2, "0").slice(-2)}`,
  );
  const worst: Record<string, string> = {
    "names of many labels": `0001 0100 ffff ffff 0000 0000 ${(`${"0161".repeat(127)} 00 0001 0001`).repeat(5)}`,
    "long names": `0001 0100 ffff ffff 0000 0000 ${(`${name.repeat(3)} 00 0001 0001`).repeat(6)}`,
    "pointers from one to the next": `0001 8180 0000 ffff 0000 0000 ${pointers.join("")}`,
    "aliases that point in a circle": `0001 8180 0000 ffff 0000 0000 ${"c00c 0005 0001 00000000 0002 c00c".repeat(80)}`,
  };
  const frames = Object.entries(worst).map(([what, hex]) =>
    [what, bytes(ipv4("11", udp("0035", "9c40", hex)))] as const
  );
  const options = (hex: string) => bytes(ipv4("11", udp("0044", "0043", dhcp.slice(0, 480) + hex.repeat(400))));
  frames.push(["the same option again and again", options("0c0161")], ["padding", options("000000")]);
  frames.push(["tags", bytes(`${ethernet} ${"8100 0001".repeat(300)}`)]);
  frames.push(["extension headers", bytes(ipv6("00", "0000000000000000".repeat(180)))]);
  for (const [what, frame] of frames) {
    assertMatch(describe(frame), line, what);
    let best = Infinity;
    for (let i = 0; i < 20; i++) {
      const start = performance.now();
      for (let k = 0; k < 10; k++) describe(frame);
      best = Math.min(best, (performance.now() - start) / 10);
    }
    assertLess(best, 0.1, what);
  }
});
