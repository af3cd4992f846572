import assert from "node:assert/strict";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { type TensorData, tensorSourceFromMap } from "../../ort/tensor/tensor_source.ts";
import { numbersOf } from "../../tests/support/numbers.ts";
import { draws } from "../../tests/support/random.ts";
import { roundedBlocks, roundedRow } from "../../tests/support/rounded_blocks.ts";
import { parameter, type ParameterSpec } from "../parts/parameter_spec.ts";
import type { Precision } from "../precision.ts";
import type { Quantization } from "../quantization.ts";
import { loadQuantized } from "./load_quantized.ts";
import { QuantizedStore } from "./quantized_store.ts";
import { RoundingTally } from "./rounding_tally.ts";

const runtime = new Runtime({ threads: 2 });

const EMBEDDING = "model.embed_tokens.weight";
/** Widths that no block of 32 divides. */
const SPECS = [parameter(EMBEDDING, [5, 40]), parameter("w", [70, 40]), parameter("norm", [40])];

/** Random numbers of every parameter. */
function numbersFor(specs: readonly ParameterSpec[]): Map<string, Float32Array<ArrayBuffer>> {
  const draw = draws(6);
  return new Map(specs.map(({ name, shape }) => {
    const length = shape.reduce((product, size) => product * size);
    return [name, Float32Array.from({ length }, () => draw())];
  }));
}

function sourceOf(
  specs: readonly ParameterSpec[],
  numbers: ReadonlyMap<string, Float32Array<ArrayBuffer>>,
) {
  const tensors = specs.map(({ name, shape }): [string, TensorData] => [
    name,
    { dtype: "float32", shape, data: new Uint8Array(numbers.get(name)!.buffer) },
  ]);
  return tensorSourceFromMap(new Map(tensors));
}

/** A store of these parameters, with what is loaded into it. */
async function load(
  quantization: Quantization,
  { specs = SPECS, dtype = "float32", numbers = numbersFor(specs) }: {
    readonly specs?: readonly ParameterSpec[];
    readonly dtype?: Precision;
    readonly numbers?: ReadonlyMap<string, Float32Array<ArrayBuffer>>;
  } = {},
): Promise<{ store: QuantizedStore; rounding: ReturnType<RoundingTally["result"]> }> {
  const storage = { name: "int8", quantization } as const;
  const store = new QuantizedStore(runtime, specs, { dtype, storage });
  const tally = new RoundingTally();
  await loadQuantized(runtime, store, sourceOf(specs, numbers), { specs, tally });
  return { store, rounding: tally.result() };
}

/** The rows of a matrix. */
function rowsOf(values: Float32Array<ArrayBuffer>, columns: number): Float32Array[] {
  return Array.from(
    { length: values.length / columns },
    (_, row) => values.subarray(row * columns, (row + 1) * columns),
  );
}

Deno.test("numbers of 8 bits lie row by row as int8, with a scale a block", async () => {
  const numbers = numbersFor(SPECS);
  const { store } = await load({ bits: 8, block: 32, compute: "fp32" }, { numbers });
  using _store = store;
  for (const name of [EMBEDDING, "w"]) {
    const rows = rowsOf(numbers.get(name)!, 40)
      .map((row) => roundedBlocks(row, { bits: 8, block: 32 }));
    assert.deepEqual(
      [...new Int8Array(store.tensor(name).bytes().slice().buffer)],
      rows.flatMap((blocks) => blocks.flatMap(({ counts }) => counts)),
    );
    assert.deepEqual(
      [...store.tensor(`${name}.scales`).float32()],
      rows.flatMap((blocks) => blocks.map(({ step }) => step)),
    );
  }
  assert.deepEqual(store.tensor("norm").float32().slice(), numbers.get("norm"));
  assert.equal(store.products, undefined);
});

Deno.test("numbers of 4 bits lie two to a byte, of a row's first and second half", async () => {
  const numbers = numbersFor(SPECS);
  const { store, rounding } = await load({ bits: 4, block: 32, compute: "fp32" }, { numbers });
  using _store = store;
  const bytes = store.tensor("w").bytes();
  const rows = rowsOf(numbers.get("w")!, 40);
  const expected = rows.flatMap((row) => {
    const counts = roundedBlocks(row, { bits: 4, block: 32 }).flatMap(({ counts }) => counts);
    // A number 0 is 8.
    return counts.slice(0, 20).map((low, i) => low + 8 | (counts[20 + i] + 8) << 4);
  });
  assert.deepEqual([...bytes], expected);
  // What was rounded is counted, by the numbers that rows became.
  const [embedding, w] = [[EMBEDDING, 8], ["w", 4]].map(([name, bits]) => {
    const values = numbers.get(name as string)!;
    const after = rowsOf(values, 40)
      .flatMap((row) => roundedRow(row, { bits: bits as 4 | 8, block: 32 }));
    return { values, after };
  });
  const changed = [embedding, w].reduce(
    (sum, { values, after }) => sum + after.filter((each, i) => each !== values[i]).length,
    0,
  );
  const sum = (of: (i: number) => number): number =>
    w.after.reduce((total, _, i) => total + of(i) ** 2, 0);
  const error = Math.sqrt(sum((i) => w.values[i] - w.after[i]) / sum((i) => w.values[i]));
  const zeroed = [embedding, w].reduce(
    (all, { after }) => all + after.filter((x) => x === 0).length,
    0,
  );
  const { worst, ...counts } = rounding!;
  assert.deepEqual(counts, { from: ["float32"], weights: 75 * 40, changed, zeroed });
  assert.equal(worst.name, "w");
  assert.ok(Math.abs(worst.error / error - 1) < 1e-6);
});

Deno.test("in blocks numbers lie as a device's kernels read them, with scales of the model's type", async () => {
  const numbers = numbersFor(SPECS);
  for (const dtype of ["float32", "bfloat16"] as const) {
    const how: Quantization = { bits: 4, block: 32, compute: "fp32", layout: "blocks" };
    const { store } = await load(how, { numbers, dtype });
    using _store = store;
    for (const [name, bits] of [[EMBEDDING, 8], ["w", 4]] as const) {
      const blocks = rowsOf(numbers.get(name)!, 40)
        .flatMap((row) => roundedBlocks(row, { bits, block: 32, dtype }));
      // Blocks are whole: what is behind a row's end is 0.
      const whole = blocks.flatMap(({ counts }) =>
        Array.from({ length: 32 }, (_, i) => (counts[i] ?? 0) + 2 ** (bits - 1))
      );
      const bytes = bits === 8
        ? whole
        : Array.from({ length: whole.length / 2 }, (_, i) => whole[2 * i] | whole[2 * i + 1] << 4);
      assert.deepEqual([...store.tensor(name).bytes()], bytes, `${name} ${dtype}`);
      assert.deepEqual(
        [...numbersOf(store.tensor(`${name}.scales`))],
        blocks.map(({ step }) => step),
        `${name} ${dtype}`,
      );
    }
    assert.equal(store.tensor("norm").dtype, dtype);
    const norm = numbersOf(store.tensor("norm"));
    numbers.get("norm")!.forEach((each, i) => assert.ok(Math.abs(norm[i] - each) <= 2 ** -9));
  }
});

/** y = x·Wᵀ of inputs that are 1 in one place: a column of the matrix each. */
function columnsBy(
  store: QuantizedStore,
  direction: "forward" | "backward",
  shape: readonly number[],
) {
  const [outputs, inputs] = shape;
  const ones = Float32Array.from(
    { length: inputs * inputs },
    (_, i) => Number(Math.floor(i / inputs) === i % inputs),
  );
  using x = Tensor.from(runtime, "float32", [inputs, inputs], ones);
  using y = Tensor.allocate(runtime, "float32", [inputs, outputs]);
  store.products!.run("w", direction, { x, y });
  return y.float32().slice();
}

Deno.test("products of whole numbers have a copy for each direction, in blocks along its own rows", async () => {
  for (const bits of [4, 8] as const) {
    const numbers = numbersFor(SPECS);
    const { store } = await load({ bits, block: 32, compute: "int8" }, { numbers });
    using _store = store;
    assert.deepEqual(store.names(), [EMBEDDING, `${EMBEDDING}.scales`, "norm"]);
    const values = numbers.get("w")!;
    const rows = rowsOf(values, 40).map((row) => roundedRow(row, { bits, block: 32 }));
    const columns = Array.from(
      { length: 40 },
      (_, j) =>
        roundedRow(Float32Array.from({ length: 70 }, (_, i) => values[i * 40 + j]), {
          ...{ bits, block: 32 },
        }),
    );
    const forward = columnsBy(store, "forward", [70, 40]);
    const backward = columnsBy(store, "backward", [40, 70]);
    for (let i = 0; i < 70; i++) {
      for (let j = 0; j < 40; j++) {
        // The kernel rounds a 1 to 127 steps of 1/127.
        assert.ok(Math.abs(forward[j * 70 + i] - rows[i][j]) < 1e-6, `${i}, ${j}`);
        assert.ok(Math.abs(backward[i * 40 + j] - columns[j][i]) < 1e-6, `${j}, ${i}`);
      }
    }
  }
});

Deno.test("a matrix of several pieces is the same as one of each piece", async () => {
  // 2^20 numbers are 8,192 rows of 128: a piece and a part.
  const specs = [parameter("w", [8300, 128]), parameter("norm", [9])];
  const numbers = numbersFor(specs);
  const values = numbers.get("w")!;
  const { store } = await load({ bits: 8, block: 32, compute: "fp32" }, { specs, numbers });
  using _store = store;
  const [bytes, scales] = [store.tensor("w").bytes(), store.tensor("w.scales").float32()];
  for (const row of [0, 1, 8191, 8192, 8193, 8299]) {
    const blocks = roundedBlocks(values.subarray(row * 128, (row + 1) * 128), {
      bits: 8,
      block: 32,
    });
    const own = new Int8Array(bytes.slice(row * 128, (row + 1) * 128).buffer);
    assert.deepEqual([...own], blocks.flatMap(({ counts }) => counts), `row ${row}`);
    assert.deepEqual(
      [...scales.subarray(row * 4, row * 4 + 4)],
      blocks.map(({ step }) => step),
      `row ${row}`,
    );
  }
  // Of a vector too, in order.
  assert.deepEqual(store.tensor("norm").float32().slice(), numbers.get("norm"));
});

Deno.test("a transposed copy of several pieces has each column in a row of its own", async () => {
  const specs = [parameter("w", [8300, 128])];
  const numbers = numbersFor(specs);
  const { store } = await load({ bits: 4, block: 32, compute: "int8" }, { specs, numbers });
  using _store = store;
  const values = numbers.get("w")!;
  // The rows that are 1 in x, on both sides of the pieces' border.
  const places = [0, 31, 8191, 8192, 8299];
  const ones = new Float32Array(places.length * 8300);
  places.forEach((place, i) => ones[i * 8300 + place] = 1);
  using x = Tensor.from(runtime, "float32", [places.length, 8300], ones);
  using y = Tensor.allocate(runtime, "float32", [places.length, 128]);
  store.products!.run("w", "backward", { x, y });
  const actual = y.float32();
  for (const column of [0, 63, 64, 127]) {
    const whole = Float32Array.from({ length: 8300 }, (_, row) => values[row * 128 + column]);
    const expected = roundedRow(whole, { bits: 4, block: 32 });
    places.forEach((place, i) =>
      assert.ok(Math.abs(actual[i * 128 + column] - expected[place]) < 1e-6, `${place}, ${column}`)
    );
  }
});

Deno.test("what does not fit, is not finite or is stopped is refused as of floats", async () => {
  const quantization: Quantization = { bits: 8, block: 32, compute: "fp32" };
  const storage = { name: "int8", quantization } as const;
  using store = new QuantizedStore(runtime, SPECS, { dtype: "float32", storage });
  const source = sourceOf(SPECS, numbersFor(SPECS));
  await assert.rejects(loadQuantized(runtime, store, source, { specs: SPECS.slice(1) }), {
    message: "Cannot load weights from the checkpoint: they do not fit its config.json\n" +
      `  not part of the model: "${EMBEDDING}"\nTake both from the same model`,
  });
  const damaged = numbersFor(SPECS);
  damaged.get("w")![83] = NaN;
  await assert.rejects(
    loadQuantized(runtime, store, sourceOf(SPECS, damaged), { specs: SPECS, from: "m" }),
    {
      name: "RangeError",
      message:
        'Cannot load weights from m: "w" holds NaN or infinity (element 83, in row 2); the ' +
        "file is damaged, or was written by a run that diverged: download it again, or take an " +
        "earlier checkpoint",
    },
  );
  const reason = new Error("enough");
  const signal = AbortSignal.abort(reason);
  await assert.rejects(
    loadQuantized(runtime, store, source, { specs: SPECS, signal }),
    (error) => error === reason,
  );
});
