import assert from "node:assert/strict";
import { draws } from "../../tests/support/random.ts";
import { planBuffers, planMemory } from "./memory_plan.ts";

Deno.test("planMemory() lets nothing overlap that is needed at the same time", () => {
  const draw = draws(3);
  for (let round = 0; round < 200; round++) {
    const items = Array.from({ length: 1 + Math.floor(draw(0, 30)) }, () => {
      const from = Math.floor(draw(0, 12));
      return { bytes: Math.floor(draw(0, 5000)), from, to: from + Math.floor(draw(0, 5)) };
    });
    const { offsets, bytes } = planMemory(items);
    for (const [i, a] of items.entries()) {
      assert.equal(offsets[i] % 256, 0);
      assert.ok(offsets[i] + a.bytes <= bytes);
      for (const [j, b] of items.slice(0, i).entries()) {
        const together = a.from <= b.to && b.from <= a.to;
        const apart = offsets[i] + a.bytes <= offsets[j] || offsets[j] + b.bytes <= offsets[i];
        assert.ok(!together || apart, `${JSON.stringify([a, b])} at ${offsets[i]}, ${offsets[j]}`);
      }
    }
    // No worse than all side by side, and what is needed at once must fit.
    const grains = ({ bytes }: { bytes: number }) => Math.max(1, Math.ceil(bytes / 256)) * 256;
    const most = Math.max(
      ...Array.from(
        { length: 20 },
        (_, step) =>
          items.filter(({ from, to }) => from <= step && step <= to)
            .reduce((sum, each) => sum + grains(each), 0),
      ),
    );
    assert.ok(bytes >= most && bytes <= 1.5 * most, `${bytes} for ${most}`);
  }
});

Deno.test("planMemory() of nothing takes nothing", () => {
  assert.deepEqual(planMemory([]), { offsets: [], bytes: 0 });
});

Deno.test("planBuffers() gives no buffer to two values at the same time, and shares buffers", () => {
  const draw = draws(4);
  let shared = 0;
  for (let round = 0; round < 200; round++) {
    const items = Array.from({ length: 1 + Math.floor(draw(0, 30)) }, () => {
      const from = Math.floor(draw(0, 12));
      return { bytes: Math.floor(draw(0, 5000)), from, to: from + Math.floor(draw(0, 5)) };
    });
    const { places, buffers } = planBuffers(items);
    for (const [i, a] of items.entries()) {
      assert.equal(places[i].offset, 0);
      assert.ok(a.bytes <= buffers[places[i].buffer]);
      for (const [j, b] of items.slice(0, i).entries()) {
        const together = a.from <= b.to && b.from <= a.to;
        assert.ok(!together || places[i].buffer !== places[j].buffer, JSON.stringify([a, b]));
      }
    }
    // No fewer than are needed at once.
    const most = Math.max(
      ...Array.from(
        { length: 20 },
        (_, step) => items.filter(({ from, to }) => from <= step && step <= to).length,
      ),
    );
    assert.ok(buffers.length >= most && buffers.length <= items.length);
    if (buffers.length < items.length) shared++;
  }
  assert.ok(shared > 150, `${shared}`);
});

Deno.test("planBuffers() of nothing takes nothing", () => {
  assert.deepEqual(planBuffers([]), { places: [], buffers: [] });
});

/** Items as `bytes from to`. */
const items = (...all: readonly (readonly [bytes: number, from: number, to: number])[]) =>
  all.map(([bytes, from, to]) => ({ bytes, from, to }));

Deno.test("planMemory() places the largest first, each at the lowest place that is free for its time", () => {
  const cases: readonly (readonly [ReturnType<typeof items>, readonly number[], number])[] = [
    // Sizes are rounded up to 256, nothing takes as much.
    [items([0, 0, 0], [1, 0, 0]), [256, 0], 512],
    [items([256, 0, 0], [257, 0, 0], [512, 0, 0]), [1024, 512, 0], 1280],
    // Equal ones in their order.
    [items([256, 0, 0], [256, 0, 0], [256, 0, 0]), [0, 256, 512], 768],
    // The last step that needs one and the first that needs another are one step, or are not.
    [items([256, 0, 1], [256, 1, 2]), [0, 256], 512],
    [items([256, 1, 2], [256, 0, 1]), [0, 256], 512],
    [items([256, 0, 1], [256, 2, 3]), [0, 0], 256],
    [items([256, 2, 3], [256, 0, 1]), [0, 0], 256],
    // A gap that is large enough, and one that is a grain too small.
    [items([1024, 0, 1], [768, 0, 9], [512, 2, 9]), [0, 1024, 0], 1792],
    [
      items([1024, 0, 1], [1024, 0, 9], [768, 2, 9], [512, 2, 9], [256, 2, 9]),
      [0, 1024, 0, 2048, 768],
      2560,
    ],
    // Above the highest of those that lie one over the other.
    [items([1024, 0, 1], [512, 2, 3], [256, 0, 3]), [0, 0, 1024], 1280],
    [items([768, 0, 3], [512, 2, 5], [512, 4, 7]), [0, 768, 0], 1280],
    [items([512, 0, 5], [256, 0, 9], [512, 6, 9]), [0, 512, 0], 768],
  ];
  for (const [given, offsets, bytes] of cases) {
    assert.deepEqual(planMemory(given), { offsets, bytes }, JSON.stringify(given));
  }
});

Deno.test("planBuffers() takes the smallest buffer that is free for the time, or a new one", () => {
  const cases:
    readonly (readonly [ReturnType<typeof items>, readonly number[], readonly number[]])[] = [
      [items([100, 0, 1], [100, 1, 2]), [0, 1], [100, 100]],
      [items([100, 1, 2], [100, 0, 1]), [0, 1], [100, 100]],
      [items([100, 0, 1], [100, 2, 3]), [0, 0], [100]],
      [items([100, 2, 3], [100, 0, 1]), [0, 0], [100]],
      // The largest first, whatever their order; equal ones in their order.
      [items([10, 0, 5], [30, 0, 5], [20, 0, 5]), [2, 0, 1], [30, 20, 10]],
      [items([10, 0, 5], [10, 0, 5], [10, 0, 5]), [0, 1, 2], [10, 10, 10]],
      // Of free ones the smallest.
      [items([30, 0, 1], [20, 0, 1], [10, 2, 3]), [0, 1, 1], [30, 20]],
      // Free before and after what else it has.
      [items([30, 4, 5], [20, 0, 1], [10, 2, 3]), [0, 0, 0], [30]],
      [items([30, 0, 9], [20, 4, 5], [10, 5, 6]), [0, 1, 2], [30, 20, 10]],
    ];
  for (const [given, buffers, sizes] of cases) {
    assert.deepEqual(planBuffers(given), {
      places: buffers.map((buffer) => ({ buffer, offset: 0 })),
      buffers: sizes,
    }, JSON.stringify(given));
  }
});
