import assert from "node:assert/strict";
import { graphOf, graphText, wide } from "../../tests/support/graph_text.ts";
import { draws } from "../../tests/support/random.ts";
import { dense, interpret } from "../../tests/support/reference_interpreter.ts";
import { assertClose } from "../tensor/assert_close.ts";
import { gradient } from "./gradient.ts";
import { linearRecurrence } from "./linear_recurrence.ts";

const INPUTS = {
  transitions: wide("s", 2, 3, 3),
  additions: wide("s", 2, 3, 4),
  initial: wide(2, 3, 4),
};

/** The scan of those inputs or of others. */
function scanOf(read: string, { made, backwards }: { made: string; backwards: 0 | 1 }): string {
  return `${made} = Scan(${read}) num_scan_inputs=2 ` +
    `scan_input_directions=[${backwards} ${backwards}] scan_output_directions=[${backwards}] ` +
    "{FusedMatMul_0 float32 [2,3,4] = com.microsoft:FusedMatMul(step_transition, step_state) " +
    `transA=${backwards} transB=0 alpha=1f; ` +
    "step_next float32 [2,3,4] = Add(FusedMatMul_0, step_addition); " +
    "step_before float32 [2,3,4] = Identity(step_state)}";
}

Deno.test("linearRecurrence() gives the states that the steps began with, and the last one", () => {
  const graph = graphOf(INPUTS, (b, { transitions, additions, initial }) => {
    const { before, last } = linearRecurrence(b, { transitions, additions, initial });
    return [before, last];
  });
  assert.deepEqual(graphText(graph), [
    scanOf("initial, transitions, additions", {
      ...{ made: "y1 float32 [2,3,4], Scan_0.1 float32 [s,2,3,4]", backwards: 0 },
    }),
    "y float32 [s,2,3,4] = Reshape(Scan_0.1, int64[-1 2 3 4])",
  ]);
  const draw = draws(1);
  const [steps, batch, width, columns] = [3, 2, 3, 4];
  const inputs = {
    transitions: dense([steps, batch, width, width], () => draw()),
    additions: dense([steps, batch, width, columns], () => draw()),
    initial: dense([batch, width, columns], () => draw()),
  };
  const { y, y1 } = interpret(graph, inputs, { s: steps });
  let state = [...inputs.initial.data];
  const states: number[] = [];
  for (let step = 0; step < steps; step++) {
    states.push(...state);
    state = state.map((_, i) => {
      const [of, row, column] = [
        Math.floor(i / (width * columns)),
        Math.floor(i / columns) % width,
        i % columns,
      ];
      let next = inputs.additions.data[step * state.length + i];
      for (let k = 0; k < width; k++) {
        next += inputs.transitions.data[((step * batch + of) * width + row) * width + k] *
          state[(of * width + k) * columns + column];
      }
      return next;
    });
  }
  assertClose(y.data, states, { relativeToMax: 1e-13, label: "states before" });
  assertClose(y1.data, state, { relativeToMax: 1e-13, label: "the last state" });
});

Deno.test("the gradient of linearRecurrence() is the same from the last step to the first, transposed", () => {
  const graph = graphOf(
    { ...INPUTS, dy: wide("s", 2, 3, 4) },
    (b, { dy, transitions, additions, initial }) => {
      const { before } = linearRecurrence(b, { transitions, additions, initial });
      const read = [transitions, additions, initial];
      const wrt = new Map(read.map((value) => [value, undefined]));
      const gradients = gradient(b, { seeds: new Map([[before, dy]]), wrt });
      return read.map((value) => gradients.get(value)!);
    },
  );
  assert.deepEqual(graphText(graph), [
    scanOf("initial, transitions, additions", {
      ...{ made: "Scan_0 float32 [2,3,4], Scan_0.1 float32 [s,2,3,4]", backwards: 0 },
    }),
    "Reshape_1 float32 [s,2,3,4] = Reshape(Scan_0.1, int64[-1 2 3 4])",
    "Expand_2 float32 [2,3,4] = Expand((0), int64[2 3 4])",
    scanOf("Expand_2, transitions, dy", {
      ...{ made: "y2 float32 [2,3,4], y1 float32 [s,2,3,4]", backwards: 1 },
    }),
    "y float32 [s,2,3,3] = com.microsoft:FusedMatMul(y1, Reshape_1) transA=0 transB=1 alpha=1f",
  ]);
});
