// SPDX-License-Identifier: MIT

/**
 * All layers of a frame in one.
 *
 * Theory of operation: layers know only themselves and what they carry; here they are put together. A layer is looked for when
 * it is asked for, and kept once it was found.
 *
 * @module
 */

import { Arp } from "./arp.ts";
import { describe } from "./describe.ts";
import { Dhcp } from "./dhcp.ts";
import { Dhcpv6 } from "./dhcpv6.ts";
import { Dns } from "./dns.ts";
import { Ethernet, EtherType } from "./ethernet.ts";
import { Icmp } from "./icmp.ts";
import { Icmpv6 } from "./icmpv6.ts";
import { showAsText } from "./inspect.ts";
import { IpProtocol } from "./ip_protocol.ts";
import { Ipv4 } from "./ipv4.ts";
import { Ipv6 } from "./ipv6.ts";
import type { PacketError } from "./packet_error.ts";
import { Tcp } from "./tcp.ts";
import { Udp } from "./udp.ts";
import { type UdpApplication, udpApplication } from "./udp_application.ts";
import type { View } from "./view.ts";

/**
 * A frame and its layers. Each layer is a view of the frame's bytes, made when it is asked for.
 *
 * A layer that a frame does not have is `undefined`, and so is what lies within it. Of a fragmented packet only the first
 * fragment has layers above IP. A layer that is there and broken throws {@linkcode PacketError}, whichever one above it was
 * asked for. What UDP carries is known by the ports: 53 and 5353 for DNS, 67 and 68 for DHCPv4, 546 and 547 for DHCPv6.
 *
 * @example Usage
 * ```ts
 * import { encoded, ethernet, ipv4, Packet, udp } from "vmnet/packet";
 * import { assertEquals } from "@std/assert";
 *
 * const packet = new Packet(encoded(
 *   ethernet({ destination: "52:54:00:00:00:01", source: "52:54:00:00:00:02" }),
 *   ipv4({ source: "192.168.64.2", destination: "192.168.64.1" }),
 *   udp({ sourcePort: 1024, destinationPort: 7 }),
 *   new TextEncoder().encode("hello"),
 * ));
 * assertEquals(packet.tcp, undefined);
 * assertEquals(packet.udp?.destinationPort, 7);
 * assertEquals(`${packet.ip?.source}`, "192.168.64.2");
 * assertEquals(new TextDecoder().decode(packet.payload), "hello");
 * ```
 */
export class Packet {
  static {
    showAsText(this);
  }

  /** The bytes, from the first of Ethernet on. They are not copied. */
  readonly frame: Uint8Array;

  #tooShort: PacketError | undefined;
  #ethernet: Ethernet | undefined;
  #arp: Arp | undefined;
  #ipv4: Ipv4 | undefined;
  #ipv6: Ipv6 | undefined;
  #icmp: Icmp | undefined;
  #icmpv6: Icmpv6 | undefined;
  #tcp: Tcp | undefined;
  #udp: Udp | undefined;
  #dhcp: Dhcp | undefined;
  #dhcpv6: Dhcpv6 | undefined;
  #dns: Dns | undefined;

  /** Takes a frame as an interface reads it, without virtio header. Nothing is read yet. */
  constructor(frame: Uint8Array) {
    this.frame = frame;
  }

  /**
   * The outermost layer.
   *
   * @throws {PacketError} If the frame is shorter than its header.
   */
  get ethernet(): Ethernet {
    return this.#ethernet ?? this.#readEthernet();
  }

  /** What is too short for Ethernet is so for every layer: one error for all of them, as to make one takes microseconds. */
  #readEthernet(): Ethernet {
    if (this.#tooShort !== undefined) throw this.#tooShort;
    try {
      return this.#ethernet = new Ethernet(this.frame);
    } catch (error) {
      this.#tooShort = error as PacketError;
      throw error;
    }
  }

  /**
   * Address resolution.
   *
   * @throws {PacketError} If it is broken, or not of IPv4 over Ethernet.
   */
  get arp(): Arp | undefined {
    return this.#arp ??= inEthernet(this.ethernet, EtherType.arp, Arp);
  }

  /**
   * The packet of IPv4.
   *
   * @throws {PacketError} If it is broken.
   */
  get ipv4(): Ipv4 | undefined {
    return this.#ipv4 ??= inEthernet(this.ethernet, EtherType.ipv4, Ipv4);
  }

  /**
   * The packet of IPv6.
   *
   * @throws {PacketError} If it is broken.
   */
  get ipv6(): Ipv6 | undefined {
    return this.#ipv6 ??= inEthernet(this.ethernet, EtherType.ipv6, Ipv6);
  }

  /**
   * The packet of IP, of either version.
   *
   * @throws {PacketError} If it is broken.
   */
  get ip(): Ipv4 | Ipv6 | undefined {
    return this.ipv4 ?? this.ipv6;
  }

  /**
   * The message of ICMP, in IPv4.
   *
   * @throws {PacketError} If it or a layer around it is broken.
   */
  get icmp(): Icmp | undefined {
    return this.#icmp ??= inIp(this.ipv4, IpProtocol.icmp, Icmp);
  }

  /**
   * The message of ICMPv6, in IPv6.
   *
   * @throws {PacketError} If it or a layer around it is broken.
   */
  get icmpv6(): Icmpv6 | undefined {
    return this.#icmpv6 ??= inIp(this.ipv6, IpProtocol.icmpv6, Icmpv6);
  }

  /**
   * The segment of TCP.
   *
   * @throws {PacketError} If it or a layer around it is broken.
   */
  get tcp(): Tcp | undefined {
    return this.#tcp ??= inIp(this.ip, IpProtocol.tcp, Tcp);
  }

  /**
   * The datagram of UDP.
   *
   * @throws {PacketError} If it or a layer around it is broken.
   */
  get udp(): Udp | undefined {
    return this.#udp ??= inIp(this.ip, IpProtocol.udp, Udp);
  }

  /**
   * The message of DHCPv4 or BOOTP.
   *
   * @throws {PacketError} If it or a layer around it is broken.
   */
  get dhcp(): Dhcp | undefined {
    return this.#dhcp ??= inUdp(this.udp, "dhcp", Dhcp);
  }

  /**
   * The message of DHCPv6.
   *
   * @throws {PacketError} If it or a layer around it is broken.
   */
  get dhcpv6(): Dhcpv6 | undefined {
    return this.#dhcpv6 ??= inUdp(this.udp, "dhcpv6", Dhcpv6);
  }

  /**
   * The message of DNS or mDNS, if UDP carries it.
   *
   * @throws {PacketError} If it or a layer around it is broken.
   */
  get dns(): Dns | undefined {
    return this.#dns ??= inUdp(this.udp, "dns", Dns) ?? inUdp(this.udp, "mdns", Dns);
  }

  /**
   * What TCP, UDP or ICMP carries; without them, what the innermost layer does that is known here. A view, not a copy.
   *
   * @throws {PacketError} If a layer around it is broken.
   */
  get payload(): Uint8Array {
    return (this.tcp ?? this.udp ?? this.icmp ?? this.icmpv6 ?? this.ip ?? this.arp ?? this.ethernet).payload;
  }

  /** The line of {@linkcode describe}. */
  toString(): string {
    return describe(this.frame);
  }
}

/** A view class, as it is put together with others. */
type Layer<L> = new (frame: Uint8Array, start: number, end: number) => L;

function inEthernet<L>(ethernet: Ethernet, type: number, layer: Layer<L>): L | undefined {
  return ethernet.type === type ? inside(ethernet, layer) : undefined;
}

function inIp<L>(ip: Ipv4 | Ipv6 | undefined, protocol: number, layer: Layer<L>): L | undefined {
  return ip?.protocol === protocol && ip.fragmentOffset === 0 ? inside(ip, layer) : undefined;
}

function inUdp<L>(udp: Udp | undefined, application: UdpApplication, layer: Layer<L>): L | undefined {
  return udp && udpApplication(udp.sourcePort, udp.destinationPort) === application ? inside(udp, layer) : undefined;
}

function inside<L>(outer: View, layer: Layer<L>): L {
  return new layer(outer.frame, outer.start + outer.headerLength, outer.end);
}
