// SPDX-License-Identifier: MIT

/**
 * Serves VMs on sockets: one or several networks, whose frames move in native code, while this program keeps control.
 *
 *     deno run -A tools/vmnetd.ts --socket /tmp/vm.sock
 *     qemu-system-x86_64 … -netdev stream,id=n,server=off,addr.type=unix,addr.path=/tmp/vm.sock -device virtio-net-pci,netdev=n
 *     deno run -A tools/vmnetd.ts status --socket /tmp/vm.sock
 *
 * It speaks the stream framing of QEMU, socket_vmnet and libkrun, a length of 4 bytes before each frame, and the
 * datagrams of vfkit and krunkit. docs/vmnetd.md has the command lines of each.
 *
 * Theory of operation: a network is a Network and its Switch, with an endpoint for each socket; no frame is seen here.
 * A client that does not read has a queue of its own, which fills up and drops its own frames, which are counted; no
 * client waits for another. The control socket answers questions and changes what runs (_vmnetd_control.ts has the
 * protocol, _vmnetd_daemon.ts what can be asked, _vmnetd_config.ts the options). The end is bounded: what does not stop
 * in time is left to the end of the process, which the library's own program notices.
 *
 * @module
 */

import { rmSync, writeFileSync } from "node:fs";
import process from "node:process";
import { main, printer, readOptions, UsageError, type Values } from "./_cli.ts";
import { daemonSettings, networkSettings, readConfig } from "./_vmnetd_config.ts";
import { foreignSettings, helperLine, translate } from "./_vmnetd_words.ts";

const NAME = "vmnetd";

const ABOUT = `Serves VMs on unix sockets: with QEMU's stream framing, or a frame in a datagram.
"${NAME} status" and other commands ask a daemon that runs: see "${NAME} status --help".`;

/** How long the end may take. */
const STOP_MS = 10_000;

function writePid(file: string): void {
  try {
    writeFileSync(file, `${process.pid}\n`);
  } catch (error) {
    throw new Error(`Cannot write --pidfile "${file}": ${(error as Error).message}`);
  }
}

async function serve(given: Values): Promise<void> {
  const { values, helper } = translate(given);
  const config = readConfig(values);
  const json = values["json"] === true;
  // Here, so that --help and what is wrong are told without the library
  const [{ Daemon }, { interrupted }] = await Promise.all([import("./_vmnetd_daemon.ts"), import("vmnet")]);
  const waiting = new AbortController();
  const signal = interrupted({ signal: waiting.signal });
  signal.catch(() => {}); // something else was the reason
  // Where standard output is somebody else's
  const print = printer(json, helper !== undefined || config.capture?.file === "-" ? console.error : console.log);
  const daemon = await Daemon.start(config, print);
  let timer: ReturnType<typeof setInterval> | undefined;
  try {
    if (config.pidfile !== undefined) writePid(config.pidfile);
    if (helper !== undefined) {
      const { network, nic, sw } = daemon.networks[0]!;
      console.log(await helperLine(helper, network, nic, sw.maxPacketSize));
    }
    const { statsInterval } = config;
    if (statsInterval) timer = setInterval(() => daemon.printStats(), statsInterval * 1000);
    print("stopping", { signal: await Promise.race([signal, daemon.ending]) });
    daemon.printStats();
  } finally {
    clearInterval(timer);
    waiting.abort();
    const watchdog = setTimeout(() => {
      console.error(`${NAME}: the end took longer than ${STOP_MS} ms`);
      process.exit(1);
    }, STOP_MS);
    if (config.pidfile !== undefined) rmSync(config.pidfile, { force: true });
    await daemon.stop();
    clearTimeout(watchdog);
  }
}

await main(NAME, async () => {
  const args = process.argv.slice(2);
  if (args[0] !== undefined && !args[0].startsWith("-")) {
    const { commands, runCommand } = await import("./_vmnetd_commands.ts");
    if (commands.includes(args[0])) return await runCommand(NAME, args);
    if (!args[0].includes("/")) {
      throw new UsageError(`COMMAND takes ${commands.join(", ")}, not "${args[0]}"; a socket here is ./${args[0]}`);
    }
  }
  const settings = { ...networkSettings, ...daemonSettings, ...foreignSettings };
  await serve(readOptions(NAME, ABOUT, settings, { operands: "[SOCKET]" }));
});
