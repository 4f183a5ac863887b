// SPDX-License-Identifier: MIT

/**
 * Packets as fast-check makes them up: for each layer any options that its function takes, and stacks of layers as they
 * occur.
 *
 * @module
 */

import fc, { type Arbitrary } from "fast-check";
import {
  arp,
  type ArpOptions,
  dhcp,
  dhcpv6,
  dns,
  encoded,
  ethernet,
  type EthernetOptions,
  icmp,
  type IcmpOptions,
  icmpv6,
  ipv4,
  type Ipv4Option,
  type Ipv4Options,
  ipv6,
  type Ipv6Extension,
  type Ipv6Option,
  type Ipv6Options,
  type Layer,
  tcp,
  type TcpOption,
  type TcpOptions,
  udp,
  type UdpOptions,
  type VlanOptions,
} from "vmnet/packet";
import { bits, bytes, ipv4Address, ipv6Bytes, mac, options, u16, u32, u8 } from "./basics.ts";
import { dhcpOptions, dhcpv6Options, dnsOptions, icmpv6Message } from "./messages.ts";

/** Ports whose payload no protocol has a claim on. */
export const port: Arbitrary<number> = fc.integer({ min: 40000, max: 43000 });

/** Options of a layer, by the function that takes them. */
export interface Given<Name extends string = string, Options = object> {
  readonly layer: Name;
  readonly options: Options;
}

const given = <Name extends string, Options extends object>(layer: Name, all: Arbitrary<Options>) =>
  all.map((options): Given<Name, Options> => ({ layer, options }));

const vlanTag = (tpid: number): Arbitrary<VlanOptions> =>
  fc.record({ tpid: fc.constant(tpid), priority: bits(3), dropEligible: fc.boolean(), id: bits(12) });

/** A customer's tag, with or without a provider's in front of it, or two as some switches write them. */
const vlanTags: Arbitrary<VlanOptions[]> = fc.oneof(
  fc.constant<VlanOptions[]>([]),
  ...[[0x8100], [0x88a8], [0x88a8, 0x8100], [0x8100, 0x8100]].map((tpids) => fc.tuple(...tpids.map(vlanTag))),
);

export const ethernetOptions: Arbitrary<EthernetOptions> = options<EthernetOptions>(
  {
    destination: mac,
    source: mac,
    vlans: vlanTags,
  },
  "destination",
  "source",
);

export const arpOptions: Arbitrary<ArpOptions> = options<ArpOptions>(
  {
    operation: fc.constantFrom(1, 2, 3, 4, 8, 9, 25),
    senderMac: mac,
    senderIp: ipv4Address,
    targetMac: mac,
    targetIp: ipv4Address,
  },
  "senderMac",
  "senderIp",
  "targetIp",
);

/** Options of IPv4 up to 40 bytes together: record route, timestamp, router alert, experimental ones, no-operations. */
const ipv4OptionList: Arbitrary<Ipv4Option[]> = fc.uniqueArray(
  fc.oneof(
    fc.constant({ type: 1, data: new Uint8Array(0) }),
    fc.constant({ type: 148, data: new Uint8Array(2) }),
    fc.tuple(fc.constantFrom(7, 131, 137), fc.integer({ min: 1, max: 3 })).map(([type, count]) => {
      return { type, data: Uint8Array.of(4, ...new Uint8Array(4 * count)) };
    }),
    fc.tuple(fc.constantFrom(30, 94, 158, 222), bytes(0, 6)).map(([type, data]) => ({ type, data })),
  ),
  // Of a route there is one
  { maxLength: 4, selector: ({ type }) => type === 137 ? 131 : type },
).filter((list) => list.reduce((sum, { type, data }) => sum + (type === 1 ? 1 : 2 + data.length), 0) <= 40);

export const ipv4Options: Arbitrary<Ipv4Options> = options<Ipv4Options>(
  {
    source: ipv4Address,
    destination: ipv4Address,
    ttl: u8,
    dscp: bits(6),
    ecn: bits(2),
    identification: u16,
    dontFragment: fc.boolean(),
    options: ipv4OptionList,
  },
  "source",
  "destination",
);

/** The same for a part of a packet. */
export const ipv4FragmentOptions: Arbitrary<Ipv4Options> = fc
  .tuple(ipv4Options, fc.integer({ min: 1, max: 8191 }), fc.boolean())
  .map(([all, place, moreFragments]) => ({ ...all, protocol: 17, fragmentOffset: 8 * place, moreFragments }));

export const udpOptions: Arbitrary<UdpOptions> = options<UdpOptions>(
  {
    sourcePort: port,
    destinationPort: port,
  },
  "sourcePort",
  "destinationPort",
);

const tcpOption: Arbitrary<TcpOption> = fc.oneof(
  fc.constant<TcpOption>({ name: "nop" }),
  u16.map((value): TcpOption => ({ name: "mss", value })),
  fc.integer({ min: 0, max: 14 }).map((shift): TcpOption => ({ name: "windowScale", shift })),
  fc.constant<TcpOption>({ name: "sackPermitted" }),
  fc.array(fc.record({ left: u32, right: u32 }), { minLength: 1, maxLength: 4 })
    .map((blocks): TcpOption => ({ name: "sack", blocks })),
  fc.record({ value: u32, echo: u32 }).map((both): TcpOption => ({ name: "timestamps", ...both })),
  // Kinds that nobody has: what an option of another kind says is another's business
  fc.record({ kind: fc.integer({ min: 80, max: 250 }), data: bytes(0, 12) })
    .map((both): TcpOption => ({ name: "unknown", ...both })),
);

function tcpOptionLength(option: TcpOption): number {
  const lengths = { nop: 1, mss: 4, windowScale: 3, sackPermitted: 2, timestamps: 10 };
  if (option.name === "sack") return 2 + 8 * option.blocks.length;
  return option.name === "unknown" ? 2 + option.data.length : lengths[option.name];
}

export const tcpOptions: Arbitrary<TcpOptions> = options<TcpOptions>(
  {
    sourcePort: port,
    destinationPort: port,
    sequence: u32,
    acknowledgment: u32,
    fin: fc.boolean(),
    syn: fc.boolean(),
    rst: fc.boolean(),
    psh: fc.boolean(),
    ack: fc.boolean(),
    urg: fc.boolean(),
    ece: fc.boolean(),
    cwr: fc.boolean(),
    ae: fc.boolean(),
    window: u16,
    urgentPointer: u16,
    options: fc.array(tcpOption, { maxLength: 5 })
      .filter((list) => list.reduce((sum, option) => sum + tcpOptionLength(option), 0) <= 40),
  },
  "sourcePort",
  "destinationPort",
);

/** Options of a header of IPv6, without the padding that it puts behind them. */
const ipv6OptionList: Arbitrary<Ipv6Option[]> = fc.array(
  fc.oneof(
    fc.constant({ type: 5, data: new Uint8Array(2) }),
    fc.tuple(fc.constantFrom(0x1e, 0x3e, 0x5e, 0xde), bytes(0, 12)).map(([type, data]) => ({ type, data })),
  ),
  { minLength: 1, maxLength: 3 },
);

const ipv6Extension: Arbitrary<Ipv6Extension> = fc.oneof(
  ipv6OptionList.map((options): Ipv6Extension => ({ name: "destinationOptions", options })),
  fc.array(ipv6Bytes, { minLength: 1, maxLength: 3 }).map((addresses): Ipv6Extension => {
    const data = Uint8Array.from([0, 0, 0, 0, ...addresses.flatMap((address) => [...address])]);
    return { name: "routing", routingType: 0, segmentsLeft: addresses.length, data };
  }),
  fc.record({ spi: u32, sequence: u32, icv: bytes(12) })
    .map((all): Ipv6Extension => ({ name: "authentication", ...all })),
);

/** Extensions in the order of RFC 8200, section 4.1: what hops read comes first. */
const ipv6Extensions: Arbitrary<Ipv6Extension[]> = fc
  .tuple(
    fc.option(ipv6OptionList.map((options): Ipv6Extension => ({ name: "hopByHop", options })), { nil: undefined }),
    fc.uniqueArray(ipv6Extension, { maxLength: 2, selector: ({ name }) => name }),
    // The only fragment of a packet has all of it (RFC 6946)
    fc.option(
      u32.map((identification): Ipv6Extension => {
        return { name: "fragment", fragmentOffset: 0, moreFragments: false, identification };
      }),
      { nil: undefined },
    ),
  )
  .map(([first, middle, last]) => [first, ...middle, last].filter((one) => one !== undefined));

export const ipv6Options: Arbitrary<Ipv6Options> = options<Ipv6Options>(
  {
    source: ipv6Bytes,
    destination: ipv6Bytes,
    extensions: ipv6Extensions,
    hopLimit: u8,
    dscp: bits(6),
    ecn: bits(2),
    flowLabel: bits(20),
  },
  "source",
  "destination",
);

/** The same for a part of a packet. */
export const ipv6FragmentOptions: Arbitrary<Ipv6Options> = fc
  .tuple(ipv6Options, fc.integer({ min: 1, max: 8191 }), fc.boolean(), u32)
  .map(([all, place, moreFragments, identification]) => {
    const fragment: Ipv6Extension = { name: "fragment", fragmentOffset: 8 * place, moreFragments, identification };
    const before = (all.extensions ?? []).filter(({ name }) => name === "hopByHop");
    return { ...all, protocol: 17, extensions: [...before, fragment] };
  });

const payload = bytes(0, 64);

/** The head of a packet that a message is about. */
const quoted: Arbitrary<Uint8Array> = fc.tuple(ipv4Options, udpOptions, bytes(0, 20))
  .map(([net, transport, data]) => encoded(ipv4(net), udp(transport), data));

/** Messages of ICMP with what follows their header. */
export const icmpMessage: Arbitrary<readonly [IcmpOptions, Uint8Array]> = fc.oneof(
  fc.tuple(fc.record({ type: fc.constantFrom(0, 8), code: fc.constant(0), identifier: u16, sequence: u16 }), payload),
  fc.tuple(
    fc.record({
      type: fc.constantFrom(13, 14),
      identifier: u16,
      sequence: u16,
      originateTimestamp: u32,
      receiveTimestamp: u32,
      transmitTimestamp: u32,
    }),
    fc.constant(new Uint8Array(0)),
  ),
  fc.tuple(fc.record({ type: fc.constant(3), code: fc.constantFrom(0, 1, 2, 3, 13) }), quoted),
  fc.tuple(fc.record({ type: fc.constant(3), code: fc.constant(4), mtu: u16 }), quoted),
  fc.tuple(fc.record({ type: fc.constant(5), code: bits(2), gateway: ipv4Address }), quoted),
  fc.tuple(fc.record({ type: fc.constant(11), code: bits(1) }), quoted),
  fc.tuple(fc.record({ type: fc.constant(12), code: fc.constant(0), pointer: u8 }), quoted),
);

/** A frame to be: its layers from the outermost to the innermost, and bytes. */
export type Stack = readonly (Given | Uint8Array)[];

const makers: Record<string, (options: never) => Layer> = {
  arp,
  dhcp,
  dhcpv6,
  dns,
  ethernet,
  icmp,
  icmpv6,
  ipv4,
  ipv6,
  tcp,
  udp,
};

/** The layers of a stack. */
export function layersOf(stack: Stack): (Layer | Uint8Array)[] {
  return stack.map((part) => part instanceof Uint8Array ? part : makers[part.layer]!(part.options as never));
}

/** Makes the frame of a stack. */
export function frameOf(stack: Stack): Uint8Array {
  return encoded(...layersOf(stack));
}

const link = given("ethernet", ethernetOptions);
const ports = (sourcePort: number, destinationPort: number) =>
  fc.constant<Given>({ layer: "udp", options: { sourcePort, destinationPort } });

/** Frames of every kind that there is a layer for. */
export const stacks: Record<string, Arbitrary<Stack>> = {
  arp: fc.tuple(link, given("arp", arpOptions)),
  "udp over ipv4": fc.tuple(link, given("ipv4", ipv4Options), given("udp", udpOptions), payload),
  "tcp over ipv4": fc.tuple(link, given("ipv4", ipv4Options), given("tcp", tcpOptions), payload),
  "icmp over ipv4": fc.tuple(link, given("ipv4", ipv4Options), icmpMessage)
    .map(([first, second, [options, data]]) => [first, second, { layer: "icmp", options }, data]),
  "udp over ipv6": fc.tuple(link, given("ipv6", ipv6Options), given("udp", udpOptions), payload),
  "tcp over ipv6": fc.tuple(link, given("ipv6", ipv6Options), given("tcp", tcpOptions), payload),
  "fragment of ipv6": fc.tuple(link, given("ipv6", ipv6FragmentOptions), payload),
  "icmpv6 over ipv6": fc.tuple(link, given("ipv6", ipv6Options), icmpv6Message)
    .map(([first, second, [options, data]]) => [first, second, { layer: "icmpv6", options }, data]),
  dhcp: fc.tuple(link, given("ipv4", ipv4Options), ports(68, 67), given("dhcp", dhcpOptions)),
  dhcpv6: fc.tuple(link, given("ipv6", ipv6Options), ports(546, 547), given("dhcpv6", dhcpv6Options)),
  "dns over ipv4": fc.tuple(link, given("ipv4", ipv4Options), ports(40000, 53), given("dns", dnsOptions)),
  "dns over ipv6": fc.tuple(link, given("ipv6", ipv6Options), ports(53, 40000), given("dns", dnsOptions)),
  "fragment of ipv4": fc.tuple(link, given("ipv4", ipv4FragmentOptions), payload),
};

/** Any of them. */
export const stack: Arbitrary<Stack> = fc.oneof(...Object.values(stacks));
