/** Attention in chunks on WebGPU against attention with a mask on the CPU. */

import {
  assertAttention,
  ATTENTION_CASES,
  chunkedNumbers,
  maskedNumbers,
} from "../support/chunked_attention.ts";
import { runtime } from "../support/webgpu_runtime.ts";

// Times the largest of a tensor. Measured on lavapipe: 7.2e-7.
const TOLERANCE = 5e-6;

for (const { title, queries, ...given } of ATTENTION_CASES) {
  Deno.test(`attention in chunks on WebGPU is attention with a mask: ${title}`, () => {
    const expected = maskedNumbers(runtime, given);
    const actual = chunkedNumbers(runtime, given, { queries, views: false });
    const worst = assertAttention(actual, { expected, given, tolerance: TOLERANCE });
    if (Deno.env.get("ORTUNE_REPORT")) console.log(title, worst);
  });
}
