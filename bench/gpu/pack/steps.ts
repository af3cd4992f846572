/**
 * What is run on a GPU's machine, in the order of its worth: whether it works at all, then training's
 * numbers, then speed beside PyTorch, then the rest. In: where things are. Out: steps.
 */

import {
  type RaceChoice,
  type RaceSettings,
  runBundle,
  runRace,
  testBundle,
  writeWeights,
} from "./step_commands.ts";
import type { Step } from "./step_runner.ts";

/** Where and how the steps run. */
export interface StepsOptions extends RaceSettings {
  /** Names of the files in the pack's `js` folder. */
  readonly files: readonly string[];
  /** Whether a program can be run here. */
  readonly has: (program: string) => boolean;
}

const DEVICE_TEST = "cuda_device_test.js";
const SANITIZER = "compute-sanitizer";
// Of the device test, what matters most: memory, then training in operators alone and in own kernels.
const FIRST_DEVICE = "^device memory|^full training in (fp32|bf16)( with own kernels)? " +
  "|: (full|lora), (fp32|bf16), heads of 128, two";
// What is short and launches every kernel of a block.
const FAULTY_DEVICE = "^full training in bf16( with own kernels)? |: full, bf16, heads of 128, one";
// Before the driver is missed, each trains on the host.
const REHEARSED_DEVICE = "^full training in bf16 with own kernels |: full, bf16, heads of 64, one";
// Errors of a kernel, which are told at some later wait.
const FAULT = /error 7\d\d|illegal (?:memory|instruction)|misaligned|unspecified launch/i;
// A datacenter GPU's memory, of which WebGPU does not tell, with room for what others hold.
const WEBGPU_FLAGS = ["--budget", "80", "--memory", "40"];
// A filter that matches no test must not pass.
const TESTED = /[1-9]\d* passed/;
// What is to be seen of tests and races; all is in the logs.
const OF_TESTS = /\.\.\. |within|^error: |^(?:ok|FAILED) \|/;
const OF_KERNELS = /^error: |^(?:ok|FAILED) \|/;
const OF_RACES = /^\| (?:shape|tiny|[\d.]+B) /;

/** Whether it can work here at all. */
const FIRST: readonly Step[] = [
  {
    name: "machine",
    seconds: 25,
    log: "1_machine.txt",
    commands: () => [{ command: ["bash", "machine.sh"] }],
  },
  {
    name: "probe",
    seconds: 75,
    log: "2_probe.txt",
    commands: () => [{ command: runBundle("first_contact.js") }],
  },
];

/** All steps. */
export function listSteps(options: StepsOptions): Step[] {
  const { files, rehearse } = options;
  return [
    ...FIRST,
    {
      // Tests are not timed, so that these may be written meanwhile.
      name: "weights",
      seconds: 140,
      log: "8_rest.txt",
      beside: true,
      commands: (seconds) => [{ command: writeWeights(options, ["1.7B", "0.6B"], seconds) }],
    },
    kernelStep(files),
    deviceStep("device", 90, { filter: rehearse ? REHEARSED_DEVICE : FIRST_DEVICE }),
    {
      ...deviceStep("device, launch by launch", 50, {
        filter: FAULTY_DEVICE,
        env: { CUDA_LAUNCH_BLOCKING: "1" },
      }),
      when: (outputs) => FAULT.test(outputs.get("device") ?? ""),
    },
    ...timedSteps(options),
    {
      ...deviceStep("more device", 150, {}),
      ...rehearse ? { skip: "the same file as before" } : {},
    },
    sanitizerStep(options),
    raceStep(options, "seed 1.7B", "5_full.txt", 90, {
      shape: "1.7B",
      methods: "full,lora",
      only: "train.*",
    }),
  ];
}

/** Every kernel beside float64, all files at once. */
function kernelStep(files: readonly string[]): Step {
  const tests = files.filter((name) => name.endsWith("_test.js") && name !== DEVICE_TEST);
  return {
    name: "kernels",
    seconds: 80,
    log: "3_kernels.txt",
    show: OF_KERNELS,
    commands: () =>
      tests.map((name) => ({
        name: name.replace("_test.js", ""),
        command: testBundle(name),
        env: { ORTUNE_TEST_GPU: "1", ORTUNE_REPORT: "1" },
        proof: TESTED,
      })),
  };
}

/** Training on the device beside the host's numbers. */
function deviceStep(
  name: string,
  seconds: number,
  { filter, env = {} }: {
    readonly filter?: string;
    readonly env?: Readonly<Record<string, string>>;
  },
): Step {
  const command = testBundle(DEVICE_TEST, filter);
  return {
    name,
    seconds,
    log: "4_device.txt",
    show: OF_TESTS,
    commands: () => [{ command, env: { ORTUNE_GPU: "cuda:0", ...env }, proof: TESTED }],
  };
}

function raceStep(
  settings: RaceSettings,
  name: string,
  log: string,
  seconds: number,
  choice: RaceChoice,
): Step {
  return {
    name,
    seconds,
    log,
    alone: true,
    show: OF_RACES,
    commands: (limit) => [{ command: runRace(settings, choice, limit) }],
  };
}

function bench(name: string, file: string, seconds: number, args: readonly string[] = []): Step {
  const command = [...runBundle(file), ...args];
  return { name, seconds, log: "7_bench.txt", alone: true, commands: () => [{ command }] };
}

/** Beside these nothing else runs. */
function timedSteps(options: StepsOptions): Step[] {
  return [
    raceStep(options, "full 1.7B", "5_full.txt", 120, {
      shape: "1.7B",
      methods: "full",
      only: "torch, packed|ortune adamw_bf16, nothing recomputed",
      rehearsed: "torch, packed|ortune fp32, nothing recomputed",
      rounds: 2,
    }),
    raceStep(options, "lora 1.7B", "6_lora.txt", 100, {
      shape: "1.7B",
      methods: "lora",
      only: "torch, packed|ortune as the seed|ortune nothing recomputed",
      rounds: 2,
    }),
    bench("webgpu", "webgpu.js", 90, WEBGPU_FLAGS),
    bench("bench kernels", "kernels.js", 40),
    {
      // Hopper's default workspace: what it costs a session, and gains products.
      name: "large workspace",
      seconds: 45,
      log: "2_probe.txt",
      alone: true,
      commands: () => [{
        command: runBundle("first_contact.js"),
        env: { CUBLAS_WORKSPACE_CONFIG: ":32768:1" },
      }],
    },
    raceStep(options, "more 1.7B", "5_full.txt", 90, {
      shape: "1.7B",
      methods: "full",
      only: "ortune (bf16|adamw_bf16|bf16-pure)",
      rehearsed: "ortune fp32",
    }),
    raceStep(options, "0.6B", "6_lora.txt", 110, {
      shape: "0.6B",
      methods: "full,lora",
      only: "torch, packed|ortune adamw_bf16, nothing recomputed|ortune as the seed",
      rehearsed: "torch, packed|ortune (fp32|as the seed)",
    }),
  ];
}

/** Kernels with barriers and asynchronous copies under NVIDIA's checker. */
function sanitizerStep({ has }: StepsOptions): Step {
  return {
    name: "sanitizer",
    seconds: 120,
    log: "8_rest.txt",
    ...has(SANITIZER) ? {} : { skip: `there is no ${SANITIZER}` },
    commands: () =>
      ["memcheck", "racecheck"].map((tool) => ({
        name: tool,
        command: [
          SANITIZER,
          ...["--tool", tool, "--target-processes", "all", "--error-exitcode", "1"],
          ...testBundle("attention_kernels_test.js"),
        ],
        env: { ORTUNE_TEST_GPU: "1" },
        proof: TESTED,
      })),
  };
}
