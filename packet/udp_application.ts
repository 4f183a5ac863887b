// SPDX-License-Identifier: MIT

/**
 * What UDP carries, as far as ports tell.
 *
 * @module
 */

/** Protocols over UDP that can be read here. */
export type UdpApplication = "dhcp" | "dhcpv6" | "dns" | "mdns";

/**
 * The protocol of a datagram by its ports; either will do, because relays talk from a server's port to a server's.
 *
 * Ports are of RFC 1035, section 4.2.1 (DNS), RFC 6762, section 2 (mDNS), RFC 2131, section 4.1 (DHCPv4) and RFC 8415,
 * section 7.2 (DHCPv6).
 */
export function udpApplication(sourcePort: number, destinationPort: number): UdpApplication | undefined {
  return applicationOf(destinationPort) ?? applicationOf(sourcePort);
}

function applicationOf(port: number): UdpApplication | undefined {
  switch (port) {
    case 53:
      return "dns";
    case 67:
    case 68:
      return "dhcp";
    case 546:
    case 547:
      return "dhcpv6";
    case 5353:
      return "mdns";
    default:
      return undefined;
  }
}
