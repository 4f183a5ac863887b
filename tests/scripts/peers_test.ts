// SPDX-License-Identifier: MIT

import { test } from "node:test";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { picture } from "../../bench/peers/picture.ts";
import {
  asMarkdown,
  asText,
  type Bar,
  judge,
  lessIsBetter,
  median,
  readable,
  rowsOf,
  type Series,
} from "../../bench/peers/report.ts";
import { interleaved } from "../../bench/peers/rounds.ts";

const rate = (subject: string, role: Series["role"], values: number[]): Series => ({
  test: "rate",
  subject,
  role,
  unit: "frames/s",
  values,
});

const series: Series[] = [
  rate("relay", "limit", [100, 200, 400]),
  rate("ours", "ours", [90, 190, 300]),
  rate("slow peer", "peer", [10, 20, 30]),
  rate("good peer", "peer", [30, 38, NaN]),
];

test("a ratio is the median of the ratios of the rounds, to the best peer and to the limit", () => {
  const rows = rowsOf(series, { rate: "relay" });
  const ours = rows.find(({ subject }) => subject === "ours")!;
  // 3, 5 and no third round; 0.9, 0.95, 0.75
  assertEquals([ours.value, ours.ratio_to_best_peer, ours.ratio_to_limit], [190, 4, 0.9]);
  const peer = rows.find(({ subject }) => subject === "good peer")!;
  assertEquals([peer.value, peer.ratio_to_best_peer, peer.rounds], [34, null, 2]);
  assertEquals(rows.find(({ subject }) => subject === "relay")!.ratio_to_limit, null);
});

test("the best peer is the one with the shortest time where times are measured", () => {
  assertEquals(["us, p99", "s/Gbit", "ns/frame", "frames/s", "Mbit/s"].map(lessIsBetter), [
    true,
    true,
    true,
    false,
    false,
  ]);
  const times = [["ours", "ours", 10], ["a", "peer", 20], ["b", "peer", 40]] as const;
  const rows = rowsOf(times.map(([subject, role, value]) => ({ ...rate(subject, role, [value]), unit: "us" })), {});
  assertEquals(rows[0]!.ratio_to_best_peer, 0.5);
});

test("who was not measured has a row that says why", () => {
  const absent = { test: "rate", subject: "far", unit: "frames/s", note: "not installed" };
  const rows = rowsOf([...series, rate("broken", "peer", [NaN, NaN])], {}, [absent]);
  assertEquals(rows.slice(-2).map(({ subject, value, note }) => [subject, value, note]), [
    ["broken", null, "failed"],
    ["far", null, "not installed"],
  ]);
  assertStringIncludes(asText(rows, []), "not installed");
  // What failed is nobody's best peer
  assertEquals(rows.find(({ subject }) => subject === "ours")!.ratio_to_best_peer, 4);
});

test("bars are met or missed, and those without figures left out", () => {
  const bars: Bar[] = [
    { name: "fast", of: ["rate", "ours"], to: ["rate", "good peer"], least: 3 },
    { name: "cheap", of: ["rate", "ours"], to: ["rate", "relay"], most: 0.5, cause: "it is dear" },
    { name: "gone", of: ["rate", "ours"], to: ["rate", "nobody"], least: 1 },
  ];
  const verdicts = judge(series, bars);
  assertEquals(verdicts.map(({ name, met, ratio }) => [name, met, ratio]), [["fast", true, 4], ["cheap", false, 0.9]]);
  const rows = rowsOf(series, {});
  for (const text of [asText(rows, verdicts), asMarkdown(rows, verdicts)]) {
    assertStringIncludes(text, "MISSED: it is dear");
    assertStringIncludes(text, "at least 3");
  }
  const lines = asMarkdown(rows, verdicts).split("\n").filter((line) => line.startsWith("|"));
  assertEquals([...new Set(lines.map((line) => line.split("|").length))], [6]);
});

test("numbers are readable, and nothing has no median", () => {
  assertEquals([2_210_000, 48_300, 3798.4, 12.345, 0.02].map(readable), ["2.21 M", "48.3 k", "3798", "12.3", "0.0200"]);
  assertEquals(median([]), NaN);
  assertEquals(median([NaN, 3, 1]), 2);
});

test("subjects take turns forwards and backwards, and one that fails stops nobody", async () => {
  const order: string[] = [];
  const one = (subject: string, fails = false) => ({
    subject,
    role: "ours" as const,
    units: { rate: "frames/s" },
    measure: () => {
      order.push(subject);
      return fails ? Promise.reject(new Error("no")) : Promise.resolve({ rate: order.length });
    },
  });
  const result = await interleaved("a test of the rounds", [one("a"), one("b", true)], 2);
  assertEquals(order, ["b", "a", "a", "b", "b", "a"]);
  assertEquals(result.map(({ subject, values }) => [subject, values]), [["a", [3, 6]], ["b", [NaN, NaN]]]);
});

test("the picture is well-formed, with a bar for each value", () => {
  const rows = rowsOf([...series, rate("a < b & c", "ours", [5])], {}, [
    { test: "rate", subject: "far", unit: "frames/s", note: "not installed" },
  ]);
  const svg = picture("us <and> them", rows, ["rate", "another"], () => "ours");
  assertStringIncludes(svg, "<title>us &lt;and&gt; them</title>");
  assertStringIncludes(svg, "a &lt; b &amp; c");
  // The background, five bars, three of the legend
  assertEquals(svg.match(/<rect /g)?.length, 9);
  assertEquals(svg.match(/<text /g)?.length, svg.match(/<\/text>/g)?.length);
  assert(!svg.includes("far") && !svg.includes("NaN"));
});
