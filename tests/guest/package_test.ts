// SPDX-License-Identifier: MIT

// What is in the package does its job: from the tarball, in an empty folder, with nothing but this runtime on the PATH,
// each tool with a real guest.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { describe, it } from "node:test";
import { assert, assertEquals, assertGreater, assertMatch, assertStringIncludes } from "@std/assert";
import { runtimeName } from "../../ffi/runtime.ts";
import { run, whyNoPackage, Workplace } from "../package/package.ts";
import { delay } from "../vmnet/frames.ts";
import { bootGuest, whyNoGuest } from "./harness.ts";

const outside = process.env.VMNET_TEST_OUTSIDE ?? "";
const skip = whyNoPackage || whyNoGuest() || (outside ? false : "runs inside netns.sh");

const MAC = "52:54:00:00:00:0a";

describe("the package's tools", { skip }, () => {
  it("serve, find, forward, capture, measure and examine a guest's network", async () => {
    using place = new Workplace();
    const folder = place.project("stranger");
    const env = { PATH: place.path(runtimeName as "deno" | "bun"), VMNET_RUNTIME: "", VMNET_SHIM_PATH: "" };
    const command = (name: string) => join(folder, "node_modules/.bin", name);
    const begin = (name: string, ...args: string[]): ChildProcess =>
      spawn(command(name), args, {
        cwd: folder,
        env: { ...process.env, ...env },
        stdio: ["ignore", "pipe", "inherit"],
      });
    const tool = (name: string, ...args: string[]): string => {
      const { status, output, errors } = run(command(name), args, { cwd: folder, env, timeoutMs: 60_000 });
      assertEquals([name, status, errors], [name, 0, ""], `${name} ${args.join(" ")}: ${output}`);
      return output.trim();
    };
    // Not child.kill(): Deno then reports the signal that was sent, whatever the child did about it
    const end = async (child: ChildProcess, signal: "SIGINT" | "SIGTERM"): Promise<unknown> => {
      const ended = once(child, "exit");
      process.kill(child.pid!, signal);
      return (await ended)[0];
    };

    const socket = join(folder, "vm.sock");
    const daemon = begin("vmnetd", "--socket", socket, "--json", "--subnet", "192.168.61.0/24");
    const started: ChildProcess[] = [daemon];
    try {
      await once(createInterface({ input: daemon.stdout! }), "line");
      const file = join(folder, "frames.pcapng");
      const capture = begin("vmnet-capture", "--socket", socket, "--write", file);
      started.push(capture);
      for (let i = 0; i < 50 && !existsSync(file); i++) await delay(100);
      assert(existsSync(file), "no capture within 5 s");

      await using guest = await bootGuest({ netdev: { kind: "stream", path: socket }, mac: MAC });
      const address = tool("vmnet-leases", "--socket", socket, "--wait", "--timeout", "20", MAC);
      assertEquals(address, guest.lease!.ip);
      await guest.sh("echo from the guest >/www/index.html; httpd -p 80 -h /www");
      const added = tool("vmnet-forward", "--socket", socket, "add", `tcp:18301:${MAC}:80`, "--wait", "--check");
      assertStringIncludes(added, address);
      const answer = await fetch("http://127.0.0.1:18301/", { signal: AbortSignal.timeout(5000) });
      assertEquals((await answer.text()).trim(), "from the guest");
      assertStringIncludes(await guest.sh(`timeout 10 wget -q -O - http://${outside}/`), "outside");

      assertEquals(await end(capture, "SIGINT"), 0);

      const measured = tool(
        "vmnet-perf",
        "--socket",
        socket,
        "--socket",
        socket,
        "--seconds",
        "0.3",
        "--size",
        "512",
        "--json",
      );
      assertGreater(measured.split("\n").length, 1);
      assertMatch(tool("vmnet-doctor", "--self-test", "--mode", "host"), /ok +self-test: \d+ frames/);

      assertEquals(await guest.powerOff(), 0);
      assertGreater(statSync(file).size, 1000);
      // Wireshark's own opinion: nothing malformed, and the guest's lease and page are there
      const seen = (filter: string) =>
        spawnSync("tshark", ["-n", "-r", file, "-Y", filter, "-T", "fields", "-e", "frame.number"], {
          encoding: "utf8",
        });
      assertEquals(seen("_ws.malformed").stdout, "");
      for (const filter of ["dhcp.option.dhcp == 5", 'http.response && http contains "from the guest"']) {
        const { status, stdout, stderr } = seen(filter);
        assert(status === 0 && stdout.trim() !== "", `no frame with ${filter}: ${stderr}`);
      }
      assertEquals(await end(daemon, "SIGTERM"), 0);
      assert(!existsSync(socket), "the socket is still there");
    } finally {
      for (const child of started) if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
    }
  });
});
