/**
 * What the clients are given: one of each kind of folder that ortune writes, by its own commands.
 *
 * In: a folder. Out: below it `output/` with the quickstart's run (base model, checkpoint, TensorBoard's
 * and SwanLab's files), a LoRA run on its checkpoint, a merged model and an export, and `data/` with what
 * `deno task data` wrote. What is there already is taken as it is.
 */

import { isFile } from "../../internal/path_kind.ts";
import { writeQuickstartModel } from "../../examples/quickstart/quickstart_model.ts";
import { qwen3Files } from "../../tests/support/qwen3_tokenizer.ts";
import { cloneWithPackages, writeWithoutNative } from "../../tests/support/other_runtime.ts";
import { push } from "../../tests/support/push_task.ts";
import { runTask } from "../../tests/support/run_task.ts";
import { startUploadHub } from "../../tests/support/upload_stub.ts";
import { listCheckpoints } from "../../train/checkpoints/checkpoint.ts";

/** Where each of them lies. */
export interface Artefacts {
  /** The model that training started from. */
  readonly base: string;
  /** The output folder of the quickstart's run. */
  readonly run: string;
  /** Its checkpoint: a whole model with its optimizer's state. */
  readonly checkpoint: string;
  /** An adapter's checkpoint, on `checkpoint`. */
  readonly adapter: string;
  /** `checkpoint` with `adapter` merged. */
  readonly merged: string;
  /** `checkpoint` as ONNX files, fp32 and q4. */
  readonly export: string;
  /** Rows that were trained on. */
  readonly trainFile: string;
  /** What `deno task data` made of a JSON Lines file. */
  readonly data: string;
  /** A checkpoint of a small model with the tokenizer that Qwen3 was published with. */
  readonly published: string;
  /** The files of `checkpoint` as `deno task push` sends them, card and all. */
  readonly pushed: string;
  /** What tests/support/without_native.ts reads, */
  readonly library: string;
  /** and a copy of the sources with npm's packages that it runs in. */
  readonly clone: string;
}

/** Makes what is not there yet. */
export async function makeArtefacts(folder: string): Promise<Artefacts> {
  await Deno.mkdir(folder, { recursive: true });
  const at = (path: string): string => `${folder}/${path}`;
  /** Runs a task unless the folder that it makes is there; a run that was cut off is made again. */
  const make = async (task: string, made: string, args: string): Promise<void> => {
    if (await isFile(at(`${made}.made`))) return;
    await Deno.remove(at(made), { recursive: true }).catch((cause) => {
      if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    });
    const { code, stdout, stderr } = await runTask(task, folder, args);
    if (code !== 0) throw new Error(`deno task ${task} ${args} failed: ${stderr}\n${stdout}`);
    await Deno.writeTextFile(at(`${made}.made`), `deno task ${task} ${args}\n`);
  };
  await Deno.mkdir(at("output"), { recursive: true });
  await make("quickstart", "output/quickstart", "");
  const checkpoint = await newestCheckpoint(at("output/quickstart"));
  await make(
    "train:lora",
    "output/lora",
    `--model output/quickstart --train-file output/quickstart/data/val.jsonl --output-dir output/lora ` +
      "--max-length 512 --learning-rate 0.01 --num-train-epochs 20 " +
      "--gradient-accumulation-steps 1 --lora-dropout 0 --report-to none",
  );
  await make("merge", "output/merged", "--adapter output/lora --output-dir output/merged");
  await make(
    "export",
    "output/export",
    "--model output/quickstart --output-dir output/export --dtype fp32,q4",
  );
  await Deno.mkdir(at("data"), { recursive: true });
  await Deno.copyFile(at("output/quickstart/data/train.jsonl"), at("data/all.jsonl"));
  await make(
    "data",
    "data/split",
    "--source data/all.jsonl --output-dir data/split --overwrite",
  );
  await publishedModel(at("models/published"));
  await make(
    "train",
    "output/published",
    "--model models/published --train-file output/quickstart/data/train.jsonl " +
      "--output-dir output/published --max-length 512 --max-steps 2 --learning-rate 0.001 " +
      "--gradient-accumulation-steps 1 --report-to none --prediction-samples 0",
  );
  await pushTo(at("output/pushed"), folder, "output/quickstart");
  await writeWithoutNative(at("library"));
  if (!await isFile(at("clone/deno.json"))) await cloneWithPackages(at("clone"));
  return {
    base: at("output/quickstart/model"),
    run: at("output/quickstart"),
    checkpoint,
    adapter: await newestCheckpoint(at("output/lora")),
    merged: at("output/merged"),
    export: at("output/export"),
    trainFile: at("output/quickstart/data/train.jsonl"),
    data: at("data/split"),
    published: await newestCheckpoint(at("output/published")),
    pushed: at("output/pushed"),
    library: at("library"),
    clone: at("clone"),
  };
}

/** Qwen3's tokenizer over two narrow layers: programs that know tokenizers by name know this one. */
async function publishedModel(folder: string): Promise<void> {
  const { tokenizerJson, tokenizerConfig } = await qwen3Files();
  await writeQuickstartModel(folder, 7, {
    hidden_size: 32,
    num_hidden_layers: 2,
    vocab_size: 151_936,
    eos_token_id: 151_645,
    pad_token_id: 151_643,
  });
  const files = {
    "tokenizer.json": tokenizerJson,
    "tokenizer_config.json": tokenizerConfig,
    "generation_config.json": { do_sample: false, eos_token_id: [151_645, 151_643] },
  };
  for (const [name, json] of Object.entries(files)) {
    await Deno.writeTextFile(`${folder}/${name}`, JSON.stringify(json));
  }
}

/** Pushes a run to a stand-in hub and lays down what it got. */
async function pushTo(folder: string, cwd: string, model: string): Promise<void> {
  await using hub = startUploadHub();
  const args = `--model ${model} --repo me/model`;
  const { code, stderr } = await push(cwd, args, { hub, token: "hf_none" });
  if (code !== 0) throw new Error(`deno task push ${args} failed: ${stderr}`);
  await Deno.mkdir(folder, { recursive: true });
  for (const [name, bytes] of hub.committed) await Deno.writeFile(`${folder}/${name}`, bytes);
}

async function newestCheckpoint(run: string): Promise<string> {
  const newest = (await listCheckpoints(run)).at(-1);
  if (!newest) throw new Error(`There is no checkpoint in ${run}`);
  return newest.directory;
}
