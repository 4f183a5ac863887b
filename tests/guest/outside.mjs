// SPDX-License-Identifier: MIT

// The outside's small services, run by netns.sh in a namespace of their own: DNS on port 53 (UDP and TCP), which knows
// the name example.test only, and echo on port 7 (UDP and TCP).

import dgram from "node:dgram";
import net from "node:net";
import process from "node:process";

const name = process.env.VMNET_TEST_OUTSIDE_NAME;
const A = 1;
const AAAA = 28;
const NXDOMAIN = 3;

const addresses = {
  [A]: Buffer.from(process.env.VMNET_TEST_OUTSIDE.split(".").map(Number)),
  // 2001:db8:1::7
  [AAAA]: Buffer.from("20010db8000100000000000000000007", "hex"),
};

/** The answer to a query with one question, or undefined when it is none. */
function answer(query) {
  if (query.length < 17) return undefined;
  const labels = [];
  let at = 12;
  while (query[at]) {
    if (query[at] > 63 || at + query[at] >= query.length) return undefined;
    labels.push(query.toString("latin1", at + 1, at + 1 + query[at]));
    at += 1 + query[at];
  }
  if (at + 5 > query.length) return undefined;
  const question = query.subarray(12, at + 5);
  const known = labels.join(".").toLowerCase() === name;
  const address = known ? addresses[query.readUInt16BE(at + 1)] : undefined;
  const header = Buffer.alloc(12);
  query.copy(header, 0, 0, 2);
  // Response, recursion available; recursion desired as in the query.
  header.writeUInt16BE(0x8080 | (query.readUInt16BE(2) & 0x0100) | (known ? 0 : NXDOMAIN), 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(address ? 1 : 0, 6);
  if (!address) return Buffer.concat([header, question]);
  const record = Buffer.alloc(12);
  // The name is the one at offset 12.
  record.writeUInt16BE(0xc00c, 0);
  question.copy(record, 2, question.length - 4);
  record.writeUInt32BE(60, 6);
  record.writeUInt16BE(address.length, 10);
  return Buffer.concat([header, question, record, address]);
}

function serveUdp(port, reply) {
  const socket = dgram.createSocket({ type: "udp6" });
  socket.on("message", (message, from) => {
    const response = reply(message);
    if (response) socket.send(response, from.port, from.address);
  });
  socket.bind(port, "::");
}

function serveDnsOverTcp(connection) {
  let rest = Buffer.alloc(0);
  connection.on("data", (data) => {
    rest = Buffer.concat([rest, data]);
    while (rest.length >= 2 && rest.length >= 2 + rest.readUInt16BE(0)) {
      const end = 2 + rest.readUInt16BE(0);
      const response = answer(rest.subarray(2, end));
      rest = rest.subarray(end);
      if (!response) return connection.destroy();
      const length = Buffer.alloc(2);
      length.writeUInt16BE(response.length);
      connection.write(Buffer.concat([length, response]));
    }
  });
}

function serveTcp(port, serve) {
  net.createServer({ allowHalfOpen: true }, (connection) => {
    connection.on("error", () => {}).on("end", () => connection.end());
    serve(connection);
  }).listen(port, "::");
}

serveUdp(53, answer);
serveUdp(7, (message) => message);
serveTcp(53, serveDnsOverTcp);
serveTcp(7, (connection) => connection.pipe(connection));
