// SPDX-License-Identifier: MIT

/**
 * Packets: reading, writing and describing the layers of a frame, and captures that Wireshark opens.
 *
 * @module
 */

export { Arp, arp, ArpOperation, type ArpOptions } from "./arp.ts";
export { internetChecksum, internetSum, pseudoHeaderSum } from "./checksum.ts";
export { describe } from "./describe.ts";
export { Dhcp } from "./dhcp.ts";
export { dhcp, type DhcpOptions } from "./dhcp_message.ts";
export { Duid, type DuidKind, type DuidLike } from "./dhcp_duid.ts";
export {
  DhcpMessageType,
  DhcpOptionCode,
  type DhcpRoute,
  type DhcpValueOptions,
  type DhcpValues,
} from "./dhcp_options.ts";
export { Dhcpv6 } from "./dhcpv6.ts";
export { dhcpv6, type Dhcpv6Options } from "./dhcpv6_message.ts";
export {
  type Dhcpv6Association,
  type Dhcpv6AssociationOptions,
  type Dhcpv6Lease,
  type Dhcpv6Prefix,
} from "./dhcpv6_association.ts";
export {
  type Dhcpv6Fqdn,
  Dhcpv6MessageType,
  type Dhcpv6Option,
  Dhcpv6OptionCode,
  type Dhcpv6Status,
  Dhcpv6StatusCode,
  type Dhcpv6VendorClass,
  type Dhcpv6VendorOptions,
} from "./dhcpv6_options.ts";
export { Dns, dns, type DnsOptions } from "./dns.ts";
export type {
  DnsCaa,
  DnsData,
  DnsDataOptions,
  DnsDnskey,
  DnsDs,
  DnsEdns,
  DnsEdnsOption,
  DnsMx,
  DnsNaptr,
  DnsNsec,
  DnsQuestion,
  DnsQuestionOptions,
  DnsRecord,
  DnsRecordHead,
  DnsRecordHeadOptions,
  DnsRecordOptions,
  DnsRecords,
  DnsRrsig,
  DnsService,
  DnsServiceParameter,
  DnsServiceParameterOptions,
  DnsSoa,
  DnsSrv,
} from "./dns_records.ts";
export { type DnsClass, DnsOpcode, DnsResponseCode, type DnsType, dnsTypes } from "./dns_types.ts";
export { encode, encoded, encodedLength, type Layer, type LayerName, type Place } from "./encode.ts";
export {
  Ethernet,
  ethernet,
  type EthernetOptions,
  EtherType,
  vlan,
  type VlanOptions,
  type VlanTag,
} from "./ethernet.ts";
export { type ChecksumStatus, fixChecksums, type FrameChecksum, verifyChecksums } from "./frame_checksums.ts";
export { Icmp, icmp, type IcmpOptions, IcmpType } from "./icmp.ts";
export { Icmpv6, icmpv6, type Icmpv6Options } from "./icmpv6.ts";
export type {
  Icmpv6DnsSearchOption,
  Icmpv6DnsServersOption,
  Icmpv6LinkLayerAddressOption,
  Icmpv6MtuOption,
  Icmpv6Option,
  Icmpv6PrefixOption,
  Icmpv6RedirectedOption,
  Icmpv6UnknownOption,
} from "./icmpv6_options.ts";
export { Icmpv6Type } from "./icmpv6_type.ts";
export { type IpAddress, tryParseIp } from "./ip_address.ts";
export { Ipv4Address, type Ipv4Like } from "./ipv4_address.ts";
export { Ipv6Address, type Ipv6Like } from "./ipv6_address.ts";
export { IpProtocol } from "./ip_protocol.ts";
export { Ipv4, ipv4, type Ipv4Options } from "./ipv4.ts";
export type { Ipv4Option } from "./ipv4_options.ts";
export { Ipv6, ipv6, type Ipv6Options } from "./ipv6.ts";
export type {
  Ipv6AuthenticationHeader,
  Ipv6Extension,
  Ipv6FragmentHeader,
  Ipv6Option,
  Ipv6OptionsHeader,
  Ipv6RoutingHeader,
} from "./ipv6_extensions.ts";
export { MacAddress, type MacLike } from "./mac_address.ts";
export { Packet } from "./packet.ts";
export { PacketError, type PacketErrorOptions } from "./packet_error.ts";
export {
  type CapturedInterface,
  type CaptureDirection,
  type CapturedPacket,
  type CapturedSection,
  type CaptureInterfaceOptions,
  type CapturePacketOptions,
  type CaptureStatistics,
} from "./pcapng_format.ts";
export { CaptureReader, type CaptureSource, readCapture } from "./pcapng_reader.ts";
export {
  type CaptureItem,
  type CaptureItems,
  pcapngChunks,
  pcapngStream,
  type PcapngStreamOptions,
} from "./pcapng_stream.ts";
export { type FrameBatch, PcapngWriter, type PcapngWriterOptions } from "./pcapng_writer.ts";
export { Tcp, tcp, TcpFlag, type TcpOptions } from "./tcp.ts";
export type { TcpOption, TcpSackBlock } from "./tcp_options.ts";
export { Udp, udp, type UdpOptions } from "./udp.ts";
export { View } from "./view.ts";
