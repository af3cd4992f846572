/**
 * Measures the speed of exports on the CPU: tokens a second of ONNX Runtime driven by ortune, with
 * its cache in place, and by transformers.js, which makes a new cache each token; both from the same
 * files, in turns of one run. Prints JSON.
 *
 * `deno run --allow-all bench/export_decode.ts [layers] [threads]`: Qwen3-0.6B's shapes with random
 * weights, 28 layers by default, which need 4 GB of disk and memory. The client's packages come from
 * examples/browser/deno.json.
 */

import { layoutParameters, ParameterStore } from "../engine/parameter_store.ts";
import { clientConfig } from "../export/client_files.ts";
import { exportModel } from "../export/export_model.ts";
import { ExportedDecoder } from "../export/exported_decoder.ts";
import { modelParameters } from "../model/parameters.ts";
import { parseConfig } from "../model/config.ts";
import { Runtime } from "../ort/runtime.ts";
import { fillRandom, median, QWEN3_06B } from "./measure.ts";

const CONTEXT = 256;
const TOKENS = 24;
const ROUNDS = 2;

const [layers = 28, threads = 2] = Deno.args.map(Number);
const raw = { ...QWEN3_06B.raw, num_hidden_layers: layers, eos_token_id: 0 };
const config = parseConfig(raw);
const runtime = new Runtime({ threads });
const root = await Deno.makeTempDir({ prefix: "ortune-bench-" });
const directory = `${root}/model`;
const prompt = Array.from({ length: CONTEXT }, (_, i) => (i * 7919) % config.vocabSize);

interface Times {
  readonly prefill: number;
  readonly decode: readonly number[];
}

async function ours(dtype: "fp32" | "q4"): Promise<Times> {
  using decoder = new ExportedDecoder(runtime, directory, { config, dtype, chunk: CONTEXT });
  await decoder.prefill(prompt.slice(0, 16));
  decoder.reset();
  const time = async (run: () => Promise<Float32Array>): Promise<number> => {
    const began = performance.now();
    // What greedy decoding does with the logits is part of a token in both.
    const logits = await run();
    next = logits.indexOf(logits.reduce((max, each) => Math.max(max, each), -Infinity));
    return performance.now() - began;
  };
  let next = 0;
  const prefill = await time(() => decoder.prefill(prompt));
  const decode: number[] = [];
  for (let i = 1; i < TOKENS; i++) decode.push(await time(() => decoder.decode(next)));
  return { prefill, decode };
}

async function theirs(dtype: "fp32" | "q4"): Promise<Times> {
  const here = (path: string): string => new URL(path, import.meta.url).pathname;
  const output = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--allow-all", `--config=${here("../examples/browser/deno.json")}`],
      ...[here("export_decode_client.ts"), root, "model"],
      JSON.stringify({ dtype, prompt, tokens: TOKENS, threads }),
    ],
    stderr: "inherit",
  }).output();
  return JSON.parse(new TextDecoder().decode(output.stdout));
}

try {
  await Deno.mkdir(`${directory}/onnx`, { recursive: true });
  const exported = [];
  {
    using weights = new ParameterStore(runtime, layoutParameters(modelParameters(config)));
    for (const name of weights.names()) {
      const values = weights.tensor(name).float32();
      if (weights.info(name).shape.length === 1) values.fill(1);
      else fillRandom(values, 0.05);
    }
    for (const dtype of ["fp32", "q4"] as const) {
      exported.push(await exportModel(directory, { config, weights, dtype }));
    }
  }
  await Deno.writeTextFile(
    `${directory}/config.json`,
    JSON.stringify(clientConfig(config, exported)),
  );
  const times: Record<string, Times[]> = {};
  for (let round = 0; round < ROUNDS; round++) {
    for (const dtype of ["fp32", "q4"] as const) {
      (times[`ortune ${dtype}`] ??= []).push(await ours(dtype));
      (times[`transformers.js ${dtype}`] ??= []).push(await theirs(dtype));
    }
  }
  const round = (value: number): number => Number(value.toPrecision(3));
  console.log(JSON.stringify(
    {
      onnxruntime: runtime.api.version,
      layers,
      threads,
      context: CONTEXT,
      bytes: Object.fromEntries(exported.map(({ dtype, files }) => [
        dtype,
        files.reduce((sum, { bytes }) => sum + bytes, 0),
      ])),
      tokensPerSecond: Object.fromEntries(
        Object.entries(times).map(([name, all]) => [name, {
          decode: round(1000 / median(all.flatMap(({ decode }) => decode))),
          prefill: round(CONTEXT * 1000 / Math.min(...all.map(({ prefill }) => prefill))),
        }]),
      ),
    },
    null,
    2,
  ));
} finally {
  await Deno.remove(root, { recursive: true });
}
