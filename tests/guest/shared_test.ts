// One real guest on a shared network: lease, gateway, names, the outside, forwards, a gateway that is killed.

import { after, before, describe, it } from "node:test";
import { readdirSync, readFileSync } from "node:fs";
import process from "node:process";
import { assert, assertEquals, assertGreater, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { Interface, type LeaseEvent, Network } from "vmnet";
import { isVmnet } from "../backend.ts";
import { attach, type Attachment } from "./attach.ts";
import { bootGuest, type Guest, whyNoGuest } from "./harness.ts";

const mac = "52:54:00:00:00:01";
const outside = process.env.VMNET_TEST_OUTSIDE ?? "";
const outside6 = process.env.VMNET_TEST_OUTSIDE6 ?? "";
const outsideName = process.env.VMNET_TEST_OUTSIDE_NAME ?? "";
const outsidePage = process.env.VMNET_TEST_OUTSIDE_PAGE ?? "";

/** Processes that this one started and that have this name. */
function children(name: string): number[] {
  return readdirSync("/proc").filter((entry) => /^\d+$/.test(entry)).map(Number).filter((pid) => {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      const [, program, rest] = stat.match(/^\d+ \((.*)\) (.*)$/s)!;
      return program === name && Number(rest!.split(" ")[1]) === process.pid && !rest!.startsWith("Z");
    } catch {
      return false;
    }
  });
}

/** vmnet decides how long a lease lasts, and takes rules for its networks only when they are created. */
const onVmnet = await isVmnet();
const tcp = { protocol: "tcp", externalPort: 18081, internalAddress: "192.168.50.77", internalPort: 80 } as const;

async function page(url: string): Promise<string> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(5000), headers: { connection: "close" } });
  return (await answer.text()).trim();
}

async function until(what: string, probe: () => Promise<boolean> | boolean, timeoutMs = 10_000): Promise<number> {
  const start = performance.now();
  for (;;) {
    if (await probe()) return performance.now() - start;
    if (performance.now() - start > timeoutMs) throw new Error(`Waited ${timeoutMs} ms in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe("a guest on a shared network", { skip: whyNoGuest() || (outside ? false : "runs inside netns.sh") }, () => {
  let network: Network;
  let nic: Interface;
  let attachment: Attachment;
  let guest: Guest;
  const leases: LeaseEvent[] = [];
  const following = new AbortController();

  before(async () => {
    network = await Network.create({
      mode: "shared",
      ipv4Subnet: "192.168.50.0/24",
      mtu: 1400,
      portForwardingRules: [tcp],
      ...(onVmnet ? {} : { leaseSeconds: 1800 }),
      dhcpReservations: [{ mac, address: "192.168.50.77" }],
    });
    (async () => {
      for await (const event of network.leases({ signal: following.signal })) leases.push(event);
    })();
    nic = await Interface.start({ network });
    attachment = await attach(nic);
    guest = await bootGuest({ netdev: { kind: "stream", path: attachment.path }, mac });
    await guest.sh("httpd -p 80 -h /www");
  });

  after(async () => {
    following.abort();
    await guest?.[Symbol.asyncDispose]();
    await attachment?.[Symbol.asyncDispose]();
    await nic?.stop();
    await network?.stop();
  });

  it("DHCP honours the reservation, the lease time and the MTU", async () => {
    assertEquals(guest.lease?.ip, "192.168.50.77");
    assertEquals(guest.lease?.mask, 24);
    assertEquals(guest.lease?.router, ["192.168.50.1"]);
    assertEquals(guest.lease?.leaseSeconds, onVmnet ? 86400 : 1800);
    assertEquals(guest.lease?.mtu, 1400);
    assertStringIncludes(await guest.sh("ip link show eth0"), "mtu 1400");
  });

  it("Network.leases() tells of the lease", async () => {
    await until("a lease event", () => leases.length > 0);
    assertEquals(leases[0]?.macAddress, mac);
    assertEquals(leases[0]?.address, "192.168.50.77");
    assertEquals(network.currentLeases().map(({ address }) => address), ["192.168.50.77"]);
  });

  it("the gateway answers ping", async () => {
    assertStringIncludes(await guest.sh("ping -c 2 -W 2 192.168.50.1"), "2 packets received");
  });

  it("names are resolved", async () => {
    assertStringIncludes((await guest.run(`nslookup ${outsideName}`)).output, outside);
  });

  it("TCP reaches the outside over IPv4, by address and by name", async () => {
    assertEquals(await guest.sh(`timeout 10 wget -q -O - http://${outside}/`), outsidePage);
    assertEquals(await guest.sh(`timeout 10 wget -q -O - http://${outsideName}/`), outsidePage);
  });

  it("TCP reaches the outside over IPv6 after a router advertisement", async () => {
    // While the guest still asks whether somebody else has the address it would send from its link-local one
    const probe = "ip -6 addr show dev eth0 scope global | grep inet6 | grep -vc tentative";
    await until("a global address", async () => Number((await guest.run(probe)).output) > 0, 20_000);
    assertMatch(await guest.sh("cat /proc/sys/net/ipv6/conf/eth0/mtu"), /^1400$/);
    assertEquals(await guest.sh(`timeout 10 wget -q -O - "http://[${outside6}]/"`), outsidePage);
  });

  it("a rule that was given to Network.create() lets TCP in", async () => {
    assertEquals(await page("http://127.0.0.1:18081/"), "hello from guest");
    assertEquals(await network.portForwardingRules(), [tcp]);
  });

  it("Interface.addPortForwardingRule() lets TCP in, and removePortForwardingRule() ends it", {
    skip: onVmnet && "vmnet takes a network's rules only when it is created",
  }, async () => {
    const rule = { ...tcp, externalPort: 18083 };
    await assertRejects(() => page("http://127.0.0.1:18083/"));
    await nic.addPortForwardingRule(rule);
    assertEquals(await page("http://127.0.0.1:18083/"), "hello from guest");
    assertEquals(await network.portForwardingRules(), [tcp, rule]);
    await assertRejects(() => nic.addPortForwardingRule(rule));
    await nic.removePortForwardingRule({ protocol: "tcp", externalPort: 18083 });
    await assertRejects(() => page("http://127.0.0.1:18083/"));
    await assertRejects(() => nic.removePortForwardingRule({ protocol: "tcp", externalPort: 18083 }));
    assertEquals(await network.portForwardingRules(), [tcp]);
  });

  it("a gateway that is killed comes back within a second with leases and forwards", {
    skip: onVmnet && "vmnet has no gateway program",
  }, async () => {
    await network.addPortForwardingRule({
      protocol: "tcp",
      externalPort: 18082,
      internalAddress: "192.168.50.77",
      internalPort: 80,
    });
    assertEquals(await page("http://127.0.0.1:18082/"), "hello from guest");
    const before = children("vmnet-gateway");
    assertEquals(before.length, 1);
    process.kill(before[0]!, "SIGKILL");
    const reach = () => page("http://127.0.0.1:18082/").then((text) => text === "hello from guest", () => false);
    const tookMs = await until("the forward", reach);
    assert(tookMs < 1000, `the forward was back after ${Math.round(tookMs)} ms`);
    assertEquals(children("vmnet-gateway").length, 1);
    assertEquals(network.currentLeases().map(({ address }) => address), ["192.168.50.77"]);
    assertStringIncludes(await guest.sh("ping -c 1 -W 2 192.168.50.1"), "1 packets received");
    assertEquals(await guest.sh(`timeout 10 wget -q -O - http://${outside}/`), outsidePage);
    // The server took the address over, too: the guest renews and keeps what it has
    assertMatch(await guest.sh("udhcpc -i eth0 -f -q -n -t 5 -T 1 -s /dhcp.sh"), /ip=192\.168\.50\.77 /);
  });

  it("every frame went through the script", () => {
    assertGreater(attachment.framesIn, 20);
    assertGreater(attachment.framesOut, 20);
    const { framesIn, framesOut, droppedIn, droppedOut } = nic.stats();
    assertEquals(framesIn, attachment.framesIn);
    assertEquals(framesOut, attachment.framesOut);
    assertEquals(droppedIn, 0);
    assertEquals(droppedOut, 0);
  });

  it("the guest powers off and nothing is left", async () => {
    assertEquals(await guest.powerOff(), 0);
    await attachment[Symbol.asyncDispose]();
    await nic.stop();
    await network.stop();
    await until("the end of the gateway", () => children("vmnet-gateway").length === 0, 2000);
  });
});
