import assert from "node:assert/strict";
import { BASE_STORAGES } from "../model/base_storage.ts";
import { cpu, parseDevice } from "../ort/runtime/device.ts";
import { type BaseOptions, resolveBaseStorage } from "./resolve_base_storage.ts";

const cuda = parseDevice("cuda:1");
const webgpu = parseDevice("webgpu");

Deno.test("resolveBaseStorage() of floats is the row of the table, fp32 where nothing is asked for", () => {
  for (const device of [cpu, webgpu, cuda]) {
    assert.equal(resolveBaseStorage(device, {}), BASE_STORAGES.fp32);
  }
  for (const device of [cpu, webgpu]) {
    assert.equal(resolveBaseStorage(device, { baseDtype: "fp32" }), BASE_STORAGES.fp32);
    assert.equal(resolveBaseStorage(device, { baseDtype: "fp16" }), BASE_STORAGES.fp16);
  }
});

Deno.test("resolveBaseStorage() of whole numbers computes in int8 on the CPU alone, unless fp32 is asked for", () => {
  const blocks = { compute: "fp32", layout: "blocks" } as const;
  for (const [baseDtype, bits] of [["int8", 8], ["int4", 4]] as const) {
    const of = (...[device, options, more]: Parameters<typeof resolveBaseStorage>) =>
      resolveBaseStorage(device, { baseDtype, ...options }, more);
    const row = (quantization: object) => ({
      name: baseDtype,
      quantization: { bits, ...quantization },
    });
    assert.deepEqual(of(cpu, {}), row({ block: 128, compute: "int8" }));
    assert.deepEqual(of(cpu, { baseCompute: "int8" }), row({ block: 128, compute: "int8" }));
    assert.deepEqual(of(cpu, { baseCompute: "fp32" }), row({ block: 128, compute: "fp32" }));
    for (const block of [32, 64, 128]) {
      const given = { baseBlockSize: block };
      assert.deepEqual(of(cpu, given), row({ block, compute: "int8" }));
      assert.deepEqual(of(cuda, given), row({ block, ...blocks }));
    }
    for (const device of [cuda, webgpu]) {
      assert.deepEqual(of(device, {}), row({ block: 128, ...blocks }));
      assert.deepEqual(of(device, { baseCompute: "fp32" }), row({ block: 128, ...blocks }));
      assert.deepEqual(of(device, {}, { dora: true }), row({ block: 128, ...blocks }));
    }
    const exact = of(cpu, { baseCompute: "fp32" }, { dora: true });
    assert.deepEqual(exact, row({ block: 128, compute: "fp32" }));
  }
  assert.deepEqual(BASE_STORAGES.int4.quantization, { bits: 4, block: 128, compute: "int8" });
  assert.equal(resolveBaseStorage(cpu, { baseDtype: "fp16" }, { dora: true }), BASE_STORAGES.fp16);
});

const REFUSED: readonly [string, ...Parameters<typeof resolveBaseStorage>][] = [
  [
    'Cannot find base dtype "int2": there are fp32, fp16, int8, int4',
    cpu,
    { baseDtype: "int2" } as unknown as BaseOptions,
  ],
  ...(["fp32", "fp16"] as const).map((baseDtype): typeof REFUSED[number] => [
    `Cannot keep the base in ${baseDtype} on cuda:1: there it is kept in what --precision computes in, by ` +
    "default bf16, which takes as much memory as fp16; leave out --base-dtype",
    cuda,
    { baseDtype },
  ]),
  [
    "Cannot use --base-block-size with a base in fp32: it is for --base-dtype int8 and int4",
    cuda,
    { baseBlockSize: 64, baseCompute: "fp32" },
  ],
  [
    "Cannot use --base-compute with a base in fp16: it is for --base-dtype int8 and int4",
    cpu,
    { baseDtype: "fp16", baseCompute: "fp32" },
  ],
  [
    "Cannot share a scale among 96 numbers: --base-block-size is one of 32, 64, 128",
    cpu,
    { baseDtype: "int4", baseBlockSize: 96 },
  ],
  [
    "Cannot compute in fp16: --base-compute is one of int8, fp32",
    cpu,
    { baseDtype: "int8", baseCompute: "fp16" } as unknown as BaseOptions,
  ],
  ...[cuda, webgpu].map((device): typeof REFUSED[number] => [
    `Cannot compute in int8 on ${
      device === cuda ? "cuda:1" : "webgpu"
    }: whether products round their ` +
    "inputs to 8 bits would be up to its kernels; leave out --base-compute, and none does",
    device,
    { baseDtype: "int8", baseCompute: "int8" },
  ]),
  [
    "Cannot train with DoRA on a base that computes in int8: it needs the norms of the rows of the base's " +
    "matrices, which are there in float32 alone; take --base-compute fp32",
    cpu,
    { baseDtype: "int8" },
    { dora: true },
  ],
];

for (const [message, ...given] of REFUSED) {
  Deno.test(`resolveBaseStorage() says: ${message.slice(0, 60)}`, () => {
    assert.throws(() => resolveBaseStorage(...given), { name: "RangeError", message });
  });
}
