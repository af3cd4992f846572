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

/** NVRTC of the test's: what is asked of it, and its answers. */
function fakeNvrtc(
  { codes = {}, log = "", missing = [] }: {
    readonly codes?: Readonly<Record<string, number>>;
    readonly log?: string;
    /** Names that no library has. */
    readonly missing?: readonly string[];
  } = {},
): Disposable & { take(): string[] } {
  const calls: string[] = [];
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes.subarray(0, -1));
  const at = (pointer: Deno.PointerValue) => Deno.UnsafePointer.value(pointer).toString(16);
  const answer = (name: string, line: string): number => {
    calls.push(line);
    return codes[name] ?? 0;
  };
  const says = new TextEncoder().encode("its words\0");
  const symbols = {
    nvrtcVersion: (major: BigUint64Array, minor: BigUint64Array): number => {
      // C ints: what lies behind them is not the version's.
      new Int32Array(major.buffer).set([13, 5]);
      new Int32Array(minor.buffer).set([2, 6]);
      return answer("nvrtcVersion", "version");
    },
    nvrtcGetErrorString: (code: number): Deno.PointerValue =>
      code === 99 ? null : Deno.UnsafePointer.of(says),
    nvrtcCreateProgram(
      program: BigUint64Array,
      ...[code, name, headers, ...none]: [Uint8Array, Uint8Array, number, null, null]
    ): number {
      program[0] = 0x77n;
      return answer("nvrtcCreateProgram", `create ${text(code)} ${text(name)} ${headers} ${none}`);
    },
    nvrtcDestroyProgram: ([program]: BigUint64Array) =>
      answer("nvrtcDestroyProgram", `destroy ${program.toString(16)}`),
    nvrtcCompileProgram: (program: Deno.PointerValue, count: number, options: BigUint64Array) => {
      const words = Array.from(
        options,
        (option) => Deno.UnsafePointerView.getCString(Deno.UnsafePointer.create(option)!),
      );
      return Promise.resolve(
        answer("nvrtcCompileProgram", `compile ${at(program)} ${count} ${words.join(" ")}`),
      );
    },
    nvrtcGetProgramLogSize(program: Deno.PointerValue, size: BigUint64Array): number {
      size[0] = BigInt(log.length + 1);
      return answer("nvrtcGetProgramLogSize", `log of ${at(program)}`);
    },
    nvrtcGetProgramLog(program: Deno.PointerValue, into: Uint8Array): number {
      into.set(new TextEncoder().encode(log));
      return answer("nvrtcGetProgramLog", `read log of ${at(program)}`);
    },
    nvrtcGetCUBINSize(program: Deno.PointerValue, size: BigUint64Array): number {
      size[0] = 3n;
      return answer("nvrtcGetCUBINSize", `size of ${at(program)}`);
    },
    nvrtcGetCUBIN(program: Deno.PointerValue, into: Uint8Array): number {
      assert.equal(into.length, 3);
      into.set([1, 2, 3]);
      return answer("nvrtcGetCUBIN", `read ${at(program)}`);
    },
  };
  const { dlopen } = Deno;
  Object.assign(Deno, {
    dlopen(name: string) {
      if (missing.includes(name)) throw new Error(`no ${name}`);
      const libc = name === "libc.so.6" || name === "libdl.so.2";
      if (!libc) calls.push(`open ${name}`);
      return {
        symbols: libc
          ? {
            dlopen: (path: Uint8Array, flags: number) =>
              void calls.push(`${name}: keep ${text(path)} ${flags}`),
          }
          : symbols,
        close: () => void (libc || calls.push(`close ${name}`)),
      };
    },
  });
  return {
    take: () => calls.splice(0),
    [Symbol.dispose]: () => void Object.assign(Deno, { dlopen }),
  };
}

// RTLD_LAZY is 1, RTLD_NODELETE 0x1000.
const KEEP = 0x1001;

Deno.test("compile() hands over source, name, architecture and standard, and gives the program back", async () => {
  using fake = fakeNvrtc();
  const nvrtc = new Nvrtc();
  assert.deepEqual(fake.take(), [
    "open libnvrtc.so.13",
    `libc.so.6: keep libnvrtc.so.13 ${KEEP}`,
    "version",
  ]);
  assert.equal(nvrtc.version, "13.2");
  const source = { name: "sums", code: "void f();" };
  assert.deepEqual(await nvrtc.compile(source, "sm_90"), Uint8Array.of(1, 2, 3));
  assert.deepEqual(fake.take(), [
    "create void f(); sums.cu 0 ,",
    "compile 77 2 --gpu-architecture=sm_90 --std=c++17",
    "size of 77",
    "read 77",
    "destroy 77",
  ]);
  nvrtc[Symbol.dispose]();
  assert.deepEqual(fake.take(), ["close libnvrtc.so.13"]);
});

Deno.test("NVRTC of a folder is opened with its own builtins, where they are", () => {
  const builtins = "/cuda/lib/libnvrtc-builtins.so.13.2";
  {
    using fake = fakeNvrtc();
    using _nvrtc = new Nvrtc("/cuda/lib/libnvrtc.so.13");
    assert.deepEqual(fake.take().slice(2), [
      "version",
      `open ${builtins}`,
      `libc.so.6: keep ${builtins} ${KEEP}`,
    ]);
  }
  using fake = fakeNvrtc({ missing: [builtins, "libc.so.6"] });
  const nvrtc = new Nvrtc("/cuda/lib/libnvrtc.so.13");
  nvrtc[Symbol.dispose]();
  assert.deepEqual(fake.take(), [
    "open /cuda/lib/libnvrtc.so.13",
    `libdl.so.2: keep /cuda/lib/libnvrtc.so.13 ${KEEP}`,
    "version",
    "close /cuda/lib/libnvrtc.so.13",
  ]);
  using root = fakeNvrtc();
  using _other = new Nvrtc("/libnvrtc.so");
  assert.ok(root.take().includes("open /libnvrtc-builtins.so.13.2"));
});

Deno.test("NVRTC is found by its names in turn, the newest first", () => {
  const names = ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"];
  names.forEach((name, i) => {
    using fake = fakeNvrtc({ missing: names.slice(0, i) });
    new Nvrtc()[Symbol.dispose]();
    assert.equal(fake.take()[0], `open ${name}`);
  });
  using _fake = fakeNvrtc({ missing: names });
  assert.throws(
    () => new Nvrtc(),
    new Error("Cannot open NVRTC: no libnvrtc.so.13; no libnvrtc.so.12; no libnvrtc.so"),
  );
});

Deno.test("what NVRTC refuses is told in its words, with the log of what it compiled", async () => {
  const source = { name: "sums", code: "void f();" };
  for (
    const [name, code, message] of [
      ["nvrtcCreateProgram", 1, "NVRTC cannot take the source of sums: its words"],
      ["nvrtcCreateProgram", 99, "NVRTC cannot take the source of sums: error 99"],
      ["nvrtcGetCUBINSize", 2, "NVRTC cannot measure sums: its words"],
      ["nvrtcGetCUBIN", 3, "NVRTC cannot give sums: its words"],
      [
        "nvrtcCompileProgram",
        6,
        "Cannot compile sums for sm_90 with NVRTC 13.2: its words\nsums.cu(1): error",
      ],
    ] as const
  ) {
    using fake = fakeNvrtc({ codes: { [name]: code }, log: " sums.cu(1): error\n" });
    using nvrtc = new Nvrtc();
    await assert.rejects(nvrtc.compile(source, "sm_90"), new Error(message));
    const made = name !== "nvrtcCreateProgram";
    assert.equal(fake.take().includes("destroy 77"), made);
  }
  using _silent = fakeNvrtc({
    codes: { nvrtcCompileProgram: 6, nvrtcGetProgramLogSize: 1 },
    log: "x",
  });
  using nvrtc = new Nvrtc();
  await assert.rejects(
    nvrtc.compile(source, "sm_90"),
    new Error("Cannot compile sums for sm_90 with NVRTC 13.2: its words\n"),
  );
  using _none = fakeNvrtc({ codes: { nvrtcVersion: 4 } });
  assert.throws(() => new Nvrtc(), new Error("NVRTC cannot ask for its version: its words"));
});
