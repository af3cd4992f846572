/**
 * ortune as a contender. In: a model folder, a workload, commands on stdin. Out: replies on stdout.
 */

import { makeBatches } from "../../data/batches/batches.ts";
import type { Batch } from "../../data/batches/collator.ts";
import type { Example } from "../../data/examples/example.ts";
import { CompiledGraph } from "../../model/engine/compiled_graph.ts";
import { openRuntime } from "../../cli/process/open_runtime.ts";
import { CudaKernel } from "../../ort/kernels/driver.ts";
import type { Gpu } from "../../ort/kernels/gpu.ts";
import { Binding } from "../../ort/runtime/session.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { createFullTrainer } from "../../train/trainers/full_trainer.ts";
import { createLoraTrainer } from "../../train/trainers/lora_trainer.ts";
import { linearSchedule } from "../../train/schedules/schedules.ts";
import type { Trainer, TrainStepResult } from "../../train/trainer.ts";
import { findGpu } from "../../train/trainers/training_kernels.ts";
import {
  computePrecision,
  resolvePrecision,
  type TrainingPrecision,
} from "../../train/training_precision.ts";
import { type Command, REPLY, type Reply } from "./contender.ts";
import type { Row, Workload } from "./workload.ts";

/** What this process is to be. */
export interface OrtuneSide {
  readonly model: string;
  readonly workload: string;
  /** A PEFT folder; all weights are trained without. */
  readonly adapter?: string;
  readonly device: string;
  readonly threads?: number;
  readonly precision?: TrainingPrecision;
  /** A name of `--optim`. @default AdamW */
  readonly optim?: string;
  readonly gradientCheckpointing: boolean;
  /** Whether ortune's own kernels run what they can. */
  readonly kernels: boolean;
  /** Packed rows in one run. */
  readonly microRows: number;
  readonly learningRate: number;
  readonly totalSteps: number;
}

/** Milliseconds and runs by graph and kernel, while it is on: then nothing overlaps. */
class Profile {
  times: Record<string, { ms: number; runs: number }> = {};
  on = false;
  #wait: () => void = () => {};

  /** Watches all graphs and kernels of this process. */
  install(): void {
    const timed = this.#timed.bind(this);
    const names = new WeakMap<Binding, string>();
    let current: string | undefined;
    const { bind, run } = CompiledGraph.prototype;
    const runBinding = Binding.prototype.run;
    const { launch } = CudaKernel.prototype;
    CompiledGraph.prototype.bind = function (tensors) {
      const binding = bind.call(this, tensors);
      names.set(binding, this.graph.name);
      return binding;
    };
    CompiledGraph.prototype.run = function (tensors, symbols) {
      current = this.graph.name;
      run.call(this, tensors, symbols);
    };
    Binding.prototype.run = function () {
      timed(names.get(this) ?? current ?? "unnamed graph", () => runBinding.call(this));
    };
    CudaKernel.prototype.launch = function (options, values) {
      timed(`kernel ${this.name}`, () => launch.call(this, options, values));
    };
  }

  /** Takes what is to be waited for. */
  watch({ cuda }: Runtime): void {
    if (cuda) this.#wait = () => cuda.synchronize();
  }

  #timed(name: string, work: () => void): void {
    if (!this.on) return work();
    this.#wait();
    const began = performance.now();
    work();
    this.#wait();
    const entry = this.times[name] ??= { ms: 0, runs: 0 };
    entry.ms += performance.now() - began;
    entry.runs++;
  }
}

/** Trains as it is told until stdin ends. */
export async function runOrtune(side: OrtuneSide): Promise<void> {
  const profile = new Profile();
  profile.install();
  const workload: Workload = JSON.parse(await Deno.readTextFile(side.workload));
  using runtime = openRuntime(side);
  profile.watch(runtime);
  const { precision, optim, gradientCheckpointing } = side;
  using gpu = side.kernels ? await openGpuFor(runtime, precision) : undefined;
  const options = { runtime, precision, optim, gradientCheckpointing, gpu };
  await using trainer = side.adapter === undefined
    ? await createFullTrainer(side.model, options)
    : await createLoraTrainer(side.model, { ...options, initAdapter: side.adapter });
  const schedule = linearSchedule({ peak: side.learningRate, totalSteps: side.totalSteps });
  const next = { four: 0, large: 0 };
  tell({ ready: true });
  for await (const line of lines(Deno.stdin.readable)) {
    const { phase, count, profile: profiled = false }: Command = JSON.parse(line);
    profile.times = {};
    profile.on = profiled;
    const updates = workload[phase];
    const began = performance.now();
    const losses: number[] = [];
    await train(trainer, {
      updates: Array.from({ length: count }, () => updates[next[phase]++ % updates.length]),
      batches: (rows) => toBatches(rows, workload.maxLength, side.microRows),
      learningRate: () => schedule(trainer.step),
      losses,
    });
    const seconds = (performance.now() - began) / 1000;
    const reply: Reply = {
      seconds,
      losses,
      peakBytes: runtime.cuda?.memory().tensorsPeak ?? null,
      ...profiled ? { profile: profile.times } : {},
    };
    tell(reply);
  }
}

/** The GPU for own kernels; without it this would be another contender than it says. */
async function openGpuFor(
  { device }: Runtime,
  precision: TrainingPrecision | undefined,
): Promise<Gpu> {
  const { gpu, reason } = await findGpu(
    device,
    computePrecision(resolvePrecision(device, precision)),
    // Kept from one contender to the next, so that only the first start compiles.
    { cacheDir: `${Deno.env.get("TMPDIR") ?? "/tmp"}/ortune-kernels` },
  );
  if (!gpu) throw new Error(`Cannot run ortune's own kernels: ${reason}`);
  return gpu;
}

/** Whole updates, from rows to the optimizer's end; on a device results are read when they must be. */
async function train(trainer: Trainer, { updates, batches, learningRate, losses }: {
  readonly updates: readonly (readonly Row[])[];
  readonly batches: (rows: readonly Row[]) => readonly Batch[];
  readonly learningRate: () => number;
  readonly losses: number[];
}): Promise<void> {
  const take = (results: readonly TrainStepResult[]): void => {
    for (const { loss } of results) losses.push(loss);
  };
  const { deferred } = trainer;
  let pending = 0;
  for (const rows of updates) {
    const made = batches(rows);
    // A trainer counts updates that are unread as made.
    const options = { learningRate: learningRate() };
    if (!deferred) {
      take([await trainer.trainStep(made, options)]);
      continue;
    }
    await deferred.launch(made, options);
    if (++pending < deferred.most) continue;
    take(await deferred.results());
    pending = 0;
  }
  if (pending > 0) take(await deferred!.results());
}

/** Rows packed in their order. */
function toBatches(rows: readonly Row[], maxLength: number, batchSize: number): Batch[] {
  const examples = rows.map(({ ids, prompt }): Example => {
    const inputIds = Int32Array.from(ids);
    const labels = inputIds.slice().fill(-100, 0, prompt);
    const supervised = ids.length - prompt;
    return {
      inputIds,
      labels,
      promptLength: prompt,
      supervised,
      truncatedTokens: 0,
      terminated: true,
    };
  });
  const packing = { maxLength };
  return [
    ...makeBatches(examples, { batchSize, packing, padId: 0, shuffle: false, seed: 0, epoch: 0 }),
  ];
}

function tell(reply: unknown): void {
  console.log(REPLY + JSON.stringify(reply));
}

async function* lines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, void, void> {
  let rest = "";
  for await (const bytes of stream) {
    const all = (rest + new TextDecoder().decode(bytes)).split("\n");
    rest = all.pop()!;
    yield* all;
  }
}
