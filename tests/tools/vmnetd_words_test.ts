// SPDX-License-Identifier: MIT

import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, statSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { Switch } from "vmnet";
import { UsageError } from "../../tools/_cli.ts";
import { readConfig } from "../../tools/_vmnetd_config.ts";
import { translate } from "../../tools/_vmnetd_words.ts";
import { runtimeName } from "../../ffi/runtime.ts";
import { until } from "../vmnet/peers.ts";
import { Program, programOf, runtimes, Scripts } from "../vmnet/programs.ts";
import { Client, file, FLAGS } from "./vmnetd_clients.ts";

/** What vmnetd makes of words. */
function configOf(values: Record<string, string | boolean | string[]>) {
  return readConfig(translate(values).values).networks[0]!;
}

test("Lima's command line for socket_vmnet means a network of the same addresses", () => {
  const { options, endpoints, group } = configOf({
    "vmnet-mode": "shared",
    "vmnet-gateway": "192.168.105.1",
    "vmnet-dhcp-end": "192.168.105.254",
    "vmnet-mask": "255.255.255.0",
    "vmnet-interface-id": "2835E074-9892-4A79-AFFB-7E41D2605678",
    "socket-group": "everyone",
    operands: ["/run/socket_vmnet"],
  });
  assertEquals(options, { mode: "shared", ipv4Subnet: "192.168.105.0/24" });
  assertEquals(endpoints, [{ kind: "stream", path: "/run/socket_vmnet", label: "socket_vmnet", listen: true }]);
  assertEquals(group, "everyone");
  const more = configOf({
    "vmnet-gateway": "10.0.0.1",
    "vmnet-mask": "255.255.0.0",
    "vmnet-dhcp-end": "10.0.0.99",
    "vmnet-nat66-prefix": "fd00:1::",
    operands: ["/s"],
  });
  assertEquals(more.options, {
    mode: "shared",
    ipv4Subnet: "10.0.0.0/16",
    ipv6Prefix: "fd00:1::/64",
    dhcpEnd: "10.0.0.99",
  });
  assertEquals(configOf({ "vmnet-mode": "host", operands: ["/s"] }).options, { mode: "host", dhcp: false });
  const own = configOf({ "vmnet-mode": "host", "vmnet-network-identifier": "", operands: ["/s"] });
  assertEquals(own.options, { mode: "host" });
  const bridged = configOf({ "vmnet-mode": "bridged", "vmnet-interface": "en0", operands: ["/s"] });
  assertEquals(bridged.bridged, { externalInterface: "en0" });
});

test("vmnet-helper's command line means datagrams", () => {
  const given = {
    "operation-mode": "host",
    "start-address": "192.168.105.1",
    "end-address": "192.168.105.200",
    "subnet-mask": "255.255.255.0",
    "enable-isolation": true,
    "interface-id": "2835E074-9892-4A79-AFFB-7E41D2605678",
    socket: ["/tmp/vmnet.sock"],
  };
  assertEquals(translate(given).helper, { interfaceId: "2835E074-9892-4A79-AFFB-7E41D2605678" });
  const { options, endpoints, common } = configOf(given);
  assertEquals(options, { mode: "host", ipv4Subnet: "192.168.105.0/24", dhcpEnd: "192.168.105.200" });
  assertEquals(endpoints, [{ kind: "datagram", path: "/tmp/vmnet.sock", label: "vmnet.sock", listen: true }]);
  assertEquals(common, { isolated: true });
});

test("words that cannot be had are refused with the reason", () => {
  const cases: [Record<string, string | boolean | string[]>, string][] = [
    [{ "vmnet-gateway": "192.168.1.5", operands: ["/s"] }, "first address of its subnet, 192.168.1.1"],
    [{ "vmnet-gateway": "x", operands: ["/s"] }, "--vmnet-gateway takes an IPv4 address"],
    [{ "vmnet-gateway": "10.0.0.1", "vmnet-mask": "255.0.255.0", operands: ["/s"] }, "--vmnet-mask takes a mask"],
    [{ "vmnet-mask": "255.0.0.0", operands: ["/s"] }, "--vmnet-mask needs --vmnet-gateway"],
    [{ "vmnet-mode": "host", "operation-mode": "host", operands: ["/s"] }, "are mixed"],
    [{ "operation-mode": "host", operands: ["/s"] }, "are mixed"],
    [{ operands: ["/s", "/t"] }, "one socket can be given without an option"],
    [{ "enable-tso": true, fd: ["3"] }, "--enable-tso cannot be had: krunkit's frames"],
    [{ "vmnet-mode": "bridged", operands: ["/s"] }, "--mode bridged and --interface need one another"],
    [{ mode: "bridged", interface: "en0", mtu: "1400", socket: ["/s"] }, 'without "mtu"'],
    [{ operands: [] }, "--socket is missing: it takes at least one of --socket, --datagram, --tcp, --fd"],
    [{ fd: ["-1"] }, "--fd takes the number of a descriptor"],
    [{ tcp: ["x"] }, "--tcp takes HOST:PORT"],
    [{ socket: ["/s"], filter: "ip" }, "--filter and --snap are about --capture"],
    [{ socket: [`/${"x".repeat(100)}`] }, "--control or --no-control is needed"],
  ];
  for (const [values, says] of cases) {
    assertStringIncludes(assertThrows(() => configOf(values), UsageError).message, says);
  }
});

for (const runtime of runtimes) {
  test(`vmnetd is vmnet-helper on an inherited socket, and ends with it, in ${runtime}`, async () => {
    for (const kind of ["datagram", "stream"] as const) {
      await using sw = await Switch.create();
      const end = await sw.attach({ kind, pair: true });
      const id = "2835e074-9892-4a79-affb-7e41d2605678";
      const args = [file, "--fd=3", `--interface-id=${id}`, "--operation-mode=host", "--start-address=192.168.93.1"];
      const runtimeArgs = runtime === "deno" ? ["run", ...FLAGS] : [];
      const child = spawn("/bin/sh", ["-c", 'exec "$0" "$@"', programOf(runtime), ...runtimeArgs, ...args], {
        stdio: ["ignore", "pipe", "pipe", end.fd],
        env: { ...process.env, NO_COLOR: "1" },
      });
      const exit = once(child, "close");
      const text: Record<"out" | "errors", string> = { out: "", errors: "" };
      child.stdout!.on("data", (chunk) => text.out += chunk);
      child.stderr!.on("data", (chunk) => text.errors += chunk);
      await until(() => text.out.includes("\n") || child.exitCode !== null, "the line");
      const { vmnet_mac_address: mac, ...rest } = JSON.parse(text.out || text.errors);
      assertMatch(mac, /^.[26ae](:[0-9a-f]{2}){5}$/);
      assertMatch(rest.vmnet_nat66_prefix, /^fd.*::$/);
      assertEquals(rest, {
        vmnet_mtu: 1500,
        vmnet_max_packet_size: 1514,
        vmnet_interface_id: id.toUpperCase(),
        vmnet_start_address: "192.168.93.1",
        vmnet_end_address: "192.168.93.254",
        vmnet_subnet_mask: "255.255.255.0",
        vmnet_nat66_prefix: rest.vmnet_nat66_prefix,
      });
      await until(() => text.errors.includes(`kind=${kind} socket=fd 3`), text.errors);
      using scripts = new Scripts();
      const door = await sw.listen({ kind: "stream", path: `${scripts.directory}/s` });
      const guest = new Client(door.path).guest("52:54:00:00:00:01");
      assertMatch((await guest.dhcp()).address, /^192\.168\.93\./);
      if (runtimeName === "bun") closeSync(end.fd); // Deno has closed what it handed over
      if (kind === "datagram") process.kill(child.pid!, "SIGTERM");
      else await sw.stop(); // nobody can come any more
      assertEquals((await exit)[0], 0, text.errors);
    }
    const child = new Program(runtime, file, ["--fd", "99"], FLAGS);
    const { code, errors } = await child.end();
    assertEquals(code, 1);
    assertMatch(errors, /^vmnetd: Cannot attach endpoint: /);
  });

  test(`vmnetd lets a group use its sockets, in ${runtime}`, async () => {
    using scripts = new Scripts();
    const socket = `${scripts.directory}/s`;
    const gid = process.getgid!();
    const args = ["--socket-group", String(gid), "--vmnet-mode=host", "--vmnet-gateway=192.168.92.1", socket];
    const flags = runtime === "deno" ? [...FLAGS, "--allow-sys=uid"] : FLAGS;
    const daemon = new Program(runtime, file, args, flags);
    await daemon.line(/^control/m);
    assertEquals([statSync(socket).mode & 0o777, statSync(socket).gid], [0o660, gid]);
    assertEquals(statSync(`${socket}.control`).mode & 0o777, 0o600);
    const guest = new Client(socket).guest("52:54:00:00:00:01");
    assertMatch((await guest.dhcp()).address, /^192\.168\.92\./);
    daemon.kill("SIGTERM");
    assertEquals((await daemon.end()).code, 0);
    const wrong = await new Program(runtime, file, ["--socket-group", "nobody here", socket], flags).end();
    assertEquals(wrong.code, 2);
    assertStringIncludes(wrong.errors, '--socket-group takes a group, not "nobody here"');
  });
}
