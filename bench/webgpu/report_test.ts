import assert from "node:assert/strict";
import { noCalls } from "./call_counter.ts";
import type { Findings } from "./findings.ts";
import type { Repeated } from "./measure_model.ts";
import { SECTIONS } from "./report.ts";

const EMPTY: Findings = {
  ...{ date: "2026-01-01", onnxruntime: "1.30.0", threads: 2, measured: [], skipped: [] },
};
const calls = {
  ...noCalls(),
  ...{ runs: 3, dispatches: 1000, runMilliseconds: 20, bindings: 7 },
  toDevice: { copies: 2, bytes: 5_000_000, milliseconds: 1 },
};
const update: Repeated = {
  ...{ what: "full", device: "webgpu", model: "a model", tokens: 512, warm: 2, calls },
  ...{ seconds: 0.5, hostSeconds: 0.1 },
};

Deno.test("the report names a driver that computes on the processor", () => {
  const text = SECTIONS.driver!({ ...EMPTY, driver: "llvmpipe, driver 25", software: true });
  assert.match(text, /^llvmpipe, driver 25, SOFTWARE/);
  assert.match(text, /ONNX Runtime 1\.30\.0, 2 threads/);
});

Deno.test("the report shows a device beside the CPU at the same size alone", () => {
  const measured = [
    update,
    { ...update, device: "cpu", seconds: 2, hostSeconds: undefined },
    { ...update, model: "a larger model", seconds: 4 },
  ];
  const lines = SECTIONS.measured!({ ...EMPTY, measured, skipped: ["lora: no time"] }).split("\n");
  const row = (text: string): string[] =>
    lines.find((line) => line.includes(text))!.split("|").map((cell) => cell.trim()).slice(1, -1);
  const [head, ...others] = [row("tokens/s"), row("| webgpu |"), row("larger"), row("| cpu |")];
  const column = (name: string) => others.map((cells) => cells[head.indexOf(name)]);
  assert.deepEqual(column("tokens/s"), ["1,024", "128", "256"]);
  assert.deepEqual(column("× CPU"), ["4.00", "", ""]);
  assert.deepEqual(column("queued after"), ["20 %", "3 %", ""]);
  assert.deepEqual(column("spent in run calls"), ["4 %", "1 %", ""]);
  assert.deepEqual(column("µs a dispatch"), ["20.0", "20.0", ""]);
  assert.deepEqual(column("copies to it"), ["2, 5.00 MB", "2, 5.00 MB", ""]);
  assert.equal(lines.at(-1), "Left out: lora: no time");
});

Deno.test("the report holds products of both devices beside each other", () => {
  const rate = { product: "down, forwards", sizes: [512, 1024, 3072] as const };
  const products = [
    { ...rate, device: "webgpu", flopsPerSecond: 3e12 },
    { ...rate, device: "cpu", flopsPerSecond: 2e11 },
  ];
  assert.match(
    SECTIONS.products!({ ...EMPTY, products }),
    /\| down, forwards \| 512 × 1024 × 3072 \| 200 \| 3,000 \| 15\.00 \|/,
  );
});
