import assert from "node:assert/strict";
import { Runtime } from "../ort/runtime/runtime.ts";
import { readFloat32 } from "../ort/tensor/tensor_source.ts";
import { draws } from "../tests/support/random.ts";
import { randomWeights, tinyConfig } from "../tests/support/tiny_model.ts";
import { adaptModel } from "./load_adapter.ts";
import { DEFAULT_LORA, type LoraOptions, loraScale } from "./lora_options.ts";
import { mergedSource } from "./merged_source.ts";

const runtime = new Runtime({ threads: 2 });
const config = tinyConfig();
const RANK = 2;
const LAYER = "model.layers.1.mlp.down_proj";
/** Not adapted. */
const OTHER = "model.layers.0.input_layernorm.weight";

/** Merged weights; and, by the formulas, those of {@linkcode LAYER} in float64. */
async function opened(owned: DisposableStack, dora: boolean) {
  const lora: LoraOptions = { ...DEFAULT_LORA, rank: RANK, dora, targetModules: ["down_proj"] };
  const base = owned.use(randomWeights(runtime, config));
  const { trained } = owned.use(adaptModel(runtime, { config, base, lora }));
  const draw = draws(3);
  const values = trained.flat.float32();
  for (let i = 0; i < values.length; i++) values[i] = draw(0.1, 0.3);
  const source = owned.use(mergedSource(runtime, { config, base, adapter: trained, lora }));
  const { shape: [rows, columns] } = base.info(`${LAYER}.weight`);
  const [w, a, b] = await Promise.all([
    readFloat32(base, `${LAYER}.weight`),
    readFloat32(trained, `${LAYER}.lora_A.weight`),
    readFloat32(trained, `${LAYER}.lora_B.weight`),
  ]);
  const m = dora ? await readFloat32(trained, `${LAYER}.lora_magnitude_vector`) : undefined;
  const merged = Float64Array.from(w, (value, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns];
    for (let r = 0; r < RANK; r++) {
      value += loraScale(lora) * b[row * RANK + r] * a[r * columns + column];
    }
    return value;
  });
  for (let row = 0; m && row < rows; row++) {
    const numbers = merged.subarray(row * columns, (row + 1) * columns);
    const norm = Math.hypot(...numbers);
    for (let i = 0; i < columns; i++) numbers[i] *= m[row] / norm;
  }
  return { source, merged, columns };
}

for (const dora of [false, true]) {
  const method = dora ? "DoRA" : "LoRA";
  Deno.test(`mergedSource() gives ${method}'s weights from any number on`, async () => {
    using owned = new DisposableStack();
    const { source, merged, columns } = await opened(owned, dora);
    // Whole, inside of a row, over several, one number, and the last one.
    for (
      const [start, count] of [
        [0, merged.length],
        [5, 3],
        [columns + 7, 2 * columns],
        [3 * columns - 1, 1],
        [merged.length - 1, 1],
      ]
    ) {
      const numbers = await readFloat32(source, `${LAYER}.weight`, { start, count });
      const wanted = merged.subarray(start, start + count);
      assert.equal(numbers.length, count);
      // Measured 1.2e-7.
      numbers.forEach((each, i) => assert.ok(Math.abs(each - wanted[i]) < 2e-6, `${start} + ${i}`));
    }
  });

  Deno.test(`mergedSource() of ${method} is read alike in pieces of any number of bytes`, async () => {
    using owned = new DisposableStack();
    const { source } = await opened(owned, dora);
    for (const name of [`${LAYER}.weight`, OTHER]) {
      const whole = await readFloat32(source, name);
      // Less than a row, and no whole numbers; some rows and a half.
      for (const size of [101, 4 * 3 * 16 + 32, 4096]) {
        const bytes = new Uint8Array(whole.byteLength);
        for (let at = 0; at < bytes.length; at += size) {
          await source.read(name, bytes.subarray(at, at + size), at);
        }
        new Float32Array(bytes.buffer).forEach((each, i) =>
          assert.ok(Math.abs(each - whole[i]) < 1e-6, `${name}, ${i}`)
        );
      }
    }
  });
}
