// SPDX-License-Identifier: MIT

import { test } from "node:test";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Interface, Network, type NetworkSerialization, probe, UnsupportedError, VmnetError } from "vmnet";
import { embeddedOnly, isVmnet } from "../backend.ts";
import { numbered, numbersOf } from "./frames.ts";

/** Why there are no network objects of vmnet here, or false. */
const skip = !(await isVmnet())
  ? "only vmnet has serializations"
  : !(await probe()).networks.works && "vmnet has no network objects here";

test("copySerialization() answers UnsupportedError where vmnet is not", {
  skip: await embeddedOnly("it has no network objects of vmnet"),
}, async () => {
  await using network = await Network.create({ mode: "host" });
  const error = await assertRejects(() => network.copySerialization(), UnsupportedError);
  assertEquals([error.code, error.needs], ["unsupported", "macOS 26"]);
});

test("fromSerialization() takes nothing but a serialization", async () => {
  for (const wrong of [undefined, null, 5, "text", {}, []]) {
    await assertRejects(() => Network.fromSerialization(wrong as unknown as NetworkSerialization), TypeError);
  }
});

test("a network and its copy are the same network", { skip }, async () => {
  await using network = await Network.create({ mode: "host", ipv4Subnet: "192.168.121.0/24" });
  using serialization = await network.copySerialization();
  await using copy = await Network.fromSerialization(serialization);
  assert(copy !== network);
  assertEquals([copy.ipv4Subnet, copy.ipv4Gateway, copy.ipv6Prefix], [
    network.ipv4Subnet,
    network.ipv4Gateway,
    network.ipv6Prefix,
  ]);
  await using a = await Interface.start({ network });
  await using b = await Interface.start({ network: copy });
  await a.write(numbered(1));
  assertEquals(await numbersOf(b, 1), [1]);
});

test("a serialization serves again, and no more when it was closed", { skip }, async () => {
  await using network = await Network.create({ mode: "host" });
  const serialization = await network.copySerialization();
  for (let i = 0; i < 2; i++) {
    await using copy = await Network.fromSerialization(serialization);
    assertEquals(copy.ipv4Subnet, network.ipv4Subnet);
  }
  serialization.close();
  serialization[Symbol.dispose]();
  await assertRejects(() => Network.fromSerialization(serialization), TypeError, "closed");
});

test("a stopped network has no serialization", { skip }, async () => {
  const network = await Network.create({ mode: "host" });
  await network.stop();
  const error = await assertRejects(() => network.copySerialization(), VmnetError);
  assert(error.code === "stopped", error.message);
});
