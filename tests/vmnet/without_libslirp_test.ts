// SPDX-License-Identifier: MIT

// What is left without libslirp: everything but NAT, and the name of the package. The gateway is told of a library that
// does not exist, which is what it meets on a machine without one.

import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { Interface, Network, probe, VmnetError } from "vmnet";
import { dlopen } from "../../ffi/mod.ts";
import { PlayedGuest } from "../../scripts/played_guest.ts";

const skip = process.platform !== "linux" && "embedded networks on Linux";

// Each test file is a process of its own, and the gateways inherit its environment: C's, which Bun's process.env is not.
if (!skip) {
  const { symbols } = dlopen("libc.so.6", { setenv: { args: ["cstring", "cstring", "i32"], returns: "i32" } });
  assertEquals(symbols.setenv("VMNET_LIBSLIRP", "/nonexistent/libslirp.so.0", 1), 0);
}

test("Interface.start() names the package when mode shared needs libslirp", { skip }, async () => {
  const error = await assertRejects(() => Interface.start({ mode: "shared" }), VmnetError);
  assertEquals(error.code, "missing");
  assertStringIncludes(error.remedy ?? "", "libslirp0");
  await assertRejects(() => Network.create({ mode: "shared" }), VmnetError);
});

test("probe() says that shared does not work, and the command that mends it", { skip }, async () => {
  const { host, shared, dhcp, libslirpVersion } = await probe();
  assertEquals([host.works, dhcp.works, shared.works, libslirpVersion], [true, true, false, undefined]);
  assertStringIncludes(shared.remedy ?? "", "libslirp0");
});

test("mode host has DHCP and answers ping when libslirp is missing", { skip }, async () => {
  await using network = await Network.create({ mode: "host", mtu: 1400 });
  await using nic = await Interface.start({ network });
  const guest = new PlayedGuest("52:54:00:00:00:01", (frame) => void nic.tryWrite(frame));
  const reading = (async () => {
    for await (const packet of nic) guest.receive(packet);
  })();
  assertEquals((await guest.dhcp()).mtu, 1400);
  assert(await guest.ping(network.ipv4Gateway));
  await nic.stop();
  await reading;
});

test("frames pass between interfaces, and processes can join, when libslirp is missing", { skip }, async () => {
  await using network = await Network.create({ mode: "host", dhcp: false });
  await using share = await network.share();
  await using joined = await Network.join(share.token);
  await using a = await Interface.start({ network });
  await using b = await Interface.start({ network: joined });
  const frame = new Uint8Array(60).fill(255, 0, 6);
  frame[6] = 2;
  await a.write(frame);
  for await (const packet of b) {
    assertEquals(packet, frame);
    break;
  }
});
