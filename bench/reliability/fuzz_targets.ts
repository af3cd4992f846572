/**
 * Readers of foreign files and requests. In: a folder for files and choices. Out: by name, a function
 * that makes one hostile input and reads it.
 */

import { createHash } from "node:crypto";
import { byteTokenizerFiles } from "../../data/text/byte_tokenizer.ts";
import { formatChatSettings, parseChatSettings } from "../../data/text/chat_settings.ts";
import { renderChat } from "../../data/text/chat_template.ts";
import { readRows } from "../../data/records/read_rows.ts";
import { prepareExamples } from "../../data/examples/prepare_examples.ts";
import { parseRecord, toMessages } from "../../data/records/record.ts";
import { openTokenFile } from "../../data/examples/token_file.ts";
import { createTokenizer } from "../../data/text/tokenizer.ts";
import { readManifest } from "../../train/runs/run_manifest.ts";
import { parseGenerationConfig } from "../../infer/generate/generation_config.ts";
import { parseAdapterConfig } from "../../lora/adapter_config.ts";
import { parseConfig } from "../../model/config.ts";
import { quickstartConfig } from "../../examples/quickstart/quickstart_model.ts";
import {
  quickstartTokenizerConfig,
  quickstartTokenizerJson,
} from "../../examples/quickstart/quickstart_tokenizer.ts";
import { parseChatRequest } from "../../infer/serve/chat_request.ts";
import { openSafetensors } from "../../ort/tensor/safetensors_file.ts";
import { writeSafetensors } from "../../ort/tensor/safetensors_writer.ts";
import { tensorBytes, tensorSourceFromMap } from "../../ort/tensor/tensor_source.ts";
import { readMetricsLog } from "../../train/track/read_metrics_log.ts";
import { frameRecord, readFrames, SWANLAB_HEADER } from "../../train/track/swanlab_frames.ts";
import { MANIFEST, verifyCheckpoint, writeCheckpoint } from "../../train/checkpoints/checkpoint.ts";
import { parseRunFacts } from "../../train/checkpoints/run_facts.ts";
import { formatTrainerState, parseTrainerState } from "../../train/checkpoints/trainer_state.ts";
import { patternBomb, templateBomb } from "./bombs.ts";
import { mutateBytes, mutateJson, mutateJsonText, mutateText } from "./mutate.ts";
import type { Random } from "./random.ts";

/** Reads one hostile input; throws where it is refused. */
export type FuzzTarget = (random: Random) => unknown;

/** Names of all targets, in order. */
export const FUZZ_TARGETS = [
  "rows",
  "config.json",
  "tokenizer.json",
  "chat template",
  "adapter_config.json",
  "safetensors",
  "generation_config.json",
  "checkpoint manifest",
  "trainer_state.json",
  "training_args.json",
  "run.json",
  "token file",
  "chat request",
  "chat_settings.json",
  "metrics.jsonl",
  "swanlab frames",
  "template bomb",
  "pattern bomb",
] as const;

/** How often a target's turn comes, beside the others': those that strangers' models reach more often. */
export const WEIGHTS: Readonly<Partial<Record<string, number>>> = {
  "chat template": 3,
  "tokenizer.json": 2,
  // Each may cost all the time that it is given.
  "template bomb": 0.02,
  "pattern bomb": 0.02,
};

/** A reader with every fault that a campaign is to find, which tests of it are about. */
export const SELF_CHECK = "self check";

/** The name of a target. */
export type FuzzTargetName = typeof FUZZ_TARGETS[number] | typeof SELF_CHECK;

const encoder = new TextEncoder();
const ROWS = [
  { question: "头疼怎么办？", think: "想一想。", answer: "多休息。" },
  { question: "1+1?", think: "", answer: "2", system: "Be brief." },
  {
    messages: [
      { role: "system", content: "Be brief." },
      { role: "user", content: [{ type: "text", text: "Hi" }] },
      { role: "assistant", reasoning_content: "A greeting.", content: "Hello", weight: 1 },
    ],
  },
];
const ADAPTER = {
  peft_type: "LORA",
  task_type: "CAUSAL_LM",
  base_model_name_or_path: "models/tiny",
  r: 8,
  lora_alpha: 16,
  lora_dropout: 0.05,
  target_modules: ["q_proj", "v_proj"],
  bias: "none",
  use_rslora: false,
  use_dora: false,
  fan_in_fan_out: false,
  modules_to_save: null,
  rank_pattern: {},
  alpha_pattern: {},
};
const REQUEST = {
  model: "tiny",
  messages: [{ role: "system", content: "Be brief." }, { role: "user", content: "Hi" }],
  stream: true,
  stream_options: { include_usage: true },
  max_tokens: 16,
  temperature: 0.7,
  top_p: 0.9,
  n: 2,
  seed: 3,
  stop: ["\n", "END"],
  response_format: { type: "text" },
};
const GENERATION = {
  do_sample: true,
  temperature: 0.6,
  top_k: 20,
  top_p: 0.95,
  eos_token_id: [1021, 1019],
  pad_token_id: 1019,
  bos_token_id: null,
  transformers_version: "4.57.0",
};
const RUN = {
  format: 1,
  command: "deno task train",
  arguments: {
    model: "models/tiny",
    learningRate: 1e-4,
    packing: false,
    reportTo: ["tensorboard"],
  },
  files: [{ path: "data/train.jsonl", bytes: 12, sha256: "0".repeat(64) }],
  config: { model_type: "qwen3" },
  versions: { ortune: "0.1.0", threads: 2 },
  status: "completed",
  started: "2026-01-01T00:00:00.000Z",
  ended: "2026-01-01T00:01:00.000Z",
  checkpoint: "output/checkpoint-8",
  best: { step: 8, metric: "eval_loss", value: 1.5 },
  metrics: { step: 8, trainLoss: 2.5, evalLoss: "NaN" },
  earlier: [{ command: null, status: "aborted", started: "", ended: null, checkpoint: null }],
};
const STATE = JSON.parse(formatTrainerState({
  step: 6,
  epoch: 1,
  batch: 3,
  tokensSeen: 700,
  sinceLog: { sum: 1.5, count: 2 },
  lossSum: 9.5,
  skippedInRow: 0,
  logHistory: [
    { epoch: 0.5, grad_norm: 1, learning_rate: 1e-4, loss: 2, step: 3 },
    { epoch: 0.5, eval_loss: 3, eval_token_loss: 2, step: 3 },
  ],
}, {
  ...{ totalSteps: 10, epochs: 2, epochFraction: 1.5, batchSize: 1, loggingSteps: 3 },
  ...{ evalSteps: 3, saveSteps: 6, parameters: 100 },
}));
const MESSAGES = [
  { role: "system", content: "Be brief." },
  { role: "user", content: "Hi" },
  { role: "assistant", content: "Hello", reasoning_content: "A greeting." },
  { role: "user", content: "1+1?" },
] as const;

/** Makes all targets; files go below `folder`. `offset` is the number of the first input. */
export async function fuzzTargets(
  folder: string,
  offset = 0,
): Promise<Readonly<Record<FuzzTargetName, FuzzTarget>>> {
  let calls = 0;
  const byteFiles = byteTokenizerFiles();
  const tokenizers = [byteFiles, {
    tokenizerJson: { ...quickstartTokenizerJson() } as Record<string, unknown>,
    tokenizerConfig: { ...quickstartTokenizerConfig } as Record<string, unknown>,
  }];
  const templates = tokenizers.flatMap(({ tokenizerConfig: { chat_template: each } }) =>
    typeof each === "string" ? [each] : []
  );
  const tokenizer = createTokenizer(byteFiles);
  const config = parseConfig(quickstartConfig);
  const settings = JSON.parse(
    formatChatSettings({ system: "Be brief.", enableThinking: true, eosTokenIds: [1021] }),
  );

  const data = new Uint8Array(64);
  const tensors = new Map([
    ["a.weight", { dtype: "float32" as const, shape: [4, 4], data }],
    ["b.weight", { dtype: "float32" as const, shape: [16], data }],
  ]);
  await writeSafetensors(`${folder}/whole.safetensors`, tensorSourceFromMap(tensors));
  const safetensors = await Deno.readFile(`${folder}/whole.safetensors`);

  const { directory } = await writeCheckpoint(folder, 6, async (staging) => {
    for (const name of ["a", "b"]) await Deno.writeTextFile(`${staging}/${name}`, name);
    return [];
  });
  const manifest = JSON.parse(await Deno.readTextFile(`${directory}/${MANIFEST}`));

  const rows = `${folder}/whole.jsonl`;
  await Deno.writeTextFile(rows, ROWS.map((row) => JSON.stringify(row) + "\n").join(""));
  {
    const store = { directory: folder, key: () => Promise.resolve("k") };
    using _prepared = await prepareExamples(rows, { tokenizer, maxLength: 256, store });
  }
  const tokens = await Deno.readFile(`${folder}/k.tokens`);

  const frame = frameRecord(data, SWANLAB_HEADER.length);
  const frames = Uint8Array.of(...SWANLAB_HEADER, ...frame);

  const file = async (name: string, content: string | Uint8Array): Promise<string> => {
    const path = `${folder}/${name}`;
    await Deno.writeFile(path, typeof content === "string" ? encoder.encode(content) : content);
    return path;
  };
  return {
    rows: async (random) => {
      const lines = Array.from({ length: 1 + random.below(3) }, () => {
        const row = random.pick(ROWS);
        return random.oneIn(3) ? JSON.stringify(row) : mutateJsonText(row, random);
      });
      let bytes: Uint8Array = encoder.encode(lines.join(random.pick(["\n", "\r\n", "\r", "\n\n"])));
      if (random.oneIn(5)) bytes = mutateBytes(bytes, random);
      const read = readRows(await file("rows.jsonl", bytes), parseRecord);
      for await (const record of read) if (record.kind !== "text") toMessages(record);
    },
    "config.json": (random) => parseConfig(mutateJson(quickstartConfig, random)),
    "tokenizer.json": (random) => {
      const { tokenizerJson, tokenizerConfig } = random.pick(tokenizers);
      const [json, own] = random.oneIn(4)
        ? [tokenizerJson, mutateJson(tokenizerConfig, random)]
        : [mutateJson(tokenizerJson, random), tokenizerConfig];
      const made = createTokenizer({
        tokenizerJson: json as Record<string, unknown>,
        tokenizerConfig: own as Record<string, unknown>,
      });
      made.decode(made.encode("Hello, 世界 123  aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n\n"));
    },
    "chat template": async (random) => {
      const template = mutateText(random.pick(templates), random);
      // It may come to be rendered elsewhere, and be awaited.
      await renderChat(template, MESSAGES, { addGenerationPrompt: random.oneIn(2) });
    },
    "adapter_config.json": (random) => parseAdapterConfig(mutateJson(ADAPTER, random)),
    safetensors: async (random) => {
      const path = await file("some.safetensors", mutateBytes(safetensors, random));
      await using opened = await openSafetensors(path);
      for (const name of opened.names()) {
        await opened.read(name, new Uint8Array(tensorBytes(opened.info(name))));
      }
    },
    "generation_config.json": (random) =>
      parseGenerationConfig(mutateJson(GENERATION, random), { config }),
    "checkpoint manifest": async (random) => {
      await Deno.writeTextFile(`${directory}/${MANIFEST}`, mutateJsonText(manifest, random));
      await verifyCheckpoint(directory);
    },
    "trainer_state.json": (random) =>
      parseTrainerState(mutateJsonText(STATE, random), "trainer_state.json"),
    "training_args.json": (random) =>
      parseRunFacts(mutateJsonText({ method: "full", seed: 42, packing: false }, random), "a.json"),
    "run.json": async (random) =>
      await readManifest(await file("run.json", mutateJsonText(RUN, random))),
    "token file": async (random) => {
      const bytes = mutateBytes(tokens, random);
      // With its own hash every other time, as only then what it says is looked at.
      if (random.oneIn(2) && bytes.length > 32) {
        bytes.set(createHash("sha256").update(bytes.subarray(0, -32)).digest(), bytes.length - 32);
      }
      const path = await file("some.tokens", bytes);
      const vocabSize = tokenizer.vocabSize;
      const content = await openTokenFile({ path, key: "k", source: rows, vocabSize });
      if (content === undefined) throw new Error("Cannot use the token file");
      using examples = content.examples;
      for (let i = 0; i < examples.length; i++) {
        const { inputIds, supervised } = examples.at(i);
        if (supervised > inputIds.length) throw new TypeError("undefined: supervised too many");
        for (const id of inputIds) {
          if (id < 0 || id >= vocabSize) throw new TypeError(`undefined: id ${id} came through`);
        }
      }
    },
    "chat request": (random) => parseChatRequest(mutateJson(REQUEST, random)),
    "chat_settings.json": (random) => parseChatSettings(mutateJson(settings, random)),
    "metrics.jsonl": async (random) => {
      const line = JSON.stringify({
        ...{ step: 2, epoch: 1, loss: 1.5, grad_norm: "NaN", learning_rate: 1e-4 },
        tokens_per_second: 10,
      });
      await readMetricsLog(await file("metrics.jsonl", mutateText(`${line}\n${line}\n`, random)));
    },
    "swanlab frames": (random) => {
      for (const _ of readFrames(mutateBytes(frames, random)));
    },
    "template bomb": async (random) => {
      await renderChat(templateBomb(random), MESSAGES, { addGenerationPrompt: true });
    },
    "pattern bomb": (random) => {
      const { tokenizerJson, tokenizerConfig } = byteFiles;
      const split = {
        type: "Split",
        pattern: { Regex: patternBomb(random) },
        behavior: "Isolated",
        invert: false,
      };
      createTokenizer({
        tokenizerJson: { ...tokenizerJson, pre_tokenizer: split },
        tokenizerConfig,
      }).encode(random.pick(["a", "é", " ", "1", "ab"]).repeat(30 + random.below(200)) + "!");
    },
    [SELF_CHECK]: () => {
      const faults: readonly (() => void)[] = [
        () => {},
        () => {
          throw new Error("Cannot read a.json: it is wrong");
        },
        () => (undefined as unknown as string).toLowerCase(),
        () => {
          while (true);
        },
        () => Deno.exit(3),
        () => {
          const kept: Uint8Array[] = [];
          // Touched, so that it is in memory.
          for (let i = 0; i < 64; i++) kept.push(new Uint8Array(2 ** 26).fill(1));
        },
      ];
      // A process that is stopped begins anew behind the input that stopped it.
      faults[(offset + calls++) % faults.length]();
    },
  };
}
