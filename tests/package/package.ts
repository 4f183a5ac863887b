// SPDX-License-Identifier: MIT

/**
 * The package as a stranger gets it: packed by npm from dist/, and installed into empty folders.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { programOf, root } from "../vmnet/programs.ts";

/** Why there is no package to test here, or `false`. */
export const whyNoPackage: string | false = process.platform !== "linux"
  ? "the package is tested on Linux"
  : existsSync(join(root, "dist/mod.js"))
  ? false
  : 'not built, run "npm run build"';

/** How a command ended. */
export interface Done {
  readonly status: number | null;
  readonly output: string;
  readonly errors: string;
}

/** Runs a command to its end. */
export function run(
  command: string,
  args: readonly string[],
  options: { cwd: string; env?: Readonly<Record<string, string>>; timeoutMs?: number },
): Done {
  const env = { ...process.env, NO_COLOR: "1", ...options.env };
  const timeout = options.timeoutMs ?? 30_000;
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: options.cwd,
    env,
    timeout,
    encoding: "utf8",
    killSignal: "SIGKILL",
  });
  if (error !== undefined) throw new Error(`Cannot run ${command} ${args.join(" ")}: ${error.message}\n${stderr}`);
  return { status, output: stdout, errors: stderr };
}

/** Runs a runtime to its end. By a shell: Deno gives a Deno that it starts itself its own permissions. */
export function runRuntime(runtime: "deno" | "bun", args: readonly string[], options: Parameters<typeof run>[2]): Done {
  const env = { ...options.env, VMNET_TEST_PROGRAM: programOf(runtime) };
  return run("/bin/sh", ["-c", 'exec "$VMNET_TEST_PROGRAM" "$@"', runtime, ...args], { ...options, env });
}

/** What `npm pack --json` says about a package. */
export interface Packed {
  readonly filename: string;
  readonly size: number;
  readonly files: readonly { readonly path: string; readonly mode: number }[];
}

/** A folder for one test file, with the package packed in it; removed at the end. */
export class Workplace implements Disposable {
  /** Its path. */
  readonly folder: string = mkdtempSync(join(tmpdir(), "vmnet-package-"));
  /** What npm packed. */
  readonly packed: Packed;
  /** Path of the tarball. */
  readonly tarball: string;

  /** Packs the package. */
  constructor() {
    const { status, output, errors } = run("npm", ["pack", "--json", "--pack-destination", this.folder], { cwd: root });
    if (status !== 0) throw new Error(`npm pack: ${errors}`);
    this.packed = JSON.parse(output)[0];
    this.tarball = join(this.folder, this.packed.filename);
  }

  /** A new folder with a package.json, the package installed in it unless told otherwise. */
  project(name: string, install = true): string {
    const folder = join(this.folder, name);
    mkdirSync(folder);
    writeFileSync(join(folder, "package.json"), JSON.stringify({ name: "stranger", version: "1.0.0", type: "module" }));
    if (!install) return folder;
    const { status, errors } = run("npm", ["install", "--offline", this.tarball], { cwd: folder });
    if (status !== 0) throw new Error(`npm install: ${errors}`);
    return folder;
  }

  /** A folder to be the PATH, with one runtime and what every system has. */
  path(runtime?: "deno" | "bun"): string {
    const folder = join(this.folder, `path-${runtime ?? "empty"}`);
    if (!existsSync(folder)) {
      mkdirSync(folder);
      const names = ["sh", "readlink", "uname", "sed"].map((name) =>
        `ln -s "$(command -v ${name})" "${folder}/${name}"`
      );
      run("/bin/sh", ["-ec", names.join("\n")], { cwd: folder });
      if (runtime !== undefined) symlinkSync(programOf(runtime), join(folder, runtime));
    }
    return folder;
  }

  /** Removes it. */
  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A script of ten lines: a frame from one interface to another. */
export const tenLines = `
import { Interface, Network } from "vmnet";

await using network = await Network.create({ mode: "host" });
await using a = await Interface.start({ network });
await using b = await Interface.start({ network });
await a.write(new Uint8Array(60).fill(0xff, 0, 6).fill(2, 6, 12));
for await (const packet of b) {
  console.log("a frame of", packet.byteLength, "bytes");
  break;
}
`;
