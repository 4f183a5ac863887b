// SPDX-License-Identifier: MIT

/**
 * TCP, the transmission control protocol (RFC 9293).
 *
 * ```text
 *  0               1               2               3
 *  source port (16 bits)           destination port (16 bits)
 *  sequence number (32 bits)
 *  acknowledgment number (32 bits)
 *  offset, flags (4 + 12 bits)     window (16 bits)
 *  checksum (16 bits)              urgent pointer (16 bits)
 *  options, up to 40 bytes
 * ```
 *
 * @module
 */

import type { Layer } from "./encode.ts";
import { setU16, setU32, uint, withBits } from "./field.ts";
import { PacketError } from "./packet_error.ts";
import { encodeTcpOptions, readTcpOptions, type TcpOption } from "./tcp_options.ts";
import { View } from "./view.ts";

const HEADER = 20;
const NONE = new Uint8Array(0);

/** The flags of a TCP segment as bits of {@linkcode Tcp.flags} (RFC 9293, section 3.1; `ae` is RFC 9768's). */
export const TcpFlag = {
  /** No more data from the sender. */
  fin: 0x001,
  /** The sequence number is the first. */
  syn: 0x002,
  /** The connection is reset. */
  rst: 0x004,
  /** The receiver is not to wait for more. */
  psh: 0x008,
  /** The acknowledgment number counts. */
  ack: 0x010,
  /** The urgent pointer counts. */
  urg: 0x020,
  /** The network was congested. */
  ece: 0x040,
  /** The sender has slowed down. */
  cwr: 0x080,
  /** More of the network's congestion. */
  ae: 0x100,
} as const;

/** What {@linkcode tcp} takes; the names are those of {@linkcode Tcp}. */
export interface TcpOptions {
  /** Port of the sender, 0 to 65535. */
  readonly sourcePort: number;
  /** Port of the receiver, 0 to 65535. */
  readonly destinationPort: number;
  /** Number of the first byte of payload, 0 to 2^32 - 1. Default: 0. */
  readonly sequence?: number | undefined;
  /** Number of the byte that is awaited, 0 to 2^32 - 1. Default: 0. */
  readonly acknowledgment?: number | undefined;
  /** The flags as a number, 0 to 4095; see {@linkcode TcpFlag}. Default: 0. */
  readonly flags?: number | undefined;
  /** Sets or clears FIN. Default: as in `flags`. */
  readonly fin?: boolean | undefined;
  /** Sets or clears SYN. Default: as in `flags`. */
  readonly syn?: boolean | undefined;
  /** Sets or clears RST. Default: as in `flags`. */
  readonly rst?: boolean | undefined;
  /** Sets or clears PSH. Default: as in `flags`. */
  readonly psh?: boolean | undefined;
  /** Sets or clears ACK. Default: as in `flags`. */
  readonly ack?: boolean | undefined;
  /** Sets or clears URG. Default: as in `flags`. */
  readonly urg?: boolean | undefined;
  /** Sets or clears ECE. Default: as in `flags`. */
  readonly ece?: boolean | undefined;
  /** Sets or clears CWR. Default: as in `flags`. */
  readonly cwr?: boolean | undefined;
  /** Sets or clears AE. Default: as in `flags`. */
  readonly ae?: boolean | undefined;
  /** Bytes that the sender can take, before scaling, 0 to 65535. Default: 65535. */
  readonly window?: number | undefined;
  /** Offset after the last urgent byte, 0 to 65535. Default: 0. */
  readonly urgentPointer?: number | undefined;
  /** Options, or their bytes; up to 40 bytes. They are filled up with zeros to a multiple of 4. Default: none. */
  readonly options?: readonly TcpOption[] | Uint8Array | undefined;
  /** Checksum, 0 to 65535. Default: IP computes it. */
  readonly checksum?: number | undefined;
}

/**
 * A TCP segment in a frame.
 *
 * @example Usage
 * ```ts
 * import { encoded, Tcp, tcp } from "vmnet/packet";
 * import { assert, assertEquals } from "@std/assert";
 *
 * const bytes = encoded(
 *   tcp({ sourcePort: 1024, destinationPort: 80, sequence: 7, syn: true, options: [{ name: "mss", value: 1460 }] }),
 * );
 * const segment = new Tcp(bytes);
 * assert(segment.syn && !segment.ack);
 * assertEquals(segment.sequence, 7);
 * assertEquals(segment.options, [{ name: "mss", value: 1460 }]);
 * ```
 */
export class Tcp extends View {
  /**
   * Looks at a segment.
   *
   * @param frame The bytes it lies in.
   * @param start Offset of its first byte. Default: 0.
   * @param end Offset after its last byte. Default: all.
   * @throws {PacketError} If it is shorter than its header.
   */
  constructor(frame: Uint8Array, start = 0, end: number = frame.length) {
    super("tcp", HEADER, frame, start, end);
    const header = frame[start + 12]! >>> 4 << 2;
    if (header < HEADER || header > end - start) throw badHeader(header, end - start);
  }

  /** Always `"tcp"`. */
  get layer(): "tcp" {
    return "tcp";
  }

  /** Bytes of the header with its options, 20 to 60: the upper half of byte 12, in units of 4 bytes. */
  get headerLength(): number {
    return this.u8(12) >>> 4 << 2;
  }

  /** Port of the sender: bytes 0 and 1. */
  get sourcePort(): number {
    return this.u16(0);
  }

  /** Port of the receiver: bytes 2 and 3. */
  get destinationPort(): number {
    return this.u16(2);
  }

  /** Number of the first byte of payload, or of SYN: bytes 4 to 7. */
  get sequence(): number {
    return this.u32(4);
  }

  /** Number of the byte that is awaited, if {@linkcode Tcp.ack} is set: bytes 8 to 11. */
  get acknowledgment(): number {
    return this.u32(8);
  }

  /** The flags as a number, 0 to 4095: the lower 12 bits of bytes 12 and 13. {@linkcode TcpFlag} has their bits. */
  get flags(): number {
    return this.u16(12) & 0xfff;
  }

  /** Whether there are no more data from the sender. */
  get fin(): boolean {
    return (this.u8(13) & TcpFlag.fin) !== 0;
  }

  /** Whether the sequence number is the first of a connection. */
  get syn(): boolean {
    return (this.u8(13) & TcpFlag.syn) !== 0;
  }

  /** Whether the connection is reset. */
  get rst(): boolean {
    return (this.u8(13) & TcpFlag.rst) !== 0;
  }

  /** Whether the receiver is not to wait for more. */
  get psh(): boolean {
    return (this.u8(13) & TcpFlag.psh) !== 0;
  }

  /** Whether the acknowledgment number counts. */
  get ack(): boolean {
    return (this.u8(13) & TcpFlag.ack) !== 0;
  }

  /** Whether the urgent pointer counts. */
  get urg(): boolean {
    return (this.u8(13) & TcpFlag.urg) !== 0;
  }

  /** Whether the sender learned of congestion (RFC 3168, section 6.1). */
  get ece(): boolean {
    return (this.u8(13) & TcpFlag.ece) !== 0;
  }

  /** Whether the sender has slowed down because of congestion (RFC 3168, section 6.1). */
  get cwr(): boolean {
    return (this.u8(13) & TcpFlag.cwr) !== 0;
  }

  /** Whether the flag of accurate congestion notification is set: the lowest bit of byte 12 (RFC 9768, section 3). */
  get ae(): boolean {
    return (this.u8(12) & 1) !== 0;
  }

  /** Bytes that the sender can take, before scaling: bytes 14 and 15. */
  get window(): number {
    return this.u16(14);
  }

  /** Checksum with the pseudo header: bytes 16 and 17. */
  get checksum(): number {
    return this.u16(16);
  }

  /** Offset after the last urgent byte, counted from `sequence`, if {@linkcode Tcp.urg} is set: bytes 18 and 19. */
  get urgentPointer(): number {
    return this.u16(18);
  }

  /**
   * The options from byte 20 on, without the end of the list and what follows it.
   *
   * @throws {PacketError} If one has a length that cannot be.
   */
  get options(): TcpOption[] {
    const { frame, start } = this;
    return readTcpOptions(frame, start, start + HEADER, start + this.headerLength);
  }

  /** The bytes of the options, with padding: a view, not a copy. */
  get optionBytes(): Uint8Array {
    return this.part(HEADER, this.headerLength);
  }
}

function badHeader(header: number, length: number): PacketError {
  const wanted = header < HEADER ? "at least 20 are wanted" : `and there are ${length}`;
  return new PacketError(`its header has ${header} bytes, ${wanted}`, { layer: "tcp", offset: 12 });
}

/**
 * A TCP header to write with {@linkcode encode}. IP, in front of it, writes its checksum.
 *
 * @throws {TypeError} If a field has a wrong type.
 * @throws {RangeError} If a field does not fit.
 *
 * @example Answer a SYN with a reset
 * ```ts
 * import { encoded, ipv4, Tcp, tcp, TcpFlag } from "vmnet/packet";
 * import { assertEquals } from "@std/assert";
 *
 * const reset = encoded(
 *   ipv4({ source: "192.0.2.2", destination: "192.0.2.1" }),
 *   tcp({ sourcePort: 80, destinationPort: 1024, acknowledgment: 8, rst: true, ack: true, window: 0 }),
 * );
 * assertEquals(new Tcp(reset, 20).flags, TcpFlag.rst | TcpFlag.ack);
 * ```
 */
export function tcp(options: TcpOptions): Layer {
  const u16 = (field: keyof TcpOptions & string, otherwise: number | undefined) =>
    uint("tcp", field, options[field] as number | undefined, otherwise, 0xffff);
  const sourcePort = u16("sourcePort", undefined);
  const destinationPort = u16("destinationPort", undefined);
  const sequence = uint("tcp", "sequence", options.sequence, 0, 0xffffffff);
  const acknowledgment = uint("tcp", "acknowledgment", options.acknowledgment, 0, 0xffffffff);
  const names = Object.keys(TcpFlag) as (keyof typeof TcpFlag)[];
  const flags = withBits(
    uint("tcp", "flags", options.flags, 0, 0xfff),
    ...names.map((name) => [options[name], TcpFlag[name]] as const),
  );
  const window = u16("window", 0xffff);
  const urgentPointer = u16("urgentPointer", 0);
  const checksum = u16("checksum", 0);
  const optionBytes = options.options === undefined ? NONE : encodeTcpOptions(options.options);
  const headerLength = HEADER + optionBytes.length;
  return {
    layer: "tcp",
    headerLength,
    ...(options.checksum === undefined ? { checksumOffset: 16 } : {}),
    write({ into, start }) {
      setU16(into, start, sourcePort);
      setU16(into, start + 2, destinationPort);
      setU32(into, start + 4, sequence);
      setU32(into, start + 8, acknowledgment);
      setU16(into, start + 12, headerLength << 10 | flags);
      setU16(into, start + 14, window);
      setU16(into, start + 16, checksum);
      setU16(into, start + 18, urgentPointer);
      into.set(optionBytes, start + HEADER);
    },
  };
}
