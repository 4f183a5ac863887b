// SPDX-License-Identifier: MIT

// Who may start an interface, how starting and stopping can fail, and what is left then.
// See doubles.ts. Not verified on hardware.

import { test } from "node:test";
import { assert, assertEquals, assertGreaterOrEqual, assertLess, assertMatch } from "@std/assert";
import { doublesOnly, libraryPath } from "../backend.ts";
import { begin, run } from "./doubles.ts";
import { root, Scripts } from "./programs.ts";

const skip = await doublesOnly();

test("probe() says what this Mac is and allows", { skip }, async () => {
  const cases = [
    ["macos=26.1,uid=0", { version: "26.1", root: true, entitled: false, host: false }, true, undefined],
    ["macos=26.0,uid=501,entitled=1", { version: "26.0", root: false, entitled: true, host: false }, true, undefined],
    ["macos=26.0,uid=501", { version: "26.0", root: false, entitled: false, host: true }, true, undefined],
    ["macos=16.1,uid=501,entitled=1", { version: "26.1", host: false }, true, undefined],
    ["macos=15.6,uid=0", { version: "15.6", root: true, host: false }, true, undefined],
    ["macos=15.6,uid=501", { version: "15.6", root: false, host: false }, false, /sudo/],
    ["macos=13.0,uid=501,entitled=1", { version: "13.0", entitled: true, host: false }, false, /sudo/],
  ] as const;
  for (const [double, expected, works, remedy] of cases) {
    const { said: [found] } = await run(double, "say(await probe());");
    assertEquals(found.backend, "vmnet");
    for (const [key, value] of Object.entries(expected)) assertEquals(found.macos[key], value, `${double}: ${key}`);
    for (const mode of ["host", "shared", "bridged", "dhcp"]) {
      assertEquals(found[mode].works, works, `${double}: ${mode}`);
    }
    if (remedy) assertMatch(found.host.remedy, remedy);
    // In the loader it has to be the dylib itself that answers, and not something of the loader's own.
    const isLoaded = /\/macho\/|\.dylib$/.test(libraryPath);
    assertMatch(found.macos.libraryPath, isLoaded ? /^\/.*\/libvmnet_shim\.dylib$/ : /^\/.*\/libvmnet_shim\.so$/);
    assertEquals([found.macos.quarantined, found.shim.works], [false, true]);
  }
});

test("probe() tells of a quarantine, and of the command that ends it", { skip }, async () => {
  const { said: [found] } = await run("quarantined=1", "say(await probe());");
  assertEquals([found.macos.quarantined, found.shim.works], [true, true]);
  assertEquals(found.shim.remedy, `xattr -d com.apple.quarantine ${found.macos.libraryPath}`);
});

test("a start that vmnet refuses says why, and what mends it", { skip }, async () => {
  const cases = [
    ["start=fail:1001,macos=15.0,uid=501", "failure", 1001, /root/, /sudo/],
    ["start=fail:1001,uid=0", "failure", 1001, /subnet/, /subnet/],
    ["start=fail:1002,uid=0", "memFailure", 1002, /sandbox/, /sandbox/],
    ["start=fail:1009,uid=0", "sharingServiceBusy", 1009, /Internet Sharing/, /Internet Sharing/],
    ["start=fail:1010,uid=0", "notAuthorized", 1010, /authorized/, /sudo/],
    ["start=fail:1999,uid=0", "failure", 1999, /./, /./],
  ] as const;
  for (const [double, code, status, message, remedy] of cases) {
    const { said: [error] } = await run(double, "say(await attempt(() => host()));");
    assertEquals([error.name, error.code, error.status], ["VmnetError", code, status], double);
    assertMatch(error.message, message);
    assertMatch(error.remedy ?? "", remedy);
  }
});

test("a start that answers NULL fails at once, although no handler comes", { skip }, async () => {
  const { said: [error] } = await run("start=null", "say(await attempt(() => host()));");
  assertEquals([error.name, error.code], ["VmnetError", "failure"]);
  assertLess(error.ms, 2000);
});

test("a start that comes too late is a timeout, is undone, and a later one works", { skip }, async () => {
  const { said } = await run(
    "start=late:400",
    `
say(await attempt(() => Interface.start({ mode: "host" }, { timeoutMs: 100 })));
await using nic = await host();
say(nic.mtu);
const stopped = new AbortController();
setTimeout(() => stopped.abort(new Error("enough")), 50);
say(await attempt(() => Interface.start({ mode: "host" }, { signal: stopped.signal })));
await using other = await host();
say(other.macAddress !== nic.macAddress);
`,
  );
  assertEquals(said[0].code, "timeout");
  assertLess(said[0].ms, 350);
  assertEquals(said[1], 1500);
  assertEquals(said[2].message, "enough");
  assertEquals(said[3], true);
});

test("calls that never return are timeouts, then busy, and the process ends all the same", { skip }, async () => {
  const { said, ending } = await run(
    "start=hang",
    `
const starts = await Promise.all(Array.from({ length: 8 }, () => attempt(() => Interface.start({ mode: "host" }, { timeoutMs: 200 }))));
say(starts.map(({ code }) => code));
say((await attempt(() => Interface.start({ mode: "host" }, { timeoutMs: 500 }))).code);
`,
  );
  assertEquals(said[0], Array(8).fill("timeout"));
  assert(["busy", "timeout"].includes(said[1]), said[1]);
  assertLess(ending.ms, 8000);
});

test("stop() waits for vmnet, and its failure leaves nothing that works", { skip }, async () => {
  const late = await run("stop=late:300", `const nic = await host(); say(await attempt(() => nic.stop()));`);
  assertGreaterOrEqual(late.said[0].ms, 250);
  assertEquals(late.said[0].code, undefined);
  const failing = await run(
    "stop=fail:1001",
    `const nic = await host();
     await attempt(() => nic.stop());
     say(await attempt(async () => nic.tryWrite(numbered(1))));
     await host();
     say("again");`,
  );
  assertEquals([failing.said[0].code, failing.said[1]], ["stopped", "again"]);
});

test("a stop that hangs keeps neither a new interface nor the end of the process", { skip }, async () => {
  const { said, ending } = await run(
    "stop=hang",
    `
const nic = await host();
nic.stop().catch(() => {});
nic.stop().catch(() => {});
await using other = await Interface.start({ mode: "shared" });
say(other.mtu);
process.exit(0);
`,
  );
  assertEquals(said, [1500]);
  assertLess(ending.ms, 8000);
});

test("stop() during the start, during a read, twice, and of many at once", { skip }, async () => {
  const { said } = await run(
    "start=late:50,stop=late:20",
    `
const controller = new AbortController();
const starting = attempt(() => Interface.start({ mode: "host" }, { signal: controller.signal }));
controller.abort(new Error("never mind"));
say((await starting).message);
const nics = await Promise.all(Array.from({ length: 6 }, () => host()));
const loops = nics.map(async (nic) => { for await (const _ of nic); return "ended"; });
await delay(20);
await Promise.all(nics.flatMap((nic) => [nic.stop(), nic.stop()]));
say(await Promise.all(loops));
`,
  );
  assertEquals(said, ["never mind", Array(6).fill("ended")]);
});

test("stop() in the promise of a signal ends everything in order", { skip }, async () => {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    using scripts = new Scripts();
    const program = begin(
      scripts,
      "stop=late:100",
      `
const nic = await host();
const loop = (async () => { for await (const _ of nic); })();
const signal = interrupted();
console.log("ready");
console.log(await signal);
await nic.stop();
await loop;
console.log("stopped");
`,
    );
    await program.line(/ready/);
    program.kill(signal);
    const { code, output, errors } = await program.end();
    assertEquals([code, output, errors], [0, `ready\n${signal}\nstopped\n`, ""]);
  }
});

test(
  "without root and entitlement macOS 26 goes by vmnet-host, whose death is an error and no hang",
  { skip },
  async () => {
    // vmnet-host is entitled by its signature, which the doubles take from the environment; this process is told otherwise
    const { said } = await run(
      "macos=26.0,uid=501,entitled=1",
      `
import { dlopen } from "${root}/ffi/mod.ts";
import { execFileSync } from "node:child_process";
const { symbols } = dlopen(process.env.VMNET_SHIM_PATH, { double_set: { args: ["cstring", "cstring"], returns: "void" } });
symbols.double_set(Buffer.from("entitled\\0"), Buffer.from("0\\0"));
const { macos, host: works } = await probe();
say([macos.entitled, macos.host, macos.hostPath.endsWith("/vmnet-host"), works.works]);
await using a = await Interface.start({ mode: "shared" });
await using b = await Interface.start({ mode: "shared" });
say([a.mtu, a.maxPacketSize, a.macAddress !== b.macAddress]);
const guest = new PlayedGuest("52:54:00:00:00:01", (frame) => void a.write(frame));
const loop = (async () => { for await (const packet of a) guest.receive(packet); })().catch((error) => error.code);
say((await guest.dhcp()).mtu);
await b.write(numbered(1));
execFileSync("pkill", ["-KILL", "-P", String(process.pid)]);
say(await Promise.race([loop, delay(3000).then(() => "hangs")]));
say((await attempt(() => b.write(numbered(2)))).code);
`,
    );
    assertEquals(said[0], [false, true, true, true]);
    assertEquals(said[1], [1500, 1514, true]);
    assertEquals(said[2], 1500);
    assert(typeof said[3] === "string" && said[3] !== "hangs", said[3]);
    assert(typeof said[4] === "string", said[4]);
  },
);
