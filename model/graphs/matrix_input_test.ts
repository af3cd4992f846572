import assert from "node:assert/strict";
import { GraphBuilder } from "../../ort/graph/builder.ts";
import { gradient } from "../../ort/graph/gradient.ts";
import type { Graph, Value } from "../../ort/graph/ir.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { assertClose } from "../../ort/tensor/assert_close.ts";
import { draws } from "../../tests/support/random.ts";
import { dense, type DenseMap } from "../../tests/support/reference_interpreter.ts";
import { roundedBlocks, roundedRow } from "../../tests/support/rounded_blocks.ts";
import { runGraph } from "../../tests/support/run_graph.ts";
import { BASE_STORAGES, type BaseStorage } from "../base_storage.ts";
import type { Quantization } from "../quantization.ts";
import {
  largeMatrixInput,
  matrixInput,
  matrixLinear,
  matrixRows,
  SLICE_ELEMENTS,
} from "./matrix_input.ts";

const runtime = new Runtime({ threads: 2 });

// Products of 40 numbers in float32.
const CLOSE = { relativeToMax: 2e-6 };
/** Columns that are no whole blocks of 32. */
const [ROWS, COLUMNS, N] = [6, 40, 3];
const draw = draws(12);
const random = (count: number): Float32Array => Float32Array.from({ length: count }, () => draw());
const W = Array.from({ length: ROWS }, () => random(COLUMNS));
const X = Array.from({ length: N }, () => random(COLUMNS));
const DY = Array.from({ length: N }, () => random(ROWS));
const ADDEND = Array.from({ length: N }, () => random(ROWS));

const tensor = (rows: readonly Float32Array[]) =>
  dense(
    [rows.length, rows[0].length],
    (i) => rows[Math.floor(i / rows[0].length)][i % rows[0].length],
  );

/** A way to store a matrix, what a graph takes of it, and the numbers that it stands for. */
interface Stored {
  readonly label: string;
  readonly storage: BaseStorage;
  readonly given: DenseMap;
  readonly numbers: readonly (readonly number[])[];
}

function quantized(
  bits: 4 | 8,
  layout: "rows" | "blocks",
  { table = false }: { readonly table?: boolean } = {},
): Stored {
  const quantization: Quantization = { bits, block: 32, compute: "fp32", layout };
  const own = table ? 8 : bits;
  const how = { bits: own, block: 32 } as const;
  const blocks = W.map((row) => roundedBlocks(row, how));
  const scales = dense([ROWS, 2], (i) => blocks[Math.floor(i / 2)][i % 2].step);
  const counts = blocks.map((row) => row.flatMap((block) => block.counts));
  const zero = 2 ** (own - 1);
  const whole = blocks.map((row) =>
    row.flatMap((block) => Array.from({ length: 32 }, (_, i) => (block.counts[i] ?? 0) + zero))
  );
  const halves = (numbers: readonly number[], pair: (i: number) => readonly [number, number]) =>
    Array.from({ length: numbers.length / 2 }, (_, i) => {
      const [low, high] = pair(i);
      return numbers[low] | numbers[high] << 4;
    });
  const bytes = layout === "blocks"
    ? whole.flatMap((row) => own === 8 ? row : halves(row, (i) => [2 * i, 2 * i + 1]))
    : counts.flatMap((row) =>
      own === 8 ? row : halves(row.map((each) => each + 8), (i) => [i, i + COLUMNS / 2])
    );
  const shape = layout === "blocks" ? [ROWS, 2, 32 * own / 8] : [ROWS, COLUMNS * own / 8];
  return {
    label: `${bits} bits in ${layout}${table ? ", a table" : ""}`,
    storage: { name: "int8", quantization },
    given: { w: dense(shape, (i) => bytes[i]), "w.scales": scales },
    numbers: W.map((row) => roundedRow(row, how)),
  };
}

const FLOATS: readonly Stored[] = (["fp32", "fp16"] as const).map((name) => ({
  label: name,
  storage: BASE_STORAGES[name],
  given: { w: tensor(W) },
  numbers: W.map((row) => [...(name === "fp16" ? new Float16Array(row) : row)]),
}));
const LAYOUTS = ["rows", "blocks"] as const;
const ALL: readonly Stored[] = [
  ...FLOATS,
  ...LAYOUTS.flatMap((layout) => ([4, 8] as const).map((bits) => quantized(bits, layout))),
];
/** Of a table rows are read: its numbers have 8 bits. */
const TABLES: readonly Stored[] = [
  ...FLOATS,
  ...LAYOUTS.map((layout) => quantized(4, layout, { table: true })),
];

const SPEC = { name: "w", shape: [ROWS, COLUMNS] } as const;
const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a, (each, i) => each * b[i]).reduce((sum, each) => sum + each);
const forward = (numbers: readonly (readonly number[])[]): number[] =>
  X.flatMap((x) => numbers.map((row) => dot(x, row)));
const backward = (numbers: readonly (readonly number[])[]): number[] =>
  DY.flatMap((dy) =>
    Array.from({ length: COLUMNS }, (_, j) => dot(dy, numbers.map((row) => row[j])))
  );

Deno.test("products with a matrix are those of the numbers that it stands for, and go back through them", () => {
  for (const { label, storage, given, numbers } of ALL) {
    const b = new GraphBuilder("product");
    const x = b.input("x", "float32", ["n", COLUMNS]);
    const matrix = matrixInput(b, SPEC, { storage });
    const y = matrixLinear(b, x, matrix);
    b.output("sum", matrixLinear(b, x, matrix, b.input("addend", "float32", ["n", ROWS])));
    const dy = b.input("dy", "float32", ["n", ROWS]);
    b.output(
      "dx",
      gradient(b, { seeds: new Map([[y, dy]]), wrt: new Map([[x, undefined]]) }).get(x)!,
    );
    b.output("y", y);
    const inputs = { ...given, x: tensor(X), dy: tensor(DY), addend: tensor(ADDEND) };
    const outputs = runGraph(runtime, b.build(), inputs, { n: N });
    const products = forward(numbers);
    assertClose([...outputs.y.data], products, { ...CLOSE, label });
    const addends = ADDEND.flatMap((row) => [...row]);
    assertClose([...outputs.sum.data], products.map((each, i) => each + addends[i]), {
      ...CLOSE,
      label,
    });
    assertClose([...outputs.dx.data], backward(numbers), { ...CLOSE, label });
  }
});

Deno.test("rows of a table are widened alone, by ids of any shape", () => {
  const ids = [5, 0, 2, 2];
  for (const { label, storage, given, numbers } of TABLES) {
    for (const shape of [[4], [2, 2]]) {
      const b = new GraphBuilder("rows");
      b.output("rows", matrixRows(b, SPEC, { ids: b.input("ids", "int64", shape), storage }));
      const { rows } = runGraph(runtime, b.build(), { ...given, ids: dense(shape, (i) => ids[i]) });
      assert.deepEqual(rows.shape, [...shape, COLUMNS], label);
      assertClose([...rows.data], ids.flatMap((id) => numbers[id]), { ...CLOSE, label });
    }
  }
});

Deno.test("a head that fits is multiplied whole, forwards and backwards", () => {
  for (const table of [false, true]) {
    for (const { label, storage, given, numbers } of table ? TABLES : ALL) {
      const b = new GraphBuilder("head");
      const { input, linear, backward: back } = largeMatrixInput(b, SPEC, { storage, table });
      assert.equal(input.name, "w");
      b.output("y", linear(b.input("x", "float32", ["n", COLUMNS])));
      b.output("dx", back(b.input("dy", "float32", ["n", ROWS])));
      const outputs = runGraph(runtime, b.build(), { ...given, x: tensor(X), dy: tensor(DY) }, {
        n: N,
      });
      assertClose([...outputs.y.data], forward(numbers), { ...CLOSE, label });
      assertClose([...outputs.dx.data], backward(numbers), { ...CLOSE, label });
    }
  }
});

/** Operations of a graph in order, with what is cut of which value. */
function described({ nodes, constants }: Graph): string[] {
  const numbers = (value: Value | undefined): bigint | undefined => {
    const constant = constants.find((each) => each.value === value);
    return constant && new BigInt64Array(constant.data.slice().buffer)[0];
  };
  return nodes.map(({ op, inputs, attributes }) => {
    if (op === "Slice") {
      return `Slice ${inputs[0]!.name} ${numbers(inputs[1])} ${numbers(inputs[2])}`;
    }
    return attributes.matrix === undefined ? op : `${op} ${attributes.matrix}`;
  });
}

Deno.test("a head of more elements is widened a slice of rows at a time, cut elsewhere on the way back", () => {
  assert.equal(SLICE_ELEMENTS, 2 ** 23);
  const cuts = (
    rows: number,
    columns: number,
    storage: BaseStorage,
    backward: boolean,
  ): string[] => {
    const b = new GraphBuilder("head");
    const head = largeMatrixInput(b, { name: "w", shape: [rows, columns] }, {
      storage,
      table: false,
    });
    const width = backward ? rows : columns;
    const x = b.input("x", "float32", ["n", width]);
    b.output("y", backward ? head.backward(x) : head.linear(x));
    return described(b.build()).filter((each) =>
      each.startsWith("Slice w ") || each.startsWith("Slice x ")
    );
  };
  const half = BASE_STORAGES.fp16;
  // Slices of two rows.
  assert.deepEqual(cuts(5, 2 ** 22, half, false), ["Slice w 0 2", "Slice w 2 4", "Slice w 4 5"]);
  const apart = (name: string, ...parts: readonly (readonly [number, number])[]) =>
    parts.map(([start, end]) => `Slice ${name} ${start} ${end}`);
  const back = cuts(5, 2 ** 22, half, true);
  assert.deepEqual(
    back.filter((each) => each.startsWith("Slice w")),
    apart("w", [0, 1], [1, 3], [3, 5]),
  );
  assert.deepEqual(
    back.filter((each) => each.startsWith("Slice x")),
    apart("x", [0, 1], [1, 3], [3, 5]),
  );
  // Of three rows the first slice has two.
  assert.deepEqual(
    cuts(7, 2_700_000, half, true).filter((each) => each.startsWith("Slice w")),
    apart("w", [0, 2], [2, 5], [5, 7]),
  );
  // Two rows at least, however long they are.
  assert.deepEqual(cuts(3, 2 ** 24, half, false), apart("w", [0, 2], [2, 3]));
  // What fits, or is not widened, is not cut.
  assert.deepEqual(cuts(2, 2 ** 22, half, false), []);
  assert.deepEqual(cuts(2, 2 ** 22, half, true), []);
  assert.deepEqual(cuts(5, 2 ** 22, BASE_STORAGES.fp32, false), []);
  assert.deepEqual(cuts(5, 2 ** 22, BASE_STORAGES.fp32, true), []);
});

Deno.test("a large head in whole blocks is read a slice of its rows at a time on the way back", () => {
  const quantization: Quantization = { bits: 4, block: 32, compute: "fp32", layout: "blocks" };
  const storage: BaseStorage = { name: "int4", quantization };
  const b = new GraphBuilder("head");
  const spec = { name: "w", shape: [5, 2 ** 22] } as const;
  const head = largeMatrixInput(b, spec, { storage, table: false });
  b.output("dx", head.backward(b.input("dy", "float32", ["n", 5])));
  const { nodes, constants } = b.build();
  const ids = nodes.filter(({ op }) => op === "GatherBlockQuantized").map(({ inputs }) => {
    const { data } = constants.find(({ value }) => value === inputs[1])!;
    return Array.from(new BigInt64Array(data.slice().buffer), Number);
  });
  assert.deepEqual(ids.toSorted(([a], [b]) => a - b), [[0], [1, 2], [3, 4]]);
});

Deno.test("matrices of whole numbers are names and shapes to products in kernels", () => {
  const storage = BASE_STORAGES.int4;
  const b = new GraphBuilder("packed");
  const x = b.input("x", "float32", ["n", COLUMNS]);
  const matrix = matrixInput(b, SPEC, { storage });
  const y = matrixLinear(b, x, matrix, b.input("addend", "float32", ["n", ROWS]));
  b.output("y", y);
  assert.deepEqual([matrix.dtype, matrix.shape, y.shape], ["uint8", [ROWS, COLUMNS], ["n", ROWS]]);
  assert.deepEqual(described(b.build()), ["PackedLinear w", "Add"]);

  const head = (table: boolean): [string, string[]] => {
    const b = new GraphBuilder("head");
    const { input, linear, backward } = largeMatrixInput(b, SPEC, { storage, table });
    b.output("y", linear(b.input("x", "float32", ["n", COLUMNS])));
    b.output("dx", backward(b.input("dy", "float32", ["n", ROWS])));
    return [input.name, described(b.build())];
  };
  assert.deepEqual(head(false), ["w.packed", [
    "PackedLinear w.packed",
    "PackedLinearGradient w.packed",
  ]]);
  // A tied head goes back through the rows that tokens read.
  const [input, operations] = head(true);
  assert.equal(input, "w");
  assert.ok(operations.includes("PackedLinear w.packed"));
  assert.ok(operations.includes("Gemm") && operations.includes("DequantizeLinear"));
  assert.ok(!operations.includes("PackedLinearGradient w.packed"));
});

Deno.test("rows of symbolic sizes cannot be taken in whole blocks", () => {
  const b = new GraphBuilder("rows");
  const quantization: Quantization = { bits: 8, block: 32, compute: "fp32", layout: "blocks" };
  const storage: BaseStorage = { name: "int8", quantization };
  assert.throws(() => matrixInput(b, { name: "w", shape: ["out", "in"] }, { storage }), {
    name: "RangeError",
    message: "Cannot take rows of w [out, in] in whole blocks: its sizes must be numbers",
  });
});
