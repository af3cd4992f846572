import assert from "node:assert/strict";
import { parseConfig } from "../config.ts";

type Json = Readonly<Record<string, unknown>>;

const SIZES: Json = {
  ...{ model_type: "qwen2", hidden_size: 32, intermediate_size: 64, num_hidden_layers: 4 },
  ...{ num_attention_heads: 4, vocab_size: 100, rope_theta: 500 },
};
const ROPE = { theta: 500, width: 8, maxPositions: 32768 };

Deno.test("layers of Qwen see a window from max_window_layers on, or where layer_types says so", () => {
  const [full, sliding] = ["full_attention", "sliding_attention"];
  const cases: readonly (readonly [Json, window: number, sliding: string])[] = [
    // F sees all, S a window.
    [{}, 0, "FFFF"],
    [{ sliding_window: 6, max_window_layers: 0 }, 0, "FFFF"],
    [{ use_sliding_window: false, sliding_window: 6, max_window_layers: 0 }, 0, "FFFF"],
    [{ use_sliding_window: true, sliding_window: 6 }, 6, "FFFF"],
    [{ use_sliding_window: true, sliding_window: 6, max_window_layers: 0 }, 6, "SSSS"],
    [{ use_sliding_window: true, sliding_window: 6, max_window_layers: 1 }, 6, "FSSS"],
    [{ use_sliding_window: true, sliding_window: 6, max_window_layers: 3 }, 6, "FFFS"],
    [{ use_sliding_window: true, sliding_window: 6, max_window_layers: 4 }, 6, "FFFF"],
    // The class's own.
    [{ use_sliding_window: true, max_window_layers: 2 }, 4096, "FFSS"],
    [{ use_sliding_window: true, sliding_window: null, max_window_layers: 0 }, 0, "FFFF"],
    [
      {
        ...{ use_sliding_window: true, sliding_window: 6, max_window_layers: 0 },
        layer_types: [full, sliding, "attention", sliding],
      },
      ...[6, "FSFS"] as const,
    ],
    [{ layer_types: [full, full, full, full] }, 0, "FFFF"],
    [{ use_sliding_window: true, max_window_layers: 2, layer_types: [] }, 4096, "FFSS"],
  ];
  for (const [change, window, expected] of cases) {
    const { layerKinds } = parseConfig({ ...SIZES, ...change });
    const wanted = Array.from(
      expected,
      (each) =>
        each === "S"
          ? { name: "sliding_attention", window, rope: ROPE }
          : { name: "full_attention", rope: ROPE },
    );
    assert.deepEqual(layerKinds, wanted, JSON.stringify(change));
    assert.equal(new Set(layerKinds).size, new Set(expected).size);
  }
});

Deno.test("Qwen2 and Qwen3 see windows from layer 28 on unless they say otherwise", () => {
  for (const model_type of ["qwen2", "qwen3"]) {
    const { layerKinds } = parseConfig({
      ...{ ...SIZES, model_type, num_hidden_layers: 30, use_sliding_window: true },
    });
    assert.deepEqual(
      layerKinds.map(({ window }) => window),
      [...Array<undefined>(28).fill(undefined), 4096, 4096],
    );
  }
});

Deno.test("windows that are not switched on, and numbers of layers that are none, are refused", () => {
  const cases: readonly (readonly [Json, string])[] = [
    [{ max_window_layers: "2" }, 'max_window_layers must be a whole number, got "2"'],
    [
      { use_sliding_window: true, sliding_window: 0 },
      "sliding_window must be a whole number from 1 to 16777216, got 0",
    ],
    [
      {
        ...{ use_sliding_window: true, sliding_window: null },
        layer_types: ["full_attention", "full_attention", "full_attention", "sliding_attention"],
      },
      "layer_types has sliding_attention, but use_sliding_window is not true or sliding_window is " +
      "null: say how many tokens are seen, or make it full_attention",
    ],
    [
      { layer_types: ["linear_attention"] },
      'layer_types is ["linear_attention"]: only full_attention and sliding_attention are ' +
      "supported",
    ],
    [
      { layer_types: Array<string>(5).fill("full_attention") },
      "layer_types has 5 entries, but num_hidden_layers is 4",
    ],
  ];
  for (const [change, message] of cases) {
    assert.throws(() => parseConfig({ ...SIZES, ...change }), {
      name: "RangeError",
      message: `Cannot read config.json: ${message}`,
    });
  }
});
