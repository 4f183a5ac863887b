// SPDX-License-Identifier: MIT

// capture beside a vmnetd that runs, with clients on its sockets; what it writes is read by Wireshark's own programs.

import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, statSync, writeFileSync } from "node:fs";
import { Buffer } from "node:buffer";
import { createConnection } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertGreater, assertLess, assertMatch, assertStringIncludes } from "@std/assert";
import { CaptureReader, PcapngWriter, readCapture } from "vmnet/packet";
import { delay, numbered, numberOf } from "../vmnet/frames.ts";
import { Program, root, runtimes, Scripts } from "../vmnet/programs.ts";
import { capture, eventsOf, fields, file, FLAGS, pair, run, skip, until } from "./capture_programs.ts";
import { Client, Daemon, FLAGS as DAEMON_FLAGS } from "./vmnetd_clients.ts";

for (const runtime of runtimes) {
  test(`capture prints what a vmnetd moves, as lines and as JSON, in ${runtime}`, async () => {
    await using daemon = new Daemon(runtime, "--mode", "host", "--name", "lab", "--subnet", "192.168.97.0/24");
    await daemon.event("control");
    const json = capture(
      runtime,
      "--socket",
      daemon.path,
      "--json",
      "-x",
      "-c",
      "2",
      "udp port 67 and ether[12:2]=0x800",
    );
    await json.line(/"event":"capturing","networks":"lab"/);
    const lines = capture(runtime, "--vmnetd", daemon.control, "--network", "lab", "--hex", "--filter", "arp or icmp");
    await until(async () => (await daemon.command("status")).split("capture stream").length === 3);
    const guest = new Client(daemon.path).guest("52:54:00:00:00:01");
    const { address } = await guest.dhcp();
    assert(await guest.ping("192.168.97.1"));
    const told = await json.end();
    assertEquals([told.code, told.errors], [0, ""]);
    const [capturing, discover, offer, end] = eventsOf(told.output);
    assertEquals(capturing!["of"], daemon.control);
    assertEquals([discover!["event"], discover!["interface"]], ["packet", "lab"]);
    assertStringIncludes(String(discover!["line"]), "discover 52:54:00:00:00:01");
    assertStringIncludes(String(offer!["line"]), address);
    assertMatch(String(offer!["time"]), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
    assertEquals(String(offer!["hex"]).length, 2 * Number(offer!["length"]));
    assertEquals([end!["event"], end!["packets"], end!["dropped"]], ["end", 2, 0]);
    await lines.line(/echo reply/);
    lines.kill("SIGINT");
    const shown = await lines.end();
    assertEquals(shown.code, 0, shown.errors);
    assertMatch(shown.output, /^\d\d:\d\d:\d\d\.\d{6} ARP who has 192\.168\.97\.1\? tell /m);
    assertMatch(shown.output, /^ {4}0000 {2}([0-9a-f]{2} ){8}( [0-9a-f]{2}){8} {2}.{16}$/m);
    assertMatch(shown.errors, /^capturing networks=lab of=.*\nend packets=\d+ bytes=\d+ dropped=0\n$/);
    await daemon.stop();
  });

  test(`capture leaves a complete file at Ctrl-C, in ${runtime}`, { skip }, async () => {
    await using daemon = new Daemon(runtime, "--mode", "host", "--name", "lab");
    const [a, b] = await pair(daemon);
    const path = daemon.at("x.pcapng");
    const args = ["-w", path, "-s", "20", "--comment", "a remark", "ether", "proto", "0x88b5"];
    const program = capture(runtime, "--socket", daemon.path, "--json", "--print", ...args);
    await program.line(/"event":"file"/);
    const seen = b.numbersUntil(300);
    for (let i = 1; i <= 300; i++) a.send(numbered(i, 60 + i));
    await seen;
    await program.line(/"length":360,"captured":20/);
    program.kill("SIGINT");
    const { code, output, errors, ms } = await program.end();
    assertEquals([code, errors], [0, ""]);
    assertLess(ms, 10_000);
    assertEquals(eventsOf(output).at(-1), { event: "end", packets: 300, bytes: 300 * 60 + 300 * 301 / 2, dropped: 0 });
    assertEquals(statSync(path).mode & 0o777, 0o600);
    const rows = fields(path, "frame.interface_name", "frame.cap_len", "frame.len");
    assertEquals(rows, Array.from({ length: 300 }, (_, i) => ["lab", "20", String(61 + i)]));
    const about = run("capinfos", path);
    assertMatch(about, /Time precision = nanoseconds \(9\)/);
    assertMatch(about, /Filter string = ether proto 0x88b5/i);
    assertMatch(about, /Number of stat entries = 1/);
    assertMatch(about, /Number of packets = 300/);
    assertStringIncludes(about, "a remark");
    for await (const packet of readCapture(readFileSync(path))) assertEquals(packet.interface.name, "lab");
    await daemon.stop();
  });

  test(`capture tells the networks of a vmnetd apart, in ${runtime}`, { skip }, async () => {
    using scripts = new Scripts();
    const at = (name: string) => join(scripts.directory, name);
    const networks = ["red", "blue"].map((name) => ({ name, mode: "host", socket: at(`${name}.sock`) }));
    writeFileSync(at("vmnetd.json"), JSON.stringify({ control: at("control"), networks }));
    const vmnetd = join(root, "tools", "vmnetd.ts");
    const daemon = new Program(runtime, vmnetd, ["--json", "--config", at("vmnetd.json")], DAEMON_FLAGS);
    try {
      await daemon.line(/"event":"control"/);
      const args = ["--vmnetd", at("control"), "-w", at("x.pcapng"), "--print", "-c", "2", "ether proto 0x88b5"];
      const both = capture(runtime, ...args);
      await until(() => existsSync(at("x.pcapng")));
      const blue = new Client(at("blue.sock"));
      blue.send(numbered(1, 70));
      await both.line(/56 bytes\n/);
      new Client(at("red.sock")).send(numbered(2, 80));
      const { code, output, errors } = await both.end();
      assertEquals(code, 0, errors);
      assertMatch(output, /^[\d:.]+ blue: .* 56 bytes\n[\d:.]+ red: .* 66 bytes\n$/);
      assertEquals(fields(at("x.pcapng"), "frame.interface_name", "frame.len"), [["blue", "70"], ["red", "80"]]);
      assertMatch(run("capinfos", at("x.pcapng")), /Number of interfaces in file: 2/);
    } finally {
      daemon.kill("SIGTERM");
      assertEquals((await daemon.end()).code, 0);
    }
  });

  test(`capture writes a ring of files, in ${runtime}`, { skip }, async () => {
    await using daemon = new Daemon(runtime, "--mode", "host");
    const [a, b] = await pair(daemon);
    mkdirSync(daemon.at("ring"));
    const ring = ["-w", daemon.at("ring/x.pcapng"), "--ring-size", "1", "--ring-files", "3"];
    const program = capture(runtime, "--socket", daemon.path, "--json", ...ring, "-f", "ether proto 0x88b5");
    await program.line(/"event":"file"/);
    const seen = b.numbersUntil(5000);
    for (let i = 1; i <= 5000; i++) a.send(numbered(i, 1000));
    const frames = (await seen).length;
    await until(async () => (await daemon.command("status")).includes(`${frames} frames, 0 dropped`));
    program.kill("SIGTERM");
    const { code, output } = await program.end();
    assertEquals(code, 0);
    const written = eventsOf(output).filter(({ event }) => event === "file").map(({ path }) => String(path));
    assertGreater(written.length, 4);
    written.forEach((path, i) => assertMatch(path, new RegExp(`/x_0000${i + 1}_\\d{14}\\.pcapng$`)));
    const kept = readdirSync(daemon.at("ring")).sort();
    assertEquals(kept.map((name) => daemon.at(`ring/${name}`)), written.slice(-3));
    const counts = written.slice(-3).map((path) => fields(path, "frame.number").length);
    for (const path of written.slice(-3, -1)) assertLess(Math.abs(statSync(path).size - 1_000_000), 100_000);
    for (const path of written.slice(-3)) assertMatch(run("capinfos", path), /Number of stat entries = 1/);
    const last = fields(written.at(-1)!, "data.data", "frame.len").length;
    assertEquals(last, counts.at(-1));
    // Nothing is missing between files
    assertEquals(eventsOf(output).at(-1)!["packets"], frames);
    await daemon.stop();
  });

  test(`capture ends quietly when nobody reads it, and says when the disk is full, in ${runtime}`, async () => {
    await using daemon = new Daemon(runtime, "--mode", "host");
    const [a] = await pair(daemon);
    const flood = setInterval(() => a.send(...Array.from({ length: 20 }, (_, i) => numbered(i, 500))), 10);
    try {
      for (const more of [["-w", "-"], []]) {
        const program = capture(runtime, "--socket", daemon.path, ...more);
        await program.line(/./);
        program.child.stdout!.destroy();
        const { code, errors } = await program.end();
        assertEquals(code, 0, errors);
        assertMatch(errors, /^capturing .*\nend .*\n$/);
      }
      // Devices are none of the files that Deno permits one by one
      const full = await new Program(runtime, file, ["--socket", daemon.path, "-w", "/dev/full"]).end();
      assertEquals(full.code, 1);
      assertMatch(full.errors, /^end .*\nvmnet-capture: Cannot write "\/dev\/full": .*(ENOSPC|No space left)/m);
    } finally {
      clearInterval(flood);
    }
    await daemon.stop();
  });

  test(`capture loses copies when it is not read, which are counted, and no frames, in ${runtime}`, async () => {
    await using daemon = new Daemon(runtime, "--mode", "host");
    const [a, b] = await pair(daemon);
    const socket = createConnection(daemon.control);
    const chunks: Uint8Array[] = [];
    const closed = new Promise((resolve) => socket.once("close", resolve));
    const answered = new Promise((resolve) => socket.once("data", resolve));
    socket.on("data", (chunk: Uint8Array) => chunks.push(chunk));
    socket.write('{"do":"capture.stream","network":"vmnet0"}\n');
    await answered;
    socket.pause();
    const count = 24_000;
    const seen = b.numbersUntil(count);
    for (let i = 1; i <= count; i++) {
      a.send(numbered(i, 1400));
      if (i % 100 === 0) await delay(1);
    }
    assertEquals((await seen).length, count);
    const [, dropped] = /capture stream 1: \d+ frames, ([1-9]\d*) dropped/.exec(await daemon.command("status"))!;
    socket.resume();
    socket.write("\n"); // whatever it says asks for the end
    await closed;
    const bytes = Buffer.concat(chunks);
    const end = bytes.indexOf(10);
    assertEquals(JSON.parse(bytes.subarray(0, end).toString()), { ok: true, file: "stream 1", networks: ["vmnet0"] });
    const reader = new CaptureReader();
    reader.push(bytes.subarray(end + 1));
    const numbers = Array.from(reader, ({ bytes }) => numberOf(bytes)).filter((number) => number !== undefined);
    reader.end();
    const { received, interfaceDropped } = reader.interfaces[0]!.statistics!;
    assertEquals(interfaceDropped, Number(dropped));
    assertEquals(numbers.length, count - interfaceDropped!);
    assertGreater(received!, count - 1);
    assertStringIncludes(await daemon.command("status", "--json"), '"captures":[]');
    await daemon.stop();
  });

  test(`capture says when the network ends, and leaves its file complete, in ${runtime}`, { skip }, async () => {
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      await using daemon = new Daemon(runtime, "--mode", "host");
      const [a, b] = await pair(daemon);
      const path = daemon.at("x.pcapng");
      const program = capture(runtime, "--socket", daemon.path, "--json", "-w", path, "-P", "ether proto 0x88b5");
      await program.line(/"event":"file"/);
      const seen = b.numbersUntil(1);
      a.send(numbered(1));
      await seen;
      await program.line(/"event":"packet"/);
      daemon.program.kill(signal);
      const { code, errors } = await program.end();
      const inOrder = signal === "SIGTERM";
      assertEquals([code, errors], inOrder ? [0, ""] : [1, "vmnet-capture: The network has ended\n"]);
      assertEquals(fields(path, "frame.len"), [["60"]]);
      assertMatch(run("capinfos", path), /Number of stat entries = 1/);
      await daemon.program.ending;
    }
  });

  test(`capture makes a network, which VMs and others come to, in ${runtime}`, async () => {
    using scripts = new Scripts();
    const path = join(scripts.directory, "vm.sock");
    const own = capture(runtime, "--mode", "host", "--listen", path, "--json", "ether proto 0x88b5");
    const { token, subnet, socket } = JSON.parse((await own.line(/^.*"capturing".*$/m))[0]);
    assertEquals(socket, path);
    assertMatch(subnet, /^192\.168\.\d+\.0\/24$/);
    const joined = capture(runtime, "--join", token, "--json", "-c", "1", "ether proto 0x88b5");
    await joined.line(/"capturing"/);
    const client = new Client(path);
    const again = setInterval(() => client.send(numbered(7, 99)), 50);
    const seen = await joined.end();
    clearInterval(again);
    assertEquals([seen.code, seen.errors], [0, ""]);
    assertEquals(eventsOf(seen.output)[1]!["length"], 99);
    await own.line(/"event":"packet".*"interface":"host","length":99/);
    own.kill("SIGINT");
    const { code, errors, output } = await own.end();
    assertEquals([code, errors], [0, ""]);
    assertEquals(eventsOf(output).at(-1)!["dropped"], 0);
    client.socket.destroy();
  });

  test(`capture reads files, and makes pcapng of others, in ${runtime}`, { skip }, async () => {
    using scripts = new Scripts();
    const at = (name: string) => join(scripts.directory, name);
    const writer = new PcapngWriter();
    const lab = writer.addInterface({ name: "lab" });
    const times = [1, 2, 3, 4, 5, 6].map((second) => BigInt(second) * 1_000_000_000n + 5n);
    times.forEach((timestampNs, i) =>
      writer.write(numbered(i, 60 + i), { interface: lab, timestampNs, comments: `no ${i}` })
    );
    writeFileSync(at("a.pcapng"), writer.take());
    run("editcap", "-F", "nsecpcap", at("a.pcapng"), at("a.pcap"));
    const ended = async (...args: string[]) => {
      const { code, output, errors } = await capture(runtime, ...args).end();
      assertEquals(code, 0, errors);
      return output;
    };
    const [, packet] = eventsOf(await ended("--read", at("a.pcapng"), "--json", "-c", "2"));
    assertEquals([packet!["time"], packet!["comments"]], ["1970-01-01T00:00:02.000000005Z", ["no 1"]]);
    await ended("--read", at("a.pcap"), "-w", at("b.pcapng"));
    const names = ["frame.time_epoch", "frame.len"];
    assertEquals(fields(at("b.pcapng"), ...names), fields(at("a.pcapng"), ...names));
    // By the times of the packets, two seconds a file
    await ended("-r", at("a.pcapng"), "-w", at("c.pcapng"), "--ring-seconds", "2");
    const parts = readdirSync(scripts.directory).filter((name) => name.startsWith("c_")).sort();
    assertEquals(parts.map((name) => fields(at(name), "frame.len").length), [2, 2, 2]);
    const damaged = readFileSync(at("a.pcapng"));
    damaged.fill(255, damaged.length - 30);
    writeFileSync(at("damaged.pcapng"), damaged);
    const half = await capture(runtime, "--read", at("damaged.pcapng"), "-w", at("half.pcapng")).end();
    assertMatch(half.errors, /^vmnet-capture: Cannot read pcapng: /m);
    assertEquals([half.code, fields(at("half.pcapng"), "frame.len").length], [1, 5]);
    writeFileSync(at("cut.pcapng"), readFileSync(at("a.pcapng")).subarray(0, -10));
    const cut = await capture(runtime, "--read", at("cut.pcapng")).end();
    assertEquals([cut.code, cut.output.trimEnd().split("\n").filter((line) => !line.includes("#")).length], [1, 5]);
    assertMatch(cut.errors, /^vmnet-capture: Cannot read pcapng: the file ends after/m);
  });

  test(`capture explains what is wrong with a command line, in ${runtime}`, async () => {
    await using daemon = new Daemon(runtime, "--mode", "host");
    await daemon.event("control");
    const wrong: [args: string[], says: RegExp, code?: number][] = [
      [["--mode", "bridged"], /^vmnet-capture: --mode bridged and --interface need one another\n/],
      [["--mode", "host", "--read", "x"], /^vmnet-capture: --read, --mode do not go together\n/],
      [["--socket", "/x", "--vmnetd", "/y"], /^vmnet-capture: There is one --vmnetd at a time\n/],
      [["--ring-files", "2", "-w", "x"], /^vmnet-capture: --ring-files needs --ring-size or --ring-seconds\n/],
      [["--ring-size", "2"], /^vmnet-capture: --ring-size and --ring-seconds need --write FILE\n/],
      [["-c", "0"], /^vmnet-capture: --count takes an integer from 1/],
      [
        ["--snap", "13", "--socket", daemon.path],
        /^vmnet-capture: --snap takes an integer from 14 to 65562, not "13"\n/,
      ],
      [["-w", "-", "-P"], /^vmnet-capture: --print needs standard output, and so does --write -\n/],
      [["-f", "arp", "icmp"], /^vmnet-capture: There is a filter in --filter, and another: "icmp"\n/],
      [["--read", "x", "arp"], /^vmnet-capture: --filter and --snap are not for files that are read\n/],
      [["--nonsense"], /^vmnet-capture: Unknown option '--nonsense'/],
      [["--capture", "--extcap-interface", "vmnet"], /^vmnet-capture: --capture needs --extcap-interface and --fifo\n/],
      [["--socket", daemon.path, "ip", "host"], /^vmnet-capture: Cannot open tap: .*filter/, 1],
      [["--socket", daemon.path, "--network", "x"], /^vmnet-capture: "network" takes one of vmnet0, not "x"\n/, 1],
      [["--socket", "/nowhere"], /^vmnet-capture: Cannot ask "\/nowhere\.control": .*ENOENT/, 1],
      [["--socket", daemon.path, "-w", "/nowhere/x"], /^vmnet-capture: Cannot write "\/nowhere\/x": /m, 1],
      [
        ["--network", "there-is-none"],
        /^vmnet-capture: There is nothing to capture: no vmnetd with a network "there-is-none" .*--socket PATH/,
      ],
      [["--read", "/nowhere"], /^vmnet-capture: Cannot read "\/nowhere": ENOENT/m, 1],
    ];
    for (const [args, says, code = 2] of wrong) {
      const ending = await capture(runtime, ...args).end();
      assertMatch(ending.errors, says, args.join(" "));
      assertEquals(ending.code, code, args.join(" "));
    }
    const help = await capture(runtime, "--help").end();
    assertEquals(help.code, 0);
    for (const option of ["--socket PATH", "-w, --write FILE", "--ring-size MB", "--install-extcap"]) {
      assertStringIncludes(help.output, option);
    }
    await daemon.stop();
  });

  test(`capture finds the only vmnetd that there is, in ${runtime}`, async () => {
    const name = `only-${runtime}-${process.pid}`; // others may run here
    await using daemon = new Daemon(runtime, "--mode", "host", "--name", name);
    await daemon.event("control");
    const place = { XDG_RUNTIME_DIR: daemon.at(".") };
    const found = new Program(runtime, file, ["--network", name, "--json", "--seconds", "1"], FLAGS, place);
    const { code, output, errors } = await found.end();
    assertEquals([code, errors], [0, ""]);
    assertEquals(eventsOf(output)[0], { event: "capturing", networks: name, of: realpathSync(daemon.control) });
    await daemon.stop();
  });
}
