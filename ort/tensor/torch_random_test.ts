import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { assertClose } from "./assert_close.ts";
import { TorchGenerator, torchRandperm } from "./torch_random.ts";

// All values from torch 2.13.0+cpu on x86 with AVX-512, where
// >>> g = lambda seed: torch.Generator().manual_seed(seed)
// >>> sha = lambda t: hashlib.sha256(t.numpy().tobytes()).hexdigest()

const sha = (array: Float32Array | Int32Array): string =>
  createHash("sha256").update(new Uint8Array(array.buffer)).digest("hex");

/** Absolute, at std 1: over 2^20 values 4.8e-7 was measured (torch_random.ts says why). */
const normalTolerance = 5e-7;

Deno.test("torchRandperm() is torch.randperm", () => {
  // >>> torch.randperm(37, generator=g(42)).tolist()
  assert.deepEqual(
    [...torchRandperm(37, 42)],
    // deno-fmt-ignore
    [12, 24, 13, 15, 28, 0, 10, 21, 20, 30, 23, 2, 22, 31, 18, 3, 36, 32, 35, 6, 4, 25, 14, 26, 7, 19, 27, 16, 29, 17, 8, 11, 9, 34, 1, 5, 33],
  );
  assert.deepEqual([...torchRandperm(0, 1)], []);
  assert.deepEqual([...torchRandperm(1, 1)], [0]);
  assert.deepEqual([...torchRandperm(2, 1)], [1, 0]);
  assert.deepEqual([...torchRandperm(10, 0)], [4, 1, 7, 5, 3, 9, 0, 8, 6, 2]);
});

Deno.test("torchRandperm() of a whole epoch is torch.randperm", () => {
  // >>> sha(torch.randperm(2166, generator=g(43)).to(torch.int32))
  assert.equal(
    sha(torchRandperm(2166, 43)),
    "b60b446286727407d205d8bac208f64f55089ea88ddc17cd03b3755c76f30439",
  );
});

Deno.test("seeds count by their low 32 bits, also negative ones", () => {
  // >>> torch.randperm(10, generator=g(2**32 + 5)); torch.randperm(5, generator=g(-1))
  const five = [1, 4, 9, 6, 3, 5, 0, 2, 8, 7];
  for (const seed of [5, 2 ** 32 + 5, 2n ** 40n + 5n]) {
    assert.deepEqual([...torchRandperm(10, seed)], five);
  }
  assert.deepEqual([...torchRandperm(5, -1)], [1, 3, 4, 2, 0]);
});

Deno.test("uniformFloat32() is torch.rand", () => {
  // >>> torch.rand(5, generator=g(42)).tolist()
  const generator = new TorchGenerator(42);
  assert.deepEqual(Array.from({ length: 5 }, () => generator.uniformFloat32()), [
    0.8822692632675171,
    0.9150039553642273,
    0.38286375999450684,
    0.9593056440353394,
    0.3904482126235962,
  ]);
});

Deno.test("uniform() is Tensor.uniform_ bit for bit", () => {
  // >>> torch.empty(4).uniform_(-0.25, 0.25, generator=g(3)).tolist()
  const out = new Float32Array(4);
  new TorchGenerator(3).uniform(out, -0.25, 0.25);
  assert.deepEqual([...out], [
    -0.24786823987960815,
    -0.19721531867980957,
    -0.10707876086235046,
    -0.2365225851535797,
  ]);
  // >>> sha(torch.empty(1000).uniform_(-0.03, 0.05, generator=g(1)))
  const thousand = new Float32Array(1000);
  new TorchGenerator(1).uniform(thousand, -0.03, 0.05);
  assert.equal(sha(thousand), "f78036f78651db0c91b0c6290e022e48de49298d46ba5c947139d6030a25d81e");
});

Deno.test("normal() of fewer than 16 elements is Tensor.normal_ bit for bit", () => {
  // >>> torch.empty(15).normal_(0, 1, generator=g(42)).tolist()
  const out = new Float32Array(15);
  new TorchGenerator(42).normal(out, 0, 1);
  assert.deepEqual([...out], [
    0.33669036626815796,
    0.12880940735340118,
    0.23446236550807953,
    0.23033303022384644,
    -1.1228563785552979,
    -0.18632829189300537,
    2.2082014083862305,
    -0.637997031211853,
    0.46165722608566284,
    0.2673508822917938,
    0.5349046587944031,
    0.809357225894928,
    1.110290288925171,
    -1.6897989511489868,
    -0.9889599084854126,
  ]);
});

Deno.test("normal() keeps half a pair across calls as torch does", () => {
  // >>> G = g(42); torch.empty(3).normal_(0, 1, generator=G)
  // >>> torch.empty(2).normal_(0.5, 0.02, generator=G).tolist(), torch.rand(2, generator=G).tolist()
  const generator = new TorchGenerator(42);
  generator.normal(new Float32Array(3), 0, 1);
  const out = new Float32Array(2);
  const resumed = TorchGenerator.fromState(JSON.parse(JSON.stringify(generator.state())));
  generator.normal(out, 0.5, 0.02);
  assert.deepEqual([...out], [0.5046066641807556, 0.4775428771972656]);
  const uniforms = [generator.uniformFloat32(), generator.uniformFloat32()];
  assert.deepEqual(uniforms, [0.8694044351577759, 0.5677152872085571]);
  const again = new Float32Array(2);
  resumed.normal(again, 0.5, 0.02);
  assert.deepEqual(again, out);
});

Deno.test("normal() of 16 elements and more follows Tensor.normal_", () => {
  // >>> torch.empty(n).normal_(0, 1, generator=g(42)).tolist() for n in (16, 17, 20)
  // deno-fmt-ignore
  const expected = [
    [1.9269152879714966, 1.4872840642929077, 0.9007171988487244, -2.1055209636688232, 0.6784184575080872, -1.2345448732376099, -0.04306747764348984, -1.6046669483184814, -0.7521352767944336, 1.6487230062484741, -0.3924786448478699, -1.4036071300506592, -0.7278813123703003, -0.5594301819801331, -0.7688388824462891, 0.7624453902244568],
    [1.9269152879714966, -0.1595974713563919, -0.4973975419998169, 0.439589262008667, -0.7581311464309692, 1.078317642211914, 0.8008005619049072, 1.680620551109314, 0.3558599054813385, 1.2964228391647339, 0.610466480255127, 1.334737777709961, -0.2316243201494217, 0.041759490966796875, -0.2515752911567688, 0.859858512878418, -0.3097267746925354],
    [1.9269152879714966, 1.4872840642929077, 0.9007171988487244, -2.1055209636688232, -0.7581311464309692, 1.078317642211914, 0.8008005619049072, 1.680620551109314, 0.3558599054813385, -0.6866229772567749, -0.4933563470840454, 0.2414877861738205, -0.2316243201494217, 0.041759490966796875, -0.2515752911567688, 0.859858512878418, -0.3097267746925354, -0.3957104980945587, 0.8034093379974365, -0.6215953826904297],
  ];
  for (const values of expected) {
    const out = new Float32Array(values.length);
    new TorchGenerator(42).normal(out, 0, 1);
    assertClose(out, values, { absolute: normalTolerance, label: `normal(${values.length})` });
  }
});

Deno.test("normal() scales and shifts blocks as Tensor.normal_ does", () => {
  // >>> torch.empty(32).normal_(0.5, 0.02, generator=g(9)).tolist()[-4:]
  const out = new Float32Array(32);
  new TorchGenerator(9).normal(out, 0.5, 0.02);
  assertClose(
    out.subarray(28),
    [0.4945107102394104, 0.4788617789745331, 0.46858927607536316, 0.4716932475566864],
    { absolute: 6e-8, label: "normal(0.5, 0.02)" },
  );
});

Deno.test("normal() of blocks leaves a waiting half pair for later", () => {
  // >>> G = g(42); torch.empty(3).normal_(0, 1, generator=G)
  // >>> torch.empty(16).normal_(0, 1, generator=G).tolist()[:3]
  // >>> torch.empty(2).normal_(0, 1, generator=G).tolist()
  const generator = new TorchGenerator(42);
  generator.normal(new Float32Array(3), 0, 1);
  const block = new Float32Array(16);
  generator.normal(block, 0, 1);
  assertClose(
    block.subarray(0, 3),
    [1.7877893447875977, -0.478045254945755, -0.2428586333990097],
    { absolute: normalTolerance, label: "block" },
  );
  const pair = new Float32Array(2);
  generator.normal(pair, 0, 1);
  assert.deepEqual([...pair], [0.23033303022384644, 1.110290288925171]);
});

Deno.test("bad counts, seeds and spreads are refused", () => {
  for (const n of [-1, 1.5, 214748364]) {
    assert.throws(() => torchRandperm(n, 1), /^RangeError: Cannot permute .* Permute in parts$/);
  }
  assert.throws(() => new TorchGenerator(0.5), /^RangeError: Cannot seed torch's generator/);
  const generator = new TorchGenerator(1);
  assert.throws(() => generator.normal(new Float32Array(1), 0, -1), /std -1 is not zero or more/);
  assert.throws(() => generator.normal(new Float32Array(1), 0, NaN), RangeError);
});
