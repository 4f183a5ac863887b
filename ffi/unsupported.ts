// SPDX-License-Identifier: MIT

/**
 * The backend for runtimes without FFI: everything is there and throws when
 * it is used, so that importing the module is never what fails.
 *
 * @module
 */

import { ffiError } from "./errors.ts";
import { typeTable } from "./ffi_type.ts";
import { platform, runtimeName } from "./runtime.ts";
import type { BunFFI, Read } from "./types.ts";

/** File name extension of libraries on this platform. */
export const suffix: string = platform.os === "darwin" ? "dylib" : platform.os === "win32" ? "dll" : "so";

/**
 * Makes the backend.
 *
 * @param cause Why there is no other one.
 * @returns The backend.
 */
export function unsupportedBackend(cause: unknown): BunFFI {
  const refuse = (name: string) => (): never => {
    throw ffiError(
      Error,
      "ERR_METHOD_NOT_IMPLEMENTED",
      `Cannot use ${name}: ${runtimeName} has no foreign function interface, run the program in Deno or Bun`,
      cause,
    );
  };
  const classOf = (name: string) =>
    class {
      constructor() {
        refuse(name)();
      }
    };
  const readers = ["u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64", "ptr", "intptr"];
  return {
    CFunction: refuse("CFunction"),
    CString: refuse("CString") as unknown as BunFFI["CString"],
    FFIType: typeTable,
    JSCallback: classOf("JSCallback") as unknown as BunFFI["JSCallback"],
    cc: refuse("cc"),
    dlopen: refuse("dlopen"),
    linkSymbols: refuse("linkSymbols"),
    native: { dlopen: refuse("native.dlopen"), callback: refuse("native.callback") },
    ptr: refuse("ptr"),
    read: Object.fromEntries(readers.map((name) => [name, refuse(`read.${name}`)])) as unknown as Read,
    suffix,
    toArrayBuffer: refuse("toArrayBuffer"),
    toBuffer: refuse("toBuffer"),
    viewSource: refuse("viewSource"),
  };
}
