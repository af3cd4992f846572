import assert from "node:assert/strict";
import { adapterSettings, type InitLoraWeights } from "./init_lora_weights.ts";
import { DEFAULT_LORA, loraScale } from "./lora_options.ts";

const plain = { ...DEFAULT_LORA, dropout: 0 };

Deno.test("an adapter that starts from PiSSA is saved with twice the rank, at the same scale", () => {
  const patterns = { rankPattern: { q_proj: 3 }, alphaPattern: { q_proj: 1.5 } };
  const settings = adapterSettings({ ...plain, ...patterns }, "pissa");
  assert.deepEqual(settings, {
    ...plain,
    ...{ rank: 16, alpha: 64, rankPattern: { q_proj: 6 }, alphaPattern: { q_proj: 3 } },
  });
  assert.equal(loraScale(settings), loraScale(plain));
  assert.equal(adapterSettings(plain), plain);
  assert.equal(adapterSettings(plain, "default"), plain);
});

Deno.test("what cannot start from PiSSA is refused with a way out", () => {
  const refused: readonly (readonly [typeof plain, string, RegExp])[] = [
    [
      { ...plain, dropout: 0.1 },
      "pissa",
      /^RangeError: Cannot .* with dropout 0.1: .*--lora-dropout 0$/,
    ],
    [{ ...plain, dora: true }, "pissa", /^RangeError: Cannot start DoRA from PiSSA: .*--use-dora/],
    [
      { ...plain, rslora: true },
      "pissa",
      /^RangeError: Cannot start rsLoRA from PiSSA: .*--use-rslora/,
    ],
    [
      plain,
      "olora",
      /^RangeError: Cannot start an adapter from "olora": it must be default or pissa$/,
    ],
  ];
  for (const [lora, init, message] of refused) {
    assert.throws(() => adapterSettings(lora, init as InitLoraWeights), message);
  }
});
