// Two real guests on one switch over a shared network: one on a stream, one on a datagram endpoint.

import { describe, it } from "node:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { assertEquals, assertGreater, assertNotEquals, assertStringIncludes } from "@std/assert";
import { Network, Switch } from "vmnet";
import { bootGuest, whyNoGuest } from "./harness.ts";

const outside = process.env.VMNET_TEST_OUTSIDE ?? "";

describe("guests on two kinds of sockets", { skip: whyNoGuest() || (outside ? false : "runs inside netns.sh") }, () => {
  it("talk to each other and to the outside", async () => {
    const folder = mkdtempSync(join(tmpdir(), "vmnet-test-"));
    try {
      await using network = await Network.create({ mode: "shared" });
      await using sw = await Switch.create({ uplink: network });
      const [path, datagrams] = [join(folder, "s.sock"), join(folder, "d.sock")];
      await using _stream = await sw.listen({ kind: "stream", path, label: "a" });
      await using _datagram = await sw.listen({ kind: "datagram", path: datagrams, label: "b" });
      const [guestA, guestB] = await Promise.all([
        bootGuest({ netdev: { kind: "stream", path }, mac: "52:54:00:00:00:0a" }),
        bootGuest({
          netdev: { kind: "dgram", path: datagrams, localPath: join(folder, "own.sock") },
          mac: "52:54:00:00:00:0b",
        }),
      ]);
      await using a = guestA!;
      await using b = guestB!;
      assertNotEquals(a.lease!.ip, b.lease!.ip);
      assertStringIncludes(await a.sh(`ping -c 3 -i 0.2 -W 2 ${b.lease!.ip}`), "3 packets received");
      // A page of 4 MB either way, whose every byte arrives
      for (const [from, to] of [[a, b], [b, a]] as const) {
        await from.sh("dd if=/dev/urandom of=/www/big bs=65536 count=64 2>/dev/null; httpd -p 80 -h /www");
        const sum = (await from.sh("md5sum </www/big")).slice(0, 32);
        const got = await to.sh(`timeout 60 wget -q -O - http://${from.lease!.ip}/big | md5sum`);
        assertEquals(got.slice(0, 32), sum);
      }
      for (const guest of [a, b]) {
        assertStringIncludes(await guest.sh(`timeout 10 wget -q -O - http://${outside}/`), "outside");
      }
      const { ports, dropped } = sw.stats();
      assertEquals(ports.map(({ label }) => label).filter(Boolean).sort(), ["a", "b"]);
      assertEquals([dropped.bad, dropped.tooLong, dropped.offload], [0, 0, 0]);
      for (const port of ports) assertGreater(port.framesIn, 0);
      assertEquals(await Promise.all([a.powerOff(), b.powerOff()]), [0, 0]);
      await sw.stop();
      assertEquals(readdirSync(folder).filter((name) => name !== "own.sock"), []);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
