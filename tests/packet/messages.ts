// SPDX-License-Identifier: MIT

/**
 * Messages as fast-check makes them up: ICMPv6 with its neighbours and routers, DHCP, DNS.
 *
 * @module
 */

import fc, { type Arbitrary } from "fast-check";
import type {
  DhcpOptions,
  Dhcpv6Options,
  DnsOptions,
  DnsQuestionOptions,
  DnsRecordOptions,
  Icmpv6Option,
  Icmpv6Options,
  Ipv6Like,
  MacLike,
} from "vmnet/packet";
import { bits, bytes, ipv4Address, ipv6Bytes, mac, options, u16, u32, u8 } from "./basics.ts";

/** A domain name of letters, digits and hyphens. */
export const domainName: Arbitrary<string> = fc
  .array(fc.stringMatching(/^[a-z](?:[a-z0-9-]{0,8}[a-z0-9])?$/), { minLength: 1, maxLength: 5 })
  .map((labels) => labels.join("."));

/** Text of visible ASCII. */
export const word = (minLength: number, maxLength: number): Arbitrary<string> =>
  fc.array(fc.integer({ min: 0x21, max: 0x7e }), { minLength, maxLength })
    .map((codes) => String.fromCharCode(...codes));

type DiscoveryOption = Icmpv6Option<MacLike, Ipv6Like>;

const linkLayerAddress = (name: "sourceLinkLayerAddress" | "targetLinkLayerAddress"): Arbitrary<DiscoveryOption> =>
  mac.map((address) => ({ name, address }));

const discoveryOption: Arbitrary<DiscoveryOption> = fc.oneof(
  fc.record({
    name: fc.constant("prefixInformation" as const),
    prefixLength: fc.integer({ min: 0, max: 128 }),
    onLink: fc.boolean(),
    autonomous: fc.boolean(),
    validLifetime: u32,
    preferredLifetime: u32,
    prefix: ipv6Bytes,
  }),
  u32.map((mtu) => ({ name: "mtu" as const, mtu })),
  fc.record({
    name: fc.constant("dnsServers" as const),
    lifetime: u32,
    servers: fc.array(ipv6Bytes, { minLength: 1, maxLength: 3 }),
  }),
  fc.record({
    name: fc.constant("dnsSearch" as const),
    lifetime: u32,
    domains: fc.array(domainName, { minLength: 1, maxLength: 3 }),
  }),
  fc.record({ name: fc.constant("unknown" as const), type: fc.constantFrom(253, 254), data: bytes(6) }),
);

const discoveryOptions = (...own: Arbitrary<DiscoveryOption>[]): Arbitrary<DiscoveryOption[]> =>
  fc.array(fc.oneof(...own), { maxLength: 4 });

const source = linkLayerAddress("sourceLinkLayerAddress");
const target = linkLayerAddress("targetLinkLayerAddress");

/** Messages of ICMPv6 about neighbours, routers and groups, and echoes, with what follows their header. */
export const icmpv6Message: Arbitrary<readonly [Icmpv6Options, Uint8Array]> = fc.oneof(
  fc.tuple(fc.record({ type: fc.constantFrom(128, 129), identifier: u16, sequence: u16 }), bytes(0, 64)),
  fc.tuple(
    fc.oneof(
      fc.record({ type: fc.constant(133), options: discoveryOptions(source) }),
      options<Icmpv6Options>({
        type: fc.constant(134),
        hopLimit: u8,
        managed: fc.boolean(),
        otherConfiguration: fc.boolean(),
        routerLifetime: u16,
        reachableTime: u32,
        retransmitTimer: u32,
        options: discoveryOptions(source, discoveryOption, discoveryOption),
      }, "type"),
      fc.record({ type: fc.constant(135), target: ipv6Bytes, options: discoveryOptions(source) }),
      options<Icmpv6Options>(
        {
          type: fc.constant(136),
          router: fc.boolean(),
          solicited: fc.boolean(),
          override: fc.boolean(),
          target: ipv6Bytes,
          options: discoveryOptions(target),
        },
        "type",
        "target",
      ),
      fc.record({
        type: fc.constant(137),
        target: ipv6Bytes,
        destination: ipv6Bytes,
        options: discoveryOptions(target),
      }),
      fc.record({ type: fc.constantFrom(131, 132), group: ipv6Bytes }),
    ),
    fc.constant(new Uint8Array(0)),
  ),
);

const some = <T>(one: Arbitrary<T>, maxLength = 3): Arbitrary<T[]> => fc.array(one, { minLength: 1, maxLength });

/** Messages of DHCP, most of whose options may be left out. */
export const dhcpOptions: Arbitrary<DhcpOptions> = fc.record({
  operation: fc.constantFrom(1, 2),
  hops: u8,
  transactionId: u32,
  seconds: u8, // more of them Wireshark may take for the other byte order
  isBroadcast: fc.boolean(),
  clientAddress: ipv4Address,
  yourAddress: ipv4Address,
  serverAddress: ipv4Address,
  relayAddress: ipv4Address,
  clientMac: mac,
  serverName: word(1, 20),
  bootFile: word(1, 20),
  messageType: fc.integer({ min: 1, max: 8 }),
  serverIdentifier: ipv4Address,
  requestedAddress: ipv4Address,
  leaseSeconds: u32,
  renewalSeconds: u32,
  rebindingSeconds: u32,
  subnetMask: ipv4Address,
  broadcastAddress: ipv4Address,
  routers: some(ipv4Address),
  dnsServers: some(ipv4Address),
  ntpServers: some(ipv4Address),
  domainName,
  domainSearch: some(domainName),
  hostName: domainName,
  mtu: u16,
  vendorClass: word(1, 30),
  parameterList: some(fc.integer({ min: 1, max: 254 }), 12),
  maximumMessageSize: u16,
  message: word(1, 40),
}, { requiredKeys: ["operation", "transactionId", "clientMac", "messageType"] });

const lease = fc.record({ address: ipv6Bytes, preferredSeconds: u32, validSeconds: u32 });
const prefix = fc.record({
  prefix: ipv6Bytes,
  prefixLength: fc.integer({ min: 0, max: 128 }),
  preferredSeconds: u32,
  validSeconds: u32,
});
const duid = bytes(4, 10).map((rest) => Uint8Array.of(0, 3, 0, 1, ...rest));

/** Messages of DHCPv6, all of whose options may be left out. */
export const dhcpv6Options: Arbitrary<Dhcpv6Options> = fc.record({
  messageType: fc.integer({ min: 1, max: 11 }),
  transactionId: bits(24),
  clientId: duid,
  serverId: duid,
  requestedOptions: some(u16, 6),
  elapsedMs: u16.map((hundredths) => 10 * hundredths),
  status: fc.record({ code: fc.integer({ min: 0, max: 6 }), message: word(1, 20) }),
  isRapidCommit: fc.constant(true),
  associations: some(
    fc.oneof(
      fc.record({
        kind: fc.constant("IA_NA" as const),
        id: u32,
        renewalSeconds: u32,
        rebindingSeconds: u32,
        addresses: fc.array(lease, { maxLength: 2 }),
      }),
      fc.record({
        kind: fc.constant("IA_PD" as const),
        id: u32,
        renewalSeconds: u32,
        rebindingSeconds: u32,
        prefixes: fc.array(prefix, { maxLength: 2 }),
      }),
    ),
    2,
  ),
  dnsServers: some(ipv6Bytes),
  domainSearch: some(domainName),
}, { requiredKeys: ["messageType", "transactionId"] });

const question: Arbitrary<DnsQuestionOptions> = fc.record({
  name: domainName,
  type: fc.constantFrom("A", "AAAA", "MX", "TXT", "PTR", "SRV", "NS", "SOA", "HTTPS", "ANY"),
});

const recordData: Arbitrary<Pick<DnsRecordOptions, "type" | "data">> = fc.oneof(
  fc.record({ type: fc.constant("A"), data: ipv4Address }),
  fc.record({ type: fc.constant("AAAA"), data: ipv6Bytes }),
  fc.record({ type: fc.constantFrom("NS", "CNAME", "PTR", "DNAME"), data: domainName }),
  fc.record({
    type: fc.constant("SOA"),
    data: fc.record({
      primary: domainName,
      mailbox: domainName,
      serial: u32,
      refresh: u32,
      retry: u32,
      expire: u32,
      minimum: u32,
    }),
  }),
  fc.record({ type: fc.constant("MX"), data: fc.record({ preference: u16, exchange: domainName }) }),
  fc.record({ type: fc.constant("TXT"), data: some(word(0, 40)) }),
  fc.record({
    type: fc.constant("SRV"),
    data: fc.record({ priority: u16, weight: u16, port: u16, target: domainName }),
  }),
  fc.record({
    type: fc.constant("NAPTR"),
    data: fc.record({
      order: u16,
      preference: u16,
      flags: fc.constantFrom("", "S", "u"),
      services: fc.stringMatching(/^[a-z+]{0,10}$/),
      regexp: fc.stringMatching(/^[a-z!.]{0,10}$/),
      replacement: domainName,
    }),
  }),
  fc.record({
    type: fc.constant("CAA"),
    data: fc.record({ flags: fc.constantFrom(0, 128), tag: fc.constantFrom("issue", "iodef"), value: domainName }),
  }),
  fc.record({
    type: fc.constant("DS"),
    data: fc.record({ keyTag: u16, algorithm: u8, digestType: u8, digest: bytes(20) }),
  }),
  fc.record({
    type: fc.constant("DNSKEY"),
    data: fc.record({ flags: u16, protocol: fc.constant(3), algorithm: fc.constant(13), publicKey: bytes(64) }),
  }),
  fc.record({
    type: fc.constantFrom("SVCB", "HTTPS"),
    data: fc.record({
      priority: u16,
      target: domainName,
      parameters: fc.tuple(
        fc.record({ key: fc.constant("alpn" as const), value: some(fc.constantFrom("h2", "h3", "http/1.1")) }),
        fc.record({ key: fc.constant("port" as const), value: u16 }),
        fc.record({ key: fc.constant("ipv4hint" as const), value: some(ipv4Address) }),
      ).map((list) => [...list]),
    }),
  }),
) as Arbitrary<Pick<DnsRecordOptions, "type" | "data">>;

const record: Arbitrary<DnsRecordOptions> = fc.tuple(domainName, u32, recordData)
  .map(([name, ttl, rest]) => ({ name, ttl, ...rest }) as DnsRecordOptions);

/** What a resolver says of itself. */
const edns: Arbitrary<DnsRecordOptions> = fc.record({
  name: fc.constant("."),
  type: fc.constant("OPT" as const),
  data: fc.record({
    udpPayloadSize: u16,
    isDnssecOk: fc.boolean(),
    options: fc.array(fc.record({ code: fc.constant(65001), value: bytes(1, 12) }), { maxLength: 2 }),
  }),
});

/** Messages of DNS, with names compressed or not. */
export const dnsOptions: Arbitrary<DnsOptions> = fc.record({
  id: u16,
  isResponse: fc.boolean(),
  opcode: fc.constant(0),
  isAuthoritative: fc.boolean(),
  isTruncated: fc.boolean(),
  isRecursionDesired: fc.boolean(),
  isRecursionAvailable: fc.boolean(),
  isAuthenticData: fc.boolean(),
  isCheckingDisabled: fc.boolean(),
  responseCode: bits(3),
  questions: fc.array(question, { maxLength: 2 }),
  answers: fc.array(record, { maxLength: 4 }),
  authorities: fc.array(record, { maxLength: 2 }),
  additionals: fc.tuple(fc.array(record, { maxLength: 2 }), fc.array(edns, { maxLength: 1 })).map((both) =>
    both.flat()
  ),
  compress: fc.constantFrom(true, false),
}, { requiredKeys: ["id"] });
