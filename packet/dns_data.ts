// SPDX-License-Identifier: MIT

/**
 * Data of records, each type in its own form.
 *
 * Names are read with pointers everywhere, as multicast DNS writes them everywhere, and written with pointers where
 * every resolver knows of them: in the types of RFC 1035 (RFC 3597, section 4).
 *
 * @module
 */

import type { ByteReader } from "./byte_reader.ts";
import { type ByteWriter, readLatin, toBytes, toLatin } from "./byte_writer.ts";
import { type NameCache, readName, writeName } from "./dns_name.ts";
import type { DnsData, DnsDataOptions, DnsEdns } from "./dns_records.ts";
import { readServiceParameter, writeServiceParameters } from "./dns_service.ts";
import { type DnsType, typeName, typeNamesOf, typeNumber } from "./dns_types.ts";
import { uint, withBits } from "./field.ts";
import { toIpv4, toIpv6 } from "./ip_address.ts";

/** Offsets of the names that a message has so far; absent if names are not to be shared. */
export type KnownNames = Map<string, number> | undefined;

/** Reads and writes the data of one type. */
interface Codec<Read, Written> {
  /** Reads it; it may leave bytes, which is then an error. */
  read(reader: ByteReader, names: NameCache): Read;
  /** Writes it. */
  write(writer: ByteWriter, data: Written, known: KnownNames): void;
}

/** All but OPT, whose data are also in the fields before. */
type DataType = Exclude<keyof DnsData, "OPT">;

const sharedName: Codec<string, string> = {
  read: readName,
  write: (writer, data, known) => writeName(writer, "data", data, known),
};

const service: Codec<DnsData["HTTPS"], DnsDataOptions["HTTPS"]> = {
  read: (reader, names) => ({
    priority: reader.u16(),
    target: readName(reader, names),
    parameters: reader.all(readServiceParameter),
  }),
  write(writer, data) {
    writer.u16("priority", data.priority);
    writeName(writer, "target", data.target);
    writeServiceParameters(writer, data.parameters);
  },
};

const codecs: { readonly [T in DataType]: Codec<DnsData[T], DnsDataOptions[T]> } = {
  A: {
    read: (reader) => reader.ipv4(),
    write: (writer, data) => writer.address(toIpv4(data, "data")),
  },
  AAAA: {
    read: (reader) => reader.ipv6(),
    write: (writer, data) => writer.address(toIpv6(data, "data")),
  },
  NS: sharedName,
  CNAME: sharedName,
  PTR: sharedName,
  DNAME: { read: readName, write: (writer, data) => writeName(writer, "data", data) },
  SOA: {
    read: (reader, names) => ({
      primary: readName(reader, names),
      mailbox: readName(reader, names),
      serial: reader.u32(),
      refresh: reader.u32(),
      retry: reader.u32(),
      expire: reader.u32(),
      minimum: reader.u32(),
    }),
    write(writer, data, known) {
      writeName(writer, "primary", data.primary, known);
      writeName(writer, "mailbox", data.mailbox, known);
      for (const field of ["serial", "refresh", "retry", "expire", "minimum"] as const) writer.u32(field, data[field]);
    },
  },
  MX: {
    read: (reader, names) => ({ preference: reader.u16(), exchange: readName(reader, names) }),
    write(writer, data, known) {
      writer.u16("preference", data.preference);
      writeName(writer, "exchange", data.exchange, known);
    },
  },
  TXT: {
    read: (reader) => reader.all((list) => list.view(list.u8())),
    write(writer, data) {
      for (const text of data) writer.counted8("data", () => writer.raw(toBytes("dns", "data", text)));
    },
  },
  SRV: {
    read: (reader, names) => ({
      priority: reader.u16(),
      weight: reader.u16(),
      port: reader.u16(),
      target: readName(reader, names),
    }),
    write(writer, data) {
      for (const field of ["priority", "weight", "port"] as const) writer.u16(field, data[field]);
      writeName(writer, "target", data.target);
    },
  },
  NAPTR: {
    read: (reader, names) => ({
      order: reader.u16(),
      preference: reader.u16(),
      flags: readLatin(reader.view(reader.u8())),
      services: readLatin(reader.view(reader.u8())),
      regexp: readLatin(reader.view(reader.u8())),
      replacement: readName(reader, names),
    }),
    write(writer, data) {
      for (const field of ["order", "preference"] as const) writer.u16(field, data[field]);
      for (const field of ["flags", "services", "regexp"] as const) {
        writer.counted8(field, () => writer.raw(toLatin("dns", field, data[field])));
      }
      writeName(writer, "replacement", data.replacement);
    },
  },
  CAA: {
    read: (reader) => ({
      flags: reader.u8(),
      tag: readLatin(reader.view(reader.u8())),
      value: readLatin(reader.view()),
    }),
    write(writer, data) {
      writer.u8("flags", data.flags);
      writer.counted8("tag", () => writer.raw(toLatin("dns", "tag", data.tag)));
      writer.raw(toLatin("dns", "value", data.value));
    },
  },
  DS: {
    read: (reader) => ({
      keyTag: reader.u16(),
      algorithm: reader.u8(),
      digestType: reader.u8(),
      digest: reader.view(),
    }),
    write(writer, data) {
      writer.u16("keyTag", data.keyTag);
      writer.u8("algorithm", data.algorithm);
      writer.u8("digestType", data.digestType);
      writer.bytes("digest", data.digest);
    },
  },
  DNSKEY: {
    read: (reader) => ({
      flags: reader.u16(),
      protocol: reader.u8(),
      algorithm: reader.u8(),
      publicKey: reader.view(),
    }),
    write(writer, data) {
      writer.u16("flags", data.flags);
      writer.u8("protocol", data.protocol);
      writer.u8("algorithm", data.algorithm);
      writer.bytes("publicKey", data.publicKey);
    },
  },
  RRSIG: {
    read: (reader, names) => ({
      typeCovered: typeName(reader.u16()),
      algorithm: reader.u8(),
      labels: reader.u8(),
      originalTtl: reader.u32(),
      expiration: reader.u32(),
      inception: reader.u32(),
      keyTag: reader.u16(),
      signer: readName(reader, names),
      signature: reader.view(),
    }),
    write(writer, data) {
      writer.u16("typeCovered", typeNumber("typeCovered", data.typeCovered));
      writer.u8("algorithm", data.algorithm);
      writer.u8("labels", data.labels);
      for (const field of ["originalTtl", "expiration", "inception"] as const) writer.u32(field, data[field]);
      writer.u16("keyTag", data.keyTag);
      writeName(writer, "signer", data.signer);
      writer.bytes("signature", data.signature);
    },
  },
  NSEC: {
    read: (reader, names) => ({ next: readName(reader, names), types: readTypes(reader, names) }),
    write(writer, data) {
      writeName(writer, "next", data.next);
      writeTypes(writer, data.types);
    },
  },
  SVCB: service,
  HTTPS: service,
};

/** Types that the names of a message have at the most: a name of DNS has some ten, and to list 10,000 takes 0.1 ms. */
const MAX_TYPES = 4096;

/**
 * Reads a bitmap of types in windows by rising number (RFC 4034, section 4.1.2): number (8 bits), length (8 bits, 1 to
 * 32), bits from the highest on.
 */
function readTypes(reader: ByteReader, names: NameCache): DnsType[] {
  const { bytes } = reader;
  const types: DnsType[] = [];
  for (let last = -1; reader.left > 0;) {
    const window = reader.u8();
    const length = reader.u8();
    if (window <= last) throw reader.error(`window ${window} of a bitmap of types follows window ${last}`);
    if (length < 1 || length > 32) throw reader.error(`a bitmap of types has ${length} bytes, not 1 to 32`);
    const ofWindow = typeNamesOf(window);
    const at = reader.take(length);
    for (let i = 0; i < length; i++) {
      const byte = bytes[at + i]!;
      for (let bit = 0; byte << bit & 0xff; bit++) {
        if ((byte << bit & 0x80) !== 0) types.push(ofWindow[8 * i + bit]!);
      }
    }
    if (names.typeCount + types.length > MAX_TYPES) throw reader.error(`its names have more than ${MAX_TYPES} types`);
    last = window;
  }
  names.typeCount += types.length;
  return types;
}

function writeTypes(writer: ByteWriter, types: readonly DnsType[]): void {
  const windows = new Map<number, Uint8Array>();
  const numbers = types.map((type) => typeNumber("types", type)).sort((a, b) => a - b);
  for (const number of numbers) {
    const bits = windows.get(number >> 8) ?? new Uint8Array(32);
    bits[(number & 0xff) >> 3]! |= 0x80 >> (number & 7);
    windows.set(number >> 8, bits);
  }
  for (const [window, bits] of windows) {
    writer.u8("types", window);
    writer.counted8("types", () => writer.raw(bits.subarray(0, 1 + bits.findLastIndex((byte) => byte !== 0))));
  }
}

/** Reads data of a type. */
export function readData(type: DnsType, reader: ByteReader, names: NameCache): unknown {
  if (!Object.hasOwn(codecs, type)) return reader.view();
  return reader.done(codecs[type as DataType].read(reader, names));
}

/** Whether a type has data in a form of its own. */
export function hasCodec(type: DnsType): boolean {
  return Object.hasOwn(codecs, type);
}

/** Writes data of a type. */
export function writeData(writer: ByteWriter, type: DnsType, data: unknown, known: KnownNames): void {
  if (!Object.hasOwn(codecs, type)) return writer.bytes("data", data as Uint8Array);
  if (data === undefined || data === null) {
    throw new TypeError(`Cannot encode dns: data takes that of a record of type ${type}, found ${data}`);
  }
  (codecs[type as DataType] as Codec<unknown, unknown>).write(writer, data, known);
}

const DNSSEC_OK = 0x8000;

/** What is safe on every path (the resolvers' agreement of 2020, "DNS Flag Day"). */
const UDP_PAYLOAD_SIZE = 1232;

/** Reads what OPT has: size of a payload (16 bits), code (8), version (8), flags (16), length (16), options. */
export function readEdns(udpPayloadSize: number, ttl: number, reader: ByteReader): DnsEdns {
  return {
    udpPayloadSize,
    extendedResponseCode: ttl >>> 24,
    version: ttl >>> 16 & 0xff,
    flags: ttl & 0xffff,
    isDnssecOk: (ttl & DNSSEC_OK) !== 0,
    options: reader.all((list) => ({ code: list.u16(), value: list.view(list.u16()) })),
  };
}

/** Writes what OPT has, from the size on. */
export function writeEdns(writer: ByteWriter, data: Partial<DnsEdns> = {}): void {
  writer.u16("udpPayloadSize", data.udpPayloadSize ?? UDP_PAYLOAD_SIZE);
  writer.u8("extendedResponseCode", data.extendedResponseCode ?? 0);
  writer.u8("version", data.version ?? 0);
  writer.u16("flags", withBits(uint("dns", "flags", data.flags, 0, 0xffff), [data.isDnssecOk, DNSSEC_OK]));
  writer.counted16("options", () => {
    for (const { code, value } of data.options ?? []) {
      writer.u16("code", code);
      writer.counted16("value", () => writer.bytes("value", value));
    }
  });
}
