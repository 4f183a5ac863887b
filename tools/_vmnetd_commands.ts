// SPDX-License-Identifier: MIT

/**
 * The commands of vmnetd that ask a daemon that runs.
 *
 * @module
 */

import { harmless, integer, jsonOf, readOptions, say, text, UsageError, type Values } from "./_cli.ts";
import { daemonOf } from "./_daemons.ts";
import { reservation, rule } from "./_vmnetd_config.ts";
import { type Answer, ask } from "./_vmnetd_control.ts";
import { table } from "./_terminal.ts";
import { nonsense, refusalOf } from "./_vmnetd_answers.ts";

const settings = {
  socket: { value: "PATH", help: "first socket of the daemon, if its control socket is beside that", short: "s" },
  control: { value: "PATH", help: "control socket of the daemon; by default the only one that is found" },
  network: { value: "NAME", help: "which network, if there are several" },
  filter: { value: "EXPRESSION", help: "of capture start: only what matches" },
  snap: { value: "BYTES", help: "of capture start: no more of each frame" },
  json: { help: "print what the daemon answers, one JSON object a line" },
} as const;

const usage = `one of
  status                                what is served, to whom
  events                                what happens, as it happens
  metrics                               counters, for Prometheus
  forward list|add|remove RULE          RULE is PROTO:PORT:IP:PORT; remove takes PROTO:PORT, too
  reserve list|add|remove RESERVATION   RESERVATION is MAC=IP; remove takes MAC, too
  capture start|stop FILE               frames into a pcapng file, by the daemon
  disconnect PORT                       cut a client off
  ask JSON                              any request of the control socket
  stop                                  end the daemon`;

type Record_ = Readonly<Record<string, unknown>>;

/** What is asked, by the words of the command. */
function requestOf(words: readonly string[], values: Values): Answer {
  const [command, verb = "list", operand = ""] = words;
  const wrong = (takes: string, got: string): never => {
    throw new UsageError(`${command} takes ${takes}, not "${got}"`);
  };
  const network = text(values, "network");
  const of = network === undefined ? {} : { network };
  if (words.length > (["forward", "reserve", "capture"].includes(command!) ? 3 : 2)) {
    wrong("fewer words", words.at(-1)!);
  }
  switch (command) {
    case "forward": {
      if (verb === "list") return { do: "forward.list" };
      const takes = "list, add PROTO:PORT:IP:PORT or remove PROTO:PORT";
      if (verb === "add") return { do: "forward.add", ...rule(operand) ?? wrong(takes, operand), ...of };
      if (verb !== "remove") wrong(takes, verb);
      const whole = rule(operand);
      const family = whole?.internalAddress.includes(":") ? "ipv6" : "ipv4";
      const [, protocol, port] = /^(tcp|udp):(\d+)(?::.*)?$/.exec(operand) ?? wrong(takes, operand);
      return { do: "forward.remove", protocol, externalPort: Number(port), family, ...of };
    }
    case "reserve": {
      if (verb === "list") return { do: "reservation.list" };
      const takes = "list, add MAC=IP or remove MAC";
      if (verb === "add") return { do: "reservation.add", ...reservation(operand) ?? wrong(takes, operand), ...of };
      if (verb !== "remove" || operand === "") wrong(takes, verb);
      return { do: "reservation.remove", mac: operand.split("=")[0], ...of };
    }
    case "capture": {
      if (!["start", "stop"].includes(verb) || operand === "") wrong("start FILE or stop FILE", verb);
      const [filter, snap] = [text(values, "filter"), integer(values, "snap", 14, 65562)];
      const more = { ...(filter && { filter }), ...(snap && { snap }), ...of };
      return { do: `capture.${verb}`, file: operand, ...(verb === "start" ? more : {}) };
    }
    case "disconnect":
      if (!/^\d+$/.test(words[1] ?? "")) wrong("the number of a port", words[1] ?? "");
      return { do: "disconnect", port: Number(words[1]), ...of };
    case "ask":
      try {
        return JSON.parse(words[1] ?? "");
      } catch {
        return wrong("a JSON object", words[1] ?? "");
      }
    default:
      if (words.length > 1) wrong("no more words", words[1]!);
      return { do: command };
  }
}

function bytes(count: number): string {
  const [size, unit] = ([[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]] as const).find(([size]) => count >= size) ?? [1, "B"];
  return `${size === 1 ? count : (count / size).toFixed(1)} ${unit}`;
}

/** What was dropped, by cause; nothing if nothing was. */
function drops(counters: Record_): string {
  const causes = Object.entries(counters).filter(([name]) => name.startsWith("dropped"));
  return causes.map(([name, count]) => `${name.slice(7).replace(/\B[A-Z]/g, " $&").toLowerCase()} ${count}`).join(", ");
}

function ruleText(forward: Record_): string {
  const { protocol, externalPort, internalAddress: address, internalPort } = forward;
  const host = String(address).includes(":") ? `[${address}]` : address;
  return `${protocol}:${externalPort}:${host}:${internalPort}`;
}

function networkText(network: Record_): string {
  const list = (name: string) => network[name] as Record_[] | undefined ?? [];
  const dropped = drops(network);
  const lines = [
    `${network["name"]}: ${network["mode"]} ${network["subnet"]} gateway ${network["gateway"]} mtu ${network["mtu"]}`,
    `  ${network["frames"]} frames, ${bytes(network["bytes"] as number)}${dropped && `; dropped: ${dropped}`}`,
  ];
  for (const { kind, socket, clients, refused } of list("sockets")) {
    lines.push(
      `  ${kind} ${socket}: ${clients} ${clients === 1 ? "client" : "clients"}${refused ? `, ${refused} refused` : ""}`,
    );
  }
  const rows = list("clients").map((client) => [
    String(client["port"]),
    `${client["kind"]} ${client["label"]}${client["connected"] ? "" : ", away"}`,
    String(client["mac"] || "-"),
    [client["address"] || "-", client["hostname"]].filter(Boolean).join(" "),
    `${client["fromGuest"]} / ${bytes(client["bytesFromGuest"] as number)}`,
    `${client["toGuest"]} / ${bytes(client["bytesToGuest"] as number)}`,
    drops(client) || "-",
  ]);
  if (rows.length > 0) {
    lines.push(
      "",
      table([["PORT", "CLIENT", "MAC", "ADDRESS", "FROM GUEST", "TO GUEST", "DROPPED"], ...rows], "  "),
      "",
    );
  }
  for (const forward of list("forwards")) lines.push(`  forward ${ruleText(forward)}`);
  for (const { mac, address } of list("reservations")) lines.push(`  reserved ${mac}=${address}`);
  return lines.join("\n").trimEnd();
}

/** What a person wants to see of an answer. */
function answerText(command: string, answer: Record_): string {
  const networks = answer["networks"] as Record_[] | undefined ?? [];
  if (command === "metrics") return String(answer["text"]).trimEnd();
  if (command === "status") {
    const captures = answer["captures"] as { file: string; frames: number; dropped: number }[];
    return [
      `vmnetd ${answer["pid"]}, up ${answer["uptimeSeconds"]} s`,
      ...networks.map(networkText),
      ...captures.map(({ file, frames, dropped }) => `capture ${file}: ${frames} frames, ${dropped} dropped`),
    ].join("\n");
  }
  if (command === "forward" || command === "reserve") {
    const one = ({ mac, address }: Record_) => `${mac}=${address}`;
    const [name, show] = command === "forward" ? ["forwards", ruleText] as const : ["reservations", one] as const;
    return networks.flatMap((network) => {
      const prefix = networks.length > 1 ? `${network["name"]}: ` : "";
      return (network[name] as Record_[]).map((item) => prefix + show(item));
    }).join("\n");
  }
  const { ok: _, ...rest } = answer;
  return Object.keys(rest).length === 0 ? "" : JSON.stringify(rest);
}

function shownOf(control: string, command: string, answer: Record_): string {
  try {
    return harmless(answerText(command, answer), "\n");
  } catch {
    throw nonsense(control); // something that was expected is not there
  }
}

/** The commands. */
export const commands: readonly string[] = [
  ...["status", "events", "metrics", "forward", "reserve", "capture", "disconnect", "ask", "stop"],
];

/** Runs a command. */
export async function runCommand(name: string, args: readonly string[]): Promise<void> {
  const values = readOptions(name, `Asks a daemon that runs: ${usage}`, settings, { args, operands: "COMMAND …" });
  const words = values["operands"] as string[];
  const request = requestOf(words, values);
  const control = await daemonOf(values);
  const isJson = values["json"] === true;
  let isAnswered = false;
  for await (const line of ask(control, request)) {
    if (!isAnswered && line["ok"] !== true) throw refusalOf(control, line);
    const shown = isAnswered || isJson ? jsonOf(line) : shownOf(control, words[0]!, line);
    if (shown !== "") say(shown);
    isAnswered = true;
    if (words[0] !== "events" && (line as { do?: unknown }).do !== "events") return;
  }
  if (!isAnswered) throw new Error(`Cannot ask "${control}": it closed without an answer`);
}
