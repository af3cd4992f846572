/** The batch of `cuda_steps.ts`: two rows of twelve tokens, of which eleven are to be predicted. */

import { type Batch, collate } from "../../data/batches/collator.ts";
import { joinExample } from "../../data/examples/join_example.ts";

const example = (prompt: number, reply: number) =>
  joinExample(
    Int32Array.from({ length: prompt }, (_, i) => 1 + i),
    Int32Array.from({ length: reply }, (_, i) => 40 + i),
    { maxLength: 12, terminated: true },
  );

/** Twice the same at each update. */
export const STEPS_BATCH: Batch = collate([example(6, 6), example(4, 5)], { padId: 0 });
