// SPDX-License-Identifier: MIT

// That each tool starts at once: whoever asks for help, or made a mistake, does not wait for what neither needs.

import { readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { assertEquals, assertLess, assertMatch } from "@std/assert";
import { Program, root, runtimes, Scripts } from "../vmnet/programs.ts";

const tools = readdirSync(join(root, "tools")).filter((name) => /^[a-z]\w*\.ts$/.test(name));

/** Longest time that the quickest of some starts may take, in milliseconds. */
const MOST_MS = 150;

/** Where even a program of nothing takes long, the machine is busy with something else: so many times that is allowed. */
const BUSY = 4;

for (const runtime of runtimes) {
  const run = (file: string) => new Program(runtime, file, ["--help"], []).end();

  for (const tool of tools) {
    test(`${tool} --help answers at once, without a permission, in ${runtime}`, async () => {
      using scripts = new Scripts();
      const nothing = scripts.write("nothing.ts", "");
      let [best, allowed] = [Infinity, 0];
      for (let i = 0; i < 10 && best >= allowed; i++) {
        allowed = Math.max(MOST_MS, BUSY * (await run(nothing)).ms);
        const { code, output, errors, ms } = await run(join(root, "tools", tool));
        assertEquals([code, errors], [0, ""]);
        assertMatch(output, /^[A-Z][^]*\n\nUsage: [\w-]+ .*\n\n[^]*^ {2}--json +[^]*^ {2}--help +/m);
        best = Math.min(best, ms);
      }
      assertLess(best, allowed);
    });
  }
}
