// Forwards into a real guest: UDP and TCP, over IPv4 and IPv6, added and removed while packets flow.

import { after, before, describe, it } from "node:test";
import { createSocket } from "node:dgram";
import { connect } from "node:net";
import { once } from "node:events";
import process from "node:process";
import { assertEquals, assertRejects } from "@std/assert";
import { Interface, Network, type PortForwardingRule } from "vmnet";
import { isVmnet } from "../backend.ts";
import { attach, type Attachment } from "./attach.ts";
import { bootGuest, type Guest, whyNoGuest } from "./harness.ts";

const skip = whyNoGuest({ extra: true }) || (process.env.VMNET_TEST_OUTSIDE ? false : "runs inside netns.sh");

/** Sends a datagram and resolves to the answer, which must come within a second. */
async function overUdp(host: "127.0.0.1" | "::1", port: number, text: string): Promise<string> {
  const socket = createSocket(host === "::1" ? "udp6" : "udp4");
  try {
    const answer = once(socket, "message", { signal: AbortSignal.timeout(1000) });
    socket.send(text, port, host);
    return String((await answer)[0]);
  } finally {
    socket.close();
  }
}

/** Connects, sends a line and resolves to everything that comes back. */
async function overTcp(host: string, port: number, text: string): Promise<string> {
  const socket = connect({ host, port });
  socket.setTimeout(3000, () => socket.destroy(new Error(`${host}:${port} does not answer`)));
  await once(socket, "connect");
  socket.end(text);
  let received = "";
  for await (const chunk of socket) received += chunk;
  return received;
}

describe("forwards into a guest", { skip }, () => {
  let network: Network | undefined;
  let nic: Interface;
  let attachment: Attachment;
  let guest: Guest;
  let guest6 = "";

  before(async () => {
    // On vmnet only the rules of an interface without a network object come and go
    network = await isVmnet() ? undefined : await Network.create({ mode: "shared" });
    nic = await Interface.start(network === undefined ? { mode: "shared" } : { network });
    attachment = await attach(nic);
    guest = await bootGuest({
      netdev: { kind: "stream", path: attachment.path },
      mac: "52:54:00:00:00:01",
      extra: true,
    });
    for (const kind of ["UDP4-RECVFROM", "UDP6-RECVFROM", "TCP4-LISTEN", "TCP6-LISTEN"]) {
      await guest.sh(
        `(socat ${kind}:${kind.includes("4") ? 94 : 96},fork,reuseaddr${
          kind.includes("6") ? ",ipv6only=1" : ""
        } EXEC:cat >/dev/null 2>&1 &)`,
      );
    }
    const probe = "ip -6 addr show dev eth0 scope global | grep inet6 | grep -v tentative";
    for (let i = 0; guest6 === "" && i < 100; i++) {
      guest6 = (await guest.run(probe)).output.match(/inet6 ([0-9a-f:]+)\//)?.[1] ?? "";
      if (guest6 === "") await new Promise((resolve) => setTimeout(resolve, 200));
    }
  });

  after(async () => {
    await guest?.[Symbol.asyncDispose]();
    await attachment?.[Symbol.asyncDispose]();
    await nic?.stop();
    await network?.stop();
  });

  for (const protocol of ["udp", "tcp"] as const) {
    for (const family of [4, 6] as const) {
      it(`${protocol} over IPv${family} comes in as long as the rule stands`, async () => {
        const externalPort = (protocol === "udp" ? 18100 : 18200) + family;
        const internalAddress = family === 4 ? guest.lease!.ip : guest6;
        const rule: PortForwardingRule = { protocol, externalPort, internalAddress, internalPort: 90 + family };
        const talk = (text: string) =>
          protocol === "udp"
            ? overUdp(family === 4 ? "127.0.0.1" : "::1", externalPort, text)
            : overTcp(family === 4 ? "127.0.0.1" : "::1", externalPort, text);
        await nic.addPortForwardingRule(rule);
        assertEquals(await talk("how do you do"), "how do you do");
        assertEquals(await nic.portForwardingRules(), [rule]);
        await nic.removePortForwardingRule({ protocol, externalPort, family: `ipv${family}` });
        await assertRejects(() => talk("anybody there"));
        assertEquals(await nic.portForwardingRules(), []);
      });
    }
  }
});
