/** What every script for Node and Bun does: reads what ortune says, compares, prints one JSON line. */

import { readFileSync } from "node:fs";
import { argv } from "node:process";

const all = JSON.parse(readFileSync(argv[2], "utf8"));
/** Folders, what ortune says of them, and its server. */
export const { artefacts, facts, server } = all;

const checks: { what: string; passed: boolean; measured: string }[] = [];

/** A comparison, with what was measured in words. */
export function check(what: string, passed: boolean, measured: unknown): void {
  checks.push({ what, passed, measured: String(measured) });
}

/** Both are the same JSON. */
export function equal(what: string, got: unknown, wanted: unknown): void {
  const [a, b] = [JSON.stringify(got) ?? "nothing", JSON.stringify(wanted)];
  check(what, a === b, a === b ? "equal" : `${a.slice(0, 160)}, not ${b.slice(0, 160)}`);
}

/** Lists of lists of token ids: counts those that are the same up to the first that is not. */
export function tokens(what: string, got: number[][], wanted: number[][]): void {
  let same = 0;
  let total = 0;
  wanted.forEach((theirs, row) => {
    const mine = got[row] ?? [];
    total += Math.max(theirs.length, mine.length);
    const parts = theirs.findIndex((id, at) => id !== mine[at]);
    same += parts < 0 ? theirs.length : parts;
  });
  check(what, total > 0 && same === total, `${same} of ${total}`);
}

/** A reply without the token that ends it. */
export function withoutEnd(ids: number[]): number[] {
  const end = ids.findIndex((id) => facts.eosTokenIds.includes(id));
  return end < 0 ? ids : ids.slice(0, end);
}

/** The version of an installed package. */
export function version(name: string): string {
  const path = new URL(`./node_modules/${name}/package.json`, import.meta.url);
  return JSON.parse(readFileSync(path, "utf8")).version;
}

/** Prints the answer. */
export function done(versionText: string): void {
  process.stdout.write(
    `${JSON.stringify({ version: versionText, checks })}\n`,
    () => process.exit(0),
  );
}
