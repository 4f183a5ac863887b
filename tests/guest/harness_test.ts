// SPDX-License-Identifier: MIT

import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { bootGuest, type Guest, whyNoGuest } from "./harness.ts";

const skip = whyNoGuest();
const directory = mkdtempSync(join(tmpdir(), "vmnet-harness-"));
const path = join(directory, "with, a comma.sock");

let received = 0;
/** A network without anybody: what the guest sends is counted. */
const nobody = createServer((connection) => {
  connection.on("data", (data) => received += data.length).on("error", () => {});
});
let guest: Guest;

before(async () => {
  await new Promise<void>((resolve) => nobody.listen(path, resolve));
  if (!skip) guest = await bootGuest({ netdev: { kind: "stream", path }, mac: "52:54:00:00:00:01", dhcp: false });
});

after(async () => {
  await guest?.[Symbol.asyncDispose]();
  await new Promise((resolve) => nobody.close(resolve));
  rmSync(directory, { recursive: true });
});

test("run() answers with status and output", { skip }, async () => {
  assertEquals(await guest.run("echo one; echo two >&2"), { status: 0, output: "one\ntwo" });
  assertEquals(await guest.run("printf 'no newline'; exit 3"), { status: 3, output: "no newline" });
  assertEquals((await guest.run("if then")).status, 2);
  assertEquals((await guest.run("nonsense")).status, 127);
});

test("run() gives a command no input, so that it cannot swallow the next one", { skip }, async () => {
  const [first, second] = await Promise.all([guest.run("cat; echo first"), guest.run("echo second")]);
  assertEquals([first.output, second.output], ["first", "second"]);
});

test("run() refuses two lines", { skip }, async () => {
  await assertRejects(async () => await guest.run("echo 1\necho 2"), TypeError, "has to be one line");
});

test("sh() throws with the guest's words when the status is not 0", { skip }, async () => {
  assertEquals(await guest.sh("echo fine"), "fine");
  await assertRejects(() => guest.sh("echo broken; false"), Error, "broken");
});

test("the guest has its network card and sends through it", { skip }, async () => {
  assertEquals(await guest.sh("cat /sys/class/net/eth0/address"), "52:54:00:00:00:01");
  assertEquals(guest.lease, undefined);
  const before = received;
  await guest.run("ip addr add 192.0.2.1/24 dev eth0; ping -c 1 -W 1 192.0.2.2");
  assert(received > before, "no frame came out of the guest");
});

test("run() kills the guest when there is no answer in time", { skip }, async () => {
  await using other = await bootGuest({ netdev: { kind: "stream", path }, mac: "52:54:00:00:00:02", dhcp: false });
  const error = await assertRejects(() => other.run("sleep 60", { timeoutMs: 200 }), Error, "within 200 ms");
  assertStringIncludes(error.message, "@@READY");
  await assertRejects(() => other.run("true"), Error, "QEMU ended");
});

test("bootGuest() refuses a socket that is not there", { skip }, async () => {
  const netdev = { kind: "stream", path: join(directory, "nobody.sock") } as const;
  await assertRejects(() => bootGuest({ netdev, mac: "52:54:00:00:00:03" }), Error, "no socket at");
});

test("bootGuest() says what QEMU said when it cannot start", { skip }, async () => {
  await assertRejects(() => bootGuest({ netdev: { kind: "stream", path }, mac: "nonsense" }), Error, "nonsense");
});

test("powerOff() ends QEMU in order", { skip }, async () => {
  assertEquals(await guest.powerOff(), 0);
});
