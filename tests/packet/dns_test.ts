// SPDX-License-Identifier: MIT

import { test } from "node:test";
import { assert, assertEquals, assertGreater, assertThrows } from "@std/assert";
import {
  Dns,
  dns,
  DnsOpcode,
  type DnsOptions,
  type DnsRecord,
  type DnsRecordOptions,
  DnsResponseCode,
  encoded,
  PacketError,
} from "vmnet/packet";
import { assertAgain, assertHolds, dnsHeader as header, hex, number, text } from "./message_bytes.ts";

/** A response whose one answer, of the root, has this type and data. */
const answer = (type: number, data: string) =>
  hex(header("8400", 0, 1, 0, 0), "00", number(type, 2), "0001 0000003c", number(hex(data).length, 2), data);

const query = hex(
  "abcd 0120 0001 0000 0000 0001 07 6578616d706c65 03 6f7267 00 0001 0001",
  "00 0029 04d0 00 00 8000 000c 000a 0008 0102030405060708",
);

/** An answer by way of an alias, names shared as servers do it. */
const response = hex(
  `${header("8180", 1, 2, 1, 1)} 03 777777 07 6578616d706c65 03 6f7267 00 001c 0001`,
  "c00c 0005 0001 00000e10 0006 03 776562 c010",
  "c02d 001c 0001 0000003c 0010 20010db8000000000000000000000001",
  "c010 0006 0001 00000258 0021 02 6e73 c010 05 61646d696e c010 00000001 00001c20 00000e10 00127500 0000003c",
  "c05b 0001 0001 0000012c 0004 c0000235",
);

/** What a printer says of itself, with the cache-flush bit and a pointer in SRV, which only multicast DNS may have. */
const multicast = hex(
  "0000 8400 0000 0004 0000 0001",
  "04 5f697070 04 5f746370 05 6c6f63616c 00 000c 0001 00001194 000d 0a 4d79205072696e746572 c00c",
  "c027 0021 8001 00000078 000e 0000 0000 0277 05 70726e7472 c016",
  "c027 0010 8001 00001194 000a 09 747874766572733d31",
  "c046 0001 8001 00000078 0004 c0a84009",
  "c027 002f 8001 00000078 0009 c027 0005 0000800040",
);

/** An update (RFC 2136): a zone, what must not exist, what is deleted and what is added. */
const update = hex(
  `${header("2800", 1, 1, 2, 0)} 04 686f6d65 00 0006 0001`,
  "02 7631 c00c 0005 00fe 00000000 0000",
  "c016 0001 00ff 00000000 0000",
  "c016 0001 0001 00000e10 0004 0a000001",
);

const open = (bytes: Uint8Array, start?: number, end?: number) => new Dns(bytes, start, end);

/** Options that make a message say the same. */
const again = (message: Dns): DnsOptions => ({
  id: message.id,
  flags: message.flags,
  questions: message.questions,
  answers: message.answers,
  authorities: message.authorities,
  additionals: message.additionals,
});

test("Dns reads a question with EDNS", () => {
  const message = new Dns(query);
  assertEquals([message.id, message.flags, message.opcode, message.responseCode], [0xabcd, 0x0120, 0, 0]);
  assertEquals([message.isResponse, message.isRecursionDesired, message.isAuthenticData], [false, true, true]);
  assertEquals(message.questions, [{ name: "example.org", type: "A", class: "IN", isUnicastWanted: false }]);
  assertEquals(message.answers, []);
  assertEquals(message.edns, {
    udpPayloadSize: 1232,
    extendedResponseCode: 0,
    version: 0,
    flags: 0x8000,
    isDnssecOk: true,
    options: [{ code: 10, value: hex("0102030405060708") }],
  });
});

test("Dns reads an answer by way of an alias", () => {
  const message = new Dns(response);
  assertEquals(message.questions[0]!.name, "www.example.org");
  const head = { class: "IN", isCacheFlush: false };
  assertEquals(JSON.parse(JSON.stringify(message.answers)), [
    { name: "www.example.org", type: "CNAME", ...head, ttl: 3600, data: "web.example.org" },
    { name: "web.example.org", type: "AAAA", ...head, ttl: 60, data: "2001:db8::1" },
  ]);
  assertEquals(message.authorities[0]!.data as unknown, {
    primary: "ns.example.org",
    mailbox: "admin.example.org",
    serial: 1,
    refresh: 7200,
    retry: 3600,
    expire: 1209600,
    minimum: 60,
  });
  const [glue] = message.additionals;
  assert(glue?.type === "A");
  assertEquals(`${glue.name} ${glue.data}`, "ns.example.org 192.0.2.53");
});

test("Dns reads sections in any order, once", () => {
  const message = new Dns(response);
  assertEquals(message.additionals.length, 1);
  assertEquals(message.questions.length, 1);
  assert(message.answers === message.answers && message.questions === message.questions);
});

test("Dns reads multicast DNS with its bits and pointers", () => {
  const message = new Dns(multicast);
  const [pointer, service, texts, address] = message.answers;
  assertEquals([pointer?.data as string, pointer?.isCacheFlush], ["My\\032Printer._ipp._tcp.local", false]);
  assert(service?.type === "SRV" && texts?.type === "TXT" && address?.type === "A");
  assertEquals([service.class, service.isCacheFlush, service.name], ["IN", true, "My\\032Printer._ipp._tcp.local"]);
  assertEquals(service.data, { priority: 0, weight: 0, port: 631, target: "prntr.local" });
  assertEquals(texts.data, [hex(text("txtvers=1"))]);
  assertEquals(`${address.name} ${address.data}`, "prntr.local 192.168.64.9");
  const [nsec] = message.additionals;
  assert(nsec?.type === "NSEC");
  assertEquals(nsec.data, { next: "My\\032Printer._ipp._tcp.local", types: ["TXT", "SRV"] });
  const asked = new Dns(hex(header("0000", 1, 0, 0, 0), "01 61 00 00ff 8001"));
  assertEquals(asked.questions, [{ name: "a", type: "ANY", class: "IN", isUnicastWanted: true }]);
});

test("Dns reads an update, whose records may be of nothing", () => {
  const message = new Dns(update);
  assertEquals(message.opcode, DnsOpcode.update);
  const [absent] = message.answers;
  assertEquals([absent?.type, absent?.class, absent?.data as unknown], ["TYPE5", "NONE", new Uint8Array(0)]);
  const [deleted, added] = message.authorities;
  assertEquals([deleted?.name, deleted?.type, deleted?.class], ["v1.home", "TYPE1", "ANY"]);
  assertEquals(`${added?.type} ${added?.data}`, "A 10.0.0.1");
});

test("Dns reads and dns() writes the data of every type", () => {
  const foo = "03 666f6f 07 6578616d706c65 03 636f6d 00";
  const service = (type: "SVCB" | "HTTPS", priority: number, target: string, ...parameters: unknown[]) =>
    ({ type, data: { priority, target, parameters } }) as unknown as Pick<DnsRecord, "type" | "data">;
  const cases: [type: number, data: string, record: Pick<DnsRecordOptions, "type" | "data">][] = [
    [1, "c0000201", { type: "A", data: "192.0.2.1" }],
    [28, "20010db8000000000000000000000001", { type: "AAAA", data: "2001:db8::1" }],
    [2, foo, { type: "NS", data: "foo.example.com" }],
    [39, foo, { type: "DNAME", data: "foo.example.com" }],
    [12, "00", { type: "PTR", data: "." }],
    [15, `000a ${foo}`, { type: "MX", data: { preference: 10, exchange: "foo.example.com" } }],
    [16, "00 03 61c3a9", { type: "TXT", data: [new Uint8Array(0), hex("61c3a9")] }],
    [33, `0001 0002 1f90 ${foo}`, {
      type: "SRV",
      data: { priority: 1, weight: 2, port: 8080, target: "foo.example.com" },
    }],
    [35, `0064 000a 01 53 07 5349502b443255 00 ${foo}`, {
      type: "NAPTR",
      data: { order: 100, preference: 10, flags: "S", services: "SIP+D2U", regexp: "", replacement: "foo.example.com" },
    }],
    [257, `80 05 ${text("issue")} ${text("ca.example")}`, {
      type: "CAA",
      data: { flags: 128, tag: "issue", value: "ca.example" },
    }],
    // RFC 4034, section 5.4
    [43, "ec45 05 01 2bb183af5f22588179a53b0a98631fad1a292118", {
      type: "DS",
      data: { keyTag: 60485, algorithm: 5, digestType: 1, digest: hex("2bb183af5f22588179a53b0a98631fad1a292118") },
    }],
    [48, "0101 03 0d 0011", {
      type: "DNSKEY",
      data: { flags: 257, protocol: 3, algorithm: 13, publicKey: hex("0011") },
    }],
    // RFC 4034, section 4.3
    [47, `04 ${text("host")} 07 6578616d706c65 03 636f6d 00 0006 400100000003 041b ${"00".repeat(26)} 20`, {
      type: "NSEC",
      data: { next: "host.example.com", types: ["A", "MX", "RRSIG", "NSEC", "TYPE1234"] },
    }],
    [46, `0001 05 03 00015180 3e7c0ec4 3e548144 0a52 07 6578616d706c65 03 636f6d 00 a1b2`, {
      type: "RRSIG",
      data: {
        typeCovered: "A",
        algorithm: 5,
        labels: 3,
        originalTtl: 86400,
        expiration: 0x3e7c0ec4,
        inception: 0x3e548144,
        keyTag: 2642,
        signer: "example.com",
        signature: hex("a1b2"),
      },
    }],
    // RFC 9460, appendix D
    [65, `0000 ${foo}`, service("HTTPS", 0, "foo.example.com")],
    [64, "0001 00", service("SVCB", 1, ".")],
    [64, `0010 ${foo} 0003 0002 0035`, service("SVCB", 16, "foo.example.com", { key: "port", value: 53 })],
    [
      64,
      `0001 ${foo} 029b 0005 ${text("hello")}`,
      service("SVCB", 1, "foo.example.com", { key: "key667", value: hex(text("hello")) }),
    ],
    [
      64,
      `0001 ${foo} 0006 0020 20010db8000000000000000000000001 20010db8000000000000000000530001`,
      service("SVCB", 1, "foo.example.com", { key: "ipv6hint", value: ["2001:db8::1", "2001:db8::53:1"] }),
    ],
    [
      65,
      `0010 ${foo.replace("636f6d", "6f7267")} 0000 0004 00010004 0001 0009 02 6832 05 68332d3139 0004 0004 c0000201`,
      service(
        "HTTPS",
        16,
        "foo.example.org",
        { key: "mandatory", value: ["alpn", "ipv4hint"] },
        { key: "alpn", value: ["h2", "h3-19"] },
        { key: "ipv4hint", value: ["192.0.2.1"] },
      ),
    ],
    [
      65,
      "0001 00 0001 0003 02 6832 0002 0000 0005 0002 fe0d",
      service(
        "HTTPS",
        1,
        ".",
        { key: "alpn", value: ["h2"] },
        { key: "no-default-alpn", value: true },
        { key: "ech", value: hex("fe0d") },
      ),
    ],
    [52, "0301 01 abcd", { type: "TLSA", data: hex("030101abcd") }],
    [65280, "0102", { type: "TYPE65280", data: hex("0102") }],
    [10, "", { type: "NULL", data: new Uint8Array(0) }],
  ];
  for (const [type, data, expected] of cases) {
    const bytes = answer(type, data);
    const [record] = new Dns(bytes).answers;
    assertEquals(JSON.stringify(record?.data), JSON.stringify(expected.data), `${expected.type} ${data}`);
    assertEquals([record?.type, record?.name, record?.ttl], [expected.type, ".", 60]);
    const written = { ...expected, name: ".", ttl: 60 } as DnsRecordOptions;
    const options = { id: 0x1234, flags: 0x8400, compress: false };
    assertEquals(encoded(dns({ ...options, answers: [written] })), bytes);
    assertEquals(encoded(dns({ ...options, answers: [record!] })), bytes);
    assertGreater(assertHolds(bytes, open), 0);
  }
});

test("dns() writes the bytes that Dns has read, wherever they lie", () => {
  for (const message of [query, response, update]) assertAgain(message, open, (view) => dns(again(view)));
  // What multicast DNS shares in SRV and NSEC is written in full, which says the same
  const full = encoded(dns(again(new Dns(multicast))));
  assertEquals(again(new Dns(full)), again(new Dns(multicast)));
});

test("Dns throws nothing but PacketError when a message is cut or changed anywhere", () => {
  for (const message of [query, response, multicast, update]) assertGreater(assertHolds(message, open), 1000);
});

test("Dns does not believe counts that cannot be", () => {
  for (const counts of [[65535, 0, 0, 0], [0, 65535, 0, 0], [0, 0, 0, 65535], [0, 0, 1, 0]]) {
    const message = new Dns(hex(header("0000", ...counts)));
    assertThrows(() => message.additionals, PacketError, "cannot be");
    assertThrows(() => message.additionals, PacketError, "cannot be");
  }
  assertThrows(() => new Dns(new Uint8Array(11)), PacketError, "needs 12 bytes");
});

test("Dns throws PacketError when data have a wrong length", () => {
  const cases: [number, string][] = [[1, "c00002"], [1, "c000020100"], [28, "00"], [16, "0261"], [47, "00 0000"], [
    64,
    "0001 00 0003 0001 35",
  ]];
  for (const [type, data] of cases) assertThrows(() => new Dns(answer(type, data)).answers, PacketError);
  // What comes before still is there
  const cut = new Dns(response.subarray(0, 60));
  assertEquals(cut.questions.length, 1);
  const error = assertThrows(() => cut.answers, PacketError);
  assert(assertThrows(() => cut.edns, PacketError) === error);
  assertEquals(cut.questions.length, 1);
});

test("dns() writes flags by name", () => {
  const bytes = encoded(
    dns({ flags: 0x0040, isResponse: true, opcode: DnsOpcode.notify, responseCode: DnsResponseCode.refused }),
  );
  const message = new Dns(bytes);
  assertEquals(message.flags, 0x8000 | 4 << 11 | 0x0040 | 5);
  assertEquals([message.opcode, message.responseCode], [4, 5]);
  const all = new Dns(encoded(dns({
    isAuthoritative: true,
    isTruncated: true,
    isRecursionDesired: true,
    isRecursionAvailable: true,
    isAuthenticData: true,
    isCheckingDisabled: true,
  })));
  assertEquals(all.flags, 0x07b0);
  assertEquals([all.isAuthoritative, all.isTruncated, all.isRecursionAvailable, all.isCheckingDisabled], [
    true,
    true,
    true,
    true,
  ]);
  assertEquals(encoded(dns()), new Uint8Array(12));
});

test("dns() writes the same fields wherever a message outgrows its buffer", () => {
  const data = {
    primary: "a",
    mailbox: "b",
    serial: 0x01020304,
    refresh: 0x05060708,
    retry: 0x090a0b0c,
    expire: 0x0d0e0f10,
    minimum: 0x11121314,
  };
  // Each length puts every field across the end of the first 512 bytes once
  for (let before = 400; before < 520; before++) {
    const filler = { name: ".", type: "TYPE65280" as const, data: new Uint8Array(before) };
    const answers = [filler, { name: "a", type: "SOA" as const, ttl: 0x15161718, data }];
    const [, soa] = new Dns(encoded(dns({ answers }))).answers;
    assertEquals([soa?.type, soa?.ttl, soa?.data as unknown], ["SOA", 0x15161718, data], `behind ${before} bytes`);
  }
});

test("dns() refuses what does not fit and says what would", () => {
  const question = (name: string) => () => dns({ questions: [{ name }] });
  const record = (rest: object) => () => dns({ answers: [{ name: "a", ...rest } as unknown as DnsRecordOptions] });
  const cases: [() => unknown, typeof TypeError | typeof RangeError, string][] = [
    [() => dns({ id: 65536 }), RangeError, "id takes a whole number from 0 to 65535, found 65536"],
    [() => dns({ opcode: 16 }), RangeError, "opcode takes a whole number from 0 to 15, found 16"],
    [question("a..b"), RangeError, 'labels of at least one byte, found "a..b"'],
    [question("x".repeat(64)), RangeError, "labels of at most 63 bytes"],
    [question("abcdefg.".repeat(32)), RangeError, "at most 255 bytes"],
    [question("a\\"), RangeError, "behind a backslash"],
    [question("a\\25"), RangeError, "behind a backslash"],
    [question("a\\256"), RangeError, "behind a backslash"],
    [question(undefined!), TypeError, "name takes a domain name, found undefined"],
    [
      record({ type: "a", data: "192.0.2.1" }),
      TypeError,
      'type takes a mnemonic such as "A" or TYPE with a number, found "a"',
    ],
    [record({ type: "TYPE70000", data: new Uint8Array(0) }), RangeError, "0 to 65535, found 70000"],
    [record({ type: "A", class: "XX", data: "192.0.2.1" }), TypeError, 'class takes a mnemonic such as "IN"'],
    [record({ type: "A", data: "192.0.2" }), TypeError, "data"],
    [record({ type: "SOA" }), TypeError, "data takes that of a record of type SOA, found undefined"],
    [record({ type: "TXT", data: ["x".repeat(256)] }), RangeError, "length of data"],
    [record({ type: "TLSA", data: "00" }), TypeError, "data takes a Uint8Array, found string"],
    [record({ type: "CAA", data: { flags: 0, tag: "€", value: "" } }), RangeError, "characters up to U+00FF"],
    [
      record({ type: "HTTPS", data: { priority: 1, target: ".", parameters: [{ key: "x" }] } }),
      TypeError,
      "key takes one of",
    ],
    [record({ type: "A", ttl: -1, data: "192.0.2.1" }), RangeError, "ttl takes a whole number"],
  ];
  for (const [call, type, message] of cases) assertThrows(call, type, message);
});

test("Dns reads the windows of an NSEC record in their order only", () => {
  const message = (windows: string) => {
    const length = number(hex("00", windows).length, 2);
    return new Dns(hex(header("0000", 0, 1, 0, 0), "00 002f 0001 00000000", length, "00", windows));
  };
  const [record] = message("00 01 40 04 01 80").answers;
  assertEquals(record!.type === "NSEC" && record!.data.types, ["A", "TYPE1024"]);
  for (const wrong of ["00 01 40 00 01 20", "04 01 80 00 01 40"]) {
    assertThrows(() => message(wrong).answers, PacketError, "follows window");
  }
  for (const wrong of ["00 00", `00 21 ${"00".repeat(33)}`]) {
    assertThrows(() => message(wrong).answers, PacketError, "not 1 to 32");
  }
  const full = (count: number) =>
    Array.from({ length: count }, (_, i) => `${number(i, 1)} 20 ${"ff".repeat(32)}`).join(" ");
  const [all] = message(full(16)).answers;
  assertEquals(all!.type === "NSEC" && all!.data.types.length, 4096);
  assertThrows(() => message(full(17)).answers, PacketError, "more than 4096 types");
});
