/**
 * TCP through the NAT: iperf3 in a network namespace, and in a real guest, to a server on this machine's loopback.
 *
 * Runs inside `tests/guest/netns.sh`, so nothing that is made here outlives it. MTU 1500 for all.
 *
 * @module
 */

import { join } from "node:path";
import { readFileSync, readlinkSync } from "node:fs";
import process from "node:process";
import { bootGuest, type Guest, type GuestNetdev, whyNoGuest } from "../../tests/guest/harness.ts";
import type { Bar, Role, Series } from "./report.ts";
import { carry, cpuSeconds, ours, output, Program, run, runtimes, serving, which } from "./programs.ts";
import { type Case, interleaved } from "./rounds.ts";

const PORT = 5201;
const VETH = "veth";
const QEMU = "QEMU user";

/** iperf3's server, whoever comes. */
async function serve(): Promise<void> {
  await new Program("iperf3", ["-s", "-p", String(PORT), "--forceflush"])
    .ready((seen) => seen.includes("Server listening"), "iperf3");
}

/** The same control of congestion for all; machines differ in what they start with. */
const congestion = () =>
  readFileSync("/proc/sys/net/ipv4/tcp_available_congestion_control", "utf8").includes("cubic") ? ["-C", "cubic"] : [];

function linkOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined;
  }
}

/** A namespace with nothing in it, by the process that holds it. */
async function namespace(): Promise<number> {
  const home = readlinkSync("/proc/self/ns/net");
  const { child } = new Program("unshare", ["-n", "sleep", "3600"]);
  for (let tries = 0; tries < 500; tries++) {
    if (child.pid !== undefined && linkOf(child.pid) !== undefined && linkOf(child.pid) !== home) {
      run("nsenter", "-t", String(child.pid), "-n", "ip", "link", "set", "lo", "up");
      return child.pid;
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error("Cannot make a network namespace");
}

function configure(pid: number, device: string, address: string, gateway?: string): void {
  const ip = (...args: string[]) => run("nsenter", "-t", String(pid), "-n", "ip", ...args);
  ip("addr", "add", address, "dev", device);
  ip("link", "set", device, "mtu", "1500", "up");
  if (gateway) ip("route", "add", "default", "via", gateway);
}

/** A guest that is a namespace, and whose server it talks to. */
interface Place {
  subject: string;
  role: Role;
  pid: number;
  server: string;
  /** Whose CPU time is counted: the switch's and the gateway's, not that of the wire to the namespace. */
  programs: Program[];
}

const qemuArguments = (path: string) => [
  ...["-M", "none", "-nodefaults", "-display", "none", "-netdev", "user,id=u"],
  ...["-netdev", `stream,id=s,server=on,addr.type=unix,addr.path=${path}`],
  ...["-netdev", "hubport,id=h0,hubid=0,netdev=u", "-netdev", "hubport,id=h1,hubid=0,netdev=s"],
];
const gvproxyArguments = (path: string) => ["-listen-qemu", `unix://${path}`, "-mtu", "1500", "-ssh-port", "-1"];

async function limits(): Promise<Place[]> {
  const places: Place[] = [];
  const add = (subject: string, pid: number, net: number, programs: Program[]) =>
    places.push({ subject, role: "limit", pid, server: `10.9.${net}.1`, programs });
  const direct = await namespace();
  run("ip", "link", "add", "bveth", "type", "veth", "peer", "name", "g0", "netns", String(direct));
  run("ip", "addr", "add", "10.9.1.1/24", "dev", "bveth");
  run("ip", "link", "set", "bveth", "up");
  configure(direct, "g0", "10.9.1.2/24");
  add(VETH, direct, 1, []);
  for (const [header, subject] of [[0, "TAP relay in C"], [1, "TAP relay in C, frames of 64 KiB"]] as const) {
    const pid = await namespace();
    const device = `btap${header}`;
    const net = 2 + header;
    const program = await carry("taps", "g0", String(pid), device, String(process.pid), String(header));
    run("ip", "addr", "add", `10.9.${net}.1/24`, "dev", device);
    run("ip", "link", "set", device, "mtu", "1500", "up");
    configure(pid, "g0", `10.9.${net}.2/24`);
    add(subject, pid, net, [program]);
  }
  return places;
}

const host = (subnet: string, number: number) => subnet.replace(/\d+\/(\d+)$/, `${number}`);

async function oursPlaces(folder: string): Promise<Place[]> {
  const path = join(folder, "nat-ours");
  const program = await ours(runtimes[0]!, "nat", path);
  const { subnet, gateway, tap } = JSON.parse(program.seen.split("\n")[0]!);
  const places: Place[] = [];
  const join_ = async (subject: string, device: string, number: number, prepare: (pid: number) => unknown) => {
    const pid = await namespace();
    await prepare(pid);
    configure(pid, device, `${host(subnet, number)}/24`, gateway);
    places.push({ subject, role: "ours", pid, server: gateway, programs: [program] });
  };
  await join_("ours, stream socket", "g0", 201, (pid) => carry("tap", "g0", String(pid), path));
  if (tap) await join_("ours, TAP device", tap, 202, (pid) => run("ip", "link", "set", tap, "netns", String(pid)));
  return places;
}

async function peerPlaces(folder: string): Promise<Place[]> {
  const places: Place[] = [];
  const qemu = which("qemu-system-x86_64");
  const gvproxy = which("gvproxy");
  const slirp = which("slirp4netns");
  const wired = async (
    subject: string,
    path: string,
    program: Program,
    address: string,
    gateway: string,
    server: string,
  ) => {
    const pid = await namespace();
    await carry("tap", "g0", String(pid), path);
    configure(pid, "g0", address, gateway);
    places.push({ subject, role: "peer", pid, server, programs: [program] });
  };
  if (qemu) {
    const path = join(folder, "nat-qemu");
    const program = await serving(qemu, qemuArguments(path), path);
    await wired(QEMU, path, program, "10.0.2.15/24", "10.0.2.2", "10.0.2.2");
  }
  if (gvproxy) {
    const path = join(folder, "nat-gvproxy");
    const program = await serving(gvproxy, gvproxyArguments(path), path);
    await wired("gvproxy", path, program, "192.168.127.2/24", "192.168.127.1", "192.168.127.254");
  }
  if (slirp) {
    const pid = await namespace();
    const program = new Program(slirp, ["-c", "-m", "1500", String(pid), "g0"]);
    await program.ready((seen) => seen.includes("received tapfd"), "slirp4netns");
    await new Promise((resolve) => setTimeout(resolve, 300)); // it says nothing when it has configured the device
    places.push({ subject: "slirp4netns", role: "peer", pid, server: "10.0.2.2", programs: [program] });
  }
  return places;
}

interface Report {
  end?: { sum_received?: { bits_per_second?: number } };
  error?: string;
}

function received(text: string): number {
  const report = JSON.parse(text) as Report;
  const bits = report.end?.sum_received?.bits_per_second;
  if (!bits) throw new Error(report.error ?? "iperf3 received nothing");
  return bits;
}

const testOf = (what: string, way: string) => `TCP of ${what}, ${way}`;
const WAYS = [["guest to host", []], ["host to guest", ["-R"]]] as const;

/** Again while the server has not noticed yet that the one before has ended. */
async function patiently<T>(attempt: () => Promise<T>): Promise<T> {
  for (let tries = 0;; tries++) {
    try {
      return await attempt();
    } catch (error) {
      if (tries === 5 || !(error as Error).message.includes("server is busy")) throw error;
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
  }
}

/** Both ways one after the other, and the CPU seconds per gigabit of each. */
function tcpCase(
  what: string,
  subject: string,
  role: Role,
  programs: readonly Program[],
  iperf: (args: string[]) => Promise<number>,
): Case {
  const units: Record<string, string> = {};
  for (const [way] of WAYS) {
    units[testOf(what, way)] = "Mbit/s";
    if (programs.length > 0) units[`CPU of the NAT, ${what}, ${way}`] = "s/Gbit";
  }
  const measure = async () => {
    const figures: Record<string, number> = {};
    for (const [way, flags] of WAYS) {
      await patiently(async () => {
        const pids = programs.flatMap((program) => program.pids());
        const before = cpuSeconds(pids);
        const begin = performance.now();
        const bits = await iperf(["-p", String(PORT), "-t", "1", "-J", ...congestion(), ...flags]);
        const gigabits = bits * (performance.now() - begin) / 1e12;
        figures[testOf(what, way)] = bits / 1e6;
        figures[`CPU of the NAT, ${what}, ${way}`] = (cpuSeconds(pids) - before) / gigabits;
      });
    }
    return figures;
  };
  return { subject, role, units, measure };
}

const SPACE = "a namespace";
const GUEST = "a real guest";

/** TCP of guests that are namespaces. */
export async function measureNamespaces(folder: string, rounds: number): Promise<Series[]> {
  await serve();
  const places = [...await limits(), ...await oursPlaces(folder), ...await peerPlaces(folder)];
  const cases = places.map(({ subject, role, pid, server, programs }) =>
    tcpCase(SPACE, subject, role, programs, async (args) => {
      const command = ["-t", String(pid), "-n", "iperf3", "-c", server, "--connect-timeout", "3000", ...args];
      return received(await output("nsenter", command, 15_000));
    })
  );
  const series = await interleaved("TCP of a namespace", cases, rounds, false);
  for (const { programs } of places) for (const program of programs) program.end();
  return series;
}

/** TCP of real guests: all are alive, one at a time is busy. */
export async function measureGuests(folder: string, rounds: number): Promise<Series[]> {
  await serve();
  const guests: Guest[] = [];
  const cases: Case[] = [];
  const boot = async (
    subject: string,
    role: Role,
    netdev: GuestNetdev,
    programs: Program[],
    serverOf: (guest: Guest) => string,
  ) => {
    try {
      const guest = await bootGuest({ netdev, mac: `52:54:00:00:01:0${guests.length}`, extra: true });
      guests.push(guest);
      const server = serverOf(guest);
      cases.push(tcpCase(GUEST, subject, role, programs, async (args) => {
        const command = `iperf3 -c ${server} --connect-timeout 5000 ${args.join(" ")} > /tmp/r; ` +
          `grep -A 9 sum_received /tmp/r | grep bits_per_second || cat /tmp/r`;
        const { output: text } = await guest.run(command, { timeoutMs: 40_000 });
        const bits = Number(text.match(/bits_per_second"?:\s*([\d.e+]+)/)?.[1]);
        if (!(bits > 0)) throw new Error(`iperf3 in the guest said ${JSON.stringify(text.slice(-200))}`);
        return bits;
      }));
    } catch (error) {
      process.stderr.write(`${subject}: ${(error as Error).message.split("\n")[0]}\n`);
    }
  };
  try {
    const path = join(folder, "guest-ours");
    const program = await ours(runtimes[0]!, "nat", path);
    await boot("ours, C path", "ours", { kind: "stream", path }, [program], (guest) => guest.lease!.router[0]!);
    await boot(QEMU, "peer", { kind: "user" }, [], () => "10.0.2.2");
    const [passt, gvproxy] = [which("passt"), which("gvproxy")];
    if (passt) {
      const at = join(folder, "guest-passt");
      // It looks at /proc/PID/exe to find a quicker copy of itself; started by hand it stays in the foreground
      const args = ["-f", ...(process.getuid?.() === 0 ? ["--runas", "0"] : []), "-s", at, "-m", "1500"];
      const server = await serving(passt, args, at);
      await boot("passt", "peer", { kind: "stream", path: at }, [server], (guest) => guest.lease!.router[0]!);
    }
    if (gvproxy) {
      const at = join(folder, "guest-gvproxy");
      const server = await serving(gvproxy, gvproxyArguments(at), at);
      await boot("gvproxy", "peer", { kind: "stream", path: at }, [server], () => "192.168.127.254");
    }
    return await interleaved("TCP of real guests", cases, rounds);
  } finally {
    for (const guest of guests) await guest[Symbol.asyncDispose]();
  }
}

/** Why there can be no real guest, or undefined. */
export const noGuests = (): string | undefined => whyNoGuest({ extra: true }) || undefined;

/** The limit of each test. */
export const natLimits: Record<string, string> = Object.fromEntries(
  WAYS.map(([way]) => [testOf(SPACE, way), VETH]),
);

/** What must hold through the NAT. */
export const natBars: Bar[] = WAYS.map(([way]) => ({
  name: `real guest over QEMU user, ${way}`,
  of: [testOf(GUEST, way), "ours, C path"],
  to: [testOf(GUEST, way), QEMU],
  least: 0.9,
  cause: way === "guest to host"
    ? "libslirp acknowledges each segment, and each acknowledgement interrupts the guest by itself"
    : "libslirp has no window scaling, and a round trip of 64 KiB passes two more processes",
}));

/** The tests that the picture shows. */
export const shownNat: string[] = [SPACE, GUEST].flatMap((what) => WAYS.map(([way]) => testOf(what, way)));
/** Peers that may be missing, the test they are missed in, and its unit. */
export const natPeers: [program: string, subject: string, tests: string[]][] = [
  ["slirp4netns", "slirp4netns", [testOf(SPACE, "guest to host")]],
  ["gvproxy", "gvproxy", [testOf(SPACE, "guest to host"), testOf(GUEST, "guest to host")]],
  ["passt", "passt", [testOf(GUEST, "guest to host")]],
];
