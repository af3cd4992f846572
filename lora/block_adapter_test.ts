import assert from "node:assert/strict";
import { blockForwardGraph } from "../model/graphs/training_graphs.ts";
import type { LinearLayer } from "../model/parts/block_scope.ts";
import { GraphBuilder } from "../ort/graph/builder.ts";
import type { Value } from "../ort/graph/ir.ts";
import { graphText } from "../tests/support/graph_text.ts";
import { familyConfig, tinyConfig } from "../tests/support/tiny_model.ts";
import {
  adaptedLayers,
  adapterConstants,
  createLoraAdapter,
  inEveryLayer,
  loraParameters,
} from "./block_adapter.ts";
import { DEFAULT_LORA, type LoraOptions } from "./lora_options.ts";

const config = tinyConfig();

Deno.test("loraParameters() decay all of them, as Trainer takes out biases and norms alone", () => {
  const lora = { ...DEFAULT_LORA, dora: true, targetModules: ["q_proj"] };
  const [a, b, magnitude] = loraParameters(config, lora);
  assert.deepEqual(
    [a, b, magnitude].map(({ name, decays }) => [name.split(".").slice(5).join("."), decays]),
    [["lora_A.weight", true], ["lora_B.weight", true], ["lora_magnitude_vector", true]],
  );
  assert.equal(loraParameters(config, lora).length, 3 * config.layers);
});

Deno.test("adapterConstants() has what differs from block to block, and nothing else", () => {
  const q = (layer: number) => `model.layers.${layer}.self_attn.q_proj`;
  const scales = { [`${q(0)}.lora_scale`]: 4, [`${q(1)}.lora_scale`]: 2 };
  const active = { [`${q(0)}.lora_active`]: 0, [`${q(1)}.lora_active`]: 1 };
  const alphaPattern = { "layers.0.self_attn.q_proj": 16 };
  const layersToTransform = [1];
  const cases = [
    [{}, {}],
    [{ dora: true }, {}],
    [{ layersToTransform }, {}],
    [{ dora: true, layersToTransform }, active],
    [{ alphaPattern }, scales],
    [{ dora: true, alphaPattern }, scales],
  ] as const;
  const common = { ...DEFAULT_LORA, targetModules: ["q_proj"], rank: 4, alpha: 8 };
  for (const [more, expected] of cases) {
    const constants = adapterConstants(config, { ...common, ...more });
    assert.deepEqual(Object.fromEntries(constants), expected, JSON.stringify(more));
  }
});

Deno.test("dropout on a device drops as many of all 32-bit numbers as its rate says", () => {
  for (const [rate, largest] of [[0.5, -1], [0.25, -(2 ** 30) - 1], [0.75, 2 ** 30 - 1]]) {
    const adapter = createLoraAdapter(config, { ...DEFAULT_LORA, dropout: rate });
    const graph = blockForwardGraph(config, { adapter, dropout: true, deviceDropout: true });
    const compared = graph.nodes.filter(({ op }) => op === "Greater");
    assert.ok(compared.length > 0);
    for (const { inputs: [, above] } of compared) {
      const constant = graph.constants.find(({ value }) => value === above)!;
      assert.deepEqual([...new Int32Array(constant.data.slice().buffer)], [largest]);
    }
  }
});

/** Two layers with an adapter of rank 2 and factor 4; a quarter of what they read is dropped. */
const TWO: LoraOptions = {
  ...{ ...DEFAULT_LORA, rank: 2, alpha: 8, dropout: 0.25 },
  targetModules: ["q_proj", "k_proj"],
};
const SHAPES = {
  "self_attn.q_proj": [32, 16],
  "self_attn.k_proj": [16, 16],
  "mlp.up_proj": [24, 16],
} as const;
const STACK = {
  ...{ name: "self_attn.qk_proj.weight", shape: [48, 16], decays: true },
  of: ["self_attn.q_proj.weight", "self_attn.k_proj.weight"],
};

/** How layers are wrapped, and what comes out: names are without `self_attn.` and `_proj`. */
interface Wrapped {
  readonly lora?: Partial<LoraOptions>;
  readonly options?: Partial<Parameters<ReturnType<typeof createLoraAdapter>["wrap"]>[2]>;
  /** Type of the base. @default "float32" */
  readonly dtype?: "float32" | "bfloat16";
  /** Whether layers have biases. @default false */
  readonly biased?: boolean;
  /** @default of q alone */
  readonly run?: (linear: LinearLayer, x: Value, rest: Value) => readonly Value[];
  /** Values that are told to be worth saving. @default none */
  readonly saved?: readonly string[];
  readonly nodes: readonly string[];
}

const alone: Wrapped["run"] = (linear, x) => [linear("self_attn.q_proj", x)];
const addend: Wrapped["run"] = (linear, x, rest) => [linear("self_attn.q_proj", x, rest)];
const both: Wrapped["run"] = (linear, x) => [
  linear("self_attn.q_proj", x),
  linear("self_attn.k_proj", x),
];

const WRAPPED: Readonly<Record<string, Wrapped>> = {
  "LoRA without dropout, with an addend": {
    lora: { dropout: 0 },
    run: addend,
    nodes: [
      "Gemm_0 float32 [n,32] = Gemm(x, q.weight, rest) transA=0 transB=1",
      "Gemm_1 float32 [n,2] = Gemm(x, q.lora_A.weight) transA=0 transB=1",
      "Mul_2 float32 [n,2] = Mul(Gemm_1, (4))",
      "y float32 [n,32] = Gemm(Mul_2, q.lora_B.weight, Gemm_0) transA=0 transB=1",
    ],
  },
  "LoRA outside of training, where nothing is dropped": {
    options: { training: false },
    nodes: [
      "Gemm_0 float32 [n,32] = Gemm(x, q.weight) transA=0 transB=1",
      "Gemm_1 float32 [n,2] = Gemm(x, q.lora_A.weight) transA=0 transB=1",
      "Mul_2 float32 [n,2] = Mul(Gemm_1, (4))",
      "y float32 [n,32] = Gemm(Mul_2, q.lora_B.weight, Gemm_0) transA=0 transB=1",
    ],
  },
  "LoRA with masks from the host, a layer each": {
    run: both,
    nodes: [
      "Gemm_0 float32 [n,32] = Gemm(x, q.weight) transA=0 transB=1",
      "Cast_1 float32 [n,16] = Cast(q.dropout_mask) to=1",
      "Mul_2 float32 [n,16] = Mul(x, Cast_1)",
      "Gemm_3 float32 [n,2] = Gemm(Mul_2, q.lora_A.weight) transA=0 transB=1",
      "Mul_4 float32 [n,2] = Mul(Gemm_3, (5.333333492279053))",
      "y float32 [n,32] = Gemm(Mul_4, q.lora_B.weight, Gemm_0) transA=0 transB=1",
      "Gemm_6 float32 [n,16] = Gemm(x, k.weight) transA=0 transB=1",
      "Cast_7 float32 [n,16] = Cast(k.dropout_mask) to=1",
      "Mul_8 float32 [n,16] = Mul(x, Cast_7)",
      "Gemm_9 float32 [n,2] = Gemm(Mul_8, k.lora_A.weight) transA=0 transB=1",
      "Mul_10 float32 [n,2] = Mul(Gemm_9, (5.333333492279053))",
      "y1 float32 [n,16] = Gemm(Mul_10, k.lora_B.weight, Gemm_6) transA=0 transB=1",
    ],
  },
  "LoRA with masks made in the graph, of the same rows": {
    options: { deviceDropout: true },
    run: both,
    nodes: [
      "Gemm_0 float32 [n,32] = Gemm(x, q.weight) transA=0 transB=1",
      "Mul_1 int32 [n,16] = Mul(dropout_rows, q.dropout_columns)",
      "Greater_2 bool [n,16] = Greater(Mul_1, int32(-1073741825))",
      "Cast_3 float32 [n,16] = Cast(Greater_2) to=1",
      "Mul_4 float32 [n,16] = Mul(x, Cast_3)",
      "Gemm_5 float32 [n,2] = Gemm(Mul_4, q.lora_A.weight) transA=0 transB=1",
      "Mul_6 float32 [n,2] = Mul(Gemm_5, (5.333333492279053))",
      "y float32 [n,32] = Gemm(Mul_6, q.lora_B.weight, Gemm_0) transA=0 transB=1",
      "Gemm_8 float32 [n,16] = Gemm(x, k.weight) transA=0 transB=1",
      "Mul_9 int32 [n,16] = Mul(dropout_rows, k.dropout_columns)",
      "Greater_10 bool [n,16] = Greater(Mul_9, int32(-1073741825))",
      "Cast_11 float32 [n,16] = Cast(Greater_10) to=1",
      "Mul_12 float32 [n,16] = Mul(x, Cast_11)",
      "Gemm_13 float32 [n,2] = Gemm(Mul_12, k.lora_A.weight) transA=0 transB=1",
      "Mul_14 float32 [n,2] = Mul(Gemm_13, (5.333333492279053))",
      "y1 float32 [n,16] = Gemm(Mul_14, k.lora_B.weight, Gemm_8) transA=0 transB=1",
    ],
  },
  "LoRA with dropout in a kernel": {
    options: { deviceDropout: true, kernels: new Set(["dropout"]) },
    run: both,
    nodes: [
      "Gemm_0 float32 [n,32] = Gemm(x, q.weight) transA=0 transB=1",
      "HashedDropout_1 float32 [n,16] = ortune:HashedDropout(x, dropout_rows, " +
      "q.dropout_columns) above=-1073741825",
      "Gemm_2 float32 [n,2] = Gemm(HashedDropout_1, q.lora_A.weight) transA=0 transB=1",
      "Mul_3 float32 [n,2] = Mul(Gemm_2, (5.333333492279053))",
      "y float32 [n,32] = Gemm(Mul_3, q.lora_B.weight, Gemm_0) transA=0 transB=1",
      "Gemm_5 float32 [n,16] = Gemm(x, k.weight) transA=0 transB=1",
      "HashedDropout_6 float32 [n,16] = ortune:HashedDropout(x, dropout_rows, " +
      "k.dropout_columns) above=-1073741825",
      "Gemm_7 float32 [n,2] = Gemm(HashedDropout_6, k.lora_A.weight) transA=0 transB=1",
      "Mul_8 float32 [n,2] = Mul(Gemm_7, (5.333333492279053))",
      "y1 float32 [n,16] = Gemm(Mul_8, k.lora_B.weight, Gemm_5) transA=0 transB=1",
    ],
  },
  "LoRA over bfloat16, with the factor on A in float32": {
    options: { deviceDropout: true },
    dtype: "bfloat16",
    nodes: [
      "Gemm_0 bfloat16 [n,32] = Gemm(x, q.weight) transA=0 transB=1",
      "Mul_1 int32 [n,16] = Mul(dropout_rows, q.dropout_columns)",
      "Greater_2 bool [n,16] = Greater(Mul_1, int32(-1073741825))",
      "Cast_3 bfloat16 [n,16] = Cast(Greater_2) to=16",
      "Mul_4 bfloat16 [n,16] = Mul(x, Cast_3)",
      "Mul_5 float32 [2,16] = Mul(q.lora_A.weight, (5.333333492279053))",
      "Cast_6 bfloat16 [2,16] = Cast(Mul_5) to=16",
      "Gemm_7 bfloat16 [n,2] = Gemm(Mul_4, Cast_6) transA=0 transB=1",
      "Cast_8 bfloat16 [32,2] = Cast(q.lora_B.weight) to=16",
      "y bfloat16 [n,32] = Gemm(Gemm_7, Cast_8, Gemm_0) transA=0 transB=1",
    ],
  },
  "a layer without an adapter": {
    run: (linear, x) => [linear("mlp.up_proj", x)],
    nodes: [
      "y float32 [n,24] = Gemm(x, mlp.up.weight) transA=0 transB=1",
    ],
  },
  "LoRA in kernels, which drop by themselves": {
    options: { kernels: new Set(["lora"]) },
    dtype: "bfloat16",
    run: both,
    saved: ["LoraDown_0", "LoraDown_3"],
    nodes: [
      "LoraDown_0 bfloat16 [n,2] = ortune:LoraDown(x, dropout_rows, q.lora_A.weight, " +
      "q.dropout_columns) scale=5.333333333333333f above=-1073741825",
      "Gemm_1 bfloat16 [n,32] = Gemm(x, q.weight) transA=0 transB=1",
      "y bfloat16 [n,32] = ortune:LoraUp(Gemm_1, LoraDown_0, q.lora_B.weight)",
      "LoraDown_3 bfloat16 [n,2] = ortune:LoraDown(x, dropout_rows, k.lora_A.weight, " +
      "k.dropout_columns) scale=5.333333333333333f above=-1073741825",
      "Gemm_4 bfloat16 [n,16] = Gemm(x, k.weight) transA=0 transB=1",
      "y1 bfloat16 [n,16] = ortune:LoraUp(Gemm_4, LoraDown_3, k.lora_B.weight)",
    ],
  },
  "LoRA in kernels, added to the addend before the layer is": {
    options: { training: false, kernels: new Set(["lora"]) },
    dtype: "bfloat16",
    run: addend,
    saved: ["LoraDown_0"],
    nodes: [
      "LoraDown_0 bfloat16 [n,2] = ortune:LoraDown(x, _, q.lora_A.weight, _) scale=4f above=0",
      "LoraUp_1 bfloat16 [n,32] = ortune:LoraUp(rest, LoraDown_0, q.lora_B.weight)",
      "y bfloat16 [n,32] = Gemm(x, q.weight, LoraUp_1) transA=0 transB=1",
    ],
  },
  "LoRA in kernels on two layers in one": {
    options: { kernels: new Set(["lora"]), stacks: [STACK] },
    dtype: "bfloat16",
    run: (linear, x) => [linear("self_attn.qk_proj", x)],
    saved: ["LoraDown_0"],
    nodes: [
      "LoraDown_0 bfloat16 [n,4] = ortune:LoraDown(x, dropout_rows, q.lora_A.weight, " +
      "q.dropout_columns, k.lora_A.weight, k.dropout_columns) scale=5.333333333333333f " +
      "above=-1073741825",
      "Gemm_1 bfloat16 [n,48] = Gemm(x, qk.weight) transA=0 transB=1",
      "y bfloat16 [n,48] = ortune:LoraUp(Gemm_1, LoraDown_0, q.lora_B.weight, k.lora_B.weight)",
    ],
  },
  "LoRA with a factor that is not the same in all blocks": {
    lora: { alphaPattern: { "layers.0.self_attn.q_proj": 16 } },
    run: both,
    nodes: [
      "Gemm_0 float32 [n,32] = Gemm(x, q.weight) transA=0 transB=1",
      "Cast_1 float32 [n,16] = Cast(q.dropout_mask) to=1",
      "Mul_2 float32 [n,16] = Mul(x, Cast_1)",
      "Gemm_3 float32 [n,2] = Gemm(Mul_2, q.lora_A.weight) transA=0 transB=1",
      "Mul_4 float32 [1] = Mul(q.lora_scale, (1.3333333730697632))",
      "Mul_5 float32 [n,2] = Mul(Gemm_3, Mul_4)",
      "y float32 [n,32] = Gemm(Mul_5, q.lora_B.weight, Gemm_0) transA=0 transB=1",
      "Gemm_7 float32 [n,16] = Gemm(x, k.weight) transA=0 transB=1",
      "Cast_8 float32 [n,16] = Cast(k.dropout_mask) to=1",
      "Mul_9 float32 [n,16] = Mul(x, Cast_8)",
      "Gemm_10 float32 [n,2] = Gemm(Mul_9, k.lora_A.weight) transA=0 transB=1",
      "Mul_11 float32 [n,2] = Mul(Gemm_10, (5.333333492279053))",
      "y1 float32 [n,16] = Gemm(Mul_11, k.lora_B.weight, Gemm_7) transA=0 transB=1",
    ],
  },
  "the same outside of training": {
    lora: { alphaPattern: { "layers.0.self_attn.q_proj": 16 } },
    options: { training: false },
    nodes: [
      "Gemm_0 float32 [n,32] = Gemm(x, q.weight) transA=0 transB=1",
      "Gemm_1 float32 [n,2] = Gemm(x, q.lora_A.weight) transA=0 transB=1",
      "Mul_2 float32 [n,2] = Mul(Gemm_1, q.lora_scale)",
      "y float32 [n,32] = Gemm(Mul_2, q.lora_B.weight, Gemm_0) transA=0 transB=1",
    ],
  },
  "DoRA, whose bias and addend are not scaled": {
    lora: { dora: true, dropout: 0 },
    biased: true,
    run: addend,
    saved: ["Gemm_3"],
    nodes: [
      "Gemm_0 float32 [n,2] = Gemm(x, q.lora_A.weight) transA=0 transB=1",
      "Mul_1 float32 [n,2] = Mul(Gemm_0, (4))",
      "Gemm_2 float32 [n,32] = Gemm(x, q.weight) transA=0 transB=1",
      "Gemm_3 float32 [n,32] = Gemm(Mul_1, q.lora_B.weight, Gemm_2) transA=0 transB=1",
      "Div_4 float32 [32] = Div(q.lora_magnitude_vector, q.lora_weight_norm)",
      "Mul_5 float32 [n,32] = Mul(Gemm_3, Div_4)",
      "Add_6 float32 [n,32] = Add(Mul_5, rest)",
      "y float32 [n,32] = Add(Add_6, q.bias)",
    ],
  },
  "DoRA over bfloat16 with dropout, of which the layer takes what is lost": {
    lora: { dora: true },
    options: { deviceDropout: true },
    dtype: "bfloat16",
    biased: true,
    run: addend,
    saved: ["Gemm_11"],
    nodes: [
      "Cast_0 float32 [n,16] = Cast(x) to=1",
      "Mul_1 int32 [n,16] = Mul(dropout_rows, q.dropout_columns)",
      "Greater_2 bool [n,16] = Greater(Mul_1, int32(-1073741825))",
      "Cast_3 float32 [n,16] = Cast(Greater_2) to=1",
      "Mul_4 float32 [n,16] = Mul(Cast_3, (1.3333333730697632))",
      "Mul_5 float32 [n,16] = Mul(Cast_0, Mul_4)",
      "Gemm_6 float32 [n,2] = Gemm(Mul_5, q.lora_A.weight) transA=0 transB=1",
      "Mul_7 float32 [n,2] = Mul(Gemm_6, (4))",
      "Cast_8 bfloat16 [n,16] = Cast(Mul_5) to=16",
      "Gemm_9 bfloat16 [n,32] = Gemm(Cast_8, q.weight) transA=0 transB=1",
      "Cast_10 float32 [n,32] = Cast(Gemm_9) to=1",
      "Gemm_11 float32 [n,32] = Gemm(Mul_7, q.lora_B.weight, Cast_10) transA=0 transB=1",
      "Div_12 float32 [32] = Div(q.lora_magnitude_vector, q.lora_weight_norm)",
      "Mul_13 float32 [n,32] = Mul(Gemm_11, Div_12)",
      "Cast_14 float32 [n,32] = Cast(rest) to=1",
      "Add_15 float32 [n,32] = Add(Mul_13, Cast_14)",
      "Sub_16 float32 [n,16] = Sub((1), Mul_4)",
      "Mul_17 float32 [n,16] = Mul(Cast_0, Sub_16)",
      "Cast_18 bfloat16 [n,16] = Cast(Mul_17) to=16",
      "Cast_19 bfloat16 [n,32] = Cast(Add_15) to=16",
      "Gemm_20 bfloat16 [n,32] = Gemm(Cast_18, q.weight, q.bias) transA=0 transB=1",
      "y bfloat16 [n,32] = Add(Gemm_20, Cast_19)",
    ],
  },
  "DoRA on some blocks only, where others divide by 1": {
    lora: { dora: true, dropout: 0, layersToTransform: [1] },
    saved: ["Gemm_3"],
    nodes: [
      "Gemm_0 float32 [n,2] = Gemm(x, q.lora_A.weight) transA=0 transB=1",
      "Mul_1 float32 [n,2] = Mul(Gemm_0, (4))",
      "Gemm_2 float32 [n,32] = Gemm(x, q.weight) transA=0 transB=1",
      "Gemm_3 float32 [n,32] = Gemm(Mul_1, q.lora_B.weight, Gemm_2) transA=0 transB=1",
      "Div_4 float32 [32] = Div(q.lora_magnitude_vector, q.lora_weight_norm)",
      "Mul_5 float32 [32] = Mul(Div_4, q.lora_active)",
      "Sub_6 float32 [1] = Sub((1), q.lora_active)",
      "Add_7 float32 [32] = Add(Mul_5, Sub_6)",
      "y float32 [n,32] = Mul(Gemm_3, Add_7)",
    ],
  },
  "DoRA on two layers that widen one input once": {
    lora: { dora: true, dropout: 0 },
    dtype: "bfloat16",
    run: both,
    saved: ["Gemm_5", "Gemm_13"],
    nodes: [
      "Cast_0 float32 [n,16] = Cast(x) to=1",
      "Gemm_1 float32 [n,2] = Gemm(Cast_0, q.lora_A.weight) transA=0 transB=1",
      "Mul_2 float32 [n,2] = Mul(Gemm_1, (4))",
      "Gemm_3 bfloat16 [n,32] = Gemm(x, q.weight) transA=0 transB=1",
      "Cast_4 float32 [n,32] = Cast(Gemm_3) to=1",
      "Gemm_5 float32 [n,32] = Gemm(Mul_2, q.lora_B.weight, Cast_4) transA=0 transB=1",
      "Div_6 float32 [32] = Div(q.lora_magnitude_vector, q.lora_weight_norm)",
      "Mul_7 float32 [n,32] = Mul(Gemm_5, Div_6)",
      "y bfloat16 [n,32] = Cast(Mul_7) to=16",
      "Gemm_9 float32 [n,2] = Gemm(Cast_0, k.lora_A.weight) transA=0 transB=1",
      "Mul_10 float32 [n,2] = Mul(Gemm_9, (4))",
      "Gemm_11 bfloat16 [n,16] = Gemm(x, k.weight) transA=0 transB=1",
      "Cast_12 float32 [n,16] = Cast(Gemm_11) to=1",
      "Gemm_13 float32 [n,16] = Gemm(Mul_10, k.lora_B.weight, Cast_12) transA=0 transB=1",
      "Div_14 float32 [16] = Div(k.lora_magnitude_vector, k.lora_weight_norm)",
      "Mul_15 float32 [n,16] = Mul(Gemm_13, Div_14)",
      "y1 bfloat16 [n,16] = Cast(Mul_15) to=16",
    ],
  },
};

for (const [name, each] of Object.entries(WRAPPED)) {
  Deno.test(`createLoraAdapter() wraps ${name}`, () => {
    const { lora, options, dtype = "float32", biased = false, run = alone, saved = [] } = each;
    const b = new GraphBuilder("g");
    const shapes: [string, readonly number[]][] = options?.stacks
      ? [["self_attn.qk_proj", STACK.shape]]
      : Object.entries(SHAPES);
    const own = new Map(shapes.flatMap(([name, shape]) => [
      [`${name}.weight`, b.input(`${name}.weight`, dtype, shape)],
      ...biased ? [[`${name}.bias`, b.input(`${name}.bias`, dtype, [shape[0]])] as const] : [],
    ]));
    const told: string[] = [];
    const adapter = createLoraAdapter(config, { ...TWO, ...lora });
    const { linear, weights } = adapter.wrap(b, own, {
      ...{ training: true, ...options },
      onSaveable: ({ name }) => told.push(name),
    });
    const [kind] = config.layerKinds;
    assert.deepEqual([...weights.keys()], adapter.parameters(kind).map(({ name }) => name));
    run(linear, b.input("x", dtype, ["n", 16]), b.input("rest", dtype, ["n", 32]))
      .forEach((value, i) => b.output(`y${i || ""}`, value));
    const short = (text: string): string =>
      text.replaceAll("self_attn.", "").replaceAll("_proj", "");
    assert.deepEqual(graphText(b.build()).map(short), each.nodes);
    assert.deepEqual(told, saved);
  });
}

Deno.test("wrapped layers are those that a block has weights of, and nobody needs to be told what is worth saving", () => {
  const b = new GraphBuilder("g");
  const own = new Map([["self_attn.k_proj.weight", b.input("w", "float32", [16, 16])]]);
  const adapter = createLoraAdapter(config, TWO);
  const kernels = new Set(["lora"] as const);
  const { linear, weights } = adapter.wrap(b, own, { training: false, kernels });
  assert.deepEqual([...weights].map(([name, { dtype, shape }]) => [name, dtype, shape]), [
    ["self_attn.k_proj.lora_A.weight", "float32", [2, 16]],
    ["self_attn.k_proj.lora_B.weight", "float32", [16, 2]],
  ]);
  assert.deepEqual(linear("self_attn.k_proj", b.input("x", "float32", ["n", 16])).shape, ["n", 16]);
});

Deno.test("an adapter tells its parameters, what is derived of them, and whether kernels can make its products", () => {
  const [kind] = config.layerKinds;
  const spec = (name: string, shape: readonly number[], decays = true) => ({
    ...{ name: `self_attn.${name}`, shape, decays },
  });
  const plain = [
    ...[spec("q_proj.lora_A.weight", [2, 16]), spec("q_proj.lora_B.weight", [32, 2])],
    ...[spec("k_proj.lora_A.weight", [2, 16]), spec("k_proj.lora_B.weight", [16, 2])],
  ];
  const layers = ["self_attn.q_proj", "self_attn.k_proj"];
  const cases: readonly (readonly [Partial<LoraOptions>, Readonly<Record<string, unknown>>])[] = [
    [{}, { parameters: plain, derived: [], dropout: 0.25, products: { rank: 2, layers } }],
    [{ dropout: 0, layersToTransform: 1 }, {
      ...{ parameters: plain, derived: [], dropout: 0, products: { rank: 2, layers } },
    }],
    [{ dora: true, layersToTransform: 1 }, {
      parameters: [
        ...[...plain.slice(0, 2), spec("q_proj.lora_magnitude_vector", [32])],
        ...[...plain.slice(2), spec("k_proj.lora_magnitude_vector", [16])],
      ],
      derived: [
        ...[spec("q_proj.lora_weight_norm", [32], false), spec("q_proj.lora_active", [1], false)],
        ...[spec("k_proj.lora_weight_norm", [16], false), spec("k_proj.lora_active", [1], false)],
      ],
      ...{ dropout: 0.25, noProducts: "DoRA" },
    }],
    // The largest rank of all blocks.
    [{ rankPattern: { "layers.1.self_attn.q_proj": 3 }, alphaPattern: { q_proj: 12 } }, {
      parameters: [
        ...[spec("q_proj.lora_A.weight", [3, 16]), spec("q_proj.lora_B.weight", [32, 3])],
        ...plain.slice(2),
      ],
      derived: [spec("q_proj.lora_scale", [1], false)],
      ...{ dropout: 0.25, noProducts: "ranks or scales that differ" },
    }],
    [{ rankPattern: { k_proj: 4 }, alphaPattern: { k_proj: 16 } }, {
      parameters: [
        ...plain.slice(0, 2),
        ...[spec("k_proj.lora_A.weight", [4, 16]), spec("k_proj.lora_B.weight", [16, 4])],
      ],
      ...{ derived: [], dropout: 0.25, noProducts: "ranks or scales that differ" },
    }],
    [{ alphaPattern: { k_proj: 16 } }, {
      ...{
        parameters: plain,
        derived: [],
        dropout: 0.25,
        noProducts: "ranks or scales that differ",
      },
    }],
    // The same in both layers, and not in both blocks.
    [{ alphaPattern: { "layers.1.*": 16 } }, {
      parameters: plain,
      derived: [spec("q_proj.lora_scale", [1], false), spec("k_proj.lora_scale", [1], false)],
      ...{ dropout: 0.25, noProducts: "ranks or scales that differ" },
    }],
  ];
  for (const [change, expected] of cases) {
    const { wrap: _, parameters, derived, ...rest } = createLoraAdapter(config, {
      ...TWO,
      ...change,
    });
    const found = { parameters: parameters(kind), derived: derived(kind), ...rest };
    assert.deepEqual(found, expected, JSON.stringify(change));
  }
});

Deno.test("adaptedLayers() have the largest rank, and the factor that all of their blocks have", () => {
  const three = tinyConfig({ num_hidden_layers: 3 });
  const lora: LoraOptions = {
    ...{ ...TWO, layersToTransform: [0, 2], targetModules: ["q_proj", "k_proj", "up_proj"] },
    rankPattern: { "layers.0.self_attn.q_proj": 4, "layers.0.self_attn.k_proj": 1 },
    alphaPattern: { "layers.0.self_attn.q_proj": 16 },
  };
  assert.deepEqual(adaptedLayers(three, lora), [
    { name: "self_attn.q_proj", rank: 4, scale: 4, everywhere: false, shape: [32, 16] },
    { name: "self_attn.k_proj", rank: 2, scale: undefined, everywhere: false, shape: [16, 16] },
    { name: "mlp.up_proj", rank: 2, scale: 4, everywhere: false, shape: [24, 16] },
  ]);
  const of = (layer: number, name: string, end: string) => `model.layers.${layer}.${name}.${end}`;
  // A block without an adapter has no factor.
  assert.deepEqual([...adapterConstants(three, { ...lora, dora: true })], [
    [of(0, "self_attn.q_proj", "lora_active"), 1],
    [of(1, "self_attn.q_proj", "lora_active"), 0],
    [of(2, "self_attn.q_proj", "lora_active"), 1],
    [of(0, "self_attn.k_proj", "lora_scale"), 8],
    [of(0, "self_attn.k_proj", "lora_active"), 1],
    [of(1, "self_attn.k_proj", "lora_scale"), 0],
    [of(1, "self_attn.k_proj", "lora_active"), 0],
    [of(2, "self_attn.k_proj", "lora_scale"), 4],
    [of(2, "self_attn.k_proj", "lora_active"), 1],
    [of(0, "mlp.up_proj", "lora_active"), 1],
    [of(1, "mlp.up_proj", "lora_active"), 0],
    [of(2, "mlp.up_proj", "lora_active"), 1],
  ]);
  // As they are saved: each with its own rank.
  assert.deepEqual(
    loraParameters(three, lora).map(({ name, shape }) => `${name.slice(13)} ${shape}`),
    [
      ...["0.self_attn.q_proj.lora_A.weight 4,16", "0.self_attn.q_proj.lora_B.weight 32,4"],
      ...["0.self_attn.k_proj.lora_A.weight 1,16", "0.self_attn.k_proj.lora_B.weight 16,1"],
      ...["0.mlp.up_proj.lora_A.weight 2,16", "0.mlp.up_proj.lora_B.weight 24,2"],
      ...["2.self_attn.q_proj.lora_A.weight 2,16", "2.self_attn.q_proj.lora_B.weight 32,2"],
      ...["2.self_attn.k_proj.lora_A.weight 2,16", "2.self_attn.k_proj.lora_B.weight 16,2"],
      ...["2.mlp.up_proj.lora_A.weight 2,16", "2.mlp.up_proj.lora_B.weight 24,2"],
    ],
  );
});

Deno.test("a layer that only some kinds of blocks have is everywhere where all of these have an adapter", () => {
  const mixed = familyConfig("qwen3_5_text");
  const lora = { ...TWO, dora: true, targetModules: ["q_proj", "up_proj"] };
  assert.deepEqual(adaptedLayers(mixed, lora).map(({ name, everywhere }) => [name, everywhere]), [
    ["mlp.up_proj", true],
    ["self_attn.q_proj", true],
  ]);
  const [delta, full] = mixed.layerKinds;
  const adapter = createLoraAdapter(mixed, lora);
  const names = (kind: typeof delta) => adapter.parameters(kind).map(({ name }) => name);
  assert.equal(names(delta).length, 3);
  assert.equal(names(full).length, 6);
  assert.deepEqual(adapter.derived(delta).map(({ name }) => name), [
    "mlp.up_proj.lora_weight_norm",
  ]);
  assert.equal(adapterConstants(mixed, lora).size, 0);
  // Of the layers that one kind has, a block of the other has no constants.
  const some = {
    ...lora,
    alphaPattern: { up_proj: 3, "layers.0.mlp.up_proj": 8 },
    layersToTransform: 1,
  };
  assert.deepEqual([...adapterConstants(mixed, some).keys()], [
    ...["model.layers.0.mlp.up_proj.lora_active", "model.layers.1.mlp.up_proj.lora_active"],
  ]);
  assert.deepEqual(
    inEveryLayer(mixed, (kind) => adapter.derived(kind)).map(({ name }) => name),
    [
      "model.layers.0.mlp.up_proj.lora_weight_norm",
      "model.layers.1.mlp.up_proj.lora_weight_norm",
      "model.layers.1.self_attn.q_proj.lora_weight_norm",
    ],
  );
});
