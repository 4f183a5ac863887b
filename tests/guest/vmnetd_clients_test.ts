// tools/vmnetd.ts in the place of socket_vmnet and vmnet-helper: real guests on a stream and on datagrams at once, one
// client that never reads, broadcasts, what is changed while it runs, a capture, and a daemon that is killed.

import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { once } from "node:events";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { assert, assertEquals, assertGreater, assertMatch, assertStringIncludes } from "@std/assert";
import { dlopen, ptr } from "vmnet/ffi";
import { encodeStream } from "vmnet/framing";
import { runtimeName } from "../../ffi/runtime.ts";
import { isVmnet } from "../backend.ts";
import { delay, numbered } from "../vmnet/frames.ts";
import { bootGuest, whyNoGuest } from "./harness.ts";

const outside = process.env.VMNET_TEST_OUTSIDE ?? "";
const skip = whyNoGuest() || (outside ? false : "runs inside netns.sh");

const program = [
  ...(runtimeName === "deno" ? ["run", "--allow-all", "--no-check"] : []),
  fileURLToPath(new URL("../../tools/vmnetd.ts", import.meta.url)),
];

const MAC_A = "52:54:00:00:00:0a";
const MAC_B = "52:54:00:00:00:0b";
const IP_A = "192.168.61.10";

/** A daemon by a command line. */
async function start(...words: string[]) {
  const child = spawn(process.execPath, [...program, "--json", ...words], { stdio: ["ignore", "pipe", "inherit"] });
  const events: Record<string, unknown>[] = [];
  const lines = createInterface({ input: child.stdout });
  lines.on("line", (line) => events.push(JSON.parse(line)));
  const ended = once(child, "exit");
  for (const until = Date.now() + 20_000; !events.some(({ event }) => event === "control"); await delay(10)) {
    assert(Date.now() < until && child.exitCode === null, "it does not listen");
  }
  // Not child.kill(): Deno then reports the signal that was sent, whatever the child did about it
  const end = async (signal: "SIGTERM" | "SIGKILL") => {
    if (child.exitCode === null && child.signalCode === null) process.kill(child.pid!, signal);
    return await ended;
  };
  return { events, end };
}

/** Runs a command of vmnetd. */
async function command(socket: string, ...words: string[]): Promise<string> {
  const child = spawn(process.execPath, [...program, ...words, "--socket", socket], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (chunk) => text += chunk);
  assertEquals((await once(child, "close"))[0], 0, words.join(" "));
  return text;
}

/** A descriptor that is connected to a unix socket, as socket_vmnet_client hands it over. */
function connectedDescriptor(path: string): { fd: number; close: () => void } {
  const { symbols, close } = dlopen("libc.so.6", {
    socket: { args: ["i32", "i32", "i32"], returns: "i32" },
    connect: { args: ["i32", "ptr", "u32"], returns: "i32" },
    close: { args: ["i32"], returns: "i32" },
  });
  const address = new Uint8Array(110);
  address[0] = 1; // AF_UNIX
  address.set(new TextEncoder().encode(path), 2);
  const fd = symbols.socket(1, 1, 0) as number;
  assertEquals(symbols.connect(fd, ptr(address), address.length), 0);
  // Deno closes what it hands over
  return { fd, close: () => (runtimeName === "bun" && symbols.close(fd), close()) };
}

describe("vmnetd's clients", { skip }, () => {
  it("are served on a stream and on datagrams while one of them never reads", async () => {
    const folder = mkdtempSync(join(tmpdir(), "vn-"));
    const at = (name: string) => join(folder, name);
    const [stream, datagram] = [at("vm.sock"), at("gram.sock")];
    // socket_vmnet's own words, and what it does not have
    const words = ["--vmnet-mode=shared", "--vmnet-gateway=192.168.61.1", "--vmnet-dhcp-end=192.168.61.254"];
    const own = ["--datagram", datagram, "--capture", at("all.pcapng"), "--reserve", `${MAC_A}=${IP_A}`];
    const line = [...words, "--vmnet-mask=255.255.255.0", `--pidfile=${at("pid")}`, ...own, stream];
    let daemon = await start(...line);
    const flooding = new AbortController();
    try {
      const handed = connectedDescriptor(stream);
      const [guestA, guestB] = await Promise.all([
        bootGuest({ netdev: { kind: "words", words: "socket,id=net,fd=3", fd: handed.fd }, mac: MAC_A }),
        bootGuest({ netdev: { kind: "dgram", path: datagram, localPath: at("b.sock") }, mac: MAC_B }),
      ]);
      handed.close();
      await using a = guestA!;
      await using b = guestB!;
      assertEquals(a.lease!.ip, IP_A);

      const deaf = connect(stream);
      deaf.pause();
      deaf.on("error", () => {});
      deaf.write(encodeStream([numbered(1)]));
      const loud = connect(stream);
      loud.on("error", () => {});
      loud.resume();
      const broadcasts = encodeStream(Array.from({ length: 32 }, (_, i) => numbered(i, 1514)));
      const flood = (async () => {
        while (!flooding.signal.aborted) {
          if (!loud.write(broadcasts)) await once(loud, "drain");
          await delay(10); // what two emulated guests can stand
        }
      })();

      assertStringIncludes(await a.sh(`ping -c 3 -W 5 ${b.lease!.ip}`), "3 packets received");
      assertStringIncludes(await b.sh(`ping -c 3 -W 5 ${IP_A}`), "3 packets received");
      await a.sh("mkdir -p /www; dd if=/dev/zero of=/www/big bs=1024 count=1024 2>/dev/null; httpd -p 80 -h /www");
      assertEquals(await b.sh(`timeout 25 wget -q -O - http://${IP_A}/big | wc -c`), "1048576");
      for (const guest of [a, b]) {
        assertStringIncludes(await guest.sh(`timeout 10 wget -q -O - http://${outside}/`), "outside");
      }
      await a.sh("echo from a >/www/index.html");
      // vmnet takes rules only when a network is created
      if (!await isVmnet()) {
        await command(stream, "forward", "add", `tcp:18310:${IP_A}:80`);
        const answer = await fetch("http://127.0.0.1:18310/", { signal: AbortSignal.timeout(10_000) });
        assertEquals((await answer.text()).trim(), "from a");
        await command(stream, "forward", "remove", "tcp:18310");
      }

      const status = await command(stream, "status");
      assertMatch(status, new RegExp(`stream vm\\.sock +${MAC_A} +${IP_A}`));
      assertMatch(status, new RegExp(`datagram gram\\.sock +${MAC_B} +${b.lease!.ip}`));
      const { networks: [network] } = JSON.parse(await command(stream, "status", "--json"));
      const full = network.clients.filter((client: { droppedFull?: number }) => (client.droppedFull ?? 0) > 0);
      assertEquals(full.length, 1, "the deaf one, and nobody else, has missed frames");
      assert(daemon.events.some(({ event }) => event === "stalled"));
      flooding.abort();
      await flood;
      deaf.destroy();
      loud.destroy();

      // Killed at once, it leaves nothing that disturbs the next one, and a guest on datagrams goes on
      assertEquals(await daemon.end("SIGKILL"), [null, "SIGKILL"]);
      assert(existsSync(stream));
      daemon = await start(...line.filter((word) => word !== "--capture" && word !== at("all.pcapng")));
      await command(stream, "capture", "start", at("again.pcapng"), "--filter", "icmp");
      assertStringIncludes(await b.sh("ping -c 3 -W 5 192.168.61.1"), "3 packets received");
      await command(stream, "capture", "stop", at("again.pcapng"));
      a.kill(); // its descriptor has ended with the daemon that was killed
      assertEquals(await b.powerOff(), 0);
      const begin = Date.now();
      assertEquals(await daemon.end("SIGTERM"), [0, null]);
      assertGreater(5000, Date.now() - begin);
      assert(!existsSync(stream) && !existsSync(datagram) && !existsSync(at("pid")));

      if (spawnSync("tshark", ["--version"]).status !== 0) return;
      const count = (file: string, filter: string) => {
        const { stdout } = spawnSync("tshark", ["-r", at(file), "-Y", filter], {
          encoding: "utf8",
          maxBuffer: 1 << 28,
        });
        return stdout.trimEnd().split("\n").filter(Boolean).length;
      };
      assertEquals(count("again.pcapng", "icmp.type == 8"), 3);
      assertEquals(count("again.pcapng", "not icmp"), 0);
      // The file of the daemon that was killed ends somewhere; what is there can be read
      assertGreater(count("all.pcapng", `dhcp && eth.src == ${MAC_B}`), 1);
      assertGreater(count("all.pcapng", "http.request"), 2);
    } finally {
      flooding.abort();
      await daemon.end("SIGKILL");
      rmSync(folder, { recursive: true });
    }
  });
});
