// SPDX-License-Identifier: MIT

// What `npm test` runs, in order. A phase's steps may run side by side, as many as it has lanes; phases never do.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { guestObstacle, locateGuest } from "./guest.mjs";
import { run, which } from "./run.mjs";
import { root, runtimePath } from "./runtimes.mjs";

const minute = 60_000;
const netns = "tests/guest/netns.sh";

/** Test files below a folder, except in the folders named. */
function testFiles(folder, except = []) {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((item) => {
    const path = `${folder}/${item.name}`;
    if (item.isDirectory()) return except.includes(path) ? [] : testFiles(path, except);
    return item.name.endsWith("_test.ts") ? [path] : [];
  }).sort();
}

/** Why a program cannot be run, or undefined. */
function lacks(...programs) {
  const absent = programs.filter((name) => !which(name));
  return absent.length > 0 ? `${absent.join(" and ")} not installed` : undefined;
}

/** Why there can be no guests in a private network here, or undefined. Asked once. */
async function guestsImpossible() {
  if (process.platform !== "linux") return "guests in a private network need Linux";
  const absent = lacks("qemu-system-x86_64");
  if (absent) return absent;
  if (!locateGuest().ready) return guestObstacle() ?? 'no guest image, run "node scripts/guest.mjs"';
  const { code, output } = await run(join(root, netns), ["true"], { cwd: root, timeoutMs: minute });
  return code === 0 ? undefined : output.trim() || `${netns} ended with status ${code}`;
}

/** A step that is one test: it passes when its command succeeds. */
function command(name, program, args, options = {}) {
  return { name, runner: "command", command: program, args, timeoutMs: 10 * minute, ...options };
}

/** Versions that Debian's names of clang, lld and llvm carry; newest last, as in shim/darwin/darwin.mk. */
const versions = ["", "-14", "-15", "-16", "-17", "-18", "-19"];

/** Why a tool of LLVM cannot be run, under whatever version, or undefined. */
function lacksLlvm(...tools) {
  const absent = tools.filter((tool) => !versions.some((version) => which(tool + version)));
  return absent.length > 0 ? `${absent.join(" and ")} not installed` : undefined;
}

const onLinux = process.platform === "linux" ? undefined : "the doubles of macOS need Linux";

/** What the library of macOS needs to be built and run here: reasons why it cannot, or undefined. */
const mac = {
  doubles: onLinux ?? lacksLlvm("clang"),
  cross: onLinux ?? lacksLlvm("clang", "ld64.lld", "llvm-lipo"),
  arm64: lacks("qemu-aarch64") ??
    (existsSync("/usr/aarch64-linux-gnu/lib/crt1.o") ? undefined : "libc6-dev-arm64-cross not installed"),
};

/** Why the package cannot be built here, or undefined. */
const noPackage = process.platform !== "linux" ? "the package is built on Linux" : lacksLlvm("clang", "ld.lld");

/** The library as the other backends have it, and how their steps are called. */
const doubled = {
  label: "macOS sources over doubles",
  lacks: mac.doubles,
  env: { VMNET_SHIM_PATH: join(root, "shim/build/doubles/libvmnet_shim.so") },
};
const loaded = {
  label: "macOS library in a loader",
  lacks: mac.cross,
  env: { VMNET_SHIM_PATH: join(root, "shim/build/macho/libvmnet_shim.so") },
};

/** The same for a user who is not root, on macOS 26: vmnet-host, started by the library, is the one who may use vmnet. */
function withoutRoot(backend) {
  const env = { VMNET_DOUBLE: "uid=501,entitled=0", VMNET_DOUBLE_HOST: "uid=501,entitled=1" };
  return { ...backend, label: `${backend.label}, without root`, env: { ...backend.env, ...env } };
}

/** Tests of this folder that never open the library, or are about the embedded backend alone. */
const embeddedOnly = ["address", "batch", "errors", "framing", "list", "options", "without_libslirp"]
  .map((name) => `tests/vmnet/${name}_test.ts`);

/** One step for each file and runtime; `backend` is one of the other backends. */
function testSteps(files, { timeoutMs, lacks: reason, inNetns = false, backend, runtimes = ["deno", "bun"] }) {
  return files.flatMap((file) =>
    runtimes.map((runtime) => {
      const path = runtimePath(runtime);
      // Types were checked before. Bun's limit for one test is 5 s by default; the watchdog of the file is ours.
      const args = runtime === "deno"
        ? ["test", "--allow-all", "--no-check", file]
        : ["test", "--timeout", String(timeoutMs), `./${file}`];
      return {
        name: `${runtime} ${file}${backend ? `, ${backend.label}` : ""}`,
        runner: runtime,
        command: inNetns ? join(root, netns) : path,
        args: inNetns ? [path, ...args] : args,
        timeoutMs,
        env: backend?.env,
        lacks: reason ?? backend?.lacks ?? (path ? undefined : `${runtime} not installed`),
      };
    })
  );
}

/** Steps without root: everywhere in the long run, else the library itself in one runtime. */
function rootless(files, options, long) {
  if (!long) return testSteps(files, { ...options, backend: withoutRoot(loaded), runtimes: ["deno"] });
  return [doubled, loaded].flatMap((backend) => testSteps(files, { ...options, backend: withoutRoot(backend) }));
}

/** Type check, lint and format: what `npm run check` runs. */
function checks() {
  const deno = runtimePath("deno");
  const rooms = ["mod.ts", "ffi", "vmnet", "packet"].filter((room) => existsSync(join(root, room)));
  const options = { lacks: deno ? undefined : "deno not installed" };
  const documents = readdirSync(join(root, "docs")).filter((name) => name.endsWith(".md")).map((name) =>
    `docs/${name}`
  );
  return [
    command("check types, deno", deno, ["check"], options),
    command("check types, documents", deno, ["check", "--doc-only", "README.md", ...documents], options),
    command("check types, tsc", process.execPath, ["node_modules/typescript/bin/tsc", "-p", "."], {
      lacks: existsSync(join(root, "node_modules/typescript")) ? undefined : "typescript not installed",
    }),
    command("check lint", deno, ["lint"], options),
    // The library never prints; scripts, tools and tests may.
    command("check lint, library", deno, ["lint", "--rules-include=no-console", ...rooms], options),
    command("check format", deno, ["fmt", "--check"], options),
  ];
}

function builds() {
  const options = { lacks: lacks("make"), fatal: true };
  const steps = [command("build shim", "make", ["-j2", "-C", "shim"], options)];
  if (existsSync(join(root, "tests/ffi/Makefile"))) {
    steps.push(command("build fixture", "make", ["-C", "tests/ffi"], options));
  }
  const targets = [
    ["doubles", "macOS sources over doubles", mac.doubles],
    ["doubles-old", "macOS sources over doubles of macOS 15", mac.doubles],
    ["darwin", "macOS library", mac.cross],
    ["macho", "macOS library in a loader", mac.cross],
    ["macho-arm64", "macOS library in a loader for arm64", mac.cross ?? mac.arm64],
  ];
  const built = targets.map(([target, what, reason]) =>
    command(`build ${what}`, "make", ["-j2", "-C", "shim", target], { ...options, lacks: options.lacks ?? reason })
  );
  const pack = command("build package", process.execPath, ["scripts/build.mjs"], { fatal: true, lacks: noPackage });
  return [...steps, ...built, pack];
}

/** Steps of C tests. Each has a build of its own, as two makes in one folder would get in each other's way. */
function cTests(long) {
  const step = (name, targets, minutes, reason) => ({
    name,
    runner: "plain",
    command: "make",
    args: ["-C", "shim", ...targets, ...(long ? ["LONG=1"] : [])],
    timeoutMs: minutes * minute,
    lacks: lacks("make") ?? reason,
  });
  const overDoubles = (build) => [`BUILD=build/${build}`, "ROOM=darwin doubles"];
  // As it is shipped, without sanitizers, the long run tests it; the tests in TypeScript run over nothing else
  const plain = long ? ["test-plain"] : [];
  const shim = "ROOM=core embedded plane gateway";
  return [
    // The longest first, and the short ones last
    step("c shim, threads", ["BUILD=build/threads", shim, "test-tsan"], long ? 120 : 15),
    step("c model and fuzz", ["test-model", "test-fuzz"], long ? 90 : 15),
    step("c shim", ["BUILD=build/addresses", shim, ...plain, "test-asan"], long ? 120 : 15),
    step(
      "c macOS sources over doubles, threads",
      [...overDoubles("macos-threads"), "test-tsan"],
      long ? 90 : 15,
      mac.doubles,
    ),
    step(
      "c macOS sources over doubles",
      [...overDoubles("macos"), ...plain, "test-asan"],
      long ? 90 : 15,
      mac.doubles,
    ),
    step("c macOS library in a loader, x86_64 and arm64", ["test-macho"], long ? 60 : 10, mac.cross),
    step("c natives of the package, x64 and arm64", ["test-natives"], 5, noPackage),
    // The list of deliberate errors is compared with the sources; in the long run each of them is made, and must be caught
    command("c deliberate errors", "make", ["-C", "shim", long ? "test-mutants" : "check-mutations"], {
      timeoutMs: (long ? 60 : 2) * minute,
      lacks: lacks("make") ?? mac.doubles,
    }),
  ];
}

/** What is published, and its documentation. */
function publishing() {
  const deno = runtimePath("deno");
  const { exports, publish } = JSON.parse(readFileSync(join(root, "deno.json"), "utf8"));
  const options = { lacks: deno ? undefined : "deno not installed" };
  const built = { ...options, lacks: options.lacks ?? noPackage };
  const modules = publish.include.filter((path) => !/\.md$|LICENSE/.test(path));
  return [
    command("package documentation, deno doc", deno, ["doc", "--lint", ...Object.values(exports)], options),
    { ...command("package examples", deno, ["test", "--doc", "--allow-all", ...modules], options), runner: "deno" },
    // The clone's sources, and the natives. Its folder is ignored by git, which the publisher would obey from above
    command("package publish", deno, ["publish", "--dry-run", "--allow-dirty"], {
      ...built,
      cwd: "dist/jsr",
    }),
  ];
}

/** The phases of `npm test`, or of `npm run test:long`. */
export async function phases({ long }) {
  const noGuests = await guestsImpossible();
  const inGuests = testFiles("tests/guest");
  const fuzz = testFiles("tests/long").filter((file) => file.includes("fuzz"));
  const soaks = testFiles("tests/long").filter((file) => !fuzz.includes(file));
  // The guest itself and its surroundings are the same over any backend
  const onVmnetInGuests = inGuests.filter((file) => !/\/(harness|netns|package)_test/.test(file));
  const separate = ["guest", "long", "package"].map((name) => `tests/${name}`);
  const onVmnet = testFiles("tests/vmnet").filter((file) => !embeddedOnly.includes(file));
  return [
    { name: "checks", lanes: 2, steps: checks() },
    { name: "build", lanes: 1, steps: builds() },
    // More lanes than processors: the tests of threads and deadlines mostly wait
    { name: "C tests", lanes: long ? 3 : 4, steps: cTests(long) },
    {
      name: "tests",
      lanes: 2,
      steps: testSteps([...testFiles("testing"), ...testFiles("tests", separate)], {
        timeoutMs: (long ? 30 : 4) * minute,
      }),
    },
    {
      name: "package",
      lanes: 2,
      steps: [...testSteps(testFiles("tests/package"), { timeoutMs: 4 * minute, lacks: noPackage }), ...publishing()],
    },
    {
      name: "tests, macOS sources over doubles",
      lanes: 2,
      steps: testSteps([...onVmnet, "tests/tools/vmnetd_test.ts", "tests/tools/doctor_test.ts"], {
        timeoutMs: 5 * minute,
        backend: doubled,
      }),
    },
    {
      name: "tests, macOS library in a loader",
      lanes: 2,
      steps: testSteps(onVmnet, { timeoutMs: 5 * minute, backend: loaded }),
    },
    {
      name: "tests, macOS without root",
      lanes: 2,
      steps: rootless(
        ["interface", "network", ...(long ? ["hostile", "packet_loop", "process", "worker"] : [])]
          .map((name) => `tests/vmnet/${name}_test.ts`),
        { timeoutMs: 5 * minute },
        long,
      ),
    },
    // Two lanes: one guest keeps one processor busy while it boots, and mostly waits afterwards.
    {
      name: "guests",
      lanes: 2,
      steps: testSteps(inGuests, { timeoutMs: 6 * minute, lacks: noGuests, inNetns: true }),
    },
    {
      name: "guests, macOS sources over doubles",
      lanes: 2,
      steps: testSteps(onVmnetInGuests, {
        timeoutMs: 6 * minute,
        lacks: noGuests,
        inNetns: true,
        backend: doubled,
        // The tests above have both over this backend, and the guests before had both
        runtimes: long ? undefined : ["deno"],
      }),
    },
    {
      name: "guests, macOS without root",
      lanes: 2,
      steps: rootless(
        ["tests/guest/shared_test.ts"],
        { timeoutMs: 6 * minute, lacks: noGuests, inNetns: true },
        long,
      ),
    },
    ...(long
      ? [{
        name: "guests, macOS library in a loader",
        lanes: 2,
        steps: testSteps(onVmnetInGuests, { timeoutMs: 6 * minute, lacks: noGuests, inNetns: true, backend: loaded }),
      }]
      : []),
    { name: "fuzz", lanes: 2, steps: testSteps(fuzz, { timeoutMs: (long ? 60 : 6) * minute }) },
    // Soaks watch memory, descriptors and time, so each has the machine for itself.
    {
      name: "soaks",
      lanes: 1,
      steps: [
        ...testSteps(soaks, { timeoutMs: (long ? 120 : 6) * minute, inNetns: noGuests === undefined }),
        ...[doubled, loaded].flatMap((backend) =>
          testSteps(["tests/long/cycles_test.ts"], { timeoutMs: (long ? 120 : 6) * minute, backend })
        ),
      ],
    },
  ];
}
