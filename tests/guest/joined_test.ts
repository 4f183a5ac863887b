// A guest whose network belongs to another process, which runs in the other runtime.

import { describe, it } from "node:test";
import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { assertEquals, assertStringIncludes } from "@std/assert";
import { Interface, Network } from "vmnet";
import { runtimeName } from "../../ffi/runtime.ts";
import { isVmnet } from "../backend.ts";
import { delay } from "../vmnet/frames.ts";
import { attach } from "./attach.ts";
import { bootGuest, whyNoGuest } from "./harness.ts";

const outside = process.env.VMNET_TEST_OUTSIDE ?? "";
const other = runtimeName === "bun" ? process.env.VMNET_TEST_DENO : process.env.VMNET_TEST_BUN;
const skip = whyNoGuest() || (!outside ? "runs inside netns.sh" : other ? false : "the other runtime is not here");

describe("Network.join() in another process and another runtime", { skip }, () => {
  it("gives a guest the owner's network: lease, neighbours, the outside, forwards", async () => {
    // The rule on vmnet, which takes it only now; its address is the second guest's by a reservation
    const address = "192.168.64.77";
    const rule = { protocol: "tcp", externalPort: 18090, internalAddress: address, internalPort: 80 } as const;
    await using network = await Network.create({
      mode: "shared",
      ipv4Subnet: "192.168.64.0/24",
      dhcpReservations: [{ mac: "52:54:00:00:00:0b", address }],
      ...(await isVmnet() ? { portForwardingRules: [rule] } : {}),
    });
    await using share = await network.share();
    const member = spawn(other!, [
      ...(runtimeName === "bun" ? ["run", "--allow-all", "--no-check"] : []),
      fileURLToPath(new URL("member.ts", import.meta.url)),
      share.token,
    ], { stdio: ["pipe", "pipe", "inherit"] });
    const ended = once(member, "exit");
    try {
      const [line] = await once(createInterface({ input: member.stdout }), "line");
      const { path, subnet } = JSON.parse(line as string);
      assertEquals(subnet, network.ipv4Subnet);

      await using nic = await Interface.start({ network });
      await using attachment = await attach(nic);
      const [guestHere, guestThere] = await Promise.all([
        bootGuest({ netdev: { kind: "stream", path: attachment.path }, mac: "52:54:00:00:00:0a" }),
        bootGuest({ netdev: { kind: "stream", path }, mac: "52:54:00:00:00:0b" }),
      ]);
      await using here = guestHere!;
      await using there = guestThere!;
      // On a Mac they are read from a file, twice a second
      for (let i = 0; network.currentLeases().length < 2 && i < 20; i++) await delay(100);
      assertEquals(network.currentLeases().map(({ macAddress }) => macAddress).sort(), [
        "52:54:00:00:00:0a",
        "52:54:00:00:00:0b",
      ]);
      await there.sh("echo from there >/www/index.html; httpd -p 80 -h /www");
      assertEquals(await here.sh(`timeout 10 wget -q -O - http://${there.lease!.ip}/`), "from there");
      assertStringIncludes(await there.sh(`ping -c 1 -W 2 ${here.lease!.ip}`), "1 packets received");
      assertStringIncludes(await there.sh(`timeout 10 wget -q -O - http://${outside}/`), "outside");
      assertEquals(there.lease!.ip, address);
      if (!await isVmnet()) await network.addPortForwardingRule(rule);
      const answer = await fetch("http://127.0.0.1:18090/", { signal: AbortSignal.timeout(5000) });
      assertEquals((await answer.text()).trim(), "from there");
      assertEquals(await Promise.all([here.powerOff(), there.powerOff()]), [0, 0]);
    } finally {
      member.stdin.end();
      const [status] = await ended;
      assertEquals(status, 0);
    }
  });
});
