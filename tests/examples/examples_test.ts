// SPDX-License-Identifier: MIT

/**
 * Every example runs and does what its first line says, with a guest that is played.
 *
 * @module
 */

import { join } from "node:path";
import { test } from "node:test";
import { assertEquals, assertMatch } from "@std/assert";
import { Interface, Network } from "vmnet";
import { arp, ArpOperation, encoded, ethernet, icmp, IcmpType, ipv4, Packet, tcp, udp } from "vmnet/packet";
import { dns } from "vmnet/packet";
import { PlayedGuest } from "../../scripts/played_guest.ts";
import { embeddedOnly, ffiFlags } from "../backend.ts";
import { Client } from "../tools/vmnetd_clients.ts";
import { Program, root, runtimes, Scripts } from "../vmnet/programs.ts";

const skip = await embeddedOnly("examples that start a network of their own in a process of their own");
const MAC = "52:54:00:00:00:01";

/** Runs an example until the test has seen enough. */
async function withExample(name: string, args: string[], look: (program: Program) => Promise<void>): Promise<void> {
  const flags = [...ffiFlags, "--allow-net"];
  const program = new Program(runtimes[0]!, join(root, "examples", `${name}.ts`), args, flags);
  try {
    await look(program);
  } finally {
    program.kill("SIGKILL");
    await program.ending;
  }
}

/** Runs an example that serves a VM, with a played guest that has an address. */
async function withGuest(
  name: string,
  args: string[],
  look: (program: Program, guest: PlayedGuest, client: Client, router: string) => Promise<void>,
): Promise<void> {
  using scripts = new Scripts();
  const path = join(scripts.directory, "vm.sock");
  await withExample(name, [path, ...args], async (program) => {
    await program.line(/^Waiting for a VM/m);
    const client = new Client(path);
    try {
      const guest = new PlayedGuest(MAC, (frame) => client.send(frame));
      client.onFrame = (frame) => guest.receive(frame.slice());
      const { router } = await guest.dhcp();
      await look(program, guest, client, router);
    } finally {
      client.socket.destroy();
    }
  });
}

test("print_packets.ts prints the packets of a VM", { skip }, async () => {
  await withGuest("print_packets", [], async (program) => {
    await program.line(/DHCP discover 52:54:00:00:00:01/);
    await program.line(/DHCP ack 52:54:00:00:00:01/);
  });
});

test("dns_logger.ts prints the names that a VM asks for", { skip }, async () => {
  await withGuest("dns_logger", [], async (program, guest, client, router) => {
    const question = dns({ id: 7, questions: [{ name: "vmnet.example", type: "AAAA" }] });
    const packet = [
      ethernet({ source: MAC, destination: await guest.resolve(router) }),
      ipv4({ source: guest.address, destination: router }),
      udp({ sourcePort: 4000, destinationPort: 53 }),
    ];
    client.send(encoded(...packet, question));
    await program.line(new RegExp(`^${guest.address}: vmnet\\.example AAAA\\?$`, "m"));
  });
});

test("firewall.ts asks who opens a connection for its port", { skip }, async () => {
  await withGuest("firewall", ["80"], async (program, guest, client, router) => {
    const destination = await guest.resolve(router);
    for (const destinationPort of [25, 80]) {
      const to = [ethernet({ source: MAC, destination }), ipv4({ source: guest.address, destination: router })];
      client.send(encoded(...to, tcp({ sourcePort: 4000, destinationPort, syn: true })));
    }
    await program.line(
      new RegExp(`^drop ${guest.address} > ${router}:25\\npass ${guest.address} > ${router}:80$`, "m"),
    );
  });
});

/** A network of this process that others may join, and an interface of it whose frames a function gets. */
async function sharedNetwork(onFrame: (frame: Uint8Array) => void, ipv4Subnet?: string) {
  const network = await Network.create({ mode: "host", ...(ipv4Subnet && { ipv4Subnet }) });
  const { token } = await network.share();
  const nic = await Interface.start({ network });
  (async () => {
    for await (const frame of nic) onFrame(frame);
  })();
  return {
    token,
    nic,
    network,
    [Symbol.asyncDispose]: async () => {
      await nic.stop();
      await network.stop();
    },
  };
}

test("arp_scan.ts finds the machines of a network", { skip }, async () => {
  const guest = new PlayedGuest(MAC, (frame) => nic.tryWrite([frame]));
  await using shared = await sharedNetwork((frame) => guest.receive(frame), "192.168.81.0/28");
  const { nic, token, network } = shared;
  guest.address = "192.168.81.9";
  await withExample("arp_scan", [token], async (program) => {
    const { code, output, errors } = await program.end();
    assertEquals([code, errors], [0, ""]);
    assertMatch(output, /^192\.168\.81\.9 is at 52:54:00:00:00:01$/m);
    assertMatch(output, new RegExp(`^${network.ipv4Gateway} is at `, "m"));
  });
});

test("answer_ping.ts has an address and answers a ping", { skip }, async () => {
  const answers: Packet[] = [];
  await using shared = await sharedNetwork((frame) => answers.push(new Packet(frame)), "192.168.82.0/24");
  const { nic, token } = shared;
  const [here, there] = ["192.168.82.10", "192.168.82.77"];
  await withExample("answer_ping", [there, token], async (program) => {
    const [, mac] = await program.line(/ is at (\S+)$/m);
    const everybody = ethernet({ source: nic.macAddress, destination: "ff:ff:ff:ff:ff:ff" });
    const [data, message] = [Uint8Array.of(1, 2, 3), { identifier: 1, sequence: 2 }];
    await nic.write(encoded(everybody, arp({ senderMac: nic.macAddress, senderIp: here, targetIp: there })));
    const to = [
      ethernet({ source: nic.macAddress, destination: mac! }),
      ipv4({ source: here, destination: there }),
      icmp({ type: IcmpType.echoRequest, ...message }),
    ];
    await nic.write(encoded(...to, data));
    await program.line(new RegExp(`^answered ${here}, 3 bytes$`, "m"));
    const answer = answers.find(({ arp }) => arp?.operation === ArpOperation.reply)?.arp;
    assertEquals([`${answer?.senderIp}`, `${answer?.senderMac}`], [there, mac!]);
    for (let i = 0; i < 100 && !answers.some(({ icmp }) => icmp); i++) {
      await new Promise((done) => setTimeout(done, 20));
    }
    const reply = answers.find(({ icmp }) => icmp)?.icmp;
    assertEquals([reply?.type, reply?.identifier, reply?.sequence, [...reply?.payload ?? []]], [0, 1, 2, [1, 2, 3]]);
  });
});

test("bridged.ts makes two networks one", { skip }, async () => {
  const seen = Promise.withResolvers<void>();
  const hello = encoded(ethernet({ source: MAC, destination: "ff:ff:ff:ff:ff:ff", type: 0x88b5 }), new Uint8Array(46));
  await using left = await sharedNetwork(() => {}, "192.168.83.0/24");
  await using right = await sharedNetwork((frame) => {
    if (frame.length === hello.length && frame[12] === 0x88) seen.resolve();
  }, "192.168.84.0/24");
  await withExample("bridged", [left.token, right.token], async (program) => {
    await program.line(/are one$/m);
    await left.nic.write(hello);
    await seen.promise;
    await program.line(/[1-9]\d* in, \d+ out; /);
  });
});
