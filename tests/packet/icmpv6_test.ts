// SPDX-License-Identifier: MIT

import { test } from "node:test";
import { assertEquals, assertThrows } from "@std/assert";
import {
  encoded,
  Icmpv6,
  icmpv6,
  type Icmpv6Option,
  type Icmpv6Options,
  Icmpv6Type,
  ipv6,
  Ipv6Address,
  MacAddress,
  PacketError,
} from "vmnet/packet";
import { assertBytes, assertHarmless, hex } from "./golden.ts";

const original = [
  "60012345 000d 1140 20010db8000000000000000000000001 20010db8000000000000000000000002",
  "0400 0035 000d 5c58 68656c6c6f",
];
const ping = hex("8000 5fda 0007 0001 616263");
const tooBig = hex("0200 089e 00000500", ...original);
const solicitation = hex("8700 2a43 00000000 fe800000000000000000000000000002 0101 525400000001");
const advertisement = hex("8800 47c5 e0000000 fe800000000000000000000000000002 0201 525400000002");
const router = hex(
  "8600 2745 40 c0 0708 00007530 000003e8",
  "0101 525400000001",
  "0501 0000 000005dc",
  "0304 40c0 00015180 00003840 00000000 20010db8000100000000000000000000",
  "1903 0000 00000258 20010db8000100000000000000000053",
  "1f03 0000 00000258 076578616d706c65036f726700000000",
);
const routerOptions: Icmpv6Option[] = [
  { name: "sourceLinkLayerAddress", address: MacAddress.parse("52:54:00:00:00:01") },
  { name: "mtu", mtu: 1500 },
  {
    name: "prefixInformation",
    prefixLength: 64,
    onLink: true,
    autonomous: true,
    validLifetime: 86400,
    preferredLifetime: 14400,
    prefix: Ipv6Address.parse("2001:db8:1::"),
  },
  { name: "dnsServers", lifetime: 600, servers: [Ipv6Address.parse("2001:db8:1::53")] },
  { name: "dnsSearch", lifetime: 600, domains: ["example.org"] },
];
const redirect = hex(
  "8900 0000 00000000 fe800000000000000000000000000003 20010db8000000000000000000000009",
  "0402 000000000000 6000000000000000",
);
const listener = hex("8300 0000 0000 0000 ff0200000000000000000001ff000002");
const all = [ping, tooBig, solicitation, advertisement, router, redirect, listener, hex("8f00 0000 0000 0000")];

test("Icmpv6 reads a ping", () => {
  const view = new Icmpv6(ping);
  assertEquals(view.layer, "icmpv6");
  assertEquals([view.type, view.code, view.checksum], [Icmpv6Type.echoRequest, 0, 0x5fda]);
  assertEquals([view.identifier, view.sequence, view.headerLength], [7, 1, 8]);
  assertEquals(view.payload, hex("616263"));
  assertEquals([view.target, view.mtu, view.original, view.flags], Array(4).fill(undefined));
  assertEquals(view.options, []);
});

test("Icmpv6 reads the packet that an error is about", () => {
  const view = new Icmpv6(tooBig);
  assertEquals(view.mtu, 1280);
  assertEquals([`${view.original?.source}`, view.original?.protocol], ["2001:db8::1", 17]);
  assertEquals(new Icmpv6(hex("0400 0000 00000006", ...original)).pointer, 6);
  assertThrows(() => new Icmpv6(tooBig.subarray(0, 40)).original, PacketError, "Cannot read ipv6");
});

test("Icmpv6 reads solicitations and advertisements of neighbours", () => {
  const question = new Icmpv6(solicitation);
  assertEquals(`${question.target}`, "fe80::2");
  assertEquals(question.options, [routerOptions[0]!]);
  assertEquals([question.router, question.flags], [undefined, undefined]);
  const answer = new Icmpv6(advertisement);
  assertEquals([answer.router, answer.solicited, answer.override, answer.flags], [true, true, true, 0xe0]);
  assertEquals(answer.options, [
    { name: "targetLinkLayerAddress", address: MacAddress.parse("52:54:00:00:00:02") },
  ]);
  assertEquals([answer.headerLength, answer.payload.length], [32, 0]);
});

test("Icmpv6 reads what a router says", () => {
  const view = new Icmpv6(router);
  assertEquals([view.hopLimit, view.managed, view.otherConfiguration, view.flags], [64, true, true, 0xc0]);
  assertEquals([view.routerLifetime, view.reachableTime, view.retransmitTimer], [1800, 30000, 1000]);
  assertEquals(view.options, routerOptions);
});

test("Icmpv6 reads redirects and listeners", () => {
  const view = new Icmpv6(redirect);
  assertEquals([`${view.target}`, `${view.destination}`], ["fe80::3", "2001:db8::9"]);
  assertEquals(view.options, [{ name: "redirectedHeader", packet: hex("6000000000000000") }]);
  assertEquals([`${new Icmpv6(listener).group}`, new Icmpv6(listener).maximumResponseDelay], ["ff02::1:ff00:2", 0]);
});

test("Icmpv6 reads options of any length and type as bytes", () => {
  const message = "8500 0000 00000000";
  assertEquals(new Icmpv6(hex(message, "0e01 010203040506", "0102 5254000000010000 000000000000")).options, [
    { name: "unknown", type: 14, data: hex("010203040506") },
    { name: "unknown", type: 1, data: hex("5254000000010000 000000000000") },
  ]);
});

test("Icmpv6 throws PacketError when it is shorter than its type says, or an option's length cannot be", () => {
  assertThrows(() => new Icmpv6(hex("")), PacketError, "it needs 4 bytes, and there are 0");
  assertThrows(() => new Icmpv6(solicitation.subarray(0, 23)), PacketError, "it needs 24 bytes, and there are 23");
  assertThrows(() => new Icmpv6(router.subarray(0, 15)), PacketError, "it needs 16 bytes, and there are 15");
  for (const wrong of ["0100525400000001", "0102525400000001", "01"]) {
    assertThrows(() => new Icmpv6(hex("8500 0000 00000000", wrong)).options, PacketError, "Cannot read icmpv6");
  }
  for (const golden of all) assertHarmless(golden, Icmpv6);
});

test("icmpv6() writes the same message again", () => {
  for (const golden of all) {
    const view = new Icmpv6(golden);
    assertBytes(encoded(icmpv6(view), view.payload), golden);
    const { type, code, checksum, identifier, sequence, mtu, pointer, maximumResponseDelay, group, target } = view;
    const { destination, hopLimit, routerLifetime, reachableTime, retransmitTimer, flags, options } = view;
    const fields: Icmpv6Options = {
      ...{ type, code, checksum, identifier, sequence, mtu, pointer, maximumResponseDelay, group, target },
      ...{ destination, hopLimit, routerLifetime, reachableTime, retransmitTimer, flags, options },
    };
    assertBytes(encoded(icmpv6(fields), view.payload), golden);
    assertBytes(encoded(icmpv6({ ...fields, options: view.optionBytes }), view.payload), golden);
  }
});

test("icmpv6() leaves its checksum to IP", () => {
  const source = "fe80::1";
  const question = encoded(
    ipv6({ source, destination: "ff02::1:ff00:2" }),
    icmpv6({
      type: Icmpv6Type.neighbourSolicitation,
      target: "fe80::2",
      options: [{ name: "sourceLinkLayerAddress", address: "52:54:00:00:00:01" }],
    }),
  );
  assertBytes(question.subarray(40), solicitation);
  const offer = icmpv6({
    type: Icmpv6Type.routerAdvertisement,
    hopLimit: 64,
    managed: true,
    otherConfiguration: true,
    routerLifetime: 1800,
    reachableTime: 30000,
    retransmitTimer: 1000,
    options: routerOptions,
  });
  assertBytes(encoded(ipv6({ source, destination: "ff02::1" }), offer).subarray(40), router);
  const answer = icmpv6({
    type: Icmpv6Type.neighbourAdvertisement,
    target: "fe80::2",
    router: true,
    solicited: true,
    override: true,
    options: [{ name: "targetLinkLayerAddress", address: "52:54:00:00:00:02" }],
  });
  assertBytes(encoded(ipv6({ source: "fe80::2", destination: source }), answer).subarray(40), advertisement);
});

test("icmpv6() fills options up with zeros", () => {
  const options: Icmpv6Option[] = [
    { name: "unknown", type: 200, data: hex("01") },
    { name: "redirectedHeader", packet: hex("0102") },
    { name: "dnsSearch", lifetime: 1, domains: ["a.b", "c"] },
  ];
  assertBytes(
    encoded(icmpv6({ type: 133, options })).subarray(8),
    hex("c801 010000000000", "0402 000000000000 0102000000000000", "1f02 0000 00000001 0161016200 016300"),
  );
});

test("icmpv6() writes long options", () => {
  const options: Icmpv6Option[] = [{ name: "dnsSearch", lifetime: 1, domains: Array(470).fill("a") }];
  assertEquals(new Icmpv6(encoded(icmpv6({ type: 133, options }))).options, options);
});

test("icmpv6() refuses what a type does not have and what does not fit", () => {
  assertThrows(
    () => icmpv6({ type: Icmpv6Type.echoRequest, target: "::1" }),
    TypeError,
    "Cannot encode icmpv6: a message of type 128 has no target",
  );
  assertThrows(() => icmpv6({ type: 136, managed: true }), TypeError, "has no managed");
  assertThrows(() => icmpv6({ type: 134, routerLifetime: 65536 }), RangeError, "routerLifetime");
  assertThrows(() => icmpv6({ type: 135, target: "nobody" }), TypeError, "target");
  const options: Icmpv6Option[] = [{ name: "unknown", type: 1, data: new Uint8Array(2039) }];
  assertThrows(() => icmpv6({ type: 133, options }), RangeError, "an option takes up to 2040 bytes");
  assertThrows(() => icmpv6({ type: 133, options: [{ name: "other" } as never] }), TypeError, "named other");
});
