/**
 * Optimizers as on devices, of which each process keeps a part of the state, beside one that keeps all: the same
 * bits in every format, in graphs and in own kernels that are compiled for the processor.
 */

import assert from "node:assert/strict";
import type { Comm } from "../../comm/comm.ts";
import { layoutParameters, ParameterStore } from "../../model/engine/parameter_store.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { elementCount } from "../../ort/tensor/dtype.ts";
import { openSafetensors } from "../../ort/tensor/safetensors_file.ts";
import { writeSafetensors } from "../../ort/tensor/safetensors_writer.ts";
import { localComms } from "../../tests/support/local_comm.ts";
import { writeNumbers } from "../../tests/support/numbers.ts";
import { draws } from "../../tests/support/random.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { hostGpu } from "../../tests/support/test_gpu.ts";
import { bucketsOf, ownPart } from "../distributed/buckets.ts";
import { hostTensorComm } from "../distributed/tensor_comm.ts";
import type { Optimizer } from "../optimizer.ts";
import { adamW, adamW8bit } from "./adamw_optimizers.ts";
import { lion } from "./lion.ts";
import type { MakeOptimizer } from "./optimizer_description.ts";
import { roundParameters } from "./round_parameters.ts";
import { STATE_TYPES, type StateFormat } from "./state_format.ts";

const runtime = new Runtime({ threads: 2 });
const host = await hostGpu();
const CONSTANTS = { weightDecay: 0.1 };
const SPECS = [
  { name: "weight", shape: [37, 19], decays: true },
  { name: "norm", shape: [300], decays: false },
];
/** Over two buckets, of which the second is small. */
const WIDE = [{ name: "table", shape: [4200, 1000], decays: true }, ...SPECS];

/** The update whose gradients are no numbers. */
const SPOILT = 3;

interface Kind {
  readonly name: string;
  readonly make: () => Promise<MakeOptimizer> | MakeOptimizer;
  readonly format: StateFormat;
  readonly kernels?: boolean;
  readonly specs?: typeof SPECS;
}

const inKernels = (format: StateFormat): Kind => ({
  name: "AdamW in own kernels",
  make: () =>
    (format === "bfloat16-8bit" ? adamW8bit : adamW)
      .withKernels!(host!.gpu, format, CONSTANTS),
  format,
  kernels: true,
});
const inGraphs = (format: StateFormat): Kind => ({ name: "AdamW", make: () => adamW.make, format });

const KINDS: readonly Kind[] = [
  inGraphs("float32"),
  { ...inGraphs("master"), specs: WIDE },
  inGraphs("bfloat16"),
  inGraphs("bfloat16-stochastic"),
  { name: "Lion", make: () => lion.make, format: "master" },
  inKernels("float32"),
  inKernels("master"),
  inKernels("bfloat16-stochastic"),
  inKernels("bfloat16-8bit"),
];

/** Random numbers within ±1 that repeat. */
function fill(tensor: Tensor, seed: number): void {
  const draw = draws(seed);
  const few = Float32Array.from({ length: 1009 }, () => draw());
  const all = new Float32Array(elementCount(tensor.shape));
  for (let at = 0; at < all.length; at += few.length) {
    all.set(few.subarray(0, all.length - at), at);
  }
  writeNumbers(tensor, all);
}

/** One process's optimizer. */
interface Side {
  readonly optimizer: Optimizer;
  /** What the model runs on. */
  readonly weights: ParameterStore;
  readonly gradients: ParameterStore;
}

for (const { name, make, format, kernels = false, specs = SPECS } of KINDS) {
  const layout = layoutParameters(specs);
  const types = STATE_TYPES[format];
  const master = types.parameters === "master";

  const side = async (owned: DisposableStack, comm?: Comm): Promise<Side> => {
    const store = (dtype: "float32" | "bfloat16"): ParameterStore =>
      owned.use(new ParameterStore(runtime, layout, { dtype }));
    const weights = store(types.parameters === "float32" ? "float32" : "bfloat16");
    const gradients = store(types.gradients);
    const exact = master ? store("float32") : weights;
    for (const each of specs) fill(exact.tensor(each.name), 1);
    if (master) roundParameters(runtime, exact, weights);
    const making = await make();
    const optimizer = owned.use(making({
      runtime,
      parameters: comm ? weights : exact,
      gradients,
      copy: master && !comm ? weights : undefined,
      format,
      // Kernels add squares in another order where processes do it: what is clipped is off in its last bits.
      maxGradNorm: kernels ? 0 : 1,
      constants: CONSTANTS,
      graphsOnly: true,
      comm,
      collectives: comm && hostTensorComm(comm),
      shard: comm !== undefined,
    }));
    if (comm) await optimizer.takeWeights?.(exact);
    return { optimizer, weights, gradients };
  };

  const spoilOthers = ({ flat }: ParameterStore, { rank, size }: Comm): void => {
    for (const bucket of bucketsOf(layout, size)) {
      for (let other = 0; other < size; other++) {
        const { start, length } = ownPart(bucket, other);
        if (other === rank || length === 0) continue;
        const width = flat.byteLength / layout.length;
        using part = flat.view(start * width, [length]);
        writeNumbers(part, new Float32Array(length).fill(NaN));
      }
    }
  };

  /** Updates, of whose gradients a process has its part; the losses are shared out. */
  const run = async (
    { optimizer, gradients }: Side,
    [from, to]: readonly [number, number],
    comm?: Comm,
  ): Promise<void> => {
    for (let step = from; step < to; step++) {
      for (const each of specs) fill(gradients.tensor(each.name), 100 + step);
      // Which no process may take.
      if (step === SPOILT) writeNumbers(gradients.tensor("norm"), new Float32Array(300).fill(NaN));
      if (comm) spoilOthers(gradients, comm);
      optimizer.begin({ learningRate: 0.01 / (1 + step), tokens: 2, seed: step });
      const losses = [1, 3].filter((_, i) => comm === undefined || i === comm.rank);
      for (const loss of losses) {
        using tensor = Tensor.from(runtime, "float32", [1, 1], Float32Array.of(loss));
        optimizer.addLosses(tensor);
      }
      await optimizer.update();
    }
  };

  Deno.test({
    name:
      `${name} in ${format}: three processes with a part each end in the bits of one, and so do their files`,
    ignore: kernels && !host,
    async fn() {
      using owned = new DisposableStack();
      await using folder = await tempFolder();
      const whole = await side(owned);
      await run(whole, [0, 3]);
      await writeSafetensors(`${folder.path}/early`, whole.optimizer.state());
      const early = whole.weights.flat.bytes().slice();
      await run(whole, [3, 6]);
      await writeSafetensors(`${folder.path}/whole`, whole.optimizer.state());

      const comms = localComms(3);
      const parts = await Promise.all(comms.map((comm) => side(owned, comm)));
      await Promise.all(parts.map((part, i) => run(part, [0, 6], comms[i])));
      for (const { weights } of parts) {
        assert.deepEqual(weights.flat.bytes(), whole.weights.flat.bytes());
      }
      const [first, ...others] = parts.map(({ optimizer }) => optimizer);
      const settled = others.map((each) => each.parts!.settle());
      const { file } = (await first.parts!.write(`${folder.path}/together`))!;
      const { bytes } = (await file)!;
      await writeSafetensors(`${folder.path}/gathered`, first.state());
      await first.parts!.settle();
      await Promise.all(settled);
      const expected = await Deno.readFile(`${folder.path}/whole`);
      assert.equal(bytes, expected.length);
      for (const made of ["together", "gathered"]) {
        assert.deepEqual(await Deno.readFile(`${folder.path}/${made}`), expected, made);
      }

      // Going on from the file that one process wrote.
      const resumed = await Promise.all(comms.map((comm) => side(owned, comm)));
      await using saved = await openSafetensors(`${folder.path}/early`);
      await Promise.all(resumed.map(async (part, i) => {
        part.weights.flat.write(early);
        await part.optimizer.load(saved);
        part.optimizer.resumeAt(3);
        await run(part, [3, 6], comms[i]);
        assert.deepEqual(part.weights.flat.bytes(), whole.weights.flat.bytes());
      }));

      const results = parts.map(({ optimizer }) => optimizer.results());
      const one = whole.optimizer.results();
      for (const each of results) {
        assert.deepEqual(each, results[0]);
        assert.deepEqual(each.map(({ loss, skipped }) => [loss, skipped]), [
          ...one.map(({ loss, skipped }) => [loss, skipped]),
        ]);
        if (!kernels) assert.deepEqual(each, one);
      }
    },
  });
}
