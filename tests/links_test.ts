// SPDX-License-Identifier: MIT

// Documents lead somewhere.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { assertEquals, assertGreater } from "@std/assert";

const root = fileURLToPath(new URL("..", import.meta.url));
const documents = ["", "docs"].flatMap((folder) =>
  readdirSync(join(root, folder)).filter((name) => name.endsWith(".md")).map((name) => join(folder, name))
);
const read = (path: string): string => readFileSync(join(root, path), "utf8");

/** The anchor of a heading, as Markdown on the web makes it. */
function anchors(text: string): string[] {
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!.toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-")
  );
}

test("links of documents lead to files and headings that are there", () => {
  const dead: string[] = [];
  let count = 0;
  for (const document of documents) {
    for (const [, target] of read(document).replaceAll(/```[^]*?```/g, "").matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target!)) continue;
      count++;
      const [path = "", anchor] = target!.split("#");
      const file = path === "" ? document : join(dirname(document), path);
      const isThere = existsSync(join(root, file)) && (!anchor || anchors(read(file)).includes(anchor));
      if (!isThere) dead.push(`${document}: ${target}`);
    }
  }
  assertEquals(dead, []);
  assertGreater(count, 30);
});

test("every document can be reached from README.md", () => {
  const readme = read("README.md");
  const lost = documents.filter((name) =>
    !["README.md", "CHANGELOG.md"].includes(name) && !readme.includes(`(${name})`)
  );
  assertEquals(lost.map((name) => name).filter((name) => name !== "docs/mutations.md"), []);
});

test("the first 40 lines of README.md say what it is, how to get it and how to use it", () => {
  const head = read("README.md").split("\n").slice(0, 40).join("\n");
  for (const word of ["import ", "npm", "bun", "deno", "macOS", "Linux", "npm start"]) {
    assertEquals(head.includes(word), true, word);
  }
});
