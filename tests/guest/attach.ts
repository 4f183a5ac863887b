/**
 * Plugs a guest into an interface: QEMU connects to a unix socket, and every frame goes through the JavaScript loop, as
 * in `tools/vmnetd.ts` but without its options.
 *
 * @module
 */

import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Interface } from "vmnet";
import { encodeStream, StreamDecoder } from "vmnet/framing";

/** A socket that QEMU can connect to, and what passes through it. */
export interface Attachment extends AsyncDisposable {
  /** Path for QEMU's `-netdev stream`. */
  readonly path: string;
  /** Frames from the guest. */
  framesOut: number;
  /** Frames to the guest. */
  framesIn: number;
}

/** Serves one guest at a time on a socket of its own until it is disposed of. */
export async function attach(nic: Interface): Promise<Attachment> {
  const folder = mkdtempSync(join(tmpdir(), "vmnet-test-"));
  const path = join(folder, "guest.sock");
  const stopped = new AbortController();
  let guest: Socket | undefined;
  const attachment: Attachment = {
    path,
    framesOut: 0,
    framesIn: 0,
    async [Symbol.asyncDispose]() {
      stopped.abort();
      guest?.destroy();
      server.close();
      await loop;
      rmSync(folder, { recursive: true, force: true });
    },
  };
  const server = createServer((socket) => {
    guest?.destroy();
    guest = socket;
    const decoder = new StreamDecoder();
    socket.on("error", () => {});
    socket.on("data", (chunk: Uint8Array) => {
      const frames = [...decoder.decode(chunk)];
      attachment.framesOut += frames.length;
      nic.write(frames).catch(() => socket.destroy());
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const loop = (async () => {
    for await (const batch of nic.batches({ signal: stopped.signal })) {
      attachment.framesIn += batch.length;
      if (guest !== undefined && !guest.destroyed) guest.write(encodeStream(batch));
    }
  })().catch(() => {});
  return attachment;
}
