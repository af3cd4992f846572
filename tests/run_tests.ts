/**
 * All tests, in two processes at a time: `deno task test`. Few tests keep two cores busy.
 *
 * In: nothing, or arguments of `deno test` such as files, which one process then gets. Out: what each process
 * printed, whole, and a line of all counts.
 */

import { LONG } from "./support/long_tests.ts";
import { IDLE_THREADS } from "./support/process.ts";
import { mayShareModule, moduleOf, PRELOADED, SANITIZERS } from "./support/unit_tests.ts";

/** How many processes run at a time. */
const LANES = 2;
/** Files that mostly wait for time to pass, beside the lanes. */
const WAITING = ["tests/mpi_test.ts"];
/** Files of each other process. */
const FILES = 24;
const TEST_FILE = /_test\.tsx?$/;
const SKIPPED = new Set(["fixtures", "node_modules", "output", "models"]);
const SUMMARY = /(\d+) passed(?: \(\d+ steps?\))? \| (\d+) failed(?:.*?(\d+) ignored)?/g;

const root = new URL("../", import.meta.url).pathname;

async function* testFiles(folder = ""): AsyncGenerator<string, void, void> {
  for await (const { name, isDirectory, isFile } of Deno.readDir(root + folder)) {
    if (isDirectory && !SKIPPED.has(name) && !name.startsWith(".")) {
      yield* testFiles(`${folder}${name}/`);
    }
    if (isFile && TEST_FILE.test(name)) yield folder + name;
  }
}

/** Runs `deno` in the checkout; answers its exit code, and what it printed unless that is shown at once. */
async function deno(
  args: string[],
  { shown }: { readonly shown: boolean },
): Promise<{ code: number; text: string }> {
  const to = shown ? "inherit" : "piped";
  const options = { cwd: root, args, stdin: "null", stdout: to, stderr: to } as const;
  const child = new Deno.Command(Deno.execPath(), { ...options, args }).spawn();
  if (shown) return { code: (await child.status).code, text: "" };
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return { code, text: decoder.decode(stdout) + decoder.decode(stderr) };
}

if (Deno.args.length > 0) {
  Deno.exit((await deno(["test", "--allow-all", ...Deno.args], { shown: true })).code);
}
const apart = [...LONG, ...WAITING];
const files = (await Array.fromAsync(testFiles())).filter((file) => !apart.includes(file)).sort();
const modules = await Deno.makeTempDir({ prefix: "ortune-tests-" });
// What one process compiled for its stand-in of a GPU, others take (tests/support/test_gpu.ts).
Deno.env.set("ORTUNE_HOST_KERNELS", `${modules}/kernels`);
const units: string[] = [];
const others: string[] = [];
for (const file of files) {
  (mayShareModule(file, await Deno.readTextFile(root + file)) ? units : others).push(file);
}
const queue = [
  ...LONG.map((file) => [file]),
  ...dealt(others),
  ...await Promise.all(dealt(units).map(async (group, i) => [await inOneModule(group, i)])),
];
/** Files in groups of about {@linkcode FILES}; neighbours apart, as one folder's tests take alike. */
function dealt(files: readonly string[]): string[][] {
  const groups = Math.ceil(files.length / FILES);
  return Array.from({ length: groups }, (_, i) => files.filter((_, at) => at % groups === i));
}

/** Writes a module of unit tests' files; answers its path. */
async function inOneModule(group: readonly string[], index: number): Promise<string> {
  const path = `${modules}/units_${index}_test.ts`;
  await Deno.writeTextFile(path, moduleOf(root.slice(0, -1), [PRELOADED, ...group]));
  return path;
}

const counts = { passed: 0, failed: 0, ignored: 0 };
let broken = false;

async function run(group: readonly string[]): Promise<void> {
  // deno check has looked at all types by then.
  const sanitizers = group.every((file) => file.startsWith(modules)) ? SANITIZERS : [];
  const options = ["--allow-all", "--no-check", "--config=deno.json", IDLE_THREADS, ...sanitizers];
  const args = ["test", ...options, ...group];
  const { code, text } = await deno(args, { shown: false });
  console.log(text.trimEnd());
  const [passed = 0, failed = 0, ignored = 0] = [...text.matchAll(SUMMARY)].at(-1)?.slice(1)
    .map((count) => Number(count ?? 0)) ?? [];
  counts.passed += passed;
  counts.failed += failed;
  counts.ignored += ignored;
  // A process that falls tells neither of its files nor a count.
  if (code !== 0) console.log(`\nexit code ${code} of the tests of ${group.join(" ")}`);
  broken ||= code !== 0;
}

async function lane(): Promise<void> {
  for (let group = queue.shift(); group !== undefined; group = queue.shift()) await run(group);
}

const checked = await deno(["check", "--quiet"], { shown: true });
if (checked.code !== 0) Deno.exit(checked.code);
await Promise.all([run(WAITING), ...Array.from({ length: LANES }, lane)]);
await Deno.remove(modules, { recursive: true });
const { passed, failed, ignored } = counts;
const skipped = ignored > 0 ? ` | ${ignored} ignored` : "";
console.log(`\n${broken ? "FAILED" : "ok"} | ${passed} passed | ${failed} failed${skipped}`);
Deno.exit(broken ? 1 : 0);
