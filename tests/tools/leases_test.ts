// SPDX-License-Identifier: MIT

import { renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertLess, assertMatch, assertStringIncludes } from "@std/assert";
import { canonicalOctets, newestOf, parseDhcpdLeases } from "../../tools/_dhcpd_leases.ts";
import { LeaseFile, unreadable } from "../../tools/_lease_sources.ts";
import { changesBetween, type Lease } from "../../tools/_leases.ts";
import { Program, root, runtimes, Scripts } from "../vmnet/programs.ts";
import { Client, Daemon } from "./vmnetd_clients.ts";

const file = join(root, "tools/leases.ts");

const later = Math.floor(Date.now() / 1000) + 86_000;

/** An entry as bootpd writes it. */
function entry(fields: Record<string, string>, expires = later): string {
  const lines = Object.entries(fields).map(([key, value]) => `\t${key}=${value}\n`).join("");
  return `{\n${lines}\tlease=0x${expires.toString(16)}\n}\n`;
}

const ethernet = (octets: string, address: string, name = "", expires?: number) =>
  entry({
    ...(name && { name }),
    ip_address: address,
    hw_address: `1,${octets}`,
    identifier: `1,${octets}`,
  }, expires);

/** What systemd-networkd sends: four octets, then a DUID of an enterprise, which has no MAC address in it. */
const HIDDEN = "ff,f1:f5:dd:7f:0:2:0:0:ab:11:6c:b1:cd:1d:9c:12:6:4a";

const sample = ethernet("52:54:0:a:b:c", "192.168.64.2", "alpine") +
  entry({ name: "ubuntu", ip_address: "192.168.64.3", hw_address: HIDDEN, identifier: HIDDEN }) +
  ethernet("52:54:0:a:b:c", "192.168.64.9", "alpine") + // left behind
  ethernet("52:54:0:0:0:1", "192.168.64.4", "", 0x67e1c2d1); // ended

test("canonicalOctets() writes two digits each, and refuses what is no address", () => {
  assertEquals(canonicalOctets("1,52:54:0:A:b:c"), "01:52:54:00:0a:0b:0c");
  assertEquals(canonicalOctets("52-54-00-0a-0b-0c"), "52:54:00:0a:0b:0c");
  for (const text of ["", "x", "1:", ":1", "1::2", "123", "1,2;3", "g:1", "1:".repeat(1000) + "1"]) {
    assertEquals(canonicalOctets(text), undefined, text);
  }
});

test("parseDhcpdLeases() finds the MAC address wherever there is one", () => {
  const cases: [hardware: string, mac: string][] = [
    ["1,52:54:0:a:b:c", "52:54:00:0a:0b:0c"],
    ["1,52:54:0:a:b", ""],
    ["6,52:54:0:a:b:c", ""],
    [HIDDEN, ""],
    ["ff,1:2:3:4:0:1:0:1:2a:2b:2c:2d:52:54:0:0:0:7", "52:54:00:00:00:07"], // DUID-LLT
    ["ff,1:2:3:4:0:3:0:1:52:54:0:0:0:8", "52:54:00:00:00:08"], // DUID-LL
    ["ff,1:2:3:4:0:3:0:6:52:54:0:0:0:8", ""], // not of Ethernet
    ["ff,1:2:3:4:0:3:0:1:52:54:0:0:0", ""],
    ["ff,1:2:3:4:0:4:1:2:3:4:5:6:7:8:9:a:b:c:d:e:f:0", ""], // DUID-UUID
  ];
  for (const [hardware, mac] of cases) {
    const { leases: [lease], skipped } = parseDhcpdLeases(entry({ ip_address: "10.0.0.2", hw_address: hardware }));
    assertEquals([lease!.mac, lease!.id, skipped], [mac, canonicalOctets(hardware), 0], hardware);
  }
  // One of the two lines is enough
  const both = entry({ ip_address: "10.0.0.2", hw_address: "1,2:0:0:0:0:5", identifier: HIDDEN });
  assertEquals(parseDhcpdLeases(both).leases[0]!.mac, "02:00:00:00:00:05");
  const other = entry({ ip_address: "10.0.0.2", hw_address: HIDDEN, identifier: "1,2:0:0:0:0:5" });
  assertEquals(parseDhcpdLeases(other).leases[0]!.mac, "02:00:00:00:00:05");
});

test("parseDhcpdLeases() passes over what makes no sense, and counts it", () => {
  const good = ethernet("2:0:0:0:0:1", "10.0.0.2", "a");
  const cases: [text: string, leases: number, skipped: number][] = [
    ["", 0, 0],
    ["\n\n", 0, 0],
    [good, 1, 0],
    [good.replaceAll("\n", "\r\n"), 1, 0],
    [good.replaceAll("\t", "    "), 1, 0],
    [good + good.slice(0, 40), 1, 1], // torn
    [good.slice(10) + good, 1, 8],
    [`{\n${good}`, 1, 1],
    [`}\n${good}`, 1, 1],
    ["{\n}\n", 0, 1],
    [good.replace("10.0.0.2", "10.0.0.256"), 0, 1],
    [good.replace("10.0.0.2", "fe80::1"), 0, 1],
    [good.replace(/lease=.*/, "lease=soon"), 0, 1],
    [good.replace(/lease=.*\n/, ""), 0, 1],
    [good.replace("name=a", "hostname=a"), 1, 0],
  ];
  for (const [text, leases, skipped] of cases) {
    const found = parseDhcpdLeases(text);
    assertEquals([found.leases.length, found.skipped > 0 ? 1 : 0], [leases, Math.min(1, skipped)], text);
  }
  // A guest chooses its name, and a terminal obeys
  const [{ hostname }] = parseDhcpdLeases(ethernet("2:0:0:0:0:1", "10.0.0.2", "\x1b]0;x\x07é")).leases as [Lease];
  assertEquals(hostname, "?]0;x??");
});

test("newestOf() takes the first entry of a client, and of an address", () => {
  const all = parseDhcpdLeases(
    ethernet("2:0:0:0:0:1", "10.0.0.2") + ethernet("2:0:0:0:0:1", "10.0.0.9") + ethernet("2:0:0:0:0:2", "10.0.0.2") +
      entry({ ip_address: "10.0.0.3", hw_address: "ff,1:2:3:4:0:3:0:1:2:0:0:0:0:1" }) + // the same card
      ethernet("2:0:0:0:0:3", "10.0.0.4"),
  ).leases;
  assertEquals(newestOf(all).map(({ address }) => address), ["10.0.0.2", "10.0.0.4"]);
});

/** A generator of its own, so that a failure can be had again. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = Math.imul(state ^ state >>> 15, 0x2c1b3c6d) + 0x9e3779b9 | 0;
    return ((state ^ state >>> 13) >>> 0) % below;
  };
}

test("parseDhcpdLeases() stands whatever is done to a file", () => {
  const pieces = [
    "{\n",
    "}\n",
    "\n",
    "=",
    "lease=0x",
    "ip_address=",
    "hw_address=ff,",
    ":",
    "\0",
    "\ud800",
    "0".repeat(400),
  ];
  const rounds = process.env["VMNET_LONG"] ? 300_000 : 10_000;
  for (let round = 0; round < rounds; round++) {
    const below = random(round + 1);
    let text = sample;
    for (let i = below(8); i >= 0; i--) {
      const [at, length] = [below(text.length + 1), below(30)];
      const put = below(2) === 0 ? pieces[below(pieces.length)]! : String.fromCharCode(below(300));
      text = below(10) === 0 ? text.slice(0, at) : text.slice(0, at) + put + text.slice(at + (below(2) && length));
    }
    for (const { mac, id, address, hostname, expiresSeconds } of newestOf(parseDhcpdLeases(text).leases)) {
      assertMatch(mac, /^(?:[\da-f]{2}(?::[\da-f]{2}){5})?$/, `round ${round}`);
      assertMatch(id, /^[\da-f]{2}(?::[\da-f]{2})+$/, `round ${round}`);
      assertMatch(address, /^\d+\.\d+\.\d+\.\d+$/, `round ${round}`);
      assertMatch(hostname, /^[!-~]*$/, `round ${round}`);
      assert(Number.isSafeInteger(expiresSeconds) && expiresSeconds > 0, `round ${round}`);
    }
  }
});

test("parseDhcpdLeases() reads 10 MB in less than a second", () => {
  const hex = (i: number, shift: number) => (i >> shift & 255).toString(16);
  const one = (i: number) =>
    ethernet(`2:0:0:${hex(i, 16)}:${hex(i, 8)}:${hex(i, 0)}`, `10.${i >> 16}.${i >> 8 & 255}.${i & 255}`);
  const text = Array.from({ length: 100_000 }, (_, i) => one(i)).join("");
  assertLess(10e6, text.length);
  const times = [1, 2, 3].map(() => {
    const start = performance.now();
    assertEquals(newestOf(parseDhcpdLeases(text).leases).length, 100_000);
    return performance.now() - start;
  });
  assertLess(Math.min(...times), 1000);
});

test("changesBetween() tells what was added, changed, renewed, removed, and what expired", () => {
  const lease = (octet: number, address: string, expiresSeconds = later, hostname = ""): Lease => {
    return { mac: `02:00:00:00:00:0${octet}`, id: "", address, hostname, expiresSeconds, network: "" };
  };
  const before = [lease(1, "10.0.0.1"), lease(2, "10.0.0.2"), lease(3, "10.0.0.3"), lease(4, "10.0.0.4", 1000)];
  const after = [lease(1, "10.0.0.1"), lease(2, "10.0.0.9"), lease(5, "10.0.0.5"), lease(6, "10.0.0.6")];
  assertEquals(changesBetween(before, after).map(({ change, lease, before }) => [change, lease.address, before]), [
    ["removed", "10.0.0.3", undefined],
    ["expired", "10.0.0.4", undefined],
    ["changed", "10.0.0.9", "10.0.0.2"],
    ["added", "10.0.0.5", undefined],
    ["added", "10.0.0.6", undefined],
  ]);
  const renewed = [lease(1, "10.0.0.1", later + 5), lease(2, "10.0.0.9", later, "name")];
  assertEquals(changesBetween(after.slice(0, 2), renewed).map(({ change }) => change), ["renewed", "changed"]);
});

test("LeaseFile says what to do about a file that it cannot read", async () => {
  using scripts = new Scripts();
  const failing = async (path: string, mayBeMissing = false) =>
    await new LeaseFile(path, mayBeMissing).read().then(() => "", (error) => error.message as string);
  assertMatch(await failing(join(scripts.directory, "none")), /^Cannot read ".*none": there is no such file\. --file/);
  assertEquals(await failing(join(scripts.directory, "none"), true), "");
  assertMatch(await failing(scripts.directory), /it is not a file/);
  const error = (code: string) => Object.assign(new Error(code), { code });
  assertStringIncludes(unreadable("/f", error("EACCES")).message, "permission denied. Run with sudo");
  assertStringIncludes(unreadable("/f", error("EPERM")).message, "a sandbox forbids it");
});

for (const runtime of runtimes) {
  const run = (...args: string[]) => new Program(runtime, file, args).end();

  test(`leases shows what a file holds, in ${runtime}`, async () => {
    using scripts = new Scripts();
    const path = join(scripts.directory, "dhcpd_leases");
    writeFileSync(path, sample);
    const list = await run("--file", path);
    assertEquals([list.code, list.errors], [0, ""]);
    const lines = list.output.trimEnd().split("\n");
    assertMatch(lines[0]!, /^ADDRESS +CLIENT +EXPIRES +NAME$/);
    assertMatch(lines[1]!, /^192\.168\.64\.2 +52:54:00:0a:0b:0c +in 24 h +alpine$/);
    assertMatch(lines[2]!, /^192\.168\.64\.3 +id ff:f1:f5:[\da-f:]+:4a +in 24 h +ubuntu$/);
    assertEquals(lines.length, 3);
    const all = await run("--all", "--file", path);
    assertMatch(all.output, /^192\.168\.64\.9 .* replaced [^]*^192\.168\.64\.4 .* ended /m);
    const json = (await run("--json", "--file", path)).output.trimEnd().split("\n").map((line) => JSON.parse(line));
    assertEquals(json[0], {
      mac: "52:54:00:0a:0b:0c",
      id: "01:52:54:00:0a:0b:0c",
      address: "192.168.64.2",
      hostname: "alpine",
      expiresSeconds: later,
    });
    // By any way to write a MAC address, by name, by identifier
    for (const guest of ["52:54:0:A:B:C", "52-54-00-0a-0b-0c", "Alpine", "01:52:54:00:0a:0b:0c"]) {
      const { code, output, errors } = await run(guest, "--file", path);
      assertEquals([code, output, errors], [0, "192.168.64.2\n", ""], guest);
    }
    const none = await run("52:54:0:0:0:1", "--file", path);
    assertEquals([none.code, none.output], [1, ""]);
    assertStringIncludes(
      none.errors,
      "no lease of 52:54:0:0:0:1; one lease hides its MAC address: give the name or the id",
    );
    writeFileSync(path, sample + "{\nrubbish\n");
    assertStringIncludes((await run("--file", path)).errors, "1 entry makes no sense");
    writeFileSync(path, "");
    assertEquals((await run("--file", path)).errors, "vmnet-leases: there are no leases\n");
  });

  test(`leases --watch follows a file that is replaced, in ${runtime}`, async () => {
    using scripts = new Scripts();
    const path = join(scripts.directory, "dhcpd_leases");
    const replace = (text: string) => {
      writeFileSync(`${path}-`, text);
      renameSync(`${path}-`, path);
    };
    const watching = new Program(runtime, file, ["--watch", "--file", path]);
    const json = new Program(runtime, file, ["-w", "--json", "--file", path, "52:54:0:0:0:2"]);
    replace(ethernet("52:54:0:0:0:1", "192.168.64.2", "one"));
    await watching.line(/^\d\d:\d\d:\d\d {2}added {4}192\.168\.64\.2 +52:54:00:00:00:01 {2}one$/m);
    const soon = Math.ceil(Date.now() / 1000) + 2;
    replace(ethernet("52:54:0:0:0:2", "192.168.64.3", "", soon) + ethernet("52:54:0:0:0:1", "192.168.64.7", "one"));
    await watching.line(/changed {2}192\.168\.64\.7 +52:54:00:00:00:01 {2}was 192\.168\.64\.2 {2}one$/m);
    await watching.line(/added {4}192\.168\.64\.3 /);
    // Nobody writes, and it ends all the same
    await watching.line(/expired {2}192\.168\.64\.3 /);
    rmSync(path);
    await watching.line(/removed {2}192\.168\.64\.7 /);
    await json.line(/"expired"/);
    for (const program of [watching, json]) {
      program.kill("SIGINT");
      const { code, signal, errors } = await program.end();
      assertEquals([code, signal, errors], [130, null, ""]);
    }
    const events = (await json.ending).output.trimEnd().split("\n").map((line) => JSON.parse(line));
    assertEquals(events.map(({ event, change, mac }) => [event, change, mac]), [
      ["lease", "added", "52:54:00:00:00:02"],
      ["lease", "expired", "52:54:00:00:00:02"],
    ]);
  });

  test(`leases --wait prints an address as soon as there is one, in ${runtime}`, async () => {
    using scripts = new Scripts();
    const path = join(scripts.directory, "dhcpd_leases");
    const waiting = new Program(runtime, file, ["--wait", "52:54:0:0:0:1", "--timeout", "20", "--file", path]);
    const late = await run("--wait", "52:54:0:0:0:1", "--timeout", "1", "--file", path);
    assertEquals([late.code, late.output, late.errors], [
      1,
      "",
      "vmnet-leases: 52:54:0:0:0:1 got no address within 1 s\n",
    ]);
    // A guest that does not say its MAC address may be the one that is meant
    const named = entry({ name: "ubuntu", ip_address: "192.168.64.3", hw_address: HIDDEN });
    writeFileSync(path, named);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    writeFileSync(path, ethernet("52:54:0:0:0:1", "192.168.64.2") + named);
    const { code, output, errors } = await waiting.end();
    assertEquals([code, output], [0, "192.168.64.2\n"]);
    assertEquals(
      errors,
      "vmnet-leases: 52:54:0:0:0:1 may be there; one lease hides its MAC address: give the name or the id\n",
    );
    const start = performance.now();
    assertEquals((await run("--wait", "52:54:0:0:0:1", "--file", path)).output, "192.168.64.2\n");
    assertLess(performance.now() - start, 3000);
    // What was there is not what somebody waits for who has just started the guest
    const fresh = new Program(runtime, file, ["--wait", "--new", "--json", "52:54:0:0:0:1", "--file", path]);
    const interrupted = new Program(runtime, file, ["--wait", "--new", "52:54:0:0:0:1", "--file", path]);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    interrupted.kill("SIGTERM");
    assertEquals((await interrupted.end()).code, 130);
    writeFileSync(path, ethernet("52:54:0:0:0:1", "192.168.64.2", "", later + 9));
    assertEquals(JSON.parse((await fresh.end()).output).expiresSeconds, later + 9);
  });

  test(`leases says what is wrong with a command line, in ${runtime}`, async () => {
    const cases: [args: string[], code: number, says: string][] = [
      [["a", "b"], 2, 'one GUEST is taken, not "a" "b"'],
      [["--wait"], 2, "--wait takes a GUEST"],
      [["--wait", "--watch", "x"], 2, "--watch and --wait are one or the other"],
      [["--timeout", "5", "x"], 2, "are about --wait"],
      [["--wait", "x", "--timeout", "0"], 2, "--timeout takes an integer from 1 to 86400"],
      [["--socket", "/x", "--file", "/y"], 2, "not both"],
      [["--nonsense"], 2, "nonsense"],
      [["--socket", "/nowhere/x"], 1, 'Cannot ask "/nowhere/x.control"'],
      [["--file", "/nowhere"], 1, 'Cannot read "/nowhere": there is no such file'],
    ];
    for (const [args, code, says] of cases) {
      const ending = await run(...args);
      assertEquals(ending.code, code, args.join(" "));
      assertStringIncludes(ending.errors, says);
    }
  });

  test(`leases asks a vmnetd, and waits for one, in ${runtime}`, async () => {
    await using daemon = new Daemon(runtime, "--subnet", "192.168.98.0/24");
    // It need not be there yet
    const waiting = new Program(runtime, file, ["--wait", "52:54:0:0:0:1", "--timeout", "20", "--socket", daemon.path]);
    await daemon.event("control");
    const watching = new Program(runtime, file, ["--watch", "--control", daemon.control]);
    assertEquals((await run("-s", daemon.path)).errors, "vmnet-leases: there are no leases\n");
    const guest = new Client(daemon.path).guest("52:54:00:00:00:01");
    const { address } = await guest.dhcp("lab\x1b[31m");
    assertEquals((await waiting.end()).output, `${address}\n`);
    const { output } = await run("--json", "-s", daemon.path);
    const { mac, network, hostname } = JSON.parse(output);
    assertEquals([mac, network], ["52:54:00:00:00:01", "vmnet0"]);
    assertEquals(hostname.includes("\x1b"), false);
    await watching.line(/added +192\.168\.98\.\d+ +52:54:00:00:00:01/);
    await daemon.stop();
    const { code, errors } = await watching.end();
    assertEquals(code, 1);
    assertStringIncludes(errors, "has ended");
  });
}
