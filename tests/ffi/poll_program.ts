// SPDX-License-Identifier: MIT

// Run by poll_test.ts: has a watch open and does nothing else

import process from "node:process";
import { dlopen, watchFd } from "../../ffi/mod.ts";

const [mode = "", path = ""] = process.argv.slice(2);
const { symbols } = dlopen(path, {
  make_pair: { args: ["buffer"], returns: "i32" },
  ring: { args: ["i32"], returns: "i32" },
  ring_from_thread: { args: ["i32", "i32"], returns: "i32" },
});
const ends = new Int32Array(new ArrayBuffer(8));
symbols.make_pair(ends);
let rung = false;
let calls = 0;
const watch = watchFd(
  ends[0]!,
  () => {
    if (mode === "throw" && calls++ === 0) throw new Error("from onReadable");
    if (!rung) process.stdout.write("rung\n");
    rung = true;
  },
  () => void process.stdout.write("closed\n"),
);
if (mode === "ref") {
  // Only the watch keeps the program alive until the thread has closed its end
  watch.ref();
  symbols.ring_from_thread(ends[1]!, 20);
}
if (mode === "close") watch.close();
if (mode === "throw") {
  watch.ref();
  process.on("uncaughtException", (error) => {
    process.stdout.write(`${error.message}\n`);
    symbols.ring_from_thread(ends[1]!, 1);
  });
  symbols.ring(ends[1]!);
}
