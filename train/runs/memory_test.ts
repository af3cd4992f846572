import assert from "node:assert/strict";
import { toExampleList } from "../../data/examples/example_list.ts";
import { DEFAULT_LORA } from "../../lora/lora_options.ts";
import type { BaseDtype } from "../../model/base_storage.ts";
import { parseConfig } from "../../model/config.ts";
import { QWEN3_0_6B } from "../../tests/support/model_configs.ts";
import { repositoryPath, runScript } from "../../tests/support/run_script.ts";
import { tinyConfig } from "../../tests/support/tiny_model.ts";
import { stubExample } from "../../tests/support/trainer_stub.ts";
import {
  availableMemory,
  bufferFault,
  checkMemory,
  describeDeviceMemory,
  describeMemory,
  describeRoom,
  type MemoryCheck,
  type MemoryCheckOptions,
  memoryWarning,
} from "./memory.ts";
import type { ToldMemory } from "../../ort/runtime/memory_budget.ts";
import { estimateMemory, type MemoryEstimateOptions } from "../trainers/memory_estimate.ts";
import { deriveTraining } from "./resolve_training.ts";
import { DEFAULT_TRAINING, type TrainingArguments } from "./training_arguments.ts";

const GIB = 2 ** 30;
/** Of a process that has done nothing yet; where all tests run in one, it has far more. */
const RESIDENT = 100 * 2 ** 20;
const derive = (args: TrainingArguments) => deriveTraining(args, config);
const config = parseConfig(QWEN3_0_6B);
const args = {
  perDeviceTrainBatchSize: 2,
  maxLength: 512,
  gradientCheckpointing: false,
  device: "cpu",
} as TrainingArguments;
const examples = [100, 511, 200].map((n) => stubExample(1, new Array(n).fill(1)));
const data = { train: toExampleList(examples) };

/** Lengths of rows in tokens, and how many of them are supervised. */
const ROWS = [[6, 2], [9, 8], [4, 1]] as const;
const tiny = tinyConfig();
const rowsData = {
  train: toExampleList(ROWS.map(([length, supervised]) => ({
    ...stubExample(1, new Array(supervised).fill(1)),
    inputIds: new Int32Array(length),
  }))),
};

/** A check of a tiny model's run, and the plan that is expected of it. */
function checkTiny(
  change: Partial<TrainingArguments>,
  options: MemoryCheckOptions = {},
): MemoryCheck {
  const run = { ...DEFAULT_TRAINING, perDeviceTrainBatchSize: 2, maxLength: 8, ...change };
  return checkMemory(deriveTraining(run as TrainingArguments, tiny), rowsData, {
    resident: 1000,
    ...options,
  });
}

Deno.test("checkMemory() plans the largest batch of plain rows, of packed ones and of pairs", () => {
  const cases: readonly [Partial<TrainingArguments>, Partial<MemoryEstimateOptions>][] = [
    [{}, { rows: 2, length: 9, tokens: 15, supervised: 10 }],
    [{ perDeviceTrainBatchSize: 1 }, { rows: 1, length: 9, tokens: 9, supervised: 8 }],
    // There are not as many rows.
    [{ perDeviceTrainBatchSize: 4 }, { rows: 3, length: 9, tokens: 19, supervised: 11 }],
    [{ perDeviceTrainBatchSize: 1, loss: "dpo" }, {
      ...{ rows: 2, length: 9, tokens: 15, supervised: 10 },
    }],
    [{ packing: true }, { rows: 2, length: 8, tokens: 16, supervised: 11 }],
    [{ packing: true, maxLength: 19 }, { rows: 2, length: 19, tokens: 19, supervised: 11 }],
    [{ packing: true, maxLength: 64 }, { rows: 2, length: 19, tokens: 19, supervised: 11 }],
    // Fewer tokens than all rows have that are supervised.
    [{ packing: true, maxLength: 4 }, { rows: 2, length: 4, tokens: 8, supervised: 8 }],
    [{ packing: true, maxLength: 64, perDeviceTrainBatchSize: 1 }, {
      ...{ rows: 1, length: 19, tokens: 19, supervised: 11 },
    }],
    [{ gradientCheckpointing: false }, {
      ...{ rows: 2, length: 9, tokens: 15, supervised: 10, gradientCheckpointing: false },
    }],
    [{ optim: "lion" }, { rows: 2, length: 9, tokens: 15, supervised: 10, optim: "lion" }],
    [{ trainLayers: 1 }, { rows: 2, length: 9, tokens: 15, supervised: 10, lastLayers: 1 }],
  ];
  for (const [change, plan] of cases) {
    const planned = plan as MemoryEstimateOptions;
    const what = JSON.stringify(change);
    assert.deepEqual(
      checkTiny({ ...change, device: "webgpu" }).needed,
      estimateMemory(tiny, { ...planned, device: "webgpu" }),
      what,
    );
  }
  // On the host a process has what it has, and ONNX Runtime's 70 MiB.
  assert.deepEqual(
    checkTiny({}).needed,
    estimateMemory(tiny, {
      ...{ rows: 2, length: 9, tokens: 15, supervised: 10, process: 1000 + 70 * 2 ** 20 },
    }),
  );
  assert.deepEqual(
    checkTiny({ device: "cuda:0", precision: "bf16" }, { kernels: true }).needed,
    estimateMemory(tiny, {
      ...{ rows: 2, length: 9, tokens: 15, supervised: 10, kernels: true },
      ...{ device: "cuda", precision: "bfloat16", format: "master" },
    }),
  );
});

Deno.test("checkMemory() of several processes counts their buffers, and a part of the state where that is shared", () => {
  const plan = { rows: 2, length: 9, tokens: 15, supervised: 10, device: "cuda" } as const;
  const comm = { size: 4, localSize: 2 };
  const cuda = { device: "cuda:0", precision: "bf16-pure" } as const;
  const check = (change: Partial<TrainingArguments>, how = comm) =>
    checkTiny({ ...cuda, ...change }, { comm: how });
  const inBfloat16 = { ...plan, precision: "bfloat16", format: "bfloat16-stochastic" } as const;
  assert.deepEqual(check({}).needed, estimateMemory(tiny, { ...inBfloat16, several: true }));
  assert.deepEqual(
    check({ shardOptimizer: true }).needed,
    estimateMemory(tiny, { ...inBfloat16, several: true, shards: 4 }),
  );
  assert.deepEqual(
    check({ shardOptimizer: true }, { size: 1, localSize: 1 }).needed,
    estimateMemory(tiny, inBfloat16),
  );
  // Who keeps a part of the state each waits for saves; one that shares it with nobody does not.
  const copied = (change: Partial<TrainingArguments>, how = comm) =>
    check(change, how).copy !== undefined;
  assert.deepEqual(
    [
      ...[copied({}), copied({ shardOptimizer: true })],
      copied({ shardOptimizer: true }, { size: 1, localSize: 1 }),
      copied({ saveStrategy: "no" }),
      copied({ saveStrategy: "no", loadBestModelAtEnd: true }),
      copied({ saveStrategy: "epoch", saveSteps: 0 }),
      copied({ saveSteps: 0 }),
      copied({ saveSteps: 1 }),
    ],
    [true, false, true, false, true, true, false, true],
  );
});

Deno.test("a memory check tells of the host or of a device, and what is free there", () => {
  const { needed, ...host } = checkTiny({}, { hostAvailable: 7, comm: { size: 3, localSize: 2 } });
  assert.deepEqual(host, {
    ...{ resident: 1000, available: 7, processes: 2, tooMuch: true, told: undefined },
    ...{ copy: undefined, tellsMemory: true, calculated: false },
  });
  const { needed: onDevice, ...device } = checkTiny({ device: "cuda:0" }, {
    ...{ hostAvailable: 7, available: needed.total * 9, comm: { size: 3, localSize: 2 } },
  });
  const bytes = onDevice.weights + onDevice.moments;
  assert.deepEqual(device, {
    ...{ resident: 500e6, available: needed.total * 9, processes: 1, tooMuch: false },
    ...{ told: undefined, copy: { bytes, available: 7, fits: false } },
    ...{ tellsMemory: true, calculated: true },
  });
  const copy = (hostAvailable: number) =>
    checkTiny({ device: "cuda:0" }, { hostAvailable }).copy!.fits;
  assert.deepEqual([copy(bytes - 1), copy(bytes)], [false, true]);
  const told = { name: "GPU", heap: 9, free: 5, largestBuffer: 4 };
  const free = (how: MemoryCheckOptions) =>
    checkTiny({ device: "webgpu", saveSteps: 0 }, { hostAvailable: 7, ...how }).available;
  assert.deepEqual(
    [free({}), free({ told }), free({ told: { ...told, free: undefined } })],
    [undefined, 5, 9],
  );
  assert.equal(free({ told, available: 3 }), 3);
});

Deno.test("a memory's line has every part, and a warning what may be done about it", () => {
  const MIB = 2 ** 20;
  const needed = {
    ...{ weights: MIB, gradients: 2 * MIB, moments: 3 * MIB, activations: 4 * MIB },
    ...{ workspace: 5 * MIB, handles: 0, process: 9 * MIB, total: 24 * MIB, largest: 6 * MIB },
  };
  const check: MemoryCheck = {
    ...{ needed, resident: 8 * MIB, available: 10 * MIB, processes: 1, tooMuch: true },
    ...{ tellsMemory: true, calculated: false },
  };
  const parts = "(weights 1.00 MiB, gradients 2.00 MiB, moments 3.00 MiB, activations 4.00 MiB, " +
    "workspace 5.00 MiB";
  assert.equal(
    describeMemory(check),
    `memory: about 24.0 MiB at the peak ${parts}); free: 10.0 MiB`,
  );
  const copy = { bytes: 7 * MIB, available: undefined, fits: true };
  const handles = { ...needed, handles: 1 };
  assert.equal(
    describeMemory({ ...check, needed: handles, calculated: true, copy }),
    `memory: about 24.0 MiB at the peak, calculated ${parts}, cuBLAS handles 1 B); free: 10.0 MiB\n` +
      "memory of the host: 7.00 MiB for the copy that checkpoints are written from; free: not known " +
      "without --allow-sys=systemMemoryInfo",
  );
  const warning = (how: Partial<MemoryCheck>, change: Partial<TrainingArguments> = {}) =>
    memoryWarning(
      { ...check, ...how },
      deriveTraining({ ...DEFAULT_TRAINING, ...change } as TrainingArguments, tiny),
    );
  const more = "warning: this run needs about 16.0 MiB more memory";
  const least = "lower --max-length, ";
  const full = "train an adapter with deno task train:lora, take a smaller model";
  assert.equal(
    warning({}),
    `${more} and 10.0 MiB is free, so the system may end it; ${least}${full}`,
  );
  assert.equal(
    warning({ processes: 2, available: undefined }, { perDeviceTrainBatchSize: 2 }),
    `${more} in each of 2 processes and 0 B is free, so the system may end it; lower ` +
      `--per-device-train-batch-size, ${least}${full}`,
  );
  const told = { name: "GPU", heap: 9, free: 5, largestBuffer: 6 * MIB };
  const webgpu = { device: "webgpu", lora: DEFAULT_LORA };
  assert.equal(
    warning({ told }, webgpu),
    `${more} and 10.0 MiB is free, so it will end with an error; ${least}keep the base in half the ` +
      "memory with --base-dtype fp16, take a smaller model",
  );
  assert.equal(
    warning({}, { lora: DEFAULT_LORA }),
    `${more} and 10.0 MiB is free, so the system may end it; ${least}keep the base in fewer bits ` +
      "with --base-dtype int8 or int4, take a smaller model",
  );
  const lora = { ...DEFAULT_LORA, baseDtype: "int8" as const };
  assert.equal(
    warning({}, { lora }),
    `${more} and 10.0 MiB is free, so the system may end it; ${least}take a smaller model`,
  );
  assert.equal(
    warning({}, { device: "cuda", lora: DEFAULT_LORA }),
    `${more} and 10.0 MiB is free, so the system may end it; ${least}take a smaller model`,
  );
  // The largest tensor may be as large as a buffer.
  const run = deriveTraining({ ...DEFAULT_TRAINING, ...webgpu } as TrainingArguments, tiny);
  assert.equal(bufferFault({ ...check, told }, run), undefined);
  assert.equal(bufferFault(check, run), undefined);
  assert.equal(
    bufferFault({ ...check, told: { ...told, largestBuffer: 6 * MIB - 1 } }, run)?.split(";")[0],
    "Cannot train on webgpu: a tensor of 6.00 MiB is needed, and a buffer of GPU has at most 6.00 MiB",
  );
});

Deno.test("describeRoom() leaves a tenth of what is free", () => {
  const run = deriveTraining({ ...DEFAULT_TRAINING } as TrainingArguments, tiny);
  const keeping = checkTiny({ perDeviceTrainBatchSize: 1, gradientCheckpointing: false });
  const more = keeping.needed.total - 1000;
  const room = (available: number) => describeRoom(run, rowsData, { available, resident: 1000 });
  assert.equal(room(Math.floor(more / 0.9) - 1), undefined);
  assert.match(room(Math.ceil(more / 0.9) + 1)!, /^memory: about [\d.]+ MiB with --no-gradient/);
});

Deno.test("checkMemory() asks for the largest batch, and warns where it does not fit", () => {
  const tight = checkMemory(derive(args), data, { available: 8 * GIB, resident: RESIDENT });
  assert.ok(tight.tooMuch);
  assert.equal(
    memoryWarning(tight, derive(args)).replace(/[\d.]+ GiB/g, "N GiB"),
    "warning: this run needs about N GiB more memory and N GiB is free, so the system may end it; " +
      "leave out --no-gradient-checkpointing, lower --per-device-train-batch-size, lower " +
      "--max-length, train an adapter with deno task train:lora, take a smaller model",
  );
  assert.match(describeMemory(tight), /^memory: about 1[01]\.\d GiB .* free: 8\.00 GiB$/);
  assert.ok(!checkMemory(derive(args), data, { available: 16 * GIB, resident: RESIDENT }).tooMuch);
  const one = { ...args, perDeviceTrainBatchSize: 1 };
  const single = checkMemory(derive(one), data, { available: 8 * GIB, resident: RESIDENT });
  assert.ok(single.needed.total < tight.needed.total);
  assert.doesNotMatch(memoryWarning(single, derive(one)), /batch-size/);
});

Deno.test("describeRoom() says where activations need not be computed twice", () => {
  const room = (available: number, gradientCheckpointing = true) =>
    describeRoom(derive({ ...args, gradientCheckpointing }), data, {
      available,
      resident: RESIDENT,
    });
  assert.match(
    room(64 * GIB)!,
    /^memory: about 1[01]\.\d GiB with --no-gradient-checkpointing: there is room for it, and activ/,
  );
  assert.equal(room(11 * GIB), undefined);
  assert.equal(room(64 * GIB, false), undefined);
});

Deno.test("checkMemory() warns of nothing where the system may not be asked", () => {
  const { querySync } = Deno.permissions;
  const states: Deno.PermissionState[] = [];
  Object.assign(Deno.permissions, {
    querySync: (descriptor: Deno.PermissionDescriptor) => {
      assert.deepEqual(descriptor, { name: "sys", kind: "systemMemoryInfo" });
      states.push("prompt");
      return { state: "prompt" };
    },
  });
  try {
    const unknown = checkMemory(derive(args), data);
    assert.deepEqual([unknown.available, unknown.tooMuch], [undefined, false]);
    assert.match(describeMemory(unknown), /free: not known without --allow-sys=systemMemoryInfo$/);
    assert.equal(
      describeRoom(derive({ ...args, gradientCheckpointing: true }), data),
      undefined,
    );
    assert.ok(states.length > 0);
  } finally {
    Object.assign(Deno.permissions, { querySync });
  }
});

Deno.test("checkMemory() warns from the first byte that is not free, beside what the process has", () => {
  const { needed: { total } } = checkMemory(derive(args), data, { resident: RESIDENT });
  const more = total - RESIDENT;
  const check = (available: number, localSize = 1) =>
    checkMemory(derive(args), data, {
      available,
      resident: RESIDENT,
      comm: { size: localSize, localSize },
    });
  assert.deepEqual([check(more).tooMuch, check(more - 1).tooMuch], [false, true]);
  const { needed, tooMuch } = check(more, 2);
  assert.ok(tooMuch);
  const both = 2 * (needed.total - RESIDENT);
  assert.deepEqual([check(both, 2).tooMuch, check(both - 1, 2).tooMuch], [false, true]);
  // What the process has already is no more memory: a larger one needs no more.
  const larger = checkMemory(derive(args), data, { available: more, resident: 9 * RESIDENT });
  assert.equal(larger.tooMuch, false);
  assert.equal(larger.needed.total - larger.resident, more);
});

Deno.test("checkMemory() counts the rows with the most to learn, wherever else they are short", () => {
  const unequal = [[400, 3], [300, 200], [90, 80], [500, 1]].map(([length, supervised]) => ({
    ...stubExample(1, new Array(supervised).fill(1)),
    inputIds: new Int32Array(length),
  }));
  const how = { gradientCheckpointing: false, process: 0 };
  const { needed } = checkMemory(derive(args), { train: toExampleList(unequal) }, { resident: 0 });
  const wanted = estimateMemory(config, {
    ...how,
    ...{ rows: 2, length: 500, tokens: 900, supervised: 280 },
  });
  assert.equal(needed.activations, wanted.activations);
  assert.equal(needed.workspace, wanted.workspace);
  const fewer = estimateMemory(config, {
    ...how,
    ...{ rows: 2, length: 500, tokens: 900, supervised: 4 },
  });
  assert.ok(needed.workspace + needed.activations > fewer.workspace + fewer.activations);
});

Deno.test("checkMemory() counts an adapter's moments in float32, whatever all weights' would be", () => {
  const cuda = { ...args, device: "cuda:0", precision: "bf16" } as TrainingArguments;
  for (const optim of ["adamw", "adamw_8bit"]) {
    const lora = checkMemory(derive({ ...cuda, optim, lora: DEFAULT_LORA }), data).needed;
    assert.equal(lora.moments, 2 * lora.gradients, optim);
  }
  const [wide, narrow] = ["adamw", "adamw_8bit"].map((optim) =>
    checkMemory(derive({ ...cuda, optim }), data).needed.moments
  );
  assert.ok(narrow < wide / 2);
});

Deno.test("checkMemory() counts the copy that a device's checkpoints are written from", () => {
  const cuda: TrainingArguments = {
    ...args,
    device: "cuda:0",
    precision: "bf16",
    saveStrategy: "steps",
    saveSteps: 9,
  };
  const check = (args: TrainingArguments, hostAvailable?: number) =>
    checkMemory(derive(args), data, { available: 80 * GIB, hostAvailable });
  const roomy = check(cuda, 16 * GIB);
  const { weights, gradients, moments } = roomy.needed;
  assert.deepEqual(roomy.copy, { bytes: weights + moments, available: 16 * GIB, fits: true });
  assert.match(
    describeMemory(roomy),
    /free: 80\.0 GiB\nmemory of the host: 7\.77 GiB for the copy that .* from; free: 16\.0 GiB$/,
  );
  assert.match(
    describeMemory(check(cuda, 4 * GIB)),
    /free: 4\.00 GiB, too little: training waits while a checkpoint is written$/,
  );
  const lora = check({ ...cuda, lora: DEFAULT_LORA });
  assert.ok(lora.copy!.bytes < gradients / 10);
  // One checkpoint, when training is over, needs no copy; nor do those of the host.
  assert.equal(check({ ...cuda, saveSteps: 0 }).copy, undefined);
  assert.equal(check({ ...cuda, saveStrategy: "no" }).copy, undefined);
  assert.ok(check({ ...cuda, saveStrategy: "epoch", saveSteps: 0 }).copy);
  assert.equal(check({ ...cuda, device: "cpu", precision: "fp32" }).copy, undefined);
});

Deno.test("checkMemory() needs far less for an adapter", () => {
  const lora = { ...DEFAULT_LORA, targetModules: ["q_proj"] };
  const full = checkMemory(derive(args), data, { available: 64 * GIB, resident: RESIDENT }).needed;
  const adapter =
    checkMemory(derive({ ...args, lora }), data, { available: 64 * GIB, resident: RESIDENT })
      .needed;
  assert.equal(adapter.gradients, 4 * 28 * 8 * (2048 + 1024));
  assert.ok(adapter.total < full.total / 2);
  const dora = checkMemory(derive({ ...args, lora: { ...lora, dora: true } }), data, {
    available: 64 * GIB,
    resident: RESIDENT,
  })
    .needed;
  assert.equal(dora.gradients, adapter.gradients + 4 * 28 * 2048);
  // What its magnitudes' gradients read is kept too.
  assert.ok(dora.activations > adapter.activations);
});

Deno.test("checkMemory() counts a float16 base in half its memory, and advises it where there is too little", () => {
  const check = (baseDtype?: BaseDtype) => {
    const run = derive({ ...args, lora: { ...DEFAULT_LORA, baseDtype } });
    return { run, memory: checkMemory(run, data, { available: 2 * GIB, resident: RESIDENT }) };
  };
  const [wide, half] = [check(), check("fp16")];
  const matrices = 151936 * 1024 + 28 * 1024 * (2048 + 1024 + 1024 + 2048 + 3 * 3072);
  assert.equal(wide.memory.needed.weights - half.memory.needed.weights, 2 * matrices);
  // A slice of the head, or a block's matrices, in float32 while they are used.
  const more = half.memory.needed.workspace - wide.memory.needed.workspace;
  assert.ok(more > 0 && more < 200e6, `${more}`);
  const advice = /keep the base in fewer bits with --base-dtype int8 or int4/;
  assert.match(memoryWarning(wide.memory, wide.run), advice);
  assert.doesNotMatch(memoryWarning(half.memory, half.run), advice);
  const cuda = derive({ ...args, device: "cuda", lora: DEFAULT_LORA });
  assert.doesNotMatch(memoryWarning(checkMemory(cuda, data, { available: 1 }), cuda), advice);
});

Deno.test("availableMemory() is a number with the permission, and undefined without", async () => {
  assert.ok(availableMemory()! > 0);
  const source = `import { availableMemory } from "${repositoryPath("train/runs/memory.ts")}";
    console.log(availableMemory());`;
  assert.equal((await runScript(source, [])).stdout, "undefined");
});

Deno.test("a device's plan names what is calculated, cuBLAS's handles among it", () => {
  const cuda: TrainingArguments = { ...args, device: "cuda:0", precision: "bf16", saveSteps: 0 };
  const plan = (kernels: boolean) => checkMemory(derive(cuda), data, { kernels });
  assert.match(
    describeMemory(plan(true)),
    /at the peak, calculated \(.*, cuBLAS handles 1\d\d MiB\)/,
  );
  assert.doesNotMatch(describeMemory(checkMemory(derive(args), data, {})), /calculated|cuBLAS/);
  const memory = { tensors: 0, tensorsPeak: GIB, leastFree: 0, usedPeak: 2 * GIB, total: 80 * GIB };
  assert.equal(
    describeDeviceMemory(memory, "cuda:0"),
    "memory of cuda:0, measured: 2.00 GiB at the peak, of which tensors 1.00 GiB, of 80.0 GiB",
  );
});

Deno.test("the largest batch is that of the longest rows, and with own kernels only of their tokens", () => {
  const cuda: TrainingArguments = { ...args, device: "cuda:0", precision: "bf16" };
  const { needed } = checkMemory(derive(cuda), data, { kernels: true });
  // 512 and 201 tokens, in one row.
  const row = { rows: 1, length: 720, supervised: 711, precision: "bfloat16" } as const;
  const how = { device: "cuda", kernels: true, gradientCheckpointing: false } as const;
  assert.equal(needed.activations, estimateMemory(config, { ...row, ...how }).activations);
});

Deno.test("a plan on webgpu says what Vulkan tells, and warns where it or the largest tensor does not fit", () => {
  const webgpu: TrainingArguments = { ...args, device: "webgpu", saveSteps: 0 };
  const told = { name: "GPU", heap: 24 * GIB, free: 20 * GIB, largestBuffer: 4 * GIB };
  const plan = (changed: Partial<ToldMemory> = {}) =>
    checkMemory(derive(webgpu), data, { told: { ...told, ...changed } });
  assert.match(describeMemory(checkMemory(derive(webgpu), data)), /; free: WebGPU does not tell$/);
  const roomy = plan();
  assert.ok(!roomy.tooMuch);
  // The table of 151936 rows of 1024 float32 numbers.
  assert.equal(roomy.needed.largest, 151936 * 1024 * 4);
  assert.match(
    describeMemory(roomy),
    /; free: 20\.0 GiB of 24\.0 GiB, as Vulkan tells of GPU; the largest tensor 594 MiB, where one may have 4\.00 GiB$/,
  );
  const tight = plan({ free: 8 * GIB });
  assert.ok(tight.tooMuch);
  assert.match(
    memoryWarning(tight, derive(webgpu)),
    /^warning: this run needs about 1\d\.\d GiB more memory and 8\.00 GiB is free, so it will end with an error; leave out/,
  );
  const untold = plan({ free: undefined });
  assert.equal(untold.available, 24 * GIB);
  assert.match(describeMemory(untold), /; free: not told, of 24\.0 GiB, as Vulkan tells of GPU;/);
  const narrow = plan({ largestBuffer: GIB / 2 });
  assert.ok(!narrow.tooMuch);
  assert.equal(
    bufferFault(narrow, derive(webgpu)),
    "Cannot train on webgpu: a tensor of 594 MiB is needed, and a buffer of GPU has at most 512 MiB; " +
      "leave out --no-gradient-checkpointing, lower --per-device-train-batch-size, lower " +
      "--max-length, train an adapter with deno task train:lora, take a smaller model",
  );
  assert.equal(bufferFault(roomy, derive(webgpu)), undefined);
  // Attention's scores stand for a chunk of queries at a time.
  const long = toExampleList([stubExample(1, new Array(8000).fill(1))]);
  const scores = checkMemory(derive({ ...webgpu, maxLength: 8000 }), { train: long }, { told });
  assert.equal(scores.needed.largest, roomy.needed.largest);
});
