// Compresses and restores a text with zlib.
//
//   deno run --allow-ffi examples/ffi_zlib.ts
//   bun examples/ffi_zlib.ts

import { dlopen, suffix } from "vmnet/ffi";

const zlib = dlopen(suffix === "dylib" ? "libz.dylib" : "libz.so.1", {
  zlibVersion: { returns: "cstring" },
  compressBound: { args: ["u64"], returns: "u64_fast" },
  compress2: { args: ["buffer", "buffer", "buffer", "buffer_length", "i32"], returns: "i32" },
  uncompress: { args: ["buffer", "buffer", "buffer", "u64"], returns: "i32" },
});

const text = new TextEncoder().encode("All work and no play makes Jack a dull boy. ".repeat(100));
const packed = new Uint8Array(Number(zlib.symbols.compressBound(text.length)));

// The length is passed in and out through memory, a C unsigned long
const length = new BigUint64Array([BigInt(packed.length)]);
let status = zlib.symbols.compress2(packed, length, text, text, 9);
if (status !== 0) throw new Error(`zlib cannot compress: status ${status}`);
const size = Number(length[0]);
console.log(`zlib ${zlib.symbols.zlibVersion()}: ${text.length} bytes in ${size}`);

const restored = new Uint8Array(text.length);
length[0] = BigInt(restored.length);
status = zlib.symbols.uncompress(restored, length, packed, size);
if (status !== 0) throw new Error(`zlib cannot restore: status ${status}`);
console.log(new TextDecoder().decode(restored.subarray(0, 43)));
zlib.close();
