// SPDX-License-Identifier: MIT

import { test } from "node:test";
import { assert, assertEquals, assertGreater, assertLess, assertThrows } from "@std/assert";
import {
  Dhcp,
  dhcp,
  DhcpMessageType,
  DhcpOptionCode,
  type DhcpOptions,
  Duid,
  encoded,
  PacketError,
} from "vmnet/packet";
import { assertAgain, assertHolds, hex, number, text } from "./message_bytes.ts";

const open = (bytes: Uint8Array, start?: number, end?: number) => new Dhcp(bytes, start, end);

/** A message with these addresses, names and options, filled up to 300 bytes. */
function message(
  head: string,
  addresses: string,
  options: string,
  names: { server?: string; file?: string } = {},
): Uint8Array {
  const bytes = new Uint8Array(Math.max(300, 240 + hex(options).length));
  bytes.set(hex(head, addresses, "525400123456"));
  bytes.set(hex(names.server ?? ""), 44);
  bytes.set(hex(names.file ?? ""), 108);
  bytes.set(hex("63825363", options), 236);
  return bytes;
}

const nobody = "00000000 00000000 00000000 00000000";

/** What a guest's client broadcasts. */
const discover = message(
  "01010600 3903f326 0001 8000",
  nobody,
  `350101 3d0701525400123456 3204c0a84005 390205dc 3c05${text("udhcp")} 0c05${text("guest")} 3707 01031c060f1a79 ff`,
);

/** What the gateway of this library answers, in its order. */
const ack = message(
  "02010600 3903f326 0000 8000",
  "00000000 c0a84005 c0a84001 00000000",
  "350105 3604c0a84001 3d0701525400123456 330400015180 3a040000a8c0 3b0400012750 0104ffffff00 1c04c0a840ff " +
    "0304c0a84001 0604c0a84001 1a0205dc ff",
);

/** Options in all three places: 52 says so, and the host name goes on from one to the next. */
const overloaded = message(
  "02010600 00000001 0000 0000",
  nobody,
  `340103 350102 0c03${text("ab-")} ff`,
  {
    file: `0c03${text("cd-")} 4204${text("tftp")} 00 4304${text("boot")} ff 63`,
    server: `0c02${text("ef")} 0604c0a84001 ff`,
  },
);

const golden = [discover, ack, overloaded];

test("Dhcp reads what a client asks", () => {
  const view = new Dhcp(discover);
  assertEquals([view.operation, view.hardwareType, view.hardwareLength, view.hops], [1, 1, 6, 0]);
  assertEquals([view.transactionId, view.seconds, view.flags, view.isBroadcast], [0x3903f326, 1, 0x8000, true]);
  assertEquals(`${view.clientMac} ${view.clientAddress} ${view.relayAddress}`, "52:54:00:12:34:56 0.0.0.0 0.0.0.0");
  assertEquals([view.isBootp, view.messageType], [false, DhcpMessageType.discover]);
  assertEquals(`${view.requestedAddress}`, "192.168.64.5");
  assertEquals([view.maximumMessageSize, view.vendorClass, view.hostName], [1500, "udhcp", "guest"]);
  assertEquals(view.parameterList, [1, 3, 28, 6, 15, 26, 121]);
  assertEquals(view.clientId, hex("01 525400123456"));
  assertEquals([view.clientDuid, view.leaseSeconds, view.routers, view.message], [
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
  assertEquals([view.serverName, view.bootFile], ["", ""]);
  assertEquals([view.length, view.headerLength, view.payload.length], [300, 300, 0]);
});

test("Dhcp reads what a server answers", () => {
  const view = new Dhcp(ack);
  assertEquals([view.operation, view.messageType], [2, DhcpMessageType.ack]);
  assertEquals(
    `${view.yourAddress} ${view.serverAddress} ${view.serverIdentifier}`,
    "192.168.64.5 192.168.64.1 192.168.64.1",
  );
  assertEquals([view.leaseSeconds, view.renewalSeconds, view.rebindingSeconds], [86400, 43200, 75600]);
  assertEquals(`${view.subnetMask} ${view.broadcastAddress}`, "255.255.255.0 192.168.64.255");
  assertEquals(`${view.routers} ${view.dnsServers} ${view.mtu}`, "192.168.64.1 192.168.64.1 1500");
  assertEquals([...view.options.keys()], [53, 54, 61, 51, 58, 59, 1, 28, 3, 6, 26]);
});

test("Dhcp reads options that go on in the names' places", () => {
  const view = new Dhcp(overloaded);
  assertEquals([view.hostName, view.serverName, view.bootFile], ["ab-cd-ef", "tftp", "boot"]);
  assertEquals(`${view.dnsServers}`, "192.168.64.1");
  assertEquals([...view.options.keys()], [53, 12, 66, 67, 6]);
  // Names stay names where only the other place has options
  const file = overloaded.slice();
  file[242] = 1;
  assertEquals([new Dhcp(file).hostName, new Dhcp(file).serverName.slice(2)], [
    "ab-cd-",
    "ef\x06\x04\ufffd\ufffd@\x01\ufffd",
  ]);
});

test("Dhcp reads routes as RFC 3442 writes them", () => {
  const routes = "00 0a110001 08 0a 0a000001 18 0a1b81 0a1b8101 19 0a1b8180 0a1b8101 20 c0000201 00000000";
  const bytes = message("02010600 00000000 0000 0000", nobody, `79 ${number(hex(routes).length, 1)} ${routes} ff`);
  assertEquals(
    new Dhcp(bytes).classlessRoutes?.map((route) => `${route.destination}/${route.prefixLength} ${route.router}`),
    [
      "0.0.0.0/0 10.17.0.1",
      "10.0.0.0/8 10.0.0.1",
      "10.27.129.0/24 10.27.129.1",
      "10.27.129.128/25 10.27.129.1",
      "192.0.2.1/32 0.0.0.0",
    ],
  );
  const wrong = message("02010600 00000000 0000 0000", nobody, "7905 21 01020304 ff");
  assertThrows(() => new Dhcp(wrong).classlessRoutes, PacketError, "33 bits, more than 32");
});

test("Dhcp reads the split search list of RFC 3397, section 3", () => {
  const parts = ["03 656e67 05 6170706c", "65 03 636f6d 00 09 6d6172", "6b6574696e67 c004"];
  const options = parts.map((part) => `77 ${number(hex(part).length, 1)} ${part}`).join("");
  const view = new Dhcp(message("02010600 00000000 0000 0000", nobody, `${options} ff`));
  assertEquals(view.domainSearch, ["eng.apple.com", "marketing.apple.com"]);
  const loop = message("02010600 00000000 0000 0000", nobody, "7702c000 ff");
  assertThrows(() => new Dhcp(loop).domainSearch, PacketError, "Cannot read dhcp");
});

test("Dhcp reads a DUID in a client identifier, as systemd and macOS send it", () => {
  const id = "ff 12345678 0001 0001 2b1d3c4d 525400abcdef";
  const view = new Dhcp(message("01010600 00000000 0000 0000", nobody, `3d13${id} ff`));
  assertEquals(`${view.clientDuid?.mac}`, "52:54:00:ab:cd:ef");
  assert(view.clientDuid?.equals(Duid.parse("0:1:0:1:2b:1d:3c:4d:52:54:0:ab:cd:ef")));
});

test("Dhcp reads BOOTP, which has no options", () => {
  const bytes = encoded(
    dhcp({ isBootp: true, clientMac: "52:54:00:12:34:56", bootFile: "kernel", serverName: "host" }),
  );
  const view = new Dhcp(bytes);
  assertEquals([view.isBootp, view.options.size, view.messageType, bytes.length], [true, 0, undefined, 300]);
  assertEquals([view.bootFile, view.serverName], ["kernel", "host"]);
  assertEquals(new Dhcp(bytes.subarray(0, 236)).isBootp, true);
  assertThrows(() => new Dhcp(bytes.subarray(0, 235)), PacketError, "needs 236 bytes");
});

test("Dhcp tells other hardware from Ethernet", () => {
  const bytes = discover.slice();
  bytes.set([32, 20], 1);
  const view = new Dhcp(bytes);
  assertEquals([view.clientMac, view.clientHardwareAddress.length], [undefined, 16]);
});

test("Dhcp throws PacketError when options are cut short or of a wrong length", () => {
  const cases: [options: string, read: (view: Dhcp) => unknown][] = [
    ["3501", (view) => view.options],
    ["35", (view) => view.messageType],
    ["3502 0101 ff", (view) => view.messageType],
    ["3500 ff", (view) => view.messageType],
    ["3303 000001 ff", (view) => view.leaseSeconds],
    ["0305 c0a8400100 ff", (view) => view.routers],
    ["1a01 05 ff", (view) => view.mtu],
    ["7906 18 0a0000 0a00 ff", (view) => view.classlessRoutes],
  ];
  for (const [options, read] of cases) {
    const bytes = message("02010600 00000000 0000 0000", nobody, options).subarray(0, 240 + hex(options).length);
    assertThrows(() => read(new Dhcp(bytes)), PacketError, "Cannot read dhcp", options);
  }
  // No end and no padding is well
  assertEquals(new Dhcp(message("", nobody, "0000 350101").subarray(0, 245)).messageType, 1);
});

test("Dhcp says where in the message an option is wrong", () => {
  const bytes = message("02010600 00000000 0000 0000", nobody, "350101 3303 000001 ff");
  const error = assertThrows(() => new Dhcp(bytes).leaseSeconds, PacketError);
  assertEquals([error.layer, error.offset], ["dhcp", 245]);
});

test("Dhcp throws nothing but PacketError when a message is cut or changed anywhere", () => {
  for (const bytes of golden) assertGreater(assertHolds(bytes, open), 1000);
});

test("dhcp() writes the bytes that Dhcp has read, wherever they lie", () => {
  const again = (view: Dhcp): DhcpOptions => ({
    operation: view.operation,
    hardwareType: view.hardwareType,
    hops: view.hops,
    transactionId: view.transactionId,
    seconds: view.seconds,
    flags: view.flags,
    clientAddress: view.clientAddress,
    yourAddress: view.yourAddress,
    serverAddress: view.serverAddress,
    relayAddress: view.relayAddress,
    clientHardwareAddress: view.clientHardwareAddress,
    serverName: view.serverName,
    bootFile: view.bootFile,
    options: view.options,
    length: view.length,
  });
  for (const bytes of [discover, ack]) assertAgain(bytes, open, (view) => dhcp(again(view)));
  const full = new Dhcp(encoded(dhcp(again(new Dhcp(overloaded)))));
  assertEquals(full.options, new Dhcp(overloaded).options);
});

test("dhcp() writes every field that Dhcp reads", () => {
  const route = { destination: "10.27.129.0", prefixLength: 25, router: "10.27.129.1" };
  const values: DhcpOptions = {
    messageType: DhcpMessageType.offer,
    operation: 2,
    hardwareType: 1,
    hardwareLength: 6,
    hops: 3,
    transactionId: 0xffffffff,
    seconds: 9,
    isBroadcast: true,
    clientAddress: "192.168.64.2",
    yourAddress: "192.168.64.3",
    serverAddress: "192.168.64.4",
    relayAddress: "192.168.64.5",
    clientMac: "52:54:00:12:34:56",
    serverName: "s".repeat(64),
    bootFile: "f".repeat(128),
    serverIdentifier: "192.168.64.1",
    clientId: hex("00 6162"),
    requestedAddress: "192.168.64.6",
    leaseSeconds: 0xffffffff,
    renewalSeconds: 1,
    rebindingSeconds: 2,
    subnetMask: "255.255.255.0",
    broadcastAddress: "192.168.64.255",
    classlessRoutes: [route],
    routers: ["192.168.64.1", "192.168.64.2"],
    dnsServers: ["1.1.1.1"],
    ntpServers: [],
    domainName: "example.org",
    domainSearch: ["example.org", "b.example.org"],
    hostName: "gäst",
    mtu: 1400,
    vendorClass: "vmnet",
    parameterList: [1, 3, 6],
    maximumMessageSize: 1500,
    message: "m".repeat(600),
    length: 1500,
  };
  const view = new Dhcp(encoded(dhcp({ ...values, options: new Map([[250, hex("01")], [251, new Uint8Array(0)]]) })));
  for (const [field, value] of Object.entries(values)) {
    assertEquals(JSON.stringify(view[field as keyof Dhcp]), JSON.stringify(value), field);
  }
  assertEquals([view.options.get(250), view.options.get(251)], [hex("01"), new Uint8Array(0)]);
  assertEquals([...view.options.keys()][0], DhcpOptionCode.messageType);
});

test("dhcp() splits an option that is longer than 255 bytes", () => {
  const value = Uint8Array.from({ length: 600 }, (_, i) => i);
  const bytes = encoded(dhcp({ options: new Map([[224, value]]), length: 0 }));
  assertEquals(bytes.length, 240 + 600 + 3 * 2 + 1);
  assertEquals([bytes[240], bytes[241], bytes[497], bytes[498], bytes[754], bytes[755]], [224, 255, 224, 255, 224, 90]);
  assertEquals(new Dhcp(bytes).options.get(224), value);
});

test("dhcp() names the operation by the kind of the message", () => {
  const operation = (messageType?: number) => new Dhcp(encoded(dhcp(messageType ? { messageType } : {}))).operation;
  const { discover, offer, request, ack, nak, inform } = DhcpMessageType;
  assertEquals([undefined, discover, offer, request, ack, nak, inform].map(operation), [1, 1, 2, 1, 2, 2, 1]);
});

test("dhcp() refuses what does not fit and says what would", () => {
  const cases: [options: object, type: typeof TypeError | typeof RangeError, message: string][] = [
    [{ hops: 256 }, RangeError, "hops takes a whole number from 0 to 255, found 256"],
    [{ leaseSeconds: Infinity }, RangeError, "leaseSeconds takes a whole number from 0 to 4294967295, found Infinity"],
    [{ yourAddress: "192.168.64" }, TypeError, "yourAddress"],
    [{ clientMac: "52:54" }, TypeError, "clientMac"],
    [{ bootFile: "f".repeat(129) }, RangeError, "bootFile takes 128 bytes at most, found 129"],
    [{ clientHardwareAddress: new Uint8Array(17) }, RangeError, "clientHardwareAddress takes 16 bytes at most"],
    [{ hostName: 1 }, TypeError, "hostName takes text or bytes, found number"],
    [{ clientId: "ab" }, TypeError, "clientId takes a Uint8Array"],
    [{ parameterList: [256] }, RangeError, "parameterList takes"],
    [
      { classlessRoutes: [{ destination: "10.0.0.0", prefixLength: 33, router: "10.0.0.1" }] },
      RangeError,
      "prefixLength",
    ],
    [{ mtu: 1500, options: new Map([[26, hex("05dc")]]) }, TypeError, "option 26 is in options, and mtu is given"],
    [{ options: new Map([[255, hex("")]]) }, TypeError, "option 255 is in options, and the end is given"],
    [{ options: new Map([[256, hex("")]]) }, RangeError, "code of an option takes"],
    [{ isBootp: true, mtu: 1500 }, TypeError, "isBootp leaves no place for options"],
  ];
  for (const [options, type, text] of cases) assertThrows(() => dhcp(options as DhcpOptions), type, text);
});

test("Duid tells its kinds apart", () => {
  const llt = Duid.parse("00:01:00:01:00:00:00:01:52:54:00:12:34:56");
  assertEquals([llt.kind, llt.hardwareType, llt.time?.toISOString()], ["LLT", 1, "2000-01-01T00:00:01.000Z"]);
  const en = new Duid(hex("0002 0000ab11 f5dd7f00"));
  assertEquals([en.kind, en.enterprise, en.mac, en.linkLayerAddress, en.time], [
    "EN",
    0xab11,
    undefined,
    undefined,
    undefined,
  ]);
  const ll = Duid.ofMac("52:54:00:12:34:56");
  assertEquals([ll.kind, `${ll}`, `${ll.mac}`], ["LL", "00:03:00:01:52:54:00:12:34:56", "52:54:00:12:34:56"]);
  const uuid = new Duid(hex("0004 00112233445566778899aabbccddeeff"));
  assertEquals([uuid.kind, uuid.uuid], ["UUID", "00112233-4455-6677-8899-aabbccddeeff"]);
  const other = new Duid(hex("0009 01"));
  assertEquals([other.kind, other.uuid, other.enterprise, other.hardwareType], [
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
  assertEquals(JSON.stringify({ ll }), '{"ll":"00:03:00:01:52:54:00:12:34:56"}');
});

test("Duid puts up with bytes that are too few for their kind", () => {
  for (const digits of ["000100", "0001000100000000", "000200", "000300", "00030001", "000401"]) {
    const duid = new Duid(hex(digits));
    assertEquals([duid.mac, duid.linkLayerAddress, duid.enterprise, duid.uuid], [
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  }
  assertThrows(() => new Duid(hex("0001")), PacketError, "2 bytes, not 3 at least");
  assertThrows(() => Duid.parse("0:1"), TypeError, 'Cannot parse DUID "0:1"');
  assertEquals(["", "00:01:g0", "000:1:2", "1:2:3:"].map((text) => Duid.tryParse(text)), [
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
  assertEquals(`${Duid.tryParse("0:1:2")}`, "00:01:02");
});

test("Dhcp takes time that grows with the message when a long text is full of zeros", () => {
  const text = new Uint8Array(60_000);
  text[text.length - 1] = 97;
  const message = encoded(dhcp({ options: new Map([[DhcpOptionCode.hostName, text]]), length: 0 }));
  const begin = performance.now();
  assertEquals(new Dhcp(message).hostName?.length, text.length);
  assertLess(performance.now() - begin, 500); // to look for the last zeros from each of them would take seconds
});

test("dhcp() takes what a message does not have as not given", () => {
  const { clientMac, clientId, requestedAddress, hostName } = new Dhcp(encoded(dhcp({ hardwareType: 6 })));
  const again = dhcp({ hardwareType: 6, clientMac, clientId, requestedAddress, hostName });
  assertEquals(encoded(again), encoded(dhcp({ hardwareType: 6 })));
});
