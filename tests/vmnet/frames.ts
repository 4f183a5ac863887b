// SPDX-License-Identifier: MIT

/**
 * Frames for tests: of an experimental type, so that nothing answers them, with a number in them.
 *
 * @module
 */

import { Interface, type InterfaceOptions, Network } from "vmnet";

/** EtherType for local experiments. */
export const EXPERIMENT = 0x88b5;

/** To everybody, so that no address has to be learned. */
const BROADCAST = [255, 255, 255, 255, 255, 255];

/** A broadcast frame with a number at bytes 14 to 17. */
export function numbered(number: number, length = 60): Uint8Array {
  const frame = new Uint8Array(length);
  frame.set([...BROADCAST, 2, 0, 0, 0, 0, 1, EXPERIMENT >> 8, EXPERIMENT & 255]);
  new DataView(frame.buffer).setUint32(14, number);
  return frame;
}

/** The number of a frame, `undefined` if it is somebody else's. */
export function numberOf(frame: Uint8Array): number | undefined {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  return frame.length >= 18 && view.getUint16(12) === EXPERIMENT ? view.getUint32(14) : undefined;
}

/** Two interfaces on a host-mode network without a gateway, so that no frame comes but those of the test. */
export class Pair implements AsyncDisposable {
  readonly network: Network;
  readonly a: Interface;
  readonly b: Interface;

  private constructor(network: Network, a: Interface, b: Interface) {
    [this.network, this.a, this.b] = [network, a, b];
  }

  /** Starts them. */
  static async start(options: Partial<InterfaceOptions> = {}, mtu = 1500): Promise<Pair> {
    const network = await Network.create({ mode: "host", dhcp: false, mtu });
    const start = () => Interface.start({ ...options, network } as InterfaceOptions);
    return new Pair(network, await start(), await start());
  }

  /** Stops them. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.a.stop(), this.b.stop()]);
    await this.network.stop();
  }
}

/** Resolves after a while. */
export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Reads numbered frames, owned, until there are so many. */
export async function numbersOf(nic: Interface, count: number): Promise<number[]> {
  const numbers: number[] = [];
  if (count === 0) return numbers;
  for await (const packet of nic) {
    const number = numberOf(packet);
    if (number !== undefined) numbers.push(number);
    if (numbers.length === count) break;
  }
  return numbers;
}
