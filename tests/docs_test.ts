// SPDX-License-Identifier: MIT

// The documents' tables are what their generator makes, and the generator lets nothing pass that is not so.

import { test } from "node:test";
import { assertEquals, assertGreater, assertStringIncludes, assertThrows } from "@std/assert";

interface Row {
  name: string;
  macos?: string;
  ts?: string[];
  test?: string;
}
type Names = Map<string, string>;

interface Group {
  title: string;
  names: string[];
  rows: Record<string, { ts?: string[]; note?: string; why?: string }>;
}

interface Tables {
  documents(): { path: string; is: string; should: string }[];
  declared(): Names;
  exported(): Names;
  vmnetTable(rows: Row[], names?: Names): string;
  bindingTables(groups: Group[]): string;
  inserted(document: string, table: string): string;
}

// Through a variable: the script is plain JavaScript, which the type checkers would have to be told to read
const script = new URL("../scripts/api_tables.mjs", import.meta.url).href;
const tables = await import(script) as Tables;

test("the documents' tables are what scripts/api_tables.mjs makes", () => {
  for (const { path, is, should } of tables.documents()) {
    assertEquals(is === should, true, `${path} is stale, run "node scripts/api_tables.mjs"`);
  }
});

test("every kind of vmnet's names is found in our declarations", () => {
  const kinds = [...tables.declared().values()];
  const count = (kind: string) => kinds.filter((each) => each === kind).length;
  // The API of macOS 26; a header that is written differently must not make the table shorter unnoticed
  assertEquals(["function", "key", "enum", "enum member", "struct", "type", "block type"].map(count), [
    32,
    23,
    4,
    15,
    1,
    3,
    5,
  ]);
});

const names: Names = new Map([["vmnet_read", "function"]]);
const good: Row = {
  name: "vmnet_read",
  macos: "10.10",
  ts: ["Interface.read"],
  test: "tests/docs_test.ts: a row of vmnet's API is checked",
};

test("a row of vmnet's API is checked", () => {
  assertStringIncludes(tables.vmnetTable([good], names), "| `vmnet_read` | function | 10.10 | `Interface.read` | ");
  const wrong: [rows: Row[], says: string][] = [
    [[], "vmnet_read has no row"],
    [[good, good], "is there twice"],
    [[good, { ...good, name: "vmnet_raed" }], "vmnet_raed is not declared"],
    [[{ ...good, macos: "" }], "has no version of macOS"],
    [[{ ...good, ts: [] }], "has no name here"],
    [[{ ...good, ts: ["Interface.raed"] }], '"Interface.raed" is not a member'],
    [[{ ...good, ts: ["Interfaze"] }], '"Interfaze" is not exported'],
    [[{ ...good, ts: ["unsafeNetworkFromPointer"] }], "is not exported"],
    [[{ ...good, ts: ["VmnetError.remedy"] }], 'does not say "not verified on hardware"'],
    [[{ ...good, test: "" }], "it has no test"],
    [[{ ...good, test: "tests/nowhere_test.ts: x" }], "does not exist"],
    [[{ ...good, test: "tests/docs_test.ts: there is none like this" }], "has no test"],
    [[{ ...good, test: "shim/tests/core_port_test.c: no_such_test" }], "does not run no_such_test"],
  ];
  for (const [rows, says] of wrong) assertThrows(() => tables.vmnetTable(rows, names), Error, says);
  const c = { ...good, test: "shim/tests/core_port_test.c: send_takes_frames_in_order" };
  assertStringIncludes(tables.vmnetTable([c], names), "`send_takes_frames_in_order`");
});

test("a row of another binding is checked", () => {
  const group = (rows: Group["rows"]): Group[] => [{ title: "Go", names: ["A", "B"], rows }];
  const fine = { A: { ts: ["vmnet/unsafe: unsafeNetworkFromPointer"] }, B: { why: "nobody asks" } };
  assertStringIncludes(tables.bindingTables(group(fine)), "| `B` | not needed | nobody asks |");
  assertThrows(() => tables.bindingTables(group({ A: fine.A })), Error, "B has neither a name here nor a reason");
  assertThrows(() => tables.bindingTables(group({ ...fine, C: fine.B })), Error, "C is none of its names");
  assertThrows(() => tables.bindingTables(group({ ...fine, B: { ts: ["Nope"] } })), Error, '"Nope" is not exported');
});

test("public names and their members are found", () => {
  const ours = tables.exported();
  assertGreater(ours.size, 40);
  for (const body of ours.values()) assertGreater(body.length, 10);
});

test("a document without a place for its table is refused", () => {
  assertThrows(() => tables.inserted("# Nothing", "table"), Error, "lacks");
});
