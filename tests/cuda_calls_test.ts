/**
 * What training and generation ask of CUDA, call by call: whole updates on "cuda:0" under stand-in
 * libraries, in a process of its own. Needs no GPU, but the CUDA provider: a folder that
 * `tests/placement/build_folder.ts` makes once, named by ORTUNE_PLACEMENT.
 */

import assert from "node:assert/strict";
import { DEFAULT_LORA } from "../lora/lora_options.ts";
import { createLoraAdapter, loraParameters } from "../lora/block_adapter.ts";
import { layoutParameters } from "../model/engine/parameter_store.ts";
import { computedTokens } from "../model/engine/without_padding.ts";
import { CUBLAS_WORKSPACE_BYTES } from "../ort/runtime/cublas_workspace.ts";
import type { BaseDtype } from "../model/base_storage.ts";
import { parseDevice } from "../ort/runtime/device.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import type { DeviceMemory } from "../ort/runtime/cuda.ts";
import { openSafetensors } from "../ort/tensor/safetensors_file.ts";
import { writeSafetensors } from "../ort/tensor/safetensors_writer.ts";
import type { ModelConfig } from "../model/config.ts";
import { modelParameters } from "../model/parameters.ts";
import { tensorBytes } from "../ort/tensor/tensor_source.ts";
import { BUCKET } from "../train/distributed/buckets.ts";
import { resolveBaseStorage } from "../train/resolve_base_storage.ts";
import { estimateMemory } from "../train/trainers/memory_estimate.ts";
import { canRun } from "./support/can_run.ts";
import { repositoryPath } from "./support/run_script.ts";
import { STEPS_BATCH } from "./support/steps_batch.ts";
import { type TempFolder, tempFolder } from "./support/temp_folder.ts";
import { randomWeights, tinyConfig } from "./support/tiny_model.ts";

const folder = Deno.env.get("ORTUNE_PLACEMENT");
if (!folder) {
  console.warn(
    "CUDA calls test skipped: no CUDA provider. Make a folder of it once, which needs gcc, npm and " +
      "the network: deno run --allow-all tests/placement/build_folder.ts DIR; then run " +
      "ORTUNE_PLACEMENT=DIR deno test --allow-all tests/cuda_calls_test.ts",
  );
}

/** Of sizes that the kernels of attention and of adapters have, and of some that they have not. */
const configs = {
  fused: tinyConfig({ head_dim: 64, hidden_size: 64, intermediate_size: 128 }),
  plain: tinyConfig(),
};
const INT64 = 8;
const INT32 = 4;
const FLOAT = 4;

/** Tokens of the batch's rows. */
const ROWS = Array.from(
  { length: STEPS_BATCH.rows },
  (_, row) =>
    STEPS_BATCH.segmentIds.subarray(row * STEPS_BATCH.length, (row + 1) * STEPS_BATCH.length)
      .filter((id) => id > 0).length,
);

type Method = "full" | "lora" | "dora";

/** A call that the stand-ins logged. */
interface Call {
  readonly name: string;
  readonly bytes: number;
  /** The address of memory, or which way a copy goes. */
  readonly detail: string;
}

/** What a run on the stand-ins logged, part by part, and the memory it took. */
interface Log {
  readonly parts: ReadonlyMap<string, readonly Call[]>;
  readonly memory: DeviceMemory;
}

const KINDS: Readonly<Record<string, string>> = {
  "1": "host to device",
  "2": "device to host",
  "3": "on the device",
};

/** The name of a call in the table, with the way of a copy. */
function kindOf({ name, detail }: Call): string {
  return name.startsWith("cudaMemcpy") ? `${name}, ${KINDS[detail]}` : name;
}

async function runSteps(
  model: string,
  { method, precision, kernels, base, shard, nccl }: {
    method: Method;
    precision: string;
    kernels?: boolean;
    /** What the base is kept in. */
    base?: BaseDtype;
    /** Whether it keeps a part of the optimizer's state. */
    shard?: boolean;
    /** The library of a stand-in for NCCL. */
    nccl?: string;
  },
): Promise<Log> {
  const script = repositoryPath("tests/support/cuda_steps.ts");
  const config = `--config=${repositoryPath("deno.json")}`;
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--no-check", "--allow-all", config, script, folder!, model, method, precision],
      ...kernels ? ["kernels"] : [],
      ...base ? [`base=${base}`] : [],
      ...shard ? ["shard"] : [],
      ...nccl ? [`nccl=${nccl}`] : [],
    ],
    env: { LD_LIBRARY_PATH: folder!, CUDA_STANDIN_LOG: "1", NO_COLOR: "1" },
  }).output();
  const text = new TextDecoder().decode(stderr);
  assert.equal(code, 0, text.slice(-2000));
  const parts = new Map<string, Call[]>();
  let part: Call[] = [];
  for (const line of text.split("\n")) {
    const [kind, rest = ""] = line.split(": ");
    if (kind === "part") parts.set(rest, part = []);
    if (kind === "nccl") part.push({ name: "nccl", bytes: 0, detail: rest });
    if (kind !== "cuda" && kind !== "own") continue;
    const [name, bytes, detail] = rest.split(" ");
    part.push({ name, bytes: Number(bytes), detail });
  }
  return { parts, memory: JSON.parse(new TextDecoder().decode(stdout)) as DeviceMemory };
}

function copies(calls: readonly Call[], way: string): number[] {
  return calls.filter((call) => call.name.startsWith("cudaMemcpy") && KINDS[call.detail] === way)
    .map(({ bytes }) => bytes);
}

const waitsOf = (calls: readonly Call[]): string[] =>
  calls.map(({ name }) => name).filter((name) =>
    /Synchronize$/.test(name) || name === "cudaMemcpy"
  );

/** Bytes that go in for one batch, in the order of the calls. */
function batchBytes(method: Method, fused: boolean): number[] {
  const { supervised, inputIds } = STEPS_BATCH;
  const tokens = computedTokens(ROWS, fused ? "end-to-end" : "grid");
  const real = inputIds.filter((_, i) => STEPS_BATCH.segmentIds[i] > 0);
  return [
    tokens * INT64, // ids
    // Segments, or where each token's begins and ends.
    ...Array<number>(fused ? 2 : 1).fill(tokens * INT32),
    tokens * INT64, // positions
    ...method === "full" ? [] : [tokens * INT32], // rows of the dropout masks
    supervised * INT64, // which tokens are to be predicted
    supervised * INT64, // by which ids
    FLOAT, // the scale of their losses
    // Ids again with padding marked, and each of them once.
    ...method === "full" ? [tokens * INT64, new Set(real).size * INT64] : [],
  ].sort((a, b) => a - b);
}

/** How often each kernel is launched for an update of two batches of one chunk each. */
function expectedLaunches(
  config: ModelConfig,
  { method, fused, base }: Required<Pick<Kind, "method" | "fused">> & Pick<Kind, "base">,
): Counts {
  const passes = 2 * config.layers;
  // Where attention is a kernel, the heads' norms are another's.
  const norms = (fused ? 2 : 4) * passes;
  const counts: Counts = {
    crossEntropy: 2,
    swigluForward: 2 * passes, // there, and again on the way back
    swigluBackward: passes,
    rmsNormBackward: norms,
    sumOfSquares: 1,
    decide: 1,
    update: 1,
  };
  if (method === "full") counts.columnSums = 4 * passes;
  // Of each of seven linear layers' input there, again on the way back, and of its gradient.
  else if (!fused) counts.hashedDropout = 3 * 7 * passes;
  else {
    // Queries, keys and values go together, gate and up too, where they are stacked. The last layer's B is not
    // needed on the way back.
    const parts = base ? 7 : 4;
    const both = 2 * parts * passes;
    Object.assign(counts, { loraDown: both, loraUp: both - passes, loraSums: both });
    for (const part of ["DownInput", "DownWeight", "UpHidden", "UpWeight"]) {
      counts[`lora${part}`] = parts * passes;
    }
  }
  if (fused) {
    counts.headsForward = 2 * passes;
    counts.headsBackward = passes;
    counts.attentionForward = 2 * passes;
    for (const part of ["Dots", "BackwardQueries", "BackwardKeys"]) {
      counts[`attention${part}`] = passes;
    }
  }
  return counts;
}

type Counts = Record<string, number>;

function countNames(calls: readonly Call[]): Counts {
  const counts: Counts = {};
  for (const { name } of calls) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

function table(log: Log): string {
  const columns = ["update 3", "results", "evaluate", "token 2"];
  const names = new Set(columns.flatMap((part) => log.parts.get(part)!.map(kindOf)));
  return [...names].sort().map((name) => {
    const counts = columns.map((part) =>
      log.parts.get(part)!.filter((call) => kindOf(call) === name)
    );
    return `${name.padEnd(36)} ${counts.map((calls) => `${calls.length}`.padStart(9)).join(" ")}`;
  }).join("\n").replace(/^/, `${" ".repeat(36)} ${columns.map((c) => c.padStart(9)).join(" ")}\n`);
}

const KEPT = {
  fp32: "float32",
  bf16: "master",
  "bf16-pure": "bfloat16",
  "bf16-stochastic": "bfloat16-stochastic",
  "bf16-8bit": "bfloat16-8bit",
} as const;

interface Kind {
  readonly method: Method;
  readonly precision: keyof typeof KEPT;
  readonly kernels?: boolean;
  /** Whether attention runs in a kernel, too. */
  readonly fused?: boolean;
  /** What the base is kept in. @default as it computes */
  readonly base?: BaseDtype;
}

const RUNS: readonly Kind[] = [
  { method: "full", precision: "fp32" },
  { method: "full", precision: "bf16" },
  { method: "full", precision: "bf16-pure" },
  { method: "full", precision: "bf16-stochastic" },
  { method: "lora", precision: "fp32" },
  { method: "lora", precision: "bf16" },
  { method: "dora", precision: "bf16" },
  { method: "full", precision: "fp32", kernels: true },
  { method: "full", precision: "bf16", kernels: true },
  { method: "full", precision: "bf16-8bit", kernels: true },
  { method: "lora", precision: "bf16", kernels: true },
  { method: "full", precision: "bf16", kernels: true, fused: true },
  { method: "lora", precision: "bf16", kernels: true, fused: true },
  { method: "dora", precision: "fp32", base: "int4" },
  { method: "lora", precision: "bf16", base: "int4" },
  { method: "lora", precision: "bf16", kernels: true, fused: true, base: "int8" },
];

async function modelFolder(config: ModelConfig): Promise<TempFolder> {
  const folder = await tempFolder();
  using runtime = new Runtime({ threads: 1 });
  using weights = randomWeights(runtime, config);
  await folder.write("config.json", JSON.stringify(config.raw));
  await writeSafetensors(`${folder.path}/model.safetensors`, weights);
  return folder;
}

/** Bytes of each tensor in the files of a checkpoint. */
async function savedBytes(
  directory: string,
  which = /\.(safetensors|state)$/,
): Promise<number[]> {
  const bytes: number[] = [];
  for await (const { name } of Deno.readDir(directory)) {
    if (!which.test(name)) continue;
    await using file = await openSafetensors(`${directory}/${name}`);
    bytes.push(...file.names().map((each) => tensorBytes(file.info(each))));
  }
  return bytes;
}

for (const { method, precision, kernels = false, fused = false, base } of RUNS) {
  const config = configs[fused ? "fused" : "plain"];
  const what = `${method} training in ${precision}${kernels ? " with own kernels" : ""}${
    fused ? ", attention among them" : ""
  }${base ? ` on a base in ${base}` : ""}`;
  Deno.test({
    name: `${what} sends ids, reads losses and a copy to save when asked, and never waits else`,
    ignore: !folder,
    fn: async () => {
      await using model = await modelFolder(config);
      const log = await runSteps(model.path, { method, precision, kernels, base });
      console.log(`calls of ${what}:\n${table(log)}`);
      for (const update of ["update 2", "update 3", "update 4"]) {
        const calls = log.parts.get(update)!;
        assert.ok(calls.some(({ name }) => name === "cudaLaunchKernel"), "nothing ran");
        const batch = batchBytes(method, fused);
        // An update's rate, decay (of kernels two constants), scale and seed; then both batches.
        const sent = [(kernels ? 5 : 4) * FLOAT, ...batch, ...batch].sort((a, b) => a - b);
        assert.deepEqual(copies(calls, "host to device").sort((a, b) => a - b), sent);
        assert.deepEqual(copies(calls, "device to host"), []);
        assert.deepEqual(waitsOf(calls), []);
        assert.deepEqual(
          countNames(calls.filter(({ detail }) => detail === "ours")),
          kernels ? expectedLaunches(config, { method, fused, base }) : {},
        );
        assert.ok(calls.every(({ detail }) => detail !== "another"));
        assert.ok(calls.every(({ name }) => name !== "cudaMalloc" && name !== "cudaFree"));
      }
      const results = log.parts.get("results")!;
      // Loss and norm of each update, on a row of four floats.
      assert.deepEqual(copies(results, "device to host"), [4 * 4 * FLOAT]);
      assert.deepEqual(waitsOf(results), ["cudaStreamSynchronize"]);
      assert.equal(results.length, 2);

      const evaluated = copies(log.parts.get("evaluate")!, "device to host");
      assert.deepEqual(evaluated, [STEPS_BATCH.supervised * FLOAT]);
      const copied = copies(log.parts.get("snapshot")!, "device to host");
      const sum = (bytes: readonly number[]) => bytes.reduce((a, b) => a + b, 0);
      assert.equal(sum(copied), sum(await savedBytes(`${model.path}/saved`)));
      assert.deepEqual(log.parts.get("write"), []);

      for (const token of ["token 2", "token 3"]) {
        const calls = log.parts.get(token)!;
        assert.deepEqual(copies(calls, "device to host"), [config.vocabSize * FLOAT]);
        assert.deepEqual(waitsOf(calls), ["cudaStreamSynchronize"]);
      }
    },
  });

  Deno.test({
    name: `${what} holds what the memory plan says`,
    ignore: !folder,
    fn: async () => {
      await using model = await modelFolder(config);
      const { parts, memory } = await runSteps(model.path, { method, precision, kernels, base });
      const adapter = method === "full"
        ? undefined
        : createLoraAdapter(config, { ...DEFAULT_LORA, dora: method === "dora" });
      const plan = estimateMemory(config, {
        rows: STEPS_BATCH.rows,
        length: STEPS_BATCH.length,
        tokens: STEPS_BATCH.tokens,
        supervised: STEPS_BATCH.supervised,
        precision: precision === "fp32" ? "float32" : "bfloat16",
        format: KEPT[precision],
        device: "cuda",
        storage: resolveBaseStorage(parseDevice("cuda"), { baseDtype: base }),
        adapter,
        kernels,
      });
      const planned = plan.weights + plan.gradients + plan.moments + plan.activations;
      // What no plan counts: room for unread results, ids, tables, sums of blocks, scalars, and an
      // adapter's dropout columns.
      const widest = Math.max(config.intermediateSize, config.heads * config.headDim);
      const small = 16 * 1024 + 8 * 1024 +
        config.layers * (adapter?.parameters(config.layerKinds[0]).length ?? 0) * widest * INT32;
      assert.ok(memory.tensorsPeak >= planned, `${memory.tensorsPeak} below ${planned}`);
      assert.ok(memory.tensorsPeak <= planned + small, `${memory.tensorsPeak} above ${planned}`);
      // One handle a session, of the size that the plan counts, up to the end of an evaluation.
      const until = [...parts.keys()].indexOf("snapshot");
      const handles = [...parts].slice(0, until).flatMap(([, calls]) => calls)
        .filter(({ name }) => /^cublas(Create|Destroy)$/.test(name));
      const made = handles.filter(({ name }) => name === "cublasCreate");
      assert.deepEqual([...new Set(made.map(({ detail }) => detail))], ["1"]);
      const live = 2 * made.length - handles.length;
      console.log(`${what}: ${live} handles`);
      assert.equal(plan.handles, live * CUBLAS_WORKSPACE_BYTES);
      // All else that was allocated is arenas, and constants of graphs.
      const before = [...parts].slice(0, [...parts.keys()].indexOf("memory"));
      let held = 0;
      const sizes = new Map<string, number>();
      for (const { name, bytes, detail } of before.flatMap(([, calls]) => calls)) {
        if (name === "cudaMalloc") sizes.set(detail, bytes);
        if (name === "cudaMalloc") held += bytes;
        if (name === "cudaFree") held -= sizes.get(detail) ?? 0;
      }
      const arenas = held - memory.tensors;
      console.log(`${what}: tensors ${memory.tensors}, arenas ${arenas} bytes`);
      assert.ok(arenas >= 0 && arenas < 4 * 2 ** 20, `arenas hold ${arenas}`);
    },
  });
}

/** Large enough for several buckets of gradients, one a layer or more. */
const large = tinyConfig({
  head_dim: 64,
  hidden_size: 512,
  intermediate_size: 2048,
  vocab_size: 16384,
  num_hidden_layers: 3,
});

/** Builds the stand-in for NCCL. */
async function buildNccl(directory: string): Promise<string> {
  const nccl = `${directory}/libnccl.so`;
  const source = repositoryPath("tests/support/stand_in_nccl.c");
  await new Deno.Command("cc", { args: ["-shared", "-fPIC", "-o", nccl, source] }).output();
  return nccl;
}

/** A collective that the stand-in logged. */
interface Collective {
  /** Its place among the calls. */
  readonly at: number;
  readonly name: string;
  readonly from: bigint;
  readonly to: bigint;
  readonly count: number;
}

const wordsOf = (calls: readonly Call[]): readonly string[] =>
  calls.map(({ name, detail }) => name === "nccl" ? detail : name);

/** Collectives in their order, each of which waits for what was computed before it. */
function collectivesOf(words: readonly string[]): readonly Collective[] {
  const pattern = /^(reduce-scatter|all-reduce|all-gather|reduce|broadcast) (\S+) to (\S+), (\d+)/;
  return words.flatMap((text, at): Collective[] => {
    const [, name, from, to, count] = pattern.exec(text) ?? [];
    if (name === undefined) return [];
    assert.deepEqual(words.slice(at - 2, at), ["event 1 on compute", "nccl waits for event 1"]);
    return [{ at, name, from: BigInt(`0x${from}`), to: BigInt(`0x${to}`), count: Number(count) }];
  });
}

/** Elements of each bucket of what is trained. */
function bucketLengths(method: "full" | "lora"): readonly number[] {
  const trained = method === "full" ? modelParameters(large) : loraParameters(large, DEFAULT_LORA);
  const { length } = layoutParameters(trained);
  return Array.from(
    { length: Math.ceil(length / BUCKET) },
    (_, i) => Math.min(BUCKET, length - i * BUCKET),
  );
}

const launchesIn = (calls: readonly Call[]): number =>
  calls.filter(({ name, detail }) => name === "cudaLaunchKernel" || detail === "ours").length;
const sorted = (values: readonly number[]): number[] => values.toSorted((a, b) => a - b);

for (
  const { method, precision, kernels } of [
    { method: "full", precision: "fp32", kernels: false },
    { method: "full", precision: "bf16", kernels: false },
    { method: "full", precision: "bf16", kernels: true },
    { method: "lora", precision: "bf16", kernels: true },
  ] as const
) {
  Deno.test({
    name: `two GPUs sum gradients beside ${method} training in ${precision}${
      kernels ? " with own kernels" : ""
    }, and the host copies and waits for nothing more`,
    ignore: !folder || !await canRun("cc", ["--version"]),
    fn: async () => {
      await using model = await modelFolder(large);
      const nccl = await buildNccl(model.path);
      const { parts, memory } = await runSteps(model.path, { method, precision, kernels, nccl });
      for (const update of ["update 2", "update 3", "update 4"]) {
        const calls = parts.get(update)!;
        const names = wordsOf(calls);
        const sums = collectivesOf(names);
        // All gradients once and in place, and the loss last; each behind what was computed before it.
        assert.ok(sums.every(({ name, from, to }) => name === "all-reduce" && from === to));
        assert.deepEqual(
          sorted(sums.map(({ count }) => count)),
          sorted([...bucketLengths(method), 1]),
        );
        assert.equal(sums.at(-1)!.count, 1);
        // And all of them before the update.
        const joined = names.lastIndexOf("compute waits for event 2");
        assert.ok(joined > sums.at(-1)!.at);
        const products = (from: number, to: number) =>
          names.slice(from, to).filter((name) => name === "cublasGemm").length;
        assert.ok(launchesIn(calls.slice(joined)) > 0, "the update comes after the sums");
        // Backward goes on beside the first ones.
        if (method === "full") assert.ok(products(sums[0].at, sums.at(-2)!.at) > 10);
        assert.deepEqual(copies(calls, "device to host"), []);
        assert.deepEqual(waitsOf(calls), []);
        // The arena may grow once more, with the first update that adds to nothing.
        const allocated = calls.filter(({ name }) => name === "cudaMalloc" || name === "cudaFree");
        assert.ok(update === "update 2" || allocated.length === 0);
      }
      const results = parts.get("results")!;
      assert.deepEqual(waitsOf(results), ["cudaStreamSynchronize"]);
      const plan = estimateMemory(large, {
        ...STEPS_BATCH,
        precision: precision === "fp32" ? "float32" : "bfloat16",
        format: KEPT[precision],
        device: "cuda",
        adapter: method === "full" ? undefined : createLoraAdapter(large, DEFAULT_LORA),
        kernels,
        several: true,
      });
      // Weights, gradients with the room that they are widened in, and state; a share has fewer tokens.
      const planned = plan.weights + plan.gradients + plan.moments;
      assert.ok(memory.tensors >= planned, `${memory.tensors} below ${planned}`);
      assert.ok(
        memory.tensors <= planned + plan.activations + 2 ** 20,
        `${memory.tensors} of ${planned}`,
      );
    },
  });
}

for (
  const { precision, kernels } of [
    { precision: "fp32", kernels: false },
    { precision: "bf16", kernels: false },
    { precision: "bf16", kernels: true },
  ] as const
) {
  Deno.test({
    name: `two GPUs keep a part of the optimizer's state each in ${precision}${
      kernels ? " with own kernels" : ""
    }: parts of sums in, parts of weights out, and the host copies and waits for nothing more`,
    ignore: !folder || !await canRun("cc", ["--version"]),
    fn: async () => {
      await using model = await modelFolder(large);
      const nccl = await buildNccl(model.path);
      const { parts, memory } = await runSteps(model.path, {
        ...{ method: "full", precision, kernels, shard: true, nccl },
      });
      const buckets = bucketLengths("full");
      const elements = buckets.reduce((sum, each) => sum + each, 0);
      const width = precision === "fp32" ? 4 : 2;
      for (const update of ["update 2", "update 3", "update 4"]) {
        const calls = parts.get(update)!;
        const words = wordsOf(calls);
        const all = collectivesOf(words);
        // Half of each bucket's gradients, in place; then the loss, what the norm is of, and weights.
        const scatters = all.slice(0, buckets.length);
        assert.deepEqual(
          scatters.map(({ name, from, to }) => [name, from === to]),
          buckets.map(() => ["reduce-scatter", true]),
        );
        assert.deepEqual(
          sorted(scatters.map(({ count }) => count)),
          sorted(buckets.map((each) => each / 2)),
        );
        const [loss, squares, ...gathers] = all.slice(buckets.length);
        assert.deepEqual([loss.name, loss.count], ["all-reduce", 1]);
        const blocks = kernels ? ["all-gather", 0] : ["all-reduce", elements / 256];
        assert.deepEqual([squares.name, kernels ? 0 : squares.count], blocks);
        assert.deepEqual(
          gathers.map(({ name, from, to }) => [name, from === to]),
          buckets.map(() => ["all-gather", true]),
        );
        // In bytes.
        assert.deepEqual(
          sorted(gathers.map(({ count }) => count)),
          sorted(buckets.map((each) => each / 2 * width)),
        );
        const waits = [...words.keys()].filter((at) => words[at] === "compute waits for event 2");
        const waitsBetween = (from: number, to: number) => waits.some((at) => at > from && at < to);
        assert.ok(waitsBetween(scatters.at(-1)!.at, loss.at), "the norm is taken of all sums");
        assert.ok(waitsBetween(squares.at, gathers[0].at), "the decision is made of all norms");
        assert.ok(waitsBetween(gathers.at(-1)!.at, words.length), "what follows has all weights");
        assert.ok(!waitsBetween(gathers[0].at, gathers.at(-1)!.at), "updates run beside gathers");
        // Own kernels are logged when the update is over.
        if (kernels) assert.equal(countNames(calls).update, buckets.length);
        else {
          gathers.slice(1).forEach(({ at }, i) =>
            assert.ok(launchesIn(calls.slice(gathers[i].at, at)) > 0)
          );
        }
        assert.deepEqual(copies(calls, "device to host"), []);
        assert.deepEqual(waitsOf(calls), []);
      }
      const plan = estimateMemory(large, {
        ...STEPS_BATCH,
        precision: precision === "fp32" ? "float32" : "bfloat16",
        format: KEPT[precision],
        device: "cuda",
        kernels,
        several: true,
        shards: 2,
      });
      const planned = plan.weights + plan.gradients + plan.moments;
      assert.ok(memory.tensors >= planned, `${memory.tensors} below ${planned}`);
      assert.ok(
        memory.tensors <= planned + plan.activations + 2 ** 20,
        `${memory.tensors} of ${planned}`,
      );
      // A save copies the weights and its own half of the state: for the file that both write, and as that
      // is no whole one here, once more to be sent.
      assert.deepEqual(copies(parts.get("snapshot")!, "device to host"), []);
      const copied = copies(parts.get("write")!, "device to host").reduce((a, b) => a + b, 0);
      const state = await savedBytes(`${model.path}/saved`, /\.state$/);
      const weights = await savedBytes(`${model.path}/saved`, /\.safetensors$/);
      const sum = (bytes: readonly number[]) => bytes.reduce((a, b) => a + b, 0);
      const shares = (copied - sum(weights)) / sum(state);
      assert.ok(Math.abs(shares - 1) < 0.01, `${shares} of the state`);
    },
  });
}

Deno.test({
  name: "all runtimes of a process share a device's stream and memory, until the last one is gone",
  ignore: !folder,
  fn: async () => {
    const script = `
      import { Runtime } from "${repositoryPath("ort/runtime/runtime.ts")}";
      import { Tensor } from "${repositoryPath("ort/runtime/tensor.ts")}";
      const options = {
        threads: 1,
        libraryPath: ${JSON.stringify(`${folder}/libonnxruntime.so`)},
        device: { kind: "cuda", index: 0 },
      };
      const [first, second] = [new Runtime(options), new Runtime(options)];
      const stream = ({ cuda }) => Deno.UnsafePointer.value(cuda.stream);
      const tensor = Tensor.from(second, "float32", [2], Float32Array.of(3, 4));
      first[Symbol.dispose]();
      first[Symbol.dispose]();
      console.log(stream(first) === stream(second), ...tensor.hostFloat32());
      console.log(second.cuda.memory().tensors);
      tensor[Symbol.dispose]();
      second[Symbol.dispose]();
      const third = new Runtime(options);
      console.log(third.cuda !== second.cuda, third.cuda.memory().tensors);
      try {
        Tensor.from(third, "float32", [1], Float32Array.of(1)).float32();
      } catch (error) {
        console.log(String(error));
      }
    `;
    await using work = await tempFolder();
    const path = await work.write("script.ts", script);
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-check", "-A", `--config=${repositoryPath("deno.json")}`, path],
      env: { LD_LIBRARY_PATH: folder!, NO_COLOR: "1" },
    }).output();
    assert.equal(
      new TextDecoder().decode(stdout),
      "true 3 4\n8\ntrue 0\nTypeError: Cannot view a tensor on cuda:0 as host memory: copy with " +
        "read() and write()\n",
      new TextDecoder().decode(stderr),
    );
  },
});
