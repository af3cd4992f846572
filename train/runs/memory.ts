/** What memory the machine or a device has, and what a run will need of it. */

import type { Comm } from "../../comm/comm.ts";
import { formatBytes } from "../track/format_units.ts";
import { estimateMemory, type MemoryEstimate } from "../trainers/memory_estimate.ts";
import type { DeviceMemory } from "../../ort/runtime/cuda.ts";
import { deviceTraits } from "../../ort/runtime/device.ts";
import type { ToldMemory } from "../../ort/runtime/memory_budget.ts";
import { formatOf } from "../optimizers/optimizer_description.ts";
import { findOptimizer } from "../optimizers/optimizers.ts";
import { computePrecision } from "../training_precision.ts";
import { objectiveOf } from "./objective_of.ts";
import { togetherOf } from "./run_plan.ts";
import type { DerivedTraining } from "./resolve_training.ts";
import type { TrainingArguments } from "./training_arguments.ts";
import type { TrainingData } from "./training_data.ts";

// What ONNX Runtime and the compiled graphs add to the process once they are there.
const RUNTIME_BYTES = 70 * 2 ** 20;

/** The copy in the host's memory that checkpoints of a device are written from. */
export interface SaveCopy {
  readonly bytes: number;
  /** Memory that programs can still take; undefined where it may not be asked. */
  readonly available?: number;
  /** Whether it is not known to be too large. */
  readonly fits: boolean;
}

/** What a run needs against what is free. */
export interface MemoryCheck {
  readonly needed: MemoryEstimate;
  /** Of `needed`, what this process already has. */
  readonly resident: number;
  /** Memory that programs can still take; undefined where it may not be asked. */
  readonly available?: number;
  /** Processes on this machine that need as much each. */
  readonly processes: number;
  /** Whether it is known not to fit. */
  readonly tooMuch: boolean;
  /** What the driver of a WebGPU device tells of its memory. */
  readonly told?: ToldMemory;
  /** What a run on a device that saves before its end copies to the host. */
  readonly copy?: SaveCopy;
  /** Whether the device can be asked what is free. */
  readonly tellsMemory: boolean;
  /** Whether it is calculated, not measured as the host's is. */
  readonly calculated: boolean;
}

/** Memory that programs can still take, if `--allow-sys=systemMemoryInfo` is given. */
export function availableMemory(): number | undefined {
  const { state } = Deno.permissions.querySync({ name: "sys", kind: "systemMemoryInfo" });
  return state === "granted" ? Deno.systemMemoryInfo().available : undefined;
}

/** What is there for a run. */
export interface MemoryCheckOptions {
  /** What the driver of a WebGPU device tells of its memory. @default nothing */
  readonly told?: ToldMemory;
  /** Free memory where the run's tensors go. @default the host's, or as is told */
  readonly available?: number;
  /** Free memory of the host. @default asked for, if that is allowed */
  readonly hostAvailable?: number;
  /** What this process has of the host's. @default its resident set */
  readonly resident?: number;
  /** Whether own kernels are used. @default false */
  readonly kernels?: boolean;
  /** Processes that train together, some of them on this machine. @default this one alone */
  readonly comm?: Pick<Comm, "size" | "localSize">;
}

/** Compares; the largest batch counts. */
export function checkMemory(
  { args, device, precision, storage, config, adapter }: DerivedTraining,
  { train }: Pick<TrainingData, "train">,
  {
    told,
    hostAvailable = availableMemory(),
    available = told
      ? told.free ?? told.heap
      : deviceTraits(device).tellsMemory
      ? hostAvailable
      : undefined,
    resident: rss = Deno.memoryUsage().rss,
    kernels,
    comm: { size, localSize } = { size: 1, localSize: 1 },
  }: MemoryCheckOptions = {},
): MemoryCheck {
  const onHost = deviceTraits(device).hostMemory;
  const longest = train.lengths.reduce((most, each) => Math.max(most, each), 0);
  const rows = Math.min(args.perDeviceTrainBatchSize * togetherOf(args), train.length);
  const supervised = train.supervised.toSorted().subarray(args.packing ? 0 : -rows)
    .reduce((sum, each) => sum + each, 0);
  const length = args.packing
    ? Math.min(args.maxLength, train.lengths.reduce((sum, each) => sum + each, 0))
    : longest;
  const tokens = args.packing
    ? Math.min(rows * length, train.lengths.reduce((sum, each) => sum + each, 0))
    : train.lengths.toSorted().subarray(-rows).reduce((sum, each) => sum + each, 0);
  const needed = estimateMemory(config, {
    rows,
    length,
    tokens,
    supervised: Math.min(supervised, tokens),
    gradientCheckpointing: args.gradientCheckpointing,
    adapter,
    precision: computePrecision(precision),
    storage,
    shards: args.shardOptimizer ? size : 1,
    several: size > 1,
    optim: args.optim,
    objective: objectiveOf(args),
    lastLayers: args.trainLayers,
    format: args.lora ? undefined : formatOf(findOptimizer(args.optim), precision),
    kernels,
    ...onHost ? { process: rss + RUNTIME_BYTES } : { device: device.kind },
  });
  // What is free on a device was asked when CUDA's context was there.
  const resident = onHost ? rss : needed.process;
  // A device is one process's.
  const processes = onHost ? localSize : 1;
  const tooMuch = available !== undefined && (needed.total - resident) * processes > available;
  const saves = args.loadBestModelAtEnd || args.saveStrategy === "epoch" ||
    args.saveStrategy === "steps" && args.saveSteps > 0;
  // Where processes keep a part of the optimizer's state each, training waits for saves.
  const copied = !onHost && saves && !(args.shardOptimizer && size > 1);
  const copy = copied ? saveCopy(args, needed, hostAvailable) : undefined;
  const { tellsMemory } = deviceTraits(device);
  return {
    needed,
    resident,
    available,
    processes,
    tooMuch,
    told,
    copy,
    tellsMemory,
    calculated: !onHost,
  };
}

function saveCopy(
  { lora }: TrainingArguments,
  { weights, gradients, moments }: MemoryEstimate,
  available: number | undefined,
): SaveCopy {
  // An adapter's weights are as large as their gradients; its base is not saved.
  const bytes = (lora ? gradients : weights) + moments;
  return { bytes, available, fits: available === undefined || bytes <= available };
}

/** What is needed and what is free: a line, and one for a copy on the host. */
export function describeMemory(
  { needed, available, told, copy, tellsMemory, calculated }: MemoryCheck,
): string {
  const { total, weights, gradients, moments, activations, workspace, handles } = needed;
  const held = { weights, gradients, moments, activations, workspace };
  const parts = Object.entries({ ...held, ...handles > 0 ? { "cuBLAS handles": handles } : {} })
    .map(([name, bytes]) => `${name} ${formatBytes(bytes)}`).join(", ");
  const how = calculated ? ", calculated" : "";
  const free = tellsMemory ? describeFree(available) : "free: WebGPU does not tell";
  return `memory: about ${formatBytes(total)} at the peak${how} (${parts}); ` +
    (told ? describeTold(told, needed) : free) +
    (copy ? `\n${describeCopy(copy)}` : "");
}

// Of what is free, so much a run may be advised to take.
const ROOM = 0.9;

/** That activations need not be computed twice, where a run does so and there is room not to. */
export function describeRoom(
  run: DerivedTraining,
  data: Pick<TrainingData, "train">,
  options?: MemoryCheckOptions,
): string | undefined {
  if (!run.args.gradientCheckpointing) return undefined;
  const args = { ...run.args, gradientCheckpointing: false };
  const keeping = checkMemory({ ...run, args }, data, options);
  const { needed: { total }, resident, available = 0 } = keeping;
  if (total - resident > ROOM * available) return undefined;
  const peak = formatBytes(total);
  return `memory: about ${peak} with --no-gradient-checkpointing: there is room for it, and ` +
    "activations are then not computed twice";
}

function describeFree(available: number | undefined): string {
  return available === undefined
    ? "free: not known without --allow-sys=systemMemoryInfo"
    : `free: ${formatBytes(available)}`;
}

function describeTold(
  { name, heap, free, largestBuffer }: ToldMemory,
  { largest }: MemoryEstimate,
): string {
  return (free === undefined ? "free: not told," : `free: ${formatBytes(free)}`) +
    ` of ${formatBytes(heap)}, as Vulkan tells of ${name}; the largest tensor ` +
    `${formatBytes(largest)}, where one may have ${formatBytes(largestBuffer)}`;
}

function describeCopy({ bytes, available, fits }: SaveCopy): string {
  return `memory of the host: ${
    formatBytes(bytes)
  } for the copy that checkpoints are written from; ` +
    describeFree(available) +
    (fits ? "" : ", too little: training waits while a checkpoint is written");
}

/** One line of what a run took of a device's memory. */
export function describeDeviceMemory(memory: DeviceMemory, device: string): string {
  const { usedPeak, tensorsPeak, total } = memory;
  return `memory of ${device}, measured: ${formatBytes(usedPeak)} at the peak, of which tensors ` +
    `${formatBytes(tensorsPeak)}, of ${formatBytes(total)}`;
}

/** What to do about a run that will not fit. */
function waysOut({ args, device, storage }: DerivedTraining): string {
  return [
    ...args.gradientCheckpointing ? [] : ["leave out --no-gradient-checkpointing"],
    ...args.perDeviceTrainBatchSize > 1 ? ["lower --per-device-train-batch-size"] : [],
    "lower --max-length",
    ...args.lora ? [] : ["train an adapter with deno task train:lora"],
    ...args.lora && storage.name === "fp32" && !deviceTraits(device).bfloat16
      ? [
        deviceTraits(device).hostMemory
          ? "keep the base in fewer bits with --base-dtype int8 or int4"
          : "keep the base in half the memory with --base-dtype fp16",
      ]
      : [],
    "take a smaller model",
  ].join(", ");
}

/** That memory is known not to be enough, and what to do about it. */
export function memoryWarning(
  { needed, resident, available, processes, told }: MemoryCheck,
  run: DerivedTraining,
): string {
  const each = processes > 1 ? ` in each of ${processes} processes` : "";
  return `warning: this run needs about ${
    formatBytes(needed.total - resident)
  } more memory${each} ` +
    `and ${formatBytes(available ?? 0)} is free, so ${
      told ? "it will end with an error" : "the system may end it"
    }; ${waysOut(run)}`;
}

/**
 * That a tensor of the run is larger than a buffer of the device may be, and what to do about it: a
 * driver that is asked for it in spite of that can end the process. Undefined where none is known to be.
 */
export function bufferFault(
  { needed, told }: MemoryCheck,
  run: DerivedTraining,
): string | undefined {
  if (!told || needed.largest <= told.largestBuffer) return undefined;
  return `Cannot train on ${run.args.device}: a tensor of ${
    formatBytes(needed.largest)
  } is needed, and ` +
    `a buffer of ${told.name} has at most ${formatBytes(told.largestBuffer)}; ${waysOut(run)}`;
}
