// A firewall: who opens a connection is asked for its port, and everybody sees the answer. What is open is not looked at.
//
//   bun examples/firewall.ts /tmp/vm.sock 53 80 443

import process from "node:process";
import { Network, Switch } from "vmnet";
import { Packet } from "vmnet/packet";

const [path = "/tmp/vm.sock", ...ports] = process.argv.slice(2);
await using network = await Network.create({ mode: "shared" });
await using sw = await Switch.create({ uplink: network });
const opens = "tcp[tcpflags] & (tcp-syn | tcp-ack) == tcp-syn or (ip6 proto 6 and ip6[53] & 0x12 == 2)";
const firewall = await sw.intercept({ filter: opens }, (frame) => {
  const { ip, tcp } = new Packet(frame);
  const verdict = ports.includes(`${tcp?.destinationPort}`) ? "pass" : "drop";
  console.log(verdict, `${ip?.source} > ${ip?.destination}:${tcp?.destinationPort}`);
  return verdict;
});
await sw.listen({ kind: "stream", path });
console.log(`Waiting for a VM at ${path}`);
await firewall.done;
