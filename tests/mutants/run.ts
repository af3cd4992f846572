/**
 * Which faults no test sees: `deno task mutate`.
 *
 * In: `--files` paths or folders with commas between (default: all rooms), `--sample` how many faults (200), `--seed` which
 * of them (1), `--log` where each one's result is added (output/mutants.jsonl). Out: that file, and a list of those that
 * live. A run that was cut goes on where it was: a fault that the log has is not tried again.
 *
 * It works on copies of what is committed. A fault lives where the file's own test passes, those unit tests pass that
 * load the file, and then those of `tests/` that do, but for the long ones. Sources of kernels are texts, and stay as they are.
 */

import { Command } from "commander";
import { count, countOrZero } from "../../cli/arguments/flag_values.ts";
import { MersenneTwister } from "../../ort/tensor/mersenne_twister.ts";
import { LONG } from "../support/long_tests.ts";
import { drawMutants, type Mutant, withMutant } from "./draw_mutants.ts";

/** Where product code lies; a room's unit tests lie beside it. */
const ROOMS = "internal,comm,ort,data,hub,model,lora,infer,train,cli";
/** Copies that work at a time. */
const WORKERS = 2;
/** Seconds after which tests are taken to hang for the fault. */
const LIMIT = 300;

/** A fault of a file. */
interface Located extends Mutant {
  readonly file: string;
}

/** A line of the log. */
interface Result {
  readonly file: string;
  readonly line: number;
  readonly kind: string;
  readonly before: string;
  readonly after: string;
  /** What saw it; undefined where it lives. */
  readonly killed?: string;
}

const flags = new Command("mutate")
  .option("--files <paths>", "files and folders to put faults into", ROOMS)
  .option("--sample <n>", "how many faults", count, 200)
  .option("--seed <n>", "which of them", countOrZero, 1)
  .option("--log <file>", "where results are added", "output/mutants.jsonl")
  .parse(Deno.args, { from: "user" })
  .opts<{ files: string; sample: number; seed: number; log: string }>();

async function* sources(path: string): AsyncGenerator<string, void, void> {
  if ((await Deno.stat(path)).isFile) return yield path;
  for await (const { name, isDirectory } of Deno.readDir(path)) {
    if (isDirectory) yield* sources(`${path}/${name}`);
    else if (/(?<!_test|\bmod)\.ts$/.test(name)) yield `${path}/${name}`;
  }
}

/** As many of all faults as are asked for, each as likely as another. */
async function draw(): Promise<readonly Located[]> {
  const files: string[] = [];
  for (const path of flags.files.split(",")) {
    files.push(...await Array.fromAsync(sources(path.replace(/\/+$/, ""))));
  }
  const all: Located[] = [];
  for (const file of files.sort()) {
    const mutants = drawMutants(file, await Deno.readTextFile(file));
    all.push(...mutants.map((mutant) => ({ file, ...mutant })));
  }
  const random = MersenneTwister.fromSeed(flags.seed);
  for (let i = 0; i < Math.min(flags.sample, all.length); i++) {
    const other = i + Math.floor(random.nextFloat53() * (all.length - i));
    [all[i], all[other]] = [all[other], all[i]];
  }
  return all.slice(0, flags.sample);
}

async function run(cwd: string, command: string, args: readonly string[]) {
  const { success, code, stdout, stderr } = await new Deno.Command(command, {
    args: [...args],
    cwd,
    env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
    stdin: "null",
  }).output();
  const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  return { success, code, text };
}

/** The files of `tests/` that are not long. */
const LATER = (await Array.fromAsync(Deno.readDir("tests")))
  .filter(({ name }) => name.endsWith("_test.ts"))
  .map(({ name }) => `tests/${name}`)
  .filter((path) => ![...LONG, "tests/mpi_test.ts"].includes(path));

/** What sees a fault that stands in a copy of the checkout; undefined where nothing does. */
async function whoSees(copy: string, file: string): Promise<string | undefined> {
  const own = file.replace(/\.ts$/, "_test.ts");
  const beside = await Deno.stat(own).then(() => [[own]], () => []);
  const related = [`--related=${file}`, "--permit-no-files"];
  for (const tests of [...beside, [...related, ...ROOMS.split(",")], [...related, ...LATER]]) {
    const { success, code, text } = await run(copy, "timeout", [
      ...[`${LIMIT}`, Deno.execPath(), "test", "--allow-all", "--no-check", "--fail-fast"],
      ...tests,
    ]);
    if (success) continue;
    if (code === 124) return `no end within ${LIMIT} s`;
    return /^(.*?) \.\.\. FAILED/m.exec(text)?.[1] ?? text.trim().split("\n").at(-1) ?? "";
  }
  return undefined;
}

function describe({ file, start, end, replacement, kind }: Located, text: string): Result {
  const line = text.slice(0, start).split("\n").length;
  return { file, line, kind, before: text.slice(start, end), after: replacement };
}

const idOf = ({ file, line, before, after }: Result): string =>
  JSON.stringify([file, line, before, after]);

const mutants = await draw();
const known = new Map<string, Result>();
for (const line of (await Deno.readTextFile(flags.log).catch(() => "")).split("\n")) {
  if (line !== "") known.set(idOf(JSON.parse(line)), JSON.parse(line));
}
await Deno.mkdir(flags.log.replace(/[^/]*$/, "") || ".", { recursive: true });

const results: Result[] = [];
const queue = mutants.values();
async function work(): Promise<void> {
  const copy = await Deno.makeTempDir({ prefix: "ortune-mutants-" });
  try {
    const { success, text } = await run(".", "git", ["clone", "--quiet", ".", copy]);
    if (!success) throw new Error(`Cannot copy the checkout: ${text}`);
    for (const mutant of queue) {
      const text = await Deno.readTextFile(`${copy}/${mutant.file}`);
      const told = describe(mutant, text);
      const before = known.get(idOf(told));
      if (before) {
        results.push(before);
        continue;
      }
      await Deno.writeTextFile(`${copy}/${mutant.file}`, withMutant(text, mutant));
      const killed = await whoSees(copy, mutant.file);
      await Deno.writeTextFile(`${copy}/${mutant.file}`, text);
      const result = { ...told, ...killed === undefined ? {} : { killed } };
      results.push(result);
      await Deno.writeTextFile(flags.log, JSON.stringify(result) + "\n", { append: true });
      const what = `${told.file}:${told.line} ${told.kind}`;
      console.error(`${results.length}/${mutants.length} ${killed ? "seen" : "LIVES"} ${what}`);
    }
  } finally {
    await Deno.remove(copy, { recursive: true });
  }
}
await Promise.all(Array.from({ length: WORKERS }, work));

const oneLine = (text: string): string => text.replace(/\s+/g, " ").slice(0, 80);
for (const [room, all] of Map.groupBy(results, ({ file }) => file.split("/")[0])) {
  const seen = all.filter(({ killed }) => killed !== undefined).length;
  console.log(`${room}: ${seen} of ${all.length} seen`);
}
const alive = results.filter(({ killed }) => killed === undefined);
console.log(`${results.length - alive.length} of ${results.length} seen; these live:`);
for (const { file, line, kind, before, after } of alive) {
  console.log(`  ${file}:${line} ${kind}: ${oneLine(before)} → ${oneLine(after)}`);
}
