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
