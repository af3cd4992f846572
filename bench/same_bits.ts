/**
 * Whether two checkouts compute the same to the bit: the quickstart, a LoRA run on its model, that
 * adapter merged, and exports in four formats. In: another checkout's folder. Out: how many files were
 * compared, and those that differ; exits 1 where any does.
 *
 *     deno run -A bench/same_bits.ts --beside DIR
 */

import { parseArgs } from "node:util";
import { folderHashes } from "../tests/support/folder_hashes.ts";
import { repositoryPath } from "../tests/support/run_script.ts";

const { values: { beside } } = parseArgs({ options: { beside: { type: "string" } } });
if (beside === undefined) throw new Error("Cannot compare: give another checkout with --beside");

/** Below `output/`, where the tasks may write. */
const FOLDER = "output/same-bits";
const FULL = `${FOLDER}/full`;
const LORA = `${FOLDER}/lora`;
const LORA_FLAGS =
  "--num-train-epochs 1 --max-length 512 --lora-dropout 0.1 --seed 7 --threads 2 --report-to none";

const TASKS = [
  `quickstart --output-dir ${FULL} --num-train-epochs 6 --threads 2`,
  `train:lora --model ${FULL}/model --train-file ${FULL}/data/train.jsonl ` +
  `--validation-file ${FULL}/data/val.jsonl --output-dir ${LORA} ${LORA_FLAGS}`,
  `merge --adapter ${LORA} --model ${FULL}/model --output-dir ${FOLDER}/merged --threads 2`,
  ...["fp32", "fp16", "q4", "q4f16"].map((dtype) =>
    `export --model ${FULL} --output-dir ${FOLDER}/${dtype} --dtype ${dtype} --threads 2`
  ),
];
/** What tells of times and of the machine, besides figures that are compared by themselves. */
const TIMED = /(^|\/)(run\.json|report\.html|export\.json|metrics\.jsonl|samples\.jsonl|\.lock)$/;

/** The hashes of all files, and the losses, of one checkout. */
async function results(root: string): Promise<Map<string, string>> {
  const folder = `${root}/${FOLDER}`;
  await Deno.remove(folder, { recursive: true }).catch(() => {});
  for (const task of TASKS) {
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["task", "--quiet", ...task.split(" ")],
      cwd: root,
    }).output();
    if (code !== 0) throw new Error(`${root}: ${task}: ${new TextDecoder().decode(stderr)}`);
  }
  const hashes = Object.entries(await folderHashes(folder)).filter(([path]) => !TIMED.test(path));
  const found = new Map(hashes);
  for (const run of [FULL, LORA]) found.set(`${run} losses`, await losses(`${root}/${run}`));
  await Deno.remove(folder, { recursive: true });
  return found;
}

/** Every loss and gradient norm that a run logged, as text. */
async function losses(run: string): Promise<string> {
  const lines = (await Deno.readTextFile(`${run}/metrics.jsonl`)).trim().split("\n");
  return lines.map((line) => {
    const { step, loss, grad_norm, eval_loss } = JSON.parse(line);
    return JSON.stringify({ step, loss, grad_norm, eval_loss });
  }).join("\n");
}

const [own, other] = [
  await results(repositoryPath("")),
  await results(await Deno.realPath(beside)),
];
const names = [...new Set([...own.keys(), ...other.keys()])].sort();
const differing = names.filter((name) => own.get(name) !== other.get(name));
console.log(`${names.length} files and lists of losses compared, ${differing.length} differ`);
for (const name of differing) console.log(name);
if (differing.length > 0) Deno.exitCode = 1;
