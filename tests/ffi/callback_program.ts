// SPDX-License-Identifier: MIT

// Run by differences_test.ts: a callback that throws with no JavaScript below it

import process from "node:process";
import { dlopen, JSCallback } from "../../ffi/mod.ts";

const [path = "", mode = ""] = process.argv.slice(2);
const { symbols } = dlopen(path, {
  answer: { returns: "i32" },
  thread_start: { args: ["function", "i32"], returns: "i32" },
  thread_join: { returns: "i32" },
});
const callback = new JSCallback(() => {
  throw new Error("from a thread");
}, { args: ["i32"], threadsafe: true });

if (mode === "idle") {
  process.stdout.write(`${symbols.answer()}\n`);
} else {
  const alive = setInterval(() => {}, 1000);
  process.on("uncaughtException", ({ message }) => {
    process.stdout.write(`${message}\n`);
    setTimeout(() => {
      symbols.thread_join();
      clearInterval(alive);
      callback.close();
      process.stdout.write(`${symbols.answer()}\n`);
    }, 20);
  });
  symbols.thread_start(callback, 1);
}
