import assert from "node:assert/strict";
import { draws } from "../../tests/support/random.ts";
import { LogprobList } from "./token_logprobs.ts";

Deno.test("LogprobList tells a softmax's logarithms, and the likeliest tokens in order", () => {
  const draw = draws(3);
  for (let round = 0; round < 50; round++) {
    const logits = Float32Array.from({ length: 40 }, () => Math.round(draw(-9, 9)));
    const sum = logits.reduce((total, each) => total + Math.exp(each), 0);
    const expected = Array.from(
      logits,
      (each, id) => ({ id, logprob: Math.log(Math.exp(each) / sum) }),
    );
    const list = new LogprobList(5);
    list.push(logits, 7);
    const [{ id, logprob, top }] = list.chosen;
    const order = expected.toSorted((a, b) => b.logprob - a.logprob || a.id - b.id).slice(0, 5);
    assert.deepEqual([id, ...top.map((each) => each.id)], [7, ...order.map((each) => each.id)]);
    // Measured: 4e-15.
    for (const each of [{ id, logprob }, ...top]) {
      assert.ok(Math.abs(each.logprob - expected[each.id].logprob) < 1e-13);
    }
  }
});

Deno.test("LogprobList keeps the certain certain, and what is ruled out at -Infinity", () => {
  const list = new LogprobList(0);
  list.push(Float32Array.of(-Infinity, 500, -Infinity), 1);
  list.push(Float32Array.of(-Infinity, 500, -Infinity), 0);
  assert.deepEqual(list.chosen, [{ id: 1, logprob: 0, top: [] }, {
    id: 0,
    logprob: -Infinity,
    top: [],
  }]);
});
