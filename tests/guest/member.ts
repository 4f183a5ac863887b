// A process that joins a network and plugs a guest into it: the child of joined_test.ts. Its argument is the token; it
// prints the path of the guest's socket and ends with its input.

import process from "node:process";
import { Interface, Network } from "vmnet";
import { attach } from "./attach.ts";

await using network = await Network.join(process.argv[2] ?? "");
await using nic = await Interface.start({ network });
await using attachment = await attach(nic);
console.log(JSON.stringify({ path: attachment.path, subnet: network.ipv4Subnet }));
await new Promise((resolve) => process.stdin.once("end", resolve).resume());
