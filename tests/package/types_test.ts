// SPDX-License-Identifier: MIT

// The package's types in a consumer with libraries of 2022, whose compiler looks into them, too.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { assertEquals, assertStringIncludes } from "@std/assert";
import { runtimeName } from "../../ffi/runtime.ts";
import { root } from "../vmnet/programs.ts";
import { run, tenLines, whyNoPackage, Workplace } from "./package.ts";

// The compilers run in Node
const skip = whyNoPackage || (runtimeName === "bun" && "asked in Deno");
const place = skip ? undefined! : new Workplace();
after(() => place?.[Symbol.dispose]());

const consumer = `${tenLines.replaceAll("console.log", "print")}
import type { Network as Same } from "vmnet";
import { dlopen } from "vmnet/ffi";
import { StreamDecoder } from "vmnet/framing";
import { Packet } from "vmnet/packet";
import { unsafeNetworkFromPointer } from "vmnet/unsafe";

declare function print(...values: unknown[]): void;
declare const pointer: bigint;
export const same: Same = await unsafeNetworkFromPointer(pointer);
export const packet: Packet = new Packet(new Uint8Array(60));
export const decoder: StreamDecoder = new StreamDecoder();
export const { symbols } = dlopen("libm.so.6", { cos: { args: ["f64"], returns: "f64" } });
export const cosine: number = symbols.cos(0);
`;

for (const compiler of ["typescript-5", "typescript", "typescript-7"]) {
  const { version } = JSON.parse(readFileSync(join(root, "node_modules", compiler, "package.json"), "utf8"));
  test(`a consumer's types check with TypeScript ${version}, lib ES2022 and DOM, no skipLibCheck`, { skip }, () => {
    const folder = place.project(compiler);
    const compilerOptions = {
      ...{ target: "ES2022", lib: ["ES2022", "DOM"], types: [], skipLibCheck: false, strict: true, noEmit: true },
      ...{ module: "NodeNext", moduleResolution: "NodeNext", exactOptionalPropertyTypes: true },
    };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["consumer.ts"] }));
    const compile = (source: string) => {
      writeFileSync(join(folder, "consumer.ts"), source);
      return run("node", [join(root, "node_modules", compiler, "bin/tsc"), "-p", "."], {
        cwd: folder,
        timeoutMs: 60_000,
      });
    };
    assertEquals(compile(consumer).output, "");
    // And it does look; the fastest of them is asked
    if (compiler !== "typescript-7") return;
    assertStringIncludes(compile(consumer.replace("a.write(", "a.nonsense(")).output, "nonsense");
  });
}
