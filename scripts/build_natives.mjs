// SPDX-License-Identifier: MIT

// The native library for each platform: built, copied to dist/natives/, and packed into modules.
//
// The library looks for it where vmnet/natives.ts says. That module is another one in each thing that is built: here is
// what it says there.

import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { brotliCompressSync, constants } from "node:zlib";
import { run } from "./run.mjs";
import { root } from "./runtimes.mjs";

const build = join(root, "shim/build");

/** Where make puts the files of each platform, the library first. */
const platforms = [
  { name: "linux-x64", folder: "natives/linux-x64", files: ["libvmnet_shim.so", "vmnet-gateway"] },
  { name: "linux-arm64", folder: "natives/linux-arm64", files: ["libvmnet_shim.so", "vmnet-gateway"] },
  { name: "darwin-universal", folder: "darwin", files: ["libvmnet_shim.dylib", "vmnet-host"] },
];

/** Packs files: those of two processors follow one another, and what they have in common is found. */
function pack(paths) {
  const content = Buffer.concat(paths.map(([, path]) => readFileSync(path)));
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: 11,
    [constants.BROTLI_PARAM_LGWIN]: 24,
    [constants.BROTLI_PARAM_SIZE_HINT]: content.length,
  };
  return {
    files: paths.map(([name, path]) => [name, statSync(path).size]),
    sha256: createHash("sha256").update(content).digest("hex"),
    data: brotliCompressSync(content, { params }).toString("base64"),
  };
}

/**
 * Builds what can be built here.
 *
 * @returns {Promise<{ name: string, copy: { files: [string, number][], sha256: string, data: string } }[]>} The platforms.
 */
export async function buildNatives(dist) {
  const jobs = `-j${availableParallelism()}`;
  const { code, output, missing } = await run("make", [jobs, "-C", join(root, "shim"), "natives", "darwin"], {
    cwd: root,
    timeoutMs: 600_000,
  });
  if (missing) throw new Error('Cannot build the natives: make is not installed; see "node scripts/setup.mjs test"');
  if (code !== 0) throw new Error(`Cannot build the natives:\n${output}`);
  const built = [];
  for (const { name, folder, files } of platforms) {
    const paths = files.map((file) => [file, join(build, folder, file)]);
    const absent = paths.filter(([, path]) => !existsSync(path));
    if (absent.length > 0) {
      console.log(`Without ${name}: this machine cannot build ${absent.map(([file]) => file).join(", ")}`);
      continue;
    }
    mkdirSync(join(dist, "natives", name), { recursive: true });
    for (const [file, path] of paths) copyFileSync(path, join(dist, "natives", name, file));
    built.push({ name, copy: pack(paths) });
  }
  if (output.trim() !== "") console.log(output.trim());
  if (built.length === 0) throw new Error('Cannot build any natives: see "node scripts/setup.mjs test"');
  return built;
}

/** The module of a copy: `natives_linux_x64`. */
export const copyName = (name) => `natives_${name.replace("-", "_")}`;

/** The module with a copy, in TypeScript. */
export function copyModule({ name, copy }) {
  return `// SPDX-License-Identifier: MIT

/**
 * The native library for ${name} and the programs beside it, packed by \`npm run build\`.
 *
 * @module
 */

import { builtin } from "../ffi/runtime.ts";
import type { NativeCopy } from "./natives.ts";

// Compressed by brotli, in base64
const data =
  "${copy.data}";

/** The files. */
export const copy: NativeCopy = {
  files: ${JSON.stringify(copy.files)},
  sha256: "${copy.sha256}",
  async content() {
    const packed = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
    return await Promise.resolve(new Uint8Array(builtin("node:zlib").brotliDecompressSync(packed)));
  },
};
`;
}

/** Which systems a platform's files are for. */
const systems = (name) => name === "darwin-universal" ? ["darwin-arm64", "darwin-x64"] : [name];

const head = `// SPDX-License-Identifier: MIT

/**
 * Where the native library is in what was published. \`scripts/build_natives.mjs\` made this module.
 *
 * @module
 */

`;

/** What both kinds of this module have in common. */
function rest(folders, entries, condition = "") {
  const original = readFileSync(join(root, "vmnet/natives.ts"), "utf8");
  return `${original.match(/\/\*\* The library and[^]*?\n}\n/)[0]}
const system = \`\${platform.os}-\${platform.arch}\`;

/** Folders that may hold the library, seen from this module, in this order; each ends in a slash. */
export const folders: readonly string[] = ${folders};

const copies: Readonly<Record<string, () => Promise<NativeCopy>>> = {
${entries.join("\n")}
};

/** Loads the copy for this system, \`undefined\` when there is none. */
export const loadCopy: (() => Promise<NativeCopy>) | undefined = ${condition}copies[system];

/** What gets the library when it is missing. */
export const remedy: string = "Install the package anew, or build the library in a clone by \`make -C shim\` and name " +
  "it in VMNET_SHIM_PATH";
`;
}

const beside = '[`./natives/${platform.os === "darwin" ? "darwin-universal" : system}/`]';

/** What vmnet/natives.ts says where modules have the copies; the library may lie beside a single file, too. */
export function nativesOfModules(natives, hasFolders) {
  const entries = natives.flatMap(({ name }) =>
    systems(name).map((system) => `  "${system}": () => import("./${copyName(name)}.ts").then(({ copy }) => copy),`)
  );
  return `${head}import { platform } from "../ffi/runtime.ts";\n\n${rest(hasFolders ? beside : "[]", entries)}`;
}

/** The package's own names for the files that Bun takes along: `#natives/linux-x64/library`. */
export function ownNames() {
  return Object.fromEntries(platforms.flatMap(({ name, files }) =>
    files.map((file, at) => [
      `#natives/${name}/${["library", "program"][at]}`,
      { bun: `./dist/natives/${name}/${file}`, default: "./dist/no_file.js" },
    ])
  ));
}

/**
 * What vmnet/natives.ts says in the npm package, whose files are in it once. When Bun makes a program of one file it
 * follows these imports, takes the files along, and gives their paths. Deno takes whole packages along.
 */
export function nativesOfPackage(natives) {
  const entries = natives.flatMap(({ name, copy }) =>
    systems(name).map((system) =>
      `  "${system}": () =>
    Promise.resolve({
      files: ${JSON.stringify(copy.files)},
      sha256: "${copy.sha256}",
      content: () => taken("${name}", ${JSON.stringify(copy.files.map(([file]) => file))}, [
        // @ts-ignore: a name of package.json's
        () => import("#natives/${name}/library"),
        // @ts-ignore: a name of package.json's
        () => import("#natives/${name}/program"),
      ]),
    }),`
    )
  );
  return `${head}import { builtin, isCompiled, platform, runtimeName } from "../ffi/runtime.ts";

/** Reads files that were taken along. */
async function taken(
  name: string,
  files: readonly string[],
  imports: readonly (() => Promise<{ default?: string }>)[],
): Promise<Uint8Array<ArrayBuffer>> {
  const { readFileSync } = builtin("node:fs");
  const contents = await Promise.all(imports.map(async (load, at) => {
    const path = runtimeName === "bun" ? (await load()).default : undefined;
    return readFileSync(new URL(path ?? \`./natives/\${name}/\${files[at]}\`, import.meta.url));
  }));
  const all = new Uint8Array(contents.reduce((sum, { length }) => sum + length, 0));
  let end = 0;
  for (const content of contents) {
    all.set(content, end);
    end += content.length;
  }
  return all;
}

${rest(beside, entries, 'runtimeName === "deno" && !isCompiled ? undefined : ')}`;
}
