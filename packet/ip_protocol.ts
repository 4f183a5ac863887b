// SPDX-License-Identifier: MIT

/**
 * Protocols that IP carries.
 *
 * @module
 */

/** What IP carries: values of `protocol` (IANA, "Assigned Internet Protocol Numbers"). */
export const IpProtocol = {
  /** Control messages of IPv4 (RFC 792). */
  icmp: 1,
  /** Groups of multicast, of IPv4 (RFC 9776). */
  igmp: 2,
  /** A packet of IPv4 in another one (RFC 2003). */
  ipv4: 4,
  /** Transmission Control Protocol (RFC 9293). */
  tcp: 6,
  /** User Datagram Protocol (RFC 768). */
  udp: 17,
  /** A packet of IPv6 in another one (RFC 2473). */
  ipv6: 41,
  /** Generic routing encapsulation (RFC 2784). */
  gre: 47,
  /** Encrypted payload of IPsec (RFC 4303). */
  esp: 50,
  /** Control messages of IPv6 (RFC 4443). */
  icmpv6: 58,
  /** Nothing, behind a header of IPv6 (RFC 8200, section 4.7). */
  none: 59,
  /** Stream Control Transmission Protocol (RFC 9260). */
  sctp: 132,
} as const;
