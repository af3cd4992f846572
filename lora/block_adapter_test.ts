import assert from "node:assert/strict";
import { blockForwardGraph } from "../model/graphs/training_graphs.ts";
import { tinyConfig } from "../tests/support/tiny_model.ts";
import { adapterConstants, createLoraAdapter, loraParameters } from "./block_adapter.ts";
import { DEFAULT_LORA } from "./lora_options.ts";

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
