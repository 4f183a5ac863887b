// SPDX-License-Identifier: MIT

import { assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import { describe, test } from "node:test";
import { FFIType, suffix } from "vmnet/ffi";
import { unsupportedBackend } from "../../ffi/unsupported.ts";
import { outcome } from "./fixture.ts";

describe("unsupportedBackend()", () => {
  const cause = new Error("why");
  const backend = unsupportedBackend(cause);
  const calls: Record<string, () => unknown> = {
    CFunction: () => backend.CFunction({ ptr: 1 as never }),
    CString: () => backend.CString(null),
    JSCallback: () => new backend.JSCallback(() => {}, {}),
    cc: () => backend.cc({ source: "x.c", symbols: {} }),
    dlopen: () => backend.dlopen("x", {}),
    linkSymbols: () => backend.linkSymbols({}),
    "native.dlopen": () => backend.native.dlopen(),
    ptr: () => backend.ptr(new Uint8Array(1)),
    "read.u8": () => backend.read.u8(1 as never),
    "read.intptr": () => backend.read.intptr(1 as never),
    toArrayBuffer: () => backend.toArrayBuffer(1 as never),
    toBuffer: () => backend.toBuffer(1 as never),
    viewSource: () => backend.viewSource({}),
  };

  for (const [name, call] of Object.entries(calls)) {
    test(`${name} throws on use, with the cause`, () => {
      const error = outcome(call);
      assertInstanceOf(error, Error);
      assertStringIncludes(error.message, `Cannot use ${name}: `);
      assertEquals(error.cause, cause);
    });
  }

  test("FFIType and suffix are there", () => {
    assertEquals({ ...backend.FFIType } as Record<string, number>, { ...FFIType } as Record<string, number>);
    assertEquals(backend.suffix, suffix);
  });
});
