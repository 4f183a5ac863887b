/**
 * TCP of a real guest: iperf3 in the guest, a server on loopback, once through `vmnetd` (frames in C,
 * NAT by the gateway) and once through QEMU's own user netdev, both guests alive at the same time and
 * measured in turns.
 *
 * Run by `npm run bench`; alone: `bun bench/guest_tcp.ts` or `deno run -A bench/guest_tcp.ts`, with `--rounds N` and
 * `--seconds N`.
 *
 * @module
 */

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs, promisify } from "node:util";
import { bootGuest, type Guest, whyNoGuest } from "../tests/guest/harness.ts";
import { runtimeName } from "../ffi/runtime.ts";
import { quantile, type Result } from "./harness.ts";

const { values: options } = parseArgs({
  options: { rounds: { type: "string" }, seconds: { type: "string" }, json: { type: "boolean" } },
});
const rounds = Number(options.rounds ?? 21);
const seconds = Number(options.seconds ?? 1);
const port = 5201 + (process.pid % 1000);
const run = promisify(execFile);

/** Seconds of CPU that a process and its children have used. */
function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  let ticks = Number(fields[11]) + Number(fields[12]);
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    for (const child of readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").split(" ").filter(Boolean)) {
      ticks += cpuSeconds(Number(child)) * 100;
    }
  }
  return ticks / 100;
}

/** One measurement: megabits per second as the receiver saw it. */
async function iperf(guest: Guest, address: string, down: boolean): Promise<number> {
  const command = `iperf3 -c ${address} -p ${port} -t ${seconds} -J ${down ? "-R" : ""} > /tmp/r; ` +
    `grep -A 9 sum_received /tmp/r | grep bits_per_second`;
  const { output } = await guest.run(command, { timeoutMs: 60_000 });
  const bits = Number(output.match(/bits_per_second"?:\s*([\d.e+]+)/)?.[1]);
  if (!(bits > 0)) throw new Error(`Cannot measure: iperf3 in the guest said ${JSON.stringify(output)}`);
  return bits / 1e6;
}

async function started(child: ChildProcess, what: string, ready: (line: string) => boolean): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    let seen = "";
    const timer = setTimeout(() => reject(new Error(`Cannot start ${what}: it said ${JSON.stringify(seen)}`)), 15_000);
    const take = (data: Uint8Array) => {
      seen += new TextDecoder().decode(data);
      if (seen.split("\n").some(ready)) {
        clearTimeout(timer);
        resolve();
      }
    };
    child.stdout?.on("data", take);
    child.stderr?.on("data", take);
    child.once("exit", (code) => reject(new Error(`Cannot start ${what}: it ended with ${code}: ${seen}`)));
  });
}

async function main(): Promise<Result[]> {
  const reason = whyNoGuest({ extra: true });
  if (reason) throw new Error(`Cannot run this benchmark: ${reason}`);
  await run("iperf3", ["--version"]);
  const folder = mkdtempSync(join(tmpdir(), "vmnet-bench-"));
  const socket = join(folder, "vmnetd.sock");
  const children: ChildProcess[] = [];
  const guests: Guest[] = [];
  try {
    const server = spawn("iperf3", ["-s", "-B", "127.0.0.1", "-p", String(port), "--forceflush"]);
    children.push(server);
    await started(server, "iperf3", (line) => line.includes("Server listening"));
    const tool = new URL("../tools/vmnetd.ts", import.meta.url).pathname;
    const daemon = spawn(process.execPath, [
      ...(runtimeName === "deno" ? ["run", "-A"] : []),
      tool,
      "--socket",
      socket,
      "--mode",
      "shared",
    ]);
    children.push(daemon);
    await started(daemon, "vmnetd", (line) => line.includes(socket));
    const ours = await bootGuest({ netdev: { kind: "stream", path: socket }, mac: "52:54:00:00:00:01", extra: true });
    guests.push(ours);
    const theirs = await bootGuest({ netdev: { kind: "user" }, mac: "52:54:00:00:00:02", extra: true });
    guests.push(theirs);
    const results: Result[] = [];
    for (const down of [false, true]) {
      const mine: number[] = [];
      const peer: number[] = [];
      const ratios: number[] = [];
      const cpu: number[] = [];
      for (let round = -1; round < rounds; round++) {
        const order = round % 2 === 0 ? [0, 1] : [1, 0];
        let a = 0;
        let b = 0;
        for (const which of order) {
          if (which === 0) {
            const before = cpuSeconds(daemon.pid!);
            a = await iperf(ours, ours.lease!.router[0]!, down);
            const used = cpuSeconds(daemon.pid!) - before;
            if (round >= 0) cpu.push(used / (a * seconds / 1000));
          } else b = await iperf(theirs, "10.0.2.2", down);
        }
        if (round < 0) continue;
        mine.push(a);
        peer.push(b);
        ratios.push(a / b);
      }
      const name = down
        ? "guest TCP down (host to guest), ceiling: QEMU user"
        : "guest TCP up (guest to host), ceiling: QEMU user";
      results.push({
        name,
        runtime: runtimeName,
        median: Math.round(quantile(mine, 0.5)),
        unit: "Mbit/s",
        ceiling: Math.round(quantile(peer, 0.5)),
        ratio: Number(quantile(ratios, 0.5).toFixed(3)),
        spread: [Number(quantile(ratios, 0.25).toFixed(3)), Number(quantile(ratios, 0.75).toFixed(3))],
        rounds,
      }, {
        name: `CPU of vmnetd and gateway, guest TCP ${down ? "down" : "up"}`,
        runtime: runtimeName,
        median: Number(quantile(cpu, 0.5).toFixed(2)),
        unit: "s/Gbit",
        ceiling: null,
        ratio: null,
        spread: [Number(quantile(cpu, 0.25).toFixed(2)), Number(quantile(cpu, 0.75).toFixed(2))],
        rounds,
      });
    }
    return results;
  } finally {
    for (const guest of guests) await guest[Symbol.asyncDispose]();
    for (const child of children) child.kill("SIGTERM");
    rmSync(folder, { recursive: true, force: true });
  }
}

for (const result of await main()) console.log(JSON.stringify(result));
process.exit(0);
