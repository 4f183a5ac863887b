// SPDX-License-Identifier: MIT

/**
 * Which guest has which address: of a vmnetd that runs, or from the file of macOS's own DHCP server.
 *
 *     deno run -A tools/leases.ts
 *     ssh root@$(deno run -A tools/leases.ts --wait 52:54:00:0a:0b:0c --timeout 60)
 *
 * Theory of operation: a vmnetd that is not named is looked for in the usual places (_daemons.ts). Both sources are read as
 * a whole and compared with what was there before (_lease_sources.ts); how macOS writes its file is in _dhcpd_leases.ts. It
 * names a guest by its MAC address, unless the guest identifies itself otherwise, as those with systemd-networkd do: then by
 * that identifier, or by its name.
 *
 * Status 0: done. 1: no such lease, or it cannot be read. 2: a wrong command line. 130: interrupted.
 *
 * @module
 */

import process from "node:process";
import { controlPath, harmless, integer, jsonOf, main, readOptions, say, text, UsageError } from "./_cli.ts";
import { Deadline, interruption, printable, table } from "./_terminal.ts";
import { noDaemon, onlyDaemon } from "./_daemons.ts";
import { follow } from "./_follow.ts";
import { changesBetween, hiddenHint, isOf, type Lease, type LeaseTable } from "./_leases.ts";

const NAME = "vmnet-leases";

const ABOUT = `Which guest has which address. GUEST is a MAC address, a client identifier or a name; with one, only its
address is printed. Leases are those of a vmnetd, named or found, or else on macOS those of /var/db/dhcpd_leases.`;

const options = {
  socket: { value: "PATH", help: "first socket of a vmnetd, if its control socket is beside that", short: "s" },
  control: { value: "PATH", help: "control socket of a vmnetd; by default the only one that is found" },
  file: { value: "FILE", help: "a file in the format of macOS's dhcpd_leases" },
  watch: { help: "go on, and print what is added, changed, renewed, removed, or expires", short: "w" },
  wait: { help: "wait until GUEST has an address, print it, and end" },
  new: { help: "with --wait: only an address that is given or renewed from now on" },
  timeout: { value: "SECONDS", help: "with --wait: end with status 1 after so long, 1 to 86400" },
  all: { help: "leases that ended or were followed by others, too" },
  json: { help: "print one JSON object a line" },
} as const;

/** Later than any lease: bootpd's way to say that one has no end. */
const NEVER = 0xffffffff;

/** How long a lease goes on; another one may have taken its place before. */
function remaining({ expiresSeconds }: Lease, isPast: boolean): string {
  const seconds = Math.round(expiresSeconds - Date.now() / 1000);
  if (isPast) return seconds <= 0 ? "ended" : "replaced";
  if (expiresSeconds >= NEVER) return "never";
  if (seconds < 120) return `in ${seconds} s`;
  if (seconds < 7200) return `in ${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `in ${Math.round(seconds / 3600)} h` : `in ${Math.round(seconds / 86_400)} d`;
}

const clientOf = ({ mac, id }: Lease): string => mac || `id ${id}`;

/** What of a lease JSON has. */
function fieldsOf({ mac, id, address, hostname, expiresSeconds, network }: Lease): Record<string, unknown> {
  return { mac, ...(id && { id }), address, hostname, expiresSeconds, ...(network && { network }) };
}

function printTable(leases: readonly Lease[], past: ReadonlySet<Lease>): void {
  const severalNetworks = new Set(leases.map(({ network }) => network)).size > 1;
  const row = (lease: Lease) => [
    ...[lease.address, clientOf(lease), remaining(lease, past.has(lease)), printable(lease.hostname) || "-"],
    ...(severalNetworks ? [lease.network] : []),
  ];
  const head = ["ADDRESS", "CLIENT", "EXPIRES", "NAME", ...(severalNetworks ? ["NETWORK"] : [])];
  say(table([head, ...leases.map(row)]));
}

function complain(what: string): void {
  console.error(`${NAME}: ${harmless(what)}`);
}

function printLeases(
  { leases, past, skipped }: LeaseTable,
  guest: string | undefined,
  all: boolean,
  json: boolean,
): void {
  const found = [...leases, ...(all ? past : [])].filter(isOf(guest));
  const isPast = new Set(past);
  if (skipped > 0) complain(`${skipped} ${skipped === 1 ? "entry makes" : "entries make"} no sense, and left out`);
  if (guest !== undefined && found.length === 0) {
    throw new Error(`no lease of ${guest}${hiddenHint(leases)}; --wait waits for one`);
  }
  if (json) {
    const state = (lease: Lease) => isPast.has(lease) ? { past: true } : {};
    return found.forEach((lease) => say(jsonOf({ ...fieldsOf(lease), ...state(lease) })));
  }
  if (guest !== undefined && !all) return say(harmless(found[0]!.address));
  if (found.length === 0) return complain("there are no leases");
  printTable(found, isPast);
}

/** Prints the address of a guest as soon as it has one. */
async function wait(
  tables: AsyncIterable<LeaseTable>,
  guest: string,
  onlyNew: boolean,
  json: boolean,
): Promise<LeaseTable | undefined> {
  let old: Lease | undefined;
  let last: LeaseTable | undefined;
  let hiddenMost = Infinity; // said once, even if the file is read while it is written
  for await (const now of tables) {
    const lease = now.leases.find(isOf(guest));
    if (onlyNew && last === undefined) old = lease;
    const hidden = now.leases.filter(({ mac }) => mac === "").length;
    if (hidden > hiddenMost) complain(`${guest} may be there${hiddenHint(now.leases)}`);
    hiddenMost = last === undefined ? hidden : Math.max(hidden, hiddenMost);
    last = now;
    if (lease === undefined) continue;
    if (old !== undefined && old.address === lease.address && old.expiresSeconds === lease.expiresSeconds) continue;
    say(json ? jsonOf(fieldsOf(lease)) : harmless(lease.address));
    return undefined;
  }
  return last ?? { leases: [], past: [], skipped: 0 };
}

/** Prints leases that are there as added, then every change. */
async function watchLeases(tables: AsyncIterable<LeaseTable>, guest: string | undefined, json: boolean): Promise<void> {
  let before: readonly Lease[] = [];
  for await (const { leases } of tables) {
    const now = leases.filter(isOf(guest));
    for (const { change, lease, before: address } of changesBetween(before, now)) {
      if (json) {
        say(jsonOf({ event: "lease", change, ...fieldsOf(lease), ...(address && { before: address }) }));
        continue;
      }
      const time = new Date().toTimeString().slice(0, 8);
      const more = [address && `was ${address}`, printable(lease.hostname), lease.network].filter(Boolean).join("  ");
      const line = `${time}  ${change.padEnd(7)}  ${lease.address.padEnd(15)}  ${clientOf(lease)}  ${more}`;
      say(harmless(line.trimEnd()));
    }
    before = now;
  }
}

await main(NAME, async () => {
  const values = readOptions(NAME, ABOUT, options, { operands: "[GUEST]" });
  const [guest, ...rest] = values["operands"] as string[];
  if (rest.length > 0) throw new UsageError(`one GUEST is taken, not "${[guest, ...rest].join('" "')}"`);
  const is = (name: keyof typeof options) => values[name] === true;
  const [isWatching, isWaiting] = [is("watch"), is("wait")];
  const seconds = integer(values, "timeout", 1, 86_400);
  const [control, file] = [controlPath(values), text(values, "file")];
  if (isWatching && isWaiting) throw new UsageError("--watch and --wait are one or the other");
  if (isWaiting && guest === undefined) throw new UsageError("--wait takes a GUEST");
  if (!isWaiting && (seconds !== undefined || is("new"))) {
    throw new UsageError("--timeout and --new are about --wait, which is missing");
  }
  if (control !== undefined && file !== undefined) {
    throw new UsageError("--file is one source, vmnetd another: not both");
  }
  const { leaseSourceOf } = await import("./_lease_sources.ts");
  const daemon = control ?? (file === undefined ? await onlyDaemon(values) : undefined);
  const source = leaseSourceOf(daemon, file, isWatching || isWaiting);
  if (source === undefined) {
    throw new UsageError(
      `${noDaemon(values)}: name its socket with --socket PATH or --control PATH, or a file with --file`,
    );
  }
  if (!isWatching && !isWaiting) return printLeases(await source.read(), guest, is("all"), is("json"));
  const interrupted = interruption();
  if (isWatching) {
    await watchLeases(follow(source, interrupted), guest, is("json"));
    return void (process.exitCode = 130);
  }
  using ending = new Deadline(interrupted, seconds);
  const last = await wait(follow(source, ending.signal, true), guest!, is("new"), is("json"));
  if (last === undefined) return;
  if (interrupted.aborted) return void (process.exitCode = 130);
  throw new Error(`${guest} got no address within ${seconds} s${hiddenHint(last.leases)}`);
});
