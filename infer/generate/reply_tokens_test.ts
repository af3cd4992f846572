import assert from "node:assert/strict";
import { ReplyTokens } from "./reply_tokens.ts";

const plan = {
  limit: 100,
  ends: new Set<number>(),
  sample: () => 1,
  constraint: undefined,
  logprobs: undefined,
  promptLogprobs: undefined,
  stopTexts: undefined,
  maxSeconds: Infinity,
};
const LOGITS = new Float32Array(3);

Deno.test("ReplyTokens ends a reply after its time, with the token that is made then", async () => {
  const slow = new ReplyTokens({ ...plan, maxSeconds: 0.02 }, [0]);
  assert.equal(slow.next(LOGITS), 1);
  assert.equal(slow.finishReason, undefined);
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.equal(slow.next(LOGITS), 1);
  assert.equal(slow.finishReason, "length");
});

Deno.test("ReplyTokens keeps the token that ends a reply apart", () => {
  const ended = new ReplyTokens({ ...plan, ends: new Set([1]) }, [0]);
  assert.equal(ended.next(LOGITS), undefined);
  assert.deepEqual([ended.finishReason, ended.endToken], ["eos", 1]);
});
