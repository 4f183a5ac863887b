// SPDX-License-Identifier: MIT

// The modules of dist/: one for each export, one for each tool, and each tool as a single file.

import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";
import { copyModule, copyName, nativesOfModules, nativesOfPackage, ownNames } from "./build_natives.mjs";
import { launcher } from "./launcher.mjs";
import { root } from "./runtimes.mjs";

/** Name of the bundled module of each export, and its source: `mod` is `mod.ts`, `ffi` is `ffi/mod.ts`. */
export function entries() {
  const { exports } = JSON.parse(readFileSync(join(root, "deno.json"), "utf8"));
  return Object.entries(exports).map(([name, path]) => ({
    name: name === "." ? "mod" : name.slice(2),
    specifier: name.replace(".", "vmnet"),
    path: join(root, path),
  }));
}

/** The tools: what lies in tools/ and is no part of another. */
export function tools() {
  return readdirSync(join(root, "tools")).filter((name) => /^[a-z]\w*\.ts$/.test(name)).map((name) =>
    basename(name, ".ts")
  );
}

async function esbuild() {
  const path = join(root, "node_modules/esbuild/lib/main.js");
  if (!existsSync(path)) throw new Error('Cannot build: esbuild is not installed; run "npm ci"');
  return (await import(pathToFileURL(path).href)).default;
}

const spdx = "// SPDX-License-Identifier: MIT";

const shared = {
  bundle: true,
  format: "esm",
  platform: "neutral",
  target: "es2022",
  external: ["node:*"],
  minifyWhitespace: true,
  minifySyntax: true, // names stay, for whoever reads a stack
  legalComments: "none",
  logLevel: "silent",
  absWorkingDir: root,
};

/** Puts another text in the place of vmnet/natives.ts. */
const otherNatives = (contents) => ({
  name: "natives",
  setup(build) {
    build.onLoad(
      { filter: /[/\\]vmnet[/\\]natives\.ts$/ },
      () => ({ contents, loader: "ts", resolveDir: join(root, "vmnet") }),
    );
  },
});

/** Bundles and says what is wrong, if something is. */
async function bundle(options) {
  const { build } = await esbuild();
  try {
    return await build({ ...shared, ...options });
  } catch (error) {
    throw new Error(`Cannot bundle: ${error.message}`);
  }
}

/** The exports, which share what they have in common, and the tools, which import them. */
export async function buildModules(dist, natives) {
  const exported = entries();
  await bundle({
    entryPoints: exported.map(({ name, path }) => ({ in: path, out: name })),
    outdir: dist,
    splitting: true,
    chunkNames: "shared_[hash]",
    banner: { js: spdx },
    external: [...shared.external, ...Object.keys(ownNames())],
    plugins: [otherNatives(nativesOfPackage(natives))],
  });
  writeFileSync(
    join(dist, "no_file.js"),
    `${spdx}\n\n// For those who do not take files along.\nexport default undefined;\n`,
  );
  // By their public names, which are all that tools may import
  const publicNames = {
    name: "public names",
    setup(build) {
      const files = new Map(exported.map(({ specifier, name }) => [specifier, `./${name}.js`]));
      build.onResolve({ filter: /^vmnet(\/|$)/ }, ({ path }) => ({ path: files.get(path), external: true }));
    },
  };
  for (const tool of tools()) {
    await writeTool(join(dist, `${tool}.js`), tool, { plugins: [publicNames] });
  }
}

/** Each tool with all that it needs. */
export async function buildStandalone(dist, natives) {
  mkdirSync(join(dist, "standalone"), { recursive: true });
  const copies = {
    name: "copies",
    setup(build) {
      const byPath = new Map(natives.map((native) => [`./${copyName(native.name)}.ts`, native]));
      build.onResolve({ filter: /^\.\/natives_\w+\.ts$/ }, ({ path }) => ({ path, namespace: "copy" }));
      build.onLoad({ filter: /.*/, namespace: "copy" }, ({ path }) => ({
        contents: copyModule(byPath.get(path)),
        loader: "ts",
        resolveDir: join(root, "vmnet"),
      }));
    },
  };
  const plugins = [otherNatives(nativesOfModules(natives, true)), copies];
  for (const tool of tools()) await writeTool(join(dist, "standalone", `${tool}.js`), tool, { plugins });
}

/** Bundles a tool behind the lines that start a runtime on it. */
async function writeTool(path, tool, options) {
  const { outputFiles } = await bundle({
    ...options,
    entryPoints: [join(root, "tools", `${tool}.ts`)],
    tsconfig: join(root, "tsconfig.json"),
    write: false,
    minifyIdentifiers: true,
  });
  writeFileSync(path, launcher(tool) + outputFiles[0].text);
  chmodSync(path, 0o755);
}
