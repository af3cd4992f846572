import assert from "node:assert/strict";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { adamWSource } from "./adamw_kernels.ts";
import { attentionSource } from "./attention_kernels.ts";
import { columnSumsSource } from "./column_sums.ts";
import { crossEntropySource } from "./cross_entropy_kernels.ts";
import { cachedCompile } from "./cubin_cache.ts";
import { loraSource } from "./lora_kernels.ts";
import { type KernelSource, Nvrtc } from "./nvrtc.ts";
import { rmsNormSource } from "./rms_norm_kernels.ts";
import { dropoutSource } from "./dropout_kernel.ts";
import { headsSource } from "./heads_kernels.ts";
import { swigluSource } from "./swiglu_kernels.ts";

// From pip's nvidia-cuda-nvrtc, say: .../site-packages/nvidia/cu13/lib/libnvrtc.so.13
const LIBRARY = Deno.env.get("ORTUNE_NVRTC_LIB");
// All of it takes minutes: that is for who asks by naming the library.
const ARCHITECTURES = LIBRARY ? ["sm_80", "sm_90", "sm_100"] : ["sm_90"];
const ELF = [0x7f, 0x45, 0x4c, 0x46];

function opens(): boolean {
  try {
    new Nvrtc(LIBRARY)[Symbol.dispose]();
    return true;
  } catch (error) {
    // A path that was asked for must open.
    if (LIBRARY) throw error;
    return false;
  }
}

const ignore = !opens();

/** Every variant of every kernel. */
function sources(): KernelSource[] {
  const types = ["float32", "bfloat16"] as const;
  const adamW = (["float32", "bfloat16", "master"] as const).flatMap((parameters) =>
    (["float32", "bfloat16", "int8"] as const).flatMap((moments) =>
      types.flatMap((gradients) =>
        (["nearest", "stochastic"] as const).map((rounding) =>
          adamWSource({ parameters, gradients, moments, rounding })
        )
      )
    )
  );
  const norms = types.flatMap((elements) =>
    types.map((weights) => rmsNormSource({ elements, weights }))
  );
  return [
    ...adamW,
    ...norms,
    ...types.flatMap((type) => [
      crossEntropySource(type),
      dropoutSource(type),
      columnSumsSource(type),
      swigluSource(type),
    ]),
    // Of the ranks that there are kernels for, those that people use.
    ...[8, 16, 32, 64].map(loraSource),
    ...([64, 128] as const).flatMap((headDim) => [
      attentionSource(headDim),
      ...types.map((type) => headsSource(headDim, type)),
    ]),
  ];
}

Deno.test("every variant of a kernel has a name and a source of its own", () => {
  const all = sources();
  assert.equal(all.length, 58);
  assert.equal(new Set(all.map(({ name }) => name)).size, all.length);
  assert.equal(new Set(all.map(({ code }) => code)).size, all.length);
});

Deno.test({
  name: LIBRARY
    ? "NVRTC compiles every kernel for Ampere, Hopper and Blackwell"
    : "NVRTC compiles a tenth of the kernels for Hopper (all with ORTUNE_NVRTC_LIB)",
  ignore,
  async fn() {
    using nvrtc = new Nvrtc(LIBRARY);
    for (const source of sources().filter((_, i) => LIBRARY || i % 10 === 5)) {
      const images = await Promise.all(
        ARCHITECTURES.map((architecture) => nvrtc.compile(source, architecture)),
      );
      for (const image of images) assert.deepEqual([...image.subarray(0, 4)], ELF);
      if (Deno.env.get("ORTUNE_REPORT")) {
        const sizes = images.map((image, i) => `${ARCHITECTURES[i]} ${image.length} bytes`);
        console.log(`${source.name}: ${sizes.join(", ")}`);
      }
    }
  },
});

Deno.test({
  name: "NVRTC's errors carry its log, with line and name",
  ignore,
  async fn() {
    using nvrtc = new Nvrtc(LIBRARY);
    assert.match(nvrtc.version, /^\d+\.\d+$/);
    await assert.rejects(
      nvrtc.compile({ name: "wrong", code: "__global__ void f() { g(); }" }, "sm_90"),
      /Cannot compile wrong for sm_90 with NVRTC [\d.]+: .*COMPILATION.*\nwrong\.cu\(1\): error.*"g"/,
    );
    await assert.rejects(nvrtc.compile(columnSumsSource("float32"), "sm_1"), /for sm_1 with NVRTC/);
  },
});

Deno.test({
  name: "NVRTC's cubins are kept in a folder",
  ignore,
  async fn() {
    await using folder = await tempFolder();
    using nvrtc = new Nvrtc(LIBRARY);
    let compiled = 0;
    const compile = cachedCompile(
      (source, architecture) => {
        compiled++;
        return nvrtc.compile(source, architecture);
      },
      nvrtc.version,
      folder.path,
    );
    const first = await compile(columnSumsSource("bfloat16"), "sm_90");
    assert.deepEqual(await compile(columnSumsSource("bfloat16"), "sm_90"), first);
    assert.equal(compiled, 1);
  },
});

Deno.test("without NVRTC there is one error that names what was tried", () => {
  assert.throws(
    () => new Nvrtc("/nowhere/libnvrtc.so.13"),
    /Cannot open NVRTC: .*\/nowhere\/libnvrtc\.so\.13/,
  );
});
