// SPDX-License-Identifier: MIT

import { test } from "node:test";
import { inspect } from "node:util";
import { assertEquals, assertThrows } from "@std/assert";
import { MacAddress } from "vmnet/packet";
import { readMac, toMac } from "../../packet/mac_address.ts";

test("MacAddress.parse() takes colons, hyphens, capitals and missing zeros", () => {
  for (const text of ["02:00:0a:00:00:01", "02-00-0A-00-00-01", "2:0:a:0:0:1"]) {
    assertEquals(MacAddress.parse(text).toString(), "02:00:0a:00:00:01");
  }
});

test("MacAddress.parse() refuses anything else and says what it takes", () => {
  const wrong = [
    "",
    "02:00:00:00:00",
    "02:00:00:00:00:01:02",
    "02:00:00:00:00:0g",
    "020000000001",
    "002:0:0:0:0:1",
    "02:00-00:00:00:01",
    ":02:00:00:00:00:01",
    "02::00:00:00:01",
    "02:00:00:00:00:01:",
    " 02:00:00:00:00:01",
  ];
  for (const text of wrong) {
    assertEquals(MacAddress.tryParse(text), undefined, text);
    assertThrows(() => MacAddress.parse(text), TypeError, `Cannot parse MAC address "${text}": it takes six octets`);
  }
});

test("MacAddress is the same from text, bytes and number", () => {
  const bytes = Uint8Array.of(0x52, 0x54, 0, 0x12, 0x80, 0xff);
  const address = new MacAddress(bytes);
  assertEquals(address.value, 0x5254001280ff);
  assertEquals(address.bytes, bytes);
  assertEquals(new MacAddress(address.value), address);
  assertEquals(MacAddress.parse("52:54:00:12:80:ff"), address);
  assertEquals(readMac(Uint8Array.of(9, ...bytes), 1), address);
  const into = new Uint8Array(8);
  address.copyTo(into, 1);
  assertEquals(into, Uint8Array.of(0, ...bytes, 0));
});

test("MacAddress does not change with the bytes it was made of, nor with those it gives", () => {
  const bytes = new Uint8Array(6).fill(2);
  const address = new MacAddress(bytes);
  bytes.fill(3);
  address.bytes.fill(4);
  assertEquals(`${address}`, "02:02:02:02:02:02");
});

test("MacAddress refuses other numbers of bytes and bits", () => {
  for (const length of [0, 5, 7]) assertThrows(() => new MacAddress(new Uint8Array(length)), RangeError, "6 bytes");
  for (const value of [-1, 2 ** 48, 0.5, NaN, Infinity]) {
    assertThrows(() => new MacAddress(value), RangeError, "48 bits");
  }
});

test("MacAddress knows groups, everybody and addresses that nobody sold", () => {
  const facts = (text: string) => {
    const { isMulticast, isBroadcast, isLocal } = MacAddress.parse(text);
    return [isMulticast, isBroadcast, isLocal];
  };
  assertEquals(facts("00:1b:21:00:00:01"), [false, false, false]);
  assertEquals(facts("52:54:00:00:00:01"), [false, false, true]);
  assertEquals(facts("01:00:5e:00:00:fb"), [true, false, false]);
  assertEquals(facts("33:33:00:00:00:01"), [true, false, true]);
  assertEquals(facts("ff:ff:ff:ff:ff:ff"), [true, true, true]);
  assertEquals(MacAddress.broadcast.isBroadcast, true);
});

test("MacAddress compares with addresses and text", () => {
  const address = MacAddress.parse("52:54:00:00:00:01");
  assertEquals(address.equals("52-54-0-0-0-1"), true);
  assertEquals(address.equals(new MacAddress(0x525400000001)), true);
  assertEquals(address.equals("52:54:00:00:00:02"), false);
  assertEquals(address.equals("nonsense"), false);
});

test("MacAddress is its text in templates, JSON and on consoles", () => {
  const address = MacAddress.parse("52:54:00:00:00:01");
  assertEquals(`${address}`, "52:54:00:00:00:01");
  assertEquals(JSON.stringify({ address }), '{"address":"52:54:00:00:00:01"}');
  assertEquals(inspect(address), "52:54:00:00:00:01");
});

test("toMac() takes what stands for an address and names the field of what does not", () => {
  const address = MacAddress.parse("52:54:00:00:00:01");
  for (const like of [address, "52:54:0:0:0:1", address.bytes]) assertEquals(toMac(like, "source"), address);
  for (const wrong of ["x", new Uint8Array(5), 7, undefined]) {
    assertThrows(() => toMac(wrong as string, "source"), TypeError, "Cannot encode packet: source takes six octets");
  }
});
