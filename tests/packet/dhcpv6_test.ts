// SPDX-License-Identifier: MIT

import { test } from "node:test";
import { assertEquals, assertGreater, assertThrows } from "@std/assert";
import {
  Dhcpv6,
  dhcpv6,
  Dhcpv6MessageType,
  type Dhcpv6Options,
  Dhcpv6StatusCode,
  Duid,
  encoded,
  type Layer,
  PacketError,
} from "vmnet/packet";
import { assertAgain, assertHolds, hex, number, text } from "./message_bytes.ts";

const open = (bytes: Uint8Array, start?: number, end?: number) => new Dhcpv6(bytes, start, end);

/** An option: code, length, value. */
const option = (code: number, ...value: string[]) => {
  const digits = value.join("");
  return `${number(code, 2)} ${number(hex(digits).length, 2)} ${digits}`;
};

const llt = "0001 0001 2b1d3c4d 525400123456";
const server = "0003 0001 525400000001";

/** What a guest's client asks. */
const solicit = hex(
  "01 123456",
  option(1, llt),
  option(6, "0017 0018 0027"),
  option(8, "0064"),
  option(14),
  option(3, "00123456 00000000 00000000"),
  option(25, "00000001 00000000 00000000", option(26, "00000000 00000000 38", "00".repeat(16))),
  option(39, "01 05", text("guest")),
  option(16, "0000ab11 0003 616263"),
  option(15, "0001 61"),
);

/** What a server answers. */
const reply = hex(
  "07 123456",
  option(1, llt),
  option(2, server),
  option(
    3,
    "00123456 00000708 00000b40",
    option(5, "fd00000000000000000000000000000a 00000e10 00001c20", option(13, "0000 6f6b")),
  ),
  option(4, "00000002", option(13, "0002", text("none left"))),
  option(25, "00000001 00000708 00000b40", option(26, "00000e10 00001c20 38 fd001234567800000000000000000000")),
  option(23, "fd000000000000000000000000000001 fd000000000000000000000000000002"),
  option(24, "07 6578616d706c65 03 6f7267 00 03 6c616e 00"),
  option(7, "ff"),
  option(13, "0000"),
  option(32, "00015180"),
  option(17, "0000ab11", option(1, "c0")),
  option(59, text("http://[fd00::1]/boot")),
);

/** The question through two relays. */
const relayed = hex(
  "0c 01 fd000000000000000000000000000001 fe800000000000000000000000000002",
  option(18, text("eth0")),
  option(
    9,
    "0c 00 00000000000000000000000000000000 fe80000000000000505400fffe123456",
    option(79, "0001 525400654321"),
    option(9, Array.from(solicit, (byte) => number(byte, 1)).join("")),
  ),
);

const golden = [solicit, reply, relayed];

test("Dhcpv6 reads what a client asks", () => {
  const view = new Dhcpv6(solicit);
  assertEquals([view.messageType, view.transactionId, view.isRelayed], [Dhcpv6MessageType.solicit, 0x123456, false]);
  assertEquals([view.hopCount, view.linkAddress, view.peerAddress, view.relayMessage], [
    0,
    undefined,
    undefined,
    undefined,
  ]);
  assertEquals([`${view.clientId}`, `${view.clientMac}`], [
    "00:01:00:01:2b:1d:3c:4d:52:54:00:12:34:56",
    "52:54:00:12:34:56",
  ]);
  assertEquals([view.serverId, view.requestedOptions, view.elapsedMs, view.isRapidCommit], [
    undefined,
    [23, 24, 39],
    1000,
    true,
  ]);
  assertEquals(JSON.parse(JSON.stringify(view.associations)), [
    { kind: "IA_NA", id: 0x123456, renewalSeconds: 0, rebindingSeconds: 0, addresses: [], prefixes: [] },
    {
      kind: "IA_PD",
      id: 1,
      renewalSeconds: 0,
      rebindingSeconds: 0,
      addresses: [],
      prefixes: [{ prefix: "::", prefixLength: 56, preferredSeconds: 0, validSeconds: 0 }],
    },
  ]);
  assertEquals(view.fqdn, { flags: 1, name: "guest", isPartial: true });
  assertEquals(view.vendorClass, { enterprise: 0xab11, data: [hex("616263")] });
  assertEquals([view.userClass, view.dnsServers, view.status], [[hex("61")], undefined, undefined]);
  assertEquals([view.headerLength, view.payload.length], [solicit.length, 0]);
});

test("Dhcpv6 reads what a server answers", () => {
  const view = new Dhcpv6(reply);
  assertEquals([view.messageType, `${view.serverId?.mac}`], [Dhcpv6MessageType.reply, "52:54:00:00:00:01"]);
  const [addresses, temporary, prefixes] = view.associations;
  assertEquals(JSON.parse(JSON.stringify(addresses)), {
    kind: "IA_NA",
    id: 0x123456,
    renewalSeconds: 1800,
    rebindingSeconds: 2880,
    addresses: [{
      address: "fd00::a",
      preferredSeconds: 3600,
      validSeconds: 7200,
      status: { code: Dhcpv6StatusCode.success, message: "ok" },
    }],
    prefixes: [],
  });
  assertEquals(temporary?.status, { code: Dhcpv6StatusCode.noAddresses, message: "none left" });
  assertEquals(`${prefixes?.prefixes[0]?.prefix}/${prefixes?.prefixes[0]?.prefixLength}`, "fd00:1234:5678::/56");
  assertEquals(`${view.dnsServers}`, "fd00::1,fd00::2");
  assertEquals([view.domainSearch, view.preference], [["example.org", "lan"], 255]);
  assertEquals([view.status, view.informationRefreshSeconds], [{ code: 0, message: "" }, 86400]);
  assertEquals(view.vendorOptions, [{ enterprise: 0xab11, options: [{ code: 1, value: hex("c0") }] }]);
  assertEquals(view.bootFileUrl, "http://[fd00::1]/boot");
});

test("Dhcpv6 reads a message in relays' messages", () => {
  const outer = new Dhcpv6(relayed);
  assertEquals([outer.isRelayed, outer.hopCount, outer.transactionId], [true, 1, 0]);
  assertEquals([`${outer.linkAddress}`, `${outer.peerAddress}`], ["fd00::1", "fe80::2"]);
  assertEquals([outer.interfaceId, outer.clientMac], [hex(text("eth0")), undefined]);
  const inner = outer.relayMessage;
  // What a relay saw goes before what the client says of itself
  assertEquals([inner?.hopCount, `${inner?.peerAddress}`, `${inner?.clientMac}`], [
    0,
    "fe80::5054:ff:fe12:3456",
    "52:54:00:65:43:21",
  ]);
  assertEquals(inner?.relayMessage?.bytes, solicit);
  assertEquals(inner?.relayMessage?.transactionId, 0x123456);
});

test("Dhcpv6 follows nine relays and no more", () => {
  let message: Layer = dhcpv6({ messageType: Dhcpv6MessageType.renew, transactionId: 5 });
  const relay = (hopCount: number) => {
    message = dhcpv6({ messageType: Dhcpv6MessageType.relayForward, hopCount, relayMessage: message });
  };
  const innermost = (): Dhcpv6 => {
    let view = new Dhcpv6(encoded(message));
    for (let inner: Dhcpv6 | undefined = view; inner !== undefined; inner = inner.relayMessage) view = inner;
    return view;
  };
  for (let hops = 0; hops < 9; hops++) relay(hops);
  assertEquals(innermost().transactionId, 5);
  relay(9);
  assertThrows(innermost, PacketError, "relayed more than 9 times");
});

test("Dhcpv6 throws PacketError when options are cut short or of a wrong length", () => {
  const cases: [options: string, read: (view: Dhcpv6) => unknown][] = [
    ["0001", (view) => view.options],
    ["0001 0005 00", (view) => view.options],
    [option(1, "0001"), (view) => view.clientId],
    [option(7, "0001"), (view) => view.preference],
    [option(8, "00"), (view) => view.elapsedMs],
    [option(6, "000102"), (view) => view.requestedOptions],
    [option(13, "00"), (view) => view.status],
    [option(23, "fd00"), (view) => view.dnsServers],
    [option(24, "03 6c616e"), (view) => view.domainSearch],
    [option(24, "03 6c616e c004"), (view) => view.domainSearch],
    [option(3, "00000001 00000000"), (view) => view.associations],
    [option(3, "00000001 00000000 00000000", option(5, "fd00")), (view) => view.associations],
    [
      option(25, "00000001 00000000 00000000", option(26, "00000000 00000000 81", "00".repeat(16))),
      (view) => view.associations,
    ],
    [option(9, "0700"), (view) => view.relayMessage],
    [option(9, "0c00", "00".repeat(31)), (view) => view.relayMessage],
  ];
  for (const [options, read] of cases) {
    assertThrows(() => read(new Dhcpv6(hex("07 000001", options))), PacketError, "Cannot read dhcpv6", options);
  }
  assertThrows(() => new Dhcpv6(hex("070000")), PacketError, "needs 4 bytes");
  assertThrows(() => new Dhcpv6(relayed.subarray(0, 33)), PacketError, "needs 34 bytes");
  const error = assertThrows(() => new Dhcpv6(hex("07 000001", option(7, "0001"))).preference, PacketError);
  assertEquals([error.layer, error.offset], ["dhcpv6", 9]);
});

test("Dhcpv6 throws nothing but PacketError when a message is cut or changed anywhere", () => {
  for (const bytes of golden) assertGreater(assertHolds(bytes, open), 1000);
});

test("Dhcpv6 reads names that are whole and names that are not", () => {
  const cases: [labels: string, name: string, isPartial: boolean][] = [
    ["05 6775657374 03 6c616e 00", "guest.lan", false],
    ["05 6775657374 03 6c616e", "guest.lan", true],
    ["00", ".", false],
    ["", ".", true],
  ];
  for (const [labels, name, isPartial] of cases) {
    const bytes = hex("01 000000", option(39, "00", labels));
    assertEquals(new Dhcpv6(bytes).fqdn, { flags: 0, name, isPartial });
    assertEquals(encoded(dhcpv6({ messageType: 1, fqdn: { flags: 0, name, isPartial } })), bytes);
  }
});

test("dhcpv6() writes the bytes that Dhcpv6 has read, wherever they lie", () => {
  const again = (view: Dhcpv6): Layer =>
    dhcpv6({
      messageType: view.messageType,
      transactionId: view.transactionId,
      hopCount: view.hopCount,
      linkAddress: view.linkAddress,
      peerAddress: view.peerAddress,
      options: view.options,
    });
  for (const bytes of golden) assertAgain(bytes, open, again);
});

test("dhcpv6() writes every field that Dhcpv6 reads", () => {
  const status = { code: 1, message: "no" };
  const times = { preferredSeconds: 1, validSeconds: 0xffffffff };
  const values: Dhcpv6Options = {
    messageType: Dhcpv6MessageType.advertise,
    transactionId: 0xffffff,
    clientId: Duid.ofMac("52:54:00:12:34:56"),
    serverId: Duid.parse("0:2:0:0:ab:11:1"),
    requestedOptions: [23, 65535],
    preference: 1,
    elapsedMs: 655350,
    status,
    isRapidCommit: true,
    interfaceId: hex("01"),
    userClass: [hex("61"), hex("")],
    vendorClass: { enterprise: 0xffffffff, data: [hex("62")] },
    vendorOptions: [{ enterprise: 1, options: [{ code: 2, value: hex("03") }] }, { enterprise: 2, options: [] }],
    associations: [
      {
        kind: "IA_NA",
        id: 1,
        renewalSeconds: 2,
        rebindingSeconds: 3,
        addresses: [{ address: "fd00::1", ...times, status }],
        prefixes: [],
        status,
      },
      {
        kind: "IA_TA",
        id: 1,
        renewalSeconds: 0,
        rebindingSeconds: 0,
        addresses: [{ address: "fd00::2", ...times }],
        prefixes: [],
      },
      {
        kind: "IA_PD",
        id: 2,
        renewalSeconds: 0,
        rebindingSeconds: 0,
        addresses: [],
        prefixes: [{ prefix: "fd00::", prefixLength: 128, ...times, status }],
      },
    ],
    dnsServers: ["fd00::53"],
    domainSearch: ["example.org"],
    informationRefreshSeconds: 600,
    fqdn: { flags: 5, name: "guest.example.org", isPartial: false },
    bootFileUrl: "tftp://[fd00::1]/é",
    clientMac: "52:54:00:12:34:57",
  };
  const view = new Dhcpv6(encoded(dhcpv6({ ...values, options: [{ code: 65535, value: hex("00") }] })));
  for (const [field, value] of Object.entries(values)) {
    assertEquals(JSON.parse(JSON.stringify(view[field as keyof Dhcpv6])), JSON.parse(JSON.stringify(value)), field);
  }
  assertEquals(view.options.at(-1), { code: 65535, value: hex("00") });
});

test("dhcpv6() refuses what does not fit and says what would", () => {
  const cases: [options: object, type: typeof TypeError | typeof RangeError, message: string][] = [
    [{ messageType: 256 }, RangeError, "messageType takes a whole number from 0 to 255, found 256"],
    [{ transactionId: 0x1000000 }, RangeError, "transactionId takes a whole number from 0 to 16777215"],
    [{ messageType: 12, peerAddress: "fe80" }, TypeError, "peerAddress"],
    [{ clientId: "00:01" }, TypeError, 'clientId "00:01": it takes a DUID'],
    [{ elapsedMs: 15 }, RangeError, "elapsedMs / 10 takes a whole number"],
    [{ associations: [{ kind: "IA", id: 1 }] }, TypeError, 'kind takes one of IA_NA, IA_TA, IA_PD, found "IA"'],
    [
      { associations: [{ kind: "IA_NA" }], options: [{ code: 4, value: hex("") }] },
      TypeError,
      "associations are given",
    ],
    [
      { preference: 1, options: [{ code: 7, value: hex("01") }] },
      TypeError,
      "option 7 is in options, and preference is given",
    ],
    [{ options: [{ code: 65536, value: hex("01") }] }, RangeError, "code of an option takes"],
    [{ options: [{ code: 1, value: "01" }] }, TypeError, "value takes a Uint8Array"],
    [{ dnsServers: ["1.1.1.1"] }, TypeError, "dnsServers"],
  ];
  for (const [options, type, text] of cases) {
    assertThrows(() => dhcpv6({ messageType: 1, ...options } as Dhcpv6Options), type, text);
  }
});
