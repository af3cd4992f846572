import assert from "node:assert/strict";
import wabt from "wabt";
import { quantizeRows } from "./quantize_rows.ts";

Deno.test("search_scales.wasm is what wabt makes of search_scales.wat", async () => {
  const [text, made] = ["search_scales.wat", "search_scales.wasm"].map((name) =>
    new URL(name, import.meta.url)
  );
  const { parseWat } = await wabt();
  const module = parseWat("search_scales.wat", await Deno.readTextFile(text));
  const { buffer } = module.toBinary({});
  module.destroy();
  assert.deepEqual(new Uint8Array(await Deno.readFile(made)), new Uint8Array(buffer));
});

Deno.test("a block of numbers that are all but zero holds nothing of the block before it", () => {
  const numbers = Float32Array.from({ length: 512 }, (_, i) => (i % 7 - 3) * (i < 256 ? 1 : 1e-42));
  for (const type of ["q4_k", "q5_k", "q6_k"] as const) {
    const both = quantizeRows(numbers, type);
    const alone = quantizeRows(numbers.subarray(256), type);
    assert.deepEqual(both.subarray(alone.byteLength), alone, type);
  }
});
