import assert from "node:assert/strict";
import { trainingFlop } from "../gpu/figures.ts";
import { SHAPES } from "../gpu/workload.ts";
import { updateFlops } from "./update_flops.ts";

Deno.test("updateFlops() counts what MFU counts, and what is recomputed besides", () => {
  const [rows, length] = [4, 512];
  const shape = SHAPES["0.6B"];
  const row = { ids: Array<number>(length).fill(0), prompt: 0 };
  for (const method of ["full", "lora"] as const) {
    const counted = trainingFlop(shape, Array(rows).fill(row), method === "lora");
    const computed = updateFlops({ shape, rows, length }, method);
    // Forward once more for the blocks, attention without the half that the mask leaves out, and the
    // embedding's sums.
    assert.ok(computed > 1.1 * counted && computed < 1.5 * counted, `${computed / counted}`);
  }
});
