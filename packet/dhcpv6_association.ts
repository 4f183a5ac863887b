// SPDX-License-Identifier: MIT

/**
 * Identity associations of DHCPv6 (RFC 8415, sections 21.4 to 21.6, 21.21 and 21.22): what a client holds, and for how
 * long.
 *
 * @module
 */

import type { ByteReader } from "./byte_reader.ts";
import type { ByteWriter } from "./byte_writer.ts";
import { Dhcpv6OptionCode, type Dhcpv6Status, statusCodec } from "./dhcpv6_options.ts";
import { uint } from "./field.ts";
import { type Ipv6Address, type Ipv6Like, toIpv6 } from "./ip_address.ts";

/** An address of an association: address (16 bytes), both times (32 bits each), options. */
export interface Dhcpv6Lease<Address = Ipv6Address> {
  /** The address. */
  readonly address: Address;
  /** Seconds for which it should be used, 32 bits; 0xffffffff for ever. */
  readonly preferredSeconds: number;
  /** Seconds for which it may be used, 32 bits; 0xffffffff for ever. */
  readonly validSeconds: number;
  /** How it went, if that is said. */
  readonly status?: Dhcpv6Status;
}

/** A prefix of an association: both times (32 bits each), length (8 bits), prefix (16 bytes), options. */
export interface Dhcpv6Prefix<Address = Ipv6Address> {
  /** First address of the prefix. */
  readonly prefix: Address;
  /** Bits of the prefix: 0 to 128. */
  readonly prefixLength: number;
  /** Seconds for which it should be used, 32 bits; 0xffffffff for ever. */
  readonly preferredSeconds: number;
  /** Seconds for which it may be used, 32 bits; 0xffffffff for ever. */
  readonly validSeconds: number;
  /** How it went, if that is said. */
  readonly status?: Dhcpv6Status;
}

/** An identity association: id (32 bits), unless it is temporary T1 and T2 (32 bits each), options. */
export interface Dhcpv6Association<Address = Ipv6Address> {
  /** Whether it has addresses that stay, addresses that change, or prefixes. */
  readonly kind: "IA_NA" | "IA_TA" | "IA_PD";
  /** What the client calls it, 32 bits. */
  readonly id: number;
  /** Seconds after which the client renews, T1, 32 bits; always 0 for `IA_TA`. */
  readonly renewalSeconds: number;
  /** Seconds after which the client asks any server, T2, 32 bits; always 0 for `IA_TA`. */
  readonly rebindingSeconds: number;
  /** Addresses. */
  readonly addresses: readonly Dhcpv6Lease<Address>[];
  /** Prefixes. */
  readonly prefixes: readonly Dhcpv6Prefix<Address>[];
  /** How it went, if that is said. */
  readonly status?: Dhcpv6Status;
}

/** What {@linkcode dhcpv6} takes for an association: addresses also as text, and what is left out is 0 or nothing. */
export type Dhcpv6AssociationOptions =
  & Pick<Dhcpv6Association, "kind">
  & { readonly [K in Exclude<keyof Dhcpv6Association, "kind">]?: Dhcpv6Association<Ipv6Like>[K] | undefined };

/** Codes of associations by their kinds. */
const kindCodes = { IA_NA: Dhcpv6OptionCode.iaNa, IA_TA: Dhcpv6OptionCode.iaTa, IA_PD: Dhcpv6OptionCode.iaPd };

/** The kind of association that an option is, if it is one. */
export function associationKind(code: number): Dhcpv6Association["kind"] | undefined {
  switch (code) {
    case kindCodes.IA_NA:
      return "IA_NA";
    case kindCodes.IA_TA:
      return "IA_TA";
    case kindCodes.IA_PD:
      return "IA_PD";
    default:
      return undefined;
  }
}

/** Reads an association. */
export function readAssociation(kind: Dhcpv6Association["kind"], reader: ByteReader): Dhcpv6Association {
  const isTemporary = kind === "IA_TA";
  const id = reader.u32();
  const renewalSeconds = isTemporary ? 0 : reader.u32();
  const rebindingSeconds = isTemporary ? 0 : reader.u32();
  const addresses: Dhcpv6Lease[] = [];
  const prefixes: Dhcpv6Prefix[] = [];
  const status = readInner(reader, (code, option) => {
    if (code === Dhcpv6OptionCode.iaAddress) addresses.push(readLease(option));
    if (code === Dhcpv6OptionCode.iaPrefix) prefixes.push(readPrefix(option));
  });
  return { kind, id, renewalSeconds, rebindingSeconds, addresses, prefixes, ...status };
}

/** Reads options in an option: a status, and others as somebody else likes. */
function readInner(
  reader: ByteReader,
  read?: (code: number, option: ByteReader) => void,
): { readonly status?: Dhcpv6Status } {
  let found: { readonly status?: Dhcpv6Status } = {};
  while (reader.left > 0) {
    const code = reader.u16();
    const option = reader.part(reader.u16());
    if (code === statusCodec.code) found = { status: statusCodec.read(option) };
    else read?.(code, option);
  }
  return found;
}

function readLease(reader: ByteReader): Dhcpv6Lease {
  return {
    address: reader.ipv6(),
    preferredSeconds: reader.u32(),
    validSeconds: reader.u32(),
    ...readInner(reader),
  };
}

function readPrefix(reader: ByteReader): Dhcpv6Prefix {
  const preferredSeconds = reader.u32();
  const validSeconds = reader.u32();
  const prefixLength = reader.u8();
  if (prefixLength > 128) throw reader.error(`a prefix has ${prefixLength} bits, more than 128`);
  return { prefix: reader.ipv6(), prefixLength, preferredSeconds, validSeconds, ...readInner(reader) };
}

/** Writes an option of some code. */
export function writeOption(writer: ByteWriter, field: string, code: number, write: () => void): void {
  writer.u16("code", code);
  writer.counted16(field, write);
}

function writeStatus(writer: ByteWriter, status: Dhcpv6Status | undefined): void {
  if (status === undefined) return;
  writeOption(writer, "status", statusCodec.code, () => statusCodec.write(writer, "status", status));
}

/** Writes an association. */
export function writeAssociation(writer: ByteWriter, association: Dhcpv6AssociationOptions): void {
  const { kind, id = 0, addresses = [], prefixes = [], status } = association;
  if (!Object.hasOwn(kindCodes, kind)) {
    throw new TypeError(
      `Cannot encode dhcpv6: kind takes one of ${Object.keys(kindCodes).join(", ")}, found "${kind}"`,
    );
  }
  writeOption(writer, kind, kindCodes[kind], () => {
    writer.u32("id", id);
    if (kind !== "IA_TA") {
      writer.u32("renewalSeconds", association.renewalSeconds ?? 0);
      writer.u32("rebindingSeconds", association.rebindingSeconds ?? 0);
    }
    for (const { address, preferredSeconds, validSeconds, status } of addresses) {
      writeOption(writer, "address", Dhcpv6OptionCode.iaAddress, () => {
        writer.address(toIpv6(address, "address"));
        writer.u32("preferredSeconds", preferredSeconds);
        writer.u32("validSeconds", validSeconds);
        writeStatus(writer, status);
      });
    }
    for (const { prefix, prefixLength, preferredSeconds, validSeconds, status } of prefixes) {
      writeOption(writer, "prefix", Dhcpv6OptionCode.iaPrefix, () => {
        writer.u32("preferredSeconds", preferredSeconds);
        writer.u32("validSeconds", validSeconds);
        writer.u8("prefixLength", uint("dhcpv6", "prefixLength", prefixLength, 128, 128));
        writer.address(toIpv6(prefix, "prefix"));
        writeStatus(writer, status);
      });
    }
    writeStatus(writer, status);
  });
}
