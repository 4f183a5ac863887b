// SPDX-License-Identifier: MIT

// Against dns-packet, both ways: what the one writes the other reads, whatever the records are

import { Buffer } from "node:buffer";
import process from "node:process";
import { test } from "node:test";
import { assertEquals } from "@std/assert";
import dnsPacket from "dns-packet";
import fc, { type Arbitrary } from "fast-check";
import { Dns, dns, type DnsOptions, type DnsRecord, type DnsRecordOptions, encoded } from "vmnet/packet";
import { domainName, word } from "./messages.ts";

const RUNS = process.env.VMNET_LONG === "1" ? 20_000 : 500;

const u8 = fc.integer({ min: 0, max: 0xff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const bytes = fc.uint8Array({ minLength: 1, maxLength: 40 });
const name = fc.oneof({ weight: 9, arbitrary: domainName }, { weight: 1, arbitrary: fc.constant(".") });
const ipv4 = fc.ipV4();
const ipv6 = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((address) => {
  const groups = Array.from({ length: 8 }, (_, i) => (address[2 * i]! << 8 | address[2 * i + 1]!).toString(16));
  return groups.join(":");
});

/** A record's type and data as this library takes them. */
type Typed = Pick<DnsRecordOptions, "type" | "data">;

const typed = <T extends DnsRecordOptions["type"]>(type: T, data: Arbitrary<unknown>): Arbitrary<Typed> =>
  data.map((data) => ({ type, data }) as Typed);

const data: Arbitrary<Typed> = fc.oneof(
  typed("TYPE65280", bytes),
  typed("A", ipv4),
  typed("AAAA", ipv6),
  typed("NS", name),
  typed("CNAME", name),
  typed("PTR", name),
  typed("DNAME", name),
  typed(
    "SOA",
    fc.record({
      primary: name,
      mailbox: domainName,
      serial: u32,
      refresh: u32,
      retry: u32,
      expire: u32,
      minimum: u32,
    }),
  ),
  typed("MX", fc.record({ preference: u16, exchange: name })),
  typed("TXT", fc.array(bytes, { minLength: 1, maxLength: 4 })),
  typed("SRV", fc.record({ priority: u16, weight: u16, port: u16, target: name })),
  typed(
    "NAPTR",
    fc.record({
      order: u16,
      preference: u16,
      flags: word(0, 4),
      services: word(0, 9),
      regexp: word(0, 20),
      replacement: name,
    }),
  ),
  typed(
    "CAA",
    fc.record({ flags: fc.constantFrom(0, 128), tag: fc.constantFrom("issue", "iodef"), value: word(0, 30) }),
  ),
  typed("DS", fc.record({ keyTag: u16, algorithm: u8, digestType: u8, digest: bytes })),
  typed("DNSKEY", fc.record({ flags: u16, protocol: fc.constant(3), algorithm: u8, publicKey: bytes })),
  typed(
    "RRSIG",
    fc.record({
      typeCovered: fc.constantFrom("A", "AAAA", "SOA", "TXT"),
      algorithm: u8,
      labels: u8,
      originalTtl: u32,
      expiration: u32,
      inception: u32,
      keyTag: u16,
      signer: name,
      signature: bytes,
    }),
  ),
  typed(
    "NSEC",
    fc.record({
      next: name,
      types: fc.subarray(["A", "NS", "SOA", "MX", "TXT", "AAAA", "SRV", "RRSIG", "NSEC", "CAA"], { minLength: 1 }),
    }),
  ),
);

const record: Arbitrary<DnsRecordOptions> = fc
  .record({
    name,
    class: fc.constantFrom("IN" as const, "CH" as const, "HS" as const),
    ttl: u32,
    isCacheFlush: fc.boolean(),
    typed: data,
  })
  .map(({ typed, ...head }) => ({ ...head, ...typed }) as DnsRecordOptions);

const opt: Arbitrary<DnsRecordOptions> = fc
  .record({
    udpPayloadSize: fc.integer({ min: 512, max: 0xffff }),
    extendedResponseCode: u8,
    flags: u16,
    // Codes in which dns-packet sees nothing but bytes
    // dns-packet has names for some codes, 20292 and 26946 among them
    options: fc.array(fc.record({ code: fc.integer({ min: 100, max: 20_000 }), value: bytes }), { maxLength: 3 }),
  })
  .map((data) => ({ name: ".", type: "OPT", data }));

const message: Arbitrary<DnsOptions> = fc.record({
  id: u16,
  isResponse: fc.boolean(),
  isRecursionDesired: fc.boolean(),
  isAuthoritative: fc.boolean(),
  isTruncated: fc.boolean(),
  isRecursionAvailable: fc.boolean(),
  isAuthenticData: fc.boolean(),
  isCheckingDisabled: fc.boolean(),
  questions: fc.array(
    fc.record({
      name,
      type: fc.constantFrom("A" as const, "AAAA" as const, "MX" as const),
      class: fc.constant("IN" as const),
    }),
    { maxLength: 3 },
  ),
  answers: fc.array(record, { maxLength: 5 }),
  authorities: fc.array(record, { maxLength: 2 }),
  additionals: fc.tuple(fc.array(record, { maxLength: 2 }), fc.array(opt, { maxLength: 1 })).map((parts) =>
    parts.flat()
  ),
  compress: fc.boolean(),
});

/** Data in the form of dns-packet. */
function theirData(record: DnsRecordOptions): unknown {
  switch (record.type) {
    case "SOA": {
      const { primary: mname, mailbox: rname, ...numbers } = record.data;
      return { mname, rname, ...numbers };
    }
    case "TXT":
      return record.data.map((text) => Buffer.from(text));
    case "CAA":
      return { ...record.data, issuerCritical: record.data.flags === 128 };
    case "DS":
      return { ...record.data, digest: Buffer.from(record.data.digest) };
    case "DNSKEY":
      return { flags: record.data.flags, algorithm: record.data.algorithm, key: Buffer.from(record.data.publicKey) };
    case "RRSIG": {
      const { originalTtl: originalTTL, signer: signersName, signature, ...same } = record.data;
      return { ...same, originalTTL, signersName, signature: Buffer.from(signature) };
    }
    case "NSEC":
      return { nextDomain: record.data.next, rrtypes: record.data.types };
    default:
      return record.data instanceof Uint8Array ? Buffer.from(record.data) : record.data;
  }
}

/** A record in the form of dns-packet. */
function theirs(record: DnsRecordOptions): unknown {
  const { name } = record;
  const type = record.type.replace(/^TYPE/, "UNKNOWN_");
  if (record.type !== "OPT") {
    const { class: klass = "IN", ttl = 0, isCacheFlush: flush = false } = record;
    return { name, type, class: klass, ttl, flush, data: theirData(record) };
  }
  const { udpPayloadSize, extendedResponseCode: extendedRcode, flags = 0, options = [] } = record.data;
  const list = options.map(({ code, value }) => ({ code, type: "OPTION_" + code, data: Buffer.from(value) }));
  return { name, type, udpPayloadSize, extendedRcode, ednsVersion: 0, flags, flag_do: flags >= 0x8000, options: list };
}

const sections = ["answers", "authorities", "additionals"] as const;

/**
 * What both ways have to agree on, in a form that compares: addresses as their bytes, numbers of options without
 * names.
 */
const plain = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (key, value) => {
    if (key === "type" && typeof value === "string" && value.startsWith("OPTION_")) return undefined;
    if (typeof value === "string" && value.includes(":") && !value.includes(" ")) return compact(value);
    return value;
  }));

/** Addresses of IPv6 in the form of the URL standard, which both sides' forms become. */
function compact(text: string): string {
  try {
    return new URL(`http://[${text}]`).hostname;
  } catch {
    return text;
  }
}

const FLAGS = {
  isAuthoritative: dnsPacket.AUTHORITATIVE_ANSWER,
  isTruncated: dnsPacket.TRUNCATED_RESPONSE,
  isRecursionDesired: dnsPacket.RECURSION_DESIRED,
  isRecursionAvailable: dnsPacket.RECURSION_AVAILABLE,
  isAuthenticData: dnsPacket.AUTHENTIC_DATA,
  isCheckingDisabled: dnsPacket.CHECKING_DISABLED,
} as const;

function theirMessage(options: DnsOptions): dnsPacket.Packet {
  let flags = 0;
  for (const [field, bit] of Object.entries(FLAGS)) flags |= options[field as keyof typeof FLAGS] ? bit : 0;
  return {
    type: options.isResponse ? "response" : "query",
    id: options.id,
    flags,
    questions: options.questions,
    answers: options.answers?.map(theirs),
    authorities: options.authorities?.map(theirs),
    additionals: options.additionals?.map(theirs),
  } as dnsPacket.Packet;
}

test("dns() writes what dns-packet reads, whatever the records are", () => {
  fc.assert(
    fc.property(message, (options) => {
      const read = dnsPacket.decode(Buffer.from(encoded(dns(options))));
      const wanted = theirMessage(options);
      assertEquals([read.id, read.type, (read.flags ?? 0) & 0x07b0], [wanted.id, wanted.type, wanted.flags]);
      assertEquals(plain(read.questions), plain(options.questions));
      for (const section of sections) assertEquals(plain(read[section]), plain(wanted[section]), section);
    }),
    { numRuns: RUNS },
  );
});

test("Dns reads what dns-packet writes, whatever the records are", () => {
  fc.assert(
    fc.property(message, (options) => {
      const bytes = new Uint8Array(dnsPacket.encode(theirMessage(options)));
      const message = new Dns(bytes);
      assertEquals([message.id, message.isResponse], [options.id, options.isResponse]);
      for (const field of Object.keys(FLAGS) as (keyof typeof FLAGS)[]) assertEquals(message[field], options[field]);
      for (const section of sections) {
        const read = message[section].map((record: DnsRecord) => theirs(record));
        assertEquals(plain(read), plain(theirMessage(options)[section]), section);
      }
      // And writes it again, byte for byte: dns-packet never shares names
      assertEquals(
        encoded(dns({
          id: message.id,
          flags: message.flags,
          questions: message.questions,
          answers: message.answers,
          authorities: message.authorities,
          additionals: message.additionals,
          compress: false,
        })),
        bytes,
      );
    }),
    { numRuns: RUNS },
  );
});
