// SPDX-License-Identifier: MIT

// The doctor over fake commands of a Mac, see doctor_on_a_mac.ts, and its self-test over the backend that there is.

import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { isVmnet, libraryPath } from "../backend.ts";
import { Program, root, runtimes, Scripts } from "../vmnet/programs.ts";

const skip = process.platform !== "linux" && "fake commands stand in for a Mac's";
const file = join(root, "tools/doctor.ts");
const onAMac = join(root, "tests/tools/doctor_on_a_mac.ts");

interface Finding {
  name: string;
  state: string;
  says: string;
  remedy?: string;
}

/** Runs the doctor and answers its findings by name. */
async function diagnose(
  runtime: "deno" | "bun",
  path: string,
  args: string[],
  env: Record<string, string> = {},
  flags?: string[],
): Promise<{ code: number | null; found: Record<string, Finding>; events: Record<string, unknown>[] }> {
  const { code, output, errors } = await new Program(runtime, path, ["--json", ...args], flags, env).end();
  assertEquals(errors, "");
  const events = output.trim().split("\n").map((line) => JSON.parse(line));
  const found = Object.fromEntries(events.filter(({ event }) => event === "finding").map((one) => [one.name, one]));
  return { code, found, events };
}

/** A healthy Mac of root's: what each command prints. `undefined`: it fails. */
const healthy: Record<string, string | undefined> = {
  sw_vers: "15.6.1",
  xattr: undefined,
  codesign: '<?xml version="1.0"?><plist><dict><key>com.apple.security.cs.allow-jit</key><true/></dict></plist>',
  defaults: undefined,
  socketfilterfw: "Firewall is disabled. (State = 0)",
  route: "   route to: default\ndestination: default\n  interface: en0\n",
};

/** A directory with commands that print what they are told. */
function fakeCommands(scripts: Scripts, outputs: Record<string, string | undefined>): Record<string, string> {
  for (const [name, output] of Object.entries({ ...healthy, ...outputs })) {
    const path = join(scripts.directory, name);
    const body = output === undefined ? "exit 1" : `cat <<'END'\n${output}\nEND`;
    writeFileSync(path, `#!/bin/sh\n${body}\n`);
    chmodSync(path, 0o755);
  }
  return { VMNET_TEST_COMMANDS: scripts.directory, VMNET_SHIM_PATH: libraryPath };
}

async function diagnoseMac(outputs: Record<string, string | undefined>, runtime: "deno" | "bun" = runtimes[0]!) {
  using scripts = new Scripts();
  return await diagnose(runtime, onAMac, [], fakeCommands(scripts, outputs));
}

test("doctor names runtime, user, library and modes, and ends with 0 when nothing is wrong", { skip }, async () => {
  for (const runtime of runtimes) {
    const { code, found } = await diagnose(runtime, file, []);
    assertMatch(found["runtime"]!.says, new RegExp(`^${runtime} \\d+\\.\\d+.* on linux-`));
    for (const name of ["user", "library", "mode host", "DHCP", "networks"]) assertEquals(found[name]!.state, "ok");
    if (await isVmnet()) continue; // its commands are not there
    assert(found["KVM"] !== undefined && found["ping"] !== undefined);
    assertEquals(code, Object.values(found).some(({ state }) => state === "problem") ? 1 : 0);
  }
});

test("doctor prints lines to read, and its help", { skip }, async () => {
  const { output } = await new Program(runtimes[0]!, file).end();
  assertMatch(output, /^ok {7}runtime: /);
  assertMatch(output, /^(ok {7}|note {5})mode bridged: /m);
  const help = await new Program(runtimes[0]!, file, ["--help"]).end();
  assertEquals(help.code, 0);
  for (const option of ["--self-test", "--mode MODE", "--json"]) assertStringIncludes(help.output, option);
});

test("doctor refuses a wrong command line with status 2", { skip }, async () => {
  for (const args of [["--nonsense"], ["--mode", "bridged", "--self-test"], ["--mode", "host"], ["word"]]) {
    const { code, errors } = await new Program(runtimes[0]!, file, args).end();
    assertEquals(code, 2);
    assertMatch(errors, /^vmnet-doctor: /);
  }
});

test("doctor --self-test prints parameters and counts what comes back", { skip }, async () => {
  for (const runtime of runtimes) {
    const { found, events } = await diagnose(runtime, file, ["--self-test", "--mode", "host"]);
    const parameters = events.find(({ event }) => event === "parameters")!;
    assertEquals([parameters["mode"], parameters["mtu"]], ["host", 1500]);
    assertEquals(found["self-test"]!.state, "ok", found["self-test"]!.says);
    assertMatch(found["self-test"]!.says, /^[1-9]\d* frames, \d+ bytes in 3 s: [1-9]\d* ARP, [1-9]\d* DHCP answers$/);
  }
});

test("doctor finds a healthy Mac healthy", { skip }, async () => {
  for (const runtime of runtimes) {
    const { found } = await diagnoseMac({}, runtime);
    for (const name of ["quarantine", "macOS", "Internet Sharing", "firewall", "VPN"]) {
      assertEquals(found[name]!.state, "ok", `${name}: ${found[name]!.says}`);
    }
    assertEquals(found["local network"]!.state, "note");
  }
});

test("doctor does not load a library that is in quarantine, and has the command that ends it", { skip }, async () => {
  using scripts = new Scripts();
  const library = join(scripts.directory, "libvmnet_shim.so");
  copyFileSync(libraryPath, library);
  const env = { ...fakeCommands(scripts, { xattr: "0083;68f0c2a1;Safari;" }), VMNET_SHIM_PATH: library };
  const { code, found } = await diagnose(runtimes[0]!, onAMac, ["--self-test"], env);
  assertEquals([code, found["quarantine"]!.state, found["mode host"], found["self-test"]], [
    1,
    "problem",
    undefined,
    undefined,
  ]);
  assertEquals(found["quarantine"]!.remedy, `xattr -d com.apple.quarantine ${library}`);
  assertStringIncludes(found["library"]!.says, "not loaded");
});

test("doctor reads the entitlements of the running program from its signature", { skip }, async () => {
  const key = "com.apple.security.virtualization";
  const xml = (name: string) => `<plist><dict>\n  <key>${name}</key>\n  <true/>\n</dict></plist>`;
  const entitled = await diagnoseMac({ codesign: xml(key), sw_vers: "26.1" });
  if (!await isVmnet()) assertMatch(entitled.found["entitlement"]!.says, new RegExp(`has ${key}$`));
  const restricted = await diagnoseMac({ codesign: xml("com.apple.vm.networking") });
  assertStringIncludes(restricted.found["entitlement"]!.says, "macOS kills a program");
});

test("doctor sees Internet Sharing, a firewall in bootpd's way, and a VPN", { skip }, async () => {
  const { code, found } = await diagnoseMac({
    defaults:
      "{\n    NAT =     {\n        AirPort =     {\n Enabled = 0;\n };\n        Enabled = 1;\n        PrimaryService = X;\n    };\n}",
    socketfilterfw:
      "Firewall is enabled. (State = 1)\n1 : /usr/sbin/cupsd\n   (Allow incoming connections)\n2 : /usr/libexec/bootpd\n   (Block incoming connections)",
    route: "  interface: utun4",
  });
  assertEquals(code, 1);
  assertEquals(found["Internet Sharing"]!.state, "problem");
  assertEquals(found["firewall"]!.state, "problem");
  assertStringIncludes(found["firewall"]!.remedy!, "--unblockapp /usr/libexec/bootpd");
  assertStringIncludes(found["VPN"]!.says, "utun4");
  const off = await diagnoseMac({
    defaults: "{\n    NAT =     {\n        AirPort = { Enabled = 1; };\n        Enabled = 0;\n    };\n}",
    socketfilterfw: "Firewall is enabled. (State = 1)\n1 : /usr/libexec/bootpd\n   (Allow incoming connections)",
  });
  assertEquals(off.found["Internet Sharing"]!.state, "ok");
  assertEquals(off.found["firewall"]!.state, "ok");
  const other = "{\n    NAT =     {\n        Enabled = 0;\n    };\n    Other =     {\n        Enabled = 1;\n    };\n}";
  assertEquals((await diagnoseMac({ defaults: other })).found["Internet Sharing"]!.state, "ok");
  const all = await diagnoseMac({ socketfilterfw: "Firewall is blocking all non-essential connections. (State = 2)" });
  assertStringIncludes(all.found["firewall"]!.says, "blocks everything");
  const none = await diagnoseMac({ socketfilterfw: "Firewall is enabled. (State = 1)" });
  assertEquals(none.found["firewall"]!.state, "note");
});

test("doctor says what it cannot tell when commands fail, are not there, or may not be run", { skip }, async () => {
  const { found } = await diagnoseMac({ sw_vers: undefined, socketfilterfw: undefined, route: undefined });
  assertEquals([found["firewall"]!.state, found["VPN"]!.state], ["note", "note"]);
  const silent = ["quarantine", "Internet Sharing", "firewall", "VPN"];
  using scripts = new Scripts();
  for (const runtime of runtimes) {
    const env = { VMNET_TEST_COMMANDS: join(scripts.directory, "nowhere"), VMNET_SHIM_PATH: libraryPath };
    const { found } = await diagnose(runtime, onAMac, [], env);
    for (const name of silent) assertMatch(found[name]!.says, /cannot be/, name);
  }
  const flags = ["--no-prompt", "--allow-ffi", "--allow-read", "--allow-env", "--allow-sys"];
  const { found: denied } = await diagnose("deno", onAMac, [], fakeCommands(scripts, {}), flags);
  for (const name of silent) assertMatch(denied[name]!.says, /cannot be/, name);
});

test("doctor's commands can be pasted whatever the path", { skip }, async () => {
  using scripts = new Scripts();
  const library = join(scripts.directory, "it's a $(path).so");
  copyFileSync(libraryPath, library);
  const env = { ...fakeCommands(scripts, { xattr: "0083" }), VMNET_SHIM_PATH: library };
  const { found } = await diagnose(runtimes[0]!, onAMac, [], env);
  const words = execFileSync("/bin/sh", ["-c", found["quarantine"]!.remedy!.replace("xattr", "printf '%s\\n'")]);
  assertEquals(words.toString().trim().split("\n"), ["-d", "com.apple.quarantine", library]);
});

test("doctor stops the interface of its self-test when a signal comes", { skip }, async () => {
  for (const runtime of runtimes) {
    const program = new Program(runtime, file, ["--json", "--self-test", "--mode", "host"]);
    await program.line(/"parameters"/);
    program.kill("SIGINT");
    const { code, output, errors } = await program.end();
    assertEquals([code, errors], [130, ""]);
    assertStringIncludes(output, '"self-test","state":"problem","says":"interrupted by SIGINT"');
  }
});
