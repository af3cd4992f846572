/** `deno task eval`: replies are kept, go on after an interruption, and give the same scores. */

import assert from "node:assert/strict";
import { readExamples } from "../data/examples/read_examples.ts";
import { loadTokenizer } from "../data/text/tokenizer.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { evaluate } from "../train/loop/evaluate.ts";
import { createFullTrainer } from "../train/trainers/full_trainer.ts";
import { startDeno } from "./support/process.ts";
import { quickstartFolder, THREADS } from "./support/quickstart_folder.ts";
import { repositoryPath } from "./support/run_script.ts";
import { runAs, runTask, task } from "./support/run_task.ts";
import type { TempFolder } from "./support/temp_folder.ts";

/** Largest relative difference of losses: sums in another order; measured 9e-10. */
const LOSS = 1e-6;

const FLAGS = ["--threads", `${THREADS}`, "--max-new-tokens", "24", "--batch-size", "3"];

interface Scores {
  readonly models: readonly { readonly name: string }[];
  readonly metrics: readonly {
    readonly name: string;
    readonly models: readonly { readonly value: number; readonly rows: number }[];
    readonly beside_first: readonly { readonly wins: number; readonly ties: number }[];
  }[];
  readonly rows: readonly { readonly line: number; readonly models: readonly unknown[] }[];
}

async function scoresOf(folder: TempFolder, output: string): Promise<string> {
  return await Deno.readTextFile(`${folder.path}/${output}/scores.json`);
}

Deno.test("deno task eval measures a base beside its adapter, with a metric of one's own", async () => {
  await using folder = await quickstartFolder();
  const trained = await runTask(
    "train:lora",
    folder.path,
    "--model models/tiny --train-file data/val.jsonl --output-dir output/lora --max-length 512 " +
      "--max-steps 3 --learning-rate 0.02 --report-to none --prediction-samples 0",
  );
  assert.equal(trained.code, 0, trained.stderr);
  const lines = (await Deno.readTextFile(`${folder.path}/data/val.jsonl`)).trim().split("\n");
  const choice = { question: "1 + 1?", A: "1", B: "2", answer: "B" };
  const text = { prompt: "The sky is", completion: " blue." };
  const rows = [...lines, JSON.stringify(choice), JSON.stringify(text)].join("\n");
  await folder.write("data/mixed.jsonl", rows);
  await folder.write(
    "data/own.ts",
    "export default (_: unknown, reply: { newTokens: number }) => ({ short: +(reply.newTokens < 9) });",
  );
  const { code, stdout, stderr } = await runTask("eval", folder.path, [
    ...FLAGS,
    ...["--model", "tiny", "--adapter", "lora", "--data", "mixed.jsonl", "--metric", "own.ts"],
  ]);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^measure +tiny +lora\/checkpoint-3\n/);
  assert.match(stdout, /\nshort +[01]\./);
  const scores: Scores = JSON.parse(await scoresOf(folder, "output/eval"));
  assert.deepEqual(scores.models.map(({ name }) => name), ["tiny", "lora/checkpoint-3"]);
  const rowsOf = new Map(scores.metrics.map(({ name, models }) => [name, models[0].rows]));
  assert.deepEqual(
    ["choice_accuracy", "rouge_l", "form", "think_loss", "answer_loss", "short"].map((name) =>
      rowsOf.get(name)
    ),
    [1, lines.length + 1, lines.length, lines.length, lines.length + 2, lines.length + 2],
  );
  const loss = scores.metrics.find(({ name }) => name === "answer_loss")!;
  assert.ok(loss.models[1].value < loss.models[0].value);
  assert.ok(loss.beside_first[0].wins > 0);
  const page = await Deno.readTextFile(`${folder.path}/output/eval/report.html`);
  assert.equal(page.match(/<article /g)?.length, lines.length + 2);
});

Deno.test("deno task eval that was interrupted goes on, and its scores are the same bytes", async () => {
  await using folder = await quickstartFolder();
  const flags = [...FLAGS, "--model", "tiny", "--data", "train.jsonl"];
  const whole = await runTask("eval", folder.path, [...flags, "--output-dir", "output/whole"]);
  assert.equal(whole.code, 0, whole.stderr);

  const cut = [...flags, "--output-dir", "output/cut"];
  const { flags: permissions, script } = task("eval");
  await using child = startDeno(repositoryPath(script), {
    permissions,
    args: cut,
    cwd: folder.path,
  });
  await child.waitFor(/tiny: \d+ of 28 rows answered/);
  child.kill("SIGINT");
  const { code, text } = await child.ended();
  assert.equal(code, 130, text);
  const [, kept] = /(\d+) of 28 replies are kept; the same command goes on/.exec(text)!;
  assert.ok(Number(kept) < 28);
  const early = await runTask("eval", folder.path, [...cut, "--score-only"]);
  assert.equal(early.code, 1);
  assert.match(early.stderr, new RegExp(`${28 - Number(kept)} of 28 rows have no reply in `));

  const resumed = await runTask("eval", folder.path, cut);
  assert.equal(resumed.code, 0, resumed.stderr);
  assert.match(resumed.stderr, new RegExp(`tiny: ${kept} replies are kept`));
  const scores = await scoresOf(folder, "output/whole");
  assert.equal(await scoresOf(folder, "output/cut"), scores);
  await Deno.remove(`${folder.path}/output/cut/scores.json`);
  const again = await runTask("eval", folder.path, [...cut, "--score-only"]);
  assert.equal(again.code, 0, again.stderr);
  assert.equal(await scoresOf(folder, "output/cut"), scores);

  const rows = await Deno.readTextFile(`${folder.path}/data/train.jsonl`);
  await folder.write("data/train.jsonl", rows.replace("？", "！"));
  const changed = await runTask("eval", folder.path, cut);
  assert.equal(changed.code, 1);
  assert.match(changed.stderr, /data\/train\.jsonl:1 asks or answers something else than when/);

  // What the journal holds of the reference is the loss that training evaluates with.
  const path = `${folder.path}/output/whole/replies-tiny.jsonl`;
  const parts = (await Deno.readTextFile(path)).trim().split("\n").slice(1).flatMap((line) =>
    Object.values<{ sum: number; tokens: number }>(JSON.parse(line).loss)
  );
  const [sum, tokens] = (["sum", "tokens"] as const).map((name) =>
    parts.reduce((all, part) => all + part[name], 0)
  );
  await folder.write("data/train.jsonl", rows);
  using runtime = new Runtime({ threads: THREADS });
  const model = `${folder.path}/models/tiny`;
  const tokenizer = await loadTokenizer(model);
  const { examples } = await readExamples(`${folder.path}/data/train.jsonl`, {
    tokenizer,
    maxLength: 2048,
  });
  await using trainer = await createFullTrainer(model, { runtime });
  const { evalTokenLoss, supervisedTokens } = await evaluate(trainer, examples, {
    batchSize: 4,
    padId: 0,
  });
  assert.equal(tokens, supervisedTokens);
  const error = Math.abs(sum / tokens / evalTokenLoss - 1);
  assert.ok(error <= LOSS, `${error}`);
});

Deno.test("deno task eval asks a judge that it may reach, once an answer", async () => {
  await using folder = await quickstartFolder();
  let asked = 0;
  await using judge = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, () => {
    asked++;
    return Response.json({ choices: [{ message: { content: `Fair.\nGrade: ${1 + asked % 5}` } }] });
  });
  const host = `127.0.0.1:${judge.addr.port}`;
  const args = [
    ...FLAGS,
    ...["--model", "tiny", "--data", "val.jsonl", "--no-loss"],
    ...["--judge", `http://${host}/v1`, "--judge-model", "stand-in"],
  ];
  const refused = await runTask("eval", folder.path, args);
  assert.equal(refused.code, 1);
  assert.match(
    refused.stderr,
    new RegExp(
      `^error: Cannot ask ${host}: the task may not use a network; run deno run --allow-net=${host} `,
    ),
  );
  const { flags, script } = task("eval");
  const allowed = { flags: [...flags, `--allow-net=${host}`], script };
  const first = await runAs(allowed, folder.path, args);
  assert.equal(first.code, 0, first.stderr);
  assert.match(first.stdout, /\njudge +\d\.\d+ \[/);
  assert.equal(asked, 4);
  const scores = await scoresOf(folder, "output/eval");
  const second = await runAs(allowed, folder.path, [...args, "--score-only"]);
  assert.equal(second.code, 0, second.stderr);
  assert.equal(asked, 4);
  assert.equal(await scoresOf(folder, "output/eval"), scores);
});
