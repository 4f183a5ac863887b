// SPDX-License-Identifier: MIT

/**
 * Says what works on this machine, what does not, and what to do about it. On a Mac that is who may use vmnet, what is
 * in quarantine, and what of the system's settings is known to get in the way. Changes nothing.
 *
 *     deno run -A tools/doctor.ts
 *     sudo bun tools/doctor.ts --self-test --mode shared
 *
 * The self-test opens one interface, asks for a neighbour and for an address, and counts what comes back.
 *
 * Status 0: no problem. 1: at least one. 2: a wrong command line. 130: interrupted. What it says about Macs is not verified on hardware:
 * the commands' outputs are those of macOS 12 to 26 as their users show them.
 *
 * @module
 */

import childProcess from "node:child_process"; // as a whole, so that a test can put something in the place of spawnSync
import { accessSync, constants, existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { Interface as Nic, MacOsFacts, Probe } from "vmnet";
import { arpRequest, dhcpDiscover, kindOf, macOctets } from "./_doctor_frames.ts";
import { jsonOf, main, readOptions, say as write, text, UsageError } from "./_cli.ts";

const NAME = "vmnet-doctor";

const options = {
  "self-test": { help: "open one interface, print its parameters and count frames for 3 s" },
  mode: { value: "MODE", help: "mode of the self-test: shared (default) or host" },
  json: { help: "print one JSON object a line" },
} as const;

/** What one check found. */
interface Finding {
  /** What was looked at. */
  readonly name: string;
  /** `note` is what may matter and cannot be told from here. */
  readonly state: "ok" | "problem" | "note";
  /** What there is. */
  readonly says: string;
  /** What to do about it. */
  readonly remedy?: string | undefined;
}

const isMac = process.platform === "darwin";

const SOCKETFILTERFW = "/usr/libexec/ApplicationFirewall/socketfilterfw";
const BOOTPD = "/usr/libexec/bootpd";
const RESIGN = 'Run with sudo, or sign a copy of it: docs/macos.md, "A program of your own signature"';

/** Status and output of a command, undefined if it is not there or may not be run. Not by the PATH: this may be root. */
function run(command: string, ...args: string[]): { status: number; stdout: string } | undefined {
  try {
    // xattr and defaults answer at once; codesign reads the whole program
    const { status, stdout } = childProcess.spawnSync(command, args, { encoding: "utf8", timeout: 10_000 });
    return typeof status === "number" ? { status, stdout } : undefined; // null, or in Deno undefined
  } catch {
    return undefined; // Deno throws where Node.js answers
  }
}

/** Output of a command that succeeds. */
function outputOf(command: string, ...args: string[]): string | undefined {
  const done = run(command, ...args);
  return done?.status === 0 ? done.stdout : undefined;
}

/** A path as a shell takes it. */
const quoted = (path: string) => /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;

/** Where the native library of this platform may be; the programs that it starts lie beside it. */
function libraries(): string[] {
  const given = process.env["VMNET_SHIM_PATH"];
  if (given) return [given];
  const root = join(dirname(fileURLToPath(import.meta.url)), "..");
  const places = isMac
    ? [
      "shim/build/libvmnet_shim.dylib",
      "shim/build/darwin/libvmnet_shim.dylib",
      "dist/natives/darwin-universal/libvmnet_shim.dylib",
    ]
    : ["shim/build/libvmnet_shim.so", `dist/natives/${process.platform}-${process.arch}/libvmnet_shim.so`];
  return places.map((place) => join(root, place)).filter((path) => existsSync(path));
}

/** What is in quarantine: the library must not be loaded then, as that may hang behind a dialog of Gatekeeper. */
function checkQuarantine(library: string | undefined): Finding {
  const name = "quarantine";
  if (library === undefined) return { name, state: "note", says: "there is no native library to look at" };
  const files = [library, join(dirname(library), "vmnet-host")].filter((path) => existsSync(path));
  const looked = files.map((path) => run("/usr/bin/xattr", "-p", "com.apple.quarantine", path)?.status);
  if (looked.includes(undefined)) return { name, state: "note", says: "cannot be told: xattr cannot be run" };
  const held = files.filter((_, i) => looked[i] === 0);
  if (held.length === 0) return { name, state: "ok", says: "neither the library nor vmnet-host is in quarantine" };
  const remedy = `xattr -d com.apple.quarantine ${held.map(quoted).join(" ")}`;
  return { name, state: "problem", says: `in quarantine, so loading may hang: ${held.join(", ")}`, remedy };
}

function checkVersion(version: string): Finding {
  const name = "macOS";
  const major = Number.parseInt(version);
  if (!(major > 0)) return { name, state: "note", says: "its version cannot be told" };
  if (major < 12) return { name, state: "problem", says: version, remedy: "The library needs macOS 12 or later" };
  if (major < 26) {
    return { name, state: "ok", says: `${version}: vmnet needs root; no network objects before macOS 26` };
  }
  return { name, state: "ok", says: `${version}: vmnet takes root, or an entitled program` };
}

/** What the running program's signature allows: what the library sees, else what codesign says. */
function checkSignature(macos: MacOsFacts | undefined, version: string): Finding {
  const name = "entitlement";
  const key = "com.apple.security.virtualization";
  const listed = outputOf("/usr/bin/codesign", "-d", "--entitlements", "-", "--xml", process.execPath);
  const inSignature = listed === undefined ? undefined : listed.replaceAll(/\s/g, "").includes(`${key}</key><true/>`);
  const signature = inSignature === undefined ? "" : `, its signature ${inSignature ? "has" : "lacks"} ${key}`;
  const restricted = listed?.includes("com.apple.vm.networking")
    ? `; com.apple.vm.networking needs Apple's permission: macOS kills a program that has it without`
    : "";
  if (macos?.entitled ?? inSignature) {
    const says = `${process.execPath} has ${key}${restricted}`;
    return { name, state: "ok", says: Number.parseInt(version) < 26 ? `${says}, which counts from macOS 26 on` : says };
  }
  const says = `${process.execPath} is not entitled${signature}${restricted}`;
  if (process.getuid?.() === 0) return { name, state: "ok", says: `${says}; root needs no entitlement` };
  if (Number.parseInt(version) < 26) return { name, state: "problem", says, remedy: "Run with sudo" };
  if (macos?.host && macos.hostPath) return { name, state: "ok", says: `${says}; ${macos.hostPath} is used instead` };
  return { name, state: "problem", says, remedy: RESIGN };
}

/** Internet Sharing uses what vmnet needs, which answers 1009 then, or 1001. */
function checkSharing(): Finding {
  const name = "Internet Sharing";
  const read = run("/usr/bin/defaults", "read", "/Library/Preferences/SystemConfiguration/com.apple.nat");
  if (read === undefined) return { name, state: "note", says: "its settings cannot be read" };
  // NAT = { AirPort = { Enabled = 0; }; Enabled = 1; }: not what is nested. Without a file it was never on
  const nat = read.status === 0 ? /\bNAT\s*=\s*\{([^]*)/.exec(read.stdout)?.[1] ?? "" : "";
  let [own, depth] = ["", 1];
  for (const [part] of nat.matchAll(/[{}]|[^{}]+/g)) {
    depth += part === "{" ? 1 : part === "}" ? -1 : 0;
    if (depth === 0) break;
    if (depth === 1) own += part;
  }
  if (!/\bEnabled\s*=\s*1\b/.test(own)) return { name, state: "ok", says: "off" };
  const remedy = "System Settings, General, Sharing: turn Internet Sharing off if an interface does not start";
  return { name, state: "problem", says: "on", remedy };
}

/** The application firewall keeps guests from getting addresses when it blocks the system's DHCP server. */
function checkFirewall(): Finding {
  const name = "firewall";
  const state = outputOf(SOCKETFILTERFW, "--getglobalstate");
  if (state === undefined) return { name, state: "note", says: "its state cannot be read" };
  if (!/State = [12]/.test(state)) return { name, state: "ok", says: "off" };
  const allows = `sudo ${SOCKETFILTERFW} --add ${BOOTPD} && sudo ${SOCKETFILTERFW} --unblockapp ${BOOTPD}`;
  const blocked = "guests get no addresses: it keeps bootpd from answering";
  if (/State = 2/.test(state) || /block all.*(enabled|= 1)/i.test(outputOf(SOCKETFILTERFW, "--getblockall") ?? "")) {
    const remedy = "System Settings, Network, Firewall, Options: turn off the blocking of all incoming connections";
    return { name, state: "problem", says: `blocks everything: ${blocked}`, remedy };
  }
  const apps = outputOf(SOCKETFILTERFW, "--listapps");
  const entry = apps?.split(/^\s*\d+\s*:/m).find((app) => app.includes(BOOTPD));
  if (entry !== undefined && /Block/i.test(entry)) return { name, state: "problem", says: blocked, remedy: allows };
  if (entry !== undefined) return { name, state: "ok", says: "on, and lets bootpd through" };
  return { name, state: "note", says: "on, without a rule for bootpd: if guests get no addresses", remedy: allows };
}

/** Since macOS 15 a program may not connect to guests before its terminal was granted the local network. */
function checkLocalNetwork(version: string): Finding {
  const name = "local network";
  if (Number.parseInt(version) < 15) return { name, state: "ok", says: "no permission needed before macOS 15" };
  const says = 'a connection to a guest that fails with "no route to host" lacks a permission; vmnet itself does not';
  const remedy = "System Settings, Privacy & Security, Local Network: allow the terminal that you use";
  return { name, state: "note", says, remedy };
}

/** A VPN that takes the default route may take the guests' along. */
function checkVpn(): Finding {
  const name = "VPN";
  const route = run("/sbin/route", "-n", "get", "default");
  if (route === undefined) return { name, state: "note", says: "the default route cannot be read" };
  const through = /interface:\s*(\S+)/.exec(route.stdout)?.[1];
  if (through === undefined) return { name, state: "note", says: "there is no default route: guests cannot get out" };
  if (!/^(utun|ppp|ipsec|tun)/.test(through)) return { name, state: "ok", says: `the default route is ${through}` };
  const remedy = "If guests cannot get out, let the VPN leave the local network alone, or start interfaces after it";
  return { name, state: "note", says: `the default route is ${through}, a VPN`, remedy };
}

function macFindings(macos: MacOsFacts | undefined): Finding[] {
  const version = macos?.version || (outputOf("/usr/bin/sw_vers", "-productVersion") ?? "").trim();
  return [
    checkVersion(version),
    checkSignature(macos, version),
    checkSharing(),
    checkFirewall(),
    checkLocalNetwork(version),
    checkVpn(),
  ];
}

function isThere(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}

/** Guests work without KVM, but slowly; everything else works without ping. */
function linuxFindings(): Finding[] {
  const kvm = "/dev/kvm";
  const slow = isThere(kvm, constants.F_OK) ? `${kvm} is there, and not for this user` : `${kvm} is not there`;
  const groups = "/proc/sys/net/ipv4/ping_group_range";
  const range = isThere(groups, constants.R_OK) ? readFileSync(groups, "utf8") : "1 0";
  const [first, last] = range.trim().split(/\s+/).map(Number);
  const group = process.getgid?.() ?? -1;
  const pings = group >= first! && group <= last!;
  return [
    isThere(kvm, constants.R_OK | constants.W_OK) ? { name: "KVM", state: "ok", says: "guests run at full speed" } : {
      name: "KVM",
      state: "note",
      says: `${slow}: guests run slowly`,
      remedy: isThere(kvm, constants.F_OK)
        ? "sudo usermod -aG kvm $USER, then log in again"
        : "sudo modprobe kvm_intel or kvm_amd; in a VM, one that may start others",
    },
    pings ? { name: "ping", state: "ok", says: "guests can ping the outside" } : {
      name: "ping",
      state: "note",
      says: "guests cannot ping the outside",
      remedy: 'sudo sysctl -w net.ipv4.ping_group_range="0 2147483647"',
    },
  ];
}

/** What the library itself says. */
function capabilities(found: Probe): Finding[] {
  const { backend, libslirpVersion } = found;
  const named = [
    ["library", found.shim, backend === "vmnet" ? "vmnet.framework" : "embedded network"],
    ["mode host", found.host, "works"],
    ["mode shared", found.shared, libslirpVersion ? `works, with libslirp ${libslirpVersion}` : "works"],
    ["mode bridged", found.bridged, "works"],
    ["DHCP", found.dhcp, "works"],
    ["networks", found.networks, "work"],
  ] as const;
  return named.map(([name, { works, reason, remedy }, fine]): Finding => {
    if (works) return { name, state: remedy === undefined ? "ok" : "note", says: reason ?? fine, remedy };
    // What this system cannot have is nothing to mend
    const isNote = (name === "mode bridged" && backend === "embedded") || (name === "networks" && found.host.works);
    return { name, state: isNote ? "note" : "problem", says: reason ?? "does not work", remedy };
  });
}

async function findings(): Promise<Finding[]> {
  const user = process.getuid?.() === 0 ? "root" : `user ${process.getuid?.() ?? "unknown"}`;
  const runtime = process.versions["bun"] ? `bun ${process.versions["bun"]}` : `deno ${process.versions["deno"]}`;
  const found: Finding[] = [
    { name: "runtime", state: "ok", says: `${runtime} on ${process.platform}-${process.arch}` },
    { name: "user", state: "ok", says: user },
  ];
  if (isMac) {
    const quarantine = checkQuarantine(libraries()[0]);
    found.push(quarantine);
    if (quarantine.state === "problem") {
      const says = "not loaded, because of the quarantine";
      return [...found, { name: "library", state: "problem", says }, ...macFindings(undefined)];
    }
  }
  const { probe } = await import("vmnet");
  const works = await probe();
  found.push(...capabilities(works));
  // The doubles of the tests are vmnet on another system
  return [...found, ...(isMac || works.macos ? macFindings(works.macos) : linuxFindings())];
}

const SECONDS = 3;

/** Opens one interface, asks, and counts what comes back. */
async function selfTest(mode: "shared" | "host", say: Say): Promise<Finding[]> {
  const name = "self-test";
  const { Interface, interrupted, VmnetError } = await import("vmnet");
  const interruption = new AbortController();
  const over = new AbortController();
  interrupted({ signal: over.signal }).then((by) => {
    process.exitCode = 130;
    interruption.abort(new Error(`interrupted by ${by}`));
  }, () => {});
  using _ends = { [Symbol.dispose]: () => over.abort() };
  const { signal } = interruption;
  let nic: Nic;
  try {
    nic = await Interface.start({ mode }, { signal });
  } catch (error) {
    if (signal.aborted) return [{ name, state: "problem", says: signal.reason.message }];
    if (!(error instanceof VmnetError)) throw error;
    return [{ name, state: "problem", says: error.message, remedy: error.remedy }];
  }
  await using _stops = nic;
  say.parameters({ ...nic.parameters, mode });
  const mac = macOctets(nic.macAddress || "02:76:6d:6e:00:01");
  const questions = [dhcpDiscover(mac)];
  const gateway = nic.parameters.startAddress;
  if (gateway !== undefined) questions.push(arpRequest(mac, gateway));
  const seen = { frames: 0, bytes: 0, arp: 0, dhcp: 0, other: 0 };
  const ask = () => nic.write(questions).catch(() => {});
  const again = setInterval(ask, 1000);
  const time = AbortSignal.timeout(SECONDS * 1000);
  try {
    await ask();
    for await (const batch of nic.batches({ signal: AbortSignal.any([signal, time]) })) {
      for (const frame of batch) {
        seen.frames++;
        seen.bytes += frame.length;
        seen[kindOf(frame)]++;
      }
    }
  } finally {
    clearInterval(again);
  }
  if (signal.aborted) return [{ name, state: "problem", says: signal.reason.message }];
  const { frames, bytes, arp, dhcp } = seen;
  const counted = `${frames} frames, ${bytes} bytes in ${SECONDS} s: ${arp} ARP, ${dhcp} DHCP answers`;
  if (dhcp > 0) return [{ name, state: "ok", says: counted }];
  const remedy = frames > 0
    ? `Frames pass, but nobody gives addresses${
      isMac ? ": look at the firewall and at bootpd" : ""
    }; "capture" shows them`
    : "Nothing came back: look at the problems above, and try the other mode";
  return [{ name, state: "problem", says: counted, remedy }];
}

/** How things are printed. */
interface Say {
  finding(finding: Finding): void;
  parameters(parameters: Record<string, unknown>): void;
}

function sayer(json: boolean): Say {
  if (json) {
    const print = (event: string, details: object) => write(jsonOf({ event, ...details }));
    return { finding: (finding) => print("finding", finding), parameters: (all) => print("parameters", all) };
  }
  return {
    finding({ name, state, says, remedy }) {
      write(`${state.padEnd(8)} ${name}: ${says}`);
      if (remedy !== undefined) write(`         ${state === "problem" ? "what to do" : "if needed"}: ${remedy}`);
    },
    parameters(all) {
      for (const [key, value] of Object.entries(all)) write(`         ${key} ${value}`);
    },
  };
}

await main(NAME, async () => {
  const values = readOptions(NAME, "Says what works on this machine, and what to do about the rest.", options);
  const mode = text(values, "mode") ?? "shared";
  if (mode !== "shared" && mode !== "host") throw new UsageError(`--mode takes shared or host, not "${mode}"`);
  if (values["mode"] !== undefined && values["self-test"] !== true) {
    throw new UsageError("--mode goes with --self-test");
  }
  const say = sayer(values["json"] === true);
  const found = await findings();
  found.forEach(say.finding);
  const isBlocked = found.some(({ name, state }) => name === "library" && state === "problem");
  if (values["self-test"] === true && !isBlocked) {
    const tested = await selfTest(mode, say);
    tested.forEach(say.finding);
    found.push(...tested);
  }
  if (found.some(({ state }) => state === "problem")) process.exitCode ||= 1;
});
