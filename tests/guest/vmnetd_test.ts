// tools/vmnetd.ts as a person uses it: two real guests, a reservation, a forward, a client that misbehaves, SIGTERM;
// and tools/capture.ts beside it, from which tshark reads what the guests did.

import { describe, it } from "node:test";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { once } from "node:events";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { runtimeName } from "../../ffi/runtime.ts";
import { isVmnet } from "../backend.ts";
import { delay } from "../vmnet/frames.ts";
import { bootGuest, whyNoGuest } from "./harness.ts";

const outside = process.env.VMNET_TEST_OUTSIDE ?? "";
const hasTshark = spawnSync("tshark", ["--version"]).status === 0;
const skip = whyNoGuest() || (outside ? false : "runs inside netns.sh") ||
  (hasTshark ? false : "tshark is not installed");

/** A field of those packets of a capture that a display filter of Wireshark shows. */
function readCaptured(file: string, filter: string, field: string): string[] {
  const args = ["-r", file, "-Y", filter, "-T", "fields", "-E", "occurrence=f", "-e", field];
  const { status, stdout, stderr } = spawnSync("tshark", args, { encoding: "utf8" });
  assertEquals(status, 0, stderr);
  return stdout.trimEnd().split("\n");
}

/** Runs a tool as a person does, and answers its status and what it prints. */
async function tool(name: string, ...words: string[]): Promise<[code: number, output: string]> {
  const child = spawn(process.execPath, [
    ...(runtimeName === "deno" ? ["run", "--allow-all", "--no-check"] : []),
    fileURLToPath(new URL(`../../tools/${name}.ts`, import.meta.url)),
    ...words,
  ], { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk) => text += chunk);
  return [(await once(child, "close"))[0], text.trimEnd()];
}

describe("vmnetd", { skip }, () => {
  it("serves two guests, survives a bad client, and leaves nothing behind", async () => {
    const folder = mkdtempSync(join(tmpdir(), "vmnetd-test-"));
    const path = join(folder, "vm.sock");
    const daemon = spawn(process.execPath, [
      ...(runtimeName === "deno" ? ["run", "--allow-all", "--no-check"] : []),
      fileURLToPath(new URL("../../tools/vmnetd.ts", import.meta.url)),
      ...["--socket", path, "--json", "--subnet", "192.168.60.0/24"],
      ...["--reserve", "52:54:00:00:00:0a=192.168.60.10", "--forward", "tcp:18300:192.168.60.10:80"],
    ], { stdio: ["ignore", "pipe", "inherit"] });
    let capture: ChildProcess | undefined;
    const captured = join(folder, "guests.pcapng");
    const events: Record<string, unknown>[] = [];
    const lines = createInterface({ input: daemon.stdout });
    lines.on("line", (line) => events.push(JSON.parse(line)));
    const ended = once(daemon, "exit");
    try {
      await once(lines, "line");
      assertEquals(events[0]!["event"], "listening");
      capture = spawn(process.execPath, [
        ...(runtimeName === "deno" ? ["run", "--allow-all", "--no-check"] : []),
        fileURLToPath(new URL("../../tools/capture.ts", import.meta.url)),
        ...["--socket", path, "--json", "-w", captured, "icmp or udp port 67"],
      ], { stdio: ["ignore", "pipe", "inherit"] });
      await once(createInterface({ input: capture.stdout! }), "line"); // it has begun
      const waiting = tool("leases", "--wait", "52:54:0:0:0:b", "--timeout", "90", "--socket", path);
      const [guestA, guestB] = await Promise.all([
        bootGuest({ netdev: { kind: "stream", path }, mac: "52:54:00:00:00:0a" }),
        bootGuest({ netdev: { kind: "stream", path }, mac: "52:54:00:00:00:0b" }),
      ]);
      await using a = guestA!;
      await using b = guestB!;
      assertEquals(a.lease!.ip, "192.168.60.10");
      assertEquals(await waiting, [0, b.lease!.ip]);
      await a.sh("echo from a >/www/index.html; httpd -p 80 -h /www");

      // One that announces 4 GiB, one that announces nothing, and one that never reads
      for (const header of [[255, 255, 255, 255], [0, 0, 0, 0]]) {
        const bad = connect(path);
        bad.on("error", () => {});
        bad.write(Uint8Array.from(header));
        await once(bad, "close");
      }
      const deaf = connect(path);
      deaf.pause();
      await once(deaf, "connect");

      assertEquals(await b.sh("timeout 10 wget -q -O - http://192.168.60.10/"), "from a");
      assertStringIncludes(await b.sh(`timeout 10 wget -q -O - http://${outside}/`), "outside");
      await b.sh("ping -c 2 -W 5 192.168.60.10");
      process.kill(capture.pid!, "SIGINT");
      assertEquals(await once(capture, "exit"), [0, null]);
      assertEquals(readCaptured(captured, "dhcp.option.dhcp == 5", "dhcp.hw.mac_addr").sort(), [
        "52:54:00:00:00:0a",
        "52:54:00:00:00:0b",
      ]);
      assertEquals(readCaptured(captured, "icmp", "icmp.type"), ["8", "0", "8", "0"]);
      const answer = await fetch("http://127.0.0.1:18300/", { signal: AbortSignal.timeout(5000) });
      assertEquals((await answer.text()).trim(), "from a");
      // vmnet takes rules only when a network is created
      if (!await isVmnet()) {
        const add = (rule: string) => tool("forward", "add", rule, "--wait", "--timeout", "10", "--check", "-s", path);
        const [code, said] = await add("tcp:18301:52:54:0:0:0:a:80");
        assertEquals(code, 0, said);
        assertMatch(said, /^tcp:18301:192\.168\.60\.10:80 +52:54:00:00:00:0a.* answers: HTTP\/1\.[01] 200 OK$/m);
        const again = await fetch("http://127.0.0.1:18301/", { signal: AbortSignal.timeout(5000) });
        assertEquals((await again.text()).trim(), "from a");
        // The guest is there, and nobody listens at that port
        const [status, refused] = await tool("forward", "add", "tcp:18302:192.168.60.10:81", "--check", "-s", path);
        assertEquals(status, 1);
        assertMatch(refused, /closed: the guest refuses, or is not there$/m);
        assertEquals(await tool("forward", "remove", "tcp:18302", "-s", path), [0, ""]);
      }
      // On a Mac leases are read from a file, twice a second
      const leases = () => events.filter(({ event }) => event === "lease").length;
      for (let i = 0; leases() < 2 && i < 20; i++) await delay(100);
      assertEquals(await Promise.all([a.powerOff(), b.powerOff()]), [0, 0]);
      deaf.destroy();
    } finally {
      if (capture?.exitCode === null) process.kill(capture.pid!, "SIGKILL");
      // Not daemon.kill(): Deno then reports the signal that was sent, whatever the child did about it
      process.kill(daemon.pid!, "SIGTERM");
    }
    assertEquals(await ended, [0, null]);
    assert(!existsSync(path) && !existsSync(`${path}.control`), "the socket is still there");
    rmSync(folder, { recursive: true });
    const named = (name: string) => events.filter(({ event }) => event === name);
    assertEquals(new Set(named("lease").map(({ address }) => address)).size, 2);
    assert(named("disconnected").filter(({ mac }) => mac === "").length >= 2, "the bad ones are still there");
    assertEquals(named("connected").length, 5);
  });
});
