// tools/vmnetd.ts as a person uses it: two real guests, a reservation, a forward, a client that misbehaves, SIGTERM.

import { describe, it } from "node:test";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { once } from "node:events";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { runtimeName } from "../../ffi/runtime.ts";
import { delay } from "../vmnet/frames.ts";
import { bootGuest, whyNoGuest } from "./harness.ts";

const outside = process.env.VMNET_TEST_OUTSIDE ?? "";
const skip = whyNoGuest() || (outside ? false : "runs inside netns.sh");

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
    const events: Record<string, unknown>[] = [];
    const lines = createInterface({ input: daemon.stdout });
    lines.on("line", (line) => events.push(JSON.parse(line)));
    const ended = once(daemon, "exit");
    try {
      await once(lines, "line");
      assertEquals(events[0]!["event"], "listening");
      const [guestA, guestB] = await Promise.all([
        bootGuest({ netdev: { kind: "stream", path }, mac: "52:54:00:00:00:0a" }),
        bootGuest({ netdev: { kind: "stream", path }, mac: "52:54:00:00:00:0b" }),
      ]);
      await using a = guestA!;
      await using b = guestB!;
      assertEquals(a.lease!.ip, "192.168.60.10");
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
      const answer = await fetch("http://127.0.0.1:18300/", { signal: AbortSignal.timeout(5000) });
      assertEquals((await answer.text()).trim(), "from a");
      // On a Mac leases are read from a file, twice a second
      const leases = () => events.filter(({ event }) => event === "lease").length;
      for (let i = 0; leases() < 2 && i < 20; i++) await delay(100);
      assertEquals(await Promise.all([a.powerOff(), b.powerOff()]), [0, 0]);
      deaf.destroy();
    } finally {
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
