// SPDX-License-Identifier: MIT

import { test } from "node:test";
import { assert, assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import { Status, UnsupportedError, VmnetError } from "vmnet";
import { errorOf } from "../../vmnet/errors.ts";
import { encodeList, List, type ListEntries } from "../../vmnet/list.ts";

const details = (entries: ListEntries) => new List(encodeList(entries));

test("errorOf() says what was attempted, which field, why, and what mends it", () => {
  const result = details([["message", "It is not here"], ["field", "vmnet_mtu"], ["errno", 2], ["needs", "libfoo"]]);
  const error = errorOf("start interface", Status.missing, result);
  assertEquals(error.message, 'Cannot start interface: "mtu": it is not here (errno 2). Install libfoo');
  assertEquals([error.name, error.code, error.status], ["VmnetError", "missing", 14]);
  assertEquals([error.operation, error.remedy], ["start interface", "Install libfoo"]);
});

test("errorOf() has words for every status", () => {
  for (const [name, status] of Object.entries(Status)) {
    if (["ok", "success", "pending"].includes(name)) continue;
    const error = errorOf("try", status);
    assertEquals(error.code, name as VmnetError["code"]);
    assert(!error.message.includes("status"), error.message);
    assert(!error.message.endsWith("."), error.message);
  }
});

test("errorOf() takes a status that only a later macOS knows", () => {
  const error = errorOf("start interface", 1999);
  assertEquals([error.code, error.status], ["failure", 1999]);
  assertStringIncludes(error.message, "status 1999");
});

test("errorOf() makes an UnsupportedError when something newer is needed", () => {
  const error = errorOf("create network", Status.unsupported, details([["needs", "macOS 26"]]));
  assertInstanceOf(error, UnsupportedError);
  assertInstanceOf(error, VmnetError);
  assertEquals([error.name, error.code, error.needs], ["UnsupportedError", "unsupported", "macOS 26"]);
  assertStringIncludes(error.message, "Needs macOS 26");
});

test("VmnetError carries the error below it", () => {
  const cause = new Error("below");
  assertEquals(new VmnetError("Cannot", { status: 1, operation: "try", cause }).cause, cause);
  assert(!("cause" in new VmnetError("Cannot", { status: 1, operation: "try" })));
});
