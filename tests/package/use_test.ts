// SPDX-License-Identifier: MIT

// The package in use: installed in empty folders, from a registry, as programs of one file.

import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { after, test } from "node:test";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { runtimeName } from "../../ffi/runtime.ts";
import { Program, root } from "../vmnet/programs.ts";
import { type Done, run, runRuntime, tenLines, whyNoPackage, Workplace } from "./package.ts";

const runtime = runtimeName as "deno" | "bun";
const [skip, isDeno] = [whyNoPackage, runtime === "deno"];
const place = skip ? undefined! : new Workplace();
const folder = skip ? "" : place.project("installed");
after(() => place?.[Symbol.dispose]());

const natives = (project: string) => join(project, "node_modules/vmnet/dist/natives");
const platform = `${process.platform}-${process.arch}`;

/** Runs a script in this runtime; in Deno with what is permitted. */
function script(project: string, file: string, permitted: readonly string[], env: Record<string, string> = {}): Done {
  const flags = isDeno ? ["run", "--quiet", "--no-prompt", ...permitted] : ["run"];
  return runRuntime(runtime, [...flags, file], { cwd: project, env });
}

const works = [0, "a frame of 60 bytes\n", ""];
const ending = ({ status, output, errors }: Done) => [status, output, errors];

test("ten lines run from node_modules, in Deno with --allow-ffi alone", { skip }, () => {
  writeFileSync(join(folder, "ten.ts"), tenLines);
  assertEquals(
    ending(script(folder, "ten.ts", ["--node-modules-dir=manual", `--allow-ffi=${natives(folder)}`])),
    works,
  );
});

test("every export can be imported, without any permission", { skip }, () => {
  const names = Object.keys(JSON.parse(readFileSync(join(root, "package.json"), "utf8")).exports);
  const lines = names.map((name) => `Object.keys(await import("${name.replace(".", "vmnet")}")).length`);
  writeFileSync(join(folder, "all.ts"), `console.log([${lines.join(", ")}].every((count) => count > 0));\n`);
  assertEquals(ending(script(folder, "all.ts", [])), [0, "true\n", ""]);
});

test("a registry serves it: npm: in Deno, bun add in Bun", { skip }, async () => {
  const project = place.project("from-registry", false);
  // A registry of one package, in a process of its own, as this one waits for the runtime
  const server = join(place.folder, "registry.mjs");
  writeFileSync(
    server,
    `import { createServer } from "node:http";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
const tarball = readFileSync(${JSON.stringify(place.tarball)});
const manifest = JSON.parse(readFileSync(${JSON.stringify(join(root, "package.json"))}));
const integrity = "sha512-" + createHash("sha512").update(tarball).digest("base64");
const server = createServer((request, response) => {
  if (request.url.endsWith(".tgz")) return response.end(tarball);
  if (request.url !== "/vmnet") return response.writeHead(404).end();
  const dist = { tarball: "http://127.0.0.1:" + server.address().port + "/vmnet.tgz", integrity };
  const { name, version } = manifest;
  const versions = { [version]: { ...manifest, devDependencies: undefined, dist } };
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ name, "dist-tags": { latest: version }, versions }));
});
server.listen(0, "127.0.0.1", () => console.log("port " + server.address().port));
process.stdin.on("end", () => process.exit()).resume();
`,
  );
  const registry = new Program(runtime, server);
  try {
    const [, port] = await registry.line(/port (\d+)/);
    const url = `http://127.0.0.1:${port}/`;
    const env = {
      NPM_CONFIG_REGISTRY: url,
      DENO_DIR: join(place.folder, "deno-cache"),
      BUN_INSTALL_CACHE_DIR: join(place.folder, "bun-cache"),
    };
    if (isDeno) {
      rmSync(join(project, "package.json"));
      writeFileSync(join(project, "ten.ts"), tenLines.replace('"vmnet"', '"npm:vmnet"'));
      const cached = join(env.DENO_DIR, "npm");
      assertEquals(ending(script(project, "ten.ts", [`--allow-ffi=${cached}`], env)), works);
    } else {
      writeFileSync(join(project, "ten.ts"), tenLines);
      assertEquals(runRuntime("bun", ["add", "vmnet"], { cwd: project, env }).status, 0);
      assertEquals(ending(script(project, "ten.ts", [])), works);
    }
  } finally {
    registry.child.stdin!.end();
    await registry.end();
  }
});

const bins = skip ? [] : readdirSync(join(folder, "node_modules/.bin"));

for (const bin of bins) {
  test(`${bin} --help starts with nothing but this runtime on the PATH`, { skip }, () => {
    const { status, output, errors } = run(join(folder, "node_modules/.bin", bin), ["--help"], {
      cwd: folder,
      env: { PATH: place.path(runtime), VMNET_RUNTIME: "" },
    });
    assertEquals([status, errors], [0, ""]);
    assertStringIncludes(output, "Usage: ");
  });
}

test("a command without a runtime says what it needs", { skip }, () => {
  const vmnetd = join(folder, "node_modules/.bin/vmnetd");
  const none = run(vmnetd, [], { cwd: folder, env: { PATH: place.path(), VMNET_RUNTIME: "" } });
  assertEquals([none.status, none.output], [127, ""]);
  assertStringIncludes(none.errors, "needs Deno or Bun, and found no deno and no bun");
  const other = isDeno ? "bun" : "deno";
  const chosen = run(vmnetd, [], { cwd: folder, env: { PATH: place.path(runtime), VMNET_RUNTIME: other } });
  assertEquals(chosen.status, 127);
  assertStringIncludes(chosen.errors, `found no ${other};`);
});

test("vmnet-doctor does its job as a command", { skip }, () => {
  const { status, output } = run(join(folder, "node_modules/.bin/vmnet-doctor"), ["--self-test", "--mode", "host"], {
    cwd: folder,
    env: { PATH: place.path(runtime), VMNET_RUNTIME: runtime },
  });
  assertEquals(status, 0);
  assertMatch(output, /ok +self-test: \d+ frames/);
});

/** An empty folder with one file, and a home of its own. */
function alone(name: string, file: string): { cwd: string; env: Record<string, string> } {
  const cwd = join(place.folder, name);
  mkdirSync(join(cwd, "home"), { recursive: true });
  copyFileSync(file, join(cwd, "alone.js"));
  return { cwd, env: { PATH: place.path(runtime), HOME: join(cwd, "home"), XDG_CACHE_HOME: "", VMNET_RUNTIME: "" } };
}

const extracted = (cwd: string) => join(cwd, "home/.cache/vmnet-natives");

test("a tool of one file brings its natives along, into a folder of this user alone", { skip }, () => {
  const { cwd, env } = alone("one-file", join(root, "dist/standalone/doctor.js"));
  const doctor = () => run(join(cwd, "alone.js"), [], { cwd, env });
  assertEquals(doctor().status, 0);
  const all = extracted(cwd);
  const [hash, ...others] = readdirSync(all);
  assertEquals(others, []);
  const files = ["libvmnet_shim.so", "vmnet-gateway"].map((name) => join(all, hash!, name));
  for (const path of [all, join(all, hash!), ...files]) assertEquals(statSync(path).mode & 0o777, 0o700);
  for (const path of files) {
    assert(
      readFileSync(path).equals(readFileSync(join(root, "dist/natives", platform, path.slice(path.lastIndexOf("/"))))),
    );
  }
  // What is there is used as it is, unless it is not what it should be
  const [before] = files.map((path) => statSync(path).mtimeMs);
  assertEquals(doctor().status, 0);
  assertEquals(statSync(files[0]!).mtimeMs, before!);
  writeFileSync(files[0]!, "something else");
  assertEquals(doctor().status, 0);
  assert(statSync(files[0]!).size > 100_000);
  // A folder that others may enter is not used
  run("chmod", ["755", all], { cwd });
  const { status, output } = doctor();
  assertEquals(status, 1);
  assertStringIncludes(output, "is open to others, its mode is 755, not 700");
});

test(
  "a tool of one file names the permissions that it lacks",
  { skip: skip || (!isDeno && "Bun has no permissions") },
  () => {
    const { cwd, env } = alone("not-permitted", join(root, "dist/standalone/doctor.js"));
    const flags = [
      "run",
      "--quiet",
      "--no-prompt",
      "--allow-sys",
      "--allow-env",
      "--allow-run",
      "--allow-ffi=/nowhere",
    ];
    const { output } = runRuntime("deno", [...flags, "alone.js"], { cwd, env });
    const folder = extracted(cwd);
    assertStringIncludes(output, `--allow-ffi=${folder} --allow-read=${folder} --allow-write=${folder}`);
  },
);

test("without its natives the package names what it tried", { skip }, () => {
  const project = place.project("without-natives");
  rmSync(natives(project), { recursive: true });
  writeFileSync(join(project, "ten.ts"), tenLines);
  const { status, errors } = script(project, "ten.ts", ["--allow-ffi"]);
  assertEquals(status, 1);
  assertStringIncludes(errors, `tried "${natives(project)}/${platform}/libvmnet_shim.so" (no such file)`);
  assertStringIncludes(errors, "VMNET_SHIM_PATH");
});

test("bun build --compile takes the natives along", { skip: skip || (isDeno && "about Bun") }, () => {
  const { env } = alone("compiled", join(root, "dist/standalone/doctor.js"));
  const built = runRuntime("bun", ["build", "--compile", "ten.ts", "--outfile", "ten"], { cwd: folder });
  assertEquals(built.status, 0);
  const cwd = join(place.folder, "compiled");
  run("mv", [join(folder, "ten"), cwd], { cwd });
  rmSync(join(cwd, "alone.js"));
  assertEquals(ending(run(join(cwd, "ten"), [], { cwd, env: { ...env, PATH: "" } })), works);
  assert(existsSync(extracted(cwd)));
});

test("what goes to JSR brings its natives along in modules", { skip }, () => {
  // Which is also the way of `deno compile`, which cannot be run here: it downloads a runtime
  const cwd = join(place.folder, "jsr");
  mkdirSync(join(cwd, "home"), { recursive: true });
  writeFileSync(join(cwd, "ten.ts"), tenLines.replace('"vmnet"', `"${join(root, "dist/jsr/mod.ts")}"`));
  const folder = extracted(cwd);
  const env = { HOME: join(cwd, "home"), XDG_CACHE_HOME: "" };
  const permitted = ["ffi", "read", "write"].map((name) => `--allow-${name}=${folder}`);
  assertEquals(
    ending(script(cwd, "ten.ts", ["--allow-env=HOME,XDG_CACHE_HOME", "--no-config", ...permitted], env)),
    works,
  );
});
