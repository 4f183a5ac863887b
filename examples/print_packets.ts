// Prints every packet of a VM, and gives it a network.
//
//   bun examples/print_packets.ts /tmp/vm.sock
//   deno run --allow-ffi examples/print_packets.ts /tmp/vm.sock
//   qemu-system-x86_64 … -netdev stream,id=n,server=off,addr.type=unix,addr.path=/tmp/vm.sock \
//                        -device virtio-net-pci,netdev=n

import process from "node:process";
import { Network, Switch } from "vmnet";
import { describe } from "vmnet/packet";

await using network = await Network.create({ mode: "shared" });
await using sw = await Switch.create({ uplink: network });
const path = process.argv[2] ?? "/tmp/vm.sock";
const tap = await sw.tap();
await sw.listen({ kind: "stream", path });
console.log(`Waiting for a VM at ${path}`);

for await (const packet of tap) console.log(describe(packet));
