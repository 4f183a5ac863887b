// SPDX-License-Identifier: MIT

import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, test } from "node:test";
import vm from "node:vm";
import v8 from "node:v8";
import { ptr, read, toArrayBuffer, toBuffer } from "vmnet/ffi";
import { cText, fixture, memory, outcome } from "./fixture.ts";

const bytes = memory([104, 195, 169, 0, 255, 254, 253, 252, 251, 250, 249, 248, 1, 2, 3, 4]);
const address = ptr(bytes);
const view = new DataView(bytes.buffer);

/** Collects garbage, now. */
function collect(): void {
  const { Bun: bun } = globalThis as { Bun?: { gc(force: boolean): void } };
  if (bun !== undefined) return bun.gc(true);
  v8.setFlagsFromString("--expose-gc");
  vm.runInNewContext("gc")();
}

describe("memory", () => {
  test("ptr() gives the address of views and buffers", () => {
    const seen = fixture("address_of", { args: ["ptr"], returns: "u64" });
    for (const value of [bytes, bytes.subarray(3), bytes.buffer, view, new DataView(bytes.buffer, 9)]) {
      assertEquals(BigInt(ptr(value)), seen(value));
    }
    assertEquals(ptr(bytes.subarray(3)), address + 3);
    assert(ptr(new SharedArrayBuffer(4)) > 0);
  });

  test("ptr() adds an offset", () => {
    for (const offset of [0, 1, 15, 16]) assertEquals(ptr(bytes, offset), address + offset);
    assertEquals(ptr(bytes.subarray(3), 4), address + 7);
    assertEquals(ptr(bytes, 1.5), address + 1);
    assertEquals(ptr(bytes, undefined), address);
  });

  test("ptr() refuses what has no address", () => {
    const detached = memory(8);
    structuredClone(detached.buffer, { transfer: [detached.buffer] });
    const values = [memory(0), new ArrayBuffer(0), detached, 5, null, undefined, "text", {}, () => 1];
    // Bun returns the error instead of throwing it
    for (const value of values) assertInstanceOf(outcome(() => ptr(value as never)), TypeError);
    for (const offset of [17, 1e9, "3", 3n, Infinity]) {
      assertInstanceOf(outcome(() => ptr(bytes, offset as never)), TypeError);
    }
  });

  test("read reads every type", () => {
    for (const offset of [0, 1, 4, 8]) {
      assertEquals(read.u8(address, offset), view.getUint8(offset));
      assertEquals(read.i8(address, offset), view.getInt8(offset));
      assertEquals(read.u16(address, offset), view.getUint16(offset, true));
      assertEquals(read.i16(address, offset), view.getInt16(offset, true));
      assertEquals(read.u32(address, offset), view.getUint32(offset, true));
      assertEquals(read.i32(address, offset), view.getInt32(offset, true));
      assertEquals(read.u64(address, offset), view.getBigUint64(offset, true));
      assertEquals(read.i64(address, offset), view.getBigInt64(offset, true));
      assertEquals(read.f32(address, offset), view.getFloat32(offset, true));
      assertEquals(read.f64(address, offset), view.getFloat64(offset, true));
      assertEquals(read.ptr(address, offset), Number(view.getBigUint64(offset, true)));
      assertEquals(read.intptr(address, offset), Number(view.getBigInt64(offset, true)));
    }
  });

  test("read takes offsets as Bun does", () => {
    assertEquals(read.u8(address), 104);
    assertEquals(read.u8(address + 1 as never, -1), 104);
    assertEquals(read.u8(address, 1.5), 195);
    assertEquals(read.u8(address, undefined), 104);
    assertEquals(read.u8(address, null as never), 104);
    assertEquals(read.u8(BigInt(address)), 104);
    for (const offset of ["3", 3n, NaN]) {
      assertInstanceOf(outcome(() => read.u8(address, offset as never)), TypeError);
    }
  });

  test("read refuses what is no address", () => {
    for (const value of [null, undefined, "text", bytes, {}, { ptr: address }, true]) {
      for (const name of ["u8", "i64", "f64", "ptr"] as const) {
        assertInstanceOf(outcome(() => read[name](value as never, 0)), TypeError);
      }
    }
  });

  test("read sees what C wrote, also after the memory was another's", () => {
    const fill = fixture("fill", { args: ["ptr", "i32", "u8"] });
    const target = memory(8);
    for (let value = 0; value < 200; value++) {
      fill(target, 8, value);
      assertEquals(read.u8(ptr(target), 7), value);
    }
  });

  test("toArrayBuffer() views memory without a copy", () => {
    const whole = new Uint8Array(toArrayBuffer(address, 0, 16));
    assertEquals([...whole], [...bytes]);
    whole[15] = 77;
    assertEquals(bytes[15], 77);
    bytes[15] = 4;
    assertEquals(whole[15], 4);
  });

  test("toArrayBuffer() takes offset and length as Bun does", () => {
    const list = (
      ...args: unknown[]
    ) => [...new Uint8Array((toArrayBuffer as (...a: unknown[]) => ArrayBuffer)(...args))];
    assertEquals(list(address), [104, 195, 169]);
    assertEquals(list(address, 1), [195, 169]);
    assertEquals(list(address, 2, 4), [169, 0, 255, 254]);
    assertEquals(list(address, undefined, 3), [104, 195, 169]);
    assertEquals(list(address, null, 3), [104, 195, 169]);
    assertEquals(list(address + 1, -1, 2), [104, 195]);
    assertEquals(list(address, 0, 1.5), [104]);
    assertEquals(list(address, 0, null), [104, 195, 169]);
    assertEquals(list(BigInt(address), 0, 1), [104]);
  });

  test("toArrayBuffer() and toBuffer() refuse wrong arguments", () => {
    const calls: readonly unknown[][] = [
      [null, 0, 4],
      [undefined, 0, 4],
      [0, 0, 4],
      [bytes, 0, 4],
      ["text", 0, 4],
      [{}, 0, 1],
      [true, 0, 1],
      [-1, 0, 1],
      [],
      [address, 0, 0],
      [address, 0, -1],
      [address, 0, NaN],
      [address, 0, "3"],
      [address, "1", 2],
      [address, 0, 3n],
    ];
    for (const args of calls) {
      for (const call of [toArrayBuffer, toBuffer] as ((...args: unknown[]) => unknown)[]) {
        assertInstanceOf(outcome(() => call(...args)), TypeError);
      }
    }
  });

  test("toBuffer() views memory without a copy", () => {
    const text = cText("hello");
    const buffer = toBuffer(ptr(text));
    assertEquals(buffer.toString(), "hello");
    buffer[0] = 74;
    assertEquals(text[0], 74);
    assertEquals(toBuffer(ptr(text), 1, 3).toString("latin1"), "ell");
  });

  test("toArrayBuffer() frees the memory with its deallocator", async () => {
    const allocate = fixture("allocate", { args: ["u32"], returns: "ptr" });
    const freed = fixture("free_count", { returns: "i32" });
    const deallocator = fixture("count_free", { args: ["ptr", "ptr"] }) as unknown as { ptr: never };
    const before = freed() as number;
    const count = 20;
    (() => {
      for (let i = 0; i < count; i++) toArrayBuffer(allocate(64) as never, 0, 64, 4242 as never, deallocator.ptr);
    })();
    for (let i = 0; i < 50 && freed() === before; i++) {
      collect();
      await sleep(5);
    }
    assert(freed() as number > before, "no deallocator was called");
    assertEquals(fixture("free_context", { returns: "u64" })(), 4242n);
  });

  test("structs are read and linked through their addresses", () => {
    const create = fixture("person_new", { args: ["u32", "f64", "cstring"], returns: "ptr" });
    const link = fixture("person_link", { args: ["ptr", "ptr"] });
    const total = fixture("person_total", { args: ["ptr"], returns: "f64" });
    const free = fixture("person_free", { args: ["ptr"] });
    const ada = create(1, 1.7, "Ada \u20ac") as never;
    const bob = create(2, 1.8, "Bob") as never;
    link(ada, bob);
    assertEquals([read.u32(ada), read.f64(ada, 8), read.ptr(ada, 24)], [1, 1.7, bob]);
    assertEquals(toBuffer(read.ptr(ada, 16) as never).toString(), "Ada \u20ac");
    assertEquals(total(ada), 3.5);
    const own = memory(32);
    new DataView(own.buffer).setFloat64(8, 0.5, true);
    link(own, ada);
    assertEquals(total(own), 4);
    free(ada);
    free(bob);
  });
});
