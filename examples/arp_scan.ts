// Asks for every address of a network who has it, and prints the answers of a second.
//
//   bun examples/arp_scan.ts            a network of its own, where the gateway answers
//   bun examples/arp_scan.ts TOKEN      the network of another process: the token of its share

import process from "node:process";
import { Interface, Network } from "vmnet";
import { arp, ArpOperation, encoded, ethernet, Ipv4Address, Packet } from "vmnet/packet";

const token = process.argv[2];
await using network = token ? await Network.join(token) : await Network.create({ mode: "shared" });
await using nic = await Interface.start({ network });

const [base = "", length] = network.ipv4Subnet!.split("/");
const first = Ipv4Address.parse(base).value;
for (let i = 1; i < 2 ** (32 - Number(length)) - 1; i++) {
  const question = arp({ senderMac: nic.macAddress, senderIp: "0.0.0.0", targetIp: new Ipv4Address(first + i) });
  await nic.write(encoded(ethernet({ source: nic.macAddress, destination: "ff:ff:ff:ff:ff:ff" }), question));
}

for await (const batch of nic.batches({ signal: AbortSignal.timeout(1000) })) {
  for (const frame of batch) {
    const { arp } = new Packet(frame);
    if (arp?.operation === ArpOperation.reply) console.log(`${arp.senderIp} is at ${arp.senderMac}`);
  }
}
