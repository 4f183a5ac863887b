// SPDX-License-Identifier: MIT

// capture as Wireshark uses it: asked as extcap(4) says, and by tshark itself.

import { spawn, spawnSync } from "node:child_process";
import { statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { numbered } from "../vmnet/frames.ts";
import { Program, runtimes } from "../vmnet/programs.ts";
import { capture, fields, file, FLAGS, pair, skip, until } from "./capture_programs.ts";
import { Daemon } from "./vmnetd_clients.ts";

for (const runtime of runtimes) {
  test(`capture answers what Wireshark asks, in ${runtime}`, { skip }, async () => {
    await using daemon = new Daemon(runtime, "--mode", "host", "--name", "lab", "--subnet", "192.168.98.0/24");
    await daemon.event("control");
    const ask = async (...args: string[]) => {
      const { code, output, errors } = await capture(runtime, ...args).end();
      assertEquals([code, errors], [0, ""], args.join(" "));
      return output.trimEnd();
    };
    const value = `lab@${daemon.control}`;
    const listed = await ask("--vmnetd", daemon.control, "--extcap-interfaces", "--extcap-version=4.0");
    assertMatch(listed, /^extcap \{version=1\.0\}/);
    assertStringIncludes(listed, `interface {value=${value}}{display=vmnetd network lab, host 192.168.98.0/24}`);
    assertEquals(
      await ask("--extcap-interface", value, "--extcap-dlts"),
      "dlt {number=1}{name=EN10MB}{display=Ethernet}",
    );
    assertMatch(await ask("--extcap-interface", "vmnetd", "--extcap-config"), /^arg \{number=0\}\{call=--vmnetd\}/);
    assertMatch(await ask("--extcap-interface", "vmnet", "--extcap-config"), /^value \{arg=0\}\{value=host\}/m);
    assertEquals(await ask("--extcap-interface", value, "--extcap-capture-filter", "tcp port 80"), "");
    assertMatch(await ask("--extcap-interface", value, "--extcap-capture-filter", "tcp prt"), /filter/);
    await daemon.stop();
  });

  test(`capture is one of Wireshark's own, in ${runtime}`, { skip }, async () => {
    await using daemon = new Daemon(runtime, "--mode", "host", "--name", "lab", "--subnet", "192.168.98.0/24");
    const [a] = await pair(daemon);
    const value = `lab@${daemon.control}`;
    // As Wireshark finds it: 4.2 and later in one folder, those before in the other
    const home = daemon.at("home");
    const env = { HOME: home, XDG_CONFIG_HOME: join(home, "config") };
    const install = await new Program(runtime, file, ["--install-extcap", "--vmnetd", daemon.control], FLAGS, env)
      .end();
    assertEquals(install.code, 0, install.errors);
    const places = [join(home, ".local/lib/wireshark/extcap/vmnet"), join(home, "config/wireshark/extcap/vmnet")];
    assertEquals(install.output, `${places.join("\n")}\n`);
    for (const place of places) assertEquals(statSync(place).mode & 0o777, 0o755);
    const options = { encoding: "utf8" as const, cwd: "/", env: { ...process.env, ...env, NO_COLOR: "1" } };
    assertStringIncludes(
      spawnSync("tshark", ["-D"], options).stdout,
      `${value} (vmnetd network lab, host 192.168.98.0/24)`,
    );
    const path = daemon.at("shark.pcapng");
    const args = ["-i", value, "-f", "ether proto 0x88b5", "-c", "25", "-w", path];
    const shark = spawn("tshark", args, { ...options, stdio: ["ignore", "ignore", "pipe"] });
    let errors = "";
    shark.stderr!.on("data", (text) => errors += text);
    const again = setInterval(() => a.send(numbered(1, 80)), 20);
    const code = await new Promise((resolve) => shark.on("close", resolve));
    clearInterval(again);
    assertEquals(code, 0, errors);
    assertEquals(fields(path, "frame.len", "frame.interface_name").length, 25);
    await until(async () => (await daemon.command("status", "--json")).includes('"captures":[]'));
    await daemon.stop();
  });
}
