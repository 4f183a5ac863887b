/**
 * Bars as SVG: text that git can show the difference of, and that any browser draws.
 *
 * @module
 */

import { lessIsBetter, readable, type Role, type Row } from "./report.ts";

const WIDTH = 760;
const LABEL = 210;
const LINE = 20;
const HEAD = 34;

const colours: Record<Role, string> = { ours: "#2563a8", peer: "#b8641c", limit: "#9aa3ad" };

const escaped = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

/**
 * One panel for each test, one bar for each of its rows that has a value.
 *
 * @param title What it shows, for those who cannot see it.
 * @param roleOf Whose row it is, which gives the colour.
 */
export function picture(
  title: string,
  rows: readonly Row[],
  tests: readonly string[],
  roleOf: (row: Row) => Role,
): string {
  const parts: string[] = [];
  let y = 8;
  for (const test of tests) {
    const list = rows.filter((row) => row.test === test && row.value !== null);
    if (list.length === 0) continue;
    const most = Math.max(...list.map(({ value }) => value!));
    const unit = list[0]!.unit;
    const hint = lessIsBetter(unit) ? "shorter is better" : "longer is better";
    parts.push(`<text x="8" y="${y + 18}" font-weight="bold">${escaped(test)}, ${escaped(unit)} (${hint})</text>`);
    y += HEAD;
    for (const row of list) {
      const length = Math.max(1, Math.round((WIDTH - LABEL - 110) * row.value! / most));
      parts.push(
        `<text x="${LABEL}" y="${y + 12}" text-anchor="end">${escaped(row.subject)}</text>`,
        `<rect x="${LABEL + 8}" y="${y}" width="${length}" height="15" fill="${colours[roleOf(row)]}"/>`,
        `<text x="${LABEL + length + 14}" y="${y + 12}">${escaped(readable(row.value!))}</text>`,
      );
      y += LINE;
    }
    y += 10;
  }
  const legend = (Object.keys(colours) as Role[]).map((role, i) =>
    `<rect x="${8 + i * 90}" y="${y}" width="12" height="12" fill="${colours[role]}"/>` +
    `<text x="${26 + i * 90}" y="${y + 11}">${role}</text>`
  );
  const height = y + 24;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" ` +
    `font-family="sans-serif" font-size="12">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    ...parts,
    ...legend,
    "</svg>\n",
  ].join("\n");
}
