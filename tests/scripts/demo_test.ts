// SPDX-License-Identifier: MIT

import { join } from "node:path";
import { test } from "node:test";
import { assertEquals, assertGreater, assertMatch } from "@std/assert";
import { Program, root, runtimes } from "../vmnet/programs.ts";

for (const runtime of runtimes) {
  test(`the demo plays a guest and ends with one line of JSON, in ${runtime}`, async () => {
    const program = new Program(runtime, join(root, "scripts", "demo.ts"), ["--no-vm", "--json"]);
    const { code, output, errors } = await program.end(30_000);
    assertEquals([code, errors], [0, ""], output);
    assertMatch(output, /> IPv4 UDP 0\.0\.0\.0:68 > 255\.255\.255\.255:67 DHCP discover/);
    const summary = JSON.parse(output.trimEnd().split("\n").at(-1)!);
    const { runtime: name, lease, framesIn, framesOut, ...rest } = summary;
    assertEquals(name, runtime);
    assertMatch(lease, /^192\.168\.\d+\.\d+$/);
    assertEquals(rest, { gatewayPing: true, httpOut: true, httpIn: true });
    assertGreater(framesIn, 5);
    assertGreater(framesOut, 5);
  });
}
