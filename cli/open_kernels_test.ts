import assert from "node:assert/strict";
import { DEFAULT_LORA } from "../lora/lora_options.ts";
import { cpu, parseDevice } from "../ort/device.ts";
import { openKernels } from "./open_kernels.ts";

const FLAGS = { kernels: "auto", optim: "adamw_torch" } as const;
const cuda = { device: parseDevice("cuda:99") };

Deno.test("on the CPU nothing is said of kernels", async () => {
  assert.deepEqual(await openKernels(FLAGS, { device: cpu }), { gpu: undefined });
});

Deno.test("where kernels are off or cannot run, one line says why", async () => {
  assert.deepEqual(await openKernels({ ...FLAGS, kernels: "off" }, cuda), {
    gpu: undefined,
    line: "kernels: none of ortune's own, ONNX Runtime's alone: --kernels off",
  });
  // Nobody's hundredth GPU: no driver, or no such device.
  const { gpu, line } = await openKernels(FLAGS, cuda);
  assert.equal(gpu, undefined);
  assert.match(line!, /^kernels: none of ortune's own, ONNX Runtime's alone: Cannot .*/);
});

Deno.test("8-bit moments are refused without kernels, but for an adapter, which has none", async () => {
  const flags = { kernels: "off", optim: "adamw_8bit" } as const;
  await assert.rejects(
    openKernels(flags, cuda),
    /^Error: Cannot train with --optim adamw_8bit: it needs .* kernels \(--kernels off\); pass --optim adamw_bf16/,
  );
  assert.match((await openKernels({ ...flags, lora: DEFAULT_LORA }, cuda)).line!, /--kernels off$/);
  await assert.rejects(
    openKernels({ ...flags, kernels: "auto" }, { device: cpu }),
    /^Error: Cannot train with --optim adamw_8bit: .*\(they run on NVIDIA GPUs only\)/,
  );
});
