// SPDX-License-Identifier: MIT

/**
 * An audit of what a Mac is given, byte by byte and without one: `libvmnet_shim.dylib` and `vmnet-host`, built here by
 * clang and lld. The stubs that they are linked against (shim/darwin/sdk/*.tbd) are the list of what they may import.
 * Each rule is tried on files that break it.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  allowed,
  binder,
  complaintsAbout,
  library,
  program,
  root,
  type RuleName,
  ruleNames,
  weakNames,
} from "./audit.ts";
import { readMachO } from "./macho.ts";
import { broken } from "./broken.ts";

const shim = join(root, "shim");

/** Builds and returns where the files are, or undefined when the tools are missing. */
function build(folder: string, name: string): string | undefined {
  const { status, stdout, stderr, error } = spawnSync("make", ["-C", folder, `BUILD=${name}`, "darwin"], {
    encoding: "utf8",
  });
  if (error !== undefined) return undefined; // no make
  if (status !== 0) throw new Error(`make darwin: ${stdout}${stderr}`);
  return stdout.includes("skipped") ? undefined : join(folder, name, "darwin");
}

const built = build(shim, "build");
const skip = built === undefined && "the cross build needs make, clang, ld64.lld (lld) and llvm-lipo (llvm)";

const names = [library, program];
const bytesOf = (name: string, folder = built!): Uint8Array => readFileSync(join(folder, name));
const files = new Map(names.map((name) => [name, built === undefined ? new Uint8Array() : bytesOf(name)]));
const complaints = new Map(names.map((name) => [name, skip ? [] : complaintsAbout(name, files.get(name)!)]));

const titles: Record<RuleName, string> = {
  file: "is one for each processor",
  platform: "is for macOS 12 and later",
  imports: "imports what the stubs list, from where they say, and nothing else",
  weak: "does without what is newer than macOS 12, and needs the rest",
  exports: "exports the ABI and nothing else",
  linkage: "is found by @rpath and links three libraries of the system",
  initializers: "runs nothing when it is loaded and has no thread-local storage",
  place: "lies where it can be mapped, with the signature at its end",
  signature: "is signed ad hoc, and every hash is true",
  entitlements: "has no entitlement, but for vmnet-host's, in both encodings",
};

describe("the library of macOS", { skip }, () => {
  for (const rule of ruleNames) {
    test(titles[rule]!, () => {
      for (const [name, all] of complaints) {
        assertEquals(all.filter((text) => text.startsWith(`${rule}: `)), [], name);
      }
    });
  }

  test("needs everything that the stubs list", () => {
    for (const name of ["_vmnet_network_create", "_vmnet_enable_virtio_header_key"]) assert(weakNames.includes(name));
    const slices = [...files.values()].flatMap(readMachO);
    for (const cpu of ["arm64", "x86_64"]) {
      const imported = new Set(
        slices.filter((slice) => slice.cpu === cpu).flatMap(({ imports }) => imports.map(({ name }) => name)),
      );
      assertEquals([...allowed(cpu).keys()].filter((name) => name !== binder && !imported.has(name)), [], cpu);
    }
  });

  test("is the same, byte by byte, when another folder builds it", { timeout: 300_000 }, () => {
    const folder = mkdtempSync(join(tmpdir(), "vmnet-darwin-"));
    try {
      for (const path of ["shim/Makefile", "bench/bench.mk", "scripts/sign.mjs"]) {
        cpSync(join(root, path), join(folder, path), { recursive: true });
      }
      for (const name of readdirSync(shim)) {
        if (name !== "build") cpSync(join(shim, name), join(folder, "shim", name), { recursive: true });
      }
      const other = build(join(folder, "shim"), "elsewhere/build")!;
      for (const name of names) {
        const [here, there] = [bytesOf(name), bytesOf(name, other)];
        assert(here.length === there.length && here.every((byte, index) => byte === there[index]), name);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("names no file of the machine that built it", () => {
    for (const name of names) {
      const text = new TextDecoder("latin1").decode(bytesOf(name));
      assert(!text.includes(root) && !text.includes(tmpdir() + "/") && !/\/(home|root|Users)\//.test(text), name);
      assertStringIncludes(text, "vmnet");
    }
  });
});

describe("the audit", { skip }, () => {
  for (const { what, file, change, complaint } of broken) {
    test(`notices ${what}`, () => {
      const all = complaintsAbout(file, change(Uint8Array.from(files.get(file)!)));
      assert(all.some((text) => complaint.test(text)), `${complaint} is not among:\n${all.join("\n")}`);
    });
  }

  test("has a file that breaks it for every rule", () => {
    assertEquals(
      ruleNames.filter((rule) => !broken.some(({ complaint }) => complaint.source.startsWith(`^${rule}:`))),
      [],
    );
  });
});

test("the compiler sees no header but ours", { skip }, () => {
  const listed = readdirSync(join(built!, "arm64/darwin")).filter((name) => name.endsWith(".d"));
  assert(listed.length > 0 && existsSync(join(built!, "include/errno.h")));
  const headers = listed.flatMap((name) =>
    readFileSync(join(built!, "arm64/darwin", name), "utf8").split(/[\s\\:]+/).filter((path) => path.endsWith(".h"))
  );
  // What clang itself brings, such as stdint.h, lies in its own folder.
  assertEquals(headers.filter((path) => path.startsWith("/") && !/\/(clang|lib\/llvm[^/]*)\//.test(path)), []);
});
