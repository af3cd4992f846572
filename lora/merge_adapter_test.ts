import assert from "node:assert/strict";
import { Runtime } from "../ort/runtime/runtime.ts";
import { assertClose } from "../ort/tensor/assert_close.ts";
import { draws } from "../tests/support/random.ts";
import { graphText } from "../tests/support/graph_text.ts";
import { randomWeights, tinyConfig } from "../tests/support/tiny_model.ts";
import { adaptModel } from "./load_adapter.ts";
import { DEFAULT_LORA } from "./lora_options.ts";
import { mergeAdapter, mergeGraph, MergeGraphs } from "./merge_adapter.ts";

Deno.test("mergeGraph() adds scale·B·A in place, and scales rows with DoRA", () => {
  const lora = { rank: 2, alpha: 8, rslora: false, dora: false };
  const merged = [
    "Mul_0 float32 [rank,in] = Mul(a, (4))",
    "merged float32 [out,in] = Gemm(b, Mul_0, w) transA=0 transB=0",
    "merged in w",
  ];
  assert.deepEqual(graphText(mergeGraph(lora)), merged);
  assert.deepEqual(graphText(mergeGraph({ ...lora, dora: true })), [
    merged[0],
    "Gemm_1 float32 [out,in] = Gemm(b, Mul_0, w) transA=0 transB=0",
    "Div_2 float32 [out] = Div(m, norm)",
    "Unsqueeze_3 float32 [out,1] = Unsqueeze(Div_2, int64[1])",
    "merged float32 [out,in] = Mul(Gemm_1, Unsqueeze_3)",
    "merged in w",
  ]);
});

for (const dora of [false, true]) {
  Deno.test(`mergeAdapter() merges each adapted layer with its own scale${dora ? ", of DoRA" : ""}`, async () => {
    using runtime = new Runtime({ threads: 1 });
    const config = tinyConfig();
    using base = randomWeights(runtime, config);
    using before = randomWeights(runtime, config);
    const lora = {
      ...{ ...DEFAULT_LORA, rank: 2, alpha: 6, dora, dropout: 0 },
      ...{ targetModules: ["up_proj", "down_proj"], layersToTransform: 1 },
      alphaPattern: { down_proj: 1 },
    };
    using adapted = adaptModel(runtime, { config, base, lora });
    const draw = draws(2);
    const values = adapted.trained.flat.float32();
    for (let i = 0; i < values.length; i++) values[i] = draw(0.1, 0.4);
    await adapted.refresh();
    mergeAdapter(runtime, { config, base, adapted });
    const scales = new Map([
      ["model.layers.1.mlp.up_proj.weight", 3],
      ["model.layers.1.mlp.down_proj.weight", 0.5],
    ]);
    for (const name of base.names()) {
      const scale = scales.get(name);
      const [w, found] = [before.tensor(name).float32(), base.tensor(name).float32()];
      if (scale === undefined) {
        assert.deepEqual(found, w, name);
        continue;
      }
      const of = (end: string) => adapted.trained.tensor(name.replace("weight", end)).float32();
      const [a, b] = [of("lora_A.weight"), of("lora_B.weight")];
      const columns = base.tensor(name).shape[1];
      const merged = Float64Array.from(w, (each, i) => {
        const [row, column] = [Math.floor(i / columns), i % columns];
        return each + scale * (b[2 * row] * a[column] + b[2 * row + 1] * a[columns + column]);
      });
      if (dora) {
        of("lora_magnitude_vector").forEach((magnitude, row) => {
          const numbers = merged.subarray(row * columns, (row + 1) * columns);
          const norm = Math.hypot(...numbers);
          numbers.forEach((each, i) => numbers[i] = each * magnitude / norm);
        });
      }
      assertClose(found, merged, { relativeToMax: 1e-6, label: name });
    }
  });
}

Deno.test("MergeGraphs compiles one graph for each factor", () => {
  using runtime = new Runtime({ threads: 1 });
  using graphs = new MergeGraphs(runtime, DEFAULT_LORA);
  const target = (rank: number, alpha: number) => ({
    ...{ layer: 0, name: "q", rank, alpha, scale: alpha / rank },
  });
  assert.equal(graphs.of(target(2, 8)), graphs.of(target(4, 16)));
  assert.notEqual(graphs.of(target(2, 8)), graphs.of(target(2, 4)));
});
