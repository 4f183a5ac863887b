// SPDX-License-Identifier: MIT

import { isIPv4, isIPv6 } from "node:net";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import {
  canonicalIp,
  canonicalIpv6Prefix,
  formatIpv4,
  formatIpv6,
  formatMac,
  formatUuid,
  ipv4Mask,
  ipv4MaskLength,
  isPrivateIpv4,
  parseIpv4,
  parseIpv4Subnet,
  parseIpv6,
  parseMac,
  parseUuid,
} from "../../vmnet/address.ts";

const canonicalMac = (text: string) => {
  const mac = parseMac(text);
  return mac && formatMac(mac);
};

test("parseMac() takes colons, hyphens, capitals and missing zeros", () => {
  for (const text of ["02:00:0a:00:00:01", "02-00-0A-00-00-01", "2:0:a:0:0:1"]) {
    assertEquals(canonicalMac(text), "02:00:0a:00:00:01");
  }
});

test("parseMac() answers undefined for anything else", () => {
  const wrong = ["", "02:00:00:00:00", "02:00:00:00:00:01:02", "02:00:00:00:00:0g", "020000000001", "002:0:0:0:0:1"];
  for (const text of wrong) assertEquals(parseMac(text), undefined, text);
});

test("parseIpv4() and formatIpv4() are inverse", () => {
  for (const text of ["0.0.0.0", "255.255.255.255", "192.168.50.1", "10.0.0.9"]) {
    assertEquals(formatIpv4(parseIpv4(text)!), text);
  }
});

test("parseIpv4() agrees with node:net on what is an address", () => {
  const texts = [
    "1.2.3",
    "1.2.3.4.5",
    "1.2.3.256",
    "1.2.3.-1",
    "1.2.3.04",
    " 1.2.3.4",
    "1.2.3.4 ",
    "a.b.c.d",
    "1..2.3",
  ];
  for (const text of [...texts, "1.2.3.4", "0.0.0.0"]) assertEquals(parseIpv4(text) !== undefined, isIPv4(text), text);
});

test("parseIpv4Subnet() clears the host's part", () => {
  assertEquals(parseIpv4Subnet("192.168.50.77/24"), { base: 0xc0a83200, last: 0xc0a832ff, length: 24 });
  assertEquals(parseIpv4Subnet("0.0.0.0/0"), { base: 0, last: 0xffffffff, length: 0 });
  for (const text of ["192.168.50.0", "192.168.50.0/33", "192.168.50.0/", "192.168.50.0/-1", "1.2.3.4/8/8"]) {
    assertEquals(parseIpv4Subnet(text), undefined, text);
  }
});

test("ipv4MaskLength() takes contiguous ones only", () => {
  for (let length = 0; length <= 32; length++) assertEquals(ipv4MaskLength(ipv4Mask(length)), length);
  assertEquals(ipv4MaskLength(0xff00ff00), undefined);
  assertEquals(ipv4MaskLength(1), undefined);
});

test("isPrivateIpv4() knows the blocks of RFC 1918", () => {
  for (const text of ["10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.0", "192.168.255.255"]) {
    assertEquals(isPrivateIpv4(parseIpv4(text)!), true, text);
  }
  for (const text of ["9.255.255.255", "11.0.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0"]) {
    assertEquals(isPrivateIpv4(parseIpv4(text)!), false, text);
  }
});

test("formatIpv6() writes the form of RFC 5952", () => {
  const canonical = (text: string) => formatIpv6(parseIpv6(text)!);
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
  ];
  for (const [text, form] of forms) assertEquals(canonical(text), form, text);
});

test("parseIpv6() agrees with node:net on what is an address", () => {
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
  ];
  const more = ["::1.2.3", "1.2.3.4::", "::1.2.3.4", "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:7:1.2.3.4", "1::2:", ":1::2"];
  for (const text of [...texts, ...more, "::", "::1", "fe80::1", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::"]) {
    assertEquals(parseIpv6(text) !== undefined, isIPv6(text), text);
  }
});

test("canonicalIpv6Prefix() clears the bits after the prefix", () => {
  assertEquals(canonicalIpv6Prefix("FD00:1:2:3:4:5:6:7/64"), "fd00:1:2:3::/64");
  assertEquals(canonicalIpv6Prefix("ffff::/12"), "fff0::/12");
  assertEquals(canonicalIpv6Prefix("1::2/128"), "1::2/128");
  assertEquals(canonicalIpv6Prefix("1::2/0"), "::/0");
  for (const text of ["fd00::", "fd00::/129", "fd00::/x", "1.2.3.4/24"]) {
    assertEquals(canonicalIpv6Prefix(text), undefined, text);
  }
});

test("canonicalIp() takes both families", () => {
  assertEquals(canonicalIp("192.168.1.2"), "192.168.1.2");
  assertEquals(canonicalIp("FE80:0::1"), "fe80::1");
  assertEquals(canonicalIp("example"), undefined);
});

test("parseUuid() takes both spellings, formatUuid() writes one", () => {
  const uuid = "2f0c0c8e-5d4e-4c3b-8f43-6d1f3c1a7b10";
  assertEquals(formatUuid(parseUuid(uuid.toUpperCase())!), uuid);
  assertEquals(formatUuid(parseUuid(uuid.replaceAll("-", ""))!), uuid);
  for (const text of ["", uuid.slice(1), `${uuid}0`, uuid.replace("f", "g")]) assertEquals(parseUuid(text), undefined);
});
