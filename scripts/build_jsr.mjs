// SPDX-License-Identifier: MIT

// dist/jsr/: what is published to JSR. A package there consists of modules, so the natives come along inside of some.

import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { copyModule, copyName, nativesOfModules } from "./build_natives.mjs";
import { root } from "./runtimes.mjs";

/** Copies what deno.json publishes, with the natives in modules. */
export function buildJsr(dist, natives) {
  const folder = join(dist, "jsr");
  mkdirSync(folder, { recursive: true });
  const config = JSON.parse(readFileSync(join(root, "deno.json"), "utf8"));
  for (const item of config.publish.include) {
    mkdirSync(dirname(join(folder, item)), { recursive: true });
    cpSync(join(root, item), join(folder, item), { recursive: true });
  }
  writeFileSync(join(folder, "vmnet/natives.ts"), nativesOfModules(natives, false));
  for (const native of natives) {
    writeFileSync(join(folder, "vmnet", `${copyName(native.name)}.ts`), copyModule(native));
  }
  const { name, version, license, exports, compilerOptions, publish } = config;
  writeFileSync(
    join(folder, "deno.json"),
    JSON.stringify({ name, version, license, exports, compilerOptions, publish }, null, 2),
  );
}
