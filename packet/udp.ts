// SPDX-License-Identifier: MIT

/**
 * UDP, the user datagram protocol (RFC 768).
 *
 * ```text
 *  0               1               2               3
 *  source port (16 bits)           destination port (16 bits)
 *  length (16 bits)                checksum (16 bits)
 * ```
 *
 * @module
 */

import type { Layer } from "./encode.ts";
import { setU16, uint } from "./field.ts";
import { PacketError } from "./packet_error.ts";
import { View } from "./view.ts";

const HEADER = 8;

/** What {@linkcode udp} takes; the names are those of {@linkcode Udp}. */
export interface UdpOptions {
  /** Port of the sender, 0 to 65535. */
  readonly sourcePort: number;
  /** Port of the receiver, 0 to 65535. */
  readonly destinationPort: number;
  /** Bytes of header and payload, 0 to 65535. Default: what they are. */
  readonly totalLength?: number | undefined;
  /** Checksum, 0 to 65535; 0 says that there is none. Default: IP computes it. */
  readonly checksum?: number | undefined;
}

/**
 * A UDP datagram in a frame.
 *
 * @example Usage
 * ```ts
 * import { Udp } from "vmnet/packet";
 * import { assertEquals } from "@std/assert";
 *
 * const datagram = new Udp(Uint8Array.of(4, 0, 0, 53, 0, 10, 0, 0, 1, 2));
 * assertEquals([datagram.sourcePort, datagram.destinationPort], [1024, 53]);
 * assertEquals(datagram.payload, Uint8Array.of(1, 2));
 * ```
 */
export class Udp extends View {
  /**
   * Looks at a datagram.
   *
   * @param frame The bytes it lies in.
   * @param start Offset of its first byte. Default: 0.
   * @param end Offset after what IP carries; the datagram ends before if it says so. Default: all.
   * @throws {PacketError} If there are fewer than 8 bytes, or it says so.
   */
  constructor(frame: Uint8Array, start = 0, end: number = frame.length) {
    super("udp", HEADER, frame, start, endOf(frame, start, end));
  }

  /** Always `"udp"`. */
  get layer(): "udp" {
    return "udp";
  }

  /** Always 8. */
  get headerLength(): number {
    return HEADER;
  }

  /** Port of the sender: bytes 0 and 1. */
  get sourcePort(): number {
    return this.u16(0);
  }

  /** Port of the receiver: bytes 2 and 3. */
  get destinationPort(): number {
    return this.u16(2);
  }

  /**
   * Bytes of header and payload as the header says: bytes 4 and 5. 0 says that it ends where its packet does, as
   * jumbograms (RFC 2675, section 4) and datagrams that a network card will cut up have it.
   */
  get totalLength(): number {
    return this.u16(4);
  }

  /** Checksum with the pseudo header: bytes 6 and 7. 0 if there is none. */
  get checksum(): number {
    return this.u16(6);
  }
}

/** Where a datagram ends by its own length. What lies behind, padding or options of RFC 9868, is not its payload. */
function endOf(frame: Uint8Array, start: number, end: number): number {
  if (end - start < HEADER || end > frame.length) return end; // which View refuses
  const length = frame[start + 4]! << 8 | frame[start + 5]!;
  if (length === 0) return end;
  if (length < HEADER) {
    throw new PacketError(`its length is ${length}, at least 8 are wanted`, { layer: "udp", offset: 4 });
  }
  return Math.min(end, start + length);
}

/**
 * A UDP header to write with {@linkcode encode}. IP, in front of it, writes its checksum.
 *
 * @throws {TypeError} If a field is no number.
 * @throws {RangeError} If a field does not fit.
 *
 * @example Usage
 * ```ts
 * import { encoded, udp } from "vmnet/packet";
 * import { assertEquals } from "@std/assert";
 *
 * const bytes = encoded(udp({ sourcePort: 1024, destinationPort: 53 }), Uint8Array.of(1, 2));
 * assertEquals(bytes, Uint8Array.of(4, 0, 0, 53, 0, 10, 0, 0, 1, 2));
 * ```
 */
export function udp(options: UdpOptions): Layer {
  const sourcePort = uint("udp", "sourcePort", options.sourcePort, undefined, 0xffff);
  const destinationPort = uint("udp", "destinationPort", options.destinationPort, undefined, 0xffff);
  const totalLength = uint("udp", "totalLength", options.totalLength, -1, 0xffff);
  const checksum = uint("udp", "checksum", options.checksum, 0, 0xffff);
  return {
    layer: "udp",
    headerLength: HEADER,
    ...(options.checksum === undefined ? { checksumOffset: 6 } : {}),
    write({ into, start, end }) {
      setU16(into, start, sourcePort);
      setU16(into, start + 2, destinationPort);
      setU16(into, start + 4, uint("udp", "totalLength", totalLength < 0 ? end - start : totalLength, 0, 0xffff));
      setU16(into, start + 6, checksum);
    },
  };
}
