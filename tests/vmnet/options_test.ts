// SPDX-License-Identifier: MIT

import { test } from "node:test";
import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { encodeList, List } from "../../vmnet/list.ts";
import { optionName, vmnetKey } from "../../vmnet/names.ts";
import { encodeNetworkOptions, type NetworkOptions } from "../../vmnet/network_options.ts";
import { decodeInterfaceParameters, encodeInterfaceOptions, type InterfaceOptions } from "../../vmnet/options.ts";

const encode = (options: unknown) => encodeInterfaceOptions(options as InterfaceOptions).entries;
const encodeNetwork = (options: unknown) => encodeNetworkOptions(options as NetworkOptions);
const uuid = "2f0c0c8e-5d4e-4c3b-8f43-6d1f3c1a7b10";

/** Every wrong option is refused with an error that names the field, its value and what it takes. */
function assertRefused(
  encoder: (options: unknown) => unknown,
  options: unknown,
  kind: typeof TypeError | typeof RangeError,
  ...says: string[]
): void {
  const error = assertThrows(() => encoder(options), kind);
  assertEquals(error.constructor, kind);
  assertStringIncludes(error.message, "Cannot ");
  for (const text of says) assertStringIncludes(error.message, text);
}

test("encodeInterfaceOptions() writes every option under vmnet's key", () => {
  const host = {
    mode: "host",
    interfaceId: uuid,
    mtu: 1400,
    allocateMacAddress: false,
    enableIsolation: true,
    enableTso: true,
    enableVirtioHeader: true,
    networkIdentifier: uuid,
    hostIpAddress: "192.168.3.1",
    hostSubnetMask: "255.255.255.0",
    hostIpv6Address: "FD00::1",
  };
  const id = encode({ mode: "host", interfaceId: uuid })[1]![1];
  assertEquals(encode(host), [
    ["vmnet_operation_mode", 1000],
    ["vmnet_interface_id", id],
    ["vmnet_mtu", 1400],
    ["vmnet_network_identifier", id],
    ["vmnet_host_ip_address", "192.168.3.1"],
    ["vmnet_host_subnet_mask", "255.255.255.0"],
    ["vmnet_host_ipv6_address", "fd00::1"],
    ["vmnet_allocate_mac_address", false],
    ["vmnet_enable_isolation", true],
    ["vmnet_enable_tso", true],
    ["vmnet_enable_virtio_header", true],
  ]);
  const shared = {
    mode: "shared",
    startAddress: "192.168.9.1",
    endAddress: "192.168.9.254",
    subnetMask: "255.255.255.0",
    nat66Prefix: "FD00:1:2:3::",
    nat66PrefixLength: 64,
    enableChecksumOffload: true,
  };
  assertEquals(encode(shared), [
    ["vmnet_operation_mode", 1001],
    ["vmnet_start_address", "192.168.9.1"],
    ["vmnet_end_address", "192.168.9.254"],
    ["vmnet_subnet_mask", "255.255.255.0"],
    ["vmnet_nat66_prefix_length", 64],
    ["vmnet_nat66_prefix", "fd00:1:2:3::"],
    ["vmnet_enable_checksum_offload", true],
  ]);
  assertEquals(encode({ mode: "bridged", externalInterface: "en0" }), [
    ["vmnet_operation_mode", 1002],
    ["vmnet_shared_interface_name", "en0"],
  ]);
});

test("encodeInterfaceOptions() throws TypeError when the kind or the name is wrong", () => {
  assertRefused(encode, undefined, TypeError, "options must be an object, got undefined");
  assertRefused(encode, [], TypeError, "an array");
  assertRefused(encode, {}, TypeError, '"mode" is missing');
  assertRefused(encode, { mode: "host", mtv: 1500 }, TypeError, 'unknown option "mtv"', '"mtu"');
  assertRefused(encode, { mode: 1000 }, TypeError, '"mode"', '"host"', "1000");
  assertRefused(encode, { mode: "host", mtu: "1500" }, TypeError, '"mtu"', "from 68 to 65535", '"1500"');
  assertRefused(encode, { mode: "host", enableTso: 1 }, TypeError, '"enableTso"', "a boolean", "got 1");
  assertRefused(encode, { mode: "host", interfaceId: 7 }, TypeError, '"interfaceId"', "a UUID");
  assertRefused(encode, { network: {} }, TypeError, '"network"', "a Network");
  assertRefused(encode, { network: null }, TypeError, '"network"');
});

test("encodeInterfaceOptions() throws RangeError when a value is out of range", () => {
  assertRefused(encode, { mode: "nat" }, RangeError, '"mode"', '"shared"', '"nat"');
  for (const mtu of [67, 65536, -1, 1.5, NaN, Infinity]) {
    assertRefused(encode, { mode: "host", mtu }, RangeError, '"mtu"', "from 68 to 65535", String(mtu));
  }
  for (const mtu of [68, 65535]) assertEquals(encode({ mode: "host", mtu })[1], ["vmnet_mtu", mtu]);
  assertRefused(encode, { mode: "host", interfaceId: "x" }, RangeError, '"interfaceId"', '"x"');
  const subnet = {
    mode: "shared",
    startAddress: "192.168.9.1",
    endAddress: "192.168.9.9",
    subnetMask: "255.255.255.0",
  };
  assertRefused(encode, { ...subnet, subnetMask: "255.0.255.0" }, RangeError, '"subnetMask"');
  assertRefused(encode, { ...subnet, startAddress: "8.8.8.1" }, RangeError, '"startAddress"', "private");
  assertRefused(encode, { ...subnet, startAddress: "192.168.9.0" }, RangeError, '"startAddress"');
  assertRefused(encode, { ...subnet, endAddress: "192.168.8.9" }, RangeError, '"endAddress"', '"192.168.9.254"');
  assertRefused(encode, { ...subnet, endAddress: "192.168.9.1" }, RangeError, '"endAddress"');
  assertRefused(encode, { ...subnet, endAddress: "192.168.9.255" }, RangeError, '"endAddress"');
  assertRefused(encode, { mode: "shared", nat66Prefix: "2001:db8::" }, RangeError, '"nat66Prefix"', "unique local");
  assertRefused(encode, { mode: "shared", nat66PrefixLength: 48 }, RangeError, '"nat66PrefixLength"', "64");
  assertRefused(encode, { mode: "bridged", externalInterface: "" }, RangeError, '"externalInterface"');
  assertRefused(encode, { mode: "bridged", externalInterface: "a\0b" }, RangeError, "NUL");
});

test("encodeInterfaceOptions() throws TypeError when options exclude one another", () => {
  assertRefused(encode, { mode: "shared", startAddress: "192.168.9.1" }, TypeError, '"endAddress" is missing');
  assertRefused(encode, { mode: "bridged" }, TypeError, '"externalInterface" is missing');
  assertRefused(encode, { mode: "bridged", externalInterface: "en0", mtu: 1500 }, TypeError, '"mtu"', "bridged");
  assertRefused(encode, { mode: "bridged", externalInterface: "en0", enableIsolation: true }, TypeError, "Isolation");
  assertRefused(encode, { mode: "host", externalInterface: "en0" }, TypeError, '"externalInterface"', "host");
  assertRefused(encode, { mode: "host", nat66Prefix: "fd00::" }, TypeError, '"nat66Prefix"', "host");
  assertRefused(encode, { mode: "shared", networkIdentifier: uuid }, TypeError, '"networkIdentifier"', "shared");
  assertRefused(encode, { mode: "host", hostIpAddress: "192.168.3.1" }, TypeError, '"networkIdentifier" is missing');
  const both = { mode: "host", enableChecksumOffload: true, enableVirtioHeader: true };
  assertRefused(encode, both, TypeError, '"enableVirtioHeader"', '"enableChecksumOffload"');
  const network = { ipv4Subnet: "" };
  assertRefused(encode, { network, mode: "host" }, TypeError, '"mode"', '"network"');
  assertRefused(encode, { network, mtu: 1500 }, TypeError, '"mtu"', '"network"');
});

test("encodeNetworkOptions() writes every option", () => {
  const options: NetworkOptions = {
    mode: "shared",
    ipv4Subnet: "192.168.50.1/24",
    ipv6Prefix: "FD00:1:2:3::/64",
    mtu: 1400,
    dhcp: true,
    dhcpStart: "192.168.50.10",
    dhcpEnd: "192.168.50.20",
    leaseSeconds: 60,
    externalInterface: "en0",
    dnsProxy: false,
    nat44: false,
    nat66: false,
    routerAdvertisement: false,
    dhcpReservations: [{ mac: "52:54:0:0:0:1", address: "192.168.50.30" }],
    portForwardingRules: [{ protocol: "udp", externalPort: 53, internalAddress: "192.168.50.30", internalPort: 5353 }],
  };
  assertEquals(encodeNetwork(options), [
    ["mode", 1001],
    ["ipv4Subnet", "192.168.50.0/24"],
    ["ipv6Prefix", "fd00:1:2:3::/64"],
    ["mtu", 1400],
    ["dhcpStart", "192.168.50.10"],
    ["dhcpEnd", "192.168.50.20"],
    ["leaseSeconds", 60],
    ["externalInterface", "en0"],
    ["dhcp", true],
    ["dnsProxy", false],
    ["nat44", false],
    ["nat66", false],
    ["routerAdvertisement", false],
    ["reservation", [["mac", Uint8Array.of(0x52, 0x54, 0, 0, 0, 1)], ["address", "192.168.50.30"]]],
    ["forward", [
      ["protocol", 17],
      ["externalPort", 53],
      ["internalAddress", "192.168.50.30"],
      ["internalPort", 5353],
    ]],
  ]);
  assertEquals(encodeNetwork({}), [["mode", 1001]]);
});

test("encodeNetworkOptions() refuses what is out of range, and names the field", () => {
  const subnet = { ipv4Subnet: "192.168.50.0/24" };
  const rule = { protocol: "tcp", externalPort: 80, internalAddress: "192.168.50.2", internalPort: 80 };
  const reservation = { mac: "52:54:00:00:00:01", address: "192.168.50.9" };
  const wrong: [object, typeof TypeError | typeof RangeError, ...string[]][] = [
    [{ subnet: "" }, TypeError, 'unknown option "subnet"'],
    [{ mode: "bridged" }, RangeError, '"mode"'],
    [{ ipv4Subnet: "192.168.50.0" }, RangeError, '"ipv4Subnet"'],
    [{ ipv4Subnet: "8.8.8.0/24" }, RangeError, "private"],
    [{ ipv4Subnet: "172.16.0.0/8" }, RangeError, "private"],
    [{ ipv4Subnet: "192.168.50.0/30" }, RangeError, "/29"],
    [{ ipv4Subnet: 5 }, TypeError, '"ipv4Subnet"'],
    [{ ipv6Prefix: "fd00::/48" }, RangeError, '"ipv6Prefix"'],
    [{ ipv6Prefix: "2001:db8::/64" }, RangeError, '"ipv6Prefix"'],
    [{ mtu: 67 }, RangeError, '"mtu"'],
    [{ mtu: 65536 }, RangeError, '"mtu"'],
    [{ leaseSeconds: 0 }, RangeError, '"leaseSeconds"'],
    [{ dhcp: "no" }, TypeError, '"dhcp"', "a boolean"],
    [{ dhcpStart: "192.168.50.9" }, TypeError, '"dhcpStart"', '"ipv4Subnet"'],
    [{ ...subnet, dhcpStart: "192.168.51.9" }, RangeError, '"dhcpStart"', '"192.168.50.2" to "192.168.50.254"'],
    [{ ...subnet, dhcpStart: "192.168.50.1" }, RangeError, '"dhcpStart"'],
    [{ ...subnet, dhcpEnd: "192.168.50.255" }, RangeError, '"dhcpEnd"'],
    [{ ...subnet, dhcpStart: "192.168.50.20", dhcpEnd: "192.168.50.10" }, RangeError, '"dhcpEnd"', "dhcpStart"],
    [{ ...subnet, dhcp: false, dhcpStart: "192.168.50.9" }, TypeError, "without DHCP"],
    [{ dhcpReservations: [reservation] }, TypeError, '"ipv4Subnet"'],
    [{ ...subnet, dhcpReservations: {} }, TypeError, '"dhcpReservations"', "an array"],
    [{ ...subnet, dhcpReservations: [5] }, TypeError, "dhcpReservations[0]"],
    [{ ...subnet, dhcpReservations: [{ mac: "x", address: "y" }] }, RangeError, '"dhcpReservations[0].mac"', '"x"'],
    [{ ...subnet, dhcpReservations: [{ ...reservation, address: "10.0.0.1" }] }, RangeError, "[0].address"],
    [{ ...subnet, dhcpReservations: [{ ...reservation, mac: "ff:ff:ff:ff:ff:ff" }] }, RangeError, "[0].mac"],
    [{ ...subnet, dhcpReservations: [reservation, reservation] }, RangeError, "[1].mac", "no other"],
    [{ portForwardingRules: [{ ...rule, externalPort: 0 }] }, RangeError, "[0].externalPort", "1 to 65535"],
    [{ portForwardingRules: [{ ...rule, internalPort: 65536 }] }, RangeError, "[0].internalPort"],
    [{ portForwardingRules: [{ ...rule, protocol: "sctp" }] }, RangeError, "[0].protocol", '"sctp"'],
    [{ portForwardingRules: [{ ...rule, internalAddress: "host" }] }, RangeError, "[0].internalAddress"],
    [{ portForwardingRules: [{ protocol: "tcp" }] }, TypeError, "[0].externalPort", "missing"],
    [{ mode: "host", nat44: true }, TypeError, '"nat44"', "host"],
  ];
  for (const [options, kind, ...says] of wrong) assertRefused(encodeNetwork, options, kind, ...says);
});

test("optionName() and vmnetKey() are inverse", () => {
  for (const name of ["mode", "externalInterface", "mtu", "enableTso", "nat66PrefixLength", "hostIpv6Address"]) {
    assertEquals(optionName(vmnetKey(name)), name);
  }
  assertEquals(optionName("ipv4Subnet"), "ipv4Subnet");
});

test("decodeInterfaceParameters() keeps parameters that it does not know", () => {
  const list = new List(encodeList([
    ["status", 0],
    ["handle", 3],
    ["vmnet_mtu", 1500],
    ["vmnet_interface_id", new Uint8Array(16)],
    ["vmnet_some_new_thing", "yes"],
  ]));
  assertEquals({ ...decodeInterfaceParameters(list) }, {
    mtu: 1500,
    interfaceId: "00000000-0000-0000-0000-000000000000",
    someNewThing: "yes",
  });
});
