/**
 * Loading Qwen3-0.6B's weights, 1.2 GB of bfloat16 safetensors, into float32: gigabytes a second
 * against plainly reading the same file and plainly touching as much fresh memory, and peak memory
 * against the float32 weights. Prints JSON.
 */

import { loadWeights } from "../model/engine/load_weights.ts";
import { layoutParameters, ParameterStore } from "../model/engine/parameter_store.ts";
import { modelParameters } from "../model/parameters.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { elementCount } from "../ort/tensor/dtype.ts";
import { openSafetensors } from "../ort/tensor/safetensors_file.ts";
import { writeSafetensors } from "../ort/tensor/safetensors_writer.ts";
import type { TensorSource } from "../ort/tensor/tensor_source.ts";
import { peakMemory, QWEN3_06B } from "./measure.ts";

const READ_CHUNK = 1 << 23;
const BF16_BYTES = 2;

const specs = modelParameters(QWEN3_06B);
const folder = await Deno.makeTempDir();
const path = `${folder}/model.safetensors`;
const shapes = new Map(specs.map(({ name, shape }) => [name, shape]));
// Small weights whose bytes repeat: only their number matters here.
const noise = Uint16Array.from({ length: 1 << 20 }, (_, i) => 0x3c00 + i % 251);
const source: TensorSource = {
  names: () => [...shapes.keys()],
  info: (name) => ({ dtype: "bfloat16", shape: shapes.get(name)! }),
  read: (_name, into) => {
    const bytes = new Uint8Array(noise.buffer);
    for (let i = 0; i < into.length; i += bytes.length) {
      into.set(bytes.subarray(0, Math.min(bytes.length, into.length - i)), i);
    }
    return Promise.resolve();
  },
};
try {
  const { bytes } = await writeSafetensors(path, source);
  const reads: number[] = [];
  for (let round = 0; round < 3; round++) {
    using file = await Deno.open(path);
    const buffer = new Uint8Array(READ_CHUNK);
    const began = performance.now();
    while (await file.read(buffer) !== null);
    reads.push(performance.now() - began);
  }
  const before = peakMemory();
  const runtime = new Runtime({ threads: Number(Deno.args[0] ?? 2) });
  using store = new ParameterStore(runtime, layoutParameters(specs));
  const began = performance.now();
  {
    await using file = await openSafetensors(path);
    await loadWeights(runtime, store, file);
  }
  const seconds = (performance.now() - began) / 1000;
  const peak = peakMemory();
  // What the system needs to hand out fresh memory: no load into it can be faster.
  using fresh = new ParameterStore(runtime, layoutParameters(specs));
  const touching = performance.now();
  fresh.flat.float32().fill(0);
  const touched = (performance.now() - touching) / 1000;
  const elements = specs.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  console.log(JSON.stringify({
    load_s: seconds,
    load_gb_per_s: elements * BF16_BYTES / seconds / 1e9,
    read_gb_per_s: bytes / Math.min(...reads) / 1e6,
    first_touch_s: touched,
    peak_rss_mib: peak,
    rss_before_mib: before,
    float32_weights_mib: 4 * elements / 2 ** 20,
  }));
} finally {
  await Deno.remove(folder, { recursive: true });
}
