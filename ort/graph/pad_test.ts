import assert from "node:assert/strict";
import { graphOf, graphText, type Values, wide } from "../../tests/support/graph_text.ts";
import { dense, interpret } from "../../tests/support/reference_interpreter.ts";
import type { GraphBuilder } from "./builder.ts";
import { gradient } from "./gradient.ts";
import type { Value } from "./ir.ts";
import { crop, lastOf, pad } from "./pad.ts";

const ALL = "int64[9223372036854775807]";

const CASES: Readonly<
  Record<string, readonly [(b: GraphBuilder, v: Values) => Value, node: string, numbers: number[]]>
> = {
  "pad() puts zeros before and after": [
    (b, { x }) => pad(b, x, { axis: 1, before: 2, after: 1, size: 6 }),
    "y float32 [n,6] = Pad(x, int64[0 2 0 1])",
    [0, 0, 1, 2, 3, 0, 0, 0, 4, 5, 6, 0],
  ],
  "pad() puts zeros before alone": [
    (b, { x }) => pad(b, x, { axis: 1, before: 1, size: 4 }),
    "y float32 [n,4] = Pad(x, int64[0 1 0 0])",
    [0, 1, 2, 3, 0, 4, 5, 6],
  ],
  "pad() puts as many zeros after as a symbol says": [
    (b, { x }) => pad(b, x, { axis: 0, after: "p", size: "n_p" }),
    "y float32 [n_p,3] = Pad(x, shape:0,0,p,0)",
    [1, 2, 3, 4, 5, 6, 0, 0, 0],
  ],
  "crop() leaves out elements at both ends": [
    (b, { x }) => crop(b, x, { axis: 1, before: 1, after: 1, size: 1 }),
    "y float32 [n,1] = Slice(x, int64[1], int64[-1], int64[1])",
    [2, 5],
  ],
  "crop() leaves out the first elements": [
    (b, { x }) => crop(b, x, { axis: 1, before: 2, size: 1 }),
    `y float32 [n,1] = Slice(x, int64[2], ${ALL}, int64[1])`,
    [3, 6],
  ],
  "crop() leaves out the last elements": [
    (b, { x }) => crop(b, x, { axis: 1, after: 2, size: 1 }),
    "y float32 [n,1] = Slice(x, int64[0], int64[-2], int64[1])",
    [1, 4],
  ],
  "crop() leaves out as many as a symbol says": [
    (b, { x }) => crop(b, x, { axis: 0, after: "p", size: "m" }),
    "y float32 [m,3] = Slice(x, int64[0], shape:m, int64[0])",
    [1, 2, 3],
  ],
};

for (const [name, [build, node, numbers]] of Object.entries(CASES)) {
  Deno.test(name, () => {
    const graph = graphOf({ x: wide("n", 3) }, build);
    assert.deepEqual(graphText(graph), [node]);
    const x = dense([2, 3], (i) => i + 1);
    const { y } = interpret(graph, { x }, { n: 2, p: 1, n_p: 3, m: 1 });
    assert.deepEqual([...y.data], numbers);
  });
}

Deno.test("lastOf() keeps the last elements", () => {
  const graph = graphOf({ x: wide("n", 3) }, (b, { x }) => lastOf(b, x, { axis: 1, count: 2 }));
  assert.deepEqual(graphText(graph), [
    `y float32 [n,2] = Slice(x, int64[-2], ${ALL}, int64[1])`,
  ]);
});

Deno.test("the gradient of pad() is crop() back to the size, and the other way round", () => {
  const graph = graphOf(
    { x: wide("n", 3), dp: wide("n", 6), dc: wide("n", 1), before: wide("n", 3) },
    (b, { x, dp, dc, before }) => {
      const padded = pad(b, x, { axis: 1, before: 2, after: 1, size: 6 });
      const cropped = crop(b, x, { axis: 1, before: 1, after: 1, size: 1 });
      const seeds = new Map([[padded, dp], [cropped, dc]]);
      return gradient(b, { seeds, wrt: new Map([[x, before]]) }).get(x)!;
    },
  );
  assert.deepEqual(graphText(graph), [
    "Pad_2 float32 [n,3] = Pad(dc, int64[0 1 0 1])",
    "Add_3 float32 [n,3] = Add(before, Pad_2)",
    "Slice_4 float32 [n,3] = Slice(dp, int64[2], int64[-1], int64[1])",
    "y float32 [n,3] = Add(Add_3, Slice_4)",
  ]);
});

Deno.test("crop() refuses to leave out elements before where a symbol says how many after", () => {
  const cropped = (before?: number) => () =>
    graphOf(
      { x: wide("n", 3) },
      (b, { x }) => crop(b, x, { axis: 0, before, after: "p", size: "m" }),
    );
  assert.throws(cropped(1), {
    name: "RangeError",
    message: "Cannot leave out 1 elements of x before and p after",
  });
  cropped(0)();
  cropped()();
});
