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
import type { NativeFunction, NativeSignature } from "./deno_api.ts";
import { ffiError } from "./errors.ts";
import type { TypeName } from "./ffi_type.ts";
import { address, addressSource, isDual, memory, type Passing, passings, results } from "./passing.ts";
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

/**
 * Up to this length in characters, the shapes with memory stand in the function
 * that V8 inlines. It is what 460 bytes of bytecode come from, measured: two
 * pointers, or one and up to three 64-bit integers.
 */
const maxInline = 610;

/** Memory of which it is known that it has a length. */
const usualMemory: Passing = {
  ...memory,
  source: (a, i) => `${a}.byteLength > 0 ? ${a} : toMemory(${a}, site, ${i})`,
};

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

  /** The call of one shape. */
  function callOf(decided: readonly boolean[], memory: Passing): string {
    const shape = decided.reduce((bits, yes, n) => bits | Number(yes) << n, 0);
    return `f${shape}(${values((i) => decided[duals.indexOf(i)] ? memory : address)})`;
  }

  /** One call for each shape: `decided` says what is known to be memory. */
  function branches(decided: readonly boolean[]): string {
    const next = duals[decided.length];
    if (next === undefined) return callOf(decided, memory);
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

  const { source: resultSource = "r" } = results[returns]!;

  /** The usual calls: of addresses, and of memory where that is not too long. */
  function usual(isWithMemory: boolean, decided: readonly boolean[] = []): string {
    const next = duals[decided.length];
    if (next === undefined) return callOf(decided, usualMemory);
    const a = `a${next}`;
    const others = `typeof ${a} === "number" || ${a} === null\n      ? ${usual(isWithMemory, [...decided, false])}` +
      `\n      : rest(${list})`;
    if (!isWithMemory) return others;
    const isView = duals.length === 1 ? `isView(${a}) || ${a} instanceof ArrayBuffer` : `isView(${a})`;
    return `${isView}\n      ? ${usual(true, [...decided, true])}\n      : ${others}`;
  }

  function usualThatFits(): string {
    const all = duals.length > maxDualInline ? undefined : usual(true);
    return all !== undefined && all.length + resultSource.length <= maxInline ? all : usual(false);
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
  if (duals.length > 0) lines.push(addressSource, `const rest = (${list}) => {`, ...rest(), "};");
  lines.push("return {", `  call(${list}) {`);
  if (args.length > 0) {
    lines.push(`    if (arguments.length < ${args.length}) throw tooFewArguments(site, arguments.length);`);
  }
  lines.push(
    ...args.flatMap((type, i) =>
      passings[type]?.settle === undefined ? [] : `    ${passings[type].settle(`a${i}`, i)}`
    ),
    `    const r = ${usualThatFits()};`,
    "    if (pending.thrown) pending.rethrow();",
    `    return ${resultSource};`,
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
