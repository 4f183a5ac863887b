// SPDX-License-Identifier: MIT

/**
 * Random C functions, and calls of them from C and from JavaScript.
 *
 * Each function mixes the bytes of all its arguments, so that any argument that
 * arrives wrong changes its result. C calls it with the values as literals, in
 * the same file, which tells what the right result is.
 */

import type { FFITypeName } from "vmnet/ffi";

/** A call: arguments as JavaScript has them, and the same as C source. */
export interface RandomCall {
  readonly values: readonly unknown[];
  readonly literals: readonly string[];
}

/** A function and its calls. */
export interface RandomFunction {
  readonly name: string;
  readonly args: readonly FFITypeName[];
  readonly returns: FFITypeName;
  readonly calls: readonly RandomCall[];
}

/** A generator of random numbers that gives the same ones for the same seed (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = state + 0x6d2b79f5 >>> 0;
    let t = state;
    t = Math.imul(t ^ t >>> 15, t | 1);
    t ^= t + Math.imul(t ^ t >>> 7, t | 61);
    return ((t ^ t >>> 14) >>> 0) / 4294967296;
  };
}

const cTypes: Partial<Record<FFITypeName, string>> = {
  char: "signed char",
  i8: "int8_t",
  u8: "uint8_t",
  i16: "int16_t",
  u16: "uint16_t",
  i32: "int32_t",
  u32: "uint32_t",
  i64: "int64_t",
  u64: "uint64_t",
  i64_fast: "int64_t",
  u64_fast: "uint64_t",
  f64: "double",
  f32: "float",
  bool: "bool",
  ptr: "void *",
  cstring: "const char *",
};
const types = Object.keys(cTypes) as FFITypeName[];
const bits: Partial<Record<FFITypeName, number>> = { char: 8, i8: 8, u8: 8, i16: 16, u16: 16, i32: 32, u32: 32 };

const prelude = `
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
static uint64_t mix(uint64_t h, const void *p, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		h = (h ^ ((const uint8_t *)p)[i]) * 1099511628211u;
	return h;
}
static uint64_t mix_text(uint64_t h, const char *s) { return s ? mix(h, s, strlen(s) + 1) : h * 31 + 1; }
static double d(uint64_t bits) { double v; memcpy(&v, &bits, 8); return v; }
static float f(uint32_t bits) { float v; memcpy(&v, &bits, 4); return v; }
static const char *const texts[] = {0, "", "plain", "h\\xc3\\xa9 \\xe2\\x82\\xac"};
`;

/** How each result is made from the mixed bits. */
const resultOf: Partial<Record<FFITypeName, string>> = {
  f64: "(double)(int64_t)h / 4096",
  f32: "(float)(int32_t)(h >> 32) / 64",
  bool: "(h >> 13 & 1) != 0",
  ptr: "(void *)(uintptr_t)(h >> 20)",
  cstring: "texts[h >> 17 & 3]",
  i64_fast: "(int64_t)h >> (h & 15)",
  u64_fast: "h >> (h & 15)",
};

/** Makes functions, the first of them with 0 to 26 arguments in turn. */
export function randomFunctions(seed: number, count: number, callsEach: number): RandomFunction[] {
  const random = randomNumbers(seed);
  const below = (n: number) => Math.floor(random() * n);
  const pick = <T>(list: readonly T[]): T => list[below(list.length)]!;
  const random64 = () => BigInt(below(2 ** 32)) << 32n | BigInt(below(2 ** 32));
  const view = new DataView(new ArrayBuffer(8));

  /** An integer: an edge, a small one or any. */
  function integer(width: number, signed: boolean): bigint {
    const edges = [0n, 1n, -1n, 2n ** BigInt(width - 1), 2n ** BigInt(width - 1) - 1n, 2n ** BigInt(width) - 1n];
    const value = pick([() => pick(edges), () => BigInt(below(100)), random64])();
    return signed ? BigInt.asIntN(width, value) : BigInt.asUintN(width, value);
  }

  function argument(type: FFITypeName): [value: unknown, literal: string] {
    const signed = !type.startsWith("u");
    switch (type) {
      case "f64": {
        const value = pick([
          0,
          -0,
          1,
          -1.5,
          Infinity,
          -Infinity,
          2 ** 53,
          5e-324,
          random() * 1e6 - 5e5,
          random() * 1e300,
        ]);
        view.setFloat64(0, value);
        return [value, `d(0x${view.getBigUint64(0).toString(16)}u)`];
      }
      case "f32": {
        const value = pick([0, -0, 1.1, Infinity, 1e30, 1e-40, random() * 1000 - 500]);
        view.setFloat32(0, value);
        return [value, `f(0x${view.getUint32(0).toString(16)}u)`];
      }
      case "bool": {
        const [value, literal] = pick(
          [[true, "1"], [false, "0"], [2, "1"], ["x", "1"], ["", "0"], [undefined, "0"]] as const,
        );
        return [value, literal];
      }
      case "ptr": {
        const value = pick([random64() >> BigInt(below(40)), 0n, random64() >> 16n]);
        const forms: unknown[] = [value];
        if (value < 2n ** 53n) forms.push(Number(value));
        if (value === 0n) forms.push(null, undefined);
        return [pick(forms), `(void *)(uintptr_t)0x${value.toString(16)}u`];
      }
      case "cstring":
        return pick(
          [[null, "0"], ["", '""'], ["hi", '"hi"'], ["\u00e9\u20ac", '"\\xc3\\xa9\\xe2\\x82\\xac"']] as const,
        ) as [
          unknown,
          string,
        ];
      default: {
        const width = bits[type] ?? 64;
        const value = integer(width, signed);
        const literal = `(${cTypes[type]})0x${BigInt.asUintN(64, value).toString(16)}u`;
        // The same value in another form: as a bigint, or beyond the range of the type
        const forms: unknown[] = [value];
        if (width < 64) forms.push(Number(value), Number(value), Number(value) + 2 ** width * below(5));
        else if (Number.isSafeInteger(Number(value))) forms.push(Number(value));
        return [pick(forms), literal];
      }
    }
  }

  return Array.from({ length: count }, (_, n) => {
    const args = Array.from({ length: n < 54 ? n % 27 : below(27) }, () => pick(types));
    const calls = Array.from({ length: callsEach }, (): RandomCall => {
      const pairs = args.map(argument);
      return { values: pairs.map(([value]) => value), literals: pairs.map(([, literal]) => literal) };
    });
    return { name: `r${n}`, args, returns: pick(types), calls };
  });
}

/** Writes the functions as C, with a function `expected` that makes their calls. */
export function cSource(functions: readonly RandomFunction[]): string {
  const lines = [prelude];
  for (const { name, args, returns, calls } of functions) {
    const parameters = args.map((type, i) => `${cTypes[type]} a${i}`).join(", ") || "void";
    lines.push(`${cTypes[returns]} ${name}(${parameters})`, "{", "\tuint64_t h = 14695981039346656037u;");
    args.forEach((type, i) => {
      lines.push(type === "cstring" ? `\th = mix_text(h, a${i});` : `\th = mix(h, &a${i}, sizeof a${i});`);
    });
    lines.push(`\treturn ${resultOf[returns] ?? `(${cTypes[returns]})h`};`, "}");
    lines.push(`static void x${name}(int32_t call, void *out)`, "{", `\t${cTypes[returns]} r;`, "\tswitch (call) {");
    calls.forEach(({ literals }, i) => lines.push(`\tcase ${i}: r = ${name}(${literals.join(", ")}); break;`));
    lines.push("\tdefault: return;", "\t}", "\tmemcpy(out, &r, sizeof r);", "}");
  }
  lines.push("static void (*const all[])(int32_t, void *) = {");
  lines.push(...functions.map(({ name }) => `\tx${name},`), "};");
  lines.push("void expected(int32_t function, int32_t call, void *out) { all[function](call, out); }", "");
  return lines.join("\n");
}
