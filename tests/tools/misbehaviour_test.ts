// SPDX-License-Identifier: MIT

// What the tools do when others misbehave: daemons that are none, readers that go away, people who type anything.

import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { harmless, jsonOf } from "../../tools/_cli.ts";
import { table } from "../../tools/_terminal.ts";
import { Program, root, runtimes, Scripts } from "../vmnet/programs.ts";

const at = (tool: string): string => join(root, "tools", `${tool}.ts`);

const EVIL = "\x1b]0;x\x07\x1b[31m\x9b31m\u202e";

/** Whether a terminal would obey something in it. */
// deno-lint-ignore no-control-regex
const obeys = (text: string): boolean => /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/.test(text);

/** Something at a path that is no vmnetd. */
class FakeDaemon implements AsyncDisposable {
  readonly #scripts = new Scripts();
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  /** The path that `--control` takes. */
  readonly control: string = join(this.#scripts.directory, "c");

  private constructor(answer: (socket: Socket) => void) {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => {});
      socket.once("data", () => answer(socket));
    });
  }

  static async start(answer: (socket: Socket) => void): Promise<FakeDaemon> {
    const fake = new FakeDaemon(answer);
    await new Promise<void>((resolve) => fake.#server.listen(fake.control, resolve));
    return fake;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
    this.#scripts[Symbol.dispose]();
  }
}

test("harmless() and jsonOf() leave nothing that a terminal obeys", () => {
  assertEquals(harmless(`a${EVIL}\nä\u4e16b`), "a?]0;x??[31m?31m??ä\u4e16b");
  assertEquals(harmless("a\nb\r", "\n"), "a\nb?");
  const json = jsonOf({ evil: EVIL });
  assertEquals([obeys(json), JSON.parse(json)], [false, { evil: EVIL }]);
});

test("table() takes as many rows as there are", () => {
  const lines = table(Array.from({ length: 300_000 }, (_, i) => [`${i}`, "x"])).split("\n");
  assertEquals([lines.length, lines[7]], [300_000, "7       x"]);
});

for (const runtime of runtimes) {
  const run = (tool: string, ...args: string[]) => new Program(runtime, at(tool), args).end();
  const asking = [["leases"], ["leases", "--json"], ["forward"], ["vmnetd", "status"]] as const;

  test(`tools say so when what answers is no vmnetd, in ${runtime}`, async () => {
    const item = { name: "n", leases: [{ macAddress: 5 }], forwards: [{ internalAddress: 7 }] };
    const answers = [
      ...["null", "5", "[]", "<html>", "{}", '{"ok":false}', '{"ok":true}', '{"ok":true,"networks":[null]}'],
      JSON.stringify({ ok: true, networks: [item] }),
    ];
    let next = 0;
    await using fake = await FakeDaemon.start((socket) => socket.write(`${answers[next++ % answers.length]}\n`));
    for (let i = 0; i < answers.length; i++) {
      const [tool, ...args] = asking[i % asking.length]!;
      next = i;
      const { code, output, errors } = await run(tool, ...args, "--control", fake.control);
      assertEquals([code, output], [1, ""], answers[i]);
      assertMatch(errors, /^[\w-]+: Cannot ask ".*": what answers there is no vmnetd.*\n$/);
    }
  });

  test(`tools print nothing that a terminal obeys, whatever a daemon says, in ${runtime}`, async () => {
    const lease = { macAddress: EVIL, address: EVIL, hostname: EVIL, expiresSeconds: 4e9 };
    const rule = { protocol: EVIL, externalPort: 1, internalAddress: EVIL, internalPort: 2 };
    const networks = [{ name: EVIL, leases: [lease], forwards: [rule] }];
    const answers = [{ ok: true, networks }, { ok: false, error: `${EVIL}\nand more` }];
    for (const answer of answers) {
      await using fake = await FakeDaemon.start((socket) => socket.write(`${JSON.stringify(answer)}\n`));
      for (const [tool, ...args] of asking) {
        const { code, output, errors } = await run(tool, ...args, "--control", fake.control);
        assertEquals(obeys(output + errors), false, `${tool} ${output} ${errors}`);
        if (!answer.ok) assertEquals([code, output, errors.split("\n").length], [1, "", 2]);
        else if (tool !== "vmnetd") assertEquals([code, errors], [0, ""]);
      }
    }
  });

  test(`tools are interrupted while nobody answers, in ${runtime}`, async () => {
    const waits = [
      ["leases", "--watch"],
      ["leases", "--wait", "guest"],
      ["forward", "watch"],
      ["forward", "list"],
      ["forward", "add", "tcp:1:2.2.2.2:3"],
      ["forward", "remove", "tcp:1"],
    ] as const;
    for (const [tool, ...args] of waits) {
      // One for each: some programs ask twice, and the second question may come when the next program is not ready yet
      const asked = Promise.withResolvers<void>();
      await using fake = await FakeDaemon.start((socket) => void (socket.write('{"ok":'), asked.resolve()));
      const program = new Program(runtime, at(tool), [...args, "--control", fake.control]);
      await asked.promise;
      program.kill("SIGINT");
      program.kill("SIGINT"); // as timeout(1) does
      const { code, output, errors } = await program.end();
      assertEquals([code, output, errors], [130, "", ""], `${tool} ${args.join(" ")}`);
    }
  });

  test(`leases --watch ends when nobody reads any more, in ${runtime}`, async () => {
    using scripts = new Scripts();
    const path = join(scripts.directory, "leases");
    const write = (name: string) =>
      writeFileSync(path, `{\nname=${name}\nip_address=1.2.3.4\nhw_address=1,2:0:0:0:0:1\nlease=0x7fffffff\n}\n`);
    write("a");
    const program = new Program(runtime, at("leases"), ["--watch", "--file", path]);
    await program.line(/added/);
    program.child.stdout!.destroy();
    // The pipe is closed when the runtime gets to it; lines before that are nobody's, and the next one ends the program
    let turn = 0;
    const timer = setInterval(() => write("b".repeat(1 + turn++ % 9)), 100);
    const { code, errors } = await program.end();
    clearInterval(timer);
    assertEquals([code, errors], [0, ""]);
  });

  test(`vmnetd leaves nothing when it cannot write its pidfile, in ${runtime}`, async () => {
    using scripts = new Scripts();
    const { directory } = scripts;
    const args = ["--socket", join(directory, "s"), "--pidfile", "/nowhere/x", "--mode", "host"];
    const { code, errors } = await run("vmnetd", ...args);
    assertEquals(code, 1);
    assertStringIncludes(errors, 'vmnetd: Cannot write --pidfile "/nowhere/x"');
    assertEquals(readdirSync(directory), []);
  });

  test(`tools say in one line what is wrong with a command line, in ${runtime}`, async () => {
    const cases: [args: [string, ...string[]], says: string][] = [
      [["leases", "--socket"], '--socket takes PATH, which is missing, or begins with "-": then --socket=PATH'],
      [["leases", "--file", "--json"], '--file takes FILE, which is missing, or begins with "-": then --file=FILE'],
      [["leases", "--socket", ""], '--socket takes PATH, not ""'],
      [["forward", "--control", ""], '--control takes PATH, not ""'],
      [["vmnetd", "status", "-s", ""], '--socket takes PATH, not ""'],
      [
        ["vmnetd", "status", "--network", "there-is-none"],
        'no vmnetd with a network "there-is-none" was found here: name its socket with --socket PATH or --control PATH',
      ],
      [["perf", "--nonsense"], "Unknown option '--nonsense'"],
      [["doctor", "--json=1"], "Option '--json' does not take an argument"],
    ];
    for (const [[tool, ...args], says] of cases) {
      const { code, output, errors } = await run(tool, ...args);
      assertEquals([code, output, errors], [
        2,
        "",
        `${tool === "vmnetd" ? "" : "vmnet-"}${tool}: ${says}\nTry "--help"\n`,
      ]);
    }
    // A slip is no socket
    const { code, errors } = await run("vmnetd", "statsu");
    assertEquals([code, existsSync("statsu")], [2, false]);
    assertMatch(errors, /^vmnetd: COMMAND takes status, .*, not "statsu"; a socket here is \.\/statsu\n/);
  });
}
