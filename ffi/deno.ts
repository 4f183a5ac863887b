// SPDX-License-Identifier: MIT

/**
 * The backend for Deno: `dlopen`, `linkSymbols` and `CFunction` on top of
 * `Deno.dlopen`.
 *
 * Theory of operation: a library is opened once to find all symbols, and again
 * for each function and shape that is linked later (see `compile.ts`). The
 * loader knows that it is the same library and gives the same one. Deno has
 * no other way: it takes declarations only while it opens a library.
 *
 * @module
 */

import { JSCallback } from "./callback.ts";
import { checkSignature, compile, type Compiled, onlyNativeSignature, type Signature, sourceOf } from "./compile.ts";
import {
  denoNamespace,
  type NativeFunction,
  type NativeLibrary,
  type NativeSignature,
  type NativeStatic,
  type PointerObject,
  withBarePermission,
} from "./deno_api.ts";
import { describe, ffiError, type FFIErrorCode } from "./errors.ts";
import { resolveType, typeTable } from "./ffi_type.ts";
import { CString, ptr, read, toArrayBuffer, toBuffer } from "./memory.ts";
import type { BunFFI, CallableFunctionWithClose, ConvertFns, FFIFunction, Library, Pointer, Symbols } from "./types.ts";
import { builtin } from "./runtime.ts";
import { suffix } from "./unsupported.ts";

/** Reads a declaration. */
function signatureOf(name: string, declaration: FFIFunction): Signature {
  if (typeof declaration !== "object" || declaration === null) {
    throw ffiError(TypeError, "ERR_INVALID_ARG_VALUE", `Expected an object for key "${name}"`);
  }
  const { args = [], returns = "void" } = declaration;
  if (!Array.isArray(args)) {
    throw ffiError(TypeError, "ERR_INVALID_ARG_VALUE", `Expected an object with "args" as an array for key "${name}"`);
  }
  const signature: Signature = {
    name,
    args: Array.from(args, (type) => resolveType(type, "argument")),
    returns: resolveType(returns ?? "void", "return"),
  };
  checkSignature(signature);
  return signature;
}

/** Reads a table of declarations. */
function signaturesOf(symbols: Symbols): Signature[] {
  if (typeof symbols !== "object" || symbols === null) {
    throw ffiError(TypeError, "ERR_INVALID_ARG_TYPE", "Expected an options object with symbol names");
  }
  return Object.entries(symbols).map(([name, declaration]) => signatureOf(name, declaration));
}

/** Reads a table that must not be empty. */
function someSignaturesOf(symbols: Symbols): Signature[] {
  const signatures = signaturesOf(symbols);
  if (signatures.length === 0) throw ffiError(TypeError, "ERR_INVALID_ARG_TYPE", "Expected at least one symbol");
  return signatures;
}

/** Gives a compiled function the properties that Bun's have. */
function decorate({ call }: Compiled, name: string, address: () => Pointer): NativeFunction {
  let known: Pointer | undefined;
  return Object.defineProperties(call, {
    name: { value: name, configurable: true },
    ptr: { get: () => known ??= address(), configurable: true },
    native: { value: call, configurable: true },
  });
}

/** Turns what `Deno.dlopen` throws into what `bun:ffi` throws. */
function openError(error: unknown, name: string, symbol?: string): Error & { code: FFIErrorCode } {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof Error && error.name === "NotCapable") {
    return ffiError(
      Error,
      "ERR_ACCESS_DENIED",
      `Cannot open library "${name}"${symbol === undefined ? "" : ` for ${symbol}`}: ` +
        `run again with --allow-ffi, or with --allow-ffi=<path> where that is the path of the library`,
      error,
    );
  }
  const missing = /^Failed to register symbol (.*?): /s.exec(message)?.[1];
  if (missing !== undefined) {
    return ffiError(TypeError, "ERR_INVALID_ARG_TYPE", `Symbol "${missing}" not found in "${name}"`, error);
  }
  // Deno says it twice
  const detail = message.replace(/^(?:Could not open library: )+/, "");
  return ffiError(Error, "ERR_DLOPEN_FAILED", `Cannot open library "${name}": ${detail}`, error);
}

/** Makes the path absolute, since functions are also linked later, in whatever directory the program is then. */
function toPath(name: unknown): string {
  if (name instanceof URL) return builtin("node:url").fileURLToPath(name);
  if (typeof name !== "string") {
    throw ffiError(TypeError, "ERR_INVALID_ARG_TYPE", `Expected a path or URL of a library, got ${describe(name)}`);
  }
  if (name === "") throw ffiError(TypeError, "ERR_INVALID_ARG_TYPE", "Invalid library name");
  if (name.startsWith("file:")) return builtin("node:url").fileURLToPath(name);
  // A name without a slash is searched for by the loader
  return name.startsWith("/") || !/[/\\]/.test(name) ? name : builtin("node:path").resolve(name);
}

/** All handles of one library. */
class Handles {
  #path: string;
  readonly #name: string;
  readonly #handles: NativeLibrary[] = [];
  #isPinned = false;

  constructor(name: unknown) {
    this.#name = String(name);
    this.#path = toPath(name);
  }

  /** Opens the library for some symbols. */
  open(symbols: Record<string, NativeSignature | NativeStatic>, symbol?: string): Readonly<Record<string, unknown>> {
    const { dlopen } = denoNamespace();
    let handle: NativeLibrary;
    try {
      handle = dlopen(this.#path, symbols);
    } catch (error) {
      const opened = openError(error, this.#name, symbol);
      if (opened.code !== "ERR_DLOPEN_FAILED" || this.#path === builtin("node:path").resolve(this.#path)) throw opened;
      // What the loader does not know may be a file here: so does Bun
      try {
        handle = dlopen(builtin("node:path").resolve(this.#path), symbols);
      } catch {
        throw opened;
      }
      this.#path = builtin("node:path").resolve(this.#path);
    }
    this.#handles.push(handle);
    return handle.symbols;
  }

  /** Keeps the library loaded for good, because an address of it is known outside. */
  pin(): void {
    this.#isPinned = true;
  }

  /** Closes it: later, because a callback of the library itself may be what closes it. */
  close(): void {
    if (this.#isPinned) return;
    const handles = this.#handles.splice(0);
    setTimeout(() => {
      for (const handle of handles) handle.close();
    }, 0);
  }
}

/** Puts functions together to a library. */
function library<Fns extends Symbols>(functions: ReadonlyMap<string, Compiled>, close: () => void): Library<Fns> {
  const symbols = Object.fromEntries([...functions].map(([name, { call }]) => [name, call]));
  let isOpen = true;
  function closeOnce(): void {
    if (!isOpen) return;
    isOpen = false;
    for (const compiled of functions.values()) compiled.close();
    close();
  }
  const result = { symbols: symbols as unknown as ConvertFns<Fns>, close: closeOnce, [Symbol.dispose]: closeOnce };
  return result;
}

/** The address that a declaration has, if any. */
function addressIn({ ptr }: FFIFunction): bigint | undefined {
  if (typeof ptr === "bigint") return ptr > 0n ? BigInt.asUintN(64, ptr) : undefined;
  return typeof ptr === "number" && ptr > 0 && ptr < 2 ** 64 ? BigInt(Math.trunc(ptr)) : undefined;
}

function dlopen<const Fns extends Symbols>(name: string | URL, symbols: Fns): Library<Fns> {
  const signatures = someSignaturesOf(symbols);
  const handles = new Handles(name);
  // What has its address is not looked for
  const isSought = ({ name }: Signature) => addressIn(symbols[name]!) === undefined;
  const natives = new Map(
    signatures.filter(isSought).map((signature) => [signature.name, onlyNativeSignature(signature)]),
  );
  // Asking for the address of a function links nothing, but fails if there is none
  const found = handles.open(
    Object.fromEntries([...natives].map(([symbol, native]) => [symbol, native ?? { type: "pointer" }])),
  );
  const functions = new Map<string, Compiled>();
  for (const signature of signatures) {
    const symbol = signature.name;
    if (!natives.has(symbol)) {
      functions.set(symbol, fromAddress(symbol, symbols[symbol]!));
      continue;
    }
    const open = (native: NativeSignature | NativeStatic) => handles.open({ [symbol]: native }, symbol)[symbol];
    const eager = natives.get(symbol) === undefined ? undefined : found[symbol] as NativeFunction;
    const compiled = compile(signature, (native) => open(native) as NativeFunction, eager);
    decorate(compiled, symbol, () => {
      handles.pin();
      return addressOfSymbol(open({ type: "pointer" }) as PointerObject);
    });
    functions.set(symbol, compiled);
  }
  return library(functions, () => handles.close());
}

/** Gives the address of a function of a library. */
function addressOfSymbol(pointer: PointerObject): Pointer {
  return withBarePermission(
    "take the address of a function",
    ({ UnsafePointer }) => Number(UnsafePointer.value(pointer)),
  ) as Pointer;
}

/** Makes a function from its address. */
function fromAddress(name: string, declaration: FFIFunction): Compiled {
  const signature = signatureOf(name, declaration);
  const value = addressIn(declaration);
  if (value === undefined) {
    throw ffiError(
      TypeError,
      "ERR_INVALID_ARG_TYPE",
      `Symbol "${name}" is missing a "ptr" field, which must be the address of the function`,
    );
  }
  const link = (native: NativeSignature): NativeFunction =>
    withBarePermission(`link ${name}`, ({ UnsafeFnPointer, UnsafePointer }) => {
      const pointer = new UnsafeFnPointer(UnsafePointer.create(value)!, native);
      return (...args) => pointer.call(...args);
    });
  const native = onlyNativeSignature(signature);
  const compiled = compile(signature, link, native === undefined ? undefined : link(native));
  decorate(compiled, name, () => Number(value) as Pointer);
  return compiled;
}

function linkSymbols<const Fns extends Symbols>(symbols: Fns): Library<Fns> {
  const signatures = someSignaturesOf(symbols);
  return library(new Map(signatures.map(({ name }) => [name, fromAddress(name, symbols[name]!)])), () => {});
}

let count = 0;

function CFunction(declaration: FFIFunction & { readonly ptr: Pointer | number | bigint }): CallableFunctionWithClose {
  if (typeof declaration !== "object" || declaration === null) {
    throw ffiError(TypeError, "ERR_INVALID_ARG_TYPE", 'Expected an options object with a "ptr"');
  }
  const compiled = fromAddress(`CFunction${count++}`, declaration);
  return Object.assign(compiled.call, { close: () => compiled.close() });
}

function viewSource(symbols: Symbols | FFIFunction, isCallback?: boolean): string | string[] {
  if (!isCallback) return signaturesOf(symbols as Symbols).map(sourceOf);
  signatureOf("callback", symbols);
  return "// Callbacks are made by Deno.UnsafeCallback (no source is generated)\n";
}

/** Refuses what a runtime without a C compiler cannot do. */
function cc(): never {
  throw ffiError(
    Error,
    "ERR_METHOD_NOT_IMPLEMENTED",
    "Cannot use cc: Deno has no C compiler built in, compile the source to a shared library and open it with dlopen",
  );
}

/** Refuses what is an inner part of Bun. */
function native(name: string, instead: string): () => never {
  return () => {
    throw ffiError(
      Error,
      "ERR_METHOD_NOT_IMPLEMENTED",
      `Cannot use native.${name}: it is an inner part of Bun, use ${instead}`,
    );
  };
}

/** The backend. */
export const denoBackend: BunFFI = {
  CFunction,
  CString,
  FFIType: typeTable,
  JSCallback: JSCallback as unknown as BunFFI["JSCallback"],
  cc,
  dlopen,
  linkSymbols,
  native: { dlopen: native("dlopen", "dlopen"), callback: native("callback", "JSCallback") },
  ptr,
  read,
  suffix,
  toArrayBuffer,
  toBuffer,
  viewSource: viewSource as BunFFI["viewSource"],
};
