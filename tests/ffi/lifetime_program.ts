// SPDX-License-Identifier: MIT

// Run by hostile_test.ts: what outlives the library or the thread that made it

import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { CFunction, dlopen, JSCallback, type Pointer, toArrayBuffer } from "../../ffi/mod.ts";

const path = isMainThread ? process.argv[2]! : workerData as string;
const mode = isMainThread ? process.argv[3] : "worker";
const print = (line: unknown) => process.stdout.write(`${line}\n`);

function open() {
  return dlopen(path, {
    allocate: { args: ["u32"], returns: "ptr" },
    answer: { returns: "i32" },
    call_void: { args: ["function"] },
    count_free: { args: ["ptr", "ptr"] },
    free_count: { returns: "i32" },
  });
}

/** Makes views that nothing refers to afterwards. */
function drop(library: ReturnType<typeof open>, count: number, deallocator: Pointer): void {
  for (let i = 0; i < count; i++) {
    toArrayBuffer(library.symbols.allocate(64) as Pointer, 0, 64, null, deallocator);
  }
}

/** Collects garbage until something has happened, at most 5 seconds. */
async function collectUntil(happened: () => boolean): Promise<void> {
  const { gc } = globalThis as unknown as { gc(): void };
  for (let i = 0; i < 1000 && !happened(); i++) {
    gc();
    await sleep(5);
  }
}

const library = open();
const address = (name: keyof typeof library.symbols) => (library.symbols[name] as unknown as { ptr: Pointer }).ptr;

switch (mode) {
  case "closed": {
    const answer = CFunction({ returns: "i32", ptr: address("answer") });
    const freeCount = CFunction({ returns: "i32", ptr: address("free_count") });
    drop(library, 20, address("count_free"));
    library.close();
    await sleep(5);
    print(answer());
    await collectUntil(() => freeCount() === 20);
    print(freeCount() === 20 ? "freed" : freeCount());
    break;
  }
  case "throwing": {
    let calls = 0;
    const callback = new JSCallback(() => {
      calls++;
      throw new Error("no");
    }, { args: ["ptr", "ptr"] });
    process.on("uncaughtException", ({ message }) => print(message));
    drop(library, 3, callback.ptr!);
    await collectUntil(() => calls === 3);
    await sleep(5);
    print(calls);
    break;
  }
  case "workers": {
    let ended = 0;
    for (let i = 0; i < 6; i++) {
      const worker = new Worker(new URL(import.meta.url), { workerData: path });
      await new Promise((resolve) => worker.once("message", resolve));
      await worker.terminate();
      ended++;
    }
    print(`ended ${ended}`);
    break;
  }
  case "worker": {
    const callback = new JSCallback(() => {}, {});
    const threadsafe = new JSCallback(() => {}, { threadsafe: true });
    library.symbols.call_void(callback);
    const view = toArrayBuffer(library.symbols.allocate(64) as Pointer, 0, 64, null, address("count_free"));
    parentPort!.postMessage([view.byteLength, threadsafe.ptr]);
    setInterval(() => {}, 1000);
    break;
  }
}
