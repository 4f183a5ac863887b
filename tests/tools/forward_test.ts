// SPDX-License-Identifier: MIT

import { createSocket } from "node:dgram";
import { writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { check } from "../../tools/_forward_check.ts";
import { embeddedOnly } from "../backend.ts";
import { Program, root, runtimes } from "../vmnet/programs.ts";
import { Client, Daemon } from "./vmnetd_clients.ts";

const file = join(root, "tools/forward.ts");

const skip = await embeddedOnly("macOS takes rules only when a network is created");

/** TCP ports that nobody uses: the same test runs in the other runtime at the same time. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  await Promise.all(servers.map((server) => new Promise<void>((resolve) => server.listen(0, resolve))));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

test("check() says what answers at a port, and how it does not", async () => {
  let said = "";
  const server = createServer((socket) => {
    socket.on("error", () => {});
    if (said === "SSH-2.0-x") socket.write(`${said}\r\nmore`);
    else if (said === "") socket.end();
    else socket.on("data", (chunk) => socket.write(said === "echo" ? chunk : said));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const tried = async (says: string, text?: string) => {
    said = says;
    const { state, says: found } = await check("tcp", port, false, text);
    return [state, found];
  };
  assertEquals(await tried("SSH-2.0-x"), ["answers", "SSH-2.0-x"]);
  assertEquals(await tried("HTTP/1.0 404 No\r\nA: b\r\n"), ["answers", "HTTP/1.0 404 No"]);
  assertEquals(await tried("echo", "to\\tyou\\r\\n"), ["answers", "to?you"]);
  assertEquals(await tried("\x15\x03\x01\0\x02\x02"), ["answers", "6 bytes"]);
  assertEquals(await tried(""), ["closed", "the guest refuses, or is not there"]);
  await new Promise((resolve) => server.close(resolve));
  assertEquals((await check("tcp", port, false)).state, "refused");
});

test("check() tries a UDP port", async () => {
  const socket = createSocket("udp4");
  socket.on("message", (bytes, { port }) => socket.send(`you said ${bytes}`, port, "127.0.0.1"));
  const port = await new Promise<number>((resolve) =>
    socket.bind(0, "127.0.0.1", () => resolve(socket.address().port))
  );
  const { state, says } = await check("udp", port, false, "hello");
  assertEquals([state, says], ["answers", "you said hello"]);
  await new Promise<void>((resolve) => socket.close(() => resolve()));
});

for (const runtime of runtimes) {
  test(`forward adds, lists, checks, watches and removes rules, in ${runtime}`, { skip }, async () => {
    await using daemon = new Daemon(runtime, "--subnet", "192.168.99.0/24");
    await daemon.event("control");
    const run = (...args: string[]) => new Program(runtime, file, [...args, "--socket", daemon.path]).end();
    const [first, second, third] = await freePorts(3);
    const empty = await run();
    assertEquals([empty.code, empty.output, empty.errors], [0, "", "vmnet-forward: there are no rules\n"]);
    const watching = new Program(runtime, file, ["watch", "--control", daemon.control]);
    const json = new Program(runtime, file, ["watch", "--json", "--control", daemon.control]);

    // For a guest that has no lease yet
    const absent = await run("add", `tcp:${first}:52:54:0:0:0:1:80`);
    assertEquals([absent.code, absent.errors], [
      1,
      "vmnet-forward: there is no lease of 52:54:0:0:0:1; --wait waits for one\n",
    ]);
    const late = await run("add", `tcp:${first}:52:54:0:0:0:1:80`, "--wait", "--timeout", "1");
    assertEquals([late.code, late.errors], [1, "vmnet-forward: 52:54:0:0:0:1 got no address in time\n"]);
    const words = ["add", `tcp:${first}:52:54:0:0:0:1:80`, "--wait", "--check", "--timeout", "20", "-s", daemon.path];
    const waiting = new Program(runtime, file, words);
    const interrupted = new Program(runtime, file, words.with(1, `tcp:${first}:nobody:80`));
    await new Promise((resolve) => setTimeout(resolve, 500));
    interrupted.kill("SIGINT");
    assertEquals((await interrupted.end()).code, 130);
    const guest = new Client(daemon.path).guest("52:54:00:00:00:01");
    guest.serve(80, "hello");
    const { address } = await guest.dhcp("web");
    const added = await waiting.end();
    assertEquals([added.code, added.errors], [0, ""]);
    const rule = `tcp:${first}:${address}:80`;
    assertStringIncludes(added.output, rule);
    assertMatch(added.output, /52:54:00:00:00:01 web {2}answers: HTTP\/1\.0 200 OK$/m);
    assertEquals(await (await fetch(`http://127.0.0.1:${first}/`)).text(), "hello");

    // By its name, and to where nobody is
    assertEquals((await run("add", `udp:${second}:web:53`)).code, 0);
    const nobody = await run("add", `tcp:${third}:192.168.99.77:80`, "--check", "--json");
    assertEquals([nobody.code, JSON.parse(nobody.output).state], [1, "silent"]);
    const again = await run("add", `tcp:${third}:192.168.99.77:80`);
    assertEquals(again.code, 1);
    assertMatch(again.errors, /^vmnet-forward: Cannot add port forwarding rule: .*forwarded already/);
    const list = (await run("list", "--json")).output.trimEnd().split("\n").map((line) => JSON.parse(line));
    assertEquals(
      list.map(({ protocol, externalPort, hostname }) => [protocol, externalPort, hostname]).sort(),
      [
        ["tcp", first, "web"],
        ["tcp", third, undefined],
        ["udp", second, "web"],
      ].sort(),
    );

    await watching.line(new RegExp(`added {4}${rule.replaceAll(".", "\\.")} {2}vmnet0$`, "m"));
    assertEquals((await run("remove", `tcp:${first}`)).code, 0);
    await watching.line(/removed {2}tcp:/);
    // A whole rule is that rule
    assertStringIncludes((await run("remove", `tcp:${third}:192.168.99.77:81`)).errors, "there is no rule");
    assertStringIncludes((await run("remove", `tcp:${third}:web:80`)).errors, "there is no rule");
    assertEquals((await run("remove", `tcp:${third}:192.168.99.77:80`)).code, 0);
    const gone = await run("remove", `tcp:${third}`);
    assertEquals([gone.code, gone.errors], [
      1,
      `vmnet-forward: there is no rule tcp:${third}, only udp:${second}:${address}:53\n`,
    ]);
    await json.line(/("removed"[^]*){2}/);
    for (const program of [watching, json]) {
      program.kill("SIGINT");
      assertEquals((await program.end()).code, 130);
    }
    const events = (await json.ending).output.trimEnd().split("\n").map((line) => JSON.parse(line));
    assertEquals(events.map(({ change, externalPort }) => [change, externalPort]), [
      ["added", first],
      ["added", second],
      ["added", third],
      ["removed", first],
      ["removed", third],
    ]);
    // Whoever follows vmnetd's events is told, too
    assertEquals((await daemon.event("forward", '"removed"'))["externalPort"], first);
    await daemon.stop();
  });

  test(`forward finds the network of a guest, in ${runtime}`, { skip }, async () => {
    await using daemon = new Daemon(runtime); // for its directory; the one that is asked is the next
    await daemon.event("control");
    const [config, control, red, blue] = ["c.json", "control", "red.sock", "blue.sock"].map((name) => daemon.at(name));
    writeFileSync(
      config!,
      JSON.stringify({
        control,
        networks: [
          { name: "red", socket: red, subnet: "192.168.103.0/24" },
          { name: "blue", socket: blue, subnet: "192.168.104.0/24" },
        ],
      }),
    );
    const both = new Program(runtime, join(root, "tools/vmnetd.ts"), ["--json", "--config", config!]);
    await both.line(/"event":"control"/);
    try {
      const run = (...args: string[]) => new Program(runtime, file, [...args, "--control", control!]).end();
      const [port, other] = await freePorts(2);
      await new Client(blue!).guest("52:54:00:00:00:01").dhcp("web");
      const added = await run("add", `tcp:${port}:web:80`, "--json");
      assertEquals(JSON.parse(added.output).network, "blue");
      assertStringIncludes((await run("add", `tcp:${other}:192.168.103.9:80`)).errors, '"network" is missing');
      assertEquals((await run("add", `tcp:${other}:192.168.103.9:80`, "--network", "red")).code, 0);
      assertMatch((await run()).output, /^RULE +GUEST +NETWORK\n(?:.* red\n.* blue|.* blue\n.* red)\n$/);
      assertMatch((await run("--network", "red")).output, /^RULE +GUEST\n.*192\.168\.103\.9.*\n$/);
      assertEquals((await run("--network", "green")).code, 2);
      assertEquals((await run("remove", `tcp:${other}`)).code, 0);
    } finally {
      both.kill("SIGTERM");
      assertEquals((await both.end()).code, 0);
    }
  });

  test(`forward says what is wrong with a command line, in ${runtime}`, async () => {
    const cases: [args: string[], code: number, says: string][] = [
      [["mend"], 2, 'COMMAND takes list, add, remove or watch, not "mend"'],
      [["add"], 2, "add takes a RULE"],
      [["add", "tcp:80", "-s", "x"], 2, "a rule is PROTO:PORT:GUEST:PORT"],
      [["add", "icmp:1:2.2.2.2:3", "-s", "x"], 2, "a rule is PROTO:PORT:GUEST:PORT"],
      [["add", "tcp:0:2.2.2.2:3", "-s", "x"], 2, 'a port is a number from 1 to 65535, not "0"'],
      [["add", "tcp:1:2.2.2.2:65536", "-s", "x"], 2, 'not "65536"'],
      [["add", "tcp:1:2.2.2.2:3", "more"], 2, 'fewer words, not "more"'],
      [["remove", "tcp", "-s", "/nowhere/x"], 2, "remove takes PROTO:PORT"],
      [["list", "x"], 2, "fewer words"],
      [["list", "--wait"], 2, "--wait is about add"],
      [["watch", "--check"], 2, "--check is about list and add"],
      [["list", "--send", "x"], 2, "--send is about --check"],
      [["list", "--network", "there-is-none"], 2, 'no vmnetd with a network "there-is-none" was found here'],
      [["list", "-s", "/nowhere/x"], 1, 'Cannot ask "/nowhere/x.control"'],
      [["watch", "-s", "/nowhere/x"], 1, 'Cannot ask "/nowhere/x.control"'],
    ];
    for (const [args, code, says] of cases) {
      const ending = await new Program(runtime, file, args).end();
      assertEquals(ending.code, code, args.join(" "));
      assertStringIncludes(ending.errors, says);
    }
  });
}
