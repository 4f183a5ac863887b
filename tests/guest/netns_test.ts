// SPDX-License-Identifier: MIT

import { spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { Resolver } from "node:dns/promises";
import { connect } from "node:net";
import { readdirSync, readFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";

const { VMNET_TEST_OUTSIDE: outside, VMNET_TEST_OUTSIDE6: outside6, VMNET_TEST_OUTSIDE_NAME: name } = process.env;
const page = `${process.env.VMNET_TEST_OUTSIDE_PAGE}\n`;
const skip = outside ? false : "not inside tests/guest/netns.sh";

const script = fileURLToPath(new URL("netns.sh", import.meta.url));

test("the outside serves its page over IPv4 and IPv6, by address and by name", { skip }, async () => {
  for (const host of [outside, `[${outside6}]`, name]) {
    assertEquals(await (await fetch(`http://${host}/`)).text(), page);
  }
});

test("the outside's DNS knows one name", { skip }, async () => {
  for (const server of [outside!, outside6!]) {
    const resolver = new Resolver();
    resolver.setServers([server]);
    assertEquals(await resolver.resolve4(name!), [outside!]);
    assertEquals(await resolver.resolve6(name!), [outside6!]);
    await assertRejects(() => resolver.resolve4("other.test"));
  }
});

test("the outside echoes over TCP and UDP", { skip }, async () => {
  const tcp = new Promise<string>((resolve, reject) => {
    const connection = connect(7, outside!, () => connection.end("over TCP"));
    connection.setEncoding("utf8").on("data", resolve).on("error", reject);
  });
  assertEquals(await tcp, "over TCP");
  const socket = createSocket("udp4");
  const udp = new Promise<string>((resolve) => socket.on("message", (message) => resolve(message.toString())));
  socket.send("over UDP", 7, outside!);
  assertEquals(await udp, "over UDP");
  socket.close();
});

test("there is no way to anywhere else", { skip }, () => {
  const interfaces = readFileSync("/proc/net/dev", "utf8").split("\n").slice(2).filter(Boolean)
    .map((line) => line.split(":")[0]!.trim());
  // Some kernels put an inert tunnel device into every namespace.
  assertEquals(interfaces.filter((name) => !/^(tunl|sit|ip6tnl|gre|erspan|ip_vti|ip6_vti|ifb)/.test(name)).sort(), [
    "lo",
    "up0",
  ]);
  assertStringIncludes(readFileSync("/etc/resolv.conf", "utf8"), `nameserver ${outside}`);
});

test("netns.sh nests, passes input and status on, and leaves no process", { skip }, () => {
  const { status, stdout, stderr } = spawnSync(script, ["sh", "-c", "cat; (sleep 61 &); exit 7"], {
    input: "through",
    encoding: "utf8",
  });
  assertEquals([status, stdout, stderr], [7, "through", ""]);
  const commands = readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8");
    } catch {
      // It ended meanwhile.
      return "";
    }
  });
  assertEquals(commands.includes("sleep\x0061\0"), false);
});

test("netns.sh says what is wrong with status 125", { skip }, () => {
  const { status, stderr } = spawnSync(script, [], { encoding: "utf8" });
  assertEquals(status, 125);
  assertStringIncludes(stderr, "no command given");
});
