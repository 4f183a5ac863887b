// SPDX-License-Identifier: MIT

/**
 * Extension headers of IPv6 (RFC 8200, section 4), which lie between the header and the protocol that it carries.
 *
 * Theory of operation: each begins with the number of what follows it, and says how long it is, so they have to be
 * walked in order. The walk ends at the first number that is no extension's, or behind the header of a fragment that is
 * not the first: there is no header behind that one. Encrypted payload (ESP) ends it as well.
 *
 * @module
 */

import { ByteReader } from "./byte_reader.ts";
import { ByteWriter } from "./byte_writer.ts";
import { getU16 } from "./field.ts";
import { PacketError } from "./packet_error.ts";

const HEADER = 40;
const HOP_BY_HOP = 0;
/** Number of the routing header. */
export const ROUTING = 43;
/** Number of the fragment header. */
export const FRAGMENT = 44;
const AUTHENTICATION = 51;
const DESTINATION_OPTIONS = 60;

/** The option of one byte, of which a hostile header is full. */
const PAD = 0;
const PADDING: Ipv6Option = { type: PAD, data: new Uint8Array(0) };

/** Extension headers of one packet; more are in none that anybody would send. */
export const MOST_EXTENSIONS = 16;

/** An option of a hop-by-hop or destination options header (RFC 8200, section 4.2). */
export interface Ipv6Option {
  /** Type; 0 is one byte of padding without data, 1 is longer padding. */
  readonly type: number;
  /** What follows type and length, up to 255 bytes. */
  readonly data: Uint8Array;
}

/** Options for every node on the way (RFC 8200, section 4.3) or for the receiver (section 4.6). */
export interface Ipv6OptionsHeader {
  /** For whom. */
  readonly name: "hopByHop" | "destinationOptions";
  /** The options with their padding. It is added where it is missing at the end. */
  readonly options: readonly Ipv6Option[];
}

/** Nodes on the way (RFC 8200, section 4.4). */
export interface Ipv6RoutingHeader {
  /** Which header. */
  readonly name: "routing";
  /** Type of the route, for instance 4 for segment routing (RFC 8754). */
  readonly routingType: number;
  /** Nodes that are still to be visited, 0 to 255. */
  readonly segmentsLeft: number;
  /** What follows the first 4 bytes: 8 n + 4 bytes. */
  readonly data: Uint8Array;
}

/** Place of a fragment in its packet (RFC 8200, section 4.5). */
export interface Ipv6FragmentHeader {
  /** Which header. */
  readonly name: "fragment";
  /** Offset in the packet in bytes: a multiple of 8, 0 to 65528. */
  readonly fragmentOffset: number;
  /** Whether it is not the last. */
  readonly moreFragments: boolean;
  /** What the fragments of a packet have in common, 0 to 2^32 - 1. */
  readonly identification: number;
}

/** Authentication (RFC 4302, section 2). */
export interface Ipv6AuthenticationHeader {
  /** Which header. */
  readonly name: "authentication";
  /** Security parameters index, 0 to 2^32 - 1. */
  readonly spi: number;
  /** Sequence number, 0 to 2^32 - 1. */
  readonly sequence: number;
  /** Integrity check value: 4 n bytes, up to 1016. */
  readonly icv: Uint8Array;
}

/** An extension header. What is reserved in it is not shown, and written as 0. */
export type Ipv6Extension =
  | Ipv6OptionsHeader
  | Ipv6RoutingHeader
  | Ipv6FragmentHeader
  | Ipv6AuthenticationHeader;

/** What lies between an IPv6 header and what it carries. */
export interface Ipv6Chain {
  /** Number of the protocol behind it all. */
  readonly protocol: number;
  /** Bytes of the header and its extensions. */
  readonly headerLength: number;
  /** Offset of the fragment header in the frame, 0 if there is none. */
  readonly fragment: number;
  /** Offset of the final receiver's address in the frame; undefined if the kind of route is not known. */
  readonly final: number | undefined;
}

/** Whether a number is that of an extension header that can be walked over. */
export function isExtension(number: number): boolean {
  return number === HOP_BY_HOP || number === ROUTING || number === FRAGMENT || number === AUTHENTICATION ||
    number === DESTINATION_OPTIONS;
}

/** Walks over the extension headers of a packet. */
export function walkExtensions(
  frame: Uint8Array,
  start: number,
  end: number,
  visit?: (number: number, at: number, length: number) => void,
): Ipv6Chain {
  let number = frame[start + 6]!;
  let at = start + HEADER;
  let fragment = 0;
  let final: number | undefined = start + 24;
  for (let count = 0; isExtension(number); count++) {
    if (count === MOST_EXTENSIONS) throw broken(`it has more than ${MOST_EXTENSIONS} extension headers`, at - start);
    const length = at + 8 > end ? 8 : extensionLength(number, frame[at + 1]!);
    if (at + length > end) {
      throw broken(`extension ${number} has ${length} bytes, and there are ${end - at}`, at - start);
    }
    visit?.(number, at, length);
    if (number === ROUTING) final = finalAddress(frame, at, length, final);
    if (number === FRAGMENT) fragment = at;
    const isInside = number === FRAGMENT && getU16(frame, at + 2) >>> 3 > 0;
    number = frame[at]!;
    at += length;
    if (isInside) break;
  }
  return { protocol: number, headerLength: at - start, fragment, final };
}

/** Bytes of an extension header, by its number and what its second byte says. */
export function extensionLength(number: number, size: number): number {
  if (number === FRAGMENT) return 8;
  return number === AUTHENTICATION ? Math.max(4 * (size + 2), 12) : 8 * (size + 1);
}

/**
 * Where the final receiver's address is by a routing header: the last of a list, or the first of one in reverse order.
 *
 * @param final Where it is if no segments are left.
 */
export function finalAddress(
  frame: Uint8Array,
  at: number,
  length: number,
  final: number | undefined,
): number | undefined {
  if (frame[at + 3] === 0) return final;
  const type = frame[at + 2]!;
  if (length < 24 || (type !== 0 && type !== 2 && type !== 4)) return undefined;
  return type === 4 ? at + 8 : at + length - 16;
}

function broken(detail: string, offset: number): PacketError {
  return new PacketError(detail, { layer: "ipv6", offset });
}

/** The extension headers of a packet. Data are views, not copies. */
export function readExtensions(frame: Uint8Array, start: number, end: number): Ipv6Extension[] {
  const extensions: Ipv6Extension[] = [];
  walkExtensions(frame, start, end, (number, at, length) => {
    extensions.push(readExtension(number, new ByteReader("ipv6", frame, start, at + 2, at + length)));
  });
  return extensions;
}

function readExtension(number: number, reader: ByteReader): Ipv6Extension {
  switch (number) {
    case ROUTING:
      return { name: "routing", routingType: reader.u8(), segmentsLeft: reader.u8(), data: reader.view() };
    case FRAGMENT: {
      const bits = reader.u16();
      return {
        name: "fragment",
        fragmentOffset: bits & 0xfff8,
        moreFragments: (bits & 1) === 1,
        identification: reader.u32(),
      };
    }
    case AUTHENTICATION:
      reader.take(2);
      return { name: "authentication", spi: reader.u32(), sequence: reader.u32(), icv: reader.view() };
    default: {
      const name = number === HOP_BY_HOP ? "hopByHop" : "destinationOptions";
      return { name, options: reader.all(readOption) };
    }
  }
}

function readOption(reader: ByteReader): Ipv6Option {
  const type = reader.u8();
  return type === PAD ? PADDING : { type, data: reader.view(reader.u8()) };
}

const numbers: Record<Ipv6Extension["name"], number> = {
  hopByHop: HOP_BY_HOP,
  routing: ROUTING,
  fragment: FRAGMENT,
  authentication: AUTHENTICATION,
  destinationOptions: DESTINATION_OPTIONS,
};

/** Number of an extension header. */
export function extensionNumber({ name }: Ipv6Extension): number {
  if (!Object.hasOwn(numbers, name)) throw new TypeError(`Cannot encode ipv6: there is no extension named ${name}`);
  return numbers[name];
}

/** The bytes of an extension header. Its first, the number of what follows, is 0. */
export function encodeExtension(extension: Ipv6Extension): Uint8Array {
  const writer = new ByteWriter("ipv6");
  writer.skip(2);
  switch (extension.name) {
    case "routing":
      writer.u8("routingType", extension.routingType);
      writer.u8("segmentsLeft", extension.segmentsLeft);
      writer.bytes("data", extension.data);
      writer.skip(-writer.length & 7);
      break;
    case "fragment": {
      const { fragmentOffset, moreFragments, identification } = extension;
      if (fragmentOffset % 8 !== 0) {
        throw new RangeError(`Cannot encode ipv6: fragmentOffset takes a multiple of 8, found ${fragmentOffset}`);
      }
      writer.u16("fragmentOffset", fragmentOffset);
      writer.u32("identification", identification);
      const bytes = writer.finish();
      if (moreFragments) bytes[3] = bytes[3]! | 1;
      return bytes;
    }
    case "authentication":
      writer.skip(2);
      writer.u32("spi", extension.spi);
      writer.u32("sequence", extension.sequence);
      writer.bytes("icv", extension.icv);
      if (writer.length % 4 !== 0) throw new RangeError("Cannot encode ipv6: icv takes a multiple of 4 bytes");
      return withLength(writer.finish(), writer.length / 4 - 2);
    default:
      for (const { type, data } of extension.options) writeOption(writer, type, data);
      pad(writer);
  }
  return withLength(writer.finish(), writer.length / 8 - 1);
}

function withLength(bytes: Uint8Array, length: number): Uint8Array {
  if (length > 255) throw new RangeError("Cannot encode ipv6: an extension takes up to 2048 bytes");
  bytes[1] = length;
  return bytes;
}

function writeOption(writer: ByteWriter, type: number, data: Uint8Array): void {
  writer.u8("type of an option", type);
  if (type === PAD) return;
  writer.u8("length of an option", data.length);
  writer.bytes("data of an option", data);
}

/** Fills up to a multiple of 8 as section 4.2 has it: one byte, or an option of padding. */
function pad(writer: ByteWriter): void {
  const missing = -writer.length & 7;
  if (missing === 1) writeOption(writer, PAD, PADDING.data);
  else if (missing > 1) writeOption(writer, 1, new Uint8Array(missing - 2));
}
