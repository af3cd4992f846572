/**
 * Which faults no test sees: `deno task mutate`.
 *
 * In: `--files` paths or folders with commas between (default: all rooms), `--sample` how many faults (200), `--seed` which
 * of them (1), `--patience` for how many seconds of tests a fault is tried in a pass (300), `--unit` without `tests/`,
 * `--log` where each one's result is added (output/mutants.jsonl). Out: that file, and a list of those that live. A run that was cut goes on where it was:
 * what the log has of the same commit is not tried again.
 *
 * It works on copies of what is committed. Faults that `deno check` refuses are invalid. The others are tried in passes,
 * each over those that still live: by the tests of their folder, by unit tests of all rooms, by those of `tests/`. Before a
 * pass each of its test files runs once without a fault, which tells how long it takes and which lines it runs; a fault
 * is tried by those that may run one of its lines, near ones first, short ones first, until patience ends: what tests
 * beyond it would see counts as alive.
 */

import { Command } from "commander";
import { count, countOrZero } from "../../cli/arguments/flag_values.ts";
import { MersenneTwister } from "../../ort/tensor/mersenne_twister.ts";
import { Checkout, type CleanRun } from "./checkout.ts";
import { mayHaveRun } from "./coverage.ts";
import { drawMutants } from "./draw_mutants.ts";
import { type Mutant, withMutant } from "./mutant.ts";

/** Where product code lies; a room's unit tests lie beside it. As many faults are drawn of each as of another. */
const ROOMS = [
  ...["internal", "comm", "ort/tensor", "ort/graph", "ort/runtime", "ort/kernels", "gguf", "data"],
  ...["hub", "model", "lora", "infer", "train", "cli"],
];
/** Copies that work at a time. */
const WORKERS = 2;

/** Seconds of unit tests that one process is given; it takes less, as they load what they test once. */
const TOGETHER = 20;

/** Passes, each with the furthest tests that it runs. */
const ALL_PASSES = [
  { name: "tests of the folder", furthest: 1 },
  { name: "unit tests", furthest: 3 },
  { name: "all tests", furthest: 4 },
] as const;

/** A fault of a file, with where it is kept in the log. */
interface Located extends Mutant {
  readonly id: string;
  readonly file: string;
  readonly room: string;
  /** Its first and last line, from 1. */
  readonly lines: readonly [number, number];
  readonly before: string;
}

/** What is known of a fault. */
interface Result {
  /** How many passes it went through alive. */
  readonly passes: number;
  /** What saw it. */
  readonly killed?: string;
  /** Whether it is no program. */
  readonly invalid?: boolean;
  /** How many tests that may see it were not run. @default 0 */
  readonly untried?: number;
}

/** What is asked for. */
interface Flags {
  readonly files: string;
  readonly sample: number;
  readonly seed: number;
  readonly patience: number;
  readonly unit: boolean;
  readonly log: string;
}

const flags = new Command("mutate")
  .option("--files <paths>", "files and folders to put faults into", ROOMS.join())
  .option("--sample <n>", "how many faults", count, 200)
  .option("--seed <n>", "which of them", countOrZero, 1)
  .option("--patience <s>", "seconds of tests that a fault is tried by in a pass", count, 300)
  .option("--unit", "by unit tests only, without tests/", false)
  .option("--log <file>", "where results are added", "output/mutants.jsonl")
  .parse(Deno.args, { from: "user" })
  .opts<Flags>();
const PASSES = flags.unit ? ALL_PASSES.slice(0, -1) : ALL_PASSES;

async function* filesOf(path: string): AsyncGenerator<string, void, void> {
  if ((await Deno.stat(path)).isFile) return yield path;
  for await (const { name, isDirectory } of Deno.readDir(path)) {
    if (isDirectory) yield* filesOf(`${path}/${name}`);
    else yield `${path}/${name}`;
  }
}

/** How far a test file is from a file: its own, of its folder, of its room, of another room, of `tests/`. */
function distance(file: string, test: string): number {
  if (test.startsWith("tests/")) return 4;
  if (test === file.replace(/\.ts$/, "_test.ts")) return 0;
  if (test.replace(/[^/]*$/, "") === file.replace(/[^/]*$/, "")) return 1;
  return test.split("/")[0] === file.split("/")[0] ? 2 : 3;
}

const texts = new Map<string, string>();

/** All faults of a path, in an order of chance. */
async function shuffled(room: string, random: MersenneTwister): Promise<Located[]> {
  const files = await Array.fromAsync(filesOf(room));
  const all: Located[] = [];
  for (const file of files.filter((path) => /(?<!_test|\bmod)\.ts$/.test(path)).sort()) {
    const text = await Deno.readTextFile(file);
    texts.set(file, text);
    for (const mutant of drawMutants(file, text)) {
      const lineOf = (at: number): number => text.slice(0, at).split("\n").length;
      const lines = [lineOf(mutant.start), lineOf(mutant.end)] as const;
      const before = text.slice(mutant.start, mutant.end);
      const id = `${file}:${lines[0]} ${mutant.start}-${mutant.end} ${mutant.kind}`;
      all.push({ ...mutant, id, file, room, lines, before });
    }
  }
  for (let i = 0; i < all.length; i++) {
    const other = i + Math.floor(random.nextFloat53() * (all.length - i));
    [all[i], all[other]] = [all[other], all[i]];
  }
  return all;
}

/** As many faults as are asked for, from each path in turn. */
async function draw(): Promise<readonly Located[]> {
  const random = MersenneTwister.fromSeed(flags.seed);
  const rooms: Located[][] = [];
  for (const path of flags.files.split(",")) {
    rooms.push(await shuffled(path.replace(/\/+$/, ""), random));
  }
  const mutants: Located[] = [];
  for (let i = 0; rooms.some((room) => i < room.length); i++) {
    mutants.push(...rooms.flatMap((room) => room.slice(i, i + 1)));
  }
  return mutants.slice(0, flags.sample);
}

const mutants = await draw();
await using stack = new AsyncDisposableStack();
const copies: Checkout[] = [];
for (let i = 0; i < WORKERS; i++) copies.push(stack.use(await Checkout.copy()));
const commit = await copies[0].commit();
const tests: string[] = [];
for (const folder of new Set([...ROOMS.map((room) => room.split("/")[0]), "tests"])) {
  const all = await Array.fromAsync(filesOf(folder));
  tests.push(...all.filter((path) => /_test\.tsx?$/.test(path)).sort());
}

const results = new Map<string, Result>();
const cleanRuns = new Map<string, CleanRun>();
for (const line of (await Deno.readTextFile(flags.log).catch(() => "")).split("\n")) {
  const entry = line === "" ? {} : JSON.parse(line);
  if (entry.commit !== commit) continue;
  if (entry.test) cleanRuns.set(entry.test, entry);
  else results.set(entry.id, entry);
}
await Deno.mkdir(flags.log.replace(/[^/]*$/, "") || ".", { recursive: true });

async function log(entry: object): Promise<void> {
  await Deno.writeTextFile(flags.log, JSON.stringify({ ...entry, commit }) + "\n", {
    append: true,
  });
}

async function tell(mutant: Located, result: Result): Promise<void> {
  results.set(mutant.id, result);
  const { id, before, replacement: after } = mutant;
  await log({ id, before, after, ...result });
  const { passes, invalid } = result;
  const what = invalid
    ? "invalid"
    : result.killed !== undefined
    ? "seen"
    : passes === 0
    ? "valid"
    : "LIVES";
  console.error(`${what} ${id}`);
}

/** Takes all of a list, each by the copy that is free. */
async function share<T>(
  copies: readonly Checkout[],
  list: readonly T[],
  work: (each: T, copy: Checkout) => Promise<void>,
): Promise<void> {
  const queue = list.values();
  await Promise.all(copies.map(async (copy) => {
    for (const each of queue) await work(each, copy);
  }));
}

/** Finds faults that are no programs: with one a file at a time, `deno check` tells of many at once. */
async function checkTypes(copy: Checkout): Promise<void> {
  let unchecked = mutants.filter(({ id }) => !results.has(id));
  while (unchecked.length > 0) {
    const round = [...new Map(unchecked.map((mutant) => [mutant.file, mutant])).values()];
    for (const mutant of round) {
      await copy.write(mutant.file, withMutant(texts.get(mutant.file)!, mutant));
    }
    const failing = await copy.whichFailTypes(round.map(({ file }) => file));
    for (const mutant of round) {
      await copy.write(mutant.file, texts.get(mutant.file)!);
      await tell(mutant, { passes: 0, invalid: failing.has(mutant.file) });
    }
    unchecked = unchecked.filter((mutant) => !round.includes(mutant));
  }
}

/** Test files in their order, those in one group that one process may run. */
function* inProcesses(runs: readonly CleanRun[]): Generator<readonly CleanRun[], void, void> {
  let group: CleanRun[] = [];
  let seconds = 0;
  for (const run of runs) {
    if (!run.shares) {
      yield [run];
      continue;
    }
    group.push(run);
    seconds += run.seconds;
    if (seconds < TOGETHER) continue;
    yield group;
    group = [];
    seconds = 0;
  }
  if (group.length > 0) yield group;
}

/** Tries a fault by the tests of a pass, and tells what sees it. */
async function tryMutant(mutant: Located, pass: number, copy: Checkout): Promise<void> {
  const { file, lines: [first, last] } = mutant;
  const nearest = PASSES[pass - 1]?.furthest ?? -1;
  const later = tests.map((test) => ({ away: distance(file, test), run: cleanRuns.get(test) }))
    .filter(({ away, run }) =>
      away > nearest && away <= PASSES[pass].furthest && run?.passes &&
      mayHaveRun(run.missed, file, first, last)
    )
    .sort((a, b) => a.away - b.away || a.run!.seconds - b.run!.seconds);
  await copy.write(file, withMutant(texts.get(file)!, mutant));
  let killed: string | undefined;
  let untried = later.length;
  let seconds = 0;
  for (const runs of inProcesses(later.map(({ run }) => run!))) {
    for (const run of runs) seconds += run.seconds;
    // The first ones are tried however long they take.
    if (seconds > flags.patience && untried < later.length) break;
    untried -= runs.length;
    killed = await copy.whatFails(runs);
    if (killed !== undefined) break;
  }
  await copy.write(file, texts.get(file)!);
  if (killed === "g++ failed") await tell(mutant, { passes: pass, invalid: true });
  else if (killed !== undefined) await tell(mutant, { passes: pass + 1, killed });
  else await tell(mutant, { passes: pass + 1, untried });
}

const isAlive = ({ id }: Located): boolean => {
  const result = results.get(id);
  return !result?.invalid && result?.killed === undefined;
};

console.error(`${mutants.length} faults; those that are no programs:`);
await checkTypes(copies[0]);
for (const [pass, { name, furthest }] of PASSES.entries()) {
  const alive = mutants.filter((mutant) =>
    isAlive(mutant) && (results.get(mutant.id)?.passes ?? 0) <= pass
  );
  const needed = tests.filter((test) =>
    !cleanRuns.has(test) && alive.some(({ file }) => distance(file, test) <= furthest)
  );
  console.error(`${name}: ${alive.length} faults; ${needed.length} files without a fault first`);
  await share(copies, needed, async (test, copy) => {
    const run = await copy.runClean(test);
    cleanRuns.set(test, run);
    await log(run);
    if (!run.passes) console.error(`fails without a fault, and is left out: ${test}`);
  });
  await share(copies, alive, (mutant, copy) => tryMutant(mutant, pass, copy));
}

const oneLine = (text: string): string => text.replace(/\s+/g, " ").slice(0, 80);
const valid = mutants.filter(({ id }) => !results.get(id)?.invalid);
const alive = mutants.filter(isAlive);
for (const [room, all] of Map.groupBy(valid, ({ room }) => room)) {
  console.log(`${room}: ${all.length - all.filter(isAlive).length} of ${all.length} seen`);
}
console.log(
  `${valid.length - alive.length} of ${valid.length} seen, ${
    mutants.length - valid.length
  } invalid; these live:`,
);
for (const { id, before, replacement } of alive) {
  const untried = results.get(id)?.untried ?? 0;
  const more = untried > 0 ? `; ${untried} tests not run` : "";
  console.log(`  ${id}: ${oneLine(before)} → ${oneLine(replacement)}${more}`);
}
