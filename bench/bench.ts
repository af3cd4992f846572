/**
 * `deno task bench`: every benchmark in turn, each in a process of its own, and their figures
 * against the goals. In: perhaps `--python`, a Python that has torch and transformers. Out: JSON
 * lines and a table.
 */

import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: { python: { type: "string" }, threads: { type: "string", default: "2" } },
});

type Figures = Readonly<Record<string, unknown>>;

async function run(command: string, args: readonly string[]): Promise<Figures> {
  const { code, stdout } = await new Deno.Command(command, {
    args: [...args],
    stderr: "inherit",
  }).output();
  if (code !== 0) throw new Error(`Cannot benchmark: ${command} ${args.join(" ")} exited ${code}`);
  const line = new TextDecoder().decode(stdout).trim();
  console.log(command, args.join(" "), line);
  return JSON.parse(line);
}

const script = (name: string): string => new URL(name, import.meta.url).pathname;
const bench = (name: string, ...args: string[]): Promise<Figures> =>
  run(Deno.execPath(), ["run", "-A", script(`${name}.ts`), ...args]);

const { threads } = values;
const graphs = await bench("graphs", threads);
const step = await bench("step", threads);
const kept = await bench("step", threads, "--no-gradient-checkpointing");
const lora = await bench("step", threads, "--lora");
const load = await bench("load", threads);
const decode = await bench("decode", threads);
const torch = values.python
  ? await run(values.python, [script("torch_reference.py"), threads])
  : undefined;

console.log(JSON.stringify({ graphs, step, kept, lora, load, decode, torch }, null, 2));
