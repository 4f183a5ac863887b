// SPDX-License-Identifier: MIT

/**
 * `JSCallback` on Deno.
 *
 * Deno 2.9 crashes when a callback is freed that is being called, be it from
 * within itself or because a thread waits for its answer, so freeing waits
 * for the next turn of the event loop, in which no call is left. Deno also
 * stops the program if a callback returns what does not fit, therefore every
 * result is converted here.
 *
 * @module
 */

import { checkSignature } from "./compile.ts";
import * as convert from "./convert.ts";
import { type NativeCallback, type NativeSignature, type NativeType, withBarePermission } from "./deno_api.ts";
import { describe, ffiError } from "./errors.ts";
import { resolveType, type TypeName } from "./ffi_type.ts";
import { keepError, pending } from "./pending.ts";
import type { FFIFunction, Pointer } from "./types.ts";

/** How an argument arrives: its type for Deno, and what it becomes if that is not it. */
interface Arrival {
  readonly native: NativeType;
  readonly convert?: (value: never) => unknown;
}

const pointer: Arrival = { native: "u64", convert: convert.fromAddress };

const arrivals: Partial<Record<TypeName, Arrival>> = {
  char: { native: "i8" },
  i8: { native: "i8" },
  u8: { native: "u8" },
  i16: { native: "i16" },
  u16: { native: "u16" },
  i32: { native: "i32" },
  u32: { native: "u32" },
  i64: { native: "i64" },
  u64: { native: "u64" },
  i64_fast: { native: "i64", convert: convert.fromInt64Fast },
  u64_fast: { native: "u64", convert: convert.fromUint64Fast },
  f64: { native: "f64" },
  f32: { native: "f32" },
  bool: { native: "u8", convert: (value: number) => value !== 0 },
  ptr: pointer,
  function: pointer,
  buffer: pointer,
  cstring: { native: "pointer", convert: convert.fromCString },
};

/** How a result leaves. `zero` stands in for one that there is not. */
interface Departure {
  readonly native: NativeType;
  readonly zero: unknown;
  readonly convert: (value: unknown, site: convert.Site, index: number) => unknown;
}

function integer(native: NativeType, cut: (value: number) => number): Departure {
  return { native, zero: 0, convert: (value, site, index) => cut(convert.toInt32(value, site, index)) };
}

const int64: Departure = {
  native: "i64",
  zero: 0n,
  convert: (value, site, index) => BigInt.asIntN(64, convert.toInt64(value, site, index)),
};
const uint64: Departure = { native: "u64", zero: 0n, convert: convert.toInt64 };
const float = (native: NativeType): Departure => ({ native, zero: 0, convert: convert.toFloat });
const address: Departure = {
  native: "u64",
  zero: 0n,
  convert: (value, site, index) =>
    convert.isMemory(value) ? convert.addressOf(value as ArrayBuffer) : convert.toAddress(value, site, index),
};

const departures: Partial<Record<TypeName, Departure>> = {
  char: integer("i8", (v) => v << 24 >> 24),
  i8: integer("i8", (v) => v << 24 >> 24),
  u8: integer("u8", (v) => v & 255),
  i16: integer("i16", (v) => v << 16 >> 16),
  u16: integer("u16", (v) => v & 65535),
  i32: integer("i32", (v) => v),
  u32: integer("u32", (v) => v >>> 0),
  i64: int64,
  i64_fast: int64,
  u64: uint64,
  u64_fast: uint64,
  f64: float("f64"),
  f32: float("f32"),
  bool: { native: "bool", zero: false, convert: Boolean },
  ptr: address,
  function: address,
  cstring: address,
  void: { native: "void", zero: undefined, convert: () => undefined },
};

/** See the interface `JSCallback` in types.ts. */
export class JSCallback {
  #native: NativeCallback | undefined;
  #ptr: Pointer;
  #threadsafe: boolean;
  /** A string that was returned stays until the next call, since C reads it after the return. */
  #returned: Uint8Array | undefined;

  constructor(callback: (...args: unknown[]) => unknown, definition: FFIFunction) {
    if (typeof callback !== "function") {
      throw ffiError(
        TypeError,
        "ERR_INVALID_ARG_TYPE",
        `Cannot create callback: expected a function, got ${describe(callback)}`,
      );
    }
    if (typeof definition !== "object" || definition === null) {
      throw ffiError(
        TypeError,
        "ERR_INVALID_ARG_TYPE",
        `Cannot create callback: expected an object with its types, got ${describe(definition)}`,
      );
    }
    const args = Array.from(definition.args ?? [], (type) => resolveType(type, "argument"));
    const returns = resolveType(definition.returns ?? "void", "return");
    const name = callback.name || "callback";
    checkSignature({ name, args, returns });
    if (args.includes("buffer_length")) {
      throw ffiError(
        TypeError,
        "ERR_INVALID_ARG_TYPE",
        `Cannot declare ${name}: buffer_length is only for arguments of C functions`,
      );
    }
    const signature: NativeSignature = {
      parameters: args.map((type) => arrivals[type]!.native),
      result: departures[returns]!.native,
    };
    const run = this.#runner(callback, args, returns, name);
    this.#threadsafe = Boolean(definition.threadsafe);
    this.#native = withBarePermission("create callback", ({ UnsafeCallback }) => {
      if (!this.#threadsafe) return new UnsafeCallback(signature, run);
      const native = UnsafeCallback.threadSafe(signature, run);
      // As in Bun, a callback alone does not keep the program alive
      native.unref();
      return native;
    });
    const { pointer } = this.#native;
    this.#ptr = withBarePermission(
      "create callback",
      ({ UnsafePointer }) => Number(UnsafePointer.value(pointer)),
    ) as Pointer;
  }

  /** Makes the function that Deno calls. It never throws, and its result always fits. */
  #runner(
    callback: (...args: unknown[]) => unknown,
    args: readonly TypeName[],
    returns: TypeName,
    name: string,
  ): (...values: unknown[]) => unknown {
    const { convert: convertResult, zero } = departures[returns]!;
    const converters = args.map((type) => arrivals[type]!.convert as ((value: unknown) => unknown) | undefined);
    const convertsNone = converters.every((convert) => convert === undefined);
    const site: convert.Site = { name: `${name}, whose result is converted as`, args: [returns] };
    return (...values) => {
      if (pending.thrown) return zero;
      try {
        const given = convertsNone
          ? values
          : values.map((value, i) => converters[i] === undefined ? value : converters[i](value));
        const result = callback(...given);
        if (returns === "cstring" && typeof result === "string") {
          this.#returned = new TextEncoder().encode(`${result}\0`);
          return convert.addressOf(this.#returned);
        }
        return convertResult(result, site, 0);
      } catch (error) {
        keepError(error);
        return zero;
      }
    };
  }

  get ptr(): Pointer | null {
    return this.#native === undefined ? null : this.#ptr;
  }

  get threadsafe(): boolean {
    return this.#threadsafe;
  }

  close(): void {
    const native = this.#native;
    if (native === undefined) return;
    this.#native = undefined;
    setTimeout(() => native.close(), 0);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  [Symbol.toPrimitive](): Pointer | null {
    return this.ptr;
  }
}
