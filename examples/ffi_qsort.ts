// Sorts an array with the C library's qsort, which asks JavaScript how.
//
//   deno run --allow-ffi examples/ffi_qsort.ts
//   bun examples/ffi_qsort.ts

import { dlopen, JSCallback, type Pointer, read, suffix } from "vmnet/ffi";

const libc = dlopen(suffix === "dylib" ? "libSystem.dylib" : "libc.so.6", {
  qsort: { args: ["buffer", "usize", "usize", "function"], returns: "void" },
});

using byDistanceFrom50 = new JSCallback(
  (a: Pointer, b: Pointer) => Math.sign(Math.abs(read.f64(a) - 50) - Math.abs(read.f64(b) - 50)),
  { args: ["ptr", "ptr"], returns: "i32" },
);

const numbers = Float64Array.of(3, 48, 99, 51.5, 50, -7);
libc.symbols.qsort(numbers, numbers.length, numbers.BYTES_PER_ELEMENT, byDistanceFrom50);
console.log([...numbers].join(" "));
libc.close();
