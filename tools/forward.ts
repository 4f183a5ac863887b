// SPDX-License-Identifier: MIT

/**
 * The port forwarding rules of a vmnetd that runs: which there are, new ones, and what answers behind them.
 *
 *     deno run -A tools/forward.ts add tcp:8080:192.168.64.2:80
 *     deno run -A tools/forward.ts add tcp:2222:52:54:00:0a:0b:0c:22 --wait --check --socket /tmp/vm.sock
 *
 * Theory of operation: vmnetd is asked through its control socket, which is looked for if it is not named. A rule leads to
 * an address; one for a guest by its MAC address or its name is made once the guest has a lease. `watch` follows vmnetd's
 * events and reads the rules every other second besides, because a process that joined the network can change them, too.
 * `--check` connects as a client would; because the port itself is vmnetd's, only what is said on the connection tells that
 * the guest is there.
 *
 * Status 0: done. 1: it failed, or nothing answered. 2: a wrong command line. 130: interrupted.
 *
 * @module
 */

import process from "node:process";
import { harmless, integer, jsonOf, main, readOptions, say, text, UsageError } from "./_cli.ts";
import { daemonOf } from "./_daemons.ts";
import { follow } from "./_follow.ts";
import type { Checked } from "./_forward_check.ts";
import type { Rule, Rules } from "./_forward_rules.ts";
import type { Lease } from "./_leases.ts";
import { Deadline, interruption, printable, table } from "./_terminal.ts";

const NAME = "vmnet-forward";

const ABOUT = `Ports of this machine that lead to guests of a vmnetd. COMMAND is one of
  list             the rules (by default)
  add RULE         PROTO:PORT:GUEST:PORT, where GUEST is an address, [IPv6], a MAC address or a name
  remove RULE      PROTO:PORT is enough
  watch            what changes, as it changes`;

const options = {
  socket: { value: "PATH", help: "first socket of the vmnetd, if its control socket is beside that", short: "s" },
  control: { value: "PATH", help: "control socket of the vmnetd; by default the only one that is found" },
  network: { value: "NAME", help: "which network, if there are several" },
  wait: { help: "of add: wait until the guest has a lease, and with --check until it answers" },
  timeout: { value: "SECONDS", help: "with --wait: end with status 1 after so long, 1 to 86400" },
  check: { help: "of list and add: connect, and say what answers" },
  send: { value: "TEXT", help: "with --check: what to say, with \\r and \\n; by default a request of HTTP" },
  json: { help: "print one JSON object a line" },
} as const;

/** How often to try again what does not answer. */
const AGAIN_MS = 500;

/** What somebody wants. */
interface Wanted extends Omit<Rule, "network" | "internalAddress"> {
  readonly guest: string;
}

const TAKES = "PROTO:PORT:GUEST:PORT, e.g. tcp:8080:192.168.64.2:80";

function portOf(text: string, rule: string): number {
  const port = Number(text);
  if (port >= 1 && port <= 65535) return port;
  throw new UsageError(`a port is a number from 1 to 65535, not "${text}" as in "${rule}"`);
}

function parseRule(text: string): Wanted {
  const match = /^(tcp|udp):(\d+):(.+):(\d+)$/.exec(text);
  if (match === null) throw new UsageError(`a rule is ${TAKES}, not "${text}"`);
  const [, protocol, externalPort, guest, internalPort] = match as unknown as [string, "tcp" | "udp", ...string[]];
  const ports = { externalPort: portOf(externalPort!, text), internalPort: portOf(internalPort!, text) };
  return { protocol, guest: guest!, ...ports };
}

const ruleText = ({ protocol, externalPort, internalAddress: address, internalPort }: Rule): string =>
  `${protocol}:${externalPort}:${address.includes(":") ? `[${address}]` : address}:${internalPort}`;

/** The address that a guest is given as, if it is one. */
function addressOf(guest: string): string | undefined {
  const ipv6 = /^\[([\da-f:.]+)\]$/i.exec(guest)?.[1];
  return ipv6 ?? (/^\d+\.\d+\.\d+\.\d+$/.test(guest) ? guest : undefined);
}

async function add(text: string, rules: Rules, wait: boolean, signal: AbortSignal): Promise<Rule> {
  const { guest, ...wanted } = parseRule(text);
  const address = addressOf(guest);
  const lease = address === undefined ? await rules.leaseOf(guest, wait, signal) : undefined;
  return await rules.add({ ...wanted, internalAddress: address ?? lease!.address }, lease?.network, signal);
}

/** Takes back the one rule that is meant. */
async function remove(text: string, rules: Rules, signal: AbortSignal): Promise<Rule> {
  const [, protocol, port, guest, internal] = /^(tcp|udp):(\d+)(?::(.+):(\d+))?$/.exec(text) ?? [];
  if (protocol === undefined) throw new UsageError(`remove takes PROTO:PORT, e.g. tcp:8080, not "${text}"`);
  const all = await rules.read(signal);
  const address = guest && (addressOf(guest) ?? (await rules.leaseOf(guest, false, signal)).address);
  const found = all.filter((rule) =>
    rule.protocol === protocol && rule.externalPort === Number(port) &&
    (!address || (rule.internalAddress === address && rule.internalPort === Number(internal)))
  );
  const [rule, other] = found;
  if (rule === undefined) {
    const others = all.map(ruleText).join(", ") || "none at all";
    throw new Error(`there is no rule ${text}, only ${others}`);
  }
  if (other !== undefined) throw new Error(`several rules are ${text}: ${found.map(ruleText).join(", ")}`);
  await rules.remove(rule);
  return rule;
}

/** Prints rules that are there as added, then every change. */
async function watchRules(rules: Rules, json: boolean, signal: AbortSignal): Promise<void> {
  const keyOf = (rule: Rule) => `${rule.network} ${ruleText(rule)}`;
  let before = new Map<string, Rule>();
  for await (const list of follow(rules, signal)) {
    const now = new Map(list.map((rule) => [keyOf(rule), rule]));
    const changes = [
      ...[...before].filter(([key]) => !now.has(key)).map(([, rule]) => ["removed", rule] as const),
      ...[...now].filter(([key]) => !before.has(key)).map(([, rule]) => ["added", rule] as const),
    ];
    for (const [change, rule] of changes) {
      const time = new Date().toTimeString().slice(0, 8);
      const line = `${time}  ${change.padEnd(7)}  ${ruleText(rule)}  ${rule.network}`;
      say(json ? jsonOf({ event: "forward", change, ...rule }) : harmless(line));
    }
    before = now;
  }
}

/** What there is to say of a rule. */
interface Line {
  readonly rule: Rule;
  readonly lease?: Lease | undefined;
  readonly checked?: Checked | undefined;
}

function printLines(lines: readonly Line[], json: boolean): void {
  if (json) {
    for (const { rule, lease, checked } of lines) {
      const guest = lease && { mac: lease.mac, hostname: lease.hostname };
      say(jsonOf({ ...rule, ...guest, ...checked }));
    }
    return;
  }
  if (lines.length === 0) return console.error(`${NAME}: there are no rules`);
  const severalNetworks = new Set(lines.map(({ rule }) => rule.network)).size > 1;
  const isChecked = lines.some(({ checked }) => checked !== undefined);
  const rows = lines.map(({ rule, lease, checked }) => [
    ruleText(rule),
    lease === undefined ? "-" : [lease.mac, printable(lease.hostname)].filter(Boolean).join(" "),
    ...(severalNetworks ? [rule.network] : []),
    ...(checked === undefined ? [] : [`${checked.state}: ${checked.says}`]),
  ]);
  const head = ["RULE", "GUEST", ...(severalNetworks ? ["NETWORK"] : []), ...(isChecked ? ["CHECK"] : [])];
  say(table([head, ...rows]));
}

/** Tries a rule, until it answers if that is waited for. */
async function checkRule(rule: Rule, send: string | undefined, wait: boolean, signal: AbortSignal): Promise<Checked> {
  const { check } = await import("./_forward_check.ts");
  for (;;) {
    const checked = await check(rule.protocol, rule.externalPort, rule.internalAddress.includes(":"), send, signal);
    if (checked.state === "answers" || !wait || signal.aborted) return checked;
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}

await main(NAME, async () => {
  const values = readOptions(NAME, ABOUT, options, { operands: "[COMMAND [RULE]]" });
  const [command = "list", rule, ...rest] = values["operands"] as string[];
  const is = (name: keyof typeof options) => values[name] === true;
  const [json, wait, checks] = [is("json"), is("wait"), is("check")];
  const send = text(values, "send");
  const seconds = integer(values, "timeout", 1, 86_400);
  if (!["list", "add", "remove", "watch"].includes(command)) {
    throw new UsageError(`COMMAND takes list, add, remove or watch, not "${command}"`);
  }
  const takesRule = command === "add" || command === "remove";
  if (takesRule && rule === undefined) throw new UsageError(`${command} takes a RULE: ${TAKES}`);
  const extra = takesRule ? rest[0] : rule;
  if (extra !== undefined) throw new UsageError(`${command} takes fewer words, not "${extra}"`);
  if (wait && command !== "add") throw new UsageError("--wait is about add");
  if (seconds !== undefined && !wait) throw new UsageError("--timeout is about --wait, which is missing");
  if (checks && command !== "add" && command !== "list") throw new UsageError("--check is about list and add");
  if (send !== undefined && !checks) throw new UsageError("--send is about --check, which is missing");
  if (command === "add") parseRule(rule!); // before anybody waits
  const { Rules } = await import("./_forward_rules.ts");
  const rules = new Rules(await daemonOf(values), text(values, "network"));
  const interrupted = interruption();
  if (command === "watch") {
    await watchRules(rules, json, interrupted);
    return void (process.exitCode = 130);
  }
  using ending = new Deadline(interrupted, seconds);
  try {
    if (command === "remove") return void await remove(rule!, rules, interrupted);
    const list = command === "add" ? [await add(rule!, rules, wait, ending.signal)] : await rules.read(ending.signal);
    const leases = await rules.leases(ending.signal);
    const lines = await Promise.all(list.map(async (rule): Promise<Line> => ({
      rule,
      lease: leases.find(({ address }) => address === rule.internalAddress),
      checked: checks ? await checkRule(rule, send, wait, ending.signal) : undefined,
    })));
    printLines(lines, json);
    if (lines.some(({ checked }) => checked !== undefined && checked.state !== "answers")) process.exitCode = 1;
  } catch (error) {
    if (!interrupted.aborted) throw error;
  } finally {
    if (interrupted.aborted) process.exitCode = 130;
  }
});
