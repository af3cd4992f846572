/** Trainers of tiny models: what they load, train, round, and write. */

import assert from "node:assert/strict";
import { collate } from "../../data/batches/collator.ts";
import { joinExample } from "../../data/examples/join_example.ts";
import { DEFAULT_LORA } from "../../lora/lora_options.ts";
import { modelParameters } from "../../model/parameters.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { parseDevice } from "../../ort/runtime/device.ts";
import { elementCount } from "../../ort/tensor/dtype.ts";
import { openSafetensors } from "../../ort/tensor/safetensors_file.ts";
import { TorchGenerator } from "../../ort/tensor/torch_random.ts";
import { readFloat32, type TensorSource } from "../../ort/tensor/tensor_source.ts";
import { localComms } from "../../tests/support/local_comm.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { tinyConfig, tinyModelFolder } from "../../tests/support/tiny_model.ts";
import { savedConfig } from "../checkpoints/saved_config.ts";
import { dpo } from "../objectives/dpo.ts";
import { findOptimizer } from "../optimizers/optimizers.ts";
import type { Trainer } from "../trainer.ts";
import { assembleTrainer, isSharded, openCollectives } from "./assemble_trainer.ts";
import { createFullTrainer, splitParameters } from "./full_trainer.ts";
import { createLoraTrainer, type LoraTrainerOptions } from "./lora_trainer.ts";
import type { TrainedParameters } from "./trained_parameters.ts";
import { findGpu } from "./training_kernels.ts";

const runtime = new Runtime({ threads: 2 });
const config = tinyConfig({ eos_token_id: 5 });
const ids = (count: number, step: number) =>
  Int32Array.from({ length: count }, (_, i) => (3 + step * i) % 64);
const examples = [[3, 4, 5], [2, 3, 7], [4, 2, 9]].map(([prompt, reply, step]) =>
  joinExample(ids(prompt, step), ids(reply, step + 1), { maxLength: 16, terminated: true })
);
const batches = [
  collate(examples.slice(0, 2), { padId: 0 }),
  collate(examples.slice(2), { padId: 0 }),
];

async function all(source: TensorSource): Promise<Record<string, Float32Array>> {
  const read: [string, Float32Array][] = [];
  for (const name of source.names()) read.push([name, await readFloat32(source, name)]);
  return Object.fromEntries(read);
}

async function fileOf(path: string): Promise<Record<string, Float32Array>> {
  await using file = await openSafetensors(path);
  return await all(file);
}

/** The weights after so many updates, by name. */
async function after(trainer: Trainer, updates: number): Promise<Record<string, Float32Array>> {
  for (let i = 0; i < updates; i++) {
    const { skipped } = await trainer.trainStep(batches, { learningRate: 0.01 });
    assert.ok(!skipped);
  }
  return await all(trainer.weights);
}

const changed = (
  before: Readonly<Record<string, Float32Array>>,
  now: Readonly<Record<string, Float32Array>>,
): string[] =>
  Object.keys(before).filter((name) => !before[name].every((value, i) => value === now[name][i]));

const names = modelParameters(config).map(({ name }) => name);
const inLayer = (layer: number) =>
  names.filter((name) => name.startsWith(`model.layers.${layer}.`));

Deno.test("a full trainer loads a model, tells of it, and trains all of its weights", async () => {
  await using folder = await tinyModelFolder(runtime, config);
  const loaded: [number, number][] = [];
  await using trainer = await createFullTrainer(folder.path, {
    runtime,
    onLoad: (bytes, total) => loaded.push([bytes, total]),
  });
  const base = await fileOf(`${folder.path}/model.safetensors`);
  assert.deepEqual(await all(trainer.weights), base);
  assert.deepEqual([trainer.method, trainer.step], ["full", 0]);
  const numbers = names.reduce((sum, name) => sum + base[name].length, 0);
  assert.equal(trainer.trainableParameters, numbers);
  assert.deepEqual(loaded.at(-1), [4 * numbers, 4 * numbers]);
  assert.ok(loaded.every(([, total]) => total === 4 * numbers));
  assert.deepEqual(changed(base, await after(trainer, 1)).toSorted(), names.toSorted());
  await using to = await tempFolder();
  const files = await trainer.save(to.path);
  assert.deepEqual(files.map(({ name }) => name), ["model.safetensors", "optimizer.state"]);
  assert.deepEqual(await fileOf(`${to.path}/model.safetensors`), await all(trainer.weights));
  assert.equal(await Deno.readTextFile(`${to.path}/config.json`), savedConfig(config));
});

Deno.test("a full trainer goes on from a checkpoint to the same bits, with the weights of its last layers", async () => {
  await using folder = await tinyModelFolder(runtime, config);
  const loaded: [number, number][] = [];
  const options = {
    runtime,
    lastLayers: 1,
    eosTokenIds: [9],
    onLoad: (bytes: number, total: number) => void loaded.push([bytes, total]),
  };
  await using trainer = await createFullTrainer(folder.path, options);
  // Both stores, one after the other, are counted as one.
  const numbers = modelParameters(config).reduce((sum, { shape }) => sum + elementCount(shape), 0);
  assert.equal(loaded[0][1], 4 * numbers);
  assert.ok(loaded.every(([, total]) => total === loaded[0][1]));
  assert.ok(loaded.every(([bytes], i) => i === 0 || bytes >= loaded[i - 1][0]));
  assert.equal(loaded.at(-1)![0], loaded[0][1]);
  const base = await fileOf(`${folder.path}/model.safetensors`);
  assert.deepEqual(
    await all(trainer.weights).then((read) => Object.keys(read).length),
    names.length,
  );
  const one = await after(trainer, 1);
  assert.deepEqual(changed(base, one).toSorted(), inLayer(1).toSorted());
  assert.equal(
    trainer.trainableParameters,
    inLayer(1).reduce((sum, name) => sum + base[name].length, 0),
  );
  await using to = await tempFolder();
  await trainer.save(to.path);
  const saved = await fileOf(`${to.path}/model.safetensors`);
  assert.deepEqual(saved, one);
  assert.equal(await Deno.readTextFile(`${to.path}/config.json`), savedConfig(config, [9]));
  const two = await after(trainer, 1);
  await using resumed = await createFullTrainer(folder.path, { ...options, deferLoad: true });
  await resumed.resume(to.path, 1);
  assert.equal(resumed.step, 1);
  assert.deepEqual(await all(resumed.weights), one);
  assert.deepEqual(await after(resumed, 1), two);
});

Deno.test("a full trainer releases what it has where a model cannot be loaded", async () => {
  await using folder = await tinyModelFolder(runtime, config);
  await Deno.remove(`${folder.path}/model.safetensors`);
  await assert.rejects(createFullTrainer(folder.path, { runtime }), /model\.safetensors/);
  // What a checkpoint's weights take the place of is not read.
  await using trainer = await createFullTrainer(folder.path, { runtime, deferLoad: true });
  assert.equal(trainer.step, 0);
  const signal = AbortSignal.abort(new Error("enough"));
  await using whole = await tinyModelFolder(runtime, config);
  await assert.rejects(createFullTrainer(whole.path, { runtime, signal }), { message: "enough" });
});

Deno.test("splitParameters() freezes all but the last layers, of which there must be as many", () => {
  const all = modelParameters(config);
  assert.deepEqual(splitParameters(config), { trained: all, frozen: [] });
  for (const layers of [1, 2]) {
    const { trained, frozen, firstTrained } = splitParameters(config, layers);
    const own = layers === 1 ? inLayer(1) : [...inLayer(0), ...inLayer(1)];
    assert.deepEqual(trained.map(({ name }) => name), names.filter((name) => own.includes(name)));
    assert.deepEqual(frozen.map(({ name }) => name), names.filter((name) => !own.includes(name)));
    assert.equal(firstTrained, 2 - layers);
  }
  assert.throws(() => splitParameters(config, 3), {
    name: "RangeError",
    message: "Cannot train the last 3 layers: the model has 2; take fewer, or train all weights",
  });
});

const LORA = { ...DEFAULT_LORA, rank: 2, dropout: 0, targetModules: ["q_proj", "down_proj"] };
const A = "model.layers.0.self_attn.q_proj.lora_A.weight";
const B = "model.layers.0.self_attn.q_proj.lora_B.weight";

async function lora(path: string, options: Partial<LoraTrainerOptions> = {}): Promise<Trainer> {
  return await createLoraTrainer(path, { runtime, lora: LORA, ...options });
}

Deno.test("a new adapter is drawn as PEFT draws it: A by He's uniform law in its layers' order, B of zeros", async () => {
  await using folder = await tinyModelFolder(runtime, config);
  const draw = async (options: Partial<LoraTrainerOptions>) => {
    await using trainer = await lora(folder.path, options);
    return await all(trainer.weights);
  };
  const [plain, seeded, other] = [
    await draw({}),
    await draw({ seed: 42 }),
    await draw({ seed: 43 }),
  ];
  assert.deepEqual(plain, seeded);
  assert.notDeepEqual(plain[A], other[A]);
  const adapters = Object.keys(plain).filter((name) => name.includes("lora_"));
  assert.equal(adapters.length, 2 * 2 * 2);
  const random = new TorchGenerator(42);
  for (const name of adapters) {
    const values = plain[name];
    if (!name.includes("lora_A")) {
      assert.ok(values.every((value) => value === 0), name);
      continue;
    }
    // Inputs of q_proj are 16, of down_proj 24.
    const inputs = name.includes("q_proj") ? 16 : 24;
    assert.equal(values.length, 2 * inputs);
    const expected = new Float32Array(values.length);
    random.uniform(expected, -1 / Math.sqrt(inputs), 1 / Math.sqrt(inputs));
    assert.deepEqual(values, expected, name);
  }
});

Deno.test("a LoRA trainer trains the adapter alone, writes it as PEFT does, and goes on from it to the same bits", async () => {
  await using folder = await tinyModelFolder(runtime, config);
  await using trainer = await lora(folder.path);
  assert.equal(trainer.method, "lora");
  assert.equal(trainer.trainableParameters, 2 * 2 * (16 + 32 + 24 + 16));
  const start = await all(trainer.weights);
  const one = await after(trainer, 1);
  const adapters = Object.keys(start).filter((name) => name.includes("lora_B"));
  assert.deepEqual(changed(start, one).toSorted(), adapters.toSorted());
  await using to = await tempFolder();
  const files = await trainer.save(to.path);
  assert.deepEqual(files.map(({ name }) => name), ["adapter_model.safetensors", "optimizer.state"]);
  const peft = await fileOf(`${to.path}/adapter_model.safetensors`);
  assert.deepEqual(peft[`base_model.model.${B}`], one[B]);
  assert.equal(Object.keys(peft).length, 8);
  const settings = JSON.parse(await Deno.readTextFile(`${to.path}/adapter_config.json`));
  assert.deepEqual(
    [settings.r, settings.lora_alpha, settings.base_model_name_or_path, settings.target_modules],
    [2, 32, folder.path, ["down_proj", "q_proj"]],
  );
  const two = await after(trainer, 1);
  await using resumed = await lora(folder.path, { deferLoad: true });
  await resumed.resume(to.path, 1);
  assert.equal(resumed.step, 1);
  assert.deepEqual(await all(resumed.weights), one);
  assert.deepEqual(await after(resumed, 1), two);
  // Another one starts from it, with its settings, and an optimizer that has seen nothing.
  await using next = await createLoraTrainer(folder.path, {
    runtime,
    initAdapter: to.path,
    lora: { ...LORA, rank: 7 },
  });
  assert.deepEqual(await all(next.weights), one);
  assert.notDeepEqual(await after(next, 1), two);
});

Deno.test("the model's id on a hub is the adapter's base, where the folder tells of it", async () => {
  await using folder = await tinyModelFolder(runtime, config);
  await folder.write("config.json", JSON.stringify({ ...config.raw, _name_or_path: "x" }));
  await using trainer = await lora(folder.path);
  await using to = await tempFolder();
  await trainer.save(to.path, { modelOnly: true });
  const { base_model_name_or_path } = JSON.parse(
    await Deno.readTextFile(`${to.path}/adapter_config.json`),
  );
  assert.equal(base_model_name_or_path, folder.path);
  await folder.write(".ortune.json", JSON.stringify({ version: 1, id: "acme/Smol" }));
  {
    await using known = await lora(folder.path);
    await using other = await tempFolder();
    await known.save(other.path, { modelOnly: true });
    const saved = JSON.parse(await Deno.readTextFile(`${other.path}/adapter_config.json`));
    assert.equal(saved.base_model_name_or_path, "acme/Smol");
  }
  assert.deepEqual(
    (await Array.fromAsync(Deno.readDir(to.path), ({ name }) => name)).sort(),
    ["adapter_config.json", "adapter_model.safetensors"],
  );
});

Deno.test("by LoRA+ all but A learn at a multiple of the rate", async () => {
  await using folder = await tinyModelFolder(runtime, config);
  const of = async (loraPlusRatio: number | undefined) => {
    await using trainer = await lora(folder.path, { loraPlusRatio });
    return await after(trainer, 1);
  };
  const [one, four] = [await of(undefined), await of(4)];
  // AdamW's first update is of the size of the rate, whatever the gradient.
  const size = (weights: Readonly<Record<string, Float32Array>>) =>
    Math.max(...weights[B].map(Math.abs));
  assert.ok(Math.abs(size(four) / size(one) - 4) < 0.4, `${size(four)} and ${size(one)}`);
});

Deno.test("DoRA's magnitudes begin as the norms of the base's rows", async () => {
  await using folder = await tinyModelFolder(runtime, config);
  await using trainer = await lora(folder.path, { lora: { ...LORA, dora: true } });
  const weights = await all(trainer.weights);
  const name = "model.layers.1.mlp.down_proj";
  const base = weights[`${name}.weight`];
  const norms = Float32Array.from(
    { length: 16 },
    (_, row) => Math.hypot(...base.subarray(24 * row, 24 * (row + 1))),
  );
  const own = Object.keys(weights).find((each) =>
    each.startsWith(`${name}.`) && each.includes("magnitude")
  )!;
  // Of norms about 1.1; measured 1.2e-7.
  weights[own].forEach((value, row) => assert.ok(Math.abs(value - norms[row]) < 1e-6, `${row}`));
  assert.equal(trainer.trainableParameters, 2 * 2 * (16 + 32 + 24 + 16) + 2 * (32 + 16));
});

Deno.test("what keeping a base in fewer bits did to it is told, where it is", async () => {
  await using folder = await tinyModelFolder(runtime, tinyConfig({ hidden_size: 32 }));
  for (const [baseDtype, times] of [[undefined, 0], ["int8", 1]] as const) {
    let told = 0;
    await using _trainer = await lora(folder.path, { baseDtype, onRounding: () => told++ });
    assert.equal(told, times, baseDtype);
  }
});

Deno.test("PiSSA starts in the host's memory, from a base in float32, and from no adapter", async () => {
  await using folder = await tinyModelFolder(runtime, config);
  const refused = (options: Partial<LoraTrainerOptions>, message: string) =>
    assert.rejects(lora(folder.path, { initLoraWeights: "pissa", ...options }), {
      name: "RangeError",
      message,
    });
  await using adapter = await tempFolder();
  {
    await using trainer = await lora(folder.path);
    await trainer.save(adapter.path, { modelOnly: true });
  }
  await refused(
    { initAdapter: adapter.path },
    "Cannot start both from PiSSA and from an adapter: leave out --init-lora-weights or --init-adapter",
  );
  await refused(
    { graphsOnly: true },
    "Cannot start from PiSSA on cpu: its frozen half is kept in the host's memory; pass --device cpu",
  );
  await refused(
    { baseDtype: "fp16" },
    "Cannot start from PiSSA on a base in fewer bits: its singular values are taken in float32; leave " +
      "out --base-dtype",
  );
  const told: unknown[] = [];
  await using trainer = await lora(folder.path, {
    initLoraWeights: "pissa",
    onPissa: (progress) => told.push(progress),
  });
  assert.ok(told.length > 0);
  const start = await all(trainer.weights);
  assert.ok(start[B].some((value) => value !== 0));
  // Twice the rank is kept, half of it frozen.
  assert.equal(trainer.trainableParameters, 2 * 2 * (16 + 32 + 24 + 16));
  const one = await after(trainer, 1);
  assert.ok(changed(start, one).includes(A) && changed(start, one).includes(B));
});

Deno.test("pairs are not trained on where losses are weighed out of the host's reach", async () => {
  const on = { device: parseDevice("cuda:1") } as Runtime;
  await assert.rejects(
    assembleTrainer({} as TrainedParameters, { runtime: on, format: "float32", pairs: dpo(0.1) }),
    {
      name: "RangeError",
      message:
        "Cannot train on pairs on cuda:1: their losses are weighed on the host between the " +
        "forward and the backward pass; pass --device cpu or webgpu",
    },
  );
});

Deno.test("processes that share an optimizer's state are several, and sum with what they are given", async () => {
  const [alone] = localComms(1);
  const [two] = localComms(2);
  assert.deepEqual(
    [
      ...[isSharded({}), isSharded({ shardOptimizer: true }), isSharded({ comm: two })],
      isSharded({ comm: alone, shardOptimizer: true }),
      isSharded({ comm: two, shardOptimizer: false }),
      isSharded({ comm: two, shardOptimizer: true }),
    ],
    [false, false, false, false, false, true],
  );
  assert.equal(await openCollectives({ runtime }), undefined);
  assert.equal(await openCollectives({ runtime, comm: alone }), undefined);
  using opened = await openCollectives({ runtime, comm: two });
  assert.deepEqual([opened?.rank, opened?.size], [0, 2]);
  assert.equal(await openCollectives({ runtime, comm: two, collectives: opened }), opened);
});

Deno.test("two processes make the updates of one, whole or in shares", async () => {
  await using folder = await tinyModelFolder(runtime, config);
  // By this an update goes by the gradient, where AdamW's first ones go by its sign.
  const optimizer = { epsilon: 1 };
  await using one = await createFullTrainer(folder.path, { runtime, optimizer });
  const expected = await after(one, 1);
  for (const shardOptimizer of [undefined, true]) {
    const both = await Promise.all(
      localComms(2).map(async (comm) => {
        await using trainer = await createFullTrainer(folder.path, {
          ...{ runtime, optimizer, comm, shardOptimizer },
        });
        return await after(trainer, 1);
      }),
    );
    assert.deepEqual(both[0], both[1]);
    for (const name of names) {
      // Sums in another order.
      const error = Math.max(
        ...expected[name].map((value, i) => Math.abs(value - both[0][name][i])),
      );
      assert.ok(error < 1e-6, `${name}: ${error}`);
    }
  }
});

Deno.test("optimizers that know of one process alone are refused for several", async () => {
  await using folder = await tinyModelFolder(runtime, config);
  const [comm] = localComms(2);
  const { several: _, ...alone } = findOptimizer();
  await assert.rejects(
    createFullTrainer(folder.path, { runtime, comm, optim: { ...alone, title: "Own" } }),
    /^RangeError: Cannot train with 2 processes and Own: it knows of one alone/,
  );
  await assert.rejects(
    createFullTrainer(folder.path, { runtime, comm, optim: "muon", shardOptimizer: true }),
    /^RangeError: Cannot shard Muon: each process keeps all of its state/,
  );
});

Deno.test("options of an engine and an optimizer reach them", async () => {
  await using folder = await tinyModelFolder(runtime, tinyConfig({ num_hidden_layers: 1 }));
  const losses = async (options: Partial<Parameters<typeof createFullTrainer>[1]>) => {
    await using trainer = await createFullTrainer(folder.path, { runtime, ...options });
    const { loss, gradNorm } = await trainer.trainStep(batches, { learningRate: 0.01 });
    const next = await trainer.trainStep(batches, { learningRate: 0.01 });
    return { loss, gradNorm, next: next.loss };
  };
  const plain = await losses({});
  const near = (a: number, b: number) => Math.abs(a - b) < 1e-5 * Math.abs(b);
  // These change how it is computed alone.
  const otherwise = { headChunk: 3, gradientCheckpointing: false, skipPadding: false };
  for (const options of [otherwise, { graphsOnly: true, maxGradNorm: 1, optim: "adamw" }]) {
    const { loss, gradNorm, next } = await losses(options);
    const same = near(loss, plain.loss) && near(gradNorm, plain.gradNorm);
    assert.ok(same && Math.abs(next - plain.next) < 1e-3, JSON.stringify(options));
  }
  // These change what is computed, of the first update or of the next one.
  const [noisy, other] = [
    await losses({ neftuneNoiseAlpha: 5 }),
    await losses({ neftuneNoiseAlpha: 5, seed: 1 }),
  ];
  assert.ok(!near(noisy.loss, plain.loss) && !near(noisy.loss, other.loss));
  assert.ok(!near((await losses({ objective: "dft" })).loss, plain.loss));
  const [clipped, whole] = [
    await losses({ optimizer: { epsilon: 1 } }),
    await losses({ optimizer: { epsilon: 1 }, maxGradNorm: 0 }),
  ];
  assert.ok(near(clipped.loss, plain.loss) && clipped.next !== plain.next);
  assert.ok(near(whole.loss, plain.loss) && clipped.next !== whole.next);
});

Deno.test("own kernels run on NVIDIA GPUs only", async () => {
  for (const device of ["cpu", "webgpu"]) {
    assert.deepEqual(await findGpu(parseDevice(device), "float32"), {
      reason: "they run on NVIDIA GPUs only",
    });
  }
});
