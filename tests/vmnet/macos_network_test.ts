// SPDX-License-Identifier: MIT

// Modes, networks, rules and vmnet-host.
// See doubles.ts. Not verified on hardware.

import { test } from "node:test";
import { assert, assertEquals, assertGreater, assertMatch } from "@std/assert";
import { vmnetKey } from "../../vmnet/names.ts";
import { doublesOnly } from "../backend.ts";
import { run } from "./doubles.ts";
import { root } from "./programs.ts";

const skip = await doublesOnly();

test("mode bridged takes one of sharedInterfaces()", { skip }, async () => {
  const { said: [names, mtu, error] } = await run(
    "",
    `
const names = await sharedInterfaces();
say(names);
await using nic = await Interface.start({ mode: "bridged", externalInterface: names[0] });
say(nic.mtu);
say(await attempt(() => Interface.start({ mode: "bridged", externalInterface: "nonesuch7" })));
`,
  );
  assertGreater(names.length, 0);
  assertEquals(mtu, 1500);
  assertEquals(error.name, "VmnetError");
});

test("before macOS 26 there are no network objects, and everything else works", { skip }, async () => {
  const { said } = await run(
    "macos=15.6,uid=0",
    `
const { networks, host: works } = await probe();
say([networks.works, networks.reason, works.works]);
say(await attempt(() => Network.create({ mode: "host" })));
say(await attempt(() => unsafeNetworkFromPointer(8n)));
await using a = await host();
await using b = await host();
await a.write(numbered(5));
say(await numbersOf(b, 1));
`,
  );
  assertEquals([said[0][0], said[0][2]], [false, true]);
  assertMatch(said[0][1], /needs? macOS 26/);
  for (const error of [said[1], said[2]]) {
    assertEquals([error.name, error.code, error.needs], ["UnsupportedError", "unsupported", "macOS 26"]);
  }
  assertEquals(said[3], [5]);
});

test("a network keeps its rules while no guest is on it", { skip }, async () => {
  const { said: [before, after, address] } = await run(
    "",
    `
const rule = { protocol: "tcp", externalPort: 18099, internalAddress: "192.168.122.10", internalPort: 80 };
await using network = await Network.create({
  mode: "shared",
  ipv4Subnet: "192.168.122.0/24",
  dhcpReservations: [{ mac: "52:54:00:00:00:01", address: "192.168.122.9" }],
  portForwardingRules: [rule],
});
say(await network.portForwardingRules());
for (let i = 0; i < 2; i++) await (await Interface.start({ network })).stop();
say(await network.portForwardingRules());
await using nic = await Interface.start({ network });
const guest = new PlayedGuest("52:54:00:00:00:01", (frame) => void nic.write(frame));
(async () => { for await (const packet of nic) guest.receive(packet); })();
say((await guest.dhcp()).address);
`,
  );
  assertEquals(before, after);
  assertEquals(before[0].externalPort, 18099);
  assertEquals(address, "192.168.122.9");
});

test("rules cannot be added to a network object, and the error says when they can", { skip }, async () => {
  const { said: [error] } = await run(
    "",
    `
await using network = await Network.create({ mode: "shared" });
const rule = { protocol: "tcp", externalPort: 18098, internalAddress: network.ipv4Gateway, internalPort: 80 };
say(await attempt(() => network.addPortForwardingRule(rule)));
`,
  );
  assertEquals(error.code, "unsupported");
  assertMatch(`${error.message} ${error.remedy}`, /creat/);
});

test("rules of an interface come, are listed, and go", { skip }, async () => {
  const { said } = await run(
    "",
    `
await using nic = await Interface.start({ mode: "shared" });
const internalAddress = nic.parameters.startAddress.replace(/\\d+$/, "9");
const rules = [
  { protocol: "tcp", externalPort: 18097, internalAddress, internalPort: 80 },
  { protocol: "udp", externalPort: 18096, internalAddress: nic.parameters.nat66Prefix + "9", internalPort: 53 },
];
for (const rule of rules) await nic.addPortForwardingRule(rule);
say(rules);
say(await nic.portForwardingRules());
say((await attempt(() => nic.addPortForwardingRule(rules[0]))).code);
await nic.removePortForwardingRule(rules[0]);
await nic.removePortForwardingRule({ protocol: "udp", externalPort: 18096, family: "ipv6" });
say(await nic.portForwardingRules());
say((await attempt(() => nic.removePortForwardingRule(rules[0]))).code);
`,
  );
  const [given, listed, twice, left, gone] = said;
  assertEquals(listed, given);
  assert(typeof twice === "string" && typeof gone === "string", "an error both times");
  assertEquals(left, []);
});

test("every setter of a network's configuration arrives", { skip }, async () => {
  const { said: [network, nic] } = await run(
    "",
    `
const [externalInterface] = await sharedInterfaces();
await using network = await Network.create({
  mode: "shared",
  externalInterface,
  ipv4Subnet: "192.168.123.0/24",
  ipv6Prefix: "fd00:1:2:3::/64",
  mtu: 1400,
  dhcp: false,
  dnsProxy: false,
  nat44: false,
  nat66: false,
  routerAdvertisement: false,
});
say(network);
const { mode, ipv4Subnet, ipv4Gateway, ipv6Prefix, mtu } = network;
await using nic = await Interface.start({ network });
say({ mode, ipv4Subnet, ipv4Gateway, ipv6Prefix, mtu, nicMtu: nic.mtu });
`,
  );
  assert(typeof network === "object");
  assertEquals(nic, {
    mode: "shared",
    ipv4Subnet: "192.168.123.0/24",
    ipv4Gateway: "192.168.123.1",
    ipv6Prefix: "fd00:1:2:3::/64",
    mtu: 1400,
    nicMtu: 1400,
  });
});

test("a network from a pointer is the other owner's, and outlives that owner's reference", { skip }, async () => {
  const { said } = await run(
    "",
    `
import { dlopen } from "${root}/ffi/mod.ts";
const { symbols } = dlopen(process.env.VMNET_SHIM_PATH, {
  double_network: { args: [], returns: "u64" },
  double_release_network: { args: ["u64"], returns: "void" },
  double_count: { args: ["cstring"], returns: "i64" },
});
const networks = () => Number(symbols.double_count(Buffer.from("networks\\0")));
const address = symbols.double_network();
const network = await unsafeNetworkFromPointer(address);
const again = await unsafeNetworkFromPointer(address);
say([network.mode, network.mtu, network.ipv4Subnet === again.ipv4Subnet, networks()]);
symbols.double_release_network(address);
await again.stop();
await using a = await Interface.start({ network });
await using b = await Interface.start({ network });
await a.write(numbered(3));
say(await numbersOf(b, 1));
await Promise.all([a.stop(), b.stop()]);
await network.stop();
say(networks());
`,
  );
  assertEquals(said, [["host", 1500, true, 1], [3], 0]);
});

test("options that vmnet has no words for are refused by name", { skip }, async () => {
  for (const option of [`dhcpStart: "192.168.124.9"`, `dhcpEnd: "192.168.124.99"`, "leaseSeconds: 60"]) {
    const source = `say(await attempt(() => Network.create({ ipv4Subnet: "192.168.124.0/24", ${option} })));`;
    const { said: [error] } = await run("", source);
    assertEquals(error.name, "UnsupportedError", option);
    assertMatch(error.message, new RegExp(option.split(":")[0]!));
  }
});

test("vmnet takes every option of an interface, and reports what it made of it", { skip }, async () => {
  const id = "2f0c0c8e-5d4e-4c3b-8f43-6d1f3c1a7b10";
  const range = { startAddress: "192.168.125.1", endAddress: "192.168.125.99", subnetMask: "255.255.255.0" };
  const cases: [options: Record<string, unknown>, parameters: Record<string, unknown>][] = [
    [{ mode: "host", interfaceId: id, mtu: 1400 }, { interfaceId: id, mtu: 1400, maxPacketSize: 1414 }],
    [{ mode: "host", ...range }, range],
    [{ mode: "shared", ...range }, range],
    [{ mode: "shared", nat66Prefix: "fd00:1:2:3::", nat66PrefixLength: 64 }, { nat66Prefix: "fd00:1:2:3::" }],
    [{ mode: "host", networkIdentifier: id }, { mtu: 1500 }],
    [{
      mode: "host",
      networkIdentifier: id,
      hostIpAddress: "10.7.0.1",
      hostSubnetMask: "255.255.255.0",
      hostIpv6Address: "fd00:7::1",
    }, { mtu: 1500 }],
    [{ mode: "host", allocateMacAddress: false }, { macAddress: undefined }],
    [{ mode: "host", enableIsolation: true, enableChecksumOffload: true }, { mtu: 1500 }],
    [{ mode: "host", enableTso: true }, { maxPacketSize: 65550 }],
    [{ mode: "host", enableVirtioHeader: true }, { maxPacketSize: 1514 }],
  ];
  const { said } = await run(
    "",
    `for (const options of ${JSON.stringify(cases.map(([options]) => options))}) {
       await using nic = await Interface.start(options);
       say(nic.parameters);
     }`,
  );
  // The doubles say what they were given: what vmnet reports nothing of has to arrive all the same
  const texts: Record<string, string> = { host: "1000", shared: "1001", true: "1", false: "0" };
  const given = ([name, value]: [string, unknown]) => {
    const text = value === id ? id.replaceAll("-", "") : texts[String(value)] ?? value;
    return `${vmnetKey(name).replace("vmnet_", "")}=${text}`;
  };
  for (const [i, [options, parameters]] of cases.entries()) {
    for (const [key, value] of Object.entries(parameters)) assertEquals(said[i][key], value, JSON.stringify(options));
    assertEquals(said[i].doubleGiven.trim().split(" ").sort(), Object.entries(options).map(given).sort());
  }
});
