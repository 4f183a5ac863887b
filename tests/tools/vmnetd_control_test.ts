// SPDX-License-Identifier: MIT

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { type AddressInfo, createConnection, createServer } from "node:net";
import { test } from "node:test";
import { assert, assertEquals, assertGreater, assertLess, assertMatch, assertStringIncludes } from "@std/assert";
import { delay, numbered } from "../vmnet/frames.ts";
import { Program, runtimes, Scripts } from "../vmnet/programs.ts";
import { Client, Daemon, file, FLAGS } from "./vmnetd_clients.ts";

/** What answers hold, as far as it is looked at here. */
interface Told {
  networks: {
    name: string;
    mtu: number;
    switch: { frames: number };
    leases: { address: string }[];
    sockets: { clients: number }[];
    clients: unknown[];
  }[];
}

/** Whether a program can be run. */
const has = (program: string) => spawnSync(program, ["--version"]).status === 0;

/** A TCP port that nobody uses: the same test runs in the other runtime at the same time. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

for (const runtime of runtimes) {
  test(`vmnetd says who is there, and is changed while it runs, in ${runtime}`, async () => {
    await using daemon = new Daemon(runtime, "--subnet", "192.168.96.0/24", "--pidfile", "@pid", "--anti-spoof");
    await daemon.event("control");
    assertEquals(statSync(daemon.control).mode & 0o777, 0o600);
    const guest = new Client(daemon.path).guest("52:54:00:00:00:01");
    const [added] = await daemon.ask([
      { do: "reservation.add", mac: "52:54:00:00:00:01", address: "192.168.96.77" },
    ]);
    assertEquals(added, { ok: true });
    assertEquals((await guest.dhcp()).address, "192.168.96.77");
    assert(await guest.ping("192.168.96.1"));
    guest.serve(80, "hello");
    const forwarded = await freePort();
    await daemon.command("forward", "add", `tcp:${forwarded}:192.168.96.77:80`);
    assertEquals(await (await fetch(`http://127.0.0.1:${forwarded}/`)).text(), "hello");
    assertEquals(await daemon.command("forward", "list"), `tcp:${forwarded}:192.168.96.77:80`);
    const status = await daemon.command("status");
    assertMatch(status, /^vmnetd \d+, up \d+ s\nvmnet0: shared 192\.168\.96\.0\/24 gateway 192\.168\.96\.1 mtu 1500$/m);
    assertMatch(status, /^ {2}\d+ +stream vm\.sock +52:54:00:00:00:01 +192\.168\.96\.77 played/m);
    assertStringIncludes(status, `  forward tcp:${forwarded}:192.168.96.77:80`);
    assertEquals(await daemon.command("reserve", "list"), "52:54:00:00:00:01=192.168.96.77");
    await daemon.command("reserve", "remove", "52:54:00:00:00:01");
    assertEquals(await daemon.command("reserve", "list"), "");
    await daemon.command("forward", "remove", `tcp:${forwarded}`);
    assertEquals(await daemon.command("forward", "list"), "");
    const metrics = await daemon.command("metrics");
    assertMatch(metrics, /^vmnet_port_frames_total\{network="vmnet0",.*direction="in"\} [1-9]/m);
    const [stats, leases] = await daemon.ask([{ do: "stats" }, { do: "leases" }]) as unknown as Told[];
    assertGreater(stats!.networks[0]!.switch.frames, 5);
    assertEquals(leases!.networks[0]!.leases[0]!.address, "192.168.96.77");
    const [{ port }] = JSON.parse(await daemon.command("status", "--json")).networks[0].clients;
    assertEquals(await daemon.ask([{ do: "port.set", port, isolated: true }]), [{ ok: true }]);
    assert(JSON.parse(await daemon.command("status", "--json")).networks[0].clients[0].isolated);
    await daemon.command("disconnect", String(port));
    assertEquals((await daemon.event("disconnected"))["port"], port);
    assertEquals(Number(readFileSync(daemon.at("pid"), "utf8")), daemon.program.child.pid);
    await daemon.command("stop");
    assertEquals((await daemon.program.end()).code, 0);
    assert(!existsSync(daemon.path) && !existsSync(daemon.at("pid")));
  });

  test(`vmnetd answers whatever comes through its control socket, in ${runtime}`, async () => {
    await using daemon = new Daemon(runtime, "--mode", "host");
    await daemon.event("control");
    const wrong: [request: string | object, error: string, field?: string][] = [
      ["nonsense\n", "one JSON object a line"],
      ["[1]\n", "one JSON object a line"],
      ["null\n", "one JSON object a line"],
      ['{"do":\n', "one JSON object a line"],
      ["\xff\xfe\n", "one JSON object a line"],
      [{}, '"do" takes a string', "do"],
      [{ do: 5 }, '"do" takes a string', "do"],
      [{ do: "__proto__" }, '"do" takes one of status, stats', "do"],
      [{ do: "status", loud: true }, '"loud" is not known to status', "loud"],
      [{ do: "forward.add" }, '"protocol" is missing', "protocol"],
      [
        { do: "forward.add", protocol: "tcp", externalPort: 0, internalAddress: "1.2.3.4", internalPort: 1 },
        "from 1 to 65535",
        "externalPort",
      ],
      [{ do: "forward.remove", protocol: "tcp", externalPort: 4 }, "Cannot remove port forwarding rule"],
      [{ do: "reservation.add", mac: "x", address: "1.2.3.4" }, '"mac"', "mac"],
      [{ do: "port.set", port: "1" }, '"port"', "port"],
      [{ do: "port.set", port: 1, isolated: 1 }, '"isolated"', "isolated"],
      [{ do: "disconnect", port: 60000 }, "Cannot disconnect port"],
      [{ do: "capture.start" }, '"file" takes a string', "file"],
      [{ do: "capture.start", file: "-" }, '"file" takes a path', "file"],
      [{ do: "capture.start", file: "/nowhere/x.pcapng" }, "ENOENT"],
      [{ do: "capture.start", file: "/dev/null", snap: 1 }, "from 14 to 65562", "snap"],
      [{ do: "capture.start", file: "/dev/null", snap: "1" }, '"snap" takes a number', "snap"],
      [{ do: "capture.stream", snap: 13 }, "from 14 to 65562", "snap"],
      [{ do: "capture.stream", filter: "tcp prt" }, "Cannot open tap: "],
      [{ do: "capture.stream", network: "other" }, '"network" takes one of vmnet0', "network"],
      [{ do: "capture.stream", file: "/dev/null" }, "not known to capture.stream", "file"],
      [{ do: "capture.stop", file: "/dev/null" }, 'not "/dev/null"', "file"],
      [{ do: "leases", network: "other" }, "not known to leases", "network"],
      [{ do: "disconnect", port: 5, network: "other" }, '"network" takes one of vmnet0', "network"],
    ];
    const answers = await daemon.ask(wrong.map(([request]) => request));
    wrong.forEach(([request, error, field], i) => {
      assertEquals(answers[i]!["ok"], false, JSON.stringify(request));
      assertStringIncludes(String(answers[i]!["error"]), error);
      assertEquals(answers[i]!["field"], field, JSON.stringify([request, answers[i]]));
    });
    // In pieces, and two in one
    const pieces = ["\n\r\n", '{"do":"le', 'ases"}\n{"do":"metrics"}', "\n"];
    assertEquals((await daemon.ask(pieces, 2)).map(({ ok }) => ok), [true, true]);
    const [long] = await daemon.ask(["x".repeat(70_000)], 1);
    assertEquals(long, { ok: false, error: "A line has at most 65536 bytes" });
    const [barely] = await daemon.ask([`{"do":"${"x".repeat(65_000)}"}\n`], 1);
    assertEquals(barely!["field"], "do");
    await daemon.stop();
  });

  test(`vmnetd keeps little for those who do not read its control socket, in ${runtime}`, async () => {
    await using daemon = new Daemon(runtime, "--mode", "host");
    await daemon.event("control");
    const memory = () =>
      Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${daemon.program.child.pid}/status`, "utf8"))![1]);
    const crowd = Array.from({ length: 100 }, () => {
      const socket = createConnection(daemon.control);
      let text = "";
      socket.on("error", () => {});
      socket.on("data", (chunk) => text += chunk);
      const closed = new Promise<string>((resolve) => socket.on("close", () => resolve(text)));
      return { socket, closed };
    });
    const turnedAway = await Promise.all(crowd.slice(64).map(({ closed }) => closed));
    assertEquals(new Set(turnedAway), new Set(['{"ok":false,"error":"Too many clients"}\n']));
    // All of the others ask for more than they take
    const before = memory();
    for (const { socket } of crowd.slice(0, 60)) {
      socket.pause();
      for (let i = 0; i < 200; i++) socket.write('{"do":"metrics"}\n'.repeat(100));
    }
    crowd[60]!.socket.write('{"do":"events"}\n');
    crowd[60]!.socket.pause();
    await delay(500);
    for (const { socket } of crowd.slice(61)) socket.destroy();
    await Promise.all(crowd.slice(61, 64).map(({ closed }) => closed));
    const vm = new Client(daemon.path);
    vm.send(numbered(1));
    const start = performance.now();
    // It has to see first that they are gone, and may be busy with the others
    let answer: Record<string, unknown> = {};
    while (answer["ok"] !== true) [answer = {}] = await daemon.ask([{ do: "status" }]).catch(() => []);
    assertEquals((answer as unknown as Told).networks[0]!.sockets[0]!.clients, 1);
    assertLess(performance.now() - start, 10_000);
    assertLess(memory() - before, 200 << 10);
    const end = performance.now();
    await daemon.stop();
    assertLess(performance.now() - end, 5000);
  });

  test(`vmnetd tells events to everybody who asks, in ${runtime}`, async () => {
    await using daemon = new Daemon(runtime, "--mode", "host");
    await daemon.event("control");
    const following = daemon.ask([{ do: "events" }], 4);
    const command = new Program(runtime, file, ["events", "--json", "--control", daemon.control], FLAGS);
    await command.line(/\{"ok":true\}/);
    const one = new Client(daemon.path);
    one.send(numbered(1));
    const frames = async () => ((await daemon.ask([{ do: "stats" }]))[0] as unknown as Told).networks[0]!.switch.frames;
    const end = performance.now() + 15_000;
    while (await frames() === 0 && performance.now() < end) await delay(5);
    assert(performance.now() < end, "the frame has not come");
    one.socket.destroy();
    const again = new Client(daemon.path);
    await daemon.event("disconnected");
    again.send(numbered(2));
    assertEquals((await following).map((line) => line["event"] ?? line["ok"]), [
      true,
      "connected",
      "disconnected",
      "reconnected",
    ]);
    await command.line(/"event":"reconnected"/);
    await daemon.stop();
    await command.end();
  });

  test(
    `vmnetd captures what it moves, in ${runtime}`,
    { skip: !has("tshark") && "tshark is not installed" },
    async () => {
      await using daemon = new Daemon(runtime, "--mode", "host", "--capture", "@all.pcapng", "--name", "lab");
      await daemon.event("control");
      const [a, b] = [new Client(daemon.path), new Client(daemon.path)];
      await daemon.program.line(/(?:"event":"connected"[^]*){2}/);
      const short = daemon.at("short.pcapng");
      await daemon.command("capture", "start", short, "--snap", "20", "--filter", "ether proto 0x88b5");
      assertStringIncludes(await daemon.command("status"), `capture ${short}: 0 frames`);
      const numbers = b.numbersUntil(300);
      for (let i = 1; i <= 300; i++) a.send(numbered(i, 60 + i));
      await numbers;
      const stopped = JSON.parse(await daemon.command("capture", "stop", short));
      assertEquals(stopped.file, short);
      await daemon.stop();
      const tshark = (path: string, ...fields: string[]) => {
        const args = [
          "-r",
          path,
          "-Y",
          "eth.type == 0x88b5",
          "-T",
          "fields",
          ...fields.flatMap((name) => ["-e", name]),
        ];
        const { status, stdout, stderr } = spawnSync("tshark", args, { encoding: "utf8" });
        assertEquals(status, 0, stderr);
        return stdout.trimEnd().split("\n").map((line) => line.split("\t"));
      };
      const rows = tshark(
        daemon.at("all.pcapng"),
        "frame.interface_name",
        "frame.cap_len",
        "frame.len",
        "frame.time_epoch",
      );
      assertEquals(rows.length, 300);
      rows.forEach(([name, captured, length, time], i) => {
        assertEquals([name, captured, length], ["lab", String(61 + i), String(61 + i)]);
        assertLess(Math.abs(Number(time) * 1000 - Date.now()), 60_000);
      });
      const cut = tshark(short, "frame.cap_len", "frame.len");
      assertEquals(cut.map(([captured]) => captured), Array(300).fill("20"));
      assertEquals(cut.at(-1), ["20", "360"]);
      const { stdout } = spawnSync("capinfos", [short], { encoding: "utf8" });
      assertMatch(stdout, /Time precision = nanoseconds \(9\)/);
      assertMatch(stdout, /Filter string = ether proto 0x88b5/i);
      assertMatch(stdout, /Number of stat entries = 1/);
    },
  );

  test(`vmnetd serves several networks from a file, in ${runtime}`, async () => {
    using scripts = new Scripts();
    const at = (name: string) => `${scripts.directory}/${name}`;
    const config = {
      control: at("control"),
      networks: [
        { name: "red", mode: "host", subnet: "192.168.94.0/24", socket: at("red.sock"), isolated: true },
        { name: "blue", mode: "host", socket: [at("blue.sock"), at("blue2.sock")], mtu: 1400, rate: 1_000_000 },
      ],
    };
    const configFile = at("vmnetd.json");
    writeFileSync(configFile, JSON.stringify(config));
    const daemon = new Program(runtime, file, ["--json", "--config", configFile], FLAGS);
    try {
      await daemon.line(/"event":"control"/);
      const command = async (...words: string[]) => {
        const { code, output, errors } = await new Program(runtime, file, [...words, "--control", at("control")], FLAGS)
          .end();
        return code === 0 ? output : errors;
      };
      const [red, blue, other] = [at("red.sock"), at("blue.sock"), at("blue2.sock")].map((path) => new Client(path));
      const [one, two] = [red!.numbersUntil(5), other!.numbersUntil(7)];
      await daemon.line(/(?:"event":"connected"[^]*){3}/);
      blue!.send(numbered(7));
      assertEquals(await two, [7]);
      red!.send(numbered(6));
      await command("reserve", "add", "52:54:00:00:00:09=192.168.94.9", "--network", "red");
      assertEquals(await command("reserve", "list"), "red: 52:54:00:00:00:09=192.168.94.9\n");
      assertStringIncludes(
        await command("reserve", "add", "52:54:00:00:00:09=192.168.94.9"),
        '"network" is missing, one of red, blue',
      );
      const status = JSON.parse(await command("status", "--json"));
      assertEquals(status.networks.map((network: Told["networks"][0]) => [network.name, network.mtu]), [["red", 1500], [
        "blue",
        1400,
      ]]);
      assertEquals(status.networks.map((network: Told["networks"][0]) => network.clients.length), [1, 2]);
      assertMatch(await command("metrics"), /network="red"[^]*network="blue"/);
      void one;
    } finally {
      daemon.kill("SIGTERM");
      assertEquals((await daemon.end()).code, 0);
    }
    assert(!existsSync(at("red.sock")) && !existsSync(at("control")));
    const cases: [config: unknown, says: string][] = [
      ["{", "--config cannot be read"],
      [[], "the file takes an object"],
      [{}, "networks takes a list of networks"],
      [{ networks: [] }, "networks takes a list of networks"],
      [{ networks: [5] }, "networks[0] takes an object"],
      [{ networks: [{}] }, "networks[0].socket is missing"],
      [{ networks: [{ socket: "/x", mtu: 67 }] }, "networks[0].mtu takes an integer from 68 to 65535, not"],
      [{ networks: [{ socket: "/x" }, { socket: "/y", speed: 1 }] }, "networks[1].speed is not known"],
      [{ networks: [{ socket: "/x" }, { socket: "/y", name: "vmnet0" }] }, "networks[1].name is another network's"],
      [{ networks: [{ socket: true }] }, "networks[0].socket takes a list of texts"],
      [{ networks: [{ socket: "/x", isolated: "yes" }] }, "networks[0].isolated takes true or false"],
      [{ networks: [{ socket: "/x", reserve: "x" }] }, "networks[0].reserve takes MAC=IP"],
      [{ networks: [{ socket: "/x", subnet: "8.8.8.0/24" }] }, 'networks[0]: Cannot create network: "ipv4Subnet"'],
      [{ networks: [{ socket: "/x" }], config: "y" }, "config is not known"],
      [{ networks: [{ socket: "/x" }], snap: 5 }, "--snap takes an integer from 14"],
    ];
    for (const [content, says] of cases) {
      writeFileSync(configFile, typeof content === "string" ? content : JSON.stringify(content));
      const { code, errors } = await new Program(runtime, file, ["--config", configFile], FLAGS).end();
      assertEquals(code, 2, errors);
      assertStringIncludes(errors, `vmnetd: ${says}`);
    }
  });
}
