/**
 * 100,000 rows of JSONL, Chinese and English, of 300 to 500 Qwen3 tokens each: rows and tokens a
 * second of their preparation, its peak memory against that of 1,000 and 10,000 rows, the token file,
 * a second start, and when the first update of a tiny model (4 layers, hidden 64) is made, against 100 rows.
 * Each measurement has a process of its own. Prints JSON. Needs 1 GiB of disk in the temporary folder.
 *
 *     deno run -A bench/large_data.ts [rows]
 */

import { parseConfig } from "../model/config.ts";
import { modelParameters } from "../model/parameters.ts";
import { loadTokenizer, type Tokenizer } from "../data/text/tokenizer.ts";
import { readTrainingData } from "../train/runs/training_data.ts";
import { DEFAULT_SYSTEM } from "../train/runs/training_arguments.ts";
import { elementCount } from "../ort/tensor/dtype.ts";
import { MersenneTwister } from "../ort/tensor/mersenne_twister.ts";
import { writeSafetensors } from "../ort/tensor/safetensors_writer.ts";
import { type TensorData, tensorSourceFromMap } from "../ort/tensor/tensor_source.ts";
import { qwen3Files } from "../tests/support/qwen3_tokenizer.ts";
import { fillRandom, peakMemory } from "./measure.ts";

const [FEW, SOME] = [100, 1000];
const MAX_LENGTH = 2048;
const WRITE_CHUNK = 1 << 20;

const TINY = {
  model_type: "qwen3",
  hidden_size: 64,
  intermediate_size: 128,
  num_hidden_layers: 4,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 16,
  vocab_size: 151936,
  rms_norm_eps: 1e-6,
  rope_theta: 1e6,
  tie_word_embeddings: true,
  max_position_embeddings: MAX_LENGTH,
  eos_token_id: 151645,
};

/** The model, with Qwen3's own tokenizer. */
async function writeModel(directory: string): Promise<void> {
  const tensors = new Map<string, TensorData>();
  for (const { name, shape } of modelParameters(parseConfig(TINY))) {
    const values = new Float32Array(elementCount(shape));
    if (shape.length === 1) values.fill(1);
    else fillRandom(values, 0.03);
    tensors.set(name, { dtype: "float32", shape, data: new Uint8Array(values.buffer) });
  }
  await Deno.mkdir(directory, { recursive: true });
  await writeSafetensors(`${directory}/model.safetensors`, tensorSourceFromMap(tensors));
  const { tokenizerJson, tokenizerConfig } = await qwen3Files();
  const files = {
    "config.json": TINY,
    "tokenizer.json": tokenizerJson,
    "tokenizer_config.json": tokenizerConfig,
  };
  for (const [name, json] of Object.entries(files)) {
    await Deno.writeTextFile(`${directory}/${name}`, JSON.stringify(json));
  }
}

/** Words of a language, the most frequent first, as byte-pair merges found them. */
interface Words {
  readonly list: readonly string[];
  readonly join: string;
  readonly comma: string;
  readonly stop: string;
}

/** Words that the vocabulary has whole; what rows are made of takes one to three tokens a word. */
function vocabularyWords(tokenizer: Tokenizer): readonly Words[] {
  const tokens = Array.from({ length: tokenizer.vocabSize }, (_, id) => tokenizer.decode([id]));
  const words = (pattern: RegExp, most: number): string[] =>
    tokens.filter((token) => pattern.test(token)).slice(0, most).map((token) => token.trim());
  return [
    { list: words(/^ [A-Za-z]{2,}$/, 20_000), join: " ", comma: ",", stop: ". " },
    { list: words(/^\p{Script=Han}{1,4}$/u, 12_000), join: "", comma: "，", stop: "。" },
  ];
}

/** Rows of question, thinking and answer; the same for the same seed. */
async function writeRows(path: string, rows: number, words: readonly Words[]): Promise<void> {
  const random = MersenneTwister.fromSeed(42);
  const draw = (): number => random.nextUint32() * 2 ** -32;
  const sentence = ({ list, join, comma, stop }: Words): string => {
    const parts: string[] = [];
    for (let length = 4 + Math.floor(14 * draw()); length > 0; length--) {
      // As in texts, the n-th word comes up 1/n as often as the first.
      let word = list[Math.floor(list.length ** draw()) - 1];
      // Some are no whole tokens, as names and inflections are.
      if (draw() < 0.08) word += list[Math.floor(list.length * draw())].slice(0, 4).toLowerCase();
      if (draw() < 0.1 && length > 1) word += comma;
      parts.push(word);
    }
    if (draw() < 0.2) parts.push(String(Math.floor(300 * draw())));
    return parts.join(join) + stop;
  };
  const text = (language: Words, sentences: number): string =>
    Array.from({ length: sentences }, () => sentence(language) + (draw() < 0.15 ? "\n\n" : ""))
      .join("").trim();
  await Deno.writeTextFile(path, "");
  let lines = "";
  for (let row = 0; row < rows; row++) {
    const language = words[row % words.length];
    const [question, think, answer] = [2, 14, 12].map((sentences) => text(language, sentences));
    lines += JSON.stringify({ question, think, answer }) + "\n";
    if (lines.length < WRITE_CHUNK && row < rows - 1) continue;
    await Deno.writeTextFile(path, lines, { append: true });
    lines = "";
  }
}

/** Runs this script again for one preparation. */
async function prepare(model: string, trainFile: string, output: string): Promise<Prepared> {
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", import.meta.filename!, "--prepare", model, trainFile, output],
    stderr: "inherit",
  }).output();
  if (code !== 0) throw new Error(`Cannot prepare ${trainFile}: exit code ${code}`);
  return JSON.parse(new TextDecoder().decode(stdout));
}

interface Prepared {
  readonly rows: number;
  readonly tokens: number;
  readonly seconds: number;
  readonly peakMib: number;
  readonly loadedMib: number;
}

async function prepareHere(model: string, trainFile: string, output: string): Promise<Prepared> {
  const tokenizer = await loadTokenizer(model);
  const loadedMib = peakMemory();
  const args = { model, trainFile, maxLength: MAX_LENGTH, system: DEFAULT_SYSTEM };
  const began = performance.now();
  using data = await readTrainingData(args, tokenizer, { output });
  const seconds = (performance.now() - began) / 1000;
  const { rows, tokens } = data.report;
  return { rows, tokens, seconds, peakMib: peakMemory(), loadedMib };
}

interface FirstStep {
  /** From the start of the process until the first update is made. */
  readonly seconds: number;
  readonly peakMib: number;
}

/** Starts `deno task train` and ends it after its first update. */
async function firstStep(model: string, trainFile: string, output: string): Promise<FirstStep> {
  const flags = {
    ...{ model, "train-file": trainFile, "output-dir": output, "max-length": MAX_LENGTH },
    ...{ "logging-steps": 1, "gradient-accumulation-steps": 1, "report-to": "none" },
  };
  const script = new URL("../cli/commands/train.ts", import.meta.url).pathname;
  const began = performance.now();
  await using child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", script, ...Object.entries(flags).flatMap(([k, v]) => [`--${k}`, `${v}`])],
    stdout: "null",
    stderr: "piped",
  }).spawn();
  let text = "";
  for await (const part of child.stderr.pipeThrough(new TextDecoderStream())) {
    text += part;
    if (!/step 1\/\d+ .*loss/.test(text)) continue;
    const seconds = (performance.now() - began) / 1000;
    const status = await Deno.readTextFile(`/proc/${child.pid}/status`).catch(() => "");
    child.kill("SIGKILL");
    return { seconds, peakMib: Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1024 };
  }
  throw new Error(`Cannot measure the first update: the run ended\n${text}`);
}

async function measure(many: number): Promise<Record<string, unknown>> {
  const folder = await Deno.makeTempDir();
  try {
    const model = `${folder}/model`;
    await writeModel(model);
    const words = vocabularyWords(await loadTokenizer(model));
    const file = (rows: number): string => `${folder}/${rows}.jsonl`;
    const tenth = many / 10;
    for (const rows of [FEW, SOME, tenth, many]) await writeRows(file(rows), rows, words);

    const some = await prepare(model, file(SOME), `${folder}/some`);
    const part = await prepare(model, file(tenth), `${folder}/part`);
    const output = `${folder}/many`;
    const cold = await prepare(model, file(many), output);
    const [{ name }] = await Array.fromAsync(Deno.readDir(`${output}/tokens`));
    const { size } = await Deno.stat(`${output}/tokens/${name}`);
    const warm = await prepare(model, file(many), output);

    // The first of all also fills Deno's cache of compiled modules.
    await firstStep(model, file(FEW), `${folder}/first`);
    const few = await firstStep(model, file(FEW), `${folder}/few`);
    const again = await firstStep(model, file(FEW), `${folder}/first`);
    const manyCold = await firstStep(model, file(many), `${folder}/train`);
    const manyWarm = await firstStep(model, file(many), `${folder}/train`);
    return {
      rows: cold.rows,
      tokens_a_row: cold.tokens / cold.rows,
      jsonl_mib: (await Deno.stat(file(many))).size / 2 ** 20,
      token_file_mib: size / 2 ** 20,
      prepare_s: cold.seconds,
      rows_per_s: cold.rows / cold.seconds,
      tokens_per_s: cold.tokens / cold.seconds,
      peak_rss_mib: cold.peakMib,
      peak_rss_tenth_of_rows_mib: part.peakMib,
      peak_rss_1000_rows_mib: some.peakMib,
      rss_with_tokenizer_mib: cold.loadedMib,
      second_start_s: warm.seconds,
      second_start_peak_rss_mib: warm.peakMib,
      first_step_100_rows_s: few.seconds,
      first_step_100_rows_prepared_s: again.seconds,
      first_step_s: manyCold.seconds,
      first_step_prepared_s: manyWarm.seconds,
      train_peak_rss_100_rows_mib: few.peakMib,
      train_peak_rss_mib: manyCold.peakMib,
      train_prepared_peak_rss_mib: manyWarm.peakMib,
    };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const [first, ...rest] = Deno.args;
const figures = first === "--prepare"
  ? await prepareHere(...rest as [string, string, string])
  : await measure(Number(first ?? 100_000));
console.log(JSON.stringify(figures));
