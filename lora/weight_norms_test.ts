import assert from "node:assert/strict";
import { Runtime } from "../ort/runtime/runtime.ts";
import { assertClose } from "../ort/tensor/assert_close.ts";
import { graphText } from "../tests/support/graph_text.ts";
import { draws } from "../tests/support/random.ts";
import { dense, interpret } from "../tests/support/reference_interpreter.ts";
import { randomWeights, tinyConfig } from "../tests/support/tiny_model.ts";
import { adaptModel } from "./load_adapter.ts";
import { DEFAULT_LORA } from "./lora_options.ts";
import { weightNormGraph } from "./weight_norms.ts";

Deno.test("weightNormGraph() gives the length of each row of W + scale·B·A without the sum", () => {
  const draw = draws(1);
  const [out, inputs, rank, scale] = [5, 4, 3, 0.5];
  const w = dense([out, inputs], () => draw());
  const [a, b] = [dense([rank, inputs], () => draw()), dense([out, rank], () => draw())];
  const { norm } = interpret(weightNormGraph(scale), { w, a, b }, { out, in: inputs, rank });
  const expected = Array.from({ length: out }, (_, row) => {
    let squares = 0;
    for (let column = 0; column < inputs; column++) {
      let sum = w.data[row * inputs + column];
      for (let r = 0; r < rank; r++) {
        sum += scale * b.data[row * rank + r] * a.data[r * inputs + column];
      }
      squares += sum ** 2;
    }
    return Math.sqrt(squares);
  });
  assertClose(norm.data, expected, { relativeToMax: 1e-12, label: "norms" });
});

Deno.test("weightNormGraph() computes in float32 of any shape and type of W", () => {
  assert.deepEqual(graphText(weightNormGraph(4, { shape: [6, 5], precision: "bfloat16" })), [
    "Cast_0 float32 [6,5] = Cast(w) to=1",
    "Mul_1 float32 [rank,5] = Mul(a, (4))",
    "Mul_2 float32 [rank,5] = Mul(Mul_1, (2))",
    "Gemm_3 float32 [6,rank] = Gemm(Cast_0, Mul_2) transA=0 transB=1",
    "Gemm_4 float32 [rank,rank] = Gemm(Mul_1, Mul_1) transA=0 transB=1",
    "Gemm_5 float32 [6,rank] = Gemm(b, Gemm_4, Gemm_3) transA=0 transB=1",
    "Mul_6 float32 [6,5] = Mul(Cast_0, Cast_0)",
    "ReduceSum_7 float32 [6] = ReduceSum(Mul_6, int64[1]) keepdims=0",
    "Mul_8 float32 [6,rank] = Mul(b, Gemm_5)",
    "ReduceSum_9 float32 [6] = ReduceSum(Mul_8, int64[1]) keepdims=0",
    "Add_10 float32 [6] = Add(ReduceSum_7, ReduceSum_9)",
    "norm float32 [6] = Sqrt(Add_10)",
  ]);
});

Deno.test("norms are 1 where a layer has no adapter, and computed anew when asked to", async () => {
  using runtime = new Runtime({ threads: 1 });
  const config = tinyConfig();
  using base = randomWeights(runtime, config);
  const lora = {
    ...{ ...DEFAULT_LORA, rank: 2, alpha: 6, dora: true, dropout: 0 },
    ...{ targetModules: ["q_proj", "down_proj"] },
    ...{ excludeModules: ["layers.0.self_attn.q_proj"], alphaPattern: { down_proj: 1 } },
  };
  using adapted = adaptModel(runtime, { config, base, lora });
  const name = (layer: number, linear: string, end: string) =>
    `model.layers.${layer}.${linear}.${end}`;
  const norms = (layer: number, linear: string) =>
    adapted.weights.tensor(name(layer, linear, "lora_weight_norm")).float32();
  for (const [layer, linear] of [[0, "self_attn.q_proj"], [0, "mlp.down_proj"]] as const) {
    assert.ok(norms(layer, linear).every((each) => each === 1));
  }
  const expected = (layer: number, linear: string, scale: number): number[] => {
    const of = (end: string) => adapted.weights.tensor(name(layer, linear, end));
    const { shape: [rows, columns] } = of("weight");
    const [w, a, b] = ["weight", "lora_A.weight", "lora_B.weight"].map((end) => of(end).float32());
    return Array.from(
      { length: rows },
      (_, row) =>
        Math.hypot(...Array.from({ length: columns }, (_, column) =>
          w[row * columns + column] +
          scale * (b[row * 2] * a[column] + b[row * 2 + 1] * a[columns + column]))),
    );
  };
  const draw = draws(2);
  for (let update = 0; update < 2; update++) {
    const values = adapted.trained.flat.float32();
    for (let i = 0; i < values.length; i++) values[i] = draw(-0.3, 0.3);
    await adapted.refresh();
    for (
      const [layer, linear, scale] of [
        [1, "self_attn.q_proj", 3],
        [0, "mlp.down_proj", 0.5],
        [1, "mlp.down_proj", 0.5],
      ] as const
    ) {
      const label = `${layer} ${linear}`;
      assertClose(norms(layer, linear), expected(layer, linear, scale), {
        relativeToMax: 1e-6,
        label,
      });
    }
    assert.ok(norms(0, "self_attn.q_proj").every((each) => each === 1));
  }
});
