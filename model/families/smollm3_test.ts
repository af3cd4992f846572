import assert from "node:assert/strict";
import { parseConfig } from "../config.ts";

type Json = Readonly<Record<string, unknown>>;

const SIZES: Json = {
  ...{ model_type: "smollm3", hidden_size: 32, intermediate_size: 64, num_hidden_layers: 4 },
  ...{ num_attention_heads: 4, vocab_size: 100, rope_theta: 500 },
};
const ROPE = { theta: 500, width: 8, maxPositions: 32768 };
const WINDOW = { use_sliding_window: true, sliding_window: 6 };

/** A layer by a letter: small ones are not turned. */
const KINDS: Readonly<Record<string, unknown>> = {
  F: { name: "full_attention", rope: ROPE },
  f: { name: "full_attention_unturned" },
  S: { name: "sliding_attention", window: 6, rope: ROPE },
  s: { name: "sliding_attention_unturned", window: 6 },
};

Deno.test("layers of SmolLM3 are turned, and see a window, as their fields say", () => {
  const [full, sliding] = ["full_attention", "sliding_attention"];
  const cases: readonly (readonly [Json, string])[] = [
    [{}, "FFFf"],
    [{ sliding_window: 6 }, "FFFf"],
    [{ no_rope_layer_interval: 1 }, "ffff"],
    [{ no_rope_layer_interval: 2 }, "FfFf"],
    [{ no_rope_layer_interval: 3 }, "FFfF"],
    [{ no_rope_layers: [0, 1, 1, 0] }, "fFFf"],
    // Further entries are of layers that the model does not have.
    [{ no_rope_layers: [1, 0, 0, 1, 0, 1] }, "FffF"],
    [{ no_rope_layers: null, no_rope_layer_interval: 2 }, "FfFf"],
    // By default those that are not turned see the window.
    [{ ...WINDOW, no_rope_layer_interval: 2 }, "FsFs"],
    [{ ...WINDOW, use_sliding_window: false }, "FFFf"],
    [{ ...WINDOW, layer_types: [sliding, full, full, sliding] }, "SFFs"],
    [{ layer_types: [full, full, full, full], no_rope_layer_interval: 2 }, "FfFf"],
  ];
  for (const [change, expected] of cases) {
    const { layerKinds } = parseConfig({ ...SIZES, ...change });
    assert.deepEqual(layerKinds, Array.from(expected, (each) => KINDS[each]), expected);
    // Layers that are alike share graphs, by their object.
    assert.equal(new Set(layerKinds).size, new Set(expected).size, expected);
  }
});

Deno.test("what SmolLM3's fields cannot say is refused", () => {
  const layers = "must be a list of 0 and 1, got";
  const cases: readonly (readonly [Json, string])[] = [
    [{ no_rope_layers: [0, 1, 2, 1] }, `no_rope_layers ${layers} [0,1,2,1]`],
    [{ no_rope_layers: "0101" }, `no_rope_layers ${layers} "0101"`],
    [
      { no_rope_layers: [0, 1, 1] },
      "no_rope_layers has 3 entries, but num_hidden_layers is 4",
    ],
    [
      { no_rope_layer_interval: 0 },
      "no_rope_layer_interval must be a whole number from 1 to 16777216, got 0",
    ],
    [
      { layer_types: ["full_attention", "full_attention", "full_attention", "sliding_attention"] },
      "layer_types has sliding_attention, but use_sliding_window is not true or sliding_window is " +
      "missing: say how many tokens are seen, or make it full_attention",
    ],
    [
      { layer_types: ["full_attention"] },
      "layer_types has 1 entries, but num_hidden_layers is 4",
    ],
  ];
  for (const [change, message] of cases) {
    assert.throws(() => parseConfig({ ...SIZES, ...change }), {
      name: "RangeError",
      message: `Cannot read config.json: ${message}`,
    });
  }
});
