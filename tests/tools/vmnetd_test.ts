// SPDX-License-Identifier: MIT

import { existsSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { assert, assertEquals, assertGreater, assertMatch, assertStringIncludes } from "@std/assert";
import { encodeStream } from "vmnet/framing";
import { delay, numbered, numberOf } from "../vmnet/frames.ts";
import { libraryPath } from "../backend.ts";
import { Program, root, runtimes, Scripts } from "../vmnet/programs.ts";
import { Client, Daemon, file, FLAGS } from "./vmnetd_clients.ts";

/** Waits until so many clients are there. */
async function connections(daemon: Daemon, count: number): Promise<void> {
  await daemon.program.line(new RegExp(`(?:"event":"connected"[^]*){${count}}`));
}

/** The doubles of macOS before 26. */
const before26 = libraryPath.replace("/doubles/", "/doubles-old/");
const noOldMac = (before26 === libraryPath || !existsSync(before26)) && "only over the doubles of an older macOS";

for (const runtime of runtimes) {
  test(`vmnetd has an interface where there are no network objects, in ${runtime}`, { skip: noOldMac }, async () => {
    using scripts = new Scripts();
    const path = `${scripts.directory}/s`;
    const env = { VMNET_SHIM_PATH: before26, VMNET_DOUBLE: "macos=15.0" };
    const flags = [`--allow-ffi=${dirname(before26)}`, "--allow-env", "--allow-read", "--allow-write", "--allow-net"];
    const lines = [
      ["--vmnet-gateway=192.168.105.1", "--vmnet-dhcp-end=192.168.105.100", path],
      ["--vmnet-mode=bridged", "--vmnet-interface=en0", path],
    ];
    for (const [i, line] of lines.entries()) {
      const daemon = new Program(runtime, file, line, flags, env);
      await daemon.line(/^control/m);
      if (i === 0) {
        const guest = new Client(path).guest("52:54:00:00:00:01");
        assertEquals((await guest.dhcp()).router, "192.168.105.1");
        assert(await guest.ping("192.168.105.1"));
      }
      daemon.kill("SIGTERM");
      const { code, output } = await daemon.end();
      assertEquals(code, 0);
      assertStringIncludes(output, `mode=${i === 0 ? "shared" : "bridged"}`);
    }
  });

  test(`vmnetd gives each client its own interface on one network, in ${runtime}`, async () => {
    const reserve = "52:54:00:00:00:02=192.168.97.99";
    await using daemon = new Daemon(runtime, "--subnet", "192.168.97.0/24", "--reserve", reserve, "--mtu", "1400");
    const { socket, subnet, mode, mtu } = await daemon.event("listening");
    assertEquals([socket, subnet, mode, mtu], [daemon.path, "192.168.97.0/24", "shared", 1400]);
    assertEquals(statSync(daemon.path).mode & 0o777, 0o600);
    assertEquals(readdirSync(dirname(daemon.path)).sort(), ["vm.sock", "vm.sock.control"]);
    const [one, two] = [new Client(daemon.path), new Client(daemon.path)];
    const [a, b] = [one.guest("52:54:00:00:00:01"), two.guest("52:54:00:00:00:02")];
    assertEquals((await a.dhcp()).mtu, 1400);
    assertEquals((await b.dhcp()).address, "192.168.97.99");
    const lease = await daemon.event("lease", "00:02");
    assertEquals([lease["change"], lease["address"]], ["added", "192.168.97.99"]);
    assert(await a.ping("192.168.97.1"));
    assert(await a.ping("192.168.97.99"));
    one.socket.destroy();
    const { mac, fromGuest, toGuest } = await daemon.event("disconnected");
    assertEquals(mac, "52:54:00:00:00:01");
    assertGreater(fromGuest as number, 4);
    assertGreater(toGuest as number, 4);
    await daemon.stop();
    await two.closed;
  });

  test(`vmnetd keeps one bad client from disturbing another, in ${runtime}`, async () => {
    await using daemon = new Daemon(runtime, "--mode", "host");
    await daemon.event("listening");
    const [good, other] = [new Client(daemon.path), new Client(daemon.path)];
    await connections(daemon, 2);
    const bad = [[0, 0, 0, 0], [255, 255, 255, 255], [...encodeStream([numbered(99)]), 0, 0, 0, 0]];
    for (const bytes of bad) {
      const client = new Client(daemon.path);
      client.socket.write(Uint8Array.from(bytes));
      await client.closed;
    }
    const half = new Client(daemon.path);
    half.socket.write(Uint8Array.of(0, 0, 5, 220, 1, 2, 3));
    // Runts and giants are not a broken stream: they are dropped and counted
    other.send(new Uint8Array(5), new Uint8Array(1600), new Uint8Array(65562));
    const numbers = good.numbersUntil(3);
    other.send(numbered(1), numbered(2));
    half.socket.destroy();
    await delay(20);
    other.send(numbered(3));
    assertEquals((await numbers).filter((number) => number !== 99), [1, 2, 3]);
    other.socket.destroy();
    await daemon.event("disconnected", '"droppedTooLong":2,"droppedTooShort":1');
    await daemon.event("disconnected", '"droppedBad":1');
    await daemon.stop();
  });

  test(`vmnetd survives clients that vanish, in ${runtime}`, async () => {
    await using daemon = new Daemon(runtime, "--mode", "host");
    await daemon.event("listening");
    const beginnings = [[], [0, 0], [0, 0, 0, 60, 1], [...encodeStream([numbered(1), numbered(2)])]];
    const vanished = Array.from({ length: 100 }, (_, i) => {
      const client = new Client(daemon.path);
      client.socket.on("connect", () => client.socket.end(Uint8Array.from(beginnings[i % 4]!)).destroySoon());
      return client.closed;
    });
    await Promise.all(vanished);
    const [one, two] = [new Client(daemon.path), new Client(daemon.path)];
    const numbers = two.numbersUntil(7);
    const again = setInterval(() => one.send(numbered(7)), 20);
    assertEquals((await numbers).at(-1), 7);
    clearInterval(again);
    await daemon.stop();
    const { output } = await daemon.program.ending;
    for (const line of output.trimEnd().split("\n")) assertEquals(typeof JSON.parse(line).event, "string");
  });

  test(`vmnetd drops the frames of a client that does not read, and only those, in ${runtime}`, async () => {
    await using daemon = new Daemon(runtime, "--mode", "host");
    await daemon.event("listening");
    const [sender, lazy, reader] = [0, 1, 2].map(() => new Client(daemon.path));
    await connections(daemon, 3);
    lazy!.socket.pause();
    let received = 0;
    reader!.onFrame = (frame) => void (numberOf(frame) !== undefined && received++);
    // Several times what socket buffers, the daemon and the ring hold together
    for (let i = 0; i < 400; i++) {
      sender!.send(...Array.from({ length: 64 }, (_, k) => numbered(64 * i + k, 1514)));
      if (i % 8 === 7) await delay(5);
    }
    const last = 400 * 64;
    const end = performance.now() + 10_000;
    const done = new Promise<void>((resolve) => {
      const count = reader!.onFrame;
      reader!.onFrame = (frame) => {
        count(frame);
        if (numberOf(frame) === last) resolve();
      };
    });
    const again = setInterval(() => sender!.send(numbered(last)), 50);
    await done;
    clearInterval(again);
    assert(performance.now() < end);
    assertGreater(received, last / 10);
    await daemon.event("stalled");
    const status = JSON.parse(await daemon.command("status", "--json"));
    const clients: { droppedFull?: number }[] = status.networks[0].clients;
    // The reader's own process may have been too slow for some
    assertGreater(clients[1]!.droppedFull ?? 0, Math.max(1000, clients[2]!.droppedFull ?? 0));
    lazy!.socket.destroy();
    await daemon.event("disconnected");
    await daemon.stop();
  });

  test(`vmnetd explains a wrong command line, in ${runtime}`, async () => {
    const cases: [args: string[], status: number, says: string][] = [
      [[], 2, "--socket is missing"],
      [["--sokcet", "x"], 2, "--sokcet"],
      [["--socket", `/tmp/${"x".repeat(120)}`], 2, "107 bytes"],
      [["--socket", "/tmp/x.sock", "--mtu", "67"], 2, "--mtu takes an integer from 68 to 65535"],
      [["--socket", "/tmp/x.sock", "--mode", "nat"], 2, '"mode"'],
      [["--socket", "/tmp/x.sock", "--reserve", "x"], 2, "--reserve takes MAC=IP"],
      [["--socket", "/tmp/x.sock", "--forward", "tcp:1:2"], 2, "--forward takes PROTO:PORT:IP:PORT"],
      [["--socket", ""], 2, "107 bytes"],
      [["--socket", "/nowhere/x.sock"], 1, 'Cannot listen on "/nowhere/x.sock": cannot make the socket\'s file'],
      [["--socket", "/tmp", "--mode", "host"], 1, 'Cannot listen on "/tmp": there is something else than a socket'],
    ];
    for (const [args, status, says] of cases) {
      const { code, errors } = await new Program(runtime, file, args, FLAGS).end();
      assertEquals(code, status, errors);
      assertStringIncludes(errors, says);
      assertMatch(errors, /^vmnetd: /);
      assert(!errors.includes("    at "), errors);
    }
    const { code, output } = await new Program(runtime, file, ["--help"], FLAGS).end();
    assertEquals(code, 0);
    assertStringIncludes(output, "--reserve MAC=IP");
    assertStringIncludes(output, "--vmnet-gateway IP");
  });

  test(`vmnetd is found by those who ask it when it is the only one, in ${runtime}`, async () => {
    const name = `only-${runtime}-${process.pid}`; // others may run here
    await using daemon = new Daemon(runtime, "--mode", "host", "--name", name);
    await daemon.event("control");
    const place = { XDG_RUNTIME_DIR: daemon.at(".") };
    const asked: [tool: string, args: string[], says: string][] = [
      ["vmnetd", ["status", "--network", name], `${name}: host`],
      ["forward", ["list", "--network", name], "vmnet-forward: there are no rules"],
      ["leases", [], "vmnet-leases: there are no leases"],
    ];
    for (const [tool, args, says] of asked) {
      const program = new Program(runtime, join(root, "tools", `${tool}.ts`), args, undefined, place);
      const { code, output, errors } = await program.end();
      assertEquals(code, 0, errors);
      assertStringIncludes(output + errors, says);
    }
    const nobody = await new Program(runtime, file, ["stop", "--network", `${name}-not`], undefined, place).end();
    assertStringIncludes(nobody.errors, `vmnetd: no vmnetd with a network "${name}-not" was found here`);
    await daemon.stop();
  });

  test(`vmnetd leaves a socket in use alone, and replaces one that was left behind, in ${runtime}`, async () => {
    await using daemon = new Daemon(runtime, "--mode", "host");
    await daemon.event("listening");
    const { code, errors } = await new Program(runtime, file, ["--socket", daemon.path, "--mode", "host"], FLAGS).end();
    assertEquals(code, 1);
    assertStringIncludes(errors, "somebody else has this socket");
    daemon.program.kill("SIGKILL");
    await daemon.program.end();
    assert(existsSync(daemon.path));
    const again = new Program(runtime, file, ["--socket", daemon.path, "--mode", "host"], FLAGS);
    await again.line(/listening/);
    again.kill("SIGINT");
    assertEquals((await again.end()).code, 0);
    writeFileSync(daemon.path, "precious");
    const refused = await new Program(runtime, file, ["--socket", daemon.path, "--mode", "host"], FLAGS).end();
    assertEquals(refused.code, 1);
    assert(existsSync(daemon.path));
  });
}
