// SPDX-License-Identifier: MIT

/**
 * Makes one JavaScript function for one declared C function.
 *
 * Theory of operation: V8 calls C directly out of optimised code, in 3 to 5 ns,
 * if it knows at that place which function is called and what types it gets.
 * A wrapper shared by all functions takes both away, the call is then 20 times
 * slower. So every function gets source code of its own, in which the arity is
 * fixed, the usual conversions are inlined and the unusual ones are calls into
 * `convert.ts`. The source holds nothing of what the user wrote: names and
 * messages are passed in as values.
 *
 * A pointer argument is declared to Deno either as `buffer` or as `u64`, and
 * which of the two depends on the value that comes. Such a function is linked
 * once for each combination, called a shape, when the first call of that shape
 * happens. The shape of addresses only is inlined and the others are a function
 * beside, because V8 does not inline what has more than 460 bytes of bytecode:
 * with all four shapes of two pointers in one function a call takes 9 ns
 * instead of 4.
 *
 * Converting an argument can run code of the user: `valueOf`, or a getter named
 * `ptr`. It might detach a buffer that is another argument, so all of that is
 * done first, and memory is looked at last.
 *
 * Where the engine was told not to make code from strings, the same
 * conversions run in a loop instead, which is slower and otherwise the same.
 *
 * @module
 */

import * as convert from "./convert.ts";
import type { Site } from "./convert.ts";
import type { NativeFunction, NativeSignature, NativeType } from "./deno_api.ts";
import { ffiError } from "./errors.ts";
import type { TypeName } from "./ffi_type.ts";
import { pending } from "./pending.ts";

/** A declared function, with its types resolved. */
export interface Signature extends Site {
  /** Type of the result. */
  readonly returns: TypeName;
}

/** A function that was compiled. */
export interface Compiled {
  /** The function. */
  readonly call: NativeFunction;
  /** Makes all further calls throw. */
  close(): void;
}

/** How an argument is passed. */
interface Passing {
  /** Its type for Deno. */
  readonly native: NativeType;
  /** Converts any value. */
  readonly convert: (value: unknown, site: Site, index: number) => unknown;
  /** Source code that does, with the usual case inlined, what may run code of the user. */
  readonly settle?: (variable: string, index: number) => string;
  /** Source code of the rest of the conversion. */
  readonly source: (variable: string, index: number) => string;
}

/** An integer of up to 32 bits, `cut` to its size. */
function integer(native: NativeType, cut: string, apply: (value: number) => number): Passing {
  return {
    native,
    convert: (value, site, index) => apply(convert.toInt32(value, site, index)),
    settle: (a, i) => `if (typeof ${a} !== "number") ${a} = toInt32(${a}, site, ${i});`,
    source: (a) => `${a} ${cut}`,
  };
}

const float = (native: NativeType): Passing => ({
  native,
  convert: convert.toFloat,
  settle: (a, i) => `if (typeof ${a} !== "number") ${a} = toFloat(${a}, site, ${i});`,
  source: (a) => a,
});

// asUintN tells the compiler that the value fits a register
const int64 = (native: NativeType): Passing => ({
  native,
  convert: convert.toInt64,
  source: (a, i) => `asUintN(64, typeof ${a} === "bigint" ? ${a} : toInt64(${a}, site, ${i}))`,
});

const address: Passing = {
  native: "u64",
  convert: convert.toAddress,
  source: (a, i) =>
    `asUintN(64, typeof ${a} === "number" && ${a} >= 0 && ${a} <= 4503599627370495 ? ` +
    `(double[0] = trunc(${a}) + 4503599627370496, asUintN(52, word[0])) : ` +
    `${a} === null ? 0n : toAddress(${a}, site, ${i}))`,
};

const memory: Passing = {
  native: "buffer",
  convert: convert.toMemory,
  source: (a, i) => `isView(${a}) && ${a}.byteLength > 0 ? ${a} : toMemory(${a}, site, ${i})`,
};

const passings: Partial<Record<TypeName, Passing>> = {
  char: integer("i8", "<< 24 >> 24", (v) => v << 24 >> 24),
  i8: integer("i8", "<< 24 >> 24", (v) => v << 24 >> 24),
  u8: integer("u8", "& 255", (v) => v & 255),
  i16: integer("i16", "<< 16 >> 16", (v) => v << 16 >> 16),
  u16: integer("u16", "& 65535", (v) => v & 65535),
  i32: integer("i32", "| 0", (v) => v | 0),
  u32: integer("u32", ">>> 0", (v) => v >>> 0),
  i64: int64("i64"),
  u64: int64("u64"),
  i64_fast: int64("i64"),
  u64_fast: int64("u64"),
  f64: float("f64"),
  f32: float("f32"),
  bool: { native: "bool", convert: Boolean, source: (a) => `${a} ? true : false` },
  function: {
    native: "u64",
    convert: convert.toFunction,
    settle: (a, i) => `${a} = toFunction(${a}, site, ${i});`,
    source: (a) => `asUintN(64, ${a})`,
  },
  buffer: {
    native: "buffer",
    convert: convert.toBuffer,
    source: (a, i) => `isView(${a}) && ${a}.byteLength > 0 ? ${a} : toBuffer(${a}, site, ${i})`,
  },
  buffer_length: {
    native: "u64",
    convert: convert.toLength,
    source: (a, i) =>
      `asUintN(64, isView(${a}) ? (double[0] = ${a}.byteLength + 4503599627370496, ` +
      `asUintN(52, word[0])) : toLength(${a}, site, ${i}))`,
  },
};

/** How a result comes back. */
interface Result {
  /** Its type for Deno. */
  readonly native: NativeType;
  /** Converts it, if Deno's own form is not the right one. */
  readonly convert?: (value: never) => unknown;
  /** The same as source code, for the variable `r`. */
  readonly source?: string;
}

const pointerResult: Result = {
  native: "u64",
  convert: convert.fromAddress,
  source: `(word[0] = r, halves[1] <= 0x1fffff) ? ` +
    `halves[0] + halves[1] * 4294967296 || null : fromAddress(r)`,
};

const results: Partial<Record<TypeName, Result>> = {
  char: { native: "i8" },
  i8: { native: "i8" },
  u8: { native: "u8" },
  i16: { native: "i16" },
  u16: { native: "u16" },
  i32: { native: "i32" },
  u32: { native: "u32" },
  i64: { native: "i64" },
  u64: { native: "u64" },
  f64: { native: "f64" },
  f32: { native: "f32" },
  // A function by address gives null for it
  void: { native: "void", convert: () => undefined, source: "undefined" },
  // Deno's own bool takes 2 for false
  bool: { native: "u8", convert: (value: number) => value !== 0, source: "r !== 0" },
  ptr: pointerResult,
  function: pointerResult,
  cstring: { native: "pointer", convert: convert.fromCString, source: "fromCString(r)" },
  i64_fast: { native: "i64", convert: convert.fromInt64Fast, source: "fromInt64Fast(r)" },
  u64_fast: { native: "u64", convert: convert.fromUint64Fast, source: "fromUint64Fast(r)" },
};

/** Whether an argument is passed in one of two ways, depending on the value. */
const isDual = (type: TypeName): boolean => type === "ptr" || type === "cstring";

/** Checks a signature, so that a mistake in it is reported when it is declared. */
export function checkSignature({ name, args, returns }: Signature): void {
  const napi = [...args, returns].find((type) => type === "napi_env" || type === "napi_value");
  if (napi !== undefined) {
    throw ffiError(
      TypeError,
      "ERR_INVALID_ARG_TYPE",
      `Cannot declare ${name}: ${napi} is only for functions of cc(), which Deno does not have, ` +
        "use a plain C function or a Node-API addon",
    );
  }
  if (returns === "buffer" || returns === "buffer_length") {
    throw ffiError(
      TypeError,
      "ERR_INVALID_ARG_VALUE",
      `Cannot declare ${name}: ${returns} is only for arguments, return "ptr" and use toArrayBuffer`,
    );
  }
  if (args.length > maxArguments) {
    throw ffiError(
      TypeError,
      "ERR_INVALID_ARG_VALUE",
      `Cannot declare ${name}: it has ${args.length} arguments, at most ${maxArguments} are supported`,
    );
  }
  if (args.includes("void")) {
    throw ffiError(TypeError, "ERR_INVALID_ARG_VALUE", `Cannot declare ${name}: void is only for results`);
  }
}

/** Links a function for one shape: bit n is set if the nth dual argument is memory. */
type Link = (shape: number) => NativeFunction;

/** Up to so many dual arguments all shapes are written out, which is 8 calls in the source. */
const maxDualInline = 3;

/** As in Bun. With 32 pointers at most, a shape fits the bits of an integer. */
const maxArguments = 32;

/**
 * Counts the functions. The number stands in the source because V8 caches code
 * by its text: functions with the same text would share what the optimising
 * compiler learns about them, and be the shared wrapper that is so slow.
 */
let count = 0;

/** Writes the source of a function. */
export function sourceOf({ args, returns }: Signature): string {
  const variables = args.map((_, i) => `a${i}`);
  const list = variables.join(", ");
  const duals = args.flatMap((type, i) => isDual(type) ? [i] : []);
  const shapes = duals.length <= maxDualInline ? 2 ** duals.length : 0;

  /** The arguments of a call, those that are dual passed as `pick` says. */
  const values = (pick: (i: number) => Passing) =>
    args.map((type, i) => (passings[type] ?? pick(i)).source(`a${i}`, i)).join(", ");
  /** Whether a settled dual argument is memory. */
  const isMemory = (i: number) =>
    `(typeof a${i} === "object" ? a${i} !== null : ${args[i] === "cstring" ? `typeof a${i} === "string"` : "false"})`;

  /** One call for each shape: `decided` says what is known to be memory. */
  function branches(decided: readonly boolean[]): string {
    const next = duals[decided.length];
    if (next === undefined) {
      const shape = decided.reduce((bits, yes, n) => bits | Number(yes) << n, 0);
      return `f${shape}(${values((i) => decided[duals.indexOf(i)] ? memory : address)})`;
    }
    return `${isMemory(next)}\n      ? ${branches([...decided, true])}\n      : ${branches([...decided, false])}`;
  }

  /** All calls there are, after the usual ones. */
  function rest(): string[] {
    const settled = duals.map((i) => `    if (!isView(a${i})) a${i} = settle(a${i}, site, ${i});`);
    if (shapes > 0) return [...settled, `    return ${branches([])};`];
    const either = (i: number): Passing => ({
      ...memory,
      source: (a) => `${isMemory(i)} ? (${memory.source(a, i)}) : ${address.source(a, i)}`,
    });
    return [
      ...settled,
      `    const shape = ${duals.map((i, n) => `(${isMemory(i)} ? ${1 << n} : 0)`).join(" | ")};`,
      "    const f = linked === undefined ? closed : linked[shape] ??= link(shape);",
      `    return f(${values(either)});`,
    ];
  }

  /** The usual calls: addresses only, and for a single pointer also memory. */
  function usual(): string {
    if (duals.length === 0) return `f0(${values(() => address)})`;
    const test = duals.map((i) => `(typeof a${i} === "number" || a${i} === null)`).join(" && ");
    let others = `rest(${list})`;
    if (duals.length === 1) {
      const a = `a${duals[0]}`;
      const isUsual: Passing = {
        ...memory,
        source: (a, i) => `${a}.byteLength > 0 ? ${a} : toMemory(${a}, site, ${i})`,
      };
      others = `isView(${a}) || ${a} instanceof ArrayBuffer\n      ? f1(${values(() => isUsual)})\n      : ${others}`;
    }
    return `${test}\n      ? f0(${values(() => address)})\n      : ${others}`;
  }

  const lines = [
    `"use strict"; // ${++count}`,
    `const { ${Object.keys(convert).join(", ")} } = convert;`,
    "const { asUintN } = BigInt, { trunc } = Math;",
  ];
  for (let shape = 0; shape < Math.max(shapes, 1); shape++) {
    lines.push(`let f${shape} = eager ?? ((...v) => (f${shape} = link(${shape}))(...v));`);
  }
  if (shapes === 0) lines.push("let linked = [];");
  if (duals.length > 0) lines.push(`const rest = (${list}) => {`, ...rest(), "};");
  lines.push("return {", `  call(${list}) {`);
  if (args.length > 0) {
    lines.push(`    if (arguments.length < ${args.length}) throw tooFewArguments(site, arguments.length);`);
  }
  lines.push(
    ...args.flatMap((type, i) =>
      passings[type]?.settle === undefined ? [] : `    ${passings[type].settle(`a${i}`, i)}`
    ),
    `    const r = ${usual()};`,
    "    if (pending.thrown) pending.rethrow();",
    `    return ${results[returns]!.source ?? "r"};`,
    "  },",
    "  close() {",
  );
  for (let shape = 0; shape < Math.max(shapes, 1); shape++) lines.push(`    f${shape} = closed;`);
  if (shapes === 0) lines.push("    linked = undefined;");
  lines.push("  },", "};");
  return lines.join("\n");
}

/** The same function without source code. */
function interpret(signature: Signature, link: Link, closed: NativeFunction, eager?: NativeFunction): Compiled {
  const { args, returns } = signature;
  const { convert: convertResult } = results[returns]!;
  let linked: NativeFunction[] | undefined = eager === undefined ? [] : [eager];
  function call(...values: unknown[]): unknown {
    if (values.length < args.length) throw convert.tooFewArguments(signature, values.length);
    const settled = args.map((type, i) => {
      if (isDual(type)) return convert.settle(values[i], signature, i);
      return passings[type]!.settle === undefined ? values[i] : passings[type]!.convert(values[i], signature, i);
    });
    let shape = 0;
    let dual = 0;
    const converted = args.map((type, i) => {
      const value = settled[i];
      if (!isDual(type)) {
        return passings[type]!.settle === undefined ? passings[type]!.convert(value, signature, i) : value;
      }
      const isMemory = typeof value === "object" ? value !== null : type === "cstring" && typeof value === "string";
      if (isMemory) shape |= 1 << dual;
      dual++;
      return (isMemory ? memory : address).convert(value, signature, i);
    });
    const result = (linked === undefined ? closed : linked[shape] ??= link(shape))(...converted);
    if (pending.thrown) pending.rethrow();
    return convertResult === undefined ? result : convertResult(result as never);
  }
  return {
    call: Object.defineProperty(call, "length", { value: args.length }),
    close() {
      linked = undefined;
    },
  };
}

/** The declaration of a function for Deno. */
function nativeSignature({ args, returns }: Signature, shape: number): NativeSignature {
  let dual = 0;
  const parameters = args.map((type) => (passings[type] ?? (shape >> dual++ & 1 ? memory : address)).native);
  return { parameters, result: results[returns]!.native };
}

/**
 * Gives the declaration of a function that has only one shape, and can
 * therefore be linked before it is called.
 *
 * @param signature What was declared.
 * @returns The declaration for Deno, `undefined` if there are more shapes.
 */
export function onlyNativeSignature(signature: Signature): NativeSignature | undefined {
  return signature.args.some(isDual) ? undefined : nativeSignature(signature, 0);
}

/**
 * Makes the function.
 *
 * @param signature What was declared, checked before.
 * @param linkNative Gets the C function from Deno.
 * @param eager The C function, if it has only one shape.
 * @returns The function and a way to close it.
 */
export function compile(
  signature: Signature,
  linkNative: (native: NativeSignature) => NativeFunction,
  eager: NativeFunction | undefined,
): Compiled {
  const link: Link = (shape) => linkNative(nativeSignature(signature, shape));
  const closed: NativeFunction = () => {
    throw ffiError(Error, "ERR_INVALID_STATE", `Cannot call ${signature.name}: it was closed`);
  };
  let make: (...environment: unknown[]) => Compiled;
  try {
    make = new Function(
      "convert",
      "isView",
      "site",
      "pending",
      "link",
      "closed",
      "eager",
      sourceOf(signature),
    ) as typeof make;
  } catch {
    return interpret(signature, link, closed, eager);
  }
  return make(convert, ArrayBuffer.isView, signature, pending, link, closed, eager);
}
