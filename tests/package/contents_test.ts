// SPDX-License-Identifier: MIT

// What is in the package, and what the ecosystem's own checkers say about it.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { assert, assertEquals, assertLess } from "@std/assert";
import { runtimeName } from "../../ffi/runtime.ts";
import { root } from "../vmnet/programs.ts";
import { run, whyNoPackage, Workplace } from "./package.ts";

const skip = whyNoPackage;
// What programs say that are neither Deno nor Bun need not be asked twice
const once = skip || (runtimeName === "bun" && "asked in Deno");
const place = skip ? undefined! : new Workplace();
after(() => place?.[Symbol.dispose]());

test("the package is smaller than 1 MB and holds what the manifest names", { skip }, () => {
  const { size, files } = place.packed;
  assertLess(size, 1_000_000);
  const paths = files.map(({ path }) => path);
  const { exports, imports, bin } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const named = [exports, imports, { bin }].flatMap((map) =>
    Object.values(map).flatMap((value) => Object.values(value!))
  );
  assert(named.length > 20);
  assertEquals((named as string[]).filter((path) => !paths.includes(path.replace("./", ""))), []);
  const known =
    /^(dist\/(\w+\.(js|d\.ts)|natives\/[\w-]+\/(libvmnet_shim\.(so|dylib)|vmnet-(gateway|host)))|[A-Z]+(\.md)?|package\.json)$/;
  assertEquals(paths.filter((path) => !known.test(path)), []);
});

test("what has to be started may be", { skip }, () => {
  const programs = place.packed.files.filter(({ path }) => /natives\/|vmnetd\.js|doctor\.js/.test(path));
  assertEquals(programs.filter(({ mode }) => (mode & 0o111) !== 0o111), []);
});

const natives = ["linux-x64", "linux-arm64"].flatMap((platform) =>
  ["libvmnet_shim.so", "vmnet-gateway"].map((file) => `dist/natives/${platform}/${file}`)
);

for (const path of natives) {
  test(`${path} needs no glibc newer than 2.28, and no other library`, { skip: once }, () => {
    const { output } = run("readelf", ["--dyn-syms", "--dynamic", "-W", path], { cwd: root });
    const versions = [...output.matchAll(/@GLIBC_2\.(\d+)/g)].map((match) => Number(match[1]));
    assert(versions.length > 40, `${versions.length} symbols`);
    assertLess(Math.max(...versions), 29);
    const needed = [...output.matchAll(/NEEDED.*\[(.*)\]/g)].map((match) => match[1]!);
    assertEquals(needed.filter((name) => !["libc.so.6", "libpthread.so.0", "libdl.so.2"].includes(name)), []);
    assert(!/RPATH|RUNPATH|TEXTREL/.test(output));
  });
}

/** Runs a program of node_modules in Node. */
const tool = (path: string, ...args: string[]) =>
  run("node", [join(root, "node_modules", path), ...args], { cwd: root });

test("publint has nothing to say", { skip: once }, () => {
  const { status, output } = tool("publint/src/cli.js", "--strict");
  assertEquals([status, output.match(/All good!/)?.length], [0, 1], output);
});

test("every way of importing finds the types, says attw", { skip: once }, () => {
  // The package is for modules alone
  const { status, output } = tool("@arethetypeswrong/cli/dist/index.js", place.tarball, "--profile", "esm-only");
  assertEquals([status, output.match(/❌.*/g)], [0, null]);
});
