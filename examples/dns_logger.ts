// Prints which names a VM asks for, and what it is told. Everything else passes without being seen here.
//
//   bun examples/dns_logger.ts /tmp/vm.sock
//   qemu-system-x86_64 … -netdev stream,id=n,server=off,addr.type=unix,addr.path=/tmp/vm.sock \
//                        -device virtio-net-pci,netdev=n

import process from "node:process";
import { Network, Switch } from "vmnet";
import { Packet } from "vmnet/packet";

await using network = await Network.create({ mode: "shared" });
await using sw = await Switch.create({ uplink: network });
const path = process.argv[2] ?? "/tmp/vm.sock";
const tap = await sw.tap({ filter: "udp port 53" });
await sw.listen({ kind: "stream", path });
console.log(`Waiting for a VM at ${path}`);

for await (const frame of tap) {
  const { ip, dns } = new Packet(frame);
  for (const { name, type } of dns?.isResponse ? [] : dns?.questions ?? []) {
    console.log(`${ip?.source}: ${name} ${type}?`);
  }
  for (const { name, type, data } of dns?.answers ?? []) console.log(`${ip?.destination}: ${name} ${type} ${data}`);
}
