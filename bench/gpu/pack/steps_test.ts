import assert from "node:assert/strict";
import { FILES, listBundles } from "./bundles.ts";
import { listSteps } from "./steps.ts";

const ROOT = new URL("../../../", import.meta.url).pathname;
const settings = { python: "python3", scratch: "/tmp/scratch", has: () => true };

Deno.test("a pack's steps run bundles that it has, and every bundle is run", async () => {
  const bundles = await listBundles(ROOT);
  const files = [
    ...bundles.map(({ name }) => name),
    ...FILES.map((file) => file.split("/").at(-1)!),
  ];
  for (const rehearse of [false, true]) {
    const steps = listSteps({ ...settings, files, rehearse });
    const words = steps.flatMap(({ commands }) => commands(60)).flatMap(({ command }) => command);
    const used = new Set(words.filter((word) => /^\w+\.(?:js|sh)$/.test(word)));
    assert.deepEqual([...used].filter((name) => !files.includes(name)), []);
    // run.js runs the steps, and what it runs reads the rest.
    const rest = ["run.js", "torch_side.py", "cuda_folders.py"];
    assert.deepEqual(files.filter((name) => !used.has(name)).sort(), rest.sort());
  }
});

Deno.test("the kernels' tests that a GPU changes are packed", async () => {
  const modules = (await listBundles(ROOT)).map(({ module }) => module);
  const wanted = [
    "adamw_kernels",
    "attention_kernels",
    "cross_entropy_kernels",
    "dropout_kernel",
    "heads_kernels",
    "lora_kernels",
    "rms_norm_kernels",
    "swiglu_kernels",
  ];
  assert.deepEqual(
    wanted.filter((name) => !modules.includes(`ort/kernels/${name}_test.ts`)),
    [],
  );
  assert.ok(!modules.includes("ort/kernels/cubin_cache_test.ts"));
});

Deno.test("a pack's steps write 8 logs at the most, and have names of their own", () => {
  const steps = listSteps({ ...settings, files: ["adamw_kernels_test.js"], rehearse: false });
  assert.ok(new Set(steps.map(({ log }) => log)).size <= 8);
  assert.equal(new Set(steps.map(({ name }) => name)).size, steps.length);
  assert.ok(steps.some(({ name }) => name === "webgpu"));
});

Deno.test("a pack's timed steps run alone, and in a rehearsal races are tiny and on the CPU", () => {
  const steps = listSteps({ ...settings, files: [], rehearse: true });
  const timed = steps.filter(({ log }) => /^[567]_/.test(log));
  assert.ok(timed.length >= 6 && timed.every(({ alone }) => alone));
  const races = steps.flatMap(({ commands }) => commands(60)).map(({ command }) =>
    command.join(" ")
  )
    .filter((command) => command.includes("compare.js"));
  assert.ok(races.length >= 5);
  assert.ok(races.every((command) => command.includes("--cpu --tiny --shapes tiny")));
});
