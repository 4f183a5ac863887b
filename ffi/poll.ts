// SPDX-License-Identifier: MIT

/**
 * Waiting for a file descriptor that native code made.
 *
 * Theory of operation: native code cannot call into JavaScript from a thread
 * of its own without blocking that thread (Deno) or trusting the engine with
 * it (Bun). A socket needs neither: the native thread sends one byte and goes
 * on, the runtime's event loop, which waits on epoll or kqueue anyway, wakes
 * up, and JavaScript asks the library by a plain call what there is.
 *
 * No single API adopts a descriptor everywhere, and the wrong one fails
 * silently: Deno and Node.js take it with `new net.Socket({ fd })`, Bun with
 * `Bun.connect({ fd })`. The only object that both accept on Linux and macOS
 * is a socket, therefore the descriptor must be one end of an `AF_UNIX`,
 * `SOCK_STREAM` socket pair, with `O_NONBLOCK` set.
 *
 * @module
 */

import { builtin, runtimeName } from "./runtime.ts";

/**
 * A watched file descriptor, made by {@linkcode watchFd}.
 *
 * @example Usage
 * ```ts ignore
 * import { watchFd } from "vmnet/ffi";
 *
 * const watch = watchFd(fd, () => console.log("readable"));
 * watch.ref(); // keep the program alive while waiting
 * watch.close();
 * await watch.closed;
 * ```
 */
export interface FdWatch {
  /** Keeps the program alive as long as the watch is open. */
  ref(): void;
  /** Lets the program end although the watch is open, which is the start. */
  unref(): void;
  /** Closes the descriptor and ends the watch. Repeated calls do nothing. */
  close(): void;
  /** Resolves when the descriptor is closed, by either side. Never rejects. */
  readonly closed: Promise<void>;
}

/** The part of a Bun socket that this file uses. */
interface BunSocket {
  ref(): void;
  unref(): void;
  terminate(): void;
}

/** The part of the `Bun` namespace that this file uses. */
interface BunNamespace {
  connect(options: {
    fd: number;
    socket: {
      open(socket: BunSocket): void;
      data(): void;
      close(): void;
      error(): void;
    };
  }): Promise<BunSocket>;
}

/** What an adapter tells the watch. */
interface Events {
  readable(): void;
  closed(): void;
}

/** What the watch asks of an adapter. */
interface Adapter {
  ref(): void;
  unref(): void;
  close(): void;
}

/**
 * The bytes carry no meaning, so all of them go to the same few that nobody
 * reads. Native code keeps at most a handful in flight.
 */
const discarded = new Uint8Array(256);

function adoptWithNode(fd: number, events: Events): Adapter {
  const { Socket } = builtin("node:net");
  const socket = new Socket({
    fd,
    readable: true,
    writable: false,
    onread: {
      buffer: discarded,
      callback(): boolean {
        events.readable();
        return true;
      },
    },
  });
  // An error is always followed by "close", which is all that is needed
  socket.on("error", () => {});
  socket.on("close", () => events.closed());
  socket.unref();
  socket.resume();
  return {
    ref: () => void socket.ref(),
    unref: () => void socket.unref(),
    close: () => void socket.destroy(),
  };
}

function adoptWithBun(fd: number, events: Events): Adapter {
  const { Bun: bun } = globalThis as unknown as { Bun: BunNamespace };
  let socket: BunSocket | undefined;
  let wantsRef = false;
  let wantsClose = false;
  // Bun answers later, until then wishes are noted and carried out here
  function opened(adopted: BunSocket): void {
    if (socket !== undefined) return;
    socket = adopted;
    if (wantsClose) return socket.terminate();
    if (!wantsRef) socket.unref();
  }
  bun.connect({
    fd,
    socket: {
      open: opened,
      data: () => events.readable(),
      close: () => events.closed(),
      error() {},
    },
  }).then(opened, () => events.closed());
  return {
    ref() {
      wantsRef = true;
      socket?.ref();
    },
    unref() {
      wantsRef = false;
      socket?.unref();
    },
    close() {
      wantsClose = true;
      socket?.terminate();
    },
  };
}

/**
 * Watches one end of a socket pair and calls back whenever bytes arrive.
 *
 * The descriptor must be one end of a non-blocking `AF_UNIX`, `SOCK_STREAM`
 * socket pair. From this call on the runtime owns it and closes it, nobody
 * else may. Arriving bytes are thrown away: they mean only "look". One call of
 * `onReadable` may stand for many bytes, and no byte goes without a call.
 *
 * The watch starts unref'd: it does not keep the program alive until
 * {@linkcode FdWatch.ref} is called. An error thrown by a callback ends
 * nothing here and is reported as an uncaught error. No permission is needed.
 *
 * @param fd The descriptor.
 * @param onReadable Called after bytes have arrived.
 * @param onClose Called once when the descriptor is closed, whether by
 * {@linkcode FdWatch.close} or because the other end has gone.
 * @returns The watch.
 * @throws {RangeError} If `fd` is not a descriptor number.
 * @throws {Error} If the runtime does not accept `fd`. Bun, which adopts it
 * later, closes the watch instead.
 *
 * @example Usage
 * ```ts ignore
 * import { dlopen, watchFd } from "vmnet/ffi";
 *
 * const { symbols } = dlopen("./libdoorbell.so", {
 *   doorbell: { args: [], returns: "i32" },
 *   poll: { args: [], returns: "i32" },
 * });
 * const watch = watchFd(symbols.doorbell(), () => symbols.poll());
 * watch.ref();
 * ```
 */
export function watchFd(
  fd: number,
  onReadable: () => void,
  onClose?: () => void,
): FdWatch {
  if (!Number.isInteger(fd) || fd < 0 || fd > 0x7fffffff) {
    throw new RangeError(
      `Cannot watch file descriptor: expected a non-negative integer, got ${String(fd)}`,
    );
  }
  let closing = false;
  let isClosed = false;
  let resolve: () => void;
  const closed = new Promise<void>((done) => resolve = done);
  const adopt = runtimeName === "bun" ? adoptWithBun : adoptWithNode;
  const adapter = adopt(fd, {
    readable() {
      if (!closing) callSafely(onReadable);
    },
    closed() {
      if (isClosed) return;
      isClosed = closing = true;
      if (onClose !== undefined) callSafely(onClose);
      resolve();
    },
  });
  return {
    ref() {
      if (!closing) adapter.ref();
    },
    unref() {
      if (!closing) adapter.unref();
    },
    close() {
      if (closing) return;
      closing = true;
      adapter.close();
    },
    closed,
  };
}

/**
 * Calls a user's function. What it throws must reach the user, but inside the
 * runtimes' socket handlers an error is taken for one of the socket (Bun) or
 * leaves the socket without its next read (Deno), so it is thrown from a
 * task of its own.
 */
function callSafely(callback: () => void): void {
  try {
    callback();
  } catch (error) {
    setTimeout(() => {
      throw error;
    }, 0);
  }
}
