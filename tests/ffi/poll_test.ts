// SPDX-License-Identifier: MIT

import { assert, assertEquals, assertGreater, assertThrows } from "@std/assert";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, test } from "node:test";
import { dlopen, type FdWatch, watchFd } from "vmnet/ffi";
import { fixturePath, memory, runProgram } from "./fixture.ts";

const { symbols: c } = dlopen(fixturePath, {
  make_pair: { args: ["buffer"], returns: "i32" },
  ring: { args: ["i32"], returns: "i32" },
  close_fd: { args: ["i32"], returns: "i32" },
  is_open: { args: ["i32"], returns: "i32" },
  ring_from_thread: { args: ["i32", "i32"], returns: "i32" },
  thread_join: { returns: "i32" },
});

/** A socket pair: the end to watch, and the end to ring. */
function pair(): [watched: number, bell: number] {
  const ends = new Int32Array(memory(8).buffer);
  assertEquals(c.make_pair(ends), 0);
  return [ends[0]!, ends[1]!];
}

/** A watch that keeps the test alive, and counts. */
function counting(fd: number): FdWatch & { readable: number; closes: number } {
  const counts = { readable: 0, closes: 0 };
  const watch = watchFd(fd, () => void counts.readable++, () => void counts.closes++);
  watch.ref();
  return Object.assign(counts, watch);
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 2000 && !condition(); i++) await sleep(1);
  assert(condition(), "nothing came");
}

describe("watchFd()", () => {
  test("watchFd() calls back for every arrival", async () => {
    const [fd, bell] = pair();
    const watch = counting(fd);
    for (let i = 1; i <= 20; i++) {
      c.ring(bell);
      await until(() => watch.readable === i);
    }
    await sleep(5);
    assertEquals(watch.readable, 20);
    watch.close();
    await watch.closed;
    c.close_fd(bell);
  });

  test("watchFd() loses nothing that came before it was ready", async () => {
    const [fd, bell] = pair();
    c.ring(bell);
    const watch = counting(fd);
    c.ring(bell);
    await until(() => watch.readable > 0);
    watch.close();
    await watch.closed;
    c.close_fd(bell);
  });

  test("watchFd() reads many bytes at once", async () => {
    const [fd, bell] = pair();
    for (let i = 0; i < 250; i++) assertEquals(c.ring(bell), 1);
    const watch = counting(fd);
    await until(() => watch.readable > 0);
    await sleep(5);
    assert(watch.readable < 250);
    while (c.ring(bell) === 1);
    const before = watch.readable;
    await until(() => watch.readable > before);
    await sleep(5);
    assertEquals(c.ring(bell), 1, "the socket was not emptied");
    watch.close();
    await watch.closed;
    c.close_fd(bell);
  });

  test("watchFd() is woken by another thread and sees its end", async () => {
    const [fd, bell] = pair();
    const watch = counting(fd);
    assertEquals(c.ring_from_thread(bell, 20), 0);
    await watch.closed;
    assertGreater(watch.readable, 0);
    assertEquals([watch.closes, c.is_open(fd)], [1, 0]);
    c.thread_join();
  });

  test("close() closes the descriptor, calls onClose and resolves closed", async () => {
    const [fd, bell] = pair();
    const watch = counting(fd);
    await sleep(1);
    watch.close();
    watch.close();
    await watch.closed;
    assertEquals([watch.closes, c.is_open(fd), c.ring(bell)], [1, 0, -1]);
    watch.close();
    watch.ref();
    watch.unref();
    c.close_fd(bell);
  });

  test("close() before the runtime has adopted the descriptor closes it all the same", async () => {
    for (let i = 0; i < 20; i++) {
      const [fd, bell] = pair();
      c.ring(bell);
      const watch = counting(fd);
      watch.close();
      await watch.closed;
      assertEquals([watch.readable, watch.closes, c.is_open(fd)], [0, 1, 0]);
      c.close_fd(bell);
    }
  });

  test("close() works inside onReadable, which is not called again", async () => {
    const [fd, bell] = pair();
    let calls = 0;
    const watch: FdWatch = watchFd(fd, () => {
      calls++;
      watch.close();
      c.ring(bell);
    });
    watch.ref();
    c.ring(bell);
    await watch.closed;
    assertEquals([calls, c.is_open(fd)], [1, 0]);
    c.close_fd(bell);
  });

  test("many watches open and close without a leak", async () => {
    const fds: number[] = [];
    for (let round = 0; round < 10; round++) {
      const all = Array.from({ length: 20 }, () => {
        const [fd, bell] = pair();
        fds.push(fd);
        c.ring(bell);
        return { watch: counting(fd), bell };
      });
      await until(() => all.every(({ watch }) => watch.readable > 0));
      for (const { watch, bell } of all) {
        if (round % 2 === 0) watch.close();
        c.close_fd(bell);
      }
      await Promise.all(all.map(({ watch }) => watch.closed));
      assert(all.every(({ watch }) => watch.closes === 1));
    }
    assertEquals(fds.filter((fd) => c.is_open(fd) === 1).length, 0);
  });

  test("watchFd() throws a RangeError for what is no descriptor", () => {
    for (const fd of [-1, 1.5, NaN, 2 ** 31, "3", null, undefined]) {
      assertThrows(() => watchFd(fd as number, () => {}), RangeError, "Cannot watch file descriptor");
    }
  });

  const endings = {
    unref: "",
    close: "closed",
    ref: "rung\nclosed",
    // An error of onReadable is uncaught, and the watch goes on
    throw: "from onReadable\nrung\nclosed",
  };
  for (const [mode, expected] of Object.entries(endings)) {
    test(`a program with a watch ends as it should in mode ${mode}`, () => {
      assertEquals(runProgram("poll_program.ts", mode, fixturePath), expected);
    });
  }
});
