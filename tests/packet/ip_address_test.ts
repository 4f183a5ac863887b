// SPDX-License-Identifier: MIT

import { isIPv4, isIPv6 } from "node:net";
import { test } from "node:test";
import { inspect } from "node:util";
import { assertEquals, assertThrows } from "@std/assert";
import { Ipv4Address, Ipv6Address, tryParseIp } from "vmnet/packet";
import { readIpv4, readIpv6, toIpv4, toIpv6 } from "../../packet/ip_address.ts";

const texts4 = [
  "",
  "1.2.3",
  "1.2.3.4.5",
  "1.2.3.256",
  "1.2.3.-1",
  "1.2.3.04",
  "1.2.3.00",
  " 1.2.3.4",
  "1.2.3.4 ",
  "a.b.c.d",
  "1..2.3",
  ".1.2.3",
  "1.2.3.",
  "1.2.3.4",
  "0.0.0.0",
  "255.255.255.255",
];

test("Ipv4Address.tryParse() agrees with node:net on what is an address", () => {
  for (const text of texts4) assertEquals(Ipv4Address.tryParse(text) !== undefined, isIPv4(text), text);
});

test("Ipv4Address.parse() says what it takes", () => {
  assertThrows(() => Ipv4Address.parse("1.2.3"), TypeError, 'Cannot parse IPv4 address "1.2.3": it takes four numbers');
});

test("Ipv4Address is the same from text, bytes and number", () => {
  const address = Ipv4Address.parse("192.168.64.254");
  assertEquals(address.value, 0xc0a840fe);
  assertEquals(address.bytes, Uint8Array.of(192, 168, 64, 254));
  assertEquals(new Ipv4Address(0xc0a840fe), address);
  assertEquals(new Ipv4Address(address.bytes), address);
  assertEquals(readIpv4(Uint8Array.of(9, 192, 168, 64, 254), 1), address);
  assertEquals(`${address}`, "192.168.64.254");
});

test("Ipv4Address refuses other numbers of bytes and bits", () => {
  for (const length of [0, 3, 5]) assertThrows(() => new Ipv4Address(new Uint8Array(length)), RangeError, "4 bytes");
  for (const value of [-1, 2 ** 32, 0.5, NaN]) assertThrows(() => new Ipv4Address(value), RangeError, "32 bits");
});

test("Ipv4Address knows the blocks that mean something", () => {
  const facts: Record<string, readonly string[]> = {
    isUnspecified: ["0.0.0.0"],
    isLoopback: ["127.0.0.0", "127.255.255.255"],
    isPrivate: ["10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.0", "192.168.255.255"],
    isLinkLocal: ["169.254.0.0", "169.254.255.255"],
    isMulticast: ["224.0.0.0", "239.255.255.255"],
    isBroadcast: ["255.255.255.255"],
  };
  const outside = ["0.0.0.1", "126.255.255.255", "128.0.0.0", "9.255.255.255", "11.0.0.0", "172.15.255.255"];
  outside.push("172.32.0.0", "192.167.255.255", "192.169.0.0", "169.253.255.255", "169.255.0.0", "223.255.255.255");
  outside.push("240.0.0.0", "255.255.255.254");
  for (const text of [...outside, ...Object.values(facts).flat()]) {
    const address = Ipv4Address.parse(text);
    for (const [fact, texts] of Object.entries(facts)) {
      assertEquals(address[fact as "isPrivate"], texts.includes(text), `${fact} of ${text}`);
    }
  }
});

test("Ipv6Address.toString() writes the form of RFC 5952", () => {
  const forms: [string, string][] = [
    ["2001:DB8:0:0:0:0:0:1", "2001:db8::1"],
    ["::", "::"],
    ["0:0:0:0:0:0:0:1", "::1"],
    ["1::", "1::"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["::ffff:192.168.1.2", "::ffff:c0a8:102"],
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
    ["::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"],
    ["1:0:0:2:0:0:3:0", "1::2:0:0:3:0"],
  ];
  for (const [text, form] of forms) assertEquals(`${Ipv6Address.parse(text)}`, form, text);
});

test("Ipv6Address.toString() agrees with URL on any zeros", () => {
  for (let bits = 0; bits < 256; bits++) {
    const bytes = Uint8Array.from(
      { length: 16 },
      (_, i) => i % 2 === 1 && (bits >>> (i >>> 1) & 1) === 1 ? 0xa0 + i : 0,
    );
    const address = new Ipv6Address(bytes);
    assertEquals(`[${address}]`, new URL(`http://[${address}]`).hostname);
    assertEquals(Ipv6Address.parse(`${address}`).bytes, bytes);
  }
});

test("Ipv6Address.tryParse() agrees with node:net on what is an address", () => {
  const texts = [
    "",
    ":",
    ":::",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1::2::3",
    "12345::",
    "g::",
    "1:2:3:4:5:6:7:8::",
    "::1.2.3",
    "1.2.3.4::",
    "::1.2.3.4",
    "1:2:3:4:5:6:1.2.3.4",
    "1:2:3:4:5:6:7:1.2.3.4",
    "1::2:",
    ":1::2",
    "::",
    "::1",
    "fe80::1",
    "1:2:3:4:5:6:7:8",
    "1:2:3:4:5:6:7::",
    "::1.2.3.4:5",
    "1:2:3:4:5:6:7.8.9.10:8",
  ];
  for (const text of [...texts, ...texts4]) {
    assertEquals(Ipv6Address.tryParse(text) !== undefined, isIPv6(text), text);
  }
});

test("Ipv6Address.parse() takes no zone and says so", () => {
  assertThrows(() => Ipv6Address.parse("fe80::1%en0"), TypeError, "without a zone");
});

test("Ipv6Address is made of 16 bytes at an offset", () => {
  const bytes = Uint8Array.from({ length: 18 }, (_, i) => 0xf0 + i);
  const address = new Ipv6Address(bytes, 1);
  assertEquals(address.bytes, bytes.slice(1, 17));
  assertEquals(readIpv6(bytes, 1), address);
  for (const offset of [-1, 3, NaN]) assertThrows(() => new Ipv6Address(bytes, offset), RangeError, "16 bytes");
});

test("Ipv6Address knows the blocks that mean something", () => {
  const facts: Record<string, readonly string[]> = {
    isUnspecified: ["::"],
    isLoopback: ["::1"],
    isPrivate: ["fc00::", "fdff:ffff::1"],
    isLinkLocal: ["fe80::", "febf::1"],
    isMulticast: ["ff00::", "ff02::fb"],
  };
  const outside = ["::2", "1::1", "fbff::", "fe00::", "fe7f::", "fec0::", "feff::"];
  for (const text of [...outside, ...Object.values(facts).flat()]) {
    const address = Ipv6Address.parse(text);
    for (const [fact, texts] of Object.entries(facts)) {
      assertEquals(address[fact as "isPrivate"], texts.includes(text), `${fact} of ${text}`);
    }
  }
});

test("Ipv6Address.ipv4 is what a mapped address stands for", () => {
  assertEquals(`${Ipv6Address.parse("::ffff:192.168.1.2").ipv4}`, "192.168.1.2");
  for (const text of ["::192.168.1.2", "::fffe:1:2", "1::ffff:1:2", "::1:ffff:1:2"]) {
    assertEquals(Ipv6Address.parse(text).ipv4, undefined, text);
  }
});

test("Ipv6Address.solicitedNode is the group of the last 24 bits", () => {
  // The example of RFC 4291, section 2.7.1
  assertEquals(`${Ipv6Address.parse("4037::01:800:200e:8c6c").solicitedNode}`, "ff02::1:ff0e:8c6c");
});

test("addresses compare with addresses and text", () => {
  const four = Ipv4Address.parse("10.0.0.1");
  assertEquals([four.equals("10.0.0.1"), four.equals(new Ipv4Address(0x0a000001))], [true, true]);
  assertEquals([four.equals("10.0.0.2"), four.equals("x")], [false, false]);
  const six = Ipv6Address.parse("fd00::1");
  assertEquals([six.equals("FD00:0::1"), six.equals(Ipv6Address.parse("fd00::1"))], [true, true]);
  assertEquals([six.equals("fd00::2"), six.equals("fd00:1::1"), six.equals("x")], [false, false, false]);
});

test("addresses are their text in JSON and on consoles", () => {
  const addresses = [Ipv4Address.parse("10.0.0.1"), Ipv6Address.parse("fd00::1")];
  assertEquals(JSON.stringify(addresses), '["10.0.0.1","fd00::1"]');
  assertEquals(addresses.map((address) => inspect(address)), ["10.0.0.1", "fd00::1"]);
});

test("tryParseIp() takes both versions", () => {
  assertEquals(tryParseIp("10.0.0.1") instanceof Ipv4Address, true);
  assertEquals(tryParseIp("fe80::1") instanceof Ipv6Address, true);
  assertEquals(tryParseIp("gateway"), undefined);
});

test("toIpv4() and toIpv6() take what stands for an address and name the field of what does not", () => {
  const [four, six] = [Ipv4Address.parse("10.0.0.1"), Ipv6Address.parse("fd00::1")];
  for (const like of [four, "10.0.0.1", four.bytes]) assertEquals(toIpv4(like, "source"), four);
  for (const like of [six, "fd00::1", six.bytes]) assertEquals(toIpv6(like, "source"), six);
  for (const wrong of ["x", new Uint8Array(5), 7, undefined]) {
    assertThrows(() => toIpv4(wrong as string, "source"), TypeError, "Cannot encode packet: source takes four numbers");
    assertThrows(() => toIpv6(wrong as string, "target"), TypeError, "Cannot encode packet: target takes up to eight");
  }
});
