/** examples/train.ipynb: its cells run, in order, and its stored outputs are those of its code. */

import assert from "node:assert/strict";
import { trainRecords } from "../examples/quickstart/records.ts";
import { repositoryPath, runDeno } from "./support/run_script.ts";
import { type TempFolder, tempFolder } from "./support/temp_folder.ts";

const PATH = "examples/train.ipynb";
/** Room for figures, not for whole data sets: the file is read on the web and in diffs. */
const MAX_BYTES = 300_000;

interface StoredOutput {
  readonly output_type: string;
  readonly text?: readonly string[];
  readonly data?: Readonly<Record<string, readonly string[]>>;
}

interface Cell {
  readonly cell_type: string;
  readonly source: readonly string[];
  readonly execution_count?: number;
  readonly outputs?: readonly StoredOutput[];
}

/** What a cell printed, and the charts that stand below it. */
interface CellOutput {
  readonly text: string;
  readonly charts: readonly string[];
}

const file = await Deno.readTextFile(repositoryPath(PATH));
const cells = (JSON.parse(file).cells as Cell[]).filter(({ cell_type }) => cell_type === "code");

/**
 * Stands in for Deno.jupyter, which is there in the kernel alone. A cell's output goes, as JSON, to
 * the file that the first argument names: native libraries may print to standard output.
 */
const shim = `
  const outputs: { text: string; charts: Map<string, string> }[] = [];
  export const cell = () => void outputs.push({ text: "", charts: new Map() });
  console.log = (value: unknown) => {
    const text = typeof value === "string" ? value : Deno.inspect(value);
    outputs.at(-1)!.text += text + "\\n";
  };
  let displays = 0;
  const mime = Symbol.for("Jupyter.display");
  type Displayed = { [mime](): Record<string, string> };
  const jupyter = {
    svg: (strings: TemplateStringsArray, ...values: unknown[]): Displayed => ({
      [mime]: () => ({ "image/svg+xml": String.raw(strings, ...values) }),
    }),
    async display(shown: Displayed, { display_id, update = false }: {
      display_id?: string;
      update?: boolean;
    } = {}) {
      const id = display_id ?? \`display \${displays++}\`;
      const { charts } = update ? outputs.find(({ charts }) => charts.has(id))! : outputs.at(-1)!;
      charts.set(id, shown[mime]()["image/svg+xml"]);
    },
  };
  Object.assign(Deno, { jupyter });
  export const write = () => Deno.writeTextFile(Deno.args[0], JSON.stringify(
    outputs.map(({ text, charts }) => ({ text, charts: [...charts.values()] })),
  ));
`;

/** The cells as one module, which reports after each what came of it. */
function toModule(shimPath: string): string {
  const beside = new URL("../examples/", import.meta.url).href;
  const code = cells.map(({ source }) =>
    `cell();\n${source.join("").replaceAll(/from "(?=\.\.?\/)/g, `from "${beside}`)}`
  );
  return [`import { cell, write } from "${shimPath}";`, ...code, "await write();"].join("\n\n");
}

/** Runs the notebook in a folder of its own, type-checked, as Jupyter's kernel is not. */
async function execute(folder: TempFolder): Promise<CellOutput[]> {
  const cwd = `${folder.path}/examples`;
  await Deno.mkdir(cwd);
  const shimPath = await folder.write("shim.ts", shim);
  const script = await folder.write("notebook.ts", toModule(shimPath));
  const outputs = `${folder.path}/outputs.json`;
  const config = repositoryPath("deno.json");
  const { code, stderr } = await runDeno(
    [
      "run",
      "--quiet",
      "--no-prompt",
      "--check",
      "--cached-only",
      `--config=${config}`,
      "--allow-ffi",
      "--allow-env=ORTUNE_ORT_LIB",
      "--allow-sys=systemMemoryInfo",
      "--allow-read",
      `--allow-write=${folder.path}`,
      script,
      outputs,
    ],
    cwd,
  );
  assert.equal(code, 0, stderr);
  return JSON.parse(await Deno.readTextFile(outputs));
}

/** What Jupyter stored of a cell. */
function stored({ outputs = [] }: Cell): CellOutput {
  return {
    text: outputs.flatMap(({ text = [] }) => text).join(""),
    charts: outputs.flatMap(({ data }) => data ? [data["image/svg+xml"].join("")] : []),
  };
}

/** Without what differs between machines: figures, and the scraps that untrained questions get. */
function stable(text: string): string {
  return text
    .replace(
      /^(Think 思考|Answer 回答): [^]*?(?=\n\n(?:Answer 回答|Question 问题|Word for)|\s*$(?![^]))/gm,
      "$1",
    )
    .replace(/\d[\d.,]*/g, "#")
    .replace(/ +/g, " ")
    .trim();
}

/** An SVG with axes and curves. */
function assertChart(chart: string): void {
  assert.match(chart, /^<svg /);
  assert.match(chart, /<\/svg>\s*$/);
  assert.ok((chart.match(/<path /g) ?? []).length > 10);
}

Deno.test("the notebook trains the model, draws its curves and gives the last answer", async (t) => {
  await using folder = await tempFolder();
  const fresh = await execute(folder);
  assert.equal(fresh.length, cells.length);

  await t.step("the reloaded model says the record it was trained on, word for word", () => {
    const { think, answer } = trainRecords[0];
    const last = fresh.findLast(({ text }) => text !== "")!.text;
    assert.ok(last.includes(`Think 思考: ${think}\n`), last);
    assert.ok(last.includes(`Answer 回答: ${answer}\n`), last);
    assert.match(last, /Word for word 一字不差: true\n$/);
  });

  await t.step("loss falls to less than a fiftieth, and its curves are SVG", () => {
    const losses = fresh.flatMap(({ text }) =>
      [...text.matchAll(/^step \d+: loss ([\d.]+)/gm)].map(([, loss]) => Number(loss))
    );
    assert.ok(losses.length > 5);
    assert.ok(losses.at(-1)! < losses[0] / 50, `${losses}`);
    const charts = fresh.flatMap(({ charts }) => charts);
    assert.equal(charts.length, 2);
    charts.forEach(assertChart);
  });

  await t.step("SwanLab's run and the checkpoint lie in the output folder", async () => {
    const names = await Array.fromAsync(Deno.readDir(`${folder.path}/output/notebook`));
    assert.deepEqual(names.map(({ name }) => name).sort(), [
      "checkpoints",
      "data",
      "model",
      "swanlab",
    ]);
  });

  await t.step("the stored outputs are those of the stored code", () => {
    for (const [i, cell] of cells.entries()) {
      const [there, here] = [stored(cell), fresh[i]];
      assert.equal(stable(there.text), stable(here.text), `cell ${i + 1}`);
      assert.equal(there.charts.length, here.charts.length, `cell ${i + 1}`);
      there.charts.forEach(assertChart);
    }
  });
});

Deno.test("the notebook was executed from top to bottom, without errors, and is small", () => {
  assert.deepEqual(cells.map(({ execution_count }) => execution_count), cells.map((_, i) => i + 1));
  const kinds = new Set(cells.flatMap(({ outputs = [] }) => outputs).map((o) => o.output_type));
  assert.deepEqual([...kinds].sort(), ["display_data", "stream"]);
  assert.ok(new TextEncoder().encode(file).length < MAX_BYTES);
});
