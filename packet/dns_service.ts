// SPDX-License-Identifier: MIT

/**
 * Parameters of a service, as records of type HTTPS and SVCB have them (RFC 9460).
 *
 * @module
 */

import type { ByteReader } from "./byte_reader.ts";
import { type ByteWriter, readLatin, toLatin } from "./byte_writer.ts";
import type { DnsServiceParameter, DnsServiceParameterOptions } from "./dns_records.ts";
import { uint } from "./field.ts";
import { toIpv4, toIpv6 } from "./ip_address.ts";

const keys = ["mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint"];

const keyName = (key: number): string => keys[key] ?? `key${key}`;

function keyNumber(name: string): number {
  const known = keys.indexOf(name);
  if (known >= 0) return known;
  if (typeof name === "string" && /^key\d{1,5}$/.test(name)) {
    return uint("dns", "key", Number(name.slice(3)), 0, 0xffff);
  }
  throw new TypeError(`Cannot encode dns: key takes one of ${keys.join(", ")} or "key" with a number, found "${name}"`);
}

/** Reads a parameter: key (16 bits), length (16 bits), value. */
export function readServiceParameter(reader: ByteReader): DnsServiceParameter {
  const key = reader.u16();
  const value = reader.part(reader.u16());
  switch (key) {
    case 0:
      return { key: "mandatory", value: value.all((list) => keyName(list.u16())) };
    case 1:
      return { key: "alpn", value: value.all((list) => readLatin(list.view(list.u8()))) };
    case 2:
      return value.done({ key: "no-default-alpn", value: true });
    case 3:
      return value.done({ key: "port", value: value.u16() });
    case 4:
      return { key: "ipv4hint", value: value.all((list) => list.ipv4()) };
    case 5:
      return { key: "ech", value: value.view() };
    case 6:
      return { key: "ipv6hint", value: value.all((list) => list.ipv6()) };
    default:
      return { key: `key${key}`, value: value.view() };
  }
}

/** Writes parameters by rising key, as they have to be. */
export function writeServiceParameters(writer: ByteWriter, parameters: readonly DnsServiceParameterOptions[]): void {
  const numbered = parameters.map((parameter) => ({ number: keyNumber(parameter.key), parameter }));
  for (const { number, parameter } of numbered.sort((a, b) => a.number - b.number)) {
    writer.u16("key", number);
    writer.counted16(parameter.key, () => writeValue(writer, parameter));
  }
}

function writeValue(writer: ByteWriter, { key, value }: DnsServiceParameterOptions): void {
  switch (key) {
    case "mandatory":
      for (const name of value) writer.u16(key, keyNumber(name));
      return;
    case "alpn":
      for (const id of value) writer.counted8(key, () => writer.raw(toLatin("dns", key, id)));
      return;
    case "no-default-alpn":
      return;
    case "port":
      return writer.u16(key, value);
    case "ipv4hint":
      for (const address of value) writer.address(toIpv4(address, key));
      return;
    case "ipv6hint":
      for (const address of value) writer.address(toIpv6(address, key));
      return;
    default:
      writer.bytes(key, value);
  }
}
