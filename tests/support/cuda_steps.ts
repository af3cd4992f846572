/**
 * Training steps and a reply on cuda:0, for a test that reads what the stand-in CUDA libraries log:
 * marks on standard error tell the parts apart. In: a model folder, a method and a precision. Out: the
 * device's memory as JSON on standard output, and what a checkpoint holds in the model folder's `saved`.
 * With `kernels` own kernels run too, and for real, since the stand-ins' device memory is the host's.
 *
 * With the library of a stand-in for NCCL it is the first of two processes; with `shard` it keeps a part of the
 * optimizer's state.
 *
 * usage: LD_LIBRARY_PATH=DIR CUDA_STANDIN_LOG=1 deno run --allow-all cuda_steps.ts DIR MODEL METHOD PRECISION [kernels] [shard] [base=DTYPE] [nccl=LIBRARY]
 */

import type { Comm } from "../../comm/comm.ts";
import { openNcclComm } from "../../comm/nccl/nccl_comm.ts";
import { soloComm } from "../../comm/solo_comm.ts";
import { Decoder } from "../../infer/generate/decoder.ts";
import { DEFAULT_LORA } from "../../lora/lora_options.ts";
import type { BaseDtype } from "../../model/base_storage.ts";
import { parseDevice } from "../../ort/runtime/device.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { deviceTensorComm } from "../../train/distributed/tensor_comm.ts";
import type { TrainerOptions } from "../../train/trainers/assemble_trainer.ts";
import { createFullTrainer } from "../../train/trainers/full_trainer.ts";
import { createLoraTrainer } from "../../train/trainers/lora_trainer.ts";
import type { TrainingPrecision } from "../../train/training_precision.ts";
import { STEPS_BATCH } from "./steps_batch.ts";
import { hostGpu } from "./test_gpu.ts";

const [folder, model, method, precision, ...more] = Deno.args;
const kernels = more.includes("kernels");
const shardOptimizer = more.includes("shard");
const base = more.find((each) => each.startsWith("base="))?.slice("base=".length);
const nccl = more.find((each) => each.startsWith("nccl="))?.slice("nccl=".length);

/** Starts a part of the log. */
function mark(part: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`part: ${part}\n`));
}

mark("open");
const runtime = new Runtime({
  threads: 1,
  libraryPath: `${folder}/libonnxruntime.so`,
  device: parseDevice("cuda:0"),
});
const host = kernels ? await hostGpu() : undefined;
if (kernels && !host) throw new Error("Cannot run own kernels: gcc and g++ are missing");
const optim = { "bf16-stochastic": "adamw_bf16", "bf16-8bit": "adamw_8bit" }[precision];
const options = {
  runtime,
  precision: (optim ? "bf16" : precision) as TrainingPrecision,
  optim,
  gpu: host?.gpu,
  shardOptimizer,
  ...nccl ? await firstOfTwo(nccl) : {},
};

/** The first of two processes, whose sums are stand-ins'. */
async function firstOfTwo(library: string): Promise<Pick<TrainerOptions, "comm" | "collectives">> {
  const computeStream = Deno.UnsafePointer.value(runtime.cuda!.stream);
  const { symbols } = Deno.dlopen(library, {
    standInCompute: { parameters: ["usize"], result: "void" },
  });
  symbols.standInCompute(computeStream);
  const comm: Comm = { ...soloComm(), size: 2, allGather: echo };
  const devices = { device: 0, computeStream, driver: library, libraryPath: library };
  return { comm, collectives: deviceTensorComm(await openNcclComm(comm, devices)) };
}

/** The second one answers whatever the first one says. */
// deno-lint-ignore require-await -- as the interface has it
async function echo(values: Float32Array | Uint8Array, [own, other]: readonly number[]) {
  values.set(values.subarray(0, Math.min(own, other)), own);
}

const trainer = method === "full"
  ? await createFullTrainer(model, options)
  : await createLoraTrainer(model, {
    ...options,
    baseDtype: base as BaseDtype | undefined,
    lora: { ...DEFAULT_LORA, dora: method === "dora" },
  });
for (let step = 1; step <= 4; step++) {
  mark(`update ${step}`);
  host?.records();
  await trainer.deferred!.launch([STEPS_BATCH, STEPS_BATCH], { learningRate: 1e-3 });
  const stream = Deno.UnsafePointer.value(runtime.cuda!.stream);
  for (const record of host?.records() ?? []) {
    const where = record.stream === stream ? "ours" : "another";
    Deno.stderr.writeSync(new TextEncoder().encode(`own: ${record.name} 0 ${where}\n`));
  }
}
mark("results");
const results = await trainer.deferred!.results();
if (results.length !== 4) throw new Error(`Cannot go on: ${results.length} results of 4 updates`);
mark("memory");
const memory = runtime.cuda!.memory();
mark("evaluate");
await trainer.evaluate(STEPS_BATCH);
mark("snapshot");
const copy = await trainer.deferred!.snapshot?.() ?? trainer;
mark("write");
await Deno.mkdir(`${model}/saved`);
await copy.save(`${model}/saved`);
mark("reply");
const { config, weights, linear } = trainer;
using decoder = new Decoder(runtime, config, weights, { linear });
await decoder.prefill([1, 2, 3]);
for (let made = 1; made <= 3; made++) {
  mark(`token ${made}`);
  await decoder.decode(made);
}
mark("end");
console.log(JSON.stringify(memory));
await trainer[Symbol.asyncDispose]();
