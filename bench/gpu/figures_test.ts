import assert from "node:assert/strict";
import { DeviceShare, lossDifference, mfu, trainingFlop } from "./figures.ts";
import { SHAPES } from "./workload.ts";

Deno.test("trainingFlop() counts what a token of 1,024 takes: GFLOP known from the papers' formula", () => {
  const rows = [{ ids: new Array(1024).fill(0), prompt: 0 }];
  const perToken = (shape: string, lora: boolean) =>
    (trainingFlop(SHAPES[shape], rows, lora) / 1024 / 1e9).toPrecision(3);
  assert.equal(perToken("1.7B", false), "10.7");
  assert.equal(perToken("1.7B", true), "7.29");
  assert.equal(perToken("0.6B", false), "3.93");
  assert.equal(perToken("0.6B", true), "2.77");
});

Deno.test("trainingFlop() counts attention within rows, not across them", () => {
  const row = (length: number) => ({ ids: new Array(length).fill(0), prompt: 0 });
  const one = trainingFlop(SHAPES.tiny, [row(512)], false);
  const two = trainingFlop(SHAPES.tiny, [row(256), row(256)], false);
  // 6 · 64 wide · 2 layers · (512² − 2 · 256²)
  assert.equal(one - two, 6 * 64 * 2 * (512 ** 2 - 2 * 256 ** 2));
});

Deno.test("mfu() is the share of 989 TFLOP/s", () => {
  assert.equal(mfu(989e12, 2), 0.5);
});

Deno.test("lossDifference() takes the updates both made", () => {
  assert.equal(lossDifference([3, 2, 1], [3, 2.5]), 0.5);
  assert.ok(Number.isNaN(lossDifference([], [1])));
});

Deno.test("DeviceShare counts what grows in its own turns, whatever others hold", () => {
  const share = new DeviceShare();
  assert.ok(Number.isNaN(share.peak));
  share.turn([10, 14, 13]);
  assert.equal(share.peak, 4);
  // Others took 20 meanwhile; 3 are still its own.
  share.turn([33, 36, 34]);
  assert.equal(share.peak, 6);
  share.turn([]);
  assert.equal(share.peak, 6);
});
