/**
 * Measures generation on the CPU, everything in turns of one run: exports in ortune, whose cache is
 * written in place; the same files in transformers.js, which makes a new cache each token; Hugging
 * Face's generate(); and what a batch of four gains. Prints JSON.
 *
 * `ORT_GQA_DISABLE_FLASH_ATTENTION=1 deno run --allow-all bench/generation.ts [--layers 28]
 * [--threads 2] [--python PATH]`, with the environment of `deno task inference`. Qwen3-0.6B's shapes
 * with random weights, which need 4 GB of disk and 12 GB of memory. Hugging Face's part needs a Python
 * that has torch and transformers; transformers.js comes from examples/browser/deno.json.
 *
 * A token reads every weight of the blocks and of the head once, the keys and values of its context,
 * and little else, so fp32 can be no faster than the memory's read rate over those bytes. That is
 * measured between the tokens, since it drifts on shared machines, over the same weights by row sums and
 * by two one-row products, whichever is fastest.
 */

import { parseArgs } from "node:util";
import { clientConfig } from "../infer/export/client_files.ts";
import { exportModel } from "../infer/export/export_model.ts";
import { ExportedDecoder } from "../infer/export/exported_decoder.ts";
import { BatchCache } from "../infer/generate/batch_cache.ts";
import { BatchDecoder } from "../infer/generate/batch_decoder.ts";
import { createSampler } from "../infer/sampling/sampling.ts";
import { parseConfig } from "../model/config.ts";
import { modelParameters } from "../model/parameters.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { elementCount } from "../ort/tensor/dtype.ts";
import { median, milliseconds, QWEN3_06B, randomWeights, readers } from "./measure.ts";

const CONTEXT = 512;
const TOKENS = 32;
const ROUNDS = 3;
const BATCH = 4;

const { values } = parseArgs({
  options: {
    layers: { type: "string", default: "28" },
    threads: { type: "string", default: "2" },
    python: { type: "string" },
  },
});
const [layers, threads] = [values.layers, values.threads].map(Number);
const raw = { ...QWEN3_06B.raw, num_hidden_layers: layers, eos_token_id: 0 };
const config = parseConfig(raw);
const runtime = new Runtime({ threads });
const root = await Deno.makeTempDir({ prefix: "ortune-bench-" });
const directory = `${root}/model`;
const prompt = Array.from({ length: CONTEXT }, (_, i) => (i * 7919) % config.vocabSize);
const here = (path: string): string => new URL(path, import.meta.url).pathname;

const greedy = createSampler({ greedy: true });

interface Times {
  /** Of the whole prompt. */
  readonly prefill: number;
  /** Of each token. */
  readonly decode: readonly number[];
}

/** Milliseconds of greedy decoding: what it does with the logits is part of a token. */
async function timeToken(
  run: () => Promise<Float32Array>,
): Promise<{ next: number; time: number }> {
  const began = performance.now();
  const next = greedy(await run());
  return { next, time: performance.now() - began };
}

/** An export in ortune; `between` is called every few tokens. */
async function ours(dtype: "fp32" | "q4", between: () => void): Promise<Times> {
  using decoder = new ExportedDecoder(runtime, directory, { config, dtype, chunk: CONTEXT });
  await decoder.prefill(prompt.slice(0, 16));
  decoder.reset();
  let { next, time } = await timeToken(() => decoder.prefill(prompt));
  const prefill = time;
  const decode: number[] = [];
  for (let i = 1; i < TOKENS; i++) {
    if (i % 4 === 0) between();
    ({ next, time } = await timeToken(() => decoder.decode(next)));
    decode.push(time);
  }
  return { prefill, decode };
}

/** Another program's times, as it prints them. */
async function theirs(command: string, args: readonly string[]): Promise<Times> {
  const { success, stdout } = await new Deno.Command(command, {
    args: [...args],
    stderr: "inherit",
  }).output();
  if (!success) throw new Error(`Cannot measure: ${command} ${args.join(" ")} failed`);
  return JSON.parse(new TextDecoder().decode(stdout));
}

const transformersJs = (dtype: "fp32" | "q4"): Promise<Times> =>
  theirs(Deno.execPath(), [
    ...["run", "--quiet", "--allow-all", `--config=${here("../examples/browser/deno.json")}`],
    ...[here("generation_client.ts"), root, "model"],
    JSON.stringify({ dtype, prompt, tokens: TOKENS, threads }),
  ]);

const huggingFace = (dtype: "float32" | "bfloat16"): Promise<Times> =>
  theirs(values.python!, [
    here("torch_generate.py"),
    ...[dtype, layers, CONTEXT, TOKENS, threads].map(String),
  ]);

try {
  await Deno.mkdir(`${directory}/onnx`, { recursive: true });
  using weights = randomWeights(runtime, config);
  const exported = [];
  for (const dtype of ["fp32", "q4"] as const) {
    exported.push(await exportModel(directory, { config, weights, dtype }));
  }
  await Deno.writeTextFile(
    `${directory}/config.json`,
    JSON.stringify(clientConfig(config, exported)),
  );
  const read = readers(runtime, weights);
  using cache = new BatchCache(runtime, config, BATCH * 2 * CONTEXT);
  using batch = new BatchDecoder(runtime, config, { slots: [{ weights }], cache });
  cache.reserve(BATCH, 2 * CONTEXT);
  const together = async (rows: number): Promise<number> => {
    for (let row = 0; row < rows; row++) cache.setLength(row, CONTEXT);
    const began = performance.now();
    await batch.decode(0, { start: 0, rows, ids: new Int32Array(rows).fill(5) });
    return performance.now() - began;
  };

  const times: Record<string, Times[]> = {};
  const note = (name: string, measured: Times): void => void (times[name] ??= []).push(measured);
  const reads: number[] = [];
  const rows: Record<number, number[]> = { 1: [], [BATCH]: [] };
  for (let round = 0; round < ROUNDS; round++) {
    for (const dtype of ["fp32", "q4"] as const) {
      note(
        `ortune ${dtype}`,
        await ours(dtype, () => {
          if (dtype === "q4") return;
          reads.push(Math.min(...Object.values(read).map((each) => milliseconds(each))));
        }),
      );
      note(`transformers.js ${dtype}`, await transformersJs(dtype));
    }
    for (let step = 0; step < 8; step++) {
      for (const count of [1, BATCH]) {
        const time = await together(count);
        if (step > 0) rows[count].push(time);
      }
    }
    if (!values.python) continue;
    for (const dtype of ["float32", "bfloat16"] as const) {
      note(`generate() ${dtype}`, await huggingFace(dtype));
    }
  }

  const round = (value: number): number => Number(value.toPrecision(3));
  const decodeTime = (name: string): number => median(times[name].flatMap(({ decode }) => decode));
  const faster = (a: string, b: string): number => round(decodeTime(b) / decodeTime(a));
  const weightBytes = modelParameters(config).reduce(
    (bytes, { shape }) => bytes + 4 * elementCount(shape),
    0,
  );
  const contextBytes = 4 * 2 * layers * CONTEXT * config.kvHeads * config.headDim;
  const bound = median(reads) * (weightBytes + contextBytes) / weightBytes;
  console.log(JSON.stringify(
    {
      onnxruntime: runtime.api.version,
      layers,
      threads,
      context: CONTEXT,
      fileBytes: Object.fromEntries(exported.map(({ dtype, files }) => [
        dtype,
        files.reduce((sum, { bytes }) => sum + bytes, 0),
      ])),
      tokensPerSecond: Object.fromEntries(
        Object.entries(times).map(([name, all]) => [name, {
          decode: round(1000 / decodeTime(name)),
          prefill: round(CONTEXT * 1000 / Math.min(...all.map(({ prefill }) => prefill))),
        }]),
      ),
      memoryGigabytesPerSecond: round(weightBytes / median(reads) / 1e6),
      ratios: {
        "fp32 of the memory's rate": round(bound / decodeTime("ortune fp32")),
        "q4 ÷ fp32": faster("ortune q4", "ortune fp32"),
        "fp32 ÷ transformers.js": faster("ortune fp32", "transformers.js fp32"),
        "q4 ÷ transformers.js": faster("ortune q4", "transformers.js q4"),
        ...values.python
          ? {
            "q4 ÷ generate() bfloat16": faster("ortune q4", "generate() bfloat16"),
            "fp32 ÷ generate() float32": faster("ortune fp32", "generate() float32"),
          }
          : {},
        "four rows together ÷ one": round(BATCH * median(rows[1]) / median(rows[BATCH])),
      },
    },
    null,
    2,
  ));
} finally {
  await Deno.remove(root, { recursive: true });
}
