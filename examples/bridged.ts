// Two networks become one: every frame of one interface goes out at the other, in C. Counts them once a second.
//
//   bun examples/bridged.ts TOKEN TOKEN      networks of other processes: the tokens of their shares

import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { bridge, Interface, Network } from "vmnet";

const [one, other] = process.argv.slice(2);
await using left = one ? await Network.join(one) : await Network.create({ mode: "host" });
await using right = other
  ? await Network.join(other)
  : await Network.create({ mode: "host", ipv4Subnet: "192.168.77.0/24" });
await using nic = await Interface.start({ network: left });
await using both = await bridge(nic, { kind: "interface", interface: await Interface.start({ network: right }) });
console.log(`${left.ipv4Subnet} and ${right.ipv4Subnet} are one`);

for (;;) {
  await sleep(1000);
  const { ports } = both.stats();
  const names = [left.ipv4Subnet, right.ipv4Subnet];
  console.log(ports.map(({ framesIn, framesOut }, i) => `${names[i]}: ${framesIn} in, ${framesOut} out`).join("; "));
}
