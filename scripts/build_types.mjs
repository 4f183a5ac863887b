// SPDX-License-Identifier: MIT

// The types of dist/: a .d.ts for each export.

import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import process from "node:process";
import { entries } from "./build_modules.mjs";
import { run } from "./run.mjs";
import { root } from "./runtimes.mjs";

/** The comment at the head of a source file that says what the module is for; the bundler drops it. */
function moduleComment(path) {
  return readFileSync(path, "utf8").match(/^\/\*\*[^]*?@module[^]*?\*\/\n/m)?.[0] ?? "";
}

/**
 * What every file of types begins with. `await using` needs names that ES2022, which consumers may have, does not know;
 * the bundler drops references to libraries.
 */
const head = (path) =>
  `// SPDX-License-Identifier: MIT\n/// <reference lib="esnext.disposable" />\n\n${moduleComment(path)}\n`;

/** Names that a file of types declares as classes: two declarations of one class are two different types. */
const classesOf = (types) =>
  [...types.matchAll(/^(?:export )?(?:declare )?(?:abstract )?class (\w+)/gm)].map(([, name]) => name);

/** The bundler's answer for several modules; it type-checks once for all of them. */
async function bundled(dist, modules) {
  const config = {
    compilationOptions: { preferredConfigPath: join(dist, "types.json") },
    entries: modules.map(({ name, path }) => ({
      filePath: path,
      outFile: join(dist, `${name}.d.ts`),
      noCheck: true, // consumers are compiled with three versions of TypeScript in tests/package/types_test.ts
      output: { exportReferencedTypes: false, noBanner: true },
    })),
  };
  // Without DOM: a name of ours that a browser has, too, would be renamed
  const project = {
    extends: "../tsconfig.json",
    include: ["../mod.ts"],
    compilerOptions: { noEmit: false, emitDeclarationOnly: true },
  };
  writeFileSync(join(dist, "types.json"), JSON.stringify(project));
  writeFileSync(join(dist, "bundler.json"), JSON.stringify(config));
  const bundler = join(root, "node_modules/dts-bundle-generator/dist/bin/dts-bundle-generator.js");
  if (!existsSync(bundler)) throw new Error('Cannot build types: dts-bundle-generator is not installed; run "npm ci"');
  const { code, output } = await run(process.execPath, [bundler, "--silent", "--config", join(dist, "bundler.json")], {
    cwd: root,
    timeoutMs: 300_000,
  });
  if (code !== 0) throw new Error(`Cannot bundle types:\n${output}`);
}

/**
 * The types of a small module that imports everything from vmnet/: not bundled, because its classes have to be those of
 * the main module.
 */
function overMain(path) {
  const typescript = createRequire(import.meta.url)(join(root, "node_modules/typescript"));
  const { outputText } = typescript.transpileDeclaration(readFileSync(path, "utf8"), {
    compilerOptions: { isolatedDeclarations: true, declaration: true, target: "ESNext", module: "NodeNext" },
    fileName: path,
  });
  return outputText.replace(/^\/\/ SPDX.*\n/, "").replace(/^\/\*\*[^]*?@module[^]*?\*\/\n/m, "")
    .replaceAll(/from "\.\/\w+\.ts"/g, 'from "./mod.js"');
}

/** A type that consumers may not have: `Buffer`, where the types of Node are there. */
function withoutNode(types) {
  const own = "/** Node's `Buffer` where its types are there, a `Uint8Array` elsewhere. */\n" +
    "type Buffer = typeof globalThis extends { Buffer: { alloc(size: number): infer B } } ? B : Uint8Array;";
  return types.replace("import { Buffer } from 'node:buffer';", own);
}

/** Writes the types of all exports. */
export async function buildTypes(dist) {
  const exported = entries();
  const small = exported.filter(({ name }) => name === "unsafe");
  const whole = exported.filter((one) => !small.includes(one));
  await bundled(dist, whole);
  for (const { name, path } of whole) {
    const file = join(dist, `${name}.d.ts`);
    writeFileSync(
      file,
      head(path) + withoutNode(readFileSync(file, "utf8").replaceAll(/^\/\/\/ <reference .*\n/gm, "")),
    );
  }
  for (const { name, path } of small) writeFileSync(join(dist, `${name}.d.ts`), head(path) + overMain(path));
  const owners = new Map();
  for (const name of readdirSync(dist).filter((name) => name.endsWith(".d.ts"))) {
    for (const className of classesOf(readFileSync(join(dist, name), "utf8"))) {
      owners.set(className, [...owners.get(className) ?? [], name]);
    }
  }
  const twice = [...owners].filter(([, files]) => files.length > 1);
  if (twice.length > 0) {
    throw new Error(
      `Cannot build types: declared twice: ${twice.map(([name, files]) => `${name} in ${files.join(" and ")}`)}`,
    );
  }
}
