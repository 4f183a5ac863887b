// SPDX-License-Identifier: MIT

/**
 * Arguments that run code while they are converted, declarations that change
 * while they are read, addresses and lengths that cannot be right.
 */

import { assert, assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import { describe, test } from "node:test";
import {
  CFunction,
  CString,
  dlopen,
  type FFIFunction,
  type FFITypeName,
  JSCallback,
  linkSymbols,
  type Pointer,
  ptr,
  read,
  toArrayBuffer,
  toBuffer,
  viewSource,
} from "vmnet/ffi";
import { cText, fixture, fixturePath, hot, isBun, memory, outcome, runWith } from "./fixture.ts";

const skip = isBun && "Bun crashes, or reads memory that was freed";
const bytes = memory([1, 2, 3, 4]);
const sumOf = (type: FFITypeName) => fixture("sum_bytes", { args: [type, "i32"], returns: "i32" });

/** Address of a function of the fixture. */
function addressOf(name: string): Pointer {
  return (fixture(name, {}) as unknown as { ptr: Pointer }).ptr;
}

/** Takes the memory away from a buffer. */
function detach(buffer: ArrayBuffer): void {
  structuredClone(buffer, { transfer: [buffer] });
}

describe("hostile arguments", () => {
  for (
    const [type, form] of [["buffer", "a view"], ["ptr", "a view"], ["ptr", "an ArrayBuffer"], [
      "cstring",
      "a view",
    ]] as const
  ) {
    test(`${form} as ${type} that is detached by valueOf() of the next argument is refused`, { skip }, () => {
      const sum = sumOf(type);
      for (const warmUp of [0, 3000]) {
        for (let i = 0; i < warmUp; i++) assertEquals(sum(bytes, 4), 10);
        const view = memory([5, 6, 7]);
        const error = outcome(() =>
          sum(form === "a view" ? view : view.buffer, {
            valueOf() {
              detach(view.buffer);
              return 3;
            },
          })
        );
        assertInstanceOf(error, TypeError);
        assertStringIncludes(error.message, `Cannot call sum_bytes: argument 1 of type ${type}`);
      }
    });
  }

  test("a view that is detached by a getter of another pointer is refused", { skip }, () => {
    for (const name of ["same", "five_pointers"]) {
      const count = name === "same" ? 2 : 5;
      const call = fixture(name, { args: Array.from({ length: count }, () => "ptr" as const), returns: "i32" });
      const view = memory(8);
      const last = {
        get ptr(): number {
          detach(view.buffer);
          return 0;
        },
      };
      const error = outcome(() => call(...Array.from({ length: count - 1 }, () => view), last));
      assertInstanceOf(error, TypeError);
      assertStringIncludes(error.message, `Cannot call ${name}: argument 1 of type ptr`);
    }
  });

  test("a library that is closed while an argument is converted is not called", { skip }, () => {
    const open = () => {
      const library = dlopen(fixturePath, {
        add: { args: ["i32", "i32"], returns: "i32" },
        is_null: { args: ["ptr"], returns: "i32" },
      });
      const closing = {
        valueOf: () => (library.close(), 1),
        get ptr(): number {
          library.close();
          return 0;
        },
      };
      return { symbols: library.symbols as unknown as Record<string, (...args: unknown[]) => unknown>, closing };
    };
    const { symbols, closing } = open();
    assertStringIncludes(String(outcome(() => symbols.add!(closing, 2))), "Cannot call add: it was closed");
    const other = open();
    assertStringIncludes(String(outcome(() => other.symbols.is_null!(other.closing))), "is_null: it was closed");
  });

  test("a callback that is closed while the next argument is converted still runs", { skip }, () => {
    const call = fixture("call_i32", { args: ["function", "i32", "i32"], returns: "i32" });
    const callback = new JSCallback((a: number, b: number) => a * b, { args: ["i32", "i32"], returns: "i32" });
    assertEquals(call(callback, { valueOf: () => (callback.close(), 6) }, 7), 42);
    assertInstanceOf(outcome(() => call(callback, 6, 7)), TypeError);
  });

  test("proxies and objects that claim to be memory are refused", () => {
    const fakes: unknown[] = [
      new Proxy(bytes, {}),
      new Proxy(bytes.buffer, {}),
      Object.create(Uint8Array.prototype),
      new Proxy({}, { getPrototypeOf: () => Uint8Array.prototype }),
    ];
    for (const type of ["ptr", "cstring", "function", "buffer"] as const) {
      const address = fixture("address_of", { args: [type], returns: "u64" });
      for (const fake of fakes) assertInstanceOf(outcome(() => address(fake)), TypeError);
    }
  });

  test("an object that is memory only every other time never reaches C wrongly", { skip }, () => {
    const same = fixture("same", { args: ["ptr", "ptr"], returns: "i32" });
    for (let first = 0; first < 4; first++) {
      let turn = first;
      const fickle = new Proxy({}, {
        getPrototypeOf: () => turn++ & 1 ? ArrayBuffer.prototype : null,
        has: () => true,
        get: (_, key) => key === "ptr" ? 4096 : key === "byteLength" ? turn++ & 1 : undefined,
      });
      const result = outcome(() => same(fickle, 4096));
      assert(result === 1 || result instanceof TypeError, String(result));
    }
  });

  test("a function of a library is passed as its address", () => {
    const answer = fixture("answer", { returns: "i32" });
    for (const type of ["function", "ptr"] as const) {
      const address = fixture("address_of", { args: [type], returns: "u64" });
      assertEquals(address(answer), BigInt(addressOf("answer")));
    }
    assertEquals(fixture("call_times", { args: ["function", "i32"], returns: "i32" })(answer, 3), 126);
  });

  test("32 arguments work in any form, and 33 are refused", () => {
    const types = Array.from({ length: 32 }, () => "ptr" as const);
    const call = fixture("five_pointers", { args: types, returns: "i32" });
    const one = memory([1]);
    for (const other of [one, null]) {
      assertEquals(call(...types.map((_, i) => i % 2 === 0 ? one : other)), other === null ? 10101 : 11111);
    }
    assertEquals(call(...types.map(() => null)), 0);
    const tooMany = { args: [...types, "ptr" as const] };
    assertInstanceOf(outcome(() => fixture("five_pointers", tooMany)), TypeError);
    assertInstanceOf(outcome(() => new JSCallback(() => {}, tooMany)), TypeError);
  });
});

describe("hostile declarations", () => {
  test("args are read once, and later changes have no effect", () => {
    let reads = 0;
    const args = Object.defineProperty(["i32", "i32"], 0, { get: () => reads++ === 0 ? "i32" : "ptr" });
    class Odd extends Array<string> {
      override map(): never[] {
        return ["nonsense", "buffer"] as never[];
      }
    }
    for (const types of [args, Odd.from(["i32", "i32"])]) {
      const declaration = { args: types, returns: "i32" } as FFIFunction;
      const add = fixture("add", declaration);
      types.length = 1;
      assertEquals(add(1, 2), 3);
    }
    assertInstanceOf(outcome(() => fixture("add", { args: [, "i32"] as unknown as ["i32"] })), Error);
  });

  test("size_t is a type, although FFIType does not have it", () => {
    const declaration = { args: ["size_t"], returns: "size_t" } as unknown as FFIFunction;
    assertEquals(fixture("id_u64", declaration)(-1), 2n ** 64n - 1n);
  });

  test("dlopen() takes the address of a declaration instead of looking for the symbol", () => {
    for (const address of [addressOf("answer"), BigInt(addressOf("answer"))]) {
      const { symbols, close } = dlopen(fixturePath, {
        no_such_symbol: { returns: "i32", ptr: address },
        add: { args: ["i32", "i32"], returns: "i32", ptr: 0 },
      });
      assertEquals([symbols.no_such_symbol(), symbols.add(1, 2)], [42, 3]);
      if (!isBun) close();
    }
  });

  test("symbols may have the names of properties of objects", () => {
    for (const name of ["constructor", "__proto__", "toString", "hasOwnProperty"]) {
      const declaration = { value: { returns: "i32", ptr: addressOf("answer") }, enumerable: true };
      const { symbols } = linkSymbols(Object.defineProperty({}, name, declaration) as Record<string, FFIFunction>);
      assertEquals([name, Object.hasOwn(symbols, name)], [name, true]);
      const call = Object.getOwnPropertyDescriptor(symbols, name)!.value as () => unknown;
      assertEquals(call(), 42);
      const looked = Object.defineProperty({}, name, { value: {}, enumerable: true });
      assertInstanceOf(outcome(() => dlopen(fixturePath, looked as Record<string, FFIFunction>)), TypeError);
    }
  });

  test("CFunction() and linkSymbols() refuse what is no address", () => {
    for (const address of [0, 0n, -1, NaN, null, undefined, "x", {}] as unknown as Pointer[]) {
      assertInstanceOf(outcome(() => CFunction({ ptr: address })), TypeError, String(address));
      assertInstanceOf(outcome(() => linkSymbols({ f: { ptr: address } })), TypeError, String(address));
    }
  });

  test("a void result of a function by address is undefined", () => {
    const nothing = CFunction({ ptr: addressOf("nothing") });
    assertEquals([nothing(), hot(() => nothing())], [undefined, undefined]);
  });

  test("viewSource() of no symbols is empty", () => {
    assertEquals(viewSource({}), []);
  });
});

describe("hostile addresses", () => {
  const address = ptr(bytes);

  test("a length beyond what buffers can have is a RangeError or TypeError", () => {
    for (const view of [toArrayBuffer, toBuffer]) {
      for (const length of [2 ** 33, 2 ** 53]) {
        assertInstanceOf(outcome(() => view(address, 0, length)), RangeError);
      }
      for (const length of [Infinity, 1e300]) assertInstanceOf(outcome(() => view(address, 0, length)), TypeError);
    }
    if (!isBun) assertInstanceOf(outcome(() => CString(address, 0, 2 ** 53)), RangeError);
  });

  test("null, -1 and a bigint beyond 64 bits are no addresses", () => {
    for (const pointer of [0, 0n, -1, -1n, 2n ** 64n + BigInt(address), NaN]) {
      assertInstanceOf(outcome(() => read.u8(pointer)), TypeError, String(pointer));
      if (!isBun) assertInstanceOf(outcome(() => read.u8(pointer, 8)), TypeError, String(pointer));
    }
    assertInstanceOf(outcome(() => read.u8(8, -8)), TypeError);
    assertInstanceOf(outcome(() => toArrayBuffer(address, -address, 5)), TypeError);
  });

  test("there is no memory in the first page and from 2^56 on", { skip }, () => {
    for (
      const [pointer, offset] of [[1, 0], [4095, 0], [address, -address + 1], [2 ** 56, 0], [address, 1e300]] as const
    ) {
      for (const get of [read.u8, read.f64, toArrayBuffer, CString] as ((p: number, offset: number) => unknown)[]) {
        assertInstanceOf(outcome(() => get(pointer, offset)), TypeError, `${pointer} + ${offset}`);
      }
    }
    // Such an address with an offset that leads to memory is one
    assertEquals(read.u8(1, address + 1), 3);
  });

  test("offsets that are no numbers count as Bun counts them", () => {
    const text = ptr(cText("hello"));
    assertEquals([CString(text, NaN, 4), CString(text, 0n as unknown as number, 3)], ["hell", "hel"]);
    assertInstanceOf(outcome(() => CString(text, 1n as unknown as number, 3)), TypeError);
    assertEquals([CString(0n), CString(null), CString(0)], ["", "", ""]);
    assertEquals(ptr(bytes, NaN), address);
  });

  test("what is no deallocator is refused", () => {
    for (const [context, free] of [["x", "y"], [{}, {}], [5.5, 4096], [0, 0]] as unknown as [Pointer, Pointer][]) {
      if (isBun && (context === 5.5 as Pointer || context === 0 as Pointer)) continue;
      assertInstanceOf(outcome(() => toArrayBuffer(address, 0, 4, context, free)), TypeError);
    }
  });

  test("readers have the names of their types", () => {
    assertEquals(
      Object.entries(read).map(([name, reader]) => [name, reader.name]),
      Object.keys(read).map((n) => [n, n]),
    );
  });
});

describe("hostile lifetimes", () => {
  test("an address of a closed library stays valid", { skip }, () => {
    const flags = ["--allow-ffi", "--v8-flags=--expose-gc"];
    assertEquals(runWith(flags, "lifetime_program.ts", fixturePath, "closed"), "42\nfreed");
  });

  test("every deallocator that throws is reported, and the others still run", { skip }, () => {
    const flags = ["--allow-ffi", "--v8-flags=--expose-gc"];
    assertEquals(runWith(flags, "lifetime_program.ts", fixturePath, "throwing"), "no\nno\nno\n3");
  });

  test("workers end with open libraries, callbacks and views", () => {
    assertEquals(runWith(["--allow-ffi", "--allow-read"], "lifetime_program.ts", fixturePath, "workers"), "ended 6");
  });
});
