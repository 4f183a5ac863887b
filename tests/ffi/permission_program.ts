// SPDX-License-Identifier: MIT

// Run by permission_test.ts: uses everything once, and prints what became of it

import process from "node:process";
import { CFunction, CString, dlopen, JSCallback, type Pointer, ptr, read, toArrayBuffer } from "../../ffi/mod.ts";

const path = process.argv[2];

/** Gives the result of a call, or its error. */
function attempt(call: () => unknown): unknown {
  try {
    const value = call();
    return typeof value === "bigint" ? String(value) : value;
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    return `${code}: ${message}`;
  }
}

function run(path: string): unknown {
  const { symbols } = dlopen(path, {
    add: { args: ["i32", "i32"], returns: "i32" },
    add_u64: { args: ["u64", "u64_fast"], returns: "u64" },
    sum_bytes: { args: ["buffer", "i32"], returns: "i32" },
    address_of: { args: ["ptr"], returns: "u64" },
    id_ptr: { args: ["ptr"], returns: "ptr" },
    length_of_string: { args: ["cstring"], returns: "i64" },
    five_pointers: { args: ["ptr", "ptr", "ptr", "ptr", "ptr"], returns: "i32" },
    greeting: { returns: "cstring" },
  });
  const sum = dlopen(path, { sum_bytes: { args: ["ptr", "i32"], returns: "i32" } }).symbols.sum_bytes;
  const bytes = new Uint8Array(new Uint8Array([1, 2, 3]).buffer);
  const text = new Uint8Array(new TextEncoder().encode("text\0").buffer);
  const known = (call: () => unknown) => attempt(() => (call(), "works"));
  return JSON.stringify({
    integers: attempt(() => symbols.add(1, 2)),
    "64 bits": attempt(() => symbols.add_u64(5n, 7)),
    buffer: attempt(() => symbols.sum_bytes(bytes, 3)),
    "pointer: buffer": attempt(() => sum(bytes, 3)),
    "pointer: number": attempt(() => symbols.address_of(4096 as Pointer)),
    "pointer result": attempt(() => symbols.id_ptr(4096n)),
    string: attempt(() => symbols.length_of_string("hello")),
    "many pointers": attempt(() => symbols.five_pointers(bytes, bytes.subarray(1), null, undefined, null)),
    "detached in between": attempt(() => {
      const view = new Uint8Array(new ArrayBuffer(3));
      const count = { valueOf: () => structuredClone(3, { transfer: [view.buffer] }) };
      return symbols.sum_bytes(view, count as unknown as number);
    }),
    ptr: known(() => ptr(bytes)),
    read: known(() => read.u8(address(bytes))),
    CString: known(() => CString(address(text))),
    toArrayBuffer: known(() => toArrayBuffer(address(bytes), 0, 3)),
    "string result": attempt(() => symbols.greeting()),
    JSCallback: known(() => new JSCallback(() => {}, {}).close()),
    CFunction: known(() => CFunction({ ptr: 4096 as Pointer })),
    "address of a function": known(() => (symbols.add as unknown as { ptr: Pointer }).ptr),
  });
}

/** An address that is valid where addresses are permitted, and is not used where they are not. */
function address(bytes: Uint8Array): Pointer {
  try {
    return ptr(bytes);
  } catch {
    return 4096 as Pointer;
  }
}

process.stdout.write(path === undefined ? "imported" : String(attempt(() => run(path))));
