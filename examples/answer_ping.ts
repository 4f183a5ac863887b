// A machine made of a script: it has an address, and answers who asks for it and who pings it.
//
//   bun examples/answer_ping.ts 192.168.64.77 TOKEN      in the network of another process: the token of its share

import process from "node:process";
import { Interface, Network } from "vmnet";
import { arp, ArpOperation, encoded, ethernet, icmp, IcmpType, ipv4, Packet } from "vmnet/packet";

const [address = "192.168.64.77", token] = process.argv.slice(2);
await using network = token ? await Network.join(token) : await Network.create({ mode: "shared" });
await using nic = await Interface.start({ network });
console.log(`${address} is at ${nic.macAddress}`);

for await (const frame of nic) {
  const packet = new Packet(frame);
  const toSender = ethernet({ source: nic.macAddress, destination: packet.ethernet.source });
  if (packet.arp?.operation === ArpOperation.request && packet.arp.targetIp.equals(address)) {
    const { senderMac, senderIp } = packet.arp;
    const here = { operation: ArpOperation.reply, senderMac: nic.macAddress, senderIp: address };
    await nic.write(encoded(toSender, arp({ ...here, targetMac: senderMac, targetIp: senderIp })));
  } else if (packet.icmp?.type === IcmpType.echoRequest && packet.ipv4?.destination.equals(address)) {
    const { identifier, sequence, payload } = packet.icmp;
    const back = ipv4({ source: address, destination: packet.ipv4.source });
    await nic.write(encoded(toSender, back, icmp({ type: IcmpType.echoReply, identifier, sequence }), payload));
    console.log(`answered ${packet.ipv4.source}, ${payload.length} bytes`);
  }
}
