// SPDX-License-Identifier: MIT

/**
 * Addresses of the internet protocols, of either version.
 *
 * @module
 */

import { Ipv4Address } from "./ipv4_address.ts";
import { Ipv6Address } from "./ipv6_address.ts";

export { Ipv4Address, type Ipv4Like, readIpv4, toIpv4 } from "./ipv4_address.ts";
export { Ipv6Address, type Ipv6Like, readIpv6, toIpv6 } from "./ipv6_address.ts";

/** An address of either version. */
export type IpAddress = Ipv4Address | Ipv6Address;

/**
 * Reads an address of either version. Answers `undefined` if the text is something else.
 *
 * @example Usage
 * ```ts
 * import { tryParseIp } from "vmnet/packet";
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(tryParseIp("FD00::0:1")?.toString(), "fd00::1");
 * assertEquals(tryParseIp("gateway"), undefined);
 * ```
 */
export function tryParseIp(text: string): IpAddress | undefined {
  return Ipv4Address.tryParse(text) ?? Ipv6Address.tryParse(text);
}
