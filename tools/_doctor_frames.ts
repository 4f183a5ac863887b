// SPDX-License-Identifier: MIT

/**
 * What `doctor` asks in its self-test, and what comes back.
 *
 * @module
 */

const octets = (address: string) => address.split(".").map(Number);
/** The bytes of a MAC address. */
export const macOctets = (address: string): number[] => address.split(":").map((octet) => Number.parseInt(octet, 16));

/** An ARP request, for everybody: who has this address? */
export function arpRequest(mac: number[], target: string): Uint8Array {
  const arp = [0, 1, 8, 0, 6, 4, 0, 1, ...mac, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ...octets(target)];
  const frame = new Uint8Array(60);
  frame.set([255, 255, 255, 255, 255, 255, ...mac, 8, 6, ...arp]);
  return frame;
}

/** A DHCP discover that asks for an answer to everybody. */
export function dhcpDiscover(mac: number[]): Uint8Array {
  const frame = new Uint8Array(14 + 20 + 8 + 300);
  frame.set([255, 255, 255, 255, 255, 255, ...mac, 8, 0]);
  frame.set([0x45, 0, 1, 72, 0, 0, 0, 0, 64, 17, 0x79, 0xa6, 0, 0, 0, 0, 255, 255, 255, 255], 14); // 328 bytes
  frame.set([0, 68, 0, 67, 1, 52], 34); // UDP, 308 bytes; its checksum may be left out
  frame.set([1, 1, 6, 0, 0x76, 0x6d, 0x6e, 0x31], 42);
  frame[52] = 0x80; // broadcast
  frame.set(mac, 70);
  frame.set([99, 130, 83, 99, 53, 1, 1, 55, 3, 1, 3, 6, 255], 278); // magic, discover, mask, router, DNS
  return frame;
}

/** What an answer is. */
export function kindOf(frame: Uint8Array): "arp" | "dhcp" | "other" {
  const type = frame[12]! << 8 | frame[13]!;
  if (type === 0x0806) return frame[21] === 2 ? "arp" : "other";
  return type === 0x0800 && frame[23] === 17 && frame[35] === 67 && frame[37] === 68 ? "dhcp" : "other";
}
